"""Indexing as nodes: entries are read by slices and by gathering, and put into an array by padding and by scattering."""

from math import prod
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lite.interchange.onnx_out.onnx_values import Call, Graph, Value, Writer, cast

INT = np.dtype(np.int64)
LAST = np.iinfo(INT).max
Shape = tuple[int, ...]


class _Index(NamedTuple):
    """An index in parts.

    Attributes:
        slices: for each axis of the array its slice; for an axis with an array of places, the whole axis.
        arrays: the arrays of places by axis, among them whole numbers if there is any array.
        points: the axes that a whole number removes, if there are no arrays.
        order: the result's axes in order: an axis of the array, "new", or "places" for those of the arrays.
    """

    slices: dict[int, slice]
    arrays: dict[int, Any]
    points: list[int]
    order: list[Any]


def _parts(index: Any, shape: Shape) -> _Index:
    parts = list(index) if isinstance(index, tuple) else [index]
    parts = [p for part in parts for p in (np.nonzero(part) if _is_mask(part) else (part,))]
    taken = sum(part is not None and part is not Ellipsis for part in parts)
    if not any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)
    place = next(i for i, part in enumerate(parts) if part is Ellipsis)
    spread = [slice(None)] * (len(shape) - taken)
    has_arrays = any(np.ndim(part) for part in parts if part is not None and not isinstance(part, slice)) or any(
        isinstance(part, Value) for part in parts
    )
    found = _Index({}, {}, [], [])
    axis, runs, inside = 0, 0, False
    for part in [*parts[:place], *spread, *parts[place + 1 :]]:
        is_array = part is not None and not isinstance(part, slice) and has_arrays
        if is_array and not inside:
            runs += 1
        inside = is_array
        if part is None:
            found.order.append("new")
            continue
        if isinstance(part, slice):
            found.slices[axis] = part
            found.order.append(axis)
        elif has_arrays:
            found.slices[axis] = slice(None)
            found.arrays[axis] = part
            if "places" not in found.order:
                found.order.append("places")
        else:
            found.slices[axis] = slice(int(part), int(part) + 1 if part != -1 else None)
            found.points.append(axis)
        axis += 1
    # NumPy puts the axes of the arrays in front if slices, new axes or an Ellipsis stand between them
    split = runs > 1 or (runs == 1 and 0 < place < len(parts) - 1 and not spread and _surrounds(parts, place))
    if split:
        found.order.remove("places")
        found.order.insert(0, "places")
    return found


def _surrounds(parts: list[Any], place: int) -> bool:
    """Whether an Ellipsis that stands for no axis stands between arrays."""
    before, behind = parts[place - 1], parts[place + 1]
    return all(part is not None and not isinstance(part, slice) for part in (before, behind))


def _is_mask(part: Any) -> bool:
    return getattr(part, "dtype", None) == bool and not isinstance(part, Value) and np.ndim(part) > 0


def _is_whole(part: slice) -> bool:
    return part.start in (None, 0) and part.stop is None and part.step in (None, 1)


def _sliced(graph: Graph, x: str, shape: Shape, slices: dict[int, slice]) -> str:
    """The entries that slices read."""
    cut = {axis: part for axis, part in slices.items() if not _is_whole(part)}
    if not cut:
        return x
    starts, ends, steps = [], [], []
    for axis, part in cut.items():
        start, stop, step = part.indices(shape[axis])
        starts.append(start if part.start is None or part.start >= 0 else part.start)
        ends.append((LAST if step > 0 else -LAST) if part.stop is None else stop if stop >= 0 else -LAST)
        steps.append(step)
    return graph.add("Slice", x, starts, ends, list(cut), steps)  # type: ignore[no-any-return]


def _places(graph: Graph, arrays: list[Any]) -> tuple[str, Shape]:
    """The places of the entries as one array, with the place along each axis last."""
    shape = np.broadcast_shapes(*map(np.shape, arrays))
    if not any(isinstance(x, Value) for x in arrays):
        return graph.constant(np.stack(np.broadcast_arrays(*arrays), -1).astype(INT)), shape
    columns = []
    for x in arrays:
        name = cast(graph, x, INT)
        if np.shape(x) != shape:
            name = graph.add("Expand", name, list(shape))
        columns.append(graph.add("Unsqueeze", name, [len(shape)]))
    return graph.add("Concat", *columns, axis=-1), shape


