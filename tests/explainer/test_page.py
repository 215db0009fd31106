"""The lesson's page in a browser, used as a person would: with a mouse, with a keyboard, and read aloud."""

import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tinygrad_lite as tg
from tests.explainer.conftest import Opened, check_accessible
from tests.explainer.graphs import COMPLEX, LESSONS, Block, attention, fan_out, heart, scalar, transformer
from tests.marks import param
from tinygrad_lite import nn
from tinygrad_lite.explainer import rerun
from tinygrad_lite.explainer.packing import WHOLE
from tinygrad_lite.nn import functional as F
from tinygrad_lite.testing import programs

Show = Callable[..., Opened]
NUMBER = r"−?\d+(?:\.\d+)?(?:e−?\d+)?"
lessons = pytest.mark.parametrize("name", LESSONS)
shorter_lessons = pytest.mark.parametrize("name", [param(name, slow=name in ("attention", "long")) for name in LESSONS])


def numbers(text: str) -> list[float]:
    """The numbers in a text of the page, with its minus signs."""
    return [float(found.replace("−", "-")) for found in re.findall(rf"(?<![\w.]){NUMBER}", text)]


def empty() -> Any:
    a, b = (
        tg.tensor(np.zeros((0, 3)), requires_grad=True, name="a"),
        tg.tensor(np.ones(3), requires_grad=True, name="b"),
    )
    return np.sum(a @ b) + np.sum(np.outer(b, np.zeros(0))) + np.sum(a * b) + np.sum(b)


def not_finite() -> Any:
    x = tg.tensor([1.0, -1.0, 0.0], requires_grad=True, name="x")
    with np.errstate(all="ignore"):
        return np.sum(np.log(x) / x)


def half_precision() -> Any:
    rng = np.random.default_rng(0)
    w, x = (tg.tensor(np.float16(rng.normal(size=s)), requires_grad=True, name=n) for s, n in (((4, 4), "w"), (4, "x")))
    return np.sum(np.tanh(w @ x))


def named() -> Any:
    a = tg.tensor([1.0, 2.0], requires_grad=True, name='<b>α & "β"</b>')
    return np.sum(a * tg.tensor(3.0, requires_grad=True, name="数_x^2 $\\alpha$")) + np.prod(a)


@pytest.mark.parametrize("make", [empty, not_finite, half_precision, named])
def test_each_step_of_an_unusual_graph_reads_well(show: Show, make: Callable[[], Any]) -> None:
    with np.errstate(all="ignore"):
        lesson = tg.explain(make())
        assert all([lesson.to_text(), lesson.to_svg(), lesson.to_latex()])
        opened = show(lesson)
    read = """() => {
      const texts = [];
      const panel = () => texts.push(document.querySelector('[role="tabpanel"]:not([hidden])').innerText);
      for (let k = 0; k <= lesson.last; k++) (main.go(k), panel());
      lesson.nodes.forEach((_, i) => (main.choose(i), panel()));
      for (const tab of ["optimizer", "quiz"]) (document.getElementById(`tab-${tab}`).click(), panel());
      return texts;
    }"""
    for text in opened.page.evaluate(read):
        assert not re.search(r"undefined|\[object|\[NaN\]|= =", text)


@pytest.mark.parametrize("name", [param(name, slow=name not in ("one number", "summed")) for name in COMPLEX])
def test_complex_numbers_are_shown_by_their_parts(show: Show, name: str) -> None:
    """The parts of an entry stand side by side."""
    lesson = COMPLEX[name]()
    opened = show(lesson)
    if "Recorded only" in opened.panel():
        opened.go(1)
        opened.page.get_by_role("button", name="fixed numbers: why?").click()
        assert re.search("Recorded only: .*too large", opened.panel()), "it says why at any step"
    for k, node in enumerate(lesson.graph.nodes):
        gradient = lesson.backward.gradients.get(node)
        for what, array in (("value", node.value), ("gradient", gradient)):
            if array is None or np.size(array) > WHOLE:
                continue
            parts = np.stack([array.real, array.imag], axis=-1) if np.iscomplexobj(array) else array
            assert opened.page.evaluate(f"lesson.{what}({k}).data") == np.ravel(parts).tolist(), node.name
    z = next(node for node in lesson.graph.operations if np.iscomplexobj(node.value))
    opened.page.evaluate("i => main.choose(i)", opened.index(z.name))
    assert re.search(rf"(real|imaginary) part of {z.name}", opened.panel())
    second = opened.page.evaluate("i => indexed('z', lesson.value(i), 1)", opened.index(z.name))
    assert second.startswith("imaginary part of z") or name == "too large", "of which every 8th column is shown"
    for step in lesson.backward.steps:
        opened.go(len(lesson.graph.operations) + step.number)
        takes = any(contribution.takes_real_part for contribution in step.contributions)
        assert ("takes the real part" in opened.panel()) == takes
        if any(np.iscomplexobj(c.full) for c in step.contributions):
            numbers = opened.page.locator(".contribution .numbers").all_inner_texts()
            assert "×" not in "".join(numbers), "a product of parts is no equation"
            assert not opened.page.locator(".contribution .track").count()
        assert not re.search(r"undefined|\[object|NaN", opened.panel())
    for tab in ("optimizer", "quiz"):
        opened.open_tab(tab)
        assert not re.search(r"undefined|\[object|NaN", opened.panel())
    count = int(re.search(r"Question 1 of (\d+)", opened.panel()).group(1))  # type: ignore[union-attr]
    for _ in range(count):
        assert not re.search(r"undefined|\[object|NaN", opened.panel())
        opened.pass_over()
    lesson._repr_html_()


@pytest.mark.parametrize("name", [param(name, slow=name not in ("one number", "summed")) for name in COMPLEX])
def test_complex_numbers_are_computed_again(show: Show, name: str) -> None:
    lesson = COMPLEX[name]()
    opened = show(lesson)
    if not opened.page.evaluate("lesson.live"):
        return  # it is too large
    x = next(leaf for leaf in lesson.graph.leaves if leaf.name == "x")
    changed = np.array(x.value * 1.1 - 0.05)
    told = {"shape": list(changed.shape), "data": np.ravel(changed).tolist()}
    opened.page.evaluate("([i, x]) => lesson.change([[i, x]])", [opened.index("x"), told])
    again = COMPLEX[name](changed)
    for node, other in zip(lesson.graph.nodes, again.graph.nodes):
        for what, array in (("value", other.value), ("gradient", again.backward.gradients.get(other))):
            if array is None:
                continue
            parts = np.stack([array.real, array.imag], axis=-1) if np.iscomplexobj(array) else array
            off = 1e-5 if parts.dtype == np.float32 else 1e-9
            np.testing.assert_allclose(opened.data(what, node.name), np.ravel(parts), rtol=off, atol=off)
    for node in lesson.graph.operations:
        if node is lesson.graph.root:
            continue
        for place in range(1 + np.iscomplexobj(node.value)):
            slope = opened.page.evaluate("([i, k]) => lesson.slopeAt(i, k)", [opened.index(node.name), place])
            nudged = "([i, k]) => lesson.nudged(i, k, 1e-7).find((each) => each.node === lesson.root)"
            last = opened.page.evaluate(nudged, [opened.index(node.name), place])
            assert last["predicted"]["data"][0] == pytest.approx(1e-7 * slope, rel=1e-5, abs=1e-14)
            assert last["real"]["data"][0] == pytest.approx(1e-7 * slope, rel=1e-4, abs=1e-13)


SMALL_TEXTS = """() => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) {
    const holder = texts.currentNode.parentElement;
    const box = holder.getBoundingClientRect();
    if (!texts.currentNode.textContent.trim() || !box.width || holder.closest(".unseen, script, style")) continue;
    const matrix = holder.closest("svg") && holder.getScreenCTM();
    const size = parseFloat(getComputedStyle(holder).fontSize) * (matrix ? Math.hypot(matrix.a, matrix.b) : 1);
    if (size < 10.9) found.push(`${texts.currentNode.textContent} ${size}`);
  }
  return found;
}"""


COMMAS_IN_FRONT = """() => [...document.querySelectorAll("figcaption b")].filter(({ lastChild: text }) => {
  const at = text.data.indexOf(",");
  if (at < 1) return false;
  const [before, comma] = [at - 1, at].map((k) => {
    const range = document.createRange();
    range.setStart(text, k);
    range.setEnd(text, k + 1);
    return range.getBoundingClientRect().top;
  });
  return before !== comma;
}).map((e) => e.textContent)"""


