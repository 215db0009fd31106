"""The normal distributions of vectors, and batches taken as one value."""

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

__all__ = ["Independent", "LowRankMultivariateNormal", "MultivariateNormal"]


class OfCovariance(Distribution):
    """A distribution with a positive definite matrix: the covariance Σ, the precision Σ⁻¹, or L with Σ = L Lᵀ."""

    arg_constraints: ClassVar = {
        "covariance_matrix": constraints.symmetric,
        "precision_matrix": constraints.symmetric,
        "scale_tril": constraints.lower_cholesky,
    }

    def _take_with_matrix(self, validate_args: bool | None, **parameters: Any) -> None:
        """Take the parameters and the one of the three matrices that was passed, and make L of it."""
        matrices = {name: parameters.pop(name) for name in OfCovariance.arg_constraints}
        ((name, passed),) = one_of(self, **matrices).items()
        self._take(validate_args, **parameters, **{name: passed})
        matrix = getattr(self, name)
        size = getattr(self, "loc", matrix[..., 0]).shape[-1]
        if matrix.shape[-2:] != (size, size):
            kind = type(self).__name__
            raise ShapeError(f"{kind}: {name} must have shape (…, {size}, {size}), got {matrix.shape}")
        if name != "scale_tril":
            factor = _factor_of_inverse if name == "precision_matrix" else np.linalg.cholesky
            # the gradient reaches both triangles, although the factorisation reads only one
            try:
                self.scale_tril = factor(0.5 * (matrix + np.swapaxes(matrix, -1, -2)))
            except np.linalg.LinAlgError as error:
                raise MatrixError(f"{type(self).__name__}: {name} must be positive definite") from error

    @derived
    def covariance_matrix(self) -> Array:
        """Σ = L Lᵀ."""
        return self.scale_tril @ np.swapaxes(self.scale_tril, -1, -2)

    @derived
    def precision_matrix(self) -> Array:
        """Σ⁻¹ = L⁻ᵀ L⁻¹."""
        inverse = triangular(self.scale_tril, np.eye(self.event_shape[0], dtype=self.dtype), lower=True)
        return np.swapaxes(inverse, -1, -2) @ inverse

    def half_log_determinant(self) -> Array:
        return np.sum(np.log(np.diagonal(self.scale_tril, axis1=-2, axis2=-1)), axis=-1)


class NormalOfVectors(Distribution):
    """A normal distribution of vectors, with whatever describes its covariance."""

    support = constraints.real_vector
    has_rsample = True
    loc: Array

    def distances(self, x: Array) -> Array:
        """yᵀ Σ⁻¹ y for each column y of x."""
        raise NotImplementedError

    def half_log_determinant(self) -> Array:
        """½ log |Σ|."""
        raise NotImplementedError

    def factor(self) -> Array:
        """A matrix F with Σ = F Fᵀ."""
        raise NotImplementedError

    def log_prob(self, value: Array) -> Array:
        distance = self.distances((self._checked(value) - self.loc)[..., None])[..., 0]
        return -0.5 * (distance + self.event_shape[0] * LOG_2_PI) - self.half_log_determinant()

    def entropy(self) -> Array:
        return 0.5 * self.event_shape[0] * (1 + LOG_2_PI) + self.half_log_determinant()

    @property
    def mean(self) -> Array:
        return self.loc

    @property
    def mode(self) -> Array:
        return self.loc


class MultivariateNormal(OfCovariance, NormalOfVectors):
    """p(x) = exp(-(x - μ)ᵀ Σ⁻¹ (x - μ) / 2) / √|2πΣ|.

    One of the matrices is passed: the covariance Σ, the precision Σ⁻¹, or the triangle L with Σ = L Lᵀ.
    """

    arg_constraints: ClassVar = {"loc": constraints.real_vector, **OfCovariance.arg_constraints}

    def __init__(
        self,
        loc: Array,
        covariance_matrix: Array = None,
        precision_matrix: Array = None,
        scale_tril: Array = None,
        validate_args: bool | None = None,
    ) -> None:
        self._take_with_matrix(
            validate_args,
            loc=loc,
            covariance_matrix=covariance_matrix,
            precision_matrix=precision_matrix,
            scale_tril=scale_tril,
        )
        self.event_shape = self.loc.shape[-1:]

    def rsample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        z = noise("standard_normal", self._extended_shape(sample_shape), np.random.default_rng(rng), self.dtype)
        return self.loc + (self.scale_tril @ z[..., None])[..., 0]

    def distances(self, x: Array) -> Array:
        return np.sum(np.square(triangular(self.scale_tril, x, lower=True)), axis=-2)

    def factor(self) -> Array:
        return self.scale_tril

    @property
    def variance(self) -> Array:
        return np.sum(np.square(self.scale_tril), axis=-1)


