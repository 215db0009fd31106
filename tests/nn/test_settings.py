"""Settings of layers and losses: numbers may be NumPy's, and anything of the wrong type is refused."""

from collections.abc import Iterator
from inspect import signature
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.nn import functional as F
from tinygrad_lite.trees import leaves

r = np.random.default_rng(0)
IMAGES, LINES, SEQUENCE, ROWS = (r.normal(size=s) for s in ((2, 4, 6, 6), (2, 4, 6), (4, 2, 8), (5, 4)))
PROBABILITIES, CLASSES, NUMBERS = r.random((5, 4)), r.integers(0, 4, 5), np.array([[0, 1], [4, 2]])
SPEECH = np.log(np.full((6, 2, 4), 0.25)), np.array([[1, 2], [2, 3]]), np.array([6, 6]), np.array([2, 2])

LAYERS: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
    "Linear": ((4, 3), (ROWS,)),
    "Bilinear": ((4, 4, 2), (ROWS, ROWS)),
    "Conv1d": ((4, 3, 3), (LINES,)),
    "Conv2d": ((4, 3, 3), (IMAGES,)),
    "ConvTranspose2d": ((4, 3, 3), (IMAGES,)),
    "MaxPool2d": ((2,), (IMAGES,)),
    "AvgPool2d": ((2,), (IMAGES,)),
    "LPPool2d": ((2, 2), (IMAGES,)),
    "AdaptiveAvgPool2d": ((2,), (IMAGES,)),
    "AdaptiveMaxPool1d": ((2,), (LINES,)),
    "ZeroPad2d": ((1,), (IMAGES,)),
    "ReflectionPad1d": ((1,), (LINES,)),
    "PixelShuffle": ((2,), (IMAGES,)),
    "Upsample": ((2,), (IMAGES,)),
    "Unfold": ((2,), (IMAGES,)),
    "Fold": (((4, 4), 2), (r.normal(size=(1, 8, 9)),)),
    "BatchNorm1d": ((4,), (ROWS,)),
    "LayerNorm": ((4,), (ROWS,)),
    "GroupNorm": ((2, 4), (ROWS,)),
    "InstanceNorm2d": ((4,), (IMAGES,)),
    "RMSNorm": ((4,), (ROWS,)),
    "RNN": ((8, 4), (SEQUENCE,)),
    "LSTM": ((8, 4), (SEQUENCE,)),
    "GRU": ((8, 4), (SEQUENCE,)),
    "LSTMCell": ((4, 3), (ROWS,)),
    "MultiheadAttention": ((8, 2), (SEQUENCE,) * 3),
    "TransformerEncoderLayer": ((8, 2), (SEQUENCE,)),
    "TransformerDecoderLayer": ((8, 2), (SEQUENCE,) * 2),
    "Transformer": ((8, 2, 1, 1, 16), (SEQUENCE,) * 2),
    "Embedding": ((5, 3), (NUMBERS,)),
    "EmbeddingBag": ((5, 3), (NUMBERS,)),
    "Dropout": ((0.5,), (ROWS,)),
    "AlphaDropout": ((0.5,), (ROWS,)),
    "PReLU": ((), (ROWS,)),
    "Hardtanh": ((), (ROWS,)),
    "CrossEntropyLoss": ((), (ROWS, CLASSES)),
    "SmoothL1Loss": ((), (ROWS, PROBABILITIES)),
    "HuberLoss": ((), (ROWS, PROBABILITIES)),
    "TripletMarginLoss": ((), (ROWS, ROWS + 1, PROBABILITIES)),
    "GaussianNLLLoss": ((), (ROWS, ROWS, PROBABILITIES)),
    "CTCLoss": ((), SPEECH),
}
"""For each layer, or one of its kind, what makes it and what it takes."""
OTHERS = {"text": "a", "a mapping": {}}
TELLING = {"stride": 1, "padding": 1, "dilation": 2}
"""Values other than the usual ones, which would be taken if a layer did not see them."""
UNUSED = {("Embedding", "norm_type"), ("EmbeddingBag", "norm_type"), ("InstanceNorm2d", "momentum")}
"""Settings that count together with another alone."""


