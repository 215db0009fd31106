"""The plan: a program as segments, which are native code, and NumPy calls between them; and where each array lies.

A segment is some consecutive operations. The turns of a repetition are cut alike, so that a segment that repeats is
compiled once, however often it runs.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import accumulate
from typing import Any, Protocol

import numpy as np

from tinygrad_lite.compiler import repeats
from tinygrad_lite.compiler.native import lowering, scalars, systems
from tinygrad_lite.compiler.native.expansions import onto
from tinygrad_lite.compiler.native.lowering import Lowering, copying, is_native, result_order
from tinygrad_lite.compiler.native.memory import Layout, contiguous, is_dense, view
from tinygrad_lite.compiler.native.scalars import Form
from tinygrad_lite.compiler.native.writer import Writer
from tinygrad_lite.compiler.program import Instruction, Program, Variable, axes_in_memory
from tinygrad_lite.compiler.signature import Same
from tinygrad_lite.engine.op import NO_PARAMS, Array
from tinygrad_lite.engine.tensor import positive
from tinygrad_lite.ops.shapes import indexing, shaping

LONGEST = 96  # inputs of the operations in a segment
SHORT = 1024  # the fewest entries that a segment of some turns computes
ALIGNED = 64  # bytes
PADDING = 64  # bytes behind an array of a multiple of a page, so that neighbours do not collide in the cache
PAGE = 4096


@dataclass(eq=False)
class Segment:
    """Native code.

    Attributes:
        text: the function, named NAME.
        functions: the text of each function that it calls, by name.
        roots: the blocks whose addresses it takes, in order, and from which entry on.
        calls: the operations that it performs.
    """

    text: str
    functions: dict[str, str]
    roots: list[tuple[Any, int]]
    calls: Sequence[Instruction]


class Target(lowering.Target, Protocol):
    """A kind of code that segments are written in.

    Attributes:
        turn: what must be equal for two operations to be the same one in two turns of a loop.
    """

    turn: repeats.Form

    def writer(self, body: list[Any], alone: set[Variable]) -> Writer:
        """The writer of a segment with this body; no other segment uses the variables in `alone`."""

    @property
    def known(self) -> dict[Any, "Written"]:
        """The segments that were written before, by their form."""


@dataclass(eq=False, frozen=True, slots=True)
class Written:
    """The code of a segment, as it serves for the same operations on other blocks.

    Attributes:
        text, functions: see `Segment`.
        places: for each root the number of its block, or a root that is not among the blocks.
        tables: arrays of numbers that are such roots.
    """

    text: str
    functions: dict[str, str]
    places: list[Any]
    tables: dict[Variable, Array]


MOST = 1000
"""The most segments whose code is kept for other programs: a model that is made anew has the same ones."""

_written: dict[tuple[int, bool], dict[Any, Written]] = {}


class Native:
    """Native code, made by LLVM.

    Args:
        bits: the size of a vector register.
        any_rows: whether the code is to be the same, but for numbers, for arrays of other sizes; turns of loops are
            then cut alike, whatever the sizes of their arrays.
    """

    calls_numpy = True

    def __init__(self, bits: int, any_rows: bool = False) -> None:
        self._bits = bits
        self._any_rows = any_rows
        self.turn: repeats.Form = repeats.form_at_any_size if any_rows else repeats.form
        self.known = _written.setdefault((bits, any_rows), {})

    def form(self, call: Instruction) -> Form | None:
        return scalars.form(call)

    def writer(self, body: list[Any], alone: set[Variable]) -> Writer:
        return Writer(body, alone, self._bits, self._any_rows)


def with_former_values(program: Program) -> Program:
    """Copy the former values that leave the program and lie where it writes, so that they outlive the new values."""
    written = {x for x, place in program.inputs.items() if place in program.updates}
    for call in program.calls:
        if _source(call) in written:
            written.add(call.result)
    copies = {
        x: Instruction(positive, (x,), NO_PARAMS, Variable(x.shape, x.dtype, x.is_number))
        for x in program.ends
        if x in written
    }
    return program.with_calls([*program.calls, *copies.values()], {x: call.result for x, call in copies.items()})


def _source(call: Instruction) -> Variable | None:
    """The variable that the result may be a part of; one entry is, too, though to NumPy it is not a view."""
    return call.inputs[0] if call.op is indexing.getitem else call.view_of


class Plan:
    """How a program runs natively.

    Attributes:
        steps: segments and NumPy calls, in order.
        layouts: the layout of each variable.
        arguments: the inputs that are read where they lie, in order; the others are copied into the arena.
        constants: arrays that are the same in each run.
        kept: the variable in whose memory the value of each place stays that the program writes to.
        offsets: where in the arena each block begins, in bytes.
        size: the bytes of the arena.
        passing: the blocks that share the arena with others, each with the first and the last step that needs it.

    Args:
        target: the kind of code.
        supplied: the variables of places that the program writes to but does not read, in C order.
    """

    def __init__(self, program: Program, target: Target, supplied: Mapping[Any, Variable] = NO_PARAMS) -> None:
        self.program = program
        self._target = target
        self.layouts: dict[Variable, Layout] = {}
        self.arguments: list[Variable] = []
        self.constants: dict[Variable, Array] = {}
        self.kept: dict[Any, Variable] = {}
        self._written = {place for place, value in program.updates.items() if isinstance(value, Variable)}
        self._pinned: dict[Variable, None] = {}
        for x, array in program.constants.items():
            self._root(x)
            self.constants[x] = np.ascontiguousarray(array)
        for x, place in program.inputs.items():
            self._input(x, place)
        for place, x in supplied.items():
            self._root(x)
            self.kept[place] = x
            self._pinned[x] = None
        self._turned = _turned(program)
        calls = [call for call in program.calls if not self._placed(call)]
        self._native = {call for call in calls if is_native(call, target)}
        self._pinned.update((self.layouts[x].root, None) for x in program.results if isinstance(x, Variable))
        calls = self._with_stores(calls)
        self._kept_roots = {self.layouts[x].root for x in self.kept.values()}
        parts = parted(calls, self._native, target.turn)
        self._uses = _uses(parts, self.layouts)
        self.steps: list[Any] = []
        self._life: dict[Variable, tuple[int, int]] = {}
        for position, part in enumerate(parts):
            if isinstance(part, Instruction):
                self.steps.append(part)
                roots: Iterable[Any] = (self.layouts[x].root for x in (*part.reads, part.result))
            else:
                segment = self._segment(part)
                self.steps.append(segment)
                roots = (root for root, _ in segment.roots)
            for root in roots:
                if isinstance(root, Variable):
                    first, _ = self._life.get(root, (position, position))
                    self._life[root] = first, position
        self._allocate()

    def _root(self, x: Variable, order: Any = None) -> None:
        self.layouts[x] = Layout(x, 0, contiguous(x.shape, order))

    def _input(self, x: Variable, place: Any) -> None:
        self._root(x, x.order)
        if place in self._written:
            self.kept[place] = x
            self._pinned[x] = None
        elif x.shape:
            self.arguments.append(x)
        else:
            self._pinned[x] = None  # a number, which is put into the arena

    def _placed(self, call: Instruction) -> bool:
        """Find the layout of an operation's result; whether it is a view, so that there is nothing to do."""
        x = call.result
        source = _source(call)
        if source is not None and not call.has_effect:
            made = view(call, source.shape, self.layouts[source])
            if made is not None:
                self.layouts[x] = made
                return True
        if call.op is onto:
            self.layouts[x] = self.layouts[call.inputs[0]]  # in place
            return False
        self._root(x, result_order(call, self.layouts, x in self._turned))
        return False

    def _with_stores(self, calls: list[Instruction]) -> list[Instruction]:
        """The operations, and copies of the values that the program leaves behind, as early as they may come."""
        last: dict[Variable, int] = {}
        made: dict[Variable, int] = {}
        effect = -1
        for position, call in enumerate(calls):
            for x in call.reads:
                last[self.layouts[x].root] = position
            made[self.layouts[call.result].root] = position  # what is put into it later makes it, too
            if call.has_effect or call not in self._native or systems.can_refuse(call):
                effect = position  # it may refuse its input, and then nothing must have changed
        stores: dict[int, list[Instruction]] = {}
        taken: set[Variable] = set()
        for place, value in self.program.updates.items():
            if not isinstance(value, Variable):
                continue
            target, root = self.kept.get(place), self.layouts[value].root
            is_own = root in made and root not in self._pinned and root not in taken
            if (
                target is None
                and is_own
                and is_dense(value.shape, self.layouts[value].strides)
                and root.size == value.size
            ):
                self.kept[place] = value
                taken.add(root)
                continue
            if target is None:
                strides = self.layouts[value].strides
                target = self.kept[place] = Variable(value.shape, value.dtype)
                self._root(target, axes_in_memory(strides) if is_dense(value.shape, strides) else None)
            self._pinned[target] = None
            position = max(last.get(target, -1), made.get(root, -1), effect)
            store = copying(value, target)
            if is_native(store, self._target):
                self._native.add(store)
            stores.setdefault(position, []).append(store)
        self._pinned.update(dict.fromkeys(taken))
        both = list(stores.get(-1, ()))
        for position, call in enumerate(calls):
            both += [call, *stores.get(position, ())]
        return both

    def _segment(self, calls: Sequence[Instruction]) -> Segment:
        """The code of some operations: what was made for the same ones on other blocks serves again."""
        roots: dict[Variable, int] = {}
        starts: dict[Variable, int] = {}
        alone: set[Variable] = set()
        layouts = self._layouts_of(calls)
        for layout in layouts.values():
            starts[layout.root] = min(layout.offset, starts.get(layout.root, layout.offset))
        form = tuple([_form(call, layouts, roots, starts) for call in calls])
        for call in calls:
            root = self.layouts[call.result].root
            if self._uses[root] == 1 and root not in self._pinned:
                alone.add(root)
        key = form, tuple([(root in alone, root in self._kept_roots) for root in roots])
        written = self._target.known.get(key)
        if written is None:
            kept = self._kept_roots & {layouts[call.result].root for call in calls}
            lowered = Lowering(calls, layouts, starts, self._target, kept)
            alone |= {layout.root for x, layout in lowered.made.items() if layout.root is x}
            writer = self._target.writer(lowered.body, alone)
            places = [roots.get(root, root) for root in writer.roots]
            written = Written(writer.text, writer.functions, places, lowered.tables)
            if len(self._target.known) >= MOST:
                self._target.known.clear()
            self._target.known[key] = written
        self.constants |= written.tables
        mine = [(self.layouts[root].root, self.layouts[root].offset + starts[root]) for root in roots]
        others = [mine[x] if isinstance(x, int) else (x, 0) for x in written.places]
        return Segment(written.text, written.functions, others, calls)

    def _layouts_of(self, calls: Sequence[Instruction]) -> dict[Variable, Layout]:
        """The layouts in a segment: each part of an array that it only reads is a block of its own.

        So code that reads one row serves for another, wherever it lies.
        """
        layouts = {x: self.layouts[x] for call in calls for x in (*call.reads, call.result)}
        written = {layouts[call.result].root for call in calls}
        return {x: y if y.root in written else Layout(x, 0, y.strides) for x, y in layouts.items()}

    # Memory

    def _allocate(self) -> None:
        """Places in the arena, first for what stays there."""
        inputs = {*self.arguments, *self.constants}
        stays = [x for x in self._pinned if x not in inputs]
        self.passing = {x: steps for x, steps in self._life.items() if x not in inputs and x not in self._pinned}
        rooms = {x: _room(x) for x in (*stays, *self.passing)}
        starts = [0, *accumulate(rooms[x] for x in stays)]
        self.offsets, self.size = packed(self.passing, rooms, starts[-1])
        self.offsets.update(zip(stays, starts))


