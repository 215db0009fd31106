"""What a loader takes rows from: arrays of one length in containers, or a dataset of samples."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.tensor import Tensor, wrap
from tinygrad_lite.errors import EmptyError, InputError, ShapeError, UsageError
from tinygrad_lite.foundation.foreign import as_numpy, columns_of


class Rows(Protocol):
    """Data with a number of rows, which makes batches of them.

    Attributes:
        stacks: whether a batch is made of samples, which are stacked.
    """

    stacks: bool

    def __len__(self) -> int: ...

    def take(self, rows: Any) -> Any:
        """A batch: the rows with these numbers."""

    def check_finite(self) -> None:
        """Raise `InputError` if a number is not finite, as far as that can be seen without making a batch."""

    def generators(self) -> dict[str, np.random.Generator]:
        """The generators that draw the samples, by the names of the dataset's fields."""


Taker = Callable[[Any], Any]
"""A function that takes the rows with these numbers."""


def rows_of(dataset: Any) -> Rows:
    """The rows of a dataset.

    Raises:
        EmptyError: if it has none.
        InputError: if its frames have the same rows in different orders.
        ShapeError: if its arrays have different lengths.
        UsageError: if it is not a dataset.
    """
    rows: Rows = _Columns(dataset) if _is_columns(dataset) else _Samples(dataset)
    if not len(rows):
        raise EmptyError("the dataset has no rows")
    return rows


def _is_columns(dataset: Any) -> bool:
    """Whether this is an array, or a container of arrays, and no sequence of samples."""
    if isinstance(dataset, list):
        return all(isinstance(x, (bool, int, float)) for x in trees.leaves(dataset)) and not _holds_samples(dataset)
    return isinstance(dataset, (tuple, Mapping)) or hasattr(dataset, "__array__") or hasattr(dataset, "tocsr")


def _holds_samples(x: Any) -> bool:
    """Whether there are containers other than lists in a list: tuples, dicts, dataclasses."""
    if isinstance(x, list):
        return any(map(_holds_samples, x[:1]))
    return x is not None and trees.children(x) is not None


class _Columns:
    """Arrays of one length, alone or in tuples and dicts."""

    stacks = False

    def __init__(self, arrays: Any) -> None:
        self._arrays: dict[str, Any] = {}
        self._indexes: dict[str, Any] = {}  # of frames
        self._take = _joined(self._taker, arrays)
        lengths = {path: array.shape[0] for path, array in self._arrays.items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"data{path} has {length}" for path, length in lengths.items())
            raise ShapeError(f"the arrays must have the same number of rows: {listed}")
        self._length = next(iter(lengths.values()), 0)
        self._check_order()

    def __len__(self) -> int:
        return self._length

    def take(self, rows: Any) -> Any:
        return self._take(rows)

    def check_finite(self) -> None:
        for path, array in self._arrays.items():
            numbers = array.data if hasattr(array, "tocsr") else array
            if numbers.dtype.kind in "fc" and not np.isfinite(numbers).all():
                where = "" if numbers is not array else f", first at {np.argwhere(~np.isfinite(array))[0].tolist()}"
                count = np.size(numbers) - np.count_nonzero(np.isfinite(numbers))
                raise InputError(
                    f"data{path} has numbers that are NaN or infinite ({count} of {np.size(numbers)}{where}): fill "
                    "them in, or leave out their rows"
                )

    def generators(self) -> dict[str, np.random.Generator]:
        return {}

    def _check_order(self) -> None:
        """Raise if frames have the same labels of rows in different orders: pandas itself would pair equal labels."""
        names, indexes = list(self._indexes), list(self._indexes.values())
        for path, index in zip(names[1:], indexes[1:]):
            if not index.equals(indexes[0]) and index.symmetric_difference(indexes[0]).empty:
                one, other = f"data{names[0]}", f"data{path}"
                raise InputError(
                    f"{other} has the rows of {one} in another order, by their index: take {other}.loc[{one}.index], "
                    "or to_numpy() of each if the rows belong together as they stand"
                )

    def _taker(self, path: str, x: Any) -> Taker:
        """The function that takes rows of an array."""
        array = self._arrays[path] = _array_of(path, x)
        if hasattr(x, "iloc"):
            self._indexes[path] = x.index
        if isinstance(x, Tensor):
            return lambda rows: wrap(array[rows])
        if type(array) is np.ndarray and array.flags.c_contiguous:
            return lambda rows: array.take(rows, 0)  # the same as by an index, in half the time
        if hasattr(array, "compute"):  # of Dask, whose rows fit in memory
            return lambda rows: np.asarray(array[rows])
        return (lambda rows: array[rows].toarray()) if hasattr(array, "toarray") else (lambda rows: array[rows])


