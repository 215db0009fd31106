"""The course's exercises: right answers pass, each usual mistake is found and named, and nobody is told the answer."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.checking.faults import FAULTS, Fault
from tests.exercises.answers import ANSWERS
from tinygrad_lite.exercises.course import COURSE
from tinygrad_lite.exercises.declaration import Declaration
from tinygrad_lite.exercises.exercise import Exercise

BY_NAME = {declaration.name: declaration for declaration in COURSE}

IN_A_MARK = {
    "factor 2": ("a constant factor should not be there",),
    "half": ("a constant factor is missing",),
    "sum for mean": ("a sum in place of a mean",),
    "mean for sum": ("a mean in place of a sum",),
    "missing batch sum": ("only the first slice along an axis counts", "nothing arrives"),
    "sign": ("only in sign", "only its sign"),
    "off by one": ("off by one", "in the reverse order"),  # which is the same along an axis of two
}
"""The words for a fault where they are not the gradient checker's, which has the number that would mend it."""

READ_BOTH = ("standardise", "second_derivative", "initialisation")
"""Exercises whose answer reads x as well as y: with one for the other it is wrong, but nobody can tell why."""


def returned(declaration: Declaration, function: Callable[..., Any], trial: Any) -> Any:
    """What a submission gives for a trial, whatever arrives."""
    y = declaration.value(trial)
    g = 1 + np.arange(np.size(y)).reshape(np.shape(y)) / 7
    return np.asarray(function(*([g] if declaration.write == "vjp" else []), y, *trial.values()), float)


def with_fault(declaration: Declaration, fault: Fault) -> Callable[..., Any]:
    """The right answer, spoilt."""
    answer = ANSWERS[declaration.name]
    if declaration.write == "vjp":
        return fault.break_rule(lambda *given: 1.0 * answer(*given), declaration.position)
    rule = fault.break_rule(lambda g, y, *x: g * answer(y, *x), declaration.position)
    return lambda y, *x: rule(np.ones_like(y), y, *x)


def spoilt() -> Iterator[Any]:
    """Each fault in each answer that it changes."""
    for declaration in COURSE:
        for fault in FAULTS if declaration.write != "numbers" else ():
            function = with_fault(declaration, fault)
            pairs = [
                (returned(declaration, ANSWERS[declaration.name], trial), returned(declaration, function, trial))
                for trial in declaration.inputs
            ]
            if any(right.shape != found.shape or np.any(abs(right - found) > 1e-6) for right, found in pairs):
                yield declaration, fault


SPOILT = [*spoilt()]


def _attention_by_the_diagonal(g: Any, y: Any, q: Any, k: Any, v: Any) -> Any:
    p = np.exp(q @ k.T / np.sqrt(q.shape[1]))
    p = p / np.sum(p, axis=1, keepdims=True)
    return p * (1 - p) * (g @ v.T) @ k / np.sqrt(q.shape[1])


def test_every_exercise_has_an_answer_here() -> None:
    assert [*ANSWERS] == [*BY_NAME]


@pytest.mark.long
@pytest.mark.parametrize("name", ANSWERS)
def test_the_right_answer_is_right(name: str) -> None:
    exercise = tg.exercises.start(name)
    mark = exercise.check(ANSWERS[name])
    assert mark.ok, str(mark)
    assert exercise.solved
    assert "entr" in mark.summary


@pytest.mark.long
@pytest.mark.parametrize(("declaration", "fault"), SPOILT, ids=lambda x: x.name)
def test_usual_mistakes_are_found_and_named_and_no_mark_tells_the_answer(
    declaration: Declaration, fault: Fault
) -> None:
    mark = Exercise(declaration).check(with_fault(declaration, fault))
    assert not mark.ok
    text = str(mark)
    assert "entries" in text or "wrong at" in text or "shape" in text or "only its sign" in text
    exchanged = fault.name in ("output for input", "input for output")
    if not (exchanged and declaration.name in READ_BOTH):
        words = IN_A_MARK.get(fault.name, fault.words)
        assert any(word in text for word in words), text
    inputs = {round(float(x), 4) for trial in declaration.inputs for part in trial.values() for x in np.ravel(part)}
    largest = max(np.size(part) for trial in declaration.inputs for part in trial.values())
    counts = set(range(max(largest, len(declaration.hints), 1) + 1))  # of entries, indices, hints, and the attempt
    assert numbers(text) <= inputs | counts
    assert numbers(mark.markdown()) <= inputs | counts


