"""Right gradients that are nothing but rounding, by every method: none is called wrong, and what is wrong still is."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.checking.cancelling import CANCELLING
from tests.marks import param, spread
from tinygrad_lite.readers.random_rounding import Rounding, randomly_rounded, rounded

WAYS: dict[str, dict[str, Any]] = {
    "complex": {},
    "second order": {"order": 2},
    "forward": {"method": "forward"},
    "differences": {"method": "differences"},
}


# whose rules take long to round at random, many times
LONG = ("qᵀ q", "q w qᵀ - a", "u s vᵀ - a", "det a det a⁻¹", "a⁺ a", "a⁺ - a⁻¹", "Σ eigenvalues - trace")


@pytest.mark.long
@pytest.mark.parametrize(
    ("way", "name"),
    [
        param(way, name, slow=i % 6 > 0 if way == "complex" else name in LONG or i % 6 != 1)
        for way in (*WAYS, "from elsewhere")
        for i, name in enumerate(CANCELLING)
    ],
)
def test_what_is_nothing_but_rounding_is_not_called_wrong(way: str, name: str) -> None:
    f, draw = CANCELLING[name]
    options = WAYS.get(way, {"gradient": tg.jacobian(f)})
    report = tg.gradcheck(f, draw(np.random.default_rng(0)), raise_exception=False, **options)
    assert report.outcome != "failed", str(report)


@pytest.mark.long
@pytest.mark.parametrize("name", spread(CANCELLING, 2))
def test_a_little_more_than_rounding_is_called_wrong(name: str) -> None:
    f, draw = CANCELLING[name]
    x = draw(np.random.default_rng(0))
    wrong = np.array(tg.jacobian(f)(x))
    wrong.flat[0] += 1e-8
    assert not tg.gradcheck(f, x, gradient=wrong, raise_exception=False).ok


X = np.array([1.2, 2.3, 3.1])


def wrong() -> dict[str, tuple[Callable[..., Any], Any, dict[str, Any]]]:
    """Functions with a wrong gradient, out of operations that end with the test."""
    bad_square = tg.elementwise(lambda x: x * x, lambda y, x: x, name="bad_square")
    bad_sin = tg.elementwise(lambda x: np.sin(x), lambda y, x: 2 * np.cos(x), name="bad_sin")
    return {
        "in float16": (lambda x: np.sum(bad_square(x)), X.astype(np.float16), {}),
        "a step in float16": (lambda x: np.sum(bad_square(x)) + np.sum((0 * x).astype(np.float16)), X, {}),
        "from elsewhere, in float16": (lambda x: np.sum(x * x), X.astype(np.float16), {"gradient": lambda x: x}),
        "fast waves in float32": (np.sin, np.float32(1000.3), {"gradient": lambda x: 2 * np.cos(x)}),
        "fast waves": (lambda x: np.sum(bad_sin(x)), 1e5 * X + 0.3, {}),
        "behind a rounding": (lambda x: np.sum(np.where(np.round(x) == 2, bad_square(x), 5 * x)), X, {}),
        "behind a sign": (lambda x: np.sum(np.where(np.sign(x - 2) == 1, bad_square(x), 3 * x)), X, {}),
        "behind a remainder": (lambda x: np.sum(np.where(np.floor(x) % 2 == 0, bad_square(x), 5 * x)), X, {}),
        "behind a quotient": (lambda x: np.sum(np.where(x / np.max(x) == 1, bad_square(x), 3 * x)), X, {}),
        "behind integer bounds": (lambda x: np.sum(np.where(np.clip(x, -1, 2) == 2, bad_square(x), x)), X, {}),
        "large": (lambda x: 1e180 * np.sin(x), 1.0, {"gradient": lambda x: 2e180 * np.cos(x)}),
    }


@pytest.mark.long
@pytest.mark.parametrize("method", ["auto", "differences"])
def test_what_is_wrong_is_not_taken_for_rounding(method: Any) -> None:
    for name, (f, x, options) in wrong().items():
        assert not tg.gradcheck(f, x, method=method, raise_exception=False, **options).ok, name


@pytest.mark.long
@pytest.mark.parametrize("factor", [-1.0, 2.0])
def test_a_wrong_gradient_with_many_jumps_close_by(factor: float) -> None:
    """Written in loops, which cannot be rounded at random."""
    rng = np.random.default_rng(0)
    a, b, w = rng.normal(size=(200, 5)), rng.normal(size=200), rng.normal(size=5)

    def loss(w: Any) -> float:
        return sum(abs(float(a[i] @ w) - b[i]) for i in range(200))

    def gradient(w: Any) -> Any:
        return sum(factor * np.sign(float(a[i] @ w) - b[i]) * a[i] for i in range(200))

    assert not tg.gradcheck(loss, w, gradient=gradient, raise_exception=False).ok


def test_a_gradient_from_elsewhere_in_few_digits() -> None:
    """What float32 may round is not called wrong in an array that came out of it, and what is wrong is."""
    for name in ("a⁻¹ a", "solve(a, a)", "Σ softmax", "sin² + cos²", "x^2.5 / x^2.5"):
        f, draw = CANCELLING[name]
        x = draw(np.random.default_rng(0)).astype(np.float32)
        found = np.array(tg.jacobian(f)(x))
        assert found.dtype == np.float32
        assert tg.gradcheck(f, x, gradient=found).ok
        assert tg.gradcheck(f, x.astype(float), gradient=found).ok
        found.flat[0] += 0.01
        assert not tg.gradcheck(f, x, gradient=found, raise_exception=False).ok


def test_many_entries_that_are_nothing_but_rounding_are_not_called_wrong() -> None:
    a = np.random.default_rng(0).normal(size=(40, 40))
    assert tg.gradcheck(lambda a: np.linalg.solve(a, a), a).ok


def test_a_constant_that_is_ill_conditioned_is_not_a_gradient_made_of_differences() -> None:
    """Each step of the reference rounds it alike, and the value is so small that the gradient's own rounding shows."""
    hilbert = 1 / (np.arange(6)[:, None] + np.arange(1.0, 7))

    def f(b: Any) -> Any:
        return np.sum(np.linalg.solve(hilbert, b))

    for b in (np.ones(6), np.arange(1.0, 7)):
        right = np.linalg.solve(hilbert.T, np.ones(6))
        assert tg.gradcheck(f, b, gradient=lambda b, found=right: found).ok
        wrong = right * (1 + 1e-6 * np.eye(6)[2])
        assert not tg.gradcheck(f, b, gradient=lambda b, found=wrong: found, raise_exception=False).ok


