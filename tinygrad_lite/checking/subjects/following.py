"""Copies of functions that others wrote for arrays, which run with tensors, to see what they compute.

Such a function reads copies: arrays that can hold tensors, the functions that it calls, and the objects whose methods
they are. So it may write into all of them.
"""

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from functools import cache, partial, wraps
from types import CellType, CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.array_api.functionalizing import functionalize
from tinygrad_lite.array_api.numpys_names import STAND_INS
from tinygrad_lite.array_api.writing import Writable
from tinygrad_lite.checking.subjects.frameworks.closures import Copies
from tinygrad_lite.engine.tensor import Tensor, wrap

_NAMED = 100_000  # the largest number of entries of an array that is known by its name
_DEEP = 3  # how many objects, one in another, are copied
AS_THEY_ARE = {"numpy", "tinygrad_lite"} | sys.stdlib_module_names - {"__main__"}
"""The packages whose functions, modules and objects are not copied."""
_NOT_INSIDE = {"scipy", "numba"}
"""The packages whose functions are run as they are."""
_STAND_INS = {id(function): stand_in for function, stand_in in STAND_INS.items()}
"""What stands in place of NumPy's functions, by their identity: those whose arrays can hold tensors."""


def followed(f: Callable[..., Any]) -> Callable[..., Any]:
    """The same function for tensors, with copies of what it reads."""
    return functionalize(_Following(package_of(f), takes_tensors=True).copy(f))


def renamed(f: Callable[..., Any], names: Mapping[str, Any]) -> Callable[..., Any]:
    """The same function for arrays, with something else under some of Python's own names."""
    return _Following(package_of(f), names).copy(f)  # type: ignore[no-any-return]


def with_others(f: Callable[..., Any], functions: Mapping[CodeType, Callable[..., Any]]) -> Callable[..., Any]:
    """The same function for arrays, with others in place of the functions with this code that it calls."""
    return _Following(package_of(f), functions=functions).copy(f)  # type: ignore[no-any-return]


def with_what_it_calls(f: Callable[..., Any]) -> tuple[Callable[..., Any], dict[CodeType, FunctionType]]:
    """The same function for arrays, and the functions of its package that run when it is called, itself among them."""
    following = _Following(package_of(f))
    return following.copy(f), following.ran


def uncompiled(f: Callable[..., Any]) -> Callable[..., Any]:
    """The function as it is written, if Numba has compiled it."""
    return getattr(f, "py_func", f)


def names_of_arrays(f: Callable[..., Any]) -> dict[Any, str]:
    """What a function, or the object whose method it is, calls the arrays that it may read, by their content."""
    function, owner = inspect.unwrap(getattr(f, "__func__", f)), getattr(f, "__self__", None)
    read = {**getattr(function, "__globals__", {})}
    if isinstance(function, FunctionType):
        read |= inspect.getclosurevars(function).nonlocals
    read |= {f"self.{name}": x for name, x in getattr(owner, "__dict__", {}).items()}
    return {content(x): name for name, x in read.items() if isinstance(x, np.ndarray) and x.size <= _NAMED}


def arrays_around(f: Callable[..., Any]) -> list[Any]:
    """The arrays that a function, or another that it calls, may find around it."""
    function, owner = inspect.unwrap(getattr(f, "__func__", f)), getattr(f, "__self__", None)
    cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or () if cell != CellType()]
    around = [*getattr(function, "__globals__", {}).values(), *cells, owner]
    own = [vars(x) for x in around if hasattr(x, "__dict__") and package_of(x) not in AS_THEY_ARE]
    return list({id(x): x for x in trees.leaves([around, own]) if isinstance(x, np.ndarray)}.values())


@contextmanager
def keeping(arrays: Sequence[Any]) -> Iterator[None]:
    """A block in which arrays are read-only, so that none changes."""
    writable = [x for x in arrays if x.flags.writeable]
    try:
        for x in writable:
            x.flags.writeable = False
        yield
    finally:
        for x in sorted(writable, key=_depth):  # a view can be written to only if what it is of can be
            x.flags.writeable = True


def _depth(x: Any) -> int:
    """Of how many arrays, one a view of the next, an array is a view."""
    return 1 + _depth(x.base) if isinstance(x, np.ndarray) else 0


def content(x: Any) -> Any:
    """What tells an array from others."""
    return x.shape, x.dtype, x.tobytes()


