"""Checkpoints: runs that go on bit for bit, files that are whole or not there, and files that are not to be trusted."""

import errno
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import tinygrad_lite as tg
from tests.marks import param
from tests.optim.samples import OPTIMIZERS, SCHEDULES
from tests.training import killed_runs
from tinygrad_lite import nn, optim
from tinygrad_lite.errors import FileError, InputError, ShapeError, TinygradError, UsageError
from tinygrad_lite.nn.utils.parametrizations import weight_norm

X = np.random.default_rng(0).normal(size=(64, 40))
Y = np.random.default_rng(1).normal(size=(64, 8))
GENERATORS = (np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.safetensors"


def run(optimizer: str, schedule: str | None, dtype: Any, backend: str | None) -> tuple[dict[str, Any], Any]:
    """The objects of a run with dropout, batch normalisation, averages and two groups, and its function of a step."""
    model = nn.Sequential(
        nn.Linear(40, 33, rng=0, dtype=dtype),
        nn.BatchNorm1d(33, dtype=dtype),
        nn.Dropout(0.3, rng=1),
        nn.Tanh(),
        nn.Linear(33, 8, rng=2, dtype=dtype),
    )
    name, settings = OPTIMIZERS[optimizer]
    weights = [w for w in model.parameters() if w.ndim == 2 or name != "Muon"]
    groups = [{"params": weights[:1]}, {"params": weights[1:], "lr": 0.01}]
    objects = {"model": model, "optimizer": getattr(optim, name)(groups, **settings)}
    if schedule is not None:
        objects["scheduler"] = SCHEDULES[schedule](optim.lr_scheduler, objects["optimizer"])
    objects["average"] = optim.ExponentialMovingAverage(model, 0.9)
    rows = 24 if optimizer in _FEW else 16  # with a smaller last batch, which has a program of its own, or without
    objects["loader"] = tg.data.DataLoader((X.astype(dtype), Y.astype(dtype)), batch_size=rows, shuffle=True, rng=3)

    def step(x: np.ndarray, y: np.ndarray) -> tg.Tensor:
        model.zero_grad()
        loss = np.mean((model(x) - y) ** 2)
        loss.backward()
        objects["optimizer"].step()
        objects["average"].update()
        if schedule is not None:
            objects["scheduler"].step()
        return loss

    return objects, step if backend is None else tg.compile(step, backend=backend)


def finish(objects: dict[str, Any], step: Any, path: Path | None = None) -> list[bytes]:
    """Train for three epochs, from where the objects are; the bits of the last losses and of all states.

    A checkpoint is saved after five steps, in the middle of an epoch.
    """
    losses: list[float] = []
    while objects["loader"].epochs < 3:
        for batch in objects["loader"]:
            losses.append(step(*batch).item())
            if path is not None and len(losses) == 5:
                tg.save(path, **objects)
    arrays = [losses[-4:], [group["lr"] for group in objects["optimizer"].param_groups]]
    arrays += [*objects["model"].state_dict().values(), *objects["average"].state_dict()["averages"]]
    return [np.asarray(array).tobytes() for array in arrays]


_FEW = ("Adam", "RAdam", "Muon", "Adafactor")  # after the last three, weights are in another memory layout than before


def _is_slow(optimizer: str, dtype: str, backend: str | None) -> bool:
    if backend:
        return optimizer not in _FEW[-2:] or dtype == "f4"
    return optimizer not in _FEW and dtype == "f4"


_RUNS = [
    param(optimizer, schedule, dtype, backend, slow=_is_slow(optimizer, dtype, backend))
    for backend in (None, "numpy", "native")
    for optimizer, schedule, dtype in (
        *((optimizer, None, "f8") for optimizer in OPTIMIZERS),
        *((optimizer, None, "f4") for optimizer in (OPTIMIZERS if backend is None else _FEW)),
        *(("SGD momentum", schedule, "f8") for schedule in SCHEDULES),
    )
]


@pytest.mark.long
@pytest.mark.parametrize(("optimizer", "schedule", "dtype", "backend"), _RUNS)
def test_a_run_goes_on_bit_for_bit(
    optimizer: str, schedule: str | None, dtype: str, backend: str | None, path: Path
) -> None:
    expected = finish(*run(optimizer, schedule, dtype, backend), path)
    objects, step = run(optimizer, schedule, dtype, backend)
    for _ in range(2):  # once more, in a run that is under way
        tg.load(path, **objects)
        assert finish(objects, step) == expected


def test_lbfgs_and_a_plateau_go_on_bit_for_bit(path: Path) -> None:
    def objects() -> dict[str, Any]:
        model = nn.Linear(40, 8, rng=0)
        optimizer = optim.LBFGS(model.parameters(), max_iter=3, history_size=2, line_search_fn="strong_wolfe")
        scheduler = optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, threshold=0.5)
        return {"model": model, "optimizer": optimizer, "scheduler": scheduler}

    def take(model: Any, optimizer: Any, scheduler: Any) -> list[float]:
        def closure() -> tg.Tensor:
            optimizer.zero_grad()
            loss = np.mean((np.tanh(model(X)) - Y) ** 2)
            loss.backward()
            return loss

        losses = [optimizer.step(closure).item() for _ in range(4)]
        for loss in losses:
            scheduler.step(loss)
        return [*losses, optimizer.lr]

    first, second = objects(), objects()
    tg.save(path, **first)  # best is infinite
    take(**tg.load(path, **second))
    tg.save(path, **second)
    expected = take(**second)
    assert take(**tg.load(path, **first)) == expected


