"""The graph behind a tensor as a lesson tells it: nodes with names, numbers and shapes, in forward order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_lite.engine import backward
from tinygrad_lite.engine.op import NO_PARAMS, Array, Op
from tinygrad_lite.engine.registry import is_registered
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import GraphError, InputError, UsageError
from tinygrad_lite.readers.recording import Source, Step
from tinygrad_lite.readers.symbol import Symbol


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
    def symbols(self) -> list[Any]:
        """What the operation was given, each value under its name."""
        return [Symbol(array, x.name) if isinstance(x, Node) else array for x, array in zip(self.inputs, self.arrays)]

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


@dataclass
class Seen:
    """What is known of how values came about, beyond the graph.

    Attributes:
        names: what the user calls some tensors and arrays, by their ids.
        sources, modules: the line and the module of each tensor that is known to have one.
        made: what was computed of the graph's values without a history, such as masks; None if nobody looked.
        decisions: operations whose answer Python was given, to act on.
    """

    names: dict[int, str]
    sources: dict[Tensor, Source]
    modules: dict[Tensor, str]
    made: dict[Tensor, Step] | None
    decisions: list[Op] = field(default_factory=list)


class Graph:
    """The nodes behind a tensor.

    Attributes:
        root: the node of the tensor itself.
        leaves: what no operation made, in the order in which it is met.
        operations: what one did, in forward order; those too that carry no gradient, where somebody saw them.
        upstream: the gradient that the backward pass starts from.
        letter: what the upstream gradient is called in formulas: g, unless that is somebody's name.
        frozen: why other values would not come out as the user's code makes them: what is fixed in this graph though
            it may have been computed from its values. None if nothing is.

    Args:
        upstream: 1 for each entry of the result unless given, so that gradients are those of the sum of its entries.

    Raises:
        UsageError: if it is no tensor.
        GraphError: if it has no history, or its graph was freed.
        InputError: if it is empty.
    """

    def __init__(self, result: Tensor, seen: Seen, upstream: Array = None) -> None:
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
        self._seen = seen
        self._made = seen.made or {}
        self._nodes: dict[Any, Node] = {}
        self._arrays: dict[Any, Array] = {}
        self.leaves: list[Node] = []
        self.operations: list[Node] = []
        path = self._path(result)
        self._names = _Names(path, result, seen.names)
        self._outputs = _outputs(path, seen.modules)
        for tensor in path:
            self._operation(tensor)
        self.root = self._nodes[result]
        self.upstream = np.ones_like(self.root.value)[()] if upstream is None else upstream
        self.letter = "upstream" if any(node.name == "g" for node in self.nodes) else "g"
        self.frozen = self._frozen()

    @property
    def nodes(self) -> list[Node]:
        """All nodes: leaves first, then operations in forward order."""
        return [*self.leaves, *self.operations]

    def total(self, value: Array) -> float:
        """What is differentiated: the sum of the result's entries, each times what the backward pass starts from."""
        with np.errstate(all="ignore"):
            return float(np.sum(self.upstream * value))

    def _path(self, result: Tensor) -> list[Tensor]:
        """The history of the result, and of what was made of its values without one, as a mask is."""
        roots = {result}
        looked: set[Tensor] = set()
        while True:
            path = backward.history(roots)
            looked.update(path)
            before = len(roots)
            ahead = [x for tensor in path for x in tensor.inputs]
            while ahead:
                x = ahead.pop()
                if not isinstance(x, Tensor) or x in looked:
                    continue
                looked.add(x)
                if x in self._made:
                    ahead += self._made[x].inputs
                elif x.op is not None and x.inputs is not None:
                    roots.add(x)
            if len(roots) == before:
                return path

    def _operation(self, tensor: Tensor) -> None:
        self._add(tensor, tensor.op, tensor.inputs, tensor.arrays, tensor.params, requires_grad=True)

    def _add(
        self, tensor: Tensor, op: Op, arguments: Any, arrays: Any, params: Mapping[str, Any], requires_grad: bool
    ) -> None:
        inputs = [self._input(x, array) for x, array in zip(arguments, arrays)]
        number = len(self.operations) + 1
        module = self._seen.modules.get(tensor, _owner(inputs))
        node = Node(
            self._names.of(tensor, (tensor in self._outputs and _named_after(module)) or f"t{number}"),
            _numpy(tensor.data),
            number,
            op,
            inputs,
            [_numpy(array) for array in arrays],
            params,
            tensor,
            requires_grad,
            self._seen.sources.get(tensor),
            module,
        )
        self._nodes[tensor] = node
        self.operations.append(node)

    def _input(self, x: Any, array: Array) -> Any:
        if _is_number(x):
            return x.item() if hasattr(x, "item") else x
        key = _key(x)
        if isinstance(x, Tensor) and x.op is None and x in self._made:
            self._computed(x)
        known = self._nodes.get(key)
        if known is not None and (known.op is not None or self._is_same(key, array)):
            return known
        tensor = x if isinstance(x, Tensor) else None
        name = self._names.of(x, f"x{len(self.leaves) + 1}", known is not None)
        value = array.astype(x.dtype) if isinstance(x, Tensor) else array  # as it was then: a leaf may be updated
        leaf = Node(name, _numpy(value), tensor=tensor, requires_grad=tensor is not None and tensor.requires_grad)
        leaf.module = name.rpartition(".")[0]
        self._nodes[key] = leaf
        self._arrays[key] = array
        self.leaves.append(leaf)
        return leaf

    def _is_same(self, key: Any, array: Array) -> bool:
        """Whether an array or a leaf, met again, is as it was: it may have been changed between its uses."""
        former = self._arrays[key]
        if array is former:
            return True
        a, b = np.asarray(former), np.asarray(array)
        return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == b.dtype.kind == "f"))

    def _computed(self, x: Tensor) -> None:
        """Add the operations that made a tensor without a history of the graph's values, before what takes it in."""
        ahead = [x]
        while ahead:
            top = ahead[-1]
            step = self._made[top]
            waiting = [y for y in step.inputs if isinstance(y, Tensor) and y in self._made and y not in self._nodes]
            if top in self._nodes or not waiting:
                ahead.pop()
                if top not in self._nodes:
                    self._add(top, step.op, step.inputs, step.arrays, step.params, requires_grad=False)
            else:
                ahead += waiting

    def _frozen(self) -> str | None:
        if self._seen.decisions:
            return f"the code asked {self._seen.decisions[0]} of its values and acted on the answer"
        for node in self.operations:
            if any(map(_has_array, node.params.values())) and (
                self._seen.made is None or any(x.dtype.kind in "iub" for x in self._made)
            ):
                return f"{node.name} takes entries by an index, which may have been computed from values"
            if not node.requires_grad and node.value.dtype.kind in "iu":
                return f"{node.name} counts or numbers values ({node.op}), and what it was used for is fixed"
        for leaf in self.leaves:
            if leaf.tensor is not None and not hasattr(leaf.tensor, "index"):
                return (
                    f"{leaf.name} was made without a history, and may have been computed from other values; what a "
                    "mask was made of is known if the function is explained, as tg.explain(function, *arguments)"
                )
        return None


