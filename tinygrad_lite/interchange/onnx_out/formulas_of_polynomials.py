"""Formulas in NumPy for SciPy's orthogonal polynomials of a whole degree: their recurrences, DLMF 18.9."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array


def _by_recurrence(
    following: Callable[..., Array], middle: float | None = None, is_odd: bool = False
) -> Callable[..., Array | None]:
    """A polynomial from `following(k, x, y, before, ...)`, that of degree k + 1 after those of degrees k and k - 1.

    Args:
        middle: the degree around which the polynomials are the same on both sides.
        is_odd: whether they have the other sign below it, and are 0 there.
    """

    def formula(x: Array, order: Sequence[Any]) -> Array | None:
        degree, *others = order
        if np.ndim(degree) or (degree < 0 and middle is None) or degree % 1:
            return None
        sign = np.sign(degree - middle) if middle is not None and is_odd else 1
        degree = degree if middle is None else abs(degree - middle) + middle
        before, y = np.zeros_like(x), np.ones_like(x)
        for k in range(int(degree)):
            before, y = y, following(k, x, y, before, *others)
        return y if sign == 1 else y * float(sign)

    return formula


POLYNOMIALS: dict[str, Callable[..., Array | None]] = {
    "eval_legendre": _by_recurrence(lambda k, x, y, before: ((2 * k + 1) * x * y - k * before) / (k + 1), middle=-0.5),
    "eval_gegenbauer": _by_recurrence(
        lambda k, x, y, before, a: (2 * (k + float(a)) * x * y - (k + 2 * float(a) - 1) * before) / (k + 1)
    ),
    "eval_chebyt": _by_recurrence(lambda k, x, y, before: (2 if k else 1) * x * y - before, middle=0),
    "eval_chebyu": _by_recurrence(lambda k, x, y, before: 2 * x * y - before, middle=-1, is_odd=True),
    "eval_hermite": _by_recurrence(lambda k, x, y, before: 2 * x * y - 2 * k * before),
    "eval_hermitenorm": _by_recurrence(lambda k, x, y, before: x * y - k * before),
}
