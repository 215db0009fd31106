"""What the checker says of mistakes in gradients that were derived by hand."""

from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.checking import handwritten
from tests.checking.planted import PLANTED, Planted
from tests.marks import param, spread
from tinygrad_lite.checking.diagnosing import composites, mistakes
from tinygrad_lite.checking.diagnosing.patterns import name_of_ratio, pattern
from tinygrad_lite.checking.diagnosing.regions import place, region
from tinygrad_lite.checking.diagnosing.structures import structure
from tinygrad_lite.checking.diagnosing.trace import Trace
from tinygrad_lite.readers.recording import recording

MODELS = sorted({planted.model for planted in PLANTED})


@pytest.mark.parametrize("model", MODELS)
def test_the_gradients_are_right_without_a_mistake(model: str) -> None:
    point = getattr(handwritten, model.upper())
    gradient = getattr(handwritten, f"{model}_gradient")
    inputs = point if isinstance(point, tuple) else (point,)
    assert tg.gradcheck(getattr(handwritten, model), *inputs, gradient=gradient).method == "complex step"


@pytest.mark.parametrize("every", [param(80, slow=False), param(2, slow=True)])
def test_planted_mistakes_are_explained_and_none_wrongly(every: int) -> None:
    tried = PLANTED[::every]
    explained = [planted for planted in tried if _is_explained(planted)]
    assert len(explained) >= 0.9 * len(tried), [planted for planted in tried if planted not in explained]


def _is_explained(planted: Planted) -> bool:
    """Whether all that is wrong is explained; an explanation that is not true fails."""
    failing = [finding for finding in planted.report().findings if finding.fails]
    assert failing, planted
    for finding in failing:
        assert not finding.why or any(words in finding.why for words in planted.words.split("|")), (planted, finding)
    return all(finding.why for finding in failing)


X = np.array([[0.5, -1.0, 2.0, 1.5], [-0.3, 0.8, -0.6, 2.2], [1.1, -0.4, 0.9, -1.7], [0.2, 0.7, -1.3, 0.4]])
RIGHT = np.sin(3 * X) + X.T
ENTRY = np.arange(X.size).reshape(X.shape)


