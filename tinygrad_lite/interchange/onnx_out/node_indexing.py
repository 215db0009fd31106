"""Indexing as nodes: entries are read by slices and by gathering, and put somewhere by padding and by scattering."""

from math import prod
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lite.interchange.onnx_out.written_values import Call, Graph, Value, Writer, cast

INT = np.dtype(np.int64)
LAST = np.iinfo(INT).max
Shape = tuple[int, ...]


class _At(NamedTuple):
    """An index in parts.

    Attributes:
        slices: the slice of each axis; all of it for an axis with places.
        places: by axis the places that arrays name, among them whole numbers if there is any array.
        points: the axes that a whole number removes, if there are no arrays.
        order: the axes of what the index reads: an axis of the array, None for a new axis, or (i,) for one of places.
        wide: the shape of the places.
    """

    slices: list[slice]
    places: dict[int, Any]
    points: list[int]
    order: list[Any]
    wide: Shape

    @property
    def laid(self) -> list[Any]:
        """The axes in the order in which ONNX reads: those of the places, then the others of the array."""
        kept = [axis for axis in range(len(self.slices)) if axis not in self.places and axis not in self.points]
        return [*((i,) for i in range(len(self.wide))), *kept]

    @property
    def new(self) -> list[int]:
        return [i for i, axis in enumerate(self.order) if axis is None]

    def counts(self, shape: Shape) -> list[int]:
        """The length of each axis of the array after the slices."""
        return [len(range(*part.indices(n))) for part, n in zip(self.slices, shape)]

    def shape(self, shape: Shape) -> Shape:
        """The shape of what the index reads."""
        counts = self.counts(shape)
        sizes = (
            1 if axis is None else self.wide[axis[0]] if isinstance(axis, tuple) else counts[axis]
            for axis in self.order
        )
        return tuple(sizes)


def _at(index: Any, shape: Shape) -> _At:
    parts = list(index) if isinstance(index, tuple) else [index]
    parts = [p for part in parts for p in (np.nonzero(part) if _is_mask(part) else (part,))]
    if not any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)
    taken = sum(part is not None and part is not Ellipsis for part in parts)
    has_arrays = any(isinstance(part, Value) or np.ndim(part) for part in parts if not isinstance(part, slice))
    slices: list[slice] = []
    places: dict[int, Any] = {}
    points: list[int] = []
    order: list[Any] = []
    last, runs = None, 0  # NumPy puts the axes of places in front unless all arrays stand together
    for part in parts:
        is_place = has_arrays and part is not None and part is not Ellipsis and not isinstance(part, slice)
        runs += is_place and not last
        if is_place and "places" not in order:
            order.append("places")
        last = is_place
        if part is None:
            order.append(None)
        elif part is Ellipsis:
            for _ in range(len(shape) - taken):
                order.append(len(slices))
                slices.append(slice(None))
        elif isinstance(part, slice):
            order.append(len(slices))
            slices.append(part)
        elif is_place:
            places[len(slices)] = part
            slices.append(slice(None))
        else:
            points.append(len(slices))
            slices.append(slice(int(part), int(part) + 1 if part != -1 else None))
    wide = np.broadcast_shapes(*map(np.shape, places.values()))
    if places:
        start = order.index("places")
        order.remove("places")
        start = 0 if runs > 1 else start
        order[start:start] = [(i,) for i in range(len(wide))]
    return _At(slices, places, points, order, wide)


def _is_mask(part: Any) -> bool:
    return isinstance(part, np.ndarray) and part.dtype.kind == "b" and part.ndim > 0


def _is_whole(part: slice) -> bool:
    return part.start in (None, 0) and part.stop is None and part.step in (None, 1)


def _sliced(graph: Graph, x: str, shape: Shape, slices: list[slice]) -> str:
    """The entries that slices read."""
    cut = [axis for axis, part in enumerate(slices) if not _is_whole(part)]
    if not cut:
        return x
    starts, ends, steps = [], [], []
    for axis in cut:
        part = slices[axis]
        start, stop, step = part.indices(shape[axis])
        starts.append(start if part.start is None or part.start >= 0 else part.start)
        if part.stop is None:
            stop = LAST if step > 0 else -LAST
        ends.append(stop if stop >= 0 else -LAST)
        steps.append(step)
    return graph.add("Slice", x, starts, ends, cut, steps)


def _table(graph: Graph, at: _At) -> str:
    """The places of the entries as one array, with the place along each axis last."""
    arrays = list(at.places.values())
    if not any(isinstance(x, Value) for x in arrays):
        return graph.constant(np.stack(np.broadcast_arrays(*arrays), -1).astype(INT))
    columns = []
    for x in arrays:
        name = cast(graph, x, INT)
        name = name if np.shape(x) == at.wide else graph.add("Expand", name, list(at.wide))
        columns.append(graph.add("Unsqueeze", name, [len(at.wide)]))
    return graph.add("Concat", *columns, axis=-1)


def _moved(graph: Graph, x: str, before: list[Any], behind: list[Any]) -> str:
    """The array with its axes in another order."""
    order = [before.index(axis) for axis in behind]
    return x if order == sorted(order) else graph.add("Transpose", x, perm=order)


