"""The special functions of SciPy; imported when the first of them meets a traced value, see `registry.answer_to`.

A ufunc of `scipy.special` that is called with a traced value arrives here by itself. If a function has no derivative in
closed form with respect to its first arguments (the order of a Bessel function), these are parameters.
"""

from math import log, pi, sqrt
from typing import Any

import numpy as np
from scipy.special import _ufuncs as special  # which are ufuncs also where SCIPY_ARRAY_API=1 wraps the public ones

from tinygrad_lite.engine.op import POSITIVE, REAL, Array, Op, Rule, Traced, elementwise
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import UsageError
from tinygrad_lite.ops import beta_tail, gamma_tail
from tinygrad_lite.ops.arithmetic.elementwise import (
    cbrt,
    cosine_of_angle,
    exp2,
    exp_of_square,
    expm1,
    log1p,
    nodes_and_weights,
)
from tinygrad_lite.ops.beta_tail import beta_flow
from tinygrad_lite.ops.gamma_tail import gamma_flow

UNIT = (0.0, 1.0)
DEGREE = pi / 180
LARGE_DEGREE = 1000  # of a polynomial


def _in_last(
    ufunc: np.ufunc,
    derivative: Rule,
    *examples: Any,
    domain: tuple[float, float] = REAL,
    compute: Rule | None = None,
    keeps_integers: bool = False,
) -> Op:
    """Declare `ufunc(*order, x)`, or the better `compute`, as an operation on x alone; derivative(y, *order, x).

    Args:
        keeps_integers: whether the derivative takes integer orders as they are, instead of as floats.
    """
    name = ufunc.__name__.lstrip("_")

    def forward(x: Array, order: tuple[Array, ...]) -> Array:
        return (compute or ufunc)(*order, x)

    def by_x(y: Array, x: Array, order: tuple[Array, ...]) -> Array:
        # in the result's precision, since a quotient of narrow numbers would be narrow, too
        kinds = (None if keeps_integers and _is_integer(value) else y.dtype for value in order)
        return derivative(y, *(np.asarray(value, kind)[()] for value, kind in zip(order, kinds)), x)

    op = elementwise(
        forward,
        by_x,
        name=name,
        domain=(domain,),
        examples=[([(2, 3)], {"order": tuple(map(_narrow, example))}) for example in examples],
    )

    @implements(ufunc)
    def answer(*arguments: Array, **params: Any) -> Array:
        *order, x = arguments
        return op(x, order=tuple(_constant(value, name, i) for i, value in enumerate(order)), **params)

    return op


def _is_integer(value: Array) -> bool:
    return bool(np.asarray(value).dtype.kind in "iu")


def _narrow(value: Array) -> Array:
    """A float32 of a Python number, beside which some SciPy ufuncs convert float32 to float64; others as they are."""
    return np.float32(value) if isinstance(value, (int, float)) else value


def _constant(value: Array, name: str, position: int) -> Array:
    """The numbers in an argument without a derivative; it may be a tensor to which no gradient flows."""
    if isinstance(value, Traced):
        value = None if getattr(value, "requires_grad", True) else value.numpy()  # type: ignore[attr-defined]
        if not isinstance(value, (np.ndarray, np.generic)):
            raise UsageError(
                f"{name}: the derivative with respect to argument {position} is not known; pass a number or an array "
                "there, not a tensor"
            )
    return value if np.isscalar(value) else np.array(value)


def ratio(a: Array, b: Array) -> Array:
    """a / b; 0 where both are 0."""
    return a / np.where(np.equal(a, 0) & np.equal(b, 0), 1, b)


def _hyp1f1(a: Array, b: Array, x: Array) -> Array:
    # SciPy's version takes time in proportion to x, and never returns at infinity. Unless it is a polynomial, the value
    # is infinite long before. The bound is a float64, since float16 has no such number
    bound = np.float64(1e8)
    far = np.greater(x, bound) & ~(np.less_equal(a, 0) & np.equal(a, np.rint(a)))
    moderate = np.less(np.absolute(a) + np.absolute(b), 1e4)
    y = special.hyp1f1(a, b, np.where(far, 1, np.where(moderate | np.greater(x, -bound), x, -1)))
    y = np.where(moderate | np.greater(x, -bound) | np.isnan(x), y, special.hyp1f1(a, b, -bound).astype(y.dtype))
    return np.where(far, special.hyp1f1(a, b, bound).astype(y.dtype), y)[()]


