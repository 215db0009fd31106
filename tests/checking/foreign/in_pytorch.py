"""PyTorch's functions and modules, with gradients from its autograd, as functions of NumPy arrays."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from tests.checking.foreign.cases import Problem

RNG = np.random.default_rng(19)
X = RNG.normal(size=(4, 3))
W = RNG.normal(size=(3, 3))
TARGETS = RNG.normal(size=(4, 3))
CLASSES = torch.tensor([0, 2, 1, 2])
V = np.array([-1.3, 0.4, 1.1, 2.6])


def problem(name: str, f: Callable[..., torch.Tensor], *x: Any, dtype: Any = torch.float64, **options: Any) -> Problem:
    """A function of tensors as one of arrays; its gradient is PyTorch's."""

    def tensors(x: Any, requires_grad: bool = False) -> list[torch.Tensor]:
        return [torch.tensor(np.asarray(a), dtype=dtype).requires_grad_(requires_grad) for a in x]

    def value(*x: Any) -> Any:
        with torch.no_grad():
            return f(*tensors(x)).numpy()

    def gradient(*x: Any) -> Any:
        leaves = tensors(x, True)
        found = torch.autograd.functional.jacobian(f, tuple(leaves)) if f(*leaves).ndim else _grad(f(*leaves), leaves)
        arrays = tuple(g.numpy() for g in found)
        return arrays if len(arrays) > 1 else arrays[0]

    return Problem(name, value, x, gradient, **{"step": 0.01, "accuracy": 1e-10} | options)


def _grad(y: torch.Tensor, leaves: list[torch.Tensor]) -> Any:
    return torch.autograd.grad(y, leaves)


def of_functions() -> list[Problem]:
    activations: dict[str, Any] = {
        "softplus": F.softplus,
        "gelu": F.gelu,
        "gelu by tanh": lambda x: F.gelu(x, approximate="tanh"),
        "silu": F.silu,
        "mish": F.mish,
        "elu": F.elu,
        "selu": F.selu,
        "leaky_relu": F.leaky_relu,
        "relu": F.relu,
        "hardswish": F.hardswish,
        "logsigmoid": F.logsigmoid,
        "tanhshrink": F.tanhshrink,
        "softshrink": F.softshrink,
        "softsign": F.softsign,
        "softmax": lambda x: F.softmax(x, dim=0),
        "log_softmax": lambda x: F.log_softmax(x, dim=0),
        "normalize": lambda x: F.normalize(x, dim=0),
        "cumsum of squares": lambda x: torch.cumsum(x**2, 0),
        "sinc": torch.sinc,
        "erf": torch.erf,
        "lgamma": lambda x: torch.lgamma(x + 3),
        "logcumsumexp": lambda x: torch.logcumsumexp(x, 0),
        "fft, squared": lambda x: torch.fft.fft(x).abs() ** 2,
    }
    found = [problem(f"torch {name}", f, V, step=0.004) for name, f in activations.items()]
    # whose rules have constants in float32, so that they are off by 1e-8
    for name, f, x, right in (
        ("hardsigmoid", F.hardsigmoid, V, lambda x: np.diag(np.where(np.abs(x) < 3, 1 / 6, 0))),
        ("celu", lambda x: F.celu(x, 0.7), V, lambda x: np.diag(np.where(x > 0, 1, np.exp(x / 0.7)))),
    ):
        theirs = problem(f"torch {name}", f, x, step=0.004)
        found.append(replace(theirs, gradient=right, mistakes=(), imprecise={"PyTorch's": theirs.gradient}))
    return found


