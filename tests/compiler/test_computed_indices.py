"""Entries at indices that are arguments of a compiled function, beside eager: values, gradients, dtypes and errors."""

from collections.abc import Callable
from itertools import cycle
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.marks import spread
from tinygrad_lite.errors import InputError, UsageError

ROWS = np.array([3, -1, 0, 3, -4])
GRID = np.array([[1, -2], [0, 1], [-3, 2]])
NUMBER = np.array(-2)

INDICES: dict[str, tuple[Callable[..., Any], Any]] = {
    "rows": (lambda i: i, ROWS),
    "a grid of rows": (lambda i: i, GRID),
    "one row": (lambda i: i, NUMBER),
    "columns": (lambda i: (slice(None), i), ROWS[:3] % 3),
    "pairs": (lambda i: (i, i % 3), ROWS),
    "pairs with a known array": (lambda i: (i, np.array([0, 1, 2, 1, 0])), ROWS),
    "a grid of rows and columns": (lambda i: (i[:, None], i % 3), ROWS),
    "a number and an array": (lambda i: (-1, i % 3), ROWS),
    "arrays on both sides of a slice": (lambda i: (i, slice(None), i % 2), ROWS),
    "a number and an array around a slice": (lambda i: (0, slice(1, None), i % 2), ROWS),
    "the last axes": (lambda i: (..., i % 3, i % 2), ROWS),
    "a slice backwards": (lambda i: (i, slice(None, None, -2)), ROWS),
    "a new axis": (lambda i: (None, i), ROWS),
    "a new axis between arrays": (lambda i: (i, None, i % 3), ROWS),
    "a new axis behind": (lambda i: (slice(None, 2), i % 3, None), ROWS),
    "one entry": (lambda i: (i, i % 3, i % 2), NUMBER),
    "a computed index": (lambda i: np.abs(i) % 4, ROWS),
    "nothing": (lambda i: i, ROWS[:0]),
    "nothing of each row": (lambda i: (i, slice(3, None)), ROWS),
}


def takes_as_it_is(index: Callable[..., Any], i: Any) -> bool:
    """Whether an index takes in the argument itself, which may then lie outside an axis."""
    whole = index(i)
    return any(part is i for part in (whole if isinstance(whole, tuple) else (whole,)))


def assert_same(results: Any, expected: Any) -> None:
    for x, y in zip(tg.trees.leaves(results), tg.trees.leaves(expected), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        a, b = np.asarray(x, float), np.asarray(y, float)
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 * np.max(np.abs(b), initial=0))


def uses(index: Callable[..., Any]) -> Callable[..., Any]:
    """All that can be done at an index, and the gradients."""

    def loss(x: Any, values: Any, i: Any) -> Any:
        at = x.at[index(i)]
        parts = x[index(i)], at.set(np.sin(values)), at.add(values * x[index(i)])
        return sum(np.sum(np.sin(part) ** 2) for part in parts) + np.sum(np.sqrt(x)[index(i)])

    def use(x: Any, values: Any, i: Any) -> Any:
        x = tg.tensor(x)
        return x[index(i)], x.at[index(i)].add(values), tg.value_and_grad(loss, argnums=(0, 1))(x, values, i)

    return use


@pytest.mark.long
@pytest.mark.parametrize(("name", "dtype"), spread(zip(INDICES, cycle(["i8", "i4", "u1", "i2", "u8"])), 1))
def test_as_eager(backend: str, name: str, dtype: str) -> None:
    index, i = INDICES[name]
    kind = "f4" if dtype in ("u1", "i8") else "f8"
    use = uses(index)
    compiled = tg.compile(use, backend)
    rng = np.random.default_rng(0)
    x = rng.uniform(1, 2, size=(4, 3, 2)).astype(kind)
    for turn in range(3):
        given = np.roll(i, turn) % 4 if dtype[0] == "u" else np.roll(i, turn)
        given = given.astype(dtype)
        values = rng.uniform(1, 2, size=x[index(given)].shape).astype(kind)
        assert_same(compiled(x, values, given), use(x, values, given))
    assert backend == "numpy" or {"getitem", "scatter", "index_add", "index_set"}.isdisjoint(
        compiled.report().falls_back
    )


