"""Networks on images, points, graphs and tasks, and pieces of them."""

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import tinygrad_lite as tg
from benchmarks.programs.contest import Contest, Modules, program
from benchmarks.programs.peers import jax, jnp, torch
from tinygrad_lite import nn
from tinygrad_lite.nn import functional as F


@program("CNN on 64 digits of 8 × 8 pixels")
def cnn(rng: np.random.Generator) -> Contest:
    def convolution(x: Any, weight: Any, bias: Any) -> Any:
        windows = sliding_window_view(x, weight.shape[2:], axis=(2, 3))
        return np.einsum("nchwij,ocij->nohw", windows, weight) + bias[:, None, None]

    def pooled(x: Any) -> Any:
        n, c, h, w = x.shape
        return np.max(x.reshape(n, c, h // 2, 2, w // 2, 2), axis=(3, 5))

    def in_numpy(p: Any, x: Any, y: Any) -> Any:
        x = pooled(F.relu(convolution(x, p["w1"], p["b1"])))
        x = pooled(F.relu(convolution(x, p["w2"], p["b2"])))
        return F.cross_entropy(F.linear(x.reshape(len(x), -1), p["w3"], p["b3"]), y)

    def in_pytorch(p: Any, x: Any, y: Any) -> Any:
        x = torch.nn.functional.max_pool2d(torch.relu(torch.nn.functional.conv2d(x, p["w1"], p["b1"])), 2)
        x = torch.nn.functional.max_pool2d(torch.relu(torch.nn.functional.conv2d(x, p["w2"], p["b2"])), 2)
        x = torch.nn.functional.linear(x.flatten(1), p["w3"], p["b3"])
        return torch.nn.functional.cross_entropy(x, y)

    def jax_convolution(x: Any, weight: Any, bias: Any) -> Any:
        return jax.lax.conv(x, weight, (1, 1), "VALID") + bias[:, None, None]

    def jax_pooled(x: Any) -> Any:
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def in_jax(p: Any, x: Any, y: Any) -> Any:
        x = jax_pooled(jax.nn.relu(jax_convolution(x, p["w1"], p["b1"])))
        x = jax_pooled(jax.nn.relu(jax_convolution(x, p["w2"], p["b2"])))
        log_probabilities = jax.nn.log_softmax(x.reshape(len(x), -1) @ p["w3"].T + p["b3"])
        return -jnp.mean(log_probabilities[jnp.arange(len(y)), y])

    parameters = {
        "w1": rng.normal(size=(8, 1, 3, 3)) / 3,
        "b1": rng.normal(size=8) / 3,
        "w2": rng.normal(size=(16, 8, 2, 2)) / 6,
        "b2": rng.normal(size=16) / 6,
        "w3": rng.normal(size=(10, 16)) / 4,
        "b3": np.zeros(10),
    }
    data = rng.random((64, 1, 8, 8)), rng.integers(0, 10, 64)
    return Contest(parameters, data, in_numpy, in_pytorch, in_jax, dtype=np.float32)


@program("residual block with batch normalisation: 16 images of 8 channels and 8 × 8 pixels")
def residual_block(rng: np.random.Generator) -> Contest:
    def convolution(x: Any, weight: Any) -> Any:
        windows = sliding_window_view(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), axis=(2, 3))
        return np.moveaxis(np.tensordot(windows, weight, axes=((1, 4, 5), (1, 2, 3))), -1, 1)

    def normalised(x: Any, scale: Any, shift: Any) -> Any:
        mean = np.mean(x, axis=(0, 2, 3), keepdims=True)
        variance = np.mean((x - mean) ** 2, axis=(0, 2, 3), keepdims=True)
        return (x - mean) / np.sqrt(variance + 1e-5) * scale[:, None, None] + shift[:, None, None]

    def in_numpy(p: Any, x: Any, goal: Any) -> Any:
        y = F.relu(normalised(convolution(x, p["w1"]), p["scale1"], p["shift1"]))
        y = normalised(convolution(y, p["w2"]), p["scale2"], p["shift2"])
        return np.mean((F.relu(x + y) - goal) ** 2)

    def torch_normalised(x: Any, scale: Any, shift: Any) -> Any:
        return torch.nn.functional.batch_norm(x, None, None, scale, shift, training=True)

    def in_pytorch(p: Any, x: Any, goal: Any) -> Any:
        y = torch.nn.functional.conv2d(x, p["w1"], padding=1)
        y = torch.nn.functional.conv2d(torch.relu(torch_normalised(y, p["scale1"], p["shift1"])), p["w2"], padding=1)
        return torch.mean((torch.relu(x + torch_normalised(y, p["scale2"], p["shift2"])) - goal) ** 2)

    def jax_normalised(x: Any, scale: Any, shift: Any) -> Any:
        mean = jnp.mean(x, axis=(0, 2, 3), keepdims=True)
        variance = jnp.mean((x - mean) ** 2, axis=(0, 2, 3), keepdims=True)
        return (x - mean) / jnp.sqrt(variance + 1e-5) * scale[:, None, None] + shift[:, None, None]

    def in_jax(p: Any, x: Any, goal: Any) -> Any:
        y = jax.nn.relu(jax_normalised(jax.lax.conv(x, p["w1"], (1, 1), "SAME"), p["scale1"], p["shift1"]))
        y = jax_normalised(jax.lax.conv(y, p["w2"], (1, 1), "SAME"), p["scale2"], p["shift2"])
        return jnp.mean((jax.nn.relu(x + y) - goal) ** 2)

    parameters = {
        "w1": rng.normal(size=(8, 8, 3, 3)) / 8,
        "scale1": rng.uniform(0.5, 1.5, 8),
        "shift1": rng.normal(size=8),
        "w2": rng.normal(size=(8, 8, 3, 3)) / 8,
        "scale2": rng.uniform(0.5, 1.5, 8),
        "shift2": rng.normal(size=8),
    }
    data = rng.normal(size=(16, 8, 8, 8)), rng.normal(size=(16, 8, 8, 8))
    return Contest(parameters, data, in_numpy, in_pytorch, in_jax, dtype=np.float32)


@program("max-pooling 2 × 2 of 16 images of 8 channels and 16 × 16 pixels")
def max_pooling(rng: np.random.Generator) -> Contest:
    def in_numpy(x: Any) -> Any:
        n, c, h, w = x.shape
        return np.sum(np.max(x.reshape(n, c, h // 2, 2, w // 2, 2), axis=(3, 5)) ** 2)

    def in_pytorch(x: Any) -> Any:
        return torch.sum(torch.nn.functional.max_pool2d(x, 2) ** 2)

    def in_jax(x: Any) -> Any:
        largest = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
        return jnp.sum(largest**2)

    return Contest(rng.normal(size=(16, 8, 16, 16)), (), in_numpy, in_pytorch, in_jax, dtype=np.float32)


@program("layer normalisation of 256 rows of 64")
def layer_normalisation(rng: np.random.Generator) -> Contest:
    def in_numpy(p: Any, weight: Any) -> Any:
        x = p["x"]
        mean, variance = np.mean(x, axis=-1, keepdims=True), np.var(x, axis=-1, keepdims=True)
        return np.sum(weight * ((x - mean) / np.sqrt(variance + 1e-5) * p["scale"] + p["shift"]))

    def in_pytorch(p: Any, weight: Any) -> Any:
        return torch.sum(weight * torch.nn.functional.layer_norm(p["x"], (64,), p["scale"], p["shift"]))

    def in_jax(p: Any, weight: Any) -> Any:
        x = p["x"]
        mean, variance = jnp.mean(x, axis=-1, keepdims=True), jnp.var(x, axis=-1, keepdims=True)
        return jnp.sum(weight * ((x - mean) / jnp.sqrt(variance + 1e-5) * p["scale"] + p["shift"]))

    parameters = {"x": rng.normal(size=(256, 64)), "scale": rng.normal(size=64), "shift": rng.normal(size=64)}
    return Contest(parameters, (rng.normal(size=(256, 64)),), in_numpy, in_pytorch, in_jax, dtype=np.float32)


@program("variational autoencoder 64-32-8-32-64, 64 rows")
def autoencoder(rng: np.random.Generator) -> Contest:
    class VAE(nn.Module):
        def __init__(self, dtype: Any) -> None:
            self.encoder = nn.Sequential(nn.Linear(64, 32, dtype=dtype), nn.ReLU(), nn.Linear(32, 16, dtype=dtype))
            self.decoder = nn.Sequential(nn.Linear(8, 32, dtype=dtype), nn.ReLU(), nn.Linear(32, 64, dtype=dtype))

        def forward(self, x: Any, noise: Any) -> Any:
            mean, log_variance = np.split(self.encoder(x), 2, axis=1)
            return self.decoder(mean + noise * np.exp(0.5 * log_variance)), mean, log_variance

    def in_numpy(model: Any, x: Any, noise: Any) -> Any:
        logits, mean, log_variance = model(x, noise)
        divergence = -0.5 * np.sum(1 + log_variance - mean**2 - np.exp(log_variance))
        return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") + divergence

    def torch_model() -> Any:
        class TorchVAE(torch.nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.encoder = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 16))
                self.decoder = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 64))

            def forward(self, x: Any, noise: Any) -> Any:
                mean, log_variance = self.encoder(x).chunk(2, dim=1)
                return self.decoder(mean + noise * torch.exp(0.5 * log_variance)), mean, log_variance

        return TorchVAE()

    def in_pytorch(model: Any, x: Any, noise: Any) -> Any:
        logits, mean, log_variance = model(x, noise)
        divergence = -0.5 * torch.sum(1 + log_variance - mean**2 - torch.exp(log_variance))
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="sum") + divergence

    def in_jax(p: Any, x: Any, noise: Any) -> Any:
        hidden = jax.nn.relu(x @ p["encoder.0.weight"].T + p["encoder.0.bias"])
        mean, log_variance = jnp.split(hidden @ p["encoder.2.weight"].T + p["encoder.2.bias"], 2, axis=1)
        z = mean + noise * jnp.exp(0.5 * log_variance)
        hidden = jax.nn.relu(z @ p["decoder.0.weight"].T + p["decoder.0.bias"])
        logits = hidden @ p["decoder.2.weight"].T + p["decoder.2.bias"]
        divergence = -0.5 * jnp.sum(1 + log_variance - mean**2 - jnp.exp(log_variance))
        return jnp.sum(jnp.logaddexp(0, logits) - x * logits) + divergence

    layers = {"encoder.0": (64, 32), "encoder.2": (32, 16), "decoder.0": (8, 32), "decoder.2": (32, 64)}
    parameters = {}
    for name, (m, n) in layers.items():
        parameters[f"{name}.weight"] = rng.normal(size=(n, m)) / np.sqrt(m)
        parameters[f"{name}.bias"] = 0.1 * rng.normal(size=n)
    return Modules(
        parameters,
        (rng.random((64, 64)), rng.normal(size=(64, 8))),
        in_numpy,
        in_pytorch,
        in_jax,
        dtype=np.float32,
        model=VAE,
        torch_model=torch_model,
    )


