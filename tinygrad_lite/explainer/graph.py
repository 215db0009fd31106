"""The graph behind a tensor for a lesson: nodes with names, numbers and shapes, in forward order."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import takewhile
from typing import Any

import numpy as np

from tinygrad_lite.checking.auditing.causes import Cause
from tinygrad_lite.engine import backward
from tinygrad_lite.engine.op import NO_PARAMS, Array, Op
from tinygrad_lite.engine.registry import is_registered
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import GraphError, InputError, UsageError
from tinygrad_lite.foundation.phrases import phrase
from tinygrad_lite.ops.shapes.indexing import index_set, is_open_range
from tinygrad_lite.readers.recording import Source, Step
from tinygrad_lite.readers.symbol import Symbol
from tinygrad_lite.transforms.custom import RuleByHand
from tinygrad_lite.trees import leaves


@dataclass(eq=False)
class Node:
    """A value of the graph: the result of an operation, a leaf, or an array that an operation took.

    Attributes:
        name: its name, different for each node.
        value: the array.
        number: the operation's place in forward order, from 1; 0 if no operation made it.
        op, inputs, params: how it was made; inputs are nodes and plain numbers.
        arrays: the operation's inputs as arrays.
        indices: the arrays in the parameters, such as an index, that the graph knows how to compute.
        tensor: the tensor itself; None for an array or a stand-in.
        requires_grad: whether a gradient flows to it.
        source: the user's line that called the operation, if it is known.
        module: the path of the module that it belongs to, "" for the outermost; if there are several models, it begins
            with the name of the model.
    """

    name: str
    value: Array
    number: int = 0
    op: Op | None = None
    inputs: Sequence[Any] = ()
    arrays: Sequence[Array] = ()
    params: Mapping[str, Any] = field(default_factory=lambda: NO_PARAMS)
    indices: Sequence["Node"] = ()
    tensor: Tensor | None = None
    requires_grad: bool = False
    source: Source | None = None
    module: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.value)

    @property
    def is_declared(self) -> bool:
        """Whether the operation is in the registry, and so a function of its inputs; not one that stands for a run."""
        return self.op is not None and is_registered(self.op)

    @property
    def is_by_hand(self) -> bool:
        """Whether a user wrote the operation together with its rule, which may read anything, as `custom_gradient`."""
        return self.op is not None and isinstance(getattr(self.op.vjps, "rule", None), RuleByHand)

    @property
    def symbol(self) -> Symbol:
        """The value under its name."""
        return Symbol(self.value, self.name)

    @property
    def symbols(self) -> list[Any]:
        """The operation's inputs, each as a symbol with its name."""
        return [Symbol(array, x.name) if isinstance(x, Node) else array for x, array in zip(self.inputs, self.arrays)]

    @property
    def formula(self) -> Any:
        """The formula that made it, as a symbol; its own name if no operation made it."""
        if self.op is None:
            return self.symbol
        return Symbol(
            self.value, None, self.op, [x.symbol if isinstance(x, Node) else x for x in self.inputs], self.params
        )

    def __repr__(self) -> str:
        return f"{self.name}: {self.op}" if self.op else self.name


@dataclass
class Seen:
    """Facts about the origin of values that the graph does not hold.

    Attributes:
        names: the user's names for tensors and arrays, by their ids.
        sources, modules: the line and the module of each tensor, if they are known.
        made: values such as masks that were computed from the graph without a history; None if nobody watched.
        models: the name of the outermost module in which each tensor was made.
        decisions: operations whose answers went to Python code, which may have acted on them.
        exits: the tensors whose numbers Python code looked at, such as an `if`, by the line of the first look.
        owners: the name of the model that each parameter is in.
        constants: values that were computed from others that need no gradient, such as those of a frozen model.
        kept: the arrays of tensors that nothing in the graph computed, by their ids.
        cut_off: the leaves whose values reached the result without their history, and why.
    """

    names: dict[int, str]
    sources: dict[Tensor, Source]
    modules: dict[Tensor, str]
    made: dict[Tensor, Step] | None
    models: dict[Tensor, str] = field(default_factory=dict)
    decisions: list[Op] = field(default_factory=list)
    exits: dict[Source | None, Tensor] = field(default_factory=dict)
    owners: dict[Tensor, str] = field(default_factory=dict)
    constants: dict[Tensor, Step] = field(default_factory=dict)
    kept: dict[int, Array] = field(default_factory=dict)
    cut_off: dict[Tensor, Cause] = field(default_factory=dict)


