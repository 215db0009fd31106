"""Docstrings as they are written here, plain text with code in backticks, made ready for reStructuredText."""

import re

from sphinx.application import Sphinx

_CODE = re.compile(r"(`[^`]*`)")
_RAISES_AS = re.compile(r"Raises:\n +(as .*)")
_MARKUP = re.compile(r"([\\*|]|_(?=\W|$))")


def prepared(lines: list[str]) -> list[str]:
    """The lines with what would be taken for markup escaped, but for examples and blocks of code that are indented.

    Of what is indented, a section (`Raises:` and its kind) follows its title at once, and code an empty line.
    """
    output: list[str] = []
    in_example = in_code = in_section = False
    for i, line in enumerate(lines):
        in_example = line.lstrip().startswith(">>>") or (in_example and bool(line.strip()))
        if line.strip() and not line.startswith(" "):
            in_code = False
            in_section = line.endswith(":") and bool("".join(lines[i + 1 : i + 2]).strip())
        elif line.startswith("    ") and not in_section and not in_code and not lines[i - 1].strip():
            in_code = True
            output += [".. code-block:: python", ""]
        output.append(line if in_example or in_code else "".join(map(_escaped, _CODE.split(line))))
    return output


def _escaped(part: str) -> str:
    return part if part.startswith("`") else _MARKUP.sub(r"\\\1", part)


def prepare(app: Sphinx, what: str, name: str, item: object, options: object, lines: list[str]) -> None:
    text = _RAISES_AS.sub(r"Raises \1", "\n".join(lines))  # a sentence, since it is not an error's name
    lines[:] = prepared(text.splitlines())


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", prepare, priority=400)  # before napoleon, whose own markup stays
