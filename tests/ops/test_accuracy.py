"""Digits of the derivatives, over the whole domain of every elementwise operation, against mpmath."""

import numpy as np
import pytest

from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import operation, operations

pytest.importorskip("mpmath")
pytest.importorskip("tinygrad_lite.ops.special")
accuracy = pytest.importorskip("benchmarks.accuracy")

LIMIT = 16.0  # ulps
LIMITS = {  # where more is lost, and why
    # the angle is rounded, and is many turns
    "fresnel_sine": 1024,
    "fresnel_cosine": 1024,
    # the exponent or the difference of the arguments is rounded, and the result is its exponential
    "power": 256,
    "float_power": 256,
    "gelu_by_tanh": 1024,
    "logaddexp": 512,
    "logaddexp2": 512,
    "boxcox": 512,
    "boxcox1p": 512,
    # the value, from SciPy, is off by as much
    "inv_boxcox": 256,
    "inv_boxcox1p": 64,
    "erfcx": 64,
    "beta": 128,
    "binom": 128,
    "dawsn": 32,
    "ellipk": 64,
    "hyp0f1": 64,
    # the last digit of the value is the argument of a steep function
    "erfinv": 128,
    "erfcinv": 256,
    "ndtri": 256,
    "ndtri_exp": 256,
    # next to a zero of the derivative
    "j0": 64,
    "jv": 256,
    "rgamma": 2048,
    "poch": 4096,
    # of a quadrature, and next to a zero of the second derivative
    "gammainc": 512,
    "gammaincc": 512,
    "betainc": 512,
    "betaincc": 512,
    **dict.fromkeys(("gammaincinv", "gammainccinv", "betaincinv", "betainccinv"), 4e4),
    **dict.fromkeys(("chdtr", "chdtrc"), 2e5),
    # terms that come close to each other; in JAX, too
    "i0e": 1024,
    "i1e": 1024,
    "k0e": 1024,
    "k1e": 1024,
    "ive": 2048,
    "kve": 1024,
    # in the second derivative alone
    "binary_cross_entropy": 2e5,
    "normal_hazard": 3e5,
}

# next to a zero of the second derivative, where the last digit of the value counts 37 times, and no two machines' cosh
# round alike
LIMITS_OF_OTHER_MACHINES = {"sech": 128}

# of which the derivative is made of 0, 1, a number or an argument; and what other operations are differentiated to
EXACT = {
    *("absolute", "fabs", "copysign", "heaviside", "maximum", "minimum", "fmax", "fmin", "clip", "nan_to_num", "round"),
    *("angle", "relu", "leaky_relu", "huber", "special.huber", "remainder", "fmod", "mantissa", "linspace_step"),
    *("hardtanh", "softshrink", "hardswish"),
}
REACHED_BY_OTHERS = {
    "sinc_derivative",
    "i0_derivative",
    "exprel_derivative",
    "erfcx_derivative",
    "polygamma",
    "exponential_integral",
    *("gamma_flow", "beta_flow"),
}
TWINS = {f"special.{name}" for name in ("cbrt", "exp2", "expm1", "log1p")}
OURS = [op for op in operations() if op.module.startswith("tinygrad_lite.ops.")]


def test_every_elementwise_operation_has_a_reference() -> None:
    curved = {op.name for op in OURS if any(map(callable, op.derivatives))}
    assert curved - EXACT - REACHED_BY_OTHERS - TWINS == set(accuracy.REFERENCES)


@pytest.mark.long
@pytest.mark.parametrize("op", dict.fromkeys(op for op, *_ in accuracy.cases()), ids=str)
def test_derivatives_keep_their_digits(op: Op) -> None:
    """And an operation that has become better leaves the table of limits."""
    limit = LIMITS.get(op.name, LIMITS_OF_OTHER_MACHINES.get(op.name, LIMIT))
    most = 0.0
    for i, params in [(i, params) for other, i, params in accuracy.cases() if other is op]:
        for order, error in zip(("first", "second"), accuracy.errors(op, i, params, accuracy.ours(op, params))):
            worst = np.argmax(error)
            at = [float(x[worst]) for x in accuracy.samples(op)]
            assert error[worst] <= limit, f"the {order} derivative by argument {i} at {at}"
            most = max(most, error[worst])
    assert op.name not in LIMITS or most > LIMIT / 2


def test_a_rule_that_loses_digits_is_found() -> None:
    """What the table would be with the rules that everybody writes first."""
    for name, rule in {
        "sigmoid": lambda y, x: y * (1 - y),
        "tanh": lambda y, x: 1 - y * y,
        "arcsin": lambda y, x: 1 / np.sqrt(1 - x * x),
        "arctanh": lambda y, x: 1 / (1 - x * x),
    }.items():
        op = operation(name)
        (x,) = accuracy.samples(op)
        with np.errstate(all="ignore"):
            slope = rule(op(x), x)
        error = accuracy.errors(op, 0, {}, lambda x, i, slope=slope: (slope, slope))[0]
        assert np.max(error) > 1e6


@pytest.mark.parametrize("name", ["rel_entr", "kl_div", "inv_boxcox", "inv_boxcox1p"])
def test_derivatives_do_not_overflow_on_the_way(name: str) -> None:
    """At numbers whose quotients and squares are beyond all numbers, or below the smallest."""
    op = operation(name)
    sizes = [1e-310, 1e-200, 1e-100, 1.0, 1e100, 1e200, 1e300]
    x = [np.ravel(a) for a in np.meshgrid(sizes[1:], sizes if "entr" in name or "kl" in name else [1.5, 3.0, 60.0])]
    with np.errstate(all="ignore"):
        slopes = [accuracy.ours(op, {})(x, i)[0] for i in (0, 1)]
    for k, point in enumerate(zip(*(a.tolist() for a in x))):
        for i in (0, 1):
            true = accuracy._true(op, list(point), i, ())[0]
            assert accuracy._ulps(slopes[i][k], true) < 1024, (point, i)
