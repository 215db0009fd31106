"""Quantised numbers, as ONNX defines them: whole numbers that stand for multiples of a scale, from a zero point on."""

from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.nn import functional as F


def quantize(
    x: Array, scale: Array, zero: Array = None, dtype: Any = np.uint8, axis: int = 1, block_size: int = 0
) -> Array:
    """x / scale, rounded, from the zero point on, and at most the largest number of the dtype."""
    scale, zero = _laid(x, scale, axis, block_size), _laid(x, zero, axis, block_size)
    dtype = dtype if zero is None else zero.dtype
    return saturated(np.rint(x / scale) + (0 if zero is None else zero.astype(x.dtype)), dtype)


def dequantize(
    x: Array, scale: Array, zero: Array = None, dtype: Any = None, axis: int = 1, block_size: int = 0
) -> Array:
    """The numbers that whole numbers stand for: (x - zero) · scale."""
    dtype = scale.dtype if dtype is None else dtype
    scale, zero = _laid(x, scale, axis, block_size), _laid(x, zero, axis, block_size)
    return (shifted(x, zero).astype(scale.dtype) * scale).astype(dtype)


def _laid(x: Array, scale: Array, axis: int, block_size: int) -> Array:
    """Scales or zero points along the axis to which they belong."""
    if scale is None or scale.ndim == 0 or scale.size == 1:
        return scale if scale is None else np.reshape(scale, ())
    if block_size:
        return np.take(np.repeat(scale, block_size, axis=axis), np.arange(x.shape[axis]), axis=axis)
    return np.reshape(scale, (-1, *(1,) * (x.ndim - 1 - axis % x.ndim)))


def saturated(x: Array, dtype: Any) -> Array:
    """Numbers cut off at the ends of a dtype of whole numbers."""
    limits = np.iinfo(dtype)
    return np.clip(x, limits.min, limits.max).astype(dtype)


def shifted(x: Array, zero: Array = None) -> Array:
    """Whole numbers counted from the zero point."""
    wide = x.astype(np.int32)
    return wide if zero is None else wide - zero.astype(np.int32)


def product(a: Array, b: Array, a_zero: Array = None, b_zero: Array = None) -> Array:
    """The product of matrices of whole numbers, whose zero points may be those of rows and of columns."""
    return shifted(a, _of_rows(a_zero, a)) @ shifted(b, b_zero)


def _of_rows(numbers: Array, a: Array) -> Array:
    """One number for each row of matrices, to be used along them."""
    return numbers if numbers is None or numbers.ndim != 1 or a.ndim == 1 else numbers[:, None]


def quantized_product(
    a: Array, a_scale: Array, a_zero: Array, b: Array, b_scale: Array, b_zero: Array, y_scale: Array, y_zero: Array
) -> Array:
    """The product of matrices of quantised numbers, quantised again."""
    y = product(a, b, a_zero, b_zero) * (_of_rows(a_scale, a) * b_scale / _of_rows(y_scale, a))
    return saturated(np.rint(y) + _of_rows(y_zero, a).astype(y.dtype), y_zero.dtype)


def convolution(x: Array, weight: Array, zero: Array = None, weight_zero: Array = None, **settings: Any) -> Array:
    """A convolution of whole numbers, exact in double precision."""
    column = weight_zero if weight_zero is None else np.reshape(weight_zero, (-1, *(1,) * (weight.ndim - 1)))
    filters = shifted(weight, column).astype(np.float64)
    conv = getattr(F, f"conv{x.ndim - 2}d")
    return conv(shifted(x, zero).astype(np.float64), filters, **settings).astype(np.int32)


def quantized_convolution(
    x: Array,
    x_scale: Array,
    x_zero: Array,
    weight: Array,
    weight_scale: Array,
    weight_zero: Array,
    y_scale: Array,
    y_zero: Array,
    bias: Array = None,
    **settings: Any,
) -> Array:
    """A convolution of quantised numbers, quantised again."""
    column = (-1, *(1,) * (x.ndim - 2))
    y = convolution(x, weight, x_zero, weight_zero, **settings)
    y = y if bias is None else y + np.reshape(bias, column)
    y = y * np.reshape(x_scale * weight_scale / y_scale, column)
    return saturated(np.rint(y) + y_zero.astype(y.dtype), y_zero.dtype)
