"""Operations on complex numbers in terms of their real and imaginary parts, since a page computes with real numbers."""

import itertools
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lite.engine.op import Array


class Parts(NamedTuple):
    """The parts of a complex array; a real one has no imaginary part."""

    real: Any
    imag: Any = None


def _plus(a: Array, b: Array) -> Array:
    return b if a is None else a if b is None else a + b


def _minus(a: Array, b: Array) -> Array:
    return a if b is None else -b if a is None else a - b


def _or_zeros(z: Parts) -> Array:
    return np.zeros_like(z.real) if z.imag is None else z.imag


def linear(function: Callable[..., Array], *operands: Parts) -> Parts:
    """The result of a function that is linear in its operands together, such as a sum or a concatenation."""
    return Parts(function(*[z.real for z in operands]), function(*map(_or_zeros, operands)))


def product(function: Callable[..., Array], *operands: Parts) -> Parts:
    """The result of a function that is linear in each of its operands: i² = -1."""
    real, imag = None, None
    for choice in itertools.product(*[range(1 if z.imag is None else 2) for z in operands]):
        turns = sum(choice)
        term = function(*[z[k] for z, k in zip(operands, choice)])
        if turns % 2 == 0:
            real = _minus(real, term) if turns % 4 else _plus(real, term)
        else:
            imag = _minus(imag, term) if turns % 4 == 3 else _plus(imag, term)
    return Parts(real, imag)


def _multiply(a: Parts, b: Parts) -> Parts:
    return product(np.multiply, a, b)


def _conjugate(z: Parts) -> Parts:
    return Parts(z.real, None if z.imag is None else -z.imag)


def _divide(a: Parts, b: Parts) -> Parts:
    if b.imag is None:
        return Parts(a.real / b.real, None if a.imag is None else a.imag / b.real)
    above, below = _multiply(a, _conjugate(b)), b.real * b.real + b.imag * b.imag
    return Parts(above.real / below, _or_zeros(above) / below)


def _absolute(z: Parts) -> Parts:
    return Parts(np.hypot(z.real, _or_zeros(z)))


def _exp(z: Parts) -> Parts:
    size = np.exp(z.real)
    return Parts(size * np.cos(_or_zeros(z)), size * np.sin(_or_zeros(z)))


def _angle(z: Parts) -> Parts:
    return Parts(np.arctan2(_or_zeros(z), z.real))


def _log(z: Parts) -> Parts:
    return Parts(np.log(_absolute(z).real), _angle(z).real)


def _sqrt(z: Parts) -> Parts:
    size, imag = _absolute(z).real, _or_zeros(z)
    return Parts(np.sqrt((size + z.real) / 2), np.copysign(np.sqrt((size - z.real) / 2), imag))


def _power(a: Parts, b: Parts) -> Parts:
    if isinstance(b.real, (int, float)) and b.imag is None and b.real in (2, 3, 4):
        return reduce(_multiply, [a] * int(b.real))
    power, is_zero = _exp(_multiply(b, _log(a))), np.equal(_absolute(a).real, 0)
    of_zero = np.where(np.equal(_absolute(b).real, 0), 1.0, np.where(np.greater(b.real, 0), 0.0, np.nan))
    return Parts(np.where(is_zero, of_zero, power.real), np.where(is_zero, 0.0 * of_zero, power.imag))


def _sinh(z: Parts) -> Parts:
    x, y = z.real, _or_zeros(z)
    return Parts(np.sinh(x) * np.cos(y), np.cosh(x) * np.sin(y))


def _cosh(z: Parts) -> Parts:
    x, y = z.real, _or_zeros(z)
    return Parts(np.cosh(x) * np.cos(y), np.sinh(x) * np.sin(y))


def _times_i(z: Parts) -> Parts:
    return Parts(-_or_zeros(z), z.real)


def _sin(z: Parts) -> Parts:  # sin z = -i sinh iz
    w = _sinh(_times_i(z))
    return Parts(w.imag, -w.real)


def _cos(z: Parts) -> Parts:
    return _cosh(_times_i(z))


def _sign(z: Parts) -> Parts:
    size = _absolute(z).real
    return _divide(z, Parts(np.where(np.equal(size, 0), 1.0, size)))


def _as_one(a: Parts) -> Array:
    """The real matrix [[A, -B], [B, A]] that does with both parts of a vector what A + iB does."""
    rows = [(a.real, -_or_zeros(a)), (_or_zeros(a), a.real)]
    return np.concatenate([np.concatenate(row, axis=-1) for row in rows], axis=-2)


def _upper_and_lower(x: Array, axis: int) -> Parts:
    size = x.shape[axis] // 2
    return Parts(*[np.moveaxis(np.moveaxis(x, axis, 0)[half], 0, axis) for half in (slice(size), slice(size, None))])


def _inv(a: Parts) -> Parts:
    return _upper_and_lower(np.linalg.inv(_as_one(a))[..., : a.real.shape[-1]], -2)


def _solve(a: Parts, b: Parts) -> Parts:
    axis = -1 if np.ndim(b.real) == 1 else -2
    return _upper_and_lower(np.linalg.solve(_as_one(a), np.concatenate([b.real, _or_zeros(b)], axis=axis)), axis)


