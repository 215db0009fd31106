"""What a function writes in place, as NumPy's `y += x` does: all that hold the array have the new entries."""

import linecache
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn, trees
from tinygrad_lite.errors import UsageError


def through_a_view(x: Any) -> Any:
    y = x * 2
    part = y[:2]
    part += 1
    return y, part


def through_two_views(x: Any) -> Any:
    y = np.outer(x, x)
    y[1][:2] *= 3
    row = y[2]
    row[0] = x[1]
    return y


def an_assignment(x: Any) -> Any:
    y = np.cumsum(x)
    z = y
    y[y > 4] = 0.5
    y[-1] -= z[0]
    return z, y[::-1]


def another_name(x: Any) -> Any:
    y = x * 2
    z = y
    y += 1
    return z


def in_a_dict(x: Any) -> Any:
    values = {"a": x * 2}
    a = values["a"]
    values["a"] -= x
    return a, values["a"]


def an_argument(x: Any) -> Any:
    z = x
    x *= x
    return z + 1


def inside_a_call(x: Any) -> Any:
    def double(y: Any) -> None:
        y *= 2

    y = x + 1
    double(y)
    return y


def a_copy_and_a_sum(x: Any) -> Any:
    y, total = x.copy(), x.sum()
    before = total
    y /= 4
    total += 1  # a number is another one
    return x, y, total, before


def integers(x: Any) -> Any:
    i = np.argsort(x)
    j = i
    i //= 2
    i |= 1
    return j


def a_view_that_is_gone(x: Any) -> Any:
    y = x * 2
    y[0:1].sum()
    y **= 2
    return y


def a_graph_that_was_made_before(x: Any) -> Any:
    weight = tg.tensor(np.ones(3), requires_grad=True)
    y = x * 2
    loss = (weight * y).sum()
    y += 100
    loss.backward()
    return weight.grad, y


def a_pullback_that_was_made_before(x: Any) -> Any:
    y = x * 2
    value, pullback = tg.vjp(lambda a: np.sin(a) * a, y)
    y += 100
    return value, pullback(np.ones(3)), y


def the_array_of_a_tensor(x: Any) -> Any:
    layer = nn.Linear(3, 1, bias=False, rng=0)
    y = x * 2
    layer.weight.data = y[None]
    y += 100
    return layer(x), y


