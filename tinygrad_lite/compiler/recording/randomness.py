"""Random draws in a recorded function: each becomes a call of the program, which draws anew in each run.

That takes a generator which the recording can replace by a stand-in. Draws from any other are refused.
"""

import pickle
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from threading import active_count, get_ident
from typing import Any

import numpy as np

from tinygrad_lite.compiler.draws import OF_NUMPY, Draw, Generator, set_state, state_of
from tinygrad_lite.compiler.program import is_python_number
from tinygrad_lite.compiler.recording.guards import Guard
from tinygrad_lite.errors import UsageError

AHEAD = 1, 400
"""By how many draws generators are ahead during a first recording and a second one, whose states share no word."""

_IN_PLACE = ("shuffle", "spawn")
_STATE = {
    *("bit_generator", "__reduce__", "__reduce_ex__", "__getstate__", "__setstate__"),
    *("_bit_generator", "get_state", "set_state", "seed"),
}
"""What gives or takes the state of a generator, also to the functions that copy one."""


class StandInGenerator:
    """Stands in for the user's generator: its draws become calls of the program, and leave no trace.

    Args:
        argument: the generator's index among the leaves of the arguments, if it is one of them.
        write: records a call, see `Transcript.add`.
        source: what it draws from meanwhile.
    """

    def _stand_for(self, generator: Any, argument: int | None, write: Callable[..., Any], source: Any) -> None:
        self._original = generator
        self._argument = argument
        self._write = write
        self._source = source
        self._state = state_of(source)
        self._thread = get_ident()

    def restore(self) -> None:
        """Restore the generator's state, as if nothing had been drawn."""
        set_state(self._source, self._state)

    def __getattribute__(self, name: str) -> Any:
        if name in _STATE:
            raise UsageError(
                "a compiled function reads or sets the state of a generator, or copies one, which its program would "
                "not do: draw with rng.normal() and the like, and treat the state outside, before or after the call"
            )
        plain = object.__getattribute__(self, name)
        if name.startswith("_") or name == "restore" or not callable(plain):
            return plain
        if name in _IN_PLACE:
            raise UsageError(f"rng.{name}() in a compiled function: write rng.permutation, which returns what it draws")

        def draw(*args: Any, **kwargs: Any) -> Any:
            if get_ident() != self._thread:  # which has read the same name
                return getattr(self._original, name)(*args, **kwargs)
            value = getattr(self._source, name)(*args, **kwargs)
            is_usual = hasattr(value, "dtype") or is_python_number(value)
            drawn = Draw(self._original, self._argument, name, args, kwargs)
            return self._write(drawn, (), {}, value if is_usual else np.asarray(value)[()])

        return draw


class _NewGenerator(StandInGenerator, np.random.Generator):
    """Draws from the user's generator."""

    def __init__(self, generator: np.random.Generator, argument: int | None, write: Callable[..., Any]) -> None:
        np.random.Generator.__init__(self, generator.bit_generator)
        self._stand_for(generator, argument, write, generator)


class _OldGenerator(StandInGenerator, np.random.RandomState):
    """Draws from a copy of the user's generator: others may draw from the global one meanwhile."""

    def __init__(self, generator: np.random.RandomState, argument: int | None, write: Callable[..., Any]) -> None:
        copied = deepcopy(generator)
        np.random.RandomState.__init__(self, copied._bit_generator)
        self._stand_for(generator, argument, write, copied)


def in_place_of(generator: Generator, argument: int | None, write: Callable[..., Any]) -> StandInGenerator:
    """What stands in for a generator, see `StandInGenerator`."""
    kind = _NewGenerator if isinstance(generator, np.random.Generator) else _OldGenerator
    return kind(generator, argument, write)  # type: ignore[arg-type]


@contextmanager
def replaced(names: Sequence[Guard], stand_in: Callable[[Any], Any]) -> Iterator[None]:
    """For the block, let names mean stand-ins for the generators, or for their methods, that they mean otherwise."""
    try:
        for guard in names:
            guard.put(stand_in(guard.value))
        yield
    finally:
        for guard in names:
            guard.put(guard.value)


class DrawError(UsageError):
    """A function draws from a generator that its program would not draw from.

    Args:
        drawn: the generators, each with its former state.
    """

    def __init__(self, drawn: Sequence[tuple[Any, Any]]) -> None:
        super().__init__(
            f"the function does not do the same when it is run again, since it draws from {_in_words(drawn[0][0])}: "
            "make rng = np.random.default_rng(seed) outside the function, under a name, as an argument or as a field "
            "of a module, and draw with rng.random(), rng.normal() and so on"
        )
        self._drawn = drawn

    def restore(self) -> None:
        """Give the generators their former states."""
        for generator, state in self._drawn:
            _set_state(generator, state)


@contextmanager
def undrawn(hidden: Sequence[Any], draws: int) -> Iterator[None]:
    """A block that must not draw from Python's `random`, from NumPy's global generator, or from these generators.

    Meanwhile they are some draws further on, since a function that sets the state, as `np.random.seed(0)` does, may
    leave the very state that its last call left. What it reads from a state is another value in each recording.

    Raises:
        DrawError: if it did, or if another thread did.
    """
    generators = (_OF_PYTHON, OF_NUMPY, *hidden)
    before = [_state(generator) for generator in generators]
    for generator in generators:
        for _ in range(draws):
            generator.random()
    further = [_state(generator) for generator in generators]

    def put_back() -> None:
        for generator, state in zip(generators, before):
            _set_state(generator, state)

    try:
        yield
    except BaseException:
        put_back()
        raise
    drawn = [i for i, generator in enumerate(generators) if not _is_equal(_state(generator), further[i])]
    if not drawn or active_count() == 1:  # else another thread may have drawn, and goes on from there
        put_back()
    if drawn:
        raise DrawError([(generators[i], before[i]) for i in drawn])


_OF_PYTHON: random.Random = random._inst


def _in_words(generator: Any) -> str:
    if generator is _OF_PYTHON:
        return "Python's module random"
    return (
        "NumPy's global np.random"
        if generator is OF_NUMPY
        else f"a {type(generator).__name__} in a container or an object"
    )


def _is_equal(state: Any, other: Any) -> bool:
    is_of_numbers = isinstance(state, tuple)  # that of Python's, which says itself whether it is equal
    return bool(state == other) if is_of_numbers else pickle.dumps(state) == pickle.dumps(other)


def _state(generator: Any) -> Any:
    return generator.getstate() if isinstance(generator, random.Random) else state_of(generator)


def _set_state(generator: Any, state: Any) -> None:
    if isinstance(generator, random.Random):
        generator.setstate(state)
    else:
        set_state(generator, state)
