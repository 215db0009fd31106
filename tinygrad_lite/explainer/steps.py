"""The backward pass, one operation at a time, in the order in which the engine runs it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lite.engine.backward import accumulated, fitted, whole
from tinygrad_lite.engine.grad_mode import no_grad
from tinygrad_lite.engine.op import Array, Deferred
from tinygrad_lite.explainer.graph import Graph, Node
from tinygrad_lite.foundation.phrases import phrase
from tinygrad_lite.readers import abbreviation, notation
from tinygrad_lite.readers.symbol import Symbol, extent, operations_in, without_numbers

FEW = 12  # the largest number of entries of an array that are shown one by one
LONG = 60  # the largest number of operations in a rule that is printed


@dataclass(eq=False)
class Contribution:
    """The contribution of one operation to the gradient of one of its inputs.

    Attributes:
        operation: the operation.
        to, position: the input, and its position.
        upstream: the upstream gradient of the operation.
        local: ∂y/∂x as a symbol or a number, for an elementwise operation; else None.
        rule: the vector-Jacobian product as a symbol in g, or a text if it is not a formula.
        full: the result of the rule, before the sum over broadcast axes.
        summed: the axes of that sum.
        value: the contribution, of the input's shape.
    """

    operation: Node
    to: Node
    position: int
    upstream: Array
    local: Any
    rule: Any
    full: Array
    summed: tuple[int, ...]
    value: Array

    @property
    def formula(self) -> str:
        """The rule as text."""
        return self.rule if isinstance(self.rule, str) else abbreviation.text(self.rule)

    @property
    def takes_real_part(self) -> bool:
        """Whether the rule's result is complex and its input real, which takes the real part."""
        return np.iscomplexobj(self.full) and not np.iscomplexobj(self.value)

    def __repr__(self) -> str:
        return f"{self.operation.name} → {self.to.name}: {self.formula}"


@dataclass(eq=False)
class BackwardStep:
    """One operation of the backward pass.

    Attributes:
        number: the step's place in the pass, from 1.
        operation: the operation.
        upstream: the upstream gradient, which is complete, since all uses of the result came before.
        contributions: the contributions to its inputs.
    """

    number: int
    operation: Node
    upstream: Array
    contributions: list[Contribution]
    _before: "BackwardStep | None"

    @property
    def gradients(self) -> dict[str, Array]:
        """The gradients so far, complete or still growing, by name."""
        steps = [self]
        while (before := steps[-1]._before) is not None:
            steps.append(before)
        first = steps[-1]
        gradients_by_name = {first.operation.name: first.upstream}
        for contribution in (contribution for step in reversed(steps) for contribution in step.contributions):
            name = contribution.to.name
            gradients_by_name[name] = (
                gradients_by_name[name] + contribution.value if name in gradients_by_name else contribution.value
            )
        return gradients_by_name

    def __repr__(self) -> str:
        lines = [f"step {self.number}: {self.operation.name} = {notation.text(self.operation.formula)}"]
        for contribution in self.contributions:
            lines.append(f"  to {contribution.to.name}: {contribution.formula} = {brief(contribution.value)}")
        return "\n".join(lines)


class Pass:
    """A backward pass over a graph, with all of its results.

    Attributes:
        steps: its steps, in order.
        gradients: the gradient of each node that it reaches.
        received: the contributions to each node, in the order in which they arrived.
    """

    def __init__(self, graph: Graph) -> None:
        self.gradients: dict[Node, Array] = {}
        self.received: dict[Node, list[Contribution]] = {}
        self.steps = list(steps(graph, self.gradients, self.received))


def steps(
    graph: Graph, gradients: dict[Node, Array], received: dict[Node, list[Contribution]]
) -> Iterator[BackwardStep]:
    """Run the steps of a backward pass; add their results to `gradients` and `received`.

    For a result with several entries, the pass computes the gradient of their sum.
    """
    arrived: dict[Node, Any] = {graph.root: graph.upstream}
    before: BackwardStep | None = None
    for operation in reversed(graph.operations):
        if operation not in arrived:
            continue
        op: Any = operation.op
        g = whole(arrived[operation])
        seen = arrived[operation] if op.deferred else g
        made = []
        symbols = operation.symbols
        upstream = Symbol(g, graph.letter)
        for i, x in enumerate(operation.inputs):
            if not (isinstance(x, Node) and x.requires_grad) or op.vjps[i] is None:
                continue
            with np.errstate(all="ignore"), no_grad():  # the lesson shows infinite and undefined values as such
                returned = op.vjps[i](seen, operation.value, *operation.arrays, **operation.params)
                contribution = _contribution(operation, x, i, whole(returned), upstream, symbols)
                value = fitted(returned, x.shape, x.value.dtype, op, i)
                arrived[x] = accumulated(arrived, x, value) if x in arrived else value
            made.append(contribution)
            received.setdefault(x, []).append(contribution)
        before = BackwardStep(1 if before is None else before.number + 1, operation, g, made, before)
        yield before
    gradients.update({x: whole(g) for x, g in arrived.items()})


