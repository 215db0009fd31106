"""Initialisers: initial arrays, drawn from the `rng` that the caller passes (a seed or a Generator).

`uniform(shape)` makes an array; `uniform_(tensor)`, with PyTorch's name, gives a leaf such an array. All
initialisers have these two forms, with the same settings.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from math import ceil, erf, prod, sqrt
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.foundation.elsewhere import unknown_names as _unknown_names

Rng: TypeAlias = int | np.random.Generator | None
"""A seed, a generator to draw from, or None for numbers that cannot be reproduced."""

Shape: TypeAlias = int | Sequence[int]

_Initialiser = TypeVar("_Initialiser", bound=Callable[..., Any])

_source: ContextVar[np.random.Generator | None] = ContextVar("_source", default=None)


def generator(rng: Rng) -> np.random.Generator:
    """The generator of a seed, or itself; for None, that of the block `drawing_from`, or one of its own.

    Example:
        >>> generator(0).random() == np.random.default_rng(0).random()
        True
    """
    return np.random.default_rng(_source.get() if rng is None else rng)


@contextmanager
def drawing_from(rng: np.random.Generator) -> Iterator[None]:
    """A block in which layers that are made without a generator draw from this one.

    Example:
        >>> import tinygrad_lite as tg
        >>> def weight(seed):
        ...     with drawing_from(np.random.default_rng(seed)):
        ...         return tg.nn.Linear(1, 1).weight.item()
        >>> weight(0) == weight(0), weight(0) == weight(1)
        (True, False)
    """
    token = _source.set(rng)
    try:
        yield
    finally:
        _source.reset(token)


def _of_a_shape(initialiser: _Initialiser) -> _Initialiser:
    """An initialiser that says what to write to those who pass it a tensor, as PyTorch's once took one."""
    name = initialiser.__name__

    @wraps(initialiser)
    def made(shape: Any, *settings: Any, **options: Any) -> Any:
        if isinstance(shape, Tensor):
            raise UsageError(f"{name} makes an array of a shape, got a tensor: write {name}_(tensor), which fills it")
        return initialiser(shape, *settings, **options)

    return made  # type: ignore[return-value]


@_of_a_shape
def constant(shape: Shape, val: float, *, dtype: Any = np.float64, rng: Rng = None) -> Any:
    """An array of one value; `rng` is not used, but lets this stand in for any other initialiser.

    Example:
        >>> constant(2, 0.5)
        array([0.5, 0.5])
    """
    return np.full(shape, val, dtype)


@_of_a_shape
def zeros(shape: Shape, *, dtype: Any = np.float64, rng: Rng = None) -> Any:
    """An array of zeros; as for `constant`, `rng` is not used.

    Example:
        >>> zeros(2)
        array([0., 0.])
    """
    return np.zeros(shape, dtype)


@_of_a_shape
def ones(shape: Shape, *, dtype: Any = np.float64, rng: Rng = None) -> Any:
    """An array of ones; as for `constant`, `rng` is not used.

    Example:
        >>> ones(2)
        array([1., 1.])
    """
    return np.ones(shape, dtype)


@_of_a_shape
def eye(shape: Sequence[int], *, dtype: Any = np.float64, rng: Rng = None) -> Any:
    """A matrix with ones on the diagonal: a linear layer that passes on its input.

    Raises:
        ShapeError: if the shape does not have two axes.

    Example:
        >>> eye((2, 3))
        array([[1., 0., 0.],
               [0., 1., 0.]])
    """
    return np.eye(*_checked("eye", shape, [2]), dtype=dtype)


