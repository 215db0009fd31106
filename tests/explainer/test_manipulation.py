"""Numbers that are dragged, by mouse, finger and keyboard, and what is seen of it; pictures; and the quiz."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.explainer.conftest import Opened
from tests.explainer.graphs import SIX, attention, heart, long, scalar
from tests.explainer.test_page import Show, numbers
from tests.marks import param
from tinygrad_lite.explainer import rerun
from tinygrad_lite.explainer.graph import Node


def drag(opened: Opened, target: Any, pixels: int, position: Mapping[str, float] | None = None) -> None:
    box = target.bounding_box()
    x, y = (position["x"], position["y"]) if position else (box["width"] / 2, box["height"] / 2)
    opened.page.mouse.move(box["x"] + x, box["y"] + y)
    opened.page.mouse.down()
    for k in range(1, 5):
        opened.page.mouse.move(box["x"] + x + pixels * k / 4, box["y"] + y)
    frame(opened)
    opened.page.mouse.up()


def frame(opened: Opened) -> None:
    """Wait until what a pointer asked for is drawn."""
    opened.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def expect_computed_again(opened: Opened, make: Any, leaf: str) -> None:
    """Every gradient is the one that Python finds for the leaf's new numbers."""
    node = opened.lesson.graph.nodes[opened.index(leaf)]
    changed = np.reshape(np.array(opened.data("value", leaf), float), node.shape)
    assert np.sum(changed != node.value) == 1
    again = make({leaf: changed})
    for other, gradient in again.backward.gradients.items():
        np.testing.assert_allclose(opened.data("gradient", other.name), np.ravel(gradient), rtol=1e-9, atol=1e-12)


def test_a_number_is_dragged_with_the_mouse(show: Show) -> None:
    opened = show(scalar(), step=6)
    opened.node("a").click()
    assert opened.page.locator("#loss").inner_text().split() == ["d", "=", "8"]
    drag(opened, opened.page.locator("#tensor .numbers .drag"), 50)
    assert opened.data("value", "a") == [2.0], "a pixel is a fiftieth of the number's size"
    expect_computed_again(opened, scalar, "a")
    assert numbers(opened.page.locator("#loss").inner_text()) == [32.0, 24.0], "the loss, and its change"
    assert "flash" in opened.node("b").get_attribute("class").split()
    opened.page.click("#reset-all")
    assert opened.page.locator("#loss").inner_text().split() == ["d", "=", "8"]


def test_numbers_of_the_graph_are_dragged(show: Show) -> None:
    opened = show(scalar(), step=6)
    drag(opened, opened.node("a").locator(".number").first, 50)
    assert opened.data("value", "a") == [2.0]
    expect_computed_again(opened, scalar, "a")
    drag(opened, opened.node("b").locator(".number").first, 40)
    assert opened.page.locator("#tensor .nudge tbody tr").count() == 3, "a result is nudged"
    assert opened.data("value", "b") == [4.0], "and is what it was"


def test_what_changed_is_seen_without_motion_too(show: Show) -> None:
    opened = show(scalar(), step=6, reduced_motion="reduce")
    opened.node("a").click()
    opened.page.get_by_role("spinbutton", name="a", exact=True).press("ArrowUp")
    box = opened.node("b").locator(".box").first
    assert box.evaluate("e => getComputedStyle(e).animationName") == "none"
    assert box.evaluate("e => getComputedStyle(e).strokeWidth") == "4px", "it has a frame for as long as it is shown"


def test_a_number_is_dragged_with_a_finger(show: Show) -> None:
    opened = show(scalar(), viewport={"width": 390, "height": 844}, has_touch=True)
    opened.page.evaluate("main.choose(0)")
    box = opened.page.locator("#tensor .numbers .drag").bounding_box()
    session = opened.page.context.new_cdp_session(opened.page)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for way in (10, 20, 25):
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x + way, "y": y}]})
        frame(opened)
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert opened.data("value", "a")[0] > 1.2
    expect_computed_again(opened, scalar, "a")


def test_a_number_is_changed_with_the_keyboard(show: Show) -> None:
    opened = show(scalar())
    opened.node("a").click()
    number = opened.page.get_by_role("spinbutton", name="a", exact=True)
    number.focus()
    opened.page.keyboard.press("ArrowUp")
    assert opened.data("value", "a") == [1.1]
    opened.page.keyboard.press("ArrowDown")
    opened.page.keyboard.press("PageUp")
    assert opened.data("value", "a") == [2.0], "it still has the focus"
    opened.page.keyboard.press("Enter")
    opened.page.keyboard.type("-0.5")
    opened.page.keyboard.press("Enter")
    assert opened.data("value", "a") == [-0.5]
    expect_computed_again(opened, scalar, "a")