def test_rounding_at_random_moves_last_digits_of_what_is_rounded_and_no_others() -> None:
    rng = np.random.default_rng(0)
    x = np.array([3.0, 1.0, 3.0])
    moved = randomly_rounded(x, Rounding(rng))
    assert set(rounded(np.max(moved, axis=0)).ravel()) == {3.0}
    assert np.array_equal(rounded(np.sort(-moved)), np.sort(-x))
    runs = np.array([rounded(np.exp(moved) / 3) for _ in range(200)])
    deviation = np.std(runs / (np.exp(x) / 3) - 1, axis=0)
    assert np.all((deviation > 1e-16) & (deviation < 2e-15))
    narrow = randomly_rounded(x.astype(np.float32), Rounding(rng))
    assert rounded(np.exp(narrow)).dtype == np.float32


DIFFERENCED: dict[str, Callable[[Any], Any]] = {
    "waves": lambda x: np.sum(np.sin(3 * x)),
    "a valley": lambda x: np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2),
    "a soft maximum": lambda x: np.log(np.sum(np.exp(x))),
    "a chain": lambda x: np.tanh(np.prod(x) / 3) ** 2,
}


@pytest.mark.parametrize("name", DIFFERENCED)
@pytest.mark.parametrize("step", [10.0**-n for n in range(4, 14)])
@pytest.mark.parametrize("sides", [(1, 0), (1, -1)], ids=["forward", "central"])
def test_differences_are_no_right_gradient_however_short_the_step(name: str, step: float, sides: Any) -> None:
    f, right = DIFFERENCED[name], tg.grad(DIFFERENCED[name])(X)

    def by_differences(x: Any) -> Any:
        steps, apart = step * np.eye(len(x)), step * (sides[0] - sides[1])
        return np.array([(f(x + sides[0] * h) - f(x + sides[1] * h)) / apart for h in steps])

    report = tg.gradcheck(f, X, gradient=by_differences, raise_exception=False)
    error = np.max(np.abs(by_differences(X) - right)) / np.max(np.abs(right))
    assert report.outcome != "passed" or error < 2e-8, str(report)
    if report.outcome == "inconclusive":
        assert all(
            finding.why.startswith(("its digits are lost", "rounding in the function")) for finding in report.findings
        )


