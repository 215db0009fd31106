"""The floors of the house: imports go down only, and the core needs NumPy alone."""

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import metadata
from pathlib import Path

import pytest

import tinygrad_lite

PACKAGE = Path(tinygrad_lite.__file__).parent
FLOORS = [
    ["errors", "trees"],
    ["foundation"],
    ["engine"],
    ["ops"],
    ["transforms", "array_api"],
    ["readers"],
    ["nn", "optim", "data", "datasets", "distributions"],
    ["checking", "compiler"],
    ["training", "distributed"],
    ["estimators", "interchange", "exercises", "explainer", "testing"],
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


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports_in(path: Path) -> list[ast.Import | ast.ImportFrom]:
    """The imports anywhere in a file: at its top, in functions, or for types alone."""
    return [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Import | ast.ImportFrom)]


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in imports_in(path):
        if isinstance(node, ast.ImportFrom) and node.module == "tinygrad_lite":
            rooms |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tinygrad_lite."):
            rooms.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            rooms |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("tinygrad_lite.")}
    return rooms


def test_the_table_for_contributors_shows_the_same_floors() -> None:
    page = (PACKAGE.parent / "docs" / "contributing.md").read_text()
    rows = re.findall(r"^\| (`.*?`) \|", page.split("## The rooms of the house")[1], re.MULTILINE)
    assert [re.findall(r"`(\w+)(?:/|\.py)`", row) for row in rows[: len(FLOORS)]] == FLOORS


@pytest.mark.parametrize("room", sorted({*map(room_of, FILES)}))
def test_imports_go_down(room: str) -> None:
    for path in filter(lambda path: room_of(path) == room, FILES):
        for other in imported_rooms(path) - {room}:
            assert FLOOR_OF[other] <= FLOOR_OF[room], f"{path} imports {other}, which is above it"
            if FLOOR_OF[other] == FLOOR_OF[room]:
                both_files = not (PACKAGE / room).is_dir() and not (PACKAGE / other).is_dir()
                assert both_files, f"{path} imports {other}, a package on its own floor"


def test_signatures_are_asked_for_in_one_place() -> None:
    """In the one that leaves annotations unread, since they cannot always be evaluated."""
    asking = [
        path.name for path in FILES if re.search(r"inspect\.signature|inspect import .*\bsignature", path.read_text())
    ]
    assert asking == ["signatures.py"]


def imported_modules(path: Path) -> set[str]:
    """The files of ours that a file imports."""
    names = set()
    for node in imports_in(path):
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


@pytest.mark.parametrize("room", sorted({path.parent.parent.name for path in PACKAGE.glob("*/*/__init__.py")}))
def test_folders_of_a_room_import_each_other_in_one_direction(room: str) -> None:
    folders = [path for path in (PACKAGE / room).iterdir() if (path / "__init__.py").exists()]
    stages = {
        folder.name: {
            parts[2]
            for path in folder.rglob("*.py")
            for other in imported_modules(path)
            if len(parts := other.split(".")) > 3 and parts[1] == room and parts[2] != folder.name
        }
        for folder in folders
    }
    try:
        assert [*TopologicalSorter(stages).static_order()]
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def lines_of(node: ast.AST, text: str) -> int:
    """How many lines of code there are in a node, docstrings and blank lines left out."""
    docstrings = {
        number
        for inner in ast.walk(node)
        if isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Constant) and isinstance(inner.value.value, str)
        for number in range(inner.lineno, (inner.end_lineno or 0) + 1)
    }
    lines = text.splitlines()
    first, last = getattr(node, "lineno", 1), getattr(node, "end_lineno", len(lines))
    return sum(bool(lines[k - 1].strip()) and k not in docstrings for k in range(first, last + 1))


def test_the_engine_is_short_enough_to_read() -> None:
    files = {path.stem: path.read_text() for path in (PACKAGE / "engine").glob("*.py")}
    sizes = {name: lines_of(ast.parse(text), text) for name, text in files.items()}
    assert sum(sizes.values()) <= 900
    assert sizes["op"] + sizes["tensor"] + sizes["backward"] <= 500
    for file, function in (("tensor", "__trace__"), ("backward", "propagate"), ("backward", "contribute")):
        nodes = [x for x in ast.walk(ast.parse(files[file])) if getattr(x, "name", "") == function]
        assert [lines_of(node, files[file]) <= 25 for node in nodes] == [True], function


def test_all_layers_are_short_enough_to_read() -> None:
    """Layers and their functions, without the imports and the lists of public names of their files."""
    others = {"hidden", "hooks", "init", "module", "state", "structure", "substitution"}  # what a module is
    sizes = {}
    for path in sorted([*(PACKAGE / "nn").glob("*.py"), *(PACKAGE / "nn" / "functional").glob("*.py")]):
        if path.stem not in others:
            text = path.read_text()
            aside = [
                x for x in ast.parse(text).body if isinstance(x, ast.Import | ast.ImportFrom) or is_list_of_names(x)
            ]
            sizes[path] = lines_of(ast.parse(text), text) - sum(lines_of(node, text) for node in aside)
    assert sum(sizes.values()) <= 3000


def is_list_of_names(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"


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


def test_the_import_leaves_the_checkers_for_later() -> None:
    script = "import sys, tinygrad_lite as tg; print('tinygrad_lite.checking' in sys.modules, tg.gradcheck.__module__)"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["False", "tinygrad_lite.checking.gradcheck"]


def test_what_is_imported_later_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell completes all public names, and each of them is there."""
    assert {*tinygrad_lite.__all__} <= {*dir(tinygrad_lite)}
    assert {name for name in dir(tinygrad_lite) if not name.startswith("_")} == {*tinygrad_lite.__all__}
    assert all(hasattr(tinygrad_lite, name) for name in dir(tinygrad_lite))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert {*tinygrad_lite.__all__} - {*dir(tinygrad_lite)} == {"estimators"}


def test_the_version_is_read_when_it_is_asked_for() -> None:
    script = (
        "import sys, numpy; before = set(sys.modules); import tinygrad_lite; "
        "print('importlib.metadata' in set(sys.modules) - before, tinygrad_lite.__version__)"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["False", metadata.version("tinygrad-lite")]
    with pytest.raises(AttributeError, match="no attribute 'version'"):
        _ = tinygrad_lite.version
