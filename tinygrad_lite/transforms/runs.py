"""Runs a user's function under a transform: prepares its arguments, and converts its results for the user."""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Self

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine import grad_mode
from tinygrad_lite.engine.op import Array, Traced
from tinygrad_lite.engine.tensor import Tensor, tensor, wrap
from tinygrad_lite.errors import InputError, ShapeError, UsageError, warn
from tinygrad_lite.foundation.callers import hidden_behind
from tinygrad_lite.foundation.foreign import copied, numbers_of
from tinygrad_lite.foundation.ownership import is_held_alone
from tinygrad_lite.transforms.batched import Batched
from tinygrad_lite.transforms.bystanders import warn_of_bystanders, warn_of_owners
from tinygrad_lite.transforms.dual import Dual, Pullback, between, settle, stand_in
from tinygrad_lite.transforms.levels import Leveled, running_stacks

Argnums = int | Sequence[int]
NUMBERS = (int, float, np.generic, np.ndarray)
VALUES = (Traced, *NUMBERS)
_OPENED = (trees.Parametric, trees.Holder)
_ARRAYS = frozenset({np.ndarray, np.float64, np.float32, float})
_PLAIN = {Tensor, Dual, *_ARRAYS}


class Differentiating:
    """A block in which a transform runs a user's function.

    Attributes:
        has_cut: whether a value may have lost its history under `no_grad`.
    """

    def __enter__(self) -> Self:
        self._watch = grad_mode.Watch()
        self._before = grad_mode.enabled.set(True), grad_mode.transforming.set(True)
        self._around = grad_mode.unrecorded.set(self._watch)
        return self

    def __exit__(self, *exception: Any) -> None:
        grad_mode.enabled.reset(self._before[0])
        grad_mode.transforming.reset(self._before[1])
        grad_mode.unrecorded.reset(self._around)
        if self.has_cut and isinstance(around := grad_mode.unrecorded.get(), grad_mode.Watch):
            around.noticed = True

    @property
    def has_cut(self) -> bool:
        return self._watch.noticed


