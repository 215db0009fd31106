"""Complex numbers as pairs of real ones: two real arrays take the place of each complex one.

Native code computes with real numbers, and fuses what it computes with them into one loop. An operation without a rule
here, such as a Fourier transform or an inverse, works on complex arrays, which are joined for it and split afterwards.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from tinygrad_lite.compiler.native.emission import TYPES
from tinygrad_lite.compiler.native.expansions import Record, StandIn, stand_in_array
from tinygrad_lite.compiler.native.scalars import of_parts
from tinygrad_lite.compiler.passes.dead_code import without_dead_code
from tinygrad_lite.compiler.program import Instruction, Program, Variable, is_python_number, item
from tinygrad_lite.engine.op import NO_PARAMS, Op
from tinygrad_lite.engine.tensor import positive
from tinygrad_lite.ops import casting
from tinygrad_lite.ops.arithmetic import curves, elementwise, reductions, running, selection
from tinygrad_lite.ops.linear import contraction, fourier, products
from tinygrad_lite.ops.shapes import arranging, indexing, joining, shaping

Part = Any
"""A stand-in for an array, or a number."""
Pair = tuple[Part, Part]
"""The real and the imaginary part of a value; the imaginary part of a real value is the number 0."""


def with_pairs(program: Program, largest_transform: int = 0) -> Program:
    """The program with two real arrays in place of each complex one, wherever a rule says how to compute with these.

    Args:
        largest_transform: a Fourier transform whose matrix has up to this many entries is a product with it. NumPy's
            own takes less time, but no file has it.
    """
    if not any(map(_is_of_complex, program.calls)):
        return program
    return _Rewriting(program, largest_transform).program()


_KNOWN = (np.dtype(np.complex128), np.dtype(np.complex64))


def _is_complex(x: Any) -> bool:
    return isinstance(x, Variable) and x.dtype in _KNOWN


def _is_of_complex(call: Instruction) -> bool:
    return call.op in TRANSFORMS or any(map(_is_complex, (*call.reads, call.result)))


class _Rewriting:
    """A program on the way to another one.

    Args:
        program: the former.
        largest_transform: see `with_pairs`.
    """

    def __init__(self, program: Program, largest_transform: int) -> None:
        self._former = program
        self._largest_transform = largest_transform
        self._calls: list[Instruction] = []
        self._record = Record(dict(program.constants))
        self._parts: dict[Variable, Pair] = {}
        self._in_memory = {*program.inputs, *program.constants}
        self._same: dict[Variable, Variable] = {}

    def program(self) -> Program:
        for call in self._former.calls:
            if not _is_of_complex(call):
                self._calls.append(call.with_variables(self._same))
            elif not self._computes(call):
                call = self._of_complex(call)
                self._put_together(call.reads)
                self._calls.append(call.with_variables(self._same))
                self._in_memory.add(call.result)
        self._put_together(self._former.ends)
        made = replace(self._former.with_calls(self._calls, self._same), constants=self._record.constants)
        return replace(without_dead_code(made), inputs=made.inputs)  # of some results, only one part is read

    def _of_complex(self, call: Instruction) -> Instruction:
        """A transform of a real array as a complex one, which is how NumPy computes it."""
        if call.op not in (fourier.fft, fourier.ifft) or call.inputs[0].dtype != np.float64:
            return call
        re, im = self._parts_of(call.inputs[0])
        x = Variable(re.shape, call.result.dtype)
        self._parts[x] = re, _as_array(im, (re, im), re)
        return replace(call, inputs=(x,))

    def _put_together(self, values: Sequence[Variable]) -> None:
        """Make the complex arrays that exist only as parts."""
        for x in values:
            if x in self._parts and x not in self._in_memory:
                parts = tuple(part.variable for part in self._parts[x])
                self._calls.append(Instruction(of_parts, parts, NO_PARAMS, x))
                self._in_memory.add(x)

    def _computes(self, call: Instruction) -> bool:
        """Write a call with the parts of its complex arrays, if there is a rule for it."""
        rule = RULES.get(call.op) or self._product_for(call)
        if rule is None or call.has_computed_params or call.result.is_number or not all(map(_is_plain, call.inputs)):
            return False
        self._record.calls = []
        wanted = _part(call.result.dtype)
        made = rule(*[_widened(self._parts_of(x), wanted) for x in call.inputs], **call.params)
        if made is None:
            return False
        parts = [self._of_form(part, call.result.shape, wanted) for part in (made if type(made) is tuple else (made,))]
        if any(part is None for part in parts):
            return False
        self._add_recorded(call)
        if _is_complex(call.result):
            self._parts[call.result] = parts[0], parts[1]
        else:
            self._same[call.result] = parts[0].variable
        return True

    def _product_for(self, call: Instruction) -> Callable[..., Any] | None:
        """The rule for a Fourier transform whose matrix is small enough."""
        if call.op not in TRANSFORMS or call.result.is_number:
            return None
        axis = call.params.get("axis", -1)
        is_small = 0 < call.inputs[0].shape[axis] * call.result.shape[axis] <= self._largest_transform
        return _transformed(call.op) if is_small else None

    def _add_recorded(self, call: Instruction) -> None:
        """Add the operations that were recorded in place of a call."""
        self._calls += [
            replace(instruction, section=call.section, source=call.source, ignoring=call.ignoring)
            for instruction in self._record.calls
        ]

    def _parts_of(self, x: Any) -> Pair:
        if not isinstance(x, Variable):
            return float(x.real), float(x.imag)
        if not _is_complex(x):
            x = self._same.get(x, x)
            return self._record.of(stand_in_array(x), x), 0.0
        if x not in self._parts:
            array = self._former.constants.get(x)
            self._parts[x] = self._taken_apart(x) if array is None else self._constants(array)
        return self._parts[x]

    def _constants(self, array: Any) -> Pair:
        re, im = (self._record.constant(np.array(part)) for part in (array.real, array.imag))
        return re, im

    def _taken_apart(self, x: Variable) -> Pair:
        """The parts of an array in memory, where other calls may read them, too."""
        dtype = _part(x.dtype)
        parts = []
        for op in (casting.real, casting.imag):
            part = Variable(x.shape, dtype, name=op.name, order=x.order)
            self._calls.append(Instruction(op, (x,), NO_PARAMS, part))
            parts.append(self._record.of(stand_in_array(part), part))
        return parts[0], parts[1]

    def _of_form(self, part: Part, shape: tuple[int, ...], dtype: Any) -> Any:
        """A part that is an array of this form; None if it is one of another dtype."""
        if not _is_array(part):
            return self._record.constant(np.full(shape, part, dtype))
        if part.dtype != dtype:
            return None
        return part if part.shape == shape else np.broadcast_to(part, shape)  # the other part met a larger array


def _part(dtype: Any) -> Any:
    """The dtype of the parts of complex numbers; that of real ones as it is."""
    return np.empty(0, dtype).real.dtype


def _widened(z: Pair, dtype: Any) -> Pair:
    """The parts in the dtype of the result, as NumPy computes; those that are wider than it stay as they are."""

    def is_narrow(part: Part) -> bool:
        return _is_array(part) and part.dtype.kind in "iuf" and np.promote_types(part.dtype, dtype) != part.dtype

    re, im = (np.astype(part, dtype) if is_narrow(part) else part for part in z)
    return re, im


def _is_array(x: Part) -> bool:
    """Whether a part is an array, and not a number that is the same in each run."""
    return isinstance(x, StandIn)


def _is_plain(x: Any) -> bool:
    """Whether an input is an array with which native code computes, or a number of double precision."""
    if not isinstance(x, Variable):
        return is_python_number(x)
    return x.dtype == np.float64 if x.is_number else x.dtype in TYPES or x.dtype in _KNOWN


# Entry by entry, with NumPy's formulas


def _add(a: Pair, b: Pair) -> Pair:
    return a[0] + b[0], a[1] + b[1]


def _subtract(a: Pair, b: Pair) -> Pair:
    return a[0] - b[0], a[1] - b[1]


def _multiply(a: Pair, b: Pair) -> Pair:
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def _divide(a: Pair, b: Pair) -> Pair | None:
    """Smith's method, which overflows only where the result does."""
    (p, q), (c, d) = a, b
    if _is_number(b, 0):
        return None  # NumPy knows what that is
    is_steep = np.absolute(c) < np.absolute(d)
    larger, smaller = _chosen(is_steep, d, c), _chosen(is_steep, c, d)
    is_zero = _equal(np.absolute(c) + np.absolute(d), 0)
    ratio = smaller / _chosen(is_zero, 1.0, larger)
    scale = _chosen(is_zero, np.inf, 1.0 / _chosen(is_zero, 1.0, larger + smaller * ratio))
    re = _chosen(is_zero, p, _chosen(is_steep, p * ratio + q, p + q * ratio))
    im = _chosen(is_zero, q, _chosen(is_steep, q * ratio - p, q - p * ratio))
    return re * scale, im * scale


