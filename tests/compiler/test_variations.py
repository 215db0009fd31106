"""A function that is recorded again and again says so once, and a long first call shows its progress."""

import gc
import io
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.compiler import waiting
from tinygrad_lite.compiler.run import Run
from tinygrad_lite.errors import TinygradWarning

X = np.ones(3)


class Thing:
    scale = 2.0


def by_name(i: int) -> Any:
    Thing.scale = float(i)
    return (X,)


CASES: dict[str, tuple[Callable[..., Any], Callable[[int], tuple[Any, ...]], str]] = {
    "number": (
        lambda x, count: x * sum(range(count)),
        lambda i: (X, i),
        r"the value of count varies \(0, 1, 2, .*np\.array\(count\).*unless Python needs it",
    ),
    "number of several kinds": (
        lambda x, rate: x * rate,
        lambda i: (X, [0, 0.5, np.array(2), 1j, np.array(3.0)][i % 5] if i < 4 else 4j + i),
        r"the value of rate varies \(0, 0\.5, 1j, \(4\+4j\)\).*np\.array\(rate\)",
    ),
    "text": (lambda x, mode: x, lambda i: (X, f"m{i}"), r"the value of mode varies \('m0', 'm1'.*for each of a few"),
    "shape": (
        lambda x, rate: x * rate,
        lambda i: (np.ones(i + 1), 2.0),
        r"the shape of x varies \(\(1,\), \(2,\), .*pad or cut it",
    ),
    "object": (lambda x, thing: x * thing.scale, lambda i: (X, Thing()), r"thing is another object each time.*once"),
    "function": (lambda x, f: f(x), lambda i: (X, lambda y: y + i), "f is another object each time"),
    "name": (lambda x: x * Thing.scale, by_name, r"the value of Thing\.scale varies .*np\.array\(Thing\.scale\)"),
    "keys": (lambda d: X * len(d), lambda i: ({str(j): 1 for j in range(i)},), "other containers each time"),
}


@pytest.mark.long
@pytest.mark.parametrize(("f", "arguments", "words"), CASES.values(), ids=CASES)
def test_the_fifth_recording_warns_once(
    f: Callable[..., Any], arguments: Callable[[int], tuple[Any, ...]], words: str
) -> None:
    compiled = tg.compile(f, "numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for i in range(4):
            given = arguments(i)
            compiled(*given), compiled(*given)
    with pytest.warns(TinygradWarning, match=words) as caught:
        compiled(*arguments(4))
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for i in range(5, 8):
            compiled(*arguments(i))


def test_modes_and_last_batches_do_not_warn() -> None:
    model = tg.nn.Sequential(tg.nn.Linear(3, 4, rng=0), tg.nn.Dropout(0.5, rng=0))
    f = tg.compile(model, "numpy")
    for _ in range(3):
        for rows in (8, 5):
            model.train()
            f(np.ones((rows, 3)))
            model.eval()
            with tg.no_grad():
                f(np.ones((rows, 3)))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def slow(x: Any) -> Any:
    time.sleep(0.15)
    return x * 2


def test_a_long_first_call_shows_its_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "FIRST", 0.05)
    monkeypatch.setattr(waiting, "EACH", 0.01)
    shown: dict[bool, str] = {}
    for kind in (Terminal, io.StringIO):
        with monkeypatch.context() as patch:
            patch.setattr("sys.stderr", stream := kind())
            tg.compile(slow, "numpy")(X)
            shown[stream.isatty()] = stream.getvalue()
    assert "compiling slow: recording, 0 s" in shown[True]
    assert "compiling slow: recording again, to compare, 0 s" in shown[True]
    assert shown[True].endswith(" \r")  # the line is empty again
    assert shown[False] == ""


def test_a_quick_call_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", stream := Terminal())
    tg.compile(lambda x: x * 2, "numpy")(X)
    assert stream.getvalue() == ""


@pytest.mark.parametrize("is_enabled", [True, False])
def test_cycles_are_collected_after_a_first_call_as_before_it(
    is_enabled: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(x: Any) -> Any:
        print(gc.isenabled())
        return x[5]

    before = gc.isenabled()
    try:
        (gc.enable if is_enabled else gc.disable)()
        tg.compile(lambda x: x * 2, "numpy")(X)
        with pytest.raises(IndexError):
            tg.compile(fails, "numpy")(X)
        assert capsys.readouterr().out == f"False\n{is_enabled}\n", "the function itself has run after the recording"
        assert gc.isenabled() == is_enabled
    finally:
        (gc.enable if before else gc.disable)()


@pytest.mark.parametrize(("turns", "fewest", "most"), [(3, 40, 40), (1, 5, 15)])
def test_shapes_are_recorded_while_they_come_again(
    turns: int, fewest: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[Run] = []
    monkeypatch.setattr(
        "tinygrad_lite.compiler.compiled.Run", lambda *given: recorded.append(Run(*given)) or recorded[-1]
    )
    compiled = tg.compile(lambda x: np.sum(x * 2), "numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(turns):
            for rows in range(1, 41):
                assert compiled(np.ones(rows)) == 2 * rows
    assert fewest <= len(recorded) <= most


FIRST_CALLS = """
import weakref
import numpy as np
import tinygrad_lite as tg

left = []
for _ in range(60):
    weights = tg.tensor(np.ones(3), requires_grad=True)
    left.append(weakref.ref(weights))
    tg.compile(lambda weights=weights: np.sum(weights * weights), "numpy")()
print(sum(ref() is not None for ref in left))
"""


def test_what_first_calls_leave_is_collected_while_others_go_on() -> None:
    """In a process of its own, since this one keeps what was there before the tests from being collected."""
    ran = subprocess.run([sys.executable, "-c", FIRST_CALLS], capture_output=True, text=True, check=True)
    assert int(ran.stdout) < 30
