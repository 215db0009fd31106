"""Parameters as one vector and back, under PyTorch's names. `tg.ravel` does so for trees and modules."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import ShapeError, UsageError
from tinygrad_lite.foundation.foreign import kind_of

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def listed(parameters: Any) -> list[Tensor]:
    """The tensors in an iterable, or the one tensor; an error if they are something else, such as a module."""
    is_one = (
        isinstance(parameters, Tensor) or not isinstance(parameters, Iterable) or getattr(parameters, "ndim", 1) == 0
    )
    found = [parameters] if is_one else list(parameters)
    for parameter in found:
        if not isinstance(parameter, Tensor):
            raise UsageError(f"parameters must be tensors, such as model.parameters(); got {kind_of(parameter)}")
    return found


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All entries of the parameters in one vector, which is a result and has a history.

    Example:
        >>> import tinygrad_lite as tg
        >>> parameters_to_vector([tg.tensor([[1.0, 2.0]]), tg.tensor(3.0)])
        tensor([1., 2., 3.])
    """
    return np.concatenate([np.reshape(parameter, -1) for parameter in listed(parameters)])  # type: ignore[return-value]


def vector_to_parameters(vec: Array, parameters: Iterable[Tensor]) -> None:
    """Give each parameter its part of a vector as its new array.

    Raises:
        ShapeError: if the vector has another number of entries; the parameters stay as they were.

    Example:
        >>> import tinygrad_lite as tg
        >>> w, b = tg.tensor([[1.0, 2.0]]), tg.tensor(3.0)
        >>> vector_to_parameters(np.array([4.0, 5.0, 6.0]), [w, b])
        >>> w, b
        (tensor([[4., 5.]]), tensor(6.))
    """
    tensors = listed(parameters)
    stops = np.cumsum([parameter.size for parameter in tensors], dtype=int).tolist()
    if np.shape(vec) != (size := stops[-1] if stops else 0,):
        raise ShapeError(f"the vector for these parameters must have shape ({size},), got {np.shape(vec)}")
    for parameter, start, stop in zip(tensors, [0, *stops], stops):
        parameter.data = np.reshape(vec[start:stop], parameter.shape)