@pytest.mark.parametrize(
    ("backend", "kills", "seconds"),
    [
        param("eager", 100, 0.04, slow=True),
        ("native", 2, 0.6),
        param("numpy", 25, 0.4, slow=True),
        param("native", 25, 0.4, slow=True),
    ],
)
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_weights(
    backend: str, kills: int, seconds: float, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    folder.mkdir()
    arguments = [str(folder), backend, str(kills), "0", f"{seconds}"]
    command = [sys.executable, "-m", "tests.training.killed_runs", *arguments]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [file.name for file in folder.iterdir()] == ["run.safetensors"]
    assert printed.split() == [str(kills), killed_runs.train(tmp_path / "run.safetensors", backend)]


class Everything(nn.Module):
    """A module with fields of all kinds."""

    def __init__(self) -> None:
        self.first = weight_norm(nn.Linear(3, 3, rng=0))
        self.second = nn.Linear(3, 3, rng=0, dtype=np.float32)
        self.second.weight.requires_grad = False
        self.shared = self.second
        self.normalization = nn.BatchNorm1d(3)
        self.layers = [nn.RReLU(rng=1), {"inner": nn.FractionalMaxPool2d(2, 2, _random_samples=None, rng=2)}]
        self.attention = nn.MultiheadAttention(4, 2, dropout=0.1, rng=3)
        self.recurrent = nn.LSTM(2, 2, 2, dropout=0.1, rng=4)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 4, rng=5), 2)
        self.number = tg.tensor(0.5, requires_grad=True)
        self.empty = tg.tensor(np.zeros((0, 3)), requires_grad=True)
        self.mask = np.arange(12).reshape(3, 4).T[::2] > 3
        self.big_endian = np.arange(3, dtype=">i2")
        self.half = np.arange(3, dtype=np.float16)
        self.complex = np.array([1 + 2j], np.complex64)
        self.wide = tg.tensor(np.asfortranarray(np.arange(6).reshape(2, 3) * (1 / 3 - 1j / 7)))
        self.one_wide = np.array(np.nan + 1j * np.inf)
        self.none_wide = np.zeros((0, 2), complex)


def test_all_kinds_of_fields_come_back(path: Path) -> None:
    model, other = Everything(), Everything()
    rng = np.random.default_rng(0)
    for w in model.parameters():
        w.data = rng.normal(size=w.shape)
    model.normalization(rng.normal(size=(5, 3)))
    for _, generator in model.named_generators():
        generator.random(7)
    tg.save(path, model=model)
    tg.load(path, model=other)
    ours, theirs = model.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        assert array.dtype == theirs[name].dtype
        np.testing.assert_array_equal(array, theirs[name], strict=True)
    assert other.shared is other.second
    assert not other.second.weight.requires_grad
    generators, others = dict(model.named_generators()), dict(other.named_generators())
    assert list(generators) == list(others)
    assert [x.random() for x in generators.values()] == [x.random() for x in others.values()]
    for library in (safetensors.numpy.load_file(path), tg.load(path)["model"]):
        assert library.keys() == ours.keys()
        for name, array in ours.items():
            if array.dtype != complex or library[name].dtype == complex:
                np.testing.assert_array_equal(library[name], array)


def partly_frozen() -> nn.Module:
    model = nn.Sequential(nn.Linear(40, 3, rng=0), nn.BatchNorm1d(3), nn.Linear(3, 8, rng=1), nn.BatchNorm1d(8))
    model[1].eval()
    return model


