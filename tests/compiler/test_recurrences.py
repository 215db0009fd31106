"""Random recurrences, trained: their source, full of loops of many kinds, computes what they compute."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.compiler.test_training import OPTIMIZERS
from tests.marks import param
from tinygrad_lite.compiler.source import numpy_source, outline

Cell = list[tuple[str, int, float]]
STEPS: dict[str, Callable[..., Any]] = {
    "weights": lambda v, x, w, h, before, c: v @ w,
    "input": lambda v, x, w, h, before, c: v + x,
    "product": lambda v, x, w, h, before, c: v * h,
    "tanh": lambda v, x, w, h, before, c: np.tanh(v),
    "sine": lambda v, x, w, h, before, c: np.sin(v) + c,
    "column": lambda v, x, w, h, before, c: v * x[:, :1],
    "memory": lambda v, x, w, h, before, c: v - 0.1 * before[-1] if before else v,
    "older memory": lambda v, x, w, h, before, c: v + 0.1 * before[-2] if len(before) > 1 else v,
    "largest": lambda v, x, w, h, before, c: np.maximum(v, x),
}
ENDS: dict[str, Callable[[list[Any]], Any]] = {
    "last": lambda h: np.sum(h[-1] ** 2),
    "all": lambda h: np.sum(np.stack(h) ** 2),
    "a few": lambda h: np.sum(h[len(h) // 2] * h[0]),
    "the sum": lambda h: sum(np.sum(x) for x in h),
}
ORDERS: dict[str, Callable[[Any, int], Any]] = {
    "forwards": lambda x, t: x[t],
    "backwards": lambda x, t: x[len(x) - 1 - t],
    "windows": lambda x, t: np.sum(x[t : t + 2], axis=0),
}


def recurrence(seed: int) -> Callable[[], tuple[Callable[[Any], Any], list[tg.Tensor]]]:
    """A function that makes a training step and its weights, the same ones each time."""
    rng = np.random.default_rng(seed)
    turns, count = int(rng.integers(3, 8)), int(rng.integers(1, 4))
    name = str(rng.choice(["w%d", "layers.%d.weight"]))
    cells: list[Cell] = [
        [(str(rng.choice([*STEPS])), int(rng.integers(count)), float(rng.random())) for _ in range(rng.integers(1, 5))]
        for _ in range(rng.integers(1, 4))
    ]
    end, order = ENDS[str(rng.choice([*ENDS]))], ORDERS[str(rng.choice([*ORDERS]))]
    make, special = OPTIMIZERS[str(rng.choice([*OPTIMIZERS]))], int(rng.integers(2 * turns))
    values = rng.normal(size=(count, 3, 3)) / 2

    def made() -> tuple[Callable[[Any], Any], list[tg.Tensor]]:
        weights = [tg.tensor(value, True, name=name % i) for i, value in enumerate(values)]
        optimizer = make(weights)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            h = [np.full((2, 3), 0.1 * (i + 1)) for i in range(len(cells))]
            before: list[Any] = []
            for t in range(turns):
                new = []
                for v, cell in zip(h, cells):
                    for kind, i, c in cell:
                        v = STEPS[kind](v, order(x, t), weights[i], h[i % len(h)], before, c)
                    new.append(np.tanh(2 * v if t == special else v))
                h = new
                before.append(h[-1])
            loss = end(before) + sum(np.sum(x) for x in h) + 0.01 * sum(np.sum(w**2) for w in weights)
            loss.backward()
            optimizer.step()
            return loss, before[0], h[0]

        return step, weights

    return made


@pytest.mark.long
@pytest.mark.parametrize("few", [2, outline.FEW])
@pytest.mark.parametrize("seed", [param(seed, slow=seed >= 8) for seed in range(300)])
def test_recurrences(seed: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outline, "FEW", few)
    if seed % 2:
        monkeypatch.setattr(numpy_source, "MEDIUM", 1)  # arrays of any size take up results
    made = recurrence(seed)
    (step, weights), (eager, others) = made(), made()
    compiled = tg.compile(step, "numpy")
    x = np.random.default_rng(seed + 1).normal(size=(8, 2, 3))
    for _ in range(3):
        for found, expected in zip(compiled(x), eager(x), strict=True):
            np.testing.assert_allclose(*(getattr(y, "data", y) for y in (found, expected)), rtol=1e-8, atol=1e-10)
    for found, expected in zip(weights, others):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-8, atol=1e-10)