@pytest.mark.parametrize("declaration", COURSE, ids=lambda declaration: declaration.name)
def test_no_question_tells_the_answer(declaration: Declaration) -> None:
    exercise = Exercise(declaration)
    hints = [str(exercise.hint()) for _ in declaration.hints]
    inputs = {round(float(x), 4) for part in declaration.inputs[0].values() for x in np.ravel(part)}
    fractions = {number for number in numbers(f"{exercise} {exercise.markdown()}") if number % 1}
    assert fractions <= inputs
    assert not any(number % 1 for number in numbers(" ".join(hints)))
    assert declaration.name in str(exercise)
    assert declaration.head in exercise.template()


@pytest.mark.parametrize("declaration", COURSE, ids=lambda declaration: declaration.name)
def test_no_value_is_zero_by_chance(declaration: Declaration) -> None:
    """What is 0 at the inputs that are shown looks like a gradient that does not arrive."""
    assert all(np.any(declaration.value(trial)) for trial in declaration.inputs)


def numbers(text: str) -> set[float]:
    return {round(float(found), 4) for found in re.findall(r"(?<![\w.])-?\d+\.?\d*(?:e[-+]\d+)?", text)}


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "answer", "words"),
    [
        ("chain_rule", lambda y, x: 2 * (3 * x + 1), "in multiply, the upstream gradient is handed on as it is"),
        ("square", lambda y, x: 2 * y, "the output is used where the input should be"),
        ("exp", lambda y, x: np.ones_like(x), "the upstream gradient is handed on as it is"),
        ("tanh", lambda y, x: y, "the value y stands where its derivative should be"),
        ("relu", lambda y, x: x >= 0, "at the kink x[1], where x is 0, any number"),
        ("used_twice", lambda y, x: np.sin(x), "only one of several uses counts"),
        (
            "bias",
            lambda g, y, x, b: g,
            "b was repeated by broadcasting, and the gradient is not summed over the copies",
        ),
        ("sum", lambda g, y, x: np.ones_like(x), "the upstream gradient is left out"),
        ("sum", lambda g, y, x: np.sum(x) * np.ones_like(x), "y stands where g should be"),
        ("softplus", lambda y, x: np.exp(x), "in exp, the upstream gradient is left out"),
        ("three_uses", 1, "only one of several uses counts"),
        ("dot", 11, "it has shape (); a gradient has the shape of its argument, and a has (2,)"),
        ("square_plus", 1, "only one of several uses counts"),
        ("square", lambda y, x: -2 * x, "3 of 3 entries are wrong, and only in sign\n  read on"),
        ("chain_rule", lambda y, x: -6 * (3 * x + 1), "only its sign is wrong\n  read on"),
        (
            "relu",
            lambda y, x: np.ones_like(x),
            "1 of 4 entries is wrong, at x[0], where x is -1.5: much too far from 0",
        ),
        (
            "mean",
            lambda g, y, x: g / 3 * np.ones_like(x),
            "shown, but not for x = [[",
        ),  # 3 is the size of the first only
        ("mean", lambda g, y, x: g / 3 * np.ones_like(x), "is a size, or a value, written as a number?"),
        ("chain_rule", lambda y, x: 42, "but not for x = -1.5: is a size, or a value, written as a number?"),
        ("matmul_right", lambda g, y, a, b: a.T @ y, "y stands where g should be"),
        ("matmul_right", lambda g, y, a, b: g.T @ a, "it is transposed"),
        ("cross_entropy", lambda g, y, z, t: np.full(3, np.nan), "it is nan\n  hints left: 3"),
    ],
)
def test_what_a_learner_is_told(name: str, answer: Any, words: str) -> None:
    mark = tg.exercises.start(name).check(answer)
    assert not mark.ok
    assert words in str(mark)


