"""The catalogue of exercises: those of the course, and those that were declared since."""

import re
from collections.abc import Iterator
from difflib import get_close_matches

from tinygrad_lite.errors import InputError
from tinygrad_lite.exercises.course import COURSE
from tinygrad_lite.exercises.declaration import Declaration
from tinygrad_lite.exercises.shown import Shown

_DECLARED = {declaration.name: declaration for declaration in COURSE}


def enter(declaration: Declaration) -> None:
    """Add an exercise; it replaces an exercise of the same name."""
    _DECLARED[declaration.name] = declaration


def find(name: str) -> Declaration:
    """The exercise of this name; raises `InputError` if there is none."""
    if name in _DECLARED:
        return _DECLARED[name]
    close = get_close_matches(str(name), _DECLARED)
    advice = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(_DECLARED)}"
    raise InputError(f"there is no exercise called {name!r}; {advice}")


def exercise_of(stem: str) -> str:
    """The exercise that a file of this name is for; a name that is no exercise's stays as it is.

    Capitals, hyphens, spaces and the number that a browser adds to a second download do not count.
    """
    name = re.sub(r"[\s-]+", "_", re.sub(r"\s*\(\d+\)$", "", stem)).casefold()
    return stem if stem in _DECLARED or name not in _DECLARED else name


def meant_by(name: str) -> str:
    """What a file that is no exercise's should be called, or become, as the end of a sentence."""
    stem, _, ending = name.rpartition(".")
    if ending == "ipynb":
        return f" (a notebook: jupyter nbconvert --to script {name} makes a file of it)"
    close = get_close_matches(exercise_of(stem.partition(".")[0]), _DECLARED, 1)
    return f" (should it be {close[0]}.py?)" if close else ""


class Catalogue(Shown):
    """All exercises: iteration gives their names, and the text is a table of the questions."""

    def __iter__(self) -> Iterator[str]:
        return iter([*_DECLARED])

    def __len__(self) -> int:
        return len(_DECLARED)

    def __str__(self) -> str:
        width = max(map(len, _DECLARED))
        return "\n".join(f"{name:{width}}  {_asked(declared)}" for name, declared in _DECLARED.items())

    def markdown(self) -> str:
        """The same in Markdown, as a table."""
        rows = [f"| `{name}` | {_asked(declared)} |" for name, declared in _DECLARED.items()]
        return "\n".join(["| exercise | asked for |", "|---|---|", *rows])


def _asked(declaration: Declaration) -> str:
    """The first sentence of the question."""
    return declaration.question.split("\n")[0]
