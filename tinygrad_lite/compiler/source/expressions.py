"""Expressions: one operation as a person would write it in NumPy."""

import functools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_lite.compiler.draws import OF_NUMPY, Draw
from tinygrad_lite.compiler.identifiers import Identifiers
from tinygrad_lite.compiler.program import Instruction, Variable, is_python_number, item
from tinygrad_lite.compiler.source.progressions import sequence_text
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import TABLES, functions_of
from tinygrad_lite.foundation.signatures import path_of, signature
from tinygrad_lite.foundation.sums import axes_of
from tinygrad_lite.ops import casting
from tinygrad_lite.ops.arithmetic import curves, elementwise, extrema, ordering, reductions, variances
from tinygrad_lite.ops.linear import contraction, linalg, norms, products
from tinygrad_lite.ops.networks import normal
from tinygrad_lite.ops.requirements import refuse_where
from tinygrad_lite.ops.shapes import arranging, filling, indexing, joining, padding, shaping, windows

ATOM, UNARY, _POWER, _PRODUCT, SUM, _AND, _XOR, _OR, _COMPARISON = 20, 13, 14, 12, 11, 9, 8, 7, 6
OPERATORS: dict[Any, tuple[str, int]] = {
    np.add: ("+", SUM),
    np.subtract: ("-", SUM),
    np.multiply: ("*", _PRODUCT),
    np.divide: ("/", _PRODUCT),
    np.matmul: ("@", _PRODUCT),
    np.floor_divide: ("//", _PRODUCT),
    np.remainder: ("%", _PRODUCT),
    np.power: ("**", _POWER),
    np.bitwise_and: ("&", _AND),
    np.bitwise_xor: ("^", _XOR),
    np.bitwise_or: ("|", _OR),
    np.equal: ("==", _COMPARISON),
    np.not_equal: ("!=", _COMPARISON),
    np.less: ("<", _COMPARISON),
    np.less_equal: ("<=", _COMPARISON),
    np.greater: (">", _COMPARISON),
    np.greater_equal: (">=", _COMPARISON),
}
_DEFAULTS = (("axis", None), ("keepdims", False))
_MANY = 4096  # entries; it takes longer to make more of them anew than to look them up
_JOINING = (("axis", 0), ("dtype", None), ("casting", "same_kind"))


class _Named:
    """An object that has no literal, such as a generator, and so gets a name: one for each object."""

    def __init__(self, thing: Any, name: str) -> None:
        self._thing = thing
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Named) and other._thing is self._thing

    def __hash__(self) -> int:
        return id(self._thing)


class Text:
    """The text of an expression, and the precedence of its outermost operator."""

    def __init__(self, text: str, binds: int = ATOM) -> None:
        self.text = text
        self.binds = binds

    def within(self, binds: int, right: bool = False) -> str:
        """The text as an operand of an operator with this precedence."""
        loose = self.binds <= binds if right else self.binds < binds
        return f"({self.text})" if loose else self.text


