"""Trajectories of many kinds of model: each step compiled beside the same step run eagerly, with the same state.

Each model comes with its loss, written as its users write it. The batches differ from step to step, and one of them is
smaller; halfway, the model is evaluated and goes on.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.compiler.conftest import BACKENDS
from tests.marks import param
from tinygrad_lite import nn, optim, trees
from tinygrad_lite.nn import functional as F

ROWS, TURNS = 6, 10


def weight(*shape: int, seed: int = 0) -> tg.Tensor:
    return tg.tensor(np.random.default_rng(seed).normal(size=shape) * 0.4, requires_grad=True)


class Base(nn.Module):
    """A model whose loss takes the arrays of a batch."""

    def loss(self, *batch: Any) -> Any:
        x, target = batch
        return F.mse_loss(self(x), target)


class Perceptron(Base):
    def __init__(self) -> None:
        self.layers = nn.Sequential(nn.Linear(4, 6, rng=0), nn.GELU(), nn.Linear(6, 5, rng=1), nn.Tanh())
        self.out = nn.Linear(5, 3, rng=2)

    def loss(self, x: Any, labels: Any) -> Any:
        return F.cross_entropy(self.out(self.layers(x)), labels)


class Convolution(Base):
    """Two convolutions by hand, as sums over windows, and a pooling."""

    def __init__(self) -> None:
        self.first, self.second, self.out = weight(3, 1, 3, 3), weight(2, 3, 2, 2, seed=1), nn.Linear(2, 1, rng=2)

    def convolved(self, x: Any, kernel: Any) -> Any:
        height, width = kernel.shape[2:]
        rows, columns = x.shape[2] - height + 1, x.shape[3] - width + 1
        total = 0
        for i in range(height):
            for j in range(width):
                part = x[:, :, i : i + rows, j : j + columns]
                total = total + np.einsum("ncij,oc->noij", part, kernel[:, :, i, j])
        return total

    def forward(self, x: Any) -> Any:
        hidden = np.maximum(self.convolved(x, self.first), 0)
        hidden = np.max(np.reshape(hidden, (len(x), 3, 2, 2, 2, 2)), axis=(3, 5))
        return self.out(np.mean(self.convolved(hidden, self.second), axis=(2, 3)))


class Recurrent(Base):
    def __init__(self) -> None:
        self.inside, self.again, self.out = nn.Linear(2, 4, rng=0), nn.Linear(4, 4, rng=1), nn.Linear(4, 1, rng=2)

    def forward(self, x: Any) -> Any:
        h = np.zeros((x.shape[0], 4))
        for t in range(x.shape[1]):
            h = np.tanh(self.inside(x[:, t]) + self.again(h))
        return self.out(h)


class Gated(Recurrent):
    """A gated recurrent unit."""

    def __init__(self) -> None:
        self.gates, self.candidate, self.out = nn.Linear(6, 8, rng=0), nn.Linear(6, 4, rng=1), nn.Linear(4, 1, rng=2)

    def forward(self, x: Any) -> Any:
        h = np.zeros((x.shape[0], 4))
        for t in range(x.shape[1]):
            reset, update = np.split(F.sigmoid(self.gates(np.concatenate([x[:, t], h], axis=1))), 2, axis=1)
            h = (1 - update) * h + update * np.tanh(self.candidate(np.concatenate([x[:, t], reset * h], axis=1)))
        return self.out(h)


class LongShortTerm(Recurrent):
    def __init__(self) -> None:
        self.gates, self.out = nn.Linear(6, 16, rng=0), nn.Linear(4, 1, rng=2)

    def forward(self, x: Any) -> Any:
        h = c = np.zeros((x.shape[0], 4))
        for t in range(x.shape[1]):
            z = self.gates(np.concatenate([x[:, t], h], axis=1))
            i, f, o = F.sigmoid(z[:, :4]), F.sigmoid(z[:, 4:8] + 1), F.sigmoid(z[:, 8:12])
            c = f * c + i * np.tanh(z[:, 12:])
            h = o * np.tanh(c)
        return self.out(h)


class Normalisation(Base):
    """A normalisation of each row."""

    def __init__(self, size: int) -> None:
        self.scale, self.shift = tg.tensor(np.ones(size), requires_grad=True), weight(size)

    def forward(self, x: Any) -> Any:
        centred = x - np.mean(x, axis=-1, keepdims=True)
        return self.scale * centred / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + 1e-5) + self.shift


class Attention(Base):
    """A causal block with two heads, residual, with its normalisations."""

    def __init__(self) -> None:
        self.qkv, self.merge = nn.Linear(4, 12, rng=0), nn.Linear(4, 4, rng=1)
        self.norms = [Normalisation(4), Normalisation(4)]
        self.feed = {"up": nn.Linear(4, 8, rng=2), "down": nn.Linear(8, 4, rng=3)}

    def forward(self, x: Any) -> Any:
        rows, length, size = x.shape
        parts = np.reshape(self.qkv(self.norms[0](x)), (rows, length, 3, 2, size // 2))
        q, k, v = (np.transpose(parts[:, :, i], (0, 2, 1, 3)) for i in range(3))
        scores = q @ np.swapaxes(k, -1, -2) / np.sqrt(size // 2)
        scores = np.where(np.tri(length, dtype=bool), scores, -1e9)
        mixed = np.reshape(np.transpose(F.softmax(scores) @ v, (0, 2, 1, 3)), (rows, length, size))
        x = x + self.merge(mixed)
        return x + self.feed["down"](F.gelu(self.feed["up"](self.norms[1](x))))


class RunningStatistics(Base):
    """A batch normalisation: in training by the batch, in evaluation by what it has seen."""

    def __init__(self) -> None:
        self.first, self.out = nn.Linear(4, 5, rng=0), nn.Linear(5, 1, rng=1)
        self.mean, self.variance, self.count = tg.tensor(np.zeros(5)), tg.tensor(np.ones(5)), tg.tensor(0.0)

    def forward(self, x: Any) -> Any:
        z = self.first(x)
        if self.training:
            mean, variance = np.mean(z, axis=0), np.var(z, axis=0)
            with tg.no_grad():
                self.mean.data = 0.9 * self.mean + 0.1 * mean.detach()
                self.variance.data = 0.9 * self.variance + 0.1 * variance.detach()
                self.count.data = self.count + 1
        else:
            mean, variance = self.mean, self.variance
        return self.out(F.relu((z - mean) / np.sqrt(variance + 1e-5)))


class Dropped(Base):
    def __init__(self) -> None:
        self.layers = nn.Sequential(nn.Linear(4, 8, rng=0), nn.SiLU(), nn.Dropout(0.3, rng=5), nn.Linear(8, 1, rng=1))

    def forward(self, x: Any) -> Any:
        return self.layers(x)


class Variational(Base):
    """An autoencoder with noise in its middle, and the divergence from a normal distribution."""

    def __init__(self) -> None:
        self.encoder, self.decoder = nn.Linear(4, 4, rng=0), nn.Linear(2, 4, rng=1)
        self._rng = np.random.default_rng(7)

    def loss(self, x: Any) -> Any:
        mean, log_variance = np.split(self.encoder(x), 2, axis=1)
        z = mean + np.exp(0.5 * log_variance) * self._rng.normal(size=mean.shape)
        divergence = 0.5 * np.sum(mean**2 + np.exp(log_variance) - 1 - log_variance, axis=1)
        return np.mean(np.sum((self.decoder(np.tanh(z)) - x) ** 2, axis=1) + divergence)


class Embedding(Base):
    """The next word from the mean of three."""

    def __init__(self) -> None:
        self.table, self.out = weight(9, 3), nn.Linear(3, 9, rng=0)

    def loss(self, words: Any, after: Any) -> Any:
        return F.cross_entropy(self.out(np.mean(self.table[words], axis=1)), after)


class Factors(Base):
    """A table of ratings as the product of two matrices, with biases."""

    def __init__(self) -> None:
        self.users, self.things = weight(5, 2), weight(7, 2, seed=1)
        self.bias = weight(7, seed=2)

    def loss(self, user: Any, thing: Any, rating: Any) -> Any:
        found = np.sum(self.users[user] * self.things[thing], axis=1) + self.bias[thing]
        return np.sum((found - rating) ** 2) + 0.01 * (np.sum(self.users**2) + np.sum(self.things**2))


class Meta(Base):
    """Learning to learn: the loss after a step of gradient descent, by the derivative of that step."""

    def __init__(self) -> None:
        self.w, self.b, self.rate = weight(4, 1), weight(1, seed=1), tg.tensor(0.1, requires_grad=True)

    def loss(self, x: Any, target: Any) -> Any:
        inner = lambda w, b: np.mean((np.tanh(x[::2] @ w + b) - target[::2]) ** 2)  # noqa: E731
        dw, db = tg.grad(inner, argnums=(0, 1))(self.w, self.b)
        w, b = self.w - self.rate * dw, self.b - self.rate * db
        return np.mean((np.tanh(x[1::2] @ w + b) - target[1::2]) ** 2)


class Physics(Base):
    """u'' = -u by the second derivative of a network, with its value at 0."""

    def __init__(self) -> None:
        self.inside, self.out = nn.Linear(1, 5, rng=0), nn.Linear(5, 1, rng=1)

    def forward(self, t: Any) -> Any:
        return self.out(np.tanh(self.inside(t)))

    def loss(self, t: Any) -> Any:
        u = lambda t: np.sum(self(t))  # noqa: E731
        second = tg.grad(lambda t: np.sum(tg.grad(u)(t)))(t)
        return np.mean((second + self(t)) ** 2) + np.sum((self(np.zeros((1, 1))) - 1) ** 2)


class Process(Base):
    """The marginal likelihood of a Gaussian process."""

    def __init__(self) -> None:
        self.length, self.noise = tg.tensor(0.2, requires_grad=True), tg.tensor(-1.0, requires_grad=True)

    def loss(self, x: Any, y: Any) -> Any:
        distance = np.sum((x[:, None] - x[None]) ** 2, axis=-1)
        covariance = np.exp(-0.5 * distance / np.exp(2 * self.length)) + np.exp(2 * self.noise) * np.eye(len(x))
        root = np.linalg.cholesky(covariance)
        whitened = tg.linalg.solve_triangular(root, y, lower=True)
        return 0.5 * np.sum(whitened**2) + np.sum(np.log(np.diagonal(root)))


class Logistic(Base):
    """With a penalty on large weights."""

    def __init__(self) -> None:
        self.w, self.b = weight(4), weight(1)

    def loss(self, x: Any, target: Any) -> Any:
        return F.binary_cross_entropy_with_logits(x @ self.w + self.b, target) + 0.1 * np.sum(self.w**2)


class Clusters(Base):
    """k-means: each row is drawn to the nearest centre."""

    def __init__(self) -> None:
        self.centres = weight(3, 4)

    def loss(self, x: Any) -> Any:
        distance = np.sum((x[:, None] - self.centres) ** 2, axis=-1)
        nearest = np.argmin(distance, axis=1)
        return np.mean(np.sum((x - self.centres[nearest]) ** 2, axis=1)) + 0.1 * np.mean(np.min(distance, axis=1))


class Mixture(Base):
    """The likelihood of a mixture of normal distributions that depends on the input."""

    def __init__(self) -> None:
        self.hidden, self.out = nn.Linear(4, 5, rng=0), nn.Linear(5, 9, rng=1)

    def loss(self, x: Any, target: Any) -> Any:
        share, mean, log_width = np.split(self.out(np.tanh(self.hidden(x))), 3, axis=1)
        each = F.log_softmax(share) - log_width - 0.5 * ((target - mean) / np.exp(log_width)) ** 2
        return -np.mean(F.logsumexp(each, axis=1))


class Teacher(Base):
    """A student beside a slow average of itself, which gets no gradient."""

    def __init__(self) -> None:
        self.student, self.teacher = nn.Linear(4, 3, rng=0), nn.Linear(4, 3, rng=1)
        for parameter in self.teacher.parameters():
            parameter.requires_grad = False

    def loss(self, x: Any) -> Any:
        with tg.no_grad():
            for slow, quick in ((self.teacher.weight, self.student.weight), (self.teacher.bias, self.student.bias)):
                slow.data = 0.9 * slow + 0.1 * quick
        goal = F.softmax(tg.stop_gradient(self.teacher(x)) / 0.5)
        return -np.mean(np.sum(goal * F.log_softmax(self.student(x[:, ::-1])), axis=1))


class Contrast(Base):
    """Rows and their noisy copies find each other by the angle between them."""

    def __init__(self) -> None:
        self.map, self.temperature = nn.Linear(4, 3, bias=False, rng=0), tg.tensor(0.5, requires_grad=True)
        self._rng = np.random.default_rng(3)

    def directions(self, x: Any) -> Any:
        y = self.map(x)
        return y / np.linalg.norm(y, axis=1, keepdims=True)

    def loss(self, x: Any) -> Any:
        a, b = self.directions(x), self.directions(x + 0.1 * self._rng.normal(size=x.shape))
        return F.cross_entropy(a @ b.T / self.temperature, np.arange(x.shape[0]))


class Flow(Base):
    """An ordinary differential equation, by Heun's steps, with a checkpoint at each."""

    def __init__(self) -> None:
        self.field = nn.Sequential(nn.Linear(2, 5, rng=0), nn.Tanh(), nn.Linear(5, 2, rng=1))

    def forward(self, y: Any) -> Any:
        def step(y: Any) -> Any:
            first = self.field(y)
            return y + 0.1 * (first + self.field(y + 0.2 * first))

        step = tg.checkpoint(step)
        for _ in range(3):
            y = step(y)
        return y


