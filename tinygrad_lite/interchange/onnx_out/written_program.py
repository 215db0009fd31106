"""From a function to a graph: its recording, operation by operation, with the state that it reads and writes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.compiler.agreement import named_parameters, recorded_twice
from tinygrad_lite.compiler.draws import Draw
from tinygrad_lite.compiler.passes import simplified
from tinygrad_lite.compiler.places import Argument, Data, Entry, Gradient, Outside, Place
from tinygrad_lite.compiler.program import Program, Variable
from tinygrad_lite.compiler.reached import Reached
from tinygrad_lite.compiler.recorder import kept_whole
from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.interchange.onnx_out.formulas import ENTRY_BY_ENTRY
from tinygrad_lite.interchange.onnx_out.formulas_of_arrays import OF_ARRAYS
from tinygrad_lite.interchange.onnx_out.formulas_of_scipy import of_scipy
from tinygrad_lite.interchange.onnx_out.node_table import WHOLE, WRITERS
from tinygrad_lite.interchange.onnx_out.own_operations import by_forward
from tinygrad_lite.interchange.onnx_out.reasons import REASONS
from tinygrad_lite.interchange.onnx_out.written_values import Graph, Node, Value
from tinygrad_lite.nn import Module
from tinygrad_lite.transforms.runs import name_of

NEW = ".new"
"""What follows the name of a state in that of the result that takes its place."""


class Names(NamedTuple):
    """The names that the user chose for inputs and results, if any."""

    inputs: Sequence[str] | None = None
    outputs: Sequence[str] | None = None


NO_NAMES = Names()


@dataclass(eq=False)
class Written:
    """A function as a graph.

    Attributes:
        inputs: the forms of the inputs, by name.
        results: the forms of the results, by name.
        state: the present values of the inputs that are not arguments, by name.
    """

    name: str
    graph: Graph
    inputs: dict[str, Variable] = field(default_factory=dict)
    results: dict[str, Variable] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)


def written(f: Callable[..., Any], args: Sequence[Any], names: Names = NO_NAMES) -> Written:
    """The graph of what a function does with these arguments.

    Raises:
        InputError: if there are more or fewer names than inputs or results.
        UsageError: if the function cannot be recorded, or an operation cannot be written.
    """
    program, returned = _recorded(f, tuple(args))
    formulas = by_forward(ENTRY_BY_ENTRY, OF_ARRAYS, of_scipy())
    made = Written(name_of(f), Graph(by_forward(WRITERS), formulas, by_forward(REASONS)))
    for place, value in program.updates.items():
        if isinstance(place, Entry) and place.read(()) is None and value is not None:
            raise UsageError(f"the first run of {made.name} makes {place.name}: run it once before you export it")
    values: dict[Variable, Value] = {}
    label = _Labels(f)
    arguments = [x for x, place in program.inputs.items() if isinstance(place, Argument)]
    for x, name in zip(arguments, _chosen(names.inputs, [x.name for x in arguments], "input")):
        values[x] = _input(made, x, name)
    for x, place in program.inputs.items():
        if not isinstance(place, Argument):
            values[x] = _read(made, x, place, label(place), place in program.updates)
    wanted = _chosen(names.outputs, trees.paths(returned, "output"), "output")
    updates = {f"{label(place)}{NEW}": x for place, x in program.updates.items() if x is not None}
    results = {made.graph.name(name): x for name, x in zip([*wanted, *updates], [*program.results, *updates.values()])}
    for x, array in program.constants.items():
        values[x] = made.graph.value(made.graph.constant(array), x)
    for call in program.calls:
        made.graph.source = call.source
        values[call.result] = _performed(made.graph, call, values)
    graph, refused = made.graph, ""
    for condition in graph.refused:
        refused = graph.add("Or", refused, condition) if refused else condition
    for name, x in results.items():
        value = graph.of(values[x] if isinstance(x, Variable) else x)
        if refused and value.dtype.kind == "f":
            inputs = refused, graph.constant(np.nan, dtype=value.dtype), value.name
            graph.nodes.append(Node("Where", inputs, (name,), {}))
        else:
            graph.nodes.append(Node("Identity", (value.name,), (name,), {}))
        made.results[name] = value.variable
    return made


def _chosen(names: Sequence[str] | None, own: list[Any], kind: str) -> Sequence[str]:
    if names is not None and len(names) != len(own):
        raise InputError(
            f"{kind}_names: the function has {len(own)} {kind}s ({', '.join(own)}), got {len(names)} names"
        )
    return own if names is None else names


def _recorded(f: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Program, Any]:
    """What a function does, without the reverse pass of what it returns; and the containers that it returns."""
    before = kept_whole.set(WHOLE)
    try:
        parameters = named_parameters(f.forward if isinstance(f, Module) else f, args, {})
        recorder, _ = recorded_twice(f, args, {}, parameters, lambda _: None)
    finally:
        kept_whole.reset(before)
    program, count = recorder.program, len(trees.leaves(recorder.returned))
    arguments = {x: place for x, place in program.inputs.items() if isinstance(place, Argument)}
    program = simplified(replace(program, results=program.results[:count]))
    program.inputs = {**arguments, **program.inputs}  # also those that it does not use
    return program, recorder.returned


def _input(made: Written, x: Variable, name: str) -> Value:
    name = made.graph.name(name)
    made.inputs[name] = x
    return made.graph.value(name, x)


class _Labels:
    """The names of places, in which a tensor of a module has its path in the module."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self._paths: dict[int, str] = {}
        reached = Reached([(f, "f"), (getattr(f, "__wrapped__", f), "f")]).objects.values()
        for module in (x for x in (f, *reached) if isinstance(x, Module)):
            for path, x in (*module.named_parameters(), *module.named_buffers()):
                self._paths.setdefault(id(x), path)

    def __call__(self, place: Place) -> str:
        if isinstance(place, Gradient):
            return f"{self(place.of)}.grad"
        if isinstance(place, Entry) and id(place.parameter) in self._paths:
            return f"{self._paths[id(place.parameter)]}.{place.entry}"
        held = place.array if isinstance(place, Outside) else place.tensor(()) if isinstance(place, Data) else None
        return self._paths.get(id(held), place.name)


def _read(made: Written, x: Variable, place: Place, name: str, is_updated: bool) -> Value:
    """A parameter that stays the same, as a constant; any other state as an input."""
    array = np.asarray(place.read(()))
    if isinstance(place, (Data, Outside)) and not is_updated:
        return made.graph.value(made.graph.constant(array, name), x)
    value = _input(made, x, name)
    made.state[value.name] = array
    return value


def _performed(graph: Graph, call: Any, values: dict[Variable, Value]) -> Value:
    if isinstance(call.op, Draw):
        graph.refuse(
            call.op, "it draws random numbers from a NumPy generator: pass them as an argument, or call model.eval()"
        )
    inputs = [values[x] if isinstance(x, Variable) else x for x in call.inputs]
    params = {name: _replaced(x, values) for name, x in call.params.items()}
    made: Value = graph.call(call.op, inputs, params, call.result)
    return made


def _replaced(x: Any, values: dict[Variable, Value]) -> Any:
    if type(x) is tuple:
        return tuple(_replaced(part, values) for part in x)
    return values[x] if isinstance(x, Variable) else x
