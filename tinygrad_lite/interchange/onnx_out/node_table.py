"""The table of basic operations: each NumPy function that ONNX has an operator for, with the nodes that it becomes."""

from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tinygrad_lite.foundation.sums import axes_of
from tinygrad_lite.interchange.onnx_out.node_indexing import INDEXING
from tinygrad_lite.interchange.onnx_out.written_values import Call, Writer, number_of
from tinygrad_lite.ops.networks.activations import log_softmax, softmax
from tinygrad_lite.ops.networks.convolution import convolution, transposed_convolution
from tinygrad_lite.ops.networks.pooling import max_pool

BOOL = np.dtype(bool)
INT = np.dtype(np.int64)


def _of_floats(operator: str, dtypes: str = "efd") -> Writer:
    """An operator for floating-point numbers of these kinds."""

    def write(call: Call) -> str | None:
        return call.add(operator, call.input(0)) if call.dtype.char in dtypes else None

    return write


def _rounding(operator: str) -> Writer:
    """A rounding, which leaves whole numbers as they are."""
    return lambda call: call.add(operator if call.dtype.kind == "f" else "Identity", call.input(0))


def _arithmetic(operator: str, of_truths: str = "") -> Writer:
    """An operator for numbers, and another one for booleans."""
    return lambda call: call.add(
        (of_truths if call.dtype == BOOL else "") or operator, *map(call.input, range(len(call.inputs)))
    )


def _comparison(operator: str) -> Writer:
    def write(call: Call) -> str:
        dtype = call.common
        if dtype.itemsize < 4 and (dtype != BOOL or operator != "Equal"):
            dtype = np.dtype(np.int32) if dtype.kind in "bui" else dtype
        return call.add(operator, call.input(0, dtype), call.input(1, dtype))

    return write


def _logical(operator: str) -> Writer:
    return lambda call: call.add(operator, *[call.input(i, BOOL) for i in range(len(call.inputs))])


def _bitwise(of_truths: str) -> Writer:
    return _arithmetic(f"Bitwise{of_truths}", of_truths)


def _remainder(call: Call) -> str | None:
    return call.add("Mod", call.input(0), call.input(1)) if call.dtype.kind in "iu" else None


def _is_number(operator: str) -> Writer:
    def write(call: Call) -> str | None:
        dtype = call.common
        return call.add(operator, call.as_is(0)) if dtype.kind == "f" else None

    return write


def _cast(call: Call) -> str:
    return call.add("Cast", call.as_is(0), to=number_of(call.dtype))


def _bfloat16(call: Call) -> str:
    return call.add("Cast", call.graph.add("Cast", call.input(0, np.float32), to=16), to=1)


def _where(call: Call) -> str:
    return call.add("Where", call.input(0, BOOL), call.input(1), call.input(2))


# Shapes


def _reshaped(call: Call) -> str | None:
    if call.params.get("order", "C") != "C":
        return None
    return call.add("Reshape", call.as_is(0), list(call.shape), allowzero=1)


def _transposed(call: Call) -> str:
    count = len(call.shape)
    if not count:
        return call.add("Identity", call.as_is(0))
    axes = [axis % count for axis in call.params.get("axes") or range(count)[::-1]]
    return call.add("Transpose", call.as_is(0), perm=axes)


def _swapped(call: Call) -> str:
    axes = list(range(len(call.shape)))
    i, k = call.params["axis1"], call.params["axis2"]
    axes[i], axes[k] = axes[k], axes[i]
    return call.add("Transpose", call.as_is(0), perm=axes)


def _stretched(call: Call) -> str:
    if not prod(call.shape):  # onnxruntime 1.32 leaves axes of length 1 as they are then
        return call.graph.constant(np.zeros(call.shape, call.dtype))
    return call.add("Expand", call.as_is(0), list(call.shape))


def _with_axes(call: Call) -> str:
    return call.add("Unsqueeze", call.as_is(0), list(axes_of(call.params["axis"], len(call.shape))))


def _without_axes(call: Call) -> str:
    shape, axis = np.shape(call.inputs[0]), call.params.get("axis")
    axes = [i for i, n in enumerate(shape) if n == 1] if axis is None else axes_of(axis, len(shape))
    if not axes:  # runtimes take no axes for all that have length 1
        return call.add("Identity", call.as_is(0))
    return call.add("Squeeze", call.as_is(0), list(axes))


def _concatenated(call: Call) -> str | None:
    axis = call.params.get("axis", 0)
    if axis is None:
        return None
    return call.add("Concat", *map(call.input, range(len(call.inputs))), axis=axis)


def _stacked(call: Call) -> str:
    axis = call.params.get("axis", 0) % len(call.shape)
    parts = [call.graph.add("Unsqueeze", call.input(i), [axis]) for i in range(len(call.inputs))]
    return call.add("Concat", *parts, axis=axis)