BESIDE_THE_RIGHT_ONE = [
    (-RIGHT, "the sign is wrong"),
    (7.5 * RIGHT, "7.5 times what it should be: 30/4"),
    (3 * RIGHT, "3 times what it should be"),
    (np.pi * RIGHT, "3.14159 times what it should be: π"),
    (-np.sqrt(2 * np.pi) * RIGHT, "-√(2π)"),
    (0.123456789 * RIGHT, "0.123457 times what it should be"),
    (RIGHT.T, "it is transposed"),
    (RIGHT[::-1], "it is flipped along axis 0"),
    (np.tril(RIGHT), "only the lower triangle is there"),
    (RIGHT + RIGHT.T - np.diag(np.diag(RIGHT)), "along symmetric changes"),
    (np.where(X < 0, 0, RIGHT), "wrong exactly where the variable is negative, where nothing arrives"),
    (np.where(X > 0, -RIGHT, RIGHT), "wrong exactly where the variable is positive, where the sign is wrong"),
    (RIGHT * np.where(np.eye(4), 0.5, 1), "wrong exactly on the diagonal, where a factor of 2 is missing"),
    (RIGHT + 0.1 * X, "0.1 times the array itself is added: a penalty"),
    (RIGHT - 0.1 * X, "0.1 times the array itself is missing: a penalty on its square is left out, or the array"),
    (RIGHT + 0.1 * np.sign(X), "0.1 times the array's sign is added: a penalty"),
    (RIGHT - 0.1 * np.sign(X), "0.1 times the array's sign is missing: a penalty on its size is left out"),
    (RIGHT + 0.25, "0.25 is added to every entry"),
    (RIGHT - 0.25, "0.25 is missing from every entry"),
    (np.where(np.arange(4)[:, None] == 1, -RIGHT, RIGHT), "wrong exactly at index 1 of axis 0, where the sign"),
    (RIGHT * (1 + 1e-9 * X), ""),
    (RIGHT * X**2, "a factor of the variable's square should not be there"),
    (RIGHT / np.exp(X), "a factor of the variable's exponential is missing"),
    (
        RIGHT * [[0.9], [0.7], [1.3], [2.2]],
        "each slice along axis 0 is multiplied by a number of its own, from 0.7 to 2.2",
    ),
    (RIGHT + np.array([0.3, -0.2, 0.5, 0.1]), "all entries along axis 0 are off by the same number"),
    (RIGHT + np.outer([0.3, -0.2, 0.5, 0.1], [1, 2, -3, 0.5]), "off by the product of a column and a row"),
    (0.3 * RIGHT - 0.7 * X, "it is 0.3 times the derivative and -0.7 times the variable"),
    (np.sort(RIGHT, axis=None).reshape(4, 4), "its entries are those of the derivative in another order"),
    (np.cumsum(RIGHT, 1), "the running sum of the derivative along axis 1"),
    (RIGHT * X, "a factor of the variable should not be there"),
    (RIGHT / X, "a factor of the variable is missing"),
    (np.clip(RIGHT, -0.7, 0.7), "exactly where the size of the derivative is above 0.7, to which it is clipped"),
    (np.where(RIGHT > 0.9, 3 * RIGHT, RIGHT), "exactly where the derivative is above 0.9, where 3 times"),
    (np.where(np.abs(X) < 0.65, RIGHT**2, RIGHT), "exactly where the size of the variable is below 0."),
    (RIGHT * np.where(np.abs(RIGHT) > 1, 1.001, 1.0) + 2e-6, ""),
    (RIGHT * (np.arange(4)[:, None] > 0), "the first slice along axis 0 is left out"),
    (RIGHT * (np.arange(4) < 3), "the last slice along axis 1 is left out"),
    (np.abs(RIGHT), "it is the size of the derivative, without its sign"),
    (np.sign(RIGHT), "it is the sign of the derivative, without its size"),
    (0.5 * RIGHT / np.linalg.norm(RIGHT), "its length is 0.5: is it normalised, or clipped"),
    (RIGHT * np.where(ENTRY == 6, -1, 1), "in this entry alone, the sign is wrong"),
    (RIGHT * np.where(np.isin(ENTRY, [1, 6, 8]), 2, 1), "in these entries alone, a factor of 2 should not be there"),
    (RIGHT * np.where(ENTRY == 6, 1.3, 1), ""),
    (RIGHT * np.where(np.isin(ENTRY, [1, 6]), 1.3, 1), ""),
    (RIGHT * np.where(ENTRY == 6, -1, np.where(ENTRY == 1, 2, 1)), ""),
]


