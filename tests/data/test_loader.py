"""`DataLoader`: forms of datasets, order, and going on in the middle of an epoch."""

import json
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tinygrad_lite as tg
from tinygrad_lite.data import DataLoader
from tinygrad_lite.errors import EmptyError, InputError, ShapeError, UsageError
from tinygrad_lite.trees import leaves

X, Y = np.arange(10.0).reshape(5, 2), np.arange(5)
Pair = namedtuple("Pair", "x y")


class Squares:
    """A dataset of samples."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, k: int) -> Any:
        return {"x": X[k], "y": k}


FORMS: dict[str, tuple[Any, Any]] = {
    "array": (X, X[:2]),
    "tuple": ((X, Y), (X[:2], Y[:2])),
    "named tuple": (Pair(X, Y), Pair(X[:2], Y[:2])),
    "dict": ({"a": X, "b": (Y,)}, {"a": X[:2], "b": (Y[:2],)}),
    "tensor": ((tg.tensor(X), Y), (tg.tensor(X[:2]), Y[:2])),
    "frame and series": ((pd.DataFrame(X), pd.Series(Y)), (X[:2], Y[:2])),
    "list of numbers": ([1.0, 2.0, 3.0], np.array([1.0, 2.0])),
    "nested list": (([[1, 2], [3, 4], [5, 6]], Y[:3]), (np.array([[1, 2], [3, 4]]), Y[:2])),
    "list of samples": ([(X[0], 0), (X[1], 1), (X[2], 2)], (X[:2], Y[:2])),
    "samples": (Squares(), {"x": X[:2], "y": Y[:2]}),
    "float32": (X.astype(np.float32), X[:2].astype(np.float32)),
}


@pytest.mark.parametrize(("dataset", "expected"), FORMS.values(), ids=FORMS)
def test_a_batch_has_the_form_of_the_dataset(dataset: Any, expected: Any) -> None:
    batch = next(iter(DataLoader(dataset, batch_size=2)))
    assert type(batch) is type(expected)
    for a, b in zip(leaves(batch), leaves(expected), strict=True):
        assert type(a) is type(b)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize("dtype", ["?", "i1", "f4", ">f8", "c16"])
def test_batches_are_laid_out_as_those_of_an_index(dtype: str) -> None:
    whole = np.arange(240).reshape(8, 5, 6).astype(dtype)
    rows = np.array([3, 0, 7])
    for array in (whole, np.asfortranarray(whole), whole[::2], whole[:, ::2], whole.swapaxes(1, 2), whole[:, 0, 0]):
        loader, some = DataLoader(array, batch_size=3, shuffle=True, rng=0), rows % len(array)
        taken, indexed = loader.dataset.take(some), array[some]
        np.testing.assert_array_equal(taken, indexed)
        assert (taken.dtype, taken.strides) == (indexed.dtype, indexed.strides)


COLUMNS: dict[str, tuple[Any, Any, str]] = {
    "truth": ([True, False, True], [1, 0, 1], "?"),
    "integers": ([1, 2, 3], [1, 2, 3], "i8"),
    "small integers": (np.array([1, 2, 3], np.int8), [1, 2, 3], "i1"),
    "single precision": (np.array([0.5, 1, 2], np.float32), [0.5, 1, 2], "f4"),
    "double precision": ([0.5, 1.0, 2.0], [0.5, 1, 2], "f8"),
    "complex": ([1j, 2.0, 3.0], [1j, 2, 3], "c16"),
    "integers or nothing": (pd.array([1, 2, 3], dtype="Int64"), [1, 2, 3], "i8"),
    "a missing integer": (pd.array([1, None, 3], dtype="Int64"), [1, np.nan, 3], "f8"),
    "a missing truth": (pd.array([True, None, False], dtype="boolean"), [1, np.nan, 0], "f4"),
    "single precision or nothing": (pd.array([1, 2, 3], dtype="Float32"), [1, 2, 3], "f4"),
    "mostly 0": (pd.arrays.SparseArray([0, 1, 0]), [0, 1, 0], "i8"),
}


@pytest.mark.parametrize("first", COLUMNS)
@pytest.mark.parametrize("second", COLUMNS)
def test_columns_of_any_kinds_of_numbers_make_one_array(first: str, second: str) -> None:
    (a, left, kind_a), (b, right, kind_b) = COLUMNS[first], COLUMNS[second]
    frame = pd.DataFrame({"a": a, "b": b})
    for array in (next(iter(DataLoader(frame, batch_size=3))), tg.tensor(frame).numpy()):
        assert array.dtype == np.result_type(kind_a, kind_b)
        np.testing.assert_array_equal(array, np.stack([left, right], axis=1))


@pytest.mark.parametrize(
    ("other", "dtype"),
    [
        (["x", "y", "z"], "str|object"),
        (pd.Categorical(["x", "y", "x"]), "category"),
        (pd.date_range("2020", periods=3), "datetime64"),
        (pd.interval_range(0, 3), "interval"),
        ([None, object(), 1], "object"),
    ],
)
def test_columns_that_are_no_numbers_are_named(other: Any, dtype: str) -> None:
    frame = pd.DataFrame({"size": [1, 2, 3], "kind": other, "share": [0.5, 1.0, 2.0]})
    with pytest.raises(UsageError, match=f"must be numbers, got 'kind' of dtype ({dtype}).*: encode what is not"):
        DataLoader(frame)
    with pytest.raises(UsageError, match=r"must be numbers, got dtype .*: encode what is not"):
        DataLoader((frame["size"], frame["kind"]))


@pytest.mark.parametrize("make", [list, np.array, pd.Series])
def test_labels_that_are_words_are_to_be_numbered(make: Any) -> None:
    with pytest.raises(UsageError, match=r"np\.unique\(labels, return_inverse=True\)"):
        DataLoader((np.ones((3, 2)), make(["a", "b", "a"])))


class PolarsDtype:
    """A dtype as polars has it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name

    def is_numeric(self) -> bool:
        return self.name == "Float64"

    def is_temporal(self) -> bool:
        return self.name == "Date"


