"""How ONNX's operators that move, select and collect entries are written."""

from typing import Any

import numpy as np

from tinygrad_lite.interchange.onnx_in.onnx_elementwise import dtype_named, dtype_text
from tinygrad_lite.interchange.onnx_in.onnx_nodes import Node, UnwritableError, operator
from tinygrad_lite.interchange.onnx_in.onnx_translation import array_of
from tinygrad_lite.interchange.onnx_in.onnx_values import Code, Value, scalar, written


@operator("Shape")
def _shape(node: Node) -> str:
    start, end = node.setting("start", default=0), node.setting("end")
    part = "" if (start, end) == (0, None) else f"[{start or ''}:{'' if end is None else end}]"
    return f"np.array({node[0]}.shape{part}, np.int64)"


@operator("Size")
def _size(node: Node) -> str:
    return f"np.int64({node[0]}.size)"


@operator("Reshape")
def _reshape(node: Node) -> str:
    shape = node.setting("shape", 1)
    keeps_zeros = bool(node.setting("allowzero"))
    if isinstance(shape, Code) or (keeps_zeros and 0 in shape):
        return node.call("ox.reshape", 0, written(shape), **({"keeps_zeros": True} if keeps_zeros else {}))
    sizes = [Code(f"{node[0]}.shape[{k}]") if n == 0 else n for k, n in enumerate(shape)]
    return f"np.reshape({node[0]}, {written(sizes)})"


@operator("Flatten")
def _flatten(node: Node) -> str:
    axis = node.setting("axis", default=1)
    if axis == 0:
        return f"np.reshape({node[0]}, (1, -1))"
    if axis == 1:
        return f"np.reshape({node[0]}, ({node[0]}.shape[0], -1))" if node.needs(0).ndim else f"ox.flatten({node[0]}, 1)"
    return f"ox.flatten({node[0]}, {axis})"


@operator("Transpose")
def _transpose(node: Node) -> str:
    order = node.setting("perm")
    return f"np.transpose({node[0]})" if order is None else f"np.transpose({node[0]}, {written(order)})"


@operator("Squeeze")
def _squeeze(node: Node) -> str:
    axes = node.wholes("axes", 1)
    return f"np.squeeze({node[0]})" if axes is None else f"np.squeeze({node[0]}, {_one_or_more(axes)})"


@operator("Unsqueeze")
def _unsqueeze(node: Node) -> str:
    return f"np.expand_dims({node[0]}, {_one_or_more(node.wholes('axes', 1))})"


def _one_or_more(axes: Any) -> str:
    return written(axes[0] if isinstance(axes, tuple) and len(axes) == 1 else axes)


@operator("Expand")
def _expand(node: Node) -> str:
    return f"ox.expand({node[0]}, {written(node.wholes('shape', 1))})"


@operator("Tile")
def _tile(node: Node) -> str:
    if node.version < 6:
        raise UnwritableError("it is older than version 6")
    return f"np.tile({node[0]}, {written(node.wholes('repeats', 1))})"


@operator("Concat")
def _concat(node: Node) -> str:
    parts = ", ".join(value.text for value in node.inputs if value is not None)
    return f"np.concatenate([{parts}], axis={node.setting('axis', default=1)})"


@operator("Split")
def _split(node: Node) -> str:
    axis = node.setting("axis", default=0)
    sizes = node.wholes("split", 1)
    if sizes is None:
        return f"ox.split({node[0]}, {node.setting('num_outputs', default=node.count)}, axis={axis})"
    if isinstance(sizes, Code) or any(isinstance(n, Code) for n in sizes):
        return f"np.split({node[0]}, np.cumsum({written(sizes)})[:-1], axis={axis})"
    return f"np.split({node[0]}, {np.cumsum(sizes)[:-1].tolist()}, axis={axis})"


@operator("Slice")
def _slice(node: Node) -> str:
    starts, ends = node.wholes("starts", 1), node.wholes("ends", 2)
    axes, steps = node.wholes("axes", 3), node.wholes("steps", 4)
    if any(isinstance(n, Code) for n in (starts, ends, axes, steps)):
        return node.call("ox.cut", node[0], *(written(n) for n in (starts, ends, axes, steps)))
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = (1,) * len(starts) if steps is None else steps
    are_known = all(isinstance(n, int) for n in (*axes, *steps)) and all(map(_is_safe, starts, ends, steps))
    if are_known and (min(axes, default=0) >= 0 or node.needs(0).ndim):
        axes = [axis if axis >= 0 else axis + node.axes_of() for axis in axes]
        if max(axes, default=0) < 6:
            parts = [":"] * (max(axes, default=-1) + 1)
            for axis, start, end, step in zip(axes, starts, ends, steps):
                parts[axis] = _part(start, end, step)
            return f"{node[0]}[{', '.join(parts)}]"
    return node.call("ox.cut", node[0], *(written(n) for n in (starts, ends, axes, steps)))


