"""Continuations to the complex plane of SciPy's special functions."""

from math import factorial, log, pi, sqrt

import numpy as np
from scipy.special import _ufuncs as special
from scipy.special import bernoulli as bernoulli_numbers

from tinygrad_lite.engine.op import Array, Rule
from tinygrad_lite.engine.registry import answer_to, operation
from tinygrad_lite.ops.arithmetic.elementwise import cbrt, exp2, expm1, log1p, nodes_and_weights
from tinygrad_lite.ops.continuations.forms import (
    NotContinuedError,
    absolute_of,
    as_complex,
    continuation,
    exact,
    not_continued,
    signed,
    square_of,
)
from tinygrad_lite.ops.special import DEGREE, ratio


def _enter(ufunc: np.ufunc, rule: Rule) -> None:
    continuation(answer_to(ufunc), rule)  # type: ignore[arg-type]  # which is an operation


def _exact(ufunc: np.ufunc, rule: Rule | None = None) -> None:
    """Set a continuation: the rule (by default the ufunc itself), with the ufunc's exact value on the real line."""
    _enter(ufunc, exact(ufunc, rule))


for ufunc in (
    special.xlogy,
    special.xlog1py,
    special.erf,
    special.erfc,
    special.erfcx,
    special.erfi,
    special.dawsn,
    special.ndtr,
    special.psi,
    special.loggamma,
):
    _exact(ufunc)

# SciPy does not take complex numbers for these; or it computes with complex numbers of ordinary size on the way, whose
# rounding drowns the step; or (exp1, spence) it stops the series when the real part stands still, too early for it
for name in (
    *("gammainc", "gammaincc", "gammaincinv", "gammainccinv", "betainc", "betaincc", "betaincinv", "betainccinv"),
    *("chdtr", "chdtrc", "fdtr", "fdtrc"),
    *("jv", "y0", "y1", "yv", "yn", "iv", "ive", "hyp0f1", "hyp1f1", "hyp2f1", "expi"),
    *("exp1", "spence", "exponential_integral", "expn", "rgamma", "poch"),
    *("sine_integral", "cosine_integral"),
    *("fresnel_sine", "fresnel_cosine", "stdtr"),
    *("eval_legendre", "eval_gegenbauer", "eval_chebyt", "eval_chebyu"),
    *("eval_hermite", "eval_hermitenorm"),
):
    continuation(operation(name), not_continued)

# SciPy's variants of NumPy functions; NumPy's own log1p and expm1 of complex numbers lose digits near 0

_log1p, _expm1 = log1p.on_complex or np.log1p, expm1.on_complex or np.expm1

for twin in (cbrt, exp2, expm1, log1p):
    _exact(getattr(special, twin.name), twin.on_complex)


def _of_degrees(function: Rule) -> Rule:
    """A function of an angle in degrees that keeps its digits after many turns."""
    return lambda x: function(DEGREE * (x - 360 * np.rint(np.real(x) / 360)))


_exact(special.exp10, lambda x: np.exp(x * log(10)))
_exact(special.cosm1, lambda x: -2 * np.square(np.sin(x / 2)))
_exact(special.sindg, _of_degrees(np.sin))
_exact(special.cosdg, _of_degrees(np.cos))
_exact(special.tandg, _of_degrees(np.tan))
_exact(special.cotdg, _of_degrees(lambda angle: 1 / np.tan(angle)))

# Logarithms and exponentials


def _expit(x: Array) -> Array:
    below = np.less(np.real(x), 0)
    small = np.exp(np.where(below, x, -x))
    return np.where(below, small, 1) / (1 + small)


def _log_expit(x: Array) -> Array:
    below = np.less(np.real(x), 0)
    return np.where(below, x, 0) - _log1p(np.exp(np.where(below, x, -x)))


