"""The source of the native function: layouts and loops for a program, and their text for Numba."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_lite.compiler.native import scalars
from tinygrad_lite.compiler.native.liveness import relocate, shared_memory
from tinygrad_lite.compiler.native.loops import Access, Dimension, Opaque, Statement, earliest, place
from tinygrad_lite.compiler.native.memory import Layout, contiguous, is_dense, view
from tinygrad_lite.compiler.native.scalars import Form
from tinygrad_lite.compiler.native.writer import Writer, parts
from tinygrad_lite.compiler.program import Instruction, Program, Variable, axes_in_memory
from tinygrad_lite.engine.op import NO_PARAMS, Array
from tinygrad_lite.engine.tensor import positive
from tinygrad_lite.ops.arithmetic import reductions
from tinygrad_lite.ops.linear import products

FEW = 16  # sums that stay in registers
SMALL_PRODUCT = 2**15  # up to this many multiplications, a product is a loop and not a BLAS call


def with_former_values(program: Program) -> Program:
    """Copy the former values that leave the program and lie where it writes, so that they outlive the new values."""
    written = {x for x, place in program.inputs.items() if place in program.updates}
    for call in program.calls:
        if call.view_of in written:
            written.add(call.result)
    copies = {
        x: Instruction(positive, (x,), NO_PARAMS, Variable(x.shape, x.dtype, x.is_number))
        for x in program.ends
        if x in written
    }
    return program.with_calls([*program.calls, *copies.values()], {x: call.result for x, call in copies.items()})


class NativeSource:
    """Loops for a program.

    Attributes:
        buffers: the size of each flat buffer that the function works in, by dtype.
        layouts: the layout of each variable.
        kept: the layout of the value of each place that the function writes to.
        arguments: the variables that are passed in as separate arrays or numbers, in order.
        parts: the parts to run one after another: loops, or a NumPy call.
        texts: the source of a function for each part that consists of loops, by its position.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.buffers: dict[Any, int] = {}
        self.layouts: dict[Variable, Layout] = {}
        self.arguments: list[Variable] = []
        self._kept: dict[Any, Variable] = {}
        self.constants: dict[Variable, Array] = {}
        self.body: list[Any] = []
        self._own: set[Variable] = set()
        self._roots: dict[Variable, Variable] = {}
        self._pinned = {x for x in program.results if isinstance(x, Variable)}
        self._written = set(program.updates)
        for x, array in program.constants.items():
            self._constant(x, array)
        for x, source in program.inputs.items():
            self._input(x, source)
        for call in program.calls:
            self._call(call)
        for kept, value in program.updates.items():
            self._update(kept, value)
        self.parts = parts(self.body)
        writer = Writer(self.parts, self._passing)
        self._share_memory(writer.locals)
        self.kept = {place: self.layouts[x] for place, x in self._kept.items()}
        names = [self.layouts[x].buffer for x in self.arguments]
        parameters = names + [buffer_name(dtype) for dtype in self.buffers]
        self.texts = writer.texts(parameters, [name for name in names if name.startswith("a")])

    # Memory

    def _allocate(self, x: Variable, order: Any = None) -> Layout:
        offset = self.buffers.get(x.dtype, 0)
        self.buffers[x.dtype] = offset + x.size
        self.layouts[x] = Layout(buffer_name(x.dtype), offset, contiguous(x.shape, order))
        return self.layouts[x]

    @property
    def _passing(self) -> set[Variable]:
        """The variables that only the loops use."""
        return self._own - {self._root(x) for x in self._pinned}

    def _share_memory(self, without: Collection[Variable]) -> None:
        """Let variables that are not needed at the same time share memory; some need none."""
        without = {*without, *self.arguments}
        rooted = {x: layout for x, layout in self.layouts.items() if self._root(x) is x and x not in without}
        moves, sizes = shared_memory(self.body, rooted, self._passing)
        for item in self.body:
            relocate(item, moves)
        for x, layout in self.layouts.items():
            self.layouts[x] = replace(layout, offset=layout.offset + moves.get(self._root(x), 0))
        self.buffers = {dtype: sizes[buffer_name(dtype)] for dtype in self.buffers if buffer_name(dtype) in sizes}

    def _constant(self, x: Variable, array: Array) -> None:
        self._allocate(x)
        self.constants[x] = array

    def _input(self, x: Variable, source: Any) -> None:
        if source in self._written:
            self._kept[source] = x
            self._allocate(x, x.order)
        else:
            kind = "a" if x.shape else "n"
            self.layouts[x] = Layout(f"{kind}{len(self.arguments)}", 0, contiguous(x.shape, x.order))
            self.arguments.append(x)

    def _update(self, target: Any, value: Any) -> None:
        if not isinstance(value, Variable):
            return
        layout, root = self.layouts[value], self._root(value)
        kept = self._kept.get(target)
        if kept is None and root in self._passing:
            self._kept[target] = value
            self._pinned.add(value)
            return
        if kept is None:
            order = axes_in_memory(layout.strides) if is_dense(value.shape, layout.strides) else None
            kept = self._kept[target] = Variable(value.shape, value.dtype)
            self._allocate(kept, order)
        self._elementwise(kept, Form("{0}"), [value])

    def _root(self, x: Variable) -> Variable:
        """The variable whose memory a view lies in."""
        return self._roots.get(x, x)

    # Loops

    def _access(self, x: Variable, layout: Layout, dimensions: list[Dimension | None]) -> Access:
        """The access to the entry at the turns of the loops, with the last axes along the last dimensions."""
        along = dimensions[len(dimensions) - len(x.shape) :] if x.shape else []
        strides: dict[Dimension, int] = {}
        for size, stride, dimension in zip(x.shape, layout.strides, along):
            if size != 1 and dimension is not None:
                strides[dimension] = strides.get(dimension, 0) + stride
        return Access(self._root(x), layout.buffer, layout.offset, strides)

    def _operand(self, x: Any, dimensions: list[Dimension | None]) -> Any:
        return self._access(x, self.layouts[x], dimensions) if isinstance(x, Variable) else x

    def _elementwise(self, result: Variable, form: Form, inputs: Sequence[Any]) -> None:
        layout = self.layouts[result]
        axes = [Dimension(size) if size != 1 else None for size in result.shape]
        operands = [self._operand(x, axes) for x in inputs]
        statement = Statement(self._access(result, layout, axes), operands, form)
        dimensions = [axes[axis] for axis in axes_in_memory(layout.strides)]
        place(self.body, [dimension for dimension in dimensions if dimension], statement, None)

    def _call(self, call: Instruction) -> None:
        if call.view_of is not None and not call.has_effect:
            made = view(call, call.view_of.shape, self.layouts[call.view_of])
            if made is not None:
                self.layouts[call.result] = made
                self._roots[call.result] = self._root(call.view_of)
                return
        if call.op in _NESTS and _NESTS[call.op](self, call):
            return
        form = scalars.form(call)
        if form is None:
            self._opaque(call)
            return
        order = next(
            (
                axes_in_memory(self.layouts[x].strides)
                for x in call.inputs
                if isinstance(x, Variable) and x.shape == call.result.shape
            ),
            None,
        )
        self._allocate(call.result, order)
        self._own.add(call.result)
        self._elementwise(call.result, form.cast(call.result.dtype), call.inputs)

    def _opaque(self, call: Instruction) -> None:
        """A NumPy call between the loops."""
        self._allocate(call.result)
        item = Opaque([self._whole(x) for x in call.reads], [self._whole(call.result)], call)
        self._own.add(call.result)
        self.body.insert(earliest(self.body, item), item)

    def _whole(self, x: Variable) -> Access:
        return self._access(x, self.layouts[x], [Dimension(size) for size in x.shape])

    def _sum(self, call: Instruction) -> bool:
        if set(call.params) - {"axis", "keepdims"} or call.inputs[0].dtype != call.result.dtype:
            return False
        self._reduce(call, "{1} + {0}", 0)
        return True

    def _mean(self, call: Instruction) -> bool:
        if set(call.params) - {"axis", "keepdims"} or call.result.dtype.kind != "f" or not call.result.size:
            return False
        self._reduce(call, "{1} + {0}", 0, f"{{0}} / {call.inputs[0].size // call.result.size}")
        return True

    def _max(self, call: Instruction) -> bool:
        if set(call.params) - {"axis", "keepdims"} or call.result.dtype.kind != "f":
            return False
        self._reduce(call, "np.maximum({1}, {0})", -np.inf)
        return True

    def _reduce(self, call: Instruction, text: str, start: float, end: str = "{0}") -> None:
        (x,) = call.inputs
        axis, keep = call.params.get("axis"), call.params.get("keepdims", False)
        ndim = len(x.shape)
        reduced = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        lost = {i % ndim for i in reduced} if ndim else set()
        axes = [Dimension(size) if size != 1 else None for size in x.shape]
        result = [None if i in lost else axes[i] for i in range(ndim) if keep or i not in lost]
        total, layout = self._total(call.result, end != "{0}")
        target = self._access(total, layout, result)
        statement = Statement(target, [self._operand(x, axes), target], Form(text), accumulates=True)
        order = [axes[i] for i in axes_in_memory(self.layouts[x].strides)]
        self._accumulate(statement, [dimension for dimension in order if dimension], start)
        self._finish(total, call.result, Form(end))

    def _total(self, result: Variable, is_divided: bool = False, is_few: bool = False) -> tuple[Variable, Layout]:
        """The accumulator of a result: a few numbers in registers, or an array with more digits than the result has."""
        narrow = result.dtype == np.float32
        total = result
        if narrow or is_divided or is_few or result.size <= FEW:
            total = Variable(result.shape, np.dtype(float) if narrow or is_divided else result.dtype)
        self._own.add(total)
        return total, self._allocate(total)

    def _finish(self, total: Variable, result: Variable, form: Form) -> None:
        """Store the accumulated sum in the result."""
        if total is not result:
            self._allocate(result)
            self._own.add(result)
            self._elementwise(result, form.cast(result.dtype), [total])

    def _accumulate(self, statement: Statement, dimensions: list[Dimension], start: float) -> None:
        dtype = statement.target.variable.dtype
        setup = Statement(statement.target, [dtype.type(start).item()], Form("{0}").cast(dtype))
        place(self.body, dimensions, statement, setup)

    def _matmul(self, call: Instruction) -> bool:
        a, b = call.inputs
        if len(a.shape) != 2 or len(b.shape) != 2 or a.dtype != b.dtype:
            return False
        (n, k), m = a.shape, b.shape[1]
        if n * k * m > SMALL_PRODUCT or call.result.dtype.kind != "f":
            return False
        total, layout = self._total(call.result, is_few=m <= FEW)
        i, kk, j = (Dimension(size) if size != 1 else None for size in (n, k, m))
        target = self._access(total, layout, [i, j])
        operands = [self._operand(a, [i, kk]), self._operand(b, [kk, j]), target]
        dimensions = [dimension for dimension in (i, kk, j) if dimension]
        dimensions.sort(key=lambda dimension: -sum(x.strides.get(dimension, 0) for x in operands))
        if kk in dimensions[:1] and len(dimensions) == 3:
            dimensions[:2] = dimensions[1], dimensions[0]  # so that the sums of a row stay in registers
        if kk is None:
            place(self.body, dimensions, Statement(target, operands[:2], Form("{0} * {1}"), is_product=True), None)
        else:
            statement = Statement(target, operands, Form("{2} + {0} * {1}"), accumulates=True, is_product=True)
            self._accumulate(statement, dimensions, 0)
        self._finish(total, call.result, Form("{0}"))
        return True


_NESTS = {
    reductions.sum: NativeSource._sum,
    reductions.mean: NativeSource._mean,
    reductions.max: NativeSource._max,
    products.matmul: NativeSource._matmul,
}


def buffer_name(dtype: Any) -> str:
    return f"{dtype.kind}{dtype.itemsize}"
