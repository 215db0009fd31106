"""A function of another library with its arguments, as functions of NumPy arrays."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.checking.subjects.arguments import Arguments, argument_names
from tinygrad_lite.checking.subjects.frameworks.own_rules import AppliedFunction
from tinygrad_lite.checking.subjects.results import Results, flat
from tinygrad_lite.checking.subjects.supplied import Call, Matrix, Products
from tinygrad_lite.checking.subjects.variables import EPSILON, Vector
from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import UsageError
from tinygrad_lite.transforms.runs import name_of


class Held:
    """An argument that is not an array with a gradient."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Program:
    """A function of another library with its arguments.

    Its own arrays stay as they are: it runs on copies, in float64 if the function takes float64.

    Attributes:
        name: the function's name.
        names: the names of its arguments.
        inputs: the arguments as NumPy arrays, with the dict of its parameters in place of each module.
        remarks: what there is to say of how it runs.
        own_epsilon: the relative spacing of the coarsest numbers among the arguments.
        runs_wide: whether it runs in another precision than the arguments'.
    """

    def __init__(self, f: Callable[..., Any], inputs: Sequence[Any]) -> None:
        self.name = name_of(f)
        self.names = argument_names(f, len(inputs))
        self.remarks: list[str] = []
        self.own_epsilon = EPSILON
        self._f = f
        self.inputs: tuple[Any, ...] = tuple(inputs)
        self._dtype: Any = None
        self._weights: Sequence[Array] | None = None  # of the results whose gradient it is

    @property
    def runs_wide(self) -> bool:
        return self._dtype is not None

    @property
    def epsilon(self) -> float:
        """The relative spacing of the numbers that it computes with."""
        return EPSILON if self.runs_wide else self.own_epsilon

    def leave_out_detached(self) -> None:
        """Leave out the results that have no gradient because they are not meant to have one."""

    def widen(self, with_gradient: bool) -> None:
        """Run in the first of the dtypes that there are in which the results are the same, but for rounding."""
        if not self._dtypes():
            return
        own = trees.leaves(self._values(self.inputs, None))
        seeds = [[np.ones(np.shape(y)) for y in own]]
        reason = "its results differ there, as those of random numbers do"
        for dtype in self._dtypes():
            try:
                wide = trees.leaves(self._values(self.inputs, dtype))
                if with_gradient:
                    self._pulled(self.inputs, seeds, dtype)
            except Exception as error:  # in the user's code
                reason = str(error).partition("\n")[0]
                continue
            if all(map(are_close, own, wide)) or self._is_random(own):
                self._dtype = dtype
                self.inputs = trees.map_leaves(_as_wide, self.inputs)
                return
        self.remarks.append(
            f"{self.name} does not run in float64, and is checked as coarsely as it computes ({reason})"
        )

    def _is_random(self, own: Sequence[Array]) -> bool:
        return not all(map(np.array_equal, own, trees.leaves(self._values(self.inputs, None))))

    def preserved(self) -> AbstractContextManager[Any]:
        """A block after which the library's random state is as it was."""
        return nullcontext()

    def own_rules(self, *inputs: Any) -> Sequence[AppliedFunction]:
        """The functions with a derivative of their own that it calls."""
        return ()

    def is_same_call(self, call: AppliedFunction, other: AppliedFunction) -> bool:
        """Whether two calls have the same arrays as arguments."""
        pairs = zip(trees.leaves(call.inputs), trees.leaves(other.inputs))
        return all(np.array_equal(self._as_numpy(a), self._as_numpy(b), equal_nan=True) for a, b in pairs)

    def differentiated(self, weights: Sequence[Array]) -> Self:
        """The gradient of the sum of the results with these weights, as a program of its own."""
        raise NotImplementedError

    def values(self, *inputs: Any) -> Any:
        """The results in their containers."""
        return self._values(inputs, self._dtype)

    def pulled(self, *inputs_and_weights: Any) -> dict[str, Any]:
        """The gradients of all weighted sums of the results, one after another, by the names of the arguments."""
        *inputs, weights = inputs_and_weights
        return self._by_name(map(np.stack, zip(*self._pulled(inputs, weights, self._dtype))))

    def pulled_in_own_precision(self, *inputs_and_weights: Any) -> dict[str, Any]:
        """The same in the precision of the arguments that the caller has."""
        *inputs, weights = inputs_and_weights
        return self._by_name(map(np.stack, zip(*self._pulled(inputs, weights, None))))

    def _dtypes(self) -> Sequence[Any]:
        """The dtypes to compute in, best first; none if the arguments' own are as good."""
        raise NotImplementedError

    def _values(self, inputs: Sequence[Any], dtype: Any) -> Any:
        """The results in one of these dtypes, or, for None, in the arguments' own."""
        raise NotImplementedError

    def _pulled(self, inputs: Sequence[Any], weights: Sequence[Sequence[Array]], dtype: Any) -> list[list[Array]]:
        """The gradient of each weighted sum of the results by each array that varies."""
        raise NotImplementedError

    def _checked(self, result: Any, is_numeric: Callable[[Any], bool]) -> Any:
        """A result without what has no gradient."""
        numeric = result if is_numeric(result) else trees.map_leaves(lambda y: y if is_numeric(y) else None, result)
        if not trees.leaves(numeric):
            raise UsageError(f"{self.name} must return arrays of real numbers; does it end with `return`?")
        return numeric

    def gradient(self, *inputs: Any) -> dict[str, Any]:
        """The gradient of the only result, by the names of the arguments."""
        return self._by_name(self.differentiated([np.float64(1)]).values(*inputs))

    def _by_name(self, parts: Iterable[Array]) -> dict[str, Any]:
        """Arrays in place of those that vary, by the names of the arguments."""
        remaining = iter(parts)
        whole = trees.map_leaves(lambda x: x if isinstance(x, Held) else next(remaining), self.inputs)
        return dict(zip(self.names, whole))

    def changes(self, *inputs_and_tangents: Any) -> list[Array]:
        """The changes of the results by the library's forward mode.

        Raises:
            NotImplementedError: if the library has none for this function.
        """
        raise NotImplementedError

    def supplied(self, gradient: Any) -> Any:
        """A gradient that somebody computes with the library, or a function that does, in NumPy."""
        if not callable(gradient):
            return trees.map_leaves(self._as_numpy, gradient)
        count = len(self.names)

        def of_arrays(*inputs_and_others: Any) -> Any:
            result = self._called(gradient, inputs_and_others[:count], inputs_and_others[count:])
            return trees.map_leaves(self._as_numpy, result)

        return of_arrays

    def _called(self, gradient: Callable[..., Any], inputs: Sequence[Any], others: Sequence[Any]) -> Any:
        """What a function of the library's arrays gives for these NumPy arrays."""
        raise NotImplementedError

    def _as_numpy(self, x: Any) -> Any:
        """An array of the library as one of NumPy; anything else as it is."""
        raise NotImplementedError


