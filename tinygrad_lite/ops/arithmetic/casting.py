"""Casting: the same entries in another dtype, or their real and imaginary parts."""

from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, elementwise, primitive
from tinygrad_lite.engine.registry import implements


def _cast(x: Array, dtype: Any) -> Array:
    return x.astype(dtype)


cast = primitive(
    _cast,
    lambda g, y, x, dtype: g,  # the engine casts each gradient to the dtype of its argument
    examples=[([(2, 3)], {"dtype": np.dtype(np.float64)})],
    linear=True,
    kind="moving",
)


@implements(np.astype)
def astype(x: Array, dtype: Any, /, *, copy: bool = True, device: str | None = None) -> Array:
    return cast(x, dtype=np.dtype(dtype))


@implements(np.copy)
def copy(a: Array, order: str = "K", subok: bool = False) -> Array:
    return cast(a, dtype=a.dtype)


# of real numbers, for which the complex numbers with a step stand
real = elementwise(np.real, 1, kind="moving")
imag = elementwise(np.imag, 0, kind="moving")
conjugate = elementwise(np.conjugate, 1, kind="moving")
real_if_close = primitive(np.real_if_close, lambda g, y, a, tol=100: g, linear=True, kind="moving")
isreal = elementwise(np.isreal)
iscomplex = elementwise(np.iscomplex)


@implements(np.iscomplexobj)
def iscomplexobj(x: Array) -> bool:
    return np.iscomplexobj(np.empty(0, x.dtype))


@implements(np.isrealobj)
def isrealobj(x: Array) -> bool:
    return not iscomplexobj(x)
