"""float16 and float32: no count of entries and no number of plain Python makes a rule overflow or lose digits."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.marks import param
from tinygrad_lite.engine.backward import whole
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import operations

COUNT = 70_000  # more than float16 can hold
REDUCED = {(2, 3): (2, COUNT // 2), (4,): (COUNT,)}
# takes quadratic time; add up in few digits from entry to entry, as NumPy does
LEFT_OUT = {"convolve", "roots", "logaddexp_accumulate", "logaddexp2_accumulate"}


def cases() -> list[tuple[Op, dict[str, Any]]]:
    """Reductions, losses and whatever else takes arrays of any length, with the parameters of their examples."""
    found = []
    for op in operations():
        if not op.module.startswith(("tinygrad_lite.ops.arithmetic.", "tinygrad_lite.ops.networks.")):
            continue
        if op.derivatives or not op.vjps or not op.arity or op.name in LEFT_OUT:
            continue
        for inputs, params in op.examples or []:
            has_nan = any(isinstance(x, np.ndarray) and np.isnan(x).any() for x in inputs)
            shapes = [x if isinstance(x, tuple) else np.shape(x) if has_nan else None for x in inputs]
            if "weights" not in params and all(shape in REDUCED for shape in shapes):
                found.append((op, {"shapes": shapes, "has_nan": has_nan, **params}))
    return found


def entries(dtype: Any, params: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Arrays of many entries for an example, and its parameters, with a mask as large."""
    rng = np.random.default_rng(0)
    shapes, has_nan = params["shapes"], params["has_nan"]
    arrays = [rng.uniform(0.25, 0.75, REDUCED[shape]).astype(dtype) for shape in shapes]
    for x in arrays if has_nan else []:
        x.flat[::6] = np.nan
    mask = {"where": (np.arange(COUNT) % 6 != 1).reshape(REDUCED[shapes[0]])} if "where" in params else {}
    return arrays, {name: x for name, x in params.items() if name not in ("shapes", "has_nan")} | mask


@pytest.mark.parametrize("dtype", [np.float16, param(np.float32, slow=True)])
@pytest.mark.parametrize(("op", "params"), cases(), ids=str)
def test_counts(op: Op, params: dict[str, Any], dtype: Any) -> None:
    """The gradients of many entries are those of the same entries in float64, in as many digits as there are."""
    arrays, params = entries(dtype, params)

    def gradients(arrays: list[Any]) -> list[Any]:
        y, pullback = tg.vjp(lambda *x: op(*x, **params), *arrays)
        return list(pullback(np.random.default_rng(1).normal(size=y.shape).astype(dtype).astype(y.dtype)))

    limits = np.finfo(dtype)
    for found, expected in zip(gradients(arrays), gradients([x.astype(float) for x in arrays])):
        assert found.dtype == dtype
        held = np.abs(expected) < limits.max
        np.testing.assert_allclose(
            found[held],
            expected[held],
            rtol=32 * limits.eps,
            atol=32 * limits.eps * np.abs(expected[held]).max(initial=0),
        )


@pytest.mark.parametrize("dtype", [np.float16, param(np.float32, slow=True)])
@pytest.mark.parametrize(("op", "params"), [x for x in cases() if not x[0].linear], ids=str)  # these are NumPy's own
def test_counts_in_forward_mode(op: Op, params: dict[str, Any], dtype: Any) -> None:
    """The tangent is off by no more than a few roundings of the largest sum of its terms' sizes."""
    arrays, params = entries(dtype, params)
    tangents = [np.random.default_rng(1).uniform(1.0, 2.0, x.shape).astype(dtype) for x in arrays]

    def f(*x: Any) -> Any:
        return op(*x, **params)

    with np.errstate(over="ignore"):  # of a sum
        found = tg.jvp(f, tuple(arrays), tuple(tangents))[1]
    exact = [x.astype(float) for x in arrays]
    y, expected = tg.jvp(f, tuple(exact), tuple([x.astype(float) for x in tangents]))
    if y.size > 2:  # each entry has few terms
        return
    terms = [np.abs(x * t.astype(float)) for x, t in zip(tg.vjp(f, *exact)[1](np.ones_like(y)), tangents)]
    size = max([t.sum() for t in terms])
    held = np.abs(expected) < np.finfo(dtype).max
    np.testing.assert_allclose(found[held], expected[held], 32 * np.finfo(dtype).eps, 32 * np.finfo(dtype).eps * size)


