"""What a cell of Python needs on the site, apart from Sphinx: its HTML, and the files that it loads when it runs."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path

import tinygrad_lite
from tinygrad_lite.exercises.catalogue import find

SOURCE = Path(__file__).parents[2]
INTERPRETER = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json")
LOADED = ("numpy",)
ANSWER = """\
import numpy as np
import tinygrad_lite as tg

exercise = tg.exercises.start("{name}")

@exercise.submit
{head}
    return ...
"""
NUMBERS = """\
import numpy as np
import tinygrad_lite as tg

exercise = tg.exercises.start("{name}")

numbers = ...
exercise.submit(numbers)
"""


def exercise(name: str) -> str:
    """The code of a cell in which a reader answers an exercise."""
    head = find(name).task.head
    return NUMBERS.format(name=name) if head.startswith("numbers") else ANSWER.format(name=name, head=head)


def opening(before: Sequence[str], asked: str, root: str, size: int | None) -> str:
    """What stands before the code of a cell.

    Args:
        before: the code that runs first.
        asked: the question of an exercise.
        root: the way to the site's root.
        size: the bytes that the first run loads; None if the site cannot run cells.
    """
    loads = "" if size is None else f' data-size="{size}"'
    question = f'<pre class="asked">{escape(asked)}</pre>' if asked else ""
    return f'<div class="try-it" data-root="{root}" data-before="{escape(json.dumps(list(before)))}"{loads}>{question}'


def closing(before: Sequence[str]) -> str:
    """What stands after it, for whom it does not run here."""
    how = (
        f"<code>pip install tinygrad-lite</code>, and paste it into Python{', after the code above it' * bool(before)}"
    )
    return f'<p class="locally">To run it: {how}.</p></div>\n'


def parts_of(distribution: Path) -> list[Path]:
    """The files of a distribution that the site serves.

    Raises:
        FileNotFoundError: if it lacks one.
    """
    missing = [name for name in INTERPRETER if not (distribution / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{distribution} is not a distribution of Pyodide: it has no {', '.join(missing)}")
    packages = json.loads((distribution / "pyodide-lock.json").read_text(encoding="utf-8"))["packages"]
    files = [distribution / packages[name]["file_name"] for name in LOADED]
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        raise FileNotFoundError(
            f"{distribution} has no {', '.join(missing)}: take the full distribution of Pyodide, "
            "since its package at npm has the interpreter alone"
        )
    return [*(distribution / name for name in INTERPRETER), *files]


def size_of(distribution: Path) -> int:
    """What a reader's first run loads, in bytes."""
    return sum(path.stat().st_size for path in parts_of(distribution))


def serve(files: list[Path], wheel: Path, folder: Path, loaded: tuple[str, ...] = LOADED) -> None:
    """Put the interpreter, its packages and our wheel into the folder of the site that cells load them from."""
    target = folder / "pyodide"
    target.mkdir(parents=True, exist_ok=True)
    for path in (*files, wheel):
        shutil.copy(path, target)
    names = {"wheel": wheel.name, "loaded": loaded}
    (target / "files.json").write_text(json.dumps(names), encoding="utf-8")


def built_wheel(folder: Path) -> Path:
    """The wheel of the package, as it is released."""
    with tempfile.TemporaryDirectory() as copy:  # a build leaves files in its source
        for name in ("pyproject.toml", "README.md", "LICENSE", "pytest_tinygrad_lite.py"):
            shutil.copy(SOURCE / name, copy)
        shutil.copytree(
            SOURCE / "tinygrad_lite", Path(copy, "tinygrad_lite"), ignore=shutil.ignore_patterns("__pycache__")
        )
        command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), copy]
        version = {"SETUPTOOLS_SCM_PRETEND_VERSION": tinygrad_lite.__version__}
        subprocess.run(command, check=True, env=os.environ | version)  # noqa: S603
    return next(folder.glob("tinygrad_lite*.whl"))
