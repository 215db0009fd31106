"""`tg.linalg`: functions that NumPy lacks, with the names and signatures of scipy.linalg, which takes no tensors."""

from typing import TYPE_CHECKING

from tinygrad_lite.foundation.elsewhere import unknown_names
from tinygrad_lite.foundation.pytorch_names import of_linalg
from tinygrad_lite.ops.linear.exponential import expm
from tinygrad_lite.ops.linear.triangular import cho_factor, cho_solve, solve_triangular

__all__ = ["cho_factor", "cho_solve", "expm", "solve_triangular"]

if not TYPE_CHECKING:  # a type checker would take it for a promise that any name is there
    __getattr__ = unknown_names(__name__, of_linalg)