def test_an_accumulation_goes_on_from_its_middle(path: Path) -> None:
    """Gradients and frozen layers come back, and what a new module has besides is gone."""

    def loss(model: nn.Module, part: slice) -> Any:
        return np.mean((model(X[part]) - Y[part]) ** 2)

    def finished(model: nn.Module, optimizer: Any) -> list[bytes]:
        loss(model, slice(24, 64)).backward()
        optimizer.step()
        return [x.tobytes() for x in (*model.state_dict().values(), *(w.grad.data for w in model.parameters()))]

    model = partly_frozen()
    optimizer = optim.Adam(model.parameters())
    loss(model, slice(0, 24)).backward()
    model[0].weight.grad = np.asfortranarray(model[0].weight.grad.data)
    tg.save(path, model=model, optimizer=optimizer)
    expected = finished(model, optimizer)
    other = partly_frozen().train()
    loss(other, slice(3, 9)).backward()
    optimizer = optim.Adam(other.parameters())
    tg.load(path, model=other, optimizer=optimizer)
    assert [module.training for module in other.modules()] == [True, True, False, True, True]
    assert finished(other, optimizer) == expected
    tg.load(path, model=other.eval())  # by somebody who evaluates it
    assert not any(module.training for module in other.modules())
    other[2].weight.requires_grad = False
    tg.save(path, model=other)  # not to be trained on
    assert tg.load(path)["model"].keys() == safetensors.numpy.load_file(path).keys() == other.state_dict().keys()


def test_a_run_goes_on_in_another_precision(path: Path) -> None:
    """Weights, gradients and the state of the optimiser are cast to the dtype of the parameters that they are for."""
    model = partly_frozen()
    optimizer = optim.Adam(model.parameters())
    for _ in range(2):
        np.mean((model(X) - Y) ** 2).backward()
        optimizer.step()
    tg.save(path, model=model, optimizer=optimizer)
    other = partly_frozen().to(np.float32)
    again = optim.Adam(other.parameters())
    tg.load(path, model=other, optimizer=again)
    for w, own in zip(other.parameters(), model.parameters(), strict=True):
        assert (w.dtype, w.grad.dtype) == (np.float32, np.float32)
        np.testing.assert_allclose(w.grad, own.grad, rtol=1e-6)
        assert {x.dtype for x in again.state[w].values() if np.ndim(x)} == {np.dtype(np.float32)}
    other[0].weight.requires_grad = True
    with pytest.raises(InputError, match=r"'0.weight' of model has shape .*, and a gradient .*\(3, 40\)"):
        tg.load(path, model=nn.Sequential(nn.Linear(4, 3), *other[1:]), optimizer=again)


def test_files_of_the_first_format_load(path: Path) -> None:
    """They have no checksum, and say nothing about gradients and frozen layers, which stay as they are."""
    model, other = partly_frozen(), partly_frozen()
    tg.save(path, model=model, optimizer=optim.SGD(model.parameters(), lr=0.1))
    stored = safetensors.numpy.load_file(path)
    with safetensors.safe_open(path, "numpy") as file:
        about = json.loads(file.metadata()["tinygrad_lite"])
    for part in ("gradients", "frozen"):
        del about["contents"]["model"][part]
    del about["checksum"]
    about["format"] = 1
    safetensors.numpy.save_file(stored, path, {"tinygrad_lite": json.dumps(about)})
    other[0].weight.grad = np.ones((3, 40))
    tg.load(path, model=other)
    assert np.all(other[0].weight.grad.data == 1)
    assert not other[1].training
    assert other[3].training


def test_fit_leaves_frozen_layers_alone(path: Path) -> None:
    """Their statistics stay, in one go, resumed, with validation; and the module is as it was afterwards."""
    for compile in (False, "numpy"):
        results = []
        for stops in ([4], [2, 4]):
            path.unlink(missing_ok=True)
            for epochs in stops:
                model = partly_frozen()
                options = {"epochs": epochs, "validation": (X, Y), "compile": compile, "checkpoint": path, "rng": 0}
                tg.fit(model, nn.functional.mse_loss, (X, Y), verify=False, **options)  # type: ignore[arg-type]
                assert [module.training for module in model.modules()] == [True, True, False, True, True]
                assert np.all(model[1].running_mean == 0)
                assert not np.all(model[3].running_mean == 0)
            results.append([x.tobytes() for x in model.state_dict().values()])
        assert results[0] == results[1]


