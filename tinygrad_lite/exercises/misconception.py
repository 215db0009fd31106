"""A mistake that a mark can name: what one thinks, what is so, and an example."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field

from tinygrad_lite.exercises.drawing import picture
from tinygrad_lite.exercises.example import Example
from tinygrad_lite.exercises.shown import Shown

PAGES = "docs/misconceptions"


@dataclass(frozen=True, repr=False)
class Misconception(Shown):
    """A mistake that a mark names, and that a page describes.

    Attributes:
        name: its name, which its page has, too.
        title: its title, a few words.
        sentences: what the gradient checker says of it, up to what stands for `{}`, and what a learner is told of
            that: never a number or a formula that would mend it.
        thought: what one thinks.
        truth: what is so instead.
        ask: how to see it oneself.
        example: a mistake of this kind.
        placed: whether the operation in which it was made says more.
    """

    name: str
    title: str
    sentences: Mapping[str, str]
    thought: str
    truth: str
    ask: str
    example: Example
    placed: bool = field(default=True, kw_only=True)

    @property
    def page(self) -> str:
        """The path of its page."""
        return f"{PAGES}/{self.name}.md"

    def picture(self) -> tuple[str, str]:
        """Its picture as SVG, and what it shows in words."""
        return picture(self.name, self.example)

    def __str__(self) -> str:
        parts = (self.title, f"What people think: {self.thought}", f"What is true: {self.truth}", f"Ask: {self.ask}")
        return "\n\n".join(parts)

    def markdown(self) -> str:
        """The same in Markdown, with the picture of its page."""
        svg, text = self.picture()
        image = f"![{text}](data:image/svg+xml;base64,{b64encode(svg.encode()).decode()})"
        parts = [f"### {self.title}", image, f"**What people think.** {self.thought}"]
        return "\n\n".join([*parts, f"**What is true.** {self.truth}", f"**Ask.** {self.ask}"])
