"""Compile: from a recorded function to NumPy source, and to a native function.

What this takes is imported when the first function is compiled.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from tinygrad_lite.errors import InputError, MissingExtraError, UsageError

if TYPE_CHECKING:
    from tinygrad_lite.compiler.compiled import Compiled


def compile(f: Callable[..., Any], backend: str | None = None) -> "Compiled":
    """The function as a program: recorded when it is first called, and run without overhead from then on.

    It may call models, `backward()`, `tg.grad`, optimisers. For each form of its arguments (their shapes, dtypes and
    containers), each mode of the modules that it meets and each gradient mode, it is recorded anew. Tensors that it
    finds outside, and optimisers' state, are read and written as the function itself would. Python's numbers, and what
    the names in the function stand for, are fixed when it is recorded; an optimiser's lr is not.

    Args:
        backend: "numpy" for Python source, "numba" for native code; left out, it is Numba where that is installed.

    Raises:
        UsageError: if f is no function; when it is called, if a value is needed while it is recorded, or it does not do
            the same when run again.
        InputError: on another backend.
        MissingExtraError: if Numba is asked for and not installed.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> @tg.compile
        ... def slope(x):
        ...     return tg.grad(lambda x: np.sum(np.exp(x) ** 2))(x)
        >>> print(slope(np.array([0.0, 1.0])))
        [ 2.        14.7781122]
        >>> print(slope.source)
        def slope(x):
            # forward
            # return tg.grad(lambda x: np.sum(np.exp(x) ** 2))(x)
            exp = np.exp(x)
            # backward
            d_x = 2 * exp * exp
            return d_x
        <BLANKLINE>
    """
    if not callable(f):
        raise UsageError(f"a function is compiled, this is {type(f).__name__}: write tg.compile(f)(x), not of f(x)")
    if backend not in (None, "numpy", "numba"):
        raise InputError(f"a backend is 'numpy' or 'numba', got {backend!r}")
    installed = bool(find_spec("numba"))
    if backend == "numba" and not installed:
        raise MissingExtraError("backend='numba'", "Numba", "compile")
    from tinygrad_lite.compiler.compiled import Compiled

    return Compiled(f, backend or ("numba" if installed else "numpy"))
