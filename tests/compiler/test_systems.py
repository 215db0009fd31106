"""Linear algebra in native code: NumPy's numbers to the last bit, and NumPy's errors, with nothing changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.compiler.c_code import COMPILERS, CFunction
from tests.marks import param
from tinygrad_lite import trees
from tinygrad_lite.compiler.native import systems

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")

ONE: dict[str, Callable[[Any], Any]] = {
    "inv": np.linalg.inv,
    "det": np.linalg.det,
    "slogdet": lambda x: tuple(np.linalg.slogdet(x)),
    "cholesky": np.linalg.cholesky,
    "cholesky, upper": lambda x: np.linalg.cholesky(x, upper=True),
    "eigvalsh": np.linalg.eigvalsh,
    "eigvalsh, upper": lambda x: np.linalg.eigvalsh(x, "U"),
    "eigh": lambda x: tuple(np.linalg.eigh(x)),
    "eigh, upper": lambda x: tuple(np.linalg.eigh(x, "u")),
    "svd": lambda x: tuple(np.linalg.svd(x)),
    "svd, reduced": lambda x: tuple(np.linalg.svd(x, full_matrices=False)),
    "svdvals": np.linalg.svdvals,
}
OBLONG = [name for name in ONE if name.startswith("svd")]
TWO: dict[str, Callable[[Any, Any], Any]] = {
    "solve": np.linalg.solve,
    "triangle": lambda a, b: tg.linalg.solve_triangular(a, b, check_finite=False),
    "transposed lower triangle": lambda a, b: tg.linalg.solve_triangular(a, b, "T", lower=True, check_finite=False),
}
SQUARE = [(2, 3, 4, 4), (1, 1), (2, 0, 3, 3), (2, 0, 0)]
SYSTEMS = [
    ((2, 1, 3, 3), (5, 3, 2)), ((3, 3), (3,)), ((4, 2, 2), (2,)), ((0, 2, 2), (2,)), ((2, 2), (2, 0)),
    ((40, 40), (40, 2)),
]  # fmt: skip
DTYPES = ["f8", "f4", "i4", "D"]  # of the first there are all shapes


def matrices(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Any:
    """Matrices that every function takes."""
    x = np.random.default_rng(seed).normal(size=shape)
    if shape[-1] == shape[-2]:
        x = x @ x.mT + np.eye(shape[-1])
    return (x * (3 if dtype in "i4?" else 1)).astype(dtype)


def outcome(f: Callable[..., Any], *x: Any) -> Any:
    """The results for tensors, which an operation's own requirements hold for, or the error."""
    try:
        return [np.asarray(y) for y in trees.leaves(f(*map(tg.tensor, x)))]
    except tg.errors.TinygradError as error:
        return type(error), str(error).partition(": ")[-1]  # an operation that is made of others has another name


def assert_as_eager(f: Callable[..., Any], *calls: Any) -> Any:
    """Compiled for the first call, it gives for every one what the function gives, be that an error; twice."""
    compiled = tg.compile(f, "native")
    for x in (*calls, *calls):
        found, expected = outcome(compiled, *x), outcome(f, *x)
        if isinstance(expected, tuple):
            assert found == expected
            continue
        for a, b in zip(found, expected, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
    return compiled


@pytest.mark.long
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ONE)
def test_functions_of_a_matrix(name: str, dtype: str) -> None:
    shapes = [*SQUARE, *([(3, 2), (4, 2, 3)] if name in OBLONG else [])]
    for shape in shapes if dtype == "f8" else shapes[:1]:
        x = matrices(shape, dtype)
        compiled = assert_as_eager(ONE[name], (x,), (matrices(shape, dtype, 1),), (x.mT.copy().mT,), (x[..., ::-1, :],))
        if x.size and dtype in ("f4", "f8"):
            assert not compiled.report().falls_back


