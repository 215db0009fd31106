"""Training steps of models that are made of layers: one definition, in which only `nn` and its functions differ."""

from math import sqrt
from typing import Any

import numpy as np

from benchmarks.programs.contest import Contest, program, training
from benchmarks.programs.peers import jax, jnp


def _linear(p: Any, name: str, x: Any) -> Any:
    return x @ p[f"{name}.weight"].T + p[f"{name}.bias"]


def _cross_entropy(logits: Any, target: Any) -> Any:
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), target[:, None], axis=1))


def _convolution(p: Any, name: str, x: Any, padding: int = 1) -> Any:
    y = jax.lax.conv_general_dilated(x, p[f"{name}.weight"], (1, 1), [(padding, padding)] * 2)
    return y + p[f"{name}.bias"][:, None, None]


def _pooled(x: Any) -> Any:
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")


def _normalised(p: Any, name: str, x: Any, axis: Any, shape: Any) -> Any:
    mean, variance = jnp.mean(x, axis=axis, keepdims=True), jnp.var(x, axis=axis, keepdims=True)
    y = (x - mean) / jnp.sqrt(variance + 1e-5)
    return y * p[f"{name}.weight"].reshape(shape) + p[f"{name}.bias"].reshape(shape)


@program("CNN made of layers: 32 digits of 8 × 8 pixels, 16 and 32 channels")
def cnn_of_layers(rng: np.random.Generator) -> Contest:
    def define(nn: Any) -> Any:
        return nn.Sequential(
            *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(128, 10)),
        )

    def loss(F: Any, model: Any, x: Any, y: Any) -> Any:
        return F.cross_entropy(model(x), y)

    def in_jax(p: Any, x: Any, y: Any) -> Any:
        x = _pooled(jax.nn.relu(_convolution(p, "0", x)))
        x = _pooled(jax.nn.relu(_convolution(p, "3", x)))
        return _cross_entropy(_linear(p, "7", x.reshape(len(x), -1)), y)

    return training(define, loss, in_jax, rng.random((32, 1, 8, 8)), rng.integers(0, 10, 32))


