"""JavaScript printed from a declaration: a forward or a rule that runs on `Scripted` values writes its own source.

The page's own small NumPy (`page/numpy.js`) has the functions that are called here, under NumPy's names, so a page
computes with the declarations themselves. Code that depends on numbers in Python, or calls a function that the page
lacks, cannot be printed; then the page says that it shows recorded values.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tinygrad_lite.engine.backward import whole
from tinygrad_lite.engine.op import Array, Op, Traced
from tinygrad_lite.errors import UsageError
from tinygrad_lite.explainer.forms import FORMS
from tinygrad_lite.explainer.masked import MASKED
from tinygrad_lite.explainer.packing import WHOLE
from tinygrad_lite.explainer.parts import BY_PARTS, LINEAR, PRODUCTS, TRANSFORMS, Parts, linear, product, transformed
from tinygrad_lite.explainer.signs import WITH_VECTORS
from tinygrad_lite.explainer.special import SPECIAL
from tinygrad_lite.foundation.phrases import phrase
from tinygrad_lite.ops.arithmetic.curves import segments
from tinygrad_lite.ops.arithmetic.ordering import lines_along, quantile_places
from tinygrad_lite.ops.arithmetic.running import slice_by_slice
from tinygrad_lite.ops.linear.contraction import axes_by_letters, einsum, subscripts_of
from tinygrad_lite.ops.shapes.indexing import picked
from tinygrad_lite.readers.expression import Numbered, numbers
from tinygrad_lite.transforms.dual import Dual
from tinygrad_lite.transforms.levels import pushing

UNARY = """
    negative reciprocal square sqrt cbrt absolute fabs sign floor ceil trunc rint exp exp2 expm1 log log2 log10
    log1p sin cos tan arcsin arccos arctan degrees rad2deg radians deg2rad sinh cosh tanh arcsinh arccosh arctanh
    logical_not invert isfinite isinf isnan signbit zeros_like ones_like normal_cdf erf erfc erfcx exponent
""".split()  # noqa: SIM905  words are read more easily than quotes and commas
BINARY = """
    add subtract multiply divide power float_power remainder fmod floor_divide hypot copysign heaviside logaddexp
    logaddexp2 arctan2 ldexp maximum minimum fmax fmin equal not_equal less less_equal greater greater_equal logical_and
    logical_or logical_xor bitwise_and bitwise_or bitwise_xor
""".split()  # noqa: SIM905
REDUCTIONS = ("sum", "mean", "prod", "max", "min", "all", "any")
FUNCTIONS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys([*UNARY, *BINARY, "where", "matmul", "dot", "inner", "inv", "solve"], ()),
    **dict.fromkeys(["det", "sign_of_det", "log_abs_det"], ()),
    "cholesky": ("upper",),
    "eigvalsh": ("UPLO",),
    "svdvals": ("hermitian",),
    "eigh": ("UPLO", "values_used", "alike"),
    "svd": ("full_matrices", "hermitian", "values_used", "alike"),
    "qr": ("mode",),
    **dict.fromkeys(REDUCTIONS, ("axis", "keepdims", "initial")),
    **dict.fromkeys(("var", "std"), ("axis", "keepdims", "ddof", "correction")),
    "norm": ("axes", "keepdims", "ord"),
    "vector_norm": ("axis", "keepdims", "ord"),
    "round": ("decimals",),
    "cumsum": ("axis",),
    "cumprod": ("axis",),
    **dict.fromkeys(("argmax", "argmin"), ("axis", "keepdims")),
    "argsort": ("axis", "stable"),
    "searchsorted": ("side",),
    "clip": (),
    "concatenate": ("axis",),
    "stack": ("axis",),
    "transpose": ("axes",),
    "swapaxes": ("axis1", "axis2"),
    "einsum": ("subscripts",),
}
"""The functions of the page's own NumPy, each with the parameters that it knows."""

_SAME_ENTRIES = frozenset({"reshape", "ravel", "expand_dims", "squeeze", "cast", "stop_gradient", "positive", "real"})


class NotPrintableError(UsageError):
    """A declaration that cannot be written as JavaScript; the message says why."""


