"""What shows itself: as text in a terminal, as Markdown in a notebook.

Markdown and not HTML, so that what a teacher writes in a question, such as a formula or `x`, is set there, too.
"""

from typing import Any

import numpy as np

_MANY = 12  # entries, above which an array is told by its shape


class Shown:
    """Something whose text is what one wants to see of it."""

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
    """An array or a number in a line: its entries, or of many the shape."""
    x = np.asarray(x)
    if not x.shape:
        return f"{x.item():.4g}"
    if x.size > _MANY:
        return f"an array of shape {x.shape}"
    return np.array2string(x, precision=4, separator=", ").replace("\n", "")
