"""The protocols by which libraries that know nothing of traced values take them: the array API standard, and DLPack."""

from importlib import import_module
from typing import Any

from tinygrad_lite.errors import ExportError, InputError

VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")
"""The versions of the array API standard that the namespace follows."""


class Protocols:
    """The attributes that the array API standard and DLPack ask of an array, and that NumPy's protocols do not."""

    __slots__ = ()

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        if api_version not in (None, *VERSIONS):
            raise InputError(f"the array API is here in the versions {', '.join(VERSIONS)}, got {api_version!r}")
        namespace = import_module("tinygrad_lite.array_api")  # which is above this floor, and which few programs need
        namespace.updates.make_functional()
        return namespace

    @property
    def device(self) -> Any:
        """Where the array is: that of the array inside, and "cpu" for an array that names none."""
        return getattr(getattr(self, "_array", None), "device", "cpu")

    def to_device(self, device: Any, /, *, stream: Any = None) -> Any:
        """Return this value, since an array stays on the device where it was made."""
        if type(device) is not type(self.device) or device != self.device or stream is not None:
            raise InputError(f"this tensor is on {self.device!r}, and stays there: move its array beforehand")
        return self

    def __complex__(self) -> complex:
        x: Any = self
        return complex(float(x.real), float(x.imag))  # float refuses where a history would be lost

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
    ) -> Any:
        if copy is False:  # some libraries, PyTorch among them, write to memory that is marked as read-only
            raise ExportError(
                "DLPack takes only a copy of a tensor, since nobody may write to the tensor: leave out copy=False"
            )
        asked = {"stream": stream, "max_version": max_version, "dl_device": dl_device}
        return _exported(self).copy().__dlpack__(**{name: x for name, x in asked.items() if x is not None})

    def __dlpack_device__(self) -> Any:
        return _exported(self).__dlpack_device__()


def _exported(x: Any) -> Any:
    """The array of a tensor that leaves the graph through DLPack."""
    if getattr(x, "_requires_grad", True):
        raise ExportError(
            "DLPack was about to take the array of a value that is being differentiated, and its history would be "
            "lost: write tensor.detach() to leave the graph on purpose"
        )
    array = x.numpy()
    if not hasattr(array, "__dlpack__"):
        raise ExportError(
            f"DLPack takes an array in memory; this tensor holds {type(array).__name__}, compute it first"
        )
    return array
