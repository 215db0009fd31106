"""Sphinx: the page of the playground, written beside the site's other files."""

from pathlib import Path
from typing import Any

from tinygrad_lite.explainer import playground


def write(app: Any, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        folder = Path(app.outdir) / "_static"
        folder.mkdir(exist_ok=True)
        (folder / "playground.html").write_text(playground.html(), encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    app.connect("build-finished", write)
    return {"parallel_read_safe": True}
