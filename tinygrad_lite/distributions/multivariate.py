"""The normal distribution of vectors, and batches taken as one value."""

from typing import Any, ClassVar, Self

import numpy as np

from tinygrad_lite.distributions import constraints
from tinygrad_lite.distributions.constraints import Constraint
from tinygrad_lite.distributions.continuous import LOG_2_PI
from tinygrad_lite.distributions.distribution import Distribution, checked_distribution, derived, one_of, sum_last
from tinygrad_lite.distributions.noise import Rng, noise
from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import MatrixError, ShapeError, UsageError
from tinygrad_lite.foundation.settings import whole
from tinygrad_lite.ops.linear.triangular import triangular

__all__ = ["Independent", "MultivariateNormal"]


class MultivariateNormal(Distribution):
    """p(x) = exp(-(x - μ)ᵀ Σ⁻¹ (x - μ) / 2) / √|2πΣ|.

    One of the matrices is passed: the covariance Σ, the precision Σ⁻¹, or the triangle L with Σ = L Lᵀ.
    """

    arg_constraints: ClassVar = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.symmetric,
        "precision_matrix": constraints.symmetric,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True
    loc: Array

    def __init__(
        self,
        loc: Array,
        covariance_matrix: Array = None,
        precision_matrix: Array = None,
        scale_tril: Array = None,
        validate_args: bool | None = None,
    ) -> None:
        matrices = {
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }
        self._take(validate_args, loc=loc, **one_of(self, **matrices))
        self.event_shape = self.loc.shape[-1:]
        (name,) = self._names[1:]
        matrix = getattr(self, name)
        size = self.event_shape[0]
        if matrix.shape[-2:] != (size, size):
            raise ShapeError(f"MultivariateNormal: {name} must have shape (…, {size}, {size}), got {matrix.shape}")
        if name != "scale_tril":
            factor = _factor_of_inverse if name == "precision_matrix" else np.linalg.cholesky
            # the gradient reaches both triangles, although the factorisation reads only one
            try:
                self.scale_tril = factor(0.5 * (matrix + np.swapaxes(matrix, -1, -2)))
            except np.linalg.LinAlgError as error:
                raise MatrixError(f"MultivariateNormal: {name} must be positive definite") from error

    @derived
    def covariance_matrix(self) -> Array:
        """Σ = L Lᵀ."""
        return self.scale_tril @ np.swapaxes(self.scale_tril, -1, -2)

    @derived
    def precision_matrix(self) -> Array:
        """Σ⁻¹ = L⁻ᵀ L⁻¹."""
        inverse = triangular(self.scale_tril, np.eye(self.event_shape[0], dtype=self.dtype), lower=True)
        return np.swapaxes(inverse, -1, -2) @ inverse

    def rsample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        z = noise("standard_normal", self._extended_shape(sample_shape), np.random.default_rng(rng), self.dtype)
        return self.loc + (self.scale_tril @ z[..., None])[..., 0]

    def _half_log_determinant(self) -> Array:
        return np.sum(np.log(np.diagonal(self.scale_tril, axis1=-2, axis2=-1)), axis=-1)

    def log_prob(self, value: Array) -> Array:
        z = triangular(self.scale_tril, (self._checked(value) - self.loc)[..., None], lower=True)[..., 0]
        return -0.5 * np.sum(z * z + LOG_2_PI, axis=-1) - self._half_log_determinant()

    def entropy(self) -> Array:
        return 0.5 * self.event_shape[0] * (1 + LOG_2_PI) + self._half_log_determinant()

    @property
    def mean(self) -> Array:
        return self.loc

    @property
    def mode(self) -> Array:
        return self.loc

    @property
    def variance(self) -> Array:
        return np.sum(np.square(self.scale_tril), axis=-1)


def _factor_of_inverse(precision: Array) -> Array:
    """L with L Lᵀ = P⁻¹: the factor of P with its axes reversed, reversed back and transposed, is L⁻¹."""
    reverse = np.linalg.cholesky(precision[..., ::-1, ::-1])[..., ::-1, ::-1]
    inverse = np.swapaxes(reverse, -1, -2)
    return triangular(inverse, np.eye(precision.shape[-1], dtype=precision.dtype), lower=True)


class Independent(Distribution):
    """Takes the last `reinterpreted_batch_ndims` axes of a batch as axes of one value, whose parts are independent.

    Example:
        >>> from tinygrad_lite.distributions import Normal
        >>> Independent(Normal(np.zeros((5, 3)), 1.0), 1).log_prob(np.zeros(3)).shape
        (5,)
    """

    arg_constraints: ClassVar = {}
    _names = ()

    def __init__(
        self, base_distribution: Distribution, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ) -> None:
        batch = checked_distribution(self, base_distribution).batch_shape
        reinterpreted_batch_ndims = whole("reinterpreted_batch_ndims", reinterpreted_batch_ndims, least=0)
        if reinterpreted_batch_ndims > len(batch):
            raise ShapeError(
                f"Independent: reinterpreted_batch_ndims must be at most {len(batch)}, the number of axes of the batch "
                f"{batch}, got {reinterpreted_batch_ndims}"
            )
        self.base_dist = base_distribution
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        self.validate_args = validate_args is not False
        self.dtype = base_distribution.dtype
        self.batch_shape = batch[: len(batch) - reinterpreted_batch_ndims]
        self.event_shape = batch[len(self.batch_shape) :] + base_distribution.event_shape

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.base_dist.has_rsample

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        return self.base_dist.has_enumerate_support and self.reinterpreted_batch_ndims == 0

    @property
    def support(self) -> Constraint:  # type: ignore[override]
        words, holds, event_dim = self.base_dist.support
        return Constraint(words, holds, event_dim + self.reinterpreted_batch_ndims)

    def expand(self, batch_shape: Any) -> Self:
        inner = self.event_shape[: self.reinterpreted_batch_ndims]
        base = self.base_dist.expand((*batch_shape, *inner))
        return type(self)(base, self.reinterpreted_batch_ndims, self.validate_args)

    def sample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        return self.base_dist.sample(sample_shape, rng)

    def rsample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        return self.base_dist.rsample(sample_shape, rng)

    def log_prob(self, value: Array) -> Array:
        return sum_last(self.base_dist.log_prob(self._checked(value)), self.reinterpreted_batch_ndims)

    def entropy(self) -> Array:
        return sum_last(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def enumerate_support(self, expand: bool = True) -> Array:
        if self.reinterpreted_batch_ndims and self.base_dist.has_enumerate_support:
            raise UsageError(
                "Independent does not list the combinations of its parts' values: base_dist.enumerate_support() lists "
                "those of each part, and the parts are independent"
            )
        return self.base_dist.enumerate_support(expand)

    @property
    def mean(self) -> Array:
        return self.base_dist.mean

    @property
    def mode(self) -> Array:
        return self.base_dist.mode

    @property
    def variance(self) -> Array:
        return self.base_dist.variance

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"
