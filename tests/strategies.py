"""Inputs for operations, out of what their declarations say: shapes, domains, kinks and parameters."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_lite.ops.op import Op
from tinygrad_lite.ops.registry import operations

AXIS = st.one_of(st.none(), st.integers(-3, 2), st.lists(st.integers(-3, 2), max_size=3, unique=True).map(tuple))
"""Any axis; those that do not fit are refused by NumPy, and drawn again."""


@dataclass
class Call:
    """An operation's arguments."""

    op: Op
    arrays: list[Any]
    params: dict[str, Any]

    @property
    def differentiable(self) -> list[int]:
        """The positions of the arguments that have a derivative."""
        return [i for i in range(len(self.arrays)) if self.op.arity is None or self.op.vjps[i] is not None]

    def value(self, *arrays: Any) -> Any:
        return self.op(*arrays, **self.params)


@st.composite
def calls(draw: st.DrawFn, op: Op, dtype: Any = np.float64) -> Call:
    """Arguments inside an operation's domain and away from its kinks."""
    shapes, params = draw(st.one_of(_sources(op)))
    arrays = [
        draw(values(given, _interval(op, i), dtype)) if isinstance(given, tuple) else _typed(given, dtype)
        for i, given in enumerate(shapes)
    ]
    if op.kink is not None:
        distance = op.kink(*arrays, **params)
        assume(np.size(distance) == 0 or np.min(np.abs(distance)) > 0.05)
    return Call(op, arrays, dict(params))


def _typed(array: Any, dtype: Any) -> Any:
    return array.astype(dtype) if array.dtype.kind == "f" else array


def values(shape: tuple[int, ...], interval: tuple[float, float], dtype: Any = np.float64) -> st.SearchStrategy[Any]:
    """Arrays of moderate numbers, well inside an interval, in no simple relation to each other."""
    low, high = interval
    low, high = max(low, min(-3.0, high - 3.0)), min(high, max(3.0, low + 3.0))
    margin = 0.05 * (high - low)
    seeds = st.integers(0, 2**32 - 1)
    return seeds.map(
        lambda seed: np.random.default_rng(seed).uniform(low + margin, high - margin, shape).astype(dtype)[()]
    )


def cotangents(y: Any) -> st.SearchStrategy[Any]:
    """Upstream gradients for a result, never all ones."""
    return values(np.shape(y), (-np.inf, np.inf), y.dtype)


def _interval(op: Op, i: int) -> tuple[float, float]:
    return (-np.inf, np.inf) if op.domain is None else op.domain[i]


def _sources(op: Op) -> list[st.SearchStrategy[Any]]:
    """Where shapes and parameters come from: the declaration's examples, and whatever fits beside these."""
    sources = [st.sampled_from(list(op.examples))] if op.examples else []
    parameters = dict(op.examples[0][1]) if op.examples else {}
    if op.derivatives:  # entry by entry: any shapes that broadcast
        broadcast = hnp.mutually_broadcastable_shapes(num_shapes=op.arity, max_dims=3, max_side=3, min_side=0)
        sources.append(broadcast.map(lambda drawn: (drawn.input_shapes, parameters)))
    if op.vjps and op.arity == 1 and {"axis", "keepdims"} <= op.keywords:  # reductions: any shape and axis
        reductions = st.tuples(hnp.array_shapes(min_dims=0, max_side=3), AXIS, st.booleans()).map(_reduction)
        sources.append(reductions.map(lambda drawn: (drawn[0], parameters | drawn[1])))
    return sources or [st.just(([(2, 3)] * (op.arity or 2), {}))]


def _reduction(drawn: tuple[tuple[int, ...], Any, bool]) -> Any:
    shape, axis, keepdims = drawn
    try:
        np.mean(np.ones(shape), axis=axis)
    except ValueError:
        axis = None
    return [shape], {"axis": axis, "keepdims": keepdims}


@dataclass
class Program:
    """A straight-line program of operations on a few leaves; each step's value may be used by any later one."""

    leaves: list[Any]
    steps: list[tuple[Op, tuple[int, ...], dict[str, Any]]]
    scale: float = 1.0

    def run(self, *leaves: Any) -> Any:
        made = list(leaves)
        for op, places, params in self.steps:
            made.append(op(*[made[place] for place in places], **params))
        return made[-1]


_STEPS = [op for op in operations() if op.vjps and (op.arity is None or None not in op.vjps)]


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Random graphs out of the registry's operations, inside their domains and of moderate values."""
    shapes = [(2, 3), (3,), (3, 3), (), (1, 3)]
    program = Program([draw(values(shape, (-np.inf, np.inf))) for shape in shapes], [])
    made = list(program.leaves)
    for _ in range(draw(st.integers(1, 12))):
        op = draw(st.sampled_from(_STEPS))
        count = op.arity or draw(st.integers(1, 3))
        places = tuple(draw(st.integers(0, len(made) - 1)) for _ in range(count))
        params = dict(draw(st.sampled_from(list(op.examples)))[1]) if op.examples else {}
        value = _attempt(op, [made[place] for place in places], params)
        if value is not None:
            made.append(value)
            program.steps.append((op, places, params))
            program.scale = max(program.scale, float(np.max(np.abs(value), initial=0)))
    return program


def _attempt(op: Op, arrays: list[Any], params: dict[str, Any]) -> Any:
    """The value of a step, or None where its arrays do not fit, or lie outside the domain or close to a kink."""
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
    small = np.all(np.isfinite(value)) and np.max(np.abs(value), initial=0) < 50
    return value if small and distance > 0.2 else None