class Tied(Base):
    """An autoencoder whose halves share a weight; one field is another's."""

    def __init__(self) -> None:
        self.encoder = nn.Linear(4, 2, rng=0)
        self.shared = self.encoder.weight
        self.bias = weight(4)

    def loss(self, x: Any) -> Any:
        return np.mean((F.sigmoid(self.encoder(x)) @ self.shared + self.bias - x) ** 2)


class Whitened(Base):
    """Linear algebra: a determinant, an inverse, a norm, a solution."""

    def __init__(self) -> None:
        self.m = tg.tensor(np.eye(3) + 0.1 * np.random.default_rng(0).normal(size=(3, 3)), requires_grad=True)

    def loss(self, x: Any) -> Any:
        _, log_size = np.linalg.slogdet(self.m)
        y = np.linalg.solve(self.m @ self.m.T + 0.1 * np.eye(3), x.T)
        return np.mean(np.sum(x.T * y, axis=0)) + log_size**2 + 0.01 * np.linalg.norm(np.linalg.inv(self.m))


def _normal(*shape: int) -> Callable[[np.random.Generator, int], Any]:
    return lambda rng, n: rng.normal(size=(n, *shape))


def _labels(k: int, *shape: int) -> Callable[[np.random.Generator, int], Any]:
    return lambda rng, n: rng.integers(0, k, (n, *shape))


