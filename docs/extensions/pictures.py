"""What the scripts of the gallery write, as figures of their pages: pictures (.svg, .png) and whole pages (.html).

A script writes its files beside itself, as it would for whoever runs it by hand. They are moved to where the site looks
for them.
"""

import re
import shutil
from html import escape, unescape
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from thumbnails import thumbnail, wordless

from tinygrad_lite.explainer.lesson import Lesson

GRAPHS: dict[Path, Any] = {}  # the script of each lesson, and the graph that it explains
PLOTS: dict[Path, bytes] = {}  # the script of each plot, and the first one without its words
DRAWN: list[bytes] = []  # the plots of the block that runs
PAGES = Path(__file__).parents[1] / "gallery" / "pages"  # which conf.py copies into the site


def collect_pictures(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """The figures of one block of a script, in reStructuredText."""
    script = Path(block_vars["src_file"])
    if isinstance(lesson := block_vars["example_globals"].get("lesson"), Lesson):
        GRAPHS[script] = lesson.graph
    if DRAWN:
        PLOTS.setdefault(script, DRAWN[0])
        DRAWN.clear()
    figures = []
    for written in sorted(script.parent.glob("*")):
        if written.suffix in (".svg", ".png"):
            text = _description(written)
            target = Path(next(block_vars["image_path_iterator"])).with_suffix(written.suffix)
            shutil.move(written, target)
            figures.append(_picture(target.relative_to(gallery_conf["src_dir"]), text))
        elif written.suffix == ".html":
            shutil.move(written, PAGES / written.name)
            figures.append(f"`Open {written.name}, the lesson as a page <../{written.name}>`__\n")
    return "\n".join(figures)


def watch_plots(app: Any) -> None:
    """Keep a copy of each plot that a script saves."""
    plain = Figure.savefig

    def savefig(figure: Figure, *args: Any, **settings: Any) -> None:
        plain(figure, *args, **settings)
        DRAWN.append(wordless(figure, plain))

    Figure.savefig = savefig  # type: ignore[method-assign]


def draw_thumbnails(app: Any) -> None:
    """Put the whole of each graph, and plots without words, in place of what the gallery made of wide pictures."""
    for script, graph in GRAPHS.items():
        _thumbnail(app, script, ".svg").write_text(thumbnail(graph), encoding="utf-8")
    for script, plot in PLOTS.items():
        _thumbnail(app, script, ".png").write_bytes(plot)


def _thumbnail(app: Any, script: Path, suffix: str) -> Path:
    room = script.parent.relative_to(Path(app.srcdir, app.config.sphinx_gallery_conf["examples_dirs"]).resolve())
    return Path(app.srcdir, "gallery", room, "images", "thumb", f"sphx_glr_{script.stem}_thumb{suffix}")


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", watch_plots, priority=100)  # before the gallery runs its scripts
    app.connect("builder-inited", draw_thumbnails, priority=900)  # and after it
    return {"parallel_read_safe": True}


def _description(picture: Path) -> str:
    """What a picture shows: its own title, or the name of its file."""
    title = re.search("<title[^>]*>(.*?)</title>", picture.read_text()) if picture.suffix == ".svg" else None
    return unescape(title[1]) if title else picture.stem.replace("_", " ")


def _picture(path: Path, text: str) -> str:
    """A picture in a frame that moves with the arrow keys, too, where the picture is wider."""
    return f"""\
.. raw:: html

   <div class="picture" role="region" aria-label="{escape(text)}" tabindex="0">

.. image:: /{path.as_posix()}
   :alt: {text}

.. raw:: html

   </div>
"""
