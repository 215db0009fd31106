"""The subject of a check: a function of nested arguments, as a function from one flat vector to another.

It runs on copies of its arguments, so that nothing that belongs to the user changes. Each way to run it is here: for
its values, for its gradient, on the complex plane, with tangents, and with every operation rounded at random.
"""

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.checking.matching import FIXED, joined, matched
from tinygrad_lite.checking.variables import Variable, chosen, limits
from tinygrad_lite.checking.variables import Vector as Vector
from tinygrad_lite.engine import grad_mode
from tinygrad_lite.engine.arguments import as_array
from tinygrad_lite.engine.op import Array, Traced
from tinygrad_lite.engine.tensor import Tensor, wrap
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.nn.module import Module
from tinygrad_lite.readers import complex_step
from tinygrad_lite.readers.random_rounding import Rounding, randomly_rounded, rounded
from tinygrad_lite.readers.recording import Step, recording
from tinygrad_lite.transforms.dual import Dual, Pullback, innermost, new_level, settle, variable
from tinygrad_lite.transforms.runs import name_of

Matrix = np.ndarray[Any, Any]
EPSILON = float(np.finfo(float).eps)
INTEGER = -2  # in place of the number of a variable


class Subject:
    """A function with the arguments at which it is checked.

    Attributes:
        name: the function's name.
        variables: each real array among the arguments, and each parameter of a module.
        remarks: what is held fixed, and why.
        plain: whether the function takes plain arrays, because its gradient comes from elsewhere.
        point: the entries of all variables, in float64.
        lower, upper: the bounds of these entries, infinite where there are none.
        varies: which entries are finite; the others are held fixed.
        epsilon: the relative spacing of the coarsest numbers among the variables, and in a gradient that is an array.
    """

    def __init__(
        self, f: Callable[..., Any], inputs: Sequence[Any], gradient: Any = None, wrt: Any = None, bounds: Any = None
    ) -> None:
        self.name = name_of(f)
        self.plain = gradient is not None
        self.gradient = gradient
        self.remarks: list[str] = []
        self.shapes: list[tuple[int, ...]] = []
        self._takes_no_tensors = True
        self._names = _argument_names(f, len(inputs))
        self._first: tuple[Vector, dict[int, Any]] | None = None
        if isinstance(f, Module):
            if self.plain:
                raise UsageError(
                    "gradient= is of a function: write lambda module, x: module(x) for this module, and pass both"
                )
            self.name = type(f).__name__
            f, inputs = _called_last, (*inputs, f)
        self.f = f
        self._inputs = trees.map_leaves(lambda x: deepcopy(x) if isinstance(x, Module) else x, tuple(inputs))
        self._all: list[Variable] = []
        names = [*self._names, ""][: len(inputs)]
        paths = [path for name, argument in zip(names, self._inputs) for path in trees.paths(argument, name)]
        self._leaves = [_Leaf(path, x, self._entered(path, x)) for path, x in zip(paths, trees.leaves(self._inputs))]
        integers = [leaf.path for leaf in self._leaves if leaf.place == INTEGER]
        if not self._all:
            kind = "integers, which have no gradient: write 1.0 for 1" if integers else "no arrays of real numbers"
            raise UsageError(f"gradcheck of {self.name} was given {kind}")
        if wrt is None:
            self.remarks += [f"{path} holds integers, which have no gradient: held fixed" for path in integers]
        is_chosen = chosen(wrt, self._names, [v.path for v in self._all])
        numbers = [number for number, v in enumerate(self._all) if is_chosen(v.path)]
        self._limits = dict(zip(numbers, limits(bounds, [self._all[number] for number in numbers])))
        self._vary_by(numbers)
        kinds = [v.array.dtype for v in self.variables]
        if self.plain:
            kinds += self._look_at_gradient()
        self.epsilon = float(max(np.finfo(kind).eps for kind in kinds))

    def _entered(self, path: str, leaf: Any) -> Any:
        """Add a leaf's real arrays to all variables; return their numbers, a module's by name."""
        if isinstance(leaf, Module):
            return {name: self._entered(joined(path, name), x) for name, x in leaf.named_variables()}
        array = leaf.data if isinstance(leaf, Tensor) else leaf
        kind = np.result_type(array).kind if isinstance(array, (int, float, complex, np.ndarray, np.generic)) else "-"
        if kind == "c":
            raise UsageError(f"{path} is complex; gradients are checked by real numbers: split it into two real arrays")
        if kind != "f":
            return INTEGER if kind in "iub" else FIXED
        self._all.append(Variable(path, np.array(array), isinstance(leaf, Tensor)))
        return len(self._all) - 1

    def _vary_by(self, numbers: Sequence[int]) -> None:
        """Make these the variables, and hold all others fixed."""
        self._numbers = numbers
        self.variables = [self._all[number] for number in numbers]
        sizes = [v.size for v in self.variables]
        if not sum(sizes):
            raise InputError(f"gradcheck of {self.name} was given empty arrays only: there is nothing to check")
        self._starts = np.cumsum([0, *sizes]).tolist()
        self.point: Vector = np.concatenate([np.ravel(v.array).astype(float) for v in self.variables])
        self.lower, self.upper = (_flat([self._limits[number][side] for number in numbers]) for side in (0, 1))
        self.varies = np.isfinite(self.point)
        if not np.any(self.varies):
            raise InputError(f"gradcheck of {self.name} needs finite numbers, {self.entry(0)} is {self.point[0]}")
        for j in np.flatnonzero((self.point < self.lower) | (self.point > self.upper))[:1]:
            between = f"{self.lower[j]:.6g} and {self.upper[j]:.6g}"
            raise InputError(f"{self.entry(j)} is {self.point[j]:.6g}, outside its bounds {between}")

    def _look_at_gradient(self) -> list[np.dtype[Any]]:
        """Hold fixed what the gradient is None for, and return the dtypes of what it is."""
        if callable(self.gradient):
            self.values(self.point)  # a gradient may use what the function has stored
        first = self._gradients(self.point)
        if not first:
            raise UsageError(f"gradient= gave None: does {name_of(self.gradient)} end with `return`?")
        skipped = [self._all[number].path for number in self._numbers if number not in first]
        self.remarks += [f"{path}: not checked, since gradient= gave None for it" for path in skipped]
        if skipped:
            self._vary_by([number for number in self._numbers if number in first])
        self._first = (self.point, first)
        return [dtype for x in first.values() if (dtype := np.asarray(_array(x)).dtype).kind == "f"]

    def entry(self, column: int) -> str:
        """The name of an entry of the flat vector: `w[2, 0]`."""
        k, index = self.locate(column)
        return f"{self.variables[k].path}{_subscript(index)}"

    def locate(self, column: int) -> tuple[int, tuple[int, ...]]:
        """The variable that an entry of the flat vector belongs to, and its index there."""
        k = int(np.searchsorted(self._starts, column, "right")) - 1
        index = np.unravel_index(column - self._starts[k], self.variables[k].shape)
        return k, tuple(map(int, index))

    def columns(self, k: int) -> slice:
        """The slice of the k-th variable's entries in the flat vector."""
        return slice(self._starts[k], self._starts[k + 1])

    @property
    def is_known_at_one_point(self) -> bool:
        """Whether the gradient is an array from elsewhere, which is only known at this point."""
        return self.plain and not callable(self.gradient)

    def step_aside(self, rng: "np.random.Generator") -> None:
        """Move the point a little away from kinks, unless the gradient is only known at the point itself."""
        if not self.is_known_at_one_point:
            size = np.maximum(np.abs(self.point), np.max(np.abs(self.point[self.varies])))
            self.point = self.rounded(self.point + 1e-6 * size * rng.uniform(0.5, 1, len(self.point)))

    def rounded(self, x: Vector) -> Vector:
        """The flat vector in the precision of the variables, inside their bounds."""
        parts = [array.astype(v.array.dtype) for v, array in zip(self.variables, map(np.asarray, self.split(x)))]
        return np.asarray(np.clip(_flat(parts).astype(float), self.lower, self.upper))

    def is_inside(self, x: Vector) -> bool:
        """Whether a flat vector is inside the bounds of the variables."""
        return not np.any((x < self.lower) | (x > self.upper))

    def split(self, x: Vector) -> list[Array]:
        """The flat vector as the variables' arrays, in float64."""
        return [x[self.columns(k)].reshape(v.shape)[()] for k, v in enumerate(self.variables)]

    def _run(self, f: Callable[..., Any], values: Sequence[Any]) -> Any:
        """The result of a function for copies of the arguments, with these values in place of the variables."""
        by_number = dict(zip(self._numbers, values))
        with ExitStack() as stand_ins:
            passed = [leaf.passed(by_number, stand_ins) for leaf in self._leaves]
            remaining = iter(passed)
            result = f(*trees.map_leaves(lambda _: next(remaining), self._inputs))
        for leaf, after in zip(self._leaves, passed):
            if isinstance(leaf.place, int) and leaf.place not in by_number:
                _require_same(name_of(f), leaf.path, leaf.value, after)
        return result

    def call(self, leaves: Sequence[Any]) -> list[Any]:
        """The arrays that the function returns for these values of the variables."""
        results = trees.leaves(self._run(self.f, leaves))
        if not results:
            raise UsageError(f"{self.name} returned nothing to differentiate; does it end with `return`?")
        return results

    @contextmanager
    def _explaining(self, x: Vector) -> Iterator[None]:
        """Add the arguments of the user's function to an exception that it raises."""
        try:
            with np.errstate(all="ignore"):  # a step that leaves the domain is not used
                yield
        except Exception as error:
            moved = np.flatnonzero((x != self.point) & self.varies)
            moves = ", ".join(f"{self.entry(j)} = {x[j]:.17g} in place of {self.point[j]:.17g}" for j in moved[:3])
            error.add_note(f"raised by {self.name} in a gradient check, at {moves or 'the given arguments'}")
            raise

    def values(self, x: Vector, rounding: Rounding | None = None) -> Vector:
        """All entries that the function returns, in float64; NaN outside the bounds, where it is not called."""
        if not self.is_inside(x):
            return np.full(self._count, np.nan)
        arrays = self.split(x)
        if self.plain:
            arguments: list[Any] = [
                wrap(array.copy()) if v.is_tensor else np.array(array)[()] if v.shape else float(array)
                for v, array in zip(self.variables, arrays)
            ]
        else:
            arguments = [wrap(array.copy()) for array in arrays]
        with self._explaining(x), grad_mode.no_grad():
            results = self.call(_rounded(arguments, rounding))
        for v, before, after in zip(self.variables, arrays, arguments):
            _require_same(self.name, v.path, before, after)
        return self._real([_array(y) for y in results] if rounding else results)

    @property
    def _count(self) -> int:
        """The number of entries that the function returned."""
        return sum(prod(shape) for shape in self.shapes)

    def _real(self, results: Sequence[Any]) -> Vector:
        for y in results:
            dtype = innermost(y).dtype if isinstance(y, Tensor) else np.asarray(y).dtype
            if dtype.kind not in "fiub":
                kind = type(y).__name__ if dtype.kind in "OUS" else dtype
                raise UsageError(f"{self.name} must return real numbers to have a gradient, it returned {kind}")
        self.shapes = [np.shape(y) for y in results]
        return _flat([np.asarray(innermost(y), float) for y in results])

    def rows(self, x: Vector, weights: Matrix, rounding: Rounding | None = None) -> Matrix:
        """The gradient, by the rules in question, of each weighted sum of the results: one row for each."""
        if not self.is_inside(x):
            return np.full((len(weights), len(x)), np.nan)
        with self._explaining(x):
            return (self._given_rows if self.plain else self._pulled_rows)(x, weights, rounding)

    def _pulled_rows(self, x: Vector, weights: Matrix, rounding: Rounding | None) -> Matrix:
        arrays = [array.astype(v.array.dtype)[()] for v, array in zip(self.variables, self.split(x))]
        variables = [variable(array) for array in _rounded(arrays, rounding)]
        try:
            with grad_mode.Differentiating():
                results = self.call(variables)
                settle(variables)
                pull = Pullback(results, variables)
                pulled = [pull(_rounded(seeds(results, row), rounding)) for row in weights]
        finally:
            settle(variables)
        rows = [_flat(list(map(_array, gradients))).astype(float) for gradients in pulled]
        return np.array(rows).reshape(len(weights), len(x))

    def _given_rows(self, x: Vector, weights: Matrix, rounding: Rounding | None) -> Matrix:
        """The same for a gradient that the user computes."""
        gradients = self._gradients(x, rounding)
        count = weights.shape[1]
        blocks = []
        for number, v in zip(self._numbers, self.variables):
            if number not in gradients:
                raise UsageError(f"gradient= gave None for {v.path}, and a gradient before")
            block = _numeric(gradients[number], v.path)
            expected = v.shape if count == 1 else (*(self.shapes[0] if len(self.shapes) == 1 else (count,)), *v.shape)
            if block.shape != expected and not (count == 1 and block.shape == (*self.shapes[0], *v.shape)):
                raise ShapeError(f"gradient= gave shape {block.shape} for {v.path}, it should be {expected}")
            blocks.append(block.reshape(count, v.size))
        return np.asarray(weights @ np.concatenate(blocks, axis=1))

    def _gradients(self, x: Vector, rounding: Rounding | None = None) -> dict[int, Any]:
        """The gradient that the user computes of each variable, by the variable's number."""
        if self._first and rounding is None and np.array_equal(x, self._first[0], equal_nan=True):
            first, self._first = self._first[1], None
            return first
        gradient = self.gradient
        if callable(gradient):
            arrays = self.split(x)
            own = _rounded([np.array(array)[()] for array in arrays], rounding)
            gradient = self._run(gradient, own)
            for v, before, after in zip(self.variables, arrays, own):
                _require_same(name_of(self.gradient), v.path, before, after)
        remaining = iter([leaf.numbers(self._numbers) for leaf in self._leaves])
        arguments = trees.map_leaves(lambda _: next(remaining), self._inputs)
        return matched(gradient, arguments, self._names)

    def changes(
        self, x: Vector, direction: Vector, rounding: Rounding | None = None, as_tensors: bool = False
    ) -> Vector:
        """The change of the results along a direction, by the complex step; with tensors, which a recording sees."""
        if not self.is_inside(x):
            return np.full(self._count, np.nan)
        arrays, directions = self.split(x), self.split(direction)

        def f(*leaves: Any) -> list[Any]:
            return [_array(y) for y in self.call(_rounded(leaves, rounding))]

        with grad_mode.no_grad():
            if self._takes_no_tensors and not as_tensors:
                try:
                    return _flat(complex_step.changes(f, arrays, directions, as_tensors=False))
                except Exception:  # it uses something that only tensors have
                    self._takes_no_tensors = rounding is not None
            return _flat(complex_step.changes(f, arrays, directions))

    def tangents(self, x: Vector, direction: Vector, rounding: Rounding | None = None) -> Vector:
        """The same change by forward mode."""
        if not self.is_inside(x):
            return np.full(self._count, np.nan)
        with new_level() as level, grad_mode.enable_grad():
            parts = [_rounded(self.split(part), rounding) for part in (x, direction)]
            results = self.call([Dual(primal, tangent, level) for primal, tangent in zip(*parts)])
        return _flat([_array(y.tangent) if isinstance(y, Dual) else np.zeros(np.size(y)) for y in results])

    def steps(self, x: Vector) -> list[Step]:
        """The operations that the function performs; empty if it does not take tensors."""
        return self.traced(x)[0]

    def traced(self, x: Vector) -> tuple[list[Step], list[Tensor], list[Any]]:
        """The operations that the function performs, its variables and its results, all with a history."""
        if not self.is_inside(x):
            return [], [], []
        variables = [wrap(array.copy(), True) for array in self.split(x)]
        try:
            with recording() as steps, grad_mode.enable_grad(), np.errstate(all="ignore"):
                results = self.call(variables)
        except Exception:
            if not self.plain:
                raise
            return [], [], []
        return steps, variables, results


