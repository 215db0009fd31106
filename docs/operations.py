"""Writes docs/operations.md: every NumPy function that works on tensors, with its rule as it stands in the code.

    python docs/operations.py [--check]

It copies the rules from the source of the tables in tinygrad_lite/ops. With --check it writes nothing, and the exit
code says whether the page is up to date.
"""

import argparse
import ast
import inspect
import sys
import textwrap
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import scipy.special  # so that the registry reads its table, too

import tinygrad_lite as tg
from tinygrad_lite.engine import op as declarations
from tinygrad_lite.engine import registry
from tinygrad_lite.foundation import signatures

PAGE = Path(__file__).with_name("operations.md")
ORDER = [
    "elementwise",
    "reductions",
    "variances",
    "extrema",
    "running",
    "statistics",
    "ordering",
    "selection",
    "grouping",
    "products",
    "contraction",
    "curves",
    "shaping",
    "arranging",
    "joining",
    "casting",
    "filling",
    "padding",
    "windows",
    "indexing",
    "linalg",
    "triangular",
    "exponential",
    "decompositions",
    "eigenvalues",
    "factors",
    "matrix_functions",
    "matrix_equations",
    "least_squares",
    "equal_values",
    "norms",
    "fourier",
    "special",
    "gamma_tail",
    "beta_tail",
    "gamma_functions",
    "normal",
    "activations",
    "attention",
    "convolution",
    "pooling",
    "resampling",
    "losses",
    "ctc",
    "normalization",
    "recurrence",
    "requirements",
]
INTRODUCTION = """\
# Operations

This page lists every NumPy function that works on tensors, with its derivative as it stands in the code.
`python docs/operations.py` writes the page from the tables in [tinygrad_lite/ops](../tinygrad_lite/ops). You can
differentiate each function any number of times, in both modes.

- One expression for each argument is ∂y/∂x, entry by entry, in terms of the value `y` and the arguments.
- An expression with a `g` is the vector-Jacobian product, where `g` is the upstream gradient of `y`. If a rule has a
  name, it is printed below its table.
- "Composed": the function is made of other operations on this page, and gets its derivatives from them.
- "Answers": the function passes no gradient.

The keywords listed work on tensors; any other is an error. Written with NumPy {numpy}.
"""


