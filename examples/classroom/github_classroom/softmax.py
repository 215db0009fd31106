"""softmax: Each row becomes probabilities. Every entry of a row moves all of it.

    y = exp(x) / sum(exp(x), axis=1, keepdims=True)

Given g, the upstream gradient, of y's shape, write what goes on to x, of the shape of x, in NumPy:

    def vjp(g, y, x):
        return ...

It is tried on these inputs, and on others:

    x = [[1, -0.5, 2], [0.25, 1.5, -1]]

Hints: 3 (`hint()`, or `--hint 1` in a shell)
"""

import numpy as np


def vjp(g, y, x):
    return ...