@pytest.mark.long
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", TWO)
def test_systems(name: str, dtype: str) -> None:
    for shape, columns in SYSTEMS if dtype == "f8" else SYSTEMS[:1]:
        a, b = matrices(shape, dtype), np.ones(columns, dtype)
        compiled = assert_as_eager(TWO[name], (a, b), (matrices(shape, dtype, 1), 2 * b), (a.mT.copy().mT, b[::-1]))
        if a.size and b.size and dtype in ("f4", "f8") and name == "solve":
            assert not compiled.report().falls_back


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", [*ONE, *TWO])
def test_matrices_that_are_not_taken(name: str, dtype: str) -> None:
    for shape in [(2, 3, 2, 2)] if dtype == "f4" else [(3, 3)]:
        good = matrices(shape, dtype)
        bad = []
        for value in (0, -1, np.nan, np.inf, -np.inf, 1e300 if dtype == "f8" else 1e30):
            x = good.copy()
            x[(-1,) * (x.ndim - 2)] = value
            bad.append(x)
            x = good.copy()
            x[..., -1, 0] = x[..., 0, -1] = value
            bad.append(x)
        others = () if name in ONE else (np.ones(shape[-1], dtype),)
        assert_as_eager({**ONE, **TWO}[name], *[(x, *others) for x in (good, *bad, good)])


def test_every_operation_that_native_code_hands_to_lapack_is_tested() -> None:
    called = set()
    for f, x in [*((f, [np.eye(2)]) for f in ONE.values()), *((f, [np.eye(2), np.ones(2)]) for f in TWO.values())]:
        compiled = tg.compile(f, "native")
        compiled(*map(tg.tensor, x))
        called |= {call.op for call in compiled._recorded().program.calls}
    assert {*systems.OPERATIONS} <= called


def test_a_refusal_changes_nothing_and_raises_what_comes_first() -> None:
    w = tg.tensor(np.eye(2), requires_grad=True)
    optimizer = tg.optim.Adam([w], lr=0.1)

    @tg.compile
    def step(x: Any, rng: np.random.Generator) -> Any:
        optimizer.zero_grad()
        noise = rng.normal(size=2)
        first = tg.linalg.solve_triangular(w @ x, noise)
        loss = np.sum(first**2) + np.linalg.slogdet(x)[1] + np.sum(np.linalg.inv(x[::-1]))
        loss.backward()
        optimizer.step()
        return loss

    rng = np.random.default_rng(0)
    for _ in range(3):
        step(np.eye(2), rng)
    assert step.report().backend == "native"
    before, value = w.data.copy(), w.grad.numpy().copy()
    for x in (np.full((2, 2), np.nan), np.zeros((2, 2)), np.zeros((2, 2))):
        with pytest.raises((np.linalg.LinAlgError, tg.errors.InputError), match="NaN" if np.isnan(x[0, 0]) else "Sing"):
            step(x, rng)
        np.testing.assert_array_equal(w.data, before)
        np.testing.assert_array_equal(w.grad, value)
    assert np.isfinite(step(np.eye(2), rng).item())


def test_repeated_turns_end_at_the_first_refusal() -> None:
    total = tg.compile(lambda x: np.sum(np.linalg.inv(x)), "native")
    x = np.stack([np.eye(2), 2 * np.eye(2), np.zeros((2, 2)), np.eye(2)])
    total(x[0])
    with pytest.raises(np.linalg.LinAlgError, match="Singular"):
        total.epochs([x], batch_size=4, rng=0)