def of_losses() -> list[Problem]:
    t = torch.tensor(TARGETS)
    positive = t.abs() + 0.1
    probabilities = torch.tensor([[0.2, 0.3, 0.5]] * 4, dtype=torch.float64)
    table: dict[str, Any] = {
        "mse_loss": lambda x: F.mse_loss(x, t),
        "mse_loss, summed": lambda x: F.mse_loss(x, t, reduction="sum"),
        "l1_loss": lambda x: F.l1_loss(x, t),
        "smooth_l1_loss": lambda x: F.smooth_l1_loss(x, t, beta=0.5),
        "huber_loss": lambda x: F.huber_loss(x, t, delta=0.7),
        "cross_entropy": lambda x: F.cross_entropy(x, CLASSES),
        "cross_entropy, smoothed": lambda x: F.cross_entropy(x, CLASSES, label_smoothing=0.1),
        "cross_entropy, weighted": lambda x: F.cross_entropy(x, CLASSES, weight=torch.tensor([1.0, 2, 0.5]).double()),
        "kl_div": lambda x: F.kl_div(F.log_softmax(x, 1), probabilities, reduction="batchmean"),
        "binary_cross_entropy_with_logits": lambda x: F.binary_cross_entropy_with_logits(x, probabilities),
        "poisson_nll_loss": lambda x: F.poisson_nll_loss(x, positive),
        "gaussian_nll_loss": lambda x: F.gaussian_nll_loss(x, t, positive),
        "soft_margin_loss": lambda x: F.soft_margin_loss(x, torch.sign(t)),
        "multi_margin_loss": lambda x: F.multi_margin_loss(x, CLASSES),
        "cosine_embedding_loss": lambda x: F.cosine_embedding_loss(x, t, torch.tensor([1, -1, 1, -1])),
        "triplet_margin_loss": lambda x: F.triplet_margin_loss(x, t, x.flip(0)),
        "multilabel_soft_margin_loss": lambda x: F.multilabel_soft_margin_loss(x, (t > 0).double()),
    }
    found = [problem(f"torch {name}", f, X, step=0.002, accuracy=1e-9) for name, f in table.items()]
    found.append(problem("torch mse_loss of two", lambda a, b: F.mse_loss(a, b), X, TARGETS))
    found.append(
        problem(
            "torch gaussian_nll_loss by mean and variance",
            lambda m, v: F.gaussian_nll_loss(m, t, v),
            X,
            np.abs(X) + 0.5,
        )
    )
    return found


def of_layers() -> list[Problem]:
    torch.manual_seed(0)
    image = RNG.normal(size=(1, 2, 5, 5))
    kernel = RNG.normal(size=(3, 2, 3, 3)) / 3
    rows = torch.tensor(RNG.normal(size=(6, 3)))
    cell = nn.GRUCell(3, 4).double()
    lstm = nn.LSTM(3, 2).double()
    attention = nn.MultiheadAttention(4, 2).double()
    norm = nn.BatchNorm1d(3).double()
    return [
        problem(
            "torch linear",
            lambda x, w: torch.tanh(F.linear(x, w)).sum(),
            X,
            W,
            mistakes=("transposed", "one entry off by 1e-8"),
        ),
        problem(
            "torch conv2d by its image",
            lambda x: torch.tanh(F.conv2d(x, torch.tensor(kernel))).sum(),
            image,
            accuracy=1e-9,
        ),
        problem(
            "torch conv2d by its kernel",
            lambda w: torch.tanh(F.conv2d(torch.tensor(image), w, stride=2, padding=1)).sum(),
            kernel,
            accuracy=1e-9,
        ),
        problem(
            "torch conv_transpose2d",
            lambda x: torch.tanh(F.conv_transpose2d(x, torch.tensor(kernel).transpose(0, 1))).sum(),
            image[..., :3, :3],
            accuracy=1e-9,
        ),
        problem("torch max_pool2d", lambda x: (F.max_pool2d(x, 2) ** 2).sum(), image[..., :4, :4], step=1e-3),
        problem("torch avg_pool2d", lambda x: (F.avg_pool2d(x, 2) ** 2).sum(), image[..., :4, :4]),
        problem(
            "torch layer_norm",
            lambda x, g, b: torch.tanh(F.layer_norm(x, (3,), g, b)).sum(),
            X,
            V[:3] + 2,
            V[1:],
            accuracy=1e-8,
        ),
        problem("torch group_norm", lambda x: (F.group_norm(x, 1) ** 3).sum(), image[:, :, 0, :], accuracy=1e-8),
        problem("torch batch_norm", lambda x: (norm.train()(x) ** 3).sum(), X, accuracy=1e-8),
        problem(
            "torch embedding",
            lambda w: torch.tanh(F.embedding(torch.tensor([0, 2, 2]), w)).sum(),
            X,
            mistakes=("the mean taken for a sum", "sorted"),
        ),
        problem("torch GRU cell", lambda h: torch.sum(cell(rows[:2], h) ** 2), RNG.normal(size=(2, 4))),
        problem("torch LSTM", lambda x: torch.sum(lstm(x[:, None])[0] ** 2), X),
        problem(
            "torch attention",
            lambda q: torch.sum(attention(q, q, q)[0] ** 2),
            RNG.normal(size=(3, 1, 4)),
            accuracy=1e-9,
        ),
        problem(
            "torch scaled_dot_product_attention",
            lambda q, k, v: torch.sum(torch.tanh(F.scaled_dot_product_attention(q, k, v))),
            X,
            TARGETS,
            X[::-1].copy(),
            accuracy=1e-9,
        ),
        problem(
            "torch bilinear grid",
            lambda x: torch.sum(F.interpolate(x, scale_factor=2, mode="bilinear") ** 2),
            image[..., :3, :3],
            accuracy=1e-9,
        ),
        problem("torch cdist", lambda a: torch.cdist(a, rows).sum(), X, accuracy=1e-8),
        problem("torch einsum", lambda a, b: torch.einsum("ij,jk,ik->", a, b, a), X, W, accuracy=1e-9),
        problem(
            "torch pad and fold",
            lambda x: torch.sum(F.unfold(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3) ** 2),
            image[..., :3, :3],
            accuracy=1e-9,
        ),
    ]


