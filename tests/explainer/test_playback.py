"""A training played back: numbers of the page against those of the recorder, by mouse and keyboard."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.explainer.conftest import check_accessible
from tests.marks import param
from tinygrad_lite import nn
from tinygrad_lite.explainer.playback import Playback
from tinygrad_lite.nn import functional as F
from tinygrad_lite.training import Recorder


def recorded(model: nn.Module, loss: Any, x: Any, y: Any, epochs: int, lr: float = 0.1) -> Recorder:
    recorder = Recorder(model, loss, (x, y))
    sgd = tg.optim.SGD(model.parameters(), lr=lr)
    tg.fit(model, loss, (x, y), epochs=epochs, optimizer=sgd, callbacks=[recorder], verify=False, rng=0)
    return recorder


def plane(lr: float = 0.5) -> Recorder:
    x = np.random.default_rng(0).normal(size=(60, 2))
    model = nn.Sequential(nn.Linear(2, 6, rng=0), nn.ReLU(), nn.Linear(6, 1, rng=1))
    return recorded(model, nn.BCEWithLogitsLoss(), x, (x[:, :1] > x[:, 1:] ** 2) * 1.0, 12, lr)


def heart() -> Recorder:
    x, y = tg.datasets.load_heart(return_X_y=True)
    model = nn.Sequential(nn.Linear(13, 8, rng=0), nn.ReLU(), nn.Linear(8, 1, rng=1))
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return recorded(model, F.binary_cross_entropy_with_logits, x, y[:, None] * 1.0, 100)


def images() -> Recorder:
    x, y = tg.datasets.load_digits(return_X_y=True)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, rng=0), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10, rng=1))
    return recorded(model, nn.CrossEntropyLoss(), x[:100].reshape(-1, 1, 8, 8) / 16, y[:100], 3)


MADE: dict[str, Callable[[], Playback]] = {
    "one number": lambda: tg.explain(
        None, history=recorded(nn.Linear(1, 1, rng=0), F.mse_loss, np.ones((4, 1)), np.ones((4, 1)), 3)
    ),
    "plane": lambda: tg.explain(None, history=plane()),
    "two runs": lambda: tg.explain(None, history={"slow": plane(0.01), "fast": plane()}),
    "heart": lambda: tg.explain(None, history=heart()),
    "images": lambda: tg.explain(None, history=images()),
}


@pytest.fixture
def opened(open_file: Any, tmp_path: Path) -> Any:
    def open_page(playback: Playback, **settings: Any) -> Any:
        path = tmp_path / "training.html"
        playback.to_html(path)
        return open_file(path, **settings)

    return open_page


@pytest.mark.parametrize("name", ["one number", param("two runs", slow=True), param("images", slow=True)])
def test_accessible_and_as_wide_as_the_screen(opened: Any, name: str) -> None:
    playback = MADE[name]()
    for settings in ({"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 844}}):
        page = opened(playback, **settings)
        check_accessible(page)


def test_a_hundred_epochs_of_the_heart_network_fit_into_3_mb(tmp_path: Path) -> None:
    MADE["heart"]().to_html(tmp_path / "heart.html")
    assert (tmp_path / "heart.html").stat().st_size < 3e6


GREYS = """(places) => {
  const canvas = document.querySelectorAll(".overview canvas")[1];
  const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const [first, second] = [0, 1].map((k) => places.map((place) => Math.round(place[k] * (width - 1))));
  return first.map((row, k) => data[4 * (row * width + second[k])]);
}"""
"""How light the landscape is at some places, from its upper left corner."""


def test_numbers_are_those_of_the_recorder(opened: Any) -> None:
    recorder = plane()
    page = opened(tg.explain(None, history=recorder))
    told = page.evaluate("training.runs[0]")
    np.testing.assert_array_equal(told["losses"], [frame.loss for frame in recorder.frames])
    for parameter in told["parameters"]:
        name = parameter["name"]
        for part in ("weights", "gradients"):
            expected = np.stack([getattr(frame, part)[name].ravel() for frame in recorder.frames])
            scale = parameter[part]["scale"]
            shown = page.evaluate(
                f"Array.from(integers(training.runs[0].parameters.find(p => p.name === '{name}').{part}))"
            )
            np.testing.assert_allclose(np.reshape(shown, expected.shape) * scale / 32767, expected, atol=scale / 65000)
    landscape = page.evaluate("training.landscape")
    first = recorder.losses_on_plane(
        np.zeros((1, 2)), np.concatenate([w.ravel() for w in recorder.frames[0].weights.values()]), np.zeros((2, 25))
    )
    assert first[0] == pytest.approx(recorder.frames[0].loss, rel=1e-12)
    assert min(landscape["losses"]) <= recorder.frames[-1].loss < recorder.frames[0].loss
    side = landscape["side"]
    at = [(0, 0), (0, side // 2), (0, side - 1), (side // 2, side - 1), (side - 1, 0), (side - 1, side - 1)]
    greys = np.array(page.evaluate(GREYS, [[i / (side - 1), j / (side - 1)] for i, j in at]))
    order = np.argsort([landscape["losses"][i * side + j] for i, j in at])
    assert greys[order[0]] - greys[order[-1]] > 20, "darker where the loss is larger"
    assert all(np.diff(greys[order]) <= 25), "but for a contour"


def test_scrubbing_by_mouse_and_keyboard_and_play(opened: Any) -> None:
    recorders = {"slow": plane(0.01), "fast": plane()}
    page = opened(tg.explain(None, history=recorders))

    def status() -> str:
        return str(page.locator("#status").text_content()).replace("−", "-")

    def said(epoch: int) -> str:
        losses = "; ".join(f"{name}: loss {float(f'{run.frames[epoch].loss:.4g}')}" for name, run in recorders.items())
        return f"After {epoch} of 12 epochs; {losses}"

    assert status() == said(12)
    before = page.locator("canvas").first.screenshot()
    page.focus("#slider")
    page.keyboard.press("Home")
    assert status() == said(0)
    page.click("#next")
    assert status() == said(1)
    page.keyboard.press("ArrowRight")
    page.click("#previous")
    assert status() == said(0)
    assert page.locator("canvas").first.screenshot() != before
    page.click("#play")
    assert page.locator("#play").text_content() == "Pause"
    page.wait_for_function("() => document.getElementById('play').textContent.includes('Play')")
    assert status() == said(12)


def test_in_german(opened: Any) -> None:
    page = opened(MADE["plane"](), locale="de-DE")
    assert "Nach 12 von 12 Epochen" in page.locator("#status").text_content()
    assert page.evaluate("document.documentElement.lang") == "de"
    assert page.title() == page.locator("h1").text_content() == "Das Training von Sequential"


def test_a_notebook_shows_the_page() -> None:
    playback = MADE["plane"]()
    assert "srcdoc" in playback._repr_html_()
    assert repr(playback).startswith("Playback of training: 12 epochs, loss 0.")


def diverging() -> Recorder:
    """A rate far too large: numbers grow until they are infinite, then NaN."""
    x = np.random.default_rng(0).normal(size=(50, 2))
    model = nn.Sequential(nn.Linear(2, 6, rng=0), nn.ReLU(), nn.Linear(6, 3, rng=1))
    recorder, sgd = Recorder(model, nn.MSELoss(), (x, x @ np.ones((2, 3)))), tg.optim.SGD(model.parameters(), lr=5.0)
    with np.errstate(all="ignore"):
        for _ in range(20):
            sgd.zero_grad()
            np.mean((model(x) - x @ np.ones((2, 3))) ** 2).backward()
            sgd.step()
            recorder.record()
    return recorder


def test_a_run_that_diverges_shows_how_it_began_and_what_is_no_number(opened: Any) -> None:
    recorder = diverging()
    page = opened(tg.explain(None, history=recorder))
    told = page.evaluate("training.runs[0]")
    arrays = {
        f"parameters.find((each) => each.name === '{path}').{part}": [
            getattr(frame, part)[path] for frame in recorder.frames
        ]
        for path in recorder.frames[0].weights
        for part in ("weights", "gradients")
    } | {
        f"activations[{k}]": [f.activations[each["name"]] for f in recorder.frames]
        for k, each in enumerate(told["activations"])
    }
    for place, frames in arrays.items():
        shown = np.reshape(page.evaluate(f"Array.from(integers(training.runs[0].{place}))"), (len(frames), -1))
        shown = np.array(shown, float)
        expected = np.stack([np.ravel(frame) for frame in frames])
        np.testing.assert_array_equal(np.isfinite(shown), np.isfinite(expected), err_msg=place)
        begins = next(k for k, frame in enumerate(expected) if np.any(frame))
        assert np.max(np.abs(shown[begins])) > 3000, "a tenth of the scale, which is seen"
    assert "not finite" in page.inner_text("#all")
    assert "the weights diverge" in page.inner_text("#all")
    page.evaluate("playback.epochs.forEach((_, k) => playback.show(k))")


def still() -> Recorder:
    return recorded(nn.Linear(3, 1, rng=0), F.mse_loss, np.ones((4, 3)), np.ones((4, 1)), 2, lr=0.0)


def large() -> Recorder:
    return recorded(nn.Linear(100, 100, rng=0), F.mse_loss, np.ones((3000, 100)), np.ones((3000, 100)), 1)


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        (lambda: still(), "the weights stay where they are"),
        (lambda: large(), "the model is too large to compute its loss at 81 points"),
        (lambda: {"one": still(), "other": plane()}, "the two models differ in their weights"),
        (lambda: diverging(), "the weights diverge"),
    ],
)
def test_a_loss_around_the_path_that_is_not_there_has_a_reason(opened: Any, history: Any, reason: str) -> None:
    assert f"There is no picture of the loss around the path: {reason}." in opened(
        tg.explain(None, history=history())
    ).inner_text("#all")


def test_frozen_weights_have_no_gradient_to_show(opened: Any) -> None:
    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.Linear(4, 1, rng=1))
    model[0].weight.requires_grad = False
    recorder = Recorder(model, F.mse_loss, (np.ones((4, 3)), np.ones((4, 1))))
    recorder.record()
    page = opened(tg.explain(None, history=recorder))
    assert page.inner_text("#all").count("No gradient reaches it: it is frozen, or not used.") == 1
    assert page.locator("h3").all_inner_texts()[0].startswith("0.weight")


def test_losses_that_are_not_finite(opened: Any) -> None:
    with np.errstate(all="ignore"):
        recorder = plane()
        recorder.model[0].weight.data = np.full((6, 2), np.nan)
        recorder.record()
        page = opened(tg.explain(None, history=recorder))
    assert "loss nan" in page.locator("#status").text_content()
