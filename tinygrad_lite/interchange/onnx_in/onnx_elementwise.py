"""How ONNX's arithmetic, comparisons, activations and casts are written."""

from functools import reduce
from typing import Any

import numpy as np

from tinygrad_lite.interchange.onnx_in.onnx_nodes import OPERATORS, Node, UnwritableError, operator
from tinygrad_lite.interchange.onnx_in.onnx_values import calculates, written

_FORMULAS = {
    "Abs": "np.abs({})",
    "Acos": "np.arccos({})",
    "Acosh": "np.arccosh({})",
    "Add": "{} + {}",
    "And": "np.logical_and({}, {})",
    "Asin": "np.arcsin({})",
    "Asinh": "np.arcsinh({})",
    "Atan": "np.arctan({})",
    "Atanh": "np.arctanh({})",
    "BitwiseAnd": "{} & {}",
    "BitwiseNot": "~{}",
    "BitwiseOr": "{} | {}",
    "BitwiseXor": "{} ^ {}",
    "Ceil": "np.ceil({})",
    "Cos": "np.cos({})",
    "Cosh": "np.cosh({})",
    "Det": "np.linalg.det({})",
    "Equal": "{} == {}",
    "Erf": "ox.erf({})",
    "Exp": "np.exp({})",
    "Floor": "np.floor({})",
    "Greater": "{} > {}",
    "GreaterOrEqual": "{} >= {}",
    "HardSwish": "F.hardswish({})",
    "IsNaN": "np.isnan({})",
    "Less": "{} < {}",
    "LessOrEqual": "{} <= {}",
    "Log": "np.log({})",
    "Mish": "F.mish({})",
    "Mul": "{} * {}",
    "Neg": "-{}",
    "Not": "np.logical_not({})",
    "Or": "np.logical_or({}, {})",
    "Reciprocal": "1 / {}",
    "Relu": "F.relu({})",
    "Round": "np.rint({})",
    "Sigmoid": "F.sigmoid({})",
    "Sign": "np.sign({})",
    "Sin": "np.sin({})",
    "Sinh": "np.sinh({})",
    "Softplus": "F.softplus({})",
    "Softsign": "F.softsign({})",
    "Sqrt": "np.sqrt({})",
    "Sub": "{} - {}",
    "Tan": "np.tan({})",
    "Tanh": "np.tanh({})",
    "Xor": "np.logical_xor({}, {})",
}
"""Operators without settings, each as an expression of its inputs."""


@operator(*_FORMULAS)
def _formula(node: Node) -> str:
    return _FORMULAS[node.op].format(*node.operands())


@operator("MatMul")
def _matrix_product(node: Node) -> str:
    return f"{node[0]} @ {node[1]}"


_REPEATED = {"Max": "np.maximum({}, {})", "Mean": "{} + {}", "Min": "np.minimum({}, {})", "Sum": "{} + {}"}


@operator(*_REPEATED)
def _repeated(node: Node) -> str:
    expression = reduce(_REPEATED[node.op].format, node.operands())
    return f"({expression}) / {len(node.inputs)}" if node.op == "Mean" else expression


@operator("Div")
def _divide(node: Node) -> str:
    a, b = node.operands()
    return f"{a} / {b}" if node.is_real() or node.is_real(1) else f"ox.divide({a}, {b})"


@operator("Mod")
def _modulo(node: Node) -> str:
    return f"np.{'fmod' if node.setting('fmod') else 'remainder'}({', '.join(node.operands())})"


@operator("Pow")
def _power(node: Node) -> str:
    base, exponent = node.needs(0), node.needs(1)
    if exponent.number is not None and (exponent.constant.ndim == 0 or (base.ndim or 0) >= exponent.constant.ndim):
        text = exponent.number
        is_whole = not node.is_real() and base.dtype is not None
        if not is_whole or exponent.dtype.kind in "iu":
            return f"{base.text} ** {text}"
    is_same = base.dtype is not None and base.dtype == exponent.dtype
    return f"{base.text} ** {exponent.text}" if is_same else f"ox.power({base.text}, {exponent.text})"


@operator("Where")
def _where(node: Node) -> str:
    values = [node.needs(i) for i in (1, 2)]
    are_numbers = [value.number is not None and value.constant.ndim == 0 for value in values]
    texts = [
        value.number if is_number and not all(are_numbers) else value.text
        for value, is_number in zip(values, are_numbers)
    ]
    return f"np.where({node[0]}, {texts[0]}, {texts[1]})"


@operator("BitShift")
def _shift(node: Node) -> str:
    return f"{node[0]} {'<<' if node.setting('direction') == 'LEFT' else '>>'} {node[1]}"


@operator("IsInf")
def _is_infinite(node: Node) -> str:
    signs = node.setting("detect_negative", default=1), node.setting("detect_positive", default=1)
    names = {(1, 1): "np.isinf", (1, 0): "np.isneginf", (0, 1): "np.isposinf"}
    return f"{names[signs]}({node[0]})" if any(signs) else f"np.zeros({node[0]}.shape, bool)"


@operator("Clip")
def _clip(node: Node) -> str:
    low, high = (_bound(node, *which) for which in (("min", 1), ("max", 2)))
    if low == high == "None":
        return f"+{node[0]}"
    return f"np.clip({node[0]}, {low}, {high})"


