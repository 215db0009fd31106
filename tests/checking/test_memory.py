"""Functions that keep something for their next call: a check leaves no tensor and no complex step there."""

from collections import deque
from collections.abc import Callable
from types import CellType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.checking.subjects.memory import Memory

X = np.array([0.7, -0.4, 1.3])
_start: Any = np.zeros(3)


def solved(x: Any, start: Any) -> Any:
    """The solution of z = cos(z) / 2 + x, from where the last call ended."""
    z = start
    for _ in range(60):
        z = np.cos(z) / 2 + x
    return z


def gradient(x: Any) -> Any:
    return 1 / (1 + np.sin(solved(x, np.zeros(3))) / 2)


def in_a_global(x: Any) -> float:
    global _start
    _start = solved(x, _start)
    return float(np.sum(_start))


def _in_a_closure() -> Callable[..., float]:
    start = np.zeros(3)

    def f(x: Any) -> float:
        nonlocal start
        start = solved(x, start)
        return float(np.sum(start))

    return f


def _in_a_list() -> Callable[..., float]:
    ends = [np.zeros(3)]

    def f(x: Any) -> float:
        ends[0] = solved(x, ends[0])
        return float(np.sum(ends[0]))

    return f


def _in_a_dict() -> Callable[..., float]:
    ends: dict[str, Any] = {}

    def f(x: Any) -> float:
        ends["z"] = solved(x, ends.get("z", np.zeros(3)))
        return float(np.sum(ends["z"]))

    return f


def _in_a_queue() -> Callable[..., float]:
    ends = deque([np.zeros(3)], maxlen=1)

    def f(x: Any) -> float:
        ends.append(solved(x, ends[0]))
        return float(np.sum(ends[0]))

    return f


def _in_an_object_of_a_tuple() -> Callable[..., float]:
    layers = (_Solver(),)
    return lambda x: layers[0].value(x)


class _Solver:
    def __init__(self) -> None:
        self.memory = {"start": np.zeros(3)}

    def value(self, x: Any) -> float:
        self.memory["start"] = solved(x, self.memory["start"])
        return float(np.sum(self.memory["start"]))


def in_an_attribute_of_the_function(x: Any) -> float:
    own = vars(in_an_attribute_of_the_function)
    own["z"] = solved(x, own.get("z", np.zeros(3)))
    return float(np.sum(own["z"]))


_LARGE = {"first": list(range(100_000)), "then": [dict.fromkeys(range(900)) for _ in range(900)]}


def test_little_is_copied_of_what_is_around_a_function() -> None:
    """Each call copied 800,000 entries of these containers, which took a second."""
    memory = Memory(lambda x: (_LARGE, x))
    assert sum(1 if isinstance(place, CellType) else len(place) for place in memory._places) <= 1000


@pytest.mark.long
@pytest.mark.parametrize("wrong", [1.0, 1.1])
@pytest.mark.parametrize(
    "f",
    [
        in_a_global,
        _in_a_closure(),
        _in_a_list(),
        _in_a_dict(),
        _in_a_queue(),
        _Solver().value,
        _in_an_object_of_a_tuple(),
        in_an_attribute_of_the_function,
    ],
    ids=["global", "closure", "list", "dict", "queue", "method", "tuple", "attribute"],
)
def test_iterations_begin_where_their_last_call_ended(f: Callable[..., float], wrong: float) -> None:
    report = tg.gradcheck(f, X, gradient=lambda x: wrong * gradient(x), raise_exception=False)
    assert report.outcome == ("passed" if wrong == 1 else "failed")
    assert np.isfinite(f(X))  # which a tensor would not let it be


def test_what_a_function_counts_stays_counted() -> None:
    kept = SimpleNamespace(last=None, calls=0)

    def f(x: Any) -> Any:
        kept.calls += 1
        kept.last = x
        return np.sum(np.sin(x))

    tg.gradcheck(f, X, gradient=np.cos)
    assert kept.calls > len(X)
    assert type(kept.last) is np.ndarray
    assert [*vars(kept)] == ["last", "calls"]  # in their order
