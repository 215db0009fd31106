"""A browser for the tests of the page: the system's Chromium, driven by Playwright, without a network."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tinygrad_lite.explainer.lesson import Lesson

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        assert not os.environ.get("CI"), "CI installs Chromium"
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


class Opened:
    """A lesson's page in the browser."""

    def __init__(self, page: Any, lesson: Lesson, path: Path) -> None:
        self.page = page
        self.lesson = lesson
        self.path = path

    def status(self) -> str:
        return str(self.page.locator("#status").text_content())

    def panel(self) -> str:
        return str(self.page.locator('[role="tabpanel"]:visible').inner_text())

    def node(self, name: str) -> Any:
        """The node's box in the graph."""
        return self.page.locator(f'#graph [data-node="{self.index(name)}"]')

    def index(self, name: str) -> int:
        return [node.name for node in self.lesson.graph.nodes].index(name)

    def go(self, step: int) -> None:
        self.page.evaluate("step => { location.hash = `#step=${step}`; }", step)
        self.page.wait_for_function("step => document.getElementById('slider').value === String(step)", arg=step)

    def data(self, what: str, name: str) -> Any:
        """The numbers that the page has: of a "value" or a "gradient"."""
        return self.page.evaluate(f"i => lesson.{what}(i).data", self.index(name))


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """Open a lesson in a page; afterwards, that nothing went wrong in it and that it asked for nothing."""
    complaints: list[str] = []
    contexts = []

    def opened(lesson: Lesson, *, step: int | None = None, optimizer: Any = None, **settings: Any) -> Opened:
        path = tmp_path / "lesson.html"
        lesson.to_html(path, optimizer=optimizer)
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | settings))
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("request", lambda request: _note_request(complaints, request, path))
        page.goto(path.as_uri() + ("" if step is None else f"#step={step}"))
        page.wait_for_selector("#graph svg")
        return Opened(page, lesson, path)

    yield opened
    for context in contexts:
        context.close()
    assert not complaints


def _note_request(complaints: list[str], request: Any, path: Path) -> None:
    if not request.url.startswith((path.as_uri(), "data:")):
        complaints.append(f"request: {request.url}")
