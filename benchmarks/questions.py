"""Questions for each gradient checker: the smallest error it finds, the faults, and whether right gradients pass."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.special

from benchmarks.gradient_checkers import Checker, Pull
from tests.checking.faults import FAULTS
from tests.checking.models import smooth, smooth_gradient

ENTRIES = 200
EXPONENTS = range(-1, -13, -1)


def smallest_error(checker: Checker, trials: int) -> str:
    """The smallest relative error of one entry such that the checker catches it and every larger one."""
    caught = ""
    for exponent in EXPONENTS:
        if not all(_is_caught(checker, 10.0**exponent, trial) for trial in range(trials)):
            break
        caught = f"1e{exponent}"
    return caught or "above 1e-1"


def _is_caught(checker: Checker, error: float, trial: int) -> bool:
    rng = np.random.default_rng(trial)
    x, entry = rng.normal(size=ENTRIES), rng.integers(ENTRIES)
    np.random.seed(trial)  # noqa: NPY002 - the directions in which HIPS autograd checks

    def pull(g: Any, y: Any, x: Any) -> Any:
        gradient = smooth_gradient(x)
        gradient[entry] *= 1 + error
        return g * gradient

    return not checker.passes_given(smooth, pull, x)


# For a library's checker: a function with a kink, and a point at the kink.
KINKS: dict[str, tuple[Callable[[Checker, Any], Any], list[float]]] = {
    "relu at 0": (lambda of, x: of.xp.sum(of.relu(x)), [0.0, 1.0, -2.0]),
    "abs at 0": (lambda of, x: of.xp.sum(of.xp.abs(x)), [0.0, 1.0, -2.0]),
    "max of 3 equal": (lambda of, x: of.xp.max(x), [1.0, 1.0, 1.0, 0.5]),
    "clip at a bound": (lambda of, x: of.xp.sum(of.xp.clip(x, -1.0, 1.0)), [1.0, 0.5, -2.0]),
}
A = np.random.default_rng(0).normal(size=(4, 3))

# Values and their vector-Jacobian products for x of shape (4, 3) or (3,), into which faults are put.
FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Pull, tuple[int, ...]]] = {
    "sin": (np.sin, lambda g, y, x: g * np.cos(x), (4, 3)),
    "exp": (np.exp, lambda g, y, x: g * y, (4, 3)),
    "tanh": (np.tanh, lambda g, y, x: g * (1 - y * y), (4, 3)),
    "square": (np.square, lambda g, y, x: g * 2 * x, (4, 3)),
    "matmul": (lambda x: x @ A.T, lambda g, y, x: g @ A, (4, 3)),
    "bias": (lambda x: A + x, lambda g, y, x: np.sum(g, axis=0), (3,)),
    "sum": (lambda x: np.sum(x, axis=0), lambda g, y, x: np.broadcast_to(g, x.shape), (4, 3)),
    "mean": (lambda x: np.mean(x, axis=0), lambda g, y, x: np.broadcast_to(g / len(x), x.shape), (4, 3)),
    "softmax": (scipy.special.softmax, lambda g, y, x: y * (g - np.sum(g * y)), (4, 3)),
    "cumsum": (np.cumsum, lambda g, y, x: np.cumsum(g[::-1])[::-1].reshape(x.shape), (3,)),
}


def faults_caught(checker: Checker) -> tuple[int, int]:
    """The number of the catalogue's faults in a few functions that the checker catches, and the number of all."""
    rng = np.random.default_rng(0)
    caught = []
    for name, (value, pull, shape) in FUNCTIONS.items():
        x = rng.normal(size=shape)
        g = rng.normal(size=np.shape(value(x)))
        for fault in FAULTS:
            broken = fault.break_rule(pull, 0)
            right, wrong = pull(g, value(x), x), broken(g, value(x), x)
            if np.shape(wrong) == np.shape(right) and not np.allclose(wrong, right):
                caught.append(not checker.passes_given(value, broken, x))
                if not caught[-1]:
                    print(f"missed: {fault.name} in {name}, by {type(checker).__name__}", file=sys.stderr, flush=True)
    return sum(caught), len(caught)


def at_kinks_and_in_float32(checker: Checker) -> dict[str, str]:
    """Whether right gradients pass, at each kink and for a function in float32."""
    single = np.random.default_rng(0).normal(size=ENTRIES).astype(np.float32)
    points = {"float32": (partial(smooth, xp=checker.xp), single)}
    points |= {name: (partial(f, checker), np.array(point)) for name, (f, point) in KINKS.items()}
    return {name: "passes" if checker.passes(f, x) else "false alarm" for name, (f, x) in points.items()}
