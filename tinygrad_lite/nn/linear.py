"""Affine and bilinear layers, and layers that only change the shape."""

from collections.abc import Sequence
from math import prod, sqrt
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import tensor
from tinygrad_lite.errors import ShapeError
from tinygrad_lite.nn import functional, init
from tinygrad_lite.nn.functional.checks import check_counts, shape_of
from tinygrad_lite.nn.module import Module

__all__ = ["Bilinear", "Flatten", "Identity", "Linear", "Unflatten"]


class Linear(Module):
    """An affine map of the last axis: y = x Wᵀ + b.

    x has shape (…, in_features), y (…, out_features); `weight` is out × in, as in PyTorch, and both `weight` and `bias`
    start from U(-1/√in, 1/√in).

    Raises:
        ShapeError: if the last axis of x does not have in_features entries.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> tg.nn.Linear(13, 8, rng=0)(np.ones((5, 13))).shape
        (5, 8)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, *, dtype: Any = np.float64, rng: init.Rng = None
    ) -> None:
        check_counts("Linear", in_features=in_features, out_features=out_features)
        rng = init.generator(rng)
        bound = 1 / sqrt(in_features)
        self.in_features, self.out_features = in_features, out_features
        # column by column in memory, so that the product with the transpose reads it in order
        weight = np.asfortranarray(init.uniform((out_features, in_features), -bound, bound, dtype=dtype, rng=rng))
        self.weight = tensor(weight, requires_grad=True)
        start = init.uniform(out_features, -bound, bound, dtype=dtype, rng=rng) if bias else None
        self.bias = None if start is None else tensor(start, requires_grad=True)

    def forward(self, input: Array) -> Array:
        try:
            return functional.linear(input, self.weight, self.bias)
        except ShapeError as error:
            raise ShapeError(
                f"Linear({self.in_features}, {self.out_features}) needs {self.in_features} features on the last axis, "
                f"got shape {shape_of(input)}"
            ) from error

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}{'' if self.bias is not None else ', bias=False'}"


class Bilinear(Module):
    """yₖ = uᵀ Wₖ v + bₖ of two inputs u (…, in1) and v (…, in2); y has shape (…, out).

    `weight` is out × in1 × in2; `weight` and `bias` start from U(-1/√in1, 1/√in1).

    Raises:
        ShapeError: if the inputs do not have these features on their last axes, or other axes that differ.
    """

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        *,
        dtype: Any = np.float64,
        rng: init.Rng = None,
    ) -> None:
        check_counts("Bilinear", in1_features=in1_features, in2_features=in2_features, out_features=out_features)
        rng = init.generator(rng)
        bound = 1 / sqrt(in1_features)
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        weight = init.uniform((out_features, in1_features, in2_features), -bound, bound, dtype=dtype, rng=rng)
        self.weight = tensor(weight, requires_grad=True)
        start = init.uniform(out_features, -bound, bound, dtype=dtype, rng=rng) if bias else None
        self.bias = None if start is None else tensor(start, requires_grad=True)

    def forward(self, input1: Array, input2: Array) -> Array:
        return functional.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        sizes = f"{self.in1_features}, {self.in2_features}, {self.out_features}"
        return f"{sizes}{'' if self.bias is not None else ', bias=False'}"


class Identity(Module):
    """Returns its input; it accepts any arguments, so that it can stand in for another layer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def forward(self, input: Array) -> Array:
        return input


class Flatten(Module):
    """Merges the axes from `start_axis` to `end_axis` into one; by default the first axis, the batch, stays.

    Raises:
        ShapeError: if the input does not have these axes.
    """

    def __init__(self, start_axis: int = 1, end_axis: int = -1) -> None:
        self.start_axis = start_axis
        self.end_axis = end_axis

    def forward(self, input: Array) -> Array:
        shape: tuple[int, ...] = shape_of(input) or (1,)
        axes = range(len(shape))
        bounds = (self.start_axis, self.end_axis)
        if not all(-len(axes) <= axis < len(axes) for axis in bounds) or axes[bounds[0]] > axes[bounds[1]]:
            raise ShapeError(f"{self.summary()} merges these axes of its input, got shape {shape_of(input)}")
        start, stop = axes[self.start_axis], axes[self.end_axis] + 1
        return np.reshape(input, (*shape[:start], prod(shape[start:stop]), *shape[stop:]))


class Unflatten(Module):
    """Splits an axis into several, of these sizes; one of them may be -1, which stands for the rest.

    Raises:
        ShapeError: if the input does not have the axis, or the sizes do not multiply to its own.
    """

    def __init__(self, axis: int, unflattened_size: Sequence[int]) -> None:
        self.axis = axis
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Array) -> Array:
        shape: tuple[int, ...] = shape_of(input)
        sizes: tuple[int, ...] = self.unflattened_size
        if -len(shape) <= self.axis < len(shape):
            axis = self.axis % len(shape)
            if sizes.count(-1) == 1 and 0 not in sizes:
                rest = -shape[axis] // prod(sizes)
                sizes = tuple(rest if size == -1 else size for size in sizes)
            if prod(sizes) == shape[axis] and min(sizes, default=0) >= 0:
                return np.reshape(input, (*shape[:axis], *sizes, *shape[axis + 1 :]))
        raise ShapeError(f"{self.summary()} cannot split this axis of an input of shape {shape}")

    def extra_repr(self) -> str:
        return f"{self.axis}, {self.unflattened_size}"
