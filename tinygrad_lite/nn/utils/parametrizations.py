"""Parametrizations of weights, under PyTorch's names."""

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_lite.engine.grad_mode import no_grad
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.errors import AxisError, InputError, UsageError
from tinygrad_lite.foundation.elsewhere import unknown_names
from tinygrad_lite.foundation.sums import through_single
from tinygrad_lite.nn import init
from tinygrad_lite.nn.convolution import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from tinygrad_lite.nn.module import Module
from tinygrad_lite.nn.utils.parametrize import register_parametrization
from tinygrad_lite.transforms.custom import stop_gradient

__all__ = ["spectral_norm", "weight_norm"]


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
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise UsageError(f"{module.summary()} has no tensor {name!r} to parametrize")
    axis = rows_axis(module) if axis is None else axis
    return register_parametrization(module, name, _SpectralNorm(weight.detach(), n_power_iterations, axis, eps, rng))


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


if not TYPE_CHECKING:  # a type checker would take it for a promise that any name is there
    __getattr__ = unknown_names(__name__)
