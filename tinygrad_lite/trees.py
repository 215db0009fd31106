"""Floor 0. Nested tuples, lists and dicts: taken apart into leaves and put together again."""

from collections.abc import Callable
from copy import copy
from typing import Any


def leaves(tree: Any) -> list[Any]:
    """The leaves of nested containers, in order; None is an empty container."""
    found: list[Any] = []
    _walk(tree, found.append)
    return found


def map_leaves(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same containers with each leaf replaced by function(leaf).

    Example:
        >>> map_leaves(lambda x: x + 1, {"a": 1, "b": (2, [3])})
        {'a': 2, 'b': (3, [4])}
    """
    return _walk(tree, function)


def _walk(tree: Any, function: Callable[[Any], Any]) -> Any:
    if tree is None:
        return None
    if isinstance(tree, dict):
        same_kind = copy(tree)
        same_kind.update((key, _walk(value, function)) for key, value in tree.items())
        return same_kind
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(_walk(value, function) for value in tree))
    if isinstance(tree, (tuple, list)):
        return type(tree)([_walk(value, function) for value in tree])
    return function(tree)
