"""Parametrizations of weights, under PyTorch's names."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lite.engine.grad_mode import no_grad
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.errors import AxisError, InputError, UsageError
from tinygrad_lite.foundation.sums import through_single
from tinygrad_lite.nn import init
from tinygrad_lite.nn.convolution import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from tinygrad_lite.nn.module import Module
from tinygrad_lite.nn.utils.parametrize import checked_module, register_parametrization
from tinygrad_lite.ops.linear.exponential import expm
from tinygrad_lite.transforms.custom import stop_gradient

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def weight_norm(module: Module, name: str = "weight", axis: int | None = 0) -> Module:
    """Learn the lengths and the directions of a weight's slices: w = g v / ‖v‖; return the module.

    The originals are g, `parametrizations.weight.original0`, and v, `parametrizations.weight.original1`.
    Source: Salimans and Kingma (2016), Weight normalization.

    Args:
        axis: the axis along which the slices are counted; None or -1 for one length of the whole weight.

    Example:
        >>> import tinygrad_lite as tg
        >>> layer = weight_norm(tg.nn.Linear(3, 2))
        >>> {path: array.shape for path, array in layer.state_dict().items()}
        {'bias': (2,), 'parametrizations.weight.original0': (2, 1), 'parametrizations.weight.original1': (2, 3)}
    """
    return register_parametrization(module, name, WeightLength(-1 if axis is None else axis))


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    axis: int | None = None,
    *,
    rng: init.Rng = None,
) -> Module:
    """Divide a weight by its largest singular value: w = W / σ, σ = uᵀ W v; return the module.

    In training, each forward pass follows u and v by steps of the power method, u ← W v / ‖W v‖, v ← Wᵀ u / ‖Wᵀ u‖.
    Source: Miyato et al. (2018), Spectral normalization for generative adversarial networks.

    Args:
        axis: the axis of W that counts its rows as a matrix; by default 0, or 1 for a transposed convolution.
        rng: draws the first u and v.

    Raises:
        InputError: if n_power_iterations is not positive.
        AxisError: if the weight has no such axis.

    Example:
        >>> import tinygrad_lite as tg
        >>> layer = spectral_norm(tg.nn.Linear(3, 2, rng=0), rng=1).eval()
        >>> round(float(np.linalg.norm(layer.weight.numpy(), 2)), 6)
        1.0
    """
    weight = getattr(checked_module(module), name, None)
    if not isinstance(weight, Tensor):
        raise UsageError(f"{module.summary()} has no tensor {name!r} to parametrize")
    axis = rows_axis(module) if axis is None else axis
    return register_parametrization(module, name, _SpectralNorm(weight.detach(), n_power_iterations, axis, eps, rng))


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Keep the columns of a weight orthonormal, or its rows if it has fewer of them; return the module.

    With the skew matrix A of the lower triangle of X, w = B e^A ("matrix_exp", the default for a square weight) or
    w = B (1 - A/2)⁻¹ (1 + A/2) ("cayley"); with a reflection for each column of X, w = B H₁ H₂ ⋯ ("householder"). B is
    an orthogonal matrix made of the first weight, so that X begins where w is B.
    Source: Lezcano-Casado (2019), Trivializations for gradient-based optimization on manifolds.

    Args:
        use_trivialization: whether there is a B; without it, only "householder" can begin with the present weight.

    Raises:
        InputError: if there is no such map.
        UsageError: if the weight is no matrix, or the map cannot begin with it.

    Example:
        >>> import tinygrad_lite as tg
        >>> layer = orthogonal(tg.nn.Linear(3, 5, rng=0))
        >>> np.allclose(layer.weight.T @ layer.weight, np.eye(3))
        True
    """
    weight = getattr(checked_module(module), name, None)
    if not isinstance(weight, Tensor) or weight.ndim < 2:
        raise UsageError(f"{module.summary()} has no matrix {name!r} to keep orthogonal")
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.shape[-2] == weight.shape[-1] else "householder"
    if orthogonal_map not in _ORTHOGONAL_MAPS:
        raise InputError(f"orthogonal_map must be one of {', '.join(_ORTHOGONAL_MAPS)}; got {orthogonal_map!r}")
    return register_parametrization(module, name, _Orthogonal(orthogonal_map, use_trivialization))


