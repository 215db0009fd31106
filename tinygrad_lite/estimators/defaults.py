"""The modules that estimators have by default."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tinygrad_lite import nn
from tinygrad_lite.engine.op import Array
from tinygrad_lite.nn.init import Rng


class Perceptron(nn.Sequential):
    """Affine maps with ReLU between them: n_features_in inputs, hidden units in each layer, n_outputs outputs.

    Args:
        hidden: the number of units of the hidden layer, or of each hidden layer.

    Example:
        >>> print(Perceptron(13, 1, hidden=8))
        Perceptron             121 parameters
        ├─ 0: Linear(13, 8)    112
        ├─ 1: ReLU()
        └─ 2: Linear(8, 1)       9
    """

    def __init__(
        self,
        n_features_in: int,
        n_outputs: int,
        hidden: int | Sequence[int] = 100,
        *,
        dtype: Any = np.float64,
        rng: Rng = None,
    ) -> None:
        rng = np.random.default_rng(rng)
        between = [hidden] if isinstance(hidden, (int, np.integer)) else list(hidden)
        layers: list[nn.Module] = []
        for before, after in pairwise([n_features_in, *between, n_outputs]):
            layers += [nn.Linear(before, after, dtype=dtype, rng=rng), nn.ReLU()]
        super().__init__(*layers[:-1])


class Autoencoder(nn.Module):
    """A code of n_components numbers for each row, `encoder(x)`, and what `decoder` makes of the code.

    Both are a `Perceptron`; the decoder has its hidden layers in the reverse order.

    Example:
        >>> Autoencoder(64, 2).encoder(np.zeros((5, 64))).shape
        (5, 2)
    """

    def __init__(
        self,
        n_features_in: int,
        n_components: int,
        hidden: int | Sequence[int] = 100,
        *,
        dtype: Any = np.float64,
        rng: Rng = None,
    ) -> None:
        rng = np.random.default_rng(rng)
        back = hidden if isinstance(hidden, (int, np.integer)) else [*hidden][::-1]
        self.encoder = Perceptron(n_features_in, n_components, hidden, dtype=dtype, rng=rng)
        self.decoder = Perceptron(n_components, n_features_in, back, dtype=dtype, rng=rng)

    def forward(self, x: Array) -> Array:
        return self.decoder(self.encoder(x))
