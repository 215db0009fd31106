"""The surroundings of a run: what the function reads outside itself, and what it writes there."""

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from inspect import getattr_static
from types import CodeType, FunctionType, MemberDescriptorType
from typing import Any, NamedTuple, NoReturn

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.compiler.places import Argument, Attribute, Carried, Data, Gradient, Place, TensorPlace
from tinygrad_lite.compiler.program import Program, Variable
from tinygrad_lite.compiler.recording.carrying import (
    CarriedError,
    Left,
    Names,
    changed_numbers,
    is_a_number,
    may_be_carried,
)
from tinygrad_lite.compiler.recording.guards import (
    Field,
    Guard,
    Item,
    Key,
    Length,
    Missing,
    Whole,
    contents,
    of_class,
)
from tinygrad_lite.compiler.recording.optimizers import Optimizers
from tinygrad_lite.compiler.recording.randomness import RecordedGenerator
from tinygrad_lite.compiler.recording.reached import Reached, is_users_class
from tinygrad_lite.compiler.recording.recorded import Recorded
from tinygrad_lite.compiler.recording.same import memory_of
from tinygrad_lite.compiler.recording.transcript import Transcript, has_all
from tinygrad_lite.compiler.recording.watching import UNSET, has_its_own, plain, set_plain
from tinygrad_lite.compiler.recording.whole_numbers import refuse_large_numbers
from tinygrad_lite.compiler.signature import SCALARS, same
from tinygrad_lite.engine.op import Array, Op
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import UsageError
from tinygrad_lite.nn.substitution import original
from tinygrad_lite.optim import Optimizer
from tinygrad_lite.transforms.dual import innermost

_SWITCHES = (bool, str, type(None))
"""Settings of few values, each of which may have a program of its own; a number that each call changes has too many."""


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


