"""Why a parameter's gradient is lost, undefined, or far too large or small: finds the operation that causes it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from math import prod
from typing import Any

import numpy as np

from tinygrad_lite.checking.auditing.anomaly_messages import are_finite, is_real
from tinygrad_lite.checking.auditing.gradient_flow import Edge, Flow, size
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.foundation.phrases import phrase
from tinygrad_lite.readers.recording import Source, Step

FLAT = 1e-6
"""A derivative below this is practically zero: the operation is saturated."""

DWINDLED = 1e-10
"""The part of a gradient that is left after a long chain if nothing is learnt at its far end."""

_FORWARD = "{op} {origin} in the forward pass; tg.detect_anomaly() shows the numbers that it came from"
_BACKWARD = "{op} made it in the backward pass; tg.detect_anomaly() shows the numbers that it came from"
_BEHIND = 12  # how many operations behind a result are looked at


@dataclass(frozen=True)
class Cause:
    """What happened to a gradient, with the operation and, if it is known, the user's line that called it.

    Attributes:
        result: the operation's result.
    """

    text: str
    operation: str | None = None
    source: Source | None = None
    result: Tensor | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.text}\n    {self.source}" if self.source else self.text


@dataclass(frozen=True)
class Units:
    """Indices along an axis of a parameter, such as the units of a layer.

    Attributes:
        shape: of the parameter.
        turned: whether its axes may have changed places in arrays of the same shape.
    """

    axis: int
    indices: tuple[int, ...]
    of: int
    shape: tuple[int, ...] = field(compare=False)
    turned: bool = field(default=False, compare=False)

    def all_zero(self, array: Any) -> bool:
        """Whether an array has an axis with this number of units, and is zero at these units."""
        axes = [axis for axis, length in enumerate(np.shape(array)) if length == self.of]
        if np.shape(array) == self.shape and not self.turned:
            axes = [self.axis]
        return any(not np.take(array, self.indices, axis).any() for axis in axes)

    def __str__(self) -> str:
        indices = ", ".join(map(str, self.indices[:8])) + (", …" if len(self.indices) > 8 else "")
        numbers = {"n": len(self.indices), "all": self.of, "axis": self.axis}
        return phrase("{n} of {all} units along axis {axis}: {indices}", indices=indices, **numbers)


def units_without(gradient: Any) -> Units | None:
    """The units whose gradient is zero, along the first axis that has any."""
    for axis, length in enumerate(np.shape(gradient)):
        others = tuple(i for i in range(np.ndim(gradient)) if i != axis)
        indices = np.flatnonzero(~np.any(gradient, axis=others))
        if indices.size:
            return Units(axis, tuple(indices.tolist()), length, np.shape(gradient))
    return None


def alike(weight: Any, gradient: Any) -> Units | None:
    """The units of a matrix that have the same weights and the same gradients, along the axis that has the most."""
    candidates: list[Units] = []
    for axis, length in enumerate(np.shape(weight)):
        rows, slopes = (np.moveaxis(np.asarray(x, float), axis, 0).reshape(length, -1) for x in (weight, gradient))
        rows = np.round(rows / (np.max(np.abs(rows), initial=0) or 1.0), 9) + 0.0  # which makes 0 of -0
        groups: dict[bytes, list[int]] = {}
        for i in range(length):
            groups.setdefault(rows[i].tobytes(), []).append(i)
        for group in groups.values():
            apart = np.max(np.abs(slopes[group] - slopes[group[0]]), initial=0)
            if len(group) > 1 and apart <= 1e-6 * np.max(np.abs(slopes[group]), initial=0) and np.any(slopes[group]):
                candidates.append(Units(axis, tuple(group), length, np.shape(weight)))
    return max(candidates, key=lambda units: len(units.indices), default=None)


class Reasons:
    """Finds the cause of a gradient among the operations that computed a loss.

    The steps of a recorded run provide the user's lines; `paths` are the names of the parameters.
    """

    def __init__(self, flow: Flow, steps: Sequence[Step], paths: Mapping[Tensor, str]) -> None:
        self._flow = flow
        self._paths = paths
        self._lines = {step.result: step.source for step in steps if isinstance(step.result, Tensor)}
        self._cancels = cache(flow.cancels)  # many ways to parameters share their edges

    def of_zero(self, parameter: Tensor, units: Units | None = None) -> Cause:
        """Why a parameter's gradient, or the gradient of some units, is zero."""
        edges = self._flow.sources(parameter, lambda g: g is None or _is_zero(g, units))
        if units and any(self._only_moves(edge) or self._sums_products(edge) for edge in edges):
            # the units may go on along another axis
            units = replace(units, turned=True)
            edges = self._flow.sources(parameter, lambda g: g is None or _is_zero(g, units))
        return _joined([self._lost(edge, units) for edge in edges], units)

    def of_cancelling(self, parameter: Tensor) -> Cause | None:
        """Why a gradient is 0 but for rounding: contributions that cancel, because the loss does not see a shift."""
        for edge in self._flow.way(parameter):
            if self._cancels(edge):
                return self._cancelling(edge)
        return None

    def _cancelling(self, edge: Edge) -> Cause:
        text = phrase("its gradient is 0 but for rounding: contributions cancel in {op}", op=edge[0].op.name)
        why = self._blind(edge)
        return self._cause(edge[0], phrase("{text}, since {why}", text=text, why=why) if why else text)

    def _blind(self, edge: Edge) -> str:
        """What after an edge ignores a shift of all numbers along an axis, or has results with a fixed sum."""
        if _keeps_sum(edge):
            return phrase("the sum of its results is always the same")
        shifted = phrase("does not change when all its numbers move alike")
        names: list[str] = []
        ahead, seen = [edge], {edge}
        while ahead and len(names) < _BEHIND:
            result, x = ahead.pop(0)
            if _ignores_shift((result, x)):
                return phrase("{op} {why}", op=result.op.name, why=shifted)
            names.append(result.op.name)
            new = [further for y in self._flow.uses.get(result, ()) if (further := (y, result)) not in seen]
            seen.update(new)
            ahead += new
        if {"exp", "sum", "divide"} <= {*names}:
            return phrase("exp / sum(exp), a softmax, {why}", why=shifted)
        if {"mean", "subtract"} <= {*names}:
            return phrase("a mean is subtracted after it")
        return ""

    def of_not_finite(self, parameter: Tensor) -> Cause:
        """The operation that made a NaN or an infinity from finite values or gradients."""
        for result in self._flow.path:
            name, y = result.op.name, result.data
            if np.isnan(y).any() or (np.isinf(y).any() and are_finite(result.arrays, result.params)):
                labels = [label for label, _, x in self._inputs(result) if is_real(x) and np.isnan(x).any()]
                origin = phrase("was given nan, in {input},", input=labels[0]) if labels else phrase("made it")
                return self._cause(result, phrase(_FORWARD, op=name, origin=origin))
        edges = self._flow.sources(parameter, lambda g: g is not None and not np.isfinite(g).all())
        made = [result for result, x in edges if not np.isfinite(self._flow.handed.get((result, x), 0)).all()]
        causes = [self._cause(result, phrase(_BACKWARD, op=result.op.name)) for result in made]
        return _joined(causes or [Cause(phrase("a sum of gradients is too large"))])

    def of_size(self, parameter: Tensor, grows: bool) -> Cause:
        """The operation that makes the gradient grow or shrink the most on its way, over all its calls."""
        factor, way = self._flow.factor, self._flow.way(parameter)
        if not way:
            return Cause(phrase("it is the loss itself"))
        by_name: dict[str, list[Edge]] = {}
        for edge in way:
            by_name.setdefault(edge[0].op.name, []).append(edge)
        most = max if grows else min
        name, calls = most(by_name.items(), key=lambda item: prod(map(factor, item[1])))
        worst = most([edge for edge in calls if edge[1] is not parameter] or calls, key=factor)
        text = phrase(
            "the gradient is multiplied by {factor} on its way, by {share} in {calls}",
            factor=f"{prod(map(factor, way)):.1g}",
            share=f"{prod(map(factor, calls)):.1g}",
            calls=f"{len(calls)} × {name}" if len(calls) > 1 else name,
        )
        if not grows and (share := _saturated(worst)):
            text = phrase("{text}, saturated: {where}", text=text, where=_flat(share))
        elif factors := self._factors(worst):
            label, _, array = factors[0]
            size = f"{np.max(np.abs(array)):.2g}"
            text = phrase("{text}, most with {input} of up to {size}", text=text, input=label, size=size)
        return self._cause(worst[0], text)

    def saturation(self, parameter: Tensor) -> bool:
        """Whether a saturated operation on the way leaves less than `FLAT` of the loss's own gradient."""
        remaining = 1.0
        for edge in self._flow.way(parameter):
            factor = self._flow.factor(edge)
            remaining *= factor
            if max(remaining, factor) < FLAT and edge[0].op.kind == "saturating":
                return True
        return False

    def dwindles(self, parameter: Tensor) -> bool:
        """Whether many operations, one after another, leave less than `DWINDLED` of the loss's own gradient.

        If one of them takes most of it, that may be right: the error of a model that has learnt is small, too.
        """
        factors = [self._flow.factor(edge) for edge in self._flow.way(parameter)]
        powers = np.log(np.maximum(factors, np.finfo(float).tiny))
        return bool(np.sum(powers) < min(np.log(DWINDLED), 4 * np.min(powers, initial=0)))

    def _cause(self, result: Tensor, text: str) -> Cause:
        return Cause(text, result.op.name, self._lines.get(result), result)

    def _lost(self, edge: Edge, units: Units | None) -> Cause:
        """How an operation made a gradient zero."""
        result, _ = edge
        op, i = result.op, _position(edge)
        handed = self._flow.handed.get(edge)
        if handed is None:
            return self._cause(result, phrase("{op} has no derivative with respect to its input {i}", op=op.name, i=i))
        if not _is_zero(handed, units):
            return self._cause(result, phrase("the gradients of its uses cancel"))
        if _is_relu(result):
            return self._cause(result, _dead(result, units))
        for label, argument, factor in self._factors(edge):
            if _is_zero(factor, units):
                return self._zero_factor(result, label, argument, units)
        if op.chooses:
            return self._cause(result, phrase(op.chooses))
        if op.kind == "saturating" and (share := _saturated(edge)):
            return self._cause(result, phrase("saturated {op}: {where}", op=op.name, where=_flat(share)))
        if _is_flat(edge):
            return self._cause(result, phrase("{op} is flat: its derivative is 0 everywhere", op=op.name))
        if (others := self._flow.for_others(edge)) is not None and not _is_zero(others, units):
            return self._cancelling(edge)
        if self._only_moves(edge):
            return self._cause(result, phrase("the contribution of {op} is 0 there", op=op.name))
        if op.linear:  # its derivative is its other arguments, which are not 0
            return self._cause(result, phrase("the upstream gradient of {op} is 0 wherever this goes in", op=op.name))
        return self._cause(result, phrase("the derivative of {op} is 0 at these numbers", op=op.name))

    def _sums_products(self, edge: Edge) -> bool:
        """Whether the operation is a product that is not entry by entry, as of matrices."""
        return bool(self._factors(edge)) and not edge[0].op.derivatives

    def _only_moves(self, edge: Edge) -> bool:
        """Whether the operation passes on sums of the upstream gradient, and so has no derivative that could be 0."""
        return edge[0].op.linear and not self._factors(edge)

    def _zero_factor(self, result: Tensor, label: str, argument: Any, units: Units | None) -> Cause:
        """The cause for a product with zeros, according to where the zeros come from."""
        name = result.op.name
        if isinstance(argument, (int, float, np.generic)):
            return self._cause(result, phrase("{op} by the number 0", op=name))
        if not isinstance(argument, Tensor) or not argument.requires_grad:
            mask = phrase("{op} by zeros: {input} is a mask, or an input that is always 0", op=name, input=label)
            return self._cause(result, mask)
        if argument.is_leaf:
            return self._cause(result, phrase("{op} by a zero weight: {input}", op=name, input=label))
        if _is_relu(argument):
            return self._cause(argument, phrase("{op} by zeros: {why}", op=name, why=_dead(argument, units)))
        return self._cause(result, phrase("{op} by zeros: {input} is 0", op=name, input=label))

    def _inputs(self, result: Tensor) -> list[tuple[str, Any, Any]]:
        """The inputs of an operation, each with its label and its array."""
        inputs = zip(result.inputs, result.arrays)
        return [(self._label(i, argument), argument, array) for i, (argument, array) in enumerate(inputs)]

    def _label(self, i: int, argument: Any) -> str:
        if isinstance(argument, Tensor) and (name := self._paths.get(argument, argument.name)):
            return repr(name)
        if isinstance(argument, Tensor) and argument.op is not None:
            return phrase("a result of {op}", op=argument.op.name)
        return phrase("its input {i}", i=i)

    def _factors(self, edge: Edge) -> list[tuple[str, Any, Any]]:
        """The other factors, if the operation is a product."""
        result, x = edge
        op, inputs = result.op, self._inputs(result)
        several = [rule is not None for rule, _ in zip(op.vjps, inputs)].count(True) > 1
        if op.linear and several:
            count = len(inputs)
        elif op.kind == "multiplying":
            count = 2
        else:
            return []
        return [(label, argument, array) for label, argument, array in inputs[:count] if argument is not x]


