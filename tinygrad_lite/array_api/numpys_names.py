"""Functions that stand in for those of NumPy and `math` which NumPy does not hand over to tensors.

`np.zeros(3)` is a plain array, which cannot hold a tensor; `np.array([x, y])` and `math.sin(x)` ask for plain numbers.
These take tensors, and make arrays that can hold them. Other threads, and our own operations, get NumPy's from them.
"""

import math
import operator
import sys
from collections.abc import Callable
from functools import reduce, wraps
from types import FrameType
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.array_api.memory import in_memory, laid_out, lying_as
from tinygrad_lite.array_api.writing import Writable, is_writing, plain
from tinygrad_lite.engine.op import Traced
from tinygrad_lite.foundation.callers import call_at, is_calling, is_library, value_of
from tinygrad_lite.ops.shapes.joining import array

Function = Callable[..., Any]

AS_THEY_ARE = {"tinygrad_lite", "numba"}
"""The packages whose code gets NumPy's own arrays."""
FUNCTIONALIZING = "tinygrad_lite.array_api.functionalizing"
"""The module that calls the function."""


def _is_for_tensors(caller: FrameType | None) -> bool:
    """Whether a frame belongs to a function under `functionalize`, or to a library that this one calls.

    A module that is being imported meanwhile gets NumPy's own arrays.
    """
    if not is_writing.get():
        return False
    is_librarys = True  # all that was called from here on
    while caller is not None and (module := caller.f_globals.get("__name__", "")) != FUNCTIONALIZING:
        if caller.f_code.co_name == "<module>":
            return False
        if is_librarys and not is_library(module):
            is_librarys = False
            if module.partition(".")[0] in AS_THEY_ARE:
                return False
        caller = caller.f_back
    return True


def _is_called_by(caller: FrameType, function: Function) -> bool:
    """Whether a frame's own code calls a function, or a builtin such as `map` does for it.

    Code in C that the frame calls may take what it gets for NumPy's array without looking.
    """
    call = call_at(caller)
    if call is None:  # if it calls something, its source is unknown
        return not is_calling(caller)
    called, name = value_of(call.func, caller), getattr(call.func, "attr", getattr(call.func, "id", None))
    if called is None:
        return name == getattr(function, "__name__", None)
    return called is function or getattr(called, "__module__", None) in ("builtins", "functools", "itertools")


def _is_traced(values: Any) -> bool:
    """Whether a value is traced, or an entry of a list or an array of objects."""
    if isinstance(values, np.ndarray):
        return values.dtype == object and any(isinstance(x, Traced) for x in values.flat)
    return any(isinstance(x, Traced) for x in trees.leaves(values))


def _held(values: Any) -> Writable:
    """An array that holds these values."""
    if isinstance(values, np.ndarray):
        values = values.tolist()
    made = array(values) if isinstance(values, (list, tuple)) else values
    return made if isinstance(made, Writable) else Writable(made)


def _entries(a: Writable) -> Any:
    """An array of objects, the entries."""
    entries = np.empty(a.shape, object)
    for index in np.ndindex(a.shape):
        entries[index] = a[index]
    return entries


def _made(array: Any, function: Function, caller: FrameType) -> Any:
    """A new array of NumPy's, as one that can hold tensors if a frame calls the function that stands in."""
    is_plain = type(array) is np.ndarray and array.dtype.kind in "fc"
    return Writable(array) if is_plain and _is_for_tensors(caller) and _is_called_by(caller, function) else array


def _making(of_numpy: Function) -> Function:
    """A function of NumPy's that makes a new array."""

    @wraps(of_numpy)
    def function(*args: Any, **params: Any) -> Any:
        return _made(of_numpy(*args, **params), function, sys._getframe(1))

    return function


def _converting(of_numpy: Function) -> Function:
    """A function of NumPy's that makes an array of its first argument, or gives it back."""

    @wraps(of_numpy)
    def function(*args: Any, **params: Any) -> Any:
        caller = sys._getframe(1)
        a = args[0] if args else None
        if not _is_traced(a):
            array = of_numpy(*args, **params)
            is_new = not isinstance(a, np.ndarray) or (type(a) is np.ndarray and not np.may_share_memory(array, a))
            return _made(array, function, caller) if is_new else array
        given = _held(a)
        is_constant = given.dtype.kind not in "fc" and not given.requires_grad  # as NumPy's own, which all code takes
        if is_constant or not (_is_for_tensors(caller) and _is_called_by(caller, function)):
            return of_numpy(*args, **params)
        numpys = of_numpy(entries := plain(given), *args[1:], **params)
        if numpys.dtype == object:
            return _entries(given)
        if given is a and np.may_share_memory(numpys, entries):
            return a if numpys.ndim == a.ndim else np.reshape(a, numpys.shape)
        value = given.value if numpys.dtype == given.dtype else given.value.astype(numpys.dtype)
        return Writable(laid_out(value if value.shape == numpys.shape else np.reshape(value, numpys.shape), numpys))

    return function


_FULL, _FULL_LIKE, _FROMITER, _ISSCALAR = np.full, np.full_like, np.fromiter, np.isscalar
_AS_STRIDED = np.lib.stride_tricks.as_strided


