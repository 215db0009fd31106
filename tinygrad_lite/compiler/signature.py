"""The signature of a call: all that a program depends on in its arguments, as a key to look the program up by."""

import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from operator import is_
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.compiler.draws import GENERATORS
from tinygrad_lite.engine import grad_mode
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import UsageError

SCALARS = (bool, int, float, complex, np.generic, str, bytes, np.dtype, range, type(None))
"""Values that never change."""

_ARRAYS = (np.ndarray, np.generic)
_DEFINED_IN_PYTHON = 1 << 9  # the flag of a type that CPython calls a heap type


LARGEST = 2**31
"""Whole numbers from here on are constants, since a program's integers have 64 bits, and Python's have any size."""


class Signature(NamedTuple):
    """What a program depends on in the arguments of a call.

    Attributes:
        structure: the containers.
        forms: the form of each leaf.
        aliases: which leaves are the same tensor.
        has_gradients: whether the gradient mode is on.
        around: the attributes of containers of a user's class.
    """

    structure: Hashable
    forms: tuple[Hashable, ...]
    aliases: tuple[int, ...] | None
    has_gradients: bool
    around: tuple[Hashable, ...]

    def for_any(self, numbers: frozenset[int]) -> "Signature":
        """The signature that calls with other values of these leaves have, too, which are Python numbers."""
        if not numbers:
            return self
        forms = [known[0] if i in numbers else known for i, known in enumerate(self.forms)]  # type: ignore[index]
        return self._replace(forms=tuple(forms))


def signature(args: tuple[Any, ...], kwargs: Mapping[str, Any], leaves: Sequence[Any]) -> Signature:
    """The signature of a call with these values.

    Raises:
        UsageError: if an argument can change unnoticed, such as a deque.
    """
    structure = trees.structure(tree := (args, dict(kwargs)))
    around = tuple(filter(None, map(attributes, containers(tree))))
    return Signature(structure, tuple(map(form, leaves)), aliases(leaves), bool(grad_mode.enabled.get()), around)


def can_come_again(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether other objects can have the same signature: it names none that is known by its identity."""
    tree = args, dict(kwargs)
    are_known_by_value = all(isinstance(x, (Tensor, *_ARRAYS, *SCALARS)) for x in trees.leaves(tree))
    return are_known_by_value and not any(map(attributes, containers(tree)))


def numbers_among(leaves: Sequence[Any]) -> frozenset[int]:
    """Which leaves are Python numbers of which a program could take any value."""
    return frozenset([i for i, x in enumerate(leaves) if type(x) is float or (type(x) is int and abs(x) < LARGEST)])


def containers(tree: Any) -> list[Any]:
    """A container, and all those in it."""
    inside = trees.children(tree)
    return [] if inside is None else [tree, *(x for part in inside.values() for x in containers(part))]


def attributes(thing: Any) -> tuple[tuple[str, Hashable], ...]:
    """The attributes of a container, a number or a text of a user's class: the name and the form of each.

    Anything but a number or a text is known by its identity.
    """
    return tuple([(name, _form_of_attribute(key, x)) for name, key, x in attributes_of(thing)])


def attributes_of(container: Any) -> list[tuple[str, Any, Any]]:
    """The attributes of a container besides its fields: name, key of the entry that it is another name of, value."""
    kind = type(container)
    if not has_slots(kind) and (not kind.__dictoffset__ or vars(container) is container):
        return []
    fields, slots = fields_and_slots(container)
    held = getattr(kind, "__dataclass_fields__", ())
    keys = trees.names_of_entries(container) if fields else {}
    own = [name for name in fields if name not in held and not trees.is_remembered(kind, name)]
    named = [(name, keys.get(name), fields[name]) for name in own]
    return named + [(name, None, x) for name, x in slots.items() if name not in held]


def fields_and_slots(thing: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The attributes of an object that are kept in its dict, which is that dict itself, and those in slots."""
    state = object.__getstate__(thing)
    slots = state[1] if isinstance(state, tuple) else {}
    return (object.__getattribute__(thing, "__dict__") if type(thing).__dictoffset__ else {}), slots


def _has_slots(kind: type) -> bool:
    """Whether objects of a class have attributes that are not kept in a dict."""
    return any(getattr(base, "__slots__", ()) for base in kind.__mro__)


has_slots: Callable[[type], bool] = lru_cache(1000)(_has_slots)


def _form_of_attribute(key: Any, x: Any) -> Hashable:
    if key is not None:
        return "an entry", key
    return form(x) if isinstance(x, SCALARS) and not isinstance(x, np.generic) else Same(x)


def aliases(leaves: Sequence[Any]) -> tuple[int, ...] | None:
    """For each leaf that is a tensor or a generator, the first leaf that is the same; None if all differ."""
    those = [id(x) for x in leaves if isinstance(x, (Tensor, *GENERATORS))]
    return tuple(map(those.index, those)) if len(set(those)) < len(those) else None


def form(x: Any) -> Hashable:
    """The form of an argument that a program depends on: for a number from Python, or another object, its value."""
    if isinstance(x, Tensor):
        return Tensor, x.shape, x.dtype, x.requires_grad
    if isinstance(x, _ARRAYS):  # of a scalar, np.real makes a scalar, and of an array without dimensions an array
        return np.generic if isinstance(x, np.generic) else np.ndarray, x.shape, x.dtype
    if isinstance(x, GENERATORS):
        return (type(x),)
    if isinstance(x, (float, complex)):
        return type(x), repr(x), attributes(x)  # which tells 0.0 from -0.0, and one NaN not from another
    if isinstance(x, (set, frozenset)):
        return type(x), frozenset(map(form, x))
    if isinstance(x, slice):
        return slice, form(x.start), form(x.stop), form(x.step)
    if is_known_by_identity(x):
        return type(x), Same(x)
    try:
        hash(x)
    except (TypeError, ValueError):  # ValueError: of a memoryview
        raise UsageError(
            f"a compiled function got {type(x).__name__} as an argument, whose content may change without notice: "
            "pass a list, a tuple, a dict, a set or an array"
        ) from None
    return type(x), x


def is_known_by_identity(x: Any) -> bool:
    """Whether an object is one that a user's class defines, whose attributes may change; see reached.py for these."""
    kind = type(x)
    home = kind.__module__.partition(".")[0]
    is_a_users = bool(kind.__flags__ & _DEFINED_IN_PYTHON) and home not in ("numpy", *sys.stdlib_module_names)
    return (is_a_users or is_namespace(x)) and not isinstance(x, type)


def is_namespace(x: Any) -> bool:
    """Whether an object is a library's that exists to have attributes, such as the result of argparse."""
    return type(x).__module__ in ("types", "argparse") and type(x).__hash__ is None


def same(a: Any, b: Any) -> bool:
    """Whether a value can stand for another: the same object, or an equal number or text of the same type."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, (float, complex, np.inexact)):
        is_equal = repr(a) == repr(b)  # which tells 0.0 from -0.0, and one NaN not from another
    elif isinstance(a, tuple):
        is_equal = len(a) == len(b) and (all(map(is_, a, b)) or all(map(same, a, b)))
    else:
        is_equal = isinstance(a, SCALARS) and bool(a == b)
    return is_equal and attributes(a) == attributes(b)


class Same:
    """Equal only to another one for the same object, which it keeps alive, so that no other object gets its id."""

    __slots__ = ("_thing",)

    def __init__(self, thing: Any) -> None:
        self._thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other._thing is self._thing

    def __hash__(self) -> int:
        return id(self._thing)

    def __repr__(self) -> str:
        return repr(self._thing)
