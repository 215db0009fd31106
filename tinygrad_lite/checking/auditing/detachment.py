"""Finds why a loss has no path to a parameter: where in a run its values lost their history."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_lite.checking.auditing.causes import Cause
from tinygrad_lite.engine.backward import history
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.foundation.phrases import phrase
from tinygrad_lite.ops.arithmetic.selection import stop_gradient
from tinygrad_lite.readers.recording import Source, Step
from tinygrad_lite.transforms.dual import innermost

UNUSED = Cause(phrase("unused: no operation on tensors takes it"))


def detachment(parameter: Tensor, loss: Tensor, steps: Sequence[Step]) -> Cause:
    """Why a loss has no path to a parameter: the operation of a run at which its values lost their history."""
    way = _Way(parameter, steps)
    if cause := way.cut_before(loss):
        return cause
    if way.last is None:
        return UNUSED
    if id(way.last.result) in way.cut:
        return way.cut[id(way.last.result)]
    text = f"the result of {way.last.op.name} does not reach the loss: unused, or turned into an array or a number"
    return Cause(text, way.last.op.name, way.last.source)


def cut_off(loss: Tensor, steps: Sequence[Step], exits: Mapping[Source | None, Tensor]) -> dict[Tensor, Cause]:
    """The leaves that a loss was computed from in a run, though they are not in its history; and why.

    Also those whose values became plain numbers, at the lines in `exits`: nothing says where these went.
    """
    tensors = [x for step in steps for x in step.inputs if isinstance(x, Tensor)]
    inside = {x for result in history([loss]) for x in result.inputs if isinstance(x, Tensor)}
    leaves = dict.fromkeys(x for x in tensors if x.requires_grad and x.op is None and x not in inside)
    ways = {leaf: _Way(leaf, steps) for leaf in leaves}
    causes = {leaf: way.cut_before(loss) or way.left_at(exits) for leaf, way in ways.items()}
    return {leaf: cause for leaf, cause in causes.items() if cause}


class _Way:
    """How far the values that are made from a parameter have it in their history.

    Attributes:
        live: the ids of the values with the parameter in their history.
        cut: why values that are made from the parameter do not have it in their history, by their ids.
        last: the last operation that took a value with the parameter in its history.
    """

    def __init__(self, parameter: Tensor, steps: Sequence[Step]) -> None:
        self.live = {id(parameter)}
        self.cut: dict[int, Cause] = {}
        self.last: Step | None = None
        self._memories = {_memory(parameter.data): phrase("the parameter")}
        for step in steps:
            self._follow(step)

    def _follow(self, step: Step) -> None:
        cause = next((self.cut[id(x)] for x in step.inputs if id(x) in self.cut), None)
        if any(id(x) in self.live for x in step.inputs):
            self.last = step
            if isinstance(step.result, Tensor) and step.result.requires_grad:
                self.live.add(id(step.result))
                self._memories[_memory(step.result.data)] = phrase("the result of {op}", op=step.op)
                return
            cause = Cause(why_cut(step.op, step.result), step.op.name, step.source)
        elif cause is None:
            copied = next((self._memories[_memory(x)] for x in step.arrays if _memory(x) in self._memories), None)
            if copied:
                text = phrase(
                    "{what} was detached, by detach(), numpy() or .data, before it met {op}", what=copied, op=step.op
                )
                cause = Cause(text, None, step.source, step.result)
        if cause:
            self.cut[id(step.result)] = cause

    def cut_before(self, loss: Tensor) -> Cause | None:
        """Why the loss, which is made from the parameter, does not have it in its history; None if it is not so."""
        if id(loss) in self.cut:
            return self.cut[id(loss)]
        if id(loss) not in self.live and _memory(loss.data) in self._memories:
            return Cause(phrase("{what} was detached, and is the loss", what=self._memories[_memory(loss.data)]))
        return None

    def left_at(self, exits: Mapping[Source | None, Tensor]) -> Cause | None:
        """The first line at which a value with the parameter in its history became plain numbers; None if none did."""
        for line, value in exits.items():
            if id(value) in self.live:
                what = self._memories.get(_memory(value.data), phrase("the parameter"))
                text = phrase("{what} became plain numbers, which have no history, at {line}", what=what, line=line)
                return Cause(text, None, line)
        return None


def why_cut(op: Op, result: Any) -> str:
    """Why the result of an operation on a tensor with a history has none."""
    if op is stop_gradient:
        return phrase("detached by stop_gradient")
    if not op.vjps:
        return phrase("{op} answers a question, and no gradient flows through that", op=op)
    dtype = innermost(result).dtype
    if dtype.kind != "f":
        return phrase("{op} makes {dtype} of it, which has no gradient", op=op, dtype=dtype)
    return phrase("{op} was computed under no_grad()", op=op)


def _memory(array: Any) -> int:
    """The array that owns these numbers."""
    while isinstance(array, np.ndarray) and isinstance(array.base, np.ndarray):
        array = array.base
    return id(array)
