"""Formulas as MathML, made when the site is built: browsers and screen readers know it, and no script is loaded.

Brackets grow and roots stretch where there is a font for mathematics. Most systems have one; for the others, one comes
with the site.
"""

from pathlib import Path
from typing import Any

import ziamath
from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.fileutil import copy_asset

FONT = Path(ziamath.__file__).parent / "fonts" / "STIXTwoMath-Regular.ttf"

logger = logging.getLogger(__name__)
converter = LatexToMathML(annotation=True)


def formula(node: nodes.Node, displayed: bool) -> str:
    try:
        made = converter.convert_with_local_state(node.astext(), displaystyle=displayed)
    except LatexError as error:
        logger.warning("no formula: %s", error, location=node)
        return ""
    # the converter's overline is a character that stands below a letter, and in most fonts beside it
    return made.replace("\N{COMBINING LOW LINE}</mo></mover>", "\N{OVERLINE}</mo></mover>")


def inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(formula(node, displayed=False))
    raise nodes.SkipNode


def displayed(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="formula">{formula(node, displayed=True)}</div>\n')
    raise nodes.SkipNode


def add_font(app: Sphinx, exception: Exception | None) -> None:
    if exception is None:
        copy_asset(FONT, app.outdir / "_static")


def setup(app: Sphinx) -> None:
    app.add_html_math_renderer("mathml", (inline, None), (displayed, None))
    app.config.html_math_renderer = "mathml"
    app.connect("build-finished", add_font)
