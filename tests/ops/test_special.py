"""SciPy's special functions on tensors."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.numpy_calls import check
from tests.ops import test_registry as registry
from tinygrad_lite.engine.registry import operations
from tinygrad_lite.errors import UsageError

special = pytest.importorskip("scipy.special")
table = pytest.importorskip("tinygrad_lite.ops.special")

OPERATIONS = [
    op
    for op in operations()
    if op.forward in vars(special).values() or getattr(op.forward, "__module__", None) == table.__name__
]


def test_every_special_function_passes_the_tests_of_the_registry() -> None:
    assert OPERATIONS
    assert set(OPERATIONS) <= {*registry.DIFFERENTIABLE, *registry.QUESTIONS}


@pytest.mark.parametrize("function", [special.yn, special.kn])
@pytest.mark.filterwarnings("ignore:floating point number truncated:RuntimeWarning")
def test_orders_that_scipy_cuts_to_whole_numbers_are_cut_in_derivatives_too(function: Callable[..., Any]) -> None:
    assert tg.grad(lambda x: function(2.5, x))(1.5) == tg.grad(lambda x: function(2, x))(1.5)


def derivative(f: Callable[..., Any], order: int) -> Callable[..., Any]:
    for _ in range(order):
        f = tg.grad(f)
    return f


@pytest.mark.parametrize(
    ("name", "x", "order", "expected"),
    [  # by mpmath, with 60 digits and more
        ("expit", 40.0, 1, 4.248354255291589e-18),
        ("expit", -1000.0, 1, 0.0),
        ("log_expit", 1000.0, 1, 0.0),
        ("log_expit", -1000.0, 1, 1.0),
        ("logit", 1e-300, 1, 1e300),
        ("logit", 1 - 2.0**-53, 1, 9007199254740993.0),
        ("exprel", 0.0, 3, 0.25),
        ("exprel", -50.0, 2, 1.6e-5),
        ("erfc", 26.0, 1, -2.9470349932662695e-294),
        ("erfcx", -30.0, 1, -np.inf),
        ("erfcx", 9.0, 1, -0.0068401344155682593),
        ("erfcx", 11.0, 1, -0.0046060824175668123),
        ("erfcx", 11.0, 3, -0.00022205041671286768),
        ("erfcx", 1e6, 1, -5.6418958354691e-13),
        ("dawsn", 11.0, 3, -0.00021375784406757742),
        ("dawsn", 1e6, 1, -5.0000000000075e-13),
        ("log_ndtr", -1000.0, 1, 1000.000999998),
        ("log_ndtr", 30.0, 1, 1.4736461348785475e-196),
        ("log_ndtr", 50.0, 2, 0.0),
        ("gamma", -1.5, 1, 1.6617502606685965),
        ("gammaln", -1.5, 2, 9.3792466449891238),
        ("digamma", -1.5, 2, -0.2362040516417274),
        ("spence", 1.0, 1, -1.0),
        ("spence", 1.0, 3, -2 / 3),
        ("spence", 1e-200, 1, -460.51701859880914),
        ("ellipk", 0.0, 3, 0.92038847273138474),
        ("ellipk", 1 - 2.0**-53, 1, 4503599627370491.4),
        ("ellipe", 0.0, 2, -0.14726215563702156),
        ("i0", -3.0, 2, 3.5630025133974876),
        ("j1", 0.0, 3, -0.375),
    ],
)
def test_far_out_and_where_a_formula_would_cancel(name: str, x: float, order: int, expected: float) -> None:
    np.testing.assert_allclose(derivative(getattr(special, name), order)(x), expected, rtol=1e-11)


@pytest.mark.parametrize(
    ("f", "x", "order", "expected"),
    [  # by mpmath, with 60 digits
        (special.rgamma, -2.3, 2, 2.5715294138060694),
        (lambda a: special.poch(a, 1e-6), 7.0, 1, 1.5354545375136528e-07),
        (lambda x: special.expn(0, x), 2.5, 3, -0.11636369404923894),
        (lambda x: special.expn(3, x), 0.05, 4, 399.5163582902998),
        (lambda x: special.sici(x)[0], 1e-8, 2, -3.3333333333333334e-09),
        (lambda x: special.fresnel(x)[1], 2.5, 3, 58.19176983570478),
        (lambda t: special.stdtr(2.5, t), -30.0, 2, 1.4079379643740404e-06),
        (lambda t: special.stdtr(np.inf, t), 0.5, 1, 0.3520653267642995),
        (lambda x: special.eval_legendre(20, x), -0.9, 2, 425.3285557226852),
        (lambda x: special.eval_gegenbauer(5, 0.75, x), 2.0, 2, 2526.5625),
        (lambda x: special.eval_chebyu(5, x), -1.0, 2, -448.0),
        (lambda x: special.eval_hermite(5, x), -0.9, 2, 397.44),
    ],
)
def test_integrals_and_polynomials(f: Callable[..., Any], x: float, order: int, expected: float) -> None:
    np.testing.assert_allclose(derivative(f, order)(x), expected, rtol=1e-11)


@pytest.mark.parametrize("kind", [int, float, np.int32])
@pytest.mark.parametrize("degree", [0, 1, 2, 3, 6])
@pytest.mark.parametrize(("name", "middle", "sign"), [("legendre", -0.5, 1), ("chebyt", 0, 1), ("chebyu", -1, -1)])
def test_polynomials_of_negative_degree_have_the_derivatives_of_those_they_are(
    name: str, middle: float, sign: int, degree: int, kind: Any
) -> None:
    function = getattr(special, f"eval_{name}")
    for order, x in product((0, 1, 2), (-0.9, 0.0, 0.3)):
        mirrored = derivative(partial(function, kind(2 * middle - degree)), order)(x)
        expected = sign * derivative(partial(function, kind(degree)), order)(x)
        np.testing.assert_allclose(mirrored, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("x", [-3.0, -1.0, 0.0, 0.3, 1.0])
@pytest.mark.parametrize("degree", [0, 1, 2])
@pytest.mark.parametrize("name", ["legendre", "gegenbauer", "chebyt", "chebyu", "hermite", "hermitenorm"])
def test_polynomials_have_as_many_derivatives_as_their_degree(name: str, degree: int, x: float) -> None:
    function = getattr(special, f"eval_{name}")
    f = partial(function, degree, 0.75) if name == "gegenbauer" else partial(function, degree)
    assert derivative(f, degree + 1)(x) == 0
    assert derivative(f, degree)(x) == derivative(f, degree)(x + 0.5) != 0


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("f", "reference"),
    [
        (special.gammaln, lambda x, n: special.polygamma(n - 1, x)),
        (lambda x: special.zeta(2, x), lambda x, n: special.polygamma(n + 1, x)),
        (lambda x: special.jv(1.5, x), lambda x, n: special.jvp(1.5, x, n)),
        (lambda x: special.yv(0.5, x), lambda x, n: special.yvp(0.5, x, n)),
        (lambda x: special.iv(2, x), lambda x, n: special.ivp(2, x, n)),
        (lambda x: special.kv(0.5, x), lambda x, n: special.kvp(0.5, x, n)),
        (special.j0, lambda x, n: special.jvp(0, x, n)),
        (special.y0, lambda x, n: special.yvp(0, x, n)),
        (special.k0, lambda x, n: special.kvp(0, x, n)),
        (special.i0, lambda x, n: special.ivp(0, x, n)),
        (np.i0, lambda x, n: special.ivp(0, x, n)),
        (special.softplus, lambda x, n: derivative(special.expit, n - 1)(x)),
    ],
)
def test_higher_orders(f: Callable[..., Any], reference: Callable[..., Any], order: int) -> None:
    for x in (0.3, 2.0, 7.5):
        np.testing.assert_allclose(derivative(f, order)(x), reference(x, order), rtol=1e-11)


@pytest.mark.parametrize("x", [1e-9, 0.3, 12.7, 12.8, 1000.25])
def test_sinc_is_a_spherical_bessel_function(x: float) -> None:
    u = np.pi * x
    first, second = -special.spherical_jn(1, u), -special.spherical_jn(1, u, derivative=True)
    tolerance = 1e-13 / (1 + u)
    np.testing.assert_allclose(derivative(np.sinc, 1)(x) / np.pi, first, rtol=1e-10, atol=tolerance)
    np.testing.assert_allclose(derivative(np.sinc, 2)(x) / np.pi**2, second, rtol=1e-10, atol=tolerance)


@pytest.mark.parametrize("order", range(1, 9))
def test_sinc_at_0(order: int) -> None:
    expected = 0.0 if order % 2 else (-1) ** (order // 2) * np.pi**order / (order + 1)
    np.testing.assert_allclose(derivative(np.sinc, order)(0.0), expected, rtol=1e-13)


@pytest.mark.parametrize("x", [0.0, -0.5, 10.0, -300.0, 700.0])
def test_i0_without_scipy_has_all_digits(x: float) -> None:
    np.testing.assert_allclose(derivative(np.i0, 1)(x), special.i1(x), rtol=1e-13)


@pytest.mark.parametrize(
    ("f", "arguments", "expected"),
    [
        (special.xlogy, (0.0, 2.0), (np.log(2), 0)),
        (special.xlogy, (0.0, 0.0), (-np.inf, 0)),
        (special.xlog1py, (0.0, -1.0), (-np.inf, 0)),
        (special.entr, (0.0,), (np.inf,)),
        (special.rel_entr, (0.0, 0.0), (-np.inf, 0)),
        (special.rel_entr, (0.0, 0.5), (-np.inf, 0)),
        (special.kl_div, (0.0, 0.0), (-np.inf, 1)),
        (lambda x: special.gammainc(1, x), (0.0,), (1,)),
        (lambda x: special.gammainc(2.5, x), (np.inf,), (0,)),
        (lambda x: special.gammaincc(0.5, x), (np.inf,), (0,)),
        (lambda x: special.chdtr(3, x), (np.inf,), (0,)),
        (lambda p: special.gammaincinv(2.5, p), (1.0,), (np.inf,)),
        (special.boxcox, (2.0, 0.0), (0.5, np.log(2) ** 2 / 2)),
        (special.boxcox1p, (1.0, 0.0), (0.5, np.log(2) ** 2 / 2)),
        (special.inv_boxcox, (2.0, 0.0), (np.exp(2), -2 * np.exp(2))),
        (special.inv_boxcox1p, (2.0, 0.0), (np.exp(2), -2 * np.exp(2))),
        (special.huber, (1.0, -1.0), (0, -1)),
        (special.huber, (1.0, 3.0), (2, 1)),
        (special.pseudo_huber, (1.0, 1e-9), (2.5e-37, 1e-9)),
        (special.i0e, (0.0,), (0,)),
    ],
)
def test_at_edges(f: Callable[..., Any], arguments: tuple[float, ...], expected: tuple[float, ...]) -> None:
    with np.errstate(divide="ignore"):  # where a slope is infinite
        found = tg.grad(f, tuple(range(len(arguments))))(*arguments)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_cross_entropy_of_nothing() -> None:
    """By y, xlogy(x, y) is x / y also to second order, and 0 where x and y are."""
    by_y = tg.grad(special.xlogy, 1)
    assert tg.grad(by_y, 0)(0.0, 2.0) == 0.5
    assert tg.grad(lambda q: np.sum(special.xlogy([0.0, 1.0], q)))(np.array([0.0, 1.0])).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("f", "arrays"),
    [
        (special.erf, [np.arange(3)]),
        (special.erf, [np.float64(0.5)]),
        (special.erf, [np.zeros((0, 2))]),
        (special.expm1, [np.array([1e-9, 2.0])]),
        (special.beta, [np.ones((2, 1)), np.arange(1, 4)]),
        (lambda x: special.jv([[0], [1]], x), [np.array([0.5, 2.0])]),
        (lambda x: special.gammainc(np.array([1.0, 2.0]), x), [np.array([0.5])]),
        (lambda x: special.hyp2f1(0.5, 1, 1.5, x), [np.array([0.5, -2.0])]),
        (lambda x: special.zeta(2.0, x), [np.array([0.5, 2.0])]),
        (lambda x: special.jvp(1, x, 2), [np.array([0.5, 2.0])]),
        (lambda x: special.expn([[0], [2]], x), [np.array([0.5, 2.0])]),
        (lambda x: special.sici(x)[1], [np.array([0.5, 2.0])]),
        (lambda x: special.eval_legendre([[0], [2], [5]], x), [np.array([-1.0, 0.5, 2.0])]),
        (lambda x: special.eval_hermite([[0], [2], [5]], x), [np.array([-1.0, 0.5, 2.0])]),
        (np.sinc, [np.array([0.0, 0.3, -1.0])]),
        (np.sinc, [np.arange(3)]),
        (np.i0, [np.array(0.5)]),
        (np.i0, [np.zeros((0, 2))]),
    ],
)
def test_calls(f: Callable[..., Any], arrays: list[Any]) -> None:
    check(f, *arrays)


def test_an_exponential_integral_of_negative_order_has_no_value_and_no_gradient() -> None:
    """Nor does the rule take as many turns as the order says, which would never end."""
    order, x = np.array([1, -1, -(10**9)]), np.full(3, 0.75)
    first = tg.grad(lambda x: np.sum(special.expn(order, x)))(x)
    second = tg.grad(lambda x: np.sum(tg.grad(lambda x: np.sum(special.expn(order, x)))(x)))(x)
    np.testing.assert_array_equal(np.isnan([special.expn(order, x), first, second]), [[False, True, True]] * 3)
    np.testing.assert_allclose(first[0], -np.exp(-0.75) / 0.75)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_rule_ends_for_every_order() -> None:
    """If it took as many turns as an order says, this would never end."""
    x, tried = np.array([0.3, 0.7, 2.0]), 0
    orders = [(op, example[-1].get("order")) for op in OPERATIONS for example in op.examples or ()]
    for (op, order), huge in product(orders, (1e12, -1e12, np.inf)):
        floats = [i for i, n in enumerate(order) if not isinstance(n, np.integer)] if isinstance(order, tuple) else []
        for i in floats:
            of_huge = (*order[:i], np.float64(huge), *order[i + 1 :])
            (g,) = tg.vjp(partial(op, order=of_huge), x)[1](np.ones(3))
            assert g.shape == x.shape
            tried += 1
    assert tried > 100


@pytest.mark.parametrize("name", ["eval_legendre", "eval_chebyt", "eval_chebyu"])
def test_the_derivative_of_a_polynomial_knows_integer_degrees_of_any_size(name: str) -> None:
    polynomial, degree, step = getattr(special, name), 12_345, 1e-9
    slope = (polynomial(degree, 0.3 + step) - polynomial(degree, 0.3 - step)) / (2 * step)
    np.testing.assert_allclose(tg.grad(lambda x: polynomial(degree, x))(0.3), slope, 1e-4)


def test_an_order_that_changes_later_changes_no_gradient() -> None:
    order = np.array([1.0, 2.0])
    x = tg.tensor([3.0, 3.0], requires_grad=True)
    y = special.jv(order, x)
    order[:] = 7
    y.sum().backward()
    np.testing.assert_allclose(x.grad, special.jvp(np.array([1.0, 2.0]), 3.0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: special.jv(t, 2.0), "jv: the derivative with respect to argument 0 is not known; pass a number"),
        (lambda t: special.fdtr(1.0, t, t), "fdtr: the derivative with respect to argument 1"),
        (lambda t: special.erf(t, out=np.ones(1)), "erf: out= would write into an array"),
        (lambda t: special.jv(1, t, out=np.ones(1)), "jv: out= would write into an array"),
        (lambda t: special.jv(1, t, where=np.array([True])), "jv: where=.* has no derivative here"),
        (lambda t: special.ellipj(t, 0.5), "scipy.special.ellipj has no derivative here"),
        (lambda t: special.logsumexp(t), "use tg.nn.functional.logsumexp"),
        (lambda t: special.polygamma(1, t), "its history would be lost"),
    ],
)
def test_errors(call: Callable[..., Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call(tg.tensor([1.0], requires_grad=True))


def test_scipy_is_left_alone_until_the_program_uses_it() -> None:
    script = """