class FunctionCall:
    """A call of a user's function, and the arguments to differentiate it with respect to.

    Attributes:
        name: the function's name, for messages.
        chosen: the arguments to differentiate with respect to, as passed; a module becomes the dict of its parameters.
        leaves: the arrays in these.
        takes_tensors: whether one of the leaves is a tensor; then the results are tensors, too.
        holder: a `trees.Holder` among the arguments or the results, if any; then the results are holders, too.
    """

    def __init__(
        self, f: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], argnums: Argnums, has_aux: bool
    ) -> None:
        self.name = name_of(f)
        self._f, self._args, self._kwargs, self._has_aux = f, args, kwargs, has_aux
        self._is_single = not isinstance(argnums, (tuple, list))
        self._positions = _positions(argnums, len(args), self.name)
        self.chosen = tuple([args[position] for position in self._positions])
        self._is_flat = trees.is_flat(self.chosen)
        self.leaves = self.chosen if self._is_flat else trees.leaves(self.chosen)
        self._modules: Mapping[int, trees.Opened] = {}
        self._has_cut = False
        self.holder: trees.Holder | None = None
        self.takes_tensors = False
        if not _ARRAYS.issuperset(map(type, self.leaves)):  # as they are in most calls
            if any(isinstance(x, _OPENED) for x in self.leaves):
                self.chosen, self._modules = opened(self._without_holders(self.chosen))
                self._is_flat = False
                self.leaves = trees.leaves(self.chosen)
            self.takes_tensors = any(map(_is_tensor, self.leaves))

    def run(self, values: Sequence[Any]) -> tuple[Any, Any]:
        """The function's result and its auxiliary output, with these values in place of the leaves."""
        if self._modules:
            originals = [self._args[position] for position in self._positions]
            with ExitStack() as stand_ins:
                result = self._result(standing_in(originals, values, self._modules, stand_ins))
        else:
            result = self._result(self._in_containers(values))
        if not self._has_aux:
            return result, None
        if not (isinstance(result, tuple) and len(result) == 2):
            raise UsageError(f"with has_aux, {self.name} must return a pair (result, anything); it returned {result!r}")
        return result

    def _result(self, chosen: Sequence[Any]) -> Any:
        args = list(self._args)
        for position, x in zip(self._positions, chosen, strict=True):
            args[position] = x
        with Differentiating() as block:
            result = run(self._f, args, self._kwargs)
        self._has_cut = block.has_cut
        return result if type(result) in _PLAIN else self._without_holders(result)

    def _without_holders(self, tree: Any) -> Any:
        """The same tree with each holder replaced by its value."""
        tree, holder = trees.without_holders(tree)
        self.holder = self.holder if holder is None else holder
        return tree

    def warn_of_bystanders(self, values: Sequence[Array], variables: Sequence[Tensor] = ()) -> None:
        """Warn if the function reads chosen leaves directly, and not as its arguments."""
        others = [x for i, x in enumerate(self._args) if i not in self._positions] + list(self._kwargs.values())
        passed = {id(x) for x in others}
        opened = [module for key, module in self._modules.items() if key not in passed]
        within = {x for module in opened for x in module.variables.values()}
        warn_of_bystanders(self.name, self.chosen, values, variables, passed=passed, within=within)

    def warn_if_cut(self) -> None:
        """Warn, where no result depends on the chosen arguments, if they may have lost their histories on the way."""
        if self._has_cut:
            warn(
                f"{self.name} returns nothing that depends on what it is differentiated with respect to, so that its "
                "derivatives are 0, and it computes under tg.no_grad(), where values lose their histories, as "
                "sample() of a distribution does: compute outside, and draw by rsample(); to differentiate through an "
                "update, write w = w - rate * g for w -= rate * g, and tg.nn.functional_call(module, state, *inputs) "
                "to run a module on the new values"
            )

    def _in_containers(self, parts: Sequence[Any]) -> Sequence[Any]:
        """One part for each leaf, in the containers of the chosen arguments."""
        if self._is_flat:
            return parts
        remaining = iter(parts)
        return trees.map_leaves(lambda _: next(remaining), self.chosen)  # type: ignore[no-any-return]

    def shaped(self, parts: Sequence[Any]) -> Any:
        """Put one part for each leaf into the containers in which the user receives them."""
        tree = self._in_containers(parts)
        return tree[0] if self._is_single else tuple(tree)

    def finished(self, x: Any, depends_on_others: Callable[[Tensor], bool] = lambda _: True) -> Any:
        """Convert an array for the user: to an array if the chosen arguments were arrays, else to a tensor.

        A result that depends on an outer tensor keeps its history; one that depends on an outer tangent keeps that.
        """
        made = self._finished(x, depends_on_others)
        is_held = self.holder is not None and isinstance(made, (Traced, np.ndarray))
        return self.holder.holding(made) if self.holder is not None and is_held else made

    def _finished(self, x: Any, depends_on_others: Callable[[Tensor], bool]) -> Any:
        if isinstance(x, Tensor):
            if x._requires_grad and grad_mode.enabled.get() and depends_on_others(x):
                return x
            return x.detach() if self.takes_tensors else x._array
        if isinstance(x, Dual):
            primal, tangent = self._finished(x.primal, depends_on_others), self._finished(x.tangent, depends_on_others)
            return Dual(primal, tangent, x.level)
        return Batched(self._finished(x.stack, depends_on_others), x.level) if isinstance(x, Batched) else x


