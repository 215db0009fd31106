"""`tg.linalg`: functions that NumPy lacks, with the names and signatures of scipy.linalg, which takes no tensors."""

from typing import TYPE_CHECKING

from tinygrad_lite.foundation.elsewhere import unknown_names
from tinygrad_lite.foundation.pytorch_names import of_linalg
from tinygrad_lite.ops.linear.exponential import expm
from tinygrad_lite.ops.linear.factors import eigh, lu_factor, lu_solve, polar
from tinygrad_lite.ops.linear.matrix_equations import (
    solve_continuous_are,
    solve_continuous_lyapunov,
    solve_discrete_are,
    solve_discrete_lyapunov,
    solve_sylvester,
)
from tinygrad_lite.ops.linear.matrix_functions import logm, sqrtm
from tinygrad_lite.ops.linear.structured import block_diag, circulant, hankel, toeplitz
from tinygrad_lite.ops.linear.triangular import cho_factor, cho_solve, solve_triangular

__all__ = [
    "block_diag",
    "cho_factor",
    "cho_solve",
    "circulant",
    "eigh",
    "expm",
    "hankel",
    "logm",
    "lu_factor",
    "lu_solve",
    "polar",
    "solve_continuous_are",
    "solve_continuous_lyapunov",
    "solve_discrete_are",
    "solve_discrete_lyapunov",
    "solve_sylvester",
    "solve_triangular",
    "sqrtm",
    "toeplitz",
]

if not TYPE_CHECKING:  # a type checker would take it for a promise that any name is there
    __getattr__ = unknown_names(__name__, of_linalg)
