"""Mistakes in a gradient's own forward pass, which then computes other values than the function."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tinygrad_lite.checking.diagnosing.mistakes import Contribution
from tinygrad_lite.checking.diagnosing.trace import UNCHANGED, Changes, Pass, Trace
from tinygrad_lite.engine.op import Array

Replaced = dict[int, Callable[[Trace, int], Array]]

WITHOUT = "{} is left out of the values that the gradient is computed from"
ALSO_BACK = "{} is left out of the values and of the gradient"
SIGN = "the sign of {} is wrong in the values that the gradient is computed from"
POWER = "{} is not squared in the values that the gradient is computed from"


def forwards(trace: Trace, numbers: Sequence[int]) -> Iterator[tuple[str, Replaced, Changes]]:
    """What an operation, each time that a line is run, may have been taken for, in the values, or also on the way back.

    A factor such as a mask that is left out of the values is often left out of the gradient, too.
    """
    k = numbers[len(numbers) // 2]
    name = trace.steps[k].op.name
    names = [trace.name((k, i)) for i in range(len(trace.arrays[k]))]
    kinds: list[tuple[str, Callable[[Sequence[Array]], Array]]] = []
    if name in ("add", "subtract", "multiply", "divide"):
        kinds.append((WITHOUT.format(names[1]), lambda x: x[0]))
    if name in ("add", "subtract", "multiply"):
        kinds.append((WITHOUT.format(names[0]), lambda x: x[1]))
    if name == "subtract":
        kinds += [(WITHOUT.format(names[0]), lambda x: -x[1]), (SIGN.format(names[1]), lambda x: x[0] + x[1])]
    if name == "add":
        kinds.append((SIGN.format(names[1]), lambda x: x[0] - x[1]))
    if name == "negative":
        kinds.append((SIGN.format(names[0]), lambda x: x[0]))
    if name == "square":
        kinds.append((POWER.format(names[0]), lambda x: x[0]))
    is_of_one = len(names) == 1 and np.shape(trace.arrays[k][0]) == np.shape(trace.values[k])
    if is_of_one and name not in ("negative", "square"):
        kinds.append((WITHOUT.format(name), lambda x: x[0]))
    for sentence, of in kinds:
        shape = np.shape(trace.values[k])
        if np.shape(np.broadcast_arrays(*trace.arrays[k])[0]) == shape:
            replaced = {j: _spread(of) for j in numbers}
            yield sentence, replaced, UNCHANGED
            if name in ("multiply", "divide") and sentence == WITHOUT.format(names[1]):
                yield ALSO_BACK.format(names[1]), replaced, Changes({(j, 0): _handed_on for j in numbers})
            elif name == "multiply":
                yield ALSO_BACK.format(names[0]), replaced, Changes({(j, 1): _handed_on for j in numbers})


def _handed_on(done: Pass, c: Contribution) -> Array:
    """The upstream gradient as it is, if the argument has its shape."""
    return np.asarray(c.g) if np.shape(c.g) == np.shape(c.right) else c.right


def _spread(of: Callable[[Sequence[Array]], Array]) -> Callable[[Trace, int], Array]:
    """The same of an operation's arguments, in the shape of its result."""

    def spread(trace: Trace, k: int) -> Array:
        x = trace.arrays[k]
        y = np.asarray(of(x), float)
        return np.array(np.broadcast_to(y, np.broadcast_shapes(*map(np.shape, x))))[()]

    return spread