def _hurwitz_zeta(s: Array, x: Array) -> Array:
    # SciPy's version adds one term for each integer between x and 0. For an integer s, the terms below 0 are mirrored
    start = np.floor(x)
    far = np.less(x, -1e4) & np.greater(x, start)
    rest = np.where(far, x - start, 0.5)
    sign = np.where(np.equal(np.remainder(s, 2), 0), 1, np.where(np.equal(s, np.rint(s)), -1, np.nan))
    mirrored = sign * (special._zeta(s, 1 - rest) - special._zeta(s, np.where(far, 1 - x, 1))) + special._zeta(s, rest)
    y = special._zeta(s, np.where(far, 1, x))
    return np.where(far, mirrored.astype(y.dtype), y)[()]


# SciPy's variants of NumPy functions

for twin in (cbrt, exp2, expm1, log1p):
    elementwise(
        getattr(special, twin.name),
        *twin.derivatives,
        name=f"special.{twin}",
        domain=twin.domain,
        kink=twin.kink,
    )


elementwise(special.exp10, lambda y, x: y * log(10))
elementwise(special.cosm1, lambda y, x: -np.sin(x))
elementwise(special.sindg, lambda y, x: DEGREE * special.cosdg(x))
elementwise(special.cosdg, lambda y, x: -DEGREE * special.sindg(x))
elementwise(special.tandg, lambda y, x: DEGREE / np.square(special.cosdg(x)), domain=((-90.0, 90.0),))
elementwise(special.cotdg, lambda y, x: -DEGREE / np.square(special.sindg(x)), domain=((0.0, 180.0),))

# Logarithms and exponentials


def _exprel_derivative(x: Array, order: int) -> Array:
    # the mean of tⁿeᵗˣ for t from 0 to 1; far from 0, integrated by parts, which lowers the power by one
    near = np.less(np.absolute(x), 2 * order + 2)
    nodes, weights = nodes_and_weights()
    t = (nodes + 1) / 2
    mean = np.sum(weights / 2 * t**order * np.exp(np.expand_dims(np.where(near, x, 0), -1) * t), axis=-1)
    far = np.where(near, 1, x)
    exponential = np.exp(far)
    quotient = np.expm1(far) / far
    for k in range(1, order + 1):
        quotient = (exponential - k * quotient) / far
    return np.where(near, mean, quotient).astype(x.dtype)


exprel_derivative: Op = elementwise(
    _exprel_derivative,
    lambda y, x, order: exprel_derivative(x, order=order + 1),
    examples=[([(2, 3)], {"order": 1}), ([(2, 3)], {"order": 4})],
)
elementwise(special.expit, lambda y, x: y * special.expit(-x), kind="saturating")
elementwise(special.log_expit, lambda y, x: special.expit(-x))
elementwise(special.logit, lambda y, x: 1 / (x * (1 - x)), domain=(UNIT,))
elementwise(special.exprel, lambda y, x: exprel_derivative(x, order=1))
elementwise(special.xlogy, lambda y, a, b: np.log(b), lambda y, a, b: ratio(a, b), domain=(REAL, POSITIVE))
elementwise(
    special.xlog1py,
    lambda y, a, b: np.log1p(b),
    lambda y, a, b: ratio(a, 1 + b),
    domain=(REAL, (-1.0, np.inf)),
)


def _log_ratio(a: Array, b: Array) -> Array:
    """log(a / b), also where the quotient is beyond the smallest or the largest number; -∞ where both are 0."""
    quotient = ratio(a, b)
    size = np.finfo(quotient.dtype)
    inside = np.greater(quotient, size.tiny) & np.less_equal(quotient, size.max)
    apart = np.log(a) - np.log(np.where(inside | np.equal(a, 0), 1, b))
    return np.where(inside, np.log(np.where(inside, quotient, 1)), apart)


elementwise(special.entr, lambda y, x: -np.log(x) - 1, domain=(POSITIVE,))
elementwise(
    special.rel_entr,
    lambda y, a, b: _log_ratio(a, b) + 1,
    lambda y, a, b: -ratio(a, b),
    domain=(POSITIVE, POSITIVE),
)
elementwise(
    special.kl_div,
    lambda y, a, b: _log_ratio(a, b),
    lambda y, a, b: 1 - ratio(a, b),
    domain=(POSITIVE, POSITIVE),
)


