"""Activations, and the softmax family. `inplace` is there for PyTorch's definitions and changes nothing."""

from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.nn.functional.checks import check_positive, in_real_numbers, shape_of
from tinygrad_lite.nn.init import Rng
from tinygrad_lite.ops.arithmetic import extrema
from tinygrad_lite.ops.networks import activations
from tinygrad_lite.transforms.custom import stop_gradient

__all__ = [
    "celu", "elu", "gelu", "glu", "gumbel_softmax", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu",
    "log_softmax", "logsigmoid", "logsumexp", "mish", "prelu", "relu", "relu6", "rrelu", "selu", "sigmoid", "silu",
    "softmax", "softmin", "softplus", "softshrink", "softsign", "tanh", "tanhshrink", "threshold",
]  # fmt: skip


def relu(input: Array, inplace: bool = False) -> Array:
    """max(x, 0); its derivative at 0 is 0.

    Example:
        >>> relu(np.array([-1.0, 2.0]))
        array([0., 2.])
    """
    return activations.relu(input)


def relu6(input: Array, inplace: bool = False) -> Array:
    """min(max(x, 0), 6); its derivative at both bounds is 0.

    Example:
        >>> relu6(np.array([-1.0, 2.0, 7.0]))
        array([0., 2., 6.])
    """
    return activations.hardtanh(input, min_val=0.0, max_val=6.0)


def leaky_relu(input: Array, negative_slope: Array = 0.01, inplace: bool = False) -> Array:
    """x where positive, else negative_slope · x; the slope may be a tensor, too.

    Example:
        >>> leaky_relu(np.array([-1.0, 2.0]), 0.5)
        array([-0.5,  2. ])
    """
    return activations.leaky_relu(input, negative_slope)


def prelu(input: Array, weight: Array) -> Array:
    """x where positive, else weight · x, with one weight for all, or one for each channel (the second axis).

    Source: He et al. (2015), Delving deep into rectifiers, eq. 1.

    Raises:
        ShapeError: if the weight has another shape.

    Example:
        >>> prelu(np.array([[-1.0, -1.0]]), np.array([0.5, 0.1]))
        array([[-0.5, -0.1]])
    """
    shape = shape_of(input)
    channels = shape[1] if len(shape) > 1 else 1
    if shape_of(weight) not in ((), (1,), (channels,)):
        raise ShapeError(f"prelu needs a weight of shape (1,) or (channels,); got {shape_of(weight)} for input {shape}")
    if np.size(weight) == channels:
        weight = np.reshape(weight, (1, channels) + (1,) * (len(shape) - 2) if len(shape) > 1 else ())
    return activations.leaky_relu(input, weight)


def rrelu(
    input: Array,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,
    inplace: bool = False,
    *,
    rng: Rng = None,
) -> Array:
    """x where positive, else a · x, with a drawn from U(lower, upper) in training, else a = (lower + upper) / 2.

    Source: Xu et al. (2015), Empirical evaluation of rectified activations.

    Raises:
        InputError: if lower > upper.

    Example:
        >>> rrelu(np.array([-1.0, 2.0]), 0.25, 0.75)
        array([-0.5,  2. ])
    """
    if not lower <= upper:
        raise InputError(f"rrelu needs lower ≤ upper, got {lower} and {upper}")
    if not training:
        return activations.leaky_relu(input, (lower + upper) / 2)
    slopes = np.random.default_rng(rng).uniform(lower, upper, shape_of(input))
    return activations.leaky_relu(input, slopes.astype(np.result_type(input, 1.0)))


def elu(input: Array, alpha: float = 1.0, inplace: bool = False) -> Array:
    """x where positive, else α(eˣ - 1).

    Source: Clevert et al. (2015), Fast and accurate deep network learning by exponential linear units, eq. 15.

    Example:
        >>> elu(np.array([-1000.0, 1000.0]))
        array([  -1., 1000.])
    """
    return activations.elu(input, alpha=alpha, rate=1.0)


def celu(input: Array, alpha: float = 1.0, inplace: bool = False) -> Array:
    """x where positive, else α(exp(x / α) - 1).

    Source: Barron (2017), Continuously differentiable exponential linear units, eq. 2.

    Raises:
        InputError: if alpha is 0.

    Example:
        >>> celu(np.array([-1000.0, 1000.0]), 2.0)
        array([  -2., 1000.])
    """
    if alpha == 0:
        raise InputError("celu divides by alpha, which must not be 0")
    return activations.elu(input, alpha=alpha, rate=1 / alpha)


def selu(input: Array, inplace: bool = False) -> Array:
    """λ · elu(x, α), with λ and α for which layers keep mean 0 and variance 1.

    Source: Klambauer et al. (2017), Self-normalizing neural networks, eq. 2.

    Example:
        >>> selu(np.array([-1000.0, 1.0])).round(4)
        array([-1.7581,  1.0507])
    """
    return activations.SELU_SCALE * elu(input, activations.SELU_ALPHA)


