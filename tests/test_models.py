"""The models that `python -m benchmarks.models` times: the same losses eagerly, compiled, and in PyTorch."""

import numpy as np
import pytest

import tinygrad_lite as tg
from benchmarks.models import MODELS, losses, ours, pytorchs
from tests.marks import spread


@pytest.mark.long
@pytest.mark.parametrize("name", spread(MODELS, 0))
def test_the_compiled_step_has_the_same_losses(name: str) -> None:
    eager = losses(ours(name))
    assert len(set(eager)) == len(eager)
    np.testing.assert_allclose(losses(tg.compile(ours(name), "native")), eager, rtol=1e-5)


@pytest.mark.compare
@pytest.mark.parametrize("name", MODELS)
def test_pytorch_has_the_same_losses(name: str) -> None:
    np.testing.assert_allclose(losses(ours(name)), losses(pytorchs(name)), rtol=1e-5)
