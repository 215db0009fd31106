"""Lowering: operations of a segment as loops, products of matrices, and calls of NumPy's own loops."""

import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any, Protocol

import numpy as np

from tinygrad_lite.compiler.native import fourier, functions, indices, matrices, scalars, systems, ufuncs
from tinygrad_lite.compiler.native.emission import REALS, STORED, TYPES, Emitter, Entry, can_cast, loops
from tinygrad_lite.compiler.native.expansions import can_put, onto
from tinygrad_lite.compiler.native.loops import (
    Access,
    Dimension,
    Loop,
    Statement,
    Whole,
    earliest,
    is_one_loop,
    place,
    statements,
)
from tinygrad_lite.compiler.native.memory import Layout, contiguous, is_dense, part, positions
from tinygrad_lite.compiler.native.scalars import Form, same
from tinygrad_lite.compiler.program import Instruction, Variable, axes_in_memory
from tinygrad_lite.engine.op import NO_PARAMS, Array
from tinygrad_lite.engine.tensor import positive
from tinygrad_lite.foundation.sums import axes_of
from tinygrad_lite.ops.arithmetic import extrema, reductions, running
from tinygrad_lite.ops.linear import linalg
from tinygrad_lite.ops.linear import products as linear
from tinygrad_lite.ops.requirements import refuse_where
from tinygrad_lite.ops.shapes import indexing, joining, shaping

_REFUSALS = Variable((), np.dtype(bool), name="refusals")  # work that may end a segment writes it, as if in memory
NARROW = 64  # entries in a row that is short
DOUBLE = np.dtype(float)
SHORT, LONG = 7, 16  # entries along an axis: too few for vector instructions, and enough


class Target(Protocol):
    """A kind of code that operations are lowered to.

    Attributes:
        calls_numpy: whether it can call NumPy's own loops, and leave errors to NumPy.
    """

    calls_numpy: bool

    def form(self, call: Instruction) -> Form | None:
        """How one entry of an operation's result is computed; None if it is not known."""


def is_native(call: Instruction, target: Target) -> bool:
    """Whether an operation can be lowered, so that no NumPy call is needed."""
    for x in (*call.reads, call.result):
        if x.dtype.kind == "O" or not x.dtype.isnative:
            return False
    how = _way(call, target)
    if how is not None:
        return how[0](call)
    return target.form(call) is not None or (target.calls_numpy and _numpys_loop(call) is not None)


def result_order(call: Instruction, layouts: Mapping[Variable, Layout], transposed: bool) -> tuple[int, ...] | None:
    """The axes of a result from the slowest to the fastest in memory; None for C order."""
    ndim = len(call.result.shape)
    if call.op is linear.matmul:
        return (*range(ndim - 2), ndim - 1, ndim - 2) if transposed and ndim >= 2 else None
    if call.op in _REDUCTIONS and isinstance(call.inputs[0], Variable):
        return _order_of_rest(call, axes_in_memory(layouts[call.inputs[0]].strides))
    if call.op in _WAYS:
        return None
    likes = (x for x in call.inputs if isinstance(x, Variable) and x.shape == call.result.shape)
    return next((axes_in_memory(layouts[x].strides) for x in likes), None) or _vectorised(call.result.shape)


def _order_of_rest(call: Instruction, order: Sequence[int]) -> tuple[int, ...] | None:
    """The order of the axes that a reduction leaves, as they lie in its input; axes of one entry come first."""
    lost, ndim = _lost_axes(call), len(order)
    rest = [axis for axis in order if axis not in lost]
    if rest == sorted(rest) or not call.params.keys() <= {"axis", "keepdims"}:
        return None
    if call.params.get("keepdims"):
        return (*sorted(lost), *rest)
    remaining = [axis for axis in range(ndim) if axis not in lost]
    return tuple([remaining.index(axis) for axis in rest])