class Scripted(Numbered):
    """An array that writes its own computation as JavaScript.

    Attributes:
        text: the expression.
        parts: of a complex array, its real and imaginary parts, which are scripted or constants.
    """

    __slots__ = ("_script", "parts", "text")

    def __init__(self, value: Array, text: str, script: "_Script", parts: Parts | None = None) -> None:
        self.value = value
        self.text = text
        self.parts = parts
        self._script = script

    def __trace__(self, op: Op, inputs: tuple[Array, ...], params: Mapping[str, Any]) -> Any:
        for x in inputs:
            if isinstance(x, Dual):  # which is outermost
                return x.__trace__(op, inputs, params)
        return self._script.performed(op, inputs, params)

    def refusal(self) -> NotPrintableError:
        """The error for code that asks for the numbers."""
        return NotPrintableError(phrase("it depends on numbers in Python"))


_TELL_NOTHING = None, False, "same_kind"
"""Values of parameters that a page's function may do without."""


class _Script:
    """The lines of a function so far."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._within: list[Op] = []

    def performed(self, op: Op, inputs: Sequence[Array], params: Mapping[str, Any]) -> Any:
        """The result of an operation on scripted values."""
        is_complex = _is_complex(op, inputs, params)
        if is_complex:
            parts = self._by_parts(op, [_parts(x) for x in inputs], params)
            if parts is not None:
                return self.complex_of(parts)
        known = op.name in _BY_OTHERS or (not is_complex and (op.name in FUNCTIONS or _moves(op)))
        if op.is_composite and not known and op not in self._within:
            self._within.append(op)
            try:
                return op.forward(*inputs, **params)
            finally:
                self._within.pop()
        if op.name in _BY_OTHERS and (result := _BY_OTHERS[op.name](*inputs, **params)) is not NotImplemented:
            return result
        if is_complex and op.name in FUNCTIONS:
            raise NotPrintableError(phrase("{op} of complex numbers has no form in the page", op=op))
        if op.name not in _MOVES and any(isinstance(parameter, Scripted) for parameter in params.values()):
            raise NotPrintableError(phrase("{op} takes a parameter that depends on numbers", op=op))
        with np.errstate(all="ignore"):
            value = op.forward(*map(numbers, inputs), **{name: _in_numbers(x) for name, x in params.items()})
        if not hasattr(value, "dtype"):
            raise NotPrintableError(phrase("{op} answers a question about numbers", op=op))
        text = self._call(op, inputs, dict(params), value)
        if value.dtype == np.float32 and not _moves(op):
            text = f"np.float32({text})"
        self.lines.append(f"const v{len(self.lines)} = {text};")
        return Scripted(value, f"v{len(self.lines) - 1}", self)

    def _by_parts(self, op: Op, operands: Sequence[Parts], params: Mapping[str, Any]) -> Parts | None:
        """The result of an operation on complex numbers; None if it consists of others."""

        def real(*arrays: Array) -> Array:
            is_scripted = any(isinstance(x, Scripted) for x in (*arrays, *params.values()))
            return self.performed(op, arrays, params) if is_scripted else op.forward(*arrays, **params)

        if op.name in TRANSFORMS:
            return transformed(op.name, lambda x: Scripted(x, self.written(x), self), operands[0], **params)
        if op.name in BY_PARTS and not params:
            return BY_PARTS[op.name](*operands)
        if op.name == "cast":
            return operands[0] if np.dtype(params["dtype"]).kind == "c" else Parts(operands[0].real)
        if op.name in LINEAR and "initial" not in params:  # with the number that a sum starts from, it is not linear
            return linear(real, *operands)
        if op.name in PRODUCTS:
            return product(real, *operands)
        if op.name in _BY_OTHERS or (op.is_composite and op not in self._within):
            return None
        raise NotPrintableError(phrase("{op} of complex numbers has no form in the page", op=op))

    def complex_of(self, parts: Parts) -> Any:
        """A complex array of its parts; a real one has one part."""
        if parts.imag is None:
            return parts.real
        value = numbers(parts.real) + 1j * numbers(parts.imag)
        return Scripted(value, f"np.complex({self.written(parts.real)}, {self.written(parts.imag)})", self, parts)

    def argument(self, x: Array, name: str) -> Scripted:
        """An array that the function is given."""
        if np.asarray(x).dtype.kind != "c":
            return Scripted(x, name, self)
        parts = Parts(Scripted(x.real, f"np.real({name})", self), Scripted(x.imag, f"np.imag({name})", self))
        return Scripted(x, name, self, parts)

    def _call(self, op: Op, inputs: Sequence[Array], params: dict[str, Any], value: Array) -> str:
        if op.name in _MOVES:
            return _MOVES[op.name](*map(self.written, inputs), *map(np.shape, inputs), value, **params)
        if op.name == "cast" and value.dtype.kind in "iub" and np.asarray(numbers(inputs[0])).dtype.kind == "f":
            whole_number = "not_equal" if value.dtype.kind == "b" else "trunc"
            return f"np.{whole_number}({self.written(inputs[0])}{', 0' if value.dtype.kind == 'b' else ''})"
        if op.name in _SAME_ENTRIES:
            if params.get("order", "C") != "C":
                flat_indices = op.forward(np.arange(np.size(value)).reshape(np.shape(inputs[0])), **params)
                return f"np.take({self.written(inputs[0])}, {json.dumps(np.shape(value))}, {_listed(flat_indices)})"
            return f"np.reshape({self.written(inputs[0])}, {json.dumps(np.shape(value))})"
        if op.name == "tensordot":
            subscripts = subscripts_of(np.ndim(numbers(inputs[0])), np.ndim(numbers(inputs[1])), params["axes"])
            return self._call(einsum, inputs, {"subscripts": subscripts}, value)
        if op.name not in FUNCTIONS or (op.name in _LACKING and _LACKING[op.name](inputs[0], **params)):
            raise NotPrintableError(phrase("{op} has no form in the page", op=op))
        if op.name == "einsum":
            terms, output = axes_by_letters(params["subscripts"], [np.ndim(x) for x in map(numbers, inputs)])
            params["subscripts"] = f"{','.join(terms)}->{output}"
        unknown = [name for name in params if name not in FUNCTIONS[op.name]]
        if any(isinstance(params[name], np.ndarray) or params[name] not in _TELL_NOTHING for name in unknown):
            raise NotPrintableError(phrase("{op} has no form in the page with {name}=", op=op, name=unknown[0]))
        told = {
            name: parameter
            for name, parameter in params.items()
            if name in FUNCTIONS[op.name] and (parameter is not None or name == "axis")
        }
        if op.name in WITH_VECTORS and not params.get("alike"):  # the signs that were recorded
            told["like"] = value.ravel().tolist()
        parts = [self.written(x) for x in inputs] + ([json.dumps(told, default=_plain)] if told else [])
        return f"np.{op.name}({', '.join(parts)})"

    def written(self, x: Any) -> str:
        """The expression for a value."""
        if isinstance(x, Scripted):
            return x.text
        if x is None:
            return "null"
        if isinstance(x, Traced):
            raise NotPrintableError(phrase("it depends on a {type} from outside", type=type(x).__name__))
        if np.ndim(x) == 0:
            return _number(x)
        array = np.asarray(x)
        if array.dtype.kind not in "biuf" or array.size > WHOLE:
            raise NotPrintableError(phrase("a constant {dtype} of shape {shape}", dtype=array.dtype, shape=array.shape))
        return f"np.array({json.dumps(array.shape)}, [{', '.join(map(_number, array.ravel().tolist()))}])"


def function(
    rule: Callable[..., Any],
    arguments: Mapping[str, Array],
    params: Mapping[str, Any],
    computed: Mapping[str, Array] = MappingProxyType({}),
    expected: Array = None,
) -> str:
    """A forward or a rule as a JavaScript function of the page's NumPy and of the named arrays.

    Arguments that are plain numbers or arrays of integers become constants in it, unless they are in `computed`, which
    has further arguments: arrays of the parameters, such as an index.

    Raises:
        NotPrintableError: if it cannot be written as JavaScript, or does not compute what is expected.

    Example:
        >>> import numpy as np
        >>> from tinygrad_lite.ops.arithmetic.elementwise import tan
        >>> print(function(tan.derivatives[0], {"y": np.ones(2), "x": np.ones(2)}, {}))
        (np, y, x) => {
          const v0 = np.multiply(y, y);
          const v1 = np.add(1, v0);
          return v1;
        }
    """
    script = _Script()
    scripted = [script.argument(x, name) if is_argument(x) or name in computed else x for name, x in arguments.items()]
    further = {name: x for name, x in computed.items() if name not in arguments}
    own = {id(x): Scripted(x, name, script) for name, x in further.items()}
    try:
        gradient = rule(*scripted, **{name: _with(own, x) for name, x in params.items()})
        gradient = whole(gradient)
        result = script.written(gradient)
    except NotPrintableError:
        raise
    except Exception as error:  # a rule may do anything with numbers that it does not see
        raise NotPrintableError(phrase("it depends on numbers in Python ({error})", error=error)) from error
    if expected is not None and not np.array_equal(numbers(gradient), expected, equal_nan=True):
        raise NotPrintableError(phrase("it returned another value when it ran again"))
    body = "".join(f"  {line}\n" for line in script.lines)
    return f"({', '.join(['np', *arguments, *further])}) => {{\n{body}  return {result};\n}}"


def _with(scripted: Mapping[int, Scripted], x: Any) -> Any:
    """A parameter in which arrays, by their ids, are scripted."""
    if isinstance(x, tuple) and not hasattr(x, "_fields"):
        return type(x)(_with(scripted, part) for part in x)
    return scripted.get(id(x), x)


def _in_numbers(x: Any) -> Any:
    """A parameter with the numbers of what is scripted in it."""
    return type(x)(map(_in_numbers, x)) if isinstance(x, tuple) and not hasattr(x, "_fields") else numbers(x)


def pushed(op: Op, position: int) -> Callable[..., Any]:
    """The function (t, *x) of the change of an operation that is composed of others, if one argument changes by t."""

    def change(t: Array, *arrays: Array, **params: Any) -> Array:
        with pushing() as level:
            arguments = (Dual(x, t, level) if i == position else x for i, x in enumerate(arrays))
            return op.forward(*arguments, **params).tangent

    return change


def is_argument(x: Any) -> bool:
    """Whether it is an array to pass to a program; labels and indices, which are integers, become constants in it."""
    return isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind in "fbc"


def _getitem(x: str, shape: tuple[int, ...], value: Array, index: Any) -> str:
    return f"np.take({x}, {json.dumps(np.shape(value))}, {_flat_indices(shape, index)})"


def _scatter(*texts: Any, shape: tuple[int, ...], indices: Sequence[Any]) -> str:
    parts = texts[: len(indices)]
    flat_indices = [_flat_indices(shape, index) for index in indices]
    forms = [list(_form(shape, index)) for index in indices]
    return f"np.scatter({json.dumps(shape)}, [{', '.join(parts)}], [{', '.join(flat_indices)}], {json.dumps(forms)})"


def _indexed(name: str) -> Callable[..., str]:
    """The text of an operation that puts values at the entries of an index."""

    def write(x: str, values: str, shape: tuple[int, ...], _: Any, value: Array, index: Any) -> str:
        return f"np.{name}({x}, {values}, {_flat_indices(shape, index)}, {json.dumps(_form(shape, index))})"

    return write


def _broadcast_to(x: str, _: Any, value: Array, **__: Any) -> str:
    return f"np.broadcast_to({x}, {json.dumps(np.shape(value))})"


def _windows(x: str, shape: tuple[int, ...], value: Array, **params: Any) -> str:
    shown = sliding_window_view(np.arange(int(np.prod(shape))).reshape(shape), **params)
    return f"np.take({x}, {json.dumps(np.shape(value))}, {_listed(shown)})"


_MOVES: dict[str, Callable[..., str]] = {
    "getitem": _getitem,
    "sliding_window_view": _windows,
    "scatter": _scatter,
    "index_set": _indexed("index_set"),
    "index_add": _indexed("index_add"),
    "broadcast_to": _broadcast_to,
}
"""The operations that move entries, each with its text, from its inputs' texts and shapes, its value and parameters."""


