"""Optimisers that scale each entry's step by its gradients so far: Adam and its kin, Adagrad, RMSprop, Adafactor."""

from typing import Any, ClassVar

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError
from tinygrad_lite.foundation.settings import fractions, not_negative, number, positive, share, two
from tinygrad_lite.optim.descent import decayed
from tinygrad_lite.optim.optimizer import Optimizer, Parameters, State

_OF_ADAM = {"betas": fractions, "eps": not_negative, "weight_decay": not_negative}


def _decayed(w: Array, g: Array, weight_decay: float, decoupled_lr: float | None) -> tuple[Array, Array]:
    """The weight and the gradient after weight decay, which changes the weight itself if it is decoupled."""
    if not weight_decay or decoupled_lr is None:
        return w, decayed(g, w, weight_decay)
    return w * (1 - decoupled_lr * weight_decay), g


def _means(g: Array, state: State, betas: tuple[float, float]) -> tuple[Array, Array]:
    """The running means of g and g²."""
    beta1, beta2 = betas
    m = state.get("exp_avg", 0.0)
    m = m + (1 - beta1) * (g - m)
    v = beta2 * state.get("exp_avg_sq", 0.0) + (1 - beta2) * (g * g)
    state.update(exp_avg=m, exp_avg_sq=v)
    return m, v


class Adam(Optimizer):
    """Adam: w ← w - lr · m̂ / (√v̂ + ε), with m, v the running means of g, g², and m̂, v̂ their unbiased values.

    With `amsgrad`, v is the largest so far. Weight decay first adds λ w to the gradient; if it is decoupled, as in
    AdamW, it takes lr · λ w from the weights instead.
    Source: Kingma and Ba (2015), Adam: a method for stochastic optimization, algorithm 1; Reddi et al. (2018), On the
    convergence of Adam and beyond.

    Raises:
        InputError: if a setting is out of its range.

    Example:
        >>> import tinygrad_lite as tg
        >>> w = tg.tensor(1.0, requires_grad=True)
        >>> optimizer = tg.optim.Adam([w], lr=0.1)
        >>> (w * w).backward()
        >>> optimizer.step()
        >>> print(f"{w:.4f}")
        0.9000
    """

    ranges: ClassVar = _OF_ADAM

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            maximize=maximize,
            decoupled_weight_decay=decoupled_weight_decay,
        )

    def update(
        self,
        w: Array,
        g: Array,
        state: State,
        t: int,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        amsgrad: bool,
        decoupled_weight_decay: bool,
    ) -> Array:
        beta1, beta2 = betas
        w, g = _decayed(w, g, weight_decay, lr if decoupled_weight_decay else None)
        m, v = _means(g, state, betas)
        if amsgrad:
            v = np.maximum(state.get("max_exp_avg_sq", 0.0), v)
            state["max_exp_avg_sq"] = v
        denominator = np.sqrt(v) / (1 - beta2**t) ** 0.5 + eps
        return w - lr / (1 - beta1**t) * (m / denominator)


class AdamW(Adam):
    """Adam with decoupled weight decay: w ← w - lr · λ w before each of Adam's updates.

    Source: Loshchilov and Hutter (2019), Decoupled weight decay regularization, algorithm 2.

    Raises:
        InputError: if a setting is out of its range.

    Example:
        >>> import tinygrad_lite as tg
        >>> w = tg.tensor(1.0, requires_grad=True)
        >>> optimizer = tg.optim.AdamW([w], lr=0.1)
        >>> (w * w).backward()
        >>> optimizer.step()
        >>> print(f"{w:.4f}")
        0.8990
    """

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True)


class Lion(Optimizer):
    """The sign of a momentum: w ← w - lr · (sign(β₁ m + (1 - β₁) g) + λ w), and then m ← β₂ m + (1 - β₂) g.

    Each entry moves by lr, so that rates are a third to a tenth of Adam's. PyTorch has no such optimiser; names and
    defaults are those of the package lion-pytorch.
    Source: Chen et al. (2023), Symbolic discovery of optimization algorithms, algorithm 2.

    Raises:
        InputError: if a setting is out of its range.

    Example:
        >>> import tinygrad_lite as tg
        >>> w = tg.tensor(1.0, requires_grad=True)
        >>> optimizer = tg.optim.Lion([w], lr=0.1)
        >>> (w * w).backward()
        >>> optimizer.step()
        >>> print(f"{w:.1f}")
        0.9
    """

    ranges: ClassVar = {"betas": fractions, "weight_decay": not_negative}

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas=betas, weight_decay=weight_decay, maximize=maximize)

    def update(
        self, w: Array, g: Array, state: State, lr: float, betas: tuple[float, float], weight_decay: float
    ) -> Array:
        beta1, beta2 = betas
        m = state.get("exp_avg", 0.0)
        state["exp_avg"] = beta2 * m + (1 - beta2) * g
        return w * (1 - lr * weight_decay) - lr * np.sign(beta1 * m + (1 - beta1) * g)


