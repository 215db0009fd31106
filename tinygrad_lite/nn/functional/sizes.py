"""Settings for each spatial axis of an image: numbers, or one number for all axes; and the checks of what they meet."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.foundation.settings import remembered
from tinygrad_lite.foundation.signatures import signature
from tinygrad_lite.nn.functional.checks import shape_of

Sizes = int | Sequence[int]
Shape = tuple[int, ...]


def per_axis(name: str, value: Any, axes: int, least: int = 0) -> tuple[int, ...]:
    """A setting as one whole number for each axis.

    Raises:
        InputError: if it is not a whole number or one for each axis, or below the least.
    """
    return _per_axis(name, fixed(value), axes, least)


def fixed(value: Any) -> Any:
    """A setting that nobody can change: a list becomes a tuple."""
    return tuple(value) if isinstance(value, (list, np.ndarray)) else value


@remembered
def _per_axis(name: str, value: Any, axes: int, least: int) -> tuple[int, ...]:
    numbers = value if isinstance(value, tuple) else (value,)
    numbers = numbers * axes if len(numbers) == 1 else numbers
    if len(numbers) != axes or not all(_is_whole(n) and n >= least for n in numbers):
        limits = f" or {axes} of them" * (axes > 1) + f", at least {least}" * (least >= 0)
        raise InputError(f"{name} must be a whole number{limits}; got {value!r}")
    return tuple(int(n) for n in numbers)


def _is_whole(n: Any) -> bool:
    return isinstance(n, (int, np.integer)) and not isinstance(n, bool)


def check_axes(name: str, shape: Shape, axes: int, channels: int | None = None) -> None:
    """Raise `ShapeError` unless a shape has the axes (channels, …) or (batch, channels, …)."""
    if len(shape) - axes not in (1, 2) or (channels is not None and shape[-axes - 1] != channels):
        letters = ", ".join("DHW"[-axes:] if axes > 1 else "L")
        c = "C" if channels is None else channels
        raise ShapeError(f"{name} needs an input of shape ({c}, {letters}) or (N, {c}, {letters}), got {shape}")


def with_batch(function: Callable[[Array], Array], x: Array, axes: int) -> Array:
    """The result of a function of images, which may lack the batch axis."""
    return function(x) if len(shape_of(x)) == axes + 2 else function(np.expand_dims(x, 0))[0]


def in_dimensions(function: Callable[..., Any]) -> tuple[Callable[..., Any], ...]:
    """The functions for one, two and three axes, conv1d, conv2d and conv3d, of conv(axes, ...)."""
    return tuple(_in_dimension(function, axes) for axes in (1, 2, 3))


def _in_dimension(function: Callable[..., Any], axes: int) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        return function(axes, *args, **options)

    declared = signature(function)
    call.__name__ = call.__qualname__ = f"{function.__name__}{axes}d"
    vars(call)["__signature__"] = declared.replace(parameters=[*declared.parameters.values()][1:])
    return call
