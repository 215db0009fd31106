"""How ONNX's If, Loop and Scan are written: as Python's own if, for and while; and sequences, as lists."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_lite.interchange.onnx_in.onnx_nodes import Node, UnwritableError, operator
from tinygrad_lite.interchange.onnx_in.onnx_translation import STRUCTURES, Translation
from tinygrad_lite.interchange.onnx_in.onnx_values import Value, written

Scope = dict[str, Value]
Types = Mapping[str, Any]


def _if(writing: Translation, node: Node, scope: Scope, types: Types) -> None:
    condition = node.needs(0)
    branches = node.attributes["then_branch"], node.attributes["else_branch"]
    if condition.constant is not None and not condition.learned:
        results = writing.inner(branches[0 if condition.constant.item() else 1], scope)
        scope.update({name: value for name, value in zip(node.outputs, results) if name})
        return
    names = [writing.named(name, node.op, scope, types) if name else "_" for name in node.outputs]
    for head, branch in zip((f"if ox.scalar({condition.text}):", "else:"), branches):
        writing.emit(head)
        with writing.indented():
            results = writing.inner(branch, scope)
            writing.emit(f"{', '.join(names)} = {', '.join(value.text for value in results)}")


def _loop(writing: Translation, node: Node, scope: Scope, types: Types) -> None:
    body = node.attributes["body"]
    count, condition, first = node.input(0), node.input(1), node.inputs[2:]
    carried = [writing.fresh(info.name) for info in body.input[2:]]
    for name, value in zip(carried, first):
        writing.emit(f"{name} = {'None' if value is None else value.text}")
    collected = [writing.fresh(f"all_{info.name}") for info in body.output[1 + len(carried) :]]
    for name in collected:
        writing.emit(f"{name} = []")
    keep, i = writing.fresh("keeps_going"), writing.fresh("i")
    writing.emit(f"{keep} = {'True' if condition is None else condition.text}")
    turns = "ox.endless()" if count is None else f"range(ox.whole({count.text}))"
    writing.emit(f"for {i} in {turns}:")
    with writing.indented():
        writing.emit(f"if not ox.scalar({keep}):")
        writing.emit("    break")
        inputs = [Value("", np.dtype(np.int64), 0, None, None)]
        inputs[0].name = f"np.int64({i})"
        kinds = [(value.dtype, None) if value is not None else (None, None) for value in first]
        inputs += [Value(keep, np.dtype(bool), 0), *(Value(name, *kind) for name, kind in zip(carried, kinds))]
        results = writing.inner(body, scope, inputs)
        targets = [keep, *carried]
        for name, value in zip(collected, results[len(targets) :]):  # first, since the loop may carry them
            writing.emit(f"{name}.append({value.text})")
        writing.emit(f"{', '.join(targets)} = {', '.join(value.text for value in results[: len(targets)])}")
    for name, variable in zip(node.outputs, [*carried, *(f"ox.stacked({name})" for name in collected)]):
        if name:
            writing.emit(f"{writing.named(name, node.op, scope, types)} = {variable}")


def _scan(writing: Translation, node: Node, scope: Scope, types: Types) -> None:
    if node.version < 9:
        raise UnwritableError("before version 9 it has a batch")
    body, scanned = node.attributes["body"], node.attributes["num_scan_inputs"]
    states = len(node.inputs) - scanned
    carried = [writing.fresh(info.name) for info in body.input[:states]]
    for k, name in enumerate(carried):
        writing.emit(f"{name} = {node[k]}")
    results = len(body.output) - states
    axes, backward = (node.setting(f"scan_input_{x}", default=[0] * scanned) for x in ("axes", "directions"))
    out_axes, out_backward = (node.setting(f"scan_output_{x}", default=[0] * results) for x in ("axes", "directions"))
    collected = [writing.fresh(f"all_{info.name}") for info in body.output[states:]]
    for name in collected:
        writing.emit(f"{name} = []")
    parts = [writing.fresh(info.name) for info in body.input[states:]]
    sequences = [f"ox.along({node[states + k]}, {axes[k]}, {bool(backward[k])})" for k in range(scanned)]
    targets = ", ".join(parts) + ("," if len(parts) == 1 else "")
    writing.emit(f"for {targets} in zip({', '.join(sequences)}):")
    with writing.indented():
        dtypes = [value.dtype if value is not None else None for value in node.inputs]
        inner_results = writing.inner(
            body, scope, [Value(name, dtype) for name, dtype in zip([*carried, *parts], dtypes)]
        )
        for name, value in zip(collected, inner_results[states:]):
            writing.emit(f"{name}.append({value.text})")
        if carried:
            new = ", ".join(value.text for value in inner_results[:states])
            writing.emit(f"{', '.join(carried)} = {new}")
    stacked = [
        f"ox.stacked({name}, {axis}, {bool(is_backward)})"
        for name, axis, is_backward in zip(collected, out_axes, out_backward)
    ]
    for name, variable in zip(node.outputs, [*carried, *stacked]):
        if name:
            writing.emit(f"{writing.named(name, node.op, scope, types)} = {variable}")


STRUCTURES.update({"If": _if, "Loop": _loop, "Scan": _scan})

_LISTS = {
    "SequenceEmpty": "[]",
    "SequenceLength": "np.int64(len({0}))",
    "SequenceAt": "{0}[ox.whole({1})]",
    "OptionalHasElement": "np.bool_({0} is not None)",
    "OptionalGetElement": "{0}",
    "Optional": "{0}",
}


@operator(*_LISTS)
def _list(node: Node) -> str:
    return _LISTS[node.op].format(node[0], node[1])


@operator("SequenceConstruct")
def _construct(node: Node) -> str:
    return f"[{', '.join(node[i] for i in range(len(node.inputs)))}]"


@operator("SequenceInsert", "SequenceErase")
def _change(node: Node) -> str:
    return node.call("ox.inserted" if node.op == "SequenceInsert" else "ox.erased", *range(len(node.inputs)))


@operator("SplitToSequence")
def _split(node: Node) -> str:
    settings = {"axis": node.setting("axis", default=0), "keepdims": bool(node.setting("keepdims", default=1))}
    return node.call("ox.split_to_list", 0, 1, **settings)


@operator("ConcatFromSequence")
def _concat(node: Node) -> str:
    function = "np.stack" if node.setting("new_axis") else "np.concatenate"
    return f"{function}({node[0]}, axis={written(node.setting('axis'))})"