def settings() -> Iterator[tuple[str, str, Any]]:
    """Each setting of each layer that is a number or some."""
    for name, (given, _) in LAYERS.items():
        for i, setting in enumerate(signature(getattr(nn, name)).parameters.values()):
            value = given[i] if i < len(given) else setting.default
            if name != "Fold" and isinstance(value, (int, type(None))):
                value = TELLING.get(setting.name, value)
            if isinstance(value, (int, float, tuple)) and not isinstance(value, bool):
                yield name, setting.name, value


def called(name: str, **changed: Any) -> list[Any]:
    """The arrays that a layer with a changed setting makes of its inputs."""
    given, inputs = LAYERS[name]
    function = getattr(nn, name)
    drawing = {"rng": 0} if "rng" in signature(function).parameters else {}
    tensors = [tg.tensor(x) if x.dtype.kind == "f" else x for x in inputs]
    result = function(**signature(function).bind(*given).arguments | drawing | changed)(*tensors)
    return [x.detach().numpy() for x in leaves(result)]


@pytest.mark.parametrize("name", LAYERS)
def test_the_settings_are_right_otherwise(name: str) -> None:
    called(name)


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize(("name", "setting"), [x[:2] for x in settings() if x[:2] not in UNUSED])
def test_settings_of_another_kind_are_refused(name: str, setting: str, kind: str) -> None:
    with pytest.raises((TypeError, ValueError)):
        called(name, **{setting: OTHERS[kind]})


def as_numpys(value: Any, number: int) -> Any:
    """A number of NumPy's, or a tuple or an array of some."""
    if isinstance(value, tuple):
        return np.array(value) if number else tuple(map(np.int64, value))
    return (np.int64, np.int32)[number](value) if isinstance(value, int) else (np.float64, np.float32)[number](value)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(("name", "setting", "value"), [*settings()])
def test_numbers_may_be_numpys(name: str, setting: str, value: Any, number: int) -> None:
    expected, made = (called(name, **{setting: x}) for x in (value, as_numpys(value, number)))
    for a, b in zip(expected, made, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-6, atol=1e-6)  # 0.1 is another number in single precision


CONVOLVING = ("stride", "padding", "dilation")
REMEMBERING: dict[str, Any] = {
    **{f"conv2d, {name}": lambda x, n, name=name: F.conv2d(x, x[:, :, :1, :1], **{name: n}) for name in CONVOLVING},
    **{
        f"conv_transpose2d, {name}": lambda x, n, name=name: F.conv_transpose2d(x, x[:, :, :1, :1], **{name: n})
        for name in CONVOLVING
    },
    "avg_pool2d": lambda x, n: F.avg_pool2d(x, n),
    "max_pool2d": lambda x, n: F.max_pool2d(x, 1, n),
    "adaptive_avg_pool2d": lambda x, n: F.adaptive_avg_pool2d(x, n),
    "interpolate": lambda x, n: F.interpolate(x, size=n),
    "unfold": lambda x, n: F.unfold(x, n),
}


@pytest.mark.parametrize("name", REMEMBERING)
def test_what_was_right_before_does_not_hide_what_is_wrong(name: str) -> None:
    """Checks are remembered, and 1, 1.0 and True are equal."""
    x = np.ones((1, 1, 4, 4))
    for right in (1, (1, 1), [1, 1], np.array([1, 1])):
        REMEMBERING[name](x, right)
        for wrong in (True, 1.0, (1, 1.0), (True, 1), [1, True], np.array([1.0, 1.0]), [[1], 1], np.array([[1, 1]])):
            with pytest.raises((TypeError, ValueError)):
                REMEMBERING[name](x, wrong)


def test_settings_that_change_are_read_anew() -> None:
    x, factor, factors = np.ones((1, 1, 4)), tg.tensor(2.0), [2.0]
    assert F.interpolate(x, scale_factor=factor).shape == F.interpolate(x, scale_factor=factors).shape == (1, 1, 8)
    factor.data, factors[0] = np.array(3.0), 3.0
    assert F.interpolate(x, scale_factor=factor).shape == F.interpolate(x, scale_factor=factors).shape == (1, 1, 12)
    with pytest.raises(ValueError, match="knows the modes"):
        F.interpolate(x, scale_factor=2, mode=["nearest"])  # type: ignore[arg-type]
