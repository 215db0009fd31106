"""Expansions: operations written as other operations, so that native code need not know them.

A contraction is a product of matrices between transposes; a variance is two means. Each expansion is a function in
NumPy. It runs on stand-ins for the arrays, which record its operations.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite, prod
from typing import Any

import numpy as np

from tinygrad_lite.compiler.native import counting, indices
from tinygrad_lite.compiler.native.emission import REALS, TYPES, can_cast
from tinygrad_lite.compiler.program import Instruction, Program, Variable, mapped
from tinygrad_lite.compiler.recording.recorded import OfVariable
from tinygrad_lite.compiler.repeats import INDICES
from tinygrad_lite.engine.op import Array, Op
from tinygrad_lite.ops.arithmetic import (
    curves,
    elementwise,
    extrema,
    ordering,
    reductions,
    running,
    selection,
    variances,
)
from tinygrad_lite.ops.linear import contraction, least_squares, linalg, norms, products
from tinygrad_lite.ops.networks import normal
from tinygrad_lite.ops.shapes import arranging, indexing, joining, shaping

FEW = 16  # arrays that one operation puts into another; more are put there by several operations

onto = Op(lambda whole, *parts, **params: whole, [None], name="onto", arity=None)
"""Puts arrays into the memory of the first one at indices, or adds them there; larger operations are made of it."""


def can_put(parts: Sequence[Any], whole: Variable) -> bool:
    """Whether native code can put the parts into the whole, or add them to it; NumPy has no operation for that."""
    cast = (can_cast(x.dtype, whole.dtype) for x in parts if isinstance(x, Variable))
    return whole.dtype in TYPES and all(cast)


Expansion = Callable[..., Any]
"""A function of an operation's arrays and parameters; it returns None where it does not apply."""


def expanded(program: Program, few: float = counting.FEW) -> Program:
    """The program with simpler operations in place of those that have an expansion.

    Args:
        few: how many comparisons may take the place of a sort.
    """
    calls: list[Instruction] = []
    record = Record(dict(program.constants), few)
    same: dict[Variable, Variable] = {}
    for call in program.calls:
        call = call.with_variables(same)
        if (
            call.op in _MANY
            and len(call.inputs) > FEW
            and (not call.has_computed_params or indices.are_known(call, call.result.shape))
            and can_put(call.inputs, call.result)
        ):
            pieces = _MANY[call.op](call)
            calls += pieces
            if pieces[-1].result is not call.result:
                same[call.result] = pieces[-1].result
            continue
        made = _expansion(call, record)
        if made is None and call.op is indexing.getitem and call.has_computed_params:
            calls += _read_from_view(call)
        elif made is None:
            calls.append(call)
        else:
            calls += made[0]
            same[call.result] = made[1]
    return replace(program.with_calls(calls, same), constants=record.constants)


def _expansion(call: Instruction, record: "Record") -> tuple[list[Instruction], Variable] | None:
    write = _EXPANSIONS.get(call.op)
    if write is None or call.result.is_number or call.params.keys() & INDICES:
        return None
    dtypes = TYPES if call.op in _OF_ALL_TYPES else REALS
    read = (*call.reads, call.result) if call.op not in counting.EXPANSIONS else call.reads
    if any(x.dtype not in dtypes or x.is_number for x in read):
        return None
    record.calls = []
    made = write(*map(record.standing_for, call.inputs), **mapped(record.standing_for, call.params))
    if not isinstance(made, StandIn) or (made.shape, made.dtype) != (call.result.shape, call.result.dtype):
        return None
    return [
        replace(instruction, section=call.section, source=call.source, ignoring=call.ignoring)
        for instruction in record.calls
    ], made.variable


def stand_in_array(x: Variable) -> Array:
    """An array of a variable's form."""
    array = np.zeros([x.shape[axis] for axis in x.order] if x.order else x.shape, x.dtype)
    return array.transpose(np.argsort(x.order)) if x.order else array


