"""One-to-one maps of vectors and matrices, and the distribution of probabilities that one of them makes."""

from collections.abc import Sequence
from math import isqrt, log, prod
from typing import Any, ClassVar, Self

import numpy as np

from tinygrad_lite.distributions import constraints
from tinygrad_lite.distributions.constraints import Constraint
from tinygrad_lite.distributions.continuous import Normal
from tinygrad_lite.distributions.distribution import Distribution, checked_distribution, sum_last
from tinygrad_lite.distributions.noise import Shape
from tinygrad_lite.distributions.transforms.of_numbers import (
    AffineTransform,
    ComposeTransform,
    ExpTransform,
    SigmoidTransform,
    Transform,
    TransformedDistribution,
)
from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.foundation.settings import whole
from tinygrad_lite.ops.networks.activations import sigmoid, softplus

__all__ = [
    "CorrCholeskyTransform",
    "CumulativeDistributionTransform",
    "IndependentTransform",
    "LogisticNormal",
    "LowerCholeskyTransform",
    "PositiveDefiniteTransform",
    "ReshapeTransform",
    "StickBreakingTransform",
    "biject_to",
]

_MATRIX = constraints.real._replace(event_dim=2)


class StickBreakingTransform(Transform):
    """The probabilities of K + 1 classes from K numbers: yᵢ = zᵢ Π (1 - zⱼ) over j < i, zᵢ = σ(xᵢ - log(K + 1 - i)).

    A stick of length 1 is broken K times; all parts are equal at x = 0. i begins at 1.
    """

    domain, codomain = constraints.real_vector, constraints.simplex

    def forward_shape(self, shape: Shape) -> Shape:
        return (*shape[:-1], shape[-1] + 1)

    def inverse_shape(self, shape: Shape) -> Shape:
        return (*shape[:-1], shape[-1] - 1)

    def _logits(self, x: Array) -> Array:
        return x - np.log(np.arange(x.shape[-1], 0, -1, dtype=x.dtype))

    def _call(self, x: Array) -> Array:
        limits, one = np.finfo(x.dtype), np.ones((*x.shape[:-1], 1), x.dtype)
        z = np.clip(sigmoid(self._logits(x)), float(limits.tiny), 1 - float(limits.eps))
        return np.concatenate([z, one], axis=-1) * np.concatenate([one, np.cumprod(1 - z, axis=-1)], axis=-1)

    def _inverse(self, y: Array) -> Array:
        first = y[..., :-1]
        rest, least = 1 - np.cumsum(first, axis=-1), float(np.finfo(y.dtype).tiny)
        is_left = rest > least  # where nothing is left, its slope would be infinite
        log_rest = np.where(is_left, np.log(np.where(is_left, rest, 1.0)), log(least))
        return np.log(first) - log_rest + np.log(np.arange(first.shape[-1], 0, -1, dtype=y.dtype))

    def log_abs_det_jacobian(self, x: Array, y: Array) -> Array:
        return np.sum(np.log(y[..., :-1]) - softplus(self._logits(x)), axis=-1)


