"""Other dtypes, and the parts of complex numbers."""

from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.ops.moving import EMPTY, SCALAR, A, B, Calls, check_linear, rows

CALLS: Calls = {
    "astype": [
        (lambda x: np.astype(x, np.float32) if x.dtype == np.float32 else np.astype(x, "float64"), A),
        (lambda x: np.astype(x, float, copy=False), B),
        (lambda x: np.astype(x, np.float64, copy=True), EMPTY),
    ],
    "copy": [(np.copy, A), (np.copy, SCALAR), (lambda x: np.copy(a=x, order="F", subok=True), EMPTY)],
    "real": [(np.real, x) for x in (A, SCALAR, EMPTY)] + [(lambda x: np.real(val=x), B)],
    "imag": [(np.imag, x) for x in (A, SCALAR, EMPTY)],
    "real_if_close": [(np.real_if_close, A), (lambda x: np.real_if_close(a=x, tol=10), B)],
}


@pytest.mark.parametrize(("f", "arrays"), rows(CALLS))
def test_as_numpy(f: Any, arrays: list[Any]) -> None:
    check_linear(f, *arrays)


@pytest.mark.parametrize("f", [np.conj, np.conjugate])
def test_conjugate(f: Any) -> None:  # which NumPy does not define for booleans
    for x in (A, SCALAR, A.astype(np.float32), np.arange(3)):
        np.testing.assert_array_equal(f(tg.tensor(x)), f(x[()]), strict=True)
    assert tg.grad(lambda x: f(x) * x)(3.0) == 6


def test_astype_to_another_dtype() -> None:
    x = tg.tensor(A, requires_grad=True)
    y = np.astype(x, np.float32)
    assert y.dtype == np.float32
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, np.ones_like(A), strict=True)
    assert not np.astype(x, int).requires_grad
    np.testing.assert_array_equal(np.astype(x, int), A.astype(int), strict=True)


def test_parts_of_complex_numbers() -> None:
    z = np.array([1 + 2j, 3 - 1e-16j])
    for f in (np.real, np.imag, np.conj, np.isreal, np.iscomplex, lambda x: np.real_if_close(x[1:])):
        np.testing.assert_array_equal(f(tg.tensor(z)), f(z), strict=True)
    for f in (np.iscomplexobj, np.isrealobj):
        assert [f(tg.tensor(x)) for x in (z, A)] == [f(z), f(A)]


def test_a_copy_is_a_result_of_its_own() -> None:
    x = tg.tensor(A)
    y = np.copy(x)
    y -= 1
    np.testing.assert_array_equal(x, A)
