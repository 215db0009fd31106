"""Floor 6. The graph behind a tensor as a lesson tells it: nodes with names, numbers and shapes, in forward order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_lite import backward
from tinygrad_lite.errors import GraphError, InputError, UsageError
from tinygrad_lite.ops.op import NO_PARAMS, Array, Op
from tinygrad_lite.ops.registry import is_registered
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
    def is_declared(self) -> bool:
        """Whether the operation is of the registry, and so a function of its inputs; not one that stands for a run."""
        return self.op is not None and is_registered(self.op)

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
        self._sources, self._modules = sources, modules
        self._nodes: dict[Any, Node] = {}
        self._keep: list[Any] = []
        self.leaves: list[Node] = []
        self.operations: list[Node] = []
        path = backward.history([result])
        self._names = _Names(path, names)
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

    def _operation(self, tensor: Tensor) -> None:
        inputs = [self._input(x, array) for x, array in zip(tensor.inputs, tensor.arrays)]
        number = len(self.operations) + 1
        module = self._modules.get(tensor, _owner(inputs))
        node = Node(
            self._names.of(tensor, _named_after(module) or f"t{number}"),
            _numpy(tensor.data),
            number,
            tensor.op,
            inputs,
            [_numpy(array) for array in tensor.arrays],
            tensor.params,
            tensor,
            True,
            self._sources.get(tensor),
            module,
        )
        self._nodes[tensor] = node
        self.operations.append(node)

    def _input(self, x: Any, array: Array) -> Any:
        if _is_number(x):
            return x.item() if hasattr(x, "item") else x
        key = _key(x)
        if key not in self._nodes:
            tensor = x if isinstance(x, Tensor) else None
            name = self._names.of(x, f"x{len(self.leaves) + 1}")
            value = array.astype(x.dtype) if isinstance(x, Tensor) else array  # as it was then: a leaf may be updated
            leaf = Node(name, _numpy(value), tensor=tensor, requires_grad=tensor is not None and tensor.requires_grad)
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
    """A name for each tensor or array, each given once: its own, the user's, or one that is made up.

    What has a name keeps it before any is made up; of two with the same name, the one that comes first.
    """

    def __init__(self, path: Sequence[Tensor], users: Mapping[int, str]) -> None:
        self._taken: set[str] = set()
        self._known: dict[Any, str] = {}
        self._counts: dict[str, int] = {}
        for result in path:
            for x in (*result.inputs, result):
                known = getattr(x, "name", None) or users.get(id(x))
                if known and _key(x) not in self._known and not _is_number(x):
                    self._known[_key(x)] = self._free(known)
        if path[-1] not in self._known:
            self._known[path[-1]] = self._free("result")

    def of(self, x: Any, otherwise: str) -> str:
        return self._known.get(_key(x)) or self._free(otherwise)

    def _free(self, name: str) -> str:
        found, count = name, self._counts.get(name, 1)
        while found in self._taken:
            count += 1
            found = f"{name}_{count}"
        self._counts[name] = count
        self._taken.add(found)
        return found


def _key(x: Any) -> Any:
    """What a tensor or an array is found by: arrays are equal to many things, and cannot be hashed."""
    return x if isinstance(x, Tensor) else id(x)


def _is_number(x: Any) -> bool:
    return not isinstance(x, Tensor) and np.ndim(x) == 0


def _numpy(array: Array) -> Array:
    """The array as NumPy's: a lesson shows numbers, wherever they lie."""
    return array if array is None or isinstance(array, (np.ndarray, np.generic, int, float)) else np.asarray(array)
