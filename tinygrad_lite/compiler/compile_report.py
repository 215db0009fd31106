"""What became of a compiled function: how it runs, and what of it falls back."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CompileReport:
    """How a compiled function runs.

    Attributes:
        backend: "numpy" or "numba"; "none" if it is called as it is, for the reason that is given.
        operations: how many the program has, after all passes.
        falls_back: the names of those that are calls of NumPy's between native code, with how often.
        reason: why it is not run as a program by the backend that was asked for; empty if it is.
    """

    backend: str
    operations: int
    falls_back: dict[str, int]
    reason: str

    def __str__(self) -> str:
        lines = [f"{self.operations} operations, run by {self.backend}"]
        if self.falls_back:
            named = ", ".join(f"{name} ({count})" for name, count in self.falls_back.items())
            lines.append(f"calls of NumPy's between native code: {named}")
        if self.reason:
            lines.append(self.reason)
        return "\n".join(lines)
