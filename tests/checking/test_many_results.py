"""Gradients whose entries are mostly 0 or small beside others: all are verified, with few calls."""

from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg

SIZE = 40
rng = np.random.default_rng(5)
apart = np.abs(np.subtract.outer(np.arange(SIZE), np.arange(SIZE)))
PATTERNS: dict[str, Any] = {
    "diagonal": apart == 0,
    "three diagonals": apart <= 1,
    "triangular": np.tri(SIZE),
    "blocks of 8": np.kron(np.identity(5), np.ones((8, 8))),
    "at random": rng.random((SIZE, SIZE)) < 0.1,
    "every size": 10.0 ** rng.uniform(-8, 0, (SIZE, SIZE)),
    "small but for one": np.where(apart == 0, 1.0, 1e-6),
}
X = rng.normal(size=SIZE)


class Mixed:
    """The results `weights @ wave(x)` as numbers that no operation made, with their Jacobian."""

    def __init__(self, weights: Any) -> None:
        self.weights = weights * rng.uniform(0.5, 1.5, (SIZE, SIZE))

    def __call__(self, x: Any) -> Any:
        return np.array([float(y) for y in self.weights @ (np.exp(x) * np.sin(3 * x))])

    def jacobian(self, x: Any) -> Any:
        return self.weights * np.exp(x) * (np.sin(3 * x) + 3 * np.cos(3 * x))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_right_jacobian_is_verified(pattern: str) -> None:
    f = Mixed(PATTERNS[pattern])
    report = tg.gradcheck(f, X, gradient=f.jacobian, raise_exception=False)
    assert report.ok, str(report)


def test_parameters_that_hardly_matter_in_most_results_take_few_calls() -> None:
    """How few depends on the numbers: the mean over five networks counts."""
    calls, shapes = 0, ((10, 8), (8, 16), (16, 5))
    for seed in range(5):
        of_network = np.random.default_rng(seed)
        rows, first, second = (of_network.normal(size=shape) for shape in shapes)

        def network(first: Any, second: Any, rows: Any = rows) -> Any:
            return np.tanh(rows @ first) @ second  # mostly saturated

        def opaque(first: Any, second: Any, network: Any = network) -> Any:
            nonlocal calls
            calls += 1
            return np.reshape([float(y) for y in network(first, second).flat], (10, 5))

        jacobian = tg.jacobian(network, argnums=(0, 1))
        report = tg.gradcheck(opaque, first, second, gradient=jacobian, raise_exception=False)
        assert report.ok, str(report)
    assert calls / 5 < 8 * (8 * 16 + 16 * 5)


@pytest.mark.long
@pytest.mark.parametrize("spread", [0, 2, 3])
def test_200_entries_of_every_size_take_few_calls_and_the_smallest_is_held_to_its_own_size(spread: float) -> None:
    weights = 10 ** rng.uniform(-spread, 0, 200)
    calls = 0

    def opaque(x: Any) -> float:
        nonlocal calls
        calls += 1
        return float(weights @ np.sin(x))

    x = rng.uniform(0.5, 1, 200)
    right = weights * np.cos(x)
    assert tg.gradcheck(opaque, x, gradient=right).ok
    assert calls < 110  # PyTorch's check takes 400
    wrong, smallest = right.copy(), np.argmin(right)
    wrong[smallest] *= 1 + 1e-5
    report = tg.gradcheck(opaque, x, gradient=wrong, raise_exception=False)
    assert np.flatnonzero(report["x"].verdicts[0] == "wrong").tolist() == [smallest]


@pytest.mark.long
@pytest.mark.parametrize("of_largest", [1e-9, 1e-3])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_an_entry_that_is_wrong_beside_larger_ones_is_found(pattern: str, of_largest: float) -> None:
    f = Mixed(PATTERNS[pattern])
    right = f.jacobian(X)
    row, column = 7, 23
    wrong = right.copy()
    wrong[row, column] += of_largest * np.max(np.abs(right[row]))
    report = tg.gradcheck(f, X, gradient=wrong, raise_exception=False)
    assert report.outcome == "failed", str(report)
    assert report["x"].verdicts[row, column] == "wrong"
    assert np.sum(report["x"].verdicts == "wrong") == 1


@pytest.mark.long
@pytest.mark.parametrize("pattern", PATTERNS)
def test_two_errors_that_cancel_in_a_sum_are_found(pattern: str) -> None:
    f = Mixed(PATTERNS[pattern])
    right = f.jacobian(X)
    wrong = right.copy()
    error = 1e-8 * np.max(np.abs(right[11]))
    wrong[11, 3] += error
    wrong[11, 30] -= error
    report = tg.gradcheck(f, X, gradient=wrong, raise_exception=False)
    assert {tuple(entry) for entry in np.argwhere(report["x"].verdicts == "wrong")} == {(11, 3), (11, 30)}
