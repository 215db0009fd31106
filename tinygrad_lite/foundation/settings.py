"""Numbers that a person passes as settings, each held to the range in which it means something."""

from collections.abc import Callable, Collection, Mapping
from functools import lru_cache, wraps
from itertools import chain
from types import NoneType
from typing import Any, TypeVar

import numpy as np

from tinygrad_lite.errors import InputError, TinygradError, UsageError

T = TypeVar("T")
_PLAIN = {bool, int, float, str, NoneType}


def positive(name: str, value: Any) -> float:
    """The value, if it is a positive number."""
    if not finite(name, value) > 0:
        raise InputError(f"{name} must be positive, got {value!r}")
    return float(value)


def not_negative(name: str, value: Any) -> float:
    """The value, if it is zero or a positive number."""
    if not finite(name, value) >= 0:
        raise InputError(f"{name} must not be negative, got {value!r}")
    return float(value)


def finite(name: str, value: Any) -> float:
    """The value, if it is a number that is neither infinite nor NaN."""
    if not np.isfinite(number(name, value)):
        raise InputError(f"{name} must be a finite number, got {value!r}")
    return float(value)


def whole(name: str, value: Any, least: int = 1) -> int:
    """The value, if it is a whole number of at least this."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)


def share(name: str, value: Any) -> float:
    """The value, if it lies in [0, 1]."""
    if not 0 <= number(name, value) <= 1:
        raise InputError(f"{name} must lie between 0 and 1, got {value!r}")
    return float(value)


def fraction(name: str, value: Any) -> float:
    """The value, if it lies in [0, 1)."""
    if not 0 <= number(name, value) < 1:
        raise InputError(f"{name} must lie in [0, 1), got {value!r}")
    return float(value)


def fractions(name: str, values: Any) -> tuple[float, ...]:
    """The values, if they are two numbers that lie in [0, 1)."""
    first, second = two(name, values, "(0.9, 0.999)")
    return fraction(f"{name}[0]", first), fraction(f"{name}[1]", second)


def two(name: str, values: Any, example: str) -> tuple[Any, Any]:
    """The two values of a pair."""
    if not isinstance(values, (tuple, list)) or len(values) != 2:
        raise InputError(f"{name} must be two numbers, such as {example}; got {values!r}")
    return values[0], values[1]


def number(name: str, value: Any) -> float:
    """The value, if it is a number."""
    try:
        if not isinstance(value, str) and not getattr(value, "ndim", 0):
            return float(value)
    except TinygradError:  # of a tensor that has no value while a function is recorded: it says what to do
        raise
    except (TypeError, ValueError):
        pass
    raise UsageError(f"{name} must be a number, got {value!r}")


def check_entries(owner: str, names: Collection[str], state: Any) -> None:
    """Raise `InputError` unless a state is a mapping that has the entries of these names."""
    if not isinstance(state, Mapping):
        entries = f" with the entries {', '.join(names)}" if names else ""
        raise InputError(f"{owner} is a dict{entries}, got {type(state).__name__}")
    if not set(names) <= set(state):
        raise InputError(
            f"{owner} must have the entries {', '.join(names)}, got {', '.join(map(str, state)) or 'none'}"
        )


def check_list(owner: str, state: Any, length: int | None = None) -> None:
    """Raise `InputError` unless a part of a state is a list, of this length if there is one."""
    if not isinstance(state, (list, tuple)) or length not in (None, len(state)):
        count = "" if length is None else f" of {length} entries"
        raise InputError(f"{owner} is a list{count}, got {state!r:.80}")


def check_form(owner: str, state: Any, form: Any) -> None:
    """Raise `InputError` unless a state has the same entries as another, lists of the same length, and numbers."""
    if isinstance(form, Mapping):
        check_entries(owner, form, state)
        for name, inner in form.items():
            check_form(f"{name} in {owner}", state[name], inner)
    elif isinstance(form, (list, tuple)):
        check_list(owner, state, len(form))
        for i, (entry, inner) in enumerate(zip(state, form)):
            check_form(f"entry {i} of {owner}", entry, inner)
    elif isinstance(form, (int, float)) and not isinstance(state, (int, float)) and getattr(state, "shape", None) != ():
        raise InputError(f"{owner} is a number, got {state!r:.80}")


def remembered(function: Callable[..., T]) -> Callable[..., T]:
    """A function of settings that keeps its results, except for settings that somebody may change, such as tensors.

    Equal settings of different types have results of their own, since True and 1.0 are refused where 1 is not.
    """

    @lru_cache
    def of_types(types: tuple[Any, ...]) -> Callable[..., T]:
        parts = chain.from_iterable(part if isinstance(part, tuple) else [part] for part in types)
        return lru_cache(function) if _PLAIN.issuperset(parts) else function

    @wraps(function)
    def call(*settings: Any) -> T:
        return of_types(tuple([tuple(map(type, x)) if type(x) is tuple else type(x) for x in settings]))(*settings)

    return call
