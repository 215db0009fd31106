"""`tg.compile`: a function whose first call records it, and whose later calls run the recorded program."""

import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from inspect import getattr_static
from pathlib import Path
from time import perf_counter
from types import MethodType
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.compiler import many_turns
from tinygrad_lite.compiler.changing_numbers import ChangingNumbers
from tinygrad_lite.compiler.compile_report import CompileReport
from tinygrad_lite.compiler.entry import MISS, REFUSED, NoResult
from tinygrad_lite.compiler.recording.appearances import Appearance
from tinygrad_lite.compiler.recording.call_to_record import CallToRecord, named_parameters
from tinygrad_lite.compiler.recording.decisions import Decision
from tinygrad_lite.compiler.recording.iterators import TakenError
from tinygrad_lite.compiler.recording.watching import is_watching
from tinygrad_lite.compiler.refusals import Refusal, Refusals
from tinygrad_lite.compiler.run import Run
from tinygrad_lite.compiler.signature import Signature, can_come_again, signature
from tinygrad_lite.compiler.source.export import module
from tinygrad_lite.compiler.source.jax_export import jax_module
from tinygrad_lite.compiler.source.numpy_source import NumpySource
from tinygrad_lite.compiler.variations import Recordings, Variations
from tinygrad_lite.compiler.waiting import patiently, without_collections
from tinygrad_lite.compiler.ways import Entries, Search, Ways, ended_by
from tinygrad_lite.engine.op import Traced
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.foundation.entrances import advised
from tinygrad_lite.nn.init import Rng
from tinygrad_lite.readers.recording import is_observed
from tinygrad_lite.transforms.runs import name_of

MOST = 200
"""The most programs that are kept for one signature, and the most entries for one form of call."""


def _no_entry(*_: Any) -> Any:
    return MISS


_NOTHING: tuple[int, Callable[..., Any], Run | None] = 0, _no_entry, None
_NO_ENTRIES = Entries()

_OF_WAYS = (
    "it branches on what it computes{}\nand goes another way in most calls, of which each way would need a program: "
    "write np.where(condition, a, b) in place of `if`, or pass the value that Python needs as an argument that is a "
    "plain number"
)

_PLAIN = (np.ndarray, np.memmap)


def _c_file(sources: Sequence[NumpySource]) -> str:
    from tinygrad_lite.compiler.c.export import c_file  # with all of the native backend, which others may not need

    return c_file(sources)


_WRITERS = {"numpy": module, "jax": jax_module, "c": _c_file}


