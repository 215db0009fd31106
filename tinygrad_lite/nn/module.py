"""`Module`: a model consists of its fields and a `forward` that reads as its formula."""

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from types import MethodType
from typing import Any, Self

from tinygrad_lite.engine.conversions import constant
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.errors import RESTATED, UsageError
from tinygrad_lite.foundation.elsewhere import ModulesElsewhere
from tinygrad_lite.foundation.entrances import advise, called_again
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.foundation.signatures import signature
from tinygrad_lite.nn import hooks
from tinygrad_lite.nn.state import State, is_a_parameter
from tinygrad_lite.nn.structure import parts
from tinygrad_lite.nn.substitution import opened, substituted
from tinygrad_lite.trees import Opened

__all__ = ["Module", "Parameter", "functional_call"]


class Module(State, ModulesElsewhere):
    """A part of a model: fields that are tensors, arrays, modules, or lists, tuples and dicts of them, and a `forward`.

    The tensors that require a gradient, or did until they were frozen, are its parameters; all tensors and arrays among
    the fields are its state. A path such as `layers.0.weight` names each of them. A field of another kind that holds a
    tensor or a module (a set, an object, a closure) is not part of the state, and a `TinygradWarning` says so.

    To a transform, a module stands for the dict of its parameters: `tg.grad(f)(module)` maps the path of each parameter
    that is not frozen to its gradient. The transform passes f a module like this one, which holds the values that are
    differentiated.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> class Scale(tg.nn.Module):
        ...     def __init__(self):
        ...         self.factor = tg.tensor(2.0, requires_grad=True)
        ...     def forward(self, x):
        ...         return self.factor * x
        >>> Scale()(np.array([1.0, 2.0]))
        tensor([2., 4.], op=multiply)
    """

    training: bool = True
    _hooks: tuple[hooks.Hook, ...] = ()

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """The module's formula, from its inputs to its result."""
        similar = get_close_matches("forward", vars(type(self)))
        if similar:
            advice = f": is {similar[0]} meant?"
        elif hasattr(type(self), "append") or hasattr(type(self), "items"):
            advice = ": call the modules inside it, one after the other, or make a Sequential of them"
        else:
            advice = ""
        raise UsageError(f"{type(self).__name__} defines no forward(self, ...){advice}")

    def __call__(self, /, *inputs: Any, **options: Any) -> Any:
        if self._hooks:
            inputs, options = hooks.before(self, inputs, options)
        try:
            result = self.forward(*inputs, **options)
        except RESTATED as error:
            if not str(type(self).forward.__module__).startswith("tinygrad_lite."):
                advise(error)
                raise
            result = called_again(self.forward, self.summary(), inputs, options, error)
        return hooks.after(self, inputs, options, result) if self._hooks else result

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> hooks.Handle:
        """Call hook(module, args) before each `forward`; its result replaces args, unless it is None.

        Args:
            prepend: whether it runs before the hooks there are, and not after them.
            with_kwargs: whether it is called as hook(module, args, kwargs), and returns a pair or None.

        Example:
            >>> import tinygrad_lite as tg
            >>> layer = tg.nn.ReLU()
            >>> with layer.register_forward_pre_hook(lambda module, args: -args[0]):
            ...     layer(tg.tensor([-1.0, 2.0]))
            tensor([1., 0.])
        """
        return hooks.register(self, hooks.Hook(hook, True, with_kwargs), prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> hooks.Handle:
        """Call hook(module, args, result) after each `forward`; what it returns replaces the result.

        The result stays if the hook returns None. A compiled function contains the hooks that were there when it was
        recorded, and is recorded anew after one is added or removed.

        Args:
            prepend: whether it runs before the hooks there are, and not after them.
            with_kwargs: whether it is called as hook(module, args, kwargs, result).

        Example:
            >>> import tinygrad_lite as tg
            >>> layer = tg.nn.Linear(3, 2)
            >>> handle = layer.register_forward_hook(lambda module, args, result: print(result.shape))
            >>> _ = layer(tg.tensor([1.0, 2.0, 3.0]))
            (2,)
            >>> handle.remove()
        """
        return hooks.register(self, hooks.Hook(hook, False, with_kwargs), prepend)

    def _for_transforms(self) -> Opened:
        """The parameters that are not frozen, and how to make a stand-in with others."""
        return opened(self)

    def train(self, mode: bool = True) -> Self:
        """Switch this module and all modules inside it to training, in which dropout is active; return the module.

        A module inside whose class has a `train(mode)` of its own, such as one that keeps layers frozen, calls that.
        """
        ahead: list[Any] = [self]
        seen = {id(self)}
        while ahead:
            module = ahead.pop()
            if module is not self and _switches_itself(module):
                module.train(mode)
                continue
            module.training = mode
            inside = [child for child in module.children() if id(child) not in seen]
            seen.update(map(id, inside))
            ahead += reversed(inside)
        return self

    def eval(self) -> Self:
        """Switch this module and all modules inside it to evaluation; return the module."""
        (self.train if _switches_itself(self) else MethodType(Module.train, self))(False)
        return self

    def __repr__(self) -> str:
        rows = list(_rows(self, "", "", ""))
        width = max(len(text) for text, _ in rows)
        digits = len(f"{rows[0][1]:,}")
        lines = [f"{text:<{width}}    {count:>{digits},}" if count else text for text, count in rows]
        return "\n".join([f"{lines[0]} parameters" if rows[0][1] else lines[0], *lines[1:]])


class _ParameterType(type):
    """The type of `Parameter`, which makes tensors its instances without a class of their own."""

    def __instancecheck__(cls, value: Any) -> bool:
        return is_a_parameter(value)


class Parameter(metaclass=_ParameterType):
    """A tensor that is a parameter of the module whose field it is.

    `Parameter(data)` is `tg.tensor(data, requires_grad=True)`; if `requires_grad` is false, a frozen one. Any tensor
    that requires a gradient, or did until it was frozen, is an instance.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> Parameter(np.zeros(2))
        tensor([0., 0.], requires_grad=True)
        >>> isinstance(tg.nn.Linear(2, 1).weight, Parameter), isinstance(tg.tensor([1.0]), Parameter)
        (True, False)
    """

    def __new__(cls, data: Any, requires_grad: bool = True) -> Tensor:  # type: ignore[misc]
        data = as_array(constant(data))
        parameter = tensor(data, requires_grad=requires_grad or data.dtype.kind == "f")
        parameter.requires_grad = requires_grad
        return parameter


def in_mode(module: Module, training: bool) -> Module:
    """The module, switched by the `train` or `eval` that its class has, unless such a method does something else."""
    if not training and callable(module.eval) and not signature(module.eval).parameters:
        module.eval()
    elif training and _switches_itself(module):
        module.train(True)
    else:
        Module.train(module, training)
    return module


def _switches_itself(module: Any) -> bool:
    """Whether the `train` of a subclass sets the mode; it may also be data, or a loop over data."""
    if type(module).train is Module.train:
        return False
    parameters = [*signature(module.train).parameters.values()] if callable(module.train) else []
    return bool(parameters) and (
        parameters[0].name == "mode"
        or parameters[0].default is True
        or parameters[0].kind is parameters[0].VAR_POSITIONAL
    )


def functional_call(
    module: Module, state: Mapping[str, Any], *inputs: Any, strict: bool = False, **options: Any
) -> Any:
    """The result of a module with other parameters and buffers, as PyTorch's function of this name.

    Gradients flow to the values in the state, in either mode and to any order. A single tuple as `inputs` holds all
    inputs. The module does not change: when its forward writes into a buffer, it writes into the value in the state.

    Args:
        state: arrays or tensors by name, as in `state_dict()`; the module's own values serve for all other names.
        strict: whether the state must be complete.

    Raises:
        InputError: if a name is unknown, if a name is missing although `strict`, or if the state has two values for one
            tensor with two names.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> layer = tg.nn.Linear(2, 1, rng=0)
        >>> state = {"weight": np.array([[1.0, 2.0]]), "bias": np.zeros(1)}
        >>> tg.nn.functional_call(layer, state, np.array([3.0, 4.0]))
        tensor([11.])
        >>> tg.grad(lambda state: tg.nn.functional_call(layer, state, np.array([3.0, 4.0]))[0])(state)["weight"]
        array([[3., 4.]])
    """
    if not isinstance(module, Module):
        raise UsageError(f"functional_call takes a module first, got {type(module).__name__}")
    if len(inputs) == 1 and isinstance(inputs[0], tuple):
        inputs = inputs[0]
    with substituted(module, state, strict=strict) as stand_in:
        return stand_in(*inputs, **options)


def _rows(
    module: Module, name: str, first: str, rest: str, above: frozenset[int] = frozenset()
) -> Iterator[tuple[str, int]]:
    """The lines of a module's tree, each with a number of parameters."""
    above |= {id(module)}
    children = [(path, part) for path, part in parts(module) if id(part) not in above]
    summary = module.summary().removesuffix("()") if children else module.summary()
    yield f"{first}{name}{summary}", sum(parameter.size for _, parameter in module._parameters())
    for i, (path, part) in enumerate(children):
        last = i == len(children) - 1
        yield from _rows(part, f"{path}: ", rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "), above)