def _windows(call: Call) -> str:
    """The windows along one axis after another: each reads the entries at a table of places."""
    x, count = call.inputs[0], np.ndim(call.inputs[0])
    sizes, axis = call.params["window_shape"], call.params.get("axis")
    axes = axes_of(axis, count)
    name, order, lengths = call.as_is(0), list(range(count)), list(x.shape)
    for k, (size, i) in enumerate(zip(np.atleast_1d(sizes).tolist(), axes)):
        lengths[i] -= size - 1
        places = np.add.outer(np.arange(lengths[i]), np.arange(size))
        position = order.index(i)
        name = call.graph.add("Gather", name, places, axis=position)
        order.insert(position + 1, count + k)
    wanted = [order.index(i) for i in range(len(order))]
    return call.add("Transpose", name, perm=wanted)


# Reductions


def _reduction(operator: str) -> Writer:
    def write(call: Call) -> str | None:
        params = {name: x for name, x in call.params.items() if x is not np._NoValue and x is not None}
        if params.keys() - {"axis", "keepdims", "dtype"} or call.dtype == BOOL:
            return None
        shape = np.shape(call.inputs[0])
        if operator in ("ReduceMax", "ReduceMin", "ReduceMean") and not prod(shape):
            return None
        return reduced(call, operator, call.input(0), params.get("axis"), len(shape), params.get("keepdims", False))

    return write


def _extremum(operator: str) -> Writer:
    """The largest or least entry; runtimes leave out NaN, which NumPy passes on."""
    write_reduction = _reduction(operator)

    def write(call: Call) -> str | None:
        y = write_reduction(call)
        if y is None or call.dtype.kind != "f":
            return y
        axis, count = call.params.get("axis"), np.ndim(call.inputs[0])
        keepdims = call.params.get("keepdims", False) is True
        has_missing = reduced(call, "ReduceMax", _missing(call, call.input(0)), axis, count, keepdims)
        return call.add("Where", call.graph.add("Cast", has_missing, to=number_of(BOOL)), _number(call, np.nan), y)

    return write


def _missing(call: Call, x: str) -> str:
    """1 for NaN and 0 for numbers, in a dtype whose largest entry runtimes can find."""
    return call.graph.add("Cast", call.graph.add("IsNaN", x), to=number_of(np.int32))


def _number(call: Call, number: float) -> str:
    """A number in the dtype of the result."""
    return call.graph.constant(number, dtype=call.dtype)


def reduced(call: Call, operator: str, x: str, axis: Any, count: int, keepdims: bool) -> str:
    settings = {"keepdims": int(bool(keepdims)), "noop_with_empty_axes": 1}
    return call.add(operator, x, np.array(axes_of(axis, count), np.int64), **settings)


def _truths(is_any: bool) -> Writer:
    """all, as the least of numbers that are 0 or 1, which is 1 in runtimes where there are none; and any, by all."""

    def write(call: Call) -> str | None:
        if call.params.keys() - {"axis", "keepdims"}:
            return None
        graph, count = call.graph, np.ndim(call.inputs[0])
        truths = graph.add("Not", call.input(0, BOOL)) if is_any else call.input(0, BOOL)
        numbers = graph.add("Cast", truths, to=number_of(np.int32))
        least = reduced(call, "ReduceMin", numbers, call.params.get("axis"), count, call.params.get("keepdims", False))
        holds = call.add("Cast", least, to=number_of(BOOL))
        return call.add("Not", holds) if is_any else holds

    return write


def _place_of(operator: str) -> Writer:
    """The first place of the largest or least entry, or of NaN if there is one, which runtimes pass over."""

    def write(call: Call) -> str:
        count = np.ndim(call.inputs[0])
        axis = call.params.get("axis") if count else None
        dtype = call.graph.of(call.inputs[0]).dtype
        x = call.as_is(0) if dtype != BOOL else call.input(0, np.int32)
        keeps = call.params.get("keepdims", False) is True
        if axis is None:
            x = call.graph.add("Reshape", x, [-1])
        along, keepdims = 0 if axis is None else axis % count, int(keeps and axis is not None)
        place = call.add(operator, x, axis=along, keepdims=keepdims)
        if dtype.kind == "f":
            missing = _missing(call, x)
            first = call.graph.add("ArgMax", missing, axis=along, keepdims=keepdims)
            has_missing = call.graph.add("ReduceMax", missing, [along], keepdims=keepdims)
            place = call.add("Where", call.graph.add("Cast", has_missing, to=number_of(BOOL)), first, place)
        return place if axis is not None else call.add("Reshape", place, [1] * count if keeps else [])

    return write


