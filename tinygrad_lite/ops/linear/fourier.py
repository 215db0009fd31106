"""The Fourier transforms of np.fft: products with matrices that are symmetric, or would be with all frequencies."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from tinygrad_lite.engine.op import Array, Op, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import InputError

Norm = Literal["backward", "ortho", "forward"] | None
BACK: dict[Norm, Norm] = {None: "forward", "backward": "forward", "ortho": "ortho", "forward": "backward"}
"""The norm of the inverse transform that scales by the factor of the transform with this norm."""


def _resized(x: Array, size: int, axis: int) -> Array:
    """An array cut to a size along an axis, or filled with zeros at its end."""
    length = np.shape(x)[axis]
    if length >= size:
        return x if length == size else np.moveaxis(np.moveaxis(x, axis, 0)[:size], 0, axis)
    widths = [(0, 0)] * np.ndim(x)
    widths[axis] = (0, size - length)
    return np.pad(x, widths)


def _ends(n: int, axis: int, ndim: int, others: float) -> Array:
    """1 for the frequencies that a real signal of n numbers has once, and another number for those in between."""
    factors = np.full(n // 2 + 1, others)
    factors[[0, -1] if n % 2 == 0 else 0] = 1
    return np.reshape(factors, [-1 if i == axis % ndim else 1 for i in range(ndim)])


def _symmetric(transform: Callable[..., Array]) -> Callable[..., Array]:
    def vjp(g: Array, y: Array, a: Array, n: int | None = None, axis: int = -1, norm: Norm = None) -> Array:
        return _resized(transform(g, n, axis, norm), np.shape(a)[axis], axis)

    return vjp


def _rfft_vjp(g: Array, y: Array, a: Array, n: int | None = None, axis: int = -1, norm: Norm = None) -> Array:
    n = np.shape(a)[axis] if n is None else n
    half = np.conjugate(g) * _ends(n, axis, np.ndim(g), 0.5).astype(np.finfo(y.dtype).dtype)
    return _resized(np.fft.irfft(half, n, axis, BACK[norm]), np.shape(a)[axis], axis)


def _irfft_vjp(g: Array, y: Array, a: Array, n: int | None = None, axis: int = -1, norm: Norm = None) -> Array:
    n = np.shape(y)[axis]
    whole = np.conjugate(np.fft.rfft(g, n, axis, BACK[norm])) * _ends(n, axis, np.ndim(g), 2.0).astype(y.dtype)
    return _resized(whole, np.shape(a)[axis], axis)


_EXAMPLES: Sequence[Any] = [
    ([(4,)], {}),
    ([(5,)], {"norm": "ortho"}),
    ([(2, 3)], {"n": 4, "axis": 1, "norm": "forward"}),
    ([(4, 2)], {"n": 3, "axis": 0}),
]
_facts: dict[str, Any] = {"linear": True, "takes_complex": True, "examples": _EXAMPLES}
fft = primitive(np.fft.fft, _symmetric(np.fft.fft), **_facts)
ifft = primitive(np.fft.ifft, _symmetric(np.fft.ifft), **_facts)
rfft = primitive(np.fft.rfft, _rfft_vjp, **_facts)
irfft = primitive(np.fft.irfft, _irfft_vjp, **_facts)


@implements(np.fft.hfft)
def hfft(a: Array, n: int | None = None, axis: int = -1, norm: Norm = None) -> Array:
    return irfft(np.conjugate(a), n=n, axis=axis, norm=BACK[norm])


@implements(np.fft.ihfft)
def ihfft(a: Array, n: int | None = None, axis: int = -1, norm: Norm = None) -> Array:
    return np.conjugate(rfft(a, n=n, axis=axis, norm=BACK[norm]))


def _over_axes(function: Callable[..., Array], other: Op, last: Op, axes: Sequence[int] | None) -> None:
    """Declare a transform over several axes: along the last axis first, or, on the way back, last."""

    def over_axes(
        a: Array, s: Sequence[int] | None = None, axes: Sequence[int] | None = axes, norm: Norm = None
    ) -> Array:
        places = range(-(np.ndim(a) if s is None else len(s)), 0) if axes is None else axes
        sizes = [-1] * len(places) if s is None else s
        if len(sizes) != len(places):
            raise InputError(f"{function.__name__}: {len(sizes)} sizes for {len(places)} axes: give one for each")
        transforms = [other] * (len(places) - 1) + [last]
        steps = [*zip(transforms, sizes, places)]
        for transform, size, axis in steps if last is irfft else reversed(steps):
            a = transform(a, n=None if size == -1 else size, axis=axis, norm=norm)
        return a

    implements(function)(over_axes)


for _kind, _other, _last in (("fft", fft, fft), ("ifft", ifft, ifft), ("rfft", fft, rfft), ("irfft", ifft, irfft)):
    _over_axes(getattr(np.fft, f"{_kind}n"), _other, _last, None)
    _over_axes(getattr(np.fft, f"{_kind}2"), _other, _last, (-2, -1))
