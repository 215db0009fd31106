"""Layers that put a border around images, in one, two and three dimensions."""

from collections.abc import Sequence
from typing import ClassVar

from tinygrad_lite.engine.op import Array
from tinygrad_lite.nn.functional.sizes import per_axis
from tinygrad_lite.nn.spatial import Spatial

__all__ = [
    "CircularPad1d", "CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d",
    "ReflectionPad1d", "ReflectionPad2d", "ReflectionPad3d", "ReplicationPad1d", "ReplicationPad2d", "ReplicationPad3d",
    "ZeroPad1d", "ZeroPad2d", "ZeroPad3d",
]  # fmt: skip


class _Pad(Spatial):
    mode: ClassVar[str] = "constant"
    value: float | None = None

    def __init__(self, padding: int | Sequence[int]) -> None:
        self.padding = per_axis("padding", padding, 2 * self.axes, least=-(2**62))

    def forward(self, input: Array) -> Array:
        return self.call("pad", input, self.padding, self.mode, self.value)


class _ConstantPad(_Pad):
    def __init__(self, padding: int | Sequence[int], value: float) -> None:
        super().__init__(padding)
        self.value = value


class _ReflectionPad(_Pad):
    mode = "reflect"


class _ReplicationPad(_Pad):
    mode = "replicate"


class _CircularPad(_Pad):
    mode = "circular"


class ZeroPad1d(_Pad):
    """Puts zeros before and after the last axis; `padding` is a number or (before, after), see `functional.pad`."""


class ZeroPad2d(_Pad):
    """As `ZeroPad1d`, along two axes: `padding` is a number or (left, right, top, bottom)."""


class ZeroPad3d(_Pad):
    """As `ZeroPad1d`, along three axes: `padding` is a number or (left, right, top, bottom, front, back)."""


class ConstantPad1d(_ConstantPad):
    """Puts a value before and after the last axis, see `functional.pad`."""


class ConstantPad2d(_ConstantPad):
    """As `ConstantPad1d`, along two axes."""


class ConstantPad3d(_ConstantPad):
    """As `ConstantPad1d`, along three axes."""


class ReflectionPad1d(_ReflectionPad):
    """Continues with the mirror image of the input, which does not repeat the edge, see `functional.pad`."""


class ReflectionPad2d(_ReflectionPad):
    """As `ReflectionPad1d`, along two axes."""


class ReflectionPad3d(_ReflectionPad):
    """As `ReflectionPad1d`, along three axes."""


class ReplicationPad1d(_ReplicationPad):
    """Repeats the entry at the edge, see `functional.pad`."""


class ReplicationPad2d(_ReplicationPad):
    """As `ReplicationPad1d`, along two axes."""


class ReplicationPad3d(_ReplicationPad):
    """As `ReplicationPad1d`, along three axes."""


class CircularPad1d(_CircularPad):
    """Continues with the other end of the input, see `functional.pad`."""


class CircularPad2d(_CircularPad):
    """As `CircularPad1d`, along two axes."""


class CircularPad3d(_CircularPad):
    """As `CircularPad1d`, along three axes."""
