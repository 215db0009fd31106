"""A lesson in a notebook: in nbconvert's HTML, and as a widget whose numbers come back to Python."""

import json
import os
import re
from collections.abc import Callable, Iterator
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tests.explainer.graphs as graphs
import tinygrad_lite as tg


def needed(name: str) -> Any:
    if os.environ.get("CI"):
        return __import__(name)
    return pytest.importorskip(name, reason=f"{name} is not installed (pip install {name}); CI installs it")


def lesson() -> Any:
    w = tg.tensor(np.float32([0.1, 0.2]), requires_grad=True, name="w")
    b = tg.tensor([[3.0]], requires_grad=True, name="b")
    return tg.explain(np.sum((w * 2 + b) ** 2))


HOST = """\
<!DOCTYPE html><title>notebook</title><div id="cell"></div>
<script type="module">
const code = new Blob([document.getElementById("code").textContent], { type: "text/javascript" });
const { default: widget } = await import(URL.createObjectURL(code));
const sent = {};
window.saved = [];
const state = JSON.parse(document.getElementById("model").textContent);
const model = {
  get: (name) => state[name],
  set: (name, value) => (sent[name] = value),
  save_changes: () => window.saved.push(structuredClone(sent)),
};
const draw = () => (window.leave = widget.render({ model, el: document.getElementById("cell") }));
window.again = (changed) => {
  window.leave();
  document.getElementById("cell").replaceChildren();
  state._changed = changed;
  draw();
};
draw();
</script>
"""


@pytest.fixture
def widget() -> Any:
    needed("anywidget")
    widget = lesson().widget()
    yield widget
    widget.close()


def test_a_widget_begins_with_what_was_recorded(widget: Any) -> None:
    assert set(widget.values) >= {"w", "b"}
    assert widget.values["w"].dtype == np.float32
    np.testing.assert_array_equal(widget.values["b"], [[3.0]])
    state = widget.get_state()
    assert state["_page"].startswith("<!DOCTYPE html>")
    assert "values" not in state, "arrays stay in Python"


def test_dragged_numbers_come_back(widget: Any) -> None:
    """As the messages of a front end bring them."""
    heard: list[Any] = []
    widget.observe(lambda change: heard.append(change["new"]), "values")
    widget.set_state({"_changed": {"w": ["0.5", "NaN"], "b": ["0.30000000000000004"]}})
    np.testing.assert_array_equal(widget.values["w"], np.float32([0.5, np.nan]))
    assert widget.values["w"].dtype == np.float32
    assert widget.values["b"].tolist() == [[0.1 + 0.2]], "all digits"
    assert heard == [widget.values]
    widget.set_state({"_changed": {}})
    np.testing.assert_array_equal(widget.values["b"], [[3.0]])


def test_the_page_of_a_widget_tells_what_is_dragged(browser: Any, widget: Any) -> None:
    """The widget's JavaScript, with a stand-in for the notebook's model, and from it to Python."""
    state = {name: widget.get_state()[name] for name in ("_page", "_title", "_changed")}
    page = browser.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    code = (files("tinygrad_lite.explainer") / "page" / "widget.js").read_text()
    told = json.dumps(state).replace("<", "\\u003c")
    parts = [("text/plain", "code", code), ("application/json", "model", told)]
    page.set_content("".join(f'<script type="{kind}" id="{name}">{text}</script>' for kind, name, text in parts) + HOST)
    frame = page.frame_locator("iframe")
    box = frame.locator("#loss .number").first
    box.wait_for()
    frame.locator("#search").fill("b")
    frame.locator("#search").press("Enter")
    frame.locator("#tab-tensor").click()
    frame.locator("#new-value").fill("2.5")
    frame.locator("#change-it").click()
    page.wait_for_function("() => window.saved.length > 0")
    widget.set_state(page.evaluate("window.saved.at(-1)"))
    assert widget.values["b"].tolist() == [[2.5]]
    frame.locator("#reset-all").click()
    page.wait_for_function("() => Object.keys(window.saved.at(-1)._changed).length === 0")
    widget.set_state(page.evaluate("window.saved.at(-1)"))
    assert widget.values["b"].tolist() == [[3.0]]
    page.evaluate("window.leave()")
    page.evaluate("window.saved.length = 0")
    frame.locator("#new-value").fill("7")
    frame.locator("#change-it").click()
    frame.locator("#loss .change-of-loss").wait_for()
    assert page.evaluate("window.saved") == [], "a widget that was removed hears nothing"
    for numbers in ({"w": ["0.5", "NaN"]}, {}):  # that Python has already when the page is drawn once more
        page.evaluate("changed => window.again(changed)", numbers)
        frame.locator("#loss .number").first.wait_for()
        expected = numbers.get("w", ["0.10000000149011612", "0.20000000298023224"])
        page.frames[-1].wait_for_function("expected => String(lesson.value(0).data) === String(expected)", arg=expected)
    page.close()
    assert complaints == []


