"""The complex step: every operation's continuation against forward mode, and functions that are followed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_lite as tg
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import operation, operations
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import UsageError
from tinygrad_lite.nn import functional as F
from tinygrad_lite.ops.continuations.forms import NotContinuedError, not_continued
from tinygrad_lite.readers.complex_step import ComplexStep, changes
from tinygrad_lite.testing import Call, inputs_of, values

special = pytest.importorskip("scipy.special")
pytest.importorskip("tinygrad_lite.ops.special")

DIFFERENTIABLE = [op for op in operations() if op.vjps]
FOLLOWED = [op for op in DIFFERENTIABLE if op.on_complex is not not_continued]

NOT_CONTINUED = {
    # SciPy has no complex numbers for them
    *("gammainc", "gammaincc", "gammaincinv", "gammainccinv", "betainc", "betaincc", "betaincinv", "betainccinv"),
    *("chdtr", "chdtrc", "fdtr", "fdtrc", "stdtr", "poch"),
    *("expn", "exponential_integral", "eval_hermite", "eval_hermitenorm"),
    # it computes with complex numbers of ordinary size on the way, and their rounding drowns the step
    *("jv", "y0", "y1", "yv", "yn", "iv", "ive", "hyp0f1", "hyp1f1", "hyp2f1", "expi", "rgamma"),
    *("sine_integral", "cosine_integral"),
    *("fresnel_sine", "fresnel_cosine", "eval_legendre", "eval_gegenbauer"),
    *("eval_chebyt", "eval_chebyu"),
    # it ends the series when the real part stands still, with digits of the step missing
    *("exp1", "spence"),
    # an iteration, a quadrature or a sum whose ends are chosen by comparing, and Python's own quantile
    *(
        "half_normal_quantile",
        "log_gamma_quantile",
        "log_gamma_cdf",
        "gamma_flow",
        "logit_beta_quantile",
        "logit_beta_cdf",
        "beta_flow",
        "mean_log_factorial",
        "normal_quantile",
    ),
    # SciPy's, whose rounding drowns the step
    *(
        "sqrtm",
        "logm",
        "lu_factor",
        "solve_sylvester",
        "solve_discrete_lyapunov",
        "solve_continuous_are",
        "solve_discrete_are",
    ),
    # transforms to or from complex numbers, beside which there is no room for a step
    *("fft", "ifft", "rfft", "irfft", "eig", "eigvals", "roots", "phase_of_det"),
}

LOOSER = {
    "cotdg": 5e-13,  # next to 0, where SciPy's own value, which the rule is made of, has 13 digits
}


def followed(f: Callable[..., Any], arrays: Any, directions: Any, as_tensors: bool = True) -> tuple[Any, Any]:
    """The value of f as its real part, and its change along a direction."""
    results: list[Any] = []

    def kept(*x: Any) -> list[Any]:
        results.append(f(*x))
        return results

    (change,) = changes(kept, arrays, directions, as_tensors)
    y = results[0].data if isinstance(results[0], Tensor) else results[0]
    assert isinstance(y, ComplexStep)
    return y.value.real, change


def close(found: Any, expected: Any, tolerance: float = 1e-13) -> None:
    scale = 1 + np.max(np.abs(expected), initial=0, where=np.isfinite(expected))
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)
    assert np.shape(found) == np.shape(expected)


def check(f: Callable[..., Any], *arrays: Any, tolerance: float = 1e-13) -> None:
    """The value of f, and its change along a direction, as forward mode has it."""
    arrays = tuple(np.asarray(x, float)[()] for x in arrays)
    rng = np.random.default_rng(0)
    directions = tuple(rng.uniform(0.5, 1.5, x.shape)[()] for x in arrays)
    with np.errstate(all="ignore"):
        y, change = tg.jvp(f, arrays, directions)
    for as_tensors in (True, False):
        value, found = followed(f, arrays, directions, as_tensors)
        close(value, y)
        close(found, change, tolerance)


@st.composite
def moved(draw: st.DrawFn, op: Op) -> tuple[Call, Callable[..., Any], tuple[Any, ...], tuple[Any, ...]]:
    """A call, as a function of some of its arguments, these, and a direction of theirs; the others are arrays."""
    call = draw(inputs_of(op))
    places = draw(st.lists(st.sampled_from(call.differentiable), min_size=1, unique=True))

    def f(*variables: Any) -> Any:
        replaced = dict(zip(places, variables))
        return call.value(*[replaced.get(i, x) for i, x in enumerate(call.arrays)])

    arrays = tuple(call.arrays[i] for i in places)
    return call, f, arrays, tuple(draw(values(np.shape(x))) for x in arrays)


@pytest.mark.parametrize("op", FOLLOWED, ids=str)
@given(data=st.data())
def test_continuations_change_as_the_derivatives_say(op: Op, data: st.DataObject) -> None:
    call, f, arrays, directions = data.draw(moved(op))
    expected = tg.jvp(f, arrays, directions)[1]
    for as_tensors in (True, False):
        value, change = followed(f, arrays, directions, as_tensors)
        close(value, call.value(*call.arrays), 1e-14)
        close(change, expected, LOOSER.get(op.name, 1e-13))


@pytest.mark.long
@pytest.mark.parametrize("op", FOLLOWED, ids=str)
@settings(max_examples=4)
@given(data=st.data())
def test_gradients_are_followed_too(op: Op, data: st.DataObject) -> None:
    """The change of a gradient that is computed in the function: the rules, on raw arrays."""
    _, f, arrays, directions = data.draw(moved(op))
    weights = data.draw(values(np.shape(f(*arrays))))
    gradient = tg.grad(lambda *x: np.sum(weights * f(*x)), tuple(range(len(arrays))))
    expected = tg.jvp(gradient, arrays, directions)[1]
    culprit = ""
    try:
        found = changes(lambda *x: list(gradient(*x)), arrays, directions)
    except NotContinuedError as error:
        culprit, found = str(error).split()[0], list(expected)
    assert culprit in {"", *NOT_CONTINUED}  # which the rule is made of
    for a, b in zip(found, expected):
        close(a, b, 1e-11)


@pytest.mark.parametrize("moved", [(0,), (1,), (0, 1)])
def test_a_convolution_of_wide_images_is_followed_by_either_argument(moved: tuple[int, ...]) -> None:
    """Raw arrays beside others that are followed, where raw arrays alone take a faster way."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(2, 3, 4, 20)), rng.normal(size=(2, 3, 2, 2))]
    directions = [rng.normal(size=x.shape) * (i in moved) for i, x in enumerate(arrays)]

    def gradients(*some: Any) -> list[Any]:
        x, weight = (dict(zip(moved, some)).get(i, arrays[i]) for i in range(2))
        return list(tg.grad(lambda *pair: np.sum(3.0 * F.conv2d(*pair)), (0, 1))(x, weight))

    among = [[values[i] for i in moved] for values in (arrays, directions)]
    for found, expected in zip(changes(gradients, *among), tg.jvp(gradients, *map(tuple, among))[1]):
        close(found, expected, 1e-12)


