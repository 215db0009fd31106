"""Rows of conditions, NaN between points, entries that are equal but for rounding, warnings, and nothing at all."""

import itertools
import warnings
from collections.abc import Callable
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.compiler.conftest import BACKENDS
from tinygrad_lite.foundation.signatures import newer
from tinygrad_lite.ops.arithmetic import selection


@pytest.mark.parametrize("shape", [(), (2,), (3,), (2, 2), (2, 3)])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("default", [False, True])
@pytest.mark.parametrize("rows", [False, True])
def test_piecewise_reads_conditions_as_numpy_does(shape: Any, count: int, default: bool, rows: bool) -> None:
    """As a list of conditions, and as an array whose rows are conditions: the same value, or an error in both."""
    x = np.random.default_rng(0).normal(size=shape)
    conditions: Any = [x < 0, x > 0.3][:count]
    conditions = conditions[0] if rows else conditions
    functions = [lambda v: v**2, lambda v: 3 * v, lambda v: -v][: count + default]
    try:
        expected = np.piecewise(x, conditions, functions)
    except (ValueError, IndexError):
        with pytest.raises((ValueError, IndexError)):
            np.piecewise(tg.tensor(x, requires_grad=True), conditions, functions)
        return
    t = tg.tensor(x, requires_grad=True)
    y = np.piecewise(t, conditions, functions)
    np.testing.assert_array_equal(y.detach(), expected)
    (y + 0 * t).sum().backward()
    assert t.grad is not None
    assert t.grad.shape == shape


def test_interp_of_nan_counts_for_no_point() -> None:
    x, xp, fp = np.array([0.5, np.nan]), np.array([0.0, 1.0, 2.0]), np.array([0.0, 10.0, 5.0])
    f = lambda *x: np.sum(np.interp(*x)[:1])  # noqa: E731
    for i in range(3):
        both = tg.grad(lambda *x: np.sum(np.interp(*x)), i)(x, xp, fp)
        np.testing.assert_array_equal(both, tg.grad(f, i)(x, xp, fp))


def test_interp_at_nan_has_no_derivative() -> None:
    f = lambda x: np.interp(x, [0.0, 1.0, 2.0], [0.0, 10.0, 5.0])  # noqa: E731
    x = np.array([0.5, np.nan, 3.0])
    for slope in (tg.grad(lambda x: np.sum(f(x)))(x), tg.jvp(f, (x,), (np.ones(3),))[1]):
        np.testing.assert_array_equal(slope, [10.0, np.nan, 0.0])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, np.complex64, np.complex128])
def test_a_power_of_a_half_is_that_of_numpy(dtype: Any) -> None:
    """Its operator takes a root, which rounds once, and has other values at -0.0 and -∞; so does np.power since 2.4."""
    x = np.random.default_rng(0).uniform(0, 9, 200).astype(dtype)
    x[:2] = -0.0, -np.inf
    with np.errstate(invalid="ignore"):
        expected, found = np.power(x, 0.5) if x.dtype.char in "fd" else x**0.5, (tg.tensor(x) ** 0.5).data
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found.real), np.signbit(expected.real))


@pytest.mark.parametrize("mean", [0, 2**10, 2**20, 2**30, 2**34])
@pytest.mark.parametrize("f", [np.std, np.nanstd, lambda x: np.std(x, where=x > 0)], ids=["std", "nanstd", "where"])
def test_std_far_from_0_has_all_its_digits(f: Callable[[Any], Any], mean: int) -> None:
    entries = np.array([2.5, 0.375, 1.75, 3.25, 0.5])  # beside which the mean is rounded, and they are not
    for count in (3, 4, 5):
        expected, found = (tg.grad(f)(entries[:count] + shift) for shift in (0, mean))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("f", [np.std, np.nanstd, lambda x: np.std(x, where=np.array([True, True, True]))])
def test_std_of_entries_that_are_equal_but_for_rounding(f: Callable[[Any], Any]) -> None:
    x = np.array([0.1 + 0.2, 0.3, 0.3])
    np.testing.assert_allclose(tg.grad(f)(x), [np.sqrt(2) / 3, -np.sqrt(2) / 6, -np.sqrt(2) / 6], rtol=1e-12)
    for n in range(1, 20):
        assert not np.any(tg.grad(np.std)(np.full(n, 0.1)))