def _moved(graph: Graph, x: str, order: list[int]) -> str:
    return x if order == sorted(order) else graph.add("Transpose", x, perm=order)


def _read(call: Call) -> str:
    x = call.graph.of(call.inputs[0])
    return read(call.graph, x.name, x.shape, call.params["index"])


def read(graph: Graph, x: str, shape: Shape, index: Any) -> str:
    """The entries at an index."""
    at = _parts(index, shape)
    x = _sliced(graph, x, shape, at.slices)
    axes = [axis for axis in range(len(shape)) if axis not in at.points]
    if at.points:
        x = graph.add("Squeeze", x, at.points)
    kept: list[Any] = axes
    if at.arrays:
        kept = [axis for axis in axes if axis not in at.arrays]
        if len(at.arrays) == 1:
            ((axis, places),) = at.arrays.items()
            count = np.ndim(places)
            x = graph.add("Gather", x, cast(graph, places, INT), axis=axis)
            before = [a for a in kept if a < axis]
            dims = [*before, *[("places", i) for i in range(count)], *[a for a in kept if a > axis]]
        else:
            x = _moved(graph, x, [*at.arrays, *kept])
            places, wide = _places(graph, list(at.arrays.values()))
            count = len(wide)
            x = graph.add("GatherND", x, places)
            dims = [*[("places", i) for i in range(count)], *kept]
        kept = dims
    else:
        count = 0
    wanted: list[Any] = []
    for part in at.order:
        wanted += [("places", i) for i in range(count)] if part == "places" else [] if part == "new" else [part]
    x = _moved(graph, x, [kept.index(part) for part in wanted])
    new = _new_axes(at, count)
    return graph.add("Unsqueeze", x, new) if new else graph.add("Identity", x)


def _new_axes(at: _Index, count: int) -> list[int]:
    new, position = [], 0
    for part in at.order:
        if part == "new":
            new.append(position)
        position += count if part == "places" else 1
    return new


def _zeros(graph: Graph, shape: Any, dtype: Any) -> str:
    return graph.add("Expand", graph.constant(0, dtype=dtype), np.array(shape, INT))  # type: ignore[no-any-return]


def placed(graph: Graph, part: str, dtype: Any, shape: Shape, index: Any) -> str:
    """Zeros with an array added at an index; the array has the shape that the index reads."""
    at = _parts(index, shape)
    places, wide = _places(graph, list(at.arrays.values())) if at.arrays else ("", ())
    new = _new_axes(at, len(wide))
    if new:
        part = graph.add("Squeeze", part, new)
    if at.points:
        part = graph.add("Unsqueeze", part, at.points)
        return _spread(graph, part, dtype, shape, at.slices)
    if not at.arrays:
        return _spread(graph, part, dtype, shape, at.slices)
    order: list[Any] = []
    for axis in at.order:
        order += [("places", i) for i in range(len(wide))] if axis == "places" else [] if axis == "new" else [axis]
    kept = [axis for axis in range(len(shape)) if axis not in at.arrays]
    part = _moved(graph, part, [order.index(axis) for axis in [*[("places", i) for i in range(len(wide))], *kept]])
    inner = [len(range(*at.slices[axis].indices(shape[axis]))) for axis in kept]
    whole = _zeros(graph, [*[shape[axis] for axis in at.arrays], *inner], dtype)
    whole = graph.add("ScatterND", whole, places, part, reduction="add")
    laid = [*at.arrays, *kept]
    whole = _moved(graph, whole, [laid.index(axis) for axis in range(len(shape))])
    return _spread(graph, whole, dtype, shape, at.slices)