@pytest.mark.parametrize("op", [op for op in DIFFERENTIABLE if op not in FOLLOWED], ids=str)
@given(data=st.data())
def test_what_is_not_continued_says_so(op: Op, data: st.DataObject) -> None:
    _, f, arrays, directions = data.draw(moved(op))
    for as_tensors in (True, False):
        with pytest.raises(NotContinuedError, match=f"{op} has no continuation to the complex plane"):
            followed(f, arrays, directions, as_tensors)


def test_the_operations_without_a_continuation_are_these() -> None:
    assert {op.name for op in DIFFERENTIABLE} - {op.name for op in FOLLOWED} == NOT_CONTINUED


TIES = np.array([[0.0, 1.0, 1.0], [-2.0, 0.0, -2.0]])


@pytest.mark.parametrize(
    ("f", "arrays"),
    [
        (F.relu, [TIES]),
        (F.leaky_relu, [TIES]),
        (F.sigmoid, [TIES]),
        (F.softplus, [TIES]),
        (F.silu, [TIES]),
        (F.gelu, [TIES]),
        (F.softmax, [TIES]),
        (np.abs, [TIES]),
        (np.sign, [TIES]),
        (np.copysign, [TIES, -TIES]),
        (np.hypot, [TIES, np.zeros(3)]),
        (np.maximum, [TIES, 0.0]),
        (np.minimum, [TIES, TIES]),
        (np.fmax, [np.array([np.nan, 1.0, 1.0]), np.array([2.0, np.nan, 1.0])]),
        (np.logaddexp, [TIES, TIES]),
        (np.clip, [TIES, 0.0, 1.0]),
        (np.clip, [TIES, 2.0, 1.0]),
        (lambda x, low: np.clip(x, low, None), [TIES, 0.0]),
        (np.max, [TIES]),
        (lambda x: np.min(x, axis=1, initial=-2.0), [TIES]),
        (np.median, [np.zeros(4)]),
        (lambda x: np.quantile(x, [0.2, 0.6], axis=1), [TIES]),
        (np.sort, [TIES]),
        (np.std, [np.ones(3)]),
        (np.linalg.norm, [np.zeros(3)]),
        (lambda x: np.linalg.norm(x, 3), [np.array([0.0, 1.0, -2.0])]),
        (lambda x: np.linalg.norm(x, 1), [TIES]),
        (lambda x: np.linalg.norm(x, np.inf), [TIES]),
        (np.linalg.svdvals, [np.diag([2.0, 0.0])]),
        (np.prod, [TIES]),
        (np.cumprod, [TIES]),
        (np.sinc, [np.array([0.0, 1e-9, 1e-3])]),
        (np.i0, [0.0]),
        (lambda x: np.where(x, x, 2.0), [TIES]),
        (lambda x: np.interp(x, [0.0, 1.0], [1.0, 3.0]), [np.array([-1.0, 0.0, 0.5, 1.0, 2.0])]),
        (special.expit, [TIES]),
        (special.log_expit, [TIES]),
        (special.exprel, [np.array([0.0, 1e-9, -1e-3])]),
        (special.boxcox, [np.array([0.5, 2.0]), np.array([0.0, 1e-9])]),
        (special.inv_boxcox, [np.array([0.5, 2.0]), np.array([0.0, 1e-9])]),
        (special.huber, [1.0, TIES]),
        (special.i0e, [TIES]),
        (special.xlogy, [np.zeros(2), np.array([1.0, 2.0])]),
    ],
)
def test_at_kinks_and_ties_the_conventions_are_those_of_the_derivatives(f: Any, arrays: list[Any]) -> None:
    check(f, *arrays)


