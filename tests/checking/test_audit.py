"""audit_gradients: each planted cause is found and named, a healthy model is fine, and nothing is changed."""

import re
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.checking.catalogue import largest_call
from tinygrad_lite import nn
from tinygrad_lite.checking.auditing.audit import GradientAudit, Status, audit_gradients
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import operations
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import GraphError, InputError, ShapeError, UsageError
from tinygrad_lite.nn import functional

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 5))
T = RNG.normal(size=(64, 8))
ZERO_FEATURE = X * [1, 1, 0, 1, 1]
UNEVEN = np.where(np.arange(8) == 3, (-1.0) ** np.arange(8)[:, None, None], np.ones((1, 5, 1)))


def weights(scale: float = 1.0) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {
        "w": tg.tensor(scale * rng.normal(size=(5, 8)), requires_grad=True, name="w"),
        "v": tg.tensor(rng.normal(size=8), requires_grad=True, name="v"),
    }


def loss_through(f: Callable[[Any], Any]) -> Callable[[dict[str, Any]], Any]:
    """The mean of f(x w) v."""
    return lambda p: np.mean(f(X @ p["w"]) @ p["v"])


def under_no_grad(p: dict[str, Any]) -> Any:
    with tg.no_grad():
        h = X @ p["w"]
    return np.mean(h @ p["v"])


def zeros(n: int) -> Tensor:
    return tg.tensor(np.zeros(n), requires_grad=True, name="z")


def less(units: list[int], x: Any) -> Any:
    return x - 100 * np.isin(np.arange(8), units)


