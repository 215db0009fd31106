"""The base of all optimisers: groups of parameters, a state for each parameter, and the step that updates them all."""

import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from math import prod
from typing import Any, ClassVar

import numpy as np

from tinygrad_lite.engine import grad_mode, registry
from tinygrad_lite.engine.backward import widened
from tinygrad_lite.engine.conversions import constant
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError, ShapeError, UsageError, warn
from tinygrad_lite.foundation.elsewhere import SettingsElsewhere
from tinygrad_lite.foundation.foreign import as_numpy, kind_of
from tinygrad_lite.foundation.settings import check_entries, check_form, check_list, not_negative
from tinygrad_lite.foundation.signatures import signature

Group = dict[str, Any]
"""Parameters, under "params", and the settings for them."""

State = dict[str, Any]
"""What an update formula keeps for a parameter from step to step: arrays, and numbers."""

Parameters = Iterable[Tensor] | Iterable[Group] | Iterable[tuple[str, Tensor]]

_IMPLEMENTATION = ("foreach", "fused", "capturable", "differentiable")
"""PyTorch's settings that choose among its implementations."""


class Optimizer(SettingsElsewhere):
    """Updates parameters from their gradients by a formula. A subclass defines the formula, `update`.

    `update(self, w, g, state, …)` returns the new value of a parameter w with gradient g. It may read and write w's own
    `state`, a dict that is empty at first. After these, it names what else it needs: settings, which come from w's
    group, and `t`, the number of w's updates including this one.

    Attributes:
        param_groups: a list of dicts, each with parameters under "params", and the settings for them.
        defaults: the settings of a group that does not set its own.
        state: what the formula keeps for each parameter.
        steps: the number of steps taken, if the formula asks for t; one count for all parameters.
        scheduled: the names of the settings that a compiled step reads again in each run.
        ranges: for some settings, the function that checks them.

    Example:
        >>> import tinygrad_lite as tg
        >>> class SignDescent(tg.optim.Optimizer):
        ...     def update(self, w, g, state, lr):
        ...         return w - lr * np.sign(g)
        >>> w = tg.tensor(1.0, requires_grad=True)
        >>> optimizer = SignDescent([w], lr=0.5)
        >>> (w * 3).backward()
        >>> optimizer.step()
        >>> w
        tensor(0.5, requires_grad=True)
    """

    varying = ("steps",)
    ranges: ClassVar[Mapping[str, Callable[[str, Any], Any]]] = {}
    _asks: tuple[str, ...] = ()
    _counts = False

    def __init_subclass__(cls) -> None:
        named = [x.name for x in signature(cls.update).parameters.values() if x.kind not in _ANY_NUMBER][4:]
        cls._asks = tuple(named)
        cls._counts = "t" in named

    def __init__(self, params: Parameters, lr: float, **settings: Any) -> None:
        self.defaults = {"lr": lr, **settings}
        self.scheduled = frozenset({"lr"})
        self.param_groups: list[Group] = []
        self.state: dict[Tensor, State] = {}
        self.steps = 0
        entries = _iterated(params)
        if not entries:
            raise InputError(
                "no parameters to optimise: the model has no tensor that requires a gradient, or they are an iterator "
                "that was read before"
            )
        if isinstance(lr, dict):
            raise UsageError("pass the defaults by name, as in super().__init__(params, lr=lr, beta=beta)")
        self.defaults = self._checked(self.defaults)
        for group in entries if isinstance(entries[0], dict) else [{"params": entries}]:
            self.add_param_group(group)

    def update(self, *args: Any, **settings: Any) -> Any:
        """The new value of a parameter w with gradient g; a subclass names w, g, state and the settings it needs."""
        raise UsageError(f"{type(self).__name__} defines no update(self, w, g, state, lr)")

    def add_param_group(self, param_group: Group) -> None:
        """Add a group: a dict with parameters under "params", and the settings that differ from the defaults.

        Raises:
            InputError: if a parameter is in a group already, or a setting is out of its range; nothing changes then.
            UsageError: if it is not such a dict; nothing changes then.
        """
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise UsageError(f"a group must be a dict with its parameters under 'params'; got {param_group!r}")
        group = {**self._checked({**self.defaults, **param_group}), **_listed(param_group["params"])}
        if missing := [name for name in type(self)._asks if name not in group and name != "t"]:
            raise UsageError(f"{type(self).__name__}.update asks for {missing[0]}, which is not a setting")
        self._check_group(group)
        if any(parameter in self.state for parameter in group["params"]):
            raise InputError("a parameter is in a group already, and each step would update it twice: pass it once")
        self.param_groups = [*self.param_groups, group]  # a new list, by which compiled steps know
        missed = {"missed": self.steps} if self.steps else {}
        self.state.update({parameter: dict(missed) for parameter in group["params"]})

    def _check_group(self, group: Group) -> None:
        """Raise `InputError` if the settings of a group, or its parameters, do not go with this optimiser."""

    def _checked(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        ranges = {"lr": not_negative, **self.ranges}
        return {name: ranges[name](name, value) if name in ranges else value for name, value in settings.items()}

    @property
    def parameters(self) -> list[Tensor]:
        """The parameters of all groups."""
        return [*self.state]

    @property
    def lr(self) -> Any:
        """The learning rate of an optimiser with one group; several groups have their own `param_groups[i]["lr"]`."""
        return self._only_group()["lr"]

    @lr.setter
    def lr(self, value: Any) -> None:
        self._only_group()["lr"] = value

    def _only_group(self) -> Group:
        if len(self.param_groups) != 1:
            raise UsageError(
                f'{type(self).__name__} has {len(self.param_groups)} groups, each with its own param_groups[i]["lr"]'
            )
        return self.param_groups[0]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update each parameter that has a gradient; warn about parameters without one, and about a widened dtype.

        Args:
            closure: computes the loss and its gradients, before the update; its result is returned.
        """
        loss = None
        if closure is not None:
            with grad_mode.enable_grad():
                loss = closure()
        self._warn_of_wider_numbers()
        without = []
        asks, counts = type(self)._asks, type(self)._counts
        steps, place_of_t = 0, 0
        if counts:
            self.steps = steps = self.steps + 1
            place_of_t = asks.index("t")
        state_of = self.state
        for group in self.param_groups:
            settings = list(map(group.get, asks))
            is_ascent = group.get("maximize", False)
            for parameter in group["params"]:
                state, gradient = state_of[parameter], parameter._grad
                if gradient is None:
                    if counts:
                        state_of[parameter] = {**state, "missed": state.get("missed", 0) + 1}
                    if parameter.requires_grad:
                        without.append(parameter)
                    continue
                if counts:
                    settings[place_of_t] = steps - state["missed"] if "missed" in state else steps
                w, g = parameter._array, constant(gradient) if gradient._requires_grad else gradient._array
                updated = self.update(w, -g if is_ascent else g, state, *settings)
                if getattr(updated, "shape", None) != w.shape:
                    raise ShapeError(f"update returned {updated!r} for a parameter of shape {w.shape}")
                parameter.replace(updated if updated.dtype is w.dtype else updated.astype(w.dtype))
        if without:
            self._warn_of_no_gradient(without)
        return loss

    def preview(self, points: Mapping[Tensor, tuple[Array, Array]]) -> dict[Tensor, Array]:
        """The values that the next step would give to parameters with these values and gradients; nothing changes."""
        after = {}
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter in points:
                    w, g = points[parameter]
                    state = dict(self.state[parameter])
                    settings = {**group, "t": self.steps + 1 - state.get("missed", 0)}
                    after[parameter] = self.update(
                        w, -g if group.get("maximize") else g, state, *[settings[name] for name in type(self)._asks]
                    )
        return after

    def _warn_of_no_gradient(self, without: list[Tensor]) -> None:
        numbers = {parameter: i for i, parameter in enumerate(self.state)}
        named = ", ".join(x.name or f"number {numbers[x]} of shape {x.shape}" for x in without)
        inside = ", or it ran on the values that a transform passes in place of the parameters"
        warnings.warn(
            f"{type(self).__name__}.step(): no gradient for parameter {named}, which stays as it is: "
            f"either the loss does not depend on it, or backward() did not run{inside * grad_mode.transforming.get()}",
            stacklevel=3,
        )

    def _warn_of_wider_numbers(self) -> None:
        op, kind, wide = widened.get() or (None, None, None)
        narrow = np.finfo(kind).dtype if kind else None  # float32 for complex64, which parameters become on the way
        if op is not None and op is not registry.operation("cast") and any(p.dtype == narrow for p in self.state):
            warn(
                f"{type(self).__name__}.step(): the parameters are {narrow}, but {op} computed in {wide}, the dtype of "
                f"its other argument, such as np.sqrt(8), a target, a first state or integers. Convert that argument, "
                f"as in np.{narrow}(x); tg.audit_gradients(model, lambda: loss) names the line"
            )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set `.grad` of each parameter to None, or to zeros."""
        for parameter in self.state:
            if set_to_none:
                parameter._grad = None
            elif parameter.grad is not None:
                parameter.grad = np.zeros_like(parameter.grad.data)

    def state_dict(self) -> dict[str, Any]:
        """The settings and the state, in the layout of PyTorch's: parameters are numbered, group after group."""
        numbers = {parameter: i for i, parameter in enumerate(self.state)}
        return {
            "state": {i: self._kept(state) for i, state in enumerate(self.state.values()) if {*state} - {"missed"}},
            "param_groups": [{**group, "params": [numbers[p] for p in group["params"]]} for group in self.param_groups],
        }

    def _kept(self, state: State) -> State:
        count = {"step": self.steps - state.get("missed", 0)} if type(self)._counts else {}
        return {**count, **{name: value for name, value in state.items() if name != "missed"}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `state_dict` returned, of this optimiser or of PyTorch's of the same name.

        Raises:
            InputError: if the groups or their settings differ, or a setting or an entry is missing or of a wrong kind;
                nothing changes then.
            ShapeError: if the shape of a parameter differs; nothing changes then.
        """
        check_entries("an optimiser's state", ("state", "param_groups"), state)
        groups = state["param_groups"]
        check_list("param_groups", groups)
        for i, group in enumerate(groups):
            check_entries(f"param_groups[{i}]", ("params",), group)
            check_list(f"params in param_groups[{i}]", group["params"])
            check_form(f"params in param_groups[{i}]", group["params"], [0] * len(group["params"]))
        check_entries("the state of all parameters", (), state["state"])
        for i, entries in state["state"].items():
            check_entries(f"the state of parameter {i}", (), entries)
        fits = [len(group["params"]) for group in groups] == [len(group["params"]) for group in self.param_groups]
        if not fits or not all(self.defaults.keys() <= group.keys() for group in groups):
            raise InputError(
                f"this state of {_described(groups)} does not fit {type(self).__name__} of "
                f"{_described(self.param_groups)}"
            )
        loaded = []
        for i, (own, group) in enumerate(zip(self.param_groups, groups)):
            known = {name: number_of(x) for name, x in group.items() if name not in _IMPLEMENTATION}
            checked = self._checked({name: x for name, x in known.items() if name not in self.scheduled})
            check_form(f"param_groups[{i}]", {**known, **checked}, self.defaults)
            loaded.append({**known, **checked, "params": own["params"]})
        numbers = [i for group in groups for i in group["params"]]
        states = {
            parameter: {
                name: self._own(name, value, parameter)
                for name, value in state["state"].get(i, {}).items()
                if value is not None
            }
            for i, parameter in zip(numbers, self.state)
        }
        self._try(loaded, states)
        counts = {parameter: _count(entries.pop("step", 0)) for parameter, entries in states.items()}
        self.param_groups = loaded
        self.steps = max(counts.values()) if type(self)._counts else 0
        for parameter, count in counts.items():
            if type(self)._counts and count < self.steps:
                states[parameter]["missed"] = self.steps - count
        self.state = states

    def _try(self, groups: list[Group], states: Mapping[Tensor, State]) -> None:
        """Raise `InputError` if an update with these settings fails, or if a state lacks what a first update makes."""
        if type(self).update is Optimizer.update:  # whose step is not made of updates
            return
        for i, (w, group) in enumerate([(w, its) for its in groups for w in its["params"]]):
            made: State = {"step": 1} if type(self)._counts else {}
            settings = [group.get(name) if name != "t" else 1 for name in type(self)._asks]
            try:
                with np.errstate(all="ignore"):
                    self.update(w.data, np.zeros_like(w.data), made, *settings)
            except (TypeError, ValueError, LookupError, ArithmeticError) as error:
                raise InputError(f"{type(self).__name__} cannot go on with these settings: {error}") from error
            if states[w] and (missing := [name for name in made if name not in states[w]]):
                raise InputError(f"the state of parameter {i} has no {missing[0]}, which {type(self).__name__} keeps")

    def _own(self, name: str, value: Any, parameter: Tensor) -> Any:
        """A copy of an entry of a state, as the update formulas make it: an array, or a Python number."""
        if isinstance(value, (int, float)):
            return value
        array = numbers_in(name, value)[()]
        if array.ndim and array.dtype.kind == "f":  # it may come from a model in another precision
            array = array.astype(parameter.dtype, copy=False)
        sizes = zip(reversed(array.shape), reversed(parameter.shape))
        if array.ndim > parameter.ndim or not all(n in (1, wanted) for n, wanted in sizes):
            raise ShapeError(f"{name} must have its parameter's shape {parameter.shape}, got {array.shape}")
        return array.item() if array.ndim == 0 < parameter.ndim or name == "step" else array

    def __repr__(self) -> str:
        return f"{type(self).__name__}({_described(self.param_groups)})"


def numbers_in(name: str, value: Any) -> Any:
    """A copy of an entry of a state, if it is an array or a number."""
    array = as_numpy(value)
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} must be an array or a number, got {value!r:.80}")
    return array.copy(order="K")


def number_of(value: Any) -> Any:
    """The Python number in an array of one entry; anything else itself."""
    return value.item() if hasattr(value, "item") and prod(getattr(value, "shape", ())) == 1 else value


def _count(step: Any) -> int:
    """The number of steps in a state, for which PyTorch has a floating-point number."""
    if not (0 <= step < 2**63 and step == int(step)):
        raise InputError(f"step must be a number of steps, got {step!r}")
    return int(step)


_ANY_NUMBER = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _described(groups: Iterable[Group]) -> str:
    return "; ".join(
        ", ".join(
            [
                f"{len(group['params'])} parameters",
                *(f"{name}={x!r}" for name, x in group.items() if name == "lr" or (x and name not in _LISTS)),
            ]
        )
        for group in groups
    )


_LISTS = ("params", "param_names")


def _iterated(params: Any) -> list[Any]:
    if isinstance(params, Tensor) or not isinstance(params, Iterable) or getattr(params, "ndim", 1) == 0:
        raise UsageError(f"parameters must be an iterable of tensors, such as model.parameters(); got {params!r}")
    return list(params)


def _listed(params: Any) -> Group:
    """The checked parameters of a group, with their names if they come with names."""
    entries = _iterated([params] if isinstance(params, Tensor) else params)
    named = [x for x in entries if isinstance(x, tuple) and len(x) == 2 and isinstance(x[0], str)]
    if named and len(named) < len(entries):
        raise UsageError("parameters must all have names, as in model.named_parameters(), or none of them")
    tensors = [x for _, x in named] if named else entries
    for parameter in tensors:
        if not isinstance(parameter, Tensor):
            raise UsageError(f"parameters must be tensors, such as model.parameters(); got {kind_of(parameter)}")
        if not parameter.is_leaf or parameter._requires_grad is False:
            raise UsageError(f"parameters must be leaves with requires_grad=True; got {parameter!r}")
    if len(set(tensors)) < len(tensors):
        raise InputError("a parameter appears twice, and each step would update it twice: pass it once")
    return {"params": tensors, **({"param_names": [name for name, _ in named]} if named else {})}
