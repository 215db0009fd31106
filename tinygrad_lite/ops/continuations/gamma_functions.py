"""The continuation of the logarithm of the gamma function to the complex plane."""

from math import log, pi

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.ops.continuations.forms import continuation, exact
from tinygrad_lite.ops.gamma_functions import BERNOULLI, lgamma


def _lgamma(x: Array) -> Array:
    # Stirling's series (DLMF 5.11.1) where it has all digits, and the recurrence from there
    steps = np.arange(10)
    z = x + len(steps)
    y = (z - 0.5) * np.log(z) - z + log(2 * pi) / 2 - np.sum(np.log(np.expand_dims(x, -1) + steps), axis=-1)
    for j, number in enumerate(BERNOULLI, 1):
        y = y + number / (2 * j * (2 * j - 1) * z ** (2 * j - 1))
    return y


continuation(lgamma, exact(lgamma.forward, _lgamma))