class Expressions:
    """How the parts of a program are written.

    Attributes:
        names: the names of variables and functions.
        ready: the text of each variable where it is used.
        constants: the arrays that have a name in the source.
        libraries: the libraries that the source calls besides NumPy.
        helpers: the functions that the source calls and NumPy lacks, by name.
        sequence: the text of a list of values, if there is a shorter one than naming them all.

    Args:
        parameters: the names of the arguments.
        taken: names that already mean something else.
        is_pure: whether it is for JAX, where numbers may be arrays, and no array is written to.
        is_at_speed: whether it only runs: then operations are our own functions, as in eager code, wherever these do
            more than NumPy's of the same name, or the same in less time.
    """

    def __init__(
        self, parameters: list[str], taken: Iterable[str], is_pure: bool = False, is_at_speed: bool = False
    ) -> None:
        self.is_pure = is_pure
        self._is_at_speed = is_at_speed
        self._parameters = parameters
        self.names = Identifiers((*taken, *parameters))
        self.ready: dict[Variable, Text] = {}
        self.constants: dict[str, Any] = {}
        self.libraries: set[str] = set()
        self.helpers: dict[str, Callable[..., Any]] = {}
        self.sequence: Callable[[Sequence[Any]], str | None] = lambda _: None

    def constant(self, x: Variable, array: Any) -> Text:
        """The text of an array that is the same in each run."""
        if not np.shape(array):
            return Text(literal(array))
        if array.ndim == 1 and array.dtype == np.int64 and np.array_equal(array, np.arange(len(array))):
            return Text(f"np.arange({len(array)})")
        if array.size <= _MANY and array.dtype in (np.float32, np.float64) and (array == 1).all():
            shape = array.shape[0] if array.ndim == 1 else array.shape
            return _called("np.ones", map(literal, (shape, array.dtype)[: 1 + (array.dtype != float)]))
        x.name = x.name or "constant"
        name = self.names[x]
        self.constants[name] = array
        return Text(name)

    def reserve(self, call: Instruction) -> None:
        """Name the function that performs an operation before the variables get their names."""
        if self._form(call.op) is Expressions._call and call.op.forward not in (*OPERATORS, np.negative):
            self.function(call)

    def operand(self, x: Any) -> Text:
        """The text of an input of an operation."""
        if isinstance(x, Variable):
            return self.ready[x]
        text = self._parameter(x)
        return Text(text, UNARY if text.startswith("-") else ATOM)

    def of(self, call: Instruction) -> Text:
        """The text of an operation with its inputs."""
        operands = [self.operand(x) for x in call.inputs]
        written = self._form(call.op)(self, call, operands)
        is_pythons = call.op is item or call.op.forward in (*OPERATORS, np.negative)
        if not self.is_pure and call.result.is_number and not is_pythons:
            kind = {"b": "bool", "i": "int", "u": "int", "f": "float", "c": "complex"}[call.result.dtype.kind]
            return Text(f"{kind}({written.text})")
        return written

    def _form(self, op: Op) -> "Form":
        """How an operation is written."""
        form = _PURE_FORMS.get(op) if self.is_pure else None
        return form or _FORMS.get(op, Expressions._call)

    def _numpys(self, call: Instruction, operands: list[Text]) -> Text:
        """A call of NumPy's function of that name, where ours is another one only because it is faster."""
        return self._named(f"np.{call.op.name}", call, operands)

    def _item(self, call: Instruction, operands: list[Text]) -> Text:
        return Text(operands[0].text if self.is_pure else f"{operands[0].within(ATOM)}.item()")

    def _einsum(self, call: Instruction, operands: list[Text]) -> Text:
        return _called("np.einsum", [literal(call.params["subscripts"]), *_texts(operands)])

    def _index_updated(self, call: Instruction, operands: list[Text]) -> Text:
        array, part = operands
        how = call.op.name.removeprefix("index_")
        return Text(f"np.asarray({array.text}).at[{self._index(call.params['index'])}].{how}({part.text})")

    def _scattered(self, call: Instruction, operands: list[Text]) -> Text:
        """Parts added to zeros, as JAX writes it."""
        parts = zip(call.params["indices"], operands)
        added = "".join(f".at[{self._index(index)}].add({part.text})" for index, part in parts)
        return Text(f"np.zeros({self._parameter(call.params['shape'])}, {literal(call.result.dtype)}){added}")

    def _windows(self, call: Instruction, operands: list[Text]) -> Text:
        """Windows as entries at a grid of places along each axis, since JAX has no views."""
        sizes = call.params["window_shape"]
        sizes = (sizes,) if isinstance(sizes, int) else tuple(sizes)
        shape = list(call.reads[0].shape)
        text = operands[0].text
        for size, axis in zip(sizes, axes_of(call.params.get("axis"), len(shape))):
            shape[axis] -= size - 1
            places = f"np.arange({shape[axis]})[:, None] + np.arange({size})"
            text = f"np.moveaxis(np.take({text}, {places}, axis={axis}), {axis + 1}, -1)"
        return Text(text)

    def _normal_cdf(self, call: Instruction, operands: list[Text]) -> Text:
        self.libraries.add("scipy")
        return Text(f"scipy.special.ndtr({operands[0].text})")

    def _sorted(self, call: Instruction, operands: list[Text]) -> Text:
        """JAX's sort is stable, and takes no other kind."""
        params = {name: x for name, x in call.params.items() if name != "kind"}
        return _called(f"np.{call.op.name}", [*_texts(operands), *self._keywords(params)])

    def _norm(self, call: Instruction, operands: list[Text]) -> Text:
        params = {"axis" if name == "axes" else name: x for name, x in call.params.items()}
        return _called("np.linalg.norm", [*_texts(operands), *self._keywords(params)])

    def _slogdet(self, call: Instruction, operands: list[Text]) -> Text:
        return Text(f"np.linalg.slogdet({operands[0].text})[{int(call.op is linalg.log_abs_det)}]")

    def _multi_dot(self, call: Instruction, operands: list[Text]) -> Text:
        return Text(f"np.linalg.multi_dot([{', '.join(_texts(operands))}])")

    def _joined(self, call: Instruction, operands: list[Text]) -> Text:
        params = {name: value for name, value in call.params.items() if (name, value) not in _JOINING}
        together = self.sequence(call.inputs) or f"[{', '.join(_texts(operands))}]"
        return _called(f"np.{call.op.name}", [together, *self._keywords(params)])

    def _tensordot(self, call: Instruction, operands: list[Text]) -> Text:
        a, b = operands
        return _called("np.tensordot", [a.text, b.text, self._parameter(call.params["axes"])])

    def _call(self, call: Instruction, operands: list[Text]) -> Text:
        forward = call.op.forward
        # for an array, x**0.5 is the square root in older versions of NumPy, and another number for -0.0
        is_root = forward is np.power and not call.result.is_number and repr(call.inputs[1]) == "0.5"
        # for Python numbers, an operator makes another one, and NumPy's function a number that keeps its dtype
        is_numpys = not call.result.is_number and all(map(_is_number, call.inputs))
        if forward in OPERATORS and len(operands) == 2 and not (call.params or is_root or is_numpys):
            symbol, binds = OPERATORS[forward]
            if forward is np.power:
                base, exponent = operands[0].within(binds, right=True), operands[1].within(UNARY)
                hugs = all(re.fullmatch(r"-?[\w.]+", side) for side in (base, exponent))
                return Text(f"{base}**{exponent}" if hugs else f"{base} ** {exponent}", binds)
            tight = _COMPARISON + 1 if binds == _COMPARISON else binds
            return Text(f"{operands[0].within(tight)} {symbol} {operands[1].within(binds, right=True)}", binds)
        if forward is np.negative and not is_numpys:
            return Text(f"-{operands[0].within(UNARY)}", UNARY)
        if isinstance(call.op, Draw):
            arguments = [*map(self._parameter, call.op.args), *self._keywords(call.op.kwargs)]
        elif call.op.arity is None and (together := self.sequence(call.inputs)):
            arguments = [together[1:-1] if together.startswith("[") else f"*{together}", *self._keywords(call.params)]
        else:
            arguments = [*_texts(operands), *self._keywords(call.params)]
        return _called(self.function(call), arguments)

    def _keywords(self, params: Mapping[str, Any]) -> list[str]:
        return [
            f"{name}={self._indices(value) if name == 'indices' else self._parameter(value)}"
            for name, value in params.items()
            if value is not np._NoValue
        ]

    def _indices(self, indices: Sequence[Any]) -> str:
        return sequence_text(indices, [self._parameter(index) for index in indices])

    def function(self, call: Instruction) -> str:
        """The text of the function that performs an operation."""
        op = call.op
        if isinstance(op, Draw) and op.argument is not None:
            return f"{self._parameters[op.argument]}.{op.name}"
        if isinstance(op, Draw) and op.generator is OF_NUMPY:
            return f"np.random.{op.name}"
        if isinstance(op, Draw):
            name = self.names[_Named(op.generator, "rng")]
            self.helpers[name] = op.generator
            return f"{name}.{op.name}"
        known = _name_of_function(op, tuple(call.params), self._is_at_speed)
        if known:
            if not known.startswith("np."):
                self.libraries.add(known.split(".")[0])
            return known
        self.helpers[self.names[op]] = op.compute if self._is_at_speed and _is_sped_up(op) else op.forward
        return self.names[op]

    def _parameter(self, value: Any) -> str:
        if isinstance(value, Variable):
            return self.ready[value].text
        if isinstance(value, tuple):
            parts = [self._parameter(part) for part in value]
            return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
        if isinstance(value, slice):
            return f"slice({', '.join(map(self._parameter, (value.start, value.stop, value.step)))})"
        if isinstance(value, np.ndarray) and value.dtype.kind in _NUMBERS:
            if value.ndim == 0 or value.size <= 8:
                return literal(value)
            constant = Variable(value.shape, value.dtype, name="index")
            return self.constant(constant, value).text
        if not _has_literal(value):
            name = self.names[_Named(value, type(value).__name__.lower())]
            self.helpers[name] = value
            return name
        return literal(value)

    def _index(self, index: Any) -> str:
        parts = index if isinstance(index, tuple) else (index,)
        texts = [_slice(part, self._parameter) for part in parts]
        return ", ".join(texts) or "()"

    def _getitem(self, call: Instruction, operands: list[Text]) -> Text:
        return Text(f"{operands[0].within(ATOM)}[{self._index(call.params['index'])}]")

    def _transpose(self, call: Instruction, operands: list[Text]) -> Text:
        axes = call.params.get("axes")
        text = operands[0].within(ATOM)
        return Text(f"{text}.T") if axes is None else Text(f"{text}.transpose({self._parameter(axes)})")

    def _swapaxes(self, call: Instruction, operands: list[Text]) -> Text:
        if len(call.result.shape) == 2 and {axis % 2 for axis in call.params.values()} == {0, 1}:
            return Text(f"{operands[0].within(ATOM)}.T")
        return self._named("np.swapaxes", call, operands)

    def _required(self, call: Instruction, operands: list[Text]) -> Text:
        """A requirement of values, as a statement before they are used."""
        return operands[1]

    def _cast(self, call: Instruction, operands: list[Text]) -> Text:
        is_copy = getattr(call.inputs[0], "dtype", None) == call.result.dtype
        method = "copy()" if is_copy else f"astype({self._parameter(call.params['dtype'])})"
        return Text(f"{operands[0].within(ATOM)}.{method}")

    def _reshape(self, call: Instruction, operands: list[Text]) -> Text:
        order = call.params.get("order", "C")
        shape = call.params["shape"] if call.op is shaping.reshape else (-1,)
        sizes = ", ".join(map(str, shape)) if isinstance(shape, tuple) and shape else self._parameter(shape)
        ordered = "" if order == "C" else f", order={literal(order)}"
        return Text(f"{operands[0].within(ATOM)}.reshape({sizes}{ordered})")

    def _reduction(self, call: Instruction, operands: list[Text]) -> Text:
        if set(call.params) - {"axis", "keepdims"}:
            return self._named(f"np.{call.op.name}", call, operands)
        params = {name: value for name, value in call.params.items() if (name, value) not in _DEFAULTS}
        if isinstance(params.get("axis"), tuple) and len(params["axis"]) == 1:
            (params["axis"],) = params["axis"]
        return _called(f"{operands[0].within(ATOM)}.{call.op.name}", self._keywords(params))

    def _named(self, function: str, call: Instruction, operands: list[Text]) -> Text:
        return _called(function, [*_texts(operands), *self._keywords(call.params)])