def _joined(taker_of: Callable[[str, Any], Taker], tree: Any, path: str = "") -> Taker:
    """The taker of rows of all leaves, into containers of the same kind; a list is a leaf."""

    def inner(key: Any, child: Any) -> Taker:
        return _joined(taker_of, child, f"{path}[{key!r}]")

    if isinstance(tree, Mapping):
        named = {key: inner(key, child) for key, child in tree.items()}
        return lambda rows: {key: take(rows) for key, take in named.items()}
    if isinstance(tree, tuple):
        takers, kind = [inner(key, child) for key, child in enumerate(tree)], type(tree)
        if hasattr(kind, "_fields"):
            return lambda rows: kind(*[take(rows) for take in takers])
        return lambda rows: tuple([take(rows) for take in takers])
    return taker_of(path, tree)


def _array_of(path: str, x: Any) -> Any:
    """The array in a column, whose rows can be taken."""
    if isinstance(x, Tensor):
        array = x.data
    elif hasattr(x, "tocsr"):
        array = x.tocsr()
    else:
        array = x if hasattr(x, "__array_function__") else as_numpy(x)
    if not getattr(array, "shape", ()):
        kind = type(x).__name__
        raise UsageError(f"a dataset needs arrays with rows; data{path} is {kind}: {x!r:.80}{_what_to_pass(x)}")
    if array.dtype.kind not in "biufc":
        are_labels = array.ndim == 1 and all(isinstance(label, (str, bytes)) for label in array[:1].tolist())
        labels = "names, numbers = np.unique(labels, return_inverse=True)"
        how = labels if are_labels else "pandas.get_dummies or scikit-learn's OneHotEncoder"
        raise UsageError(
            f"the columns of data{path} must be numbers, got {_kinds(x, array)}: encode what is not, as by {how}"
        )
    return array


def _kinds(x: Any, array: Any) -> str:
    """The dtype of an array, or the columns of a frame that are not numbers with theirs."""
    named = columns_of(x) if hasattr(x, "columns") else []
    others = [f"{name!r} of dtype {dtype}" for name, dtype in named if not _is_numeric(dtype)]
    return ", ".join(others) or f"dtype {array.dtype}"


def _is_numeric(dtype: Any) -> bool:
    """Whether a dtype, of NumPy's, of pandas' or of polars', is one of numbers."""
    return dtype.is_numeric() if hasattr(dtype, "is_numeric") else getattr(dtype, "kind", "O") in "biufc"


def _what_to_pass(x: Any) -> str:
    """What to pass in place of something that has no rows yet, as the end of a sentence."""
    if hasattr(x, "collect"):  # a lazy frame of polars
        return "; call its collect() first"
    if hasattr(x, "dataset"):  # a loader of PyTorch
        return "; pass its dataset, and batch_size= and shuffle= as you want them"
    is_iterable = hasattr(x, "__iter__") and not isinstance(x, str)
    return "; make a list of its samples, or join its batches into arrays" if callable(x) or is_iterable else ""


class _Samples:
    """A dataset whose samples are stacked."""

    stacks = True

    def __init__(self, dataset: Any) -> None:
        if isinstance(dataset, str) or not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            kind = f"{type(dataset).__module__}.{type(dataset).__name__}".removeprefix("builtins.")
            raise UsageError(
                f"a dataset is an array, a tuple or a dict of arrays, or has __len__ and __getitem__; got {kind}"
                + _what_to_pass(dataset)
            )
        self._dataset: Sequence[Any] = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def check_finite(self) -> None:
        pass

    def generators(self) -> dict[str, np.random.Generator]:
        fields = getattr(self._dataset, "__dict__", {})
        places = zip(trees.paths(fields), trees.leaves(fields))
        return {path: x for path, x in places if isinstance(x, np.random.Generator)}

    def take(self, rows: Any) -> Any:
        return trees.map_leaves(_stacked, *[self._dataset[int(k)] for k in rows])


def _stacked(*samples: Any) -> Any:
    """The samples as rows of an array."""
    arrays = [as_numpy(x) for x in samples]
    if len(shapes := {x.shape for x in arrays}) > 1:
        raise ShapeError(
            f"the samples of a batch must have the same shape, got {', '.join(map(str, sorted(shapes)))}: pad them; "
            "if they are batches, join them by np.concatenate; or pass arrays as a tuple, (inputs, targets), since a "
            "list is a list of samples"
        )
    stacked = np.stack(arrays)
    if stacked.dtype.kind not in "biufc":
        raise UsageError(f"a sample holds numbers, got {samples[0]!r:.80} of dtype {stacked.dtype}: encode it")
    return stacked