def _skew(x: Array) -> Array:
    """The square skew matrix whose lower triangle begins with the columns of x."""
    rows, columns = x.shape[-2:]
    zeros = np.zeros((*x.shape[:-1], rows - columns), x.dtype)
    lower = np.concatenate([np.tril(x), zeros], axis=-1)
    return lower - np.swapaxes(lower, -1, -2)


def _exponential(x: Array) -> Array:
    return expm(_skew(x))[..., : x.shape[-1]]


def _cayley(x: Array) -> Array:
    half, one = _skew(x) / 2, np.eye(x.shape[-2], dtype=x.dtype)
    return np.linalg.solve(one - half, one + half)[..., : x.shape[-1]]


def _reflected(x: Array) -> Array:
    """The first columns of H₁ H₂ ⋯ = 1 - V T Vᵀ, where Hⱼ reflects along vⱼ, column j of x with a 1 on the diagonal.

    The triangular T has the inverse triu(VᵀV), with half of its diagonal: Puglisi (1992). The signs of x's diagonal
    are those of the columns.
    """
    columns = x.shape[-1]
    signs = np.sign(np.diagonal(x, axis1=-2, axis2=-1))[..., None, :]
    one = np.eye(x.shape[-2], columns, dtype=x.dtype)
    v = np.tril(x, -1) + one
    products = np.matmul(np.swapaxes(v, -1, -2), v)
    inverse = (np.triu(products) + np.triu(products, 1)) / 2
    top = np.swapaxes(v[..., :columns, :], -1, -2)
    return (one - np.matmul(v, np.linalg.solve(inverse, top))) * signs


_ORTHOGONAL_MAPS: dict[str, Callable[[Array], Array]] = {
    "matrix_exp": _exponential,
    "cayley": _cayley,
    "householder": _reflected,
}


class _Orthogonal(Module):
    """B times an orthogonal matrix, or its transpose if the weight has fewer rows than columns."""

    def __init__(self, orthogonal_map: str, use_trivialization: bool) -> None:
        self.orthogonal_map, self.use_trivialization = orthogonal_map, use_trivialization

    def forward(self, x: Array) -> Array:
        q = _ORTHOGONAL_MAPS[self.orthogonal_map](_tall(x))
        q = np.matmul(self.base, q) if self.use_trivialization else q
        return q if q.shape == x.shape else np.swapaxes(q, -1, -2)

    def right_inverse(self, weight: Array) -> Array:
        """What the map makes the weight of, or with B what it makes 1 of: -1 on the diagonal."""
        array = np.asarray(weight)
        q = _tall(array)
        if self.use_trivialization:
            made, upper = np.linalg.qr(q, mode="complete")
            made[..., : q.shape[-1]] *= _signs(upper)  # the nearest way to keep a weight that is orthogonal
            self.base = made
            return np.broadcast_to(-np.eye(*array.shape[-2:], dtype=array.dtype), array.shape)
        if self.orthogonal_map != "householder":
            raise UsageError(
                f"{self.orthogonal_map} cannot begin with the present weight without use_trivialization: leave it out, "
                "or take orthogonal_map='householder'"
            )
        factors, scales = np.linalg.qr(q, mode="raw")
        x = np.swapaxes(factors, -1, -2).copy()
        signs = np.where(scales == 0, -1, 1) * _signs(x)[..., 0, :]
        k = np.arange(q.shape[-1])
        x[..., k, k] = signs
        return x if x.shape == array.shape else np.swapaxes(x, -1, -2)


def _tall(x: Array) -> Array:
    return np.swapaxes(x, -1, -2) if x.shape[-2] < x.shape[-1] else x


