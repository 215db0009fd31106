"""Figures to step through: the explainer's page of a value in the text's own code, made when the site is built.

    ```{explain} loss
    :step: 4

    A caption.
    ```

runs the Python blocks above it and shows the page of `loss` at step 4; with `:play:` instead, the page plays unasked.
A link `[text](#step=6)` takes the figure that stands before it (or, before the first, that one) to step 6.
"""

import contextlib
import doctest
import io
import re
from html import escape
from pathlib import Path
from typing import Any, ClassVar

import numpy
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util.docutils import SphinxDirective

import tinygrad_lite
from tinygrad_lite.readers.recording import hearing_exits

FOLDER = "pages"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
STEP = re.compile(r"#(step=\d+)$")


class Page(nodes.General, nodes.Element):
    """The page of a value, in a frame."""


class Explain(SphinxDirective):
    """The figure of an expression; its text is the caption."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec: ClassVar = {"step": directives.nonnegative_int, "play": directives.flag}

    def run(self) -> list[nodes.Node]:
        expression = self.arguments[0]
        looks: list[Any] = []
        with hearing_exits(looks.append):
            names = names_of(text_above(self))
            run(f"_lesson = tg.explain({expression})", names)
        graph = names["_lesson"].graph
        graph.is_watched = not any(map(graph.is_behind, looks))  # if no number of it was read, no code chose by one
        count = self.env.temp_data["pages"] = self.env.temp_data.get("pages", 0) + 1
        file = f"{FOLDER}/{self.env.docname.replace('/', '-')}-{count}.html"
        path = Path(self.env.app.outdir, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        names["_lesson"].to_html(path)
        begin = "playing" if "play" in self.options else f"step={self.options.get('step', 0)}"
        page = Page(name=f"page-{count}", address=_to_root(self.env.docname) + file, begin=begin)
        page["title"] = f"The backward pass of {names['_lesson'].graph.root.name}, step by step"
        page += self.parse_content_to_nodes()
        return [page]


def text_above(directive: SphinxDirective) -> str:
    """The text of a page above a directive."""
    lines = Path(directive.env.doc2path(directive.env.docname)).read_text().splitlines(keepends=True)
    return "".join(lines[: directive.lineno - 1])


def blocks_of(text: str) -> list[str]:
    """The code of the Python blocks of a text."""
    blocks = BLOCK.findall(text)
    return ["".join(example.source for example in doctest.DocTestParser().get_examples(block)) for block in blocks]


def names_of(text: str) -> dict[str, Any]:
    """What the Python blocks of a text define."""
    names: dict[str, Any] = {"__name__": "__main__", "np": numpy, "tg": tinygrad_lite}
    with contextlib.redirect_stdout(io.StringIO()):
        for block in blocks_of(text):
            run(block, names)
    return names


def run(code: str, names: dict[str, Any]) -> None:
    """Run some of the site's own text."""
    exec(compile(code, "lesson", "exec"), names)  # noqa: S102


def _to_root(docname: str) -> str:
    return "../" * docname.count("/")


class LinksToSteps(SphinxTransform):
    """Links to `#step=…`, made links that open the step in the figure that they follow."""

    default_priority = 210  # before MyST looks for an anchor of that name

    def apply(self, **kwargs: Any) -> None:
        page = next(self.document.findall(Page), None)
        for node in list(self.document.findall(lambda node: isinstance(node, (Page, nodes.reference)))):
            if isinstance(node, Page):
                page = node
            elif page is not None and (step := STEP.match(node.get("refuri", ""))):
                link = nodes.reference(
                    "", "", *node.children, refuri=f"{page['address']}#{step[1]}", target=page["name"]
                )
                node.replace_self(link)


def visit(translator: Any, node: Page) -> None:
    address, name, title = node["address"], node["name"], escape(node["title"])
    translator.body.append(
        f'<figure class="page" id="{name}"><iframe name="{name}" title="{title}" loading="lazy"'
        f' src="{address}#{node["begin"]}"></iframe>\n<figcaption>'
        f'<p class="alone"><a href="{address}">This figure by itself</a></p>'
    )


def depart(translator: Any, node: Page) -> None:
    translator.body.append("</figcaption></figure>\n")


def widen(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Beside a figure there is no room for the contents of the page."""
    if doctree is not None and next(doctree.findall(Page), None) is not None:
        context["furo_hide_toc"] = True


def setup(app: Sphinx) -> None:
    app.add_node(Page, html=(visit, depart))
    app.add_directive("explain", Explain)
    app.add_transform(LinksToSteps)
    app.connect("html-page-context", widen, priority=900)  # after the theme has decided
    app.add_js_file("lesson_pages.js", loading_method="defer")
