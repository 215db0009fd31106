"""The origin of values, which the graph does not hold: the user's names, and the line and module that made them."""

import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from types import FrameType
from typing import Any

import numpy as np

from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.explainer.graph import Seen
from tinygrad_lite.nn.module import Module
from tinygrad_lite.nn.substitution import original
from tinygrad_lite.readers.recording import Step, calling_line, hearing_exits, is_users, observing

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
        self._models: dict[Module, tuple[str, Mapping[Module, str]]] = {}
        self._named: dict[int, Module] = {}
        self._counts: Counter[str] = Counter()

    def run(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run the function, and return its result."""
        with observing(self.note), hearing_exits(self._note_exit):
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

        seen = self.seen
        names.seen = Seen({}, latest(seen.sources), latest(seen.modules), latest(seen.made), latest(seen.models))
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
        calls: list[FrameType] = []
        while frame is not None:
            if frame.f_code is Module.__call__.__code__:
                calls.append(frame)
            if is_users(frame.f_code.co_filename):
                self._kept += _note(self.seen.names, frame.f_locals)
            frame = frame.f_back
        if calls:
            self.seen.models[result], self.seen.modules[result] = self._place(calls[::-1])

    def _note_exit(self, tensor: Tensor) -> None:
        """Note the first line that took numbers out of the graph, which may have acted on them."""
        if self.seen.exit is None and (tensor.requires_grad or tensor in (self.seen.made or ())):
            self.seen.exit = calling_line()

    def _place(self, calls: Sequence[FrameType]) -> tuple[str, str]:
        """The name of the outermost of the modules that are running, and the path of the innermost in it.

        A module that is no part of the outermost, such as one that a hook calls, is inside the module that calls it.
        """
        modules = [call.f_locals["self"] for call in calls]
        outermost, *others = map(original, modules)
        if id(modules[0]) not in self._named:
            self._named[id(modules[0])] = modules[0]
            list(modules[0].named_parameters())  # names each parameter by its path
        if outermost not in self._models:
            name = _name_outside(calls[0], modules[0])
            self._counts[name] += 1
            name = name if self._counts[name] == 1 else f"{name}_{self._counts[name]}"
            self._models[outermost] = name, {module: path for path, module in outermost.named_modules()}
        model, paths = self._models[outermost]
        path = ""
        for module in others:
            kind = type(module).__name__
            path = paths.get(module) or (f"{path}.{kind}" if path else kind)
        return model, path


def _name_outside(call: FrameType, module: Module) -> str:
    """The user's name for a module that is called, or the name of its class."""
    frame = call.f_back
    while frame is not None:
        if is_users(frame.f_code.co_filename):
            for name, value in [*frame.f_locals.items(), *frame.f_globals.items()]:
                if value is module:
                    return name
        frame = frame.f_back
    return type(module).__name__