@pytest.mark.long
@pytest.mark.parametrize(("name", "dtype"), spread(zip(INDICES, cycle(["i8", "i4", "u1", "i2", "u8"])), 1))
@pytest.mark.parametrize("order", ["C", "F"])
def test_known_indices_are_as_eager(backend: str, name: str, dtype: str, order: Any) -> None:
    index, i = INDICES[name]
    use = uses(index)
    given = (i % 4 if dtype[0] == "u" else i).astype(dtype)
    compiled = tg.compile(lambda x, values: use(x, values, given.copy()), backend)
    rng = np.random.default_rng(0)
    for _ in range(2):
        x = rng.uniform(1, 2, size=(4, 3, 2)).astype("f4" if dtype in ("u1", "i8") else "f8", order)
        values = rng.uniform(1, 2, size=x[index(given)].shape).astype(x.dtype)
        assert_same(compiled(x, values), use(x, values, given))


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name, (index, i) in INDICES.items() if i.size and takes_as_it_is(index, i)])
def test_an_index_outside_its_axis_is_numpys_error_and_changes_nothing(backend: str, name: str) -> None:
    index, i = INDICES[name]
    weight = tg.tensor(np.arange(24.0).reshape(4, 3, 2), requires_grad=True)
    optimizer = tg.optim.SGD([weight], lr=0.1)

    def step(i: Any) -> Any:
        optimizer.zero_grad()
        loss = np.sum(np.sin(weight[index(i)]))
        loss.backward()
        optimizer.step()
        return loss

    step = tg.compile(step, backend)
    for _ in range(2):
        step(i)
    before = weight.numpy().copy()
    for outside in (4, -5, 2**40, -(2**63)):
        wrong = i.copy()
        wrong.flat[-1] = outside
        with pytest.raises((IndexError, InputError, DeprecationWarning), match=r"out of bounds|Out of bound"):
            step(wrong)  # where nothing is read, older versions of NumPy warn
        np.testing.assert_array_equal(weight.numpy(), before)
    step(i)


Part = tuple[Any, bool]
"""A part of an index, and whether it is an argument."""


def drawn(rng: np.random.Generator, shape: tuple[int, ...]) -> list[Part]:
    """An index of all that NumPy knows: arrays, numbers, slices, new axes and an ellipsis."""
    around = [(), (3,), (2, 1), (0,)][rng.integers(4)]
    parts: list[Part] = []
    for length in shape:
        array = rng.integers(-length, length, around if rng.random() < 0.8 else (1,))
        number, step = int(rng.integers(-length, length)), [1, 2, -1, -2][rng.integers(4)]
        others = [(array, False), (number, False), (slice(None, None, step), False)]
        parts.append((array, True) if rng.random() < 0.4 else others[rng.integers(3)])
    if rng.random() < 0.5:
        place = rng.integers(0, len(parts) + 1)
        parts[place : place + rng.integers(2)] = [(..., False)]  # which may stand for no axis
    for _ in range(rng.integers(3)):
        parts.insert(rng.integers(0, len(parts) + 1), (None, False))
    return parts


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [range(start, start + 100) for start in (0, 100)], ids=str)
def test_any_index(seeds: range, backend: str) -> None:
    for seed in seeds:
        rng = np.random.default_rng(seed)
        parts = drawn(rng, (4, 3, 2))

        def use(x: Any, values: Any, arrays: list[Any], parts: list[Part] = parts) -> Any:
            computed = iter(arrays)
            index = tuple([next(computed) if is_argument else part for part, is_argument in parts])
            return x[index], tg.value_and_grad(lambda x, v: np.sum(np.sin(x.at[index].add(v))), (0, 1))(x, values)

        arrays = [part for part, is_argument in parts if is_argument]
        x = rng.normal(size=(4, 3, 2))
        values = rng.normal(size=x[tuple([part for part, _ in parts])].shape)
        compiled = tg.compile(use, backend)
        for these in (arrays, [part[::-1].copy() if part.ndim else part for part in arrays]):
            assert_same(compiled(x, values, these), use(x, values, these))
        for outside in ([np.full_like(part, 4), *arrays[1:]] for part in arrays[:1]):
            outcomes = []
            for f in (use, compiled):
                try:
                    outcomes.append(tg.trees.leaves(f(x, values, outside)))
                except (IndexError, InputError):
                    outcomes.append([])
            assert_same(outcomes[1], outcomes[0])