class StandIn(OfVariable):
    """An array whose entries do not matter, which records what happens to it."""

    __slots__ = ("_record", "_value")

    def __init__(self, value: Array, variable: Variable, record: "Record") -> None:
        self._value = value
        self.variable = variable
        self._record = record

    @property
    def few(self) -> float:
        """How many comparisons may take the place of a sort."""
        return self._record.few

    @property
    def is_numpys_otherwise(self) -> bool:
        """Whether NumPy runs what has no expansion, so that an expansion must do the same as NumPy."""
        return isfinite(self._record.few)

    def constant(self, array: Array) -> "StandIn":
        """An array that is the same in each run."""
        return self._record.constant(array)

    def __trace__(self, op: Op, inputs: tuple[Array, ...], params: Mapping[str, Any]) -> Any:
        if op in _EXPANSIONS and (made := _EXPANSIONS[op](*inputs, **params)) is not None:
            return made
        values = [x._value if isinstance(x, StandIn) else x for x in inputs]
        with np.errstate(all="ignore"):
            value = np.asarray(op(*values, **params))
        operands = tuple(x.variable if isinstance(x, StandIn) else x for x in inputs)
        result = Variable(value.shape, value.dtype, name=op.name)
        shared = (x for x, part in zip(operands, values) if np.may_share_memory(part, value))
        self._record.calls.append(Instruction(op, operands, dict(params), result, view_of=next(shared, None)))
        return self._record.of(value, result)


@dataclass
class Record:
    """What happens to stand-ins: the operations, and the constants that they read.

    Attributes:
        known: the variables of the constants, by what these are.
    """

    constants: dict[Variable, Array]
    few: float = counting.FEW
    calls: list[Instruction] = field(default_factory=list)
    known: dict[Any, Variable] = field(default_factory=dict)

    def of(self, value: Array, variable: Variable) -> StandIn:
        """A stand-in for a variable."""
        return StandIn(value, variable, self)

    def standing_for(self, x: Any) -> Any:
        """A stand-in for what is a variable; anything else as it is."""
        return self.of(stand_in_array(x), x) if isinstance(x, Variable) else x

    def constant(self, array: Array) -> StandIn:
        """A stand-in for an array that is the same in each run."""
        key = array.dtype, array.shape, array.tobytes()
        if key not in self.known:
            self.known[key] = variable = Variable(array.shape, array.dtype)
            self.constants[variable] = array
        return self.of(array, self.known[key])


def _read_from_view(call: Instruction) -> list[Instruction]:
    """A reading of entries at a computed index, from the view that its numbers and slices make."""
    (x,), parts = call.inputs, indices.in_two(call.params["index"], len(call.inputs[0].shape))
    if parts is None or not call.result.size:
        return [call]
    part = Variable(indexing._shape_of_entries(stand_in_array(x), parts[0]), x.dtype, name=x.name)
    view = replace(call, params={"index": parts[0]}, result=part, view_of=x)
    return [view, replace(call, inputs=(part,), params={"index": parts[1]}, view_of=None)]


# Many arrays in one


def _in_pieces(
    call: Instruction, first: Instruction, parts: Sequence[Any], indices: Sequence[Any], adds: bool
) -> list[Instruction]:
    """The first operation, and others that put the parts at indices of its result, a few each."""
    pieces = [first]
    for start in range(0, len(parts), FEW):
        whole = pieces[-1].result
        params = {"indices": tuple(indices[start : start + FEW]), "adds": adds}
        result = Variable(whole.shape, whole.dtype, name=whole.name)
        inputs = (whole, *parts[start : start + FEW])
        pieces.append(replace(call, op=onto, inputs=inputs, params=params, result=result, view_of=None))
    return pieces


def _scatter(call: Instruction) -> list[Instruction]:
    """Gradients of the same entries are added up first, and put into the whole at once."""
    groups: dict[Any, tuple[Any, list[Variable]]] = {}
    for i, (x, index) in enumerate(zip(call.inputs, call.params["indices"])):
        key = (repr(index), x.shape) if indexing._is_basic(index) else i
        groups.setdefault(key, (index, []))[1].append(x)
    calls, parts = [], []
    for _, terms in groups.values():
        total = terms[0]
        for x in terms[1:]:
            result = Variable(x.shape, np.result_type(total.dtype, x.dtype), name="add")
            calls.append(replace(call, op=elementwise.add, inputs=(total, x), params={}, result=result, view_of=None))
            total = result
        parts.append(total)
    indices = [index for index, _ in groups.values()]
    result = Variable(call.result.shape, call.result.dtype, name=call.result.name)
    params = {"shape": call.params["shape"], "indices": tuple(indices[:FEW])}
    first = replace(call, inputs=tuple(parts[:FEW]), params=params, result=result, view_of=None)
    return [*calls, *_in_pieces(call, first, parts[FEW:], indices[FEW:], adds=True)]


