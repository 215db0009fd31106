"""The native backend: its cache, its layouts, its numbers beside NumPy's, and what it leaves to NumPy."""

import gc
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from itertools import combinations
from pathlib import Path
from typing import Any
from unittest import mock
from weakref import ref

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.marks import param
from tinygrad_lite.compiler.native import functions, machine, pairs, plan
from tinygrad_lite.compiler.native.plan import Plan, Segment, packed
from tinygrad_lite.compiler.program import Variable
from tinygrad_lite.engine.registry import operations

MODULES = 2
"""The modules of a program: its own, and that of the function which runs all programs."""


def let_go_of_machines() -> None:
    """Make this process forget the machine code that it keeps for other programs."""
    for kept in (machine._latest, machine._machines):
        kept.clear()
    machine.table_runner.cache_clear()


def compiled_here() -> int:
    """How many modules had to be compiled for a program, and were not read from the cache."""
    x = np.arange(5.0)
    let_go_of_machines()
    with mock.patch.object(machine, "_compiled", wraps=machine._compiled) as made:
        f = tg.compile(lambda x: np.sum(np.sin(x) ** 2), "native")
        assert np.isclose(f(x), np.sum(np.sin(x) ** 2))
    return made.call_count


def compiled_in_another_process() -> int:
    script = "from tests.compiler.test_native import compiled_here; print(compiled_here())"
    return int(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)


def test_machine_code_is_kept(cache: Path) -> None:
    assert compiled_here() == MODULES
    assert compiled_here() == 0
    assert compiled_in_another_process() == 0


