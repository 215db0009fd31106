"""Functions of the array API standard that make tensors, from numbers or from other libraries' arrays."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from tinygrad_lite.array_api.writing import Writable, is_writing
from tinygrad_lite.engine.op import Traced
from tinygrad_lite.engine.tensor import Tensor, tensor, wrap
from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.ops.shapes.joining import array


def _as_tensor(make: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy function that makes an array, changed to make a tensor."""

    @wraps(make)
    def made(*args: Any, **params: Any) -> Any:
        result = make(*args, **params)
        return _writable(result if isinstance(result, Traced) else wrap(result[()]))

    return made


def asarray(obj: Any, /, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Any:
    """A tensor of numbers, nested lists, or an array; a tensor is returned as it is, in its own graph."""
    made: Any = array(obj) if isinstance(obj, (list, tuple)) else obj
    changes = not isinstance(made, Traced) or (dtype is not None and np.dtype(dtype) != made.dtype)
    if copy is False and changes and hasattr(obj, "dtype"):
        raise InputError("asarray: a tensor owns its array, and would hold a copy of this one: leave out copy=False")
    if not isinstance(made, Traced):
        made = tensor(made, dtype=dtype)
    elif changes:
        made = np.astype(made, dtype)  # type: ignore[call-overload]
    elif copy:
        made = np.copy(made)  # type: ignore[call-overload]
    return _writable(made if device is None else made.to_device(device))


def _writable(x: Any) -> Any:
    """A new array of a function that writes into its arrays, see `functionalize`."""
    return Writable(x) if is_writing.get() and not isinstance(x, Writable) else x


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """Make a tensor of any library's array that speaks DLPack.

    It is always a copy: the memory of the other array may be written to, and that of a tensor never is.

    Raises:
        InputError: if copy=False.
        UsageError: if it is not such an array, or NumPy has no numbers like its.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.from_dlpack(np.arange(3.0))
        tensor([0., 1., 2.])
    """
    if copy is False:
        raise InputError("from_dlpack: a tensor owns its array, and must copy this one: leave out copy=False")
    if not hasattr(x, "__dlpack__"):
        raise UsageError(f"from_dlpack takes an array of a library that speaks DLPack, got {type(x).__name__}")
    try:
        return tensor(np.from_dlpack(x) if device is None else np.from_dlpack(x, device=device))
    except RuntimeError as error:  # of NumPy; what the other library refuses, it says by a BufferError
        kind = f"{type(x).__module__}.{type(x).__qualname__} of {getattr(x, 'dtype', 'its dtype')}"
        raise UsageError(
            f"from_dlpack: NumPy cannot take this {kind} ({error}): convert it first, to float32 on the CPU, say"
        ) from error


FUNCTIONS = (
    {"asarray": asarray, "from_dlpack": from_dlpack}
    | {"array": _as_tensor(array)}
    | {name: _as_tensor(getattr(np, name)) for name in ("arange", "empty", "eye", "full", "linspace", "ones", "zeros")}
)
FREQUENCIES = {"fftfreq": _as_tensor(np.fft.fftfreq), "rfftfreq": _as_tensor(np.fft.rfftfreq)}
