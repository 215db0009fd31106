"""Losses: their formulas, options and derivatives, both compilers, and their errors."""

from collections.abc import Callable
from itertools import chain, groupby, product
from math import lgamma, log, pi
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.engine.registry import operation
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.nn import functional as F

X = np.array([[0.3, -1.2, 2.0], [1.5, 0.4, -0.7]])
T = np.array([[0.0, 1.0, 0.7], [0.2, 0.0, 1.0]])
P = 1 / (1 + np.exp(-X))
Z = np.zeros((2, 3))
SIGNS = np.array([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]])
LABELS = np.array([2, 0])
W, ONES = np.array([0.5, 1.0, 2.0]), np.ones(3)
DEEP = np.random.default_rng(0).normal(size=(2, 3, 4))  # N, C, L
DEEP_LABELS = np.array([[0, 1, 2, 1], [2, 2, 1, 0]])


def _log_softmax(x: Any) -> Any:
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


LOG_P = _log_softmax(X)


def _nll(x: Any, t: Any, w: Any = ONES, ignore: int = -100) -> Any:
    """The entries, and what a mean divides by."""
    entries = [0 if k == ignore else -w[k] * row[k] for row, k in zip(x, t)]
    return np.array(entries), sum(w[k] for k in t if k != ignore)


def _smoothed(x: Any, t: Any, w: Any = ONES, ignore: int = -100) -> Any:
    targets = 0.9 * np.eye(3)[t] + 0.1 / 3
    entries = -(targets * w * _log_softmax(x)).sum(axis=1) * (t != ignore)
    return entries, _nll(x, t, w, ignore)[1]


def _hinge(x: Any) -> Any:
    return np.maximum(x, 0)


def _multi_margin(x: Any, t: Any, p: int, margin: float, w: Any) -> Any:
    return np.array(
        [w[k] * sum(_hinge(margin - row[k] + row[i]) ** p for i in range(3) if i != k) / 3 for row, k in zip(x, t)]
    )


def _cosine(u: Any, v: Any) -> Any:
    return (u * v).sum(axis=-1) / np.sqrt((u * u).sum(axis=-1) * (v * v).sum(axis=-1))


def _distance(a: Any, b: Any, p: int = 2) -> Any:
    return (abs(a - b + 1e-6) ** p).sum(axis=-1) ** (1 / p)


def _read(path: Any, blank: int) -> list[int]:
    return [k for k, _ in groupby(path) if k != blank]


def _ctc(log_p: Any, targets: Any, steps: Any, lengths: Any, blank: int = 0) -> Any:
    """Over all paths, one by one."""
    return np.array(
        [
            -np.log(
                sum(
                    np.exp(sum(log_p[t, n, k] for t, k in enumerate(path)))
                    for path in product(range(log_p.shape[2]), repeat=steps[n])
                    if _read(path, blank) == list(targets[n, : lengths[n]])
                )
            )
            for n in range(log_p.shape[1])
        ]
    )


SEQUENCES = _log_softmax(np.random.default_rng(1).normal(size=(4, 3, 3)))
WORDS, STEPS, LENGTHS = np.array([[1, 1, 2], [2, 1, 0], [1, 2, 9]]), (4, 3, 4), (3, 1, 2)
FLAT = np.array([1, 1, 2, 2, 1, 2])

