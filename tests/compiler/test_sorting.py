"""Sorts, partitions and quantiles of arrays whose positions nobody needs: NumPy's own, which take a fraction."""

from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg

RNG = np.random.default_rng(0)


def entries(shape: tuple[int, ...], dtype: Any) -> Any:
    x = (RNG.normal(size=shape) * 9).round(1)
    if np.dtype(dtype).kind == "f":
        x[..., ::7], x[..., 1::11] = np.nan, 99
    else:
        x = np.abs(x)
    return x.astype(dtype)


SORTS = {
    "sort": np.sort,
    "sort of columns": lambda x: np.sort(x, axis=0),
    "stable": lambda x: np.sort(x, kind="stable"),
    "flat": lambda x: np.sort(x, axis=None),
    "partition": lambda x: np.partition(x, 3)[..., 3],
    "partition at two": lambda x: np.partition(x, (0, -1), axis=0)[[0, -1]],
    "partition of what is sorted": lambda x: np.partition(np.sort(x, axis=0), 2)[..., :3].sum(axis=-1),
    "largest five": lambda x: np.sort(x)[..., -5:],
    "median": lambda x: np.median(x, axis=-1),
    "median of an odd count": lambda x: np.median(x[..., :-1], axis=-1),
    "quantiles": lambda x: np.quantile(x, [[0.1, 0.5], [0.9, 1]], axis=0),
    "percentile": lambda x: np.percentile(x, 30, axis=-1, keepdims=True),
    "argmax": lambda x: (np.argmax(x), np.argmin(x, axis=-1), np.argmax(x, axis=0, keepdims=True)),
}


@pytest.mark.long
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8])
@pytest.mark.parametrize("shape", [(8,), (200,), (5, 6), (40, 200), (2, 90, 30)])
def test_small_and_large(backend: str, shape: tuple[int, ...], dtype: Any) -> None:
    rounding = 100 * np.finfo(np.result_type(dtype, np.float32)).eps  # of entries below 100, which cancel in a quantile
    for name, f in SORTS.items():
        compiled = tg.compile(f, backend=backend)
        for _ in range(2):
            x = entries(shape, dtype)
            results, expected = compiled(x), f(x)
            for y, z in zip(*(x if isinstance(x, tuple) else (x,) for x in (results, expected)), strict=True):
                assert y.dtype == z.dtype, name
                np.testing.assert_allclose(y, z, rtol=1e-6, atol=rounding, err_msg=name)


def test_positions_are_found_only_where_somebody_needs_them() -> None:
    x = RNG.normal(size=(40, 200))
    for f in (SORTS["sort"], SORTS["sort of columns"], SORTS["partition"], SORTS["partition at two"]):
        compiled = tg.compile(f, backend="numpy")
        compiled(x)
        assert "argsort" not in compiled.source
        assert "places" not in compiled.source

    def both(x: Any) -> Any:
        order = np.argsort(x, axis=-1)
        return np.take_along_axis(x, order, -1), order

    def another(x: Any) -> Any:
        return np.take_along_axis(x * 2, np.argsort(x, axis=-1), -1)

    def of_others(x: Any) -> Any:
        return x[np.arange(40)[::-1, None], np.argsort(x, axis=-1)]

    slope = tg.grad(lambda x: np.sum(np.sort(x) * np.arange(200)))
    for f in (both, another, of_others, slope):
        compiled = tg.compile(f, backend="numpy")
        for y, z in zip(compiled(x), f(x), strict=True):
            np.testing.assert_array_equal(y, z)
        assert "argsort" in compiled.source
