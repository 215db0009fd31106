"""The array API standard's functions for tensors: the namespace that `tensor.__array_namespace__()` returns.

Almost all are NumPy's own, which come to the operations of a tensor through NumPy's protocols. So they also take plain
arrays, and then give arrays; and what NumPy has beyond the standard is here, too. What makes an array out of nothing,
or out of numbers, makes a tensor.
"""

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import numpy as np

from tinygrad_lite.array_api import creation, differences, updates  # noqa: F401
from tinygrad_lite.array_api.functionalizing import functionalize  # noqa: F401

_WRITING = {"copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask"}
__array_api_version__ = "2024.12"
fft = SimpleNamespace(**vars(np.fft) | creation.FREQUENCIES)
globals().update(creation.FUNCTIONS | differences.FUNCTIONS)


def __getattr__(name: str) -> Any:
    """NumPy's function of this name; or `special`, where SciPy looks for what it would else take out of the graph.

    `__all__`, for `import *`, has no functions that write into an array.
    """
    if name == "special":
        return import_module("tinygrad_lite.array_api.special")
    if name == "__all__":
        return sorted({*np.__all__, *creation.FUNCTIONS, *differences.FUNCTIONS, "functionalize"} - _WRITING)
    if name in _WRITING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}, since arrays in a graph never change")
    return getattr(np, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *np.__all__} - _WRITING)