class CorrCholeskyTransform(Transform):
    """The lower triangle L of a correlation matrix L Lᵀ of n rows, from n (n - 1) / 2 numbers.

    Their hyperbolic tangents are partial correlations: each row of L breaks a stick, whose length is that of the row.
    """

    domain, codomain = constraints.real_vector, constraints.corr_cholesky

    def forward_shape(self, shape: Shape) -> Shape:
        size = (1 + isqrt(1 + 8 * shape[-1])) // 2
        if size * (size - 1) // 2 != shape[-1]:
            raise ShapeError(f"CorrCholeskyTransform needs vectors of n (n - 1) / 2 numbers, got shape {shape}")
        return (*shape[:-1], size, size)

    def inverse_shape(self, shape: Shape) -> Shape:
        return (*shape[:-2], shape[-1] * (shape[-1] - 1) // 2)

    def _call(self, x: Array) -> Array:
        *batch, size, _ = self.forward_shape(x.shape)
        bound = 1 - float(np.finfo(x.dtype).eps)
        entries = np.concatenate([np.zeros((*batch, 1), x.dtype), np.clip(np.tanh(x), -bound, bound)], axis=-1)
        index = np.zeros((size, size), int)  # of the entry in a row, behind a zero
        index[np.tril_indices(size, -1)] = np.arange(1, entries.shape[-1])
        r = entries[..., index]
        rest = np.cumprod(np.sqrt(1 - np.square(r)), axis=-1)[..., :-1]
        before = np.concatenate([np.ones((*batch, size, 1), x.dtype), rest], axis=-1)
        return (r + np.eye(size, dtype=x.dtype)) * before

    def _inverse(self, y: Array) -> Array:
        rows, columns = np.tril_indices(y.shape[-1], -1)
        squares = np.square(y)
        before = 1 - (np.cumsum(squares, axis=-1) - squares)
        return np.arctanh(y[..., rows, columns] / np.sqrt(before[..., rows, columns]))

    def log_abs_det_jacobian(self, x: Array, y: Array) -> Array:
        rows, columns = np.tril_indices(y.shape[-1], -2)
        rest = 1 - np.cumsum(np.square(y), axis=-1)
        by_rows = 0.5 * np.sum(np.log(rest[..., rows, columns]), axis=-1)
        return by_rows + 2 * np.sum(log(2) - x - softplus(-2 * x), axis=-1)


class LowerCholeskyTransform(Transform):
    """A lower triangle with a positive diagonal: that of the matrix, with e to the entries of its diagonal."""

    domain, codomain = _MATRIX, constraints.lower_cholesky

    def _with_diagonal(self, x: Array, function: Any) -> Array:
        size = x.shape[-1]
        if x.shape[-2] != size:
            raise ShapeError(f"{self} needs square matrices, got shape {x.shape}")
        diagonal = function(np.diagonal(x, axis1=-2, axis2=-1))
        return np.where(np.tri(size, k=-1, dtype=bool), x, 0) + diagonal[..., None] * np.eye(size, dtype=x.dtype)

    def _call(self, x: Array) -> Array:
        return self._with_diagonal(x, np.exp)

    def _inverse(self, y: Array) -> Array:
        return self._with_diagonal(y, np.log)


class PositiveDefiniteTransform(LowerCholeskyTransform):
    """L Lᵀ for the triangle L that `LowerCholeskyTransform` makes."""

    codomain = constraints.positive_definite

    def _call(self, x: Array) -> Array:
        factor = super()._call(x)
        return factor @ np.swapaxes(factor, -1, -2)

    def _inverse(self, y: Array) -> Array:
        return super()._inverse(np.linalg.cholesky(y))


class ReshapeTransform(Transform):
    """The same numbers in another shape.

    Raises:
        InputError: if the shapes have different numbers of entries.
    """

    def __init__(self, in_shape: Sequence[int], out_shape: Sequence[int]) -> None:
        self.in_shape, self.out_shape = (
            tuple([whole("ReshapeTransform: a length", n, least=0) for n in shape]) for shape in (in_shape, out_shape)
        )
        if prod(self.in_shape) != prod(self.out_shape):
            raise InputError(
                f"ReshapeTransform: {self.in_shape} and {self.out_shape} have different numbers of entries"
            )
        self.domain = constraints.real._replace(event_dim=len(self.in_shape))
        self.codomain = constraints.real._replace(event_dim=len(self.out_shape))

    @staticmethod
    def _turned(shape: Shape, old: Shape, new: Shape) -> Shape:
        cut = len(shape) - len(old)
        if cut < 0 or shape[cut:] != old:
            raise ShapeError(f"ReshapeTransform needs values of shape {old}, got {shape}")
        return shape[:cut] + new

    def forward_shape(self, shape: Shape) -> Shape:
        return self._turned(tuple(shape), self.in_shape, self.out_shape)

    def inverse_shape(self, shape: Shape) -> Shape:
        return self._turned(tuple(shape), self.out_shape, self.in_shape)

    def _call(self, x: Array) -> Array:
        return np.reshape(x, self.forward_shape(x.shape))

    def _inverse(self, y: Array) -> Array:
        return np.reshape(y, self.inverse_shape(y.shape))

    def log_abs_det_jacobian(self, x: Array, y: Array) -> Array:
        return np.zeros(x.shape[: x.ndim - len(self.in_shape)], x.dtype)


class IndependentTransform(Transform):
    """Another map, whose last axes belong to one value.

    Raises:
        UsageError: if what it is made of is no transform.
    """

    def __init__(self, base_transform: Transform, reinterpreted_batch_ndims: int) -> None:
        if not isinstance(base_transform, Transform):
            raise UsageError(f"IndependentTransform is made of a transform, got {base_transform!r}")
        self.base_transform = base_transform
        self.reinterpreted_batch_ndims = whole("reinterpreted_batch_ndims", reinterpreted_batch_ndims, least=0)
        axes = base_transform.domain.event_dim + self.reinterpreted_batch_ndims
        self.domain = base_transform.domain._replace(event_dim=axes)
        self.codomain = base_transform.codomain._replace(event_dim=axes + base_transform._added_axes)
        self.sign = base_transform.sign

    def forward_shape(self, shape: Shape) -> Shape:
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape: Shape) -> Shape:
        return self.base_transform.inverse_shape(shape)

    def _call(self, x: Array) -> Array:
        return self.base_transform(x)

    def _inverse(self, y: Array) -> Array:
        return self.base_transform._inverse(y)

    def log_abs_det_jacobian(self, x: Array, y: Array) -> Array:
        return sum_last(self.base_transform.log_abs_det_jacobian(x, y), self.reinterpreted_batch_ndims)


