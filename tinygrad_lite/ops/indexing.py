"""Floor 1. Indexing: reading entries, and the functional ways to replace or add to them.

An index is a parameter, not an array: no gradient flows through it.
"""

from typing import Any

import numpy as np

from tinygrad_lite.ops.op import Array, primitive

Index = Any


def fixed(index: Index) -> Index:
    """The index with its lists, arrays and tensors as arrays of its own, so that nobody can change it later."""
    return tuple(_fixed_part(part) for part in index) if isinstance(index, tuple) else _fixed_part(index)


def _fixed_part(part: Any) -> Any:
    if isinstance(part, (int, slice, np.integer)) or part is None or part is Ellipsis:
        return part
    array = np.array(part)
    return array if array.size or isinstance(part, np.ndarray) else array.astype(int)  # [] picks nothing


def _is_basic(index: Index) -> bool:
    """Whether an index is made of slices and integers alone, so that it meets no entry twice."""
    parts = index if isinstance(index, tuple) else (index,)
    return not any(isinstance(part, (np.ndarray, list, bool, np.bool_)) for part in parts)


def _getitem(x: Array, index: Index) -> Array:
    return x[index]


def _scatter(g: Array, shape: tuple[int, ...], index: Index) -> Array:
    total = np.zeros(shape, g.dtype)
    _add_at(total, index, g)
    return total


def _add_at(total: Array, index: Index, addend: Array) -> None:
    if _is_basic(index):
        total[index] += addend
    else:
        np.add.at(total, index, addend)


_EXAMPLES = [
    ([(3, 4)], {"index": index})
    for index in (
        1,
        (slice(None), -1),
        (slice(None, None, -2), slice(1, 3)),
        (Ellipsis, None, 0),
        np.array([0, 2, 0]),
        np.array([], int),
        (np.array([[0], [2]]), np.array([1, 1, 3])),
        (slice(None), np.array([True, False, True, True])),
        np.arange(12).reshape(3, 4) % 3 == 0,
        (),
    )
]


def _getitem_vjp(g: Array, y: Array, x: Array, index: Index) -> Array:
    return scatter(g, shape=np.shape(x), index=index)


getitem = primitive(_getitem, _getitem_vjp, examples=_EXAMPLES)
scatter = primitive(
    _scatter,
    lambda g, y, x, shape, index: g[index],
    examples=[([np.empty((3, 4))[params["index"]].shape], {"shape": (3, 4), **params}) for _, params in _EXAMPLES],
)


def _index_set(x: Array, values: Array, index: Index) -> Array:
    result = np.array(x, np.result_type(x, values))
    result[index] = values
    return result


def _index_set_vjp_x(g: Array, y: Array, x: Array, values: Array, index: Index) -> Array:
    return index_set(g, 0, index=index)


def _like_values(g: Array, values: Array) -> Array:
    """The gradient at the entries as one of the values, which may have further axes of one in front."""
    return np.reshape(g, (1,) * (np.ndim(values) - np.ndim(g)) + np.shape(g))


def _index_set_vjp_values(g: Array, y: Array, x: Array, values: Array, index: Index) -> Array:
    if _is_basic(index):
        return _like_values(g[index], values)
    # where an index meets an entry twice, the last value stays and the others have no influence
    order = np.arange(np.size(np.empty(np.shape(x), bool)[index])).reshape(np.shape(g[index]))
    last = np.empty(np.shape(x), int)
    last[index] = order
    return _like_values(np.where(last[index] == order, g[index], 0), values)


def _index_add(x: Array, values: Array, index: Index) -> Array:
    result = np.array(x, np.result_type(x, values))
    addend = np.empty_like(result[index])
    addend[...] = values  # as an assignment broadcasts; np.add.at crashes on values of more axes than the entries have
    _add_at(result, index, addend)
    return result


def _with_values(examples: Any) -> Any:
    for (shape,), params in examples:
        index = params["index"]
        entries = np.empty(shape)[index].shape
        is_mask = (
            isinstance(index, np.ndarray) and index.dtype.kind == "b"
        )  # to which NumPy assigns one-dimensional values only
        for values in (entries, ()) if is_mask else (entries, (), (1, 1, *entries)):
            yield [shape, values], params


index_set = primitive(_index_set, _index_set_vjp_x, _index_set_vjp_values, examples=list(_with_values(_EXAMPLES)))
index_add = primitive(
    _index_add,
    lambda g, y, x, values, index: g,
    lambda g, y, x, values, index: _like_values(g[index], values),
    examples=list(_with_values(_EXAMPLES)),
)
