"""What parameters must be, and where the values of a distribution lie."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.foundation.elsewhere import unknown_names


class Constraint(NamedTuple):
    """A condition on arrays.

    Attributes:
        words: what an array must be, for messages.
        holds: where an array meets it: booleans of its shape, or of a shape that broadcasts to it.
        event_dim: the number of the last axes that belong to one value, such as 1 for vectors.
        low, high: the bounds of an interval; None for what is none.
    """

    words: str
    holds: Callable[[Array], Array]
    event_dim: int = 0
    low: Array | None = None
    high: Array | None = None


def interval(low: Array, high: Array, words: str) -> Constraint:
    """The numbers from low to high."""
    return Constraint(words, lambda x: np.greater_equal(x, low) & np.less_equal(x, high), low=low, high=high)


def integers(low: Array, high: Array, words: str) -> Constraint:
    """The whole numbers from low to high."""
    return Constraint(words, lambda x: np.greater_equal(x, low) & np.less_equal(x, high) & np.equal(x, np.floor(x)))


def _is_simplex(x: Array) -> Array:
    return np.greater_equal(x, 0) & np.less(np.absolute(np.sum(x, axis=-1, keepdims=True) - 1), 1e-6)


def _is_one_hot(x: Array) -> Array:
    return (np.equal(x, 0) | np.equal(x, 1)) & np.equal(np.sum(x, axis=-1, keepdims=True), 1)


def _is_lower(x: Array) -> Array:
    size = x.shape[-1]
    if x.shape[-2] != size:
        return np.zeros(x.shape, bool)
    diagonal = np.eye(size, dtype=bool)
    return np.where(diagonal, np.greater(x, 0), np.tri(size, dtype=bool) | np.equal(x, 0))


def _is_symmetric(x: Array) -> Array:
    if x.shape[-1] != x.shape[-2]:
        return np.zeros(x.shape, bool)
    return np.less_equal(np.absolute(x - np.swapaxes(x, -1, -2)), 1e-6 * (1 + np.absolute(x)))


def _is_positive_definite(x: Array) -> Array:
    """Up to rounding, with which a matrix that is nearly singular may have an eigenvalue just below 0."""
    is_symmetric = np.all(_is_symmetric(x), axis=(-2, -1), keepdims=True)
    if x.shape[-1] != x.shape[-2]:
        return is_symmetric
    values = np.linalg.eigvalsh(np.where(is_symmetric, x, np.eye(x.shape[-1], dtype=x.dtype)))
    rounding = x.shape[-1] * float(np.finfo(x.dtype).eps)
    return is_symmetric & np.greater(values[..., :1, None], -rounding * values[..., -1:, None])


def _is_factor_of_correlations(x: Array) -> Array:
    is_unit = np.less(np.absolute(np.sum(np.square(x), axis=-1, keepdims=True) - 1), 1e-5)
    return _is_lower(x) & is_unit


# what is compared with itself is real unless it is NaN
real = Constraint("a real number", lambda x: np.equal(x, x))
real_vector = Constraint("a vector of real numbers", lambda x: np.equal(x, x), 1)
positive = Constraint("positive", lambda x: np.greater(x, 0), low=0, high=np.inf)
positive_vector = positive._replace(event_dim=1)
nonnegative = interval(0, np.inf, "at least 0")
unit_interval = interval(0, 1, "in [0, 1]")
boolean = integers(0, 1, "0 or 1")
natural = integers(0, np.inf, "a whole number of at least 0")
simplex = Constraint("probabilities that add up to 1 along the last axis", _is_simplex, 1)
one_hot = Constraint("a vector of zeros with a single 1", _is_one_hot, 1)
lower_cholesky = Constraint("a lower triangle with a positive diagonal", _is_lower, 2)
symmetric = Constraint("a symmetric matrix", _is_symmetric, 2)
positive_definite = Constraint("a positive definite matrix", _is_positive_definite, 2)
corr_cholesky = Constraint(
    "a lower triangle with a positive diagonal and rows of length 1", _is_factor_of_correlations, 2
)


def multinomial(total_count: int) -> Constraint:
    """Vectors of whole numbers that add up to the total count."""
    return Constraint(
        f"a vector of whole numbers that add up to {total_count}",
        lambda x: natural.holds(x) & np.equal(np.sum(x, axis=-1, keepdims=True), total_count),
        1,
    )


if not TYPE_CHECKING:  # a type checker would take it for a promise that any name is there
    __getattr__ = unknown_names(__name__)
