"""The transcript: what a run computes, as a program of constants and calls in order."""

import operator
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextvars import ContextVar
from functools import partial
from itertools import chain
from types import CodeType
from typing import Any

import numpy as np

from tinygrad_lite.compiler.program import (
    DTYPES,
    OTHER_WAY,
    Instruction,
    Program,
    Variable,
    axes_in_memory,
    is_python_number,
    item,
    mapped,
)
from tinygrad_lite.compiler.recording.computed_slices import by_entries, is_computed, length_between
from tinygrad_lite.compiler.recording.floating_errors import FloatingErrors
from tinygrad_lite.compiler.recording.guards import Snapshot
from tinygrad_lite.compiler.recording.naming import Namer
from tinygrad_lite.compiler.recording.origins import Origins
from tinygrad_lite.compiler.recording.recorded import Recorded, at_line, shown
from tinygrad_lite.compiler.recording.same import DifferenceError, another, may_change, same
from tinygrad_lite.compiler.recording.shared_memory import SharedMemory, share_memory, value_of
from tinygrad_lite.compiler.recording.whole_numbers import too_large
from tinygrad_lite.engine import backward
from tinygrad_lite.engine.op import Array, Op
from tinygrad_lite.engine.tensor import Tensor, positive
from tinygrad_lite.errors import GraphError, InputError, UsageError
from tinygrad_lite.foundation.foreign import numbers_of
from tinygrad_lite.ops.declarations import check_entries
from tinygrad_lite.ops.requirements import refuse_where
from tinygrad_lite.readers.recording import calling_line
from tinygrad_lite.transforms.dual import innermost

_OF_INDICES = "index", "indices"
_WITH_PYTHONS_TRUTH = np.allclose, np.array_equal, np.array_equiv  # which answer with True or False of Python
MOST_BRANCHES = 100
"""The most branches by values that a program goes through; hardly another call goes the same way through more."""
kept_whole: ContextVar[Collection[Op]] = ContextVar("kept_whole", default=())
"""The operations that are recorded as a whole, although their forwards are composed of others."""