def _spread(graph: Graph, x: str, dtype: Any, shape: Shape, slices: dict[int, slice]) -> str:
    """Zeros with an array in place of what slices of each axis read."""
    cut = {axis: part for axis, part in slices.items() if not _is_whole(part)}
    if not cut:
        return x
    counts = [len(range(*slices[axis].indices(n))) for axis, n in enumerate(shape)]
    if 0 in counts:
        return _zeros(graph, shape, dtype)
    before, after = [0] * len(shape), [0] * len(shape)
    for axis, part in cut.items():
        start, _, step = part.indices(shape[axis])
        count = counts[axis]
        if step < 0:
            x = graph.add("Slice", x, [-1], [-LAST], [axis], [-1])
            start, step = start + (count - 1) * step, -step
        if step > 1 and count > 1:  # zeros between the entries
            x = graph.add("Unsqueeze", x, [axis + 1])
            pads = [0] * 2 * (len(shape) + 1)
            pads[len(shape) + 1 + axis + 1] = step - 1
            x = graph.add("Pad", x, pads, graph.constant(0, dtype=dtype))
            x = graph.add("Reshape", x, [*counts[:axis], count * step, *counts[axis + 1 :]])
            count = counts[axis] = (count - 1) * step + 1
            x = graph.add("Slice", x, [0], [count], [axis])
        before[axis], after[axis] = start, shape[axis] - start - count
    return graph.add("Pad", x, before + after, graph.constant(0, dtype=dtype))  # type: ignore[no-any-return]


def _scattered(call: Call) -> str:
    total = ""
    for i, index in enumerate(call.params["indices"]):
        part = _stretched(call, i, index)
        part = placed(call.graph, part, call.dtype, tuple(call.params["shape"]), index)
        total = call.add("Add", total, part) if total else part
    return total


def _stretched(call: Call, i: int, index: Any) -> str:
    """An input stretched to the entries at an index."""
    shape = _shape_at(call.shape, index)
    name, own = call.input(i), np.shape(call.inputs[i])
    if len(own) > len(shape):
        name = call.graph.add("Squeeze", name, list(range(len(own) - len(shape))))
        own = own[len(own) - len(shape) :]
    return name if own == shape else call.graph.add("Expand", name, np.array(shape, INT))


def _shape_at(shape: Shape, index: Any) -> Shape:
    at = _parts(index, shape)
    wide = np.broadcast_shapes(*map(np.shape, at.arrays.values()))
    found: list[int] = []
    for part in at.order:
        if part == "places":
            found += wide
        else:
            found.append(1 if part == "new" else len(range(*at.slices[part].indices(shape[part]))))
    return tuple(found)


def _set(call: Call) -> str:
    """The values where the index reads, and the array elsewhere."""
    graph, index, shape = call.graph, call.params["index"], call.shape
    x, values = call.input(0), _stretched(call, 1, index)
    at = _parts(index, shape)
    if not prod(_shape_at(shape, index)):
        return graph.add("Identity", x)  # type: ignore[no-any-return]
    if not at.arrays:
        ones = graph.add("Expand", graph.constant(True), np.array(_shape_at(shape, index), INT))
        inside = placed(graph, ones, bool, shape, index)
        return call.add("Where", inside, placed(graph, values, call.dtype, shape, index), x)  # type: ignore[no-any-return]
    kept = [axis for axis in range(len(shape)) if axis not in at.arrays]
    places, wide = _places(graph, list(at.arrays.values()))
    new = _new_axes(at, len(wide))
    if new:
        values = graph.add("Squeeze", values, new)
    spread = [("places", i) for i in range(len(wide))]
    order: list[Any] = []
    for axis in at.order:
        order += spread if axis == "places" else [] if axis == "new" else [axis]
    values = _moved(graph, values, [order.index(axis) for axis in [*spread, *kept]])
    laid = [*at.arrays, *kept]
    part = _sliced(graph, x, shape, at.slices)
    part = graph.add("ScatterND", _moved(graph, part, laid), places, values)
    part = _moved(graph, part, [laid.index(axis) for axis in range(len(shape))])
    if all(map(_is_whole, at.slices.values())):
        return part
    counts = [len(range(*at.slices[axis].indices(n))) for axis, n in enumerate(shape)]
    ones = graph.add("Expand", graph.constant(True), np.array(counts, INT))
    inside = _spread(graph, ones, np.dtype(bool), shape, at.slices)
    return call.add("Where", inside, _spread(graph, part, call.dtype, shape, at.slices), x)  # type: ignore[no-any-return]


def _added(call: Call) -> str:
    index = call.params["index"]
    part = placed(call.graph, _stretched(call, 1, index), call.dtype, call.shape, index)
    return call.add("Add", call.input(0), part)  # type: ignore[no-any-return]


INDEXING: dict[str, Writer] = {"getitem": _read, "scatter": _scattered, "index_set": _set, "index_add": _added}
