"""NaN and infinity in linear algebra: NumPy's values, nothing printed, and no gradient that looks like one."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.derivatives import real_of
from tests.numpy_calls import parts, weighted
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import operations
from tinygrad_lite.errors import InputError

OPERATIONS = [op for op in operations() if op.module.startswith("tinygrad_lite.ops.linear")]


def calls(op: Op, bad: float) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    """Each example with the bad number as one entry of each argument in turn, and as all of them."""
    rng = np.random.default_rng(3)
    for shapes, params in op.examples or [([(3, 3)] * (op.arity or 2), {})]:
        arrays = [x if isinstance(x, np.ndarray) else rng.uniform(1, 2, x) for x in shapes]
        for x in arrays:
            if x.ndim >= 2 and x.shape[-1] == x.shape[-2]:
                x += 4 * np.eye(x.shape[-1])  # of full rank, and positive definite where that is asked for
        for i, x in enumerate(arrays):
            if x.dtype.kind == "f" and x.size:
                for place in (0, x.size // 2, -1, slice(None)):
                    spoilt = x.copy()
                    spoilt.reshape(-1)[place] = bad
                    yield [*arrays[:i], spoilt, *arrays[i + 1 :]], dict(params)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("op", OPERATIONS, ids=str)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nothing_is_printed(op: Op, bad: float, capfd: Any) -> None:
    for arrays, params in calls(op, bad):
        leaves = [tg.tensor(x, requires_grad=x.dtype.kind == "f") for x in arrays]
        try:
            y = real_of(op(*leaves, **params))
            if getattr(y, "requires_grad", False):
                y.sum().backward(retain_graph=True)
                y.backward(np.full(y.shape, bad))
                tg.jvp(lambda *x, params=params: real_of(op(*x, **params)), arrays, [np.ones_like(x) for x in arrays])
        except (np.linalg.LinAlgError, InputError):
            pass
    assert capfd.readouterr() == ("", "")


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    **{
        name: getattr(np.linalg, name)
        for name in ("inv", "det", "slogdet", "cholesky", "eigh", "eigvalsh", "svd", "svdvals", "qr", "pinv", "cond")
    },
    **{
        f"norm {order}": lambda x, order=order: np.linalg.matrix_norm(x, ord=order)
        for order in ("nuc", 2, -2, 1, "fro")
    },
    **{f"cond {order}": lambda x, order=order: np.linalg.cond(x, order) for order in (1, "fro", "nuc", -2)},
    "matrix_rank": np.linalg.matrix_rank,
    "matrix_power": lambda x: np.linalg.matrix_power(x, -2),
    "solve": lambda x: np.linalg.solve(x, np.ones(3)),
    "solve for it": lambda x: np.linalg.solve(np.eye(3) + 1, x),
    "lstsq for it": lambda x: np.linalg.lstsq(np.eye(3) + 1, np.reshape(x, (-1, 3)).T)[0],
    "pinv, hermitian": lambda x: np.linalg.pinv(x, hermitian=True),
    "svd, hermitian": lambda x: np.linalg.svd(x, hermitian=True),
}
CALLS_LAPACK_FOR_SINGULAR_VALUES = ("svd", "svdvals", "pinv", "matrix_rank", "cond", "norm 2", "norm -2", "norm nuc")
CALLS_LAPACK_FOR_SINGULAR_VALUES += ("cond nuc", "cond -2")


@pytest.mark.parametrize("stacked", [False, True], ids=["matrix", "stack"])
@pytest.mark.parametrize("place", [(1, 0), (2, 2), (slice(None), slice(None))], ids=["entry", "diagonal", "all"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_value_is_numpys_and_the_gradient_of_nan_is_nan(name: str, bad: float, place: Any, stacked: bool) -> None:
    f, x = FUNCTIONS[name], np.eye(3) + 1
    x[place] = bad
    x = np.stack([np.eye(3) * 2, x]) if stacked else x
    leaf = tg.tensor(x, requires_grad=True)
    try:
        if name in CALLS_LAPACK_FOR_SINGULAR_VALUES and bad == np.inf:
            raise np.linalg.LinAlgError("SVD did not converge")  # as NumPy says where LAPACK returns
        expected = f(x)
    except np.linalg.LinAlgError as error:
        with pytest.raises(np.linalg.LinAlgError, match=str(error)):
            f(leaf)
        return
    for a, b in zip(parts(f(leaf)), parts(expected), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b)
    if np.isnan(bad) and name != "solve for it":  # which is linear in it
        gradient = tg.grad(weighted(f))(x)
        assert np.any(np.isnan(gradient[-1] if stacked else gradient))


def test_least_squares_of_what_is_not_finite() -> None:
    for bad in (np.nan, np.inf):
        with pytest.raises(np.linalg.LinAlgError, match="SVD did not converge in Linear Least Squares"):
            np.linalg.lstsq(tg.tensor([[bad, 1.0], [1.0, 2.0]]), np.ones(2))