class Transcript(SharedMemory):
    """The program of one run, written call by call.

    Attributes:
        program: the program.
        namer: what a person would call its values.
        is_over: whether the run is over, after which nothing can be recorded.
        refusal: what it said the last time that Python needed a value.
        unheard: what it refused last, with an error that other code may have caught.
        unconverted: the same, if it refused an array, until somebody asks for a number in its place.
        written: the arrays that the function wrote into after it had computed with them.
        origins: where its calls belong.
        may_branch: whether Python may go a way that hangs on a value; the program refuses values with another way.
        branches, way: the lines at which it has done so, and whether each value was true.
        shows_booleans: whether Python's booleans are such in a recording, too: the function may look at their identity.

    Args:
        expected: the program of an earlier recording, with which this one is compared. As long as a call is the next
            of that program, this one computes nothing: it takes the call, and zeros of the form of its result.
        outermost: the code that starts the run, above which no line belongs to it.
    """

    def __init__(self, expected: Program | None, outermost: CodeType) -> None:
        super().__init__()
        self.program = Program()
        self.namer = Namer()
        self.origins = Origins(outermost, self.namer)
        self.is_over = False
        self.refusal: str | None = None
        self.unheard: str | None = None
        self.unconverted: str | None = None
        self.written: list[Array] = []
        self.refused = ""  # the latest operation that raised an error; if the function goes on, it has caught it
        self._expected = expected
        self._expected_constants = [] if expected is None else [*expected.read_constants()]
        self._matched = 0
        self._constants: dict[int, tuple[Recorded, Snapshot | None]] = {}
        self._ops: dict[Op, Op] = {}
        self._in_common: dict[Variable, tuple[list[Any], tuple[Any, ...]]] = {}
        self._floating_errors = FloatingErrors()
        self._opened: list[Op] = [*kept_whole.get()]
        self._rules = 0
        self.may_branch = False
        self.branches: list[str] = []
        self.way: list[bool] = []
        self.shows_booleans = False

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
        self.note_value(made)
        return made

    def another(self, x: Recorded, is_fixed: bool) -> Recorded:
        """Another object for the same value."""
        return self._standing_for(x.variable, x.value, is_fixed)

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

    def branch(self, x: Recorded) -> bool | None:
        """Which way Python goes by a value, as in this call: the program refuses values by which it goes another way.

        None if Python may not go by a value here: in a rule, say, which is then called as a whole.
        """
        is_inside = bool(self._rules or self._opened)
        if not self.may_branch or is_inside or x.size != 1 or len(self.branches) == MOST_BRANCHES:
            return None
        if self._expected is None:
            is_true = bool(x.value)
        else:  # nothing is computed: the earlier recording says where it went
            call = self._next(self._expected.calls, len(self.program.calls))
            is_true = call is not None and call.op.name == np.logical_not.__name__
        goes_elsewhere = np.logical_not(x) if is_true else x if x.dtype == bool else np.not_equal(x, 0)
        line = at_line()
        message = f"{OTHER_WAY}{line}".replace("{", "{{").replace("}", "}}")
        refuse_where(goes_elsewhere, goes_elsewhere, message=message)
        self.branches.append(line)
        self.way.append(is_true)
        return is_true

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
            refused, unheard, unconverted = self.refused, self.unheard, self.unconverted
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
                self.refused, self.unheard, self.unconverted = refused, unheard, unconverted
            finally:
                self._opened.pop()
            del self.program.calls[done:]
            self._matched = matched
        made = self._called(op, inputs, params)
        return shown(made) if op.forward in _WITH_PYTHONS_TRUTH else made

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
            value = op.forward(*arrays, **mapped(value_of, params)) if params else op.forward(*arrays)
        except Exception as error:
            if isinstance(error, OverflowError) and all(map(_is_number, operands)):
                raise too_large(f"the result of {op}", calling_line()) from None
            self.refused = f"{op}{at_line()}"
            raise
        check_entries(op, value, arrays)
        if not isinstance(value, (np.ndarray, np.generic)) and op.forward not in _WITH_PYTHONS_TRUTH:
            raise UsageError(
                f"{op} answers with {type(value).__name__}{at_line()}\n"
                "but a compiled function cannot use that answer: the next run will have another one"
            )
        if (params or not op.vjps) and _depends_on_values(op, operands, params, value):
            raise UsageError(
                f"the shape of the result of {op} depends on values{at_line()}\n"
                "but a compiled function has fixed shapes: choose entries with np.where, or sum over a mask"
            )
        if not np.shape(value) and all(map(_is_number, operands)):
            value = np.asarray(value).item()
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
            value = op.forward(*[value_of(x) for x in operands], **mapped(value_of, params))
            self.note_view(value)
        return self._standing_for(call.result, value)

    def add(
        self, op: Op, inputs: Sequence[Any], params: Mapping[str, Any], value: Any, arrays: Sequence[Any] = ()
    ) -> Recorded:
        """Record a call whose result has this value."""
        if self._expected is not None:
            return self._as_expected(op, inputs, params, value)
        made = self.recorded(value)
        section, source = self.origins.of(made.variable)
        fixed = mapped(_variable, params) if params else {}
        view_of = None
        if isinstance(value, np.ndarray) and (value.base is not None or any(_is_of(value, x) for x in arrays)):
            view_of = next((x for x, array in zip(inputs, arrays) if share_memory(array, value)), None)
            self.note_view(value)
        self.program.calls.append(
            Instruction(
                op, tuple(inputs), fixed, made.variable, section, source, self._floating_errors.ignored(), view_of
            )
        )
        self.namer.operation(made.variable, op)
        return made

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
            done, matched, unheard = len(self.program.calls), self._matched, (self.unheard, self.unconverted)
            self._rules += 1
            try:
                if not self._was_whole(name):
                    return vjp(g, *others, *self._shared(op, params, *others), **params)
            except UsageError:
                if any(isinstance(x, Tensor) for x in (g, *others)):
                    raise
                del self.program.calls[done:]
                self._matched, (self.unheard, self.unconverted) = matched, unheard
            finally:
                self._rules -= 1
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


def _is_of(array: Array, x: Any) -> bool:
    """Whether a value is this array, or a view of it."""
    return x is array or getattr(x, "base", None) is array


def _is_number(x: Any) -> bool:
    return x.variable.is_number if type(x) is Recorded else is_python_number(x)


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
    """Whether one of these calls makes a variable, as a number of NumPy's."""
    return any(call.result is x and call.op.forward not in _WITH_PYTHONS_TRUTH for call in calls)


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
        other = op(*[fill(x.value) if type(x) is Recorded else x for x in operands], **mapped(value_of, params))
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
