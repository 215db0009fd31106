"""Networks on sequences: recurrent ones, and attention."""

from math import sqrt
from typing import Any

import numpy as np

from benchmarks.programs.contest import Contest, program
from benchmarks.programs.peers import jax, jnp, torch
from tinygrad_lite.nn import functional as F


@program("LSTM over 1,024 characters, a language model")
def lstm_language_model(rng: np.random.Generator) -> Contest:
    def in_numpy(p: Any, text: Any) -> Any:
        h = c = np.zeros(32)
        hidden = []
        for x in p["embedding"][text[:-1]]:
            i, f, g, o = np.split(x + p["recurrent"] @ h + p["bias"], 4)
            c = F.sigmoid(f) * c + F.sigmoid(i) * np.tanh(g)
            h = F.sigmoid(o) * np.tanh(c)
            hidden.append(h)
        return F.cross_entropy(np.stack(hidden) @ p["output"], text[1:])

    def in_pytorch(p: Any, text: Any) -> Any:
        h = c = torch.zeros(32, dtype=p["bias"].dtype)
        hidden = []
        for x in p["embedding"][text[:-1]]:
            i, f, g, o = (x + p["recurrent"] @ h + p["bias"]).chunk(4)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            hidden.append(h)
        return torch.nn.functional.cross_entropy(torch.stack(hidden) @ p["output"], text[1:])

    def in_jax(p: Any, text: Any) -> Any:
        def update(carried: Any, x: Any) -> Any:
            h, c = carried
            i, f, g, o = jnp.split(x + p["recurrent"] @ h + p["bias"], 4)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        start = jnp.zeros(32, p["bias"].dtype)
        _, hidden = jax.lax.scan(update, (start, start), p["embedding"][text[:-1]])
        log_probabilities = jax.nn.log_softmax(hidden @ p["output"])
        return -jnp.mean(log_probabilities[jnp.arange(len(text) - 1), text[1:]])

    parameters = {
        "embedding": rng.normal(size=(64, 128)),
        "recurrent": rng.normal(size=(128, 32)) / 8,
        "bias": np.zeros(128),
        "output": rng.normal(size=(32, 64)) / 8,
    }
    return Contest(parameters, (rng.integers(0, 64, 1024),), in_numpy, in_pytorch, in_jax)


