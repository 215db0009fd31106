"""Probability distributions, under PyTorch's names: densities, samples through which gradients flow, divergences.

Parameters are numbers, arrays or tensors. Randomness is passed to `sample` and `rsample` as `rng`.
"""

from typing import TYPE_CHECKING

from tinygrad_lite.distributions.continuous import *
from tinygrad_lite.distributions.continuous_bernoulli import *
from tinygrad_lite.distributions.discrete import *
from tinygrad_lite.distributions.distribution import Distribution as Distribution
from tinygrad_lite.distributions.divergences import *
from tinygrad_lite.distributions.gammas import *
from tinygrad_lite.distributions.matrices import *
from tinygrad_lite.distributions.mixture import *
from tinygrad_lite.distributions.multivariate import *
from tinygrad_lite.distributions.powers import *
from tinygrad_lite.distributions.transforms import *
from tinygrad_lite.distributions.von_mises import *
from tinygrad_lite.foundation.elsewhere import unknown_names as _unknown_names

if not TYPE_CHECKING:  # a type checker would read it as a promise that any name exists
    __getattr__ = _unknown_names(__name__)