def class_scores() -> Any:
    logits = tg.tensor(np.random.default_rng(0).normal(size=(2, 3)), requires_grad=True, name="logits")
    return tg.explain(lambda: nn.functional.cross_entropy(nn.functional.log_softmax(logits / 3.0), np.array([0, 2])))


def long_names() -> Any:
    rng = np.random.default_rng(0)
    long = "a_name_that_goes_on_and_on_and_on_for_ever_and_ever_of_a_weight_in_a_hidden_layer"
    w, b = (tg.tensor(rng.normal(size=3), requires_grad=True, name=name) for name in (long, f"{long[::-1]} 数"))
    return tg.explain(lambda: np.sum(np.tanh(w * b + w) * b))


@pytest.mark.parametrize(
    ("make", "width"),
    [
        param(make, width, slow=make is heart or (width == 1280) != (make is COMPLEX["used twice"]))
        for make in (class_scores, long_names, heart, COMPLEX["used twice"])
        for width in (390, 1280)
    ],
)
def test_everything_can_be_read(show: Show, make: Callable[[], Any], width: int) -> None:
    """No text is under 11 pixels, no formula is cut, no line begins with a comma, and no page is too wide."""
    opened = show(make(), viewport={"width": width, "height": 800})
    views = [f"main.go({k})" for k in range(opened.page.evaluate("lesson.last") + 1)]
    for view in [*views, *(f"main.choose({k})" for k in range(len(opened.lesson.graph.nodes)))]:
        opened.page.evaluate(view)
        assert opened.page.evaluate(SMALL_TEXTS) == [], view
        formulas = "[...document.querySelectorAll('.formula, .term p')]"
        cut = f"{formulas}.filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.outerHTML)"
        assert opened.page.evaluate(cut) == [], view
        behind = (
            "[...document.querySelectorAll('button.link')].map((e) => e.nextSibling).filter((e) => e?.nodeType === 3)"
        )
        assert opened.page.evaluate(COMMAS_IN_FRONT) == [], view
        alone = f"{behind}.filter((e) => /^[.,:;]/.test(e.data) && !e.parentElement.matches('.listed'))"
        assert opened.page.evaluate(f"{alone}.map((e) => e.parentElement.textContent)") == [], view
        wide = opened.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, view


def test_a_long_rule_is_told_in_parts(show: Show) -> None:
    x = tg.tensor(np.random.default_rng(0).normal(size=(1, 1, 4, 4)), requires_grad=True, name="x")
    opened = show(tg.explain(np.sum(nn.functional.max_pool2d(x * x, 2) ** 2)), step=7)
    assert "Backward 3 of 4: max_pool" in opened.panel()
    parts = [text for text in opened.formulas() if re.match(r"[abc] = ", text)]
    assert [part[0] for part in parts] == ["a", "b", "c"]
    assert all("t1[..., " in part for part in parts)
    assert "where" in opened.panel()
    opened.page.evaluate("main.go(lesson.last)")
    label = opened.page.locator("#graph .edge-label title").all_text_contents()
    assert not any("shape=" in text for text in label)


def test_an_exponent_stands_beside_its_base_in_every_font(show: Show) -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True, name="x")
    opened = show(tg.explain(np.sum(np.tanh(x) * 1e-30)), step=2)
    base, exponent = (
        opened.page.locator(f"#step msup > :{part}-child").first.bounding_box() for part in ("first", "last")
    )
    middle = base["y"] + base["height"] / 2
    assert exponent["y"] + exponent["height"] / 2 < middle
    assert base["y"] < exponent["y"] + exponent["height"] < base["y"] + base["height"]


def test_an_index_stands_below_its_line_in_every_font(show: Show) -> None:
    opened = show(tg.explain(np.sum(tg.tensor([1.0, 2.0], requires_grad=True, name="x"))), step=2)
    base, index = (
        opened.page.locator(f"#step msub > :{part}-child").first.bounding_box() for part in ("first", "last")
    )
    assert index["y"] + index["height"] > base["y"] + base["height"] + 1
    box = opened.page.locator("#step .formula:has(msub)").first.bounding_box()
    assert index["y"] + index["height"] <= box["y"] + box["height"], "it is not cut"


@pytest.mark.long
@lessons
def test_the_graph_is_laid_out(show: Show, name: str) -> None:
    """Ability 1: nodes with name, formula, shape, value and gradient, in modules that open and close."""
    opened = show(LESSONS[name](), step=0)
    boxes = opened.page.locator("#graph .node .box, #graph .group.closed > .box")
    assert 0 < boxes.count() <= 60, "of a long graph only what is open is drawn"
    rectangles = [box.bounding_box() for box in boxes.all()]
    for i, a in enumerate(rectangles):
        for b in rectangles[:i]:
            apart = (
                a["x"] >= b["x"] + b["width"]
                or b["x"] >= a["x"] + a["width"]
                or a["y"] >= b["y"] + b["height"]
                or b["y"] >= a["y"] + a["height"]
            )
            assert apart, "no box covers another"


def test_a_node_tells_what_it_is(show: Show) -> None:
    opened = show(heart())
    opened.go(opened.page.evaluate("lesson.last"))
    label = opened.node("hidden.weight").get_attribute("aria-label")
    assert label.startswith("hidden.weight, a leaf with a gradient; 8 × 13; value mean")
    assert "gradient mean" in label
    assert opened.node("hidden.weight").locator("image").count() == 2, "a heat map of the value, one of the gradient"
    assert "activation = relu(hidden)" in opened.node("activation").get_attribute("aria-label")
    for name, beside in (("hidden.weight", "8 × 13"), ("hidden", "linear"), ("activation", "relu")):
        assert any(beside in line for line in opened.node(name).locator("text").all_text_contents()), name
    opened.node("activation").click()
    assert "graphs.py" in opened.panel()
    assert "activation = nn.functional.relu(self.hidden(x))" in opened.panel()


def test_modules_close_and_open(show: Show) -> None:
    opened = show(attention(), viewport={"width": 2000, "height": 1600})
    before = opened.page.locator("#graph .node").count()
    assert before == len(opened.lesson.graph.nodes), "there is room for all"
    query = opened.page.locator('#graph [data-group="attention.query"]')
    assert query.get_attribute("aria-expanded") == "true"
    query.click()
    assert opened.page.locator("#graph .node").count() == before - 3
    query = opened.page.locator('#graph [data-group="attention.query"]')
    assert query.get_attribute("aria-expanded") == "false"
    query.focus()
    opened.page.keyboard.press("Enter")
    assert opened.page.locator("#graph .node").count() == before


