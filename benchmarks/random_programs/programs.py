"""Random programs: a few calls, each on the values of earlier ones, of everything that has an answer on tensors."""

import operator
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

import numpy as np
import scipy.special

from benchmarks.random_programs.arguments import FUNCTIONS, Draw, Place, arguments
from benchmarks.random_programs.inputs import odd_array
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import ANSWERS, answer_to, functions_of, operation, operations
from tinygrad_lite.foundation.signatures import path_of

WRITING = {f"np.{name}" for name in ("put", "place", "putmask", "put_along_axis", "copyto", "fill_diagonal")}
OTHERANSWERS = {
    *("np.array2string", "np.array_repr", "np.array_str", "np.ix_", "np.einsum_path", "np.empty_like"),
    *("np.shares_memory", "np.may_share_memory"),
}
"""Functions of text, of index grids and of memory, and one whose entries are any; none says anything of values."""
OPERATORS = ["add", "sub", "mul", "truediv", "pow", "neg", "matmul", "floordiv", "mod", "abs", "lt", "getitem"]
METHODS = (
    *("sum", "mean", "var", "std", "max", "min", "prod", "cumsum", "cumprod", "take", "repeat", "diagonal", "trace"),
    *("dot", "ravel", "swapaxes", "squeeze", "round", "clip", "argmax", "argsort", "reshape", "astype", "compress"),
    *("flatten", "transpose", "copy", "any", "all", "nonzero"),
)
INTERNAL = {
    *("used", "marks", "vanishing", "equal_pairs", "cuts_off", "bases", "refuse_where", "stop_gradient", "positive"),
    *("linspace_step", "composed", "negative_log_likelihood", "cross_entropy", "ctc"),
    *("convolution", "kernel_correlation", "transposed_convolution"),
}
"""Operations that others are made of, or that functions hand on to which check what they are given."""


@dataclass(frozen=True)
class Step:
    """A call: of a function by its path, of an operation of ours by its name, or of a method."""

    path: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    results: int = 1
    is_sequence: bool = False

    def run(self, values: list[Any], finer: bool = False) -> Any:
        """What the call returns; asked to be finer, real dtypes that it names are taken to be float64."""
        args = [_filled(x, values, finer) for x in self.args]
        kwargs = {name: _filled(x, values, finer) for name, x in self.kwargs.items()}
        if self.path.startswith("."):
            return getattr(args[0], self.path[1:])(*args[1:], **kwargs)
        return functions()[self.path](*args, **kwargs)

    @property
    def dtypes(self) -> list[Any]:
        """The real dtypes that it names."""
        arguments = [*self.args, *self.kwargs.values()]
        return [x for x in arguments if isinstance(x, np.dtype) and x.kind == "f"]

    @property
    def places(self) -> set[int]:
        """The values that it is given."""
        return set(_places([*self.args, *self.kwargs.values()]))


def _filled(x: Any, values: list[Any], finer: bool) -> Any:
    if isinstance(x, Place):
        return values[x.number]
    if isinstance(x, (list, tuple)):
        return type(x)(_filled(part, values, finer) for part in x)
    if finer and isinstance(x, np.dtype) and x.kind == "f":
        return np.dtype(float)
    return FUNCTIONS.get(x, x) if isinstance(x, str) else x


def _places(x: Any) -> list[int]:
    if isinstance(x, Place):
        return [x.number]
    return [place for part in x for place in _places(part)] if isinstance(x, (list, tuple)) else []


@dataclass
class Program:
    """Leaves, some of them variables, and calls; with NumPy's own values, warnings, and the error that ended it."""

    leaves: list[Any]
    variables: list[int]
    tensors: list[int]
    steps: list[Step] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    error: Exception | None = None

    def run(self, leaves: list[Any], finer: bool = False, count: int | None = None) -> list[Any]:
        """Leaves and the values of all steps, or of the first few."""
        values = list(leaves)
        for step in self.steps[:count]:
            result = step.run(values, finer)
            values += result if step.is_sequence else [result]
        return values


