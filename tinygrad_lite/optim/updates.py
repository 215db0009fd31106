"""The optimisers: each is its update formula, in PyTorch's order of operations."""

from collections.abc import Iterable

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError
from tinygrad_lite.optim.optimizer import Optimizer, fraction, not_negative, positive


class SGD(Optimizer):
    """Stochastic gradient descent: w ← w - lr · g, with momentum m ← μ m + g in place of g.

    Nesterov momentum uses g + μ m; weight decay first adds λ w to the gradient.
    Source: Sutskever et al. (2013), The importance of initialization and momentum in deep learning, as in PyTorch.

    Raises:
        InputError: if a setting is out of its range, or `nesterov` is set without momentum.

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

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr)
        self.momentum = not_negative("momentum", momentum)
        self.weight_decay = not_negative("weight_decay", weight_decay)
        self.nesterov = nesterov
        if nesterov and not momentum:
            raise InputError("nesterov needs momentum, such as momentum=0.9")

    def update(self, w: Array, g: Array, state: dict[str, Array]) -> Array:
        if self.weight_decay:
            g = g + self.weight_decay * w
        if self.momentum:
            m = self.momentum * state["momentum"] + g if "momentum" in state else g
            state["momentum"] = m
            g = g + self.momentum * m if self.nesterov else m
        return w + -self.lr * g  # a sum, since NumPy reuses the product's memory for it


class Adam(Optimizer):
    """Adam: w ← w - lr · m̂ / (√v̂ + ε), with m, v the running means of g, g², and m̂, v̂ their unbiased values.

    Weight decay first adds λ w to the gradient.
    Source: Kingma and Ba (2015), Adam: a method for stochastic optimization, algorithm 1.

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

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr)
        if np.shape(betas) != (2,):
            raise InputError(f"betas must be two numbers, such as (0.9, 0.999); got {betas!r}")
        self.betas = (fraction("betas[0]", betas[0]), fraction("betas[1]", betas[1]))
        self.eps = positive("eps", eps)
        self.weight_decay = not_negative("weight_decay", weight_decay)

    def update(self, w: Array, g: Array, state: dict[str, Array]) -> Array:
        if self.weight_decay:
            g = g + self.weight_decay * w
        return self._adam(w, g, state)

    def _adam(self, w: Array, g: Array, state: dict[str, Array]) -> Array:
        mean_decay, square_decay = self.betas
        t = state.get("step", 0) + 1
        m = state.get("mean", 0.0)
        m = m + (1 - mean_decay) * (g - m)
        v = square_decay * state.get("square", 0.0) + (1 - square_decay) * (g * g)
        state.update(step=t, mean=m, square=v)
        denominator = np.sqrt(v) / (1 - square_decay**t) ** 0.5 + self.eps
        return w - self.lr / (1 - mean_decay**t) * (m / denominator)


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
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def update(self, w: Array, g: Array, state: dict[str, Array]) -> Array:
        return self._adam(w * (1 - self.lr * self.weight_decay), g, state)


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

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(parameters, lr)
        self.alpha = fraction("alpha", alpha)
        self.eps = positive("eps", eps)
        self.weight_decay = not_negative("weight_decay", weight_decay)
        self.momentum = not_negative("momentum", momentum)
        self.centered = centered

    def update(self, w: Array, g: Array, state: dict[str, Array]) -> Array:
        if self.weight_decay:
            g = g + self.weight_decay * w
        v = self.alpha * state.get("square", 0.0) + (1 - self.alpha) * (g * g)
        state["square"] = v
        if self.centered:
            mean = state.get("mean", 0.0)
            mean = mean + (1 - self.alpha) * (g - mean)
            state["mean"] = mean
            v = v - mean * mean
        step = g / (np.sqrt(v) + self.eps)
        if self.momentum:
            step = self.momentum * state.get("momentum", 0.0) + step
            state["momentum"] = step
        return w - self.lr * step