def _box_cox_by_power(logarithm: Array, power: Array) -> Array:
    """The derivative of (e^(power · logarithm) - 1) / power with respect to the power."""
    return np.square(logarithm) * exprel_derivative(power * logarithm, order=1)


def _inverse_box_cox_by_power(z: Array, x: Array, power: Array) -> Array:
    """The derivative of z = (1 + power · x)^(1 / power) with respect to the power."""
    u = power * x
    near = np.less(np.absolute(u), 0.5)
    series = -0.5 * np.square(np.where(near, x, 0)) * special.hyp2f1(2, 2, 3, -np.where(near, u, 0))
    far, divisor = np.where(near, 1, u), np.where(near, 1, power)  # twice, since its square may be beyond all numbers
    return z * np.where(near, series, (far / (1 + far) - np.log1p(far)) / divisor / divisor)


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
    name="special.huber",  # the loss has the name by itself
    domain=(POSITIVE, REAL),
    kink=lambda delta, r: np.absolute(r) - delta,
)


def _pseudo_huber_by_delta(y: Array, delta: Array, r: Array) -> Array:
    distance = np.hypot(delta, r)
    excess = r * (r / (delta + distance))  # distance - delta
    return excess * (excess / distance)


elementwise(
    special.pseudo_huber,
    _pseudo_huber_by_delta,
    lambda y, delta, r: delta * cosine_of_angle(r, delta),
    domain=(POSITIVE, REAL),
)

# The error function and the normal distribution


def _erfcx_derivative(x: Array, order: int) -> Array:
    # 2 / √π times the integral of (-2t)ⁿ e^(-t² - 2xt) over t > 0; the part where t² + 2xt is above 40 is below e⁻⁴⁰.
    # Below 0, the recurrence from y' = 2xy - 2 / √π, in which nothing cancels there
    positive = np.greater(x, 0)
    nodes, weights = nodes_and_weights()
    above = np.expand_dims(np.where(positive, x, 0.0), -1)
    end = 60 / (above + np.sqrt(np.square(above) + 60))
    t = end * (nodes + 1) / 2
    integral = np.sum(end / sqrt(pi) * weights * (-2 * t) ** order * np.exp(-t * (t + 2 * above)), axis=-1)
    below = np.where(positive, -1.0, x)
    before, slope = special.erfcx(below), 2 * below * special.erfcx(below) - 2 / sqrt(pi)
    for k in range(1, order):
        before, slope = slope, 2 * (below * slope + k * before)
    return np.where(positive, integral, slope).astype(x.dtype)


erfcx_derivative: Op = elementwise(
    _erfcx_derivative,
    lambda y, x, order: erfcx_derivative(x, order=order + 1),
    examples=[([(2, 3)], {"order": 1}), ([(2, 3)], {"order": 3})],
)


elementwise(special.erf, lambda y, x: 2 / sqrt(pi) * exp_of_square(x, factor=-1.0), kind="saturating")
elementwise(special.erfc, lambda y, x: -2 / sqrt(pi) * exp_of_square(x, factor=-1.0), kind="saturating")
elementwise(special.erfcx, lambda y, x: erfcx_derivative(x, order=1))
elementwise(special.erfi, lambda y, x: 2 / sqrt(pi) * exp_of_square(x, factor=1.0))
elementwise(special.erfinv, lambda y, x: sqrt(pi) / 2 * exp_of_square(y, factor=1.0), domain=((-1.0, 1.0),))
elementwise(special.erfcinv, lambda y, x: -sqrt(pi) / 2 * exp_of_square(y, factor=1.0), domain=((0.0, 2.0),))
elementwise(special.dawsn, lambda y, x: hyp1f1(-x * x, order=(1, 0.5)))


def _hazard(x: Array) -> Array:
    # erfcx grows as eˣ² on one side; on the other side it is Φ without that factor
    positive = np.greater(x, 0)
    above, below = np.where(positive, x, 0), np.where(positive, 0, x)
    far_up = exp_of_square(above, factor=-0.5) / sqrt(2 * pi) / special.ndtr(above)
    return np.where(positive, far_up, sqrt(2 / pi) / special.erfcx(below / -sqrt(2)))


def _hazard_slope(y: Array, x: Array) -> Array:
    # -y(x + y); below 0, where that sum would cancel, the slope of erfcx
    positive = np.greater(x, 0)
    below = np.where(positive, 0, x)
    slope = sqrt(pi) / 2 * np.square(np.where(positive, 0, y)) * erfcx_derivative(below / -sqrt(2), order=1)
    return np.where(positive, -y * (x + y), slope)


