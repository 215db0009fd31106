"""Joining: one array made of several arrays, or of a function's results for the slices of an array."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Op, Traced, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import ShapeError, in_words
from tinygrad_lite.foundation.advice import refuse_out
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.ops.casting import cast
from tinygrad_lite.ops.requirements import refuse_none
from tinygrad_lite.ops.shapes.indexing import along, performed, places
from tinygrad_lite.ops.shapes.shaping import asked, ravel, reshape, taken


def _concatenate(*arrays: Array, axis: int | None = 0, dtype: Any = None, casting: Any = "same_kind") -> Array:
    if dtype is None and casting == "same_kind":
        return np.concatenate(arrays, axis)
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
    if axis is None:
        start = sum([np.size(x) for x in arrays[:i]])
        return g[start : start + np.size(arrays[i])].reshape(np.shape(arrays[i]))
    start = sum([x.shape[axis] for x in arrays[:i]])
    return g[along(axis % g.ndim, slice(start, start + arrays[i].shape[axis]))]


concatenate = primitive(
    _concatenate,
    each=_part,
    kind="moving",
    examples=[([(2, 3), (2, 1)], {"axis": -1}), ([(1, 3), (2, 3), (0, 3)], {}), ([(2,), (1, 3)], {"axis": None})],
)


_NUMBERS = {float, np.float64, np.float32}
_PLAIN = {np.ndarray, *_NUMBERS}


def _stack(*arrays: Array, axis: int = 0, dtype: Any = None, casting: Any = "same_kind") -> Array:
    if axis == 0 and dtype is None and casting == "same_kind" and _PLAIN.issuperset(map(type, arrays)):
        try:
            return np.array(arrays)  # in a quarter of the time of np.stack
        except ValueError:
            return np.stack(arrays)  # says what is wrong with the shapes
    return np.stack(arrays, axis, dtype=dtype, casting=casting)


def _layer(
    i: int, g: Array, y: Array, arrays: Sequence[Array], axis: int = 0, dtype: Any = None, casting: Any = "same_kind"
) -> Array:
    return g[along(axis % g.ndim, i)]


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
        return np.array(data, dtype)
    if dtype is None and joined is not data:
        return joined
    return cast(joined, dtype=np.dtype(joined.dtype if dtype is None else dtype))


def _joined(data: Any, place: str = "") -> Array:
    if not isinstance(data, (list, tuple)):
        return data
    parts = [_joined(part, f"{place}[{i}]") for i, part in enumerate(data)]
    shapes = [_shape(part) for part in parts]
    for i, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ShapeError(
                f"array: data{place}[{i}] has shape {shape}, but data{place}[0] has {shapes[0]}: the parts of a list "
                "must have the same shape"
            )
    if any(isinstance(part, Traced) for part in parts):
        refuse_none("array", parts)
    return stack(*parts) if parts else np.empty(0)


def _shape(x: Any) -> tuple[int, ...]:
    """np.shape, which itself takes longer than many operations."""
    if type(x) in _NUMBERS:
        return ()
    return x.shape if hasattr(x, "shape") else np.shape(x)


def _parts(sequence: Sequence[Any]) -> tuple[Array, ...]:
    return tuple([_joined(part) if isinstance(part, (list, tuple)) else part for part in sequence])


def _are_lines(parts: Sequence[Array]) -> bool:
    """Whether all parts have one axis."""
    return all(len(_shape(part)) == 1 for part in parts)


def _made_one(op: Op, parts: tuple[Array, ...], axis: int | None, dtype: Any, casting: Any) -> Array:
    """The parts concatenated or stacked along an axis."""
    if dtype is None and casting == "same_kind" and (axis is None or type(axis) is int):
        return performed(op, parts, {"axis": axis})
    return op(*parts, axis=axis, dtype=dtype, casting=casting)


@implements(np.concatenate)
def _concatenate_as_numpy(
    arrays: Sequence[Any], /, axis: int | None = 0, out: Array = None, *, dtype: Any = None, casting: Any = "same_kind"
) -> Array:
    refuse_out("concatenate", out)
    return _made_one(concatenate, _parts(arrays), axis, dtype, casting)


@implements(np.stack)
def _stack_as_numpy(
    arrays: Sequence[Any], axis: int = 0, out: Array = None, *, dtype: Any = None, casting: Any = "same_kind"
) -> Array:
    refuse_out("stack", out)
    return _made_one(stack, _parts(arrays), axis, dtype, casting)


@implements(np.vstack)
def vstack(tup: Sequence[Any], *, dtype: Any = None, casting: Any = "same_kind") -> Array:
    parts = _parts(tup)
    if _are_lines(parts):
        return _made_one(stack, parts, 0, dtype, casting)
    rows = tuple([part if len(_shape(part)) > 1 else np.atleast_2d(part) for part in parts])
    return _made_one(concatenate, rows, 0, dtype, casting)


@implements(np.hstack)
def hstack(tup: Sequence[Any], *, dtype: Any = None, casting: Any = "same_kind") -> Array:
    parts = _parts(tup)
    parts = tuple([part if _shape(part) else np.atleast_1d(part) for part in parts])
    return _made_one(concatenate, parts, 0 if len(_shape(parts[0])) == 1 else 1, dtype, casting)


@implements(np.dstack)
def dstack(tup: Sequence[Any]) -> Array:
    return concatenate(*map(np.atleast_3d, _parts(tup)), axis=2)


@implements(np.column_stack)
def column_stack(tup: Sequence[Any]) -> Array:
    parts = _parts(tup)
    if _are_lines(parts):
        return stack(*parts, axis=1)
    return concatenate(*[part if np.ndim(part) > 1 else np.atleast_2d(part).T for part in parts], axis=1)


@implements(np.append)
def append(arr: Array, values: Array, axis: int | None = None) -> Array:
    return concatenate(*map(as_array, _parts((arr, values))), axis=axis)


@implements(np.block)
def block(arrays: Any) -> Array:
    depth = _depth(arrays)
    if depth == 0:
        return np.copy(arrays)
    leaves = _leaves(arrays)
    if depth is not None:
        ndim = max(depth, *[x.ndim for x in leaves])
        parts = [x.reshape((1,) * (ndim - x.ndim) + x.shape) if x.ndim < ndim else x for x in leaves]
        try:
            return _blocks(arrays, iter(parts), depth)
        except ValueError:
            pass  # NumPy says what is wrong with the shapes
    return asked(np.block, leaves, _stand_ins(arrays))


def _depth(nested: Any) -> int | None:
    """How deep lists are nested around arrays; None if that differs, or if there is an empty list or a tuple."""
    if not isinstance(nested, list):
        return None if isinstance(nested, tuple) else 0
    depths = {_depth(part) for part in nested}
    depth = depths.pop() if len(depths) == 1 else None
    return None if depth is None else depth + 1


def _leaves(nested: Any) -> list[Array]:
    """The arrays in nested lists."""
    if not isinstance(nested, list):
        return [] if isinstance(nested, tuple) else [as_array(nested)]
    return [leaf for part in nested for leaf in _leaves(part)]


def _blocks(nested: Any, parts: Iterator[Array], depth: int) -> Array:
    """The arrays in nested lists joined: those of the innermost lists along the last axis, and so on outwards."""
    if not isinstance(nested, list):
        return next(parts)
    return concatenate(*[_blocks(inner, parts, depth - 1) for inner in nested], axis=-depth)


def _stand_ins(nested: Any) -> Any:
    """The same lists, with zeros in place of the arrays."""
    if isinstance(nested, list):
        return [_stand_ins(part) for part in nested]
    return nested if isinstance(nested, tuple) else np.zeros(np.shape(nested))


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
