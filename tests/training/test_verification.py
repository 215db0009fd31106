"""`verify_training`: models that are right, planted faults, and that nothing changes."""

import itertools
import threading
import time
import warnings
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pytest

from tinygrad_lite import jvp, nn
from tinygrad_lite.errors import UsageError, VerificationError
from tinygrad_lite.nn import functional as F
from tinygrad_lite.optim import LBFGS, SGD, Adam
from tinygrad_lite.training import fit, verify_training

r = np.random.default_rng(0)
X, IMAGES, WORDS = r.normal(size=(32, 13)), r.normal(size=(16, 1, 8, 8)), r.integers(0, 20, (16, 12))
BINARY, THREE, REAL = r.integers(0, 2, (32, 1)) * 1.0, r.integers(0, 3, 32), r.normal(size=(32, 1))
DIGITS, SHORT = r.integers(0, 10, 16), X.astype(np.float32)


def linear(a: int, b: int, seed: int = 0, **settings: Any) -> nn.Linear:
    return nn.Linear(a, b, rng=seed, **settings)


def mlp(*widths: int, activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    layers: list[nn.Module] = []
    for k, (a, b) in enumerate(itertools.pairwise(widths)):
        layers += [activation()] * bool(k) + [linear(a, b, k)]
    return nn.Sequential(*layers)


class Made(nn.Module):
    """A module with these parts, whose forward is a function of itself and the inputs."""

    def __init__(self, function: Callable[..., Any], **parts: Any) -> None:
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return self.function(self, *inputs, **named)


def attention() -> nn.Module:
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, rng=0)
    encoder, embedding = nn.TransformerEncoder(layer, 2), nn.Embedding(20, 16, rng=0)
    return Made(
        lambda s, x: s.out(np.mean(s.encoder(s.embedding(x)), axis=1)),
        embedding=embedding,
        encoder=encoder,
        out=linear(16, 3),
    )


def variational() -> nn.Module:
    def forward(s: Any, x: Any) -> Any:
        mean, log_variance = s.mean(x), s.log_variance(x)
        return s.decoder(mean + np.exp(log_variance / 2) * s.rng.normal(size=mean.shape)), mean, log_variance

    rng = np.random.default_rng(0)
    return Made(forward, mean=linear(13, 4), log_variance=linear(13, 4, 1), decoder=linear(4, 13, 2), rng=rng)


def evidence(outputs: Any, targets: Any) -> Any:
    decoded, mean, log_variance = outputs
    return np.mean((decoded - targets) ** 2) + 1e-3 * np.mean(np.exp(log_variance) + mean**2 - 1 - log_variance)


def partial_likelihood(risk: Any, time: Any) -> Any:
    """Cox's, of deaths at these times: each among those who live as long."""
    lives = time[None, :] >= time[:, None]
    return -np.mean(risk[:, 0] - np.log(np.sum(np.exp(risk[:, 0])[None, :] * lives, axis=1)))


def best_line() -> nn.Linear:
    """The line of least squares through eight rows."""
    line = linear(3, 1)
    weights = np.linalg.lstsq(np.column_stack([X[:8, :3], np.ones(8)]), REAL[:8])[0]
    line.load_state_dict({"weight": weights[:3].T, "bias": weights[3]})
    return line


def zero_line() -> nn.Linear:
    line = linear(13, 1)
    line.load_state_dict({"weight": np.zeros((1, 13)), "bias": np.zeros(1)})
    return line


class SelfReferring(nn.Module):
    """A module among whose fields is a function that refers to it, so that a copy uses the first one's weights."""

    def __init__(self) -> None:
        self.out = linear(13, 1)
        self.function = lambda x: self.out(x)

    def forward(self, x: Any) -> Any:
        return self.function(x)


LEVELS = np.array([0.1, 0.5, 0.9])
GRAPH = (r.random((32, 32)) < 0.1) + np.eye(32)
OUTSIDE = linear(13, 8)
TEACHER = linear(13, 1, 7).requires_grad_(False)

