"""Containers of modules."""

from collections.abc import Iterator, Mapping
from typing import Any

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import UsageError
from tinygrad_lite.nn.module import Module

__all__ = [
    "Sequential",
]


class Sequential(Module):
    """Modules applied one after another; any function of one array can take the place of a module.

    Example:
        >>> import tinygrad_lite as tg
        >>> tg.nn.Sequential(tg.nn.Linear(13, 8), tg.nn.ReLU(), tg.nn.Linear(8, 1))
        Sequential             121 parameters
        ├─ 0: Linear(13, 8)    112
        ├─ 1: ReLU()
        └─ 2: Linear(8, 1)       9
    """

    def __init__(self, *modules: Any) -> None:
        for module in modules:
            if isinstance(module, type) or not callable(module):
                raise UsageError(
                    f"Sequential takes modules one by one, as in Sequential(Linear(2, 3), ReLU()); got {module!r}"
                )
        self._modules = modules

    def fields(self) -> Mapping[str, Any]:
        return {str(i): module for i, module in enumerate(self._modules)}

    def forward(self, x: Array) -> Array:
        for module in self._modules:
            x = module(x)
        return x

    def __getitem__(self, i: Any) -> Any:
        """The module at a position; for a slice, a `Sequential` that shares those modules."""
        if not isinstance(i, slice):
            return self._modules[i]
        part = Sequential(*self._modules[i])
        part.training = self.training
        return part

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)
