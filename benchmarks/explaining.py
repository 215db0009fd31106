"""Lessons: how long they take to make, how large their pages are, and how fast a browser opens and steps them.

python -m benchmarks.explaining
"""

import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.explainer.lesson import Lesson

ROUNDS = 7
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRAWN = """
() => new Promise((resolve) => requestAnimationFrame(() => setTimeout(() => resolve(performance.now()), 0)))
"""
"""When the page has been drawn, in milliseconds from the start of its loading."""

STEP = """
() => {
  const start = performance.now();
  for (let k = 0; k < 20; k++) document.getElementById(k % 2 ? "previous" : "next").click();
  return (performance.now() - start) / 20;
}
"""


def heart() -> Lesson:
    """The 13-8-1 network on its 270 patients."""
    model = nn.Sequential(nn.Linear(13, 8, rng=0), nn.ReLU(), nn.Linear(8, 1, rng=1))
    x, disease = tg.datasets.load_heart(return_X_y=True)
    patients = (x - x.mean(axis=0)) / x.std(axis=0)
    logits = model(patients)
    return tg.explain(nn.functional.binary_cross_entropy_with_logits(logits, disease[:, None].astype(float)))


def chain() -> Lesson:
    """10,000 operations on one number."""
    x = tg.tensor(0.5, requires_grad=True)
    y = x
    for _ in range(5_000):
        y = np.sin(y) + 0.1
    return tg.explain(y)


def million() -> Lesson:
    """A parameter of 1,000,000 entries."""
    w = tg.tensor(np.random.default_rng(0).normal(size=(1000, 1000)), requires_grad=True)
    return tg.explain(np.mean(np.tanh(w) ** 2))


LESSONS = {"13-8-1, 270 rows": heart, "10,000 operations": chain, "a parameter of 1,000,000 entries": million}


def table() -> list[str]:
    """The section of the page."""
    return [
        "## Explaining",
        "",
        "These are the times to make a lesson (`tg.explain`) and its page (`to_html`), and, in headless Chromium, to",
        "draw the page and to take one step on it. All are medians.",
        "",
        "| | lesson, ms | page, ms | size, KB | opens, ms | a step, ms |",
        "|---|---:|---:|---:|---:|---:|",
        *(f"| {name} | {' | '.join(row)} |" for name, row in _rows()),
    ]


def _rows() -> Iterator[tuple[str, list[str]]]:
    with TemporaryDirectory() as folder:
        for name, make in LESSONS.items():
            path = Path(folder) / "lesson.html"
            lesson = make()
            explained, written = _milliseconds(make), _milliseconds(lambda: lesson.to_html(path))  # noqa: B023
            opens, step = _in_browser(path)
            yield name, [f"{explained:.0f}", f"{written:.0f}", f"{path.stat().st_size / 1024:.0f}", opens, step]


def _milliseconds(act: Callable[[], Any]) -> float:
    times = []
    for _ in range(ROUNDS):
        start = perf_counter()
        act()
        times.append((perf_counter() - start) * 1e3)
    return median(times)


def _in_browser(path: Path) -> tuple[str, str]:
    """The times in a browser, if one is installed."""
    if CHROMIUM is None or find_spec("playwright") is None:
        return "", ""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        opens, steps = [], []
        for _ in range(ROUNDS):
            page = browser.new_page()
            page.goto(path.as_uri())
            opens.append(page.evaluate(DRAWN))
            steps.append(page.evaluate(STEP))
            page.close()
        browser.close()
    return f"{median(opens):.0f}", f"{median(steps):.1f}"


if __name__ == "__main__":
    print("\n".join(table()))
