"""Hypothesis profiles: `ci` repeats itself, `thorough` looks further (pytest --hypothesis-profile thorough)."""

from hypothesis import HealthCheck, settings

shared = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("ci", max_examples=25, derandomize=True, **shared)
settings.register_profile("thorough", max_examples=1000, **shared)
settings.load_profile("ci")