def test_every_layer_that_draws_has_its_generator_in_the_checkpoint(path: Path) -> None:
    """Every class of `nn` that keeps a generator keeps it where `named_generators` looks."""
    made = [*Everything().modules(), *(getattr(nn, name)() for name in dir(nn) if "Dropout" in name)]
    for module in made:
        own = [field for field in vars(module).values() if isinstance(field, np.random.Generator)]
        assert {id(x) for x in own} <= {id(x) for _, x in module.named_generators()}
    assert sum(bool(list(module.named_generators())) for module in made) > 10


@pytest.mark.parametrize("kind", GENERATORS)
def test_generators_are_restored_in_place(kind: Any, path: Path) -> None:
    rng = np.random.Generator(kind(3))
    rng.integers(5, dtype=np.uint32)  # which leaves half of a number behind
    tg.save(path, rng=rng)
    expected = rng.integers(2**30, size=1000, dtype=np.uint32)
    (again,) = tg.load(path, rng=rng).values()
    assert again is rng
    np.testing.assert_array_equal(rng.integers(2**30, size=1000, dtype=np.uint32), expected)
    np.testing.assert_array_equal(tg.load(path)["rng"].integers(2**30, size=1000, dtype=np.uint32), expected)


def test_values_come_back(path: Path) -> None:
    values = {
        "numbers": [1, -(2**200), 0.1, 1e-300, True, None, "ü", ""],
        "nested": {"a": (1, [2, {}]), 3: {"": ()}, None: 1, 2.5: 2, "1": np.zeros(1), 1: np.ones(1)},
        "arrays": (
            np.float32(0.1),
            np.zeros((2, 0)),
            np.asfortranarray(np.arange(6.0).reshape(2, 3)),
            tg.tensor([1, 2]),
        ),
        "infinite": [float("inf"), -float("inf")],
        "__metadata__": np.arange(3),
        "rngs": [np.random.default_rng(5)],
    }
    tg.save(path, **values)
    back = tg.load(path)
    assert list(back) == list(values)
    assert back["numbers"] == values["numbers"]
    assert [type(x) for x in back["numbers"]] == [type(x) for x in values["numbers"]]
    assert repr(back["nested"]) == repr(values["nested"])
    assert repr(back["arrays"][0]) == repr(np.float32(0.1))
    assert back["arrays"][1].shape == (2, 0)
    assert back["arrays"][2].flags.f_contiguous
    np.testing.assert_array_equal(back["arrays"][2], values["arrays"][2])
    np.testing.assert_array_equal(back["arrays"][3], [1, 2])
    assert back["infinite"] == values["infinite"]
    np.testing.assert_array_equal(back["__metadata__"], [0, 1, 2])
    assert back["rngs"][0].random() == values["rngs"][0].random()


class Unstable:
    """An object whose state is refused only after a part of it is there."""

    def __init__(self, level: int) -> None:
        self.level = self.other = level

    def state_dict(self) -> dict[str, int]:
        return {"level": self.level, "other": self.other}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.level = state["level"]
        if self.level > 5:
            raise RuntimeError("too high")
        self.other = state["other"]


def test_all_objects_are_restored_or_none(path: Path) -> None:
    objects, step = run("Adam", "StepLR", "f8", None)
    tg.save(path, **objects, thing=Unstable(7))
    finish(objects, step)
    thing = Unstable(1)
    tg.save(path.with_name("before"), **objects, thing=thing)
    with pytest.raises(InputError, match=r"run\.safetensors does not fit: thing: too high"):
        tg.load(path, **objects, thing=thing)
    tg.save(path.with_name("after"), **objects, thing=thing)
    assert path.with_name("before").read_bytes() == path.with_name("after").read_bytes()


