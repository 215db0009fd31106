"""L-BFGS: a quasi-Newton method that computes the loss several times in a step."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np

from tinygrad_lite.engine import grad_mode
from tinygrad_lite.engine.conversions import constant
from tinygrad_lite.engine.op import Array, Traced
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.foundation.settings import check_list, not_negative, number, whole
from tinygrad_lite.optim.optimizer import Group, Optimizer, Parameters, State, numbers_in
from tinygrad_lite.optim.strong_wolfe import LineSearch, Point


class LBFGS(Optimizer):
    """L-BFGS: up to `max_iter` times in a step, w ← w + t · d, where d = -H g, and H follows from the last changes.

    H is the inverse of a Hessian that maps the last `history_size` changes of w to those of the gradient. The length t
    is lr, or with line_search_fn="strong_wolfe" one that meets the strong Wolfe conditions. `step(closure)` needs a
    function that sets the gradients to None, computes the loss, calls its `backward` and returns it. It may be
    compiled; the step itself cannot, since it decides in Python how far to go.
    Source: Nocedal and Wright (2006), Numerical optimization, algorithm 7.4, as in PyTorch.

    Raises:
        InputError: if a setting is out of its range, or there are several groups of parameters.

    Example:
        >>> import tinygrad_lite as tg
        >>> w = tg.tensor(1.0, requires_grad=True)
        >>> optimizer = tg.optim.LBFGS([w], line_search_fn="strong_wolfe")
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (w * w - 2) ** 2
        ...     loss.backward()
        ...     return loss
        >>> loss = optimizer.step(closure)
        >>> print(f"{w:.6f}")
        1.414214
    """

    ranges: ClassVar = {
        **dict.fromkeys(("max_iter", "max_eval", "history_size"), whole),
        **dict.fromkeys(("tolerance_grad", "tolerance_change"), not_negative),
    }

    def __init__(
        self,
        params: Parameters,
        lr: float = 1.0,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        if line_search_fn not in (None, "strong_wolfe"):
            raise InputError(f"line_search_fn must be None or 'strong_wolfe', got {line_search_fn!r}")
        super().__init__(
            params,
            lr,
            max_iter=max_iter,
            max_eval=whole("max_iter", max_iter) * 5 // 4 if max_eval is None else max_eval,
            tolerance_grad=tolerance_grad,
            tolerance_change=tolerance_change,
            history_size=history_size,
            line_search_fn=line_search_fn,
        )

    def add_param_group(self, param_group: Group) -> None:
        if self.param_groups:
            raise InputError("LBFGS has one group of parameters, since its direction comes from all of them together")
        super().add_param_group(param_group)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Go `max_iter` times along a new direction; return the loss that the first call of the closure returns."""
        if closure is None:
            raise UsageError("LBFGS computes the loss several times in a step: pass step a closure that does it")
        compute = grad_mode.enable_grad()(closure)
        first_loss = compute()
        if first_loss is None:
            raise UsageError("LBFGS needs the loss that its closure computes, and got None: end it with `return loss`")
        if isinstance(getattr(first_loss, "data", None), Traced):
            raise UsageError("LBFGS decides in Python how far to go: compile its closure instead of its step")
        group, kept = self.param_groups[0], self.state[self.parameters[0]]
        state = {"func_evals": 0, "n_iter": 0, **kept}
        loss = number("the loss that LBFGS's closure returns", first_loss)
        g = self._gradient()
        state["func_evals"] += 1
        if np.max(np.abs(g)) > group["tolerance_grad"]:
            self._descend(compute, group, state, loss, g)
        kept.update(state)
        return first_loss

    def _descend(self, compute: Callable[[], Any], group: Group, state: dict[str, Any], loss: float, g: Array) -> None:
        evaluations: int = 1
        d: Any = state.get("d")
        t: Any = state.get("t")
        for i in range(1, group["max_iter"] + 1):
            d, t = _next_direction(g, d, t, group, state)
            previous, slope = loss, float(g @ d)
            state.update(d=d, t=t, prev_flat_grad=g, prev_loss=loss)
            if slope > -group["tolerance_change"]:
                break
            start = [parameter.data for parameter in self.parameters]
            evaluate = partial(self._evaluated, compute, start, d)
            used = 0
            if group["line_search_fn"] is not None:
                most = group["max_eval"] - evaluations
                search = LineSearch(evaluate, d, Point(0.0, loss, g, slope), group["tolerance_change"], most)
                t, loss, g, _ = search.search(t)
                used = search.evaluations
                self._move(start, t * d)
            elif i < group["max_iter"]:
                loss, g = evaluate(t)
                used = 1
            else:
                self._move(start, t * d)
            state["t"] = t
            evaluations += used
            state["func_evals"] += used
            if (
                evaluations >= group["max_eval"]
                or np.max(np.abs(g)) <= group["tolerance_grad"]
                or np.max(np.abs(d * t)) <= group["tolerance_change"]
                or abs(loss - previous) < group["tolerance_change"]
            ):
                break

    def _evaluated(self, compute: Callable[[], Any], start: list[Array], d: Array, t: float) -> tuple[float, Array]:
        """The loss and the gradient at a length along a direction; the parameters stay there."""
        self._move(start, t * d)
        return float(compute()), self._gradient()

    def _gradient(self) -> Array:
        """The gradient of all parameters, one after another; zero where there is none."""
        gradients = [
            np.zeros(w.size, w.dtype) if w.grad is None else np.ravel(constant(w.grad)) for w in self.parameters
        ]
        return np.concatenate(gradients)

    def _move(self, start: list[Array], change: Array) -> None:
        """Set the parameters to where they started, plus a change."""
        ends = np.cumsum([parameter.size for parameter in self.parameters])[:-1]
        for parameter, w, part in zip(self.parameters, start, np.split(change, ends)):
            parameter.replace((w + part.reshape(w.shape)).astype(w.dtype))

    def _own(self, name: str, value: Any, parameter: Tensor) -> Any:
        if name in _HISTORIES:
            check_list(name, value)
            return [self._entry(name, x) for x in value]
        return value if name not in _KEPT else self._entry(name, value)

    def _entry(self, name: str, value: Any) -> Any:
        array, wanted = numbers_in(name, value), (sum(w.size for w in self.parameters),) if name in _VECTORS else ()
        if array.shape != wanted:
            raise ShapeError(f"{name} must have the shape {wanted}, got {array.shape}")
        return array if array.ndim else array.item()

    def _try(self, groups: list[Group], states: Mapping[Tensor, State]) -> None:
        kept = states[self.parameters[0]]
        if kept.get("n_iter") and (missing := [name for name in _KEPT if name not in kept]):
            raise InputError(f"the state has no {missing[0]}, which LBFGS keeps")


