"""One-to-one maps of numbers, and the distributions of what they make of samples."""

from collections.abc import Sequence
from functools import reduce
from math import log
from typing import Any, ClassVar, Self

import numpy as np

from tinygrad_lite.distributions import constraints
from tinygrad_lite.distributions.constraints import Constraint
from tinygrad_lite.distributions.distribution import Distribution, checked_distribution, sum_last
from tinygrad_lite.distributions.multivariate import Independent
from tinygrad_lite.distributions.noise import Rng, Shape
from tinygrad_lite.engine.grad_mode import no_grad
from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import UsageError
from tinygrad_lite.foundation.elsewhere import SettingsElsewhere
from tinygrad_lite.ops.networks.activations import sigmoid, softplus
from tinygrad_lite.transforms.custom import stop_gradient

__all__ = [
    "AffineTransform",
    "ComposeTransform",
    "ExpTransform",
    "PowerTransform",
    "SigmoidTransform",
    "SoftplusTransform",
    "TanhTransform",
    "Transform",
    "TransformedDistribution",
]


class Transform(SettingsElsewhere):
    """A one-to-one map y = f(x). A subclass defines `_call(x)`, `_inverse(y)` and `log_abs_det_jacobian(x, y)`.

    The last is log |dy/dx|, entry by entry. A map of vectors has a domain with an `event_dim` of 1, and there
    returns one number for each vector.

    Attributes:
        domain, codomain: where x and y lie.
        sign: 1 if f rises, -1 if it falls.
        shape: the shape of its parameters, to which a batch of distributions is broadcast.

    Example:
        >>> from tinygrad_lite.distributions import Normal, Transform, TransformedDistribution
        >>> class Cube(Transform):
        ...     def _call(self, x):
        ...         return x**3
        ...     def _inverse(self, y):
        ...         return np.cbrt(y)
        ...     def log_abs_det_jacobian(self, x, y):
        ...         return np.log(3 * x**2)
        >>> float(TransformedDistribution(Normal(0.0, 1.0), Cube()).cdf(0.0))
        0.5
    """

    domain: Constraint = constraints.real
    codomain: Constraint = constraints.real
    sign: Any = 1
    shape: Shape = ()

    def __call__(self, x: Array) -> Array:
        """The value y."""
        return self._call(x)

    def _call(self, x: Array) -> Array:
        raise UsageError(f"{type(self).__name__} defines no _call(self, x)")

    def _inverse(self, y: Array) -> Array:
        raise UsageError(f"{type(self).__name__} defines no _inverse(self, y)")

    def log_abs_det_jacobian(self, x: Array, y: Array) -> Array:
        """The logarithm of |dy/dx|."""
        raise UsageError(f"{type(self).__name__} defines no log_abs_det_jacobian(self, x, y)")

    @property
    def inv(self) -> "Transform":
        """The map from y to x."""
        return _Inverse(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Inverse(Transform):
    """The map from y to x of another."""

    def __init__(self, transform: Transform) -> None:
        self._transform = transform
        self.domain, self.codomain = transform.codomain, transform.domain
        self.sign, self.shape = transform.sign, transform.shape

    def _call(self, x: Array) -> Array:
        return self._transform._inverse(x)

    def _inverse(self, y: Array) -> Array:
        return self._transform(y)

    def log_abs_det_jacobian(self, x: Array, y: Array) -> Array:
        return -self._transform.log_abs_det_jacobian(y, x)

    @property
    def inv(self) -> Transform:
        return self._transform

    def __repr__(self) -> str:
        return f"{self._transform}.inv"


class AffineTransform(Transform):
    """y = loc + scale · x."""

    def __init__(self, loc: Array, scale: Array) -> None:
        self.loc, self.scale = loc, scale
        self.shape = np.broadcast_shapes(np.shape(loc), np.shape(scale))

    @property
    def sign(self) -> Any:
        return np.sign(self.scale)

    def _call(self, x: Array) -> Array:
        return self.loc + self.scale * x

    def _inverse(self, y: Array) -> Array:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Array, y: Array) -> Array:
        return np.log(np.absolute(self.scale + np.zeros_like(x)))

    def __repr__(self) -> str:
        return f"AffineTransform(loc={self.loc}, scale={self.scale})"


class ExpTransform(Transform):
    """y = eˣ."""

    codomain = constraints.positive

    def _call(self, x: Array) -> Array:
        return np.exp(x)

    def _inverse(self, y: Array) -> Array:
        return np.log(y)

    def log_abs_det_jacobian(self, x: Array, y: Array) -> Array:
        return x


class PowerTransform(Transform):
    """y = xᵃ of positive x, with the exponent a."""

    domain = codomain = constraints.positive

    def __init__(self, exponent: Array) -> None:
        self.exponent = exponent
        self.shape = np.shape(exponent)

    @property
    def sign(self) -> Any:
        return np.sign(self.exponent)

    def _call(self, x: Array) -> Array:
        return x**self.exponent

    def _inverse(self, y: Array) -> Array:
        return y ** (1 / self.exponent)

    def log_abs_det_jacobian(self, x: Array, y: Array) -> Array:
        return np.log(np.absolute(self.exponent + np.zeros_like(x))) + (self.exponent - 1) * np.log(x)

    def __repr__(self) -> str:
        return f"PowerTransform(exponent={self.exponent})"


class SigmoidTransform(Transform):
    """y = 1 / (1 + e⁻ˣ)."""

    codomain = constraints.unit_interval

    def _call(self, x: Array) -> Array:
        return sigmoid(x)

    def _inverse(self, y: Array) -> Array:
        return np.log(y) - np.log1p(-y)

    def log_abs_det_jacobian(self, x: Array, y: Array) -> Array:
        return -softplus(-x) - softplus(x)


