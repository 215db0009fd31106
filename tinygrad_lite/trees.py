"""Trees are nested tuples, lists, dicts and dataclasses; these functions flatten them into leaves and rebuild them."""

from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager
from copy import copy
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

from tinygrad_lite.errors import UsageError

DEEPEST = 200
"""How deep containers may be nested; a container that contains itself exceeds any depth."""


class Parametric:
    """A leaf that holds parameters, such as a module; transforms treat it as the dict of its parameters."""

    def _for_transforms(self) -> "Opened":
        """What a transform does with this leaf."""
        raise NotImplementedError


class Holder:
    """A leaf that holds a value, such as an array that can be written into; transforms treat it as that value."""

    __slots__ = ()
    value: Any

    def holding(self, value: Any) -> Any:
        """Another leaf of this kind, for a result."""
        raise NotImplementedError


class Opened(NamedTuple):
    """What a transform does with a parametric leaf.

    Attributes:
        variables: the value of each parameter by its name, except those that are frozen.
        substituted: returns a block with a stand-in for the leaf that has other values for parameters of these names.
    """

    variables: Mapping[str, Any]
    substituted: Callable[[Mapping[str, Any]], AbstractContextManager[Any]]


def leaves(tree: Any) -> list[Any]:
    """The leaves of nested containers, in order; None is an empty container."""
    if not _is_container(type(tree)):
        return [tree]
    flat: list[Any] = []
    _mapped(flat.append, tree, 0)
    return flat


def is_flat(tree: tuple[Any, ...]) -> bool:
    """Whether a tuple contains leaves alone, as the arguments of most functions do."""
    return not any(map(_is_container, map(type, tree)))


def paths(tree: Any, name: str = "", depth: int = 0) -> list[str]:
    """The path of each leaf, in order: `name.key.index`.

    Example:
        >>> paths({"a": 1, "b": (2, [3])}, "p")
        ['p.a', 'p.b.0', 'p.b.1.0']
    """
    children = _children(tree, depth)
    if children is None:
        return [name]
    places = [(f"{name}.{key}" if name else str(key), child) for key, child in children.items()]
    return [path for place, child in places for path in paths(child, place, depth + 1)]


def structure(tree: Any, depth: int = 0) -> Hashable:
    """The containers without their leaves: equal for trees that differ only in their leaves."""
    children = _children(tree, depth)
    if children is None:
        return None
    # 1 and True are the same key to a dict, and not to a function that goes through the keys
    return type(tree), tuple((type(key), key, structure(child, depth + 1)) for key, child in children.items())


