"""Gradients that the caller supplies: arrays, functions that return them, and products with the Jacobian."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.checking.subjects.arguments import Arguments
from tinygrad_lite.checking.subjects.results import Results, flat
from tinygrad_lite.checking.subjects.variables import Vector
from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import ShapeError, UsageError
from tinygrad_lite.readers.random_rounding import rounded
from tinygrad_lite.transforms.dual import innermost

Matrix = np.ndarray[Any, Any]
Call = Callable[..., Any]
"""Calls a function with the arguments at some point, and with others behind them."""


class Supplied(Protocol):
    """A gradient that the caller supplies."""

    source: str
    is_known_at_one_point: bool
    has_forward_mode: bool
    takes_upstream: bool  # whether it is a function of an upstream gradient
    is_by_hand: bool  # whether the caller computes it, not a library

    def look(self, call: Call, arguments: Arguments, results: Results) -> dict[int, Any]:
        """The gradient of some sum of the results, by the number of the variable; it lacks what is not checked."""

    def rows(self, call: Call, arguments: Arguments, results: Results, weights: Matrix) -> Matrix:
        """The gradient of each weighted sum of the results, in one row."""

    def changes(self, call: Call, arguments: Arguments, directions: list[Array]) -> Vector:
        """The change of the results along a direction."""


class Gradient:
    """A `gradient` or Jacobian, or a function that returns it."""

    source = "gradient="
    has_forward_mode = takes_upstream = False
    is_by_hand = True

    def __init__(self, gradient: Any) -> None:
        self.gradient = gradient
        self.is_known_at_one_point = not callable(gradient)

    def look(self, call: Call, arguments: Arguments, results: Results) -> dict[int, Any]:
        """The gradient of each variable by its number."""
        if results.are_complex:
            raise UsageError("gradient= needs real results, these are complex: give vjp= instead, which weights them")
        return arguments.matched(self.gradient if self.is_known_at_one_point else call(self.gradient))

    def rows(self, call: Call, arguments: Arguments, results: Results, weights: Matrix) -> Matrix:
        """Weighted sums of the rows of the Jacobian."""
        gradients = self.look(call, arguments, results)
        blocks = []
        for number, v in zip(arguments.numbers, arguments.variables):
            block = _numeric(gradients, number, v.path, self.source)
            whole = (*(results.shapes[0] if len(results.shapes) == 1 else (results.size,)), *v.shape)
            if block.shape != whole and not (results.size == 1 and block.shape == v.shape):
                expected = v.shape if results.size == 1 else whole
                is_of_a_sum = block.shape == v.shape
                advice = f": the function returns shape {results.shapes[0]}; is it to be summed?" if is_of_a_sum else ""
                raise ShapeError(f"gradient= gave shape {block.shape} for {v.path}, it should be {expected}{advice}")
            blocks.append(block.reshape(results.size, v.size))
        return np.asarray(weights @ np.concatenate(blocks, axis=1))

    def changes(self, call: Call, arguments: Arguments, directions: list[Array]) -> Vector:
        """Refuse: a gradient is one of reverse mode."""
        raise UsageError("gradient= has no forward mode: give jvp=, or check our own gradient or another framework's")


class Products:
    """Products of the Jacobian with weights from the left, vjp(*inputs, g), and with a tangent, jvp(*inputs, t)."""

    is_known_at_one_point = False
    is_by_hand = True

    def __init__(
        self, vjp: Callable[..., Any] | None = None, jvp: Callable[..., Any] | None = None, source: str = ""
    ) -> None:
        self._vjp, self._jvp = vjp, jvp
        self.has_forward_mode, self.takes_upstream = jvp is not None, vjp is not None
        self.source = source or ("vjp=" if vjp else "jvp=")

    def look(self, call: Call, arguments: Arguments, results: Results) -> dict[int, Any]:
        """The gradient of the sum of all results, if there is a vjp."""
        if self._vjp is None:
            return dict.fromkeys(arguments.numbers, 0.0)
        return arguments.matched(call(self._vjp, results.weighted(np.ones(results.size))), self.source)

    def rows(self, call: Call, arguments: Arguments, results: Results, weights: Matrix) -> Matrix:
        """Products with each row of the weights; without a vjp, with the Jacobian made of its columns."""
        if self._vjp is None:
            columns = [self.changes(call, arguments, unit) for unit in _units(arguments)]
            for column in columns:
                if len(column) != results.size:
                    raise ShapeError(f"{self.source} gave {len(column)} numbers for the {results.size} of the results")
            return np.asarray(weights @ np.stack(columns, axis=1))
        rows = []
        for row in weights:
            gradients = arguments.matched(call(self._vjp, results.weighted(row)), self.source)
            parts = [
                _numeric(gradients, n, v.path, self.source) for n, v in zip(arguments.numbers, arguments.variables)
            ]
            for part, v in zip(parts, arguments.variables):
                if part.shape != v.shape:
                    raise ShapeError(f"{self.source} gave shape {part.shape} for {v.path}, it should be {v.shape}")
            rows.append(flat(parts))
        return np.array(rows)

    def changes(self, call: Call, arguments: Arguments, directions: list[Array]) -> Vector:
        """The product with a tangent."""
        if self._jvp is None:
            raise UsageError("vjp= is reverse mode only: give jvp= as well, to compare the two modes")
        return flat([np.asarray(_array(y)) for y in trees.leaves(call(self._jvp, arguments.shaped(directions)))])


def _units(arguments: Arguments) -> Iterator[list[Array]]:
    """For each entry of the variables, a tangent that is 1 there and 0 elsewhere."""
    for k, variable in enumerate(arguments.variables):
        for index in np.ndindex(variable.shape):
            unit = [np.zeros(v.shape) for v in arguments.variables]
            unit[k][index] = 1
            yield unit


def _numeric(gradients: dict[int, Any], number: int, path: str, source: str) -> Array:
    """The gradient of a variable as an array of float64."""
    if number not in gradients:
        raise UsageError(f"{source} gave None for {path}, and a gradient before")
    try:
        return np.asarray(_array(gradients[number]), float)
    except (TypeError, ValueError):
        raise UsageError(
            f"{source} gave {type(gradients[number]).__name__} for {path}, it should be an array"
        ) from None


def _array(x: Any) -> Array:
    return rounded(innermost(x))