@pytest.mark.parametrize(("op", "case"), [x for x in cases() if not x[0].linear and "where" not in x[1]], ids=str)
def test_many_equal_entries_in_float16(op: Op, case: dict[str, Any]) -> None:
    """Their sums, and the number of those that tie for the largest, are more than float16 holds."""
    arrays, params = entries(np.float16, case)
    arrays = [np.where(np.isnan(x), x, np.float16(1)) for x in arrays]

    def f(*x: Any) -> Any:
        return op(*x, **params)

    def results(arrays: list[Any]) -> list[Any]:
        y, pullback = tg.vjp(f, *arrays)
        values = [y] if hasattr(tg.nn.functional, op.name) else []  # what NumPy computes may overflow
        return [*values, tg.jvp(f, tuple(arrays), tuple(map(np.ones_like, arrays)))[1], *pullback(np.ones_like(y))]

    with np.errstate(over="ignore"):  # of a variance, as NumPy's
        found = results(arrays)
    for x, expected in zip(found, results([x.astype(float) for x in arrays])):
        held = (np.abs(expected) > 1e-7) & (np.abs(expected) < np.finfo(np.float16).max)  # nothing cancels
        assert x.dtype == np.float16
        np.testing.assert_allclose(x[held], expected[held], 32 * np.finfo(np.float16).eps)


def singles(op: Op) -> list[tuple[list[Any], dict[str, Any]]]:
    """Arguments in float32 for an operation: its examples, and a Python number in each place beside an array."""
    arity = op.arity or 2
    calls = [*(op.examples or [([(2, 3)] * arity, {})])]
    if op.derivatives and arity == 2 and not op.examples:
        calls += [([(2, 3), 2.0], {}), ([0.5, (2, 3)], {}), ([(2, 3), (3,)], {})]
    rng = np.random.default_rng(0)
    lowest = max(op.domain[0][0], 0) if op.domain else 0
    made = []
    for inputs, params in calls:
        arrays = [lowest + rng.uniform(0.3, 0.7, x) if isinstance(x, tuple) else x for x in inputs]
        in_single = [x.astype("f") if np.ndim(x) and x.dtype.char == "d" else x for x in arrays]
        made.append((in_single, dict(params)))
    return made


@pytest.mark.parametrize(
    "op",
    [x for x in operations() if x.vjps and x.module.startswith(("tinygrad_lite.ops.a", "tinygrad_lite.ops.n"))],
    ids=str,
)
def test_rules_compute_in_float32(op: Op) -> None:
    """A rule that makes float64 on the way, of a boolean or a count, say, takes twice the time."""
    for inputs, params in singles(op):
        variables = [
            tg.tensor(x, requires_grad=True) if getattr(x, "dtype", None) == np.float32 and op.vjps[i] else x
            for i, x in enumerate(inputs)
        ]
        y = op(*variables, **params)
        if not isinstance(y, tg.Tensor) or y.op is None or y.dtype != np.float32:
            continue  # as NumPy's value is
        for i, x in enumerate(variables):
            if isinstance(x, tg.Tensor) and x.requires_grad:
                contribution = whole(op.vjps[i](np.ones_like(y.data)[()], y.data, *y.arrays, *y.shared, **y.params))
                assert contribution.dtype == np.float32, (i, inputs, params)


@pytest.mark.parametrize(
    "f",
    [
        np.mean,
        np.average,
        np.std,
        np.var,
        np.nanmean,
        lambda x: tg.nn.functional.mse_loss(x, np.zeros_like(x)),
        lambda x: tg.nn.functional.binary_cross_entropy_with_logits(x, np.zeros_like(x)),
    ],
)
def test_means_of_many_entries_in_float16(f: Callable[[Any], Any]) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, COUNT).astype(np.float16)
    found, expected = tg.grad(f)(x), tg.grad(f)(x.astype(float))
    assert np.count_nonzero(found) > COUNT / 2
    np.testing.assert_allclose(found, expected, rtol=0.01, atol=6e-8)  # the step of the smallest numbers of float16


