"""Functions of JAX for the gradient checker."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import copy
from time import perf_counter
from typing import Any, Self

import jax
import numpy as np
from jax import numpy as jnp

from tinygrad_lite import trees
from tinygrad_lite.checking.subjects.frameworks.closures import Copies
from tinygrad_lite.checking.subjects.frameworks.foreign_program import Held, Program, are_close
from tinygrad_lite.checking.subjects.frameworks.jax_functions import noting
from tinygrad_lite.checking.subjects.frameworks.own_rules import AppliedFunction
from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import UsageError

_UNCOMPILED = 6  # the first calls, which show whether a function is slow when all is loaded, and the same each time
_SLOW = 0.002  # seconds; beyond, a function is compiled


class JaxProgram(Program):
    """A function with JAX's arrays among its arguments."""

    def __init__(self, f: Callable[..., Any], inputs: Sequence[Any]) -> None:
        super().__init__(f, inputs)
        self._in_double_precision = _COPIES.of(f)
        self._containers = trees.map_leaves(lambda x: x if jax.tree_util.all_leaves([x]) else _Tree(x), tuple(inputs))
        self._originals = trees.map_leaves(lambda x: x.leaves if isinstance(x, _Tree) else x, self._containers)
        self.inputs = trees.map_leaves(lambda x: _numpy(x) if _varies(x) else Held(x), self._originals)
        self._compiled: dict[Any, Callable[..., Any]] = {}
        self._calls = 0
        self._kinds = [jnp.result_type(x) for x in trees.leaves(self._originals) if _varies(x)]
        self.own_epsilon = max((float(jnp.finfo(kind).eps) for kind in self._kinds), default=0.0)

    def differentiated(self, weights: Sequence[Array]) -> Self:
        """The gradient of the sum of the results with these weights, as a program of its own."""
        second = copy(self)
        second.name, second._weights = f"the gradient of {self.name}", weights
        second._compiled = {}
        return second

    def own_rules(self, *inputs: Any) -> Sequence[AppliedFunction]:
        """The calls of functions with a `custom_vjp`."""
        calls: list[AppliedFunction] = []
        if not isinstance(self._f, AppliedFunction):
            with noting(calls):
                self._results(*self._arrays(inputs, None))
        return calls

    def _dtypes(self) -> Sequence[Any]:
        """Double precision."""
        return () if all(kind in (np.float64, np.complex128) for kind in self._kinds) else (np.float64,)

    def _values(self, inputs: Sequence[Any], dtype: Any) -> Any:
        with _precision(dtype):
            arrays = self._arrays(inputs, dtype)
            if dtype in self._compiled:
                return trees.map_leaves(_numpy, self._compiled[dtype](*arrays))
            start = perf_counter()
            results = trees.map_leaves(_numpy, self._results(*arrays))
            self._calls += 1
            if self._calls > _UNCOMPILED and perf_counter() - start > _SLOW:
                self._compiled[dtype] = self._as_compiled(arrays, results)
            return results

    def _as_compiled(self, arrays: Sequence[Any], results: Any) -> Callable[..., Any]:
        """The function that computes the results, compiled if that changes nothing but roundings."""
        try:
            compiled = jax.jit(self._results)
            same = map(are_close, trees.leaves(results), map(_numpy, trees.leaves(compiled(*arrays))))
            return compiled if all(same) else self._results
        except Exception:  # it decides by values
            return self._results

    def _pulled(self, inputs: Sequence[Any], weights: Sequence[Sequence[Array]], dtype: Any) -> list[list[Array]]:
        with _precision(dtype):
            try:
                results, pull = jax.vjp(self._results, *self._arrays(inputs, dtype))
            except (jax.errors.JAXTypeError, jax.errors.JAXIndexError) as error:
                raise UsageError(
                    f"JAX cannot differentiate {self.name}, which takes a value out of JAX on the way "
                    f"({type(error).__name__}): keep to jax.numpy in it, or pass gradient= as well"
                ) from error
            return [list(map(_numpy, _gradients(pull, results, row))) for row in weights]

    def changes(self, *inputs_and_tangents: Any) -> list[Array]:
        """The changes of the results by forward mode."""
        *inputs, tangents = inputs_and_tangents
        with _precision(self._dtype):
            arrays = self._arrays(inputs, self._dtype)
            moves = [jnp.asarray(t, x.dtype) for t, x in zip(_varying(tangents), arrays)]
            try:
                return [_numpy(y) for y in jax.tree.leaves(jax.jvp(self._results, arrays, moves)[1])]
            except TypeError as error:  # of a custom_vjp
                raise NotImplementedError(str(error)) from error

    def _called(self, gradient: Callable[..., Any], inputs: Sequence[Any], others: Sequence[Any]) -> Any:
        with _precision(self._dtype):
            arguments = self._in_place(self._arrays(inputs, self._dtype))
            f = _COPIES.of(gradient) if jax.config.jax_enable_x64 else gradient
            return f(*arguments, *trees.map_leaves(jnp.asarray, others))

    def _as_numpy(self, x: Any) -> Any:
        return _numpy(x) if isinstance(x, jax.Array) else x

    def _results(self, *arrays: Any) -> Any:
        """The results in their containers, as a function of the arrays that vary."""
        if self._weights is not None:
            results, pull = jax.vjp(self._first_results, *arrays)
            return _gradients(pull, results, self._weights)
        return self._first_results(*arrays)

    def _first_results(self, *arrays: Any) -> Any:
        f = self._in_double_precision if jax.config.jax_enable_x64 else self._f
        result = f(*self._in_place(arrays))
        if not all(map(_is_leaf, trees.leaves(result))):
            result = jax.tree.leaves(result)  # of containers that only JAX knows
        return self._checked(result, _varies)

    def _in_place(self, arrays: Sequence[Any]) -> Any:
        """The arguments, with these arrays in place of those that vary."""
        remaining = iter(arrays)
        leaves = iter([next(remaining) if _varies(x) else x for x in trees.leaves(self._originals)])
        return trees.map_leaves(lambda x: x.rebuilt(leaves) if isinstance(x, _Tree) else next(leaves), self._containers)

    def _arrays(self, inputs: Sequence[Any], dtype: Any) -> list[Any]:
        """The arrays that vary, in double precision or in their own dtypes."""
        pairs = zip(_varying(inputs), self._kinds)
        return [jnp.asarray(x, kind if dtype is None else np.result_type(dtype, kind)) for x, kind in pairs]


