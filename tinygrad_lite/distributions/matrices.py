"""Distributions of covariance matrices, and of factors of correlation matrices."""

from math import log, pi
from typing import Any, ClassVar

import numpy as np

from tinygrad_lite.distributions import constraints
from tinygrad_lite.distributions.constraints import Constraint
from tinygrad_lite.distributions.distribution import Distribution
from tinygrad_lite.distributions.gammas import Beta, Draw, OfGammas, digamma
from tinygrad_lite.distributions.multivariate import OfCovariance
from tinygrad_lite.distributions.noise import Rng, Shape, noise
from tinygrad_lite.engine.grad_mode import no_grad
from tinygrad_lite.engine.op import Array
from tinygrad_lite.foundation.settings import whole
from tinygrad_lite.ops.gamma_functions import lgamma
from tinygrad_lite.ops.linear.triangular import triangular
from tinygrad_lite.transforms.custom import stop_gradient

__all__ = ["LKJCholesky", "Wishart"]


class Wishart(OfGammas, OfCovariance):
    """p(X) = |X|^((ν - n - 1) / 2) exp(-tr(Σ⁻¹ X) / 2) / (2^(νn/2) |Σ|^(ν/2) Γₙ(ν / 2)) of n × n matrices X, ν = df.

    For a whole ν, X is the sum of x xᵀ over ν vectors x of the normal distribution of mean 0 and covariance Σ. One of
    the matrices is passed, as for `MultivariateNormal`.

    Source: Bartlett (1934), On the theory of statistical regression, for the samples.

    Raises:
        InputError: if df is not greater than n - 1.

    Example:
        >>> Wishart(4.0, covariance_matrix=np.eye(2)).mean.tolist()
        [[4.0, 0.0], [0.0, 4.0]]
    """

    arg_constraints: ClassVar = {"df": constraints.positive, **OfCovariance.arg_constraints}
    support = constraints.positive_definite
    df: Array

    def __init__(
        self,
        df: Array,
        covariance_matrix: Array = None,
        precision_matrix: Array = None,
        scale_tril: Array = None,
        validate_args: bool | None = None,
    ) -> None:
        self._take_with_matrix(
            validate_args,
            df=df,
            covariance_matrix=covariance_matrix,
            precision_matrix=precision_matrix,
            scale_tril=scale_tril,
        )
        self.event_shape = self.scale_tril.shape[-2:]
        bound = self.event_shape[0] - 1
        self._require(Constraint(f"greater than {bound}", lambda x: np.greater(x, bound)), "df", self.df)

    def _halves(self) -> Array:
        """(ν - i) / 2 for each row i."""
        return 0.5 * (self.df[..., None] - np.arange(self.event_shape[0], dtype=self.dtype))

    def _made(self, draw: Draw, shape: Shape, rng: np.random.Generator) -> Array:
        diagonal = np.exp(0.5 * (draw(self._halves(), shape[:-1], rng) + log(2)))
        below = np.tri(shape[-1], k=-1, dtype=self.dtype) * noise("standard_normal", shape, rng, self.dtype)
        factor = self.scale_tril @ (below + diagonal[..., None] * np.eye(shape[-1], dtype=self.dtype))
        return factor @ np.swapaxes(factor, -1, -2)

    def log_gamma(self) -> Array:
        """log Γₙ(ν / 2), of the multivariate gamma function."""
        size = self.event_shape[0]
        return size * (size - 1) / 4 * log(pi) + np.sum(lgamma(self._halves()), axis=-1)

    def mean_log_ratio(self) -> Array:
        """The mean of log |X / 2| - log |Σ|."""
        return np.sum(digamma(self._halves()), axis=-1)

    def _log_determinant(self) -> Array:
        """log |2Σ|."""
        return self.event_shape[0] * log(2) + 2 * self.half_log_determinant()

    def log_prob(self, value: Array) -> Array:
        x, size = self._checked(value), self.event_shape[0]
        columns = triangular(self.scale_tril, x, lower=True)
        whitened = triangular(self.scale_tril, np.swapaxes(columns, -1, -2), lower=True)
        trace = np.trace(whitened, axis1=-2, axis2=-1)
        by_size = 0.5 * (self.df - size - 1) * np.linalg.slogdet(x)[1]
        return by_size - 0.5 * trace - 0.5 * self.df * self._log_determinant() - self.log_gamma()

    def entropy(self) -> Array:
        size = self.event_shape[0]
        by_freedom = self.log_gamma() - 0.5 * (self.df - size - 1) * self.mean_log_ratio()
        return 0.5 * (size + 1) * self._log_determinant() + by_freedom + 0.5 * self.df * size

    @property
    def mean(self) -> Array:
        return self.df[..., None, None] * self.covariance_matrix

    @property
    def mode(self) -> Array:
        """The most probable value; NaN where the density is infinite at singular matrices."""
        factor = self.df - self.event_shape[0] - 1
        return np.where(np.greater(factor, 0), factor, np.nan)[..., None, None] * self.covariance_matrix

    @property
    def variance(self) -> Array:
        diagonal = np.diagonal(self.covariance_matrix, axis1=-2, axis2=-1)
        squares = np.square(self.covariance_matrix) + diagonal[..., None] * diagonal[..., None, :]
        return self.df[..., None, None] * squares


