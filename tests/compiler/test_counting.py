"""Sorting, searching, picking and quantiles by counting: native code and C beside NumPy; ties, NaN and infinity."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.compiler.c_code import COMPILERS, CFunction
from tests.marks import param

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning", "ignore:.*NaN:RuntimeWarning")
KNOWN = {"argmax", "argmin", "any", "all", "count_nonzero", "argsort", "searchsorted", "sort", "median", "quantile"}
KNOWN |= {"percentile", "quantile_weights"}


def with_axes(function: Callable[..., Any], *q: Any) -> Callable[[Any], list[Any]]:
    """A function of all entries and along axes, with and without an axis of one entry in their place."""
    return lambda x: [
        function(x, *q, axis=axis, keepdims=keepdims) for axis, keepdims in ((None, True), (0, False), (1, True))
    ]


ANSWERS: dict[str, Callable[[Any], Any]] = {
    **{name: with_axes(getattr(np, name)) for name in ("argmax", "argmin", "any", "all")},
    "count_nonzero": lambda x: [np.count_nonzero(x, axis=axis) for axis in (0, 1, (0, 2))],
    "any of comparisons": lambda x: [np.any(x > 1, axis=(0, 1)), np.all(x < 5, axis=-1)],
    "argsort": lambda x: [np.argsort(x, axis, kind="stable") for axis in (None, 0, 1)],
    "searchsorted": lambda x: [
        np.searchsorted(np.sort(line), values, side)
        for line in (x[0, 0], x[2, 1], x[1, 2, :1])
        for values in (x[:2], x[2, 1, 0])
        for side in ("left", "right")
    ],
}
VALUES: dict[str, Callable[[Any], Any]] = {
    "sort": lambda x: [np.sort(x, axis) for axis in (None, 0, 1)],
    "median": with_axes(np.median),
    "quantile": with_axes(np.quantile, 0.3),
    "quantiles": with_axes(np.quantile, np.array([[0.0, 0.1, 0.5], [0.75, 0.9, 1.0]])),
    "percentile": with_axes(np.percentile, 40),
    "percentiles": with_axes(np.percentile, [0.0, 100.0]),
}
ARRAYS = np.round(np.random.default_rng(0).normal(size=(2, 3, 4, 3)), 1)
SPECIAL = ARRAYS[0].copy()
SPECIAL[0, 0, 0] = SPECIAL[0, 1] = np.nan
SPECIAL[1, 0, 0], SPECIAL[1, 1, :2], SPECIAL[2, 0, :2] = np.inf, -np.inf, (-0.0, 0.0)


def loss_of(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return tg.grad(lambda x: sum(np.sum(np.sin(y) * (1 + np.arange(y.size)).reshape(y.shape)) for y in function(x)))


def assert_same(found: Any, expected: Any) -> None:
    for y, z in zip(tg.trees.leaves(found), tg.trees.leaves(expected), strict=True):
        assert (np.asarray(y).dtype, np.shape(y)) == (np.asarray(z).dtype, np.shape(z))
        tolerance = 4e-6 if np.asarray(z).dtype == np.float32 else 1e-12
        np.testing.assert_allclose(y, z, rtol=tolerance, atol=tolerance)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *(param(name, "f8", slow=name in ("median", "quantile", "percentile")) for name in (*ANSWERS, *VALUES)),
        *(("argsort", kind) for kind in ("f4", "i8", "u1", "?")),
        ("quantile", "f4"),
    ],
)
def test_native_code_is_numpy(name: str, dtype: str) -> None:
    function = ANSWERS.get(name) or VALUES[name]
    for f in [function, *([loss_of(function)] if name in VALUES else [])]:
        compiled = tg.compile(lambda x, f=f: f(x), "native")
        for x in (*ARRAYS, SPECIAL, *([np.asfortranarray(SPECIAL)] if f is function else [])):
            assert_same(compiled(x.astype(dtype)), f(x.astype(dtype)))
        assert KNOWN.isdisjoint(compiled.report().falls_back), compiled.report()


@pytest.mark.long
@pytest.mark.parametrize("name", ["sort", "median", "quantiles"])
def test_numpy_orders_many_entries(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinygrad_lite.compiler.native.expansions.expanded.__defaults__", (0,))
    for f in (VALUES[name], loss_of(VALUES[name])):
        compiled = tg.compile(lambda x, f=f: f(x), "native")
        for x in (*ARRAYS, SPECIAL):
            assert_same(compiled(x), f(x))
        by_numpy = compiled.report().falls_back.keys()
        assert by_numpy & {"argsort", "partition"} == by_numpy != set(), compiled.report()


@pytest.mark.parametrize("compiler", COMPILERS)
def test_c_is_numpy(compiler: str, tmp_path: Path) -> None:
    functions = {**ANSWERS, **VALUES, **{f"{name}, gradient": loss_of(VALUES[name]) for name in VALUES}}
    compiled = tg.compile(lambda x: [f(x) for f in functions.values()], "numpy")
    compiled(ARRAYS[0])
    compiled.export(tmp_path / "f.c", library="c")
    function = CFunction(tmp_path / "f.c", compiler, ("-O0",))
    for x in (*ARRAYS, SPECIAL):
        assert_same(function(x), tg.trees.leaves([f(x) for f in functions.values()]))


@pytest.mark.parametrize("compiler", COMPILERS)
def test_equal_entries_keep_their_order_in_c(compiler: str, tmp_path: Path) -> None:
    compiled = tg.compile(
        lambda x: [y for axis in (0, 1) for y in (np.argsort(x, axis), np.argsort(np.argsort(x, axis), axis))], "numpy"
    )
    ties = np.array([[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0], [np.nan, 2.0, np.nan, -1.0]])
    compiled(ties)
    compiled.export(tmp_path / "f.c", library="c")
    orders = [np.argsort(ties, axis, kind="stable") for axis in (0, 1)]
    expected = [y for axis, order in enumerate(orders) for y in (order, np.argsort(order, axis))]
    assert_same(CFunction(tmp_path / "f.c", compiler, ("-O0",))(ties), expected)


def test_what_orders_equal_entries_as_it_likes_is_numpys() -> None:
    compiled = tg.compile(lambda x: np.argsort(x), "native")
    compiled(ARRAYS[0])
    assert compiled.report().falls_back == {"argsort": 1}