def _sorted_places(call: Call) -> str | None:
    """argsort; operators that sort keep the order of equal entries."""
    x, axis = call.inputs[0], call.params.get("axis", -1)
    if axis is None or not np.ndim(x):
        return None
    n = x.shape[axis]
    numbers = call.as_is(0) if x.dtype != BOOL else call.input(0, np.int32)
    largest = int(call.params.get("descending", False))
    return call.graph.add_all("TopK", [numbers, [n]], 2, axis=axis % np.ndim(x), largest=largest, sorted=1)[1]


def _running_sum(call: Call) -> str | None:
    axis = call.params.get("axis")
    if axis is None or not np.ndim(call.inputs[0]):
        return None
    return call.add("CumSum", call.input(0), np.array(axis % len(call.shape)))


# Products


def _matmul(call: Call) -> str:
    """A product of matrices; a vector becomes one, since onnxruntime 1.32 gets a transposed matrix times it wrong."""
    names, single = [call.input(0), call.input(1)], []
    for i, axis in enumerate((-2, -1)):
        if np.ndim(call.inputs[i]) == 1:
            names[i] = call.graph.add("Unsqueeze", names[i], [axis])
            single.append(axis)
    y = call.add("MatMul", *names)
    return call.add("Squeeze", y, single) if single else y


def _det(call: Call) -> str | None:
    is_single = call.dtype == np.float32 and prod(np.shape(call.inputs[0]))
    return call.add("Det", call.input(0)) if is_single else None


def _einsum(call: Call) -> str | None:
    inputs, arrow, _ = call.params["subscripts"].partition("->")
    sizes: dict[str, int] = {}
    for term, x in zip(inputs.split(","), call.inputs):
        if not arrow or len(term) != np.ndim(x) or any(sizes.setdefault(c, n) != n for c, n in zip(term, np.shape(x))):
            return None
    return call.add("Einsum", *map(call.input, range(len(call.inputs))), equation=call.params["subscripts"])


# Networks


def _softmax(operator: str) -> Writer:
    def write(call: Call) -> str | None:
        axis = call.params.get("axis", -1)
        if not isinstance(axis, int) or not call.shape:
            return None
        if operator == "LogSoftmax" and call.dtype == np.float64:
            return None  # onnxruntime 1.32 turns NaN into numbers
        return call.add(operator, call.input(0), axis=axis)

    return write


def _pads(padding: Any) -> list[int]:
    return [before for before, _ in padding] + [after for _, after in padding]


def _convolution(call: Call) -> str | None:
    if call.dtype != np.float32 or not prod(call.shape):
        return None
    stride, padding, dilation, groups = (call.params[k] for k in ("stride", "padding", "dilation", "groups"))
    kernel = np.shape(call.inputs[1])[2:]
    settings = {"strides": list(stride), "pads": _pads(padding), "dilations": list(dilation), "group": groups}
    return call.add("Conv", call.input(0), call.input(1), kernel_shape=list(kernel), **settings)


def _transposed_convolution(call: Call) -> str | None:
    if call.dtype != np.float32 or not prod(call.shape):
        return None
    size, stride, padding, dilation, groups = (
        call.params[k] for k in ("size", "stride", "padding", "dilation", "groups")
    )
    kernel, small = np.shape(call.inputs[1])[2:], np.shape(call.inputs[0])[2:]
    made = [s * (n - 1) + d * (k - 1) + 1 - sum(p) for n, k, s, d, p in zip(small, kernel, stride, dilation, padding)]
    beyond = [n - m for n, m in zip(size, made)]
    if any(b < 0 or b >= max(s, d) for b, s, d in zip(beyond, stride, dilation)):
        return None
    settings = {"strides": list(stride), "pads": _pads(padding), "dilations": list(dilation), "group": groups}
    settings |= {"kernel_shape": list(kernel), "output_padding": beyond}
    return call.add("ConvTranspose", call.input(0), call.input(1), **settings)


def _max_pool(call: Call) -> str | None:
    kernel, stride, dilation = (call.params[k] for k in ("kernel", "stride", "dilation"))
    axes, shape = len(kernel), np.shape(call.inputs[0])
    if call.dtype.char not in "fd" or not prod(call.shape):
        return None
    settings: dict[str, Any] = {"kernel_shape": list(kernel), "strides": list(stride), "dilations": list(dilation)}
    whole = call.graph.add("Reshape", call.input(0), [prod(shape[:-axes]), 1, *shape[-axes:]])
    best = call.graph.add("MaxPool", whole, **settings)
    # Runtimes pass over NaN, and make a finite number of windows of -∞ alone. So the largest kind in each window is
    # found, too: 0 for -∞, 1 for other numbers, 2 for NaN.
    kind = call.graph.add("Cast", call.graph.add("Less", _number(call, -np.inf), whole), to=number_of(call.dtype))
    kind = call.graph.add("Where", call.graph.add("IsNaN", whole), _number(call, 2), kind)
    kind = call.graph.add("MaxPool", kind, **settings)
    for number, replacement in ((0, -np.inf), (2, np.nan)):
        is_kind = call.graph.add("Equal", kind, _number(call, number))
        best = call.graph.add("Where", is_kind, _number(call, replacement), best)
    return call.add("Reshape", best, list(call.shape))


