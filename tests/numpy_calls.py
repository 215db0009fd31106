"""One call of a NumPy function on tensors, held against NumPy itself and against differences.

The value must be NumPy's, bit for bit, dtype and containers included; the gradients, first and second, must be those
that finite differences of NumPy's own values give; and forward mode must agree with reverse mode.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_lite as tg
from tests.derivatives import assert_gradients


def check(f: Callable[..., Any], *arrays: Any, second_order: bool = True, tolerance: float = 1e-7) -> None:
    """Hold f(*arrays), a call of NumPy's own functions, to all that is promised of it on tensors."""
    check_value(f, *arrays)
    arrays = tuple(np.asarray(x) for x in arrays)
    places = tuple(i for i, x in enumerate(arrays) if x.dtype.kind == "f")
    scalar = weighted(f)
    found = tg.grad(scalar, places)(*arrays)
    assert_gradients(found, scalar, arrays, places, tolerance)
    directions = [np.sin(np.arange(arrays[i].size) + 1.0).reshape(arrays[i].shape) for i in places]
    _, slope = tg.jvp(lambda *x: scalar(*_with(arrays, places, x)), [arrays[i] for i in places], directions)
    close([slope], [sum(np.sum(g * t) for g, t in zip(found, directions))], 1e-10)
    if second_order:
        of_gradient = weighted(tg.grad(scalar, places))
        found = tg.grad(of_gradient, places)(*arrays)
        assert_gradients(found, of_gradient, arrays, places, 10 * tolerance)


def _with(arrays: Any, places: Any, replacements: Any) -> list[Any]:
    return [replacements[places.index(i)] if i in places else x for i, x in enumerate(arrays)]


def check_value(f: Callable[..., Any], *arrays: Any) -> None:
    """Hold the value of f on tensors, with and without a gradient, to NumPy's own."""
    expected = f(*arrays)
    for needed in (False, True):
        inputs = [tg.tensor(x, requires_grad=needed and np.asarray(x).dtype.kind == "f") for x in arrays]
        found = f(*inputs)
        assert isinstance(found, (tuple, list)) == isinstance(expected, (tuple, list))
        for a, b in zip(parts(found), parts(expected), strict=True):
            a = a.detach().numpy() if isinstance(a, tg.Tensor) else a
            np.testing.assert_array_equal(a, b)
            assert np.shape(a) == np.shape(b)
            assert np.asarray(a).dtype == np.asarray(b).dtype


def weighted(f: Callable[..., Any]) -> Callable[..., Any]:
    """The sum of all real entries that f returns, each with a weight of its own."""

    def scalar(*arrays: Any) -> Any:
        total: Any = 0.0
        for k, part in enumerate(parts(f(*arrays))):
            if getattr(part, "dtype", None) is not None and part.dtype.kind == "f":
                weight = np.cos(np.arange(part.size) + k).reshape(part.shape)
                total = total + np.sum(weight * part)
        return total

    return scalar


def parts(value: Any) -> list[Any]:
    """The arrays of a result that may be one array or a sequence of them."""
    return list(value) if isinstance(value, (tuple, list)) else [value]


def close(found: Any, expected: Any, tolerance: float) -> None:
    for a, b in zip(found, expected, strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * (1 + np.max(np.abs(b), initial=0)))