def _joined(call: Instruction) -> list[Instruction]:
    """Many arrays one after another: each is put into its part of the whole."""
    axis = call.params.get("axis", 0)
    if not isinstance(axis, int) or set(call.params) - {"axis"}:
        return [call]
    around, start, indices = (slice(None),) * (axis % len(call.result.shape)), 0, []
    for x in call.inputs:
        if call.op is joining.stack:
            indices.append((*around, start))
            start += 1
        else:
            indices.append((*around, slice(start, start + x.shape[axis])))
            start += x.shape[axis]
    result = Variable(call.result.shape, call.result.dtype, name=call.result.name)
    empty = replace(
        call, op=shaping.broadcast_to, inputs=(0,), params={"shape": result.shape}, result=result, view_of=None
    )
    return _in_pieces(call, empty, call.inputs, indices, adds=False)


_MANY: dict[Op, Callable[[Instruction], list[Instruction]]] = {
    indexing.scatter: _scatter,
    joining.concatenate: _joined,
    joining.stack: _joined,
}


# Contractions


def _einsum(*arrays: Any, subscripts: str, optimize: Any = False) -> Any:
    terms, output = contraction.axes_by_letters(subscripts, [x.ndim for x in arrays])
    sizes: dict[str, int] = {}
    for term, x in zip(terms, arrays):
        if any(sizes.setdefault(letter, size) != size for letter, size in zip(term, x.shape)):
            return None  # an axis that is stretched
    known = [_without_repeats(x, term) for x, term in zip(arrays, terms)]
    if len(known) == 1:
        return _ordered(*_summed(*known[0], output), output)
    stand_ins = [np.broadcast_to(0.0, [sizes[c] for c in term]) for _, term in known]
    path = np.einsum_path(f"{','.join(term for _, term in known)}->{output}", *stand_ins, optimize="greedy")[0][1:]
    for chosen in path:
        factors = [known[i] for i in chosen]
        known = [x for i, x in enumerate(known) if i not in chosen]
        while len(factors) > 1:
            (x, a), (z, b), *factors = factors
            left = "".join(term for _, term in (*factors, *known))
            made = "".join(dict.fromkeys(c for c in a + b if c in output + left)) if left else output
            factors.insert(0, (_pair(*_summed(x, a, b + made), *_summed(z, b, a + made), made, sizes), made))
        known.append(factors[0])
    return known[0][0]


def _pair(x: Any, a: str, z: Any, b: str, made: str, sizes: Mapping[str, int]) -> Any:
    """A sum of products of two arrays as a product of matrices."""
    stack, rows, columns, summed = contraction.roles(a, b, made)
    if not summed:
        left = np.reshape(_ordered(x, a, [*stack, *rows]), [sizes[c] for c in (*stack, *rows)] + [1] * len(columns))
        right = np.reshape(
            _ordered(z, b, [*stack, *columns]),
            [sizes[c] for c in stack] + [1] * len(rows) + [sizes[c] for c in columns],
        )
        return _ordered(left * right, [*stack, *rows, *columns], made)
    deep = [sizes[c] for c in stack]
    n, m, k = (prod(sizes[c] for c in letters) for letters in (rows, columns, summed))
    left = np.reshape(_ordered(x, a, [*stack, *rows, *summed]), (*deep, n, k))
    right = np.reshape(_ordered(z, b, [*stack, *summed, *columns]), (*deep, k, m))
    letters = [*stack, *rows, *columns]
    return _ordered(np.reshape(np.matmul(left, right), [sizes[c] for c in letters]), letters, made)


