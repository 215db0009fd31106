"""From a function to a graph: its recording, operation by operation, with the state that it reads and writes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.compiler.draws import Draw
from tinygrad_lite.compiler.native.pairs import with_pairs
from tinygrad_lite.compiler.native.scalars import of_parts
from tinygrad_lite.compiler.passes import simplified
from tinygrad_lite.compiler.passes.dead_code import without_unread_results
from tinygrad_lite.compiler.places import Argument, Data, Entry, Gradient, Outside, Place
from tinygrad_lite.compiler.program import Program, Variable
from tinygrad_lite.compiler.recording.call_to_record import CallToRecord, named_parameters
from tinygrad_lite.compiler.recording.reached import Reached
from tinygrad_lite.compiler.recording.transcript import kept_whole
from tinygrad_lite.compiler.recording.two_recordings import recorded_twice
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.interchange.onnx_out.formulas import ENTRY_BY_ENTRY
from tinygrad_lite.interchange.onnx_out.formulas_along_axes import ALONG_AXES
from tinygrad_lite.interchange.onnx_out.formulas_of_decompositions import OF_VALUES
from tinygrad_lite.interchange.onnx_out.formulas_of_linear_algebra import OF_LINEAR_ALGEBRA
from tinygrad_lite.interchange.onnx_out.formulas_of_order import OF_ORDER
from tinygrad_lite.interchange.onnx_out.formulas_of_reductions import OF_REDUCTIONS
from tinygrad_lite.interchange.onnx_out.formulas_of_scipy import of_scipy
from tinygrad_lite.interchange.onnx_out.node_table import WHOLE, WRITERS
from tinygrad_lite.interchange.onnx_out.own_operations import by_forward, own_operations
from tinygrad_lite.interchange.onnx_out.reasons import COMPLEX, REASONS
from tinygrad_lite.interchange.onnx_out.written_values import Graph, Node, Value, number_of
from tinygrad_lite.nn import Module
from tinygrad_lite.transforms.runs import name_of

NEW = ".new"
"""The suffix of the result that replaces a state."""


LARGEST_TRANSFORM = 2**20
"""The most entries of the matrix of a Fourier transform."""

Pass = Callable[[Program], Program]


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


def written(f: Callable[..., Any], args: Sequence[Any], names: Names = NO_NAMES, passes: Pass = simplified) -> Written:
    """The graph of what a function does with these arguments, after these passes through its program.

    Raises:
        InputError: if there are more or fewer names than inputs or results.
        UsageError: if the function cannot be recorded, or an operation cannot be written.
    """
    # copies, so that no argument is another one, or known from elsewhere
    copies = trees.map_leaves(lambda x: tensor(x.numpy(), x.requires_grad) if isinstance(x, Tensor) else x, tuple(args))
    program, returned = _recorded(f, copies, passes)
    own = own_operations()
    tables = ENTRY_BY_ENTRY, OF_REDUCTIONS, OF_ORDER, ALONG_AXES, OF_LINEAR_ALGEBRA, OF_VALUES, of_scipy()
    formulas = by_forward(own, *tables)
    made = Written(name_of(f), Graph(by_forward(own, WRITERS), formulas, by_forward(own, REASONS)))
    for place, value in program.updates.items():
        if isinstance(place, Entry) and place.read(()) is None and value is not None:
            raise UsageError(f"the first run of {made.name} creates {place.name}: run it once before you export it")
    label = _Labels(f)
    values = _write_inputs(made, program, names, label)
    known = {place: values[x].name for x, place in program.inputs.items()}
    results = [
        *zip(_chosen(names.outputs, trees.paths(returned, "output"), "output"), program.results),
        *((f"{known.get(place) or label(place)}{NEW}", x) for place, x in program.updates.items() if x is not None),
    ]
    results = [(made.graph.name(name), x) for name, x in results]
    for x, array in program.constants.items():
        values[x] = made.graph.value(made.graph.constant(array), x)
    for call in program.calls:
        if call.op is of_parts:
            continue  # the operation that uses the complex number is refused
        made.graph.source = call.source
        values[call.result] = _performed(made.graph, call, values)
    _write_results(made, results, values)
    if not (made.inputs and made.results):
        raise UsageError(
            f"a file of {made.name} would have no {'results' if made.inputs else 'inputs'}: arrays are inputs and "
            "results, and plain numbers are fixed"
        )
    return made


def _write_inputs(made: Written, program: Program, names: Names, label: "_Labels") -> dict[Variable, Value]:
    """Write the inputs, arguments first; return their values."""
    inputs = sorted(program.inputs.items(), key=_place_among_arguments)
    arguments = [place.name for _, place in inputs if isinstance(place, Argument)]
    chosen = iter(_chosen(names.inputs, arguments, "input"))
    values: dict[Variable, Value] = {}
    for x, place in inputs:
        name = next(chosen) if isinstance(place, Argument) else label(place)
        values[x] = _input(made, x, place, name, program.updates)
    return values


def _write_results(made: Written, results: Sequence[tuple[str, Any]], values: Mapping[Variable, Value]) -> None:
    """Write the results under their names: NaN where an operation refuses its input, since a graph raises no errors."""
    graph, refused = made.graph, ""
    for condition in graph.refused:
        refused = graph.add("Or", refused, condition) if refused else condition
    for name, x in results:
        number_of(x.dtype if isinstance(x, Variable) else np.asarray(x).dtype)  # else nobody has written the value
        value = graph.of(values[x] if isinstance(x, Variable) else x)
        if refused and value.dtype.kind == "f":
            nan = graph.constant(np.nan, dtype=value.dtype)
            graph.nodes.append(Node("Where", (refused, nan, value.name), (name,), {}))
        else:
            graph.nodes.append(Node("Identity", (value.name,), (name,), {}))
        made.results[name] = value.variable


def _chosen(names: Sequence[str] | None, own: list[Any], kind: str) -> Sequence[str]:
    if names is not None and len(names) != len(own):
        raise InputError(
            f"{kind}_names: the function has {len(own)} {kind}s ({', '.join(own)}), got {len(names)} names"
        )
    return own if names is None else names


def _recorded(f: Callable[..., Any], args: tuple[Any, ...], passes: Pass) -> tuple[Program, Any]:
    """What a function does, and the containers that it returns."""

    def detached(*args: Any) -> Any:  # else the recording would end with a reverse pass
        for x in trees.leaves(args):
            _ = np.shape(x)  # so that a tensor is an input even if nobody reads it
        return trees.map_leaves(lambda x: x.detach() if isinstance(x, Tensor) else x, f(*args))

    detached.__name__ = name_of(f)
    vars(detached)["__wrapped__"] = f
    before = kept_whole.set(WHOLE)
    try:
        parameters = named_parameters(f.forward if isinstance(f, Module) else f, args, {})
        recorder, _ = recorded_twice(CallToRecord(detached, args, {}, parameters, lambda _: None))
    finally:
        kept_whole.reset(before)
    program = recorder.program
    arguments = {x: place for x, place in program.inputs.items() if isinstance(place, Argument)}
    program = with_pairs(_with_complex_constants(passes(program)), LARGEST_TRANSFORM)
    program = without_unread_results(program)  # a graph raises no errors
    program.inputs = {**arguments, **program.inputs}  # also those that it does not use
    return program, recorder.returned


def _with_complex_constants(program: Program) -> Program:
    """The program with the complex arrays that stay the same among its constants, which become pairs of real ones."""
    fixed = {x: place for x, place in program.inputs.items() if x.dtype.kind == "c" and _stays(place, program.updates)}
    return replace(
        program,
        inputs={x: place for x, place in program.inputs.items() if x not in fixed},
        constants=program.constants | {x: np.asarray(place.read(())) for x, place in fixed.items()},
    )


def _stays(place: Place, updates: Mapping[Place, Any]) -> bool:
    """Whether it holds a parameter, or another array from outside, that the function does not change."""
    return isinstance(place, (Data, Outside)) and place not in updates


def _place_among_arguments(item: tuple[Variable, Place]) -> float:
    place = item[1]
    return place.index if isinstance(place, Argument) else np.inf


def _input(made: Written, x: Variable, place: Place, name: str, updates: Mapping[Place, Any]) -> Value:
    """An input; or a constant, for a parameter that stays the same."""
    if _stays(place, updates):
        return made.graph.value(made.graph.constant(place.read(()), name), x)
    name = made.graph.name(name)
    made.inputs[name] = x
    if not isinstance(place, Argument):
        made.state[name] = np.asarray(place.read(()))
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
        if isinstance(place, Outside):
            return self._paths.get(id(place.array), place.name)
        return self._paths.get(id(place.tensor(())), place.name) if isinstance(place, Data) else place.name


def _performed(graph: Graph, call: Any, values: dict[Variable, Value]) -> Value:
    if isinstance(call.op, Draw):
        graph.refuse(
            call.op,
            "it draws random numbers from a NumPy generator: pass them as an argument; layers that draw in training "
            "alone, such as dropout, do not after model.eval()",
        )
    if any(x.dtype.kind == "c" for x in (*call.reads, call.result)):
        graph.refuse(call.op, COMPLEX)
    inputs = [values[x] if isinstance(x, Variable) else x for x in call.inputs]
    params = {name: _replaced(x, values) for name, x in call.params.items()}
    made: Value = graph.call(call.op, inputs, params, call.result)
    return made


def _replaced(x: Any, values: dict[Variable, Value]) -> Any:
    if type(x) is tuple:
        return tuple(_replaced(part, values) for part in x)
    return values[x] if isinstance(x, Variable) else x
