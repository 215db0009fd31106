"""Selection and questions: where, comparisons, argmax, and other answers, which carry no gradient."""

from collections.abc import Sequence
from math import inf, prod
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Traced, elementwise, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.foundation.advice import refuse_out
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.ops.requirements import refuse_none, refuse_where
from tinygrad_lite.ops.shapes.indexing import in_range

MANY = 4096
"""From this many entries on, NumPy's branch at each entry takes longer than arithmetic on their bits."""


def chosen(condition: Array, a: Array, b: Array) -> Array:
    """np.where; many entries of one dtype are chosen bit by bit, in a sixth of the time if the choice is irregular.

    Of two numbers that are not whole, Python chooses one in as little.
    """
    if type(condition) in (bool, np.bool_) and type(a) is type(b) and isinstance(a, (float, np.inexact)):
        return np.asarray(a if condition else b)
    like = a if type(a) is np.ndarray else b
    if type(condition) is not np.ndarray or type(like) is not np.ndarray or condition.dtype != bool:
        return np.where(condition, a, b)
    if condition.size < MANY > like.size or like.dtype.char not in "fd" or not like.dtype.isnative:
        return np.where(condition, a, b)
    bits, others = _bits(a, like.dtype), _bits(b, like.dtype)
    shape = _shape_together(condition, a, b)
    if bits is None or others is None or shape is None:
        return np.where(condition, a, b)
    mask = condition.astype(f"i{like.itemsize}")
    out = mask if mask.shape == shape else None
    if type(b) in (int, float) and others == 0:
        return np.multiply(bits, mask, out=out).view(like.dtype)
    np.negative(mask, mask)
    differing = np.bitwise_and(bits ^ others, mask, out=out)
    differing ^= others
    return differing.view(like.dtype)


def _bits(x: Array, dtype: Any) -> Array:
    """The bits, as integers, of an array of this dtype or of a number in it; None for others."""
    if type(x) in (int, float) and not 1e30 < abs(x) < inf:  # which may be too large for it
        x = dtype.type(x)
    is_numpys = isinstance(x, (np.ndarray, np.generic)) and x.dtype == dtype
    return x.view(f"i{dtype.itemsize}") if is_numpys else None


def _shape_together(*arrays: Array) -> tuple[int, ...] | None:
    """The shape that arrays broadcast to; None if they do not."""
    try:
        return np.broadcast(*arrays).shape
    except ValueError:
        return None


# with rules of its own, since a mask times an infinite or undefined gradient would not be zero
where_else = primitive(
    np.where,
    None,
    lambda g, y, condition, a, b: chosen(condition, g, 0),
    lambda g, y, condition, a, b: chosen(condition, 0, g),
    kind="moving",
    chooses="where chose the other branch",
    examples=[([np.array([[True], [False]]), (2, 3), (3,)], {}), ([np.array([True, False]), (), (2,)], {})],
)
where_else.compute = chosen
nonzero = primitive(np.nonzero)


@implements(np.where)
def where(condition: Array, *branches: Array) -> Array:
    if len(branches) not in (0, 2):
        raise UsageError(
            f"where takes a condition and two branches, or a condition alone; got {len(branches)} branch(es)"
        )
    refuse_none("where", branches)
    return where_else(condition, *branches) if branches else nonzero(condition)


@implements(np.select)
def select(condlist: Sequence[Array], choicelist: Sequence[Array], default: Array = 0) -> Array:
    if len(condlist) != len(choicelist) or not len(condlist):
        raise InputError(f"select needs as many choices as conditions, got {len(choicelist)} and {len(condlist)}")
    choicelist = [as_array(x) if isinstance(x, (list, tuple)) else x for x in choicelist]
    chosen = default
    for condition, choice in zip(map(as_array, reversed(condlist)), reversed(choicelist)):
        if condition.dtype != bool:
            raise UsageError(f"select: a condition must hold booleans, got {condition.dtype}")
        chosen = where(condition, choice, chosen)
    return chosen.astype(np.result_type(*choicelist, default))


