"""A recorded program: its inputs, its calls in order, and the values that it leaves behind."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from tinygrad_lite.compiler.draws import Draw
from tinygrad_lite.engine.op import NO_PARAMS, Array, Op
from tinygrad_lite.ops.requirements import refuse_where
from tinygrad_lite.readers.recording import Source

FORWARD, BACKWARD, UPDATE = "forward", "backward", "update"
_OURS = f"{__name__.partition('.')[0]}."
OTHER_WAY = "another way"
"""How the message of a branch begins: a requirement that Python goes the way that it went in the recording."""


@dataclass(eq=False, slots=True)
class Variable:
    """A value of a program; until the program runs, only its form is known.

    Attributes:
        shape, dtype: those of the array; for a Python number, () and the dtype that it has on its own.
        is_number: whether it is a Python number, which takes the dtype of the array that it meets.
        name: what a person would call it.
        is_named: whether a line of the user's code gives it that name.
        order: its axes from the slowest to the fastest in memory, as recorded; by default C order.
    """

    shape: tuple[int, ...]
    dtype: Any
    is_number: bool = False
    name: str | None = None
    is_named: bool = False
    order: tuple[int, ...] | None = None

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def form(self) -> tuple[Any, ...]:
        """What the variables of two recordings have in common if they stand for the same value."""
        return self.shape, self.dtype, self.is_number, self.order

    def zeros(self) -> Any:
        """Zeros of this form."""
        if self.order is None and self.shape:
            return np.zeros(self.shape, self.dtype)
        if self.order is None:
            zero = np.zeros((), self.dtype)
            return zero.item() if self.is_number else zero[()]
        return np.zeros([self.shape[axis] for axis in self.order], self.dtype).transpose(np.argsort(self.order))

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"{self.name or '?'}: {self.dtype}{list(self.shape)}"


@dataclass(eq=False, slots=True)
class Instruction:
    """An operation in a program; nobody changes it, though to have Python refuse that would take three times as long.

    Attributes:
        inputs: variables, and the Python numbers of the user's code.
        params: the operation's parameters, with a variable for each value of the program among them, such as an index.
        section: the pass that it belongs to: forward, backward or update.
        source: the user's line that it comes from.
        ignoring: the floating-point errors that give no warning here.
        view_of: the input whose memory the result shares, if there is one.
        reads: the variables among its inputs and within its parameters, each as often as it occurs.
        has_effect: whether it has an effect besides its result: it draws random numbers, or refuses values.
    """

    op: Op
    inputs: tuple[Any, ...]
    params: Mapping[str, Any]
    result: Variable
    section: str = FORWARD
    source: Source | None = None
    ignoring: frozenset[str] = frozenset()
    view_of: Variable | None = None
    reads: list[Variable] = field(init=False, repr=False)
    has_effect: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.reads = [x for x in self.inputs if type(x) is Variable]
        if self.params:
            self.reads += variables(tuple(self.params.values()))
        self.has_effect = self.op is refuse_where or isinstance(self.op, Draw)  # faster than to ask the two below

    @property
    def has_computed_params(self) -> bool:
        """Whether a value of the program is among its parameters, such as an index that it computes."""
        return len(self.reads) > sum(isinstance(x, Variable) for x in self.inputs)

    @property
    def draws(self) -> bool:
        """Whether it draws random numbers, which differ each time."""
        return isinstance(self.op, Draw)

    @property
    def refuses(self) -> bool:
        """Whether it is there to raise an error for some values."""
        return self.op is refuse_where

    @property
    def may_fail(self) -> bool:
        """Whether it may raise an error for some values, as those of indices; of a user's operation nobody knows."""
        return self.op.refuses or not self.op.module.startswith(_OURS) or self.has_computed_params

    @property
    def is_branch(self) -> bool:
        """Whether it requires that Python goes the same way at a branch as in the recording."""
        return self.op is refuse_where and self.params["message"].startswith(OTHER_WAY)

    def with_variables(self, stand_ins: Mapping[Variable, Any]) -> "Instruction":
        """The same call with other variables."""
        if not stand_ins or stand_ins.keys().isdisjoint(self.reads):
            return self
        inputs = tuple([_stand_in(x, stand_ins) for x in self.inputs])
        params = mapped(lambda x: _stand_in(x, stand_ins), self.params) if self.params else self.params
        return self._copy(self.op, inputs, params, _stand_in(self.view_of, stand_ins))

    def of(
        self, op: Op, inputs: tuple[Any, ...], params: Mapping[str, Any] = NO_PARAMS, is_view: bool = True
    ) -> "Instruction":
        """A call of another operation for the same result; by default the result is a view if it was one before."""
        view_of = self.view_of if is_view else None
        if view_of and view_of not in inputs:
            view_of = inputs[0]
        return self._copy(op, inputs, params, view_of)

    def _copy(self, op: Op, inputs: tuple[Any, ...], params: Mapping[str, Any], view_of: Any) -> "Instruction":
        # `replace` takes three times as long, and programs have thousands of calls
        return Instruction(op, inputs, params, self.result, self.section, self.source, self.ignoring, view_of)