# the loss, its settings, its inputs, and its entries by the formula, maybe with what a mean divides by
LOSSES: dict[str, tuple[str, dict[str, Any], tuple[Any, ...], Callable[..., Any]]] = {
    "mse": ("MSELoss", {}, (X, T), lambda x, t: (x - t) ** 2),
    "l1": ("L1Loss", {}, (X, T), lambda x, t: abs(x - t)),
    "huber": (
        "HuberLoss",
        {"delta": 0.5},
        (X, T),
        lambda x, t: np.where(abs(x - t) <= 0.5, (x - t) ** 2 / 2, 0.5 * (abs(x - t) - 0.25)),
    ),
    "smooth l1": (
        "SmoothL1Loss",
        {"beta": 0.5},
        (X, T),
        lambda x, t: np.where(abs(x - t) <= 0.5, (x - t) ** 2, abs(x - t) - 0.25),
    ),
    "smooth l1 of 0": ("SmoothL1Loss", {"beta": 0}, (X, T), lambda x, t: abs(x - t)),
    "kl": (
        "KLDivLoss",
        {},
        (LOG_P, T),
        lambda x, t: np.array([0 if q == 0 else q * (log(q) - z) for q, z in zip(t.flat, x.flat)]).reshape(2, 3),
    ),
    "kl of logarithms": ("KLDivLoss", {"log_target": True}, (LOG_P, T), lambda x, t: np.exp(t) * (t - x)),
    "poisson": ("PoissonNLLLoss", {}, (X, T), lambda x, t: np.exp(x) - t * x),
    "poisson of rates": (
        "PoissonNLLLoss",
        {"log_input": False, "eps": 0.1},
        (P, T),
        lambda x, t: x - t * np.log(x + 0.1),
    ),
    "poisson, full": (
        "PoissonNLLLoss",
        {"full": True},
        (X, 5 * T),
        lambda x, t: (
            np.exp(x) - t * x + np.where(t > 1, t * np.log(t + (t == 0)) - t + np.log(2 * pi * t + 1e-99) / 2, 0)
        ),
    ),
    "gauss": (
        "GaussianNLLLoss",
        {},
        (X, T, P),
        lambda x, t, v: (np.log(v) + (x - t) ** 2 / v) / 2,
    ),
    "gauss, full": (
        "GaussianNLLLoss",
        {"full": True, "eps": 0.5},
        (X, T, np.array([0.1, 2.0])),
        lambda x, t, v: (np.log([[0.5], [2]]) + (x - t) ** 2 / [[0.5], [2]] + log(2 * pi)) / 2,
    ),
    "bce": ("BCELoss", {}, (P, T), lambda p, t: -(t * np.log(p) + (1 - t) * np.log(1 - p))),
    "bce, weighted": (
        "BCELoss",
        {"weight": W},
        (P, T),
        lambda p, t: -W * (t * np.log(p) + (1 - t) * np.log(1 - p)),
    ),
    "bce of logits": ("BCEWithLogitsLoss", {}, (X, T), lambda x, t: np.log1p(np.exp(x)) - x * t),
    "bce of logits, weighted": (
        "BCEWithLogitsLoss",
        {"weight": W, "pos_weight": np.array([3.0, 2.0, 1.0])},
        (X, T),
        lambda x, t: W * (np.array([3, 2, 1]) * t * np.log1p(np.exp(-x)) + (1 - t) * np.log1p(np.exp(x))),
    ),
    "cross-entropy": ("CrossEntropyLoss", {}, (X, LABELS), lambda x, t: _nll(_log_softmax(x), t)),
    "cross-entropy, ignoring": (
        "CrossEntropyLoss",
        {"ignore_index": 0},
        (X, LABELS),
        lambda x, t: _nll(_log_softmax(x), t, ignore=0),
    ),
    "cross-entropy, weighted": (
        "CrossEntropyLoss",
        {"weight": W},
        (X, LABELS),
        lambda x, t: _nll(_log_softmax(x), t, W),
    ),
    "cross-entropy, smoothed": ("CrossEntropyLoss", {"label_smoothing": 0.1}, (X, LABELS), _smoothed),
    "cross-entropy, all of it": (
        "CrossEntropyLoss",
        {"label_smoothing": 0.1, "weight": W, "ignore_index": -1},
        (X, np.array([-1, 1])),
        lambda x, t: _smoothed(x, t, W, -1),
    ),
    "cross-entropy of probabilities": (
        "CrossEntropyLoss",
        {"label_smoothing": 0.1, "weight": W},
        (X, T),
        lambda x, t: -((0.9 * t + 0.1 / 3) * W * _log_softmax(x)).sum(axis=1),
    ),
    "nll": ("NLLLoss", {}, (LOG_P, LABELS), _nll),
    "nll, all of it": (
        "NLLLoss",
        {"weight": W, "ignore_index": 5},
        (LOG_P, np.array([5, 2])),
        lambda x, t: _nll(x, t, W, 5),
    ),
    "multi margin": ("MultiMarginLoss", {}, (X, LABELS), lambda x, t: _multi_margin(x, t, 1, 1.0, ONES)),
    "multi margin, weighted": (
        "MultiMarginLoss",
        {"p": 2, "margin": 0.5, "weight": W},
        (X, LABELS),
        lambda x, t: _multi_margin(x, t, 2, 0.5, W),
    ),
    "multilabel margin": (
        "MultiLabelMarginLoss",
        {},
        (X, np.array([[2, 0, -1], [1, -1, 0]])),
        lambda x, t: (
            np.array(
                [
                    _hinge(1 - (x[0, 2] - x[0, 1])) + _hinge(1 - (x[0, 0] - x[0, 1])),
                    _hinge(1 - (x[1, 1] - x[1, 0])) + _hinge(1 - (x[1, 1] - x[1, 2])),
                ]
            )
            / 3
        ),
    ),
    "multilabel soft margin": (
        "MultiLabelSoftMarginLoss",
        {"weight": W},
        (X, T),
        lambda x, t: (W * (np.log1p(np.exp(x)) - x * t)).mean(axis=1),
    ),
    "soft margin": ("SoftMarginLoss", {}, (X, SIGNS), lambda x, t: np.log1p(np.exp(-t * x))),
    "hinge": (
        "HingeEmbeddingLoss",
        {"margin": 0.8},
        (X, SIGNS),
        lambda x, t: np.where(t == 1, x, _hinge(0.8 - x)),
    ),
    "ranking": ("MarginRankingLoss", {"margin": 0.2}, (X, T, SIGNS), lambda x, y, t: _hinge(0.2 - t * (x - y))),
    "cosine": (
        "CosineEmbeddingLoss",
        {"margin": -0.9},
        (X, T, np.array([1, -1])),
        lambda u, v, t: np.where(t == 1, 1 - _cosine(u, v), _hinge(_cosine(u, v) + 0.9)),
    ),
    "cosine of one": ("CosineEmbeddingLoss", {}, (X[0], T[0], np.array(1)), lambda u, v, t: 1 - _cosine(u, v)),
    "triplet": (
        "TripletMarginLoss",
        {"margin": 2.0},
        (X, T, X[::-1]),
        lambda a, p, n: _hinge(2 + _distance(a, p) - _distance(a, n)),
    ),
    "triplet, swapped": (
        "TripletMarginLoss",
        {"p": 3, "swap": True},
        (X, T, X[::-1]),
        lambda a, p, n: _hinge(1 + _distance(a, p, 3) - np.minimum(_distance(a, n, 3), _distance(p, n, 3))),
    ),
    "triplet with distance": (
        "TripletMarginWithDistanceLoss",
        {"distance_function": lambda a, b: np.sum((a - b) ** 2, axis=-1), "margin": 9.0, "swap": True},
        (X, T, X[::-1]),
        lambda a, p, n: 9 + ((a - p) ** 2).sum(1) - np.minimum(((a - n) ** 2).sum(1), ((p - n) ** 2).sum(1)),
    ),
    "ctc": (
        "CTCLoss",
        {},
        (SEQUENCES, WORDS, STEPS, LENGTHS),
        lambda *x: (_ctc(*x), 3 * np.array(LENGTHS)),
    ),
    "ctc, concatenated": (
        "CTCLoss",
        {},
        (SEQUENCES, FLAT, np.array(STEPS), np.array(LENGTHS)),
        lambda x, _, *n: (_ctc(x, WORDS, *n), 3 * np.array(LENGTHS)),
    ),
    "ctc, another blank": (
        "CTCLoss",
        {"blank": 2},
        (SEQUENCES, np.array([[1, 1], [0, 0], [1, 0]]), (4, 2, 3), (2, 0, 2)),
        lambda *x: (_ctc(*x, 2), 3 * np.array([2, 1, 2])),
    ),
    "ctc of one": (
        "CTCLoss",
        {},
        (SEQUENCES[:, 0], WORDS[0], 4, 3),
        lambda *x: (_ctc(SEQUENCES, WORDS, STEPS, LENGTHS)[0], 3),
    ),
}


