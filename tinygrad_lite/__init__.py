"""tinygrad_lite: reverse-mode autodiff in which an operation is plain NumPy with its derivatives beside it."""

from tinygrad_lite import datasets, nn, optim
from tinygrad_lite.grad_mode import enable_grad, no_grad
from tinygrad_lite.ops.op import elementwise, primitive
from tinygrad_lite.tensor import Tensor, tensor
from tinygrad_lite.transforms import grad, value_and_grad

__version__ = "0.1.0"
__all__ = [
    "Tensor",
    "datasets",
    "elementwise",
    "enable_grad",
    "grad",
    "nn",
    "no_grad",
    "optim",
    "primitive",
    "tensor",
    "value_and_grad",
]
