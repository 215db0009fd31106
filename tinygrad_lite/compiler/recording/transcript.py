"""The transcript: what a run computes, as a program of constants and calls in order."""

import operator
import sys
import warnings
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import lru_cache, partial
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from itertools import chain
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np

from tinygrad_lite import optim
from tinygrad_lite.compiler.entry import errors_handling
from tinygrad_lite.compiler.program import (
    BACKWARD,
    DTYPES,
    FORWARD,
    UPDATE,
    Instruction,
    Program,
    Variable,
    axes_in_memory,
    is_python_number,
    item,
    mapped,
)
from tinygrad_lite.compiler.recording.computed_slices import by_entries, is_computed, length_between
from tinygrad_lite.compiler.recording.guards import Snapshot
from tinygrad_lite.compiler.recording.naming import Namer
from tinygrad_lite.compiler.recording.recorded import Recorded, at_line
from tinygrad_lite.compiler.recording.same import DifferenceError, another, may_change, memory_of, same
from tinygrad_lite.compiler.recording.whole_numbers import too_large
from tinygrad_lite.engine import backward
from tinygrad_lite.engine.op import Array, Op
from tinygrad_lite.engine.tensor import Tensor, positive
from tinygrad_lite.errors import GraphError, InputError, UsageError
from tinygrad_lite.foundation.foreign import numbers_of
from tinygrad_lite.ops.declarations import check_entries
from tinygrad_lite.ops.requirements import refuse_where
from tinygrad_lite.readers.recording import Source, calling_line, is_users
from tinygrad_lite.transforms.dual import innermost

_FORMULAS = frozenset({optim.adaptive.__file__, optim.descent.__file__})
_SCHEDULES = map(str, Path(optim.lr_scheduler.__file__).parent.glob("*.py"))
_UPDATING = frozenset({*_FORMULAS, optim.optimizer.__file__, *_SCHEDULES})
_ERRORS = ("divide", "over", "under", "invalid")
_PASS = backward.propagate.__code__
_FORMULA, _UPDATE, _USERS, _ELSEWHERE = "formula", "update", "user's", "elsewhere"
_kinds: dict[str, str] = {}
_source = lru_cache(1000)(Source)  # a line of a loop calls an operation in each turn
_OF_INDICES = "index", "indices"
_IS_RESUMED = CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR
MOST = 1000
"""The most files of which we remember whose code they have."""
kept_whole: ContextVar[Collection[Op]] = ContextVar("kept_whole", default=())
"""The operations that are recorded as a whole, although their forwards are composed of others."""


def _handling_by_kind() -> dict[str, str]:
    """What NumPy does at this moment with each kind of floating-point error."""
    return dict(np.geterr())  # type: ignore[arg-type]


def _first_filter() -> Any:
    """The filter of warnings that was set last."""
    return warnings.filters[0] if warnings.filters else None


def _told_of_warnings(entry: Any) -> str | None:
    """What a filter does with NumPy's warnings about floating-point errors; None if it is for other warnings."""
    action, _, category, _, _ = entry
    return str(action) if issubclass(RuntimeWarning, category) else None


def _listens(to: str) -> UsageError:
    return UsageError(
        f"{to} in a compiled function, whose program does not look for floating-point errors: write it around the call "
        "of the compiled function, or ask before, as by np.where"
    )


