"""A training that is killed again and again: `python -m tests.training.killed_runs FOLDER BACKEND KILLS SEED SECONDS`.

Each run is a process that goes on from the checkpoint, if there is one, and is killed with SIGKILL after a random part
of SECONDS. A training that ends before begins anew; after KILLS, the last one goes on to its end. Prints how many were
killed, and the digests of the last weights; with KILLS = 0, the training is never interrupted.
"""

import hashlib
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

import tinygrad_lite as tg
from tinygrad_lite import nn, optim

EPOCHS = 10
X = np.random.default_rng(0).normal(size=(100, 5))
Y = np.sin(X[:, :1])


def train(path: Path, backend: str) -> str:
    """Train to the end, from the checkpoint on; the digest of the weights."""
    model = nn.Sequential(nn.Linear(5, 40, rng=0), nn.Dropout(0.2, rng=1), nn.Tanh(), nn.Linear(40, 1, rng=2))
    optimizer = optim.RAdam(model.parameters(), lr=0.01)
    scheduler = optim.lr_scheduler.CosineAnnealingLR(optimizer, 50)
    average = optim.ExponentialMovingAverage(model, 0.9)
    loader = tg.data.DataLoader((X, Y), batch_size=8, shuffle=True, rng=3)
    rng = np.random.default_rng(4)
    objects = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
    objects |= {"average": average, "loader": loader, "rng": rng}

    def step(x: np.ndarray, y: np.ndarray) -> tg.Tensor:
        optimizer.zero_grad()
        loss = np.mean((model(x) - y) ** 2)
        loss.backward()
        optimizer.step()
        scheduler.step()
        average.update()
        return loss

    if backend != "eager":
        step = tg.compile(step, backend=backend)
    losses = tg.load(path, **objects)["losses"] if path.exists() else []
    while loader.epochs < EPOCHS:
        for x, y in loader:
            losses.append(float(step(x + 0.01 * rng.normal(size=x.shape), y)))
            tg.save(path, **objects, losses=losses)
    arrays = [*model.state_dict().values(), *average.state_dict()["averages"], np.array(losses)]
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def killed(path: Path, backend: str, seconds: float) -> bool:
    """Train in a process of its own, and kill it after some seconds; whether that was before its end."""
    child = os.fork()
    if child == 0:
        train(path, backend)
        os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or status == 0
    return os.WIFSIGNALED(status)


def main(folder: str, backend: str, kills: str, seed: str, seconds: str) -> None:
    path = Path(folder) / "run.safetensors"
    rng = np.random.default_rng(int(seed))
    count = 0
    digests = set()
    while count < int(kills):
        if killed(path, backend, rng.uniform(0, float(seconds))):
            count += 1
        else:
            digests.add(train(path, backend))
            path.unlink()
    print(count, *(digests | {train(path, backend)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