RIGHT: dict[str, Callable[[], tuple[nn.Module, Any, Any]]] = {
    "linear regression": lambda: (linear(13, 1), nn.MSELoss(), (X, REAL)),
    "sigmoid": lambda: (nn.Sequential(mlp(13, 8, 1), nn.Sigmoid()), nn.BCELoss(), (X, BINARY)),
    "ten layers": lambda: (mlp(*[13] * 10, 3), nn.CrossEntropyLoss(), (X, THREE)),
    "twenty layers of tanh": lambda: (mlp(*[13] * 20, 3, activation=nn.Tanh), F.cross_entropy, (X, THREE)),
    "large targets": lambda: (mlp(13, 100, 1), nn.MSELoss(), (X, REAL * 77 + 152)),
    "huge targets": lambda: (mlp(13, 100, 1), nn.MSELoss(), (X, REAL * 8e5 + 1.5e6)),
    "convolution": lambda: (
        nn.Sequential(
            nn.Conv2d(1, 8, 3, rng=0), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(rng=0), linear(288, 10)
        ),
        nn.CrossEntropyLoss(label_smoothing=0.1),
        (IMAGES, DIGITS),
    ),
    "lstm of words": lambda: (
        Made(
            lambda s, x: s.out(s.cell(s.words(x))[0][:, -1]),
            words=nn.Embedding(20, 8, rng=0),
            cell=nn.LSTM(8, 16, batch_first=True, rng=0),
            out=linear(16, 20),
        ),
        F.cross_entropy,
        (WORDS, r.integers(0, 20, 16)),
    ),
    "transformer": lambda: (attention(), F.cross_entropy, (WORDS, r.integers(0, 3, 16))),
    "language model": lambda: (
        Made(lambda s, x: np.moveaxis(s.out(s.words(x)), -1, 1), words=nn.Embedding(20, 16, rng=0), out=linear(16, 20)),
        F.cross_entropy,
        (WORDS[:, :-1], WORDS[:, 1:]),
    ),
    "autoencoder": lambda: (mlp(13, 4, 13), nn.MSELoss(), (X, X)),
    "variational autoencoder": lambda: (variational(), evidence, (X, X)),
    "low-rank change of a frozen layer": lambda: (
        Made(
            lambda s, x: s.frozen(x) + x @ s.a @ s.b,
            frozen=linear(13, 1).requires_grad_(False),
            a=nn.Parameter(np.ones((13, 1))),
            b=nn.Parameter(np.zeros((1, 1))),
        ),
        F.mse_loss,
        (X, REAL),
    ),
    "last weights zero": lambda: (
        Made(lambda s, x: np.tanh(s.first(x)) @ s.last, first=linear(13, 8), last=nn.Parameter(np.zeros((8, 3)))),
        F.cross_entropy,
        (X, THREE),
    ),
    "counts": lambda: (linear(13, 1), nn.PoissonNLLLoss(), (X, r.poisson(3, (32, 1)) * 1.0)),
    "mean and variance": lambda: (
        mlp(13, 8, 2),
        lambda y, t: F.gaussian_nll_loss(y[:, :1], t, np.exp(y[:, 1:])),
        (X, REAL),
    ),
    "two inputs": lambda: (
        Made(lambda s, a, b: s.out(a) + s.out(b), out=linear(13, 1)),
        F.mse_loss,
        ((X, X + 1), REAL),
    ),
    "inputs by name": lambda: (
        Made(lambda s, a, b: s.out(a) + s.out(b), out=linear(13, 1)),
        F.mse_loss,
        ({"b": X, "a": X}, REAL),
    ),
    "one row": lambda: (linear(13, 1), F.mse_loss, (X[:1], REAL[:1])),
    "equal rows with other targets": lambda: (linear(13, 1), F.mse_loss, (np.ones((32, 13)), REAL)),
    "several labels": lambda: (linear(13, 5), nn.MultiLabelSoftMarginLoss(), (X, (X[:, :5] > 0) * 1.0)),
    "weights of classes": lambda: (linear(13, 3), nn.CrossEntropyLoss(weight=np.array([1.0, 2.0, 30.0])), (X, THREE)),
    "sum": lambda: (linear(13, 3), nn.CrossEntropyLoss(reduction="sum"), (X, THREE)),
    "single precision": lambda: (linear(13, 1, dtype=np.float32), F.mse_loss, (SHORT, SHORT[:, :1])),
    "rows against each other in the loss": lambda: (
        linear(13, 8),
        lambda y, t: F.cross_entropy(y @ np.swapaxes(y, 0, 1), np.arange(len(y))),
        (X, THREE),
    ),
    "hinge": lambda: (linear(13, 1), lambda y, t: np.mean(np.maximum(0, 1 - y * (2 * t - 1))), (X, BINARY)),
    "one class in the batch": lambda: (linear(13, 1), F.binary_cross_entropy_with_logits, (X, np.zeros((32, 1)))),
    "logarithms of probabilities": lambda: (nn.Sequential(mlp(13, 8, 3), nn.LogSoftmax(1)), nn.NLLLoss(), (X, THREE)),
    "one axis more, which the loss takes away": lambda: (
        linear(13, 1),
        lambda y, t: F.mse_loss(y[:, 0], t),
        (X, REAL[:, 0]),
    ),
    "far targets without that axis": lambda: (linear(13, 1), lambda y, t: F.l1_loss(y[:, 0], t), (X, X[:, 0] ** 2 + 9)),
    "equal targets without that axis": lambda: (linear(13, 1), lambda y, t: F.mse_loss(y[:, 0], t), (X, np.ones(32))),
    "labels without that axis": lambda: (
        linear(13, 1),
        lambda y, t: F.binary_cross_entropy_with_logits(np.squeeze(y), t.astype(float)),
        (X, np.zeros(32, int)),
    ),
    "targets that the loss ignores": lambda: (
        linear(13, 1),
        lambda y, t: np.mean(np.logaddexp(0, y)),
        (X, np.zeros(32)),
    ),
    "which of two rows lives longer": lambda: (linear(13, 1, bias=False), partial_likelihood, (X, np.abs(REAL[:, 0]))),
    "three quantiles": lambda: (
        linear(13, 3),
        lambda y, t: np.mean(np.maximum(LEVELS * (t - y), (LEVELS - 1) * (t - y))),
        (X, REAL),
    ),
    "probabilities and their distance": lambda: (
        nn.Sequential(linear(13, 1), nn.Sigmoid()),
        nn.MSELoss(),
        (X, BINARY),
    ),
    "probabilities and their logarithms by hand": lambda: (
        nn.Sequential(linear(13, 1), nn.Sigmoid()),
        lambda p, t: -np.mean(t * np.log(p + 1e-9) + (1 - t) * np.log(1 - p + 1e-9)),
        (X, BINARY),
    ),
    "overlap of probabilities": lambda: (
        nn.Sequential(linear(13, 1), nn.Sigmoid()),
        lambda p, t: 1 - (2 * np.sum(p * t) + 1) / (np.sum(p) + np.sum(t) + 1),
        (X, BINARY),
    ),
    "shares that earn": lambda: (
        nn.Sequential(linear(13, 5), nn.Softmax(1)),
        lambda shares, earned: -np.mean(np.sum(shares * earned, axis=1)),
        (X, X[:, :5] - 1),
    ),
    "soft targets": lambda: (
        nn.Sequential(linear(13, 3), nn.Softmax(1)),
        lambda p, t: np.mean(np.sum(t * np.log(t / p), axis=1)),
        (X, r.dirichlet(np.ones(3), 32)),
    ),
    "a critic": lambda: (linear(13, 1), lambda y, t: -np.mean(y * t), (X, 2 * BINARY - 1)),
    "huge targets of a linear model": lambda: (linear(13, 1), nn.MSELoss(), (X, REAL * 1e6 + 5e7)),
    "nothing left to learn": lambda: (zero_line(), nn.MSELoss(), (X, np.zeros((32, 1)))),
    "best weights already": lambda: (best_line(), nn.MSELoss(), (X[:8, :3], REAL[:8])),
    "pairs of rows": lambda: (
        Made(lambda s, a, b: s.left(a) @ s.right(b).T, left=linear(13, 8), right=linear(13, 8, 1)),
        F.cross_entropy,
        ((X, X + 0.1), np.arange(32)),
    ),
    "a graph of these rows": lambda: (
        Made(lambda s, x: s.out(np.tanh(GRAPH @ s.first(x))), first=linear(13, 16), out=linear(16, 3)),
        F.cross_entropy,
        (X, THREE),
    ),
    "a loss of thirds of the rows": lambda: (
        linear(13, 8),
        lambda y, t: F.triplet_margin_loss(y[:10], y[10:20], y[20:30]),
        (X, THREE),
    ),
    "a function that refers to the model": lambda: (SelfReferring(), nn.MSELoss(), (X, REAL)),
    "a field that cannot be copied": lambda: (
        Made(lambda s, x: s.out(x), out=linear(13, 1), lock=threading.Lock()),
        nn.MSELoss(),
        (X, REAL),
    ),
    "the same mean and deviation as the targets": lambda: (
        linear(13, 1),
        lambda y, t: (np.mean(y) - np.mean(t)) ** 2 + (np.std(y) - np.std(t)) ** 2,
        (X, REAL[:, 0]),
    ),
    "the distribution of the targets": lambda: (
        linear(13, 1),
        lambda y, t: 2 * np.mean(np.abs(y - t[None, :])) - np.mean(np.abs(y - y.T)),
        (X, REAL[:, 0]),
    ),
    "the order of the targets": lambda: (
        linear(13, 1),
        lambda y, t: np.mean((np.sort(y[:, 0]) - np.sort(t)) ** 2),
        (X, REAL[:, 0]),
    ),
    "a frozen teacher outside": lambda: (
        Made(lambda s, x: s.out(x) + TEACHER(x), out=linear(13, 1)),
        nn.MSELoss(),
        (X, REAL),
    ),
    "a spectrum of complex numbers": lambda: (
        Made(lambda s, x: np.fft.rfft(s.out(x)), out=linear(13, 6, dtype=np.float32)),
        lambda y, t: np.mean((np.abs(y) - t) ** 2),
        (SHORT, np.abs(SHORT[:, :4])),
    ),
    "products of pairs, which are complex": lambda: (
        Made(lambda s, x: (z := np.fft.rfft(s.out(x))) @ np.conj(z).T, out=linear(13, 6)),
        lambda y, t: np.mean((np.abs(y) - (t[:, None] == t)) ** 2),
        (X, THREE),
    ),
    "few entries that are not zero": lambda: (
        mlp(100, 8, 3),
        F.cross_entropy,
        ((r.random((32, 100)) < 0.02) * 1.0, THREE),
    ),
}