def _joined(causes: Sequence[Cause], units: Units | None = None) -> Cause:
    """The first cause, for these units, and the number of further causes."""
    first, *others = dict.fromkeys(causes)
    text = first.text
    if units:
        text = phrase("{text}, for {units}", text=text, units=str(units))
    if others:
        text = phrase("{text}, and {n} more on other paths", text=text, n=len(others))
    return replace(first, text=text)


def _is_zero(array: Any, units: Units | None) -> bool:
    return units.all_zero(array) if units else not np.any(array)


def _position(edge: Edge) -> int:
    """The position of an input of the operation."""
    result, x = edge
    return next(i for i, argument in enumerate(result.inputs) if argument is x)


def _saturated(edge: Edge) -> float:
    """The share of entries in which the derivative of an elementwise operation is practically zero."""
    result, _ = edge
    slopes = _slopes(edge, result.data, result.arrays)
    return 0.0 if slopes is None else float(np.mean(np.abs(slopes) < FLAT))


def _flat(share: float) -> str:
    return phrase("|derivative| < {small} in {share} of its entries", small=f"{FLAT:g}", share=f"{share:.0%}")


def _is_flat(edge: Edge) -> bool:
    """Whether the derivative of an elementwise operation is also 0 at other numbers, near and far."""
    if not edge[0].op.derivatives:
        return False
    others = (_moved(edge[0], scale) for scale in (1, 30, 1000))
    return not any(np.any(_slopes(edge, _value(edge[0], arrays), arrays)) for arrays in others)


