"""The declaration of an exercise: a function, the argument to differentiate with respect to, and inputs to try."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from textwrap import dedent
from typing import Any, get_args

import numpy as np

from tinygrad_lite.checking.subjects.subject import FULL
from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.exercises.submission import Form, Task
from tinygrad_lite.readers import notation
from tinygrad_lite.readers.symbol import Symbol


@dataclass(frozen=True)
class Declaration:
    """One exercise, as its author wrote it; the fields are the arguments of `tg.exercises.declare`.

    `draw` is the function that draws the inputs, if there is one.
    """

    name: str
    question: str
    function: Callable[..., Any]
    write: Form
    inputs: tuple[Mapping[str, Array], ...]
    by: str | None = None
    hints: tuple[str, ...] = ()
    draw: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise InputError(f"an exercise is called by an identifier, which a file can have too; got {self.name!r}")
        if self.write not in get_args(Form):
            raise InputError(f"{self.name}: write is 'derivative', 'vjp' or 'numbers', got {self.write!r}")
        if not self.inputs or not all(self.inputs):
            raise InputError(f"{self.name}: inputs is a list of trials, each a dict of arguments by name; got none")
        for trial in self.inputs:
            self._look_at(trial)

    def _look_at(self, trial: Mapping[str, Array]) -> None:
        """Raise an error if a trial cannot be marked."""
        if [*trial] != self.names or self.argument not in trial:
            raise InputError(
                f"{self.name}: each trial has the same arguments, {', '.join(self.names)}, and one of them to "
                f"differentiate with respect to; got {', '.join(trial)}, to differentiate with respect to "
                f"{self.argument}"
            )
        x, y = np.asarray(trial[self.argument]), self.value(trial)
        if x.dtype.kind != "f" or not x.size:
            raise InputError(f"{self.name}: {self.argument} must hold real numbers, got {x.dtype}{[*x.shape]}")
        if x.size > FULL:
            raise InputError(f"{self.name}: {self.argument} may have at most {FULL:,} entries, got {x.size:,}")
        if y.dtype.kind != "f" or not np.all(np.isfinite(y)):
            raise InputError(f"{self.name}: the function must return finite real numbers, it returned {y}")
        if y.shape != x.shape and (self.write == "derivative" or (self.write == "numbers" and y.shape)):
            raise ShapeError(
                f"{self.name}: y has shape {y.shape} and {self.argument} has {x.shape}; entry by entry they must be "
                "the same: ask for write='vjp', or try other inputs"
            )

    @property
    def names(self) -> list[str]:
        """The function's arguments, in order."""
        return [*self.inputs[0]]

    @property
    def argument(self) -> str:
        """The argument to differentiate with respect to."""
        return self.by or self.names[0]

    @property
    def position(self) -> int:
        """The position of that argument."""
        return self.names.index(self.argument)

    @property
    def elementwise(self) -> bool:
        """Whether the answer is ∂y/∂x, without an upstream gradient."""
        return self.write != "vjp"

    @property
    def task(self) -> Task:
        """The arguments of the answer."""
        return Task(self.write, tuple(self.names), self.argument)

    @property
    def head(self) -> str:
        """The first line of the answer."""
        return self.task.head

    @property
    def asked(self) -> str:
        """The task in words."""
        if self.write == "numbers":
            shape = np.shape(self.inputs[0][self.argument])
            many = f"numbers, in the shape {shape} of {self.argument}," if shape else "number,"
            return (
                f"With pen and paper: compute ∂y/∂{self.argument}, and submit the {many} to three digits or more, for:"
            )
        if self.write == "derivative":
            return f"Write ∂y/∂{self.argument}, entry by entry, in NumPy; y is passed too, since it is known by then:"
        return (
            f"Given g, the upstream gradient, of y's shape, write what goes on to {self.argument}, of the "
            f"shape of {self.argument}, in NumPy:"
        )

    def value(self, trial: Mapping[str, Array]) -> Array:
        """y."""
        with np.errstate(all="ignore"):  # an overflow is not finite, and is reported as such
            return np.asarray(self.function(*trial.values()))[()]

    @cached_property
    def formula(self) -> str:
        """The function as its own code; if that is a single line, as a formula."""
        if inspect.isfunction(self.function) and self.function.__name__ != "<lambda>":
            try:
                return re.sub("(: | -> )Array", "", dedent(inspect.getsource(self.function)).strip())
            except OSError:  # it was typed where its source is not kept
                pass
        try:
            symbols = [Symbol(np.asarray(x)[()], name) for name, x in self.inputs[0].items()]
            return f"y = {notation.text(self.function(*symbols))}"
        except Exception:  # the function may do anything that is not a formula
            return f"y = f({', '.join(self.names)})"