def _both(question: Callable[..., Array], join: Callable[..., Array]) -> Callable[..., Parts]:
    """The answer to a question that is asked of both parts."""
    return lambda *operands: Parts(
        join(question(*[z.real for z in operands]), question(*[_or_zeros(z) for z in operands]))
    )


BY_PARTS: dict[str, Callable[..., Parts]] = {
    "add": lambda a, b: Parts(a.real + b.real, _plus(a.imag, b.imag)),
    "subtract": lambda a, b: Parts(a.real - b.real, _minus(a.imag, b.imag)),
    "multiply": _multiply,
    "divide": _divide,
    "power": _power,
    "float_power": _power,
    "square": lambda z: _multiply(z, z),
    "reciprocal": lambda z: _divide(Parts(1.0), z),
    "real": lambda z: Parts(z.real),
    "imag": lambda z: Parts(_or_zeros(z)),
    "conjugate": _conjugate,
    "absolute": _absolute,
    "angle": _angle,
    "sign": _sign,
    "exp": _exp,
    "exp2": lambda z: _exp(_multiply(Parts(np.log(2)), z)),
    "log": _log,
    "log2": lambda z: _divide(_log(z), Parts(np.log(2))),
    "log10": lambda z: _divide(_log(z), Parts(np.log(10))),
    "sqrt": _sqrt,
    "sin": _sin,
    "cos": _cos,
    "tan": lambda z: _divide(_sin(z), _cos(z)),
    "sinh": _sinh,
    "cosh": _cosh,
    "tanh": lambda z: _divide(_sinh(z), _cosh(z)),
    "inv": _inv,
    "solve": _solve,
    "where": lambda condition, a, b: linear(lambda x, y: np.where(condition.real, x, y), a, b),
    "vdot": lambda a, b: product(lambda x, y: np.sum(np.ravel(x) * np.ravel(y)), _conjugate(a), b),
    "zeros_like": lambda z: Parts(np.zeros_like(z.real), np.zeros_like(z.real)),
    "ones_like": lambda z: Parts(np.ones_like(z.real), np.zeros_like(z.real)),
    "equal": _both(np.equal, np.logical_and),
    "not_equal": _both(np.not_equal, np.logical_or),
    "isfinite": _both(np.isfinite, np.logical_and),
    "isnan": _both(np.isnan, np.logical_or),
    "isinf": _both(np.isinf, np.logical_or),
}
"""Operations in terms of the parts of their operands."""

LINEAR = frozenset(
    """
    getitem scatter index_set index_add broadcast_to reshape ravel expand_dims squeeze stop_gradient positive
    sliding_window_view negative sum mean cumsum transpose swapaxes concatenate stack trace
    """.split()  # noqa: SIM905  words are read more easily than quotes and commas
)
"""Operations that treat both parts alike."""

PRODUCTS = frozenset({"matmul", "dot", "inner", "einsum", "tensordot", "convolve"})
"""Operations that are linear in each of their operands."""


def _scale(n: int, norm: str | None, is_inverse: bool) -> float:
    scaled = {None: is_inverse, "backward": is_inverse, "forward": not is_inverse}
    return n**-0.5 if norm == "ortho" else 1 / n if scaled[norm] else 1.0


def _waves(constant: Callable[[Array], Array], rows: int, columns: int, n: int) -> tuple[Array, Array]:
    """Cosine and sine of 2π jk / n, for each row j and column k: computed in the page, since they are long to write."""
    turns = np.remainder(constant(np.arange(float(rows))[:, None]) * constant(np.arange(float(columns))), float(n))
    return np.cos(turns * (2 * np.pi / n)), np.sin(turns * (2 * np.pi / n))


def _along(axis: int, z: Parts, size: int, matrix: Parts) -> Parts:
    """The product of the first entries along an axis with a matrix."""

    def multiplied(x: Array, m: Array) -> Array:
        moved = np.swapaxes(x, axis, -1) if x.ndim > 1 else x
        moved = moved if moved.shape[-1] == size else moved[..., :size]
        found = moved @ m
        return np.swapaxes(found, axis, -1) if x.ndim > 1 else found

    return product(multiplied, z, matrix)


def transformed(
    name: str,
    constant: Callable[[Array], Array],
    z: Parts,
    n: int | None = None,
    axis: int = -1,
    norm: str | None = None,
) -> Parts:
    """A transform of np.fft, as a product with its matrix.

    Args:
        constant: makes an operand of an array, so that what is computed from it is computed in the page.
    """
    size = np.shape(z.real)[axis]
    is_inverse = name in ("ifft", "irfft")
    n = n if n is not None else 2 * (size - 1) if name == "irfft" else size
    scale = _scale(n, norm, is_inverse)
    if name == "irfft":
        size = min(size, n // 2 + 1)
        twice = np.where((np.arange(size) == 0) | (2 * np.arange(size) == n), 1.0, 2.0)[:, None] * scale
        cosines, sines = _waves(constant, size, n, n)
        return Parts(_along(axis, z, size, Parts(cosines * twice, sines * twice)).real)
    size = min(size, n)
    cosines, sines = _waves(constant, size, n // 2 + 1 if name == "rfft" else n, n)
    return _along(axis, z, size, Parts(cosines * scale, sines * (scale if is_inverse else -scale)))


TRANSFORMS: Sequence[str] = ("fft", "ifft", "rfft", "irfft")