class _FreeBlocks:
    """Blocks of memory that nothing needs at the moment, found by their length; neighbours are one block."""

    def __init__(self) -> None:
        self._starts: dict[int, dict[int, None]] = {}
        self._lengths: list[int] = []  # in order
        self._ends: dict[int, int] = {}  # of the block that starts there
        self._begins: dict[int, int] = {}  # of the block that ends there

    def add(self, start: int, length: int) -> None:
        end = start + length
        if start in self._begins:
            start = self._begins[start]
            self._remove(start)
        if end in self._ends:
            last, end = end, self._ends[end]
            self._remove(last)
        self._ends[start], self._begins[end] = end, start
        if end - start not in self._starts:
            self._starts[end - start] = {}
            insort(self._lengths, end - start)
        self._starts[end - start][start] = None

    def taken(self, room: int) -> int | None:
        """The start of a block that is no longer free, cut from the shortest that is long enough; None if none is."""
        position = bisect_left(self._lengths, room)
        if position == len(self._lengths):
            return None
        length = self._lengths[position]
        start = next(reversed(self._starts[length]))
        self._remove(start)
        if length > room:
            self.add(start + room, length - room)
        return start

    def taken_before(self, end: int) -> int:
        """The start of the block that ends there, which is no longer free; the end itself if there is none."""
        start = self._begins.get(end, end)
        if start < end:
            self._remove(start)
        return start

    def _remove(self, start: int) -> None:
        end = self._ends.pop(start)
        del self._begins[end], self._starts[end - start][start]
        if not self._starts[end - start]:
            del self._starts[end - start], self._lengths[bisect_left(self._lengths, end - start)]


