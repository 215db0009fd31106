"""Functions with copies in place of what they read from outside."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from tinygrad_lite import trees
from tinygrad_lite.errors import UsageError

_MUCH = 200_000  # entries, which take about a second


@dataclass(frozen=True)
class Copies:
    """Functions with copies of what is in their closure, defaults and global names, or what they are bound to.

    What other functions read that they call stays as it is.

    Attributes:
        is_copied: whether a leaf of containers is copied.
        copy: the copy of such a leaf.
        names: what they read by a name that is no global one of theirs, but Python's own.
        made: containers with their copies, by the identity of what they are of, if functions share them.
    """

    is_copied: Callable[[Any], bool]
    copy: Callable[[Any], Any]
    names: Mapping[str, Any] = field(default_factory=dict)
    made: dict[int, tuple[Any, Any]] | None = None

    def of(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """The function with the copies."""
        if isinstance(f, MethodType):
            return MethodType(f.__func__, self.inside(f.__self__))
        if isinstance(f, partial):
            args, keywords = self.inside((f.args, f.keywords))
            return partial(self.of(f.func), *args, **keywords)
        if not isinstance(f, FunctionType):
            return f
        names = set(names_read(f.__code__))
        read = {name: self.inside(x) for name in names if self._reads(x := f.__globals__.get(name))}
        read |= {name: x for name, x in self.names.items() if name in names and name not in f.__globals__}
        cells = f.__closure__ or ()
        if not read and not self._reads([f.__defaults__, f.__kwdefaults__, *map(content, cells)]):
            return f
        made = FunctionType(
            f.__code__,
            {**f.__globals__, **read} if read else f.__globals__,
            f.__name__,
            self.inside(f.__defaults__),
            tuple(CellType(self.inside(x)) if self._reads(x := content(cell)) else cell for cell in cells),
        )
        made.__kwdefaults__ = self.inside(f.__kwdefaults__)
        return made

    def _reads(self, x: Any) -> bool:
        """Whether any leaf of these containers is copied."""
        try:
            return any(map(self.is_copied, trees.leaves(x)))
        except UsageError:  # they are nested too deeply
            return False

    def inside(self, x: Any) -> Any:
        """These containers with the copies; what holds nothing that is copied may be known by its identity."""
        return self.mapped(x) if self._reads(x) else x

    def mapped(self, x: Any) -> Any:
        """New containers, with the copies."""
        known = {} if self.made is None else self.made
        if id(x) in known:
            return known[id(x)][1]
        new = trees.map_leaves(lambda leaf: self.copy(leaf) if self.is_copied(leaf) else leaf, x)
        if new is not x:
            known[id(x)] = x, new
        return new


def apart(f: Callable[..., Any], shared: Iterable[Any] = ()) -> Callable[..., Any]:
    """The function with copies of all that it may change: what it writes there is lost with it.

    Functions, also those that Numba compiled, classes and modules stay as they are, and so does what is `shared`.

    Raises:
        UsageError: if it reads what lets go of something when it ends, such as a file, which copies would let go of.
    """
    if not isinstance(f, FunctionType | MethodType):
        return f
    function, owner = (f.__func__, f.__self__) if isinstance(f, MethodType) else (f, None)
    assert isinstance(function, FunctionType)
    names, copied = set(names_read(function.__code__)) & function.__globals__.keys(), {id(x): x for x in shared}

    def copy(x: Any) -> Any:
        if hasattr(x, "py_func"):
            return x
        if any(hasattr(type(part), "__del__") for part in trees.leaves([x, getattr(x, "__dict__", None)])):
            raise UsageError(f"a {type(x).__name__} cannot be copied, since it lets go of something when it ends")
        return deepcopy(x, copied)

    read = {name: copy(x) for name in names if not isinstance(x := function.__globals__[name], ModuleType)}
    cells = [cell if cell == CellType() else CellType(copy(cell.cell_contents)) for cell in function.__closure__ or ()]
    made = FunctionType(
        function.__code__, {**function.__globals__, **read}, f.__name__, copy(function.__defaults__), tuple(cells)
    )
    made.__kwdefaults__ = copy(function.__kwdefaults__)
    return made if owner is None else MethodType(made, copy(owner))


def reads_much(f: Callable[..., Any]) -> bool:
    """Whether the containers that a function reads hold so much that to copy them takes too long."""
    function = getattr(f, "__func__", f)
    if not isinstance(function, FunctionType):
        return False
    read = [function.__globals__.get(name) for name in set(names_read(function.__code__))]
    ahead = [*read, *map(content, function.__closure__ or ()), getattr(getattr(f, "__self__", None), "__dict__", None)]
    count = 0
    while ahead and count <= _MUCH:
        x = ahead.pop()
        if isinstance(x, dict | list | tuple | set | frozenset):
            count += len(x)
            if count <= _MUCH:
                ahead += x.values() if isinstance(x, dict) else x
    return count > _MUCH


def names_read(code: CodeType) -> Iterator[str]:
    """The global names that code reads, and code inside it, as of a comprehension."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from names_read(inner)


def content(cell: CellType) -> Any:
    """What a variable of a closure is; None if it has no value yet."""
    try:
        return cell.cell_contents
    except ValueError:  # it is empty still
        return None
