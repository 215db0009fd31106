"""Matches gradients from elsewhere with their arguments: by keys and names, never by order."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.op import Traced
from tinygrad_lite.errors import UsageError

FIXED = -1  # in place of the number of a variable
INTEGER, OTHER = -2, -3  # the same for arrays of integers, and for what is no array, which nobody asked to hold fixed


class Parts(dict[str, int]):
    """The numbers of the real and the imaginary part of one complex array."""


def matched(gradient: Any, arguments: Sequence[Any], names: Sequence[str], source: str) -> dict[int, Any]:
    """The gradient of each variable by its number, without those that are None, which are not to be checked.

    For several arguments, the gradient is a tuple or a dict by their names, which may leave out what has no variables.

    Args:
        arguments: the arguments, with the number of a variable, FIXED, INTEGER or OTHER in place of each leaf.
        source: what gave the gradient, for messages.

    Raises:
        UsageError: if the containers do not match, or if there is a gradient for what cannot vary, and would go
            unchecked; the message says where.
    """
    if gradient is None:
        raise UsageError(f"{source} gave None: does it end with `return`?")
    mistake = None
    for reading, expected, path in _readings(gradient, arguments, names):
        try:
            return dict(_pairs(reading, expected, path, source))
        except UsageError as error:
            mistake = mistake or error
    listed = ", ".join(name for name, argument in zip(names, arguments) if _varies(argument))
    raise mistake or UsageError(
        f"{source} gave {_kind(gradient)} for the arguments {listed}: give a tuple of one for each, or a dict by name"
    )


def _readings(gradient: Any, arguments: Sequence[Any], names: Sequence[str]) -> Iterator[tuple[Any, Any, str]]:
    """Readings of a gradient, most likely first: the gradient, the form that it should have, and the path of that."""
    by_name = dict(zip(names, arguments))
    varying = {name: argument for name, argument in by_name.items() if _varies(argument)}
    if isinstance(gradient, Mapping) and gradient.keys() & by_name.keys():
        yield gradient, by_name, ""
    single = [(gradient, argument, name) for name, argument in varying.items()] if len(varying) == 1 else []
    if single and not (isinstance(gradient, tuple) and isinstance(single[0][1], int)):
        yield single[0]
    if isinstance(gradient, (tuple, list)):
        for expected in (by_name, varying):
            if len(gradient) == len(expected):
                yield dict(zip(expected, gradient)), expected, ""
        if len(gradient) == len(by_name) and any(np.ndim(part) for part in gradient):
            return  # one for each argument, and no list of numbers for one of them
    yield from single


def _pairs(gradient: Any, expected: Any, path: str, source: str) -> Iterator[tuple[int, Any]]:
    """The number of each variable in a container, and its gradient."""
    if gradient is None:
        return
    if not _varies(expected):
        if any(number in (INTEGER, OTHER) for number in trees.leaves(expected)) and _has_entries(gradient):
            raise UsageError(
                f"{source} gave numbers for {path}, which is not an array of real numbers, so that they cannot be "
                f"checked: pass np.asarray({path}, float) in its place, or give None for its gradient"
            )
        return
    if isinstance(expected, Parts):
        array: Any = gradient if isinstance(gradient, Traced) else np.asarray(gradient)
        yield from zip(expected.values(), (np.real(array), np.imag(array)))
        return
    by_name = _has_names(gradient) and _has_names(expected)
    inside, contents = _contents(expected, by_name), _contents(gradient, by_name)
    if inside is None:
        if contents is not None and not _is_array(gradient):
            raise UsageError(f"{source} gave {_kind(gradient)} for {path}, which is one array{_advice(gradient)}")
        yield expected, gradient
        return
    if contents is None and list(inside) == list(range(np.shape(gradient)[-1] if np.ndim(gradient) else 0)):
        contents = {i: gradient[..., i] for i in inside}  # of a list of numbers, which have the last axis of an array
    if contents is None or (not _has_names(gradient) and any(isinstance(key, str) for key in inside)):
        raise UsageError(f"{source} gave {_kind(gradient)} for {path or 'the arguments'}, which is {_kind(expected)}")
    missing = [joined(path, key) for key, part in inside.items() if key not in contents and _varies(part)]
    unknown = [repr(key) for key in contents if key not in inside]
    if missing or unknown:
        facts = [f"nothing for {', '.join(missing)}"] * bool(missing)
        facts += [f"{', '.join(unknown)}, which {path or 'the function'} does not have"] * bool(unknown)
        advice = ": give None for what is not to be checked" if missing else ""
        raise UsageError(f"{source} gave {' but '.join(facts)}{advice}")
    for key, part in inside.items():
        if key in contents:
            yield from _pairs(contents[key], part, joined(path, key), source)


def _advice(gradient: Any) -> str:
    """What to do about a pair whose first part is a number: a function that returns its value beside the gradient."""
    is_pair = isinstance(gradient, (tuple, list)) and len(gradient) == 2
    has_value = is_pair and isinstance(gradient[0], (int, float, np.number)) and np.iterable(gradient[1])
    return ": leave out the value, and return the gradient alone" if has_value else ""


def _has_entries(gradient: Any) -> bool:
    """Whether a gradient has numbers other than 0."""
    return any(_is_array(leaf) and np.any(leaf) for leaf in trees.leaves(gradient))


def _is_array(tree: Any) -> bool:
    """Whether nested lists are those of an array."""
    try:
        return np.asarray(tree).dtype.kind in "fiubc"
    except (TypeError, ValueError):
        return False


def _varies(argument: Any) -> bool:
    return any(number >= 0 for number in trees.leaves(argument))


def _has_names(tree: Any) -> bool:
    return not isinstance(tree, (tuple, list)) or hasattr(tree, "_fields")


def _contents(tree: Any, by_name: bool) -> Mapping[Any, Any] | None:
    """What a container holds by key, name or index; None for a leaf."""
    if by_name and isinstance(tree, tuple):
        return dict(zip(tree._fields, tree))  # type: ignore[attr-defined]
    return tree if isinstance(tree, Mapping) else trees.children(tree)


def joined(path: str, key: Any) -> str:
    """The path of what a container at a path holds."""
    return f"{path}.{key}" if path else str(key)


def _kind(tree: Any) -> str:
    contents = _contents(tree, _has_names(tree))
    if contents is None:
        return "a number" if not np.ndim(tree) and _is_array(tree) else type(tree).__name__
    if _has_names(tree):
        return f"a {type(tree).__name__} with {', '.join(map(str, contents)) or 'nothing in it'}"
    return f"a {type(tree).__name__} of {len(contents)}"