class _Tree:
    """A container that only JAX knows.

    Attributes:
        leaves: its leaves by path.
    """

    def __init__(self, container: Any) -> None:
        pairs, self._shape = jax.tree_util.tree_flatten_with_path(container)
        self.leaves = {jax.tree_util.keystr(path).lstrip("."): leaf for path, leaf in pairs}

    def rebuilt(self, leaves: Iterator[Any]) -> Any:
        """The same container with others in place of its leaves."""
        return self._shape.unflatten([next(leaves) for _ in self.leaves])


def _gradients(pull: Callable[..., Any], results: Any, weights: Sequence[Array]) -> list[Any]:
    """A pullback of weights in PyTorch's convention, to gradients in PyTorch's: JAX has the conjugates of both."""
    remaining = iter(weights)
    seeds = trees.map_leaves(lambda y: jnp.conj(jnp.asarray(next(remaining), y.dtype)), results)
    return [jnp.conj(g) for g in pull(seeds)]


def _precision(dtype: Any) -> AbstractContextManager[Any]:
    """A block in which JAX computes in double precision, or as the caller has it compute."""
    return jax.enable_x64(True) if dtype else nullcontext()


def _varying(tree: Any) -> list[Any]:
    return [x for x in trees.leaves(tree) if not isinstance(x, Held)]


def _is_leaf(x: Any) -> bool:
    return isinstance(x, (int, float, complex, np.ndarray, np.generic, jax.Array))


def _varies(x: Any) -> bool:
    """Whether a leaf is a number or an array with a gradient."""
    return isinstance(x, (float, complex, np.ndarray, np.inexact, jax.Array)) and jnp.issubdtype(
        jnp.result_type(x), jnp.inexact
    )


def _numpy(x: Any) -> Array:
    """A copy in NumPy; bfloat16, which NumPy does not have, becomes float32."""
    return np.array(x, np.float32 if jnp.result_type(x) == jnp.bfloat16 else None)


def _is_double(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype in (np.float64, np.complex128)


# what JAX once took in double precision it no longer takes in single precision
_COPIES = Copies(_is_double, np.copy)