class Library(Products):
    """The gradient that the library computes of a program."""

    is_by_hand = False

    def __init__(self, program: Program) -> None:
        self._program = program
        super().__init__(None, program.changes, program.name)
        self.takes_upstream = True

    @property
    def runs_wide(self) -> bool:
        """Whether it is the gradient in another precision than the arguments'."""
        return self._program.runs_wide

    @property
    def own_epsilon(self) -> float:
        """The relative spacing of numbers in the arguments' precision."""
        return self._program.own_epsilon

    def look(self, call: Call, arguments: Arguments, results: Results) -> dict[int, Any]:
        """The gradient of the sum of all results."""
        gradients = self._matched(call, arguments, results, np.ones((1, results.size)))
        return {number: of_one[0] for number, of_one in gradients.items()}

    def rows(self, call: Call, arguments: Arguments, results: Results, weights: Matrix) -> Matrix:
        """The gradient of each weighted sum."""
        return _rows(arguments, self._matched(call, arguments, results, weights))

    def rows_in_own_precision(self, call: Call, arguments: Arguments, results: Results, weights: Matrix) -> Matrix:
        """The same in the precision of the arguments that the caller has."""
        return _rows(arguments, self._matched(call, arguments, results, weights, self._program.pulled_in_own_precision))

    def changes(self, call: Call, arguments: Arguments, directions: list[Array]) -> Vector:
        """The changes of the results."""
        return flat(call(self._program.changes, arguments.tangents(directions)))

    def _matched(
        self, call: Call, arguments: Arguments, results: Results, weights: Matrix, pulled: Any = None
    ) -> dict[int, Any]:
        """The gradients of all weighted sums, one after another, by the number of the variable."""
        seeds = [trees.leaves(results.weighted(row)) for row in weights]
        return arguments.matched(call(pulled or self._program.pulled, seeds), self.source)


def _rows(arguments: Arguments, gradients: dict[int, Any]) -> Matrix:
    parts = [np.asarray(gradients[number], float) for number in arguments.numbers]
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)


def _as_wide(x: Any) -> Any:
    return x if isinstance(x, Held) else x.astype(complex if np.iscomplexobj(x) else float)


def are_close(a: Array, b: Array) -> bool:
    """Whether results are the same but for rounding."""
    return bool(np.allclose(a, b, rtol=0, atol=0.01 * np.max(np.abs(a), initial=0), equal_nan=True))
