"""The variables of a check: the arrays to differentiate with respect to, how users name them, and their bounds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor, wrap
from tinygrad_lite.errors import InputError, ShapeError, UsageError

Vector = np.ndarray[Any, Any]
EPSILON = float(np.finfo(float).eps)


@dataclass(frozen=True)
class Variable:
    """A real array to differentiate with respect to: its path among the arguments, its value and its type."""

    path: str
    array: Array
    type: type

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.array)

    @property
    def size(self) -> int:
        return int(np.size(self.array))

    def in_its_type(self, array: Array) -> Any:
        """A copy of an array as what somebody passes for the variable: a tensor, an array, or a number."""
        if self.type is Tensor:
            return wrap(array.copy())
        return np.array(array) if self.type is np.ndarray else self.type(array)


def chosen(wrt: Any, names: Sequence[str], paths: Sequence[str]) -> Callable[[str], bool]:
    """Whether `wrt=` chooses the variable at a path: it holds names or positions of arguments, or paths.

    Raises:
        InputError: if one of them is none of the variables, which have these paths.
    """
    if wrt is None:
        return lambda path: True
    places: list[Any] = []
    listed = wrt if isinstance(wrt, (tuple, list, set, frozenset)) else (wrt,)
    if not listed:
        raise InputError(f"wrt= names no variable; there are {', '.join(paths)}")
    for place in listed:
        if isinstance(place, int) and not -len(names) <= place < len(names):
            raise InputError(f"wrt={place} for {len(names)} arguments")
        places.append(names[place] if isinstance(place, int) else place)
        if not any(_is_at(path, places[-1]) for path in paths):
            raise InputError(f"wrt= names {place!r}, which is not a variable; there are {', '.join(paths)}")
    return lambda path: any(_is_at(path, place) for place in places)


def _is_at(path: str, place: Any) -> bool:
    return path == place or path.startswith(f"{place}.")


def limits(bounds: Any, variables: Sequence[Variable]) -> list[tuple[Array, Array]]:
    """The lower and the upper bound of each entry of each variable, infinite where there is none.

    Args:
        bounds: a pair (low, high) for all of them, None where it is open; a dict of pairs by argument or path; or a
            list of pairs, one for each variable or, as in scipy.optimize, for each entry; or SciPy's own `Bounds`.
    """
    size = sum(v.size for v in variables)
    if bounds is None:
        pairs: list[Any] = [None] * len(variables)
    elif hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        pairs = [(bounds.lb, bounds.ub)] * len(variables)
    elif isinstance(bounds, Mapping):
        for place in bounds:
            if not any(_is_at(v.path, place) for v in variables):
                known = ", ".join(v.path for v in variables)
                raise InputError(f"bounds= names {place!r}, which is not a variable; there are {known}")
        pairs = [next((bounds[place] for place in bounds if _is_at(v.path, place)), None) for v in variables]
    elif len(bounds) == 2 and not any(isinstance(end, (tuple, list)) for end in bounds):
        pairs = [bounds] * len(variables)
    elif len(bounds) == len(variables):
        pairs = list(bounds)
    elif len(bounds) == size:
        ends = np.array([_ends(pair, ()) for pair in bounds])
        parts = np.split(ends, np.cumsum([v.size for v in variables])[:-1])
        pairs = [(part[:, 0].reshape(v.shape), part[:, 1].reshape(v.shape)) for v, part in zip(variables, parts)]
    else:
        raise UsageError(
            f"bounds= gave {len(bounds)} pairs for {len(variables)} variables with {size} entries: give one pair "
            "(low, high), or one for each"
        )
    return [_ends(pair, v.shape) for v, pair in zip(variables, pairs)]


def _ends(pair: Any, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """A pair of bounds in the shape of a variable."""
    try:
        low, high = (None, None) if pair is None else pair
        open_ends = (-np.inf if low is None else low, np.inf if high is None else high)
        lower, upper = (np.broadcast_to(np.asarray(end, float), shape) for end in open_ends)
    except (TypeError, ValueError):
        raise ShapeError(
            f"bounds= must be pairs (low, high) that fit an array of shape {shape}, got {pair!r}"
        ) from None
    if np.any(lower > upper):
        raise InputError(f"bounds= must be pairs (low, high), got {pair!r}")
    return lower, upper
