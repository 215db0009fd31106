"""Sentences that remember what was put into them, so that a page can say them in its reader's language."""

from typing import Any


class Phrase(str):
    """An English text, with the template that it was made from and the values for the names in it."""

    __slots__ = ("template", "values")

    template: str
    values: dict[str, Any]


def phrase(template: str, /, **values: Any) -> Phrase:
    """The text of a template; a value that is a phrase itself keeps its own template.

    Example:
        >>> text = phrase("{op} by {what}", op="multiply", what=phrase("zeros"))
        >>> text, text.template
        ('multiply by zeros', '{op} by {what}')
    """
    text = Phrase(template.format(**values) if values else template)
    text.template, text.values = template, values
    return text


def parts(text: Any) -> Any:
    """A phrase as JSON holds it, [template, values]; anything else as text, which no reader translates."""
    if not isinstance(text, Phrase):
        return str(text)
    return [text.template, {name: parts(value) for name, value in text.values.items()}]
