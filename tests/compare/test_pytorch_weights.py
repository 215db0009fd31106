"""Weights that PyTorch and JAX wrote are read here, and the other way round."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.errors import InputError, UsageError

pytestmark = pytest.mark.compare
torch = pytest.importorskip("torch", reason="PyTorch comes with the extra `compare`")
safetensors_torch = pytest.importorskip("safetensors.torch")


def made(nn: Any, **settings: Any) -> Any:
    return nn.Sequential(
        nn.Conv1d(3, 4, 3, **settings), nn.BatchNorm1d(4, **settings), nn.Flatten(), nn.Linear(24, 2, **settings)
    ).eval()


@pytest.fixture
def theirs() -> Any:
    torch.manual_seed(0)
    model = made(torch.nn, dtype=torch.float64)
    model[1].running_mean.normal_()
    return model


X = np.random.default_rng(0).normal(size=(5, 3, 8))


@pytest.mark.parametrize("way", ["module", "state dict", "safetensors", "pt", "old pt"])
def test_from_pytorch(way: str, theirs: Any, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    source: Any = {"module": theirs, "state dict": theirs.state_dict()}.get(way, path)
    if way == "safetensors":
        safetensors_torch.save_file(theirs.state_dict(), path)
    elif "pt" in way:
        torch.save(theirs.state_dict(), path, _use_new_zipfile_serialization=way == "pt")
    model = made(tg.nn)
    model.load_state_dict(tg.from_torch(source))
    with torch.no_grad():
        expected = theirs(torch.tensor(X)).numpy()
    np.testing.assert_allclose(model(X).numpy(), expected, rtol=1e-12)
    before = model[3].weight.numpy().copy()
    theirs[3].weight.data.zero_()
    np.testing.assert_array_equal(model[3].weight.numpy(), before)


@pytest.mark.parametrize("way", ["to_torch", "safetensors", "jax"])
def test_to_pytorch_and_jax(way: str, theirs: Any, tmp_path: Path) -> None:
    model = made(tg.nn)
    path = tmp_path / "weights.safetensors"
    tg.save(path, model=model)
    if way == "jax":
        arrays = pytest.importorskip("safetensors.flax").load_file(path)
        assert arrays.keys() == model.state_dict().keys()
        for name, array in model.state_dict().items():
            np.testing.assert_allclose(arrays[name], array, rtol=1e-6)  # JAX reads in float32
        return
    theirs.load_state_dict(tg.to_torch(model) if way == "to_torch" else safetensors_torch.load_file(path))
    with torch.no_grad():
        np.testing.assert_allclose(model(X).numpy(), theirs(torch.tensor(X)).numpy(), rtol=1e-12)


def test_dtypes_and_layouts(tmp_path: Path) -> None:
    numbers = torch.tensor([[1.0, -2.5], [0.0, 3.0]])
    state = {
        "bfloat16": numbers.to(torch.bfloat16),
        "float8": numbers.to(torch.float8_e4m3fn),
        "half": numbers.half(),
        "integers": numbers.int(),
        "sparse": numbers.to_sparse(),
        "transposed": numbers.T.contiguous().T,
        "conjugate": torch.complex(numbers, numbers).conj(),
        "parameter": torch.nn.Parameter(numbers),
        "number": torch.tensor(2.0),
        "nested": {"list": [numbers, 3]},
    }
    arrays = tg.from_torch(state)
    for name in ("bfloat16", "float8", "half", "sparse", "transposed", "parameter"):
        np.testing.assert_array_equal(arrays[name], numbers.numpy())
    assert [arrays[name].dtype for name in ("bfloat16", "half", "integers")] == [np.float32, np.float16, np.int32]
    np.testing.assert_array_equal(arrays["conjugate"], numbers.numpy() * (1 - 1j))
    assert arrays["number"] == 2
    np.testing.assert_array_equal(arrays["nested"]["list"][0], numbers.numpy())
    path = tmp_path / "weights"
    safetensors_torch.save_file({"bfloat16": state["bfloat16"]}, path)
    np.testing.assert_array_equal(tg.from_torch(path)["bfloat16"], numbers.numpy())
    back = tg.to_torch({**arrays, "tensor": tg.tensor([1.0, 2.0])})
    torch.testing.assert_close(back["half"], state["half"])
    assert back["nested"]["list"][1] == 3
    assert back["tensor"].tolist() == [1, 2]
    with pytest.raises(UsageError, match="PyTorch cannot take an array of float128"):
        tg.to_torch({"w": np.zeros(2, np.longdouble)})
    with pytest.raises(UsageError, match="to_torch takes a module or a state dict, got list"):
        tg.to_torch([1])


def test_a_pickle_of_more_than_weights_is_refused(theirs: Any, tmp_path: Path) -> None:
    torch.save(theirs, tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"model\.pt cannot be read as weights: in PyTorch, write the weights with"):
        tg.from_torch(tmp_path / "model.pt")


def test_an_optimiser_goes_on_from_the_state_of_pytorch(theirs: Any) -> None:
    optimizer = torch.optim.Adam(theirs.parameters(), lr=0.01)
    model = made(tg.nn)

    def step(module: Any, optimizer: Any, x: Any) -> None:
        optimizer.zero_grad()
        ((module(x) - 1) ** 2).mean().backward()
        optimizer.step()

    step(theirs, optimizer, torch.tensor(X))
    model.load_state_dict(tg.from_torch(theirs))
    ours = tg.optim.Adam(model.parameters())
    ours.load_state_dict(tg.from_torch(optimizer.state_dict()))
    step(theirs, optimizer, torch.tensor(X))
    step(model, ours, X)
    np.testing.assert_allclose(model[3].weight.numpy(), theirs[3].weight.detach().numpy(), rtol=1e-9)


@pytest.mark.filterwarnings("ignore:.*quantized tensor creation:UserWarning")
def test_quantised_weights_become_real_numbers_and_those_without_numbers_are_refused() -> None:
    whole = torch.quantize_per_tensor(torch.tensor([0.3, -0.7]), 0.1, 0, torch.qint8)
    np.testing.assert_allclose(tg.from_torch({"weight": whole})["weight"], [0.3, -0.7], rtol=1e-6)
    with pytest.raises(UsageError, match="device meta has no numbers"):
        tg.from_torch({"weight": torch.ones(2, device="meta")})