def test_a_table_is_walked_and_changed_with_the_keyboard(show: Show) -> None:
    opened = show(heart())
    opened.page.evaluate("i => main.choose(i)", opened.index("hidden.bias"))
    opened.page.locator('#tensor table.cells [tabindex="0"]').first.focus()
    chosen = opened.page.evaluate(
        "[...document.querySelectorAll('#tensor table.cells td')].indexOf(document.activeElement)"
    )
    way, step = ("ArrowRight", 1) if chosen < 7 else ("ArrowLeft", -1)
    opened.page.keyboard.press(way)
    before = opened.data("value", "hidden.bias")[chosen + step]
    opened.page.keyboard.press("+")
    assert opened.data("value", "hidden.bias")[chosen + step] > before
    expect_computed_again(opened, heart, "hidden.bias")


@pytest.mark.parametrize("where", ["table", "heat map", "factor"])
def test_entries_are_dragged_where_they_stand(show: Show, where: str) -> None:
    """In a table of numbers, in a heat map, and in the transposed factor of a product."""
    opened = show(heart(), step=1)
    leaf = "hidden.bias" if where == "table" else "hidden.weight"
    if where == "factor":
        target = opened.page.locator(".product .right canvas")
    else:
        opened.page.evaluate("i => main.choose(i)", opened.index(leaf))
        target = opened.page.locator("#tensor figure").first.locator("td, canvas").first
    target.scroll_into_view_if_needed()
    drag(opened, target, 30, {"x": 5.0, "y": 5.0})
    expect_computed_again(opened, heart, leaf)
    changed = np.reshape(opened.data("value", leaf), -1)
    assert changed[0] > np.ravel(opened.lesson.graph.nodes[opened.index(leaf)].value)[0]


@pytest.mark.parametrize("name", [param(name, slow=name in ("fan-out", "attention", "long")) for name in SIX])
def test_a_person_plays_with_it(show: Show, name: str) -> None:
    """A key changes a number: the loss is that of Python, and beside it is its change; the nudge predicts g · h."""
    lesson = SIX[name]()
    opened = show(lesson, viewport={"width": 390, "height": 844})
    leaf = next(leaf for leaf in lesson.graph.leaves if leaf.requires_grad)
    opened.page.evaluate("i => main.choose(i)", opened.index(leaf.name))
    opened.page.locator("#tensor .numbers .drag").focus()
    opened.page.keyboard.press("ArrowUp")
    changed = np.reshape(np.array(opened.data("value", leaf.name), float), leaf.shape)
    place = int(np.argmax(np.abs(changed - leaf.value)))
    loss = lesson.graph.total(rerun.result(lesson.graph, {leaf: changed}))
    before = lesson.graph.total(lesson.graph.root.value)
    shown, change = numbers(opened.page.locator("#loss").inner_text().partition("=")[2])
    assert [shown, change] == pytest.approx([loss, loss - before], rel=1e-3, abs=1e-5 * abs(before))
    assert opened.page.evaluate("lesson.result()") == pytest.approx(loss, rel=1e-12)
    last = opened.page.evaluate("([i, k]) => lesson.nudged(i, k, 1e-4).at(-1)", [opened.index(leaf.name), place])
    predicted = opened.page.evaluate("each => lesson.weighted(each.predicted)", last)
    assert predicted == pytest.approx(opened.data("gradient", leaf.name)[place] * 1e-4, rel=1e-9, abs=1e-300)
    tabs = ("step", "tensor", "optimizer", "quiz")
    for width, tab in [(390, tab) for tab in tabs] + [(1280, tab) for tab in tabs]:
        opened.page.set_viewport_size({"width": width, "height": 844})
        opened.open_tab(tab)
        wide = opened.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, "nothing sticks out at the side"


