"""The page on checking PyTorch's and JAX's gradients, as it stands."""

import re

import pytest

from tests.test_documentation import ROOT, run_page

pytestmark = pytest.mark.compare

PAGE = ROOT / "docs" / "checking_other_frameworks.md"


def test_the_page_runs() -> None:
    for library in re.findall(r"^>>> import (\w+)", PAGE.read_text(), re.MULTILINE):
        pytest.importorskip(library)
    run_page(PAGE)
