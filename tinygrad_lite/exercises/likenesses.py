"""What a wrong answer looks like beside the right one, if an exercise knows more than the gradient checker."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from tinygrad_lite.checking.auditing.gradient_flow import flow
from tinygrad_lite.checking.diagnosing.local import same
from tinygrad_lite.checking.diagnosing.mistakes import OVERWRITTEN
from tinygrad_lite.engine.backward import fitted, whole
from tinygrad_lite.engine.grad_mode import no_grad
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.readers.recording import recording

MULTIPLIED = "what comes back from several uses is multiplied, where it should be added up"
ADDED = "the rates of steps that follow one another are added, where they should be multiplied"
ANTIDERIVATIVE = "it is the antiderivative: the function is its derivative"
ROUNDED = "rounded too far: three digits or more are needed"
SUMMED = "it is one number, the sum of the derivatives of all entries of {}: each entry has its own derivative"
ROWS = "the number of rows is used for the number of entries: len(x) is the length of the first axis, x.size counts all"
_USES = 6  # the largest number of uses of an argument whose sums are tried
_EXACT = 1e-6


def uses_of(loss: Callable[[Array], Array], x: Array) -> list[Array]:
    """What each use of a variable hands back to it, in forward order; nothing if the loss leaves NumPy."""
    variable = tensor(x, requires_grad=True)
    try:
        gradients = flow(loss(variable))
    except Exception:  # code outside NumPy's functions has no rule
        return []
    handed = []
    for result in gradients.uses.get(variable, []):
        op, g = result.op, gradients.gradients.get(result)
        for i, x in enumerate(result.inputs):
            if x is variable and g is not None and (rule := op.vjps[i]) is not None:
                with no_grad():
                    contribution = rule(g, result.data, *result.arrays, *result.shared, **result.params)
                handed.append(fitted(whole(contribution), variable.shape, variable.dtype, op, i))
    return handed


def of_uses(answer: Array, handed: Sequence[Array], tolerance: float) -> str:
    """Whether an answer has only some of several contributions, or their product; empty if neither."""
    if not (np.any(answer) and 2 <= len(handed) <= _USES) or same(answer, sum(handed), tolerance):
        return ""
    if any(same(answer, sum(some), tolerance) for n in range(1, len(handed)) for some in combinations(handed, n)):
        return OVERWRITTEN
    return MULTIPLIED if same(answer, np.prod(handed, axis=0), tolerance) else ""


def added_rates(function: Callable[..., Array], trial: Mapping[str, Array], argument: str) -> Array | None:
    """The sum of the rates, other than 1, of the steps that an argument goes through; None if it takes other ways."""
    variables = {name: tensor(x) for name, x in trial.items()}
    rates: list[Array] = []
    with no_grad(), recording() as steps:
        try:
            at: object = variables[argument]
            result = function(*variables.values())
        except Exception:  # code outside NumPy's functions has no rule
            return None
    for step in steps:
        uses = [i for i, x in enumerate(step.inputs) if x is at]
        if len(uses) != 1 or np.shape(step.value) != np.shape(trial[argument]):
            return None
        rule = step.op.vjps[uses[0]] if len(step.op.vjps) == len(step.inputs) else None
        if rule is None:
            return None
        with no_grad():
            rates.append(whole(rule(np.ones_like(step.value), step.value, *step.arrays, **step.params)))
        at = step.result
    changing = [rate for rate in rates if not np.all(rate == 1)]
    return np.sum(changing, axis=0) if at is result and len(changing) > 1 else None


def is_antiderivative(answer: Callable[[Array], Array], x: Array, y: Array) -> bool:
    """Whether the slope of an answer is the function's value, entry by entry."""
    h = 1e-5 * np.maximum(np.abs(x), 1)
    with np.errstate(all="ignore"):
        slope = (answer(x + h) - answer(x - h)) / (2 * h)
    return bool(np.any(y)) and same(slope, y, _EXACT)


def of_factors(answer: Array, right: Array, x: Array, trial: Mapping[str, Array]) -> str:
    """Which argument, or derivative of a sigmoid, is an extra factor or a missing one; empty if none is."""
    for sentence, factor, too_much in _factors(x, trial):
        try:
            with np.errstate(all="ignore"):
                wrong = right * factor if too_much else right / factor
        except ValueError:  # a factor of another shape
            continue
        if np.all(np.isfinite(wrong)) and same(answer, wrong, _EXACT) and not same(answer, right, _EXACT):
            return sentence
    return ""


def _factors(x: Array, trial: Mapping[str, Array]) -> Iterator[tuple[str, Array, bool]]:
    """Sentences, the factors that they are about, and whether each is an extra factor."""
    with np.errstate(all="ignore"):
        p = 1 / (1 + np.exp(-x))
        yield "the derivative of sigmoid is multiplied in twice", p * (1 - p), True
        yield "the derivative of sigmoid is left out", p * (1 - p), False
        for name, factor in trial.items():
            yield f"a factor of {name} should not be there", np.asarray(factor), True
            yield f"a factor of {name} is missing", np.asarray(factor), False


def reduced(function: Callable[..., Array], trial: Mapping[str, Array]) -> set[int]:
    """The numbers of entries that the sums and means in a function cover."""
    with recording() as steps:
        try:
            function(*(tensor(x) for x in trial.values()))
        except Exception:  # code outside NumPy's functions is not seen
            return set()
    sums = [step for step in steps if step.op.name in ("sum", "mean") and isinstance(step.result, Tensor)]
    return {int(np.size(step.arrays[0])) // max(int(np.size(step.value)), 1) for step in sums}


def counts_rows(ratio: float | None, trial: Mapping[str, Array]) -> bool:
    """Whether a ratio is that of the entries of an array to its rows."""
    return ratio is not None and any(
        np.ndim(x) > 1 and np.isclose(max(ratio, 1 / ratio), np.size(x) / len(x), rtol=_EXACT)
        for x in trial.values()
        if ratio > 0
    )


def are_rounded(answer: Array, right: Array) -> bool:
    """Whether each number is the right one rounded to its own decimals, and off by a tenth at most."""
    decimals = [len(repr(x).partition(".")[2].partition("e")[0]) for x in answer.ravel().tolist()]
    units = np.reshape([0.5001 * 10.0**-n for n in decimals], answer.shape)
    off = np.abs(answer - right)
    return bool(np.all((off <= units) & (off <= 0.1 * np.abs(right))))