@program("MAML with two inner steps, 4 tasks of 10 points, 1-40-40-1")
def maml(rng: np.random.Generator) -> Contest:
    lr = 0.01

    def regression(p: Any, x: Any, y: Any) -> Any:
        for w, b in p[:-1]:
            x = F.relu(x @ w + b)
        w, b = p[-1]
        return np.mean((x @ w + b - y) ** 2)

    def in_numpy(p: Any, x: Any, y: Any, new_x: Any, new_y: Any) -> Any:
        loss = 0.0
        for task in range(len(x)):
            adapted = p
            for _ in range(2):
                gradient = tg.grad(regression)(adapted, x[task], y[task])
                adapted = [(w - lr * dw, b - lr * db) for (w, b), (dw, db) in zip(adapted, gradient)]
            loss = loss + regression(adapted, new_x[task], new_y[task])
        return loss

    def torch_regression(p: Any, x: Any, y: Any) -> Any:
        for w, b in p[:-1]:
            x = torch.relu(x @ w + b)
        w, b = p[-1]
        return torch.mean((x @ w + b - y) ** 2)

    def in_pytorch(p: Any, x: Any, y: Any, new_x: Any, new_y: Any) -> Any:
        loss = 0.0
        for task in range(len(x)):
            adapted = p
            for _ in range(2):
                flat = [part for layer in adapted for part in layer]
                gradient = torch.autograd.grad(torch_regression(adapted, x[task], y[task]), flat, create_graph=True)
                flat = [part - lr * change for part, change in zip(flat, gradient)]
                adapted = list(zip(flat[::2], flat[1::2]))
            loss = loss + torch_regression(adapted, new_x[task], new_y[task])
        return loss

    def jax_regression(p: Any, x: Any, y: Any) -> Any:
        for w, b in p[:-1]:
            x = jax.nn.relu(x @ w + b)
        w, b = p[-1]
        return jnp.mean((x @ w + b - y) ** 2)

    def in_jax(p: Any, x: Any, y: Any, new_x: Any, new_y: Any) -> Any:
        def task_loss(x: Any, y: Any, new_x: Any, new_y: Any) -> Any:
            adapted = p
            for _ in range(2):
                gradient = jax.grad(jax_regression)(adapted, x, y)
                adapted = jax.tree.map(lambda part, change: part - lr * change, adapted, gradient)
            return jax_regression(adapted, new_x, new_y)

        return jnp.sum(jax.vmap(task_loss)(x, y, new_x, new_y))

    parameters = [(rng.normal(size=(m, n)) / m**0.5, 0.1 * rng.normal(size=n)) for m, n in ((1, 40), (40, 40), (40, 1))]
    x, new_x = rng.uniform(-5, 5, (2, 4, 10, 1))
    phase = rng.uniform(0, np.pi, (4, 1, 1))
    data = x, np.sin(x + phase), new_x, np.sin(new_x + phase)
    return Contest(parameters, data, in_numpy, in_pytorch, in_jax, dtype=np.float32)


