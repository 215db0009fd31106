"""The surroundings of a run: what the function reads outside itself, and what it writes there."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import CodeType, FunctionType, MemberDescriptorType
from typing import Any, NoReturn

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.compiler.draws import GENERATORS, Generator, is_drawing
from tinygrad_lite.compiler.places import Argument, Attribute, Carried, Data, Gradient, Place, TensorPlace
from tinygrad_lite.compiler.program import Program, Variable
from tinygrad_lite.compiler.recording.carrying import Names, StandIn
from tinygrad_lite.compiler.recording.decisions import Decision, decision_by
from tinygrad_lite.compiler.recording.guards import Field, Guard, Item, Key, Length, Missing, contents, of_class
from tinygrad_lite.compiler.recording.making import makings
from tinygrad_lite.compiler.recording.optimizers import Optimizers
from tinygrad_lite.compiler.recording.randomness import StandInGenerator, in_place_of
from tinygrad_lite.compiler.recording.reached import Reached, generators_in, is_users_class
from tinygrad_lite.compiler.recording.recorded import Recorded, at_line
from tinygrad_lite.compiler.recording.same import memory_of
from tinygrad_lite.compiler.recording.transcript import Transcript
from tinygrad_lite.compiler.recording.watching import UNSET, has_its_own, plain, set_plain
from tinygrad_lite.compiler.recording.whole_numbers import MOST, too_large
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import UsageError
from tinygrad_lite.nn.substitution import original
from tinygrad_lite.optim import Optimizer
from tinygrad_lite.transforms.dual import innermost


class Surroundings(Transcript):
    """A transcript that is told of each read and write outside, and makes the program's inputs and updates of them.

    Attributes:
        guards: the attributes that the function read and that the program fixes.
        called: the methods and functions that it read as attributes.
        shared: the generators among the arguments that the function also uses from outside, by position.
        same_as: the places whose tensor is also an argument, by the argument's position.
        gradients: the tensors whose gradient it read before it wrote one, and whether there was one.
        optimizers: the optimisers that it uses.
        carried: the names whose values it reads and replaces.
        lent: the stand-ins for the arrays among the arguments.
        used: the names of further arrays that must be recorded.

    Args:
        names: the names of the tensors from outside.
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
        self.shared: dict[int, Generator] = {}
        self.gradients: dict[Gradient, bool] = {}
        self.optimizers = Optimizers(self)
        self.carried = Names(carried)
        self.guards |= {guard.key: guard for guard in self.carried.forms}
        self.used: list[Guard] = []
        self._switched: dict[Tensor, Any] = {}
        self._names = names
        self._reached = reached
        self._new: dict[int, Any] = {}
        self._copies: set[int] = set()
        self._passed_in: list[tuple[Argument, Any]] = []
        self.lent: list[StandIn] = []
        self._places: dict[Place, Recorded] = {}
        self._met: dict[Place, Place] = {}
        self._taken: set[str] = set()
        self._owners: dict[int, Place] = {}
        self._made: set[Tensor] = set()
        self._before: dict[tuple[Tensor, str], Any] = {}
        self._written_late: set[Tensor] = set()
        self._attributes: dict[tuple[int, str], tuple[Any, str, Any]] = {}
        self._proxies: dict[int, StandInGenerator] = {}
        self._replaced: list[Guard] = []

    def passed_in(self, place: Argument, x: Any, is_input: bool = False) -> Any:
        """The value to pass to the function for a leaf of its arguments.

        Args:
            is_input: whether it is a Python number that each run reads again.
        """
        if isinstance(x, Tensor):
            self._owners[id(x)] = place
            return x
        if isinstance(x, GENERATORS):
            return self._generator(x, place.index)
        self._passed_in.append((place, x))
        if not is_input and not isinstance(x, (np.ndarray, np.generic)):
            return x
        made = self.another(self.read(place, x), False)
        self.lent += [StandIn(made, x, place, made.variable)] if isinstance(x, np.ndarray) else []
        return made

    def read(self, place: Place, value: Any) -> Recorded:
        """Record the value in a place as an input of the program."""
        place = self._known(place)
        if place not in self._places:
            if type(value) is int and value.bit_length() > MOST:
                raise too_large(place.name)
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
        if type(value) is Recorded:
            return value
        if slot == "op":
            return self.with_followed_rules(value)
        if slot == "_grad":
            return self._read_gradient(tensor, value)
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

    def _refuse_two_ways(self, tensor: Tensor) -> NoReturn:
        key = next(key for key, value in self.carried.stand_ins.items() if tensor in trees.leaves(value))
        raise UsageError(
            f"the function puts another tensor in place of {self.carried.names[key].label}, and also reads or writes "
            "that tensor itself: write t.data = ... alone, or keep the tensor under one name"
        )

    def _guard_gradient(self, tensor: Tensor, value: Any) -> None:
        """Guard whether a tensor requires a gradient before the run."""
        before = self._switched.get(tensor, value)
        self.guard(Field(tensor, "_requires_grad", before, f"{self.name_of(tensor)}.requires_grad"))

    def switches(self, tensor: Tensor, before: Any) -> None:
        """Note that the function sets whether a tensor from outside requires a gradient."""
        if tensor not in self._made and id(tensor) not in self._owners:  # an argument may be another in the next call
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
        elif tensor not in self._made and (tensor, slot) not in self._before:
            self._before[tensor, slot] = before
            if slot == "_grad" and self.program.calls:
                self._written_late.add(tensor)
        return value

    def former(self, tensor: Tensor, slot: str) -> Any:
        """What a slot held before the run; UNSET if the function has not read or written it."""
        return self._before.get((tensor, slot), UNSET)

    def read_attribute(self, owner: Any, name: str, value: Any) -> Any:
        if (real := original(owner)) is not owner:  # a stand-in is new in each run, its original is not
            if (held := attribute_of(real, name)) is not UNSET:
                self.read_attribute(real, name, held)
            return self._drawing(value) if is_drawing(value) else value
        if self._is_new(owner):
            if id(owner) in self._copies and is_drawing(value):
                raise UsageError(
                    f"the function copies {type(owner).__name__} with the generator {name}, of which its program would "
                    "not make another copy in the next runs: copy it outside"
                )
            self._read_of_class(owner, name, value)
            return value
        if isinstance(owner, Optimizer) and name in ("state", "param_groups"):
            followed = self.optimizers.state_of if name == "state" else self.optimizers.groups_of
            return followed(owner, value)
        if name in varying_names(owner):
            is_known = type(value) is Recorded or (id(owner), name) in self._attributes
            return value if is_known else self.read(Attribute(owner, name), value)
        if (id(owner), name) not in self._attributes and not isinstance(value, StandInGenerator):
            self._read_anew(owner, name, value)
        return self._drawing(value) if is_drawing(value) else value

    def read_fields(self, owner: Any, fields: dict[str, Any]) -> None:
        """Guard all attributes of an object, since `vars` may read any of them."""
        if self._is_new(owner):
            return
        read: dict[Key, Guard] = {}
        contents(fields, type(owner).__name__, read)
        stand_ins = {id(x) for value in self.carried.stand_ins.values() for x in trees.leaves(value)}
        for guard in read.values():
            holder = guard.value if guard.owner is fields else guard.owner
            held = trees.leaves(holder)
            # the form of a carried value is guarded
            is_carried = guard.key in self.carried.names or id(holder) in self.carried.containers
            if not is_carried and not self._holds_result([x for x in held if id(x) not in stand_ins]):
                self.guard(guard)

    def miss_attribute(self, owner: Any, name: str) -> None:
        """Guard that an object has no such attribute, as `hasattr` finds out."""
        fields = _fields(owner)
        if original(owner) is owner and fields is not None:
            self.guard(Missing(fields, name, f"{type(owner).__name__}.{name}"))

    def _read_anew(self, owner: Any, name: str, value: Any) -> None:
        """Guard an attribute; guard its method instead if Python computes it from others."""
        fields, label = _fields(owner), f"{type(owner).__name__}.{name}"
        key = guard_of(owner, name, value).key
        if key in self.carried:
            return
        if fields is not None and dict.get(fields, name, UNSET) is value:
            is_known = key in self.guards or self.carried.names  # a carried one was met before
            if isinstance(value, (list, deque, dict, set)) and not is_known:
                entries: dict[Key, Guard] = {}
                contents(value, label, entries)
                self._reached.guards = {**entries, **self._reached.guards}
            if isinstance(value, (list, deque, dict)) and key not in self.guards:
                self._replace_generators(value, label)
            self.guard(Item(fields, name, value, label))
        else:
            method = in_class(type(owner), name)
            if isinstance(method, MemberDescriptorType) or not hasattr(method, "__get__"):
                self.guard(Field(owner, name, value, label))
            else:
                self.called += [getattr(method, "fget", None), getattr(type(method), "__get__", None)]
                self._guard_method(owner, name, method)
        self.called += [value] if callable(value) else []

    def _replace_generators(self, container: Any, label: str) -> None:
        """Put stand-ins in the places of the generators in a container until the run is over."""
        inside: dict[Key, Guard] = {}
        contents(container, label, inside)
        for entry in generators_in(inside.values()):
            if not isinstance(entry.value, StandInGenerator):
                entry.put(self._drawing(entry.value))
                self._replaced.append(entry)

    def _read_of_class(self, owner: Any, name: str, value: Any) -> None:
        """Guard what an object has from its class, if the function itself has made the object."""
        if name in (_fields(owner) or ()):
            return
        kind, method = type(owner), in_class(type(owner), name)
        self.called += [getattr(method, "fget", None), getattr(value, "__func__", None)]
        if any(name in vars(base) and is_users_class(base) for base in kind.__mro__):
            self.guard(of_class(kind, name, f"{kind.__name__}.{name}"))

    def _guard_method(self, owner: Any, name: str, method: Any) -> None:
        """Guard a method or a property: a user may replace it in the class, or hide it by an attribute."""
        fields, kind, label = _fields(owner), type(owner), f"{type(owner).__name__}.{name}"
        is_users = any(name in vars(base) and is_users_class(base) for base in kind.__mro__)
        if is_users:
            self.guard(of_class(kind, name, label))
        is_ours = isinstance(method, FunctionType) and not name.startswith("_")
        if fields is None or hasattr(method, "__set__") or not (is_users or is_ours):
            return
        has_one_test = isinstance(owner, Optimizer) and not is_users  # one for all of its methods
        self.guard(Length(fields, label) if has_one_test else Missing(fields, name, label))

    def _is_new(self, owner: Any) -> bool:
        """Whether the function, or this recording, has made an object."""
        if id(owner) in self._new or id(owner) in self.carried.containers:
            return True
        if id(owner) in self._reached.objects or not has_its_own(type(owner), "__setattr__"):
            return False  # it was there before; else its first attribute would have been reported
        if any(map(self._holds_result, dict.values(_fields(owner) or {}))):
            self._new[id(owner)] = owner
        return id(owner) in self._new

    def copies(self, owner: Any) -> None:
        """Note an object that the function makes as a copy of another one."""
        self._new[id(owner)] = owner
        self._copies.add(id(owner))

    def write_attribute(self, owner: Any, name: str, value: Any) -> Any:
        if isinstance(in_class(type(owner), name), property):
            return value  # its setter writes attributes, which are reported
        if original(owner) is not owner:
            return value  # a stand-in's fields are reported when they are written to the module itself
        if id(owner) in self.carried.containers:
            raise UsageError(
                f"the function assigns {type(owner).__name__}.{name} of an object, and replaces the object: "
                "do only one of the two, since other code may hold the first object"
            )
        fields = _fields(owner)
        if not fields and id(owner) not in self._reached.objects:
            self._new[id(owner)] = owner  # its __init__ is running
        if id(owner) not in self._new:
            place = guard_of(owner, name, None)
            before = dict.get(place.owner, name, UNSET) if isinstance(place, Item) else attribute_of(owner, name)
            self._attributes.setdefault((id(owner), name), (owner, name, before))
        return value

    def goes_through(self, tensor: Tensor) -> None:
        """Refuse a reverse pass through a history from outside: it would free that, and the next run has none."""
        if tensor not in self._made:
            raise UsageError(
                f"the reverse pass goes through a tensor that was computed outside the compiled function{at_line()}\n"
                "and each call would need another history: compute it inside; or return the loss, and call backward() "
                "on it after the call"
            )

    def reaches(self, tensor: Tensor, g: Any) -> None:
        """Note that the reverse pass hands a gradient, or a contribution to it, to a tensor."""
        if self._expected is not None:
            return
        array, g = plain(tensor, "_array"), innermost(g)
        if type(array) is type(g) is Recorded:
            self.namer.gradient(g.variable, array.variable)

    def copied(self, array: Array) -> Array:
        """A copy of an array from outside, which each run makes again."""
        return self.constant(array).copy()

    def notes_use(self, arrays: Sequence[Array]) -> bool:
        known = [array for array in arrays if type(array) is np.ndarray]
        self.used += (names := [name for array in known for name in self.names_around(array)])
        return bool(names)

    def notes_write(self, array: Array) -> bool:
        if type(array) is np.ndarray and not array.flags.writeable:
            raise ValueError("output array is read-only")  # NumPy's words; perhaps only this recording locks it
        return self.notes_use([array]) or self._notes_origins()

    def _notes_origins(self) -> bool:
        """Note all arrays from outside, of which NumPy alone may have made one; whether there are any.

        Not yet if the function makes arrays of nothing: it is recorded again with these, of which it may be one.
        """
        made = makings.get()
        if made is not None and made.are_met and not made.are_recorded:
            return False
        self.used += (names := self._names_where(lambda x: x.dtype.kind in "biufc"))
        return bool(names)

    def names_of(self, array: Array) -> list[Guard]:
        """The names of an array from outside that the function may read, even if it is in a tuple."""
        return self._names_where(lambda x: x is array)

    def names_around(self, array: Array) -> list[Guard]:
        """The names of an array from outside; if the function makes it as a view, the names of arrays in its memory."""
        memory = memory_of(array)
        return self.names_of(array) or self._names_where(lambda x: memory_of(x) is memory)

    def _names_where(self, is_meant: Callable[[Array], bool]) -> list[Guard]:
        read = {**self._reached.guards, **self.guards}.values()
        places = [guard for guard in read if type(guard) in (Item, Field) and guard.key not in self.carried]
        return [guard for guard in places if any(map(is_meant, filter(_may_be_recorded, _within(guard.value))))]

    def truth(self, variable: Variable) -> bool | None:
        """Whether an optimiser's setting, or a number that is made of inputs alone, is not zero; this is guarded."""
        truth = self.optimizers.truth(self.program.inputs.get(variable))
        return self._decided(variable, bool) if truth is None else truth

    def requires(self, variable: Variable) -> bool | None:
        if (decision := self._decision(variable, bool)) is None:
            return None
        self.guard(decision.without_branch())
        return bool(decision.value)

    def settled(self, variable: Variable) -> int | None:
        """The whole number that is made of inputs alone, which is guarded; None for any other number."""
        return self._decided(variable, int)  # type: ignore[no-any-return]

    def _decision(self, variable: Variable, answer: type) -> Decision | None:
        places = self._places.items()
        numbers = {x.variable: x.value for place, x in places if isinstance(place, (Carried, Argument))}
        return decision_by(variable, self.program, numbers, answer)

    def _decided(self, variable: Variable, answer: type) -> Any:
        if (decision := self._decision(variable, answer)) is None:
            return None
        self.guard(decision)
        return self.guards[decision.key].value

    def _drawing(self, x: Any) -> Any:
        """The stand-in of a generator, or the method of one that stands in for its generator."""
        return self._generator(x) if isinstance(x, GENERATORS) else getattr(self._generator(x.__self__), x.__name__)

    def _generator(self, generator: Generator, argument: int | None = None) -> StandInGenerator:
        """A stand-in whose draws become calls of the program."""
        if isinstance(generator, StandInGenerator):
            return generator
        if id(generator) not in self._proxies:
            self._proxies[id(generator)] = in_place_of(generator, argument, self.add)
        else:  # it occurs twice; in the next call, there may be two generators
            self.shared.update(
                {i: generator for i in (argument, self._proxies[id(generator)]._argument) if i is not None}
            )
        return self._proxies[id(generator)]

    def _holds_result(self, value: Any) -> bool:
        """Whether the function has computed a value, or a leaf of it."""
        return any(type(x) is Recorded or (isinstance(x, Tensor) and x in self._made) for x in trees.leaves(value))

    @property
    def before(self) -> set[Tensor]:
        """The tensors that were there before the run."""
        return {tensor for tensor, _ in self._before}

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
        for proxy in self._proxies.values():
            proxy.restore()
        for place in self._replaced:
            place.put(place.value)