def _ignores_shift(edge: Edge) -> bool:
    """Whether an operation's result stays the same if all numbers of an argument move alike, at random numbers, too."""
    return _is_rounding(_change(edge, 1.0), _change(edge, _noise(edge)))


def _keeps_sum(edge: Edge) -> bool:
    """Whether an operation's results have the same sum for any value of an argument."""
    change = _change(edge, _noise(edge))
    return _is_rounding(np.sum(change), change)


def _change(edge: Edge, move: Array) -> Array:
    """How an operation's value changes, at random numbers, if an argument moves."""
    arrays, i = _moved(edge[0], 1), _position(edge)
    return _value(edge[0], [*arrays[:i], arrays[i] + move, *arrays[i + 1 :]]) - _value(edge[0], arrays)


def _noise(edge: Edge) -> Array:
    return np.random.default_rng(1).normal(size=edge[1].shape)


def _value(result: Tensor, arrays: Sequence[Array]) -> Array:
    """The value of an operation for other arrays; NaN if it refuses them."""
    try:
        with np.errstate(all="ignore"):
            return result.op.forward(*arrays, **result.params)
    except ValueError:  # as a decomposition does
        return np.float64(np.nan)


def _is_rounding(change: Array, beside: Array) -> bool:
    """Whether a change is 0 up to the rounding of changes as large as those beside it."""
    return size(change) < 1e-9 * size(beside)


