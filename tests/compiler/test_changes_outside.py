"""Objects outside that a function changes, whatever they are: as without compiling, or an error says so."""

import argparse
import asyncio
import collections
import configparser
import contextlib
import contextvars
import csv
import ctypes
import decimal
import email.message
import functools
import graphlib
import http.cookies
import io
import itertools
import logging
import mmap
import queue
import random
import sqlite3
import threading
import types
import warnings
import weakref
import xml.etree.ElementTree as ElementTree
from array import array
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.compiler.outside import Turns
from tinygrad_lite.compiler.recording import two_recordings
from tinygrad_lite.compiler.recording.iterators import TakenError
from tinygrad_lite.errors import UncompiledWarning, UsageError

X = np.array([1.0, 2.0])


class Plain:
    """An object with attributes, and a key of dicts that hold no references."""


KEYS = [Plain() for _ in range(9)]


class Point(ctypes.Structure):
    """Memory of a library in C."""

    _fields_ = (("a", ctypes.c_int), ("b", ctypes.c_double))


class Kind(NamedTuple):
    """A kind of object: how to make one, what can be compared of it, and ways to change it."""

    make: Callable[[], Any]
    look: Callable[[Any], Any]
    changes: tuple[Callable[[Any], Any], ...]


def _of(kind: Any, *entries: Any) -> Callable[[], Any]:
    """What makes an object with these entries, put there one by one."""

    def make() -> Any:
        made = kind()
        for entry in entries:
            (made.put_nowait if hasattr(made, "put_nowait") else made.append)(entry)
        return made

    return make


def _objects() -> Any:
    made = np.empty(3, object)
    made[:] = [1, [2], None]
    return made


def _cached() -> Any:
    calls: list[int] = []

    @functools.lru_cache
    def remembering(i: int) -> int:
        calls.append(i)
        return i

    return remembering, calls


def _of_a_thread() -> Any:
    made = threading.local()
    made.x = 0
    return made


def _handled() -> Any:
    """A logger, and what a handler of a class of the user's puts into a list that only its method knows."""
    messages: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    logger = logging.Logger("a")
    logger.addHandler(Handler())
    return logger, messages


def _frame() -> Any:
    return pytest.importorskip("pandas").DataFrame({"a": [1.0, 2.0]})


def _series() -> Any:
    return pytest.importorskip("pandas").Series([1.0, 2.0])


def _sparse(kind: str) -> Callable[[], Any]:
    return lambda: getattr(pytest.importorskip("scipy.sparse"), kind)(np.eye(3))


def _written(make: Callable[[io.StringIO], Any]) -> Callable[[], Any]:
    return lambda: (text := io.StringIO(), make(text))


def _count(name: Any) -> Callable[[Any], Any]:
    return lambda x: x.__setitem__(name, x[name] + 1)


