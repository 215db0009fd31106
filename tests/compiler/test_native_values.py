"""The native backend's values beside NumPy's: dtypes, numbers, indices, and weights that a program writes to."""

import itertools
from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.marks import spread
from tinygrad_lite.errors import UsageError
from tinygrad_lite.ops.arithmetic.elementwise import exp_of_square
from tinygrad_lite.ops.networks.normal import normal_cdf

WHOLE = [np.dtype(code) for code in "bBhHiIqQ"]
DTYPES = [*WHOLE, *map(np.dtype, "?efdgFD"), np.dtype(">f8"), np.dtype(">i4"), np.dtype("U3"), np.dtype("M8[s]")]
COMPARISONS = [np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal]
COUNTS = [3, 17, 40]


def assert_same(found: Any, expected: Any) -> None:
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("compare", spread(COMPARISONS, 0), ids=lambda ufunc: ufunc.__name__)
def test_whole_numbers_are_compared_even_if_they_do_not_fit_into_the_dtype(compare: np.ufunc) -> None:
    numbers = [0, -1, 127, 128, -129, 256, 300, 2**31, 2**40, 2**63, 2**64, -(2**63) - 1, 2**70]

    def f(x: Any) -> list[Any]:
        return [result for n in numbers for result in (compare(x, n), compare(n, x))]

    for dtype in WHOLE:
        x = np.array([0, 1, 44, 127, np.iinfo(dtype).min, np.iinfo(dtype).max], dtype)
        for found, expected in zip(tg.compile(f, "native")(x), f(x)):
            assert_same(found, expected)


@pytest.mark.long
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_arrays_of_any_dtype_are_joined(dtype: np.dtype[Any], count: int) -> None:
    def f(*arrays: Any) -> list[Any]:
        return [np.stack(arrays), np.stack(arrays, axis=-1), np.concatenate(arrays), np.stack([x[1] for x in arrays])]

    compiled = tg.compile(f, "native")
    for start in (20, 21):  # numbers of two letters, since an entry of letters has their number
        arrays = [np.arange(start + i, start + i + 3).astype(dtype) for i in range(count)]
        for found, expected in zip(compiled(*arrays), f(*arrays)):
            assert_same(found, expected)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "g"])
def test_gradients_of_many_parts_are_put_together_in_any_dtype(dtype: str) -> None:
    def loss(x: Any) -> Any:
        return sum(np.sum(x[i : i + 3] * (i + 1)) for i in range(20))

    x = np.arange(22).astype(dtype)
    assert_same(tg.compile(lambda x: tg.grad(loss)(x), "native")(x), tg.grad(loss)(x))


INDICES = [
    1,
    slice(None, None, -2),
    (slice(None), -1),
    (np.array([0, 0, 2]), np.array([1, 1, 1])),
    [2, 0],
    np.array([[0], [-1]]),
    np.array([True, False, True, False]),
    np.arange(20).reshape(4, 5) % 3 == 0,
    None,
    ...,
    True,
    False,
    (np.array([1, 0]), slice(None, None, 2)),
]


@pytest.mark.long
@pytest.mark.parametrize("index", INDICES, ids=repr)
def test_values_at_an_index_may_have_any_shape_that_numpy_spreads(index: Any) -> None:
    x = np.arange(20.0).reshape(4, 5)
    shape = x[index].shape
    for given in ((), shape[1:], shape, (1, *shape), (1, 1, *shape)):
        values = np.random.default_rng(0).normal(size=given)

        def f(x: Any, values: Any) -> list[Any]:
            t = tg.tensor(x)
            return [t.at[index].set(values), t.at[index].add(values), t[index]]

        try:
            wanted = f(x, values)
        except UsageError:
            continue  # NumPy spreads no values over the entries of a mask
        for found, expected in zip(tg.compile(f, "native")(x, values), wanted):
            assert_same(found.numpy(), expected.numpy())


@pytest.mark.long
@pytest.mark.parametrize(
    ("index", "dtype"), [*itertools.product(INDICES, ["?", "b", "B", "q", "f2", "f4", "g", "F"])], ids=repr
)
def test_values_are_added_in_the_dtype_of_the_whole(index: Any, dtype: str) -> None:
    x = (np.arange(20).reshape(4, 5) % 3).astype(dtype)

    def f(x: Any) -> Any:
        return tg.tensor(x).at[index].add(x[index])

    assert_same(tg.compile(f, "native")(x).numpy(), f(x).numpy())


