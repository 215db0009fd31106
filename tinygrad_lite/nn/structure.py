"""What a module consists of: its fields, the modules inside it, and the path of each."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from types import MethodType
from typing import Any, Self

from tinygrad_lite import trees
from tinygrad_lite.errors import RESTATED, InputError, UsageError
from tinygrad_lite.foundation.entrances import advise
from tinygrad_lite.foundation.signatures import signature

_ASIDE = frozenset({"_hooks", "_transient", "_computed", "_original", "_substitutes"})
"""Attributes that are not fields: hooks, buffers that are not saved, what is computed, the facts of a stand-in."""

_SETTINGS = frozenset({bool, int, float, str})
"""The types of most fields, which hold nothing and never will; nor does a tuple of them."""


class Structure(trees.Parametric):
    """An object whose fields are values, others of its kind, and lists, tuples and dicts of them."""

    _substitutes: Mapping[int, bool] = {}  # in a stand-in, by identity: whether the value replaces a parameter

    def fields(self) -> Mapping[str, Any]:
        """The module's fields by name: its attributes, unless a subclass says otherwise."""
        attributes = vars(self)
        if _ASIDE.isdisjoint(attributes):
            return attributes.copy()
        return {name: field for name, field in attributes.items() if name not in _ASIDE}

    def in_order(self) -> Sequence[tuple[str, Any]]:
        """The fields that may hold something, in the order in which they count."""
        return [
            item
            for item in self.fields().items()
            if (kind := type(item[1])) not in _SETTINGS
            and not (kind is tuple and _SETTINGS.issuperset(map(type, item[1])))
        ]

    def named_modules(self) -> Iterator[tuple[str, Any]]:
        """The module itself, under the empty path, and all modules inside it, in the order of their fields."""
        return once((path, field) for path, field, _ in walk(self) if isinstance(field, Structure))

    def modules(self) -> Iterator[Any]:
        """The module itself and all modules inside it."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """The path and the module of each field that is a module; those in lists, tuples and dicts are fields, too."""
        return once(parts(self))

    def children(self) -> Iterator[Any]:
        """The modules directly inside, each once."""
        return (module for _, module in self.named_children())

    def apply(self, function: Callable[[Any], Any]) -> Self:
        """Call a function once with each module, inner ones before outer ones; for example, to set initial values.

        Example:
            >>> import tinygrad_lite as tg
            >>> model = tg.nn.Sequential(tg.nn.Linear(2, 2), tg.nn.Tanh())
            >>> _ = model.apply(lambda module: print(type(module).__name__))
            Linear
            Tanh
            Sequential
        """
        ahead, seen = [(self, False)], {id(self)}
        while ahead:
            module, is_inside_done = ahead.pop()
            if is_inside_done:
                try:
                    function(module)
                except RESTATED as error:
                    advise(error)
                    raise
                continue
            inside = [child for child in module.children() if id(child) not in seen]
            seen |= set(map(id, inside))
            ahead += [(module, True), *((child, False) for child in reversed(inside))]
        return self

    def get_submodule(self, target: str) -> Any:
        """The module at a path such as `layers.0.attention`.

        Raises:
            InputError: if there is none; the message names those there are.
        """
        return self._at(
            target, "module", {path: field for path, field, _ in walk(self) if isinstance(field, Structure)}
        )

    def _at(self, target: str, kind: str, there: Mapping[str, Any]) -> Any:
        if target not in there:
            names = ", ".join(filter(None, there)) or "none"
            raise InputError(f"{type(self).__name__} has no {kind} {target!r}; there are: {names}")
        return there[target]

    def add_module(self, name: str, module: Any) -> None:
        """Make a module a field, as `self.name = module` does.

        Raises:
            UsageError: if it is not a module, or another kind of attribute has that name.
        """
        if module is not None and not isinstance(module, Structure):
            raise UsageError(f"add_module takes a name and a module, got {module!r} for {name}")
        self._register(name, module)

    register_module = add_module

    def _register(self, name: str, value: Any) -> None:
        """Make a value a field whose name may come from elsewhere."""
        if not isinstance(name, str) or not name or "." in name or hasattr(type(self), name):
            raise UsageError(
                f"{type(self).__name__} cannot have a field with the name {name!r}: it needs a name without dots that "
                "no method has"
            )
        setattr(self, name, value)

    def summary(self) -> str:
        """The call that makes such a module, in one line, for its `repr` and for messages."""
        return f"{type(self).__name__}({self.extra_repr()})"

    def extra_repr(self) -> str:
        """The settings in that call: by default the numbers, strings and booleans that differ from their defaults."""
        return self._written(
            {
                name: field
                for name, field in self.fields().items()
                if isinstance(field, (bool, int, float, str)) and name != "training" and not name.startswith("_")
            }
        )

    def _written(self, settings: Mapping[str, Any]) -> str:
        """Settings as arguments, without those that have their default, unless all of them do."""
        usual = _defaults(type(self).__init__)
        chosen = {name: value for name, value in settings.items() if name not in usual or usual[name] != value}
        return ", ".join(f"{name}={value!r}" for name, value in (chosen or settings).items())


@cache
def _defaults(function: Callable[..., Any]) -> Mapping[str, Any]:
    """The default of each argument that has one."""
    arguments = signature(function).parameters.values()
    return {argument.name: argument.default for argument in arguments if argument.default is not argument.empty}


Field = tuple[str, Any, Mapping[int, bool]]
"""A path, what is there, and the substitutes of the module whose field it is."""


def walk(module: Structure, recurse: bool = True) -> Iterator[Field]:
    """Each value in a module's fields and containers, and, if `recurse`, in those of the modules inside it.

    Parents come first. A module may refer back to the module that holds it. A list, tuple or dict may hold what is also
    a field, as in `self.layers = [self.first, self.last]`: that has the field's path alone, as in PyTorch.
    """
    yield "", module, module._substitutes
    fields = module.in_order()
    levels = [(iter(fields), "", id(module), module._substitutes, False, False)]
    above = {id(module)}
    known = {id(field) for _, field in fields}
    while levels:
        entries, start, owner, substitutes, is_container, is_contained = levels[-1]
        for name, field in entries:
            if is_container and id(field) in known:
                continue
            path = f"{start}{name}"
            if is_module := isinstance(field, Structure):
                yield path, field, field._substitutes
            elif not isinstance(field, (dict, list, tuple)):
                yield path, field, substitutes
                continue
            if id(field) in above or (is_module and not recurse) or not (inside := _inside(field)):
                continue
            contained = is_contained or not is_module
            if not contained:
                known.update([id(value) for _, value in inside])
            if is_module:
                substitutes = field._substitutes
            levels.append((iter(inside), f"{path}.", id(field), substitutes, not is_module, contained))
            above.add(id(field))
            break
        else:
            levels.pop()
            above.remove(owner)


def parts(module: Structure) -> Iterator[tuple[str, Any]]:
    """The path and the module of each field that is a module, also of the same module again."""
    return ((path, field) for path, field, _ in walk(module, recurse=False) if path and isinstance(field, Structure))


def _inside(field: Any) -> Sequence[tuple[Any, Any]]:
    if isinstance(field, Structure):
        return field.in_order()
    return list(field.items() if isinstance(field, dict) else enumerate(field))


def once(named: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Each value once, under the first of its names."""
    seen: set[int] = set()
    for path, value in named:
        if id(value) not in seen:
            seen.add(id(value))
            yield path, value


def exchanged(field: Any, stands_for: Mapping[int, Any]) -> Any:
    """A field with some of the values inside it replaced, by identity; the field itself if it holds none of them."""

    def replaced(leaf: Any) -> Any:
        if not callable(leaf):
            return stands_for.get(id(leaf), leaf)
        # a compiled function knows the module itself alone
        function = getattr(leaf, "__dict__", {}).get("__wrapped__", leaf)
        if isinstance(function, MethodType) and id(function.__self__) in stands_for:
            return MethodType(function.__func__, stands_for[id(function.__self__)])
        return stands_for.get(id(function), leaf)

    if not isinstance(field, (list, tuple, dict)):
        return replaced(field)
    leaves = trees.leaves(field)
    others = [replaced(leaf) for leaf in leaves]
    if all(other is leaf for other, leaf in zip(others, leaves)):
        return field
    remaining = iter(others)
    return trees.map_leaves(lambda _: next(remaining), field)
