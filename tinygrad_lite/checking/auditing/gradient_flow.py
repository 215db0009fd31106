"""The flow of a gradient through a history: the gradient of each tensor, and each operation's contributions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_lite.engine.backward import accumulated, contribute, history, whole
from tinygrad_lite.engine.grad_mode import no_grad
from tinygrad_lite.engine.tensor import Tensor

Edge = tuple[Tensor, Tensor]
"""A result, and one of the tensors that it was made from."""


@dataclass(frozen=True)
class Flow:
    """The gradients of a loss.

    Attributes:
        loss: the loss.
        path: the results that it was computed from, oldest first.
        gradients: the gradient of each tensor that it reaches.
        handed: the operation's contribution along each edge.
        uses: the results that each tensor was used in.
    """

    loss: Tensor
    path: Sequence[Tensor]
    gradients: Mapping[Tensor, Any]
    handed: Mapping[Edge, Any]
    uses: Mapping[Tensor, list[Tensor]]

    def sources(self, x: Tensor, lost: Callable[[Any], bool]) -> list[Edge]:
        """The edges on the way from the loss to x that lose the gradient: their result still has one."""
        edges: list[Edge] = []
        seen = {x}
        ahead = [x]
        while ahead:
            x = ahead.pop()
            for result in self.uses.get(x, []):
                if not lost(self.gradients.get(result)):
                    edges.append((result, x))
                elif result not in seen:
                    seen.add(result)
                    ahead.append(result)
        return edges

    def way(self, x: Tensor) -> list[Edge]:
        """The edges from the loss to x, always along the largest contribution."""
        edges: list[Edge] = []
        while x is not self.loss:
            result = self._largest[x]
            edges.append((result, x))
            x = result
        return edges[::-1]

    @cached_property
    def _largest(self) -> Mapping[Tensor, Tensor]:
        """Of the results that each tensor was used in, the one with the largest contribution."""
        return {
            x: max(results, key=lambda result: size(self.handed.get((result, x)))) for x, results in self.uses.items()
        }

    def factor(self, edge: Edge) -> float:
        """The factor by which an operation makes the gradient larger."""
        result, _ = edge
        before = size(self.gradients[result])
        return size(self.handed[edge]) / before if before else 0.0

    def cancels(self, edge: Edge) -> bool:
        """Whether an operation's contribution is 0 up to rounding, and for other upstream gradients is not."""
        handed, other = self.handed.get(edge), self.for_others(edge)
        if handed is None or other is None:
            return False
        return size(handed) < 64 * float(np.finfo(np.asarray(handed).dtype).eps) * size(other)

    def for_others(self, edge: Edge) -> Any:
        """An operation's contribution for an upstream gradient of other sizes and one sign; None without a real one."""
        result, x = edge
        handed, g = self.handed.get(edge), self.gradients.get(result)
        if handed is None or g is None or not np.size(g) or np.asarray(handed).dtype.kind != "f":
            return None
        parts: dict[Tensor, Any] = {}
        with np.errstate(all="ignore"), no_grad():
            others = np.abs(g) * np.random.default_rng(0).uniform(0.5, 1.5, np.shape(g)).astype(g.dtype)
            contribute(result, others, parts)
        return whole(parts[x])


def flow(loss: Tensor) -> Flow:
    """The gradients of all tensors behind a loss; no tensor is written to, and the graph stays."""
    path = history([loss])
    gradients: dict[Tensor, Any] = {loss: np.ones_like(loss.data)}
    handed: dict[Edge, Any] = {}
    uses: dict[Tensor, list[Tensor]] = {}
    with np.errstate(all="ignore"), no_grad():  # rules of a user's own may read tensors
        for result in reversed(path):
            for x in dict.fromkeys(x for x in result.inputs if isinstance(x, Tensor)):
                uses.setdefault(x, []).append(result)
            if result in gradients:
                parts: dict[Tensor, Any] = {}
                contribute(result, gradients[result], parts)
                for x, part in parts.items():
                    handed[result, x] = whole(part)
                    gradients[x] = accumulated(gradients, x, part) if x in gradients else part
    return Flow(loss, path, {x: whole(g) for x, g in gradients.items()}, handed, uses)


def size(gradient: Any) -> float:
    """The sum of the absolute values, which does not shrink with a mean over many rows; 0 without a gradient."""
    with np.errstate(all="ignore"):
        return 0.0 if gradient is None else float(np.sum(np.abs(gradient)))
