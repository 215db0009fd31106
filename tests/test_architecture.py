"""The floors of the house: imports go down only, and the core needs NumPy alone."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from importlib import metadata
from pathlib import Path

import pytest

import tinygrad_lite

PACKAGE = Path(tinygrad_lite.__file__).parent
FLOORS = [
    ["errors", "trees", "foreign"],
    ["engine"],
    ["ops"],
    ["transforms"],
    ["readers"],
    ["nn", "optim", "datasets"],
    ["checking", "compiler"],
    ["exercises", "explainer", "testing"],
    ["commands"],
    ["__main__"],
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def name_of(path: Path) -> str:
    """The name under which a file is imported."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in PACKAGE.rglob("*.py")}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "tinygrad_lite":
            rooms |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tinygrad_lite."):
            rooms.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            rooms |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("tinygrad_lite.")}
    return rooms


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    room = room_of(path)
    for other in imported_rooms(path) - {room}:
        assert FLOOR_OF[other] <= FLOOR_OF[room], f"{room} imports {other}, which is above it"
        if FLOOR_OF[other] == FLOOR_OF[room]:
            both_files = not (PACKAGE / room).is_dir() and not (PACKAGE / other).is_dir()
            assert both_files, f"{room} imports {other}, a package on its own floor"


def imported_modules(path: Path) -> set[str]:
    """The files of ours that a file imports anywhere in it: at its top, in functions, or for types alone."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {
                full if (full := f"{node.module}.{alias.name}") in MODULES else node.module for alias in node.names
            }
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names & MODULES.keys()


def test_no_import_goes_in_a_circle() -> None:
    imports = {name: imported_modules(path) for name, path in MODULES.items()}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_operations_do_not_know_tensors() -> None:
    for path in (PACKAGE / "ops").rglob("*.py"):
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert "Tensor" not in names


def test_the_core_imports_numpy_alone() -> None:
    script = (
        "import sys, numpy; before = set(sys.modules); import tinygrad_lite; "
        "print({name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names) - {'numpy'})"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "{'tinygrad_lite'}"


def test_the_version_is_read_when_it_is_asked_for() -> None:
    script = (
        "import sys, numpy; before = set(sys.modules); import tinygrad_lite; "
        "print('importlib.metadata' in set(sys.modules) - before, tinygrad_lite.__version__)"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["False", metadata.version("tinygrad-lite")]
    with pytest.raises(AttributeError, match="no attribute 'version'"):
        _ = tinygrad_lite.version