class PolarsFrame:
    """A frame as polars has it, which NumPy turns into an array by the frame's own method."""

    columns = ("size", "kind")

    def __init__(self, dtype: str, array: Any) -> None:
        self.dtypes, self.array = [PolarsDtype("Float64"), PolarsDtype(dtype)], array

    def __len__(self) -> int:
        return len(self.array)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.array


def test_frames_of_polars_hold_numbers() -> None:
    loader = DataLoader(PolarsFrame("Float64", X), batch_size=2)
    np.testing.assert_array_equal(next(iter(loader)), X[:2])
    words = PolarsFrame("String", np.array([[1.0, "x"]], object))
    with pytest.raises(UsageError, match="must be numbers, got 'kind' of dtype String: encode"):
        DataLoader(words)
    dates = PolarsFrame("Date", np.array([[1.0, 18262.0]]))
    with pytest.raises(UsageError, match="the column 'kind', of dtype Date, would become numbers of days"):
        DataLoader(dates)


@pytest.mark.parametrize(
    ("samples", "kind", "message"),
    [
        ([(X[:1], 0), (X[:2], 1)], ShapeError, r"same shape, got \(1, 2\), \(2, 2\): pad them"),
        ([X, Y], ShapeError, r"pass arrays as a tuple"),
        ([(X[0], "a"), (X[1], "b")], UsageError, "a sample holds numbers, got 'a' of dtype <U1"),
        ([(X[0], object()), (X[1], object())], UsageError, "a sample holds numbers, got <object"),
        ([{"x": 1.0, "y": 2}, {"x": 1.0}], UsageError, r"expected dict of \['x', 'y'\], got dict of \['x'\]"),
        ([{"x": [1, 2]}, {"x": [1]}], UsageError, r"do not match at \['x'\]: expected list of 2, got list of 1"),
    ],
)
def test_samples_that_make_no_batch(samples: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        next(iter(DataLoader(samples, batch_size=2)))


@dataclass
class Sample:
    x: Any
    y: int


@pytest.mark.parametrize(
    "sample_of",
    [lambda x, y: (x, y), lambda x, y: {"x": x, "y": y}, Sample, Pair],
    ids=["tuple", "dict", "dataclass", "namedtuple"],
)
@pytest.mark.parametrize("row_of", [lambda i: X[i], lambda i: X[i].tolist(), lambda i: float(X[i, 0])])
def test_a_list_of_samples_is_stacked_by_field(sample_of: Any, row_of: Any) -> None:
    batch = next(iter(DataLoader([sample_of(row_of(i), int(Y[i])) for i in range(4)], batch_size=4)))
    assert type(batch) is type(sample_of(0, 0))
    *_, labels = leaves(batch)
    np.testing.assert_array_equal(labels, Y[:4])


@pytest.mark.parametrize("entries", [[None, None], [object()], [{1}, {2}]], ids=["None", "objects", "sets"])
def test_objects_are_not_taken_for_labels(entries: Any) -> None:
    array = np.empty(len(entries), object)
    array[:] = entries
    with pytest.raises(UsageError, match="got dtype object: encode what is not, as by pandas"):
        DataLoader(array)


def test_sparse_matrices_become_arrays() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    (batch,) = DataLoader(sparse.coo_matrix(X), batch_size=5)
    np.testing.assert_array_equal(batch, X)


def test_batches_of_dask_arrays_are_in_memory() -> None:
    arrays = pytest.importorskip("dask.array")
    lazy = arrays.from_array(X, chunks=2)
    for batch, expected in zip(DataLoader(lazy, 2, shuffle=True, rng=0), DataLoader(X, 2, shuffle=True, rng=0)):
        assert type(batch) is np.ndarray
        np.testing.assert_array_equal(batch, expected)


@pytest.mark.parametrize("drop_last", [False, True])
def test_the_order_is_that_of_epochs_of_a_compiled_function(drop_last: bool) -> None:
    rows = np.arange(10.0) ** 2
    first = tg.compile(lambda x: np.sum(x), backend="numpy")
    expected = first.epochs([rows], 4, epochs=3, rng=7, drop_last=drop_last)
    loader = DataLoader(rows, 4, shuffle=True, drop_last=drop_last, rng=7)
    assert [np.sum(batch) for _ in range(3) for batch in loader] == expected.tolist()


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("stop", range(10))
def test_a_loader_goes_on_where_its_state_was_taken(shuffle: bool, stop: int) -> None:
    def batches(loader: DataLoader) -> Any:
        while True:
            yield from loader

    def made(seed: int) -> DataLoader:
        return DataLoader((X, Y), 2, shuffle, rng=seed)

    loader, resumed = made(0), made(1)
    endless = batches(loader)
    for _ in range(stop):
        next(endless)
    resumed.load_state_dict(loader.state_dict())
    going_on = batches(resumed)
    for _ in range(8):
        np.testing.assert_array_equal(next(endless)[0], next(going_on)[0])
        assert loader.epochs == resumed.epochs


BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "no rows": (X[:0], EmptyError, "no rows"),
    "no arrays": ((), EmptyError, "no rows"),
    "an empty list": ([], EmptyError, "no rows"),
    "lengths": ((X, Y[:3]), ShapeError, r"data\[0\] has 5, data\[1\] has 3"),
    "a number": (3, UsageError, "got int"),
    "text": ("abc", UsageError, "got str"),
    "a generator": ((x for x in X), UsageError, "got generator"),
    "an array without axes": ((np.array(1.0), Y), UsageError, "arrays with rows"),
    "words": (pd.DataFrame({"sex": ["m", "f"]}), UsageError, "encode what is not"),
}