class Transcript:
    """The program of one run, written call by call.

    Attributes:
        program: the program.
        namer: what a person would call its values.
        is_over: whether the run is over, after which nothing can be recorded.
        refusal: what it said the last time that Python needed a value.
        unheard: the same, if that was for code that is neither NumPy's nor ours, and may have caught the error.
        written: the arrays that the function wrote into after it had computed with them.
        frames: the functions that were running at the latest call, as far as they say where it belongs.

    Args:
        expected: the program of an earlier recording, with which this one is compared. As long as a call is the next
            of that program, this one computes nothing: it takes the call, and zeros of the form of its result.
        outermost: the code that starts the run, above which no line belongs to it.
    """

    def __init__(self, expected: Program | None, outermost: CodeType) -> None:
        self.program = Program()
        self.namer = Namer()
        self.is_over = False
        self.refusal: str | None = None
        self.unheard: str | None = None
        self.written: list[Array] = []
        self.frames: list[tuple[FrameType, str]] = []
        self.refused = ""  # the latest operation that raised an error; if the function goes on, it has caught it
        self._expected = expected
        self._expected_constants = [] if expected is None else [*expected.read_constants()]
        self._matched = 0
        self._outermost = outermost
        self._in_pass: tuple[str, Source | None] | None = None  # the origin of the reverse pass's calls
        self._constants: dict[int, tuple[Recorded, Snapshot | None]] = {}
        self._values: list[weakref.ref[Recorded]] = []
        self._viewed: set[int] = set()  # the memory of which there are views, by id
        self._cuts: list[weakref.ref[Recorded]] = []
        self._ops: dict[Op, Op] = {}
        self._in_common: dict[Variable, tuple[list[Any], tuple[Any, ...]]] = {}
        self._opened: list[Op] = [*kept_whole.get()]
        self._errors = _handling_by_kind()
        self._first_filter = _first_filter()
        self._handling: tuple[Any, Any] = None, None
        self._ignored: frozenset[str] = frozenset()

    def constant(self, array: Array) -> Recorded:
        """Record an array that is the same in each run; after the function has written into it, it is another one."""
        if id(array) in self._constants:
            made, snapshot = self._constants[id(array)]
            if snapshot is None or snapshot.holds():
                return made
            self._keep(made, snapshot)
        if not isinstance(array, (np.ndarray, np.generic)):
            raise UsageError(f"a compiled function works on NumPy arrays, got {type(array).__name__}")
        made = self.recorded(array, self._expected_constant(array))
        self.program.constants[made.variable] = array
        may_be_written = isinstance(array, np.ndarray) and not array.dtype.hasobject and may_change(array)
        self._constants[id(array)] = made, Snapshot(array) if may_be_written else None
        return made

    def keep_constants(self) -> None:
        """Keep the entries that constants had when they were used, where the function has written into them since."""
        for made, snapshot in self._constants.values():
            if snapshot is not None and not snapshot.holds():
                self._keep(made, snapshot)

    def _keep(self, made: Recorded, snapshot: Snapshot) -> None:
        if (entries := snapshot.entries()) is None:
            raise UsageError(
                "the function writes into a very large array after it has computed with it, but its program reads that "
                f"array later{at_line()}\nwrite into a copy of it, or make another array"
            )
        made.value = self.program.constants[made.variable] = entries
        self.written.append(snapshot.array)

    def operand(self, x: Array, op: Op) -> Any:
        """An argument of an operation; an array that is not recorded yet is the same in each run."""
        if type(x) is Recorded:
            return _readable(x)
        if x is None or is_python_number(x):
            return x
        array = numbers_of(x, op.name)
        return self.constant(array if array.shape else array[()])

    def recorded(self, value: Any, expected: Variable | None = None) -> Recorded:
        """A value whose every use is recorded from now on, as a variable of its own, or as the expected one."""
        if is_number := is_python_number(value):
            variable = Variable((), DTYPES[type(value)], is_number)
        else:
            shape = value.shape
            order = None if len(shape) < 2 or value.flags.c_contiguous else axes_in_memory(value.strides)
            variable = Variable(shape, value.dtype, order=order)
        return self._standing_for(variable if expected is None or expected.form != variable.form else expected, value)

    def _standing_for(self, variable: Variable, value: Any, is_fixed: bool = False) -> Recorded:
        made = Recorded(value, variable, self, is_fixed)
        self._values.append(weakref.ref(made))
        return made

    def another(self, x: Recorded, is_fixed: bool) -> Recorded:
        """Another object for the same value."""
        return self._standing_for(x.variable, x.value, is_fixed)

    def let_view(self, x: Recorded, value: Array) -> None:
        """Let an object have a value that is a view of another one's memory."""
        x.value = value
        self._viewed.add(id(memory_of(value)))

    def note_cut(self, x: Recorded) -> None:
        """Note a slice with recorded bounds, which is a view in NumPy and has memory of its own here."""
        self._cuts.append(weakref.ref(x))

    def number(self, x: Recorded) -> Recorded:
        """The only entry of an array as a Python number."""
        entry: Any = np.reshape(x, ()) if x.shape else x
        return self.add(item, [self.variable_of(entry)], {}, entry.value.item())

    def by_numpy(self, answer: Callable[..., Any], *args: Any, **params: Any) -> Any:
        """The answer of a NumPy function; a number that it makes keeps its dtype, unlike a Python number."""
        done = len(self.program.calls)
        result = answer(*args, **params)
        for x in result if isinstance(result, tuple) else (result,):
            if type(x) is Recorded and x.variable.is_number and _made(x.variable, self.program.calls[done:]):
                x.variable.is_number = False
                x.value = np.asarray(x.value)[()]
        return result

    def write(self, into: Recorded, x: Recorded, operator: str, part: Recorded | None = None) -> None:
        """Let an object that stands for an array have the entries of another one, as after `into += y`.

        Other views of its memory cannot be read any more, except for the part of it that has been written into.

        Raises:
            ValueError, TypeError: if NumPy would refuse to write these entries.
        """
        if x.shape != into.shape:
            raise ValueError(f"non-broadcastable output operand with shape {into.shape} doesn't match {x.shape}")
        if not np.can_cast(x.dtype, into.dtype, "same_kind"):
            raise TypeError(f"cannot cast the output of {operator} from {x.dtype} to {into.dtype}: write x = x + y")
        x = x.astype(into.dtype) if x.dtype != into.dtype else x
        wholes, changed, index = [*_wholes(into)], None, None
        if into.part_of is not None and wholes:
            index = into.part_of[1]
            changed = wholes[0].at[index].set(x)
        cuts = [cut for cut in (reference() for reference in self._cuts) if cut is not None]
        if id(memory_of(into.value)) in self._viewed or cuts:
            known = {id(whole) for whole in (into, part, *wholes)}
            for other in (reference() for reference in self._values):
                if other is not None and id(other) not in known and _may_see(other, into, cuts):
                    other.overwritten = "" if other.is_fixed else f"{operator}{at_line()}"
        into.variable, into.value = x.variable, np.asarray(x.value)
        if changed is not None:
            self.write(wholes[0], changed, operator, into)
        if changed is not None and not any(into is cut for cut in cuts):
            into.value = wholes[0].value[mapped(_value, {"index": index})["index"]]
            self._viewed.add(id(memory_of(into.value)))

    def _expected_constant(self, array: Array) -> Variable | None:
        """The next constant of the earlier recording that has the same entries.

        If there is none, it is an earlier one: that recording met it in what it then recorded as a whole.
        """
        after, before = range(self._matched, len(self._expected_constants)), range(self._matched)
        for i in chain(after, before):
            variable, other = self._expected_constants[i]
            if same(other, array):
                self._matched = max(self._matched, i + 1)
                return variable
        return None

    def _next(self, expected: Sequence[Any], done: int) -> Any:
        """The next item of an earlier recording, after those that are done; None if there are no more."""
        return expected[done] if done < len(expected) else None

    def variable_of(self, array: Any, otherwise: Any = None) -> Any:
        """The variable that stands for an array."""
        if type(array) is Recorded:
            return _readable(array).variable
        return self.constant(array).variable if isinstance(array, (np.ndarray, np.generic)) else otherwise

    def truth(self, variable: Variable) -> bool | None:
        """Whether a variable is not zero, in each run; None if that is not known."""
        return None

    def requires(self, variable: Variable) -> bool | None:
        """Whether a variable is not zero, without which the program does not run; None if that is not known."""
        return None

    def settled(self, variable: Variable) -> int | None:
        """A whole number that is the same whenever this program runs; None if that is not known."""
        return None

    def notes_use(self, arrays: Sequence[Array]) -> bool:
        """Note that those of these arrays which come from outside must be recorded, too; whether there are any."""
        return False

    def notes_write(self, array: Array) -> bool:
        """Note that the function writes recorded entries into an array; whether that comes from outside."""
        return False

    def call(self, op: Op, inputs: Sequence[Array], params: Mapping[str, Any]) -> Any:
        """Record an operation and return its result; if its forward is composed of operations, record these instead."""
        if self.is_over:
            raise UsageError(
                f"this value comes from the recording of a compiled function, which is over{at_line()}: return a value "
                "from the function to use it outside"
            )
        if params:
            if is_computed(params.get("index")) or any(map(is_computed, params.get("indices", ()))):
                params = self._without_computed_slices(params, params.get("shape") or inputs[0].shape)
            for name, value in params.items():
                if name not in _OF_INDICES:
                    _refuse_numbers(value)
        if op not in self._opened and op.is_composite and not self._was_whole(op.name):
            done, matched = len(self.program.calls), self._matched
            refused, unheard = self.refused, self.unheard
            self._opened.append(op)
            try:
                shared = (op.shared(*inputs, **params),) if op.shared else ()
                made = op.forward(*inputs, *shared, **params)
                calls_itself = any(call.op is op for call in self.program.calls[done:])  # around NumPy's own function
                if type(made) is Recorded and not calls_itself:
                    check_entries(op, made, inputs)
                    self.namer.operation(made.variable, op)
                    if shared:
                        self._in_common[made.variable] = [*map(_identity, inputs)], shared
                    return made
            except Exception:  # noqa: BLE001, RUF100  # it reads the values, so it is called as a whole
                self.refused, self.unheard = refused, unheard
            finally:
                self._opened.pop()
            del self.program.calls[done:]
            self._matched = matched
        return self._called(op, inputs, params)

    def _without_computed_slices(self, params: Mapping[str, Any], shape: Sequence[int]) -> dict[str, Any]:
        """The parameters of an operation, with entries in place of slices with recorded bounds."""

        def entries_at(index: Any) -> Any:
            return by_entries(index, shape, self._entries_of) if is_computed(index) else index

        changed = {"index": entries_at(params["index"])} if "index" in params else {}
        if "indices" in params:
            changed["indices"] = tuple(map(entries_at, params["indices"]))
        return {**params, **changed}

    def _entries_of(self, cut: slice, length: int) -> Any:
        """The numbers of the entries in a slice of an axis; or a slice, if a program runs for these bounds alone."""
        start, stop = (innermost(x) for x in (0 if cut.start is None else cut.start, cut.stop))
        for x in (start, stop):
            if type(x) is Recorded:
                operator.index(x.value)  # which raises NumPy's error for one that is not a whole number
        bounds = self.variable_of(start, start), self.variable_of(stop, stop)
        count = None if stop is None else length_between(*bounds, self.program)
        if count is None or (cut.step is not None and cut.step != 1):
            raise UsageError(
                f"the length of a slice depends on what a compiled function computes{at_line()}\nand may be another in "
                "the next run: write x[start : start + length] with a length that stays the same, or choose entries "
                "with np.where"
            )
        if type(start) is not Recorded:  # the bounds are the same number in each run
            return slice(start, start + count)
        is_inside = _is_inside(start, stop, count, length)
        start, count = _in_64_bits(start), max(count, 0)
        if (truth := self.truth(is_inside.variable)) is None:  # the function itself runs if this is refused
            message = f"a slice of {count} entries of {length} begins at {{}}"
            try:
                start = refuse_where(np.logical_not(is_inside), start, message=message)
            except InputError as error:
                raise UsageError(f"{error}{at_line()}\nso call the compiled function first with one inside") from None
        elif not truth:
            return slice(*[self.settled(x) if isinstance(x, Variable) else x for x in bounds])
        return start + np.arange(count)

    def _called(self, op: Op, inputs: Sequence[Array], params: Mapping[str, Any]) -> Recorded:
        operands = [x if type(x) is Recorded and not x.overwritten else self.operand(x, op) for x in inputs]
        if self._expected is not None:
            return self._as_expected(op, operands, params)
        arrays = [x.value if type(x) is Recorded else x for x in operands]
        try:
            value = op.forward(*arrays, **mapped(_value, params)) if params else op.forward(*arrays)
        except Exception as error:
            if isinstance(error, OverflowError) and all(map(_is_number, operands)):
                raise too_large(f"the result of {op}", calling_line()) from None
            self.refused = f"{op}{at_line()}"
            raise
        check_entries(op, value, arrays)
        if not isinstance(value, (np.ndarray, np.generic)):
            raise UsageError(
                f"{op} answers with {type(value).__name__}{at_line()}\n"
                "but a compiled function cannot use that answer: the next run will have another one"
            )
        if (params or not op.vjps) and _depends_on_values(op, operands, params, value):
            raise UsageError(
                f"the shape of the result of {op} depends on values{at_line()}\n"
                "but a compiled function has fixed shapes: choose entries with np.where, or sum over a mask"
            )
        if not value.shape and all(map(_is_number, operands)):
            value = value.item()
        inputs = [x.variable if type(x) is Recorded else x for x in operands]
        return self.add(op, inputs, params, value, arrays)

    def _was_whole(self, name: str) -> bool:
        """Whether the earlier recording has as its next call that of an operation of this name, unopened."""
        call = None if self._expected is None else self._next(self._expected.calls, len(self.program.calls))
        return call is not None and call.op.name == name

    def _as_expected(self, op: Op, operands: Sequence[Any], params: Mapping[str, Any], drawn: Any = None) -> Recorded:
        """Take the next call of the earlier recording, which must be this one.

        A view is really made, since other code sees shared memory; for any other result, zeros serve as well as its
        entries.

        Raises:
            DifferenceError: if it is another call.
        """
        call = self._next(self._expected.calls, len(self.program.calls))  # type: ignore[union-attr]
        inputs = tuple([x.variable if type(x) is Recorded else x for x in operands])
        fixed = mapped(_variable, params) if params else params
        if (reason := another(call, op, inputs, fixed)) is not None:
            raise DifferenceError(reason)
        self.program.calls.append(call)
        if drawn is not None:
            value = drawn
        elif call.view_of is None:
            value = call.result.zeros()
        else:
            value = op.forward(*[_value(x) for x in operands], **mapped(_value, params))
            self._viewed.add(id(memory_of(value)))
        return self._standing_for(call.result, value)

    def add(
        self, op: Op, inputs: Sequence[Any], params: Mapping[str, Any], value: Any, arrays: Sequence[Any] = ()
    ) -> Recorded:
        """Record a call whose result has this value."""
        if self._expected is not None:
            return self._as_expected(op, inputs, params, value)
        made = self.recorded(value)
        section, source = self._origin(made.variable)
        fixed = mapped(_variable, params) if params else {}
        view_of = None
        if isinstance(value, np.ndarray) and (value.base is not None or any(_is_of(value, x) for x in arrays)):
            view_of = next((x for x, array in zip(inputs, arrays) if _shares_memory(array, value)), None)
            self._viewed.add(id(memory_of(value)))
        self.program.calls.append(
            Instruction(op, tuple(inputs), fixed, made.variable, section, source, self._ignoring(), view_of)
        )
        self.namer.operation(made.variable, op)
        return made

    def _ignoring(self) -> frozenset[str]:
        """The floating-point errors that the function ignores at this moment, and its caller does not.

        Raises:
            UsageError: if the function asks NumPy for errors, or listens to its warnings.
        """
        handling = errors_handling(), _first_filter()
        if handling[0] is not self._handling[0] or handling[1] is not self._handling[1]:
            now = _handling_by_kind()
            before = self._errors
            self._handling = handling
            told = _told_of_warnings(handling[1]) if handling[1] is not self._first_filter else None
            for kind, does in now.items():
                if does not in ("ignore", "warn", before[kind]):
                    raise _listens(f'np.errstate({kind}="{does}")')
            if told not in (None, "ignore"):
                raise _listens(f'warnings.simplefilter("{told}")')
            self._ignored = frozenset(x for x in _ERRORS if "ignore" in (now[x], told) and before[x] != "ignore")
        return self._ignored

    def _origin(self, result: Variable) -> tuple[str, Source | None]:
        """The pass that is running, and the user's line; also notes what a person would call the result."""
        frames = self._frames_that_say_more()
        if self._in_pass is not None:
            return self._in_pass
        section, source = FORWARD, None
        for frame, kind in frames:
            if kind is _ELSEWHERE:
                section = BACKWARD
            elif kind is _USERS:
                if source is None:
                    code = frame.f_code
                    source = _source(code.co_filename, frame.f_lineno, code.co_name)
                if section == FORWARD:
                    self.namer.line(result, frame)
            else:
                section = UPDATE
                if kind is _FORMULA:  # an optimiser's formula is read by its own names
                    self.namer.line(result, frame)
        if section == BACKWARD and frames[0][1] is _ELSEWHERE:  # until it has returned, its callers stay where they are
            self._in_pass = section, source
        return section, source

    def _frames_that_say_more(self) -> list[tuple[FrameType, str]]:
        """The running functions of users and of optimisers, and the reverse pass, from the innermost on, with kinds.

        As long as the innermost is the same, so are the others; but a generator may be asked by another each time.
        """
        known, frame, outermost = self.frames, sys._getframe(2), self._outermost
        innermost = known[0][0] if known and not known[0][0].f_code.co_flags & _IS_RESUMED else None
        frames: list[tuple[FrameType, str]] = []
        while (code := frame.f_code) is not outermost:
            if frame is innermost and not frames:
                return known
            kind = _kinds.get(code.co_filename) or _kind(code.co_filename)
            if kind is not _ELSEWHERE or code is _PASS:
                frames.append((frame, kind))
            frame = frame.f_back  # type: ignore[assignment]
        self.frames, self._in_pass = frames, None
        return frames

    def with_followed_rules(self, op: Any) -> Any:
        """The operation behind a tensor, with rules that are called as a whole if they read values."""
        if op is None or op is positive or op.arity is None:
            return op
        if op not in self._ops:
            self._ops[op] = followed = object.__new__(type(op))
            vars(followed).update(vars(op))
            followed.vjps = [vjp and self._rule(op, i, vjp) for i, vjp in enumerate(op.vjps)]
            if op.adjoint:
                vars(followed)["in_common"] = partial(self._with_adjoint, op)
        return self._ops[op]

    def _rule(self, op: Op, i: int, vjp: Callable[..., Array]) -> Callable[..., Array]:
        name = f"{op.name}_gradient_{i + 1}"

        def rule(g: Array, *others: Array, **params: Any) -> Array:
            done, matched, unheard = len(self.program.calls), self._matched, self.unheard
            try:
                if not self._was_whole(name):
                    return vjp(g, *others, *self._shared(op, params, *others), **params)
            except UsageError:
                if any(isinstance(x, Tensor) for x in (g, *others)):
                    raise
                del self.program.calls[done:]
                self._matched, self.unheard = matched, unheard
            whole = Op(vjp, [None], name=name, arity=1 + len(others))
            whole.keywords = op.keywords
            return self._called(whole, [backward.whole(g), *others], params)

        return rule

    def _with_adjoint(
        self, op: Op, arrays: tuple[Array, ...], params: Mapping[str, Any], *before: Array
    ) -> tuple[Array, ...]:
        """The arrays, and behind them what the rules of an operation have in common, which depends on g and y, too."""
        return op.in_common(arrays + self._shared(op, params, before[1], *arrays), params, *before)

    def _shared(self, op: Op, params: Mapping[str, Any], y: Any, *arrays: Any) -> tuple[Any, ...]:
        """What the rules of an operation have in common, computed once, by its forward if that had these arrays."""
        if op.shared is None or type(y) is not Recorded or len(arrays) != op.arity:
            return ()
        these = [*map(_identity, arrays)]
        before, shared = self._in_common.get(y.variable, ((), ()))
        if not (shared and all(map(operator.is_, before, these))):
            shared = (op.shared(*arrays, **params),)
            self._in_common[y.variable] = these, shared
        return shared


