"""An exercise with different numbers for each student, so that neighbours cannot copy from each other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError
from tinygrad_lite.exercises.declaration import Declaration

Draw = Callable[[np.random.Generator], Sequence[Mapping[str, Any]]]


def generator(name: str, seed: int | str) -> np.random.Generator:
    """A generator that is the same for a student and an exercise on every machine."""
    return np.random.default_rng(int.from_bytes(sha256(f"{name}/{seed}".encode()).digest()[:16]))


def trials_of(inputs: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Array], ...]:
    """Our own copies of the inputs."""
    if isinstance(inputs, Mapping) or not all(isinstance(trial, Mapping) for trial in inputs):
        raise InputError(
            "inputs is a list of trials, each a dict of arguments by name, such as [{'x': np.array([1.0, 2.0])}]; "
            f"got {inputs!r:.80}"
        )
    return tuple({key: np.array(x)[()] for key, x in trial.items()} for trial in inputs)


def for_student(declaration: Declaration, seed: int | str) -> Declaration:
    """The same exercise with inputs for a student: drawn, or each number up to a quarter larger or smaller.

    Signs, zeros, whole numbers and ties stay as they are.
    """
    rng = generator(declaration.name, seed)
    try:
        if declaration.draw is not None:
            return replace(declaration, inputs=trials_of(declaration.draw(rng)))
        trials = [{key: _moved(x, rng) for key, x in trial.items()} for trial in declaration.inputs]
        return replace(declaration, inputs=trials_of(trials))
    except InputError as error:
        raise InputError(
            f"{error}; these are the inputs for the seed {seed!r}: declare the exercise with a function of a generator "
            "as its inputs, which draws new ones for each seed"
        ) from None


def _moved(x: Array, rng: np.random.Generator) -> Array:
    x = np.asarray(x)
    if x.dtype.kind != "f":
        return x
    values, places = np.unique(x, return_inverse=True)
    moved = [float(f"{value * factor:.2g}") for value, factor in zip(values, rng.uniform(0.75, 1.25, values.size))]
    return np.array(moved)[places].reshape(x.shape)
