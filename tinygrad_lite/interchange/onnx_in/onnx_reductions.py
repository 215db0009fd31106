"""How ONNX's reductions, products and transforms are written."""

from tinygrad_lite.interchange.onnx_in.onnx_elementwise import dtype_named
from tinygrad_lite.interchange.onnx_in.onnx_nodes import Node, operator
from tinygrad_lite.interchange.onnx_in.onnx_values import Code, written

_REDUCTIONS = {
    "ReduceL1": "np.sum(np.abs({x}), {over})",
    "ReduceL2": "np.sqrt(np.sum({x} * {x}, {over}))",
    "ReduceLogSum": "np.log(np.sum({x}, {over}))",
    "ReduceLogSumExp": "F.logsumexp({x}, {over})",
    "ReduceMax": "np.max({x}, {over})",
    "ReduceMean": "np.mean({x}, {over})",
    "ReduceMin": "np.min({x}, {over})",
    "ReduceProd": "np.prod({x}, {over})",
    "ReduceSum": "np.sum({x}, {over})",
    "ReduceSumSquare": "np.sum({x} * {x}, {over})",
}


@operator(*_REDUCTIONS)
def _reduce(node: Node) -> str:
    axes = node.wholes("axes", 1)
    is_noop = bool(node.setting("noop_with_empty_axes"))
    if isinstance(axes, Code):
        axes = axes if is_noop else Code(f"{axes} or None")
    elif not axes:
        axes = () if is_noop else None
    axes = axes[0] if isinstance(axes, tuple) and len(axes) == 1 else axes
    over = f"axis={written(axes)}" + (", keepdims=True" if node.setting("keepdims", default=1) else "")
    formula, dtype = _REDUCTIONS[node.op], node.needs(0).dtype
    if dtype is None or dtype.kind != "f":  # NumPy's sums of narrow whole numbers are wide
        formula += f".astype({node[0]}.dtype)"
    return formula.format(x=node[0], over=over)


@operator("Gemm")
def _general_product(node: Node) -> str:
    alpha, beta = node.setting("alpha", default=1.0), node.setting("beta", default=1.0)
    a = f"{node[0]}.T" if node.setting("transA") else node[0]
    bias = node.input(2)
    if alpha == 1 and beta == 1 and node.setting("transB") and (bias is None or bias.ndim == 1):
        return f"F.linear({a}, {node[1]}{'' if bias is None else f', {bias.text}'})"
    b = f"{node[1]}.T" if node.setting("transB") else node[1]
    product = f"{a} @ {b}" if alpha == 1 else f"{written(alpha)} * ({a} @ {b})"
    if bias is None:
        return product
    return f"{product} + {bias.text}" if beta == 1 else f"{product} + {written(beta)} * {bias.text}"


@operator("Einsum")
def _einsum(node: Node) -> str:
    arrays = ", ".join(value.text for value in node.inputs if value is not None)
    return f"np.einsum({node.setting('equation')!r}, {arrays})"


@operator("DFT")
def _fourier(node: Node) -> str:
    axis = node.setting("axis", default=1) if node.version < 20 else node.whole("axis", 2, -2)
    settings = {name: bool(node.setting(name)) for name in ("inverse", "onesided")}
    return node.call("ox.fourier", node[0], written(node.whole("", 1)), axis=axis, **settings)


@operator("STFT")
def _short_time_fourier(node: Node) -> str:
    settings = {"onesided": bool(node.setting("onesided", default=1))}
    return node.call("ox.short_time_fourier", 0, written(node.whole("", 1)), 2, written(node.whole("", 3)), **settings)


@operator("MelWeightMatrix")
def _mel_weights(node: Node) -> str:
    numbers = [f"ox.scalar({node[i]})" for i in range(5)]
    return f"ox.mel_weights({', '.join(numbers)}, {dtype_named(node.setting('output_datatype', default=1))})"


@operator("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
def _likelihood_loss(node: Node) -> str:
    function = "ox.negative_log_likelihood" if node.op.startswith("Neg") else "ox.softmax_cross_entropy"
    settings = {"reduction": node.setting("reduction", default="mean"), "ignore_index": node.setting("ignore_index")}
    call = node.call(function, 0, 1, 2, **{name: x for name, x in settings.items() if x is not None})
    return f"{call}, F.log_softmax({node[0]}, axis=1)" if node.wants(1) else call


@operator("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike")
def _random(node: Node) -> str:
    names = {"mean": 0.0, "scale": 1.0} if "Normal" in node.op else {"low": 0.0, "high": 1.0}
    settings = [node.setting(name, default=value) for name, value in names.items()]
    is_like, dtype = node.op.endswith("Like"), node.setting("dtype")
    kind = f"{node[0]}.dtype" if is_like and dtype is None else dtype_named(1 if dtype is None else dtype)
    shape = f"{node[0]}.shape" if is_like else written(tuple(node.setting("shape")))
    function = "normal" if "Normal" in node.op else "uniform"
    seed = node.setting("seed")
    generator = f"np.random.default_rng({'' if seed is None else int(seed)})"
    return f"{generator}.{function}({settings[0]}, {settings[1]}, {shape}).astype({kind})"
