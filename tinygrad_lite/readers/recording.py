"""Records the operations on tensors while a block runs, in order, each with the user's line that called it.

While there is an observer, tensors trace their operations through `_observed`; at any other time, this costs nothing.
"""

import contextlib
import functools
import linecache
import sys
import sysconfig
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array, Op, Traced
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.foundation.callers import PACKAGE, is_printing
from tinygrad_lite.foundation.foreign import as_array
from tinygrad_lite.transforms.dual import innermost

_NOT_THE_USERS = (
    str(Path(__file__).parents[1]),
    str(Path(np.__file__).parent),
    contextlib.__file__,
    functools.__file__,
)
_CALLERS = 3  # how many calls that led to a line are kept


@dataclass(frozen=True)
class Source:
    """A line of the user's code.

    Attributes:
        instruction: where in the code of its function; a line may call several operations.
        callers: the lines whose calls led there, the innermost first.
    """

    file: str
    line: int
    function: str
    instruction: int = field(default=0, compare=False)
    callers: tuple["Source", ...] = field(default=(), compare=False)

    @property
    def text(self) -> str:
        """The line itself, if its file can be read."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        return f"{Path(self.file).name}:{self.line}: {self.text}".rstrip(": ")


@dataclass(frozen=True, eq=False)
class Step:
    """A performed operation: its inputs, its result, and the line that called it."""

    op: Op
    inputs: tuple[Any, ...]
    params: Mapping[str, Any]
    result: Any
    source: Source | None

    @property
    def arrays(self) -> list[Array]:
        """The inputs of the operation as arrays and Python numbers, as rules take them: no lists, and no `x.flat`."""
        inputs = map(innermost, self.inputs)
        return [x if x is None or isinstance(x, (int, float, complex)) else as_array(x) for x in inputs]

    @property
    def value(self) -> Array:
        """The resulting array, or the answer to a question."""
        return innermost(self.result)


class _Observers(threading.local):
    def __init__(self) -> None:
        self.of_operations: list[Callable[[Step], None]] = []
        self.of_exits: list[Callable[[Tensor], None]] = []


_observers = _Observers()
plain_trace: Callable[..., Any] = Tensor.__trace__
"""How a tensor traces its operations while nobody in any thread observes them."""
_open: Counter[str] = Counter()
"""How many blocks of all threads have each method of tensors report."""
_lock = threading.Lock()


@contextlib.contextmanager
def _reporting(methods: Mapping[str, tuple[Any, Any]]) -> Iterator[None]:
    """For the block, tensors have the second method of each pair in place of the first."""
    with _lock:
        _open.update(methods.keys())
        for name, (_, reporting) in methods.items():
            setattr(Tensor, name, reporting)
    try:
        yield
    finally:
        with _lock:
            _open.subtract(methods.keys())
            for name, (plain, _) in methods.items():
                if not _open[name]:
                    setattr(Tensor, name, plain)


@contextlib.contextmanager
def _among(listeners: list[Any], observe: Callable[..., None]) -> Iterator[None]:
    """A listener of this thread for the block."""
    listeners.append(observe)
    try:
        yield
    finally:
        listeners.remove(observe)


def _observed(self: Tensor, op: Op, inputs: tuple[Array, ...], params: Mapping[str, Any]) -> Any:
    result = plain_trace(self, op, inputs, params)
    if _observers.of_operations and (isinstance(result, Tensor) or not isinstance(result, Traced)):
        step = Step(op, inputs, params, result, calling_line())
        for observe in _observers.of_operations:
            observe(step)
    return result


def is_observed() -> bool:
    """Whether there is an observer of this thread's operations."""
    return bool(_observers.of_operations)


@contextlib.contextmanager
def observing(observe: Callable[[Step], None]) -> Iterator[None]:
    """Call `observe` with each operation on tensors that this thread performs in the block."""
    with _reporting({"__trace__": (plain_trace, _observed)}), _among(_observers.of_operations, observe):
        yield


