"""The graph of the lesson's page, as a person uses it: what fits on the screen, zoom, search, strips, files, play."""

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.explainer.conftest import Opened, check_accessible
from tests.explainer.graphs import SIX, attention, fan_out, heart, long, recurrent, scalar, transformer
from tests.marks import param
from tinygrad_lite import nn

Show = Callable[..., Opened]
six = pytest.mark.parametrize("name", [param(name, slow=name in ("one", "fan-out", "long")) for name in SIX])
LAPTOP, PHONE = {"width": 1280, "height": 720}, {"width": 390, "height": 844}
TABLET = {"width": 1000, "height": 760}
WIDER = "width => document.querySelector('[data-node]').getBoundingClientRect().width > width"

TEXTS = """() => [...document.querySelectorAll("#graph text")].map((text) => {
  const { height } = text.getBoundingClientRect();
  const size = parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a;
  return [text.textContent, size];
})"""
NUMBERS = """() => {
  const arrays = lesson.nodes.flatMap((_, i) => [lesson.value(i), lesson.gradient(i)]);
  return arrays.filter((array) => array?.data.length === 1).map((array) => array.data[0]);
}"""
CROSSINGS = """() => {
  const found = [];
  const texts = [...document.querySelectorAll("#graph .group.open .toggle text")];
  const titles = texts.map((text) => [text.textContent, text.getBoundingClientRect()]);
  for (const path of document.querySelectorAll("#graph .edge")) {
    const [length, matrix] = [path.getTotalLength(), path.getScreenCTM()];
    for (let at = 0; at <= length; at += 2) {
      const { x, y } = path.getPointAtLength(at).matrixTransform(matrix);
      const crossed = titles.filter(([, box]) => x > box.left && x < box.right && y > box.top && y < box.bottom);
      found.push(...crossed.map(([name]) => name));
    }
  }
  return [...new Set(found)];
}"""


@pytest.mark.parametrize(
    ("viewport", "scale"),
    [
        param(viewport, scale, slow=(viewport is TABLET) != (scale in (-0.04631, -3.25e-12)))
        for scale in (1.0, -0.04631, 123456.0, -3.25e-12)
        for viewport in (LAPTOP, TABLET)
    ],
)
def test_no_number_is_cut(show: Callable[..., Opened], viewport: dict[str, int], scale: float) -> None:
    """Half a number is another number: where there is less room, it has fewer digits, or none."""
    a, b = tg.tensor(2.125, requires_grad=True, name="a"), tg.tensor(-1.4375, requires_grad=True, name="b")
    y = (np.exp(-a * b) / (1 + a**2) - np.log(a) * np.arctan2(b, a) + np.sin(a) * np.cos(b) / (a - b)) * scale
    opened = show(tg.explain(y), viewport=viewport)
    numbers = opened.page.locator("#graph .number").all_text_contents()
    values = [float(text.split()[-1].replace("−", "-")) for text in numbers if text != "…"]
    exact = opened.page.evaluate(NUMBERS)
    assert len(values) > 10
    assert all(any(abs(value - x) <= 0.5 * abs(x) for x in exact) or value == 0 for value in values)


@six
@pytest.mark.parametrize("viewport", [param(LAPTOP, slow=False), param(PHONE, slow=True)], ids=["laptop", "phone"])
def test_the_whole_graph_is_on_the_screen_and_legible(show: Show, name: str, viewport: Any) -> None:
    """Fitted in both directions and filled; no text under 11 pixels; no edge across a title."""
    opened = show(SIX[name](), step=0, viewport=viewport)
    if viewport is PHONE:
        opened.page.click("#drawer")
        opened.page.wait_for_selector("#graph svg")
    room = opened.page.locator("#graph").bounding_box()
    for box in opened.page.locator("#graph .node, #graph .group").all():
        own = box.bounding_box()
        assert own["x"] >= room["x"] - 1
        assert own["y"] >= room["y"] - 1
        assert own["x"] + own["width"] <= room["x"] + room["width"] + 1
        assert own["y"] + own["height"] <= room["y"] + room["height"] + 1
    small = [(text, size) for text, size in opened.page.evaluate(TEXTS) if size < 10.99]
    assert not small
    assert opened.page.evaluate(CROSSINGS) == []
    assert opened.page.locator("#graph .ahead").count() == 0, "the first view shows what there will be"