def _factor_of_inverse(precision: Array) -> Array:
    """L with L Lᵀ = P⁻¹: the factor of P with its axes reversed, reversed back and transposed, is L⁻¹."""
    reverse = np.linalg.cholesky(precision[..., ::-1, ::-1])[..., ::-1, ::-1]
    inverse = np.swapaxes(reverse, -1, -2)
    return triangular(inverse, np.eye(precision.shape[-1], dtype=precision.dtype), lower=True)


class LowRankMultivariateNormal(NormalOfVectors):
    """The normal distribution of vectors with the covariance Σ = W Wᵀ + diag(d), for W of few columns.

    W is `cov_factor`, and d is `cov_diag`. Only matrices of W's columns are factorised, I + Wᵀ diag(d)⁻¹ W.

    Example:
        >>> p = LowRankMultivariateNormal(np.zeros(3), np.ones((3, 1)), np.ones(3))
        >>> p.covariance_matrix.tolist()
        [[2.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 2.0]]
    """

    arg_constraints: ClassVar = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.real._replace(words="a matrix of real numbers", event_dim=2),
        "cov_diag": constraints.positive_vector,
    }
    cov_factor: Array
    cov_diag: Array

    def __init__(self, loc: Array, cov_factor: Array, cov_diag: Array, validate_args: bool | None = None) -> None:
        self._take(validate_args, loc=loc, cov_factor=cov_factor, cov_diag=cov_diag)
        self.event_shape = self.loc.shape[-1:]
        (size,) = self.event_shape
        if self.cov_factor.shape[-2] != size or self.cov_diag.shape[-1] != size:
            raise ShapeError(
                f"LowRankMultivariateNormal: cov_factor must have shape (…, {size}, columns), and cov_diag "
                f"(…, {size}), got {self.cov_factor.shape} and {self.cov_diag.shape}"
            )
        # by the roots of d: the columns of V, and the triangle of I + Vᵀ V
        self._columns = self._narrow("cov_factor") / np.sqrt(self._narrow("cov_diag"))[..., None]
        square = np.swapaxes(self._columns, -1, -2) @ self._columns
        self._triangle = np.linalg.cholesky(square + np.eye(square.shape[-1], dtype=self.dtype))

    @property
    def covariance_matrix(self) -> Array:
        """Σ = W Wᵀ + diag(d)."""
        return self.cov_factor @ np.swapaxes(self.cov_factor, -1, -2) + self._diagonal(self.cov_diag)

    @property
    def precision_matrix(self) -> Array:
        """Σ⁻¹."""
        inverse = triangular(self._triangle, np.swapaxes(self._columns, -1, -2), lower=True)
        rest = np.eye(self.event_shape[0], dtype=self.dtype) - np.swapaxes(inverse, -1, -2) @ inverse
        scale = np.sqrt(self.cov_diag)
        return rest / (scale[..., None] * scale[..., None, :])

    @property
    def scale_tril(self) -> Array:
        """L with Σ = L Lᵀ."""
        square = self._columns @ np.swapaxes(self._columns, -1, -2)
        factor = np.linalg.cholesky(square + np.eye(self.event_shape[0], dtype=self.dtype))
        return np.sqrt(self.cov_diag)[..., None] * factor

    def _diagonal(self, x: Array) -> Array:
        return x[..., None] * np.eye(self.event_shape[0], dtype=self.dtype)

    def rsample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        shape, rng = self._extended_shape(sample_shape), np.random.default_rng(rng)
        common = noise("standard_normal", (*shape[:-1], self.cov_factor.shape[-1]), rng, self.dtype)
        own = noise("standard_normal", shape, rng, self.dtype)
        return self.loc + (self.cov_factor @ common[..., None])[..., 0] + np.sqrt(self.cov_diag) * own

    def half_log_determinant(self) -> Array:
        inner = np.sum(np.log(np.diagonal(self._triangle, axis1=-2, axis2=-1)), axis=-1)
        return inner + 0.5 * np.sum(np.log(self.cov_diag), axis=-1)

    def distances(self, x: Array) -> Array:
        """yᵀ Σ⁻¹ y for each column y of x, as the least |y - V z|² + |z|²: a difference of squares has fewer digits."""
        y = x / np.sqrt(self.cov_diag)[..., None]
        inner = np.swapaxes(self._columns, -1, -2) @ y
        z = triangular(self._triangle, triangular(self._triangle, inner, lower=True), lower=True, transposed=True)
        return np.sum(np.square(y - self._columns @ z), axis=-2) + np.sum(np.square(z), axis=-2)

    def factor(self) -> Array:
        return np.concatenate([self.cov_factor, self._diagonal(np.sqrt(self.cov_diag))], axis=-1)

    @property
    def variance(self) -> Array:
        return np.sum(np.square(self.cov_factor), axis=-1) + self.cov_diag


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
        support = self.base_dist.support
        return support._replace(event_dim=support.event_dim + self.reinterpreted_batch_ndims)

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
