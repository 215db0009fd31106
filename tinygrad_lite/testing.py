"""Hypothesis strategies for tests of differentiable functions; needs the extra `testing`.

The inputs of operations follow their declarations: shapes, domains, kinks and parameters.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache, wraps
from typing import Any

import numpy as np

from tinygrad_lite.checking import gradcheck
from tinygrad_lite.engine.op import REAL, Op
from tinygrad_lite.engine.registry import operation, operations
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.errors import EmptyError, GradientError, MissingExtraError, UsageError
from tinygrad_lite.readers.recording import Source, calling_line

try:
    from hypothesis import assume, given, reject, settings
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as hnp
except ImportError:
    raise MissingExtraError("tinygrad_lite.testing", "Hypothesis", "testing") from None

Shape = tuple[int, ...]
Interval = tuple[float, float]

_AXIS = st.one_of(st.none(), st.integers(-3, 2), st.lists(st.integers(-3, 2), max_size=3, unique=True).map(tuple))
_DIGITS = (1, 2, 15, 15, 15)
_DRAWN = st.integers(0, len(_DIGITS) * 2**32 - 1)
"""The source of numbers: a seed, and their number of digits, so that a failing example shrinks to few digits.

Both are in one number, since drawing takes longer than using it.
"""


def values(shape: Shape, interval: Interval = REAL, dtype: Any = np.float64) -> st.SearchStrategy[Any]:
    """Arrays of moderate numbers well inside an interval, without simple relations to each other.

    Example:
        >>> from hypothesis import given
        >>> from tinygrad_lite import testing
        >>> @given(testing.values((2,), (0.0, 1.0)))
        ... def test_root(x):
        ...     assert np.all(np.sqrt(x) > x)
        >>> test_root()
    """
    return _values(shape, interval, np.dtype(dtype))


@lru_cache(maxsize=10_000)  # making a strategy takes longer than making an array
def _values(shape: Shape, interval: Interval, dtype: "np.dtype[Any]") -> st.SearchStrategy[Any]:
    return _DRAWN.map(lambda drawn: _numbers(drawn, shape, interval, dtype))


def _numbers(drawn: int, shape: Shape, interval: Interval = REAL, dtype: Any = np.float64) -> Any:
    low, high = interval
    low, high = max(low, min(-3.0, high - 3.0)), min(high, max(3.0, low + 3.0))
    margin = 0.05 * (high - low)
    seed, kind = divmod(drawn, len(_DIGITS))
    numbers = np.random.default_rng(seed).uniform(low + margin, high - margin, shape)
    return np.round(numbers, _DIGITS[kind]).astype(dtype)[()]


@st.composite
def tensors(
    draw: st.DrawFn,
    shape: Shape | st.SearchStrategy[Shape] | None = None,
    interval: Interval = REAL,
    dtype: Any = np.float64,
    requires_grad: bool = True,
) -> Tensor:
    """Tensors of a shape, or of any small shape, with moderate numbers inside an interval.

    Example:
        >>> from hypothesis import given
        >>> from tinygrad_lite import testing
        >>> @given(testing.tensors((2, 3)))
        ... def test_sum(x):
        ...     x.sum().backward()
        ...     assert np.all(x.grad == 1)
        >>> test_sum()
    """
    if shape is None:
        shape = hnp.array_shapes(min_dims=0, max_dims=3, max_side=4)
    sizes = draw(shape) if isinstance(shape, st.SearchStrategy) else shape
    return tensor(_numbers(draw(_DRAWN), sizes, interval, dtype), requires_grad)


def broadcastable_shapes(count: int, min_side: int = 0) -> st.SearchStrategy[tuple[Shape, ...]]:
    """A number of shapes that broadcast against each other, including empty ones and those of numbers.

    Example:
        >>> from hypothesis import given
        >>> from tinygrad_lite import testing
        >>> @given(testing.broadcastable_shapes(2))
        ... def test_product(shapes):
        ...     a, b = map(np.ones, shapes)
        ...     assert (a * b).shape == np.broadcast_shapes(*shapes)
        >>> test_product()
    """
    shapes = hnp.mutually_broadcastable_shapes(num_shapes=count, max_dims=3, max_side=3, min_side=min_side)
    return shapes.map(lambda drawn: drawn.input_shapes)


@dataclass
class Call:
    """An operation, with the arrays and parameters to call it with."""

    op: Op
    arrays: list[Any]
    params: dict[str, Any]

    @property
    def differentiable(self) -> list[int]:
        """The positions of the arguments that have a derivative."""
        return [i for i in range(len(self.arrays)) if self.op.arity is None or self.op.vjps[i] is not None]

    def value(self, *arrays: Any) -> Any:
        """The operation's value for these arrays."""
        return self.op(*arrays, **self.params)

    def function(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """The operation as a function of the differentiable arguments, and those arguments.

        Of a complex result, the function returns the real parts and the imaginary parts.
        """

        def f(*variables: Any) -> Any:
            replaced = dict(zip(self.differentiable, variables))
            y = self.value(*[replaced.get(i, x) for i, x in enumerate(self.arrays)])
            return np.stack([np.real(y), np.imag(y)]) if y.dtype.kind == "c" else y

        f.__name__ = self.op.name
        return f, tuple(self.arrays[i] for i in self.differentiable)


@st.composite
def inputs_of(draw: st.DrawFn, op: Op | str, dtype: Any = np.float64) -> Call:
    """Arguments of an operation (or of its name), inside its domain and away from its kinks.

    Example:
        >>> from hypothesis import given
        >>> from tinygrad_lite import testing
        >>> @given(testing.inputs_of("log"))
        ... def test_log(call):
        ...     assert np.all(call.arrays[0] > 0)
        >>> test_log()
    """
    op = operation(op) if isinstance(op, str) else op
    shapes, params = draw(_sources(op))
    arrays = [
        _numbers(draw(_DRAWN), template, _interval(op, i), dtype)
        if isinstance(template, tuple)
        else _typed(template, dtype)
        for i, template in enumerate(shapes)
    ]
    if op.kink is not None:
        try:
            with np.errstate(all="ignore"):
                distance = op.kink(*(_filled(x) if op.derivatives else x for x in arrays), **params)
        except np.linalg.LinAlgError:  # for a singular matrix
            reject()
        assume(np.size(distance) == 0 or np.min(np.abs(distance)) > 0.05)
    return Call(op, arrays, dict(params))


def _filled(array: Any) -> Any:
    """An empty array with ones along its empty axes: beside an empty array, nothing shows that a divisor is 0."""
    return array if np.size(array) else np.ones([size or 1 for size in array.shape])


def _typed(array: Any, dtype: Any) -> Any:
    return array.astype(dtype) if array.dtype.kind == "f" else array


def cotangents(y: Any) -> st.SearchStrategy[Any]:
    """Upstream gradients for a result, in its shape and dtype, never all ones.

    Example:
        >>> from hypothesis import given
        >>> from tinygrad_lite import testing
        >>> @given(testing.cotangents(np.zeros((2, 3))))
        ... def test_shape(g):
        ...     assert g.shape == (2, 3)
        >>> test_shape()
    """
    return values(np.shape(y), REAL, y.dtype)


def _interval(op: Op, i: int) -> Interval:
    return REAL if op.domain is None else op.domain[i]


@cache
def _sources(op: Op) -> st.SearchStrategy[Any]:
    """Shapes and parameters: the examples in the declaration, and others like them."""
    sources = [st.sampled_from(list(op.examples))] if op.examples else []
    parameters = dict(op.examples[0][1]) if op.examples else {}
    if op.derivatives and op.arity:  # entry by entry: any shapes that broadcast
        sources.append(broadcastable_shapes(op.arity).map(lambda shapes: (shapes, parameters)))
    if op.vjps and op.arity == 1 and {"axis", "keepdims"} <= op.keywords:  # reductions: any shape and axis
        reductions = st.tuples(hnp.array_shapes(min_dims=0, max_side=3), _AXIS, st.booleans()).map(_reduction)
        sources.append(reductions.map(lambda drawn: (drawn[0], parameters | drawn[1])))
    return st.one_of(sources or [st.just(([(2, 3)] * (op.arity or 2), {}))])


def _reduction(drawn: tuple[Shape, Any, bool]) -> Any:
    shape, axis, keepdims = drawn
    try:
        np.mean(np.ones(shape), axis=axis)
    except ValueError:
        axis = None
    return [shape], {"axis": axis, "keepdims": keepdims}


@dataclass
class Program:
    """A straight-line program of operations on a few leaves; any later step may use a step's value.

    Attributes:
        steps: each operation, with the positions of its arguments among leaves and earlier values, and its parameters.
        scale: the largest number on the way.
    """

    leaves: list[Any]
    steps: list[tuple[Op, tuple[int, ...], dict[str, Any]]]
    scale: float = 1.0

    def run(self, *leaves: Any) -> Any:
        """The last value, for these leaves."""
        made = list(leaves)
        for op, positions, params in self.steps:
            made.append(op(*[made[position] for position in positions], **params))
        return made[-1]


@st.composite
def programs(draw: st.DrawFn, max_steps: int = 12, clear: float = 0.2) -> Program:
    """Random graphs of the registry's operations, inside their domains and with moderate values.

    Args:
        clear: the distance from any kink, by the value of its expression.

    Example:
        >>> from hypothesis import given
        >>> from tinygrad_lite import testing
        >>> @given(testing.programs(max_steps=3))
        ... def test_values(program):
        ...     assert np.all(np.isfinite(program.run(*program.leaves)))
        >>> test_values()
    """
    program = Program([_numbers(draw(_DRAWN), shape) for shape in ((2, 3), (3,), (3, 3), (), (1, 3))], [])
    made = list(program.leaves)
    choices = [op for op in operations() if op.vjps and (op.arity is None or None not in op.vjps)]
    for _ in range(draw(st.integers(1, max_steps))):
        op = draw(st.sampled_from(choices))
        shapes, params = draw(st.sampled_from(list(op.examples))) if op.examples else ([()] * (op.arity or 2), {})
        positions = tuple(draw(st.integers(0, len(made) - 1)) for _ in shapes)
        if any(isinstance(shape, np.ndarray) for shape in shapes):
            continue  # the values matter
        value = _attempt(op, [made[position] for position in positions], params, clear)
        if value is not None:
            made.append(value)
            program.steps.append((op, positions, dict(params)))
            program.scale = max(program.scale, float(np.max(np.abs(value), initial=0)))
    return program


def _attempt(op: Op, arrays: list[Any], params: Mapping[str, Any], clear: float) -> Any:
    """The value of a step; None if its arrays do not fit, lie outside the domain or near a kink, or make it complex."""
    for i, x in enumerate(arrays):
        low, high = _interval(op, i)
        if np.any(x < low + 0.2) or np.any(x > high - 0.2):
            return None
    try:
        with np.errstate(all="ignore"):
            value = op(*arrays, **params)
            distance = np.inf if op.kink is None else np.min(np.abs(op.kink(*arrays, **params)), initial=np.inf)
    except (ValueError, TypeError, IndexError, AttributeError):
        return None
    small = value.dtype.kind != "c" and np.all(np.isfinite(value)) and np.max(np.abs(value), initial=0) < 50
    return value if small and distance > clear else None


def gradchecked(target: Any = None, *strategies: Any, **options: Any) -> Any:
    """A property test of the gradient of a function or an operation, which shrinks to a small failing input.

    The test draws inputs, checks the gradient there with `tg.gradcheck`, and fails with its diagnosis. For a function,
    pass a strategy for each argument; an operation's inputs come from its declaration. Without a function it is a
    decorator. Options are those of `tg.gradcheck`: `order=2`, `gradient=my_gradient`. An example whose check is
    inconclusive, or whose arrays are empty, is rejected as by `hypothesis.reject()`: if all are, the test fails. An
    example may take any time, unless `@settings` give a deadline.

    Raises:
        UsageError: if there is no strategy for a function's arguments.

    Example:
        >>> import numpy as np
        >>> from tinygrad_lite.testing import gradchecked, tensors
        >>> @gradchecked(tensors((3,)), tensors(()))
        ... def test_energy(x, stiffness):
        ...     return stiffness * np.sum(x**2) / 2
        >>> test_energy()
        >>> gradchecked("tanh")()
    """
    if isinstance(target, st.SearchStrategy):
        return lambda f: gradchecked(f, target, *strategies, **options)
    if isinstance(target, (str, Op)):
        drawn: st.SearchStrategy[Any] = inputs_of(target).map(Call.function)
    elif not callable(target) or not strategies:
        raise UsageError("gradchecked takes an operation, or a function and a strategy for each of its arguments")
    else:
        drawn = st.tuples(st.just(target), st.tuples(*strategies))
    name = re.sub(r"\W", "_", getattr(target, "__name__", f"test_{target}"))
    test = _written_at(calling_line(), lambda checked: _check(checked, options))
    test.__name__, test.__doc__ = name, getattr(target, "__doc__", None)
    return _patient(given(drawn)(test))


def _written_at(line: Source | None, test: Any) -> Any:
    """A function of one line, as if it were the user's: a report names it where no other line is theirs."""
    if line is not None:
        test.__code__ = test.__code__.replace(co_filename=line.file, co_firstlineno=line.line)
    return test


def _check(checked: tuple[Any, tuple[Any, ...]], options: Mapping[str, Any]) -> None:
    __tracebackhide__ = True  # in pytest, which then shows the user's line
    f, arguments = checked
    try:
        report = gradcheck(f, *arguments, **options, raise_exception=False)
    except EmptyError:
        reject()
    if report.outcome == "inconclusive":
        reject()
    if not report.ok:
        inputs = "\n".join(f"  {x!r}" for x in arguments)
        error = GradientError(f"{report}\nat the inputs\n{inputs}")
        error.report = report
        raise error


def _patient(test: Any) -> Any:
    """The test without Hypothesis's own deadline, which `@settings` would bring back."""
    place = "_hypothesis_internal_use_settings"

    @wraps(test)
    def patient(*arguments: Any, **keywords: Any) -> None:
        __tracebackhide__ = True
        chosen = {name: value for name, value in vars(patient).items() if name != "__wrapped__"}  # as by @settings
        if chosen[place].deadline == settings().deadline:
            chosen[place] = settings(chosen[place], deadline=None)
        vars(test).update(chosen)
        test(*arguments, **keywords)

    return patient
