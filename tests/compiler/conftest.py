"""Machine code of a test run is kept with the run's own files, so that nothing is found that an earlier one left.

The processes of a run share it, as those of a user do: what one has compiled, another need not compile again.
"""

import os
from pathlib import Path

import pytest

BACKENDS = ("numpy", "native")


@pytest.fixture(autouse=True, scope="session")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    own = tmp_path_factory.getbasetemp()
    of_the_run = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYGRAD_LITE_CACHE", str(of_the_run / "machine-code"))
        yield


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TINYGRAD_LITE_CACHE", str(tmp_path))
    return tmp_path
