"""How operations on arrays run on a stack of examples: for each of them, where the axis of the examples goes."""

from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Op
from tinygrad_lite.ops.batching.rules import (
    Argument,
    OneByOneError,
    broadcasting,
    number_of_examples,
    one_by_one,
    rule_of,
)


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
rule_of("real_if_close", "isreal", "iscomplex", "cross")(broadcasting)


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


@rule_of("cumsum", "cumprod", "logaddexp_accumulate", "logaddexp2_accumulate")
@rule_of("argmax", "argmin", "nanargmax", "nanargmin")
def _along_axis(op: Op, x: Argument, axis: int | None = None, **params: Any) -> Array:
    if axis is None:
        if params.get("keepdims"):
            raise OneByOneError
        return op(np.reshape(x.array, (len(x.array), -1)) if x.array.size else one_by_one(), axis=1, **params)
    return op(x.array, axis=_axis(axis, x.ndim), **params)


@rule_of("argsort", "unwrap", "fft", "ifft", "rfft", "irfft")
def _along_last_axis(op: Op, x: Argument, axis: int | None = -1, **params: Any) -> Array:
    return one_by_one() if axis is None else op(x.array, axis=_axis(axis, x.ndim), **params)


@rule_of("roll")
def _roll(op: Op, x: Argument, shift: Any, axis: Any = None) -> Array:
    return one_by_one() if axis is None else op(x.array, shift=shift, axis=_axes(axis, x.ndim))


@rule_of("reshape")
def _reshape(op: Op, x: Argument, shape: Any, order: str = "C") -> Array:
    shape = shape if isinstance(shape, tuple) else (shape,)
    if order != "C" or (-1 in shape and not x.array.size):
        raise OneByOneError
    return op(x.array, shape=(len(x.array), *shape))


@rule_of("ravel")
def _ravel(op: Op, x: Argument, order: str = "C") -> Array:
    return one_by_one() if order != "C" or not x.array.size else np.reshape(x.array, (len(x.array), -1))


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


@rule_of("tril", "triu", "inv", "det", "log_abs_det", "sign_of_det", "phase_of_det", "cholesky")
@rule_of("eigvalsh", "eigvals", "matrix_power", "is_singular")
def _of_matrices(op: Op, x: Argument, **params: Any) -> Array:
    return op(x.array, **params) if x.ndim >= 2 else one_by_one()


@rule_of("eigh", "eig", "svd", "svdvals", "qr", "pinv", "cond", "expm", "matrix_norm")
@rule_of("sqrtm", "logm", "lu_factor", "order_of_rows", "solve_sylvester", "solve_discrete_lyapunov")
@rule_of(
    "solve_continuous_are",
    "solve_discrete_are",
    "composed",
    "vanishing",
    "equal_pairs",
    "uneven",
    "aligned",
    "untold",
    "lopsided",
)
def in_front(op: Op, *arguments: Argument, **params: Any) -> Array:
    """A call that takes arrays of any number of axes in front of its own, as long as they are the same in all."""
    count = number_of_examples(arguments)
    return op(*[x.repeated(count) for x in arguments], **params)


@rule_of("matrix_rank")
def _matrix_rank(op: Op, x: Argument, **params: Any) -> Array:
    return op(x.array, **params) if x.ndim >= 2 and not any(map(np.ndim, params.values())) else one_by_one()


@rule_of("vander")
def _vander(op: Op, x: Argument, N: int | None = None, increasing: bool = False) -> Array:
    columns = x.shape[0] if N is None and x.ndim else N
    if x.ndim != 1 or not columns:
        raise OneByOneError
    entries = np.expand_dims(x.array, -1).astype(np.promote_types(x.array.dtype, int))
    factors = np.repeat(entries, columns, axis=-1)
    powers = np.cumprod(np.concatenate([np.ones_like(entries), factors[..., 1:]], axis=-1), axis=-1)
    return powers if increasing else np.flip(powers, -1)


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


@rule_of("pad_with_own")
def _pad_with_own(op: Op, x: Argument, pairs: tuple[tuple[int, int], ...], mode: str) -> Array:
    return op(x.array, pairs=((0, 0), *pairs), mode=mode)


@rule_of("sliding_window_view")
def _sliding_window_view(op: Op, x: Argument, window_shape: Any, axis: Any = None) -> Array:
    return op(x.array, window_shape=window_shape, axis=_axes(axis, x.ndim))


@rule_of("linspace", "geomspace")
def _spaced(op: Op, start: Argument, stop: Argument, axis: int = 0, **params: Any) -> Array:
    ndim = max(start.ndim, stop.ndim)
    return op(start.with_axes(ndim), stop.with_axes(ndim), axis=_axis(axis, ndim + 1), **params)


@rule_of("concatenate", "stack")
def _joined(op: Op, *arguments: Argument, axis: int | None = 0, **params: Any) -> Array:
    if axis is None:
        raise OneByOneError
    count, ndim = number_of_examples(arguments), arguments[0].ndim + (op.name == "stack")
    return op(*[x.repeated(count) for x in arguments], axis=_axis(axis, ndim), **params)
