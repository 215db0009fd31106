"""Every operation, compiled, at special values, in other memory and in other dtypes: as eager code, entry by entry."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import tinygrad_lite as tg
from tests.compiler.conftest import BACKENDS
from tests.ops.test_registry import DIFFERENTIABLE
from tinygrad_lite import trees
from tinygrad_lite.engine.op import Op
from tinygrad_lite.testing import Call, inputs_of

pytestmark = [
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::tinygrad_lite.errors.UncompiledWarning"),
]

SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, -1e-310, 1e300, -1e300, 3e38, 1e-45, 1, -1, 0.5, 2, -3])
DTYPES = (np.float64, np.float32, np.int64, np.bool_)

# Where compiled code may differ from eager code, and why:

STEPS = {
    *("matmul", "dot", "inner", "vdot", "tensordot", "einsum", "linear", "bilinear", "multi_dot", "outer", "kron"),
    *("cross", "convolve", "convolution", "transposed_convolution", "rnn", "lstm", "gru", "masked_softmax"),
    *("solve", "inv", "pinv", "det", "lstsq", "cholesky", "eigh", "matrix_norm", "binary_cross_entropy_with_logits"),
}
"""Sums of products, and systems of equations: BLAS and LAPACK add in their own order, and leave out factors of 0. What
they make of infinite and of vastly different numbers, another order makes other numbers of."""

ORDERED = {"interp", "searchsorted", "digitize"}
"""What they do with points that are not in order, NumPy does not say."""

BY_NUMBERS = {"cumprod"}
"""The rule has two formulas, and chooses by the numbers; for a number, one gives a scalar, and the other an array."""

ULPS = 200
"""Native code rounds otherwise. Numbers are compared with the largest among the arguments and the results, in epsilons;
special ones with the largest of the same result, and values of smooth elementwise operations each with itself. For
these alone, zeros have the same sign: elsewhere, ties and sums of zeros may take either."""


def cast(x: Any, dtype: np.dtype[Any]) -> Any:
    """A drawn array of numbers in another dtype; whole numbers and booleans are indices and masks, and stay."""
    x = np.asarray(x)
    return x if x.dtype.kind != "f" else (np.rint(3 * x) if dtype.kind in "ib" else x).astype(dtype)


def specially(x: Any, rng: np.random.Generator) -> Any:
    return np.where(rng.random(x.shape) < 0.5, rng.choice(SPECIAL.astype(x.dtype), x.shape), x).astype(x.dtype)


def variants(call: Call, dtype: np.dtype[Any]) -> Iterator[tuple[str, list[Any]]]:
    """The arguments as drawn, and others of the same shapes."""
    arrays = [cast(x, dtype) for x in call.arrays]
    changing = [np.asarray(x).dtype.kind == "f" for x in call.arrays]
    rng = np.random.default_rng(0)

    def changed(change: Callable[[Any], Any]) -> list[Any]:
        return [change(x) if may_change else x for x, may_change in zip(arrays, changing)]

    yield "drawn", arrays
    if call.op.name not in ORDERED and dtype.kind == "f":
        for _ in range(2):
            yield "special", changed(lambda x: specially(x, rng))
    yield "equal", changed(lambda x: np.full_like(x, np.ravel(x)[0] if x.size else 0))
    yield "strided", [np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x for x in arrays]
    yield "Fortran", [np.asfortranarray(x) for x in arrays]
    if call.op.derivatives:
        yield "no entry", [x[..., :0] if x.ndim else x for x in arrays]
        yield "no dimension", [np.ravel(x)[:1].reshape(()) if x.size else np.ones((), x.dtype) for x in arrays]


def result(f: Callable[..., Any], args: list[Any]) -> Any:
    with np.errstate(all="ignore"):
        try:
            return trees.leaves(f(*args))
        except (ValueError, TypeError, IndexError, np.linalg.LinAlgError) as error:
            return next(
                kind for kind in (np.linalg.LinAlgError, ValueError, TypeError, IndexError) if isinstance(error, kind)
            )


def largest_of(x: Any) -> float:
    return float(np.max(np.abs(x[np.isfinite(x)]), initial=0.0))


def assert_same(op: Op, name: str, args: list[Any], found: Any, expected: Any) -> None:
    assert type(found) is type(expected), (name, found, expected)
    if isinstance(expected, type):
        assert found is expected, name
        return
    largest = max(map(largest_of, (*args, *expected)))
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        assert (a.shape, a.dtype) == (b.shape, b.dtype), name
        assert type(a) is type(b) or (op.name in BY_NUMBERS and not b.shape), name
        if name == "special" and op.name in STEPS:
            continue
        epsilons = ULPS * float(np.finfo(b.dtype).eps) if b.dtype.kind in "fc" else 0
        is_smooth = bool(op.derivatives) and not op.kink and i == 0
        bound = largest if name != "special" else 0 if is_smooth else largest_of(b)
        np.testing.assert_allclose(a, b, rtol=epsilons, atol=epsilons * bound, err_msg=name)
        if is_smooth and b.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(a)[b == 0], np.signbit(b)[b == 0], err_msg=name)


@pytest.mark.long
@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=str)
@settings(max_examples=2, phases=[Phase.generate])
@given(data=st.data())
def test_values_and_gradients_are_those_of_eager_code(op: Op, data: st.DataObject) -> None:
    call = data.draw(inputs_of(op))

    def value(*x: Any) -> Any:
        return call.value(*x)

    def both(*x: Any) -> Any:
        chosen = dict.fromkeys(call.differentiable)
        y, pull = tg.vjp(
            lambda *v: call.value(*(dict(enumerate(x)) | dict(zip(chosen, v))).values()), *[x[i] for i in chosen]
        )
        return y, pull(np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype))

    for dtype, backend in product(map(np.dtype, DTYPES), BACKENDS):
        f = both if dtype.kind == "f" and call.differentiable else value
        compiled = tg.compile(f, backend)
        for name, args in variants(call, dtype):
            assert_same(op, name, args, result(compiled, args), result(f, args))
