"""Cells of Python that a reader changes and runs in the page, by Pyodide, which the site serves from its own files.

    ```{try-it}
    loss.backward()
    w.grad
    ```

knows the names that the Python blocks above it define: they run first. The build runs the cell, too, so that it is
right when it is read.

    ```{try-it}
    :exercise: square
    ```

is an exercise, whose answer the cell marks.

The setting `pyodide_distribution`, or the environment variable PYODIDE_DISTRIBUTION, is the folder of a full
distribution of Pyodide, which has NumPy. Without it, cells are code to read, with a sentence that says how to run it.
"""

import contextlib
import io
import os
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import cells
from docutils import nodes
from docutils.parsers.rst import directives
from lesson_pages import blocks_of, names_of, run, text_above
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from tinygrad_lite import exercises


class Cell(nodes.General, nodes.Element):
    """Code to change and run."""


class TryIt(SphinxDirective):
    """A cell of code, or of an exercise."""

    has_content = True
    option_spec: ClassVar = {"exercise": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        cell = Cell(root="../" * self.env.docname.count("/"), asked="", before=[])
        if "exercise" in self.options:
            name = self.options["exercise"]
            code, cell["asked"] = cells.exercise(name), str(exercises.start(name))
        else:
            code = "\n".join(self.content) + "\n"
            cell["before"] = blocks_of(text_above(self))
            with contextlib.redirect_stdout(io.StringIO()):
                run(code, names_of(text_above(self)))
        cell += nodes.literal_block(code, code, language="python")
        return [cell]


def visit(translator: Any, node: Cell) -> None:
    distribution = translator.config.pyodide_distribution
    size = cells.size_of(Path(distribution)) if distribution else None
    translator.body.append(cells.opening(node["before"], node["asked"], node["root"], size))


def depart(translator: Any, node: Cell) -> None:
    translator.body.append(cells.closing(node["before"]))


def copy(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.config.pyodide_distribution and app.builder.format == "html":
        with tempfile.TemporaryDirectory() as folder:
            parts = cells.parts_of(Path(app.config.pyodide_distribution))
            cells.serve(parts, cells.built_wheel(Path(folder)), Path(app.outdir, "_static"))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("pyodide_distribution", os.environ.get("PYODIDE_DISTRIBUTION", ""), "env", [str])
    app.add_node(Cell, html=(visit, depart))
    app.add_directive("try-it", TryIt)
    app.add_js_file("try_it.js", loading_method="defer")
    app.connect("build-finished", copy)
    return {"parallel_read_safe": True}
