"""Averages of weights over the steps of a training, which often predict better than the last weights."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.errors import ShapeError, UsageError
from tinygrad_lite.foundation.foreign import numbers_of
from tinygrad_lite.foundation.settings import check_form, fraction


class ExponentialMovingAverage:
    """The running mean of weights: a ← a + (1 - decay) (w - a) at each `update`; the first one takes a = w.

    The weights are those of a module, or an iterable of tensors.
    Source: Tarvainen and Valpola (2017), Mean teachers are better role models, equation 2; as PyTorch's AveragedModel
    with get_ema_multi_avg_fn.

    Attributes:
        averages: the averages, as tensors in the order of the weights.
        n_averaged: the number of updates so far, as a tensor, so that a compiled step can call `update`.

    Raises:
        InputError: if decay does not lie in [0, 1).

    Example:
        >>> import tinygrad_lite as tg
        >>> w = tg.tensor(1.0, requires_grad=True)
        >>> average = tg.optim.ExponentialMovingAverage([w], decay=0.5)
        >>> for value in [2.0, 4.0]:
        ...     w.data = value
        ...     average.update()
        >>> with average.applied():
        ...     print(w.item())
        3.0
        >>> w.item()
        4.0
    """

    def __init__(self, weights: Any, decay: float = 0.999) -> None:
        self.decay = fraction("decay", decay)
        self.weights: list[Tensor] = list(weights.parameters() if hasattr(weights, "parameters") else weights)
        for w in self.weights:
            if not isinstance(w, Tensor) or not w.is_leaf:
                raise UsageError(f"only leaf tensors can be averaged, such as model.parameters(); got {w!r}")
        self.averages = [tensor(w.data) for w in self.weights]
        self.n_averaged = tensor(0)

    def __repr__(self) -> str:
        settings = f"weights={len(self.weights)}, decay={self.decay}"
        return f"ExponentialMovingAverage({settings}, n_averaged={self.n_averaged.item()})"

    def update(self) -> None:
        """Take in the present weights."""
        share = np.where(self.n_averaged.data == 0, 1.0, 1 - self.decay)
        for average, w in zip(self.averages, self.weights, strict=True):
            mean = average.data
            average.replace((mean + share * (w.data - mean)).astype(w.dtype))
        self.n_averaged.replace(self.n_averaged.data + 1)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """A block in which the weights are the averages."""
        before = [w.data for w in self.weights]
        for w, average in zip(self.weights, self.averages, strict=True):
            w.replace(average.data)
        try:
            yield
        finally:
            for w, value in zip(self.weights, before, strict=True):
                w.replace(value)

    def state_dict(self) -> dict[str, Any]:
        """The averages and the number of updates."""
        return {"averages": [x.data for x in self.averages], "n_averaged": self.n_averaged.item()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `state_dict` returned.

        Raises:
            InputError: if it is not such a state; nothing changes then.
            ShapeError: if the shape of an average differs; nothing changes then.
        """
        check_form("a state of averages", state, self.state_dict())
        arrays = [np.array(numbers_of(x, "an average"), w.dtype)[()] for x, w in zip(state["averages"], self.weights)]
        for array, w in zip(arrays, self.weights):
            if array.shape != w.shape:
                raise ShapeError(f"an average must have its weight's shape {w.shape}, got {array.shape}")
        for average, array in zip(self.averages, arrays):
            average.replace(array)
        self.n_averaged.replace(np.array(state["n_averaged"])[()])
