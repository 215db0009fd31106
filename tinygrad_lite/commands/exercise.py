"""`python -m tinygrad_lite exercise NAME`: an exercise in the learner's own file, marked from a shell."""

import argparse
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from tinygrad_lite import exercises
from tinygrad_lite.errors import InputError, TinygradError
from tinygrad_lite.exercises.exercise import Exercise

HELP = "an exercise that marks itself"
EXAMPLES = """\
    python -m tinygrad_lite exercise                               the list of exercises
    python -m tinygrad_lite exercise softplus                      the question, and a softplus.py to start from
    python -m tinygrad_lite exercise softplus --check softplus.py  the mark
    python -m tinygrad_lite exercise softplus --hint 1             the first hint

exit status of --check: 0 if the answer is right, 1 if it is not, 2 if it could not be marked
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("name", nargs="?", help="its name; without one, all exercises are listed")
    parser.add_argument("--check", metavar="FILE", type=Path, help="mark the function in this file")
    parser.add_argument("--hint", metavar="N", type=int, help="show the n-th hint")
    parser.add_argument("--course", metavar="FILE", type=Path, help="a file that declares further exercises")


def run(args: argparse.Namespace) -> int:
    """List, ask, give a hint or mark, and return the exit status."""
    if args.course is not None:
        _loaded(args.course)
    if args.name is None:
        print(exercises.list())
        return 0
    exercise = exercises.start(args.name)
    if args.check is not None:
        return _marked(exercise, args.check)
    if args.hint is not None:
        print(exercise.hint(args.hint))
        return 0
    print(exercise)
    path = Path(f"{exercise.name}.py")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(exercise.template())
        print(f"\nwrote {path}: fill it in, and mark it with --check {path}")
    except FileExistsError:
        print(f"\n{path} is there already and stays as it is; mark it with --check {path}")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
    return 0


def _marked(exercise: Exercise, path: Path) -> int:
    if not path.exists():
        raise InputError(f"there is no {path}; `exercise {exercise.name}` writes {exercise.name}.py to begin with")
    module = _loaded(path)
    function = getattr(module, exercise.asks_for, None)
    if function is None:
        raise InputError(f"{path} has no function `{exercise.asks_for}`, which {exercise.name} asks for")
    try:
        mark = exercise.check(function)
    except TinygradError:
        raise
    except Exception as error:
        notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))
        raise InputError(f"{type(error).__name__}: {error}{notes}") from error
    print(mark)
    return 0 if mark.ok else 1


def _loaded(path: Path) -> ModuleType:
    """A user's file, run as a module."""
    if not path.is_file():
        raise InputError(f"{path} is a directory, not a file" if path.exists() else f"there is no {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is not a Python file: its name must end with .py")
    module = importlib.util.module_from_spec(spec)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # leave no further files in a learner's directory
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise InputError(f"{path}, line {error.lineno}: {error.msg}") from None
    except SystemExit:  # otherwise the command would end here, with the exit status of a right answer
        raise InputError(f"{path} leaves Python when it is run: take out what calls exit") from None
    except Exception as error:
        raise InputError(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    finally:
        sys.dont_write_bytecode = writes
    return module