@pytest.mark.parametrize("running", newer("cumulative_sum", "cumulative_prod"))
@pytest.mark.parametrize(
    ("shape", "axis"), [((0,), None), ((0,), 0), ((2, 0), 1), ((2, 0), -1), ((0, 2), 1), ((3,), 0)]
)
def test_running_from_the_start_of_nothing(running: Callable[..., Any], shape: Any, axis: int | None) -> None:
    x = np.full(shape, 0.5)
    y = running(tg.tensor(x, requires_grad=True), axis=axis, include_initial=True)
    np.testing.assert_array_equal(y.detach(), running(x, axis=axis, include_initial=True))
    gradient = tg.grad(lambda x: np.sum(running(x, axis=axis, include_initial=True)))(x)
    assert gradient.shape == shape


BASES = np.array([-np.inf, -3.0, -0.5, -0.0, 0.0, 0.5, 1.0, 3.0, 1e-200, 1e200, np.inf, np.nan])


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize(
    "exponent", [*range(-10, 11), 2.0, 3.0, -1.0, 0.0, 0.5, -0.5, 1.25, 2.7, np.float64(3), np.inf]
)
def test_a_known_exponent_has_the_gradient_of_any_other(exponent: float) -> None:
    known = tg.grad(lambda x: np.sum(x**exponent))(BASES)
    general = tg.grad(lambda x: np.sum(x ** np.full(BASES.shape, exponent, float)))(BASES)
    np.testing.assert_allclose(known, general, rtol=1e-14)


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("base", [-2.0, 0.0, 0, 0.5, 1, 2, np.float64(10), np.inf])
def test_a_known_base_has_the_gradient_of_any_other(base: float) -> None:
    exponents = np.array([-2.0, -0.0, 0.0, 0.5, 3.0])
    known = tg.grad(lambda x: np.sum(base**x))(exponents)
    general = tg.grad(lambda x: np.sum(np.full(exponents.shape, base, float) ** x))(exponents)
    np.testing.assert_allclose(known, general, rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [*range(3, 9), 3.0])
def test_a_small_whole_power_is_a_product(n: float, dtype: Any) -> None:
    x = np.random.default_rng(0).normal(size=1000).astype(dtype)
    x[:6] = 0.0, -0.0, np.inf, -np.inf, np.nan, 1e-20
    value = (tg.tensor(x) ** n).numpy()
    expected = x**n
    assert value.dtype == expected.dtype
    np.testing.assert_array_equal(np.signbit(value), np.signbit(expected))
    np.testing.assert_allclose(value, expected, rtol=n / 2 * np.finfo(dtype).eps, atol=np.finfo(dtype).smallest_normal)
    assert (tg.tensor([2, 3]) ** n).dtype == (np.array([2, 3]) ** n).dtype


EXTREMES = [
    [np.inf, np.inf, 0.9, -np.inf],
    [1.0, 2.0, np.inf, np.nan],
    [3e38, 3e38, 3e38, -3e38],
    [1e308, 1e308, 1e308, -1e308],
]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize(
    "f", [np.var, np.std, np.mean, np.sum, np.prod, np.nanvar, np.nanmean, np.nansum], ids=lambda f: f.__name__
)
def test_a_reduction_warns_where_numpy_does(f: Callable[..., Any], dtype: Any) -> None:
    some = np.array([True, True, False, False])
    settings: list[dict[str, Any]] = [{}, {"where": some}, {"where": ~some}, {"where": some & ~some}]
    settings += [{"where": some, "ddof": 1}, {"ddof": 4}] if f in (np.var, np.std) else []
    for data, params in itertools.product(EXTREMES, settings):
        with np.errstate(all="ignore"):
            x = np.array(data).astype(dtype)
        answers = []
        for argument in (x, tg.tensor(x), tg.tensor(x, requires_grad=True)):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                y = f(argument, -1, keepdims=True, **params)
            answers.append(({str(x.message) for x in caught}, y.detach().numpy() if isinstance(y, tg.Tensor) else y))
        for texts, y in answers[1:]:
            assert texts == answers[0][0], (data, params)
            np.testing.assert_array_equal(y, answers[0][1])


