"""Floor 1. Shaping: the same entries in another arrangement, and another dtype."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_lite.errors import UsageError
from tinygrad_lite.ops.op import Array, implements, primitive


def _reshape(x: Array, shape: int | Sequence[int], order: Any = "C") -> Array:
    return np.reshape(x, shape, order)  # by position, since NumPy 2.1 renamed the keyword


reshape = primitive(
    _reshape,
    lambda g, y, x, shape, order="C": np.reshape(g, np.shape(x), order=order),
    examples=[([(2, 3)], {"shape": (3, 2)}), ([(2, 3)], {"shape": (-1, 2), "order": "F"}), ([()], {"shape": (1, 1)})],
)
ravel = primitive(
    np.ravel,
    lambda g, y, x, order="C": np.reshape(g, np.shape(x), order=order),
    examples=[([(2, 3)], {}), ([(2, 3)], {"order": "F"})],
)
expand_dims = primitive(
    np.expand_dims,
    lambda g, y, x, axis: np.reshape(g, np.shape(x)),
    examples=[([(2, 3)], {"axis": axis}) for axis in (0, -1, (0, 2))],
)
squeeze = primitive(
    np.squeeze,
    lambda g, y, x, axis=None: np.reshape(g, np.shape(x)),
    examples=[([(1, 3, 1)], {"axis": axis}) for axis in (None, 0, (0, -1))],
)


def _transpose_vjp(g: Array, y: Array, x: Array, axes: Sequence[int] | None = None) -> Array:
    back = None if axes is None else tuple(np.argsort([axis % len(axes) for axis in axes]).tolist())
    return np.transpose(g, back)


transpose = primitive(
    np.transpose, _transpose_vjp, examples=[([(2, 3, 4)], {"axes": axes}) for axes in (None, (1, 2, 0), (-1, 0, 1))]
)
swapaxes = primitive(
    np.swapaxes,
    lambda g, y, x, axis1, axis2: np.swapaxes(g, axis1, axis2),
    examples=[([(2, 3, 4)], {"axis1": 0, "axis2": -1})],
)
broadcast_to = primitive(
    np.broadcast_to,
    lambda g, y, x, shape: g,  # the engine sums over the axes that were broadcast
    examples=[([(3,)], {"shape": (2, 3)}), ([(2, 1)], {"shape": (2, 3)}), ([()], {"shape": (2,)})],
)


def _explicit(order: str) -> str:
    if order not in ("C", "F"):
        raise UsageError(f"order={order!r} follows the memory layout, which tensors do not promise; pass 'C' or 'F'")
    return order


@implements(np.reshape)
def _reshape_as_numpy(a: Array, /, shape: int | Sequence[int], order: str = "C", *, copy: bool | None = None) -> Array:
    return reshape(a, shape=shape, order=_explicit(order))


@implements(np.ravel)
def _ravel_as_numpy(a: Array, order: str = "C") -> Array:
    return ravel(a, order=_explicit(order))


def _concatenate(*arrays: Array, axis: int | None = 0) -> Array:
    return np.concatenate(arrays, axis)


def _part(i: int, g: Array, y: Array, *arrays: Array, axis: int | None = 0) -> Array:
    """The slice of g that belongs to the i-th of the concatenated arrays."""
    sizes = [np.size(x) if axis is None else np.shape(x)[axis] for x in arrays]
    start = sum(sizes[:i])
    before = () if axis is None else (slice(None),) * (axis % np.ndim(g))
    part = g[(*before, slice(start, start + sizes[i]))]
    return np.reshape(part, np.shape(arrays[i]))


concatenate = primitive(
    _concatenate,
    each=_part,
    examples=[([(2, 3), (2, 1)], {"axis": -1}), ([(1, 3), (2, 3), (0, 3)], {}), ([(2,), (1, 3)], {"axis": None})],
)


def _stack(*arrays: Array, axis: int = 0) -> Array:
    return np.stack(arrays, axis)


def _layer(i: int, g: Array, y: Array, *arrays: Array, axis: int = 0) -> Array:
    return g[(slice(None),) * (axis % np.ndim(g)) + (i,)]


stack = primitive(_stack, each=_layer, examples=[([(2, 3), (2, 3)], {"axis": axis}) for axis in (0, 1, -1)])


@implements(np.concatenate)
def _concatenate_as_numpy(arrays: Sequence[Array], /, axis: int | None = 0, **params: Any) -> Array:
    return concatenate(*arrays, axis=axis, **params)


@implements(np.stack)
def _stack_as_numpy(arrays: Sequence[Array], axis: int = 0, **params: Any) -> Array:
    return stack(*arrays, axis=axis, **params)


def _cast(x: Array, dtype: Any) -> Array:
    return x.astype(dtype)


cast = primitive(
    _cast,
    lambda g, y, x, dtype: g,  # the engine casts each gradient to the dtype of what it belongs to
    examples=[([(2, 3)], {"dtype": np.dtype(np.float64)})],
)
