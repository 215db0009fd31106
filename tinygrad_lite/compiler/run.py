"""A run: a program that was recorded for one form of arguments, its requirements, and its executor."""

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from time import perf_counter
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.compiler.compile_report import CompileReport
from tinygrad_lite.compiler.entry import EntryWriter
from tinygrad_lite.compiler.guards import Field, Guard, Item, Key, agreeing, changed
from tinygrad_lite.compiler.naming import unique
from tinygrad_lite.compiler.numpy_executor import NumpyExecutor
from tinygrad_lite.compiler.numpy_source import NumpySource
from tinygrad_lite.compiler.passes import simplified
from tinygrad_lite.compiler.places import Argument, Data, Entry, Gradient, Leaves, Outside
from tinygrad_lite.compiler.program import Program, Variable
from tinygrad_lite.compiler.pullback import Pullback, own, split
from tinygrad_lite.compiler.randomness import undrawn
from tinygrad_lite.compiler.reached import Reached
from tinygrad_lite.compiler.recorder import Recorder
from tinygrad_lite.compiler.same import difference, with_live_arrays
from tinygrad_lite.compiler.signature import SCALARS
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor, wrap
from tinygrad_lite.errors import UsageError
from tinygrad_lite.readers.recording import plain_trace
from tinygrad_lite.transforms.runs import name_of