@pytest.mark.parametrize(("dataset", "kind", "message"), BAD.values(), ids=BAD)
def test_what_is_no_dataset_is_refused(dataset: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        DataLoader(dataset)


@pytest.mark.parametrize("size", [0, -1, 2.5, "3", True])
def test_bad_batch_sizes_are_refused(size: Any) -> None:
    with pytest.raises(InputError, match="batch_size must be a whole number"):
        DataLoader(X, size)
    with pytest.raises(InputError, match="leaves no batch of 5 rows"):
        DataLoader(X, 6, drop_last=True)


def test_states_of_something_else_change_nothing() -> None:
    loader = DataLoader(X, 2, shuffle=True, rng=0)
    before = loader.state_dict()
    for state, message in (
        ({}, "must have the entries"),
        ({**before, "rows": 7}, "this state was saved for 7 rows; the loader has 5"),
        ({**before, "rng": {"bit_generator": "MT19937"}}, "not the state of a PCG64"),
        ({**before, "rng": 3}, "not the state of a PCG64"),
    ):
        with pytest.raises(InputError, match=message):
            loader.load_state_dict(state)
        assert loader.state_dict() == before


class Noisy:
    """A dataset whose samples are drawn."""

    def __init__(self, seed: int) -> None:
        self.rng, self.others = np.random.default_rng(seed), [np.random.default_rng(seed + 1)]

    def __len__(self) -> int:
        return 10

    def __getitem__(self, k: int) -> Any:
        return k + self.rng.normal() + self.others[0].normal()


@pytest.mark.parametrize("done", range(6))
def test_samples_that_are_drawn_go_on(done: int) -> None:
    loader, other = (DataLoader(Noisy(seed), 3, shuffle=True, rng=seed) for seed in (0, 5))
    batches = (batch for _ in range(2) for batch in loader)
    for _ in range(done):
        next(batches)
    other.load_state_dict(json.loads(json.dumps(loader.state_dict())))
    expected = [*batches]
    resumed = [*(batch for _ in range(2 - other.epochs) for batch in other)]
    np.testing.assert_array_equal(np.concatenate(resumed), np.concatenate(expected))
    state = loader.state_dict()
    for wrong in ({}, {"rng": state["rng"]}, {"rng": 1, "others[0]": 2}):
        with pytest.raises(InputError, match="not the state of"):
            other.load_state_dict({**state, "dataset": wrong})


def test_frames_with_rows_in_another_order_are_refused() -> None:
    """pandas pairs rows by their labels, and the loader by their places: they say different things."""
    x = pd.DataFrame({"a": [1.0, 2.0, 3.0]}, index=list("uvw"))
    y = pd.Series([1.0, 2.0, 3.0], index=list("uvw"))
    for targets in (y[::-1], y.to_frame()[::-1]):
        with pytest.raises(InputError, match=r"data\[1\] has the rows of data\[0\] in another order"):
            DataLoader((x, targets))
        same = DataLoader((x, targets.loc[x.index]), batch_size=3)
        np.testing.assert_array_equal(*[np.ravel(part) for part in next(iter(same))])
        assert len(DataLoader((x, targets.to_numpy()))) == 3
    assert len(DataLoader((x, y.reset_index(drop=True)))) == 3, "other labels say nothing of the order"


class Batches:
    """What can be gone through, but has no rows by number."""

    def __iter__(self) -> Any:
        return iter([np.ones(2)])


class LoaderOfPyTorch(Batches):
    dataset = X


class LazyFrame:
    """A frame of polars that is still to be computed."""

    def collect(self) -> Any:
        return X


def test_what_has_no_rows_yet_is_told_what_to_do() -> None:
    for batches in ((np.ones(2) for _ in range(3)), lambda: iter([np.ones(2)]), Batches(), {1, 2}):
        with pytest.raises(UsageError, match="join its batches into arrays"):
            DataLoader(batches)
    with pytest.raises(UsageError, match="pass its dataset, and batch_size="):
        DataLoader(LoaderOfPyTorch())
    for frames in (LazyFrame(), (LazyFrame(), Y)):
        with pytest.raises(UsageError, match=r"call its collect\(\) first"):
            DataLoader(frames)
