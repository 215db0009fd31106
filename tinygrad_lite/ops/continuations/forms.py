"""What a continuation to the complex plane is, and the forms that most of them take.

A continuation of f takes x + ih·t, with an h so small that h² is nothing, to f(x) + ih·∂f/∂x·t. It does not read ∂f/∂x,
which it is there to check. NumPy's functions of complex numbers are mostly that, but three things go wrong. Some
conjugate (a norm, a variance, a decomposition), and are not analytic. Some go on where the real function ends, as the
square root does below 0. And some compute with complex numbers of ordinary size on the way: whatever rounding leaves of
these in the imaginary part drowns the step, as 1e-16 is 1e84 times h.

At kinks and ties the conventions are those of the derivatives.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Op, Rule
from tinygrad_lite.errors import UsageError


class NotContinuedError(UsageError):
    """A computation that cannot be followed to the complex plane."""


def continuation(op: Op, rule: Rule) -> None:
    """Enter the continuation of an operation; a user's own operation states it in its declaration, as `on_complex`."""
    op.on_complex = rule


def not_continued(*_: Array, **__: Any) -> Array:
    """Stands for a continuation that nobody can compute."""
    raise NotContinuedError("no way is known to compute it")


def as_complex(x: Array) -> Array:
    """A complex array of its own."""
    return np.array(x, complex)


def with_value(value: Array, z: Array) -> Array:
    """Complex numbers with another real part."""
    y = as_complex(z)
    y.real = value
    return y[()]


def exact(function: Callable[..., Array], rule: Rule | None = None) -> Rule:
    """The rule (the function itself unless told) with the very value of the function on the real line.

    So comparisons come out as they do there, to the last digit, and what is no number there is none here.
    """

    def continued(*x: Array, **params: Any) -> Array:
        return with_value(function(*map(np.real, x), **params), (rule or function)(*x, **params))

    return continued


def constant(function: Callable[..., Array]) -> Rule:
    """The continuation of what is constant almost everywhere."""
    return lambda *x, **params: as_complex(function(*map(np.real, x), **params))[()]


def by_parts(function: Callable[..., Array]) -> Rule:
    """The continuation of what is linear in its first argument and knows no complex numbers."""

    def continued(x: Array, *others: Array) -> Array:
        y = as_complex(function(np.real(x), *others))
        y.imag = function(np.imag(x), *others)
        return y[()]

    return continued


def signed(x: Array, sign: Array) -> Array:
    """x times 1, -1, 0 or NaN, which is no product since an infinite x has a step, too."""
    return np.where(np.greater(sign, 0), x, np.where(np.less(sign, 0), -x, sign))


def absolute_of(x: Array) -> Array:
    """|x|, with the slope 0 at 0."""
    return signed(x, np.sign(np.real(x)))


square_of = exact(np.square)


def root_of(x: Array) -> Array:
    """The root of a sum of squares, with the slope 0 where that is 0."""
    none = np.equal(np.real(x), 0)
    return np.where(none, 0, np.sqrt(np.where(none, 1, x)))


def of_dtype(function: Callable[..., Array], rule: Rule | None = None) -> Rule:
    """The rule (the function itself unless told) for the continuation of what takes the dtype of its result.

    Whole numbers do not follow a step, and for one to be followed, no digit is rounded away.
    """

    def continued(*x: Array, dtype: Any = None, **params: Any) -> Array:
        kind = "f" if dtype is None else np.dtype(dtype).kind
        if kind not in "biuf":
            raise NotContinuedError(f"a step cannot be told from numbers of dtype {np.dtype(dtype)}")
        if kind == "f":
            return (rule or function)(*x, **params)
        return constant(function)(*x, dtype=dtype, **params)

    return continued
