"""Sphinx: the report of a small class, marked when the site is built and written beside the site's other files."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tinygrad_lite.exercises.assignments import mark_class
from tinygrad_lite.exercises.class_page import as_html

EXERCISES = ("chain_rule", "bias", "softmax")
HANDED_IN = {
    "Ada": ("6 * (3 * x + 1)", "g.sum(axis=0)", "y * (g - np.sum(g * y, axis=1, keepdims=True))"),
    "Bob": ("2 * (3 * x + 1)", "g.mean(axis=0)", "g * y * (1 - y)"),
    "Chi": ("6 * (3 * x + 1)", "g", "y * (g - np.sum(g * y, axis=1))"),
    "Dev": ("6 * 3 * x + 1", "g.sum(axis=0)", "g * y * (1 - y)"),
    "Eve": ("6 * (3 * x + 1)", "g.mean(axis=0)"),
}
"""What each student returns, exercise by exercise."""
HEADS = ("def derivative(y, x):", "def vjp(g, y, x, b):", "def vjp(g, y, x):")


def report() -> str:
    """The page of the class."""
    with TemporaryDirectory() as folder:
        for student, answers in HANDED_IN.items():
            home = Path(folder, student)
            home.mkdir()
            for exercise, head, answer in zip(EXERCISES, HEADS, answers):
                (home / f"{exercise}.py").write_text(f"import numpy as np\n\n\n{head}\n    return {answer}\n")
        return as_html(mark_class(folder, EXERCISES))


def write(app: Any, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        folder = Path(app.outdir, "_static")
        folder.mkdir(exist_ok=True)
        (folder / "class_report.html").write_text(report(), encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    app.connect("build-finished", write)
    return {"parallel_read_safe": True}
