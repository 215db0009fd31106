"""An exercise in progress: its question, its hints, and the attempts so far."""

from collections.abc import Callable
from typing import Any, TypeVar

from tinygrad_lite.errors import InputError
from tinygrad_lite.exercises.declaration import Declaration
from tinygrad_lite.exercises.mark import Mark
from tinygrad_lite.exercises.marking import remarks_on
from tinygrad_lite.exercises.shown import Note, Shown, brief
from tinygrad_lite.exercises.submission import Submission

F = TypeVar("F", bound=Callable[..., Any])


class Exercise(Shown):
    """An exercise that was started; its text is the question.

    Attributes:
        attempts: the number of marked submissions.
        solved: whether one of them was right.
    """

    def __init__(self, declaration: Declaration) -> None:
        self._declaration = declaration
        self._hints = 0
        self.attempts = 0
        self.solved = False

    @property
    def name(self) -> str:
        """The name of the exercise."""
        return self._declaration.name

    @property
    def asks_for(self) -> str:
        """The name of the function to write."""
        return self._declaration.write

    def submit(self, function: F) -> F:
        """Print the mark of a function and return the function, so that this can decorate its definition.

        Raises:
            as `check`.

        Example:
            >>> import tinygrad_lite as tg
            >>> exercise = tg.exercises.start("exp")
            >>> @exercise.submit
            ... def derivative(y, x):
            ...     return y
            exp, attempt 1: right (5 entries)
        """
        print(self.check(function))
        return function

    def check(self, function: Callable[..., Any]) -> Mark:
        """Mark a function and return the mark; if that is impossible, raise an error and do not count an attempt.

        Raises:
            UsageError: if it cannot be called as the question says, changes its arguments, exits Python, or returns no
                numbers.
            Exception: any exception that it raises itself, with a note of the line.

        Example:
            >>> import tinygrad_lite as tg
            >>> tg.exercises.start("exp").check(lambda y, x: y).ok
            True
        """
        summary, remarks = remarks_on(self._declaration, Submission(self._declaration, function))
        self.attempts += 1
        if not remarks:
            self.solved = True
        elif self._left():
            remarks = (*remarks, f"hints left: {self._left()}")
        return Mark(self.name, self.attempts, not remarks, summary, remarks)

    def hint(self, number: int | None = None) -> Note:
        """Return the next hint, or the hint of this number, from 1; after the last one, say that there are no more.

        Raises:
            InputError: if there is no hint of this number.

        Example:
            >>> import tinygrad_lite as tg
            >>> tg.exercises.start("exp").hint()
            hint 1 of 1: Which function is its own derivative?
        """
        hints = self._declaration.hints
        if number is None and not self._left():
            return Note("there is no further hint" if hints else "there is no hint")
        number = self._hints + 1 if number is None else number
        if not 1 <= number <= len(hints):
            raise InputError(f"{self.name} has {len(hints)} hints; there is no hint {number}")
        self._hints = max(self._hints, number)
        return Note(f"hint {number} of {len(hints)}: {hints[number - 1]}")

    def template(self) -> str:
        """A file to start from: the question as its docstring, and the function to fill in."""
        question = str(self).replace("\\", "\\\\").replace('"""', "'''")
        return f'"""{question}\n"""\n\nimport numpy as np\n\n\n{_stub(self._declaration)}\n'

    def _left(self) -> int:
        return len(self._declaration.hints) - self._hints

    def __str__(self) -> str:
        return self._question("{}", _indented)

    def markdown(self) -> str:
        """The question with its name in bold and its code as blocks."""
        return self._question("**{}**", lambda code: f"```python\n{code}\n```")

    def _question(self, title: str, block: Callable[[str], str]) -> str:
        declaration = self._declaration
        inputs = "\n".join(f"{name} = {brief(x)}" for name, x in declaration.inputs[0].items())
        parts = [
            f"{title.format(declaration.name)}: {declaration.question}",
            block(declaration.formula),
            declaration.task,
            block(_stub(declaration)),
        ]
        parts += ["It is tried on these, and on more:", block(inputs)]
        return "\n\n".join(
            [
                *parts,
                *(
                    [f"Hints: {len(declaration.hints)} (`hint()`, or `--hint 1` in a shell)"]
                    if declaration.hints
                    else []
                ),
            ]
        )


def _stub(declaration: Declaration) -> str:
    return f"{declaration.head}\n    return ..."


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())
