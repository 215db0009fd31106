"""The recorder: runs a function once, records what it does, and restores everything afterwards."""

import gc
import sys
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from inspect import getattr_static
from threading import active_count
from time import sleep
from types import CodeType, MemberDescriptorType
from typing import Any

import numpy as np

from tinygrad_lite import optim, trees
from tinygrad_lite.compiler.entry import errors_handling
from tinygrad_lite.compiler.places import (
    Argument,
    Attribute,
    Data,
    Entry,
    Gradient,
    Place,
    Setting,
    TensorPlace,
    Upstream,
)
from tinygrad_lite.compiler.program import (
    BACKWARD,
    FORWARD,
    UPDATE,
    Instruction,
    Program,
    Variable,
    axes_in_memory,
    is_python_number,
    mapped,
)
from tinygrad_lite.compiler.recording.guards import Field, Guard, Item, Key, Keys, Length, Missing, Truth, contents
from tinygrad_lite.compiler.recording.naming import Namer
from tinygrad_lite.compiler.recording.randomness import RecordedGenerator, replaced
from tinygrad_lite.compiler.recording.reached import Reached
from tinygrad_lite.compiler.recording.recorded import Recorded, at_line
from tinygrad_lite.compiler.recording.watching import UNSET, plain, set_plain, watching
from tinygrad_lite.compiler.signature import same
from tinygrad_lite.engine import backward
from tinygrad_lite.engine.op import Array, Op
from tinygrad_lite.engine.tensor import Tensor, positive
from tinygrad_lite.errors import GraphError, UsageError
from tinygrad_lite.nn.substitution import original
from tinygrad_lite.ops.requirements import refuse_where
from tinygrad_lite.optim import Optimizer
from tinygrad_lite.readers.recording import Source, is_users
from tinygrad_lite.transforms.custom import recomputes
from tinygrad_lite.transforms.dual import innermost

_FORMULAS = frozenset({optim.adaptive.__file__, optim.descent.__file__})
_UPDATING = frozenset({*_FORMULAS, optim.optimizer.__file__, optim.lr_scheduler.__file__})
_ERRORS = ("divide", "over", "under", "invalid")
_FORMULA, _UPDATE, _PASS, _USERS, _ELSEWHERE = "formula", "update", "pass", "user's", "elsewhere"
_kinds: dict[CodeType, str] = {}
MOST = 1000
"""The most pieces of code of which we remember whose they are."""
kept_whole: ContextVar[Collection[Op]] = ContextVar("kept_whole", default=())
"""The operations that are not recorded as those that their forwards are composed of."""