def _kind(file: str) -> str:
    """Whose code a file has."""
    if file in _UPDATING:
        kind = _FORMULA if file in _FORMULAS else _UPDATE
    else:
        kind = _USERS if is_users(file) else _ELSEWHERE
    if len(_kinds) >= MOST:
        _kinds.clear()
    _kinds[file] = kind
    return kind


def _is_of(array: Array, x: Any) -> bool:
    """Whether a value is this array, or a view of it."""
    return x is array or getattr(x, "base", None) is array


def _is_number(x: Any) -> bool:
    return x.variable.is_number if type(x) is Recorded else is_python_number(x)


def _shares_memory(x: Any, value: Any) -> bool:
    return isinstance(x, np.ndarray) and isinstance(value, np.ndarray) and np.may_share_memory(x, value)


def _may_see(x: Recorded, written: Recorded, cuts: Sequence[Recorded]) -> bool:
    """Whether a value may have other entries after another one has been written into, since their memory is the same.

    Args:
        cuts: the slices with recorded bounds, which share the memory of their wholes in NumPy alone.
    """
    memory = [written.value]
    for cut in cuts:
        whole = cut.part_of[0]  # type: ignore[index]
        if _shares_memory(cut.value, written.value) and not cut.is_fixed:
            memory.append(whole.value)
        elif _shares_memory(whole.value, written.value):
            memory.append(cut.value)
    return any(_shares_memory(x.value, value) for value in memory)


