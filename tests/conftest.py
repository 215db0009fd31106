"""Hypothesis profiles, chosen with `pytest --hypothesis-profile thorough`; `usual` is the default.

`quick` is for the further environments of a run, where it is versions that differ and not values: its few examples are
others than the usual ones, and others with each `--hypothesis-seed`. `thorough` draws other examples on each run.
"""

import functools
import gc
import os
import shutil
import tempfile
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import hypothesis.core
import pytest
from _pytest.mark import MarkMatcher
from _pytest.mark.expression import Expression
from _pytest.runner import runtestprotocol
from hypothesis import HealthCheck, settings

os.environ["OMP_NUM_THREADS"] = "1"  # else threads of matrix products wait for each other, busily, in each process
os.environ["NUMBA_OPT"] = "0"  # what other libraries compile here runs once

if os.environ.get("PYTEST_XDIST_WORKER") == "gw1":  # what is imported first is compiled, of which each does a part
    for library in ("pandas", "scipy.stats", "sklearn.utils.estimator_checks"):
        if find_spec(library.partition(".")[0]):
            import_module(library)

import tinygrad_lite.distributions  # a loop over the registry is the same in each part of the suite
from tinygrad_lite.array_api.writing import is_writing
from tinygrad_lite.checking.diagnosing import patience
from tinygrad_lite.engine import grad_mode, registry
from tinygrad_lite.exercises import marking
from tinygrad_lite.transforms.custom import recomputes
from tinygrad_lite.transforms.pending import at_once

if find_spec("scipy"):
    import tinygrad_lite.ops.continuations.special  # noqa: F401  for the same reason

patience.SECONDS = marking._TRYING = 60.0  # what a search finds must not depend on how fast the machine is
os.fsync = lambda _: None  # no file here need outlive a power cut, and a disk takes 30 ms to make sure that it would

gc.disable()  # until all tests are collected: nearly all that is made meanwhile stays

BROWSERS = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"]  # the first has no windows
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]

shared = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("quick", max_examples=5, database=None, **shared)
settings.register_profile("usual", max_examples=5, derandomize=True, **shared)
settings.register_profile("thorough", max_examples=1000, **shared)
settings.load_profile("usual")
# Hypothesis reads and parses the source of a test twice for each of its cases, which takes longer than many a case
hypothesis.core.function_digest = functools.cache(hypothesis.core.function_digest)


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "run a sixth of the slow cases, and of each other test a sixth of its cases, or one"
    parser.addoption("--sixth", type=int, choices=range(6), help=text)


MANY = 50
"""A test with so many cases is a long loop."""


def one_in(stride: int, cases: Sequence[Any], name: str, *, number: int = 0, keep_one: bool = True) -> Sequence[Any]:
    """One in this many cases of the test of this name.

    Which cases these are depends on the name, so that tests of the same operations keep different ones. If no test need
    keep one, the numbers below the stride share out all cases, also those of tests that have few.
    """
    first = (zlib.crc32(name.encode()) + number) % (min(stride, len(cases)) if keep_one else stride)
    return cases[first::stride]


def one_backend_each(calls: Sequence[Any], name: str) -> set[int]:
    """The indices of the cases of this test without those that differ from another one only in their backend.

    All backends get the same recordings, and the tests of operations try each of them on all of these.
    """
    alike: dict[str, list[int]] = {}
    for index, call in enumerate(calls):
        backend = str(call.params.get("backend", ""))
        alike.setdefault(call.id.replace(backend, "", 1), []).append(index)
    return {one_in(len(group), group, f"{name}[{case}]")[0] for case, group in alike.items()}