class GradientOf(Subject):
    """The gradient of a fixed weighted sum of a subject's results, as the function to check to second order.

    Attributes:
        first: the original subject.
    """

    def __init__(self, first: Subject, weights: Vector) -> None:
        self.__dict__.update(first.__dict__)
        self.first = first
        self._weights = weights
        self.name = f"the gradient of {first.name}"

    def call(self, leaves: Sequence[Any]) -> list[Any]:
        inner = [variable(x.primal if isinstance(x, Dual) else x) for x in leaves]
        variables = [
            Dual(primal, x.tangent, x.level) if isinstance(x, Dual) else primal for primal, x in zip(inner, leaves)
        ]
        with grad_mode.enable_grad():
            results = self.first.call(variables)
            settle(inner)
            return list(Pullback(results, inner)(seeds(results, self._weights)))


def shaped(weights: Vector, results: Sequence[Array]) -> list[Array]:
    """The weights of all entries in the shapes of the results: the gradient of the weighted sum by each result."""
    parts = np.split(weights, np.cumsum([np.size(y) for y in results])[:-1])
    return [part.reshape(np.shape(y)) for part, y in zip(parts, results)]


def seeds(results: Sequence[Array], weights: Vector) -> list[Array]:
    """The same in the dtypes of the results, for a reverse pass."""
    return [part.astype(np.result_type(y))[()] for part, y in zip(shaped(weights, results), results)]