SAVED: dict[str, Callable[[], Any]] = {
    "model": lambda: nn.Sequential(nn.Linear(3, 2, rng=0), nn.Dropout(0.5, rng=0)),
    "optimizer": lambda: optim.Adam([tg.tensor(np.ones(2), requires_grad=True)], lr=0.1),
    "rng": lambda: np.random.default_rng(0),
    "thing": lambda: Unstable(3),
    "epoch": lambda: 3,
}
MISFITS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no such name": ({"net": nn.ReLU()}, InputError, "has no 'net'; it has model, optimizer, rng, thing, epoch"),
    "shapes": ({"model": nn.Sequential(nn.Linear(4, 2), nn.Dropout())}, ShapeError, r"0\.weight has shape \(2, 3\)"),
    "names": ({"model": nn.Sequential(nn.Linear(3, 2, bias=False), nn.Dropout())}, InputError, r"unknown 0\.bias"),
    "no dropout": (
        {"model": nn.Sequential(nn.Linear(3, 2))},
        InputError,
        r"\(none\), and when it was saved from 1\._rng",
    ),
    "another generator": ({"rng": np.random.Generator(np.random.SFC64())}, InputError, "SFC64, and was saved as PCG64"),
    "another optimiser": (
        {"optimizer": optim.AdamW([tg.tensor(np.ones(2), requires_grad=True)])},
        InputError,
        "optimizer is of class AdamW, and was saved as Adam",
    ),
    "more parameters": (
        {"optimizer": optim.Adam([tg.tensor(np.ones(2), requires_grad=True) for _ in range(2)])},
        InputError,
        "does not fit Adam",
    ),
    "a value as an object": ({"epoch": Unstable(3)}, InputError, "class Unstable, and was saved as the value 3"),
    "an object as a value": ({"rng": Unstable(3)}, InputError, "class Unstable, and was saved as a generator"),
    "no object": ({"epoch": 0}, UsageError, r"epoch has no state to restore: .* load\(path\)\['epoch'\]"),
}


@pytest.mark.parametrize(("objects", "kind", "message"), MISFITS.values(), ids=list(MISFITS))
def test_what_does_not_fit_is_refused(objects: dict[str, Any], kind: type[Exception], message: str, path: Path) -> None:
    tg.save(path, **{name: make() for name, make in SAVED.items()})
    others = {"thing": Unstable(1), **objects}
    with pytest.raises(kind, match=message):
        tg.load(path, **others)
    assert others["thing"].level == 1


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "by name"),
    "a set": ({"a": {"b": [{1, 2}]}}, r"a/b\.0 is \{1, 2\}, which cannot be saved"),
    "a function": ({"a": len}, "cannot be saved"),
    "objects": ({"a": np.array([None])}, "only arrays of bool"),
    "text": ({"a": np.array(["b"])}, "only arrays of bool"),
    "long double": ({"a": np.zeros(2, np.longdouble)}, "only arrays of bool"),
    "an object inside": ({"a": [nn.Linear(1, 1)]}, r"needs a name of its own"),
    "a key": ({"a": {(1, 2): 3}}, "numbers and strings as keys"),
    "a loop": ({"a": ((loop := [1]) and loop.append(loop)) or loop}, "contains itself"),
}


@pytest.mark.parametrize(("values", "message"), REFUSED.values(), ids=list(REFUSED))
def test_what_cannot_be_saved_is_refused(values: dict[str, Any], message: str, path: Path) -> None:
    path.write_text("before")
    with pytest.raises(UsageError, match=message):
        tg.save(path, **values)
    assert path.read_text() == "before"


def test_only_files_are_replaced(path: Path) -> None:
    for place in (path.parent, Path(os.devnull), path / "file", path.parent / "missing" / "file"):
        (path.write_text("a file"))
        with pytest.raises(FileError, match=str(place)):
            tg.save(place, a=1)
    link = path.with_name("link")
    link.symlink_to(path)
    tg.save(link, a=1)
    assert link.is_symlink()
    assert tg.load(path) == {"a": 1}
    assert sorted(file.name for file in path.parent.iterdir()) == ["link", path.name]
    with pytest.raises(FileError, match="regular"):
        tg.load(path.parent)
    with pytest.raises(FileNotFoundError):
        tg.load(path.with_name("missing"))


