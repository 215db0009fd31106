"""Describes which entries of an array are wrong, if nothing else explains them, and what they are instead."""

from collections.abc import Iterator, Sequence
from math import comb

import numpy as np

from tinygrad_lite.checking.diagnosing.local import same
from tinygrad_lite.checking.diagnosing.patterns import RATIO, TOLERANCE, constant_ratio, ratio_words
from tinygrad_lite.engine.op import Array

_BY_VALUE = 5  # the smallest number of entries to tell from as many others by their values
_NO_CHANCE = 1_000  # the least number of ways to choose as many entries as a number tells from the others


def region(gradient: Array, reference: Array, x: Array, _: Sequence[int] = ()) -> str:
    """The set of wrong entries, if it has a description, and what they are instead; otherwise only what they are."""
    if not _are_known(gradient, reference):
        return ""
    words, what = _where(gradient, reference, x)
    return f"it is wrong exactly {words}{what}" if what else _alone(gradient, reference)


def place(gradient: Array, reference: Array, x: Array, _: Sequence[int] = ()) -> str:
    """The set of wrong entries, if it has a description."""
    words = _where(gradient, reference, x)[0] if _are_known(gradient, reference) else ""
    return f"it is wrong exactly {words}" if words else ""


def _are_known(gradient: Array, reference: Array) -> bool:
    return bool(np.all(np.isfinite(reference)) and np.all(np.isfinite(gradient)) and np.any(reference))


def _where(gradient: Array, reference: Array, x: Array) -> tuple[str, str]:
    """A description of the set of wrong entries, and of what they are instead."""
    with np.errstate(all="ignore"):
        wrong = np.abs(gradient - reference) > TOLERANCE * np.max(np.abs(reference))
    alive = (gradient != 0) | (reference != 0)  # the others tell nothing
    count = int(np.sum(wrong))
    fewest = min(count, int(np.sum(alive)) - count)
    if fewest < 2:
        return "", ""
    x = np.broadcast_to(x, wrong.shape)
    for words, mask in _by_value(reference, x):
        if _of_variables(x, wrong, alive) >= _BY_VALUE <= fewest and np.array_equal(wrong, mask & alive):
            return words, _what_it_is(gradient[wrong], reference[wrong])
    for words, mask in by_place(wrong, alive):
        if np.array_equal(wrong, mask & alive):
            return words, _what_it_is(gradient[wrong], reference[wrong])
    return _beyond_a_number(gradient, reference, x, wrong, alive)


def _alone(gradient: Array, reference: Array) -> str:
    """What the wrong entries are instead, if that has a name and they have nothing else in common."""
    with np.errstate(all="ignore"):
        wrong = np.abs(gradient - reference) > TOLERANCE * np.max(np.abs(reference))
    ratio = constant_ratio(gradient[wrong], reference[wrong]) if np.any(wrong) else None
    words = "" if ratio is None else ratio_words(ratio, ())
    if not words or RATIO in words:
        return ""
    return f"{'in this entry' if np.sum(wrong) == 1 else 'in these entries'} alone, {words}"


def _what_it_is(gradient: Array, reference: Array) -> str:
    """What the wrong entries are, if that has a name."""
    ratio = constant_ratio(gradient, reference)
    return "" if ratio is None else f", where {ratio_words(ratio, ())}"


def _beyond_a_number(gradient: Array, reference: Array, x: Array, wrong: Array, alive: Array) -> tuple[str, str]:
    """The number beyond which entries are wrong, unless by chance; others that are slightly wrong are not right."""
    right = alive & ~wrong
    with np.errstate(all="ignore"):
        is_close = np.abs(gradient - reference) <= TOLERANCE * np.abs(reference)
    end = float(np.max(np.abs(gradient)))
    if same(gradient, np.clip(reference, -end, end), TOLERANCE):
        return f"where the size of the derivative is above {end:.6g}", ", to which it is clipped"
    count, fewest = int(np.sum(alive)), int(min(np.sum(wrong), np.sum(right)))
    if not np.all(is_close[right]) or comb(count, fewest) < _NO_CHANCE:
        return "", ""
    values = {"the variable": x, "the derivative": reference}
    for name, by in (*values.items(), *((f"the size of {name}", np.abs(by)) for name, by in values.items())):
        for word, inner, outer in (("above", by[right], by[wrong]), ("below", by[wrong], by[right])):
            if np.max(inner) < np.min(outer):
                number = _between(float(np.max(inner)), float(np.min(outer)))
                return f"where {name} is {word} {number}", _what_it_is(gradient[wrong], reference[wrong])
    return "", ""


def _between(a: float, b: float) -> str:
    """A number of few digits between two others."""
    return next(
        (text for digits in range(1, 17) if a < float(text := f"{(a + b) / 2:.{digits}g}") < b), f"{(a + b) / 2:.17g}"
    )


def _by_value(reference: Array, x: Array) -> Iterator[tuple[str, Array]]:
    """Sets of entries described by their values, which may fit by chance."""
    yield "where the variable is negative", x < 0
    yield "where the variable is positive", x > 0
    yield "where the variable is below -1 or above 1", np.abs(x) > 1
    yield "where the variable is between -1 and 1", np.abs(x) < 1
    yield "where the derivative is negative", reference < 0
    yield "where the derivative is positive", reference > 0


def _of_variables(x: Array, wrong: Array, alive: Array) -> int:
    """How many variables have wrong entries, or how many have right ones, if those are fewer.

    In a Jacobian each has one for every result.
    """
    over = tuple(axis for axis, (step, size) in enumerate(zip(x.strides, x.shape)) if step == 0 and size > 1)
    return int(min(np.sum(np.any(part, axis=over)) for part in (wrong, alive & ~wrong)))


def by_place(wrong: Array, alive: Array) -> Iterator[tuple[str, Array]]:
    """Sets of entries described by where they are: sets that the wrong entries may form, or that all others may."""
    shape = np.shape(wrong)
    if len(shape) > 1 and shape[-1] == shape[-2]:
        whole = np.ones(shape, bool)
        yield "on the diagonal", whole & np.eye(shape[-1], dtype=bool)
        yield "off the diagonal", whole & ~np.eye(shape[-1], dtype=bool)
        yield "below the diagonal", np.tril(whole, -1)
        yield "above the diagonal", np.triu(whole, 1)
    inner = np.zeros(shape, bool)
    inner[(slice(1, -1),) * len(shape)] = True
    if np.any(inner):
        yield "at the border", ~inner
        yield "everywhere but at the border", inner
    for part, everywhere_but in ((wrong, ""), (alive & ~wrong, "everywhere but ")):
        box = [np.flatnonzero(np.any(part, axis=_others(axis, part.ndim))) for axis in range(part.ndim)]
        if all(map(len, box)):
            mask = np.zeros(shape, bool)
            mask[tuple(slice(at[0], at[-1] + 1) for at in box)] = True
            words = [_indices(axis, at[0], at[-1]) for axis, at in enumerate(box) if at[-1] - at[0] + 1 < shape[axis]]
            yield f"{everywhere_but}{' and '.join(words)}", ~mask if everywhere_but else mask


def _others(axis: int, count: int) -> tuple[int, ...]:
    return tuple(k for k in range(count) if k != axis)


def _indices(axis: int, first: int, last: int) -> str:
    return f"at {f'index {first}' if first == last else f'indices {first} to {last}'} of axis {axis}"