class NAdam(Optimizer):
    """Adam with Nesterov momentum: w ← w - lr · (μ' m / (1 - Π μ') + (1 - μ) g / (1 - Π μ)) / (√v̂ + ε).

    μ = β₁ (1 - 0.96^(t ψ) / 2) grows with t towards β₁, μ' is its next value, and Π the product of all up to it. ψ is
    `momentum_decay`. Weight decay as in Adam.
    Source: Dozat (2016), Incorporating Nesterov momentum into Adam.

    Raises:
        InputError: if a setting is out of its range.

    Example:
        >>> import tinygrad_lite as tg
        >>> w = tg.tensor(1.0, requires_grad=True)
        >>> optimizer = tg.optim.NAdam([w], lr=0.1)
        >>> (w * w).backward()
        >>> optimizer.step()
        >>> print(f"{w:.4f}")
        0.8944
    """

    ranges: ClassVar = {**_OF_ADAM, "momentum_decay": not_negative}

    def __init__(
        self,
        params: Parameters,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            momentum_decay=momentum_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
        )

    def update(
        self,
        w: Array,
        g: Array,
        state: State,
        t: int,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        momentum_decay: float,
        decoupled_weight_decay: bool,
    ) -> Array:
        beta1, beta2 = betas
        w, g = _decayed(w, g, weight_decay, lr if decoupled_weight_decay else None)
        mu = beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))
        next_mu = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
        product = state.get("mu_product", 1.0) * mu
        state["mu_product"] = product
        m, v = _means(g, state, betas)
        denominator = np.sqrt(v / (1 - beta2**t)) + eps
        w = w - lr * (1 - mu) / (1 - product) * (g / denominator)
        return w - lr * next_mu / (1 - product * next_mu) * (m / denominator)


class RAdam(Optimizer):
    """Adam with a rectified rate: w ← w - lr · r · m̂ / (√v̂ + ε), or w - lr · m̂ as long as v̂ is not to be trusted.

    ρ = ρ∞ - 2 t β₂^t / (1 - β₂^t), with ρ∞ = 2 / (1 - β₂) - 1, is the number of steps that v̂ is a mean of. Above 5,
    r = √((ρ - 4) (ρ - 2) ρ∞ / ((ρ∞ - 4) (ρ∞ - 2) ρ)). Weight decay as in Adam. As in PyTorch, ε is added to √v.
    Source: Liu et al. (2020), On the variance of the adaptive learning rate and beyond, algorithm 2.

    Raises:
        InputError: if a setting is out of its range.

    Example:
        >>> import tinygrad_lite as tg
        >>> w = tg.tensor(1.0, requires_grad=True)
        >>> optimizer = tg.optim.RAdam([w], lr=0.1)
        >>> (w * w).backward()
        >>> optimizer.step()
        >>> print(f"{w:.4f}")
        0.8000
    """

    ranges: ClassVar = _OF_ADAM

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            decoupled_weight_decay=decoupled_weight_decay,
            maximize=maximize,
        )

    def update(
        self,
        w: Array,
        g: Array,
        state: State,
        t: int,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        decoupled_weight_decay: bool,
    ) -> Array:
        beta1, beta2 = betas
        w, g = _decayed(w, g, weight_decay, lr if decoupled_weight_decay else None)
        m, v = _means(g, state, betas)
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * t * beta2**t / (1 - beta2**t)
        rho, limit = np.maximum(length, 5.0).item(), np.maximum(longest, 5.0).item()  # the formula holds above 5
        r = ((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho)) ** 0.5
        scale = np.where(length > 5, r * (1 - beta2**t) ** 0.5 / (np.sqrt(v) + eps), np.ones_like(v))
        return w - lr / (1 - beta1**t) * (m * scale)