class Run:
    """A recorded function.

    Attributes:
        program: the recorded program.
        executors: those of this program and, if callers differentiate its results, of its reverse pass.
        executor: the executor that runs the program.
        reason: why the requested backend does not run it; empty if it does.
        returned: the containers that the function returned, with True for a tensor and False for anything else.
    """

    def __init__(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], backend: str) -> None:
        self._f = f
        parameters = _parameters(f, args, kwargs)
        name, names = name_of(f), _names(f)
        leaves = trees.leaves((args, kwargs))
        roots = [(f, name), *((x, path) for x, path in zip(leaves, parameters) if not isinstance(x, Tensor))]
        reached = Reached(roots)
        try:
            first, read = _recorded(f, args, kwargs, parameters, names, reached, roots)
            roots += [(x, name) for x in first.called]
            recorder, guards = _recorded(f, args, kwargs, parameters, names, Reached(roots), roots)
            differs = difference(first.program, recorder.program)
            if differs:
                raise UsageError(
                    f"{name} does not do the same when it is run again ({differs}), so it cannot be compiled: draw "
                    "random numbers from a numpy.random.Generator that is an argument, a field of a module or a "
                    "variable of the function's; and keep what changes from run to run in tensors"
                )
            _refuse_changes(name, changed(read, guards.values()))
        except BaseException:
            for guard in reached.guards.values():
                guard.restore()
            raise
        self._guards = list(agreeing(read, guards).values())
        outside = {id(guard.value) for guard in self._guards}
        self._identical = {i: x for i, x in enumerate(leaves) if isinstance(x, Tensor) and id(x) in outside}
        self._same_as = recorder.same_as
        self._tensors = [i for i, x in enumerate(leaves) if isinstance(x, Tensor) and i not in self._identical]
        recorder.program = with_live_arrays(recorder.program, first.program)
        self._shared = recorder.shared
        self._gradients = recorder.gradients
        self._states = recorder.state_keys
        self.returned = recorder.returned
        self._wrapped = trees.leaves(recorder.returned)
        self._passed = recorder.passed
        self.reason = ""
        self.program = simplified(recorder.program)
        backward = None
        if recorder.linked:
            self.program, backward = split(self.program, len(self._wrapped))
        self._programs = [self.program] if backward is None else [self.program, backward]
        self._named = name, parameters
        is_passing = self._is_passing(trees.leaves((args, kwargs)))
        if is_passing and backend == "native":
            backend = "numpy"
            self.reason = "it ran once, and made what the next run starts from, such as the state of an optimiser"
        self.executors = [self._executor(backend, i) for i in range(len(self._programs))]
        self.executor = self.executors[0]
        self._pullback = None
        if backward is not None:
            self._pullback = Pullback(
                f, name, self.program, self.executors[1].run, recorder.linked, recorder.differentiated, self._wrapped
            )
        self._cannot_enter = is_passing or bool(self._passed) or self._pullback is not None
        ends_in_arguments = any(_is_of_argument(x) for x in (*self.program.inputs.values(), *self.program.updates))
        self._cannot_enter |= ends_in_arguments
        self._others = _others(self.program)
        self._made = self._waited = self._patience = 0.0
        self._to_copy = [
            i for i, x in enumerate(self.program.results[: len(self._wrapped)]) if x in _fixed(self.program)
        ]
        self._read_gradients = [place for place in self.program.inputs.values() if isinstance(place, Gradient)]

    @cached_property
    def sources(self) -> list[NumpySource]:
        """The programs in NumPy, which nobody writes before somebody asks."""
        first = NumpySource(self.program, *self._named)
        if len(self._programs) == 1:
            return [first]
        backward = self._programs[1]
        kept = unique(place.name for place in backward.inputs.values())
        taken = (first.name, *first.expressions.constants, *first.expressions.helpers)
        return [first, NumpySource(backward, f"{first.name.rstrip('_')}_backward", kept, taken)]

    @property
    def source(self) -> NumpySource:
        """The program in NumPy."""
        return self.sources[0]

    def _executor(self, backend: str, i: int) -> Any:
        if backend == "numpy":
            return NumpyExecutor(self._programs[i], self.sources[i])
        from tinygrad_lite.compiler.native.executor import NativeExecutor

        return NativeExecutor(self._programs[i])

    def _is_passing(self, leaves: list[Any]) -> bool:
        """Whether the run itself changes what the program relies on, so that the next run needs another program.

        An optimiser's first step makes its state, and a first gradient is not yet added to another.
        """
        for place, value in self.program.updates.items():
            if isinstance(place, Entry) and place.read(leaves) is None:
                return True
            if isinstance(place, Gradient) and self._gradients.get(place, value is not None) != (value is not None):
                return True
        return False

    def fits(self, leaves: Leaves) -> bool:
        """Whether everything that the program relies on is as it was at the recording, for arguments of its form."""
        return (
            all(guard.holds() for guard in self._guards)
            and all(leaves[i] is generator for i, generator in self._shared.items())
            and all(leaves[i] is tensor for i, tensor in self._identical.items())
            and all(leaves[i] is place.tensor(leaves) for i, place in self._same_as.items())
            and all((place.read(leaves) is not None) == there for place, there in self._gradients.items())
            and all([set(entries) for entries in optimizer.state] == keys for optimizer, keys in self._states)
            and all(_has_form(place.read(leaves), x) for x, place in self.program.inputs.items())
            and not any(leaves[i] in self._others for i in self._tensors)
            and not any(leaves[i] is place.tensor(leaves) for i in self._tensors for place in self._read_gradients)
        )

    def __call__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if self._pullback is not None:
            args, kwargs = trees.map_leaves(own, (args, dict(kwargs)))
        leaves = trees.leaves((args, kwargs))
        passed = {i: place.tensor(leaves) for i, place in self._passed.items()}
        values = self.executor.run(leaves)
        for i in self._to_copy:
            values[i] = np.copy(values[i])
        if self._pullback is not None:
            values = self._pullback.link(values, leaves, args, kwargs)
        results = [
            wrap(x) if is_wrapped and type(x) is not Tensor else x for x, is_wrapped in zip(values, self._wrapped)
        ]
        for i, tensor in passed.items():
            results[i] = tensor
        return self._finished(results)

    def repeat(self, turns: int, leaves: list[Any], stacks: Mapping[int, Array]) -> list[Any] | None:
        """The results of many calls, stacked leaf by leaf; None if they must run one by one."""
        results = self.executor.repeat(turns, leaves, stacks)
        return None if results is None else results[: len(self._wrapped)]

    def report(self) -> CompileReport:
        """How it runs."""
        falls_back = Counter(name for executor in self.executors for name in executor.falls_back)
        operations = sum(len(executor.program.calls) for executor in self.executors)
        return CompileReport(self.executor.backend, operations, dict(falls_back), self.reason)

    def _finished(self, values: Iterable[Any]) -> Any:
        """Make the function's return value from these values."""
        remaining = iter(values)
        return trees.map_leaves(lambda _: next(remaining), self.returned)

    def is_worth_an_entry(self) -> bool:
        """Whether to make an entry after a call without one: yes, but seldom if the last ones soon did not fit."""
        self._waited += 1
        return self._waited > self._patience

    def entry(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Callable[..., Any] | None:
        """A quicker way to run again with arguments of this form; see entry.py."""
        if self._cannot_enter:
            return None
        start = perf_counter()
        writer = EntryWriter(args, kwargs, {} if self.executor.backend == "numpy" else self._layouts())
        if not writer.is_possible:
            return None
        writer.is_still("Tensor.__trace__", plain_trace)
        if self.executor.backend != "numpy":
            writer.heeds_errors()
        for i, thing in {**self._shared, **self._identical}.items():
            writer.is_still(f"x{i}", thing)
        for i, place in self._same_as.items():
            writer.tests.append(f"x{i} is not {place.naming(writer)}")
        for i in self._tensors:
            writer.tests += [f"x{i} is {place.naming(writer)}" for place in self._read_gradients]
            writer.tests += [f"x{i} in {writer.name(self._others)}"] if self._others else []
        for guard in self._guards:
            writer.is_the_same(guard.reading(writer), guard.value)
        for place, there in self._gradients.items():
            writer.tests.append(f"({place.naming(writer)} is None) is {there}")
        if not self.executor.enter(writer, self._wrapped):
            self._cannot_enter = True
            return None
        for i in self._to_copy:
            writer.results[i] = f"{writer.name(np.copy)}({writer.results[i]})"
        for place in self.program.inputs.values():
            if not isinstance(place, (Argument, Outside)) and not writer.is_tested(place.reading(writer)):
                writer.is_like(place.reading(writer), place.read(()))
        only = self.returned is True or self.returned is False
        function = writer.function(None if only else self._finished)
        now = perf_counter()
        lasted, self._made = start - self._made, now
        self._patience = 0 if lasted > 20 * (now - start) else min(2 * self._patience + 1, 7)
        self._waited = 0
        return function

    def _layouts(self) -> dict[int, tuple[tuple[int, ...], tuple[int, ...]]]:
        """For each argument that is an array of several entries the strides that it must have, and their order."""
        found = {}
        for x, place in self.program.inputs.items():
            if isinstance(place, Argument) and x.shape:
                order = x.order or tuple(range(len(x.shape)))
                strides = [0] * len(order)
                for axis, stride in zip(order, np.empty([x.shape[axis] for axis in order], x.dtype).strides):
                    strides[axis] = stride
                found[place.index] = tuple(strides), order
        return found


def _is_of_argument(place: Any) -> bool:
    return isinstance(place, Gradient) and not isinstance(place.of, Data)


def _fixed(program: Program) -> set[Variable]:
    """The arrays that are the same in each run, and views of them; who gets one may write to it."""
    fixed = {x for x in program.constants if x.shape}
    for call in program.calls:
        if call.view_of in fixed:
            fixed.add(call.result)
    return fixed


def _others(program: Program) -> frozenset[Tensor]:
    """The tensors from outside that a program reads or writes, which no argument may be unless it was one before."""
    return frozenset(
        place.tensor(()) for place in (*program.inputs.values(), *program.updates) if isinstance(place, Data)
    )


def _refuse_changes(name: str, guards: list[Guard]) -> None:
    for guard in guards:
        if isinstance(guard, (Item, Field)) and isinstance(guard.value, SCALARS):
            raise UsageError(
                f"{name} reads and changes {guard.label}, which its program would do neither of in the next runs: keep "
                "it in a tensor t, and write t.data = ...; or change it outside the compiled function"
            )


def _recorded(
    f: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    parameters: list[str],
    names: Mapping[int, str],
    reached: Reached,
    roots: Sequence[tuple[Any, str]],
) -> tuple[Recorder, dict[Key, Guard]]:
    """The recording of a call, and what it read; `roots` are the functions and objects to look through for names."""
    recorder = Recorder(names, reached)
    places = iter([Argument(i, name) for i, name in enumerate(parameters)])
    arguments, keywords = trees.map_leaves(lambda x: recorder.passed_in(next(places), x), (args, dict(kwargs)))
    with undrawn(reached.hidden):
        recorder.run(f, arguments, keywords)
    del arguments, keywords
    recorder.let_go()
    called = [(x, name_of(f)) for x in recorder.called]
    found = [(guard.value, guard.label) for guard in recorder.guards.values()]
    return recorder, {**Reached([*roots, *called, *found]).guards, **recorder.guards}


def _has_form(value: Any, x: Any) -> bool:
    if x.is_number:
        is_number = isinstance(value, (bool, int, float)) and not isinstance(value, np.generic)
        return is_number and np.can_cast(np.result_type(type(value)), x.dtype, "safe")
    return bool(getattr(value, "shape", None) == x.shape and value.dtype == x.dtype)


def _parameters(f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[str]:
    """A name for each leaf of the arguments."""
    try:
        bound = dict(inspect.signature(f).bind(*args, **kwargs).arguments)
        paths = [path.replace(".", "_") for path in trees.paths(bound)]
    except (TypeError, ValueError):
        paths = []
    count = len(trees.leaves((args, kwargs)))
    return paths if len(paths) == count else [f"x{i + 1}" for i in range(count)]


def _names(f: Any, depth: int = 3) -> dict[int, str]:
    """The names that the function, and the functions that it calls, have for outside tensors."""
    function = inspect.unwrap(f)
    function = getattr(function, "__func__", function)
    if not inspect.isfunction(function) or not depth:
        return {}
    outside = inspect.getclosurevars(function)
    names: dict[int, str] = {}
    for name, value in {**outside.globals, **outside.nonlocals}.items():
        names |= {id(value): name} if isinstance(value, Tensor) else _names(value, depth - 1)
    return names