def _is_safe(start: Any, end: Any, step: Any) -> bool:
    """Whether Python's slices mean the same as ONNX's: always, but for numbers that lie far in front of the array."""
    if not isinstance(step, int) or step > 0:
        return isinstance(step, int)
    return isinstance(start, int) and isinstance(end, int) and start > -16 and (end > -16 or end <= -(2**31) + 1)


def _part(start: Any, end: Any, step: int) -> str:
    """A slice of Python; ONNX means by numbers far outside the first or the last entry."""
    starts_outside = isinstance(start, int) and start >= 2**31 - 1 and step < 0
    ends_outside = isinstance(end, int) and (end >= 2**31 - 1 if step > 0 else end <= -(2**31) + 1)
    first = "" if starts_outside or (step > 0 and start == 0) else start
    last = "" if ends_outside else end
    return f"{first}:{last}" + (f":{step}" if step != 1 else "")


@operator("Gather")
def _gather(node: Node) -> str:
    index, axis = node.needs(1), node.setting("axis", default=0)
    is_one = index.items is not None and index.ndim == 0
    number = index.items[0].code if is_one and index.items else index.text
    data = node.needs(0)
    may_be_plain = not data.learned and (data.constant is not None or np.dtype(data.dtype).kind in "iub")
    take = "ox.take" if may_be_plain and index.constant is None and index.items is None else "np.take"
    return f"{take}({data.text}, {number}, axis={axis})"


@operator("GatherElements")
def _gather_elements(node: Node) -> str:
    return node.call("ox.gather_elements", 0, 1, axis=node.setting("axis", default=0))


@operator("GatherND")
def _gather_nd(node: Node) -> str:
    return node.call("ox.gather_nd", 0, 1, batch_dims=node.setting("batch_dims", default=0))


@operator("ScatterElements", "Scatter")
def _scatter_elements(node: Node) -> str:
    settings = {"axis": node.setting("axis", default=0), "reduction": node.setting("reduction", default="none")}
    return node.call("ox.scatter_elements", 0, 1, 2, **settings)


@operator("ScatterND")
def _scatter_nd(node: Node) -> str:
    return node.call("ox.scatter_nd", 0, 1, 2, reduction=node.setting("reduction", default="none"))


@operator("TensorScatter")
def _tensor_scatter(node: Node) -> str:
    settings = {"axis": node.setting("axis", default=-2), "mode": node.setting("mode", default="linear")}
    return node.call("ox.tensor_scatter", 0, 1, 2, **settings)


