"""Floor 5. A lesson about the graph behind a tensor, and the forms in which it can be had."""

from tinygrad_lite.explainer import words
from tinygrad_lite.explainer.graph import Graph
from tinygrad_lite.explainer.steps import Pass


class Lesson:
    """What `tg.explain` returns: `print` it, or have it as a page, a picture, or a derivation.

    Attributes:
        graph: the nodes, with their names and numbers.
        backward: the backward pass over it, step by step.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.backward = Pass(graph)

    def __str__(self) -> str:
        return words.lesson(self.graph, self.backward)

    __repr__ = __str__