def _truths(rng: np.random.Generator, n: int) -> Any:
    return (rng.random(n) < 0.5).astype(float)


MODELS: dict[str, tuple[type[Base], list[Callable[[np.random.Generator, int], Any]]]] = {
    "perceptron": (Perceptron, [_normal(4), _labels(3)]),
    "convolution": (Convolution, [_normal(1, 6, 6), _normal(1)]),
    "recurrent": (Recurrent, [_normal(4, 2), _normal(1)]),
    "gated": (Gated, [_normal(3, 2), _normal(1)]),
    "long short-term": (LongShortTerm, [_normal(3, 2), _normal(1)]),
    "attention": (Attention, [_normal(3, 4), _normal(3, 4)]),
    "running statistics": (RunningStatistics, [_normal(4), _normal(1)]),
    "dropout": (Dropped, [_normal(4), _normal(1)]),
    "variational": (Variational, [_normal(4)]),
    "embedding": (Embedding, [_labels(9, 3), _labels(9)]),
    "factors": (Factors, [_labels(5), _labels(7), _normal()]),
    "meta": (Meta, [_normal(4), _normal(1)]),
    "physics": (Physics, [_normal(1)]),
    "process": (Process, [_normal(2), _normal()]),
    "logistic": (Logistic, [_normal(4), _truths]),
    "clusters": (Clusters, [_normal(4)]),
    "mixture": (Mixture, [_normal(4), _normal(1)]),
    "teacher": (Teacher, [_normal(4)]),
    "contrast": (Contrast, [_normal(4)]),
    "flow": (Flow, [_normal(2), _normal(2)]),
    "tied": (Tied, [_normal(4)]),
    "whitened": (Whitened, [_normal(3)]),
}


