"""Losses as modules: each keeps its settings and calls its function in `nn.functional`, which has the formula.

Weights become part of the state, as PyTorch's buffers do.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Traced
from tinygrad_lite.nn import functional
from tinygrad_lite.nn.functional.checks import check_positive
from tinygrad_lite.nn.functional.reductions import check_reduction
from tinygrad_lite.nn.module import Module

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "CTCLoss", "CosineEmbeddingLoss", "CrossEntropyLoss", "GaussianNLLLoss",
    "HingeEmbeddingLoss", "HuberLoss", "KLDivLoss", "L1Loss", "MSELoss", "MarginRankingLoss", "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss", "MultiMarginLoss", "NLLLoss", "PoissonNLLLoss", "SmoothL1Loss", "SoftMarginLoss",
    "TripletMarginLoss", "TripletMarginWithDistanceLoss",
]  # fmt: skip


class _Loss(Module):
    def __init__(self, reduction: str = "mean") -> None:
        check_reduction(reduction)
        self.reduction = reduction


class _WeightedLoss(_Loss):
    def __init__(self, weight: Array = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.weight = _buffer(weight)


def _buffer(weight: Any) -> Any:
    """Weights as a part of the state: a copy, which nobody else can change."""
    return weight if weight is None or isinstance(weight, Traced) else np.array(weight)


class MSELoss(_Loss):
    """(x - t)², see `functional.mse_loss`."""

    def forward(self, input: Array, target: Array) -> Array:
        return functional.mse_loss(input, target, self.reduction)


class L1Loss(_Loss):
    """|x - t|, see `functional.l1_loss`."""

    def forward(self, input: Array, target: Array) -> Array:
        return functional.l1_loss(input, target, self.reduction)


class HuberLoss(_Loss):
    """Quadratic up to δ, linear beyond, see `functional.huber_loss`."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        check_positive("delta", delta)
        self.delta = delta

    def forward(self, input: Array, target: Array) -> Array:
        return functional.huber_loss(input, target, self.reduction, self.delta)


class SmoothL1Loss(_Loss):
    """Quadratic up to β, |x - t| - ½β beyond, see `functional.smooth_l1_loss`."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Array, target: Array) -> Array:
        return functional.smooth_l1_loss(input, target, self.reduction, self.beta)


class KLDivLoss(_Loss):
    """t (log t - x), see `functional.kl_div`."""

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        check_reduction(reduction, "batchmean")
        self.reduction = reduction
        self.log_target = log_target

    def forward(self, input: Array, target: Array) -> Array:
        return functional.kl_div(input, target, self.reduction, self.log_target)


class PoissonNLLLoss(_Loss):
    """eˣ - t x, see `functional.poisson_nll_loss`."""

    def __init__(self, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, log_input: Array, target: Array) -> Array:
        return functional.poisson_nll_loss(log_input, target, self.log_input, self.full, self.eps, self.reduction)


class GaussianNLLLoss(_Loss):
    """½(log v + (x - t)² / v) with the variance v, see `functional.gaussian_nll_loss`."""

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction)
        check_positive("eps", eps)
        self.full = full
        self.eps = eps

    def forward(self, input: Array, target: Array, var: Array) -> Array:
        return functional.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)


class BCELoss(_WeightedLoss):
    """Binary cross-entropy of probabilities, see `functional.binary_cross_entropy`."""

    def forward(self, input: Array, target: Array) -> Array:
        return functional.binary_cross_entropy(input, target, self.weight, self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """Binary cross-entropy of logits, see `functional.binary_cross_entropy_with_logits`."""

    def __init__(self, weight: Array = None, reduction: str = "mean", pos_weight: Array = None) -> None:
        super().__init__(weight, reduction)
        self.pos_weight = _buffer(pos_weight)

    def forward(self, input: Array, target: Array) -> Array:
        return functional.binary_cross_entropy_with_logits(input, target, self.weight, self.reduction, self.pos_weight)


class CrossEntropyLoss(_WeightedLoss):
    """Cross-entropy of logits, see `functional.cross_entropy`."""

    def __init__(
        self, weight: Array = None, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
    ) -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Array, target: Array) -> Array:
        return functional.cross_entropy(
            input, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class NLLLoss(_WeightedLoss):
    """Negative log-likelihood of log-probabilities, see `functional.nll_loss`."""

    def __init__(self, weight: Array = None, ignore_index: int = -100, reduction: str = "mean") -> None:
        super().__init__(weight, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Array, target: Array) -> Array:
        return functional.nll_loss(input, target, self.weight, self.ignore_index, self.reduction)


class MultiMarginLoss(_WeightedLoss):
    """Σᵢ max(0, margin - x[t] + x[i])ᵖ / C, see `functional.multi_margin_loss`."""

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Array = None, reduction: str = "mean") -> None:
        super().__init__(weight, reduction)
        self.p = p
        self.margin = margin

    def forward(self, input: Array, target: Array) -> Array:
        return functional.multi_margin_loss(input, target, self.p, self.margin, self.weight, self.reduction)


class MultiLabelMarginLoss(_Loss):
    """Σ max(0, 1 - x[j] + x[i]) / C, see `functional.multilabel_margin_loss`."""

    def forward(self, input: Array, target: Array) -> Array:
        return functional.multilabel_margin_loss(input, target, self.reduction)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """Binary cross-entropy of each class's logits, see `functional.multilabel_soft_margin_loss`."""

    def forward(self, input: Array, target: Array) -> Array:
        return functional.multilabel_soft_margin_loss(input, target, self.weight, self.reduction)


