"""The arguments of a function: which of their arrays are variables, and how it is called with others in their place."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.checking.subjects.matching import FIXED, INTEGER, OTHER, Parts, joined, matched
from tinygrad_lite.checking.subjects.variables import Variable, chosen, limits
from tinygrad_lite.engine.op import Array, Traced
from tinygrad_lite.engine.tensor import Tensor, wrap
from tinygrad_lite.errors import UsageError
from tinygrad_lite.foundation.signatures import signature
from tinygrad_lite.nn.module import Module
from tinygrad_lite.nn.substitution import substituted
from tinygrad_lite.transforms.runs import name_of


class Arguments:
    """The arguments of a function, some of whose real arrays are its variables.

    Attributes:
        names: the names of the function's arguments.
        variables: each of their real arrays, each real or imaginary part of their complex ones, and each parameter of a
            module, that is not held fixed.
        numbers: the number of each variable among all such arrays.
        complex_paths: the paths of the arguments that are complex.
        integers: the paths of the arrays of integers, which have no gradient.
    """

    def __init__(self, name: str, inputs: Sequence[Any], names: Sequence[str], wrt: Any, bounds: Any) -> None:
        self.names = names
        self._inputs = trees.map_leaves(lambda x: deepcopy(x) if isinstance(x, Module) else x, tuple(inputs))
        self._is_flat = trees.is_flat(self._inputs)
        self._all: list[Variable] = []
        paths = [path for name, argument in zip(names, self._inputs) for path in trees.paths(argument, name)]
        self._leaves = [_Leaf(path, x, self._entered(path, x)) for path, x in zip(paths, trees.leaves(self._inputs))]
        self.complex_paths = [leaf.path for leaf in self._leaves if isinstance(leaf.place, Parts)]
        self.integers = [leaf.path for leaf in self._leaves if leaf.place == INTEGER]
        if not self._all:
            raise UsageError(f"gradcheck of {name} was given {self._no_variables()}")
        is_chosen = chosen(wrt, [name for name in names if name], [v.path for v in self._all])
        self.vary([number for number, v in enumerate(self._all) if is_chosen(v.path)])
        self._limits = dict(zip(self.numbers, limits(bounds, self.variables)))
        self._cannot_vary = () if wrt is not None else (INTEGER, OTHER)

    def _no_variables(self) -> str:
        """What there is in place of variables, and what to do about it."""
        if self.integers:
            return "integers, which have no gradient: write 1.0 for 1"
        kinds = [f"{leaf.path} is of type {type(leaf.value).__name__}" for leaf in self._leaves]
        advice = ". Pass their numbers as np.asarray(…, float), and convert them back in the function"
        return "no arrays of real numbers" + (f": {', '.join(kinds[:3])}{advice}" if kinds else "")

    def _entered(self, path: str, leaf: Any) -> Any:
        """Add a leaf's real arrays to all variables; return their numbers, a module's by name."""
        if isinstance(leaf, Module):
            return {name: self._entered(joined(path, name), x) for name, x in leaf._for_transforms().variables.items()}
        array = leaf.data if isinstance(leaf, Tensor) else leaf
        letter = np.result_type(array).kind if isinstance(array, (int, float, complex, np.ndarray, np.generic)) else "-"
        if letter == "c":
            sides = {"real": np.real(array), "imag": np.imag(array)}
            return Parts({name: self._entered(f"{path}.{name}", x) for name, x in sides.items()})
        if letter != "f":
            return INTEGER if letter in "iub" else OTHER
        kinds = {Tensor: Tensor, np.ndarray: np.ndarray, np.generic: np.float64, float: float}
        kind = next(passed for known, passed in kinds.items() if isinstance(leaf, known))
        self._all.append(Variable(path, np.array(array), kind))
        return len(self._all) - 1

    def vary(self, numbers: Sequence[int]) -> None:
        """Make these the variables, and hold all others fixed."""
        self.numbers = numbers
        self.variables = [self._all[number] for number in numbers]

    @property
    def limits(self) -> list[tuple[Array, Array]]:
        """The bounds of each variable."""
        return [self._limits[number] for number in self.numbers]

    def call(self, f: Callable[..., Any], values: Sequence[Any], *others: Any) -> Any:
        """The result of a function for copies of the arguments, with these values in place of the variables."""
        by_number = dict(zip(self.numbers, values))
        with ExitStack() as stand_ins:
            passed = [leaf.passed(by_number, stand_ins) for leaf in self._leaves]
            result = f(*self._in_containers(passed), *others)
        if len(by_number) < len(passed):
            for leaf, after in zip(self._leaves, passed):
                if isinstance(leaf.place, int) and leaf.place not in by_number:
                    require_same(name_of(f), leaf.path, leaf.value, after)
        return result

    def matched(self, gradient: Any, source: str = "gradient=") -> dict[int, Any]:
        """The gradient of each variable by its number, from the containers in which somebody gives them."""
        places = [leaf.numbers((*self.numbers, *self._cannot_vary)) for leaf in self._leaves]
        return matched(gradient, self._in_containers(places), self.names, source)

    def tangents(self, parts: Sequence[Array]) -> tuple[Any, ...]:
        """Arrays for all variables in the containers of the arguments, with zeros for arrays that are held fixed."""
        by_number = dict(zip(self.numbers, parts))
        return self._in_containers([leaf.tangent(by_number) for leaf in self._leaves])

    def shaped(self, parts: Sequence[Array]) -> Any:
        """The same in the containers of a gradient: those of the one argument that varies, or of all."""
        whole = self.tangents(parts)
        places = self._in_containers([leaf.numbers(self.numbers) for leaf in self._leaves])
        vary = [part for part, place in zip(whole, places) if any(number >= 0 for number in trees.leaves(place))]
        return vary[0] if len(vary) == 1 else whole

    def _in_containers(self, parts: Sequence[Any]) -> tuple[Any, ...]:
        """One part for each leaf, in the containers of the arguments."""
        if self._is_flat:
            return tuple(parts)
        remaining = iter(parts)
        return trees.map_leaves(lambda _: next(remaining), self._inputs)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class _Leaf:
    """A leaf of the arguments, with its path and the number of its variable; for several variables, a dict by name."""

    path: str
    value: Any
    place: Any

    def numbers(self, chosen: Collection[int]) -> Any:
        """The same numbers, with FIXED for those that are not chosen."""
        if isinstance(self.place, dict):
            return type(self.place)({name: n if n in chosen else FIXED for name, n in self.place.items()})
        return self.place if self.place in chosen else FIXED

    def passed(self, by_number: Mapping[int, Any], stand_ins: ExitStack) -> Any:
        """What a function is given: the value of its variable, or a copy of the leaf; for a module, a stand-in."""
        value = self.value
        if isinstance(self.place, Parts):
            real, imag = (by_number.get(n, side(value)) for n, side in zip(self.place.values(), (np.real, np.imag)))
            return real + 1j * imag
        if isinstance(self.place, dict):
            state = {name: by_number[number] for name, number in self.place.items() if number in by_number}
            return stand_ins.enter_context(substituted(value, {name: _parameter(x) for name, x in state.items()}))
        if self.place in by_number:
            return by_number[self.place]
        if isinstance(value, Tensor):
            return value.detach()
        return value.copy() if isinstance(value, np.ndarray) else value

    def tangent(self, by_number: Mapping[int, Array]) -> Any:
        """Its part of a tangent; anything but an array stays as it is."""
        if isinstance(self.place, Parts):
            real, imag = (by_number.get(number, np.zeros(np.shape(self.value))) for number in self.place.values())
            return real + 1j * imag
        if isinstance(self.place, dict):
            return {name: by_number[number] for name, number in self.place.items() if number in by_number}
        if self.place == OTHER:
            return self.value
        return by_number.get(self.place, np.zeros(np.shape(self.value)))


def _parameter(value: Any) -> Any:
    """The value of a parameter as a tensor, which a gradient that the user computes may be with respect to."""
    return value if isinstance(value, Traced) else wrap(value, True)


def require_same(name: str, path: str, before: Any, after: Any) -> None:
    """Raise the error for a function that has changed an array that it was given."""
    if not isinstance(after, np.ndarray) or after.dtype.kind == "O":
        return
    if np.shape(before) == after.shape and before.tobytes() == after.tobytes():  # in a tenth of np.array_equal's time
        return
    if not np.array_equal(before, after, equal_nan=after.dtype.kind == "f"):
        raise UsageError(f"{name} changed {path} in place; compute with a copy of it, {path}.copy()")


def argument_names(f: Callable[..., Any], count: int) -> list[str]:
    """The names of a function's positional arguments."""
    target = f.forward if isinstance(f, Module) else f
    try:
        parameters = [
            p.name
            for p in signature(target).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):
        parameters = []
    return (parameters + [f"argument {i}" for i in range(len(parameters), count)])[:count]