@pytest.mark.long
@pytest.mark.parametrize("dtype", "?bqefdgFDG")
def test_products_and_sums_of_nothing(dtype: str) -> None:
    def f(x: Any) -> list[Any]:
        return [x @ x.T, x.T @ x, np.sum(x, axis=0), np.sum(x, axis=1), np.concatenate([x, x]), x.reshape(0, 3)]

    for shape in ((3, 0), (0, 3)):
        x = np.ones(shape, dtype)
        for found, expected in zip(tg.compile(f, "native")(x), f(x)):
            assert_same(found, expected)


@pytest.mark.long
@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray, lambda x: x[::-1, ::2], lambda x: x.T])
@pytest.mark.parametrize("call", [lambda x: np.var(x, axis=0), lambda x: np.sort(x, axis=1), lambda x: x.T])
def test_numpy_calls_read_arguments_in_any_order(call: Any, layout: Any) -> None:
    compiled = tg.compile(lambda x: (call(x), call(x[1:])), "native")
    for turn in range(4):
        x = layout(np.random.default_rng(turn).integers(0, 50, (4, 6)))
        for found, expected in zip(compiled(x), (call(x), call(x[1:]))):
            assert_same(found, expected)


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (2, 1, 0)], ids=str)
def test_turns_over_arguments_in_any_order(order: tuple[int, ...]) -> None:
    def f(x: Any) -> Any:
        return np.sort(x, axis=1) * 2 + x

    x = np.random.default_rng(0).integers(0, 50, (15, 4, 6))
    given = np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
    found = tg.compile(f, "native").epochs([given], 3, epochs=2, rng=0)
    rng = np.random.default_rng(0)
    batches = [x[rows] for _ in range(2) for rows in rng.permutation(15).reshape(5, 3)]
    assert_same(np.asarray(found), np.stack([f(batch) for batch in batches]))


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("pair", [(1, True), (True, 1), (0, False), (False, 0)], ids=repr)
def test_indices_that_are_equal_to_python_but_not_to_numpy(backend: str, pair: tuple[Any, Any]) -> None:
    x = np.arange(len(pair) * 7.0 + 14).reshape(4, 7)
    for found, expected in zip(tg.compile(lambda x: [x[i] * 2 for i in pair], backend)(x), [x[i] * 2 for i in pair]):
        assert_same(found, expected)


def many(w: Any) -> Any:
    return np.stack([w[19 - i] * 2 + i for i in range(20)])


Update = Callable[[Any], Any]
UPDATES: dict[str, Update] = {
    "products": lambda w: w * 2 + 1,
    "many parts": many,
    "many parts after a NumPy call": lambda w: many(np.sort(w, axis=0)),
    "reversed": lambda w: w[::-1],
    "transposed": lambda w: w.T,
    "spread": lambda w: np.broadcast_to(w[:1] + 1, w.shape),
}
PARTS: dict[str, Update] = {
    "nothing": lambda w: tg.tensor(0.0),
    "all": lambda w: w,
    "an entry": lambda w: w[(0,) * w.ndim],
    "an entry of a row": lambda w: w[1][..., 2],
    "a row": lambda w: w[1],
    "columns": lambda w: w.T[::-1],
}


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
@pytest.mark.parametrize("update", spread(UPDATES.values(), 0), ids=UPDATES)
def test_what_is_returned_of_a_weight_before_and_after_its_update(update: Update, part: Update) -> None:
    weights = [tg.tensor(np.random.default_rng(0).normal(size=(20, 20))) for _ in range(2)]

    def step(w: Any) -> Any:
        before = w.detach()
        w.data = update(before)
        return part(before), part(w.detach())

    first, second = weights
    compiled = tg.compile(lambda: step(second), "native")
    kept = []
    for _ in range(3):
        kept += list(zip(compiled(), step(first)))
        kept.append((second, first))
        for found, expected in kept:
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["f2", "g", "F", "?", "b", ">f8", ">i4", ">c8"])
def test_weights_of_any_dtype_change_places(dtype: str) -> None:
    a, b = (tg.tensor(np.arange(3 * i, 3 * i + 3).astype(dtype)) for i in (0, 1))

    def step(x: Any) -> Any:
        before = a.detach()
        a.data, b.data = b.data, x
        return before

    compiled = tg.compile(step, "native")
    expected = [a.numpy(), b.numpy()]
    for turn in range(4):
        x = np.arange(turn, turn + 3).astype(dtype)
        assert_same(compiled(x).numpy(), expected[-2])
        assert_same(a.numpy(), expected[-1])
        assert_same(b.numpy(), x)
        expected.append(x)