# φ(x) / Φ(x) of the normal distribution; it stays finite where Φ vanishes
hazard = elementwise(_hazard, _hazard_slope, name="normal_hazard")


elementwise(special.ndtr, lambda y, x: exp_of_square(x, factor=-0.5) / sqrt(2 * pi), kind="saturating")
elementwise(special.log_ndtr, lambda y, x: hazard(x))
elementwise(special.ndtri, lambda y, x: sqrt(2 * pi) * exp_of_square(y, factor=0.5), domain=(UNIT,))
elementwise(special.ndtri_exp, lambda y, x: 1 / hazard(y), domain=((-np.inf, 0.0),))

# The gamma and beta functions


zeta: Op = _in_last(
    special._zeta,  # behind special.zeta(x, q)
    lambda y, s, x: -s * zeta(x, order=(s + 1,)),
    (2,),
    (1.5,),
    domain=POSITIVE,
    compute=_hurwitz_zeta,
)
elementwise(special.psi, lambda y, x: zeta(x, order=(2,)), domain=(POSITIVE,))


elementwise(special.gamma, lambda y, x: y * special.psi(x), domain=(POSITIVE,))
elementwise(special.gammaln, lambda y, x: special.psi(x), domain=(POSITIVE,))
elementwise(special.loggamma, lambda y, x: special.psi(x), domain=(POSITIVE,))
elementwise(special.rgamma, lambda y, x: -y * special.psi(x), domain=(POSITIVE,))


def _digamma_less(a: Array, b: Array) -> Array:
    """ψ(a) - ψ(a + b); for a small b, where that would cancel, the integral of ψ' between the two."""
    near = np.less(np.absolute(b), a / 2)
    nodes, weights = nodes_and_weights()
    step = np.where(near, b, 0)
    slopes = zeta(np.expand_dims(a, -1) + np.expand_dims(step, -1) * ((nodes + 1) / 2), order=(2,))
    return np.where(near, -step * np.sum(weights / 2 * slopes, axis=-1), special.psi(a) - special.psi(a + b))


elementwise(
    special.beta,
    lambda y, a, b: y * _digamma_less(a, b),
    lambda y, a, b: y * _digamma_less(b, a),
    domain=(POSITIVE, POSITIVE),
)
elementwise(
    special.betaln,
    lambda y, a, b: _digamma_less(a, b),
    lambda y, a, b: _digamma_less(b, a),
    domain=(POSITIVE, POSITIVE),
)
elementwise(
    special.binom,
    lambda y, n, k: y * _digamma_less(n + 1, -k),
    lambda y, n, k: y * (special.psi(n - k + 1) - special.psi(k + 1)),
    domain=((3.0, np.inf), (0.0, 3.0)),
)
elementwise(
    special.poch,
    lambda y, a, m: -y * _digamma_less(a, m),
    lambda y, a, m: y * special.psi(a + m),
    domain=(POSITIVE, POSITIVE),
)


def _gamma_density(a: Array, x: Array) -> Array:
    is_infinite = np.equal(x, np.inf)
    x = np.where(is_infinite, 1, x)
    return np.where(is_infinite, 0, np.exp(special.xlogy(a - 1, x) - x - special.gammaln(a)))


def _log_inside(x: Array) -> Array:
    """log x of positive numbers, and 0 elsewhere."""
    return np.log(np.where(np.greater(x, 0) & np.isfinite(x), x, 1))


def _gamma_by_concentration(a: Array, x: Array) -> Array:
    """∂P(a, x)/∂a."""
    y = _log_inside(x)
    slope = -gamma_flow(a, y, order=1) * np.exp(gamma_tail.log_density(a, y))
    return np.where(np.greater(x, 0) & np.isfinite(x), slope, 0)


def _gamma_quantile_by_concentration(x: Array, a: Array) -> Array:
    return np.where(np.greater(x, 0) & np.isfinite(x), x * gamma_flow(a, _log_inside(x), order=1), 0)


def _beta_density(a: Array, b: Array, x: Array) -> Array:
    return np.exp(special.xlogy(a - 1, x) + special.xlog1py(b - 1, -x) - special.betaln(a, b))


