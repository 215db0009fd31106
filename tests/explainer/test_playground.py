"""The playground: its training is Python's, for each network and optimiser; by mouse and keyboard, on each screen."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
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
              return {first, losses: training.losses, last: [...training.parameters.values()].map(w => w.data)};
            }""",
            settings,
        )
        layers: list[nn.Module] = []
        for layer in range(depth):
            layers += [nn.Linear(units if layer else inputs, units), playground.ACTIVATIONS[activation]()]
        model = nn.Sequential(*layers, nn.Linear(units, 1))
        for w, data in zip(model.parameters(), found["first"], strict=True):
            w.data = np.reshape(data, w.shape)
        x = np.reshape(problems[problem]["x"], (-1, inputs))
        y = np.array(problems[problem]["y"], float)[:, None]
        optimizer = OPTIMIZERS[name](list(model.parameters()), 0.05)
        losses = []
        for _ in range(5):
            optimizer.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(model(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        np.testing.assert_allclose(found["losses"][:5], losses, rtol=1e-12)
        for w, data in zip(model.parameters(), found["last"], strict=True):
            np.testing.assert_allclose(np.reshape(data, w.shape), w.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "settings", [{"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 844}, "locale": "de-DE"}], ids=str
)
def test_accessible_and_as_wide_as_the_screen(opened: Any, settings: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = opened(**settings)
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


def test_play_pause_step_and_choices(opened: Any) -> None:
    page = opened()

    def steps() -> int:
        return int(page.evaluate("playground.training().steps"))

    assert str(page.locator("#status").text_content()).startswith("After 0 steps: loss 0.")
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
    assert page.locator("figure").count() == 4, "the loss and three layers"
