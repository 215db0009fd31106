"""What a compiled function takes from iterators and files of outside: as the function itself does, or an error."""

import csv
import io
import itertools
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.compiler.recording.iterators import TakenError
from tinygrad_lite.errors import UncompiledWarning

W = tg.tensor([1.0, 2.0], requires_grad=True)
X = np.array([3.0, 4.0])


def _numbers() -> Iterator[int]:
    yield from range(100)


ITERATORS: dict[str, Callable[[], Any]] = {
    "list": lambda: iter([*range(100)]),
    "tuple": lambda: iter((*range(100),)),
    "range": lambda: iter(range(100)),
    "dict": lambda: iter(dict.fromkeys(range(100))),
    "reversed": lambda: reversed(range(100)),
    "count": itertools.count,
    "cycle": lambda: itertools.cycle(range(100)),
    "chain": lambda: itertools.chain(range(100)),
    "islice": lambda: itertools.islice(itertools.count(), 100),
    "map": lambda: map(abs, range(100)),
    "zip": lambda: (a for a, _ in zip(range(100), range(100))),
    "generator": _numbers,
    "csv": lambda: map(float, map("".join, csv.reader(io.StringIO("\n".join(map(str, range(100))))))),
}


def _first(iterator: Any) -> Any:
    for x in iterator:
        return x
    return None


TAKING: dict[str, Callable[[Any], Any]] = {
    "next": lambda iterator: next(iterator),
    "method": lambda iterator: iterator.__next__(),
    "loop": _first,
    "islice": lambda iterator: list(itertools.islice(iterator, 1)).pop(),
    "zip": lambda iterator: list(zip([0], iterator)).pop()[1],
}


@pytest.mark.parametrize("take", TAKING.values(), ids=TAKING)
@pytest.mark.parametrize("make", ITERATORS.values(), ids=ITERATORS)
def test_what_a_recording_takes_from_an_iterator_is_never_lost_in_silence(
    make: Callable[[], Any], take: Callable[[Any], Any]
) -> None:
    def trained(iterator: Any, compiled: Callable[[Any], Any]) -> list[float]:
        step = compiled(lambda x: np.sum(W * x) * take(iterator))
        return [float(step(X)) for _ in range(3)]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncompiledWarning)
        try:
            results = trained(make(), tg.compile)
        except TakenError as error:
            assert not error.is_put_back  # noqa: PT017
        else:
            assert results == trained(make(), lambda f: f)
            assert take is TAKING["next"]


@pytest.mark.parametrize("read", [lambda file: file.readline(), _first, next], ids=["readline", "loop", "next"])
def test_what_a_recording_reads_from_a_file_is_put_back(read: Callable[[Any], str], tmp_path: Path) -> None:
    path = tmp_path / "numbers.txt"
    path.write_text("1\n2\n3\n4\n")
    with path.open() as file:
        step = tg.compile(lambda x: np.sum(W * x) * float(read(file)))
        with pytest.warns(UncompiledWarning):
            results = [float(step(X)) for _ in range(4)]
    assert results == [11, 22, 33, 44]


def test_what_a_compiled_function_writes_is_written_in_each_run(tmp_path: Path) -> None:
    """Once more in the first call, since nobody else's lines may be taken out of a file with those of a recording."""
    path = tmp_path / "log.txt"
    with path.open("w") as file:

        @tg.compile
        def step(x: Any) -> Any:
            print("a step", file=file)
            return np.sum(W * x)

        with pytest.warns(UncompiledWarning, match="reads or writes a file"):
            assert [float(step(X)) for _ in range(20)] == [11] * 20
    assert path.read_text().splitlines() == ["a step"] * 21


def test_what_is_written_to_a_pipe_or_a_terminal_is_written_while_recording() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading) as there, os.fdopen(writing, "w") as pipe:
        step = tg.compile(lambda x: np.sum(W * x) + 0 * (pipe.write("a step\n") or 0))
        assert [float(step(X)) for _ in range(3)] == [11] * 3
        pipe.close()
        assert 0 < len(there.readlines()) <= 2


def test_an_iterator_from_which_nothing_is_taken_does_not_stand_in_the_way(tmp_path: Path) -> None:
    with (tmp_path / "log.txt").open("w") as file:
        held = [make() for make in ITERATORS.values()]

        class Trainer:
            def __init__(self) -> None:
                self.file, self.held = file, held

            def step(self, x: Any) -> Any:
                return np.sum(W * x) * len(self.held) + self.file.closed

        step = tg.compile(Trainer().step)
        assert [float(step(X)) for _ in range(3)] == [11 * len(held)] * 3
        assert step.source
