"""What the tests of shapes and of casting share: calls that are linear in their arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.numpy_calls import check, check_value

A = np.array([[0.3, -1.2, 2.0], [1.5, 0.4, -0.7]])
B = np.array([0.5, -2.0, 1.1])
C = np.cos(np.arange(8.0)).reshape(2, 2, 2)
SCALAR = np.array(1.5)
EMPTY = np.empty((0, 3))

Calls = dict[str, list[tuple[Any, ...]]]


def rows(calls: Calls) -> list[Any]:
    """The calls of a table, each a function and its arrays, as parameters of a test."""
    return [
        pytest.param(f, arrays, id=f"{name}-{i}")
        for name, tries in calls.items()
        for i, (f, *arrays) in enumerate(tries)
    ]


def check_linear(f: Callable[..., Any], *arrays: Any) -> None:
    """Hold a call to NumPy's own for every kind of number, and its gradients to differences.

    Of a linear function the second derivatives would all be zero, so it is differentiated at the squares of the arrays.
    """
    for dtype in (np.float64, np.float32, np.int64, np.bool_):
        check_value(f, *[x.astype(dtype) for x in arrays])
    check(lambda *xs: f(*[x * x for x in xs]), *arrays)