ALONE: dict[str, Callable[[Any, Any], Any]] = {
    **{name: lambda x, b, f=ONE[name]: f(x) for name in ("inv", "det", "slogdet", "cholesky", "cholesky, upper")},
    "determinants of other signs": lambda x, b: tuple(np.linalg.slogdet(b[..., :2, :] - 3 * x[..., :2, :2])),
    "singular": lambda x, b: np.linalg.det(x * np.arange(4)),
    "solve": np.linalg.solve,
    "solve for a vector": lambda x, b: np.linalg.solve(x, b[0, :, 0]),
    "solve, of views": lambda x, b: np.linalg.solve(x.mT[::-1, ::-1], b[:, ::-1]),
    "triangle": TWO["triangle"],
    "one entry": lambda x, b: np.linalg.inv(x[..., :1, :1]),
    "gradient of a factor": lambda x, b: tg.grad(lambda x: np.sum(np.sin(np.linalg.cholesky(x))))(x),
    "gradient of an inverse": lambda x, b: tg.grad(lambda x: np.sum(np.sin(np.linalg.inv(x))))(x),
    "gradients of a solution": lambda x, b: tg.grad(lambda *x: np.sum(np.sin(np.linalg.solve(*x))), (0, 1))(x, b),
}


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_c_solves_systems_without_numpy(dtype: str, compiler: str, tmp_path: Path) -> None:
    x, b = matrices((2, 3, 4, 4), dtype), matrices((3, 4, 2), dtype, 1)
    compiled = tg.compile(lambda x, b: [f(x, b) for f in ALONE.values()], "numpy")
    expected = trees.leaves(compiled(x, b))
    compiled.export(tmp_path / "f.c", library="c")
    found = CFunction(tmp_path / "f.c", compiler, ("-O0",))(x, b)
    tolerance = 1e-12 if dtype == "f8" else 2e-5
    for y, z in zip(found, expected, strict=True):
        assert y.dtype == z.dtype
        np.testing.assert_allclose(y, z, rtol=tolerance, atol=tolerance * np.max(np.abs(z), initial=1))


@pytest.mark.parametrize("compiler", COMPILERS)
def test_in_c_what_numpy_refuses_is_not_finite(compiler: str, tmp_path: Path) -> None:
    compiled = tg.compile(lambda x: (np.linalg.inv(x), np.linalg.solve(x, x), np.linalg.cholesky(x)), "numpy")
    compiled(matrices((3, 3), "f8"))
    compiled.export(tmp_path / "f.c", library="c")
    for found in CFunction(tmp_path / "f.c", compiler)(-np.ones((3, 3))):
        assert not np.isfinite(found).all()


@pytest.mark.parametrize("size", [2, 3, param(4, slow=True), param(6, slow=True)])
def test_second_derivatives_of_a_determinant(backend: str, size: int) -> None:
    """Whose shapes do not depend on how far the matrix is from a singular one."""
    x = np.random.default_rng(size).normal(size=(size, size))
    alike = np.where(np.arange(size)[:, None] == 1, x[0], x)
    curvature = tg.hessian(np.linalg.det)
    compiled = tg.compile(curvature, backend)
    for matrix in (x, alike, np.zeros_like(x), x):
        np.testing.assert_allclose(compiled(matrix), curvature(matrix), rtol=1e-11, atol=1e-13)


@pytest.mark.long
@pytest.mark.parametrize("shape", [(2, 2), (3, 4, 2), (5, 2, 3), (0, 2, 2), (3, 0)])
@pytest.mark.parametrize("params", [{}, {"rcond": 1e-3}, {"rtol": None}])
def test_pseudo_inverses(backend: str, shape: tuple[int, ...], params: dict[str, Any]) -> None:
    """Of matrices without full rank, too; and one that is not finite is refused, as by NumPy."""
    x = np.random.default_rng(0).normal(size=shape)
    alike = np.repeat(x[..., :1], shape[-1], axis=-1)
    compiled = tg.compile(lambda x: np.linalg.pinv(x, **params), backend)
    for matrix in (x, alike, 0 * x, 1e-200 * x):
        np.testing.assert_allclose(compiled(matrix), np.linalg.pinv(matrix, **params), rtol=1e-12, atol=1e-15)
    if x.size:
        with pytest.raises(np.linalg.LinAlgError, match="SVD did not converge"):
            compiled(np.full_like(x, np.nan))