Form = Callable[[Expressions, Instruction, list[Text]], Text]

_FORMS: dict[Any, Form] = {
    item: Expressions._item,
    indexing.getitem: Expressions._getitem,
    shaping.transpose: Expressions._transpose,
    shaping.swapaxes: Expressions._swapaxes,
    shaping.reshape: Expressions._reshape,
    shaping.ravel: Expressions._reshape,
    casting.cast: Expressions._cast,
    refuse_where: Expressions._required,
    contraction.tensordot: Expressions._tensordot,
    joining.concatenate: Expressions._joined,
    joining.stack: Expressions._joined,
    linalg.sign_of_det: Expressions._slogdet,
    linalg.phase_of_det: Expressions._slogdet,
    linalg.log_abs_det: Expressions._slogdet,
    linalg.multi_dot: Expressions._multi_dot,
    reductions.sum: Expressions._reduction,
    reductions.mean: Expressions._reduction,
    extrema.max: Expressions._reduction,
    extrema.min: Expressions._reduction,
}


# for JAX, whose functions need no help
_PURE_FORMS: dict[Any, Form] = {
    item: Expressions._item,
    indexing.scatter: Expressions._scattered,
    indexing.index_set: Expressions._index_updated,
    indexing.index_add: Expressions._index_updated,
    contraction.einsum: Expressions._einsum,
    norms.norm: Expressions._norm,
    normal.normal_cdf: Expressions._normal_cdf,
    windows.windows: Expressions._windows,
    ordering.sort: Expressions._sorted,
    ordering.argsort: Expressions._sorted,
    **dict.fromkeys(
        [
            arranging.roll,
            arranging.tril,
            arranging.triu,
            curves.convolve,
            curves.interp,
            elementwise.clip,
            elementwise.nan_to_num,
            elementwise.round,
            filling.geomspace,
            filling.linspace,
            padding.pad,
            products.cross,
            variances.var,
        ],
        Expressions._numpys,
    ),
}


