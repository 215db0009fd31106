"""The ways of a function that branches on what it computes: which program to try next, and whether programs pay.

A program that ends at a branch tells where Python goes up to there, so that only programs that begin with that way can
fit. Each attempt takes a part of a run, and each recording as long as many runs, so the function itself runs where that
takes less time.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Any

from tinygrad_lite.compiler.entry import MISS, REFUSED, NoResult, OtherWayError
from tinygrad_lite.compiler.run import Run

FREE = 5
"""How many ways are recorded at once; each further one once that pays."""

FEW = 3
"""How many calls in which a program went another way are judged together."""

MANY = 5
"""So many calls in a row, or in place of one recording, are too many for the function itself not to be told of."""

MOST_CALLS = 1024
"""The most calls in a row for which the function itself runs, since programs that are tried in vain take longer."""

TIMED = 4
"""Of so many of these calls, the time of one is taken."""

SAMPLES = 16
"""How often the time of the function itself is taken before a judgement is final."""

WINDOW = 64
"""About how many of the latest calls count in a mean."""

Way = tuple[bool, ...]
"""Whether the value was true, branch by branch."""


def ended_by(error: Exception, run: Run) -> NoResult:
    """Why a program that has ended with an error has no result: the function itself may catch the error, or has it.

    Raises:
        Exception: this error, if the program may have drawn numbers, which must not be drawn twice.
    """
    if isinstance(error, OtherWayError):
        return NoResult(error.branches)
    if run.may_have_drawn:
        raise error
    return REFUSED


class Entries(dict[Run, Callable[..., Any]]):
    """The entries of programs for one form of call."""

    def __init__(self) -> None:
        super().__init__()
        self._going: dict[Way, list[Run]] = {}

    def add(self, run: Run, entry: Callable[..., Any], most: int) -> None:
        """Add an entry, and remove the oldest one if there are too many."""
        self[run] = entry
        if len(self) > most:
            self.pop(next(iter([*self])), None)
        self._going.clear()

    def first(self, args: tuple[Any, ...], tried: Run | None) -> tuple[Run | None, Any]:
        """The first program that takes these arguments, and its result, or why it has none.

        Args:
            tried: a program that does not take them.
        """
        for run, entry in [*self.items()]:  # another thread may add one meanwhile
            if run is tried:
                continue
            try:
                result = entry(*args)
            except Exception as error:
                result = ended_by(error, run)
            if result is not MISS:
                return run, result
        return None, MISS

    def going(self, way: Way) -> list[Run]:
        """The programs that begin with a way; the longest come first, which tell most about where a call goes."""
        if (runs := self._going.get(way)) is None:
            runs = self._going[way] = sorted([run for run in [*self] if run.goes(way)], key=lambda run: -len(run.way))
        return runs


class Search:
    """The search for a program that fits a call in which another one has ended early.

    Attributes:
        way: where Python goes in this call, as far as programs have told.
        ended: the latest program that has ended, at a branch or by refusing values.
        began, attempted: when the search and its latest attempt began.
        is_untimed: whether an attempt was made before.
    """

    __slots__ = ("_passed_over", "attempted", "began", "ended", "is_untimed", "way")

    def __init__(self, began: float = 0.0, is_untimed: bool = False) -> None:
        self.way: Way = ()
        self.ended: Run | None = None
        self.began = self.attempted = began
        self.is_untimed = is_untimed
        self._passed_over: list[Run] = []

    def note(self, run: Run, result: NoResult) -> None:
        """Note that a program does not fit."""
        if result is not MISS:
            self.ended = run
        if result.branches is None or result.branches < len(self.way):
            self._passed_over.append(run)  # whichever way the call goes
        else:
            self.way = run.way_after(result.branches)

    def may_fit(self, run: Run) -> bool:
        """Whether a program may fit, as far as is known."""
        return run not in self._passed_over and run.goes(self.way)

    def attempt(self, run: Run, call: Callable[..., Any], *args: Any, may_be_refused: bool = True) -> Any:
        """The result of a program, or why it has none."""
        self.attempted = perf_counter()
        try:
            result = call(*args)
        except Exception as error:
            if not may_be_refused:
                raise
            result = ended_by(error, run)
        if type(result) is NoResult:
            self.note(run, result)
        return result

    def among(self, entries: Entries, args: tuple[Any, ...]) -> tuple[Run | None, Any]:
        """The program that takes these arguments, and its result, or why there is none."""
        while True:
            run = next((run for run in entries.going(self.way) if run not in self._passed_over), None)
            if run is None or (entry := entries.get(run)) is None:  # another thread may remove it
                return None, MISS
            result = self.attempt(run, entry, *args)
            if type(result) is not NoResult or (result is REFUSED and not run.branches):
                return run, result


class _Mean:
    """The mean of the latest times, in which earlier ones count ever less, and one at most ten times the mean.

    Now and then a call takes a thousand times as long, since another process runs meanwhile.
    """

    def __init__(self) -> None:
        self.count = self._total = 0.0

    def add(self, x: float) -> None:
        if self.count >= WINDOW:
            self.count, self._total = self.count / 2, self._total / 2
        most = 10 * self.value if self.count > FEW else x
        self.count, self._total = self.count + 1, self._total + min(x, most)

    @property
    def value(self) -> float:
        return self._total / self.count if self.count else 0.0


class Ways:
    """Whether the programs of a function that branches on what it computes save time, and another one would.

    Where attempts and runs together take longer than the function itself, that runs for ever more calls, before
    programs are tried again. A further way is recorded once programs would have saved as much time, in the calls that
    went a way without one, as the recording takes; and ever later if no program runs again.

    Attributes:
        hits: how many calls programs have served since the last judgement; their entries count them.
        rest: for how many calls the function itself runs from now on.
    """

    def __init__(self) -> None:
        self.hits = [0]
        self.rest = 0
        self._next = 1
        self._own, self._run = _Mean(), _Mean()
        self._missing = 0.0
        self._spent = 0.0
        self._detours = self._others = self._untimed = 0
        self._recordings, self._factor, self._was_used = 0, 1, False
        self._price = self._lost = 0.0

    def note(self, search: Search, is_served: bool) -> None:
        """Note a call in which a program has ended at a branch, and whether another one has served it."""
        now = perf_counter()
        self._spent += now - search.began
        self._detours += 1
        self._untimed += search.is_untimed
        if is_served:
            self._run.add(now - search.attempted)
            self._untimed -= 1
        else:
            self._others += 1
        if self._detours >= FEW:
            self._judge()

    def _judge(self) -> None:
        calls = max(self.hits[0] + self._others, 1)  # another thread may have judged meanwhile
        self._was_used |= self.hits[0] > 0
        self._missing = self._others / calls
        spent = self._spent + (self.hits[0] + self._untimed) * self._run.value
        if not self._own.count:
            self.rest = FEW
        elif spent > calls * self._own.value:
            self.rest, self._next = self._next, min(2 * self._next, MOST_CALLS)
        else:
            self.rest, self._next = int(self._own.count < SAMPLES), 1
        self._spent = 0.0
        self._detours = self._others = self._untimed = self.hits[0] = 0

    def run(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the function itself in place of programs."""
        calls = 1.0
        if self.rest > 0:
            self.rest -= 1
            if self.rest % TIMED:
                return f(*args, **kwargs)
            calls = TIMED * self._missing  # those that this one stands for, and that would have had no program
        begin = perf_counter()
        result = f(*args, **kwargs)
        seconds = perf_counter() - begin
        self._own.add(seconds)
        self._lost += calls * max(seconds - 2 * self._run.value, 0)  # an attempt in vain and a run would take that
        return result

    def may_record(self) -> bool:
        """Whether to record a way without a program."""
        return self._recordings < FREE or self._lost > self._price

    def note_recording(self, seconds: float) -> None:
        """Note that a way has been recorded."""
        if self._recordings >= FREE:
            self._lost -= self._price
            self._factor = 1 if self._was_used else 2 * self._factor
        self._recordings += 1
        self._price, self._was_used = seconds * self._factor, False

    @property
    def are_too_many(self) -> bool:
        """Whether the function itself runs in most calls."""
        return max(self.rest, self._factor) >= MANY