def _may_be_recorded(x: Any) -> bool:
    return type(x) is np.ndarray and x.dtype.names is None


def _within(value: Any) -> list[Any]:
    """The value, or the values in a tuple."""
    return [x for part in value for x in _within(part)] if isinstance(value, tuple) else [value]


def _fields(owner: Any) -> dict[str, Any] | None:
    """The dict of an object's attributes, if it has one; an object may be its own dict, which is then watched."""
    fields = attribute_of(owner, "__dict__")
    return None if fields is UNSET else fields


def guard_of(owner: Any, name: str, value: Any) -> Guard:
    """The guard of an attribute, in the object's dict or in a slot."""
    fields, label = _fields(owner), f"{type(owner).__name__}.{name}"
    if fields is None or isinstance(in_class(type(owner), name), MemberDescriptorType):
        return Field(owner, name, value, label)
    return Item(fields, name, value, label)


def attribute_of(owner: Any, name: str) -> Any:
    """An attribute, read without reporting it; UNSET if there is none."""
    try:
        return object.__getattribute__(owner, name)
    except AttributeError:
        return UNSET


def in_class(kind: type, name: str) -> Any:
    """What a class, or the first of its bases, holds under a name; None if none does."""
    return next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)


def varying_names(owner: Any) -> tuple[str, ...]:
    """The attributes of an owner that each run reads again."""
    return getattr(type(owner), "varying", ())
