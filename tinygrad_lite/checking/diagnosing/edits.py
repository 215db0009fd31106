"""Changes of one expression in a function's text, each the opposite of a mistake that people make there.

A changed function writes nowhere else than before: neither is what it writes to changed, nor a call for what it does,
and an expression in place of another makes an array of its own.
"""

import ast
from collections.abc import Iterator
from typing import Any

Place = tuple[ast.AST, str, int | None]
"""Where a node is: its parent, the field, and its number in a list there."""
Edit = tuple[Place, ast.AST]

_OPERATORS: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add, ast.Mult),
    ast.Mult: (ast.Div, ast.Add, ast.Pow),
    ast.Div: (ast.Mult, ast.Sub),
    ast.Pow: (ast.Mult,),
}
_OPPOSITES: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt,
    ast.Gt: ast.Lt,
    ast.LtE: ast.GtE,
    ast.GtE: ast.LtE,
}
_EXCHANGED = [
    *(("sin", "cos"), ("sinh", "cosh"), ("exp", "expm1"), ("log", "log1p"), ("exp", "log"), ("sum", "mean")),
    *(("sqrt", "square"), ("tanh", "arctan"), ("maximum", "minimum"), ("max", "min"), ("std", "var"), ("abs", "sign")),
    *(("dot", "multiply"), ("outer", "multiply")),
]
_FUNCTIONS: dict[str, list[str]] = {}
for _one, _other in _EXCHANGED:
    _FUNCTIONS.setdefault(_one, []).append(_other)
    _FUNCTIONS.setdefault(_other, []).append(_one)
_MOST_NAMES = 16  # values that may be missing, the first in the text


def edits(function: ast.FunctionDef | ast.Lambda) -> Iterator[Edit]:
    """Each change, the likeliest first."""
    places = [*_places(function)]
    names = [*dict.fromkeys(text for place in places if (text := _value(place)))][:_MOST_NAMES]
    for kind in (_of_operators, _of_numbers, _of_signs, _of_calls, _of_statements):
        for place in places:
            for new in kind(at(place)):
                yield place, new
    for place in places:
        if value := _value(place):
            yield from ((place, _parsed(name)) for name in names if name != value)
    for place in places:
        if _is_whole(place):
            yield from ((place, _parsed(text)) for text in _with_more(at(place), names))


def at(place: Place) -> Any:
    """The node at a place."""
    parent, field, k = place
    return getattr(parent, field) if k is None else getattr(parent, field)[k]


def own(node: ast.AST) -> ast.AST:
    """An expression that makes an array of its own, which may be written to."""
    return ast.UnaryOp(ast.UAdd(), node) if isinstance(node, ast.expr) and not isinstance(node, ast.Constant) else node


def put(place: Place, node: ast.AST) -> None:
    """Put a node there."""
    parent, field, k = place
    if k is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[k] = node


def _places(function: ast.FunctionDef | ast.Lambda) -> Iterator[Place]:
    """The places in the body of a function, the outer ones before those in them; of what it writes to, the numbers."""
    left: list[Place] = [(function, "body", None)] if isinstance(function, ast.Lambda) else []
    if isinstance(function, ast.FunctionDef):
        left = [(function, "body", k) for k in range(len(function.body))]
    written: set[int] = set()
    while left:
        place = left.pop(0)
        node, inside = at(place), list[Place]()
        if isinstance(node, ast.Expr) or (isinstance(node, ast.keyword) and node.arg == "out"):
            continue
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.For)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            written |= {id(part) for target in targets for part in ast.walk(target)}
        if id(node) not in written or isinstance(node, ast.Constant):
            yield place
        for field, value in ast.iter_fields(node):
            if isinstance(value, list):
                inside += [(node, field, k) for k, part in enumerate(value) if isinstance(part, ast.AST)]
            elif isinstance(value, ast.AST) and not isinstance(value, (ast.expr_context, ast.operator)):
                inside.append((node, field, None))
        left = inside + left


def _value(place: Place) -> str:
    """The name, or attribute, of a value that is read there, and not called; else empty."""
    (parent, field, _), node = place, at(place)
    is_read = isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load)
    is_part = isinstance(parent, ast.Attribute) or (isinstance(parent, ast.Call) and field == "func")
    return "" if not is_read or is_part or (isinstance(node, ast.Attribute) and node.attr == "T") else ast.unparse(node)


