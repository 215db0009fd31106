"""What the layers of images share: settings for each axis, in one, two or three dimensions, and errors with a name."""

from typing import Any, ClassVar

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.nn import functional
from tinygrad_lite.nn.module import Module


class Spatial(Module):
    """A layer that works along some axes; its settings are its fields, and a function does the work.

    Attributes:
        axes: the number of spatial axes, which its name ends with.
        function: the name of the function that it calls, with {} for the number of axes.
    """

    axes: ClassVar[int]
    function: ClassVar[str]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not hasattr(cls, "axes") and cls.__name__[-2:] in ("1d", "2d", "3d"):  # a Temporal1d may be a Conv2d
            cls.axes = int(cls.__name__[-2])

    def forward(self, input: Array) -> Any:
        return self.call(self.function, input, **self.settings())

    def call(self, function: str, *inputs: Any, **options: Any) -> Any:
        """The function for this number of axes, whose errors name the layer."""
        try:
            return getattr(functional, function.format(getattr(self, "axes", "")))(*inputs, **options)
        except (ShapeError, InputError) as error:
            raise type(error)(f"{self.summary()}: {error}") from error

    def settings(self) -> dict[str, Any]:
        """The settings, under the names of the function's arguments."""
        return {
            name: field
            for name, field in vars(self).items()
            if not isinstance(field, (Tensor, Module)) and name != "training" and not name.startswith("_")
        }

    def extra_repr(self) -> str:
        return self._written({name: value for name, value in self.settings().items() if value is not None})