class Adamax(Optimizer):
    """Adam with the largest gradient in place of the mean square: w ← w - lr · m̂ / u, with u ← max(β₂ u, |g| + ε).

    Weight decay first adds λ w to the gradient.
    Source: Kingma and Ba (2015), Adam: a method for stochastic optimization, algorithm 2.

    Raises:
        InputError: if a setting is out of its range.

    Example:
        >>> import tinygrad_lite as tg
        >>> w = tg.tensor(1.0, requires_grad=True)
        >>> optimizer = tg.optim.Adamax([w], lr=0.1)
        >>> (w * w).backward()
        >>> optimizer.step()
        >>> print(f"{w:.4f}")
        0.9000
    """

    ranges: ClassVar = _OF_ADAM

    def __init__(
        self,
        params: Parameters,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas=betas, eps=eps, weight_decay=weight_decay, maximize=maximize)

    def update(
        self,
        w: Array,
        g: Array,
        state: State,
        t: int,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
    ) -> Array:
        beta1, beta2 = betas
        g = decayed(g, w, weight_decay)
        m = state.get("exp_avg", 0.0)
        m = m + (1 - beta1) * (g - m)
        u = np.maximum(beta2 * state.get("exp_inf", 0.0), np.abs(g) + eps)
        state.update(exp_avg=m, exp_inf=u)
        return w - lr / (1 - beta1**t) * (m / u)


class Adagrad(Optimizer):
    """Adagrad: w ← w - η · g / (√s + ε), with s the sum of all g², and η = lr / (1 + (t - 1) · lr_decay).

    s begins at `initial_accumulator_value`. Weight decay first adds λ w to the gradient.
    Source: Duchi et al. (2011), Adaptive subgradient methods for online learning and stochastic optimization.

    Raises:
        InputError: if a setting is out of its range.

    Example:
        >>> import tinygrad_lite as tg
        >>> w = tg.tensor(1.0, requires_grad=True)
        >>> optimizer = tg.optim.Adagrad([w], lr=0.1)
        >>> (w * w).backward()
        >>> optimizer.step()
        >>> print(f"{w:.4f}")
        0.9000
    """

    ranges: ClassVar = dict.fromkeys(("lr_decay", "weight_decay", "initial_accumulator_value", "eps"), not_negative)

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
            maximize=maximize,
        )

    def update(
        self,
        w: Array,
        g: Array,
        state: State,
        t: int,
        lr: float,
        lr_decay: float,
        weight_decay: float,
        initial_accumulator_value: float,
        eps: float,
    ) -> Array:
        g = decayed(g, w, weight_decay)
        total = state.get("sum", initial_accumulator_value) + g * g
        state["sum"] = total
        return w - lr / (1 + (t - 1) * lr_decay) * (g / (np.sqrt(total) + eps))


class Adadelta(Optimizer):
    """Adadelta: w ← w - lr · Δ, with Δ = g · √(u + ε) / √(v + ε), and v, u the running means of g², Δ².

    Weight decay first adds λ w to the gradient.
    Source: Zeiler (2012), ADADELTA: an adaptive learning rate method, algorithm 1.

    Raises:
        InputError: if a setting is out of its range.

    Example:
        >>> import tinygrad_lite as tg
        >>> w = tg.tensor(1.0, requires_grad=True)
        >>> optimizer = tg.optim.Adadelta([w])
        >>> (w * w).backward()
        >>> optimizer.step()
        >>> print(f"{w:.4f}")
        0.9968
    """

    ranges: ClassVar = {"rho": share, "eps": not_negative, "weight_decay": not_negative}

    def __init__(
        self,
        params: Parameters,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, rho=rho, eps=eps, weight_decay=weight_decay, maximize=maximize)

    def update(self, w: Array, g: Array, state: State, lr: float, rho: float, eps: float, weight_decay: float) -> Array:
        g = decayed(g, w, weight_decay)
        u = state.get("acc_delta", 0 * g)
        v = rho * state.get("square_avg", 0.0) + (1 - rho) * (g * g)
        delta = np.sqrt(u + eps) / np.sqrt(v + eps) * g
        u = rho * u + (1 - rho) * (delta * delta)
        state.update(square_avg=v, acc_delta=u)
        return w - lr * delta


