"""Notation: an expression as text, as LaTeX, and as MathML."""

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import NO_PARAMS, Op
from tinygrad_lite.engine.tensor import positive
from tinygrad_lite.ops import casting
from tinygrad_lite.ops.arithmetic import elementwise, selection
from tinygrad_lite.ops.linear import products
from tinygrad_lite.ops.shapes import indexing, shaping
from tinygrad_lite.readers.expression import Expression, numbers

_ATOM, _POWER, _UNARY, _PRODUCT, _SUM, _COMPARISON, _LOGIC = 7, 6, 5, 4, 3, 2, 1
_INFIX: dict[Op, tuple[str, str, int]] = {
    elementwise.add: ("+", "+", _SUM),
    elementwise.subtract: ("-", "-", _SUM),
    elementwise.multiply: ("·", r"\odot", _PRODUCT),
    elementwise.divide: ("/", "/", _PRODUCT),
    products.matmul: ("@", r"\,", _PRODUCT),
    selection.equal: ("==", "=", _COMPARISON),
    selection.not_equal: ("≠", r"\neq", _COMPARISON),
    selection.less: ("<", "<", _COMPARISON),
    selection.less_equal: ("≤", r"\leq", _COMPARISON),
    selection.greater: (">", ">", _COMPARISON),
    selection.greater_equal: ("≥", r"\geq", _COMPARISON),
    selection.bitwise_and: ("and", r"\wedge", _LOGIC),
    selection.bitwise_or: ("or", r"\vee", _LOGIC),
    selection.logical_and: ("and", r"\wedge", _LOGIC),
    selection.logical_or: ("or", r"\vee", _LOGIC),
    selection.logical_xor: ("xor", r"\oplus", _LOGIC),
}
_UNCHANGED = (positive, casting.cast, selection.stop_gradient)
_USUAL = [("order", "C"), ("casting", "same_kind"), ("optimize", False), ("keepdims", False)]
_GREEK = {"sigmoid": r"\sigma", "normal_cdf": r"\Phi"}
_NAMED = ("exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "max", "min", "arg")
_GREEK_LETTERS = frozenset("alpha beta gamma delta epsilon theta lambda mu sigma tau phi omega eta".split())  # noqa: SIM905

_UNCLEAR = {products.matmul, selection.bitwise_or, selection.logical_or, selection.logical_xor}

_NEUTRAL = {
    selection.bitwise_and: True,
    selection.bitwise_or: False,
    selection.logical_and: True,
    selection.logical_or: False,
    selection.logical_xor: False,
}


class _Writer:
    """Puts the parts of an expression together; each part is a text and the precedence of its outermost operator."""

    superscript: Callable[[str, str], str]

    def of(self, x: Any) -> tuple[str, int]:
        """The text of an expression, and the precedence of its outermost operator."""
        if not isinstance(x, Expression):
            return self.number(x)
        if x.op is None:
            return self.name(x.name or "x"), _ATOM
        op, inputs = x.op, x.inputs
        if op in _UNCHANGED:
            return self.of(inputs[0])
        if (
            op in _NEUTRAL
            and len(said := [operand for operand in inputs if not _goes_without_saying(op, operand)]) == 1
        ):
            return self.of(said[0])
        if op is selection.logical_not or (op is selection.logical_xor and _is_true(inputs[0])):
            return self.denied(self.within(inputs[-1], _UNARY)), _UNARY
        if op in _INFIX:
            return self.infix(op, *inputs)
        if op is elementwise.negative:
            return self.negated(self.within(inputs[0], _UNARY)), _UNARY
        if op is elementwise.square:
            return self.power(inputs[0], self.of(2)[0]), _POWER
        if op is elementwise.power:
            return self.power(inputs[0], self.of(inputs[1])[0]), _POWER
        if _is_transposed(x):
            return self.transposed(inputs[0]), _POWER
        if op is indexing.getitem:
            return self.indexed(inputs[0], _index(x.params["index"], np.shape(numbers(inputs[0])))), _ATOM
        return self.call(x)

    def within(self, x: Any, binds: int) -> str:
        """The text of an expression as an operand of an operator with this precedence."""
        text, own = self.of(x)
        return self.bracketed(text) if own < binds else text

    def infix(self, op: Op, a: Any, b: Any) -> tuple[str, int]:
        text, binds = self.symbol(op), _INFIX[op][2]
        left = binds + 1 if binds == _COMPARISON else binds
        right = binds + 1 if op in (elementwise.subtract, elementwise.divide) or binds == _COMPARISON else binds
        left, right = (binds + 1 if _differs(x, op) else own for x, own in ((a, left), (b, right)))
        return f"{self.within(a, left)} {text} {self.within(b, right)}", binds

    def number(self, x: Any) -> tuple[str, int]:
        if isinstance(x, str):
            return x, _ATOM
        if np.ndim(x) or not np.issubdtype(np.result_type(x), np.number):
            return self.name(_listed(x) if np.ndim(x) else str(x)), _ATOM
        number = x.item() if hasattr(x, "item") else x
        if isinstance(number, complex):
            text = f"({number:.6g})" if number.real else f"{number.imag:.6g}j"
        else:
            text = f"{number:.6g}" if isinstance(number, float) else str(number)
        return text, _UNARY if text.startswith("-") else _ATOM

    def name(self, name: str) -> str:
        raise NotImplementedError

    def symbol(self, op: Op) -> str:
        raise NotImplementedError

    def negated(self, text: str) -> str:
        return f"-{text}"

    def denied(self, text: str) -> str:
        raise NotImplementedError

    def bracketed(self, text: str) -> str:
        raise NotImplementedError

    def power(self, x: Any, exponent: str) -> str:
        raise NotImplementedError

    def transposed(self, x: Any) -> str:
        raise NotImplementedError

    def indexed(self, x: Any, index: str) -> str:
        raise NotImplementedError

    def call(self, x: Expression) -> tuple[str, int]:
        raise NotImplementedError


class _Text(_Writer):
    def __init__(self, tells_parameters: bool = True) -> None:
        self._tells_parameters = tells_parameters

    def name(self, name: str) -> str:
        return name

    def symbol(self, op: Op) -> str:
        return _INFIX[op][0]

    def denied(self, text: str) -> str:
        return f"not {text}"

    def bracketed(self, text: str) -> str:
        return f"({text})"

    def power(self, x: Any, exponent: str) -> str:
        base = self.within(x, _POWER + 1)
        if exponent in _RAISED:
            return base + _RAISED[exponent]
        return f"{base}^{exponent}" if exponent.isalnum() else f"{base}^({exponent})"

    def transposed(self, x: Any) -> str:
        return f"{self.within(x, _ATOM)}ᵀ"

    def indexed(self, x: Any, index: str) -> str:
        return f"{self.within(x, _ATOM)}[{index}]"

    def call(self, x: Expression) -> tuple[str, int]:
        parts = [self.of(operand)[0] for operand in x.inputs]
        if self._tells_parameters:
            parts += [f"{name}={_parameter(value)}" for name, value in _told(x)]
        return f"{_name(x.op)}({', '.join(parts)})", _ATOM


class _Latex(_Writer):
    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def number(self, x: Any) -> tuple[str, int]:
        text, binds = super().number(x)
        mantissa, e, exponent = text.partition("e")
        if e and exponent[-1:].isdigit():
            power = f"10^{{{int(exponent)}}}"
            if mantissa in ("1", "-1"):
                return power if mantissa == "1" else f"-{power}", _POWER if mantissa == "1" else _UNARY
            return rf"{mantissa} \cdot {power}", _PRODUCT
        return text.replace("inf", r"\infty"), binds

    def name(self, name: str) -> str:
        return self._names.get(name) or latex_name(name)

    def symbol(self, op: Op) -> str:
        return _INFIX[op][1]

    def infix(self, op: Op, a: Any, b: Any) -> tuple[str, int]:
        if op is elementwise.divide:
            return rf"\frac{{{self.of(a)[0]}}}{{{self.of(b)[0]}}}", _POWER
        text, binds = super().infix(op, a, b)
        if op is elementwise.multiply and (np.ndim(numbers(a)) == 0 or np.ndim(numbers(b)) == 0):
            text = text.replace(r" \odot ", r" \cdot ", 1) if r"\odot" not in self.within(a, binds) else text
        return text, binds

    def denied(self, text: str) -> str:
        return rf"\neg {text}"

    def bracketed(self, text: str) -> str:
        return rf"\left({text}\right)"

    def power(self, x: Any, exponent: str) -> str:
        return f"{{{self.within(x, _POWER + 1)}}}^{{{exponent}}}"

    def transposed(self, x: Any) -> str:
        return rf"{{{self.within(x, _ATOM)}}}^{{\top}}"

    def indexed(self, x: Any, index: str) -> str:
        return f"{{{self.within(x, _ATOM)}}}_{{{escaped(index)}}}"

    def call(self, x: Expression) -> tuple[str, int]:
        name = _name(x.op)
        parts = [self.of(operand)[0] for operand in x.inputs]
        if name == "exp":
            return f"e^{{{parts[0]}}}", _POWER
        if name == "sqrt":
            return rf"\sqrt{{{parts[0]}}}", _ATOM
        if name == "absolute":
            return rf"\left|{parts[0]}\right|", _ATOM
        if name == "sum" and x.params.get("axis") is None:
            return rf"\sum {self.within(x.inputs[0], _PRODUCT)}", _SUM
        if name == "broadcast_to":
            size = r" \times ".join(map(str, x.shape))
            if not np.ndim(numbers(x.inputs[0])):
                return rf"{self.within(x.inputs[0], _PRODUCT)} \, \mathbf{{1}}_{{{size}}}", _PRODUCT
            return rf"\operatorname{{broadcast}}_{{{size}}}\left({parts[0]}\right)", _ATOM
        parts += [rf"\text{{{escaped(f'{key}={_parameter(value)}')}}}" for key, value in _told(x)]
        command = _GREEK.get(name) or (f"\\{name}" if name in _NAMED else rf"\operatorname{{{escaped(name)}}}")
        return rf"{command}\left({', '.join(parts)}\right)", _ATOM


class _MathML(_Writer):
    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def number(self, x: Any) -> tuple[str, int]:
        text, binds = super().number(x)
        if isinstance(x, str) or np.ndim(x) or not np.issubdtype(np.result_type(x), np.number):
            return text, binds
        mantissa, e, exponent = text.removeprefix("-").partition("e")
        sign = _operator(MINUS) if text.startswith("-") else ""
        if e and exponent[-1:].isdigit():
            power = f"<msup><mn>10</mn>{self.number(int(exponent))[0]}</msup>"
            if mantissa == "1":
                return (f"<mrow>{sign}{power}</mrow>", _UNARY) if sign else (power, _POWER)
            return f"<mrow>{sign}<mn>{mantissa}</mn>{_operator('·')}{power}</mrow>", _PRODUCT
        digits = f"<mn>{escape(text.removeprefix('-').replace('inf', '∞'))}</mn>"
        return (f"<mrow>{sign}{digits}</mrow>" if sign else digits), binds

    def name(self, name: str) -> str:
        return self._names.get(name) or f"<mi>{escaped_markup(name)}</mi>"

    def symbol(self, op: Op) -> str:
        return _operator(_INFIX[op][0].replace("-", MINUS).replace("==", "="))

    def infix(self, op: Op, a: Any, b: Any) -> tuple[str, int]:
        if op is elementwise.divide:
            return f"<mfrac><mrow>{self.of(a)[0]}</mrow><mrow>{self.of(b)[0]}</mrow></mfrac>", _POWER
        return super().infix(op, a, b)

    def negated(self, text: str) -> str:
        return f"{_operator(MINUS)}{text}"

    def denied(self, text: str) -> str:
        return f"{_operator('¬')}{text}"

    def bracketed(self, text: str) -> str:
        grows = "" if "<mfrac" in text else " stretchy='false'"
        return f"<mrow><mo{grows}>(</mo>{text}<mo{grows}>)</mo></mrow>"

    def power(self, x: Any, exponent: str) -> str:
        return f"<msup><mrow>{self.within(x, _POWER + 1)}</mrow><mrow>{exponent}</mrow></msup>"

    def transposed(self, x: Any) -> str:
        return f"<msup><mrow>{self.within(x, _ATOM)}</mrow><mi mathvariant='normal'>T</mi></msup>"

    def indexed(self, x: Any, index: str) -> str:
        return f"<msub><mrow>{self.within(x, _ATOM)}</mrow><mtext>{escaped_markup(index)}</mtext></msub>"

    def call(self, x: Expression) -> tuple[str, int]:
        name = _name(x.op)
        parts = [self.of(operand)[0] for operand in x.inputs]
        if name == "exp":
            return f"<msup><mi>e</mi><mrow>{parts[0]}</mrow></msup>", _POWER
        if name == "sqrt":
            return f"<msqrt>{parts[0]}</msqrt>", _ATOM
        if name == "absolute":
            return f"<mrow>{_operator('|')}{parts[0]}{_operator('|')}</mrow>", _ATOM
        if name == "sum" and x.params.get("axis") is None:
            return f"{_operator('∑')}{self.within(x.inputs[0], _PRODUCT)}", _SUM
        function = f"<mi>{ {'sigmoid': 'σ', 'normal_cdf': 'Φ'}.get(name) or escaped_markup(name) }</mi>"
        told = _told(x)
        if name == "broadcast_to":
            size, told = f"<mtext>{escaped_markup(' × '.join(map(str, x.shape)))}</mtext>", []
            if not np.ndim(numbers(x.inputs[0])):
                return (
                    f"{self.within(x.inputs[0], _PRODUCT)}<mspace width='0.2em'/><msub><mn>𝟏</mn>{size}</msub>",
                    _PRODUCT,
                )
            function = f"<msub><mi>broadcast</mi>{size}</msub>"
        parts += [f"<mtext>{escaped_markup(f'{key}={_parameter(value)}')}</mtext>" for key, value in told]
        return f"<mrow>{function}{self.bracketed(_operator(',').join(parts))}</mrow>", _ATOM


MINUS = "\N{MINUS SIGN}"


def _operator(sign: str) -> str:
    return f"<mo>{escape(sign)}</mo>"


_RAISED = {"2": "²", "3": "³", "4": "⁴", "-1": "⁻¹", "-2": "⁻²"}


def text(x: Any) -> str:
    """The expression as text.

    Example:
        >>> import numpy as np
        >>> from tinygrad_lite.readers.symbol import Symbol
        >>> a, b = (Symbol(np.ones((2, 2)), name) for name in "ab")
        >>> text(np.exp(a) @ b.T - a**2 / (a + b))
        'exp(a) @ bᵀ - a² / (a + b)'
    """
    return _Text().of(x)[0]


def outline(x: Any) -> str:
    """The expression as text, without the parameters of its calls, for where there is little room.

    Example:
        >>> import numpy as np
        >>> from tinygrad_lite.readers.symbol import Symbol
        >>> outline(np.sum(Symbol(np.ones((2, 2)), "a"), axis=1))
        'sum(a)'
    """
    return _Text(tells_parameters=False).of(x)[0]


def latex(x: Any, names: Mapping[str, str] = NO_PARAMS) -> str:
    r"""The expression as LaTeX, for a formula; the caller may supply LaTeX for some names.

    Example:
        >>> import numpy as np
        >>> from tinygrad_lite.readers.symbol import Symbol
        >>> a, b = (Symbol(np.ones((2, 2)), name) for name in "ab")
        >>> print(latex(np.exp(a) @ b.T - a**2 / (a + b), {"b": r"\beta"}))
        e^{a} \, {\beta}^{\top} - \frac{{a}^{2}}{a + \beta}
    """
    return _Latex(names).of(x)[0]


def mathml(x: Any, names: Mapping[str, str] = NO_PARAMS) -> str:
    """The expression as MathML, for the inside of a `math` element; the caller may supply markup for some names.

    Example:
        >>> import numpy as np
        >>> from tinygrad_lite.readers.symbol import Symbol
        >>> a, b = (Symbol(np.ones(2), name) for name in "ab")
        >>> print(mathml(a**2 / b))
        <mfrac><mrow><msup><mrow><mi>a</mi></mrow><mrow><mn>2</mn></mrow></msup></mrow><mrow><mi>b</mi></mrow></mfrac>
    """
    return _MathML(names).of(x)[0]


def escaped_markup(text: str) -> str:
    """The text for markup; braces are escaped, too, since a page puts names in their place."""
    return escape(text).replace("{", "&#123;").replace("}", "&#125;")


def latex_name(name: str) -> str:
    """A name in a formula: a single letter as it is, a Greek letter by its symbol, a longer name upright."""
    head, _, tail = name.partition("_")
    if not name.replace("_", "").isalnum():  # the commands for special characters work only in text
        return rf"\text{{{escaped(name)}}}"
    if len(name) == 1:
        return escaped(name)
    if name in _GREEK_LETTERS:
        return f"\\{name}"
    if (len(head) == 1 or head in _GREEK_LETTERS) and tail:
        return f"{latex_name(head)}_{{{escaped(tail)}}}"
    if len(name) > 1 and name[0].isalpha() and name[1:].isdigit():
        return f"{escaped(name[0])}_{{{name[1:]}}}"
    return rf"\text{{{escaped(name)}}}"


def escaped(text: str) -> str:
    """The text with LaTeX's special characters escaped."""
    named = {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
    return "".join(named.get(letter, f"\\{letter}" if letter in "#$%&_{}" else letter) for letter in text)


def _name(op: Op | None) -> str:
    return str(op).rsplit(".", 1)[-1]


def _told(x: Expression) -> list[tuple[str, Any]]:
    """The parameters that a reader needs: those that differ from their usual values."""
    return [(name, value) for name, value in x.params.items() if value is not None and (name, value) not in _USUAL]


def _is_true(x: Any) -> bool:
    return isinstance(x, (bool, np.bool)) and bool(x)


def _goes_without_saying(op: Op, x: Any) -> bool:
    """Whether an operand of "and" is always true, or an operand of "or" always false."""
    return isinstance(x, (bool, np.bool)) and x == _NEUTRAL.get(op)


def _differs(x: Any, op: Op) -> bool:
    """Whether an operand needs brackets to be clear: a matrix product inside another one, or "or" inside "and"."""
    while isinstance(x, Expression) and x.op in _UNCHANGED:
        x = x.inputs[0]
    return isinstance(x, Expression) and x.op is not op and bool({x.op, op} & _UNCLEAR)


def _is_transposed(x: Expression) -> bool:
    if x.op is shaping.transpose:
        return x.params.get("axes") is None
    last = {len(x.shape) - 2, len(x.shape) - 1}
    return (
        x.op is shaping.swapaxes and len(x.shape) >= 2 and {axis % len(x.shape) for axis in x.params.values()} == last
    )


def _parameter(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.ndim:
        return _listed(value)
    if isinstance(value, str) and not value.isidentifier():
        return repr(value)
    if isinstance(value, tuple) and any(isinstance(part, slice) for part in value):
        return f"[{_index(value, None)}]"
    if isinstance(value, tuple):
        inside = ", ".join(map(_parameter, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return str(value)


def _listed(array: Any) -> str:
    """A few entries as a list; for many entries their number; for a symbol its text."""
    if isinstance(array, Expression):
        return text(array)
    array = np.asarray(array)
    if array.size <= 8 and (array.size or array.ndim == 1):
        return str(array.tolist())
    return f"({' × '.join(map(str, array.shape))} {'truths' if array.dtype == bool else 'numbers'})"


def _index(index: Any, shape: tuple[int, ...] | None) -> str:
    parts = index if isinstance(index, tuple) else (index,)
    # one after another, from the first
    along_axes = shape is not None and all(isinstance(part, (int, slice)) for part in parts)
    written = [_part(part, shape[k] if shape is not None and along_axes else None) for k, part in enumerate(parts)]
    while along_axes and len(written) > 1 and written[-1] == ":":
        written.pop()  # axes without an index are taken whole
    return ", ".join(written)


def _part(part: Any, size: int | None) -> str:
    if isinstance(part, slice):
        start, stop, step = (None if bound is None else int(bound) for bound in (part.start, part.stop, part.step))
        if size is not None:  # what a slice without this bound would do anyway
            first, beyond = (size - 1, None) if (step or 1) < 0 else (0, size)
            start, stop = (None if bound == usual else bound for bound, usual in ((start, first), (stop, beyond)))
        ends = ["" if bound is None else str(bound) for bound in (start, stop)]
        return ":".join(ends) + ("" if step in (None, 1) else f":{step}")
    if part is Ellipsis:
        return "..."
    return _listed(part) if np.ndim(part) else str(part)
