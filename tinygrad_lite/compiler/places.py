"""Floor 5. Places: where a compiled function reads what it computes with, and writes what it leaves behind.

A place is read before a run and written after it, so that whoever holds the tensor, the module or the optimiser sees
what the function did. A number (a learning rate, a count of steps) is in a place too.
"""

from collections.abc import Sequence
from typing import Any

from tinygrad_lite.ops.op import Array
from tinygrad_lite.tensor import Tensor, wrap

Leaves = Sequence[Any]
"""The arguments of a call, leaf by leaf."""


class Place:
    """Where a value is kept; two places that are the same are equal.

    Attributes:
        name: what a person would call it, such as hidden.weight.
        key: what the place is.
    """

    name: str
    key: tuple[Any, ...]

    def read(self, leaves: Leaves) -> Any:
        """The array or the number that is kept here now; None if there is none."""
        raise NotImplementedError

    def write(self, value: Any, leaves: Leaves) -> None:
        """Keep another one."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Place) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return self.name


class Argument(Place):
    """A leaf of the arguments: an array, or the array of a tensor."""

    def __init__(self, index: int, name: str) -> None:
        self.index = index
        self.name = name
        self.key = (Argument, index)

    def read(self, leaves: Leaves) -> Array:
        leaf = leaves[self.index]
        return leaf._array if type(leaf) is Tensor else leaf

    def write(self, value: Array, leaves: Leaves) -> None:
        leaves[self.index].replace(value)


class Data(Place):
    """The array of a tensor that the function knows from elsewhere."""

    def __init__(self, tensor: Tensor, name: str) -> None:
        self.tensor = tensor
        self.name = name
        self.key = (Data, id(tensor))

    def read(self, leaves: Leaves) -> Array:
        return self.tensor._array

    def write(self, value: Array, leaves: Leaves) -> None:
        self.tensor.replace(value)


class Gradient(Place):
    """The gradient of the tensor in a place; None is written where the function leaves none."""

    def __init__(self, of: Argument | Data) -> None:
        self.of = of
        self.name = f"{of.name}.grad"
        self.key = (Gradient, of.key)

    def tensor(self, leaves: Leaves) -> Tensor:
        """The tensor that the gradient belongs to."""
        return self.of.tensor if isinstance(self.of, Data) else leaves[self.of.index]

    def read(self, leaves: Leaves) -> Array:
        gradient = self.tensor(leaves)._grad
        return None if gradient is None else gradient._array

    def write(self, value: Array, leaves: Leaves) -> None:
        self.tensor(leaves)._grad = None if value is None else wrap(value)


class Attribute(Place):
    """A number in an attribute, such as a learning rate."""

    def __init__(self, owner: Any, name: str) -> None:
        self.owner = owner
        self.name = name
        self.key = (Attribute, id(owner), name)

    def read(self, leaves: Leaves) -> Any:
        return vars(self.owner)[self.name]

    def write(self, value: Any, leaves: Leaves) -> None:
        vars(self.owner)[self.name] = value


class Entry(Place):
    """An entry of an optimiser's state: an array, or a count."""

    def __init__(self, optimizer: Any, index: int, entry: str, name: str) -> None:
        self.optimizer = optimizer
        self.index = index
        self.entry = entry
        self.name = f"{name}.{entry}"
        self.key = (Entry, id(optimizer), index, entry)

    def read(self, leaves: Leaves) -> Any:
        return self.optimizer.state[self.index].get(self.entry)

    def write(self, value: Any, leaves: Leaves) -> None:
        self.optimizer.state[self.index][self.entry] = value


class Outside(Place):
    """An array that the function found outside; others may write to it, and the function never does."""

    def __init__(self, array: Array, name: str) -> None:
        self.array = array
        self.name = name
        self.key = (Outside, id(array))

    def read(self, leaves: Leaves) -> Array:
        return self.array