def _heard(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method that tells this thread's listeners if the user's code calls it, or NumPy or Python on its behalf."""

    @functools.wraps(method)
    def leave(self: Tensor, *args: Any, **options: Any) -> Any:
        if _observers.of_exits and _reads_numbers(method, sys._getframe(1)):
            for observe in _observers.of_exits:
                observe(self)
        return method(self, *args, **options)

    return leave


def _reads_numbers(method: Callable[..., Any], caller: FrameType) -> bool:
    """Whether whoever calls a method gets numbers that the user's code may act on."""
    code = caller.f_code
    if method in _AS_TEXT:  # which debuggers and logs ask for, too
        return is_followed(code.co_filename) and not is_printing(caller)
    return method in _ON_BEHALF or code is tensor.__code__ or not code.co_filename.startswith(PACKAGE)


_ON_BEHALF = frozenset(
    {
        Tensor.__array__,
        Tensor.__index__,
        Tensor.__contains__,
        Tensor.__complex__,
        Tensor.__dlpack__,
        Tensor.__reduce__,
    }
)
"""Methods whose caller reads the numbers, whoever it is: np.piecewise, copy.deepcopy, this package for x[:count]."""
_AS_TEXT = frozenset({Tensor.__format__, Tensor.__repr__})
_data = vars(Tensor)["data"]
_EXITS: dict[str, tuple[Any, Any]] = {
    name: (getattr(Tensor, name), _heard(getattr(Tensor, name)))
    for name in (
        *("__bool__", "__float__", "__int__", "item", "numpy", "tolist"),
        *(method.__name__ for method in (*_ON_BEHALF, *_AS_TEXT)),
    )
} | {"data": (_data, property(_heard(_data.fget), _data.fset))}
"""The methods through which a tensor's numbers leave the graph for Python code to act on, and those that report it."""


@contextlib.contextmanager
def hearing_exits(observe: Callable[[Tensor], None]) -> Iterator[None]:
    """Call `observe` with each tensor whose numbers the user's code in this thread takes out of the graph in the block.

    An `if` takes them out, and so do `float(loss)` and `f"{loss:.0f}"`; a statement that only prints does not.
    """
    with _reporting(_EXITS), _among(_observers.of_exits, observe):
        yield


@contextlib.contextmanager
def recording() -> Iterator[list[Step]]:
    """A list to which each operation on tensors in the block is appended.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> with recording() as steps:
        ...     y = np.sin(tg.tensor(1.0)) * 2
        >>> [step.op for step in steps]
        [sin, multiply]
    """
    steps: list[Step] = []
    with observing(steps.append):
        yield steps


def calling_line() -> Source | None:
    """The innermost line outside this package and NumPy."""
    frame = calling_frame()
    if frame is None:
        return None
    callers, outer = list[Source](), _user_frame(frame.f_back)
    while outer is not None and len(callers) < _CALLERS:
        callers.append(_caller(*_line(outer)))
        outer = _user_frame(outer.f_back)
    return Source(*_line(frame), tuple(callers))


_caller = functools.lru_cache(1000)(Source)  # most operations have the callers of the one before


def _line(frame: FrameType) -> tuple[str, int, str, int]:
    return frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name, frame.f_lasti


def calling_frame() -> FrameType | None:
    """The innermost frame outside this package and NumPy."""
    return _user_frame(sys._getframe(1))


def _user_frame(frame: FrameType | None) -> FrameType | None:
    """The innermost frame that is the user's, of this one and those that it was called from."""
    while frame is not None and not is_users(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


@functools.cache
def is_users(file: str) -> bool:
    return not file.startswith(_NOT_THE_USERS)


@functools.cache
def is_followed(file: str) -> bool:
    """Whether code of this file is the user's own: not Python's either, nor that of an installed library."""
    libraries = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return is_users(file) and not file.startswith(("<frozen ", *libraries))