def test_python_objects_stay_alive() -> None:
    def f(a: Any, x: Any) -> Any:
        b = a * 2 + a
        x = np.sort(np.sort(x) * 3)
        return b, np.sort(np.sort(np.sin(x)) + x)

    compiled = tg.compile(f, "native")
    for i in range(4):
        a, x = np.array([1, 10**30, 3.5, i] * 20, dtype=object), np.arange(80.0) + i
        for found, expected in zip(compiled(a, x), f(a, x)):
            assert found.tolist() == expected.tolist()
    assert "objects" in compiled.report().reason


FIRST = [
    0,
    np.int64(0),
    False,
    True,
    None,
    slice(0, 1),
    [0],
    np.array([0, 0]),
    np.array([], int),
    np.zeros((1, 1), int),
]


@pytest.mark.long
@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("index", [*FIRST, *((..., part) for part in FIRST)], ids=repr)
def test_any_entries_of_a_product_with_a_column(backend: str, index: Any) -> None:
    def f(a: Any, v: Any) -> Any:
        return np.matmul(a, v[..., None])[index]

    a, v = np.arange(12).reshape(3, 4), np.arange(4)
    assert_same(tg.compile(f, backend)(a, v), f(a, v))


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "g", "F", "D", "G"])
def test_constants_may_be_no_numbers(backend: str, dtype: str) -> None:
    constant = np.array([np.nan, 1, 2], dtype)

    def f(x: Any) -> list[Any]:
        return [x * (constant * 2), x + constant[0]]

    for found, expected in zip(tg.compile(f, backend)(np.arange(3.0)), f(np.arange(3.0))):
        assert_same(found, expected)


@pytest.mark.long
@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("dtype", ["?", "b", "q", "f2", "f4", "f8", "g", "F", "D"])
def test_numbers_of_python_take_the_dtype_of_what_they_meet(backend: str, dtype: str) -> None:
    def f(x: Any) -> list[Any]:
        found = [np.multiply(x, 1), np.where(x > 0, x, 1j), np.stack([x * 1j, 2j + x]), np.sum(x) * 2j, x == 1j]
        for number in (2, 2.5, 1j, 2 - 1j):
            found += [x * number, number - x, number / (x + 1), (x * number + 2j) * (1 + 2j)]
        return found

    compiled = tg.compile(f, backend)
    for start in (0, 1, 2):
        x = (np.arange(start, start + 4) % 3).astype(dtype)
        for found, expected in zip(compiled(x), f(x), strict=True):
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected, rtol=1e-3 if dtype == "f2" else 1e-6)


class Level(IntEnum):
    HIGH = 3


class Share(float):
    """A number that is Python's and has a class of its own."""


@pytest.mark.long
@pytest.mark.parametrize("number", [Level.HIGH, Share(0.5), True, np.float32(2)], ids=repr)
@pytest.mark.parametrize("dtype", ["f", "d"])
def test_numbers_of_classes_derived_from_pythons(backend: str, dtype: str, number: Any) -> None:
    """NumPy gives them the dtype of their array, and not that of what they meet."""
    x = tg.tensor(np.arange(1, 4).astype(dtype), requires_grad=True)

    def f(x: Any, number: Any = number) -> Any:
        return (x * number).sum() / number + np.maximum(x, number)

    for step, args in ((tg.compile(f, backend), (x,)), (tg.compile(f, backend), (x, number))):
        for _ in range(2):
            assert_same(step(*args).numpy(), f(x).numpy())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("f", [normal_cdf, partial(exp_of_square, factor=-0.5)], ids=["normal_cdf", "exp_of_square"])
