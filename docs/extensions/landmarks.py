"""What the theme leaves out for those who hear the site: how deep the headings beside the text are."""

import re
from typing import Any

from sphinx.application import Sphinx


def complete(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    for part in ("furo_navigation_tree", "body"):
        if part in context:
            context[part] = context[part].replace('role="heading"', 'role="heading" aria-level="2"')
            context[part] = re.sub(r'<th class="head">(<p></p>)?</th>', "<td></td>", context[part])


def setup(app: Sphinx) -> None:
    app.connect("html-page-context", complete, priority=900)  # after the theme
