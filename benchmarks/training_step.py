"""A whole training step (forward, backward, update) of the same network, by each contestant.

`by_hand` is the code of a good NumPy programmer who derived the gradients: it computes nothing twice and updates in
place. Every contestant starts from the same numbers, and must reach the same loss.
"""

from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np

Step = Callable[[], Any]
Layers = list[tuple[Any, Any]]


def parameters(sizes: list[int], dtype: Any) -> Layers:
    """Weights (in × out) and biases, which are not 0: a row without an active unit would lie on a kink of the loss."""
    rng = np.random.default_rng(0)
    return [((rng.normal(size=(m, n)) / np.sqrt(m)).astype(dtype), np.full(n, 0.01, dtype)) for m, n in pairwise(sizes)]


def data(sizes: list[int], rows: int, dtype: Any) -> tuple[Any, Any]:
    """Inputs and target: zeros and ones of shape (rows, 1) for one output, else class numbers."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(rows, sizes[0])).astype(dtype)
    if sizes[-1] == 1:
        return x, (rng.random((rows, 1)) < 0.5).astype(dtype)
    return x, rng.integers(0, sizes[-1], rows)


def by_hand(layers: Layers, x: Any, y: Any, lr: float) -> Step:
    n = len(x)
    rows = np.arange(n)

    def step() -> Any:
        inputs, a = [], x
        for w, b in layers[:-1]:
            inputs.append(a)
            a = a @ w
            a += b
            np.maximum(a, 0, out=a)
        inputs.append(a)
        w, b = layers[-1]
        z = a @ w
        z += b
        if z.shape[1] == 1:
            loss = np.mean(np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z))))
            dz = 1 / (1 + np.exp(-z))
            dz -= y
        else:
            z -= z.max(axis=1, keepdims=True)
            dz = np.exp(z)
            total = dz.sum(axis=1, keepdims=True)
            loss = np.mean(np.log(total[:, 0]) - z[rows, y])
            dz /= total
            dz[rows, y] -= 1
        dz /= n
        for i in reversed(range(len(layers))):
            w, b = layers[i]
            dw, db = inputs[i].T @ dz, dz.sum(axis=0)
            if i:
                dz = dz @ w.T
                dz *= inputs[i] > 0
            w -= lr * dw
            b -= lr * db
        return loss

    return step


def our_loss(layers: Layers, x: Any, y: Any) -> tuple[Any, Step]:
    """Our model, and a function that computes its loss."""
    import tinygrad_lite as tg
    from tinygrad_lite import nn

    modules: list[Any] = []
    for w, b in layers:
        modules += [nn.Linear(*w.shape, dtype=w.dtype), nn.ReLU()]
        modules[-2].load_state_dict({"weight": w.T, "bias": b})
    model = nn.Sequential(*modules[:-1])
    loss_function = nn.BCEWithLogitsLoss() if y.ndim == 2 else nn.CrossEntropyLoss()
    inputs, target = tg.tensor(x), tg.tensor(y)
    return model, lambda: loss_function(model(inputs), target)


def ours(layers: Layers, x: Any, y: Any, lr: float, kind: str = "SGD") -> Step:
    from tinygrad_lite import optim

    model, compute_loss = our_loss(layers, x, y)
    optimizer = getattr(optim, kind)(model.parameters(), lr=lr)

    def step() -> Any:
        optimizer.zero_grad()
        loss = compute_loss()
        loss.backward()
        optimizer.step()
        return loss

    return step


def pytorch(layers: Layers, x: Any, y: Any, lr: float) -> Step:
    import torch

    modules: list[Any] = []
    for w, b in layers:
        linear = torch.nn.Linear(*w.shape, dtype=torch.tensor(w).dtype)
        linear.load_state_dict({"weight": torch.tensor(w.T), "bias": torch.tensor(b)})
        modules += [linear, torch.nn.ReLU()]
    model = torch.nn.Sequential(*modules[:-1])
    loss_function: Any = torch.nn.BCEWithLogitsLoss() if y.ndim == 2 else torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    inputs, target = torch.tensor(x), torch.tensor(y)

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_function(model(inputs), target)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def _loss(np_: Any, z: Any, y: Any, rows: Any) -> Any:
    """The loss of the logits, with the functions of another library's NumPy."""
    if y.ndim == 2:
        return np_.mean(np_.maximum(z, 0) - z * y + np_.log(1 + np_.exp(-np_.abs(z))))
    z = z - np_.max(z, axis=1, keepdims=True)
    return np_.mean(np_.log(np_.sum(np_.exp(z), axis=1)) - z[rows, y])