@pytest.mark.parametrize("made", RIGHT.values(), ids=RIGHT)
def test_right_models_pass_and_stay_as_they_are(made: Callable[[], tuple[nn.Module, Any, Any]]) -> None:
    model, loss, batch = made()
    before, kept = (
        deepcopy(model.state_dict()),
        [deepcopy(x) for x in dict(model.named_generators()).values()],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert verify_training(model, loss, batch, optimizer=Adam(model.parameters())).ok
    assert model.training
    assert all(w.grad is None for w in model.parameters())
    after = model.state_dict()
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)
    for x, old in zip(dict(model.named_generators()).values(), kept, strict=True):
        assert x.bit_generator.state == old.bit_generator.state


def broadcast(y: Any, t: Any) -> Any:
    return np.mean((y - t) ** 2)


FAULTS: dict[str, tuple[Callable[[], nn.Module], Any, Any, str, str]] = {
    "targets without their axis": (
        lambda: mlp(13, 8, 1),
        broadcast,
        (X, REAL[:, 0]),
        "targets fit outputs",
        r"broadcast to \(32, 32\).*targets\[:, None\]",
    ),
    "targets without their axis, far away": (
        lambda: linear(13, 1),
        lambda y, t: np.sum(np.abs(y - t)),
        (X, X[:, 0] ** 2 + 9),
        "targets fit outputs",
        r"broadcast to \(32, 32\)",
    ),
    "targets without their axis under a root": (
        lambda: mlp(13, 8, 1),
        lambda y, t: np.sqrt(broadcast(y, t)),
        (X, REAL[:, 0]),
        "targets fit outputs",
        r"broadcast to \(32, 32\)",
    ),
    "targets without their axis, with a gap": (
        lambda: mlp(13, 8, 1),
        broadcast,
        (X, np.where(REAL[:, 0] > 1, np.nan, REAL[:, 0])),
        "the loss at the start",
        "it is nan",
    ),
    "equal targets without their axis": (
        lambda: linear(13, 1),
        broadcast,
        (X, np.ones(32)),
        "targets fit outputs",
        r"broadcast to \(32, 32\)",
    ),
    "targets without their axis beside others": (
        lambda: Made(lambda s, x: {"a": s.out(x), "b": x}, out=linear(13, 1)),
        lambda y, t: broadcast(y["a"], t["second"]),
        (X, {"first": REAL, "second": REAL[:, 0]}),
        "targets fit outputs",
        r"broadcast to \(32, 32\)",
    ),
    "an axis too few of three": (
        lambda: linear(4, 1),
        broadcast,
        (r.normal(size=(32, 32, 4)), r.normal(size=(32, 32))),
        "targets fit outputs",
        r"broadcast to \(32, 32, 32\)",
    ),
    "softmax twice, by hand": (
        lambda: Made(
            lambda s, x: np.exp(s.out(x)) / np.sum(np.exp(s.out(x)), axis=1, keepdims=True), out=linear(13, 3)
        ),
        lambda y, t: F.cross_entropy(y, t, weight=np.array([1.0, 2.0, 3.0]), label_smoothing=0.1) + 1,
        (X, THREE),
        "the loss at the start",
        "applies softmax",
    ),
    "softmax twice, of pixels": (
        lambda: nn.Sequential(nn.Conv2d(1, 3, 3, padding=1, rng=0), nn.Softmax(axis=1)),
        nn.CrossEntropyLoss(),
        (IMAGES, r.integers(0, 3, (16, 8, 8))),
        "the loss at the start",
        "applies softmax",
    ),
    "sigmoid twice, by hand, with a weight": (
        lambda: Made(lambda s, x: {"p": 1 / (1 + np.exp(-s.out(x)))}, out=linear(13, 1)),
        lambda y, t: nn.BCEWithLogitsLoss(pos_weight=np.array([3.0]))(y["p"], t),
        (X, BINARY),
        "the loss at the start",
        "applies sigmoid",
    ),
    "sigmoid twice, of targets without the axis of one": (
        lambda: nn.Sequential(linear(13, 1), nn.Sigmoid()),
        lambda y, t: F.binary_cross_entropy_with_logits(y[:, 0], t),
        (X, BINARY[:, 0]),
        "the loss at the start",
        "applies sigmoid",
    ),
    "targets of -1 and 1": (
        lambda: linear(13, 1),
        lambda y, t: 2 * F.binary_cross_entropy_with_logits(y, t),
        (X, 2 * BINARY - 1),
        "the loss at the start",
        "needs targets from 0 to 1, and these go from -1 to 1",
    ),
    "a layer outside of the model": (
        lambda: Made(lambda s, x: s.out(np.tanh(OUTSIDE(x))), out=linear(8, 1)),
        nn.MSELoss(),
        (X, REAL),
        "every parameter gets a gradient",
        r"2 tensors of shape \(8, 13\), \(8,\) require a gradient .*not among model.parameters\(\): assign",
    ),
    "one layer in double precision": (
        lambda: nn.Sequential(linear(13, 8, dtype=np.float32), linear(8, 1)),
        nn.MSELoss(),
        (SHORT, SHORT[:, :1]),
        "dtypes stay",
        r"1.bias is float64: model.to\(np.float32\)",
    ),
    "outputs that stay above the targets": (
        lambda: nn.Sequential(mlp(13, 8, 1), nn.ReLU()),
        nn.MSELoss(),
        (X, -np.abs(REAL) - 3),
        "8 rows can be learned",
        "outputs never go below 0, however large the weights are, and targets go from -",
    ),
    "a reshape with the number of rows": (
        lambda: Made(lambda s, x: s.out(np.reshape(x, (13, 32)).T), out=linear(13, 1)),
        F.mse_loss,
        (X, REAL),
        "rows are independent",
        "depends on row",
    ),
    "pairs of rows that see others": (
        lambda: Made(lambda s, x: F.softmax(s.out(x) @ s.out(x).T, axis=0), out=linear(13, 2)),
        lambda y, t: np.mean((y - np.eye(len(y))) ** 2),
        (X, REAL),
        "rows are independent",
        "depends on row",
    ),
    "raw inputs": (
        lambda: mlp(13, 8, 2),
        F.cross_entropy,
        (X * 300, BINARY[:, 0].astype(int)),
        "the loss at the start",
        "log 2 = 0.693; the inputs reach .* standardise",
    ),
    "inputs that are not standardised, of no great size": (
        lambda: Made(lambda s, x: s.out(x) * 3, out=linear(13, 3)),
        nn.CrossEntropyLoss(),
        (X + 5, THREE),
        "the loss at the start",
        "the inputs reach [6-9].* standardise",
    ),
    "large first vectors of an embedding": (
        lambda: Made(lambda s, x: s.out(x) * 100, out=nn.Embedding(1000, 10, rng=0)),
        nn.CrossEntropyLoss(),
        (100 + np.arange(len(THREE)), THREE),
        "the loss at the start",
        "draw smaller first weights",
    ),
    "large first weights": (
        lambda: Made(lambda s, x: s.out(x) * 100, out=linear(13, 10)),
        nn.CrossEntropyLoss(),
        (X, THREE),
        "the loss at the start",
        "draw smaller first weights",
    ),
    "softmax twice": (
        lambda: nn.Sequential(linear(13, 3), nn.Softmax(axis=1)),
        F.cross_entropy,
        (X, THREE),
        "the loss at the start",
        "applies softmax, and the outputs are probabilities already: leave out",
    ),
    "sigmoid twice": (
        lambda: nn.Sequential(linear(13, 1), nn.Sigmoid()),
        nn.BCEWithLogitsLoss(),
        (X, BINARY),
        "the loss at the start",
        "applies sigmoid, and the outputs are probabilities already: leave out",
    ),
    "probabilities in place of their logarithms": (
        lambda: nn.Sequential(linear(13, 3), nn.Softmax(axis=1)),
        nn.NLLLoss(),
        (X, THREE),
        "the loss at the start",
        "nll_loss takes the logarithms.*add up to .*: let the model end in log_softmax, or use cross_entropy",
    ),
    "logits in place of logarithms": (
        lambda: Made(
            lambda s, x: np.moveaxis(s.out(s.words(x)), -1, 1), words=nn.Embedding(20, 16), out=linear(16, 20)
        ),
        F.nll_loss,
        (WORDS[:, :-1], WORDS[:, 1:]),
        "the loss at the start",
        "nll_loss takes the logarithms",
    ),
    "not finite": (
        lambda: linear(13, 1),
        lambda y, t: np.mean(np.log(y) * t),
        (X, REAL),
        "the loss at the start",
        "log made nan in the forward pass",
    ),
    "wider data": (
        lambda: linear(13, 1, dtype=np.float32),
        F.mse_loss,
        (X, REAL),
        "dtypes stay",
        r"float32, and the outputs or the loss float64.*x.astype\(np.float32\)",
    ),
    "wider layer": (
        lambda: Made(lambda s, x: s.out(x) * np.sqrt(np.float64(8)), out=linear(13, 1, dtype=np.float32)),
        F.mse_loss,
        (SHORT, SHORT[:, :1]),
        "dtypes stay",
        "float64",
    ),
    "an unused layer": (
        lambda: Made(lambda s, x: s.out(x), out=linear(13, 1), unused=linear(2, 2)),
        F.mse_loss,
        (X, REAL),
        "every parameter gets a gradient",
        "unused.weight",
    ),
    "detached": (
        lambda: Made(lambda s, x: s.out(s.first(x).detach()), first=linear(13, 8), out=linear(8, 1)),
        F.mse_loss,
        (X, REAL),
        "every parameter gets a gradient",
        "detach",
    ),
    "equal weights": (
        lambda: Made(
            lambda s, x: s.out(np.tanh(x @ s.first)),
            first=nn.Parameter(np.full((13, 8), 0.1)),
            out=Made(lambda s, x: x @ s.w, w=nn.Parameter(np.full((8, 1), 0.1))),
        ),
        F.mse_loss,
        (X, REAL),
        "every parameter gets a gradient",
        "draw the weights at random",
    ),
    "mean over the rows": (
        lambda: Made(lambda s, x: s.out(x - np.mean(x, axis=0)), out=linear(13, 1)),
        F.mse_loss,
        (X, REAL),
        "rows are independent",
        "output of row 0 depends on row",
    ),
    "softmax over the rows": (
        lambda: nn.Sequential(linear(13, 3), nn.Softmax(axis=0)),
        nn.MSELoss(),
        (X, X[:, :3]),
        "rows are independent",
        "softmax or a mean along axis 0",
    ),
    "words of other rows": (
        lambda: Made(lambda s, x: np.sum(s.words(np.cumsum(x, axis=0) % 20), axis=1), words=nn.Embedding(20, 3, rng=0)),
        F.cross_entropy,
        (WORDS, r.integers(0, 3, 16)),
        "rows are independent",
        "when the other rows do",
    ),
    "a reshape for a transpose": (
        lambda: Made(lambda s, x: s.out(np.reshape(np.reshape(x, (13, -1)).T, (-1, 13))), out=linear(13, 1)),
        F.mse_loss,
        (X, REAL),
        "rows are independent",
        "depends on row",
    ),
    "dead units": (
        lambda: Made(lambda s, x: s.out(np.maximum(s.first(x) - 1e3, 0)), first=linear(13, 8), out=linear(8, 1)),
        F.mse_loss,
        (X, REAL),
        "the inputs influence the outputs",
        "no output changes",
    ),
    "inputs that are not used": (
        lambda: Made(lambda s, x: s.out(np.ones_like(x)), out=linear(13, 1)),
        F.mse_loss,
        (X, REAL),
        "the inputs influence the outputs",
        "no output changes",
    ),
    "a loss without the outputs": (
        lambda: linear(13, 1),
        lambda y, t: np.mean(t**2) + 0 * np.mean(y),
        (X, REAL),
        "8 rows can be learned",
        "does not fall",
    ),
    "targets out of reach": (
        lambda: nn.Sequential(linear(13, 1), nn.Sigmoid()),
        nn.MSELoss(),
        (X, np.full((32, 1), 1e9)),
        "8 rows can be learned",
        "outputs never go above 1, however large the weights are, and targets go from 1e",
    ),
}