@pytest.mark.parametrize("problem", ["limit", "write", "fsync", "replace", "interrupt"])
def test_the_last_checkpoint_stays_if_the_disk_is_full(
    problem: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tg.save(path, weights=np.zeros(10_000))
    before = path.read_bytes()
    orphan = path.with_name(f".{path.name}.0123.partial")
    orphan.write_bytes(b"of a process that was killed")

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt if problem == "interrupt" else OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if problem in ("fsync", "interrupt"):
        monkeypatch.setattr(os, "fsync", fail)
    elif problem == "replace":
        monkeypatch.setattr(os, "replace", fail)
    size, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    if problem in ("limit", "write"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000 if problem == "limit" else 0, most))
    try:
        with pytest.raises(KeyboardInterrupt if problem == "interrupt" else FileError) as caught:
            tg.save(path, weights=np.ones(10_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    if problem != "interrupt":
        assert "cannot write" in str(caught.value)
        assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def file_of(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def tensor(start: int, stop: int, shape: list[Any], dtype: str = "F64") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


def checkpoint(contents: Any, **more: Any) -> bytes:
    text = contents if isinstance(contents, str) else json.dumps({"format": 1, "contents": contents, **more})
    return file_of({"__metadata__": {"tinygrad_lite": text}, "w": tensor(0, 16, [2])}, np.ones(2).tobytes())


def value(x: Any) -> bytes:
    return checkpoint({"a": {"value": x}})


def mersenne(tag: str | None, pos: int) -> bytes:
    """A generator's state, alone or as a generator."""
    state = {"dict": [["key", {"array": "k"}], ["pos", pos]]}
    entry: Any = {"dict": [["bit_generator", "MT19937"], ["state", state]]}
    text = json.dumps({"format": 1, "contents": {"a": {"value": {tag: entry} if tag else entry}}})
    key = np.zeros(624, np.uint32).tobytes()
    return file_of({"__metadata__": {"tinygrad_lite": text}, "k": tensor(0, len(key), [624], "U32")}, key)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "truncated or damaged.*0 bytes"),
    "text": (b"epoch,loss\n1,0.5\n" * 100, "truncated or damaged"),
    "a pickle": (b"\x80\x04\x95" + b"\0" * 100, "is a pickle, as of torch.save, .*: in PyTorch, write the weights"),
    "a zip file": (b"PK\x03\x04" + b"\0" * 100, "is a pickle, as of torch.save"),
    "cut in the header": (checkpoint({})[:50], "truncated or damaged"),
    "cut in the data": (checkpoint({})[:-1], "truncated or damaged"),
    "more than it says": (checkpoint({}) + b"\0", "truncated or damaged"),
    "a header beyond the end": ((2**60).to_bytes(8, "little") + b"{}", "truncated or damaged"),
    "a header of another length": ((5).to_bytes(8, "little") + b'{"a": 1}', "truncated or damaged"),
    "overlapping arrays": (file_of({"a": tensor(0, 16, [2]), "b": tensor(8, 24, [2])}, bytes(24)), "offset"),
    "a hole": (file_of({"a": tensor(0, 16, [2]), "b": tensor(24, 40, [2])}, bytes(40)), "offset"),
    "huge": (file_of({"a": tensor(0, 16, [2**40, 2**40])}, bytes(16)), "overflow"),
    "huge and empty": (file_of({"a": tensor(0, 0, [2**40, 0, 2**40])}), r"a has the shape \[1099511627776, 0"),
    "a negative length": (file_of({"a": tensor(0, 16, [-2])}, bytes(16)), "damaged"),
    "a dtype that NumPy lacks": (file_of({"a": tensor(0, 4, [4], "F8_E4M3")}, bytes(4)), "a is of the dtype F8_E4M3"),
    "NaN in the header": (file_of(b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}', bytes(4)), "damaged"),
    "a header nested deeply": (file_of(b'{"a":' + b"[" * 100_000), "damaged"),
    "no checkpoint": (file_of({"a": tensor(0, 16, [2])}, bytes(16)), r"is not a checkpoint .*tg\.from_torch"),
    "no JSON": (checkpoint("{"), "cannot be read"),
    "NaN in the metadata": (checkpoint('{"format": NaN, "contents": {}}'), "NaN, which JSON lacks"),
    "metadata nested deeply": (checkpoint("[" * 100_000), "cannot be read"),
    "contents nested deeply": (
        checkpoint('{"format":1,"contents":{"a":{"value":' + "[" * 900 + "]" * 900 + "}}}"),
        "cannot be read|does not fit",
    ),
    "a later version": (checkpoint({}, format=3), "later version .* format 3, .* up to format 2"),
    "no version": (checkpoint("{}"), "cannot be read: 'format'"),
    "a version that is not a number": (checkpoint({}, format="1"), "cannot be read"),
    "contents that are not an object": (checkpoint([1]), "cannot be read"),
    "an entry that is not an object": (checkpoint({"a": 1}), "cannot be read"),
    "an entry without a state": (checkpoint({"a": {"kind": "Adam"}}), "cannot be read: 'state'"),
    "generators that are none": (
        checkpoint({"a": {"kind": "A", "state": 1, "generators": {"dict": [["a", 1]]}}}),
        "is not a dict of generators",
    ),
    "gradients that are not arrays": (
        checkpoint({"a": {"kind": "A", "state": 1, "generators": {"dict": []}, "gradients": {"dict": [["a", 1]]}}}),
        "is not a dict of gradients",
    ),
    "frozen layers that are not paths": (
        checkpoint({"a": {"kind": "A", "state": 1, "generators": {"dict": []}, "frozen": [1]}}),
        "is not a list of layers' paths",
    ),
    "complex numbers that are not pairs": (
        file_of(
            {
                "__metadata__": {
                    "tinygrad_lite": '{"format":1,"contents":{"a":{"value":{"complex":{"array":"w"}}}}}',
                },
                "w": tensor(0, 24, [3]),
            },
            bytes(24),
        ),
        "w holds no pairs",
    ),
    "an array that is not there": (value({"array": "v"}), "'v'"),
    "an array with axes twice": (value({"array": "w", "axes": [0, 0]}), "repeated axis|axes don't match"),
    "an array with axes that are not numbers": (value({"array": "w", "axes": ["a"]}), "is not what tg.save writes"),
    "a tag that is none": (value({"set": [1]}), "is not what tg.save writes"),
    "two tags": (value({"float": "1e5"}), "is not what tg.save writes"),
    "a key that is a list": (value({"dict": [[[1], 2]]}), "unhashable"),
    "a pair of three": (value({"dict": [[1, 2, 3]]}), "too many values"),
    "no generator": (value({"generator": 5}), "is not what tg.save writes"),
    "a generator that NumPy lacks": (
        value({"generator": {"dict": [["bit_generator", "RandomState"], ["state", 1]]}}),
        "no generator 'RandomState'",
    ),
    "a generator that points outside": (mersenne("generator", 700), "not a state of a MT19937|state position must be"),
    "a loader's that points outside": (mersenne(None, -1), "not a state of a MT19937|state position must be"),
}


@pytest.mark.parametrize(("data", "message"), HOSTILE.values(), ids=list(HOSTILE))
def test_a_file_that_is_damaged_or_hostile_is_refused(data: bytes, message: str, path: Path) -> None:
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        tg.load(path, a=Unstable(1))
    assert str(path) in str(caught.value)


def test_the_samples_of_hostile_files_are_sound_but_for_one_thing(path: Path) -> None:
    for data in (mersenne(None, 624), mersenne("generator", 0), value({"array": "w", "axes": [0]})):
        path.write_bytes(data)
        tg.load(path)


def test_every_truncation_is_noticed(path: Path) -> None:
    tg.save(path, model=nn.Linear(2, 2, rng=0), epoch=1)
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match="truncated or damaged"):
            tg.load(path)


@pytest.mark.slow
def test_random_changes_of_a_header_are_refused_or_harmless(path: Path) -> None:
    def states() -> str:
        return repr([x.bit_generator.state if name == "rng" else x.state_dict() for name, x in objects.items()])

    objects, step = run("Adam", "OneCycleLR", "f8", None)
    objects["rng"] = np.random.Generator(np.random.Philox(0))
    finish(objects, step)
    tg.save(path, **objects)
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    rng = np.random.default_rng(0)
    numbers = [match.span() for match in re.finditer(rb"(?<=[:,\[ ])-?\d+\.?\d*(e-?\d+)?", data[:end])]
    before = states()
    refused = 0
    for _ in range(150):
        if rng.random() < 0.5:
            start, stop = numbers[rng.integers(len(numbers))]
            value = rng.choice([b"null", b"1e999", b"-1", b"[]", b"{}", b"true", b"9" * 30, b"NaN", b"0.5", b'\\"x\\"'])
        else:
            start = rng.integers(8, end)
            stop, value = start + 1, bytes([rng.integers(32, 127)])
        header = data[8:start] + value + data[stop:end]
        path.write_bytes(len(header).to_bytes(8, "little") + header + data[end:])
        try:
            tg.load(path, **objects)
        except (InputError, ShapeError):
            refused += 1
            assert states() == before
        else:
            path.write_bytes(data)
            tg.load(path, **objects)
            assert states() == before
    assert refused > 100


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | arrays(np.float32, (2, 0)),
        lambda inside: (
            st.lists(inside) | st.lists(inside).map(tuple) | st.dictionaries(st.text() | st.integers(), inside)
        ),
        max_leaves=10,
    )
)
def test_any_value_comes_back(value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tg.save(f"{folder}/file", value=value)
        assert repr(tg.load(f"{folder}/file")["value"]) == repr(value)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"param_groups": 5}, "param_groups was saved as 5"),
        (
            {"param_groups": [{"params": [0], "lr": "fast"}]},
            r"lr was saved as 'fast', where the object has a value such as 0\.1",
        ),
        ({"state": {0: {"step": 1, "exp_avg": "abc"}}}, "exp_avg must be an array or a number, got 'abc'"),
        ({"state": {0: {"step": 1, "exp_avg": np.zeros((3, 3))}}}, "must have its parameter's shape"),
        ({"state": {0: 5}}, "does not fit: optimizer"),
    ],
)
def test_a_state_of_wrong_kinds_is_refused(state: dict[str, Any], message: str, path: Path) -> None:
    class Adam:  # says that it is one
        def state_dict(self) -> dict[str, Any]:
            return {**SAVED["optimizer"]().state_dict(), **state}

        load_state_dict = state_dict

    tg.save(path, optimizer=Adam())
    optimizer = SAVED["optimizer"]()
    before = repr(optimizer.state_dict())
    with pytest.raises((InputError, ShapeError), match=message):
        tg.load(path, optimizer=optimizer)
    assert repr(optimizer.state_dict()) == before


