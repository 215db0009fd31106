"""How operations on arrays run on a stack of examples: for each of them, where the axis of the examples goes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Op, Traced
from tinygrad_lite.engine.registry import operation
from tinygrad_lite.ops.batching.rules import Argument, OneByOneError, broadcasting, number_of_examples, rule_of
from tinygrad_lite.ops.linear.contraction import axes_by_letters
from tinygrad_lite.ops.shapes.indexing import Distinct, Index, fixed


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


rule_of("where", "cast", "imag", "conjugate", "isclose", "stop_gradient", "isposinf", "isneginf")(broadcasting)
rule_of("real_if_close", "cross")(broadcasting)


@rule_of("refuse_where")
def _refuse_where(op: Op, condition: Argument, x: Argument, message: str) -> Array:
    count = number_of_examples((condition, x))  # x has as many as the condition, of which one may be refused
    return op(condition.with_axes(max(condition.ndim, x.ndim)), x.repeated(count), message=message)


@rule_of("sum", "mean", "prod", "max", "min", "logsumexp", "var", "std", "var_around", "median", "nansum", "nanprod")
def _over_axes(
    op: Op, *arguments: Argument, axis: Any = None, keepdims: bool = False, ddof: float = 0, dtype: Any = None
) -> Array:
    ndim, count = max([x.ndim for x in arguments]), number_of_examples(arguments)
    given = {"keepdims": keepdims, "ddof": ddof, "dtype": dtype}
    params = {name: value for name, value in given.items() if value}
    return op(*[x.repeated_with_axes(count, ndim) for x in arguments], axis=_axes(axis, ndim), **params)


@rule_of("nanmean", "nanmax", "nanmin", "nanmedian", "nanvar", "nanstd", "all", "any", "count_nonzero")
@rule_of("vector_norm", "logaddexp_reduce")
def _over_axes_alone(op: Op, x: Argument, axis: Any = None, **params: Any) -> Array:
    return op(x.array, axis=_axes(axis, x.ndim), **params)


@rule_of("norm")
def _norm(op: Op, x: Argument, axes: Any = None, **params: Any) -> Array:
    return op(x.array, axes=_axes(axes, x.ndim), **params)


@rule_of("quantile", "percentile", "nanquantile", "nanpercentile")
def _quantile(op: Op, x: Argument, q: Any, axis: Any = None, **params: Any) -> Array:
    y = op(x.array, q=q, axis=_axes(axis, x.ndim), **params)
    return np.moveaxis(y, np.ndim(q), 0)  # in front are the axes of q


@rule_of("softmax", "log_softmax")
def _along_axes(op: Op, x: Argument, axis: Any = -1) -> Array:
    return op(x.array, axis=_axes(axis, x.ndim))


@rule_of("cumsum", "cumprod", "argmax", "argmin", "nanargmax", "nanargmin")
def _along_axis(op: Op, x: Argument, axis: int | None = None, **params: Any) -> Array:
    if axis is None:
        if params.get("keepdims"):
            raise OneByOneError
        return op(np.reshape(x.array, (len(x.array), -1)) if x.array.size else _declined(), axis=1, **params)
    return op(x.array, axis=_axis(axis, x.ndim), **params)


def _declined() -> Any:
    raise OneByOneError


@rule_of("argsort", "fft", "ifft", "rfft", "irfft")
def _along_last_axis(op: Op, x: Argument, axis: int | None = -1, **params: Any) -> Array:
    return _declined() if axis is None else op(x.array, axis=_axis(axis, x.ndim), **params)


@rule_of("roll")
def _roll(op: Op, x: Argument, shift: Any, axis: Any = None) -> Array:
    return _declined() if axis is None else op(x.array, shift=shift, axis=_axes(axis, x.ndim))


@rule_of("reshape")
def _reshape(op: Op, x: Argument, shape: Any, order: str = "C") -> Array:
    shape = shape if isinstance(shape, tuple) else (shape,)
    if order != "C" or (-1 in shape and not x.array.size):
        raise OneByOneError
    return op(x.array, shape=(len(x.array), *shape))


@rule_of("ravel")
def _ravel(op: Op, x: Argument, order: str = "C") -> Array:
    return _declined() if order != "C" or not x.array.size else np.reshape(x.array, (len(x.array), -1))


@rule_of("expand_dims")
def _expand_dims(op: Op, x: Argument, axis: Any) -> Array:
    axes = axis if isinstance(axis, tuple) else (axis,)
    return op(x.array, axis=_axes(axes, x.ndim + len(axes)))


@rule_of("squeeze")
def _squeeze(op: Op, x: Argument, axis: Any = None) -> Array:
    if axis is None:
        axis = tuple(i for i, size in enumerate(x.shape) if size == 1)
    return op(x.array, axis=_axes(axis, x.ndim))


@rule_of("transpose")
def _transpose(op: Op, x: Argument, axes: Any = None) -> Array:
    return op(x.array, axes=(0, *_axes(tuple(reversed(range(x.ndim))) if axes is None else tuple(axes), x.ndim)))


@rule_of("swapaxes", "trace")
def _two_axes(op: Op, x: Argument, axis1: int = 0, axis2: int = 1, **params: Any) -> Array:
    return op(x.array, axis1=_axis(axis1, x.ndim), axis2=_axis(axis2, x.ndim), **params)


@rule_of("tril", "triu", "inv", "det", "log_abs_det", "sign_of_det", "cholesky", "eigvalsh", "matrix_power")
def _of_matrices(op: Op, x: Argument, **params: Any) -> Array:
    return op(x.array, **params) if x.ndim >= 2 else _declined()


@rule_of("eigh", "svd", "svdvals", "qr", "pinv", "cond", "expm", "matrix_norm")
@rule_of("composed", "vanishing", "equal_pairs", "uneven", "aligned", "untold", "lopsided")
def in_front(op: Op, *arguments: Argument, **params: Any) -> Array:
    """A call that takes arrays of any number of axes in front of its own, as long as they are the same in all."""
    count = number_of_examples(arguments)
    return op(*[x.repeated(count) for x in arguments], **params)


@rule_of("quotient")
def _quotient_of_parts(op: Op, *arguments: Argument, **params: Any) -> Array:
    ndim, count = max([x.ndim for x in arguments]), number_of_examples(arguments)
    return op(*[x.repeated_with_axes(count, ndim) for x in arguments], **params)


@rule_of("broadcast_to")
def _broadcast_to(op: Op, x: Argument, shape: Any) -> Array:
    shape = shape if isinstance(shape, tuple) else (shape,)
    return op(x.with_axes(len(shape)), shape=(len(x.array), *shape))


@rule_of("pad")
def _pad(op: Op, x: Argument, pad_width: Array, **params: Any) -> Array:
    return op(x.array, pad_width=np.concatenate([[[0, 0]], pad_width]), **params)


@rule_of("concatenate", "stack")
def _joined(op: Op, *arguments: Argument, axis: int | None = 0, **params: Any) -> Array:
    if axis is None:
        raise OneByOneError
    count, ndim = number_of_examples(arguments), arguments[0].ndim + (op.name == "stack")
    return op(*[x.repeated(count) for x in arguments], axis=_axis(axis, ndim), **params)


@rule_of("getitem")
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
    count = number_of_examples(arguments)
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


@rule_of("scatter")
def _scatter(op: Op, *parts: Argument, shape: tuple[int, ...], indices: Sequence[Index]) -> Array:
    inside = [_in_stack(index) for index in indices]
    whole = np.broadcast_to(np.False_, shape)
    if any(part.shape != whole[index].shape for part, index in zip(parts, indices)):
        raise OneByOneError
    count = number_of_examples(parts)
    return op(*[part.repeated(count) for part in parts], shape=(count, *shape), indices=tuple(inside))


@rule_of("index_set", "index_add")
def _index_update(op: Op, x: Argument, values: Argument, index: Index) -> Array:
    ndim = np.broadcast_to(np.False_, x.shape)[index].ndim
    if values.ndim > ndim:
        raise OneByOneError
    return op(x.repeated(number_of_examples((x, values))), values.with_axes(ndim), index=_in_stack(index))


@rule_of("matmul")
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


@rule_of("inner")
def _inner(op: Op, a: Argument, b: Argument) -> Array:
    if not (a.ndim and b.ndim):
        return broadcasting(operation("multiply"), a, b)
    return _tensordot(op, a, b, ((-1,), (-1,)))


@rule_of("dot")
def _dot(op: Op, a: Argument, b: Argument) -> Array:
    if not (a.ndim and b.ndim):
        return broadcasting(operation("multiply"), a, b)
    return _matmul(operation("matmul"), a, b) if b.ndim <= 2 else _declined()


@rule_of("outer")
def _outer(op: Op, a: Argument, b: Argument) -> Array:
    column, row = (Argument(np.reshape(x.array, (*np.shape(x.array)[: x.is_stack], -1)), x.is_stack) for x in (a, b))
    return np.expand_dims(column.array, -1) * np.expand_dims(row.array, -2)


@rule_of("linear")
def _linear(op: Op, x: Argument, weight: Argument, bias: Argument) -> Array:
    if not (weight.is_stack or bias.is_stack):
        return op(x.array, weight.array, bias.array)
    transposed = Argument(np.swapaxes(weight.array, -1, -2), weight.is_stack)
    product = Argument(_matmul(operation("matmul"), x, transposed), True) if x.is_stack or weight.is_stack else None
    return broadcasting(operation("add"), product or Argument(x.array @ transposed.array, False), bias)


@rule_of("einsum")
def _einsum(op: Op, *operands: Argument, subscripts: str, **params: Any) -> Array:
    terms, output = axes_by_letters(subscripts, [x.ndim for x in operands])
    letter = next(c for c in "zyxwvutsrqponmlkjihgfedcbaZYXWVUTSRQPONMLKJIHGFEDCBA" if c not in subscripts + output)
    inputs = ",".join([letter * x.is_stack + term for x, term in zip(operands, terms)])
    return op(*[x.array for x in operands], subscripts=f"{inputs}->{letter}{output}", **params)


@rule_of("tensordot")
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


@rule_of("solve")
def _solve(op: Op, a: Argument, b: Argument) -> Array:
    if b.ndim > 1:
        ndim = max(a.ndim, b.ndim)
        return op(a.with_axes(ndim), b.with_axes(ndim))
    if not a.is_stack and a.ndim == 2:
        return np.swapaxes(op(a.array, np.swapaxes(b.array, 0, 1)), 0, 1)
    return np.squeeze(_solve(op, a, Argument(np.expand_dims(b.array, -1), b.is_stack)), -1)
