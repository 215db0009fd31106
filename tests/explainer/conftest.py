"""Opens pages in the browser of the tests, and looks that nothing goes wrong in them and that they ask for nothing."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import pytest

from tinygrad_lite.explainer.lesson import Lesson

Pages: TypeAlias = "WeakKeyDictionary[Lesson, bytes]"
DESKTOP = {"viewport": {"width": 1280, "height": 900}}


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

    def formulas(self) -> list[str]:
        """The formulas in the panel, as they are read aloud."""
        return [
            str(math.get_attribute("alttext")) for math in self.page.locator('[role="tabpanel"]:visible math').all()
        ]

    def node(self, name: str) -> Any:
        """The node's box in the graph; what is closed around it is opened as a reader of its name would do it."""
        if not self.page.evaluate("i => graphView.isShown(i)", self.index(name)):
            self.page.fill("#search", name)
            self.page.press("#search", "Enter")
        return self.page.locator(f'#graph [data-node="{self.index(name)}"]')

    def index(self, name: str) -> int:
        return [node.name for node in self.lesson.graph.nodes].index(name)

    def go(self, step: int) -> None:
        self.page.evaluate("step => { location.hash = `#step=${step}`; }", step)
        self.page.wait_for_function("step => document.getElementById('slider').value === String(step)", arg=step)

    def data(self, what: str, name: str) -> Any:
        """The numbers that the page has: of a "value" or a "gradient"."""
        return self.page.evaluate(f"i => lesson.{what}(i).data", self.index(name))


@pytest.fixture(scope="session")
def page_with(browser: Any) -> Callable[..., Any]:
    """A page of each size and kind, which tests use one after another: a new one takes longer than most of them."""
    return cache(lambda settings="{}": browser.new_page(**DESKTOP | json.loads(settings)))


@pytest.fixture(scope="session")
def pages() -> Pages:
    """The pages of lessons that are still there, such as the long one, which takes longer to write than to read."""
    return WeakKeyDictionary()


@pytest.fixture
def show(browser: Any, page_with: Callable[..., Any], pages: Pages, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """Open a lesson in a page; afterwards, that nothing went wrong in it and that it asked for nothing."""
    path = tmp_path / "lesson.html"
    complaints: list[str] = []
    listeners = {
        "console": lambda message: complaints.append(f"console: {message.text}"),
        "pageerror": lambda error: complaints.append(f"error: {error}"),
        "request": lambda request: _note_request(complaints, request, path),
    }
    used: dict[Any, dict[str, Any]] = {}

    def opened(lesson: Lesson, *, step: int | None = None, optimizer: Any = None, **settings: Any) -> Opened:
        if lesson in pages and optimizer is None:
            path.write_bytes(pages[lesson])
        else:
            lesson.to_html(path, optimizer=optimizer)
            pages[lesson] = path.read_bytes()
        # a language that is chosen is kept for the pages that follow
        shown = browser.new_page(**DESKTOP | settings) if "locale" in settings else page_with(json.dumps(settings))
        shown.goto("about:blank")  # else another step of the same file would be no new page
        if shown not in used:
            used[shown] = settings
            for event, listener in listeners.items():
                shown.on(event, listener)
        shown.goto(path.as_uri() + ("" if step is None else f"#step={step}"))
        shown.wait_for_selector("#graph svg", state="attached")  # on a phone, it is in a drawer
        return Opened(shown, lesson, path)

    yield opened
    for shown, settings in used.items():
        for event, listener in listeners.items():
            shown.remove_listener(event, listener)
        if "locale" in settings:
            shown.close()
        else:
            shown.emulate_media(media="null")
            shown.set_viewport_size((DESKTOP | settings)["viewport"])
            shown.mouse.move(0, 0)
    assert not complaints


@pytest.fixture
def open_file(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a file in a page of its own; afterwards, that nothing went wrong in it and that it asked for nothing."""
    used: list[Any] = []
    complaints: list[str] = []

    def opened(path: Path, **settings: Any) -> Any:
        page = browser.new_page(**DESKTOP | settings)
        used.append(page)
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("request", lambda request: _note_request(complaints, request, path))
        page.goto(path.as_uri())
        return page

    yield opened
    for page in used:
        page.close()
    assert not complaints


def _note_request(complaints: list[str], request: Any, path: Path) -> None:
    if not request.url.startswith((path.as_uri(), "data:")):
        complaints.append(f"request: {request.url}")