@pytest.mark.parametrize(
    ("f", "arrays"),
    [  # where the complex functions of NumPy or SciPy leave rounding in the imaginary part, or round more than the real
        (lambda x: x**3, [np.array([-2.0, 0.0, 2.0])]),
        (lambda x: x**-2, [np.array([-2.0, 3.0])]),
        (lambda x: x**101, [-1.1]),
        (lambda x: x**101.0, [np.array([-1.1, 1.1])]),
        (lambda x: np.float_power(x, 200), [-1.1]),
        (lambda x, b: x**b, [np.array([0.0, 2.0]), np.array([2.0, -0.5])]),
        (np.log1p, [np.array([1e-12, -1e-12])]),
        (np.expm1, [np.array([1e-12, 0.0])]),
        (np.arctan2, [np.array([3.0, -3.0, 1e-9, 0.0]), np.array([-1e-9, 2.0, -2.0, 1.0])]),
        (np.hypot, [1e200, -2e200]),
        (np.logaddexp, [np.array([800.0, -800.0]), np.array([-800.0, -801.0])]),
        (np.tanh, [np.array([30.0, -400.0])]),
        (F.sigmoid, [np.array([800.0, -800.0, 40.0])]),
        (F.gelu, [np.array([-12.0, 12.0, -30.0])]),
        (F.softplus, [np.array([800.0, -800.0])]),
        (F.log_softmax, [np.array([1000.0, 0.0, -1000.0])]),
        (np.i0, [np.array([-30.0, 300.0])]),
        (np.remainder, [np.array([49.0, -7.5]), np.array([1.0, 2.0])]),
        (special.gamma, [np.array([-2.6, -0.3, 20.0])]),
        (special.gammaln, [np.array([-2.6, -0.3, 1e5])]),
        (special.beta, [np.array([-0.5, 3.0]), np.array([0.3, 2.0])]),
        (special.digamma, [np.array([-2.6, 1e5])]),
        (special.j0, [np.array([20.0, -50.0])]),
        (special.i1, [np.array([-30.0, 30.0])]),
        (special.i1e, [np.array([-1e4, 30.0])]),
        (lambda x: special.kv(2.5, x), [np.array([1e-3, 30.0])]),
        (special.log_ndtr, [np.array([-40.0, 8.0])]),
        (special.erfinv, [np.array([1 - 1e-9, -0.2])]),
        (special.ellipk, [np.array([-1e6, 1 - 1e-9])]),
        (special.sindg, [np.array([90.0, 36e9 + 30])]),
        (np.linalg.det, [np.array([[1.0, 2.0], [2.0, 4.0]])]),
        (lambda x: np.linalg.pinv(x), [np.array([[1.0, 2.0], [0.5, -1.0], [1e3, 2e3]])]),
    ],
)
def test_far_out(f: Any, arrays: list[Any]) -> None:
    check(f, *arrays, tolerance=1e-12)


