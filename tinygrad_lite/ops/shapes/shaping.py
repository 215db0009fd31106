"""Shaping: the same entries under different axes.

A NumPy function rearranges the axes or entries of all arrays of a shape in the same way. So most functions need no rule
of their own: we call NumPy's function on a stand-in for the array and see where the axes or entries go.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Traced, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import RESTATED, UsageError, complain
from tinygrad_lite.ops.shapes.indexing import getitem


def _reshape(x: Array, shape: int | Sequence[int], order: Any = "C") -> Array:
    # the order is passed by position, since NumPy 2.1 renamed the keyword, and not at all if it is "C", since other
    # libraries do not know it
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
    lambda g, y, x, shape, subok=False: g,  # the engine sums over the broadcast axes
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
    """Call a NumPy function on stand-ins; its errors name the arrays that they stand for."""
    try:
        return function(*args, **params)
    except RESTATED as error:
        complain(error, function.__name__, arrays)


def by_stand_in(
    function: Callable[..., Any], stand_in: Callable[[tuple[int, ...]], Array], make: Callable[[Array, Any], Any]
) -> Callable[..., Any]:
    """A NumPy function of one array x as `make(x, result)`, with its result for a stand-in of x's shape."""
    signature = inspect.signature(function)

    def answer(*args: Any, **params: Any) -> Any:
        call = signature.bind(*args, **params)
        x, *settings = call.args
        settings = [np.asarray(setting) if isinstance(setting, Traced) else setting for setting in settings]
        return make(x, asked(function, [x], stand_in(np.shape(x)), *settings, **call.kwargs))

    return answer


def _numbered_axes(shape: tuple[int, ...]) -> Array:
    """An array in which axis i has length i, so that the axes can be told apart by their lengths."""
    return np.empty(tuple(range(len(shape))))


def _of_shape(shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(0, shape)


def taken(flat: Array, positions: Any) -> Any:
    """The entries of a flat array at an array of positions; for several such arrays, several results."""
    if isinstance(positions, (list, tuple)):
        return type(positions)(taken(flat, part) for part in positions)
    return reshape(getitem(flat, index=np.ravel(positions)), shape=positions.shape)


for _function in (np.moveaxis, np.rollaxis, np.matrix_transpose):
    implements(_function)(by_stand_in(_function, _numbered_axes, lambda x, moved: transpose(x, axes=moved.shape)))


def _of_each(function: Callable[[Array], Array]) -> Callable[..., Any]:
    """A function that applies `function` to one array, or to each of several and returns a tuple."""
    return lambda *arys: function(*arys) if len(arys) == 1 else tuple(map(function, arys))


for _function in (np.atleast_1d, np.atleast_2d, np.atleast_3d):
    _of_one = by_stand_in(_function, _of_shape, lambda x, reshaped: reshape(x, shape=reshaped.shape))
    implements(_function)(_of_each(_of_one))


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Array, subok: bool = False) -> tuple[Array, ...]:
    stand_ins = asked(np.broadcast_arrays, args, *[_of_shape(np.shape(x)) for x in args])
    return tuple(broadcast_to(x, shape=stand_in.shape) for x, stand_in in zip(args, stand_ins))


@implements(np.meshgrid)
def meshgrid(*xi: Array, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Sequence[Array]:
    sides = [np.empty(np.size(x)) for x in xi]
    grids = asked(np.meshgrid, xi, *sides, copy=copy, sparse=True, indexing=indexing)
    opened: Sequence[Array] = type(grids)(reshape(x, shape=grid.shape) for x, grid in zip(xi, grids))
    return opened if sparse else broadcast_arrays(*opened)


@implements(np.ix_)
def ix_(*args: Array) -> tuple[Array, ...]:
    return np.ix_(*map(np.asarray, args))