def _is_inside(start: Recorded, stop: Any, count: int, length: int) -> Any:
    """Whether a slice of an axis of this length is `count` entries from `start` on, or none if `count` is negative."""
    first = _in_64_bits(start)
    is_inside = np.logical_and(first >= max(-count, 0), first <= length - max(count, 0))
    may_wrap_around = any(x.dtype.itemsize < 4 for x in (start, stop) if type(x) is Recorded)
    if may_wrap_around:
        is_inside = np.logical_and(is_inside, _in_64_bits(stop) - first == count)
    return is_inside


def _in_64_bits(x: Any) -> Any:
    return x.astype(np.int64) if type(x) is Recorded and not x.variable.is_number else x


def in_numpys_memory(x: Any) -> Any:
    """The array of a value; for a slice with recorded bounds, its whole, whose memory it shares in NumPy alone."""
    if type(x) is not Recorded or x.part_of is None:
        return x.value if type(x) is Recorded else x
    *_, whole = x, *_wholes(x)
    return x.value if _shares_memory(x.value, whole.value) else whole.value[...]


def _wholes(x: Recorded) -> Iterator[Recorded]:
    """The arrays of which a value is a view at an index, or a view of such a view."""
    while x.part_of is not None and not x.part_of[0].is_fixed:
        x = x.part_of[0]
        yield x


