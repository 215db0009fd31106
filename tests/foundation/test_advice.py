"""Other people's functions that ask for a plain array: the message says which one asked, and what to write instead."""

import importlib
import linecache
import re
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.fft
import scipy.integrate
import scipy.interpolate
import scipy.linalg
import scipy.ndimage
import scipy.optimize
import scipy.signal
import scipy.spatial
import scipy.special
import scipy.stats
import sklearn.linear_model
import sklearn.preprocessing

import tinygrad_lite as tg
from tinygrad_lite.errors import TinygradError, UsageError
from tinygrad_lite.foundation import advice

ONES = np.ones(3)
_ENTRYWISE = np.vectorize(lambda entry: entry)

ASKING: dict[str, tuple[Callable[[Any], Any], str]] = {
    "solve_triangular": (lambda x: scipy.linalg.solve_triangular(x, ONES), "use tg.linalg.solve_triangular"),
    "a right side": (lambda x: scipy.linalg.solve_triangular(np.eye(3), x), "use tg.linalg.solve_triangular"),
    "cho_factor": (lambda x: scipy.linalg.cho_factor(x), "use tg.linalg.cho_factor"),
    "cho_solve": (lambda x: scipy.linalg.cho_solve((x, True), ONES), "use tg.linalg.cho_solve"),
    "inv": (lambda x: scipy.linalg.inv(x), "use np.linalg.inv"),
    "svd": (lambda x: scipy.linalg.svd(x), "use np.linalg.svd"),
    "softmax": (lambda x: scipy.special.softmax(x), "use tg.nn.functional.softmax"),
    "logsumexp": (lambda x: scipy.special.logsumexp(x), "use tg.nn.functional.logsumexp"),
    "expm": (lambda x: scipy.linalg.expm(x), "scipy.linalg.expm has no derivative here"),
    "joined along rows": (lambda x: np.r_[0.0, x], r"use np.hstack\(\[...\]\) or"),
    "joined along columns": (lambda x: np.c_[x, x], r"or np.column_stack\(\[...\]\)"),
    "an alias": (lambda x, f=scipy.linalg.expm: f(x), "scipy.linalg.expm has no derivative here"),
    "a map": (lambda x: list(map(scipy.linalg.expm, [x])), "scipy.linalg.expm has no derivative here"),
    "a partial": (lambda x: partial(scipy.signal.lfilter, [1.0], [1.0])(x), "scipy.signal.lfilter has no derivative"),
    "over several lines": (
        lambda x: scipy.ndimage.gaussian_filter(
            x,
            1.0,
        ),
        "scipy.ndimage.gaussian_filter has no derivative here",
    ),
    "zscore": (lambda x: scipy.stats.zscore(x), "scipy.stats.zscore has no derivative here"),
    "vectorize": (lambda x: _ENTRYWISE(x), r"np.vectorize has .* use np.where for a choice"),
    "masked": (lambda x: np.ma.masked_array(x, x > 1), r"np.ma.MaskedArray has .* use np.where\(mask, fill, x\)"),
    "masked_where": (lambda x: np.ma.masked_where(ONES > 1, x), r"masked_where has .* use np.where\(mask, fill, x"),
    "a polynomial": (lambda x: np.polynomial.Polynomial(x[0]), r"use np.polyval\(coefficients\[::-1\], x\)"),
    "chebval": (lambda x: np.polynomial.chebyshev.chebval(0.3, x), r"chebvander\(x, degree\) @ coefficients"),
    "fft": (lambda x: scipy.fft.fft(x), "scipy.fft.fft has no derivative here"),
    "a class": (lambda x: scipy.interpolate.CubicSpline(x[0], ONES), "scipy.interpolate.CubicSpline has no derivative"),
    "a frame": (lambda x: pd.DataFrame(x), "pandas.DataFrame has no derivative here"),
    "a frame that is half made": (lambda x: [pd.DataFrame][0]({"a": x[0]}), "pandas.core.frame.DataFrame.__init__ has"),
    "a method": (
        lambda x: sklearn.linear_model.LinearRegression().fit(x, ONES),
        "sklearn.linear_model.LinearRegression.fit has no derivative here",
    ),
    "scale": (lambda x: sklearn.preprocessing.scale(x), "sklearn.preprocessing.scale has no derivative here"),
    "polyval": (
        lambda x: np.polynomial.polynomial.polyval(2.0, x),
        "np.polynomial.polynomial.polyval has no derivative",
    ),
    "full": (lambda x: np.full(3, x[0, 0]), "use np.broadcast_to"),
    "asarray": (np.asarray, "NumPy was about to turn"),
    "array": (lambda x: np.array([x, x]), r"Write tg.array\(\[...\]\)"),
    "dot": (lambda x: ONES.dot(x), r"np.dot\(array, tensor\) in place of array.dot\(tensor\)"),
    "fill_diagonal": (lambda x: np.fill_diagonal(np.zeros((3, 3)), x), r"use x.at\[i, i\].set\(values\) of a tensor"),
}