item = Op(lambda x: x.item(), [None], name="item", arity=1)
"""The only entry of an array as a Python number."""


@dataclass(eq=False)
class Program:
    """The work of a function: what it read, its calls in order, and what it returned and wrote.

    Attributes:
        inputs: the variables that it reads, each with the place that it is read from.
        constants: arrays that are the same in each run.
        calls: the operations, in an order in which they can run.
        results: the returned leaves: variables, or values that are not arrays.
        updates: the places that are written at the end, each with its value.
    """

    inputs: dict[Variable, Any] = field(default_factory=dict)
    constants: dict[Variable, Array] = field(default_factory=dict)
    calls: list[Instruction] = field(default_factory=list)
    results: list[Any] = field(default_factory=list)
    updates: dict[Any, Any] = field(default_factory=dict)

    def with_calls(self, calls: list[Instruction], stand_ins: Mapping[Any, Any] = NO_PARAMS) -> "Program":
        """The same program with other calls; `stand_ins` replace variables that these calls do not make any more."""
        results = [_stand_in(x, stand_ins) for x in self.results]
        updates = {place: _stand_in(x, stand_ins) for place, x in self.updates.items()}
        return Program(self.inputs, self.constants, calls, results, updates)

    @property
    def ends(self) -> list[Variable]:
        """The variables that leave the program."""
        return [x for x in (*self.results, *self.updates.values()) if isinstance(x, Variable)]

    def ends_without(self, written: Collection[Variable]) -> list[Variable]:
        """The variables that leave the program, but for these among those that it puts into its state."""
        kept = [x for x in self.updates.values() if x not in written]
        return [x for x in (*self.results, *kept) if isinstance(x, Variable)]

    def read_constants(self) -> Iterator[tuple[Variable, Array]]:
        """The constants that calls read, or that leave the program, with their arrays."""
        read = {x for call in self.calls for x in call.reads} | {*self.ends}
        return ((x, array) for x, array in self.constants.items() if x in read)

    def uses(self) -> dict[Variable, int]:
        """How often each variable is used; leaving the program counts as a use."""
        count: dict[Variable, int] = {}
        for x in [x for call in self.calls for x in call.reads] + self.ends:
            count[x] = count.get(x, 0) + 1
        return count


def variables(tree: Any) -> Iterator[Variable]:
    """The variables in the parameters of an operation, including those in an index and its slices."""
    if isinstance(tree, Variable):
        yield tree
    elif isinstance(tree, (tuple, list)):
        for part in tree:
            yield from variables(part)


def axes_in_memory(strides: Sequence[int]) -> tuple[int, ...]:
    """The axes of an array from the slowest to the fastest."""
    return _axes_in_memory(tuple(strides))


@lru_cache(1000)
def _axes_in_memory(strides: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(strides)), key=lambda axis: (-abs(strides[axis]), axis)))


def mapped(function: Callable[[Any], Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with a function applied to their contents, including the parts of an index."""
    return {name: _walked(function, value) for name, value in params.items()}


def _walked(function: Callable[[Any], Any], x: Any) -> Any:
    return tuple(_walked(function, part) for part in x) if type(x) is tuple else function(x)


def _stand_in(x: Any, stand_ins: Mapping[Variable, Any]) -> Any:
    return stand_ins.get(x, x) if isinstance(x, Variable) else x


DTYPES = {kind: np.result_type(kind) for kind in (bool, int, float, complex)}
"""Those of Python's numbers. Only these classes themselves: a member of an IntEnum has a dtype for NumPy."""


def is_python_number(x: Any) -> bool:
    """Whether a value is a Python number, which takes the dtype of the array that it meets."""
    return type(x) in DTYPES
