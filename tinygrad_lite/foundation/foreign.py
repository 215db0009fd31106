"""Other libraries' containers: takes the numbers in them, and refuses what else they hold, which would be lost."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy import ndarray  # Python finds a name of this module in a quarter of the time of an attribute of NumPy

from tinygrad_lite.errors import ShapeError, TinygradError, UsageError

DATA_WITHOUT_HISTORY = (
    "a value that is being differentiated cannot become the data of a tensor: its history would be lost. To run a "
    "module on other parameters, write tg.nn.functional_call(module, state, *inputs); to differentiate with respect to "
    "a module's own parameters, tg.grad(f)(module); to drop the history on purpose, value.detach()"
)
NUMERIC = "fiubc"
"""The kinds of dtypes that hold numbers."""

_OURS = ("builtins", "numpy", "tinygrad_lite", "__main__")

_LABELS = {"iloc": "labels", "dims": "names of axes", "units": "units", "unit": "units", "mask": "mask"}
"""What containers hold besides numbers, by the attribute that shows it."""


def numbers_of(x: Any, name: str) -> Any:
    """The array of plain numbers in an argument of the operation of this name.

    Raises:
        UsageError: if the argument holds more than numbers, such as labels, or something other than numbers.
    """
    kind = type(x)
    if kind is ndarray and x.dtype.kind in NUMERIC:  # most arguments, whose names no error needs
        return x
    if kind is ndarray or isinstance(x, np.generic):
        array = x
    elif isinstance(x, np.ndarray) and kind is not np.memmap:
        plain = "x.filled(value)" if hasattr(x, "filled") else "np.asarray(x)"
        raise UsageError(
            f"{name}: {kind.__name__} gives some operations a meaning of its own, which would be lost; pass the plain "
            f"array, {plain}"
        )
    elif lost := lost_from(kind):
        raise UsageError(
            f"{name}: the {lost} of this {kind.__name__} would be lost, and values combined by position; pass its "
            "plain array (x.to_numpy(), x.values, x.magnitude) in the order and the units that you mean"
        )
    else:
        array = x if hasattr(x, "__array_function__") else as_numpy(x)
    return _of_numbers(array, kind, f"{name}: ")


def _lost_from(kind: Any) -> str | None:
    """What a container of this kind holds that a plain array does not."""
    return next((lost for attribute, lost in _LABELS.items() if hasattr(kind, attribute)), None)


lost_from: Callable[[Any], str | None] = lru_cache(1000)(_lost_from)


def kind_of(x: Any) -> str:
    """The name of the kind of an object, for messages: with its library, such as PyTorch, which has the same names."""
    kind = type(x)
    library = kind.__module__.partition(".")[0]
    return kind.__name__ if library in _OURS else f"{library}'s {kind.__name__}"


def columns_of(x: Any) -> list[tuple[Any, Any]]:
    """The names of a frame's columns with their dtypes; a series or an array is one column without a name."""
    is_frame = hasattr(x, "columns") and hasattr(x, "dtypes")
    return [*zip(x.columns, x.dtypes)] if is_frame else [("", getattr(x, "dtype", None))]


def times_in(x: Any) -> list[tuple[Any, Any]]:
    """The columns that hold dates or durations, with their dtypes: NumPy's, pandas' and polars'."""
    return [
        (column, dtype)
        for column, dtype in columns_of(x)
        if getattr(dtype, "kind", "") in ("m", "M") or getattr(dtype, "is_temporal", bool)()
    ]


def as_array(x: Any) -> Any:
    """Convert a list or a number to an array; return an array of any kind as it is."""
    return x if hasattr(x, "dtype") else np.asarray(x)


def as_numpy(x: Any) -> Any:
    """Convert a number, nested lists or another container to a NumPy array."""
    try:
        array = np.asarray(x)
        if hasattr(x, "columns") and array.dtype.kind in "biufc" and (times := times_in(x)):
            raise UsageError(
                f"the column {times[0][0]!r}, of dtype {times[0][1]}, would become numbers of days or microseconds: "
                "make numbers of them that mean something, such as the hour of the day"
            )
        return _of_columns(x, array) if array.dtype == object and hasattr(x, "iloc") else array
    except TinygradError:
        raise
    except ValueError as error:
        raise ShapeError(f"cannot make an array of this {type(x).__name__}: {error}") from error


