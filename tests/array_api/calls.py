"""A call of each function of the array API standard, with arrays of whichever library they are called for."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Call = Callable[[Any, Any, Any], Any]
"""From the namespace, and from two arrays x and y of numbers in (0, 1), of shape (3, 3), to the result."""


def _unary(names: str) -> dict[str, Call]:
    return {name: lambda xp, x, y, name=name: getattr(xp, name)(x) for name in names.split()}


def _binary(names: str) -> dict[str, Call]:
    return {name: lambda xp, x, y, name=name: getattr(xp, name)(x, y) for name in names.split()}


def _of_integers(names: str) -> dict[str, Call]:
    return {
        name: lambda xp, x, y, name=name: getattr(xp, name)(xp.astype(8 * x, xp.int64), xp.astype(4 * y, xp.int64))
        for name in names.split()
    }


def _along_axis(names: str) -> dict[str, Call]:
    return {name: lambda xp, x, y, name=name: getattr(xp, name)(x, axis=1) for name in names.split()}


def _definite(xp: Any, x: Any) -> Any:
    return xp.matmul(x, xp.matrix_transpose(x)) + xp.eye(3)


LINALG_OF_ONE = "det diagonal inv matrix_norm matrix_rank matrix_transpose pinv slogdet svdvals trace"
LINALG_OF_TWO = "cross matmul solve tensordot vecdot"
FFT_OF_COMPLEX = "fft fftn hfft ifft ifftn irfft irfftn"
FFT_OF_REAL = "ihfft rfft rfftn"

CALLS: Mapping[str, Call] = {
    **_unary(
        "abs acos asin asinh atan atanh ceil conj cos cosh exp expm1 floor isfinite isinf isnan log log10 log1p "
        "log2 negative positive real reciprocal round sign signbit sin sinh sqrt square tan tanh trunc "
        "matrix_transpose tril triu nonzero ones_like zeros_like unique_all unique_counts unique_inverse unique_values"
    ),
    **_binary(
        "add atan2 copysign divide equal floor_divide greater greater_equal hypot less less_equal logaddexp matmul "
        "maximum minimum multiply nextafter not_equal pow remainder subtract vecdot tensordot"
    ),
    **_of_integers("bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor isin"),
    **_along_axis(
        "argmax argmin argsort count_nonzero cumulative_prod cumulative_sum diff flip max mean min prod sort std sum "
        "var all any expand_dims unstack"
    ),
    "acosh": lambda xp, x, y: xp.acosh(1 + x),
    "bitwise_invert": lambda xp, x, y: xp.bitwise_invert(xp.astype(8 * x, xp.int64)),
    "logical_and": lambda xp, x, y: xp.logical_and(x > 0.5, y > 0.5),
    "logical_not": lambda xp, x, y: xp.logical_not(x > 0.5),
    "logical_or": lambda xp, x, y: xp.logical_or(x > 0.5, y > 0.5),
    "logical_xor": lambda xp, x, y: xp.logical_xor(x > 0.5, y > 0.5),
    "clip": lambda xp, x, y: xp.clip(x, 0.3, 0.6),
    "where": lambda xp, x, y: xp.where(x > 0.5, x, y),
    "astype": lambda xp, x, y: xp.astype(x, xp.float32),
    "can_cast": lambda xp, x, y: xp.can_cast(xp.float32, xp.float64),
    "imag": lambda xp, x, y: xp.imag(xp.astype(x, xp.complex128)),
    "finfo": lambda xp, x, y: float(xp.finfo(xp.float32).eps),
    "iinfo": lambda xp, x, y: xp.iinfo(xp.int8).max,
    "isdtype": lambda xp, x, y: xp.isdtype(x.dtype, "real floating"),
    "result_type": lambda xp, x, y: xp.result_type(x, xp.float32) == xp.float64,
    "broadcast_arrays": lambda xp, x, y: xp.broadcast_arrays(x, y[0, :]),
    "broadcast_shapes": lambda xp, x, y: xp.broadcast_shapes((3, 1), (1, 2)),
    "broadcast_to": lambda xp, x, y: xp.broadcast_to(x, (2, 3, 3)),
    "concat": lambda xp, x, y: xp.concat([x, y], axis=1),
    "stack": lambda xp, x, y: xp.stack([x, y], axis=1),
    "meshgrid": lambda xp, x, y: xp.meshgrid(x[0, :], y[0, :], indexing="ij"),
    "moveaxis": lambda xp, x, y: xp.moveaxis(x, 0, 1),
    "permute_dims": lambda xp, x, y: xp.permute_dims(x, (1, 0)),
    "repeat": lambda xp, x, y: xp.repeat(x, 2, axis=1),
    "reshape": lambda xp, x, y: xp.reshape(x, (9,)),
    "roll": lambda xp, x, y: xp.roll(x, 1, axis=1),
    "squeeze": lambda xp, x, y: xp.squeeze(x[:, :1], axis=1),
    "tile": lambda xp, x, y: xp.tile(x, (2, 1)),
    "take": lambda xp, x, y: xp.take(x, xp.asarray([2, 0]), axis=1),
    "take_along_axis": lambda xp, x, y: xp.take_along_axis(x, xp.asarray([[2, 0]]), axis=1),
    "searchsorted": lambda xp, x, y: xp.searchsorted(xp.sort(x[0, :]), y[0, :]),
    "full_like": lambda xp, x, y: xp.full_like(x, 2.0),
    "empty_like": lambda xp, x, y: 0 * xp.empty_like(xp.astype(x, xp.int64)),
    "arange": lambda xp, x, y: xp.arange(1, 7, 2),
    "asarray": lambda xp, x, y: xp.asarray([[1.0, 2.0]], dtype=xp.float32),
    "empty": lambda xp, x, y: 0 * xp.empty((2, 3), dtype=xp.int64),
    "eye": lambda xp, x, y: xp.eye(3, 4, k=1),
    "from_dlpack": lambda xp, x, y: xp.from_dlpack(xp.asarray([1.0, 2.0])),
    "full": lambda xp, x, y: xp.full((2, 3), 4.0),
    "linspace": lambda xp, x, y: xp.linspace(0.0, 1.0, 4),
    "ones": lambda xp, x, y: xp.ones((2, 3)),
    "zeros": lambda xp, x, y: xp.zeros(3, dtype=xp.int8),
    **{
        f"linalg.{name}": lambda xp, x, y, name=name: getattr(xp.linalg, name)(x + xp.eye(3))
        for name in LINALG_OF_ONE.split()
    },
    **{f"linalg.{name}": lambda xp, x, y, name=name: getattr(xp.linalg, name)(x, y) for name in LINALG_OF_TWO.split()},
    "linalg.cholesky": lambda xp, x, y: xp.linalg.cholesky(_definite(xp, x)),
    "linalg.eigh": lambda xp, x, y: xp.linalg.eigh(_definite(xp, x)),
    "linalg.eigvalsh": lambda xp, x, y: xp.linalg.eigvalsh(_definite(xp, x)),
    "linalg.matrix_power": lambda xp, x, y: xp.linalg.matrix_power(x, 3),
    "linalg.outer": lambda xp, x, y: xp.linalg.outer(x[0, :], y[0, :]),
    "linalg.qr": lambda xp, x, y: xp.linalg.qr(x),
    "linalg.svd": lambda xp, x, y: xp.linalg.svd(x, full_matrices=False),
    "linalg.vector_norm": lambda xp, x, y: xp.linalg.vector_norm(x, axis=1),
    "fft.fftfreq": lambda xp, x, y: xp.fft.fftfreq(4),
    "fft.rfftfreq": lambda xp, x, y: xp.fft.rfftfreq(4),
    "fft.fftshift": lambda xp, x, y: xp.fft.fftshift(x),
    "fft.ifftshift": lambda xp, x, y: xp.fft.ifftshift(x),
    **{
        f"fft.{name}": lambda xp, x, y, name=name: getattr(xp.fft, name)(xp.astype(x, xp.complex128))
        for name in FFT_OF_COMPLEX.split()
    },
    **{f"fft.{name}": lambda xp, x, y, name=name: getattr(xp.fft, name)(x) for name in FFT_OF_REAL.split()},
}


def parts(result: Any) -> list[np.ndarray[Any, Any]]:
    """The arrays in a result, as NumPy's."""
    if isinstance(result, (tuple, list)) and not all(isinstance(x, int) for x in result):
        return [array for part in result for array in parts(part)]
    return [np.asarray(result)]