@pytest.hookimpl(wrapper=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> Iterator[None]:
    """Mark most cases of a long loop as slow; cases that the run does not ask for are not even made into tests.

    The usual run takes every eleventh case of a loop of many, and every fifth, or one, of a loop that takes long, as
    all do in the browser: half a second for a case. With even numbers, loops over pairs would leave out all of a kind.
    Of any other loop, it takes one backend for each case.
    """
    yield
    definition, calls = metafunc.definition, metafunc._calls
    of_all = {mark.name for mark in definition.iter_markers()}

    def marks(call: Any) -> set[str]:
        return of_all.union(mark.name for mark in call.marks)

    loop = [call for call in calls if marks(call).isdisjoint({"slow", "whole", "compare"})]
    is_long = "long" in of_all or "browser" in metafunc.fixturenames
    stride = (11 if len(loop) >= MANY else 1) * (5 if is_long else 1)
    usual = set(one_in(stride, range(len(loop)), definition.nodeid)) if loop else set()
    if len(usual) == len(loop):
        usual = one_backend_each(loop, definition.nodeid)
    for index, call in enumerate(loop):
        if index not in usual:
            call.marks.append(pytest.mark.slow.mark)
    if expression := metafunc.config.option.markexpr:
        asks_for = Expression.compile(expression).evaluate
        own = [*definition.iter_markers()]
        asked_for = [call for call in calls if asks_for(MarkMatcher.from_markers([*own, *call.marks]))]
        calls[:] = asked_for or calls[:1]  # of no call, pytest would make a test without arguments


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take a sixth if the run asks for it, and prepare stacks.

    Python's stack grows in pieces of 16 KB, and a call across the end of a piece maps and unmaps memory each time. Code
    that calls deeply has spent a fourth of its time there. A frame that asks for much gets a large piece, with room for
    what it calls.
    """
    if (number := config.getoption("--sixth")) is not None:
        tests: dict[tuple[str, bool], list[pytest.Item]] = {}
        for item in items:
            is_slow = item.get_closest_marker("slow") is not None
            tests.setdefault((item.nodeid.partition("[")[0], is_slow), []).append(item)
        kept: set[pytest.Item] = set()
        for (name, is_slow), cases in tests.items():
            kept.update(one_in(6, cases, name, number=number, keep_one=not is_slow))
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = [item for item in items if item in kept]
    for test in {item.function for item in items if isinstance(item, pytest.Function)}:
        test.__code__ = test.__code__.replace(co_stacksize=2**16)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """A process beside others tells what a test did in one message; the other five say that there is nothing to say."""
    if not hasattr(item.config, "workerinput"):
        return None
    for report in runtestprotocol(item, log=False, nextitem=nextitem):
        if report.when == "call" or not report.passed:
            item.ihook.pytest_runtest_logreport(report=report)
    return True


def pytest_collection_finish() -> None:
    """Spare the garbage collector from searching, again and again, what stays until the end.

    Else a search costs as much as all modules and all tests that were collected are large, whatever a test makes. The
    garbage among that is a tenth, and to find it takes a second.
    """
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000)  # compilers and graphs make far more objects than the 700 after which it would look


@contextmanager
def former_operations() -> Iterator[None]:
    """Forget the operations that are declared meanwhile, except for the tables of the package that are read late."""
    tables = registry._OPERATIONS, registry.ANSWERS
    before = [table.copy() for table in tables]
    yield
    for table, former in zip(tables, before):
        if table == former:  # in nearly all tests
            continue
        for key in [key for key, answer in table.items() if former.get(key) is not answer]:
            if not getattr(table[key], "module", table[key].__module__).startswith("tinygrad_lite."):
                del table[key]
        table.update(former)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """Else what one file of tests declares is tried by the loops over all operations in the files that follow."""
    if not isinstance(collector, pytest.Module):
        return (yield)
    with former_operations():
        return (yield)


@pytest.fixture(autouse=True)
def _operations_end_with_the_test_that_declared_them() -> Iterator[None]:
    """Else a wrong one, or one of a page that was run, is among those that a later test draws from."""
    with former_operations():
        yield


MODES = (grad_mode.enabled, grad_mode.transforming, recomputes, at_once, is_writing)


@pytest.fixture(autouse=True)
def _modes_end_with_the_test_that_set_them() -> Iterator[None]:
    """Else an error has left one behind, in which whatever comes next works in another way."""
    before = [mode.get() for mode in MODES]
    yield
    assert [mode.get() for mode in MODES] == before


@pytest.fixture(autouse=True, scope="session")
def _temporary_files_end_with_the_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Those of examples, which leave theirs behind; pytest removes the folders of all runs but the last three."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))
        yield


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The system's Chromium, driven by Playwright: one for all tests of a process, which can have no second."""
    if CHROMIUM is None:
        assert not os.environ.get("CI"), "CI installs Chromium"
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()
