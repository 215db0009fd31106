"""Gradient checks, which tell what is wrong, where, and why."""

from tinygrad_lite.checking.auditing.anomaly import detect_anomaly
from tinygrad_lite.checking.auditing.audit import GradientAudit, audit_gradients
from tinygrad_lite.checking.gradcheck import gradcheck
from tinygrad_lite.checking.report import Report, Verdict

__all__ = ["GradientAudit", "Report", "Verdict", "audit_gradients", "detect_anomaly", "gradcheck"]