def test_fit_after_zoom_and_drag(show: Show) -> None:
    opened = show(heart())
    graph = opened.page.locator("#graph")
    node = opened.node("data")
    before = node.bounding_box()
    room = graph.bounding_box()
    middle = (room["x"] + room["width"] / 2, room["y"] + room["height"] / 2)
    opened.page.mouse.move(*middle)
    opened.page.mouse.wheel(0, -400)
    opened.page.wait_for_function(
        WIDER,
        arg=before["width"] * 1.5,
    )
    opened.page.mouse.down()
    opened.page.mouse.move(middle[0] + 60, middle[1] + 40, steps=4)
    opened.page.mouse.up()
    assert opened.page.locator("#tab-tensor").get_attribute("aria-selected") == "false", "a drag chooses nothing"
    opened.page.locator("#fit").click()
    after = node.bounding_box()
    assert {key: round(length) for key, length in after.items()} == {
        key: round(length) for key, length in before.items()
    }
    graph.focus()
    opened.page.keyboard.press("+")
    opened.page.wait_for_function(
        WIDER,
        arg=before["width"] * 1.1,
    )


def test_the_drawer_makes_room_for_what_is_asked_for(show: Show) -> None:
    opened = show(heart(), viewport=PHONE, has_touch=True)
    pulled = "document.getElementById('graph-section').classList.contains('pulled')"
    for leave in (lambda: opened.page.keyboard.press("Escape"), lambda: opened.page.tap("#tab-quiz")):
        opened.page.tap("#drawer")
        assert opened.page.evaluate(pulled)
        leave()
        assert not opened.page.evaluate(pulled)
    assert "Question 1 of" in opened.panel()


def test_play_opens_the_drawer_with_all_of_the_graph_in_it(show: Show) -> None:
    """In a phone's first screen, and in a figure of the site, which is lower."""
    opened = show(scalar(), viewport=PHONE | {"height": 576}, has_touch=True)
    opened.page.tap("#play")
    opened.page.wait_for_selector("#graph .token")
    opened.page.tap("#play")
    assert opened.page.evaluate(
        """() => {
          const [graph, status, drawer] = ["#graph", "#status", "#drawer"].map((name) => document.querySelector(name));
          const room = graph.getBoundingClientRect();
          const boxes = [...graph.querySelectorAll("[data-node]")].map((each) => each.getBoundingClientRect());
          const isWhole = boxes.every(({ top, bottom }) => top >= room.top && bottom <= room.bottom);
          const isClear = status.getBoundingClientRect().bottom <= drawer.getBoundingClientRect().top;
          return [boxes.length, isWhole && room.bottom <= innerHeight, isClear];
        }"""
    ) == [4, True, True]


@pytest.mark.parametrize("width", [820, 990, 1280])
def test_nothing_moves_below_a_number_that_is_dragged(show: Show, width: int) -> None:
    opened = show(scalar(), viewport={"width": width, "height": 800})
    place = "document.getElementById('graph').getBoundingClientRect().top"
    before = opened.page.evaluate(place)
    for value in (1.5, -12.25, 123.456):
        opened.page.evaluate("([i, x]) => changes.change(i, 0, x)", [opened.index("a"), value])
        assert opened.page.locator("#reset-all").is_visible()
        assert opened.page.evaluate(place) == before


