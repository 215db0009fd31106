"""Continuations of activations to the complex plane."""

from math import pi, sqrt

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.ops.arithmetic.elementwise import nodes_and_weights
from tinygrad_lite.ops.continuations.forms import continuation, exact
from tinygrad_lite.ops.networks import activations, normal

continuation(activations.relu, lambda x: np.where(np.less_equal(np.real(x), 0), 0, x))
continuation(
    activations.leaky_relu,
    lambda x, negative_slope: np.where(np.less_equal(np.real(x), 0), negative_slope * x, x),
)


def _normal_cdf(x: Array) -> Array:
    # Φ(-|x|) is the integral of φ(|x| + s) over s > 0; all but e⁻⁴⁰ of it ends where (|x| + s)² is x² + 80
    positive = np.greater(np.real(x), 0)
    size = np.expand_dims(np.where(positive, x, -x), -1)
    nodes, weights = nodes_and_weights()
    end = 80 / (np.sqrt(np.square(np.real(size)) + 80) + np.real(size))
    s = end * (nodes + 1) / 2
    density = np.exp(-np.square(size[..., 0]) / 2) / sqrt(2 * pi)
    tail = density * np.sum(end / 2 * weights * np.exp(-s * (s / 2 + size)), axis=-1)
    return np.where(positive, 1 - tail, tail)


continuation(normal.normal_cdf, exact(normal.normal_cdf.forward, _normal_cdf))
