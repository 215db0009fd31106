"""Describes a wrong array beside the right one, when nothing is known of how it was computed."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import e, log, pi
from typing import Any

import numpy as np

from tinygrad_lite.checking.diagnosing.local import same
from tinygrad_lite.checking.diagnosing.mistakes import (
    HALF,
    SIGN,
    STOPPED,
    TOO_LARGE,
    TOO_SMALL,
    TWICE,
    Contribution,
    mistaken,
)
from tinygrad_lite.engine.op import Array

TOLERANCE = 1e-6
SMALL = 1e-4  # a difference, relative to the largest entry, that may be the error of a method instead of a mistake
_LEFT_OVER = 1e-12  # what is left out may still be this large, relative to the largest entry, where 0 is rounded
PENALTY = (
    "{:.6g} times the array itself is added: a penalty on its square that the function does not have, or has less of"
)
_TERMS = (
    (
        np.array,
        PENALTY,
        "{:.6g} times the array itself is missing: a penalty on its square is left out, or the array is left out "
        "of the values that the gradient is computed from",
    ),
    (
        np.sign,
        "{:.6g} times the array's sign is added: a penalty on its size that the function does not have, or has less of",
        "{:.6g} times the array's sign is missing: a penalty on its size is left out",
    ),
    (np.ones_like, "{:.6g} is added to every entry", "{:.6g} is missing from every entry"),
)
RATIO = "times what it should be"
SIZE = "it is the size of the derivative, without its sign"
SIGN_ALONE = "it is the sign of the derivative, without its size"
RUNNING = "it is the running sum of the derivative along axis {}: is a sum not reset to 0 in a loop?"
LENGTH = "its length is {:.6g}: is it normalised, or clipped to that length?"
_ROUND = 3  # how many digits a length has if somebody chose it
_NOTHING = 1e-9  # the largest part of a gradient that counts as none
_PLAIN = 9  # a fraction of numbers up to this is a mistaken constant rather than a quotient of two sizes
_NAMED = {"π": pi, "√2": 2**0.5, "√π": pi**0.5, "√(2π)": (2 * pi) ** 0.5, "e": e, "ln 2": log(2), "ln 10": log(10)}


def ratio_words(ratio: float, sizes: Sequence[int]) -> str:
    """A name for the constant ratio of a computed array to the right one, for arrays with these numbers of entries."""
    for known, sentence in ((-1.0, SIGN), (2.0, TWICE), (0.5, HALF), (0.0, STOPPED)):
        if _close(ratio, known):
            return sentence
    for size in sizes:
        if size > 2 and _close(ratio, size):
            return TOO_LARGE.format(size)
        if size > 2 and _close(ratio, 1 / size):
            return TOO_SMALL.format(size)
    number, name = f"{ratio:.6g}", name_of_ratio(ratio, sizes)
    return f"{number} {RATIO}" + (f": {name}" if name not in ("", number) else "")


def name_of_ratio(ratio: float, sizes: Sequence[int]) -> str:
    """A ratio as a quotient of sizes, a fraction, or a multiple of a well-known number; empty if it is none."""
    sign, size = "-" if ratio < 0 else "", abs(ratio)
    if not 1e-6 < size < 1e6:
        return ""
    if _close(size, round(size)):
        return f"{sign}{round(size)}"
    for fraction in (_fraction(size, _PLAIN), *_quotients(size, sizes), _fraction(size, 40)):
        if fraction:
            return f"{sign}{fraction}"
    for name, number in _NAMED.items():
        for power, of in ((1, name), (-1, f"1/{name}")):
            multiple = Fraction(size / number**power).limit_denominator(8)
            if multiple and _close(size, float(multiple) * number**power):
                return f"{sign}{of}" if multiple == 1 else f"{sign}{multiple} · {of}"
    for a in sizes:
        if a > 2 and _close(size, a**0.5):
            return f"{sign}√{a}"
        if a > 2 and _close(size, a**-0.5):
            return f"{sign}1/√{a}"
    return ""


def _quotients(ratio: float, sizes: Sequence[int]) -> Iterator[str]:
    return (f"{a}/{b}" for a in sizes for b in sizes if 2 < a != b > 2 and _close(ratio, a / b))


def _fraction(ratio: float, largest: int) -> str:
    """A ratio as a fraction whose divisor is not larger than this, and, if that is plain, its numerator neither."""
    fraction = Fraction(ratio).limit_denominator(largest)
    is_plain = largest > _PLAIN or fraction.numerator <= _PLAIN
    return str(fraction) if is_plain and _close(ratio, float(fraction)) else ""


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-7 * abs(b) if b else abs(a) < 1e-9


def pattern(gradient: Array, reference: Array, x: Array, sizes: Sequence[int]) -> str:
    """What a wrong array looks like beside the right one, at the values x of its variable; empty if nothing fits."""
    known = np.isfinite(reference) & np.isfinite(gradient)
    if not np.all(known):
        gradient, reference, x = gradient[known], reference[known], x[known]
    if not np.size(reference) or same(gradient, reference, SMALL):
        return ""
    ratio = constant_ratio(gradient, reference)
    if np.max(np.abs(gradient)) < _NOTHING * np.max(np.abs(reference)):  # but for rounding
        ratio = 0.0
    if ratio is not None:
        words = ratio_words(ratio, sizes)
        if words.endswith(RATIO) and (length := _chosen_length(gradient)):
            return LENGTH.format(length)
        alive = np.count_nonzero((gradient != 0) | (reference != 0))
        return words if alive > 1 or RATIO not in words else ""  # one entry is any number of times another
    signs = np.sign(reference)
    if np.any(signs != signs.flat[0]) and constant_ratio(gradient, signs):
        return SIGN_ALONE
    return next((words for words, right in _candidates(reference, x) if _fits(gradient, right, reference)), "") or (
        _term(gradient - reference, x)
    )


def _chosen_length(gradient: Array) -> float:
    """The length of an array, if it is a number that somebody chose; else 0.

    If all entries are equally large, it is as round as they are.
    """
    sizes = np.abs(gradient[gradient != 0])
    largest = float(np.max(sizes, initial=0)) or 1.0  # so that no square is lost
    if np.size(sizes) < 2 or _close(float(np.min(sizes)), largest):
        return 0.0
    length = largest * float(np.linalg.norm(sizes / largest))
    return length if _close(length, float(f"{length:.{_ROUND}g}")) else 0.0


def constant_ratio(gradient: Array, reference: Array) -> float | None:
    """The number that the right array was multiplied by; None if there is none."""
    sizes = [float(np.max(np.abs(x), initial=0)) for x in (gradient, reference)]
    if not sizes[1] or not np.all(np.isfinite(sizes)):
        return None
    if not sizes[0]:
        return 0.0
    wrong, right = gradient / sizes[0], reference / sizes[1]  # so that no square of theirs is lost
    times = float(np.sum(wrong * right)) / float(np.sum(right * right))
    if np.max(np.abs(wrong - times * right)) > TOLERANCE * abs(times):
        return None
    ratio = times * sizes[0] / sizes[1]
    with np.errstate(all="ignore"):
        unchanged = np.abs(gradient - reference) < 0.1 * abs(ratio - 1) * np.abs(reference)
    if np.any(unchanged):  # however small beside the others
        return None
    return ratio


def _fits(gradient: Array, candidate: Array, reference: Array) -> bool:
    """Whether a gradient is that of a mistake; what the mistake leaves out is 0, and not only small beside the rest."""
    left_out = (candidate == 0) & (reference != 0)
    if np.any(np.abs(gradient[left_out]) > _LEFT_OVER * np.max(np.abs(reference))):
        return False
    return same(gradient, candidate, TOLERANCE) and not same(reference, candidate, TOLERANCE)


def _candidates(reference: Array, x: Array) -> Iterator[tuple[str, Array]]:
    square = np.ndim(reference) > 1 and reference.shape[-1] == reference.shape[-2]
    if square:
        diagonal = reference * np.eye(reference.shape[-1])
        for name, part in (("lower", np.tril), ("upper", np.triu)):
            yield f"only the {name} triangle is there: the other is left out", part(reference)
            yield f"the {name} triangle is doubled and the other left out", 2 * part(reference) - diagonal
            yield (
                f"the {name} triangle is mirrored into the other",
                part(reference) + np.swapaxes(part(reference) - diagonal, -1, -2),
            )
        turned = np.swapaxes(reference, -1, -2)
        folded = reference + turned
        yield (
            "it is the derivative along symmetric changes, G + Gᵀ - diag(G), and not entry by entry",
            folded - diagonal,
        )
        yield "it is G + Gᵀ, where the derivative is G: is the argument taken to be symmetric?", folded
        yield "it is the symmetric part of the derivative, (G + Gᵀ) / 2", folded / 2
        yield "only the diagonal is there", diagonal
        yield "the diagonal is left out", reference - diagonal
    for axis, size in enumerate(np.shape(reference)):
        if size > 2:
            yield RUNNING.format(axis), np.cumsum(reference, axis)
            yield RUNNING.format(axis), np.flip(np.cumsum(np.flip(reference, axis), axis), axis)
    unknown = Contribution(None, 0, reference, reference, [reference], {}, reference, _unknown)
    yield from mistaken(unknown)
    if np.size(x) > 1:
        if not _are_slices(reference < 0):
            yield SIZE, np.abs(reference)
        with np.errstate(all="ignore"):
            yield "a factor of the variable should not be there", reference * x
            yield "a factor of the variable is missing", reference / x


def _are_slices(mask: Array) -> bool:
    """Whether a set of entries consists of slices along one axis of several."""
    axes = range(mask.ndim) if mask.ndim > 1 else ()
    others = (tuple(k for k in axes if k != axis) for axis in axes)
    return any(np.array_equal(np.any(mask, over, keepdims=True) & np.ones_like(mask), mask) for over in others)


def _term(difference: Array, x: Array) -> str:
    """A term that should not be there, or that should: a multiple of the variable, of its sign, or a number."""
    if np.size(x) < 3:
        return ""
    for term, added, missing in _TERMS:
        array = term(x)
        alike = bool(np.all(array == array.flat[0]))  # which any term is, where all entries are alike
        factor = None if alike and term is not np.ones_like else constant_ratio(difference, array)
        if factor:
            return (added if factor > 0 else missing).format(abs(factor))
    return ""


def _unknown(*_: Any) -> Array:
    raise NotImplementedError
