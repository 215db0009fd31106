"""Mends what the theme and the extensions write: levels of headings, lists that are none, and links to nothing."""

import re
from typing import Any

from sphinx.application import Sphinx

BACK = re.compile(r'<a class="viewcode-back" href="[^"#]*#([^"]*)">.*?</a>')
"""A link from code to its description, which viewcode also makes for what is described under another name."""


def complete(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    for part in ("furo_navigation_tree", "body"):
        if part in context:
            text = context[part].replace('role="heading"', 'role="heading" aria-level="2"')
            text = re.sub(r'<th class="head">(<p></p>)?</th>', "<td></td>", text)
            context[part] = re.sub(r"<dl>\n(<dd>.*?)</dl>", _parameters, text, flags=re.DOTALL)
    if pagename == "_modules/index":  # viewcode puts a list between the entries of another, not into one of them
        lists, _, end = re.sub(r"</li>\s*<ul>", "<ul>", context["body"]).rpartition("</ul>")
        context["body"] = lists.replace("</ul>", "</ul></li>") + "</ul>" + end
    if pagename.startswith("_modules/"):
        described = app.env.get_domain("py").objects
        context["body"] = BACK.sub(lambda link: link[0] if link[1] in described else "", context["body"])


def _parameters(signature: re.Match[str]) -> str:
    """The parameters of a long signature, which are not a list of definitions."""
    lines = signature[1].replace("<dd>", "<span>").replace("</dd>", "</span>")
    return f'<span class="parameters">{lines}</span>'


def setup(app: Sphinx) -> None:
    app.connect("html-page-context", complete, priority=900)  # after the theme