class Recorder:
    """The recording of one run of a function as a program, and of everything that the program relies on.

    Attributes:
        program: the program.
        guards: the attributes that the function read and that the program fixes.
        called: the methods and functions that it read as attributes.
        shared: the generators among the arguments that the function also uses from outside, by position.
        same_as: the places whose tensor is also an argument, by the argument's position.
        gradients: the tensors whose gradient it read before it wrote one, and whether there was one.
        returned: the containers that it returned, with True for a tensor and False for anything else.
        passed: the places of the tensors that it returned unchanged, by their position among the results.
        linked: the positions of the results that have a history, each with the position of its tensor.
        differentiated: the tensors whose gradients are the last results of the program, given those of the linked ones.
        state_keys: the entries in the state of each optimiser before the run.
        is_passing: whether this is the only recording, of a program that hardly runs again.
        arrays: the arrays that the function reaches outside, each with its label, by id.
        followed: the keys of guards for settings of optimisers that the program reads in each run instead.

    Args:
        names: those of the tensors from outside.
        reached: what the function can reach.
        only_compares: whether the program is only compared with that of another recording, so that it needs no names.
    """

    def __init__(self, names: Mapping[int, str], reached: Reached | None = None, only_compares: bool = False) -> None:
        self.program = Program()
        self.guards: dict[Key, Guard] = {}
        self.called: list[Any] = []
        self.same_as: dict[int, TensorPlace] = {}
        self.shared: dict[int, np.random.Generator] = {}
        self.gradients: dict[Gradient, bool] = {}
        self.returned: Any = None
        self.passed: dict[int, TensorPlace] = {}
        self.linked: dict[int, int] = {}
        self.differentiated: list[TensorPlace] = []
        self.state_keys: list[tuple[Optimizer, list[set[str]]]] = []
        self.is_passing = False
        self.arrays: dict[int, tuple[Array, str]] = {}
        self.followed: set[Key] = set()
        self.namer = Namer()
        self._names = names
        self._reached = reached or Reached(())
        self._new: dict[int, Any] = {}
        self._places: dict[Place, Recorded] = {}
        self._met: dict[Place, Place] = {}
        self._taken: set[str] = set()
        self._owners: dict[int, Place] = {}
        self._constants: dict[int, Recorded] = {}
        self._made: set[Tensor] = set()
        self._before: dict[tuple[Tensor, str], Any] = {}
        self._attributes: dict[tuple[int, str], tuple[Any, str, Any]] = {}
        self._states: dict[int, tuple[Optimizer, dict[Tensor, dict[str, Any]]]] = {}
        self._groups: dict[int, tuple[Optimizer, list[dict[str, Any]]]] = {}
        self._ops: dict[Op, Op] = {}
        self._proxies: dict[int, RecordedGenerator] = {}
        self._opened: list[Op] = [*kept_whole.get()]
        self._errors = np.geterr()
        self._handling: Any = None
        self._ignored: frozenset[str] = frozenset()
        self._only_compares = only_compares
        self._is_over = False
        self._values: list[weakref.ref[Recorded]] = []

    def run(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Record what the function does, and restore everything afterwards."""
        before = recomputes.set(False)  # the program decides what it keeps for the reverse pass
        with watching(self, self._reached.classes), replaced(self._reached.generators, self._generator):
            try:
                returned = _undisguised(f, args, kwargs)
                leaves = trees.leaves(returned)
                self.program.results = [self._result(i, x) for i, x in enumerate(leaves)]
                self.returned = trees.map_leaves(lambda x: isinstance(x, Tensor), returned)
                upstreams = self._differentiate(leaves)
                self._finish()
                for root, upstream in upstreams.items():
                    upstream.name = f"d_{root.name or 'result'}"
            finally:
                self._restore()
                self._is_over = True
                recomputes.reset(before)

    def let_go(self) -> None:
        """Forget all values of a recording that is over, when nobody else has any.

        Raises:
            UsageError: if somebody has, who could not know what the value is in the next run.
        """
        self.state_keys = [
            (optimizer, [set(entries) for entries in optimizer.state.values()])
            for optimizer, _ in self._states.values()
        ]
        made = [weakref.ref(tensor) for tensor in self._made]
        for memory in (
            self._places,
            self._made,
            self._states,
            self._groups,
            self._ops,
            self._proxies,
            self._constants,
            self._new,
        ):
            memory.clear()
        for generation, wait in ((0, 0), (1, 0.001), (2, 0.01), (2, 0.1)):
            if all(reference() is None for reference in self._values):
                break
            gc.collect(generation)  # a function inside the function that knows itself outlives it; it is young
            if active_count() > 1:
                sleep(wait)  # a thread that looks at what others do may hold the frames of this one for a moment
        for reference in made:
            tensor = reference()
            held = UNSET if tensor is None else plain(tensor, "_array")
            if tensor is not None and type(held) is Recorded and held.variable in self.program.constants:
                set_plain(tensor, "_array", held.value)  # which a cache may well keep
        kept = {value.variable for value in (reference() for reference in self._values) if value is not None}
        names = [place.name for x, place in self.program.inputs.items() if x in kept]
        names += [f"what it computes at {call.source}" for call in self.program.calls if call.result in kept]
        if names:
            raise UsageError(
                f"the function keeps {names[-1]}\noutside itself, in a list or an object, say, which its program does "
                "not do in the next runs: return it, and keep what the call returns"
            )

    # What is read and written

    def passed_in(self, place: Argument, x: Any) -> Any:
        """The value to pass to the function for a leaf of its arguments."""
        if isinstance(x, Tensor):
            self._owners[id(x)] = place
            return x
        if isinstance(x, np.random.Generator):
            return self._generator(x, place.index)
        return self.read(place, x) if isinstance(x, (np.ndarray, np.generic)) else x

    def read(self, place: Place, value: Any) -> Recorded:
        """Record the value in a place as an input of the program."""
        place = self._known(place)
        if place not in self._places:
            self._places[place] = made = self._recorded(value)
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
            return self._followed(value)
        if slot == "_grad":
            return self._read_gradient(tensor, value)
        if type(value) is Recorded:
            return value
        if tensor in self._made or (tensor, slot) in self._before:  # the function has put it there
            known = self.constant(value)
        else:
            known = self.read(self._place(tensor), value)
            self._before.setdefault((tensor, slot), value)
        set_plain(tensor, slot, known)
        return known

    def _place(self, tensor: Tensor) -> Any:
        if id(tensor) in self._owners:
            return self._owners[id(tensor)]
        self._guard(Field(tensor, "_requires_grad", tensor._requires_grad, f"{self._name(tensor)}.requires_grad"))
        return self._known(Data(tensor, self._name(tensor)))

    def _guard(self, guard: Guard) -> None:
        self.guards.setdefault(guard.key, guard)

    def _name(self, tensor: Tensor) -> str:
        return tensor.name or self._names.get(id(tensor), "tensor")

    def _read_gradient(self, tensor: Tensor, value: Any) -> Any:
        if tensor not in self._made and (tensor, "_grad") not in self._before:
            place = Gradient(self._place(tensor))
            self.gradients.setdefault(place, value is not None)
            if isinstance(owner := self._owners.get(id(value)), Argument):
                self.same_as[owner.index] = place
            elif value is not None:
                self._owners[id(value)] = place
        return value

    def write_slot(self, tensor: Tensor, slot: str, before: Any, value: Any) -> Any:
        if before is UNSET:
            self._made.add(tensor)
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
        if isinstance(owner, Optimizer) and name in ("state", "param_groups"):
            return self._state(owner, value) if name == "state" else self._groups_of(owner, value)
        if name in _varying(owner):
            is_known = type(value) is Recorded or (id(owner), name) in self._attributes
            return value if is_known else self.read(Attribute(owner, name), value)
        if (id(owner), name) not in self._attributes and not isinstance(value, RecordedGenerator):
            self._read_anew(owner, name, value)
        return self._generator(value) if isinstance(value, np.random.Generator) else value

    def read_fields(self, owner: Any, fields: dict[str, Any]) -> None:
        """Guard all attributes of an object, of which `vars` may read any."""
        read: dict[Key, Guard] = {}
        contents(fields, type(owner).__name__, read)
        for guard in read.values():
            self._guard(guard)

    def miss_attribute(self, owner: Any, name: str) -> None:
        """Guard that an object has no such attribute, as `hasattr` finds out."""
        fields = _fields(owner)
        if original(owner) is owner and fields is not None:
            self._guard(Missing(fields, name, f"{type(owner).__name__}.{name}"))

    def _read_anew(self, owner: Any, name: str, value: Any) -> None:
        """Guard an attribute, unless Python computes it from others."""
        fields, label = _fields(owner), f"{type(owner).__name__}.{name}"
        if fields is not None and fields.get(name, UNSET) is value:
            self._guard(Item(fields, name, value, label))
        else:
            of_class = getattr_static(type(owner), name, None)
            if isinstance(of_class, MemberDescriptorType) or not hasattr(of_class, "__get__"):
                self._guard(Field(owner, name, value, label))
            else:
                self.called += [getattr(of_class, "fget", None), getattr(type(of_class), "__get__", None)]
        self.called += [value] if callable(value) else []

    def reaches(self, tensor: Tensor, g: Any) -> None:
        """Note that the reverse pass hands a gradient, or a contribution to it, to a tensor."""
        if self._only_compares:
            return
        array, g = plain(tensor, "_array"), innermost(g)
        if type(array) is type(g) is Recorded:
            self.namer.gradient(g.variable, array.variable)

    def copied(self, array: Array) -> Array:
        """A copy of an array from outside, which each run reads as it is then."""
        return self.constant(array).copy()

    def _state(self, optimizer: Optimizer, state: dict[Tensor, dict[str, Any]]) -> dict[Tensor, dict[str, Any]]:
        """A copy of an optimiser's state with recorded values."""
        if id(optimizer) not in self._states:
            self._guard_groups(optimizer)
            followed = {
                parameter: {
                    key: self.read(self._entry(optimizer, parameter, key), value)
                    if hasattr(value, "dtype") or is_python_number(value)
                    else value  # a list, say, in which no program follows anything
                    for key, value in entries.items()
                }
                for parameter, entries in state.items()
            }
            self._states[id(optimizer)] = optimizer, followed
        return self._states[id(optimizer)][1]

    def _entry(self, optimizer: Optimizer, parameter: Tensor, key: str) -> Entry:
        return Entry(optimizer, parameter, key, self._name(parameter))

    def _groups_of(self, optimizer: Optimizer, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A copy of an optimiser's groups, with recorded values for the settings that may vary from run to run."""
        if id(optimizer) not in self._groups:
            self._guard_groups(optimizer)
            followed = [dict(group) for group in groups]
            for group, copy in zip(groups, followed):
                for name in sorted(vars(optimizer)["scheduled"] & group.keys()):
                    copy[name] = self._setting(group, name)
            self._groups[id(optimizer)] = optimizer, followed
        return self._groups[id(optimizer)][1]

    def _guard_groups(self, optimizer: Optimizer) -> None:
        """Guard the parameters of an optimiser, and the settings that do not vary."""
        groups, label = vars(optimizer)["param_groups"], f"{type(optimizer).__name__}.param_groups"
        self.followed.add((Length, id(groups), None))  # there is another list when there is one more
        for group in groups:
            self.followed.add((Keys, id(group), None))  # each that is read is guarded
            self.followed.update((Item, id(group), name) for name in vars(optimizer)["scheduled"])
        found: dict[Key, Guard] = {}
        contents(groups, label, found)
        for guard in (Item(vars(optimizer), "param_groups", groups, label), *found.values()):
            if guard.key not in self.followed:
                self._guard(guard)

    def _setting(self, group: dict[str, Any], name: str) -> Any:
        value = group[name]
        if isinstance(value, tuple):
            return tuple(self.read(Setting(group, name, i), x) for i, x in enumerate(value))
        return self.read(Setting(group, name), value)

    def truth(self, variable: Variable) -> bool | None:
        """Whether a setting that may vary is not zero, which is guarded; None for any other variable."""
        place = self.program.inputs.get(variable)
        if not isinstance(place, Setting) or place.index is not None:
            return None
        is_true = bool(place.read(()))
        self._guard(Truth(place.group, place.setting, is_true, f"{place.setting} != 0"))
        return is_true

    def write_attribute(self, owner: Any, name: str, value: Any) -> Any:
        if isinstance(getattr_static(type(owner), name, None), property):
            return value  # its setter writes attributes, of which we hear
        if original(owner) is not owner:
            return value  # and so we do when what a stand-in was given is written to the module itself
        fields = _fields(owner)
        if not fields and id(owner) not in self._reached.objects:
            self._new[id(owner)] = owner  # its __init__ is running
        if id(owner) not in self._new:
            before = getattr(owner, name, UNSET) if fields is None else fields.get(name, UNSET)
            self._attributes.setdefault((id(owner), name), (owner, name, before))
        return value

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

    # What is computed

    def constant(self, array: Array) -> Recorded:
        """Record an array that is the same in each run."""
        if id(array) not in self._constants:
            if not isinstance(array, (np.ndarray, np.generic)):
                raise UsageError(f"a compiled function works on NumPy arrays, got {type(array).__name__}")
            made = self._recorded(array)
            self.program.constants[made.variable] = array
            self._constants[id(array)] = made
        return self._constants[id(array)]

    def _recorded(self, value: Any) -> Recorded:
        if is_number := is_python_number(value):
            variable = Variable((), np.result_type(type(value)), is_number)
        else:
            shape = value.shape
            order = None if len(shape) < 2 or value.flags.c_contiguous else axes_in_memory(value.strides)
            variable = Variable(shape, value.dtype, order=order)
        made = Recorded(value, variable, self)
        self._values.append(weakref.ref(made))
        return made

    def call(self, op: Op, inputs: Sequence[Array], params: Mapping[str, Any]) -> Any:
        """Record an operation and return its result; if its forward is composed of operations, record these instead."""
        if self._is_over:
            raise UsageError(
                f"this value comes from the recording of a compiled function, which is over{at_line()}: return a value "
                "from the function to use it outside"
            )
        if op not in self._opened and op.is_composite:
            done = len(self.program.calls)
            self._opened.append(op)
            try:
                made = op.forward(*inputs, **params)
                calls_itself = any(call.op is op for call in self.program.calls[done:])  # around NumPy's own function
                if type(made) is Recorded and not calls_itself:
                    self.namer.operation(made.variable, op)
                    return made
            except Exception:  # noqa: S110, BLE001, RUF100  # it reads the values, so it is called as a whole
                pass
            finally:
                self._opened.pop()
            del self.program.calls[done:]
        return self._called(op, inputs, params)

    def _called(self, op: Op, inputs: Sequence[Array], params: Mapping[str, Any]) -> Recorded:
        operands = [
            x
            if type(x) is Recorded or x is None or is_python_number(x)
            else self.constant(x if isinstance(x, np.ndarray) and x.ndim else np.asarray(x)[()])
            for x in inputs
        ]
        arrays = list(map(_value, operands))
        value = op(*arrays, **mapped(_value, params)) if params else op(*arrays)
        if not isinstance(value, (np.ndarray, np.generic)):
            raise UsageError(
                f"{op} answers with {type(value).__name__}{at_line()}\n"
                "but a compiled function cannot use that answer: the next run will have another one"
            )
        if (params or not op.vjps) and _depends_on_values(op, operands, params, value):
            raise UsageError(
                f"the shape of the result of {op} depends on values{at_line()}\n"
                "but a compiled function has fixed shapes: choose entries with np.where, or sum over a mask"
            )
        if not value.shape and all(
            is_python_number(x) or (type(x) is Recorded and x.variable.is_number) for x in operands
        ):
            value = value.item()
        inputs = [x.variable if type(x) is Recorded else x for x in operands]
        return self.add(op, inputs, params, value, arrays)

    def add(
        self, op: Op, inputs: Sequence[Any], params: Mapping[str, Any], value: Any, arrays: Sequence[Any] = ()
    ) -> Recorded:
        """Record a call whose result has this value."""
        made = self._recorded(value)
        section, source = (FORWARD, None) if self._only_compares else self._origin(made.variable)
        fixed = mapped(lambda x: x.variable if type(x) is Recorded else x, params) if params else {}
        view_of = None
        if getattr(value, "base", None) is not None or any(
            array is value or getattr(array, "base", None) is value for array in arrays
        ):
            view_of = next((x for x, array in zip(inputs, arrays) if _shares_memory(array, value)), None)
        self.program.calls.append(
            Instruction(op, tuple(inputs), fixed, made.variable, section, source, self._ignoring(), view_of)
        )
        if not self._only_compares:
            self.namer.operation(made.variable, op)
        return made

    def _ignoring(self) -> frozenset[str]:
        """The floating-point errors that the function ignores at this moment, and its caller does not."""
        handling = errors_handling()
        if handling is not self._handling:
            now = np.geterr()
            self._handling = handling
            self._ignored = frozenset(kind for kind in _ERRORS if now[kind] == "ignore" != self._errors[kind])  # type: ignore[literal-required]
        return self._ignored

    def _origin(self, result: Variable) -> tuple[str, Source | None]:
        """The pass that is running, and the user's line; also notes what a person would call the result."""
        section, source = FORWARD, None
        frame = sys._getframe(1)
        end = Recorder.run.__code__
        while (code := frame.f_code) is not end:
            kind = _kinds.get(code) or _kind(code)
            if kind is _ELSEWHERE:
                pass
            elif kind is _USERS:
                if source is None:
                    source = Source(code.co_filename, frame.f_lineno, code.co_name)
                if section == FORWARD:
                    self.namer.line(result, frame)
            elif kind is _PASS:
                section = BACKWARD
            else:
                section = UPDATE
                if kind is _FORMULA:  # an optimiser's formula is read by its own names
                    self.namer.line(result, frame)
            frame = frame.f_back  # type: ignore[assignment]
        return section, source

    def _followed(self, op: Any) -> Any:
        """The operation behind a tensor, with rules that are called as a whole if they read values."""
        if op is None or op is positive or op.arity is None:
            return op
        if op not in self._ops:
            self._ops[op] = followed = object.__new__(Op)
            vars(followed).update(vars(op))
            followed.vjps = [vjp and self._rule(op, i, vjp) for i, vjp in enumerate(op.vjps)]
        return self._ops[op]

    def _rule(self, op: Op, i: int, vjp: Callable[..., Array]) -> Callable[..., Array]:
        def rule(g: Array, *others: Array, **params: Any) -> Array:
            done = len(self.program.calls)
            try:
                return vjp(g, *others, **params)
            except UsageError:
                if any(isinstance(x, Tensor) for x in (g, *others)):
                    raise
                del self.program.calls[done:]
                whole = Op(vjp, [None], name=f"{op.name}_gradient_{i + 1}", arity=1 + len(others))
                whole.keywords = op.keywords
                return self._called(whole, [backward.whole(g), *others], params)

        return rule

    # How it ends

    def _result(self, i: int, x: Any) -> Any:
        if isinstance(x, Tensor) and x not in self._made:
            self.passed[i] = self._place(x)
        return self._variable(innermost(x), x)

    def _variable(self, array: Any, otherwise: Any = None) -> Any:
        """The variable that stands for an array."""
        if type(array) is Recorded:
            return array.variable
        return self.constant(array).variable if isinstance(array, (np.ndarray, np.generic)) else otherwise

    def _differentiate(self, returned: list[Any]) -> dict[Variable, Variable]:
        """Record the reverse pass of the results that have a history; return their upstream gradients.

        The pass ends at the tensors that were there before the run, even if these have a history.
        """
        roots: dict[Tensor, int] = {}
        ends = {tensor for tensor, _ in self._before}
        for i, x in enumerate(returned):
            if isinstance(x, Tensor) and x in self._made and x.requires_grad and x.op is not None and _has_all(x, ends):
                self.linked[i] = roots.setdefault(x, len(roots))
        upstreams = {x: self.read(Upstream(i), np.ones_like(x._array.value)[()]) for x, i in roots.items()}
        gradients = backward.propagate(backward.history(roots, ends), dict(upstreams), create_graph=False)
        for tensor, gradient in gradients.items():
            if tensor in ends and tensor.requires_grad:
                self.differentiated.append(self._place(tensor))
                self.program.results.append(self._variable(gradient))
        return {x._array.variable: g.variable for x, g in upstreams.items()}

    def _finish(self) -> None:
        """Record the final value in each place that the function wrote to."""
        for tensor, slot in self._before:
            if slot == "_grad":
                gradient = plain(tensor, "_grad")  # also if it stays None, since there may be one in the next run
                self._update(Gradient(self._place(tensor)), None if gradient is None else gradient._array)
            else:
                self._update(self._place(tensor), plain(tensor, slot))
        for optimizer, state in self._states.values():
            before = vars(optimizer)["state"]
            for parameter, entries in state.items():
                for key, value in entries.items():
                    if value is not before.get(parameter, {}).get(key, UNSET):
                        self._update(self._entry(optimizer, parameter, key), value)
        for optimizer, groups in self._groups.values():
            self._finish_groups(optimizer, groups)
        for owner, name, before in self._attributes.values():
            self._attribute(owner, name, before)
        self.namer.finish()

    def _update(self, place: Place, value: Any) -> None:
        if type(value) is not Recorded:
            value = value if value is None else self.constant(value) if hasattr(value, "dtype") else value
        now = value.variable if type(value) is Recorded else value
        place = self._known(place)
        was = self._places.get(place)
        if was is None or now is not was.variable:
            self.program.updates[place] = now

    def _finish_groups(self, optimizer: Optimizer, groups: list[dict[str, Any]]) -> None:
        before = vars(optimizer)["param_groups"]
        if len(groups) != len(before):
            raise UsageError("the function adds a group of parameters, which the program cannot repeat: add it outside")
        for group, followed in zip(before, groups):
            for name, value in followed.items():
                if name not in vars(optimizer)["scheduled"]:
                    if not same(value, group.get(name, UNSET)):
                        raise UsageError(
                            f"the function assigns {name} of a group of {type(optimizer).__name__}, which the program "
                            "cannot repeat in the next runs: do that outside"
                        )
                elif isinstance(value, tuple):
                    for i, x in enumerate(value):
                        self._update(Setting(group, name, i), x)
                else:
                    self._update(Setting(group, name), value)

    def _attribute(self, owner: Any, name: str, before: Any) -> None:
        value = getattr(owner, name, UNSET)
        if name in _varying(owner):
            self._update(Attribute(owner, name), value)
        elif not same(value, before):
            raise UsageError(
                f"the function assigns {type(owner).__name__}.{name}, which the program cannot repeat in the next "
                f"runs: make it a tensor in __init__, and write self.{name}.data = ..."
            )

    def _restore(self) -> None:
        for (tensor, slot), value in self._before.items():
            set_plain(tensor, slot, value)
        for owner, name, value in self._attributes.values():
            if value is UNSET:
                object.__delattr__(owner, name)
            else:
                object.__setattr__(owner, name, value)
        for proxy in self._proxies.values():
            proxy.restore()


def _undisguised(f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Call a function; an error of ours for which NumPy has put one of its own, as for array[i] = x, comes back."""
    try:
        return f(*args, **kwargs)
    except ValueError as error:
        if isinstance(error.__cause__, UsageError):
            raise error.__cause__ from None
        raise


def _kind(code: CodeType) -> str:
    """Whose code it is."""
    file = code.co_filename
    if file in _UPDATING:
        kind = _FORMULA if file in _FORMULAS else _UPDATE
    elif code is backward.propagate.__code__:
        kind = _PASS
    else:
        kind = _USERS if is_users(file) else _ELSEWHERE
    if len(_kinds) >= MOST:
        _kinds.clear()
    _kinds[code] = kind
    return kind


def _fields(owner: Any) -> dict[str, Any] | None:
    """The dict of an object's attributes, if it has one."""
    fields = _attribute_of(owner, "__dict__")
    return None if fields is UNSET else fields


def _attribute_of(owner: Any, name: str) -> Any:
    """An attribute, read without a report; UNSET if there is none."""
    try:
        return object.__getattribute__(owner, name)
    except AttributeError:
        return UNSET


def _has_all(x: Tensor, ends: Collection[Tensor]) -> bool:
    """Whether a tensor still has all of its history, or the function itself has freed some by `backward`."""
    try:
        backward.history([x], ends)
    except GraphError:
        return False
    return True


def _varying(owner: Any) -> tuple[str, ...]:
    """The attributes of an owner that each run reads again."""
    return getattr(type(owner), "varying", ())


def _shares_memory(x: Any, value: Any) -> bool:
    return isinstance(x, np.ndarray) and isinstance(value, np.ndarray) and np.may_share_memory(x, value)


def _value(x: Any) -> Any:
    return x.value if type(x) is Recorded else x


def _depends_on_values(op: Op, operands: Sequence[Any], params: Mapping[str, Any], value: Array) -> bool:
    """Whether the shape of a result depends on values."""
    chosen: list[Any] = []
    mapped(chosen.append, {name: value for name, value in params.items() if name in ("index", "indices")})
    if any(type(x) is Recorded and x.dtype == bool and x.shape for x in chosen):
        return True
    if op.vjps or isinstance(op.forward, np.ufunc) or op is refuse_where:
        return False
    for fill in (np.zeros_like, np.ones_like):
        other = op(*[fill(x.value) if type(x) is Recorded else x for x in operands], **mapped(_value, params))
        if np.shape(other) != np.shape(value):
            return True
    return False
