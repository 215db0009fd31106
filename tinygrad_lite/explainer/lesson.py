"""A lesson about the graph behind a tensor, and its output formats."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tinygrad_lite.errors import MissingExtraError
from tinygrad_lite.explainer import derivation, page, pictures, rerun, words
from tinygrad_lite.explainer.files import frame, write
from tinygrad_lite.explainer.graph import Graph
from tinygrad_lite.explainer.steps import Pass
from tinygrad_lite.optim.optimizer import Optimizer

if TYPE_CHECKING:
    from tinygrad_lite.explainer.widget import LessonWidget


class Lesson:
    """The result of `tg.explain`: `print` it, or write it as a page, a picture, or a derivation.

    Attributes:
        graph: the nodes, with their names and numbers.
        backward: the backward pass over it, step by step.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.backward = Pass(graph)

    def __str__(self) -> str:
        text = self.to_text()
        return words.coloured(text) if sys.stdout.isatty() and "NO_COLOR" not in os.environ else text

    __repr__ = __str__

    def to_text(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the lesson in words, without terminal colours; with a path, write it to that file.

        Raises:
            InputError: as `to_html`.
        """
        return _written(path, words.lesson(self.graph, self.backward))

    def to_html(
        self, path: str | os.PathLike[str], optimizer: Optimizer | None = None, seed: int | str | None = None
    ) -> None:
        """Write the lesson as a page: one file to open in a browser, which needs no network.

        Args:
            optimizer: the page shows its next step beside plain gradient descent, without taking it.
            seed: decides which questions the quiz asks, and about which entries, such as the name of a student.

        Raises:
            FileError: if the path cannot be written; an existing file stays as it was.

        Example:
            >>> import tempfile, tinygrad_lite as tg
            >>> x = tg.tensor(3.0, requires_grad=True, name="x")
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     tg.explain(x * x).to_html(f"{folder}/lesson.html")
        """
        update = None if optimizer is None else rerun.update(self.graph, self.backward, optimizer)
        write(Path(path), page.html(self.graph, self.backward, update, None if seed is None else str(seed)))

    def widget(self) -> "LessonWidget":
        """Return the lesson as a notebook widget, which brings numbers that are dragged in the page back to Python.

        `widget.values["w"]` is the array of the leaf w as it is in the page now, and `widget.observe(f, "values")`
        calls f when the numbers change.

        Raises:
            MissingExtraError: if anywidget is not installed.
        """
        try:
            from tinygrad_lite.explainer.widget import LessonWidget
        except ModuleNotFoundError as error:
            raise MissingExtraError("Lesson.widget()", "anywidget", "notebooks") from error
        return LessonWidget(self.graph, self.backward)

    def to_svg(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the graph as a picture, from left to right; with a path, write it to that file.

        Raises:
            InputError: as `to_html`.
        """
        return _written(path, pictures.svg(self.graph, self.backward))

    def to_dot(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the graph in the language of Graphviz; with a path, write it to that file.

        Raises:
            InputError: as `to_html`.
        """
        return _written(path, pictures.dot(self.graph))

    def to_mermaid(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the graph in the language of Mermaid; with a path, write it to that file.

        Raises:
            InputError: as `to_html`.
        """
        return _written(path, pictures.mermaid(self.graph))

    def to_latex(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the derivation in LaTeX, line by line; v̄ is the gradient with respect to v. It needs amsmath.

        Raises:
            InputError: as `to_html`.
        """
        return _written(path, derivation.latex(self.graph, self.backward))

    def _repr_html_(self) -> str:
        title = f"The backward pass of {self.graph.root.name}"
        return frame(page.html(self.graph, self.backward, None), title, 760)


def _written(path: str | os.PathLike[str] | None, text: str) -> str:
    if path is not None:
        write(Path(path), text)
    return text
