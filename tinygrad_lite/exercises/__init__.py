"""Exercises that mark themselves: write a derivative, and read what is wrong with it, never the answer."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tinygrad_lite.exercises.catalogue import Catalogue
    from tinygrad_lite.exercises.declaration import Form
    from tinygrad_lite.exercises.exercise import Exercise

__all__ = ["declare", "list", "start"]


def list() -> "Catalogue":
    """The exercises that there are, each with what is asked; iterating gives their names.

    Example:
        >>> import tinygrad_lite as tg
        >>> [*tg.exercises.list()][:3]
        ['square', 'exp', 'chain_rule']
    """
    from tinygrad_lite.exercises.catalogue import Catalogue

    return Catalogue()


def start(name: str) -> "Exercise":
    """An exercise to work on: it shows its question, gives hints, marks what is submitted and counts the attempts.

    Raises:
        InputError: if there is none of this name.

    Example:
        >>> import tinygrad_lite as tg
        >>> exercise = tg.exercises.start("square")
        >>> @exercise.submit
        ... def derivative(y, x):
        ...     return x
        square, attempt 1: not yet
          3 of 3 entries are wrong, furthest at x[2], where x is 3: much too near 0
          it looks like this: a constant factor is missing
          hints left: 2
    """
    from tinygrad_lite.exercises.catalogue import find
    from tinygrad_lite.exercises.exercise import Exercise

    return Exercise(find(name))


def declare(
    name: str,
    question: str,
    function: Callable[..., Any],
    *,
    write: "Form",
    inputs: Sequence[Mapping[str, Any]],
    by: str | None = None,
    hints: Sequence[str] = (),
) -> None:
    """Add an exercise to the list, in the place of one of the same name.

    There is no answer to write down: what is submitted is compared with how the function's values change.

    Args:
        function: an operation, or any function of arrays in NumPy; what it computes is shown as formula or code.
        write: "derivative" asks for `derivative(y, *x)`, the local derivative entry by entry, of the shape of y;
            "vjp" for `vjp(g, y, *x)`, the vector-Jacobian product gᵀ ∂y/∂x, of the shape of the argument.
        inputs: for each trial the arguments by name, in the function's order. The first is shown; all are marked.
            Trials of several shapes find a number that should be a size.
        by: the argument to differentiate by; the first unless told.
        hints: given one by one when the learner asks.

    Raises:
        InputError: if the name is no identifier, an argument is not among the inputs or has no real numbers, or the
            function's values are none that a gradient could be of.
        ShapeError: if a derivative entry by entry is asked for, of a value of another shape than the argument.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.exercises.declare(
        ...     "cube",
        ...     "How fast does a volume grow with its edge?",
        ...     lambda x: x**3,
        ...     write="derivative",
        ...     inputs=[{"x": np.array([1.0, -2.0])}],
        ... )
        >>> tg.exercises.start("cube").check(lambda y, x: 3 * x**2)
        cube, attempt 1: right (2 entries)
    """
    from tinygrad_lite.exercises.catalogue import enter
    from tinygrad_lite.exercises.declaration import Declaration

    trials = tuple({key: np.array(x)[()] for key, x in trial.items()} for trial in inputs)  # copies, which stay
    enter(Declaration(name, question, function, write, trials, by, tuple(hints)))