@pytest.mark.parametrize(
    "f",
    [
        another_name,
        in_a_dict,
        an_argument,
        inside_a_call,
        a_copy_and_a_sum,
        integers,
        a_view_that_is_gone,
        a_graph_that_was_made_before,
        a_pullback_that_was_made_before,
        the_array_of_a_tensor,
        through_a_view,
        through_two_views,
        an_assignment,
    ],
)
def test_as_eager(backend: str, f: Callable[[Any], Any]) -> None:
    compiled = tg.compile(f, backend)
    for i in range(3):
        x = np.array([3.0, 1.0, 2.0]) + i
        other = x.copy()
        for a, b in zip(plain(compiled(x)), plain(f(other)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12)
        np.testing.assert_array_equal(x, other)


def plain(value: Any) -> list[Any]:
    return [x.detach().numpy() if isinstance(x, tg.Tensor) else x for x in trees.leaves(value)]


def through_a_turned_view(x: Any) -> Any:
    y = np.outer(x, x)
    part = y.T
    part += 1
    return y


def beside_a_view(x: Any) -> Any:
    y = x * 2
    part = y[:2]
    y += 1
    return part


@pytest.mark.parametrize("f", [through_a_turned_view, beside_a_view])
def test_another_view_that_is_read_afterwards_is_refused(f: Callable[[Any], Any]) -> None:
    with pytest.raises(UsageError, match=r"by way of another view.*write y = y \+ \.\.\. in place of y \+= "):
        tg.compile(f, "numpy")(np.arange(3.0))


def test_what_numpy_refuses_to_write() -> None:
    def of_another_shape(x: Any) -> None:
        x += np.ones((2, 3))

    def of_another_kind(x: Any) -> None:
        y = np.argsort(x)
        y += x

    for f in (of_another_shape, of_another_kind):
        for call in (f, tg.compile(f, "numpy")):
            with pytest.raises((ValueError, TypeError)):
                call(np.ones(3))


Step = tuple[Callable[[Any], Any], Callable[[], Any]]
"""A function that writes into arrays from outside, and what reads them."""

weights = np.zeros(3)


def of_dicts() -> Step:
    weights = {"w": np.ones(3), "b": np.zeros(())[None]}
    moments = {name: np.zeros_like(x) for name, x in weights.items()}
    layer = weights["w"]  # another holder of the array

    def step(x: Any) -> Any:
        gradients = tg.grad(lambda p: np.sum((np.tanh(p["w"] * x) + p["b"] - 1) ** 2))(weights)
        for name in weights:
            moments[name] *= 0.9
            moments[name] += gradients[name]
            weights[name] -= 0.1 * moments[name]
        return np.sum(weights["w"]), weights["w"]

    return step, lambda: (weights, moments, layer)


class Layer:
    def __init__(self) -> None:
        self.weight, self.steps = np.ones(3, np.float32), np.array([0])
        self.all = [self.weight, (np.zeros(3), 1)]

    def step(self, x: Any) -> Any:
        self.steps += 1
        for part in (self.weight, self.all[1][0]):
            part -= 0.1 * np.mean(x) / self.steps
        return x * self.weight


def of_an_object() -> Step:
    layer = Layer()
    return layer.step, lambda: vars(layer)


def of_a_global() -> Step:
    global weights
    weights = np.ones(3)

    def step(x: Any) -> Any:
        global weights
        weights += x
        return weights * 2

    return step, lambda: weights


def of_a_closure() -> Step:
    mean = np.zeros(3)
    same = mean

    def step(x: Any) -> Any:
        before = mean * 1
        other = mean
        other *= 0.5
        other += x
        return before, mean, same + 1

    return step, lambda: (mean, same)


def of_a_sum() -> Step:
    total, count = np.zeros(3), np.zeros(3, int)

    def step(x: Any) -> Any:
        nonlocal total, count
        total += x
        count += 1
        return x * 2

    return step, lambda: (total, count)


def without_arguments_in_it() -> Step:
    rate = np.array([1.0, 2.0, 3.0])

    def step(x: Any) -> Any:
        nonlocal rate
        rate *= 0.5
        return x * rate

    return step, lambda: rate


@pytest.mark.long
@pytest.mark.parametrize("make", [of_dicts, of_an_object, of_a_global, of_a_closure, of_a_sum, without_arguments_in_it])
def test_arrays_from_outside(backend: str, make: Callable[[], Step]) -> None:
    def results(compile: Callable[[Any], Any]) -> Iterator[Any]:
        step, read = make()
        compiled = compile(step)
        arrays = [x for x in trees.leaves(read()) if isinstance(x, np.ndarray)]
        for i in range(4):
            returned = trees.leaves(compiled(np.arange(3.0) + i))
            yield [x.copy() for x in returned], [[x is y for y in arrays] for x in returned]
            yield [x.copy() for x in trees.leaves(read()) if isinstance(x, np.ndarray)]
            assert all(x is y for x, y in zip(arrays, [x for x in trees.leaves(read()) if isinstance(x, np.ndarray)]))
            arrays[0][...] = arrays[0] + 1  # somebody else writes into it

    eager = [*results(lambda f: f)]
    for x, y in zip(eager, results(lambda f: tg.compile(f, backend)), strict=True):
        for a, b in zip(plain(x), plain(y), strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-6)
            assert np.asarray(a).dtype == np.asarray(b).dtype


def test_names_that_become_the_same_array_and_others_again(backend: str) -> None:
    def results(compile: Callable[[Any], Any]) -> Iterator[Any]:
        values = {"a": np.ones(2), "b": np.zeros(2)}

        def step(x: Any) -> Any:
            values["a"] += x
            values["b"] *= 2
            return values["a"] - values["b"]

        step = compile(step)
        for change in (None, "a", "b", None):
            if change:
                values["b"] = values["a"] if change == "a" else np.ones(2)
            yield step(np.arange(2.0)).copy(), values["a"].copy(), values["b"].copy()
            yield step(np.arange(2.0)).copy(), values["a"].copy(), values["b"].copy()

    for x, y in zip(results(lambda f: f), results(lambda f: tg.compile(f, backend)), strict=True):
        np.testing.assert_array_equal(y, x)


def test_memory_that_others_share_is_refused(backend: str) -> None:
    flat = np.zeros(6)
    parts = {"w": flat[:4].reshape(2, 2), "b": flat[4:]}

    def step(x: Any) -> Any:
        for part in parts.values():
            part += np.sum(x)
        return x * 2

    def of_the_whole(x: Any) -> Any:
        parts["b"] += np.sum(x)
        return flat * 2

    def of_an_argument(x: Any) -> Any:
        parts["b"] += np.ones(2)
        return x * 2

    compiled = tg.compile(step, backend)  # parts that do not overlap may be written to
    for i in range(3):
        compiled(np.ones(1))
        np.testing.assert_array_equal(flat, np.full(6, i + 1.0))
    for f in (of_the_whole, of_an_argument):
        with pytest.raises(UsageError, match=r"shares memory with|reads and changes"):
            tg.compile(f, backend)(parts["b"])
    np.testing.assert_array_equal(flat, np.full(6, 3.0))
    compiled = tg.compile(of_an_argument, backend)
    compiled(np.ones(2))
    compiled(np.ones(2))
    with pytest.raises(UsageError, match="reads and changes the entries of"):
        compiled(flat[5:])
    np.testing.assert_array_equal(flat, [3, 3, 3, 3, 5, 5])


class Kept:
    def __init__(self) -> None:
        self.rows, self.turn, self.numbers = np.arange(12.0).reshape(4, 3), 0, np.arange(3)
        self.held = {"rows": self.rows}


WRITES = {
    "a count": "s.numbers[1] += 1",
    "an entry": "s.rows[1, 2] = x.sum()",
    "a number": "s.rows[1, 2] = x.sum().item()",
    "a tensor": "s.rows[1] = tg.tensor(x) * 2",
    "all": "s.rows[...] = x",
    "rows": "s.rows[1:3] = x * 2",
    "chosen rows": "s.rows[[0, 2]] = x",
    "a mask": "s.rows[s.rows > x[0]] = 0.5",
    "another dtype": "s.numbers[:] = x * 10",
    "in a dict": "s.held['rows'][0] = x",
    "in turn": "s.rows[s.turn % 4] = x; s.turn += 1",
    "a sum in a row": "s.rows[1] += x; s.rows[:, 0] *= s.rows[2, 0] + x[1]",
    "by way of views": "row = s.rows[2]; row += x; part = row[1:]; part *= 2; s.rows[3] = row + s.rows[2, 1]",
    "twice": "row = s.rows[2] * x; row[0] = x[1]; row[1:] += s.rows[0, 0]; s.rows[0] = row; s.rows[0, 1] = row[0]",
}


@pytest.mark.long
@pytest.mark.parametrize("case", WRITES)
def test_entries_of_an_array_from_outside(backend: str, case: str) -> None:
    text, name = f"def change(s, x):\n    {WRITES[case]}\n", f"<{case}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)  # as in a notebook
    exec(compile(text, name, "exec"), scope := {"tg": tg})
    change = scope["change"]

    def rows(compiled: Callable[[Any], Any]) -> Iterator[Any]:
        s = Kept()

        def f(x: Any) -> Any:
            before = s.rows * 1
            change(s, x)
            return before, s.rows[1] * x, s.numbers.sum()

        f, data = compiled(f), np.random.default_rng(0).normal(size=(6, 3))
        for i, x in enumerate(data):
            yield *f(x), s.rows.copy(), s.numbers.copy(), s.turn
            if i == 2:
                s.rows[1] = 7.0
            if i == 3:
                s.rows, s.turn = s.rows * 2, 2
                s.held["rows"] = s.rows

    for found, expected in zip(rows(lambda f: tg.compile(f, backend)), rows(lambda f: f), strict=True):
        for x, y in zip(found, expected, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12)


def test_a_view_into_whose_array_others_wrote_is_not_read(backend: str) -> None:
    rows = np.zeros((2, 3))

    def of_outside(x: Any) -> Any:
        row = rows[0]
        rows[0] = x
        return row * 2

    def of_its_own(x: Any) -> Any:
        y = np.outer(x, x)
        part = y[:, :2]
        part -= 1
        column = part[:, 1]
        y[1:] = x
        return column * 2

    for f in (of_outside, of_its_own):
        with pytest.raises(UsageError, match="by way of another view"):
            tg.compile(f, backend)(np.ones(3))


VIEWS: tuple[Callable[[Any], Any], ...] = (
    lambda m: np.diagonal(m),
    lambda m: m.diagonal(1),
    lambda m: np.diag(m),
    lambda m: np.linalg.diagonal(m),
    lambda m: np.einsum("ii->i", m),
    lambda m: np.lib.stride_tricks.sliding_window_view(m, 2, axis=0),
    lambda m: np.broadcast_to(m, (2, 3, 3)),
    lambda m: m.astype(float, copy=False),
    lambda m: np.astype(m, m.dtype, copy=False),
    lambda m: m.conj(),
    lambda m: m.conjugate(),
    lambda m: np.real(m),
    lambda m: np.real_if_close(m),
    lambda m: np.moveaxis(m, 0, 1),
    lambda m: np.ravel(m),
    lambda m: np.flip(m),
    lambda m: np.rot90(m),
    lambda m: np.array_split(m, 2)[0],
    lambda m: np.atleast_3d(m),
)


@pytest.mark.long
@pytest.mark.parametrize("is_outside", [True, False])
def test_what_is_a_view_in_numpy_is_read_as_one(backend: str, is_outside: bool) -> None:
    """As eagerly, or refused."""

    def rows(view: Callable[[Any], Any], compiled: Callable[[Any], Any]) -> Iterator[Any]:
        s = Kept()
        s.rows = s.rows[:3].copy()

        def f(x: Any) -> Any:
            m = s.rows if is_outside else np.outer(x, x)
            part = view(m)
            m += x
            return part * 1

        f = compiled(f)
        for i in range(3):
            yield f(np.arange(3.0) + i)

    for number, view in enumerate(VIEWS):
        with suppress(UsageError):
            for found, expected in zip(rows(view, lambda f: tg.compile(f, backend)), rows(view, lambda f: f)):
                np.testing.assert_array_equal(found, expected, f"view {number}")


def test_what_numpy_alone_writes_into_two_arrays(backend: str) -> None:
    first, second, third = np.zeros(3), np.full(3, 0.5), np.zeros(3)

    def f(x: Any) -> Any:
        first[0] = 5.0
        second[0] = 0.5
        third[:2] = second[1:]
        return x + second

    f = tg.compile(f, backend)
    for i in range(4):
        np.testing.assert_array_equal(f(np.ones(3)), 1 + second)
        assert first.tolist() == [5.0, i, i]
        assert third.tolist() == [*second[1:], 0.0]
        first += 1
        second[2] += i


def test_a_ufunc_does_not_compute_where_it_is_not_asked_to(backend: str) -> None:
    """Warnings are errors here, so an entry outside the domain may not even be tried."""
    x = np.array([-3.0, -0.0, 0.5, 2.0])
    domains = {
        np.sqrt: x >= 0,
        np.log: x > 0,
        np.log1p: x > -1,
        np.arcsin: np.abs(x) < 1,
        np.arccosh: x > 1,
        np.reciprocal: x != 0,
        np.divide: x != 0,
        np.float_power: x > 0,
    }
    for ufunc, mask in domains.items():

        def f(x: Any, mask: Any, ufunc: Any = ufunc) -> Any:
            args = (x, x) if ufunc.nin == 2 else (x,)
            kept = ufunc(*args, out=np.full_like(x, 7), where=mask)
            return kept, np.where(mask, ufunc(*args, out=None, where=mask), 0), np.add(x, kept, out=x, where=mask)

        for dtype in (np.float64, np.float32):
            y, changed = x.astype(dtype), x.astype(dtype)
            compiled = tg.compile(f, backend=backend)
            for _ in range(2):
                for result, expected in zip(compiled(changed, mask), f(y, mask)):
                    np.testing.assert_allclose(result, expected, rtol=1e-6, err_msg=ufunc.__name__)
                y[:] = changed[:] = x
