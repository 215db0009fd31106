"""Files of a page: its parts, which are in the package, and the page itself, written as a whole or not at all."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from tinygrad_lite.foundation.whole_files import replace


@cache
def asset(name: str) -> str:
    """The text of a part."""
    return (files("tinygrad_lite.explainer") / "page" / name).read_text(encoding="utf-8")


def page(
    body: str,
    title: str,
    data: Mapping[str, Any],
    scripts: Sequence[str],
    styles: Sequence[str],
    programs: Iterable[str],
) -> str:
    """A page: a body, data for the scripts, and functions that the scripts call as `programs[k]`."""
    parts = {
        "title": escape(title),
        "style": "".join(asset(f"{name}.css") for name in styles),
        "data": json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        "programs": "const programs = [\n" + ",\n".join(programs) + "\n];",
        "script": "\n".join(asset(f"{name}.js") for name in scripts),
    }
    parts["body"] = asset(body).rstrip().replace("{{title}}", parts["title"])
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], asset("shell.html"))


def frame(content: str, title: str, height: int) -> str:
    """A page as the output of a notebook's cell.

    A notebook that is not trusted leaves out the frame, and shows the sentence inside it, which is otherwise hidden.
    """
    title = escape(title)
    style = f"width:100%;height:{height}px;border:1px solid #8888;box-sizing:border-box"
    sentence = f"{title} is a page with scripts: trust this notebook, or run the cell, to see it."
    return f'<iframe srcdoc="{escape(content)}" title="{title}" style="{style}">{sentence}</iframe>'


def write(path: Path, text: str) -> None:
    """Write a file completely or not at all.

    Raises:
        FileError: if it cannot be written; an existing file stays as it was.
    """
    replace(path, text.encode("utf-8", "replace"))
