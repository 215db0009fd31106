"""The bounds of a fit's parameters."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError

Interval = tuple[Array, Array]
"""The lower and the upper bound of each parameter, in one flat array."""


def bounds_of(bounds: Any, unravel: Callable[[Array], Any], size: int, in_pairs: bool) -> Interval:
    """The bounds of each parameter, in the order of `tg.ravel`.

    Args:
        bounds: a dict of pairs (lower, upper); `scipy.optimize.Bounds`; else a pair of arrays, or if they are in pairs,
            a pair for each parameter. None is no bound.

    Raises:
        InputError: if they have another form.
    """
    without = np.full(size, -np.inf), np.full(size, np.inf)
    if bounds is None:
        return without
    try:
        if isinstance(bounds, Mapping):
            return _of_names(bounds, unravel, without)
        if hasattr(bounds, "lb"):
            parts = bounds.lb, bounds.ub
        elif in_pairs:
            lower, upper = zip(*bounds, strict=True)
            if len(lower) != size:
                raise ValueError(f"{len(lower)} pairs for {size} parameters")
            parts = lower, upper
        else:
            parts = bounds
        return _interval(parts, without)
    except (TypeError, ValueError) as error:
        form = "a pair (lower, upper) for each parameter" if in_pairs else "a pair of arrays (lower, upper)"
        raise InputError(
            f"bounds must be {form}, or, for parameters in a dict, a dict of such pairs; got {bounds!r:.200}: {error}"
        ) from error


def check_start(x: Array, interval: Interval, paths: Sequence[str], unravel: Callable[[Array], Any]) -> None:
    """Refuse a start outside of its bounds."""
    outside = (x < interval[0]) | (x > interval[1])
    if np.any(outside):
        index = int(np.argmax(outside))
        numbers = trees.leaves(unravel(np.arange(x.size, dtype=float)))
        path = next(path for path, part in zip(paths, numbers) if index in np.asarray(part))
        lower, upper = (bound[index] for bound in interval)
        name = f"of {path!r}" if path else f"number {index}"
        raise InputError(f"the start {name} is {x[index]:.6g}, outside of its bounds, {lower:.6g} and {upper:.6g}")


def _of_names(bounds: Mapping[str, Any], unravel: Callable[[Array], Any], without: Interval) -> Interval:
    places = unravel(np.arange(without[0].size, dtype=float))
    names = list(places) if isinstance(places, Mapping) else []
    if unknown := [name for name in bounds if name not in names]:
        raise InputError(
            f"bounds has {unknown[0]!r}, which is no parameter; there are {', '.join(names) or 'no names'}"
        )
    lower, upper = (np.array(bound) for bound in without)
    for name, pair in bounds.items():
        its = np.concatenate([np.ravel(part) for part in trees.leaves(places[name])]).astype(int)
        lower[its], upper[its] = _interval(pair, (lower[its], upper[its]))
    return lower, upper


def _interval(pair: Any, without: Interval) -> Interval:
    """A pair of numbers, arrays, or sequences with None among their entries, as arrays."""
    lower, upper = pair
    parts = []
    for bound, none in zip((lower, upper), without):
        values = np.ravel(np.asarray(bound, object))
        values = np.array([none[0] if x is None else x for x in values], float)
        parts.append(np.array(np.broadcast_to(values, none.shape)))
    return parts[0], parts[1]
