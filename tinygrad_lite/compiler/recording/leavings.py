"""What a function leaves outside itself: in names, containers, arrays and attributes; and what it may not leave."""

from typing import Any, NamedTuple

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.compiler.places import Argument, Attribute, Carried, Gradient, Place
from tinygrad_lite.compiler.recording.carrying import (
    CarriedError,
    Left,
    StandIn,
    changed_numbers,
    is_a_number,
    may_be_carried,
)
from tinygrad_lite.compiler.recording.guards import Field, Guard, Item, Key, Missing, Whole
from tinygrad_lite.compiler.recording.recorded import Recorded
from tinygrad_lite.compiler.recording.same import memory_of
from tinygrad_lite.compiler.recording.shared_memory import in_numpys_memory
from tinygrad_lite.compiler.recording.surroundings import Surroundings, attribute_of, guard_of, varying_names
from tinygrad_lite.compiler.recording.transcript import has_all
from tinygrad_lite.compiler.recording.watching import UNSET, plain
from tinygrad_lite.compiler.recording.whole_numbers import Room, totals_among
from tinygrad_lite.compiler.signature import SCALARS, same
from tinygrad_lite.engine.op import Array, Op
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import UsageError
from tinygrad_lite.transforms.dual import innermost

_SWITCHES = (bool, str, type(None))
"""Settings with few values, each of which may have its own program; a number that each call changes has too many."""


class Assigned(NamedTuple):
    """An attribute that a function sets to the same value in each run, or deletes."""

    fields: dict[str, Any]
    name: str

    def write(self, value: Any) -> None:
        """Set it, or delete it if the value is UNSET."""
        if value is UNSET:
            dict.pop(self.fields, self.name, None)
        else:
            self.fields[self.name] = value


class Switched(NamedTuple):
    """A tensor that a function freezes, or makes require a gradient."""

    tensor: Tensor

    def write(self, value: Any) -> None:
        """Freeze it, or not, as the function does."""
        self.tensor._requires_grad = value