@pytest.mark.long
@pytest.mark.parametrize(("made", "loss", "batch", "check", "message"), FAULTS.values(), ids=FAULTS)
def test_faults_are_found_and_named(
    made: Callable[[], nn.Module], loss: Any, batch: Any, check: str, message: str
) -> None:
    with pytest.raises(VerificationError, match=f"(?s)✗ {check}: .*{message}"):
        verify_training(made(), loss, batch)
    found = verify_training(made(), loss, batch, raise_exception=False)
    assert not found.ok
    assert check in [finding.check for finding in found.findings if finding.ok is False]


@pytest.mark.long
@pytest.mark.parametrize("width", [None, 8])
@pytest.mark.parametrize(
    ("loss", "outputs", "targets"),
    [
        (F.cross_entropy, 3, THREE),
        (F.binary_cross_entropy_with_logits, 1, BINARY),
        (F.multi_margin_loss, 3, THREE),
        (F.mse_loss, 1, REAL),
        (F.l1_loss, 1, REAL),
        (F.smooth_l1_loss, 1, REAL),
        (F.poisson_nll_loss, 1, BINARY),
    ],
)
def test_a_wrong_sign_is_found(loss: Any, outputs: int, targets: Any, width: int | None) -> None:
    model = mlp(13, width, outputs) if width else linear(13, outputs)
    for sign in (1, -1):
        batch = X, targets
        found = verify_training(model, lambda y, t, sign=sign: sign * loss(y, t), batch, raise_exception=False)
        (learned,) = [finding for finding in found.findings if finding.check == "8 rows can be learned"]
        away = loss is not F.poisson_nll_loss  # whose outputs are logarithms of what the targets are
        assert learned.ok == (True if sign > 0 else False if away else None)
        assert ("its sign is wrong" if away else "is its sign right?") in learned.text or sign > 0


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda y, t: float(np.mean(y.numpy())), "got [-0-9.]*: leave out float"),
        (lambda y, t: y - t, r"got a tensor of shape \(32, 1\)"),
        (lambda y, t: np.mean((y.detach() - t) ** 2), "without a history"),
    ],
    ids=["a number", "not reduced", "no history"],
)
def test_losses_that_cannot_be_descended(loss: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        verify_training(linear(13, 1), loss, (X, REAL))


@pytest.mark.parametrize(
    ("model", "loss", "batch", "message"),
    [
        (np.tanh, F.mse_loss, (X, REAL), "model must be a tg.nn.Module, got ufunc"),
        (nn.Linear, F.mse_loss, (X, REAL), "got the class Linear: call it to make one"),
        (linear(13, 1), nn.MSELoss, (X, REAL), "got the class MSELoss: call it"),
        (linear(13, 1), None, (X, REAL), "loss must be a module, or a function"),
        (linear(13, 1), F.mse_loss, X, r"the batch must be a pair \(inputs, targets\), got ndarray"),
        (linear(13, 1), F.mse_loss, (X, REAL, REAL), "got tuple of 3 parts"),
    ],
)
def test_arguments_of_another_kind(model: Any, loss: Any, batch: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        verify_training(model, loss, batch)


def test_a_fault_is_found_on_a_slow_machine_too() -> None:
    def slowly(self: Any, x: Any) -> Any:
        time.sleep(0.005)
        return self.out(x)

    batch = X, np.full((32, 1), 1e9)
    slow, fast = (
        verify_training(
            Made(forward, out=nn.Sequential(linear(13, 1), nn.Sigmoid())), F.mse_loss, batch, raise_exception=False
        )
        for forward in (slowly, lambda self, x: self.out(x))
    )
    assert str(slow) == str(fast)
    assert not slow.ok


def test_what_the_optimizer_trains_may_be_outside_of_the_model() -> None:
    model = Made(lambda s, x: s.out(np.tanh(OUTSIDE(x))), out=linear(8, 1))
    optimizer = Adam([*model.parameters(), *OUTSIDE.parameters()])
    assert verify_training(model, F.mse_loss, (X, REAL), optimizer=optimizer).ok
    fit(model, F.mse_loss, (X, REAL), epochs=1, optimizer=optimizer)
    with pytest.raises(VerificationError, match="not among model"):
        fit(model, F.mse_loss, (X, REAL), epochs=1)


class Holder:
    """No module: a layer in it is a parameter of nothing, until an optimiser gets it."""

    def __init__(self, layer: nn.Module) -> None:
        self.layer = layer

    def __call__(self, y: Any, t: Any) -> Any:
        return F.mse_loss(self.layer(y), t)


@pytest.mark.filterwarnings("ignore:held of Made")
def test_an_optimizer_may_train_parts_of_the_model_of_the_loss_and_of_others() -> None:
    held, loss = Holder(linear(13, 8)), Holder(linear(8, 1))
    model = Made(lambda s, x: s.left_out(np.tanh(s.held.layer(x))), held=held, left_out=linear(8, 8))
    optimizer = Adam([*held.layer.parameters(), *loss.layer.parameters()])
    assert verify_training(model, loss, (X, REAL), optimizer=optimizer).ok


@pytest.mark.parametrize(
    ("loss", "targets", "message"),
    [
        (lambda y, t: np.mean(y**2), REAL, "whatever the targets are"),
        (lambda y, t: np.mean(y**2) + 0 * np.sum(t), REAL, "whatever the targets are"),
        (lambda y, t: np.mean(np.maximum(0, 1 - y * t)), 2 * BINARY - 1, "(32, 1) and (32, 1)"),
        (lambda y, t: np.mean(y**2), np.zeros((32, 1)), "(32, 1) and (32, 1)"),  # there are none
        (lambda y, t: np.mean(np.abs(y - t)), REAL, "(32, 1) and (32, 1)"),
    ],
)
def test_a_loss_that_leaves_out_targets_is_worth_a_look(loss: Any, targets: Any, message: str) -> None:
    finding = verify_training(mlp(13, 8, 1), loss, (X, targets)).findings[0]
    assert finding.check == "targets fit outputs"
    assert message in finding.text
    assert (finding.ok is None) == ("whatever" in message)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda w: SGD(w, lr=1e6), r"SGD with a rate of 1e\+06 takes the loss from .* to .*e\+.* in 10 steps: choose"),
        (lambda w: SGD(w, lr=0.1, weight_decay=100.0), "a smaller rate or weight decay"),
        (lambda w: SGD(w, lr=0.01, momentum=9.0), "SGD with a rate of 0.01 takes"),
        (lambda w: Adam([{"params": w[:1]}, {"params": w[1:], "lr": 1e6}]), "Adam with a rate of 0.001, 1e"),
    ],
)
def test_an_optimizer_whose_steps_are_too_large_is_found(made: Callable[[Any], Any], message: str) -> None:
    model = linear(13, 1)
    with pytest.raises(VerificationError, match=f"✗ the optimiser trains the model: .*{message}"):
        verify_training(model, F.mse_loss, (X, REAL), optimizer=made([*model.parameters()]))


