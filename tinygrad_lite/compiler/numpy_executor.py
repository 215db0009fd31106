"""Floor 5. Running a program's NumPy source, with no more memory than by hand."""

import ast
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from tinygrad_lite.compiler.entry import EntryWriter
from tinygrad_lite.compiler.numpy_source import NumpySource
from tinygrad_lite.compiler.places import Gradient, Leaves, Place
from tinygrad_lite.compiler.program import Program, Variable
from tinygrad_lite.errors import InputError
from tinygrad_lite.ops.op import Array
from tinygrad_lite.tensor import Tensor


class NumpyExecutor:
    """A program as the Python function that its source is."""

    backend = "numpy"
    falls_back: Sequence[str] = ()

    def __init__(self, program: Program, source: NumpySource) -> None:
        self.program = program
        self._source = source
        scope: dict[str, Any] = {"np": np, "ValueError": InputError, **source.helpers, **source.constants}
        scope |= {library: import_module(library) for library in source.libraries}
        exec(compile(_letting_go(source.text), f"<{source.name}, compiled>", "exec"), scope)  # noqa: S102
        self._function = scope[source.name]
        self._anew = [place for place in program.updates if _is_made_anew(place, program)]

    def enter(self, writer: EntryWriter, wrapped: Sequence[bool]) -> bool:
        """Write what `run` does as lines of a function."""
        call = [f"a{i}" for i in range(len(writer.parameters))]
        if self._source.has_state:
            writer.body += [place.writing(writer, "None") for place in self._anew]
            read = [f"{place.name!r}: {place.reading(writer)}" for place in self._source.places]
            writer.body.append(f"state = {{{', '.join(read)}}}")
            call.append("state")
        writer.body.append(f"found = {writer.name(self._function)}({', '.join(call)})")
        writer.body += [place.writing(writer, f"state[{place.name!r}]") for place in self.program.updates]
        several = len(wrapped) > 1
        found = [
            (f"found[{i}]" if several else "found") if isinstance(x, Variable) else writer.name(x)
            for i, x in enumerate(self.program.results)
        ]
        writer.results = [f"wrap({each})" if is_wrapped else each for each, is_wrapped in zip(found, wrapped)]
        return True

    def repeat(self, turns: int, leaves: Leaves, each: Mapping[int, Array]) -> None:
        """None: turns are made one by one."""

    def run(self, leaves: Leaves) -> list[Any]:
        """The results for these leaves of the arguments; places are read and written."""
        arrays = [x._array if type(x) is Tensor else x for x in leaves]
        if self._source.has_state:
            for place in self._anew:
                place.write(None, leaves)
            state = {place.name: place.read(leaves) for place in self._source.places}
            found = self._function(*arrays, state)
            for place in self.program.updates:
                place.write(state[place.name], leaves)
        else:
            found = self._function(*arrays)
        values = found if len(self.program.results) > 1 else [found]
        return [value if isinstance(x, Variable) else x for x, value in zip(self.program.results, values)]


def _is_made_anew(place: Place, program: Program) -> bool:
    """Whether a former gradient is nothing to the program, so that it can go before the next one is made."""
    return isinstance(place, Gradient) and place not in program.inputs.values()


def _letting_go(text: str) -> ast.Module:
    """The function with each of its variables deleted after the last statement that reads it."""
    tree = ast.parse(text)
    function: Any = tree.body[0]
    last: dict[str, int] = {}
    for position, statement in enumerate(function.body):
        last.update((node.id, position) for node in ast.walk(statement) if isinstance(node, ast.Name))
    assigned = dict.fromkeys(
        node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )
    body: list[Any] = []
    for position, statement in enumerate(function.body):
        body.append(statement)
        names = [ast.Name(name, ast.Del()) for name in assigned if last[name] == position]
        if names and not isinstance(statement, ast.Return):
            body.append(ast.Delete(names))  # type: ignore[arg-type]
    function.body = body
    return ast.fix_missing_locations(tree)
