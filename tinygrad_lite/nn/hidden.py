"""Finds tensors and modules that a module's fields hide: in sets, in objects, in closures, and in other libraries."""

import gc
from collections.abc import Set
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Traced
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.trees import Parametric

_PLAIN = (type(None), bool, int, float, complex, str, bytes, np.generic, np.dtype, np.ufunc)
_NOT_LOOKED_INTO = (*_PLAIN, type, ModuleType, BuiltinFunctionType)
_MOST = 10_000

OPEN = (Tensor, Parametric, np.random.Generator, bool, int, float, str, type(None))
"""The types of most fields, which hide nothing."""


def holds_another(field: Any, in_sight: Set[int]) -> bool:
    """Whether a field that is not a container hides a module or a leaf tensor."""
    if isinstance(field, (*_PLAIN, type, ModuleType, Traced, Parametric)):
        return False
    seen: set[int] = set()
    ahead = _inside(field)
    while ahead and len(seen) < _MOST:
        thing = ahead.pop()
        if id(thing) in seen or id(thing) in in_sight or isinstance(thing, _NOT_LOOKED_INTO):
            continue
        seen.add(id(thing))
        if isinstance(thing, Parametric) or (isinstance(thing, Tensor) and thing.is_leaf):
            return True
        if not isinstance(thing, Traced):
            ahead += _inside(thing)
    return False


def foreign_state(field: Any) -> str:
    """What a field is if it holds another library's state, such as PyTorch's Linear or a parameter; otherwise ""."""
    kind = type(field)
    if isinstance(field, (Parametric, Traced, np.ndarray, np.generic)):
        return ""
    is_model = all(callable(getattr(kind, name, None)) for name in ("parameters", "state_dict"))
    return f"{kind.__module__.split('.')[0]}'s {kind.__name__}" if is_model or hasattr(kind, "__dlpack__") else ""


def _inside(thing: Any) -> list[Any]:
    """The objects that an object refers to; for a function those that it closes over, but not its global names."""
    if isinstance(thing, FunctionType):
        return [*(thing.__closure__ or ()), *(thing.__defaults__ or ()), *(thing.__kwdefaults__ or {}).values()]
    if "__wrapped__" in getattr(
        thing, "__dict__", ()
    ):  # a compiled function knows much else, such as the values of global names
        return [thing.__wrapped__]
    if isinstance(thing, np.ndarray):
        return list(thing.flat) if thing.dtype.kind == "O" else []
    return gc.get_referents(thing)