@pytest.mark.parametrize(("f", "message"), ASKING.values(), ids=list(ASKING))
def test_who_asks_for_a_plain_array_is_named(f: Callable[[Any], Any], message: str) -> None:
    x = np.eye(3) + 0.1
    for attempt in (
        lambda: f(tg.tensor(x, requires_grad=True)),
        lambda: tg.grad(lambda x: np.sum(f(x)))(x),
        lambda: tg.jvp(f, (x,), (x,)),
    ):
        with pytest.raises(UsageError, match=message) as caught:
            attempt()
        assert "history would be lost" in str(caught.value)


MAKERS = {
    "np.array(x)": "Write x itself, or tg.array(x) if it may be a list, in place of np.array(x)",
    "np.asarray(x, dtype=float)": "Write x itself, or tg.array(x) if it may be a list, in place of np.asarray(x, ",
    "np.asanyarray(2 * x)": "Write 2 * x itself, or tg.array(2 * x) if it may be a list, in place of np.asanyarray(2 ",
    "np.ascontiguousarray(x.T)": "Write x.T itself, or tg.array(x.T) if it may be a list, in place of np.ascont",
    "np.float32(x)": "Write x.astype(np.float32) in place of np.float32(x)",
    "np.asarray([x, x])": "Write tg.array([...])",
    "np.random.normal(x)": "Write loc + scale * rng.normal(size=shape), say, or tg.distributions.Normal(loc, scale)",
    "rng.exponential(x)": "Write loc + scale * rng.normal(size=shape), say",
    "np.random.default_rng(0).gamma(x)": "Write loc + scale * rng.normal(size=shape), say",
    "rng.permutation(x)": "Write x[rng.permutation(len(x))] in place of rng.permutation(x)",
    "rng.choice(2 * x, 3)": "Write (2 * x)[rng.choice(len(2 * x), 3)] in place of rng.choice(2 * x, 3)",
    "np.random.permutation(x)": "Write x[np.random.permutation(len(x))] in place of np.random.permutation(x)",
    "rng.choice(3, p=x)": "Write loc + scale * rng.normal(size=shape), say",
    "np.random.RandomState(0).uniform(0, x)": "Write loc + scale * rng.normal(size=shape), say",
}


@pytest.mark.parametrize("call", MAKERS)
def test_a_call_that_asks_no_one_for_the_array_is_named(call: str) -> None:
    source = f"f = lambda x: {call}"
    linecache.cache[call] = (len(source), None, [source], call)
    names = {"np": np, "rng": np.random.default_rng(0)}
    exec(compile(source, call, "exec"), names)
    for attempt in (
        lambda: names["f"](tg.tensor(ONES, requires_grad=True)),  # type: ignore[operator]
        lambda: tg.jvp(names["f"], (ONES,), (ONES,)),  # type: ignore[arg-type]
    ):
        with pytest.raises(UsageError, match=re.escape(MAKERS[call])):
            attempt()