@pytest.mark.parametrize(
    ("shape", "groups"),
    [((5000, 1, 6), 1), ((5000, 2, 6), 2), ((1, 1, 3000, 20), 1), ((64, 1, 48, 20), 1), ((16, 2, 20, 30), 2)],
)
def test_gradients_of_kernels_in_float16(shape: tuple[int, ...], groups: int) -> None:
    """They are sums over all images and pixels, in whatever order these are laid out."""
    x = np.random.default_rng(0).uniform(0.5, 1, shape).astype(np.float16)
    convolve = getattr(tg.nn.functional, f"conv{len(shape) - 2}d")
    weight = np.zeros((groups, 1, *[3] * (len(shape) - 2)))
    scale = np.float16(1 / 64)

    def gradient(x: Any) -> Any:
        return tg.grad(lambda w: np.sum(convolve(x, w, groups=groups) * scale))(weight.astype(x.dtype))

    np.testing.assert_allclose(gradient(x), gradient(x.astype(float)), rtol=1e-3)


@pytest.mark.parametrize("a", [np.float32(1.5), np.float16(1.5), np.array(1.5, np.float32), 1.5])
def test_a_narrow_number_beside_wide_ones_costs_no_digits(a: Any) -> None:
    for f in (lambda x: a**x, lambda x: x**a, lambda x: np.logaddexp(a, x), lambda x: np.arctan2(a, x)):
        x = np.array([2.3])
        wide = tg.grad(lambda x, f=f: np.sum(f(x)))(x)
        exact = (f(x + 1e-4) - f(x - 1e-4)) / 2e-4
        np.testing.assert_allclose(wide, exact, rtol=3e-8)
    np.testing.assert_allclose(tg.grad(lambda x: np.sum(a**x))(np.array([2.3])), 1.5**2.3 * np.log(1.5), rtol=1e-15)


def test_cov_with_weights_in_float16() -> None:
    m, w = np.arange(3.0) ** 3, np.array([0.1, 0.2, 0.3], np.float16)
    f = lambda m: np.cov(m, aweights=w)  # noqa: E731
    np.testing.assert_array_equal(f(tg.tensor(m, requires_grad=True)).detach(), f(m))
    np.testing.assert_allclose(tg.grad(f)(m), tg.grad(lambda m: np.cov(m, aweights=w.astype(float)))(m), rtol=1e-15)


@pytest.mark.parametrize(
    "f", [np.log, np.log2, np.log10, np.cbrt, np.exp2, np.deg2rad, np.rad2deg], ids=lambda f: f.__name__
)
def test_constants_at_the_largest_numbers_of_float16(f: Callable[[Any], Any]) -> None:
    x = np.array([60000.0, 30000.0, 15.0], np.float16)
    with np.errstate(over="ignore"):  # of the value
        found, expected = (tg.vjp(f, x.astype(kind))[1](np.ones(3, kind))[0] for kind in (np.float16, float))
    np.testing.assert_allclose(found, expected.astype(np.float16), rtol=0.01, atol=6e-8)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("log", "slope"), [(np.log, 1.0), (np.log2, 1 / np.log(2)), (np.log10, 1 / np.log(10))])
def test_the_logarithm_of_the_smallest_numbers_has_a_slope_in_a_product(log: Any, slope: float, dtype: Any) -> None:
    """As in the entropy of probabilities, of which 1 / p is infinite."""
    p = np.array([np.finfo(dtype).smallest_subnormal, np.finfo(dtype).tiny / 8, 0.25], dtype)
    exact = log(p.astype(np.longdouble)) + slope
    gradient = tg.grad(lambda p: np.sum(p * log(p)))(p)
    assert gradient.dtype == dtype
    np.testing.assert_allclose(gradient, exact, rtol=8 * np.finfo(dtype).eps)
