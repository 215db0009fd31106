"""A program relies on which tensors are the same object: every pattern of identity, after every other."""

import copy
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn, optim


def values(i: int) -> Any:
    return tg.tensor(np.array([1.0, 2.0]) + 3 * i, requires_grad=True)


class World:
    """Two tensors, one of which is also known from outside, and a function of two arguments that may be either."""

    def __init__(self, compiled: bool, kind: str, backend: str) -> None:
        self.inside, self.outside = values(0), values(1)
        module, outside, holder = nn.Linear(2, 1, rng=0), self.outside, [self.outside]
        module.weight = self.outside
        optimizer = optim.SGD([self.outside], lr=0.1)
        known: dict[str, Callable[[], Any]] = {
            "a closure's": lambda: outside,
            "a list's": lambda: holder[0],
            "a module's": lambda: module.weight,
            "an optimiser's": lambda: optimizer.parameters[0],
        }
        know = known[kind]

        def run(a: Any, b: Any) -> Any:
            for x in (a, b, know()):
                x.grad = None
            loss = np.sum(np.sin(a) * np.cos(2 * b) * np.sin(3 * know()))
            loss.backward()
            with tg.no_grad():
                know().data = know() - 0.1 * know().grad
                a.data = a - 0.1 * a.grad
            return loss, a.grad, b.grad

        self.run = tg.compile(run, backend) if compiled else run

    def turn(self, pattern: tuple[bool, bool]) -> list[Any]:
        a, b = (self.outside if is_outside else self.inside for is_outside in pattern)
        found = [x.numpy().copy() for x in self.run(a, b)]
        return [*found, self.inside.numpy().copy(), self.outside.numpy().copy()]


@pytest.mark.long
@pytest.mark.parametrize("kind", ["a closure's", "a list's", "a module's", "an optimiser's"])
@pytest.mark.parametrize("backend", ["numpy", pytest.param("native", marks=pytest.mark.slow)])
def test_arguments_that_are_each_other_or_known_from_outside(backend: str, kind: str) -> None:
    patterns = list(product((False, True), repeat=2))
    for first in patterns:
        eager, compiled = World(False, kind, backend), World(True, kind, backend)
        for pattern in (first, first, *patterns, *reversed(patterns), first):
            for found, expected in zip(compiled.turn(pattern), eager.turn(pattern), strict=True):
                np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_same_tensor_twice_and_then_two(backend: str) -> None:
    g = tg.compile(lambda p, t: np.mean((p * 2 - t) ** 2), backend)
    a, b = tg.tensor([1.0, 2.0]), tg.tensor([5.0, 7.0])
    for first, second in [(a, a), (b, a), (b, a), (a, a), (b, b), (a, b), (a, b)]:
        expected = np.mean((first.numpy() * 2 - second.numpy()) ** 2)
        assert g(first, second).item() == expected


def test_patterns_among_many_arguments_and_in_containers(backend: str) -> None:
    def f(x: Any) -> Any:
        for t in x:
            t.grad = None
        np.sum(sum(t * (i + 1.0) for i, t in enumerate(x)) ** 2).backward()
        return [t.grad for t in x]

    compiled = tg.compile(f, backend)
    tensors = [values(i) for i in range(6)]
    for order in [(0, 1, 2, 3, 4, 5), (0, 1, 2, 3, 4, 5), (0, 0, 2, 3, 2, 5), (1, 1, 4, 0, 4, 2), (5, 4, 3, 2, 1, 0)]:
        chosen = [tensors[i] for i in order]
        expected = [g.numpy() for g in f(chosen)]
        for found, right in zip(compiled(chosen), expected, strict=True):
            np.testing.assert_allclose(found.numpy(), right, rtol=1e-12)


def test_a_gradient_as_an_argument(backend: str) -> None:
    w = values(0)

    def f(x: Any) -> Any:
        np.sum(w * x).backward()
        return w.grad + x

    compiled = tg.compile(f, backend)
    for is_gradient in (True, False, False, True, True, False):
        results = []
        for function in (f, compiled):
            w.grad = np.array([3.0, 4.0])
            results.append(function(w.grad if is_gradient else values(1)).numpy())
        np.testing.assert_allclose(results[1], results[0], rtol=1e-12)


def test_arrays_that_share_memory(backend: str) -> None:
    """Nothing writes to an argument, so views of one array are arguments like any others."""
    w = values(0)
    optimizer = optim.SGD([w], lr=0.5)

    def f(a: Any, b: Any) -> Any:
        optimizer.zero_grad()
        loss = np.sum(w * a * b)
        loss.backward()
        optimizer.step()
        return loss, a + b, b * w

    compiled = tg.compile(f, backend)
    memory = np.arange(1.0, 7.0)
    for a, b in [(memory[:2], memory[2:4]), (memory[:2], memory[1:3]), (memory[:4:2], memory[:2]), (memory[:2],) * 2]:
        results = []
        for function in (f, compiled):
            w.data = [1.0, 2.0]
            results.append([np.asarray(x.numpy() if isinstance(x, tg.Tensor) else x) for x in function(a, b)])
        for found, expected in zip(results[1], results[0], strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_array_equal(memory, np.arange(1.0, 7.0))
    w.data = [1.0, 2.0]
    before = w.numpy()
    result = compiled(w.data, before)[1]
    np.testing.assert_array_equal(result, [2.0, 4.0])
    np.testing.assert_array_equal(before, [1.0, 2.0])


def test_an_updated_argument_keeps_its_array_when_another_takes_its_place(backend: str) -> None:
    def f(p: Any) -> Any:
        p.data = p * 2

    compiled = tg.compile(f, backend)
    tensors = [values(i) for i in range(3)]
    for t in (*tensors, *tensors):
        compiled(t)
    for i, t in enumerate(tensors):
        np.testing.assert_array_equal(t.numpy(), (np.array([1.0, 2.0]) + 3 * i) * 4)
    for i in range(4):  # and if the one before is gone
        t = values(i)
        compiled(t)
        np.testing.assert_array_equal(t.numpy(), (np.array([1.0, 2.0]) + 3 * i) * 2)


COPIES: dict[str, Any] = {
    "a copy of an argument": lambda x, w: copy.copy(x) * 2.0,
    "a deep copy of an argument": lambda x, w: copy.deepcopy(x) * 2.0,
    "deep copies in containers": lambda x, w: sum(copy.deepcopy([x, {"a": (x, w.detach())}])[1]["a"]),
    "a deep copy of a weight": lambda x, w: np.sum(copy.deepcopy(w) * x),
    "a deep copy of a gradient": lambda x, w: copy.deepcopy((np.sum(w * x).backward(), w.grad)[1]) * 2.0,
    "the gradient of a deep copy": lambda x, w: _gradient_of_a_copy(x, w),
}


def _gradient_of_a_copy(x: Any, w: Any) -> Any:
    other = copy.deepcopy(w)
    np.sum(other * x).backward()
    return other.grad


@pytest.mark.long
@pytest.mark.parametrize("name", COPIES)
def test_values_are_copied_as_in_python(name: str, backend: str) -> None:
    w = tg.tensor([1.0, -2.0, 3.0], requires_grad=True)

    def f(x: Any) -> Any:
        w.grad = None
        return COPIES[name](x, w)

    compiled = tg.compile(f, backend)
    for x in (np.array([0.5, 1.0, 2.0]), np.array([1.0, 0.0, -1.0]), tg.tensor([3.0, 2.0, 1.0])):
        found, expected = compiled(x), f(x)
        np.testing.assert_allclose(found.tolist(), expected.tolist(), rtol=1e-12)
