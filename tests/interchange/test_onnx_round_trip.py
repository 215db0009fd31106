"""What `tg.export_onnx` writes comes back by `tg.from_onnx`: every operation of the registry, models and gradients."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from benchmarks.onnx_coverage import DIGITS, arguments, distance, examples_of, run, with_gradients
from tests.marks import param
from tinygrad_lite import nn
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import operations
from tinygrad_lite.errors import UsageError
from tinygrad_lite.interchange.onnx_out.reasons import REASONS
from tinygrad_lite.interchange.onnx_out.written_file import model
from tinygrad_lite.interchange.onnx_out.written_program import written

OURS = [op for op in operations() if op.module.startswith("tinygrad_lite.")]


def arrays_of(results: Any) -> list[Any]:
    listed = results if isinstance(results, (tuple, list)) else (results,)
    return [np.asarray(x.numpy() if isinstance(x, tg.Tensor) else x) for x in listed]


@pytest.mark.long
@pytest.mark.parametrize("op", [param(op, slow=k % 12 > 0) for k, op in enumerate(OURS)], ids=str)
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_every_operation_that_a_file_can_hold_comes_back_with_its_gradients(op: Op) -> None:
    arrays, params = arguments(op, examples_of(op)[0], np.float64)
    f = with_gradients(op, arrays, params)
    try:
        made = written(f, arrays)
    except UsageError:
        assert op.name in REASONS or op.forward in REASONS
        f = partial(op, **params)  # of which a file may hold the value alone
        try:
            made = written(f, arrays)
        except UsageError:
            return
    dims = {name: list(x.shape) for name, x in {**made.inputs, **made.results}.items()}
    if op.name == "bfloat16":  # a type that NumPy does not have
        with pytest.raises(UsageError, match="NumPy does not calculate with the type bfloat16"):
            tg.from_onnx(model(made, dims))
        return
    results = tg.from_onnx(model(made, dims))(*arrays[: len(made.inputs)])
    # the signs of singular vectors are free, and the file's are not NumPy's
    expected = run(f, arrays) if op.name == "svd" else arrays_of(f(*arrays))
    for result, value in zip(arrays_of(results), expected, strict=True):
        assert (result.dtype, result.shape) == (value.dtype, value.shape)
        is_equal = distance(result, value) <= DIGITS["float64"] if value.dtype.kind == "f" else result == value
        assert np.all(is_equal)


RNG = np.random.default_rng(0)
MODELS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "perceptron": (
        nn.Sequential(nn.Linear(4, 8, rng=0), nn.Tanh(), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 2, rng=1)),
        (3, 4),
    ),
    "convolutions": (
        nn.Sequential(
            *(nn.Conv2d(2, 4, 3, padding=1, rng=0), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
            nn.Linear(16, 3, rng=1),
        ),
        (3, 2, 4, 4),
    ),
    "transformer": (nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, rng=0), (3, 5, 8)),
}


@pytest.mark.long
@pytest.mark.parametrize("name", MODELS)
def test_models_come_back_with_their_parameters_and_gradients(name: str, tmp_path: Path) -> None:
    network, shape = MODELS[name]
    network = network.double().eval()
    x = RNG.normal(size=shape)
    tg.export_onnx(network, x, path=tmp_path / "model.onnx", batch_axis=0)
    back = tg.from_onnx(tmp_path / "model.onnx")
    assert dict(back.named_parameters()).keys() == dict(network.named_parameters()).keys()
    more = np.concatenate([x, x + 1])
    np.testing.assert_allclose(back(more).numpy(), network(more).numpy(), rtol=1e-9, atol=1e-12)
    ours, theirs = (tg.grad(lambda m: np.sum(m(x) ** 2))(m) for m in (back, network))
    for key in theirs:
        np.testing.assert_allclose(ours[key].numpy(), theirs[key].numpy(), rtol=1e-8, atol=1e-10)

    tg.export_onnx(back, x, path=tmp_path / "again.onnx")
    again = tg.from_onnx(tmp_path / "again.onnx")
    np.testing.assert_allclose(again(x).numpy(), network(x).numpy(), rtol=1e-9, atol=1e-12)


def test_a_training_step_comes_back(tmp_path: Path) -> None:
    network = nn.Linear(3, 1, rng=0)
    optimizer = tg.optim.Adam(network.parameters(), lr=0.1)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = np.mean((network(x) - y) ** 2)
        loss.backward()
        optimizer.step()
        return loss

    x, y = RNG.normal(size=(8, 3)), RNG.normal(size=(8, 1))
    step(x, y)  # which makes the optimiser's state
    state = tg.export_onnx(step, x, y, path=tmp_path / "step.onnx")
    imported = tg.from_onnx(tmp_path / "step.onnx")
    for _ in range(3):
        results = dict(zip(imported.outputs, arrays_of(imported(x=x, y=y, **state))))
        state = {name: results.get(f"{name}.new", value) for name, value in state.items()}
        assert np.isclose(results["output"], step(x, y).item(), rtol=1e-9)