MATRIX = np.array([[2.0, 0.5, -1.0], [0.3, 1.5, 0.7], [-0.4, 0.2, 3.0]])


@pytest.mark.parametrize(
    ("f", "arrays"),
    [  # of which NumPy conjugates one argument, or reads one triangle
        (np.vdot, [MATRIX, MATRIX.T]),
        (np.inner, [MATRIX, MATRIX.T]),
        (np.vecdot, [MATRIX, MATRIX.T]),
        (np.correlate, [np.arange(5.0), np.array([1.0, -2.0])]),
        (np.cov, [MATRIX]),
        (np.corrcoef, [MATRIX]),
        (lambda x: np.var(x, where=x > 0), [MATRIX]),
        (lambda x: np.std(x, axis=0, mean=np.mean(x, axis=0, keepdims=True)), [MATRIX]),
        (lambda x: np.linalg.cholesky(x @ x.T), [MATRIX]),
        (lambda x: np.linalg.cholesky(x @ x.T, upper=True), [MATRIX]),
        (np.linalg.eigh, [MATRIX]),
        (lambda x: np.linalg.eigh(x, "U")[1], [MATRIX]),
        (np.linalg.svd, [MATRIX]),
        (lambda x: np.linalg.svd(x[:, :2], full_matrices=False)[2], [MATRIX]),
        (lambda x: np.linalg.qr(x)[0], [MATRIX]),
        (lambda x: np.linalg.lstsq(x, np.arange(3.0))[0], [MATRIX[:, :2]]),
        (lambda x: np.linalg.pinv(x, hermitian=True), [MATRIX]),
        (lambda x: np.linalg.slogdet(x)[1], [-MATRIX]),
        (lambda x: np.linalg.norm(x, "nuc"), [MATRIX]),
        (np.linalg.cond, [MATRIX]),
    ],
)
def test_products_and_decompositions(f: Any, arrays: list[Any]) -> None:
    def first(*x: Any) -> Any:
        found = f(*x)
        return np.concatenate([np.ravel(part) for part in found]) if isinstance(found, tuple) else found

    check(first, *arrays)


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda x: np.linalg.eigh(x @ x.T)[1], "the vectors of equal values are not determined"),
        (lambda x: np.linalg.svd(x)[0], "the vectors of equal values are not determined"),
        (lambda x: np.linalg.svd(x[:, :1])[0], "further columns of a full svd"),
        (lambda x: np.linalg.qr(x[:, :1], "complete")[0], "further columns of a complete qr"),
        (lambda x: np.linalg.pinv(x * [0, 1]), "a step would raise the rank"),
        (lambda x: np.linalg.lstsq(x * [0, 1], np.ones(2))[0], "a step would raise the rank"),
        (lambda x: x.astype(complex), "numbers of dtype complex128 cannot carry a step"),
        (lambda x: np.sum(x, dtype=complex), "numbers of dtype complex128 cannot carry a step"),
    ],
)
def test_what_a_step_does_not_tell(f: Callable[..., Any], message: str) -> None:
    with pytest.raises(NotContinuedError, match=message):
        followed(f, [np.eye(2)], [np.eye(2)])