def test_what_is_small_far_from_zero_keeps_its_digits(f: Any, dtype: Any) -> None:
    x = np.linspace(-37 if dtype is np.float64 else -12, 8, 500).astype(dtype)
    compiled = tg.compile(lambda x: f(x), "native")
    np.testing.assert_allclose(compiled(x), f(x), rtol=8 * np.finfo(dtype).eps)
    assert not compiled.report().falls_back


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_powers_of_special_values(backend: str, dtype: str) -> None:
    def f(x: Any) -> list[Any]:
        return [x**power for power in (0.5, -0.5, 1.5, 0, 0.0, 1, 2, 3, 7, 8, -1, -1.0, 2.0)]

    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 4.0, np.finfo(dtype).smallest_subnormal], dtype)
    with np.errstate(all="ignore"):
        for found, expected in zip(tg.compile(f, backend)(x), [y.numpy() for y in f(tg.tensor(x))], strict=True):
            assert_same(found, expected)
            np.testing.assert_array_equal(np.signbit(found[3:5]), np.signbit(expected[3:5]))


NUMBERS = ("random", "uniform", "normal", "standard_normal", "exponential", "integers", "poisson", "chisquare", "beta")


@pytest.mark.long
@pytest.mark.parametrize("name", NUMBERS)
def test_drawn_numbers_have_the_types_that_numpy_gives_them(backend: str, name: str) -> None:
    arguments = {"integers": (5,), "chisquare": (2.0,), "beta": (1.0, 2.0)}.get(name, ())

    def f(rng: np.random.Generator, x: Any) -> Any:
        number = getattr(rng, name)(*arguments)
        return number, x * number

    compiled, x = tg.compile(f, backend), np.ones(3, np.float32)
    for seed in range(3):
        for found, expected in zip(*(g(np.random.default_rng(seed), x) for g in (compiled, f)), strict=True):
            assert type(found) is type(expected)
            assert_same(np.asarray(found), np.asarray(expected))


@pytest.mark.long
@pytest.mark.parametrize("function", [np.cumsum, np.cumprod], ids=lambda function: function.__name__)
@pytest.mark.parametrize("dtype", ["f8", "f4", "i4", "u1", "?"])
def test_sums_and_products_so_far_are_numpys_to_the_last_digit(function: Callable[..., Any], dtype: str) -> None:
    rng = np.random.default_rng(0)
    for shape in [(7,), (1,), (0,), (3, 4), (2, 0, 3), (5, 1, 3)]:
        x = rng.uniform(-2, 3, size=shape).astype(dtype)
        axes = range(-len(shape), len(shape))

        def f(x: Any, axes: Any = axes) -> list[Any]:
            return [function(x, axis=axis) for axis in axes]

        compiled = tg.compile(f, "native")
        for array in (x, np.asfortranarray(x), x[::-1]):
            for found, expected in zip(compiled(array), f(array), strict=True):
                assert_same(found, expected)
        assert not compiled.report().falls_back


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.complex128])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 1), (60, 5), (5, 60), (8, 8), (300, 200)])
def test_convolutions_of_short_and_of_long_arrays(n: int, m: int, dtype: Any, mode: Any) -> None:
    rng = np.random.default_rng(0)
    a, v = (rng.normal(size=size).astype(dtype) * (1 + 1j if dtype is np.complex128 else 1) for size in (n, m))

    def f(a: Any, v: Any) -> Any:
        return np.convolve(a, v, mode)

    compiled = tg.compile(f, "native")
    compiled(a, v)
    found, expected = compiled(a, v), f(a, v)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_allclose(found, expected, rtol=0, atol=100 * np.finfo(dtype).eps * np.max(np.abs(expected)))
    assert bool(compiled.report().falls_back) == (n > 100)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("special", [np.inf, np.nan])
def test_a_convolution_has_nan_only_where_numpys_has(special: float, mode: Any) -> None:
    for a, v in itertools.permutations([np.array([1.0, 2.0, 3.0, 4.0]), np.array([special, 1.0, 2.0])]):
        compiled = tg.compile(lambda a, v: np.convolve(a, v, mode), "native")
        compiled(a, v)
        np.testing.assert_array_equal(compiled(a, v), np.convolve(a, v, mode))
        assert not compiled.report().falls_back
