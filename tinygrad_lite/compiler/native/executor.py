"""Runs a native program: its buffers, and the arrays in them that others see."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from sys import getrefcount
from threading import Lock
from typing import Any

import numpy as np

from tinygrad_lite.compiler.draws import Draw
from tinygrad_lite.compiler.entry import EntryWriter
from tinygrad_lite.compiler.native.compiling import compiled, compiled_repetition
from tinygrad_lite.compiler.native.loops import Opaque
from tinygrad_lite.compiler.native.memory import Layout, contiguous
from tinygrad_lite.compiler.native.source import NativeSource, buffer_name, with_former_values
from tinygrad_lite.compiler.native.writer import repeated
from tinygrad_lite.compiler.places import Argument, Data, Gradient, Leaves, Place
from tinygrad_lite.compiler.program import Instruction, Program, Variable, mapped
from tinygrad_lite.engine.op import Array


class NativeExecutor:
    """A program as native code, which works in buffers of its own.

    A value that it writes to a place stays in a buffer, which the next run overwrites. If anybody else still holds that
    array by then, the program moves to other buffers.

    Attributes:
        source: the loops.
        falls_back: the names of the operations that are NumPy calls.
    """

    backend = "numba"

    def __init__(self, program: Program) -> None:
        self.program = program = with_former_values(program)
        self.lock = Lock()  # the buffers serve one run at a time
        self.source = NativeSource(program)
        self.falls_back = [part.call.op.name for part in self.source.parts if isinstance(part, Opaque)]
        self._functions = compiled(self.source)
        self._variables = {place: x for x, place in program.inputs.items()}
        self._allocate({buffer_name(dtype): np.zeros(size, dtype) for dtype, size in self.source.buffers.items()})
        for x, array in self.source.constants.items():
            self._view(x, self.source.layouts[x])[...] = array

    def _allocate(self, buffers: dict[str, Array]) -> None:
        self._buffers = buffers
        self._kept = {
            place: self._view(self._variables.get(place) or self.program.updates[place], layout)
            for place, layout in self.source.kept.items()
        }
        self._calls = [self._call(part.call) if isinstance(part, Opaque) else None for part in self.source.parts]
        self._bound: dict[Place, Array] = {}
        self._counts: list[int] = []

    def _view(self, x: Variable, layout: Layout) -> Array:
        buffer = self._buffers[layout.buffer]
        strides = tuple(stride * buffer.itemsize for stride in layout.strides)
        return np.ndarray(x.shape, buffer.dtype, buffer, layout.offset * buffer.itemsize, strides)

    def _call(self, call: Instruction) -> Any:
        """A NumPy call on arrays in the buffers or among the arguments."""
        views = {
            x: self._view(x, self.source.layouts[x])
            for x in (*call.reads, call.result)
            if self.source.layouts[x].buffer in self._buffers
        }

        result = views[call.result]

        def perform(arrays: Sequence[Array], leaves: Leaves) -> None:
            def value(x: Any) -> Any:
                if not isinstance(x, Variable):
                    return x
                if x not in views:
                    return self._within(x, arrays)
                return views[x].item() if x.is_number else views[x][()]

            inputs, params = map(value, call.inputs), mapped(value, call.params)
            if isinstance(call.op, Draw):
                result[...] = call.op.forward(leaves)
            elif isinstance(call.op.forward, np.ufunc) and result.shape:
                call.op.forward(*inputs, **params, out=result)
            else:
                result[...] = call.op.forward(*inputs, **params)

        return perform

    def _load(self, leaves: Leaves) -> None:
        """Make sure that nobody else uses the buffers and that they hold the values in the places."""
        if self._counts != self._references():
            self._allocate({name: buffer.copy() for name, buffer in self._buffers.items()})
        for place, view in self._kept.items():
            if place in self._variables:
                value = place.read(leaves)
                if value is not self._bound.get(place):
                    view[...] = value

    def run(self, leaves: Leaves) -> list[Any]:
        """Read the places, run, write the places, and return the results for these leaves of the arguments."""
        with self.lock:
            return self._run(leaves)

    def _run(self, leaves: Leaves) -> list[Any]:
        self._load(leaves)
        arrays = [self._argument(x, leaves) for x in self.source.arguments] + [*self._buffers.values()]
        for position, perform in enumerate(self._calls):
            if perform is None:
                self._functions[position](*arrays)
            else:
                perform(arrays, leaves)
        results = [self._result(x, leaves) for x in self.program.results]
        self._store(leaves)
        return results

    @cached_property
    def _repetition(self) -> Any:
        """The native function for many turns, the draws before it, and the results that it stores.

        None if there is no such function: it requires a program of draws and a single part, made of loops.
        """
        results = [x for x in self.program.results if isinstance(x, Variable)]
        layouts = [self.source.layouts[x] for x in results]
        *first, last = self.source.parts
        draws = [part.call for part in first if isinstance(part, Opaque) and isinstance(part.call.op, Draw)]
        if len(draws) < len(first) or not isinstance(last, list):
            return None
        if any(x.size != 1 or x.is_number or layout.buffer not in self._buffers for x, layout in zip(results, layouts)):
            return None
        sizes = {self.source.layouts[x].buffer: x.size for x in self.source.arguments if x.shape}
        drawn = [(layout.buffer, layout.offset) for layout in (self.source.layouts[draw.result] for draw in draws)]
        text = repeated(
            self.source.texts[len(first)],
            sizes,
            [(*place, draw.result.size) for place, draw in zip(drawn, draws)],
            [f"{placed.buffer}[{placed.offset}]" for placed in layouts],
        )
        others = [x.dtype for x in [*(draw.result for draw in draws), *results]]
        return compiled_repetition(self.source, text, others), draws, results

    def repeat(self, turns: int, leaves: Leaves, stacks: Mapping[int, Array]) -> list[Any] | None:
        """The results of many runs, stacked; None if that cannot be done natively.

        Args:
            each: the stacked arrays that take the place of a leaf in turn, by the index of the leaf.
        """
        if self._repetition is None:
            return None
        function, draws, variables = self._repetition
        with self.lock:
            self._load(leaves)
            arguments: list[Any] = []
            for x in self.source.arguments:
                place = self.program.inputs[x]
                if isinstance(place, Argument) and place.index in stacks:
                    order = (0, *(axis + 1 for axis in x.order or range(len(x.shape))))
                    arguments += [np.ascontiguousarray(stacks[place.index].transpose(order), x.dtype), x.size]
                else:
                    value = self._argument(x, leaves)
                    arguments += [value[None], 0] if x.shape else [value]
            drawn = [np.empty((turns, *draw.result.shape), draw.result.dtype) for draw in draws]
            for turn in range(turns if draws else 0):
                for stack, draw in zip(drawn, draws):
                    stack[turn] = draw.op.forward(leaves)
            results = {x: np.empty(turns, x.dtype) for x in variables}
            function(turns, *arguments, *self._buffers.values(), *(x.reshape(-1) for x in drawn), *results.values())
            self._store(leaves)
        return [results[x].reshape(turns, *x.shape) if isinstance(x, Variable) else x for x in self.program.results]

    def _argument(self, x: Variable, leaves: Leaves) -> Array:
        place = self.program.inputs[x]
        value = place.read(leaves)
        if not x.shape:
            return value[()] if isinstance(value, np.ndarray) else value
        return np.ascontiguousarray(value if x.order is None else value.transpose(x.order), x.dtype)

    def _within(self, x: Variable, arrays: Sequence[Array]) -> Array:
        """A variable that is an argument, or a view of one."""
        layout = self.source.layouts[x]
        array = arrays[int(layout.buffer[1:])]
        if not x.shape and layout.buffer.startswith("n"):
            return array
        strides = tuple(stride * array.itemsize for stride in layout.strides)
        return np.ndarray(x.shape, array.dtype, array.reshape(-1), layout.offset * array.itemsize, strides)

    def _result(self, x: Any, leaves: Leaves) -> Any:
        if not isinstance(x, Variable):
            return x
        layout = self.source.layouts[x]
        if layout.buffer not in self._buffers:
            return self._within(x, [self._argument(argument, leaves) for argument in self.source.arguments])
        value = np.copy(self._view(x, layout), order="K")[()]
        return value.item() if x.is_number else value

    def _store(self, leaves: Leaves) -> None:
        for place, x in self.program.updates.items():
            if not isinstance(x, Variable):
                place.write(x, leaves)
            elif x.is_number or not x.shape:
                value = self._kept[place][()]
                place.write(value.item() if x.is_number else value, leaves)
            elif place.read(leaves) is not (view := self._kept[place]):
                place.write(view, leaves)
                self._bound[place] = view
        if not self._counts:
            self._counts = self._references()

    def enter(self, writer: EntryWriter, wrapped: Sequence[bool]) -> bool:
        """Write the work of `run` as lines of a function; False if that is not possible."""
        if not all(map(_is_variable, self.program.results)):
            return False
        for place, view in self._kept.items():
            if place in self._bound and isinstance(place, Gradient):
                gradient = place.tensor(())
                writer.is_still(place.naming(writer), gradient)
                writer.is_still(f"{writer.name(gradient)}._array", view)
                writer.held_by_nobody_else([gradient])
            elif place in self._bound:
                writer.is_still(place.reading(writer), view)
            elif place in self._variables:
                writer.body.append(f"{writer.name(view)}[...] = {place.reading(writer)}")
        writer.lock = self.lock
        writer.held_by_nobody_else([*self._bound.values(), *self._buffers.values()])
        arguments = [self._name_of_argument(writer, x) for x in self.source.arguments] + [
            *map(writer.name, self._buffers.values())
        ]
        if len(self._calls) == 1 and self._calls[0] is None:
            writer.body.append(f"{writer.name(self._functions[0])}({', '.join(arguments)})")
        else:
            for name, values in (("arguments", arguments), ("leaves", writer.parameters)):
                writer.body.append(f"{name} = ({', '.join([*values, ''])})")
            for position, perform in enumerate(self._calls):
                if perform is None:
                    writer.body.append(f"{writer.name(self._functions[position])}(*arguments)")
                else:
                    writer.body.append(f"{writer.name(perform)}(arguments, leaves)")
        for place, x in self.program.updates.items():
            if place not in self._bound:
                if not isinstance(x, Variable):
                    return False
                value = f"{writer.name(self._kept[place])}[()]"
                writer.body.append(f"{place.reading(writer)} = {value}{'.item()' if x.is_number else ''}")
        results = []
        for x, is_wrapped in zip(self.program.results, wrapped):
            layout = self.source.layouts[x]
            if layout.buffer not in self._buffers or x.is_number:
                return False
            name = writer.name(self._buffers[layout.buffer])
            value = f"{writer.name(self._view(x, layout))}.copy('K')" if x.shape else f"{name}[{layout.offset}]"
            results.append(f"wrap({value})" if is_wrapped else value)
        writer.results = results
        return True

    def _name_of_argument(self, writer: EntryWriter, x: Variable) -> str:
        """The expression for an argument of the native functions, which do not check its form themselves."""
        place = self.program.inputs[x]
        expression: str = place.reading(writer)
        strides = tuple(stride * x.dtype.itemsize for stride in contiguous(x.shape, x.order))
        if isinstance(place, Argument) and x.shape:
            writer.tests.append(f"{expression}.strides != {strides!r}")
        elif not isinstance(place, Argument):
            writer.is_like(expression, place.read(()), isinstance(place, Data), strides)
        return expression + (f".transpose({x.order})" if x.order else "")

    def _references(self) -> list[int]:
        """The number of references to the arrays that were handed out, including those of this executor."""
        return [getrefcount(array) for array in (*self._bound.values(), *self._buffers.values())] if self._bound else []


def _is_variable(x: Any) -> bool:
    return isinstance(x, Variable)