def test_the_html_of_a_notebook(open_file: Any, tmp_path: Path, widget: Any) -> None:
    """Nbconvert's page with a lesson and with a widget: each shows and steps, and neither asks for anything."""
    needed("nbconvert")
    import nbformat
    from nbconvert import HTMLExporter

    outputs = {"text/html": graphs.heart()._repr_html_(), "text/plain": "lesson"}, widget._repr_mimebundle_()[0]
    shown = [nbformat.v4.new_output("execute_result", output) for output in outputs]
    cells = [nbformat.v4.new_code_cell("tg.explain(loss)", outputs=[output], execution_count=1) for output in shown]
    exporter = HTMLExporter(mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url="")
    html, _ = exporter.from_notebook_node(nbformat.v4.new_notebook(cells=cells))
    path = tmp_path / "notebook.html"
    path.write_text(html, encoding="utf-8")
    page = open_file(path)
    assert "come back to Python: run the cell" in page.evaluate("document.body.innerText")
    for k in (1, 0):
        frame = page.frame_locator("iframe").nth(k)
        frame.locator("#graph svg").wait_for()
        frame.locator("#next").click()
        assert frame.locator("#status").inner_text().startswith("Forward 1 of 4: ")
    frame.locator("#tab-quiz").click()
    assert frame.locator("#quiz").is_visible()


VSCODE = (
    "default-src 'none'; script-src https://*.vscode-cdn.net 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src https: http: data:; font-src https:; connect-src https:; child-src https: data: blob:"
)
"""The policy of the page in which VS Code shows a notebook's outputs."""

WEBVIEW = (
    '<iframe style="width: 100%; height: 880px" sandbox="allow-scripts allow-forms allow-popups allow-downloads" '
    'srcdoc="{}"></iframe>'
)
"""That page is in a frame as wide as the notebook, stricter than in VS Code: it has no origin, so no storage either."""


def playback() -> Any:
    model, (x, y) = tg.nn.Linear(2, 1, rng=0), np.random.default_rng(0).normal(size=(2, 20, 2))
    recorder = tg.training.Recorder(model, tg.nn.MSELoss(), (x, y[:, :1]))
    recorder.record()
    return tg.explain(model, history=recorder)


@pytest.fixture
def notebook(browser: Any) -> Iterator[Callable[..., Any]]:
    """A page with outputs of cells, under a policy; afterwards, that nothing went wrong in it."""
    page = browser.new_page(viewport={"width": 830, "height": 900})
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))

    def shown(*outputs: Any, policy: str = "", style: str = "") -> Any:
        said = f'<meta http-equiv="Content-Security-Policy" content="{policy}">' if policy else ""
        cells = "".join(f"<div>{output._repr_html_()}</div>" for output in outputs)
        cells = f"<!DOCTYPE html>{said}<title>notebook</title><style>{style}</style><body>{cells}"
        page.set_content(WEBVIEW.format(escape(cells)) if policy else cells)
        return page

    yield shown
    page.close()
    assert complaints == []


@pytest.mark.parametrize("policy", ["", VSCODE], ids=["jupyterlab", "vscode"])
def test_several_outputs_of_a_notebook(notebook: Any, policy: str) -> None:
    """Each shows its graph in the room that a notebook has, and steps by itself."""
    page = notebook(lesson(), playback(), graphs.heart(), policy=policy)
    around = page.frame_locator("iframe") if policy else page
    first, training, last = (around.frame_locator(f"div:nth-of-type({k}) iframe") for k in (1, 2, 3))
    for frame in (first, last):
        frame.locator("#graph svg .node").first.wait_for()
    first.locator("#next").click()
    assert first.locator("#status").inner_text().startswith("Forward 1 ")
    assert last.locator("#status").inner_text().startswith("Start")
    training.locator("canvas").first.wait_for()


@pytest.mark.parametrize("output", [lesson, playback])
def test_a_page_is_dark_in_a_dark_notebook(notebook: Any, output: Callable[[], Any]) -> None:
    """Whatever the system prefers: notebooks and sites have themes of their own."""
    style = "body { color: #222 } body[data-theme=dark] { color: rgb(255 255 255 / 0.87) } .green { color: #dfd }"
    page = notebook(output(), style=style)
    frame = page.frames[1]
    frame.wait_for_load_state()
    for attribute, value, dark in (
        ("data-theme", "dark", True),
        ("data-theme", "light", False),
        ("class", "green", True),
    ):
        page.evaluate("([name, value]) => document.body.setAttribute(name, value)", [attribute, value])
        frame.wait_for_function("wanted => dark.matches === wanted", arg=dark)
        red, green, blue = map(int, re.findall(r"\d+", frame.evaluate("getComputedStyle(document.body).color")))
        assert (red + green + blue > 3 * 128) == dark


@pytest.mark.parametrize("output", [lesson, playback])
def test_a_notebook_that_is_not_trusted_says_what_to_do(output: Callable[[], Any]) -> None:
    """It takes the frame away, and leaves the text inside."""
    text = re.sub(r"<[^>]*>", "", re.sub(r'srcdoc="[^"]*"', "", output()._repr_html_()))
    assert "trust this notebook" in text


def test_the_address_is_named_where_there_is_one(notebook: Any) -> None:
    frame = notebook(lesson()).frame_locator("iframe")
    assert "address" not in frame.locator("#step").inner_text()