@shorter_lessons
def test_steps_in_the_order_in_which_they_run(show: Show, name: str) -> None:
    """Ability 2: forward and backward, by button, key or slider, each step with its address."""
    lesson = LESSONS[name]()
    opened = show(lesson)
    assert opened.status().startswith("Start")
    operations, steps = lesson.graph.operations, lesson.backward.steps
    last = len(operations) + len(steps)
    opened.page.click("#next")
    assert opened.status() == f"Forward 1 of {len(operations)}: {_formula(operations[0])}"
    opened.page.keyboard.press("ArrowRight")
    assert opened.status().startswith("Forward 2 of") or len(operations) == 1
    opened.page.keyboard.press("ArrowLeft")
    opened.page.wait_for_function("() => location.hash === '#step=1'")
    opened.page.focus("#slider")
    opened.page.keyboard.press("End")
    assert opened.status().startswith(f"Backward {len(steps)} of {len(steps)}")
    opened.page.wait_for_function("last => location.hash === `#step=${last}`", arg=last)
    for k in sorted({1, 2, len(steps) // 2, len(steps)} - {0}):
        opened.go(len(operations) + k)
        assert f"the gradient of {steps[k - 1].operation.name} goes to" in opened.status()
    opened.page.click("#first")
    assert opened.status().startswith("Start")


def _formula(node: Any) -> str:
    from tinygrad_lite.readers import notation

    return f"{node.name} = {notation.text(node.formula)}"


def test_a_link_leads_to_a_step(show: Show) -> None:
    assert show(scalar(), step=5).status() == "Backward 2 of 3: the gradient of c goes to b and to b"
    assert show(scalar(), step=12_345).status().startswith("Backward 3 of 3")


def test_gradients_grow_as_the_steps_go(show: Show) -> None:
    opened = show(scalar(), step=4)
    assert "gradient so far 4" in opened.node("b").get_attribute("aria-label")
    opened.go(5)
    assert "gradient 8" in opened.node("b").get_attribute("aria-label")
    assert "gradient" not in opened.node("a").get_attribute("aria-label").removeprefix("a, a leaf with a gradient")


def test_upstream_times_local(show: Show) -> None:
    """Ability 3: the rule in symbols, and the numbers of one entry."""
    lesson = heart()
    opened = show(lesson, step=7)
    assert opened.formulas() == [
        "activation = relu(hidden)",
        "g = ∂_heart_loss/∂activation",
        "contribution = g · (hidden > 0)",
        "∂activation/∂hidden = hidden > 0",
    ]
    fields = opened.page.locator('#step input[type="number"]')
    fields.nth(0).fill("3")
    fields.nth(1).fill("5")
    fields.nth(1).press("Enter")
    step = lesson.backward.steps[2]
    text = opened.page.locator("#step .contribution .numbers").last.inner_text()
    assert text.startswith("hidden[3, 5] receives ")
    upstream, local, contribution = numbers(text.partition("receives")[2])
    assert upstream == pytest.approx(step.upstream[3, 5], rel=1e-3, abs=1e-12)
    assert local == float(lesson.graph.operations[0].value[3, 5] > 0)
    assert contribution == pytest.approx(step.contributions[0].value[3, 5], rel=1e-5, abs=1e-12)


@pytest.mark.parametrize(("width", "breaks"), [(375, True), (700, False), (1000, True), (1280, False)])
def test_an_equation_of_pictures_breaks_at_its_signs(show: Show, width: int, breaks: bool) -> None:
    opened = show(heart(), step=7, viewport={"width": width, "height": 900})
    places = """[...document.querySelectorAll("#step .after-sign")].map((e) =>
      [e.querySelector(".sign"), e.querySelector("canvas")].map((part) => {
        const { left, right, top, bottom } = part.getBoundingClientRect();
        return [part.textContent, left, right, top, bottom];
      }))"""
    signs, pictures = zip(*opened.page.evaluate(places), strict=True)
    assert [text for text, *_ in signs] == ["", "×", "="]
    for (_, _, right, top, bottom), (_, left, _, highest, lowest) in zip(signs[1:], pictures[1:], strict=True):
        assert right <= left, "a sign stands before its picture"
        assert highest - 60 <= (top + bottom) / 2 <= lowest, "and beside it"
    (*_, bottom), (*_, top, _) = pictures[0], pictures[-1]
    assert (top > bottom) == breaks, "in one line if there is room"
    assert not breaks or len({left for _, left, *_ in pictures}) == 1, "else each has a line of its own"


@pytest.mark.parametrize("width", [375, param(1280, slow=True)])
def test_numbers_of_any_length_are_whole_and_nothing_scrolls_sideways(show: Show, width: int) -> None:
    rng = np.random.default_rng(0)
    x, weight, bias = (
        tg.tensor(-1e-7 * rng.uniform(1, 9, shape), requires_grad=True, name=name)
        for name, shape in (("input", (2, 3, 4)), ("layers.0.attention.projection.weight", (4, 8)), ("its.own.bias", 8))
    )
    opened = show(tg.explain(lambda: np.sum((x @ weight + bias)[0] ** 2)), viewport={"width": width, "height": 800})
    cut = """() => {
      const panel = document.getElementById("panel");
      const cells = [...panel.querySelectorAll("td, th")];
      return [
        document.documentElement.scrollWidth > innerWidth,
        panel.scrollWidth > panel.clientWidth,
        ...cells.filter((each) => each.scrollWidth > each.clientWidth + 1).map((each) => each.outerHTML),
      ];
    }"""
    visited = 0
    for act in ("go", "choose"):
        for k in range(opened.page.evaluate("lesson.last + 1" if act == "go" else "lesson.nodes.length")):
            opened.page.evaluate(f"main.{act}({k})")
            assert opened.page.evaluate(cut) == [False, False], (act, k)
            visited += opened.page.locator("#panel td").count()
    assert visited > 100


def test_the_result_of_a_product_is_shown_once(show: Show) -> None:
    x, w = (tg.tensor(np.random.default_rng(k).normal(size=(3, 3)), requires_grad=True, name="xw"[k]) for k in (0, 1))
    opened = show(tg.explain(lambda: (lambda h: np.sum(h * h))(x @ w)), step=1)
    assert opened.page.locator("#step .array").count() == 3, "both factors, and the result"
    cell = opened.page.locator("#step .meeting td").first
    box = cell.bounding_box()
    opened.page.mouse.move(box["x"] + 5, box["y"] + 5)
    opened.page.mouse.down()
    opened.page.mouse.move(box["x"] + 60, box["y"] + 5, steps=4)
    opened.page.mouse.up()
    assert opened.page.locator("#tensor .nudge tbody tr").count() > 0, "dragged, it is nudged"
    opened.go(6)
    assert opened.page.locator("#step .contribution .array").count() == 6, "and of both gradients"


def filtered() -> Any:
    image = tg.tensor(np.random.default_rng(0).normal(size=(1, 1, 4, 4)), requires_grad=True, name="image")
    convolution = nn.Conv2d(1, 2, 3, rng=0)
    return tg.explain(lambda: np.sum(convolution(image) ** 2))


@pytest.mark.parametrize("make", [filtered, LESSONS["attention"]])
def test_products_have_different_names_for_a_screen_reader(show: Show, make: Callable[[], Any]) -> None:
    opened = show(make())
    heard = "[...document.querySelectorAll('.product:is(section)')].map((e) => e.getAttribute('aria-label'))"
    together = 0
    for step in opened.lesson.backward.steps:
        opened.go(len(opened.lesson.graph.operations) + step.number)
        labels = opened.page.evaluate(heard)
        assert len({*labels}) == len(labels), step.number
        together = max(together, len(labels))
    assert together > 1


def test_a_product_cell_by_cell(show: Show) -> None:
    """Ability 4: the row, the column and the dot product, forward and for both gradients; one row of the batch."""
    lesson = heart()
    opened = show(lesson, step=1)
    graph = lesson.graph
    leaves = {node.name: node.value for node in graph.leaves}
    data, weight = leaves["data"], leaves["hidden.weight"]
    _point_at(opened, 0, row=100.5 / 270, column=2.5 / 8)
    text = opened.page.locator(".product .numbers").inner_text()
    row = int(re.match(r"\[(\d+), 2\]: row \1 of data · column 2 of hidden\.weightᵀ = ", text).group(1))  # type: ignore[union-attr]
    assert abs(row - 100) <= 1, "a row is less than a pixel high"
    assert numbers(text)[-1] == pytest.approx(float(data[row] @ weight[2]), rel=1e-5)

    opened.go(6)  # output = activation @ output.weightᵀ: both gradients
    products = opened.page.locator(".product")
    assert products.count() == 2
    g = lesson.backward.steps[1].upstream
    activation = next(node.value for node in graph.operations if node.name == "activation")
    text = products.nth(1).locator(".numbers").inner_text()
    row, column = (int(x) for x in re.findall(r"\d+", text)[:2])
    assert numbers(text)[-1] == pytest.approx(float(activation[:, row] @ g[:, column]), rel=1e-4)
    products.nth(1).locator("select").select_option("17")
    text = products.nth(1).locator(".numbers").inner_text()
    assert numbers(text)[-1] == pytest.approx(float(activation[17, row] * g[17, column]), rel=1e-4, abs=1e-9)
    products.nth(1).locator("select").select_option("mean")
    text = products.nth(1).locator(".numbers").inner_text()
    assert numbers(text)[-1] == pytest.approx(float(np.mean(activation[:, row] * g[:, column])), rel=1e-4)


def _point_at(opened: Opened, product: int, row: float, column: float) -> None:
    canvas = opened.page.locator(".product").nth(product).locator("canvas").last
    box = canvas.bounding_box()
    canvas.hover(position={"x": column * box["width"], "y": row * box["height"]})


def test_contributions_add_up(show: Show) -> None:
    """Ability 5: fan-out as a sum with a term for each use, and broadcasting as axes that are summed."""
    opened = show(scalar(), step=6)
    terms = opened.page.locator("#step .term")
    assert [numbers(term.inner_text().partition("): ")[2])[-1] for term in terms.all()] == [4.0, 2.0, 2.0]
    colours = {term.evaluate("e => getComputedStyle(e).borderLeftColor") for term in terms.all()}
    assert len(colours) == 3
    assert opened.page.locator("#graph .edge.active").count() == 2, "two lines for a + a"


def test_broadcasting_expands_and_sums(show: Show) -> None:
    lesson = heart()
    opened = show(lesson, step=1)
    assert "→ ×270" in opened.page.locator("#step table.axes").first.inner_text()
    opened.go(8)
    bias = opened.page.locator("#step .contribution").nth(1)
    assert "Σ of 270" in bias.inner_text()
    bias.locator("select").last.select_option("3")
    assert "only 3 along axis 0" in bias.inner_text()


@pytest.mark.parametrize(
    ("make", "leaf", "place", "value"),
    [(scalar, "a", 0, 2.5), (heart, "hidden.weight", 17, -1.25), (attention, "attention.key.weight", 3, 0.75)],
)
def test_everything_is_computed_again(show: Show, make: Any, leaf: str, place: int, value: float) -> None:
    """Ability 6: with another number in a leaf, every value and gradient is what Python finds, to 1e-9."""
    lesson = make()
    opened = show(lesson)
    opened.node(leaf).click()
    node = lesson.graph.nodes[opened.index(leaf)]
    if node.shape:
        for axis, i in enumerate(np.unravel_index(place, node.shape)):
            field = opened.page.locator('#tensor input[type="number"]').nth(axis)
            field.fill(str(i))
            field.press("Enter")
    opened.page.fill("#new-value", str(value))
    opened.page.press("#new-value", "Enter")
    changed = np.array(node.value)
    changed.flat[place] = value
    again = make({leaf: changed})
    compared = 0
    for other in again.graph.nodes:
        np.testing.assert_allclose(
            opened.data("value", other.name), np.ravel(other.value), rtol=1e-9, atol=1e-9, err_msg=other.name
        )
        if other in again.backward.gradients:
            expected = np.ravel(again.backward.gradients[other])
            np.testing.assert_allclose(opened.data("gradient", other.name), expected, rtol=1e-9, atol=1e-9)
            compared += 1
    assert compared == len(lesson.backward.gradients)
    root = lesson.graph.root
    assert float(rerun.result(lesson.graph, {node: changed})) == pytest.approx(opened.data("value", root.name)[0])
    opened.page.get_by_role("button", name="As recorded").click()
    np.testing.assert_array_equal(opened.data("value", root.name), np.ravel(root.value))


MASKED: dict[str, Callable[[Any], Any]] = {
    "where": lambda x: np.sum(np.where(x > 0, x, 0.1 * x) ** 2),
    "mask": lambda x: np.sum(x * (x > 0)),
    "stopped": lambda x: np.sum(x * tg.stop_gradient(np.exp(x))),
    "detached": lambda x: np.sum(x * np.exp((x * x).detach() + x.detach())),
    "detached first": lambda x: np.sum(x.detach() * x),
    "straight through": lambda x: np.sum(((x + (np.floor(x) - x).detach()) * np.arange(3.0)) ** 2),
}


@pytest.mark.parametrize("name", MASKED)
def test_what_has_no_history_is_computed_again_too(show: Show, name: str) -> None:
    """A mask follows the values that it was made of, where the function was seen to make it."""

    def lesson(numbers: Any) -> Any:
        return tg.explain(MASKED[name], tg.tensor(numbers, requires_grad=True, name="x"))

    opened = show(lesson([1.0, -2.0, 3.0]))
    changed = [1.0, 5.0, -0.5]
    opened.page.evaluate("([i, data]) => lesson.change([[i, { shape: [3], data }]])", [opened.index("x"), changed])
    again = lesson(changed)
    root = again.graph.root
    np.testing.assert_allclose(opened.data("value", root.name), np.ravel(root.value), rtol=1e-12)
    gradient = again.backward.gradients[next(leaf for leaf in again.graph.leaves if leaf.name == "x")]
    np.testing.assert_allclose(opened.data("gradient", "x"), gradient, rtol=1e-12)


@pytest.mark.parametrize("name", ["c", "d"])
def test_what_needs_no_gradient_is_computed_again_too(show: Show, name: str) -> None:
    """As by a frozen layer, or a teacher under `no_grad`."""

    def student(x: Any, c: Any, d: Any) -> Any:
        with tg.no_grad():
            target = np.tanh(c * c) + d
        return np.sum((np.sin(x * (c + d)) - target) ** 2)

    def lesson(**changes: Any) -> Any:
        values = {"x": [0.5, -1.0], "c": [1.0, 2.0], "d": [0.25, -0.5]} | changes
        return tg.explain(student, *(tg.tensor(y, name == "x", name=name) for name, y in values.items()))

    opened = show(lesson())
    opened.page.evaluate("i => lesson.change([[i, { shape: [2], data: [-0.75, 1.5] }]])", opened.index(name))
    again = lesson(**{name: [-0.75, 1.5]})
    np.testing.assert_allclose(opened.data("value", again.graph.root.name), again.graph.root.value, rtol=1e-12)
    gradient = again.backward.gradients[next(leaf for leaf in again.graph.leaves if leaf.name == "x")]
    np.testing.assert_allclose(opened.data("gradient", "x"), gradient, rtol=1e-12)


def _times_its_gradient(x: Any) -> Any:
    np.sum(x**3).backward()
    return np.sum(x * x.grad)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda x: tg.explain(np.sum(x * (x > 0))), "was made without a history"),
        (lambda x: tg.explain(_times_its_gradient, x), "computed from values of the graph"),
        (lambda x: tg.explain(np.sum(np.sort(x) * np.arange(3.0))), "finds out what it was made of"),
        (lambda x: tg.explain(lambda x: np.sum(x[x > 0]), x), "takes entries by an index"),
        (lambda x: tg.explain(lambda x: np.sum(x if np.allclose(x, 1) else -x), x), "acted on the answer"),
    ],
)
def test_what_may_have_been_computed_from_values_is_said_to_be_fixed(show: Show, make: Any, reason: str) -> None:
    opened = show(make(tg.tensor([1.0, -2.0, 3.0], requires_grad=True, name="x")))
    assert "Recorded only" in opened.panel()
    assert reason in opened.panel()
    opened.node("x").click()
    assert opened.page.locator("#new-value").count() == 0


