"""Losses for least squares that limit what outliers do, under SciPy's names."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError

Weighed = tuple[Array, Array, Array]
"""For each residual r, its loss C² ρ((r / C)²), half of its derivative by r, ψ(r), and ψ'(r)."""

_LOSSES: dict[str, Callable[[Array], Any]] = {
    "linear": lambda z: (z, np.ones_like(z), np.zeros_like(z)),
    "soft_l1": lambda z: (2 * (np.sqrt(1 + z) - 1), (1 + z) ** -0.5, -0.5 * (1 + z) ** -1.5),
    "huber": lambda z: (
        np.where(z <= 1, z, 2 * np.sqrt(z) - 1),
        np.maximum(z, 1) ** -0.5,
        np.where(z <= 1, 0, -0.5 * np.maximum(z, 1) ** -1.5),
    ),
    "cauchy": lambda z: (np.log1p(z), 1 / (1 + z), -1 / (1 + z) ** 2),
    "arctan": lambda z: (np.arctan(z), 1 / (1 + z**2), -2 * z / (1 + z**2) ** 2),
}
"""ρ and its first two derivatives, as functions of z = (r / C)²."""


def weighed_by(loss: Any, scale: float) -> Callable[[Array], Weighed]:
    """What a robust loss makes of residuals.

    Args:
        loss: a name, or a function of z that returns ρ and its first two derivatives.
        scale: C, from which on a residual counts as an outlier.

    Raises:
        InputError: if there is no loss of this name.
    """
    rho = loss if callable(loss) else _LOSSES.get(loss)
    if rho is None:
        raise InputError(f"there is no loss {loss!r} of residuals; there are {', '.join(_LOSSES)}")

    def weighed(r: Array) -> Weighed:
        z = (r / scale) ** 2
        value, slope, curvature = rho(z)
        return scale**2 * value, r * slope, slope + 2 * z * curvature

    return weighed