def test_a_loss_that_comes_down_again_is_worth_a_look() -> None:
    model = mlp(13, 8, 3)
    optimizer = SGD(model.parameters(), lr=1.0, momentum=9.0)
    found = verify_training(model, nn.CrossEntropyLoss(), (X[:8], THREE[:8]), optimizer=optimizer)
    assert "? the optimiser trains the model: SGD with a rate of 1 takes the loss from" in str(found)


def test_an_optimizer_that_needs_a_closure_or_cannot_be_copied_is_not_tried() -> None:
    model = linear(13, 1)
    uncopied = SGD(model.parameters(), lr=1e6)
    vars(uncopied)["lock"] = threading.Lock()
    for optimizer in (LBFGS(model.parameters()), uncopied):
        found = verify_training(model, F.mse_loss, (X, REAL), optimizer=optimizer)
        assert "the optimiser" not in str(found)


def test_steps_that_leave_the_domain_of_an_operation_name_it() -> None:
    model = Made(lambda s, x: np.sqrt(s.out(x) + 3), out=linear(13, 1))
    with pytest.raises(VerificationError, match=r"(?s)to nan in 10 steps: sqrt made nan in the forward pass.*remedy"):
        verify_training(model, F.mse_loss, (X, REAL - 4), optimizer=SGD(model.parameters(), lr=0.1))


