"""Functions with copies in place of what they read from outside."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Any

from tinygrad_lite import trees
from tinygrad_lite.errors import UsageError


@dataclass(frozen=True)
class Copies:
    """Functions with copies of what is in their closure, defaults and global names, or what they are bound to.

    What other functions read that they call stays as it is.

    Attributes:
        is_copied: whether a leaf of containers is copied.
        copy: the copy of such a leaf.
    """

    is_copied: Callable[[Any], bool]
    copy: Callable[[Any], Any]

    def of(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """The function with the copies."""
        if isinstance(f, MethodType):
            return MethodType(f.__func__, self._copied(f.__self__))
        if isinstance(f, partial):
            args, keywords = self._copied((f.args, f.keywords))
            return partial(self.of(f.func), *args, **keywords)
        if not isinstance(f, FunctionType):
            return f
        read = {name: x for name in f.__code__.co_names if self._reads(x := f.__globals__.get(name))}
        cells = f.__closure__ or ()
        if not read and not self._reads([f.__defaults__, f.__kwdefaults__, *map(_content, cells)]):
            return f
        made = FunctionType(
            f.__code__,
            {**f.__globals__, **{name: self._copied(x) for name, x in read.items()}} if read else f.__globals__,
            f.__name__,
            self._copied(f.__defaults__),
            tuple(CellType(self._copied(x)) if self._reads(x := _content(cell)) else cell for cell in cells),
        )
        made.__kwdefaults__ = self._copied(f.__kwdefaults__)
        return made

    def _reads(self, x: Any) -> bool:
        """Whether any leaf of these containers is copied."""
        try:
            return any(map(self.is_copied, trees.leaves(x)))
        except UsageError:  # they are nested too deeply
            return False

    def _copied(self, x: Any) -> Any:
        return trees.map_leaves(lambda leaf: self.copy(leaf) if self.is_copied(leaf) else leaf, x)


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty still
        return None
