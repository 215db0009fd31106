"""`python -m tinygrad_lite check package.module:function`: the gradient checker from a shell."""

import argparse
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lite.checking import gradcheck
from tinygrad_lite.errors import InputError, TinygradError, UsageError

HELP = "check the gradient of a function"
EXAMPLES = """\
the inputs are taken from a function or a tuple of the same module, FUNCTION_inputs or inputs, or drawn for the shapes:

    python -m tinygrad_lite check models.energy:spring --inputs spring_inputs
    python -m tinygrad_lite check models.energy:spring --shapes 3,2 2 "()"
    python -m tinygrad_lite check models.energy:spring --gradient spring_gradient

exit status: 0 if the gradient is right, 1 if it is not, 2 if the check could not be made
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("target", metavar="package.module:function", help="a function, or a module (nn.Module)")
    parser.add_argument("--inputs", metavar="NAME", help="a tuple of inputs, or a function that returns one")
    parser.add_argument("--shapes", metavar="SHAPE", nargs="+", help='shapes to draw inputs for: 3,2 or 4 or "()"')
    parser.add_argument("--gradient", metavar="NAME", help="a function of the same inputs: the gradient to check")
    parser.add_argument("--order", type=int, choices=(1, 2), default=1)
    parser.add_argument("--method", choices=("auto", "complex", "differences", "forward", "taylor"), default="auto")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the inputs that are drawn")


def run(args: argparse.Namespace) -> int:
    """Check, print the report, and return the exit status."""
    settings = {"order": args.order, "method": args.method, "raise_exception": False}
    try:
        module, f = _found(args.target)
        gradient = None if args.gradient is None else _attribute(module, args.gradient)
        report = gradcheck(f, *_inputs(module, args), gradient=gradient, **settings)
    except TinygradError:
        raise
    except SystemExit as error:
        raise UsageError(
            f"{args.target} ended Python, with {error.code!r}, before it was checked: what runs as a script belongs "
            'behind if __name__ == "__main__":'
        ) from None
    except Exception:  # in the user's code
        traceback.print_exc()
        return 2
    print(_coloured(str(report)) if sys.stdout.isatty() else report)
    return 0 if report.ok else 1


def _found(target: str) -> tuple[Any, Callable[..., Any]]:
    path, colon, name = target.partition(":")
    if not (path and colon and name):
        raise InputError(f"write the function as package.module:function, got {target!r}")
    if path.endswith(".py"):
        sys.path.insert(0, str(Path(path).parent))
        path = Path(path).stem
    try:
        module = import_module(path)
    except ModuleNotFoundError as error:
        raise InputError(f"no module {error.name!r}: run this where `import {path}` works") from None
    return module, _attribute(module, name)


def _attribute(module: Any, name: str) -> Any:
    owner = module
    for part in name.split("."):
        if not hasattr(owner, part):
            known = ", ".join(sorted(key for key in vars(module) if not key.startswith("_")))
            raise InputError(f"{module.__name__} has no {name!r}; it has {known}")
        owner = getattr(owner, part)
    return owner


def _inputs(module: Any, args: argparse.Namespace) -> tuple[Any, ...]:
    if args.shapes:
        rng = np.random.default_rng(args.seed)
        return tuple(rng.normal(size=_shape(text)) for text in args.shapes)
    own = f"{args.target.partition(':')[2]}_inputs"
    name = args.inputs or next((name for name in (own, "inputs") if hasattr(module, name)), None)
    if name is None:
        raise InputError(f"no inputs: define {own} in {module.__name__}, or pass --inputs NAME or --shapes 3,2 4")
    value = _attribute(module, name)
    value = value() if callable(value) else value
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _shape(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(size) for size in text.strip("()").split(",") if size.strip())
    except ValueError:
        raise InputError(f'a shape is given as 3,2 or 4 or "()", got {text!r}') from None


def _coloured(text: str) -> str:
    """The report with its marks in bold and blue, which people can tell apart without seeing red and green."""
    lines = [line.replace("where:", "\033[34mwhere:\033[0m") for line in text.splitlines()]
    return "\n".join(f"\033[1m{line}\033[0m" if line.startswith(("gradcheck", "  ✗")) else line for line in lines)