def parts(result: Any) -> list[Any]:
    """The values of a call that may return several."""
    return list(result) if isinstance(result, (tuple, list)) else [result]


@cache
def functions() -> dict[str, Callable[..., Any]]:
    """Everything that has an answer on tensors, by how one writes it."""
    answer_to(scipy.special.erf)
    by_path: dict[str, Callable[..., Any]] = {}
    for function in ANSWERS:
        path = path_of(function) if callable(function) else ""
        writes = path in WRITING or path.endswith((".at", ".reduceat"))  # refused, the latter beside the former
        complex_ones = path.startswith("np.fft.") and not path.endswith("shift")  # which most of what follows refuses
        if path.startswith(("np.", "scipy.special.")) and not (writes or complex_ones) and path not in OTHERANSWERS:
            by_path[path] = function
    by_path |= {f"operator.{name}": getattr(operator, name) for name in OPERATORS}
    for op in operations():
        # of other rooms than the tables, earlier imports decide which operations are known
        if (
            op.vjps
            and op.name not in INTERNAL
            and not any(path_of(function).startswith(("np.", "scipy.")) for function in functions_of(op))
            and op.module.startswith("tinygrad_lite.ops.")
        ):
            by_path[f'operation("{op.name}")'] = op
    return dict(sorted(by_path.items()))  # the registry's order depends on what was imported first


@cache
def paths() -> tuple[list[str], list[float]]:
    """What is called, and how often: SciPy's long list, and what carries no gradient, less often."""
    listed = [*functions(), *(f".{name}" for name in METHODS)]
    weights = [0.25 if path.startswith("scipy") else 3.0 if path.startswith("operator.") else 1.0 for path in listed]
    answers = [isinstance(answer := ANSWERS.get(functions().get(path)), Op) and not answer.vjps for path in listed]
    return listed, [0.3 * weight if answers[i] else weight for i, weight in enumerate(weights)]


def draw_program(random: Random, max_steps: int = 6) -> Program:
    """A program, run in NumPy while it is drawn; a call that NumPy refuses is mostly drawn again, and else the last."""
    with np.errstate(all="ignore"):
        leaves = [odd_array(random, i == 0) for i in range(random.randint(1, 3))]
    real = [i for i, x in enumerate(leaves) if x.dtype.kind == "f"]
    variables = [i for i in real if random.random() < 0.8] or real[:1]
    tensors = [i for i in range(len(leaves)) if i in variables or random.random() < 0.3]
    program = Program(leaves, variables, tensors, values=list(leaves))
    traced = set(tensors)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(random.randint(1, max_steps)):
            if program.error is not None or not tensors:
                break
            for _attempt in range(12):
                step = draw_step(random, program.values)
                if not step.places & traced or cannot_tell(step, program.values):
                    continue
                before = len(caught)
                try:
                    result = step.run(program.values)
                except Exception as error:
                    if random.random() < 0.04:
                        program.steps.append(step)
                        program.error = error
                        break
                    del caught[before:]
                    continue
                made = parts(result)
                if not all(isinstance(x, (np.ndarray, np.generic, bool, int, float, tuple)) for x in made) or any(
                    np.size(x) > 300 or getattr(x, "dtype", np.dtype(float)).kind not in "fiub" for x in made
                ):
                    del caught[before:]
                    continue
                traced |= set(range(len(program.values), len(program.values) + len(made)))
                program.steps.append(
                    Step(step.path, step.args, step.kwargs, len(made), isinstance(result, (tuple, list)))
                )
                program.values += made
                break
    program.warnings = [str(w.message) for w in caught]
    return program