class Surroundings(Transcript):
    """A transcript that is told what the function reads and writes, and makes the program's inputs and updates of it.

    Attributes:
        guards: the attributes that the function read and that the program fixes.
        called: the methods and functions that it read as attributes.
        shared: the generators among the arguments that the function also uses from outside, by position.
        same_as: the places whose tensor is also an argument, by the argument's position.
        gradients: the tensors whose gradient it read before it wrote one, and whether there was one.
        optimizers: the optimisers that it uses.
        carried: the names whose values it reads and replaces.
        left: the names under which it leaves what it computes: those, and others that it does not read before.
        overwritten: those of these names that stood for tensors which it does not read.
        written_into: the places of the arrays into which it writes.
        adds_entries: whether it puts what it computes under a new key of a dict, or into a deque that is not full yet.
        settings: what else it assigns, each with the value that it has in the end.

    Args:
        names: those of the tensors from outside.
        reached: what the function can reach.
        carried: the guards of the names whose values it is known to read and replace.
    """

    def __init__(
        self,
        names: Mapping[int, str],
        reached: Reached,
        expected: Program | None,
        outermost: CodeType,
        carried: dict[Key, Guard],
    ) -> None:
        super().__init__(expected, outermost)
        self._expected_inputs = [] if expected is None else [*expected.inputs.items()]
        self.guards: dict[Key, Guard] = {}
        self.called: list[Any] = []
        self.same_as: dict[int, TensorPlace] = {}
        self.shared: dict[int, np.random.Generator] = {}
        self.gradients: dict[Gradient, bool] = {}
        self.optimizers = Optimizers(self)
        self.carried = Names(carried)
        self.guards |= {guard.key: guard for guard in self.carried.forms}
        self.left: dict[Key, Left] = {}
        self.overwritten: set[Key] = set()
        self.written_into: list[Carried] = []
        self.adds_entries = False
        self._moved: list[Guard] = []
        self._written: list[tuple[Array, UsageError]] = []
        self.settings: dict[tuple[int, str], tuple[Assigned | Switched, Any]] = {}
        self._switched: dict[Tensor, Any] = {}
        self._names = names
        self._reached = reached
        self._new: dict[int, Any] = {}
        self._copies: set[int] = set()
        self._passed_in: list[tuple[Argument, Any]] = []
        self._places: dict[Place, Recorded] = {}
        self._met: dict[Place, Place] = {}
        self._taken: set[str] = set()
        self._owners: dict[int, Place] = {}
        self._made: set[Tensor] = set()
        self._before: dict[tuple[Tensor, str], Any] = {}
        self._attributes: dict[tuple[int, str], tuple[Any, str, Any]] = {}
        self._proxies: dict[int, RecordedGenerator] = {}

    def passed_in(self, place: Argument, x: Any) -> Any:
        """The value to pass to the function for a leaf of its arguments."""
        if isinstance(x, Tensor):
            self._owners[id(x)] = place
            return x
        if isinstance(x, np.random.Generator):
            return self._generator(x, place.index)
        self._passed_in.append((place, x))
        return self.another(self.read(place, x), False) if isinstance(x, (np.ndarray, np.generic)) else x

    def was_passed_in(self, x: Recorded) -> bool:
        return isinstance(self.program.inputs.get(x.variable), Argument)

    def read(self, place: Place, value: Any) -> Recorded:
        """Record the value in a place as an input of the program."""
        place = self._known(place)
        if place not in self._places:
            variable, expected = self._next(self._expected_inputs, len(self.program.inputs)) or (None, None)
            self._places[place] = made = self.recorded(value, variable if place == expected else None)
            made.is_fixed = True
            made.variable.name = place.name
            self.program.inputs[made.variable] = place
        return self._places[place]

    def _known(self, place: Place) -> Place:
        """The first place that is equal to this one; its name gets a number if another place has the same name."""
        if place not in self._met:
            named, count = place.name, 1
            while place.name in self._taken:
                count += 1
                place.name = f"{named}_{count}"
            self._taken.add(place.name)
            self._met[place] = place
        return self._met[place]

    def read_slot(self, tensor: Tensor, slot: str, value: Any) -> Any:
        if slot == "op":
            return self.with_followed_rules(value)
        if slot == "_grad":
            return self._read_gradient(tensor, value)
        if type(value) is Recorded:
            return value
        if tensor in self._made or (tensor, slot) in self._before:  # the function has put it there
            known = self.constant(value)
        else:
            known = self.read(self.place_of(tensor), value)
            self._before.setdefault((tensor, slot), value)
        set_plain(tensor, slot, known)
        return known

    def place_of(self, tensor: Tensor) -> Any:
        """Where the program finds a tensor's array: among the arguments, in an object, or in the tensor itself."""
        if id(tensor) in self._owners:
            return self._owners[id(tensor)]
        self._guard_gradient(tensor, tensor._requires_grad)
        return self._known(Data(tensor, self.name_of(tensor)))

    def _guard_gradient(self, tensor: Tensor, value: Any) -> None:
        """Guard whether a tensor requires a gradient before the run."""
        before = self._switched.get(tensor, value)
        self.guard(Field(tensor, "_requires_grad", before, f"{self.name_of(tensor)}.requires_grad"))

    def switches(self, tensor: Tensor, before: Any) -> None:
        """Note that the function says of a tensor from outside whether it requires a gradient."""
        if tensor not in self._made and id(tensor) not in self._owners:  # another call has another argument
            self._guard_gradient(tensor, self._switched.setdefault(tensor, before))

    def guard(self, guard: Guard) -> None:
        """Note what must be the same for the program to run again."""
        self.guards.setdefault(guard.key, guard)

    def name_of(self, tensor: Tensor) -> str:
        """What a person would call a tensor."""
        return tensor.name or self._names.get(id(tensor), "tensor")

    def _read_gradient(self, tensor: Tensor, value: Any) -> Any:
        if tensor not in self._made and (tensor, "_grad") not in self._before:
            place = Gradient(self.place_of(tensor))
            self.gradients.setdefault(place, value is not None)
            if isinstance(owner := self._owners.get(id(value)), Argument):
                self.same_as[owner.index] = place
            elif value is not None:
                self._owners[id(value)] = place
        return value

    def write_slot(self, tensor: Tensor, slot: str, before: Any, value: Any) -> Any:
        if slot == "_array" and type(value) is Recorded and not value.is_fixed:
            value = self.another(value, is_fixed=True)
        if before is UNSET:
            self._made.add(tensor)
        elif slot == "_array" and tensor in self.carried.tensors:
            self._refuse_two_ways(tensor)
        elif tensor not in self._made:
            self._before.setdefault((tensor, slot), before)
        return value

    def former(self, tensor: Tensor, slot: str) -> Any:
        """What a slot held before the run; UNSET if the function has not read or written it."""
        return self._before.get((tensor, slot), UNSET)

    def read_attribute(self, owner: Any, name: str, value: Any) -> Any:
        if (real := original(owner)) is not owner:  # a stand-in is new in each run, but what it was made from is not
            if (held := _attribute_of(real, name)) is not UNSET:
                self.read_attribute(real, name, held)
            return self._generator(value) if isinstance(value, np.random.Generator) else value
        if self._is_new(owner):
            if id(owner) in self._copies and isinstance(value, np.random.Generator):
                raise UsageError(
                    f"the function copies {type(owner).__name__} with the generator {name}, of which its program would "
                    "not make another copy in the next runs: copy it outside"
                )
            self._read_of_class(owner, name, value)
            return value
        if isinstance(owner, Optimizer) and name in ("state", "param_groups"):
            followed = self.optimizers.state_of if name == "state" else self.optimizers.groups_of
            return followed(owner, value)
        if name in _varying(owner):
            is_known = type(value) is Recorded or (id(owner), name) in self._attributes
            return value if is_known else self.read(Attribute(owner, name), value)
        if (id(owner), name) not in self._attributes and not isinstance(value, RecordedGenerator):
            self._read_anew(owner, name, value)
        return self._generator(value) if isinstance(value, np.random.Generator) else value

    def read_fields(self, owner: Any, fields: dict[str, Any]) -> None:
        """Guard all attributes of an object, of which `vars` may read any."""
        if self._is_new(owner):
            return
        read: dict[Key, Guard] = {}
        contents(fields, type(owner).__name__, read)
        for guard in read.values():
            if not self._holds_result(guard.value if guard.owner is fields else guard.owner):
                self.guard(guard)

    def miss_attribute(self, owner: Any, name: str) -> None:
        """Guard that an object has no such attribute, as `hasattr` finds out."""
        fields = _fields(owner)
        if original(owner) is owner and fields is not None:
            self.guard(Missing(fields, name, f"{type(owner).__name__}.{name}"))

    def _read_anew(self, owner: Any, name: str, value: Any) -> None:
        """Guard an attribute, unless Python computes it from others."""
        fields, label = _fields(owner), f"{type(owner).__name__}.{name}"
        key = _place(owner, name, value).key
        if key in self.carried:
            return
        if fields is not None and dict.get(fields, name, UNSET) is value:
            is_known = key in self.guards or self.carried.names
            if isinstance(value, (list, deque, dict, set)) and not is_known:
                entries: dict[Key, Guard] = {}
                contents(value, label, entries)
                self._reached.guards = {**entries, **self._reached.guards}
            self.guard(Item(fields, name, value, label))
        else:
            method = getattr_static(type(owner), name, None)
            if isinstance(method, MemberDescriptorType) or not hasattr(method, "__get__"):
                self.guard(Field(owner, name, value, label))
            else:
                self.called += [getattr(method, "fget", None), getattr(type(method), "__get__", None)]
                self._guard_method(owner, name, method)
        self.called += [value] if callable(value) else []

    def _read_of_class(self, owner: Any, name: str, value: Any) -> None:
        """Guard what an object that the function has made itself has from its class."""
        if name in (_fields(owner) or ()):
            return
        kind, method = type(owner), getattr_static(type(owner), name, None)
        self.called += [getattr(method, "fget", None), getattr(value, "__func__", None)]
        if any(name in vars(base) and is_users_class(base) for base in kind.__mro__):
            self.guard(of_class(kind, name, f"{kind.__name__}.{name}"))

    def _guard_method(self, owner: Any, name: str, method: Any) -> None:
        """Guard a method or a property: a user's class may get another, and any object an attribute in its place."""
        fields, kind, label = _fields(owner), type(owner), f"{type(owner).__name__}.{name}"
        is_users = any(name in vars(base) and is_users_class(base) for base in kind.__mro__)
        if is_users:
            self.guard(of_class(kind, name, label))
        is_ours = isinstance(method, FunctionType) and not name.startswith("_")
        if fields is None or hasattr(method, "__set__") or not (is_users or is_ours):
            return
        has_one_test = isinstance(owner, Optimizer) and not is_users  # for all of its methods
        self.guard(Length(fields, label) if has_one_test else Missing(fields, name, label))

    def _is_new(self, owner: Any) -> bool:
        """Whether the function, or this recording, has made an object."""
        if id(owner) in self._new or id(owner) in self.carried.containers:
            return True
        if not has_its_own(type(owner), "__setattr__"):  # by which we would have heard of its first attribute
            return False
        if any(map(self._holds_result, dict.values(_fields(owner) or {}))):
            self._new[id(owner)] = owner
        return id(owner) in self._new

    def copies(self, owner: Any) -> None:
        """Note an object that the function makes as a copy of another one."""
        self._new[id(owner)] = owner
        self._copies.add(id(owner))

    def write_attribute(self, owner: Any, name: str, value: Any) -> Any:
        if isinstance(getattr_static(type(owner), name, None), property):
            return value  # its setter writes attributes, of which we hear
        if original(owner) is not owner:
            return value  # and so we do when what a stand-in was given is written to the module itself
        if id(owner) in self.carried.containers:
            raise UsageError(
                f"the function assigns {type(owner).__name__}.{name} of an object in whose place it puts another one: "
                "do one of both, since others may hold the first one"
            )
        fields = _fields(owner)
        if not fields and id(owner) not in self._reached.objects:
            self._new[id(owner)] = owner  # its __init__ is running
        if id(owner) not in self._new:
            place = _place(owner, name, None)
            before = dict.get(place.owner, name, UNSET) if isinstance(place, Item) else _attribute_of(owner, name)
            self._attributes.setdefault((id(owner), name), (owner, name, before))
        return value

    def reaches(self, tensor: Tensor, g: Any) -> None:
        """Note that the reverse pass hands a gradient, or a contribution to it, to a tensor."""
        if self._expected is not None:
            return
        array, g = plain(tensor, "_array"), innermost(g)
        if type(array) is type(g) is Recorded:
            self.namer.gradient(g.variable, array.variable)

    def copied(self, array: Array) -> Array:
        """A copy of an array from outside, which each run reads as it is then."""
        return self.constant(array).copy()

    def notes_write(self, array: Array, refusal: UsageError) -> bool:
        if type(array) is not np.ndarray:
            return False
        if not array.flags.writeable:
            raise ValueError("output array is read-only")  # as NumPy says; it may be locked for the recording alone
        self._written.append((array, refusal))
        return True

    def names_of(self, array: Array) -> list[Guard]:
        """The names of an array from outside that the function may read, be it in a tuple."""
        read = {**self._reached.guards, **self.guards}.values()
        places = [guard for guard in read if type(guard) in (Item, Field) and guard.key not in self.carried]
        return [guard for guard in places if any(x is array for x in _within(guard.value))]

    def truth(self, variable: Variable) -> bool | None:
        """Whether a setting of an optimiser's is not zero, which is guarded; None for any other variable."""
        return self.optimizers.truth(self.program.inputs.get(variable))

    def _generator(self, generator: np.random.Generator, argument: int | None = None) -> RecordedGenerator:
        """A stand-in whose draws become calls of the program."""
        if isinstance(generator, RecordedGenerator):
            return generator
        if id(generator) not in self._proxies:
            self._proxies[id(generator)] = RecordedGenerator(generator, argument, self.add)
        else:  # it occurs twice, and next time there may be two generators
            self.shared.update(
                {i: generator for i in (argument, self._proxies[id(generator)]._argument) if i is not None}
            )
        return self._proxies[id(generator)]

    def leave(self, returned: Any) -> list[Any]:
        """Note where the function leaves what it computes, and its settings; return what it leaves.

        These are the values under names, and then the entries of the arrays into which it writes.

        Raises:
            CarriedError: if it may have read what was there before, and those values can be inputs of the program.
        """
        values: list[Any] = []
        self._refuse_losses()
        self.adds_entries = bool(self._grown())
        to_carry = self._leave_in_attributes(values)
        to_carry += self._leave_under_names(values)
        otherwise: UsageError | None = None
        for array, refusal in self._written:
            to_carry += (names := self.names_of(array))
            otherwise = otherwise if names else refusal
        for known in self.carried.arrays.values():
            self.variable_of(known.made)  # refuses an array that was written into by way of a view
            if known.is_written:
                to_carry += self.names_of(known.array)
                self._refuse_overlaps(known.array)
                self.written_into.append(known.place)
                values.append(known.made)
        self._refuse_to_hand_on(returned)
        if self.written_into:
            self._refuse_views(values)
        if to_carry:
            counted = [place.label for place in to_carry if place.varying]
            if counted and otherwise is None:
                otherwise = UsageError(
                    f"the function changes a number in each run, {counted[0]}, and its program can do no more with "
                    "that than compute:"
                )
            raise CarriedError(to_carry, otherwise)
        if otherwise is not None:  # NumPy alone has made the array
            raise otherwise
        for name in self.carried.names.values():
            after = [x.variable for x in trees.leaves(self.carried.replaced(name)) if type(x) is Recorded]
            refuse_large_numbers(self.program, name.label, after)
        self.guards |= {guard.key: guard for guard in self.carried.identities()}
        for stand_in, tensor in self.carried.tensors.items():
            if (tensor, "_array") in self._before:
                self._refuse_two_ways(stand_in)
        for tensor in self._switched:
            self.settings[id(tensor), "_requires_grad"] = Switched(tensor), tensor._requires_grad
        return values

    def _leave_in_attributes(self, values: list[Any]) -> list[Guard]:
        """Note what the function leaves in attributes; return those that it has read before."""
        to_carry: list[Guard] = []
        for owner, name, before in self._attributes.values():
            place, value = _place(owner, name, before), _attribute_of(owner, name)
            if name in _varying(owner) or place.key in self.carried:
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
            elif isinstance(place, Item) and _may_set(value, before, has_read):
                self.settings[id(owner), name] = Assigned(place.owner, name), value
            elif same(value, before):  # if it holds something else before the call, the program must put this there
                self.guard(place)
        return to_carry

    def _leave_under_names(self, values: list[Any]) -> list[Guard]:
        """Note what the function leaves under other names; return those that it may have read before."""
        to_carry: list[Guard] = []
        written = {_place(owner, name, None).key for owner, name, _ in self._attributes.values()}
        read = {key: guard for key, guard in self.guards.items() if type(guard) is Item and key not in written}
        carried = self.carried.names
        for place in {**carried, **self._reached.guards, **read, **carried}.values():  # those known to be carried first
            value = self.carried.replaced(place)
            if place.key in self.carried:
                known = [x for x in trees.leaves(value) if id(x) in self._outside]
                names = [name for x in known for name in self.names_of(x)]
                if known and not names:
                    raise _has_another_name(place)
                to_carry += names
                if not changed_numbers(place.value, value) <= place.varying:
                    to_carry.append(_with_its_numbers(place, value))
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

    def _refuse_losses(self) -> None:
        """Refuse to take entries out of a container from outside, or to move them, which the program would not do."""
        for guard in {**self._reached.guards, **self.guards}.values():
            if isinstance(guard, Whole) and guard.has_lost(self.carried.stand_ins):
                raise UsageError(
                    f"the function takes entries out of {guard.container}, or moves them there, which its program does "
                    "not do in the next runs: put others in their places, as x.append(x.pop(0)) does in a list x of up "
                    "to a hundred entries, or change it outside the compiled function"
                )

    @property
    def _outside(self) -> dict[int, tuple[Array, str]]:
        """The arrays that the function can reach, each with its label, by id."""
        return {**self._reached.arrays, **self._reached.held}

    def _grown(self) -> list[Whole]:
        """The dicts with what it computes under new keys, and the deques that are not full yet to which it adds."""
        wholes = [x for x in {**self._reached.guards, **self.guards}.values() if isinstance(x, Whole)]
        return [x for x in wholes if any(isinstance(x.owner, deque) or self._holds_result(y) for y in x.added())]

    def _refuse_two_ways(self, tensor: Tensor) -> NoReturn:
        key = next(key for key, value in self.carried.stand_ins.items() if tensor in trees.leaves(value))
        raise UsageError(
            f"the function puts another tensor in place of {self.carried.names[key].label}, and also reads or writes "
            "that tensor itself: write t.data = ... alone, or keep the tensor under one name"
        )

    def _refuse_overlaps(self, array: Array) -> None:
        """Refuse to write into an array of which the function may read a part by way of another one."""
        known = {**self._outside, **{id(x): (x, "an array") for x in self.program.constants.values()}}
        others = [(x, label) for x, label in known.values() if x is not array]
        for other, label in [*others, *((x, place.name) for place, x in self._passed_in)]:
            if isinstance(other, np.ndarray) and np.may_share_memory(other, array):
                raise UsageError(
                    "the function writes into an array from outside, by += or the like, that shares memory with "
                    f"{label}: write x = x + ..., or keep the values in one array alone"
                )

    def _leave(self, place: Guard, value: Any, values: list[Any]) -> None:
        self.left[place.key] = Left(place, [*map(self._freed, trees.leaves(value))])
        values.append(value)

    def _holds_result(self, value: Any) -> bool:
        """Whether a value, or a leaf of it, is what the function has computed."""
        return any(type(x) is Recorded or (isinstance(x, Tensor) and x in self._made) for x in trees.leaves(value))

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

    def _has_read(self, owner: Any, place: Guard) -> bool:
        """Whether the function has read an attribute before it wrote to it."""
        keys = place.key, (Missing, id(place.owner), place.name), (Field, id(owner), place.name)
        return any(key in self.guards for key in keys)

    def _refuse_views(self, values: list[Any]) -> None:
        """Refuse to leave a view of another array, if the function writes into arrays, and so perhaps into both."""
        in_memory: dict[int, dict[int, Array]] = {}
        for x in [*(array for array, _ in self._outside.values()), *trees.leaves(values)]:
            array = x.value if type(x) is Recorded else x
            if isinstance(array, np.ndarray):
                in_memory.setdefault(id(memory_of(array)), {})[id(array)] = array
        for x in trees.leaves(values):
            array = x.value if type(x) is Recorded else x
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
        now += [_attribute_of(owner, name) for owner, name, _ in self._attributes.values()]
        for x in trees.leaves((returned, now)):
            if any(x is tensor for tensor in former):
                raise UsageError(
                    "the function hands on a tensor with a history of an earlier call, and puts another one in its "
                    "place: keep it without its history, by y = y.detach()"
                )

    def _has_not_read(self, value: Any) -> bool:
        """Whether a value is of tensors, none of which the function has read."""
        tensors = trees.leaves(value)
        return all(isinstance(x, Tensor) and (x, "_array") not in self._before for x in tensors)

    def _freed(self, x: Any) -> Op | None:
        """The operation that made a tensor, of which `backward` has freed the history; else None."""
        if not isinstance(x, Tensor) or x not in self._made or x.op is None or has_all(x, self.before):
            return None
        return next((op for op, followed in self._ops.items() if followed is x.op), x.op)

    @property
    def before(self) -> set[Tensor]:
        """The tensors that were there before the run."""
        return {tensor for tensor, _ in self._before}

    def note_changes(self) -> None:
        """Record the final value in each place that the function wrote to."""
        for tensor, slot in self._before:
            if slot == "_grad":
                gradient = plain(tensor, "_grad")  # also if it stays None, since there may be one in the next run
                self._update(Gradient(self.place_of(tensor)), None if gradient is None else gradient._array)
            else:
                self._update(self.place_of(tensor), plain(tensor, slot))
        for place, value in self.optimizers.changes():
            self._update(place, value)
        for owner, name, before in self._attributes.values():
            if _place(owner, name, before).key not in self.left and (id(owner), name) not in self.settings:
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
        before = getattr(type(owner), name, UNSET) if before is UNSET else before  # as a module without hooks has none
        if name in _varying(owner):
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
        for (tensor, slot), value in self._before.items():
            set_plain(tensor, slot, value)
        for tensor, value in self._switched.items():
            tensor._requires_grad = value
        for owner, name, value in self._attributes.values():
            if value is not UNSET:
                object.__setattr__(owner, name, value)
                continue
            with suppress(AttributeError):  # the function may have deleted it
                object.__delattr__(owner, name)
        for place in self._moved:
            place.put(place.value)
        for container in self._grown():
            container.put(container.value)
        for proxy in self._proxies.values():
            proxy.restore()


