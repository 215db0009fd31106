"""An exercise in progress: its question, its hints, and the attempts so far."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from tinygrad_lite.errors import InputError
from tinygrad_lite.exercises.attempts import Event, Log
from tinygrad_lite.exercises.declaration import Declaration
from tinygrad_lite.exercises.mark import Mark
from tinygrad_lite.exercises.marking import Called, remarks_on
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

    def __init__(self, declaration: Declaration, log: Log | None = None) -> None:
        self._declaration, self._log = declaration, log
        before = log.of(declaration.name) if log else []
        self._hints = max((event.hint for event in before), default=0)
        self.attempts = sum(event.ok is not None for event in before)
        self.solved = any(event.ok for event in before)

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

        An answer that cannot be marked raises an error and does not count. Shapes that do not fit are a wrong answer.

        Raises:
            UsageError: if it cannot be called as the question says, changes its arguments, exits Python, or returns no
                numbers.
            Exception: any exception that it raises itself, with a note of the line.

        Example:
            >>> import tinygrad_lite as tg
            >>> tg.exercises.start("exp").check(lambda y, x: y).ok
            True
        """
        return self._mark(Submission(self._declaration.task, answer))

    def check_file(self, path: str | os.PathLike[str], *, time_limit: float = 10.0) -> Mark:
        """Mark a file in a process of its own, as `check` marks the function in it; `mark.printed` is what it printed.

        The process ends after `time_limit` seconds. It may not write outside a temporary folder, start
        programs or use the network: that stops accidents and pranks, but not an attacker.

        Raises:
            InputError: if the file cannot be run, or has no such function.
            UsageError: as `check`, and if it takes too long, ends Python, or does what it may not do.

        Example:
            >>> import tempfile, tinygrad_lite as tg
            >>> from pathlib import Path
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     file = Path(folder, "exp.py")
            ...     _ = file.write_text("def derivative(y, x): return y")
            ...     tg.exercises.start("exp").check_file(file).ok
            True
        """
        from tinygrad_lite.exercises.isolation import Isolated

        with Isolated(self._declaration.task, Path(path), time_limit) as submission:
            return replace(self._mark(submission), printed=submission.printed())

    def _mark(self, submission: Called) -> Mark:
        remarks = remarks_on(self._declaration, submission)
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
        if self._log:
            self._log.add(Event(self.name, ok, remarks.misconception))
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
        if self._log:
            self._log.add(Event(self.name, hint=number))
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
            declaration.asked,
        ]
        if declaration.write == "numbers":
            parts += [block(inputs)]
        else:
            parts += [block(_stub(declaration)), "It is tried on these inputs, and on others:", block(inputs)]
        if declaration.hints:
            parts.append(f"Hints: {len(declaration.hints)} (`hint()`, or `--hint 1` in a shell)")
        return "\n\n".join(parts)


def _stub(declaration: Declaration) -> str:
    if declaration.write != "numbers":
        return f"{declaration.head}\n    return ..."
    shape = np.shape(declaration.inputs[0][declaration.argument])
    form = (
        f"a list of {shape[0]} numbers" if len(shape) == 1 else f"an array of shape {shape}" if shape else "one number"
    )
    return f"{declaration.head}  # {form}"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.splitlines())
