"""Dropout, entry by entry or channel by channel. `inplace` is there for PyTorch's definitions and changes nothing.

A probability outside [0, 1] raises `InputError`, an input with another number of axes `ShapeError`.
"""

from math import sqrt

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import ShapeError
from tinygrad_lite.foundation.settings import share
from tinygrad_lite.nn.functional.checks import shape_of
from tinygrad_lite.nn.init import Rng
from tinygrad_lite.ops.networks.activations import SELU_ALPHA, SELU_SCALE

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]


def dropout(input: Array, p: float = 0.5, training: bool = True, inplace: bool = False, *, rng: Rng = None) -> Array:
    """x with each entry set to zero with probability p and the others divided by 1 - p; outside training, x itself.

    Source: Srivastava et al. (2014), Dropout: a simple way to prevent neural networks from overfitting.

    Example:
        >>> dropout(np.ones(6), 0.5, rng=0)
        array([2., 0., 0., 0., 2., 2.])
    """
    return _scaled(input, p, training, rng, shape_of(input))


def dropout1d(input: Array, p: float = 0.5, training: bool = True, inplace: bool = False, *, rng: Rng = None) -> Array:
    """`dropout` of whole channels of x (N, C, L) or (C, L).

    Example:
        >>> dropout1d(np.ones((3, 2)), 0.5, rng=0)
        array([[2., 2.],
               [0., 0.],
               [0., 0.]])
    """
    shape = _axes("dropout1d", input, 2, 3)
    return _scaled(input, p, training, rng, (*shape[:-1], 1))


def dropout2d(input: Array, p: float = 0.5, training: bool = True, inplace: bool = False, *, rng: Rng = None) -> Array:
    """`dropout` of whole channels of x (N, C, H, W); x (N, C, L) counts as for `dropout1d`, as in PyTorch.

    Source: Tompson et al. (2014), Efficient object localization using convolutional networks.

    Example:
        >>> dropout2d(np.ones((1, 3, 1, 2)), 0.5, rng=0)[0, :, 0]
        array([[2., 2.],
               [0., 0.],
               [0., 0.]])
    """
    shape = _axes("dropout2d", input, 3, 4)
    return _scaled(input, p, training, rng, shape[:2] + (1,) * len(shape[2:]))


def dropout3d(input: Array, p: float = 0.5, training: bool = True, inplace: bool = False, *, rng: Rng = None) -> Array:
    """`dropout` of whole channels of x (N, C, D, H, W) or (C, D, H, W).

    Example:
        >>> dropout3d(np.ones((3, 1, 1, 2)), 0.5, rng=0)[:, 0, 0]
        array([[2., 2.],
               [0., 0.],
               [0., 0.]])
    """
    shape = _axes("dropout3d", input, 4, 5)
    return _scaled(input, p, training, rng, (*shape[:-3], 1, 1, 1))


def alpha_dropout(
    input: Array, p: float = 0.5, training: bool = False, inplace: bool = False, *, rng: Rng = None
) -> Array:
    """a x + b, with an entry of x replaced by -λα with probability p; a and b keep the mean 0 and the variance 1.

    Source: Klambauer et al. (2017), Self-normalizing neural networks, appendix L.

    Example:
        >>> alpha_dropout(np.zeros(4), 0.5, training=True, rng=0).round(4)
        array([ 0.7792, -0.7792, -0.7792, -0.7792])
    """
    return _self_normalizing(input, p, training, rng, shape_of(input))


def feature_alpha_dropout(
    input: Array, p: float = 0.5, training: bool = False, inplace: bool = False, *, rng: Rng = None
) -> Array:
    """`alpha_dropout` of whole channels: the first two axes of x (N, C, …).

    Raises:
        ShapeError: if x has fewer than two axes, in training.

    Example:
        >>> feature_alpha_dropout(np.zeros((1, 2, 2)), 0.5, training=True, rng=0).round(4)
        array([[[ 0.7792,  0.7792],
                [-0.7792, -0.7792]]])
    """
    shape = shape_of(input)
    if training and len(shape) < 2:
        raise ShapeError(f"feature_alpha_dropout needs shape (N, C, …), got {shape}")
    return _self_normalizing(input, p, training, rng, shape[:2] + (1,) * len(shape[2:]))


def _axes(name: str, x: Array, *counts: int) -> tuple[int, ...]:
    if len(shape_of(x)) not in counts:
        there = f"{counts[0]} or {counts[1]} axes, got shape {shape_of(x)}"
        raise ShapeError(f"{name} needs an input of {there}; for another, write dropout")
    return shape_of(x)


def _kept(p: float, rng: Rng, shape: tuple[int, ...]) -> Array:
    """Whether each entry is kept, drawn with probability 1 - p."""
    return np.random.default_rng(rng).random(shape) >= p


def _scaled(x: Array, p: float, training: bool, rng: Rng, shape: tuple[int, ...]) -> Array:
    share("p", p)
    if not training or p == 0:
        return x
    scale = _kept(p, rng, shape) / (1 - p) if p < 1 else np.zeros(shape)
    return x * scale.astype(np.result_type(getattr(x, "dtype", float), 1.0))


def _self_normalizing(x: Array, p: float, training: bool, rng: Rng, shape: tuple[int, ...]) -> Array:
    share("p", p)
    if not training or p == 0:
        return x
    floor = -SELU_SCALE * SELU_ALPHA
    a = 1 / sqrt((1 - p) * (1 + p * floor**2)) if p < 1 else 0.0
    kept = _kept(p, rng, shape).astype(np.result_type(getattr(x, "dtype", float), 1.0))
    return a * (x * kept + floor * (1 - kept)) - a * p * floor