def test_outside_their_domain_functions_are_no_numbers() -> None:
    for name in ("sqrt", "log", "log2", "log10", "log1p", "arcsin", "arccosh", "arctanh", "entr", "loggamma"):
        with np.errstate(all="ignore"):
            expected = operation(name).forward(-3.0)
        value, _ = followed(operation(name), [-3.0], [1.0])
        np.testing.assert_equal(value, expected, err_msg=name)
    assert followed(lambda x: np.nansum(np.log(x)), [np.array([-1.0, 2.0])], [np.ones(2)])[1] == 0.5
    assert np.isnan(followed(lambda b: (-2.0) ** b, [2.0], [1.0])[1])


def test_comparisons_come_out_as_on_the_real_line() -> None:
    # 49 · (1 / 49) is less than 1, and the square of a step less than 0
    assert followed(lambda x: np.floor(x / 49.0) + x, [49.0], [1.0]) == (50.0, 1.0)
    assert followed(lambda x: np.where(x * x >= 0, x, 0.0), [0.0], [1.0]) == (0.0, 1.0)
    assert followed(lambda x: np.where(x @ x >= 0, np.sum(x), 0.0), [np.zeros(2)], [np.ones(2)]) == (0.0, 2.0)


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda x: np.sum(x, dtype=np.float32), 2.0),
        (lambda x: np.mean(x, dtype=np.float32), 1.0),
        (lambda x: np.cumsum(x, dtype=np.float32)[-1], 2.0),
        (lambda x: np.var(np.append(x, 3.0), dtype=np.float32) * 0 + x[0], 1.0),
        (lambda x: np.sum(np.concatenate([x, x], dtype=np.float32, casting="unsafe")), 4.0),
        (lambda x: np.sum(np.pad(x, 1, "linear_ramp")), 2.0),
        (lambda x: np.linspace(x[0], x[1], 3, dtype=np.float32)[1], 1.0),
        (lambda x: np.trace(np.diag(x), dtype=np.float32), 2.0),
        (lambda x: np.sum(x.astype(np.float32)), 2.0),
        (lambda x: np.sum(x, dtype=int) + x[0], 1.0),
        (lambda x: np.sum(x.astype(int)) + x[0], 1.0),
        (lambda x: np.sum(x.astype(bool)) + x[0], 1.0),
        (lambda x: np.linspace(x[0], x[1], 3, dtype=int)[1] + x[0], 1.0),
        (lambda x: np.real(x)[0] + np.imag(x)[0] + np.conj(x)[1] + np.real_if_close(x)[1], 3.0),
    ],
)
def test_other_dtypes_do_not_end_the_step(f: Callable[..., Any], expected: float) -> None:
    x = np.array([-1.5, 2.25])
    value, change = followed(f, [x], [np.ones(2)])
    np.testing.assert_allclose(change, expected, rtol=1e-14)
    np.testing.assert_allclose(value, f(tg.tensor(x)).numpy(), rtol=1e-6)


