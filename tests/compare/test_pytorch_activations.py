"""Activations, dropout that draws nothing, and small layers against PyTorch's."""

from typing import Any

import numpy as np
import pytest

from tests.compare.modules import agree

pytestmark = pytest.mark.compare
torch = pytest.importorskip("torch", reason="PyTorch comes with the extra `compare`")

RNG = np.random.default_rng(0)
X = 2 * RNG.normal(size=(2, 4, 6))
KINKS = np.array([[-3.0, -1.0, -0.5, 0.0, 0.5, 1.0], [3.0, 6.0, 7.0, 25.0, -25.0, 2.0]])
INPUTS = (X, KINKS, X[0, 0])

SETTINGS: dict[str, list[dict[str, Any]]] = {
    "ELU": [{}, {"alpha": 2.0}, {"alpha": 0.3, "inplace": False}],
    "CELU": [{}, {"alpha": 2.0}, {"alpha": 0.25}],  # PyTorch rounds 1 / alpha to single precision
    "LeakyReLU": [{}, {"negative_slope": 0.3}, {"negative_slope": -0.5}, {"negative_slope": 2.0}],
    "PReLU": [{}, {"init": 0.7}, {"init": -0.1}],
    "RReLU": [{}, {"lower": 0.1, "upper": 0.9}, {"lower": 0.2, "upper": 0.2}],
    "GELU": [{}, {"approximate": "none"}, {"approximate": "tanh"}],
    "GLU": [{}, {"dim": 0}, {"dim": -1}],
    "Hardtanh": [{}, {"min_val": -0.5, "max_val": 2.0}, {"min_val": 0.0, "max_val": 6.0}],
    "Hardshrink": [{}, {"lambd": 1.0}, {"lambd": 0.0}],
    "Softshrink": [{}, {"lambd": 1.0}, {"lambd": 0.0}],
    "Softplus": [{}, {"beta": 2.0}, {"beta": 0.5, "threshold": 1.0}],
    "Threshold": [
        {"threshold": 0.5, "value": 7.0},
        {"threshold": -1.0, "value": 0.0},
        {"threshold": 1.0, "value": -2.0},
    ],
    "Softmax": [{"dim": -1}, {"dim": 0}],
    "Softmin": [{"dim": -1}, {"dim": 0}],
    "LogSoftmax": [{"dim": -1}, {"dim": 0}],
    **{name: [{}] for name in ("ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Hardswish")},
    **{name: [{}] for name in ("Sigmoid", "LogSigmoid", "Tanh", "Tanhshrink", "Softsign")},
    "Dropout": [{"p": 0.0}, {"p": 1.0}],
    "AlphaDropout": [{"p": 0.0}, {"p": 1.0}],
    "Identity": [{"anything": 1}],
}
OTHERS: list[tuple[str, dict[str, Any], tuple[Any, ...]]] = [
    ("PReLU", {"num_parameters": 4}, (X,)),
    ("PReLU", {"num_parameters": 6, "init": 0.1}, (KINKS,)),
    ("Softmax2d", {}, (X,)),
    ("Softmax2d", {}, (X[None],)),
    ("Softmax2d", {}, (X[:, :1],)),
    *[(f"Dropout{n}d", {"p": p}, (X.reshape(2, 4, 6, *[1] * (n - 1)),)) for n in (1, 2, 3) for p in (0.0, 1.0)],
    ("FeatureAlphaDropout", {"p": 0.0}, (X,)),
    ("FeatureAlphaDropout", {"p": 1.0}, (X,)),
    ("Flatten", {}, (X,)),
    ("Flatten", {"start_dim": 0, "end_dim": 1}, (X,)),
    ("Flatten", {"start_dim": -2, "end_dim": -2}, (X,)),
    ("Unflatten", {"dim": 1, "unflattened_size": (2, 2)}, (X,)),
    ("Unflatten", {"dim": -1, "unflattened_size": (-1, 3)}, (X,)),
    ("Unflatten", {"dim": 0, "unflattened_size": (1, 2, 1)}, (X,)),
    ("Bilinear", {"in1_features": 6, "in2_features": 2, "out_features": 3}, (X, X[..., :2])),
    ("Bilinear", {"in1_features": 6, "in2_features": 6, "out_features": 1, "bias": False}, (X[0, 0], X[1, 1])),
    ("Bilinear", {"in1_features": 1, "in2_features": 6, "out_features": 2}, (X[0, :, :1], X[0])),
    ("CosineSimilarity", {}, (X, X[::-1])),
    ("CosineSimilarity", {"dim": -1, "eps": 100.0}, (X, X[::-1])),
    ("CosineSimilarity", {"dim": 0}, (X, X[:1])),
    ("PairwiseDistance", {}, (X, X[::-1])),
    ("PairwiseDistance", {"p": 1, "eps": 0.1, "keepdim": True}, (X, X[0])),
    ("PairwiseDistance", {"p": float("inf")}, (X[0, 0], X[1, 0])),
    ("PairwiseDistance", {"p": 3.5, "eps": 0.0}, (X, X[::-1])),
]
CASES = [(name, some, (x,)) for name, all_ in SETTINGS.items() for some in all_ for x in INPUTS] + OTHERS


@pytest.mark.parametrize(("name", "settings", "inputs"), CASES)
def test_modules(name: str, settings: dict[str, Any], inputs: tuple[Any, ...]) -> None:
    agree(name, settings, inputs, training=name != "RReLU")


def test_hardsigmoid() -> None:
    """Apart from its gradient, which PyTorch multiplies by 1/6 in single precision."""
    x = torch.tensor(KINKS, requires_grad=True)
    y = torch.nn.functional.hardsigmoid(x)
    y.sum().backward()
    from tinygrad_lite import grad
    from tinygrad_lite.nn import functional as F

    np.testing.assert_allclose(F.hardsigmoid(KINKS), y.detach().numpy(), rtol=1e-14)
    gradient = grad(lambda x: np.sum(F.hardsigmoid(x)))(KINKS)
    np.testing.assert_allclose(gradient, x.grad.numpy(), rtol=1e-7)
    np.testing.assert_array_equal(gradient == 0, x.grad.numpy() == 0)
