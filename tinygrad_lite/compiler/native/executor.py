"""Runs a native program: its arena, and the arrays in it that others see."""

import ctypes
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from sys import getrefcount
from threading import Lock
from typing import Any

import numpy as np

from tinygrad_lite.compiler.draws import Draw
from tinygrad_lite.compiler.entry import MISS, REFUSED, EntryWriter, NoResult, OtherWayError
from tinygrad_lite.compiler.native.copying import taking
from tinygrad_lite.compiler.native.counting import FEW
from tinygrad_lite.compiler.native.expansions import expanded
from tinygrad_lite.compiler.native.machine import HOLD, RUNNER, STATE, callable_at, machines, table_runner, vector_bits
from tinygrad_lite.compiler.native.memory import Layout, contiguous
from tinygrad_lite.compiler.native.pairs import with_pairs
from tinygrad_lite.compiler.native.plan import ALIGNED, Native, Segment, with_former_values
from tinygrad_lite.compiler.native.references import References
from tinygrad_lite.compiler.native.sizes import Sizes
from tinygrad_lite.compiler.native.varying_numbers import with_numbers_as_data
from tinygrad_lite.compiler.passes.sorting import with_own_sorts
from tinygrad_lite.compiler.places import Argument, Data, Gradient, Leaves, Place, TensorPlace
from tinygrad_lite.compiler.program import Instruction, Program, Variable, mapped
from tinygrad_lite.compiler.result_kinds import ResultKind
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import wrap
from tinygrad_lite.errors import RESTATED, InputError, complain

LARGEST_KEPT = 2**16
"""The bytes of an array up to which its memory is kept for the next move: copying a larger one takes longer anyway."""