def test_float32_is_followed_in_double_precision() -> None:
    x = np.array([0.1, 0.7], np.float32)
    _, change = followed(lambda x: np.sum(np.sin(x) * np.float32(3)), [x], [np.ones(2)])
    np.testing.assert_allclose(change, 3 * np.sum(np.cos(x.astype(float))), rtol=1e-15)


def test_a_closure_over_tensors_that_require_a_gradient() -> None:
    w = tg.tensor([1.0, -2.0], requires_grad=True)
    b = tg.tensor(np.float32(0.5), requires_grad=True)
    _, change = followed(lambda x: np.sum(w * x**2) + b * x[0], [np.array([3.0, 4.0])], [np.array([1.0, 10.0])])
    np.testing.assert_allclose(change, 6.0 - 160.0 + 0.5, rtol=1e-15)
    assert w.grad is None


def test_functions_that_differentiate() -> None:
    def f(x: Any) -> Any:
        return np.sum(np.sin(x) * x[0]) + np.linalg.det(np.outer(x, x) + np.eye(3))

    x, direction = np.array([0.3, -1.2, 0.7]), np.array([1.0, -0.5, 2.0])
    close(followed(tg.grad(f), [x], [direction])[1], tg.hessian(f)(x) @ direction)
    close(
        followed(tg.hessian(f), [x], [direction])[1],
        tg.jvp(tg.hessian(f), (x,), (direction,))[1],
    )
    check(lambda x: tg.jvp(f, (x,), (direction,))[1], x)
    check(lambda x: tg.hvp(f, (x,), (direction,)), x)

    def stepped(w: Any) -> Any:
        leaf = w.detach()
        leaf.requires_grad = True
        f(leaf).backward()
        return w - 0.1 * leaf.grad

    close(followed(stepped, [x], [direction])[1], direction - 0.1 * tg.hessian(f)(x) @ direction)


def test_what_leaves_the_operations_is_an_error() -> None:
    for leave in (
        lambda x: x.item(),
        float,
        int,
        np.asarray,
        lambda x: np.array([x, x]),
        lambda x: np.array([1.0, 2.0])[x],
        lambda x: x * bool(x),
        lambda x: 1 if x else 0,
    ):
        with pytest.raises(NotContinuedError, match=r"became a plain .*, where the complex step cannot follow it"):
            followed(leave, [1.0], [1.0])
    with pytest.raises(NotContinuedError):
        followed(lambda x: x * x.item(), [1.0], [1.0])
    assert issubclass(NotContinuedError, UsageError)


@pytest.mark.parametrize("as_tensors", [True, False], ids=["tensors", "steps"])
@pytest.mark.parametrize(
    "place",
    [
        lambda x: x.astype(int),
        lambda x: np.floor(x).astype(np.int32) % 3,
        lambda x: np.astype(np.rint(x - 0.5), np.int64),
        lambda x: np.int64(1) * (x - x[0] + 1.5).astype(np.uint8) - 1,
        lambda x: np.searchsorted(np.arange(1.0, 4.0), x),
        lambda x: (x > 1).astype(int) + (x > 2),
    ],
)
def test_integers_made_of_a_value_are_places_in_arrays(place: Any, as_tensors: bool) -> None:
    x, direction, table = np.array([0.3, 1.4, 2.2]), np.array([1.0, -2.0, 0.5]), np.array([3.0, 5.0, -1.0])
    for read in (lambda x, i: x[i], np.take, lambda x, i: np.take_along_axis(x, i, 0)):

        def f(x: Any, read: Any = read) -> Any:
            return x * table[place(x)] + read(x, place(x))

        value, change = followed(f, [x], [direction], as_tensors)
        assert np.array_equal(value, x * table + x)
        close(change, direction * table + direction)