SATURATING: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {  # and 1 - y² or y (1 - y), by hand
    "tanh": (np.tanh, lambda y: 1 - y * y),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), lambda y: y * (1 - y)),
    "softplus": (lambda x: np.log1p(np.exp(x)), lambda y: 1 - np.exp(-y)),
}
SLOPES = np.array([0.3, -0.7, 1.0, 2.0, -1.0, 1.5])


@pytest.mark.long
@pytest.mark.parametrize("name", SATURATING)
@pytest.mark.parametrize(
    "far",
    [
        param(far, slow=far in (16.0, 19.0, 21.0, 36.0))
        for far in (10.0, 16.0, 18.0, 19.0, 21.0, 30.0, 36.0, 37.0, 40.0)
    ],
)
def test_what_saturates_inside_a_function_that_is_not_made_of_operations(name: str, far: float) -> None:
    f, slope = SATURATING[name]

    def by_hand(x: Any) -> Any:
        found = np.empty(len(x))  # which takes no tensors
        for i in range(len(x)):
            found[i] = SLOPES[i] * slope(f(np.asarray(x)[i]))
        return found

    x = np.array([0.4, -0.6, far, -far, far + 0.3, -far - 0.6])
    report = tg.gradcheck(lambda x: np.sum(SLOPES * f(x)), x, gradient=by_hand, raise_exception=False)
    assert report.outcome != "failed", str(report)
    assert np.all(report["x"].verdicts[0, :2] == "right")
    twice = tg.gradcheck(lambda x: np.sum(SLOPES * f(x)), x, gradient=lambda x: 2 * by_hand(x), raise_exception=False)
    assert twice.outcome == "failed"


CLASSES = np.array([0, 1, 2])


def cross_entropy(z: Any) -> Any:
    z = z - np.max(z, axis=1, keepdims=True)
    return np.sum(np.log(np.sum(np.exp(z), axis=1)) - z[CLASSES, CLASSES])


def of_cross_entropy(z: Any) -> Any:
    p = np.exp(z - np.max(z, axis=1, keepdims=True))
    p /= np.sum(p, axis=1, keepdims=True)
    p[CLASSES, CLASSES] -= 1
    return p


LOST_IN_1: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {  # whose values are 0 where they saturate
    "cross-entropy": (cross_entropy, of_cross_entropy),
    "log(1 + exp)": (lambda z: np.sum(np.log(1 + np.exp(z))), lambda z: 1 / (1 + np.exp(-z))),
    "1 - sigmoid": (lambda z: np.sum(1 - 1 / (1 + np.exp(z))), lambda z: 1 / (2 + np.exp(-z) + np.exp(z))),
    "1 - tanh²": (
        lambda z: np.sum(1 - np.tanh(z / 2) ** 2),
        lambda z: -np.tanh(z / 2) * (1 - np.tanh(z / 2) ** 2),
    ),
}
"""Functions, and their gradients, which lose all digits beside 1."""


def far_apart(name: str, distance: float) -> Any:
    near = np.random.default_rng(0).normal(size=(3, 3))
    return np.eye(3) * distance + near if name == "cross-entropy" else near - distance


@pytest.mark.long
@pytest.mark.parametrize("distance", [30.0, 36.0, 37.0, 38.0, 40.0, 50.0, 100.0])
@pytest.mark.parametrize("name", LOST_IN_1)
@pytest.mark.parametrize("is_opaque", [False, True])
def test_a_right_gradient_of_what_saturates_is_not_wrong(name: str, distance: float, is_opaque: bool) -> None:
    f, gradient = LOST_IN_1[name]
    checked = (lambda z: float(f(np.asarray(z)))) if is_opaque else f
    z = far_apart(name, distance)
    report = tg.gradcheck(checked, z, gradient=gradient, raise_exception=False)
    is_known = name == "cross-entropy" and not is_opaque  # the others have digits only where 1 has
    assert report.outcome == "passed" if is_known else report.outcome != "failed", str(report)
    larger = tg.gradcheck(checked, z, gradient=lambda z: gradient(z) + 1e-3, raise_exception=False)
    assert larger.outcome == "failed"
    if not is_opaque and np.any(gradient(z)):
        opposite = tg.gradcheck(f, z, gradient=lambda z: -gradient(z), raise_exception=False)
        assert opposite.outcome == "failed" if is_known else opposite.outcome != "passed"


