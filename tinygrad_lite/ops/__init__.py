"""Floor 1. What each operation computes and how it differentiates; nothing here knows of tensors.

These are the tables; `special` is read when a program that uses SciPy asks for it.
"""

from tinygrad_lite.ops import (
    activations,
    arranging,
    casting,
    contraction,
    curves,
    decompositions,
    elementwise,
    filling,
    indexing,
    joining,
    linalg,
    losses,
    norms,
    ordering,
    padding,
    products,
    reductions,
    running,
    selection,
    shaping,
    statistics,
)

__all__ = [
    "activations",
    "arranging",
    "casting",
    "contraction",
    "curves",
    "decompositions",
    "elementwise",
    "filling",
    "indexing",
    "joining",
    "linalg",
    "losses",
    "norms",
    "ordering",
    "padding",
    "products",
    "reductions",
    "running",
    "selection",
    "shaping",
    "statistics",
]
