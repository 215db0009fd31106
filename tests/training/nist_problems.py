"""The 27 problems of non-linear regression of NIST's Statistical Reference Datasets, with their certified answers.

The files in nist/ are NIST's, unchanged, as lmfit 1.3.4 has them: works of the United States' government are in the
public domain. Source: https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "nist"


def _three_exponentials(b: Any, x: Any) -> Any:
    return b[0] * np.exp(-b[1] * x) + b[2] * np.exp(-b[3] * x) + b[4] * np.exp(-b[5] * x)


def _two_peaks(b: Any, x: Any) -> Any:
    first, second = np.exp(-(((x - b[3]) / b[4]) ** 2)), np.exp(-(((x - b[6]) / b[7]) ** 2))
    return b[0] * np.exp(-b[1] * x) + b[2] * first + b[5] * second


def _cubic_by_cubic(b: Any, x: Any) -> Any:
    return (b[0] + b[1] * x + b[2] * x**2 + b[3] * x**3) / (1 + b[4] * x + b[5] * x**2 + b[6] * x**3)


def _oscillations(b: Any, x: Any) -> Any:
    year, first, second = (2 * np.pi * x / period for period in (12, b[3], b[6]))
    yearly = b[0] + b[1] * np.cos(year) + b[2] * np.sin(year)
    return yearly + b[4] * np.cos(first) + b[5] * np.sin(first) + b[7] * np.cos(second) + b[8] * np.sin(second)


MODELS: dict[str, Callable[[Any, Any], Any]] = {
    "Misra1a": lambda b, x: b[0] * (1 - np.exp(-b[1] * x)),
    "Chwirut2": lambda b, x: np.exp(-b[0] * x) / (b[1] + b[2] * x),
    "Chwirut1": lambda b, x: np.exp(-b[0] * x) / (b[1] + b[2] * x),
    "Lanczos3": _three_exponentials,
    "Gauss1": _two_peaks,
    "Gauss2": _two_peaks,
    "DanWood": lambda b, x: b[0] * x ** b[1],
    "Misra1b": lambda b, x: b[0] * (1 - (1 + b[1] * x / 2) ** (-2)),
    "Kirby2": lambda b, x: (b[0] + b[1] * x + b[2] * x**2) / (1 + b[3] * x + b[4] * x**2),
    "Hahn1": _cubic_by_cubic,
    "Nelson": lambda b, x: b[0] - b[1] * x[0] * np.exp(-b[2] * x[1]),
    "MGH17": lambda b, x: b[0] + b[1] * np.exp(-x * b[3]) + b[2] * np.exp(-x * b[4]),
    "Lanczos1": _three_exponentials,
    "Lanczos2": _three_exponentials,
    "Gauss3": _two_peaks,
    "Misra1c": lambda b, x: b[0] * (1 - (1 + 2 * b[1] * x) ** (-0.5)),
    "Misra1d": lambda b, x: b[0] * b[1] * x * ((1 + b[1] * x) ** (-1)),
    "Roszman1": lambda b, x: b[0] - b[1] * x - np.arctan(b[2] / (x - b[3])) / np.pi,
    "ENSO": _oscillations,
    "MGH09": lambda b, x: b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3]),
    "Thurber": _cubic_by_cubic,
    "BoxBOD": lambda b, x: b[0] * (1 - np.exp(-b[1] * x)),
    "Rat42": lambda b, x: b[0] / (1 + np.exp(b[1] - b[2] * x)),
    "MGH10": lambda b, x: b[0] * np.exp(b[1] / (x + b[2])),
    "Eckerle4": lambda b, x: (b[0] / b[1]) * np.exp(-0.5 * ((x - b[2]) / b[1]) ** 2),
    "Rat43": lambda b, x: b[0] / ((1 + np.exp(b[1] - b[2] * x)) ** (1 / b[3])),
    "Bennett5": lambda b, x: b[0] * (b[1] + x) ** (-1 / b[2]),
}
"""y as a function of the parameters b and of x, in NIST's order: from lower to higher difficulty."""


@dataclass
class Problem:
    """A data set with two starts, and the certified parameters and standard errors.

    Attributes:
        residual_std: √(the sum of squared residuals / degrees of freedom).
    """

    name: str
    x: Any
    y: Any
    starts: tuple[Any, Any]
    parameters: Any
    standard_errors: Any
    residual_std: float

    def residuals(self, b: Any) -> Any:
        return MODELS[self.name](b, self.x) - self.y


def problem(name: str) -> Problem:
    """One of the problems, read from its file."""
    lines = (FOLDER / f"{name}.dat").read_text().splitlines()
    table = np.array([re.split(r"[=\s]+", line.strip())[1:] for line in lines if re.match(r"\s*b\d+ =", line)], float)
    (std,) = (float(line.split(":")[1]) for line in lines if line.startswith("Residual Standard Deviation"))
    y, *x = np.array([line.split() for line in lines[60:] if line.strip()], float).T
    if name == "Nelson":
        y = np.log(y)
    return Problem(name, x[0] if len(x) == 1 else x, y, (table[:, 0], table[:, 1]), table[:, 2], table[:, 3], std)