def test_pinch(show: Show) -> None:
    opened = show(heart(), viewport=PHONE, has_touch=True)
    arrow = "() => getComputedStyle(document.getElementById('drawer'), '::before').content"
    assert "▴" in opened.page.evaluate(arrow)
    opened.page.tap("#drawer")
    assert "▾" in opened.page.evaluate(arrow), "open, it says that it closes"
    opened.page.wait_for_selector("#graph svg")
    opened.page.wait_for_function(WIDER, arg=30)
    width = opened.page.evaluate("document.querySelector('[data-node]').getBoundingClientRect().width")
    room = opened.page.locator("#graph").bounding_box()
    x, y = room["x"] + room["width"] / 2, room["y"] + room["height"] / 2
    session = opened.page.context.new_cdp_session(opened.page)

    def touch(kind: str, apart: float | None) -> None:
        points = [] if apart is None else [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 30)
    for apart in (45, 60, 90):
        touch("touchMove", apart)
    touch("touchEnd", None)
    opened.page.wait_for_function(WIDER, arg=width * 1.8)


@pytest.mark.slow
def test_search(show: Show) -> None:
    opened = show(long())
    opened.page.fill("#search", "no such name")
    assert opened.page.inner_text("#matches") == "no match"
    name = opened.lesson.graph.operations[7_000].name
    opened.page.fill("#search", name)
    opened.page.press("#search", "Enter")
    assert opened.page.locator(f'#graph [data-node="{opened.index(name)}"]').is_visible()
    assert name in opened.panel()
    assert opened.page.evaluate("document.activeElement.id") == "search"
    opened.page.fill("#search", "sin(")
    opened.page.press("#search", "Enter")
    opened.page.press("#search", "Enter")
    assert opened.page.inner_text("#matches") == "2 of 5,000"


HIDDEN = """() => {
  const [ground, strip] = [".ground", ".strip-area"].map((part) => document.querySelector(`#graph .strip ${part}`));
  const edges = [...document.querySelectorAll("#graph .edge")];
  const [box, all] = [ground, strip].map((part) => part.getBoundingClientRect());
  const crossing = edges.map((edge) => [edge, edge.getBoundingClientRect()]).filter(([, way]) =>
    way.left < box.right && way.right > box.left && way.top < box.bottom && way.bottom > box.top);
  const isBehind = ([edge]) => edge.compareDocumentPosition(ground) & Node.DOCUMENT_POSITION_FOLLOWING;
  const covers = box.top <= all.top && box.bottom >= all.bottom && box.left <= all.left && box.right >= all.right;
  return [crossing.length > 0, crossing.every(isBehind), covers, getComputedStyle(ground).fill.startsWith("rgb(")];
}"""
"""Whether edges cross the strip of an open loop, all behind its ground, which is as large as the strip, and opaque."""


def test_a_loop_is_a_strip_over_time(show: Show) -> None:
    """The norm of value and gradient for each turn; a click opens a turn, which then follows the steps."""
    lesson = recurrent()
    opened = show(lesson, step=0)
    loop = opened.page.locator('#graph .loop [aria-expanded="false"]')
    assert "30 × input, hidden, add, tanh" in loop.get_attribute("aria-label")
    series = opened.page.evaluate("strips.series(groups.all.find(({ kind }) => kind === 'loop'))")
    states = lesson.graph.operations[3:120:4]
    gradients = [lesson.backward.gradients[node] for node in states]
    np.testing.assert_allclose(series["values"], [np.linalg.norm(node.value) for node in states], rtol=1e-12)
    np.testing.assert_allclose(series["gradients"], [np.linalg.norm(g) for g in gradients], rtol=1e-12)
    area = opened.page.locator(".strip-area")
    box = area.bounding_box()
    opened.page.mouse.click(box["x"] + box["width"] * 10.5 / 30, box["y"] + box["height"] / 2)
    shown = opened.page.locator("#graph .toggle text.name").all_text_contents()
    assert [text for text in shown if "turn" in text] == ["⋮ turns 1–10", "▾ turn 11 of 30", "⋮ turns 12–30"]
    assert opened.page.evaluate(HIDDEN) == [True] * 4
    opened.go(4 * 14 + 4)
    assert opened.node(states[14].name).is_visible()
    assert "▾ turn 15 of 30" in opened.page.locator("#graph .toggle text.name").all_text_contents()
    opened.page.locator("#graph .rest .toggle").first.focus()
    opened.page.keyboard.press("Enter")
    assert "▾ turn 14 of 30" in opened.page.locator("#graph .toggle text.name").all_text_contents()


