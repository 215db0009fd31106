"""Weights of PyTorch, as far as that goes without PyTorch: tests/compare has the rest."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

import tinygrad_lite as tg
from tests.training.test_checkpoints import file_of, tensor
from tinygrad_lite import nn
from tinygrad_lite.errors import FileError, InputError, MissingExtraError, UsageError
from tinygrad_lite.interchange import torch_weights


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights.safetensors"


def test_a_file_of_safetensors_is_loaded_without_pytorch(path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 2, rng=0), nn.BatchNorm1d(2))
    safetensors.numpy.save_file({name: np.array(x, order="C") for name, x in model.state_dict().items()}, path)
    other = nn.Sequential(nn.Linear(3, 2, rng=1), nn.BatchNorm1d(2))
    other.load_state_dict(tg.from_torch(path))
    np.testing.assert_array_equal(other[0].weight.numpy(), model[0].weight.numpy())
    script = f"import sys, tinygrad_lite as tg; print(len(tg.from_torch({str(path)!r})), 'torch' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert printed.split() == [str(len(model.state_dict())), "False"]


def test_bfloat16_becomes_float32(path: Path) -> None:
    values = np.array([[1.0, -2.5], [np.inf, 2.0**-130]], np.float32)  # whose lower halves are zero
    upper = (values.view(np.uint32) >> 16).astype("<u2")
    path.write_bytes(file_of({"w": tensor(0, 8, [2, 2], "BF16")}, upper.tobytes()))
    (w,) = tg.from_torch(path).values()
    np.testing.assert_array_equal(w, values, strict=True)


def test_a_pickle_is_never_unpickled(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_weights, "find_spec", lambda _: None)
    harm = path.with_name("harm")
    command = f"cos\nsystem\n(S'touch {harm}'\ntR.".encode()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/data.pkl", command)
    for data in (path.read_bytes(), b"\x80\x02" + command):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"is a pickle of torch\.save.*safetensors\.torch\.save_file"):
            tg.from_torch(path)
    assert not harm.exists()


def test_what_is_no_state_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(b"text")
    with pytest.raises(InputError, match=r"weights\.safetensors is truncated or damaged"):
        tg.from_torch(path)
    with pytest.raises(FileError, match="regular"):
        tg.from_torch(path.parent)
    with pytest.raises(FileNotFoundError):
        tg.from_torch(os.fspath(path.with_name("missing")))
    with pytest.raises(UsageError, match="from_torch takes a module, a state dict or the path of a file, got list"):
        tg.from_torch([1])
    for name, module in (("torch", None), ("safetensors.numpy", None)):
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(MissingExtraError, match="`compare`"):
        tg.to_torch(nn.Linear(1, 1))
    attempts: list[Any] = [lambda: tg.from_torch(path), lambda: tg.load(path), lambda: tg.save(path, epoch=1)]
    for attempt in attempts:
        with pytest.raises(MissingExtraError, match="`files`"):
            attempt()
    assert path.read_bytes() == b"text"


def test_a_file_of_numpy_is_recognised(tmp_path: Path) -> None:
    layer, other = nn.Linear(3, 2, rng=0), nn.Linear(3, 2, rng=1)
    np.savez(tmp_path / "weights.npz", **layer.state_dict())
    with pytest.raises(InputError, match=r"model\.load_state_dict\(np\.load\(path\)\)"):
        tg.from_torch(tmp_path / "weights.npz")
    other.load_state_dict(np.load(tmp_path / "weights.npz"))
    np.testing.assert_array_equal(other.weight.numpy(), layer.weight.numpy())
