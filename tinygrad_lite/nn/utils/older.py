"""Weight and spectral normalisation under PyTorch's older names, for the state dicts that have them.

The originals are fields of the module: `weight_g` and `weight_v`, or `weight_orig`, `weight_u` and `weight_v`. For a
new model, take those of `parametrizations`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from tinygrad_lite.engine.grad_mode import no_grad
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import UsageError
from tinygrad_lite.nn import init
from tinygrad_lite.nn.module import Module, Parameter
from tinygrad_lite.nn.utils.parametrizations import Spectral, WeightLength, rows_axis
from tinygrad_lite.nn.utils.parametrize import compute, own_tensor, stop_computing

__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]


def weight_norm(module: Module, name: str = "weight", axis: int | None = 0) -> Module:
    """Compute a weight from a length `weight_g` and a direction `weight_v`: w = g v / ‖v‖; return the module.

    See `parametrizations.weight_norm`.

    Example:
        >>> import tinygrad_lite as tg
        >>> {path: array.shape for path, array in weight_norm(tg.nn.Linear(3, 2)).state_dict().items()}
        {'bias': (2,), 'weight_g': (2, 1), 'weight_v': (2, 3)}
    """
    rule, weight = WeightLength(-1 if axis is None else axis), own_tensor(module, name)
    g, v = rule.right_inverse(weight.detach())
    originals = {f"{name}_g": Parameter(g, weight.requires_grad), f"{name}_v": Parameter(v, weight.requires_grad)}
    return _computed(module, name, originals, partial(_from_length, rule, name))


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight a field again, with the value that it has; return the module.

    Example:
        >>> import tinygrad_lite as tg
        >>> list(remove_weight_norm(weight_norm(tg.nn.Linear(3, 2))).state_dict())
        ['bias', 'weight']
    """
    return _field_again(module, name, ("g", "v"))


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    axis: int | None = None,
    *,
    rng: init.Rng = None,
) -> Module:
    """Divide a weight, now `weight_orig`, by its largest singular value; return the module.

    Its vectors are `weight_u` and `weight_v`; each call of the module in training follows them, v first. See
    `parametrizations.spectral_norm`.

    Example:
        >>> import tinygrad_lite as tg
        >>> list(spectral_norm(tg.nn.Linear(3, 2)).state_dict())
        ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    weight = own_tensor(module, name)
    rule = Spectral(weight.ndim, n_power_iterations, rows_axis(module) if axis is None else axis, eps)
    u, v = rule.drawn(weight.detach(), rng)
    originals = {f"{name}_orig": weight, f"{name}_u": u, f"{name}_v": v}
    _computed(module, name, originals, partial(_by_singular_value, rule, name))
    module.register_forward_pre_hook(partial(_follow, rule, name))
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Make the weight a field again, with the value that it has; return the module.

    Example:
        >>> import tinygrad_lite as tg
        >>> list(remove_spectral_norm(spectral_norm(tg.nn.Linear(3, 2))).state_dict())
        ['bias', 'weight']
    """
    _field_again(module, name, ("orig", "u", "v"))
    module._hooks = tuple([hook for hook in module._hooks if not _follows(hook.function, name)])
    return module


def _computed(module: Module, name: str, originals: dict[str, Tensor], value: Callable[[Module], Any]) -> Module:
    vars(module).update(originals)
    compute(module, name, value)
    return module


def _field_again(module: Module, name: str, suffixes: tuple[str, ...]) -> Module:
    fields = vars(module)
    if name not in fields.get("_computed", {}) or any(f"{name}_{suffix}" not in fields for suffix in suffixes):
        raise UsageError(f"{name} of {module.summary()} is not normalised")
    with no_grad():
        value = getattr(module, name)
    originals = [fields.pop(f"{name}_{suffix}") for suffix in suffixes]
    stop_computing(module, name)
    fields[name] = Parameter(value, originals[0].requires_grad)
    return module


def _from_length(rule: WeightLength, name: str, module: Any) -> Any:
    return rule(getattr(module, f"{name}_g"), getattr(module, f"{name}_v"))


def _by_singular_value(rule: Spectral, name: str, module: Any) -> Any:
    return rule.divided(*(getattr(module, f"{name}_{suffix}") for suffix in ("orig", "u", "v")))


def _follow(rule: Spectral, name: str, module: Any, inputs: Any) -> None:
    if module.training:
        u, v = getattr(module, f"{name}_u"), getattr(module, f"{name}_v")
        rule.follow(getattr(module, f"{name}_orig"), u, v, rule.n_power_iterations, u_first=False)


def _follows(function: Any, name: str) -> bool:
    return isinstance(function, partial) and function.func is _follow and function.args[1] == name