class CumulativeDistributionTransform(Transform):
    """y = F(x), the probability under a distribution of all values up to x: the ranks of a copula."""

    codomain = constraints.unit_interval

    def __init__(self, distribution: Distribution) -> None:
        self.distribution = checked_distribution(self, distribution)
        self.domain, self.shape = distribution.support, distribution.batch_shape

    def _call(self, x: Array) -> Array:
        return self.distribution.cdf(x)

    def _inverse(self, y: Array) -> Array:
        return self.distribution.icdf(y)

    def log_abs_det_jacobian(self, x: Array, y: Array) -> Array:
        return self.distribution.log_prob(x)


_OF_KINDS = {
    constraints.real.holds: ComposeTransform([]),
    constraints.real_vector.holds: ComposeTransform([]),
    constraints.simplex.holds: StickBreakingTransform(),
    constraints.corr_cholesky.holds: CorrCholeskyTransform(),
}


def biject_to(constraint: Constraint) -> Transform:
    """A one-to-one map from all real numbers, or vectors of them, to the values that meet a constraint.

    An optimiser or a sampler moves freely before the map. PyTorch's choices: eˣ above a bound, the sigmoid function
    between two, broken sticks for probabilities.

    Raises:
        UsageError: if none is known, as for whole numbers and for matrices.

    Example:
        >>> from tinygrad_lite.distributions import Gamma, biject_to
        >>> biject_to(Gamma(2.0, 1.0).support)
        ExpTransform()
    """
    transform = _OF_KINDS.get(constraint.holds)
    if transform is None and constraint.low is not None:
        transform = _to_interval(constraint.low, constraint.high)
    if transform is None:
        raise UsageError(f"biject_to knows no map to what must be {constraint.words}")
    parts = constraint.event_dim - transform.codomain.event_dim
    return IndependentTransform(transform, parts) if parts > 0 else transform


def _to_interval(low: Array, high: Array) -> Transform | None:
    """The map to the numbers between bounds, of which the upper one may be infinite."""
    if np.all(np.isinf(high)):
        first: Transform = ExpTransform()
        scale: Array = 1
    elif np.any(np.isinf(high)):
        return None
    else:
        first, scale = SigmoidTransform(), high - low
    is_standard = isinstance(low, int) and isinstance(scale, int) and (low, scale) == (0, 1)
    return first if is_standard else ComposeTransform([first, AffineTransform(low, scale)])


class LogisticNormal(TransformedDistribution):
    """The distribution of probabilities that `StickBreakingTransform` makes of normal numbers, one less than classes.

    Example:
        >>> LogisticNormal(np.zeros(2), 1.0).sample(rng=0).shape
        (3,)
    """

    arg_constraints: ClassVar = {"loc": constraints.real_vector, "scale": constraints.positive_vector}
    _names = ("loc", "scale")
    __repr__ = Distribution.__repr__

    def __init__(self, loc: Array, scale: Array, validate_args: bool | None = None) -> None:
        base = Normal(loc, scale, validate_args)
        super().__init__(base if base.batch_shape else base.expand(1), StickBreakingTransform(), validate_args)
        self._normal = base if base.batch_shape else base.expand(1)

    @property
    def loc(self) -> Array:
        """The means of the normal numbers."""
        return self._normal.loc

    @property
    def scale(self) -> Array:
        """The standard deviations of the normal numbers."""
        return self._normal.scale

    def expand(self, batch_shape: Any) -> Self:
        wide = self._normal.expand((*self._shape("batch_shape", batch_shape), self.loc.shape[-1]))
        return type(self)(wide.loc, wide.scale, self.validate_args)