@program("physics-informed network with second derivatives, 1-20-20-1, 100 points")
def physics_informed(rng: np.random.Generator) -> Contest:
    """Poisson's equation u″ = -π² sin πx between walls where u is 0."""

    def network(p: Any, x: Any) -> Any:
        hidden = np.tanh(np.tanh(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"])
        return hidden @ p["w3"]

    def in_numpy(p: Any, x: Any, walls: Any) -> Any:
        slope = tg.grad(lambda x: np.sum(network(p, x)))
        curvature = tg.grad(lambda x: np.sum(slope(x)))(x)
        return np.mean((curvature + np.pi**2 * np.sin(np.pi * x)) ** 2) + np.mean(network(p, walls) ** 2)

    def torch_network(p: Any, x: Any) -> Any:
        hidden = torch.tanh(torch.tanh(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"])
        return hidden @ p["w3"]

    def in_pytorch(p: Any, x: Any, walls: Any) -> Any:
        x = x.requires_grad_()
        (slope,) = torch.autograd.grad(torch_network(p, x).sum(), x, create_graph=True)
        (curvature,) = torch.autograd.grad(slope.sum(), x, create_graph=True)
        x = x.detach()
        return torch.mean((curvature + np.pi**2 * torch.sin(np.pi * x)) ** 2) + torch.mean(torch_network(p, walls) ** 2)

    def jax_network(p: Any, x: Any) -> Any:
        hidden = jnp.tanh(jnp.tanh(x @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"])
        return hidden @ p["w3"]

    def in_jax(p: Any, x: Any, walls: Any) -> Any:
        slope = jax.grad(lambda x: jnp.sum(jax_network(p, x)))
        curvature = jax.grad(lambda x: jnp.sum(slope(x)))(x)
        return jnp.mean((curvature + jnp.pi**2 * jnp.sin(jnp.pi * x)) ** 2) + jnp.mean(jax_network(p, walls) ** 2)

    parameters = {
        "w1": rng.normal(size=(1, 20)),
        "b1": rng.normal(size=20),
        "w2": rng.normal(size=(20, 20)) / 20**0.5,
        "b2": 0.1 * rng.normal(size=20),
        "w3": rng.normal(size=(20, 1)) / 20**0.5,
    }
    return Contest(parameters, (rng.random((100, 1)), np.array([[0.0], [1.0]])), in_numpy, in_pytorch, in_jax)


@program("message passing on a graph, two rounds: 200 nodes, 800 edges, 16 channels")
def message_passing(rng: np.random.Generator) -> Contest:
    def in_numpy(p: Any, nodes: Any, sender: Any, receiver: Any, goal: Any) -> Any:
        for _ in range(2):
            messages = F.relu(nodes[sender] @ p["message"])
            nothing: Any = tg.tensor(np.zeros(nodes.shape, nodes.dtype))
            received = nothing.at[receiver].add(messages)
            nodes = np.tanh(nodes @ p["own"] + received)
        return np.mean((nodes @ p["readout"] - goal) ** 2)

    def in_pytorch(p: Any, nodes: Any, sender: Any, receiver: Any, goal: Any) -> Any:
        for _ in range(2):
            messages = torch.relu(nodes[sender] @ p["message"])
            received = torch.zeros_like(nodes).index_add(0, receiver, messages)
            nodes = torch.tanh(nodes @ p["own"] + received)
        return torch.mean((nodes @ p["readout"] - goal) ** 2)

    def in_jax(p: Any, nodes: Any, sender: Any, receiver: Any, goal: Any) -> Any:
        for _ in range(2):
            messages = jax.nn.relu(nodes[sender] @ p["message"])
            received = jnp.zeros_like(nodes).at[receiver].add(messages)
            nodes = jnp.tanh(nodes @ p["own"] + received)
        return jnp.mean((nodes @ p["readout"] - goal) ** 2)

    parameters: dict[str, Any] = {name: rng.normal(size=(16, 16)) / 8 for name in ("message", "own")}
    parameters["readout"] = rng.normal(size=16) / 4
    edges = rng.integers(0, 200, (2, 800))
    data = rng.normal(size=(200, 16)), *edges, rng.normal(size=200)
    return Contest(parameters, data, in_numpy, in_pytorch, in_jax, dtype=np.float32)