class SoftMarginLoss(_Loss):
    """log(1 + exp(-t x)), see `functional.soft_margin_loss`."""

    def forward(self, input: Array, target: Array) -> Array:
        return functional.soft_margin_loss(input, target, self.reduction)


class HingeEmbeddingLoss(_Loss):
    """x, or max(0, margin - x), see `functional.hinge_embedding_loss`."""

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input: Array, target: Array) -> Array:
        return functional.hinge_embedding_loss(input, target, self.margin, self.reduction)


class MarginRankingLoss(_Loss):
    """max(0, margin - t (x - y)), see `functional.margin_ranking_loss`."""

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Array, input2: Array, target: Array) -> Array:
        return functional.margin_ranking_loss(input1, input2, target, self.margin, self.reduction)


class CosineEmbeddingLoss(_Loss):
    """1 - cos(u, v), or max(0, cos(u, v) - margin), see `functional.cosine_embedding_loss`."""

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = margin

    def forward(self, input1: Array, input2: Array, target: Array) -> Array:
        return functional.cosine_embedding_loss(input1, input2, target, self.margin, self.reduction)


class TripletMarginLoss(_Loss):
    """max(0, margin + ‖a - p‖ - ‖a - n‖), see `functional.triplet_margin_loss`."""

    def __init__(
        self, margin: float = 1.0, p: float = 2.0, eps: float = 1e-6, swap: bool = False, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        check_positive("margin", margin)
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Array, positive: Array, negative: Array) -> Array:
        return functional.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, self.reduction
        )


class TripletMarginWithDistanceLoss(_Loss):
    """`TripletMarginLoss` with any distance, see `functional.triplet_margin_with_distance_loss`."""

    def __init__(
        self,
        *,
        distance_function: Callable[[Array, Array], Array] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction)
        check_positive("margin", margin)
        self.distance_function = distance_function
        self.margin = margin
        self.swap = swap

    def forward(self, anchor: Array, positive: Array, negative: Array) -> Array:
        settings: Any = {"margin": self.margin, "swap": self.swap, "reduction": self.reduction}
        vectors, distance = (anchor, positive, negative), self.distance_function
        return functional.triplet_margin_with_distance_loss(*vectors, distance_function=distance, **settings)


class CTCLoss(_Loss):
    """-log of the probability that a sequence reads as its labels, see `functional.ctc_loss`."""

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(self, log_probs: Array, targets: Array, input_lengths: Any, target_lengths: Any) -> Array:
        return functional.ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )
