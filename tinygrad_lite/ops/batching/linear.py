"""Products, contractions and linear systems on a stack of examples."""

from functools import reduce
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Op
from tinygrad_lite.engine.registry import operation
from tinygrad_lite.ops.batching.rules import Argument, OneByOneError, broadcasting, one_by_one, rule_of
from tinygrad_lite.ops.casting import conjugated
from tinygrad_lite.ops.linear.contraction import axes_by_letters


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


@rule_of("multi_dot")
def _multi_dot(op: Op, *factors: Argument) -> Array:
    """Products one after the other, from the end that makes the smaller ones."""
    if any(np.result_type(x.array).kind in "biu" for x in factors):
        raise OneByOneError
    rows = factors[0].shape[0] if factors[0].ndim == 2 else 1
    columns = factors[-1].shape[1] if factors[-1].ndim == 2 else 1
    if rows <= columns:
        return reduce(_product, factors).array
    return reduce(lambda right, left: _product(left, right), factors[::-1]).array


def _product(a: Argument, b: Argument) -> Argument:
    is_stack = a.is_stack or b.is_stack
    return Argument(_matmul(operation("matmul"), a, b) if is_stack else a.array @ b.array, is_stack)


@rule_of("inner")
def _inner(op: Op, a: Argument, b: Argument) -> Array:
    if not (a.ndim and b.ndim):
        return broadcasting(operation("multiply"), a, b)
    return _tensordot(op, a, b, ((-1,), (-1,)))


@rule_of("dot")
def _dot(op: Op, a: Argument, b: Argument) -> Array:
    if not (a.ndim and b.ndim):
        return broadcasting(operation("multiply"), a, b)
    return _matmul(operation("matmul"), a, b) if b.ndim <= 2 else one_by_one()


def _raveled(x: Argument) -> Array:
    """The array with the entries of each example along one axis."""
    shape = np.shape(x.array)
    return np.reshape(x.array, (*shape[: x.is_stack], int(np.prod(shape[x.is_stack :]))))


@rule_of("outer")
def _outer(op: Op, a: Argument, b: Argument) -> Array:
    return np.expand_dims(_raveled(a), -1) * np.expand_dims(_raveled(b), -2)


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


@rule_of("vdot")
def _vdot(op: Op, a: Argument, b: Argument) -> Array:
    first, second = Argument(conjugated(_raveled(a)), a.is_stack), Argument(_raveled(b), b.is_stack)
    return _inner(operation("inner"), first, second)


@rule_of("solve", "solve_triangular")
def _solve(op: Op, a: Argument, b: Argument, **params: Any) -> Array:
    if b.ndim > 1:
        ndim = max(a.ndim, b.ndim)
        return op(a.with_axes(ndim), b.with_axes(ndim), **params)
    if not a.is_stack and a.ndim == 2:
        return np.swapaxes(op(a.array, np.swapaxes(b.array, 0, 1), **params), 0, 1)
    return np.squeeze(_solve(op, a, Argument(np.expand_dims(b.array, -1), b.is_stack), **params), -1)