def _beta_density_of_both(a: Array, b: Array, x: Array, rest: Array) -> Array:
    """The density at x, given 1 - x with more digits than x itself can hold."""
    return np.exp(special.xlogy(a - 1, x) + special.xlogy(b - 1, rest) - special.betaln(a, b))


def _beta_by_concentration(a: Array, b: Array, x: Array, orders: tuple[int, int]) -> Array:
    """∂I(a, b, x)/∂a, or ∂b."""
    y = _log_inside(x) - _log_inside(1 - x)
    slope = -beta_flow(a, b, y, orders=orders) * np.exp(beta_tail.log_density(a, b, y))
    return np.where(np.greater(x, 0) & np.less(x, 1), slope, 0)


def _beta_quantile_by_concentration(a: Array, b: Array, x: Array, rest: Array, orders: tuple[int, int]) -> Array:
    y = _log_inside(x) - _log_inside(rest)
    return np.where(np.greater(x, 0) & np.greater(rest, 0), x * rest * beta_flow(a, b, y, orders=orders), 0)


elementwise(
    special.gammainc,
    lambda y, a, x: _gamma_by_concentration(a, x),
    lambda y, a, x: _gamma_density(a, x),
    domain=(POSITIVE, POSITIVE),
)
elementwise(
    special.gammaincc,
    lambda y, a, x: -_gamma_by_concentration(a, x),
    lambda y, a, x: -_gamma_density(a, x),
    domain=(POSITIVE, POSITIVE),
)
elementwise(
    special.gammaincinv,
    lambda y, a, p: _gamma_quantile_by_concentration(y, a),
    lambda y, a, p: 1 / _gamma_density(a, y),
    domain=(POSITIVE, UNIT),
)
elementwise(
    special.gammainccinv,
    lambda y, a, p: _gamma_quantile_by_concentration(y, a),
    lambda y, a, p: -1 / _gamma_density(a, y),
    domain=(POSITIVE, UNIT),
)
elementwise(
    special.betainc,
    lambda y, a, b, x: _beta_by_concentration(a, b, x, (1, 0)),
    lambda y, a, b, x: _beta_by_concentration(a, b, x, (0, 1)),
    lambda y, a, b, x: _beta_density(a, b, x),
    domain=(POSITIVE, POSITIVE, UNIT),
)
elementwise(
    special.betaincc,
    lambda y, a, b, x: -_beta_by_concentration(a, b, x, (1, 0)),
    lambda y, a, b, x: -_beta_by_concentration(a, b, x, (0, 1)),
    lambda y, a, b, x: -_beta_density(a, b, x),
    domain=(POSITIVE, POSITIVE, UNIT),
)
elementwise(
    special.betaincinv,
    lambda y, a, b, p: _beta_quantile_by_concentration(a, b, y, special.betainccinv(b, a, p), (1, 0)),
    lambda y, a, b, p: _beta_quantile_by_concentration(a, b, y, special.betainccinv(b, a, p), (0, 1)),
    lambda y, a, b, p: 1 / _beta_density_of_both(a, b, y, special.betainccinv(b, a, p)),
    domain=(POSITIVE, POSITIVE, UNIT),
)
elementwise(
    special.betainccinv,
    lambda y, a, b, p: _beta_quantile_by_concentration(a, b, y, special.betaincinv(b, a, p), (1, 0)),
    lambda y, a, b, p: _beta_quantile_by_concentration(a, b, y, special.betaincinv(b, a, p), (0, 1)),
    lambda y, a, b, p: -1 / _beta_density_of_both(a, b, y, special.betaincinv(b, a, p)),
    domain=(POSITIVE, POSITIVE, UNIT),
)

# The distributions of χ², F and t


def _f_density(m: Array, n: Array, x: Array) -> Array:
    scale = m * x + n
    return _beta_density_of_both(m / 2, n / 2, m * x / scale, n / scale) * (m * n) / np.square(scale)


elementwise(
    special.chdtr,
    lambda y, v, x: _gamma_by_concentration(v / 2, x / 2) / 2,
    lambda y, v, x: _gamma_density(v / 2, x / 2) / 2,
    domain=(POSITIVE, POSITIVE),
)
elementwise(
    special.chdtrc,
    lambda y, v, x: -_gamma_by_concentration(v / 2, x / 2) / 2,
    lambda y, v, x: -_gamma_density(v / 2, x / 2) / 2,
    domain=(POSITIVE, POSITIVE),
)
_in_last(special.fdtr, lambda y, m, n, x: _f_density(m, n, x), (2.5, 1.5), (3, 2), domain=POSITIVE)
_in_last(special.fdtrc, lambda y, m, n, x: -_f_density(m, n, x), (2.5, 1.5), (3, 2), domain=POSITIVE)


