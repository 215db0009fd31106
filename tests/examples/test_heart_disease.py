"""The heart-disease example: against the tutorial's own derivation by hand, and as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg

EXAMPLE = Path(__file__).parents[2] / "examples" / "heart_disease.py"


@pytest.fixture(scope="module")
def example() -> Any:
    pytest.importorskip("sklearn", reason="scikit-learn comes with the extra `examples`")
    module = ModuleType("heart_disease")
    exec(compile(EXAMPLE.read_text(), EXAMPLE, "exec"), module.__dict__)
    return module


def by_hand(x: Any, y: Any, hidden: int, lr: float, iterations: int) -> tuple[list[float], list[Any]]:
    """The tutorial's network in plain NumPy, with every gradient derived by hand."""
    draw = np.random.RandomState(1).randn
    w1, b1, w2, b2 = draw(13, hidden), draw(hidden), draw(hidden, 1), draw(1)
    curve = []
    for _ in range(iterations):
        z1 = x @ w1 + b1
        a1 = np.maximum(z1, 0)
        z2 = a1 @ w2 + b2
        p = 1 / (1 + np.exp(-z2))
        log_p, log_q = np.log(np.maximum(p, 1e-10)), np.log(np.maximum(1 - p, 1e-10))
        curve.append(float(-np.mean(y * log_p + (1 - y) * log_q)))

        dl_dp = (1 - y) / np.maximum(1 - p, 1e-10) - y / np.maximum(p, 1e-10)
        dl_dz2 = dl_dp * p / (1 + np.exp(z2))  # times p (1 - p), where 1 - p would have lost its digits
        dl_dz1 = (dl_dz2 @ w2.T) * (z1 > 0)
        w2 = w2 - lr * a1.T @ dl_dz2
        b2 = b2 - lr * dl_dz2.sum(axis=0)
        w1 = w1 - lr * x.T @ dl_dz1
        b1 = b1 - lr * dl_dz1.sum(axis=0)
    return curve, [w1.T, b1, w2.T, b2]


@pytest.mark.parametrize(("hidden", "lr", "iterations"), [(8, 0.001, 100), (10, 0.01, 500)])
def test_the_derivation_by_hand_is_reproduced(example: Any, hidden: int, lr: float, iterations: int) -> None:
    x, _, y, _ = example.split()
    assert x.shape == (216, 13)
    y = y[:, None].astype(float)
    model = example.network(hidden)
    curve = example.train(model, tg.tensor(x), tg.tensor(y), lr, iterations)
    expected, weights = by_hand(x, y, hidden, lr, iterations)
    np.testing.assert_allclose(curve, expected, rtol=1e-12, atol=1e-12)
    for parameter, weight in zip(model.parameters(), weights):
        np.testing.assert_allclose(parameter.numpy(), weight, rtol=1e-12, atol=1e-12)


def test_the_estimator_trains_as_the_loop_does(example: Any) -> None:
    x, x_test, y, _ = example.split()
    model = example.network(8)
    curve = example.train(model, tg.tensor(x), tg.tensor(y[:, None].astype(float)), 0.001, 100)
    scaled = example.estimator().fit(x, y)
    classifier = scaled["classifier"]
    np.testing.assert_allclose(np.array(classifier.loss_curve_) / len(x), curve, rtol=1e-9)
    np.testing.assert_allclose(scaled.predict_proba(x_test)[:, 1:], example.plain(model)(x_test), rtol=1e-9)


@pytest.mark.slow
def test_as_a_user_runs_it(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn comes with the extra `examples`")
    command = [sys.executable, str(EXAMPLE), "--output", str(tmp_path / "results")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stderr == ""  # no warning, and no progress bar where there is no terminal
    rows = json.loads((tmp_path / "results" / "metrics.json").read_text())
    assert [row["model"] for row in rows[:2]] == ["tutorial 13-8-1", "tutorial 13-10-1"]
    for row in rows[:3]:
        assert {"first_loss", "last_loss", "train_accuracy", "test_accuracy"} <= row.keys()
        assert row["last_loss"] < row["first_loss"]
        assert 0 <= row["test_accuracy"] <= 1
        assert row["model"] in run.stdout
    assert rows[2]["last_loss"] > 2 * rows[0]["last_loss"]  # the mean goes down more slowly than the sum
    assert "scikit-learn" in run.stdout
    assert "searched: 13-" in run.stdout
    assert "10-fold" in run.stdout
    assert (tmp_path / "results" / "loss.png").read_bytes().startswith(b"\x89PNG")
