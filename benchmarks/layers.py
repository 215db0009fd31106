"""What a layer or a loss costs by itself: forward and backward on a few numbers, beside PyTorch, on one thread.

    python -m benchmarks.layers [--all]

prints the geometric mean and the slowest layer of each family; with `--all`, each layer. On inputs this small, the time
is that of the checks and of Python, which a model pays for each of its layers.
"""

import argparse
from collections.abc import Callable
from math import exp, log
from statistics import mean
from typing import Any

import numpy as np

import tinygrad_lite as tg
from benchmarks.programs.__main__ import PEERS_AS_NUMPY, start_again_where_times_compare
from benchmarks.timing import Step, compare

Layer = tuple[Callable[[Any], Any], tuple[Any, ...]]
RNG = np.random.default_rng(0)


class Constant:
    """An input without a gradient: class numbers, probabilities, signs."""

    def __init__(self, array: Any) -> None:
        self.array = array


def x(*shape: int) -> Any:
    return RNG.uniform(0.1, 0.9, shape)


def classes(count: int, *shape: int) -> Constant:
    return Constant(RNG.integers(0, count, shape))


def fractions(*shape: int) -> Constant:
    return Constant(x(*shape))


def signs(*shape: int) -> Constant:
    return Constant(RNG.choice([-1.0, 1.0], shape))


