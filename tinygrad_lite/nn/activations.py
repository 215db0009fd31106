"""Activations as modules: each calls its function in `nn.functional`, which has the formula."""

from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import tensor
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.nn import functional, init
from tinygrad_lite.nn.module import Module

__all__ = [
    "CELU", "ELU", "GELU", "GLU", "SELU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU",
    "LogSigmoid", "LogSoftmax", "Mish", "PReLU", "RReLU", "ReLU", "ReLU6", "SiLU", "Sigmoid", "Softmax", "Softmax2d",
    "Softmin", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink", "Threshold",
]  # fmt: skip


class _Plain(Module):
    """An activation without settings. `inplace` is there for PyTorch's definitions and changes nothing."""

    def __init__(self, inplace: bool = False) -> None:
        pass


class ReLU(_Plain):
    """max(x, 0)."""

    def forward(self, input: Array) -> Array:
        return functional.relu(input)


class ReLU6(_Plain):
    """min(max(x, 0), 6)."""

    def forward(self, input: Array) -> Array:
        return functional.relu6(input)


class LeakyReLU(Module):
    """x where positive, else negative_slope · x."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        self.negative_slope = negative_slope

    def forward(self, input: Array) -> Array:
        return functional.leaky_relu(input, self.negative_slope)


class PReLU(Module):
    """x where positive, else `weight` · x, with one weight for all, or one for each channel; see `functional.prelu`.

    Raises:
        ShapeError: if the weights are not one for each channel, the entries of the second axis.
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25, *, dtype: Any = np.float64) -> None:
        self.num_parameters = num_parameters
        self.init = init
        self.weight = tensor(np.full(num_parameters, init, dtype), requires_grad=True)

    def forward(self, input: Array) -> Array:
        return functional.prelu(input, self.weight)


class RReLU(Module):
    """x where positive, else a · x, with a drawn from U(lower, upper) in training; see `functional.rrelu`."""

    def __init__(
        self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False, *, rng: init.Rng = None
    ) -> None:
        self.lower = lower
        self.upper = upper
        self._rng = np.random.default_rng(rng)

    def forward(self, input: Array) -> Array:
        return functional.rrelu(input, self.lower, self.upper, self.training, rng=self._rng)


class ELU(Module):
    """x where positive, else α(eˣ - 1)."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        self.alpha = alpha

    def forward(self, input: Array) -> Array:
        return functional.elu(input, self.alpha)


class CELU(ELU):
    """x where positive, else α(exp(x / α) - 1)."""

    def forward(self, input: Array) -> Array:
        return functional.celu(input, self.alpha)


class SELU(_Plain):
    """λ · elu(x, α), see `functional.selu`."""

    def forward(self, input: Array) -> Array:
        return functional.selu(input)


class Sigmoid(Module):
    """1 / (1 + e⁻ˣ)."""

    def forward(self, input: Array) -> Array:
        return functional.sigmoid(input)


class LogSigmoid(Module):
    """-log(1 + e⁻ˣ)."""

    def forward(self, input: Array) -> Array:
        return functional.logsigmoid(input)


class Hardsigmoid(_Plain):
    """relu6(x + 3) / 6."""

    def forward(self, input: Array) -> Array:
        return functional.hardsigmoid(input)


class Tanh(Module):
    """tanh x."""

    def forward(self, input: Array) -> Array:
        return np.tanh(input)


class Hardtanh(Module):
    """x, cut off at two bounds."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        if not min_val < max_val:
            raise InputError(f"Hardtanh needs min_val < max_val, got {min_val} and {max_val}")
        self.min_val = min_val
        self.max_val = max_val

    def forward(self, input: Array) -> Array:
        return functional.hardtanh(input, self.min_val, self.max_val)


class Tanhshrink(Module):
    """x - tanh x."""

    def forward(self, input: Array) -> Array:
        return functional.tanhshrink(input)


class Hardshrink(Module):
    """x where |x| > λ, else 0."""

    def __init__(self, lambd: float = 0.5) -> None:
        self.lambd = lambd

    def forward(self, input: Array) -> Array:
        return functional.hardshrink(input, self.lambd)


class Softshrink(Hardshrink):
    """x moved towards 0 by λ, and 0 where |x| ≤ λ."""

    def forward(self, input: Array) -> Array:
        return functional.softshrink(input, self.lambd)


class Threshold(Module):
    """x where it is above a threshold, else a value."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        self.threshold = threshold
        self.value = value

    def forward(self, input: Array) -> Array:
        return functional.threshold(input, self.threshold, self.value)


class Softplus(Module):
    """log(1 + exp(βx)) / β, and x itself where βx exceeds a threshold."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Array) -> Array:
        return functional.softplus(input, self.beta, self.threshold)


class Softsign(Module):
    """x / (1 + |x|)."""

    def forward(self, input: Array) -> Array:
        return functional.softsign(input)


class GELU(Module):
    """x · Φ(x), with Φ the standard normal distribution function, or its approximation by tanh."""

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, input: Array) -> Array:
        return functional.gelu(input, self.approximate)


class SiLU(_Plain):
    """x · sigmoid(x)."""

    def forward(self, input: Array) -> Array:
        return functional.silu(input)


class Mish(_Plain):
    """x · tanh(log(1 + eˣ))."""

    def forward(self, input: Array) -> Array:
        return functional.mish(input)


class Hardswish(_Plain):
    """x · relu6(x + 3) / 6."""

    def forward(self, input: Array) -> Array:
        return functional.hardswish(input)


class _AlongAnAxis(Module):
    def __init__(self, axis: int = -1) -> None:
        self.axis = axis


class GLU(_AlongAnAxis):
    """a · sigmoid(b), with a and b the first and the second half of x along an axis."""

    def forward(self, input: Array) -> Array:
        return functional.glu(input, self.axis)


class Softmax(_AlongAnAxis):
    """eˣ / Σ eˣ along an axis."""

    def forward(self, input: Array) -> Array:
        return functional.softmax(input, self.axis)


class Softmin(_AlongAnAxis):
    """e⁻ˣ / Σ e⁻ˣ along an axis."""

    def forward(self, input: Array) -> Array:
        return functional.softmin(input, self.axis)


class LogSoftmax(_AlongAnAxis):
    """x - log Σ eˣ along an axis."""

    def forward(self, input: Array) -> Array:
        return functional.log_softmax(input, self.axis)


class Softmax2d(Module):
    """eˣ / Σ eˣ over the channels of x (N, C, H, W) or (C, H, W).

    Raises:
        ShapeError: if x has another number of axes.
    """

    def forward(self, input: Array) -> Array:
        if np.ndim(input) not in (3, 4):
            raise ShapeError(f"Softmax2d needs shape (N, C, H, W) or (C, H, W), got {np.shape(input)}")
        return functional.softmax(input, -3)
