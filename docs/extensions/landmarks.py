"""What those who hear the site need, and what its makers leave out: how deep headings are, and lists that are lists."""

import re
from typing import Any

from sphinx.application import Sphinx


def complete(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    for part in ("furo_navigation_tree", "body"):
        if part in context:
            text = context[part].replace('role="heading"', 'role="heading" aria-level="2"')
            text = re.sub(r'<th class="head">(<p></p>)?</th>', "<td></td>", text)
            context[part] = re.sub(r"<dl>\n(<dd>.*?)</dl>", _parameters, text, flags=re.DOTALL)


def _parameters(signature: re.Match[str]) -> str:
    """The parameters of a long signature, which are no list of definitions."""
    lines = signature[1].replace("<dd>", "<span>").replace("</dd>", "</span>")
    return f'<span class="parameters">{lines}</span>'


def setup(app: Sphinx) -> None:
    app.connect("html-page-context", complete, priority=900)  # after the theme
