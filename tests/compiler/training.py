"""A training by hand: a weight, its optimiser and its step, to which tests add what surrounds it."""

from typing import Any

import numpy as np

import tinygrad_lite as tg
from tinygrad_lite import optim


class Training:
    """A weight with Adam, and a step on a loss."""

    def __init__(self, numbers: list[float]) -> None:
        self.w = tg.tensor(numbers, requires_grad=True)
        self.optimizer = optim.Adam([self.w], lr=0.1)

    def loss(self, x: Any) -> Any:
        return np.mean((self.w * x - 1) ** 2)

    def trained(self, loss: Any) -> Any:
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.detach()