@pytest.mark.long
@pytest.mark.parametrize(
    "f",
    [
        lambda x, k: x[k],
        lambda x, k: np.take_along_axis(x, k, 0),
        lambda x, k: x.at[k].set(1.0),
        lambda x, k: np.concatenate([x[k], x[[0]], x[np.array([False, True, True])]]),
        lambda x, k: F.cross_entropy(np.stack([x, 2 * x]), k),
    ],
)
@pytest.mark.parametrize("make", [np.array, tg.tensor])
def test_an_index_of_the_users_own_fixes_nothing(show: Show, f: Any, make: Any) -> None:
    x, k = tg.tensor([1.0, -2.0, 3.0], requires_grad=True, name="x"), make([2, 1])
    assert show(tg.explain(np.sum(f(x, k) ** 2))).page.evaluate("lesson.live")


CODES = tg.tensor([2.0, 0.0, -1.0])
INDEXED: dict[str, Callable[[Any], Any]] = {
    "sorted": lambda x: np.sum(np.sort(x) * np.arange(3.0)),
    "nearest": lambda x: np.sum((x - np.take(CODES, np.argmin((x[:, None] - CODES) ** 2, 1))) ** 2),
    "largest": lambda x: np.sum(F.softmax(x[np.argsort(-x)[:2]], axis=0) * x[np.argmax(x)]),
    "straight through": lambda x: (lambda q: np.sum((x + (q - x).detach()) ** 2))((x * x)[np.argmax(x) - 1]),
    "labels of its own": lambda x: F.cross_entropy(x[None], np.argmin(x)[None]),
}
"""Functions that choose by an index that they compute."""


@pytest.mark.parametrize("name", INDEXED)
def test_an_index_follows_the_values(show: Show, name: str) -> None:
    def lesson(numbers: Any) -> Any:
        return tg.explain(INDEXED[name], tg.tensor(numbers, requires_grad=True, name="x"))

    opened = show(lesson([1.0, -2.0, 3.0]))
    for changed in ([1.0, 5.0, -0.5], [-0.25, 0.5, 0.75]):
        opened.page.evaluate("([i, data]) => lesson.change([[i, { shape: [3], data }]])", [opened.index("x"), changed])
        again = lesson(changed)
        for node in again.graph.nodes:
            np.testing.assert_allclose(opened.data("value", node.name), np.ravel(node.value), rtol=1e-12)
            if node in again.backward.gradients:
                expected = np.ravel(again.backward.gradients[node])
                np.testing.assert_allclose(opened.data("gradient", node.name), expected, rtol=1e-12, atol=1e-15)


def _by_newton(x: Any) -> Any:
    while abs(float(x * x - 2.0)) > 1e-9:
        x = x - (x * x - 2.0) / (2.0 * x)
    return x


def _printing(x: Any) -> Any:
    print(f"{x}", str(x))
    return x * x