def _reciprocal(z: Pair) -> Pair:
    re, im = z
    is_steep = np.less(np.absolute(re), np.absolute(im))
    larger, smaller = _chosen(is_steep, im, re), _chosen(is_steep, re, im)
    ratio = smaller / larger
    size = larger + smaller * ratio
    return np.where(is_steep, ratio, 1.0) / size, -np.where(is_steep, 1.0, ratio) / size


def _chosen(condition: Any, a: Part, b: Part) -> Part:
    if _is_array(condition):
        return np.where(condition, a, b)
    return a if condition else b


def _equal(x: Part, number: float) -> Any:
    return np.equal(x, number) if _is_array(x) else x == number


def _is_number(z: Pair, number: float) -> bool:
    """Whether a value is this number in each run."""
    return not any(_is_array(part) for part in z) and complex(*z) == number


def _negative(z: Pair) -> Pair:
    return -z[0], -z[1]


def _conjugate(z: Pair) -> Pair:
    return z[0], -z[1]


def _square(z: Pair) -> Pair:
    return _multiply(z, z)


def _power(z: Pair, n: Pair) -> Pair | None:
    """NumPy, too, multiplies for small powers."""
    return _square(z) if _is_number(n, 2) else None


def _absolute(z: Pair) -> Part:
    return np.hypot(z[0], z[1])