def _called(function: str, arguments: Iterable[str]) -> Text:
    return Text(f"{function}({', '.join(arguments)})")


def _texts(operands: Iterable[Text]) -> list[str]:
    return [operand.text for operand in operands]


def _is_number(x: Any) -> bool:
    return x.is_number if isinstance(x, Variable) else is_python_number(x)


def _slice(part: Any, written: Callable[[Any], str]) -> str:
    if part is Ellipsis:
        return "..."
    if isinstance(part, slice):
        ends = ["" if end is None else written(end) for end in (part.start, part.stop, part.step)]
        return ":".join(ends if ends[2] else ends[:2])
    return written(part)


def _quoted(text: str) -> str:
    """The literal of a text, between double quotes unless it contains some."""
    quoted = repr(text)
    return quoted if quoted[0] == '"' or '"' in text else f'"{quoted[1:-1]}"'


_NUMBERS = frozenset("biufc")
"""The kinds of NumPy's numbers."""
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(...))


def _has_literal(value: Any) -> bool:
    """Whether Python makes an equal value of a value's literal; what other reprs mean is unknown."""
    if isinstance(value, (np.dtype, np.ndarray, np.generic)):
        return np.dtype(getattr(value, "dtype", value)).kind in _NUMBERS
    if isinstance(value, type):
        return issubclass(value, np.generic) or value in _PLAIN
    if type(value) in (tuple, list):
        return all(map(_has_literal, value))
    if type(value) is dict:
        return all(map(_has_literal, (*value, *value.values())))
    if type(value) is slice:
        return all(map(_has_literal, (value.start, value.stop, value.step)))
    return type(value) in _PLAIN


