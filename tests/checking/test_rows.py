"""Functions that are applied to each row, `batched=True`: all rows move at once, and must not influence each other."""

from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.checking import Report
from tinygrad_lite.checking.diagnosing import patience
from tinygrad_lite.errors import ShapeError, UsageError

X = np.random.default_rng(0).normal(size=(6, 3)) * 10.0 ** np.arange(-3, 3)[:, None]


def check(f: Any, *inputs: Any, **options: Any) -> Report:
    return tg.gradcheck(f, *inputs, raise_exception=False, batched=True, **options)


def energy(x: Any) -> Any:
    return np.sum(np.sin(x) * x, axis=1)


def force(x: Any) -> Any:
    return np.cos(x) * x + np.sin(x)


def test_a_gradient_for_each_row() -> None:
    for options in ({}, {"gradient": force}, {"gradient": force(X)}, {"vjp": lambda x, g: g[:, None] * force(x)}):
        report = check(energy, X, **options)
        assert report.ok, str(report)
        assert report["x"].gradient.shape == (6, 3)
        np.testing.assert_allclose(report["x"].gradient, force(X), rtol=1e-14)


def test_the_row_of_a_mistake_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "SECONDS", 0.1)  # nothing explains it

    def wrong(x: Any) -> Any:
        return force(x) * (1 + 1e-9 * (np.arange(6)[:, None] == 4) * (np.arange(3) == 1))

    (finding,) = check(energy, X, gradient=wrong).findings
    assert (finding.path, finding.row, finding.index) == ("x", 4, (1,))


def test_several_arguments_and_results() -> None:
    def outer(x: Any, y: Any) -> Any:
        return np.einsum("bi,bj->bij", x, y)

    def jacobians(x: Any, y: Any) -> Any:
        one = np.eye(3)
        return {"y": np.einsum("bi,jk->bijk", x, one), "x": np.einsum("bj,ik->bijk", y, one)}

    assert check(outer, X, X, gradient=jacobians).ok
    assert not check(outer, X, X, gradient=lambda x, y: {**jacobians(x, y), "y": jacobians(x, y)["x"]}).ok
    assert check(lambda x: {"a": np.sin(x), "b": x[:, 0] * x[:, 1]}, X).ok
    assert check(lambda x: x**2, np.arange(1.0, 5), gradient=lambda x: 2 * x).ok


def test_the_cost_is_that_of_one_row() -> None:
    calls = []

    def f(x: Any) -> Any:
        calls.append(len(x))
        return np.array([float(np.sum(row**3)) for row in x])

    assert check(f, X[:1], gradient=lambda x: 3 * x**2).ok
    few = len(calls)
    calls.clear()
    assert check(f, X, gradient=lambda x: 3 * x**2).ok
    assert len(calls) < 2 * few


@pytest.mark.parametrize(
    "f",
    [lambda x: x - x.mean(axis=0), lambda x: x[[1, 2, 3, 4, 5, 0]], lambda x: x * np.max(np.abs(x[:, 0]))],
    ids=["mean", "other row", "norm"],
)
def test_rows_that_influence_each_other(f: Any) -> None:
    with pytest.raises(UsageError, match=r"row \d influences the results of row \d"):
        check(f, X / np.max(np.abs(X), axis=1, keepdims=True))


def test_parameters_have_no_rows() -> None:
    model = nn.Linear(3, 2, rng=0)
    with pytest.raises(ShapeError, match=r"weight has shape \(2, 3\).* choose what has rows by wrt="):
        check(model, X)
    assert check(model, X, wrt="input").ok
    with pytest.raises(ShapeError, match="the results have"):
        check(lambda x: np.sum(x), X)


def test_bounds_hold_for_every_row() -> None:
    x = np.random.default_rng(0).uniform(1, 2, (5, 3))

    def f(x: Any) -> Any:
        assert np.all(x > 0.9)
        assert np.all(x < 2.1)
        return np.array([float(np.sum(row**3)) for row in x])

    assert check(f, x, gradient=lambda x: 3 * x**2, bounds=(0.91, 2.09)).ok


@pytest.mark.parametrize(
    "options", [{"order": 2}, {"hvp": np.multiply}, {"jvp": np.multiply}], ids=["order", "hvp", "jvp"]
)
def test_second_derivatives_and_forward_mode_are_refused(options: Any) -> None:
    with pytest.raises(UsageError, match="batched=True checks first derivatives"):
        check(energy, X, **options)