# how the loss hangs on w, what becomes of its gradient, and what the cause reads like
PLANTED: dict[str, tuple[Callable[[dict[str, Any]], Any], str, str]] = {
    "dead relu": (loss_through(lambda h: functional.relu(h - 100)), "zero", "dead ReLU: .*8 of 8 units"),
    "dead maximum": (loss_through(lambda h: np.maximum(0, h - 100)), "zero", "dead ReLU: .*8 of 8 units"),
    "one dead unit": (
        loss_through(lambda h: functional.relu(less([3], h))),
        "partly zero",
        "dead.*1 of 8 .* axis 1: 3",
    ),
    "two dead units": (loss_through(lambda h: functional.relu(less([1, 6], h))), "partly zero", "2 of 8 units.*: 1, 6"),
    "no relu at all": (
        loss_through(lambda h: functional.relu(h) * (h < 0)),
        "zero",
        "multiply by zeros: a result|ReLU",
    ),
    "sigmoid": (loss_through(lambda h: functional.sigmoid(h - 60)), "vanishing", "saturated: .* in 100%"),
    "tanh": (loss_through(lambda h: np.tanh(h + 60)), "vanishing", "saturated: .* in 100%"),
    "tanh far out": (
        loss_through(lambda h: np.tanh(h + 800)),
        "zero",
        r"saturated tanh: \|derivative\| < 1e-06 in 100%",
    ),
    "all sigmoids": (
        lambda p: np.mean((functional.sigmoid(X @ p["w"] - 30) * p["v"] - T) ** 2),
        "vanishing",
        "in sigmoid, saturated",
    ),
    "softmax": (loss_through(lambda h: functional.softmax(1e6 * h)), "zero", "derivative of softmax is 0"),
    "detach": (loss_through(lambda h: functional.relu(h.detach())), "no gradient", "result of matmul was detached"),
    "data": (loss_through(lambda h: functional.relu(tg.tensor(1.0) * h.data)), "no gradient", "matmul was detached"),
    "numpy": (loss_through(lambda h: tg.tensor(1.0) * h.numpy()), "no gradient", "result of matmul was detached"),
    "numpy of itself": (
        lambda p: np.mean(X @ p["w"].numpy() @ p["v"]),
        "no gradient",
        "unused: no operation on tensors",
    ),
    "parameter detached": (
        lambda p: np.mean(X @ p["w"].detach() * p["v"]),
        "no gradient",
        "the parameter was detached",
    ),
    "stop_gradient": (loss_through(tg.stop_gradient), "no gradient", "detached by stop_gradient"),
    "item": (lambda p: np.mean(p["v"] * np.mean(p["w"]).item()), "no gradient", "result of mean does not reach"),
    "no_grad": (under_no_grad, "no gradient", r"matmul was computed under no_grad"),
    "integers": (loss_through(lambda h: h.astype(int)), "no gradient", "cast makes int64"),
    "comparison": (loss_through(lambda h: (h > 0) * 1.0), "no gradient", "greater answers a question"),
    "argmax": (lambda p: np.mean(p["v"][np.argmax(X @ p["w"], axis=1)]), "no gradient", "argmax answers a question"),
    "unused": (lambda p: np.mean(p["v"]), "no gradient", "unused: no operation on tensors takes it"),
    "dead end": (lambda p: (np.exp(X @ p["w"]), np.mean(p["v"]))[1], "no gradient", "result of exp does not reach"),
    "zero weight": (lambda p: np.mean(X @ p["w"] @ (z := zeros(8))) + 0 * np.sum(z), "zero", "by a zero weight: 'z'"),
    "mask": (loss_through(lambda h: h * np.zeros(8)), "zero", "multiply by zeros: .* is a mask"),
    "mask of a unit": (
        loss_through(lambda h: h * (np.arange(8) != 3)),
        "partly zero",
        "multiply by zeros: .* mask.*axis 1: 3",
    ),
    "zero feature": (
        lambda p: np.mean(ZERO_FEATURE @ p["w"]),
        "partly zero",
        "matmul by zeros: .*always 0, for .*axis 0: 2",
    ),
    "constant loss": (lambda p: 0 * np.mean(X @ p["w"]), "zero", "multiply by the number 0"),
    "where": (loss_through(lambda h: np.where(h > 1e3, h, 1)), "zero", "where chose the other branch"),
    "index": (
        loss_through(lambda h: np.concatenate([h[:, :3], np.ones((64, 5))], 1)),
        "partly zero",
        "the index leaves",
    ),
    "embedding": (lambda p: np.mean(p["w"][[0, 2, 2]]), "partly zero", "the index leaves it out"),
    "clip": (loss_through(lambda h: np.clip(h, 100, 200)), "zero", "beyond the bounds of clip"),
    "floor": (loss_through(np.floor), "zero", "floor is flat"),
    "round": (loss_through(np.round), "zero", "round is flat"),
    "sign": (loss_through(np.sign), "zero", "sign is flat"),
    "sum of a softmax": (
        lambda p: np.sum(functional.softmax(X @ p["w"], -1)),
        "zero",
        "0 but for rounding: contributions cancel in softmax, since the sum of its results is always the same",
    ),
    "sum of what is normalised": (
        lambda p: np.sum(functional.layer_norm(X @ p["w"], (8,))),
        "zero",
        "contributions cancel in normalization, since the sum of its results is always the same",
    ),
    "a decomposition": (
        lambda p: np.linalg.cholesky(p["w"].T @ p["w"] + np.eye(8))[0, 1],
        "zero",
        "the derivative of cholesky is 0 at these numbers",
    ),
    "the border of an image": (
        lambda p: np.sum(functional.conv2d(p["w"][None, None], np.ones((1, 1, 3, 3))) * (np.arange(6) != 0)),
        "partly zero",
        "the upstream gradient of convolution is 0 wherever this goes in, for 1 of 8 units along axis 1: 0",
    ),
    "contributions of a unit that cancel": (
        lambda p: np.sum((p["w"] + T.reshape(8, 8, 8)[:, :5]) * UNEVEN),
        "partly zero",
        "0 but for rounding: contributions cancel in add, for 1 of 8 units along axis 1: 3",
    ),
    "cancelled": (lambda p: np.mean(p["w"]) - np.mean(p["w"]), "zero", "gradients of its uses cancel"),
    "nan forward": (loss_through(np.sqrt), "not finite", "sqrt made it in the forward pass"),
    "nan behind a maximum that is padded with -inf": (
        lambda p: np.mean(np.sqrt(-1 - functional.max_pool1d(p["w"][None], 3, 2, 1) ** 2)),
        "not finite",
        "sqrt made it in the forward pass",
    ),
    "nan in the data": (lambda p: np.mean(np.full(5, np.nan) @ p["w"]), "not finite", "matmul was given nan, in its"),
    "nan backward": (
        loss_through(lambda h: np.where(h > 0, np.sqrt(np.maximum(h, 0)), 0)),
        "not finite",
        "sqrt made it in the backward pass",
    ),
    "exploding": (
        loss_through(lambda h: 1e5 * h),
        "exploding",
        "multiplied by .* multiply, most with its input 0 of up to 1e",
    ),
    "steep loss": (lambda p: np.sum(np.square(1e3 * (X @ p["w"]))), "exploding", "square"),
}