ACTIVATIONS = (
    "CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid Mish PReLU ReLU ReLU6 SELU SiLU "
    "Sigmoid Softplus Softshrink Softsign Tanh Tanhshrink"
)
FAMILIES: dict[str, dict[str, Layer]] = {
    "convolution": {
        "Conv1d": (lambda nn: nn.Conv1d(2, 2, 2), (x(2, 2, 3),)),
        "Conv2d": (lambda nn: nn.Conv2d(2, 2, 2), (x(2, 2, 3, 3),)),
        "Conv2d, padded": (lambda nn: nn.Conv2d(2, 2, 3, padding=1, bias=False), (x(2, 2, 3, 3),)),
        "Conv2d, depthwise": (lambda nn: nn.Conv2d(2, 2, 2, groups=2), (x(2, 2, 3, 3),)),
        "Conv3d": (lambda nn: nn.Conv3d(1, 1, 2), (x(1, 1, 2, 2, 2),)),
        "ConvTranspose2d": (lambda nn: nn.ConvTranspose2d(2, 2, 2, stride=2), (x(2, 2, 2, 2),)),
        "Unfold": (lambda nn: nn.Unfold(2), (x(1, 1, 3, 3),)),
        "Fold": (lambda nn: nn.Fold((3, 3), 2), (x(1, 4, 4),)),
    },
    "pooling, padding, upsampling": {
        "MaxPool2d": (lambda nn: nn.MaxPool2d(2), (x(1, 1, 4, 4),)),
        "MaxPool2d, overlapping": (lambda nn: nn.MaxPool2d(3, 2), (x(1, 1, 5, 5),)),
        "AvgPool2d": (lambda nn: nn.AvgPool2d(2), (x(1, 1, 4, 4),)),
        "AvgPool2d, padded": (lambda nn: nn.AvgPool2d(3, 2, 1), (x(1, 1, 4, 4),)),
        "LPPool2d": (lambda nn: nn.LPPool2d(2, 2), (x(1, 1, 4, 4),)),
        "AdaptiveAvgPool2d": (lambda nn: nn.AdaptiveAvgPool2d(2), (x(1, 1, 4, 4),)),
        "AdaptiveMaxPool2d": (lambda nn: nn.AdaptiveMaxPool2d(2), (x(1, 1, 4, 4),)),
        "ZeroPad2d": (lambda nn: nn.ZeroPad2d(1), (x(1, 1, 2, 2),)),
        "ReflectionPad2d": (lambda nn: nn.ReflectionPad2d(1), (x(1, 1, 3, 3),)),
        "CircularPad2d": (lambda nn: nn.CircularPad2d(1), (x(1, 1, 3, 3),)),
        "Upsample": (lambda nn: nn.Upsample(scale_factor=2), (x(1, 1, 2, 2),)),
        "Upsample, bilinear": (lambda nn: nn.Upsample(scale_factor=2, mode="bilinear"), (x(1, 1, 2, 2),)),
        "PixelShuffle": (lambda nn: nn.PixelShuffle(2), (x(1, 4, 2, 2),)),
    },
    "normalisation": {
        "BatchNorm1d": (lambda nn: nn.BatchNorm1d(2), (x(4, 2),)),
        "BatchNorm2d": (lambda nn: nn.BatchNorm2d(2), (x(2, 2, 2, 2),)),
        "BatchNorm2d, evaluating": (lambda nn: nn.BatchNorm2d(2).eval(), (x(2, 2, 2, 2),)),
        "LayerNorm": (lambda nn: nn.LayerNorm(4), (x(2, 4),)),
        "GroupNorm": (lambda nn: nn.GroupNorm(2, 4), (x(2, 4, 2),)),
        "InstanceNorm2d": (lambda nn: nn.InstanceNorm2d(2), (x(1, 2, 2, 2),)),
        "RMSNorm": (lambda nn: nn.RMSNorm(4), (x(2, 4),)),
        "LocalResponseNorm": (lambda nn: nn.LocalResponseNorm(2), (x(1, 4, 2),)),
    },
    "recurrent and attention": {
        "RNN": (lambda nn: nn.RNN(2, 2), (x(3, 1, 2),)),
        "LSTM": (lambda nn: nn.LSTM(2, 2), (x(3, 1, 2),)),
        "GRU": (lambda nn: nn.GRU(2, 2), (x(3, 1, 2),)),
        "RNNCell": (lambda nn: nn.RNNCell(2, 2), (x(1, 2),)),
        "LSTMCell": (lambda nn: nn.LSTMCell(2, 2), (x(1, 2),)),
        "GRUCell": (lambda nn: nn.GRUCell(2, 2), (x(1, 2),)),
        "MultiheadAttention": (lambda nn: nn.MultiheadAttention(4, 2, batch_first=True), (x(1, 3, 4),) * 3),
        "TransformerEncoderLayer": (lambda nn: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), (x(1, 3, 4),)),
        "TransformerDecoderLayer": (
            lambda nn: nn.TransformerDecoderLayer(4, 2, 8, batch_first=True),
            (x(1, 3, 4),) * 2,
        ),
    },
    "activations": {name: (lambda nn, name=name: getattr(nn, name)(), (x(2, 4),)) for name in ACTIVATIONS.split()}
    | {name: (lambda nn, name=name: getattr(nn, name)(-1), (x(2, 4),)) for name in ("LogSoftmax", "Softmax")},
    "linear, embedding, dropout": {
        "Linear": (lambda nn: nn.Linear(2, 2), (x(2, 2),)),
        "Bilinear": (lambda nn: nn.Bilinear(2, 2, 2), (x(2, 2), x(2, 2))),
        "Embedding": (lambda nn: nn.Embedding(5, 3), (classes(5, 2, 3),)),
        "EmbeddingBag": (lambda nn: nn.EmbeddingBag(5, 3), (classes(5, 2, 3),)),
        "Flatten": (lambda nn: nn.Flatten(), (x(2, 2, 2),)),
        "Dropout": (lambda nn: nn.Dropout(0.3), (x(2, 4),)),
        "AlphaDropout": (lambda nn: nn.AlphaDropout(0.3), (x(2, 4),)),
        "CosineSimilarity": (lambda nn: nn.CosineSimilarity(), (x(2, 4), x(2, 4))),
        "PairwiseDistance": (lambda nn: nn.PairwiseDistance(), (x(2, 4), x(2, 4))),
    },
    "losses": {
        "BCELoss": (lambda nn: nn.BCELoss(), (x(4), fractions(4))),
        "BCEWithLogitsLoss": (lambda nn: nn.BCEWithLogitsLoss(), (x(4), fractions(4))),
        "CosineEmbeddingLoss": (lambda nn: nn.CosineEmbeddingLoss(), (x(2, 4), x(2, 4), signs(2))),
        "CrossEntropyLoss": (lambda nn: nn.CrossEntropyLoss(), (x(4, 3), classes(3, 4))),
        "CrossEntropyLoss, smoothed": (
            lambda nn: nn.CrossEntropyLoss(label_smoothing=0.1),
            (x(4, 3), classes(3, 4)),
        ),
        "GaussianNLLLoss": (lambda nn: nn.GaussianNLLLoss(), (x(4), fractions(4), x(4))),
        "HingeEmbeddingLoss": (lambda nn: nn.HingeEmbeddingLoss(), (x(4), signs(4))),
        "HuberLoss": (lambda nn: nn.HuberLoss(), (x(4), fractions(4))),
        "KLDivLoss": (lambda nn: nn.KLDivLoss(reduction="batchmean"), (x(4, 3), fractions(4, 3))),
        "L1Loss": (lambda nn: nn.L1Loss(), (x(4), fractions(4))),
        "MSELoss": (lambda nn: nn.MSELoss(), (x(4), fractions(4))),
        "MarginRankingLoss": (lambda nn: nn.MarginRankingLoss(), (x(4), x(4), signs(4))),
        "MultiLabelSoftMarginLoss": (lambda nn: nn.MultiLabelSoftMarginLoss(), (x(4, 3), fractions(4, 3))),
        "MultiMarginLoss": (lambda nn: nn.MultiMarginLoss(), (x(4, 3), classes(3, 4))),
        "NLLLoss": (lambda nn: nn.NLLLoss(), (x(4, 3), classes(3, 4))),
        "PoissonNLLLoss": (lambda nn: nn.PoissonNLLLoss(), (x(4), fractions(4))),
        "SmoothL1Loss": (lambda nn: nn.SmoothL1Loss(), (x(4), fractions(4))),
        "SoftMarginLoss": (lambda nn: nn.SoftMarginLoss(), (x(4), signs(4))),
        "TripletMarginLoss": (lambda nn: nn.TripletMarginLoss(), (x(2, 4), x(2, 4), x(2, 4))),
    },
}