def _loss(name: str, reduction: str = "mean") -> Any:
    kind, settings, _, _ = LOSSES[name]
    return getattr(nn, kind)(**settings, reduction=reduction)


def _differentiable(name: str) -> tuple[Callable[..., Any], list[Any]]:
    """A function of the loss's real inputs that each entry moves differently, and those inputs."""
    inputs = LOSSES[name][2]
    given = [i for i, x in enumerate(inputs) if isinstance(x, np.ndarray) and x.dtype.kind == "f" and x is not SIGNS]
    given = given[:1] if name.startswith(("kl", "gauss, full", "poisson, full", "bce", "cross")) else given
    loss = _loss(name, "none")

    def f(*x: Any) -> Any:
        y = loss(*[x[given.index(i)] if i in given else inputs[i] for i in range(len(inputs))])
        return np.sum(np.square(y + np.reshape(np.arange(np.size(y)), np.shape(y))))

    return f, [inputs[i] for i in given]


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_its_formula(name: str) -> None:
    _, _, inputs, formula = LOSSES[name]
    entries = formula(*inputs)
    entries, divisor = entries if isinstance(entries, tuple) else (entries, np.size(entries))
    expected = {"none": entries, "sum": np.sum(entries), "mean": np.sum(entries / divisor)}
    for reduction, value in expected.items():
        found = _loss(name, reduction)(*inputs)
        assert np.shape(found) == np.shape(value)
        np.testing.assert_allclose(found, value, rtol=1e-11, atol=1e-14)
        on_tensors = _loss(name, reduction)(tg.tensor(inputs[0], requires_grad=True), *inputs[1:])
        np.testing.assert_array_equal(on_tensors.numpy(), found)


@pytest.mark.long
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * name.startswith("ctc,")) for name in LOSSES]
)
def test_derivatives_of_both_orders(name: str) -> None:
    f, inputs = _differentiable(name)
    if name.startswith("ctc"):  # which normalizes its input
        assert tg.gradcheck(lambda x: f(F.log_softmax(x)), *inputs, order=2)
    else:
        assert tg.gradcheck(f, *inputs, order=2)


