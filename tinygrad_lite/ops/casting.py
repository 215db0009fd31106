"""Casting: the same entries in another dtype, or their real and imaginary parts."""

from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, elementwise, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import RESTATED, UsageError, complain
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.foundation.signatures import path_of
from tinygrad_lite.ops.requirements import refuse_where


def _cast(x: Array, dtype: Any) -> Array:
    if np.dtype(dtype).kind == "V":  # NumPy would write each number into all fields
        raise UsageError(f"a tensor holds numbers, and an entry of {dtype} has fields: use an array for each field")
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
    return _astype_method(x, dtype, copy=copy)


def _bfloat16(x: Array) -> Array:
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    rounded = bits + 0x7FFF + (bits >> 16 & 1)  # to the nearest, and halfway to the even one
    return (rounded & 0xFFFF0000).view(np.float32).reshape(np.shape(x))


# the nearest number with 8 binary digits, as float32, since NumPy has no bfloat16
bfloat16 = elementwise(_bfloat16)


@implements(np.ndarray.astype)
def _astype_method(
    self: Array, dtype: Any, order: str = "K", casting: Any = "unsafe", subok: bool = True, copy: bool = True
) -> Array:
    """The same values in another dtype; integers and booleans carry no gradient."""
    if casting != "unsafe" and not np.can_cast(self, dtype, casting):
        raise UsageError(f"astype: {self.dtype} does not go into {np.dtype(dtype)} under casting={casting!r}")
    is_itself = not copy and order in "KA" and self.dtype == dtype
    return self if is_itself else cast(self, dtype=np.dtype(dtype))


@implements(np.copy)
def copy(a: Array, order: str = "K", subok: bool = False) -> Array:
    return cast(a, dtype=a.dtype)


real = elementwise(np.real, 1, kind="moving")
imag = primitive(
    np.imag, lambda g, y, x: g / 1j if x.dtype.kind == "c" else np.zeros_like(g), linear=True, kind="moving"
)
conjugate = primitive(np.conjugate, lambda g, y, x: np.conjugate(g), linear=True, kind="moving")


@implements(np.ndarray.conj)
def conjugated(x: Array) -> Array:
    """The conjugate of complex numbers; real numbers as they are."""
    return np.conjugate(x) if x.dtype.kind == "c" else x


def _real_if_close(a: Array, tol: float = 100) -> Array:
    return np.real_if_close(a, tol)


real_if_close = primitive(_real_if_close, lambda g, y, a, tol=100: g, linear=True, kind="moving")


@implements(np.real_if_close)
def real_if_close_as_numpy(a: Array, tol: float = 100) -> Array:
    if a.dtype.kind != "c":
        return real_if_close(a, tol=tol)
    if real_if_close(a, tol=tol).dtype.kind == "c":
        return a
    limit = tol * np.finfo(a.dtype).eps if tol > 1 else tol
    refuse_where(  # never in eager code: a recording has the dtype of its first numbers
        np.greater_equal(np.absolute(np.imag(a)), limit),
        a,
        message="real_if_close: {:.6g} is complex, and the recorded numbers were close to real. Write np.real(x), "
        "or begin with complex numbers, x + 0j",
    )
    return np.real(a)


def real_if_all_are(y: Array, x: Array) -> Array:
    """NumPy's rule for eigenvalues and roots: what it finds for real numbers x is real if all of it is."""
    least: Any = np.finfo(y.dtype).smallest_subnormal  # below which only 0 is
    return y if x.dtype.kind == "c" else np.real_if_close(y, tol=least)


isreal = elementwise(np.isreal)
iscomplex = elementwise(np.iscomplex)


@implements(np.iscomplexobj)
def iscomplexobj(x: Array) -> bool:
    return np.iscomplexobj(np.empty(0, x.dtype))


@implements(np.isrealobj)
def isrealobj(x: Array) -> bool:
    return not iscomplexobj(x)


@implements(np.common_type)
def common_type(*arrays: Array) -> Any:
    return np.common_type(*(np.empty(0, x.dtype) for x in arrays))


@implements(np.ufunc.resolve_dtypes)
def cast_as_asked(ufunc: np.ufunc, inputs: tuple[Array, ...], params: dict[str, Any]) -> tuple[Array, ...]:
    """The inputs in the dtypes that a ufunc is asked to compute in; removes the keywords that this takes care of."""
    asked: Any = {name: params.pop(name) for name in ("dtype", "casting", "order", "subok") if name in params}
    try:
        ufunc(*(x if np.isscalar(x) else np.empty((0, 0), as_array(x).dtype) for x in inputs), **asked)
    except RESTATED as error:
        complain(error, path_of(ufunc), inputs, asked)
    if asked.get("dtype") is None:
        return inputs
    arrays = [as_array(x) for x in inputs]
    dtypes = (*(x.dtype for x in arrays), *[None] * ufunc.nout)
    loop = (*[None] * ufunc.nin, *[np.dtype(asked["dtype"])] * ufunc.nout)
    return tuple(map(np.astype, arrays, ufunc.resolve_dtypes(dtypes, signature=loop, casting="unsafe")))