BESIDE_THE_RIGHT_ONE += [
    (
        RIGHT * np.where((ENTRY // 4 > 0) & (ENTRY % 4 < 2), X, 1),
        "exactly at indices 1 to 3 of axis 0 and at indices 0",
    ),
    (
        RIGHT + np.where((ENTRY // 4 > 1) & (ENTRY % 4 < 3), 0, X),
        "exactly everywhere but at indices 2 to 3 of axis 0 and",
    ),
    (RIGHT * np.where(np.isin(ENTRY, [5, 6, 9, 10]), X, 1), "exactly everywhere but at the border"),
]


def described(*arrays: Any) -> str:
    return pattern(*arrays) or region(*arrays) or structure(*arrays) or place(*arrays)


@pytest.mark.parametrize(("wrong", "words"), BESIDE_THE_RIGHT_ONE)
def test_what_an_array_looks_like_beside_the_right_one(wrong: np.ndarray, words: str) -> None:
    said = described(wrong, RIGHT, X, [4, 30])
    assert words in said
    assert bool(words) == bool(said)


@pytest.mark.parametrize("scale", [1e-280, 1e-160, 1e160, 1e280])
@pytest.mark.parametrize(("wrong", "words"), BESIDE_THE_RIGHT_ONE)
def test_the_same_is_said_whatever_the_scale(wrong: np.ndarray, words: str, scale: float) -> None:
    said = described(scale * wrong, scale * RIGHT, X, [4, 30])
    has_a_size = ("array", "added", "missing from", "length", "0.7", "0.9")  # of which it says how large it is
    assert bool(said) == bool(words)
    assert words in said or any(word in words for word in has_a_size), said


@pytest.mark.parametrize("scale", [1e-280, 1e280])
def test_a_function_of_any_scale_is_explained_as_one_of_scale_1(scale: float) -> None:
    x = np.array([0.3, -0.7, 1.1, 0.4])
    report = tg.gradcheck(
        lambda x: scale * float(np.sum(np.sin(x))), x, gradient=-scale * np.cos(x), raise_exception=False
    )
    assert [finding.why for finding in report.findings] == ["the sign is wrong"]


@pytest.mark.parametrize("entries", [[0.7, 0.7, 0.7, 0.7], [0.7, -0.7, 0.7], [3.0, 0.0, 0.0]])
def test_the_length_of_entries_that_are_all_as_large_is_none_that_somebody_chose(entries: list[float]) -> None:
    assert "length" not in described(
        np.array(entries), 1.2345 * np.array(entries), np.arange(1.0, len(entries) + 1), []
    )


def test_columns_of_a_jacobian_are_no_variables_that_have_something_in_common() -> None:
    """Of two variables one is always the larger."""
    x = np.broadcast_to([1.5, 0.7, 0.4], (6, 3))
    right = np.abs(np.sin(np.arange(18.0))).reshape(6, 3) + 0.1
    wrong = right * np.where(np.arange(3) == 0, np.arange(2, 8)[:, None], 1)
    assert described(wrong, right, x, []) == "it is wrong exactly at index 0 of axis 1"
    signs = right * [1, -1, 1]
    assert described(right, signs, x, []) == "it is wrong exactly at index 1 of axis 1, where the sign is wrong"


def test_products_of_a_column_and_a_row_are_off_by_a_factor_of_each_row() -> None:
    column, row = np.array([0.3, 0.0, -1.2, 0.7, 2.0]), np.array([1.0, -2.0, 0.4])
    said = described(np.outer(np.tanh(column), row), np.outer(column, row), np.zeros((5, 3)), [])
    assert said.startswith("each slice along axis 0 is multiplied by a number of its own, from 0.482 to 0.971")


def test_what_is_left_out_is_0_and_not_only_small() -> None:
    right, x = np.array([1.0, 3e8, 2e6]), np.array([1.0, 2.0, 3.0])
    assert "the last slice along axis 0 is left out" in pattern(right * [1, 1, 0], right, x, [])
    assert not pattern(right * [1, 1, 1e-8], right, x, [])
    square = np.arange(9.0).reshape(3, 3) + 1
    assert "triangle" in pattern(np.tril(square), square, square, [])
    assert "triangle" not in pattern(np.tril(square) + 1e-8 * np.triu(square, 1), square, square, [])


def test_what_leaves_no_trace_is_not_taken_for_nothing() -> None:
    def f(x: np.ndarray) -> Any:
        return sum(0.5 * float(np.exp(2 * t)) for t in x) - np.sum(x)

    x = np.array([0.3, -0.8, 1.1, 0.4])
    for wrong in (2 * x - 1, 3 * x - 1):
        report = tg.gradcheck(f, x, gradient=wrong, raise_exception=False)
        assert not any("array itself" in finding.why for finding in report.findings), report


JACOBIAN = np.array([[1.0, 2.0, -0.5], [0.3, -1.5, 2.5], [0.7, 1.1, 3.0]])


@pytest.mark.long
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (JACOBIAN.T, "it is transposed"),
        (np.diag(np.diag(JACOBIAN)), "only the diagonal is there"),
        (np.cumsum(JACOBIAN[::-1], 0)[::-1], "the running sum of the derivative along axis 0"),
        (np.tril(JACOBIAN), "only the lower triangle is there"),
        (JACOBIAN * [1, -1, 1], "wrong exactly at index 1 of axis 1, where the sign is wrong"),
        (JACOBIAN * [[1], [2], [1]], "wrong exactly at index 1 of axis 0, where a factor of 2 should not be there"),
        (np.roll(JACOBIAN, 1, 0), "indices are off by one along axis 0"),
    ],
)
def test_a_jacobian_is_looked_at_as_a_whole(wrong: np.ndarray, words: str) -> None:
    def f(x: np.ndarray) -> np.ndarray:
        return np.array([float(row @ x) for row in JACOBIAN])

    report = tg.gradcheck(f, np.array([0.4, -1.0, 2.0]), gradient=wrong, raise_exception=False)
    assert all(words in finding.why for finding in report.findings if finding.fails), report


@pytest.mark.parametrize("kept", [0, 1])
def test_what_is_left_out_of_equal_entries_is_not_shifted(kept: int) -> None:
    x = np.array([0.4, -1.0, 2.0, 0.3])
    gradient = np.ones(4)
    gradient[-kept] = 0
    report = tg.gradcheck(lambda x: np.sum(x), x, gradient=gradient, raise_exception=False)
    word = ("first", "last")[kept]
    assert report.findings[0].why.startswith(f"the {word} slice along axis 0 is left out")


def test_a_sign_in_the_gradient_of_a_value_that_is_used_twice_in_each_step() -> None:
    steps = np.cos(np.arange(12.0)).reshape(6, 2)

    def gated(w: np.ndarray) -> np.ndarray:
        h = np.zeros(2)
        for x in steps:
            z = np.tanh(w * x + 0.3 * h)
            h = (1 - z) * x + z * h
        return np.sum(h**2)

    def gradient(w: np.ndarray) -> np.ndarray:
        states = [np.zeros(2)]
        gates = []
        for x in steps:
            gates.append(np.tanh(w * x + 0.3 * states[-1]))
            states.append((1 - gates[-1]) * x + gates[-1] * states[-1])
        g, dw = 2 * states[-1], np.zeros(2)
        for x, z, h in zip(steps[::-1], gates[::-1], states[-2::-1]):
            dz = g * (x - h) * (1 - z**2)  # of h - x
            dw += dz * x
            g = g * z + 0.3 * dz
        return dw

    report = tg.gradcheck(gated, np.array([0.7, -0.4]), gradient=gradient, raise_exception=False)
    assert [finding.why for finding in report.findings] == [
        "the sign is wrong, each of the 6 times that the line is run"
    ]


def test_one_entry_is_not_taken_for_a_difference_by_chance() -> None:
    x = np.array([0.39, 1.1, 2.3])
    for error in (1e-9, 3e-9, 1e-8, 3e-8, 1e-7, 3e-7):
        gradient = np.diag(np.exp(x)) * [[1 + error], [1], [1]]
        report = tg.gradcheck(lambda x: np.exp(x) + float(0 * x[0]), x, gradient=gradient, raise_exception=False)
        assert not any("differences with a step" in finding.why for finding in report.findings)


def test_entries_of_zero_do_not_say_where_a_gradient_is_right() -> None:
    """As those of other rows, on which a result does not depend."""
    alone = np.arange(4)[:, None] == 1
    assert described(RIGHT**2 * alone, RIGHT * alone, X, []) == ""


@pytest.mark.long
@pytest.mark.parametrize("error", [1e-8, 1e-6, 1e-4])
@pytest.mark.parametrize("size", [3, 20, 4000])
def test_a_single_wrong_entry_is_no_error_of_a_method(error: float, size: int) -> None:
    x = np.cos(np.arange(float(size)))
    gradient = 2 * x
    gradient[size // 2] *= 1 + error
    report = tg.gradcheck(lambda x: np.sum(x**2), x, gradient=gradient, raise_exception=False)
    assert [(finding.index, finding.why) for finding in report.findings] == [((size // 2,), "")]


@pytest.mark.parametrize(("x", "right"), [(np.abs(X[0]), RIGHT[0]), (-np.abs(X[0]), RIGHT[0]), (np.ones(4), RIGHT[0])])
def test_a_constant_is_not_taken_for_the_sign_of_a_variable_that_has_one_sign(x: np.ndarray, right: np.ndarray) -> None:
    assert pattern(right + 0.25, right, x, []) == "0.25 is added to every entry"
    assert pattern(right - 0.25, right, x, []) == "0.25 is missing from every entry"


def test_two_entries_that_are_exchanged_are_flipped() -> None:
    assert pattern(np.array([2.0, 5.0]), np.array([5.0, 2.0]), np.zeros(2), []) == "it is flipped along axis 0"


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_the_sign_of_a_target_is_no_value_in_place_of_another(factor: float) -> None:
    goal = np.array([0.3, -1.0, 2.0])

    def f(x: np.ndarray) -> np.ndarray:
        return 0.5 * factor * np.sum((np.sin(x) - goal) ** 2)

    def gradient(x: np.ndarray) -> np.ndarray:
        return factor * np.cos(x) * (np.sin(x) + goal)

    report = tg.gradcheck(f, np.array([0.5, 1.2, -0.7]), gradient=gradient, raise_exception=False)
    assert [finding.why for finding in report.findings] == [
        "the sign of the constant in subtract is wrong in the values that the gradient is computed from"
    ]


@pytest.mark.parametrize(
    ("ratio", "name"),
    [
        (7.5, "30/4"),
        (1.5, "3/2"),
        (2 / 3, "2/3"),
        (1 / 3, "1/3"),
        (2 / np.pi, "2 · 1/π"),
        (0.2, "1/5"),
        (1.2345678, ""),
    ],
)
def test_the_names_of_ratios(ratio: float, name: str) -> None:
    assert name_of_ratio(ratio, [4, 6, 30]) == name


@pytest.mark.parametrize("wrong", ["one entry", "all entries, a little", "one entry by a term", "a mean removed"])
def test_a_number_that_anything_would_fit_is_no_explanation(wrong: str) -> None:
    x = np.array([0.7, -1.2])

    def f(x: np.ndarray) -> np.ndarray:
        return np.sum(x**2) * np.exp(-0.2 * np.sqrt(np.sum(x**2))) - (x[1] + 47) * np.sin(x[0] / 2 - x[1])

    right = np.asarray(tg.grad(f)(x))
    gradient = {
        "one entry": right * [1, 1.00125],
        "all entries, a little": right * 1.0001,
        "one entry by a term": right + np.array([0, 0.123]),
        "a mean removed": right - 0.9 * np.mean(right),
    }[wrong]
    report = tg.gradcheck(f, x, gradient=gradient, raise_exception=False)
    for finding in report.findings:
        assert not finding.why or finding.why.startswith("it agrees to"), finding


@pytest.mark.long
@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("written_out", [True, False])
def test_each_mistake_in_the_derivative_of_a_softmax_is_named(axis: int, written_out: bool) -> None:
    x, upstream = np.sin(np.arange(12.0)).reshape(3, 4), np.cos(np.arange(12.0) ** 2).reshape(3, 4)
    rules = next(rules for name, f, _, rules in composites._FUNCTIONS if name == "softmax" and f(x).sum(axis)[0] == 1)

    def probabilities(x: np.ndarray) -> np.ndarray:
        e = np.exp(x)
        return e / np.sum(e, axis=axis, keepdims=True) if written_out else tg.nn.functional.softmax(x, axis=axis)

    for sentence, rule in rules.items():
        report = tg.gradcheck(
            lambda x: np.sum(probabilities(x) * upstream),
            x,
            gradient=lambda x, rule=rule: rule(upstream, x, np.asarray(probabilities(x))),
            raise_exception=False,
        )
        said = {finding.why for finding in report.findings}
        as_parts = {mistakes.SIGN}, {mistakes.ONE_OF_TWO}, {mistakes.TOO_SMALL.format(x.shape[axis]) + "?"}
        assert said == {sentence} or (written_out and said in as_parts), said


def test_a_ratio_is_that_of_small_entries_too() -> None:
    right = RIGHT * np.where(X == 2.2, 1.0, 1e-9)
    assert described(right * np.where(X == 2.2, 1.1, 1.0), right, X, []) == ""
    assert pattern(right * 1.1, right, X, []) == "1.1 times what it should be: 11/10"


def test_gradients_in_the_wrong_order() -> None:
    def f(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.float64(float(np.sum(np.sin(a) * b)))

    a, b = X[0], X[1]
    report = tg.gradcheck(f, a, b, gradient=(np.sin(a), np.cos(a) * b), raise_exception=False)
    assert {finding.why for finding in report.findings} == {"it is the gradient of a", "it is the gradient of b"}


WAYS = {"size": np.abs, "opposite": np.negative, "sign": np.sign, "flipped": np.flip, "positive": lambda g: g * (g > 0)}


@pytest.mark.long
@pytest.mark.parametrize(("way", "at"), spread([(way, at) for way in WAYS for at in (0, 2, 3)], 5))
def test_a_state_that_begins_as_zeros_like_a_variable_has_no_gradient_to_mistake(way: str, at: int) -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(2, 3, 2))
    arguments = [rng.normal(size=shape) for shape in ((2, 3, 2), (2, 2), (2, 8), (2, 8))]

    def lstm(x: Any, h: Any, a: Any, b: Any) -> Any:
        total, c = 0.0, np.zeros_like(h)
        for t in range(3):
            gates = x[:, t] @ a + h @ b
            i, f, o = (1 / (1 + np.exp(-gates[:, 2 * k : 2 * k + 2])) for k in range(3))
            c = f * c + i * np.tanh(gates[:, 6:])
            h = o * np.tanh(c)
            total = total + np.sum(weights[:, t] * h)
        return total

    gradient = tg.grad(lstm, argnums=(0, 1, 2, 3))

    def by_hand(*values: Any) -> Any:
        return tuple(WAYS[way](g) if k == at else g for k, g in enumerate(gradient(*values)))

    assert tg.gradcheck(lstm, *arguments, gradient=by_hand, raise_exception=False).outcome == "failed"


GROUPS = [np.arange(1.0, n + 1) for n in (3, 4, 5, 7)]


def added(x: Any) -> Any:
    total = 0.0
    for k in range(1, 6):
        total = total + k * np.sum(np.sin(k * x))
    return total


def nested(x: Any) -> Any:
    for k in range(1, 6):
        x = np.sin(x) * k
    return np.sum(x)


def nested_without_factors(x: np.ndarray) -> Any:
    slope: Any = 1.0
    for k in range(1, 6):
        x, slope = np.sin(x) * k, slope * np.cos(x)
    return slope


def powers(x: Any) -> Any:
    total = 0.0
    for k in range(1, 6):
        total = total + np.sum(x**k)
    return total


def of_groups(x: Any) -> Any:
    total = 0.0
    for group in GROUPS:
        total = total + np.mean((x[0] * group - x[1]) ** 2)
    return total


def summed_over_groups(x: np.ndarray) -> np.ndarray:
    residuals = [2 * (x[0] * group - x[1]) for group in GROUPS]
    return np.array([sum(r @ group for r, group in zip(residuals, GROUPS)), -sum(r.sum() for r in residuals)])


def of_both_signs(x: Any) -> Any:
    total = 0.0
    for k in range(5):
        total = total + (-1) ** k * np.sum(np.sin(x) ** (k + 1))
    return total


IN_TURN = [
    (added, lambda x: sum(k * np.cos(k * x) for k in range(1, 6)), "its factor (1, 2, 3, 4, 5 in turn) is left out"),
    (nested, nested_without_factors, "its factor (1, 2, 3, 4, 5 in turn) is left out"),
    (powers, lambda x: sum(x ** (k - 1) for k in range(1, 6)), "the exponent's factor (1, 2, 3, 4, 5 in turn) is"),
    (of_groups, summed_over_groups, "(3, 4, 5, 7 in turn) times too large"),
    (
        of_both_signs,
        lambda x: sum((k + 1) * np.sin(x) ** k * np.cos(x) for k in range(5)),
        "the local derivative is left out",
    ),
]


@pytest.mark.long
@pytest.mark.parametrize(("f", "gradient", "words"), IN_TURN, ids=[f.__name__ for f, _, _ in IN_TURN])
def test_a_number_that_is_another_in_each_turn_of_a_loop_is_said_of_each(f: Any, gradient: Any, words: str) -> None:
    report = tg.gradcheck(f, np.array([0.3, 0.4]), gradient=gradient, raise_exception=False)
    (finding,) = report.findings
    assert words in finding.why
    assert f"each of the {4 if f is of_groups else 5} times that the line is run" in finding.why


def test_a_multiple_that_may_come_from_anywhere_is_not_spread_over_the_turns_of_a_loop() -> None:
    def deep(x: Any) -> Any:
        for _ in range(4):
            x = -np.tanh(x)
        return np.sum(x)

    gradient = tg.grad(deep)
    report = tg.gradcheck(deep, np.array([0.3, 0.4]), gradient=lambda x: 16 * gradient(x), raise_exception=False)
    assert report.findings[0].why == "16 times what it should be"


@pytest.mark.parametrize("power", [3, 5])
def test_a_power_at_0_is_not_to_blame_for_another_mistake(power: int) -> None:
    """Its slope is 0 there, and that of a complex step is not, however short."""
    report = tg.gradcheck(
        lambda x: np.sum(np.sin(x[:2])) + (x[2] - 0.7) ** power,
        np.array([0.3, -0.4, 0.7]),
        gradient=lambda x: np.array([-np.cos(x[0]), -np.cos(x[1]), power * (x[2] - 0.7) ** (power - 1)]),
        raise_exception=False,
    )
    (finding,) = report.findings
    assert not finding.where.startswith("power")
    assert finding.why == "the sign is wrong"


@pytest.mark.parametrize("factor", [2.0, 6.0])
def test_operations_that_one_line_repeats_may_have_arrays_of_other_shapes(factor: float) -> None:
    x, w = np.array([[1.0, -0.5, 2.0], [0.25, 1.5, -1.0]]), np.cos(np.arange(9.0)).reshape(3, 3)

    def size(s: Any) -> Any:
        return np.mean((x @ (s * w) @ (s * w) @ (s * w)) ** 2)

    assert not tg.gradcheck(size, 1.25, gradient=lambda s: factor * size(s), raise_exception=False).ok


def test_a_mask_that_is_left_out_of_the_values_and_of_the_gradient_is_named() -> None:
    rng = np.random.default_rng(0)
    mask, weight = np.tril(np.ones((4, 4))), rng.normal(size=(4, 4))

    def attention(s: Any) -> Any:
        e = np.exp(s) * mask
        return np.sum(weight * e / np.sum(e, axis=1, keepdims=True))

    def gradient(s: Any) -> Any:
        a = np.exp(s) / np.sum(np.exp(s), axis=1, keepdims=True)
        return a * (weight - np.sum(weight * a, axis=1, keepdims=True))

    report = tg.gradcheck(attention, rng.normal(size=(4, 4)), gradient=gradient, raise_exception=False)
    (finding,) = report.findings
    assert finding.why == "the constant in multiply is left out of the values and of the gradient"
    assert "np.exp(s) * mask" in finding.where


def test_one_entry_at_another_index_is_not_off_by_one() -> None:
    def gradient(x: Any) -> Any:
        g = 2 * x
        g[np.argmax(x)] += 1
        return g

    x = np.array([0.5, 0.7, -1.5, 0.2])
    report = tg.gradcheck(lambda x: np.sum(x**2) + np.max(-x), x, gradient=gradient, raise_exception=False)
    assert not report.ok
    assert "off by one" not in str(report)


def test_what_runs_once_is_not_added_up_from_run_to_run() -> None:
    def f(x: Any) -> Any:
        return 100 * (x[2] - x[0]) ** 2 + 100 * (x[1] - 1) ** 2 + x[2] ** 2

    def gradient(x: Any) -> Any:
        inner = np.array([x[2] - x[0], x[1] - 1, x[2]])
        return 2 * np.array([[-100.0, 0, 0], [0, 100, 0], [100, 10, 1]]) @ inner

    report = tg.gradcheck(f, np.array([-1.0, 0.3, 0.2]), gradient=gradient, raise_exception=False)
    assert not report.ok
    assert "from one run to the next" not in str(report)


def _raised(x: Any, power: int) -> Any:
    return x**power


@pytest.mark.parametrize(("power", "sign"), [(2, -1), (1, 1)])
def test_what_a_function_computes_beside_its_value_is_not_to_blame(power: float, sign: float) -> None:
    def both(a: Any, b: Any) -> Any:
        value = np.sum(np.sin(a) * b) + np.sum(a**2)
        slope = np.cos(a) * b
        return value, (slope + power * a, sign * np.sin(a))

    a, b = np.array([0.3, -0.5, 0.8]), np.array([0.7, 1.2, 0.4])
    report = tg.gradcheck(lambda a, b: both(a, b)[0], a, b, gradient=lambda a, b: both(a, b)[1], raise_exception=False)
    (finding,) = (finding for finding in report.findings if finding.fails)
    assert "value = np.sum" in finding.where, report
    assert finding.why, report
    assert "slope" not in finding.why, report


def test_an_argument_of_a_call_is_not_named_after_its_result() -> None:
    def f(x: Any) -> Any:
        value = _raised(x - 0.5, 3)
        return np.sum(value)

    x = tg.tensor([0.7, 1.2, 0.4], requires_grad=True)
    with recording() as steps:
        y = f(x)
    trace = Trace(steps, [x], [y], ["x"])
    assert [trace.name_of(1 + k) for k in range(3)] == [
        "the result of subtract",
        "the result of power",
        "the result of sum",
    ]


def _regulated(u: Any) -> Any:
    state, cost = 1.0, 0.0
    for control in range(6):
        cost = cost + 0.5 * 2.0 * state**2 + 0.5 * 0.3 * u[control] ** 2
        state = 0.9 * state + 0.4 * u[control]
    return cost + 0.5 * 2.0 * state**2


def _regulated_without(u: Any, share_of_control: float) -> Any:
    states = [1.0]
    for control in u:
        states.append(0.9 * states[-1] + 0.4 * control)
    adjoint, gradient = 2.0 * states[-1], np.zeros(6)
    for step in reversed(range(6)):
        gradient[step] = share_of_control * 0.3 * u[step] + 0.4 * adjoint
        adjoint = 2.0 * states[step] + 0.9 * adjoint
    return gradient


def test_a_part_that_a_loop_leaves_out_is_at_the_line_that_it_comes_from() -> None:
    u = np.array([0.1, -0.4, 0.3, 0.2, 0.5, -0.2])
    for share, where, words in [(0, "cost = cost +", "nothing arrives from here"), (0.7, "", "is missing")]:
        report = tg.gradcheck(_regulated, u, gradient=_regulated_without(u, share), raise_exception=False)
        (finding,) = (finding for finding in report.findings if finding.fails)
        assert words in finding.why, report
        assert where in finding.where, report
        assert "state = 0.9" not in finding.where, report