@cache
def tree_of(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def source_of(function: Callable[..., Any]) -> str:
    """The expression of a lambda, or the name of a function."""
    function = inspect.unwrap(function)
    if function.__name__ != "<lambda>":
        return function.__name__
    places = [(place[0], place[2]) for place in function.__code__.co_positions() if place[2]]
    for node in ast.walk(tree_of(sys.modules[function.__module__])):
        if isinstance(node, ast.Lambda) and (node.body.lineno, node.body.col_offset) == min(places):
            return ast.unparse(node.body)
    raise LookupError(f"no source for a rule in {function.__module__}, line {function.__code__.co_firstlineno}")


def code(text: str) -> str:
    return "`" + " ".join(text.split()).replace("|", "\\|") + "`"


def rules_of(op: declarations.Op) -> list[Any]:
    if isinstance(op.vjps, declarations.ForEach):
        return [op.vjps.rule]
    return list(op.derivatives or op.vjps)


def rule_cell(op: declarations.Op) -> str:
    if not op.vjps:
        return "answers"
    cells = []
    for rule in rules_of(op):
        if rule is None:
            cells.append("none")
        elif callable(rule):
            cells.append(code(source_of(rule)))
        else:
            cells.append(code(str(rule)))
    text = "; ".join([cell for cell, _ in groupby(cells)] if len(cells) > 2 else cells)
    common = [f"{code(name)} is {code(source_of(expression))}" for name, expression in in_common(op).items()]
    return f"{text}, where {' and '.join(common)}" if common else text


def in_common(op: declarations.Op) -> dict[str, Any]:
    """The shared expression and the adjoint, each by the name of the parameter that takes it after the arrays."""
    function, before = (op.vjps[0], 2) if op.adjoint else (op.forward, 0)
    expressions = list(filter(None, (op.shared, op.adjoint)))
    parameters = list(inspect.signature(inspect.unwrap(function)).parameters) if expressions else []
    return dict(zip(parameters[before + (op.arity or 0) :], expressions))


def composition_cell(function: Callable[..., Any]) -> str:
    documentation = inspect.getdoc(function)
    if documentation:
        return "composed: " + documentation.split("\n\n")[0].replace("\n", " ")
    if function.__name__ == "<lambda>":
        return "composed: " + code(source_of(function))
    definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(definition, ast.FunctionDef)
    last = definition.body[-1]
    return "composed: " + code(ast.unparse(last).removeprefix("return ")) if len(definition.body) <= 2 else "composed"


def path_of(function: Any) -> str | None:
    """The path by which a user calls a function of NumPy or SciPy; None for our own."""
    path = signatures.path_of(function)
    return path if path.startswith(("np.", "scipy.")) and "<" not in path else None


def tables() -> list[ModuleType]:
    """The modules that declare operations, in the order of the page."""
    prefix = "tinygrad_lite.ops."
    others = (f"{prefix}continuations.", f"{prefix}batching.")
    names = [name for name in sys.modules if name.startswith(prefix) and not name.startswith(others)]
    modules = {name.rpartition(".")[2]: sys.modules[name] for name in names}
    return [modules[name] for name in ORDER]


def home_of(answer: Any) -> ModuleType:
    """The table that declares an operation or a composition."""
    home = answer.module if isinstance(answer, declarations.Op) else answer.__module__
    return tables()[0] if home.startswith("tinygrad_lite.engine.") else sys.modules[home]  # np.positive


def refuses(function: Callable[..., Any]) -> bool:
    """Whether a function raises an error and does nothing else."""
    return all(word not in inspect.getsource(function) for word in ("return ", "lambda"))


def keywords_of(answer: Any) -> list[str]:
    if isinstance(answer, declarations.Op):
        return sorted(answer.keywords)
    parameters = inspect.signature(answer).parameters.values()
    return [p.name for p in parameters if p.default is not p.empty and p.name != "out"]


def page() -> str:
    functions: dict[Any, list[str]] = defaultdict(list)
    for function, answer in registry.ANSWERS.items():
        path = path_of(function)
        functions[inspect.unwrap(answer)] += [path] if path else []
    for operation in registry.operations():
        functions.setdefault(operation, [])
    by_home: dict[ModuleType, list[Any]] = defaultdict(list)
    for answer in functions:
        by_home[home_of(answer)].append(answer)
    if missing := [
        home.__name__ for home in by_home.keys() - {*tables()} if home.__name__.startswith("tinygrad_lite.ops.")
    ]:
        raise SystemExit(f"{', '.join(missing)} declares operations, and has no place in ORDER")
    introduction = INTRODUCTION.format(numpy=".".join(np.__version__.split(".")[:2]))
    return "\n".join([introduction, *(section(home, by_home[home], functions) for home in tables() if home in by_home)])


def section(module: ModuleType, answers: list[Any], functions: dict[Any, list[str]]) -> str:
    file = module.__name__.removeprefix("tinygrad_lite.ops.").replace(".", "/") + ".py"
    title = (module.__doc__ or "").split("\n")[0].rstrip(".")
    rows, named = [], {}
    for answer in answers:
        if inspect.isfunction(answer) and refuses(answer):
            continue
        is_operation = isinstance(answer, declarations.Op)
        names = list(dict.fromkeys(functions[answer])) or ([answer.name] if is_operation else [])
        if not names:
            continue
        cell = rule_cell(answer) if is_operation else composition_cell(answer)
        keywords = ", ".join(keywords_of(answer))
        rows.append(f"| {', '.join(map(code, names))} | {keywords} | {cell} |")
        if is_operation:
            rules = [*rules_of(answer), answer.shared, answer.adjoint]
            rules = [rule for rule in rules if callable(rule) and rule.__name__ != "<lambda>"]
            named.update({rule.__name__: textwrap.dedent(inspect.getsource(rule)).rstrip() for rule in rules})
    parts = [f"## {title}", "", f"[{file}](../tinygrad_lite/ops/{file})", ""]
    parts += ["| function | keywords | derivative |", "|---|---|---|", *rows, ""]
    if named:
        parts += ["```py", "\n\n\n".join(named.values()), "```", ""]
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare the page instead of writing it")
    try:
        registry.answer_to(scipy.special.erf)
    except tg.errors.UsageError:
        raise SystemExit("the registry did not read the table of scipy.special") from None
    text = page()
    if not parser.parse_args().check:
        PAGE.write_text(text)
    elif PAGE.read_text() != text:
        raise SystemExit(f"{PAGE.name} is out of date: run python docs/operations.py")


if __name__ == "__main__":
    main()