class Compiled:
    """A function that runs as a recorded program, made by `tg.compile`.

    Attributes:
        backend: "numpy" or "native".
    """

    def __init__(self, f: Callable[..., Any], backend: str) -> None:
        functools.update_wrapper(self, f, updated=())
        self._f = f
        self.backend = backend
        self._runs: dict[Any, list[Run]] = {}
        self._latest: Run | None = None
        self._variations = Variations()
        self._recordings = Recordings()
        self._refusals = Refusals()
        self._numbers = ChangingNumbers()
        self._in_common: dict[int, Any] = {}
        self._changing: dict[int, Appearance] = {}
        self._ways = Ways()
        self._entry = _NOTHING
        self._entries: dict[tuple[Any, ...], Entries] = {}

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """The method of an object, which has programs of its own and stays with the object."""
        if instance is None:
            return self
        try:
            fields = object.__getattribute__(instance, "__dict__")  # a recording does not notice this read
        except AttributeError:
            fields = None
        if fields is None:
            kind, name = type(instance).__name__, name_of(self._f)
            advice = "compile the method of an object, f = tg.compile(thing.method), or leave out __slots__"
            self._refusals.tell(name, f"{kind} has no __dict__ to keep its programs: {advice}")
            return MethodType(self._f, instance)
        if "_substitutes" in fields:  # a module that stands for another while a transform runs
            return MethodType(self._f, instance)
        method = Compiled(MethodType(self._f, instance), self.backend)
        return fields.setdefault(self._f.__name__, method)

    def __repr__(self) -> str:
        count = sum(map(len, [*self._runs.values()]))
        return f"<compiled {name_of(self._f)}, {self.backend}, {count} program{'' if count == 1 else 's'}>"

    def __reduce__(self) -> Any:
        """A copy records anew, for the copy of the object that its method belongs to."""
        f = self._f
        if isinstance(f, MethodType) and isinstance(getattr_static(f.__self__, f.__name__, None), Compiled):
            return getattr, (f.__self__, f.__name__)
        home = sys.modules.get(getattr(f, "__module__", None) or "")
        name = getattr(f, "__qualname__", "")
        return name if getattr(home, name, None) is self else (Compiled, (f, self.backend))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        arity, entry, run = self._entry
        if len(args) != arity or kwargs:
            return self._by_entries(args, kwargs)
        try:
            result = entry(*args)
        except Exception as error:
            result = ended_by(error, run)  # type: ignore[arg-type]  # without a run, there is no error
        return self._by_entries(args, kwargs, run, result) if type(result) is NoResult else result

    def _by_entries(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], tried: Run | None = None, result: NoResult = MISS
    ) -> Any:
        """Run the program whose entry takes these arguments; find out which program fits if there is none.

        Args:
            tried: the program whose entry has been tried.
            result: why it does not fit.
        """
        if self._ways.rest and result is MISS:
            return self._ways.run(self._f, args, kwargs)
        if self._refusals.rest > 0 and not self._entries:
            self._refusals.rest -= 1
            return self._f(*args, **kwargs)
        began, run = perf_counter(), tried
        entries = self._entries.get((len(args), *kwargs), _NO_ENTRIES)
        passed = (*args, kwargs) if kwargs else args
        if result is MISS:
            run, result = entries.first(passed, tried)
        search = None
        if run is not None and type(result) is NoResult and run.branches:
            search = Search(began, run is tried)
            search.note(run, result)
            run, result = search.among(entries, passed)
        if run is None:
            return self._by_what_fits(args, kwargs, search or Search(began))
        if result is REFUSED:
            return self._after_refusal(args, kwargs, run)
        self._latest = run
        if not kwargs:
            self._entry = len(args), entries.get(run, _no_entry), run
        if search is not None:
            self._note_way(search, is_served=True)
        return result

    def _after_refusal(self, args: tuple[Any, ...], kwargs: dict[str, Any], run: Run) -> Any:
        """Run the function itself, which may catch the error; nothing has changed yet, unless numbers were drawn."""
        if not run.may_be_refused:
            return self._by_what_fits(args, kwargs, Search(perf_counter()))
        self._latest = run
        return self._f(*args, **kwargs)

    def _by_what_fits(self, args: tuple[Any, ...], kwargs: dict[str, Any], search: Search) -> Any:
        """Run a program without an entry, or a new one, or else the function itself."""
        while True:
            run, refusal = None, None
            try:
                run = self.fitting_unless_watched(args, kwargs, search)
            except Exception as error:
                if isinstance(error, TakenError) and not error.is_put_back:
                    raise
                refusal = Refusal(error)
            if refusal is not None:
                return self._by_itself(refusal, args, kwargs)
            if run is None and search.ended is None:
                return self._f(*args, **kwargs)
            if run is None:
                result = self._ways.run(self._f, args, kwargs)
                self._note_way(search, is_served=False)
                return result
            is_new = not run.uses
            result = search.attempt(run, run, args, kwargs, may_be_refused=run.may_be_refused)
            if type(result) is not NoResult:
                self._enter(run, args, kwargs, search, is_new)
                return result
            if is_new or not run.branches:  # the function itself may catch the error
                return self._f(*args, **kwargs)
            run.uses -= 1

    def _enter(self, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any], search: Search, is_new: bool) -> None:
        """Make an entry of a program that has run without one, if that is worth its time."""
        may_enter = self._recordings.are_few or run.was_used or search.ended is not None
        if may_enter and run.is_worth_an_entry() and (entry := run.entry(args, kwargs, self._ways.hits)) is not None:
            self._entries.setdefault((len(args), *kwargs), Entries()).add(run, entry, MOST)
            if not kwargs:
                self._entry = len(args), entry, run
        if not is_new:
            self._ways.hits[0] += 1
            self._note_way(search, is_served=True)

    def _note_way(self, search: Search, is_served: bool) -> None:
        """Note whether a program has served a call in which another one went another way."""
        if search.ended is None or not search.ended.branches:
            return
        self._ways.note(search, is_served)
        if self._ways.rest or not is_served:
            self._entry = _NOTHING  # the next call is timed from its beginning
        if self._ways.are_too_many and not self._refusals.latest:  # which says why some way is not compiled
            self._refusals.tell(name_of(self._f), _OF_WAYS.format(search.ended.branches[0]))

    def _by_itself(self, refusal: Refusal, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the function itself, as its recording has failed; warn, unless that is for an error of its own."""
        if refusal.is_by_the_compiler:
            self._refusals.tell(name_of(self._f), refusal.reason)
        result = advised(self._f)(*args, **kwargs)
        self._refusals.tell(name_of(self._f), refusal.reason)
        self._refusals.note(args, kwargs, refusal.is_for_good)
        return result

    def _misses_errors(self) -> bool:
        """Whether NumPy is set to report floating-point errors, which native code does not report."""
        return self.backend != "numpy" and not {*np.geterr().values()} <= {"ignore", "warn"}

    def fitting_unless_watched(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], search: Search | None = None
    ) -> Run | None:
        """The run for these arguments; None if the function itself runs, as when somebody must see every operation."""
        leaves = trees.leaves((args, kwargs))
        if is_watching() or is_observed() or any(map(_is_followed, leaves)) or self._misses_errors():
            return None
        return self.fitting(args, kwargs, search or Search())

    def fitting_if_any(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Run | None:
        """The run for these arguments; None also if their recording fails, of which a call then tells."""
        try:
            return self.fitting_unless_watched(args, kwargs)
        except Exception as error:
            if isinstance(error, TakenError) and not error.is_put_back:
                raise
            return None

    def fitting(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], search: Search) -> Run | None:
        """The run for these arguments; records one if there is none, unless recordings are in vain.

        Args:
            search: which programs do not fit.
        """
        leaves = trees.leaves((args, dict(kwargs)))
        exact = signature(args, kwargs, leaves)
        numbers = self._numbers.among(exact, leaves)
        key = exact.for_any(numbers)
        runs = self._runs.get(key, [])
        chosen = next((run for run in runs if search.may_fit(run) and run.fits(leaves)), None)
        if chosen is not None and not chosen.is_passing:
            chosen.uses += 1
        elif self._refusals.leave_out(exact, leaves):
            return None
        elif chosen is None and search.ended is not None:
            if len(runs) >= MOST or not self._ways.may_record():
                return None
            chosen = self._recorded_for(args, kwargs, leaves, exact, numbers, None)
            self._ways.note_recording(perf_counter() - search.attempted)
        else:
            is_known = bool(runs) or not can_come_again(args, kwargs)
            if chosen is None and self._recordings.are_in_vain(None if is_known else key):
                return None
            chosen = self._recorded_for(args, kwargs, leaves, exact, numbers, chosen)
            self._recordings.note(chosen)
        self._latest = chosen  # another thread may replace it at any time
        return chosen

    def _recorded_for(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        leaves: Sequence[Any],
        exact: Signature,
        numbers: frozenset[int],
        former: Run | None,
    ) -> Run:
        """A new run for these arguments.

        Args:
            former: the run whose place it takes.
        """
        runs = self._runs.get(exact.for_any(numbers), [])
        changed = self._numbers.among_names(guard for run in runs for guard in run.guards)
        with without_collections(), patiently(f"compiling {name_of(self._f)}") as say:
            carried = {key: name for run in runs for key, name in run.carried.items()}
            call = CallToRecord(
                self._f,
                args,
                kwargs,
                named_parameters(self._f, args, kwargs),
                say,
                may_pass=former is None,
                may_branch=True,
                may_run_again=not any(run.was_asked for known in [*self._runs.values()] for run in known),
                known=carried | changed,
                numbers=numbers,
                changing=self._changing,
            )
            made = Run(call, self.backend, self._in_common)
        self._numbers.note_needed(exact, leaves, numbers - made.numbers)
        self._numbers.note_needed_names(name for name in changed if not made.takes(name))
        key = exact.for_any(made.numbers)
        runs = self._runs.setdefault(key, [])
        runs[:] = [made, *(run for run in runs if run is not former)][:MOST]
        self._variations.note(key, leaves, made)
        return made

    def repeat(self, turns: int, *args: Any, **kwargs: Any) -> Any:
        """Call the function `turns` times with the same arguments; return the results stacked along a new first axis.

        Native code does many turns without returning to Python. On a terminal, a bar shows the progress (with tqdm).
        Ctrl-C stops between turns, and leaves parameters and state as the last turn did.

        Raises:
            InputError: if `turns` is not a whole number of at least 1.
            ShapeError: if results differ in shape from turn to turn.

        Example:
            >>> import numpy as np, tinygrad_lite as tg
            >>> w = tg.tensor(1.0, requires_grad=True)
            >>> optimizer = tg.optim.SGD([w], lr=0.25)
            >>> @tg.compile
            ... def step():
            ...     optimizer.zero_grad()
            ...     loss = w * w
            ...     loss.backward()
            ...     optimizer.step()
            ...     return loss
            >>> step.repeat(3)
            tensor([1.    , 0.25  , 0.0625])
        """
        return many_turns.repeat(self, self.fitting_if_any, turns, args, kwargs)

    def epochs(
        self, arrays: Sequence[Any], batch_size: int, epochs: int = 1, *, rng: Rng = None, drop_last: bool = False
    ) -> Any:
        """Call the function with shuffled batches of arrays; return the results stacked along a new first axis.

        The batches and their order are those of the loop

            for _ in range(epochs):
                order = rng.permutation(len(arrays[0]))
                for start in range(0, len(order), batch_size):
                    step(*[array[order[start : start + batch_size]] for array in arrays])

        with the same generator. The last batch of an epoch may be smaller; `drop_last` leaves it out.

        Raises:
            InputError: if a number is not a whole number of at least 1, or a batch is larger than the arrays.
            ShapeError: if the arrays differ in length, or the results of the batches in shape.

        Example:
            >>> import numpy as np, tinygrad_lite as tg
            >>> total = tg.compile(lambda x: np.sum(x))
            >>> sums = total.epochs([np.arange(6.0)], batch_size=2, epochs=5, rng=0)
            >>> sums.shape, float(np.sum(sums))
            ((15,), 75.0)
        """
        return many_turns.epochs(
            self, self.fitting_if_any, arrays, batch_size, epochs, np.random.default_rng(rng), drop_last
        )

    @property
    def source(self) -> str:
        """The source of the latest program, a function in NumPy.

        If its results have a history, there is a second function for the reverse pass. It takes the values that the
        first function returns for it and the upstream gradients of the results, and returns the gradients of the
        tensors.
        """
        return "\n\n".join(source.text for source in self._recorded().sources)

    def export(self, path: str | os.PathLike[str], library: str = "numpy") -> None:
        """Write the latest program as a module that needs NumPy alone, or JAX, or as a file of C that needs libm alone.

        The exported function takes the same arguments and, if there is any, the state: a dict of arrays and numbers
        under the names that the module lists. It reads and updates that dict. `state()` returns the current state.

        Args:
            library: "numpy", or "jax" for the same text over jax.numpy. That function can be compiled by `jax.jit`: it
                leaves the state as it is, and returns its result and the next state. Or "c" for C99: the function takes
                pointers to the arrays, to a struct with the state, and to arrays for the results.

        Raises:
            InputError: if there is no such library, or the name of the file says that it is for another language.
            UsageError: if an operation is not NumPy's and its source cannot be quoted, or if JAX or C cannot do what
                the program does. Then no file is written.
        """
        if library not in _WRITERS:
            raise InputError(f"library must be 'numpy', 'jax' or 'c', got {library!r}")
        suffix = Path(path).suffix
        if suffix == ".onnx" or suffix in ((".py",) if library == "c" else (".c", ".h")):
            written, other = ("C", "'numpy' or 'jax'") if library == "c" else ("Python", "'c'")
            advice = "call tg.export_onnx" if suffix == ".onnx" else f"pass library={other}"
            raise InputError(
                f"library={library!r} writes {written}, which the name {Path(path).name} does not fit: {advice}, or "
                "choose another name"
            )
        run = self._recorded()
        if run.branches or any(isinstance(guard, Decision) and guard.is_branch for guard in run.guards):
            what = (
                f"a value{run.branches[0]}\n"
                if run.branches
                else "a number that it changes, as in `if step % 10 == 0`,"
            )
            raise UsageError(
                f"{run.name} branches on {what} and has a program for each way; an exported function would go one "
                "way: write np.where(condition, a, b) in place of `if`"
            )
        text = _WRITERS[library](run.sources)
        Path(path).write_text(text, encoding="utf-8")

    def state(self) -> dict[str, Any]:
        """The values that the latest program reads from outside, by name: copies of arrays, and numbers."""
        run = self._recorded()
        values = {place.name: place.read(()) for place in run.source.places}
        return {name: np.array(value) if isinstance(value, np.ndarray) else value for name, value in values.items()}

    def report(self) -> CompileReport:
        """A report of how the latest program runs, and of the operations that fall back to NumPy calls."""
        return self._recorded().report()

    def _recorded(self) -> Run:
        if self._latest is None:
            why = self._refusals.latest or "call it once first"
            raise UsageError(f"{name_of(self._f)} has no recording yet: {why}")
        if self._latest.parts:
            made = self._latest.parts[0]
            raise UsageError(f"{name_of(self._f)} has no recording yet: its call has made {made}: call it once more")
        return self._latest


def _is_followed(x: Any) -> bool:
    """Whether a value must see every operation, because it belongs to a transform or is an array with its own rules."""
    if isinstance(x, np.ndarray) and type(x) not in _PLAIN:  # a masked array, or a matrix
        return True
    return isinstance(x._array if isinstance(x, Tensor) else x, Traced)