LOOKS: dict[str, Callable[[Any], Any]] = {
    "if": lambda x: x * x if x > 0 else -x,
    "while": _by_newton,
    "item": lambda x: x * x.item(),
    "detached": lambda x: x * x if np.sum(x.detach()) > 0 else -x,
    "numpy": lambda x: x * np.max(x.numpy()),
    "list": lambda x: x * x.tolist(),
    "int": lambda x: x ** int(x + 1.0),
    "index": lambda x: x * np.arange(5.0)[np.astype(x > 1, int)],
    "data": lambda x: x * np.max(x.data),
    "text": lambda x: (f"{x}", str(x), x * x)[-1],
}
UNSEEN: dict[str, Callable[[Any], Any]] = {
    "where": lambda x: np.where(x > 0, x * x, -x),
    "printed": _printing,
    "shape": lambda x: x * x if x.ndim == 0 and len(x.shape) == 0 else -x,
    "checked": lambda x: nn.functional.cross_entropy(x * np.ones((2, 3)), np.array([0, 2])),
    "constant": lambda x: x * float(tg.tensor(2.0)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*LOOKS, *UNSEEN])
def test_what_python_looked_at_stays_and_the_page_says_so(show: Show, name: str) -> None:
    opened = show(tg.explain({**LOOKS, **UNSEEN}[name], tg.tensor(1.5, requires_grad=True, name="x")))
    assert opened.page.evaluate("lesson.live")
    told = "The code looked at its numbers in Python, first in test_page.py"
    assert (told in opened.panel()) == (name in LOOKS)
    opened.page.evaluate("i => lesson.changeEntry(i, 0, -1.2)", opened.index("x"))
    opened.go(2)
    assert (told in opened.panel()) == (name in LOOKS), "with changed numbers, on each step"


def test_a_tensor_is_as_before_once_nobody_listens() -> None:
    before = {name: getattr(tg.Tensor, name) for name in ("__bool__", "__float__", "item", "numpy", "tolist", "data")}
    with pytest.raises(ZeroDivisionError):
        tg.explain(lambda x: 1 / 0, tg.tensor(1.0, requires_grad=True))
    assert all(getattr(tg.Tensor, name) is method for name, method in before.items())


def test_explanations_in_several_threads_leave_tensors_as_they_were() -> None:
    names = ("__bool__", "__float__", "item", "numpy")
    before = {name: getattr(tg.Tensor, name) for name in names}
    first, second = threading.Event(), threading.Event()

    def explain(mine: threading.Event, other: threading.Event) -> None:
        def run(x: Any) -> Any:
            mine.set()
            other.wait(5)
            return -x if mine is first and x < 0 else x * x

        lesson = tg.explain(run, tg.tensor(2.0, requires_grad=True))
        assert (lesson.graph.exit is not None) == (mine is first), "the other thread's looks are not its own"

    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(explain, first, second), pool.submit(explain, second, first)]:
            done.result()
    assert all(getattr(tg.Tensor, name) is method for name, method in before.items())


def test_labels_are_not_for_changing(show: Show) -> None:
    logits = tg.tensor(np.eye(3), requires_grad=True, name="logits")
    labels = np.array([0, 2, 1])
    opened = show(tg.explain(lambda: nn.functional.cross_entropy(logits, labels)))
    opened.node("labels").click()
    assert opened.page.locator("#new-value").count() == 0
    assert "Labels, masks and indices stay as they were recorded." in opened.panel()
    opened.node("logits").click()
    assert opened.page.locator("#new-value").count() == 1


@pytest.mark.slow
@settings(max_examples=10)
@given(data=st.data())
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_random_programs_are_computed_again(page_with: Callable[..., Any], data: st.DataObject) -> None:
    page = page_with()
    program = data.draw(programs())
    leaves = [tg.tensor(x, requires_grad=True, name=f"leaf{k}") for k, x in enumerate(program.leaves)]
    result = program.run(*leaves)
    assume(result.op is not None and result.size)
    lesson = tg.explain(program.run, *leaves)
    moved = [np.asarray(x) * 1.01 + 0.001 for x in program.leaves]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lesson.html"
        lesson.to_html(path)
        page.goto(path.as_uri())
        names = [node.name for node in lesson.graph.nodes]
        given = [
            [names.index(f"leaf{k}"), {"shape": list(x.shape), "data": np.ravel(x).tolist()}]
            for k, x in enumerate(moved)
            if f"leaf{k}" in names
        ]
        live = page.evaluate("given => lesson.live && (lesson.change(given), true)", given)
        found = page.evaluate("lesson.nodes.map((_, i) => [lesson.value(i).data, lesson.gradient(i)?.data ?? null])")
    assume(live)
    again = tg.explain(program.run, *[tg.tensor(x, requires_grad=True, name=f"leaf{k}") for k, x in enumerate(moved)])
    assume([node.name for node in again.graph.nodes] == names)  # another branch may be another graph
    for node, (value, gradient) in zip(again.graph.nodes, found, strict=True):
        scale = 1e-9 * (1 + np.max(np.abs(node.value), initial=0, where=np.isfinite(node.value)))
        np.testing.assert_allclose(value, np.ravel(node.value), rtol=1e-9, atol=scale)
        if node in again.backward.gradients:
            expected = np.ravel(again.backward.gradients[node])
            scale = 1e-9 * (1 + np.max(np.abs(expected), initial=0, where=np.isfinite(expected)))
            np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=scale)


@pytest.mark.parametrize("size", [(1280, 800), (1366, 768), (1920, 1080)])
def test_the_number_to_drag_is_in_the_first_view_of_a_large_tensor(show: Show, size: tuple[int, int]) -> None:
    """The pictures of value and gradient stand side by side."""
    w = tg.tensor(np.random.default_rng(0).normal(size=(70, 60)), requires_grad=True, name="w")
    opened = show(tg.explain(np.sum(np.tanh(w) ** 2)), viewport=dict(zip(("width", "height"), size)))
    opened.node("w").click()
    box = opened.page.locator("#tensor .number.drag").first.bounding_box()
    assert box["y"] + box["height"] <= size[1]


def test_what_is_no_number_is_not_taken(show: Show) -> None:
    opened = show(scalar())
    opened.node("a").click()
    for text in ("", "two", "1/0", "1/", "/2", "1/2/3", "1e999"):
        opened.page.fill("#new-value", text)
        opened.page.press("#new-value", "Enter")
        assert opened.page.get_attribute("#new-value", "aria-invalid") == "true"
    assert opened.data("value", "d") == [8.0]
    for text, value in (("1/2", 0.5), ("−3 / 4", -0.75), ("0,25", 0.25), ("2e-1", 0.2)):
        opened.page.fill("#new-value", text)
        opened.page.press("#new-value", "Enter")
        assert opened.data("value", "a") == [value]


def test_recorded_only(show: Show) -> None:
    """An operation without a form in the page: it says so, and shows what Python computed and measured."""
    x = tg.tensor([1.0, 4.0, 2.0], requires_grad=True, name="x")
    middle = np.percentile(x * x, 50, weights=np.ones(3), method="inverted_cdf")
    opened = show(tg.explain(middle))
    assert "Recorded only: middle: percentile" in opened.panel()
    opened.node("x").click()
    assert opened.page.locator("#new-value").count() == 0
    assert "∂middle/∂x[2] = 4; measured by differences, in Python: 4, give or take" in opened.panel()
    opened.page.fill("#tensor .choices input", "1")
    opened.page.press("#tensor .choices input", "Tab")
    assert "∂middle/∂x[1] = 0; measured by differences, in Python: 0" in opened.panel()
    opened.open_tab("optimizer")
    assert "real / predicted" in opened.panel()


@pytest.mark.parametrize(("make", "name"), [(scalar, "b"), (heart, "output.weight"), (attention, "weights")])
def test_differences_beside_the_gradient(show: Show, make: Any, name: str) -> None:
    """Ability 7: the estimate, its error, and how far the gradient is off."""
    opened = show(make())
    opened.node(name).click()
    text = opened.page.locator("#tensor .measured").inner_text()
    estimate, error, off = numbers(text)
    assert off <= error + 1e-9 * abs(estimate)