MANY_OPERATIONS = [name for name in LOSSES if name.startswith(("ctc", "triplet", "multi", "gauss"))]


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize(
    "names",
    [
        [name for name in LOSSES if name not in MANY_OPERATIONS],
        *[pytest.param([name], marks=pytest.mark.slow) for name in LOSSES],
    ],
)
def test_losses_compiled(names: list[str], backend: Any) -> None:
    functions, inputs = zip(*map(_differentiable, names))
    arguments = [[tg.tensor(x, requires_grad=True) for x in some] for some in inputs]

    def f(arguments: Any) -> Any:
        return sum(function(*some) for function, some in zip(functions, arguments))

    value, gradients = tg.value_and_grad(f)(arguments)
    found, slopes = tg.compile(tg.value_and_grad(f), backend=backend)(arguments)
    np.testing.assert_allclose(found.numpy(), value.numpy(), rtol=1e-12)
    for slope, gradient in zip(chain(*slopes), chain(*gradients)):
        np.testing.assert_allclose(slope.numpy(), gradient.numpy(), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_compiled_loss_ignores_what_the_next_call_ignores(backend: Any) -> None:
    loss = tg.compile(tg.value_and_grad(nn.CrossEntropyLoss()), backend=backend)
    for labels in (np.array([2, 0]), np.array([-100, 1]), np.array([0, -100])):
        expected, slope = tg.value_and_grad(F.cross_entropy)(X, labels)
        found, gradient = loss(X, labels)
        np.testing.assert_allclose(found, expected, rtol=1e-13)
        np.testing.assert_allclose(gradient, slope, rtol=1e-13, atol=1e-16)
    with pytest.raises((InputError, ValueError), match="got 3"):
        loss(X, np.array([3, 0]))


@pytest.mark.parametrize("name", LOSSES)
def test_losses_stay_in_single_precision(name: str) -> None:
    kind, settings, inputs, _ = LOSSES[name]

    def single(x: Any) -> Any:
        return x.astype(np.float32) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x

    loss = getattr(nn, kind)(**{key: single(value) for key, value in settings.items()})
    x = tg.tensor(single(inputs[0]), requires_grad=True)
    y = loss(x, *map(single, inputs[1:]))
    y.backward()
    assert y.dtype == x.grad.dtype == np.float32


OF_ENTRIES = (
    "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div", "poisson_nll_loss", "soft_margin_loss",
    "multilabel_soft_margin_loss", "hinge_embedding_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits",
)  # fmt: skip
WHOLE = np.array([[0, 1, 1], [1, 0, 1]])
OF_WHOLE_TARGETS: dict[str, Any] = {
    **dict.fromkeys(OF_ENTRIES, lambda f, x, t: f(x, t)),
    "poisson_nll_loss, full": lambda f, x, t: f(x, 3 * t, full=True),
    "binary_cross_entropy_with_logits, weights": lambda f, x, t: f(x, t, pos_weight=np.float32(2)),
    "gaussian_nll_loss": lambda f, x, t: f(x, t, x),
    "margin_ranking_loss": lambda f, x, t: f(x, 2 * x, t),
    "hinge_embedding_loss": lambda f, x, t: f(x, t + (t == 0) * t.dtype.type(1)),
    "cosine_embedding_loss": lambda f, x, t: f(x, 2 * x, t[:, 1] + (t[:, 1] == 0) * t.dtype.type(1)),
}


@pytest.mark.parametrize("name", OF_WHOLE_TARGETS)
def test_integer_targets_do_not_widen(name: str) -> None:
    """Those of float64 do, as everywhere."""
    call, function = OF_WHOLE_TARGETS[name], getattr(F, name.split(",")[0])
    x = tg.tensor(P.astype(np.float32), requires_grad=True)
    expected = call(function, x, WHOLE.astype(np.float32))
    for target in (WHOLE, WHOLE.astype(np.uint8), WHOLE.astype(bool), tg.tensor(WHOLE)):
        y = call(function, x, target)
        assert y.dtype == np.float32
        assert y.numpy() == expected.numpy()
    wide = call(function, x, WHOLE.astype(float))
    assert wide.dtype == (np.float32 if name in ("hinge_embedding_loss", "cosine_embedding_loss") else np.float64)


def test_classes_of_more_axes_and_of_none() -> None:
    rows, labels = np.moveaxis(DEEP, 1, 2).reshape(8, 3), DEEP_LABELS.ravel()
    for settings in ({}, {"weight": W}, {"ignore_index": 1}, {"label_smoothing": 0.1, "ignore_index": 1, "weight": W}):
        deep, flat = F.cross_entropy(DEEP, DEEP_LABELS, **settings), F.cross_entropy(rows, labels, **settings)
        np.testing.assert_allclose(deep, flat, rtol=1e-14)
        one = F.cross_entropy(rows[0], labels[0], **settings)
        np.testing.assert_allclose(one, F.cross_entropy(rows[:1], labels[:1], **settings), rtol=1e-14)
    deep = F.cross_entropy(DEEP, DEEP_LABELS, W, 1, "none")
    np.testing.assert_allclose(deep.ravel(), F.cross_entropy(rows, labels, W, 1, "none"), rtol=1e-14)
    targets = np.moveaxis(np.eye(3)[DEEP_LABELS], -1, 1)
    np.testing.assert_allclose(F.cross_entropy(DEEP, targets), F.cross_entropy(rows, labels), rtol=1e-14)
    np.testing.assert_allclose(F.cross_entropy(rows[0], np.eye(3)[labels[0]]), F.cross_entropy(rows[0], labels[0]))


def test_impossible_classes_leave_the_others_finite() -> None:
    x = tg.tensor([[-np.inf, 1.0, 2.0], [-np.inf, 3.0, 1.0]], requires_grad=True)
    loss = F.cross_entropy(x, np.array([1, -100]))
    loss.backward()
    assert np.isfinite(float(loss))
    assert np.isfinite(np.asarray(x.grad)).all()


def test_weights_of_functions_and_other_reductions() -> None:
    weight = np.abs(T) + 0.5
    np.testing.assert_allclose(F.mse_loss(X, T, weight=weight), np.average((X - T) ** 2, weights=weight), rtol=1e-14)
    np.testing.assert_allclose(F.l1_loss(X, T, "sum", weight), (abs(X - T) * weight).sum(), rtol=1e-14)
    huber = F.huber_loss(X, T, "none")
    np.testing.assert_allclose(F.huber_loss(X, T, weight=weight), (huber * weight).mean(), rtol=1e-14)
    np.testing.assert_allclose(F.kl_div(LOG_P, T, "batchmean"), F.kl_div(LOG_P, T, "sum") / 2, rtol=1e-14)
    x, t = np.array([1.0]), np.array([9.0])
    exact = np.exp(1) - 9 + lgamma(10)
    assert abs(float(F.poisson_nll_loss(x, t, full=True)) - exact) < 0.01


def test_weights_are_state_that_nobody_else_changes() -> None:
    weight = np.array([1.0, 2.0, 3.0])
    loss = nn.CrossEntropyLoss(weight)
    weight[:] = 0
    np.testing.assert_array_equal(loss.state_dict()["weight"], [1, 2, 3])
    loss.load_state_dict({"weight": W})
    np.testing.assert_allclose(loss(X, LABELS), F.cross_entropy(X, LABELS, W), rtol=1e-15)
    assert nn.CrossEntropyLoss().state_dict() == {}
    assert [*nn.BCEWithLogitsLoss(pos_weight=W).state_dict()] == ["pos_weight"]


def test_ctc_of_words_that_do_not_fit() -> None:
    x = tg.tensor(SEQUENCES, requires_grad=True)
    words, steps, lengths = np.array([[1, 1], [2, 1], [0, 0]]), (2, 4, 0), (2, 2, 0)
    entries = F.ctc_loss(x, words, steps, lengths, reduction="none")
    assert entries.numpy()[0] == np.inf
    assert entries.numpy()[2] == 0
    F.ctc_loss(x, words, steps, lengths, zero_infinity=True).backward()
    gradient = np.asarray(x.grad)
    assert np.isfinite(gradient).all()
    assert not gradient[:, ::2].any()
    assert gradient[:, 1].any()


def test_gradient_of_ctc_is_the_probabilities_less_those_given_the_labels() -> None:
    """For which it suffices that it is right by the input of the softmax, and normalized."""
    x = tg.tensor(SEQUENCES, requires_grad=True)
    F.ctc_loss(x, WORDS, STEPS, LENGTHS, reduction="sum").backward()
    np.testing.assert_allclose(np.asarray(x.grad).sum(axis=-1), 0, atol=1e-14)
    assert (np.asarray(x.grad) <= np.exp(SEQUENCES) + 1e-15).all()


def test_a_class_axis_in_the_middle() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    t = np.array([[0, 1, 2, 0], [2, 2, 1, 0]])
    rows = np.moveaxis(x, 1, 2).reshape(8, 3)
    np.testing.assert_allclose(F.cross_entropy(x, t), F.cross_entropy(rows, t.ravel()), rtol=1e-14)
    np.testing.assert_allclose(F.nll_loss(x, t), F.nll_loss(rows, t.ravel()), rtol=1e-14)


CONFIDENT: dict[str, Any] = {
    "binary": lambda z: F.binary_cross_entropy_with_logits(z, np.array([1.0])),
    "binary, of the other class": lambda z: F.binary_cross_entropy_with_logits(-z, np.array([0.0])),
    "binary, weighted": lambda z: F.binary_cross_entropy_with_logits(z, np.array([1.0]), pos_weight=1.0),
    "of two classes": lambda z: F.cross_entropy(np.stack([np.zeros(1), z], axis=1), np.array([1])),
    "of three classes": lambda z: F.cross_entropy(np.stack([z, 0 * z - np.log(2), 0 * z - np.log(2)], axis=1), [0]),
    "of rows, one ignored": lambda z: F.cross_entropy(np.stack([np.zeros(2), z + np.array([0, 9])], axis=1), [1, -100]),
    "soft margin": lambda z: F.soft_margin_loss(z, np.array([1.0])),
    "multilabel soft margin": lambda z: F.multilabel_soft_margin_loss(z, np.array([1.0])),
    "log_sigmoid": lambda z: -np.sum(F.logsigmoid(z)),
}


@pytest.mark.parametrize("name", CONFIDENT)
@pytest.mark.parametrize("z", [-50.0, -1.0, 0.0, 2.0, 36.5, 45.0, 300.0, 700.0])
def test_a_confident_answer_keeps_the_digits_of_its_loss(name: str, z: float) -> None:
    """log(1 + e⁻ᶻ), whose derivatives are -σ(-z) and σ(-z) σ(z), where p - 1 has no digits left."""

    def loss(x: Any) -> Any:
        return CONFIDENT[name](np.expand_dims(x, 0))

    digits = 1e-14 + abs(z) * np.finfo(float).eps  # the difference of two logits is rounded, and raised to a power
    odds = np.exp(-np.abs(z))
    right, wrong = ((1, odds) if z > 0 else (odds, 1)) / (1 + odds)
    expected = [np.logaddexp(0, -z), -wrong, wrong * right]
    for function in (loss, tg.grad(loss), tg.grad(tg.grad(loss))):
        np.testing.assert_allclose(function(z), expected.pop(0), rtol=digits)
    value, slope = tg.compile(tg.value_and_grad(loss), backend="numpy")(np.array(z))
    np.testing.assert_allclose(value, np.logaddexp(0, -z), rtol=digits)
    np.testing.assert_allclose(slope, -wrong, rtol=digits, atol=1e-16)  # a program has σ(z) - 1, as people read it


@pytest.mark.parametrize(
    ("loss", "x", "t", "value", "gradient"),
    [
        (F.binary_cross_entropy_with_logits, [-1000.0, 1000.0], [1.0, 0.0], 2000, [-1, 1]),
        (F.binary_cross_entropy_with_logits, [-1000.0, 1000.0], [0.0, 1.0], 0, [0, 0]),
        (F.binary_cross_entropy_with_logits, [30.0], [1.0], 9.357622968839299e-14, [-9.357622968838862e-14]),
        (F.binary_cross_entropy, [0.0, 1.0], [1.0, 0.0], 200, [-1e12, 1e12]),
        (F.binary_cross_entropy, [0.0, 1.0], [0.0, 1.0], 0, [0, 0]),
        (F.cross_entropy, [-1000.0, 1000.0], 0, 2000, [-1, 1]),
        (F.mse_loss, [1000.0], [-1000.0], 4e6, [4000]),
        (F.l1_loss, [1000.0], [-1000.0], 2000, [1]),
        (F.huber_loss, [1000.0], [-1000.0], 1999.5, [1]),
        (F.soft_margin_loss, [-1000.0, 1000.0], [1.0, 1.0], 1000, [-1, 0]),
        (F.multilabel_soft_margin_loss, [-1000.0, 1000.0], [1.0, 1.0], 500, [-0.5, 0]),
        (
            lambda *x, **k: F.binary_cross_entropy_with_logits(*x, pos_weight=2.0, **k),
            [-1e3, 30.0],
            [1.0, 1.0],
            2000 + 2 * 9.357622968839299e-14,
            [-2, -2 * 9.357622968838862e-14],
        ),
    ],
)
def test_losses_are_exact_and_finite_far_out(loss: Any, x: Any, t: Any, value: float, gradient: Any) -> None:
    inputs = tg.tensor(x, requires_grad=True)
    found = loss(inputs, np.array(t), reduction="sum")
    np.testing.assert_allclose(float(found), value, rtol=1e-13)
    found.backward()
    np.testing.assert_allclose(inputs.grad, gradient, rtol=1e-12, atol=1e-15)


def test_a_saturated_sigmoid_gives_its_loss_a_finite_gradient() -> None:
    z = tg.tensor([-1000.0], requires_grad=True)
    F.binary_cross_entropy(F.sigmoid(z), np.array([1.0])).backward()
    assert np.isfinite(z.grad.numpy()).all()


ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "mse shapes": (lambda: F.mse_loss(np.ones((3, 1)), np.ones(3)), ShapeError, r"\(3, 1\).*\(3,\)"),
    "logits shapes": (lambda: F.binary_cross_entropy_with_logits(np.ones((3, 1)), np.ones(3)), ShapeError, "broadcast"),
    "label above": (lambda: F.cross_entropy(Z, np.array([0, 3])), InputError, "0 … 2, got 3"),
    "logits of an operation": (
        lambda: operation("binary_cross_entropy_with_logits")(0.5, np.ones((2, 3)), reduction="mean"),
        ShapeError,
        r"shape \(\) and targets of shape \(2, 3\)",
    ),
    "label below": (lambda: F.nll_loss(Z, np.array([0, -1])), InputError, "0 … 2, got -1"),
    "label dtype": (lambda: F.cross_entropy(Z, np.array([0.0, 1.0])), UsageError, "float64.*astype"),
    "label shape": (lambda: F.cross_entropy(Z, np.array([0, 1, 2])), ShapeError, r"shape \(2,\), got \(3,\)"),
    "labels of steps": (
        lambda: F.cross_entropy(np.ones((2, 4, 3)), np.ones((2, 4), int)),
        ShapeError,
        "write np.moveaxis",
    ),
    "labels in a column": (lambda: F.nll_loss(X, LABELS[:, None]), ShapeError, r"write target\[..., 0\]"),
    "rows of 0 and 1": (lambda: F.cross_entropy(X, np.eye(3, dtype=int)[LABELS]), ShapeError, "write target.astype"),
    "no classes": (lambda: F.cross_entropy(np.array(1.0), np.array(0)), ShapeError, "axis of classes"),
    "probability": (lambda: nn.BCELoss()(np.array([1.5]), np.array([1.0])), InputError, r"\[0, 1\], got 1\.5.*sigmoid"),
    "probability nan": (lambda: nn.BCELoss()(np.array([np.nan]), np.array([1.0])), InputError, "got nan"),
    "target": (lambda: nn.BCELoss()(np.array([0.5]), np.array([2.0])), InputError, "targets.*got 2"),
    "reduction": (lambda: nn.MSELoss("average"), InputError, "'mean', 'sum' or 'none', got 'average'"),
    "function's reduction": (lambda: F.mse_loss(X, X, "average"), InputError, "'average'"),
    "delta": (lambda: nn.HuberLoss(delta=0), InputError, "positive, got 0"),
    "smoothing": (lambda: F.cross_entropy(X, LABELS, label_smoothing=2), InputError, "got 2"),
    "class weights": (lambda: F.cross_entropy(X, LABELS, W[:2]), ShapeError, r"each of 3 classes.*\(2,\)"),
    "entry weights": (lambda: F.mse_loss(X, T, weight=W), ShapeError, r"\(3,\).*\(2, 3\)"),
    "batchmean": (lambda: nn.MSELoss("batchmean"), InputError, "batchmean"),
    "kl": (lambda: nn.KLDivLoss("average"), InputError, "'batchmean', got 'average'"),
    "beta": (lambda: F.smooth_l1_loss(X, T, beta=-1), InputError, "beta must be positive"),
    "eps": (lambda: nn.GaussianNLLLoss(eps=0), InputError, "eps"),
    "variance": (lambda: F.gaussian_nll_loss(X, T, -P), InputError, "negative, got -0.5"),
    "shape of a variance": (lambda: F.gaussian_nll_loss(X, T, np.ones(4)), ShapeError, r"\(2, 3\).*\(4,\)"),
    "multi margin p": (lambda: nn.MultiMarginLoss(3)(X, LABELS), InputError, "got 3"),
    "multi margin axes": (lambda: F.multi_margin_loss(DEEP, DEEP_LABELS), ShapeError, r"\(2, 3, 4\)"),
    "multi margin label": (lambda: F.multi_margin_loss(X, np.array([0, -1])), InputError, "got -1"),
    "multilabel shape": (lambda: F.multilabel_margin_loss(X, LABELS), ShapeError, r"\(2, 3\), \(2,\)"),
    "multilabel label": (lambda: F.multilabel_margin_loss(X[0], np.array([0, 3, 1])), InputError, "below 3, got 3"),
    "multilabel dtype": (lambda: F.multilabel_margin_loss(X, T), UsageError, "astype"),
    "ranking": (lambda: F.margin_ranking_loss(X, T, SIGNS[0]), ShapeError, r"\(3,\)"),
    "hinge of labels": (
        lambda: F.hinge_embedding_loss(X[0], np.array([1, 0, 1])),
        InputError,
        r"1 and -1, got 0.0: .* write",
    ),
    "cosine of booleans": (lambda: F.cosine_embedding_loss(X, T, X[:, 0] > 9), InputError, "1 and -1, got False"),
    "cosine": (lambda: F.cosine_embedding_loss(X, T, np.ones(3)), ShapeError, r"\(2, 3\) and \(3,\)"),
    "triplet": (lambda: F.triplet_margin_loss(X, T, X[0]), ShapeError, r"\(3,\)"),
    "triplet margin": (lambda: nn.TripletMarginLoss(0.0), InputError, "margin must be positive, got 0"),
    "ctc axes": (lambda: F.ctc_loss(X[0], LABELS, 1, 1), ShapeError, r"\(3,\)"),
    "ctc blank": (lambda: nn.CTCLoss(3)(SEQUENCES, WORDS, STEPS, LENGTHS), InputError, "0 … 2, got 3"),
    "ctc steps": (lambda: F.ctc_loss(SEQUENCES, WORDS, (4, 5, 4), LENGTHS), InputError, "in 0 … 4, got 5"),
    "ctc lengths": (lambda: F.ctc_loss(SEQUENCES, WORDS, STEPS, (1, 2)), ShapeError, r"3 sequences, got \[1 2\]"),
    "ctc targets": (lambda: F.ctc_loss(SEQUENCES, FLAT[:4], STEPS, LENGTHS), ShapeError, r"\(4,\).*\[3 1 2\]"),
    "ctc mask": (
        lambda: F.ctc_loss(SEQUENCES, np.ma.masked_equal(WORDS, 1), STEPS, LENGTHS),
        UsageError,
        r"ctc_loss: MaskedArray .* x.filled\(value\)",
    ),
    "ctc label": (lambda: F.ctc_loss(SEQUENCES, WORDS, STEPS, (3, 1, 3)), InputError, "got 9"),
}