def _trace(x: Array, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Array:
    return np.sum(np.diagonal(x, offset, axis1, axis2), axis=-1, dtype=dtype)


def _matrix_power(x: Array, n: int) -> Array:
    if n == 0:
        return np.zeros_like(x) + np.eye(x.shape[-1])
    return reduce(np.matmul, [np.linalg.inv(x) if n < 0 else x] * abs(n))


def _convolve(a: Array, v: Array, mode: str = "full") -> Array:
    longer, shorter = (a, v) if a.size >= v.size else (v, a)
    rows = sliding_window_view(np.pad(longer, shorter.size - 1), shorter.size)
    whole = np.sum(rows * np.flip(shorter), axis=-1)
    before = {"full": 0, "same": (shorter.size - 1) // 2, "valid": shorter.size - 1}[mode]
    return whole[before : before + {"full": whole.size, "same": longer.size}.get(mode, longer.size - before)]


def _logaddexp_reduce(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    largest = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    largest = np.where(np.isfinite(largest), largest, 0.0)
    total = np.log(np.sum(np.exp(x - largest), axis=axis, keepdims=True)) + largest
    return total if keepdims else np.sum(total, axis=axis)


_LACKING: dict[str, Callable[..., bool]] = {
    "svd": lambda x, full_matrices=True, hermitian=False, **_: (
        hermitian or (full_matrices and x.shape[-1] != x.shape[-2])
    ),
}
"""Whether the page's function does not do what these parameters ask."""


def _sinc(x: Array) -> Array:
    return np.where(np.equal(x, 0), 1.0, np.sin(np.pi * x) / (np.pi * x))


def _nan_to_num(x: Array, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Array:
    most = np.finfo(x.dtype).max
    finite = np.where(
        np.isinf(x), np.where(x > 0, most if posinf is None else posinf, -most if neginf is None else neginf), x
    )
    return np.where(np.isnan(x), nan, finite)


def _lines_in_order(x: Array, axis: Any) -> tuple[Array, Array]:
    """The lines along some axes as rows, and the rank of each of their entries."""
    lines, _ = lines_along(x, axis)
    return lines, np.argsort(np.argsort(lines, axis=-1, stable=True), axis=-1, stable=True)


def _quantile_weights(x: Array, q: Any, axis: Any, method: str, weights: Array, percent: bool) -> Array:
    if weights is not None:
        raise NotPrintableError(phrase("quantiles with weights have no form in the page"))
    lines, ranks = _lines_in_order(x, axis)  # NaN come last
    size = ranks.shape[-1]
    of_nothing = np.full(np.shape(q), -1.0)
    places = [quantile_places(count, x.dtype, q, method, percent) for count in range(1, size + 1)]
    counts = np.sum(np.logical_not(np.isnan(lines)), axis=-1)
    place = picked(np.stack([of_nothing, *places], axis=-1), (..., counts))
    return np.maximum(0.0, 1.0 - np.abs(place[..., None] - ranks))


def _quantile(percent: bool, among_numbers: bool = False) -> Callable[..., Array]:
    """The quantile of the entries of lines: of those with NaN it is NaN, or that of the others."""

    def quantile(
        x: Array, q: Any = 0.5, axis: Any = None, method: str = "linear", keepdims: bool = False, weights: Array = None
    ) -> Array:
        shares = _quantile_weights(x, q, axis, method, weights, percent)
        lines, _ = lines_along(x, axis)
        chosen = np.sum(np.where(np.equal(shares, 0), 0.0, shares * lines), axis=-1)
        is_nan = np.isnan(lines)
        quantiles = np.where((np.all if among_numbers else np.any)(is_nan, axis=-1), np.nan, chosen)
        if not keepdims:
            return quantiles
        return np.reshape(quantiles, np.shape(q) + np.shape(np.sum(np.empty(x.shape), axis=axis, keepdims=True)))

    return quantile


def _interp(x: Array, xp: Array, fp: Array, left: Any = None, right: Any = None) -> Array:
    begin, _, slope, _ = segments(x, xp, fp)
    between = picked(fp, begin) + slope * (x - picked(xp, begin))
    before = np.where(np.less(x, xp[0]), fp[0] if left is None else left, between)
    behind = np.where(np.greater(x, xp[-1]), fp[-1] if right is None else right, before)
    return np.where(np.equal(x, xp[-1]), fp[-1], behind)


_BY_OTHERS: dict[str, Callable[..., Any]] = (
    FORMS
    | MASKED
    | SPECIAL
    | {
        "interp": _interp,
        "nan_to_num": _nan_to_num,
        "median": _quantile(percent=False),
        "quantile": _quantile(percent=False),
        "percentile": _quantile(percent=True),
        "nanmedian": _quantile(percent=False, among_numbers=True),
        "nanquantile": _quantile(percent=False, among_numbers=True),
        "nanpercentile": _quantile(percent=True, among_numbers=True),
        "quantile_weights": _quantile_weights,
        "trace": _trace,
        "vdot": lambda a, b: np.sum(np.ravel(a) * np.ravel(b)),
        "multi_dot": lambda *arrays: reduce(np.matmul, arrays),
        "matrix_power": _matrix_power,
        "convolve": _convolve,
        "conjugate": lambda x: x,
        "logaddexp_reduce": _logaddexp_reduce,
        "logaddexp_accumulate": slice_by_slice(np.logaddexp),
        "logaddexp2_accumulate": slice_by_slice(np.logaddexp2),
        "sinc": _sinc,
        "refuse_where": lambda condition, x, message: x,  # the page shows what follows of it, such as NaN
    }
)
"""Operations of real numbers that the page's NumPy lacks, in terms of those that it has."""


def _parts(x: Any) -> Parts:
    if isinstance(x, Scripted):
        return x.parts or Parts(x)
    return Parts(np.real(x), np.imag(x)) if np.iscomplexobj(x) else Parts(x)


def _is_complex(op: Op, inputs: Sequence[Any], params: Mapping[str, Any]) -> bool:
    """Whether an operation computes with complex numbers."""
    makes_some = op.name in (*TRANSFORMS, "imag", "angle") or (
        op.name == "cast" and np.dtype(params["dtype"]).kind == "c"
    )
    return makes_some or any(map(np.iscomplexobj, map(numbers, inputs)))


def _moves(op: Op) -> bool:
    """Whether an operation only moves entries and computes nothing."""
    return op.name in _SAME_ENTRIES or op.name in _MOVES


def _flat_indices(shape: tuple[int, ...], index: Any) -> str:
    """The entries that an index reads, as positions in the flat array."""
    parts = index if isinstance(index, tuple) else (index,)
    scripted = {k: part for k, part in enumerate(parts) if isinstance(part, Scripted)}
    if any(map(_is_mask, scripted.values())):
        raise NotPrintableError(phrase("an index that depends on numbers"))  # so that shapes would, too
    zeros = [np.zeros(part.shape, int) if k in scripted else part for k, part in enumerate(parts)]
    flat_indices = np.arange(int(np.prod(shape))).reshape(shape)[tuple(zeros)]
    if not scripted:
        return _listed(flat_indices)
    moved: Any = flat_indices
    for k, part in scripted.items():
        axis = _axis_of(parts, k, len(shape))
        before, after = shape[:axis], shape[axis + 1 :]
        order = np.arange(part.size)
        orders = np.broadcast_to(order.reshape(-1, *(1,) * len(after)), (*before, part.size, *after))
        places = orders[tuple([order.reshape(part.shape) if i == k else other for i, other in enumerate(zeros)])]
        moved = moved + int(np.prod(after)) * np.reshape(np.remainder(part, shape[axis]), (-1,))[places]
    return f"np.asArray({moved.text}).data"


def _axis_of(parts: Sequence[Any], k: int, ndim: int) -> int:
    """The axis along which a part of an index chooses."""
    taken = [0 if part is None else part.ndim if _is_mask(part) else 1 for part in parts]
    left = ndim - sum(n for n, part in zip(taken, parts) if part is not Ellipsis)
    return sum(left if part is Ellipsis else n for n, part in zip(taken[:k], parts))


def _listed(flat_indices: Array) -> str:
    if flat_indices.size > WHOLE:
        raise NotPrintableError(phrase("an index of {n} entries", n=flat_indices.size))
    return json.dumps(flat_indices.ravel().tolist(), separators=(",", ":"))


def _is_mask(part: Any) -> bool:
    return getattr(getattr(part, "dtype", None), "kind", None) == "b"


def _form(shape: tuple[int, ...], index: Any) -> tuple[int, ...]:
    return np.shape(np.empty(shape, bool)[_in_numbers(index)])


def _number(x: Any) -> str:
    number = np.asarray(x).item()
    if isinstance(number, bool):
        return str(int(number))
    if isinstance(number, (int, float)):
        special = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
        return special.get(repr(number), repr(number))
    raise NotPrintableError(phrase("a {type}", type=type(number).__name__))


def _plain(x: Any) -> Any:
    if isinstance(x, np.generic):
        return x.item()
    raise NotPrintableError(phrase("a parameter of type {type}", type=type(x).__name__))