def hips_autograd(layers: Layers, x: Any, y: Any, lr: float) -> Step:
    import autograd
    import autograd.numpy as anp

    rows = np.arange(len(x))
    state = [part for layer in layers for part in layer]

    def loss(state: list[Any]) -> Any:
        a = x
        for i in range(0, len(state) - 2, 2):
            a = anp.maximum(anp.dot(a, state[i]) + state[i + 1], 0)
        return _loss(anp, anp.dot(a, state[-2]) + state[-1], y, rows)

    value_and_grad = autograd.value_and_grad(loss)

    def step() -> Any:
        value, gradients = value_and_grad(state)
        for part, gradient in zip(state, gradients):
            part -= lr * gradient
        return value

    return step


def mygrad(layers: Layers, x: Any, y: Any, lr: float) -> Step:
    import mygrad as mg
    from mygrad.nnet.losses import softmax_crossentropy

    state = [mg.tensor(part) for layer in layers for part in layer]

    def step() -> Any:
        a: Any = x
        for i in range(0, len(state) - 2, 2):
            a = mg.maximum(mg.matmul(a, state[i]) + state[i + 1], 0)
        z = mg.matmul(a, state[-2]) + state[-1]
        if y.ndim == 2:
            loss = mg.mean(mg.maximum(z, 0) - z * y + mg.log1p(mg.exp(-mg.abs(z))))
        else:
            loss = softmax_crossentropy(z, y)
        loss.backward()
        for part in state:
            part.data -= lr * part.grad
            part.null_grad()
        return loss.data

    return step


def jax_jit(layers: Layers, x: Any, y: Any, lr: float) -> Step:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    rows = np.arange(len(x))
    state = [jnp.asarray(part) for layer in layers for part in layer]

    def loss(state: list[Any], x: Any, y: Any) -> Any:
        a = x
        for i in range(0, len(state) - 2, 2):
            a = jnp.maximum(a @ state[i] + state[i + 1], 0)
        return _loss(jnp, a @ state[-2] + state[-1], y, rows)

    @jax.jit
    def update(state: list[Any], x: Any, y: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(state, x, y)
        return value, [part - lr * gradient for part, gradient in zip(state, gradients)]

    inputs, target = jnp.asarray(x), jnp.asarray(y)

    def step() -> Any:
        nonlocal state
        value, state = update(state, inputs, target)
        return value.block_until_ready()

    return step


CONTESTANTS: dict[str, tuple[str, Callable[[Layers, Any, Any, float], Step]]] = {
    "NumPy, derived by hand": ("numpy", by_hand),
    "tinygrad_lite": ("tinygrad_lite", ours),
    "PyTorch": ("torch", pytorch),
    "MyGrad": ("mygrad", mygrad),
    "HIPS autograd": ("autograd", hips_autograd),
    "JAX, jit": ("jax", jax_jit),
}


def contestants(sizes: list[int], rows: int, dtype: Any, lr: float = 0.01) -> dict[str, Step]:
    """The step of each installed contestant, after a check that all agree on the losses of five steps."""
    x, y = data(sizes, rows, dtype)
    steps = {
        name: make(parameters(sizes, dtype), x, y, lr)
        for name, (module, make) in CONTESTANTS.items()
        if find_spec(module)
    }
    losses = {name: [float(step()) for _ in range(5)] for name, step in steps.items()}
    expected = next(iter(losses.values()))
    for name, values in losses.items():
        np.testing.assert_allclose(values, expected, rtol=1e-4 if dtype == np.float32 else 1e-9, err_msg=name)
    return steps
