"""Training steps of models as people write them, beside PyTorch on one thread: one definition for both libraries.

    python -m benchmarks.models [names …]

A step sets gradients to zero, computes a loss, calls `backward()`, and lets Adam update the parameters, in float32.
These models were written after the layers that they are made of, to see what the layers cost in them.
"""

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from statistics import geometric_mean
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any
from unittest import mock

import numpy as np

import tinygrad_lite as tg
from benchmarks.programs.__main__ import PEERS_AS_NUMPY, start_again_where_times_compare
from benchmarks.programs.contest import tensors, training_step
from benchmarks.programs.peers import torch
from benchmarks.timing import Step, compare

Case = tuple[Any, Callable[..., Any], tuple[Any, ...]]
"""A model, its loss of (model, *data), and the data."""

MODELS: dict[str, tuple[str, Callable[[Any, Any, Any, np.random.Generator], Case]]] = {}
"""By name: a title, and what makes the case of a library from its `nn`, its functions F, its arrays and numbers."""

INTRODUCTION = """\
## Training steps of models

Each model is written once, for both libraries, in [benchmarks/models.py](../benchmarks/models.py). A step sets
gradients to zero, computes a loss, calls `backward()`, and lets Adam update the parameters, in float32 on one thread.
The first three losses must agree to 1e-4. The last columns are those of the same step under `tg.compile`: its time, and
the seconds of its first three calls, in which it is recorded and compiled.
"""

STEPS = 3
TOLERANCE = 1e-4
"""The number of losses that must agree before anything is timed, and how closely."""


def model(title: str) -> Callable[[Any], Any]:
    """Add a model to the registry."""

    def register(make: Any) -> Any:
        MODELS[make.__name__] = title, make
        return make

    return register


def _numbers(rng: np.random.Generator, *shape: int) -> Any:
    return rng.normal(size=shape).astype(np.float32)


def _of_predictions(loss: Callable[..., Any]) -> Callable[..., Any]:
    """The loss of a model's predictions for x, against y."""
    return lambda model, x, y: loss(model(x), y)


@model("U-Net on 4 images of 16 × 16 pixels, two levels")
def unet(nn: Any, F: Any, xp: Any, rng: np.random.Generator) -> Case:
    class UNet(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.down1, self.down2 = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
            self.pool, self.up = nn.MaxPool2d(2), nn.ConvTranspose2d(16, 8, 2, stride=2)
            self.across, self.head = nn.Conv2d(16, 8, 3, padding=1), nn.Conv2d(8, 2, 1)

        def forward(self, x: Any) -> Any:
            fine = F.relu(self.down1(x))
            coarse = F.relu(self.down2(self.pool(fine)))
            return self.head(F.relu(self.across(xp.concatenate([fine, self.up(coarse)], 1))))

    data = _numbers(rng, 4, 1, 16, 16), rng.integers(0, 2, (4, 16, 16))
    return UNet(), _of_predictions(F.cross_entropy), data


@model("LeNet on 16 images of 28 × 28 pixels")
def lenet(nn: Any, F: Any, xp: Any, rng: np.random.Generator) -> Case:
    network = nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)),
    )
    data = _numbers(rng, 16, 1, 28, 28), rng.integers(0, 10, 16)
    return network, _of_predictions(F.cross_entropy), data


