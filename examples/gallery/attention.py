"""
Attention, in three lines
=========================

Scaled dot-product attention is not a built-in operation. It takes three lines, and none of them deals with gradients.
The sequence has five positions, with four numbers each. A position asks with its row of ``queries``, and gets the
average of the rows of ``values``, weighted by how well the ``keys`` answer.

A. Vaswani et al. (2017), Attention is all you need, eq. 1.
"""

from pathlib import Path

import numpy as np

import tinygrad_lite as tg
from tinygrad_lite.nn.functional import softmax

rng = np.random.default_rng(0)
queries, keys, values = (
    tg.tensor(rng.normal(size=(5, 4)), requires_grad=True, name=name) for name in ("queries", "keys", "values")
)

scores = queries @ keys.T / np.sqrt(4)
weights = softmax(scores, axis=-1)
result = weights @ values

lesson = tg.explain(np.mean(result**2))
Path("attention.svg").write_text(lesson.to_svg())