def _moved(result: Tensor, scale: float) -> list[Array]:
    """The arrays that an operation was given, with random real numbers."""
    rng = np.random.default_rng(0)
    return [x + scale * rng.normal(size=np.shape(x)) if is_real(x) else x for x in result.arrays]


def _slopes(edge: Edge, y: Array, arrays: Sequence[Array]) -> Array:
    """The derivative of an elementwise operation, entry by entry; None for any other operation."""
    result, _ = edge
    if not result.op.derivatives:
        return None
    derivative = result.op.derivatives[_position(edge)]
    with np.errstate(all="ignore"):
        return derivative(y, *arrays, **result.params) if callable(derivative) else derivative


def _is_relu(result: Tensor) -> bool:
    """Whether the operation is a relu, or the maximum of a number and 0."""
    if result.op.forward is np.maximum:
        return any(np.ndim(x) == 0 and x == 0 for x in result.arrays)
    return bool(result.op.kind == "rectifying")


def _dead(result: Tensor, units: Units | None) -> str:
    """The cause for a relu that passes no gradient on."""
    positive = np.greater(result.data, 0)
    rows = np.reshape(positive, (-1, np.shape(positive)[-1] if np.ndim(positive) else 1))
    dead = int(np.sum(~rows.any(axis=0)))
    if not dead:
        return phrase("ReLU: its input is at most 0 wherever the upstream gradient is not 0")
    rowwise = np.ndim(positive) > 1
    text = phrase("dead ReLU: its input is at most 0 in every row" if rowwise else "dead ReLU: its input is at most 0")
    return text if units else phrase("{text}, for {n} of {all} units", text=text, n=dead, all=rows.shape[1])
