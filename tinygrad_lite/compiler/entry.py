"""The entry of a program: a generated function that checks in well under a microsecond whether the program fits.

It does what `Run.fits` and the executor do, but looks up every name beforehand. If anything has changed since the last
run, it returns MISS and leaves the call to them; if an operation refuses its values, REFUSED, or it raises the error;
if the program goes another way at a branch, which of its branches that is, or it raises OtherWayError.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from itertools import combinations, compress
from operator import sub
from sys import getrefcount
from types import CodeType
from typing import Any

import numpy as np
from numpy._core import umath

from tinygrad_lite import trees
from tinygrad_lite.compiler.draws import GENERATORS
from tinygrad_lite.compiler.signature import LARGEST, SCALARS, aliases, attributes, has_slots, same
from tinygrad_lite.engine import grad_mode
from tinygrad_lite.engine.tensor import Tensor, wrap
from tinygrad_lite.errors import InputError


class NoResult:
    """What an entry returns if its program does not fit.

    Attributes:
        branches: how many branches the program has passed, if it has ended at the next one, where it goes another way.
    """

    def __init__(self, branches: int | None = None) -> None:
        self.branches = branches


class OtherWayError(InputError):
    """A program ends at a branch, where it goes another way than the function itself.

    Attributes:
        branches: how many branches it has passed.
    """

    def __init__(self, message: str, branches: int) -> None:
        super().__init__(message)
        self.branches = branches


MISS, REFUSED = NoResult(), NoResult()
errors_handling: Callable[[], Any] = getattr(getattr(umath, "_extobj_contextvar", None), "get", np.geterr)
"""NumPy's settings for floating-point errors; their variable is private to NumPy, but ten times faster to read."""
_GONE = (LookupError, AttributeError, TypeError, ValueError)
"""The errors of reading an entry, an attribute or a closure's variable that no longer exists."""


