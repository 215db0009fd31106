"""The playground: its training is Python's, for each network and optimiser; by mouse and keyboard, on each screen."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.explainer.conftest import check_accessible
from tinygrad_lite import nn
from tinygrad_lite.explainer import playground

OPTIMIZERS = {
    "gradient descent": lambda w, lr: tg.optim.SGD(w, lr=lr),
    "momentum": lambda w, lr: tg.optim.SGD(w, lr=lr, momentum=0.9),
    "RMSprop": lambda w, lr: tg.optim.RMSprop(w, lr=lr),
    "Adam": lambda w, lr: tg.optim.Adam(w, lr=lr),
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: Any) -> Path:
    path: Path = tmp_path_factory.mktemp("playground") / "playground.html"
    path.write_text(playground.html())
    return path


@pytest.fixture
def opened(open_file: Any, path: Path) -> Any:
    return partial(open_file, path)


def test_each_training_is_pythons(opened: Any) -> None:
    page = opened()
    problems = {each["name"]: each for each in page.evaluate("content.problems")}
    networks = page.evaluate("content.networks.map(n => [n.inputs, n.depth, n.activation])")
    assert len(networks) == 2 * playground.DEEPEST * len(playground.ACTIVATIONS)
    for k, (inputs, depth, activation) in enumerate(networks):
        problem = "heart disease" if inputs == 13 else "two spirals"
        name, units = list(OPTIMIZERS)[k % len(OPTIMIZERS)], 3 + k % 4
        settings = {"problem": problem, "depth": depth, "units": units, "activation": activation, "optimizer": name}
        found = page.evaluate(
            """settings => {
              const training = new Training({...settings, seed: 1});
              const first = [...training.parameters.values()].map(w => w.data);
              for (let k = 0; k < 5; k++) training.step(0.05);
              const last = [...training.parameters.values()].map(w => w.data);
              return {first, last, losses: training.losses, heldOut: training.heldOutLosses};
            }""",
            settings,
        )
        layers: list[nn.Module] = []
        for layer in range(depth):
            layers += [nn.Linear(units if layer else inputs, units), playground.ACTIVATIONS[activation]()]
        model = nn.Sequential(*layers, nn.Linear(units, 1))
        for w, data in zip(model.parameters(), found["first"], strict=True):
            w.data = np.reshape(data, w.shape)
        x, held_out = np.split(np.reshape(problems[problem]["x"], (-1, inputs)), 2)
        y, held_out_y = np.split(np.array(problems[problem]["y"], float)[:, None], 2)
        optimizer = OPTIMIZERS[name](list(model.parameters()), 0.05)
        losses = []
        for _ in range(5):
            optimizer.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        np.testing.assert_allclose(found["losses"][:5], losses, rtol=1e-12)
        loss = nn.functional.binary_cross_entropy_with_logits(model(held_out), held_out_y)
        np.testing.assert_allclose(found["heldOut"][5], loss.item(), rtol=1e-9)
        for w, data in zip(model.parameters(), found["last"], strict=True):
            np.testing.assert_allclose(np.reshape(data, w.shape), w.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "settings", [{"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 844}, "locale": "de-DE"}], ids=str
)
def test_accessible_and_as_wide_as_the_screen(opened: Any, settings: Any) -> None:
    page = opened(**settings)
    check_accessible(page)


def test_paper_is_white_on_a_dark_page_too(opened: Any) -> None:
    pictures = "() => [...document.querySelectorAll('canvas')].map((each) => each.toDataURL())"
    page = opened(color_scheme="light")
    light = page.evaluate(pictures)
    page = opened(color_scheme="dark")
    dark = page.evaluate(pictures)
    page.emulate_media(media="print", color_scheme="dark")
    page.wait_for_function(f"dark => ({pictures})()[0] !== dark", arg=dark[0])
    assert page.evaluate(pictures) == light != dark
    page.emulate_media(media="screen", color_scheme="dark")
    page.wait_for_function(f"light => ({pictures})()[0] !== light", arg=light[0])
    assert page.evaluate(pictures) == dark


def test_play_pause_step_and_choices(opened: Any) -> None:
    page = opened()

    def steps() -> int:
        return int(page.evaluate("playground.training().steps"))

    assert str(page.locator("#status").text_content()).startswith("Step 0: loss 0.")
    page.click("#step")
    assert steps() == 1
    page.focus("#play")
    page.keyboard.press("Enter")
    page.wait_for_function("() => playground.training().steps > 5")
    page.keyboard.press("Enter")
    stopped = steps()
    page.select_option("#rate", "0.1")
    assert steps() == stopped, "another rate goes on from here"
    before = page.evaluate("[...playground.training().parameters.values()][0].data")
    page.select_option("#problem", "heart disease")
    page.select_option("#depth", "2")
    assert steps() == 0
    page.click("#again")
    assert page.evaluate("[...playground.training().parameters.values()][0].data") != before
    assert page.locator("figure").count() == 2, "the network and the loss, since no plane shows 13 inputs"


def numbers(page: Any, of: str = "parameters") -> list[float]:
    """All weights and biases, or their gradients."""
    found: list[float] = page.evaluate(
        f"[...playground.training().parameters.keys()].flatMap(w => playground.training().{of}.get(w).data)"
    )
    return found


def loss(page: Any) -> float:
    return float(page.evaluate("playground.training().losses.at(-1)"))


def test_a_line_and_a_box_can_be_dragged(opened: Any) -> None:
    page = opened()
    for number in ({"layer": 0, "to": 1, "from": 1}, {"layer": 1, "to": 0}):
        before, slopes, at_first = numbers(page), numbers(page, "gradients()"), loss(page)
        place = page.evaluate("number => playground.network().spotOf(number)", number)
        page.locator(".network canvas").hover(position={"x": place[0], "y": place[1]})
        x, y = page.evaluate(
            "([x, y]) => { const box = document.querySelector('.network canvas').getBoundingClientRect();"
            " return [box.left + x, box.top + y]; }",
            place,
        )
        page.mouse.down()
        page.mouse.move(x + 40, y, steps=3)
        page.mouse.up()
        after = numbers(page)
        (k,) = (k for k, (old, new) in enumerate(zip(before, after, strict=True)) if old != new)
        outcome = str(page.locator("#outcome").text_content())
        for change in (loss(page) - at_first, slopes[k] * (after[k] - before[k])):
            assert str(page.evaluate("change => told(change, 3)", change)) in outcome
    assert page.evaluate("playground.training().steps") == 0


def test_each_number_can_be_changed_with_the_keyboard(opened: Any) -> None:
    page = opened()
    page.select_option("#units", "3")
    changed = set()
    for _ in numbers(page):
        before = numbers(page)
        page.focus("#chosen")
        page.keyboard.press("ArrowUp")
        assert page.evaluate("document.activeElement.id") == "chosen"
        changed |= {k for k, (x, y) in enumerate(zip(before, numbers(page), strict=True)) if x < y}
        page.focus("#number-after")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "number-after"
    assert changed == set(range(len(numbers(page))))


@pytest.mark.parametrize("problem", ["exclusive or", "heart disease"])
def test_what_a_unit_says_is_pythons(opened: Any, problem: str) -> None:
    page = opened()
    page.select_option("#problem", problem)
    page.select_option("#units", "3")
    weight, bias = numbers(page)[: (wide := 3 * page.evaluate("playground.training().problem.inputs"))], numbers(page)
    rows = np.reshape(page.evaluate("playground.inputs().data"), (-1, wide // 3))
    expected = np.tanh(rows @ np.reshape(weight, (3, -1)).T + bias[wide : wide + 3])
    found = page.evaluate(
        "playground.training().says(playground.inputs()).get(playground.training().layers[1].takes).data"
    )
    np.testing.assert_allclose(np.reshape(found, (-1, 3)), expected, rtol=1e-12, atol=1e-14)
    if problem == "heart disease":
        ill = np.array(page.evaluate("playground.training().seen.targets.data")) == 1
        means = [[float(expected[of, unit].mean()) for of in (~ill, ill)] for unit in range(3)]
        colours = page.evaluate(
            """means => means.flatMap((pair, unit) => pair.map((mean, half) => {
              const [x, y] = playground.network().spotOf({layer: 0, to: unit});
              const canvas = document.querySelector(".network canvas");
              const scale = canvas.width / parseFloat(canvas.style.width);
              const copy = document.createElement("canvas"); // since to read often makes the canvas another one
              [copy.width, copy.height] = [canvas.width, canvas.height];
              const pen = copy.getContext("2d", {willReadFrequently: true});
              pen.drawImage(canvas, 0, 0);
              const at = [x + (half ? 5 : -5), y].map(place => Math.round(place * scale));
              const wanted = mixture(mean, largestOf(playground.training().says(playground.inputs())
                .get(playground.training().layers[1].takes).data));
              return [[...pen.getImageData(...at, 1, 1).data].slice(0, 3), wanted];
            }))""",
            means,
        )
        for found, wanted in colours:
            np.testing.assert_allclose(found, wanted, atol=1)
