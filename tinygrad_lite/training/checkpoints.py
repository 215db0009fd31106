"""Checkpoints: the whole state of a run in one file, from which it continues as if it had never stopped.

The file has the format safetensors. It holds the arrays of all states, and everything else as JSON in its metadata.
Nothing in it is ever executed.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.op import Array
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.foundation.whole_files import replace
from tinygrad_lite.nn.module import Module
from tinygrad_lite.training import encoding, weight_files
from tinygrad_lite.training.snapshot import Saved, restore, state_of

_FORMAT = 2
"""The version of the metadata's layout; version 1 had no gradients, no frozen layers, no complex128, and no checksum at
first."""
_CHECKSUM = ', "checksum": "{}"}}'
"""How the metadata end."""
_KEY = "tinygrad_lite"
_NUMBERS = (int, float, np.ndarray, np.generic)


def save(path: str | os.PathLike[str], /, *unnamed: Any, **contents: Any) -> None:
    """Write a checkpoint of models, optimisers, schedules, generators, loaders and values, each under a name.

    It holds the state of whatever has `state_dict` and `load_state_dict`; the state of each `numpy.random.Generator`;
    and values: numbers, strings, None, arrays, tensors, and lists, tuples and dicts of these. Of a module, it also has
    the generators that its layers draw from; which layers are in evaluation mode although the module is in training;
    and, beside an optimiser, the gradients, such as those in the middle of an accumulation. The file has the format
    safetensors, and other libraries read its arrays: those of `model` have the names of its state dict, those of any
    other name begin with that name and a slash.

    The file is written whole or not at all: if the process is killed, or the disk is full, the previous file stays.

    Raises:
        UsageError: if a value is of any other kind; nothing is written then.
        FileError: if the file cannot be written; what was there before is unchanged.
        MissingExtraError: if safetensors is not installed.

    Example:
        >>> import tempfile, numpy as np, tinygrad_lite as tg
        >>> model = tg.nn.Sequential(tg.nn.Linear(3, 1, rng=0), tg.nn.Dropout(0.5, rng=1))
        >>> optimizer = tg.optim.Adam(model.parameters())
        >>> path = tempfile.mkdtemp() + "/run.safetensors"
        >>> tg.save(path, model=model, optimizer=optimizer, epoch=3)
        >>> tg.load(path, model=model, optimizer=optimizer)["epoch"]
        3
    """
    if unnamed or not contents:
        raise UsageError(
            "save takes the path, and what to save by name, such as tg.save(path, model=model, optimizer=optimizer)"
        )
    arrays: dict[str, Array] = {}
    names = sorted(contents, key=lambda name: name != "model")  # whose arrays have the plain names
    states = {name: state_of(contents[name]) for name in names}
    if not any(hasattr(thing, "param_groups") for thing in contents.values()):
        for state in states.values():  # the model is not trained on from here
            if isinstance(state, Saved):
                state.gradients = None
    encoded = {name: _encoded(state, name, arrays) for name, state in states.items()}
    about = json.dumps({"format": _FORMAT, "contents": encoded}, allow_nan=False)
    text = about[:-1] + _CHECKSUM.format(weight_files.checksum(arrays, about))
    if len(text) > weight_files.LARGEST_HEADER // 2:
        raise UsageError(f"there are {len(text):,} bytes besides the arrays: turn long lists of numbers into arrays")
    replace(path, weight_files.written(arrays, {_KEY: text}))


def load(path: str | os.PathLike[str], /, *unnamed: Any, **objects: Any) -> dict[str, Any]:
    """Read a checkpoint that `save` wrote, and let objects of the same kind go on from it.

    Pass the objects whose states are to be restored, under their names. All of them are restored or none, after the
    whole file has been checked. The result has all that was saved: the objects that you passed, and under the other
    names the values, the state dicts, and new generators.

    Raises:
        FileNotFoundError, FileError: if there is no such file, or no regular one.
        InputError: if it is damaged, no checkpoint, or from a later version, or if a state does not fit its object; no
            object changes then.
        ShapeError: if an array does not fit its object; no object changes then.
        UsageError: if an object has no state to restore, or no name.
        MissingExtraError: if safetensors is not installed.

    Example:
        >>> import tempfile, numpy as np, tinygrad_lite as tg
        >>> path = tempfile.mkdtemp() + "/run.safetensors"
        >>> rng = np.random.default_rng(0)
        >>> tg.save(path, rng=rng, losses=[0.5, 0.25])
        >>> number = rng.random()
        >>> contents = tg.load(path, rng=rng)
        >>> contents["losses"], rng.random() == number
        ([0.5, 0.25], True)
    """
    if unnamed or not isinstance(path, (str, os.PathLike)):
        raise UsageError(
            "load takes the path, and what to restore under the name that it was saved with, such as "
            "tg.load(path, model=model, optimizer=optimizer)"
        )
    place = os.fspath(path)
    contents = _contents(path)
    before = {}
    for name, thing in objects.items():
        if name not in contents:
            raise InputError(f"{place} has no {name!r}; it has {', '.join(contents)}")
        before[name] = own = state_of(thing)
        if not isinstance(own, (Saved, np.random.Generator, type(None))):
            raise UsageError(f"{name} has no state to restore: leave it out, and use load(path)[{name!r}]")
        if problem := _misfit(name, thing, own, contents[name]):
            raise InputError(f"{place} does not fit: {problem}")
    changed = []
    try:
        for name, thing in objects.items():
            changed.append(name)
            restore(thing, contents[name])
    except BaseException as error:
        for name in reversed(changed):
            restore(objects[name], before[name])
        if not isinstance(error, Exception):
            raise
        kind = ShapeError if isinstance(error, ShapeError) else InputError
        raise kind(f"{place} does not fit: {changed[-1]}: {error}") from error
    values = {name: saved.state if isinstance(saved, Saved) else saved for name, saved in contents.items()}
    return {**values, **objects}


def _misfit(name: str, thing: Any, own: Any, saved: Any) -> str | None:
    """What is wrong with a saved state for an object that has this one; `load_state_dict` says what else there is."""
    if type(own) is not type(saved):
        return f"{name} is {_in_words(own)}, and was saved as {_in_words(saved)}"
    if isinstance(own, np.random.Generator):
        kinds = type(own.bit_generator).__name__, type(saved.bit_generator).__name__
        return None if kinds[0] == kinds[1] else f"{name} is a generator {kinds[0]}, and was saved as {kinds[1]}"
    if own is None:
        return None
    if own.generators.keys() != saved.generators.keys():
        return (
            f"the layers of {name} draw from the generators {', '.join(own.generators) or '(none)'}, and when it was "
            f"saved from {', '.join(saved.generators) or '(none)'}; its arrays alone are load(path)[{name!r}]"
        )
    for path, generator in own.generators.items():
        if problem := _misfit(f"{name}.{path}", generator, generator, saved.generators[path]):
            return problem
    if isinstance(thing, Module):  # names and shapes decide, and not the class
        return _gradient_misfit(name, thing, saved)
    if own.kind != saved.kind:
        return f"{name} is of class {own.kind}, and was saved as {saved.kind}"
    return _difference(name, own.state, saved.state)


def _gradient_misfit(name: str, module: Module, saved: Saved) -> str | None:
    parameters = dict(module.named_parameters())
    for path, gradient in (saved.gradients or {}).items():
        if path not in parameters:
            return f"{name} has no parameter {path!r}, but a gradient of it was saved"
        if parameters[path].shape != gradient.shape or gradient.dtype.kind != "f":
            return (
                f"the parameter {path!r} of {name} has shape {parameters[path].shape}, and a gradient of it was saved "
                f"with shape {gradient.shape} and dtype {gradient.dtype}"
            )
    return None


def _in_words(state: Any) -> str:
    if isinstance(state, Saved):
        return f"an object of class {state.kind}"
    return "a generator" if isinstance(state, np.random.Generator) else f"the value {state!r:.40}"


def _difference(path: str, own: Any, saved: Any) -> str | None:
    """Where a saved state has a value of another kind than the object's own state, if anywhere."""
    if own is None or (saved is None and not isinstance(own, _NUMBERS)):
        return None
    for kinds in (_NUMBERS, str, dict, (list, tuple)):
        if isinstance(own, kinds) != isinstance(saved, kinds):
            return f"{path} was saved as {saved!r:.40}, where the object has a value such as {own!r:.40}"
    inside, others = trees.children(own) or {}, trees.children(saved) or {}
    differences = (_difference(f"{path}.{key}", x, others[key]) for key, x in inside.items() if key in others)
    return next(filter(None, differences), None)