def _bound(node: Node, name: str, i: int) -> str:
    value = node.input(i)
    return written(node.setting(name, i)) if value is None or value.constant is not None else value.text


def _with_defaults(formula: str, **defaults: float) -> Any:
    """A writer of a formula of the input x and of attributes."""

    def writer(node: Node) -> str:
        settings = {name: written(node.setting(name, default=value)) for name, value in defaults.items()}
        return formula.format(x=node[0], **settings)

    return writer


_WITH_ATTRIBUTES = {
    "Celu": _with_defaults("F.celu({x}, {alpha})", alpha=1.0),
    "Elu": _with_defaults("F.elu({x}, {alpha})", alpha=1.0),
    "HardSigmoid": _with_defaults("np.clip({alpha} * {x} + {beta}, 0, 1)", alpha=0.2, beta=0.5),
    "LeakyRelu": _with_defaults("F.leaky_relu({x}, {alpha})", alpha=0.01),
    "Shrink": _with_defaults(
        "np.where({x} < -{lambd}, {x} + {bias}, np.where({x} > {lambd}, {x} - {bias}, 0))", lambd=0.5, bias=0.0
    ),
    "Swish": _with_defaults("{x} * F.sigmoid({alpha} * {x})", alpha=1.0),
    "ThresholdedRelu": _with_defaults("np.where({x} > {alpha}, {x}, 0)", alpha=1.0),
}
OPERATORS.update(_WITH_ATTRIBUTES)


@operator("Selu")
def _selu(node: Node) -> str:
    alpha, gamma = node.setting("alpha"), node.setting("gamma")
    if alpha in (None, 1.6732632) and gamma in (None, 1.050701):
        return f"F.selu({node[0]})"
    alpha, gamma = 1.6732632 if alpha is None else alpha, 1.050701 if gamma is None else gamma
    return f"{written(gamma)} * F.elu({node[0]}, {written(alpha)})"


@operator("PRelu")
def _prelu(node: Node) -> str:
    if node.version < 7:  # then the slopes are those of channels
        return node.call("F.prelu", 0, 1)
    return f"np.where({node[0]} < 0, {node[1]} * {node[0]}, {node[0]})"


@operator("Gelu")
def _gelu(node: Node) -> str:
    approximate = node.setting("approximate", default="none")
    return node.call("F.gelu", 0) if approximate == "none" else node.call("F.gelu", 0, approximate=approximate)


@operator("Softmax", "LogSoftmax")
def _softmax(node: Node) -> str:
    function = "F.softmax" if node.op == "Softmax" else "F.log_softmax"
    axis = node.setting("axis", default=-1 if node.version >= 13 else 1)
    if node.version >= 13 or axis in (-1, node.needs(0).ndim and node.axes_of() - 1):
        return node.call(function, 0, axis=axis)
    axes = node.axes_of()  # of all axes from this one on
    if node.op == "LogSoftmax":
        return f"{node[0]} - F.logsumexp({node[0]}, axis={written(tuple(range(axis % axes, axes)))}, keepdims=True)"
    return node.call(function, 0, axis=tuple(range(axis % axes, axes)))


@operator("Hardmax")
def _hardmax(node: Node) -> str:
    axis = node.setting("axis", default=-1 if node.version >= 13 else 1)
    if node.version < 13 and axis not in (-1, node.axes_of() - 1):
        raise UnwritableError("before version 13 it is over several axes")
    return node.call("ox.hardmax", 0, axis=axis)


@operator("Cast")
def _cast(node: Node) -> str:
    return cast(node[0], node.setting("to"))


def cast(x: str, element_type: int) -> str:
    """x in one of ONNX's types."""
    return f"{x}.astype({dtype_named(element_type)})"


def dtype_named(element_type: int) -> str:
    """One of ONNX's types as a dtype of NumPy.

    Raises:
        UnwritableError: if NumPy has no such dtype.
    """
    from onnx import TensorProto
    from onnx.helper import tensor_dtype_to_np_dtype

    name = TensorProto.DataType.Name(element_type).lower()
    return dtype_text(np.dtype(tensor_dtype_to_np_dtype(element_type)), name)


def dtype_text(dtype: Any, name: str = "") -> str:
    """A dtype as code, if NumPy calculates with it; ONNX may have another name for it."""
    if not calculates(dtype):
        raise UnwritableError(f"NumPy does not calculate with the type {name or dtype}")
    return "bool" if dtype.kind == "b" else f"np.{dtype}"


@operator("CastLike")
def _cast_like(node: Node) -> str:
    if (dtype := node.needs(1).dtype) is not None:
        dtype_text(dtype)  # it may raise
    return f"{node[0]}.astype({node[1]}.dtype)"


@operator("BitCast")
def _bit_cast(node: Node) -> str:
    return f"ox.bits_as({node[0]}, {dtype_named(node.setting('to'))})"


@operator("Dropout")
def _dropout(node: Node) -> str:
    ratio = node.setting("ratio", 1, 0.5)
    training = node.setting("training_mode", 2, False)
    if training is False:
        return f"{node[0]}, np.ones({node[0]}.shape, bool)" if node.wants(1) else f"+{node[0]}"
    return node.call("ox.dropout", 0, ratio=ratio, training=training, mask=node.wants(1), rng=node.setting("seed"))
