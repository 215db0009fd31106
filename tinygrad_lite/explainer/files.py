"""Files of a page: its parts, which are in the package, and the page itself, written as a whole or not at all."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from tinygrad_lite.whole_files import replace


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


def write(path: Path, text: str) -> None:
    """Write a file completely or not at all.

    Raises:
        FileError: if it cannot be written; an existing file stays as it was.
    """
    replace(path, text.encode("utf-8", "replace"))
