"""Dropout, active only in training."""

from tinygrad_lite.engine.op import Array
from tinygrad_lite.foundation.settings import share
from tinygrad_lite.nn import functional, init
from tinygrad_lite.nn.module import Module

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class Dropout(Module):
    """Sets each entry to zero with probability p in training, and divides the others by 1 - p; else the identity."""

    _function = staticmethod(functional.dropout)

    def __init__(self, p: float = 0.5, inplace: bool = False, *, rng: init.Rng = None) -> None:
        share("p", p)
        self.p = p
        self._rng = init.generator(rng)

    def forward(self, input: Array) -> Array:
        return self._function(input, self.p, self.training, rng=self._rng)


class Dropout1d(Dropout):
    """`Dropout` of whole channels of x (N, C, L) or (C, L)."""

    _function = staticmethod(functional.dropout1d)


class Dropout2d(Dropout):
    """`Dropout` of whole channels of x (N, C, H, W)."""

    _function = staticmethod(functional.dropout2d)


class Dropout3d(Dropout):
    """`Dropout` of whole channels of x (N, C, D, H, W) or (C, D, H, W)."""

    _function = staticmethod(functional.dropout3d)


class AlphaDropout(Dropout):
    """Dropout that keeps the mean 0 and the variance 1, for `SELU`; see `functional.alpha_dropout`."""

    _function = staticmethod(functional.alpha_dropout)


class FeatureAlphaDropout(Dropout):
    """`AlphaDropout` of whole channels of x (N, C, …)."""

    _function = staticmethod(functional.feature_alpha_dropout)