def _of_columns(frame: Any, array: Any) -> Any:
    """The numbers of a pandas frame whose columns differ in dtype, with NaN for missing values; otherwise its array."""
    dtypes = [
        dtype.subtype if hasattr(dtype, "fill_value") else getattr(dtype, "numpy_dtype", dtype)
        for dtype in np.ravel(np.array(frame.dtypes, object))
    ]
    if not all(isinstance(dtype, np.dtype) and dtype.kind in "fiubc" for dtype in dtypes):
        return array
    if frame.isna().to_numpy().any():
        return frame.to_numpy(np.result_type(*dtypes, np.float32), na_value=np.nan)
    return frame.to_numpy(np.result_type(*dtypes))


def copied(x: Any, dtype: Any = None) -> Any:
    """A copy of an array, a number or nested lists; an array of another library keeps its type."""
    if type(x) is not np.ndarray:
        if lost_from(type(x)) in ("units", "mask"):  # labels and names of axes are dropped on purpose
            numbers_of(x, "tensor")
        if hasattr(x, "__array_function__") and not isinstance(x, (np.ndarray, np.generic)):
            return x.copy() if dtype is None else x.copy().astype(dtype)
    array = _of_numbers(copy_of(x if type(x) is np.ndarray else as_numpy(x), dtype), type(x))
    return array if array.shape else array[()]  # a scalar, which NumPy's own functions return and which is faster


copy_of: Callable[..., Any] = np.array
"""Copies an array, maybe to another dtype. While a function is compiled, each run makes its own copy."""


def kept_apart(array: Any) -> Any:
    """A read-only copy of an array, which NumPy cannot reuse for a result either, as it reuses temporaries."""
    copy = array.copy() if array.flags.c_contiguous else _copied(array)
    copy.setflags(False)  # in half the time of write=False
    return copy


def _copied(array: Any) -> Any:
    """A copy of an array whose entries share memory where the original's do, such as those of sliding windows."""
    size, steps, count = array.itemsize, array.strides, 1
    for step, length in zip(steps, array.shape):
        if step < 0 or step % size:
            return array.copy(order="K")
        count += step // size * (length - 1)
    if count >= array.size:
        return array.copy(order="K")
    if count == 1:  # one number, as the gradient of a sum is: without the view, in a quarter of the time
        memory = array[(0,) * array.ndim]
    else:
        memory = np.lib.stride_tricks.as_strided(array, (count,), (size,)).copy()
    return np.ndarray(array.shape, memory.dtype, memory, strides=steps)


def _of_numbers(array: Any, kind: type, prefix: str = "") -> Any:
    """The array made from a container of this kind, if its entries are numbers."""
    if array.dtype.kind in NUMERIC:
        return array
    if array.dtype == object and not array.shape and not issubclass(kind, ndarray):  # NumPy found nothing inside it
        raise UsageError(
            f"{prefix}a tensor holds numbers, and this {kind.__name__} is none: convert it first; or compute with "
            "numbers alone and, if it is a unit, give it to the result"
        )
    raise UsageError(f"{prefix}a tensor holds numbers, but this {kind.__name__} holds {array.dtype}: convert it first")


def without_history(result: Any, name: str) -> Any:
    """An operation's result that has no derivative, since its entries are integers or booleans.

    Raises:
        UsageError: if they are objects, texts or times, which could be turned back into numbers with a derivative.
    """
    if result.dtype.kind not in "iub":
        raise UsageError(
            f"{name}: a result of {result.dtype} would lose its history, which only numbers have; ask for a dtype of "
            "numbers, such as float"
        )
    return result


def is_coarser(x: Any, dtype: Any) -> bool:
    """Whether an array holds integers or booleans, or fewer digits than a dtype of the same kind."""
    kind = getattr(x, "dtype", dtype)
    return kind.kind in "biu" or (kind.kind == dtype.kind and kind != np.promote_types(kind, dtype) == dtype)
