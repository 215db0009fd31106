"""The report of a compiled function: how it runs, and which operations fall back to NumPy."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CompileReport:
    """How a compiled function runs.

    Attributes:
        backend: "numpy" or "native"; "none" if the function itself is called, for the reason in `reason`.
        operations: the number of operations in the program, after all passes.
        falls_back: the names of the operations that are NumPy calls between native code, with their counts.
        reason: why the requested backend does not run it as a program; empty if it does.
    """

    backend: str
    operations: int
    falls_back: dict[str, int]
    reason: str

    def __str__(self) -> str:
        lines = [f"{self.operations} operations, run by {self.backend}"]
        if self.falls_back:
            named = ", ".join(f"{name} ({count})" for name, count in self.falls_back.items())
            lines.append(f"NumPy calls between native code: {named}")
        if self.reason:
            lines.append(self.reason)
        return "\n".join(lines)