@pytest.mark.parametrize("name", [*OPTIMIZERS, "LBFGS"])
def test_one_process_goes_on_from_a_checkpoint_of_several_and_several_from_one(name: str, path: Path) -> None:
    kind, settings = OPTIMIZERS.get(name, ("LBFGS", {"max_iter": 2}))

    def objects(wrap: Callable[[Any], Any]) -> dict[str, Any]:
        model = nn.Linear(40, 8, bias=False, rng=0)
        return {"model": model, "optimizer": wrap(getattr(optim, kind)(model.parameters(), **settings))}

    def train(model: Any, optimizer: Any) -> bytes:
        def closure() -> tg.Tensor:
            optimizer.zero_grad()
            loss = np.mean((np.tanh(model(X)) - Y) ** 2)
            loss.backward()
            return loss.detach()

        for _ in range(2):
            optimizer.step(closure)
        return np.asarray(model.weight.data).tobytes()

    ways: tuple[Callable[[Any], Any], ...] = (lambda optimizer: optimizer, tg.distributed.DistributedOptimizer)
    for before, after in (ways, ways[::-1]):
        first, second = objects(before), objects(after)
        train(**first)
        tg.save(path, **first)
        expected = train(**first)
        tg.load(path, **second)
        assert train(**second) == expected


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_without_an_entry_is_refused_when_it_is_loaded(name: str) -> None:
    kind, settings = OPTIMIZERS[name]
    w = tg.tensor(np.ones((3, 2)), requires_grad=True)
    optimizer = getattr(optim, kind)([w], **settings)
    for _ in range(2):
        optimizer.zero_grad()
        np.sum(w * w).backward()
        optimizer.step()
    state = optimizer.state_dict()
    entries = state["state"].get(0, {})
    for missing in entries if len(entries) > 1 else ():
        made_up = {**state, "state": {0: {entry: x for entry, x in entries.items() if entry != missing}}}
        with pytest.raises(InputError, match=f"has no {missing}"):
            optimizer.load_state_dict(made_up)
        assert repr(optimizer.state_dict()) == repr(state)
    for setting in optimizer.defaults:
        group = {key: x for key, x in state["param_groups"][0].items() if key != setting}
        for wrong in ({**state, "param_groups": [group]}, {**state, "param_groups": [{**group, setting: "abc"}]}):
            try:
                optimizer.load_state_dict(wrong)
            except TinygradError:
                assert repr(optimizer.state_dict()) == repr(state)
            else:  # a setting may be a word
                optimizer.step()
                optimizer.load_state_dict(state)


def test_every_bit_that_changes_is_noticed(path: Path) -> None:
    values = [np.arange(2).astype(dtype) for dtype in (np.float32, np.int8, np.complex128)]
    tg.save(path, values=values, empty=np.zeros((0, 2)), number=5e-8, model=nn.Linear(1, 2))
    assert tg.load(path)["number"] == 5e-8
    data = path.read_bytes()
    for place in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            with pytest.raises(InputError):
                tg.load(path)
    path.write_bytes(data)
    assert tg.load(path)["number"] == 5e-8


def test_a_header_may_have_any_length(path: Path) -> None:
    """Also one whose length looks like the first bytes of a zip file or of a pickle."""
    for length in [*range(64, 600, 8), int.from_bytes(b"PK", "little"), 0x0280]:
        text = json.dumps({"w": tensor(0, 16, [2])}).encode().ljust(length)
        path.write_bytes(len(text).to_bytes(8, "little") + text + np.ones(2).tobytes())
        assert list(tg.from_torch(path)) == ["w"]


@pytest.mark.parametrize("read", [tg.load, tg.from_torch, tg.from_onnx])
def test_a_folder_is_no_file(read: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path, "", "."):
        with pytest.raises(FileError, match="is not a regular file"):
            read(path)
