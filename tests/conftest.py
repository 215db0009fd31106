"""Hypothesis profiles: `ci` repeats itself; `thorough` looks further (pytest --hypothesis-profile thorough).

`quick` is for the further environments of a run, where it is versions that differ and not values.
"""

from importlib.util import find_spec

from hypothesis import HealthCheck, settings

if find_spec("scipy"):
    import tinygrad_lite.ops.special  # noqa: F401  a loop over the registry is the same in each part of the suite

shared = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("ci", max_examples=25, derandomize=True, **shared)
settings.register_profile("quick", max_examples=5, derandomize=True, **shared)
settings.register_profile("thorough", max_examples=1000, **shared)
settings.load_profile("ci")