def test_the_norms_of_a_strip_have_no_squares_outside_the_range_of_numbers(show: Show) -> None:
    """The values become too large for that, and the gradients are too small."""

    def loss(x: Any) -> Any:
        for _ in range(6):
            x = np.abs(x) * 1e40
        return np.sum(x * 1e-200)

    lesson = tg.explain(loss, np.array([3e-40, -4e-40]))
    opened = show(lesson)
    series = opened.page.evaluate("strips.series(groups.all.find(({ kind }) => kind === 'loop'))")
    nodes = [lesson.graph.nodes[i] for i in series["nodes"]]
    arrays = {
        "values": [node.value for node in nodes],
        "gradients": [lesson.backward.gradients[node] for node in nodes],
    }
    assert max(series["values"]) > 1e155
    assert 0 < min(series["gradients"]) < 1e-163
    for name, those in arrays.items():
        np.testing.assert_allclose(np.float64(series[name]), [math.hypot(*array) for array in those], rtol=1e-12)


@pytest.mark.slow
def test_a_long_graph_opens_part_by_part(show: Show) -> None:
    opened = show(long())
    opened.page.locator('#graph .loop [aria-expanded="false"]').focus()
    opened.page.keyboard.press("Enter")
    assert opened.page.locator("#graph .node.operation").count() == 2
    assert "⋮ turns 2–5,000" in opened.page.locator("#graph .toggle text.name").all_text_contents()
    opened.page.locator("#graph .rest .toggle").last.click()
    assert "▾ turn 2 of 5,000" in opened.page.locator("#graph .toggle text.name").all_text_contents()


def test_what_does_not_repeat_is_gathered_in_parts_of_one_size(show: Show) -> None:
    rng = np.random.default_rng(0)
    functions = [np.sin, np.cos, np.tanh, np.arctan]
    y = tg.tensor(0.5, requires_grad=True, name="x")
    for k in rng.integers(4, size=401):
        y = functions[k](y)
    opened = show(tg.explain(y))
    outermost = "all => all.filter(({ dataset }) => /^#\\d+$/.test(dataset.group))"
    names = opened.page.locator("#graph .toggle").evaluate_all(
        f"{outermost}.map((each) => each.getAttribute('aria-label'))"
    )
    counts = [int(re.search(r"; (\d+) operation", name).group(1)) for name in names]  # type: ignore[union-attr]
    assert sum(counts) == 401
    assert max(counts) - min(counts) <= 2
    assert names[0].startswith(f"operations 1–{counts[0]};")


IN_BOXES = """() => [...document.querySelectorAll("#graph [data-node]")].map((node) => {
  const texts = [...node.querySelectorAll("text:not(.mark-text)")];
  const places = texts.map((text) => text.getBoundingClientRect());
  const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3;
  return {
    numbers: texts.filter((text) => text.classList.contains("number")).length,
    overlap: places.some((a, i) => places.slice(0, i).some((b) => meet(a, b))),
  };
})"""


@pytest.mark.parametrize("steps", [9, 13, 16])
def test_each_box_of_a_number_shows_it_and_frames_are_only_for_what_can_be_closed(show: Show, steps: int) -> None:
    functions = [np.sin, np.exp, np.tanh, np.square, np.cos, np.arctan, np.sinh]
    y = tg.tensor(0.375, requires_grad=True, name="x")
    for k in np.random.default_rng(steps).integers(len(functions), size=steps):
        y = functions[k](y)
    opened = show(tg.explain(y), viewport={"width": 1280, "height": 1000})
    boxes = opened.page.evaluate(IN_BOXES)
    assert boxes
    assert {box["numbers"] for box in boxes} == {2}, "the value and its gradient"
    assert not any(box["overlap"] for box in boxes)
    assert len(boxes) == len(opened.lesson.graph.nodes)
    assert not opened.page.locator("#graph .frame").count()


