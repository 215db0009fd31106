"""Exercises that mark themselves: write a derivative, and read what is wrong with it, never the answer."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinygrad_lite.exercises.catalogue import Catalogue
    from tinygrad_lite.exercises.exercise import Exercise
    from tinygrad_lite.exercises.misconception import Misconception
    from tinygrad_lite.exercises.submission import Form

__all__ = ["about", "declare", "list", "start"]


def list() -> "Catalogue":
    """List all exercises, each with its question; iterating gives their names.

    Example:
        >>> import tinygrad_lite as tg
        >>> [*tg.exercises.list()][:3]
        ['square', 'exp', 'chain_rule']
    """
    from tinygrad_lite.exercises.catalogue import Catalogue

    return Catalogue()


def start(name: str, *, seed: int | str | None = None, log: "str | os.PathLike[str] | None" = None) -> "Exercise":
    """Start an exercise, which shows its question, gives hints, marks submissions and counts the attempts.

    Args:
        seed: a student's name or number: the student gets inputs of their own, the same each time.
        log: a file that gets each attempt and each hint as a line of JSON; those already in it count.

    Raises:
        InputError: if there is no exercise of this name, or if the inputs for this seed cannot be marked.

    Example:
        >>> import tinygrad_lite as tg
        >>> exercise = tg.exercises.start("square")
        >>> @exercise.submit
        ... def derivative(y, x):
        ...     return x
        square, attempt 1: not yet
          3 of 3 entries are wrong, furthest at x[2], where x is 3: much too near 0
          it looks like this: a constant factor is missing
          read on: docs/misconceptions/constant_factor.md, or tg.exercises.about('constant_factor')
          hints left: 3
    """
    from tinygrad_lite.exercises.attempts import Log
    from tinygrad_lite.exercises.catalogue import find
    from tinygrad_lite.exercises.exercise import Exercise
    from tinygrad_lite.exercises.students import for_student

    declaration = find(name)
    return Exercise(declaration if seed is None else for_student(declaration, seed), Log(log) if log else None)


def about(name: str) -> "Misconception":
    """The mistake of this name: what people think, what is true, and in a notebook its picture.

    Raises:
        InputError: if there is no mistake of this name.

    Example:
        >>> import tinygrad_lite as tg
        >>> tg.exercises.about("sum_or_mean").ask
        'If I nudge one entry by h, how far does the result move? How many entries share it?'
    """
    from tinygrad_lite.exercises.misconceptions import about

    return about(name)


def declare(
    name: str,
    question: str,
    function: Callable[..., Any],
    *,
    write: "Form",
    inputs: "Sequence[Mapping[str, Any]] | Callable[..., Sequence[Mapping[str, Any]]]",
    by: str | None = None,
    hints: Sequence[str] = (),
) -> None:
    """Add an exercise to the list; it replaces an exercise of the same name.

    There is no answer to write down: a submission is compared with how the function's values change.

    Args:
        function: an operation, or any function of arrays in NumPy; the question shows it as a formula or as code.
        write: "derivative" asks for `derivative(y, *x)`, the local derivative entry by entry, of the shape of y;
            "vjp" for `vjp(g, y, *x)`, the vector-Jacobian product gᵀ ∂y/∂x, of the shape of the argument;
            "numbers" for ∂y/∂x at the first trial, worked out with pen and paper, to three digits or more.
        inputs: for each trial the arguments by name, in the function's order. The question shows the first trial; the
            mark covers all. Trials of several shapes detect a number that should be a size. A function of a generator
            that returns such a list draws the inputs of a student's own.
        by: the argument to differentiate with respect to; by default the first.
        hints: shown one by one when the learner asks.

    Raises:
        InputError: if the name is not an identifier, if an argument is not among the inputs or does not hold real
            numbers, or if the function's values cannot have a gradient.
        ShapeError: if the exercise asks for an elementwise derivative, but the value and the argument differ in shape.

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
    from tinygrad_lite.exercises.students import generator, trials_of

    draw = inputs if callable(inputs) else None
    trials = trials_of(inputs(generator(name, "")) if callable(inputs) else inputs)
    enter(Declaration(name, question, function, write, trials, by, tuple(hints), draw))
