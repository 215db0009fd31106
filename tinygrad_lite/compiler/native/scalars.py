"""Scalars: the effect of an operation on one entry, as an expression for Numba."""

from typing import Any, NamedTuple

import numpy as np

from tinygrad_lite.compiler.native import functions
from tinygrad_lite.compiler.program import Instruction
from tinygrad_lite.engine.op import Op
from tinygrad_lite.ops.arithmetic import casting, elementwise, selection


class Form(NamedTuple):
    """The text of an expression, with {0}, {1}, ... for the operands.

    Attributes:
        calls: whether it calls a function, such as the exponential, that takes many times as long as a product.
    """

    text: str
    calls: bool = False

    def cast(self, dtype: Any) -> "Form":
        """The same expression, cast to a dtype that Numba would not give it."""
        if dtype in (np.float64, np.bool_, np.int64):
            return self
        return self._replace(text=f"np.{dtype.name}({self.text})")


_OPERATORS: dict[Any, str] = {
    np.add: "{0} + {1}",
    np.subtract: "{0} - {1}",
    np.multiply: "{0} * {1}",
    np.divide: "{0} / {1}",
    np.negative: "-{0}",
    np.positive: "{0}",
    np.square: "{0} * {0}",
    np.equal: "{0} == {1}",
    np.not_equal: "{0} != {1}",
    np.less: "{0} < {1}",
    np.less_equal: "{0} <= {1}",
    np.maximum: "{0} if {0} > {1} or {0} != {0} else {1}",  # as in NumPy: NaN propagates; of equals, the second
    np.minimum: "{0} if {0} < {1} or {0} != {0} else {1}",
    np.greater: "{0} > {1}",
    np.greater_equal: "{0} >= {1}",
}
_FORMS: dict[Op, str] = {
    selection.where_else: "{1} if {0} else {2}",
    selection.stop_gradient: "{0}",
    casting.cast: "{0}",
    casting.real: "{0}",
    casting.conjugate: "{0}",
    elementwise.reciprocal: "1 / {0}",
}
# Numba's scalar functions, listed here since importing its own list takes a fifth of a second
# fmt: off
_INSTRUCTIONS = frozenset({
    np.absolute, np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.ceil, np.conjugate, np.copysign, np.fabs,
    np.floor, np.fmax, np.fmin, np.invert, np.isfinite, np.isinf, np.isnan, np.left_shift, np.logical_and,
    np.logical_not, np.logical_or, np.logical_xor, np.right_shift, np.rint, np.sign, np.signbit, np.sqrt, np.trunc,
})
_FUNCTIONS = frozenset({
    np.arccos, np.arccosh, np.arcsin, np.arcsinh, np.arctan, np.arctan2, np.arctanh, np.cbrt, np.cos, np.cosh,
    np.deg2rad, np.degrees, np.exp, np.exp2, np.expm1, np.float_power, np.floor_divide, np.fmod, np.gcd, np.hypot,
    np.lcm, np.ldexp, np.log, np.log10, np.log1p, np.log2, np.logaddexp, np.logaddexp2, np.nextafter, np.power,
    np.rad2deg, np.radians, np.reciprocal, np.remainder, np.sin, np.sinh, np.spacing, np.tan, np.tanh,
})
# fmt: on


def form(call: Instruction) -> Form | None:
    """The expression of an operation for these inputs; None if there is none."""
    ufunc = call.op.forward
    if call.op in _FORMS:
        return Form(_FORMS[call.op])
    if ufunc in _OPERATORS:
        return Form(_OPERATORS[ufunc])
    if not isinstance(ufunc, np.ufunc) or ufunc.signature or call.params or ufunc not in _INSTRUCTIONS | _FUNCTIONS:
        return None
    operands = ", ".join(f"{{{i}}}" for i in range(ufunc.nin))
    is_own = ufunc in functions.BY_NUMPYS and call.result.dtype.kind == "f"
    return Form(f"{'' if is_own else 'np.'}{ufunc.__name__}({operands})", ufunc in _FUNCTIONS)
