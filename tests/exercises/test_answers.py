"""The page of answers for teachers: each question of the lessons that does not mark itself has one, and it is computed.

`tests/test_documentation.py` runs the page's code.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
LESSONS = sorted((DOCS / "lessons").glob("[01]*.md"))
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
FRACTION = re.compile(r"\\frac\{?(\d+)\}?\{?(\d+)\}?")
NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?")
POWER = re.compile(r"(?<![\w.])(\d+)\^(\d+|\{-?\d+\})")
SMALL = 3  # up to here a number may count something


def questions(lesson: Path) -> dict[str, str]:
    """The numbered exercises of a lesson."""
    exercises = lesson.read_text().partition("## Exercises\n")[2]
    return dict(re.findall(r"^(\d+)\. (.*?)(?=^\d+\. |\Z)", exercises, re.MULTILINE | re.DOTALL))


def number_of(lesson: Path) -> str:
    return lesson.stem.split("_")[0].lstrip("0")


def answers() -> Iterator[tuple[str, str, str]]:
    """Lesson, exercise and text of each answer."""
    page = (DOCS / "answers.md").read_text()
    for lesson, text in re.findall(r"^## Lesson (\w+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL):
        for exercise, answer in re.findall(r"^\*\*Exercise (\d+)\.\*\*(.*?)(?=^\*\*Exercise|\Z)", text, re.M | re.S):
            yield lesson, exercise, answer


ANSWERS = [*answers()]


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_each_question_that_does_not_mark_itself_has_an_answer(lesson: Path) -> None:
    asked = questions(lesson)
    open_ones = [k for k, text in asked.items() if "start(" not in text or "pen and paper" in text]
    answered = [exercise for name, exercise, _ in ANSWERS if name == number_of(lesson)]
    assert open_ones
    assert set(open_ones) <= set(answered) <= set(asked)
    assert answered == sorted(set(answered), key=int)


def test_no_lesson_shows_an_answer_by_accident() -> None:
    assert (DOCS / "answers.md").read_text().startswith("---\nnosearch: true\n---\n")
    assert not [page.name for page in (DOCS / "lessons").glob("*.md") if "answers.md" in page.read_text()]


@pytest.mark.parametrize(("lesson", "exercise", "answer"), ANSWERS, ids=[f"{a[0]}-{a[1]}" for a in ANSWERS])
def test_each_number_of_an_answer_is_computed_below_it(lesson: str, exercise: str, answer: str) -> None:
    code = " ".join(FENCE.findall(answer))
    computed = [float(number.replace(",", "")) for number in re.findall(r"\d+(?:,\d{3})*(?:\.\d*)?(?:e[-+]\d+)?", code)]
    prose = POWER.sub("", FRACTION.sub(_quotient, FENCE.sub("", answer)))
    for written in NUMBER.findall(re.sub(r"`[^`]*`|_\{?\w+\}?|[Ll]esson \d+|exercise \d+", "", prose)):
        digits = len(written.partition(".")[2])
        number = float(written.replace(",", ""))
        if digits == 0 and number <= SMALL:
            continue
        near = [x for x in computed for scale in (1, 0.01) if abs(x * scale - number) <= 0.5 * 10.0**-digits + 1e-9]
        assert near, f"{written} in exercise {exercise} of lesson {lesson} is computed nowhere"


def _quotient(fraction: re.Match[str]) -> str:
    return f"{int(fraction[1]) / int(fraction[2]):.2f}"
