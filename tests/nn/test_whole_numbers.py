"""Layers and losses of whole numbers and booleans, which are those of the same real numbers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_lite import nn

F = nn.functional
ROWS: dict[str, Callable[..., Any]] = {
    "softmax": F.softmax,
    "softmin": F.softmin,
    "log_softmax": F.log_softmax,
    "logsumexp": lambda x: F.logsumexp(x, axis=1),
    "logsigmoid": F.logsigmoid,
    "sigmoid": F.sigmoid,
    "silu": F.silu,
    "glu": F.glu,
    "mse_loss": lambda x: F.mse_loss(x, x[::-1]),
    "l1_loss": lambda x: F.l1_loss(x, x[::-1]),
    "huber_loss": lambda x: F.huber_loss(x, x[::-1]),
    "smooth_l1_loss": lambda x: F.smooth_l1_loss(x, x[::-1]),
    "cross_entropy": lambda x: F.cross_entropy(x, np.array([0, 1, 2, 3])),
    "cross_entropy smoothed": lambda x: F.cross_entropy(x, np.array([0, 1, 2, 3]), label_smoothing=0.1),
    "LayerNorm": nn.LayerNorm(6),
    "RMSNorm": nn.RMSNorm(6),
    "BatchNorm1d": lambda x: nn.BatchNorm1d(6)(x),
    "GroupNorm": nn.GroupNorm(2, 6),
    "Linear": nn.Linear(6, 2, rng=0),
}
IMAGES: dict[str, Callable[..., Any]] = {
    "avg_pool2d": lambda x: F.avg_pool2d(x, 2),
    "avg_pool2d padded": lambda x: F.avg_pool2d(x, 3, stride=2, padding=1),
    "lp_pool2d": lambda x: F.lp_pool2d(x, 2, 2),
    "max_pool2d": lambda x: F.max_pool2d(x, 2),
    "max_pool2d padded": lambda x: F.max_pool2d(x, 3, stride=2, padding=1),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, 2),
    "local_response_norm": lambda x: F.local_response_norm(x, 2),
    "instance_norm": lambda x: nn.InstanceNorm2d(3)(x),
    "batch_norm": lambda x: nn.BatchNorm2d(3)(x),
    "Conv2d": nn.Conv2d(3, 2, 3, rng=0),
    "Upsample": nn.Upsample(scale_factor=2, mode="bilinear"),
}


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "int64"])
@pytest.mark.filterwarnings("error")
def test_narrow_dtypes_do_not_overflow(dtype: str) -> None:
    rng = np.random.default_rng(0)
    low, high = {"b": (0, 2), "u": (0, 256)}.get(np.dtype(dtype).kind, (-128, 128))
    for functions, shape in ((ROWS, (4, 6)), (IMAGES, (2, 3, 6, 6))):
        x = rng.integers(low, high, shape).astype(dtype)
        for name, f in functions.items():
            found, expected = (np.asarray(getattr(y, "data", y)) for y in (f(x), f(x.astype(float))))
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12, err_msg=name)
