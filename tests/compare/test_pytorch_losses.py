"""Losses against PyTorch's, with their options, weights as state, and every reduction."""

from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.compare.modules import agree

pytestmark = [pytest.mark.compare, pytest.mark.filterwarnings("ignore:reduction. .mean. divides")]
torch = pytest.importorskip("torch", reason="PyTorch comes with the extra `compare`")

RNG = np.random.default_rng(0)
X, Y, V = RNG.normal(size=(3, 6, 4))
P, T = RNG.random((2, 6, 4))
SIGNS = np.sign(RNG.normal(size=(6, 4)))
LABELS = np.array([0, 3, 2, 1, 1, 0])
SOME = np.array([0, -100, 2, 1, -100, 0])
DEEP, DEEP_LABELS = RNG.normal(size=(2, 4, 3, 2)), RNG.integers(0, 4, (2, 3, 2))
LOG_P = X - np.log(np.exp(X).sum(axis=1, keepdims=True))
DEEP_LOG_P = DEEP - np.log(np.exp(DEEP).sum(axis=1, keepdims=True))
W = np.array([0.5, 1.0, 2.0, 0.1])
SEQUENCES = RNG.normal(size=(7, 3, 4))
SEQUENCES -= np.log(np.exp(SEQUENCES).sum(axis=2, keepdims=True))
WORDS, FLAT = np.array([[1, 1, 2], [2, 1, 3], [3, 2, 1]]), np.array([1, 1, 2, 3, 3, 2])

