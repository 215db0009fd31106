"""The native backend: its cache, its layouts, and what it leaves to NumPy."""

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.compiler.native import compiling, functions, scalars
from tinygrad_lite.compiler.native.source import NativeSource
from tinygrad_lite.nn import functional as F


def compiled_here() -> int:
    """How many functions had to be compiled for a program, and were not read from the cache."""
    x = np.arange(5.0)
    with mock.patch.object(compiling, "_made", wraps=compiling._made) as made:
        f = tg.compile(lambda x: np.sum(np.sin(x) ** 2), "native")
        assert np.isclose(f(x), np.sum(np.sin(x) ** 2))
    return made.call_count


def compiled_in_another_process() -> int:
    script = "from tests.compiler.test_native import compiled_here; print(compiled_here())"
    return int(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)


def test_machine_code_is_kept(cache: Path) -> None:
    assert compiled_here() == 1
    assert compiled_here() == 0
    assert compiled_in_another_process() == 0


@pytest.mark.parametrize("ending", ["*.nbc", "*.nbi", "loops.py"])
@pytest.mark.parametrize("compiled", [compiled_here, pytest.param(compiled_in_another_process, marks=pytest.mark.slow)])
def test_machine_code_is_never_trusted(cache: Path, compiled: Callable[[], int], ending: str) -> None:
    assert compiled() == 1
    for file in cache.rglob(ending):
        file.write_bytes(file.read_bytes()[:20])
    assert compiled() >= 1
    assert compiled() + compiled() <= 1


@pytest.mark.parametrize("compiled", [compiled_here, pytest.param(compiled_in_another_process, marks=pytest.mark.slow)])
def test_a_cache_that_cannot_be_written(cache: Path, compiled: Callable[[], int]) -> None:
    cache.rmdir()
    cache.write_text("a file where the folder should be")
    assert compiled() == 1


@pytest.mark.parametrize(
    "change",
    [lambda x: x.T, lambda x: x[::2], lambda x: x[:, ::-1], lambda x: np.asfortranarray(x), lambda x: x[1:]],
    ids=["transposed", "strided", "reversed", "by columns", "sliced"],
)
def test_arrays_may_lie_in_memory_as_they_like(change: object) -> None:
    x = change(np.random.default_rng(0).normal(size=(6, 6)))  # type: ignore[operator]
    f = tg.compile(lambda x: (np.exp(x) @ x.T, np.sum(x, axis=0)), "native")
    for given in (np.ascontiguousarray(x), x, np.asfortranarray(x), x):
        for found, expected in zip(f(given), (np.exp(x) @ x.T, np.sum(x, axis=0))):
            np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_what_has_no_native_form_is_said() -> None:
    f = tg.compile(lambda x: np.sum(np.linalg.inv(x) @ np.tanh(x)), "native")
    x = np.eye(3) + 0.1
    f(x)
    report = f.report()
    assert report.falls_back == {"inv": 1}
    assert "inv (1)" in str(report)
    np.testing.assert_allclose(f(x), np.sum(np.linalg.inv(x) @ np.tanh(x)))


def test_sums_in_float32_keep_their_digits() -> None:
    x = np.random.default_rng(0).random(100_000, dtype=np.float32)
    f = tg.compile(lambda x: np.sum(x), "native")
    np.testing.assert_allclose(f(x), np.sum(x.astype(float)), rtol=1e-6)


def test_short_loops_are_written_out_and_long_ones_shared() -> None:
    f = tg.compile(lambda x, w: F.relu(x @ w) * 2 + 1, "native")
    f(np.ones((50, 3)), np.ones((3, 2)))
    (text,) = f._latest.executor.source.texts.values()  # type: ignore[union-attr]
    assert text.count("for ") == 1


def source_of(f: Any, *x: Any) -> NativeSource:
    compiled = tg.compile(f, "native")
    expected = f(*x)
    compiled(*x)
    np.testing.assert_allclose(compiled(*x), expected, rtol=1e-12)
    return compiled._latest.executor.source  # type: ignore[union-attr]


def test_what_runs_entry_by_entry_and_the_sum_behind_it_are_one_loop_without_an_array_between() -> None:
    source = source_of(lambda x: np.sum((x * 2 + 1) * (x - 3)), np.arange(1000.0))
    (text,) = source.texts.values()
    assert text.count("for ") == 1
    assert sum(source.buffers.values()) == 1  # the sum


def test_functions_are_in_a_loop_of_their_own_which_a_sum_would_keep_from_being_vectorised() -> None:
    source = source_of(lambda x: np.sum(np.tanh(x * 2 + 1) * np.exp(-x)), np.ones(1000))
    (text,) = source.texts.values()
    assert text.count("for ") == 2


def test_views_take_no_memory() -> None:
    x = np.arange(60.0).reshape(6, 10)
    source = source_of(lambda x: np.exp(np.reshape(x.T[::2], (5, 2, 3))[:, 1]), x)
    assert sum(source.buffers.values()) == 15  # the result


def test_arrays_that_are_not_needed_at_the_same_time_share_their_memory() -> None:
    def f(x: Any) -> Any:
        for _ in range(10):
            x = np.cos(x @ x)
        return x

    source = source_of(f, np.random.default_rng(0).normal(size=(40, 40)) / 7)
    assert sum(source.buffers.values()) <= 3 * 40 * 40


@pytest.mark.parametrize("ufunc", functions.BY_NUMPYS, ids=lambda ufunc: ufunc.__name__)
def test_functions_of_ours_are_numpys_to_the_last_digits(ufunc: np.ufunc) -> None:
    rng = np.random.default_rng(0)
    edges = [np.nan, np.inf, 0.0, 1.0, 1 + 1e-15, 1e-16, 5e-324, 2.2250738585072014e-308, 1.7e308]
    edges += [709.78, 709.8, 745.13, 745.2, np.sqrt(0.5), np.sqrt(2), 0.625, 0.62499]
    spread = np.concatenate([rng.normal(size=3000) * size for size in (1e-300, 1e-16, 1e-8, 1e-3, 1, 10, 300)])
    x = np.concatenate([spread, 1 + spread, edges, np.negative(edges)])
    with np.errstate(all="ignore"):
        found, expected = tg.compile(lambda x: ufunc(x), "native")(x), ufunc(x)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
        known, finite = ~np.isnan(expected), np.isfinite(expected)
        np.testing.assert_array_equal(np.signbit(found[known]), np.signbit(expected[known]))
        np.testing.assert_array_equal(found[~finite], expected[~finite])
        distance = np.abs(found - expected)[finite] / np.spacing(np.abs(expected[finite]))
    assert np.max(distance) <= 2


def test_the_functions_of_one_entry_are_those_of_numba() -> None:
    known = importlib.import_module("numba.np.ufunc_db").get_ufuncs()
    ours = scalars._INSTRUCTIONS | scalars._FUNCTIONS
    assert ours <= set(known)
    others = {ufunc.__name__ for ufunc in known} - {ufunc.__name__ for ufunc in (*ours, *scalars._OPERATORS)}
    assert others == {"divmod", "isnat"}  # of two results, and of dates
