"""chain_rule: One number goes through two steps, u = 3x + 1 and y = u². How fast does y change with x?

    y = (3 · x + 1)²

Write ∂y/∂x, entry by entry, in NumPy; y is passed too, since it is known by then:

    def derivative(y, x):
        return ...

It is tried on these inputs, and on others:

    x = 2

Hints: 3 (`hint()`, or `--hint 1` in a shell)
"""

import numpy as np


def derivative(y, x):
    return ...
