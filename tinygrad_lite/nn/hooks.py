"""Hooks: functions that run before or after a module's forward, and may replace its inputs or its result."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self
from weakref import ref

from tinygrad_lite.errors import UsageError


class Hook(NamedTuple):
    """A function that runs around forward.

    Attributes:
        is_first: whether it runs before forward, not after it.
        with_kwargs: whether it also receives the keyword arguments.
    """

    function: Callable[..., Any]
    is_first: bool
    with_kwargs: bool


class Handle:
    """What registering a hook returns: `remove()` takes the hook away, as does the end of a `with` block of it."""

    def __init__(self, module: Any, hook: Hook) -> None:
        self._module, self._hook = ref(module), hook

    def remove(self) -> None:
        """Take the hook away; nothing happens if it is gone already."""
        module = self._module()
        if module is not None:
            module._hooks = tuple([hook for hook in module._hooks if hook is not self._hook])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def register(module: Any, hook: Hook, prepend: bool) -> Handle:
    """Add a hook to those of a module, after the others or before them."""
    if not callable(hook.function):
        raise UsageError(f"a hook is a function, got {hook.function!r}")
    module._hooks = (hook, *module._hooks) if prepend else (*module._hooks, hook)
    return Handle(module, hook)


def before(module: Any, inputs: tuple[Any, ...], options: Mapping[str, Any]) -> tuple[Any, Any]:
    """The arguments of a module's forward, after the hooks that come before it."""
    for function, is_first, with_kwargs in module._hooks:
        if is_first:
            changed = function(module, inputs, options) if with_kwargs else function(module, inputs)
            if changed is None:
                continue
            if not with_kwargs:
                inputs = changed if isinstance(changed, tuple) else (changed,)
            elif isinstance(changed, tuple) and len(changed) == 2:
                inputs, options = changed
            else:
                raise UsageError(
                    "a hook before forward, registered with_kwargs=True, returns None or a pair (args, kwargs); got "
                    f"{type(changed).__name__}"
                )
    return inputs, options


def after(module: Any, inputs: tuple[Any, ...], options: Mapping[str, Any], result: Any) -> Any:
    """The result of a module, after the hooks that follow its forward."""
    for function, is_first, with_kwargs in module._hooks:
        if not is_first:
            changed = function(module, inputs, options, result) if with_kwargs else function(module, inputs, result)
            result = result if changed is None else changed
    return result
