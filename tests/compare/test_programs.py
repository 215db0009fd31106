"""The programs that `python -m benchmarks.programs` times: PyTorch and JAX have the same results."""

from dataclasses import replace

import numpy as np
import pytest

pytestmark = pytest.mark.compare
pytest.importorskip("torch", reason="PyTorch comes with the extra `compare`")
jax = pytest.importorskip("jax", reason="JAX comes with the extra `compare`")

from benchmarks.programs.contest import PROGRAMS, made  # noqa: E402
from benchmarks.programs.table import check_agreement  # noqa: E402


@pytest.mark.parametrize("name", PROGRAMS)
def test_values_and_gradients_agree(name: str) -> None:
    with jax.enable_x64(True):
        contest = replace(made(name), dtype=np.float64)
        check_agreement(contest, contest.steps())