TABLE: list[tuple[str, dict[str, Any], tuple[Any, ...]]] = [
    ("MSELoss", {}, (X, Y)),
    ("MSELoss", {}, (X[0], Y[0])),
    ("MSELoss", {}, (DEEP, DEEP[::-1])),
    ("L1Loss", {}, (X, Y)),
    ("L1Loss", {}, (np.round(X), np.round(Y))),
    ("L1Loss", {}, (DEEP, DEEP[::-1])),
    ("HuberLoss", {}, (X, Y)),
    ("HuberLoss", {"delta": 0.3}, (X, Y)),
    ("HuberLoss", {"delta": 1.0}, (np.round(X), np.round(Y))),
    ("SmoothL1Loss", {}, (X, Y)),
    ("SmoothL1Loss", {"beta": 0.3}, (X, Y)),
    ("SmoothL1Loss", {"beta": 0.0}, (X, Y)),
    ("KLDivLoss", {}, (LOG_P, T)),
    ("KLDivLoss", {"log_target": True}, (LOG_P, Y)),
    ("KLDivLoss", {}, (LOG_P[0], T[0])),
    ("PoissonNLLLoss", {}, (X, 3 * T)),
    ("PoissonNLLLoss", {"full": True}, (X, 3 * T)),
    ("PoissonNLLLoss", {"log_input": False, "eps": 0.1}, (P, T)),
    ("GaussianNLLLoss", {}, (X, Y, P)),
    ("GaussianNLLLoss", {"full": True}, (X, Y, P[:, 0])),
    ("GaussianNLLLoss", {"eps": 0.5}, (X, Y, P[:1])),
    ("GaussianNLLLoss", {}, (X, Y, 0.7)),
    ("BCELoss", {}, (P, T)),
    ("BCELoss", {"weight": W}, (P, T)),
    ("BCELoss", {}, (P[0], np.round(T[0]))),
    ("BCEWithLogitsLoss", {}, (X, T)),
    ("BCEWithLogitsLoss", {"weight": W}, (X, T)),
    ("BCEWithLogitsLoss", {"pos_weight": W}, (30 * X, T)),
    ("BCEWithLogitsLoss", {"weight": T, "pos_weight": W}, (X, np.round(T))),
    ("CrossEntropyLoss", {}, (X, LABELS)),
    ("CrossEntropyLoss", {}, (X, SOME)),
    ("CrossEntropyLoss", {"weight": W, "ignore_index": 1, "label_smoothing": 0.1}, (X, LABELS)),
    ("CrossEntropyLoss", {"weight": W, "label_smoothing": 0.3}, (DEEP, DEEP_LABELS)),
    ("CrossEntropyLoss", {"ignore_index": 2}, (DEEP, DEEP_LABELS)),
    ("CrossEntropyLoss", {"weight": W, "label_smoothing": 0.1}, (X, T)),
    ("CrossEntropyLoss", {}, (DEEP, np.abs(DEEP[::-1]))),
    ("CrossEntropyLoss", {"weight": W}, (X[0], np.array(3))),
    ("NLLLoss", {}, (LOG_P, LABELS)),
    ("NLLLoss", {"weight": W}, (LOG_P, SOME)),
    ("NLLLoss", {"weight": W, "ignore_index": 3}, (DEEP_LOG_P, DEEP_LABELS)),
    ("NLLLoss", {}, (LOG_P[0], np.array(3))),
    ("MultiMarginLoss", {}, (X, LABELS)),
    ("MultiMarginLoss", {"p": 2, "margin": 0.5, "weight": W}, (X, LABELS)),
    ("MultiMarginLoss", {"weight": W}, (X[0], np.array(2))),
    ("MultiLabelMarginLoss", {}, (X, RNG.integers(-1, 4, (6, 4)))),
    ("MultiLabelMarginLoss", {}, (X[0], np.array([3, 0, -1, 1]))),
    ("MultiLabelMarginLoss", {}, (X[1], np.array([-1, 0, 1, 2]))),
    ("MultiLabelSoftMarginLoss", {}, (X, np.round(T))),
    ("MultiLabelSoftMarginLoss", {"weight": W}, (X, T)),
    ("MultiLabelSoftMarginLoss", {}, (X[0], np.round(T[0]))),
    ("SoftMarginLoss", {}, (X, SIGNS)),
    ("SoftMarginLoss", {}, (X[0], SIGNS[0])),
    ("SoftMarginLoss", {}, (DEEP, np.sign(DEEP[::-1]))),
    ("HingeEmbeddingLoss", {}, (X, SIGNS)),
    ("HingeEmbeddingLoss", {"margin": 0.3}, (X, SIGNS)),
    ("HingeEmbeddingLoss", {}, (np.round(X), SIGNS)),
    ("MarginRankingLoss", {}, (X, Y, SIGNS)),
    ("MarginRankingLoss", {"margin": 0.5}, (X, Y, SIGNS)),
    ("MarginRankingLoss", {"margin": 1.0}, (np.round(X), np.round(Y), SIGNS)),
    ("CosineEmbeddingLoss", {}, (X, Y, np.array([1, -1, 1, -1, -1, 1]))),
    ("CosineEmbeddingLoss", {"margin": -0.5}, (X, Y, np.array([1, -1, 1, -1, -1, 1]))),
    ("CosineEmbeddingLoss", {}, (X[0], Y[0], np.array(-1))),
    ("TripletMarginLoss", {}, (X, Y, V)),
    ("TripletMarginLoss", {"margin": 0.5, "p": 1, "swap": True}, (X, Y, V)),
    ("TripletMarginLoss", {"p": 3.0, "eps": 0.1}, (X[0], Y[0], V[0])),
    ("TripletMarginWithDistanceLoss", {}, (X, Y, V)),
    ("TripletMarginWithDistanceLoss", {"margin": 3.0, "swap": True}, (X, Y, V)),
    (
        "TripletMarginWithDistanceLoss",
        {"distance_function": lambda a, b: ((a - b) ** 2).sum(-1), "margin": 3.0},
        (X, Y, V),
    ),
    ("CTCLoss", {}, (SEQUENCES, WORDS, (7, 5, 6), (3, 1, 2))),
    ("CTCLoss", {}, (SEQUENCES, FLAT, np.array([7, 5, 6]), np.array([3, 1, 2]))),
    ("CTCLoss", {"blank": 3, "zero_infinity": True}, (SEQUENCES, WORDS % 3, (7, 2, 6), (3, 3, 0))),
    ("CTCLoss", {}, (SEQUENCES[:, 0], WORDS[0], np.array(7), np.array(3))),
]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("name", "settings", "inputs"), TABLE)
def test_losses(name: str, settings: dict[str, Any], inputs: tuple[Any, ...], reduction: str) -> None:
    agree(name, {**settings, "reduction": reduction}, inputs)


def test_the_mean_of_a_batch() -> None:
    agree("KLDivLoss", {"reduction": "batchmean"}, (LOG_P, T))


# of these, PyTorch returns what is in memory
_UNDEFINED = {"CTCLoss", "MultiMarginLoss", "MultiLabelMarginLoss"}
_OF_ROWS = [row for row in TABLE if row[0] not in _UNDEFINED and all(np.ndim(x) and len(x) == 6 for x in row[2])]


@pytest.mark.filterwarnings("ignore:(Mean of empty slice|invalid value encountered):RuntimeWarning")
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("name", "settings", "inputs"), _OF_ROWS)
def test_a_batch_without_rows(name: str, settings: dict[str, Any], inputs: tuple[Any, ...], reduction: str) -> None:
    empty = [x[:0] for x in inputs]
    settings = {**settings, "reduction": reduction}
    settings = {k: v[:0] if np.shape(v) == np.shape(inputs[0]) else v for k, v in settings.items()}
    of_torch = {k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in settings.items()}
    theirs = getattr(torch.nn, name)(**of_torch)(*map(torch.tensor, empty)).numpy()
    np.testing.assert_array_equal(np.asarray(getattr(tg.nn, name)(**settings)(*empty)), theirs)
