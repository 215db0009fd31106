"""Optimisers whose step follows the gradient's size, or has a size of its own: SGD, ASGD, Rprop and Muon."""

from functools import partial
from typing import Any, ClassVar

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError
from tinygrad_lite.foundation.settings import finite, not_negative, positive, two, whole
from tinygrad_lite.ops.casting import bfloat16
from tinygrad_lite.optim.optimizer import Group, Optimizer, Parameters, State


def decayed(g: Array, w: Array, weight_decay: float) -> Array:
    """The gradient with weight decay: g + λ w."""
    return g + weight_decay * w if weight_decay else g


class SGD(Optimizer):
    """Stochastic gradient descent: w ← w - lr · g, with momentum m ← μ m + (1 - τ) g in place of g.

    The first m is g. Nesterov momentum uses g + μ m; weight decay first adds λ w to the gradient. τ is `dampening`.
    Source: Sutskever et al. (2013), The importance of initialization and momentum in deep learning, as in PyTorch.

    Raises:
        InputError: if a setting is out of its range, or `nesterov` is set without momentum or with dampening.

    Example:
        >>> import tinygrad_lite as tg
        >>> w = tg.tensor(1.0, requires_grad=True)
        >>> optimizer = tg.optim.SGD([w], lr=0.1, momentum=0.9)
        >>> for _ in range(2):
        ...     optimizer.zero_grad()
        ...     (w * w).backward()
        ...     optimizer.step()
        >>> print(f"{w:.2f}")
        0.46
    """

    ranges: ClassVar = {"momentum": not_negative, "dampening": finite, "weight_decay": not_negative}

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            maximize=maximize,
        )

    def _check_group(self, group: Group) -> None:
        if group["nesterov"] and (not group["momentum"] or group["dampening"]):
            raise InputError("nesterov needs momentum, such as momentum=0.9, and no dampening")

    def update(
        self,
        w: Array,
        g: Array,
        state: State,
        lr: float,
        momentum: float,
        dampening: float,
        weight_decay: float,
        nesterov: bool,
    ) -> Array:
        if weight_decay:
            g = g + weight_decay * w
        if momentum:
            added = (1 - dampening) * g if dampening else g
            m = momentum * state["momentum_buffer"] + added if "momentum_buffer" in state else g
            state["momentum_buffer"] = m
            g = g + momentum * m if nesterov else m
        return w + -lr * g  # a sum, since NumPy reuses the product's memory for it


class ASGD(Optimizer):
    """Averaged gradient descent: w ← (1 - λ η) w - η g with η = lr / (1 + λ lr t)^α, and a ← a + μ (w - a).

    The average a of the weights, in `optimizer.state[w]["ax"]`, is w itself until t₀, and the mean from then on, with
    μ = 1 / max(1, t - t₀). λ is `lambd`. Weight decay first adds its share of w to the gradient.
    Source: Polyak and Juditsky (1992), Acceleration of stochastic approximation by averaging, as in PyTorch.

    Raises:
        InputError: if a setting is out of its range.

    Example:
        >>> import tinygrad_lite as tg
        >>> w = tg.tensor(1.0, requires_grad=True)
        >>> optimizer = tg.optim.ASGD([w], lr=0.1)
        >>> (w * w).backward()
        >>> optimizer.step()
        >>> print(f"{w:.3f}")
        0.800
    """

    ranges: ClassVar = dict.fromkeys(("lambd", "alpha", "t0", "weight_decay"), not_negative)

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, lambd=lambd, alpha=alpha, t0=t0, weight_decay=weight_decay, maximize=maximize)

    def update(
        self,
        w: Array,
        g: Array,
        state: State,
        t: int,
        lr: float,
        lambd: float,
        alpha: float,
        t0: float,
        weight_decay: float,
    ) -> Array:
        g = decayed(g, w, weight_decay)
        eta, mu, average = state.get("eta", lr), state.get("mu", 1.0), state.get("ax", 0.0)
        w = w * (1 - lambd * eta) - eta * g
        average = average + mu * (w - average)
        next_eta = lr / (1 + lambd * lr * t) ** alpha
        next_mu = 1 / np.maximum(1.0, t - t0).item()
        state.update(eta=next_eta, mu=next_mu, ax=average)
        return w


def _etas(name: str, values: Any) -> tuple[float, float]:
    shrink, grow = (positive(name, x) for x in two(name, values, "(0.5, 1.2)"))
    if not shrink < 1 < grow:
        raise InputError(f"{name} must be a number below 1 and one above it, such as (0.5, 1.2); got {values!r}")
    return shrink, grow


def _sizes(name: str, values: Any) -> tuple[float, float]:
    smallest, largest = two(name, values, "(1e-6, 50)")
    return not_negative(name, smallest), not_negative(name, largest)


