"""What repeats in a graph: loops, loops in loops, and layers of a kind."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.explainer.graphs import LESSONS
from tinygrad_lite import nn
from tinygrad_lite.explainer.repetition import loops


def recurrent() -> Any:
    w = tg.tensor(np.eye(2), requires_grad=True, name="w")

    def loss() -> Any:
        h, total = np.ones((3, 2)), 0.0
        for x in np.ones((6, 3, 2)):
            h = np.tanh(h @ w + x)
            total = total + np.sum(h)
        return total

    return loss


def nested() -> Any:
    x = tg.tensor(0.5, requires_grad=True, name="x")

    def loss() -> Any:
        y = x
        for _ in range(5):
            for _ in range(12):
                y = np.sin(y)
            y = np.exp(-y)
        return y

    return loss


def layers() -> Any:
    model = nn.Sequential(*(layer for k in range(6) for layer in (nn.Linear(3, 3, rng=k), nn.Tanh())), nn.Linear(3, 1))
    return lambda: np.mean(model(np.ones((2, 3))))


def long_turns() -> Any:
    """Two turns of 23 operations."""
    x = tg.tensor(0.5, requires_grad=True, name="x")
    functions = [np.sin, np.tanh, np.cos, np.sin, np.arctan, np.cos, np.tanh, np.exp, np.tanh, np.arctan, np.cos]

    def loss() -> Any:
        y = x
        for _ in range(2):
            for f in functions:
                y = f(y) + 0.1
            y = np.negative(y)
        return np.square(y)

    return loss


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (recurrent, [(0, 5, 6)]),
        (nested, [(0, 14, 5), *[(14 * k, 1, 12) for k in range(5)]]),
        (layers, [(0, 2, 6)]),
        (long_turns, [(0, 23, 2)]),
    ],
)
def test_loops(make: Callable[[], Any], expected: list[tuple[int, int, int]]) -> None:
    graph = tg.explain(make()).graph
    assert [(loop.start, loop.length, loop.turns) for loop in loops(graph)] == expected


def test_what_is_seen_at_a_glance_is_no_loop() -> None:
    for name in ("scalar", "heart", "attention"):
        assert loops(LESSONS[name]().graph) == []


def test_a_long_chain_is_one_loop() -> None:
    assert [(loop.length, loop.turns) for loop in loops(LESSONS["long"]().graph)] == [(2, 5_000)]


def beside_others() -> Any:
    """A loop with more operations before and after it than fit on a screen, and leaves among them."""
    x = tg.tensor(0.5, requires_grad=True, name="x")
    functions = [np.sin, np.tanh, np.cos, np.arctan, np.exp, np.sinh, np.sin, np.cosh, np.tanh, np.square]

    def through(y: Any) -> Any:
        for k, f in enumerate(functions):
            y = f(y) * np.array([k, 1.5])
        return y

    def loss() -> Any:
        y = through(x)
        for _ in range(6):
            y = np.sin(np.exp(-y))
        return np.sum(through(y))

    return loss


def test_a_loop_is_seen_among_many_operations(show: Any) -> None:
    """What is around it is gathered in runs; the loop itself is in none."""
    opened = show(tg.explain(beside_others()))
    assert "6 × negative, exp, sin" in opened.page.evaluate("document.getElementById('graph').textContent")
    shown = opened.page.evaluate("groups.root.items.map((item) => item.kind ?? 'node')")
    assert shown.count("loop") == 1
    assert len(shown) <= 12


def joined(*sizes: int) -> Any:
    """Operations that each join what is there with so many new leaves."""
    y: Any = np.ones(1)
    for k, size in enumerate(sizes):
        leaves = [tg.tensor([float(i)], requires_grad=True, name=f"x{k}_{i}") for i in range(size)]
        y = np.concatenate([y, *leaves])
    return np.sum(y)


BELOW = """() => [...document.querySelectorAll("#graph .group.closed")].flatMap((group) => {
  const { bottom } = group.querySelector(".box").getBoundingClientRect();
  const texts = [...group.querySelectorAll("text")];
  return texts.filter((text) => text.getBoundingClientRect().bottom > bottom + 1).map((text) => text.textContent);
})"""
"""The texts of closed groups that reach below their boxes."""


RUNS = {
    (60,): ["x1 … x0_8; 10 leaves", "x0_9 … x0_19; 11 leaves", "operations 1–2; 2 operations"],
    (11, 10): ["x1 … x0_6; 8 leaves", "operation 1; 1 operation", "operations 2–3; 2 operations"],
}


def test_a_run_is_named_after_what_it_has(show: Any) -> None:
    """A run of leaves has no operations to number, and a run of one operation no range of them."""
    for sizes, expected in RUNS.items():
        page = show(tg.explain(joined(*sizes))).page
        names = page.evaluate(
            "[...document.querySelectorAll('#graph .toggle')].map((each) => each.getAttribute('aria-label'))"
        )
        assert [name.split("; ")[:2] for name in (*names[:2], names[-1])] == [line.split("; ") for line in expected]
        assert not any(re.match(r"operations ([\d,]+)(–\1)?;", name) for name in names)


def test_letters_that_reach_below_their_line_have_room_in_small_boxes(show: Any) -> None:
    opened = show(tg.explain(joined(60)))
    opened.page.set_viewport_size({"width": 800, "height": 900})
    opened.page.wait_for_function("drawing.unit > 1.9")
    assert opened.page.evaluate(BELOW) == []


def test_a_closed_run_says_what_it_does(show: Any) -> None:
    """Its first line is the range of its operations; the second, how many they are, would say nothing more."""
    opened = show(tg.explain(beside_others()))
    runs = opened.page.evaluate(
        """groups.root.items.filter((item) => item.kind === "run" && !item.open && groups.does(item)).map((run) => {
          const operations = lesson.operations.slice(run.range[0] - 1, run.range[1]);
          const button = document.querySelector(`[data-group="${run.path}"]`);
          const names = operations.map((i) => lesson.nodes[i].op);
          return [names, button.querySelector(".small").textContent, button.ariaLabel];
        })"""
    )
    assert runs
    for names, line, told in runs:
        in_order = ", ".join(name for k, name in enumerate(names) if k == 0 or name != names[k - 1])
        shown = line.rstrip("… ").rstrip(",")
        assert in_order.startswith(shown)
        assert shown.split(",")[0] in names
        assert in_order[:20] in told