def _encoded(state: Any, name: str, arrays: dict[str, Array]) -> dict[str, Any]:
    """A value, or the state of an object, as JSON."""
    if not isinstance(state, Saved):
        return {"value": encoding.write(state, name, arrays)}
    return {
        "kind": state.kind,
        "state": encoding.write(state.state, "" if name == "model" else name, arrays),
        "generators": encoding.write(state.generators, f"{name}/generators", arrays),
        "gradients": encoding.write(state.gradients, f"{name}/gradients", arrays),
        "frozen": encoding.write(state.frozen, name, arrays),
    }


def _decoded(entry: Any, arrays: Mapping[str, Array]) -> Any:
    if "value" in entry:
        return encoding.read(entry["value"], arrays)
    state, generators = (encoding.read(entry[part], arrays) for part in ("state", "generators"))
    if not all(isinstance(x, np.random.Generator) and isinstance(path, str) for path, x in generators.items()):
        raise InputError(f"{generators!r:.80} is not a dict of generators by path")
    gradients, frozen = (encoding.read(entry.get(part), arrays) for part in ("gradients", "frozen"))
    if not all(isinstance(x, np.ndarray | np.generic) for x in (gradients or {}).values()):
        raise InputError(f"{gradients!r:.80} is not a dict of gradients by path")
    if not all(isinstance(path, str) for path in frozen or []):
        raise InputError(f"{frozen!r:.80} is not a list of layers' paths")
    return Saved(str(entry["kind"]), state, generators, gradients, frozen)


