"""Identifiers: a Python name for each value of a program, none used twice."""

import keyword
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from tinygrad_lite.compiler.program import Variable

# the source itself uses these names
_PYTHONS = ("dict", "range", "reversed", "zip", "str", "bool", "int", "float", "complex", "ValueError")
USED = ("np", "jnp", "jax", "scipy", "state", *_PYTHONS)


def identifier(name: str) -> str:
    """A Python name like this one: hidden_weight for hidden.weight, layer_0_weight for 0.weight, chi2 for chi².

    To Python, names that differ only in the forms of their letters are the same, so they have one form here (NFKC).
    """
    normal = unicodedata.normalize("NFKC", name)
    letters = "".join(letter if f"a{letter}".isidentifier() else "_" for letter in normal)
    made = re.sub(r"_+", "_", letters).strip("_") or "value"
    if not made.isidentifier():  # it begins with a digit, or with a mark
        made = f"layer_{made}"
    return f"{made}_" if keyword.iskeyword(made) or made in USED else made


def unique(names: Iterable[str]) -> list[str]:
    """A Python name like each of these, all different."""
    identifiers = Identifiers()
    return [identifiers[Variable((), None, name=name)] for name in names]


class Identifiers:
    """Names for the variables of a program, each given once; those of one loop may be given again in another."""

    def __init__(self, taken: tuple[str, ...] = ()) -> None:
        self._everywhere = {*taken, *USED}
        self._taken = set(self._everywhere)
        self._of: dict[Any, str] = {}
        self._count: dict[str, int] = {}
        self._called: dict[Any, Any] = {}
        self._scopes: dict[Any, set[str]] = {}

    def __getitem__(self, variable: Any) -> str:
        while variable in self._called:
            variable = self._called[variable]
        if variable not in self._of:
            base = identifier(getattr(variable, "name", None) or "value")
            scope = self._scopes.get(variable)
            taken = self._taken if scope is None else self._everywhere | scope
            name, count = base, 1 if scope is not None else self._count.get(base, 1)
            while name in taken:
                count += 1
                name = f"{base}_{count}"
            if scope is None:
                self._count[base] = count
                self._everywhere.add(name)
            else:
                scope.add(name)
            self._taken.add(name)
            self._of[variable] = name
        return self._of[variable]

    def share(self, variable: Any, other: Any) -> None:
        """Let another variable have the name of this one."""
        self._called[other] = variable

    def confine(self, variable: Any, scope: set[str]) -> None:
        """Give a variable a name that only the variables of its scope need differ from, and those of no scope."""
        self._scopes[variable] = scope
