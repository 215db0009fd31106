"""The graphs that the lesson's tests look at, from one number to 10,000 operations."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.explainer.lesson import Lesson


class Heart(nn.Module):
    def __init__(self) -> None:
        self.hidden = nn.Linear(13, 8, rng=0)
        self.output = nn.Linear(8, 1, rng=1)

    def forward(self, x: Any) -> Any:
        activation = nn.functional.relu(self.hidden(x))
        return self.output(activation)


class Attention(nn.Module):
    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.query, self.key, self.value = (nn.Linear(4, 4, rng=rng) for _ in range(3))

    def forward(self, x: Any) -> Any:
        query, key, value = self.query(x), self.key(x), self.value(x)
        weights = nn.functional.softmax(query @ key.T / 2.0)
        return weights @ value


class Block(nn.Module):
    def __init__(self) -> None:
        self.attention = Attention()
        self.out = nn.Linear(4, 3, rng=1)

    def forward(self, x: Any) -> Any:
        return self.out(np.mean(nn.functional.gelu(x + self.attention(x)), axis=0, keepdims=True))


def scalar(changes: Mapping[str, Any] | None = None) -> Lesson:
    """b is used three times: a = 1, b = a + a, c = b + b, d = b · c."""
    a = tg.tensor((changes or {"a": 1.0})["a"], requires_grad=True, name="a")
    b = a + a
    c = b + b
    d = b * c
    return tg.explain(d)


def heart(changes: Mapping[str, Any] | None = None) -> Lesson:
    model = Heart()
    x, target = tg.datasets.load_heart(return_X_y=True)
    data = (x - x.mean(axis=0)) / x.std(axis=0)
    return _explained(model, changes, _heart_loss, data, target[:, None].astype(float))


def _heart_loss(model: nn.Module, data: Any, target: Any) -> Any:
    return nn.functional.binary_cross_entropy_with_logits(model(data), target)


def attention(changes: Mapping[str, Any] | None = None) -> Lesson:
    x = np.random.default_rng(1).normal(size=(5, 4))
    return _explained(Block(), changes, _attention_loss, x, np.array([2]))


def _attention_loss(model: nn.Module, x: Any, label: Any) -> Any:
    return nn.functional.cross_entropy(model(x), label)


def _explained(model: nn.Module, changes: Mapping[str, Any] | None, loss: Callable[..., Any], *args: Any) -> Lesson:
    parameters = dict(model.named_parameters())
    for name, value in (changes or {}).items():
        parameters[name].replace(np.asarray(value))
    return tg.explain(loss, model, *args)


def transformer() -> Lesson:
    """A layer of a language model, with an embedding before it and a loss behind it."""
    words = np.random.default_rng(0).integers(0, 11, (2, 6))
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, rng=1)
    model = nn.Sequential(nn.Embedding(11, 8, rng=0), layer, nn.Linear(8, 11, rng=2))
    return tg.explain(lambda: nn.functional.cross_entropy(model(words[:, :-1]).reshape(-1, 11), words[:, 1:].ravel()))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        self.input, self.hidden = nn.Linear(3, 5, rng=0), nn.Linear(5, 5, rng=1)
        self.output = nn.Linear(5, 1, rng=2)

    def forward(self, sequence: Any) -> Any:
        h = np.zeros((4, 5))
        for x in sequence:
            h = np.tanh(self.input(x) + self.hidden(h))
        return self.output(h)


def recurrent() -> Lesson:
    """A network by hand, over thirty steps."""
    model, sequence = Recurrent(), np.random.default_rng(0).normal(size=(30, 4, 3))
    return tg.explain(lambda: np.mean(model(sequence) ** 2))


def one() -> Lesson:
    """One operation on one number."""
    x = tg.tensor(3.0, requires_grad=True, name="x")
    return tg.explain(np.square(x))


def fan_out() -> Lesson:
    """b is used twice, and broadcast."""
    rng = np.random.default_rng(0)
    w, b = (tg.tensor(rng.normal(size=shape), requires_grad=True, name=n) for n, shape in (("w", (4, 3)), ("b", 3)))
    h = np.tanh(w + b)
    return tg.explain(np.sum(h * b))


@cache
def long(turns: int = 5_000) -> Lesson:
    """Two operations in each turn, one after another."""
    x = tg.tensor(0.5, requires_grad=True, name="x")
    y = x
    for _ in range(turns):
        y = np.sin(y) + 0.1
    return tg.explain(y)


LESSONS: dict[str, Callable[..., Lesson]] = {"scalar": scalar, "heart": heart, "attention": attention, "long": long}


def _of_complex(f: Callable[[Any], Any], x: Any) -> Callable[..., Lesson]:
    return lambda numbers=x: tg.explain(f, tg.tensor(numbers, requires_grad=True, name="x"))


_numbers = np.random.default_rng(0)
COMPLEX: dict[str, Callable[..., Lesson]] = {
    "spectral line": _of_complex(lambda x: np.sum(np.abs(np.fft.rfft(x)) ** 2 * np.arange(5)), _numbers.normal(size=8)),
    "one number": _of_complex(lambda x: np.abs(np.exp(1j * x) + x) ** 2 + np.imag(x * 1j * (x + 2j)), 0.3),
    "used twice": _of_complex(
        lambda x: (lambda z: np.sum(np.real(z * z) * np.imag(z + x)))(np.exp(1j * x) * (1 + 2j)),
        _numbers.normal(size=4),
    ),
    "joined": _of_complex(
        lambda x: np.sum(np.abs(np.fft.ifft(np.concatenate([x * np.exp(1j * x), np.stack([x[0], 1j * x[1]])]))) ** 3),
        _numbers.normal(size=3),
    ),
    "summed": _of_complex(lambda x: np.sum(np.abs(x * np.exp(1j * np.ones((3, 2))))), _numbers.normal(size=2)),
    "single precision": _of_complex(
        lambda x: np.mean(np.abs(np.fft.fft(x) + 1j) ** 2), _numbers.normal(size=(6, 5)).astype("f4")
    ),
    "too large": _of_complex(
        lambda x: np.mean(np.abs(np.fft.fft(x) + 1j) ** 2), _numbers.normal(size=(410, 500)).astype("f4")
    ),
}
"""Programs that go through complex numbers on their way to a real result."""

SIX: dict[str, Callable[..., Lesson]] = {
    "one": one,
    "fan-out": fan_out,
    "heart": heart,
    "attention": attention,
    "recurrent": recurrent,
    "long": long,
}
"""What a person plays with."""
