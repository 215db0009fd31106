"""Compiled programs that go through complex numbers, beside eager ones."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinygrad_lite as tg
from tests.compiler.c_code import COMPILERS, CFunction
from tests.marks import param, spread
from tests.ops.linear.test_complex_matrices import CASES, of_parts
from tests.ops.test_complex import TAKING, functions
from tinygrad_lite.compiler.native import pairs
from tinygrad_lite.engine.op import Op
from tinygrad_lite.errors import UsageError


@pytest.mark.long
@pytest.mark.parametrize("op", TAKING, ids=str)
@settings(max_examples=2, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_operation_that_takes_complex_numbers(backend: str, op: Op, data: st.DataObject) -> None:
    f, variables = data.draw(functions(op))
    assert_as_eager(f, variables, backend)


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_complex_matrices(backend: str, name: str) -> None:
    assert_as_eager(*of_parts(CASES[name]), backend)


def assert_as_eager(f: Callable[..., Any], variables: Sequence[Any], backend: str) -> None:
    derivative = tg.value_and_grad(f, tuple(range(len(variables))))
    compiled = tg.compile(derivative, backend)
    for arrays in (variables, [x + 0.01 for x in variables]):
        value, gradients = derivative(*arrays)
        found, compiled_gradients = compiled(*arrays)
        np.testing.assert_allclose(found, value, rtol=1e-12)
        for a, b in zip(compiled_gradients, gradients, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10 * (1 + np.max(np.abs(b), initial=0)))


def test_a_loop_with_a_complex_state(backend: str) -> None:
    def f(a: Any, b: Any, v: Any) -> Any:
        h = v + 0j
        for _ in range(12):
            h = np.tanh(0.2 * ((a + 1j * b) @ h) + v)
        return np.sum(np.abs(h) ** 2)

    rng = np.random.default_rng(0)
    for dtype in (np.float64, np.float32):
        arrays = [rng.normal(size=shape).astype(dtype) for shape in ((4, 4), (4, 4), (4,))]
        derivative = tg.value_and_grad(f, (0, 1, 2))
        value, gradients = derivative(*arrays)
        found, compiled_gradients = tg.compile(derivative, backend)(*arrays)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, value, rtol=1e-5)
        for a, b in zip(compiled_gradients, gradients, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


_SPECIAL = [0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan, 1e-300, 1e150, -1e-150, 3e-9]
_UFUNCS = [op.forward for op in pairs.RULES if isinstance(op.forward, np.ufunc) and not op.forward.signature]


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", [np.complex128, param(np.complex64, slow=True)])
@pytest.mark.parametrize("ufunc", _UFUNCS, ids=lambda ufunc: ufunc.__name__)
def test_numpys_values_of_all_pairs_of_special_parts(ufunc: np.ufunc, dtype: Any) -> None:
    z = np.array([complex(re, im) for re in _SPECIAL for im in _SPECIAL]).astype(dtype)
    others = np.array([1, 1j, 2.5 - 3j, 0, complex(np.inf, 1), complex(1, np.nan), 1e150 + 1e150j, -1e-300]).astype(
        dtype
    )

    def results(z: Any, others: Any) -> list[Any]:
        if ufunc.nin == 1:
            return [ufunc(z)]
        real = [ufunc(z[:, None], x) for x in (others.real, 2.0, 3)] + [ufunc(2.0, z)]
        return [*real, ufunc(z[:, None], others), ufunc(z, 1j), ufunc(1j, z)]

    compiled = tg.compile(results, "native")
    compiled(z, others)
    for found, expected in zip(compiled(z, others), results(z, others), strict=True):
        assert found.dtype == expected.dtype
        size = np.where(np.isfinite(expected), np.abs(expected), 0)
        for x, y in ((np.real(found), np.real(expected)), (np.imag(found), np.imag(expected))):
            rounding = 8 * np.finfo(dtype).eps * np.maximum(size, np.abs(y)) + np.finfo(dtype).smallest_normal
            assert np.all((x == y) | (np.isnan(x) & np.isnan(y)) | (np.abs(x - y) <= rounding))


@pytest.mark.parametrize("dtype", [np.complex128, np.complex64])
def test_roots_of_numbers_with_few_digits_or_with_few_digits_left(dtype: Any) -> None:
    smallest = float(np.finfo(np.empty(0, dtype).real.dtype).smallest_subnormal)
    parts = [
        sign * size for sign in (1, -1) for size in (0.0, smallest, 3 * smallest, 1e8 * smallest, 1e-29, 1e-31, 1.0)
    ]
    z = np.array([complex(re, im) for re in parts for im in parts]).astype(dtype)
    compiled = tg.compile(np.sqrt, "native")
    compiled(z)
    found = compiled(z)
    for x, y in ((found.real, np.sqrt(z).real), (found.imag, np.sqrt(z).imag)):
        np.testing.assert_allclose(x, y, rtol=8 * np.finfo(dtype).eps, atol=2 * smallest)


@pytest.mark.slow
@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize(
    "norm", [None, param("ortho", slow=True), param("forward", slow=True), param("backward", slow=True)]
)
@pytest.mark.parametrize("transform", [np.fft.fft, np.fft.ifft, np.fft.rfft, np.fft.irfft])
def test_transforms_of_any_length_along_any_axis(transform: Any, norm: Any, axis: int) -> None:
    rng = np.random.default_rng(0)
    shape = (3, 4, 5)
    dtypes = [np.float64, np.float32] + ([] if transform is np.fft.rfft else [np.complex128, np.complex64])
    for dtype in dtypes:
        x = (rng.normal(size=shape) + (1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else 0)).astype(dtype)
        lengths = (None, 1, 3, 4, 5, 8, 9)

        def transforms(x: Any, lengths: Any = lengths) -> list[Any]:
            return [3 * transform(np.swapaxes(2 * x, 0, 2), n, axis, norm) for n in lengths]

        compiled = tg.compile(transforms, "native")
        compiled(x)
        for found, expected in zip(compiled(x), transforms(x), strict=True):
            assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
            np.testing.assert_allclose(found, expected, rtol=0, atol=64 * np.finfo(dtype).eps)


@pytest.mark.parametrize("norm", [None, "ortho"])
def test_transforms_of_long_doubles_stay_in_their_memory(norm: Any) -> None:
    """The factor of a transform took 16 bytes where 4 were set aside, over the addresses of the next call."""

    def f(x: Any) -> Any:
        return np.abs(np.fft.rfft2(x, norm=norm)) + np.real(np.fft.fft2(np.fft.fft2(x, norm=norm), norm=norm))[:, :3]

    x = np.random.default_rng(0).normal(size=(4, 4)).astype(np.longdouble)
    compiled = tg.compile(f, "native")
    for _ in range(2):
        np.testing.assert_allclose(compiled(x), f(x), rtol=1e-15, atol=1e-15)


def test_native_code_needs_no_call_of_numpys() -> None:
    def f(a: Any, b: Any) -> Any:
        z = np.exp(1j * a) * b
        for _ in range(3):
            z = np.fft.ifft(np.fft.fft(z) * np.conj(z)) / (2 + z)
        u = np.stack([np.cos(a), 1j * np.sin(a), np.sqrt(z)]) @ z
        u = u + np.einsum("i,ij->j", z, np.reshape(np.log(2 + z), (-1, 1))) + 0j * b[:3]
        u = u * (np.reshape(b, (-1, 1)) + 1j * a[:3]) * (1j * b[:, None] + np.eye(8, 3))  # one part is smaller
        return np.sum(np.abs(u) ** 2) + np.angle(z)[0] + np.fft.irfft(np.fft.rfft(a))[1]

    a, b = np.linspace(0.1, 1, 8), np.linspace(1, 2, 8)
    derivative = tg.value_and_grad(f, (0, 1))
    compiled = tg.compile(derivative, "native")
    compiled(a, b)
    assert not compiled.report().falls_back
    value, gradients = derivative(a, b)
    found, compiled_gradients = compiled(a, b)
    np.testing.assert_allclose(found, value, rtol=1e-13)
    for x, y in zip(compiled_gradients, gradients, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-10)


def test_arguments_and_results_are_arrays_of_their_own(backend: str) -> None:
    def f(z: Any, c: complex) -> Any:
        w = z * (1 + 1j) + c
        return w, np.real(w), np.real(np.conj(w)), w.imag, np.reshape(w, (-1,)), w[0], z, np.exp(w)[0, 0]

    rng = np.random.default_rng(0)
    compiled = tg.compile(f, backend)
    for dtype in (np.complex128, np.complex64):
        for _ in range(3):
            z = (rng.normal(size=(3, 4)) + 1j * rng.normal(size=(3, 4))).astype(dtype)
            for found, expected in zip(compiled(z, 2 - 3j), f(z, 2 - 3j), strict=True):
                assert found.dtype == expected.dtype
                np.testing.assert_allclose(found, expected, rtol=16 * np.finfo(dtype).eps)
        results = compiled(z, 2 - 3j)
        results[1][:] = 7
        np.testing.assert_allclose(results[2], f(z, 2 - 3j)[2], rtol=1e-5)


_DTYPES = [np.complex64, np.complex128, np.float32, np.float64, np.int64]


@pytest.mark.long
@pytest.mark.parametrize("first", _DTYPES)
@pytest.mark.parametrize("second", spread(_DTYPES, 0))
def test_numbers_of_different_dtypes(first: Any, second: Any) -> None:
    def f(x: Any, y: Any) -> list[Any]:
        z = (x + y) * 1j
        return [
            x * y + 0j,
            (x - y) * (1 + 2j),
            x / (y + 1j),
            (x + 0j) @ y.T,
            np.stack([x + 0j, y + 1j]),
            np.concatenate([x * 1j, y * 1j]),
            np.einsum("ij,kj->ik", x + 1j, y),
            np.where(y.real > 0, x + 1j, y),
            np.abs(z),
            np.outer(x + 1j, y),
            np.vdot(x + 1j, y),
            np.exp(0.1 * z) * y,
            np.astype(x + 0j, np.complex64) + y,
        ]

    rng = np.random.default_rng(0)
    x, y = (
        (5 * rng.normal(size=(3, 4)) + (1j * rng.normal(size=(3, 4)) if np.dtype(dtype).kind == "c" else 0)).astype(
            dtype
        )
        for dtype in (first, second)
    )
    compiled = tg.compile(f, "native")
    compiled(x, y)
    assert not compiled.report().falls_back
    for found, expected in zip(compiled(x, y), f(x, y), strict=True):
        assert found.dtype == expected.dtype
        tolerance = 100 * np.finfo(expected.dtype).eps
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.max(np.abs(expected)))


def through_complex_numbers(x: Any) -> list[Any]:
    """Real results of each kind of operation that pairs of real numbers have a rule for."""
    z = x[:3] + 1j * x[1:]
    w = np.where(x[:3] > 0, 1j * z, np.conj(z)) / (2 + z[::-1]) + np.reciprocal(3 + 1j * z) - np.sqrt(z) ** 2 * 0.5
    spectrum = np.fft.fft2(w) * np.exp(-1j * z)
    kernel = np.stack([z[0], w[1]]) + np.concatenate([w[2:], np.roll(z, 1)[:1]])
    return [
        np.absolute(spectrum),
        np.angle(np.log(4 + w)),
        np.real(np.fft.ifft(spectrum, 7, axis=0, norm="ortho")),
        np.fft.irfft(np.fft.rfft(x, axis=0) * np.sum(w), 5, axis=0),
        np.fft.irfft(x, 4, norm="forward"),
        np.imag(kernel @ np.transpose(w) + np.einsum("ij,kj->ik", kernel, z.reshape(3, -1))),
        np.real(np.vdot(z, w) + np.trace(w[:, :3]) + np.cumsum(z)[-1]),
    ]


def with_gradient(x: Any) -> list[Any]:
    return [*through_complex_numbers(x), tg.grad(lambda x: sum(np.sum(y**2) for y in through_complex_numbers(x)))(x)]


REAL = {dtype: np.random.default_rng(1).normal(size=(4, 5)).astype(dtype) for dtype in (np.float64, np.float32)}


def assert_near(found: Any, expected: Any) -> None:
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype
        tolerance = 1e-10 if b.dtype == np.float64 else 1e-4
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.max(np.abs(b)))


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("dtype", [np.float64, param(np.float32, slow=True)])
def test_a_file_of_c_has_two_real_numbers_for_each(dtype: Any, compiler: str, tmp_path: Path) -> None:
    compiled = tg.compile(with_gradient, "numpy")
    compiled(np.ones((4, 5), dtype))
    compiled.export(tmp_path / "f.c", library="c")
    assert_near(CFunction(tmp_path / "f.c", compiler)(REAL[dtype]), with_gradient(REAL[dtype]))


@pytest.mark.parametrize("dtype", REAL)
def test_a_file_of_onnx_has_two_real_numbers_for_each(dtype: Any, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime comes with the extra `dev`")
    path = str(tmp_path / "f.onnx")
    tg.export_onnx(with_gradient, np.ones((4, 5), dtype), path=path)
    assert_near(onnxruntime.InferenceSession(path).run(None, {"x": REAL[dtype]}), with_gradient(REAL[dtype]))


@pytest.mark.parametrize(
    ("f", "operation"),
    [
        (lambda x: np.real(np.linalg.inv(x[:, None] * 1j + np.eye(3))), "inv"),
        (lambda x: np.absolute(np.fft.fft(np.tile(x, 1000))), "fft"),
    ],
)
def test_an_operation_that_needs_whole_complex_arrays_is_named(f: Any, operation: str, tmp_path: Path) -> None:
    compiled = tg.compile(f, "numpy")
    compiled(np.ones(3))
    with pytest.raises(UsageError, match=rf"for C: {operation} \(complex128\) has no form there \(at test_complex"):
        compiled.export(tmp_path / "f.c", library="c")
    pytest.importorskip("onnx", reason="onnx comes with the extra `onnx`")
    with pytest.raises(UsageError, match=rf"^{operation} cannot be exported to ONNX at test_complex.*take no complex"):
        tg.export_onnx(f, np.ones(3), path=tmp_path / "f.onnx")
