"""The state of modules, optimisers, schedules, loaders and generators at a moment, and the way back to it."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.nn.module import Module
from tinygrad_lite.training import encoding


@dataclass
class Saved:
    """The state of an object: what its `state_dict` returns, and what else a module has.

    Attributes:
        kind: the name of the class whose state it is; for an optimiser inside another object, the optimiser's class.
        generators: copies of those that its layers draw from.
        gradients: by the paths of the parameters that have one; None if they were not saved.
        frozen: the paths of the layers in evaluation mode inside a module in training; None if it was not saved.
    """

    kind: str
    state: Any
    generators: dict[str, np.random.Generator]
    gradients: dict[str, Array] | None = None
    frozen: list[str] | None = None


def state_of(thing: Any) -> Any:
    """The state of an object that has one, a copy of a generator, or the value itself."""
    if isinstance(thing, np.random.Generator):
        return deepcopy(thing)
    if not (hasattr(thing, "state_dict") and hasattr(thing, "load_state_dict")):
        return thing
    state = trees.map_leaves(lambda x: x, thing.state_dict())  # in containers that nobody else changes
    if not isinstance(thing, Module):
        return Saved(type(getattr(thing.state_dict, "__self__", thing)).__name__, state, {})
    generators = deepcopy(dict(thing.named_generators()))
    gradients = {path: w.grad.data for path, w in thing.named_parameters() if w.grad is not None}
    frozen = [path for path, module in thing.named_modules() if not module.training] if thing.training else None
    return Saved(type(thing).__name__, state, generators, gradients, frozen)


def restore(thing: Any, saved: Any) -> None:
    """Give an object or a generator a state that fits it."""
    if isinstance(thing, np.random.Generator):
        thing.bit_generator.state = saved.bit_generator.state
    elif thing is not None:
        thing.load_state_dict(saved.state)
        if isinstance(thing, Module):
            _lay_out(thing, saved.state)
            for path, generator in thing.named_generators():
                restore(generator, saved.generators[path])
            if saved.gradients is not None:
                for path, w in thing.named_parameters():
                    w.grad = saved.gradients.get(path)
            if saved.frozen is not None and thing.training:  # else its user evaluates it
                for path, module in thing.named_modules():
                    module.training = path not in saved.frozen


def _lay_out(module: Module, state: Mapping[str, Any]) -> None:
    """Give tensors the memory layout of the arrays that were saved: in another, a product may be rounded otherwise."""
    for path, x in (*module.named_parameters(), *module.named_buffers()):
        if isinstance(x, Tensor) and x.ndim > 1 and path in state and x.shape == state[path].shape:
            x.replace(encoding.laid_out(x.data, encoding.memory_order(state[path])))


class Snapshot:
    """The state of objects at a moment.

    Args:
        parts: modules, optimisers, schedules and loaders; what has no state counts as none.
    """

    def __init__(self, *parts: Any) -> None:
        self._states = [
            (part, trees.map_leaves(deepcopy, state_of(part))) for part in parts if hasattr(part, "state_dict")
        ]

    def restore(self) -> None:
        """Give the objects their states of that moment again."""
        for part, state in self._states:
            restore(part, state)
