"""`python -m tinygrad_lite check package.module:function`: the gradient checker from a shell."""

import argparse
import inspect
import sys
from collections.abc import Iterator
from contextlib import nullcontext, redirect_stdout
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from tinygrad_lite.checking import Report, gradcheck
from tinygrad_lite.checking.declared import attribute, functions_in, gradient_of, inputs_of
from tinygrad_lite.commands.check_reports import Result, as_json, as_junit, check_files, write
from tinygrad_lite.errors import InputError, UsageError

HELP = "check the gradients of functions"
EXAMPLES = """\
the inputs are taken from a function or a tuple of the same module, FUNCTION_inputs or inputs, or drawn for the shapes;
the gradient is that of FUNCTION_gradient if the module has it, and otherwise the one that this library computes:

    python -m tinygrad_lite check models.energy:spring --inputs spring_inputs
    python -m tinygrad_lite check models.energy:spring --shapes 3,2 2 "()"
    python -m tinygrad_lite check models.energy:spring --gradient my_gradient --rtol 1e-6
    python -m tinygrad_lite check models.energy:spring --wrt k
    python -m tinygrad_lite check models.energy:spring models/chain.py:tension --junit gradients.xml
    python -m tinygrad_lite check models/chain.py --json -        every function with FUNCTION_inputs

exit status: 0 if every gradient is right, 1 if one is wrong, else 2 if one could not be checked, else 3: of one, not
every entry could be verified
"""
STATUS = {"failed": 1, "error": 2, "inconclusive": 3, "passed": 0}
"""The exit status of each outcome; of several, the first here counts."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument(
        "targets", metavar="package.module:function", nargs="*", help="a function or a model; file.py:function as well"
    )
    parser.add_argument("--inputs", metavar="NAME", help="a tuple of inputs, or a function that returns one")
    parser.add_argument("--shapes", metavar="SHAPE", nargs="+", help='shapes to draw inputs for: 3,2 or 4 or "()"')
    parser.add_argument("--gradient", metavar="NAME", help="a function of the same inputs: the gradient to check")
    parser.add_argument(
        "--wrt", metavar="NAMES", help="the variables, if not all, as x,p.w: arguments, positions or paths"
    )
    parser.add_argument("--order", type=int, choices=(1, 2), default=1)
    parser.add_argument("--method", choices=("auto", "complex", "differences", "forward", "taylor"), default="auto")
    parser.add_argument("--rtol", type=float, default=0.0, help="a relative difference to tolerate")
    parser.add_argument("--atol", type=float, default=0.0, help="an absolute difference to tolerate")
    parser.add_argument("--time-budget", metavar="SECONDS", type=float, default=np.inf, help="for each function")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the inputs that are drawn")
    parser.add_argument("--json", metavar="FILE", help="write the reports as JSON; - prints them in place of the text")
    parser.add_argument("--junit", metavar="FILE", help="write the reports as JUnit XML, which CI systems show")


def run(args: argparse.Namespace) -> int:
    """Check, print the reports, and return the exit status."""
    results = []
    _part(args)
    check_files(args.json, args.junit)
    with redirect_stdout(sys.stderr) if args.json == "-" else nullcontext():  # what the functions print is not JSON
        for target in args.targets:
            for result in _results(target, args):
                results.append(result)
                if result.report is None:
                    print(f"error: {result.target}: {result.text}", file=sys.stderr)
                elif args.json != "-":
                    print(_coloured(result.text) if sys.stdout.isatty() else result.text)
    for file, text in ((args.json, as_json), (args.junit, as_junit)):
        if file:
            write(file, text(results))
    outcomes = [result.outcome for result in results]
    if len(results) > 1 and args.json != "-":
        tally = ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in STATUS if outcome in outcomes)
        print(f"{len(results)} functions: {tally}")
    return next(STATUS[outcome] for outcome in STATUS if outcome in outcomes)


def _part(args: argparse.Namespace) -> None:
    """Take the targets that follow `--shapes` out of the shapes."""
    named = [text for text in args.shapes or () if ":" in text or text.endswith(".py")]
    if not (named or args.targets):
        named = [text for text in args.shapes or () if text[:1].isalpha()]
    args.targets += named
    args.shapes = args.shapes and [text for text in args.shapes if text not in named]
    if not args.targets:
        raise UsageError("say which function to check: package.module:function, or file.py:function")


def _results(target: str, args: argparse.Namespace) -> Iterator[Result]:
    """The result for each function of a target."""
    path, _, name = target.partition(":")
    try:
        module = _module(path)
        names = [name] if name else functions_in(inspect.getsource(module))
        if not names:
            raise InputError(f"no function has inputs there: define FUNCTION_inputs, or write {path}:FUNCTION")
    except (Exception, SystemExit) as error:
        yield Result(target, error=error)
        return
    for name in names:
        start = perf_counter()
        try:
            fields: dict[str, Any] = {"report": _report(module, name, args)}
        except (Exception, SystemExit) as error:
            fields = {"error": error}
        yield Result(f"{path}:{name}", perf_counter() - start, **fields)


def _report(module: Any, name: str, args: argparse.Namespace) -> Report:
    f = attribute(module, name)
    if args.shapes:
        rng = np.random.default_rng(args.seed)
        inputs = tuple(rng.normal(size=_shape(text)) for text in args.shapes)
    else:
        inputs = inputs_of(module, name, args.inputs)
    gradient = gradient_of(module, name, args.gradient)
    settings = {name: getattr(args, name) for name in ("order", "method", "rtol", "atol", "time_budget")}
    wrt = [int(place) if place.lstrip("-").isdigit() else place for place in args.wrt.split(",")] if args.wrt else None
    return gradcheck(f, *inputs, gradient=gradient, wrt=wrt, raise_exception=False, **settings)


def _module(path: str) -> Any:
    if path.endswith(".py"):
        return _module_of_file(Path(path).resolve())
    try:
        return import_module(path)
    except ModuleNotFoundError as error:
        way = f"run this where `import {path}` works, and write package.module:function"
        raise InputError(f"no module {error.name!r}: {way}") from None


def _module_of_file(file: Path) -> Any:
    """The module of a file, as part of its package if it has one, whatever other module has its name."""
    if not file.is_file():
        raise InputError(f"there is no {file}")
    home = next(parent for parent in file.parents if not (parent / "__init__.py").exists())
    name = ".".join(file.relative_to(home).with_suffix("").parts)
    sys.path.insert(0, str(home))
    module: Any = import_module(name)
    if getattr(module, "__file__", None) != str(file):
        spec: Any = spec_from_file_location(name, file)
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def _shape(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(size) for size in text.strip("()").split(",") if size.strip())
    except ValueError:
        raise InputError(f'a shape is given as 3,2 or 4 or "()", got {text!r}') from None


def _coloured(text: str) -> str:
    """The report with its marks in bold and blue, which people can tell apart without seeing red and green."""
    lines = [line.replace("where:", "\033[34mwhere:\033[0m") for line in text.splitlines()]
    return "\n".join(f"\033[1m{line}\033[0m" if line.startswith(("gradcheck", "  ✗")) else line for line in lines)