@model("block of MobileNet: 8 images of 8 channels and 12 × 12 pixels, widened to 32 channels")
def mobile_block(nn: Any, F: Any, xp: Any, rng: np.random.Generator) -> Case:
    block = nn.Sequential(
        *(nn.Conv2d(8, 32, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6()),
        *(nn.Conv2d(32, 32, 3, padding=1, groups=32, bias=False), nn.BatchNorm2d(32), nn.ReLU6()),
        *(nn.Conv2d(32, 8, 1, bias=False), nn.BatchNorm2d(8)),
    )
    data = _numbers(rng, 8, 8, 12, 12), _numbers(rng, 8, 8, 12, 12)
    return block, lambda model, x, y: F.mse_loss(model(x) + x, y), data


@model("residual block with group normalisation: 8 images of 16 channels and 8 × 8 pixels")
def group_block(nn: Any, F: Any, xp: Any, rng: np.random.Generator) -> Case:
    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.norm1 = nn.Conv2d(16, 16, 3, padding=1), nn.GroupNorm(4, 16)
            self.conv2, self.norm2 = nn.Conv2d(16, 16, 3, padding=1), nn.GroupNorm(4, 16)

        def forward(self, x: Any) -> Any:
            return F.silu(x + self.norm2(self.conv2(F.silu(self.norm1(self.conv1(x))))))

    data = _numbers(rng, 8, 16, 8, 8), _numbers(rng, 8, 16, 8, 8)
    return Block(), _of_predictions(F.mse_loss), data


@model("squeeze and excitation: 8 images of 8 channels and 10 × 10 pixels")
def squeeze(nn: Any, F: Any, xp: Any, rng: np.random.Generator) -> Case:
    class Squeeze(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(8, 16, 3, padding=1), nn.Linear(16, 5)
            self.narrow, self.widen = nn.Linear(16, 4), nn.Linear(4, 16)

        def forward(self, x: Any) -> Any:
            x = F.relu(self.conv(x))
            weight = F.sigmoid(self.widen(F.relu(self.narrow(x.mean((2, 3))))))
            return self.head((x * weight[:, :, None, None]).mean((2, 3)))

    data = _numbers(rng, 8, 8, 10, 10), rng.integers(0, 5, 8)
    return Squeeze(), _of_predictions(F.cross_entropy), data


@model("DenseNet's block: 8 images of 8 × 8 pixels, four convolutions that grow 8 channels to 24")
def dense_block(nn: Any, F: Any, xp: Any, rng: np.random.Generator) -> Case:
    class Dense(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Conv2d(8 + 4 * i, 4, 3, padding=1) for i in range(4)])
            self.head = nn.Linear(24, 5)

        def forward(self, x: Any) -> Any:
            for layer in self.layers:
                x = xp.concatenate([x, F.relu(layer(x))], 1)
            return self.head(x.mean((2, 3)))

    data = _numbers(rng, 8, 8, 8, 8), rng.integers(0, 5, 8)
    return Dense(), _of_predictions(F.cross_entropy), data


@model("generator of a DCGAN: 8 images of 16 × 16 pixels")
def generator(nn: Any, F: Any, xp: Any, rng: np.random.Generator) -> Case:
    network = nn.Sequential(
        *(nn.ConvTranspose2d(16, 16, 4), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.ConvTranspose2d(16, 8, 4, 2, 1), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.ConvTranspose2d(8, 1, 4, 2, 1), nn.Tanh()),
    )
    data = _numbers(rng, 8, 16, 1, 1), _numbers(rng, 8, 1, 16, 16)
    return network, _of_predictions(F.mse_loss), data


@model("convolutional variational autoencoder: 16 images of 8 × 8 pixels")
def convolutional_vae(nn: Any, F: Any, xp: Any, rng: np.random.Generator) -> Case:
    class VAE(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.code = nn.Conv2d(1, 8, 4, 2, 1), nn.Linear(128, 8)
            self.decode, self.back = nn.Linear(4, 128), nn.ConvTranspose2d(8, 1, 4, 2, 1)

        def forward(self, x: Any, noise: Any) -> Any:
            code = self.code(F.relu(self.conv(x)).reshape(len(x), 128))
            mean, log_variance = code[:, :4], code[:, 4:]
            z = mean + xp.exp(0.5 * log_variance) * noise
            return self.back(F.relu(self.decode(z)).reshape(len(x), 8, 4, 4)), mean, log_variance

    def loss(model: Any, x: Any, noise: Any) -> Any:
        images, mean, log_variance = model(x, noise)
        return F.mse_loss(images, x) - 0.5 * (1 + log_variance - mean * mean - xp.exp(log_variance)).mean()

    return VAE(), loss, (_numbers(rng, 16, 1, 8, 8), _numbers(rng, 16, 4))


@model("network of 3-D convolutions: 4 volumes of 8 × 8 × 8")
def volumes(nn: Any, F: Any, xp: Any, rng: np.random.Generator) -> Case:
    network = nn.Sequential(
        *(nn.Conv3d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool3d(2), nn.Conv3d(6, 8, 3, padding=1), nn.ReLU()),
        *(nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(8, 2)),
    )
    data = _numbers(rng, 4, 1, 8, 8, 8), rng.integers(0, 2, 4)
    return network, _of_predictions(F.cross_entropy), data


@model("dilated convolutions over 16 series of 50 steps")
def dilated(nn: Any, F: Any, xp: Any, rng: np.random.Generator) -> Case:
    network = nn.Sequential(
        *(nn.Conv1d(4, 16, 3, padding=1), nn.ReLU(), nn.Conv1d(16, 16, 3, dilation=2, padding=2), nn.ReLU()),
        *(nn.Conv1d(16, 16, 3, dilation=4, padding=4), nn.ReLU(), nn.Conv1d(16, 1, 1)),
    )
    data = _numbers(rng, 16, 4, 50), _numbers(rng, 16, 1, 50)
    return network, _of_predictions(F.l1_loss), data


@model("autoencoder of 16 series of 64 steps, by strided convolutions")
def series_autoencoder(nn: Any, F: Any, xp: Any, rng: np.random.Generator) -> Case:
    network = nn.Sequential(
        *(nn.Conv1d(1, 8, 5, stride=2, padding=2), nn.ELU(), nn.Conv1d(8, 16, 5, stride=2, padding=2), nn.ELU()),
        *(nn.ConvTranspose1d(16, 8, 4, 2, 1), nn.ELU(), nn.ConvTranspose1d(8, 1, 4, 2, 1)),
    )
    return network, lambda model, x: F.mse_loss(model(x), x), (_numbers(rng, 16, 1, 64),)


@model("convolutions over words: 16 texts of 20 words")
def text_cnn(nn: Any, F: Any, xp: Any, rng: np.random.Generator) -> Case:
    class TextCNN(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.head = nn.Embedding(100, 16), nn.Linear(24, 2)
            self.convolutions = nn.ModuleList([nn.Conv1d(16, 8, size) for size in (2, 3, 4)])

        def forward(self, x: Any) -> Any:
            words = self.embedding(x).swapaxes(1, 2)
            maps = [F.relu(layer(words)) for layer in self.convolutions]
            return self.head(xp.concatenate([F.adaptive_max_pool1d(x, 1)[:, :, 0] for x in maps], 1))

    data = rng.integers(0, 100, (16, 20)), rng.integers(0, 2, 16)
    return TextCNN(), _of_predictions(F.cross_entropy), data


@model("bidirectional LSTM that tags 16 sentences of 15 words")
def tagger(nn: Any, F: Any, xp: Any, rng: np.random.Generator) -> Case:
    class Tagger(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.head = nn.Embedding(50, 16), nn.Linear(32, 7)
            self.lstm = nn.LSTM(16, 16, bidirectional=True, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.head(self.lstm(self.embedding(x))[0])

    data = rng.integers(0, 50, (16, 15)), rng.integers(0, 7, (16, 15))
    return Tagger(), lambda model, x, y: F.cross_entropy(model(x).swapaxes(1, 2), y), data


@model("RNN of two layers over 16 series of 20 steps")
def two_layer_rnn(nn: Any, F: Any, xp: Any, rng: np.random.Generator) -> Case:
    class Network(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head = nn.RNN(4, 24, num_layers=2, batch_first=True), nn.Linear(24, 1)

        def forward(self, x: Any) -> Any:
            return self.head(self.rnn(x)[0][:, -1])

    data = _numbers(rng, 16, 20, 4), _numbers(rng, 16, 1)
    return Network(), _of_predictions(F.mse_loss), data


@model("LSTMCell in a loop over 20 steps of 8 series")
def cell_in_a_loop(nn: Any, F: Any, xp: Any, rng: np.random.Generator) -> Case:
    class Network(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.LSTMCell(8, 16), nn.Linear(16, 1)

        def forward(self, x: Any) -> Any:
            h = c = xp.zeros((x.shape[1], 16), dtype=x.dtype)
            for t in range(len(x)):
                h, c = self.cell(x[t], (h, c))
            return self.head(h)

    data = _numbers(rng, 20, 8, 8), _numbers(rng, 8, 1)
    return Network(), _of_predictions(F.mse_loss), data


@model("layer of a transformer's encoder: 8 sequences of 20, width 32, 4 heads")
def encoder_layer(nn: Any, F: Any, xp: Any, rng: np.random.Generator) -> Case:
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
    data = _numbers(rng, 8, 20, 32), _numbers(rng, 8, 20, 32)
    return layer, _of_predictions(F.mse_loss), data


@model("MLP-Mixer of two blocks: 8 images of 16 patches, width 32")
def mixer(nn: Any, F: Any, xp: Any, rng: np.random.Generator) -> Case:
    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(32), nn.LayerNorm(32)
            self.patches = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
            self.channels = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32))

        def forward(self, x: Any) -> Any:
            x = x + self.patches(self.norm1(x).swapaxes(1, 2)).swapaxes(1, 2)
            return x + self.channels(self.norm2(x))

    data = _numbers(rng, 8, 16, 32), _numbers(rng, 8, 16, 32)
    return nn.Sequential(Block(), Block()), _of_predictions(F.mse_loss), data


@model("graph convolutions, two rounds: 60 nodes")
def graph(nn: Any, F: Any, xp: Any, rng: np.random.Generator) -> Case:
    class GCN(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(12, 16), nn.Linear(16, 4)

        def forward(self, x: Any, near: Any) -> Any:
            return self.second(near @ F.relu(self.first(near @ x)))

    near = (rng.random((60, 60)) < 0.1) + np.eye(60, dtype=np.float32)
    data = _numbers(rng, 60, 12), near / near.sum(axis=1, keepdims=True), rng.integers(0, 4, 60)
    return GCN(), lambda model, x, near, y: F.cross_entropy(model(x, near), y), data


@model("MLP with batch normalisation, 30-64-64-3, 64 rows")
def normalised_mlp(nn: Any, F: Any, xp: Any, rng: np.random.Generator) -> Case:
    network = nn.Sequential(
        *(nn.Linear(30, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU()),
        nn.Linear(64, 3),
    )
    return network, _of_predictions(F.cross_entropy), (_numbers(rng, 64, 30), rng.integers(0, 3, 64))


@model("MLP with LeakyReLU and SiLU, 30-64-64-1, 64 rows")
def mlp(nn: Any, F: Any, xp: Any, rng: np.random.Generator) -> Case:
    network = nn.Sequential(nn.Linear(30, 64), nn.LeakyReLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1))
    data = _numbers(rng, 64, 30), rng.integers(0, 2, (64, 1)).astype(np.float32)
    return network, _of_predictions(F.binary_cross_entropy_with_logits), data


@model("siamese network with the cosine loss: 32 pairs")
def siamese(nn: Any, F: Any, xp: Any, rng: np.random.Generator) -> Case:
    network = nn.Sequential(nn.Linear(20, 32), nn.Tanh(), nn.Linear(32, 8))
    data = _numbers(rng, 32, 20), _numbers(rng, 32, 20), np.sign(_numbers(rng, 32))
    return network, lambda model, a, b, y: F.cosine_embedding_loss(model(a), model(b), y), data


def in_numpy(name: str) -> Case:
    """The case here, with parameters that are the same each time."""
    network, loss, data = MODELS[name][1](tg.nn, tg.nn.functional, np, np.random.default_rng(0))
    network = network.to(np.float32)
    network.load_state_dict(_parameters(network), strict=False)
    return network, loss, data


def in_pytorch(name: str) -> Case:
    """The same case in PyTorch."""
    torch.set_num_threads(1)
    network, loss, data = MODELS[name][1](torch.nn, torch.nn.functional, torch, np.random.default_rng(0))
    network.load_state_dict(tensors(_parameters(network)), strict=False)
    return network, loss, tensors(data)


def ours(name: str) -> Step:
    """A training step here, on parameters that are the same each time."""
    network, loss, data = in_numpy(name)
    return training_step(network, loss, data, tg.optim.Adam(network.parameters()))


def pytorchs(name: str) -> Step:
    """The same step in PyTorch."""
    network, loss, data = in_pytorch(name)
    return training_step(network, loss, data, torch.optim.Adam(network.parameters()))


def _parameters(network: Any) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    shapes = {name: tuple(x.shape) for name, x in network.named_parameters()}
    return {name: _numbers(rng, *shape) / np.float32(max(shape) ** 0.5) for name, shape in shapes.items()}


def losses(step: Any) -> list[float]:
    """The losses of the first steps."""
    return [float(step()[0]) for _ in range(STEPS)]


def measured(name: str) -> tuple[float, float, float, float]:
    """Our µs, their ratio to PyTorch's, that of our native step, and the seconds of its first steps, compiled anew."""
    steps = {"PyTorch": pytorchs(name), "tinygrad_lite": ours(name), "native": tg.compile(ours(name), "native")}
    expected = losses(steps["PyTorch"])
    np.testing.assert_allclose(losses(steps["tinygrad_lite"]), expected, rtol=TOLERANCE)
    with TemporaryDirectory() as folder, mock.patch.dict(os.environ, TINYGRAD_LITE_CACHE=folder):
        start = perf_counter()
        np.testing.assert_allclose(losses(steps["native"]), expected, rtol=TOLERANCE)
        seconds = perf_counter() - start
    times = compare(steps, rounds=15, seconds_each=0.015)
    return *times["tinygrad_lite"], times["native"][1], seconds


def table(names: Sequence[str] = ()) -> Iterable[str]:
    """The section of the page, line by line as the rows are measured."""
    yield INTRODUCTION
    yield "| | µs | to PyTorch | native, to PyTorch | first calls, s |"
    yield "|---|---:|---:|---:|---:|"
    columns: list[tuple[float, ...]] = []
    for name in names or MODELS:
        columns.append(measured(name))
        time, ratio, native, seconds = columns[-1]
        yield f"| {MODELS[name][0]} | {time:.0f} | {ratio:.2f} | {native:.2f} | {seconds:.2f} |"
    _, ratios, natives, _ = zip(*columns)
    yield f"| geometric mean | | {geometric_mean(ratios):.2f} | {geometric_mean(natives):.2f} | |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help=f"all by default, or some of {', '.join(MODELS)}")
    names = parser.parse_args().names
    if unknown := {*names} - {*MODELS}:
        parser.error(f"there is no model {', '.join(sorted(unknown))}; there are {', '.join(MODELS)}")
    start_again_where_times_compare("benchmarks.models", PEERS_AS_NUMPY)
    for line in table(names):
        print(line, flush=True)


if __name__ == "__main__":
    main()