@pytest.mark.long
@pytest.mark.parametrize(
    ("f", "x", "slope"),
    [
        (np.log, 0.005, 200.0),
        (np.sqrt, 0.002, 0.5 / np.sqrt(0.002)),
        (lambda x: 1 / x, 0.01, -1e4),
        (lambda x: np.sin(1000 * x), 3.0, 1000 * np.cos(3000.0)),
        (lambda x: np.maximum(x, 0), 5e-4, 1.0),
        (lambda x: np.maximum(x, 0) + np.log(np.absolute(x)), 5e-4, 2001.0),
        (lambda x: (x * 1e-3 + 1e8) - 1e8, 1.0, 1e-3),
    ],
)
def test_differences_have_a_step_that_fits(show: Show, f: Any, x: float, slope: float) -> None:
    """No smooth function is said to have a kink, and the error that is told covers the distance."""
    point = tg.tensor(x, requires_grad=True, name="point")
    opened = show(tg.explain(lambda: f(point)))
    opened.node("point").click()
    text = opened.page.locator("#tensor .measured").inner_text()
    assert "kink" not in text
    estimate, error, off = numbers(text)
    assert abs(estimate - slope) <= error + 1e-6 * abs(slope)
    assert off <= error + 1e-6 * abs(slope)


def test_a_kink_is_named(show: Show) -> None:
    x = tg.tensor(0.0, requires_grad=True, name="x")
    opened = show(tg.explain(nn.functional.relu(x)))
    opened.node("x").click()
    assert "from the left the slope is 0, from the right 1: a kink." in opened.panel()


def test_a_problem_is_marked_on_its_cause(show: Show) -> None:
    """Ability 8: dead units, saturation, vanishing gradients, and NaN."""
    rng = np.random.default_rng(0)
    w = tg.tensor(rng.normal(size=(3, 4)), requires_grad=True, name="w")
    bias = tg.tensor([0.0, -50.0, 0.0, 0.0], requires_grad=True, name="bias")
    units = nn.functional.relu(rng.normal(size=(5, 3)) @ w + bias)
    opened = show(tg.explain(np.mean(units)))
    assert "dead ReLU" in opened.node("units").get_attribute("aria-label")
    assert opened.node("units").locator(".mark").count() == 1
    opened.node("units").click()
    assert "dead ReLU" in opened.page.locator("#tensor .warning").first.inner_text()

    deep = tg.tensor(800.0, requires_grad=True, name="deep")
    flat = nn.functional.sigmoid(deep)
    opened = show(tg.explain(flat * 1.0))
    assert "saturated sigmoid" in opened.node("flat").get_attribute("aria-label")


def test_the_first_view_says_what_this_is(show: Show) -> None:
    """The loss, how much there is, and each warning with a link to the step that causes it."""
    rng = np.random.default_rng(0)
    w = tg.tensor(rng.normal(size=(3, 4)), requires_grad=True, name="w")
    bias = tg.tensor([0.0, -50.0, 0.0, 0.0], requires_grad=True, name="bias")
    units = nn.functional.relu(rng.normal(size=(5, 3)) @ w + bias)
    lesson = tg.explain(np.mean(units))
    opened = show(lesson)
    facts = opened.page.locator("#step .facts dd").all_inner_texts()
    assert float(facts[0]) == pytest.approx(float(lesson.graph.root.value), rel=1e-5)
    assert facts[1:] == ["4", "2", "16"]
    assert "1 warning" in opened.panel()
    assert "w and bias: partly zero gradient: dead ReLU" in opened.panel()
    opened.page.get_by_role("link", name="see units, forward 3").click()
    opened.page.wait_for_function("() => document.getElementById('slider').value === '3'")
    assert "dead ReLU" in opened.page.locator("#step .warning").inner_text()
    assert "No gradient of a parameter is zero" in show(scalar(), step=0).panel()


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_nan_is_marked_and_shown(show: Show) -> None:
    x = tg.tensor([-1.0, 2.0], requires_grad=True, name="x")
    root = np.sqrt(x)
    opened = show(tg.explain(np.sum(root * 3)))
    assert "from finite numbers, sqrt makes one that is NaN or infinite" in opened.node("root").get_attribute(
        "aria-label"
    )
    opened.node("root").click()
    assert "1 not finite" in opened.panel()


def test_an_optimisers_step(show: Show) -> None:
    """Ability 9: before, after, the predicted and the real change."""
    model = Block()
    lesson = _block_lesson(model)
    optimizer = tg.optim.Adam(model.parameters(), lr=0.01)
    state = [dict(each) for each in optimizer.state.values()]
    opened = show(lesson, optimizer=optimizer)
    assert [dict(each) for each in optimizer.state.values()] == state, "no step was taken"
    opened.open_tab("optimizer")
    before = float(lesson.graph.root.value)
    _expect_step(opened, lesson, rerun.update(lesson.graph, lesson.backward, optimizer), before)

    opened.page.locator("#optimizer select").first.select_option("descent")
    opened.page.fill("#rate", "0.05")
    opened.page.press("#rate", "Enter")
    descent = rerun.update(lesson.graph, lesson.backward, tg.optim.SGD(model.parameters(), lr=0.05))
    _expect_step(opened, lesson, descent, before)
    opened.page.get_by_role("button", name="Take the step").click()
    assert opened.data("value", lesson.graph.root.name)[0] == pytest.approx(before + descent.real, rel=1e-9)


def _block_lesson(model: Block) -> Any:
    x = np.random.default_rng(1).normal(size=(5, 4))
    loss = nn.functional.cross_entropy(model(x), np.array([2]))
    return tg.explain(loss)


def _expect_step(opened: Opened, lesson: Any, update: rerun.Update, before: float) -> None:
    cells = opened.page.locator("#optimizer table.outcome td").all_inner_texts()
    found = [float(cell.replace("−", "-")) for cell in cells]
    assert found[:3] == pytest.approx([before, update.predicted, update.real], rel=1e-5)


def test_a_quiz(show: Show) -> None:
    """Ability 10: predict, then see; the score counts."""
    opened = show(scalar())
    opened.open_tab("quiz")
    assert "Question 1 of" in opened.panel()
    assert "0 right at the first try, of 0 answered" in opened.panel()
    assert "gradient 8" not in opened.node("b").get_attribute("aria-label"), "the graph does not tell the answer"
    answer = opened.page.evaluate("quizView.question().answer()")
    opened.page.fill("#answer", "123456")
    opened.page.press("#answer", "Enter")
    assert "Not yet" in opened.panel()
    opened.page.fill("#answer", str(answer))
    opened.page.press("#answer", "Enter")
    assert "0 right at the first try, of 1 answered" in opened.panel()
    opened.page.keyboard.press("Enter")  # the next question has the focus
    assert "Question 2 of" in opened.panel()
    opened.page.get_by_role("button", name="Show the answer").click()
    assert "0 right at the first try, of 2 answered" in opened.panel()


@shorter_lessons
def test_every_question_has_its_answer(show: Show, name: str) -> None:
    opened = show(LESSONS[name]())
    opened.open_tab("quiz")
    count = int(re.search(r"Question 1 of (\d+)", opened.panel()).group(1))  # type: ignore[union-attr]
    for _ in range(count):
        answer = opened.page.evaluate("quizView.question().answer()")
        if opened.page.locator("select#answer").count():
            opened.page.select_option("#answer", str(answer))
        else:
            opened.page.fill("#answer", str(answer))
        opened.press("Check", "Next question")
    assert f"{count} of {count} right at the first try" in opened.panel()


@pytest.mark.parametrize("name", [param(name, slow=name != "scalar") for name in LESSONS if name != "long"])
def test_an_answer_that_is_no_finite_number_looks_like_no_mistake(show: Show, name: str) -> None:
    """A mistake that cannot be made in a question makes no number, and is not what somebody made who answers nan."""
    opened = show(LESSONS[name]())
    opened.open_tab("quiz")
    count = int(re.search(r"Question 1 of (\d+)", opened.panel()).group(1))  # type: ignore[union-attr]
    for _ in range(count):
        if opened.page.locator("input#answer").count():
            for answer in ("nan", "inf", "-inf"):
                opened.page.fill("#answer", answer)
                opened.press("Check")
                assert "Not yet: " not in opened.panel()
        opened.pass_over()


@pytest.mark.slow
@pytest.mark.parametrize("close", [0.5, 1e-3, 1e-6])
def test_terms_that_cancel_are_told_with_digits_enough(show: Show, close: float) -> None:
    """Whoever adds up the numbers of the question is right."""
    a, b = (tg.tensor(x, requires_grad=True, name=n) for x, n in ((1.2345678, "a"), (0.7654321, "b")))
    opened = show(tg.explain(a * b - a * (b * (1 - close))))
    opened.open_tab("quiz")
    while not (question := re.search(r"The contributions to [ab] are (.*?)\. What is", opened.panel())):
        opened.pass_over()
    opened.page.fill("#answer", str(sum(numbers(question[1]))))
    opened.page.press("#answer", "Enter")
    assert "Not yet" not in opened.panel()
    assert "1 right at the first try" in opened.panel()


