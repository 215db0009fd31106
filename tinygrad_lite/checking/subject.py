"""The subject of a check: a function of nested arguments, as a function from one flat vector to another.

It runs on copies of its arguments, so that nothing that belongs to the user changes. Each way to run it is here: for
its values, for its gradient, on the complex plane, with tangents, and with every operation rounded at random.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine import grad_mode
from tinygrad_lite.engine.arguments import as_array
from tinygrad_lite.engine.backward import Node
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor, wrap
from tinygrad_lite.errors import GraphError, InputError, ShapeError, UsageError
from tinygrad_lite.nn.module import Module
from tinygrad_lite.readers import complex_step
from tinygrad_lite.readers.random_rounding import Rounding, randomly_rounded, rounded
from tinygrad_lite.readers.recording import Step, recording
from tinygrad_lite.transforms.dual import Dual, Pullback, innermost, new_level, settle, variable
from tinygrad_lite.transforms.runs import name_of

Vector = np.ndarray[Any, Any]
Matrix = np.ndarray[Any, Any]
EPSILON = float(np.finfo(float).eps)


@dataclass(frozen=True)
class Variable:
    """A real array that a function is differentiated by: its path among the arguments, and its value."""

    path: str
    array: Array
    is_tensor: bool

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.array)

    @property
    def size(self) -> int:
        return int(np.size(self.array))


class Subject:
    """A function with the arguments at which it is checked.

    Attributes:
        name: the function's name.
        variables: each real array among the arguments, and each parameter of a module.
        fixed: the paths of the integer arrays among the arguments, which have no gradient.
        plain: whether the function takes plain arrays, because its gradient comes from elsewhere.
        point: the entries of all variables, in float64.
        varies: which entries are finite; the others are held fixed.
        epsilon: the relative spacing of the coarsest numbers among the variables, and in a gradient that is an array.
    """

    def __init__(self, f: Callable[..., Any], inputs: Sequence[Any], gradient: Any = None) -> None:
        self.name = name_of(f)
        self.plain = gradient is not None
        self.gradient = gradient
        self.inputs = inputs
        self._parameters: list[Tensor] = []
        self._takes_no_tensors = True
        if isinstance(f, Module):
            self.name = type(f).__name__
            if self.plain:
                raise UsageError("gradient= is of a function; pass a function of the parameters, not a module")
            f = deepcopy(f)
            self._parameters = [parameter for _, parameter in f.named_variables()]
        self.f = f
        self.variables: list[Variable] = []
        self.fixed: list[str] = []
        names = _argument_names(f, len(inputs))
        paths = [path for name, argument in zip(names, inputs) for path in trees.paths(argument, name)]
        leaves = trees.leaves(tuple(inputs))
        self._varies = [self._enter(path, leaf) for path, leaf in zip(paths, leaves)]
        self._held = [(path, leaf) for path, leaf, varies in zip(paths, leaves, self._varies) if not varies]
        for parameter in self._parameters:
            self._enter(parameter.name or "parameter", parameter)
        if not self.variables:
            kind = "integers, which have no gradient: write 1.0 for 1" if self.fixed else "no arrays of real numbers"
            raise UsageError(f"gradcheck of {self.name} was given {kind}")
        sizes = [v.size for v in self.variables]
        if not sum(sizes):
            raise InputError(f"gradcheck of {self.name} was given empty arrays only: there is nothing to check")
        self._bounds = np.cumsum([0, *sizes]).tolist()
        self.point: Vector = np.concatenate([np.ravel(v.array).astype(float) for v in self.variables])
        kinds = [v.array.dtype for v in self.variables]
        if self.is_known_at_one_point:
            kinds += [kind for kind in map(np.result_type, trees.leaves(gradient)) if kind.kind == "f"]
        self.epsilon = float(max(np.finfo(kind).eps for kind in kinds))
        self.varies = np.isfinite(self.point)
        if not np.any(self.varies):
            raise InputError(f"gradcheck of {self.name} needs finite numbers, {self.entry(0)} is {self.point[0]}")

    def _enter(self, path: str, leaf: Any) -> bool:
        """Whether a leaf of the arguments is a variable; if it is, add it to the variables."""
        array = leaf.data if isinstance(leaf, Tensor) else leaf
        kind = np.result_type(array).kind if isinstance(array, (int, float, complex, np.ndarray, np.generic)) else "-"
        if kind == "c":
            raise UsageError(f"{path} is complex; gradients are checked by real numbers: split it into two real arrays")
        if kind == "f":
            self.variables.append(Variable(path, np.array(array), isinstance(leaf, Tensor)))
        elif kind in "iub":
            self.fixed.append(path)
        return kind == "f"

    def entry(self, column: int) -> str:
        """The name of an entry of the flat vector: `w[2, 0]`."""
        k, index = self.locate(column)
        return f"{self.variables[k].path}{_subscript(index)}"

    def locate(self, column: int) -> tuple[int, tuple[int, ...]]:
        """The variable that an entry of the flat vector belongs to, and its index there."""
        k = int(np.searchsorted(self._bounds, column, "right")) - 1
        index = np.unravel_index(column - self._bounds[k], self.variables[k].shape)
        return k, tuple(map(int, index))

    def columns(self, k: int) -> slice:
        """The slice of the k-th variable's entries in the flat vector."""
        return slice(self._bounds[k], self._bounds[k + 1])

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
        """The flat vector in the precision of the variables."""
        parts = [array.astype(v.array.dtype) for v, array in zip(self.variables, map(np.asarray, self.split(x)))]
        return _flat(parts).astype(float)

    def split(self, x: Vector) -> list[Array]:
        """The flat vector as the variables' arrays, in float64."""
        return [x[self.columns(k)].reshape(v.shape)[()] for k, v in enumerate(self.variables)]

    def _run(self, f: Callable[..., Any], leaves: Sequence[Any]) -> Any:
        """The result of a function for copies of the arguments, with these values in place of the variables."""
        held = [x.copy() if isinstance(x, np.ndarray) else x for _, x in self._held]
        varies, variables, others = iter(self._varies), iter(leaves), iter(held)
        result = f(*trees.map_leaves(lambda _: next(variables if next(varies) else others), tuple(self.inputs)))
        for (path, before), after in zip(self._held, held):
            _require_same(name_of(f), path, before, after)
        return result

    def call(self, leaves: Sequence[Any]) -> list[Any]:
        """The arrays that the function returns for these values of the variables."""
        for parameter, stand_in in zip(self._parameters, leaves[sum(self._varies) :]):
            _become(parameter, stand_in)
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
        """All entries that the function returns, in float64."""
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
        return self._numbers([_array(y) for y in results] if rounding else results)

    def _numbers(self, results: Sequence[Any]) -> Vector:
        for y in results:
            dtype = innermost(y).dtype if isinstance(y, Tensor) else np.asarray(y).dtype
            if dtype.kind not in "fiub":
                kind = type(y).__name__ if dtype.kind in "OUS" else dtype
                raise UsageError(f"{self.name} must return real numbers to have a gradient, it returned {kind}")
        self.shapes = [np.shape(y) for y in results]
        return _flat([np.asarray(innermost(y), float) for y in results])

    def rows(self, x: Vector, weights: Matrix, rounding: Rounding | None = None) -> Matrix:
        """The gradient, by the rules in question, of each weighted sum of the results: one row for each."""
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
        arrays = self.split(x)
        gradient = self.gradient
        if callable(gradient):
            own = _rounded([np.array(array)[()] for array in arrays], rounding)
            gradient = self._run(gradient, own)
            for v, before, after in zip(self.variables, arrays, own):
                _require_same(name_of(self.gradient), v.path, before, after)
        gradients = trees.leaves(gradient)
        if len(gradients) != len(self.variables):
            raise UsageError(
                f"gradient= gave {len(gradients)} arrays for the {len(self.variables)} of the arguments: "
                f"{', '.join(v.path for v in self.variables)}"
            )
        count = weights.shape[1]
        blocks = []
        for v, block in zip(self.variables, gradients):
            block = np.asarray(_array(block), float)
            expected = v.shape if count == 1 else (*(self.shapes[0] if len(self.shapes) == 1 else (count,)), *v.shape)
            if block.shape != expected and not (count == 1 and block.shape == (*self.shapes[0], *v.shape)):
                raise ShapeError(f"gradient= gave shape {block.shape} for {v.path}, it should be {expected}")
            blocks.append(block.reshape(count, v.size))
        return np.asarray(weights @ np.concatenate(blocks, axis=1))

    def changes(
        self, x: Vector, direction: Vector, rounding: Rounding | None = None, as_tensors: bool = False
    ) -> Vector:
        """The change of the results along a direction, by the complex step; with tensors, which a recording sees."""
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
        with new_level() as level, grad_mode.enable_grad():
            parts = [_rounded(self.split(part), rounding) for part in (x, direction)]
            results = self.call([Dual(primal, tangent, level) for primal, tangent in zip(*parts)])
        return _flat([_array(y.tangent) if isinstance(y, Dual) else np.zeros(np.size(y)) for y in results])

    def steps(self, x: Vector) -> list[Step]:
        """The operations that the function performs; empty if it does not take tensors."""
        return self.traced(x)[0]

    def traced(self, x: Vector) -> tuple[list[Step], list[Tensor], list[Any]]:
        """The operations that the function performs, its variables and its results, all with a history."""
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


def _become(parameter: Tensor, value: Tensor) -> None:
    """Make a parameter of a copied module stand for another tensor, and pass its gradient on to that tensor."""
    if isinstance(value, Dual):
        raise GraphError("forward mode does not reach a module's parameters: check a function of them")
    value = value if isinstance(value, Tensor) else wrap(value)
    parameter.op = None
    parameter.replace(value.data)
    parameter.requires_grad = value.requires_grad
    if value.requires_grad:
        stand_in = value.holding(value.data)
        for attribute in Node.__slots__:
            setattr(parameter, attribute, getattr(stand_in, attribute))


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