def _t_density(v: Array, t: Array) -> Array:
    v = np.minimum(v, 1e30)  # the normal distribution, as for infinity
    half = v / (2 * v)  # in the dtype of v
    return np.exp(-(v + 1) / 2 * np.log1p(t * t / v) - special.betaln(half, v / 2)) / np.sqrt(v)


_in_last(special.stdtr, lambda y, v, t: _t_density(v, t), (2.5,), (3.0,))

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


def _of_whole_order(derivative: Rule) -> Rule:
    """The derivative of a function that cuts off the fraction of its order, as SciPy's yn and kn do."""
    return lambda y, n, x: derivative(y, np.trunc(n), x)


_in_last(special.jv, lambda y, v, x: (special.jv(v - 1, x) - special.jv(v + 1, x)) / 2, (0,), (1.5,), domain=POSITIVE)
_in_last(special.yv, lambda y, v, x: (special.yv(v - 1, x) - special.yv(v + 1, x)) / 2, (0,), (1.5,), domain=POSITIVE)
_in_last(
    special.yn,
    _of_whole_order(lambda y, n, x: (special.yn(n - 1, x) - special.yn(n + 1, x)) / 2),
    (0.0,),
    (2.0,),
    domain=POSITIVE,
)
_in_last(special.iv, lambda y, v, x: (special.iv(v - 1, x) + special.iv(v + 1, x)) / 2, (0,), (1.5,), domain=POSITIVE)
_in_last(special.kv, lambda y, v, x: -(special.kv(v - 1, x) + special.kv(v + 1, x)) / 2, (0,), (1.5,), domain=POSITIVE)
_in_last(
    special.kn,
    _of_whole_order(lambda y, n, x: -(special.kn(n - 1, x) + special.kn(n + 1, x)) / 2),
    (0.0,),
    (2.0,),
    domain=POSITIVE,
)
_in_last(
    special.ive,
    lambda y, v, x: (special.ive(v - 1, x) + special.ive(v + 1, x)) / 2 - np.sign(x) * y,
    (0,),
    (1.5,),
    domain=POSITIVE,
)
_in_last(
    special.kve,
    lambda y, v, x: y - (special.kve(v - 1, x) + special.kve(v + 1, x)) / 2,
    (0,),
    (1.5,),
    domain=POSITIVE,
)

# Integrals, and the hypergeometric functions in their derivatives


def _spence_slope(y: Array, x: Array) -> Array:
    # log(x) / (1 - x); near 1, where that is 0 / 0, as a hypergeometric function (DLMF 15.4.1)
    near = np.less(np.absolute(x - 1), 0.5)
    quotient = np.log(x) / np.where(near, 1, 1 - x)
    return np.where(near, -special.hyp2f1(1, 1, 2, np.where(near, 1 - x, 0)), quotient)


elementwise(special.exp1, lambda y, x: -np.exp(-x) / x, domain=(POSITIVE,))
elementwise(special.expi, lambda y, x: np.exp(x) / x, kink=lambda x: x)


def _exponential_integral(x: Array, order: Array) -> Array:
    # below order 0, which SciPy lacks, by DLMF 8.19.12, whose terms are positive there; NaN where the order is
    y = special.expn(np.maximum(order, 0.0), x)
    for k in range(1, 1 - int(np.fmin.reduce(order, None, initial=0))):
        y = np.where(np.less_equal(order, -k), (np.exp(-x) + k * y) / x, y)
    return y.astype(x.dtype)


exponential_integral: Op = elementwise(
    _exponential_integral,
    lambda y, x, order: -exponential_integral(x, order=order - 1),
    domain=(POSITIVE,),
    examples=[([(2, 3)], {"order": np.array(2)}), ([(2, 3)], {"order": np.array(-3)})],
)
_in_last(
    special.expn,
    # SciPy's value is NaN at a negative order, down to which the recurrence would take as many turns as the order says
    _of_whole_order(lambda y, n, x: -exponential_integral(x, order=np.where(np.less(n, 0), np.nan, n) - 1)),
    (0.0,),
    (3.0,),
    domain=POSITIVE,
)