OF_SCIPY = {
    "norm": {"loc": 0.3, "scale": 1.2},
    "lognorm": {"s": 0.7, "scale": 1.2},
    "halfnorm": {"scale": 1.2},
    "multivariate_normal": {"mean": np.array([0.1, 0.2]), "cov": np.array([[2.0, 0.3], [0.3, 1.0]])},
    "t": {"df": 3.5, "loc": 0.3, "scale": 1.2},
    "cauchy": {"loc": 0.3, "scale": 1.2},
    "laplace": {"loc": 0.3, "scale": 1.2},
    "gumbel_r": {"loc": 0.3, "scale": 1.2},
    "uniform": {"loc": 0.1, "scale": 1.2},
    "expon": {"scale": 1.2},
    "gamma": {"a": 2.5, "scale": 1.2},
    "chi2": {"df": 3.0},
    "beta": {"a": 2.5, "b": 1.5},
    "dirichlet": {"alpha": np.array([2.0, 1.5])},
    "bernoulli": {"p": 0.3},
    "binom": {"n": 4, "p": 0.3},
    "poisson": {"mu": 1.7},
}


@pytest.mark.parametrize("name", advice._DISTRIBUTIONS)
def test_scipys_distributions_name_ours_which_have_the_same_density(name: str) -> None:
    theirs, arguments = getattr(scipy.stats, name), OF_SCIPY[name]
    x: Any = {
        "multivariate_normal": [0.4, 0.7],
        "dirichlet": [0.4, 0.6],
        "bernoulli": 1.0,
        "binom": 2.0,
        "poisson": 2.0,
    }
    x = np.array(x.get(name, 0.45))
    for method, frozen in (("logpdf", True), ("logpmf", True), ("pdf", False), ("pmf", False)):
        if not hasattr(theirs, method):
            continue
        parameter = next(name for name in arguments if name != "n")
        tensors = {**arguments, parameter: tg.tensor(arguments[parameter], requires_grad=True)}
        with pytest.raises(UsageError, match=rf"scipy\.stats\.{name}\.{method} has no derivative") as caught:
            getattr(theirs, method)(x, **tensors)
        if frozen:
            with pytest.raises(UsageError, match=rf"scipy\.stats\.{name}\.\w+ has no derivative"):
                getattr(theirs(**arguments), method)(tg.tensor(x, requires_grad=True))
        expression = re.search(r"use (.*); to leave", str(caught.value))
        assert expression is not None
        ours = eval(expression[1], {"tg": tg, "np": np, "x": x, "loc": 0.0, "scale": 1.0, **arguments})
        np.testing.assert_allclose(ours, getattr(theirs, method)(x, **arguments), rtol=1e-12)


def test_a_distribution_of_scipys_that_we_lack_is_written_as_its_formula() -> None:
    with pytest.raises(UsageError, match=r"scipy\.stats\.weibull_min\.logpdf .* use the formula of its density"):
        scipy.stats.weibull_min.logpdf(tg.tensor(0.3, requires_grad=True), 1.5)


SIGNS = ("+=", "-=", "*=", "/=", "**=", "//=", "%=")


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("place", ["a", "a[:2]", "b[0]"])
def test_an_array_that_a_tensor_would_be_added_into_says_how_to_write_it(sign: str, place: str) -> None:
    size = 2 if place == "a[:2]" else 3
    for x in (tg.tensor(np.ones(size)), tg.tensor(np.ones(size), requires_grad=True)):
        with pytest.raises(UsageError, match=re.escape(f"array {sign} tensor would write into the array")) as caught:
            exec(f"{place} {sign} x", {"a": np.ones(3), "b": np.ones((2, 3)), "x": x})
        assert f"write x = x {sign[:-1]} tensor; for some of its entries, x = tg.tensor(x).at[index]" in str(
            caught.value
        )


def test_an_array_for_the_result_is_told_from_such_an_assignment() -> None:
    with pytest.raises(
        UsageError, match=r"^add: out= would write into an array, and arrays here never change; use the"
    ):
        np.add(tg.tensor(ONES), ONES, out=np.zeros(3))  # type: ignore[call-overload]