def _has_array(x: Any) -> bool:
    return any(map(_has_array, x)) if isinstance(x, tuple) else isinstance(x, np.ndarray) and x.ndim > 0


def _outputs(path: Sequence[Tensor], modules: Mapping[Tensor, str]) -> set[Tensor]:
    """What modules return: results that nothing in the same module goes on with."""
    inside = {
        x
        for tensor in path
        for x in tensor.inputs
        if isinstance(x, Tensor) and x in modules and f"{modules.get(tensor, '')}.".startswith(f"{modules[x]}.")
    }
    return {tensor for tensor in path if tensor not in inside}


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

    def __init__(self, path: Sequence[Tensor], root: Tensor, users: Mapping[int, str]) -> None:
        self._taken: set[str] = set()
        self._known: dict[Any, str] = {}
        self._counts: dict[str, int] = {}
        for result in path:
            for x in (*result.inputs, result):
                known = getattr(x, "name", None) or users.get(id(x))
                if known and _key(x) not in self._known and not _is_number(x):
                    self._known[_key(x)] = self._free(known)
        if root not in self._known:
            self._known[root] = self._free("result")

    def of(self, x: Any, otherwise: str, changed: bool = False) -> str:
        """The name of a tensor or an array; another one if it was changed since it got its name."""
        known = self._known.get(_key(x))
        return known if known and not changed else self._free(known or otherwise)

    def _free(self, name: str) -> str:
        free_name, count = name, self._counts.get(name, 1)
        while free_name in self._taken:
            count += 1
            free_name = f"{name}_{count}"
        self._counts[name] = count
        self._taken.add(free_name)
        return free_name


def _key(x: Any) -> Any:
    """What a tensor or an array is found by: arrays are equal to many things, and cannot be hashed."""
    return x if isinstance(x, Tensor) else id(x)


def _is_number(x: Any) -> bool:
    return not isinstance(x, Tensor) and np.ndim(x) == 0


def _numpy(array: Array) -> Array:
    """The array as NumPy's: a lesson shows numbers, wherever they lie."""
    return array if array is None or isinstance(array, (np.ndarray, np.generic, int, float)) else np.asarray(array)