def _full(shape: Any, fill_value: Any, dtype: Any = None, **params: Any) -> Any:
    if not _is_traced(fill_value):
        return _FULL(shape, fill_value, dtype, **params)
    value = _held(fill_value)
    return np.broadcast_to(value if dtype is None else value.astype(dtype), shape).copy()


def _full_like(
    a: Any, fill_value: Any, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None
) -> Any:
    if not _is_traced(fill_value):
        return _FULL_LIKE(a, fill_value, dtype, order, subok, shape)
    return _full(np.shape(a) if shape is None else shape, fill_value, a.dtype if dtype is None else dtype)


def _fromiter(iter: Any, dtype: Any, count: int = -1, **params: Any) -> Any:
    values = [*iter]
    return (
        _held(values[: None if count < 0 else count]).astype(dtype)
        if _is_traced(values)
        else _FROMITER(values, dtype, count, **params)
    )


def _isscalar(element: Any) -> bool:
    return element.is_number if isinstance(element, Writable) else _ISSCALAR(element)


def _as_strided(x: Any, shape: Any = None, strides: Any = None, subok: bool = False, writeable: bool = True) -> Any:
    if not isinstance(x, Writable):
        return _AS_STRIDED(x, shape, strides, subok, writeable)
    array, views = x.origin()
    entries = plain(array)
    dtype = f"i{entries.itemsize}" if entries.itemsize <= 8 else entries.dtype  # as large as the entries
    places = lying_as(entries, np.arange(entries.size, dtype=dtype).reshape(entries.shape))
    for view in views:
        places = view(places)
    places = _AS_STRIDED(places, shape, strides).real.astype(int)
    return array.shown(lambda values: np.reshape(values, -1)[places])


def _number(x: Any) -> Any:
    """A plain number; None for one that is not known yet, as in a function that is compiled."""
    if not isinstance(x, Traced):
        return x
    entry = in_memory(x.value if isinstance(x, Writable) else x)
    return None if entry is None else entry.item()


def _of_numbers(of_python: Function, of_numpy: Function) -> Function:
    """A function of Python's numbers, and of tensors with one entry."""

    @wraps(of_python)
    def function(*args: Any) -> Any:
        if not is_writing.get() or not _is_traced(args):
            return of_python(*args)
        numbers = trees.map_leaves(_number, args)
        if all(x is not None for x in trees.leaves(numbers)):
            of_python(*numbers)  # which may raise an error
        entries: Any = trees.map_leaves(lambda x: x.reshape(()) if isinstance(x, Traced) else x, args)  # type: ignore[attr-defined]
        return of_numpy(*entries)

    return function


def _of_lists(of_python: Function, of_numpy: Function) -> Function:
    """A function of Python's lists of numbers, and of those with tensors."""

    @wraps(of_python)
    def function(*args: Any, **params: Any) -> Any:
        return (of_numpy if is_writing.get() and _is_traced(args) else of_python)(*args, **params)

    return function


_SAME = (
    *("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "exp2", "expm1", "log1p", "log2", "log10", "sqrt", "cbrt"),
    *("fabs", "copysign", "degrees", "radians", "isnan", "isinf", "isfinite"),
)
OF_MATH: dict[str, Function] = {
    **{name: getattr(np, name) for name in _SAME},
    **{f"a{name}": getattr(np, f"arc{name}") for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "tan2")},
    "pow": np.float_power,
    "fmod": lambda a, b: np.fmod(a * 1.0, b),  # NumPy's own keeps whole numbers whole
    "hypot": lambda *numbers: reduce(np.hypot, numbers, 0.0),
    "floor": lambda x: int(np.floor(x)),
    "ceil": lambda x: int(np.ceil(x)),
    "trunc": lambda x: int(np.trunc(x)),
    "log": lambda x, *base: np.log(x) / np.log(*base) if base else np.log(x),
}
"""For functions of `math`, what computes the same with NumPy."""
OF_LISTS: dict[str, Function] = {
    "dist": lambda a, b: np.linalg.norm(np.subtract(array(a), array(b))),
    "fsum": sum,
    "prod": lambda numbers, start=1: reduce(operator.mul, numbers, start),
}
STAND_INS: dict[Any, Function] = {
    **{getattr(np, f"{name}_like"): _making(getattr(np, f"{name}_like")) for name in ("zeros", "ones", "empty")},
    **{getattr(np, name): _making(getattr(np, name)) for name in ("zeros", "ones", "empty", "eye", "identity")},
    **{getattr(np, name): _making(getattr(np, name)) for name in ("arange", "linspace", "copy", "diag")},
    **{getattr(np, name): _converting(getattr(np, name)) for name in ("array", "asarray", "asanyarray")},
    **{getattr(np, name): _converting(getattr(np, name)) for name in ("ascontiguousarray", "asfortranarray")},
    np.full: _making(wraps(np.full)(_full)),
    np.full_like: _making(wraps(np.full_like)(_full_like)),
    np.fromiter: _making(wraps(np.fromiter)(_fromiter)),
    np.isscalar: wraps(np.isscalar)(_isscalar),
    np.lib.stride_tricks.as_strided: wraps(np.lib.stride_tricks.as_strided)(_as_strided),
    **{getattr(math, name): _of_numbers(getattr(math, name), f) for name, f in OF_MATH.items()},
    **{getattr(math, name): _of_lists(getattr(math, name), f) for name, f in OF_LISTS.items()},
}
"""What stands in for a function of NumPy's or of `math`."""
