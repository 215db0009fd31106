"""Distances between vectors as modules."""

from dataclasses import dataclass

from tinygrad_lite.engine.op import Array
from tinygrad_lite.nn import functional
from tinygrad_lite.nn.module import Module

__all__ = ["CosineSimilarity", "PairwiseDistance"]


@dataclass(eq=False, repr=False)
class CosineSimilarity(Module):
    """u·v / (max(‖u‖, ε) max(‖v‖, ε)) along an axis, see `functional.cosine_similarity`."""

    axis: int = 1
    eps: float = 1e-8

    def forward(self, x1: Array, x2: Array) -> Array:
        return functional.cosine_similarity(x1, x2, self.axis, self.eps)


@dataclass(eq=False, repr=False)
class PairwiseDistance(Module):
    """‖u - v + ε‖ₚ along the last axis, see `functional.pairwise_distance`."""

    p: float = 2.0
    eps: float = 1e-6
    keepdims: bool = False

    def forward(self, x1: Array, x2: Array) -> Array:
        return functional.pairwise_distance(x1, x2, self.p, self.eps, self.keepdims)