class Leavings(Surroundings):
    """Surroundings that know, after the run, what the function leaves in them.

    Attributes:
        left: the names under which it leaves what it computes: those, and others that it does not read before.
        overwritten: those of these names that stood for tensors which it does not read.
        written_into: the places of the arrays into which it writes.
        adds_entries: whether it puts what it computes under a new key of a dict, or into a deque that is not full yet.
        parts: what it finds missing, and makes: an object such as a layer, or a parameter, which no program makes. The
            next calls have it.
        kept_at_first: the gradients that it replaces only after it has computed something.
        settings: what else it assigns, each with the value that it has in the end.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.left: dict[Key, Left] = {}
        self.overwritten: set[Key] = set()
        self.written_into: list[Carried | Argument] = []
        self.adds_entries = False
        self.parts: list[str] = []
        self.settings: dict[tuple[int, str], tuple[Assigned | Switched, Any]] = {}
        self.kept_at_first: set[Place] = set()
        self._moved: list[Guard] = []

    def find_parts(self) -> None:
        """Find out which `parts` the function makes."""
        names = {**self._reached.guards, **self.guards}.values()
        missing = [place for place in names if type(place) in (Item, Field) and place.value is None]
        made = [place for place in missing if self._has_parts(self.carried.replaced(place))]
        self._moved += made
        for owner, name, before in self._attributes.values():
            place = guard_of(owner, name, before)
            of_class = ((Field, id(kind), name) for kind in type(owner).__mro__)
            has_read = self._has_read(owner, place) or any(key in self.guards for key in of_class)
            if before is UNSET and has_read and self._has_parts(attribute_of(owner, name)):
                made.append(place)
        self.parts = [place.label for place in made]

    def _has_parts(self, value: Any) -> bool:
        tensors = [x for x in trees.leaves(value) if isinstance(x, Tensor) and x in self._made]
        if any(x._requires_grad and plain(x, "op") is None for x in tensors):
            return True
        is_a_value = value is UNSET or isinstance(value, (*SCALARS, np.ndarray, Recorded, Tensor))
        return not is_a_value and not self._may_leave(value)

    def leave(self, returned: Any) -> list[Any]:
        """Note where the function leaves what it computes, and its settings; return what it leaves.

        These are the values under names, and then the entries of the arrays into which it writes.

        Raises:
            CarriedError: if it may have read what was there before, and those values can be inputs of the program.
        """
        values: list[Any] = []
        self._refuse_other_lengths()
        self.adds_entries = bool(self._grown())
        to_carry = self._leave_in_attributes(values, trees.leaves(returned))
        to_carry += self._leave_under_names(values)
        to_carry += self._leave_in_arrays(values)
        self._refuse_to_hand_on(returned)
        if self.written_into:
            self._refuse_views(values)
        self._carry(to_carry)
        self._guard_totals()
        self.guards |= {guard.key: guard for guard in self.carried.identities()}
        for stand_in, tensor in self.carried.tensors.items():
            if (tensor, "_array") in self._before:
                self._refuse_two_ways(stand_in)
        for tensor in self._switched:
            self.settings[id(tensor), "_requires_grad"] = Switched(tensor), tensor._requires_grad
        return values

    def _guard_totals(self) -> None:
        """Guard that whole numbers are small, and totals have room to grow; refuse whole numbers that grow faster."""
        places: list[tuple[Guard, int]] = []
        left = []
        for name in self.carried.names.values():
            stood, stands = (trees.leaves(x) for x in (self.carried.stand_ins[name.key], self.carried.replaced(name)))
            for i, (before, after) in enumerate(zip(stood, stands)):
                if type(before) is type(after) is Recorded:
                    places.append((name, i))
                    left.append((name.label, before.variable, after.variable))
        totals = totals_among(self.program, left)
        for number, ((name, i), (_, before, after)) in enumerate(zip(places, left)):
            is_total, is_only_read = number in totals, before is after and before.is_number and before.dtype.kind == "i"
            if is_total or is_only_read:
                self.guard(Room(name, i, trees.leaves(name.value)[i], is_total))

    def _carry(self, places: list[Guard]) -> None:
        """Raise an error with the places whose values are to be inputs of the program, if there are any."""
        counted = [place.label for place in places if place.varying]
        if places or self.used:
            raise CarriedError(
                [*places, *self.used],
                UsageError(
                    f"the function changes a number in each run, {counted[0]}, and its program can only compute with "
                    "that number:"
                )
                if counted
                else None,
            )

    def _leave_in_attributes(self, values: list[Any], returned: list[Any]) -> list[Guard]:
        """Note what the function leaves in attributes; return those that it has read before."""
        to_carry: list[Guard] = []
        for owner, name, before in self._attributes.values():
            place, value = guard_of(owner, name, before), attribute_of(owner, name)
            if name in varying_names(owner) or place.key in self.carried:
                continue
            if isinstance(place, Item) and name not in place.owner:
                if before is not UNSET:
                    self.settings[id(owner), name] = Assigned(place.owner, name), UNSET
                continue
            has_read = self._has_read(owner, place)
            if has_read and self._goes_on(place, value):
                to_carry.append(_with_its_numbers(place, value))
            elif self._may_leave(value):
                if not has_read or before is UNSET or isinstance(before, SCALARS):
                    self._leave(place, value, values)
            elif isinstance(place, Item) and _may_set(value, before, has_read) and self._is_alone(value, returned):
                self.settings[id(owner), name] = Assigned(place.owner, name), value
            elif same(value, before):  # if another value may be there before a call, the program must store this one
                self.guard(place)
        return to_carry

    def _leave_under_names(self, values: list[Any]) -> list[Guard]:
        """Note what the function leaves under other names; return those that it may have read before."""
        to_carry: list[Guard] = []
        written = {guard_of(owner, name, None).key for owner, name, _ in self._attributes.values()}
        read = {key: guard for key, guard in self.guards.items() if type(guard) is Item and key not in written}
        carried = self.carried.names
        for place in {**carried, **self._reached.guards, **read, **carried}.values():  # the carried ones come first
            value = self.carried.replaced(place)
            if place.key in self.carried:
                known = [x for x in trees.leaves(value) if id(x) in self._outside]
                names = [name for x in known for name in self.names_of(x)]
                if known and not names:
                    raise _has_another_name(place)
                to_carry += names
                if not changed_numbers(place.value, value) <= place.varying:
                    to_carry.append(_with_its_numbers(place, value))
                if self.carried.is_only_read(place):
                    continue
                self._leave(place, value, values)
            elif value is not UNSET and self._goes_on(place, value):
                to_carry.append(_with_its_numbers(place, value))
            elif value is not UNSET and self._may_leave(value) and isinstance(place.value, SCALARS):
                self._leave(place, value, values)
            elif value is not UNSET and self._may_leave(value) and self._has_not_read(place.value):
                self.overwritten.add(place.key)
                self._leave(place, value, values)
            elif value is not UNSET and self._expected is not None and may_be_carried(place.value):
                raise _has_another_name(place)
            else:
                continue
            self._moved.append(place)
        return to_carry

    def _leave_in_arrays(self, values: list[Any]) -> list[Guard]:
        """Note into which arrays from outside the function writes; return the names that it goes on from."""
        to_carry: list[Guard] = []
        for known in (*self.carried.arrays.values(), *self.lent):
            self.variable_of(known.made)  # refuses an array into which the function wrote through a view
            if known.is_written:
                to_carry += self.names_of(known.array)
                self._refuse_overlaps(known)
                self.written_into.append(known.place)
                values.append(known.made)
        return to_carry

    def _refuse_other_lengths(self) -> None:
        """Refuse a function that adds to a list from outside, or removes or moves entries of a container."""
        for guard in {**self._reached.guards, **self.guards}.values():
            if not isinstance(guard, Whole):
                continue
            appended = guard.appended()
            if appended and not any(map(self._holds_result, appended)):  # these are refused with their line
                raise UsageError(
                    f"the function puts something into {guard.container}, which its program would not do in the next "
                    "runs: return it, and keep what the call returns"
                )
            if guard.has_lost(self.carried.stand_ins):
                raise UsageError(
                    f"the function takes entries out of {guard.container}, or moves them there, which its program "
                    "would not do in the next runs: replace them, as x.append(x.pop(0)) does in a list x of up to a "
                    "hundred entries, or change it outside the compiled function"
                )

    @property
    def _outside(self) -> dict[int, tuple[Array, str]]:
        """The arrays that the function can reach, each with its label, by id."""
        return {**self._reached.arrays, **self._reached.held}

    def _grown(self) -> list[Whole]:
        """The dicts with new keys, the sets with new entries, and the deques that are not full yet to which it adds."""
        return [x for x in {**self._reached.guards, **self.guards}.values() if isinstance(x, Whole) and x.added()]

    def _refuse_overlaps(self, written: StandIn) -> None:
        """Refuse a write into an array that the function may read in part through another one."""
        array = written.array
        known = {**self._outside, **{id(x): (x, "an array") for x in self.program.constants.values()}}
        is_given = isinstance(written.place, Argument)  # it may have a name, too
        others = [(x, label) for x, label in known.values() if is_given or x is not array]
        passed_in = [(x, place.name) for place, x in self._passed_in if place is not written.place]
        for other, label in [*others, *passed_in]:
            if isinstance(other, np.ndarray) and np.may_share_memory(other, array):
                raise UsageError(
                    "the function writes into an array from outside, by += or the like, that shares memory with "
                    f"{label}: write x = x + ..., or keep the values in one array alone"
                )

    def _leave(self, place: Guard, value: Any, values: list[Any]) -> None:
        self.left[place.key] = Left(place, [*map(self._freed, trees.leaves(value))])
        values.append(value)

    def _goes_on(self, place: Guard, value: Any) -> bool:
        """Whether a value that the program can take as an input takes the place of another one."""
        if is_a_number(place.value):
            is_computed = type(value) is Recorded and not value.shape
            is_number = is_a_number(value) or isinstance(value, np.number)
            return is_computed or (is_number and not same(value, place.value))
        if not may_be_carried(place.value):
            return False
        return self._may_leave(value) or (may_be_carried(value) and not same(value, place.value))

    def _may_leave(self, value: Any) -> bool:
        """Whether each run has a value of its own: what it computes, or a tensor among the arguments."""
        owners = (self._owners.get(id(x)) for x in trees.leaves(value))
        return self._holds_result(value) or any(isinstance(owner, Argument) for owner in owners)

    def _is_alone(self, value: Any, returned: list[Any]) -> bool:
        """Whether nothing else holds what an array does, nor is returned: each run puts an array of its own there."""
        if not isinstance(value, np.ndarray):
            return True
        others = [*(x for x, _ in self._outside.values()), *(x for _, x in self.settings.values()), *returned]
        return not any(isinstance(x, np.ndarray) and np.may_share_memory(x, value) for x in others)

    def _has_read(self, owner: Any, place: Guard) -> bool:
        """Whether the function has read an attribute before it wrote to it."""
        keys = place.key, (Missing, id(place.owner), place.name), (Field, id(owner), place.name)
        return any(key in self.guards for key in keys)

    def _refuse_views(self, values: list[Any]) -> None:
        """Refuse to leave a view of another array, if the function writes into arrays, and so perhaps into both."""
        left = [in_numpys_memory(x) for x in trees.leaves(values)]
        in_memory: dict[int, dict[int, Array]] = {}
        for array in [*map(in_numpys_memory, (x for x, _ in self._outside.values())), *left]:
            if isinstance(array, np.ndarray):
                in_memory.setdefault(id(memory_of(array)), {})[id(array)] = array
        for array in left:
            others = in_memory.get(id(memory_of(array)), {})
            if any(np.may_share_memory(array, other) for i, other in others.items() if i != id(array)):
                raise UsageError(
                    "the function writes into arrays from outside, by += or the like, and leaves a view of an array, "
                    "such as x.T or x[0], under another name, so that both are written into: leave a copy there, or "
                    "write x = x + ... in place of x += ..."
                )

    def _refuse_to_hand_on(self, returned: Any) -> None:
        """Refuse to return a tensor which it does not read, and overwrites, or to put it elsewhere."""
        known = {**self._reached.guards, **self.guards}
        former = [x for key in self.overwritten for x in trees.leaves(known[key].value)]
        now = [self.carried.replaced(place) for place in known.values()]
        now += [attribute_of(owner, name) for owner, name, _ in self._attributes.values()]
        for x in trees.leaves((returned, now)):
            if any(x is tensor for tensor in former):
                raise UsageError(
                    "the function hands on a tensor with a history of an earlier call, and puts another one in its "
                    "place: keep it without its history, by y = y.detach()"
                )

    def _has_not_read(self, value: Any) -> bool:
        """Whether a value consists of tensors, none of which the function has read."""
        tensors = trees.leaves(value)
        return all(isinstance(x, Tensor) and (x, "_array") not in self._before for x in tensors)

    def _freed(self, x: Any) -> Op | None:
        """The operation that made a tensor whose history `backward` has freed; None for any other tensor."""
        if not isinstance(x, Tensor) or x not in self._made or x.op is None or has_all(x, self.before):
            return None
        return next((op for op, followed in self._ops.items() if followed is x.op), x.op)

    def note_changes(self) -> None:
        """Record the final value in each place that the function wrote to."""
        for tensor, slot in self._before:
            if slot == "_grad":
                gradient = plain(tensor, "_grad")  # also if it stays None, since the next run may have one
                replaced = Gradient(self.place_of(tensor))
                self._update(replaced, None if gradient is None else gradient._array)
                if tensor in self._written_late:
                    self.kept_at_first.add(replaced)
            else:
                self._update(self.place_of(tensor), plain(tensor, slot))
        for place, value in self.optimizers.changes():
            self._update(place, value)
        for owner, name, before in self._attributes.values():
            if guard_of(owner, name, before).key not in self.left and (id(owner), name) not in self.settings:
                self._attribute(owner, name, before)

    def _update(self, place: Place, value: Any) -> None:
        if isinstance(value, Tensor):
            value = innermost(value)
        if type(value) is not Recorded and hasattr(value, "dtype"):
            value = self.constant(value)
        now = value.variable if type(value) is Recorded else value
        place = self._known(place)
        was = self._places.get(place)
        if was is None or now is not was.variable:
            self.program.updates[place] = now

    def _attribute(self, owner: Any, name: str, before: Any) -> None:
        value = getattr(owner, name, UNSET)
        before = getattr(type(owner), name, UNSET) if before is UNSET else before  # a module without hooks has none
        if name in varying_names(owner):
            self._update(Attribute(owner, name), value)
        elif isinstance(before, Tensor) and before._requires_grad and self._may_leave(value):
            raise UsageError(
                f"the function reads {type(owner).__name__}.{name}, a tensor that requires a gradient, and puts "
                f"another one in its place, but a program takes in no history of an earlier call: write self.{name} = "
                f"self.{name}.detach() after the reverse pass; or, if it is a parameter, self.{name}.data = ..."
            )
        elif not same(value, before):
            raise UsageError(
                f"the function assigns {type(owner).__name__}.{name}, which the program cannot repeat in the next "
                f"runs: return it; or, if the next call goes on from it, make it a tensor in __init__, and write "
                f"self.{name}.data = ...; or, if it is a setting, set it outside"
            )

    def restore(self) -> None:
        """Put back what was there before the run."""
        super().restore()
        for place in self._moved:
            place.put(place.value)
        for container in self._grown():
            container.put(container.value)


def _with_its_numbers(place: Guard, value: Any) -> Guard:
    """The guard of a name whose value the function changes to another one, and with it these numbers in it."""
    place.varying |= changed_numbers(place.value, value)
    return place


def _has_another_name(place: Guard) -> UsageError:
    return UsageError(
        f"the function puts another value in place of {place.label} in each call, but that value already has another "
        "name, or a history, so the program cannot do so in the next runs: do it outside, or put a copy there"
    )


def _may_set(value: Any, before: Any, has_read: bool) -> bool:
    """Whether a program sets an attribute to a value in each run: not if the value depends on what was there before."""
    is_new = before is None or before is UNSET  # the next call finds it there, and needs another program
    return isinstance(value, (*SCALARS, np.ndarray) if is_new or not has_read else _SWITCHES)
