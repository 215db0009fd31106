"""Padding of the last axes, as PyTorch orders the widths."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.nn.functional.checks import shape_of
from tinygrad_lite.nn.functional.sizes import check_axes

__all__ = ["pad"]

MODES = ("constant", "reflect", "replicate", "circular")
_NUMPYS: dict[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(input: Array, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Array:
    """The input with a border; the widths are (before, after) of the last axis, then of the axis before it, and so on.

    A negative width crops. The border holds the value (0 if it is None), or what "reflect", "replicate" or "circular"
    takes from the input: its mirror image, its edge, or what the other side shows. With these, the input is an image,
    (N, C, …) or (C, …), and all its axes behind C are padded.

    Raises:
        ShapeError: if the input has too few axes, or too few entries for a mirror image or a circular border.

    Example:
        >>> pad(np.array([1.0, 2.0, 3.0]), (1, 2))
        array([0., 1., 2., 3., 0., 0.])
        >>> pad(np.array([[1.0, 2.0, 3.0]]), (1, 2), "reflect")
        array([[2., 1., 2., 3., 2., 1.]])
    """
    shape = shape_of(input)
    if mode not in MODES:
        raise InputError(f"pad knows the modes {', '.join(MODES)}; got {mode!r}")
    if mode != "constant" and value:
        raise InputError(f"pad: the mode {mode!r} takes no value, got {value}")
    widths = [int(n) for n in pad]
    axes = len(widths) // 2
    if len(widths) % 2 or axes > len(shape):
        raise ShapeError(f"pad needs two widths for each of at most {len(shape)} axes, got {tuple(pad)}")
    pairs = [(0, 0)] * (len(shape) - axes) + [*zip(widths[::2], widths[1::2])][::-1]
    if mode != "constant":
        check_axes(f"pad with mode {mode!r} and widths {tuple(pad)}", shape, axes)
    grows_first = mode in ("reflect", "replicate")  # and something must be left
    if any(n + (a + b - 1 if grows_first else min(a, 0) + min(b, 0)) < 0 for n, (a, b) in zip(shape, pairs) if a or b):
        raise ShapeError(f"pad: the widths {tuple(pad)} take away more than an input of shape {shape} has")
    grown = [(max(a, 0), max(b, 0)) for a, b in pairs]
    if grown != pairs:  # a circular border starts from what is left, a mirror image or an edge from what was there
        if mode != "circular":
            input = _bordered(input, grown, mode, value)
        size = shape_of(input)
        input = input[tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(size, pairs))]
        if mode != "circular":
            return input
    return _bordered(input, grown, mode, value)


def _bordered(x: Array, pairs: list[tuple[int, int]], mode: str, value: float | None) -> Array:
    if mode == "constant":
        return np.pad(x, pairs, constant_values=value or 0) if any(map(any, pairs)) else x
    most = {"reflect": -1, "circular": 0, "replicate": np.inf}[mode]
    for n, pair in zip(shape_of(x), pairs):
        if max(pair) > max(n + most, 0) or (n == 0 and max(pair)):
            limit = "to an empty axis" if n == 0 else f"more than {n + most} entries to an axis of {n}"
            raise ShapeError(f"pad with mode {mode!r} cannot add {limit}; got an input of shape {shape_of(x)}")
    return np.pad(x, pairs, _NUMPYS[mode]) if any(map(any, pairs)) else x
