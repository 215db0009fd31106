"""Floor 1. The special functions of SciPy, read when the first of them meets a traced value; see `op.answer_to`.

What SciPy has as a ufunc comes here by itself when a traced value is given to `scipy.special`. Where a function has no
derivative in closed form with respect to its first arguments (the order of a Bessel function), these are parameters.
"""

from math import log, pi, sqrt
from typing import Any

import numpy as np
from scipy import special
from scipy.special._ufuncs import _zeta  # what special.zeta(x, q), which is no ufunc itself, hands its arguments to

from tinygrad_lite.errors import UsageError
from tinygrad_lite.ops.elementwise import cbrt, exp2, expm1, log1p
from tinygrad_lite.ops.op import POSITIVE, REAL, Array, Op, Rule, Traced, elementwise
from tinygrad_lite.ops.registry import implements

UNIT = (0.0, 1.0)
DEGREE = pi / 180


def _in_last(ufunc: np.ufunc, derivative: Rule, *examples: Any, domain: tuple[float, float] = REAL) -> Op:
    """Declare `ufunc(*order, x)` in x alone, with the derivative(y, *order, x)."""
    name = ufunc.__name__.lstrip("_")

    def forward(x: Array, order: tuple[Array, ...]) -> Array:
        return ufunc(*order, x)

    op = elementwise(
        forward,
        lambda y, x, order: derivative(y, *order, x),
        name=name,
        domain=(domain,),
        # narrow numbers: beside a number of plain Python, some ufuncs of SciPy make float64 of float32
        examples=[([(2, 3)], {"order": tuple(map(np.float32, example))}) for example in examples],
    )

    @implements(ufunc)
    def answer(*arguments: Array, **params: Any) -> Array:
        *order, x = arguments
        for i, value in enumerate(order):
            if isinstance(value, Traced):
                raise UsageError(
                    f"{name}: the derivative with respect to argument {i} is not known; pass a number or an array "
                    "there, not a tensor"
                )
        return op(x, order=tuple(value if np.isscalar(value) else np.array(value) for value in order), **params)

    return op


def _quotient(a: Array, b: Array) -> Array:
    """a / b, and 0 where both are 0."""
    return a / np.where(np.equal(a, 0) & np.equal(b, 0), 1, b)


# SciPy's own variants of what NumPy has

for twin in (cbrt, exp2, expm1, log1p):
    elementwise(
        getattr(special, twin.name), *twin.derivatives, name=f"special.{twin}", domain=twin.domain, kink=twin.kink
    )
elementwise(special.exp10, lambda y, x: y * log(10))
elementwise(special.cosm1, lambda y, x: -np.sin(x))
elementwise(special.sindg, lambda y, x: DEGREE * special.cosdg(x))
elementwise(special.cosdg, lambda y, x: -DEGREE * special.sindg(x))
elementwise(special.tandg, lambda y, x: DEGREE * (1 + y * y), domain=((-90.0, 90.0),))
elementwise(special.cotdg, lambda y, x: -DEGREE * (1 + y * y), domain=((0.0, 180.0),))

# Logarithms and exponentials

elementwise(special.expit, lambda y, x: y * special.expit(-x))
elementwise(special.log_expit, lambda y, x: special.expit(-x))
elementwise(special.logit, lambda y, x: 1 / (x * (1 - x)), domain=(UNIT,))
elementwise(special.exprel, lambda y, x: 0.5 * special.hyp1f1(2, 3, x))
elementwise(special.xlogy, lambda y, a, b: np.log(b), lambda y, a, b: _quotient(a, b), domain=(REAL, POSITIVE))
elementwise(
    special.xlog1py,
    lambda y, a, b: np.log1p(b),
    lambda y, a, b: _quotient(a, 1 + b),
    domain=(REAL, (-1.0, np.inf)),
)
elementwise(special.entr, lambda y, x: -np.log(x) - 1, domain=(POSITIVE,))
elementwise(
    special.rel_entr,
    lambda y, a, b: np.log(_quotient(a, b)) + 1,
    lambda y, a, b: -_quotient(a, b),
    domain=(POSITIVE, POSITIVE),
)
elementwise(
    special.kl_div,
    lambda y, a, b: np.log(_quotient(a, b)),
    lambda y, a, b: 1 - _quotient(a, b),
    domain=(POSITIVE, POSITIVE),
)