def of_linear_algebra() -> list[Problem]:
    a = W @ W.T / 3 + np.eye(3)
    g = torch.tensor(W)
    b = torch.tensor(V[:3])
    jitter = 1e-8 * torch.eye(6, dtype=torch.float64)
    times = torch.linspace(0, 1, 6, dtype=torch.float64)

    def process(length: Any) -> Any:
        k = torch.exp(-(((times[:, None] - times) / length) ** 2) / 2) + jitter
        return torch.sum(torch.sin(3 * times) * torch.linalg.solve(k, torch.sin(3 * times))) + torch.logdet(k)

    return [
        problem(
            "torch solve",
            lambda a: torch.linalg.solve(a, b).sum(),
            a,
            mistakes=("transposed", "the sign reversed"),
            wrong={},
            accuracy=1e-9,
        ),
        problem("torch cholesky", lambda a: (torch.linalg.cholesky((a + a.T) / 2) * g).sum(), a, accuracy=1e-9),
        problem("torch logdet", torch.logdet, a, accuracy=1e-9),
        problem(
            "torch inv",
            lambda a: (torch.linalg.inv(a) * g).sum(),
            a,
            mistakes=("transposed", "one entry off by 1e-6"),
            accuracy=1e-9,
        ),
        problem("torch eigvalsh", lambda a: torch.linalg.eigvalsh((a + a.T) / 2), a, accuracy=1e-8),
        problem("torch svdvals", lambda a: torch.linalg.svdvals(a), a, accuracy=1e-8),
        problem("torch qr", lambda a: (torch.linalg.qr(a)[1] * g).sum(), W + 2 * np.eye(3), accuracy=1e-8),
        problem("torch matrix_exp", lambda a: (torch.matrix_exp(a) * g).sum(), W / 2, accuracy=1e-9),
        problem("torch pinv", lambda a: (torch.linalg.pinv(a) ** 2).sum(), X, accuracy=1e-7),
        problem(
            "torch, a Gaussian process of jitter 1e-8",
            process,
            0.6,
            mistakes=("the sign reversed", "off by 1 %"),
            accuracy=1e-5,
            knowable=1e-5,
            why="its condition is 1e9",
        ),
        problem("torch slogdet", lambda a: torch.linalg.slogdet(a)[1], W, accuracy=1e-8),
        problem("torch nuclear norm", lambda a: torch.linalg.matrix_norm(a, "nuc"), X, accuracy=1e-8),
    ]


def of_distributions() -> list[Problem]:
    d = torch.distributions
    data = torch.tensor([0.3, 1.1, 0.7, 2.5], dtype=torch.float64)
    return [
        problem("torch Normal", lambda m, s: d.Normal(m, s).log_prob(data).sum(), 0.4, 1.3),
        problem("torch Gamma", lambda a, b: d.Gamma(a, b).log_prob(data).sum(), 2.1, 0.7),
        problem("torch StudentT", lambda n: d.StudentT(n).log_prob(data).sum(), 4.0),
        problem(
            "torch Dirichlet", lambda a: d.Dirichlet(a).log_prob(torch.tensor([0.2, 0.3, 0.5]).double() / 1.0), V[1:]
        ),
        problem(
            "torch MultivariateNormal", lambda m: d.MultivariateNormal(m, torch.eye(4).double() * 2).log_prob(data), V
        ),
        problem(
            "torch divergence of two normals",
            lambda m, s: d.kl_divergence(d.Normal(m, s), d.Normal(0.3, 1.2)),
            0.4,
            1.3,
        ),
        problem(
            "torch NegativeBinomial",
            lambda n: d.NegativeBinomial(n, torch.tensor(0.4).double()).log_prob(torch.tensor([1.0, 3]).double()).sum(),
            2.2,
        ),
    ]


class _Cube(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Any) -> Any:
        context.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(context: Any, g: Any) -> Any:
        (x,) = context.saved_tensors
        return 2 * g * x**2


