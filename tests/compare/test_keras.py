"""The heart-disease example's Keras row, with Keras installed."""

import os
from typing import Any

import pytest

from tests.examples.test_heart_disease import example

pytestmark = pytest.mark.compare
os.environ.setdefault("KERAS_BACKEND", "torch")  # before Keras is imported, which else looks for TensorFlow
pytest.importorskip("keras", reason="Keras comes with the extra `compare`")

__all__ = ["example"]


# of Keras's, when it asks PyTorch for an array
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_keras_is_measured_over_several_seeds(example: Any) -> None:
    row = example.keras(*example.split())
    assert row["seeds"] == 5
    assert row["last_loss"] < row["first_loss"]
    assert 0.5 < row["test_accuracy"] < 1
    assert row["test_accuracy_std"] > 0