@_of_a_shape
def dirac(shape: Sequence[int], groups: int = 1, *, dtype: Any = np.float64, rng: Rng = None) -> Any:
    """A kernel (out, in, …) of a convolution that passes on as many channels of each group as there are.

    Raises:
        ShapeError: if the shape does not have three to five axes, or its first does not divide into the groups.

    Example:
        >>> dirac((2, 2, 3))[1]
        array([[0., 0., 0.],
               [0., 1., 0.]])
    """
    out, channels, *window = _checked("dirac", shape, [3, 4, 5])
    if out % groups:
        raise ShapeError(f"dirac needs output channels that divide into {groups} groups, got shape {shape}")
    kernel = np.zeros(shape, dtype)
    passed = np.arange(min(out // groups, channels))
    middle: Any = tuple(size // 2 for size in window)
    for group in range(groups):
        kernel[(group * (out // groups) + passed, passed, *middle)] = 1
    return kernel


@_of_a_shape
def normal(shape: Shape, mean: float = 0.0, std: float = 1.0, *, dtype: Any = np.float64, rng: Rng = None) -> Any:
    """Normally distributed numbers, N(mean, std²).

    Raises:
        InputError: if std is negative.

    Example:
        >>> normal((2, 3), std=0.1, rng=0).shape
        (2, 3)
    """
    if not std >= 0:
        raise InputError(f"normal needs a std of at least 0, got {std}")
    return generator(rng).normal(mean, std, shape).astype(dtype)


@_of_a_shape
def uniform(shape: Shape, a: float = 0.0, b: float = 1.0, *, dtype: Any = np.float64, rng: Rng = None) -> Any:
    """Uniformly distributed numbers, U(a, b).

    Raises:
        InputError: if a is greater than b.

    Example:
        >>> bool(uniform(100, -1, 1, rng=0).min() < 0)
        True
    """
    if not a <= b:
        raise InputError(f"uniform needs a ≤ b, got {a} and {b}")
    return generator(rng).uniform(a, b, shape).astype(dtype)


@_of_a_shape
def trunc_normal(
    shape: Shape,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    *,
    dtype: Any = np.float64,
    rng: Rng = None,
) -> Any:
    """Numbers from N(mean, std²) that lie in [a, b].

    Raises:
        InputError: if a is not less than b, or std is not positive.

    Example:
        >>> bool(abs(trunc_normal(100, rng=0)).max() <= 2)
        True
    """
    if not (a < b and std > 0):
        raise InputError(f"trunc_normal needs a < b and a positive std, got {a}, {b} and {std}")
    rng = generator(rng)
    inside = (erf((b - mean) / std / sqrt(2)) - erf((a - mean) / std / sqrt(2))) / 2
    peak = min(max(mean, a), b)  # of the density in [a, b]
    drawn = np.full(shape, np.nan)
    while np.any(missing := ~((drawn >= a) & (drawn <= b))):
        count = np.count_nonzero(missing)
        if inside > 0.3:
            drawn[missing] = rng.normal(mean, std, count)
        else:  # few normal numbers would do: keep uniform ones as often as their density says
            x = rng.uniform(a, b, count)
            density = np.exp(((peak - mean) ** 2 - (x - mean) ** 2) / (2 * std**2))
            drawn[missing] = np.where(rng.uniform(size=count) < density, x, np.nan)
    return drawn.astype(dtype)


@_of_a_shape
def xavier_uniform(shape: Sequence[int], gain: float = 1.0, *, dtype: Any = np.float64, rng: Rng = None) -> Any:
    """U(-a, a) with a = gain · √(6 / (fan_in + fan_out)): keeps the variance both forward and backward.

    The shape is (out, in, …); further axes are a receptive field.
    Source: Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward neural networks, eq. 16.

    Raises:
        ShapeError: if the shape has fewer than two axes.

    Example:
        >>> bool(abs(xavier_uniform((3, 3), rng=0)).max() <= 1)
        True
    """
    bound = gain * sqrt(6 / sum(_fans(shape)))
    return uniform(shape, -bound, bound, dtype=dtype, rng=rng)


@_of_a_shape
def xavier_normal(shape: Sequence[int], gain: float = 1.0, *, dtype: Any = np.float64, rng: Rng = None) -> Any:
    """N(0, σ²) with σ = gain · √(2 / (fan_in + fan_out)); otherwise as `xavier_uniform`.

    Example:
        >>> xavier_normal((3, 2), rng=0).shape
        (3, 2)
    """
    return normal(shape, 0.0, gain * sqrt(2 / sum(_fans(shape))), dtype=dtype, rng=rng)


@_of_a_shape
def kaiming_uniform(
    shape: Sequence[int],
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    dtype: Any = np.float64,
    rng: Rng = None,
) -> Any:
    """U(-√3 σ, √3 σ) with σ = gain / √fan: keeps the variance through (leaky) ReLUs.

    The shape is (out, in, …); further axes are a receptive field.
    Source: He et al. (2015), Delving deep into rectifiers, eq. 14 and 15.

    Args:
        a: the negative slope of a leaky ReLU.
        mode: "fan_in" keeps the variance forward, "fan_out" backward.
        nonlinearity: the function that follows, see `calculate_gain`.

    Raises:
        ShapeError: if the shape has fewer than two axes.
        InputError: if the mode or the nonlinearity is unknown.

    Example:
        >>> bool(abs(kaiming_uniform((2, 6), rng=0)).max() <= 1)
        True
    """
    bound = sqrt(3) * _kaiming(shape, a, mode, nonlinearity)
    return uniform(shape, -bound, bound, dtype=dtype, rng=rng)


@_of_a_shape
def kaiming_normal(
    shape: Sequence[int],
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    *,
    dtype: Any = np.float64,
    rng: Rng = None,
) -> Any:
    """N(0, σ²) with σ = gain / √fan; otherwise as `kaiming_uniform`.

    Example:
        >>> kaiming_normal((3, 2), rng=0).shape
        (3, 2)
    """
    return normal(shape, 0.0, _kaiming(shape, a, mode, nonlinearity), dtype=dtype, rng=rng)


@_of_a_shape
def orthogonal(shape: Sequence[int], gain: float = 1.0, *, dtype: Any = np.float64, rng: Rng = None) -> Any:
    """A matrix (out, in · …) with orthonormal rows or, if it is higher than wide, columns, times the gain.

    Source: Saxe et al. (2014), Exact solutions to the nonlinear dynamics of learning in deep linear neural networks.

    Raises:
        ShapeError: if the shape has fewer than two axes.

    Example:
        >>> w = orthogonal((2, 3), rng=0)
        >>> np.allclose(w @ w.T, np.eye(2))
        True
    """
    rows, columns = _checked("orthogonal", shape)[0], prod(shape[1:])
    q, r = np.linalg.qr(normal((max(rows, columns), min(rows, columns)), rng=rng))
    q = q * np.sign(np.diag(r))  # so that every rotation is as likely: Mezzadri (2007)
    return (gain * (q if rows >= columns else q.T)).reshape(shape).astype(dtype)


@_of_a_shape
def sparse(
    shape: Sequence[int], sparsity: float, std: float = 0.01, *, dtype: Any = np.float64, rng: Rng = None
) -> Any:
    """A matrix from N(0, std²) in which this fraction of each column is zero.

    Source: Martens (2010), Deep learning via Hessian-free optimization.

    Raises:
        ShapeError: if the shape does not have two axes.

    Example:
        >>> np.count_nonzero(sparse((10, 3), 0.7, rng=0), axis=0)
        array([3, 3, 3])
    """
    rows, columns = _checked("sparse", shape, [2])
    rng = generator(rng)
    matrix = normal(shape, 0.0, std, dtype=dtype, rng=rng)
    for column in range(columns):
        matrix[rng.permutation(rows)[: ceil(sparsity * rows)], column] = 0
    return matrix


_GAINS: dict[str, Callable[[float], float]] = {
    **dict.fromkeys(["linear", "conv1d", "conv2d", "conv3d", "sigmoid"], lambda _: 1.0),
    **dict.fromkeys(["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"], lambda _: 1.0),
    "tanh": lambda _: 5 / 3,
    "relu": lambda _: sqrt(2),
    "leaky_relu": lambda slope: sqrt(2 / (1 + slope**2)),
    "selu": lambda _: 3 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the scale of values through a function, under its name in `nn.functional`.

    Args:
        param: the negative slope of "leaky_relu"; 0.01 if it is None.

    Raises:
        InputError: if the name is unknown; the message names those there are.

    Example:
        >>> calculate_gain("leaky_relu", 1.0)
        1.0
    """
    if nonlinearity not in _GAINS:
        raise InputError(f"nonlinearity must be one of {', '.join(_GAINS)}; got {nonlinearity!r}")
    return _GAINS[nonlinearity](0.01 if param is None else param)


def _kaiming(shape: Sequence[int], a: float, mode: str, nonlinearity: str) -> float:
    """The standard deviation."""
    if mode not in ("fan_in", "fan_out"):
        raise InputError(f"mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return calculate_gain(nonlinearity, a) / sqrt(_fans(shape)[mode == "fan_out"])


def _fans(shape: Sequence[int]) -> tuple[int, int]:
    """The number of inputs of each unit, and the number of units that read each input."""
    out, channels, *window = _checked("this initialiser", shape)
    return max(channels * prod(window), 1), max(out * prod(window), 1)


def _checked(name: str, shape: Sequence[int], axes: Sequence[int] = ()) -> Sequence[int]:
    """The shape, if it has one of these numbers of axes, or at least two."""
    count = len(shape) if np.ndim(shape) else 1
    if count not in axes if axes else count < 2:
        needed = " or ".join(map(str, axes)) if axes else "at least two"
        raise ShapeError(f"{name} needs a shape of {needed} axes, (out, in, ...); got {shape}")
    return shape


def _in_place(initialiser: Callable[..., Any], example: str = "(2, 3)", settings: str = "") -> Callable[..., Tensor]:
    """The same initialiser for the array of a tensor."""
    name = initialiser.__name__

    def fill(tensor: Tensor, *settings: Any, **options: Any) -> Tensor:
        if not isinstance(tensor, Tensor):
            raise UsageError(
                f"{name}_ fills a tensor, such as layer.weight and not layer.weight.data, got {type(tensor).__name__}: "
                f"{name}(shape) makes an array"
            )
        values = initialiser(tensor.shape, *settings, dtype=tensor.dtype, **options)
        tensor.data = np.asfortranarray(values) if np.isfortran(tensor.numpy()) else values
        return tensor

    fill.__name__ = fill.__qualname__ = f"{name}_"
    fill.__doc__ = f"""Give a leaf the values of `{name}`, with the settings of that function; return the tensor.

    Example:
        >>> import tinygrad_lite as tg
        >>> tg.nn.init.{name}_(tg.tensor(np.empty({example})){settings}).shape
        {example}
    """
    return fill


constant_ = _in_place(constant, settings=", 0.5")
zeros_ = _in_place(zeros)
ones_ = _in_place(ones)
eye_ = _in_place(eye)
dirac_ = _in_place(dirac, "(2, 3, 5)")
normal_ = _in_place(normal)
uniform_ = _in_place(uniform)
trunc_normal_ = _in_place(trunc_normal)
xavier_uniform_ = _in_place(xavier_uniform)
xavier_normal_ = _in_place(xavier_normal)
kaiming_uniform_ = _in_place(kaiming_uniform)
kaiming_normal_ = _in_place(kaiming_normal)
orthogonal_ = _in_place(orthogonal)
sparse_ = _in_place(sparse, settings=", 0.5")

if not TYPE_CHECKING:  # a type checker would take it for a promise that any name is there
    __getattr__ = _unknown_names(__name__)
