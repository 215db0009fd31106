"""What Python's functions of plain numbers do with a recorded one, while a function is recorded: what NumPy's do.

Python's `min`, `float`, `math.cos` and the like ask an object for a number, which a recorded value has not.
"""

import math
from collections.abc import Callable, Sequence
from functools import reduce, wraps
from typing import Any

import numpy as np

from tinygrad_lite.array_api.numpys_names import OF_MATH
from tinygrad_lite.compiler.program import is_python_number
from tinygrad_lite.compiler.recording.recorded import Recorded, require_finite, shown, whole
from tinygrad_lite.compiler.recording.watching import plain
from tinygrad_lite.engine import grad_mode
from tinygrad_lite.engine.tensor import Tensor


def is_recorded(x: Any) -> bool:
    return type(x) is Recorded or (type(x) is Tensor and type(plain(x, "_array")) is Recorded)


def _are_taken(args: Sequence[Any]) -> bool:
    """Whether values are among these that are recorded, and none of which a transform would lose the history."""
    is_inside = grad_mode.transforming.get()
    return any(map(is_recorded, args)) and not any(is_inside and type(x) is Tensor and x.requires_grad for x in args)


def _number(x: Any) -> Any:
    """What is recorded as a number of Python's; refuses several entries, as Python does."""
    if not is_recorded(x):
        return x
    number = x.item()
    return number * 1 if number.dtype.kind == "b" else number  # NumPy's functions of booleans make float16


def _of_numbers(of_python: Callable[..., Any], of_numpy: Callable[..., Any]) -> Callable[..., Any]:
    """A function of Python's that leaves recorded numbers to one of NumPy's."""
    may_fail = of_python.__name__ in _FAILING

    @wraps(of_python)
    def function(*args: Any) -> Any:
        if not _are_taken(args):
            return of_python(*args)
        numbers = [*map(_number, args)]
        result = of_numpy(*numbers).item()
        if may_fail:
            require_finite(result, of_python, numbers)
        return shown(result)

    return function


def _extreme(of_python: Callable[..., Any], is_further: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """`min` or `max`, which prefers the first of equal numbers, and a NaN in front."""

    def further(a: Any, b: Any) -> Any:
        prefers = is_further(b, a)
        kinds = [type(_value(x)) for x in (a, b)]
        if type(prefers) is Recorded and set(kinds) == {int, float}:
            recorder, variable = prefers.recorder, prefers.variable
            # a call in which the other kind of number is chosen has another program; a second recording makes up values
            answer = recorder.requires(variable)
            is_second = bool(prefers.value) if answer is None else answer
            if kinds[is_second] is int and recorder.truth(variable) is not None:
                return b if is_second else a
        chosen = np.where(prefers, b, a)
        return chosen.item() if all(is_python_number(x) or _is_a_number(x) for x in (a, b)) else chosen[()]

    @wraps(of_python)
    def function(*args: Any, **options: Any) -> Any:
        values = [*args[0]] if len(args) == 1 and (is_recorded(args[0]) or isinstance(args[0], (list, tuple))) else args
        if options or len(values) < 2 or not any(map(is_recorded, values)) or any(map(np.ndim, values)):
            return of_python(*args, **options)
        return reduce(further, values)

    return function


def _value(x: Any) -> Any:
    return x.value if type(x) is Recorded else x


def _is_a_number(x: Any) -> bool:
    return type(x) is Recorded and x.variable.is_number


def _as_int(number: Any) -> Any:
    return whole(np.trunc(number)).item() if number.dtype.kind == "f" else number * 1


def _as_float(number: Any) -> Any:
    return number if number.dtype.kind == "f" else number * 1.0


class _KindOfNumber(type):
    """The class of what stands for `float` and `int`, which makes them what these are, but for a recorded number."""

    def __new__(cls, name: str, bases: tuple[type, ...], fields: dict[str, Any], **options: Any) -> Any:
        """A class; a user's, made of one of these, is made of what that stands for."""
        if not any(type(base) is _KindOfNumber for base in bases):
            return super().__new__(cls, name, bases, fields, **options)
        real = [base.__base__ if type(base) is _KindOfNumber else base for base in bases]
        return type(name, tuple(real), fields, **options)  # type: ignore[arg-type]

    def __call__(cls, *args: Any, **options: Any) -> Any:
        if len(args) != 1 or options or not _are_taken(args) or args[0].dtype.kind == "c":
            return cls.__base__(*args, **options)  # type: ignore[misc]
        return (_as_int if cls.__base__ is int else _as_float)(args[0].item())

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x.value if type(x) is Recorded else x, cls.__base__)  # type: ignore[arg-type]

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, cls.__base__)  # type: ignore[arg-type]

    def __eq__(cls, other: object) -> bool:
        return other is cls or other is cls.__base__ or NotImplemented  # a dtype of NumPy's may know that it is equal

    def __hash__(cls) -> int:
        return hash(cls.__base__)


KINDS: dict[type, type] = {
    kind: _KindOfNumber(kind.__name__, (kind,), {"dtype": np.dtype(kind)})  # of which NumPy makes the same dtype
    for kind in (float, int)
}
PYTHONS: dict[str, Any] = {
    **{kind.__name__: known for kind, known in KINDS.items()},
    "min": _extreme(min, lambda a, b: a < b),
    "max": _extreme(max, lambda a, b: a > b),
}
"""What Python's names stand for in the modules of the user's, while a function is recorded."""


def _whole(of_numpy: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: whole(of_numpy(x))


_FAILING = {
    *("exp", "exp2", "expm1", "sinh", "cosh", "pow", "sqrt", "log", "log1p", "log2", "log10", "asin", "acos", "acosh"),
    *("atanh", "fmod"),
}
"""The functions of `math` that raise an error for some finite numbers."""
_OF_MATH = OF_MATH | {
    "log": np.log,
    "floor": _whole(np.floor),
    "ceil": _whole(np.ceil),
    "trunc": _whole(np.trunc),
}


MATHS = {getattr(math, name): _of_numbers(getattr(math, name), of_numpy) for name, of_numpy in _OF_MATH.items()}
"""For functions of `math`, what does the same, and takes recorded numbers."""

_log = MATHS[math.log]


@wraps(math.log)
def _logarithm(x: Any, *base: Any) -> Any:
    return _log(x) / _log(*base) if base else _log(x)


MATHS[math.log] = _logarithm
