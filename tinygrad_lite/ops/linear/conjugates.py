"""Conjugates in rules of matrices: of real matrices, they are the matrices themselves.

A rule for complex matrices gets g so that the result moves by Re(Σ g · dy), and returns the same of its argument.
"""

from collections.abc import Sequence

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.ops.casting import conjugated as conj
from tinygrad_lite.ops.requirements import refuse_where

__all__ = ["adjoint", "conj", "real", "refuse_phases"]


def adjoint(x: Array) -> Array:
    """The conjugate transpose of matrices in the last two axes."""
    return conj(x).mT


def real(x: Array) -> Array:
    """The real part of complex numbers; real numbers as they are."""
    return np.real(x) if x.dtype.kind == "c" else x


def refuse_phases(inner: Array, gradients: Sequence[Array], vectors: str) -> None:
    """Refuse a result that depends on the phases of complex vectors, which LAPACK chooses.

    Args:
        inner: a matrix whose diagonal says, times i, how the result moves if the phase of a vector does: v · g.
        gradients: those that arrive at the vectors, whose size tells what is rounding.
        vectors: whose they are, for the message.
    """
    if inner.dtype.kind != "c":
        return
    moving = np.imag(np.diagonal(inner, axis1=-2, axis2=-1))
    largest = sum(np.max(np.absolute(g), axis=(-2, -1), initial=0) for g in gradients)
    refuse_where(
        np.absolute(moving) > np.finfo(inner.dtype).eps ** 0.75 * largest[..., None],
        moving,
        message=f"the matrix does not determine the phases of its {vectors}: a result that depends on them has no "
        "derivative, and this one moves by {:.3g} for each radian. Write a result that does not, such as np.abs(v) or "
        "v @ v.conj().T",
    )
