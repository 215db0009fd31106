"""A dozen whole models, each a loss of a dict of parameters, for faults to be put into."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lite.nn import functional as F

_rng = np.random.default_rng(0)
X = _rng.normal(size=(6, 4))
LABELS = np.array([0, 2, 1, 1, 0, 2])
TARGET = _rng.normal(size=6)


def _normal(*shape: int) -> Any:
    return _rng.normal(size=shape) * 0.6


def smooth(x: Any, xp: Any = np) -> Any:
    """A function without a kink, in NumPy or in a library that has its functions."""
    return xp.sum(xp.sin(x) * xp.exp(0.3 * x) / (1 + x**2)) + xp.sum(x[1:] * x[:-1])


def smooth_gradient(x: Any) -> Any:
    """By hand: the derivative of the quotient, and of the neighbours' products."""
    e, q = np.exp(0.3 * x), 1 + x**2
    gradient = (np.cos(x) + 0.3 * np.sin(x)) * e / q - np.sin(x) * e * 2 * x / q**2
    gradient[1:] += x[:-1]
    gradient[:-1] += x[1:]
    return gradient


def logistic(p: Any) -> Any:
    z = X @ p["w"] + p["b"]
    return F.binary_cross_entropy_with_logits(z, (TARGET > 0).astype(float)) + 0.1 * np.sum(p["w"] ** 2)


def network(p: Any) -> Any:
    h = np.tanh(X @ p["w1"] + p["b1"])
    h = F.softplus(h @ p["w2"] + p["b2"])
    return F.cross_entropy(h @ p["w3"], LABELS)


def by_hand(p: Any) -> Any:
    """Softmax and cross-entropy out of NumPy's functions."""
    h = 1 / (1 + np.exp(-(X @ p["w1"] + p["b1"])))
    z = h @ p["w2"]
    weights = np.exp(z - np.max(z, axis=1, keepdims=True))
    probability = weights / np.sum(weights, axis=1, keepdims=True)
    return -np.mean(np.log(probability[np.arange(6), LABELS]))


def recurrent(p: Any) -> Any:
    h = np.zeros(3)
    for x in X:
        h = np.tanh(x @ p["w"] + h @ p["u"])
    return np.sum(h * p["out"])


def attention(p: Any) -> Any:
    q, k, v = X @ p["q"], X @ p["k"], X @ p["v"]
    mixed = F.softmax(q @ k.T / np.sqrt(3.0), axis=-1) @ v
    return np.mean((mixed @ p["out"] - TARGET) ** 2)


def normalised(p: Any) -> Any:
    h = X @ p["w"]
    h = (h - np.mean(h, axis=1, keepdims=True)) / np.sqrt(np.var(h, axis=1, keepdims=True) + 1e-5)
    return np.sum(np.sin(h * p["gain"] + p["shift"]))


def convolution(p: Any) -> Any:
    rows = [np.convolve(x, p["kernel"], "valid") for x in X]
    return np.mean(F.silu(np.stack(rows)) ** 2)


def gaussian(p: Any) -> Any:
    covariance = p["a"] @ p["a"].T + np.eye(4)
    centred = X - p["mean"]
    distance = np.sum(centred.T * np.linalg.solve(covariance, centred.T))
    return 0.5 * distance + 3.0 * np.linalg.slogdet(covariance)[1]


def embedding(p: Any) -> Any:
    return np.sum(np.cos(p["table"][LABELS] @ p["w"]) ** 2)


def springs(p: Any) -> Any:
    apart = p["x"][1:] - p["x"][:-1]
    length = np.sqrt(np.sum(apart**2, axis=1))
    return np.sum(p["k"] * (length - 0.5) ** 2) + np.sum(np.exp(-length))


def einsum(p: Any) -> Any:
    return np.sum(np.einsum("ij,jk,ik->i", X, p["w"], p["v"]) ** 3)


def mixture(p: Any) -> Any:
    distance = (TARGET[:, None] - p["centre"]) ** 2 / np.exp(p["scale"])
    return -np.sum(np.log(np.sum(F.softmax(p["weight"], axis=-1) * np.exp(-distance), axis=1)))


MODELS: list[tuple[Callable[[Any], Any], dict[str, Any]]] = [
    (logistic, {"w": _normal(4), "b": _normal()}),
    (network, {"w1": _normal(4, 5), "b1": _normal(5), "w2": _normal(5, 5), "b2": _normal(5), "w3": _normal(5, 3)}),
    (by_hand, {"w1": _normal(4, 5), "b1": _normal(5), "w2": _normal(5, 3)}),
    (recurrent, {"w": _normal(4, 3), "u": _normal(3, 3), "out": _normal(3)}),
    (attention, {"q": _normal(4, 3), "k": _normal(4, 3), "v": _normal(4, 3), "out": _normal(3)}),
    (normalised, {"w": _normal(4, 5), "gain": _normal(5), "shift": _normal(5)}),
    (convolution, {"kernel": _normal(2)}),
    (gaussian, {"a": _normal(4, 4), "mean": _normal(4)}),
    (embedding, {"table": _normal(3, 4), "w": _normal(4, 2)}),
    (springs, {"x": _normal(5, 3), "k": _normal(4)}),
    (einsum, {"w": _normal(4, 3), "v": _normal(6, 3)}),
    (mixture, {"centre": _normal(3), "scale": _normal(3), "weight": _normal(3)}),
]
