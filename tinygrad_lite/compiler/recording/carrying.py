"""Values that a function carries from call to call: it reads what a name stands for, and puts another value there.

The name may be an attribute, a global name, a closure's variable, or the key of a dict or the index of a list. The
program takes what is there as an input in each run, and leaves what it computes there, in a new tensor or array.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.compiler.places import Argument, Carried
from tinygrad_lite.compiler.program import Variable
from tinygrad_lite.compiler.recording.guards import Field, Guard, Item, Key
from tinygrad_lite.compiler.recording.recorded import Recorded
from tinygrad_lite.compiler.recording.same import memory_of
from tinygrad_lite.compiler.recording.watching import UNSET, plain
from tinygrad_lite.compiler.signature import SCALARS, attributes, containers, form, same
from tinygrad_lite.engine.op import NO_PARAMS, Op
from tinygrad_lite.engine.tensor import Tensor, recorded, wrap
from tinygrad_lite.errors import UsageError

_ARRAYS = (Tensor, np.ndarray, np.generic)


class CarriedError(Exception):
    """A function replaces values that it may read first, and that the recording has fixed: they must be inputs.

    Args:
        names: the guards of the names of these values.
        otherwise: what to say if they cannot be inputs.
    """

    def __init__(self, names: Iterable[Guard], otherwise: UsageError | None = None) -> None:
        super().__init__()
        self.names = {guard.key: guard for guard in names}
        self.otherwise = otherwise


class Form(Guard):
    """The containers of a value that a function carries, and the form of each leaf."""

    def __init__(self, name: Guard) -> None:
        self._name = name
        super().__init__(name.owner, name.name, self.now(), f"the form of {name.label}")

    def now(self) -> Any:
        return _form(self._name.now(), self._name.varying)

    def require(self, writer: Any) -> None:
        value = self._name.now()
        if type(value) is np.ndarray or is_a_number(value):
            writer.is_like(self._name.reading(writer), value)
        else:  # a form holds a number with its type, so that 1 and 1.0 differ
            writer.tests.append(f"{self.reading(writer)} != {writer.name(self.value)}")


class Identities(Guard):
    """Which arrays behind some names are the same, and which are parts of the same memory."""

    def __init__(self, names: list[Guard]) -> None:
        self._names = names
        value = _identities([name.value for name in names])
        super().__init__(names[0].owner, None, value, f"which arrays {names[0].label} and others are")

    def now(self) -> Any:
        return _identities([name.now() for name in self._names])


def _identities(values: list[Any]) -> Any:
    arrays = [x for x in trees.leaves(values) if isinstance(x, np.ndarray)]
    ids = [*map(id, arrays)], [id(memory_of(x)) for x in arrays]
    return tuple(tuple(map(pattern.index, pattern)) for pattern in ids)


class Left(NamedTuple):
    """A name under which a function leaves a value.

    Attributes:
        freed: for each leaf of the value the operation that made it, if `backward` has freed the history of that.
    """

    name: Guard
    freed: list[Op | None]

    def write(self, value: Any, written: Mapping[int, Any]) -> None:
        """Leave a value there; `written` are the arrays that its leaves were written into, by the ids of these."""
        freed = iter(self.freed)
        self.name.put(trees.map_leaves(lambda x: written.get(id(x), _without_history(x, next(freed))), value))


class StandIn(NamedTuple):
    """What stands for an array while a function is recorded.

    Attributes:
        array: the array.
        place: where each run finds it, be it among the arguments.
        first: the variable of the entries with which it begins.
    """

    made: Recorded
    array: Any
    place: Carried | Argument
    first: Variable

    @property
    def is_written(self) -> bool:
        """Whether the function has written into it, as by `x += y`."""
        return self.made.variable is not self.first


class Names:
    """The names whose values a function carries, for the time of a recording.

    Attributes:
        forms: the guards of their forms.
        stand_ins: what is there in place of each value.
        tensors: the tensors among these, each with that which it stands for.
        arrays: what stands for an array, by the id of that.
        containers: the containers of them, by id.
    """

    def __init__(self, names: dict[Key, Guard]) -> None:
        self.names = names
        self.forms = [Form(name) for name in names.values()]
        self.stand_ins: dict[Key, Any] = {}
        self.tensors: dict[Tensor, Tensor] = {}
        self.arrays: dict[int, StandIn] = {}
        self.containers: dict[int, Any] = {}
        self._has_shared = False

    def __contains__(self, key: Key) -> bool:
        return key in self.names

    @contextmanager
    def standing_in(self, read: Callable[[Carried, Any], Any]) -> Iterator[None]:
        """For the block, let the names stand for values that are inputs of the program."""
        try:
            for key, name in self.names.items():
                paths = trees.paths(name.value)
                numbers = iter(range(len(paths)))

                def stand_in(x: Any, name: Guard = name, paths: Any = paths, numbers: Any = numbers) -> Any:
                    i = next(numbers)
                    if isinstance(x, SCALARS) and not isinstance(x, np.generic) and i not in name.varying:
                        return x
                    if type(x) is Recorded or (isinstance(x, Tensor) and x in self.tensors):
                        raise UsageError(
                            f"the function puts another value in place of {name.label}, and in place of a part of it: "
                            "do only one of the two, since other code may hold the first value"
                        )
                    if id(x) in self.arrays:
                        self._has_shared = True
                        return self.arrays[id(x)].made
                    place = Carried(name, i, f"{name.label}.{paths[i]}" if paths[i] else name.label)
                    known = read(place, plain(x, "_array") if isinstance(x, Tensor) else x)
                    if isinstance(x, Tensor):
                        self.tensors[made := wrap(known)] = x
                        return made
                    made = known.recorder.another(known, is_fixed=False)
                    if isinstance(x, np.ndarray):  # equal numbers can be one object and still count as two
                        self.arrays[id(x)] = StandIn(made, x, place, made.variable)
                    return made

                self.stand_ins[key] = trees.map_leaves(stand_in, name.value)
                self.containers |= {id(x): x for x in containers(self.stand_ins[key])}
                name.put(self.stand_ins[key])
            yield
        finally:
            for name in self.names.values():
                name.put(name.value)

    def let_go(self) -> None:
        """Forget all values."""
        self.stand_ins.clear()
        self.tensors.clear()
        self.arrays.clear()
        self.containers.clear()

    def is_only_read(self, name: Guard) -> bool:
        """Whether the function has left the arrays, or the number, under a name as they were."""
        value = name.now()
        if type(value) is Recorded and not isinstance(name.value, _ARRAYS):  # a number
            return value is self.stand_ins[name.key]
        known = [x for x in self.arrays.values() if any(x.made is leaf for leaf in trees.leaves(value))]
        is_whole = value is self.stand_ins[name.key] and not isinstance(value, (list, dict))
        return is_whole and len(known) == len(trees.leaves(value)) and not any(x.is_written for x in known)

    def written(self) -> list[StandIn]:
        """The stand-ins for the arrays into which the function has written."""
        return [x for x in self.arrays.values() if x.is_written]

    def identities(self) -> list[Guard]:
        """A guard of which arrays are the same, if some are, or the function writes into one of them."""
        return [Identities([*self.names.values()])] if self._has_shared or self.written() else []

    def replaced(self, name: Guard) -> Any:
        """What a name stands for now; UNSET if that is what it stood for when the function began."""
        if not isinstance(name, (Item, Field)):
            return UNSET
        try:
            value = name.now()
        except (LookupError, AttributeError, ValueError):
            return UNSET
        return UNSET if value is self.stand_ins.get(name.key, name.value) and name.key not in self.names else value


def is_a_number(value: Any) -> bool:
    """Whether a value is a Python number, which a function may change."""
    return type(value) in (int, float)


def may_be_carried(value: Any) -> bool:
    """Whether a program can take a value, or the leaves of a container, as inputs, and no gradient flows there."""
    is_of_arrays = isinstance(value, _ARRAYS) or trees.children(value) is not None
    return is_of_arrays and all(map(_is_plain, trees.leaves(value)))


def _is_plain(x: Any) -> bool:
    if isinstance(x, Tensor):
        return (not x._requires_grad or (plain(x, "op") is not None and x.inputs is None)) and plain(x, "_grad") is None
    return isinstance(x, SCALARS) or (type(x) is np.ndarray and not x.dtype.hasobject)


def changed_numbers(before: Any, after: Any) -> frozenset[int]:
    """Which leaves are Python numbers that have another value afterwards."""
    if trees.structure(before) != trees.structure(after):
        return frozenset()
    pairs = enumerate(zip(trees.leaves(before), trees.leaves(after)))
    return frozenset([i for i, (x, y) in pairs if is_a_number(x) and not same(x, y)])


def _form(value: Any, varying: frozenset[int]) -> Any:
    if not may_be_carried(value):
        return type(value)
    leaves = tuple([type(x) if i in varying else form(x) for i, x in enumerate(trees.leaves(value))])
    return trees.structure(value), leaves, tuple(map(attributes, containers(value)))


def _without_history(x: Any, op: Op | None) -> Any:
    """A result as `backward` leaves it, which knows that it had a history."""
    if op is None:
        return x
    result = recorded(x._array, op, (), (), NO_PARAMS)
    result.forget()
    return result
