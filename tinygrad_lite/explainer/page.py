"""Floor 6. The lesson as a page: one file that holds the graph, its numbers, and all that shows them.

The declarations are in it as JavaScript, so that it computes for itself. It needs no network, and is the same, byte for
byte, for the same lesson.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from tinygrad_lite import notation
from tinygrad_lite.explainer import javascript
from tinygrad_lite.explainer.graph import Graph, Node
from tinygrad_lite.explainer.marks import marks
from tinygrad_lite.explainer.packing import WHOLE, Budget, packed
from tinygrad_lite.explainer.rerun import Update, is_possible, measured, result
from tinygrad_lite.explainer.steps import Contribution, Pass, brief
from tinygrad_lite.symbol import Symbol

SCRIPTS = ("numpy", "lesson", "arrays", "products", "layout", "graph", "steps", "tensor", "optimizer", "quiz", "main")
MEASURED = 3
"""Entries of each tensor whose derivative is measured here, where the page cannot: those with the largest gradients."""

FEW = 50
"""Operations of a graph in which that is done for results too, and not for leaves alone."""

RATES = (0.001, 0.01, 0.1, 1.0)
"""Learning rates whose step is measured here, where the page cannot."""


def html(graph: Graph, found: Pass, update: Update | None) -> str:
    """The page, with the step of an optimiser if there is one."""
    content = _Content(graph, found, update)
    data = json.dumps(content.data, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    parts = {
        "title": escape(f"The backward pass of {graph.root.name}"),
        "style": _asset("page.css"),
        "data": data.replace("<", "\\u003c"),
        "programs": "const programs = [\n" + ",\n".join(content.programs) + "\n];",
        "script": "\n".join(_asset(f"{name}.js") for name in SCRIPTS),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _asset("page.html"))


@cache
def _asset(name: str) -> str:
    return (files("tinygrad_lite.explainer") / "page" / name).read_text(encoding="utf-8")


class _Content:
    """What a page holds.

    Attributes:
        data: the graph and its numbers, for JSON.
        programs: the JavaScript functions that `data` refers to by their places.
    """

    def __init__(self, graph: Graph, found: Pass, update: Update | None) -> None:
        self.programs: list[str] = []
        self._places: dict[str, int] = {}
        self._known: dict[Any, int | str] = {}
        self._place = {node: i for i, node in enumerate(graph.nodes)}
        self._budget = Budget()
        self._noted = marks(graph)
        nodes = [self._node(node, found) for node in graph.nodes]
        steps = [
            {"node": self._place[step.operation], "to": [self._contribution(each) for each in step.contributions]}
            for step in found.steps
        ]
        reason = self._why_not_live(nodes, steps)
        self.data: dict[str, Any] = {
            "root": self._place[graph.root],
            "nodes": nodes,
            "steps": steps,
            "recordedOnly": reason,
            "optimizer": None if update is None else self._optimizer(update),
        }
        if reason and is_possible(graph):
            self.data["measured"] = dict(self._measured(graph, found))
            self.data["descent"] = list(_descent(graph, found))

    def _node(self, node: Node, found: Pass) -> dict[str, Any]:
        told: dict[str, Any] = {
            "name": node.name,
            "module": node.module,
            "value": packed(node.value, self._budget),
            "needsGradient": node.requires_grad,
            "brief": brief(node.value),
        }
        if node.source:
            told["source"] = str(node.source)
        if node in found.gradients:
            told["gradient"] = packed(found.gradients[node], self._budget)
        if node in self._noted:
            told["marks"] = [[mark.kind, mark.text] for mark in self._noted[node]]
        if node.op is not None:
            told["op"] = str(node.op)
            told["formula"] = notation.text(node.formula)
            told["inputs"] = [
                self._place[x] if isinstance(x, Node) else None if x is None else repr(float(x)) for x in node.inputs
            ]
            definition = _definition(node)
            if definition is not None:
                told["definition"] = notation.text(definition)
            if factors := _factors(node.formula if definition is None else definition):
                told["factors"] = factors
            arguments = {f"x{i}": x for i, x in enumerate(node.arrays)}
            told["forward"] = self._program(node, "forward", node.op, arguments)
        return told

    def _contribution(self, each: Contribution) -> dict[str, Any]:
        node = each.operation
        assert node.op is not None
        arguments = {"y": node.value, **{f"x{i}": x for i, x in enumerate(node.arrays)}}
        upstream = {"g": np.asarray(each.upstream), **arguments}
        vjp: Any = node.op.vjps[each.position]
        told: dict[str, Any] = {
            "input": each.position,
            "node": self._place[each.to],
            "rule": each.formula,
            "full": list(np.shape(each.full)),
            "summed": list(each.summed),
            "vjp": self._program(node, f"vjp {each.position}", vjp, upstream),
        }
        recorded = isinstance(told["vjp"], str) or any(np.size(x) > WHOLE for x in (*node.arrays, node.value))
        if recorded:
            told["value"] = packed(each.value, self._budget)
        if each.local is not None and not isinstance(each.local, str):
            told["local"] = notation.text(each.local)
            rule: Any = node.op.derivatives[each.position]
            told["slope"] = (
                self._program(node, f"slope {each.position}", rule, arguments)
                if callable(rule)
                else self._constant(rule)
            )
            if recorded and isinstance(each.local, Symbol):
                told["slopes"] = packed(each.local.value, self._budget)
        if factors := _factors(each.rule):
            told["factors"] = factors
        return told

    def _program(self, node: Node, part: str, rule: Callable[..., Any], arguments: Mapping[str, Any]) -> int | str:
        """The place of the program of a node's forward or rule, or why there is none."""
        op = node.op
        if not node.is_declared:
            return f"{op}: it is a function of its own, which has run"
        key = (op, part, _exact(node.params), tuple(map(_signature, arguments.values())))
        if key not in self._known:
            try:
                text = javascript.function(rule, arguments, node.params)
            except javascript.NotPrintableError as error:
                self._known[key] = f"{op}: {error}"
            else:
                self._known[key] = self._enter(text)
        return self._known[key]

    def _enter(self, text: str) -> int:
        if text not in self._places:
            self._places[text] = len(self.programs)
            self.programs.append(text)
        return self._places[text]

    def _constant(self, number: float) -> int:
        return self._enter(f"() => {number!r}")

    def _why_not_live(self, nodes: list[dict[str, Any]], steps: list[dict[str, Any]]) -> str | None:
        """Why the page cannot compute everything again, if it cannot."""
        for node in nodes:
            if "rows" in node["value"]:
                return f"{node['name']} is too large for the page to hold all of it"
            if isinstance(node.get("forward"), str):
                return f"{node['name']}: {node['forward']}"
        for step in steps:
            for each in step["to"]:
                if isinstance(each["vjp"], str):
                    return f"the rule of {each['vjp']}"
        return None

    def _optimizer(self, update: Update) -> dict[str, Any]:
        after = {self._place[leaf]: packed(new, self._budget) for leaf, new in update.after.items()}
        return {"name": update.name, "after": after, "predicted": repr(update.predicted), "real": repr(update.real)}

    def _measured(self, graph: Graph, found: Pass) -> Iterator[tuple[int, Any]]:
        for node in graph.nodes if len(graph.operations) < FEW else graph.leaves:
            if node in found.gradients and node.value.size:
                g = np.ravel(found.gradients[node])
                entries = [measured(graph, node, int(i)) for i in np.argsort(-np.abs(g), kind="stable")[:MEASURED]]
                told = [[each.place, *map(repr, (float(g[each.place]), each.estimate, each.error))] for each in entries]
                yield self._place[node], told