class Graph:
    """The nodes behind a tensor.

    Attributes:
        root: the node of the tensor itself.
        leaves: the nodes that no operation made, in the order in which they occur.
        operations: the results of operations in forward order; also those without a gradient, if they were watched.
        upstream: the gradient that the backward pass starts from.
        letter: the name of the upstream gradient in formulas: g, unless a node has that name.
        frozen: why the graph cannot follow a change of its values: something in it is fixed that the user's code may
            have computed from them. None if nothing is.
        exit: the first line of the user's code that took numbers out of the graph, and may have acted on them; None if
            none did, or nobody watched.
        is_watched: whether somebody watched the user's code, so that all it chose by its numbers is known.
        unknown: the leaves that were made without a history, and nobody knows of what.
        cut_off: the names of leaves outside of the graph whose values are in it all the same, and why.

    Args:
        upstream: by default 1 for each entry of the result, so that the gradients are those of the sum of its entries.

    Raises:
        UsageError: if the root is not a tensor.
        GraphError: if it has no history, or its graph was freed.
        InputError: if it is empty.
    """

    def __init__(self, result: Tensor, seen: Seen, upstream: Array = None) -> None:
        if not isinstance(result, Tensor):
            raise UsageError(f"explain needs a tensor, such as a loss; got {_instead(result)}")
        if result.op is None:
            raise GraphError(
                "there is nothing to explain behind this tensor: no operation made it, or nothing with "
                "requires_grad=True leads to it, or comparisons, argmax and the like alone, which are flat"
            )
        if not result.size:
            raise InputError(
                f"this tensor is empty (shape {result.shape}): there is no entry whose gradient to explain"
            )
        if upstream is None and result.dtype.kind == "c":
            raise UsageError(
                f"explain needs a real tensor, as backward() does; this is {result.dtype}: take np.real or np.abs of it"
            )
        self._seen = seen
        self._made = seen.constants | (seen.made or {})
        self._reached: list[Tensor] = []  # of these, what the result was computed from
        self._numbering = {id(x.data): x for x in self._made if x.dtype.kind in "iu"}  # what may be an index
        self._nodes: dict[Any, Node] = {}
        self._arrays: dict[Any, Array] = {}
        self.leaves: list[Node] = []
        self.operations: list[Node] = []
        path = self._path(result)
        steps = [(x.inputs, x) for x in path] + [(self._made[x].inputs, x) for x in self._reached]
        steps.append((tuple(seen.cut_off), result))
        self._names = _Names(steps, result, seen.names, seen.owners)
        several = len({seen.models[tensor] for tensor in path if tensor in seen.models}) > 1
        self._models = seen.models if several else {}
        self._modules = {tensor: _inside(self._models.get(tensor), module) for tensor, module in seen.modules.items()}
        self._outputs = _outputs(path, {x: self._names.owner(x.inputs) for x in path} | self._modules)
        for tensor in path:
            self._operation(tensor)
        if not seen.modules:
            _surround(self.operations)
        self.root = self._nodes[result]
        self.upstream = np.ones_like(self.root.value)[()] if upstream is None else upstream
        self.letter = "upstream" if any(node.name == "g" for node in self.nodes) else "g"
        self.is_watched = seen.made is not None
        self.unknown = [leaf for leaf in self.leaves if self._is_unknown(leaf)]
        outside = {x: why for x, why in seen.cut_off.items() if x not in self._nodes}
        self.cut_off = {self._names.of(x, "a leaf"): why for x, why in outside.items()}
        self.frozen = self._frozen()
        self.exit = next((line for line, tensor in seen.exits.items() if self.is_behind(tensor)), None)

    @property
    def nodes(self) -> list[Node]:
        """All nodes: leaves first, then operations in forward order."""
        return [*self.leaves, *self.operations]

    def total(self, value: Array) -> float:
        """The number that is differentiated: the sum of the result's entries, each times its upstream gradient."""
        with np.errstate(all="ignore"):
            return float(np.sum(self.upstream * value))

    def _path(self, result: Tensor) -> list[Tensor]:
        """The history of the result, and of the values in it that were computed without a history, such as a mask."""
        roots = {result}
        looked: set[Tensor] = set()
        while True:
            path = backward.history(roots)
            looked.update(path)
            before = len(roots)
            ahead = [x for tensor in path for x in (*tensor.inputs, *self._indices(tensor.params))]
            while ahead:
                x = ahead.pop()
                if not isinstance(x, Tensor) or x in looked:
                    continue
                looked.add(x)
                if x in self._made:
                    self._reached.append(x)
                    ahead += [*self._made[x].inputs, *self._indices(self._made[x].params)]
                elif x.op is not None and x.inputs is not None:
                    roots.add(x)
            if len(roots) == before:
                return path

    def _indices(self, params: Mapping[str, Any]) -> list[Tensor]:
        """The tensors whose arrays are in the parameters of an operation."""
        arrays = [x for value in params.values() for x in arrays_in(value)] if self._numbering else ()
        return [self._numbering[id(array)] for array in arrays if id(array) in self._numbering]

    def _operation(self, tensor: Tensor) -> None:
        self._add(tensor, tensor.op, tensor.inputs, tensor.arrays, tensor.params, requires_grad=True)

    def _add(
        self, tensor: Tensor, op: Op, arguments: Any, arrays: Any, params: Mapping[str, Any], requires_grad: bool
    ) -> None:
        model = self._models.get(tensor)
        inputs = [self._input(x, array, model) for x, array in zip(arguments, arrays)]
        indices = self._indices(params)
        for x in indices:
            self._computed(x)
        number = len(self.operations) + 1
        module = self._modules[tensor] if tensor in self._modules else self._names.owner(arguments)
        path = self._seen.modules.get(tensor, module)
        for leaf in inputs:
            if isinstance(leaf, Node) and leaf.op is None:  # inside what all operations that read it are inside
                leaf.module = _common(leaf.module, module)
        node = Node(
            self._names.of(tensor, (tensor in self._outputs and _named_after(path)) or f"t{number}"),
            _numpy(tensor.data),
            number,
            op,
            inputs,
            [_numpy(array) for array in arrays],
            params,
            [self._nodes[x] for x in indices],
            tensor,
            requires_grad,
            self._seen.sources.get(tensor),
            module,
        )
        self._nodes[tensor] = node
        self.operations.append(node)

    def _input(self, x: Any, array: Array, model: str | None) -> Any:
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
        if "." in name:
            module = name.rpartition(".")[0]
            leaf.module = module if model and f"{module}.".startswith(f"{model}.") else _inside(model, module)
        self._nodes[key] = leaf
        self._arrays[key] = array
        self.leaves.append(leaf)
        return leaf

    def _is_same(self, key: Any, array: Array) -> bool:
        """Whether an array or a leaf still has the same values; it may have changed between two uses."""
        former = self._arrays[key]
        if array is former:
            return True
        a, b = np.asarray(former), np.asarray(array)
        return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == b.dtype.kind == "f"))

    def _computed(self, x: Tensor) -> None:
        """Add the operations that made a tensor without a history from the graph's values, before its first use."""
        ahead = [x]
        while ahead:
            top = ahead[-1]
            step = self._made[top]
            behind = (*step.inputs, *self._indices(step.params))
            waiting = [y for y in behind if isinstance(y, Tensor) and y in self._made and y not in self._nodes]
            if top in self._nodes or not waiting:
                ahead.pop()
                if top not in self._nodes:
                    self._add(top, step.op, step.inputs, step.arrays, step.params, requires_grad=False)
            else:
                ahead += waiting

    def _frozen(self) -> str | None:
        if self._seen.decisions:
            return phrase("the code asked {op} of its values and acted on the answer", op=self._seen.decisions[0])
        for node in self.operations:
            if any(self._may_be_computed(node, x) for value in node.params.values() for x in arrays_in(value)):
                if self._seen.made is None:
                    return phrase(
                        "{node} takes entries by an index, which may have been computed from values; "
                        "tg.explain(function, *arguments) finds out what it was made of",
                        node=node.name,
                    )
                return phrase(
                    "{node} takes entries by an index, which may have been computed from values", node=node.name
                )
        for leaf in self.unknown:
            if self._seen.made is not None:
                return phrase(
                    "{leaf} was made without a history, and may have been computed from values of the graph",
                    leaf=leaf.name,
                )
            if leaf.value.dtype.kind not in "fc":
                return phrase(
                    "{leaf} was made without a history, and may have been computed from other values; "
                    "tg.explain(function, *arguments) finds out what a mask was made of",
                    leaf=leaf.name,
                )
        return None

    def _is_unknown(self, leaf: Node) -> bool:
        tensor = leaf.tensor
        return tensor is not None and _has_no_history(tensor) and id(tensor.data) not in self._seen.kept

    def is_behind(self, tensor: Tensor) -> bool:
        """Whether a tensor was computed from values of the graph, as far as its history is there."""
        ahead: list[Any] = [tensor]
        looked: set[Tensor] = set()
        while ahead:
            x = ahead.pop()
            if not isinstance(x, Tensor) or x in looked:
                continue
            if x in self._nodes:
                return True
            looked.add(x)
            step = self._made.get(x)
            ahead += (*step.inputs, *self._indices(step.params)) if step else x.inputs if x.op and x.inputs else ()
        return False

    def _may_be_computed(self, node: Node, array: Array) -> bool:
        """Whether an index may have been computed from values, and the graph does not know how.

        The index of an operation is the array of a tensor or the copy of an array, and only the latter can be written
        to. `np.piecewise` replaces entries by masks of its own.
        """
        if not array.ndim or id(array) in self._numbering or id(array) in self._seen.kept:
            return False
        if self._seen.made is not None:
            return any(x.dtype.kind in "iub" and x not in self._nodes for x in self._seen.made)
        if array.flags.writeable:
            return node.op is index_set and array.dtype.kind == "b"
        return not is_open_range(array, node.params.get("shape", np.shape(node.arrays[0])))