def _box_cox_by_power(logarithm: Array, power: Array) -> Array:
    """The derivative of (e^(power · logarithm) - 1) / power with respect to the power."""
    return 0.5 * np.square(logarithm) * special.hyp1f1(2, 3, power * logarithm)


def _inverse_box_cox_by_power(z: Array, x: Array, power: Array) -> Array:
    """The derivative of z = (1 + power · x)^(1 / power) with respect to the power."""
    return -0.5 * z * np.square(x) * special.hyp2f1(2, 2, 3, -power * x)


elementwise(
    special.boxcox,
    lambda y, x, power: np.power(x, power - 1),
    lambda y, x, power: _box_cox_by_power(np.log(x), power),
    domain=(POSITIVE, REAL),
)
elementwise(
    special.boxcox1p,
    lambda y, x, power: np.power(1 + x, power - 1),
    lambda y, x, power: _box_cox_by_power(np.log1p(x), power),
    domain=((-1.0, np.inf), REAL),
)
elementwise(
    special.inv_boxcox,
    lambda y, x, power: y / (1 + power * x),
    lambda y, x, power: _inverse_box_cox_by_power(y, x, power),
    domain=(POSITIVE, POSITIVE),
)
elementwise(
    special.inv_boxcox1p,
    lambda y, x, power: (1 + y) / (1 + power * x),
    lambda y, x, power: _inverse_box_cox_by_power(1 + y, x, power),
    domain=(POSITIVE, POSITIVE),
)

# Losses

elementwise(
    special.huber,
    lambda y, delta, r: np.maximum(np.absolute(r) - delta, 0),
    lambda y, delta, r: np.clip(r, -delta, delta),
    domain=(POSITIVE, REAL),
    kink=lambda delta, r: np.absolute(r) - delta,
)
elementwise(
    special.pseudo_huber,
    lambda y, delta, r: np.square(y / delta) / np.hypot(delta, r),
    lambda y, delta, r: delta * r / np.hypot(delta, r),
    domain=(POSITIVE, REAL),
)

# The error function and the normal distribution


def _erfcx_slope(y: Array, x: Array) -> Array:
    # far out the two terms cancel: there by their asymptotic series, (2 / √π) Σ (2n - 1)!! (-1 / 2x²)ⁿ (DLMF 7.12.1)
    far = np.greater(x, 10)
    t = -0.5 / np.square(np.where(far, x, 10))
    series: Array = 1
    for k in range(21, 1, -2):
        series = 1 + k * t * series
    return 2 * np.where(far, t * series / sqrt(pi), x * y - 1 / sqrt(pi))


elementwise(special.erf, lambda y, x: 2 / sqrt(pi) * np.exp(-x * x))
elementwise(special.erfc, lambda y, x: -2 / sqrt(pi) * np.exp(-x * x))
elementwise(special.erfcx, _erfcx_slope)
elementwise(special.erfi, lambda y, x: 2 / sqrt(pi) * np.exp(x * x))
elementwise(special.erfinv, lambda y, x: sqrt(pi) / 2 * np.exp(y * y), domain=((-1.0, 1.0),))
elementwise(special.erfcinv, lambda y, x: -sqrt(pi) / 2 * np.exp(y * y), domain=((0.0, 2.0),))
elementwise(special.dawsn, lambda y, x: special.hyp1f1(1, 0.5, -x * x))


def _hazard(x: Array) -> Array:
    return sqrt(2 / pi) / special.erfcx(x / -sqrt(2))