def test_many_reads_and_gradients_at_computed_indices(backend: str) -> None:
    def loss(x: Any, text: Any) -> Any:
        h = np.zeros(3)
        for t in range(20):
            h = np.tanh(h + x[text[t]])
        return np.sum(h)

    def slope(x: Any, text: Any) -> Any:
        return tg.value_and_grad(loss)(x, text)

    compiled = tg.compile(slope, backend)
    rng = np.random.default_rng(0)
    for _ in range(3):
        arguments = rng.normal(size=(7, 3)), rng.integers(-7, 7, 20)
        assert_same(compiled(*arguments), slope(*arguments))


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u4"])
def test_small_integers_are_indices_of_long_axes(backend: str, dtype: str) -> None:
    known = np.array([3, 100, 5]).astype(dtype) if dtype[0] == "u" else np.array([-3, 100, -128]).astype(dtype)

    def f(x: Any, i: Any) -> Any:
        return x[i, known], tg.grad(lambda x: np.sum(np.sin(x[i, known]) * x[known, i]))(x)

    compiled = tg.compile(f, backend)
    x = np.random.default_rng(0).normal(size=(300, 200))
    for i in (known, known[::-1].copy()):
        assert_same(compiled(x, i), f(x, i))


@pytest.mark.long
@pytest.mark.parametrize("name", INDICES)
def test_pullbacks_of_arrays_that_are_no_part_of_the_recording(name: str) -> None:
    """As the rows of a Jacobian or a Hessian are: the upstream gradient is a plain array, and only the index is not."""
    index, i = INDICES[name]
    rng = np.random.default_rng(0)
    x, values = rng.uniform(0.5, 1, (4, 3, 2)), rng.normal(size=np.empty((4, 3, 2))[index(i)].shape)

    def pulled(x: Any, values: Any, i: Any) -> Any:
        def parts(x: Any, values: Any) -> Any:
            return x[index(i)], x.at[index(i)].set(values), x.at[index(i)].add(values)

        def gradients(x: Any, values: Any) -> Any:
            return tg.grad(lambda x, v: sum(np.sum(np.sin(part) ** 2) for part in parts(x, v)), (0, 1))(x, values)

        ones = np.ones(values.shape), np.ones(x.shape), np.ones(x.shape)
        of_parts, of_gradients = (tg.vjp(f, x, values)[1] for f in (parts, gradients))
        return of_parts(ones), of_parts((values, x, x**2)), of_gradients((ones[1], ones[0]))

    compiled = tg.compile(pulled, "numpy")
    for indices in (i, i[::-1] if i.ndim else i + 1):
        assert_same(compiled(x, values, indices), pulled(x, values, indices))


@pytest.mark.long
@pytest.mark.parametrize("f", [np.sort, lambda x: x[np.argsort(x)][::2] ** 2, lambda x: np.partition(x, 2)[:2] ** 3])
def test_hessians_by_computed_orders(f: Any, backend: str) -> None:
    compiled = tg.compile(lambda x: tg.hessian(lambda x: np.sum(f(x) ** 3))(x), backend)
    for seed in range(2):
        x = np.random.default_rng(seed).normal(size=5)
        np.testing.assert_allclose(compiled(x), tg.hessian(lambda x: np.sum(f(x) ** 3))(x), rtol=1e-11, atol=1e-12)


CHOICES: dict[str, Callable[..., Any]] = {
    "counts": lambda i, x: np.bincount(i, minlength=4),
    "sums": lambda i, x: np.bincount(i, x * 2, minlength=4),
    "chosen": lambda i, x: np.choose(i, [x, -x, 3.0, x**2]),
    "chosen from rows": lambda i, x: np.choose(i, np.arange(20).reshape(4, 5)) * x,
}


@pytest.mark.parametrize("name", CHOICES)
def test_numbers_that_are_arguments(backend: str, name: str) -> None:
    """What one program cannot take, more values than it counts, the function itself takes."""
    compiled, x = tg.compile(CHOICES[name], backend), np.linspace(1, 2, 5)
    for i in ([3, 0, 1, 0, 2], [1, 1, 1, 0, 0], [5, 1, 0, 0, 2], [-1, 0, 1, 0, 2], [0, 0, 0, 0, 3]):
        try:
            expected = CHOICES[name](np.array(i), x)
        except (InputError, ValueError) as error:
            with pytest.raises(type(error)):
                compiled(np.array(i), x)
        else:
            assert_same(compiled(np.array(i), x), expected)
    with pytest.raises(UsageError, match=r"pass minlength"):
        tg.compile(lambda i: np.bincount(i), backend)(np.array([0, 1]))
