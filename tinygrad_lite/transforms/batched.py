"""A stack of examples that passes for one of them: an operation computes the results of all examples at once.

A `Batched` has the shape of one example; its array has the examples along the first axis. `ops.batching` says how an
operation runs on the whole stack; where it does not, the operation runs once for each example. What is decided by a
value (`if x > 0`, `float(x)`) cannot be decided once for all examples, and is an error.

The array may itself be a tensor, a dual or a stack. A stack has a level, as a dual has: of several, the operation goes
to the value of the highest level, which is that of the innermost transform.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from tinygrad_lite.engine.conversions import NUMBERS, plain
from tinygrad_lite.engine.op import Array, Op, Traced
from tinygrad_lite.engine.registry import ANSWERS
from tinygrad_lite.errors import RESTATED, ShapeError, TinygradError, UsageError, complain
from tinygrad_lite.foundation.advice import INSTEAD_OF_WRITING, in_place_of_conversion, in_place_of_number, refusal
from tinygrad_lite.foundation.callers import writes_an_entry
from tinygrad_lite.foundation.elsewhere import AttributesElsewhere
from tinygrad_lite.ops.arithmetic import selection
from tinygrad_lite.ops.batching import Argument, ByPartsError, OneByOneError, at_once
from tinygrad_lite.ops.shapes.filling import ones_like, zeros_like
from tinygrad_lite.transforms.levels import Leveled, below, highest_level, is_running, stacking
from tinygrad_lite.trees import leaves, map_leaves

_STANDS_FOR_ALL = "under tg.vmap, a value stands for all examples and cannot become"
_OF_SHAPE_ALONE = {zeros_like, ones_like}
_REFUSALS: tuple[type[Exception], ...] = (TinygradError, *RESTATED)


class Batched(Leveled, AttributesElsewhere):
    """A value that differs from example to example.

    Attributes:
        stack: the array with all examples along its first axis.
    """

    __slots__ = ("stack",)
    not_data = (
        f"{_STANDS_FOR_ALL} the data of a tensor: use it as it is, or write tg.array(x), which takes arrays as well"
    )

    def __init__(self, stack: Array, level: int) -> None:
        self.stack = stack
        self.level = level

    def __trace__(self, op: Op, inputs: tuple[Array, ...], params: Mapping[str, Any]) -> Any:
        level = max(self.level, highest_level(inputs))
        first = next((x for x in inputs if isinstance(x, Leveled) and x.level == level), self)
        if type(first) is not Batched:
            return first.__trace__(op, inputs, params)
        if not is_running(level):
            raise UsageError(
                f"{op.name} met a value from inside a function under tg.vmap that has ended: return the values that "
                "you want to keep"
            )
        if op in _OF_SHAPE_ALONE:
            return op(np.broadcast_to(np.zeros((), first.dtype), first.shape), **params)
        inputs = tuple([x if type(x) in NUMBERS or isinstance(x, Traced) else plain(x, op) for x in inputs])
        arguments = [Argument(x.stack, True) if _is_stack(level, x) else Argument(x, False) for x in inputs]
        own = {"index": map_leaves(partial(_argument, level), params["index"])} if "index" in params else params
        with below(level):
            try:
                return Batched(at_once(op, arguments, own), level)
            except ByPartsError:
                pass
            except OneByOneError:
                try:
                    return one_by_one(op, level, inputs, params)
                except RESTATED as error:
                    complain(error, op.name, inputs, params)
        return op.forward(*inputs, **params)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.stack.shape[1:]  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        return self.stack.size // len(self.stack)  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.stack.dtype  # type: ignore[no-any-return]

    def detach(self) -> Array:
        """The same value as a constant."""
        return selection.stop_gradient(self)

    def backward(self, *_: Any, **__: Any) -> None:
        """Refused: a function that runs on many examples has a gradient for each."""
        raise UsageError("backward() does not work in a function under tg.vmap: use tg.grad, which nests with it")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        if writes_an_entry(sys._getframe(1)):
            raise UsageError(f"{_STANDS_FOR_ALL} part of one array: {INSTEAD_OF_WRITING}")
        instead = in_place_of_conversion(sys._getframe(1), ANSWERS) or (
            "tg.array([a, b]) for np.array([a, b]), tg.tensor(array)[i] for array[i], and NumPy's functions for those "
            "of other libraries; or declare a function with tg.primitive, which runs it on each example"
        )
        raise refusal(sys._getframe(1), f"{_STANDS_FOR_ALL} one array: write {instead}")

    def __float__(self) -> float:
        if writes_an_entry(sys._getframe(1)):
            raise UsageError(f"{_STANDS_FOR_ALL} an entry of one array: {INSTEAD_OF_WRITING}")
        instead = in_place_of_number(sys._getframe(1)) or "np.sin(x) for math.sin(x), and so on"
        raise UsageError(f"{_STANDS_FOR_ALL} one number: write {instead}")

    def __index__(self) -> int:
        raise UsageError(
            f"{_STANDS_FOR_ALL} one index or length: write tg.array(items)[i] for items[i]; lengths and shapes are the "
            "same for all examples"
        )

    def __format__(self, specification: str) -> str:
        if specification:
            raise UsageError(f"{_STANDS_FOR_ALL} the text of one number: write {{x}} for {{x:{specification}}}")
        return str(self)

    def __bool__(self) -> bool:
        raise UsageError(
            "under tg.vmap, a condition differs between examples, so that a program cannot branch on it: write "
            "np.where(condition, a, b); or do without vmap, as in np.stack([f(x) for x in examples])"
        )

    __int__ = __complex__ = item = tolist = numpy = __float__

    def __repr__(self) -> str:
        return f"Batched({self.stack!r})"


def _is_stack(level: int, x: Any) -> bool:
    return type(x) is Batched and x.level == level


def _argument(level: int, x: Any) -> Any:
    return Argument(x.stack, True) if _is_stack(level, x) else x


def stack_of(x: Array, level: int, count: int) -> Array:
    """The examples of a value at this level along the first axis; if it has none, it is the same for all of them."""
    if type(x) is Batched and x.level > level:
        return Batched(np.swapaxes(stack_of(x.stack, level, count), 0, 1), x.level)
    return x.stack if _is_stack(level, x) else np.broadcast_to(x, (count, *np.shape(x)))


def as_stack(x: Array, level: int) -> Batched:
    """The value at this level with these examples; the level of another stack around them may be higher."""
    if type(x) is Batched and x.level > level:
        return Batched(as_stack(np.swapaxes(x.stack, 0, 1), level), x.level)
    return Batched(x, level)


def array_in(x: Any) -> Array:
    """The array inside all stacks of a value."""
    while type(x) is Batched:
        x = x.stack
    return x


def in_stacks_of(x: Any, array: Array) -> Array:
    """An array inside stacks of the levels of x."""
    return Batched(in_stacks_of(x.stack, array), x.level) if type(x) is Batched else array


def for_each(f: Callable[[Array], Sequence[Array]], stack: Array) -> list[Array]:
    """The results of f for each example of a stack, as one stack for each result: all at once, where f allows it."""
    count = len(stack)
    if count > 1:
        try:
            with stacking(count) as level:
                return [stack_of(y, level, count) for y in f(Batched(stack, level))]
        except _REFUSALS:  # for one example, it may work or say what is wrong
            pass
    return [np.stack(results) for results in zip(*[f(example) for example in stack], strict=True)]


def one_by_one(f: Callable[..., Any], level: int, inputs: Sequence[Any], params: Mapping[str, Any]) -> Any:
    """The results of a function for each example, as values of this level."""
    call = (tuple(inputs), dict(params))
    count = next(len(x.stack) for x in leaves(call) if _is_stack(level, x))
    results = []
    for i in range(count):
        own_inputs, own = map_leaves(partial(_example, level, i), call)
        results.append(f(*own_inputs, **own))
    return map_leaves(lambda *values: Batched(_stacked(values), level), *results)


def _example(level: int, i: int, x: Any) -> Any:
    return x.stack[i] if _is_stack(level, x) else x


def _stacked(values: Sequence[Array]) -> Array:
    if not all(isinstance(x, (Traced, np.ndarray, np.generic, bool, int, float)) for x in values):
        raise UsageError(f"a result for several examples must be numbers, got {type(values[0]).__name__}")
    shapes = {np.shape(x) for x in values}
    if len(shapes) > 1:
        found = ", ".join(map(str, sorted(shapes)))
        raise ShapeError(f"the results for different examples must have one shape, and have {found}")
    return np.stack(values)