def _with_its_numbers(place: Guard, value: Any) -> Guard:
    """The guard of a name whose value the function changes to another one, and with it these numbers in it."""
    place.varying |= changed_numbers(place.value, value)
    return place


def _has_another_name(place: Guard) -> UsageError:
    return UsageError(
        f"the function puts another value in place of {place.label} in each call, which has another name already, or a "
        "history, and its program would not do that in the next runs: do it outside, or put a copy there"
    )


def _within(value: Any) -> list[Any]:
    """A value, or what is in a tuple."""
    return [x for part in value for x in _within(part)] if isinstance(value, tuple) else [value]


def _may_set(value: Any, before: Any, has_read: bool) -> bool:
    """Whether a program sets an attribute to a value in each run: not if that comes of what was there before."""
    if before is None or before is UNSET:  # the next call finds it there, and has another program
        return isinstance(value, (*SCALARS, np.ndarray))
    return isinstance(value, _SWITCHES if has_read else SCALARS)


def _fields(owner: Any) -> dict[str, Any] | None:
    """The dict of an object's attributes, if it has one; it may be the object itself, which is then watched."""
    fields = _attribute_of(owner, "__dict__")
    return None if fields is UNSET else fields


def _place(owner: Any, name: str, value: Any) -> Guard:
    """The guard of an attribute, in the object's dict or in a slot."""
    fields, label = _fields(owner), f"{type(owner).__name__}.{name}"
    if fields is None or isinstance(getattr_static(type(owner), name, None), MemberDescriptorType):
        return Field(owner, name, value, label)
    return Item(fields, name, value, label)


def _attribute_of(owner: Any, name: str) -> Any:
    """An attribute, read without a report; UNSET if there is none."""
    try:
        return object.__getattribute__(owner, name)
    except AttributeError:
        return UNSET


def _varying(owner: Any) -> tuple[str, ...]:
    """The attributes of an owner that each run reads again."""
    return getattr(type(owner), "varying", ())
