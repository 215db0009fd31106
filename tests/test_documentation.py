"""Every example in the README, in docs/ and in a docstring runs and gives what it shows."""

import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_lite
from tests.marks import param
from tinygrad_lite.engine import registry
from tinygrad_lite.exercises import catalogue

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LONG = {"answers.md", "gradient_checking.md", "other_arrays.md"}


def imported(name: str) -> ModuleType | None:
    """A module; None if it is about a library of the extra `compare` that is not there."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in ("jax", "torch"):
            raise
        return None


NAMES = [found.name for found in pkgutil.walk_packages(tinygrad_lite.__path__, "tinygrad_lite.")]
MODULES = [module for name in NAMES if (module := imported(name))]
WITH_EXAMPLES = [module for module in MODULES if ">>>" in Path(str(module.__file__)).read_text()]


@pytest.fixture(autouse=True)
def _declarations_end_with_their_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation or an exercise of an example is not there for the tests that follow: its names end with it."""
    for module, table in ((registry, "_OPERATIONS"), (registry, "ANSWERS"), (catalogue, "_DECLARED")):
        monkeypatch.setattr(module, table, dict(getattr(module, table)))


def run(test: doctest.DocTest) -> None:
    output: list[str] = []
    results = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=output.append)
    assert results.failed == 0, "".join(output)


@pytest.mark.whole
@pytest.mark.parametrize("page", [param(page, slow=page.name in LONG) for page in PAGES], ids=lambda page: page.name)
def test_pages(page: Path) -> None:
    """The Python blocks of a page, one after another, as one session, up to a library that is not there."""
    blocks = blocks_of(page)
    there = list(takewhile(lambda block: all(map(find_spec, libraries(block))), blocks))
    if blocks and not there:
        pytest.skip("its first block imports what is not installed")
    run_blocks(page, there)


def blocks_of(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def libraries(block: str) -> list[str]:
    return re.findall(r"^>>> import (\w+)", block, re.MULTILINE)


def run_blocks(page: Path, blocks: list[str]) -> None:
    run(doctest.DocTestParser().get_doctest("\n".join(blocks), {}, page.name, str(page), 0))


@pytest.mark.whole
@pytest.mark.parametrize("module", WITH_EXAMPLES, ids=lambda module: module.__name__)
def test_docstrings(module: ModuleType) -> None:
    for test in doctest.DocTestFinder().find(module, extraglobs={"np": np}):
        if test.examples:  # a run without any asks the system about each file that is loaded
            run(test)


def prose(page: Path) -> str:
    """A page without its code, in which `f[0](x)` is a call."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def test_links_within_the_project_lead_somewhere() -> None:
    links = [(page, target) for page in PAGES for target in re.findall(r"\]\(([^)#]+)[^)]*\)", prose(page))]
    assert not [(page, x) for page, x in links if "://" not in x and not (page.parent / x).exists()]
    assert len(links) > 400


def test_rows_of_tables_have_the_cells_of_their_heading() -> None:
    """A row that is broken over two lines ends its table, and the rest of it is shown as text."""
    for page in PAGES:
        for table in re.findall(r"(?:^\|.*\n)+", prose(page), flags=re.MULTILINE):
            heading, *rows = [re.sub(r"\\\|", "", row) for row in table.splitlines()]
            bars = heading.count("|")
            assert not [(page.name, row) for row in rows if not row.endswith("|") or row.count("|") != bars]


def test_the_page_of_operations_is_what_the_code_says() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    here = ".".join(np.__version__.split(".")[:2])
    if f"Written with NumPy {here}." not in page:
        pytest.skip(f"the page was written with another NumPy than {here}, which has other functions and keywords")
    command = [sys.executable, str(ROOT / "docs" / "operations.py"), "--check"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("page", ["why.md", "index.md"])
def test_figures_are_those_of_the_benchmarks(page: str) -> None:
    measured = (ROOT / "docs" / "benchmarks.md").read_text()
    prose = re.sub(r"```.*?```", "", (ROOT / "docs" / page).read_text(), flags=re.DOTALL)
    figures = re.findall(r"\b\d+\.\d+\b", prose)
    assert figures
    assert not [figure for figure in figures if not re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d.])", measured)]


def public_functions() -> list[Any]:
    rooms = "nn", "optim", "data", "datasets", "distributions", "training"
    owners = [tinygrad_lite, *(getattr(tinygrad_lite, name) for name in rooms)]
    owners += [tinygrad_lite.nn.functional, tinygrad_lite.nn.init, tinygrad_lite.nn.utils]
    found = []
    for owner in owners:
        names = getattr(owner, "__all__", [name for name in vars(owner) if not name.startswith("_")])
        found += [getattr(owner, name) for name in names if callable(getattr(owner, name))]
    return [item for item in found if getattr(item, "__module__", "").startswith("tinygrad_lite")]


def test_public_functions_are_documented() -> None:
    for item in public_functions():
        documentation = inspect.getdoc(item) or ""
        assert documentation, item
        if inspect.isfunction(item) and not item.__name__.startswith("check_"):
            assert ">>>" in documentation, f"the docstring of {item}, a public function, has an example"


@pytest.mark.parametrize("page", ["how_it_works.md", "contributing.md", "adding_an_operation.md"])
def test_pages_name_files_that_are_there(page: str) -> None:
    """Also where a name is no link, which the site would check."""
    names = re.findall(r"`(\w+/[\w/]*(?:\w\.py)?)`", (ROOT / "docs" / page).read_text())
    package = ROOT / "tinygrad_lite"
    folders = [ROOT, ROOT / "docs", package, *filter(Path.is_dir, package.rglob("*"))]
    assert not [name for name in names if not any((folder / name).exists() for folder in folders)]