@pytest.mark.parametrize("running", [np.cumsum, np.cumprod], ids=["cumsum", "cumprod"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(4, 700), (3, 5, 20, 30), (2, 3, 600)], ids=str)
def test_running_operations_over_long_slices_have_numpys_roundings(running: Any, dtype: Any, shape: Any) -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(0.5, 1.5, shape).astype(dtype)
    for x in (values, np.asfortranarray(values), values[..., ::-1]):
        for axis in (*range(x.ndim), -1, -2):
            leaf = tg.tensor(x, requires_grad=True)
            y = running(leaf, axis=axis)
            assert y.dtype == dtype
            np.testing.assert_array_equal(y.numpy(), running(x, axis=axis))
            g = rng.normal(size=shape).astype(dtype)
            y.backward(g)
            terms = g if running is np.cumsum else g * y.numpy().astype(float)
            right = np.flip(np.cumsum(np.flip(terms, axis), axis), axis) / (1 if running is np.cumsum else x)
            assert leaf.grad is not None
            error = np.abs(leaf.grad.numpy() - right)
            assert np.max(error) <= 50 * np.finfo(dtype).eps * np.max(np.abs(right))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_gradient_of_a_product_needs_no_division(dtype: Any) -> None:
    tiny, huge = np.finfo(dtype).tiny, np.finfo(dtype).max
    rows = [
        [2, 3, -4],
        [0, 3, 4],
        [0, 0, 4],
        [tiny, 0.5, 1],
        [tiny, tiny, 1e30],
        [huge, 2, 0.5],
        [huge, 0.25, -1],
        [1, 1, 0],
    ]
    x = np.array(rows, dtype)
    for part in (x, *x[:, None], x[:1], x[[0, 6]]):
        with np.errstate(all="ignore"):
            right = np.stack([np.prod(np.delete(part, i, axis=1), axis=1) for i in range(3)], axis=1)
            found = tg.grad(lambda x: np.sum(np.prod(x, axis=1)))(part)
        np.testing.assert_allclose(found, right, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int32, np.complex128, ">f8"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_many_entries_are_chosen_as_numpy_chooses_them(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    x, z = (rng.normal(size=(80, 70)).astype(dtype) for _ in range(2))
    if dtype != np.int32:
        x[0, :5] = z[0, 3:8] = [np.nan, np.inf, -np.inf, -0.0, 0.0]
    condition = rng.random(x.shape) < 0.5
    assert condition.size >= selection.MANY
    numbers: list[Any] = [0, 0.0, -0.0, 0.5, 2, 1e300, np.nan, -np.inf, np.float64(3), np.float32(3), True]
    rows = [z[:1], z[:, :1], np.broadcast_to(z[:1], x.shape), np.stack([z, x])]
    others = [z, np.asfortranarray(z), z[::-1], x.astype(float), *rows, *numbers]
    conditions = [condition[:1], condition[:, :1], np.stack([condition, ~condition]), condition.astype(int)]
    for choose in (condition, np.asfortranarray(condition), *conditions):
        for other in others:
            for a, b in ((x, other), (other, x)):
                right = np.where(choose, a, b)
                found = selection.where_else.compute(choose, a, b)
                assert found.dtype == right.dtype
                assert found.tobytes() == right.tobytes()


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_numbers_are_chosen_as_numpy_chooses_them() -> None:
    kinds = [float, int, bool, complex, np.bool_, np.int8, np.int64, np.uint64, np.float16, np.float32, np.float64]
    kinds += [np.longdouble, np.complex64, np.complex128]
    values = [kind(x) for kind in kinds for x in (0, 1)] + [-0.0, np.nan, np.float32(-np.inf), np.zeros(()), None]
    for condition in (True, False, np.True_, np.False_, np.zeros((), bool), 1, np.float64(0)):
        for a, b in itertools.product(values, values):
            found, right = selection.where_else.compute(condition, a, b), np.where(condition, a, b)
            assert type(found) is type(right)
            assert (found.dtype, found.shape) == (right.dtype, right.shape)
            assert repr(found) == repr(right)
            assert found is not a
            assert found is not b


@pytest.mark.parametrize("g", [-np.inf, np.nan])
@pytest.mark.parametrize("shape", [(100, 50), (3, 4), (40, 8, 4, 2)], ids=str)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_an_infinite_or_undefined_gradient_reaches_only_what_was_chosen(shape: Any, dtype: Any, g: float) -> None:
    untied = np.random.default_rng(0).normal(size=shape).astype(dtype)
    axes: Any = (-2, -1) if len(shape) > 2 else 1
    choices: list[Any] = [
        (lambda x: np.where(x > 0, x, 2.0), lambda x: x > 0),
        (lambda x: np.where(x > 0, 2.0, x), lambda x: ~(x > 0)),
        (lambda x: np.max(x, axis=axes, keepdims=True), lambda x: x == np.max(x, axis=axes, keepdims=True)),
        (np.min, lambda x: x == np.min(x)),
        (lambda x: np.max(x, initial=0.0), lambda x: x == np.max(x)),
    ]
    for x in (untied, np.rint(untied)):
        for choice, chosen in choices:
            leaf = tg.tensor(x, requires_grad=True)
            y = choice(leaf)
            y.backward(np.full(y.shape, g, dtype))
            assert leaf.grad is not None
            assert leaf.grad.dtype == dtype
            np.testing.assert_array_equal(leaf.grad.numpy(), np.where(chosen(x), dtype(g), 0))


@pytest.mark.parametrize("backend", BACKENDS)
def test_compiled_an_undefined_gradient_reaches_only_what_was_chosen(backend: str) -> None:
    x = np.array([[1.0, 3.0, 3.0], [5.0, 4.0, 2.0], [7.0, 6.0, 8.0]])
    g = np.array([1.0, np.nan, -np.inf])
    for choice in (lambda x: np.max(x, axis=1), lambda x: np.min(x, axis=1)):
        both = tg.grad(lambda x, choice=choice: np.sum(choice(x) * g))
        expected = both(x)
        assert np.count_nonzero(np.isfinite(expected)) == 7
        np.testing.assert_array_equal(tg.compile(both, backend)(x), expected)


@pytest.mark.parametrize("f", [np.var, np.std, np.nanvar, np.nanstd], ids=lambda f: f.__name__)
def test_the_gradient_of_a_spread_does_not_repeat_numpys_warnings(f: Callable[..., Any]) -> None:
    mask = np.array([[True, False], [True, False], [True, True]])
    for rows in (mask, mask & [True, False]):
        leaf = tg.tensor([[1.0, 2.0], [2.0, 4.0], [6.0, 5.0]], requires_grad=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            y = f(leaf, axis=0, where=rows, ddof=0)
        y.backward(np.ones(2))
        assert leaf.grad is not None
        assert not np.any(leaf.grad.numpy()[~rows])
        np.testing.assert_allclose(leaf.grad.numpy()[:, 0], tg.grad(f)(np.array([1.0, 2.0, 6.0])), rtol=1e-14)


@pytest.mark.long
@pytest.mark.parametrize("f", [np.sum, np.mean, np.max, np.prod, np.var], ids=lambda f: f.__name__)
def test_gradients_do_not_depend_on_how_an_array_lies_in_memory(f: Any) -> None:
    values = np.random.default_rng(0).uniform(0.9, 1.1, size=(6, 8, 10, 12))
    for order in itertools.permutations(range(4)):
        back = np.argsort(order)
        x = np.ascontiguousarray(values.transpose(order)).transpose(back)
        for axis in ((2, 3), (0, 1), 1, (0, 2), None):
            for keepdims in (False, True):
                weights = np.cos(np.arange(f(values, axis=axis, keepdims=keepdims).size, dtype=float))

                def loss(x: Any, axis: Any = axis, keepdims: bool = keepdims, weights: Any = weights) -> Any:
                    return np.sum(f(x, axis=axis, keepdims=keepdims).reshape(-1) * weights)

                np.testing.assert_allclose(tg.grad(loss)(x), tg.grad(loss)(values), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "x",
    [
        [2.0, -3.0, 0.5, 4.0],
        [2.0, 0.0, 0.5, 4.0],
        [0.0, 3.0, 0.0, 4.0],
        [1e-160, 1e-160, 1.0, 2.0],  # products with few digits
        [1e-200, 1e-200, 1.0, 2.0],  # and without any
        [5e-324, 2.0, 3.0, 4.0],
        [1e-300, 1e-7, 3.0, 1.0],
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [1.0, 1e-10])  # of the upstream gradient, which may be too small to be multiplied
def test_the_gradient_of_running_products_is_that_of_products(x: list[float], size: float) -> None:
    weights = [size * weight for weight in (3.0, -2.0, 5.0, 0.5)]

    def exactly(i: int) -> Fraction:
        return sum(
            Fraction(w) * prod(Fraction(factor) for k, factor in enumerate(x[: j + 1]) if k != i)
            for j, w in enumerate(weights)
            if j >= i
        )

    with np.errstate(all="ignore"):
        found = tg.grad(lambda x: np.sum(weights * np.cumprod(x)))(np.array(x))
    np.testing.assert_allclose(found, [float(exactly(i)) for i in range(4)], rtol=1e-14, atol=1e-321)
