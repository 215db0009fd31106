"""Logistic regression on more data than fits in memory, on a cluster of two processes.

    python examples/out_of_core.py [--rows N] [--memory LIMIT] [--steps N]

The data exist only in chunks: a worker draws a chunk again from its own seed whenever it needs it. Model, loss and
optimiser are the same as for NumPy arrays. On Dask arrays they describe a computation. A step asks for the loss and the
gradients together, so that the workers pass over the data once.

Needs the extra `arrays`.
"""

import argparse
import time
from collections.abc import Iterator
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.distributed import Client, LocalCluster
from dask.utils import format_bytes, parse_bytes

import tinygrad_lite as tg
from tinygrad_lite import nn


def true_weights(features: int) -> Any:
    """The weights of the model that draws the labels: equal in size, with alternating signs."""
    return (-1.0) ** np.arange(features) / np.sqrt(features)


def draw(seed: int, rows: int, features: int) -> Any:
    """A chunk: standard normal features, and in the last column the labels, 0 or 1."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, features))
    labels = rng.random(rows) < 1 / (1 + np.exp(-x @ true_weights(features)))
    return np.column_stack([x, labels])


def lazy_table(rows: int, features: int, chunk: int) -> da.Array:
    """All rows, none of them in memory."""
    sizes = [min(chunk, rows - start) for start in range(0, rows, chunk)]
    chunks = [dask.delayed(draw)(seed, size, features) for seed, size in enumerate(sizes)]
    return da.concatenate(
        [da.from_delayed(part, (size, features + 1), float) for part, size in zip(chunks, sizes, strict=True)]
    )


def train(model: nn.Module, table: Any, steps: int, lr: float) -> Iterator[float]:
    """Full-batch gradient descent on a Dask array, or on a NumPy array; yields the loss before each update."""
    x, labels = tg.tensor(table[:, :-1]), tg.tensor(table[:, -1:])
    loss_function = nn.BCEWithLogitsLoss()
    optimizer = tg.optim.SGD(model.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_function(model(x), labels)
        loss.backward()  # a description of the gradients; nothing is computed so far
        value, gradients = dask.compute(loss.data, [w.grad.data for w in optimizer.parameters])
        for w, gradient in zip(optimizer.parameters, gradients, strict=True):
            w.grad = gradient
        optimizer.step()
        yield float(value)


def main() -> None:
    parser = argparse.ArgumentParser(description="Logistic regression on more data than fits in memory.")
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--features", type=int, default=32)
    parser.add_argument("--chunk", type=int, default=25_000, help="rows in a chunk")
    parser.add_argument("--memory", default="400MB", metavar="LIMIT", help="the limit for each of the two workers")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--lr", type=float, default=3.0)
    options = parser.parse_args()

    table = lazy_table(options.rows, options.features, options.chunk)
    size, limit = format_bytes(table.nbytes), format_bytes(2 * parse_bytes(options.memory))
    print(f"{options.rows:,} rows of {options.features} features and a label: {size} in {table.npartitions} chunks")
    print(f"two workers, with {limit} of memory in all")

    model = nn.Linear(options.features, 1, rng=0)
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=options.memory, dashboard_address=None)
    with cluster, Client(cluster) as client:
        start = time.perf_counter()
        for step, loss in enumerate(train(model, table, options.steps, options.lr)):
            seconds = time.perf_counter() - start
            memory = max(worker["metrics"]["memory"] for worker in client.scheduler_info()["workers"].values())
            print(
                f"step {step}: loss {loss:.6f}, drew and used {size} in {seconds:.1f} s, "
                f"the larger worker is at {format_bytes(memory)}"
            )
            start = time.perf_counter()

    error = np.max(np.abs(model.weight.numpy() - true_weights(options.features)))
    print(f"the fitted weights differ from those that drew the labels by {error:.4f} at most")


if __name__ == "__main__":
    main()