def _contribution(operation: Node, x: Node, i: int, full: Array, upstream: Symbol, symbols: list[Any]) -> Contribution:
    op: Any = operation.op
    params, g = operation.params, upstream.value
    value = fitted(full, x.shape, x.value.dtype, op, i)
    shape = np.shape(full)
    added = len(shape) - len(x.shape)
    summed = tuple(
        axis for axis, size in enumerate(shape) if axis < added or (x.shape[axis - added] == 1 and size != 1)
    )
    y = operation.symbol
    local = op.derivatives[i] if op.derivatives else None
    if callable(local):
        local = _read(local, upstream, y, *symbols, **params)
        for operand in getattr(local, "inputs", ()):
            without_numbers(operand)  # its own numbers are shown, but not the intermediate ones
    rule: Any = phrase("as {op} itself computes it", op=op)
    if operation.is_declared or operation.is_by_hand:
        rule = without_numbers(_read(op.vjps[i], upstream, upstream, y, *symbols, **params))
    return Contribution(operation, x, i, g, local, rule, full, summed, value)


def magnitude(contribution: Contribution) -> Array:
    """The sum of the sizes of the terms that a contribution adds up: its rounding is relative to that."""
    operation, x, i = contribution.operation, contribution.to, contribution.position
    op: Any = operation.op
    full = np.abs(contribution.full)
    with np.errstate(all="ignore"), no_grad():
        if op.linear and operation.is_declared:
            sizes = (
                np.abs(array) if _is_real(array) else array
                for array in (contribution.upstream, operation.value, *operation.arrays)
            )
            full = np.abs(whole(op.vjps[i](*sizes, **operation.params)))
        return fitted(full, x.shape, x.value.dtype, op, i)


def _is_real(array: Array) -> bool:
    return isinstance(array, (np.ndarray, np.generic)) and array.dtype.kind == "f"


def formula_of(rule: Any, *symbols: Any, **params: Any) -> Any:
    """The result of a rule or a forward for symbols; None if it computes with the numbers themselves."""
    try:
        with np.errstate(all="ignore"):
            return rule(*symbols, **params)
    except Exception:  # noqa: BLE001, RUF100  whatever it does with numbers that it is not shown
        return None


def _read(rule: Any, upstream: Symbol, *symbols: Any, **params: Any) -> Any:
    """The result of a rule for symbols, or a description in words."""
    formula = formula_of(rule, *symbols, **params)
    if formula is None:
        return phrase("a rule that is not a formula, since it depends on the numbers")
    if isinstance(formula, Deferred):
        return phrase("{g} where the entries were taken from, 0 elsewhere", g=upstream.name)
    if extent(formula) <= LONG:
        return formula
    return phrase("a rule of {n} operations, too long to print", n=f"{operations_in(formula):,}")


def brief(array: Array) -> str:
    """An array in one line: all of its entries if there are few, else its shape, mean and range."""
    array = np.asarray(array)
    if array.dtype.kind in "fb":
        array = array + 0.0  # which turns -0 into 0, and booleans into numbers
    if not array.shape:
        return (
            f"({array:.6g})" if array.dtype.kind == "c" else f"{array:.6g}" if array.dtype.kind == "f" else str(array)
        )
    if array.size <= FEW:
        return np.array2string(array, precision=4, separator=", ").replace("\n", "")
    if array.dtype.kind not in "fiubc":
        return f"{array.dtype} of shape {array.shape}"
    finite = array[np.isfinite(array)] if array.dtype.kind in "fc" else array
    lost = array.size - finite.size
    told = f", {lost} not finite" if lost else ""
    if not finite.size:
        return f"shape {array.shape}{told}"
    if finite.dtype.kind == "c":
        sizes = np.abs(finite)
        return f"complex, of shape {array.shape}, absolute values from {np.min(sizes):.4g} to {np.max(sizes):.4g}{told}"
    low, mean, high = np.min(finite), np.mean(finite), np.max(finite)
    if finite.dtype.kind == "f" and np.abs(mean) < 64 * np.finfo(finite.dtype).eps * max(-low, high):
        mean = 0.0  # all but the rounding of a sum of entries that cancel
    return f"shape {array.shape}, mean {mean:.4g}, from {low:.4g} to {high:.4g}{told}"
