"""The catalogue of misconceptions: whatever a mark can name has an entry, and its example is that mistake."""

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.exercises.answers import ANSWERS
from tests.exercises.wrong_answers import WRONG_ANSWERS
from tinygrad_lite.checking.diagnosing import composites, forwards, mistakes, repairs, structures
from tinygrad_lite.errors import InputError
from tinygrad_lite.exercises import brackets, variants
from tinygrad_lite.exercises.course import COURSE
from tinygrad_lite.exercises.example import written
from tinygrad_lite.exercises.exercise import Exercise
from tinygrad_lite.exercises.misconception import Misconception
from tinygrad_lite.exercises.misconceptions import MISCONCEPTIONS, recognised

ROOT = Path(__file__).parents[2]
BEFORE = {
    "attention": """\
    scores = q @ k.T / np.sqrt(q.shape[1])
    p = np.exp(scores) / np.sum(np.exp(scores), axis=1, keepdims=True)
    dp = g @ v.T
"""
}
"""The lines before the expression that is wrong."""
SENTENCES = [
    *(
        sentence
        for module in (mistakes, forwards, repairs, structures, brackets, variants)
        for name, sentence in vars(module).items()
        if name.isupper() and name != "TIMES"  # a part of sentences that begin as RIGHT_WITH does
    ),
    *(sentence for *_, wrong in composites._FUNCTIONS for sentence in wrong),
]


@pytest.mark.parametrize("sentence", [sentence for sentence in SENTENCES if isinstance(sentence, str)])
def test_each_sentence_of_the_gradient_checker_is_in_the_catalogue(sentence: str) -> None:
    assert recognised(sentence.replace("{:.6g}", "3").replace("{0}", "3").replace("{}", "x"))


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("misconception", MISCONCEPTIONS.values(), ids=lambda misconception: misconception.name)
def test_each_example_is_marked_as_what_it_is_an_example_of(misconception: Misconception) -> None:
    name = misconception.name
    mark = Exercise(misconception.example.declaration(name)).check(misconception.example.submission(name))
    assert mark.misconception == name, str(mark)


@pytest.mark.long
@pytest.mark.parametrize("name", [each.name for each in COURSE if each.write != "numbers"])
def test_a_slip_in_one_entry_is_not_a_usual_mistake(name: str) -> None:
    def answer(*arguments: Any) -> Any:
        right = np.array(ANSWERS[name](*arguments), float)
        right.flat[-1] += 0.1
        return right

    declaration = next(each for each in COURSE if each.name == name)
    argument = np.asarray(declaration.inputs[0][declaration.argument])
    if argument.ndim:
        mark = Exercise(declaration).check(answer)
        assert not mark.ok
        assert not mark.misconception, str(mark)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize(("name", "wrong", "misconception"), WRONG_ANSWERS)
def test_what_students_write_is_named_for_what_it_is(name: str, wrong: str, misconception: str) -> None:
    declaration = next(each for each in COURSE if each.name == name)
    before = BEFORE.get(name, "    p = 1 / (1 + np.exp(-z))\n" if "z" in declaration.names else "")
    is_number = declaration.write == "numbers"
    submission = (
        eval(wrong) if is_number else written(f"{declaration.head}\n{before}    return {wrong}", declaration.write)
    )  # noqa: S307, RUF100
    mark = tg.exercises.start(name).check(submission)
    assert not mark.ok
    assert mark.misconception == misconception, str(mark)
    if "only in sign" in str(mark) and not is_number:
        trial = declaration.inputs[0]
        g = [np.ones_like(declaration.value(trial))] if declaration.write == "vjp" else []
        args = [*g, declaration.value(trial), *trial.values()]
        np.testing.assert_allclose(submission(*args), -np.asarray(ANSWERS[name](*args)))


def test_the_pages_are_what_the_table_says(monkeypatch: pytest.MonkeyPatch) -> None:
    script = str(ROOT / "docs" / "misconceptions.py")
    monkeypatch.setattr(sys, "argv", [script, "--check"])
    with np.errstate():
        runpy.run_path(script, run_name="__main__")


def test_a_misconception_is_shown_with_its_picture_in_a_notebook() -> None:
    shown = tg.exercises.about("sign")
    assert str(shown).startswith("The sign is the wrong way round\n\nWhat people think: ")
    assert "](data:image/svg+xml;base64," in shown._repr_markdown_()
    with pytest.raises(InputError, match="there is no misconception called 'sing'; there are sign, "):
        tg.exercises.about("sing")


def test_what_is_worked_out_by_hand_may_be_rounded_to_three_digits() -> None:
    exercise = tg.exercises.start("class_loss")
    assert exercise.check(np.array([-0.156, 0.114, 0.042])).ok
    assert not exercise.check([-0.16, 0.11, 0.05]).ok
    assert "it has shape (2,)" in str(exercise.check([1, 2]))
    assert tg.exercises.start("reciprocal").check([-0.5]).ok
    assert not tg.exercises.start("reciprocal").check([0.5]).ok
