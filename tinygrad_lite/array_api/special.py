"""SciPy's special functions in the namespace of tensors, where SciPy's array API support looks for them first.

With SCIPY_ARRAY_API=1, `scipy.special.gammaln` is no ufunc any more and would take the array out of a tensor; the ufunc
beneath it comes to our operation.
"""

from typing import Any

import numpy as np
from scipy.special import _ufuncs

from tinygrad_lite.engine.registry import answer_to
from tinygrad_lite.errors import NoDerivativeError


def __getattr__(name: str) -> Any:
    """The ufunc of this name, if it has a derivative; SciPy computes any other outside the graph, or refuses to."""
    function = getattr(_ufuncs, name, None)
    if not isinstance(function, np.ufunc) or not _has_answer(function):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return function


def _has_answer(function: np.ufunc) -> bool:
    try:
        answer_to(function)
    except NoDerivativeError:
        return False
    return True
