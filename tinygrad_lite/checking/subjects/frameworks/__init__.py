"""Functions and modules of PyTorch and JAX as functions of NumPy arrays, with the gradients that the libraries compute.

A library is known by the types of what is passed, and is never imported before somebody has done so.
"""

import sys
from collections.abc import Callable, Sequence
from types import FunctionType, ModuleType
from typing import Any

from tinygrad_lite import trees
from tinygrad_lite.checking.subjects.frameworks.foreign_program import Program as Program
from tinygrad_lite.foundation.signatures import outside_of


def program_of(f: Callable[..., Any], inputs: Sequence[Any]) -> Program | None:
    """A function with its arguments, if they belong to PyTorch or JAX; None otherwise."""
    leaves = [f, *trees.leaves(tuple(inputs))]
    held = [x for leaf in leaves for x in getattr(leaf, "__dict__", {}).values()]  # by a container that only JAX knows
    libraries = {library for x in [*leaves, *held] for library in _libraries(x)}
    if "torch" in libraries:
        from tinygrad_lite.checking.subjects.frameworks.torch import TorchProgram

        return TorchProgram(f, inputs)
    if libraries or _reads_jax(f):
        from tinygrad_lite.checking.subjects.frameworks.jax import JaxProgram

        return JaxProgram(f, inputs)
    return None


def _libraries(x: Any) -> set[str]:
    """The libraries that define the type of a value, or a type that it inherits from."""
    return {kind.__module__.partition(".")[0] for kind in type(x).__mro__} & {"torch", "jax", "jaxlib"}


def _reads_jax(f: Callable[..., Any]) -> bool:
    """Whether a function in Python reads a module of JAX, whose functions take NumPy's arrays as well as JAX's."""
    if "jax" not in sys.modules or not isinstance(f, FunctionType):
        return False
    read, around = outside_of(f)
    modules = [x for x in (*around.values(), *read.values()) if isinstance(x, ModuleType)]
    return any(module.__name__.partition(".")[0] == "jax" for module in modules)
