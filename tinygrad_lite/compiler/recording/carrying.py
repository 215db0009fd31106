"""Values that a function carries from call to call: it reads what a name stands for, and puts another value there.

The name may be an attribute, a global name, a closure's variable, or the key of a dict or the index of a list. The
program takes what is there as an input in each run, and leaves what it computes there, in a new tensor or array.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.compiler.places import Carried
from tinygrad_lite.compiler.program import Variable
from tinygrad_lite.compiler.recording.guards import Field, Guard, Item, Key
from tinygrad_lite.compiler.recording.recorded import Recorded
from tinygrad_lite.compiler.recording.same import memory_of
from tinygrad_lite.compiler.recording.watching import UNSET, plain
from tinygrad_lite.compiler.signature import SCALARS, attributes, containers, form
from tinygrad_lite.engine.op import NO_PARAMS, Op
from tinygrad_lite.engine.tensor import Tensor, recorded, wrap
from tinygrad_lite.errors import UsageError

_ARRAYS = (Tensor, np.ndarray, np.generic)


class CarriedError(Exception):
    """A function replaces values that it may read before, which the recording has fixed: they must be inputs.

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
        super().__init__(name.owner, name.name, _form(name.now()), f"the form of {name.label}")

    def now(self) -> Any:
        return _form(self._name.now())

    def reading(self, writer: Any) -> str:
        return f"{writer.name(self.now)}()"


class Identities(Guard):
    """Which arrays behind some names are the same, and which are parts of the same memory."""

    def __init__(self, names: list[Guard]) -> None:
        self._names = names
        super().__init__(names[0].owner, None, None, f"which arrays {names[0].label} and others are")
        self.value = self.now()

    def now(self) -> Any:
        arrays = [x for name in self._names for x in trees.leaves(name.now())]
        ids = [*map(id, arrays)], [id(memory_of(x)) for x in arrays]
        return tuple(tuple(map(pattern.index, pattern)) for pattern in ids)

    def reading(self, writer: Any) -> str:
        return f"{writer.name(self.now)}()"


class Left(NamedTuple):
    """A name under which a function leaves a value.

    Attributes:
        freed: for each leaf of the value the operation that made it, if `backward` has freed the history of that.
        in_place: for each leaf whether the function writes into the array that is there, as by `x += y`.
    """

    name: Guard
    freed: list[Op | None]
    in_place: list[bool]

    def write(self, value: Any) -> dict[int, Any]:
        """Leave a value there; return what its arrays were written into, by their ids."""
        freed = iter(self.freed)
        written: dict[int, Any] = {}
        if any(self.in_place):
            for x, array, is_written in zip(trees.leaves(value), trees.leaves(self.name.now()), self.in_place):
                if is_written and array is not x:
                    array[...] = x
                    written[id(x)] = array
        self.name.put(trees.map_leaves(lambda x: written.get(id(x), _without_history(x, next(freed))), value))
        return written

    def overlaps(self, x: Any) -> bool:
        """Whether an argument shares memory with an array that is written into, which only then has new entries."""
        arrays = [array for array, is_written in zip(trees.leaves(self.name.now()), self.in_place) if is_written]
        return isinstance(x, np.ndarray) and any(np.may_share_memory(x, array) for array in arrays)


class Names:
    """The names whose values a function carries, for the time of a recording.

    Attributes:
        forms: the guards of their forms.
        stand_ins: what is there in place of each value.
        tensors: the tensors among these, each with that which it stands for.
        arrays: what stands for an array, by the id of that, with the array and the variable that it begins with.
        containers: the containers of them, by id.
    """

    def __init__(self, names: dict[Key, Guard]) -> None:
        self.names = names
        self.forms = [Form(name) for name in names.values()]
        self.stand_ins: dict[Key, Any] = {}
        self.tensors: dict[Tensor, Tensor] = {}
        self.arrays: dict[int, tuple[Recorded, Any, Variable]] = {}
        self.containers: dict[int, Any] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self.names

    @contextmanager
    def standing_in(self, read: Callable[[Carried, Any], Any]) -> Iterator[None]:
        """For the block, let the names stand for values that are inputs of the program."""
        try:
            for key, name in self.names.items():
                numbers = iter(range(len(trees.leaves(name.value))))

                def stand_in(x: Any, name: Guard = name, numbers: Iterator[int] = numbers) -> Any:
                    i = next(numbers)
                    if isinstance(x, SCALARS) and not isinstance(x, np.generic) and x is not name.value:
                        return x
                    if type(x) is Recorded or (isinstance(x, Tensor) and x in self.tensors):
                        raise UsageError(
                            f"the function puts another value in place of {name.label}, and in place of a part of it: "
                            "do one of both, since others may hold the first value"
                        )
                    if id(x) in self.arrays:
                        return self.arrays[id(x)][0]
                    known = read(Carried(name, i, name.label), plain(x, "_array") if isinstance(x, Tensor) else x)
                    if isinstance(x, Tensor):
                        self.tensors[made := wrap(known)] = x
                        return made
                    made = known.recorder.another(known, is_fixed=False)
                    if isinstance(x, np.ndarray):  # equal numbers may be one object, and yet are two
                        self.arrays[id(x)] = made, x, made.variable
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

    def is_written(self, x: Any) -> bool:
        """Whether a leaf of a value stands for an array into which the function has written."""
        return any(x is made and x.variable is not first for made, _, first in self.arrays.values())

    def written(self) -> list[Any]:
        """The arrays into which the function has written."""
        return [array for made, array, first in self.arrays.values() if made.variable is not first]

    def identities(self) -> list[Guard]:
        """A guard of which arrays are the same, if the function writes into one of them."""
        return [Identities([*self.names.values()])] if self.written() else []

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
    """Whether a value is a number of Python's, which a function may change."""
    return type(value) in (int, float)


def may_be_carried(value: Any) -> bool:
    """Whether a program can take a value, or the leaves of a container, as inputs, and no gradient flows there."""
    is_of_arrays = isinstance(value, _ARRAYS) or trees.children(value) is not None
    return is_of_arrays and all(map(_is_plain, trees.leaves(value)))


def _is_plain(x: Any) -> bool:
    if isinstance(x, Tensor):
        return (not x._requires_grad or (plain(x, "op") is not None and x.inputs is None)) and plain(x, "_grad") is None
    return isinstance(x, SCALARS) or (type(x) is np.ndarray and not x.dtype.hasobject)


def _form(value: Any) -> Any:
    if not may_be_carried(value):
        return type(value)
    return trees.structure(value), tuple(map(form, trees.leaves(value))), tuple(map(attributes, containers(value)))


def _without_history(x: Any, op: Op | None) -> Any:
    """A result as `backward` leaves it, which knows that it had a history."""
    if op is None:
        return x
    result = recorded(x._array, op, (), (), NO_PARAMS)
    result.forget()
    return result
