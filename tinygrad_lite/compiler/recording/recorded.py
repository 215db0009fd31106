"""`Recorded`: an array or a number whose every use is recorded.

It takes the place of the array in a tensor, so the recording covers forward, backward and update alike. If Python needs
its value, as a boolean or a number, that is an error, since the value would differ in the next run.
"""

import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial, wraps
from inspect import getattr_static
from pathlib import Path
from typing import Any, NoReturn, Protocol

import numpy as np

from tinygrad_lite import errors, trees
from tinygrad_lite.array_api import assigning
from tinygrad_lite.array_api.assigning import WRITERS, Assigning, change_at, entries_of, put_into
from tinygrad_lite.compiler.program import Variable, is_python_number
from tinygrad_lite.compiler.recording.computed_slices import is_computed
from tinygrad_lite.compiler.recording.instead import instead
from tinygrad_lite.compiler.recording.watching import plain
from tinygrad_lite.engine import tensor
from tinygrad_lite.engine.op import Array, Op, Traced
from tinygrad_lite.engine.operators import Operators
from tinygrad_lite.engine.registry import answer_to
from tinygrad_lite.engine.tensor import Tensor, wrap
from tinygrad_lite.errors import NoDerivativeError, UsageError
from tinygrad_lite.foundation.advice import refuse_out
from tinygrad_lite.foundation.callers import array_written_at, arrays_at, is_printing
from tinygrad_lite.foundation.signatures import path_of
from tinygrad_lite.ops.requirements import refuse_where
from tinygrad_lite.ops.shapes.arranging import VIEWING
from tinygrad_lite.readers.recording import calling_line, is_followed, is_users
from tinygrad_lite.transforms.levels import Leveled

_getitem = Operators.__getitem__
_KNOWING = tuple(str(Path(file).parent) for file in (errors.__file__, np.__file__))
_SHOWING = "__repr__", "__str__", "__format__"
_MAKING = str(Path(__file__).with_name("making.py"))
_MOST = 2.0**61
_MOST_LISTED = 100  # entries of an array that `tolist` makes numbers of, each of which is an operation of its own
_DIVISIONS = "truediv", "floordiv", "mod", "divmod"
_CONVERTING = (str(Path(tensor.__file__).parent), _KNOWING[1], _MAKING)
_COMPARING = (
    *_CONVERTING,
    str(Path(assigning.__file__).parent),
    str(Path(__file__).with_name("plain_numbers.py")),
)


def _outside_conversions(frame: Any, files: tuple[str, ...] = _CONVERTING) -> Any:
    """The innermost frame, from this one outwards, that is not of a tensor, or of NumPy, which pass a question on."""
    while frame.f_back is not None and frame.f_code.co_filename.startswith(files):
        frame = frame.f_back
    return frame


def _as_numpys(result: Any, function: Any, args: Any, params: Any) -> Any:
    """A function's result, with its own memory or an argument's, as NumPy's own function would have it."""
    arrays = [x.value for x in trees.leaves((args, params)) if type(x) is Recorded and x.shape]

    def shares(x: Any) -> bool:
        return isinstance(x, np.ndarray) and any(np.may_share_memory(x, y) for y in arrays)

    if function not in VIEWING and not any(type(x) is Recorded and shares(x.value) for x in trees.leaves(result)):
        return result
    positional, named = trees.map_leaves(lambda x: x.value if type(x) is Recorded else x, (args, params))
    made = function(*positional, **named)
    if function in VIEWING:
        if shares(made) and type(result) is Recorded:
            result.recorder.let_view(result, made)
        return result
    views = iter([shares(x) for x in trees.leaves(made)])
    return trees.map_leaves(lambda x: x if next(views, True) or type(x) is not Recorded else np.copy(x), result)


