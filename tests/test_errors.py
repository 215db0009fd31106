"""Errors say what to do: an extra that a message names is one that there is, and one that brings the library."""

import ast
import pickle
import re
import sys
import tomllib
from pathlib import Path

import pytest

import tinygrad_lite
from tinygrad_lite import errors
from tinygrad_lite.errors import MissingExtraError, TinygradError

PACKAGE = Path(tinygrad_lite.__file__).parent
EXTRAS = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def raised() -> list[ast.Call]:
    """Every `MissingExtraError(what, library, extra)` of the package."""
    sources = (text for path in PACKAGE.rglob("*.py") if "MissingExtraError" in (text := path.read_text()))
    calls = (node for source in sources for node in ast.walk(ast.parse(source)))
    return [
        node for node in calls if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "MissingExtraError"
    ]


@pytest.mark.parametrize("call", raised(), ids=ast.unparse)
def test_the_extra_brings_the_library(call: ast.Call) -> None:
    library, extra = map(ast.literal_eval, call.args[1:])
    assert library.lower() in [re.split(r"[<>=!~\[; ]", requirement)[0] for requirement in EXTRAS[extra]]


def test_a_missing_extra_is_installed_from_a_clone() -> None:
    assert raised()
    assert str(MissingExtraError("plot", "Matplotlib", "examples")) == (
        "plot needs Matplotlib, which comes with the extra `examples`: in a clone of the repository, run "
        f"{sys.executable} -m pip install -e '.[examples]'"
    )


KINDS = [x for x in vars(errors).values() if isinstance(x, type) and issubclass(x, TinygradError)]
MADE_OF = {"MissingExtraError": ("plot", "Matplotlib", "examples"), "AxisError": ("axis 3 of 2",)}


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_from_another_process_says_the_same(kind: type[TinygradError]) -> None:
    error = kind(*MADE_OF.get(kind.__name__, ("a reason",)))
    restored = pickle.loads(pickle.dumps(error))
    assert type(restored) is kind
    assert str(restored) == str(error)
    assert vars(restored) == vars(error)
