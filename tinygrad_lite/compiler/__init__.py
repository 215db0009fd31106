"""Compile: from a recorded function to NumPy source, and to a native function.

The compiler itself is imported when the first function is compiled.
"""

from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, overload

from tinygrad_lite.errors import InputError, MissingExtraError, UsageError

if TYPE_CHECKING:
    from tinygrad_lite.compiler.compiled import Compiled


@overload
def compile(f: Callable[..., Any], backend: str | None = None) -> "Compiled": ...
@overload
def compile(f: None = None, *, backend: str | None) -> Callable[[Callable[..., Any]], "Compiled"]: ...
def compile(f: Callable[..., Any] | None = None, backend: str | None = None) -> Any:
    """Compile a function: its first call records it as a program, and later calls run that program without overhead.

    The function may be a method; it may call models, `backward()`, `tg.grad` and optimisers. It is recorded again for
    each form of its arguments (shapes, dtypes and containers), for each gradient mode, and for each value of the names,
    attributes and containers that it reads; an optimiser's lr may change. The program reads and writes outside tensors
    and the state of optimisers as the function itself would. What cannot be recorded runs as it is, and an
    `errors.UncompiledWarning` says why, once for each line. Both `@tg.compile` and `@tg.compile(backend=...)` decorate
    a function.

    Args:
        backend: "numpy" for Python source or "native" for native code; by default native code if llvmlite is installed.
            "numba" is the former name of "native".

    Raises:
        UsageError: if f is not a function.
        InputError: if there is no such backend.
        MissingExtraError: if the backend is "native" and llvmlite is not installed.

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
    if f is None and backend is not None:
        return partial(compile, backend=backend)
    if not callable(f):
        raise UsageError(
            f"tg.compile takes a function, got {type(f).__name__}: write tg.compile(f)(x), not tg.compile(f(x))"
        )
    if backend not in (None, "numpy", "native", "numba"):
        raise InputError(f"backend must be 'numpy' or 'native', got {backend!r}")
    installed = bool(find_spec("llvmlite"))
    if backend in ("native", "numba") and not installed:
        raise MissingExtraError("backend='native'", "llvmlite", "compile")
    from tinygrad_lite.compiler.compiled import Compiled

    return Compiled(f, "native" if installed and backend != "numpy" else "numpy")
