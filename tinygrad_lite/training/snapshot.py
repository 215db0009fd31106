"""All that a training changes, kept for a way back: weights, the optimiser's state, the schedule and the generators."""

from copy import deepcopy
from typing import Any

from tinygrad_lite.nn import Module


class Snapshot:
    """The state of objects at a moment.

    Args:
        parts: modules, optimisers, schedules and loaders; None counts as none.
    """

    def __init__(self, *parts: Any) -> None:
        self._states = [(part, deepcopy(part.state_dict())) for part in parts if hasattr(part, "state_dict")]
        modules = [part for part in parts if isinstance(part, Module)]
        drawn = [rng for module in modules for _, rng in module.named_generators()]
        self._generators = [(rng, rng.bit_generator.state) for rng in drawn]

    def restore(self) -> None:
        """Give the objects their states of that moment again."""
        for part, state in self._states:
            part.load_state_dict(state)
        for rng, state in self._generators:
            rng.bit_generator.state = state
