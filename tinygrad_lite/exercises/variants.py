"""A learner's function with one word changed: the change that makes it right says what the mistake is.

It needs no diagnosis of numbers, so it also finds mistakes for which the gradient checker has no rule.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

from tinygrad_lite.checking.diagnosing.mistakes import INPUT, NOT_SQUARED, OUTPUT, TOO_LARGE, TOO_SMALL
from tinygrad_lite.exercises.brackets import made_from, regrouped
from tinygrad_lite.foundation.signatures import without_annotations

AXIS = "a sum or a mean is along another axis than on the way forward"
LENGTH = "the length of another axis is used"
LOST_AXIS = "an axis is gone after a sum or a mean, and the rest does not line up"
SAMPLE = "the spread is divided by n - 1, where the function divides by n"
ROOT = "a square root is missing, or there is one too many"
UPSIDE_DOWN = "something is multiplied where it should be divided, or divided where it should be multiplied"
POWER = "a product stands where a power should be, or a power where a product should be"
SIGN_WITHIN = "the sign is wrong in a term"
_RULE = "of one function, the rule, is taken for that of another"
_NAME = "one value is used where another should be"
_MANY = "a factor of the formula should not be there"
_FEW = "a factor of the formula is missing"
_TERM = "in the gradient of the function, a term is too much"
_MOST = 400
"""The number of variants that are tried."""

_Place = tuple[ast.AST, str, int | None]
_Edit = tuple[str, Sequence[tuple[_Place, ast.AST]]]
_REDUCTIONS = ("sum", "mean", "std", "var")
_EXCHANGED = {
    "sum": ("mean", TOO_LARGE),
    "mean": ("sum", TOO_SMALL),
    "std": ("var", ROOT),
    "var": ("std", ROOT),
    **{a: (b, _RULE) for pair in (("sin", "cos"), ("sinh", "cosh"), ("exp", "log")) for a, b in (pair, pair[::-1])},
}


def variants(function: Callable[..., Any]) -> list[tuple[str, Callable[..., Any]]]:
    """Sentences about a mistake, each with the function without that mistake; none if its code is unknown."""
    changed = regrouped(function)
    try:
        tree = without_annotations(ast.parse(textwrap.dedent(inspect.getsource(function))))
        for sentence, replaced in _edits(tree):
            if len(changed) >= _MOST:
                break
            changed.append((sentence, made_from(function, _with(tree, replaced))))
    except (OSError, TypeError, SyntaxError):  # it was typed into a prompt, or is part of a call
        pass
    return changed


def _with(tree: ast.Module, replaced: Sequence[tuple[_Place, ast.AST]]) -> str:
    """The text of a tree with other nodes in some places; the tree stays as it is."""
    before = [(place, _at(place)) for place, _ in replaced]
    for place, node in replaced:
        _put(place, node)
    text = ast.unparse(ast.fix_missing_locations(tree))
    for place, node in reversed(before):
        _put(place, node)
    return text


def _at(place: _Place) -> Any:
    parent, field, k = place
    there = getattr(parent, field)
    return there if k is None else there[k]


def _put(place: _Place, node: Any) -> None:
    parent, field, k = place
    if k is None:
        setattr(parent, field, node)
    else:
        getattr(parent, field)[k] = node


def _edits(tree: ast.Module) -> Iterator[_Edit]:
    places = [(place, node) for place, node in _places(tree) if isinstance(node, ast.expr)]
    reductions = [(place, node) for place, node in places if _function(node) in _REDUCTIONS]
    yield from _of_reductions(reductions)
    for place, node in places:
        yield from _of_node(place, node)
    yield from _of_names(tree, places)


def _places(tree: ast.AST) -> Iterator[tuple[_Place, ast.AST]]:
    """Each node below a tree and where it is; the bodies of functions alone, and not their arguments."""
    for parent in ast.walk(tree):
        if isinstance(parent, (ast.arguments, ast.arg)):
            continue
        for field, value in ast.iter_fields(parent):
            for k, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if isinstance(node, ast.AST):
                    yield (parent, field, k), node


def _function(node: Any) -> str:
    """The name of the function of NumPy that a node calls; empty for any other node."""
    is_numpys = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    return str(node.func.attr) if is_numpys else ""


def _of_reductions(reductions: Sequence[tuple[_Place, Any]]) -> Iterator[_Edit]:
    """Changes of the axes of sums, means and spreads: of one of them, or of all."""
    for group in dict.fromkeys([*((each,) for each in reductions), tuple(reductions)]):
        for axis in (0, 1):
            yield AXIS, [(place, _called(call, axis=axis)) for place, call in group]
            keeping = [(place, _called(call, axis=axis, keepdims=True)) for place, call in group]
            yield LOST_AXIS if all(_setting(call, "axis") == axis for _, call in group) else AXIS, keeping
        if of_samples := [(place, _called(call, ddof=0)) for place, call in group if _setting(call, "ddof")]:
            yield SAMPLE, of_samples
        for name in ("mean", "sum"):
            of_one = [(place, call) for place, call in group if _function(call) == name]
            other, sentence = _EXCHANGED[name]
            if of_one:
                yield sentence, [(place, _renamed(call, other)) for place, call in of_one]


def _setting(call: ast.Call, name: str) -> Any:
    """The value of a setting that a call writes out as a number; None if it does not."""
    values = [x.value.value for x in call.keywords if x.arg == name and isinstance(x.value, ast.Constant)]
    return values[0] if values else None


def _called(call: ast.Call, **settings: Any) -> ast.Call:
    """The same call with other settings."""
    kept = [x for x in call.keywords if x.arg not in settings]
    others = [ast.keyword(name, ast.Constant(value)) for name, value in settings.items()]
    return ast.Call(call.func, call.args, [*kept, *others])


def _renamed(call: Any, name: str) -> ast.Call:
    return ast.Call(ast.Attribute(call.func.value, name, ast.Load()), call.args, call.keywords)


def _of_node(place: _Place, node: Any) -> Iterator[_Edit]:
    """Changes of one operation, of one function, or of one length."""
    name = _function(node)
    if name in _EXCHANGED and name not in ("sum", "mean"):
        other, sentence = _EXCHANGED[name]
        yield sentence, [(place, _renamed(node, other))]
    if name == "sqrt" and node.args:
        yield ROOT, [(place, node.args[0])]
    if isinstance(node, ast.Attribute) and node.attr == "size":
        yield ROOT, [(place, _root(node))]
    for length in _lengths(node):
        yield LENGTH, [(place, length)]
        yield ROOT, [(place, _root(node))]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        yield LOST_AXIS, [(place, ast.parse(f"{node.id}[:, None]", mode="eval").body)]
    if isinstance(node, ast.BinOp):
        yield from _of_operation(place, node)


def _root(node: ast.expr) -> ast.Call:
    return ast.Call(ast.Attribute(ast.Name("np", ast.Load()), "sqrt", ast.Load()), [node], [])


def _lengths(node: Any) -> Iterator[ast.expr]:
    """The lengths along the other axis of the array whose length this is."""
    text = ast.unparse(node)
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "len" and len(node.args) == 1:
        yield ast.parse(f"{ast.unparse(node.args[0])}.shape[1]", mode="eval").body
    elif isinstance(node, ast.Subscript) and text.endswith((".shape[0]", ".shape[1]")):
        yield ast.parse(f"{text[:-2]}{1 - int(text[-2])}]", mode="eval").body


def _of_operation(place: _Place, node: ast.BinOp) -> Iterator[_Edit]:
    left, right = node.left, node.right
    for kind, other, sentence in (
        (ast.Add, ast.Sub(), SIGN_WITHIN),
        (ast.Sub, ast.Add(), SIGN_WITHIN),
        (ast.Mult, ast.Div(), UPSIDE_DOWN),
        (ast.Div, ast.Mult(), UPSIDE_DOWN),
    ):
        if isinstance(node.op, kind):
            yield sentence, [(place, ast.BinOp(left, other, right))]
    if isinstance(node.op, (ast.Mult, ast.Pow)):
        yield POWER, [(place, ast.BinOp(left, ast.Pow() if isinstance(node.op, ast.Mult) else ast.Mult(), right))]
    if isinstance(node.op, (ast.Add, ast.Sub)):
        yield _TERM, [(place, left)]
        yield _TERM, [(place, right)]
    if isinstance(node.op, (ast.Sub, ast.Div)):
        turned = SIGN_WITHIN if isinstance(node.op, ast.Sub) else UPSIDE_DOWN
        yield turned, [(place, ast.BinOp(right, node.op, left))]
    if isinstance(node.op, (ast.Mult, ast.Div)):
        yield _MANY, [(place, left)]
        if isinstance(node.op, ast.Mult):
            yield _MANY, [(place, right)]
        yield (
            NOT_SQUARED if isinstance(node.op, ast.Div) else _FEW,
            [(place, ast.BinOp(left, node.op, _squared(right)))],
        )
        yield _FEW, [(place, ast.BinOp(_squared(left), node.op, right))]
    if isinstance(node.op, ast.Sub):
        yield _FEW, [(place, ast.BinOp(left, node.op, _squared(right)))]
    if isinstance(node.op, ast.Pow):
        yield _MANY, [(place, left)]


def _squared(node: ast.expr) -> ast.BinOp:
    return ast.BinOp(node, ast.Pow(), ast.Constant(2))


def _of_names(tree: ast.Module, places: Sequence[tuple[_Place, ast.expr]]) -> Iterator[_Edit]:
    """Changes of one name, or of two that are the same, to another that the function knows."""
    known = dict.fromkeys(x.arg for x in ast.walk(tree) if isinstance(x, ast.arg))
    known |= dict.fromkeys(x.id for x in ast.walk(tree) if isinstance(x, ast.Name) and isinstance(x.ctx, ast.Store))
    uses = [(place, x.id) for place, x in places if isinstance(x, ast.Name) and x.id in known]
    for count in (1, 2):
        for some in combinations([use for use in uses if isinstance(_at(use[0]).ctx, ast.Load)], count):
            if len({name for _, name in some}) == 1:
                old = some[0][1]
                for new in [name for name in known if name != old]:
                    sentence = {("y", "x"): OUTPUT, ("x", "y"): INPUT}.get((old, new), _NAME)
                    yield sentence, [(place, ast.Name(new, ast.Load())) for place, _ in some]