def clipped(parameters: list[tg.Tensor], most: float) -> None:
    """Shorten the gradient of all parameters together."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    length = np.sqrt(sum(np.sum(g * g) for g in gradients))
    factor = np.minimum(1.0, most / (length + 1e-9))
    for p in parameters:
        if p.grad is not None:
            p.grad = p.grad * factor


OPTIMIZERS: list[Callable[[Any], optim.Optimizer]] = [
    lambda p: optim.SGD(p, lr=0.05),
    lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    lambda p: optim.Adam(p, lr=0.02),
    lambda p: optim.AdamW(p, lr=0.02, weight_decay=0.1),
    lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    lambda p: optim.SGD(p, lr=0.05, weight_decay=0.01, momentum=0.5),
]


class Training:
    """A model, its optimiser with a schedule, and a step; the kind of step goes by the number of the model."""

    def __init__(self, name: str, backend: str | None) -> None:
        kind = list(MODELS).index(name)
        self.model = model = MODELS[name][0]()
        parameters = list(model.parameters())
        self.optimizer = optimizer = OPTIMIZERS[kind % len(OPTIMIZERS)](parameters)
        schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.95) if kind % 2 else None

        def step(*batch: Any) -> Any:
            if kind % 3:
                optimizer.zero_grad()
            loss = model.loss(*batch)
            loss.backward()
            if kind % 5 == 0:
                clipped(parameters, 0.5)
            optimizer.step()
            if schedule is not None:
                schedule.step()
            if kind % 3 == 0:
                optimizer.zero_grad()
            return loss / ROWS if kind % 4 == 0 else loss

        def evaluate(*batch: Any) -> Any:
            with tg.no_grad():
                return model.loss(*batch)

        self.step = step if backend is None else tg.compile(step, backend)
        self.evaluate = evaluate if backend is None else tg.compile(evaluate, backend)

    def state(self) -> list[Any]:
        gradients = [None if p.grad is None else p.grad.numpy() for p in self.model.parameters()]
        state = trees.leaves([*self.optimizer.state.values()])
        return [*self.model.state_dict().values(), *gradients, *state, self.optimizer.lr]


def batches(name: str) -> Iterator[list[Any]]:
    rng = np.random.default_rng(1)
    for turn in range(TURNS):
        yield [make(rng, ROWS - 2 if turn == 6 else ROWS) for make in MODELS[name][1]]


def agree(found: Any, expected: Any) -> None:
    if expected is None:
        assert found is None
        return
    assert np.asarray(found).dtype == np.asarray(expected).dtype
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-11)


@pytest.mark.long
@pytest.mark.parametrize(
    ("backend", "name"),
    [
        param(backend, name, slow=i % 8 != (0 if backend == "native" else 2))
        for backend in BACKENDS
        for i, name in enumerate(MODELS)
    ],
)
def test_trajectories(backend: str, name: str) -> None:
    eager, compiled = Training(name, None), Training(name, backend)
    for turn, batch in enumerate(batches(name)):
        agree(compiled.step(*batch).numpy(), eager.step(*batch).numpy())
        for found, expected in zip(compiled.state(), eager.state(), strict=True):
            agree(found, expected)
        if turn in (4, 5):
            for each in (eager, compiled):
                each.model.eval()
            agree(compiled.evaluate(*batch).numpy(), eager.evaluate(*batch).numpy())
            for each in (eager, compiled):
                each.model.train()


FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "poisson regression": lambda w, x: tg.value_and_grad(lambda w: np.mean(np.exp(x @ w) - (x[:, 0] > 0) * (x @ w)))(w),
    "newton": lambda w, x: np.linalg.solve(
        tg.hessian(lambda w: np.sum(np.log(np.cosh(x @ w))) + w @ w)(w),
        tg.grad(lambda w: np.sum(np.log(np.cosh(x @ w))) + w @ w)(w),
    ),
    "gauss-newton": lambda w, x: np.linalg.lstsq(
        tg.jacobian(lambda w: np.tanh(x @ w))(w), np.tanh(x @ w) - 0.1, rcond=None
    )[0],
    "curvature along a line": lambda w, x: tg.hvp(lambda w: np.sum(np.sin(x @ w) ** 2), (w,), (np.ones(3),)),
    "forward mode": lambda w, x: tg.jvp(lambda w: F.softmax(x @ w), (w,), (np.ones(3),)),
}


@pytest.mark.long
@pytest.mark.parametrize("name", FUNCTIONS)
def test_descent_by_functions_of_arrays(backend: str, name: str) -> None:
    f = FUNCTIONS[name]
    compiled, rng = tg.compile(f, backend), np.random.default_rng(0)
    w = rng.normal(size=3)
    for _ in range(4):
        x = rng.normal(size=(5, 3))
        found, expected = trees.leaves(compiled(w, x)), trees.leaves(f(w, x))
        for a, b in zip(found, expected, strict=True):
            agree(a, b)
        if np.shape(expected[-1]) == w.shape:
            w = w - 0.1 * expected[-1]