@pytest.mark.filterwarnings("ignore:(invalid|divide by zero)")
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_cause_is_found(name: str) -> None:
    loss, status, cause = PLANTED[name]
    parameters = weights()
    found = audit_gradients(parameters, lambda: loss(parameters))["w"]
    assert found.status == status, found
    assert found.cause is not None
    assert re.search(cause, found.cause.text), found.cause
    if name not in ("unused", "numpy of itself"):
        assert found.cause.source is not None
        assert Path(found.cause.source.file) == Path(__file__)


def network(activation: Any, widths: tuple[int, ...], loss: Any = functional.mse_loss) -> tuple[nn.Module, Any]:
    rng = np.random.default_rng(0)
    layers: list[Any] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after, rng=rng), activation]
    model = nn.Sequential(*layers[:-1])
    x = rng.normal(size=(64, widths[0]))
    return model, lambda: loss(model(x), np.ones((64, widths[-1])))


def heart() -> tuple[nn.Module, Any]:
    """The network of the example, at the start."""
    data = tg.datasets.load_heart()
    x = (data.data - data.data.mean(axis=0)) / data.data.std(axis=0)
    model = nn.Sequential(nn.Linear(13, 8, rng=1), nn.ReLU(), nn.Linear(8, 1, rng=2))
    target = data.target[:, None].astype(float)
    return model, lambda: functional.binary_cross_entropy_with_logits(model(x), target)