def test_a_box_says_its_formula_once(show: Show) -> None:
    """In a small box that has no value yet, it could stand beside the name and below it."""
    x = tg.tensor([0.5, 1.0, 3.0], requires_grad=True, name="x")
    opened = show(tg.explain(np.sum(np.exp(-x) * x**2)), step=1, viewport={"width": 930, "height": 640})
    boxes = opened.page.evaluate(
        """[...document.querySelectorAll("#graph .node.ahead")].map((box) => {
          const { formula } = lesson.nodes[box.dataset.node];
          const texts = [...box.querySelectorAll("text")].map((text) => text.textContent);
          return texts.filter((text) => text.replace(/^= /, "") === formula).length;
        })"""
    )
    assert boxes == [1, 1, 1, 1]


@pytest.mark.parametrize("make", [param(scalar, slow=True), param(recurrent, slow=False)])
def test_the_picture_is_exported(show: Show, make: Any) -> None:
    opened = show(make())
    with opened.page.expect_download() as download:
        opened.page.get_by_role("button", name="Save the picture as SVG").click()
    path = download.value.path()
    assert download.value.suggested_filename == f"{opened.lesson.graph.root.name}.svg"
    texts = [text.text for text in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314, RUF100  our own
    assert opened.lesson.graph.root.name in texts, "at its own size, whatever the scale on the screen"
    assert len(texts) >= opened.page.locator("#graph text").count()
    with opened.page.expect_download() as download:
        opened.page.get_by_role("button", name="Save the picture as PNG").click()
    content = download.value.path().read_bytes()
    assert content.startswith(b"\x89PNG")
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    assert min(width, height) > 200
    assert len(content) > 5_000, "something is drawn"


def test_thumbnails_say_what_they_leave_out(show: Show) -> None:
    opened = show(heart(), viewport={"width": 1600, "height": 1400})
    data = opened.node("data").locator("text").all_text_contents()
    assert "value: 1 in 34" in data, "8 of 270 rows are drawn"
    assert not any("1 in" in text for text in opened.node("hidden.bias").locator("text").all_text_contents())


def test_arrows_point_the_way_the_numbers_go(show: Show) -> None:
    opened = show(fan_out(), step=1)
    heads = (
        "[...document.querySelectorAll('#graph .edge')]"
        ".map((edge) => ['marker-start', 'marker-end'].map((end) => edge.hasAttribute(end)))"
    )
    assert set(map(tuple, opened.page.evaluate(heads))) == {(False, True)}
    opened.go(opened.page.evaluate("lesson.operations.length + 1"))
    assert set(map(tuple, opened.page.evaluate(heads))) == {(True, False)}


def test_a_backward_step_has_its_numbers_on_its_edges(show: Show) -> None:
    opened = show(scalar(), step=4)
    labels = opened.page.locator("#graph .edge-label text").all_text_contents()
    assert labels == ["1 × 4 = 4", "1 × 2 = 2"]
    gauge = opened.node("b").locator(".gauge").bounding_box()
    box = opened.node("b").locator(".box").bounding_box()
    assert gauge["height"] / box["height"] == pytest.approx(1 / 3, abs=0.03), "one of three contributions"


COVERED = """() => {
  const place = (each) => each.getBoundingClientRect();
  const shared = (a, b, from, to) => Math.min(a[to], b[to]) - Math.max(a[from], b[from]);
  const meet = (a, b) => shared(a, b, "left", "right") > 2 && shared(a, b, "top", "bottom") > 2;
  let [labels, edges, covered] = [0, 0, []];
  for (let k = lesson.operations.length + 1; k <= Math.min(lesson.last, lesson.operations.length + 60); k++) {
    main.go(k);
    const drawn = [...document.querySelectorAll("#graph .edge-label rect")].map(place);
    const texts = [...document.querySelectorAll("#graph .node text, #graph .toggle text")];
    const others = texts.map((text) => [place(text), text.textContent]);
    edges += Math.min(document.querySelectorAll("#graph .edge.active").length, 8);
    labels += drawn.length;
    drawn.forEach((a, i) => {
      if (drawn.slice(0, i).some((b) => meet(a, b))) covered.push(`two labels at ${k}`);
      for (const [b, text] of others) if (b.width && meet(a, b)) covered.push(`${text} at ${k}`);
    });
  }
  return [labels, edges, covered];
}"""


@pytest.mark.parametrize(
    ("make", "height"),
    [
        param(make, height, slow=make is recurrent or (height == 900) != (make in (attention, scalar)))
        for make in (fan_out, attention, recurrent, heart, scalar, transformer)
        for height in (700, 900)
    ],
)
def test_labels_cover_no_text_and_no_other_label(show: Show, make: Callable[[], Any], height: int) -> None:
    opened = show(make(), viewport={"width": 1300, "height": height})
    labels, edges, covered = opened.page.evaluate(COVERED)
    assert covered == []
    assert labels >= 0.75 * edges, "few edges have no room for their label"


@pytest.mark.parametrize("name", [param(name, slow=name not in ("fan-out", "recurrent")) for name in SIX])
def test_play(show: Show, name: str) -> None:
    """Tokens travel, the box fills, and the next step follows; pause stops it where it is."""
    lesson = SIX[name]()
    turning = len(lesson.graph.operations)
    opened = show(lesson, step=turning)
    opened.page.click("#play")
    assert opened.page.inner_text("#play").endswith("Pause")
    if name not in ("long",):
        opened.page.wait_for_selector("#graph .token")
        tokens = "[...document.querySelectorAll('#graph .token')].map((e) => e.getAttribute('transform'))"
        before = opened.page.evaluate(tokens)
        opened.page.wait_for_function(f"before => {tokens}.join() !== before.join()", arg=before)
    assert opened.status().startswith("Backward 1 of")
    opened.page.click("#play")
    assert opened.page.inner_text("#play").endswith("Play")
    assert opened.page.locator("#graph .token").count() == 0
    assert opened.page.locator("#slider").input_value() == str(turning + 1)


@pytest.mark.parametrize(
    ("settings", "plays"),
    [
        ({}, True),
        param({"reduced_motion": "reduce"}, False, slow=True),
        param({"viewport": {"width": 390, "height": 844}}, True, slow=True),  # where it opens the graph's drawer
    ],
)
def test_an_address_that_plays(show: Show, settings: Any, plays: bool) -> None:
    opened = show(scalar(), **settings)
    opened.page.goto("about:blank")
    opened.page.goto(opened.path.as_uri() + "#playing")
    assert opened.page.inner_text("#play").endswith("Pause" if plays else "Play")
    assert opened.page.evaluate("document.activeElement === document.body"), "what moves unasked takes no focus"


@pytest.mark.slow
def test_play_to_the_end_and_from_the_start(show: Show) -> None:
    opened = show(scalar(), step=0, reduced_motion="reduce")
    opened.page.select_option("#speed", "4")
    opened.page.click("#play")
    opened.page.wait_for_function("() => document.getElementById('status').textContent.startsWith('Backward 3 of 3')")
    assert opened.page.locator("#graph .token").count() == 0, "no movement where none is wanted"
    opened.page.wait_for_function("() => document.getElementById('play').textContent.endsWith('Play')")
    opened.page.click("#play")
    opened.page.wait_for_function("() => document.getElementById('status').textContent.startsWith('Forward 2 of 3')")
    opened.page.focus("#slider")
    opened.page.keyboard.press("Home")
    assert opened.page.inner_text("#play").endswith("Play"), "a step by hand ends it"


@pytest.mark.slow
def test_the_whole_of_a_long_pass_plays_in_twenty_seconds(show: Show) -> None:
    opened = show(long())
    opened.page.select_option("#speed", "whole")
    opened.page.click("#play")
    opened.page.wait_for_function("() => +document.getElementById('slider').value > 200")
    opened.page.click("#play")


def test_warnings_stand_on_what_is_closed(show: Show) -> None:
    """Vanishing in eight layers: on the strip, on the first view, and on the step that causes it."""
    layers = [layer for k in range(8) for layer in (nn.Linear(6, 6, rng=k), nn.Sigmoid())]
    model, x = nn.Sequential(*layers, nn.Linear(6, 1, rng=9)), np.random.default_rng(0).normal(size=(10, 6))
    opened = show(tg.explain(lambda: np.mean(model(x) ** 2)))
    assert opened.page.locator("#graph .loop .mark").count() == 1
    assert "warning" in opened.page.locator("#graph .loop .toggle").get_attribute("aria-label")
    opened.page.get_by_role("link", name="see t2, forward 2").click()
    opened.page.wait_for_function("() => document.getElementById('slider').value === '2'")
    assert "vanishing gradient" in opened.page.locator("#step .warning").first.inner_text()


@pytest.mark.parametrize("name", [param("fan-out", slow=False), param("recurrent", slow=True)])
def test_what_moves_and_opens_is_accessible(show: Show, name: str) -> None:
    opened = show(SIX[name](), step=2)
    for toggle in opened.page.locator('#graph [aria-expanded="false"]').all()[:1]:
        toggle.click()
    opened.page.fill("#search", "a")
    opened.page.click("#play")
    check_accessible(opened.page)


def test_the_groups_around_a_step_open(show: Show) -> None:
    """Where not everything fits, a step that is inside a closed part opens it."""
    y = tg.tensor(0.5, requires_grad=True, name="x")
    for k in np.random.default_rng(1).integers(3, size=40):
        y = [np.sin, np.cos, np.tanh][k](y)
    opened = show(tg.explain(y), viewport=LAPTOP)
    for step in (3, 35, 60):
        opened.go(step)
        assert opened.page.locator("#graph .node.current").count() == 1


class Called(nn.Module):
    """Layers that are called several times, and one whose weight is used before."""

    def __init__(self) -> None:
        self.inner = nn.Sequential(nn.Linear(4, 4, rng=0), nn.Tanh())
        self.cell, self.out = nn.GRUCell(4, 4, rng=1), nn.Linear(4, 2, rng=2)

    def forward(self, x: Any) -> Any:
        h, results = np.zeros((3, 4)), [x @ self.out.weight.T]
        for _ in range(3):
            h = self.cell(self.inner(x) * h + self.inner(h), h)
            results.append(self.out(h) + self.out(self.inner(np.sin(h))))
        return np.stack(results)


class Residual(nn.Module):
    def __init__(self) -> None:
        self.layers = nn.ModuleList([nn.Sequential(nn.Linear(4, 4, rng=k), nn.LayerNorm(4)) for k in range(6)])

    def forward(self, x: Any) -> Any:
        for layer in self.layers:
            x = np.maximum(x + layer(np.maximum(x, 0)), -1)
        return x


UPWARD = """() => {
  const within = (item, group) => {
    for (let above = typeof item === "number" ? groups.owner.get(item) : item; above; above = above.parent) {
      if (above.parent === group) return above;
    }
    return item;
  };
  const found = [];
  for (const group of [groups.root, ...groups.all].filter(({ kind }) => kind !== "loop")) {
    const after = new Map(group.items.map((item) => [item, new Set()]));
    const place = (i) => (groups.owner.get(i) === group ? i : within(i, group));
    for (const i of lesson.operations) {
      for (const input of lesson.nodes[i].inputs.filter((each) => typeof each === "number")) {
        const [a, b] = [place(input), place(i)];
        if (a !== b && after.has(a) && after.has(b)) after.get(a).add(b);
      }
    }
    while (true) {
      const first = [...after.keys()].filter((item) => ![...after.values()].some((later) => later.has(item)));
      if (!first.length) break;
      first.forEach((item) => after.delete(item));
    }
    if (after.size) found.push(groups.name(group));
  }
  return found;
}"""
"""The groups whose items cannot be laid out so that all arrows go down."""


@pytest.mark.long
@pytest.mark.parametrize("make", [Called, Residual, lambda: nn.TransformerDecoderLayer(4, 2, 8, dropout=0.0, rng=0)])
@pytest.mark.parametrize("watched", [True, False])
def test_what_flows_back_never_flows_up_the_page(make: Callable[[], Any], watched: bool, show: Show) -> None:
    model, x = make(), np.random.default_rng(0).normal(size=(3, 4))
    inputs = (x, x) if isinstance(model, nn.TransformerDecoderLayer) else (x,)
    lesson = tg.explain(lambda: np.sum(model(*inputs) ** 2)) if watched else tg.explain(np.sum(model(*inputs) ** 2))
    opened = show(lesson)
    assert opened.page.evaluate(UPWARD) == []


def test_each_call_of_a_module_is_a_box_of_its_own(show: Show) -> None:
    model, x = Called(), np.ones((3, 4))
    opened = show(tg.explain(lambda: np.sum(model(x))))
    names = opened.page.evaluate("() => groups.all.filter(({ kind }) => kind === 'module').map(groups.name)")
    assert {"inner", "inner (2)", "cell"} <= {*names}


def test_operations_without_parameters_are_inside_what_surrounds_them() -> None:
    model, x = Residual(), np.ones((3, 4))
    seen, guessed = (tg.explain(f).graph for f in (lambda: np.sum(model(x)), np.sum(model(x))))
    for name, at in (("normalization", "layers"), ("maximum", "layers"), ("sum", "")):
        modules = [node.module for node in guessed.operations if str(node.op) == name][:-1] or [at]
        assert all(module == at or module.startswith(f"{at}.") for module in modules), name
    assert [str(node.op) for node in seen.operations] == [str(node.op) for node in guessed.operations]


def test_an_underscore_is_no_name() -> None:
    def _(x: Any) -> Any:
        return np.sum(x**2)

    x = tg.tensor([1.0, 2.0], requires_grad=True, name="x")
    assert tg.explain(_, x).graph.root.name == "result"


def test_a_detached_array_is_not_that_of_a_weight_which_has_another_one_since() -> None:
    def step(w: Any) -> Any:
        old = w.detach()
        w.data = w.data * 0.5
        return np.sum((old - w) ** 2)

    graph = tg.explain(step, tg.tensor([1.0, 2.0], requires_grad=True, name="w")).graph
    assert sorted(leaf.value.tolist() for leaf in graph.leaves) == [[0.5, 1.0], [1.0, 2.0]]


class Holder:
    def __init__(self, layer: nn.Module) -> None:
        self.layer = layer


HOLDERS: dict[str, tuple[Callable[[nn.Module], Any], str]] = {
    "a name": (lambda layer: layer, "held"),
    "a list": (lambda layer: [layer], "held[0]"),
    "a tuple": (lambda layer: (layer,), "held[0]"),
    "a dict": (lambda layer: {"first": layer}, "first"),
    "a list in a dict": (lambda layer: {"layers": [layer]}, "layers[0]"),
    "an object": (Holder, "layer"),
    "a list of objects": (lambda layer: [Holder(layer)], "held[0].layer"),
}


def held_layer(hold: Callable[[nn.Module], Any], other: nn.Module) -> tuple[Any, Any]:
    """What holds a layer, and a loss behind it and another layer, so that `weight` alone is no name."""
    layer = nn.Linear(2, 2, rng=0)
    return hold(layer), np.sum(other(layer(np.ones((1, 2)))))


@pytest.mark.parametrize("name", HOLDERS)
def test_the_weights_of_layers_have_the_name_of_what_holds_them(name: str) -> None:
    hold, path = HOLDERS[name]
    other = nn.Linear(2, 2, rng=1)
    held, loss = held_layer(hold, other)
    names = {leaf.name for leaf in tg.explain(loss).graph.leaves}
    assert {f"{path}.weight", f"{path}.bias"} <= names, held
