"""`Finding`: what one check of a model, its loss and its data has found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        check: what should be.
        ok: whether it is; None if that could not be found out.
        text: what was measured, and why it is wrong.
    """

    check: str
    ok: bool | None
    text: str

    def __str__(self) -> str:
        sign = {True: "✓", False: "✗", None: "?"}[self.ok]
        return f"{sign} {self.check}: {self.text}"
