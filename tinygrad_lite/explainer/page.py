"""The lesson as a page: one file with the graph, its numbers, and everything that shows them.

It contains the declarations as JavaScript, so it computes by itself. It needs no network, and the same lesson gives the
same page, byte for byte.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

import numpy as np

from tinygrad_lite.checking.diagnosing import mistakes
from tinygrad_lite.engine.op import Array
from tinygrad_lite.explainer import javascript
from tinygrad_lite.explainer.files import page
from tinygrad_lite.explainer.graph import Graph, Node
from tinygrad_lite.explainer.marks import Warned, warnings
from tinygrad_lite.explainer.packing import Budget, packed
from tinygrad_lite.explainer.repetition import loops
from tinygrad_lite.explainer.rerun import EVALUATIONS, Update, change, is_possible, is_same_for_other_signs, measured
from tinygrad_lite.explainer.signs import WITH_VECTORS
from tinygrad_lite.explainer.steps import LONG, Contribution, Pass, formula_of
from tinygrad_lite.foundation.phrases import parts, phrase
from tinygrad_lite.readers import notation
from tinygrad_lite.readers.abbreviation import abbreviated
from tinygrad_lite.readers.symbol import Symbol, extent

SCRIPTS = (
    "german",
    "messages",
    "numpy",
    "decompositions",
    "lesson",
    "arrays",
    "formulas",
    "dragging",
    "changes",
    "bars",
    "products",
    "groups",
    "layout",
    "drawing",
    "camera",
    "strip",
    "flow",
    "boxes",
    "graph",
    "overview",
    "nudge",
    "steps",
    "tensor",
    "optimizer",
    "quiz",
    "play",
    "search",
    "export",
    "main",
    "reader",
)
MEASURED = 3
"""The number of entries of each tensor whose derivatives Python measures if the page cannot; the largest come first."""

MISTAKES = (
    "SIGN",
    "UPSTREAM",
    "LOCAL",
    "SWAPPED",
    "VALUE",
    "ARGUMENT",
    "TWICE",
    "HALF",
    "TRANSPOSED",
    "OVERWRITTEN",
)
"""The mistakes that the quiz diagnoses, in the words of the gradient checker."""

PRODUCTS = ("matmul", "einsum", "tensordot", "dot", "inner")
"""The operations that are matrix products."""

MOST = 60
"""Arguments of a program."""

WORK = 200_000_000
"""The largest number of entries to compute for these measurements, and the overhead of an operation, in entries."""

CALL = 1000

RATES = (0.001, 0.01, 0.1, 1.0)
"""Learning rates whose steps Python measures if the page cannot."""


def html(graph: Graph, backward_pass: Pass, update: Update | None, seed: str | None = None) -> str:
    """The page, with the step of an optimiser, if one is passed; a seed decides which questions the quiz asks."""
    content = _Content(graph, backward_pass, update)
    content.data["seed"] = seed
    title = f"The backward pass of {graph.root.name}"
    return page("page.html", title, content.data, SCRIPTS, ["page"], content.programs)


def programs_of(graph: Graph, backward_pass: Pass) -> tuple[list[str], list[dict[str, Any]], list[dict[str, Any]]]:
    """The JavaScript functions of a graph, its nodes, and the steps of its backward pass, which refer to them."""
    content = _Content(graph, backward_pass, None)
    return content.programs, content.data["nodes"], content.data["steps"]


class _Content:
    """The contents of a page.

    Attributes:
        data: the graph and its numbers, for JSON.
        programs: the JavaScript functions, to which `data` refers by their positions.
    """

    def __init__(self, graph: Graph, backward_pass: Pass, update: Update | None) -> None:
        self.programs: list[str] = []
        self._numbers_of_programs: dict[str, int] = {}
        self._numbers_of_templates: dict[str, int] = {}
        self._numbers_by_name = {node.name: i for i, node in enumerate(graph.nodes)}
        self._known: dict[Any, int | str] = {}
        self._numbers = {node: i for i, node in enumerate(graph.nodes)}
        self._budget = Budget()
        warned, unlooked = warnings(graph)
        self._noted: dict[Node, list[Any]] = {}
        for each in warned:
            for node in dict.fromkeys(x for x in (each.node, *each.leaves) if x is not None):
                self._noted.setdefault(node, []).append(_sentence(each))
        self._nodes = [self._node(node, backward_pass) for node in graph.nodes]
        steps = [
            {
                "node": self._numbers[step.operation],
                "to": [self._contribution(contribution) for contribution in step.contributions],
            }
            for step in backward_pass.steps
        ]
        reason = self._why_not_live(graph, steps)
        self.data: dict[str, Any] = {
            "root": self._numbers[graph.root],
            "letter": graph.letter,
            "nodes": self._nodes,
            "steps": steps,
            "templates": list(self._numbers_of_templates),
            "recordedOnly": reason and parts(reason),
            "exit": graph.exit and str(graph.exit),
            "isWatched": graph.is_watched,
            "unknown": [self._numbers[leaf] for leaf in graph.unknown],
            "warnings": [[_sentence(each), each.node and self._numbers[each.node]] for each in warned],
            "notLookedInto": unlooked and parts(unlooked),
            "loops": [[loop.start, loop.length, loop.turns] for loop in loops(graph)],
            "mistakes": {name: getattr(mistakes, name) for name in MISTAKES},
            "optimizer": None if update is None else self._optimizer(update),
        }
        if reason and is_possible(graph):
            self.data |= _measurements(graph, backward_pass, self._numbers)

    def _node(self, node: Node, backward_pass: Pass) -> dict[str, Any]:
        told: dict[str, Any] = {
            "name": node.name,
            "module": node.module,
            "value": packed(node.value, self._budget),
            "needsGradient": node.requires_grad,
        }
        if node.source:
            told["source"] = str(node.source)
        if node in backward_pass.gradients:
            told["gradient"] = packed(backward_pass.gradients[node], self._budget)
        if node in self._noted:
            told["marks"] = self._noted[node]
        if node.op is not None:
            told["op"] = str(node.op)
            told["formula"] = notation.text(node.formula)
            told["math"] = self._template(node, node.formula)
            told["inputs"] = [
                self._numbers[x] if isinstance(x, Node) else _number(x) for x in (*node.inputs, *node.indices)
            ]
            definition = _definition(node)
            if definition is not None:
                told["definition"] = notation.text(definition)
                told["definitionMath"] = self._template(node, definition)
            if factors := self._factors(node.formula if definition is None else definition):
                told["factors"] = factors
            if node.op.derivatives and not any(map(np.iscomplexobj, (node.value, *node.arrays))):
                told["pushes"] = "entries"
            elif node.op.linear and "initial" not in node.params:
                told["pushes"] = "linear"
            arguments = {f"x{i}": x for i, x in enumerate(node.arrays)}
            told["forward"] = self._program(node, "forward", node.op, arguments, node.value)
        return told

    def _contribution(self, contribution: Contribution) -> dict[str, Any]:
        node = contribution.operation
        assert node.op is not None
        arguments = {"y": node.value, **{f"x{i}": x for i, x in enumerate(node.arrays)}}
        vjp: Any = node.op.vjps[contribution.position]
        program = self._program(
            node,
            f"vjp {contribution.position}",
            vjp,
            {"g": np.asarray(contribution.upstream), **arguments},
            contribution.full,
        )
        told: dict[str, Any] = {
            "input": contribution.position,
            "node": self._numbers[contribution.to],
            "rule": parts(contribution.formula),
            "full": list(np.shape(contribution.full)),
            "summed": list(contribution.summed),
            "vjp": program,
        }
        if contribution.takes_real_part:
            told["realPart"] = True
        if recorded := isinstance(program, str) or not self._has_all_of(node):
            told["value"] = packed(contribution.value, self._budget)
        if contribution.local is not None and not isinstance(contribution.local, str):
            told |= self._local(contribution, arguments, recorded)
        if node.op.is_composite and not (node.op.derivatives or node.op.linear):
            change = javascript.pushed(node.op, contribution.position)
            inputs = {name: x for name, x in arguments.items() if name != "y"}
            t = np.zeros_like(node.arrays[contribution.position])
            told["push"] = self._program(node, f"push {contribution.position}", change, {"t": t, **inputs})
        if not isinstance(contribution.rule, str):
            rule, abbreviations = abbreviated(contribution.rule)
            told["rule"] = notation.text(rule)
            told["ruleMath"] = self._template(node, rule)
            if contribution.local is None and (outline := notation.outline(rule)) != told["rule"]:
                told["outline"] = outline
            if abbreviations:
                told["where"] = [[a, self._template(node, part), notation.text(part)] for a, part in abbreviations]
        if factors := self._factors(contribution.rule):
            told["factors"] = factors
        return told

    def _local(self, contribution: Contribution, arguments: Mapping[str, Any], recorded: bool) -> dict[str, Any]:
        """The local derivative: its formula, and its numbers or the program that computes them."""
        node = contribution.operation
        assert node.op is not None
        rule: Any = node.op.derivatives[contribution.position]
        told: dict[str, Any] = {
            "local": notation.text(contribution.local),
            "localMath": self._template(node, contribution.local),
        }
        if not callable(rule):
            told["slope"] = self._enter(f"() => {rule!r}")
        elif recorded and isinstance(contribution.local, Symbol):
            told["slopes"] = packed(contribution.local.value, self._budget)
        else:
            told["slope"] = self._program(node, f"slope {contribution.position}", rule, arguments)
        return told

    def _template(self, node: Node, formula: Any) -> int:
        """The position of a formula in MathML, with the positions of the inputs and the node in place of names."""
        named = [x.name for x in (*node.inputs, *node.indices, node) if isinstance(x, Node)]
        text = notation.mathml(formula, {name: f"{{{named.index(name)}}}" for name in named})
        if text not in self._numbers_of_templates:
            self._numbers_of_templates[text] = len(self._numbers_of_templates)
        return self._numbers_of_templates[text]

    def _factors(self, rule: Any) -> list[list[dict[str, Any]]]:
        """The factors of each product in a formula, in the order in which they are multiplied.

        Each has its text and, if it is a node or the transpose of one, the number of that node.
        """
        factors: list[list[dict[str, Any]]] = []
        seen: set[int] = set()

        def look(x: Any) -> None:
            if type(x) is Symbol and id(x) not in seen:
                seen.add(id(x))
                for operand in x.inputs:
                    look(operand)
                if str(x.op) in PRODUCTS:
                    factors.append([self._factor(operand) for operand in x.inputs])

        look(rule)
        return factors

    def _factor(self, x: Any) -> dict[str, Any]:
        told: dict[str, Any] = {"text": notation.text(x)}
        inside = x.inputs[0] if _is_transposed(x) else x
        number = self._numbers_by_name.get(getattr(inside, "name", None) or "")
        if number is not None:
            told |= {"node": number, "transposed": inside is not x}
        return told

    def _has_all_of(self, node: Node) -> bool:
        """Whether the page has every number that a rule of this node computes with."""
        own = self._nodes[self._numbers[node]]
        values = [self._nodes[self._numbers[x]]["value"] for x in node.inputs if isinstance(x, Node)]
        return not any("rows" in array for array in (own["value"], own["gradient"], *values))

    def _program(
        self, node: Node, part: str, rule: Callable[..., Any], arguments: Mapping[str, Any], recorded: Array = None
    ) -> int | str:
        """The position of the program of a node's forward or rule, or why there is none.

        A program of a user's own function must compute what was recorded.
        """
        op = node.op
        if len(arguments) > MOST:
            return phrase("{op} of {n} inputs is too large for the page", op=op, n=len(node.inputs))
        if not (node.is_declared or node.is_by_hand):
            return phrase("{op}: it stands for a function that has already run", op=op)
        computed = {f"x{i}": x.value for i, x in enumerate(node.inputs) if isinstance(x, Node) and x.op is not None}
        computed |= {f"i{k}": x.value for k, x in enumerate(node.indices)}
        signs = np.asarray(node.value).tobytes() if str(op) in WITH_VECTORS else b""
        key = (op, part, _exact(node.params), (*computed,), tuple(map(_signature, arguments.values())), signs)
        if key not in self._known:
            try:
                expected = recorded if node.is_by_hand else None
                text = javascript.function(rule, arguments, node.params, computed, expected)
            except javascript.NotPrintableError as error:
                self._known[key] = phrase("{op}: {why}", op=op, why=error.args[0])
            else:
                self._known[key] = self._enter(text)
        return self._known[key]

    def _enter(self, text: str) -> int:
        if text not in self._numbers_of_programs:
            self._numbers_of_programs[text] = len(self.programs)
            self.programs.append(text)
        return self._numbers_of_programs[text]

    def _why_not_live(self, graph: Graph, steps: list[dict[str, Any]]) -> str | None:
        """Why the page cannot recompute everything; None if it can."""
        for node in self._nodes:
            if "rows" in node["value"] or "rows" in node.get("gradient", ()):
                return phrase("{node} is too large for the page to hold all of it", node=node["name"])
            if isinstance(node.get("forward"), str):
                return phrase("{node}: {why}", node=node["name"], why=node["forward"])
        for step in steps:
            for contribution in step["to"]:
                if isinstance(contribution["vjp"], str):
                    return phrase("the rule of {why}", why=contribution["vjp"])
        for decomposition in (node for node in graph.operations if str(node.op) in WITH_VECTORS):
            if not is_same_for_other_signs(graph, decomposition):
                return phrase(
                    "{root} depends on the signs of the vectors in {node}, which the matrix does not determine",
                    root=graph.root.name,
                    node=decomposition.name,
                )
        return graph.frozen

    def _optimizer(self, update: Update) -> dict[str, Any]:
        after = {self._numbers[leaf]: packed(new, self._budget) for leaf, new in update.after.items()}
        return {"name": update.name, "after": after, "predicted": repr(update.predicted), "real": repr(update.real)}


def _sentence(warned: Warned) -> Any:
    """A warning for the page, with its kind in it."""
    kind, text = warned.kind, warned.text
    return parts(text if kind in text else phrase("{kind}: {text}", kind=phrase(kind), text=text))


def _number(x: Any) -> str | list[str] | None:
    """A constant argument with all digits; of a complex one both parts."""
    return None if x is None else [repr(x.real), repr(x.imag)] if np.iscomplexobj(x) else repr(float(x))


def _definition(node: Node) -> Symbol | None:
    """The formula of an operation that is composed of others, if it is short enough to be read."""
    op = node.op
    assert op is not None
    if not op.is_composite:
        return None
    formula = formula_of(op.forward, *node.symbols, **node.params)
    if not isinstance(formula, Symbol) or extent(formula) > LONG:
        return None
    return formula if notation.text(formula) != notation.text(node.formula) else None


def _is_transposed(x: Any) -> bool:
    return isinstance(x, Symbol) and str(x.op) in ("transpose", "swapaxes") and len(x.shape) == 2


def _measurements(graph: Graph, backward_pass: Pass, numbers: Mapping[Node, int]) -> dict[str, Any]:
    """Derivatives and descents that Python measures, as many as time allows, the largest first."""
    entries = sum(np.size(node.value) + CALL for node in graph.operations)
    nodes = [
        node
        for node in (*reversed(graph.leaves), *reversed(graph.operations))
        if node in backward_pass.gradients and not np.iscomplexobj(node.value)
    ]
    flat = {node: np.ravel(backward_pass.gradients[node]) for node in nodes}
    most = WORK // (entries * EVALUATIONS)
    order = {node: np.argsort(-np.abs(g), kind="stable")[:most].tolist() for node, g in flat.items() if most}
    first = ((node, i) for node in order for i in order[node][:MEASURED])
    others = ((node, i) for node in order for i in order[node][MEASURED:])
    measurements: dict[int, list[Any]] = {}
    for node, i in islice(chain(first, others), most):
        measurement = measured(graph, node, i)
        told = [i, *map(repr, (float(flat[node][i]), measurement.estimate, measurement.error))]
        measurements.setdefault(numbers[node], []).append(told)
    return {"measured": measurements, "descent": list(_descent(graph, backward_pass))}


def _descent(graph: Graph, backward_pass: Pass) -> Iterator[list[Any]]:
    leaves = {leaf: backward_pass.gradients[leaf] for leaf in graph.leaves if leaf in backward_pass.gradients}
    for rate in RATES:
        after = {leaf: leaf.value - rate * g for leaf, g in leaves.items()}
        predicted = -rate * sum(float(np.sum(g * g)) for g in leaves.values())
        yield [rate, repr(predicted), repr(change(graph, after))]


def _exact(x: Any) -> Any:
    """A key for parameters, since their text would leave out the middle of a long array."""
    if isinstance(x, Mapping):
        return tuple((name, _exact(entry)) for name, entry in x.items())
    if isinstance(x, (tuple, list)):
        return type(x), tuple(map(_exact, x))
    return (x.shape, str(x.dtype), x.tobytes()) if isinstance(x, np.ndarray) else repr(x)


def _signature(x: Any) -> Any:
    if javascript.is_argument(x):
        return x.shape, x.dtype  # whose text takes longer than everything else here
    return (np.shape(x), np.asarray(x).tobytes()) if np.ndim(x) else repr(x)
