"""Shaping: the same entries under other axes.

What a NumPy function does to axes, shapes or places, it does in the same way to any array of that shape. So most
functions need no rule of their own: NumPy itself is asked, with a stand-in for the array.
"""

import inspect
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from tinygrad_lite.engine.arguments import in_words
from tinygrad_lite.engine.op import Array, Traced, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import ShapeError, UsageError
from tinygrad_lite.ops.shapes.indexing import getitem


def _reshape(x: Array, shape: int | Sequence[int], order: Any = "C") -> Array:
    # the order by position, since NumPy 2.1 renamed the keyword, and only where it is not C, which others do not know
    return np.reshape(x, shape) if order == "C" else np.reshape(x, shape, order)


def _ravel(x: Array, order: Any = "C") -> Array:
    return np.ravel(x) if order == "C" else np.ravel(x, order)


reshape = primitive(
    _reshape,
    lambda g, y, x, shape, order="C": _reshape(g, np.shape(x), order),
    examples=[([(2, 3)], {"shape": (3, 2)}), ([(2, 3)], {"shape": (-1, 2), "order": "F"}), ([()], {"shape": (1, 1)})],
    linear=True,
    kind="moving",
)
ravel = primitive(
    _ravel,
    lambda g, y, x, order="C": _reshape(g, np.shape(x), order),
    examples=[([(2, 3)], {}), ([(2, 3)], {"order": "F"})],
    linear=True,
    kind="moving",
)
expand_dims = primitive(
    np.expand_dims,
    lambda g, y, x, axis: np.reshape(g, np.shape(x)),
    examples=[([(2, 3)], {"axis": axis}) for axis in (0, -1, (0, 2))],
    linear=True,
    kind="moving",
)
squeeze = primitive(
    np.squeeze,
    lambda g, y, x, axis=None: np.reshape(g, np.shape(x)),
    examples=[([(1, 3, 1)], {"axis": axis}) for axis in (None, 0, (0, -1))],
    linear=True,
    kind="moving",
)


def _transpose_vjp(g: Array, y: Array, x: Array, axes: Sequence[int] | None = None) -> Array:
    back = None if axes is None else tuple(np.argsort([axis % len(axes) for axis in axes]).tolist())
    return np.transpose(g, back)


transpose = primitive(
    np.transpose,
    _transpose_vjp,
    examples=[([(2, 3, 4)], {"axes": axes}) for axes in (None, (1, 2, 0), (-1, 0, 1))],
    linear=True,
    kind="moving",
)
swapaxes = primitive(
    np.swapaxes,
    lambda g, y, x, axis1, axis2: np.swapaxes(g, axis1, axis2),
    examples=[([(2, 3, 4)], {"axis1": 0, "axis2": -1})],
    linear=True,
    kind="moving",
)
broadcast_to = primitive(
    np.broadcast_to,
    lambda g, y, x, shape, subok=False: g,  # the engine sums over the axes that were broadcast
    examples=[([(3,)], {"shape": (2, 3)}), ([(2, 1)], {"shape": (2, 3)}), ([()], {"shape": (2,)})],
    linear=True,
    kind="moving",
)


def _explicit(order: str) -> str:
    if order not in ("C", "F"):
        raise UsageError(f"order={order!r} follows the memory layout, which tensors do not promise; pass 'C' or 'F'")
    return order


@implements(np.reshape)
def _reshape_as_numpy(a: Array, /, shape: int | Sequence[int], order: str = "C", *, copy: bool | None = None) -> Array:
    return reshape(a, shape=shape if np.ndim(shape) else (shape,), order=_explicit(order))


@implements(np.ravel)
def _ravel_as_numpy(a: Array, order: str = "C") -> Array:
    return ravel(a, order=_explicit(order))


def asked(function: Callable[..., Any], arrays: Sequence[Array], *args: Any, **params: Any) -> Any:
    """What a NumPy function answers about stand-ins; its complaints name the arrays that these stand in for."""
    try:
        return function(*args, **params)
    except (ValueError, TypeError) as error:
        kind = ShapeError if isinstance(error, ValueError) else UsageError
        raise kind(f"{function.__name__} cannot take {in_words(arrays)}: {error}") from error


def by_stand_in(
    function: Callable[..., Any], stand_in: Callable[[tuple[int, ...]], Array], make: Callable[[Array, Any], Any]
) -> Callable[..., Any]:
    """A NumPy function of one array x, as `make(x, found)`, with what it found for the stand-in of x's shape."""
    signature = inspect.signature(function)

    def answer(*args: Any, **params: Any) -> Any:
        call = signature.bind(*args, **params)
        x, *settings = call.args
        settings = [np.asarray(setting) if isinstance(setting, Traced) else setting for setting in settings]
        return make(x, asked(function, [x], stand_in(np.shape(x)), *settings, **call.kwargs))

    return answer


def _numbered_axes(shape: tuple[int, ...]) -> Array:
    """An array whose axes are as long as their numbers: wherever they go, they can be told by their lengths."""
    return np.empty(tuple(range(len(shape))))


def _of_shape(shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(0, shape)


def places(shape: tuple[int, ...]) -> Array:
    """The place of each entry in the flattened array."""
    return np.arange(prod(shape)).reshape(shape)


def taken(flat: Array, found: Any) -> Any:
    """The entries at some places of a flat array; for several arrays of places, as many results."""
    if isinstance(found, (list, tuple)):
        return type(found)(taken(flat, each) for each in found)
    return reshape(getitem(flat, index=np.ravel(found)), shape=found.shape)


for _function in (np.moveaxis, np.rollaxis, np.matrix_transpose):
    implements(_function)(by_stand_in(_function, _numbered_axes, lambda x, found: transpose(x, axes=found.shape)))


def _of_each(function: Callable[[Array], Array]) -> Callable[..., Any]:
    """The function of one array, or the tuple of what it makes of several."""
    return lambda *arys: function(*arys) if len(arys) == 1 else tuple(map(function, arys))


for _function in (np.atleast_1d, np.atleast_2d, np.atleast_3d):
    _one = by_stand_in(_function, _of_shape, lambda x, found: reshape(x, shape=found.shape))
    implements(_function)(_of_each(_one))


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Array, subok: bool = False) -> tuple[Array, ...]:
    found = asked(np.broadcast_arrays, args, *[_of_shape(np.shape(x)) for x in args])
    return tuple(broadcast_to(x, shape=each.shape) for x, each in zip(args, found))


@implements(np.meshgrid)
def meshgrid(*xi: Array, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Sequence[Array]:
    sides = [np.empty(np.size(x)) for x in xi]
    grids = asked(np.meshgrid, xi, *sides, copy=copy, sparse=True, indexing=indexing)
    opened: Sequence[Array] = type(grids)(reshape(x, shape=grid.shape) for x, grid in zip(xi, grids))
    return opened if sparse else broadcast_arrays(*opened)


@implements(np.ix_)
def ix_(*args: Array) -> tuple[Array, ...]:
    return np.ix_(*map(np.asarray, args))