@implements(np.choose)
def choose(a: Array, choices: Sequence[Array], out: Array = None, mode: str = "raise") -> Array:
    refuse_out("choose", out)
    count = len(choices)
    number = in_range("choose", a, count, mode)
    message = f"choose: numbers must lie in 0 … {count - 1}, got {{}}"
    number = refuse_where(np.logical_or(np.less(number, 0), np.greater_equal(number, count)), number, message=message)
    chosen = choices[0]
    for k in range(1, count):
        chosen = where(number == k, choices[k], chosen)
    return where(number >= 0, chosen, np.zeros_like(chosen)) if count == 1 else chosen


def _apart(a: Array, b: Array) -> Array:
    """The difference: zero where the answer changes, and so does anything that is chosen by the answer."""
    return np.subtract(a, b, dtype=float)


equal = elementwise(np.equal, kink=_apart)
not_equal = elementwise(np.not_equal, kink=_apart)
less = elementwise(np.less, kink=_apart)
less_equal = elementwise(np.less_equal, kink=_apart)
greater = elementwise(np.greater, kink=_apart)
greater_equal = elementwise(np.greater_equal, kink=_apart)

logical_and = elementwise(np.logical_and)
logical_or = elementwise(np.logical_or)
logical_xor = elementwise(np.logical_xor)
logical_not = elementwise(np.logical_not)
_TRUTHS = np.array([True, False])
bitwise_and = elementwise(np.bitwise_and, examples=[([_TRUTHS, _TRUTHS], {})])
bitwise_or = elementwise(np.bitwise_or, examples=[([_TRUTHS, _TRUTHS], {})])
bitwise_xor = elementwise(np.bitwise_xor, examples=[([_TRUTHS, _TRUTHS], {})])
invert = elementwise(np.invert, examples=[([_TRUTHS], {})])

isfinite = elementwise(np.isfinite)
isinf = elementwise(np.isinf)
isnan = elementwise(np.isnan)
signbit = elementwise(np.signbit)
isclose = primitive(np.isclose, arity=2)

all = primitive(np.all)
any = primitive(np.any)
count_nonzero = primitive(np.count_nonzero)
argmax = primitive(np.argmax)
argmin = primitive(np.argmin)
nanargmax = primitive(np.nanargmax, refuses=True)
nanargmin = primitive(np.nanargmin, refuses=True)
flatnonzero = primitive(np.flatnonzero)
argwhere = primitive(np.argwhere)
isin = primitive(np.isin, arity=2)
isposinf = primitive(np.isposinf)
isneginf = primitive(np.isneginf)

allclose = primitive(np.allclose, arity=2)
array_equal = primitive(np.array_equal, arity=2)
array_equiv = primitive(np.array_equiv, arity=2)


_function: Any
for _function in (np.gcd, np.lcm, np.left_shift, np.right_shift):
    elementwise(_function, examples=[([np.array([12, 3]), np.array([2, 1])], {})])
elementwise(np.bitwise_count, examples=[([np.array([12, 3])], {})])
for _function in (np.shares_memory, np.may_share_memory):
    primitive(_function, arity=2, examples=[([(3,), (3,)], {})])
for _function in (np.diag_indices_from, np.tril_indices_from, np.triu_indices_from):
    primitive(_function, examples=[([(3, 3)], {})])
for _function in (np.array2string, np.array_repr, np.array_str, np.min_scalar_type):
    primitive(_function)


@implements(np.unravel_index)
def unravel_index(indices: Array, shape: Any, order: str = "C") -> tuple[Array, ...]:
    return np.unravel_index(np.asarray(indices), shape, order)  # type: ignore[call-overload, no-any-return]


@implements(np.can_cast)
def can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    return np.can_cast(from_.dtype if isinstance(from_, Traced) else from_, to, casting)


def _same(x: Array) -> Array:
    return x


stop_gradient = primitive(_same, name="stop_gradient")


@implements(np.shape)
def shape(a: Array) -> tuple[int, ...]:
    return a.shape  # type: ignore[no-any-return]


@implements(np.ndim)
def ndim(a: Array) -> int:
    return len(a.shape)


@implements(np.size)
def size(a: Array, axis: Any = None) -> int:
    if axis is None:
        return a.size  # type: ignore[no-any-return]
    return prod(a.shape[i] for i in (axis if isinstance(axis, tuple) else (axis,)))


@implements(np.result_type)
def result_type(*arrays: Array) -> Any:
    return np.result_type(*(array.dtype if isinstance(array, Traced) else array for array in arrays))