class RMSprop(Optimizer):
    """RMSprop: w ← w - lr · g / (√v + ε), with v the running mean of g².

    With `centered`, v is less the square of the running mean of g. With momentum, the step is m ← μ m + g / (√v + ε).
    Weight decay first adds λ w to the gradient.
    Source: Tieleman and Hinton (2012), Lecture 6.5: rmsprop; centered as in Graves (2013), eq. 38 to 45.

    Raises:
        InputError: if a setting is out of its range.

    Example:
        >>> import tinygrad_lite as tg
        >>> w = tg.tensor(1.0, requires_grad=True)
        >>> optimizer = tg.optim.RMSprop([w], lr=0.01)
        >>> (w * w).backward()
        >>> optimizer.step()
        >>> print(f"{w:.4f}")
        0.9000
    """

    ranges: ClassVar = dict.fromkeys(("alpha", "eps", "weight_decay", "momentum"), not_negative)

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
            maximize=maximize,
        )

    def update(
        self,
        w: Array,
        g: Array,
        state: State,
        lr: float,
        alpha: float,
        eps: float,
        weight_decay: float,
        momentum: float,
        centered: bool,
    ) -> Array:
        g = decayed(g, w, weight_decay)
        v = alpha * state.get("square_avg", 0.0) + (1 - alpha) * (g * g)
        state["square_avg"] = v
        if centered:
            mean = state.get("grad_avg", 0.0)
            mean = mean + (1 - alpha) * (g - mean)
            state["grad_avg"] = mean
            v = v - mean * mean
        step = g / (np.sqrt(v) + eps)
        if momentum:
            step = momentum * state.get("momentum_buffer", 0.0) + step
            state["momentum_buffer"] = step
        return w - lr * step


def _epsilons(name: str, values: Any) -> tuple[float | None, float]:
    first, second = two(name, values, "(None, 1e-3)")
    return None if first is None else not_negative(f"{name}[0]", first), not_negative(f"{name}[1]", second)


def _not_positive(name: str, value: Any) -> float:
    if not number(name, value) <= 0:
        raise InputError(f"{name} must not be positive, got {value!r}")
    return float(value)


class Adafactor(Optimizer):
    """RMSprop with the mean squares of a matrix's rows and columns: w ← w - α · u / max(1, rms(u) / d).

    u = g / √v, where v of row i and column j is rᵢ cⱼ / mean(r), with r, c the running means of g² over rows, columns,
    of which 1/t^-beta2_decay is new in step t; of a vector, v is the running mean itself. α = max(ε₂, rms(w)) · min(lr,
    1/√t) makes steps relative to the weights. Before, weight decay takes lr · λ w from these.
    Source: Shazeer and Stern (2018), Adafactor: adaptive learning rates with sublinear memory cost, as in PyTorch.

    Raises:
        InputError: if a setting is out of its range.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> w = tg.tensor(np.ones((2, 3)), requires_grad=True)
        >>> optimizer = tg.optim.Adafactor([w], lr=0.1)
        >>> np.sum(w * w).backward()
        >>> optimizer.step()
        >>> print(f"{w[0, 0]:.4f}")
        0.9000
    """

    ranges: ClassVar = {"beta2_decay": _not_positive, "eps": _epsilons, "d": positive, "weight_decay": not_negative}

    def __init__(
        self,
        params: Parameters,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, lr, beta2_decay=beta2_decay, eps=eps, d=d, weight_decay=weight_decay, maximize=maximize
        )

    def update(
        self,
        w: Array,
        g: Array,
        state: State,
        t: int,
        lr: float,
        beta2_decay: float,
        eps: tuple[float | None, float],
        d: float,
        weight_decay: float,
    ) -> Array:
        eps1 = float(np.finfo(w.dtype).eps) if eps[0] is None else eps[0]
        new = t**beta2_decay
        scale = np.maximum(_rms(w), eps[1])
        alpha = np.minimum(scale * lr, scale / t**0.5)
        w, g = _decayed(w, g, weight_decay, lr)
        square = g * g
        if g.ndim > 1:
            r, c = state.get("row_var", 0.0), state.get("col_var", 0.0)
            r = r + new * (np.mean(square, axis=-1, keepdims=True) - r)
            c = c + new * (np.mean(square, axis=-2, keepdims=True) - c)
            state.update(row_var=r, col_var=c)
            v = r * c / np.maximum(np.mean(r, axis=-2, keepdims=True), eps1)
        else:
            v = state.get("variance", 0.0)
            v = v + new * (square - v)
            state["variance"] = v
        u = g / np.sqrt(np.maximum(v, eps1**2))
        return w - alpha / np.maximum(1.0, _rms(u) / d) * u


def _rms(x: Array) -> Array:
    return np.sqrt(np.mean(x * x))