def test_a_sum_is_asked_for_with_all_its_terms(show: Show) -> None:
    x = tg.tensor(0.5, requires_grad=True, name="x")
    opened = show(tg.explain(sum(k * x**k for k in range(1, 9))))
    opened.open_tab("quiz")
    for _ in range(int(re.search(r"Question 1 of (\d+)", opened.panel()).group(1))):  # type: ignore[union-attr]
        assert "The contributions to x are" not in opened.panel(), "there are eight of them"
        opened.pass_over()


def test_with_the_keyboard_alone(show: Show) -> None:
    opened = show(heart())
    page = opened.page
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('#graph [role=button]') !== null"):
            break
    else:
        pytest.fail("Tab does not lead into the graph")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    name = page.evaluate("document.activeElement.getAttribute('aria-label')").split(" ")[0]
    page.keyboard.press("Enter")
    assert name in opened.panel()
    page.focus("#tab-tensor")
    page.keyboard.press("ArrowRight")
    assert "An optimiser's step" in opened.panel()
    page.keyboard.press("ArrowRight")
    assert "Question 1" in opened.panel()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        param(name, settings, slow=(name, *settings) not in {("scalar", "viewport"), ("heart", "color_scheme")})
        for name in LESSONS
        for settings in ({"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 800}})
    ],
    ids=str,
)
def test_accessibility(show: Show, name: str, settings: Any) -> None:
    lesson = LESSONS[name]()
    opened = show(lesson, step=len(lesson.graph.operations) + 1, **settings)
    for tab in ("step", "tensor", "optimizer", "quiz"):
        opened.open_tab(tab)
        check_accessible(opened.page)


@pytest.mark.parametrize("x", [np.nan, param(np.inf, slow=True), param(1e25, slow=True), 1e-9])
def test_numbers_of_any_size_are_read_aloud(show: Show, x: float) -> None:
    with np.errstate(all="ignore"):
        opened = show(tg.explain(lambda a: a * a, tg.tensor(x, requires_grad=True, name="a")), step=1)
    number = opened.page.locator("#step .number.drag").first
    assert number.get_attribute("aria-valuetext") == number.inner_text()
    check_accessible(opened.page)


def test_on_paper(show: Show) -> None:
    opened = show(scalar(), step=5)
    opened.page.emulate_media(media="print")
    assert not opened.page.is_visible(".controls")
    pages = opened.page.locator("#handout article:visible")
    pages.first.wait_for()  # the page hears of the medium a moment later, and writes all of them at once
    assert pages.count() == 7, "the start, three operations forward, and three steps back"
    assert "Backward 2 of 3: add" in pages.nth(5).inner_text()
    last = "getComputedStyle(document.querySelector('#handout .numbers')).breakBefore"
    assert opened.page.evaluate(last) == "avoid", "on the sheet of its picture"
    opened.page.emulate_media(media="screen")
    opened.page.wait_for_selector("#handout", state="hidden")
    assert opened.page.is_visible("#step")


@pytest.mark.parametrize("size", [param((1280, 900), slow=True), (390, 844)])
def test_the_graph_on_paper_is_open_and_legible(show: Show, size: tuple[int, int]) -> None:
    """On paper there is room for more than on the screen, and nothing can be opened: least of all from a phone."""
    opened = show(transformer(), viewport={"width": size[0], "height": size[1]})
    closed = "[...document.querySelectorAll('{} .group.closed')].length"
    assert opened.page.evaluate(closed.format("#graph")) > 0, "on the screen there is no room for all of it"
    opened.page.emulate_media(media="print")
    opened.page.locator("#handout article:visible").first.wait_for()
    assert opened.page.evaluate(closed.format("#handout")) == 0
    assert opened.page.evaluate("document.querySelector('#graph-section').offsetHeight") == 0
    names = opened.page.evaluate(
        "lesson.nodes.map((_, i) => document.querySelector(`.drawn [data-node='${i}'] .name`))"
    )
    assert len(names) == len(opened.lesson.graph.nodes)
    letters = opened.page.evaluate("""[...document.querySelectorAll('.drawn svg')].map((svg) => {
      const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
      const letters = [...svg.querySelectorAll("text")].map((each) => parseFloat(getComputedStyle(each).fontSize));
      return scale * Math.min(...letters);
    })""")
    assert min(letters) > 6.6, "5 points"
    heights = opened.page.evaluate("[...document.querySelectorAll('.drawn')].map((e) => e.offsetHeight)")
    assert max(heights) < 11 * 72 / 0.75 - 100, "of a sheet that is 11 inches high, without its margins"
    opened.page.emulate_media(media="screen")
    opened.page.wait_for_selector("#handout", state="hidden")
    assert opened.page.evaluate(closed.format("#graph")) > 0, "as it was"


def test_paper_is_white_on_a_dark_page_too(show: Show) -> None:
    """Numbers on paper have the colours of a light page, and the page has its own again afterwards."""
    colours = """(root) => {
      const all = (selector) => [...document.querySelectorAll(selector)];
      const pictures = all(`${root === "#step" ? "#graph" : root} image`).map((each) => each.href.baseVal);
      return [...pictures, ...all(`${root} td[style*=background]`).map((each) => each.style.background)];
    }"""
    found = {}
    for scheme in ("light", "dark"):
        opened = show(fan_out(), step=1, color_scheme=scheme)
        before = opened.page.evaluate(colours, "#step")
        opened.page.emulate_media(media="print")
        opened.page.locator("#handout article:visible").first.wait_for()
        found[scheme] = before, opened.page.evaluate(colours, "#handout")
        opened.page.emulate_media(media="screen")
        opened.page.wait_for_selector("#handout", state="hidden")
        assert opened.page.evaluate(colours, "#step") == before
    assert found["light"][0] != found["dark"][0]
    assert len(found["light"][1]) > 50
    assert found["light"][1] == found["dark"][1]


def test_a_figure_in_a_text_is_its_graph_on_paper(open_file: Any, tmp_path: Path) -> None:
    """The frame is as high as it was made for the screen: of all steps one below the other, it would cut most off."""
    heart().to_html(tmp_path / "lesson.html")
    source = escape((tmp_path / "lesson.html").read_text())
    (tmp_path / "text.html").write_text(f'<iframe srcdoc="{source}" style="width: 600px; height: 400px"></iframe>')
    page = open_file(tmp_path / "text.html")
    frame = page.frame_locator("iframe")
    frame.locator("#graph svg").wait_for(state="attached")
    page.emulate_media(media="print")
    frame.locator("#handout .drawn svg").wait_for()
    assert frame.locator("#handout article").count() == 0
    outside, last = page.locator("iframe").bounding_box(), frame.locator("#handout .node.root").bounding_box()
    assert outside["y"] < last["y"] < last["y"] + last["height"] < outside["y"] + outside["height"]


def test_sheets_of_paper_are_filled(show: Show) -> None:
    opened = show(heart(), viewport={"width": 700, "height": 1000})
    opened.page.emulate_media(media="print")
    opened.page.locator("#handout article:visible").first.wait_for()
    content = opened.page.evaluate("document.querySelector('#handout').offsetHeight")
    opened.page.emulate_media(media="null")
    document = opened.page.pdf(format="A4", margin=dict.fromkeys(("top", "bottom", "left", "right"), "1cm"))
    sheets = len(re.findall(rb"/Type /Page\b", document))
    assert sheets <= 1.3 * content / ((29.7 - 2) / 2.54 * 96) + 1


@pytest.mark.parametrize("make", [class_scores, long_names, COMPLEX["used twice"]])
def test_nothing_is_cut_on_paper(show: Show, make: Callable[[], Any]) -> None:
    opened = show(make(), viewport={"width": 700, "height": 1000})  # of a page of A4
    opened.page.emulate_media(media="print")
    opened.page.locator("#handout article:visible").first.wait_for()
    boxes = "[...document.querySelectorAll('#handout .formula, #handout p, #handout article')]"
    assert (
        opened.page.evaluate(f"{boxes}.filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.outerHTML)") == []
    )


def test_names_are_text(show: Show) -> None:
    name = "<script>document.title = 'taken'</script><b>&amp;"
    x = tg.tensor([2.0, 3.0], requires_grad=True, name=name)
    opened = show(tg.explain(np.sum(x * x)), step=3)
    assert opened.page.title().startswith("The backward pass of")
    assert name in opened.panel() or name in opened.node(name).get_attribute("aria-label")
    assert opened.page.locator("#panel b b, #panel script").count() == 0


