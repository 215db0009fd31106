"""The tables: what each operation computes and how it differentiates. No rule here knows about tensors.

`special` is imported when a program that uses SciPy needs it. `continuations` is the table of how operations continue
to the complex plane.
"""

from tinygrad_lite.engine import operators  # noqa: F401  # which binds the operations that are declared from here on
from tinygrad_lite.ops import casting, continuations, declarations, gamma_functions
from tinygrad_lite.ops.arithmetic import (
    curves,
    elementwise,
    extrema,
    grouping,
    ordering,
    reductions,
    running,
    selection,
    statistics,
    variances,
)
from tinygrad_lite.ops.linear import (
    contraction,
    decompositions,
    eigenvalues,
    exponential,
    fourier,
    least_squares,
    linalg,
    norms,
    products,
    triangular,
)
from tinygrad_lite.ops.networks import (
    activations,
    attention,
    convolution,
    ctc,
    losses,
    normal,
    normalization,
    pooling,
    recurrence,
    resampling,
)
from tinygrad_lite.ops.shapes import arranging, filling, indexing, joining, padding, shaping, windows

__all__ = [
    "activations",
    "arranging",
    "attention",
    "casting",
    "continuations",
    "contraction",
    "convolution",
    "ctc",
    "curves",
    "declarations",
    "decompositions",
    "eigenvalues",
    "elementwise",
    "exponential",
    "extrema",
    "filling",
    "fourier",
    "gamma_functions",
    "grouping",
    "indexing",
    "joining",
    "least_squares",
    "linalg",
    "losses",
    "normal",
    "normalization",
    "norms",
    "ordering",
    "padding",
    "pooling",
    "products",
    "recurrence",
    "reductions",
    "resampling",
    "running",
    "selection",
    "shaping",
    "statistics",
    "triangular",
    "variances",
    "windows",
]