def test_choices_follow_the_real_part() -> None:
    def f(x: Any) -> Any:
        if x[0] > 1 and x[1] == -2 and not np.any(np.isnan(x)):
            return x[np.argmax(x)] * len(x) * np.sign(x[1])
        return x[0] * 0

    assert followed(f, [np.array([3.0, -2.0])], [np.array([1.0, 5.0])]) == (-6.0, -2.0)


def test_detached_values_still_change() -> None:
    """A checker has to see that the value depends on its argument, whatever the derivative says."""
    x = np.array([2.0, 3.0])
    for detached in (lambda x: x.detach(), lambda x: x.numpy(), tg.stop_gradient, lambda x: x.data):
        np.testing.assert_allclose(followed(lambda x, d=detached: d(x) * x, [x], [np.ones(2)])[1], 2 * x, rtol=1e-15)


def test_functions_with_a_gradient_of_their_own_are_followed_by_their_values() -> None:
    @tg.custom_gradient
    def wrong(x: Any) -> Any:
        return np.sin(x), lambda g: g * 100

    x = np.array([0.5, 1.0])
    close(followed(lambda x: 2 * wrong(x), [x], [np.ones(2)])[1], 2 * np.cos(x))
    close(followed(tg.checkpoint(lambda x: np.sin(x) * x), [x], [np.ones(2)])[1], np.sin(x) + x * np.cos(x))
    checkpointed = tg.grad(lambda x: np.sum(tg.checkpoint(np.sin)(x)))
    close(followed(checkpointed, [x], [np.ones(2)])[1], -np.sin(x))


def test_what_does_not_depend_on_the_argument_does_not_change() -> None:
    found = changes(lambda x: [np.ones(2), tg.tensor(3.0), x * 0, np.zeros_like(x)], [np.ones(3)], [np.ones(3)])
    assert [change.tolist() for change in found] == [[0, 0], 0, [0, 0, 0], [0, 0, 0]]


def test_other_ways_to_call() -> None:
    x = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
    for f in (
        lambda x: np.add.reduce(x, axis=1) * np.multiply.accumulate(x, axis=1)[:, 1],
        lambda x: np.maximum.accumulate(x, axis=1),
        lambda x: np.logaddexp.accumulate(x, axis=1),
        lambda x: np.logaddexp.reduce(x, axis=1),
        lambda x: np.subtract.outer(x[0], x[1]),
        lambda x: x.at[0, 1].set(x[1, 1]).at[[0, 0]].add(x[1]),
        lambda x: np.insert(np.delete(x, 1, axis=1), 1, x[:, 0] ** 2, axis=1),
        lambda x: np.average(x, axis=1, weights=np.abs(x)),
        lambda x: np.gradient(x[0], x[1].cumsum()),
        lambda x: np.select([x > 1, x < 0], [x**2, -x], 5.0),
        lambda x: np.piecewise(x, [x > 0], [np.sin, np.cos]),
        lambda x: np.polyfit(x[0], x[1], 1),
        lambda x: np.nanstd(np.where(x > 1, np.nan, x), axis=0),
        lambda x: np.unwrap(4 * x),
        lambda x: divmod(x, 0.4)[1] + np.modf(x)[0] + np.frexp(x)[0] + np.ldexp(x, 3),
        lambda x: F.linear(np.ones(3), np.ones((2, 3)), x[:, 0]),
        lambda x: F.cross_entropy(x, np.array([2, 0])),
        lambda x: np.einsum("ij,kj->ik", x, x),
        lambda x: np.bincount([0, 2, 0], x[0]),
    ):
        with np.errstate(all="ignore"):
            check(f, x)
