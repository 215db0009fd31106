"""Data-parallel training: two processes train as one does, and end together."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.marks import param
from tinygrad_lite import distributed, errors

PROGRAM = Path(__file__).parent / "distributed_training.py"
MPIRUN = Path(sys.executable).parent / "mpirun"
needs_mpi = pytest.mark.skipif(not MPIRUN.exists(), reason="MPI comes from the package openmpi")


def run(*options: str, processes: int) -> subprocess.CompletedProcess[str]:
    launcher = [MPIRUN, "--allow-run-as-root", "--oversubscribe", "-n", str(processes)] if processes > 1 else []
    return subprocess.run(
        [*launcher, sys.executable, PROGRAM, *options],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=dict(os.environ),  # without what MPI set in this process, if an example has imported it
    )


def results(processes: int) -> list[Any]:
    """What each process printed, by rank."""
    done = run(processes=processes)
    assert done.returncode == 0, done.stderr
    return [result for _, result in sorted(map(json.loads, done.stdout.splitlines()), key=lambda line: line[0])]


@needs_mpi
def test_two_processes_train_as_one_does() -> None:
    (alone,), both = results(1), results(2)
    assert len(both) == 2
    for way in alone.keys() - {"partial"}:
        for here in both:
            for name, expected in alone[way].items():
                for a, b in zip(here[way][name], expected, strict=True):
                    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)
        assert both[0][way] == both[1][way]
    assert alone["partial"]["gradients"] == [[[1.0, 1.0], "float32"], [[2.0, 2.0], "float32"], None]
    for here in both:
        assert here["partial"]["gradients"] == [[[1.0, 1.0], "float32"], [[1.0, 1.0], "float32"], None]
        assert "runs without being compiled: a compiled function cannot wait for other" in here["partial"]["message"]
        np.testing.assert_allclose(here["partial"]["step"], 1 - 0.1 * (1 + 2) / 2, rtol=1e-6)


@needs_mpi
@pytest.mark.parametrize(
    ("how", "message"),
    [
        param("error", r"ArithmeticError: a fault in the data.*\nprocess 1 of 2 \(.*PID \d+\) stopped", slow=False),
        param("kill", r"rank 1 with PID \d+ .* signal 9", slow=True),
    ],
)
def test_a_process_that_stops_ends_the_others(how: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    done = run("--stop", how, "--checkpoint", str(path), processes=2)
    assert done.returncode != 0
    assert re.search(message, done.stderr.replace("\n", " ") if how == "kill" else done.stderr), done.stderr
    assert tg.load(path)["step"] in (2, 3)


def test_alone_nothing_is_averaged_and_nothing_is_lost() -> None:
    x, y = distributed.shard((np.arange(6.0).reshape(3, 2), tg.tensor([1.0, 2.0, 3.0])))
    assert x.shape == (3, 2)
    assert y.shape == (3,)
    frame = pytest.importorskip("pandas").DataFrame({"a": [1, 2]})
    assert len(distributed.shard(frame)) == 2
    with pytest.raises(ZeroDivisionError), distributed.together():
        _ = 1 / 0
    for what in (0.5, "text", np.float64(1.0)):
        with pytest.raises(errors.UsageError, match="shard takes rows"):
            distributed.shard(what)
    with pytest.raises(errors.InputError, match="0 rows are too few for 1 processes"):
        distributed.shard(np.empty((0, 2)))
    with pytest.raises(errors.UsageError, match=r"pass value\.detach\(\)"):
        distributed.average(tg.tensor(1.0, requires_grad=True))


def test_a_schedule_takes_the_optimiser_inside() -> None:
    inside = tg.optim.Adam(tg.nn.Linear(2, 1, rng=0).parameters())
    advice = "got DistributedOptimizer: pass the optimiser inside it, which is its attribute `optimizer`"
    with pytest.raises(errors.UsageError, match=advice):
        tg.optim.lr_scheduler.StepLR(distributed.DistributedOptimizer(inside), 1)  # type: ignore[arg-type]


def test_without_mpi4py_a_process_is_alone_unless_it_was_launched(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in distributed._LAUNCHED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    distributed._mpi.cache_clear()
    try:
        assert (distributed.rank(), distributed.size()) == (0, 1)
        distributed._mpi.cache_clear()
        monkeypatch.setenv("PMI_RANK", "1")
        with pytest.raises(errors.MissingExtraError, match="extra `distributed`"):
            distributed.size()
    finally:
        distributed._mpi.cache_clear()