@pytest.mark.parametrize("name", ["stats.gmean", "integrate.cumulative_trapezoid", "signal.hilbert"])
def test_a_function_of_scipys_may_take_tensors_with_its_array_api(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    room = importlib.import_module(f"scipy.{name.partition('.')[0]}")
    function = getattr(room, name.partition(".")[2])
    x = tg.tensor([1.0, 2.0, 4.0], requires_grad=True)
    for setting, advises in (("", True), ("1", False)):
        monkeypatch.setenv("SCIPY_ARRAY_API", setting)
        with pytest.raises(UsageError, match=rf"scipy\.{name} has no derivative here") as caught:
            function(x)
        assert ("set SCIPY_ARRAY_API=1 before Python starts" in str(caught.value)) is advises


_M = np.array([[2.0, 0.5, 0.1], [0.5, 1.5, 0.3], [0.1, 0.3, 1.2]])
_NAMES: dict[str, Any] = {
    "np": np,
    "tg": tg,
    "scipy": scipy,
    "digamma": scipy.special.digamma,
    "a": _M,
    "b": _M[:2],
    "d": 2,
    "dx": 1.0,
    "k": 2.0,
    "kernel": np.array([1.0, 2.0]),
    "m": 3,
    "n": 3,
    "points": np.array([0.5, 1.2]),
    "r": ONES,
    "c": np.arange(3.0),
    "x": np.arange(3.0),
    "y": np.arange(3.0) ** 2,
}
FORMULAS: dict[str, tuple[str, dict[str, Any]]] = {
    "np.ndenumerate": ("np.ndenumerate(x)", {"x": _M}),
    "scipy.fft.dct": ("scipy.fft.dct(x)", {}),
    "scipy.integrate.simpson": ("scipy.integrate.simpson(y)", {}),
    "scipy.integrate.trapezoid": ("scipy.integrate.trapezoid(y, x)", {}),
    "scipy.interpolate.interp1d": ("scipy.interpolate.interp1d(x, y)(points)", {}),
    "scipy.signal.convolve": ("scipy.signal.convolve(x, kernel)", {}),
    "scipy.signal.correlate": ("scipy.signal.correlate(x, kernel)", {}),
    "scipy.signal.fftconvolve": ("scipy.signal.fftconvolve(x, kernel)", {}),
    "scipy.spatial.distance.cdist": ("scipy.spatial.distance.cdist(a, b)", {}),
    "scipy.special.comb": ("scipy.special.comb(n, k)", {"n": 3.5}),
    "scipy.special.factorial": ("scipy.special.factorial(n)", {"n": 3.5}),
    "scipy.special.multigammaln": ("scipy.special.multigammaln(a, d)", {"a": np.array([2.5, 3.0])}),
    "scipy.special.polygamma": ("scipy.special.polygamma(n, x)", {"n": 2, "x": np.array([0.7, 2.5])}),
    "scipy.stats.pearsonr": ("scipy.stats.pearsonr(x, y)[0]", {}),
    "scipy.stats.zscore": ("scipy.stats.zscore(y)", {"x": np.arange(3.0) ** 2}),
}


def test_the_formula_that_a_message_names_is_that_of_the_function() -> None:
    """Those of other functions are words, or need a shape that they name."""
    for name, (call, values) in FORMULAS.items():
        formula = re.split(r", or ", advice._FORMULAS[name])[0]
        names = _NAMES | values
        computed, expected = eval(formula, names), eval(call, names)
        if name == "np.ndenumerate":
            assert list(computed) == list(expected)
            continue
        np.testing.assert_allclose(computed, expected, rtol=1e-12, atol=1e-12, err_msg=name)


def test_a_function_of_scipy_linalg_that_is_here_for_tensors_is_named() -> None:
    assert sorted(advice.OF_SCIPY) == sorted(tg.linalg.__all__)


def test_a_convolution_of_images_that_a_message_names_is_scipys() -> None:
    x, kernel = np.arange(20.0).reshape(4, 5) ** 2, np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0], [0.2, 0.1, 1.0]])
    names = {"tg": tg, "np": np, "x": x, "kernel": kernel, "pairs": 2}
    expected = scipy.signal.convolve2d(x, kernel)
    np.testing.assert_allclose(eval(advice._FORMULAS["scipy.signal.convolve2d"], names), expected, rtol=1e-12)
    for name in ("convolve", "correlate"):
        formula = advice._FORMULAS[f"scipy.ndimage.{name}"].partition(" after np.pad")[0]
        same = eval(formula, names | {"x": np.pad(x, 1)})
        np.testing.assert_allclose(same, getattr(scipy.ndimage, name)(x, kernel, mode="constant"), rtol=1e-12)