def test_a_loss_that_grows_until_it_overflows_needs_a_smaller_rate() -> None:
    x = np.linspace(-1000, 1000, 32)[:, None]
    model = nn.Sequential(nn.Linear(1, 16, rng=0), nn.ReLU(), nn.Linear(16, 1, rng=1))
    with pytest.raises(VerificationError, match=r"to (nan|inf) in 10 steps: choose a smaller rate"):
        verify_training(model, F.mse_loss, (x, 2 * x), optimizer=SGD(model.parameters(), lr=0.01))


@pytest.mark.parametrize("start", [0.15, 0.0], ids=["falls a little", "does not fall"])
def test_a_model_may_refuse_weights_that_are_far_away(start: float) -> None:
    class Level(nn.Module):
        def __init__(self) -> None:
            self.level = nn.Parameter(np.array([start]))

        def forward(self, x: Any) -> Any:
            if np.abs(self.level.numpy()).max() > 0.5:
                raise ValueError("this is far away")
            return self.level + 0 * x

    x, y = np.arange(8.0)[:, None], np.array([1.0, -1.0] * 4)[:, None]
    found = verify_training(Level(), F.mse_loss, (x, y), raise_exception=False)
    assert f"{'?' if start else '✗'} 8 rows can be learned" in str(found)