class Run:
    """A call that has run with variables in place of the chosen arguments, ready for the reverse pass.

    Attributes:
        result, aux: the function's result and auxiliary output, as functions of the variables.
        values: the leaves of the result.
        variables: one for each array among the chosen arguments.
    """

    def __init__(self, call: FunctionCall) -> None:
        self.call = call
        self.variables: list[Tensor] = []
        try:
            self.result, self.aux = call.run(
                [stand_in(real(x), self.variables, running_stacks.get()) for x in call.leaves]
            )
        finally:
            settle(self.variables)
        linked = [x._requires_grad for x in self.variables]  # whether their originals require a gradient
        self._are_linked = all(linked)
        self.values = trees.leaves(self.result)
        for y in self.values:
            check_number(y, call.name)
        self.pull = Pullback(self.values, self.variables, running_stacks.get())
        if self.pull.reads_others and any(linked):
            call.warn_of_bystanders(self.values, self.variables)
        if self.pull.depends_on_others and not any(self.pull.follow):
            warn_of_owners(call.name, call.chosen, self.values)
        if not any(self.pull.follow):
            call.warn_if_cut()

    def gradient(self, gradients: Sequence[Array]) -> Any:
        """Σ gᵀ ∂value/∂x over the values, in the containers of the chosen arguments."""
        pulled = self.pull(gradients)
        return self.call.shaped([self._handed_out(pulled, k) for k in range(len(pulled))])

    def _handed_out(self, pulled: list[Array], k: int) -> Array:
        """Convert the k-th gradient for the user, who may write into it.

        A rule may return an array that the graph, the user or another gradient holds, too. Such an array is copied.
        """
        is_free = is_held_alone(pulled, k)
        x = pulled[k]
        if not is_free and not isinstance(x, np.generic):
            x = users_own(x)
        if isinstance(x, Traced) or self.call.takes_tensors or self.call.holder is not None:
            return self.call.finished(as_traced(x), self._depends_on_others)
        return x

    def finished(self, tree: Any) -> Any:
        """Convert a result or a gradient for the user."""
        return trees.map_leaves(lambda x: self.call.finished(x, self._depends_on_others), tree)

    def _depends_on_others(self, x: Tensor) -> bool:
        if self._are_linked:
            return True  # each variable's original requires a gradient, so a dependence on either counts
        is_value = any(x is y for y in self.values)
        return self.pull.depends_on_others if is_value else bool(between([x], frozenset(self.variables))[2])


def users_own(x: Any) -> Any:
    """A derivative for the user, who may write into it: a copy, since others may hold the same array."""
    is_array = isinstance(x, np.ndarray) or (hasattr(x, "flags") and x.shape)  # the latter in a recording
    return x.copy(order="K") if is_array else x


def run(f: Callable[..., Any], args: Iterable[Any], kwargs: Mapping[str, Any]) -> Any:
    """The result of a user's function; raises our own error where NumPy would hide it behind one about a sequence."""
    try:
        return f(*args, **kwargs)
    except ValueError as error:
        if ours := hidden_behind(error):
            raise ours from None
        raise


def name_of(f: Callable[..., Any]) -> str:
    """The name of a function for messages; raises if it is not a function."""
    if not callable(f):
        raise UsageError(f"expected a function, got {type(f).__name__}: pass f itself, not its result f(x)")
    return getattr(f, "__name__", type(f).__name__)


def _positions(argnums: Any, count: int, name: str) -> list[int]:
    """The chosen positions among a call's positional arguments."""
    if type(argnums) is int and 0 <= argnums < count:
        return [argnums]
    try:
        positions = [operator.index(k) for k in (argnums if isinstance(argnums, (tuple, list)) else (argnums,))]
    except TypeError:
        raise UsageError(f"argnums must be a position or a tuple of positions, got {argnums!r}") from None
    if not all(-count <= position < count for position in positions):
        raise InputError(f"argnums={argnums} for a call of {name} with {count} positional arguments")
    positions = [position % count for position in positions]
    if len(set(positions)) < len(positions):
        raise InputError(f"argnums={argnums} names an argument twice")
    return positions


