"""Finds why a loss has no path to a parameter: where in a run its values lost their history."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_lite.checking.auditing.causes import Cause
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.foundation.phrases import phrase
from tinygrad_lite.ops.arithmetic.selection import stop_gradient
from tinygrad_lite.readers.recording import Step
from tinygrad_lite.transforms.dual import innermost


def detachment(parameter: Tensor, loss: Tensor, steps: Sequence[Step]) -> Cause:
    """Why a loss has no path to a parameter: the operation of a run at which its values lost their history."""
    live = {id(parameter)}  # the values with the parameter in their history
    cut: dict[int, Cause] = {}  # the values that are made from the parameter, but do not have it in their history
    memories = {_memory(parameter.data): "the parameter"}
    last: Step | None = None
    for step in steps:
        cause = next((cut[id(x)] for x in step.inputs if id(x) in cut), None)
        if any(id(x) in live for x in step.inputs):
            last = step
            if isinstance(step.result, Tensor) and step.result.requires_grad:
                live.add(id(step.result))
                memories[_memory(step.result.data)] = f"the result of {step.op.name}"
                continue
            cause = Cause(why_cut(step.op, step.result), step.op.name, step.source)
        elif cause is None:
            copied = next((memories[_memory(x)] for x in step.arrays if _memory(x) in memories), None)
            if copied:
                text = f"{copied} was detached, by detach(), numpy() or .data, before it met {step.op.name}"
                cause = Cause(text, None, step.source)
        if cause:
            cut[id(step.result)] = cause
    if id(loss) in cut:
        return cut[id(loss)]
    if id(loss) not in live and _memory(loss.data) in memories:
        return Cause(f"{memories[_memory(loss.data)]} was detached, and is the loss")
    if last is None:
        return Cause("unused: no operation on tensors takes it")
    if id(last.result) in cut:
        return cut[id(last.result)]
    text = f"the result of {last.op.name} does not reach the loss: unused, or turned into an array or a number"
    return Cause(text, last.op.name, last.source)


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