def test_clipped_gradients_do_not_diverge() -> None:
    model, batch = linear(13, 1), (30 * X, REAL)
    optimizer = SGD(model.parameters(), lr=0.1)
    with pytest.raises(VerificationError, match="or clip_norm=1"):
        fit(model, F.mse_loss, batch, epochs=1, optimizer=optimizer)
    assert verify_training(model, F.mse_loss, batch, optimizer=optimizer, clip_norm=0.01).ok
    fit(model, F.mse_loss, batch, epochs=1, optimizer=optimizer, clip_norm=0.01)


@pytest.mark.parametrize(
    ("choose", "lr", "message"),
    [
        (lambda w: w, 0.0, "SGD with a rate of 0 has not changed any parameter in 10 steps"),
        (lambda w: w[2:], 0.1, "it leaves out 0.weight, 0.bias: pass them to it, or freeze them by requires_grad_"),
        (lambda w: w, 0.1, None),
    ],
)
def test_parameters_that_an_optimizer_leaves_as_they_are_are_worth_a_look(choose: Any, lr: float, message: Any) -> None:
    model = mlp(13, 8, 3)
    optimizer = SGD(choose([*model.parameters()]), lr=lr)
    found = verify_training(model, nn.CrossEntropyLoss(), (X, THREE), optimizer=optimizer)
    said = {finding.check: finding for finding in found.findings}.get("the optimiser trains the model")
    assert found.ok
    assert (said and said.ok, said and said.text.startswith(message)) == (None, message and True)


