"""What a continuation to the complex plane is, and the forms that most continuations take.

A continuation of f maps x + ih·t to f(x) + ih·∂f/∂x·t, where h is so small that h² vanishes. It does not read ∂f/∂x,
since it serves to check it. Most of NumPy's functions of complex numbers are continuations, but some are not, for three
reasons. Some conjugate (a norm, a variance, a decomposition) and are not analytic. Some continue where the real
function ends, as the square root does below 0. And some compute with complex numbers of ordinary size on the way: what
rounding leaves of these in the imaginary part drowns the step, since 1e-16 is 1e84 times h.

Kinks and ties follow the conventions of the derivatives.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Op, Rule
from tinygrad_lite.errors import UsageError


class NotContinuedError(UsageError):
    """A computation that has no continuation to the complex plane."""


def continuation(op: Op, rule: Rule) -> None:
    """Set the continuation of an operation; a user's operation states it in its declaration as `on_complex`."""
    op.on_complex = rule


def not_continued(*_: Array, **__: Any) -> Array:
    """Stands for a continuation that is not known."""
    raise NotContinuedError("no way is known to compute it")


def as_complex(x: Array) -> Array:
    """A copy as a complex array."""
    return np.array(x, complex)


def with_value(value: Array, z: Array) -> Array:
    """The complex numbers z with another real part."""
    y = as_complex(z)
    y.real = value
    return y[()]


def exact(function: Callable[..., Array], rule: Rule | None = None) -> Rule:
    """The rule (by default the function itself), with the exact value that the function has on the real line.

    So comparisons agree with the real line to the last digit, and NaN stays NaN.
    """

    def continued(*x: Array, **params: Any) -> Array:
        return with_value(function(*map(np.real, x), **params), (rule or function)(*x, **params))

    return continued


def constant(function: Callable[..., Array]) -> Rule:
    """The continuation of a function that is constant almost everywhere."""
    return lambda *x, **params: as_complex(function(*map(np.real, x), **params))[()]


def by_parts(function: Callable[..., Array]) -> Rule:
    """The continuation of a function that is linear in its first argument and does not take complex numbers."""

    def continued(x: Array, *others: Array) -> Array:
        y = as_complex(function(np.real(x), *others))
        y.imag = function(np.imag(x), *others)
        return y[()]

    return continued


def signed(x: Array, sign: Array) -> Array:
    """x times 1, -1, 0 or NaN; a product would lose the step of an infinite x."""
    return np.where(np.greater(sign, 0), x, np.where(np.less(sign, 0), -x, sign))


def absolute_of(x: Array) -> Array:
    """|x|, with the slope 0 at 0."""
    return signed(x, np.sign(np.real(x)))


square_of = exact(np.square)


def root_of(x: Array) -> Array:
    """The root of a sum of squares, with slope 0 where the sum is 0."""
    none = np.equal(np.real(x), 0)
    return np.where(none, 0, np.sqrt(np.where(none, 1, x)))


def of_dtype(function: Callable[..., Array], rule: Rule | None = None) -> Rule:
    """The continuation, by the rule (by default the function itself), of a function that takes the dtype of its result.

    Numbers that carry a step are not rounded to a narrower dtype.
    """

    def continued(*x: Array, dtype: Any = None, **params: Any) -> Array:
        if np.dtype(dtype).kind != "f":
            raise NotContinuedError(f"numbers of dtype {np.dtype(dtype)} cannot carry a step")
        return (rule or function)(*x, **params)

    return continued