def _required(call: Call) -> str:
    """ONNX raises no errors, so the graph notes what is refused, and its results will be NaN."""
    refused: Any = np.any(call.graph.of(call.inputs[0]))
    call.graph.refused.append(refused.name)
    return call.add("Identity", call.input(1))


SINGLE = "f"  # onnxruntime has no others of these operators
WRITERS: dict[Any, Writer] = {
    np.add: _arithmetic("Add", "Or"),
    np.subtract: _arithmetic("Sub"),
    np.multiply: _arithmetic("Mul", "And"),
    np.divide: _arithmetic("Div"),
    np.power: _arithmetic("Pow"),
    np.maximum: _arithmetic("Max", "Or"),
    np.minimum: _arithmetic("Min", "And"),
    np.negative: _arithmetic("Neg"),
    np.absolute: _arithmetic("Abs", "Identity"),
    np.sign: _arithmetic("Sign"),
    np.remainder: _remainder,
    np.fmod: lambda call: call.add("Mod", call.input(0), call.input(1), fmod=1),
    np.reciprocal: _of_floats("Reciprocal"),
    np.sqrt: _of_floats("Sqrt"),
    np.exp: _of_floats("Exp"),
    np.log: _of_floats("Log"),
    np.sin: _of_floats("Sin"),
    np.cos: _of_floats("Cos"),
    np.tanh: _of_floats("Tanh"),
    np.tan: _of_floats("Tan", SINGLE),
    np.arcsin: _of_floats("Asin", SINGLE),
    np.arccos: _of_floats("Acos", SINGLE),
    np.arctan: _of_floats("Atan", SINGLE),
    np.sinh: _of_floats("Sinh", SINGLE),
    np.cosh: _of_floats("Cosh", SINGLE),
    np.arcsinh: _of_floats("Asinh", SINGLE),
    np.arccosh: _of_floats("Acosh", SINGLE),
    np.arctanh: _of_floats("Atanh", SINGLE),
    np.floor: _rounding("Floor"),
    np.ceil: _rounding("Ceil"),
    np.rint: _rounding("Round"),
    np.positive: _arithmetic("Identity"),
    np.conjugate: _arithmetic("Identity"),
    "real": _arithmetic("Identity"),
    "real_if_close": _arithmetic("Identity"),
    "stop_gradient": _arithmetic("Identity"),
    np.equal: _comparison("Equal"),
    np.less: _comparison("Less"),
    np.less_equal: _comparison("LessOrEqual"),
    np.greater: _comparison("Greater"),
    np.greater_equal: _comparison("GreaterOrEqual"),
    np.logical_and: _logical("And"),
    np.logical_or: _logical("Or"),
    np.logical_xor: _logical("Xor"),
    np.logical_not: _logical("Not"),
    np.bitwise_and: _bitwise("And"),
    np.bitwise_or: _bitwise("Or"),
    np.bitwise_xor: _bitwise("Xor"),
    np.invert: _bitwise("Not"),
    np.isnan: _is_number("IsNaN"),
    np.isinf: _is_number("IsInf"),
    "cast": _cast,
    "bfloat16": _bfloat16,
    "where": _where,
    "reshape": _reshaped,
    "ravel": _reshaped,
    np.transpose: _transposed,
    np.swapaxes: _swapped,
    "broadcast_to": _stretched,
    np.expand_dims: _with_axes,
    np.squeeze: _without_axes,
    "concatenate": _concatenated,
    "stack": _stacked,
    sliding_window_view: _windows,
    "sum": _reduction("ReduceSum"),
    "mean": _reduction("ReduceMean"),
    np.prod: _reduction("ReduceProd"),
    "max": _extremum("ReduceMax"),
    "min": _extremum("ReduceMin"),
    np.all: _truths(is_any=False),
    np.any: _truths(is_any=True),
    np.argmax: _place_of("ArgMax"),
    np.argmin: _place_of("ArgMin"),
    np.argsort: _sorted_places,
    np.cumsum: _running_sum,
    np.matmul: _matmul,
    np.linalg.det: _det,
    "einsum": _einsum,
    "softmax": _softmax("Softmax"),
    "log_softmax": _softmax("LogSoftmax"),
    "convolution": _convolution,
    "transposed_convolution": _transposed_convolution,
    "max_pool": _max_pool,
    "refuse_where": _required,
    **INDEXING,
}
WHOLE = [softmax, log_softmax, convolution, transposed_convolution, max_pool]
"""Operations of networks that ONNX has operators for; the recording does not take them apart."""
