"""Updates through array-api-extra's `at(x)[index].set(value)`, which SciPy and scikit-learn each hold a copy of.

`at` writes into arrays of every library but JAX's, for which it calls `x.at[index]`, since they never change. Tensors
never change either, but there is no way to tell it so: where a tensor is updated, this takes its place.
"""

import sys
from functools import wraps
from typing import Any, cast

from tinygrad_lite.engine.op import Traced

_COPIES = (
    "array_api_extra",
    "scipy._lib.array_api_extra",
    "scipy._external.array_api_extra",
    "sklearn.externals.array_api_extra",
)
_taught: set[str] = set()


def make_functional() -> None:
    """Let each copy of `at` that a library has imported make a new tensor in place of writing into one."""
    for name in _COPIES:
        if name not in _taught and hasattr(sys.modules.get(name), "at"):
            _taught.add(name)
            _teach(sys.modules[name].at)


def _teach(at: Any) -> None:
    write = at._op

    @wraps(write)
    def update(self: Any, kind: Any, in_place: Any, combine: Any, y: Any, /, copy: bool | None, xp: Any) -> Any:
        x, index = self._x, self._idx
        if copy is False or not isinstance(x, Traced):
            return write(self, kind, in_place, combine, y, copy=copy, xp=xp)
        x = cast(Any, x)
        updated = x.at[index].set(y if combine is None else combine(x[index], y))
        return updated if updated.dtype == x.dtype else updated.astype(x.dtype)

    at._op = update
