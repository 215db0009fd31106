"""A training that `test_distributed` runs in two processes and in one, by hand and with `tg.fit`.

Each process prints a line of JSON: its rank, and the losses and the parameters. `--fail` and `--kill` let process 1
raise an error or be killed in the middle, after process 0 has written a checkpoint.
"""

import argparse
import json
import os
import signal
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_lite as tg
from tinygrad_lite import distributed, nn

F = nn.functional


def data() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(96, 5))
    return x, (x[:, :1] * x[:, 1:2] > 0).astype(float)


def network(seed: int) -> nn.Module:
    return nn.Sequential(nn.Linear(5, 7, rng=seed), nn.Tanh(), nn.Linear(7, 1, rng=seed + 1))


def by_hand(after_step: Any = lambda step, model: None, compile: bool = False) -> dict[str, Any]:
    """The same batches as one process has, each divided among the processes."""

    def backward(model: nn.Module, inputs: Any, targets: Any) -> Any:
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(model(inputs), targets)
        loss.backward()
        return loss.detach()

    backward = tg.compile(backward) if compile else backward
    model = network(seed=10 * distributed.rank())
    optimizer = tg.optim.Adam(model.parameters(), lr=0.05)
    distributed.broadcast(model, optimizer)
    losses = []
    for x, y in tg.data.DataLoader(data(), batch_size=16, shuffle=True, rng=0):
        loss = backward(model, *distributed.shard((x, y)))
        distributed.average_gradients(model)
        optimizer.step()
        losses.append(float(distributed.average(loss)))
        after_step(len(losses), model)
    return {"losses": losses, "parameters": [w.tolist() for w in model.parameters()]}


def by_fit(**options: Any) -> dict[str, Any]:
    """Each process trains on its part of the data, with its part of the batch size."""
    model = network(seed=0)
    optimizer = distributed.DistributedOptimizer(tg.optim.Adam(model.parameters(), lr=0.05))
    loader = tg.data.DataLoader(distributed.shard(data()), batch_size=16 // distributed.size())
    history = tg.fit(
        model,
        F.binary_cross_entropy_with_logits,
        loader,
        epochs=2,
        optimizer=optimizer,
        validation=data(),
        verify=False,
        **options,
    )
    figures = {"losses": history["loss"], "validation": history["validation_loss"]}
    return {**figures, "parameters": [w.tolist() for w in model.parameters()]}


def partial() -> dict[str, Any]:
    """Parameters that have a gradient in some processes alone, or in none; and a step that cannot be compiled."""
    used, sometimes, never = (tg.tensor(np.ones(2, np.float32), requires_grad=True) for _ in range(3))
    total = np.sum(used) if distributed.rank() else np.sum(used + 2 * sometimes)
    total.backward()
    distributed.average_gradients([used, sometimes, never])
    gradients = [None if w.grad is None else (w.grad.tolist(), str(w.grad.dtype)) for w in (used, sometimes, never)]
    optimizer = distributed.DistributedOptimizer(tg.optim.SGD([used], lr=0.1))
    used.grad, rows = None, np.full(2, distributed.rank() + 1, np.float32)
    with warnings.catch_warnings(record=True) as said:
        tg.compile(lambda x: optimizer.step(lambda: np.sum(used * x).backward()))(rows)
    step = used.numpy().tolist()
    return {"gradients": gradients, "message": " ".join(str(each.message) for each in said), "step": step}


FITS: list[dict[str, Any]] = [
    {**options, "compile": backend}
    for options in ({}, {"clip_norm": 0.05, "accumulate": 2})
    for backend in (False, "numpy", "native")
]


def interrupted(how: str, checkpoint: Path) -> None:
    def after_step(step: int, model: nn.Module) -> None:
        if distributed.rank() == 0:
            tg.save(checkpoint, model=model, step=step)
        if step == 3 and distributed.rank() == 1:
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ArithmeticError("a fault in the data of one process")

    by_hand(after_step)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stop", choices=["error", "kill"])
    parser.add_argument("--checkpoint", type=Path)
    options = parser.parse_args()
    with distributed.together():
        if options.stop:
            interrupted(options.stop, options.checkpoint)
        results = {"by hand": by_hand(), "compiled": by_hand(compile=True), "partial": partial()}
        results |= {f"fit {options}": by_fit(**options) for options in FITS}
        print(json.dumps([distributed.rank(), results]), flush=True)