def _without_repeats(x: Any, term: str) -> tuple[Any, str]:
    """The array with a diagonal in place of axes that have the same letter, and the letters of its axes."""
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            first = term.index(letter)
            second = term.index(letter, first + 1)
            x = _diagonal(x, first, second)
            term = term[:first] + term[first + 1 : second] + term[second + 1 :] + letter
    return x, term


def _diagonal(x: Any, first: int, second: int, offset: int = 0) -> Any:
    """A diagonal of two axes, as the last axis."""
    first, second = first % x.ndim, second % x.ndim
    others = [axis for axis in range(x.ndim) if axis not in (first, second)]
    n, m = x.shape[first], x.shape[second]
    count = max(min(n + min(offset, 0), m - max(offset, 0)), 0)
    start = offset if offset > 0 else -offset * m
    lines = np.reshape(_ordered(x, range(x.ndim), [*others, first, second]), (*(x.shape[i] for i in others), n * m))
    return lines[..., start : start + count * (m + 1) - m if count else start : m + 1]


def _trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Any:
    return np.sum(_diagonal(x, axis1, axis2, offset), axis=-1) if dtype is None else None


def _summed(x: Any, term: str, needed: str) -> tuple[Any, str]:
    """The array summed over the axes whose letters are not needed, and the letters that are left."""
    lost = [c for c in term if c not in needed]
    if not lost:
        return x, term
    return np.sum(x, axis=tuple(term.index(c) for c in lost)), "".join(c for c in term if c not in lost)


def _ordered(x: Any, letters: Sequence[Any], wanted: Sequence[Any]) -> Any:
    order = [letters.index(c) for c in wanted]
    return x if order == sorted(order) else np.transpose(x, order)


def _tensordot(a: Any, b: Any, axes: tuple[tuple[int, ...], tuple[int, ...]]) -> Any:
    return _einsum(a, b, subscripts=contraction.subscripts_of(a.ndim, b.ndim, axes))


# Products by other names


def _dot(a: Any, b: Any) -> Any:
    if not (a.ndim and b.ndim):
        return a * b
    return a @ b if b.ndim <= 2 else None


def _inner(a: Any, b: Any) -> Any:
    if not (a.ndim and b.ndim):
        return a * b
    if b.ndim > 2:
        return None
    return a @ (b if b.ndim == 1 else np.transpose(b))


def _multi_dot(*arrays: Any) -> Any:
    ends = [arrays[i].ndim for i in (0, -1)]
    letters = "abcdefghijklmnopqrstuvwxyz"[: len(arrays) + 1]
    terms = [letters[i : i + 2] for i in range(len(arrays))]
    terms[0], terms[-1] = terms[0][-ends[0] :], terms[-1][: ends[1]]
    made = terms[0][: ends[0] - 1] + terms[-1][1:]
    return _einsum(*arrays, subscripts=f"{','.join(terms)}->{made}") if len(arrays) < 26 else None


def _matrix_power(x: Any, n: int) -> Any:
    if n < 1:
        return None
    if n == 3:  # as NumPy, which takes the shortest way here
        return (x @ x) @ x
    made = None
    while True:
        n, is_odd = divmod(n, 2)
        if is_odd:
            made = x if made is None else made @ x
        if not n:
            return made * 1 if made is x else made
        x = x @ x


def _pinv(x: Any, rcond: Any = None, hermitian: bool = False, rtol: Any = np._NoValue) -> Any:
    if hermitian or not x.size:
        return None
    if rcond is None:
        rcond = 1e-15 if rtol is np._NoValue else max(x.shape[-2:]) * np.finfo(x.dtype).eps if rtol is None else rtol
    if not isinstance(rcond, float):
        return None
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    is_large = s > rcond * np.max(s, axis=-1, keepdims=True)
    inverse = np.where(is_large, 1 / np.where(is_large, s, 1), 0)
    return np.matrix_transpose(vt) @ (inverse[..., None] * np.matrix_transpose(u))


def _vdot(a: Any, b: Any) -> Any:
    return np.reshape(a, (-1,)) @ np.reshape(b, (-1,)) if a.size else None


MANY = 2**13  # products of a convolution, each of which is read singly; with more, NumPy is faster