class NativeExecutor:
    """A program as native code, which works in an arena of its own.

    A value that it writes to a place stays in the program's memory, where the next run overwrites it. If anybody else
    still holds that array by then, the value moves to memory of its own, and the old array is theirs. A result is
    computed in an array of its own, a new one in each run, which the machine code gets like an argument, unless it is a
    part of another value or a NumPy call needs it.

    Attributes:
        plan: the segments, and where each array lies.
        falls_back: the names of the operations that are NumPy calls.
        moves: how often a value has moved.

    Args:
        sizes: what the programs of the same function have in common.
    """

    backend = "native"

    def __init__(self, program: Program, sizes: Sizes) -> None:
        target = Native(vector_bits())
        program = expanded(with_own_sorts(with_pairs(program), FEW))
        self.program = program = with_former_values(with_numbers_as_data(program, target))
        self.lock = Lock()  # the arena serves one run at a time
        self.plan = plan = sizes.planned(program, vector_bits())
        self.falls_back = [step.op.name for step in plan.steps if isinstance(step, Instruction)]
        segments = [step for step in plan.steps if isinstance(step, Segment)]
        code = machines({segment.text: segment.functions for segment in segments})
        self._machines = {**code, RUNNER: table_runner()}  # the code is in memory as long as somebody has its machine
        self._variables = {place: x for x, place in program.inputs.items()}
        self._numbers = [x for x in program.inputs if not x.shape and program.inputs[x] not in plan.kept]
        memory = np.zeros(plan.size + ALIGNED, np.uint8)
        start = -memory.ctypes.data % ALIGNED
        self._arena = memory[start : start + plan.size]
        self._moved: dict[Variable, Any] = {}
        self._former: dict[Variable, tuple[Any, Array]] = {}
        self.moves = 0
        self._views: list[dict[Variable, Array]] = []
        self._kept = {place: self._kept_view(x) for place, x in plan.kept.items()}
        self._values = {x: self._view(x) for x in self._numbers}
        self._bound: dict[Place, Array] = {}
        self._handed_out = self._results_to_hand_out()
        self._passed = [*plan.arguments, *(plan.layouts[x].root for x in self._handed_out)]
        self._references = 0  # the references to these arrays while nobody else holds one
        branches = [call for segment in segments for call in segment.calls if call.is_branch]
        self._branches = {call: i for i, call in enumerate(branches)}
        self._link()

    # The memory

    def _view(self, x: Variable, memory: Any = None) -> Array:
        """A variable's entries in the program's memory, or in the memory of its block."""
        layout = self.plan.layouts[x]
        start = layout.offset * x.dtype.itemsize
        if memory is None:
            memory, offset = self._memory(layout.root)
            start += offset
        return np.ndarray(
            x.shape, x.dtype, memory, start, tuple(stride * x.dtype.itemsize for stride in layout.strides)
        )

    def _memory(self, root: Variable) -> tuple[Any, int]:
        """Where a block is: the memory, and the byte in it."""
        moved = self._moved.get(root)
        return (self._arena, self.plan.offsets[root]) if moved is None else (moved, 0)

    def _kept_view(self, x: Variable) -> Array:
        """The entries of a variable that stays in a place, as an array which is the base of all views of it."""
        root = self.plan.layouts[x].root
        memory, start = self._memory(root)
        # not an array: NumPy would then make that array's base the base of all views
        return self._view(x, (ctypes.c_char * max(root.nbytes, 1)).from_buffer(memory, start))

    def _move(self, place: Place) -> Array:
        """Give the value in a place memory of its own; return the new array, which is not filled yet."""
        former = self._kept[place]
        root = self.plan.layouts[self.plan.kept[place]].root
        memory, view = self._other_memory(root, former)
        self.moves += 1
        start, addresses = ctypes.addressof(memory), self._addresses
        for i, ahead in self._used_at[root]:
            addresses[i] = start + ahead
        for views in self._views:
            views.update((y, self._view(y)) for y in views if self.plan.layouts[y].root is root)
        self._kept[place] = self._bound[place] = view
        return view

    def _other_memory(self, root: Variable, former: Array) -> tuple[Any, Array]:
        """Other memory for a value that moves, and the array there: what it had before the last move, if that is free.

        Who looks at the weights after each step lets go of an array when taking the next one.
        """
        kept = self._former.pop(root, None)
        if root in self._moved and former.nbytes <= LARGEST_KEPT:
            self._former[root] = self._moved[root], former
        if kept is None or getrefcount(kept[1]) > 2:  # the pair has one, and the call of `getrefcount` another
            memory = (ctypes.c_char * max(former.nbytes, 1))()
            kept = memory, np.ndarray(former.shape, former.dtype, memory, 0, former.strides)
        self._moved[root], view = kept
        view.setflags(write=True)
        return kept

    def _results_to_hand_out(self) -> list[Variable]:
        """The results that only segments compute, each alone in its block."""
        plan = self.plan
        results = [x for x in self.program.results if isinstance(x, Variable)]
        blocks = Counter(plan.layouts[x].root for x in results)
        blocks.update(plan.layouts[x].root for x in (*plan.kept.values(), *self._numbers))
        calls = [step for step in plan.steps if isinstance(step, Instruction)]
        blocks.update(plan.layouts[x].root for call in calls for x in (*call.reads, call.result))
        return [
            x
            for x in results
            if x.shape
            and (layout := plan.layouts[x]).root in plan.offsets
            and blocks[layout.root] == 1
            and layout == Layout(layout.root, 0, contiguous(x.shape))
            and layout.root.nbytes == x.nbytes
        ]

    def _link(self) -> None:
        """Make the tables of functions and addresses that the machine code walks."""
        plan = self.plan
        segments = [step for step in plan.steps if isinstance(step, Segment)]
        self._addresses = np.zeros(sum(len(segment.roots) for segment in segments) + 1, np.int64)
        self._used_at: dict[Variable, list[tuple[int, int]]] = {plan.layouts[x].root: [] for x in plan.kept.values()}
        self._calls: list[Any] = []
        patches: dict[Variable, list[int]] = {x: [] for x in self._passed}
        stretches: list[list[int]] = [[]]
        first = 0
        for step in plan.steps:
            if isinstance(step, Instruction):
                self._calls.append(self._call(step))
                stretches.append([])
                continue
            self._fill_in(step, first, patches)
            stretches[-1] += [self._machines[step.text].addresses[step.text], self._addresses[first:].ctypes.data]
            first += len(step.roots)
        self._make_runners(stretches, [np.array(patch, np.int64) for patch in patches.values()])

    def _fill_in(self, segment: Segment, first: int, patches: dict[Variable, list[int]]) -> None:
        """Enter the addresses of a segment's arrays; note which depend on the arguments, or change when a value moves.

        Args:
            first: where in the table the segment's addresses begin.
            patches: for each array that is passed in, where its addresses are in the table, each with the byte to add.
        """
        plan, addresses = self.plan, self._addresses[first:]
        for i, (root, start) in enumerate(segment.roots):
            if isinstance(root, tuple):
                addresses[i] = root[1]
                continue
            ahead = start * root.dtype.itemsize
            if root in self._used_at:
                self._used_at[root].append((first + i, ahead))
            if root in patches:
                patches[root] += [addresses.ctypes.data + 8 * i, ahead]
            elif root in plan.constants:
                addresses[i] = plan.constants[root].ctypes.data + ahead
            else:
                addresses[i] = self._arena.ctypes.data + plan.offsets[root] + ahead

    def _make_runners(self, stretches: Sequence[Sequence[int]], patches: Sequence[Array]) -> None:
        """Make a function of each stretch of segments, which runs them one after another."""
        base = self._arena.ctypes.data
        arguments = np.array([[0, patch.ctypes.data, len(patch) // 2] for patch in patches], np.int64).reshape(-1)
        tables: list[Array] = []
        self._runners = []
        self._states = []
        for stretch in stretches:
            table = np.array(stretch, np.int64)
            values = {
                "table": table.ctypes.data,
                "length": len(stretch) // 2,
                "arguments": arguments.ctypes.data,
                "none": id(None),
                "other": id(NotImplemented),
                "hold": HOLD,
                "first": base,
                "last": base + self._arena.size - 1,
            }
            state = np.array([*(values[name] for name in STATE), 0, 0], np.int64)
            self._states.append(state)
            self._runners.append(callable_at(self._machines[RUNNER].addresses[RUNNER], state))
            tables += [table, state]
        self._tables = [*tables, *patches, arguments]  # the machine code has their addresses

    def _call(self, call: Instruction) -> Any:
        """A NumPy call on arrays in the arena or among the arguments."""
        plan = self.plan
        views = {x: self._view(x, plan.constants.get(plan.layouts[x].root))
                 for x in (*call.reads, call.result) if plan.layouts[x].root not in plan.arguments}  # fmt: skip
        self._views.append(views)
        forward, reads_leaves = call.op.forward, isinstance(call.op, Draw)
        has_out = isinstance(forward, np.ufunc) and bool(call.result.shape)
        changing = [(i, x) for i, x in enumerate(call.inputs)
                    if isinstance(x, Variable) and not (x in views and x.shape and not x.is_number)]  # fmt: skip
        moves = -1
        result: Any = None
        always: list[Any] = []
        params: Mapping[str, Any] = call.params

        def value(x: Any, arrays: Sequence[Array]) -> Any:
            if not isinstance(x, Variable):
                return x
            if x not in views:
                return self._within(x, arrays)
            return views[x].item() if x.is_number else views[x][()]

        def perform(arrays: Sequence[Array], leaves: Leaves) -> None:
            nonlocal moves, result, always, params
            if moves != self.moves:  # at first, and when a view is another array than before
                moves, result = self.moves, views[call.result]
                always = [views.get(x, x) if isinstance(x, Variable) else x for x in call.inputs]
                params = {**call.params, "out": result} if has_out else call.params
            inputs = always.copy()
            for i, x in changing:
                inputs[i] = value(x, arrays)
            keywords = mapped(lambda x: value(x, arrays), params) if call.has_computed_params else params
            try:
                made = forward(leaves) if reads_leaves else forward(*inputs, **keywords)
            except RESTATED as error:
                complain(error, str(call.op), inputs, call.params)
            if has_out:
                return
            if np.shape(made) != call.result.shape:  # such as the residuals of least squares, if the rank has fallen
                raise InputError(f"{call.op} has made an array of another shape, {np.shape(made)}, than before")
            result[...] = made

        return perform

    def _within(self, x: Variable, arrays: Sequence[Array]) -> Array:
        """A variable that is passed in, or a view of one."""
        root = self.plan.layouts[x].root
        array = arrays[self._passed.index(root)]
        if x is root and array.shape == x.shape:
            return array
        return self._view(x, np.ascontiguousarray(_in_order(array, root.order)).reshape(-1))

    # A run

    def _load(self, leaves: Leaves) -> None:
        """Load the values in the places into memory that no array of anybody else uses."""
        if self._bound and not self._is_alone(leaves):
            for place in self._bound:
                self._move(place)
        for place, view in self._kept.items():
            if place in self._variables:
                value = place.read(leaves)
                if value is not self._bound.get(place):
                    view[...] = value
        for x, view in self._values.items():
            view[...] = self.program.inputs[x].read(leaves)

    def _is_alone(self, leaves: Leaves) -> bool:
        """Whether the places still hold the arrays of the arena, and nobody else holds one."""
        return (
            all(place.read(leaves) is view for place, view in self._bound.items())
            and sum(map(getrefcount, self._held(leaves))) == self._references
        )

    def _count_references(self, leaves: Leaves) -> None:
        """After the first run, when nobody else holds an array, remember how many references there are."""
        self._references = self._references or sum(map(getrefcount, self._held(leaves)))

    def _held(self, leaves: Leaves) -> list[Any]:
        """What others may hold: the arrays in the places, and the tensors of gradients."""
        gradients = [place.tensor(leaves) for place in self._bound if isinstance(place, Gradient)]
        return [*self._bound.values(), *gradients]

    def run(self, leaves: Leaves) -> list[Any]:
        """Read the places, run, write the places, and return the results for these leaves of the arguments."""
        with self.lock:
            self._load(leaves)
            arrays = [self._argument(x, self.program.inputs[x].read(leaves)) for x in self.plan.arguments]
            arrays += [np.empty(x.shape, x.dtype) for x in self._handed_out]
            self._go(arrays, leaves)
            results = [self._result(x, arrays, leaves) for x in self.program.results]
            self._store(leaves)
            self._count_references(leaves)
            return results

    def _go(self, arrays: Sequence[Array], leaves: Leaves) -> None:
        first, *others = self._runners
        if first(*arrays) is not None:
            self._refuse(0, arrays)
        for i, (perform, runner) in enumerate(zip(self._calls, others), start=1):
            perform(arrays, leaves)
            if runner() is not None:
                self._refuse(i, arrays)

    def _refuse(self, i: int, arrays: Sequence[Array]) -> None:
        """Raise the error of the operation at which a stretch of native code has ended, as NumPy's function does."""
        call = self._ended_at(i)
        if call in self._branches:
            raise OtherWayError(call.params["message"], self._branches[call])

        def value(x: Any) -> Any:
            return self._read(x, arrays) if isinstance(x, Variable) else x

        _called(call, list(map(value, call.inputs)), mapped(value, call.params))
        raise AssertionError(f"native code refuses numbers that {call.op} accepts")

    def _ended_at(self, i: int) -> Instruction:
        """The operation at which a stretch of native code has ended."""
        *_, step, number = self._states[i]
        calls = [k for k, part in enumerate(self.plan.steps) if isinstance(part, Instruction)]
        segment: Any = self.plan.steps[step + (calls[i - 1] + 1 if i else 0)]
        return segment.calls[number - 1]  # type: ignore[no-any-return]

    def _early_end(self) -> NoResult:
        """What an entry returns if the first stretch ends early, at an operation or at an argument in the arena."""
        state = self._states[0]
        if not state[-1]:
            return MISS
        call, state[-1] = self._ended_at(0), 0
        return NoResult(self._branches[call]) if call in self._branches else REFUSED

    def _read(self, x: Variable, arrays: Sequence[Array]) -> Array:
        """The array of a variable, wherever it lies."""
        root = self.plan.layouts[x].root
        if root in self._passed:
            return self._within(x, arrays)
        return self._view(x, self.plan.constants.get(root))

    def repeat(self, turns: int, leaves: Leaves, stacks: Mapping[int, Array]) -> tuple[int, list[Any]] | None:
        """How many runs have ended without an error, and their results, stacked; None if there are none.

        Args:
            stacks: the stacked arrays that take the place of a leaf in turn, by the index of the leaf.
        """
        inputs = self.program.inputs
        results = [x for x in self.program.results if isinstance(x, Variable)]
        if any(x.is_number or self.plan.layouts[x].root not in self.plan.offsets for x in results):
            return None
        with self.lock:
            self._load(leaves)
            arrays: list[Any] = []
            turning: list[tuple[int, Array]] = []
            for i, x in enumerate(self.plan.arguments):
                place = inputs[x]
                if isinstance(place, Argument) and place.index in stacks:
                    order = x.order and (0, *(axis + 1 for axis in x.order))
                    turning.append((i, _laid_out(stacks[place.index], x.dtype, order)))
                    arrays.append(None)
                else:
                    arrays.append(self._argument(x, place.read(leaves)))
            numbers = [
                (self._values[x], stacks[place.index])
                for x in self._numbers
                if isinstance(place := inputs[x], Argument) and place.index in stacks
            ]
            own = {x: np.empty(x.shape, x.dtype) for x in self._handed_out}
            arrays += own.values()
            views = [own.get(x, self._view(x)) for x in results]
            collected = [np.empty((turns, *x.shape), x.dtype) for x in results]
            view = None
            done = 0
            try:
                for turn in range(turns):
                    for i, stack in turning:
                        arrays[i] = stack[turn]
                    for number, stack in numbers:
                        number[...] = stack[turn]
                    self._go(arrays, leaves)
                    for stack, view in zip(collected, views):
                        stack[turn] = view
                    done += 1
            except Exception:  # the function itself makes this turn, and may catch the error
                if any(call.draws for call in self.program.calls):
                    raise
            finally:
                del view, views  # they hold the arena as well
                self._store(leaves)
            self._count_references(leaves)
        stacked = iter(collected)
        made = [next(stacked)[:done] if isinstance(x, Variable) else x for x in self.program.results]
        return (done, made) if done else None

    def _argument(self, x: Variable, value: Any) -> Array:
        """An argument as the machine code reads it: without gaps, and outside the arena."""
        array = _laid_out(value, x.dtype, x.order)
        return array.copy() if np.may_share_memory(array, self._arena) else array

    def _is_argument(self, x: Variable) -> bool:
        """Whether a variable is an argument itself, which the program does not write."""
        place = self.program.inputs.get(x)
        return isinstance(place, Argument) and place not in self.plan.kept

    def _result(self, x: Any, arrays: Sequence[Array], leaves: Leaves) -> Any:
        if not isinstance(x, Variable):
            return x
        if self._is_argument(x):
            return self.program.inputs[x].read(leaves)
        root = self.plan.layouts[x].root
        if x in self._handed_out:
            return arrays[len(self.plan.arguments) + self._handed_out.index(x)]
        if root in self.plan.constants:
            return np.copy(self._view(x, self.plan.constants[root]), order="K")[()]
        if root not in self.plan.offsets:
            return self._within(x, arrays)
        value = np.copy(self._view(x), order="K")[()]
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
                self._references = 0

    # The entry

    def enter(self, writer: EntryWriter, kinds: Sequence[ResultKind]) -> None:
        """Write the work of `run` as lines of a function."""
        gradients: dict[Place, Any] = {place: place.tensor(()) for place in self._bound if isinstance(place, Gradient)}
        self._write_load(writer, gradients)
        writer.lock = self.lock
        writer.is_over = f"{writer.name(self)}.moves != moves"
        writer.scope["moves"] = self.moves
        views: list[tuple[str, Variable]] = []
        names = [
            (place, writer.name(view), writer.name(gradients.get(place, view))) for place, view in self._bound.items()
        ]
        held = {name: names_there for names_there in names for name in names_there[1:]}
        writer.held_by_nobody_else([*held], partial(self._let_others_keep, writer, held, views), taking, References)
        names_of_arrays = [self._name_of_argument(writer, x) for x in self.plan.arguments]
        arguments = ", ".join([*names_of_arrays, *(f"own_{i}" for i in range(len(self._handed_out)))])
        self._write_go(writer, arguments)
        self._write_store(writer)
        writer.results = [
            self._written_result(writer, x, kind, arguments, views) for x, kind in zip(self.program.results, kinds)
        ]

    def _write_load(self, writer: EntryWriter, gradients: Mapping[Place, Any]) -> None:
        for place, view in self._kept.items():
            if place in gradients:
                gradient = gradients[place]
                writer.is_still(place.naming(writer), gradient)
                writer.is_still(f"{writer.name(gradient)}._array", view)
                if place in self._variables:
                    writer.read_gradients.add(writer.name(gradient))
            elif place in self._bound:
                writer.is_still(place.reading(writer), view)
            elif place in self._variables:
                writer.body.append(f"{writer.name(view)}[...] = {place.reading(writer)}")
        for x, view in self._values.items():
            place = self.program.inputs[x]
            if not isinstance(place, Argument):
                writer.is_like(place.reading(writer), place.like(x), isinstance(place, Data))
            writer.body.append(f"{writer.name(view)}[()] = {place.reading(writer)}")

    def _write_go(self, writer: EntryWriter, arguments: str) -> None:
        first, *others = self._runners
        empty = writer.name(np.empty)
        writer.body += [f"own_{i} = {empty}({x.shape}, {writer.name(x.dtype)})" for i, x in enumerate(self._handed_out)]
        writer.body.append(f"if {writer.name(first)}({arguments}) is not None: return {writer.name(self._early_end)}()")
        if others:
            for name, values in (("arguments", [arguments]), ("leaves", writer.parameters)):
                writer.body.append(f"{name} = ({', '.join([*filter(None, values), ''])})")
        for i, (perform, runner) in enumerate(zip(self._calls, others), start=1):
            writer.body.append(f"{writer.name(perform)}(arguments, leaves)")
            refuse = f"{writer.name(self._refuse)}({i}, arguments)"
            writer.body.append(f"if {writer.name(runner)}() is not None: {refuse}")

    def _write_store(self, writer: EntryWriter) -> None:
        for place, x in self.program.updates.items():
            if place in self._bound:
                continue
            if not isinstance(x, Variable):
                writer.body.append(place.writing(writer, "None" if x is None else writer.name(x)))
                continue
            value = writer.name(self._kept[place]) + (".item()" if x.is_number else "[()]")
            is_array = isinstance(place, TensorPlace) and not isinstance(place, Gradient)  # which is another tensor
            writer.body.append(f"{place.reading(writer)} = {value}" if is_array else place.writing(writer, value))

    def _written_result(
        self, writer: EntryWriter, x: Any, kind: ResultKind, arguments: str, views: list[tuple[str, Variable]]
    ) -> str:
        """The expression for a result; the name of an array in the program's memory is added to `views`."""
        if not isinstance(x, Variable):
            return writer.name(x)
        if self._is_argument(x) and not kind.is_tensor:
            return kind.written(writer.passed_in(self.program.inputs[x].index))
        if x in self._handed_out:
            value = f"own_{self._handed_out.index(x)}"
        elif (root := self.plan.layouts[x].root) in self.plan.arguments:
            value = f"{writer.name(partial(self._within, x))}(({arguments},))"
        else:
            view = writer.name(self._view(x, self.plan.constants.get(root)))
            views.append((view, x))
            if x.shape:
                value = f"{view}.copy('K')"
            elif x.is_number:
                value = f"{view}.item()"
            else:
                value = f"{view}[()]"
        return kind.written(value)

    def _let_others_keep(
        self,
        writer: EntryWriter,
        names: Mapping[str, tuple[Place, str, str]],
        views: Sequence[tuple[str, Variable]],
        leaves: Leaves,
        are_there: bool,
    ) -> None:
        """Move the values whose arrays others hold, and tell an entry the new arrays by name.

        Args:
            names: by each name, its place, and the names of the array there and of what the place refers to, the array
                or a gradient's tensor.
            views: the names of the program's results.
            are_there: whether all places have the arrays that the entry knows.
        """
        scope = writer.scope
        more = writer.references_beyond()
        for place, name, owner in {names[x][-1]: names[x] for x in (more if are_there else names)}.values():
            now = place.tensor(leaves) if isinstance(place, Gradient) else place.read(leaves)
            is_there = now is scope[owner]
            value = scope[name] if owner == name else scope[owner]._array
            if more.get(owner, 0) < is_there and (owner == name or more.get(name, 0) < (value is scope[name])):
                continue
            moved = self._move(place)
            moved[...] = value
            if isinstance(place, TensorPlace):
                moved.setflags(write=False)
            writer.renames(name, moved)
            if isinstance(place, Gradient):
                gradient = wrap(moved)
                writer.renames(owner, gradient)
                if is_there:
                    place.of.tensor(leaves)._grad = gradient
            elif is_there:
                place.write(moved, leaves)
        scope.update((name, self._view(x)) for name, x in views if self.plan.layouts[x].root in self._moved)
        scope["moves"] = self.moves

    def _name_of_argument(self, writer: EntryWriter, x: Variable) -> str:
        """The expression for an argument of the native functions, which do not check its form themselves."""
        place = self.program.inputs[x]
        expression: str = place.reading(writer)
        if isinstance(place, Argument):  # the entry lays out an argument itself
            return expression
        writer.is_like(expression, place.like(x), isinstance(place, Data))
        strides = tuple(stride * x.dtype.itemsize for stride in contiguous(x.shape, x.order))
        return writer.laid_out(expression, strides, x.order or range(len(x.shape)))


def _called(call: Instruction, inputs: Sequence[Any], params: Mapping[str, Any]) -> Any:
    """The result of an operation's function, or an error that names the operation."""
    try:
        return call.op.forward(*inputs, **params)
    except RESTATED as error:
        complain(error, str(call.op), inputs, call.params)


def _in_order(array: Array, order: Sequence[int] | None) -> Array:
    """The array with its axes from the slowest to the fastest in memory."""
    return array if order is None else array.transpose(order)


def _laid_out(array: Array, dtype: Any, order: Sequence[int] | None) -> Array:
    """The array without gaps in memory, with its axes in this order there."""
    laid_out = np.ascontiguousarray(_in_order(array, order), dtype)
    return laid_out if order is None else laid_out.transpose(np.argsort(order))
