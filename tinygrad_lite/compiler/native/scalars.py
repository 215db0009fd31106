"""Floor 5. Scalars: what an operation does to one entry, as an expression for Numba."""

from typing import Any

import numpy as np

from tinygrad_lite.compiler.program import Call
from tinygrad_lite.ops import casting, elementwise, selection
from tinygrad_lite.ops.op import Op

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
    np.maximum: "{0} if {0} > {1} or {0} != {0} else {1}",  # as NumPy has it: NaN goes on, of equals the second
    np.minimum: "{0} if {0} < {1} or {0} != {0} else {1}",
    np.greater: "{0} > {1}",
    np.greater_equal: "{0} >= {1}",
}
_FORMS: dict[Op, str] = {
    selection._where: "{1} if {0} else {2}",
    selection.stop_gradient: "{0}",
    casting.cast: "{0}",
    casting.real: "{0}",
    casting.conjugate: "{0}",
    elementwise.reciprocal: "1 / {0}",
}


def form(call: Call) -> str | None:
    """The expression with {0}, {1}, ... for the inputs; None if there is none."""
    if call.op in _FORMS:
        return _FORMS[call.op]
    ufunc = call.op.forward
    if ufunc in _OPERATORS:
        return _OPERATORS[ufunc]
    if not isinstance(ufunc, np.ufunc) or ufunc.signature or call.params or not _is_known(ufunc):
        return None
    return f"np.{ufunc.__name__}({', '.join(f'{{{i}}}' for i in range(ufunc.nin))})"


def _is_known(ufunc: np.ufunc) -> bool:
    from numba.np import ufunc_db

    known: Any = ufunc_db
    return ufunc in known.get_ufuncs() and getattr(np, ufunc.__name__, None) is ufunc


def as_dtype(text: str, dtype: Any) -> str:
    """An expression cast to a dtype."""
    return f"np.{'bool_' if dtype.kind == 'b' else dtype.name}({text})"