def _relative(numerator: Rule, slope: Rule) -> Rule:
    """numerator(x) / x; near 0, where that would lose all digits, the mean of the slope between 0 and x."""

    def quotient(x: Array) -> Array:
        near = np.less(np.absolute(x), 0.5)
        nodes, weights = nodes_and_weights()
        slopes = slope(np.expand_dims(np.where(near, x, 0), -1) * (nodes + 1) / 2)
        far = np.where(near, 1, x)
        return np.where(near, np.sum(weights / 2 * slopes, axis=-1), numerator(far) / far)

    return quotient


_exprel = _relative(_expm1, np.exp)
_log1prel = _relative(_log1p, lambda x: 1 / (1 + x))

_exact(special.expit, _expit)
_exact(special.log_expit, _log_expit)
_exact(special.logit, lambda x: np.log(x) - _log1p(-x))
_exact(special.exprel, _exprel)
_exact(special.entr, lambda x: -special.xlogy(x, x))
_exact(special.rel_entr, lambda a, b: special.xlogy(a, ratio(a, b)))
_exact(special.kl_div, lambda a, b: special.xlogy(a, ratio(a, b)) - a + b)


def _box_cox(logarithm: Array, power: Array) -> Array:
    return logarithm * _exprel(power * logarithm)


def _log_inverse_box_cox(x: Array, power: Array) -> Array:
    return x * _log1prel(power * x)


_exact(special.boxcox, lambda x, power: _box_cox(np.log(x), power))
_exact(special.boxcox1p, lambda x, power: _box_cox(_log1p(x), power))
_exact(special.inv_boxcox, lambda x, power: np.exp(_log_inverse_box_cox(x, power)))
_exact(special.inv_boxcox1p, lambda x, power: _expm1(_log_inverse_box_cox(x, power)))

# Losses


def _huber(delta: Array, r: Array) -> Array:
    size = absolute_of(r)
    return np.where(np.less_equal(np.real(size), np.real(delta)), square_of(r) / 2, delta * (size - delta / 2))


def _pseudo_huber(delta: Array, r: Array) -> Array:
    return delta * np.square(r) / (delta + np.sqrt(np.square(delta) + np.square(r)))


_exact(special.huber, _huber)
_exact(special.pseudo_huber, _pseudo_huber)

# The error function and the normal distribution


def _inverse(inverse: np.ufunc, function: Rule) -> None:
    """Set the continuation of an inverse function: a complex step through the function gives the slope to divide by."""

    def continued(x: Array) -> Array:
        y = as_complex(inverse(np.real(x)))
        y.imag = np.imag(x) / (np.imag(function(y + 1e-100j)) / 1e-100)
        return y[()]

    _enter(inverse, continued)


def _log_ndtr(x: Array) -> Array:
    positive = np.greater(np.real(x), 0)
    x, below = np.where(positive, x, 1), np.where(positive, -1, x)
    return np.where(
        positive,
        _log1p(-special.ndtr(-x)),
        np.log(special.erfcx(-below / sqrt(2)) / 2) - np.square(below) / 2,
    )


_exact(special.log_ndtr, _log_ndtr)
_inverse(special.erfinv, special.erf)
_inverse(special.erfcinv, special.erfc)
_inverse(special.ndtri, special.ndtr)
_inverse(special.ndtri_exp, _log_ndtr)

# The gamma and beta functions


def _size(x: Array) -> int:
    """The largest finite size, for a sum of about as many terms."""
    size = np.max(np.absolute(x), initial=0, where=np.isfinite(x))
    if size > 1e5:
        raise NotContinuedError(f"it would be a sum of {size:.1g} terms")
    return int(size)


def _zeta(x: Array, order: tuple[Array]) -> Array:
    # the Euler-Maclaurin sum (DLMF 25.11.7), whose terms fall by a factor of 10 or more for a = 12
    s = order[0]
    count = 12 + _size(np.minimum(np.real(x), 0))
    a = x + count
    y = np.sum((np.expand_dims(x, -1) + np.arange(count)) ** -np.expand_dims(s, -1), axis=-1)
    y = y + a ** (1 - s) / (s - 1) + a**-s / 2
    for n, bernoulli in enumerate(bernoulli_numbers(16)[2::2], start=1):
        y = y + bernoulli * special.poch(s, 2 * n - 1) / factorial(2 * n) * a ** (1 - s - 2 * n)
    return y


