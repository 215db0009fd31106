"""The origin of values, which the graph does not hold: the user's names, and the line and module that made them."""

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import FrameType, ModuleType
from typing import Any

import numpy as np

from tinygrad_lite.checking.auditing.causes import Cause
from tinygrad_lite.checking.auditing.detachment import UNUSED, cut_off
from tinygrad_lite.engine.op import NO_PARAMS
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.explainer.graph import Seen, arrays_in
from tinygrad_lite.foundation.signatures import outside_of, signature
from tinygrad_lite.nn.module import Module
from tinygrad_lite.nn.substitution import original
from tinygrad_lite.ops.arithmetic.selection import argwhere, flatnonzero, stop_gradient
from tinygrad_lite.readers.recording import Source, Step, calling_line, hearing_exits, is_followed, is_users, observing
from tinygrad_lite.transforms.custom import recomputes
from tinygrad_lite.trees import children

LATEST = 1000  # values whose origin a continuing watch keeps; a long run would otherwise keep all
MOST = 1000  # containers and entries of one that are looked through for names
DEEPEST = 4  # of these, one in another
ENTRIES = 10_000  # under one name: a table in lists may have millions, none of them an array
EXITS = 100  # lines that looked at numbers
_COUNTING = flatnonzero, argwhere  # whose results are as long as their arguments have entries that are not 0
_PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None)})


def note_names_around(seen: Seen, frame: FrameType | None) -> None:
    """Note the names of tensors, arrays and models in the functions that are running, the innermost first.

    What is in a container or in an object of the user's own class is named by its path there, unless it has a name.
    Of libraries, only a function that asks for this is looked at: those that run the user's program, such as pytest or
    IPython, hold thousands of objects.
    """
    names: dict[int, str] = {}
    inside: dict[int, str] = {}
    models: list[tuple[str, Module]] = []  # in containers
    is_innermost = True
    while frame is not None:
        file = frame.f_code.co_filename
        if is_users(file) and (is_innermost or is_followed(file)):
            is_innermost = False
            for scope in (frame.f_locals, frame.f_globals):
                _note(names, scope)
                for name, value in list(scope.items()):
                    if name.startswith("_"):
                        continue
                    if isinstance(value, Module):
                        note_parameters(seen, value, name)
                    elif isinstance(value, Tensor) and value.op is None and hasattr(value, "index"):
                        seen.kept[id(value.data)] = value.data
                    elif name.isidentifier():
                        for path, x in _inside(name, value):
                            if isinstance(x, Module):
                                models.append((path, x))
                            else:
                                inside.setdefault(id(x), path)
        frame = frame.f_back
    for path, model in models:  # whose parameters may belong to a model with a name
        note_parameters(seen, model, path)
    seen.names.update(names)
    seen.names = inside | seen.names


def note_parameters(seen: Seen, model: Module, name: str) -> None:
    """Note that a model's parameters are in it; listing them names each by its path."""
    for _, parameter in model.named_parameters():
        if isinstance(parameter, Tensor):
            seen.owners.setdefault(parameter, name)


