"""NumPy's BLAS: when a product of matrices takes less time in parts.

For processors with AVX-512, OpenBLAS computes a product of at most 100³ multiplications from the matrices as they lie,
and copies those of a larger one first. A product of up to eight times as many takes a tenth to a quarter less time as
several small ones. A small one runs in a single thread, so this is so only if a large one would, too.
"""

import ctypes
from functools import cache
from importlib.util import find_spec
from typing import Any

from tinygrad_lite.compiler.native.products import Product

SMALL = 100**3
"""The most multiplications that OpenBLAS performs without copies of the matrices."""

LARGE = 8 * SMALL
"""From so many multiplications on, their copies are worth while."""

LINE = 8
"""Rows of a part are a multiple of this, since OpenBLAS computes so many at a time."""

_CORES = frozenset({b"SkylakeX", b"Cooperlake", b"SapphireRapids"})
_NAMES = "scipy_openblas_{}64_", "scipy_openblas_{}", "openblas_{}64_", "openblas_{}"


def rows_at_a_time(sizes: Product, are_contiguous: bool) -> int:
    """How many rows of a product to compute at a time.

    Args:
        are_contiguous: whether the rows of the second factor and of the result are, without which parts take longer.
    """
    count = sizes.n * sizes.k * sizes.m
    few = SMALL // (sizes.k * sizes.m) // LINE * LINE
    if not SMALL < count < LARGE or not few or sizes.m < LINE or sizes.dtype.char not in "fd":
        return sizes.n
    if not are_contiguous or not is_faster_in_parts():
        return sizes.n
    parts = -(-sizes.n // few)
    return -(-sizes.n // (parts * LINE)) * LINE


@cache
def is_faster_in_parts() -> bool:
    """Whether this is such a BLAS, on such a processor, and has one thread."""
    return _answer("get_corename", ctypes.c_char_p) in _CORES and _answer("get_num_threads", ctypes.c_int) == 1


def _answer(question: str, kind: Any) -> Any:
    """What a function of OpenBLAS returns; None if NumPy has another BLAS, or hides it."""
    module: Any = find_spec("numpy._core._multiarray_umath")
    for name in _NAMES:
        try:
            function = getattr(ctypes.CDLL(module.origin), name.format(question))
        except (OSError, AttributeError):
            continue
        function.restype = kind
        return function()
    return None