@operator("Pad")
def _pad(node: Node) -> str:
    mode = node.setting("mode", default="constant")
    widths, axes = node.wholes("pads" if node.version > 1 else "paddings", 1), node.wholes("axes", 3)
    value = node.setting("value", 2, 0.0)
    value = value[0] if isinstance(value, list) else value
    is_known = all(isinstance(n, int) for n in widths) if isinstance(widths, tuple) else False
    if is_known and axes is None and min(widths, default=0) >= 0 and mode in ("constant", "reflect", "edge"):
        pairs = tuple(zip(widths[: len(widths) // 2], widths[len(widths) // 2 :]))
        if mode != "constant":
            return node.call("np.pad", node[0], written(pairs), mode=mode)
        return node.call("np.pad", node[0], written(pairs), **({} if value == 0 else {"constant_values": value}))
    return node.call("ox.pad", node[0], written(widths), written(axes), mode=mode, value=value)


@operator("ConstantOfShape")
def _constant_of_shape(node: Node) -> str:
    shape = node.wholes("shape", 0)
    value = node.setting("value")
    array = np.zeros(1, np.float32) if value is None else array_of(value)
    dtype = dtype_text(array.dtype)
    if not array[0]:
        return f"np.zeros({written(shape)}, {dtype})"
    return f"np.full({written(shape)}, {scalar(array.reshape(()))})"


@operator("Range")
def _range(node: Node) -> str:
    start, limit, step = (_bare(node.needs(i)) for i in range(3))
    dtype = node.needs(0).dtype
    return f"np.arange({start}, {limit}, {step}{'' if dtype is None else f', dtype=np.{dtype}'})"


def _bare(value: Value) -> Any:
    """A number among the settings of a call: known, of a shape, or computed."""
    if value.items is not None and value.ndim == 0:
        return value.items[0].code
    return value.number if value.number is not None else f"ox.scalar({value.text})"


@operator("OneHot")
def _one_hot(node: Node) -> str:
    return node.call("ox.one_hot", node[0], written(node.whole("depth", 1)), 2, axis=node.setting("axis", default=-1))


@operator("NonZero")
def _non_zero(node: Node) -> str:
    return f"np.stack(np.nonzero({node[0]}))"


@operator("Trilu")
def _triangle(node: Node) -> str:
    k = node.whole("k", 1, 0)
    return f"np.{'triu' if node.setting('upper', default=1) else 'tril'}({node[0]}{'' if k == 0 else f', {k}'})"


@operator("EyeLike")
def _eye_like(node: Node) -> str:
    dtype = node.setting("dtype")
    kind = f"{node[0]}.dtype" if dtype is None else dtype_named(dtype)
    return f"np.eye(*{node[0]}.shape, k={node.setting('k', default=0)}, dtype={kind})"


@operator("CumSum", "CumProd")
def _running(node: Node) -> str:
    function, axis = f"np.{node.op.lower()}", node.whole("axis", 1)
    if not node.setting("exclusive") and not node.setting("reverse"):
        return f"{function}({node[0]}, axis={axis}, dtype={node[0]}.dtype)"
    settings = {name: bool(node.setting(name)) for name in ("exclusive", "reverse")}
    return node.call("ox.running", function, node[0], axis, **settings)


@operator("ArgMax", "ArgMin")
def _place_of_extremum(node: Node) -> str:
    axis, keepdims = node.setting("axis", default=0), bool(node.setting("keepdims", default=1))
    if node.setting("select_last_index"):
        return node.call(f"ox.last_{node.op.lower()}", 0, axis=axis, keepdims=keepdims)
    return node.call(f"np.{node.op.lower()}", 0, axis=axis, keepdims=keepdims)


@operator("TopK")
def _top_k(node: Node) -> str:
    settings = {"axis": node.setting("axis", default=-1), "largest": bool(node.setting("largest", default=1))}
    both = node.call("ox.top_k", 0, written(node.whole("k", 1)), **settings)
    return both if node.wants(1) else f"{both}[0]"


@operator("Unique")
def _unique(node: Node) -> str:
    settings = {"axis": node.setting("axis"), "is_sorted": bool(node.setting("sorted", default=1))}
    return node.first_of("ox.unique", 0, **settings)


@operator("Compress")
def _compress(node: Node) -> str:
    axis = node.setting("axis")
    return f"np.compress({node[1]}, {node[0]}, axis={axis})"


@operator("ReverseSequence")
def _reverse_sequence(node: Node) -> str:
    settings = {name: node.setting(name, default=d) for name, d in (("batch_axis", 1), ("time_axis", 0))}
    return node.call("ox.reverse_sequence", 0, 1, **settings)


@operator("DepthToSpace", "SpaceToDepth")
def _depth(node: Node) -> str:
    function = "ox.depth_to_space" if node.op == "DepthToSpace" else "ox.space_to_depth"
    size, mode = node.setting("blocksize"), node.setting("mode", default="DCR")
    if mode == "CRD":
        return node.call("F.pixel_shuffle" if node.op == "DepthToSpace" else "F.pixel_unshuffle", 0, str(size))
    return node.call(function, 0, str(size))


@operator("Col2Im")
def _columns_to_image(node: Node) -> str:
    settings = {name: node.setting(name) for name in ("dilations", "pads", "strides") if node.setting(name)}
    return node.call(
        "ox.columns_to_image", node[0], written(node.wholes("", 1)), written(node.wholes("", 2)), **settings
    )


@operator("CenterCropPad")
def _center_crop_pad(node: Node) -> str:
    return node.call("ox.center_crop_pad", node[0], written(node.wholes("", 1)), axes=node.setting("axes"))
