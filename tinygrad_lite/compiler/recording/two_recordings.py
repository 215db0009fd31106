"""Two recordings of a call, which must agree, since a program cannot repeat what differs from run to run."""

import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from threading import active_count
from typing import Any, NoReturn, ParamSpec, TypeVar

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.compiler.places import Argument, Entry, Gradient, Leaves
from tinygrad_lite.compiler.program import Program
from tinygrad_lite.compiler.recording.appearances import Appearance, GlobalNames, appearances
from tinygrad_lite.compiler.recording.call_to_record import CallToRecord, tensor_names
from tinygrad_lite.compiler.recording.carrying import CarriedError
from tinygrad_lite.compiler.recording.guards import Entries, Field, Guard, Held, Item, Key, Whole, agreeing, changed
from tinygrad_lite.compiler.recording.iterators import IN_MEMORY, TakenError, refuse_taking
from tinygrad_lite.compiler.recording.making import Makings
from tinygrad_lite.compiler.recording.randomness import AHEAD, DrawError, undrawn
from tinygrad_lite.compiler.recording.reached import Reached
from tinygrad_lite.compiler.recording.recording_run import Recorder
from tinygrad_lite.compiler.recording.same import (
    DifferenceError,
    difference,
    is_live,
    locked,
    may_change,
    memory_of,
    not_followed,
    same,
    with_live_arrays,
)
from tinygrad_lite.compiler.recording.watching import hooked, in_turn
from tinygrad_lite.compiler.signature import SCALARS
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import TinygradError, UsageError
from tinygrad_lite.foundation.entrances import advise

_P = ParamSpec("_P")
_T = TypeVar("_T")
_K = TypeVar("_K")
Recording = tuple[Recorder, dict[Key, Guard]]
_READ_ONLY = ValueError, TypeError, BufferError
"""What NumPy and other libraries raise for an array that they cannot write into."""

ATTEMPTS = 20
"""How often a recording is made if somebody draws from a global generator meanwhile, which may be another thread."""

FILLINGS = 5
"""How many recordings in a row may put something into a cache, as those for arrays of several sizes do."""