def literal(value: Any) -> str:
    """The Python literal of a value."""
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        dtype: Any = np.dtype(value)
        if dtype.kind not in _NUMBERS:
            return f"np.dtype({_quoted(dtype.str)})"
        return f"np.{dtype.name}" if dtype.kind != "b" else "bool"
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, np.ndarray):
        if not value.size:
            return f"np.zeros({literal(value.shape)}, {literal(value.dtype)})"
        is_usual = value.dtype in (np.float64, np.int64, np.bool_)
        return f"np.array({literal(value.tolist())}{'' if is_usual else f', {literal(value.dtype)}'})"
    if isinstance(value, np.longdouble):
        return f"np.longdouble({_quoted(str(value))})"  # Python has no such number
    if isinstance(value, np.clongdouble):
        return f"np.array([{literal(value.real)}, {literal(value.imag)}]).view(np.clongdouble)[0]"
    if isinstance(value, np.generic):
        return f"np.{value.dtype.name}({literal(value.item())})" if value.dtype != bool else str(bool(value))
    if isinstance(value, float) and not math.isfinite(value):
        return "np.nan" if math.isnan(value) else "np.inf" if value > 0 else "-np.inf"
    if isinstance(value, complex):
        return repr(value) if np.isfinite(value) else f"complex({literal(value.real)}, {literal(value.imag)})"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{literal(key)}: {literal(x)}' for key, x in value.items())}}}"
    if isinstance(value, slice):
        return f"slice({literal(value.start)}, {literal(value.stop)}, {literal(value.step)})"
    return repr(value)


def broken_call(line: str, width: int) -> list[str]:
    """A line that ends with a call, with the arguments on lines of their own."""
    commas: list[list[int]] = [[]]  # the positions of the commas within each open bracket
    opened: list[int] = []
    between: list[int] = []
    quote, last = "", -1
    for i, letter in enumerate(line):
        if quote:
            quote = "" if letter == quote and line[i - 1] != "\\" else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "([{":
            opened.append(i)
            commas.append([])
        elif letter in ")]}":
            last, between = opened.pop(), commas.pop()
        elif letter == ",":
            commas[-1].append(i)
    if last < 0 or not line.endswith(")") or not line[last + 1 : -1]:
        return [line]
    if len(line) - last + 2 <= width:
        return [line[: last + 1], f"    {line[last + 1 : -1]}", ")"]
    ends = [*between, len(line) - 1]
    parts = [line[start + 1 : end].strip() for start, end in zip([last, *ends], ends)]
    return [line[: last + 1], *(f"    {part}," for part in parts), ")"]


def _is_sped_up(op: Op) -> bool:
    """Whether eager code calls a function of ours in place of NumPy's; a ufunc keeps its `out`, which gains more."""
    return _is_numpys(op.forward) and not _is_numpys(op.compute) and not isinstance(op.forward, np.ufunc)


def _is_numpys(function: Callable[..., Any]) -> bool:
    return getattr(function, "__module__", "numpy").startswith("numpy")


@functools.cache
def _name_of_function(op: Op, params: tuple[str, ...], is_at_speed: bool) -> str | None:
    """The text of the library function that performs an operation; None if there is none."""
    own, *twins = functions_of(op)
    if is_at_speed and (_is_sped_up(op) or not _is_numpys(own)):
        return None
    paths = [path_of(function) for function in (own, *(twin for twin in twins if _takes(twin, params)))]
    return next((path for path in paths if path.startswith(("np.", *TABLES))), None)


def _takes(function: Callable[..., Any], params: Iterable[str]) -> bool:
    try:
        return set(params) <= set(signature(function).parameters)
    except (TypeError, ValueError):  # before NumPy 2.4, functions written in C report no signature
        return not set(params)
