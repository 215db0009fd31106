"""Tables of pages as cards: each has the picture that its page begins with.

That is its first plot, as it stands before anybody moves it, or its first image, or else the graph of its first figure.
"""

import re
from base64 import b64encode
from pathlib import Path
from typing import Any

import lesson_figures
from docutils import nodes
from figures import still
from lesson_pages import names_of, run
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from thumbnails import thumbnail

TABLES = {"lessons/index", "misconceptions/index"}
FIRST_PLOT = re.compile(r"^```\{plot\} (\w+)$", re.MULTILINE)
FIRST_IMAGE = re.compile(r"^!\[[^\]]*\]\(([^)]+)\)", re.MULTILINE)
FIRST_FIGURE = re.compile(r"^```\{explain\} (.*)$", re.MULTILINE)


class Cards(SphinxTransform):
    """Makes the first table of these pages a list: for each row a link, a picture, and what the row says."""

    default_priority = 200  # while links are still paths, as they are written

    def apply(self, **kwargs: Any) -> None:
        if self.env.docname not in TABLES:
            return
        folder = Path(self.env.doc2path(self.env.docname)).parent
        table = next(self.document.findall(nodes.table))
        cards = nodes.bullet_list(classes=["cards"])
        for row in next(table.findall(nodes.tbody)):
            title, words = (entry.children for entry in row)
            link = next(row.findall(lambda node: node.get("reftarget") or node.get("refuri")))
            page = folder / Path(link.get("reftarget") or link["refuri"]).with_suffix(".md").name
            self.env.note_dependency(str(page))
            cards += nodes.list_item("", *title, picture(page.read_text()), *words)
        table.replace_self(cards)


def picture(text: str) -> nodes.Node:
    """The first picture of a page."""
    if plot := FIRST_PLOT.search(text):
        return nodes.raw("", still(getattr(lesson_figures, plot[1])()), format="html")
    if image := FIRST_IMAGE.search(text):
        return nodes.image(uri=image[1], alt="")
    figure = FIRST_FIGURE.search(text)
    assert figure, "a page without a picture"
    names = names_of(text[: figure.start()])
    run(f"_lesson = tg.explain({figure[1]})", names)
    drawing = b64encode(thumbnail(names["_lesson"].graph).encode()).decode()
    return nodes.raw("", f'<img alt="" src="data:image/svg+xml;base64,{drawing}">', format="html")


def setup(app: Sphinx) -> None:
    app.add_transform(Cards)
