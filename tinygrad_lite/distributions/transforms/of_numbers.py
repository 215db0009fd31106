"""One-to-one maps of numbers, and the distributions of what they make of samples."""

from collections.abc import Sequence
from functools import reduce
from math import log
from typing import Any, ClassVar, Self

import numpy as np

from tinygrad_lite.distributions import constraints
from tinygrad_lite.distributions.constraints import Constraint
from tinygrad_lite.distributions.distribution import Distribution, as_array, checked_distribution, sum_last
from tinygrad_lite.distributions.multivariate import Independent
from tinygrad_lite.distributions.noise import Rng, Shape
from tinygrad_lite.engine.grad_mode import no_grad
from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import ShapeError, UsageError
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

    The last is log |dy/dx|, entry by entry. A map of vectors has a domain and a codomain with an `event_dim` of 1, and
    there returns one number for each vector. One that changes their length defines `forward_shape` and `inverse_shape`.

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
        """The value y.

        Raises:
            ShapeError: if x has fewer axes than a value of the domain.
        """
        x = as_array(f"{type(self).__name__}: x", x, float)
        if x.ndim < self.domain.event_dim:
            raise ShapeError(f"{self} needs x of at least {self.domain.event_dim} axes, got shape {x.shape}")
        return self._call(x)

    def _call(self, x: Array) -> Array:
        raise UsageError(f"{type(self).__name__} defines no _call(self, x)")

    def _inverse(self, y: Array) -> Array:
        raise UsageError(f"{type(self).__name__} defines no _inverse(self, y)")

    def log_abs_det_jacobian(self, x: Array, y: Array) -> Array:
        """The logarithm of |dy/dx|."""
        raise UsageError(f"{type(self).__name__} defines no log_abs_det_jacobian(self, x, y)")

    def forward_shape(self, shape: Shape) -> Shape:
        """The shape of y, from that of x."""
        return np.broadcast_shapes(shape, self.shape)

    def inverse_shape(self, shape: Shape) -> Shape:
        """The shape of x, from that of y."""
        return np.broadcast_shapes(shape, self.shape)

    @property
    def _added_axes(self) -> int:
        """How many more axes a value y has than x; a codomain that says nothing has as many as the domain."""
        return 0 if self.codomain is constraints.real else self.codomain.event_dim - self.domain.event_dim

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
        axes = transform.domain.event_dim + transform._added_axes
        self.domain = transform.codomain._replace(event_dim=axes)
        self.codomain, self.sign = transform.domain, transform.sign

    def _call(self, x: Array) -> Array:
        return self._transform._inverse(x)

    def _inverse(self, y: Array) -> Array:
        return self._transform(y)

    def forward_shape(self, shape: Shape) -> Shape:
        return self._transform.inverse_shape(shape)

    def inverse_shape(self, shape: Shape) -> Shape:
        return self._transform.forward_shape(shape)

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
        before = after = 0  # axes of a value, of which each part needs some
        for part in reversed(self.parts):
            before = max(before - part._added_axes, part.domain.event_dim)
        for part in self.parts:
            after = max(after, part.domain.event_dim) + part._added_axes
        if self.parts:
            self.domain = self.parts[0].domain._replace(event_dim=before)
            self.codomain = self.parts[-1].codomain._replace(event_dim=after)
        self.sign = reduce(lambda sign, part: sign * part.sign, self.parts, 1)

    def forward_shape(self, shape: Shape) -> Shape:
        return reduce(lambda shape, part: part.forward_shape(shape), self.parts, shape)

    def inverse_shape(self, shape: Shape) -> Shape:
        return reduce(lambda shape, part: part.inverse_shape(shape), reversed(self.parts), shape)

    def _call(self, x: Array) -> Array:
        return reduce(lambda x, part: part(x), self.parts, x)

    def _inverse(self, y: Array) -> Array:
        return reduce(lambda y, part: part._inverse(y), reversed(self.parts), y)

    def log_abs_det_jacobian(self, x: Array, y: Array) -> Array:
        total: Array = np.zeros_like(sum_last(x, self.domain.event_dim))
        axes = self.domain.event_dim
        for part in self.parts:
            y = part(x)
            total = total + sum_last(part.log_abs_det_jacobian(x, y), axes - part.domain.event_dim)
            x, axes = y, axes + part._added_axes
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
    _names: tuple[str, ...] = ()

    def __init__(
        self,
        base_distribution: Distribution,
        transforms: Transform | Sequence[Transform],
        validate_args: bool | None = None,
    ) -> None:
        self.transforms = _checked([transforms] if isinstance(transforms, Transform) else transforms)
        self._map = ComposeTransform(self.transforms)
        base = checked_distribution(self, base_distribution)
        shape = base.batch_shape + base.event_shape
        if len(shape) < self._map.domain.event_dim:
            raise ShapeError(
                f"TransformedDistribution: the transforms need values of {self._map.domain.event_dim} axes, got a "
                f"batch of shape {base.batch_shape} of values of shape {base.event_shape}"
            )
        full = self._map.forward_shape(shape)
        before = self._map.inverse_shape(full)
        base = base if before == shape else base.expand(before[: len(before) - len(base.event_shape)])
        parts = self._map.domain.event_dim - len(base.event_shape)
        self.base_dist = base if parts <= 0 else Independent(base, parts)
        cut = len(full) - len(self.base_dist.event_shape) - self._map._added_axes
        self.batch_shape, self.event_shape = full[:cut], full[cut:]
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
        slopes, axes = [], len(self.event_shape)
        for transform in reversed(self.transforms):
            x = transform._inverse(y)
            axes -= transform._added_axes
            slopes.append(sum_last(transform.log_abs_det_jacobian(x, y), axes - transform.domain.event_dim))
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
