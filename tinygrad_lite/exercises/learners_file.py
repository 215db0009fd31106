"""A learner's or a teacher's file, run as a module, with errors in their terms."""

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from tinygrad_lite.errors import InputError
from tinygrad_lite.exercises.advice import advice_on


class _NoNotebook:
    """IPython, as a script finds it that nbconvert made of a notebook: `%matplotlib inline` and the like do nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: None

    def run_cell_magic(self, name: str, line: str, cell: str) -> None:
        raise InputError(f"take %%{name} out of the notebook: it hides its whole cell from Python")


def answer_in(path: Path, name: str) -> Any:
    """The function, or the numbers, of this name in a learner's file."""
    module = loaded(path)
    try:
        return getattr(module, name)
    except AttributeError:
        own = [other for other, x in vars(module).items() if not other.startswith("_") and _is_like(name, x, path.stem)]
        advice = f": call it that in place of {own[0]}" if len(own) == 1 else ""
        raise InputError(f"{path.name} has no `{name}`, which the exercise asks for{advice}") from None


def _is_like(name: str, value: Any, module: str) -> bool:
    """Whether a value may be the answer that should have this name: numbers, or a function of the module's own."""
    if name == "numbers":
        return not callable(value) and not isinstance(value, ModuleType)
    return callable(value) and getattr(value, "__module__", "") == module


def said_of(error: BaseException) -> str:
    """The kind of an error, and its message, if it has one."""
    return f"{type(error).__name__}: {error}".rstrip(": ")


def require_file(path: Path) -> None:
    """Refuse anything that is not a file."""
    if path.is_dir():
        raise InputError(f"{path} is a directory, not a file")
    if not path.is_file():
        raise InputError(f"{path} is not a regular file" if path.exists() else f"there is no {path}")


def loaded(path: Path) -> ModuleType:
    """A file, run as a module; raises `InputError` if that is impossible."""
    require_file(path)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is not a Python file: its name must end with .py")
    module = importlib.util.module_from_spec(spec)
    vars(module)["get_ipython"] = _NoNotebook
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # write no bytecode into a learner's directory
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        line = "" if error.lineno is None else f", line {error.lineno}"  # a file that is not text has none
        advice = advice_on(error)
        raise InputError(f"{path.name}{line}: {error.msg}{f'; {advice}' if advice else ''}") from None
    except SystemExit:  # otherwise the command would end here, with the exit status of a right answer
        raise InputError(f"{path.name} leaves Python when it is run: take out what calls exit") from None
    except EOFError as error:
        raise InputError(f"{path.name} asks for input, and nobody is there to type: take out input()") from error
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = f", line {lines[-1]}," if lines else ""
        advice = advice_on(error)
        raise InputError(
            f"{path.name}{line} cannot be run: {said_of(error)}{f'; {advice}' if advice else ''}"
        ) from error
    finally:
        sys.dont_write_bytecode = writes
    return module