def _definition(node: Node) -> Symbol | None:
    """What an operation is made of, as a formula, where it is made of others."""
    op = node.op
    assert op is not None
    if not op.is_composite:
        return None
    symbols = [Symbol(array, x.name) if isinstance(x, Node) else array for x, array in zip(node.inputs, node.arrays)]
    try:
        with np.errstate(all="ignore"):
            found = op.forward(*symbols, **node.params)
    except Exception:  # noqa: BLE001, RUF100  it computes with the numbers themselves
        return None
    if isinstance(found, Symbol) and notation.text(found) != notation.text(node.formula):
        return found
    return None


def _factors(rule: Any) -> list[list[str]]:
    """The factors of each matrix product in a formula, in the order in which they are multiplied."""
    found: list[list[str]] = []
    seen: set[int] = set()

    def look(x: Any) -> None:
        if type(x) is Symbol and id(x) not in seen:
            seen.add(id(x))
            for each in x.inputs:
                look(each)
            if str(x.op) == "matmul":
                found.append([notation.text(each) for each in x.inputs])

    look(rule)
    return found


def _descent(graph: Graph, found: Pass) -> Iterator[list[Any]]:
    leaves = {leaf: found.gradients[leaf] for leaf in graph.leaves if leaf in found.gradients}
    before = graph.total(graph.root.value)
    for rate in RATES:
        after = {leaf: leaf.value - rate * g for leaf, g in leaves.items()}
        predicted = -rate * sum(float(np.sum(g * g)) for g in leaves.values())
        yield [rate, repr(predicted), repr(graph.total(result(graph, after)) - before)]


def _exact(x: Any) -> Any:
    """What tells parameters apart: their text would leave out the middle of a long array."""
    if isinstance(x, Mapping):
        return tuple((name, _exact(each)) for name, each in x.items())
    if isinstance(x, (tuple, list)):
        return type(x), tuple(map(_exact, x))
    return (x.shape, str(x.dtype), x.tobytes()) if isinstance(x, np.ndarray) else repr(x)


def _signature(x: Any) -> Any:
    if isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind == "f":
        return x.shape, str(x.dtype)
    return (np.shape(x), np.asarray(x).tobytes()) if np.ndim(x) else repr(x)
