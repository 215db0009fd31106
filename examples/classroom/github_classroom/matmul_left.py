"""matmul_left: A matrix product, differentiated with respect to its first factor.

    y = a @ b

Given g, the upstream gradient, of y's shape, write what goes on to a, of the shape of a, in NumPy:

    def vjp(g, y, a, b):
        return ...

It is tried on these inputs, and on others:

    a = [[1, -0.5, 2], [0.25, 1.5, -1]]
    b = [[0.5, -1, 2, 0], [1.5, 0.25, -0.75, 1], [-0.5, 2.5, 1.25, 0.75]]

Hints: 3 (`hint()`, or `--hint 1` in a shell)
"""

import numpy as np


def vjp(g, y, a, b):
    return ...