SOLVING: dict[str, Callable[[Any], Any]] = {
    "integrate.quad": lambda x: scipy.integrate.quad(lambda u: u * x, 0, 1)[0],
    "integrate.odeint": lambda x: scipy.integrate.odeint(lambda y, t: -x * y, 1.0, [0.0, 1.0])[-1, 0],
    "integrate.solve_ivp": lambda x: scipy.integrate.solve_ivp(lambda t, y: -x * y, (0, 1), [1.0]).y[0, -1],
    "optimize.minimize_scalar": lambda x: scipy.optimize.minimize_scalar(lambda u: (u - x) ** 2).x,
}


@pytest.mark.parametrize("name", SOLVING)
def test_a_solver_of_scipys_is_named_and_what_to_write_in_its_place(name: str) -> None:
    f = SOLVING[name]
    advice = {
        "integrate.quad": "a sum over nodes",
        "integrate.odeint": "a loop of steps",
        "integrate.solve_ivp": "a loop of steps",
    }.get(name, "tg.custom_gradient with the derivative of its solution")
    for attempt in (
        lambda: f(tg.tensor(2.0, requires_grad=True)),
        lambda: tg.grad(f)(2.0),
        lambda: tg.jvp(f, (2.0,), (1.0,)),
    ):
        with pytest.raises(UsageError, match=rf"scipy\.{name} .* history would be lost.* use {advice}"):
            attempt()


def test_a_function_is_named_where_no_source_is_known() -> None:
    namespace = {"scipy": scipy, "x": tg.tensor(np.eye(3), requires_grad=True), "ONES": ONES}
    for call in ("solve_triangular(x, ONES)", "cho_solve((x, True), ONES)", "expm(x)"):
        name = call.partition("(")[0]
        with pytest.raises(UsageError, match=f"scipy.linalg.{name} has no derivative here"):
            eval(f"scipy.linalg.{call}", namespace)


LISTS: dict[str, Callable[[Any], Any]] = {
    "np.sum": lambda x: np.sum([x, x]),
    "np.max": lambda x: np.max([[x, x], [x, x]]),
    "np.stack": lambda x: np.stack([[x, x], [x, x]]),
    "np.linalg.norm": lambda x: np.linalg.norm([x, x]),
    "np.interp": lambda x: np.interp(0.5, [0.0, 1.0], [x, x]),
    "np.dot": lambda x: np.dot(ONES, [x, x, x]),
    "np.where": lambda x: np.where([True, False], [x, x], 0.0),
    "np.exp": lambda x: np.exp([x, x]),
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_tensors_is_told_from_a_function_without_a_derivative(name: str) -> None:
    f = LISTS[name]
    for attempt in (lambda: f(tg.tensor(2.0, requires_grad=True)), lambda: tg.jvp(f, (2.0,), (1.0,))):
        with pytest.raises(UsageError, match=rf"{name} was about to turn a list .* as in {name}\(tg\.array"):
            attempt()


UFUNCS = [x for x in vars(np).values() if isinstance(x, np.ufunc) and x.nout == 1 and not x.signature]


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda ufunc: ufunc.__name__)
def test_writing_at_places_names_the_functional_way(ufunc: Any) -> None:
    x = tg.tensor(ONES, requires_grad=True)
    values = [1.0] * (ufunc.nin - 1)
    with pytest.raises(UsageError, match=rf"np\.{ufunc.__name__}\.at would write .* x = x\.at\[index\]\."):
        ufunc.at(x, [0, 1], *values)
    if ufunc.nin == 2:
        with pytest.raises(
            UsageError, match=rf"np\.{ufunc.__name__}\.reduceat has no derivative here: write np\.stack"
        ):
            ufunc.reduceat(x, [0, 1])