VECTORS = (np.zeros((2, 3)), np.zeros((2, 3)))
# wrong shapes and labels, by what a loss takes
MISTAKES: dict[tuple[str, ...], list[tuple[Any, ...]]] = {
    OF_ENTRIES: [(Z, Z[0]), (Z, Z[:, :2]), (Z, WHOLE[0])],
    ("cross_entropy", "nll_loss", "multi_margin_loss"): [
        (Z, LABELS[:1]), (Z, np.array([0, 7])), (Z, np.array([0, -7])), (Z, Z[:, 0]), (Z, LABELS, W[:2]),
    ],
    ("multilabel_margin_loss",): [(Z, LABELS), (Z, 7 * WHOLE), (Z, Z)],
    ("margin_ranking_loss",): [(*VECTORS, LABELS), (Z, Z[0], LABELS)],
    ("cosine_embedding_loss",): [(*VECTORS, np.ones(3)), (Z, Z[0], LABELS)],
    ("triplet_margin_loss", "triplet_margin_with_distance_loss"): [(*VECTORS, Z[0]), (*VECTORS, Z[:, :2])],
    ("gaussian_nll_loss",): [(Z, Z[:, :2], Z), (Z, np.zeros((4, 2, 3)), Z), (Z, Z, np.ones(4)), (Z, Z, Z - 1)],
    ("ctc_loss",): [
        (SEQUENCES, WORDS, STEPS, (3, 1, 3)), (SEQUENCES, WORDS, STEPS, (1, 2)), (SEQUENCES, FLAT[:4], STEPS, LENGTHS),
        (SEQUENCES, WORDS, (4, 5, 4), LENGTHS), (SEQUENCES, WORDS, STEPS, (3, 1, 9)), (X[0], LABELS, 1, 1),
    ],
    ("pairwise_distance", "cosine_similarity"): [(Z, Z[:, :2]), (np.zeros(4), Z)],
    ("linear",): [(Z, np.zeros((4, 2))), (Z, np.zeros((4, 3)), np.zeros(3)), (np.array(1.0), Z)],
    ("pdist",): [(DEEP,)],
    ("bilinear",): [(Z, Z, np.zeros((4, 3, 2)))],
}  # fmt: skip


