"""Gradient checks, which tell what is wrong, where, and why."""

from tinygrad_lite.checking.anomaly import detect_anomaly
from tinygrad_lite.checking.audit import GradientAudit, audit_gradients
from tinygrad_lite.checking.gradcheck import gradcheck
from tinygrad_lite.checking.report import Report, Verdict

__all__ = ["GradientAudit", "Report", "Verdict", "audit_gradients", "detect_anomaly", "gradcheck"]
