"""Sampled curves: convolution, polynomials, and interpolation between points."""

from functools import reduce
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, primitive
from tinygrad_lite.engine.registry import implements
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.ops.casting import conjugated, real_if_all_are
from tinygrad_lite.ops.requirements import refuse_where
from tinygrad_lite.ops.shapes.indexing import fixed, index_add, picked


def _convolve(a: Array, v: Array, mode: Any = "full") -> Array:
    if not (np.ndim(a) == np.ndim(v) == 1):
        raise ShapeError(f"convolve takes arrays of one axis, got shapes {np.shape(a)} and {np.shape(v)}")
    return np.convolve(a, v, mode)


def _in_full(g: Array, a: Array, v: Array, mode: str) -> Array:
    """The gradient of a part of the convolution, extended to the full convolution."""
    shorter, longer = sorted((np.size(a), np.size(v)))
    before = {"full": 0, "same": (shorter - 1) // 2, "valid": shorter - 1}[mode]
    after = shorter + longer - 1 - before - np.size(g)
    return np.concatenate([np.zeros(before, g.dtype), g, np.zeros(after, g.dtype)])


convolve = primitive(
    _convolve,
    lambda g, y, a, v, mode="full": np.correlate(_in_full(g, a, v, mode), conjugated(v), "valid"),
    lambda g, y, a, v, mode="full": np.correlate(_in_full(g, a, v, mode), conjugated(a), "valid"),
    linear=True,
    takes_complex=True,
    examples=[
        ([(m,), (n,)], {"mode": mode})
        for m, n in ((4, 3), (2, 5), (3, 3), (4, 2), (1, 1))
        for mode in ("full", "same", "valid")
    ],
)


@implements(np.convolve)
def _convolve_as_numpy(a: Array, v: Array, mode: str = "full") -> Array:
    a, v = np.atleast_1d(as_array(a)), np.atleast_1d(as_array(v))
    if not (a.size and v.size):
        raise ShapeError(f"convolve needs arrays that are not empty, got shapes {a.shape} and {v.shape}")
    return convolve(a, v, mode=_spelled_out(mode))


@implements(np.correlate)
def correlate(a: Array, v: Array, mode: str = "valid") -> Array:
    a, v, mode = as_array(a), conjugated(as_array(v)), _spelled_out(mode)
    # NumPy slides the shorter array over the longer one, and reverses the result if it exchanged them
    return np.flip(convolve(v, np.flip(a), mode=mode)) if len(a) < len(v) else convolve(a, np.flip(v), mode=mode)


def _spelled_out(mode: str) -> str:
    for known in ("full", "same", "valid"):
        if isinstance(mode, str) and mode and known.startswith(mode):
            return known
    raise InputError(f'the mode of a convolution must be "full", "same" or "valid", got {mode!r}')


@implements(np.polyval)
def polyval(p: Array, x: Array) -> Array:
    x = as_array(x)
    y = np.zeros_like(x)
    for coefficient in as_array(p):
        y = y * x + coefficient
    return y


def _roots_vjp(g: Array, y: Array, p: Array) -> Array:
    # where p(z) = 0 stays true, p'(z) dz = -Σ zⁿ⁻ᵏ dpₖ
    slope = np.polyval(np.polyder(p), y)
    refuse_where(np.equal(slope, 0), y, message="roots: the root {:.6g} is a multiple one, and has no derivative")
    return -np.vander(y, len(p)).T @ (g / slope)


def _roots(p: Array) -> Array:
    y = np.roots(p)
    return y.astype(np.result_type(y, np.complex64), copy=False)


roots = primitive(
    _roots,
    _roots_vjp,
    refuses=True,
    takes_complex=True,
    kink=lambda p: np.absolute(np.polyval(np.polyder(p), _roots(p))) / 8,
    examples=[([(4,)], {}), ([(2,)], {})],
)


@implements(np.roots)
def _roots_as_numpy(p: Array) -> Array:
    p = np.atleast_1d(as_array(p))
    y = roots(p)
    if y.size:
        before = len(p) - 1 - y.size
        refuse_where(  # never in eager code: a recording has as many roots as its first polynomial
            np.not_equal(p[: before + 1], 0) != (np.arange(before + 1) == before),
            p[: before + 1],
            message="roots: with a first coefficient of {}, the polynomial has another degree than the recorded one",
        )
    return real_if_all_are(y, p)


def _in_step(a1: Array, a2: Array) -> list[Array]:
    """Two polynomials, the shorter one with zeros in front."""
    a1, a2 = np.atleast_1d(as_array(a1)), np.atleast_1d(as_array(a2))
    size = max(len(a1), len(a2))
    return [np.concatenate([np.zeros(size - len(a), a.dtype), a]) if len(a) < size else a for a in (a1, a2)]


@implements(np.polyadd)
def polyadd(a1: Array, a2: Array) -> Array:
    return np.add(*_in_step(a1, a2))


@implements(np.polysub)
def polysub(a1: Array, a2: Array) -> Array:
    return np.subtract(*_in_step(a1, a2))


@implements(np.poly)
def poly(seq_of_zeros: Array) -> Array:
    roots = np.atleast_1d(as_array(seq_of_zeros))
    if roots.ndim != 1 or roots.dtype.kind == "c":
        raise UsageError(
            "np.poly has a derivative with respect to real roots along one axis, got "
            f"{roots.dtype} of shape {roots.shape}: multiply factors by np.convolve"
        )
    roots = roots.astype(np.mintypecode(roots.dtype.char))  # float64 for fewer digits than float32's
    factors = np.stack([np.ones_like(roots), -roots], axis=-1)
    return reduce(np.convolve, factors, np.ones(1, roots.dtype)) if roots.size else np.ones((), roots.dtype)


@implements(np.polymul)
def polymul(a1: Array, a2: Array) -> Array:
    return np.convolve(*(_without_zeros_in_front(np.atleast_1d(as_array(a))) for a in (a1, a2)))


def _without_zeros_in_front(p: Array) -> Array:
    """A polynomial without leading zeros; if it is all zeros, its last coefficient."""
    places = np.flatnonzero(p)
    return p[places[0] if len(places) else len(p) - 1 :]


@implements(np.polyder)
def polyder(p: Array, m: int = 1) -> Array:
    p = as_array(p)
    for _ in range(_times("polyder", m)):
        p = p[:-1] * np.arange(len(p) - 1, 0, -1)
    return p


@implements(np.polyint)
def polyint(p: Array, m: int = 1, k: Array = None) -> Array:
    constants = np.zeros(_times("polyint", m)) if k is None else np.atleast_1d(as_array(k))
    if constants.shape not in ((1,), (m,)):
        raise ShapeError(f"polyint: one constant k or {m} of them, got shape {constants.shape}")
    p = as_array(p)
    for i in range(m):
        constant = constants[i if len(constants) > 1 else 0]
        p = np.concatenate([p / np.arange(len(p), 0, -1), np.reshape(constant, (1,))])
    return p


def _times(name: str, m: int) -> int:
    if m < 0:
        raise InputError(f"{name}: the order m={m} must not be negative")
    return m


@implements(np.polyfit)
def polyfit(
    x: Array, y: Array, deg: int, rcond: float | None = None, full: bool = False, w: Array = None, cov: Any = False
) -> Array:
    if full or cov:
        raise UsageError("polyfit: the diagnostics of full= and cov= have no derivative here; leave them out")
    x, y = (a.astype(float) if a.dtype.kind in "biu" else a for a in (as_array(x), as_array(y)))
    if x.ndim != 1 or not len(x) or len(x) != len(y):
        raise ShapeError(
            f"polyfit: x must be of one axis, not empty, and y as long, got shapes {x.shape} and {y.shape}"
        )
    rcond = len(x) * np.finfo(x.dtype).eps if rcond is None else rcond
    powers = np.vander(x, deg + 1)
    if w is not None:
        w = as_array(w)
        weighted = powers * w[:, None], y * (w if y.ndim == 1 else w[:, None])
        powers, y = (x.astype(before.dtype) for x, before in zip(weighted, (powers, y)))  # as NumPy, in place
    scale = np.sqrt((powers * powers).sum(axis=0))
    coefficients = np.linalg.lstsq(powers / scale, y, rcond)[0]
    return (coefficients.T / scale).T


def _interp(x: Array, xp: Array, fp: Array, left: Any = None, right: Any = None) -> Array:
    return np.interp(x, xp, fp, left, right)


def _at(points: Array, index: Array) -> Array:
    """The points at an index, which under tg.vmap may be traced where the points are not."""
    return picked(points, fixed(index))


def segments(x: Array, xp: Array, fp: Array) -> tuple[Array, ...]:
    """The points that begin and end the segment of each x, its slope, and the share of its end; 0 outside."""
    last = np.size(xp) - 1
    begin = np.clip(np.searchsorted(xp, x, "right") - 1, 0, max(last - 1, 0))
    end = np.minimum(begin + 1, last)
    inside = np.greater_equal(x, xp[0]) & np.less(x, xp[-1])
    width = np.where(inside, _at(xp, end) - _at(xp, begin), 1)
    slope = np.where(inside, (_at(fp, end) - _at(fp, begin)) / width, 0)
    return begin, end, slope, np.where(inside, (x - _at(xp, begin)) / width, 0)


def _to_points(points: Array, begin: Array, to_begin: Array, end: Array, to_end: Array) -> Array:
    """The sum of the gradients that arrive at the points which begin and end the segments."""
    return index_add(index_add(np.zeros(np.shape(points)), to_begin, index=begin), to_end, index=end)


def _interp_vjp_x(g: Array, y: Array, x: Array, xp: Array, fp: Array, left: Any = None, right: Any = None) -> Array:
    return g * np.where(np.isnan(x), x, segments(x, xp, fp)[2])


def _interp_vjp_xp(g: Array, y: Array, x: Array, xp: Array, fp: Array, left: Any = None, right: Any = None) -> Array:
    begin, end, slope, share = segments(x, xp, fp)
    return _to_points(xp, begin, -g * slope * (1 - share), end, -g * slope * share)


def _interp_vjp_fp(g: Array, y: Array, x: Array, xp: Array, fp: Array, left: Any = None, right: Any = None) -> Array:
    begin, end, _, share = segments(x, xp, fp)
    before, behind = np.less(x, xp[0]), np.greater(x, xp[-1])
    elsewhere = np.equal(x, xp[-1]) | behind | np.isnan(x) | (before & (left is not None))
    to_begin = np.where(elsewhere, 0, 1 - share)
    to_end = np.where(np.equal(x, xp[-1]) | (behind & (right is None)), 1, share)
    return _to_points(fp, begin, g * to_begin, end, g * to_end)


_POINTS = np.array([-1.0, 0.5, 1.5, 2.0])
interp = primitive(
    _interp,
    _interp_vjp_x,
    _interp_vjp_xp,
    _interp_vjp_fp,
    takes_complex=True,
    kink=lambda x, xp, fp, **_: np.expand_dims(x, -1) - xp,
    examples=[
        ([(2, 3), _POINTS, (4,)], {}),
        ([(3,), _POINTS, (4,)], {"left": 5.0, "right": -5.0}),
        ([(), _POINTS, (4,)], {}),
        ([(2,), _POINTS[:1], (1,)], {}),
    ],
)


@implements(np.interp)
def _interp_as_numpy(x: Array, xp: Array, fp: Array, left: Any = None, right: Any = None, period: Any = None) -> Array:
    x, xp, fp = as_array(x), as_array(xp), as_array(fp)
    if xp.ndim != 1 or xp.shape != fp.shape:
        raise ShapeError(f"interp: xp and fp must have one axis and the same length, got {xp.shape} and {fp.shape}")
    if period is None:
        return interp(x, xp, fp, left=left, right=right)
    if period == 0:
        raise InputError("interp: the period must not be zero")
    period = abs(period)
    x, xp = (a if a.dtype == float else a.astype(float) for a in (x, xp))  # as NumPy does, for any dtype
    order = np.argsort(xp % period)
    xp, fp = (xp % period)[order], fp[order]
    around = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
    return interp(x % period, around, np.concatenate([fp[-1:], fp, fp[:1]]))
