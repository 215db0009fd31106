"""Other people's functions that ask for a plain array: the message says which one asked, and what to write instead."""

import importlib
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.fft
import scipy.interpolate
import scipy.linalg
import scipy.ndimage
import scipy.signal
import scipy.special
import scipy.stats
import sklearn.linear_model
import sklearn.preprocessing

import tinygrad_lite as tg
from tinygrad_lite.errors import UsageError

ONES = np.ones(3)

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
    "fft": (lambda x: scipy.fft.fft(x), "scipy.fft.fft has no derivative here"),
    "a class": (lambda x: scipy.interpolate.CubicSpline(x[0], ONES), "scipy.interpolate.CubicSpline has no derivative"),
    "a frame": (lambda x: pd.DataFrame(x), "pandas.DataFrame has no derivative here"),
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


@pytest.mark.parametrize("name", ["stats.zscore", "integrate.trapezoid", "signal.fftconvolve"])
def test_a_function_of_scipys_may_take_tensors_with_its_array_api(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    room = importlib.import_module(f"scipy.{name.partition('.')[0]}")
    function = getattr(room, name.partition(".")[2])
    arguments = [tg.tensor([1.0, 2.0, 4.0], requires_grad=True)] * (1 + (name == "signal.fftconvolve"))
    for setting, advises in (("", True), ("1", False)):
        monkeypatch.setenv("SCIPY_ARRAY_API", setting)
        with pytest.raises(UsageError, match=rf"scipy\.{name} has no derivative here") as caught:
            function(*arguments)
        assert ("set SCIPY_ARRAY_API=1 before Python starts" in str(caught.value)) is advises


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
