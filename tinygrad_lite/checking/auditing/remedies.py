"""Remedies for a NaN or an infinity, by the operation that made it: code to write instead."""

from typing import Any

import numpy as np

_DOUBLE_WHERE = "the double where: safe = np.where({ok}, x, 1), then np.where({ok}, {call}, 0)"


def _table(rows: dict[str, str]) -> dict[str, str]:
    """The remedy for each operation, from rows that cover several operations."""
    return {name: remedy for names, remedy in rows.items() for name in names.split()}


_FORWARD = _table(
    {
        "log log2 log10": (
            "clip away from 0: np.{name}(np.clip(x, 1e-12, None)); for the logarithm of a probability, take "
            "nn.functional.log_softmax or a loss of the logits instead; where another branch stands in for it, "
            + _DOUBLE_WHERE.format(ok="x > 0", call="np.{name}(safe)")
        ),
        "log1p": "clip away from -1: np.log1p(np.clip(x, -1 + 1e-6, None))",
        "sqrt": (
            "no root of a negative number: np.sqrt(np.clip(x, 0, None) + eps) if it should be 0 but for rounding, or "
            + _DOUBLE_WHERE.format(ok="x > 0", call="np.sqrt(safe)")
        ),
        "divide reciprocal remainder fmod": (
            "the double where: np.where(b == 0, 0, a / np.where(b == 0, 1, b)); or keep the divisor away from 0: "
            "a / (b + eps), for b that cannot be negative"
        ),
        "power float_power": (
            "0 has no negative power and a negative number no fractional one: np.clip(a, 1e-12, None) ** b, or for a "
            "power that is too large, the logarithm, b * np.log(a)"
        ),
        "exp exp2 expm1 sinh cosh": (
            "subtract the largest first, np.exp(x - np.max(x, axis=-1, keepdims=True)): that is nn.functional.softmax "
            "and log_softmax; for log Σ exp nn.functional.logsumexp or np.logaddexp, for log(1 + exp) "
            "nn.functional.softplus, for 1 / (1 + exp(-x)) nn.functional.sigmoid; else np.exp(np.clip(x, None, 80))"
        ),
        "arcsin arccos arctanh": "clip into the open interval: np.{name}(np.clip(x, -1 + 1e-7, 1 - 1e-7))",
        "arccosh": "clip away from 1: np.arccosh(np.clip(x, 1 + 1e-7, None))",
        "log_abs_det inv solve det cond": (
            "the matrix is singular, or nearly: add a little to its diagonal, a + 1e-6 * np.eye(n); np.linalg.lstsq or "
            "np.linalg.pinv take any matrix; for a determinant too large, np.linalg.slogdet"
        ),
    }
)
_BACKWARD = _table(
    {
        "sqrt": (
            "the slope at 0 is infinite: for a length, np.linalg.norm(x, axis=...) or np.hypot(a, b), whose gradient "
            "is 0 there; or a safe norm, np.sqrt(np.sum(x * x) + eps); or "
            + _DOUBLE_WHERE.format(ok="x > 0", call="np.sqrt(safe)")
        ),
        "cbrt": "the slope at 0 is infinite: " + _DOUBLE_WHERE.format(ok="x != 0", call="np.cbrt(safe)"),
        "power float_power": (
            "the slope of a power below 1 is infinite at 0, and the exponent of a base that is not positive has none: "
            "np.clip(a, 1e-12, None) ** b, or " + _DOUBLE_WHERE.format(ok="x > 0", call="safe ** b")
        ),
        "arcsin arccos": "the slope at -1 and 1 is infinite: np.{name}(np.clip(x, -1 + 1e-7, 1 - 1e-7))",
        "arccosh": "the slope at 1 is infinite: np.arccosh(np.clip(x, 1 + 1e-7, None))",
        "arctan2": (
            "the origin has no angle: where both are 0, choose another point before: "
            "np.arctan2(a, np.where((a == 0) & (b == 0), 1, b))"
        ),
        "norm vector_norm matrix_norm": "the slope of an order below 1 is infinite at 0: add eps, or take order 2",
    }
)
_OF_INFINITIES = (
    "∞ - ∞ and 0 · ∞ are not numbers: choose with np.where(mask, x, 0) instead of multiplying by a mask; mask with a "
    "large number such as -1e9 instead of -np.inf; leave one entry of every row unmasked"
)
_OF_NO_ENTRIES = "it was given no entries: leave empty groups out, or ask for x.size first"
_UNDEFINED = "{name} is not defined for the numbers above: clip them, or choose others before it, with np.where"
_TOO_LARGE = (
    "too large for {dtype}, which ends at {largest:.3g}: make the numbers smaller (standardise the inputs, average "
    "instead of summing, lower the learning rate, clip the gradient), or compute in a wider dtype"
)
_TOO_STEEP = (
    "the slope of {name} is infinite at the numbers above: keep away from them, by np.clip or the double where; or it "
    "is too large for {dtype}, which ends at {largest:.3g}: average the loss instead of summing, or scale the targets"
)


def in_forward(name: str, value: float, dtype: np.dtype[Any], of_infinities: bool, of_nothing: bool) -> str:
    """The remedy for an operation that made such a value."""
    if of_infinities:
        return _OF_INFINITIES
    if of_nothing:
        return _OF_NO_ENTRIES
    return _filled(_FORWARD.get(name) or (_UNDEFINED if np.isnan(value) else _TOO_LARGE), name, dtype)


def in_backward(name: str, value: float, dtype: np.dtype[Any], g: float | None) -> str:
    """The remedy for an operation whose derivative made such a gradient from g, if there is one."""
    general = _UNDEFINED if np.isnan(value) else _TOO_STEEP
    remedy = _filled(_BACKWARD.get(name) or _FORWARD.get(name) or general, name, dtype)
    if g == 0 and np.isnan(value):
        return (
            "the upstream gradient is 0, as a branch gets that np.where did not choose, but 0 · ∞ = nan: choose "
            f"before the operation as well; {remedy}"
        )
    return remedy


def _filled(remedy: str, name: str, dtype: np.dtype[Any]) -> str:
    return remedy.format(name=name, dtype=dtype, largest=float(np.finfo(dtype).max))