@program("LSTM over 25 steps, 16 sequences of 8 numbers, 32 hidden")
def lstm(rng: np.random.Generator) -> Contest:
    def in_numpy(p: Any, x: Any, goal: Any) -> Any:
        h = c = np.zeros((x.shape[1], 32), x.dtype)
        for t in range(len(x)):
            gates = x[t] @ p["w_ih"].T + p["b_ih"] + h @ p["w_hh"].T + p["b_hh"]
            i, f, g, o = np.split(gates, 4, axis=1)
            c = F.sigmoid(f) * c + F.sigmoid(i) * np.tanh(g)
            h = F.sigmoid(o) * np.tanh(c)
        return np.mean((h @ p["output"] - goal) ** 2)

    def in_pytorch(p: Any, x: Any, goal: Any) -> Any:
        h = c = torch.zeros(x.shape[1], 32, dtype=x.dtype)
        for t in range(len(x)):
            gates = x[t] @ p["w_ih"].T + p["b_ih"] + h @ p["w_hh"].T + p["b_hh"]
            i, f, g, o = gates.chunk(4, dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return torch.mean((h @ p["output"] - goal) ** 2)

    def in_jax(p: Any, x: Any, goal: Any) -> Any:
        def update(carried: Any, x: Any) -> Any:
            h, c = carried
            gates = x @ p["w_ih"].T + p["b_ih"] + h @ p["w_hh"].T + p["b_hh"]
            i, f, g, o = jnp.split(gates, 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        start = jnp.zeros((x.shape[1], 32), x.dtype)
        (h, _), _ = jax.lax.scan(update, (start, start), x)
        return jnp.mean((h @ p["output"] - goal) ** 2)

    return Contest(*_recurrent(rng, gates=4), in_numpy, in_pytorch, in_jax, dtype=np.float32)


@program("GRU over 25 steps, 16 sequences of 8 numbers, 32 hidden")
def gru(rng: np.random.Generator) -> Contest:
    def in_numpy(p: Any, x: Any, goal: Any) -> Any:
        h = np.zeros((x.shape[1], 32), x.dtype)
        for t in range(len(x)):
            reset, update, new = np.split(x[t] @ p["w_ih"].T + p["b_ih"], 3, axis=1)
            h_reset, h_update, h_new = np.split(h @ p["w_hh"].T + p["b_hh"], 3, axis=1)
            z = F.sigmoid(update + h_update)
            n = np.tanh(new + F.sigmoid(reset + h_reset) * h_new)
            h = (1 - z) * n + z * h
        return np.mean((h @ p["output"] - goal) ** 2)

    def in_pytorch(p: Any, x: Any, goal: Any) -> Any:
        h = torch.zeros(x.shape[1], 32, dtype=x.dtype)
        for t in range(len(x)):
            reset, update, new = (x[t] @ p["w_ih"].T + p["b_ih"]).chunk(3, dim=1)
            h_reset, h_update, h_new = (h @ p["w_hh"].T + p["b_hh"]).chunk(3, dim=1)
            z = torch.sigmoid(update + h_update)
            n = torch.tanh(new + torch.sigmoid(reset + h_reset) * h_new)
            h = (1 - z) * n + z * h
        return torch.mean((h @ p["output"] - goal) ** 2)

    def in_jax(p: Any, x: Any, goal: Any) -> Any:
        def step(h: Any, x: Any) -> Any:
            reset, update, new = jnp.split(x @ p["w_ih"].T + p["b_ih"], 3, axis=1)
            h_reset, h_update, h_new = jnp.split(h @ p["w_hh"].T + p["b_hh"], 3, axis=1)
            z = jax.nn.sigmoid(update + h_update)
            n = jnp.tanh(new + jax.nn.sigmoid(reset + h_reset) * h_new)
            return (1 - z) * n + z * h, None

        h, _ = jax.lax.scan(step, jnp.zeros((x.shape[1], 32), x.dtype), x)
        return jnp.mean((h @ p["output"] - goal) ** 2)

    return Contest(*_recurrent(rng, gates=3), in_numpy, in_pytorch, in_jax, dtype=np.float32)


def _recurrent(rng: np.random.Generator, gates: int) -> tuple[Any, Any]:
    """Parameters in PyTorch's shapes and the data: 25 steps of 16 sequences, and a goal for each."""
    parameters = {
        "w_ih": rng.normal(size=(gates * 32, 8)) / 4,
        "w_hh": rng.normal(size=(gates * 32, 32)) / 8,
        "b_ih": 0.1 * rng.normal(size=gates * 32),
        "b_hh": 0.1 * rng.normal(size=gates * 32),
        "output": rng.normal(size=(32, 1)) / 4,
    }
    return parameters, (rng.normal(size=(25, 16, 8)), rng.normal(size=(16, 1)))


@program("attention with einsum: 4 sequences of 32, 4 heads of 16")
def einsum_attention(rng: np.random.Generator) -> Contest:
    def in_numpy(p: Any, x: Any) -> Any:
        q, k, v = (np.einsum("btd,dhe->bhte", x, p[name]) for name in "qkv")
        weights = F.softmax(np.einsum("bhte,bhse->bhts", q, k) / sqrt(16))
        y = np.einsum("bhts,bhse,hed->btd", weights, v, p["out"], optimize=True)
        return np.mean((y - x) ** 2)

    def in_pytorch(p: Any, x: Any) -> Any:
        q, k, v = (torch.einsum("btd,dhe->bhte", x, p[name]) for name in "qkv")
        weights = torch.softmax(torch.einsum("bhte,bhse->bhts", q, k) / sqrt(16), dim=-1)
        y = torch.einsum("bhts,bhse,hed->btd", weights, v, p["out"])
        return torch.mean((y - x) ** 2)

    def in_jax(p: Any, x: Any) -> Any:
        q, k, v = (jnp.einsum("btd,dhe->bhte", x, p[name]) for name in "qkv")
        weights = jax.nn.softmax(jnp.einsum("bhte,bhse->bhts", q, k) / sqrt(16))
        y = jnp.einsum("bhts,bhse,hed->btd", weights, v, p["out"])
        return jnp.mean((y - x) ** 2)

    parameters = {name: rng.normal(size=(64, 4, 16)) / 8 for name in "qkv"}
    parameters["out"] = rng.normal(size=(4, 16, 64)) / 8
    return Contest(parameters, (rng.normal(size=(4, 32, 64)),), in_numpy, in_pytorch, in_jax, dtype=np.float32)


@program("GPT with two layers: 4 sequences of 32, 4 heads of 8")
def gpt(rng: np.random.Generator) -> Contest:
    batch, length, heads, width, vocabulary = 4, 32, 4, 32, 65

    def layer_norm(x: Any, scale: Any, shift: Any) -> Any:
        mean, variance = np.mean(x, axis=-1, keepdims=True), np.var(x, axis=-1, keepdims=True)
        return (x - mean) / np.sqrt(variance + 1e-5) * scale + shift

    def attention(x: Any, p: Any, causal: Any) -> Any:
        b, t, d = x.shape
        q, k, v = (y.reshape(b, t, heads, -1).transpose(0, 2, 1, 3) for y in np.split(x @ p["qkv"], 3, axis=-1))
        scores = q @ k.transpose(0, 1, 3, 2) / sqrt(d // heads)
        y = F.softmax(np.where(causal, scores, -np.inf)) @ v
        return y.transpose(0, 2, 1, 3).reshape(b, t, d) @ p["projection"]

    def in_numpy(p: Any, text: Any, following: Any, causal: Any) -> Any:
        x = p["tokens"][text] + p["positions"]
        for layer in p["layers"]:
            x = x + attention(layer_norm(x, layer["scale1"], layer["shift1"]), layer, causal)
            y = layer_norm(x, layer["scale2"], layer["shift2"]) @ layer["up"]
            x = x + F.gelu(y) @ layer["down"]
        logits = layer_norm(x, p["scale"], p["shift"]) @ p["tokens"].T
        return F.cross_entropy(logits.reshape(-1, vocabulary), following.reshape(-1))

    def torch_attention(x: Any, p: Any, causal: Any) -> Any:
        b, t, d = x.shape
        q, k, v = (y.reshape(b, t, heads, -1).transpose(1, 2) for y in (x @ p["qkv"]).chunk(3, dim=-1))
        scores = q @ k.transpose(2, 3) / sqrt(d // heads)
        y = torch.softmax(scores.masked_fill(~causal, -torch.inf), dim=-1) @ v
        return y.transpose(1, 2).reshape(b, t, d) @ p["projection"]

    def in_pytorch(p: Any, text: Any, following: Any, causal: Any) -> Any:
        x = torch.nn.functional.embedding(text, p["tokens"]) + p["positions"]
        for layer in p["layers"]:
            y = torch.nn.functional.layer_norm(x, (width,), layer["scale1"], layer["shift1"])
            x = x + torch_attention(y, layer, causal)
            y = torch.nn.functional.layer_norm(x, (width,), layer["scale2"], layer["shift2"])
            x = x + torch.nn.functional.gelu(y @ layer["up"]) @ layer["down"]
        logits = torch.nn.functional.layer_norm(x, (width,), p["scale"], p["shift"]) @ p["tokens"].T
        return torch.nn.functional.cross_entropy(logits.reshape(-1, vocabulary), following.reshape(-1))

    def jax_layer_norm(x: Any, scale: Any, shift: Any) -> Any:
        mean, variance = jnp.mean(x, axis=-1, keepdims=True), jnp.var(x, axis=-1, keepdims=True)
        return (x - mean) / jnp.sqrt(variance + 1e-5) * scale + shift

    def jax_attention(x: Any, p: Any, causal: Any) -> Any:
        b, t, d = x.shape
        q, k, v = (y.reshape(b, t, heads, -1).transpose(0, 2, 1, 3) for y in jnp.split(x @ p["qkv"], 3, axis=-1))
        scores = q @ k.transpose(0, 1, 3, 2) / sqrt(d // heads)
        y = jax.nn.softmax(jnp.where(causal, scores, -jnp.inf)) @ v
        return y.transpose(0, 2, 1, 3).reshape(b, t, d) @ p["projection"]

    def in_jax(p: Any, text: Any, following: Any, causal: Any) -> Any:
        x = p["tokens"][text] + p["positions"]
        for layer in p["layers"]:
            x = x + jax_attention(jax_layer_norm(x, layer["scale1"], layer["shift1"]), layer, causal)
            y = jax_layer_norm(x, layer["scale2"], layer["shift2"]) @ layer["up"]
            x = x + jax.nn.gelu(y, approximate=False) @ layer["down"]
        logits = jax_layer_norm(x, p["scale"], p["shift"]) @ p["tokens"].T
        log_probabilities = jax.nn.log_softmax(logits.reshape(-1, vocabulary))
        return -jnp.mean(log_probabilities[jnp.arange(batch * length), following.reshape(-1)])

    def weight(m: int, n: int) -> Any:
        return rng.normal(size=(m, n)) / sqrt(m)

    def norm(number: str) -> dict[str, Any]:
        return {f"scale{number}": rng.uniform(0.5, 1.5, width), f"shift{number}": 0.1 * rng.normal(size=width)}

    def layer() -> dict[str, Any]:
        attention = {"qkv": weight(width, 3 * width), "projection": weight(width, width)}
        return attention | {"up": weight(width, 4 * width), "down": weight(4 * width, width)} | norm("1") | norm("2")

    parameters = {
        "tokens": rng.normal(size=(vocabulary, width)),
        "positions": rng.normal(size=(length, width)),
        "layers": [layer(), layer()],
        **norm(""),
    }
    text = rng.integers(0, vocabulary, (batch, length + 1))
    data = text[:, :-1], text[:, 1:], np.tri(length, dtype=bool)
    return Contest(parameters, data, in_numpy, in_pytorch, in_jax, dtype=np.float32)
