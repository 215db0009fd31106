"""Objects that show themselves, as text in a terminal and as Markdown in a notebook.

It is Markdown, not HTML, so that a teacher's formulas and `code` in a question are rendered as well.
"""

from typing import Any

import numpy as np

_MANY = 12  # above this number of entries, only the shape of an array is shown


class Shown:
    """An object whose `repr` is the text to read."""

    def markdown(self) -> str:
        """The text for a notebook."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return str(self)

    def _repr_markdown_(self) -> str:
        return self.markdown()


class Note(Shown):
    """A sentence or two."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text

    def markdown(self) -> str:
        return self._text


def brief(x: Any) -> str:
    """An array or a number in one line: its entries, or its shape if there are many."""
    x = np.asarray(x)
    if not x.shape:
        return f"{x.item():.4g}"
    if x.size > _MANY:
        return f"an array of shape {x.shape}"
    kinds: Any = {"float_kind": "{:.6g}".format, "int_kind": str, "bool": str}
    return np.array2string(x, separator=", ", formatter=kinds, max_line_width=1000).replace("\n", "")
