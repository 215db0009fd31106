"""tinygrad_lite: reverse-mode autodiff in which an operation is plain NumPy with its derivatives beside it."""

import gc
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_lite import errors, ops  # noqa: F401  # the operations, which the engine finds in its registry
from tinygrad_lite.compiler import compile
from tinygrad_lite.engine.grad_mode import enable_grad, no_grad
from tinygrad_lite.engine.op import elementwise, primitive
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.explainer import backward_steps, explain
from tinygrad_lite.foundation.elsewhere import UnknownModules as _UnknownModules
from tinygrad_lite.foundation.elsewhere import unknown_names as _unknown_names
from tinygrad_lite.foundation.entrances import entrance as _entrance
from tinygrad_lite.foundation.pytorch_names import of_numpy as _of_numpy
from tinygrad_lite.ops.linear import of_scipy as linalg
from tinygrad_lite.ops.shapes.joining import array
from tinygrad_lite.transforms.custom import checkpoint, custom_gradient, stop_gradient
from tinygrad_lite.transforms.gradients import grad, hvp, jvp, value_and_grad, vjp
from tinygrad_lite.transforms.jacobians import hessian, jacobian
from tinygrad_lite.transforms.raveling import ravel

if TYPE_CHECKING:
    from tinygrad_lite import data, datasets, distributed, distributions, estimators, exercises, nn, optim, training
    from tinygrad_lite.array_api.creation import from_dlpack
    from tinygrad_lite.array_api.functionalizing import functionalize
    from tinygrad_lite.checking.auditing.anomaly import detect_anomaly
    from tinygrad_lite.checking.auditing.audit import audit_gradients
    from tinygrad_lite.checking.gradcheck import gradcheck
    from tinygrad_lite.interchange.onnx_in import from_onnx
    from tinygrad_lite.interchange.onnx_out import export_onnx
    from tinygrad_lite.interchange.torch_weights import from_torch, to_torch
    from tinygrad_lite.training.checkpoints import load, save
    from tinygrad_lite.training.fit import fit
    from tinygrad_lite.training.scipy_fit import fit_scipy
    from tinygrad_lite.transforms.vectorizing import vmap

# Two settings of the process, see docs/benchmarks.md. Making and dropping an array of 32 MB, of which no page is
# touched, tells the C library to keep freed memory up to that size for the next array: it would else return each array
# of 128 KB and more to the system, and fetching it back costs more than most operations. And a full garbage collection,
# which visits every object of every library, comes a tenth as often: a graph that grows would set it off, although it
# never is garbage, since nothing in it points forward.
np.empty(2**25 - 2**16, np.uint8)
gc.set_threshold(*gc.get_threshold()[:2], max(100, gc.get_threshold()[2]))

sys.meta_path.append(_UnknownModules)

__version__: str
__all__ = [
    "Tensor",
    "array",
    "audit_gradients",
    "backward_steps",
    "checkpoint",
    "compile",
    "custom_gradient",
    "data",
    "datasets",
    "detect_anomaly",
    "distributed",
    "distributions",
    "elementwise",
    "enable_grad",
    "errors",
    "estimators",
    "exercises",
    "explain",
    "export_onnx",
    "fit",
    "fit_scipy",
    "from_dlpack",
    "from_onnx",
    "from_torch",
    "functionalize",
    "grad",
    "gradcheck",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "linalg",
    "load",
    "nn",
    "no_grad",
    "optim",
    "primitive",
    "ravel",
    "save",
    "stop_gradient",
    "tensor",
    "to_torch",
    "training",
    "value_and_grad",
    "vjp",
    "vmap",
]

_ROOMS = frozenset(
    (
        "checking",
        "data",
        "datasets",
        "distributed",
        "distributions",
        "estimators",
        "exercises",
        "nn",
        "optim",
        "training",
    )
)
_HOMES = {
    **dict.fromkeys(("audit_gradients", "detect_anomaly", "gradcheck"), "checking"),
    **dict.fromkeys(("fit", "fit_scipy", "load", "save"), "training"),
    **dict.fromkeys(("from_dlpack", "functionalize"), "array_api"),
    **dict.fromkeys(("from_torch", "to_torch"), "interchange.torch_weights"),
    "export_onnx": "interchange.onnx_out",
    "from_onnx": "interchange.onnx_in",
    "vmap": "transforms.vectorizing",
}

if not TYPE_CHECKING:  # a type checker would take it for a promise that any name is there

    def __getattr__(name: str) -> Any:
        """What is imported when it is asked for: the version, and the rooms that not every program enters."""
        if name == "__version__":
            return import_module("importlib.metadata").version("tinygrad-lite")
        if name in _ROOMS:
            return import_module(f"tinygrad_lite.{name}")
        if name in _HOMES:
            return getattr(import_module(f"tinygrad_lite.{_HOMES[name]}"), name)
        return _unknown(name)

    def __dir__() -> list[str]:
        """The public names, also those that are imported when they are asked for, as far as they can be."""
        missing = set() if import_module("importlib.util").find_spec("sklearn") else {"estimators"}
        return sorted({*__all__, *(name for name in globals() if name.startswith("__"))} - missing)

    def _function(name: str) -> str:
        """What to write in place of a function that PyTorch has at its top."""
        functional = import_module("tinygrad_lite.nn.functional")
        return f"tg.nn.functional.{name}" if hasattr(functional, name) else _of_numpy(name)

    _unknown = _unknown_names(__name__, _function)
    tensor = _entrance(tensor, __name__)