def _read(call: Call) -> str:
    graph, x = call.graph, call.graph.of(call.inputs[0])
    at = _at(call.params["index"], x.shape)
    name = _sliced(graph, x.name, x.shape, at.slices)
    if at.points:
        name = graph.add("Squeeze", name, at.points)
    laid = at.laid
    if len(at.places) == 1:
        ((axis, places),) = at.places.items()
        name = graph.add("Gather", name, cast(graph, places, INT), axis=axis)
        kept = [i for i in laid if not isinstance(i, tuple)]
        laid = [i for i in kept if i < axis] + laid[: len(at.wide)] + [i for i in kept if i > axis]
    elif at.places:
        name = _moved(graph, name, [*range(len(x.shape))], [*at.places, *laid[len(at.wide) :]])
        name = graph.add("GatherND", name, _table(graph, at))
    name = _moved(graph, name, laid, [axis for axis in at.order if axis is not None])
    return graph.add("Unsqueeze", name, at.new) if at.new else name


def _zeros(graph: Graph, shape: Any, dtype: Any) -> str:
    return graph.add("Expand", graph.constant(0, dtype=dtype), list(shape))


def _laid(graph: Graph, part: str, at: _At) -> str:
    """What an index reads, with the axes in the order in which ONNX scatters."""
    part = graph.add("Squeeze", part, at.new) if at.new else part
    return _moved(graph, part, [axis for axis in at.order if axis is not None], at.laid)


def _placed(graph: Graph, part: str, dtype: Any, shape: Shape, at: _At) -> str:
    """Zeros with an array added at an index; the array has the shape that the index reads."""
    if not prod(at.shape(shape)):
        return _zeros(graph, shape, dtype)
    part = _laid(graph, part, at)
    if at.points:
        part = graph.add("Unsqueeze", part, at.points)
    if at.places:
        counts, kept = at.counts(shape), at.laid[len(at.wide) :]
        whole = _zeros(graph, [counts[axis] for axis in (*at.places, *kept)], dtype)
        part = graph.add("ScatterND", whole, _table(graph, at), part, reduction="add")
        part = _moved(graph, part, [*at.places, *kept], [*range(len(shape))])
    return _spread(graph, part, dtype, shape, at)


def _spread(graph: Graph, x: str, dtype: Any, shape: Shape, at: _At) -> str:
    """Zeros with an array in place of what slices of each axis read."""
    counts = at.counts(shape)
    if 0 in counts:
        return _zeros(graph, shape, dtype)
    before, behind = [0] * len(shape), [0] * len(shape)
    for axis, part in enumerate(at.slices):
        if _is_whole(part):
            continue
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
        before[axis], behind[axis] = start, shape[axis] - start - count
    if all(map(_is_whole, at.slices)):
        return x
    return graph.add("Pad", x, before + behind, graph.constant(0, dtype=dtype))


def _stretched(call: Call, i: int, shape: Shape) -> str:
    """An input stretched to the entries at an index; it may have further axes of length 1 in front."""
    name, own = call.input(i), np.shape(call.inputs[i])
    if len(own) > len(shape):
        extra = len(own) - len(shape)
        name, own = call.graph.add("Squeeze", name, list(range(extra))), own[extra:]
    return name if own == shape else call.graph.add("Expand", name, list(shape))


def _scattered(call: Call) -> str:
    total, shape = "", tuple(call.params["shape"])
    for i, index in enumerate(call.params["indices"]):
        at = _at(index, shape)
        part = _placed(call.graph, _stretched(call, i, at.shape(shape)), call.dtype, shape, at)
        total = call.add("Add", total, part) if total else part
    return total


def _set(call: Call) -> str:
    """The values where the index reads, and the array elsewhere."""
    graph, shape, x = call.graph, call.shape, call.input(0)
    at = _at(call.params["index"], shape)
    read = at.shape(shape)
    if not prod(read):
        return x
    values = _stretched(call, 1, read)
    if at.places:
        laid = [*at.places, *at.laid[len(at.wide) :]]
        part = _moved(graph, _sliced(graph, x, shape, at.slices), [*range(len(shape))], laid)
        part = graph.add("ScatterND", part, _table(graph, at), _laid(graph, values, at))
        values = _moved(graph, part, laid, [*range(len(shape))])
        if all(map(_is_whole, at.slices)):
            return values
        at = _At(at.slices, {}, [], [*range(len(shape))], ())
    inside = graph.add("Expand", graph.constant(True), list(at.shape(shape)))
    inside = _placed(graph, inside, bool, shape, at)
    return call.add("Where", inside, _placed(graph, values, call.dtype, shape, at), x)


def _added(call: Call) -> str:
    at = _at(call.params["index"], call.shape)
    part = _placed(call.graph, _stretched(call, 1, at.shape(call.shape)), call.dtype, call.shape, at)
    return call.add("Add", call.input(0), part)


INDEXING: dict[Any, Writer] = {"getitem": _read, "scatter": _scattered, "index_set": _set, "index_add": _added}
