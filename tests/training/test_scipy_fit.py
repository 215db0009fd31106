"""Fits by SciPy's optimisers: NIST's certified values, standard errors in closed form, and what cannot be fitted."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.marks import param
from tests.training.nist_problems import MODELS, problem
from tinygrad_lite import nn
from tinygrad_lite.errors import InputError, MissingExtraError, TinygradWarning, UsageError
from tinygrad_lite.training.robust_losses import _LOSSES

X = np.linspace(0, 3, 20)
Y = 2 * np.exp(-0.7 * X) + 0.01 * np.cos(40 * X)
NOT_CONVERGED = pytest.warns(TinygradWarning, match="did not converge, and its standard errors are not known")


@pytest.mark.long
@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("name", MODELS)
def test_residuals_of_nist(name: str, start: int) -> None:
    """The certified values have 11 digits; the residuals of Lanczos1 are rounding, so only some of theirs are there."""
    ours = problem(name)
    fit = tg.fit_scipy(ours.residuals, ours.starts[start])
    assert fit.converged
    np.testing.assert_allclose(fit.parameters, ours.parameters, rtol=1e-10)
    tolerance = 1e-3 if name == "Lanczos1" else 1e-10
    np.testing.assert_allclose(fit.standard_errors, ours.standard_errors, rtol=tolerance)
    np.testing.assert_allclose(fit.residual_std, ours.residual_std, rtol=tolerance)


_QUICK = ("Chwirut2", "ENSO", "MGH09", "BoxBOD", "Eckerle4")


@pytest.mark.parametrize("name", [param(name, slow=name not in _QUICK) for name in MODELS])
def test_sums_of_squares_of_nist(name: str) -> None:
    """The same as numbers to minimise, whose Hessian knows nothing of residuals."""
    ours = problem(name)
    fit = tg.fit_scipy(lambda b: np.sum(ours.residuals(b) ** 2), ours.starts[1])
    assert fit.converged
    np.testing.assert_allclose(fit.parameters, ours.parameters, rtol=1e-10)
    assert fit.residual_std is None


def test_a_fit_that_is_not_at_its_end_says_so() -> None:
    ours = problem("MGH17")
    attempts: list[tuple[Any, dict[str, Any]]] = [
        (ours.residuals, {"max_nfev": 3}),
        (lambda b: np.sum(ours.residuals(b) ** 2), {"options": {"maxiter": 3}}),
    ]
    for f, settings in attempts:
        with NOT_CONVERGED:
            fit = tg.fit_scipy(f, ours.starts[0], **settings)
        assert not fit.converged
        assert np.all(np.isnan(fit.standard_errors))
        assert repr(fit).endswith(f"\nnot converged: {fit.message}")


def test_standard_errors_of_a_normal_distribution() -> None:
    y = np.random.default_rng(0).normal(3.0, 2.0, 50)

    def negative_log_likelihood(parameters: Any, y: Any) -> Any:
        z = (y - parameters["mean"]) / parameters["std"]
        return np.sum(z**2) / 2 + y.size * np.log(parameters["std"])

    fit = tg.fit_scipy(negative_log_likelihood, {"mean": 1.0, "std": 1.0}, y)
    np.testing.assert_allclose(fit.parameters["mean"], np.mean(y), rtol=1e-12)
    np.testing.assert_allclose(fit.parameters["std"], np.std(y), rtol=1e-12)
    np.testing.assert_allclose(fit.standard_errors["mean"], np.std(y) / 50**0.5, rtol=1e-12)
    np.testing.assert_allclose(fit.standard_errors["std"], np.std(y) / 100**0.5, rtol=1e-12)
    np.testing.assert_allclose(fit.covariance[0, 1], 0, atol=1e-12)


def test_standard_errors_of_a_line() -> None:
    A = np.stack([np.ones_like(X), X], axis=1)
    fit = tg.fit_scipy(lambda b: A @ b - Y, np.zeros(2))
    s = np.sum((A @ np.linalg.solve(A.T @ A, A.T @ Y) - Y) ** 2) / 18
    np.testing.assert_allclose(fit.covariance, s * np.linalg.inv(A.T @ A), rtol=1e-12)
    np.testing.assert_allclose(fit.residual_std, s**0.5, rtol=1e-12)
    np.testing.assert_allclose(fit.loss, 18 * s, rtol=1e-12)


class Decay(nn.Module):
    """y = height · exp(-rate · x) + offset, with a frozen offset."""

    def __init__(self) -> None:
        self.height, self.rate = nn.Parameter(np.ones(1)), nn.Parameter(1.0)
        self.offset = nn.Parameter(0.1, requires_grad=False)

    def forward(self, x: Any) -> Any:
        return self.height * np.exp(-self.rate * x) + self.offset


@pytest.mark.parametrize("as_residuals", [True, False])
def test_modules_and_tensors_are_fitted_and_stay_as_they_are(as_residuals: bool) -> None:
    def residuals(parameters: Any, x: Any, y: Any) -> Any:
        module, (slope,) = parameters
        return module(x) + slope * x - y

    def loss(*arguments: Any) -> Any:
        return np.sum(residuals(*arguments) ** 2) / 2

    start = Decay(), [tg.tensor(0.0)]
    with np.errstate(all="raise"):
        fit = tg.fit_scipy(residuals if as_residuals else loss, start, X, Y)
    assert [start[0].height.item(), start[0].rate.item(), start[1][0].item()] == [1, 1, 0]
    expected = tg.fit_scipy(lambda b: b[0] * np.exp(-b[1] * X) + 0.1 + b[2] * X - Y, np.array([1.0, 1.0, 0.0]))
    state, (slope,) = fit.parameters
    assert list(state) == ["height", "rate"]
    np.testing.assert_allclose([*state["height"], state["rate"], slope], expected.parameters, rtol=1e-9)
    assert isinstance(fit.standard_errors[0]["rate"], float)
    if as_residuals:
        errors, (error,) = fit.standard_errors
        np.testing.assert_allclose([*errors["height"], errors["rate"], error], expected.standard_errors, rtol=1e-9)
    start[0].load_state_dict(state, strict=False)
    r = residuals((start[0], [slope]), X, Y).numpy()
    np.testing.assert_allclose(fit.loss, r @ r if as_residuals else r @ r / 2, rtol=1e-12)
    assert start[0].offset.item() == 0.1


METHODS: dict[str, list[str]] = {
    "residuals": ["lm", "trf", "dogbox"],
    "loss": [
        *("Nelder-Mead", "Powell", "CG", "BFGS", "Newton-CG", "L-BFGS-B", "TNC", "COBYLA", "COBYQA", "SLSQP"),
        *("trust-constr", "dogleg", "trust-ncg", "trust-exact", "trust-krylov"),
    ],
}


@pytest.mark.long
@pytest.mark.parametrize(("kind", "method"), [(kind, method) for kind in METHODS for method in METHODS[kind]])
def test_methods_of_scipy_end_at_the_same_place(kind: str, method: str) -> None:
    def residuals(b: Any) -> Any:
        return b[0] * np.exp(-b[1] * X) - Y

    f = residuals if kind == "residuals" else lambda b: np.sum(residuals(b) ** 2) / 2
    expected = tg.fit_scipy(residuals, [1.0, 1.0])
    fit = tg.fit_scipy(f, [1.8, 0.8], method=method)
    assert fit.evaluations > 3
    np.testing.assert_allclose(fit.parameters, expected.parameters, rtol=1e-10)


def test_settings_are_those_of_scipy() -> None:
    def residuals(b: Any) -> Any:
        return b[0] * np.exp(-b[1] * X) - Y

    expected = tg.fit_scipy(residuals, np.ones(2))
    inside = tg.fit_scipy(residuals, np.ones(2), bounds=([0, 0], [5, 5]))
    np.testing.assert_allclose(inside.parameters, expected.parameters, rtol=1e-6)
    np.testing.assert_allclose(inside.standard_errors, expected.standard_errors, rtol=1e-4)


def test_what_the_data_do_not_determine() -> None:
    fit = tg.fit_scipy(lambda b: (b[0] + b[1]) * X + b[2] - Y, np.ones(3))
    assert fit.converged
    np.testing.assert_array_equal(np.isinf(fit.standard_errors), [True, True, False])
    fit = tg.fit_scipy(lambda b: (b[0] + b[1] - 1) ** 2 + b[2] ** 2, np.ones(3))
    np.testing.assert_array_equal(np.isinf(fit.standard_errors), [True, True, False])
    fit = tg.fit_scipy(lambda b: np.array([1.0, 2.0]) * b - 1, np.array([3.0, 4.0]))
    assert fit.converged
    np.testing.assert_allclose(fit.parameters, [1, 0.5], rtol=1e-12)
    assert np.all(np.isnan(fit.standard_errors))


def test_a_saddle_is_no_fit() -> None:
    with NOT_CONVERGED:
        tg.fit_scipy(lambda b: b[0] ** 2 - b[1] ** 2, np.zeros(2), method="BFGS")
    with NOT_CONVERGED:  # at 0 the residuals do not change to first order
        tg.fit_scipy(lambda b: b[0] * b[1] * X - X - 0.1, np.zeros(2), max_nfev=9)
    assert tg.fit_scipy(lambda b: b[0] * b[1] * X - X - 0.1, np.array([1.0, 2.0])).converged  # any b with this product


AT_BOUNDS = {
    "residuals": ["trf", "dogbox", None],
    "number": ["L-BFGS-B", "TNC", "SLSQP", "trust-constr", "Nelder-Mead", "Powell", "COBYLA", "COBYQA", None],
}


@pytest.mark.parametrize(("kind", "method"), [(kind, method) for kind in AT_BOUNDS for method in AT_BOUNDS[kind]])
@pytest.mark.parametrize("bound", [(0.5, 0.6), (0.8, 2.0)])
def test_a_parameter_at_a_bound_is_held_there(kind: str, method: str | None, bound: tuple[float, float]) -> None:
    def residuals(b: Any) -> Any:
        return b["height"] * np.exp(-b["rate"] * X) + b["rest"] - Y

    def f(b: Any) -> Any:
        return residuals(b) if kind == "residuals" else np.sum(residuals(b) ** 2) / 2

    start = {"height": 1.5, "rate": sum(bound) / 2, "rest": 0.1}
    held = min(bound, key=lambda rate: abs(rate - 0.7))
    fit = tg.fit_scipy(f, start, bounds={"rate": bound, "height": (None, 10)}, method=method)
    expected = tg.fit_scipy(lambda b: f({**b, "rate": held}), {"height": 1.5, "rest": 0.1})
    assert fit.converged
    assert fit.parameters["rate"] == held
    np.testing.assert_array_equal(fit.is_at_bound, [False, True, False])
    assert np.isnan(fit.standard_errors["rate"])
    for name in ("height", "rest"):
        np.testing.assert_allclose(fit.parameters[name], expected.parameters[name], rtol=1e-9)
        np.testing.assert_allclose(fit.standard_errors[name], expected.standard_errors[name], rtol=1e-6)
    assert "rate" in repr(fit)
    assert repr(fit).splitlines()[2].endswith("at a bound")


def test_bounds_have_several_forms() -> None:
    from scipy.optimize import Bounds

    def residuals(b: Any) -> Any:
        return b[0] * np.exp(-b[1] * X) - Y

    fits = [
        tg.fit_scipy(f, [1.0, 0.3], bounds=bounds)
        for f, forms in (
            (residuals, [([0, 0], [5, 0.5]), (0, [5, 0.5]), (0, [None, 0.5]), Bounds([0, 0], [5, 0.5])]),
            (lambda b: np.sum(residuals(b) ** 2), [[(0, 5), (0, 0.5)], [(None, 5), (0, 0.5)], Bounds(0, [5, 0.5])]),
        )
        for bounds in forms
    ]
    for fit in fits:
        assert fit.converged
        np.testing.assert_allclose(fit.parameters, fits[0].parameters, rtol=1e-9)
    layer = nn.Linear(1, 1, rng=0)
    model = tg.fit_scipy(lambda m: m(X[:, None])[:, 0] - Y, layer, bounds={"weight": (-0.5, 0.9)})
    assert model.parameters["weight"] == -0.5


@pytest.mark.parametrize("loss", ["soft_l1", "huber", "cauchy", "arctan"])
def test_robust_losses_are_those_of_scipy(loss: str) -> None:
    from scipy.optimize import least_squares

    y = Y + np.where(np.arange(len(X)) % 6 == 2, 1.0, 0.0)

    def residuals(b: Any) -> Any:
        return b[0] * np.exp(-b[1] * X) - y

    start = np.array([1.8, 0.8])  # from afar, arctan has another minimum
    fit = tg.fit_scipy(residuals, start, loss=loss, f_scale=0.05)
    theirs = least_squares(residuals, start, loss=loss, f_scale=0.05, xtol=1e-14, ftol=1e-14, gtol=1e-14)
    assert fit.converged
    np.testing.assert_allclose(fit.parameters, theirs.x, rtol=1e-6)
    np.testing.assert_allclose(fit.loss, 2 * theirs.cost, rtol=1e-9)
    assert np.all(fit.standard_errors < tg.fit_scipy(residuals, np.ones(2)).standard_errors)
    rho = _LOSSES[loss]
    own = tg.fit_scipy(residuals, start, loss=lambda z: np.array(rho(z)), f_scale=0.05)
    np.testing.assert_allclose(own.standard_errors, fit.standard_errors, rtol=1e-9)


@pytest.mark.parametrize("loss", ["soft_l1", "huber", "cauchy", "arctan"])
def test_a_robust_loss_without_outliers_is_the_sum_of_squares(loss: str) -> None:
    def residuals(b: Any) -> Any:
        return b[0] * np.exp(-b[1] * X) - Y

    fit, expected = tg.fit_scipy(residuals, np.ones(2), loss=loss, f_scale=1e4), tg.fit_scipy(residuals, np.ones(2))
    np.testing.assert_allclose(fit.parameters, expected.parameters, rtol=1e-6)
    np.testing.assert_allclose(fit.standard_errors, expected.standard_errors, rtol=1e-6)
    assert fit.residual_std == pytest.approx(expected.residual_std, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["soft_l1", "huber", "cauchy", "arctan"])
def test_standard_errors_of_robust_fits_are_those_of_many_samples(loss: str) -> None:
    rng, A = np.random.default_rng(0), np.stack([np.ones(60), np.linspace(-1, 1, 60)], axis=1)
    noise = rng.normal(size=(300, 60)) * np.where(rng.random((300, 60)) < 0.1, 5, 1)
    fits = [tg.fit_scipy(lambda b, y: A @ b - y, np.zeros(2), y, loss=loss, f_scale=1.5) for y in noise]
    spread = np.std([fit.parameters for fit in fits], axis=0)
    claimed = np.sqrt(np.mean([fit.standard_errors**2 for fit in fits], axis=0))
    np.testing.assert_allclose(claimed, spread, rtol=0.12)  # that of 300 samples has an error of 4 %


@pytest.mark.compare
def test_standard_errors_of_hubers_loss_are_those_of_statsmodels() -> None:
    import statsmodels.api as sm

    A = np.stack([np.ones_like(X), X], axis=1)
    y = A @ [1.0, 2.0] + 0.1 * np.cos(40 * X) + np.where(np.arange(len(X)) % 6 == 2, 1.0, 0.0)
    theirs = sm.RLM(y, A, M=sm.robust.norms.HuberT(1.345)).fit(tol=1e-13, maxiter=1000)
    fit = tg.fit_scipy(lambda b: A @ b - y, np.zeros(2), loss="huber", f_scale=1.345 * theirs.scale)
    np.testing.assert_allclose(fit.parameters, theirs.params, rtol=1e-6)
    np.testing.assert_allclose(fit.standard_errors, theirs.bse, rtol=1e-6)


def test_a_start_may_have_whole_numbers() -> None:
    fit = tg.fit_scipy(lambda b: b["a"] * np.exp(-b["b"][0] * X) - Y, {"a": 1, "b": np.array([1])})
    expected = tg.fit_scipy(lambda b: b["a"] * np.exp(-b["b"][0] * X) - Y, {"a": 1.0, "b": np.array([1.0])})
    np.testing.assert_array_equal(fit.covariance, expected.covariance)


ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "fewer residuals": (lambda: tg.fit_scipy(lambda b: b[:1], np.ones(2)), InputError, "1 residuals, .* 2 parameters"),
    "no parameters": (lambda: tg.fit_scipy(lambda b: np.ones(3), {}), InputError, "0 parameters"),
    "not finite": (lambda: tg.fit_scipy(lambda b: np.log(b - 1), np.ones(2)), InputError, "not finite: begin where"),
    "no numbers": (lambda: tg.fit_scipy(lambda b: "abc", np.ones(2)), UsageError, "real numbers; it returned <U3"),
    "truth values": (lambda: tg.fit_scipy(lambda b: b[0], [True, 2]), UsageError, "write 1.0 for 1"),
    "a start outside": (
        lambda: tg.fit_scipy(lambda b: b["a"] - np.ones(3), {"a": 3.0}, bounds={"a": (None, 2)}),
        InputError,
        "the start of 'a' is 3, outside of its bounds, -inf and 2",
    ),
    "another name": (
        lambda: tg.fit_scipy(lambda b: b["a"] - np.ones(3), {"a": 3.0}, bounds={"b": (0, 9)}),
        InputError,
        "bounds has 'b', which is no parameter; there are a$",
    ),
    "too few pairs": (
        lambda: tg.fit_scipy(np.sum, np.ones(2), bounds=[(0, 1)]),
        InputError,
        r"a pair \(lower, upper\) for each parameter, .* 1 pairs for 2 parameters",
    ),
    "other bounds": (lambda: tg.fit_scipy(lambda b: b, np.ones(2), bounds=3), InputError, r"a pair of arrays \(lower"),
    "no bounds": (
        lambda: tg.fit_scipy(np.sum, np.ones(2), bounds=[(0, 1)] * 2, method="BFGS"),
        UsageError,
        "Method BFGS cannot handle bounds.* choose another",
    ),
    "another loss": (
        lambda: tg.fit_scipy(lambda b: b, np.ones(2), loss="l1"),
        InputError,
        "no loss 'l1' of residuals; there are linear, soft_l1",
    ),
    "no function": (lambda: tg.fit_scipy(3, np.ones(1)), UsageError, "got int: pass f itself"),
}


@pytest.mark.parametrize(("attempt", "kind", "message"), ERRORS.values(), ids=list(ERRORS))
def test_errors(attempt: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt()


def test_scipy_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(MissingExtraError, match="SciPy, which comes with the extra `examples`"):
        tg.fit_scipy(lambda b: b, np.ones(1))


def test_the_table_of_a_fit() -> None:
    fit = tg.fit_scipy(lambda p: p["a"] * X + p["b"][0] - Y, {"a": 1.0, "b": np.zeros(1)})
    first, second, third, last = repr(fit).splitlines()
    assert first.split() == ["parameter", "value", "standard", "error"]
    assert [second.split()[0], third.split()[0]] == ["a", "b[0]"]
    assert float(second.split()[1]) == pytest.approx(float(fit.parameters["a"]), rel=1e-5)
    assert last.startswith("loss ")
    assert "residual standard deviation" in last


@pytest.mark.parametrize("method", ["trf", "dogbox", "lm"])
@pytest.mark.parametrize("unit", [1e-15, 1e-6, 1e9])
def test_residuals_may_be_in_any_unit(method: str, unit: float) -> None:
    x = np.linspace(0, 5, 30)
    y = (3 * np.exp(-0.5 * x) + 0.05 * np.cos(9 * x)) * unit

    def residuals(parameters: Any) -> Any:
        return parameters[0] * unit * np.exp(-parameters[1] * x) - y

    fit = tg.fit_scipy(residuals, np.ones(2), method=method)
    assert fit.converged
    np.testing.assert_allclose(fit.parameters, [3.0, 0.5], rtol=0.03)
    np.testing.assert_allclose(
        residuals(fit.parameters) @ tg.jacobian(residuals)(fit.parameters), 0, atol=unit**2 * 1e-9
    )


def test_derivatives_that_are_infinite_on_the_way_are_named() -> None:
    with pytest.raises(InputError, match=r"derivatives that are not finite at \[0\.\]: pass bounds"):
        tg.fit_scipy(lambda x: np.sqrt(x) + np.array([5.0, 4.0]), np.array([1.0]))


@pytest.mark.long
@pytest.mark.parametrize(
    "settings", [{"options": {"maxiter": 300}}, pytest.param({}, marks=pytest.mark.slow)], ids=["short", "long"]
)
@pytest.mark.parametrize("f", [np.sum, lambda x: x[0] ** 2 - 3 * x[1], lambda x: -np.sum(x) * 1e-9])
def test_a_loss_that_falls_forever_has_no_minimum(f: Any, settings: Any) -> None:
    with pytest.warns(UserWarning, match="did not converge"):
        fit = tg.fit_scipy(f, np.ones(2), **settings)
    assert not fit.converged
    assert np.all(np.isnan(fit.standard_errors))
