"""A lesson as a widget of a notebook: its page, and the numbers that somebody drags in it, as arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import anywidget
import numpy as np
import traitlets

from tinygrad_lite.engine.op import Array
from tinygrad_lite.explainer import page
from tinygrad_lite.explainer.files import asset, frame
from tinygrad_lite.explainer.graph import Graph
from tinygrad_lite.explainer.steps import Pass

ALONE = "<p>In a notebook that runs, the numbers that you change on this page come back to Python: run the cell.</p>"


class LessonWidget(anywidget.AnyWidget):
    """The result of `Lesson.widget`: show it as the last line of a notebook's cell.

    Attributes:
        values: the array of each leaf by its name, with the numbers that the page has now. `observe(f, "values")` calls
            f when they change.
    """

    _esm = asset("widget.js")
    _title = traitlets.Unicode().tag(sync=True)
    _page = traitlets.Unicode().tag(sync=True)
    _changed = traitlets.Dict().tag(sync=True)
    values = traitlets.Dict(read_only=True)

    def __init__(self, graph: Graph, backward_pass: Pass) -> None:
        self._recorded = {leaf.name: np.array(leaf.value) for leaf in graph.leaves}
        title = f"The backward pass of {graph.root.name}"
        super().__init__(_title=title, _page=page.html(graph, backward_pass, None))
        self.set_trait("values", self._recorded)
        self.observe(self._take, "_changed")

    def __repr__(self) -> str:
        return f"{self._title}: run this cell to see the page"

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The widget; and the page alone, for a file or a site that shows what a notebook kept, and runs no widgets."""
        data, metadata = super()._repr_mimebundle_(**kwargs) or ({}, {})
        return data | {"text/html": frame(self._page, self._title, 760) + ALONE}, metadata

    def _take(self, change: Mapping[str, Any]) -> None:
        """Take the numbers of the page, which come as text, with all their digits."""
        self.set_trait("values", self._recorded | {name: self._array(name, x) for name, x in change["new"].items()})

    def _array(self, name: str, entries: Sequence[str]) -> Array:
        recorded = self._recorded[name]
        return np.array([float(entry) for entry in entries], recorded.dtype).reshape(recorded.shape)
