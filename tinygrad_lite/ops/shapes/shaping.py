"""Shaping: the same entries under different axes.

A NumPy function rearranges the axes or entries of all arrays of a shape in the same way. So most functions need no rule
of their own: we call NumPy's function on a stand-in for the array and see where the axes or entries go.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lite.engine.op import Array, Traced, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import RESTATED, UsageError, complain, warn
from tinygrad_lite.foundation.callers import is_starred_call
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.foundation.signatures import signature
from tinygrad_lite.ops.shapes.indexing import Distinct, along, getitem, performed, places


def _reshape(x: Array, shape: int | Sequence[int], order: Any = "C") -> Array:
    # the method takes a fifth of the time of np.reshape; other libraries do not know the order, which is C in them
    return x.reshape(shape) if order == "C" else x.reshape(shape, order=order)


def _ravel(x: Array, order: Any = "C") -> Array:
    return x.ravel() if order == "C" else x.ravel(order=order)


reshape = primitive(
    _reshape,
    lambda g, y, x, shape, order="C": _reshape(g, x.shape, order),
    examples=[([(2, 3)], {"shape": (3, 2)}), ([(2, 3)], {"shape": (-1, 2), "order": "F"}), ([()], {"shape": (1, 1)})],
    linear=True,
    kind="moving",
)
ravel = primitive(
    _ravel,
    lambda g, y, x, order="C": _reshape(g, x.shape, order),
    examples=[([(2, 3)], {}), ([(2, 3)], {"order": "F"})],
    linear=True,
    kind="moving",
)


def _expand_dims(a: Array, axis: Any) -> Array:
    """np.expand_dims, in a third of the time for one axis."""
    if type(a) is not np.ndarray or type(axis) is not int or not -a.ndim - 1 <= axis <= a.ndim:
        return np.expand_dims(a, axis)
    place = axis if axis >= 0 else a.ndim + 1 + axis
    return a.reshape((*a.shape[:place], 1, *a.shape[place:]))


expand_dims = primitive(
    np.expand_dims,
    lambda g, y, x, axis: g.reshape(x.shape),
    examples=[([(2, 3)], {"axis": axis}) for axis in (0, -1, (0, 2))],
    linear=True,
    kind="moving",
)
expand_dims.compute = _expand_dims
squeeze = primitive(
    np.squeeze,
    lambda g, y, x, axis=None: g.reshape(x.shape),
    examples=[([(1, 3, 1)], {"axis": axis}) for axis in (None, 0, (0, -1))],
    linear=True,
    kind="moving",
)


def _transpose_vjp(g: Array, y: Array, x: Array, axes: Sequence[int] | None = None) -> Array:
    if axes is None:
        return g.transpose()
    forth = [axis % len(axes) for axis in axes]
    return g.transpose(tuple(sorted(range(len(axes)), key=forth.__getitem__)))


transpose = primitive(
    np.transpose,
    _transpose_vjp,
    examples=[([(2, 3, 4)], {"axes": axes}) for axes in (None, (1, 2, 0), (-1, 0, 1))],
    linear=True,
    kind="moving",
)
swapaxes = primitive(
    np.swapaxes,
    lambda g, y, x, axis1, axis2: g.swapaxes(axis1, axis2),
    examples=[([(2, 3, 4)], {"axis1": 0, "axis2": -1})],
    linear=True,
    kind="moving",
)


def stretched(array: Array, shape: Any, subok: bool = False) -> Array:
    """np.broadcast_to, in a fifth of the time for an array that lies in memory row by row."""
    if type(shape) is not tuple or type(array) is not np.ndarray or not array.flags.c_contiguous or not array.size:
        return np.broadcast_to(array, shape)
    if (steps := _steps(array.shape, array.strides, shape)) is None:
        return np.broadcast_to(array, shape)
    view: Array = np.ndarray(shape, array.dtype, array, strides=steps)
    view.setflags(False)
    return view


@lru_cache(1000)
def _steps(shape: tuple[int, ...], strides: tuple[int, ...], whole: tuple[int, ...]) -> tuple[int, ...] | None:
    """The strides of an array of this shape and these strides, broadcast to a whole; None if it does not fit there."""
    added = len(whole) - len(shape)
    sizes = (1,) * added + shape
    if added < 0 or any(size not in (1, length) for size, length in zip(sizes, whole)):
        return None
    return tuple([step if size == length else 0 for size, length, step in zip(sizes, whole, (0,) * added + strides)])


broadcast_to = primitive(
    stretched,
    lambda g, y, x, shape, subok=False: g,  # the engine sums over the broadcast axes
    name="broadcast_to",
    examples=[([(3,)], {"shape": (2, 3)}), ([(2, 1)], {"shape": (2, 3)}), ([()], {"shape": (2,)})],
    linear=True,
    kind="moving",
)


implements(np.broadcast_to)(broadcast_to)


def _explicit(order: str) -> str:
    if isinstance(order, int):
        raise UsageError(f"an axis to flatten from is PyTorch's: write x.reshape(*x.shape[:{order}], -1)")
    if order not in ("C", "F"):
        raise UsageError(f"order={order!r} follows the memory layout, which tensors do not promise; pass 'C' or 'F'")
    return order


@implements(np.reshape)
def _reshape_as_numpy(a: Array, /, shape: Any, order: str = "C", *, copy: bool | None = None) -> Array:
    if type(shape) is int:
        shape = (shape,)
    if type(shape) is tuple and order == "C":
        return performed(reshape, (a,), {"shape": shape})
    return reshape(a, shape=shape if np.ndim(shape) else (shape,), order=_explicit(order))


@implements(np.ndarray.reshape)
def _reshape_method(self: Array, *shape: Any, order: str = "C", copy: bool | None = None) -> Array:
    return _reshape_as_numpy(self, shape[0] if len(shape) == 1 else shape, order, copy=copy)


_UNCHANGED = ((0, 1), (-2, -1))
"""Orders of two axes that PyTorch takes for the pair to exchange."""


@implements(np.ndarray.transpose)
def _transpose_method(self: Array, *axes: Any) -> Array:
    if len(axes) == len(self.shape) == 2 and axes in _UNCHANGED and not is_starred_call():
        warn(f"x.transpose{axes} of a matrix is the matrix itself, as in NumPy: write x.T to exchange its axes")
    order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
    return transpose(self, axes=order) if axes else transpose(self)


@implements(np.ravel)
def _ravel_as_numpy(a: Array, order: str = "C") -> Array:
    return ravel(a) if order == "C" else ravel(a, order=_explicit(order))


def asked(function: Callable[..., Any], arrays: Sequence[Array], *args: Any, **params: Any) -> Any:
    """Call a NumPy function on stand-ins; its errors name the arrays that they stand for."""
    try:
        return function(*args, **params)
    except RESTATED as error:
        complain(error, function.__name__, arrays)


class Reader(NamedTuple):
    """What a function does with every array of some shape, found out once.

    Attributes:
        read: computes the result for an array of that shape.
        size: the number of entries of the index that it holds, if it holds one.
    """

    read: Callable[[Array], Any]
    size: int = 0


_KEPT = 256  # calls of each function that are remembered
_FEW = 4096  # entries of an index that is small enough to be remembered
_INTEGERS = frozenset({int})


def by_stand_in(
    function: Callable[..., Any],
    stand_in: Callable[[tuple[int, ...]], Array],
    make: Callable[..., Reader],
) -> Callable[..., Any]:
    """A NumPy function of one array, by a reader for the array's shape.

    `make(shape, result, *args, **params)` makes the reader of the function's result for a stand-in, and the settings.
    """
    first = next(iter(signature(function).parameters))
    readers: dict[Any, Reader] = {}

    def answer(*args: Any, **params: Any) -> Any:
        x, *settings = args or [params.pop(first)]
        x = as_array(x)
        key = (x.shape, *map(_key, settings), *params, *map(_key, params.values()))
        reader = readers.get(key)
        if reader is None:
            settings = [_untraced(setting) for setting in settings]
            params = {name: _untraced(setting) for name, setting in params.items()}
            result = asked(function, [x], stand_in(x.shape), *settings, **params)
            reader = make(x.shape, result, *settings, **params)
            if None not in key and reader.size <= _FEW:
                if len(readers) == _KEPT:
                    readers.clear()
                readers[key] = reader
        return reader.read(x)

    return answer


def _untraced(setting: Any) -> Any:
    return np.asarray(setting) if isinstance(setting, Traced) else setting


def _key(setting: Any) -> Any:
    """A setting as a key in which 1, 1.0 and True differ; None for one that may change or is rare."""
    kind = type(setting)
    if kind is int or kind is str or setting is None or isinstance(setting, np.integer):
        return kind, setting
    if (kind is tuple or kind is list) and _INTEGERS.issuperset(map(type, setting)):
        return kind, *setting
    return None


def _numbered_axes(shape: tuple[int, ...]) -> Array:
    """An array in which axis i has length i, so that the axes can be told apart by their lengths."""
    return np.empty(tuple(range(len(shape))))


def _of_shape(shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(0, shape)


def taking(shape: tuple[int, ...], positions: Any, *_: Any, **__: Any) -> Reader:
    """Reads the entries at an array of positions in the flattened array; at several such arrays, several results."""
    if isinstance(positions, (list, tuple)):
        kind, parts = type(positions), [taking(shape, part) for part in positions]
        return Reader(lambda x: kind([part.read(x) for part in parts]), sum(part.size for part in parts))
    if not shape:
        of_one = taking((1,), positions)
        return Reader(lambda x: of_one.read(reshape(x, shape=(1,))), of_one.size)
    window = _window(shape, positions)
    if window is None:
        index = _index_of(shape, positions)
        return Reader(lambda x: performed(getitem, (x,), {"index": index}), len(shape) * positions.size)
    slices, axes = window
    if axes == (*range(len(axes)),):
        return Reader(lambda x: performed(getitem, (x,), {"index": slices}))
    return Reader(lambda x: performed(transpose, (performed(getitem, (x,), {"index": slices}),), {"axes": axes}))


def taken(flat: Array, positions: Array) -> Array:
    """The entries of a flat array at an array of positions."""
    return getitem(flat, index=positions)


def _index_of(shape: tuple[int, ...], positions: Array) -> tuple[Array, ...]:
    """The index that reads the entries at these positions."""
    index = np.unravel_index(positions, shape) if positions.size else (positions,) * len(shape)
    for part in index:
        part.setflags(write=False)
    return Distinct(index) if len(np.unique(positions)) == positions.size else index


def _window(shape: tuple[int, ...], positions: Array) -> tuple[tuple[int | slice, ...], tuple[int, ...]] | None:
    """The slices, and then the order of axes, that read the entries at these positions; None if no slices do."""
    if not positions.size:
        return None
    start = np.array(np.unravel_index(positions.flat[0], shape))
    free = [*range(len(shape))]
    axes: dict[int, tuple[int, int]] = {}  # for each axis of the result, that of the array and the step along it
    for k, size in enumerate(positions.shape):
        if size > 1:
            second = np.unravel_index(positions[along(k, 1)].flat[0], shape)
            (moved,) = np.nonzero(second - start)
            if len(moved) != 1 or moved[0] not in free:
                return None
            i = int(moved[0])
            free.remove(i)
            axes[k] = i, int(second[i] - start[i])
    for k in range(positions.ndim):
        if k not in axes:
            if not free:
                return None
            axes[k] = free.pop(0), 1
    index: list[int | slice] = start.tolist()
    for k, (i, step) in axes.items():
        first = int(start[i])
        stop = first + step * positions.shape[k]
        index[i] = slice(first, stop if stop >= 0 else None, step)
    kept = sorted(i for i, _ in axes.values())
    order = tuple(kept.index(axes[k][0]) for k in range(positions.ndim))
    read = places(shape)[tuple(index)].transpose(order)
    return (tuple(index), order) if np.array_equal(read, positions) else None


for _function in (np.moveaxis, np.rollaxis, np.matrix_transpose):
    implements(_function)(
        by_stand_in(
            _function,
            _numbered_axes,
            lambda _, moved, *__, **___: Reader(lambda x: performed(transpose, (x,), {"axes": moved.shape})),
        )
    )


def _of_each(function: Callable[[Array], Array]) -> Callable[..., Any]:
    """A function that applies `function` to one array, or to each of several and returns a tuple."""
    return lambda *arys: function(*arys) if len(arys) == 1 else tuple(map(function, arys))


for _function in (np.atleast_1d, np.atleast_2d, np.atleast_3d):
    _of_one = by_stand_in(
        _function,
        _of_shape,
        lambda _, made, *__, **___: Reader(lambda x: performed(reshape, (x,), {"shape": made.shape})),
    )
    implements(_function)(_of_each(_of_one))


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Array, subok: bool = False) -> tuple[Array, ...]:
    stand_ins = asked(np.broadcast_arrays, args, *[_of_shape(np.shape(x)) for x in args])
    return tuple(_stretched(as_array(x), stand_in.shape) for x, stand_in in zip(args, stand_ins))


def _stretched(x: Array, shape: tuple[int, ...]) -> Array:
    """The array broadcast to a shape; an array of that shape is itself, into which one may write."""
    return x if x.shape == shape else broadcast_to(x, shape=shape)


@implements(np.meshgrid)
def meshgrid(*xi: Array, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Sequence[Array]:
    sides = [np.empty(np.size(x)) for x in xi]
    grids = asked(np.meshgrid, xi, *sides, copy=copy, sparse=True, indexing=indexing)
    opened = [reshape(as_array(x), shape=grid.shape) for x, grid in zip(xi, grids)]
    if not sparse:
        shape = np.broadcast_shapes(*[grid.shape for grid in grids])
        opened = [_stretched(x, shape) for x in opened]
    return type(grids)(opened)  # type: ignore[no-any-return]


@implements(np.ix_)
def ix_(*args: Array) -> tuple[Array, ...]:
    return np.ix_(*map(np.asarray, args))
