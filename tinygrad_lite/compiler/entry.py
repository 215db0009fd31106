"""The entry of a program: a generated function that checks in well under a microsecond whether the program fits.

It does what `Run.fits` and the executor do, but looks up every name beforehand. If anything has changed since the last
run, it returns MISS and leaves the call to them.
"""

from collections.abc import Callable, Sequence
from sys import getrefcount
from typing import Any

import numpy as np

from tinygrad_lite.engine import grad_mode
from tinygrad_lite.engine.tensor import Tensor, wrap

MISS = object()


class EntryWriter:
    """Collects the lines of such a function and the objects that they use.

    Attributes:
        scope: the objects, by name.
        tests: expressions that must all be false for the program to fit.
        body: the statements that run the program.
        results: the expressions for the leaves of the result.
        lock: the lock to hold meanwhile, if any.
    """

    def __init__(self, leaves: Sequence[Any]) -> None:
        self.scope: dict[str, Any] = {
            "MISS": MISS,
            "Tensor": Tensor,
            "wrap": wrap,
            "enabled": grad_mode.enabled,
            "getrefcount": getrefcount,
        }
        self.parameters = [f"x{i}" for i in range(len(leaves))]
        self.body: list[str] = []
        self.tests: list[str] = []
        self.results: list[str] = []
        self.lock: Any = None
        self._held: list[str] = []
        self._names: dict[int, str] = {}
        self._first: list[str] = []
        for i, x in enumerate(leaves):
            self._argument(i, x)
        self.tests.append(f"enabled.get() is not {bool(grad_mode.enabled.get())}")

    def name(self, thing: Any) -> str:
        """A name for an object in the function."""
        if id(thing) not in self._names:
            self._names[id(thing)] = name = f"o{len(self._names)}"
            self.scope[name] = thing
        return self._names[id(thing)]

    def _argument(self, i: int, x: Any) -> None:
        if not isinstance(x, Tensor):
            self._first.append(f"a{i} = x{i}")
        if isinstance(x, np.random.Generator):
            self.tests.append(f"type(x{i}) is not {self.name(type(x))}")
            return
        if not isinstance(x, (Tensor, np.ndarray, np.generic)):
            self.is_still(f"x{i}", x)
            return
        if isinstance(x, Tensor):
            self._first += [f"if type(x{i}) is not Tensor: return MISS", f"a{i} = x{i}._array"]
            self.tests.append(f"x{i}._requires_grad is not {x.requires_grad}")
            self.is_like(f"a{i}", x._array, is_unchanging=True)
        else:
            self.is_like(f"a{i}", x)

    def is_like(self, expression: str, value: Any, is_unchanging: bool = False, strides: Any = None) -> None:
        """Require that the value of an expression has this type and, if it is an array, this form.

        Args:
            is_unchanging: whether nobody ever writes to this array, as to that of a tensor.
            strides: the required layout of its entries in memory, if that matters.
        """
        tests = [f"type({expression}) is not {self.name(type(value))}"]
        if isinstance(value, np.ndarray):
            tests += [f"{expression}.shape != {value.shape!r}", f"{expression}.dtype is not {self.name(value.dtype)}"]
            if strides is not None:
                tests.append(f"{expression}.strides != {strides!r}")
        test = " or ".join(tests)
        if is_unchanging:
            test = f"{expression} is not {self.name(value)} and ({test})"
        self.tests.append(test)

    def is_still(self, expression: str, thing: Any) -> None:
        """Require that the value of an expression is this very object."""
        test = f"{expression} is not {self.name(thing)}"
        if test not in self.tests:
            self.tests.append(test)

    def held_by_nobody_else(self, things: Sequence[Any]) -> None:
        """Require that these objects have no more references than now, when nobody else has one."""
        self._held += map(self.name, things)

    def function(self, finish: Callable[..., Any] | None) -> Callable[..., Any]:
        """The function; `finish` makes its return value from the results, and is None if it returns the only result."""
        if self._held:
            exec(f"held = {', '.join(self._held)},", self.scope)  # noqa: S102
            exec("count = sum(map(getrefcount, held))", self.scope)  # noqa: S102
            self.tests.append("sum(map(getrefcount, held)) != count")  # all else being equal, it cannot be smaller
        result = self.results[0] if finish is None else f"{self.name(finish)}([{', '.join(self.results)}])"
        body = [*self.body, f"return {result}"]
        if self.lock is not None:
            acquire, release = self.name(self.lock.acquire), self.name(self.lock.release)
            body = [f"{acquire}()", "try:", *(f"    {line}" for line in body), "finally:", f"    {release}()"]
        lines = [*self._first, "if (", *_joined(self.tests), "): return MISS", *body]
        text = "\n".join([f"def entry({', '.join(self.parameters)}):", *(f"    {line}" for line in lines)])
        exec(compile(text, "<entry>", "exec"), self.scope)  # noqa: S102
        return self.scope["entry"]  # type: ignore[no-any-return]


def _joined(tests: list[str]) -> list[str]:
    return [tests[0], *(f"or {test}" for test in tests[1:])]