@pytest.mark.long
@pytest.mark.parametrize("part", [1e-5, 1e-3, 0.1])
@pytest.mark.parametrize("power", [8, 10, 12, 14])
def test_a_mistake_in_an_entry_far_smaller_than_others_is_no_rounding_of_theirs(power: int, part: float) -> None:
    sizes = 10.0 ** -np.arange(15)
    x = np.random.default_rng(0).normal(size=15)

    def by_hand(x: Any) -> Any:
        found = sizes * np.cos(np.asarray(x))
        found[power] *= 1 + part
        return found

    report = tg.gradcheck(lambda x: np.sum(sizes * np.sin(x)), x, gradient=by_hand, raise_exception=False)
    assert report.outcome == "failed"
    assert report.counts() == {"right": 14, "wrong": 1}


WEIGHTS = np.arange(1.0, 7)


@pytest.mark.slow
@pytest.mark.parametrize("divisor", [3.0, 7.0, 11.0])
@pytest.mark.parametrize("at", [0.0, 1.0, -2.5, 0.3])
def test_results_in_float32_hide_what_they_round_alike_at_each_step(divisor: float, at: float) -> None:
    def in_float32(x: Any) -> Any:
        return np.sum(WEIGHTS * (np.asarray(x) / divisor).astype(np.float32))

    x = np.full(6, at)
    report = tg.gradcheck(in_float32, x, gradient=WEIGHTS / divisor, raise_exception=False)
    assert report.outcome != "failed", str(report)
    wrong = tg.gradcheck(in_float32, x, gradient=WEIGHTS / divisor * (1 + 1e-3), raise_exception=False)
    assert wrong.outcome != "passed"


VANISHING: dict[str, tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]] = {
    "sigmoid - 1": (
        lambda x: np.sum(np.log1p(np.exp(-x))),
        lambda x: 1 / (1 + np.exp(-x)) - 1,
        lambda x: -1 / (1 + np.exp(x)),
    ),
    "1 - tanh": (
        lambda x: np.sum(np.log1p(np.exp(-x))),
        lambda x: (np.tanh(x / 2) - 1) / 2,
        lambda x: -1 / (1 + np.exp(x)),
    ),
    "by the weights of a sum": (
        lambda w: np.log1p(np.exp(-SLOPES[::2] @ w)),
        lambda w: SLOPES[::2] * (1 / (1 + np.exp(-SLOPES[::2] @ w)) - 1),
        lambda w: -SLOPES[::2] / (1 + np.exp(SLOPES[::2] @ w)),
    ),
}
"""Functions whose values have digits where their gradients have none left, and gradients that keep theirs."""


@pytest.mark.long
@pytest.mark.parametrize("name", VANISHING)
@pytest.mark.parametrize("is_opaque", [False, True])
def test_a_gradient_that_is_0_by_rounding_is_told_from_one_that_is_left_out(name: str, is_opaque: bool) -> None:
    f, rounded, exact = VANISHING[name]
    x = np.array([60.0, 150.0, 40.0])

    def outcome(gradient: Callable[..., Any]) -> str:
        by_numbers = (lambda x: np.array([float(v) for v in gradient(x)])) if is_opaque else gradient
        checked = (lambda x: float(f(np.asarray(x)))) if is_opaque else f
        return tg.gradcheck(checked, x, gradient=by_numbers, raise_exception=False).outcome

    assert outcome(rounded) != "failed"
    assert outcome(exact) == "passed"
    for at in (10, 50):
        assert outcome(lambda x: np.where(np.max(x) > at, 0, exact(x))) == "failed"  # noqa: B023
    assert outcome(lambda x: np.where(np.max(x) > 100, 0, 2 * exact(x))) == "failed"
    assert outcome(np.zeros_like) == "failed"
