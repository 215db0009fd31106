"""Floor 1. Selection and questions: where, comparisons, argmax, and other answers that carry no gradient."""

from typing import Any

import numpy as np

from tinygrad_lite.errors import UsageError
from tinygrad_lite.ops.op import Array, Traced, elementwise, implements, primitive

# As rules of its own, since a mask times an infinite or undefined gradient would not be zero
_where = primitive(
    np.where,
    None,
    lambda g, y, condition, a, b: np.where(condition, g, 0),
    lambda g, y, condition, a, b: np.where(condition, 0, g),
    examples=[([np.array([[True], [False]]), (2, 3), (3,)], {}), ([np.array([True, False]), (), (2,)], {})],
)
nonzero = primitive(np.nonzero)


@implements(np.where)
def where(condition: Array, *branches: Array) -> Array:
    if len(branches) not in (0, 2):
        raise UsageError(
            f"where takes a condition and two branches, or a condition alone; got {len(branches)} branch(es)"
        )
    return _where(condition, *branches) if branches else nonzero(condition)


equal = elementwise(np.equal)
not_equal = elementwise(np.not_equal)
less = elementwise(np.less)
less_equal = elementwise(np.less_equal)
greater = elementwise(np.greater)
greater_equal = elementwise(np.greater_equal)

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
isclose = primitive(np.isclose, arity=2)

all = primitive(np.all)
any = primitive(np.any)
count_nonzero = primitive(np.count_nonzero)
argmax = primitive(np.argmax)
argmin = primitive(np.argmin)
argsort = primitive(np.argsort)

allclose = primitive(np.allclose, arity=2)
array_equal = primitive(np.array_equal, arity=2)
zeros_like = primitive(np.zeros_like)
ones_like = primitive(np.ones_like)


@implements(np.shape)
def shape(a: Array) -> tuple[int, ...]:
    return a.shape  # type: ignore[no-any-return]


@implements(np.ndim)
def ndim(a: Array) -> int:
    return len(a.shape)


@implements(np.size)
def size(a: Array, axis: Any = None) -> int:
    return a.size if axis is None else a.shape[axis]  # type: ignore[no-any-return]


@implements(np.result_type)
def result_type(*arrays: Array) -> Any:
    return np.result_type(*(array.dtype if isinstance(array, Traced) else array for array in arrays))
