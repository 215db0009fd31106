"""Jacobians, products with a Hessian, and reads of rows, as multiples of the passes that they consist of."""

import numpy as np

import tinygrad_lite as tg
from benchmarks.timing import Step, compare

SIZE = 200
ROWS = 1000


def layer(x: object) -> object:
    """A function of 200 numbers with 200 results."""
    return np.tanh(WEIGHT @ np.sin(WEIGHT @ x))


WEIGHT = np.random.default_rng(0).normal(size=(SIZE, SIZE)) / SIZE**0.5
POINT = np.random.default_rng(1).normal(size=SIZE)
BASIS = np.eye(SIZE)
TABLE = np.random.default_rng(2).normal(size=(ROWS, 100))


def plain_passes() -> None:
    """One forward pass and 200 backward passes, one for each result."""
    x = tg.tensor(POINT, requires_grad=True)
    y = layer(x)
    for unit in BASIS:
        y.backward(unit, retain_graph=True)


def loss(x: object) -> object:
    """One result of 200 numbers."""
    return np.sum(layer(x) ** 2)


def rows() -> tg.Tensor:
    """A sum over 1,000 rows, read one by one."""
    x = tg.tensor(TABLE, requires_grad=True)
    total = x[0].sum()
    for i in range(1, ROWS):
        total = total + x[i].sum()
    return total


def stacked_rows() -> tg.Tensor:
    """The same rows, stacked again."""
    x = tg.tensor(TABLE, requires_grad=True)
    return np.stack([x[i] for i in range(ROWS)]).sum()


COMPARISONS: dict[str, tuple[Step, Step]] = {
    "a jacobian, 200 → 200, beside 200 backward passes": (plain_passes, lambda: tg.jacobian(layer)(POINT)),
    "a Hessian times a vector, in gradients": (
        lambda: tg.grad(loss)(POINT),
        lambda: tg.hvp(loss, (POINT,), (POINT,)),
    ),
    "1,000 rows read, summed, and backward, in forwards": (rows, lambda: rows().backward()),
    "1,000 rows read, stacked, and backward, in forwards": (stacked_rows, lambda: stacked_rows().backward()),
}


def table() -> list[str]:
    """A table of each time as a multiple of its unit."""
    lines = ["## Transforms and indexing", "", "| | unit, µs | ratio |", "|---|---:|---:|"]
    for name, (unit, step) in COMPARISONS.items():
        times = compare({"unit": unit, "step": step}, rounds=9, seconds_each=0.02)
        lines.append(f"| {name} | {times['unit'][0]:.0f} | {times['step'][1]:.2f} |")
    return lines


if __name__ == "__main__":
    print("\n".join(table()))