class TanhTransform(Transform):
    """y = tanh x."""

    codomain = constraints.interval(-1, 1, "in [-1, 1]")

    def _call(self, x: Array) -> Array:
        return np.tanh(x)

    def _inverse(self, y: Array) -> Array:
        return np.arctanh(y)

    def log_abs_det_jacobian(self, x: Array, y: Array) -> Array:
        return 2 * (log(2) - x - softplus(-2 * x))  # log(1 - y²), with all digits where y is next to 1


class SoftplusTransform(Transform):
    """y = log(1 + eˣ)."""

    codomain = constraints.positive

    def _call(self, x: Array) -> Array:
        return softplus(x)

    def _inverse(self, y: Array) -> Array:
        return y + np.log(-np.expm1(-y))

    def log_abs_det_jacobian(self, x: Array, y: Array) -> Array:
        return -softplus(-x)


class ComposeTransform(Transform):
    """Several maps, one after the other, the first one first."""

    def __init__(self, parts: Sequence[Transform]) -> None:
        self.parts = _checked(parts)
        self._event_dim = max([part.domain.event_dim for part in self.parts], default=0)
        if self.parts:
            self.domain = self.parts[0].domain._replace(event_dim=self._event_dim)
            self.codomain = self.parts[-1].codomain
        self.sign = reduce(lambda sign, part: sign * part.sign, self.parts, 1)
        self.shape = np.broadcast_shapes(*(part.shape for part in self.parts))

    def _call(self, x: Array) -> Array:
        return reduce(lambda x, part: part(x), self.parts, x)

    def _inverse(self, y: Array) -> Array:
        return reduce(lambda y, part: part._inverse(y), reversed(self.parts), y)

    def log_abs_det_jacobian(self, x: Array, y: Array) -> Array:
        total: Array = np.zeros_like(sum_last(x, self._event_dim))
        for part in self.parts:
            y = part(x)
            total = total + sum_last(part.log_abs_det_jacobian(x, y), self._event_dim - part.domain.event_dim)
            x = y
        return total

    def __repr__(self) -> str:
        return f"ComposeTransform({self.parts})"


class TransformedDistribution(Distribution):
    """The distribution of y = f(x), where x has a base distribution: p(y) = p(x) / |dy/dx|.

    `log_prob` computes x from y. Where that loses digits, as tanh does next to 1, draw x of `base_dist` and write
    `base_dist.log_prob(x) - f.log_abs_det_jacobian(x, f(x))`.

    Raises:
        UsageError: if `transforms` is no `Transform`, or a list of them.

    Example:
        >>> from tinygrad_lite.distributions import ExpTransform, LogNormal, Normal, TransformedDistribution
        >>> p, q = TransformedDistribution(Normal(0.5, 2.0), ExpTransform()), LogNormal(0.5, 2.0)
        >>> bool(np.isclose(p.log_prob(3.0), q.log_prob(3.0)))
        True
    """

    arg_constraints: ClassVar = {}
    _names = ()

    def __init__(
        self,
        base_distribution: Distribution,
        transforms: Transform | Sequence[Transform],
        validate_args: bool | None = None,
    ) -> None:
        self.transforms = _checked([transforms] if isinstance(transforms, Transform) else transforms)
        self._map = ComposeTransform(self.transforms)
        base = checked_distribution(self, base_distribution)
        full = np.broadcast_shapes(base.batch_shape + base.event_shape, self._map.shape)
        batch = full[: len(full) - len(base.event_shape)]
        base = base if batch == base.batch_shape else base.expand(batch)
        parts = self._map.domain.event_dim - len(base.event_shape)
        self.base_dist = base if parts <= 0 else Independent(base, parts)
        self.batch_shape, self.event_shape = self.base_dist.batch_shape, self.base_dist.event_shape
        self.dtype = base.dtype
        self.validate_args = validate_args is not False

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.base_dist.has_rsample

    @property
    def support(self) -> Constraint:  # type: ignore[override]
        support = self._map.codomain if self.transforms else self.base_dist.support
        return support._replace(event_dim=len(self.event_shape))

    def expand(self, batch_shape: Any) -> Self:
        return type(self)(self.base_dist.expand(batch_shape), self.transforms, self.validate_args)

    def sample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        with no_grad():
            return stop_gradient(self._map(self.base_dist.sample(sample_shape, rng)))

    def rsample(self, sample_shape: Any = (), rng: Rng = None) -> Array:
        return self._map(self.base_dist.rsample(sample_shape, rng))

    def log_prob(self, value: Array) -> Array:
        y = self._checked(value)
        slopes = []
        for transform in reversed(self.transforms):
            x = transform._inverse(y)
            count = len(self.event_shape) - transform.domain.event_dim
            slopes.append(sum_last(transform.log_abs_det_jacobian(x, y), count))
            y = x
        return reduce(np.subtract, slopes, self.base_dist.log_prob(y))

    def cdf(self, value: Array) -> Array:
        return self._turned(self.base_dist.cdf(self._map._inverse(self._checked(value))))

    def icdf(self, value: Array) -> Array:
        return self._map(self.base_dist.icdf(self._turned(value)))

    def _turned(self, rank: Array) -> Array:
        """The rank among the values, from the rank among those of the base distribution, or back."""
        return np.where(np.less(self._map.sign, 0), 1 - rank, rank)

    def __repr__(self) -> str:
        return f"TransformedDistribution({self.base_dist}, {self.transforms})"


def _checked(transforms: Any) -> list[Transform]:
    """The transforms, as a list."""
    listed = list(transforms) if isinstance(transforms, (list, tuple)) else [transforms]
    for transform in listed:
        if not isinstance(transform, Transform):
            raise UsageError(f"a transform is an object such as ExpTransform(), got {transform!r}")
    return listed
