"""The models of the gallery: each script runs, draws its picture, and reaches what its page says."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.marks import spread

SCRIPTS = Path(__file__).parents[2] / "examples" / "gallery" / "models"

# The arguments with which a script takes a moment, and what its full run must return
MODELS: dict[str, tuple[dict[str, Any], Callable[[Any], bool]]] = {
    "addition": ({"rounds": 1, "held_out": 50}, lambda exact: exact > 0.99),
    "burgers": ({"rounds": 1}, lambda error: error < 0.02),
    "character_lstm": ({"steps": 2}, lambda by_heart: by_heart),
    "convolutional_network": ({"epochs": 1}, lambda accuracy: accuracy >= 0.98),
    "gaussian_process": (
        {"points": 3},
        lambda found: np.allclose(found["by_laplace"], found["on_the_grid"], atol=0.05),
    ),
    "graph_network": ({"steps": 2}, lambda wrong: wrong == [8]),
    "normalizing_flow": (
        {"epochs": 1},
        lambda found: found["best"] - 0.1 < found["reached"] <= found["best"] and abs(found["total"] - 1) < 1e-3,
    ),
    "variational_autoencoder": ({"epochs": 1}, lambda found: found["bound"] > found["independent"] + 80),
}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("matplotlib", "sklearn"):
        pytest.importorskip(library, reason="comes with the extra `examples`")
    monkeypatch.chdir(tmp_path)  # where the pictures go


def run(name: str, **arguments: Any) -> Any:
    result = runpy.run_path(str(SCRIPTS / f"{name}.py"))["main"](**arguments)
    assert Path(f"{name}.png").read_bytes().startswith(b"\x89PNG")
    return result


def test_every_script_is_here() -> None:
    assert sorted(MODELS) == sorted(path.stem for path in SCRIPTS.glob("*.py"))


@pytest.mark.long
@pytest.mark.parametrize("name", spread(MODELS, 0))
def test_a_gallery_model_runs_without_making_a_nan(name: str) -> None:
    with tg.detect_anomaly():  # under which compiled functions run eagerly: nothing waits for a compiler
        run(name, **MODELS[name][0])


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_gallery_model_reaches_what_its_page_says(name: str) -> None:
    assert MODELS[name][1](run(name))
