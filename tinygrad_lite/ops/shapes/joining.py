"""Joining: one array made of several arrays, or of a function's results for the slices of an array."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_lite.engine.arguments import refuse_out
from tinygrad_lite.engine.op import Array, Traced, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import ShapeError, in_words
from tinygrad_lite.ops.arithmetic.casting import cast
from tinygrad_lite.ops.shapes.indexing import along, places
from tinygrad_lite.ops.shapes.shaping import asked, ravel, reshape, taken


def _concatenate(*arrays: Array, axis: int | None = 0, dtype: Any = None, casting: Any = "same_kind") -> Array:
    return np.concatenate(arrays, axis, dtype=dtype, casting=casting)


def _part(
    i: int,
    g: Array,
    y: Array,
    arrays: Sequence[Array],
    axis: int | None = 0,
    dtype: Any = None,
    casting: Any = "same_kind",
) -> Array:
    """The slice of g that belongs to the i-th of the concatenated arrays."""
    sizes = [np.size(x) if axis is None else np.shape(x)[axis] for x in arrays[: i + 1]]
    part = g[along((axis or 0) % np.ndim(g), slice(sum(sizes[:i]), sum(sizes)))]
    return np.reshape(part, np.shape(arrays[i]))


concatenate = primitive(
    _concatenate,
    each=_part,
    kind="moving",
    examples=[([(2, 3), (2, 1)], {"axis": -1}), ([(1, 3), (2, 3), (0, 3)], {}), ([(2,), (1, 3)], {"axis": None})],
)


def _stack(*arrays: Array, axis: int = 0, dtype: Any = None, casting: Any = "same_kind") -> Array:
    return np.stack(arrays, axis, dtype=dtype, casting=casting)


def _layer(
    i: int, g: Array, y: Array, arrays: Sequence[Array], axis: int = 0, dtype: Any = None, casting: Any = "same_kind"
) -> Array:
    return g[along(axis % np.ndim(g), i)]


stack = primitive(
    _stack, each=_layer, kind="moving", examples=[([(2, 3), (2, 3)], {"axis": axis}) for axis in (0, 1, -1)]
)


def array(data: Any, dtype: Any = None) -> Array:
    """Make an array of nested lists and tuples of numbers, arrays and tensors, as `np.array` does.

    `np.array` itself would take the numbers out of the tensors and lose their history. The result is a tensor if a
    tensor is among the data, and otherwise an array.

    Args:
        dtype: as in NumPy; by default a dtype that holds all of the data.

    Raises:
        ShapeError: if the parts of a list differ in shape; the message says where.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> def rotated(angle):
        ...     return tg.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ [1.0, 0.0]
        >>> tg.jacobian(rotated)(0.0)
        array([0., 1.])
    """
    joined = _joined(data)
    if not isinstance(joined, Traced):
        return np.array(joined, dtype)
    if dtype is None and joined is not data:
        return joined
    return cast(joined, dtype=np.dtype(joined.dtype if dtype is None else dtype))


def _joined(data: Any, place: str = "") -> Array:
    if not isinstance(data, (list, tuple)):
        return data
    parts = [_joined(part, f"{place}[{i}]") for i, part in enumerate(data)]
    for i, part in enumerate(parts):
        if np.shape(part) != np.shape(parts[0]):
            raise ShapeError(
                f"array: data{place}[{i}] has shape {np.shape(part)}, but data{place}[0] has {np.shape(parts[0])}: "
                "the parts of a list must have the same shape"
            )
    return stack(*parts) if parts else np.empty(0)


def _parts(sequence: Sequence[Any]) -> list[Array]:
    return [_joined(part) for part in sequence]


@implements(np.concatenate)
def _concatenate_as_numpy(
    arrays: Sequence[Any], /, axis: int | None = 0, out: Array = None, *, dtype: Any = None, casting: Any = "same_kind"
) -> Array:
    refuse_out("concatenate", out)
    return concatenate(*_parts(arrays), axis=axis, dtype=dtype, casting=casting)


@implements(np.stack)
def _stack_as_numpy(
    arrays: Sequence[Any], axis: int = 0, out: Array = None, *, dtype: Any = None, casting: Any = "same_kind"
) -> Array:
    refuse_out("stack", out)
    return stack(*_parts(arrays), axis=axis, dtype=dtype, casting=casting)


@implements(np.vstack)
def vstack(tup: Sequence[Any], *, dtype: Any = None, casting: Any = "same_kind") -> Array:
    return concatenate(*map(np.atleast_2d, _parts(tup)), dtype=dtype, casting=casting)


@implements(np.hstack)
def hstack(tup: Sequence[Any], *, dtype: Any = None, casting: Any = "same_kind") -> Array:
    parts = [np.atleast_1d(part) for part in _parts(tup)]
    return concatenate(*parts, axis=0 if parts[0].ndim == 1 else 1, dtype=dtype, casting=casting)


@implements(np.dstack)
def dstack(tup: Sequence[Any]) -> Array:
    return concatenate(*map(np.atleast_3d, _parts(tup)), axis=2)


@implements(np.column_stack)
def column_stack(tup: Sequence[Any]) -> Array:
    parts = [part if np.ndim(part) > 1 else np.atleast_2d(part).T for part in _parts(tup)]
    return concatenate(*parts, axis=1)


@implements(np.append)
def append(arr: Array, values: Array, axis: int | None = None) -> Array:
    parts = _parts((arr, values))
    return concatenate(*(map(np.ravel, parts) if axis is None else parts), axis=axis)


@implements(np.block)
def block(arrays: Any) -> Array:
    parts: list[Array] = []

    def numbered(nested: Any) -> Any:
        """The same lists, with the position of each entry in one flat array in place of the entry."""
        if isinstance(nested, list):
            return [numbered(part) for part in nested]
        if isinstance(nested, tuple):
            return nested  # np.block raises the error for it
        start = sum(np.size(part) for part in parts)
        parts.append(np.atleast_1d(nested))
        return start + places(np.shape(nested))

    positions = asked(np.block, parts, numbered(arrays))
    return taken(concatenate(*parts, axis=None), positions)


@implements(np.insert)
def insert(arr: Array, obj: Any, values: Array, axis: int | None = None) -> Array:
    arr = array(arr)
    values = array(values, arr.dtype)
    new = arr.size + places(values.shape)
    index = np.asarray(obj) if isinstance(obj, Traced) else obj
    positions = asked(np.insert, [arr, values], places(arr.shape), index, new, axis)
    return taken(concatenate(ravel(arr), ravel(values)), positions)


@implements(np.apply_along_axis)
def apply_along_axis(func1d: Callable[..., Array], axis: int, arr: Array, *args: Any, **kwargs: Any) -> Array:
    slices = np.moveaxis(arr, axis, -1)
    outer = slices.shape[:-1]
    results = [array(func1d(slices[i], *args, **kwargs)) for i in np.ndindex(outer)]
    if not results:
        raise ShapeError(f"apply_along_axis needs at least one slice to call {func1d} with, got shape {arr.shape}")
    first = results[0]
    joined = stack(*results, dtype=first.dtype, casting="unsafe")
    joined = reshape(joined, shape=(*outer, *first.shape))
    start = axis % arr.ndim
    return np.moveaxis(joined, range(len(outer), joined.ndim), range(start, start + first.ndim))


@implements(np.apply_over_axes)
def apply_over_axes(func: Callable[[Array, int], Array], a: Array, axes: int | Sequence[int]) -> Array:
    for axis in np.ravel(axes).tolist():
        axis = axis + a.ndim if axis < 0 else axis
        result = func(a, axis)
        if result.ndim < a.ndim:
            result = np.expand_dims(result, axis)
        if result.ndim != a.ndim:
            raise ShapeError(
                f"apply_over_axes: {func} must keep the other axes, but made {in_words([result])} of {in_words([a])}"
            )
        a = result
    return a
