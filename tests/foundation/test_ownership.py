"""Which arrays may be written into: any other way to reach their memory is seen."""

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.foundation.ownership import is_held_alone

SIDE = 130
"""The side of a square with so many entries that a gradient is written in place."""


def _viewed(x: Any, hold: Callable[[Any], None]) -> Any:
    hold(x)
    return x[:, :]


def _with(x: Any, held: Any, hold: Callable[[Any], None]) -> Any:
    hold(held)
    return x


def _read_only(x: Any) -> Any:
    x.flags.writeable = False
    return x


DERIVATIVES: dict[str, tuple[bool, Callable[[Any, Callable[[Any], None]], Any]]] = {
    "new": (True, lambda x, hold: x),
    "transposed": (True, lambda x, hold: x.T.copy().T),
    "part of a new one": (True, lambda x, hold: np.concatenate([x, x])[: len(x)]),
    "held": (False, lambda x, hold: _with(x, x, hold)),
    "held view": (False, lambda x, hold: _with(x, x[0], hold)),
    "view of a held one": (False, _viewed),
    "weakly held": (False, lambda x, hold: _with(x, weakref.ref(x), hold)),
    "view of a weakly held one": (False, lambda x, hold: _viewed(x, lambda y: hold(weakref.ref(y)))),
    "memoryview held": (False, lambda x, hold: _with(x, memoryview(x), hold)),
    "of a buffer": (False, lambda x, hold: np.frombuffer(bytearray(x.tobytes())).reshape(x.shape)),
    "read-only": (False, lambda x, hold: _read_only(x)),
    "subclass": (False, lambda x, hold: x.view(np.recarray)),
    "broadcast": (False, lambda x, hold: np.broadcast_arrays(x[:1].copy(), x)[0]),
    "repeated": (False, lambda x, hold: np.ndarray(x.shape, x.dtype, np.array(x[0, 0]), strides=(0, 0))),
}


@pytest.fixture
def hold() -> Callable[[Any], None]:
    held: list[Any] = []
    return held.append


@pytest.mark.parametrize("kind", DERIVATIVES)
def test_an_array_that_can_be_reached_otherwise_is_not_held_alone(kind: str, hold: Callable[[Any], None]) -> None:
    is_alone, make = DERIVATIVES[kind]
    arrays = [np.zeros(3), make(np.ones((3, 3)), hold)]
    assert is_held_alone(arrays, 1) == is_alone


@pytest.mark.parametrize("kind", DERIVATIVES)
def test_the_gradient_with_such_a_derivative_is_right(kind: str, hold: Callable[[Any], None]) -> None:
    _, make = DERIVATIVES[kind]
    a, g = np.random.default_rng(0).normal(size=(2, SIDE, SIDE))
    x = tg.tensor(a, requires_grad=True)
    op = tg.elementwise(np.copy, lambda y, x: make(x.copy(), hold), name="chosen_derivative")
    (op(x) + op(x)).backward(g)
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), 2 * g * make(a.copy(), hold), rtol=1e-15)


def test_a_derivative_that_comes_again_as_long_as_it_lives_stays_the_same() -> None:
    alive: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()

    def derivative(y: Any, x: Any) -> Any:
        known = alive.get("cos")
        if known is None:
            known = alive["cos"] = np.cos(x)
        return known

    a, g = np.random.default_rng(0).normal(size=(2, SIDE, SIDE))
    op = tg.elementwise(np.sin, derivative, name="sin_with_memory")
    gradients = [tg.vjp(op, a)[1](g)[0] for _ in range(2)]
    np.testing.assert_allclose(gradients, [g * np.cos(a)] * 2, rtol=1e-15)
