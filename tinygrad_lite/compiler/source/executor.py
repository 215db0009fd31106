"""Runs a program's NumPy source, with no more memory than code written by hand."""

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from tinygrad_lite.compiler.entry import EntryWriter, OtherWayError
from tinygrad_lite.compiler.places import Gradient, Leaves, Place
from tinygrad_lite.compiler.program import Program, Variable
from tinygrad_lite.compiler.result_kinds import ResultKind
from tinygrad_lite.compiler.source.letting_go import DRAINED, letting_go
from tinygrad_lite.compiler.source.numpy_source import NumpySource
from tinygrad_lite.compiler.source.ready_keys import with_ready_keys
from tinygrad_lite.compiler.syntax_trees import ONE_AT_A_TIME
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError


class NumpyExecutor:
    """A program as a Python function, compiled from its source.

    Args:
        kept_at_first: the places whose former gradients it keeps until it has replaced them, since the function itself
            would have them if an operation refused its values, or after going another way.
    """

    backend = "numpy"
    falls_back: Sequence[str] = ()

    def __init__(self, source: NumpySource, kept_at_first: Collection[Place] = ()) -> None:
        self.program = program = source.program
        self._reads = [*source.places]
        self._writes = [*program.updates]
        self._anew = [x for x in self._writes if x not in kept_at_first and _is_made_anew(x, program)]
        self._has_state = source.has_state
        source = source.at_speed()
        named = source.expressions
        scope: dict[str, Any] = {
            "np": np,
            "ValueError": InputError,
            "OtherWayError": OtherWayError,
            **named.helpers,
            **named.constants,
        }
        scope |= {library: import_module(library) for library in named.libraries}
        scope[DRAINED] = _drained
        with ONE_AT_A_TIME:
            tree = letting_go(with_ready_keys(ast.parse(source.text), scope))
            code = compile(tree, f"<{source.name}, compiled>", "exec")
        exec(code, scope)  # noqa: S102
        self._function = scope[source.name]

    def enter(self, writer: EntryWriter, kinds: Sequence[ResultKind]) -> None:
        """Write the work of `run` as lines of a function."""
        writer.body += [place.writing(writer, "None") for place in self._anew]
        arguments = [f"a{i}" for i in range(len(writer.parameters))]
        if self._has_state:
            entries = ", ".join(f"{place.name!r}: {place.reading(writer)}" for place in self._reads)
            writer.body.append(f"state = {{{entries}}}")
            arguments.append("state")
        call = f"{writer.name(self._function)}({', '.join(arguments)})"
        computed = [f"r{i}" for i in range(len(self.program.results))]
        writer.body.append(f"{' = '.join([*([', '.join(computed)] if computed else []), call])}")
        writer.body += [place.writing(writer, f"state[{place.name!r}]") for place in self._writes]
        results = [
            name if isinstance(x, Variable) else writer.name(x) for name, x in zip(computed, self.program.results)
        ]
        writer.results = [kind.written(result, is_settled=kind.is_tensor) for result, kind in zip(results, kinds)]

    def repeat(self, turns: int, leaves: Leaves, stacks: Mapping[int, Array]) -> None:
        """None: turns run one by one."""

    def run(self, leaves: Leaves) -> list[Any]:
        """Read the places, run, write the places, and return the results for these leaves of the arguments."""
        for place in self._anew:
            place.write(None, leaves)
        arrays = [x._array if type(x) is Tensor else x for x in leaves]
        state = {place.name: place.read(leaves) for place in self._reads}
        results = self._function(*arrays, *([state] if self._has_state else []))
        for place in self._writes:
            place.write(state[place.name], leaves)
        values = results if len(self.program.results) > 1 else [results]
        return [value if isinstance(x, Variable) else x for x, value in zip(self.program.results, values)]


def _is_made_anew(place: Place, program: Program) -> bool:
    """Whether the program ignores a former gradient, which can then be freed before it makes the next one."""
    return isinstance(place, Gradient) and place not in program.inputs.values()


def _drained(items: list[Any], start: int, stop: int | None, is_backward: bool) -> Iterator[Any]:
    """The items of a list between two positions; each is let go as soon as it has been handed out, as is the rest."""
    if stop is not None:
        del items[stop:]
    if not is_backward:
        items[start:] = items[start:][::-1]
    while len(items) > start:
        yield items.pop()
