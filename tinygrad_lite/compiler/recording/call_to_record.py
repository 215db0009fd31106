"""A call to record, and the names of what it passes and reaches."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.compiler.identifiers import unique
from tinygrad_lite.compiler.recording.appearances import Appearance
from tinygrad_lite.compiler.recording.guards import Guard, Key
from tinygrad_lite.compiler.signature import attributes_of, containers
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.foundation.signatures import outside_of, signature
from tinygrad_lite.transforms.runs import name_of


@dataclass
class CallToRecord:
    """A call to record, and what earlier calls have shown of its function.

    Attributes:
        f, args, kwargs: the function and its arguments.
        parameters: a name for each leaf of the arguments.
        say: is told what is done at the moment.
        may_pass: whether one recording is enough if the run changes what the program starts from.
        may_run_again: whether the function may run again for the history of a gradient.
        may_branch: whether Python may go a way that hangs on a value, for a program that refuses other values.
        known: what other programs of the function carry from call to call, and the numbers that have changed.
        numbers: the leaves of the arguments that are Python numbers, and inputs if Python does not need them.
        changing: what the function has changed so far and no program follows, by id, to which the recordings add: it
            may be a cache, which stays as it is in the next recording. What changes again then is refused.
    """

    f: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    parameters: list[str]
    say: Callable[[str], None]
    may_pass: bool = False
    may_run_again: bool = True
    may_branch: bool = False
    known: Mapping[Key, Guard] = field(default_factory=dict)
    numbers: frozenset[int] = frozenset()
    changing: dict[int, Appearance] = field(default_factory=dict)

    @cached_property
    def name(self) -> str:
        """The name of the function, for messages."""
        return name_of(self.f)

    @property
    def leaves(self) -> list[Any]:
        """The leaves of the arguments, into whose containers the function may put others."""
        return trees.leaves((self.args, dict(self.kwargs)))

    def roots(self) -> list[tuple[Any, str]]:
        """The function, the objects among its arguments, and what the classes of its containers have, with labels."""
        pairs = zip(self.leaves, self.parameters)
        objects = [(x, path) for x, path in pairs if not isinstance(x, (Tensor, np.ndarray))]
        roots = [(self.f, self.name), *objects]
        for container in containers((self.args, dict(self.kwargs))):
            kind = type(container)
            own = [(x, f"{kind.__name__}.{name}") for name, key, x in attributes_of(container) if key is None]
            roots += [(kind, kind.__name__), *own]
        return roots


def named_parameters(f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[str]:
    """A name for each leaf of the arguments."""
    try:
        bound = dict(signature(f).bind(*args, **kwargs).arguments)
        paths = [path.replace(".", "_") for path in trees.paths(bound)]
    except (TypeError, ValueError):
        paths = []
    count = len(trees.leaves((args, kwargs)))
    return unique(paths) if len(paths) == count else [f"x{i + 1}" for i in range(count)]


def tensor_names(f: Any, depth: int = 3) -> dict[int, str]:
    """The names that the function, and the functions that it calls, have for outside tensors."""
    if not depth:
        return {}
    function = getattr(f, "__func__", f) if inspect.ismethod(f) else f
    # statically, since an object may return anything when asked for an attribute
    while (inner := inspect.getattr_static(function, "__wrapped__", None)) is not None:
        function = inner
    if not inspect.isfunction(function):
        return {}
    read, around = outside_of(function)
    names: dict[int, str] = {}
    for name, value in {**read, **around}.items():
        names |= {id(value): name} if isinstance(value, Tensor) else tensor_names(value, depth - 1)
    return names
