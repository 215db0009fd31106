"""Runs a program's NumPy source, with no more memory than code written by hand."""

import ast
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from tinygrad_lite.compiler.entry import EntryWriter
from tinygrad_lite.compiler.numpy_source import NumpySource
from tinygrad_lite.compiler.places import Gradient, Leaves, Place
from tinygrad_lite.compiler.program import Program, Variable
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError


class NumpyExecutor:
    """A program as a Python function, compiled from its source."""

    backend = "numpy"
    falls_back: Sequence[str] = ()

    def __init__(self, program: Program, source: NumpySource) -> None:
        self.program = program
        self._reads = [*source.places]
        self._writes = [*program.updates]
        self._anew = [place for place in self._writes if _is_made_anew(place, program)]
        source = source.at_speed()
        named = source.expressions
        scope: dict[str, Any] = {"np": np, "ValueError": InputError, **named.helpers, **named.constants}
        scope |= {library: import_module(library) for library in named.libraries}
        tree = _letting_go(_with_plain_state(source, self._reads, self._writes))
        exec(compile(tree, f"<{source.name}, compiled>", "exec"), scope)  # noqa: S102
        self._function = scope[source.name]

    def enter(self, writer: EntryWriter, wrapped: Sequence[bool]) -> bool:
        """Write the work of `run` as lines of a function."""
        writer.body += [place.writing(writer, "None") for place in self._anew]
        arguments = [f"a{i}" for i in range(len(writer.parameters))] + [place.reading(writer) for place in self._reads]
        computed = [f"r{i}" for i in range(len(self.program.results))]
        written = [f"w{i}" for i in range(len(self._writes))]
        made = "".join(f"{name}, " for name in [*computed, *written])
        writer.body.append(f"{made and made + '= '}{writer.name(self._function)}({', '.join(arguments)})")
        writer.body += [place.writing(writer, name) for place, name in zip(self._writes, written)]
        results = [
            name if isinstance(x, Variable) else writer.name(x) for name, x in zip(computed, self.program.results)
        ]
        writer.results = [f"wrap({result})" if is_wrapped else result for result, is_wrapped in zip(results, wrapped)]
        return True

    def repeat(self, turns: int, leaves: Leaves, stacks: Mapping[int, Array]) -> None:
        """None: turns run one by one."""

    def run(self, leaves: Leaves) -> list[Any]:
        """Read the places, run, write the places, and return the results for these leaves of the arguments."""
        for place in self._anew:
            place.write(None, leaves)
        arrays = [x._array if type(x) is Tensor else x for x in leaves]
        results = self._function(*arrays, *[place.read(leaves) for place in self._reads])
        count = len(self.program.results)
        for place, value in zip(self._writes, results[count:]):
            place.write(value, leaves)
        return [value if isinstance(x, Variable) else x for x, value in zip(self.program.results, results[:count])]


def _is_made_anew(place: Place, program: Program) -> bool:
    """Whether the program ignores a former gradient, which can then be freed before it makes the next one."""
    return isinstance(place, Gradient) and place not in program.inputs.values()


def _with_plain_state(source: NumpySource, reads: Sequence[Place], writes: Sequence[Place]) -> ast.Module:
    """The function with arguments in place of the state; it returns the values to write after its results."""
    tree = _PlainState().visit(ast.parse(source.text))
    function = tree.body[0]
    if source.has_state:
        function.args.args.pop()
    function.args.args += [ast.arg(_PlainState.name(place.name)) for place in reads]
    results: list[Any] = []
    if isinstance(function.body[-1], ast.Return):
        value = function.body.pop().value
        results = value.elts if len(source.program.results) > 1 else [value] if source.program.results else []
    results += [ast.Name(_PlainState.name(place.name), ast.Load()) for place in writes]
    function.body.append(ast.Return(ast.Tuple(results, ast.Load())))
    return ast.fix_missing_locations(tree)  # type: ignore[no-any-return]


class _PlainState(ast.NodeTransformer):
    """Replaces the entries of the state by local variables."""

    @staticmethod
    def name(entry: str) -> str:
        return f"_state_{entry}"  # no variable of the source has this name

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if isinstance(node.value, ast.Name) and node.value.id == "state" and isinstance(node.slice, ast.Constant):
            return ast.Name(self.name(str(node.slice.value)), node.ctx)
        return self.generic_visit(node)


def _letting_go(tree: ast.Module) -> ast.Module:
    """The function with each of its variables deleted after the last statement that reads it."""
    function: Any = tree.body[0]
    last: dict[str, int] = {}
    assigned: dict[str, None] = {}
    for position, statement in enumerate(function.body):
        names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
        last.update((node.id, position) for node in names)
        assigned.update((node.id, None) for node in names if isinstance(node.ctx, ast.Store))
    finished: dict[int, list[str]] = {}
    for name in assigned:
        finished.setdefault(last[name], []).append(name)
    body: list[Any] = []
    for position, statement in enumerate(function.body):
        body.append(statement)
        if position in finished and not isinstance(statement, ast.Return):
            body.append(ast.Delete([ast.Name(name, ast.Del()) for name in finished[position]]))
    function.body = body
    return ast.fix_missing_locations(tree)