def test_what_the_messages_of_places_name_does_it() -> None:
    x, zeros = tg.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True), np.zeros(2)
    added = np.array(x.detach().numpy())
    np.add.at(added, [0, 0], 5.0)
    np.testing.assert_array_equal(x.at[[0, 0]].add(5.0).detach(), added)
    indices = [0, 3]
    sums = np.stack([np.add.reduce(x[i:j]) for i, j in pairwise([*indices, len(x)])])
    np.testing.assert_array_equal(sums.detach(), np.add.reduceat(x.detach().numpy(), indices))
    np.testing.assert_array_equal(tg.tensor(zeros).at[[0, 0, 0, 1]].add(x).detach(), sums.detach())
    with pytest.raises(UsageError, match=r"x\.at\[index\]\.add\(values\)"):
        np.add.at(zeros, [0, 1, 1, 0], x)


def _filled(x: Any) -> Any:
    array = np.zeros(2)
    array.fill(x[0])
    return array


HIDDEN: dict[str, tuple[Callable[[Any], Any], str]] = {
    "fromiter": (lambda x: np.fromiter(x, float), "np.stack of a list"),
    "fromiter of a generator": (lambda x: np.fromiter((v * v for v in x), float), "np.stack of a list"),
    "fill": (_filled, "np.broadcast_to"),
    "a structured array": (lambda x: np.array([(x[0], 1)], [("a", float), ("b", int)]), "np.stack of a list"),
    "an entry": (lambda x: np.zeros(2).__setitem__(0, x[0]), "np.stack of a list"),
    "nditer": (lambda x: np.stack([*np.nditer(x)]), r"np\.ravel\(x\)"),
    "nditer of several": (lambda x: [a * b for a, b in np.nditer([x, x])], r"np\.ravel\(x\)"),
}
MODES: dict[str, Callable[[Any], Any]] = {
    "grad": lambda f: tg.grad(f)(ONES),
    "jvp": lambda f: tg.jvp(f, (ONES,), (ONES,)),
    "vmap": lambda f: tg.vmap(f)(np.ones((2, 3))),
    "grad of vmap": lambda f: tg.grad(lambda x: tg.vmap(f)(x).sum())(np.ones((2, 3))),
}


@pytest.mark.parametrize("mode", MODES)
def test_an_error_of_numpys_does_not_hide_the_advice(mode: str) -> None:
    """NumPy replaces our error by its own where it takes numbers one by one, or asks whether it may write."""
    for f, instead in HIDDEN.values():
        with pytest.raises(TinygradError, match=instead):
            MODES[mode](f)


@pytest.mark.parametrize("conditions", [lambda x: [x < 0, x > 1], lambda x: x < 0])
def test_pieces_under_vmap_name_a_choice(conditions: Callable[[Any], Any]) -> None:
    def f(x: Any) -> Any:
        return np.piecewise(x, conditions(x), [lambda v: v * v, lambda v: 2 * v])

    with pytest.raises(UsageError, match=r"np\.select\(conditions.* in place of np\.piecewise"):
        tg.vmap(f)(np.ones((2, 3)))


def test_an_error_of_the_users_stays_although_ours_is_behind_it() -> None:
    def f(x: Any) -> Any:
        try:
            return np.asarray(x)
        except UsageError as error:
            raise ValueError("theirs") from error

    with pytest.raises(ValueError, match="theirs"):
        tg.grad(f)(ONES)


def test_a_tensor_takes_no_fields() -> None:
    """NumPy would write each number into all fields of an entry of its own."""
    fields = np.dtype([("a", float), ("b", int)])
    for f in (lambda x: tg.array([(x[0], x[1])], fields), lambda x: x.astype(fields)):
        for attempt in (lambda: f(tg.tensor(ONES)), lambda: tg.vmap(f)(np.ones((2, 3)))):  # noqa: B023
            with pytest.raises(UsageError, match="has fields"):
                attempt()
    assert tg.array([(1.0, 2)], fields).shape == (1,)
