"""Places: where a compiled function reads its inputs from, and where it writes the values that it leaves behind.

A place is read before a run and written after it, so that the tensor, module or optimiser shows what the function did.
A number (a learning rate, a count of steps) has a place, too. There are two ways to read and write a place: by a call
of its methods, and by an expression in a generated function (see entry.py).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tinygrad_lite import trees
from tinygrad_lite.compiler.program import Variable
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor, wrap

if TYPE_CHECKING:
    from tinygrad_lite.compiler.entry import EntryWriter

Leaves = Sequence[Any]
"""The arguments of a call, leaf by leaf."""


class Place:
    """Where a value is kept; places for the same value are equal.

    Attributes:
        name: what a person would call it, such as hidden.weight.
        key: what identifies the place.
    """

    name: str
    key: tuple[Any, ...]

    def read(self, leaves: Leaves) -> Any:
        """The current array or number in this place; None if there is none."""
        raise NotImplementedError

    def like(self, x: Variable) -> Any:
        """A value of the form that a program finds here: what is here now, or zeros if the program took that away."""
        value = self.read(())
        return x.zeros() if value is None else value

    def write(self, value: Any, leaves: Leaves) -> None:
        """Put another value into this place."""
        raise NotImplementedError

    def reading(self, writer: "EntryWriter") -> str:
        """The expression for the value in this place."""
        raise NotImplementedError

    def writing(self, writer: "EntryWriter", value: str) -> str:
        """The statement that puts another value into this place."""
        return f"{self.reading(writer)} = {value}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return self.name


class TensorPlace(Place):
    """The array of a tensor."""

    def tensor(self, leaves: Leaves) -> Tensor:
        """The current tensor."""
        raise NotImplementedError

    def naming(self, writer: "EntryWriter") -> str:
        """The expression for the tensor."""
        raise NotImplementedError

    def read(self, leaves: Leaves) -> Array:
        return self.tensor(leaves)._array

    def write(self, value: Array, leaves: Leaves) -> None:
        self.tensor(leaves).replace(value)

    def reading(self, writer: "EntryWriter") -> str:
        return f"{self.naming(writer)}._array"

    def writing(self, writer: "EntryWriter", value: str) -> str:
        return f"{self.naming(writer)}.replace({value})"


class Argument(TensorPlace):
    """A leaf of the arguments: an array, or the array of a tensor."""

    def __init__(self, index: int, name: str) -> None:
        self.index = index
        self.name = name
        self.key = (Argument, index)

    def read(self, leaves: Leaves) -> Array:
        leaf = leaves[self.index]
        return leaf._array if type(leaf) is Tensor else leaf

    def tensor(self, leaves: Leaves) -> Tensor:
        return leaves[self.index]  # type: ignore[no-any-return]

    def naming(self, writer: "EntryWriter") -> str:
        return f"x{self.index}"

    def reading(self, writer: "EntryWriter") -> str:
        return f"a{self.index}"


class Data(TensorPlace):
    """The array of a tensor that the function knows from outside its arguments."""

    def __init__(self, tensor: Tensor, name: str) -> None:
        self._tensor = tensor
        self.name = name
        self.key = (Data, id(tensor))

    def tensor(self, leaves: Leaves) -> Tensor:
        return self._tensor

    def naming(self, writer: "EntryWriter") -> str:
        return writer.name(self._tensor)


class Gradient(TensorPlace):
    """The gradient of the tensor in a place; None if the function leaves none."""

    def __init__(self, of: TensorPlace) -> None:
        self.of = of
        self.name = f"{of.name}.grad"
        self.key = (Gradient, of.key)

    def tensor(self, leaves: Leaves) -> Tensor:
        return self.of.tensor(leaves)._grad  # type: ignore[return-value]

    def naming(self, writer: "EntryWriter") -> str:
        return f"{self.of.naming(writer)}._grad"

    def read(self, leaves: Leaves) -> Array:
        gradient = self.tensor(leaves)
        return None if gradient is None else gradient._array

    def write(self, value: Array, leaves: Leaves) -> None:
        self.of.tensor(leaves)._grad = None if value is None else wrap(value)

    def writing(self, writer: "EntryWriter", value: str) -> str:
        return f"{self.naming(writer)} = wrap({value}) if {value} is not None else None"


class Attribute(Place):
    """A number in an attribute, such as a learning rate."""

    def __init__(self, owner: Any, name: str) -> None:
        self._fields = vars(owner)
        self._field = self.name = name
        self.key = (Attribute, id(owner), name)

    def read(self, leaves: Leaves) -> Any:
        return self._fields[self._field]

    def write(self, value: Any, leaves: Leaves) -> None:
        self._fields[self._field] = value

    def reading(self, writer: "EntryWriter") -> str:
        return f"{writer.name(self._fields)}[{self._field!r}]"


class Setting(Place):
    """A number among the settings of a group of parameters, such as its learning rate; or one of a pair of numbers."""

    def __init__(self, group: dict[str, Any], setting: str, index: int | None = None) -> None:
        self.group = group
        self.setting = setting
        self.index = index
        self.name = setting if index is None else f"{setting}.{index}"
        self.key = (Setting, id(group), setting, index)

    def read(self, leaves: Leaves) -> Any:
        value = self.group[self.setting]
        return _array_of(value if self.index is None else value[self.index])

    def write(self, value: Any, leaves: Leaves) -> None:
        if self.index is not None:
            pair = self.group[self.setting]
            value = (*pair[: self.index], value, *pair[self.index + 1 :])
        self.group[self.setting] = value

    def reading(self, writer: "EntryWriter") -> str:
        reading = self._whole(writer) + ("" if self.index is None else f"[{self.index}]")
        is_tensor = isinstance(self.group[self.setting], Tensor)
        return f"{writer.name(_array_of)}({reading})" if is_tensor else reading

    def writing(self, writer: "EntryWriter", value: str) -> str:
        whole = self._whole(writer)
        if self.index is not None:
            value = f"(*{whole}[:{self.index}], {value}, *{whole}[{self.index + 1}:])"
        return f"{whole} = {value}"

    def _whole(self, writer: "EntryWriter") -> str:
        return f"{writer.name(self.group)}[{self.setting!r}]"


class Entry(Place):
    """An entry of an optimiser's state for a parameter: an array, or a number."""

    def __init__(self, optimizer: Any, parameter: Tensor, entry: str, name: str) -> None:
        self.optimizer = optimizer
        self.parameter = parameter
        self.entry = entry
        self.name = f"{name}.{entry}"
        self.key = (Entry, id(optimizer), id(parameter), entry)

    def read(self, leaves: Leaves) -> Any:
        return _array_of(self.optimizer.state[self.parameter].get(self.entry))

    def write(self, value: Any, leaves: Leaves) -> None:
        state = self.optimizer.state
        if self.entry in state[self.parameter]:
            state[self.parameter][self.entry] = value
        else:  # a new dict tells programs for the former entries that these are others
            state[self.parameter] = {**state[self.parameter], self.entry: value}

    def reading(self, writer: "EntryWriter") -> str:
        state = self.optimizer.state
        entries = state[self.parameter]
        writer.is_still(f"{writer.name(vars(self.optimizer))}['state']", state)
        writer.is_still(f"{writer.name(state)}[{writer.name(self.parameter)}]", entries)
        reading = f"{writer.name(entries)}[{self.entry!r}]"
        return f"{writer.name(_array_of)}({reading})" if isinstance(entries[self.entry], Tensor) else reading


