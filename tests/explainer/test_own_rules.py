"""Pages of functions with a gradient of their own, and of checkpointed ones."""

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.explainer.test_page import Show


@tg.custom_gradient
def softplus(x: Any) -> Any:
    e = np.exp(x)
    return np.log1p(e), lambda g: g * (1 - 1 / (1 + e))


@tg.custom_gradient
def spike(x: Any) -> Any:
    return np.where(x > 0, 1.0, 0.0), lambda g: g / (1 + np.abs(x)) ** 2


@tg.custom_gradient
def sine_and_cosine(x: Any) -> Any:
    return (np.sin(x), np.cos(x)), lambda g: g[0] * np.cos(x) - g[1] * np.sin(x)


@tg.custom_gradient
def branching(x: Any) -> Any:
    return (2 * x, lambda g: 2 * g) if np.any(x > 0) else (x * 1, lambda g: g)


calls = count(1)


@tg.custom_gradient
def drifting(x: Any) -> Any:
    factor = next(calls)
    return x * factor, lambda g: g * factor


@tg.checkpoint
def block(x: Any) -> Any:
    for _ in range(3):
        x = 1.1 * np.sin(x)
    return x


FOLLOWED: dict[str, Callable[[Any], Any]] = {
    "softplus": lambda x: np.sum(softplus(x) ** 2),
    "spike": lambda x: np.sum(spike(x) * x * np.arange(3.0)),
    "two results": lambda x: np.sum(sine_and_cosine(x)[0] * sine_and_cosine(x)[1] ** 2),
    "checkpoint": lambda x: np.sum(block(x) ** 2),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_own_rules_are_computed_again(show: Show, name: str) -> None:
    def lesson(numbers: Any) -> Any:
        return tg.explain(FOLLOWED[name], tg.tensor(numbers, requires_grad=True, name="x"))

    opened = show(lesson([0.5, -1.0, 2.0]))
    for changed in ([-0.3, 1.5, 0.1], [2.0, -0.5, -0.25]):
        opened.page.evaluate("([i, data]) => lesson.change([[i, { shape: [3], data }]])", [opened.index("x"), changed])
        again = lesson(changed)
        for node in again.graph.nodes:
            np.testing.assert_allclose(opened.data("value", node.name), np.ravel(node.value), rtol=1e-12)
        gradient = again.backward.gradients[again.graph.leaves[0]]
        np.testing.assert_allclose(opened.data("gradient", "x"), gradient, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("f", "reason"), [(branching, "depends on numbers in Python"), (drifting, "another value when it ran again")]
)
def test_a_rule_that_may_be_another_one_is_not_followed(show: Show, f: Any, reason: str) -> None:
    opened = show(tg.explain(lambda x: np.sum(f(x) ** 2), tg.tensor([0.5, -1.0], requires_grad=True)))
    assert reason in opened.panel()


def test_a_rule_by_hand_is_printed() -> None:
    assert "to x: g · (1 - 1 / (1 + exp(x)))" in str(
        tg.explain(lambda x: softplus(x), tg.tensor(1.0, requires_grad=True))
    )


def test_a_lesson_leaves_the_gradient_of_an_own_rule_as_it_was() -> None:
    x = tg.tensor([0.5, -1.0], requires_grad=True)
    loss = np.sum(softplus(x) ** 2)
    tg.explain(loss)._repr_html_()
    loss.backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), 2 * np.log1p(np.exp([0.5, -1])) / (1 + np.exp([-0.5, 1])), rtol=1e-14)