class Rprop(Optimizer):
    """Resilient propagation: w ← w - s · sign(g), where each entry has a step size s of its own, at first lr.

    s grows by η⁺ as long as the gradient keeps its sign, and shrinks by η⁻ when the sign changes; then g counts as 0.
    `etas` are η⁻ and η⁺, `step_sizes` the smallest and the largest s.
    Source: Riedmiller and Braun (1993), A direct adaptive method for faster backpropagation learning, as in PyTorch.

    Raises:
        InputError: if a setting is out of its range.

    Example:
        >>> import tinygrad_lite as tg
        >>> w = tg.tensor(1.0, requires_grad=True)
        >>> optimizer = tg.optim.Rprop([w], lr=0.1)
        >>> (w * w).backward()
        >>> optimizer.step()
        >>> print(f"{w:.3f}")
        0.900
    """

    ranges: ClassVar = {"etas": _etas, "step_sizes": _sizes}

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, etas=etas, step_sizes=step_sizes, maximize=maximize)

    def update(
        self,
        w: Array,
        g: Array,
        state: State,
        lr: float,
        etas: tuple[float, float],
        step_sizes: tuple[float, float],
    ) -> Array:
        shrink, grow = etas
        agreement = g * state.get("prev", 0.0)
        factor = np.where(agreement > 0, grow, np.where(agreement < 0, shrink, np.ones_like(g)))
        size = np.clip(state.get("step_size", lr) * factor, *step_sizes)
        g = np.where(agreement < 0, 0.0, g)
        state.update(prev=g, step_size=size)
        return w - np.sign(g) * size


def _coefficients(name: str, values: Any) -> tuple[float, ...]:
    """The values, if they are three numbers."""
    if not isinstance(values, (tuple, list)) or len(values) != 3:
        raise InputError(f"{name} must be three numbers, got {values!r}")
    return tuple(finite(f"{name}[{i}]", value) for i, value in enumerate(values))


def _adjustment(name: str, value: Any) -> str | None:
    if not isinstance(value, str | None) or value not in (None, "original", "match_rms_adamw"):
        raise InputError(f"{name} must be None, 'original' or 'match_rms_adamw'; got {value!r}")
    return value


class Muon(Optimizer):
    """Momentum, orthogonalised: w ← (1 - lr λ) w - lr' · U, for matrices w.

    U has the singular vectors of m ← μ m + (1 - μ) g, or with `nesterov` of μ m + (1 - μ) g once more, and singular
    values near 1. Newton and Schulz's iteration X ← a X + (b X Xᵀ + c (X Xᵀ)²) X finds it; it is computed in
    bfloat16's 8 binary digits, as in PyTorch. lr' is lr · √max(1, rows/columns), or with "match_rms_adamw" as
    `adjust_lr_fn` lr · 0.2 √max(rows, columns), so that a step is as long as one of AdamW's.
    Source: Jordan et al. (2024), Muon: an optimizer for hidden layers in neural networks; Liu et al. (2025), Muon is
    scalable for LLM training.

    Raises:
        InputError: if a setting is out of its range, or a parameter is not a matrix.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> w = tg.tensor(np.eye(2), requires_grad=True)
        >>> optimizer = tg.optim.Muon([w], lr=0.1)
        >>> np.sum(w * w).backward()
        >>> optimizer.step()
        >>> print(f"{w[0, 0]:.2f}")
        0.88
    """

    ranges: ClassVar = {
        "weight_decay": not_negative,
        "momentum": not_negative,
        "ns_coefficients": _coefficients,
        "eps": not_negative,
        "ns_steps": partial(whole, least=0),
        "adjust_lr_fn": _adjustment,
    }

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            weight_decay=weight_decay,
            momentum=momentum,
            nesterov=nesterov,
            ns_coefficients=ns_coefficients,
            eps=eps,
            ns_steps=ns_steps,
            adjust_lr_fn=adjust_lr_fn,
        )

    def _check_group(self, group: Group) -> None:
        for parameter in group["params"]:
            if parameter.ndim != 2:
                raise InputError(
                    f"Muon is for matrices: give the parameter of shape {parameter.shape} to another optimiser"
                )

    def update(
        self,
        w: Array,
        g: Array,
        state: State,
        lr: float,
        weight_decay: float,
        momentum: float,
        nesterov: bool,
        ns_coefficients: tuple[float, float, float],
        eps: float,
        ns_steps: int,
        adjust_lr_fn: str | None,
    ) -> Array:
        m = state.get("momentum_buffer", 0.0)
        m = m + (1 - momentum) * (g - m)
        state["momentum_buffer"] = m
        if nesterov:
            m = m - (1 - momentum) * (m - g)
        rows, columns = w.shape
        if adjust_lr_fn == "match_rms_adamw":
            adjusted = lr * 0.2 * max(rows, columns) ** 0.5
        else:
            adjusted = lr * max(1, rows / columns) ** 0.5
        u = _orthogonalised(m, ns_coefficients, eps, ns_steps).astype(w.dtype)
        return w * (1 - lr * weight_decay) - adjusted * u


def _orthogonalised(m: Array, coefficients: tuple[float, float, float], eps: float, steps: int) -> Array:
    """A matrix with the singular vectors of m and singular values near 1, by Newton and Schulz's iteration."""
    a, b, c = np.array(coefficients, np.float32).tolist()
    is_tall = m.shape[0] > m.shape[1]
    x = bfloat16(m.T if is_tall else m)
    x = bfloat16(x / np.maximum(bfloat16(np.sqrt(np.sum(x * x))), eps))
    for _ in range(steps):
        gram = bfloat16(x @ x.T)
        polynomial = bfloat16(
            b * gram.astype(np.float64) + c * (gram @ gram)
        )  # added before it is rounded, as fma does
        x = bfloat16(a * x.astype(np.float64) + polynomial @ x)
    return x.T if is_tall else x
