"""Embeddings: their formulas, their options, gradients, compiled steps, and bad input."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.marks import param
from tinygrad_lite import nn
from tinygrad_lite.errors import InputError, ShapeError, TinygradError, UsageError
from tinygrad_lite.nn import functional as F

TABLE = np.random.default_rng(0).normal(size=(5, 3))
NUMBERS = np.array([4, 0, 0, 2, 1, 4, 4])


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0, 3)])
def test_an_embedding_reads_rows(shape: tuple[int, ...]) -> None:
    numbers = np.random.default_rng(1).integers(5, size=shape)
    layer = nn.Embedding(5, 3, rng=0)
    np.testing.assert_array_equal(layer(numbers).numpy(), layer.weight.numpy()[numbers])
    np.testing.assert_array_equal(layer(tg.tensor(numbers)).numpy(), layer.weight.numpy()[numbers])
    np.testing.assert_array_equal(F.embedding(numbers, TABLE), TABLE[numbers])
    tg.gradcheck(lambda table: F.embedding(numbers, table), TABLE, order=2)


@pytest.mark.parametrize("padding", [None, 4, -5])
@pytest.mark.parametrize("by_frequency", [False, True])
def test_options_change_the_gradient_of_a_row(padding: int | None, by_frequency: bool) -> None:
    layer = nn.Embedding(5, 3, padding_idx=padding, scale_grad_by_freq=by_frequency, rng=0)
    y = layer(NUMBERS)
    g = np.random.default_rng(2).normal(size=y.shape)
    y.backward(g)
    for row in range(5):
        places = row == NUMBERS
        expected = g[places].sum(axis=0) / (max(places.sum(), 1) if by_frequency else 1)
        if padding is not None and row == padding % 5:
            expected = 0 * expected
            np.testing.assert_array_equal(layer.weight.numpy()[row], 0)
        np.testing.assert_allclose(layer.weight.grad.numpy()[row], expected, rtol=1e-14)


@pytest.mark.parametrize("order", [1.0, 2.0])
def test_rows_that_are_read_get_no_longer_than_max_norm(order: float) -> None:
    layer = nn.Embedding(5, 3, max_norm=0.5, norm_type=order, rng=0)
    before = layer.weight.numpy()
    y = layer(np.array([1, 1, 2])).numpy()
    np.testing.assert_array_equal(layer.weight.numpy()[[0, 3, 4]], before[[0, 3, 4]])
    np.testing.assert_array_equal(y, layer.weight.numpy()[[1, 1, 2]])
    assert (np.linalg.norm(y, order, axis=1) <= 0.5).all()


def bag(numbers: Any, weights: Any, mode: str, padding: int | None) -> Any:
    kept = [i for i in range(len(numbers)) if padding is None or numbers[i] != padding % 5]
    rows = np.array([TABLE[numbers[i]] * weights[i] for i in kept]).reshape(-1, 3)
    return getattr(rows, mode)(axis=0) if len(rows) else np.zeros(3)


@pytest.mark.long
@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding", [None, -1])
@pytest.mark.parametrize("offsets", [None, [0, 2, 2], [0, 7], [0, 5, 7]])
def test_a_bag_is_reduced(mode: str, padding: int | None, offsets: Any) -> None:
    numbers = NUMBERS[:6].reshape(2, 3) if offsets is None else NUMBERS
    bags = np.split(numbers, offsets[1:]) if offsets else list(numbers)
    expected = [bag(x, np.ones(7), mode, padding) for x in bags]
    layer = nn.EmbeddingBag(5, 3, mode=mode, padding_idx=padding, rng=0)
    layer.weight.replace(TABLE.copy())
    np.testing.assert_allclose(layer(numbers, offsets).numpy(), expected, rtol=1e-14)
    if offsets:
        layer.include_last_offset = True
        np.testing.assert_allclose(layer(numbers, [*offsets, 7]).numpy(), expected, rtol=1e-14)
    settings: dict[str, Any] = {"mode": mode, "padding_idx": padding}
    tg.gradcheck(lambda table: F.embedding_bag(numbers, table, offsets, **settings), TABLE, order=2)


def test_a_sum_may_be_weighted() -> None:
    weights, offsets = np.random.default_rng(3).normal(size=7), np.array([0, 2, 5])
    parts = zip(np.split(NUMBERS, offsets[1:]), np.split(weights, offsets[1:]))

    def f(table: Any, weights: Any) -> Any:
        return F.embedding_bag(NUMBERS, table, offsets, mode="sum", per_sample_weights=weights, padding_idx=0)

    np.testing.assert_allclose(f(TABLE, weights), [bag(x, w, "sum", 0) for x, w in parts], rtol=1e-14)
    tg.gradcheck(f, TABLE, weights, order=2)


def test_pretrained_rows_are_frozen_unless_asked_for() -> None:
    for kind in (nn.Embedding, nn.EmbeddingBag):
        layer = kind.from_pretrained(TABLE, padding_idx=1)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(layer.weight.numpy(), TABLE)
        assert not layer.weight.requires_grad
        assert layer.padding_idx == 1
        assert kind.from_pretrained(TABLE, freeze=False).weight.requires_grad  # type: ignore[attr-defined]


def test_one_hot() -> None:
    np.testing.assert_array_equal(F.one_hot(np.array([[2], [0]])), np.eye(3, dtype=int)[[[2], [0]]])
    assert F.one_hot(np.array(1), 4).tolist() == [0, 1, 0, 0]
    assert F.one_hot(np.array([], int), 4).shape == (0, 4)


@pytest.mark.parametrize("backend", ["numpy", param("native", slow=True)])
@pytest.mark.parametrize("options", [{}, {"padding_idx": 1, "scale_grad_by_freq": True}, {"max_norm": 0.7}], ids=str)
def test_a_compiled_step(backend: Any, options: Any) -> None:
    def weights(compiled: bool) -> Any:
        layer, bags = nn.Embedding(5, 3, rng=0, **options), nn.EmbeddingBag(5, 3, rng=1, **options)
        optimizer = tg.optim.SGD([*layer.parameters(), *bags.parameters()], lr=0.1)

        def step(numbers: Any, offsets: Any) -> None:
            optimizer.zero_grad()
            in_parts = np.mean(bags(np.ravel(numbers), offsets))
            (np.mean(np.sum(layer(numbers), axis=1) * bags(numbers)) + in_parts).backward()
            optimizer.step()

        run = tg.compile(step, backend=backend) if compiled else step
        for i in range(3):
            run(np.random.default_rng(i).integers(5, size=(4, 3)), np.array([0, 2 + i, 5]))
        return layer.weight.numpy(), bags.weight.numpy()

    for found, expected in zip(weights(True), weights(False)):
        np.testing.assert_allclose(found, expected, rtol=1e-12)


ERRORS: dict[str, tuple[Callable[[], Any], type[TinygradError], str]] = {
    "above": (lambda: nn.Embedding(5, 3)(np.array([5])), InputError, "0 … 4, got 5"),
    "below": (lambda: nn.Embedding(5, 3)(np.array([-1])), InputError, "0 … 4, got -1"),
    "no integers": (lambda: nn.Embedding(5, 3)(np.array([1.0])), UsageError, "float64.*astype"),
    "weight": (lambda: F.embedding(NUMBERS, np.ones(5)), ShapeError, r"\(numbers, features\), got \(5,\)"),
    "sizes": (lambda: nn.Embedding(2.5, 3), InputError, "whole number.*2.5"),  # type: ignore[arg-type]
    "padding": (lambda: nn.Embedding(5, 3, padding_idx=5), InputError, "5 rows, got 5"),
    "max_norm": (lambda: F.embedding(NUMBERS, TABLE, max_norm=1.0), UsageError, "a tensor"),
    "pretrained": (lambda: nn.Embedding.from_pretrained(np.ones(3)), ShapeError, r"got \(3,\)"),
    "mode": (lambda: F.embedding_bag(NUMBERS, TABLE, [0], mode="min"), InputError, "'min'"),
    "no offsets": (lambda: F.embedding_bag(NUMBERS, TABLE), ShapeError, "offsets None"),
    "offsets": (lambda: F.embedding_bag(NUMBERS, TABLE, [1, 2]), InputError, r"increase from 0 to at most 7"),
    "both": (lambda: F.embedding_bag(NUMBERS.reshape(1, 7), TABLE, [0]), ShapeError, r"\(1, 7\)"),
    "weights": (
        lambda: F.embedding_bag(NUMBERS, TABLE, [0], per_sample_weights=np.ones(7)),
        UsageError,
        "mode='sum'.*'mean'",
    ),
    "classes": (lambda: F.one_hot(np.array([3]), 3), InputError, "0 … 2, got 3"),
    "no labels": (lambda: F.one_hot(np.array([], int)), InputError, "pass num_classes"),
    **{
        f"mask in {f.__name__}": (
            lambda f=f: f(np.ma.masked_equal([2, 1], 1), np.ones((3, 2))),
            UsageError,
            f"{f.__name__}: MaskedArray .* pass the plain array",
        )
        for f in (F.embedding, F.embedding_bag)
    },
}


@pytest.mark.parametrize(("attempt", "kind", "message"), ERRORS.values(), ids=list(ERRORS))
def test_errors(attempt: Callable[[], Any], kind: type[TinygradError], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt()