def map_leaves(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Replace each leaf by function(leaf, ...), with the leaves at the same place in the other trees as well.

    Raises:
        UsageError: if another tree has different containers (the message says where), or they are nested too deeply.

    Example:
        >>> map_leaves(lambda x: x + 1, {"a": 1, "b": (2, [3])})
        {'a': 2, 'b': (3, [4])}
        >>> map_leaves(lambda x, y: x * y, (1, [2]), (3, [4]))
        (3, [8])
    """
    return _mapped_together(function, tree, others, "", 0) if others else _mapped(function, tree, 0)


def _mapped(function: Callable[[Any], Any], tree: Any, depth: int) -> Any:
    kind = type(tree)
    if not _is_container(kind):
        return function(tree)
    if depth < DEEPEST:  # these kinds are made anew without a copy of the old one, which takes longer
        if kind is tuple or kind is list:
            return kind([_mapped(function, child, depth + 1) for child in tree])
        if kind is dict:
            return {key: _mapped(function, child, depth + 1) for key, child in tree.items()}
        if tree is None:
            return None
    children = _children(tree, depth) or {}
    return _rebuilt(tree, {key: _mapped(function, child, depth + 1) for key, child in children.items()})


def _mapped_together(function: Callable[..., Any], tree: Any, others: tuple[Any, ...], path: str, depth: int) -> Any:
    if not any(map(_is_container, map(type, (tree, *others)))):
        return function(tree, *others)
    kind = type(tree)
    is_row = depth < DEEPEST and kind in (tuple, list) and {kind} == {type(x) for x in others}
    if is_row and {len(tree)} == {len(x) for x in others}:
        rows = enumerate(zip(tree, *others))
        return kind([_mapped_together(function, x, tuple(y), f"{path}[{k}]", depth + 1) for k, (x, *y) in rows])
    children = _children(tree, depth)
    counterparts = [_children(other, depth) for other in others]
    for other, same in zip(others, counterparts):
        if (same is None) != (children is None) or (same or {}).keys() != (children or {}).keys():
            raise UsageError(
                f"the containers do not match{path and f' at {path}'}: expected {_kind(tree)}, got {_kind(other)}"
            )
    if children is None:
        return function(tree, *others)
    mapped = {
        key: _mapped_together(
            function,
            child,
            tuple(same[key] for same in counterparts if same is not None),
            f"{path}[{key!r}]",
            depth + 1,
        )
        for key, child in children.items()
    }
    return _rebuilt(tree, mapped)


def _children(tree: Any, depth: int) -> dict[Any, Any] | None:
    """The contents of a container by key, index or field; None for a leaf."""
    inside = children(tree)
    if inside and depth >= DEEPEST:
        raise UsageError(
            f"these containers are nested more than {DEEPEST} deep, or contain themselves: pass a flat list or an array"
        )
    return inside


def children(tree: Any) -> dict[Any, Any] | None:
    """What a container holds, by key, index or field, and nothing for None; None for a leaf."""
    if tree is None:
        return {}
    if isinstance(tree, dict):
        return dict(tree)
    if isinstance(tree, (tuple, list)):
        return dict(enumerate(tree))
    if _is_container(type(tree)):
        from dataclasses import fields  # which a program without a record does without

        return {field.name: getattr(tree, field.name) for field in fields(tree) if hasattr(tree, field.name)}
    return None


def _holds_children(kind: Any) -> bool:
    is_record = hasattr(kind, "__dataclass_fields__") and not issubclass(kind, Parametric)
    return is_record or issubclass(kind, (tuple, list, dict, type(None)))


_is_container: Callable[[Any], bool] = lru_cache(1000)(_holds_children)  # asked for each leaf of each call


def _rebuilt(tree: Any, children: dict[Any, Any]) -> Any:
    """A container of the same kind as `tree`, with these children."""
    if tree is None:
        return None
    made: Any
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        made = type(tree)(*children.values())
    elif isinstance(tree, (tuple, list)):
        try:
            made = type(tree)(list(children.values()))
        except TypeError:  # it holds values of one type alone, as PyTorch's sizes do
            return tuple(children.values())
    else:
        made = copy(tree)
        if isinstance(tree, dict):
            for key, child in children.items():
                made[key] = child  # a Counter's update adds up
        else:
            for name, child in children.items():
                object.__setattr__(made, name, child)  # works on a frozen dataclass, too
    if type(tree).__dictoffset__ and vars(tree):
        _keep_attributes(made, tree, children)
    return made


def _keep_attributes(made: Any, tree: Any, inside: dict[Any, Any]) -> None:
    """Give a rebuilt container the attributes of the former one, but for what a `cached_property` made of its entries.

    Some may be names of entries; in a dict whose entries are its attributes (`self.__dict__ = self`), all of them are.
    """
    if vars(tree) is tree:
        object.__setattr__(made, "__dict__", made)
        return
    kind, attributes = type(tree), vars(made)
    fields = getattr(kind, "__dataclass_fields__", ())
    others = [name for name in vars(tree) if name not in fields]
    keys = names_of_entries(tree) if others else {}
    for name in others:
        if is_remembered(kind, name):
            attributes.pop(name, None)
        else:
            attributes[name] = inside[keys[name]] if name in keys else vars(tree)[name]


def is_remembered(kind: type, name: str) -> bool:
    """Whether an attribute of this name is what a `cached_property` remembers, which is computed of the entries."""
    return isinstance(getattr(kind, name, None), cached_property)


def names_of_entries(tree: Any) -> dict[str, Any]:
    """The attributes of a container that are other names of what it holds, each with its key, index or field."""
    inside, names = children(tree) or {}, {}
    may_coincide = (bool, int, float, complex, str, type(None))
    keys = {id(x): key for key, x in reversed(inside.items()) if not isinstance(x, may_coincide)}
    for name, x in vars(tree).items():
        if name in inside and inside[name] is x:
            names[name] = name
        elif id(x) in keys:
            names[name] = keys[id(x)]
    return names


def _kind(tree: Any) -> str:
    inside = children(tree)
    if inside is None:
        return type(tree).__name__
    return f"{type(tree).__name__} of {len(inside) if type(tree) in (list, tuple) else [*inside]}"


def without_holders(tree: Any) -> tuple[Any, Holder | None]:
    """A tree with the values of its holders in their places, and one of these holders; None if there is none."""
    holders = [x for x in leaves(tree) if isinstance(x, Holder)]
    return (map_leaves(_held, tree), holders[0]) if holders else (tree, None)


def _held(x: Any) -> Any:
    while isinstance(x, Holder):
        x = x.value
    return x
