"""Hypothesis profiles: `ci` repeats itself; `thorough` looks further (pytest --hypothesis-profile thorough).

`quick` is for the further environments of a run, where it is versions that differ and not values.
"""

from hypothesis import HealthCheck, settings

shared = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("ci", max_examples=25, derandomize=True, **shared)
settings.register_profile("quick", max_examples=5, derandomize=True, **shared)
settings.register_profile("thorough", max_examples=1000, **shared)
settings.load_profile("ci")