def _readable(x: Recorded) -> Recorded:
    """A value that is read; refuses one whose memory has other entries by now."""
    if x.overwritten:
        raise UsageError(
            f"the function reads an array{at_line()}\ninto whose memory it has written before by way of another view, "
            f"in place by {x.overwritten}: write y = y + ... in place of y += ..."
        )
    return x


def _identity(x: Any) -> Any:
    return x.variable if type(x) is Recorded else x


def _variable(x: Any) -> Any:
    return _readable(x).variable if type(x) is Recorded else x


def _refuse_numbers(param: Any) -> None:
    """Refuse a number that changes as a parameter, such as an axis, by which results may have another shape."""
    if type(param) is not tuple and type(param) is not Recorded:
        return

    def refused(x: Any) -> Any:
        return x._needed() if type(x) is Recorded and x.variable.is_number else x

    mapped(refused, {"": param})


def _made(x: Variable, calls: Iterable[Instruction]) -> bool:
    return any(call.result is x for call in calls)


def _value(x: Any) -> Any:
    return x.value if type(x) is Recorded else x


def _depends_on_values(op: Op, operands: Sequence[Any], params: Mapping[str, Any], value: Array) -> bool:
    """Whether the shape of a result depends on values."""
    for name in params.keys() & {"index", "indices"}:
        chosen: list[Any] = []
        mapped(chosen.append, {name: params[name]})
        if any(type(x) is Recorded and x.dtype == bool and x.shape for x in chosen):
            return True
    if op.vjps or isinstance(op.forward, np.ufunc) or op is refuse_where:
        return False
    for fill in (np.zeros_like, np.ones_like):
        other = op(*[fill(x.value) if type(x) is Recorded else x for x in operands], **mapped(_value, params))
        if np.shape(other) != np.shape(value):
            return True
    return False


def has_all(x: Tensor, ends: Collection[Tensor]) -> bool:
    """Whether a tensor still has all of its history, or the function itself has freed some by `backward`."""
    try:
        backward.history([x], ends)
    except GraphError:
        return False
    return True
