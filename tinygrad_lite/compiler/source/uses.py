"""Uses: how often a source reads each value, where, and which arrays take up a later result."""

from collections.abc import Collection, Sequence

from tinygrad_lite.compiler.program import Instruction, Program, Variable
from tinygrad_lite.compiler.source.outline import Carried, Item, Loop
from tinygrad_lite.compiler.source.ownership import is_plain_ufunc, last_uses, makes_an_array


class Uses:
    """The uses of the values of a program whose source has this outline.

    Attributes:
        written: the variables that a loop writes to the state.
        takes_up: the arrays that take up another result, each with that result.
        into: these results, each with its array.
        ends: the values that leave the program, a loop or a turn.
        position: the position of each result in its part of the outline.
        renewed: the values that a loop hands on, each with the position at which its name goes to the next one.
        packed: the results of loops that another loop goes through, and nobody else reads: that loop, the variable that
            stands for them there, and whether it goes backwards.

    Args:
        large: the number of bytes from which an array takes up another result.
    """

    def __init__(self, items: Sequence[Item], program: Program, large: int) -> None:
        self.written = {
            value for item in items if isinstance(item, Loop) for x in item.writes_to for value in item.made[x]
        }
        self.takes_up: dict[Variable, Variable] = {}
        self.ends: set[Variable] = set()
        self.position: dict[Variable, int] = {}
        self.renewed: dict[Variable, int] = {}
        self.packed: dict[Variable, tuple[Loop, Variable, bool]] = {}
        self._large = large
        self._count: dict[Variable, int] = {}
        self._user: dict[Variable, Instruction] = {}
        self._by_loops: set[Variable] = set()
        self._from_state: set[Variable] = set()
        self._block(items, program.ends_without(self.written))
        self.into = {x: target for target, x in self.takes_up.items()}

    def count(self, x: Variable) -> int:
        """How often a value is used, but from the state; leaving the program, the loop or the turn counts as a use."""
        return self._count.get(x, 0)

    def is_used(self, x: Variable) -> bool:
        """Whether a value is used at all."""
        return x in self._count or x in self._from_state

    def only_user(self, x: Variable) -> Instruction | None:
        """The instruction that reads a value, if nothing else does."""
        return self._user.get(x) if self.count(x) == 1 else None

    def is_only_read_by_a_loop(self, x: Variable) -> bool:
        """Whether a single loop, and nothing else, reads a value, and only once."""
        return self.count(x) == 1 and x in self._by_loops

    def _add(self, reads: Collection[Variable]) -> None:
        for x in reads:
            self._count[x] = self._count.get(x, 0) + 1

    def _block(
        self,
        items: Sequence[Item],
        ends: Collection[Variable],
        carried: Collection[Carried] = (),
        grown: Collection[Variable] = (),
    ) -> None:
        self._add(ends)
        self.ends.update(ends)
        for item in items:
            if isinstance(item, Instruction):
                self._add(item.reads)
                self._user.update((x, item) for x in item.reads)
            else:
                from_state = [x for key in item.reads_from for x in item.varying[key]]
                from_lists = [x for key, values in item.varying.items() if key not in item.reads_from for x in values]
                self._from_state.update(from_state)
                self._add([x for x in from_lists if isinstance(x, Variable)])
                self._add([*(carry.first for carry in item.carried), *item.fixed])
                self._by_loops.update(item.reads)
        owned = self._take_up(items, ends, carried, grown)
        self._pack(items, ends)
        for loop in items:
            if isinstance(loop, Loop):
                after = [carry.after for carry in loop.carried]
                writes = [x for x, places in loop.writes_to.items() for _ in places]
                inner = [*loop.listed, *loop.lasting, *writes, *after]
                self._block(loop.body, inner, loop.carried, self._grown(loop, owned))

    def _take_up(
        self,
        items: Sequence[Item],
        ends: Collection[Variable],
        carried: Collection[Carried],
        grown: Collection[Variable],
    ) -> set[Variable]:
        """Find the arrays that take up results, and return those that belong to the program.

        An array that becomes what a loop hands on has its name, so it is made after the last use of the former value.
        """
        owned = set(grown)
        last = last_uses(items, ends)
        read = {x: position for position, item in enumerate(items) for x in item.reads}
        former = {carry.after: read.get(carry.before, -1) for carry in carried if not carry.is_late}
        growing = {carry.before: carry.after for carry in carried if carry.before in grown}
        begun: dict[Variable, int] = {}
        for position, call in enumerate(items):
            if isinstance(call, Loop):
                continue
            x = call.result
            begun[x] = self.position[x] = position
            if makes_an_array(call):
                owned.add(x)
            if x.nbytes >= self._large and is_plain_ufunc(call):
                for y in call.inputs:
                    is_free = y in owned and last.get(y) == position and self.count(y) == 1
                    fits = is_free and (y.shape, y.dtype) == (x.shape, x.dtype) and growing.get(y, x) is x
                    if fits and (y in growing or begun[y] >= former.get(x, -1)):
                        self.takes_up[y] = x
                        begun[x] = begun.get(y, position)
                        break
        self.renewed.update(
            (carry.before, begun.get(carry.after, len(items))) for carry in carried if not carry.is_late
        )
        return owned

    def _grown(self, loop: Loop, owned: Collection[Variable]) -> set[Variable]:
        """What a loop carries only to let it grow, so that each turn may write to it."""
        grown = set()
        for carry in loop.carried:
            kept = loop.listed | loop.writes_to.keys()
            read = [x for item in loop.body for x in item.reads]
            is_free = carry.first in owned and self.is_only_read_by_a_loop(carry.first)
            others = [other for other in loop.carried if other.after is carry.after]
            if is_free and carry.after not in kept and carry.after not in read and len(others) == 1:
                grown.add(carry.before)
        return grown

    def _pack(self, items: Sequence[Item], ends: Collection[Variable]) -> None:
        """Find the results of loops that another loop goes through."""
        loops = [item for item in items if isinstance(item, Loop)]
        origin = {value: (loop, x) for loop in loops for x in loop.listed for value in loop.made[x]}
        read: set[Variable] = {*ends, *(x for item in items if isinstance(item, Instruction) for x in item.reads)}
        for consumer in loops:
            read.update((*consumer.fixed, *(carry.first for carry in consumer.carried)))
            for x, values in consumer.varying.items():
                if x in consumer.reads_from:
                    continue
                made, source = [], None
                if values[0] in origin:
                    loop, source = origin[values[0]]
                    made = loop.made[source]
                if source is not None and source not in self.packed and values in (made, made[::-1]):
                    self.packed[source] = consumer, x, values != made
                else:
                    read.update(value for value in values if isinstance(value, Variable))
        for loop in loops:
            for x in loop.listed:
                if x in self.packed and not read.isdisjoint(loop.made[x][:-1] if x in loop.lasting else loop.made[x]):
                    del self.packed[x]
