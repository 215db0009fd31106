"""Activations and dropout: their formulas, derivatives, kinks, both compilers, and their errors."""

import re
from collections.abc import Callable
from math import erf, pi, sqrt
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.nn import functional as F

X = np.array([[0.3, -1.2, 2.0, -0.4], [1.5, 0.4, -0.7, -4.0]])
ALPHA, SCALE = 1.6732632423543772, 1.0507009873554805


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _softmax(x: Any) -> Any:
    return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)


LAYERS: dict[str, tuple[nn.Module, Callable[[Any], Any]]] = {
    "ReLU": (nn.ReLU(inplace=True), lambda x: x * (x > 0)),
    "ReLU6": (nn.ReLU6(), lambda x: np.minimum(x * (x > 0), 6)),
    "LeakyReLU": (nn.LeakyReLU(0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    "PReLU": (nn.PReLU(), lambda x: np.where(x > 0, x, 0.25 * x)),
    "PReLU by channel": (nn.PReLU(4, 0.5), lambda x: np.where(x > 0, x, 0.5 * x)),
    "RReLU": (nn.RReLU(0.2, 0.4).eval(), lambda x: np.where(x > 0, x, 0.3 * x)),
    "ELU": (nn.ELU(2.0), lambda x: np.where(x > 0, x, 2 * (np.exp(x) - 1))),
    "CELU": (nn.CELU(2.0), lambda x: np.where(x > 0, x, 2 * (np.exp(x / 2) - 1))),
    "SELU": (nn.SELU(), lambda x: SCALE * np.where(x > 0, x, ALPHA * (np.exp(x) - 1))),
    "Sigmoid": (nn.Sigmoid(), _sigmoid),
    "LogSigmoid": (nn.LogSigmoid(), lambda x: np.log(_sigmoid(x))),
    "Hardsigmoid": (nn.Hardsigmoid(), lambda x: np.clip(x + 3, 0, 6) / 6),
    "Tanh": (nn.Tanh(), np.tanh),
    "Hardtanh": (nn.Hardtanh(-0.5, 1.0), lambda x: np.clip(x, -0.5, 1)),
    "Tanhshrink": (nn.Tanhshrink(), lambda x: x - np.tanh(x)),
    "Hardshrink": (nn.Hardshrink(0.6), lambda x: np.where(abs(x) > 0.6, x, 0)),
    "Softshrink": (nn.Softshrink(0.6), lambda x: np.sign(x) * np.maximum(abs(x) - 0.6, 0)),
    "Threshold": (nn.Threshold(0.6, -2.0), lambda x: np.where(x > 0.6, x, -2)),
    "Softplus": (nn.Softplus(), lambda x: np.log(1 + np.exp(x))),
    "Softplus with a threshold": (nn.Softplus(2.0, 1.0), lambda x: np.where(2 * x > 1, x, np.log1p(np.exp(2 * x)) / 2)),
    "Softsign": (nn.Softsign(), lambda x: x / (1 + abs(x))),
    "GELU": (nn.GELU(), lambda x: x * 0.5 * (1 + np.vectorize(erf, [float])(x / sqrt(2)))),
    "GELU by tanh": (nn.GELU("tanh"), lambda x: 0.5 * x * (1 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))),
    "SiLU": (nn.SiLU(), lambda x: x * _sigmoid(x)),
    "Mish": (nn.Mish(), lambda x: x * np.tanh(np.log(1 + np.exp(x)))),
    "Hardswish": (nn.Hardswish(), lambda x: x * np.clip(x + 3, 0, 6) / 6),
    "GLU": (nn.GLU(), lambda x: x[..., :2] * _sigmoid(x[..., 2:])),
    "GLU(0)": (nn.GLU(0), lambda x: x[:1] * _sigmoid(x[1:])),
    "Softmax": (nn.Softmax(), _softmax),
    "Softmax(0)": (nn.Softmax(0), lambda x: _softmax(x.T).T),
    "Softmin": (nn.Softmin(), lambda x: _softmax(-x)),
    "LogSoftmax": (nn.LogSoftmax(), lambda x: np.log(_softmax(x))),
    "Dropout": (nn.Dropout(0.0), lambda x: x),
    "AlphaDropout": (nn.AlphaDropout(0.5).eval(), lambda x: x),
}


def _weighted(layer: Any) -> Callable[[Any], Any]:
    """A number that each entry of the result moves differently, and not linearly."""
    return lambda x: np.sum(np.sin(layer(x) * (1 + np.arange(np.shape(layer(x))[-1]))))


@pytest.mark.long
@pytest.mark.parametrize(("layer", "formula"), LAYERS.values(), ids=list(LAYERS))
def test_an_activation_is_its_formula(layer: nn.Module, formula: Callable[[Any], Any]) -> None:
    np.testing.assert_allclose(layer(tg.tensor(X)).numpy(), formula(X), rtol=1e-13, atol=1e-15)
    with tg.no_grad():
        np.testing.assert_allclose(np.asarray(layer(X)), formula(X), rtol=1e-13, atol=1e-15)
    assert tg.gradcheck(_weighted(layer), X, order=2)
    if not list(layer.parameters()):
        assert layer(X.astype(np.float32)).dtype == np.float32
    assert layer(np.zeros((0, 4))).shape == formula(np.zeros((0, 4))).shape or isinstance(layer, nn.GLU)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_activations_compiled(backend: Any) -> None:
    layers = [layer for layer, _ in LAYERS.values()]

    def f(x: Any) -> Any:
        return sum(_weighted(layer)(x) for layer in layers)

    value, gradient = tg.value_and_grad(f)(X)
    found, slope = tg.compile(tg.value_and_grad(f), backend=backend)(X)
    np.testing.assert_allclose(float(found), float(value), rtol=1e-12)
    np.testing.assert_allclose(slope.numpy(), gradient.numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("function", "points", "slopes"),
    [
        (F.relu, [0], [0]),
        (F.relu6, [0, 6], [0, 0]),
        (F.hardtanh, [-1, 1], [0, 0]),
        (F.hardsigmoid, [-3, 3], [0, 0]),
        (F.hardswish, [-3, 3], [0, 1]),
        (F.hardshrink, [-0.5, 0.5], [0, 0]),
        (F.softshrink, [-0.5, 0.5], [0, 0]),
        (F.softsign, [0], [1]),
        (lambda x: F.elu(x, 2.0), [0], [2]),
        (lambda x: F.celu(x, 2.0), [0], [1]),
        (F.selu, [0], [ALPHA * SCALE]),
        (lambda x: F.threshold(x, 1.0, 5.0), [1], [0]),
        (lambda x: F.leaky_relu(x, 0.3), [0], [0.3]),
        (lambda x: F.prelu(x, np.array([0.3])), [0], [0.3]),
    ],
)
def test_kinks_as_in_pytorch(function: Any, points: list[float], slopes: list[float]) -> None:
    gradient = tg.grad(lambda x: np.sum(function(x)))(np.array(points, float))
    np.testing.assert_allclose(gradient, slopes, rtol=1e-15)


@pytest.mark.parametrize("name", [name for name in LAYERS if "Dropout" not in name])
def test_activations_far_out(name: str) -> None:
    layer = LAYERS[name][0]
    x = tg.tensor([[-1e300, 1e300, 1e300, -1e300], [1e4, -1e4, -1e4, 1e4]], requires_grad=True)
    with np.errstate(all="raise", under="ignore"):
        y = layer(x)
        np.sum(y).backward()
    assert np.isfinite(y.numpy()).all()
    assert np.isfinite(np.asarray(x.grad)).all()


BY_ENTRY = [
    name for name, (layer, _) in LAYERS.items() if not isinstance(layer, nn.GLU) and not re.search("max|min|Drop", name)
]
# at infinity, x times a smooth gate is 0 · ∞, and x / (1 + |x|) is ∞ / ∞, as in PyTorch
NAN_AT_INFINITY = ["GELU", "GELU by tanh", "SiLU", "Mish", "Softsign"]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", BY_ENTRY)
def test_slopes_far_out_are_their_limits(name: str, dtype: Any) -> None:
    """At the largest numbers of each dtype, which overflow when squared, and where possible at infinity."""
    layer = LAYERS[name][0].to(dtype)
    constants = layer.state_dict()
    slope = tg.grad(lambda x: np.sum(tg.nn.functional_call(layer, constants, x)))
    try:
        points = [700, np.finfo(dtype).max / 8, *([] if name in NAN_AT_INFINITY else [np.inf])]
        for sign in (-1, 1):
            x = np.array([[sign * 50], *([sign * point] for point in points)]).astype(dtype).repeat(4, axis=1)
            np.testing.assert_allclose(slope(x)[1:], slope(x)[:1].repeat(len(points), axis=0), atol=1e-3)
            curvature = tg.grad(lambda x: np.sum(slope(x)))(x)
            np.testing.assert_allclose(curvature, np.zeros_like(x), atol=1e-3)
    finally:
        layer.to(np.float64)


def test_softmax2d_is_over_the_channels() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    np.testing.assert_allclose(nn.Softmax2d()(x), np.exp(x) / np.exp(x).sum(axis=1, keepdims=True), rtol=1e-13)
    np.testing.assert_allclose(nn.Softmax2d()(x[0]), nn.Softmax2d()(x)[0], rtol=1e-13)


def test_rrelu_draws_a_slope_for_each_entry() -> None:
    x = tg.tensor(-np.ones(10_000), requires_grad=True)
    y = nn.RReLU(0.2, 0.4, rng=0)(x)
    np.sum(y).backward()
    np.testing.assert_array_equal(x.grad, -y.numpy())
    assert 0.2 <= -y.numpy().max() < 0.21
    assert 0.39 < -y.numpy().min() <= 0.4


def test_gumbel_softmax_samples_the_classes() -> None:
    z = tg.tensor(np.tile(np.log([0.2, 0.3, 0.5]), (20_000, 1)), requires_grad=True)
    soft, hard = (F.gumbel_softmax(z, 0.5, hard, rng=0) for hard in (False, True))
    np.testing.assert_allclose(hard.numpy().mean(axis=0), [0.2, 0.3, 0.5], atol=0.01)
    np.testing.assert_array_equal(hard.numpy().argmax(axis=1), soft.numpy().argmax(axis=1))
    gradients = [tg.grad(lambda z, h=h: np.sum(F.gumbel_softmax(z, 0.5, h, rng=0) ** 3 / 3))(z.numpy()) for h in (0, 1)]
    assert not np.allclose(*gradients)
    hard.backward(np.square(soft.numpy()))
    np.testing.assert_allclose(z.grad, gradients[0], atol=1e-12)
    across = F.gumbel_softmax(np.zeros((3, 5, 2)), hard=True, axis=1, rng=0)
    np.testing.assert_allclose(np.sum(across, axis=1), 1)
    for temperature in (0, -1.0):
        with pytest.raises(InputError, match="tau must be positive"):
            F.gumbel_softmax(z, temperature, rng=0)
    rate = tg.compile(tg.grad(lambda tau: np.sum(F.gumbel_softmax(z.numpy()[:2], tau, rng=0)[:, 0])))
    assert rate(np.array(0.5)) != 0


SHAPES: dict[str, tuple[Any, tuple[int, ...], tuple[int, ...]]] = {
    "Dropout1d": (nn.Dropout1d, (50, 20, 3), (50, 20, 1)),
    "Dropout1d without batch": (nn.Dropout1d, (500, 3), (500, 1)),
    "Dropout2d": (nn.Dropout2d, (50, 20, 3, 2), (50, 20, 1, 1)),
    "Dropout2d of three axes": (nn.Dropout2d, (50, 20, 3), (50, 20, 1)),
    "Dropout3d": (nn.Dropout3d, (50, 20, 3, 2, 1), (50, 20, 1, 1, 1)),
    "Dropout3d without batch": (nn.Dropout3d, (500, 3, 2, 2), (500, 1, 1, 1)),
    "FeatureAlphaDropout": (nn.FeatureAlphaDropout, (50, 20, 3, 2), (50, 20, 1, 1)),
    "AlphaDropout": (nn.AlphaDropout, (50, 20), (50, 20)),
}


@pytest.mark.parametrize(("kind", "shape", "drawn"), SHAPES.values(), ids=list(SHAPES))
def test_dropout_of_channels(kind: Any, shape: tuple[int, ...], drawn: tuple[int, ...]) -> None:
    y = kind(0.3, rng=0)(np.ones(shape))
    one = y[tuple(slice(size) for size in drawn)]
    np.testing.assert_array_equal(y, np.broadcast_to(one, shape))
    kept = one == one.max()
    assert abs(kept.mean() - 0.7) < 0.05
    assert len(np.unique(y)) == 2
    np.testing.assert_array_equal(kind(0.3, rng=0).eval()(np.ones(shape)), 1)
    assert kind(0.3)(np.ones(shape, np.float32)).dtype == np.float32
    x = tg.tensor(np.ones(shape), requires_grad=True)
    np.sum(kind(1.0)(x)).backward()
    assert not np.any(x.grad)


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    x = np.random.default_rng(0).normal(size=200_000)
    y = nn.AlphaDropout(0.2, rng=1)(x)
    assert abs(y.mean()) < 0.01
    assert abs(y.var() - 1) < 0.01


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_draws_compiled(backend: Any) -> None:
    def layers(seed: int) -> list[nn.Module]:
        kinds = (nn.Dropout, nn.Dropout1d, nn.AlphaDropout, nn.FeatureAlphaDropout, nn.RReLU)
        return [kind(rng=seed) for kind in kinds]  # type: ignore[operator]

    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    ours, others = layers(0), layers(0)
    compiled = tg.compile(lambda x: sum(np.sum(layer(x) ** 2) for layer in ours), backend=backend)
    for _ in range(3):
        np.testing.assert_allclose(
            float(compiled(x)), float(sum(np.sum(layer(x) ** 2) for layer in others)), rtol=1e-12
        )


ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "prelu": (lambda: nn.PReLU(3)(np.ones((2, 4))), ShapeError, r"\(3,\).*\(2, 4\)"),
    "rrelu": (lambda: nn.RReLU(0.5, 0.1)(X), InputError, "0.5 and 0.1"),
    "celu": (lambda: nn.CELU(0.0)(X), InputError, "alpha"),
    "softplus": (lambda: nn.Softplus(0.0)(X), InputError, "beta"),
    "hardtanh": (lambda: nn.Hardtanh(1.0, -1.0), InputError, "1.0 and -1.0"),
    "softshrink": (lambda: nn.Softshrink(-1.0)(X), InputError, "-1.0"),
    "gelu": (lambda: nn.GELU("exact")(X), InputError, "'exact'"),
    "glu": (lambda: nn.GLU()(np.ones((2, 3))), ShapeError, r"even.*\(2, 3\)"),
    "glu axis": (lambda: nn.GLU(2)(X), ShapeError, r"axis=2.*\(2, 4\)"),
    "softmax2d": (lambda: nn.Softmax2d()(X), ShapeError, r"\(2, 4\)"),
    "dropout1d": (lambda: nn.Dropout1d()(np.ones(3)), ShapeError, r"2 or 3 axes.*\(3,\)"),
    "dropout2d": (lambda: nn.Dropout2d()(X), ShapeError, r"3 or 4 axes.*\(2, 4\)"),
    "dropout3d": (lambda: nn.Dropout3d()(X), ShapeError, r"4 or 5 axes.*\(2, 4\)"),
    "feature_alpha_dropout": (lambda: nn.FeatureAlphaDropout()(np.ones(3)), ShapeError, r"\(3,\)"),
    "probability": (lambda: nn.AlphaDropout(-0.1), InputError, "-0.1"),
}


@pytest.mark.parametrize(("attempt", "kind", "message"), ERRORS.values(), ids=list(ERRORS))
def test_errors(attempt: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt()