def step(layer: Any, leaf: Callable[[Any], Any], constant: Callable[[Any], Any], inputs: tuple[Any, ...]) -> Step:
    """One forward and one backward pass through a layer, from the sum of its first result."""
    inputs = tuple(constant(part.array) if isinstance(part, Constant) else leaf(part) for part in inputs)

    def run() -> None:
        result = layer(*inputs)
        result = result[0] if isinstance(result, tuple) else result
        (result if result.ndim == 0 else result.sum()).backward()

    return run


def contestants(layer: Layer) -> dict[str, Step]:
    """The layer in both libraries, PyTorch's first."""
    import torch

    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    make, inputs = layer
    return {
        "PyTorch": step(make(torch.nn), lambda a: torch.tensor(a, requires_grad=True), torch.tensor, inputs),
        "tinygrad_lite": step(make(tg.nn), lambda a: tg.tensor(a, requires_grad=True), np.asarray, inputs),
    }


def table(shows_all: bool = False) -> list[str]:
    """For each family, the geometric mean of the ratios to PyTorch's time, and the slowest layer."""
    lines = [
        "## Layers and losses on a few numbers, forward and backward",
        "",
        "On inputs this small, the time is that of checks and of Python, which a model pays for each of its layers.",
        "`python -m benchmarks.layers --all` prints each of them.",
        "",
        "| | layers | to PyTorch, geometric mean | the slowest |",
        "|---|---:|---:|---|",
    ]
    every: list[float] = []
    for family, layers in FAMILIES.items():
        times = {name: compare(contestants(layer), 9, 0.005)["tinygrad_lite"] for name, layer in layers.items()}
        ratios = {name: ratio for name, (_, ratio) in times.items()}
        slowest = max(ratios, key=ratios.__getitem__)
        lines.append(f"| {family} | {len(ratios)} | {_mean(ratios.values()):.2f} | {slowest}, {ratios[slowest]:.2f} |")
        if shows_all:
            lines += [f"| {name} | {time:.0f} µs | {ratio:.2f} | |" for name, (time, ratio) in times.items()]
        every += ratios.values()
    return [*lines, f"| all | {len(every)} | {_mean(every):.2f} | |"]


def _mean(ratios: Any) -> float:
    return exp(mean(map(log, ratios)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="print each layer")
    arguments = parser.parse_args()
    start_again_where_times_compare("benchmarks.layers", PEERS_AS_NUMPY)
    print("\n".join(table(arguments.all)))


if __name__ == "__main__":
    main()