@pytest.mark.parametrize("declaration", COURSE, ids=lambda declaration: declaration.name)
def test_hints_come_in_three_steps(declaration: Declaration) -> None:
    assert len(declaration.hints) == 3


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "answer", "misconception"),
    [
        ("softmax", lambda g, y, x: g * y * (1 - y), "softmax_diagonal"),
        ("softmax", lambda g, y, x: y * (1 - y), "upstream_left_out"),
        ("used_twice", lambda y, x: np.cos(x), "product_of_derivatives"),
        ("chain_rule", lambda y, x: 2 * x * 3, "outer_at_input"),
        ("softplus", lambda y, x: np.exp(x) / x, "outer_at_input"),
        ("cross_entropy", lambda g, y, z, t: g * (z - t) / z.size, "logit_for_probability"),
        ("cross_entropy", lambda g, y, z, t: (z - t) / z.size, "upstream_left_out"),
        ("tanh", lambda y, x: 1 - y, "part_of_a_formula"),
        ("sigmoid", lambda y, x: 1 - y**2, "rule_of_another"),
        ("matmul_left", lambda g, y, a, b: g @ b, "shapes_do_not_fit"),
        ("matmul_left", lambda g, y, a, b: b @ g, "shapes_do_not_fit"),
        ("matmul_left", lambda g, y, a, b: g * b, "entry_by_entry"),
        ("matmul_right", lambda g, y, a, b: np.matmul(a, g), "shapes_do_not_fit"),
        ("matmul_right", lambda g, y, a, b: g.T @ a, "transposed"),
        ("attention", _attention_by_the_diagonal, "softmax_diagonal"),
        ("momentum", lambda g, y, gradients, m: g * m ** np.arange(gradients.size), "flipped"),
        ("initialisation", lambda y, s, x, w: 2 * y / s, "constant_factor"),
        ("reciprocal", 0.5, "sign"),  # which is y as well, at this x
        ("numerator", lambda y, a, b: -a / b**2, "other_argument"),
        ("denominator", lambda y, a, b: 1 / b, "other_argument"),
        ("denominator", lambda y, a, b: -1 / b**2, "extra_factor"),  # not a value that stands for another by chance
    ],
)
def test_the_mistakes_of_lessons_have_their_names(name: str, answer: Any, misconception: str) -> None:
    mark = tg.exercises.start(name).check(answer)
    assert not mark.ok
    assert mark.misconception == misconception, str(mark)
    assert (f"read on: docs/misconceptions/{misconception}.md" in str(mark)) == bool(misconception)


def _by_others() -> Iterator[tuple[Declaration, str]]:
    for declaration in COURSE:
        trial = declaration.inputs[0]
        for name, x in trial.items():
            x = np.asarray(x)
            if (
                name != declaration.argument
                and x.dtype.kind == "f"
                and x.shape == np.shape(trial[declaration.argument])
            ):
                yield declaration, name


@pytest.mark.parametrize(("declaration", "name"), [*_by_others()], ids=lambda each: getattr(each, "name", each))
def test_the_derivative_with_respect_to_another_argument_is_named(declaration: Declaration, name: str) -> None:
    def by_other(g: Any, y: Any, *arrays: Any) -> Any:
        trial = dict(zip(declaration.names, arrays))
        return tg.grad(lambda x: np.sum(g * declaration.function(*{**trial, name: x}.values())))(trial[name])

    vjp = declaration.write == "vjp"
    answer = by_other if vjp else lambda y, *arrays: by_other(np.ones_like(y), y, *arrays)
    if declaration.write == "numbers":
        answer = answer(declaration.value(declaration.inputs[0]), *declaration.inputs[0].values())
    mark = Exercise(declaration).check(answer)
    assert not mark.ok
    assert mark.misconception in ("other_argument", "sign"), str(mark)


@pytest.mark.long
@pytest.mark.parametrize("fault", ["tanh", "rows"])
def test_a_mistake_inside_a_network_is_placed(fault: str) -> None:
    def vjp(g: Any, y: Any, w1: Any, b1: Any, w2: Any, b2: Any, x: Any, t: Any) -> Any:
        before = x @ w1 + b1
        a = np.tanh(before)
        z = a @ w2 + b2
        dz = g * (1 / (1 + np.exp(-z)) - t) / (1 if fault == "rows" else t.size)
        return x.T @ (dz @ w2.T * (1 - (before if fault == "tanh" else a) ** 2))

    told = {"tanh": "in tanh, the input is used where the output should be", "rows": "a sum in place of a mean\n"}
    assert told[fault] in str(tg.exercises.start("hidden_weight").check(vjp))


def test_each_lesson_ends_with_exercises_which_the_list_has_in_the_order_of_the_course() -> None:
    lessons = sorted((Path(__file__).parents[2] / "docs" / "lessons").glob("[01]*.md"))
    named = [re.findall(r'start\("(\w+)"\)', page.read_text().partition("## Exercises\n")[2]) for page in lessons]
    assert all(named)
    assert [name for names in named for name in names] == [*BY_NAME]