HEALTHY: dict[str, Callable[[], tuple[nn.Module, Any]]] = {
    "heart": heart,
    "tanh": lambda: network(nn.Tanh(), (13, 8, 8, 1)),
    "sigmoid": lambda: network(nn.Sigmoid(), (13, 8, 1)),
    "wide": lambda: network(nn.GELU(), (20, 100, 100, 3)),
    "leaky": lambda: network(nn.LeakyReLU(), (5, 8, 8, 8, 8, 8, 2)),
    "summed": lambda: network(nn.Tanh(), (5, 8, 1), lambda y, t: functional.mse_loss(y, t, "sum")),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_model_is_fine(name: str) -> None:
    model, loss = HEALTHY[name]()
    report = audit_gradients(model, loss)
    assert report.ok, str(report)
    assert {one.status for one in report} == {Status.FINE}
    assert [one.cause for one in report] == [None] * len(report)


def test_a_weight_that_is_nearly_zero_does_not_explode() -> None:
    model, loss = heart()
    model[2].bias.data = np.array([1e-9])
    assert audit_gradients(model, loss).ok


def test_the_heart_network_after_training() -> None:
    model, loss = heart()
    optimizer = tg.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(100):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert audit_gradients(model, loss).ok


def test_a_deep_network_of_sigmoids_vanishes_towards_its_input() -> None:
    report = audit_gradients(*network(nn.Sigmoid(), (13, *[8] * 12, 1)))
    statuses = [one.status for one in report]
    assert statuses[0] == statuses[1] == Status.VANISHING
    assert statuses[-1] is Status.FINE
    assert statuses == sorted(statuses, key=[Status.VANISHING, Status.FINE].index)
    assert re.search("multiplied by .*e-1. on its way, by .*e-0. in 12 × sigmoid", report["0.weight"].cause.text)


def test_a_chain_of_large_weights_explodes() -> None:
    linear = nn.Sequential(*[nn.Linear(8, 8, rng=0) for _ in range(11)])
    for i in range(1, 11):
        linear[i].weight.data = np.eye(8) * 5
    found = audit_gradients(linear, lambda: np.mean(linear(np.ones((4, 8)))))["0.weight"]
    assert found.status is Status.EXPLODING
    assert re.search(r"multiplied by .* in 11 × linear, most with '\d+.weight' of up to 5", found.cause.text)


def test_dead_units_of_a_layer_and_what_they_feed() -> None:
    model, loss = heart()
    bias = np.array(model[0].bias.data)
    bias[5] = -100
    model[0].bias.data = bias
    report = audit_gradients(model, loss)
    assert not report.ok
    assert report["0.weight"].units.indices == report["0.bias"].units.indices == (5,)
    assert report["2.weight"].units.axis == 1
    assert re.fullmatch("linear by zeros: dead ReLU.*: 5", report["2.weight"].cause.text)
    assert report["2.weight"].cause.operation == "relu"
    assert report["2.bias"].status is Status.FINE


@pytest.mark.parametrize("rows", [3, 4, 5])
@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(4, 4, rng=0),
        nn.Conv1d(4, 4, 4, rng=0),
        nn.Conv2d(4, 4, 3, rng=0),
        nn.ConvTranspose1d(4, 4, 4, rng=0),
        nn.Bilinear(4, 4, 4, rng=0),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_units_are_not_taken_for_rows_where_there_are_as_many(layer: Any, rows: int) -> None:
    layer.bias = nn.Parameter(np.array([0.0, -100.0, 0.0, -100.0]))
    axes = layer.weight.ndim - 2 if "Conv" in type(layer).__name__ else 0
    x = np.random.default_rng(0).normal(size=(rows, 4, *(7,) * axes))
    inputs = (x, x + 1) if isinstance(layer, nn.Bilinear) else (x,)
    report = tg.audit_gradients(layer, lambda: np.sum(np.sin(functional.relu(layer(*inputs)) + 1)))
    for path in ("weight", "bias"):
        assert "its input is at most 0" in report[path].cause.text, report[path].cause


def test_the_zero_last_layer_is_named() -> None:
    model, loss = heart()
    model[2].weight.data = np.zeros((1, 8))
    report = audit_gradients(model, loss)
    assert report["0.weight"].cause.text == "linear by a zero weight: '2.weight'"
    assert report["2.weight"].status is Status.FINE


def test_frozen_parameters_are_listed_and_do_no_harm() -> None:
    model, loss = heart()
    model[0].requires_grad_(False)
    report = audit_gradients(model, loss)
    assert report.ok
    assert [one.status for one in report] == [Status.FROZEN] * 2 + [Status.FINE] * 2
    assert str(report).startswith("2 of 4 parameters get a fine gradient, 2 are frozen")


def test_units_that_start_alike_are_found() -> None:
    model, loss = network(nn.Tanh(), (5, 4, 3))
    for layer in (model[0], model[2]):
        layer.weight.data, layer.bias.data = np.full(layer.weight.shape, 0.1), np.zeros(layer.bias.shape)
    report = audit_gradients(model, loss)
    assert report["0.weight"].status is report["2.weight"].status is Status.SYMMETRIC
    assert report["2.weight"].cause.text.startswith("4 of 4 units along axis 1: 0, 1, 2, 3 have the same weights")
    model[0].weight.data = np.random.default_rng(0).normal(size=(4, 5))
    assert audit_gradients(model, loss)["0.weight"].status is Status.FINE
    two = np.random.default_rng(1).normal(size=(3, 4))
    two[:, 2] = two[:, 0]
    model[2].weight.data = two
    assert audit_gradients(model, loss).ok  # alike in their weights, but not in their gradients


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_units_that_differ_are_not_alike_in_any_dtype(dtype: Any) -> None:
    rng = np.random.default_rng(0)
    w = tg.tensor(rng.normal(size=(4, 3)).astype(dtype), requires_grad=True)
    x = rng.normal(size=(3, 2)).astype(dtype)
    assert audit_gradients({"w": w}, lambda: np.mean(np.tanh(w @ x) ** 2)).ok


@pytest.mark.parametrize("move", [lambda w: np.reshape(w, (3, 2, 2)), lambda w: np.stack(np.split(w, 3))])
def test_what_only_moves_entries_is_not_blamed(move: Any) -> None:
    """The units are lost on the way, in an array of another shape; a reshape's own derivative is never 0."""
    w = tg.tensor(np.ones((6, 2)), requires_grad=True)
    report = audit_gradients({"w": w}, lambda: np.sum(move(w) * np.array([1.0, 0, 2])[:, None, None]))
    assert report["w"].status is Status.PARTLY_ZERO
    assert "the derivative of" not in report["w"].cause.text


@pytest.mark.parametrize("turn", [np.transpose, lambda w: np.einsum("ij->ji", w), lambda w: np.swapaxes(w, 0, 1)])
def test_units_of_a_square_matrix_that_is_transposed_are_followed(turn: Any) -> None:
    w = tg.tensor(np.random.default_rng(0).normal(size=(4, 4)), requires_grad=True)
    rows, bias = np.random.default_rng(1).normal(size=(6, 4)), np.array([0, -99.0, 0, 0])
    report = audit_gradients({"w": w}, lambda: np.mean(nn.functional.relu(rows @ turn(w) + bias)))
    assert "dead ReLU" in report["w"].cause.text


@pytest.mark.parametrize("axis", [0, 1])
def test_units_of_a_square_matrix_keep_their_axis(axis: int) -> None:
    """A softmax of one number has no gradient; the zero by which it is multiplied is along the other axis."""
    scores = tg.tensor(np.random.default_rng(0).normal(size=(4, 4)), requires_grad=True)
    mask = np.triu(np.ones((4, 4), bool), 1)

    def loss() -> Any:
        x = np.where(mask if axis == 0 else mask.T, -np.inf, scores)
        p = nn.functional.softmax(x, axis=1 - axis)
        return np.sum((1 + (p @ np.arange(4.0) if axis == 0 else np.arange(4.0) @ p)) ** 2)

    cause = audit_gradients({"scores": scores}, loss)["scores"].cause
    assert "the derivative of softmax is 0" in cause.text


def attention(p: dict[str, Any]) -> Any:
    q, k = X @ p["w"], X @ p["w"] + p["v"]
    return np.sum(functional.softmax(q @ k.T) @ X)


def by_hand(h: Any) -> Any:
    e = np.exp(h - np.max(h, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


# a parameter whose gradient is 0 since the loss does not see it, and why
BLIND: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "key bias": (attention, "softmax does not change"),
    "shift": (lambda p: functional.cross_entropy(X @ p["w"] + p["v"][0], np.zeros(64, int)), "cross_entropy does not"),
    "by hand": (lambda p: np.sum(by_hand(X @ p["w"] + p["v"][0]) ** 2), r"exp / sum\(exp\), a softmax"),
    "variance": (lambda p: np.sum(np.var(X @ p["w"] + p["v"], axis=0)), "var does not change"),
    "logarithms": (lambda p: np.sum(functional.log_softmax(X @ p["w"] + p["v"][0], 1) ** 2), "log_softmax does not"),
    "correlations": (
        lambda p: np.sum(np.cov(X @ p["w"] + p["v"], rowvar=False) ** 2),
        "add, since a mean is subtracted",
    ),
    "mean": (lambda p: np.sum((h := X @ p["w"] + p["v"]) ** 3 - np.mean(h, 0) * h**2), "^$"),
    "centred": (lambda p: np.sum(((h := X @ p["w"] + p["v"]) - np.mean(h, 0)) ** 3), "a mean is subtracted after it"),
}


@pytest.mark.parametrize("name", BLIND)
def test_what_a_softmax_or_a_normalisation_does_not_see_has_gradient_zero(name: str) -> None:
    loss, why = BLIND[name]
    parameters = weights()
    found = audit_gradients(parameters, lambda: loss(parameters))["v"]
    if why == "^$":
        assert found.status is Status.FINE
    else:
        assert found.status in (Status.ZERO, Status.PARTLY_ZERO)
        assert found.cause is not None
        assert re.search(why, found.cause.text), found.cause


def test_a_bias_before_a_batch_norm() -> None:
    model = nn.Sequential(nn.Linear(5, 8, rng=0), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1, rng=1))
    report = audit_gradients(model, lambda: np.mean(model(X) ** 2))
    assert [one.path for one in report if one.status is not Status.FINE] == ["0.bias"]
    assert report["0.bias"].status is Status.ZERO
    assert "normalization does not change when all its numbers move alike" in report["0.bias"].cause.text


def test_one_cause_is_said_once_with_all_that_it_explains() -> None:
    lines = str(audit_gradients(*network(nn.Sigmoid(), (13, *[8] * 16, 1)))).splitlines()
    causes = [line for line in lines if line.startswith("[")]
    assert len(causes) == 1
    assert lines[-1].startswith("    of 0.weight, 0.bias, 2.weight, 2.bias and ")
    assert lines[-1].endswith("; the numbers are of 0.weight")


def test_numbers() -> None:
    w = tg.tensor([3.0, 4.0], requires_grad=True)
    found = audit_gradients({"w": w}, np.sum(w * [6.0, 8.0]))["w"]
    assert (found.path, found.shape) == ("w", (2,))
    assert (found.gradient_norm, found.weight_norm, found.ratio) == (10, 5, 2)
    z = zeros(4)
    assert audit_gradients([z], np.sum(z * 3))["0"].ratio == 3


def test_a_loss_that_was_computed() -> None:
    parameters = weights()
    report = audit_gradients(parameters, np.mean(functional.relu(X @ parameters["w"] - 100)))
    assert re.search("dead ReLU", report["w"].cause.text)
    assert report["w"].cause.source is None
    assert re.search("unused, or detached", report["v"].cause.text)


def test_the_table() -> None:
    w, v, u = (tg.tensor(x, requires_grad=True) for x in (np.ones((3, 2)), 2.0, [1.0]))
    lines = str(audit_gradients({"w": w, "v": v, "u": u}, lambda: v * np.mean(functional.relu(-w)))).splitlines()
    assert lines[:5] == [
        "0 of 3 parameters get a fine gradient",
        "parameter  shape   status       |gradient|  |weight|  ratio  cause",
        "w          3×2     zero         0           2.4       0      [1]",
        "v          number  zero         0           2         0      [2]",
        "u          1       no gradient  –           1         –      [3]",
    ]
    assert lines[5] == "[1] dead ReLU: its input is at most 0 in every row, for 2 of 2 units"
    assert lines[6].startswith(f"    {Path(__file__).name}:")
    assert lines[-1] == "[3] unused: no operation on tensors takes it"


def test_a_report_is_a_collection() -> None:
    p = weights()
    report = audit_gradients(p, loss_through(np.tanh)(p))
    assert [one.path for one in report] == ["w", "v"]
    assert len(report) == 2
    assert isinstance(report, GradientAudit)
    with pytest.raises(InputError, match="no parameter 'x'; there are w, v"):
        report["x"]


MODELS: dict[str, tuple[Callable[[dict[str, Any]], Any], list[str]]] = {
    "list": (lambda p: [p["w"], p["v"]], ["0", "1"]),
    "nested": (lambda p: {"a": (p["w"],), "b": {"c": p["v"]}}, ["a.0", "b.c"]),
    "modules": (lambda p: {"layer": nn.Linear(2, 1), **p}, ["layer.weight", "layer.bias", "w", "v"]),
    "tensor": (lambda p: p["w"], ["w"]),
}


@pytest.mark.parametrize("name", MODELS)
def test_what_may_be_a_model(name: str) -> None:
    parameters = weights()
    model, paths = MODELS[name][0](parameters), MODELS[name][1]
    assert [one.path for one in audit_gradients(model, loss_through(np.tanh)(parameters))] == paths


def freed(p: dict[str, Any]) -> Any:
    loss = np.mean(X @ p["w"])
    loss.backward()
    return loss


ERRORS: dict[str, tuple[Callable[[dict[str, Any]], Any], type[Exception], str]] = {
    "freed": (
        lambda p: audit_gradients(p, freed(p)),
        GraphError,
        "freed by an earlier backward pass: give it retain_graph=True",
    ),
    "no history": (lambda p: audit_gradients(p, tg.tensor(1.0)), GraphError, "no history.*\n  w: unused, or detached"),
    "detached": (lambda p: audit_gradients(p, lambda: np.sum(p["w"]).detach()), GraphError, "w: the result of sum was"),
    "frozen": (lambda p: audit_gradients([tg.tensor(1.0)], tg.tensor(1.0)), GraphError, "0: it does not require"),
    "not scalar": (lambda p: audit_gradients(p, p["w"] * 2), ShapeError, r"shape \(5, 8\).*mean"),
    "no parameters": (lambda p: audit_gradients(nn.ReLU(), np.sum(p["w"])), InputError, "ReLU has no parameters"),
    "no tensors": (lambda p: audit_gradients([], np.sum(p["w"])), InputError, "list has no parameters"),
    "not a model": (lambda p: audit_gradients({"a": 1}, np.sum(p["w"])), UsageError, "a is int"),
    "not a loss": (lambda p: audit_gradients(p, 1.0), UsageError, "got float"),
    "float": (lambda p: audit_gradients(p, lambda: np.sum(p["w"]).item()), UsageError, "returned float: leave out"),
    "arguments": (lambda p: audit_gradients(p, lambda x: x), UsageError, "takes no arguments.*'x'"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    call, kind, message = ERRORS[name]
    with pytest.raises(kind, match=re.compile(message, re.DOTALL)):
        call(weights())


def state(model: nn.Module) -> list[Any]:
    return [
        (w.data, w.grad, w.requires_grad, w.retains_grad, w.is_leaf, module.training)
        for module in model.modules()
        for w in module.parameters()
    ]


def same(a: list[Any], b: list[Any]) -> bool:
    return all(x is y for one, other in zip(a, b, strict=True) for x, y in zip(one, other, strict=True))


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_changed(fails: bool) -> None:
    model, loss = heart()
    model.eval()
    loss().backward()
    before = state(model)
    trace = Tensor.__trace__

    def failing() -> Any:
        loss()
        raise RuntimeError("half-way")

    if fails:
        with pytest.raises(RuntimeError, match="half-way"):
            audit_gradients(model, failing)
    else:
        audit_gradients(model, loss)
    assert same(before, state(model))
    assert Tensor.__trace__ is trace


def test_the_graph_stays_and_retained_gradients_are_left_alone() -> None:
    p = weights()
    h = np.tanh(X @ p["w"])
    h.retain_grad()
    loss = np.mean(h @ p["v"])
    assert audit_gradients(p, loss).ok
    assert h.grad is None
    assert p["w"].grad is None
    loss.backward()
    assert h.grad is not None
    assert str(audit_gradients(p, lambda: np.mean(np.tanh(X @ p["w"]) @ p["v"]))).startswith("2 of 2")


def test_the_gradients_are_those_of_backward() -> None:
    model, _ = network(nn.GELU(), (5, 8, 8, 2))
    x = RNG.normal(size=(10, 5))
    computed = functional.cross_entropy(model(x)[np.array([0, 1, 1, 2])], np.array([0, 1, 1, 0]))
    report = audit_gradients(model, computed)
    computed.backward()
    for path, w in model.named_parameters():
        assert report[path].gradient_norm == pytest.approx(np.linalg.norm(w.grad.data))


def test_under_no_grad_and_in_threads() -> None:
    p = weights()
    with tg.no_grad():
        assert audit_gradients(p, lambda: np.mean(np.tanh(X @ p["w"]) @ p["v"])).ok
    found: list[bool] = []
    threads = [threading.Thread(target=lambda: found.append(audit_gradients(*heart()).ok)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 4


@pytest.mark.long
@pytest.mark.parametrize("op", [op for op in operations() if op.vjps and "distributions" not in op.module], ids=str)
def test_every_operation_has_a_reason_for_what_it_leaves_out(op: Op) -> None:
    """Of a loss that reads one entry of a result, many gradients are 0; of their sum, some are rounding."""
    f, variables = largest_call(op).function()
    parameters = {str(i): tg.tensor(x, requires_grad=True) for i, x in enumerate(variables)}
    for loss in (np.sum, *(lambda y, k=k: np.ravel(y)[k % np.size(y)] for k in range(3))):
        with np.errstate(all="ignore"):
            report = audit_gradients(parameters, lambda loss=loss: loss(f(*parameters.values())))
        assert all(found.status is Status.FINE or found.cause is not None for found in report)


def chained(steps: int) -> tuple[Tensor, Tensor]:
    x = y = tg.tensor(0.3, requires_grad=True, name="x")
    for _ in range(steps):
        y = np.sin(y) + 0.1
    return x, y


@pytest.mark.long
@pytest.mark.parametrize(("steps", "status"), [(10, "fine"), (50, "fine"), (100, "vanishing"), (2000, "vanishing")])
def test_a_gradient_that_dwindles_along_a_chain_is_told_also_of_a_single_parameter(steps: int, status: str) -> None:
    x, y = chained(steps)
    audited = audit_gradients({"x": x}, y)["x"]
    assert audited.status.value == status
    if status == "vanishing":
        assert re.search(rf"the gradient is multiplied by .*, by .* in {steps} × sin", audited.cause.text)


def test_a_model_that_has_learnt_has_small_gradients_and_none_vanishes() -> None:
    w = tg.tensor([1.0, -2.0], requires_grad=True, name="w")
    loss = np.sum((np.array([[1.0, 2.0], [3.0, 1.0]]) @ w - [-3.0, 1.0 + 1e-13]) ** 2)
    assert audit_gradients({"w": w}, loss)["w"].status is Status.FINE
    tiny = np.sum((w * 1e-30) * 1e-30)
    assert audit_gradients({"w": w}, tiny)["w"].status is Status.FINE, "units are no chain"


@pytest.mark.parametrize(
    "f",
    [
        lambda x, w: tg.checkpoint(lambda x: np.tanh(np.exp(-x @ w)))(x),
        lambda x, w: tg.checkpoint(tg.checkpoint(lambda x: np.sin(x @ w)))(x),
        lambda x, w: tg.compile(lambda x: np.sin(x @ w))(x),
    ],
    ids=["checkpoint", "checkpoint in a checkpoint", "compile"],
)
def test_what_a_rule_reads_may_be_a_tensor(f: Callable[..., Any]) -> None:
    """A rule that reads tensors beside its arguments returns arrays to an audit, as to a reverse pass."""
    w = tg.tensor(np.random.default_rng(0).normal(size=(3, 3)), requires_grad=True, name="w")
    x = tg.tensor(np.random.default_rng(1).normal(size=(2, 3)))
    loss = np.sum(f(x, w) ** 2)
    report = audit_gradients({"w": w}, loss)
    loss.backward()
    assert report["w"].status is Status.FINE
    assert report["w"].gradient_norm == pytest.approx(np.linalg.norm(w.grad.numpy()))