@pytest.mark.parametrize("compiled", [compiled_here, pytest.param(compiled_in_another_process, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "spoiled", [lambda code: code[:20], lambda code: code[:-8] + bytes(8)], ids=["half", "changed"]
)
def test_machine_code_is_never_trusted(cache: Path, compiled: Callable[[], int], spoiled: Any) -> None:
    assert compiled() == MODULES
    for spoilt in range(1, MODULES + 1):
        for file in sorted(cache.rglob("*.o"))[:spoilt]:
            file.write_bytes(spoiled(file.read_bytes()))
        assert compiled() == spoilt
        assert compiled() == 0


def test_machine_code_lives_as_long_as_a_program_that_runs_it(cache: Path) -> None:
    """Whoever else keeps it may let it go: of two threads that compile the same function, one keeps its own."""
    let_go_of_machines()
    with mock.patch.object(machine.Machine, "__init__", autospec=True, side_effect=machine.Machine.__init__) as init:
        compiled = tg.compile(lambda x: np.exp(-np.sum(x * x)), "native")
        compiled(np.ones(3))
        made = [ref(call.args[0]) for call in init.call_args_list]
        init.reset_mock()
    let_go_of_machines()
    gc.collect()
    assert [x() is not None for x in made] == [True] * MODULES
    np.testing.assert_allclose(compiled(np.ones(3)), np.exp(-3))


def test_what_is_made_anew_for_the_same_shapes_has_the_same_code() -> None:
    def results(seed: int) -> Any:
        layer = tg.nn.Linear(3, 2, rng=seed)
        step = tg.compile(lambda x: np.tanh(layer(x)) + np.arange(2.0) * seed, "native")
        x = np.full((4, 3), 0.1 * seed)
        np.testing.assert_allclose(step(x).numpy(), np.tanh(layer(x).numpy()) + np.arange(2.0) * seed, rtol=1e-14)

    results(1)
    with mock.patch.object(plan, "Lowering", side_effect=AssertionError), mock.patch.object(machine, "Machine", None):
        results(1)
        results(2)


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="the modes of files are those of POSIX")
@pytest.mark.parametrize("opened", ["folder", "file"])
def test_machine_code_that_others_can_write_is_not_run(cache: Path, opened: str) -> None:
    cache.rmdir()
    assert compiled_here() == MODULES
    assert cache.stat().st_mode & 0o777 == 0o700
    for path in [cache] if opened == "folder" else cache.rglob("*.o"):
        path.chmod(0o777)
    assert compiled_here() == MODULES


@pytest.mark.parametrize("compiled", [compiled_here, pytest.param(compiled_in_another_process, marks=pytest.mark.slow)])
def test_a_cache_that_cannot_be_written(cache: Path, compiled: Callable[[], int]) -> None:
    cache.rmdir()
    cache.write_text("a file where the folder should be")
    assert compiled() == MODULES


def test_machine_code_that_was_used_longest_ago_makes_room(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled_here()
    code = {file: file.stat().st_size for file in cache.rglob("*.o")}
    for file in code:
        os.utime(file, (1, 1))
    others = [cache / f"{age:0{machine.DIGITS}x}.o" for age in range(3)]
    users = cache / "program.o"
    for age, file in enumerate([*others, users]):
        file.write_bytes(bytes(100))
        os.utime(file, (10_000 - age, 10_000 - age))
    assert compiled_here() == 0  # so that both files have been used
    monkeypatch.setattr(machine, "LARGEST", sum(code.values()) + 250)
    machine._make_room.cache_clear()
    machine._make_room(cache)
    assert set(cache.rglob("*.o")) == {*code, *others[:2], users}
    assert compiled_here() == 0


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
    f = tg.compile(lambda x: np.sum(np.argsort(x) * np.sum(np.tanh(x))), "native")
    x = np.eye(3) + 0.1
    f(x)
    report = f.report()
    assert report.falls_back == {"argsort": 1}
    assert "argsort (1)" in str(report)
    np.testing.assert_allclose(f(x), np.sum(np.argsort(x) * np.sum(np.tanh(x))))


def test_sums_in_float32_keep_their_digits() -> None:
    x = np.random.default_rng(0).random(100_000, dtype=np.float32)
    f = tg.compile(lambda x: np.sum(x), "native")
    np.testing.assert_allclose(f(x), np.sum(x.astype(float)), rtol=1e-6)


def plan_of(f: Any, *x: Any) -> Plan:
    compiled = tg.compile(f, "native")
    expected = f(*x)
    compiled(*x)
    np.testing.assert_allclose(compiled(*x), expected, rtol=1e-12)
    return compiled._latest.executor.plan  # type: ignore[union-attr, no-any-return]


@pytest.mark.long
@pytest.mark.parametrize("optimizer", [tg.optim.SGD, tg.optim.Adam], ids=["SGD", "Adam"])
@pytest.mark.parametrize("rows", [2, 64])
def test_the_gradient_of_a_weight_lies_as_the_weight_does(optimizer: Any, rows: int) -> None:
    """Else an update reads one of the two across its rows."""
    layer = tg.nn.Linear(32, 48, rng=0)
    optimizer = optimizer(layer.parameters(), lr=0.1)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = np.mean(layer(x) ** 2)
        loss.backward()
        optimizer.step()
        return loss

    step(np.ones((rows, 32)))
    compiled = tg.compile(step, "native")
    for _ in range(2):
        compiled(np.ones((rows, 32)))
    layouts = compiled._latest.executor.plan.layouts
    assert {layout.strides for x, layout in layouts.items() if x.shape == (48, 32)} == {(1, 48)}


def segments(plan: Plan) -> list[Segment]:
    return [step for step in plan.steps if isinstance(step, Segment)]


@pytest.mark.parametrize("statistic", [np.std, np.var])
def test_statistics_of_chosen_entries(statistic: Any) -> None:
    x, chosen = np.arange(6.0).reshape(2, 3), np.array([[True, False, True], [False, True, True]])
    compiled = tg.compile(lambda x: statistic(x, axis=1, where=chosen), "native")
    np.testing.assert_allclose(compiled(x), statistic(x, axis=1, where=chosen), rtol=1e-15)


@pytest.mark.parametrize("statistic", [np.sum, np.prod, np.var, np.mean])
@pytest.mark.parametrize("mask", [[True, False, True], (True, False, True), False], ids=str)
def test_a_mask_may_be_a_list(statistic: Any, mask: Any) -> None:
    """It was left out."""
    x = np.array([0.5, 1.5, 2.5])
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of the mean of nothing
        expected = statistic(x, where=mask)
        found = tg.compile(lambda x: statistic(x, where=mask), "native")(x)
    np.testing.assert_allclose(found, expected, rtol=1e-15)


def test_what_runs_entry_by_entry_and_the_sum_behind_it_are_one_loop_without_an_array_between() -> None:
    plan = plan_of(lambda x: np.sum(np.tanh(x * 2 + 1) * (x - 3)), np.arange(1000.0))
    (segment,) = segments(plan)
    assert segment.text.count("phi") == 1
    assert plan.size == 64  # the sum


def test_neighbouring_axes_that_lie_one_after_another_are_one_loop() -> None:
    (segment,) = segments(plan_of(lambda x: np.exp(x) * 2, np.ones((4, 5, 6))))
    assert segment.text.count("phi") == 1


def test_views_take_no_memory() -> None:
    x = np.arange(60.0).reshape(6, 10)
    plan = plan_of(lambda x: np.exp(np.reshape(x.T[::2], (5, 2, 3))[:, 1]), x)
    assert plan.size == 128  # the result, in whole lines of the cache


def test_arrays_that_are_not_needed_at_the_same_time_share_their_memory() -> None:
    def f(x: Any) -> Any:
        for _ in range(100):
            x = np.cos(np.sort(x, axis=0))  # by a call of NumPy's, since there are many comparisons
        return x

    plan = plan_of(f, np.random.default_rng(0).normal(size=(40, 40)) / 7)
    # the result, and in a turn its beginning, the order, what is sorted and its cosine
    assert plan.size <= 5 * 40 * 40 * 8


@pytest.mark.parametrize(
    "room_of", [lambda turn, rng: 64 * (turn + 1), lambda turn, rng: 64 * int(rng.integers(1, 200))]
)
def test_blocks_of_all_lengths_take_little_more_than_is_needed_at_a_time(room_of: Callable[[int, Any], int]) -> None:
    rng = np.random.default_rng(0)
    blocks = [Variable((), np.dtype(float)) for _ in range(500)]
    passing = {x: (turn, turn + int(rng.integers(1, 5))) for turn, x in enumerate(blocks)}
    rooms = {x: room_of(turn, rng) for turn, x in enumerate(blocks)}
    offsets, size = packed(passing, rooms, 128)
    needed = [[x for x, (first, last) in passing.items() if first <= step <= last] for step in range(504)]
    for together in needed:
        ends = 128
        for x in sorted(together, key=lambda x: offsets[x]):
            assert offsets[x] >= ends, "two that are needed at the same time overlap"
            ends = offsets[x] + rooms[x]
        assert ends <= size
    assert size <= 2 * max(sum(rooms[x] for x in together) for together in needed)


def test_a_repetition_is_compiled_once() -> None:
    w = np.random.default_rng(0).normal(size=(6, 6)) / 3

    def f(x: Any) -> Any:
        h = x
        for _ in range(100):
            h = np.tanh(h @ w + x)
        return h

    found = segments(plan_of(f, np.ones((3, 6))))
    assert len(found) > 5
    assert len({segment.text for segment in found}) <= 3


READS: dict[str, Any] = {
    "an embedding": lambda x, i, t: x[0][i[t]],
    "entries of a turn": lambda x, i, t: x[t, i[t]],
    "a row of each": lambda x, i, t: x[:, t][np.arange(3), i[t]],
    "a number between arrays": lambda x, i, t: x[np.arange(3), t, i[t]],
    "a slice that moves on": lambda x, i, t: x[i[t], t : t + 2],
}


@pytest.mark.long
@pytest.mark.parametrize("read", [param(read, slow=i > 1) for i, read in enumerate(READS.values())], ids=READS)
def test_turns_that_read_at_computed_indices_are_compiled_once(read: Any) -> None:
    rng = np.random.default_rng(0)
    x, i = rng.normal(size=(120, 120, 3)), rng.integers(0, 3, (100, 3))

    def total(x: Any, i: Any) -> Any:
        h = np.zeros_like(read(x, i, 0))
        for t in range(100):
            h = np.tanh(h + read(x, i, t))
        return h

    found = segments(plan_of(total, x, i))
    assert len(found) > 3 >= len({segment.text for segment in found})


@pytest.mark.long
@pytest.mark.parametrize("sweeps", [1, 2, 5])
def test_a_loop_in_a_loop_is_compiled_once(sweeps: int) -> None:
    w = np.random.default_rng(0).normal(size=(9, 9)) / 3

    def f(x: Any) -> Any:
        total = x
        for _ in range(sweeps):
            h = x
            for _ in range(40):
                h = np.tanh(h @ w + x) * np.cos(h) + np.sin(h @ w.T - x) / (2 + h**2)
            total = total + np.sum(h, axis=0)
        return total

    found = segments(plan_of(f, np.ones((20, 9))))
    assert len(found) > 15 > 5 >= len({segment.text for segment in found})


def test_turns_with_some_work_are_not_compiled_many_times() -> None:
    def longest(rows: int) -> int:
        def f(x: Any) -> Any:
            for _ in range(50):
                x = np.tanh(x) * 2
            return x

        return max(len(segment.calls) for segment in segments(plan_of(f, np.ones((rows, 8)))))

    assert longest(1000) < 5 < longest(1)


SHAPES_WITH_SHORT_LAST_AXES = [
    (40, 3),
    pytest.param((17, 1, 4), marks=pytest.mark.slow),
    *(pytest.param(shape, marks=pytest.mark.slow) for shape in ((3, 40, 2), (40, 2, 3), (2, 40, 30, 3))),
]
REDUCTIONS = [lambda x, *axes, f=f, keep=keep: f(x, axis=axes, keepdims=keep)
              for f in (np.sum, np.mean, np.max, np.min) for keep in (False, True)]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES_WITH_SHORT_LAST_AXES, ids=str)
def test_arrays_with_short_last_axes_are_as_eager(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x, row = rng.normal(size=shape[:-1]), rng.normal(size=shape[-1])
    several = [axes for count in (1, 2) for axes in combinations(range(len(shape)), count)]

    def f(x: Any, row: Any) -> Any:
        y = np.tanh(x[..., None] - row)
        return y, [reduce(y * y, *axes) for axes in several for reduce in REDUCTIONS], y @ row, y.reshape(-1)

    def both(x: Any, row: Any) -> Any:
        def total(x: Any, row: Any) -> Any:
            return sum(np.sum(np.sin(part)) for part in tg.trees.leaves(f(x, row)))

        return f(x, row), tg.grad(total, argnums=(0, 1))(x, row)

    compiled = tg.compile(both, "native")
    for _ in range(2):
        for found, expected in zip(*(tg.trees.leaves(g(x, row)) for g in (compiled, both)), strict=True):
            assert found.shape == expected.shape
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("ufunc", functions.BY_NUMPYS, ids=lambda ufunc: ufunc.__name__)
def test_functions_of_ours_are_numpys_to_the_last_digits(ufunc: np.ufunc) -> None:
    rng = np.random.default_rng(0)
    edges = [np.nan, np.inf, 0.0, 1.0, 1 + 1e-15, 1e-16, 5e-324, 2.2250738585072014e-308, 1.7e308]
    edges += [709.78, 709.8, 710.4, 710.47, 710.5, 745.13, 745.2, np.sqrt(0.5), np.sqrt(2), 0.625, 0.62499]
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


@pytest.mark.parametrize("ufunc", functions.WITHIN, ids=lambda ufunc: ufunc.__name__)
def test_functions_of_near_numbers_are_numpys_to_the_last_digits_and_of_far_ones_numpys(ufunc: np.ufunc) -> None:
    rng = np.random.default_rng(0)
    spread = [rng.normal(size=1000) * size for size in (1e-300, 1e-16, 1e-8, 0.1, 1, 10, 1000, 15_000)]
    x = np.concatenate([*spread, np.arange(-32_000, 32_000) * (np.pi / 2), [0.0, -0.0, 5e-324, functions.FAR]])
    x = x[np.abs(x) <= functions.FAR]
    compiled = tg.compile(lambda x: ufunc(x), "native")
    found, expected = compiled(x), ufunc(x)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))
    assert np.max(np.abs(found - expected) / np.spacing(np.abs(expected))) <= 2
    for far in (np.nextafter(functions.FAR, np.inf), -1e5, 1e300, np.inf, np.nan):
        x[rng.integers(len(x))] = far
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(compiled(x), ufunc(x))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("ufunc", functions.OF_TWO, ids=lambda ufunc: ufunc.__name__)
@pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=lambda dtype: dtype.__name__)
def test_functions_of_two_numbers_are_numpys_to_the_last_digits(ufunc: np.ufunc, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    edges = np.array([0, np.inf, np.nan, 1, 700, 1e30, 1e-30])
    x = np.concatenate([edges, -edges, *[rng.normal(size=100) * size for size in (1e-20, 1e-8, 1, 30, 1e3)]])
    a, b = (part.ravel().astype(dtype) for part in np.meshgrid(x, x))
    expected = ufunc(a, b)
    finite = np.isfinite(expected)
    larger = np.maximum(a, b)  # to which the logarithm of a sum adds a number that may almost cancel it
    distances = np.spacing(np.max(np.abs([expected, larger, expected - larger]), axis=0))[finite]
    native = tg.compile(lambda a, b: ufunc(a, b), "native")
    for found in (native(a, b), ufunc(tg.tensor(a), tg.tensor(b)).numpy()):
        assert found.dtype == dtype
        np.testing.assert_array_equal(found[~finite], expected[~finite])
        assert np.max(np.abs(found - expected)[finite] / distances) <= 2


DTYPES = [np.dtype(code) for code in "?bBhHiIlLefdgFD"]
SPECIAL = [0, 1, 2, 3, 7, -1, -2, -3, -7, 0.2, 0.3, -0.5, 7.8, 1e-3, 100, 127, -128, 255, 2**31 - 1, -(2**31), 2**62]
SPECIAL += [-0.0, np.inf, -np.inf, np.nan, 5e-324, -1e-310, 1e300, -1e300, 1e-45, 3e38]
UFUNCS = [op.forward for op in operations() if isinstance(op.forward, np.ufunc)]
UFUNCS = [ufunc for ufunc in UFUNCS if not ufunc.signature and ufunc.nout == 1 and ufunc.nin < 3]


def values(dtype: np.dtype[Any]) -> Any:
    """Values that a dtype has, special ones among them."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        found = [x for x in SPECIAL if x == x and limits.min <= x <= limits.max and x == int(x)]
        return np.array([*found, limits.min, limits.max]).astype(dtype)
    with np.errstate(all="ignore"):
        return np.array(SPECIAL).astype(dtype)


def calls_of(ufunc: np.ufunc) -> list[tuple[Any, ...]]:
    """The arguments of a ufunc in each dtype that it takes: all pairs of values, and each value with a number."""
    found: list[tuple[Any, ...]] = []
    for dtype in DTYPES:
        x = values(dtype)
        pairs = [part.ravel() for part in np.meshgrid(x, x)] if ufunc.nin == 2 else [x]
        for given in (pairs, [x, 0.3]) if ufunc.nin == 2 and dtype.kind == "f" else (pairs,):
            with suppress(TypeError, ValueError):  # it does not take this dtype
                ufunc(*given)
                found.append(tuple(given))
    return found


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda ufunc: ufunc.__name__)
def test_every_ufunc_is_numpys_for_all_dtypes_and_special_values(ufunc: np.ufunc) -> None:
    calls = calls_of(ufunc)

    def all_of(*arrays: Any) -> list[Any]:
        remaining = iter(arrays)
        return [ufunc(*[next(remaining) if isinstance(x, np.ndarray) else x for x in given]) for given in calls]

    results = tg.compile(all_of, "native")(*[x for given in calls for x in given if isinstance(x, np.ndarray)])
    for given, found in zip(calls, results, strict=True):
        expected = ufunc(*given)
        assert found.dtype == expected.dtype
        ours = (
            any(op.forward is ufunc for op in pairs.RULES) if expected.dtype.kind == "c" else expected.dtype.kind == "f"
        )
        is_ours = ours and (ufunc in functions.BY_NUMPYS or ufunc in functions.OF_TWO)
        tolerance = 4 * np.finfo(expected.dtype).eps if is_ours else 0
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=0, err_msg=f"{ufunc.__name__} of {given}")
        if expected.dtype.kind == "f":
            ordinary = ~np.isnan(expected)
            np.testing.assert_array_equal(np.signbit(found)[ordinary], np.signbit(expected)[ordinary])


WHOLE = [np.dtype(code) for code in ("i8", "i4")]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("whole", WHOLE, ids=str)
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_floats_become_the_integers_of_numpy(dtype: str, whole: np.dtype[Any]) -> None:
    ends = [np.nextafter(sign * 2.0**bits, to) for sign in (-1, 1) for bits in (31, 63) for to in (-np.inf, 0, np.inf)]
    x = np.array([*SPECIAL, *ends, -(2.0**31) - 0.5, 2.0**31 - 0.5, 1.9999, -1.9999]).astype(dtype)
    f = tg.compile(lambda x: (x.astype(whole), x.astype(whole) // 3), "native")
    for found, expected in zip(f(x), (x.astype(whole), x.astype(whole) // 3), strict=True):
        np.testing.assert_array_equal(found, expected, strict=True)
    assert "NumPy calls" not in str(f.report())


def summations(seed: int) -> tuple[str, list[Any]]:
    """Einstein summations of one to four arrays, with diagonals, and letters that only one of them has."""
    rng = np.random.default_rng(seed)
    terms = ["".join(rng.choice([*"abcd"], rng.integers(0, 4))) for _ in range(rng.integers(1, 5))]
    letters = sorted({*"".join(terms)})
    result = "".join(rng.permutation(letters)[: rng.integers(0, len(letters) + 1)]) if letters else ""
    sizes = dict(zip("abcd", rng.integers(1, 4, 4)))
    return f"{','.join(terms)}->{result}", [rng.normal(size=[sizes[c] for c in term]) for term in terms]


@pytest.mark.parametrize("seed", range(60))
def test_summations_and_their_gradients_need_no_numpy_call(seed: int) -> None:
    subscripts, arrays = summations(seed)

    def both(*arrays: Any) -> Any:
        loss = lambda *x: np.sum(np.sin(np.einsum(subscripts, *x)))  # noqa: E731
        return np.einsum(subscripts, *arrays), tg.grad(loss, argnums=[*range(len(arrays))])(*arrays)

    f = tg.compile(both, "native")
    for found, expected in zip(tg.trees.leaves(f(*arrays)), tg.trees.leaves(both(*arrays)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12, strict=True)
    assert "einsum" not in str(f.report())


@pytest.mark.long
@pytest.mark.parametrize("offset", [-2, 0, 1, 3])
@pytest.mark.parametrize("axes", [(0, 1), (-1, 0), (1, -1)])
def test_traces_need_no_numpy_call(offset: int, axes: tuple[int, int]) -> None:
    def both(x: Any) -> Any:
        return np.trace(x, offset, *axes), tg.grad(lambda x: np.sum(np.trace(x * x, offset, *axes)))(x)

    for shape in ((3, 4), (4, 2, 3), (1, 1)):
        x, f = np.random.default_rng(0).normal(size=shape), tg.compile(both, "native")
        if axes == (1, -1) and len(shape) < 3:
            continue
        for found, expected in zip(f(x), both(x), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-14)
        assert "trace" not in str(f.report())


@pytest.mark.parametrize("running", [np.cumsum, np.cumprod])
def test_running_on_over_all_axes_needs_no_numpy_call(running: Any) -> None:
    def both(x: Any) -> Any:
        return running(x), tg.grad(lambda x: np.sum(np.sin(running(x * x))))(x)

    rows, f = np.random.default_rng(0).uniform(0.5, 1.5, (2, 3, 4)), tg.compile(both, "native")
    for x in (rows, np.asfortranarray(rows), rows[:, ::-1]):
        for found, expected in zip(f(x), both(x), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert running.__name__ not in str(f.report())


OTHERS: dict[str, Callable[[Any], Any]] = {
    **{f"round to {k}": lambda x, k=k: np.round(x[0], k) for k in (0, 1, 2, 16, -1, -3)},
    "no NaN": lambda x: np.nan_to_num(x[0]),
    "numbers for NaN and infinities": lambda x: np.nan_to_num(x[0], nan=1.5, posinf=3.0, neginf=-2.0),
    **{f"power {n}": lambda x, n=n: np.linalg.matrix_power(x[1], n) for n in range(1, 9)},
    "product of three": lambda x: np.linalg.multi_dot([x[1], x[1], x[1]]),
    "product from vector to vector": lambda x: np.linalg.multi_dot([x[1][0], x[1], x[1], x[1][1]]),
    "product from a vector": lambda x: np.linalg.multi_dot([x[1][0], x[1], x[1]]),
    "largest, and an initial value": lambda x: np.max(x[1], axis=0, initial=0.5) + np.max(x[1], initial=7),
    "smallest, and an initial value": lambda x: np.min(x[1], axis=(0, 1), keepdims=True, initial=-0.5),
    "product": lambda x: np.prod(x[1]) + np.prod(x[0]),
    **{f"products along {k}": lambda x, k=k: np.prod(x[1], axis=k) + np.prod(x[1], k, keepdims=True) for k in (0, -1)},
    "product that keeps its axes": lambda x: np.prod(x[1], keepdims=True),
    "sinc": lambda x: np.sinc(x[0]) + np.sinc(x[0] / 3) - np.sinc(0 * x[0]),
    "stacked in another dtype": lambda x: np.stack([x[0], x[0] + 1], dtype=np.float32, casting="same_kind"),
    "blocks": lambda x: np.block([[x[1], x[1][:, :1]], [x[1][:1].T.T, np.ones((1, 1))]]),
    "joined in a row": lambda x: np.concatenate([x[1], x[1].T, x[1][0]], axis=None),
    "joined in the same dtype": lambda x: np.concatenate([x[0], x[0]], dtype=x[0].dtype),
    "Frobenius norm": lambda x: np.linalg.norm(x[1], "fro"),
    "norm": lambda x: np.linalg.norm(x[1]),
    **{f"norm {p} of a vector": lambda x, p=p: np.linalg.norm(x[1][0], p) for p in (1, 2.0, np.inf, -np.inf)},
    "norms of rows": lambda x: np.linalg.norm(x[1], 1, axis=1) + np.linalg.norm(x[1], np.inf, axis=-1),
}


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("case", OTHERS)
def test_operations_that_are_others_in_disguise(case: str, dtype: str) -> None:
    f = OTHERS[case]
    special = np.array([*SPECIAL, 0.5, 1.5, 2.5, 0.25, 1.005, 2.675, -0.35, 123.456])
    x = special.astype(dtype), np.random.default_rng(0).normal(size=(3, 3)).astype(dtype)

    def both(*x: Any) -> Any:
        return f(x), tg.grad(lambda *x: np.sum(f(x)), argnums=1)(*x)

    compiled = tg.compile(both, "native")
    for found, expected in zip(compiled(*x), both(*x), strict=True):
        exact = expected.shape == special.shape
        np.testing.assert_allclose(found, expected, rtol=0 if exact else 1e-12 if dtype == "f8" else 1e-3, strict=True)
    assert "NumPy calls" not in str(compiled.report())


MASK = (np.random.default_rng(1).random((4, 6)) > 0.5) | (np.arange(6) % 4 == np.arange(4)[:, None])
OF_SOME: dict[str, Callable[[Any, Any], Any]] = {
    "sum": lambda x, mask: np.sum(x, axis=1, where=mask, initial=2.5),
    "sum in another dtype": lambda x, mask: np.sum(x, axis=0, dtype=np.float32),
    "mean": lambda x, mask: np.mean(x, axis=0, where=mask),
    "max": lambda x, mask: np.max(x, axis=1, where=mask, initial=-9.0),
    "min": lambda x, mask: np.min(x, where=mask, initial=9.0, keepdims=True),
    "prod": lambda x, mask: np.prod(x, axis=1, where=mask),
    "var": lambda x, mask: np.var(x, axis=1, ddof=1, where=mask),
    "std": lambda x, mask: np.std(x, axis=1, where=mask, keepdims=True),
    "of one row of a mask": lambda x, mask: np.sum(x, axis=1, where=mask[0]),
    "a mask that stays the same": lambda x, mask: np.sum(x, axis=1, where=MASK),
    "a mask from the values": lambda x, mask: np.sum(x, axis=1, where=x > 0),
    "an average": lambda x, mask: np.average(x, axis=1, weights=mask),
}


@pytest.mark.long
@pytest.mark.parametrize("name", OF_SOME)
@pytest.mark.parametrize("dtype", [np.float64, param(np.float32, slow=True)])
def test_reductions_of_some_entries(name: str, dtype: Any) -> None:
    x = np.random.default_rng(0).normal(size=(4, 6)).astype(dtype)
    f = tg.value_and_grad(lambda x, mask: np.sum(OF_SOME[name](x, mask) ** 2))
    compiled = tg.compile(f, "native")
    for mask in (MASK, ~MASK | (np.arange(6) < 2) | (np.arange(4)[:, None] < 2)):
        for found, expected in zip(compiled(x, mask), f(x, mask)):
            np.testing.assert_allclose(found, expected, rtol=1e-12 if dtype == np.float64 else 1e-4, atol=1e-6)
    assert "NumPy calls" not in str(compiled.report())
    hidden = np.where(MASK, x, np.nan)
    if "a mask" not in name and name not in ("sum in another dtype", "of one row of a mask", "an average"):
        np.testing.assert_allclose(
            tg.compile(OF_SOME[name], "native")(hidden, MASK), OF_SOME[name](hidden, MASK), rtol=1e-5
        )