# φ(x) / Φ(x) of the normal distribution, which neither vanishes nor overflows where Φ does
hazard = elementwise(_hazard, lambda y, x: -y * (x + y), name="normal_hazard")
elementwise(special.ndtr, lambda y, x: np.exp(-x * x / 2) / sqrt(2 * pi))
elementwise(special.log_ndtr, lambda y, x: hazard(x))
elementwise(special.ndtri, lambda y, x: sqrt(2 * pi) * np.exp(y * y / 2), domain=(UNIT,))
elementwise(special.ndtri_exp, lambda y, x: 1 / hazard(y), domain=((-np.inf, 0.0),))

# The gamma and beta functions

_in_last(_zeta, lambda y, s, x: -s * special.zeta(s + 1, x), (2,), (1.5,), domain=POSITIVE)
elementwise(special.digamma, lambda y, x: special.zeta(2, x), domain=(POSITIVE,))
elementwise(special.gamma, lambda y, x: y * special.digamma(x), domain=(POSITIVE,))
elementwise(special.gammaln, lambda y, x: special.digamma(x), domain=(POSITIVE,))
elementwise(special.loggamma, lambda y, x: special.digamma(x), domain=(POSITIVE,))
elementwise(
    special.beta,
    lambda y, a, b: y * (special.digamma(a) - special.digamma(a + b)),
    lambda y, a, b: y * (special.digamma(b) - special.digamma(a + b)),
    domain=(POSITIVE, POSITIVE),
)
elementwise(
    special.betaln,
    lambda y, a, b: special.digamma(a) - special.digamma(a + b),
    lambda y, a, b: special.digamma(b) - special.digamma(a + b),
    domain=(POSITIVE, POSITIVE),
)
elementwise(
    special.binom,
    lambda y, n, k: y * (special.digamma(n + 1) - special.digamma(n - k + 1)),
    lambda y, n, k: y * (special.digamma(n - k + 1) - special.digamma(k + 1)),
    domain=((3.0, np.inf), (0.0, 3.0)),
)


def _gamma_density(a: Array, x: Array) -> Array:
    return np.exp(special.xlogy(a - 1, x) - x - special.gammaln(a))


def _beta_density(a: Array, b: Array, x: Array) -> Array:
    return np.exp(special.xlogy(a - 1, x) + special.xlog1py(b - 1, -x) - special.betaln(a, b))


_in_last(special.gammainc, lambda y, a, x: _gamma_density(a, x), (2.5,), (1.0,), domain=POSITIVE)
_in_last(special.gammaincc, lambda y, a, x: -_gamma_density(a, x), (2.5,), (1.0,), domain=POSITIVE)
_in_last(special.gammaincinv, lambda y, a, x: 1 / _gamma_density(a, y), (2.5,), (1.0,), domain=UNIT)
_in_last(special.gammainccinv, lambda y, a, x: -1 / _gamma_density(a, y), (2.5,), (1.0,), domain=UNIT)
_in_last(special.betainc, lambda y, a, b, x: _beta_density(a, b, x), (2.5, 1.5), (1, 2), domain=UNIT)
_in_last(special.betaincc, lambda y, a, b, x: -_beta_density(a, b, x), (2.5, 1.5), (1, 2), domain=UNIT)
_in_last(special.betaincinv, lambda y, a, b, x: 1 / _beta_density(a, b, y), (2.5, 1.5), (1, 2), domain=UNIT)
_in_last(special.betainccinv, lambda y, a, b, x: -1 / _beta_density(a, b, y), (2.5, 1.5), (1, 2), domain=UNIT)

# Bessel functions: DLMF 10.6.1 and 10.29.1

