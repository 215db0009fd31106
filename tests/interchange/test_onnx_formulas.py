"""The formulas by which files of ONNX hold functions of SciPy, as NumPy runs them, beside these functions."""

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import special

import tinygrad_lite.ops.special  # noqa: F401  which fills the registry
from benchmarks.onnx_coverage import run
from tests.marks import param
from tinygrad_lite.engine.registry import operations
from tinygrad_lite.interchange.onnx_out.formulas_of_bessel import BESSEL, BESSEL_OF_ORDER
from tinygrad_lite.interchange.onnx_out.formulas_of_gamma import GAMMA, GAMMA_OF_ORDER
from tinygrad_lite.interchange.onnx_out.formulas_of_integrals import HYPERGEOMETRIC, INTEGRALS
from tinygrad_lite.interchange.onnx_out.formulas_of_normal import NORMAL

_BESSEL = [-2.3, -1, -0.5, 0, 1 / 3, 2.5, 7, 20]
_WHOLE = [0, 1, 2, 7, 20]
_PAIRS = [(0.05, 0.5), (1, 3), (2.5, 1.5), (10, 2), (300, 50)]
ORDERS: dict[str, Any] = {
    **dict.fromkeys(("jv", "yv", "kv", "kve", "iv", "ive"), _BESSEL),
    **dict.fromkeys(("yn", "kn"), _WHOLE),
    **dict.fromkeys(("fdtr", "fdtrc"), _PAIRS),
    "zeta": [1.1, 1.5, 2, 7.5, 40],
    "hyp0f1": [0.5, 1.5, 3, 10],
    "hyp1f1": [(0.5, 1.5), (1, 0.5), (2, 2.5), (3, 3), (0.1, 0.3), (2, 8)],
    "hyp2f1": [(0.5, 1.5, 2), (1.5, 1.5, 2), (2, 2, 3), (1, 1, 2), (1, 2, 1.5), (-1.5, 2, 3), (3.5, 4.5, 5)],
}
CONCENTRATIONS: dict[str, Any] = {
    **dict.fromkeys(("gammainc", "gammaincc", "chdtr", "chdtrc"), ((0.01, 0.5, 1, 2.5, 10, 300),)),
    **dict.fromkeys(("betainc", "betaincc"), ((0.05, 1, 2.5, 10, 300), (0.5, 1.5, 3, 50))),
}
"""Values of the first arguments of some functions."""
LARGEST = {
    "hyp1f1": 250.0,
    "hyp2f1": 1e4,
    "beta": 1e3,
    "betaln": 1e3,
    "binom": 1e3,
}  # beyond, SciPy itself is slow or loses digits
SIZES = np.concatenate([np.geomspace(1e-20, 1e-2, 30), np.linspace(0.013, 60, 200), np.geomspace(61, 1e4, 30)])
OPS = {op.name.removeprefix("special."): op for op in operations() if op.module.endswith("ops.special")}
PLAIN = {**NORMAL, **INTEGRALS, **BESSEL, **GAMMA}
CASES = [
    *((name, None) for name in PLAIN),
    *((name, order) for name in {**BESSEL_OF_ORDER, **GAMMA_OF_ORDER, **HYPERGEOMETRIC} for order in ORDERS[name]),
]


def points(name: str) -> Iterator[Any]:
    """Arrays all over the domain of each argument, and just inside its ends, but for concentrations."""
    op, chosen = OPS[name], CONCENTRATIONS.get(name, ())
    yield from map(np.array, chosen)
    for first, last in (op.domain or [(-np.inf, np.inf)] * (op.arity or 1))[len(chosen) :]:
        x = np.concatenate([-SIZES, SIZES, [0.0]])
        x = np.concatenate([x, *(end + side * SIZES for end, side in ((first, 1), (last, -1)) if np.isfinite(end))])
        yield np.unique(x[(x > first) & (x < last) & (np.abs(x) < LARGEST.get(name, np.inf))])


@pytest.mark.parametrize(
    ("name", "order"),
    [param(*case, slow=case[1] is not None and i % 3 > 0) for i, case in enumerate(CASES)],
)
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_each_formula_has_the_digits_of_scipy_on_the_whole_domain(name: str, order: Any) -> None:
    x = [a.ravel() for a in np.meshgrid(*points(name))]
    if order is None:
        found, expected = PLAIN[name](*x), getattr(special, name)(*x)
    else:
        order = order if isinstance(order, tuple) else (order,)
        formula = {**BESSEL_OF_ORDER, **GAMMA_OF_ORDER, **HYPERGEOMETRIC}[name]
        found = formula(*x, order)
        expected = getattr(special, name)(*(int(n) if name in ("yn", "kn") else n for n in order), *x)
    ordinary = np.isfinite(expected) & (np.abs(expected) > 1e-290)
    scale = np.abs(expected)
    if name in ("spence", "betaln", "expi", "log_ndtr"):  # which pass through 0, or end at a rounded one
        scale = np.maximum(scale, 1e-3)
    if name[0] in "jy" or name == "hyp0f1":  # which oscillate, below the amplitude of their neighbours
        scale = np.maximum.reduce([np.roll(scale, shift) for shift in range(-40, 41)])
    error = np.abs(found - expected)[ordinary] / scale[ordinary]
    worst = np.argmax(error)
    assert error[worst] < 1e-11, (error[worst], [a[ordinary][worst] for a in x])
    infinite = np.isinf(expected) & (np.abs(found) < 1e300)  # SciPy's overflow earlier
    if name == "hyp2f1":
        infinite &= x[0] < 1 - 1e-12  # from where on SciPy's are infinite
    assert not np.any(infinite), [a[infinite] for a in x]


@pytest.mark.parametrize("name", {**BESSEL_OF_ORDER, **GAMMA_OF_ORDER, **HYPERGEOMETRIC})
def test_orders_that_a_formula_does_not_reach_are_refused(name: str) -> None:
    count = len(np.atleast_1d(ORDERS[name][0]))
    order = (-1e6,) * count
    formula = {**BESSEL_OF_ORDER, **GAMMA_OF_ORDER, **HYPERGEOMETRIC}[name]
    assert formula(np.array([0.5]), order) is None


@pytest.mark.parametrize("name", ["gammainc", "gammaincc", "chdtr", "chdtrc", "betainc", "betaincc"])
def test_a_file_has_the_limits_of_concentrations(name: str) -> None:
    concentrations, x = (0.0, 2.0, 0.3, -1.0, np.inf, np.nan), (0.0, 0.5, 1.0, np.inf, np.nan, -1.0)
    count = (OPS[name].arity or 1) - 1
    points = np.array([*itertools.product(*[concentrations] * count, x[: 6 - 3 * (count - 1)])])
    arrays = [np.array(column) for column in points.T]
    (found,) = run(lambda *x: OPS[name](*x), arrays)
    np.testing.assert_allclose(found, getattr(special, name)(*arrays), rtol=1e-12)