class _Following:
    """Copies of what functions read, each made once.

    Args:
        package: the package whose functions get copies of all objects. Those of others get only copies of objects that
            hold arrays: others may be known by their identity.
        names: what they read in place of what Python calls so.
        functions: what they call in place of functions with this code.
        takes_tensors: whether the copies run with tensors; if not, arrays, NumPy and other packages stay as they are.

    Attributes:
        ran: the functions of the package whose copies have run with arrays, by their code.
    """

    def __init__(
        self,
        package: str,
        names: Mapping[str, Any] = MappingProxyType({}),
        functions: Mapping[CodeType, Callable[..., Any]] = MappingProxyType({}),
        takes_tensors: bool = False,
    ) -> None:
        self._package, self._names, self._functions, self._takes_tensors = package, names, functions, takes_tensors
        self.ran: dict[CodeType, FunctionType] = {}
        self._made: dict[int, tuple[Any, Any]] = {}  # by the identity of what they are of, which they hold as well
        self._left = _DEEP

    def copy(self, x: Any) -> Any:
        """The copy, or a container of copies."""
        return self._copies(self._package).mapped(x)

    def _is_copied(self, x: Any, everything: bool = True) -> bool:
        """Whether a function gets a copy of this in its place."""
        if isinstance(x, np.ndarray):
            return _is_array(x) and self._takes_tensors
        if id(x) in _STAND_INS:
            return self._takes_tensors
        package = package_of(x)
        if isinstance(x, type) or not hasattr(x, "__dict__") or package in AS_THEY_ARE:
            return False
        if hasattr(type(x), "__del__"):  # which would let go of what both hold
            return False
        if isinstance(x, (FunctionType, MethodType, ModuleType)) or hasattr(x, "py_func"):
            return self._takes_tensors or package == self._package
        is_known = not _has_methods(type(x)) or package in _NOT_INSIDE
        return not is_known and (everything or any(map(_is_array, trees.leaves(vars(x)))))

    def _copies(self, package: str) -> Copies:
        """For the functions of a package."""
        return Copies(partial(self._is_copied, everything=package == self._package), self._of, self._names, self._made)

    def _of(self, x: Any) -> Any:
        if id(x) not in self._made:
            self._made[id(x)] = x, self._new(x)
        return self._made[id(x)][1]

    def _new(self, x: Any) -> Any:
        if id(x) in _STAND_INS:
            return _STAND_INS[id(x)]
        if isinstance(x, np.ndarray):
            return _held(x.copy())
        if isinstance(x, FunctionType):
            return self._function(x)
        if isinstance(getattr(x, "py_func", None), FunctionType):  # compiled by Numba
            return self._function(x.py_func)
        if isinstance(x, MethodType):
            return MethodType(self._of(x.__func__), self.copy(x.__self__))
        return self._module(x) if isinstance(x, ModuleType) else self._object(x)

    def _function(self, f: FunctionType) -> Callable[..., Any]:
        package = package_of(f)
        used = self._functions.get(f.__code__, f)
        copied = cache(lambda: used if package in _NOT_INSIDE else self._copies(package).of(used))  # if it is called

        @wraps(f)
        def called(*args: Any, **params: Any) -> Any:
            if not self._takes_tensors:
                if package == self._package:
                    self.ran[f.__code__] = f
                return copied()(*args, **params)
            try:
                return _held(copied()(*args, **params))
            except Exception:  # it does not take tensors
                args, params = trees.map_leaves(_plain, (args, params))
                return _held(f(*args, **params))

        return called

    def _module(self, module: ModuleType) -> ModuleType:
        copies = self._copies(package_of(module))
        return _Module(module.__name__, lambda name: copies.inside(getattr(module, name)))

    def _object(self, x: Any) -> Any:
        if not self._left:
            return x
        new = copy(x)
        if new is x:  # there is only one of its class
            return x
        self._made[id(x)] = x, new  # for what it contains that contains it
        for name, member in members(type(x)).items():
            if isinstance(member, FunctionType):
                vars(new)[name] = MethodType(self._of(member), new)
            elif isinstance(member, staticmethod):
                vars(new)[name] = self._of(member.__func__)
            elif _is_array(member):
                vars(new)[name] = self._of(member)
        self._left -= 1
        vars(new).update({name: self.copy(value) for name, value in vars(x).items()})
        self._left += 1
        return new


class _Module(ModuleType):
    """A module that others read copies from."""

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        super().__init__(name)
        vars(self)["_read"] = read

    def __getattr__(self, name: str) -> Any:
        return self._read(name)


def members(kind: type) -> dict[str, Any]:
    """What a class and its bases have under names of their own: methods, functions and arrays."""
    members = {name: member for base in reversed(kind.__mro__) for name, member in vars(base).items()}
    return {name: member for name, member in members.items() if not name.startswith("__")}


def _has_methods(kind: type) -> bool:
    return any(isinstance(member, (FunctionType, staticmethod)) for member in members(kind).values())


def _held(x: Any) -> Any:
    """Arrays from other code as arrays that can hold tensors; other containers stay as they are."""
    if not any(map(_is_array, trees.leaves(x))):
        return x
    return trees.map_leaves(lambda leaf: Writable(wrap(leaf)) if _is_array(leaf) else leaf, x)


def _plain(x: Any) -> Any:
    return x.numpy().copy() if isinstance(x, (Tensor, Writable)) else x


def _is_array(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind in "fc"


def package_of(x: Any) -> str:
    """The package of a module, or of what it defines."""
    name = x.__name__ if isinstance(x, ModuleType) else getattr(x, "__module__", None)
    return str(name).partition(".")[0]