def _instead(result: Any) -> str:
    """What came in place of a tensor, and what to do."""
    name = type(result).__name__
    if any(isinstance(x, Tensor) for x in leaves(result)):
        return f"{name} of tensors: explain one of them, or their sum, such as lambda *args: f(*args)[0]"
    if isinstance(result, (np.ndarray, np.generic, float, int)):
        return f"{name}: compute it from real numbers such as 2.0, or from tg.tensor(x, requires_grad=True)"
    return name


def arrays_in(x: Any) -> list[Array]:
    """The arrays in a parameter."""
    if isinstance(x, tuple):
        return [array for part in x for array in arrays_in(part)]
    return [x] if isinstance(x, (np.ndarray, np.generic)) else []


def _inside(model: str | None, module: str) -> str:
    return ".".join(filter(None, (model, module)))


_NEAREST = 9  # modules behind an operation that are looked at


def _surround(operations: Sequence[Node]) -> None:
    """Put operations without parameters, whose calls nobody saw, inside the module that holds what is around them.

    That is what an operation is computed from, and the nearest result that is computed from it.
    """
    before: dict[Node, str] = {}
    behind: dict[Node, set[str]] = {}
    for node in operations:
        earlier = [before[x] for x in node.inputs if isinstance(x, Node) and x in before]
        if node.module or earlier:
            before[node] = node.module or reduce(_common, earlier)
    for node in reversed(operations):
        further = {node.module} if node.module else behind.get(node, set())
        for x in node.inputs:
            if isinstance(x, Node) and x.op is not None and not x.module:
                known = behind.setdefault(x, set())
                known |= further if len(known) < _NEAREST else set()
    for node in operations:
        if not node.module and node in before:
            node.module = max((_common(before[node], each) for each in behind.get(node, ())), key=len, default="")


