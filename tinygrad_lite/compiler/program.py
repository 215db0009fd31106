"""A recorded program: what it reads, its calls in order, and what it leaves behind."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinygrad_lite.compiler.draws import Draw
from tinygrad_lite.engine.op import NO_PARAMS, Array, Op
from tinygrad_lite.ops.requirements import refuse_where
from tinygrad_lite.readers.recording import Source

FORWARD, BACKWARD, UPDATE = "forward", "backward", "update"


@dataclass(eq=False, slots=True)
class Variable:
    """A value of a program, known by its form until the program runs.

    Attributes:
        shape, dtype: of the array; of a Python number, () and the dtype that it has by itself.
        is_number: whether it is a Python number, which takes the dtype of the array that it meets.
        name: how a person would call it.
        order: its axes from the slowest in memory to the fastest, as they were at recording; C's unless told.
    """

    shape: tuple[int, ...]
    dtype: Any
    is_number: bool = False
    name: str | None = None
    order: tuple[int, ...] | None = None

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"{self.name or '?'}: {self.dtype}{list(self.shape)}"


@dataclass(eq=False, frozen=True, slots=True)
class Instruction:
    """An operation in a program.

    Attributes:
        inputs: variables, and the Python numbers of the user's code.
        params: as the operation takes them, with variables where a value of the program is one, as an index may be.
        section: the pass that it belongs to: forward, backward or update.
        source: the line of the user's that it comes from.
        ignoring: the floating-point errors that are not warned of here.
        view_of: the input whose memory the result shares, if it does.
    """

    op: Op
    inputs: tuple[Any, ...]
    params: Mapping[str, Any]
    result: Variable
    section: str = FORWARD
    source: Source | None = None
    ignoring: frozenset[str] = frozenset()
    view_of: Variable | None = None

    @property
    def reads(self) -> list[Variable]:
        """The variables that it is given, as inputs or within its parameters; each as often as it is given."""
        return [*variables(self.inputs), *variables(tuple(self.params.values()))]

    @property
    def has_effect(self) -> bool:
        """Whether it does something besides its result: it draws random numbers, or refuses values."""
        return isinstance(self.op, Draw) or self.op is refuse_where

    def with_variables(self, stand_ins: Mapping[Variable, Any]) -> "Instruction":
        """The same call of other variables."""
        if not any(x in stand_ins for x in self.reads):
            return self
        return replace(
            self,
            inputs=tuple(_stand_in(x, stand_ins) for x in self.inputs),
            params=mapped(lambda x: _stand_in(x, stand_ins), self.params),
            view_of=_stand_in(self.view_of, stand_ins),
        )

    def of(
        self, op: Op, inputs: tuple[Any, ...], params: Mapping[str, Any] = NO_PARAMS, is_view: bool = True
    ) -> "Instruction":
        """Another operation that makes the same result; a view if this one does, unless told."""
        view_of = (self.view_of if self.view_of in inputs else inputs[0]) if self.view_of and is_view else None
        return replace(self, op=op, inputs=inputs, params=params, view_of=view_of)


@dataclass(eq=False)
class Program:
    """What a function did: from what it read, by calls in order, to what it returned and wrote.

    Attributes:
        inputs: the variables that are read, and where each is read from.
        constants: arrays that are the same in each run.
        calls: the operations, in an order in which they can run.
        results: what is returned, leaf by leaf: variables, or what is no array.
        updates: where a value is written when all is done, and which.
    """

    inputs: dict[Variable, Any] = field(default_factory=dict)
    constants: dict[Variable, Array] = field(default_factory=dict)
    calls: list[Instruction] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)
    updates: dict[Any, Any] = field(default_factory=dict)

    def with_calls(self, calls: list[Instruction], stand_ins: Mapping[Any, Any] = NO_PARAMS) -> "Program":
        """The same program by other calls, with stand-ins for variables that they do not make any more."""
        results = [_stand_in(x, stand_ins) for x in self.results]
        updates = {place: _stand_in(x, stand_ins) for place, x in self.updates.items()}
        return Program(self.inputs, self.constants, calls, results, updates)

    @property
    def ends(self) -> list[Variable]:
        """The variables that leave the program."""
        return [x for x in (*self.results, *self.updates.values()) if isinstance(x, Variable)]

    def uses(self) -> dict[Variable, int]:
        """How often each variable is used, leaving the program included."""
        count: dict[Variable, int] = {}
        for x in [x for call in self.calls for x in call.reads] + self.ends:
            count[x] = count.get(x, 0) + 1
        return count


def variables(tree: Any) -> Iterator[Variable]:
    """The variables in what an operation is given, an index and its slices included."""
    if isinstance(tree, Variable):
        yield tree
    elif isinstance(tree, (tuple, list)):
        for part in tree:
            yield from variables(part)


def axes_in_memory(strides: Sequence[int]) -> tuple[int, ...]:
    """The axes of an array from the slowest to the fastest."""
    return tuple(sorted(range(len(strides)), key=lambda axis: (-abs(strides[axis]), axis)))


def mapped(function: Callable[[Any], Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with the function applied to what is in them, the parts of an index included."""
    return {name: _walked(function, value) for name, value in params.items()}


def _walked(function: Callable[[Any], Any], x: Any) -> Any:
    return tuple(_walked(function, part) for part in x) if type(x) is tuple else function(x)


def _stand_in(x: Any, stand_ins: Mapping[Variable, Any]) -> Any:
    return stand_ins.get(x, x) if isinstance(x, Variable) else x