def _signs(upper: Any) -> Any:
    """The signs of the diagonal of a triangular factor, as a row for each matrix."""
    return np.sign(np.diagonal(upper, axis1=-2, axis2=-1))[..., None, :]


class WeightLength(Module):
    """w = g v / ‖v‖, where each slice along an axis has its length; with axis -1, the whole weight has one."""

    def __init__(self, axis: int) -> None:
        self.axis = axis

    @through_single
    def _norm(self, v: Array) -> Array:
        if self.axis == -1:
            return np.sqrt(np.sum(v * v))
        others = tuple(i for i in range(v.ndim) if i != self.axis % v.ndim)
        return np.sqrt(np.sum(v * v, axis=others, keepdims=True))

    def forward(self, g: Array, v: Array) -> Array:
        return v * (g / self._norm(v))

    def right_inverse(self, weight: Array) -> tuple[Array, Array]:
        """The length and the direction of a weight."""
        return self._norm(weight), weight


class Spectral(Module):
    """w = W / σ, σ = uᵀ W v, where u and v follow the power method; for a vector, w = W / ‖W‖."""

    def __init__(self, ndim: int, n_power_iterations: int, axis: int, eps: float) -> None:
        if n_power_iterations < 1:
            raise InputError(f"spectral_norm needs a positive n_power_iterations, got {n_power_iterations}")
        if not -ndim <= axis < ndim:
            raise AxisError(axis, ndim)
        self.n_power_iterations, self.axis, self.eps = n_power_iterations, axis % ndim, eps

    def _matrix(self, weight: Array) -> Array:
        return np.reshape(np.moveaxis(weight, self.axis, 0), (weight.shape[self.axis], -1))

    @through_single
    def unit(self, x: Array) -> Array:
        """A vector divided by its length."""
        return x / np.maximum(np.linalg.norm(x), self.eps)

    def drawn(self, weight: Tensor, rng: init.Rng) -> tuple[Tensor, Tensor]:
        """Random u and v."""
        rng = np.random.default_rng(rng)
        u, v = (
            tensor(self.unit(init.normal(size, rng=rng)), dtype=weight.dtype) for size in self._matrix(weight).shape
        )
        return u, v

    def follow(self, weight: Array, u: Tensor, v: Tensor, steps: int, u_first: bool = True) -> None:
        """Steps of the power method: u ← W v / ‖W v‖ and v ← Wᵀ u / ‖Wᵀ u‖."""
        matrix = stop_gradient(self._matrix(weight))
        with no_grad():
            for k in range(2 * steps):
                if (k % 2 == 0) == u_first:
                    u.data = self.unit(np.matmul(matrix, v))
                else:
                    v.data = self.unit(np.matmul(u, matrix))

    def divided(self, weight: Array, u: Tensor, v: Tensor) -> Array:
        """The weight divided by σ."""
        return weight / np.vdot(u.detach(), np.matmul(self._matrix(weight), v.detach()))


class _SpectralNorm(Spectral):
    """With its own u and v, which start near those of the weight."""

    def __init__(self, weight: Tensor, n_power_iterations: int, axis: int, eps: float, rng: init.Rng) -> None:
        super().__init__(weight.ndim, n_power_iterations, axis, eps)
        if weight.ndim > 1:
            self._u, self._v = self.drawn(weight, rng)
            self.follow(weight, self._u, self._v, 15)

    def forward(self, weight: Array) -> Any:
        if weight.ndim == 1:
            return self.unit(weight)
        if self.training:
            self.follow(weight, self._u, self._v, self.n_power_iterations)
        return self.divided(weight, self._u, self._v)

    def right_inverse(self, weight: Array) -> Array:
        """The weight itself: PyTorch does not check that it is normalised either."""
        return weight


def rows_axis(module: Module) -> int:
    """The axis of a layer's weight that counts its outputs."""
    return int(isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)))