def _set(name: str, value: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: setattr(x, name, value(getattr(x, name, 0)))


def _plus(x: Any) -> Any:
    return x + 1


def _five(x: Any) -> Any:
    return 5


def _dict(x: Any) -> Any:
    return dict(vars(x))


def _new_entry(x: Any) -> None:
    x[len(x) + 7] = 0


NUMBERS = (
    lambda x: x.append(3),
    lambda x: x.extend([1, 2]),
    lambda x: x and x.pop(),
    lambda x: x.reverse(),
    lambda x: x and x.__setitem__(0, x[0] + 1),
    lambda x: x and x.__setitem__(0, 5),
)
ENTRIES = (_count("a"), _new_entry, lambda x: x.pop("a", None) and x.update(a=1, b=2))
QUEUES = (lambda x: x.put_nowait(1), lambda x: x.qsize() and x.get_nowait())
KINDS: dict[str, Kind] = {
    "bytearray": Kind(lambda: bytearray(b"abc"), bytes, (lambda x: x.__iadd__(b"x"), bytearray.clear, *NUMBERS)),
    "array": Kind(lambda: array("d", [1, 2, 3]), list, (lambda x: x.frombytes(bytes(8)), *NUMBERS)),
    "list": Kind(lambda: [1, 2], list, (lambda x: x.insert(0, 3), *NUMBERS)),
    "deque": Kind(lambda: collections.deque([1, 2]), list, (lambda x: x.rotate(1), *NUMBERS)),
    "UserList": Kind(lambda: collections.UserList([1, 2]), list, NUMBERS),
    "set": Kind(lambda: {1, 2}, sorted, (lambda x: x.add(len(x) + 7), lambda x: x.discard(1), lambda x: x.add(9))),
    "dict": Kind(lambda: {"a": 1}, dict, ENTRIES),
    "Counter": Kind(lambda: collections.Counter("a"), dict, (lambda x: x.update("ab"), *ENTRIES)),
    "OrderedDict": Kind(
        lambda: collections.OrderedDict(a=1, b=2),
        lambda x: list(x.items()),
        (lambda x: x.move_to_end(next(iter(x))), *ENTRIES),
    ),
    "defaultdict": Kind(lambda: collections.defaultdict(int), dict, (lambda x: x[len(x)], *ENTRIES)),
    "UserDict": Kind(lambda: collections.UserDict(a=1), dict, ENTRIES),
    "ChainMap": Kind(
        lambda: collections.ChainMap({"a": 1}, {"b": 2}), dict, (lambda x: x.maps.append({"z": 1}), *ENTRIES)
    ),
    "WeakKeyDictionary": Kind(
        lambda: weakref.WeakKeyDictionary({KEYS[0]: 1}),
        lambda x: sorted(x.values()),
        (_count(KEYS[0]), lambda x: x.__setitem__(KEYS[len(x) % 9], 5)),
    ),
    "WeakValueDictionary": Kind(
        lambda: weakref.WeakValueDictionary({1: KEYS[0]}), sorted, (lambda x: x.__setitem__(len(x) + 3, KEYS[1]),)
    ),
    "WeakSet": Kind(lambda: weakref.WeakSet(KEYS[:1]), len, (lambda x: x.add(KEYS[len(x) % 9]),)),
    "StringIO": Kind(
        io.StringIO,
        lambda x: (x.getvalue(), x.tell()),
        (lambda x: x.write("x"), lambda x: print("y", file=x), lambda x: (x.seek(0), x.write("z"), x.truncate())),
    ),
    "a text that is read": Kind(
        lambda: io.StringIO("a\nb\nc\nd\ne\n"), lambda x: x.tell(), (lambda x: x.readline(), lambda x: x.read(1))
    ),
    "BytesIO": Kind(io.BytesIO, lambda x: (x.getvalue(), x.tell()), (lambda x: x.write(b"x"),)),
    "csv": Kind(_written(csv.writer), lambda x: x[0].getvalue(), (lambda x: x[1].writerow([1]),)),
    "a handler": Kind(
        _written(logging.StreamHandler),
        lambda x: x[0].getvalue(),
        (lambda x: x[1].emit(logging.LogRecord("", 30, "", 0, "text", (), None)),),
    ),
    "Random": Kind(lambda: random.Random(0), lambda x: x.getstate(), (lambda x: x.random(), lambda x: x.seed(3))),
    "RandomState": Kind(lambda: np.random.RandomState(0), lambda x: x.get_state()[1].tolist(), (lambda x: x.normal(),)),
    "PCG64": Kind(lambda: np.random.PCG64(0), lambda x: x.state, (lambda x: x.random_raw(),)),
    "SeedSequence": Kind(lambda: np.random.SeedSequence(0), lambda x: x.n_children_spawned, (lambda x: x.spawn(1),)),
    "Context": Kind(
        decimal.Context,
        lambda x: (x.prec, x.rounding),
        (_set("prec", _plus), _set("prec", _five), lambda x: x.clear_flags()),
    ),
    "SimpleNamespace": Kind(lambda: types.SimpleNamespace(a=1), _dict, (_set("a", _plus), _set("b", _five))),
    "Namespace": Kind(lambda: argparse.Namespace(a=1), _dict, (_set("a", _plus), _set("b", _five))),
    "a function": Kind(lambda: lambda: 0, _dict, (_set("n", _plus), _set("n", _five))),
    "partial": Kind(
        lambda: functools.partial(print),
        lambda x: (x.keywords, _dict(x)),
        (lambda x: x.keywords.update(end=""), _set("n", _plus)),
    ),
    "cached": Kind(_cached, lambda x: [*x[1]], (lambda x: x[0](1), lambda x: x[0](len(x[1]) // 2))),
    "memoryview": Kind(
        lambda: memoryview(bytearray(b"abcd")), bytes, (_count(0), lambda x: x.__setitem__(slice(2), b"xy"))
    ),
    "mmap": Kind(lambda: mmap.mmap(-1, 16), lambda x: x[:], (_count(3), lambda x: x.write(b"x"))),
    "ctypes": Kind(Point, lambda x: (x.a, x.b), (_set("a", _plus), _set("b", _five))),
    "a number of C": Kind(lambda: ctypes.c_int(0), lambda x: x.value, (_set("value", _plus),)),
    "an array of C": Kind(ctypes.c_double * 3, list, (_count(0),)),
    "ContextVar": Kind(
        lambda: contextvars.ContextVar("v", default=0),
        lambda x: x.get(),
        (lambda x: x.set(x.get() + 1), lambda x: x.set(5)),
    ),
    "local": Kind(_of_a_thread, _dict, (_set("x", _plus), _set("x", _five), _set("y", _five))),
    "Event": Kind(
        threading.Event, lambda x: x.is_set(), (lambda x: x.set(), lambda x: x.clear() if x.is_set() else x.set())
    ),
    "Semaphore": Kind(
        lambda: threading.Semaphore(9), lambda x: x._value, (lambda x: x.acquire(), lambda x: x.release())
    ),
    "count": Kind(itertools.count, repr, (lambda x: next(x), lambda x: x.__next__())),
    "cycle": Kind(lambda: itertools.cycle([1, 2, 3]), next, (lambda x: [*zip([0], x)],)),
    "tee": Kind(lambda: itertools.tee(range(99)), lambda x: 0, (lambda x: [*zip([0], x[1])], lambda x: next(x[0]))),
    "Queue": Kind(_of(queue.Queue, 1, 2), lambda x: [*x.queue], QUEUES),
    "LifoQueue": Kind(_of(queue.LifoQueue, 1, 2), lambda x: [*x.queue], QUEUES),
    "PriorityQueue": Kind(_of(queue.PriorityQueue, 1, 2), lambda x: [*x.queue], QUEUES),
    "SimpleQueue": Kind(_of(queue.SimpleQueue, 1, 2), lambda x: x.qsize(), QUEUES),
    "asyncio.Queue": Kind(_of(asyncio.Queue, 1), lambda x: x.qsize(), QUEUES),
    "objects": Kind(
        _objects, lambda x: repr(x.tolist()), (_count(0), lambda x: x[1].append(1), lambda x: x.__setitem__(2, "x"))
    ),
    "records": Kind(
        lambda: np.zeros(3, [("a", float), ("b", int)]),
        lambda x: x.tolist(),
        (lambda x: x.__setitem__(0, (x[0][0] + 1, 1)), lambda x: x["a"].__setitem__(0, x["a"][0] + 1)),
    ),
    "texts": Kind(lambda: np.array(["a", "b"], "U9"), lambda x: x.tolist(), (lambda x: x.__setitem__(0, x[0] + "x"),)),
    "numbers": Kind(lambda: np.zeros(3, int), lambda x: x.tolist(), (_count(0), lambda x: x.__iadd__(1))),
    "masked": Kind(
        lambda: np.ma.array([1.0, 2.0, 3.0], mask=[0, 0, 1]),
        lambda x: (x.data.tolist(), np.ma.getmaskarray(x).tolist()),
        (lambda x: x.__setitem__(0, np.ma.masked), lambda x: x.__setitem__(1, 9.0)),
    ),
    "flat": Kind(lambda: np.arange(9.0).flat, lambda x: x.index, (lambda x: next(x), lambda x: x.__setitem__(0, 3))),
    "poly1d": Kind(lambda: np.poly1d([1, 2, 3]), lambda x: x.coeffs.tolist(), (_count(0),)),
    "frame": Kind(
        _frame,
        lambda x: x.to_dict(),
        (lambda x: x.at.__setitem__((0, "a"), x.at[0, "a"] + 1), lambda x: x.__setitem__("b", len(x.columns))),
    ),
    "series": Kind(_series, lambda x: x.to_dict(), (lambda x: x.iloc.__setitem__(0, x.iloc[0] + 1), _set("name", str))),
    "csr": Kind(
        _sparse("csr_matrix"),
        lambda x: x.toarray().tolist(),
        (lambda x: x.data.__setitem__(0, 5), lambda x: x.__imul__(2)),
    ),
    "lil": Kind(_sparse("lil_matrix"), lambda x: x.toarray().tolist(), (_count((0, 0)),)),
    "dok": Kind(_sparse("dok_matrix"), lambda x: x.toarray().tolist(), (_count((0, 0)),)),
    "Message": Kind(email.message.Message, lambda x: x.items(), (lambda x: x.add_header("x", "y"),)),
    "ConfigParser": Kind(
        configparser.ConfigParser, lambda x: x.sections(), (lambda x: x.add_section(f"s{len(x.sections())}"),)
    ),
    "SimpleCookie": Kind(http.cookies.SimpleCookie, str, (lambda x: x.__setitem__(f"a{len(x)}", "1"),)),
    "Element": Kind(
        lambda: ElementTree.Element("a"),
        ElementTree.tostring,
        (lambda x: x.append(ElementTree.Element("x")), lambda x: x.set("k", "v"), _set("text", lambda x: f"{x}t")),
    ),
    "TopologicalSorter": Kind(
        graphlib.TopologicalSorter, lambda x: len(x._node2info), (lambda x: x.add(len(x._node2info)),)
    ),
    "ExitStack": Kind(contextlib.ExitStack, lambda x: len(x._exit_callbacks), (lambda x: x.callback(print),)),
    "a handler of the user's": Kind(
        _handled,
        lambda x: [*x[1]],
        (lambda x: x[0].warning("a"),),
    ),
    "Logger": Kind(
        lambda: logging.Logger("a"),
        lambda x: (x.level, len(x.handlers)),
        (lambda x: x.setLevel(10 + x.level), lambda x: x.addHandler(logging.NullHandler())),
    ),
}


def _called(kind: Kind, change: Callable[[Any], Any], compiled: Callable[[Any], Any], is_held: bool) -> list[Any]:
    """The results of four calls, and what is left outside after each, up to an error that says so."""
    weight, thing, holder = tg.tensor([1.0, 2.0], requires_grad=True), kind.make(), Plain()
    vars(holder).update(thing=thing)

    def held(x: Any) -> Any:
        change(holder.thing)  # type: ignore[attr-defined]
        return np.sum(weight * x)

    def named(x: Any) -> Any:
        change(thing)
        return np.sum(weight * x)

    step, made = compiled(held if is_held else named), []
    for turn in range(1, 5):
        try:
            made.append(float(step(turn * X)))
        except TakenError as error:
            assert not error.is_put_back  # noqa: PT017
            break
        made.append(kind.look(thing))
    return made


@pytest.mark.long
@pytest.mark.parametrize("name", KINDS)
def test_what_changes_outside_changes_as_without_compiling(name: str, backend: str) -> None:
    kind, different = KINDS[name], []
    for i, change in enumerate(kind.changes):
        for is_held in (False, True):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UncompiledWarning)
                made = _called(kind, change, lambda f: tg.compile(f, backend), is_held)
            expected = _called(kind, change, lambda f: f, is_held)
            if repr(made) != repr(expected[: len(made)]):
                different.append((i, is_held, made, expected))
    assert not different


def test_a_cache_is_filled_by_the_function_itself_and_then_there_is_a_program() -> None:
    remembering = functools.lru_cache(lambda i: np.sqrt(float(i)))
    step = tg.compile(lambda x: np.sum(x * remembering(9)), "numpy")
    for _ in range(3):
        assert [float(step(X)) for _ in range(3)] == [9, 9, 9]
        assert remembering.cache_info().misses == 1
        assert step.source
        remembering.cache_clear()


@pytest.mark.parametrize("size", [None, 128, 3])
def test_what_a_cache_had_before_stays_there(size: int | None) -> None:
    remembering = functools.lru_cache(size)(lambda name: [Plain(), len(name)])
    old = remembering("a")
    step = tg.compile(lambda x: np.sum(x * remembering("bb")[1] * remembering("a")[1]), "numpy")
    assert [float(step(X)) for _ in range(3)] == [6, 6, 6]
    assert step.source
    assert remembering("a") is old
    assert remembering.cache_info().currsize == 2


def test_a_cache_may_get_more_for_arrays_of_other_sizes() -> None:
    remembering = functools.lru_cache(lambda size: np.arange(float(size)))
    step = tg.compile(lambda x: np.sum(x * remembering(len(x))), "numpy")
    recorded_once = two_recordings._recorded_once
    with mock.patch.object(two_recordings, "_recorded_once", side_effect=recorded_once) as recordings:
        for size in (3, 4, 5) * 2:
            assert step(np.ones(size)) == sum(range(size))
        before = recordings.call_count
        for size in (3, 4, 5) * 2:
            assert step(np.ones(size)) == sum(range(size))
        assert recordings.call_count == before


@pytest.mark.parametrize("name", ["Mock", "a logger", "bytearray", "cached"])
def test_what_changes_in_each_run_is_hardly_recorded_again(name: str) -> None:
    log, text, remembering, keys = logging.Logger("a"), bytearray(), functools.lru_cache(None)(float), Turns()
    log.addHandler(logging.StreamHandler(io.StringIO()))
    change = {
        "Mock": mock.Mock(),
        "a logger": lambda: log.warning("text"),
        "bytearray": lambda: text.append(1),
        "cached": lambda: remembering(keys()),
    }[name]

    def step(x: Any) -> Any:
        change()
        return np.sum(x)

    step, recorded_once = tg.compile(step, "numpy"), two_recordings._recorded_once
    with mock.patch.object(two_recordings, "_recorded_once", side_effect=recorded_once) as recordings:
        with pytest.warns(UncompiledWarning, match="in each run"):
            assert [float(step(X)) for _ in range(100)] == [3] * 100
        assert recordings.call_count < 15


def test_a_global_name_may_get_the_same_number_in_each_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "TURNS", 0.0)

    def step(x: Any) -> Any:
        globals()["TURNS"] = float("5")
        return np.sum(x)

    step = tg.compile(step, "numpy")
    assert [float(step(X)) for _ in range(4)] == [3] * 4
    assert globals()["TURNS"] == 5
    assert step.source


class Asked:
    """An object and an iterator that notes what is asked of it."""

    def __init__(self, asked: set[str]) -> None:
        vars(self).update(asked=asked)

    def __getattr__(self, name: str) -> Any:
        self.asked.add(name)
        raise AttributeError(name)


def _asking(name: str) -> Any:
    def method(self: Asked, *args: Any) -> Any:
        self.asked.add(name)
        raise TypeError(name)

    return method


METHODS = (
    *("__iter__", "__next__", "__length_hint__", "__len__", "__bool__", "__eq__", "__repr__", "__reduce__"),
    *("__getstate__", "__setstate__", "__array__", "__buffer__", "tell", "seek", "qsize", "cache_info", "cache_clear"),
)


def test_nothing_is_asked_of_users_objects() -> None:
    asked: set[str] = set()
    kind = type("Kind", (Asked,), {name: _asking(name) for name in METHODS} | {"__hash__": object.__hash__})
    holder = Plain()
    vars(holder).update(thing=kind(asked), others=[kind(asked)])
    step = tg.compile(lambda x: np.sum(x) * (holder is not None), "numpy")
    assert [float(step(X)) for _ in range(2)] == [3, 3]
    assert not asked


def test_what_changes_in_each_run_is_told_once_and_needs_no_program() -> None:
    text = bytearray()

    def step(x: Any) -> Any:
        text.extend(b"x")
        return np.sum(x)

    compiled = tg.compile(step, "numpy")
    with pytest.warns(UncompiledWarning, match=r"step changes text \(bytearray\) in each run"):
        assert [float(compiled(X)) for _ in range(3)] == [3, 3, 3]
    assert text == b"xxx"
    with warnings.catch_warnings():
        warnings.simplefilter("error", UncompiledWarning)
        compiled = tg.compile(step, "numpy")
        compiled(X)
        with pytest.raises(UsageError, match="in each run"):
            compiled(X)


def test_a_change_by_others_is_followed() -> None:
    """A program relies on what the function has changed once: it does so again where somebody has changed it back."""
    event = threading.Event()
    step = tg.compile(lambda x: np.sum(x) + (event.set() or 0), "numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncompiledWarning)
        for _ in range(3):
            assert [float(step(X)) for _ in range(3)] == [3, 3, 3]
            assert event.is_set()
            event.clear()


def test_a_file_on_disk_that_numpy_writes_into(tmp_path: Path) -> None:
    path = tmp_path / "numbers"
    path.write_bytes(bytes(64))
    rows = np.memmap(path, float, "r+", shape=(8,))

    def step(x: Any) -> Any:
        rows[1] += 1.0
        return np.sum(x)

    compiled = tg.compile(step, "numpy")
    with pytest.warns(UncompiledWarning, match="reads and changes the entries of rows"):
        assert [float(compiled(X)) for _ in range(4)] == [3] * 4
    assert rows[1] == 4


class Counting(type):
    """A class of classes that count their objects."""

    made = 0

    def __call__(cls, *args: Any) -> Any:
        cls.made += 1
        return super().__call__(*args)


def test_what_classes_and_their_observers_count() -> None:
    class Squares(metaclass=Counting):
        def __init__(self, x: Any) -> None:
            self.x = x

    class Observer(Plain):
        calls = 0

        def __call__(self) -> None:
            self.calls += 1

    observers = [Observer(), Observer()]
    seen = weakref.WeakSet(observers)

    def step(x: Any) -> Any:
        for observer in [*seen]:
            observer()
        return np.sum(Squares(x).x ** 2)

    step = tg.compile(step, "numpy")
    with pytest.warns(UncompiledWarning, match="in each run"):
        assert [float(step(X)) for _ in range(4)] == [5] * 4
    assert Squares.made == 4
    assert [observer.calls for observer in observers] == [4, 4]


def test_a_global_name_that_is_set_without_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "TURNS", 0)

    def step(x: Any) -> Any:
        globals()["TURNS"] += 1
        return np.sum(x)

    step = tg.compile(step, "numpy")
    with pytest.warns(UncompiledWarning, match="changes global names of .*test_changes_outside"):
        assert [float(step(X)) for _ in range(4)] == [3] * 4
    assert globals()["TURNS"] == 4


def test_what_another_thread_puts_into_a_queue_stays_there() -> None:
    batches: queue.Queue[int] = queue.Queue()
    begin, done = threading.Event(), threading.Event()

    def produce() -> None:
        begin.wait()
        batches.put(1)
        batches.put(2)
        done.set()
        begin.wait()

    def step(x: Any) -> Any:
        begin.set()
        done.wait()
        return np.sum(x) * (batches.maxsize + 1)

    thread = threading.Thread(target=produce)
    thread.start()
    compiled = tg.compile(step, "numpy")
    assert [float(compiled(X)) for _ in range(3)] == [3] * 3
    thread.join()
    assert [*batches.queue] == [1, 2]


def test_a_thread_that_the_function_starts_may_work_for_others() -> None:
    with ThreadPoolExecutor(1) as pool:
        step = tg.compile(lambda x: np.sum(x) * pool.submit(float, 2).result(), "numpy")
        assert [float(step(X)) for _ in range(3)] == [6] * 3
        assert len({pool.submit(threading.get_ident).result() for _ in range(9)}) == 1


@pytest.mark.parametrize("make", [list, collections.deque, set, bytearray, collections.OrderedDict])
def test_what_another_thread_puts_beside_a_function_stays_there(make: Callable[[], Any]) -> None:
    holder, begin, done = Plain(), threading.Event(), threading.Event()
    vars(holder).update(scale=1.0, others=make(), begin=begin)
    put = next(getattr(make, name) for name in ("append", "add", "setdefault") if hasattr(make, name))

    def produce() -> None:
        begin.wait()
        put(vars(holder)["others"], 7)
        done.set()
        begin.wait()

    def step(x: Any) -> Any:
        begin.set()
        done.wait()
        return np.sum(x) * holder.scale  # type: ignore[attr-defined]

    thread = threading.Thread(target=produce)
    thread.start()
    compiled = tg.compile(step, "numpy")
    assert [float(compiled(X)) for _ in range(3)] == [3] * 3
    thread.join()
    assert [*vars(holder)["others"]] == [7]


READS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "column": (_frame, lambda x: x["a"].sum()),
    "entry": (_frame, lambda x: x.loc[1, "a"]),
    "row": (_frame, lambda x: x.iloc[1]["a"]),
    "rows": (_frame, lambda x: x[x["a"] > 1]["a"].sum()),
    "groups": (_frame, lambda x: x.groupby("a")["a"].sum()[2.0]),
    "database": (lambda: sqlite3.connect(":memory:"), lambda x: x.execute("select 2.0").fetchone()[0]),
}
"""What makes an object of a library, and what reads from it, of which the library keeps notes."""


@pytest.mark.parametrize("is_held", [True, False])
@pytest.mark.parametrize("name", READS)
def test_what_only_reads_changes_nothing(name: str, is_held: bool) -> None:
    make, read = READS[name]
    thing, holder = make(), Plain()
    vars(holder).update(thing=thing)
    held = tg.compile(lambda x: np.sum(x) * read(holder.thing), "numpy")  # type: ignore[attr-defined]
    named = tg.compile(lambda x: np.sum(x) * read(thing), "numpy")
    assert [float((held if is_held else named)(X)) for _ in range(3)] == [3.0 * read(thing)] * 3
    if name == "database":
        thing.close()


def test_a_coroutine_is_refused_before_it_is_made() -> None:
    async def step(x: Any) -> Any:
        return x * 2

    compiled = tg.compile(step, "numpy")
    with pytest.warns(UncompiledWarning, match="step is a generator or a coroutine"):
        np.testing.assert_array_equal(asyncio.run(compiled(X)), 2 * X)
