"""Opens pages in the browser of the tests, and checks that nothing goes wrong in them and that they load nothing."""

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


PANEL = """document.querySelector('[role="tabpanel"]:not([hidden])')"""
ARRIVE = """async (step) => {
  location.hash = `#step=${step}`;
  const slider = document.getElementById("slider");
  for (let turn = 0; turn < 1000 && slider.value !== String(step); turn++)
    await new Promise((done) => setTimeout(done));
  return slider.value;
}"""
PRESS = """(names) => names.forEach((name) =>
  [...document.querySelectorAll("#quiz button")].find((each) => each.innerText === name).click())"""


class Opened:
    """A lesson's page in the browser.

    What a test reads or passes on its way is asked of the page itself: Playwright's selectors, and clicks that wait for
    two frames, are for what a person does.
    """

    def __init__(self, page: Any, lesson: Lesson, path: Path) -> None:
        self.page = page
        self.lesson = lesson
        self.path = path

    def status(self) -> str:
        return str(self.page.evaluate("document.getElementById('status').textContent"))

    def panel(self) -> str:
        return str(self.page.evaluate(f"{PANEL}.innerText"))

    def formulas(self) -> list[str]:
        """The formulas in the panel, as they are read aloud."""
        alternatives = f"[...{PANEL}.querySelectorAll('math')].map((math) => math.getAttribute('alttext'))"
        return [str(text) for text in self.page.evaluate(alternatives)]

    def open_tab(self, name: str) -> None:
        self.page.evaluate("name => document.getElementById(`tab-${name}`).click()", name)

    def press(self, *names: str) -> None:
        """Click buttons of the quiz, one after another."""
        self.page.evaluate(PRESS, names)

    def pass_over(self) -> None:
        """Leave a question of the quiz for the next one."""
        self.press("Show the answer", "Next question")

    def node(self, name: str) -> Any:
        """The node's box in the graph; what is closed around it is opened as a reader of its name would do it."""
        if not self.page.evaluate("i => graphView.isShown(i)", self.index(name)):
            self.page.fill("#search", name)
            self.page.press("#search", "Enter")
        return self.page.locator(f'#graph [data-node="{self.index(name)}"]')

    def index(self, name: str) -> int:
        return [node.name for node in self.lesson.graph.nodes].index(name)

    def go(self, step: int) -> None:
        assert self.page.evaluate(ARRIVE, step) == str(step)

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
def open_file(browser: Any, page_with: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Open a file in the page of its settings; afterwards, that nothing went wrong there and that it asked for nothing.

    A page with a language of its own is closed afterwards, since a language that is chosen is kept for what follows.
    """
    complaints: list[str] = []
    addresses: list[str] = ["data:"]
    listeners = {
        "console": lambda message: complaints.append(f"console: {message.text}"),
        "pageerror": lambda error: complaints.append(f"error: {error}"),
        "request": lambda request: _note_request(complaints, request.url, addresses),
    }
    used: dict[Any, dict[str, Any]] = {}

    def opened(path: Path, fragment: str = "", **settings: Any) -> Any:
        page = browser.new_page(**DESKTOP | settings) if "locale" in settings else page_with(json.dumps(settings))
        if page in used:
            page.goto("about:blank")  # else another step of the same file would be no new page
        else:
            used[page] = settings
            for event, listener in listeners.items():
                page.on(event, listener)
        addresses.append(path.as_uri())
        page.goto(path.as_uri() + fragment)
        return page

    yield opened
    for page, settings in used.items():
        for event, listener in listeners.items():
            page.remove_listener(event, listener)
        if "locale" in settings:
            page.close()
        else:
            page.emulate_media(media="null")
            page.set_viewport_size((DESKTOP | settings)["viewport"])
            page.mouse.move(0, 0)
    assert not complaints


@pytest.fixture
def show(open_file: Callable[..., Any], pages: Pages, tmp_path: Path) -> Callable[..., Opened]:
    """Open a lesson in a page."""
    path = tmp_path / "lesson.html"

    def opened(lesson: Lesson, *, step: int | None = None, optimizer: Any = None, **settings: Any) -> Opened:
        if lesson in pages and optimizer is None:
            path.write_bytes(pages[lesson])
        else:
            lesson.to_html(path, optimizer=optimizer)
            pages[lesson] = path.read_bytes()
        page = open_file(path, "" if step is None else f"#step={step}", **settings)
        assert page.evaluate("document.querySelector('#graph svg') !== null"), "on a phone, it is in a drawer"
        return Opened(page, lesson, path)

    return opened


def _note_request(complaints: list[str], address: str, own: list[str]) -> None:
    if not address.startswith(tuple(own)):
        complaints.append(f"request: {address}")


def check_accessible(page: Any) -> None:
    """Axe finds nothing in the page, which reads axe's half megabyte only once; and nothing sticks out at its side."""
    from axe_playwright_python.sync_playwright import Axe, AxeResults

    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    results = AxeResults(page.evaluate("axe.run({resultTypes: ['violations']})"))
    assert results.violations_count == 0, results.generate_report()
    root = "document.documentElement"
    assert page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") <= 0, "the page does not move sideways"
