"""Floor 5. Gradient checks: what is wrong, where, and why."""

from tinygrad_lite.checking.gradcheck import gradcheck
from tinygrad_lite.checking.report import Report, Verdict

__all__ = ["Report", "Verdict", "gradcheck"]