import sys
import numpy as np
import tinygrad_lite as tg
x = tg.tensor(0.5, requires_grad=True)
try:
    np.spacing(x)  # a function without a derivative: the one moment at which tables are looked for
except TypeError:
    pass
assert "scipy" not in sys.modules
import scipy.special
assert "tinygrad_lite.ops.special" not in sys.modules
scipy.special.erf(x).backward()
print(x.grad)
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout == "tensor(0.87878258)\n"


EVERYWHERE = """
import warnings
import numpy as np
import tinygrad_lite as tg
import tinygrad_lite.ops.special
from tinygrad_lite.engine.registry import operations

warnings.simplefilter("ignore")
np.seterr(all="ignore")
rng = np.random.default_rng(0)
orders = {"hyp1f1": [(2.0, 3.0), (-2.5, 3.0), (3.0, -2.5), (2e4, 3e4), (1e6, 1e6)], "zeta": [(3.0,), (1.0001,)]}
for op in operations():
    if op.module != "tinygrad_lite.ops.special":
        continue
    for dtype in (np.float16, np.float32, np.float64):
        limits = np.finfo(dtype)
        sizes = [0, 1, 700, 1e4 + 0.5, 1e15, 1e300, np.inf, limits.max, limits.tiny, limits.smallest_subnormal, np.nan]
        sizes = [*sizes, *10 ** rng.uniform(-10, 18, 10)]
        x = np.array([sign * size for size in sizes for sign in (1, -1)]).astype(dtype)
        arrays = np.meshgrid(*[x] * op.arity)
        examples = [params for _, params in op.examples or [([], {})]]
        for params in [*examples, *({"order": order} for order in orders.get(op.name, ()))]:
            print(op, np.dtype(dtype), params, flush=True)
            gradient = tg.grad(lambda *x: np.sum(op(*x, **params)), tuple(range(op.arity)))
            assert [part.shape for part in gradient(*arrays)] == [a.shape for a in arrays]
"""


@pytest.mark.slow
def test_returns_from_everywhere() -> None:
    """Values and derivatives of huge, tiny, infinite and undefined numbers in each precision come back at all."""
    with subprocess.Popen([sys.executable, "-c", EVERYWHERE], stdout=subprocess.PIPE, text=True) as process:
        try:
            printed, _ = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            printed, _ = process.communicate()
            pytest.fail(f"did not return: {printed.splitlines()[-1]}")
    assert process.returncode == 0, printed.splitlines()[-1]
    assert len(printed.splitlines()) >= 3 * sum(op.module == table.__name__ for op in operations())