@program("residual block made of layers: 32 images of 16 channels and 8 × 8 pixels")
def residual_block_of_layers(rng: np.random.Generator) -> Contest:
    def define(nn: Any) -> Any:
        class Block(nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.conv1, self.norm1 = nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
                self.conv2, self.norm2 = nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
                self.relu = nn.ReLU()

            def forward(self, x: Any) -> Any:
                y = self.norm2(self.conv2(self.relu(self.norm1(self.conv1(x)))))
                return self.relu(x + y)

        return Block()

    def loss(F: Any, model: Any, x: Any, y: Any) -> Any:
        return F.mse_loss(model(x), y)

    def in_jax(p: Any, x: Any, goal: Any) -> Any:
        y = x
        for i in "12":
            y = jax.lax.conv(y, p[f"conv{i}.weight"], (1, 1), "SAME")
            y = _normalised(p, f"norm{i}", y, (0, 2, 3), (-1, 1, 1))
            y = jax.nn.relu(y if i == "1" else x + y)
        return jnp.mean((y - goal) ** 2)

    images = rng.normal(size=(2, 32, 16, 8, 8))
    return training(define, loss, in_jax, *images)


def _recurrent(name: str, in_jax: Any, rng: np.random.Generator) -> Contest:
    """A recurrent layer over 25 steps of 16 sequences, and a linear head on its last output."""

    def define(nn: Any) -> Any:
        class Network(nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.recurrent = getattr(nn, name)(8, 32)
                self.head = nn.Linear(32, 1)

            def forward(self, x: Any) -> Any:
                y, _ = self.recurrent(x)
                return self.head(y[-1])

        return Network()

    def loss(F: Any, model: Any, x: Any, y: Any) -> Any:
        return F.mse_loss(model(x), y)

    return training(define, loss, in_jax, rng.normal(size=(25, 16, 8)), rng.normal(size=(16, 1)))


def _parts(p: Any, kind: str, x: Any, count: int) -> Any:
    y = x @ p[f"recurrent.weight_{kind}_l0"].T + p[f"recurrent.bias_{kind}_l0"]
    return jnp.split(y, count, axis=1)


@program("LSTM as a layer: 25 steps, 16 sequences of 8 numbers, 32 hidden")
def lstm_layer(rng: np.random.Generator) -> Contest:
    def in_jax(p: Any, x: Any, goal: Any) -> Any:
        def step(state: Any, x: Any) -> Any:
            h, c = state
            i, f, g, o = (a + b for a, b in zip(_parts(p, "ih", x, 4), _parts(p, "hh", h, 4)))
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        start = jnp.zeros((x.shape[1], 32), x.dtype)
        (h, _), _ = jax.lax.scan(step, (start, start), x)
        return jnp.mean((_linear(p, "head", h) - goal) ** 2)

    return _recurrent("LSTM", in_jax, rng)


@program("GRU as a layer: 25 steps, 16 sequences of 8 numbers, 32 hidden")
def gru_layer(rng: np.random.Generator) -> Contest:
    def in_jax(p: Any, x: Any, goal: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            reset, update, new = _parts(p, "ih", x, 3)
            h_reset, h_update, h_new = _parts(p, "hh", h, 3)
            z = jax.nn.sigmoid(update + h_update)
            n = jnp.tanh(new + jax.nn.sigmoid(reset + h_reset) * h_new)
            return (1 - z) * n + z * h, None

        h, _ = jax.lax.scan(step, jnp.zeros((x.shape[1], 32), x.dtype), x)
        return jnp.mean((_linear(p, "head", h) - goal) ** 2)

    return _recurrent("GRU", in_jax, rng)


@program("GPT made of layers: 2 layers, 8 sequences of 32, 4 heads of 8")
def gpt_of_layers(rng: np.random.Generator) -> Contest:
    batch, length, heads, width, vocabulary = 8, 32, 4, 32, 65

    def define(nn: Any) -> Any:
        class Block(nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
                self.qkv, self.projection = nn.Linear(width, 3 * width), nn.Linear(width, width)
                self.up, self.gelu, self.down = nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)

            def forward(self, x: Any, attention: Any) -> Any:
                qkv = self.qkv(self.norm1(x)).reshape(batch, length, 3, heads, -1).swapaxes(1, 3)
                y = attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2], is_causal=True).swapaxes(1, 2)
                x = x + self.projection(y.reshape(batch, length, width))
                return x + self.down(self.gelu(self.up(self.norm2(x))))

        class GPT(nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
                self.blocks = nn.ModuleList([Block(), Block()])
                self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary)

            def forward(self, text: Any, places: Any, attention: Any) -> Any:
                x = self.tokens(text) + self.positions(places)
                for block in self.blocks:
                    x = block(x, attention)
                return self.head(self.norm(x))

        return GPT()

    def loss(F: Any, model: Any, text: Any, following: Any, places: Any) -> Any:
        logits = model(text, places, F.scaled_dot_product_attention)
        return F.cross_entropy(logits.reshape(-1, vocabulary), following.reshape(-1))

    def in_jax(p: Any, text: Any, following: Any, places: Any) -> Any:
        x = p["tokens.weight"][text] + p["positions.weight"][places]
        for name in ("blocks.0", "blocks.1"):
            qkv = _linear(p, f"{name}.qkv", _normalised(p, f"{name}.norm1", x, -1, -1))
            q, k, v = qkv.reshape(batch, length, 3, heads, -1).transpose(2, 0, 3, 1, 4)
            scores = q @ k.swapaxes(2, 3) / sqrt(width // heads)
            y = jax.nn.softmax(jnp.where(np.tri(length, dtype=bool), scores, -jnp.inf)) @ v
            x = x + _linear(p, f"{name}.projection", y.swapaxes(1, 2).reshape(batch, length, width))
            y = jax.nn.gelu(_linear(p, f"{name}.up", _normalised(p, f"{name}.norm2", x, -1, -1)), approximate=False)
            x = x + _linear(p, f"{name}.down", y)
        logits = _linear(p, "head", _normalised(p, "norm", x, -1, -1))
        return _cross_entropy(logits.reshape(-1, vocabulary), following.reshape(-1))

    text = rng.integers(0, vocabulary, (batch, length + 1))
    return training(define, loss, in_jax, text[:, :-1], text[:, 1:], np.arange(length))


@program("convolution of 32 images of 32 × 32 pixels, 3 to 16 channels")
def large_convolution(rng: np.random.Generator) -> Contest:
    def define(nn: Any) -> Any:
        return nn.Conv2d(3, 16, 3, padding=1)

    def loss(F: Any, model: Any, x: Any, y: Any) -> Any:
        return F.mse_loss(model(x), y)

    def in_jax(p: Any, x: Any, y: Any) -> Any:
        return jnp.mean((_convolution({"c.weight": p["weight"], "c.bias": p["bias"]}, "c", x) - y) ** 2)

    return training(define, loss, in_jax, rng.normal(size=(32, 3, 32, 32)), rng.normal(size=(32, 16, 32, 32)))
