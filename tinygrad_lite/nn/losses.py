"""Losses as modules: each keeps its `reduction` and calls its function in `nn.functional`."""

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError
from tinygrad_lite.nn import functional
from tinygrad_lite.nn.functional.losses import check_reduction
from tinygrad_lite.nn.module import Module

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "HuberLoss",
    "L1Loss",
    "MSELoss",
    "NLLLoss",
]


class _Loss(Module):
    def __init__(self, reduction: str = "mean") -> None:
        check_reduction(reduction)
        self.reduction = reduction


class MSELoss(_Loss):
    """(x - t)², see `functional.mse_loss`."""

    def forward(self, prediction: Array, target: Array) -> Array:
        return functional.mse_loss(prediction, target, self.reduction)


class L1Loss(_Loss):
    """|x - t|, see `functional.l1_loss`."""

    def forward(self, prediction: Array, target: Array) -> Array:
        return functional.l1_loss(prediction, target, self.reduction)


class HuberLoss(_Loss):
    """Quadratic up to δ, linear beyond, see `functional.huber_loss`."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        if not delta > 0:
            raise InputError(f"delta must be positive, got {delta}")
        self.delta = delta

    def forward(self, prediction: Array, target: Array) -> Array:
        return functional.huber_loss(prediction, target, self.reduction, self.delta)


class BCELoss(_Loss):
    """Binary cross-entropy of probabilities, see `functional.binary_cross_entropy`."""

    def forward(self, prediction: Array, target: Array) -> Array:
        return functional.binary_cross_entropy(prediction, target, self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Binary cross-entropy of logits, see `functional.binary_cross_entropy_with_logits`."""

    def forward(self, logits: Array, target: Array) -> Array:
        return functional.binary_cross_entropy_with_logits(logits, target, self.reduction)


class CrossEntropyLoss(_Loss):
    """Cross-entropy of logits, see `functional.cross_entropy`."""

    def forward(self, logits: Array, target: Array) -> Array:
        return functional.cross_entropy(logits, target, self.reduction)


class NLLLoss(_Loss):
    """Negative log-likelihood of log-probabilities, see `functional.nll_loss`."""

    def forward(self, log_probabilities: Array, target: Array) -> Array:
        return functional.nll_loss(log_probabilities, target, self.reduction)