def cannot_tell(step: Step, values: list[Any]) -> bool:
    """Whether NumPy or SciPy itself may not return, or reads memory that nobody wrote.

    LAPACK's singular vectors of infinities, and Kummer's function of them, may do the former, as does a polynomial of a
    huge degree, and einsum of no entries the latter.
    """
    if "einsum" in step.path and any(np.size(values[place]) == 0 for place in step.places):
        return True
    at_risk = ("linalg.svd", "linalg.pinv", "linalg.lstsq", "linalg.cond", "polyfit", "hyp1f1", "hyp2f1")
    largest = (np.max(np.abs(np.asarray(values[place], float)), initial=0) for place in step.places)
    is_at_risk = step.path.endswith(at_risk) or step.path.startswith("scipy.special.eval_")
    return is_at_risk and not all(size < 1e4 for size in largest)


def draw_step(random: Random, values: list[Any]) -> Step:
    """A call with arguments that mostly fit."""
    listed, weights = paths()
    path = random.choices(listed, weights)[0]
    draw = Draw(random, values)
    if path.startswith("operation("):
        return _call_of_operation(draw, path)
    if path.startswith("operator."):
        return _call_of_operator(draw, path)
    if path.startswith("."):
        function = getattr(np, {".flatten": "ravel"}.get(path, path[1:]))
        args, kwargs = arguments(draw, "np." + function.__name__, function)
        names = {"copy", "subok"} if path in (".astype", ".flatten", ".copy") else {"copy"}
        if path == ".compress":
            args = [args[1], args[0], *args[2:]] if len(args) > 1 else args
        return Step(path, tuple(args), {name: x for name, x in kwargs.items() if name not in names})
    args, kwargs = arguments(draw, path, functions()[path])
    return Step(path, tuple(args), kwargs)


def _call_of_operator(draw: Draw, path: str) -> Step:
    name = path.removeprefix("operator.")
    if name in ("neg", "abs"):
        return Step(path, (draw.array(),), {})
    if name == "getitem":
        return Step(path, (draw.array(lambda x: np.ndim(x) > 0), draw.index()), {})
    first, second = draw.array(), draw.beside()
    return Step(path, draw.one_of((first, second), (second, first)), {})


def _call_of_operation(draw: Draw, path: str) -> Step:
    """An example of the declaration's, mostly with values of the program for its arrays."""
    op = operation(path.split('"')[1])
    shapes, params = draw.random.choice(list(op.examples)) if op.examples else ([()] * (op.arity or 2), {})
    args = [
        x
        if isinstance(x, np.ndarray)
        else draw.array(lambda y, x=x: np.shape(y) == tuple(x))
        if op.examples
        else draw.array(draw.broadcasts)
        for x in shapes
    ]
    return Step(path, tuple(args), dict(params))


def sliced(program: Program, end: int | None = None) -> Program:
    """The program without the steps and leaves that its last step does not need."""
    steps = program.steps[:end]
    starts, place = [], len(program.leaves)
    for step in steps:
        starts.append(place)
        place += step.results if not (program.error and step is program.steps[-1]) else 0
    needed = set(range(starts[-1], starts[-1] + steps[-1].results))
    kept = []
    for step, start in reversed(list(zip(steps, starts))):
        if step is steps[-1] or needed & set(range(start, start + step.results)):
            kept.insert(0, (step, start))
            needed |= step.places
    leaves = [i for i in range(len(program.leaves)) if i in needed]
    moved = {old: new for new, old in enumerate(leaves)}
    place = len(leaves)
    for step, start in kept:
        for k in range(step.results):
            moved[start + k] = place
            place += 1
    renumbered = [_with_places(step, moved) for step, _ in kept]
    return rerun(
        [program.leaves[i] for i in leaves],
        [moved[i] for i in program.variables if i in moved],
        [moved[i] for i in program.tensors if i in moved],
        renumbered,
    )


def _with_places(step: Step, moved: dict[int, int]) -> Step:
    def renumbered(x: Any) -> Any:
        if isinstance(x, Place):
            return Place(moved[x.number])
        return type(x)(map(renumbered, x)) if isinstance(x, (list, tuple)) else x

    kwargs = {name: renumbered(x) for name, x in step.kwargs.items()}
    return Step(step.path, renumbered(step.args), kwargs, step.results, step.is_sequence)