@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize(
    ("name", "arguments"), [(name, x) for names, calls in MISTAKES.items() for name in names for x in calls]
)
def test_an_error_names_the_function(name: str, arguments: Any, as_tensor: bool) -> None:
    x = tg.tensor(arguments[0], requires_grad=True) if as_tensor else arguments[0]
    if name == "multi_margin_loss" and len(arguments) == 3:
        arguments = (*arguments[:2], 1, 1.0, arguments[2])
    with pytest.raises((ShapeError, InputError, UsageError), match=f"^{name}"):
        getattr(F, name)(x, *arguments[1:])


@pytest.mark.parametrize(("attempt", "kind", "message"), ERRORS.values(), ids=list(ERRORS))
def test_errors(attempt: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt()


BY_NUMBERS: dict[str, Any] = {
    "cross_entropy": lambda x, t: F.cross_entropy(x, t, weight=WEIGHT),
    "cross_entropy, options": lambda x, t: F.cross_entropy(x, t, [*WEIGHT], ignore_index=2, label_smoothing=0.1),
    "nll_loss": lambda x, t: F.nll_loss(x, t, weight=WEIGHT, reduction="none"),
    "multi_margin_loss": lambda x, t: F.multi_margin_loss(x, t, weight=WEIGHT),
    "embedding": lambda x, t: x[:, :2] * F.embedding(t, TABLE, padding_idx=1),
    "embedding_bag": lambda x, t: x[:2, :2] * F.embedding_bag(t, TABLE, np.array([0, 2]), mode="max"),
}
WEIGHT, TABLE = np.array([1.0, 0.5, 2.0]), np.arange(6.0).reshape(3, 2)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_compiled_function_reads_plain_arrays_by_its_arguments(backend: Any) -> None:
    def f(x: Any, t: Any) -> Any:
        return [function(x, t) for function in BY_NUMBERS.values()]

    compiled, rng = tg.compile(f, backend=backend), np.random.default_rng(0)
    for _ in range(3):
        x, t = tg.tensor(rng.normal(size=(5, 3)), requires_grad=True), rng.integers(0, 3, 5)
        for found, expected in zip(compiled(x, t), f(x, t), strict=True):
            np.testing.assert_allclose(found.detach(), expected.detach(), rtol=1e-12)


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("loss", [F.cross_entropy, F.nll_loss])
def test_the_mean_of_no_rows_is_nan_and_has_no_gradient(loss: Any) -> None:
    x = tg.tensor([[0.5, -1.0], [2.0, 0.0]], requires_grad=True)
    y = loss(x, np.array([1, 1]), ignore_index=1)
    y.backward()
    assert np.isnan(y.numpy())
    np.testing.assert_array_equal(x.grad, 0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_kl_div_of_the_smallest_probabilities_has_a_finite_gradient(dtype: Any) -> None:
    """As log t + 1 - x, and not as t times 1 / t, which is infinite."""
    smallest = np.finfo(dtype).smallest_subnormal
    t = tg.tensor(np.array([smallest, 3 * smallest, np.finfo(dtype).tiny, 0.5, 1.0], dtype), requires_grad=True)
    x = np.log(np.full(5, 0.2, dtype))
    F.kl_div(x, t, "sum").backward()
    np.testing.assert_allclose(
        t.grad.numpy(), np.log(t.numpy().astype(np.longdouble)) + 1 - x, rtol=4 * np.finfo(dtype).eps
    )
    at_zero = tg.grad(lambda t: F.kl_div(x[0], t, "sum"))(dtype(0))
    assert (at_zero.dtype, at_zero) == (np.dtype(dtype), -x[0])
