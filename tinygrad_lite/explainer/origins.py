"""The origin of values, which the graph does not hold: the user's names, and the line and module that made them."""

import sys
from collections.abc import Callable, Collection, Mapping
from types import FrameType
from typing import Any

import numpy as np

from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.explainer.graph import Seen
from tinygrad_lite.nn.module import Module
from tinygrad_lite.readers.recording import Step, is_users, observing

LATEST = 1000  # values whose origin a continuing watch keeps; a long run would otherwise keep all


def names_around(frame: FrameType | None) -> dict[int, str]:
    """The names of tensors and arrays in the functions that are running, by ids, the innermost first.

    A value inside a tuple, a list or a dict has no name of its own.
    """
    names: dict[int, str] = {}
    while frame is not None:
        if is_users(frame.f_code.co_filename):
            for scope in (frame.f_locals, frame.f_globals):
                _note(names, scope)
                for value in list(scope.values()):
                    if isinstance(value, Module):
                        list(value.named_parameters())  # names each parameter by its path
        frame = frame.f_back
    return names


def _note(names: dict[int, str], scope: Mapping[str, Any]) -> list[Any]:
    """Note the names in a scope, and return the values that are named now."""
    new = []
    for name, value in list(scope.items()):
        if (
            isinstance(value, (Tensor, np.ndarray))
            and name.isidentifier()
            and not name.startswith("_")
            and id(value) not in names
        ):
            names[id(value)] = name
            new.append(value)
    return new


class Watch:
    """Watches a run of a function: notes the lines, the modules, and values that were computed without a history.

    Attributes:
        seen: the notes.
    """

    def __init__(self) -> None:
        self.seen = Seen({}, {}, {}, {})
        self._kept: list[Any] = []  # kept alive so that no other object gets their ids
        self._paths: dict[int, tuple[Module, Mapping[Module, str]]] = {}

    def run(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run the function, and return its result."""
        with observing(self.note):
            result = f(*args, **kwargs)
        name = getattr(f, "__name__", type(f).__name__)
        if isinstance(result, Tensor) and name.isidentifier():
            self.seen.names.setdefault(id(result), name)
        return result

    def rest(self, over: Collection[Tensor]) -> "Watch":
        """A continuing watch with the latest notes of this one, without values that no longer exist."""
        names = Watch()

        def latest(notes: Mapping[Tensor, Any] | None) -> dict[Tensor, Any]:
            return dict([(x, noted) for x, noted in (notes or {}).items() if x not in over][-LATEST:])

        names.seen = Seen({}, latest(self.seen.sources), latest(self.seen.modules), latest(self.seen.made))
        return names

    def note(self, step: Step) -> None:
        """Note an operation."""
        made, result = self.seen.made, step.result
        assert made is not None
        follows = any(isinstance(x, Tensor) and (x.requires_grad or x in made) for x in step.inputs)
        if not isinstance(result, Tensor):
            if follows:
                self.seen.decisions.append(step.op)
            return
        self._kept.append(step)
        if follows and result.op is None:
            made[result] = step
        if step.source is not None:
            self.seen.sources[result] = step.source
        frame: FrameType | None = sys._getframe(2)
        inner, outer = None, None
        while frame is not None:
            if frame.f_code is Module.__call__.__code__:
                outer = frame.f_locals["self"]
                inner = inner or outer
            if is_users(frame.f_code.co_filename):
                self._kept += _note(self.seen.names, frame.f_locals)
            frame = frame.f_back
        if outer is not None and inner is not None:
            self.seen.modules[result] = self._path(outer, inner)

    def _path(self, outer: Module, inner: Module) -> str:
        if id(outer) not in self._paths:
            list(outer.named_parameters())
            self._paths[id(outer)] = outer, {module: path for path, module in outer.named_modules()}
        return self._paths[id(outer)][1].get(inner, type(inner).__name__)