def moved(lesson: Any, node: Node, place: int, h: float) -> dict[Node, Any]:
    """The values of all nodes behind one of whose entries another number is put."""
    value = np.array(node.value, float)
    value.flat[place] += h
    values: dict[Node, Any] = {node: value}
    for other in lesson.graph.operations:
        if other not in values and any(isinstance(x, Node) and x in values for x in other.inputs):
            arrays = [values.get(x, a) if isinstance(x, Node) else a for x, a in zip(other.inputs, other.arrays)]
            values[other] = other.op(*arrays, **other.params)
    return values


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (scalar, "b"),
        (heart, "hidden.weight"),
        (attention, "attention.query.weight"),
        param(long, "t9000", slow=True),
    ],
)
def test_a_nudge_shows_the_chain_rule(show: Show, make: Any, name: str) -> None:
    """At every node up to the loss: the derivative's prediction, and what really happens."""
    lesson = make()
    opened = show(lesson)
    node = lesson.graph.nodes[opened.index(name)]
    place, h = np.size(node.value) // 2, 1e-3
    shown = opened.page.evaluate("([i, place, h]) => lesson.nudged(i, place, h)", [opened.index(name), place, h])
    after, above, below = (moved(lesson, node, place, step) for step in (h, 1e-5, -1e-5))
    assert {lesson.graph.nodes[each["node"]] for each in shown} == set(after)
    for each in shown:
        other = lesson.graph.nodes[each["node"]]
        real = np.ravel(after[other] - other.value)
        np.testing.assert_allclose(each["real"]["data"], real, rtol=1e-6, atol=1e-13)
        slope = np.ravel(above[other] - below[other]) / 2e-5
        np.testing.assert_allclose(each["predicted"]["data"], slope * h, rtol=1e-5, atol=1e-12)
    derived = float(np.ravel(lesson.backward.gradients[node])[place]) * h
    assert shown[-1]["predicted"]["data"][0] == pytest.approx(derived, rel=1e-9, abs=1e-300)


def test_a_small_nudge_of_single_precision_is_no_rounding(show: Show) -> None:
    rng = np.random.default_rng(0)
    w, x = (rng.normal(size=shape).astype("f4") for shape in ((4, 3), (5, 4)))
    opened = show(tg.explain(lambda w: np.mean(np.tanh(x @ w)), tg.tensor(w, requires_grad=True, name="w")))
    for each in opened.page.evaluate("i => lesson.nudged(i, 2, 1e-6)", opened.index("w"))[1:]:
        real, predicted = (np.array(each[which]["data"]) for which in ("real", "predicted"))
        np.testing.assert_allclose(real, predicted, atol=1e-4 * np.max(np.abs(predicted)))


def test_a_nudge_is_dragged_and_listed(show: Show) -> None:
    opened = show(scalar())
    opened.node("b").click()
    rows = opened.page.locator("#tensor .nudge tbody tr")
    assert [row.locator("th").inner_text() for row in rows.all()] == ["b", "c", "d"]
    assert [[float(cell) for cell in row.locator("td").all_inner_texts()[:2]] for row in rows.all()] == [
        [0.02, 0.02],
        [0.04, 0.04],
        [0.16, 0.1608],
    ]
    opened.page.get_by_role("button", name="h · 10").click()
    assert "Predicted and real differ" in opened.panel()
    opened.page.get_by_role("button", name="h / 10").click()
    assert "Predicted and real agree" in opened.panel()
    drag(opened, opened.page.locator("#tensor .numbers .drag").first, 50)
    assert numbers(rows.last.inner_text())[1] == pytest.approx(2 * 3**2 - 8), "b is nudged from 2 to 3"
    assert opened.data("value", "b") == [2.0], "and is what it was"


def test_rows_and_columns_meet(show: Show) -> None:
    """A product is an L: the left factor beside the result, the right one above it, entry by entry in line."""
    for make, step in ((attention, 5), (heart, 1)):
        opened = show(make(), step=step)
        left, right, meeting = (
            opened.page.locator(f".product .{part} :is(canvas, table)").bounding_box()
            for part in ("left", "right", "meeting")
        )
        assert left["y"] == pytest.approx(meeting["y"], abs=1)
        assert left["height"] == pytest.approx(meeting["height"], abs=1)
        assert right["x"] == pytest.approx(meeting["x"], abs=1)
        assert right["width"] == pytest.approx(meeting["width"], abs=1)
        assert left["x"] + left["width"] < meeting["x"]
        assert right["y"] + right["height"] < meeting["y"]


def test_what_is_compared_has_one_scale_of_colours(show: Show) -> None:
    small, large = (tg.tensor([x, 1.0], requires_grad=True, name=name) for x, name in ((0.5, "small"), (8.0, "large")))
    opened = show(tg.explain(np.sum(small + large)), step=1)
    cells = opened.page.locator("#step .compared td")
    colours: dict[str, set[str]] = {}
    for cell in cells.all():
        colours.setdefault(cell.inner_text(), set()).add(cell.evaluate("e => e.style.background"))
    assert {len(colours[number]) for number in colours} == {1}, "the same number has the same colour in each of them"
    assert numbers(opened.page.locator("#step .compared > .legend").inner_text()) == [-8.5, 8.5]