def _array_of(value: Any) -> Any:
    """A value in an optimiser's state or among its settings; for a tensor that a user keeps there, its array."""
    return value._array if isinstance(value, Tensor) else value


class Outside(Place):
    """An array that the function reads from outside; others may write to it, but the function does not."""

    def __init__(self, array: Array, name: str) -> None:
        self.array = array
        self.name = name
        self.key = (Outside, id(array))

    def read(self, leaves: Leaves) -> Array:
        return self.array

    def reading(self, writer: "EntryWriter") -> str:
        return writer.name(self.array)


class Carried(Place):
    """A leaf of a value that the function reads under a name, and replaces there.

    Args:
        holder: the guard of the name, which knows what is there now.
        index: the index of the leaf.
    """

    def __init__(self, holder: Any, index: int, name: str) -> None:
        self._holder = holder
        self._index = index
        self.name = name
        self.key = (Carried, holder.key, index)

    def read(self, leaves: Leaves) -> Array:
        x = trees.leaves(self._holder.now())[self._index]
        return x._array if isinstance(x, Tensor) else x

    def reading(self, writer: "EntryWriter") -> str:
        leaves = [*writer.leaves(self._holder.reading(writer), self._holder.now())]
        expression, x = leaves[self._index]
        return f"{expression}._array" if isinstance(x, Tensor) else expression


class Upstream(Place):
    """The upstream gradient of a result that has a history, which comes from outside."""

    def __init__(self, index: int) -> None:
        self.name = f"upstream_{index}"
        self.key = (Upstream, index)
