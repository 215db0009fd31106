"""Distances between vectors as modules."""

from tinygrad_lite.engine.op import Array
from tinygrad_lite.nn import functional
from tinygrad_lite.nn.module import Module

__all__ = ["CosineSimilarity", "PairwiseDistance"]


class CosineSimilarity(Module):
    """u·v / (max(‖u‖, ε) max(‖v‖, ε)) along an axis, see `functional.cosine_similarity`."""

    def __init__(self, axis: int = 1, eps: float = 1e-8) -> None:
        self.axis = axis
        self.eps = eps

    def forward(self, x1: Array, x2: Array) -> Array:
        return functional.cosine_similarity(x1, x2, self.axis, self.eps)


class PairwiseDistance(Module):
    """‖u - v + ε‖ₚ along the last axis, see `functional.pairwise_distance`."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdims: bool = False) -> None:
        self.p = p
        self.eps = eps
        self.keepdims = keepdims

    def forward(self, x1: Array, x2: Array) -> Array:
        return functional.pairwise_distance(x1, x2, self.p, self.eps, self.keepdims)
