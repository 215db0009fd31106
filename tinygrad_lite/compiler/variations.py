"""A function that is recorded again and again: says what varies and what to write, and when recording is in vain."""

from collections import Counter, deque
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_lite.compiler.recording.guards import Field, Item
from tinygrad_lite.compiler.signature import SCALARS, Same, form
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import warn

if TYPE_CHECKING:
    from tinygrad_lite.compiler.run import Run

FEW = 3
MANY = 5
"""The number of signatures, or of values of one name, that is too many."""

MOST = 1000
"""The most signatures without a program that are remembered."""


class Variations:
    """The signatures of a function's recordings, and the forms of each argument and name in them."""

    def __init__(self) -> None:
        self._keys: set[Hashable] = set()
        self._arguments: dict[str, dict[Any, None]] = {}
        self._names: dict[tuple[str, int], dict[Any, None]] = {}
        self._has_warned = False

    def note(self, key: Hashable, leaves: Sequence[Any], run: "Run") -> None:
        """Note a recording; warn, once, if there are many."""
        if self._has_warned:
            return
        self._keys.add(key)
        for name, x in zip(run.parameters, leaves):
            self._arguments.setdefault(name, {})[form(x)] = None
        met: Counter[str] = Counter()  # equal layers have the same names for other tensors
        for guard in run.guards:
            if isinstance(guard, (Item, Field)):
                is_plain = isinstance(guard.value, SCALARS)
                known_by = form(guard.value) if is_plain else (type(guard.value), Same(guard.value))
                self._names.setdefault((guard.label, met[guard.label]), {})[known_by] = None
                met[guard.label] += 1
        by_place: dict[Any, dict[Any, None]] = self._arguments if len(self._keys) >= MANY else self._names
        place = max([*by_place], key=lambda place: len(by_place[place]), default="")
        name, forms = place if isinstance(place, str) else place[0], list(by_place.get(place, ()))
        if max(len(self._keys), len(forms)) >= MANY:
            self._has_warned = True
            cause, advice = _in_words(name, forms) if len(forms) > 1 else _OF_CONTAINERS
            warn(
                f"{run.name} was recorded {MANY} times, each time for a program of its own, since {cause}. "
                f"A recording takes as long as many runs: {advice}. While its programs hardly run again, the function "
                "itself runs"
            )


class Recordings:
    """The latest recordings of a function, and whether they are in vain.

    A recording takes as long as many runs. If none of the latest programs has run again several times, the function
    itself runs instead, but for ever fewer calls, in case some program will, and but for arguments of a form that was
    left out before, since such a form comes again.

    Attributes:
        are_few: whether each program gets an entry at once; then nobody counts how often it runs.
        count: how many there were.
    """

    def __init__(self) -> None:
        self.are_few = True
        self._latest: deque[Run] = deque(maxlen=MANY)
        self.count = 0
        self._passing = 0
        self._left_out = 0
        self._next = MANY
        self._forms_left_out: dict[Hashable, bool] = {}

    def note(self, run: "Run") -> None:
        """Note a recording; of those whose run changes what it starts from, only what comes after many in a row."""
        self._passing = self._passing + 1 if run.is_passing else 0
        if 0 < self._passing <= MANY:
            return
        if not self.are_few:
            self._latest.append(run)
        self.count += 1
        self.are_few = self.count < FEW

    def are_in_vain(self, form: Hashable) -> bool:
        """Whether to leave out the recording that a call needs.

        Args:
            form: the signature of the call, if no program has it and a later call can have it; else None.
        """
        if len(self._latest) < MANY or any(run.was_used for run in [*self._latest]):  # threads may add to it
            self._left_out, self._next = 0, MANY
            return False
        if form is not None:
            if self._forms_left_out.pop(form, False):
                return False
            self._forms_left_out[form] = True
            if len(self._forms_left_out) > MOST:
                self._forms_left_out.pop(next(iter([*self._forms_left_out])), None)
        self._left_out += 1
        if self._left_out < self._next:
            return True
        self._next *= 2
        return False


_OF_CONTAINERS = "its arguments come in other containers each time", "pass the same containers, with the same keys"


def _in_words(name: str, forms: list[Any]) -> tuple[str, str]:
    """How an argument or a name varies, and what to write."""
    kinds = {kind for kind, *_ in forms}
    if kinds <= {Tensor, np.ndarray, np.generic}:
        shapes = list(dict.fromkeys(shape for _, shape, *_ in forms))
        if len(shapes) > 1:
            advice = "pad or cut it to one of a few shapes, or leave out the smaller batches"
            return f"the shape of {name} varies ({_listed(map(str, shapes))})", advice
        return f"{name} varies in its dtype or in whether it requires a gradient", "convert it before the call"
    forms = [(kind, *known_by) for kind, *known_by in forms if kind not in (Tensor, np.ndarray, np.generic)]
    if not all(isinstance(known_by, (*SCALARS, frozenset)) for _, known_by, *_ in forms):
        return f"{name} is another object each time", "make it once, before the calls"
    if len(forms) == 1:
        return f"{name} is a plain number in some calls and an array in others", f"always pass np.array({name})"
    values = _listed(str(x) if kind in (float, complex) else repr(x) for kind, x, *_ in forms)
    if any(issubclass(kind, (int, float, complex, np.generic)) for kind in kinds):
        advice = f"keep it in an array, np.array({name}), which the program reads in each run, unless Python needs it"
        return f"the value of {name} varies ({values})", advice
    return f"the value of {name} varies ({values})", "compile a function for each of a few values"


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(texts)
