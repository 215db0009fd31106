"""The table of lessons as cards: each has the picture that its lesson begins with.

A lesson's first picture is a plot, as it stands before anybody moves it, or else the graph of its first figure.
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

COURSE = "lessons/index"
FIRST_PLOT = re.compile(r"^```\{plot\} (\w+)$", re.MULTILINE)
FIRST_FIGURE = re.compile(r"^```\{explain\} (.*)$", re.MULTILINE)


class Cards(SphinxTransform):
    """Makes the first table of the course a list: for each row a link, a picture, and the question."""

    default_priority = 200  # while links are still paths, as they are written

    def apply(self, **kwargs: Any) -> None:
        if self.env.docname != COURSE:
            return
        table = next(self.document.findall(nodes.table))
        cards = nodes.bullet_list(classes=["cards"])
        for row in next(table.findall(nodes.tbody)):
            title, question = (entry.children for entry in row)
            link = next(row.findall(lambda node: node.get("reftarget") or node.get("refuri")))
            lesson = Path(self.env.doc2path(COURSE)).parent / Path(link.get("reftarget") or link["refuri"]).name
            self.env.note_dependency(str(lesson))
            cards += nodes.list_item(
                "", *title, nodes.raw("", picture(lesson.with_suffix(".md")), format="html"), *question
            )
        table.replace_self(cards)


def picture(lesson: Path) -> str:
    """The first picture of a lesson, as HTML."""
    text = lesson.read_text()
    if plot := FIRST_PLOT.search(text):
        return still(getattr(lesson_figures, plot[1])())
    figure = FIRST_FIGURE.search(text)
    assert figure, f"{lesson} has no figure"
    names = names_of(text[: figure.start()])
    run(f"_lesson = tg.explain({figure[1]})", names)
    drawing = b64encode(thumbnail(names["_lesson"].graph).encode()).decode()
    return f'<img alt="" src="data:image/svg+xml;base64,{drawing}">'


def setup(app: Sphinx) -> None:
    app.add_transform(Cards)