def _angle(z: Pair) -> Part:
    return np.arctan2(z[1], z[0])


def _exp(z: Pair) -> Pair:
    re, im = z
    size = np.exp(re)
    is_undirected = np.logical_and(np.isinf(re), np.logical_not(np.isfinite(im)))
    sine = np.where(np.equal(im, 0), im, size * np.sin(im))  # whatever the size
    return np.where(is_undirected, size, size * np.cos(im)), np.where(is_undirected, size * 0.0, sine)


def _log(z: Pair) -> Pair:
    """Near |z| = 1, where the logarithm is small, from |z|² - 1."""
    a, b = np.absolute(z[0]), np.absolute(z[1])
    larger, smaller = np.maximum(a, b), np.minimum(a, b)
    size = np.hypot(a, b)
    is_near = np.less(np.absolute(size - 1.0), 0.5)
    beyond = np.where(is_near, (larger - 1.0) * (larger + 1.0) + smaller * smaller, 0.0)
    return np.where(is_near, 0.5 * np.log1p(beyond), np.log(size)), _angle(z)


def _sqrt(z: Pair) -> Pair:
    re, im = z
    a, b = np.absolute(re), np.absolute(im)
    is_tiny = np.maximum(a, b) < 1e-30  # half of it might have lost digits
    a, b = (np.where(is_tiny, 2.0**60 * x, x) for x in (a, b))
    larger = np.sqrt(0.5 * a + 0.5 * np.hypot(a, b))
    is_zero = np.equal(larger, 0)
    smaller = np.where(is_zero, b, b / np.where(is_zero, 1.0, 2.0 * larger))
    larger, smaller = (np.where(is_tiny, 0.5**30 * x, x) for x in (larger, smaller))
    larger, smaller = (np.where(np.isinf(im), np.inf, x) for x in (larger, smaller))
    is_right = np.greater_equal(re, 0)
    return np.where(is_right, larger, np.absolute(smaller)), np.copysign(np.where(is_right, smaller, larger), im)


def _where(condition: Pair, a: Pair, b: Pair) -> Pair | None:
    if not _is_array(condition[0]) or condition[0].dtype != bool:
        return None
    return np.where(condition[0], a[0], b[0]), np.where(condition[0], a[1], b[1])


def _cast(z: Pair, dtype: Any) -> Pair | None:
    dtype = np.dtype(dtype)
    if dtype.kind != "c":
        return None
    part = _part(dtype)
    re, im = (np.astype(x, part) if _is_array(x) else x for x in z)
    return re, im


# Arrays as a whole