def _gammaln(x: Array) -> Array:
    # below 0 by reflection, Γ(x) Γ(1 - x) sin πx = π, since SciPy's version adds an imaginary part there
    below = np.less(np.real(x), 0)
    y = special.loggamma(np.where(below, 1 - x, x))
    return np.where(below, log(pi) - np.log(absolute_of(np.sin(pi * np.where(below, x, 0.5)))) - y, y)


def _betaln(a: Array, b: Array) -> Array:
    return _gammaln(a) + _gammaln(b) - _gammaln(a + b)


def _by_logarithm(function: np.ufunc, logarithm: Rule) -> None:
    """Set the continuation of a function from the continuation of its logarithm and its sign."""
    _exact(function, lambda *x: signed(np.exp(logarithm(*x)), np.sign(function(*map(np.real, x)))))


continuation(operation("zeta"), exact(operation("zeta").forward, _zeta))
_exact(special.gammaln, _gammaln)
_exact(special.betaln, _betaln)
_by_logarithm(special.gamma, _gammaln)
_by_logarithm(special.beta, _betaln)
_by_logarithm(special.binom, lambda n, k: -_betaln(n - k + 1, k + 1) - np.log(absolute_of(n + 1)))

# Bessel functions. For complex numbers, SciPy computes all but K by a quarter turn, and what rounding leaves of that
# drowns the step; so we compute J and I of integer order as means over a circle


def _bessel(order: int) -> Rule:
    """The continuation of J, by Bessel's integral (DLMF 10.9.2), on more points than the integrand has waves."""

    def continued(x: Array) -> Array:
        count = 32 + _size(x)
        angle = pi / count * (np.arange(count) + 0.5)
        return np.mean(np.cos(order * angle - np.expand_dims(x, -1) * np.sin(angle)), axis=-1)

    return continued


def _modified_bessel(order: int, scaled: bool = False) -> Rule:
    """The continuation of I (DLMF 10.32.3), on points so dense that the peak for a large x is not missed."""

    def continued(x: Array) -> Array:
        count = 32 + 8 * _size(np.sqrt(np.absolute(x)))
        angle = pi / count * (np.arange(count) + 0.5)
        exponent = np.expand_dims(x, -1) * np.cos(angle)
        exponent = exponent - np.expand_dims(absolute_of(x), -1) if scaled else exponent
        return np.mean(np.exp(exponent) * np.cos(order * angle), axis=-1)

    return continued


_exact(special.j0, _bessel(0))
_exact(special.j1, _bessel(1))
_exact(special.i0, _modified_bessel(0))
_exact(special.i1, _modified_bessel(1))
_exact(special.i0e, _modified_bessel(0, scaled=True))
_exact(special.i1e, _modified_bessel(1, scaled=True))
_exact(special.k0, lambda x: special.kv(0, x))
_exact(special.k1, lambda x: special.kv(1, x))
_exact(special.k0e, lambda x: special.kve(0, x))
_exact(special.k1e, lambda x: special.kve(1, x))
for name in ("kv", "kn"):
    continuation(operation(name), exact(lambda x, order: special.kv(*order, x)))
continuation(operation("kve"), exact(lambda x, order: special.kve(*order, x)))

# Elliptic integrals


def _elliptic(m: Array) -> tuple[Array, Array]:
    """The complete elliptic integrals of the first and second kind, by the arithmetic-geometric mean (DLMF 19.8)."""
    a, b, c, weight, total = 1.0, np.sqrt(1 - m), m, 0.5, 0.0
    for _ in range(16):
        total = total + weight * c
        a, b, c, weight = (a + b) / 2, np.sqrt(a * b), np.square((a - b) / 2), 2 * weight
    return pi / (2 * a), pi / (2 * a) * (1 - total)


_exact(special.ellipk, lambda m: _elliptic(m)[0])
_exact(special.ellipe, lambda m: _elliptic(m)[1])