def sigmoid(input: Array) -> Array:
    """1 / (1 + e⁻ˣ), without overflow and exact in both tails.

    Example:
        >>> sigmoid(np.array([0.0, 1000.0]))
        array([0.5, 1. ])
    """
    return activations.sigmoid(in_real_numbers(input))


def logsigmoid(input: Array) -> Array:
    """-log(1 + e⁻ˣ), without overflow.

    Example:
        >>> logsigmoid(np.array([-1000.0, 1000.0]))
        array([-1000.,    -0.])
    """
    return -activations.softplus(-in_real_numbers(input))


def hardsigmoid(input: Array, inplace: bool = False) -> Array:
    """relu6(x + 3) / 6; its derivative at both bounds is 0.

    Example:
        >>> hardsigmoid(np.array([-4.0, 0.0, 4.0]))
        array([0. , 0.5, 1. ])
    """
    return relu6(input + 3.0) / 6.0


def tanh(input: Array) -> Array:
    """Tanh x, as `np.tanh`.

    Example:
        >>> tanh(np.array([0.0, 1000.0]))
        array([0., 1.])
    """
    return np.tanh(input)


def hardtanh(input: Array, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Array:
    """x, cut off at two bounds; its derivative at the bounds is 0, unlike that of `np.clip`.

    Raises:
        InputError: if min_val > max_val.

    Example:
        >>> hardtanh(np.array([-2.0, 0.5, 2.0]))
        array([-1. ,  0.5,  1. ])
    """
    if min_val > max_val:
        raise InputError(f"hardtanh needs min_val ≤ max_val, got {min_val} and {max_val}")
    return activations.hardtanh(input, min_val=min_val, max_val=max_val)


def tanhshrink(input: Array) -> Array:
    """x - tanh x.

    Example:
        >>> tanhshrink(np.array([0.0, 1000.0]))
        array([  0., 999.])
    """
    return input - np.tanh(input)


def hardshrink(input: Array, lambd: float = 0.5) -> Array:
    """x where |x| > λ, else 0; its derivative at ±λ is 0.

    Example:
        >>> hardshrink(np.array([-2.0, 0.5]))
        array([-2.,  0.])
    """
    return input * np.greater(np.absolute(input), lambd)  # np.where takes ten times as long


def softshrink(input: Array, lambd: float = 0.5) -> Array:
    """x moved towards 0 by λ, and 0 where |x| ≤ λ; its derivative at ±λ is 0.

    Raises:
        InputError: if lambd is negative.

    Example:
        >>> softshrink(np.array([-2.0, 0.5]))
        array([-1.5,  0. ])
    """
    if not lambd >= 0:
        raise InputError(f"softshrink needs lambd ≥ 0, got {lambd}")
    return activations.softshrink(input, lambd=lambd)


def threshold(input: Array, threshold: float, value: float, inplace: bool = False) -> Array:
    """x where it is above a threshold, else a value.

    Example:
        >>> threshold(np.array([1.0, 2.0]), 1.0, -5.0)
        array([-5.,  2.])
    """
    return np.where(np.less_equal(input, threshold), float(value), input)


def softplus(input: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """log(1 + exp(βx)) / β, and x itself where βx exceeds a threshold, as in PyTorch; without overflow.

    Raises:
        InputError: if beta is 0.

    Example:
        >>> softplus(np.array([-1000.0, 1000.0]))
        array([   0., 1000.])
    """
    if beta == 0:
        raise InputError("softplus divides by beta, which must not be 0")
    scaled = input if beta == 1 else beta * input
    y = activations.softplus(scaled)
    return np.where(np.greater(scaled, threshold), input, y if beta == 1 else y / beta)


def softsign(input: Array) -> Array:
    """x / (1 + |x|).

    Example:
        >>> softsign(np.array([-1.0, 0.0, 3.0]))
        array([-0.5 ,  0.  ,  0.75])
    """
    return activations.softsign(input)


def gelu(input: Array, approximate: str = "none") -> Array:
    """x · Φ(x), with Φ the standard normal distribution function.

    With `approximate="tanh"`, ½x(1 + tanh(√(2/π)(x + 0.044715x³))), exact in both tails.

    Source: Hendrycks and Gimpel (2016), Gaussian error linear units, eq. 1 and 2.

    Raises:
        InputError: if `approximate` is neither "none" nor "tanh".

    Example:
        >>> gelu(np.array([-100.0, 0.0, 100.0]))
        array([ -0.,   0., 100.])
    """
    if approximate not in ("none", "tanh"):
        raise InputError(f"gelu knows approximate='none' and 'tanh', got {approximate!r}")
    return activations.gelu(input) if approximate == "none" else activations.gelu_by_tanh(input)


def silu(input: Array, inplace: bool = False) -> Array:
    """x · sigmoid(x).

    Source: Elfwing et al. (2017), Sigmoid-weighted linear units, eq. 2.

    Example:
        >>> silu(np.array([0.0, 1000.0]))
        array([   0., 1000.])
    """
    return activations.silu(in_real_numbers(input))


def mish(input: Array, inplace: bool = False) -> Array:
    """x · tanh(log(1 + eˣ)).

    Source: Misra (2019), Mish: a self regularized non-monotonic activation function, eq. 1.

    Example:
        >>> mish(np.array([0.0, 1000.0]))
        array([   0., 1000.])
    """
    return input * np.tanh(activations.softplus(input))


def hardswish(input: Array, inplace: bool = False) -> Array:
    """x · relu6(x + 3) / 6; its derivative is 0 at -3 and 1 at 3.

    Source: Howard et al. (2019), Searching for MobileNetV3, section 5.2.

    Example:
        >>> hardswish(np.array([-4.0, 0.0, 4.0]))
        array([-0.,  0.,  4.])
    """
    return activations.hardswish(input)


def glu(input: Array, axis: int = -1) -> Array:
    """a · sigmoid(b), with a and b the first and the second half of x along an axis.

    Source: Dauphin et al. (2016), Language modeling with gated convolutional networks, eq. 1.

    Raises:
        ShapeError: if the axis has an odd number of entries.

    Example:
        >>> glu(np.array([2.0, 4.0, 0.0, 1000.0]))
        array([1., 4.])
    """
    shape = shape_of(input)
    if not -len(shape) <= axis < len(shape) or shape[axis] % 2:
        raise ShapeError(f"glu(axis={axis}) halves its input along the axis, which must be even; got shape {shape}")
    a, b = np.split(input, 2, axis)
    return a * activations.sigmoid(in_real_numbers(b))


def softmax(input: Array, axis: int | tuple[int, ...] | None = -1, dtype: Any = None) -> Array:
    """eˣ / Σ eˣ along an axis, without overflow; with a dtype, x is cast to it first.

    Example:
        >>> softmax(np.array([1000.0, 1000.0]))
        array([0.5, 0.5])
    """
    return activations.softmax(_cast(input, dtype), axis=axis)


def softmin(input: Array, axis: int | tuple[int, ...] | None = -1, dtype: Any = None) -> Array:
    """e⁻ˣ / Σ e⁻ˣ along an axis, as the softmax of -x.

    Example:
        >>> softmin(np.array([0.0, 1000.0]))
        array([1., 0.])
    """
    return activations.softmax(-_cast(input, dtype), axis=axis)


def log_softmax(input: Array, axis: int | tuple[int, ...] | None = -1, dtype: Any = None) -> Array:
    """x - log Σ eˣ along an axis, without overflow; with a dtype, x is cast to it first.

    Example:
        >>> log_softmax(np.array([0.0, 1000.0]))
        array([-1000.,     0.])
    """
    return activations.log_softmax(_cast(input, dtype), axis=axis)


def _cast(x: Array, dtype: Any) -> Array:
    return in_real_numbers(x) if dtype is None else x.astype(dtype)


def gumbel_softmax(
    logits: Array, tau: float = 1.0, hard: bool = False, eps: float = 1e-10, axis: int = -1, *, rng: Rng = None
) -> Array:
    """softmax((z + noise) / τ) with standard Gumbel noise: a sample of the classes with a gradient.

    With `hard`, the value is the one-hot vector of the largest entry and the gradient that of the softmax. `eps` has no
    effect, as in PyTorch.

    Source: Jang et al. (2016), Categorical reparameterization with Gumbel-softmax, eq. 2.

    Raises:
        InputError: if tau is not positive.

    Example:
        >>> gumbel_softmax(np.array([1.0, 2.0, 3.0]), hard=True, rng=0)
        array([0., 0., 1.])
    """
    if isinstance(tau, (int, float)):  # not a temperature that is learned, whose value a recording does not know
        check_positive("gumbel_softmax: tau", tau)
    noise = -np.log(np.random.default_rng(rng).exponential(size=shape_of(logits)))
    soft = activations.softmax((logits + noise.astype(np.result_type(logits, 1.0))) / tau, axis=axis)
    if not hard:
        return soft
    first = np.expand_dims(np.argmax(soft, axis=axis), -1)  # the only one, unless entries are equal
    return np.moveaxis(np.equal(first, np.arange(shape_of(soft)[axis])), -1, axis) - stop_gradient(soft) + soft


def logsumexp(input: Array, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Array:
    """log Σ eˣ along an axis, without overflow.

    Example:
        >>> float(logsumexp(np.array([-1000.0, 1000.0])))
        1000.0
    """
    return extrema.logsumexp(in_real_numbers(input), axis=axis, keepdims=keepdims)