class LKJCholesky(Distribution):
    """The lower triangle L of a random correlation matrix L Lᵀ of `dim` rows, whose density is as |L Lᵀ|^(η - 1).

    η is the concentration: at 1, all correlation matrices are equally probable; above it, those next to the identity
    are more so.

    Source: Lewandowski, Kurowicka and Joe (2009), Generating random correlation matrices based on vines and extended
    onion method.

    Raises:
        InputError: if dim is not a whole number of at least 2.

    Example:
        >>> factor = LKJCholesky(3, 2.0).sample(rng=0)
        >>> np.diagonal(factor @ factor.T).round(12).tolist()
        [1.0, 1.0, 1.0]
    """

    arg_constraints: ClassVar = {"concentration": constraints.positive}
    support = constraints.corr_cholesky
    concentration: Array

    def __init__(self, dim: int, concentration: Array = 1.0, validate_args: bool | None = None) -> None:
        self.dim = whole("LKJCholesky: dim", dim, least=2)
        self._take(validate_args, concentration=concentration)
        self.event_shape = (self.dim, self.dim)

    def _settings(self) -> dict[str, Any]:
        return {"dim": self.dim}

    def sample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        shape, rng = self._extended_shape(sample_shape), np.random.default_rng(rng)
        with no_grad():
            # a row below the first has a random direction, and a random length before its entry on the diagonal
            rows = np.arange(self.dim - 1, dtype=self.dtype)
            rest = self.concentration[..., None] + 0.5 * (self.dim - 2 - rows)
            squares = Beta(0.5 * (rows + 1), rest, validate_args=False).sample(shape[: len(shape) - rest.ndim - 1], rng)
            z = noise("standard_normal", (*shape[:-2], self.dim - 1, self.dim), rng, self.dtype)
            z = z * np.tri(self.dim - 1, self.dim, dtype=self.dtype)
            directions = z / np.sqrt(np.sum(np.square(z), axis=-1, keepdims=True))
            before = np.sqrt(squares)[..., None] * directions
            last = np.sqrt(1 - squares)[..., None] * np.eye(self.dim - 1, self.dim, k=1, dtype=self.dtype)
            first = np.broadcast_to(np.eye(1, self.dim, dtype=self.dtype), (*shape[:-2], 1, self.dim))
            return stop_gradient(np.concatenate([first, before + last], axis=-2))

    def log_prob(self, value: Array) -> Array:
        diagonal = np.diagonal(self._checked(value), axis1=-2, axis2=-1)[..., 1:]
        rows = np.arange(self.dim - 1, dtype=self.dtype)
        rest = self.concentration[..., None] + 0.5 * (self.dim - 2 - rows)
        log_beta = 0.5 * (rows + 1) * log(pi) + lgamma(rest) - lgamma(rest + 0.5 * (rows + 1))
        return np.sum(2 * (rest - 1) * np.log(diagonal) - log_beta, axis=-1)
