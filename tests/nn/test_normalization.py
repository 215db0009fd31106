"""Normalisation layers: their formulas in plain NumPy, their running statistics, and their errors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.nn import functional as F

EPS = 1e-5


def normal(x: Any, axes: Any) -> Any:
    return (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + EPS)


def affine(layer: Any, y: Any, shape: tuple[int, ...]) -> Any:
    """y times the weight, plus the bias, of which each has this shape beside y."""
    y = y if layer.weight is None else y * layer.weight.numpy().reshape(shape)
    return y if layer.bias is None else y + layer.bias.numpy().reshape(shape)


def batch(layer: Any, x: Any) -> Any:
    return affine(layer, normal(x, (0, *range(2, x.ndim))), (-1, *[1] * (x.ndim - 2)))


def instance(layer: Any, x: Any) -> Any:
    return affine(layer, normal(x, tuple(range(2, x.ndim))), (-1, *[1] * (x.ndim - 2)))


def group(layer: Any, x: Any) -> Any:
    grouped = x.reshape(len(x), layer.num_groups, -1)
    return affine(layer, normal(grouped, 2).reshape(x.shape), (-1, *[1] * (x.ndim - 2)))


def last(layer: Any, x: Any) -> Any:
    return affine(layer, normal(x, tuple(range(-len(layer.normalized_shape), 0))), layer.normalized_shape)


def root_mean_square(layer: Any, x: Any) -> Any:
    return affine(layer, x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + np.finfo(x.dtype).eps), (-1,))


def local_response(layer: Any, x: Any) -> Any:
    channels = range(x.shape[1])
    around = [range(c - layer.size // 2, c + (layer.size - 1) // 2 + 1) for c in channels]
    sums = np.stack([sum(x[:, d] ** 2 for d in near if d in channels) for near in around], axis=1)
    return x / (layer.k + layer.alpha * sums / layer.size) ** layer.beta


LAYERS: dict[str, tuple[Callable[[], Any], tuple[int, ...], Callable[[Any, Any], Any]]] = {
    "BatchNorm1d": (lambda: nn.BatchNorm1d(2), (3, 2), batch),
    "BatchNorm1d of series": (lambda: nn.BatchNorm1d(2, affine=False), (2, 2, 3), batch),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(2, momentum=None), (2, 2, 2, 1), batch),
    "BatchNorm3d": (lambda: nn.BatchNorm3d(1, track_running_stats=False, bias=False), (1, 1, 2, 1, 2), batch),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(2, affine=True), (2, 2, 3), instance),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(1), (2, 1, 2, 2), instance),
    "InstanceNorm3d": (lambda: nn.InstanceNorm3d(1, affine=True, track_running_stats=True), (1, 1, 2, 1, 2), instance),
    "LayerNorm": (lambda: nn.LayerNorm(3), (2, 3), last),
    "LayerNorm of matrices": (lambda: nn.LayerNorm((2, 3), bias=False), (2, 2, 3), last),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), (2, 4, 2), group),
    "GroupNorm of rows": (lambda: nn.GroupNorm(1, 3, affine=False), (2, 3), group),
    "RMSNorm": (lambda: nn.RMSNorm(3), (2, 3), root_mean_square),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(2, 0.5, 0.7, 1.5), (1, 3, 2), local_response),
}


def made(name: str, dtype: Any = np.float64) -> tuple[Any, Any]:
    """A layer with random parameters, and an input."""
    rng = np.random.default_rng(0)
    layer = LAYERS[name][0]()
    for parameter in layer.parameters():
        parameter.data = rng.normal(size=parameter.shape)
    return layer.to(dtype), rng.normal(size=LAYERS[name][1]).astype(dtype)


def weighted(y: Any) -> Any:
    """A sum in which each entry counts differently."""
    return np.sum(y * np.reshape(np.sin(np.arange(1.0, y.size + 1)), y.shape).astype(y.dtype))


@pytest.mark.long
@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_their_formula(name: str) -> None:
    layer, x = made(name)
    np.testing.assert_allclose(np.asarray(layer(tg.tensor(x)).detach()), LAYERS[name][2](layer, x), rtol=1e-10)
    tg.gradcheck(lambda model, x: weighted(model(x)), layer, x)
    tg.gradcheck(lambda model, x: weighted(model(x)), layer, x, order=2)
    tg.gradcheck(lambda model, x: weighted(model(x)), layer.eval(), x)


@pytest.mark.parametrize("name", LAYERS)
def test_float32_stays_float32_and_batches_may_be_empty(name: str) -> None:
    layer, x = made(name, np.float32)
    for given in (x, x[:0]):
        inputs = tg.tensor(given, requires_grad=True)
        y = layer(inputs)
        weighted(y).backward()
        assert (y.dtype, y.shape) == (np.float32, given.shape)
        assert inputs.grad.dtype == np.float32
        assert np.isfinite(y.numpy()).all()


@pytest.mark.long
@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("name", ["BatchNorm1d", "BatchNorm2d", "InstanceNorm3d", "LayerNorm", "GroupNorm"])
def test_a_compiled_training_step_is_the_eager_one(name: str, backend: Any) -> None:
    def training() -> Any:
        layer, x = made(name)
        optimizer = tg.optim.SGD(layer.parameters(), lr=0.1)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = weighted(layer(x))
            loss.backward()
            optimizer.step()
            return loss

        return layer, step, x

    (layer, step, x), (eager, other, _) = training(), training()
    compiled = tg.compile(step, backend)
    for k in range(3):
        np.testing.assert_allclose(float(compiled(x + k)), float(other(x + k)), rtol=1e-10)
    for path, expected in eager.state_dict().items():
        np.testing.assert_allclose(layer.state_dict()[path], expected, rtol=1e-10)


X = np.random.default_rng(1).normal(size=(4, 3, 2))


@pytest.mark.parametrize("momentum", [0.1, None, 0.0, 1.0])
def test_running_statistics_move_and_serve_in_evaluation(momentum: float | None) -> None:
    layer = nn.BatchNorm1d(3, momentum=momentum)
    mean, variance = np.zeros(3), np.ones(3)
    for k in range(1, 4):
        layer(k * X)
        part = 1 / k if momentum is None else momentum
        mean = (1 - part) * mean + part * (k * X).mean(axis=(0, 2))
        variance = (1 - part) * variance + part * (k * X).var(axis=(0, 2), ddof=1)
        np.testing.assert_allclose(layer.running_mean, mean, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(layer.running_var, variance, rtol=1e-12)
        assert layer.num_batches_tracked.item() == k
    before = layer.state_dict()
    expected = (X - mean[:, None]) / np.sqrt(variance[:, None] + EPS)
    np.testing.assert_allclose(layer.eval()(X).detach(), expected, rtol=1e-12)
    assert all(
        before[path] is array or np.array_equal(before[path], array) for path, array in layer.state_dict().items()
    )


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.InstanceNorm1d])
@pytest.mark.parametrize("tracked", [True, False])
def test_running_statistics_begin_anew(kind: Any, tracked: bool) -> None:
    layer = kind(3, track_running_stats=tracked)
    first = layer.state_dict()
    assert ("running_mean" in first) == tracked
    layer(X)
    layer.reset_running_stats()
    for path, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, first[path], strict=True)


def test_statistics_of_instances_are_averaged() -> None:
    layer = nn.InstanceNorm1d(3, track_running_stats=True)
    layer(X)
    np.testing.assert_allclose(layer.running_mean, 0.1 * X.mean(axis=(0, 2)))
    np.testing.assert_allclose(layer.running_var, 0.9 + 0.1 * X.var(axis=2, ddof=1).mean(axis=0))
    alone = nn.InstanceNorm1d(3, affine=True)
    np.testing.assert_allclose(alone(X[0]).detach(), alone(X).detach()[0])


@pytest.mark.parametrize(
    "transform",
    [
        lambda f, x: tg.grad(f)(x),
        lambda f, x: tg.jvp(f, (x,), (np.ones_like(x),)),
        lambda f, x: tg.hvp(f, (x,), (np.ones_like(x),)),
        lambda f, x: tg.compile(f, "numpy")(x),
        lambda f, x: tg.compile(tg.grad(f), "native")(x),
    ],
    ids=["grad", "jvp", "hvp", "compile", "compiled gradient"],
)
def test_statistics_move_under_transforms(transform: Any) -> None:
    layer, other = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    transform(lambda x: weighted(layer(x)), X)
    other(X)
    for path, expected in other.state_dict().items():
        np.testing.assert_allclose(layer.state_dict()[path], expected, rtol=1e-12)


def test_statistics_in_a_state_move_there() -> None:
    layer = nn.BatchNorm1d(3)
    state = {path: tg.tensor(array) for path, array in layer.state_dict().items()}
    before = layer.state_dict()
    nn.functional_call(layer, state, X)
    layer.load_state_dict(before)
    assert state["num_batches_tracked"].item() == 1
    np.testing.assert_allclose(state["running_mean"], 0.1 * X.mean(axis=(0, 2)))
    for path, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[path])


def test_nothing_moves_if_forward_raises() -> None:
    layer = nn.BatchNorm1d(3)
    before = layer.state_dict()
    for wrong in (X[:1, :, 0], X[:, :2], X[0, 0]):
        with pytest.raises(ShapeError):
            layer(wrong)
    layer.weight.data = np.ones(3)
    for path, array in layer.state_dict().items():
        np.testing.assert_array_equal(array, before[path])


def test_functions_move_arrays_and_tensors() -> None:
    for wrap in (np.array, tg.tensor):
        mean, variance = wrap(np.zeros(3)), wrap(np.ones(3))
        F.batch_norm(X, mean, variance, training=True, momentum=1.0)
        np.testing.assert_allclose(mean, X.mean(axis=(0, 2)))
        np.testing.assert_allclose(variance, X.var(axis=(0, 2), ddof=1))


def test_normalize() -> None:
    for p, axis in ((2.0, 1), (1.0, 0), (np.inf, -1)):
        norms = np.linalg.norm(X, p, axis, keepdims=True)
        np.testing.assert_allclose(F.normalize(X, p, axis), X / norms, rtol=1e-14)
    np.testing.assert_array_equal(F.normalize(np.zeros((2, 2))), np.zeros((2, 2)))


ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "one value": (lambda: nn.BatchNorm1d(3)(X[:1, :, 0]), ShapeError, r"BatchNorm1d\(.*one value.*\(1, 3\).*drop_last"),
    "channels": (
        lambda: nn.BatchNorm1d(4)(X),
        ShapeError,
        r"BatchNorm1d\(num_features=4.*\(4, 3, 2\) has 3 channels.*the shape \(4,\)",
    ),
    "axes": (
        lambda: nn.BatchNorm2d(3)(X),
        ShapeError,
        r"BatchNorm2d\(.*input \(N, C, H, W\) with C = 3, got shape \(4, 3, 2\)",
    ),
    "axes of one": (
        lambda: nn.InstanceNorm2d(3)(X[0]),
        ShapeError,
        r"InstanceNorm2d\(.*input \(C, H, W\) or \(N, C, H, W\) with C = 3, got .*\(3, 2\)",
    ),
    "one per instance": (lambda: nn.InstanceNorm1d(3)(X[..., :1]), ShapeError, r"more than one value.*\(4, 3, 1\)"),
    "last axes": (
        lambda: nn.LayerNorm((3, 1))(X),
        ShapeError,
        r"LayerNorm\(\(3, 1\), .*shape \(3, 1\), got .*\(4, 3, 2\)",
    ),
    "root mean square": (lambda: nn.RMSNorm(3)(X), ShapeError, r"RMSNorm\(\(3,\).*shape \(3,\), got"),
    "weight": (lambda: F.layer_norm(X, (2,), np.ones(3)), ShapeError, r"parameters of shape \(2,\), got \(3,\)"),
    "groups": (lambda: nn.GroupNorm(2, 3), InputError, "3 channels into 2 groups"),
    "grouped input": (
        lambda: nn.GroupNorm(2, 4)(X),
        ShapeError,
        r"GroupNorm\(num_groups=2, num_channels=4.*\(4, 3, 2\)",
    ),
    "groups of one": (lambda: F.group_norm(X[:1, :, 0], 3), ShapeError, r"more than one value per group.*\(1, 3\)"),
    "response": (lambda: nn.LocalResponseNorm(2)(X[0]), ShapeError, r"LocalResponseNorm\(.*three axes.*\(3, 2\)"),
    "features": (lambda: nn.BatchNorm1d(0), InputError, "num_features must be a whole number of at least 1, got 0"),
    "no statistics": (lambda: F.batch_norm(X, None, None), InputError, "unless training=True"),
}


@pytest.mark.parametrize(("attempt", "kind", "message"), ERRORS.values(), ids=list(ERRORS))
def test_errors(attempt: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt()


HALF: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "rows": (lambda: nn.LayerNorm(512), (3, 512)),
    "batches": (lambda: nn.BatchNorm2d(4), (8, 4, 8, 8)),
    "groups": (lambda: nn.GroupNorm(2, 4), (2, 4, 16, 16)),
    "instances": (lambda: nn.InstanceNorm1d(3, affine=True), (2, 3, 256)),
    "mean squares": (lambda: nn.RMSNorm(512), (3, 512)),
}


@pytest.mark.parametrize("size", [1.0, 30.0, 200.0])
@pytest.mark.parametrize("name", HALF)
def test_half_precision_holds_the_sums_of_squares(name: str, size: float) -> None:
    """From entries of 16 on, those of a row were infinite, and the row became 0."""
    made, shape = HALF[name]
    x = (np.random.default_rng(0).normal(size=shape) * size).astype(np.float16)
    upstream = np.random.default_rng(1).normal(size=shape).astype(np.float16)
    results: dict[Any, list[Any]] = {}
    for dtype in (np.float16, np.float64):
        layer, inputs = made().to(dtype), tg.tensor(x.astype(dtype), requires_grad=True)
        y = layer(inputs)
        y.backward(upstream.astype(dtype))
        results[dtype] = [y, inputs.grad, *(w.grad for w in layer.parameters())]
        assert {part.dtype for part in results[dtype]} == {np.dtype(dtype)}
    for half, double in zip(*results.values()):
        largest = np.abs(double.numpy()).max()
        np.testing.assert_allclose(half.numpy(), double.numpy(), rtol=0, atol=max(4e-3 * largest, 1e-7))