def test_large_tensors_are_sampled_and_the_page_says_so(show: Show) -> None:
    big = tg.tensor(np.random.default_rng(0).normal(size=(1000, 1000)), requires_grad=True, name="big")
    lesson = tg.explain(np.mean(np.tanh(big)))
    opened = show(lesson)
    assert opened.path.stat().st_size < 2_000_000
    opened.node("big").click()
    assert "4,096 entries of 1,000,000 shown, evenly spread" in opened.panel()
    text = opened.page.locator("#tensor .numbers").inner_text()
    row, column = map(int, re.findall(r"big\[(\d+), (\d+)\]", text)[0])
    gradient = lesson.backward.gradients[lesson.graph.leaves[0]]
    assert numbers(text.partition(" = ")[2].partition(";")[0])[0] == pytest.approx(big.data[row, column], rel=1e-7)
    assert numbers(text)[-1] == pytest.approx(gradient[row, column], rel=1e-7)


def test_the_same_file_on_each_run(tmp_path: Path) -> None:
    script = "import sys; from tests.explainer.graphs import attention; attention().to_html(sys.argv[1])"
    for name in ("one", "two"):
        subprocess.run([sys.executable, "-c", script, str(tmp_path / name)], check=True)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_placeholders_of_the_page_are_no_names(show: Show) -> None:
    x = tg.tensor(2.0, requires_grad=True, name="{{script}}")
    opened = show(tg.explain(x * x))
    assert "{{script}}" in opened.node("{{script}}").get_attribute("aria-label")


def test_batched_products_are_shown_one_by_one(show: Show) -> None:
    a, b = (
        tg.tensor(np.random.default_rng(k).normal(size=(3, 2, 2)), requires_grad=True, name="ab"[k]) for k in (0, 1)
    )
    lesson = tg.explain(np.sum(a @ b))
    opened = show(lesson, step=1)
    field = opened.page.get_by_label("Which of the 3 products")
    field.fill("2")
    field.press("Enter")
    text = opened.page.locator(".product .numbers").inner_text()
    row, column = (int(x) for x in re.findall(r"\d+", text)[:2])
    assert numbers(text)[-1] == pytest.approx(float((a.data[2] @ b.data[2])[row, column]), rel=1e-5)


def test_the_focus_stays_where_it_was(show: Show) -> None:
    opened = show(scalar())
    opened.node("a").click()
    for text, focus in (("3", "new-value"), ("4", "change-it")):
        opened.page.fill("#new-value", text)
        opened.page.focus(f"#{focus}")
        opened.page.keyboard.press("Enter")
        assert opened.page.evaluate("document.activeElement.id") == focus
    assert "(with changed numbers)" in opened.status()


def test_in_a_notebook(browser: Any) -> None:
    page = browser.new_page()
    page.set_content(f"<!DOCTYPE html><title>Notebook</title>{scalar()._repr_html_()}")
    frame = page.frame_locator("iframe")
    frame.locator("#graph svg").wait_for()
    frame.locator("#next").click()
    assert frame.locator("#status").text_content() == "Forward 1 of 3: b = a + a"
    frame.locator("#last").click()
    frame.get_by_role("link", name="from d (backward 1)").click()
    assert str(frame.locator("#status").text_content()).startswith("Backward 1 of 3")
    page.close()


@pytest.mark.parametrize("width", [360, 390])
def test_products_of_columns_and_their_captions_fit_on_a_phone(show: Callable[..., Opened], width: int) -> None:
    draw = np.random.default_rng(0).normal
    results = []
    for n, m, p in ((5, 1, 1), (1, 5, 1), (3, 3, 1), (1, 3, 3), (4, 1, 3)):
        a, b = (tg.tensor(draw(size=shape), requires_grad=True) for shape in ((n, m), (m, p)))
        results.append(np.sum(np.tanh(a @ b)))
    opened = show(tg.explain(sum(results[1:], results[0])), viewport={"width": width, "height": 800}, locale="de")
    cut = opened.page.evaluate(
        """() => {
          const cut = [];
          for (let k = 0; k <= lesson.last; k++) {
            main.go(k);
            for (const each of document.querySelectorAll(".corner"))
              if (each.scrollWidth > each.clientWidth + 2) cut.push([k, each.clientWidth, each.scrollWidth]);
          }
          return cut;
        }"""
    )
    assert not cut


@pytest.mark.parametrize("locale", ["en", "de"])
@pytest.mark.parametrize("width", [360, 1280])
def test_what_the_search_is_for_can_be_read(show: Callable[..., Opened], locale: str, width: int) -> None:
    opened = show(heart(), locale=locale, viewport={"width": width, "height": 800})
    opened.page.evaluate("reader.pull()")  # on a phone, it is in the drawer
    covered = opened.page.evaluate(
        """() => {
          const status = document.getElementById("status").getBoundingClientRect();
          return status.bottom > document.getElementById("drawer").getBoundingClientRect().top && innerWidth < 700;
        }"""
    )
    assert not covered
    wide, room = opened.page.evaluate(
        """() => {
          const field = document.getElementById("search"), style = getComputedStyle(field);
          const pen = document.createElement("canvas").getContext("2d");
          pen.font = style.font;
          const room = field.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
          return [pen.measureText(field.placeholder).width, room];
        }"""
    )
    assert wide <= room


class Masked(nn.Module):
    """A long module that takes an array in late, as attention takes its mask."""

    def __init__(self) -> None:
        self.weight = nn.Parameter(np.eye(3))

    def forward(self, x: Any, mask: Any) -> Any:
        for _ in range(2):
            x = np.tanh(x @ self.weight) + np.cos(x)
        return np.where(mask > 0, x, 0 * mask)


def test_a_value_stands_above_what_is_computed_from_it_where_a_graph_is_long(show: Show) -> None:
    layers = [Masked() for _ in range(3)]

    def loss(x: Any, mask: Any) -> Any:
        for layer in layers:
            x = layer(np.sin(x) * 1.1, mask + len(x))
        return np.sum(x * x)

    opened = show(tg.explain(loss, np.ones((3, 3)), np.ones((3, 3))))
    places = opened.page.evaluate(
        "() => Object.fromEntries(groups.root.items.flatMap((part, k) =>"
        "  lesson.nodes.map((node, i) => [node, i]).filter(([, i]) => {"
        "    for (let group = groups.owner.get(i); group; group = group.parent) if (group === part) return true;"
        "    return false;"
        "  }).map(([node]) => [node.name, k])))"
    )
    assert len(set(places.values())) > 1
    for node in opened.lesson.graph.operations:
        assert all(places[x.name] <= places[node.name] for x in node.inputs if not isinstance(x, (int, float)))
    names = opened.page.evaluate("groups.root.items.map((part) => groups.name(part))")
    assert all(re.fullmatch(r"operations \d+–\d+", name) for name in names)


@pytest.mark.parametrize("width", [390, 1280, 1600])
def test_a_product_of_tall_matrices_and_small_numbers_fits_its_panel(show: Show, width: int) -> None:
    x, w = np.random.default_rng(0).normal(size=(60, 3)), tg.tensor(np.full((3, 2), 0.3), requires_grad=True, name="w")
    opened = show(tg.explain(np.mean(np.tanh(x @ w) ** 2)), step=8, viewport={"width": width, "height": 800})
    assert opened.page.locator(".corner:visible").evaluate("box => box.scrollWidth - box.clientWidth") == 0


class Late(nn.Module):
    """Its input goes into its second operation."""

    def __init__(self) -> None:
        self.factor = nn.Parameter(np.eye(3))

    def forward(self, x: Any) -> Any:
        return np.tanh(x @ np.exp(self.factor)) + x


UPWARD = """() => {
  const top = (i) => {
    const shown = groups.visible(i);
    const [kind, key] = typeof shown === "number" ? ["node", shown] : ["group", shown.path];
    return [shown, document.querySelector(`#graph [data-${kind}="${key}"]`).getBoundingClientRect().top];
  };
  const edges = lesson.operations.flatMap((i) => lesson.nodes[i].inputs.map((x) => [x, i]));
  return edges.filter(([x, i]) => {
    if (typeof x !== "number") return false;
    const [[from, above], [to, below]] = [top(x), top(i)];
    return from !== to && above >= below;
  });
}"""


@pytest.mark.parametrize("layers", [1, 2, 8])
def test_no_arrow_goes_up_the_page(show: Show, layers: int) -> None:
    model = nn.Sequential(*(Late() for _ in range(layers)))
    opened = show(tg.explain(lambda x: np.sum(model(x) * x), np.ones((3, 3))))
    assert opened.page.evaluate(UPWARD) == []
