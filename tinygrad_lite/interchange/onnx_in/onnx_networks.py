"""How ONNX's layers are written: convolutions, pools, normalisations, attention, resizing, recurrence."""

from typing import Any

from tinygrad_lite.interchange.onnx_in.onnx_elementwise import dtype_named
from tinygrad_lite.interchange.onnx_in.onnx_nodes import Node, UnwritableError, operator
from tinygrad_lite.interchange.onnx_in.onnx_values import Code, written


def _plain(**settings: Any) -> dict[str, Any]:
    """The settings that differ from the layer's defaults."""
    usual = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "ceil_mode": False, "count_include_pad": True}
    shared = {name: _shared(x) for name, x in settings.items()}
    return {name: x for name, x in shared.items() if x != usual[name]}


def _shared(sizes: Any) -> Any:
    """One number for all axes if they have the same."""
    if not isinstance(sizes, (list, tuple)):
        return sizes
    return sizes[0] if len(set(sizes)) == 1 else tuple(sizes)


def _borders(node: Node, axes: int) -> tuple[list[int], list[int]]:
    """The widths of the padding in front and behind, on each axis."""
    pads = node.setting("pads") or [0] * 2 * axes
    return pads[:axes], pads[axes:]


def _padded(node: Node, kernel: Any, axes: int) -> tuple[str, Any]:
    """The input with the borders that a convolution cannot add itself, and the borders that it can."""
    mode = node.setting("auto_pad", default="NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        settings = {name: tuple(node.setting(name, default=[1] * axes)) for name in ("strides", "dilations")}
        more = {"extra_in_front": True} if mode == "SAME_LOWER" else {}
        return node.call("ox.same_border", 0, written(kernel), **settings, **more), 0
    front, behind = _borders(node, axes)
    if mode == "VALID" or front == behind:
        return node[0], 0 if mode == "VALID" else front
    return node.call("np.pad", 0, written(((0, 0), (0, 0), *zip(front, behind)))), 0


@operator("Conv")
def _convolution(node: Node) -> str:
    x, settings = convolution_settings(node, 1)
    return node.call(f"F.conv{node.axes_of(1) - 2}d", x, 1, 2, **settings)


def convolution_settings(node: Node, weight: int) -> tuple[str, dict[str, Any]]:
    """The input of a convolution with its border, and the settings; input number `weight` has the filters."""
    axes = node.axes_of(weight) - 2
    if axes not in (1, 2, 3):
        raise UnwritableError(f"a convolution runs over one, two or three axes, not {axes}")
    kernel = node.setting("kernel_shape") or Code(f"{node[weight]}.shape[2:]")
    x, padding = _padded(node, kernel if isinstance(kernel, Code) else tuple(kernel), axes)
    return x, _plain(
        stride=node.setting("strides", default=1),
        padding=padding,
        dilation=node.setting("dilations", default=1),
        groups=node.setting("group", default=1),
    )


@operator("ConvTranspose")
def _transposed_convolution(node: Node) -> str:
    axes = node.axes_of(1) - 2
    names = ("strides", "pads", "dilations", "group", "output_padding", "output_shape", "auto_pad")
    settings = {name: node.setting(name) for name in names}
    front, behind = _borders(node, axes)
    strides, dilations, more = (settings[name] or [n] * axes for name, n in zip(names[:5:2], (1, 1, 0)))
    is_usual = not settings["output_shape"] and settings["auto_pad"] in (None, "NOTSET", "VALID") and front == behind
    if is_usual and axes in (1, 2, 3) and all(m < max(s, d) for m, s, d in zip(more, strides, dilations)):
        plain = _plain(stride=strides, padding=front, groups=settings["group"] or 1, dilation=dilations)
        if any(more):
            plain["output_padding"] = _shared(more)
        return node.call(f"F.conv_transpose{axes}d", 0, 1, 2, **plain)
    usual: Any = (None, [], 1, "NOTSET")
    return node.call("ox.conv_transpose", 0, 1, 2, **{name: x for name, x in settings.items() if x not in usual})


@operator("MaxPool", "AveragePool", "LpPool")
def _pool(node: Node) -> str:
    kernel = tuple(node.setting("kernel_shape"))
    axes = len(kernel)
    front, behind = _borders(node, axes)
    strides, dilations = (node.setting(name, default=[1] * axes) for name in ("strides", "dilations"))
    mode = node.setting("auto_pad", default="NOTSET")
    is_ceiled, counts_border = bool(node.setting("ceil_mode")), bool(node.setting("count_include_pad"))
    is_usual = mode in ("NOTSET", "VALID") and front == behind and all(2 * p <= k for p, k in zip(front, kernel))
    if is_usual and axes in (1, 2, 3) and node.is_real() and not node.wants(1):
        stride = {} if tuple(strides) == kernel else {"stride": _shared(strides)}
        if node.op == "MaxPool":
            plain = _plain(padding=front, dilation=dilations, ceil_mode=is_ceiled)
            return node.call(f"F.max_pool{axes}d", 0, written(_shared(kernel)), **stride, **plain)
        if node.op == "AveragePool" and set(dilations) == {1} and not is_ceiled:
            plain = _plain(padding=front, count_include_pad=counts_border or not any(front))
            return node.call(f"F.avg_pool{axes}d", 0, written(_shared(kernel)), **stride, **plain)
    settings = {
        "strides": tuple(strides),
        "pads": node.setting("pads"),
        "dilations": tuple(dilations),
        "auto_pad": mode,
        "ceil_mode": is_ceiled,
    }
    if node.op == "LpPool":
        return node.call("ox.lp_pool", 0, str(node.setting("p", default=2)), written(kernel), **_told(settings))
    if node.op == "AveragePool":
        return node.call(
            "ox.average_pool", 0, written(kernel), **_told(settings | {"count_include_pad": counts_border})
        )
    settings |= {"column_major": bool(node.setting("storage_order")), "indices": node.wants(1)}
    return node.call("ox.max_pool", 0, written(kernel), **_told(settings))


def _told(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings without those that leave the default."""
    return {name: x for name, x in settings.items() if x not in (None, "NOTSET") and x is not False}  # 0 is a setting


@operator("MaxUnpool")
def _max_unpool(node: Node) -> str:
    settings = {name: node.setting(name) for name in ("strides", "pads")}
    kernel = tuple(node.setting("kernel_shape"))
    size = written(node.wholes("", 2))
    return node.call("ox.max_unpool", 0, 1, written(kernel), **_told(settings), size=Code(size))


_GLOBAL = {
    "GlobalAveragePool": "np.mean({x}, axis={axes}, keepdims=True)",
    "GlobalMaxPool": "np.max({x}, axis={axes}, keepdims=True)",
    "GlobalLpPool": "np.sum(np.abs({x}) ** {p}, axis={axes}, keepdims=True) ** (1 / {p})",
}


@operator(*_GLOBAL)
def _global_pool(node: Node) -> str:
    ndim = node.needs(0).ndim
    axes = f"tuple(range(2, {node[0]}.ndim))" if ndim is None else written(tuple(range(2, ndim)))
    return _GLOBAL[node.op].format(x=node[0], axes=axes, p=node.setting("p", default=2))


@operator("BatchNormalization")
def _batch_norm(node: Node) -> str:
    eps = node.setting("epsilon", default=1e-5)
    settings = {} if eps == 1e-5 else {"eps": eps}
    if node.wants(1) or node.setting("training_mode"):
        momentum = node.setting("momentum", default=0.9)
        return node.first_of("ox.batch_norm_in_training", *range(5), momentum=momentum, **settings)
    return node.call("F.batch_norm", 0, 3, 4, 1, 2, **settings)


@operator("InstanceNormalization")
def _instance_norm(node: Node) -> str:
    eps = node.setting("epsilon", default=1e-5)
    return node.call("F.instance_norm", 0, weight=Code(node[1]), bias=Code(node[2]), eps=eps)


@operator("LayerNormalization")
def _layer_norm(node: Node) -> str:
    axis, eps = node.setting("axis", default=-1), node.setting("epsilon", default=1e-5)
    bias = node.input(2)
    same = node.input(1) is not None and node.needs(1).ndim == (-axis if axis < 0 else node.axes_of() - axis)
    if node.wants(1) or node.wants(2) or not same or (bias is not None and bias.ndim != node.needs(1).ndim):
        return node.first_of("ox.layer_norm", 0, 1, 2, axis=axis, eps=eps)
    part = f"{node[0]}.shape[{axis}:]"
    return node.call("F.layer_norm", 0, part, 1, 2, **({} if eps == 1e-5 else {"eps": eps}))


@operator("RMSNormalization")
def _rms_norm(node: Node) -> str:
    axis, eps = node.setting("axis", default=-1), node.setting("epsilon", default=1e-5)
    if node.needs(1).ndim == (-axis if axis < 0 else node.axes_of() - axis):
        return node.call("F.rms_norm", 0, f"{node[0]}.shape[{axis}:]", 1, eps=eps)
    axes = tuple(range(axis % node.axes_of(), node.axes_of()))
    return f"F.rms_norm({node[0]}, {node[0]}.shape[{axes[0]}:], eps={written(eps)}) * {node[1]}"


@operator("GroupNormalization")
def _group_norm(node: Node) -> str:
    eps, groups = node.setting("epsilon", default=1e-5), node.setting("num_groups")
    if node.version < 21:  # then the scales are for groups, and not for channels
        scales = [Code(f"np.repeat({node[i]}, {node[0]}.shape[1] // {groups})") for i in (1, 2)]
        return node.call("F.group_norm", 0, str(groups), *scales, eps=eps)
    return node.call("F.group_norm", 0, str(groups), 1, 2, eps=eps)


@operator("LRN")
def _local_response(node: Node) -> str:
    settings = {
        "alpha": node.setting("alpha", default=1e-4),
        "beta": node.setting("beta", default=0.75),
        "k": node.setting("bias", default=1.0),
    }
    size = node.setting("size")
    if size % 2:
        return node.call("F.local_response_norm", 0, str(size), **settings)
    return f"{node.call('F.local_response_norm', f'{node[0]}[:, ::-1]', str(size), **settings)}[:, ::-1]"


@operator("LpNormalization")
def _lp_norm(node: Node) -> str:
    return node.call("ox.lp_normalize", 0, p=node.setting("p", default=2), axis=node.setting("axis", default=-1))


@operator("Attention")
def _attention(node: Node) -> str:
    settings = {name: node.setting(name) for name in ("q_num_heads", "kv_num_heads", "scale", "softcap")}
    settings["is_causal"] = bool(node.setting("is_causal"))
    window = tuple(node.setting(f"{side}_window_size", default=-1) for side in ("left", "right"))
    precision = node.setting("softmax_precision")
    settings |= {
        "window": None if window == (-1, -1) else window,
        "precision": precision and Code(dtype_named(precision)),
        "scores": node.setting("qk_matmul_output_mode"),
        "results": len(node.outputs) if node.wants(1) or node.wants(2) or node.wants(3) else None,
    }
    return node.call("ox.attention", *range(7), **{name: x for name, x in settings.items() if x})


@operator("Resize", "Upsample")
def _resize(node: Node) -> str:
    is_old = node.op == "Upsample" or node.version < 11
    scales: Any = node.setting("scales", 1 if is_old else 2)
    sizes: Any = None if is_old else node.wholes("", 3)
    scales = None if isinstance(scales, list) and not scales else scales
    settings = {
        "mode": node.setting("mode", default="nearest"),
        "axes": node.setting("axes"),
        "places": "asymmetric" if is_old else node.setting("coordinate_transformation_mode", default="half_pixel"),
        "rounding": "floor" if is_old else node.setting("nearest_mode", default="round_prefer_floor"),
        "a": node.setting("cubic_coeff_a", default=-0.75),
        "exclude_outside": bool(node.setting("exclude_outside")),
        "antialias": bool(node.setting("antialias")),
        "policy": node.setting("keep_aspect_ratio_policy", default="stretch"),
        "outside": node.setting("extrapolation_value", default=0.0),
    }
    usual = {"places": "half_pixel", "rounding": "round_prefer_floor", "a": -0.75, "policy": "stretch", "outside": 0.0}
    told = {name: x for name, x in _told(settings).items() if usual.get(name) != x}
    if node.input(1) is not None and settings["places"] == "tf_crop_and_resize":
        told["region"] = node.setting("", 1)
    if sizes:
        return node.call("ox.resize", 0, sizes=sizes, **told)
    return node.call("ox.resize", 0, scales=Code(scales) if isinstance(scales, Code) else tuple(scales), **told)


@operator("GridSample")
def _grid_sample(node: Node) -> str:
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(m := node.setting("mode", default="linear"), m)
    settings = {
        "mode": mode,
        "padding_mode": node.setting("padding_mode", default="zeros"),
        "align_corners": bool(node.setting("align_corners")),
    }
    return node.call("ox.grid_sample", 0, 1, **settings)


@operator("RoiAlign")
def _regions(node: Node) -> str:
    settings = {
        "size": (node.setting("output_height", default=1), node.setting("output_width", default=1)),
        "sampling_ratio": node.setting("sampling_ratio", default=0),
        "scale": node.setting("spatial_scale", default=1.0),
        "mode": node.setting("mode", default="avg"),
        "shift": 0.5
        if node.version >= 16 and node.setting("coordinate_transformation_mode", default="half_pixel") == "half_pixel"
        else 0.0,
    }
    return node.call("ox.region_align", 0, 1, 2, **settings)


@operator("LSTM", "GRU", "RNN")
def _recurrent(node: Node) -> str:
    settings = {
        name: node.setting(name)
        for name in ("direction", "activations", "clip", "layout", "linear_before_reset", "input_forget")
        if node.setting(name) not in (None, 0, "forward", [])
    }
    arguments = range(8 if node.op == "LSTM" else 6)
    return node.first_of(f"ox.{node.op.lower()}", *arguments, **settings)


@operator("NonMaxSuppression")
def _non_max_suppression(node: Node) -> str:
    settings = {"centered": True} if node.setting("center_point_box") else {}
    return node.call("ox.non_max_suppression", *range(5), **settings)


@operator("DeformConv")
def _deformable_convolution(node: Node) -> str:
    settings = {name: node.setting(name) for name in ("strides", "pads", "dilations", "group", "offset_group")}
    return node.call("ox.deformable_convolution", *range(5), **_told(settings))


@operator("QuantizeLinear", "DequantizeLinear")
def _quantize(node: Node) -> str:
    function = "ox.quantize" if node.op == "QuantizeLinear" else "ox.dequantize"
    dtype = node.setting("output_dtype")
    settings = {
        "dtype": Code(dtype_named(dtype)) if dtype else None,
        "axis": None if node.setting("axis", default=1) == 1 else node.setting("axis"),
        "block_size": node.setting("block_size") or None,
    }
    return node.call(function, 0, 1, 2, **_told(settings))


@operator("MatMulInteger", "QLinearMatMul")
def _quantized_product(node: Node) -> str:
    return node.call("ox.product" if node.op == "MatMulInteger" else "ox.quantized_product", *range(8))


@operator("ConvInteger", "QLinearConv")
def _quantized_convolution(node: Node) -> str:
    is_whole = node.op == "ConvInteger"
    weight = 1 if is_whole else 3
    x, settings = convolution_settings(node, weight)
    if x != node[0]:
        raise UnwritableError("its border differs in front and behind")
    return node.call("ox.convolution" if is_whole else "ox.quantized_convolution", *range(9), **settings)
