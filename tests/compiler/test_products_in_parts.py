"""Products of matrices that BLAS computes in parts, some rows at a time."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.marks import param
from tinygrad_lite.compiler.native import blas
from tinygrad_lite.compiler.native.products import Product

Arrays = tuple[np.ndarray[Any, Any], ...]

PRODUCTS: dict[str, tuple[list[tuple[int, ...]], Callable[..., Any]]] = {
    "without a rest": ([(208, 64), (64, 100)], lambda a, b: a @ b),
    "with a rest": ([(205, 64), (64, 100)], lambda a, b: a @ b),
    "first factor transposed": ([(200, 101), (200, 64)], lambda a, b: a.T @ b),
    "second factor transposed": ([(200, 64), (103, 64)], lambda a, b: a @ b.T),
    "result transposed": ([(200, 64), (64, 104)], lambda a, b: (a @ b).T @ a),
    "of a matrix by itself": ([(107, 107)], lambda a: a.T @ a),
    "of a square matrix twice": ([(109, 109)], lambda a: a @ a),
    "in batches": ([(3, 131, 96), (3, 96, 100)], lambda a, b: a @ b),
    "one second factor for all batches": ([(3, 70, 64), (64, 90)], lambda a, b: a @ b),
    "one first factor for all batches": ([(129, 96), (2, 96, 98)], lambda a, b: a @ b),
    "rows that lie apart": ([(300, 64), (64, 100)], lambda a, b: a[1::2] @ b),
}


@pytest.mark.parametrize("dtype", [np.float64, param(np.float32, slow=True), np.complex128])
def test_products_in_parts_are_those_of_numpy(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "is_faster_in_parts", lambda: True)
    rng = np.random.default_rng(0)
    for name, (shapes, product) in PRODUCTS.items():
        arrays = [rng.normal(size=shape).astype(dtype) for shape in shapes]
        expected = product(*arrays)
        np.testing.assert_allclose(
            tg.compile(product, "native")(*arrays),
            expected,
            rtol=0,
            atol=np.finfo(dtype).eps * 100 * np.max(np.abs(expected)),
            err_msg=name,
        )


def test_parts_are_small_and_cover_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blas, "is_faster_in_parts", lambda: True)
    rng, in_parts = np.random.default_rng(0), 0
    for n, k, m in rng.integers(1, 500, (500, 3)).tolist():
        rows = blas.rows_at_a_time(Product(np.dtype(float), n, k, m), True)
        assert 1 <= rows <= n
        if rows < n:
            in_parts += 1
            assert n * k * m > blas.SMALL >= rows * k * m
            assert rows % blas.LINE == 0
    assert in_parts > 100


def test_products_stay_whole_where_parts_take_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = Product(np.dtype(float), 200, 64, 100)
    monkeypatch.setattr(blas, "is_faster_in_parts", lambda: False)
    assert blas.rows_at_a_time(sizes, True) == 200
    monkeypatch.setattr(blas, "is_faster_in_parts", lambda: True)
    assert blas.rows_at_a_time(sizes, True) == 104
    assert blas.rows_at_a_time(sizes, False) == 200
    assert blas.rows_at_a_time(sizes._replace(dtype=np.dtype(complex)), True) == 200
    assert blas.rows_at_a_time(sizes._replace(n=8000), True) == 8000
    assert blas.rows_at_a_time(Product(np.dtype(float), 1500, 1500, 1), True) == 1500