def _heard(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method whose refusal ends the recording, even if the function catches it: the array itself refuses nothing."""

    @wraps(method)
    def heard(self: Any, *args: Any, **params: Any) -> Any:
        try:
            return method(self, *args, **params)
        except (UsageError, NoDerivativeError) as error:
            self.recorder.unheard = str(error)
            raise

    return heard


_HEARD = _heard(np.add).__code__


def note_refusal(values: Sequence[Any], error: Exception) -> None:
    """Let an error end the recording of these values, even if the function catches it."""
    for x in values:
        array = plain(x, "_array") if isinstance(x, Tensor) else x
        if type(array) is Recorded:
            array.recorder.unheard = str(error)


def _is_in_a_rule() -> bool:
    """Whether the code that calls a method of a recorded value is not the user's."""
    frame = sys._getframe(2)
    while frame.f_code.co_filename == _MAKING or frame.f_code is _HEARD:  # these stand in for NumPy's functions
        frame = frame.f_back  # type: ignore[assignment]
    return frame.f_code.co_filename.startswith(_KNOWING)


def _is_an_array(x: Any) -> bool:
    return isinstance(x, (Traced, np.ndarray))


def _chosen(args: tuple[Any, ...], where: Any) -> tuple[Any, ...]:
    """The arguments of a ufunc where it computes; elsewhere 1, of which hardly a function warns."""
    if where is True:
        return args
    are_arrays = [_is_an_array(x) and not _is_number(x) for x in args]
    return tuple([np.where(where, x, np.ones((), x.dtype)) if is_array else x for x, is_array in zip(args, are_arrays)])


def _fixed(x: Any) -> Any:
    """What a tensor holds of an array to which others may write."""
    return x if type(x) is not Recorded or x.is_fixed else x.recorder.another(x, is_fixed=True)


@lru_cache(1000)
def _answer(function: Any, arity: int) -> Op:
    return Op(function, [], name=function.__name__, arity=arity)


class Writer(Protocol):
    """The services of the recorder that a recorded value uses.

    Attributes:
        refusal: what it said the last time that Python needed a value.
        unheard: what it refused last, with an error that other code may have caught.
        unconverted: the same, if it refused an array, until somebody asks for a number in its place.
        shows_booleans: whether Python's booleans are such in the recording, too.
    """

    refusal: str | None
    unheard: str | None
    unconverted: str | None
    shows_booleans: bool

    def call(self, op: Op, inputs: Sequence[Array], params: Mapping[str, Any]) -> Any:
        """Record an operation, and return its result."""

    def operand(self, x: Array, op: Op) -> Any:
        """An argument of an operation; an array that is not recorded yet is the same in each run."""

    def truth(self, variable: Variable) -> bool | None:
        """Whether a variable is not zero, in each run; None if that is not known."""

    def branch(self, x: "Recorded") -> bool | None:
        """Which way Python goes by a value; None if it may not."""

    def requires(self, variable: Variable) -> bool | None:
        """Whether a variable is not zero, without which the program does not run; None if that is not known."""

    def another(self, x: "Recorded", is_fixed: bool) -> "Recorded":
        """Another object for the same value."""

    def let_view(self, x: "Recorded", value: Array) -> None:
        """Let an object have a value that is a view of another one's memory."""

    def note_cut(self, x: "Recorded") -> None:
        """Note a slice with recorded bounds, which is a view in NumPy."""

    def number(self, x: "Recorded") -> Any:
        """The only entry of an array as a Python number."""

    def by_numpy(self, answer: Callable[..., Any], *args: Any, **params: Any) -> Any:
        """The answer of a NumPy function; a number that it makes keeps its dtype, unlike a Python number."""

    def notes_use(self, arrays: Sequence[Array]) -> bool:
        """Note that those of these arrays which come from outside must be recorded, too; whether there are any."""

    def notes_write(self, array: Array) -> bool:
        """Note that the function writes recorded entries into an array; whether that comes from outside."""

    def write(self, into: "Recorded", x: "Recorded", operator: str) -> None:
        """Let an object that stands for an array have the entries of another one, as after `into += y`."""


def at_line() -> str:
    """The user's line that is being recorded, for an error message."""
    line = calling_line()
    return f" at {line}" if line else ""


class OfVariable(Operators):
    """A value that stands for a variable of a program, and has its form.

    Attributes:
        variable: the variable.
    """

    __slots__ = ("variable",)

    variable: Variable

    @property
    def shape(self) -> tuple[int, ...]:
        return self.variable.shape

    @property
    def size(self) -> int:
        return self.variable.size

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.variable.dtype  # type: ignore[no-any-return]


def _in_place(name: str) -> Any:
    """An operator such as `+=`, which writes into the array in NumPy: whoever holds the array sees the new entries."""
    function = getattr(operator, name)

    def method(self: "Recorded", other: Any) -> Any:
        result = function(self, other)
        if type(result) is Tensor and not self.is_fixed and isinstance(self.value, np.ndarray):
            refuse_out(name, self)
        if self.is_fixed or type(result) is not Recorded or not isinstance(self.value, np.ndarray):
            return result
        self.recorder.write(self, result, name)
        return self

    return method


def _refuse_division(divisor: "Recorded") -> None:
    if divisor.recorder.requires(divisor.variable) is False:
        raise ZeroDivisionError("division by zero")


def _dividing(name: str) -> Any:
    """An operator such as `/`; of two numbers, Python refuses 0 on the right, and so does a recording."""
    method = getattr(Operators, f"__{name}__")

    def dividing(self: "Recorded", other: Any) -> Any:
        if _is_number(self) and _is_number(other):
            _refuse_division(other)
        elif _is_number(self) and is_python_number(other) and not other:
            raise ZeroDivisionError("division by zero")
        return method(self, other)

    return dividing


def _divided_by(name: str) -> Any:
    """The same operator with a Python number on the left."""
    method = getattr(Operators, f"__r{name}__")

    def divided_by(self: "Recorded", other: Any) -> Any:
        if _is_number(self) and is_python_number(other):
            _refuse_division(self)
        return method(self, other)

    return divided_by


_PROMOTING = np.where, np.clip
"""NumPy's functions that give a Python number the dtype of the array beside it, as its operators do."""


_OF_KINDS = np.result_type, np.can_cast, np.min_scalar_type
"""NumPy's functions that treat a Python number differently from an array."""


def _refuse_numbers_beside_others(values: Sequence[Any]) -> None:
    """Refuse a number that changes beside an array that is not float64: the resulting dtype depends on the function."""
    kinds = {x.dtype for x in values if _is_an_array(x) and not _is_number(x)}
    for x in values:
        if _is_number(x) and not kinds <= {np.dtype(np.float64)}:
            x._needed()


def shown(x: Any) -> Any:
    """A number; a boolean of Python's itself, if the function's code compares identities, as in `is True`.

    No other object is, and nobody notices that somebody asks. So Python goes by its value, as in a branch.
    """
    is_shown = _is_number(x) and x.dtype.kind == "b" and x.recorder.shows_booleans
    return x.goes() if is_shown else x


def _shown_to_users(x: Any) -> Any:
    is_asked = is_users(_outside_conversions(sys._getframe(2)).f_code.co_filename)
    return shown(x) if is_asked else x


def _comparing(name: str) -> Any:
    """A comparison such as `<`; that of two numbers is a boolean of Python's."""
    method = getattr(Operators, f"__{name}__")
    return lambda self, other: _shown_to_users(method(self, other))


def _power(self: "Recorded", exponent: Any, *modulus: Any) -> Any:
    """A power; of a negative number to a real one, Python makes a complex number, and a recording refuses that."""
    if modulus:
        self._needed()
    may_be_complex = _is_number(self) and (type(exponent) is float or _is_number(exponent))
    if may_be_complex and is_users(sys._getframe(1).f_code.co_filename):
        is_positive = operator.gt(self, 0)
        if self.recorder.requires(is_positive.variable) is False:
            is_positive._needed()
    if _is_number(self) and is_python_number(exponent) and type(exponent) is not complex and exponent < 0:
        _refuse_division(self)
    result = Operators.__pow__(self, exponent)
    is_tame = is_python_number(exponent) and type(exponent) is not complex and abs(exponent) <= 1
    if may_be_complex and not is_tame:
        require_finite(result, operator.pow, (self, exponent))
    return result


def _power_of(self: "Recorded", base: Any) -> Any:
    """A power of another number; if that is negative or 0, Python may make a complex number, or raise an error."""
    if _is_number(self) and is_python_number(base) and type(base) is not complex and base <= 0:
        if self.dtype.kind != "i" or (type(base) is int and base):
            self._needed()
        if not base:  # as Adam's betas of (0, 0.9)
            self = refuse_where(self < 0, self, message="0 cannot be raised to a negative power, got {}")
    return Operators.__rpow__(self, base)


def _of_numbers(name: str) -> Any:
    """`+` or `*`; a number of Python's repeats a list, which for NumPy is an array, and counts its booleans."""
    method = getattr(Operators, f"__{name}__")

    def of_numbers(self: "Recorded", other: Any) -> Any:
        if _is_number(self) and isinstance(other, (list, tuple)):
            self._needed()
        is_boolean = _is_number(self) and self.dtype.kind == "b"
        return method(Operators.__mul__(self, 1) if is_boolean and not np.ndim(other) else self, other)

    return of_numbers


def whole(x: Any) -> Any:
    """A real number as a whole one; refuses infinity and NaN, as Python does, and what has more than 64 bits."""
    is_small = np.abs(x) < _MOST
    if type(is_small) is Recorded and is_small.recorder.requires(is_small.variable) is False:
        is_small._needed()
    return x.astype(np.int64)


def require_finite(result: Any, of_python: Callable[..., Any], numbers: Sequence[Any]) -> None:
    """Raise the error that Python raises where a function of numbers is too large, or not defined, unless both go on.

    Later calls, in which that is otherwise, have another program, if the numbers come of those among the inputs alone.
    """
    is_finite: Any = np.isfinite(result)
    if type(result) is Recorded and result.recorder.requires(is_finite.variable) is False:
        of_python(*[x.value if type(x) is Recorded else x for x in numbers])
        result._needed()


def _is_number(x: Any) -> bool:
    return type(x) is Recorded and x.variable.is_number


class Recorded(Assigning, OfVariable):
    """A value in a function that is being recorded.

    Attributes:
        value: the array or the Python number in this run.
        is_fixed: whether it keeps this value, since a tensor holds it; `x += y` may write into any other array.
        overwritten: where the function wrote into its memory by way of another view; empty if it did not.
        part_of: the array of which it is a view at an index, and the index.
    """

    __slots__ = ("__weakref__", "is_fixed", "overwritten", "part_of", "recorder", "value")

    def __init__(self, value: Any, variable: Variable, recorder: Writer, is_fixed: bool = False) -> None:
        self.value = value
        self.variable = variable
        self.recorder = recorder
        self.is_fixed = is_fixed
        self.overwritten = ""
        self.part_of: tuple[Recorded, Any] | None = None

    __truediv__, __floordiv__, __mod__, __divmod__ = map(_dividing, _DIVISIONS)
    __rtruediv__, __rfloordiv__, __rmod__, __rdivmod__ = map(_divided_by, _DIVISIONS)
    __pow__, __rpow__ = _power, _power_of
    __lt__, __le__, __gt__, __ge__, __eq__, __ne__ = map(_comparing, ("lt", "le", "gt", "ge", "eq", "ne"))
    __add__, __radd__, __mul__, __rmul__ = map(_of_numbers, ("add", "radd", "mul", "rmul"))
    __iadd__, __isub__, __imul__, __itruediv__ = map(_in_place, ("add", "sub", "mul", "truediv"))
    __ifloordiv__, __imod__, __ipow__, __imatmul__ = map(_in_place, ("floordiv", "mod", "pow", "matmul"))
    __iand__, __ior__, __ixor__ = map(_in_place, ("and_", "or_", "xor"))
    __ilshift__, __irshift__ = map(_in_place, ("lshift", "rshift"))

    def __getitem__(self, index: Any) -> Any:
        part = _getitem(self, index)
        if type(part) is Recorded and isinstance(part.value, np.ndarray):
            is_cut = is_computed(index) and not self.is_fixed
            if is_cut or np.may_share_memory(part.value, self.value):
                part.part_of = self, index
            if is_cut:
                self.recorder.note_cut(part)
        return part

    def __setitem__(self, index: Any, values: Any) -> None:
        if _is_in_a_rule():  # the rule is then called as a whole
            super().__setitem__(index, values)
        self.assign(index, values)

    resize = __delitem__ = _heard(Assigning._in_place)

    @_heard
    def assign(self, index: Any, values: Any) -> None:
        """Write values into the entries at an index; refuse it for what a tensor holds."""
        if self.is_fixed or not isinstance(self.value, np.ndarray):
            super().__setitem__(index, values)
        values = entries_of(values, self.dtype)
        values = values.numpy() if isinstance(values, Tensor) and not values.requires_grad else values
        values = values if type(values) is Recorded else np.asarray(values)
        if values.dtype != self.dtype and not (type(values) is Recorded and values.variable.is_number):
            values = values.astype(self.dtype)
        self.recorder.write(self, self.at[index].set(values), "an assignment")

    @_heard
    def __trace__(self, op: Op, inputs: tuple[Array, ...], params: Mapping[str, Any]) -> Any:
        for x in inputs:
            if type(x) is Tensor or isinstance(x, Leveled):
                params = {name: trees.map_leaves(_fixed, value) for name, value in params.items()}
                return op(*[wrap(_fixed(y)) if type(y) is Recorded else y for y in inputs], **params)
        return self.recorder.call(op, inputs, params)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """To a user's `isinstance`, the class of the value; to the package itself and to NumPy, this one."""
        frame, kind = sys._getframe(1), None
        while not frame.f_code.co_filename.startswith(_KNOWING):
            if frame.f_back is None or frame.f_globals.get("__name__") not in ("abc", "typing"):
                break
            kind, frame = frame.f_locals.get("cls"), frame.f_back
        else:
            return Recorded
        if kind is not None and _is_number(self) and issubclass(Recorded, kind) and not isinstance(self.value, kind):
            self._needed()  # else it would be an Iterable, as arrays are
        return type(self.value)

    @_heard
    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Array, **params: Any) -> Any:
        if not _is_in_a_rule():
            if method == "at":
                return self._write_by(partial(change_at, ufunc), inputs, {}, inputs[0], path_of(ufunc.at))
            if len(params.get("out", ())) == 1:
                function = ufunc if method == "__call__" else getattr(ufunc, method)
                return self._put_by(function, inputs, {**params, "out": params["out"][0]})
            if method == "__call__" and not params.get("out"):  # elsewhere, the result has any entries
                inputs = _chosen(inputs, params.pop("where", True))
        try:
            return self.recorder.by_numpy(super().__array_ufunc__, ufunc, method, *inputs, **params)
        except NoDerivativeError:
            if method != "__call__" or params:
                raise
            return self._undeclared(ufunc, inputs, params)

    @_heard
    def __array_function__(self, function: Any, types: Any, args: Any, params: Any) -> Any:
        if not _is_in_a_rule():
            if function in WRITERS:
                into = args[0] if args else next(iter(params.values()))
                return self._write_by(WRITERS[function], args, params, into, path_of(function))
            if params.get("out") is not None:
                return self._put_by(function, args, params)
            if function in _OF_KINDS and any(map(_is_number, args)):
                self._needed()
            if function not in _PROMOTING:
                _refuse_numbers_beside_others(trees.leaves((args, params)))
        try:
            answer = answer_to(function)
        except NoDerivativeError:
            return self._undeclared(function, args, params)
        return _as_numpys(self.recorder.by_numpy(answer, *args, **params), function, args, params)

    def _write_by(self, write: Callable[..., None], args: Any, params: Any, into: Any, name: str) -> None:
        """Call a function that writes into a recorded array; note that it does if the array is not recorded yet."""
        if type(into) is Recorded:
            write(*args, **params)
            return
        if not self.recorder.notes_write(into):
            raise UsageError(
                f"{name} writes what a compiled function computes into an array that NumPy alone has made{at_line()}\n"
                "make the array with np.zeros_like(x, shape=...), where x is an argument"
            )

    def _put_by(self, function: Any, args: Any, params: Mapping[str, Any]) -> Any:
        """What a function computes, written into the array `out`."""
        others = dict(params)
        out, where = others.pop("out"), others.get("where", True)
        others.pop("casting", None)
        keeps_some = isinstance(function, np.ufunc) and where is not True
        if isinstance(function, np.ufunc):  # elsewhere, `out` stays as it is
            others.pop("where", None)
            args = _chosen(args, where)
        result = function(*args, **others)
        if type(out) is Recorded:
            result = np.where(where, result, out) if keeps_some else result
            return put_into(out, result, params.get("casting", "same_kind"), path_of(function))
        if not self.recorder.notes_write(out):
            refuse_out(path_of(function), out)
        return result  # for now; once the array is an input, it is written to

    def _undeclared(self, function: Any, args: Any, params: Any) -> Any:
        """Record a NumPy function without a derivative, of plain arrays, which need none."""
        arity = getattr(function, "nin", 0) or [*map(_is_an_array, args), False].index(False)
        others = [x for x in trees.leaves((args[arity:], params)) if isinstance(x, Traced)]
        if not arity or others or any(isinstance(x, Traced) and type(x) is not Recorded for x in args):
            raise NoDerivativeError(path_of(function))
        answer = _answer(function, arity)
        return self.__trace__(answer, *answer.sort(args, params))

    @property
    def flags(self) -> Any:
        return self.value.flags

    def flatten(self, order: Any = "C") -> Any:
        """A copy, unlike what `ravel` returns."""
        return np.copy(np.ravel(self, order))

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
        """A view, as NumPy's."""
        return np.diagonal(self, offset, axis1, axis2)

    def astype(self, dtype: Any, *args: Any, **options: Any) -> Any:
        """Another dtype; the engine makes a float of a whole number that meets a tensor."""
        if self.variable.is_number:
            return self * 1.0 if self.dtype.kind in "biu" else self
        return super().astype(dtype, *args, **options)

    def beside(self, x: Array, op: Op) -> Array:
        """Record an array from outside, too, so that each run computes anew what a rule makes of it."""
        return self.recorder.operand(x, op)

    def _needed(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse to give a value that the recording would fix."""
        self.recorder.refusal = self._refusal()
        frame: Any = sys._getframe(1)
        method = ""
        while frame.f_code.co_filename == __file__:
            method, frame = frame.f_code.co_name, frame.f_back
        frame = _outside_conversions(frame)
        is_a_rules = frame.f_code.co_filename.startswith(_KNOWING)
        if is_a_rules:  # it is called as a whole
            pass
        elif method == "__array__":  # NumPy may ask for a number next
            self.recorder.unconverted = self.recorder.refusal
        else:
            self.recorder.unheard = self.recorder.refusal
        raise UsageError(self.recorder.refusal)

    def _refusal(self) -> str:
        return (
            f"a compiled function needs a value while it is recorded{at_line()}\n"
            f"but the next run will have another value: {instead()}"
        )

    def _is_noted(self) -> bool:
        """Whether the value is needed for entries of an array from outside, which will be recorded, too."""
        frame = _outside_conversions(sys._getframe(2))
        if not is_users(frame.f_code.co_filename):  # a rule asks for it, which is then called as a whole
            return False
        written = array_written_at(frame)
        recorder = self.recorder
        is_noted = recorder.notes_use(arrays_at(frame)) if written is None else recorder.notes_write(written)
        if is_noted:
            recorder.unconverted = None
        return is_noted

    def __getattr__(self, name: str) -> Any:
        """Refuse what the value itself would have, such as its bytes."""
        kind = type(self.value).__name__
        if name not in _OF_VALUES or not hasattr(self.value, name):
            raise AttributeError(f"{kind!r} object has no attribute {name!r}")
        if not _is_in_a_rule():
            self.recorder.unheard = f"a compiled function asks for .{name} of what it computes{at_line()}"
        raise AttributeError(f"a compiled function has no .{name} of what it computes: call what needs it outside")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self.value, dtype) if self._is_noted() else self._needed()

    def __float__(self) -> float:
        return float(self.value) if self._is_noted() else self._needed()

    def __int__(self) -> int:
        return int(self.value) if self._is_noted() else self._needed()

    def __index__(self) -> int:
        return operator.index(self.value) if self._is_noted() else self._needed()

    def __bool__(self) -> bool:
        return self.goes(is_users(_outside_conversions(sys._getframe(1), _COMPARING).f_code.co_filename))

    def goes(self, may_branch: bool = True) -> bool:
        """Which way Python goes by the value, in each run or, if it may branch, in this one."""
        truth = self.recorder.truth(self.variable)
        if truth is None and may_branch:
            truth = self.recorder.branch(self)
        return self._needed() if truth is None else truth

    def __format__(self, form: str) -> str:
        self._needed()

    def __invert__(self) -> Any:
        """The opposite of a boolean array; of Python's booleans, it is -1 or -2."""
        if not _is_number(self):
            return np.invert(self)
        return self._needed() if self.dtype.kind == "b" else -self - 1

    def __round__(self, decimals: int | None = None) -> Any:  # type: ignore[override]
        """Rounded; a number to decimals by Python, which looks at all its digits, as NumPy does not."""
        if not _is_number(self):
            return np.round(self, decimals or 0)
        return self._needed() if decimals is not None else whole(np.rint(self)).item()

    def is_integer(self) -> Any:
        """Whether a number has no fraction, as a Python number that each run reads again."""
        if self.shape:
            raise AttributeError("an array has no attribute 'is_integer'")
        is_whole: Any = np.isfinite(self) & np.equal(np.rint(self), self)
        return _shown_to_users(self.recorder.number(is_whole))

    def copy(self, *args: Any, **params: Any) -> Any:
        """A copy; that of a number, for which a tensor asks, is an array."""
        return np.reshape(np.stack([self]), ()) if _is_number(self) else super().copy(*args, **params)

    def __copy__(self) -> "Recorded":
        return self

    def __deepcopy__(self, memo: Any) -> "Recorded":
        """The value itself, since nobody can write to it."""
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        self._needed()

    __hash__ = __complex__ = __dlpack__ = __dlpack_device__ = _needed

    def tolist(self) -> Any:
        """The entries as Python numbers, in nested lists, which each run reads again."""
        if self.size > _MOST_LISTED or not is_users(_outside_conversions(sys._getframe(1)).f_code.co_filename):
            self._needed()  # if a rule asks for it, that is then called as a whole
        return self._listed()

    def _listed(self) -> Any:
        return [x._listed() for x in self] if self.shape else shown(self.item())

    def numpy(self) -> "Recorded":
        """The array outside the graph, which is recorded, too."""
        return _fixed(self)  # type: ignore[no-any-return]

    def item(self, *index: Any) -> Any:
        """The only entry as a Python number, which each run reads again; refuse to return one of several entries."""
        if self.variable.is_number:
            return self
        return self._needed() if index or self.size != 1 else _shown_to_users(self.recorder.number(self))

    def __repr__(self) -> str:
        """A text for messages and for statements that only print; anything else would take it for the value's."""
        caller: Any = sys._getframe(1)
        while caller.f_code.co_name in _SHOWING:  # of a tensor that holds this
            caller = caller.f_back
        if _is_number(self) or (is_followed(caller.f_code.co_filename) and not is_printing(caller)):
            self._needed()
        return f"Recorded({self.variable.dtype}{list(self.variable.shape)})"


class _OfSome:
    """An attribute that not all values have, as `len` of numbers; a user's code may ask for it by `hasattr`."""

    def __init__(self, name: str, attribute: Any) -> None:
        self._name = name
        self._attribute = attribute

    def __get__(self, x: Recorded | None, kind: type) -> Any:
        if x is not None:
            has_it = hasattr(type(x.value), self._name)
            if not has_it and is_users(sys._getframe(1).f_code.co_filename):
                raise _NoAttributeError(f"{type(x.value).__name__!r} object has no attribute {self._name!r}")
        return self._attribute.__get__(x, kind)


class _NoAttributeError(AttributeError, TypeError):
    """Python's own error for a number in place of an array: of either kind, since `len(x)` raises the second one."""


def _hide_attributes_of_others() -> None:
    known = {*Recorded.__slots__, *OfVariable.__slots__}
    for name in {*dir(Recorded)} - known:
        attribute = getattr_static(Recorded, name)
        is_asked_for = not name.startswith("_") or name in ("__len__", "__iter__", "__getitem__")
        if is_asked_for and hasattr(attribute, "__get__"):
            setattr(Recorded, name, _OfSome(name, attribute))


_hide_attributes_of_others()
_OF_VALUES = {*dir(np.ndarray), *dir(np.float64), *dir(complex), *dir(int)} - {*dir(Recorded), *dir(object)}
"""What the values have that are recorded, and what stands for them has not."""