def _of_operators(node: Any) -> Iterator[ast.AST]:
    """Another operator, its arguments the other way round, or one of them alone."""
    if isinstance(node, ast.BinOp):
        for operator in _OPERATORS.get(type(node.op), ()):
            yield ast.BinOp(node.left, operator(), node.right)
        yield node.left
        yield node.right
        if isinstance(node.op, (ast.MatMult, ast.Div, ast.Sub, ast.Pow)):
            yield ast.BinOp(node.right, node.op, node.left)
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        yield node.value
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and (opposite := _OPPOSITES.get(type(node.ops[0]))):
        yield ast.Compare(node.left, [opposite()], node.comparators)


def _of_signs(node: Any) -> Iterator[ast.AST]:
    """The opposite sign."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield node.operand
    elif isinstance(node, (ast.BinOp, ast.Call, ast.Name, ast.Attribute, ast.Subscript)) and _is_read(node):
        yield ast.UnaryOp(ast.USub(), node)


def _is_read(node: ast.AST) -> bool:
    return not isinstance(getattr(node, "ctx", None), (ast.Store, ast.Del))


def _of_numbers(node: Any) -> Iterator[ast.AST]:
    """Another number; in an index, the one beside it."""
    x: Any = getattr(node, "value", None)
    if isinstance(node, ast.Constant) and type(x) in (int, float):
        others = (x + 1, x - 1, 2 * x, x / 2, 1 / x if x else 0, -x)
        yield from (ast.Constant(int(y) if type(x) is int and y == int(y) else y) for y in others if y != x)


def _of_calls(node: Any) -> Iterator[ast.AST]:
    """Another function, its arguments the other way round, or one of them alone; another axis."""
    if isinstance(node, ast.keyword) and node.arg == "axis" and isinstance(node.value, ast.Constant):
        yield from (ast.keyword("axis", ast.Constant(axis)) for axis in (0, 1, -1, None) if axis != node.value.value)
    if not isinstance(node, ast.Call):
        return
    function = node.func
    name = getattr(function, "attr", getattr(function, "id", ""))
    for other in _FUNCTIONS.get(name, ()):
        new: ast.expr = ast.Name(other, ast.Load())
        if isinstance(function, ast.Attribute):
            new = ast.Attribute(function.value, other, ast.Load())
        yield ast.Call(new, node.args, node.keywords)
    if len(node.args) == 2:
        yield ast.Call(function, node.args[::-1], node.keywords)
    if len(node.args) == 1:
        yield node.args[0]


def _of_statements(node: Any) -> Iterator[ast.AST]:
    """Added up where it is overwritten, or the other way round."""
    if isinstance(node, ast.AugAssign) and isinstance(node.op, (ast.Add, ast.Sub)):
        yield ast.AugAssign(node.target, ast.Sub() if isinstance(node.op, ast.Add) else ast.Add(), node.value)
        yield ast.Assign([node.target], node.value)
    elif isinstance(node, ast.Assign) and isinstance(target := node.targets[0], ast.Subscript):
        yield from (ast.AugAssign(target, operator, node.value) for operator in (ast.Add(), ast.Sub()))


def _is_whole(place: Place) -> bool:
    """Whether a factor or a term may be missing there: in a term, an argument, an element, or what is assigned."""
    (parent, field, _), node = place, at(place)
    if not isinstance(node, ast.expr) or not _is_read(node):
        return False
    if isinstance(node, (ast.Tuple, ast.List, ast.Dict, ast.Starred, ast.Slice)):
        return False
    if isinstance(parent, ast.BinOp):
        return isinstance(parent.op, (ast.Add, ast.Sub, ast.Mult, ast.Div))
    if isinstance(parent, (ast.Call, ast.Tuple, ast.List)):
        return field in ("args", "elts")
    return field in ("value", "body", "values", "operand") and not isinstance(parent, (ast.Attribute, ast.Subscript))


def _with_more(node: ast.expr, names: list[str]) -> Iterator[str]:
    """The text of an expression with one more factor, divisor or term."""
    text = ast.unparse(node)
    for form in ("({}) * {}", "({}) / {}", "({}) + {}", "({}) - {}", "({}) * (1 - {})", "({}) @ {}"):
        yield from (form.format(text, name) for name in names if name != text or "*" in form)
    for form in ("({}) ** 2", "1 - ({})", "1 + ({})", "({}) * 2", "({}) / 2", "({}) + 1", "({}) - 1", "({}).T"):
        yield form.format(text)


def _parsed(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body
