"""The subject of a check: a function of nested arguments, as a function from one flat vector to another.

It runs on copies of its arguments, so that nothing that belongs to the user changes. Each way to run it is here: for
its values, for its gradient, on the complex plane, with tangents, and with every operation rounded at random.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.checking.subjects.arguments import Arguments, argument_names, require_same
from tinygrad_lite.checking.subjects.following import followed
from tinygrad_lite.checking.subjects.memory import Memory
from tinygrad_lite.checking.subjects.results import Results, flat
from tinygrad_lite.checking.subjects.supplied import Matrix as Matrix
from tinygrad_lite.checking.subjects.supplied import Supplied
from tinygrad_lite.checking.subjects.variables import EPSILON as EPSILON
from tinygrad_lite.checking.subjects.variables import Vector as Vector
from tinygrad_lite.engine import grad_mode
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor, wrap
from tinygrad_lite.errors import EmptyError, InputError, ShapeError, UsageError
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.nn.module import Module
from tinygrad_lite.readers import complex_step
from tinygrad_lite.readers.random_rounding import Rounding, randomly_rounded, rounded
from tinygrad_lite.readers.recording import Step, recording
from tinygrad_lite.transforms.custom import recomputes
from tinygrad_lite.transforms.dual import Dual, Pullback, innermost, settle, variable
from tinygrad_lite.transforms.levels import pushing
from tinygrad_lite.transforms.runs import Differentiating, name_of

FULL = 1000  # the largest number of argument entries that are looked at one by one


class Subject:
    """A function with the arguments at which it is checked.

    Attributes:
        name: the function's name.
        variables: each real array among the arguments, and each parameter of a module.
        remarks: what is held fixed, and why.
        plain: whether the function takes plain arrays, because its gradient comes from elsewhere.
        opaque: whether the function belongs to another library, which takes its own arrays alone.
        point: the entries of all variables, in float64.
        lower, upper: the bounds of these entries, infinite where there are none.
        varies: which entries are finite; the others are held fixed.
        epsilon: the relative spacing of the coarsest numbers among the variables, and in a gradient that is an array.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        inputs: Sequence[Any],
        supplied: Supplied | None = None,
        wrt: Any = None,
        bounds: Any = None,
        names: Sequence[str] | None = None,
    ) -> None:
        self.name = name_of(f)
        self.plain = supplied is not None
        self.supplied = supplied
        self.opaque = False
        self._last: tuple[Any, Sequence[Array]] = [], []
        self._takes_no_tensors = True
        names = names or argument_names(f, len(inputs))
        if isinstance(f, Module):
            if supplied:
                raise UsageError(
                    f"{supplied.source} needs a function to check: write lambda module, x: module(x) for this module, "
                    "and pass both"
                )
            self.name = type(f).__name__
            f, inputs, names = _called_last, (*inputs, f), [*names, ""]
        self.f = f
        self.arguments = Arguments(self.name, inputs, names, wrt, bounds)
        self.remarks: list[str] = []
        if wrt is None:
            integers = self.arguments.integers
            self.remarks += [f"{path} holds integers, which have no gradient: held fixed" for path in integers]
        if supplied is None and self.arguments.complex_paths:
            path = self.arguments.complex_paths[0]
            raise UsageError(f"{path} is complex; our gradients need real numbers: split it into two real arrays")
        self._begin()
        kinds = [v.array.dtype for v in self.variables]
        if supplied:
            kinds += self._look_at_gradient(supplied)
        self.epsilon = float(max(np.finfo(kind).eps for kind in kinds))

    def _begin(self) -> None:
        """Begin at the values of the variables."""
        self.variables = self.arguments.variables
        sizes = [v.size for v in self.variables]
        if not sum(sizes):
            raise EmptyError(f"gradcheck of {self.name} was given empty arrays only: there is nothing to check")
        self._starts = np.cumsum([0, *sizes]).tolist()
        self._shapes = [v.shape for v in self.variables]
        self.point = flat([v.array for v in self.variables])
        self.lower, self.upper = (flat([pair[side] for pair in self.arguments.limits]) for side in (0, 1))
        self._is_bounded = bool(np.any(np.isfinite(self.lower) | np.isfinite(self.upper)))
        self.varies = np.isfinite(self.point)
        if not np.any(self.varies):
            raise InputError(f"gradcheck of {self.name} needs finite numbers, {self.entry(0)} is {self.point[0]}")
        for j in np.flatnonzero((self.point < self.lower) | (self.point > self.upper))[:1]:
            between = f"{self.lower[j]:.6g} and {self.upper[j]:.6g}"
            raise InputError(f"{self.entry(j)} is {self.point[j]:.6g}, outside its bounds {between}")

    def _look_at_gradient(self, supplied: Supplied) -> list[np.dtype[Any]]:
        """Hold fixed what the gradient is None for, and return the dtypes of what it is."""
        self.values(self.point)  # a gradient may use what the function has stored
        with self._explaining(self.point):
            first = supplied.look(self.calling(self.point), self.arguments, self.results)
        if not first:
            raise UsageError(f"{supplied.source} gave None for every variable: there is nothing to check")
        skipped = [v.path for n, v in zip(self.arguments.numbers, self.variables) if n not in first]
        if skipped:
            self.remarks += [f"{path}: not checked, since {supplied.source} gave None for it" for path in skipped]
            self.arguments.vary([number for number in self.arguments.numbers if number in first])
            self._begin()
        return [dtype for x in first.values() if (dtype := np.asarray(_array(x)).dtype).kind == "f"]

    def entry(self, column: int) -> str:
        """The name of an entry of the flat vector: `w[2, 0]`."""
        k, index = self.locate(column)
        return f"{self.variables[k].path}{_subscript(index)}"

    def locate(self, column: int) -> tuple[int, tuple[int, ...]]:
        """The variable that an entry of the flat vector belongs to, and its index there."""
        k = bisect_right(self._starts, column) - 1
        index = np.unravel_index(column - self._starts[k], self.variables[k].shape)
        return k, tuple(map(int, index))

    def columns(self, k: int) -> slice:
        """The slice of the k-th variable's entries in the flat vector."""
        return slice(self._starts[k], self._starts[k + 1])

    @property
    def is_known_at_one_point(self) -> bool:
        """Whether the gradient is an array from elsewhere, which is only known at this point."""
        return self.supplied is not None and self.supplied.is_known_at_one_point

    @property
    def has_forward_mode(self) -> bool:
        """Whether there is a forward mode beside the gradient, as far as is known before it has run."""
        return self.supplied is None or self.supplied.has_forward_mode

    def step_aside(self, rng: "np.random.Generator") -> None:
        """Move the point a little away from kinks, unless the gradient is only known at the point itself."""
        if not self.is_known_at_one_point:
            size = np.maximum(np.abs(self.point), np.max(np.abs(self.point[self.varies])))
            self.point = self.rounded(self.point + 1e-6 * size * rng.uniform(0.5, 1, len(self.point)))

    def rounded(self, x: Vector) -> Vector:
        """The flat vector in the precision of the variables, inside their bounds."""
        parts = [array.astype(v.array.dtype) for v, array in zip(self.variables, map(np.asarray, self.split(x)))]
        return np.asarray(np.clip(flat(parts).astype(float), self.lower, self.upper))

    def is_inside(self, x: Vector) -> bool:
        """Whether a flat vector is inside the bounds of the variables."""
        return not self._is_bounded or not np.any((x < self.lower) | (x > self.upper))

    def split(self, x: Vector) -> list[Array]:
        """The flat vector as the variables' arrays, in float64."""
        return [x[self.columns(k)].reshape(shape)[()] for k, shape in enumerate(self._shapes)]

    def returned(self, leaves: Sequence[Any]) -> Any:
        """What the function returns for these values of the variables."""
        return self.arguments.call(self.f, leaves)

    def call(self, leaves: Sequence[Any]) -> list[Any]:
        """The arrays that it returns."""
        with self._without_traces():
            return self._arrays(self.returned(leaves))

    def _without_traces(self) -> AbstractContextManager[None]:
        """A block after which a function that takes plain arrays keeps nothing else."""
        return self._memory.without_traces() if self.plain and not self.opaque else nullcontext()

    @cached_property
    def _memory(self) -> Memory:
        return Memory(self.f)

    def _arrays(self, tree: Any) -> list[Any]:
        results = trees.leaves(tree)
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
            error.add_note(f"raised by {self.name} in a gradient check, at {moves or 'the supplied arguments'}")
            raise

    def values(self, x: Vector, rounding: Rounding | None = None) -> Vector:
        """All entries that the function returns, in float64; NaN outside the bounds, where it is not called."""
        if not self.is_inside(x):
            return np.full(self.results.size, np.nan)
        arrays = self.split(x)
        if self.opaque:  # it makes copies of its own
            arguments: list[Any] = list(arrays)
        elif self.plain:
            arguments = [v.in_its_type(array) for v, array in zip(self.variables, arrays)]
        else:
            arguments = [wrap(array.copy()) for array in arrays]
        with self._explaining(x), grad_mode.no_grad(), self._without_traces() if rounding else nullcontext():
            tree = self.returned(_rounded(arguments, rounding))
        if not self.opaque:
            for v, before, after in zip(self.variables, arrays, arguments):
                require_same(self.name, v.path, before, after)
        results = [self._numbers(y) for y in self._arrays(tree)]
        self._last = tree, results
        return flat(results)

    @property
    def results(self) -> Results:
        """The form of what the function returned last."""
        return Results(*self._last)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the results."""
        return self.results.shapes

    def _numbers(self, y: Any) -> Array:
        """A result as an array of real numbers, or of complex ones if the gradient comes from elsewhere."""
        array = np.asarray(_array(y))
        if array.dtype.kind not in ("fiubc" if self.plain else "fiub"):
            kind = type(y).__name__ if array.dtype.kind in "OUS" else array.dtype
            raise UsageError(f"{self.name} must return real numbers to have a gradient, it returned {kind}")
        return array

    def rows(self, x: Vector, weights: Matrix, rounding: Rounding | None = None) -> Matrix:
        """The gradient, by the rules in question, of each weighted sum of the results: one row for each."""
        if not self.is_inside(x):
            return np.full((len(weights), len(x)), np.nan)
        with self._explaining(x):
            if self.supplied:
                return self.supplied.rows(self.calling(x, rounding), self.arguments, self.results, weights)
            return self._pulled_rows(x, weights, rounding)

    def _pulled_rows(self, x: Vector, weights: Matrix, rounding: Rounding | None) -> Matrix:
        arrays = [array.astype(v.array.dtype)[()] for v, array in zip(self.variables, self.split(x))]
        variables = [variable(array) for array in _rounded(arrays, rounding)]
        try:
            with Differentiating():
                results = self.call(variables)
                settle(variables)
                pull = Pullback(results, variables)
                pulled = [pull(_rounded(seeds(results, row), rounding)) for row in weights]
        finally:
            settle(variables)
        rows = [flat(list(map(_array, gradients))).astype(float) for gradients in pulled]
        return np.array(rows).reshape(len(weights), len(x))

    def calling(self, x: Vector, rounding: Rounding | None = None) -> Callable[..., Any]:
        """Calls functions that the user wrote with the arguments at a point."""
        arrays = self.split(x)

        def call(f: Callable[..., Any], *others: Any) -> Any:
            if self.opaque:
                return self.arguments.call(f, arrays, *others)
            own = _rounded([np.array(array)[()] for array in arrays], rounding)
            with Memory(f).without_traces() if rounding else nullcontext():
                result = self.arguments.call(f, own, *others)
            for v, before, after in zip(self.variables, arrays, own):
                require_same(name_of(f), v.path, before, after)
            return result

        return call

    def changes(
        self, x: Vector, direction: Vector, rounding: Rounding | None = None, as_tensors: bool = False
    ) -> Vector:
        """The change of the results along a direction, by the complex step; with tensors, which a recording sees."""
        if not self.is_inside(x):
            return np.full(self.results.size, np.nan)
        if self.arguments.complex_paths:
            raise UsageError(f"{self.arguments.complex_paths[0]} is complex")
        if self.opaque:
            raise UsageError(f"{self.name} belongs to another library")
        arrays, directions = self.split(x), self.split(direction)

        def f(*leaves: Any) -> list[Any]:
            return [_array(y) for y in self.call(_rounded(leaves, rounding))]

        with grad_mode.no_grad():
            if self._takes_no_tensors and not as_tensors:
                try:
                    return flat(complex_step.changes(f, arrays, directions, as_tensors=False))
                except Exception:  # it uses something that only tensors have
                    self._takes_no_tensors = rounding is not None
            return flat(complex_step.changes(f, arrays, directions))

    def tangents(self, x: Vector, direction: Vector, rounding: Rounding | None = None) -> Vector:
        """The same change by forward mode."""
        if not self.is_inside(x):
            return np.full(self.results.size, np.nan)
        if self.supplied:
            return self.supplied.changes(self.calling(x, rounding), self.arguments, self.split(direction))
        with pushing() as level, grad_mode.enable_grad():
            parts = [_rounded(self.split(part), rounding) for part in (x, direction)]
            results = self.call([Dual(primal, tangent, level) for primal, tangent in zip(*parts)])
        return flat([_array(y.tangent) if isinstance(y, Dual) else np.zeros(np.size(y)) for y in results])

    def steps(self, x: Vector) -> list[Step]:
        """The operations that the function performs; empty if it does not take tensors."""
        return self.traced(x)[0]

    def traced(self, x: Vector) -> tuple[list[Step], list[Tensor], list[Any]]:
        """The operations that the function performs, its variables and its results, all with a history."""
        if self.opaque or not self.is_inside(x):
            return [], [], []
        variables = [wrap(array.copy(), True) for array in self.split(x)]
        before = recomputes.set(False)  # the operations inside a checkpointed function, which is none itself
        try:
            with recording() as steps, grad_mode.enable_grad(), np.errstate(all="ignore"):
                results = self.call(variables)
        except Exception:
            if not self.plain:
                raise
            return [], [], []
        finally:
            recomputes.reset(before)
        return steps, variables, results

    def traced_inside(self, x: Vector) -> tuple[list[Step], list[Tensor], list[Any]]:
        """The same, also of a function that by itself takes no tensors: with copies of what it reads."""
        traced, f = self.traced(x), self.f
        if traced[0] or not self.plain:
            return traced
        try:
            self.f = followed(f)
            return self.traced(x)
        finally:
            self.f = f


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

    def returned(self, leaves: Sequence[Any]) -> Any:
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
    sizes = [np.size(y) for y in results]
    if sum(sizes) != len(weights):
        raise ShapeError(other_shape(sum(sizes), len(weights)))
    parts = np.split(weights, np.cumsum(sizes)[:-1])
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


def _called_last(*arguments: Any) -> Any:
    """The result of a module, the last argument, for the arguments before it."""
    *inputs, module = arguments
    return module(*inputs)


def _subscript(index: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, index))}]" if index else ""


def other_shape(there: int, here: int) -> str:
    """Why there are no slopes between points if a function returns different numbers of results."""
    return (
        f"it returns {there} numbers there and {here} at the given point; where the shape of a result depends on "
        "values, there is a gradient only as long as it stays the same"
    )