class EntryWriter:
    """Collects the lines of such a function and the objects that they use.

    The function takes the positional arguments and, if there are any, the dict of the keyword arguments.

    Attributes:
        scope: the objects, by name.
        parameters: the names of the leaves of the arguments.
        tests: expressions that must all be false for the program to fit.
        body: the statements that run the program.
        results: the expressions for the leaves of the result.
        lock: the lock to hold meanwhile, if any.
        is_over: an expression that is true once the program has moved to other memory by itself.
        is_possible: whether there can be a function for these arguments.
        read_gradients: the names of the tensors of gradients which the program reads, and does not only write.

    Args:
        numbers: the leaves that are Python numbers of which the program takes any value.
    """

    def __init__(
        self,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        layouts: Mapping[int, tuple[tuple[int, ...], tuple[int, ...]]],
        numbers: frozenset[int] = frozenset(),
    ) -> None:
        self.scope: dict[str, Any] = {
            "GONE": _GONE,
            "MISS": MISS,
            "REFUSED": REFUSED,
            "Tensor": Tensor,
            "wrap": wrap,
            "enabled": grad_mode.enabled,
            "ndarray": np.ndarray,
            "asarray": np.asarray,
            "ascontiguousarray": np.ascontiguousarray,
            "same": same,
        }
        self.parameters: list[str] = []
        self.body: list[str] = []
        self.tests: list[str] = []
        self.results: list[str] = []
        self.lock: Any = None
        self.is_over = "False"
        self.is_possible = True
        self.read_gradients: set[str] = set()
        self._layouts = layouts
        self._numbers = numbers
        self._tested: set[str] = set()
        self._held: list[str] = []
        self._positions: dict[str, int] = {}
        self._counts: list[int] = []
        self._let_others_keep: Callable[[Sequence[Any], bool], None] | None = None
        self._taking: Callable[[Sequence[Any]], Callable[..., Any]]
        self._counting: Callable[[Sequence[Any]], Any]
        self._references: Any
        self._left: dict[str, str] = {}
        self._owners: dict[str, str] = {}
        self._still: dict[tuple[str, str], None] = {}
        self._names: dict[int, str] = {}
        self._first: list[str] = []
        self._containers = 0
        self._header = [self._taken_apart(None, x) for x in args]
        if kwargs:
            self._header.append("keywords")
            for key, x in kwargs.items():
                self._taken_apart(f"keywords[{key!r}]", x)
        self._are_as_different(trees.leaves((args, dict(kwargs))))
        self.tests.append(f"enabled.get() is not {bool(grad_mode.enabled.get())}")

    def name(self, thing: Any) -> str:
        """A name for an object in the function."""
        if id(thing) not in self._names:
            self._names[id(thing)] = name = f"o{len(self._names)}"
            self.scope[name] = thing
        return self._names[id(thing)]

    def passed_in(self, i: int) -> str:
        """The expression for the array of an argument as the caller has it, wherever its entries lie."""
        return f"x{i}._array" if f"a{i}" in self._owners else f"x{i}"

    def _taken_apart(self, expression: str | None, x: Any) -> str:
        """Write how to take an argument apart, and its tests; return its name."""
        if trees.structure(x) is None:
            name = f"x{len(self.parameters)}"
            self.parameters.append(name)
            if expression is not None:
                self._first.append(f"{name} = {expression}")
            self._argument(len(self.parameters) - 1, x)
            return name
        name = f"c{self._containers}"
        self._containers += 1
        if expression is not None:
            self._first.append(f"{name} = {expression}")
        test, parts = self._parts(name, x)
        test += self._test_of_attributes(name, x)
        self._first.append(f"if type({name}) is not {self.name(type(x))}{test}: return MISS")
        for part, value in parts:
            self._taken_apart(part, value)
        return name

    def _test_of_attributes(self, name: str, x: Any) -> str:
        """The test that a container has the same attributes besides what it holds."""
        known = attributes(x)
        if known or has_slots(type(x)):
            return f" or {self.name(attributes)}({name}) != {self.name(known)}"
        return f" or len({name}.__dict__) != {len(vars(x))}" if type(x).__dictoffset__ else ""

    def _parts(self, name: str, x: Any) -> tuple[str, list[tuple[str, Any]]]:
        """The rest of the test of a container, and the expressions for its parts with their values."""
        if x is None:
            return "", []
        if isinstance(x, dict):
            self.is_possible &= all(type(key) is str for key in x)
            parts = [(f"{name}[{key!r}]", value) for key, value in x.items()]
            return f" or tuple({name}) != {tuple(x)!r}", parts
        if isinstance(x, (tuple, list)):
            return f" or len({name}) != {len(x)}", [(f"{name}[{i}]", part) for i, part in enumerate(x)]
        names = [field.name for field in fields(x)]
        self.is_possible &= all(hasattr(x, name) for name in names)
        return "", [(f"{name}.{field}", getattr(x, field, None)) for field in names]

    def leaves(self, expression: str, x: Any) -> Iterator[tuple[str, Any]]:
        """The expressions for the leaves of a value, each with the leaf."""
        if trees.structure(x) is None:
            yield expression, x
        else:
            for part, inside in self._parts(expression, x)[1]:
                yield from self.leaves(part, inside)

    def _argument(self, i: int, x: Any) -> None:
        if not isinstance(x, Tensor):
            self._first.append(f"a{i} = x{i}")
        if isinstance(x, GENERATORS):
            self.tests.append(f"type(x{i}) is not {self.name(type(x))}")
            return
        if i in self._numbers:
            limit = "" if type(x) is float else f" or not {-LARGEST} < x{i} < {LARGEST}"
            self.tests.append(f"type(x{i}) is not {self.name(type(x))}{limit}")
            return
        if not isinstance(x, (Tensor, np.ndarray, np.generic)):
            self.is_the_same(f"x{i}", x)
            return
        if isinstance(x, Tensor):
            self._first += [f"if type(x{i}) is not Tensor: return MISS", f"a{i} = x{i}._array"]
            self._owners[f"a{i}"] = f"x{i}"
            self.tests.append(f"x{i}._requires_grad is not {x._requires_grad}")
            self.is_like(f"a{i}", x._array, is_unchanging=True)
        else:
            self.is_like(f"a{i}", x)
        if i in self._layouts:
            strides, order = self._layouts[i]
            self.tests.append(f"a{i}.strides != {strides!r} and (a{i} := {_laid_out(f'a{i}', order)}) is None")

    def _are_as_different(self, leaves: Sequence[Any]) -> None:
        """Require that two arguments are the same tensor or generator only if they were so before."""
        those = [(name, x) for name, x in zip(self.parameters, leaves) if isinstance(x, (Tensor, *GENERATORS))]
        firsts = range(len(those)) if (same_as := aliases(leaves)) is None else same_as
        self.tests += [f"{name} is not {those[j][0]}" for i, ((name, _), j) in enumerate(zip(those, firsts)) if i != j]
        distinct = [those[i][0] for i in sorted(set(firsts))]
        if len(distinct) > 4:
            self.tests.append(f"len({{{', '.join(f'id({name})' for name in distinct)}}}) != {len(distinct)}")
        else:
            self.tests += [f"{a} is {b}" for a, b in combinations(distinct, 2)]

    def heeds_errors(self) -> None:
        """Require NumPy's present settings for floating-point errors, since native code reports no errors."""
        self.scope["errors"] = errors_handling
        differ = "!=" if errors_handling is np.geterr else "is not"
        self.tests.append(f"errors() {differ} {self.name(errors_handling())}")

    def laid_out(self, expression: str, strides: tuple[int, ...], order: Sequence[int]) -> str:
        """The name of an array whose entries lie in this way in memory: that of an expression, or a copy of it."""
        name = f"w{len(self.body)}"
        self.body.append(f"{name} = {expression}")
        self.body.append(f"if {name}.strides != {strides!r}: {name} = {_laid_out(name, (*order,))}")
        return name

    def is_like(self, expression: str, value: Any, is_unchanging: bool = False) -> None:
        """Require that the value of an expression has this type and, if it is an array, this form.

        Args:
            is_unchanging: whether nobody ever writes to this array, as to that of a tensor.
        """
        tests = [f"type({expression}) is not {self.name(type(value))}"]
        if isinstance(value, np.ndarray):
            tests += [f"{expression}.shape != {value.shape!r}", f"{expression}.dtype is not {self.name(value.dtype)}"]
        test = " or ".join(tests)
        if is_unchanging:
            test = f"{expression} is not {self.name(value)} and ({test})"
        self._tested.add(expression)
        self.tests.append(test)

    def keeps_its_form(self, expression: str, value: Any) -> None:
        """Require that the value of an expression has this form, unless it is what the last run has left there."""
        name = f"last{len(self._left)}"
        self._left[name] = expression
        self.scope[name] = value
        self.is_like(expression, value)
        self.tests[-1] = f"{expression} is not {name} and ({self.tests[-1]})"

    def is_tested(self, expression: str) -> bool:
        """Whether there is a test of the value of this expression already."""
        return expression in self._tested

    def is_the_same(self, expression: str, value: Any) -> None:
        """Require that the value of an expression is this object, or an equal number or text of the same type."""
        if type(value) is tuple and not value:  # there is only one
            self.tests.append(f"{expression} is not {self.name(value)}")
        elif type(value) is tuple and all(type(x) is str for x in value):
            self.tests.append(f"{expression} != {value!r}")
        elif isinstance(value, bool) or value is None:
            self.tests.append(f"{expression} is not {value}")
        elif type(value) is bytes:
            self.tests.append(f"{expression} != {self.name(value)}")
        elif isinstance(value, (*SCALARS, tuple)):
            name = self.name(value)
            self.tests.append(f"{expression} is not {name} and not same({expression}, {name})")
        else:
            self.is_still(expression, value)

    def is_still(self, expression: str, thing: Any) -> None:
        """Require that the value of an expression is this very object."""
        self._tested.add(expression)
        self._still[expression, self.name(thing)] = None

    def held_by_nobody_else(
        self,
        names: Sequence[str],
        let_others_keep: Callable[[Sequence[Any], bool], None],
        taking: Callable[[Sequence[Any]], Callable[..., Any]],
        counting: Callable[[Sequence[Any]], Any],
    ) -> None:
        """Require that the objects of these names have no more references than now, when nobody else has one.

        Args:
            let_others_keep: replaces objects that have more by others of the same names, given the leaves of a call,
                and whether all expressions have the values that the entry knows.
            taking: makes, for some of the arrays, a function of what is in their places and of themselves, in turn,
                which copies the entries; it returns True if they have other forms.
            counting: makes `References` to these objects: there cannot be fewer than before, all else being equal, so
                others hold an object if there are not as many.
        """
        self._held = [*names]
        self._positions = {name: i for i, name in enumerate(names)}
        self._let_others_keep, self._taking, self._counting = let_others_keep, taking, counting

    def references_beyond(self) -> dict[str, int]:
        """How many references each of these objects has beyond those that it had, where that has changed."""
        more = [*map(sub, map(getrefcount, self.scope["held"]), self._counts)]
        return dict(compress(zip(self._held, more), more))

    def renames(self, name: str, thing: Any) -> None:
        """Give the name of one of these objects to another one, and hold that instead."""
        i = self._positions[name]
        self.scope[name] = self.scope["held"][i] = thing
        self._references.replace(i, thing)

    def function(self, finish: Callable[..., Any], takes_leaves: bool, whole: str | None) -> Callable[..., Any]:
        """The function.

        Args:
            finish: makes its return value from the list of the results.
            takes_leaves: whether `finish` also takes the leaves of the arguments.
            whole: the expression for the return value, if it is known; then `finish` is not needed.
        """
        before, after = self._in_their_places()
        leaves = f", ({self._leaves})" if takes_leaves else ""
        result = whole or f"{self.name(finish)}([{', '.join(self.results)}]{leaves})"
        left = [f"{name} = {expression}" for name, expression in self._left.items()]
        names = [f"global {', '.join(self._left)}"] if left else []
        body = [*before, *self.body, *after, *left, f"return {result}"]
        if self.lock is not None:
            acquire, release = self.name(self.lock.acquire), self.name(self.lock.release)
            body = [f"{acquire}()", "try:", *(f"    {line}" for line in body), "finally:", f"    {release}()"]
        still = [f"{expression} is not {name}" for expression, name in self._still]
        tests = [*self._first, "if (", *_joined([*self.tests, *still]), "): return MISS"]
        lines = [*names, "try:", *(f"    {line}" for line in tests), "except GONE: return MISS", *body]
        text = "\n".join([f"def entry({', '.join(self._header)}):", *(f"    {line}" for line in lines)])
        exec(_code(text), self.scope)  # noqa: S102
        return self.scope["entry"]  # type: ignore[no-any-return]

    def _in_their_places(self) -> tuple[list[str], list[str]]:
        """Lines before and after the run that put arrays into the places which nobody else holds.

        An array that somebody holds by now is theirs, and the place gets another with the same entries.
        If other code, such as another program, has put its own arrays into the places, those are copied; a gradient
        which the program only writes is put there after the run.
        """
        if not self._held:
            return [], []
        self.scope["held"] = [self.scope[name] for name in self._held]
        self._counts = [*map(getrefcount, self.scope["held"])]
        self._references = self._counting(self.scope["held"])
        self.scope["sums"] = self._references.sums
        counted = f"{self.name(self._references.differ)}()"
        movable = [key for key in self._still if key[1] in self._held]
        gradients = {name: expression for expression, name in movable if isinstance(self.scope[name], Tensor)}
        moved = " + ".join(["0", *(f"({expression} is not {name})" for expression, name in movable)])
        anybody = " or ".join([*(f"{expression} is not {name}" for expression, name in movable), counted])
        forms, pairs, puts, after = [], [], [], []
        for expression, name in movable:
            del self._still[expression, name]
            if name in gradients:
                continue
            owner = expression.removesuffix("._array")
            argument = self._owners.get(expression)  # which may be a result, and then takes no new array
            put = [f"{argument}.replace({name})" if argument else f"{expression} = {name}"]
            if owner in gradients:
                put.append(f"{gradients[owner]} = {owner}")
                if owner not in self.read_gradients:
                    after += [f"    {line}" for line in put]
                    continue
                forms.append(f"    if type({gradients[owner]}) is not Tensor: return MISS")
                expression = f"{gradients[owner]}._array"
            pairs += [expression, name]
            puts += [f"    {line}" for line in put]
        let_others_keep = f"{self.name(self._let_others_keep)}(({self._leaves}), not others)"
        if pairs:
            take = self.name(self._taking([self.scope[name] for name in pairs[1::2]]))
            puts = [f"    if {take}({', '.join(pairs)}): return MISS", *puts]
        before = [
            f"if is_moved := ({anybody}):",
            f"    if {self.is_over}: return MISS",
            *forms,
            f"    others = {moved}",
            # it is never None, but then the sums are of now
            f"    if not others or {counted} is None or sums[0] != sums[1] - others: {let_others_keep}",
        ]
        if puts:
            before += ["    if others:", *(f"    {line}" for line in puts)]
        return before, ["if is_moved:", *after] if after else []

    @property
    def _leaves(self) -> str:
        return "".join(f"{x}, " for x in self.parameters)


@lru_cache(1000)  # functions that differ only in the objects that they use have the same text
def _code(text: str) -> CodeType:
    return compile(text, "<entry>", "exec")


def _laid_out(array: str, order: tuple[int, ...]) -> str:
    """The expression for an array whose axes follow one another in memory in this order."""
    if order == tuple(range(len(order))):
        return f"ascontiguousarray({array})"
    return f"ascontiguousarray({array}.transpose({order!r})).transpose({tuple(map(int, np.argsort(order)))!r})"


def _joined(tests: list[str]) -> list[str]:
    return [f"({tests[0]})", *(f"or ({test})" for test in tests[1:])]