def _convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """For each position of the result, the longer array's entries beside the shorter one, times the shorter one."""
    a, v = (a, v) if a.size >= v.size else (v, a)
    (n,), (m,) = a.shape, v.shape
    count = {"full": n + m - 1, "same": n, "valid": n - m + 1}[mode]
    before = {"full": 0, "same": (m - 1) // 2, "valid": m - 1}[mode]
    if count * m > MANY:
        return None
    places = np.arange(before, before + count)[:, None] - np.arange(m)
    is_inside = (places >= 0) & (places < n)
    if is_inside.all():
        return a[places] @ v
    products = a[np.where(is_inside, places, 0)] * v  # to multiply zeros around it would make NaNs of infinities
    return np.sum(np.where(a.constant(is_inside), products, a.constant(np.zeros((), products.dtype))), axis=-1)


# Statistics and norms


def _of_some(reduce: Callable[..., Any], of_two: Callable[..., Any], neutral: float) -> Expansion:
    """A reduction of an initial value and of the entries where a mask is true; the others count as a neutral number."""

    def write(
        x: Any,
        axis: Any = None,
        keepdims: bool = False,
        initial: Any = np._NoValue,
        where: Any = True,
        dtype: Any = None,
    ) -> Any:
        if not x.size or np.dtype(dtype or x.dtype) not in REALS:
            return None
        if initial is np._NoValue and where is True and dtype is None:
            return None
        x = x if dtype is None or x.dtype == dtype else np.astype(x, dtype)
        reduced = reduce(_where(where, x, neutral), axis=axis, keepdims=keepdims)
        return reduced if initial is np._NoValue else of_two(reduced, initial)

    return write


def _mean_of_some(x: Any, axis: Any = None, keepdims: bool = False, where: Any = True, **others: Any) -> Any:
    if where is True or others or not x.size or x.dtype not in REALS:
        return None
    return np.sum(_where(where, x, 0), axis=axis, keepdims=keepdims) / _count(where, x, axis, keepdims)


def _count(mask: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """How many entries of a mask, which is broadcast to the array, are true."""
    return np.sum(_where(mask, x.constant(np.ones(x.shape, x.dtype)), 0), axis=axis, keepdims=keepdims)


def _where(mask: Any, x: Any, otherwise: float) -> Any:
    """The array with a number where a mask, which is broadcast to it, is not true."""
    if mask is True:
        return x
    mask = np.asarray(mask) if isinstance(mask, (list, tuple)) else mask
    mask = x.constant(mask) if isinstance(mask, np.ndarray) else mask
    return np.where(mask, x, x.constant(np.array(otherwise, x.dtype)))


def _var(x: Any, axis: Any = None, ddof: float = 0, keepdims: bool = False, where: Any = True, **others: Any) -> Any:
    is_known = all(value is None or value is np._NoValue for value in others.values())
    if not is_known or not x.size or x.dtype not in REALS:
        return None
    mean = np.mean(x, axis=axis, keepdims=True, **({} if where is True else {"where": where}))
    freedom = float(x.size // mean.size - ddof)
    if where is not True:
        freedom = np.maximum(_count(where, x, axis, keepdims) - float(ddof), 0.0)
    elif freedom <= 0:
        return None
    deviation = _where(where, x - mean, 0)
    return np.sum(deviation * deviation, axis=axis, keepdims=keepdims) / freedom


def _std(x: Any, **params: Any) -> Any:
    variance = _var(x, **params)
    return None if variance is None else np.sqrt(variance)


def _norm(x: Any, ord: Any = None, axes: Any = None, keepdims: bool = False) -> Any:
    is_of_vectors = isinstance(axes, int) or (axes is None and x.ndim == 1)
    if ord in norms.FROBENIUS or (ord == 2 and is_of_vectors):
        return np.sqrt(np.sum(x * x, axis=axes, keepdims=keepdims))
    if is_of_vectors and ord == 1:
        return np.sum(np.absolute(x), axis=axes, keepdims=keepdims)
    if is_of_vectors and x.size and ord in (np.inf, -np.inf):
        return (np.max if ord > 0 else np.min)(np.absolute(x), axis=axes, keepdims=keepdims)
    return None


# Entry by entry


def _clip(x: Any, low: Any, high: Any) -> Any:
    dtype = np.result_type(*[getattr(part, "dtype", part) for part in (x, low, high) if part is not None])
    x = x if x.dtype == dtype else np.astype(x, dtype)  # which a bound may need to have its value
    if low is not None:
        x = np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def _round(x: Any, decimals: int = 0) -> Any:
    if decimals == 0:
        return np.rint(x)
    if abs(decimals) > 22:  # NumPy's power of ten is another number
        return None
    scale = 10.0 ** abs(decimals)
    return np.rint(x * scale) / scale if decimals > 0 else np.rint(x / scale) * scale


def _nan_to_num(x: Any, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    limits = np.finfo(x.dtype)
    above, below = (limits.max if posinf is None else posinf), (limits.min if neginf is None else neginf)
    return np.where(np.isnan(x), nan, np.where(x == np.inf, above, np.where(x == -np.inf, below, x)))


def _expand_dims(x: Any, axis: Any) -> Any:
    return None if x.ndim else np.reshape(x, np.expand_dims(np.zeros(()), axis).shape)


def _running(op: Op) -> Expansion:
    """Without an axis, NumPy runs on from row to row."""

    def run(x: Any, axis: Any = None, dtype: Any = None) -> Any:
        return op(np.ravel(x), axis=0) if axis is None and dtype is None and x.ndim > 1 else None

    return run


def _prod(x: Any, axis: Any = None, keepdims: bool = False, where: Any = True, **others: Any) -> Any:
    """The last of the products that run on."""
    if others or not x.size or not x.ndim or not (axis is None or isinstance(axis, int)) or x.dtype not in REALS:
        return None
    x = _where(where, x, 1)
    last = np.cumprod(np.ravel(x) if axis is None else np.moveaxis(x, axis, -1), axis=-1)[..., -1]
    return np.reshape(last, np.prod(x._value, axis=axis, keepdims=True).shape) if keepdims else last


def _sinc(x: Any) -> Any:
    y = np.pi * x
    y = np.where(y == 0, float(np.finfo(x.dtype).eps), y)
    return np.sin(y) / y


def _concatenate(*arrays: Any, axis: Any = 0) -> Any:
    return joining.concatenate(*map(np.ravel, arrays), axis=0) if axis is None else None


def _exp_of_square(x: Any, factor: float) -> Any:
    return elementwise.exp_of_square.forward(x, factor=factor)


def _normal_cdf(x: Any) -> Any:
    return normal.by_polynomial(x, normal.normal_density(x))


_EXPANSIONS: dict[Op, Expansion] = {
    contraction.einsum: _einsum,
    contraction.tensordot: _tensordot,
    products.dot: _dot,
    products.inner: _inner,
    products.vdot: _vdot,
    curves.convolve: _convolve,
    linalg.multi_dot: _multi_dot,
    linalg.matrix_power: _matrix_power,
    least_squares.pinv: _pinv,
    arranging.trace: _trace,
    running.cumsum: _running(running.cumsum),
    running.cumprod: _running(running.cumprod),
    shaping.expand_dims: _expand_dims,
    reductions.sum: _of_some(np.sum, np.add, 0),
    extrema.max: _of_some(np.max, np.maximum, -np.inf),
    extrema.min: _of_some(np.min, np.minimum, np.inf),
    reductions.mean: _mean_of_some,
    variances.var: _var,
    variances.std: _std,
    norms.norm: _norm,
    elementwise.clip: _clip,
    elementwise.round: _round,
    elementwise.nan_to_num: _nan_to_num,
    elementwise.exp_of_square: _exp_of_square,
    elementwise.sinc: _sinc,
    reductions.prod: _prod,
    joining.concatenate: _concatenate,
    normal.normal_cdf: _normal_cdf,
    **counting.EXPANSIONS,
}
_OF_ALL_TYPES = frozenset(
    {
        elementwise.clip,
        ordering.argsort,
        selection.any,
        selection.all,
        selection.count_nonzero,
        *(reductions.sum, reductions.mean, extrema.max, extrema.min),
        *(reductions.prod, variances.var, variances.std),
    }
)