# The functions of SciPy that return several integrals at once

sine_integral = elementwise(lambda x: special.sici(x)[0], lambda y, x: np.sinc(x / pi), name="sine_integral")
cosine_integral = elementwise(
    lambda x: special.sici(x)[1], lambda y, x: np.cos(x) / x, name="cosine_integral", domain=(POSITIVE,)
)
fresnel_sine = elementwise(
    lambda x: special.fresnel(x)[0], lambda y, x: np.sin(pi / 2 * np.square(x)), name="fresnel_sine"
)
fresnel_cosine = elementwise(
    lambda x: special.fresnel(x)[1], lambda y, x: np.cos(pi / 2 * np.square(x)), name="fresnel_cosine"
)


@implements(special.sici)
def sici(x: Array) -> tuple[Array, Array]:
    return sine_integral(x), cosine_integral(x)


@implements(special.fresnel)
def fresnel(x: Array) -> tuple[Array, Array]:
    return fresnel_sine(x), fresnel_cosine(x)


elementwise(special.spence, _spence_slope, domain=(POSITIVE,))
elementwise(special.ellipk, lambda y, m: pi / 8 * special.hyp2f1(1.5, 1.5, 2, m), domain=((-np.inf, 1.0),))
elementwise(special.ellipe, lambda y, m: -pi / 8 * special.hyp2f1(0.5, 1.5, 2, m), domain=((-np.inf, 1.0),))
_in_last(  # SciPy prints an error for b = 0, where there is no derivative
    special.hyp0f1, lambda y, b, x: special.hyp0f1(np.where(b == 0, np.nan, b + 1), x) / b, (1.5,)
)
hyp1f1: Op = _in_last(
    special.hyp1f1, lambda y, a, b, x: a / b * hyp1f1(x, order=(a + 1, b + 1)), (0.5, 1.5), compute=_hyp1f1
)
_in_last(
    special.hyp2f1,
    lambda y, a, b, c, x: a * b / c * special.hyp2f1(a + 1, b + 1, c + 1, x),
    (0.5, 1.5, 2.0),
    domain=(-np.inf, 1.0),
)

# Orthogonal polynomials: DLMF 18.9


def _polynomial(ufunc: np.ufunc, derivative: Rule, *examples: Any, middle: float = -np.inf) -> Op:
    """Declare a polynomial of a degree; the derivative is 0 for degree 0, otherwise derivative(degree, below, …).

    Below is the degree below. It is an integer if the degree is, or a float that is whole and not large, since SciPy's
    values have more digits then; SciPy takes as many turns as an integer degree says.

    Args:
        middle: the degree around which the polynomials are the same, but for a sign, on both sides.
    """

    def by_x(y: Array, n: Array, *others: Array) -> Array:
        degree = n if np.isinf(middle) else np.where(np.less(n, middle), 2 * middle - n, n).astype(np.asarray(n).dtype)
        is_constant = np.equal(degree, 0)
        below = np.where(is_constant, 0, degree - 1)
        if not _is_integer(n) and np.all(np.equal(below, np.rint(below)) & (np.absolute(below) < LARGE_DEGREE)):
            below = below.astype(int)
        slope = derivative(n, below, *others)
        return np.where(is_constant, 0, slope).astype(y.dtype)

    return _in_last(ufunc, by_x, *examples, keeps_integers=True)


_polynomial(
    special.eval_legendre,
    lambda n, below, x: special.eval_gegenbauer(below, 1.5, x),
    *[(3,), (0,), (-3,)],
    middle=-0.5,
)
_polynomial(
    special.eval_gegenbauer,
    lambda n, below, a, x: 2 * a * special.eval_gegenbauer(below, a + 1, x),
    (3, 0.5),
)
_polynomial(special.eval_chebyt, lambda n, below, x: n * special.eval_chebyu(below, x), *[(3,), (0,), (-3,)])
_polynomial(
    special.eval_chebyu,
    lambda n, below, x: 2 * np.sign(n + 1.0) * special.eval_gegenbauer(below, 2.0, x),
    *[(3,), (0,), (-4,)],
    middle=-1.0,
)
# of integers alone
_polynomial(special.eval_hermite, lambda n, below, x: 2 * n * special.eval_hermite(below, x), (np.int64(3),))
_polynomial(special.eval_hermitenorm, lambda n, below, x: n * special.eval_hermitenorm(below, x), (np.int64(3),))