def random_weights(rng: "np.random.Generator", shape: Any) -> Array:
    """Random numbers of either sign, all of about the same size."""
    return rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)


def _rounded(leaves: Sequence[Any], rounding: Rounding | None) -> list[Any]:
    """Values for a run of the function, randomly rounded if there is a rounding."""
    if rounding is None:
        return list(leaves)
    return [
        wrap(randomly_rounded(x.data, rounding)) if isinstance(x, Tensor) else randomly_rounded(as_array(x), rounding)
        for x in leaves
    ]


def _array(x: Any) -> Array:
    """The array inside a value from a run of the function."""
    return rounded(innermost(x))


def _require_same(name: str, path: str, before: Any, after: Any) -> None:
    if not isinstance(after, np.ndarray) or after.dtype.kind == "O":
        return
    if not np.array_equal(before, after, equal_nan=after.dtype.kind == "f"):
        raise UsageError(f"{name} changed {path} in place; compute with a copy of it, {path}.copy()")


def _flat(parts: Sequence[Array]) -> Vector:
    return np.concatenate([np.ravel(part) for part in parts])


@dataclass(frozen=True)
class _Leaf:
    """A leaf of the arguments, with its path and the number of its variable; for a module, numbers by name."""

    path: str
    value: Any
    place: Any

    def numbers(self, chosen: Collection[int]) -> Any:
        """The same numbers, with FIXED for those that are not chosen."""
        return trees.map_leaves(lambda number: number if number in chosen else FIXED, self.place)

    def passed(self, by_number: Mapping[int, Any], stand_ins: ExitStack) -> Any:
        """What a function is given: the value of its variable, or a copy of the leaf; for a module, a stand-in."""
        value = self.value
        if isinstance(self.place, dict):
            state = {name: by_number[number] for name, number in self.place.items() if number in by_number}
            return stand_ins.enter_context(value.substituted({name: _parameter(x) for name, x in state.items()}))
        if self.place in by_number:
            return by_number[self.place]
        return value.copy() if isinstance(value, np.ndarray) else value.detach() if isinstance(value, Tensor) else value


def _parameter(value: Any) -> Any:
    """The value of a parameter as a tensor, which a gradient that the user computes may be with respect to."""
    return value if isinstance(value, Traced) else wrap(value, True)


def _called_last(*arguments: Any) -> Any:
    """The result of a module for arguments that come before it."""
    *inputs, module = arguments
    return module(*inputs)


def _numeric(gradient: Any, path: str) -> Array:
    """A gradient that a user computes as an array of float64."""
    try:
        return np.asarray(_array(gradient), float)
    except (TypeError, ValueError):
        raise UsageError(f"gradient= gave {type(gradient).__name__} for {path}, it should be an array") from None


def _argument_names(f: Callable[..., Any], count: int) -> list[str]:
    """The names of a function's positional arguments."""
    target = f.forward if isinstance(f, Module) else f
    try:
        parameters = [
            p.name
            for p in inspect.signature(target).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):
        parameters = []
    return (parameters + [f"argument {i}" for i in range(len(parameters), count)])[:count]


def _subscript(index: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, index))}]" if index else ""