def _or_with_made_arrays(record: Callable[_P, _T]) -> Callable[_P, _T]:
    """Record again after a refusal, with something in place of the arrays that the function makes of nothing."""

    @wraps(record)
    def again(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            with Makings(are_recorded=False) as made:
                return record(*args, **kwargs)
        except UsageError as error:
            if not made.are_met:
                raise
            refusal = error
        try:
            with Makings(are_recorded=True):
                return record(*args, **kwargs)
        except Exception:  # noqa: BLE001, RUF100  # perhaps of what stands there, of which the user knows nothing
            raise refusal from None

    return again


@in_turn()
@hooked()
@_or_with_made_arrays
def recorded_twice(call: CallToRecord) -> tuple[Recorder, list[Guard]]:
    """The first of two recordings, and what both of them read; after an error, all names have their former values.

    Raises:
        UsageError: if the recordings differ, or the function changes what it reads.
    """
    if iscoroutinefunction(call.f) or isgeneratorfunction(call.f) or isasyncgenfunction(call.f):
        raise UsageError(
            f"{call.name} is a generator or a coroutine, which computes after the call: compile the functions that it "
            "calls"
        )
    return _Attempts(call).made()


class _Attempts:
    """Attempts to record a call twice, until it is known what the function carries, and which numbers are inputs.

    Both recordings are made again once it is known which values the function carries from call to call, and once more
    if it might also carry what other programs of the function carry, the `known` values. If that fails, or a recording
    with numbers among the arguments as inputs, they are made again without whole numbers, which Python often needs, and
    then without any.
    """

    def __init__(self, call: CallToRecord) -> None:
        self._call = call
        self._known, self._numbers = call.known, call.numbers
        self._carried: dict[Key, Guard] = {}
        self._met: dict[Key, Guard] = {}  # what the recordings so far have reached
        self._refusal: UsageError | None = None  # the reason to carry values, which is told if that fails
        self._without_known: tuple[Recorder, list[Guard]] | None = None

    def made(self) -> tuple[Recorder, list[Guard]]:
        """The recordings with all that the function may carry; if these fail, with what it carries for certain."""
        while True:
            before = {key: guard.varying for key, guard in self._carried.items()}
            try:
                made = _recorded_twice(self._call, self._carried, self._met, self._numbers)
                if not self._known.keys() - self._carried.keys() or made[0].is_passing:
                    return made
                self._without_known = made
            except CarriedError as error:
                for key, guard in error.names.items():
                    guard.varying |= before.get(key, frozenset())
                    self._carried[key] = guard
                now = {key: guard.varying for key, guard in self._carried.items()}
                assert now != before, "it carries these already"
                self._refusal = self._refusal or error.otherwise
            except TakenError:
                raise
            except Exception as error:
                if not self._leaves_out_inputs():
                    if self._without_known is not None:
                        return self._without_known
                    if self._refusal is None:
                        advise(error)
                        raise
                    raise UsageError(f"{self._refusal}\n{error}") from None
            self._carried = {**{key: guard.renewed() for key, guard in self._known.items()}, **self._carried}

    def _leaves_out_inputs(self) -> bool:
        """Leave out inputs with which no recording succeeds; False if there is nothing left to try."""
        if not self._known and not self._numbers:
            return False
        if self._without_known is None:
            self._numbers = _without_whole_numbers(self._numbers, dict(enumerate(self._call.leaves)))
        fewer = _without_whole_numbers(self._known, {key: guard.value for key, guard in self._known.items()})
        left_out = self._known.keys() - fewer
        self._known = {key: self._known[key] for key in fewer}
        self._carried = {key: guard for key, guard in self._carried.items() if key not in left_out}
        return bool(self._known) or self._without_known is None


def _recorded_twice(
    call: CallToRecord, carried: dict[Key, Guard], met: dict[Key, Guard], numbers: frozenset[int]
) -> tuple[Recorder, list[Guard]]:
    """Two recordings; to `met` is added what they have reached, which they restore after an error."""
    recordings = _TwoRecordings(call, partial(_recorded_once, call, tensor_names(call.f), carried, numbers), met)
    try:
        call.say("recording")
        first, read = recordings.make_first()
        _refuse_inputs_filled_by_numpy(first, recordings.outside, carried)
        if first.parts and not call.may_pass:
            raise UsageError(
                f"{call.name} finds no {first.parts[0]}, and makes it, in more than one call, which its program would "
                "not do: keep it from call to call, or make it outside"
            )
        is_alone = call.may_pass and is_passing(first, call.leaves)
        if is_alone or first.adds_entries or recordings.has_changed_others():
            first.is_passing = True
            recordings.restore()  # the function itself runs now, and goes on from what was there before
            return first, [*read.values()]
        call.say("recording again, to compare")
        recordings.make_second()
        return first, recordings.requirements()
    except BaseException:
        recordings.restore()
        raise
    finally:
        met.update(recordings.reached.guards)


class _TwoRecordings:
    """The two recordings of a call, made one after the other.

    Attributes:
        reached: what the function reaches before the first recording.
        outside: the arrays among that, with the entries that they have by then.

    Args:
        once: makes a recording, given what the function reaches.
        met: what earlier recordings of the call have reached.
    """

    def __init__(self, call: CallToRecord, once: Callable[..., Recording], met: Mapping[Key, Guard]) -> None:
        self._name, self._once, self._changing = call.name, once, call.changing
        self._roots = call.roots()
        self.reached = Reached(self._roots, with_held=True)
        self.reached.guards = {**met, **self.reached.guards}
        self.outside = [Entries(array, label) for array, label in {**self.reached.held, **self.reached.arrays}.values()]
        known = {id(x.owner) for x in self.outside if not x.owner.dtype.hasobject}
        objects = [(x.owner, x.label) for x in self.outside if x.owner.dtype.hasobject]
        self._looks = appearances([*self.reached.others.values(), *objects], self.reached.objects, known)
        if active_count() == 1:  # else another thread may set names of its own
            self._looks += [GlobalNames(space, self._followed_in(space)) for space in self.reached.spaces.values()]

    @property
    def _others(self) -> list[Appearance]:
        """What else can be seen of outside, without what a thread may change that the function has started."""
        return [look for look in self._looks if not look.is_shared or active_count() == 1]

    def _followed_in(self, space: dict[str, Any]) -> set[str]:
        """The global names that the function reads."""
        return {guard.name for guard in self.reached.guards.values() if type(guard) is Item and guard.owner is space}

    def restore(self) -> None:
        """Put everything back as it was before the first recording.

        Raises:
            TakenError: if something cannot be put back.
        """
        _restore(self.reached, self.outside)
        for look in self._others:
            look.restore()
        for look in self._others:
            if not look.holds() and not look.has_only_gained():
                refuse_taking(look.owner, look.label)

    def has_changed_others(self) -> bool:
        """Whether the first recording has changed what no program follows.

        Raises:
            UsageError: if that has not stayed as it was in any other recording either.
        """
        names = {**self.reached.guards, **self._first.guards}.values()
        followed = {id(guard.owner) for guard in names if isinstance(guard, (Item, Whole))}
        classes = [guard for guard in names if isinstance(guard, (Field, Held)) and isinstance(guard.owner, type)]
        followed |= {id(guard.owner) for guard in classes if not guard.holds()}
        looks = [look for look in self._others if isinstance(look, GlobalNames) or id(look.owner) not in followed]
        changes = [look for look in looks if not look.holds()]
        for look in changes:
            if isinstance(look.owner, io.IOBase) and not isinstance(look.owner, IN_MEMORY):
                refuse_taking(look.owner, look.label)
            known = self._changing.setdefault(id(look.owner), look)
            known.changes += 1
            if known.changes > (FILLINGS if look.fits() else 1) and not known.has_settled:
                raise UsageError(
                    f"{self._name} changes {look.label} in each run, which its program would not do: return what it "
                    "is to hold, and change it outside"
                )
        return bool(changes)

    def make_first(self) -> Recording:
        """Make the first recording, while nobody can write into arrays from outside, unless the function does."""
        record = partial(_undisturbed, self._once, self.reached, self._roots)
        without_writes = _without_writes(self.outside, record, self.restore)
        self._writes = without_writes is None
        self._first, self._before = without_writes or record()
        self._roots += [(x, self._name) for x in self._first.called]
        self._entries = [Entries(array, label) for array, label in self._first.arrays.values() if may_change(array)]
        return self._first, self._before

    def make_second(self) -> None:
        """Make the second recording.

        Raises:
            CarriedError: if the function changes arrays that it might carry from call to call.
            UsageError: if it changes other arrays that it reads, or the recordings differ.
        """
        differs = self._difference()
        written = {id(memory_of(array)) for array in self._first.written} if differs else ()
        for array in [x for x in self._entries if not x.holds() or id(memory_of(x.owner)) in written]:
            try:
                _refuse_changes(self._name, [array])
            except UsageError as error:
                if names := self._first.names_of(array.owner):
                    raise CarriedError(names, error) from None
                raise
        if differs:
            _refuse_difference(self._name, differs, self._first)

    def _difference(self) -> str | None:
        """Make the second recording, and say how it differs from the first; None if it does not."""
        once_more = Reached(self._roots, with_held=True)
        # also of what the first recording came across
        entries_met = {key: guard.renewed() for key, guard in self.reached.guards.items() if type(guard) is Item}
        once_more.guards = {**entries_met, **once_more.guards}
        again = partial(self._once, expected=self._first.program)
        try:
            self._second, self._after = _undisturbed(again, once_more, self._roots)
        except DifferenceError as error:
            return str(error)
        return difference(self._first.program, self._second.program) or _other_setting(self._first, self._second)

    def requirements(self) -> list[Guard]:
        """What the program relies on, once it reads anew in each run the arrays that may have other entries then."""
        programs = self._first.program, self._second.program
        program, entries = with_live_arrays(*programs), self._entries
        if filled := self._filled(program):
            program = with_live_arrays(*programs, [x.owner for x in filled])
            guarded = {id(x.owner) for x in entries}
            entries += [Entries(x.owner, x.label) for x in filled if id(x.owner) not in guarded]
        if not self._writes:  # else, NumPy alone may write what depends on an array that the program follows
            entries = not_followed(program, entries)
        _refuse_changes(self._name, changed(self._before, self._after.values()))
        self._first.program = program
        settled = [look for look in self._others if id(look.owner) in self._changing]
        for look in settled:
            self._changing[id(look.owner)].has_settled = True
        return [*agreeing(self._before, self._after).values(), *entries, *settled]

    def _filled(self, program: Program) -> list[Entries]:
        """The arrays from outside that the function fills by itself, if only with the entries that they have already.

        Whether it does the latter is found out by one more recording for each, while nobody can write into that array.
        """
        live = [x for x in self.outside if is_live(program, x.owner)]
        filled = [x for x in live if not x.holds()]
        if self._writes:
            now = Reached(self._roots, with_held=True)
            record = partial(_undisturbed, self._once, now, self._roots)
            restore = partial(_restore, now, [Entries(x.owner, x.label) for x in self.outside])
            filled += [x for x in live if x.holds() and _without_writes([x], record, restore) is None]
        return filled


def _refuse_inputs_filled_by_numpy(recorder: Recorder, outside: Sequence[Entries], carried: dict[Key, Guard]) -> None:
    """Raise `CarriedError` if NumPy alone has filled an array that a carried value has, and other names have, too."""
    inputs = {id(memory_of(x)) for x in _leaves_of(carried)}
    filled = [x.owner for x in outside if id(memory_of(x.owner)) in inputs and not x.holds()]
    if other_names := [name for array in filled for name in recorder.names_of(array)]:
        raise CarriedError(other_names)


def _without_writes(
    arrays: Sequence[Entries], record: Callable[[], Recording], restore: Callable[[], None]
) -> Recording | None:
    """A recording while nobody can write into these arrays from outside; None if the function tries to."""
    try:
        with locked([x.owner for x in arrays]):
            return record()
    except _READ_ONLY as error:
        if not _is_of_lock(error):
            raise
    restore()
    return None


def _is_of_lock(error: BaseException | None) -> bool:
    """Whether an error, or the one that it restates, is NumPy's or another library's about an array without writes."""
    while isinstance(error, TinygradError):
        error = error.__cause__ or error.__context__
    return bool(re.search("read-?only", str(error)))


def _restore(reached: Reached, outside: Sequence[Entries]) -> None:
    """Put back what names, containers and arrays outside held before a recording."""
    for guard in (*reached.guards.values(), *outside):
        guard.restore()


def _other_setting(first: Recorder, second: Recorder) -> str | None:
    """Which setting has another value after another recording, in words; None if none has."""
    for key, (_, value) in first.settings.items():
        if key not in second.settings or not same(value, second.settings[key][1]):
            return f"it sets {key[1]} to something else"
    return None


def is_passing(recorder: Recorder, leaves: Leaves) -> bool:
    """Whether the run itself changes what the program relies on, so that the next run needs another program.

    An optimiser's first step makes its state, a first gradient is not yet added to another, and what is put under a
    new key of a dict, or into a deque with a `maxlen`, is there in the next run.
    """
    updates = recorder.program.updates.items()
    return adds_state(recorder, leaves) or any(
        isinstance(place, Gradient) and recorder.gradients.get(place, value is not None) != (value is not None)
        for place, value in updates
    )


def adds_state(recorder: Recorder, leaves: Leaves) -> bool:
    """Whether the run makes what stays, such as the state of an optimiser, so that it hardly runs again.

    A gradient comes and goes in each round of a training that adds up those of several batches.
    """
    made = (isinstance(place, Entry) and place.read(leaves) is None for place in recorder.program.updates)
    return recorder.adds_entries or bool(recorder.parts) or any(made)


def _undisturbed(once: Callable[..., Recording], reached: Reached, roots: Sequence[tuple[Any, str]]) -> Recording:
    """A recording, made again if another thread has drawn from a global generator meanwhile."""
    errors: list[DrawError] = []
    while len(errors) < ATTEMPTS:
        try:
            return once(reached, roots)
        except DrawError as error:
            errors.append(error)
            if active_count() == 1:
                break
    errors[0].restore()
    raise errors[-1]


def _recorded_once(
    call: CallToRecord,
    names: Mapping[int, str],
    carried: dict[Key, Guard],
    numbers: frozenset[int],
    reached: Reached,
    roots: Sequence[tuple[Any, str]],
    expected: Program | None = None,
) -> Recording:
    """The recording of a call, and what it read.

    Args:
        names: those of the tensors outside.
        roots: the functions and objects to look through for names.
    """
    recorder = Recorder(names, reached, expected, call.may_run_again, carried)
    recorder.numbers = numbers
    recorder.may_branch = call.may_branch
    recorder.shows_booleans = reached.compares_identities
    recorder.catches_errors = reached.catches_errors
    places = iter([Argument(i, name) for i, name in enumerate(call.parameters)])

    def passed_in(x: Any) -> Any:
        place = next(places)
        return recorder.passed_in(place, x, place.index in numbers)

    try:
        with undrawn(reached.hidden, AHEAD[expected is not None]):
            arguments, keywords = trees.map_leaves(passed_in, (call.args, dict(call.kwargs)))
            recorder.run(call.f, arguments, keywords)
    except BaseException:
        for guard in recorder.guards.values():  # what it changed unnoticed, as by object.__setattr__
            guard.restore()
        raise
    del arguments, keywords
    recorder.let_go()
    return recorder, _read_by(recorder, [*roots, *((x, call.name) for x in recorder.called)], carried)


def _read_by(recorder: Recorder, roots: list[tuple[Any, str]], carried: Mapping[Key, Guard]) -> dict[Key, Guard]:
    """What a recording read from outside, without what the function carries; the recorder gets the arrays in that."""
    named = Reached(roots)
    behind = Reached([(guard.value, guard.label) for guard in recorder.guards.values()], named.names)
    inputs = {*map(id, _leaves_of(carried))}
    arrays = {**behind.arrays, **named.arrays}
    recorder.arrays = {i: x for i, x in arrays.items() if i not in inputs or recorder.names_of(x[0])}
    held = {key: guard for key, guard in behind.guards.items() if key not in recorder.optimizers.followed}
    guards = {**held, **named.guards, **recorder.guards}
    fixed = {(kind, *place) for _, *place in (*carried, *recorder.overwritten) for kind in (Item, Field, Held)}
    return {key: guard for key, guard in guards.items() if key not in fixed}


def _leaves_of(carried: Mapping[Key, Guard]) -> list[Any]:
    """What a function carries from call to call, leaf by leaf."""
    return [x for guard in carried.values() for x in trees.leaves(guard.value)]


def _refuse_difference(name: str, differs: str, recorder: Recorder) -> NoReturn:
    if recorder.refused:
        raise UsageError(
            f"{name} catches an error of {recorder.refused}\n"
            "and cannot be compiled from such a call, since a program does the same each time: the next call that "
            "raises no error is compiled. Or ask before, by shapes or np.where"
        )
    raise UsageError(
        f"{name} does not do the same when it is run again ({differs}), so it cannot be compiled: draw random "
        "numbers from a numpy.random.Generator that is an argument, a field of a module or a variable of the "
        "function's; pass what is another in each run, such as next(batches), as an argument; and keep what "
        "changes from run to run in tensors"
    )


def _refuse_changes(name: str, guards: list[Guard]) -> None:
    for guard in guards:
        if isinstance(guard, (Item, Field, Held, Entries)) and isinstance(guard.value, (*SCALARS, Tensor, np.ndarray)):
            inside = "; or, if each run fills it anew, make the array inside" if isinstance(guard, Entries) else ""
            raise UsageError(
                f"{name} reads and changes {guard.label}, but its program would do neither in the next runs: keep it "
                f"in a tensor t, and write t.data = ...; or change it outside the compiled function{inside}"
            )


def _without_whole_numbers(places: Iterable[_K], values: Mapping[_K, Any]) -> frozenset[_K]:
    """The places of other numbers; none if there are no whole numbers among these."""
    others = frozenset(place for place in places if type(values[place]) is not int)
    return others if len(others) < len([*places]) else frozenset()