elementwise(special.j0, lambda y, x: -special.j1(x))
elementwise(special.j1, lambda y, x: (special.j0(x) - special.jv(2, x)) / 2)
elementwise(special.y0, lambda y, x: -special.y1(x), domain=(POSITIVE,))
elementwise(special.y1, lambda y, x: (special.y0(x) - special.yv(2, x)) / 2, domain=(POSITIVE,))
elementwise(special.i0, lambda y, x: special.i1(x), name="special.i0")
elementwise(special.i1, lambda y, x: (special.i0(x) + special.iv(2, x)) / 2)
elementwise(special.k0, lambda y, x: -special.k1(x), domain=(POSITIVE,))
elementwise(special.k1, lambda y, x: -(special.k0(x) + special.kv(2, x)) / 2, domain=(POSITIVE,))
elementwise(special.i0e, lambda y, x: special.i1e(x) - np.sign(x) * y, kink=lambda x: x)
elementwise(special.i1e, lambda y, x: (special.i0e(x) + special.ive(2, x)) / 2 - np.sign(x) * y, kink=lambda x: x)
elementwise(special.k0e, lambda y, x: y - special.k1e(x), domain=(POSITIVE,))
elementwise(special.k1e, lambda y, x: y - (special.k0e(x) + special.kve(2, x)) / 2, domain=(POSITIVE,))
_in_last(special.jv, lambda y, v, x: (special.jv(v - 1, x) - special.jv(v + 1, x)) / 2, (0,), (1.5,), domain=POSITIVE)
_in_last(special.yv, lambda y, v, x: (special.yv(v - 1, x) - special.yv(v + 1, x)) / 2, (0,), (1.5,), domain=POSITIVE)
_in_last(special.yn, lambda y, n, x: (special.yn(n - 1, x) - special.yn(n + 1, x)) / 2, (0.0,), (2.0,), domain=POSITIVE)
_in_last(special.iv, lambda y, v, x: (special.iv(v - 1, x) + special.iv(v + 1, x)) / 2, (0,), (1.5,), domain=POSITIVE)
_in_last(special.kv, lambda y, v, x: -(special.kv(v - 1, x) + special.kv(v + 1, x)) / 2, (0,), (1.5,), domain=POSITIVE)
_in_last(
    special.kn, lambda y, n, x: -(special.kn(n - 1, x) + special.kn(n + 1, x)) / 2, (0.0,), (2.0,), domain=POSITIVE
)
_in_last(
    special.ive,
    lambda y, v, x: (special.ive(v - 1, x) + special.ive(v + 1, x)) / 2 - np.sign(x) * y,
    (0,),
    (1.5,),
    domain=POSITIVE,
)
_in_last(
    special.kve, lambda y, v, x: y - (special.kve(v - 1, x) + special.kve(v + 1, x)) / 2, (0,), (1.5,), domain=POSITIVE
)

# Integrals, and the hypergeometric functions that they differentiate to


def _spence_slope(y: Array, x: Array) -> Array:
    # log(x) / (1 - x), and near 1, where that is 0 / 0, the function that it is there (DLMF 15.4.1)
    near = np.less(np.absolute(x - 1), 0.5)
    quotient = np.log(x) / np.where(near, 1, 1 - x)
    return np.where(near, -special.hyp2f1(1, 1, 2, np.where(near, 1 - x, 0)), quotient)


elementwise(special.exp1, lambda y, x: -np.exp(-x) / x, domain=(POSITIVE,))
elementwise(special.expi, lambda y, x: np.exp(x) / x, kink=lambda x: x)
elementwise(special.spence, _spence_slope, domain=(POSITIVE,))
elementwise(special.ellipk, lambda y, m: pi / 8 * special.hyp2f1(1.5, 1.5, 2, m), domain=((-np.inf, 1.0),))
elementwise(special.ellipe, lambda y, m: -pi / 8 * special.hyp2f1(0.5, 1.5, 2, m), domain=((-np.inf, 1.0),))
_in_last(special.hyp0f1, lambda y, b, x: special.hyp0f1(b + 1, x) / b, (1.5,))
_in_last(special.hyp1f1, lambda y, a, b, x: a / b * special.hyp1f1(a + 1, b + 1, x), (0.5, 1.5))
_in_last(
    special.hyp2f1,
    lambda y, a, b, c, x: a * b / c * special.hyp2f1(a + 1, b + 1, c + 1, x),
    (0.5, 1.5, 2.0),
    domain=(-np.inf, 1.0),
)