def check_number(y: Any, name: str, complex_too: bool = False) -> None:
    """Raise an error if a result is not an array of real numbers, or of complex ones where these may be, too."""
    if not isinstance(y, VALUES):
        raise UsageError(f"{name} must return numbers or arrays to be differentiated, it returned {type(y).__name__}")
    dtype = getattr(y, "dtype", None)
    if dtype is not None and dtype.kind == "c" and not complex_too:
        raise UsageError(f"{name} must return real numbers to be differentiated, it returned {dtype}")


def check_one_entry_each(primals: Any, tangents: Any, count: int | None, caller: str) -> None:
    """Raise an error if arguments or tangents are not tuples, or if there are too many or too few tangents."""
    for entries in (primals, tangents):
        if not isinstance(entries, (tuple, list)):
            raise UsageError(
                f"{caller} takes tuples with one entry for each argument, such as (x,) for one, got "
                f"{type(entries).__name__}"
            )
    count = len(primals) if count is None else count
    if len(tangents) != count:
        raise UsageError(f"{caller} takes one tangent for each of {count} arguments, got {len(tangents)}")


def real(x: Any) -> Array:
    """A chosen argument as real numbers: a traced value itself, or a copy of an array, which nobody else can change."""
    if type(x) is float:
        return np.float64(x)
    value = x if isinstance(x, Traced) else copied(numbers_of(x, "differentiation"))
    if isinstance(x, np.ndarray) and not x.shape:  # the copy may be a number, but a function may write into an array
        value = np.asarray(value)
    if value.dtype.kind != "f":
        raise UsageError(
            f"a gradient with respect to {value.dtype} is not defined: pass real floating-point numbers; for a "
            "complex z, pass its real part a and its imaginary part b, and let the function compute a + 1j * b"
        )
    return value


def change_of(role: str, x: Any, change: Any) -> Array:
    """A tangent or an upstream gradient of x, as an array of x's shape and dtype."""
    change, _ = trees.without_holders(change)
    change = change if isinstance(change, Traced) else tensor(change).data
    if change.dtype.kind == "c":
        raise UsageError(f"a {role} must be real, this one is {change.dtype}")
    if change.shape != np.shape(x):
        raise ShapeError(f"a {role} of shape {change.shape} for a value of shape {np.shape(x)}")
    dtype = np.result_type(x)
    return change if change.dtype == dtype else change.astype(dtype)


def units(x: Array, start: int, count: int) -> Array:
    """A stack of arrays of x's shape and dtype, each with a 1 in one entry: in the one from `start` on, and so on."""
    dtype, size = np.result_type(x), np.size(x)
    stack = np.eye(min(count, size - start), size, start, dtype if dtype.kind == "f" else float)
    return stack.reshape(len(stack), *np.shape(x))


def as_traced(x: Array) -> Traced:
    """The array as a tensor, so that `finished` converts it for the user."""
    return x if isinstance(x, (Tensor, Leveled)) else wrap(x)


def opened(tree: Any) -> tuple[Any, Mapping[int, trees.Opened]]:
    """A tree with the dict of its parameters in place of each module, and the opened modules by their ids."""
    modules = {id(x): x._for_transforms() for x in trees.leaves(tree) if isinstance(x, trees.Parametric)}
    return trees.map_leaves(lambda x: modules[id(x)].variables if id(x) in modules else x, tree), modules


def standing_in(tree: Any, values: Iterable[Any], modules: Mapping[int, trees.Opened], stand_ins: ExitStack) -> Any:
    """A tree with other values in place of its arrays and of the parameters of its modules."""
    remaining = iter(values)

    def standing_in(x: Any) -> Any:
        if (module := modules.get(id(x))) is None:
            return next(remaining)
        return stand_ins.enter_context(module.substituted({path: next(remaining) for path in module.variables}))

    return trees.map_leaves(standing_in, tree)


def _is_tensor(x: Any) -> bool:
    inside = x.primal if isinstance(x, Dual) else x.stack if isinstance(x, Batched) else None
    return isinstance(x, Tensor) if inside is None else _is_tensor(inside)