def rerun(leaves: list[Any], variables: list[int], tensors: list[int], steps: list[Step]) -> Program:
    """A program of these steps, with what NumPy makes of it."""
    program = Program(leaves, variables, tensors, steps)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        program.values = list(leaves)
        for step in steps:
            try:
                program.values += parts(step.run(program.values))
            except Exception as error:
                program.error = error
                break
    program.warnings = [str(w.message) for w in caught]
    return program


def suffix(program: Program, begin: int, end: int) -> Program:
    """Some of the steps, with the values that they need as leaves."""
    count = len(program.leaves) + sum(step.results for step in program.steps[:begin])
    leaves = [np.asarray(x)[()] for x in program.values[:count]]
    variables = [
        i
        for i, x in enumerate(leaves)
        if getattr(x, "dtype", np.dtype(bool)).kind == "f" and (i >= len(program.leaves) or i in program.variables)
    ]
    tensors = sorted({*variables, *(i for i in program.tensors), *range(len(program.leaves), count)})
    return sliced(rerun(leaves, variables, tensors, program.steps[begin:end]))


def as_code(program: Program) -> str:
    """A program as code that runs."""
    names = ", ".join(f"v{i}" for i in program.variables)
    lines = [
        "import operator, warnings, numpy as np, scipy.special, tinygrad_lite as tg",
        "from numpy import array, float16, float32, float64, longdouble, nan, inf, dtype",
        "from tinygrad_lite.engine.registry import answer_to, operation; answer_to(scipy.special.erf)",
        *[f"v{i} = {shown(x)}" for i, x in enumerate(program.leaves)],
        *[f"v{i} = tg.tensor(v{i})" for i in program.tensors if i not in program.variables],
        f"def f({names}):",
    ]
    place = len(program.leaves)
    for step in program.steps:
        made = ", ".join(f"v{place + k}" for k in range(step.results))
        made += "," if step.is_sequence and step.results == 1 else ""
        lines.append(f"    {made} = {call_as_code(step)}")
        place += step.results
    last = program.steps[-1].results if program.steps else 1
    lines.append(f"    return {', '.join(f'v{place - last + k}' for k in range(last))}")
    lines.append(f"y, pull = tg.vjp(f, {names}); print(y, pull(y))" if names else "f()")
    return "\n".join(lines)


def call_as_code(step: Step) -> str:
    """A call as one writes it."""
    args = [shown(x) for x in step.args]
    kwargs = [f"{name}={shown(x)}" for name, x in step.kwargs.items()]
    if step.path.startswith("."):
        return f"{args[0]}{step.path}({', '.join([*args[1:], *kwargs])})"
    return f"{step.path}({', '.join([*args, *kwargs])})"


def shown(x: Any) -> str:
    """A value in Python."""
    if isinstance(x, Place):
        return f"v{x.number}"
    if isinstance(x, str) and x in FUNCTIONS:
        return {"square": "lambda x: x**2", "negated": "lambda x: -x", "total": "np.sum"}.get(x, f"FUNCTIONS[{x!r}]")
    if isinstance(x, list):
        return f"[{', '.join(map(shown, x))}]"
    if isinstance(x, tuple):
        return f"({''.join(shown(part) + ', ' for part in x)})"
    if isinstance(x, (np.ndarray, np.generic)):
        numbers = [str(n) for n in np.ravel(x)] if x.dtype == np.longdouble else np.ravel(x).tolist()
        array = f"np.array({numbers!r}, {x.dtype.str!r})"
        return (
            f"{array}.reshape({x.shape})"
            if isinstance(x, np.ndarray) and x.ndim != 1
            else array + ("" if np.ndim(x) else "[0]")
        )
    return repr(x)