def _part_by_part(op: Op, *known: str) -> Callable[..., Pair | None]:
    """An operation that moves entries, or adds them up; only these parameters leave it such an operation."""

    def write(*arrays: Pair, **params: Any) -> Pair | None:
        if known and not params.keys() <= {*known}:
            return None
        like = next(part for array in arrays for part in array if _is_array(part))
        parts = [[_as_array(x, array, like) for x in array] for array in arrays]
        return op(*(re for re, _ in parts), **params), op(*(im for _, im in parts), **params)

    return write


def _as_array(part: Part, array: Pair, like: StandIn) -> Part:
    """A part as an array, of the shape of the other part."""
    if _is_array(part):
        return part
    shape = next((other.shape for other in array if _is_array(other)), ())
    return like.constant(np.full(shape, part, np.result_type(like.dtype, np.float32)))


def _product(op: Op) -> Callable[..., Pair | None]:
    """A sum of products of two arrays."""

    def write(*arrays: Pair, **params: Any) -> Pair | None:
        if len(arrays) == 1:
            return _part_by_part(op)(*arrays, **params)
        if len(arrays) > 2:
            return None

        def product(x: Part, y: Part) -> Part:
            return op(x, y, **params) if _is_array(x) and _is_array(y) else 0.0

        (a, b), (c, d) = arrays
        return product(a, c) - product(b, d), product(a, d) + product(b, c)

    return write


def _vdot(a: Pair, b: Pair) -> Pair | None:
    return _product(products.vdot)(_conjugate(a), b)


def _transformed(op: Op) -> Callable[..., Pair | Part]:
    """A Fourier transform as a product with its matrix, whose rows are the transforms of the unit vectors."""

    def write(z: Pair, axis: int = -1, **params: Any) -> Pair | Part:
        parts = [(part, unit) for part, unit in zip(z, (1.0, 1j)) if _is_array(part)]
        moved = [np.swapaxes(part, axis, -1) for part, _ in parts]
        made = [op.forward(unit * np.eye(part.shape[axis]), axis=-1, **params) for part, unit in parts]

        def result(take: Callable[[Any], Any]) -> Part:
            terms = [x @ x.constant(take(matrix).astype(x.dtype)) for x, matrix in zip(moved, made)]
            return np.swapaxes(reduce(np.add, terms), axis, -1)

        return result(np.real) if op is fourier.irfft else (result(np.real), result(np.imag))

    return write


TRANSFORMS = fourier.fft, fourier.ifft, fourier.rfft, fourier.irfft

RULES: dict[Op, Callable[..., Pair | Part | None]] = {
    elementwise.add: _add,
    elementwise.subtract: _subtract,
    elementwise.multiply: _multiply,
    elementwise.divide: _divide,
    elementwise.negative: _negative,
    elementwise.reciprocal: _reciprocal,
    elementwise.square: _square,
    elementwise.power: _power,
    elementwise.absolute: _absolute,
    elementwise.angle: _angle,
    elementwise.sqrt: _sqrt,
    elementwise.exp: _exp,
    elementwise.log: _log,
    casting.real: lambda z: z[0],
    casting.imag: lambda z: z[1],
    casting.conjugate: _conjugate,
    casting.cast: _cast,
    positive: lambda z: z,
    item: lambda z: z,
    selection.stop_gradient: lambda z: z,
    selection.where_else: _where,
    reductions.sum: _part_by_part(reductions.sum, "axis", "keepdims"),
    reductions.mean: _part_by_part(reductions.mean, "axis", "keepdims"),
    running.cumsum: _part_by_part(running.cumsum, "axis"),
    arranging.trace: _part_by_part(arranging.trace, "offset", "axis1", "axis2"),
    contraction.einsum: _product(contraction.einsum),
    contraction.tensordot: _product(contraction.tensordot),
    products.matmul: _product(products.matmul),
    products.dot: _product(products.dot),
    products.inner: _product(products.inner),
    products.outer: _product(products.outer),
    curves.convolve: _product(curves.convolve),
    products.vdot: _vdot,
    **{
        op: _part_by_part(op)
        for op in (
            shaping.reshape,
            shaping.ravel,
            shaping.expand_dims,
            shaping.squeeze,
            shaping.transpose,
            shaping.swapaxes,
            shaping.broadcast_to,
            arranging.roll,
            arranging.tril,
            arranging.triu,
            indexing.getitem,
            indexing.scatter,
            indexing.index_set,
            indexing.index_add,
            joining.concatenate,
            joining.stack,
        )
    },
}
"""How an operation computes with parts; a rule returns None where it does not apply."""
