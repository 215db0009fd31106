"""Gradients limited before an optimiser's step, under PyTorch's names."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_lite.engine.conversions import constant
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor, wrap
from tinygrad_lite.errors import InputError
from tinygrad_lite.foundation.settings import number
from tinygrad_lite.foundation.sums import in_single
from tinygrad_lite.nn.utils.vectors import listed

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scale the gradients of all parameters so that their norm, as one vector, is at most `max_norm`; return the norm.

    g ← g · min(1, max_norm / (‖g‖ + 10⁻⁶)). Parameters without a gradient are left out.

    Args:
        norm_type: the p of the p-norm; infinity for the largest entry.
        error_if_nonfinite: whether a norm that is infinite or NaN is an error; a compiled step cannot decide that.

    Raises:
        InputError: if `max_norm` is negative or NaN, which would turn the gradients around or lose them, or if the norm
            is not finite although `error_if_nonfinite`; the gradients stay as they were.

    Example:
        >>> import tinygrad_lite as tg
        >>> w = tg.tensor([3.0, 4.0], requires_grad=True)
        >>> (w * w / 2).sum().backward()
        >>> clip_grad_norm_([w], max_norm=1.0)
        tensor(5.)
        >>> np.round(w.grad.numpy(), 3)
        array([0.6, 0.8])
    """
    _check("max_norm", max_norm)
    learning = _with_gradients(parameters)
    total = get_total_norm([parameter.grad for parameter in learning], norm_type, error_if_nonfinite)
    clip_grads_with_norm_(learning, max_norm, total)
    return total


def clip_grads_with_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor) -> None:
    """Scale the gradients of all parameters by min(1, max_norm / (total_norm + 10⁻⁶)).

    Example:
        >>> import tinygrad_lite as tg
        >>> w = tg.tensor(1.0, requires_grad=True)
        >>> (3 * w).backward()
        >>> clip_grads_with_norm_(w, 1.0, tg.tensor(6.0))
        >>> round(w.grad.item(), 3)
        0.5
    """
    _check("max_norm", max_norm)
    scale = np.minimum(max_norm / (constant(total_norm) + 1e-6), 1.0)
    _replace(_with_gradients(parameters), lambda g: (g * scale).astype(g.dtype))


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Clip each entry of the gradients of all parameters to [-clip_value, clip_value].

    Example:
        >>> import tinygrad_lite as tg
        >>> w = tg.tensor([0.1, 5.0], requires_grad=True)
        >>> (w * w).sum().backward()
        >>> clip_grad_value_([w], 1.0)
        >>> w.grad
        tensor([0.2, 1. ])
    """
    _check("clip_value", clip_value)
    _replace(_with_gradients(parameters), lambda g: np.clip(g, -clip_value, clip_value))


def get_total_norm(
    tensors: Array | Iterable[Array], norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """The p-norm of all tensors as one vector, p = norm_type.

    Raises:
        InputError: if it is not finite although `error_if_nonfinite`.

    Example:
        >>> get_total_norm([np.array([3.0]), np.array([[4.0]])])
        tensor(5.)
    """
    arrays = [constant(x) for x in ([tensors] if isinstance(tensors, (Tensor, np.ndarray)) else tensors)]
    # the sum of the squares of float16 may be larger than that holds, and the gradients would be divided by infinity
    norms = [np.linalg.norm(np.reshape(in_single(x), -1), norm_type) for x in arrays]
    total = np.linalg.norm(np.stack(norms), norm_type) if norms else np.float64(0)
    if error_if_nonfinite and not np.isfinite(total):
        raise InputError(f"the norm of these gradients is {total}, and so they cannot be clipped by it")
    return wrap(total)


def _check(name: str, bound: Any) -> None:
    """Raise `InputError` unless a bound is at least 0, if it is a plain number."""
    if isinstance(bound, (int, float, np.number, str)) and not number(name, bound) >= 0:
        raise InputError(f"{name} must be at least 0, got {bound!r}")


def _with_gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [parameter for parameter in listed(parameters) if parameter.grad is not None]


def _replace(parameters: list[Tensor], function: Any) -> None:
    """Give the gradients other values; those of tensors that are listed twice once."""
    for parameter, gradient in [(parameter, parameter.grad) for parameter in parameters]:
        parameter.grad = wrap(function(constant(gradient)))
