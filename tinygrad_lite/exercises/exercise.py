"""An exercise in progress: its question, its hints, and the attempts so far."""

from collections.abc import Callable
from typing import Any, TypeVar

from tinygrad_lite.errors import InputError
from tinygrad_lite.exercises.declaration import Declaration
from tinygrad_lite.exercises.mark import Mark
from tinygrad_lite.exercises.marking import remarks_on
from tinygrad_lite.exercises.misconception import PAGES
from tinygrad_lite.exercises.shown import Note, Shown, brief
from tinygrad_lite.exercises.submission import Submission

F = TypeVar("F")


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
        """The name of the function to write, or of the numbers."""
        return self._declaration.write

    def submit(self, answer: F) -> F:
        """Print the mark of an answer and return the answer, so that this can decorate the definition of a function.

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
        print(self.check(answer))
        return answer

    def check(self, answer: Any) -> Mark:
        """Mark a function, or the numbers of a pen-and-paper exercise, and return the mark.

        If that is impossible, it raises an error and counts no attempt. Shapes that do not fit are a wrong answer.

        Raises:
            UsageError: if it cannot be called as the question says, changes its arguments, exits Python, or returns no
                numbers.
            Exception: any exception that it raises itself, with a note of the line.

        Example:
            >>> import tinygrad_lite as tg
            >>> tg.exercises.start("exp").check(lambda y, x: y).ok
            True
        """
        remarks = remarks_on(self._declaration, Submission(self._declaration, answer))
        self.attempts += 1
        ok = not remarks.told
        self.solved = self.solved or ok
        lines = [*remarks.told]
        if remarks.likeness:
            lines.append(f"it looks like this: {remarks.likeness}")
        if remarks.misconception:
            lines.append(
                f"read on: {PAGES}/{remarks.misconception}.md, or tg.exercises.about({remarks.misconception!r})"
            )
        if not ok and self._left():
            lines.append(f"hints left: {self._left()}")
        return Mark(self.name, self.attempts, ok, remarks.summary, tuple(lines), remarks.misconception)

    def hint(self, number: int | None = None) -> Note:
        """Return the next hint, or the hint of this number, from 1; after the last one, say that there are no more.

        Raises:
            InputError: if there is no hint of this number.

        Example:
            >>> import tinygrad_lite as tg
            >>> tg.exercises.start("exp").hint()
            hint 1 of 3: Compare the steepness of the curve with its height, at several x.
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
        ]
        if declaration.write == "numbers":
            parts += [block(inputs)]
        else:
            parts += [block(_stub(declaration)), "It is tried on these, and on more:", block(inputs)]
        if declaration.hints:
            parts.append(f"Hints: {len(declaration.hints)} (`hint()`, or `--hint 1` in a shell)")
        return "\n\n".join(parts)


def _stub(declaration: Declaration) -> str:
    if declaration.write == "numbers":
        return declaration.head
    return f"{declaration.head}\n    return ..."


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())
