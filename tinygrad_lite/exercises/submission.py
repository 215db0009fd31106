"""A learner's submission: a function that runs on copies, and whose errors are reported in the learner's terms."""

import io
import linecache
import traceback
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import UsageError
from tinygrad_lite.exercises.advice import advice_on
from tinygrad_lite.exercises.misfit import misfit_of
from tinygrad_lite.exercises.variants import variants
from tinygrad_lite.foundation.signatures import signature

Form = Literal["derivative", "vjp", "numbers"]


@dataclass(frozen=True)
class Task:
    """The arguments of an answer.

    Attributes:
        write: the form of the answer.
        names: the arguments of the exercise's function.
        argument: the one to differentiate with respect to.
    """

    write: Form
    names: tuple[str, ...]
    argument: str

    @property
    def parameters(self) -> list[str]:
        """The parameters of the submitted function."""
        return [*(["g"] if self.write == "vjp" else []), "y", *self.names]

    @property
    def head(self) -> str:
        """The first line of the answer."""
        if self.write == "numbers":
            return "numbers = ..."
        return f"def {self.write}({', '.join(self.parameters)}):"


class Submission:
    """A learner's function, which takes the arguments of an exercise; or numbers, whatever the arguments are."""

    def __init__(self, task: Task, function: Any) -> None:
        self._task, self._function = task, function
        if task.write == "numbers":
            self._function = _constant(function)
        elif not callable(function):
            raise UsageError(f"submit a function, {task.head[:-1]}, not {type(function).__name__}")
        self._name = getattr(function, "__name__", task.write)
        try:
            form = signature(self._function)
        except (TypeError, ValueError):  # written in C, without a signature: the call will show
            return
        names = list(form.parameters)
        try:
            form.bind(*task.parameters)
        except TypeError:
            raise UsageError(
                f"{self._name}{form} cannot be called with the {len(task.parameters)} arguments that it is "
                f"given, {', '.join(task.parameters)}: begin with `{task.head}`"
            ) from None
        if names != task.parameters and sorted(names) == sorted(task.parameters):
            raise UsageError(
                f"{self._name}{form} is given its arguments in another order, {', '.join(task.parameters)}: begin with "
                f"`{task.head}`"
            )

    def variants(self) -> list[tuple[str, Callable[..., Array]]]:
        """Sentences about a mistake, each with the submission without that mistake, if its code is known.

        These print nothing and do not warn, since the learner did not write them.
        """
        if self._task.write == "numbers":
            return []
        return [(sentence, _in_silence(Submission(self._task, other))) for sentence, other in variants(self._function)]

    def __call__(self, g: Array, y: Array, trial: Mapping[str, Array]) -> Array:
        """The function's result for these arguments, as a real array.

        Raises:
            Misfit: if it combines arrays whose shapes do not fit.
            UsageError: if it changes its arguments, exits Python, or returns no real numbers.
        """
        first = [g] if self._task.write == "vjp" else []
        arguments = [np.array(x)[()] for x in (*first, y, *trial.values())]
        before = [np.array(x) for x in arguments]
        try:
            answer = self._function(*arguments)
        except Exception as error:
            shape = np.shape(trial[self._task.argument])
            if isinstance(error, ValueError) and (misfit := misfit_of(error, _file(error), shape)):
                raise misfit from None
            error.add_note(f"raised by your {self._name}{_line(error)}")
            if advice := advice_on(error):
                error.add_note(advice)
            raise
        except SystemExit:  # otherwise marking would end here, with the exit status of a right answer
            raise UsageError(f"{self._name} leaves Python: let it end with `return` and the derivative") from None
        for name, a, b in zip(self._task.parameters, before, arguments):
            if not np.array_equal(a, b, equal_nan=True):
                raise UsageError(f"{self._name} changed {name}, which others read too: work on {name}.copy()")
        if answer is None or answer is ...:
            raise UsageError(f"{self._name} returned {answer}: let it end with `return` and the derivative")
        try:
            array = np.asarray(answer)
        except ValueError:
            array = np.asarray(None)
        if array.dtype.kind not in "fiub":
            kind = f"an array of {answer.dtype}" if isinstance(answer, np.ndarray) else type(answer).__name__
            raise UsageError(f"{self._name} must return an array of real numbers, it returned {kind}")
        return array.astype(float)


def _in_silence(function: Callable[..., Array]) -> Callable[..., Array]:
    def silent(*args: Any) -> Array:
        with redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
            return function(*args)

    return silent


def _constant(numbers: Any) -> Callable[..., Any]:
    """A function that returns what was worked out by hand."""
    if callable(numbers) or numbers is None or numbers is ...:
        raise UsageError(f"submit the numbers that you worked out, not {type(numbers).__name__}")
    if isinstance(numbers, str):
        raise UsageError(f"submit the numbers that you worked out, not text: take the quotes away from {numbers!r}")
    return lambda *_: numbers


def _file(error: Exception) -> str:
    """The learner's file."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    return frames[0].filename if frames else ""


def _line(error: Exception) -> str:
    """The innermost line of the learner's file that an exception passed through."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    if not frames:
        return ""
    own = [frame for frame in frames if frame.filename == frames[0].filename][-1]
    text = linecache.getline(own.filename, own.lineno or 0).strip()
    return f", line {own.lineno}: {text}".rstrip(": ")
