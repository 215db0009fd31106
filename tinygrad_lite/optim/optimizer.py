"""The base of all optimisers: the parameters, a state for each, and the step that updates them all."""

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_lite.engine import registry
from tinygrad_lite.engine.backward import widened
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError, ShapeError, UsageError, warn


class Optimizer:
    """Updates parameters from their gradients by a formula. A subclass defines the formula, `update`.

    Attributes:
        varying: the names of the settings that a compiled step reads again in each run; a schedule changes lr.

    Example:
        >>> import tinygrad_lite as tg
        >>> class SignDescent(tg.optim.Optimizer):
        ...     def update(self, w, g, state):
        ...         return w - self.lr * np.sign(g)
        >>> w = tg.tensor(1.0, requires_grad=True)
        >>> optimizer = SignDescent([w], lr=0.5)
        >>> (w * 3).backward()
        >>> optimizer.step()
        >>> w
        tensor(0.5, requires_grad=True)
    """

    varying: tuple[str, ...] = ("lr",)

    def __init__(self, parameters: Iterable[Tensor], lr: float) -> None:
        self.parameters = _checked(parameters)
        self.lr = positive("lr", lr)
        self.state: list[dict[str, Array]] = [{} for _ in self.parameters]

    def update(self, w: Array, g: Array, state: dict[str, Array]) -> Array:
        """The new value of a parameter w with gradient g; it may read and write w's own `state`, empty at first."""
        raise UsageError(f"{type(self).__name__} defines no update(self, w, g, state)")

    def step(self) -> None:
        """Update each parameter that has a gradient; warn about parameters without one, and about a widened dtype."""
        self._warn_of_wider_numbers()
        without = []
        for i, (parameter, state) in enumerate(zip(self.parameters, self.state, strict=True)):
            gradient = parameter.grad
            if gradient is not None:
                w = parameter.data
                updated = self.update(w, gradient.data, state)
                if getattr(updated, "shape", None) != w.shape:
                    raise ShapeError(f"update returned {updated!r} for a parameter of shape {w.shape}")
                parameter.replace(updated if updated.dtype == w.dtype else updated.astype(w.dtype))
            elif parameter.requires_grad:
                without.append(parameter.name or f"number {i} of shape {parameter.shape}")
        if without:
            warnings.warn(
                f"{type(self).__name__}.step(): no gradient for parameter {', '.join(without)}, which stays as it is: "
                "either the loss does not depend on it, or backward() did not run",
                stacklevel=2,
            )

    def _warn_of_wider_numbers(self) -> None:
        op, narrow, wide = widened.get() or (None, None, None)
        if op is not None and op is not registry.operation("cast") and any(p.dtype == narrow for p in self.parameters):
            warn(
                f"{type(self).__name__}.step(): the parameters are {narrow}, but {op} computed in {wide}, the dtype of "
                f"its other argument, such as np.sqrt(8), a target or a first state. Convert that argument, as in "
                f"np.{narrow}(x); tg.audit_gradients(model, lambda: loss) names the line"
            )

    def zero_grad(self) -> None:
        """Set `.grad` of each parameter to None."""
        for parameter in self.parameters:
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """The settings, and the arrays in the state of each parameter, in order."""
        return {"settings": self._settings(), "state": [dict(state) for state in self.state]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `state_dict` returned.

        Raises:
            InputError: if the optimiser's kind or its number of parameters differs; nothing changes then.
            ShapeError: if the shape of a parameter differs; nothing changes then.
        """
        if not {"settings", "state"} <= set(state):
            raise InputError(f"an optimiser's state must have the entries settings and state, got {', '.join(state)}")
        settings, states = state["settings"], state["state"]
        if settings.keys() != self._settings().keys() or len(states) != len(self.state):
            raise InputError(
                f"this state of {len(states)} parameters with settings {', '.join(settings)} does not fit "
                f"{type(self).__name__} of {len(self.state)} parameters with {', '.join(self._settings())}"
            )
        for parameter, arrays in zip(self.parameters, states, strict=True):
            for name, array in arrays.items():
                if np.shape(array) not in ((), parameter.shape):
                    raise ShapeError(f"{name} must have its parameter's shape {parameter.shape}, got {np.shape(array)}")
        vars(self).update(settings)
        self.state = [{name: _own(array) for name, array in arrays.items()} for arrays in states]

    def _settings(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("parameters", "state")}

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self._settings().items())
        return f"{type(self).__name__}({len(self.parameters)} parameters, {settings})"


def positive(name: str, value: float) -> float:
    """The value, if it is a positive number."""
    if not 0 < _number(name, value) < np.inf:
        raise InputError(f"{name} must be positive, got {value!r}")
    return float(value)


def not_negative(name: str, value: float) -> float:
    """The value, if it is zero or a positive number."""
    if not 0 <= _number(name, value) < np.inf:
        raise InputError(f"{name} must not be negative, got {value!r}")
    return float(value)


def fraction(name: str, value: float) -> float:
    """The value, if it lies in [0, 1)."""
    if not 0 <= _number(name, value) < 1:
        raise InputError(f"{name} must lie in [0, 1), got {value!r}")
    return float(value)


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise UsageError(f"{name} must be a number, got {value!r}") from None


def _own(value: Array) -> Array:
    """A copy of an entry of a state, as the update formulas make it: an array, or for a count a Python number."""
    array = np.array(value)[()]
    return int(array) if array.dtype.kind in "iu" else array


def _checked(parameters: Iterable[Tensor]) -> list[Tensor]:
    if isinstance(parameters, Tensor) or not isinstance(parameters, Iterable):
        raise UsageError(f"parameters must be an iterable of tensors, such as model.parameters(); got {parameters!r}")
    checked = list(parameters)
    if not checked:
        raise InputError("no parameters to optimise: the model has no tensor that requires a gradient")
    for parameter in checked:
        if not isinstance(parameter, Tensor):
            raise UsageError(f"parameters must be tensors, such as model.parameters(); got {type(parameter).__name__}")
        if not parameter.is_leaf or parameter._requires_grad is False:
            raise UsageError(f"parameters must be leaves with requires_grad=True; got {parameter!r}")
    if len(set(checked)) < len(checked):
        raise InputError("a parameter appears twice, and each step would update it twice: pass it once")
    return checked