_VECTORS = frozenset(("d", "old_dirs", "old_stps", "prev_flat_grad"))
_HISTORIES = frozenset(("old_dirs", "old_stps", "ro"))
_KEPT = ("func_evals", "n_iter", "d", "t", "old_dirs", "old_stps", "ro", "H_diag", "prev_flat_grad", "prev_loss")
"""The entries of a state; those that are vectors of all parameters, or lists over the last steps."""


def _next_direction(g: Array, d: Array, t: Any, group: Group, state: dict[str, Any]) -> tuple[Array, Any]:
    """The direction from a point with gradient g, and the length to try first, after a step t · d."""
    state["n_iter"] += 1
    if state["n_iter"] == 1:
        state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
        return -g, min(1.0, 1 / float(np.sum(np.abs(g)))) * group["lr"]
    _remember(state, g - state["prev_flat_grad"], d * t, group["history_size"])
    return _direction(g, state), group["lr"]


def _remember(state: dict[str, Any], y: Array, s: Array, size: int) -> None:
    """Keep a change of the gradient, y, with the change s of the parameters, if they show a positive curvature."""
    curvature = float(y @ s)
    if curvature > 1e-10:
        for name, value in (("old_dirs", y), ("old_stps", s), ("ro", 1 / curvature)):
            state[name] = [*state[name], value][-size:]
        state["H_diag"] = curvature / float(y @ y)


def _direction(g: Array, state: dict[str, Any]) -> Array:
    """-H g, by a loop back and a loop forth over the changes that H follows from."""
    changes = list(zip(state["old_dirs"], state["old_stps"], state["ro"]))
    q, shares = -g, []
    for y, s, rho in reversed(changes):
        share = float(s @ q) * rho
        q = q - share * y
        shares.append(share)
    r = q * state["H_diag"]
    for (y, s, rho), share in zip(changes, reversed(shares)):
        r = r + s * (share - float(y @ r) * rho)
    return r
