"""Mistakes in the derivative of several operations that a person takes for one.

1 / (1 + exp(-z)) is a sigmoid, e / sum(e) a softmax, however they are computed: they are known by their values.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np

from tinygrad_lite.checking.diagnosing.mistakes import INPUT
from tinygrad_lite.checking.diagnosing.suspects import Across, AtNode, Suspect, sigmoid, softmax
from tinygrad_lite.checking.diagnosing.trace import Changes, Edge, Pass, Trace
from tinygrad_lite.engine.op import Array

_DEPTH = 6  # the largest number of operations, one after another, that are taken for one
Rule = Callable[[Array, Array, Array], Array]


def _total(x: Array, axis: int = -1) -> Array:
    return np.sum(x, axis=axis, keepdims=True)


def _of_softmax(axis: int) -> tuple[Rule, dict[str, Rule]]:
    def total(x: Array) -> Array:
        return _total(x, axis)

    def right(g: Array, x: Array, y: Array) -> Array:
        return y * (g - total(g * y))

    return right, {
        "the part of softmax through its sum is missing": lambda g, x, y: y * g,
        "only the diagonal of the Jacobian of softmax is there": lambda g, x, y: y * (1 - y) * g,
        "the sum in the derivative of softmax is along the wrong axis": lambda g, x, y: (
            y * (g - _total(g * y, -1 - axis))
        ),
        "the sum in the derivative of softmax is over all axes": lambda g, x, y: y * (g - np.sum(g * y)),
        "the derivative of softmax is left out": lambda g, x, y: g,
        "y is missing in the sum in y (g - Σ g y), the derivative of softmax": lambda g, x, y: y * (g - total(g)),
        "of y (g - Σ g y), the derivative of softmax, only g - Σ g y is there": lambda g, x, y: g - total(g * y),
        "the sum is a mean in y (g - Σ g y), the derivative of softmax": lambda g, x, y: (
            y * (g - np.mean(g * y, axis=axis, keepdims=True))
        ),
        "the sign is wrong in y (g - Σ g y), the derivative of softmax": lambda g, x, y: y * (g + total(g * y)),
    }


# for each function its name, its value, its rule for (g, x, y), and the rules that are taken for it
_FUNCTIONS: list[tuple[str, Callable[[Array], Array], Rule, dict[str, Rule]]] = [
    (
        "sigmoid",
        sigmoid,
        lambda g, x, y: g * y * (1 - y),
        {
            INPUT: lambda g, x, y: g * x * (1 - x),
            "the derivative of sigmoid is left out": lambda g, x, y: g,
            "of y (1 - y), the derivative of sigmoid, only y is there": lambda g, x, y: g * y,
            "of y (1 - y), the derivative of sigmoid, only 1 - y is there": lambda g, x, y: g * (1 - y),
            "the sign is wrong in y (1 - y), the derivative of sigmoid": lambda g, x, y: g * y * (1 + y),
            "1 - y², the derivative of tanh, is taken for that of sigmoid": lambda g, x, y: g * (1 - y * y),
            "the derivative of sigmoid is multiplied in twice": lambda g, x, y: g * (y * (1 - y)) ** 2,
        },
    ),
    (
        "tanh",
        np.tanh,
        lambda g, x, y: g * (1 - y * y),
        {
            "the square is missing in 1 - y², the derivative of tanh": lambda g, x, y: g * (1 - y),
            "the sign is wrong in 1 - y², the derivative of tanh": lambda g, x, y: g * (1 + y * y),
            "y (1 - y), the derivative of sigmoid, is taken for that of tanh": lambda g, x, y: g * y * (1 - y),
            "of 1 - y², the derivative of tanh, only y² is there": lambda g, x, y: g * y * y,
            "the derivative of tanh is multiplied in twice": lambda g, x, y: g * (1 - y * y) ** 2,
        },
    ),
    (
        "softplus",
        lambda x: np.logaddexp(0, x),
        lambda g, x, y: g * sigmoid(x),
        {"the derivative of softplus is left out": lambda g, x, y: g},  # others are mistakes in log or exp
    ),
    (
        "relu",
        lambda x: np.maximum(x, 0),
        lambda g, x, y: g * (x > 0),
        {
            "the mask of relu is the wrong way round: it lets through what should be 0": lambda g, x, y: g * (x <= 0),
            "the mask of relu is the wrong way round: it lets through what is below 0": lambda g, x, y: g * (x < 0),
            "the output of relu is used in place of its mask": lambda g, x, y: g * y,
            "sign(x), the derivative of |x|, is taken for that of relu": lambda g, x, y: g * np.sign(x),
        },
    ),
    *((name, partial(softmax, axis=axis), *_of_softmax(axis)) for name, axis in (("softmax", -1), ("softmax", 0))),
]


def composites(done: Pass) -> Iterator[Suspect]:
    """The mistakes in the derivatives of well-known functions, whatever operations compute these."""
    trace = done.trace
    of = cache(lambda n: [_value_of(function, trace.value(n)) for _, function, _, _ in _FUNCTIONS])
    for k, step in enumerate(trace.steps):
        late = len(trace.variables) + k
        y = np.asarray(step.value)
        if done.gradients[late] is None or not y.size:
            continue
        allowed = 1e-12 * np.abs(y)
        for early in _behind(trace, k):
            for (name, _, right, wrong), value in zip(_FUNCTIONS, of(early)):
                if value is None or not (np.abs(value - y) <= allowed).all():
                    continue
                place = Across(late, early)
                for sentence, rule in wrong.items():
                    key = name, sentence, late - early
                    yield Suspect(key, sentence, 3.0, place, partial(_changed, place, right, rule))
                if name not in ("softmax", "softplus"):  # an extra probability is no derivative by mistake
                    sentence = f"the derivative of {name} is multiplied in twice"
                    yield Suspect((name, late - early), sentence, 3.0, AtNode(early), partial(_twice, place, right))


def _value_of(function: Callable[[Array], Array], x: Array) -> Array | None:
    with np.errstate(all="ignore"):
        try:
            return function(x)
        except ValueError:  # a number has no axis for a softmax
            return None


def _changed(place: Across, right: Rule, wrong: Rule, done: Pass, g: Array) -> Array:
    x, y = done.trace.value(place.early), done.trace.value(place.late)
    return wrong(g, x, y) - right(g, x, y)


def _twice(place: Across, right: Rule, done: Pass, g: Array) -> Array:
    return right(g, done.trace.value(place.early), done.trace.value(place.late))


def _behind(trace: Trace, k: int) -> Iterator[int]:
    """The values of the same shape that lie a few operations behind a result."""
    shape = np.shape(trace.steps[k].value)
    seen: set[int] = set()
    ahead = [(n, 1) for n in trace.inputs[k] if n is not None]
    while ahead:
        n, depth = ahead.pop(0)
        if n in seen:
            continue
        seen.add(n)
        if np.shape(trace.value(n)) == shape and trace.value(n).dtype.kind == "f":
            yield n
        made = trace.made_by(n)
        if made is not None and depth < _DEPTH:
            ahead += [(m, depth + 1) for m in trace.inputs[made] if m is not None]


def products(done: Pass) -> Iterator[Suspect]:
    """The derivative of a product taken to be the product of the derivatives, and likewise of a quotient."""
    trace = done.trace
    for k, step in enumerate(trace.steps):
        late = len(trace.variables) + k
        if step.op.name not in ("multiply", "divide") or done.gradients[late] is None or None in trace.inputs[k]:
            continue
        word = {"multiply": "product", "divide": "quotient"}[step.op.name]
        sentence = f"the derivative of a {word} is taken to be the {word} of the derivatives"
        for early, x in enumerate(trace.variables):
            if all(np.shape(y) == x.shape for y in (step.value, *trace.arrays[k])):
                place = Across(late, early)
                yield Suspect("product", sentence, 3.0, place, partial(_of_each, place))


def _of_each(place: Across, done: Pass, g: Array) -> Array:
    trace, k = done.trace, place.step(done.trace)
    by_a, by_b = (
        trace.back_from({n: np.ones_like(g)}).of_variables[place.early] for n in trace.inputs[k] if n is not None
    )
    wrong = by_a * by_b if trace.steps[k].op.name == "multiply" else by_a / by_b
    return g * wrong - trace.back_from({place.late: g}).of_variables[place.early]


def branches(done: Pass) -> Iterator[tuple[str, int, Changes]]:
    """A choice between two values that the gradient takes for a fixed one."""
    for k, step in enumerate(done.trace.steps):
        places = [i for i in range(len(step.inputs)) if (k, i) in done.contributions] if step.op.name == "where" else ()
        for i in places:
            edges: dict[Edge, Any] = {(k, j): _nothing for j in places}
            edges[k, i] = _all_of_it
            yield "the derivative of one branch is taken everywhere, not only where it is chosen", k, Changes(edges)


def _nothing(done: Pass, c: Any) -> Array:
    return np.zeros_like(c.right)


def _all_of_it(done: Pass, c: Any) -> Array:
    return np.asarray(c.g)
