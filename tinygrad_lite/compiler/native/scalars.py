"""Scalars: what an operation does to one entry, with the dtypes in which NumPy computes it.

What is written here agrees with NumPy to the last digits; for everything else, NumPy's own loops run (ufuncs.py).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lite.compiler.native.emission import REALS, STORED, TYPES, Entry, can_cast
from tinygrad_lite.compiler.native.functions import BY_NUMPYS, OF_TWO
from tinygrad_lite.compiler.program import Instruction, Variable, is_python_number, item
from tinygrad_lite.engine.op import Array, Op
from tinygrad_lite.engine.tensor import positive
from tinygrad_lite.ops import casting
from tinygrad_lite.ops.arithmetic import selection
from tinygrad_lite.ops.shapes import shaping


class Form(NamedTuple):
    """How one entry of a result is computed.

    Attributes:
        name: what tells it from others.
        write: from the entries of the inputs to that of the result.
        dtypes: the dtypes that the inputs are cast to.
    """

    name: str
    write: Callable[..., Entry]
    dtypes: tuple[np.dtype[Any], ...]


def same(dtype: np.dtype[Any]) -> Form:
    """The form of a copy."""
    return Form("same", lambda x: x, (dtype,))


def _maximum(a: Entry, b: Entry) -> Entry:
    """As in NumPy: NaN propagates; of equals, the second."""
    is_first = (a > b) | a.is_nan if a.dtype.kind == "f" else a > b
    return is_first.chooses(a, b)


def _minimum(a: Entry, b: Entry) -> Entry:
    is_first = (a < b) | a.is_nan if a.dtype.kind == "f" else a < b
    return is_first.chooses(a, b)


def _sign(x: Entry) -> Entry:
    signed = (x > 0).chooses(x.like(1), (x < 0).chooses(x.like(-1), 0))
    return x.is_nan.chooses(x, signed) if x.dtype.kind == "f" else signed


def _absolute(x: Entry) -> Entry:
    return x.intrinsic("fabs") if x.dtype.kind == "f" else (x < 0).chooses(-x, x)


def _true(x: Entry) -> Entry:
    return x.differs(0)


_FLOATS, _SIGNED, _WHOLE, _FLAGS = "f", "fi", "fiu", "b"
_WRITTEN: dict[Any, Callable[..., Entry]] = {**BY_NUMPYS, **OF_TWO}
_FORMS: dict[Any, tuple[str, Callable[..., Entry]]] = {
    np.add: (_WHOLE, lambda a, b: a + b),
    np.subtract: (_WHOLE, lambda a, b: a - b),
    np.multiply: (_WHOLE, lambda a, b: a * b),
    np.divide: (_FLOATS, lambda a, b: a / b),
    np.negative: (_SIGNED, lambda x: -x),
    np.positive: (_WHOLE, lambda x: x),
    np.square: (_WHOLE, lambda x: x * x),
    np.equal: (_WHOLE, lambda a, b: a.equals(b)),
    np.not_equal: (_WHOLE, lambda a, b: a.differs(b)),
    np.less: (_WHOLE, lambda a, b: a < b),
    np.less_equal: (_WHOLE, lambda a, b: a <= b),
    np.greater: (_WHOLE, lambda a, b: a > b),
    np.greater_equal: (_WHOLE, lambda a, b: a >= b),
    np.maximum: (_WHOLE, _maximum),
    np.minimum: (_WHOLE, _minimum),
    np.absolute: (_SIGNED, _absolute),
    np.fabs: (_FLOATS, _absolute),
    np.sign: (_SIGNED, _sign),
    np.reciprocal: (_FLOATS, lambda x: 1.0 / x),
    np.conjugate: (_WHOLE, lambda x: x),
    np.sqrt: (_FLOATS, lambda x: x.intrinsic("sqrt")),
    np.floor: (_FLOATS, lambda x: x.intrinsic("floor")),
    np.ceil: (_FLOATS, lambda x: x.intrinsic("ceil")),
    np.trunc: (_FLOATS, lambda x: x.intrinsic("trunc")),
    np.rint: (_FLOATS, lambda x: x.intrinsic("nearbyint")),
    np.copysign: (_FLOATS, lambda a, b: a.intrinsic("copysign", b)),
    np.isnan: (_FLOATS, lambda x: x.is_nan),
    np.isfinite: (_FLOATS, lambda x: x.intrinsic("fabs") < np.inf),
    np.isinf: (_FLOATS, lambda x: x.intrinsic("fabs").equals(np.inf)),
    np.signbit: (_FLOATS, lambda x: x.bits < 0),
    np.bitwise_and: ("iub", lambda a, b: a & b),
    np.bitwise_or: ("iub", lambda a, b: a | b),
    np.bitwise_xor: ("iub", lambda a, b: a ^ b),
    np.invert: ("iub", lambda x: x ^ (1 if x.dtype == bool else -1)),
    **{ufunc: (_FLOATS, written) for ufunc, written in _WRITTEN.items()},
}
_LOGICAL: dict[Any, Callable[..., Entry]] = {
    np.logical_and: lambda a, b: _true(a) & _true(b),
    np.logical_or: lambda a, b: _true(a) | _true(b),
    np.logical_xor: lambda a, b: _true(a) ^ _true(b),
    np.logical_not: lambda x: _true(x) ^ 1,
    np.equal: lambda a, b: (a ^ b) ^ 1,
    np.not_equal: lambda a, b: a ^ b,
    np.maximum: lambda a, b: a | b,
    np.minimum: lambda a, b: a & b,
    np.add: lambda a, b: a | b,
    np.multiply: lambda a, b: a & b,
}
_FLAG = np.dtype(bool)


def _power(exponent: float) -> Callable[..., Entry] | None:
    """A power by a small whole number, as squares and products; the root; and the reciprocals of these."""
    if exponent == 0.5:
        return lambda x, _: _root(x)
    if exponent % 1 != 0 or not 1 <= abs(exponent) <= 8:
        return None

    def write(x: Entry, _: Entry) -> Entry:
        result, square = None, x
        for digit in reversed(f"{int(abs(exponent)):b}"):
            if digit == "1":
                result = square if result is None else result * square
            square = square * square
        assert result is not None  # a whole number from 1 on has a digit
        return result if exponent > 0 else 1.0 / result

    return write


with np.errstate(invalid="ignore"):
    _ROOT_IS_SQRT = bool(np.isnan(np.power([-np.inf], 0.5))[0])  # as in newer versions of NumPy


def _root(x: Entry) -> Entry:
    """x^½: in C, and in older versions of NumPy, it is 0 for -0.0 and ∞ for -∞, unlike the square root."""
    return x.intrinsic("sqrt") if _ROOT_IS_SQRT else x.equals(-np.inf).chooses(np.inf, (x + 0.0).intrinsic("sqrt"))


def weak(x: Any) -> Any:
    """The dtype of an input; for a Python number, its type, which adopts the dtype of what it meets."""
    if not isinstance(x, Variable):
        return type(x) if is_python_number(x) else np.asarray(x).dtype
    return {"c": complex, "f": float, "i": int, "b": bool}[x.dtype.kind] if x.is_number else x.dtype


def loop_dtypes(ufunc: np.ufunc, inputs: Sequence[Any]) -> tuple[np.dtype[Any], ...]:
    """The dtypes in which NumPy computes a ufunc of these inputs, those of the results included."""
    kinds = tuple(np.dtype(bool) if weak(x) is bool else weak(x) for x in inputs)
    if any(isinstance(kind, type) for kind in kinds) and not any(isinstance(kind, np.dtype) for kind in kinds):
        kinds = tuple(np.result_type(kind) for kind in kinds)
    return ufunc.resolve_dtypes(kinds + (None,) * ufunc.nout)


MOST = 10_000
"""The most forms that are kept."""

_known: dict[Any, Form | None] = {}
"""The form of each operation for inputs of these dtypes, which most operations of a long program have in common."""


def form(call: Instruction) -> Form | None:
    """The form of an operation for these inputs; None if it has none."""
    kinds = tuple([(x.dtype, x.is_number) if type(x) is Variable else (type(x), x) for x in call.inputs])
    key = call.op, kinds, bool(call.params), call.result.dtype
    if key not in _known:
        result = call.result.dtype
        known = _form_of(call, result) if result in STORED else None
        if len(_known) >= MOST:
            _known.clear()
        _known[key] = known if known and all(map(can_become, call.inputs, known.dtypes)) else None
    return _known[key]


def can_become(x: Any, dtype: np.dtype[Any]) -> bool:
    """Whether native code can compute with an input in this dtype, in which NumPy computes.

    A whole number of Python's need not fit into it: NumPy compares it all the same, and refuses to compute with it.
    """
    if not isinstance(x, Variable):
        return dtype.kind not in "iu" or type(x) is not int or np.iinfo(dtype).min <= x <= np.iinfo(dtype).max
    narrows = x.is_number and x.dtype.kind == "i" and dtype.kind in "iu" and dtype != x.dtype
    return can_cast(x.dtype, dtype) and not narrows


def _form_of(call: Instruction, result: np.dtype[Any]) -> Form | None:
    op, ufunc = call.op, call.op.forward
    numbers = result in TYPES or all(isinstance(x, Variable) for x in call.inputs)  # the others only move
    if op in _COPIES and numbers:
        return same(result)
    if op in _PARTS and result in REALS and call.reads and call.reads[0].dtype.kind == "c":
        part = _PARTS[op]
        return Form(op.name, lambda z: z.part(part), (call.reads[0].dtype,))
    if op is of_parts:
        return Form(op.name, lambda re, im: re.beside(im), tuple(x.dtype for x in call.inputs))
    if op is selection.where_else and numbers:
        return Form("where", lambda condition, a, b: condition.chooses(a, b), (_FLAG, result, result))
    if not isinstance(ufunc, np.ufunc) or ufunc.signature or call.params or ufunc.nout > 1:
        return None
    *dtypes, made = loop_dtypes(ufunc, call.inputs)
    if ufunc is np.power and made in TYPES and made.kind == "f" and not isinstance(call.inputs[1], Variable):
        write = _power(float(call.inputs[1]))
        return write and Form(f"power {call.inputs[1]}", write, tuple(dtypes))
    if made != result or any(dtype not in TYPES for dtype in dtypes):
        return None
    kinds = {dtype.kind for dtype in dtypes}
    if ufunc in _LOGICAL and ((made == _FLAG and ufunc.__name__.startswith("logical")) or kinds == {"b"}):
        return Form(f"{ufunc.__name__} of flags", _LOGICAL[ufunc], tuple(dtypes))
    known, write = _FORMS.get(ufunc, ("", None))
    if write is None or len(kinds) != 1 or not kinds <= set(known):
        return None
    return Form(ufunc.__name__, write, tuple(dtypes))


def _put_together(re: Array, im: Array) -> Array:
    y = np.empty(re.shape, np.result_type(re.dtype, np.complex64))
    y.real, y.imag = re, im
    return y


of_parts = Op(_put_together, [None, None], name="of_parts", arity=2)
"""The complex numbers that have these real and imaginary parts."""
_PARTS = {casting.real: 0, casting.imag: 1}
_COPIES: frozenset[Op] = frozenset({positive, item, selection.stop_gradient, casting.cast, shaping.broadcast_to})