def packed(
    passing: Mapping[Variable, tuple[int, int]], rooms: Mapping[Variable, int], size: int = 0
) -> tuple[dict[Variable, int], int]:
    """Places behind a size, and the size with them; blocks that are not needed at the same time share theirs.

    Args:
        passing: the first and the last step that needs each block.
        rooms: the size of each block.
    """
    offsets: dict[Variable, int] = {}
    free = _FreeBlocks()
    living: list[tuple[int, int, int]] = []  # a heap: the last step that needs a block, its start and its room
    for x, (first, last) in sorted(passing.items(), key=lambda item: item[1]):
        while living and living[0][0] < first:
            free.add(*heappop(living)[1:])
        start = free.taken(rooms[x])
        if start is None:
            start = free.taken_before(size)  # what is free at the end need only become longer
            size = start + rooms[x]
        heappush(living, (last, start, rooms[x]))
        offsets[x] = start
    return offsets, size


def _form(
    call: Instruction, layouts: Mapping[Variable, Layout], roots: dict[Variable, int], starts: Mapping[Variable, int]
) -> Any:
    """An operation with numbers for the blocks that it works on, in the order in which they are met."""

    def placed(x: Any) -> Any:
        if not isinstance(x, Variable):
            return type(x), repr(x)
        layout = layouts[x]
        number = roots.setdefault(layout.root, len(roots))
        return number, layout.offset - starts[layout.root], layout.strides, x.shape, x.dtype, x.is_number

    params = tuple([(name, _fixed(value, placed)) for name, value in call.params.items()])
    return call.op, params, tuple(map(placed, call.inputs)), placed(call.result)