def _vectorised(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """An order of axes with a long one last, if the last one is too short for vector instructions; else None."""
    if len(shape) < 2 or shape[-1] > SHORT or max(shape) < LONG:
        return None
    long = max(axis for axis, size in enumerate(shape) if size >= LONG)
    return (*(axis for axis in range(len(shape)) if axis != long), long)


class Lowering:
    """The work of some operations.

    Attributes:
        body: loops, statements and work on whole arrays, in order.
        made: the variables that the work adds to those of the program.
        tables: arrays of numbers that the work reads.

    Args:
        layouts: the layout of each variable of the program.
        starts: the entry of each block from which the work counts the entries, so that it serves for others, too.
        target: the kind of code.
        kept: the blocks that the program leaves behind; work that may end the segment comes before it writes to these.
    """

    def __init__(
        self,
        calls: Sequence[Instruction],
        layouts: Mapping[Variable, Layout],
        starts: Mapping[Variable, int],
        target: Target,
        kept: Collection[Variable] = (),
    ) -> None:
        self.body: list[Any] = []
        self.made: dict[Variable, Layout] = {}
        self.tables: dict[Variable, Array] = {}
        self._layouts = layouts
        self._starts = starts
        self._calls_numpy = target.calls_numpy
        self._kept = [Access(x, -starts[x], {Dimension(x.size): 1}) for x in kept]
        for position, call in enumerate(calls):
            self._number = position + 1
            how = _way(call, target)
            if how is not None:
                how[1](self, call)
            elif (form := target.form(call)) is not None:
                self._elementwise(call.result, form, call.inputs)
            else:
                self._loop_of_numpys(call)

    def _layout(self, x: Variable) -> Layout:
        if x in self.made:
            return self.made[x]
        layout = self._layouts[x]
        return replace(layout, offset=layout.offset - self._starts[layout.root])

    def _new(self, shape: tuple[int, ...], dtype: Any, order: Any = None) -> Variable:
        x = Variable(shape, np.dtype(dtype))
        self.made[x] = Layout(x, 0, contiguous(shape, order))
        return x

    def _access(self, x: Variable, dimensions: Sequence[Dimension | None]) -> Access:
        """The access to the entry at the turns of the loops, with the last axes along the last dimensions.

        Further axes in front, as in what is put at an index, have one entry.
        """
        layout = self._layout(x)
        strides: dict[Dimension, int] = {}
        for size, stride, dimension in zip(reversed(x.shape), reversed(layout.strides), reversed(dimensions)):
            if size != 1 and dimension is not None and stride:
                strides[dimension] = strides.get(dimension, 0) + stride
        return Access(layout.root, layout.offset, strides)

    def _operand(self, x: Any, dimensions: Sequence[Dimension | None]) -> Any:
        return self._access(x, dimensions) if isinstance(x, Variable) else x

    def _elementwise(self, result: Variable, form: Form, inputs: Sequence[Any]) -> None:
        if not result.size:
            return
        axes = [Dimension(size) if size != 1 else None for size in result.shape]
        statement = Statement(self._access(result, axes), [self._operand(x, axes) for x in inputs], form)
        dimensions = [axes[axis] for axis in axes_in_memory(self._layout(result).strides)]
        place(self.body, [dimension for dimension in dimensions if dimension], statement, None)

    def _copy(self, to: Variable, x: Any) -> None:
        self._elementwise(to, same(to.dtype), [x])

    def _copied(self, x: Variable, dtype: Any) -> Variable:
        """A copy of an array without gaps."""
        copy = self._new(x.shape, dtype)
        self._copy(copy, x)
        return copy

    def whole(self, call: Instruction, write: Callable[..., None]) -> None:
        """Work on the arrays of an operation as a whole; if it computes an index, it may end the segment for NumPy."""
        work = partial(write, layouts={x: self._layout(x) for x in (*call.reads, call.result)})
        if self._calls_numpy and call.has_computed_params:
            self._add_refusing(call.reads, [call.result], work)
        else:
            self._add(call.reads, call.result, work)

    def table(self, array: Array) -> Variable:
        """An array of numbers that the work reads."""
        table = Variable(array.shape, array.dtype)
        self.tables[table] = np.ascontiguousarray(array)
        return table

    def _whole(self, x: Variable) -> Access:
        return self._access(x, [Dimension(size) for size in x.shape])

    def _add_refusing(self, reads: Sequence[Variable], results: Sequence[Variable], write: Any) -> None:
        """Work that may end the segment: it stays in the order of the program, and then nothing must have changed."""
        writes = [*map(self._whole, results), Access(_REFUSALS, 0, {})]
        item = Whole([*map(self._whole, reads), *self._kept], writes, partial(write, number=self._number))
        self.body.insert(earliest(self.body, item), item)

    def _add(self, reads: Sequence[Variable], result: Variable, write: Any) -> None:
        item = Whole([self._whole(x) for x in reads], [self._whole(result)], write)
        self.body.insert(earliest(self.body, item), item)

    # Sums and the like

    def _mean(self, call: Instruction) -> None:
        count = call.inputs[0].size // max(call.result.size, 1)
        self._reduce(call, _added, 0, lambda x: x / float(count))

    def _reduce(
        self, call: Instruction, write: Callable[..., Entry], start: float, end: Callable[[Entry], Entry] = lambda x: x
    ) -> None:
        (x,) = call.inputs
        lost, keep = _lost_axes(call), call.params.get("keepdims", False)
        axes = [Dimension(size) if size != 1 else None for size in x.shape]
        result = [None if i in lost else axes[i] for i in range(len(axes)) if keep or i not in lost]
        adds = write is _added and call.result.dtype.kind == "f"
        kind = np.dtype(float) if adds else call.result.dtype  # a sum of float32 keeps its digits
        total = self._new(call.result.shape, kind)
        if not call.result.size:
            return
        name = f"{call.op.name} of {x.size // call.result.size}"
        form = Form(call.op.name, write, (kind, kind))
        order = [axes[i] for i in axes_in_memory(self._layout(x).strides)]
        dimensions = [dimension for dimension in order if dimension]
        if not x.size:
            place(self.body, [dimension for dimension in result if dimension], self._begun(total, result, start), None)
        elif call.result.size == 1 and len(dimensions) > 1 and dimensions[-1].extent <= NARROW and not self._is_flat(x):
            # to add up each short row would take longer than to compute it, so the rows are added to each other
            columns = self._new((dimensions[-1].extent,), kind)
            self._accumulate(columns, dimensions[-1:], self._access(x, axes), dimensions, form, start)
            along = [Dimension(dimensions[-1].extent)]
            self._accumulate(total, result, self._access(columns, along), along, form, start)
        else:
            self._accumulate(total, result, self._access(x, axes), dimensions, form, start)
        self._elementwise(call.result, Form(name, end, (kind,)), [total])

    def _begun(self, total: Variable, axes: Sequence[Dimension | None], start: float) -> Statement:
        return Statement(self._access(total, axes), [start], same(total.dtype))

    def _accumulate(
        self,
        total: Variable,
        axes: Sequence[Dimension | None],
        x: Access,
        dimensions: Sequence[Dimension],
        form: Form,
        start: float,
    ) -> None:
        target = self._access(total, axes)
        statement = Statement(target, [x, target], form, accumulates=True)
        place(self.body, dimensions, statement, self._begun(total, axes, start))

    def _run_on(self, call: Instruction) -> None:
        """Sums or products of all entries so far along an axis."""
        (x,), result = call.inputs, call.result
        if result.size:
            axis = call.params.get("axis", 0) % len(x.shape)
            combine = operator.add if call.op is running.cumsum else operator.mul
            arrays = self._layout(x), self._layout(result)
            self._add([x], result, partial(_run_along, arrays=arrays, shape=x.shape, axis=axis, combine=combine))

    def _is_flat(self, x: Variable) -> bool:
        """Whether the loops that make an array will be a single one, so far as they are known."""
        root = self._layout(x).root
        made = next((item for item in reversed(self.body) if any(root is y.root for y in _written(item))), None)
        while isinstance(made, Loop) and any(isinstance(part, Loop) for part in made.body):
            if not is_one_loop(made):
                return False
            made = made.body[0]
        return True

    # Products

    def _matmul(self, call: Instruction) -> None:
        layouts = [self._layout(x) for x in (*call.inputs, call.result)]
        batch, sizes, parts = matrices.as_batches(call, layouts)
        if not call.result.size:
            return
        if not sizes.k:
            self._copy(call.result, 0)
            return
        if sizes.k == 1 and len(call.inputs[0].shape) == len(call.inputs[1].shape) == 2 and sizes.dtype in REALS:
            self._elementwise(call.result, Form("multiply", lambda x, y: x * y, (sizes.dtype,) * 2), call.inputs)
            return
        if not self._calls_numpy or (matrices.is_small(sizes) and sizes.dtype in REALS):
            work = partial(matrices.by_registers, batch=batch, sizes=sizes, parts=parts)
            self._add(call.reads, call.result, work)
            return
        inputs = [x if matrices.suits_blas(self._layout(x), x.shape) else self._copied(x, x.dtype) for x in call.inputs]
        batch, sizes, parts = matrices.as_batches(call, [*map(self._layout, inputs), layouts[-1]])
        routine = ufuncs.loop(np.matmul, (sizes.dtype,) * 3)
        self._add(
            inputs, call.result, partial(matrices.by_blas, batch=batch, sizes=sizes, parts=parts, routine=routine)
        )

    # Systems, decompositions, and requirements

    def _system(self, call: Instruction) -> None:
        shapes, wanted = systems.results(call)
        inputs = [self._in_double(x) for x in call.inputs]
        made = [self._new(shape, DOUBLE) for shape in shapes]
        if wanted is not None and call.result.dtype == DOUBLE:
            made[wanted] = call.result
        arrays = [(self._layout(x), x.shape) for x in (*inputs, *made)]
        work = partial(systems.write, call=call, arrays=arrays, finite=call.op in systems.FINITE)
        self._add_refusing([*inputs, *call.inputs], made, work)
        if wanted is None:
            self._pack(call.result, made)
        elif made[wanted] is not call.result:
            self._copy(call.result, made[wanted])

    def _in_double(self, x: Variable) -> Variable:
        return x if x.dtype == DOUBLE else self._copied(x, DOUBLE)

    def _system_alone(self, call: Instruction) -> None:
        """A system or the like where there is no NumPy; the solution begins as the right-hand side."""
        matrix = self._in_double(call.inputs[0])
        result = call.result if call.result.dtype == DOUBLE else self._new(call.result.shape, DOUBLE)
        space = self._new(matrix.shape[-2:], DOUBLE)
        reads = [matrix]
        if call.op is linalg.solve:
            self._copy(result, call.inputs[1])
            reads.append(result)
        arrays = [(self._layout(x), x.shape) for x in (matrix, result)]
        work = partial(systems.write_alone, call=call, arrays=arrays, space=self._layout(space))
        item = Whole([*map(self._whole, reads)], [self._whole(result), self._whole(space)], work)
        self.body.insert(earliest(self.body, item), item)
        if result is not call.result:
            self._copy(call.result, result)

    def _pack(self, result: Variable, parts: Sequence[Variable]) -> None:
        """Arrays behind one another along the last axis, in which each is one row."""
        layout, start = self._layout(result), 0
        around = len(result.shape) - 1
        for x in parts:
            part = Variable(x.shape, result.dtype)
            strides = (*layout.strides[:around], *contiguous(x.shape[around:]))
            self.made[part] = Layout(layout.root, layout.offset + start, strides)
            self._copy(part, x)
            start += prod(x.shape[around:])

    def _refuse_where(self, call: Instruction) -> None:
        condition, x = call.inputs
        refuse = systems.refuse if self._calls_numpy else systems.refuse_alone
        work = partial(refuse, condition=self._layout(condition), shape=condition.shape)
        self._add_refusing([condition, x], [call.result], work if condition.size else lambda *_, **__: None)
        self._copy(call.result, x)

    # NumPy's own loops, and copies

    def _loop_of_numpys(self, call: Instruction) -> None:
        dtypes, routine = _numpys_loop(call)  # type: ignore[misc]
        result = call.result
        dense = is_dense(result.shape, self._layout(result).strides)
        order = axes_in_memory(self._layout(result).strides)
        own = result if dense and dtypes[-1] == result.dtype else self._new(result.shape, dtypes[-1], order)
        inputs = []
        for x, dtype in zip(call.inputs, dtypes):
            fits = isinstance(x, Variable) and x.dtype == dtype
            if fits and (
                x.size == 1 or (x.shape == own.shape and self._layout(x).strides == self._layout(own).strides)
            ):
                inputs.append(x)
                continue
            is_single = not isinstance(x, Variable) or x.size == 1
            copy = self._new((1,) if is_single else own.shape, dtype, None if is_single else order)
            self._copy(copy, x)
            inputs.append(copy)
        steps = [0 if x.size == 1 else x.dtype.itemsize for x in inputs] + [own.dtype.itemsize]
        accesses = [self._layout(x) for x in (*inputs, own)]
        if own.size:
            called = partial(_called, routine=routine, count=own.size, steps=steps, layouts=accesses)
            ours = steps[0] and own.size >= LONG and set(dtypes) == {np.dtype(float)}
            written = functions.WITHIN.get(call.op.forward) if ours else None
            self._add(inputs, own, partial(_within, written=written, called=called) if written else called)
        if own is not result:
            self._copy(result, own)

    def _reshape(self, call: Instruction) -> None:
        """A reshape that is not a view: a copy in the shape of the input."""
        (x,) = call.inputs
        target = Variable(x.shape, x.dtype)
        self.made[target] = replace(self._layout(call.result), strides=contiguous(x.shape))
        self._copy(target, x)

    def _joined(self, call: Instruction) -> None:
        """Arrays one after another along an axis: each is copied to its part."""
        stacked = call.op is joining.stack
        axis = call.params.get("axis", 0) % len(call.result.shape)
        layout, start = self._layout(call.result), 0
        for x in call.inputs:
            strides = layout.strides[:axis] + layout.strides[axis + 1 :] if stacked else layout.strides
            part = Variable(x.shape, call.result.dtype)
            self.made[part] = Layout(layout.root, layout.offset + start * layout.strides[axis], strides)
            self._copy(part, x)
            start += 1 if stacked else x.shape[axis]

    # Entries at an index

    def _getitem(self, call: Instruction) -> None:
        if call.has_computed_params or indices.has_rows(call.params["index"], call.inputs[0].shape):
            indices.get(self, call)
        else:
            self._at(call.inputs[0], call.params["index"], call.result, lambda x, y: x, into=False)

    def _scatter(self, call: Instruction) -> None:
        if call.has_computed_params:
            indices.put(self, call, 0, call.inputs, call.params["indices"], adds=True)
            return
        self._copy(call.result, 0)
        for position, (x, index) in enumerate(zip(call.inputs, call.params["indices"])):
            self._put(call, index, x, adds=position > 0 or not indexing.is_distinct(index))

    def _onto(self, call: Instruction) -> None:
        if call.has_computed_params:
            indices.put(self, call, None, call.inputs[1:], call.params["indices"], adds=True)
            return
        for x, index in zip(call.inputs[1:], call.params["indices"]):
            self._put(call, index, x, adds=call.params["adds"])

    def _updated(self, call: Instruction, adds: bool) -> None:
        x, values = call.inputs
        if call.has_computed_params:
            indices.put(self, call, x, [values], [call.params["index"]], adds)
            return
        self._copy(call.result, x)
        self._put(call, call.params["index"], values, adds)

    def _put(self, call: Instruction, index: Any, values: Any, adds: bool) -> None:
        """Put values at the entries of an index of the result, or add them to these, one after another."""
        target = call.result
        if indices.has_rows(index, target.shape):
            indices.put(self, call, None, [values], [index], adds)
            return
        dtype = target.dtype
        layout = part(index, target.shape, self._layout(target))
        if layout is None:
            chosen = positions(target.shape, self._layout(target).strides)[index]
            spread = self._new(chosen.shape, dtype)  # with the shape of the entries
            self._copy(spread, values)
            self._at(target, index, spread, (lambda x, y: x + y) if adds else (lambda x, y: y), into=True)
            return
        view = Variable(_shape_at(index, target.shape), dtype)
        self.made[view] = layout
        if adds:
            self._elementwise(view, Form("add", lambda x, y: x + y, (dtype, dtype)), [view, values])
        else:
            self._copy(view, values)

    def _at(self, x: Variable, index: Any, other: Variable, write: Any, into: bool) -> None:
        """Copy the entries of an index of `x`, an index of arrays, to another array, or from there into `x`."""
        layout = self._layout(x)
        offsets = positions(x.shape, layout.strides)[index]
        if not offsets.size:
            return
        table = self.table(offsets)
        work = partial(
            _indexed, table=table, at=layout, other=self._layout(other), count=offsets.size, write=write, into=into
        )
        reads, result = ([other, x], x) if into else ([x], other)
        self._add(reads, result, work)


def _run_along(
    emitter: Emitter, writer: Any, *, arrays: Sequence[Layout], shape: Sequence[int], axis: int, combine: Any
) -> None:
    of, to = arrays

    def there(layout: Layout, turns: Sequence[str], ahead: int = 0) -> tuple[str, str]:
        place = emitter.position(layout.offset + ahead * layout.strides[axis], zip(turns, layout.strides))
        return emitter.address(layout.root.dtype, writer.base(layout.root), place), writer.note(layout.root)

    def read(turns: Sequence[str], ahead: int = 0) -> Entry:
        return emitter.load(of.root.dtype, *there(of, turns, ahead)).cast(to.root.dtype)

    with loops(emitter, [1 if i == axis else size for i, size in enumerate(shape)]) as turns:
        emitter.store(read(turns), *there(to, turns))
    if shape[axis] > 1:
        with loops(emitter, [size - (i == axis) for i, size in enumerate(shape)]) as turns:
            before = emitter.load(to.root.dtype, *there(to, turns))
            emitter.store(combine(before, read(turns, 1)), *there(to, turns, 1))


def _shape_at(index: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    entries: Array = np.broadcast_to(np.int8(0), shape)[index]
    return entries.shape  # type: ignore[no-any-return]


def _indexed(
    emitter: Emitter, writer: Any, *, table: Variable, at: Layout, other: Layout, count: int, write: Any, into: bool
) -> None:
    with emitter.loop(count) as i:
        entry = emitter.address(table.dtype, writer.base(table), i)
        place = emitter.position(at.offset, [(emitter.load(table.dtype, entry).text, 1)])
        x = emitter.address(at.root.dtype, writer.base(at.root), place), writer.note(at.root)
        there = emitter.position(other.offset, [(i, 1)])
        y = emitter.address(other.root.dtype, writer.base(other.root), there), writer.note(other.root)
        if into:
            made = write(emitter.load(at.root.dtype, *x), emitter.load(other.root.dtype, *y))
            emitter.store(made, *x)
        else:
            emitter.store(emitter.load(at.root.dtype, *x), *y)


def _reads_known(call: Instruction) -> bool:
    if call.has_computed_params and not indices.are_known(call, call.inputs[0].shape):
        return False
    return call.result.dtype in STORED


def _puts_known(call: Instruction) -> bool:
    if call.has_computed_params and not indices.are_known(call, call.result.shape):
        return False
    return can_put(call.inputs, call.result)


def _written(item: Any) -> list[Access]:
    return [x for part in statements(item) for x in part.writes]


def _added(x: Entry, total: Entry) -> Entry:
    return total.plus(x)


def _larger(x: Entry, largest: Entry) -> Entry:
    return largest.intrinsic("maximum", x)


def _smaller(x: Entry, smallest: Entry) -> Entry:
    return smallest.intrinsic("minimum", x)


def _lost_axes(call: Instruction) -> set[int]:
    return set(axes_of(call.params.get("axis"), len(call.inputs[0].shape)))


def _adds(call: Instruction) -> bool:
    (x,) = call.inputs if len(call.inputs) == 1 else (None,)
    plain = isinstance(x, Variable) and not set(call.params) - {"axis", "keepdims"}
    return plain and x.dtype in TYPES and call.result.dtype in TYPES and call.result.dtype.kind != "b"  # type: ignore[union-attr]


def _runs_on(call: Instruction) -> bool:
    axis = call.params.get("axis", 0 if len(call.inputs[0].shape) == 1 else None)
    return _adds(call) and bool(call.inputs[0].shape) and isinstance(axis, int)


def _compares(call: Instruction) -> bool:
    return _adds(call) and call.inputs[0].dtype in REALS


def _means(call: Instruction) -> bool:
    return _compares(call) and bool(call.inputs[0].size)


def _multiplies(call: Instruction) -> bool:
    if len(call.inputs) != 2 or call.params or not all(isinstance(x, Variable) and x.shape for x in call.inputs):
        return False
    dtypes = {x.dtype for x in (*call.inputs, call.result)}
    return len(dtypes) == 1 and ufuncs.loop(np.matmul, (*dtypes,) * 3) is not None


def _copies(call: Instruction) -> bool:
    return call.params.get("order", "C") == "C" and len(call.reads) == 1 and call.result.dtype in STORED


def _joins(call: Instruction) -> bool:
    known = all(isinstance(x, Variable) and can_cast(x.dtype, call.result.dtype) for x in call.inputs)
    return known and not set(call.params) - {"axis"} and isinstance(call.params.get("axis", 0), int)


_REDUCTIONS = frozenset({reductions.sum, reductions.mean, extrema.max, extrema.min})

Way = tuple[Callable[[Instruction], bool], Callable[[Lowering, Instruction], None]]
Ways = Mapping[Any, Way]
_WAYS: Ways = {
    reductions.sum: (_adds, partial(Lowering._reduce, write=_added, start=0)),
    reductions.mean: (_means, Lowering._mean),
    extrema.max: (_compares, partial(Lowering._reduce, write=_larger, start=-np.inf)),
    extrema.min: (_compares, partial(Lowering._reduce, write=_smaller, start=np.inf)),
    running.cumsum: (_runs_on, Lowering._run_on),
    running.cumprod: (_runs_on, Lowering._run_on),
    linear.matmul: (_multiplies, Lowering._matmul),
    shaping.reshape: (_copies, Lowering._reshape),
    shaping.ravel: (_copies, Lowering._reshape),
    joining.concatenate: (_joins, Lowering._joined),
    joining.stack: (_joins, Lowering._joined),
    indexing.getitem: (_reads_known, Lowering._getitem),
    indexing.scatter: (_puts_known, Lowering._scatter),
    onto: (_puts_known, Lowering._onto),
    indexing.index_set: (_puts_known, partial(Lowering._updated, adds=False)),
    indexing.index_add: (_puts_known, partial(Lowering._updated, adds=True)),
}


_NUMPYS: Ways = {
    refuse_where: (systems.refuses_known, Lowering._refuse_where),
    **dict.fromkeys(systems.OPERATIONS, (systems.is_known, Lowering._system)),
    **dict.fromkeys(fourier.OPERATIONS, (fourier.is_known, fourier.lower)),
}
"""What only code that runs beside NumPy can do: call its linear algebra and its transforms, and leave errors to it."""
_ALONE: Ways = {
    refuse_where: (systems.refuses_known, Lowering._refuse_where),
    **dict.fromkeys(systems.ELIMINATED, (systems.is_known, Lowering._system_alone)),
}
"""What other code does instead."""


def _way(call: Instruction, target: Target) -> Way | None:
    return _WAYS.get(call.op) or (_NUMPYS if target.calls_numpy else _ALONE).get(call.op)


def copying(value: Variable, target: Variable) -> Instruction:
    """A copy into the memory of another variable."""
    return Instruction(positive, (value,), NO_PARAMS, target)


def _numpys_loop(call: Instruction) -> tuple[tuple[np.dtype[Any], ...], tuple[int, int]] | None:
    """The dtypes and the addresses of NumPy's own loop for an operation; None if there is none."""
    ufunc = call.op.forward
    if not isinstance(ufunc, np.ufunc) or ufunc.signature or call.params or ufunc.nout > 1:
        return None
    if not all(np.ndim(x) == 0 for x in call.inputs if not isinstance(x, Variable)):
        return None
    dtypes = scalars.loop_dtypes(ufunc, call.inputs)
    routine = ufuncs.loop(ufunc, dtypes)
    casts = all(map(scalars.can_become, call.inputs, dtypes))
    literal = all(isinstance(x, Variable) or d in TYPES for x, d in zip(call.inputs, dtypes))
    return (dtypes, routine) if routine and casts and literal and dtypes[-1] == call.result.dtype else None


def _called(
    emitter: Emitter, writer: Any, *, routine: Any, count: int, steps: Sequence[int], layouts: Sequence[Layout]
) -> None:
    addresses = [emitter.address(layout.root.dtype, writer.base(layout.root), str(layout.offset)) for layout in layouts]
    ufuncs.call(emitter, writer, routine, addresses, [count], steps)


def _within(emitter: Emitter, writer: Any, *, written: Callable[[Entry], Entry], called: Any) -> None:
    """Compute the entries here if all are near enough for ours to be right, and else by NumPy's loop."""
    count, (of, to) = called.keywords["count"], called.keywords["layouts"]
    are_near = emitter.first("alloca i1")

    def entry(layout: Layout, i: str) -> tuple[str, str]:
        position = emitter.position(layout.offset, [(i, 1)])
        return emitter.address(layout.root.dtype, writer.base(layout.root), position), writer.note(layout.root)

    emitter.line(f"store i1 true, ptr {are_near}")
    with emitter.loop(count) as i:
        is_near = (emitter.load(of.root.dtype, *entry(of, i)).intrinsic("fabs") <= functions.FAR).text  # not NaN
        before = emitter.value(f"load i1, ptr {are_near}")
        emitter.line(f"store i1 {emitter.value(f'and i1 {is_near}, {before}')}, ptr {are_near}")
    all_near = emitter.value(f"load i1, ptr {are_near}")
    with emitter.when(emitter.value(f"xor i1 {all_near}, true")):
        called(emitter, writer)
    with emitter.when(all_near), emitter.loop(count) as i:
        emitter.store(written(emitter.load(of.root.dtype, *entry(of, i))), *entry(to, i))
