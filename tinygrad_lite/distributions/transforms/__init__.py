"""One-to-one maps, and the distributions of what they make of samples."""

from typing import TYPE_CHECKING

from tinygrad_lite.distributions.transforms.of_numbers import (
    AffineTransform,
    ComposeTransform,
    ExpTransform,
    PowerTransform,
    SigmoidTransform,
    SoftplusTransform,
    TanhTransform,
    Transform,
    TransformedDistribution,
)
from tinygrad_lite.distributions.transforms.of_vectors import (
    CorrCholeskyTransform,
    CumulativeDistributionTransform,
    IndependentTransform,
    LogisticNormal,
    LowerCholeskyTransform,
    PositiveDefiniteTransform,
    ReshapeTransform,
    StickBreakingTransform,
    biject_to,
)
from tinygrad_lite.foundation.elsewhere import unknown_names as _unknown_names

__all__ = [
    "AffineTransform",
    "ComposeTransform",
    "CorrCholeskyTransform",
    "CumulativeDistributionTransform",
    "ExpTransform",
    "IndependentTransform",
    "LogisticNormal",
    "LowerCholeskyTransform",
    "PositiveDefiniteTransform",
    "PowerTransform",
    "ReshapeTransform",
    "SigmoidTransform",
    "SoftplusTransform",
    "StickBreakingTransform",
    "TanhTransform",
    "Transform",
    "TransformedDistribution",
    "biject_to",
]

if not TYPE_CHECKING:  # a type checker would read it as a promise that any name exists
    __getattr__ = _unknown_names(__name__.rpartition(".")[0])