def _fixed(value: Any, placed: Callable[[Variable], Any]) -> Any:
    """What a parameter says, to be compared."""
    if isinstance(value, Variable):
        return placed(value)
    if isinstance(value, (tuple, list)):
        return type(value), tuple(_fixed(part, placed) for part in value)
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    text = repr(value)
    return Same(value) if " at 0x" in text else text  # an address says nothing once the object is gone


def _room(x: Variable) -> int:
    bytes_ = -(-max(x.nbytes, 1) // ALIGNED) * ALIGNED
    return bytes_ + (PADDING if bytes_ % PAGE == 0 else 0)


def _turned(program: Program) -> set[Variable]:
    """The variables of which only the transpose is used, in C order, in which most inputs of its shape lie."""
    only_turned: dict[Variable, bool] = {}
    in_order = Counter[tuple[int, ...]]()
    for x in program.inputs:
        in_order[x.shape] += 1 if x.order is None else -1
    for call in program.calls:
        is_turn = call.op in (shaping.transpose, shaping.swapaxes) and len(call.result.shape) == 2
        is_turn = is_turn and in_order[call.result.shape] >= 0
        for x in call.reads:
            only_turned[x] = only_turned.get(x, True) and is_turn
    for x in program.ends:
        only_turned[x] = False
    return {x for x, is_turned in only_turned.items() if is_turned}


def _uses(parts: Sequence[Any], layouts: Any) -> dict[Variable, int]:
    """In how many parts each block is used; a NumPy call counts twice, since it needs an array."""
    uses: dict[Variable, int] = {}
    for part in parts:
        calls = [part] if isinstance(part, Instruction) else part
        for root in {layouts[x].root for call in calls for x in (*call.reads, call.result)}:
            uses[root] = uses.get(root, 0) + (2 if calls is not part else 1)
    return uses


def _cuts(calls: Sequence[Instruction], form: repeats.Form, least: int = 0) -> set[int]:
    """The positions at which segments end, so that those of a repetition of more than so many inputs are alike."""
    cuts: set[int] = set()
    for stretch in repeats.stretches(calls, form):
        turn = calls[stretch.start : stretch.start + stretch.period]
        weight, work = sum(map(_weight, turn)), sum(max(call.result.size, 1) for call in turn)
        if weight * stretch.count <= least:
            continue
        # short turns share a segment, but only so many that calling it costs little: LLVM compiles each of them
        turns = max(1, min(LONGEST // weight, -(-SHORT // work)))
        inner = _cuts(turn, form, LONGEST) if weight > LONGEST else ()  # a turn may have loops itself
        starts = range(stretch.start, stretch.end + 1, stretch.period * turns)
        cuts.update(starts, [start + position for start in starts[: stretch.count] for position in inner])
    return cuts


def parted(calls: Sequence[Instruction], native: Container[Instruction], form: repeats.Form) -> list[Any]:
    """Lists of operations, one for each segment, and single operations that are NumPy calls."""
    cuts = _cuts(calls, form)
    parts: list[Any] = []
    room = 0
    for position, call in enumerate(calls):
        if call not in native:
            parts.append(call)
            room = 0
            continue
        if room < _weight(call) or position in cuts:
            parts.append([])
            room = LONGEST
        parts[-1].append(call)
        room -= _weight(call)
    return parts


def _weight(call: Instruction) -> int:
    return min(max(len(call.inputs), 1), LONGEST)