def of_mistakes() -> list[Problem]:
    """Mistakes that people make with autograd: detached, a custom rule that is wrong, a value that is kept."""

    def grad(f: Callable[..., Any]) -> Callable[..., Any]:
        def gradient(*x: Any) -> Any:
            leaves = [torch.tensor(np.asarray(a, float)).requires_grad_() for a in x]
            found = torch.autograd.grad(f(*leaves), leaves, allow_unused=True)
            arrays = tuple(np.zeros(np.shape(a)) if g is None else g.numpy() for g, a in zip(found, x))
            return arrays if len(arrays) > 1 else arrays[0]

        return gradient

    def attention(x: Any) -> Any:
        return torch.sum(torch.softmax(x @ x.T, 1) @ x)

    return [
        problem(
            "torch cube",
            lambda x: (x**3).sum(),
            V,
            mistakes=(),
            wrong={"a rule with 2": grad(lambda x: _Cube.apply(x).sum())},
        ),
        problem(
            "torch detached",
            lambda x: (x * torch.sin(x)).sum(),
            V,
            mistakes=(),
            wrong={
                "detached": grad(lambda x: (x.detach() * torch.sin(x)).sum()),
                "by item": grad(lambda x: (x * torch.tensor([float(torch.sin(a)) for a in x])).sum()),
            },
        ),
        problem(
            "torch attention to itself",
            attention,
            X,
            mistakes=(),
            accuracy=1e-9,
            wrong={
                "weights detached": grad(lambda x: torch.sum(torch.softmax(x @ x.T, 1).detach() @ x)),
                "keys detached": grad(lambda x: torch.sum(torch.softmax(x @ x.T.detach(), 1) @ x)),
            },
        ),
        problem(
            "torch unused",
            lambda a, b: (a * torch.exp(b)).sum(),
            V,
            V / 2,
            mistakes=(),
            wrong={"b unused": grad(lambda a, b: (a * torch.exp(b.detach())).sum())},
        ),
        problem(
            "torch straight through",
            lambda x: (torch.sin(x) ** 2).sum(),
            V,
            mistakes=(),
            wrong={"straight through": grad(lambda x: ((torch.sin(x) - x).detach() + x).pow(2).sum())},
        ),
        problem(
            "torch rounded",
            lambda x: torch.round(x).sum(),
            V,
            derived=np.zeros(4),
            knowable=1.0,
            why="steps look like the values of a rounded function",
            mistakes=(),
            wrong={"straight through": lambda x: np.ones_like(x)},
        ),
        problem(
            "torch where",
            lambda x: torch.where(x > 0, torch.sqrt(x.clamp(min=1e-12)), 0 * x).sum(),
            V,
            step=1e-3,
            wrong={"without the mask": lambda x: 0.5 / np.sqrt(np.abs(x))},
            accuracy=1e-9,
        ),
    ]


def network(name: str, activation: Any, *sizes: int, mistakes: Sequence[str]) -> Problem:
    """A network in float32, to which its gradient is held; the truth is that of the same network in float64."""
    rows, targets = (torch.tensor(RNG.normal(size=(16, size))).float() for size in (sizes[0], sizes[-1]))
    shapes = [shape for n, m in pairwise(sizes) for shape in ((n, m), (m,))]
    values = [(RNG.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32) for shape in shapes]

    def loss(*values: Any) -> Any:
        h, dtype = rows.to(values[0].dtype), values[0].dtype
        for w, b in zip(values[:-2:2], values[1:-2:2]):
            h = activation(h @ w + b)
        return F.mse_loss(h @ values[-2] + values[-1], targets.to(dtype))

    def some_units_missing(*values: Any) -> Any:
        w, *others = p.gradient(*values)
        return (w * (np.arange(sizes[1]) % 3 > 0), *others)

    p = problem(f"torch, float32, {name}", loss, *values, dtype=torch.float32)
    return replace(
        p,
        exact=problem("exact", loss, *values).f,
        step=1e-5,
        accuracy=1e-4,
        knowable=1e-4,
        why="its values are float32",
        wrong={"some units missing": some_units_missing},
        mistakes=mistakes,
    )


def of_single_precision() -> list[Problem]:
    some = ("the sign reversed", "one entry missing", "the last slice missing")
    found = [
        network("relu", torch.relu, 4, 5, 1, mistakes=some),
        network("tanh", torch.tanh, 4, 5, 1, mistakes=some),
        network("deep, of relu", torch.relu, 3, 4, 4, 1, mistakes=some[:1]),
        network("large, of relu", torch.relu, 64, 20, 4, mistakes=some[:1]),
    ]
    for name, f in (("sines", lambda x: torch.sin(x).sum()), ("softmax", lambda x: torch.log_softmax(x, 0)[0])):
        p = problem(f"torch, float32, {name}", f, V.astype(np.float32), dtype=torch.float32)
        found.append(
            replace(
                p,
                exact=problem("exact", f, V).f,
                accuracy=1e-6,
                knowable=1e-5,
                why="its values are float32",
                mistakes=("the sign reversed", "off by 1 %", "one entry missing"),
            )
        )
    return found


def problems() -> list[Problem]:
    parts = (of_functions, of_losses, of_layers, of_linear_algebra, of_distributions, of_mistakes, of_single_precision)
    return [problem for part in parts for problem in part()]
