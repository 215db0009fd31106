"""Fields of a module that are computed from others, such as a weight from its direction and its length.

The originals are learnt, and each read of the field computes its value from them.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from tinygrad_lite.engine.grad_mode import no_grad
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.errors import ShapeError, UsageError
from tinygrad_lite.foundation.elsewhere import unknown_names
from tinygrad_lite.nn.containers import ModuleDict, ModuleList
from tinygrad_lite.nn.module import Module, Parameter
from tinygrad_lite.nn.state import is_parameter

__all__ = ["ParametrizationList", "is_parametrized", "register_parametrization", "remove_parametrizations"]


class ParametrizationList(ModuleList):
    """The originals of one field, and the modules that compute its value from them, one after another.

    The original is the field `original`; if the first module takes several, `original0`, `original1` and so on.
    """

    def __init__(self, modules: Sequence[Module], original: Tensor) -> None:
        super().__init__(modules)
        values = _inverse(self[0], original.detach()) if hasattr(self[0], "right_inverse") else original.detach()
        self._is_one = not isinstance(values, (tuple, list))
        values = [values] if self._is_one else list(values)
        with no_grad():
            value = self[0](*values)
        _check_like(original, value, self[0])
        if self._is_one:
            original.data = values[0]
            self.original = original
        else:
            for i, part in enumerate(values):
                made = Parameter(part, original.requires_grad) if is_parameter(original) else tensor(part)
                setattr(self, f"original{i}", made)

    def originals(self) -> list[Tensor]:
        """The tensors from which the field is computed."""
        return [field for name, field in self.fields().items() if name.startswith("original")]

    def forward(self) -> Any:
        first, *others = self
        value = first(*self.originals())
        for module in others:
            value = module(value)
        return value

    def assign(self, value: Any) -> None:
        """Give the originals the values from which the field is computed as this one."""
        for module in reversed(self):
            value = _inverse(module, value)
        for original, part in zip(self.originals(), [value] if self._is_one else value, strict=True):
            original.data = part


def register_parametrization(module: Module, tensor_name: str, parametrization: Module) -> Module:
    """Compute a tensor of a module by another module, from the tensor that is there now; return the module.

    Then `module.weight` is `parametrization(module.parametrizations.weight.original)`, and the original is learnt and
    saved. If the parametrization has a method `right_inverse(value)`, that computes the original; a tuple makes several
    originals, which are all passed to forward. Further parametrizations of the same tensor are applied after the first.

    Raises:
        UsageError: if the module has no such tensor, or the value has another dtype; the module stays as it was.
        ShapeError: if the value has another shape; the module stays as it was.

    Example:
        >>> import tinygrad_lite as tg
        >>> class Symmetric(tg.nn.Module):
        ...     def forward(self, x):
        ...         return np.triu(x) + np.triu(x, 1).T
        >>> layer = register_parametrization(tg.nn.Linear(3, 3), "weight", Symmetric())
        >>> np.array_equal(layer.weight.numpy(), layer.weight.numpy().T)
        True
        >>> list(layer.state_dict())
        ['bias', 'parametrizations.weight.original']
    """
    if not isinstance(parametrization, Module):
        raise UsageError(f"a parametrization is a module, got {parametrization!r}")
    if is_parametrized(checked_module(module), tensor_name):
        with no_grad():
            value = getattr(module, tensor_name)
            _check_like(value, parametrization(value), parametrization)
        vars(module)["parametrizations"][tensor_name].append(parametrization)
        return module
    original = own_tensor(module, tensor_name)
    made = ParametrizationList([parametrization], original)
    made.training = module.training
    vars(module).setdefault("parametrizations", ModuleDict())[tensor_name] = made
    compute(module, tensor_name, partial(_value, tensor_name))
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a field of a module, or the field of this name, is computed by a parametrization.

    Example:
        >>> import tinygrad_lite as tg
        >>> is_parametrized(tg.nn.Linear(2, 1))
        False
    """
    parametrized = vars(module).get("parametrizations", ())
    return len(parametrized) > 0 if tensor_name is None else tensor_name in parametrized


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make a parametrized tensor a field again; return the module.

    Args:
        leave_parametrized: whether it keeps the computed value, not the original.

    Raises:
        UsageError: if it is not parametrized, or the original was several tensors although not `leave_parametrized`.

    Example:
        >>> import tinygrad_lite as tg
        >>> layer = tg.nn.utils.parametrizations.weight_norm(tg.nn.Linear(2, 1))
        >>> list(remove_parametrizations(layer, "weight").state_dict())
        ['bias', 'weight']
    """
    if not is_parametrized(module, tensor_name):
        raise UsageError(f"{tensor_name} of {module.summary()} is not parametrized")
    parametrizations = vars(module)["parametrizations"]
    originals = parametrizations[tensor_name].originals()
    if len(originals) > 1 and not leave_parametrized:
        raise UsageError(f"{tensor_name} has {len(originals)} originals, and so leave_parametrized must be true")
    with no_grad():
        value = getattr(module, tensor_name).detach()
    del parametrizations[tensor_name]
    if not parametrizations:
        del vars(module)["parametrizations"]
    stop_computing(module, tensor_name)
    if len(originals) > 1:
        originals = [Parameter(value, originals[0].requires_grad) if is_parameter(originals[0]) else tensor(value)]
    elif leave_parametrized:
        originals[0].data = value
    setattr(module, tensor_name, originals[0])
    return module


def _inverse(module: Module, value: Any) -> Any:
    if not hasattr(module, "right_inverse"):
        raise UsageError(f"{module.summary()} has no right_inverse(value), and so the field cannot be assigned")
    with no_grad():
        return module.right_inverse(value)


def _check_like(before: Any, after: Any, parametrization: Module) -> None:
    if after.shape != before.shape:
        raise ShapeError(f"{parametrization.summary()} makes shape {after.shape} of a tensor of shape {before.shape}")
    if after.dtype != before.dtype:
        raise UsageError(f"{parametrization.summary()} makes {after.dtype} of a tensor of {before.dtype}")


def _value(name: str, module: Any) -> Any:
    return module.parametrizations[name]()


def checked_module(module: Any) -> Module:
    """The module that holds a tensor to parametrize; an error if it is something else, such as the tensor itself."""
    if not isinstance(module, Module):
        raise UsageError(f"a module and the name of its tensor are needed, got {type(module).__name__}: pass the layer")
    return module


def own_tensor(module: Module, name: str) -> Tensor:
    """The leaf tensor that is the field of this name; an error if there is none."""
    tensor = vars(checked_module(module)).get(name)
    if not (isinstance(tensor, Tensor) and tensor.is_leaf):
        raise UsageError(f"{module.summary()} has no tensor {name!r} of its own to parametrize")
    return tensor


def compute(module: Module, name: str, value: Callable[[Any], Any]) -> None:
    """Compute a field from others, by a function of the module, in place of its present value."""
    del vars(module)[name]
    _set_computed(module, {**vars(module).get("_computed", {}), name: value})


def stop_computing(module: Module, name: str) -> None:
    """Leave the name of a computed field to another value."""
    _set_computed(module, {other: value for other, value in vars(module)["_computed"].items() if other != name})


def _set_computed(module: Any, computed: Mapping[str, Callable[[Any], Any]]) -> None:
    """Change the module's class to one in which each of these fields is computed, by a function of the module."""
    kind: Any = getattr(type(module), "_plain", type(module))
    vars(module)["_computed"] = computed
    if not computed:
        del vars(module)["_computed"]
    module.__class__ = _computing(kind, tuple(computed)) if computed else kind


@cache
def _computing(kind: Any, names: tuple[str, ...]) -> Any:
    fields = {name: property(partial(_read, name), partial(_assign, name)) for name in names}
    others = {"_plain": kind, "__reduce__": _reduced, "__module__": kind.__module__, "__doc__": kind.__doc__}
    return type(f"Parametrized{kind.__name__}", (kind,), {**fields, **others})


def _read(name: str, module: Any) -> Any:
    return module._computed[name](module)


def _assign(name: str, module: Any, value: Any) -> None:
    if not is_parametrized(module, name):
        raise UsageError(f"{name} of {module.summary()} is computed from other fields, and so it cannot be assigned")
    module.parametrizations[name].assign(value)


def _reduced(module: Any) -> tuple[Any, ...]:
    return _restored, (module._plain, tuple(module._computed)), vars(module)


def _restored(kind: Any, names: tuple[str, ...]) -> Any:
    return object.__new__(_computing(kind, names))


if not TYPE_CHECKING:  # a type checker would take it for a promise that any name is there
    __getattr__ = unknown_names(__name__)