def _common(a: str, b: str) -> str:
    """The path of the innermost module that holds both."""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(a.split("."), b.split(".")))
    return ".".join(name for name, _ in pairs)


def _outputs(path: Sequence[Tensor], modules: Mapping[Tensor, str]) -> set[Tensor]:
    """The results that modules return: those that no operation in the same module uses."""
    inside = {
        x
        for tensor in path
        for x in tensor.inputs
        if isinstance(x, Tensor) and x in modules and f"{modules.get(tensor, '')}.".startswith(f"{modules[x]}.")
    }
    return {tensor for tensor in path if tensor not in inside}


def _named_after(module: str) -> str:
    """A name for the result of a module: its path, unless that would read as a number."""
    return module if module.rpartition(".")[2].isidentifier() else ""


class _Names:
    """A unique name for each tensor or array: its own, the user's, or a made-up name.

    Existing names come before made-up names; of two equal names, each gets that of its model in front, or the first
    node keeps it. A sign stands for a letter that cannot be printed.
    """

    def __init__(
        self,
        steps: Sequence[tuple[Any, Tensor]],
        root: Tensor,
        users: Mapping[int, str],
        owners: Mapping[Tensor, str],
    ) -> None:
        self._taken: set[str] = set()
        self._known: dict[Any, str] = {}
        self._counts: dict[str, int] = {}
        known: dict[Any, str] = {}
        for inputs, result in steps:
            for x in (*inputs, result):
                name = getattr(x, "name", None) or users.get(id(x)) or ""
                if name.strip("_") and not _is_number(x):  # `_` names what nobody needs
                    known.setdefault(_key(x), name)
        frequency = Counter(known.values())
        for key, name in sorted(known.items(), key=lambda item: _has_no_history(item[0])):  # `detach()` keeps a name
            owner = owners.get(key) if frequency[name] > 1 and isinstance(key, Tensor) else None
            self._known[key] = self._free(f"{owner}.{name}" if owner else name)
        if root not in self._known:
            self._known[root] = self._free("output" if "result" in self._taken else "result")

    def of(self, x: Any, otherwise: str, changed: bool = False) -> str:
        """The name of a tensor or an array; a new name if it has changed since it got its name."""
        known = self._known.get(_key(x))
        return known if known and not changed else self._free(known or otherwise)

    def owner(self, inputs: Sequence[Any]) -> str:
        """The module of an operation, according to the parameters that it takes."""
        leaves = (x for x in inputs if not isinstance(x, Tensor) or x.op is None)
        paths = (self._known.get(_key(x), "") for x in leaves)
        return next((path.rpartition(".")[0] for path in paths if "." in path), "")

    def _free(self, name: str) -> str:
        name = "".join(letter if letter.isprintable() else "�" for letter in name)
        free_name, count = name, self._counts.get(name, 1)
        while free_name in self._taken:
            count += 1
            free_name = f"{name}_{count}"
        self._counts[name] = count
        self._taken.add(free_name)
        return free_name


def _has_no_history(x: Any) -> bool:
    """Whether it is a result whose history was not kept, or a detached one; a leaf has none to keep."""
    return isinstance(x, Tensor) and x.op is None and not hasattr(x, "index")


def _key(x: Any) -> Any:
    """The key of a tensor or an array, since arrays compare entry by entry and cannot be hashed."""
    return x if isinstance(x, Tensor) else id(x)


def _is_number(x: Any) -> bool:
    return not isinstance(x, Tensor) and np.ndim(x) == 0


def _numpy(array: Array) -> Array:
    """The array as a NumPy array: a lesson shows numbers, whatever library holds them."""
    return array if array is None or isinstance(array, (np.ndarray, np.generic, int, float)) else np.asarray(array)