def test_a_sum_is_drawn_as_its_terms(show: Show) -> None:
    opened = show(scalar(), step=6)
    bars = opened.page.locator("#step .sum table.bars")
    assert [float(x) for x in bars.locator("td.of").all_inner_texts()] == [4.0, 2.0, 2.0, 8.0]
    boxes = [bar.bounding_box() for bar in bars.locator(".bar").all()]
    for before, after in pairwise(boxes[:3]):
        assert before["x"] + before["width"] == pytest.approx(after["x"], abs=1), "each begins where the last one ends"
    assert boxes[3]["width"] == pytest.approx(sum(box["width"] for box in boxes[:3]), abs=2)


def test_a_contraction_is_a_product(show: Show) -> None:
    rng = np.random.default_rng(0)
    a, b = (
        tg.tensor(rng.normal(size=shape), requires_grad=True, name=name)
        for shape, name in (((2, 3, 4), "a"), ((2, 4, 5), "b"))
    )
    wide = {"width": 1600, "height": 900}  # where there is room for three digits of each number
    opened = show(tg.explain(np.sum(np.einsum("nij,njk->nik", a, b))), step=1, viewport=wide)
    field = opened.page.get_by_label("Which of the 2 products")
    field.fill("1")
    field.press("Enter")
    shown = opened.page.locator(".product .meeting td").all_inner_texts()
    found = [float(number.replace("−", "-")) for number in shown]
    np.testing.assert_allclose(found, np.ravel(a.data[1] @ b.data[1]), rtol=0.01, atol=0.001)
    opened.go(4)
    assert opened.page.locator(".product").count() == 2, "and so are both gradients"


def test_what_is_recorded_only_is_not_dragged(show: Show) -> None:
    x = tg.tensor([1.0, 4.0, 2.0], requires_grad=True, name="x")
    opened = show(tg.explain(np.sum(np.maximum.accumulate(x * x))), step=1)
    assert opened.page.locator(".drag").count() == 0


def test_the_quiz_knows_infinity_and_nan(show: Show) -> None:
    for x, answer, wrong in ((0.0, "inf", "5"), (np.nan, "nan", "0")):
        with np.errstate(all="ignore"):
            point = tg.tensor(x, requires_grad=True, name="point")
            opened = show(tg.explain(np.log(point) * 1.0))
        opened.open_tab("quiz")
        while "What does it hand to point" not in opened.panel():
            opened.pass_over()
        opened.page.fill("#answer", wrong)
        opened.page.press("#answer", "Enter")
        assert "Not yet" in opened.panel()
        opened.page.fill("#answer", answer)
        opened.page.press("#answer", "Enter")
        assert "Right: " in opened.panel()


def test_the_quiz_names_the_mistake(show: Show) -> None:
    opened = show(scalar())
    opened.open_tab("quiz")
    assert "What does it hand to b, where b = 2 and c = 4?" in opened.panel()
    for wrong, why in (("-4", "the sign is wrong"), ("1", "the local derivative is left out"), ("5", "are added")):
        opened.page.fill("#answer", wrong)
        opened.page.press("#answer", "Enter")
        assert why in opened.page.locator(".outcome-text").inner_text()
        assert "4" not in opened.page.locator(".outcome-text").inner_text(), "and not the answer"
    opened.page.fill("#answer", "77")
    opened.page.press("#answer", "Enter")
    assert "Multiply the upstream gradient by the local derivative." in opened.panel()


ASKED = """() => {
  const asked = [];
  while (document.querySelector("#answer")) {
    asked.push([quizView.question().kind, quizView.question().text()]);
    document.querySelectorAll("#quiz form button")[1].click();
    [...document.querySelectorAll("#quiz button")].at(-1).click();
  }
  return asked;
}"""
"""Goes through the quiz, and returns what is asked."""


def test_a_seed_decides_the_questions(show: Show) -> None:
    opened = show(attention())
    asked: dict[str | None, list[Any]] = {}
    for seed in ("anna", "anna", "ben", None):
        opened.lesson.to_html(opened.path, seed=seed)
        opened.page.reload()
        opened.open_tab("quiz")
        questions = opened.page.evaluate(ASKED)
        assert asked.setdefault(seed, questions) == questions
    assert asked["anna"] != asked["ben"] != asked[None]
    assert {kind for kind, _ in asked[None]} >= {"shape", "axes", "arrow", "entry", "order"}
