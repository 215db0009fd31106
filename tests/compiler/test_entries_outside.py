"""Arrays from outside at indices that are computed, and NumPy's ways to write into them, beside eager."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import trees
from tinygrad_lite.errors import UsageError

X = np.array([1.0, 2.0, 3.0])
ROWS = np.random.default_rng(0).normal(size=(6, 3))
TABLE = ROWS.copy()


class Store:
    """What a step reads and writes outside: an array of rows, one of numbers, and a count."""

    def __init__(self) -> None:
        self.rows = ROWS.copy()
        self.numbers = np.arange(6.0)
        self.by_name = {"rows": ROWS + 1}
        self.listed = [ROWS + 2, ROWS + 3]
        self.pair = (ROWS + 4, ROWS + 5)
        self.whole = np.arange(6)
        self.count = 0
        self.rng = np.random.default_rng(0)


def by_default(store: Store, i: Any, table: Any = TABLE) -> Any:
    return table[i]


def by_a_local_name(store: Store, i: Any) -> Any:
    rows = store.rows
    return rows[i] * rows[i, ::-1]


def by_counting(store: Store, i: Any) -> Any:
    store.count += 1
    return store.rows[store.count % 6] + store.numbers[(2 * store.count + np.arange(3)) % 6]


def by_chance(store: Store, i: Any) -> Any:
    return store.rows[store.rng.integers(0, 6, 4)].sum(axis=0) + store.rows[store.rng.permutation(6)[:2]][0]


def unless_it_is_needed(store: Store, i: Any) -> Any:
    return store.rows[i] * len(store.rows) + store.rows.shape[1] + sum(row.sum() for row in store.rows)


READS: dict[str, Callable[[Store, Any], Any]] = {
    "an attribute": lambda store, i: store.rows[i],
    "a global name": lambda store, i: TABLE[i],
    "a default": by_default,
    "a dict": lambda store, i: store.by_name["rows"][i],
    "a list": lambda store, i: store.listed[0][i] * store.listed[1][i],
    "a tuple": lambda store, i: store.pair[1][i],
    "a local name": by_a_local_name,
    "a view": lambda store, i: store.rows.T[:, i] + store.rows[1:][i % 5],
    "columns": lambda store, i: store.rows[:3, i % 3],
    "pairs": lambda store, i: store.rows[i, i % 3] + store.rows[i, [2]],
    "take": lambda store, i: np.take(store.rows, i, axis=0) + store.rows.take(i % 3, axis=1)[0],
    "take along an axis": lambda store, i: np.take_along_axis(store.rows, i + np.zeros((1, 3), int), 0),
    "an order": lambda store, i: store.numbers[np.argsort(TABLE[i])],
    "the largest": lambda store, i: store.numbers[np.argmax(TABLE[i])],
    "whole numbers": lambda store, i: store.rows[store.whole[i]],
    "a tensor's entry": lambda store, i: store.rows[tg.tensor(i)],
    "a count": by_counting,
    "a draw": by_chance,
    "all of it": unless_it_is_needed,
}


def snapshot(store: Store) -> Any:
    return [np.copy(x) for x in trees.leaves({name: x for name, x in vars(store).items() if name != "rng"})]


def outcomes(f: Callable[[Store, Any, Any], Any], compile: Callable[[Any], Any]) -> list[Any]:
    """What a function returns and leaves behind in some calls, between which others change what it reads."""
    store = Store()
    step, made = compile(lambda i, x: f(store, i, x)), []
    for turn in range(8):
        if turn == 3:
            store.rows[0] = 7.0
            store.numbers = store.numbers[::-1] * 1.0
        if turn == 5:
            store.rows, store.by_name["rows"], store.listed[1] = ROWS * 2, ROWS * 3, ROWS * 4
        if turn == 7:
            store.rows = store.rows.astype(np.float32)
        made.append([*map(np.asarray, trees.leaves(step(np.array(turn % 3), X + turn))), *snapshot(store)])
    return made


def assert_as_eager(f: Callable[[Store, Any, Any], Any], backend: str) -> None:
    compiled: list[Any] = []
    found = outcomes(f, lambda step: compiled.append(tg.compile(step, backend)) or compiled[0])
    for turn, (those, others) in enumerate(zip(found, outcomes(f, lambda step: step), strict=True)):
        for x, y in zip(those, others, strict=True):
            assert (x.dtype, x.shape) == (y.dtype, y.shape)
            np.testing.assert_allclose(x, y, rtol=1e-6 if turn == 7 else 1e-12)
    assert sum(map(len, compiled[0]._runs.values())) <= 4


@pytest.mark.long
@pytest.mark.parametrize("name", READS)
def test_reads(name: str, backend: str) -> None:
    assert_as_eager(lambda store, i, x: (READS[name](store, i) * np.sum(x), x), backend)


def test_an_index_outside_is_numpys_error(backend: str) -> None:
    compiled = tg.compile(lambda i: TABLE[i] * 2, backend)
    for i in (0, 5, 6, -6, -7, 2):
        if -6 <= i < 6:
            np.testing.assert_array_equal(compiled(np.array(i)), TABLE[i] * 2)
        else:
            with pytest.raises(IndexError, match="out of bounds"):
                compiled(np.array(i))


def test_gradients_of_rows_from_outside(backend: str) -> None:
    store = Store()

    def slope(w: Any, i: Any) -> Any:
        return tg.value_and_grad(lambda w: np.mean(np.sin(store.rows[i] @ w) ** 2))(w)

    compiled = tg.compile(slope, backend)
    for turn in range(4):
        store.rows[turn] *= 2
        for found, expected in zip(compiled(X, np.array([turn, 0])), slope(X, np.array([turn, 0])), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12)


def row(store: Store, i: Any, x: Any) -> None:
    store.rows[i] += x
    store.rows[i, :1] = [x[1]]


def entries_in_a_list(store: Store, i: Any, x: Any) -> None:
    store.numbers[:3] = [x[0], 1.0, x[2]]
    store.numbers[3], store.numbers[4] = x[0], store.numbers[3] + 0.0


def moving_on(store: "Store", i: Any, x: Any) -> None:
    store.rows = np.roll(store.rows, 1, axis=0)
    store.rows[0] = x


def moving_on_in_a_local(store: "Store", i: Any, x: Any) -> None:
    numbers = np.concatenate([store.numbers[1:], np.zeros(1)])
    numbers[-1] = x.sum()
    store.numbers = numbers


def rows_at_entries(store: "Store", i: Any, x: Any) -> None:
    rows = store.rows[store.numbers[:2].astype(int) % 4]
    rows[1] = x
    store.rows[:2] = rows


WRITES: dict[str, Callable[[Store, Any, Any], Any]] = {
    "rows": row,
    "a list": entries_in_a_list,
    "rows in a list": lambda store, i, x: store.rows.__setitem__(slice(0, 2), [x, x * 2]),
    "copyto": lambda store, i, x: np.copyto(store.rows, x),
    "copyto by a mask": lambda store, i, x: np.copyto(store.rows[1], x, where=x > 3),
    "copyto of truths": lambda store, i, x: np.copyto(store.numbers[:3], x > 3),
    "put": lambda store, i, x: np.put(store.rows, [0, 7, -1], x),
    "put at an index": lambda store, i, x: np.put(store.rows, i, x[0]),
    "put with another mode": lambda store, i, x: (
        np.put(store.numbers, i + 5, x[0], mode="clip"),
        store.numbers.put([9, 10], x, "wrap"),
    ),
    "put along an axis": lambda store, i, x: np.put_along_axis(store.rows, i + np.zeros((1, 3), int), x[None] * 2, 0),
    "put at places of all": lambda store, i, x: np.put_along_axis(store.rows, np.array([3, 4]), x[:2], None),
    "putmask": lambda store, i, x: np.putmask(store.rows, store.rows > 0.5, x.astype(store.rows.dtype)),
    "no values": lambda store, i, x: (
        np.put(store.rows, [0, 1], x[:0]),
        np.put(store.numbers, [0], []),
        np.putmask(store.rows, store.rows > 0, x[:0].astype(store.rows.dtype)),
    ),
    "place": lambda store, i, x: np.place(store.rows, store.rows > x[0] / 9, x[:2].astype(store.rows.dtype)),
    "flat": lambda store, i, x: (
        y := store.rows * x,
        y.flat.__setitem__(slice(1, None, 2), x),
        np.copyto(store.rows, y, "unsafe"),
    ),
    "fill": lambda store, i, x: store.numbers.fill(x[0]),
    "fill_diagonal": lambda store, i, x: np.fill_diagonal(store.rows, x),
    "fill_diagonal with a number": lambda store, i, x: np.fill_diagonal(store.rows, x[0]),
    "sort": lambda store, i, x: (np.add(store.rows, x, out=store.rows), store.rows.sort(0)),
    "partition": lambda store, i, x: store.rows.partition(0, axis=0),
    "maximum.at": lambda store, i, x: np.maximum.at(store.rows, [0, 2, 0], x),
    "multiply.at": lambda store, i, x: np.multiply.at(store.numbers, [0, 0, 3], x),
    "add.at": lambda store, i, x: np.add.at(store.rows, [0, 2, 0], x),
    "add.at an index": lambda store, i, x: np.add.at(store.numbers, i, x[0]),
    "add.at pairs": lambda store, i, x: np.add.at(store.rows, ([0, 1, 1], np.argsort(x)), x),
    "add.at a number": lambda store, i, x: np.add.at(store.whole, i, 1),
    "subtract.at": lambda store, i, x: np.subtract.at(store.rows, (slice(None), 1), x[0]),
    "out": lambda store, i, x: np.add(x, 1, out=store.rows[0]),
    "out where": lambda store, i, x: np.multiply(x, 2, out=store.rows[0], where=x > 4),
    "out of a product": lambda store, i, x: np.matmul(store.rows, x, out=store.numbers),
    "out of a sum": lambda store, i, x: np.sum(x * store.rows, axis=1, out=store.numbers),
    "out of a running sum": lambda store, i, x: np.add.accumulate(x, out=store.rows[1]),
    "out by its place": lambda store, i, x: np.exp(-x, store.rows[1]),
    "a copy": lambda store, i, x: (y := store.numbers.copy(), np.add.at(y, i, x[0]), setattr(store, "numbers", y)),
    "a copy of a part": lambda store, i, x: (y := store.numbers[:3].copy(), np.copyto(y, x), np.add(y, 1, out=x)),
    "what moves on": moving_on,
    "what moves on in a local": moving_on_in_a_local,
    "rows at entries": rows_at_entries,
    "a shift": lambda store, i, x: store.numbers.__setitem__(slice(1, None), store.numbers[:-1] * x[0]),
}


@pytest.mark.long
@pytest.mark.parametrize("name", WRITES)
def test_writes(name: str, backend: str) -> None:
    def step(store: Store, i: Any, x: Any) -> Any:
        WRITES[name](store, i, x)
        return store.rows.sum() * x, store.numbers @ store.numbers

    assert_as_eager(step, backend)


@pytest.mark.long
@pytest.mark.parametrize("name", ["copyto", "put", "fill_diagonal", "add.at", "out"])
def test_arrays_of_its_own_and_arguments(name: str, backend: str) -> None:
    """What it writes into an array that it makes of an argument stays inside; the caller sees what an argument gets."""

    def made(x: Any) -> Any:
        store = Store()
        store.rows, store.numbers = np.zeros_like(x, shape=(6, 3)), np.zeros_like(x, shape=6)
        WRITES[name](store, 1, x)
        return store.rows * x

    compiled = tg.compile(made, backend)
    for turn in range(3):
        np.testing.assert_allclose(compiled(X + turn), made(X + turn), rtol=1e-12)

    def given(x: Any, rows: Any, numbers: Any) -> Any:
        store = Store()
        store.rows, store.numbers = rows, numbers
        WRITES[name](store, 1, x)
        return rows * x, numbers

    def outcomes(f: Any) -> list[Any]:
        found = []
        for turn in range(4):
            arguments = [X + turn, np.asfortranarray(ROWS) if turn == 2 else ROWS.copy(), np.arange(6.0)]
            results = f(*arguments)
            assert results[1] is arguments[2]
            found += [*results, *arguments]
        return found

    for x, y in zip(outcomes(tg.compile(given, backend)), outcomes(given), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12)


ARGUMENTS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda x: x,
    "a row": lambda x: x[0],
    "an entry of a row": lambda x: x[1][2:],
    "in a list": lambda x: [x][0],
    "by turns": lambda x: x[x.shape[1] :][np.argmax(x[0])],
}


def filled(view: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def fills(x: Any) -> Any:
        before = x.sum()
        part = view(x)
        part[...] = part * 2
        part += before
        return x * 2

    return fills


@pytest.mark.parametrize("view", ARGUMENTS)
def test_an_argument_has_what_is_written_into_it(view: str, backend: str) -> None:
    f = filled(ARGUMENTS[view])
    compiled = tg.compile(f, backend)
    for turn in range(4):
        x, y = ROWS + turn, ROWS + turn
        np.testing.assert_allclose(compiled(x), f(y), rtol=1e-12)
        np.testing.assert_allclose(x, y, rtol=1e-12)
    assert compiled.repeat(2, x).shape == (2, 6, 3)
    f(y), f(y)
    np.testing.assert_allclose(x, y, rtol=1e-12)
    x.setflags(write=False)
    with pytest.raises(ValueError, match="read-only"):
        compiled(x)


@pytest.mark.parametrize("view", [np.transpose, np.ravel, lambda x: np.split(x, 3, axis=1)[1]])
def test_a_view_by_which_an_argument_would_not_be_written_is_refused(view: Any, backend: str) -> None:
    with pytest.raises(UsageError, match="into whose memory it has written"):
        tg.compile(filled(view), backend)(ROWS.copy())


def test_an_argument_that_shares_memory_with_another_one(backend: str) -> None:
    def moved(x: Any, y: Any) -> Any:
        x += 1
        return x * y

    compiled = tg.compile(moved, backend)
    for _ in range(2):
        x = ROWS.copy()
        np.testing.assert_array_equal(compiled(x, ROWS), (ROWS + 1) * ROWS)
        for other in (x, x[::-1]):
            with pytest.raises(UsageError, match="shares memory with y"):
                compiled(x, other)
        np.testing.assert_array_equal(x, ROWS + 1)


def test_an_argument_that_has_another_name(backend: str) -> None:
    store = Store()

    def moved(x: Any) -> Any:
        x += 1
        return store.rows * 2

    compiled = tg.compile(moved, backend)
    for _ in range(2):
        np.testing.assert_array_equal(compiled(ROWS.copy()), ROWS * 2)
        for other in (store.rows, store.rows[1:]):
            with pytest.raises(UsageError, match="shares memory with"):
                compiled(other)
        np.testing.assert_array_equal(store.rows, ROWS)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("i8", np.nan), ("i8", [0, np.inf, 0]), ("i1", 300), ("u1", -1), ("u1", [1, 2, 300]), ("f4", 1j), ("f8", "a")],
)
@pytest.mark.parametrize("write", ["assign", "put", "putmask"])
def test_numbers_that_do_not_fit_are_refused_as_by_numpy(dtype: str, value: Any, write: str, backend: str) -> None:
    def assigned(x: Any) -> Any:
        if write == "assign":
            x[:3] = value
        elif write == "put":
            np.put(x, [0, 1, 2], value)
        else:
            np.putmask(x, [True, True, True, False], value)
        return x

    for f in (assigned, tg.compile(assigned, backend)):
        with pytest.raises((ValueError, OverflowError, TypeError), match=r"convert|out of bounds|complex"):
            f(np.zeros(4, dtype))


REFUSED: dict[str, tuple[Callable[[Store, Any, Any], Any], str]] = {
    "entries that occur twice": (
        lambda store, i, x: np.maximum.at(store.numbers, i, x[0]),
        r"np\.maximum\.at at an index",
    ),
    "another dtype": (lambda store, i, x: np.copyto(store.whole[:3], x), "Cannot cast array data"),
    "another dtype by a mask": (lambda store, i, x: np.putmask(store.whole[:3], x > 1, x), "the rule 'safe'"),
    "a text of what is read": (
        lambda store, i, x: store.rows[i] * len(f"{store.rows[0, 0]}"),
        r"needs a value .* len\(f",
    ),
    "a list": (lambda store, i, x: store.listed[i], r"np\.stack\(store\.listed\)\[i\] if it is a list"),
    "a view under another name": (
        lambda store, i, x: (store.rows.__setitem__(i, x), store.pair[0][i]),
        "shares memory with",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_leave_everything_as_it_was(name: str, backend: str) -> None:
    f, message = REFUSED[name]
    store = Store()
    store.pair = (store.rows[1:], store.rows)
    before = snapshot(store)
    with pytest.raises(TypeError, match=rf"(?s){message}"):
        tg.compile(lambda i, x: f(store, i, x), backend)(np.array(1), X)
    for x, y in zip(snapshot(store), before, strict=True):
        np.testing.assert_array_equal(x, y)