FIRST = (np.arange(32) < 20)[:, None]


@pytest.mark.parametrize(
    ("loss", "inputs", "targets", "message"),
    [
        (F.cross_entropy, X, np.zeros(32, int), "the targets are alike: each is 0; shuffle the data"),
        (F.mse_loss, X, np.ones((32, 2)), "the targets are alike; shuffle"),
        (F.mse_loss, np.ones((32, 13)), REAL, "the inputs are alike; shuffle"),
        (lambda y, t: F.mse_loss(y[:1], t[:1]), X, REAL, "on the outputs of 31 of 32 rows"),
        (F.soft_margin_loss, X, np.where(FIRST, 1.0, 0.0), "on the outputs of 12 of 32 rows, those with target 0.0"),
        (F.soft_margin_loss, X, np.where(FIRST, 1.0, -1.0), None),
        (lambda y, t: np.mean(np.maximum(0, 9 + np.where(FIRST, y - 99, y)) * t), X, np.abs(REAL), "20 of 32 rows"),
        (lambda y, t: np.mean(np.maximum(0, 9 + np.where(FIRST, y, y - 99)) * t), X, np.abs(REAL), None),
    ],
)
def test_rows_that_are_alike_or_do_not_count_are_worth_a_look(
    loss: Any, inputs: Any, targets: Any, message: str | None
) -> None:
    width = targets.shape[1] if targets.ndim > 1 else 3
    found = verify_training(linear(13, width), loss, (inputs, targets), raise_exception=False)
    said = [x.text for x in found.findings if x.check in ("the rows differ", "each row counts") and x.ok is None]
    assert len(said) == (message is not None)
    assert all(message in text for text in said)


@pytest.mark.parametrize("targets", [0, 1])
@pytest.mark.parametrize("loss", [F.mse_loss, F.smooth_l1_loss, F.poisson_nll_loss], ids=lambda loss: loss.__name__)
def test_a_row_counts_though_its_output_is_its_target_at_the_start(loss: Any, targets: int) -> None:
    model = linear(13, 1)
    model.load_state_dict({name: np.zeros_like(x) for name, x in model.state_dict().items()})
    counts = np.arange(32)[:, None] % 4 + targets - 1.0
    found = verify_training(model, loss, (X, counts), raise_exception=False)
    assert not [finding for finding in found.findings if finding.check == "each row counts"]


def test_a_loss_that_uses_the_model_itself_is_no_fault() -> None:
    model, points = mlp(1, 8, 1, activation=nn.Tanh), np.linspace(0, 1, 32)[:, None]

    def residual(y: Any, t: Any) -> Any:
        slope = slope_of(model, points)
        return np.mean((slope + model(points)) ** 2) + np.mean((model(np.zeros((1, 1))) - 1) ** 2)

    before = model.state_dict()
    found = verify_training(model, residual, (points, points))
    assert found.ok
    assert "but the loss uses the model itself, and this checks a copy" in str(found)
    assert all(np.array_equal(before[name], x) for name, x in model.state_dict().items())
    history = fit(
        model, residual, (points, points), epochs=30, batch_size=32, optimizer=Adam(model.parameters(), lr=0.01)
    )
    assert history["loss"][-1] < history["loss"][0] / 2


def slope_of(model: nn.Module, points: Any) -> Any:
    """The derivative of a model of one input at each point."""
    return jvp(model, (points,), (np.ones_like(points),))[1]


def test_frozen_parameters_are_named() -> None:
    model = mlp(13, 8, 3)
    model[0].weight.requires_grad = False
    found = verify_training(model, nn.CrossEntropyLoss(), (X, THREE)).findings
    text = next(x.text for x in found if x.check == "every parameter gets a gradient")
    assert text == "3 parameters, and 1 frozen: 0.weight"