def _refuse(constant: str) -> None:
    raise InputError(f"it has the number {constant}, which JSON lacks")


def _is_whole(text: str, arrays: Mapping[str, Array], about: Any) -> bool:
    """Whether the metadata end with the checksum of what is before it; the first format may have none."""
    if about["format"] < 2 and "checksum" not in about:
        return True
    length = len(_CHECKSUM.format("0" * 8))
    return text[-length:] == _CHECKSUM.format(weight_files.checksum(arrays, text[:-length] + "}"))


def _contents(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a checkpoint holds, by name."""
    place = os.fspath(path)
    arrays, metadata = weight_files.read(path)
    if _KEY not in metadata:
        raise InputError(
            f"{place} is not a checkpoint of tg.save; to load its arrays: model.load_state_dict(tg.from_torch(path))"
        )
    try:
        about = json.loads(metadata[_KEY], parse_constant=_refuse)
        if about["format"] > _FORMAT:
            raise InputError(
                f"a later version of tinygrad_lite wrote it, in format {about['format']}, and this one reads up to "
                f"format {_FORMAT}: install a later one"
            )
        if not _is_whole(metadata[_KEY], arrays, about):
            raise InputError(
                "it is damaged: its contents are not what was saved; if another program changed it on purpose, "
                "model.load_state_dict(tg.from_torch(path)) takes its arrays"
            )
        return {name: _decoded(entry, arrays) for name, entry in about["contents"].items()}
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise InputError(f"{place} cannot be read: {error}") from error
