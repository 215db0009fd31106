"""Activations as modules: each calls its function in `nn.functional`, which has the formula."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import tensor
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.nn import functional, init
from tinygrad_lite.nn.functional.checks import check_counts, shape_of
from tinygrad_lite.nn.module import Module

__all__ = [
    "CELU", "ELU", "GELU", "GLU", "SELU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU",
    "LogSigmoid", "LogSoftmax", "Mish", "PReLU", "RReLU", "ReLU", "ReLU6", "SiLU", "Sigmoid", "Softmax", "Softmax2d",
    "Softmin", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink", "Threshold",
]  # fmt: skip


class _Plain(Module):
    """An activation without settings."""

    function: ClassVar[Callable[..., Array]]

    def forward(self, input: Array) -> Array:
        return self.function(input)


class _InPlace(_Plain):
    """An activation without settings. `inplace` is there for PyTorch's definitions and changes nothing."""

    def __init__(self, inplace: bool = False) -> None:
        pass


class _AlongAnAxis(Module):
    function: ClassVar[Callable[..., Array]]

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, input: Array) -> Array:
        return self.function(input, self.axis)


class ReLU(_InPlace):
    """max(x, 0)."""

    function = staticmethod(functional.relu)


class ReLU6(_InPlace):
    """min(max(x, 0), 6)."""

    function = staticmethod(functional.relu6)


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
        check_counts("PReLU", num_parameters=num_parameters)
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
        self._rng = init.generator(rng)

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


class SELU(_InPlace):
    """λ · elu(x, α), see `functional.selu`."""

    function = staticmethod(functional.selu)


class Sigmoid(_Plain):
    """1 / (1 + e⁻ˣ)."""

    function = staticmethod(functional.sigmoid)


class LogSigmoid(_Plain):
    """-log(1 + e⁻ˣ)."""

    function = staticmethod(functional.logsigmoid)


class Hardsigmoid(_InPlace):
    """relu6(x + 3) / 6."""

    function = staticmethod(functional.hardsigmoid)


class Tanh(_Plain):
    """tanh x."""

    function = staticmethod(np.tanh)


class Hardtanh(Module):
    """x, cut off at two bounds."""

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> None:
        if not min_val < max_val:
            raise InputError(f"Hardtanh needs min_val < max_val, got {min_val!r} and {max_val!r}")
        self.min_val = min_val
        self.max_val = max_val

    def forward(self, input: Array) -> Array:
        return functional.hardtanh(input, self.min_val, self.max_val)


class Tanhshrink(_Plain):
    """x - tanh x."""

    function = staticmethod(functional.tanhshrink)


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


class Softsign(_Plain):
    """x / (1 + |x|)."""

    function = staticmethod(functional.softsign)


class GELU(Module):
    """x · Φ(x), with Φ the standard normal distribution function, or its approximation by tanh."""

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate

    def forward(self, input: Array) -> Array:
        return functional.gelu(input, self.approximate)


class SiLU(_InPlace):
    """x · sigmoid(x)."""

    function = staticmethod(functional.silu)


class Mish(_InPlace):
    """x · tanh(log(1 + eˣ))."""

    function = staticmethod(functional.mish)


class Hardswish(_InPlace):
    """x · relu6(x + 3) / 6."""

    function = staticmethod(functional.hardswish)


class GLU(_AlongAnAxis):
    """a · sigmoid(b), with a and b the first and the second half of x along an axis."""

    function = staticmethod(functional.glu)


class Softmax(_AlongAnAxis):
    """eˣ / Σ eˣ along an axis."""

    function = staticmethod(functional.softmax)


class Softmin(_AlongAnAxis):
    """e⁻ˣ / Σ e⁻ˣ along an axis."""

    function = staticmethod(functional.softmin)


class LogSoftmax(_AlongAnAxis):
    """x - log Σ eˣ along an axis."""

    function = staticmethod(functional.log_softmax)


class Softmax2d(Module):
    """eˣ / Σ eˣ over the channels of x (N, C, H, W) or (C, H, W).

    Raises:
        ShapeError: if x has another number of axes.
    """

    def forward(self, input: Array) -> Array:
        if len(shape_of(input)) not in (3, 4):
            raise ShapeError(f"Softmax2d needs shape (N, C, H, W) or (C, H, W), got {shape_of(input)}")
        return functional.softmax(input, -3)
