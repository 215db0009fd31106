"""Connectionist temporal classification: the sum over all paths through the states of a sequence, by recursion.

Source: Graves et al. (2006), Connectionist temporal classification, eq. 6 to 16; here in logarithms.
"""

import numpy as np

from tinygrad_lite.engine.op import Array, primitive
from tinygrad_lite.ops.arithmetic.extrema import logsumexp


def _log(condition: Array, x: Array) -> Array:
    """The logarithm of 1 where a condition holds, else of 0, in the dtype of x."""
    return np.where(condition, 0.0, -np.inf).astype(x.dtype)


def _moved(x: Array, by: int) -> Array:
    """The states' logarithms moved to later states, or to earlier ones if negative; -∞ moves in."""
    rows, states = np.shape(x)
    gap = np.full((rows, abs(by)), -np.inf, x.dtype)
    return np.concatenate([gap, x], axis=1)[:, :states] if by > 0 else np.concatenate([x, gap], axis=1)[:, -states:]


def _until(emitted: Array, skips: Array, last: Array, steps: Array) -> Array:
    """α: for each step and state, the logarithm of the probability of all paths that are there; it stays at the end."""
    states = np.arange(np.shape(emitted)[2])
    started = np.expand_dims(steps > 0, 1)
    alpha = np.where(started, emitted[0] + _log(states < 2, emitted), _log(states < 1, emitted))
    alphas, skipping = [alpha], _log(skips, emitted)
    for t in range(1, np.shape(emitted)[0]):
        ways = np.logaddexp(np.logaddexp(alpha, _moved(alpha, 1)), _moved(alpha, 2) + skipping)
        alpha = np.where(np.expand_dims(steps > t, 1), ways + emitted[t], alpha)
        alphas.append(alpha)
    return np.stack(alphas)


def _after(emitted: Array, skips: Array, last: Array, steps: Array) -> Array:
    """β: for each step and state, the logarithm of the probability of all that may follow."""
    beta = final = np.broadcast_to(_log(last, emitted), np.shape(emitted)[1:])
    betas, skipping = [beta], _log(skips, emitted)
    for t in range(np.shape(emitted)[0] - 1, 0, -1):
        ahead = beta + emitted[t]
        ways = np.logaddexp(np.logaddexp(ahead, _moved(ahead, -1)), _moved(ahead + skipping, -2))
        beta = np.where(np.expand_dims(steps > t, 1), ways, final)
        betas.append(beta)
    return np.stack(betas[::-1])


def _ctc_vjp(g: Array, y: Array, emitted: Array, skips: Array, last: Array, steps: Array, alphas: Array) -> Array:
    finite = np.where(np.isinf(y), 0.0, y)  # where no path reaches the end, each has the logarithm -∞ already
    paths = np.exp(alphas + _after(emitted, skips, last, steps) + np.expand_dims(finite, 1))
    is_step = np.expand_dims(np.arange(np.shape(emitted)[0]), (1, 2)) < np.expand_dims(steps, 1)
    return np.where(is_step, -paths * np.expand_dims(g, 1), 0.0)


# the loss of each sequence: of the log-probabilities of its states, step by step (T, N, L); of the states that may
# follow on the last but one; of the states at which it may end; of its number of steps
ctc = primitive(
    lambda emitted, skips, last, steps, alphas: -logsumexp(alphas[-1] + _log(last, emitted), axis=1),
    _ctc_vjp,
    None,
    None,
    None,
    name="ctc",
    shared=_until,
    examples=[
        (
            [
                (3, 2, 3),
                np.array([[False, False, False], [False, False, False]]),
                np.array([[False, True, True], [True, False, False]]),
                np.array([3, 2]),
            ],
            {},
        )
    ],
)
