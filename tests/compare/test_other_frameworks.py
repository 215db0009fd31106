"""The pages on checking the gradients of other libraries, as they stand."""

import pytest

from tests.test_documentation import ROOT, blocks_of, libraries, run_blocks

pytestmark = pytest.mark.compare


@pytest.mark.parametrize("name", ["checking_other_frameworks.md", "gradient_checking.md"])
def test_the_page_runs(name: str) -> None:
    page = ROOT / "docs" / name
    blocks = blocks_of(page)
    for library in [library for block in blocks for library in libraries(block)]:
        pytest.importorskip(library)
    run_blocks(page, blocks)
