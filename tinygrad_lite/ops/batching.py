"""How operations run on a stack of examples at once: for each of them, where the axis of the examples goes.

A rule takes the arrays of a call, each with the answer to whether it is a stack, and the parameters as they are for one
example. A stack has the examples along its first axis, and so has the result; an array that is none is the same for all
examples. An operation without a rule, or a call that its rule does not know, runs once for each example.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Op, Params, Traced
from tinygrad_lite.engine.registry import operation
from tinygrad_lite.errors import RESTATED
from tinygrad_lite.ops.linear.contraction import axes_by_letters
from tinygrad_lite.ops.shapes.indexing import Distinct, Index, fixed


class Argument:
    """An array that an operation takes, and whether it is a stack of examples."""

    __slots__ = ("array", "is_stack")

    def __init__(self, array: Array, is_stack: bool) -> None:
        self.array = array
        self.is_stack = is_stack

    @property
    def ndim(self) -> int:
        """The number of axes of one example."""
        return np.ndim(self.array) - self.is_stack

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return np.shape(self.array)[self.is_stack :]

    def with_axes(self, ndim: int) -> Array:
        """The array, where further axes of length 1 stand before those of an example until it has this many."""
        missing = ndim - self.ndim
        if not self.is_stack or missing <= 0:
            return self.array
        count, *sizes = self.array.shape
        return np.reshape(self.array, (count, *(1,) * missing, *sizes))

    def repeated(self, count: int) -> Array:
        """The array as a stack of so many examples, which are all the same if it is none."""
        return self.array if self.is_stack else np.broadcast_to(self.array, (count, *np.shape(self.array)))


class OneByOneError(Exception):
    """A call that no rule computes for all examples at once."""


Rule = Callable[..., Array]
"""What computes `rule(op, *arguments, **params)` for all examples."""

_RULES: dict[Op, Rule] = {}


def at_once(op: Op, arguments: Sequence[Argument], params: Params) -> Array:
    """The results of an operation for all examples, along the first axis.

    Raises:
        OneByOneError: if the examples must be computed one by one.
    """
    rule = _RULES.get(op, _entry_by_entry if _works_entry_by_entry(op) else None)
    if rule is None:
        raise OneByOneError
    try:
        return rule(op, *arguments, **params)
    except RESTATED as error:  # a parameter that the rule does not know, or a call that is wrong for one example, too
        raise OneByOneError from error


def _works_entry_by_entry(op: Op) -> bool:
    return bool(op.derivatives) or (isinstance(op.forward, np.ufunc) and op.forward.signature is None)


def _rule(*names: str) -> Callable[[Rule], Rule]:
    def enter(rule: Rule) -> Rule:
        _RULES.update({operation(name): rule for name in names})
        return rule

    return enter


def _count(arguments: Sequence[Argument]) -> int:
    """The number of examples."""
    return next(len(x.array) for x in arguments if x.is_stack)


def _axis(axis: int, ndim: int) -> int:
    """An axis of an example that has so many, as an axis of the stack."""
    if not -ndim <= axis < ndim:
        raise OneByOneError  # an error for one example, or a number, of which NumPy takes the axis 0
    return axis % ndim + 1


def _axes(axis: Any, ndim: int) -> Any:
    """The same for one axis, for several, or for all, which None means."""
    if axis is None:
        return tuple(range(1, ndim + 1))
    return tuple([_axis(i, ndim) for i in axis]) if isinstance(axis, tuple) else _axis(axis, ndim)


@_rule("where", "cast", "imag", "conjugate", "isclose", "stop_gradient", "isposinf", "isneginf")
def _entry_by_entry(op: Op, *arguments: Argument, **params: Any) -> Array:
    ndim = max([x.ndim for x in arguments])
    return op(*[x.with_axes(ndim) for x in arguments], **params)


@_rule("sum", "mean", "prod", "max", "min", "logsumexp", "var", "std", "var_around", "median", "nansum", "nanprod")
def _over_axes(
    op: Op, *arguments: Argument, axis: Any = None, keepdims: bool = False, ddof: float = 0, dtype: Any = None
) -> Array:
    ndim, count = max([x.ndim for x in arguments]), _count(arguments)
    given = {"keepdims": keepdims, "ddof": ddof, "dtype": dtype}
    params = {name: value for name, value in given.items() if value}
    stacks = [Argument(x.repeated(count), True) for x in arguments]
    return op(*[x.with_axes(ndim) for x in stacks], axis=_axes(axis, ndim), **params)


@_rule("nanmean", "nanmax", "nanmin", "all", "any", "count_nonzero")
def _over_axes_alone(op: Op, x: Argument, axis: Any = None, keepdims: bool = False) -> Array:
    return _over_axes(op, x, axis=axis, keepdims=keepdims)


@_rule("softmax", "log_softmax")
def _along_axes(op: Op, x: Argument, axis: Any = -1) -> Array:
    return op(x.array, axis=_axes(axis, x.ndim))


@_rule("cumsum", "cumprod", "argmax", "argmin", "nanargmax", "nanargmin")
def _along_axis(op: Op, x: Argument, axis: int | None = None, **params: Any) -> Array:
    if axis is None:
        if params.get("keepdims"):
            raise OneByOneError
        return op(np.reshape(x.array, (len(x.array), -1)) if x.array.size else _declined(), axis=1, **params)
    return op(x.array, axis=_axis(axis, x.ndim), **params)


def _declined() -> Any:
    raise OneByOneError


@_rule("argsort", "fft", "ifft", "rfft", "irfft")
def _along_last_axis(op: Op, x: Argument, axis: int | None = -1, **params: Any) -> Array:
    return _declined() if axis is None else op(x.array, axis=_axis(axis, x.ndim), **params)


@_rule("roll")
def _roll(op: Op, x: Argument, shift: Any, axis: Any = None) -> Array:
    return _declined() if axis is None else op(x.array, shift=shift, axis=_axes(axis, x.ndim))


@_rule("reshape")
def _reshape(op: Op, x: Argument, shape: Any, order: str = "C") -> Array:
    shape = shape if isinstance(shape, tuple) else (shape,)
    if order != "C" or (-1 in shape and not x.array.size):
        raise OneByOneError
    return op(x.array, shape=(len(x.array), *shape))


@_rule("ravel")
def _ravel(op: Op, x: Argument, order: str = "C") -> Array:
    return _declined() if order != "C" or not x.array.size else np.reshape(x.array, (len(x.array), -1))


@_rule("expand_dims")
def _expand_dims(op: Op, x: Argument, axis: Any) -> Array:
    axes = axis if isinstance(axis, tuple) else (axis,)
    return op(x.array, axis=_axes(axes, x.ndim + len(axes)))


@_rule("squeeze")
def _squeeze(op: Op, x: Argument, axis: Any = None) -> Array:
    if axis is None:
        axis = tuple(i for i, size in enumerate(x.shape) if size == 1)
    return op(x.array, axis=_axes(axis, x.ndim))


@_rule("transpose")
def _transpose(op: Op, x: Argument, axes: Any = None) -> Array:
    return op(x.array, axes=(0, *_axes(tuple(reversed(range(x.ndim))) if axes is None else tuple(axes), x.ndim)))


@_rule("swapaxes", "trace")
def _two_axes(op: Op, x: Argument, axis1: int = 0, axis2: int = 1, **params: Any) -> Array:
    return op(x.array, axis1=_axis(axis1, x.ndim), axis2=_axis(axis2, x.ndim), **params)


@_rule("tril", "triu", "inv", "det", "log_abs_det", "sign_of_det", "cholesky", "eigvalsh", "matrix_power")
def _of_matrices(op: Op, x: Argument, **params: Any) -> Array:
    return op(x.array, **params) if x.ndim >= 2 else _declined()


@_rule("broadcast_to")
def _broadcast_to(op: Op, x: Argument, shape: Any) -> Array:
    shape = shape if isinstance(shape, tuple) else (shape,)
    return op(x.with_axes(len(shape)), shape=(len(x.array), *shape))


@_rule("pad")
def _pad(op: Op, x: Argument, pad_width: Array, **params: Any) -> Array:
    return op(x.array, pad_width=np.concatenate([[[0, 0]], pad_width]), **params)


@_rule("concatenate", "stack")
def _joined(op: Op, *arguments: Argument, axis: int | None = 0, **params: Any) -> Array:
    if axis is None:
        raise OneByOneError
    count, ndim = _count(arguments), arguments[0].ndim + (op.name == "stack")
    return op(*[x.repeated(count) for x in arguments], axis=_axis(axis, ndim), **params)


@_rule("getitem")
def _getitem(op: Op, x: Argument, index: Index) -> Array:
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(part, Argument) for part in parts):
        return _picked(op, x, parts)
    return op(x.array, index=_in_stack(index))


def _picked(op: Op, x: Argument, parts: Sequence[Any]) -> Array:
    """The entries at indices of which some differ between examples, if the index consists of numbers alone."""
    arguments = [part if isinstance(part, Argument) else Argument(part, False) for part in parts]
    if any(part.array is None or isinstance(part.array, (slice, type(Ellipsis))) for part in arguments):
        raise OneByOneError
    if any(part.array.dtype == bool for part in arguments if part.is_stack):
        raise OneByOneError  # a mask picks another number of entries from each example
    ndim = max([part.ndim for part in arguments])
    count = _count(arguments)
    examples = [np.arange(count).reshape(count, *(1,) * ndim)] if x.is_stack else []
    return op(x.array, index=fixed((*examples, *[part.with_axes(ndim) for part in arguments])))


def _in_stack(index: Index) -> Index:
    """The index of the same entries in each example of a stack."""
    parts = index if isinstance(index, tuple) else (index,)
    arrays = [i for i, part in enumerate(parts) if not (part is None or part is Ellipsis or isinstance(part, slice))]
    if any(isinstance(part, (Traced, Argument)) for part in parts):
        raise OneByOneError
    if arrays and arrays[-1] - arrays[0] >= len(arrays) and any(np.ndim(parts[i]) for i in arrays):
        raise OneByOneError  # NumPy puts the axes of indices that stand apart in front of all others
    return (type(index) if isinstance(index, Distinct) else tuple)((slice(None), *parts))


@_rule("scatter")
def _scatter(op: Op, *parts: Argument, shape: tuple[int, ...], indices: Sequence[Index]) -> Array:
    inside = [_in_stack(index) for index in indices]
    whole = np.broadcast_to(np.False_, shape)
    if any(part.shape != whole[index].shape for part, index in zip(parts, indices)):
        raise OneByOneError
    count = _count(parts)
    return op(*[part.repeated(count) for part in parts], shape=(count, *shape), indices=tuple(inside))


@_rule("index_set", "index_add")
def _index_update(op: Op, x: Argument, values: Argument, index: Index) -> Array:
    ndim = np.broadcast_to(np.False_, x.shape)[index].ndim
    if values.ndim > ndim:
        raise OneByOneError
    return op(x.repeated(_count((x, values))), values.with_axes(ndim), index=_in_stack(index))


@_rule("matmul")
def _matmul(op: Op, a: Argument, b: Argument) -> Array:
    if not (a.is_stack and b.is_stack):
        if a.ndim == 1 and b.ndim == 2 and a.is_stack:
            return op(a.array, b.array)
        if a.ndim == 2 and b.ndim == 1 and b.is_stack:
            return op(b.array, a.array.T)
        if a.ndim == b.ndim == 2:  # one product of matrices, in less time than one for each example
            if a.is_stack:
                rows = np.reshape(a.array, (len(a.array) * a.shape[0], a.shape[1]))
                return np.reshape(op(rows, b.array), (len(a.array), a.shape[0], b.shape[1]))
            columns = np.reshape(np.swapaxes(b.array, 0, 1), (b.shape[0], len(b.array) * b.shape[1]))
            return np.swapaxes(np.reshape(op(a.array, columns), (a.shape[0], len(b.array), b.shape[1])), 0, 1)
    added = tuple([axis for axis, x in ((-2, a), (-1, b)) if x.ndim == 1])
    a = Argument(np.expand_dims(a.array, -2), a.is_stack) if -2 in added else a
    b = Argument(np.expand_dims(b.array, -1), b.is_stack) if -1 in added else b
    ndim = max(a.ndim, b.ndim)
    y = op(a.with_axes(ndim), b.with_axes(ndim))
    return np.squeeze(y, added) if added else y


@_rule("dot")
def _dot(op: Op, a: Argument, b: Argument) -> Array:
    if not (a.ndim and b.ndim):
        return _entry_by_entry(operation("multiply"), a, b)
    return _matmul(operation("matmul"), a, b) if b.ndim <= 2 else _declined()


@_rule("outer")
def _outer(op: Op, a: Argument, b: Argument) -> Array:
    column, row = (Argument(np.reshape(x.array, (*np.shape(x.array)[: x.is_stack], -1)), x.is_stack) for x in (a, b))
    return np.expand_dims(column.array, -1) * np.expand_dims(row.array, -2)


@_rule("linear")
def _linear(op: Op, x: Argument, weight: Argument, bias: Argument) -> Array:
    if not (weight.is_stack or bias.is_stack):
        return op(x.array, weight.array, bias.array)
    transposed = Argument(np.swapaxes(weight.array, -1, -2), weight.is_stack)
    product = Argument(_matmul(operation("matmul"), x, transposed), True) if x.is_stack or weight.is_stack else None
    return _entry_by_entry(operation("add"), product or Argument(x.array @ transposed.array, False), bias)


@_rule("einsum")
def _einsum(op: Op, *operands: Argument, subscripts: str, **params: Any) -> Array:
    terms, output = axes_by_letters(subscripts, [x.ndim for x in operands])
    letter = next(c for c in "zyxwvutsrqponmlkjihgfedcbaZYXWVUTSRQPONMLKJIHGFEDCBA" if c not in subscripts + output)
    inputs = ",".join([letter * x.is_stack + term for x, term in zip(operands, terms)])
    return op(*[x.array for x in operands], subscripts=f"{inputs}->{letter}{output}", **params)


@_rule("tensordot")
def _tensordot(op: Op, a: Argument, b: Argument, axes: Any) -> Array:
    letters = iter("abcdefghijklmnopqrstuvwxyABCDEFGHIJKLMNOPQRSTUVWXYZ")
    if not isinstance(axes, tuple):
        raise OneByOneError
    first, second = [next(letters) for _ in a.shape], [next(letters) for _ in b.shape]
    of_a, of_b = ([i % x.ndim for i in part] for x, part in zip((a, b), axes))
    for i, k in zip(of_a, of_b):
        second[k] = first[i]
    rest = [c for i, c in enumerate(first) if i not in of_a] + [c for k, c in enumerate(second) if k not in of_b]
    subscripts = f"{''.join(first)},{''.join(second)}->{''.join(rest)}"
    return _einsum(operation("einsum"), a, b, subscripts=subscripts)


@_rule("solve")
def _solve(op: Op, a: Argument, b: Argument) -> Array:
    if b.ndim > 1:
        ndim = max(a.ndim, b.ndim)
        return op(a.with_axes(ndim), b.with_axes(ndim))
    if not a.is_stack and a.ndim == 2:
        return np.swapaxes(op(a.array, np.swapaxes(b.array, 0, 1)), 0, 1)
    return np.squeeze(_solve(op, a, Argument(np.expand_dims(b.array, -1), b.is_stack)), -1)
