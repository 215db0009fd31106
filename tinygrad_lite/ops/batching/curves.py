"""Convolutions of curves, and look-ups in sorted points, on a stack of examples."""

from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Op
from tinygrad_lite.engine.registry import operation
from tinygrad_lite.ops.batching.rules import Argument, OneByOneError, number_of_examples, one_by_one, rule_of


@rule_of("convolve")
def _convolve(op: Op, a: Argument, v: Argument, mode: str = "full") -> Array:
    """Each curve is a channel, and the shorter one is its kernel, turned round."""
    signal, kernel = (a, v) if a.shape[-1] >= v.shape[-1] else (v, a)
    size, count = kernel.shape[-1], number_of_examples((a, v))
    channels = np.expand_dims(signal.repeated(count), 0)
    kernels = np.expand_dims(np.flip(kernel.repeated(count), -1), 1)
    if not channels.dtype == kernels.dtype == float:
        raise OneByOneError
    padding = {"full": (size - 1, size - 1), "same": (size // 2, (size - 1) // 2), "valid": (0, 0)}[mode]
    params = {"stride": (1,), "padding": (padding,), "dilation": (1,), "groups": count}
    return operation("convolution")(channels, kernels, **params)[0]


@rule_of("interp")
def _interp(op: Op, x: Argument, xp: Argument, fp: Argument, **params: Any) -> Array:
    return one_by_one() if xp.is_stack or fp.is_stack else op(x.array, xp.array, fp.array, **params)


@rule_of("searchsorted")
def _searchsorted(op: Op, a: Argument, v: Argument, side: str = "left", sorter: Any = None) -> Array:
    return one_by_one() if a.is_stack else op(a.array, v.array, side=side, sorter=sorter)


@rule_of("digitize")
def _digitize(op: Op, x: Argument, bins: Argument, right: bool = False) -> Array:
    return one_by_one() if bins.is_stack else op(x.array, bins.array, right=right)
