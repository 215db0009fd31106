"""tinygrad_lite: reverse-mode autodiff in which an operation is plain NumPy with its derivatives beside it."""

from typing import TYPE_CHECKING

from tinygrad_lite import datasets, errors, exercises, nn, optim
from tinygrad_lite.checking import audit_gradients, detect_anomaly, gradcheck
from tinygrad_lite.compiler import compile
from tinygrad_lite.engine.grad_mode import enable_grad, no_grad
from tinygrad_lite.engine.op import elementwise, primitive
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.explainer import backward_steps, explain
from tinygrad_lite.ops.linear import triangular as linalg
from tinygrad_lite.ops.shapes.joining import array
from tinygrad_lite.transforms.custom import checkpoint, custom_gradient, stop_gradient
from tinygrad_lite.transforms.gradients import grad, hvp, jvp, value_and_grad, vjp
from tinygrad_lite.transforms.jacobians import hessian, jacobian

__version__: str
__all__ = [
    "Tensor",
    "array",
    "audit_gradients",
    "backward_steps",
    "checkpoint",
    "compile",
    "custom_gradient",
    "datasets",
    "detect_anomaly",
    "elementwise",
    "enable_grad",
    "errors",
    "exercises",
    "explain",
    "grad",
    "gradcheck",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "linalg",
    "nn",
    "no_grad",
    "optim",
    "primitive",
    "stop_gradient",
    "tensor",
    "value_and_grad",
    "vjp",
]

if not TYPE_CHECKING:  # a type checker would take it for a promise that any name is there

    def __getattr__(name: str) -> str:
        """`__version__`, read when it is asked for, since that takes a fifth as long as importing NumPy."""
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import version

        return version("tinygrad-lite")
