"""Floor 6. The graph behind a tensor as a lesson tells it: nodes with names, numbers and shapes, in forward order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_lite import backward
from tinygrad_lite.errors import GraphError, InputError, UsageError
from tinygrad_lite.ops.op import NO_PARAMS, Array, Op
from tinygrad_lite.recording import Source
from tinygrad_lite.symbol import Symbol
from tinygrad_lite.tensor import Tensor


@dataclass(eq=False)
class Node:
    """A value of the graph: what an operation made, a leaf, or an array that it met.

    Attributes:
        name: what it is called, each node by another name.
        value: the array.
        number: the operation's place in forward order, from 1; 0 for what no operation made.
        op, inputs, params: how it was made; inputs are nodes, and plain numbers.
        arrays: what the operation was given.
        tensor: the tensor that it is; None for an array or a stand-in.
        requires_grad: whether a gradient flows to it.
        source: the user's line that called the operation, where it is known.
        module: the path of the module that it belongs to, "" for the outermost.
    """

    name: str
    value: Array
    number: int = 0
    op: Op | None = None
    inputs: Sequence[Any] = ()
    arrays: Sequence[Array] = ()
    params: Mapping[str, Any] = field(default_factory=lambda: NO_PARAMS)
    tensor: Tensor | None = None
    requires_grad: bool = False
    source: Source | None = None
    module: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.value)

    @property
    def symbol(self) -> Symbol:
        """The value under its name."""
        return Symbol(self.value, self.name)

    @property
    def formula(self) -> Any:
        """How it was made, as a symbol; its own name if it was not."""
        if self.op is None:
            return self.symbol
        return Symbol(
            self.value, None, self.op, [x.symbol if isinstance(x, Node) else x for x in self.inputs], self.params
        )

    def __repr__(self) -> str:
        return f"{self.name}: {self.op}" if self.op else self.name


class Graph:
    """The nodes behind a tensor.

    Attributes:
        root: the node of the tensor itself.
        leaves: what no operation made, in the order in which it is met.
        operations: what one did, in forward order.
        upstream: the gradient that the backward pass starts from.

    Args:
        upstream: 1 for each entry of the result unless given, so that gradients are those of the sum of its entries.
        names: what the user calls some tensors and arrays, by their ids.
        sources, modules: the line and the module of each tensor that is known to have one.

    Raises:
        UsageError: if it is no tensor.
        GraphError: if it has no history, or its graph was freed.
        InputError: if it is empty.
    """

    def __init__(
        self,
        result: Tensor,
        names: Mapping[int, str],
        sources: Mapping[Tensor, Source],
        modules: Mapping[Tensor, str],
        upstream: Array = None,
    ) -> None:
        if not isinstance(result, Tensor):
            raise UsageError(f"what is explained is a tensor, such as a loss; got {type(result).__name__}")
        if result.op is None:
            raise GraphError(
                "there is nothing to explain behind this tensor: no operation made it, or nothing that it was computed "
                "from has requires_grad=True"
            )
        if not result.size:
            raise InputError(
                f"this tensor is empty (shape {result.shape}): there is no entry whose gradient to explain"
            )
        self._names = _Names(names)
        self._sources, self._modules = sources, modules
        self._nodes: dict[Any, Node] = {}
        self._keep: list[Any] = []
        self.leaves: list[Node] = []
        self.operations: list[Node] = []
        path = backward.history([result])
        for tensor in path:
            if tensor.name or id(tensor) in names:
                self._names.reserve(tensor)
        if not (result.name or id(result) in names):
            self._names.reserve(result, "result")
        for tensor in path:
            self._operation(tensor)
        self.root = self._nodes[result]
        self.upstream = np.ones_like(self.root.value)[()] if upstream is None else upstream

    @property
    def nodes(self) -> list[Node]:
        """All nodes: leaves first, then operations in forward order."""
        return [*self.leaves, *self.operations]

    def total(self, value: Array) -> float:
        """What is differentiated: the sum of the result's entries, each times what the backward pass starts from."""
        with np.errstate(all="ignore"):
            return float(np.sum(self.upstream * value))

    def consumers(self, node: Node) -> list[tuple[Node, int]]:
        """Which operations take a node in, and as which input."""
        return [(each, i) for each in self.operations for i, x in enumerate(each.inputs) if x is node]

    def _operation(self, tensor: Tensor) -> None:
        inputs = [self._input(x, array) for x, array in zip(tensor.inputs, tensor.arrays)]
        number = len(self.operations) + 1
        module = self._modules.get(tensor, _owner(inputs))
        node = Node(
            self._names.of(tensor, _named_after(module) or f"t{number}"),
            tensor.data,
            number,
            tensor.op,
            inputs,
            tensor.arrays,
            tensor.params,
            tensor,
            True,
            self._sources.get(tensor),
            module,
        )
        self._nodes[tensor] = node
        self.operations.append(node)

    def _input(self, x: Any, array: Array) -> Any:
        if not isinstance(x, Tensor) and np.ndim(x) == 0:
            return x.item() if hasattr(x, "item") else x
        key = x if isinstance(x, Tensor) else id(x)
        if key not in self._nodes:
            tensor = x if isinstance(x, Tensor) else None
            name = self._names.of(x, f"x{len(self.leaves) + 1}")
            value = array.astype(x.dtype) if isinstance(x, Tensor) else array  # as it was then: a leaf may be updated
            leaf = Node(name, value, tensor=tensor, requires_grad=tensor is not None and tensor.requires_grad)
            leaf.module = name.rpartition(".")[0]
            self._nodes[key] = leaf
            self._keep.append(x)  # whose id shall not be another's
            self.leaves.append(leaf)
        return self._nodes[key]


def _owner(inputs: Sequence[Any]) -> str:
    """The module of an operation by the parameters that it takes in."""
    paths = (x.name for x in inputs if isinstance(x, Node) and x.op is None and "." in x.name)
    return next((path.rpartition(".")[0] for path in paths), "")


def _named_after(module: str) -> str:
    """A name for what a module returns: its path, unless that would read as a number."""
    return module if module.rpartition(".")[2].isidentifier() else ""


class _Names:
    """A name for each tensor or array, each given once: its own, the user's, or one that is made up."""

    def __init__(self, users: Mapping[int, str]) -> None:
        self._users = users
        self._taken: set[str] = set()
        self._reserved: dict[Tensor, str] = {}

    def reserve(self, tensor: Tensor, name: str | None = None) -> None:
        """Have a tensor get its name, or a given one, before those that have none."""
        self._reserved[tensor] = self._free(name or tensor.name or self._users[id(tensor)])

    def of(self, x: Any, otherwise: str) -> str:
        if isinstance(x, Tensor) and x in self._reserved:
            return self._reserved[x]
        return self._free(getattr(x, "name", None) or self._users.get(id(x)) or otherwise)

    def _free(self, name: str) -> str:
        found, count = name, 1
        while found in self._taken:
            count += 1
            found = f"{name}_{count}"
        self._taken.add(found)
        return found
