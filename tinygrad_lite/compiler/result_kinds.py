"""The kinds of results: tensors, arrays, and the scalars that NumPy returns for most arrays without dimensions.

Passes and native code take an array without dimensions and a scalar for the same; whoever gets a result does not: an
array can be written to and has no hash, and one that is a view changes with what it is a view of.
"""

from typing import Any, NamedTuple

import numpy as np

from tinygrad_lite.engine.tensor import Tensor, wrap


class ResultKind(NamedTuple):
    """What the function itself returns in one place.

    Attributes:
        is_tensor: whether it is a tensor.
        is_scalar: for a value without dimensions, whether it is a scalar and no array; otherwise None.
    """

    is_tensor: bool = False
    is_scalar: bool | None = None

    @classmethod
    def of(cls, is_tensor: bool, value: Any) -> "ResultKind":
        """The kind of a result, given the value that it had."""
        has_dimensions = not isinstance(value, (np.ndarray, np.generic)) or value.ndim
        return cls(is_tensor, None if has_dimensions else isinstance(value, np.generic))

    def made(self, value: Any) -> Any:
        """A result of this kind from what a program computed."""
        if type(value) is Tensor:
            return value
        if self.is_scalar:
            value = value[()]
        elif self.is_scalar is False and not self.is_tensor:
            value = np.asarray(value)
        return wrap(value) if self.is_tensor else value

    def written(self, expression: str, is_settled: bool = False) -> str:
        """The expression in an entry for a result of this kind.

        Args:
            is_settled: whether it is a scalar or an array already, as the function itself has it.
        """
        if self.is_scalar and not is_settled and not expression.endswith("[()]"):
            expression = f"{expression}[()]"
        elif self.is_scalar is False and not is_settled and not self.is_tensor:
            expression = f"asarray({expression})"
        return f"wrap({expression})" if self.is_tensor else expression