def _reached(f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call, the variables around the function, and the object whose method it is, by name."""
    reached: dict[str, Any] = {}
    with contextlib.suppress(ValueError, TypeError):  # it has none, or that of a function to which it adds arguments
        reached |= signature(f).bind(*args, **kwargs).arguments
    return reached | outside_of(f)[1] | {"self": getattr(f, "__self__", f)}


def _tensors_in(reached: Mapping[str, Any]) -> Iterator[Tensor]:
    """The tensors in these values, and the buffers of the models among them, such as running means."""
    for x in [*reached.values(), *(x for _, x in _inside("", reached))]:
        if isinstance(x, Tensor):
            yield x
        elif isinstance(x, Module):
            yield from (buffer for _, buffer in x.named_buffers() if isinstance(buffer, Tensor))


def _inside(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Tensors, arrays and models in a container or an object with their paths: `layers[0].w`, and w alone in a dict."""
    ahead, seen = [("", value, 0)], 0
    for path, container, depth in ahead:
        held = _held(container) if depth < DEEPEST else {}
        seen += len(held)
        if seen > ENTRIES:
            return
        for key, x in held.items():
            if type(x) in _PLAIN:
                continue
            if not (isinstance(key, str) and key.isidentifier()):
                inner = f"{path or name}[{key!r}]"
            elif not key.startswith("_"):
                inner = f"{path}.{key}" if path else key
            else:
                continue
            if isinstance(x, (Tensor, np.ndarray, Module)):
                yield inner, x
            elif len(ahead) < MOST:
                ahead.append((inner, x, depth + 1))


def _held(value: Any) -> Mapping[Any, Any]:
    """What is in a container, or in an object of a class that the user wrote."""
    kind = type(value)
    if isinstance(value, (dict, list, tuple)):
        return (children(value) or {}) if len(value) <= MOST else {}
    if isinstance(value, (Tensor, np.ndarray, Module, type, ModuleType)) or not hasattr(value, "__dict__"):
        return {}
    written = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return dict(vars(value)) if kind.__module__ == "__main__" or (written and is_users(written)) else {}


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
        self._holders: dict[int, Tensor] = {}  # of each array that follows the graph's values

    def run(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run the function, and return its result."""
        for x in _tensors_in(_reached(f, args, kwargs)):
            self._note_holder(x)  # before `x.detach()` is the first to be read
            self.seen.kept[id(x.data)] = x.data
        before = recomputes.set(False)  # the operations inside a checkpointed function, which is none itself
        try:
            with observing(self.note), hearing_exits(self.note_exit):
                result = f(*args, **kwargs)
        finally:
            recomputes.reset(before)
        for reached, value in _reached(f, args, kwargs).items():
            for path, x in _inside(reached, value):
                if not isinstance(x, Module):
                    self.seen.names.setdefault(id(x), path)
        name = getattr(f, "__name__", type(f).__name__)
        if isinstance(result, Tensor) and result.op is not None:
            steps = [step for step in self._kept if isinstance(step, Step)]
            self.seen.cut_off = cut_off(result, steps, self.seen.exits) | self._unused(steps)
        if isinstance(result, Tensor) and name.isidentifier():
            self.seen.names.setdefault(id(result), name)
        return result

    def _unused(self, steps: Sequence[Step]) -> dict[Tensor, Cause]:
        """The parameters that no operation took, of the models that were called as they are."""
        used = {x for step in steps for x in step.inputs if isinstance(x, Tensor)}
        called = [model for model in self._models if any(model is each for each in self._named.values())]
        parameters = [x for model in called for x in model.parameters() if isinstance(x, Tensor)]
        return {x: UNUSED for x in parameters if x.requires_grad and x not in used}

    def rest(self, over: Collection[Tensor]) -> "Watch":
        """A continuing watch with the latest notes of this one, without values that no longer exist."""
        names = Watch()

        def latest(notes: Mapping[Tensor, Any] | None) -> dict[Tensor, Any]:
            return dict([(x, noted) for x, noted in (notes or {}).items() if x not in over][-LATEST:])

        seen = self.seen
        names.seen = Seen({}, latest(seen.sources), latest(seen.modules), latest(seen.made), latest(seen.models))
        names.seen.constants = latest(seen.constants)
        return names

    def note(self, step: Step) -> None:
        """Note an operation."""
        made, result = self.seen.made, step.result
        assert made is not None
        for x in step.inputs:
            if isinstance(x, Tensor):
                self._note_holder(x)
        chosen = [x for parameter in step.params.values() for x in arrays_in(parameter) if id(x) in self._holders]
        follows = any(isinstance(x, Tensor) and (x.requires_grad or x in made) for x in step.inputs) or bool(chosen)
        if not isinstance(result, Tensor):
            if follows:
                self.seen.decisions.append(step.op)
            return
        self._kept.append(step)
        if follows:
            self._holders[id(result.data)] = result
            if step.op in _COUNTING or any(x.dtype.kind == "b" for x in chosen):
                self.seen.exits.setdefault(step.source, result)  # its length, which any code may ask for
        if result.op is None:
            (made if follows else self.seen.constants)[result] = step
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

    def _note_holder(self, x: Tensor) -> None:
        """Note whose array an input has; `detach()`, which is no operation, makes another tensor of the same array."""
        made, holder = self.seen.made, self._holders.get(id(x.data))
        assert made is not None
        if holder is not None and holder.data is not x.data:
            holder = None  # it has got another array since
        if x.requires_grad:
            self._holders[id(x.data)] = x if holder is None else holder
        elif x not in made and not hasattr(x, "index") and holder is not None:
            made[x] = Step(stop_gradient, (holder,), NO_PARAMS, x, None)

    def note_exit(self, tensor: Tensor) -> None:
        """Note the line that took numbers out of the graph, which may have acted on them."""
        self._note_holder(tensor)
        if len(self.seen.exits) < EXITS and (tensor.requires_grad or tensor in (self.seen.made or ())):
            self.seen.exits.setdefault(_own_line(calling_line()), tensor)

    def _place(self, calls: Sequence[FrameType]) -> tuple[str, str]:
        """The name of the outermost of the modules that are running, and the path of the innermost in it.

        A module that is no part of the outermost, such as one that a hook calls, is inside the module that calls it.
        """
        modules = [call.f_locals["self"] for call in calls]
        outermost, *others = map(original, modules)
        if outermost not in self._models:
            name = _name_outside(calls[0], modules[0])
            self._counts[name] += 1
            name = name if self._counts[name] == 1 else f"{name}_{self._counts[name]}"
            self._models[outermost] = name, {module: path for path, module in outermost.named_modules()}
        model, paths = self._models[outermost]
        if id(modules[0]) not in self._named:
            self._named[id(modules[0])] = modules[0]
            note_parameters(self.seen, modules[0], model)
        path = ""
        for module in others:
            kind = type(module).__name__
            path = paths.get(module) or (f"{path}.{kind}" if path else kind)
        return model, path


def _own_line(line: Source | None) -> Source | None:
    """The innermost line of the user's own, not of copy.deepcopy, say, which they called."""
    lines = () if line is None else (line, *line.callers)
    return next((x for x in lines if is_followed(x.file)), line)


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
