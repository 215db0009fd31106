"""Changes the text of a gradient's code into what its author may have meant: conditions, loops, order and indices.

Conditions and loops decide which operations run, and in which order. No change of an operation can fix them.
"""

import ast
import builtins
import inspect
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from functools import partial
from itertools import combinations, product
from textwrap import dedent
from types import CodeType, FunctionType, MethodType
from typing import Any, Literal, TypeGuard

import numpy as np

from tinygrad_lite.checking.subjects.frameworks.closures import names_read
from tinygrad_lite.foundation.signatures import without_annotations
from tinygrad_lite.readers.recording import Source

_OTHER_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt, ast.GtE),
    ast.LtE: (ast.Lt, ast.GtE, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt, ast.LtE),
    ast.GtE: (ast.Gt, ast.LtE, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}
"""For each comparison, the others that its author may have meant; the last one is its opposite."""
_OPPOSITE = {kind: others[-1] for kind, others in _OTHER_COMPARISONS.items()}
_OTHERS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}
_SMALLEST_AND_LARGEST = [("argmin", "argmax"), ("nanargmin", "nanargmax"), ("min", "max"), ("minimum", "maximum")]
_CHOOSING = {a: b for pair in _SMALLEST_AND_LARGEST for a, b in (pair, pair[::-1])}
"""For each function that chooses the smallest or largest number, the function that chooses at the other end."""
_RELATED = {"sin": "cos", "cos": "sin", "sinh": "cosh", "cosh": "sinh", "log": "log1p", "log1p": "log"}
"""For each function of one number, another that is mistaken for it."""
_ENDLESS = itertools, itertools.count, itertools.cycle, itertools.repeat
"""A changed line might read these to their end, which never comes; and no lines run meanwhile that could be counted."""
_PARTS = 24  # in a line of more parts, only neighbours and variables are exchanged
_ENDS = "[1:-1]", "[[0, -1]]", "[0]", "[-1]"
_COMPUTED = "value", "left", "right", "args"  # the places in the text of what may lack a factor
Kind = Literal["order", "values", "factors"]
Rewrite = tuple[Callable[..., Any], str, str]
"""A changed function, the line that changed, and the change in words."""


def rewrites(gradient: Callable[..., Any], functions: Sequence[Callable[..., Any]], kind: Kind) -> Iterator[Rewrite]:
    """The gradient with one change each, the likeliest first; the texts of others tell what may have been meant.

    Args:
        functions: what it is the gradient of, and what that calls.
        kind: what changes: which lines run, and when; what a line computes; or by what it multiplies.
    """
    owner = getattr(gradient, "__self__", None)
    text = _Text.of(getattr(gradient, "__func__", gradient))
    if text is None:
        return
    originals = (_Text.of(getattr(function, "__func__", function)) for function in functions)
    changes = {"order": text.changes_of_order, "values": text.changes_of_values, "factors": text.changes_of_factors}
    for line, words in changes[kind]([text.tree, *(original.tree for original in originals if original)]):
        with suppress(SyntaxError, ValueError):
            changed = text.compiled()
            yield (changed if owner is None else MethodType(changed, owner)), text.at(line), words


def choose() -> None:
    """Call each function that a change may call, as code outside this package does."""
    FunctionType(_choose.__code__, {**globals(), "__name__": "others"})()


def _choose() -> None:
    x = np.ones(1)
    for name in _CHOOSING:
        getattr(np, name)(*(x, x) if name in ("minimum", "maximum") else (x,))
    for name in _RELATED:
        getattr(np, name)(x)
        getattr(math, name)(1.0)
    x.argmin(), x.argmax(), x.min(), x.max(), min(0, 1), max(0, 1)


class _Text:
    """The text of a function, as a tree that is changed in one place at a time."""

    def __init__(self, f: FunctionType, tree: ast.FunctionDef) -> None:
        self._f, self.tree = f, tree

    @classmethod
    def of(cls, f: Any) -> "_Text | None":
        """The text of a function; None if it has none, as a function in C, or must not be changed."""
        if not isinstance(f, FunctionType):
            return None
        names = {*names_read(f.__code__)}
        if "itertools" in names or any(f.__globals__.get(name) is x for name in names for x in _ENDLESS):
            return None
        with suppress(OSError, TypeError, SyntaxError, IndexError):
            lines, first = inspect.getsourcelines(f)
            (tree,) = ast.parse(dedent("".join(lines))).body
            if isinstance(tree, ast.FunctionDef):
                tree.decorator_list = []
                without_annotations(tree)
                ast.increment_lineno(tree, first - 1)
                return cls(f, tree)
        return None

    def at(self, line: int) -> str:
        """A line of the text as reports show it."""
        return str(Source(self._f.__code__.co_filename, line, self._f.__name__))

    def compiled(self) -> FunctionType:
        """The function of the text as it is now."""
        code, free = self._f.__code__, self._f.__code__.co_freevars
        outer = ast.parse(f"def outer({', '.join(free)}): pass")
        outer.body[0].body = [self.tree]  # type: ignore[attr-defined]
        own = compile(ast.fix_missing_locations(outer), code.co_filename, "exec")
        for name in ("outer", self.tree.name):
            own = next(part for part in own.co_consts if isinstance(part, CodeType) and part.co_name == name)
        cells = dict(zip(free, self._f.__closure__ or ()))
        closure = tuple(cells[name] for name in own.co_freevars)
        new = FunctionType(own, self._f.__globals__, self._f.__name__, self._f.__defaults__, closure)
        new.__kwdefaults__ = self._f.__kwdefaults__
        return new

    def changes_of_order(self, trees: Sequence[ast.AST]) -> Iterator[tuple[int, str]]:
        """Change which lines run, and when: make each change, yield its line and words, and take it back.

        Args:
            trees: the texts that show what may have been meant.
        """
        conditions, indices = (_distinct(map(kind, trees)) for kind in (_conditions, _indices))
        yield from self._replaced(_conditions(self.tree), partial(_other_conditions, conditions))
        yield from self._replaced(_calls(self.tree), _at_the_other_end)
        yield from self._written()
        yield from self._replaced(_loops(self.tree), _other_ways)
        yield from self._moved()
        yield from self._added(trees[1:])
        yield from self._replaced(_indices(self.tree), partial(_other_indices, indices))
        yield from self._exchanged(_are_indices)
        yield from self._together(partial(_other_indices, indices))
        yield from self._replaced(_sums(self.tree), _other_sums)

    def changes_of_values(self, trees: Sequence[ast.AST]) -> Iterator[tuple[int, str]]:
        """Change what a line computes, in the same way."""
        yield from self._replaced(_values(self.tree), _of_other_sign)
        yield from self._replaced(_calls(self.tree), _by_a_related_function)
        yield from self._replaced(_numbers(self.tree), _other_numbers)
        sums, calls = (_distinct(map(kind, trees)) for kind in (_sums, _calls))
        yield from self._replaced(_values(self.tree), partial(_larger, [*sums, *calls]))
        yield from self._replaced(_calls(self.tree), lambda _: map(deepcopy, calls))
        yield from self._exchanged(_are_beside)
        yield from self._exchanged(_are_apart)
        yield from self._replaced(_calls(self.tree), _with_other_letters)
        names = [ast.Name(name, ast.Load()) for name in sorted(_variables(self.tree))]
        yield from self._replaced(_names_read(self.tree), lambda _: iter(names))

    def changes_of_factors(self, trees: Sequence[ast.AST]) -> Iterator[tuple[int, str]]:
        """Multiply by what the texts multiply by, or count what is at the ends of an array twice, in the same way."""
        yield from self._at_the_ends()
        names = [ast.Name(name, ast.Load()) for tree in trees for name in sorted(_variables(tree))]
        factors = {
            ast.unparse(x): deepcopy(x) for x in [*names, *_distinct(map(_in_products, trees))] if self._knows(x)
        }
        yield from self._replaced(_factors(self.tree), partial(_with_a_factor, [*factors.values()]))

    def _knows(self, expression: ast.AST) -> bool:
        """Whether all names in an expression have a meaning in this text."""
        code = self._f.__code__
        known = {*code.co_varnames, *code.co_cellvars, *code.co_freevars, *self._f.__globals__, *vars(builtins)}
        return _names(expression) <= known

    def _replaced(
        self, places: Iterator["_Place"], others: Callable[[Any], Iterator[ast.AST]]
    ) -> Iterator[tuple[int, str]]:
        """Put other expressions in place of each."""
        for place in list(places):
            for other in others(place.node):
                words = place.written(other), place.written(place.node)
                if words[0] != words[1]:
                    place.put(other)
                    yield place.line, " in place of ".join(words)
                    place.put(place.node)

    def _moved(self) -> Iterator[tuple[int, str]]:
        """Exchange two successive lines."""
        for block in _blocks(self.tree):
            for k in range(len(block) - 1):
                first, second = block[k : k + 2]
                block[k : k + 2] = second, first
                yield first.lineno, f"line {second.lineno}, {ast.unparse(second).splitlines()[0]}, before it"
                block[k : k + 2] = first, second

    def _added(self, trees: Sequence[ast.AST]) -> Iterator[tuple[int, str]]:
        """Add the lines in which the function, but not the gradient, updates a variable that both have."""
        own, known = {ast.unparse(line) for line in _simple(self.tree)}, _names(self.tree)
        lines = [
            line
            for tree in trees
            for line in _simple(tree)
            if _is_update(line) and ast.unparse(line) not in own
            if _names(line) & _names(tree, ast.Store) <= known
        ]
        for block in _blocks(self.tree):
            for k in range(len(block)):
                for line in lines:
                    block.insert(k, line)
                    yield block[k + 1].lineno, f"{ast.unparse(line)}, before it"
                    del block[k]

    def _written(self) -> Iterator[tuple[int, str]]:
        """Add or subtract in place of assigning, or the reverse; or leave a line out."""
        for block in _blocks(self.tree):
            for k, statement in enumerate(block):
                for other, words in _otherwise(statement):
                    block[k] = other
                    yield statement.lineno, words
                    block[k] = statement

    def _at_the_ends(self) -> Iterator[tuple[int, str]]:
        """Double or halve what is at an end of an array, or all between the ends, after a line that computes it."""
        for block in _blocks(self.tree):
            for k, line in enumerate(block):
                target = line.targets[0] if isinstance(line, ast.Assign) and len(line.targets) == 1 else None
                if isinstance(target, ast.Name):
                    for index, operator in product(_ENDS, ("*=", "/=")):
                        added = ast.parse(f"{target.id}{index} {operator} 2").body[0]
                        block.insert(k + 1, ast.copy_location(added, line))
                        yield line.lineno, f"{ast.unparse(added)} after it"
                        del block[k + 1]

    def _together(self, others: Callable[[Any], Iterator[ast.AST]]) -> Iterator[tuple[int, str]]:
        """Put another index wherever a line reads, or writes, with the same index."""
        for statement in _simple(self.tree):
            alike: dict[Any, list[_Place]] = {}
            for place in _indices(statement):
                alike.setdefault((ast.unparse(place.node), type(place.parent.ctx)), []).append(place)
            for places in alike.values():
                own = places[0].node
                for other in others(own) if len(places) > 1 else ():
                    words = places[0].written(other), places[0].written(own)
                    if words[0] != words[1]:
                        for place in places:
                            place.put(other)
                        yield statement.lineno, f"{' in place of '.join(words)} throughout"
                        for place in places:
                            place.put(own)

    def _exchanged(self, are_in_question: Callable[["_Place", "_Place"], bool]) -> Iterator[tuple[int, str]]:
        """Exchange two parts of a line."""
        for statement in _simple(self.tree):
            read = (place for place in _places(statement) if _is_read(place.node))
            parts = sorted(read, key=lambda place: (place.line, place.node.col_offset))
            if len(parts) > _PARTS and are_in_question is _are_apart:
                parts = [place for place in parts if isinstance(place.node, ast.Name)]
            for a, b in combinations(parts, 2):
                names = a.name_to_exchange, b.name_to_exchange
                is_inside = _is_inside(a.node, b.node) or _is_inside(b.node, a.node)
                if names[0] != names[1] and not is_inside and are_in_question(a, b):
                    a.put(b.node)
                    b.put(a.node)
                    yield statement.lineno, f"{names[0]} and {names[1]} exchanged"
                    a.put(a.node)
                    b.put(b.node)


class _Place:
    """Where a node is in a tree."""

    def __init__(self, node: Any, parent: Any, name: str, number: int | None) -> None:
        self.node, self.parent, self.name, self._number = node, parent, name, number

    @property
    def line(self) -> int:
        return int(self.node.lineno)

    def written(self, node: ast.AST) -> str:
        """A node as it is written here."""
        text = ast.unparse(node)
        if self.name != "slice":
            return text
        return f"[{text[1:-1] if isinstance(node, ast.Tuple) and node.elts else text}]"

    @property
    def name_to_exchange(self) -> str:
        """The node as text; an index together with what it is an index of."""
        return ast.unparse(self.parent if self.name == "slice" else self.node)

    def put(self, node: ast.AST) -> None:
        """Put another node here."""
        if self._number is None:
            setattr(self.parent, self.name, node)
        else:
            getattr(self.parent, self.name)[self._number] = node


def _places(tree: ast.AST) -> Iterator[_Place]:
    """All nodes inside of a tree, and where they are."""
    ahead = [tree]
    while ahead:
        parent = ahead.pop()
        for name, value in ast.iter_fields(parent):
            for number, node in enumerate(value) if isinstance(value, list) else ((None, value),):
                if isinstance(node, ast.AST):
                    yield _Place(node, parent, name, number)
                    ahead.append(node)


def _conditions(tree: ast.AST) -> Iterator[_Place]:
    """The conditions that decide which lines run, or which entries count."""
    for place in _places(tree):
        if isinstance(place.node, ast.Compare) or place.name in ("test", "ifs"):
            yield place


def _loops(tree: ast.AST) -> Iterator[_Place]:
    """What loops run over."""
    return (place for place in _places(tree) if place.name == "iter")


def _indices(tree: ast.AST) -> Iterator[_Place]:
    """The indices with which arrays are read or written."""
    return (place for place in _places(tree) if place.name == "slice")


def _sums(tree: ast.AST) -> Iterator[_Place]:
    """Sums, differences, products and quotients."""
    return (place for place in _places(tree) if isinstance(place.node, ast.BinOp) and type(place.node.op) in _OTHERS)


def _values(tree: ast.AST) -> Iterator[_Place]:
    """Variables that are read, and entries of them."""
    return (p for p in _places(tree) if _is_read(p.node) and isinstance(p.node, ast.Name | ast.Subscript))


def _names_read(tree: ast.AST) -> Iterator[_Place]:
    """Variables that are read, but not the modules and functions among them."""
    for place in _places(tree):
        is_variable = place.name not in ("func", "value") or not isinstance(place.parent, ast.Call | ast.Attribute)
        if isinstance(place.node, ast.Name) and _is_read(place.node) and is_variable:
            yield place


def _variables(tree: ast.AST) -> set[str]:
    """The names of variables that are read anywhere."""
    return {place.node.id for place in _names_read(tree)}


def _numbers(tree: ast.AST) -> Iterator[_Place]:
    """Numbers in sums, products and powers."""
    for place in _places(tree):
        number = isinstance(place.node, ast.Constant) and type(place.node.value) in (int, float)
        if number and isinstance(place.parent, ast.BinOp):
            yield place


def _factors(tree: ast.AST) -> Iterator[_Place]:
    """What is computed, and may lack a factor."""
    kinds = ast.BinOp | ast.Subscript | ast.Call | ast.Name
    return (p for p in _places(tree) if isinstance(p.node, kinds) and _is_read(p.node) and p.name in _COMPUTED)


def _in_products(tree: ast.AST) -> Iterator[_Place]:
    """Entries of arrays, and what functions return, that are factors."""
    for place in _places(tree):
        is_factor = isinstance(place.parent, ast.BinOp) and isinstance(place.parent.op, ast.Mult)
        if is_factor and isinstance(place.node, ast.Subscript | ast.Call):
            yield place


def _calls(tree: ast.AST) -> Iterator[_Place]:
    """Calls of functions."""
    return (place for place in _places(tree) if isinstance(place.node, ast.Call))


def _blocks(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for name in ("body", "orelse"):
            if isinstance(block := getattr(node, name, None), list):
                yield block


def _names(tree: ast.AST, context: type[ast.expr_context] = ast.expr_context) -> set[str]:
    """The names that are read or written in a tree."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, context)}


def _is_update(line: ast.AST) -> TypeGuard[ast.stmt]:
    """Whether a line computes the new value of a variable from the old one."""
    return isinstance(line, ast.AugAssign) or (
        isinstance(line, ast.Assign) and bool(_names(line, ast.Store) & _names(line, ast.Load))
    )


def _simple(tree: ast.AST) -> Iterator[ast.stmt | ast.expr]:
    """The statements that contain no others, and the heads of those that do: conditions, and what loops run over."""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            heads = [getattr(node, name, None) for name in ("test", "iter")]
            yield from (head for head in heads if head) if hasattr(node, "body") else [node]


def _distinct(places: Iterator[Iterator[_Place]]) -> list[ast.AST]:
    """Each expression once."""
    return list({ast.unparse(place.node): place.node for several in places for place in several}.values())


def _otherwise(statement: ast.stmt) -> Iterator[tuple[ast.stmt, str]]:
    """Other statements that write to the same target, and the words for each."""
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
        if isinstance(target, ast.Name | ast.Attribute | ast.Subscript):
            yield ast.AugAssign(target, ast.Add(), statement.value), "+= in place of ="
            yield ast.AugAssign(target, ast.Sub(), statement.value), "-= in place of ="
    elif isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Add | ast.Sub):
        is_sum = isinstance(statement.op, ast.Add)
        other = ast.Sub() if is_sum else ast.Add()
        yield (
            ast.AugAssign(statement.target, other, statement.value),
            "-= in place of +=" if is_sum else "+= in place of -=",
        )
        yield ast.Assign([statement.target], statement.value), "= in place of " + ("+=" if is_sum else "-=")
    if isinstance(statement, ast.Assign | ast.AugAssign | ast.Expr):
        yield ast.Pass(), "nothing in its place"


def _is_read(node: ast.AST) -> bool:
    return isinstance(node, ast.expr) and isinstance(getattr(node, "ctx", None) or ast.Load(), ast.Load)


def _are_beside(a: _Place, b: _Place) -> bool:
    """Whether two parts of a line are beside each other in the same expression."""
    return a.parent is b.parent


def _are_apart(a: _Place, b: _Place) -> bool:
    return a.parent is not b.parent


def _are_indices(a: _Place, b: _Place) -> bool:
    """Whether they are indices of the same array."""
    return a.name == b.name == "slice" and ast.unparse(a.parent.value) == ast.unparse(b.parent.value)


def _is_inside(node: ast.AST, other: ast.AST) -> bool:
    return any(part is node for part in ast.walk(other))


def _other_conditions(known: Sequence[ast.AST], test: ast.expr) -> Iterator[ast.AST]:
    """The opposite, other comparisons, conditions from elsewhere, or none at all."""
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        for kind in _OTHER_COMPARISONS.get(type(test.ops[0]), ()):
            yield ast.Compare(test.left, [kind()], test.comparators)
    for condition in (test, *known):
        yield deepcopy(condition)
        yield _opposite(condition)
    yield ast.Constant(True)


def _opposite(condition: Any) -> ast.expr:
    if isinstance(condition, ast.UnaryOp) and isinstance(condition.op, ast.Not):
        return condition.operand
    if isinstance(condition, ast.Compare) and len(condition.ops) == 1 and type(condition.ops[0]) in _OPPOSITE:
        return ast.Compare(condition.left, [_OPPOSITE[type(condition.ops[0])]()], condition.comparators)
    return ast.UnaryOp(ast.Not(), condition)


def _at_the_other_end(call: ast.Call) -> Iterator[ast.AST]:
    """The largest in place of the smallest, or the reverse."""
    return _by_another(_CHOOSING, call)


def _of_other_sign(value: ast.expr) -> Iterator[ast.AST]:
    yield ast.UnaryOp(ast.USub(), value)


def _by_a_related_function(call: ast.Call) -> Iterator[ast.AST]:
    return _by_another(_RELATED, call)


def _by_another(others: Mapping[str, str], call: ast.Call) -> Iterator[ast.AST]:
    """A call of another function, from the same module."""
    function = call.func
    if isinstance(function, ast.Attribute) and function.attr in others:
        other: ast.expr = ast.Attribute(function.value, others[function.attr], ast.Load())
        yield ast.Call(other, call.args, call.keywords)
    elif isinstance(function, ast.Name) and function.id in others:
        yield ast.Call(ast.Name(others[function.id], ast.Load()), call.args, call.keywords)


def _with_other_letters(call: ast.Call) -> Iterator[ast.AST]:
    """Other letters for an axis in what tells einsum which axes to multiply and to sum."""
    if not (isinstance(call.func, ast.Attribute) and call.func.attr == "einsum" and call.args):
        return
    subscripts = getattr(call.args[0], "value", None)
    if isinstance(subscripts, str):
        for other in _other_subscripts(subscripts):
            yield ast.Call(call.func, [ast.Constant(other), *call.args[1:]], call.keywords)


def _other_subscripts(subscripts: str) -> Iterator[str]:
    """Two letters exchanged in a term, or another letter in place of one."""
    places = [k for k, letter in enumerate(subscripts) if letter.isalpha()]
    for a, b in combinations(places, 2):
        if subscripts[a : b + 1].isalpha():
            yield subscripts[:a] + subscripts[b] + subscripts[a + 1 : b] + subscripts[a] + subscripts[b + 1 :]
    for k in places:
        for letter in dict.fromkeys(filter(str.isalpha, subscripts)):
            if letter != subscripts[k]:
                yield subscripts[:k] + letter + subscripts[k + 1 :]


def _other_numbers(number: ast.Constant) -> Iterator[ast.AST]:
    """Twice and half a number, one more and one less."""
    value: Any = number.value
    for other in (2 * value, value / 2, value + 1, value - 1):
        yield ast.Constant(int(other) if other == int(other) and isinstance(value, int) else other)


def _with_a_factor(known: Sequence[Any], part: ast.expr) -> Iterator[ast.AST]:
    """A product with a variable, or with its negative."""
    for name in known:
        yield ast.BinOp(part, ast.Mult(), name)
        yield ast.BinOp(part, ast.Mult(), ast.UnaryOp(ast.USub(), name))


def _larger(known: Sequence[Any], part: ast.expr) -> Iterator[ast.AST]:
    """Expressions elsewhere that use this value, alone or with another."""
    name = ast.unparse(part)
    for made in known:
        of = made.args[:1] if isinstance(made, ast.Call) else [made.left, made.right]
        if name in map(ast.unparse, of) and not _is_inside(part, made):
            yield deepcopy(made)


def _other_sums(sum_: ast.BinOp) -> Iterator[ast.AST]:
    """The opposite of an operator."""
    yield ast.BinOp(sum_.left, _OTHERS[type(sum_.op)](), sum_.right)


def _other_ways(turns: ast.expr) -> Iterator[ast.AST]:
    """The same turns in reverse order, and the turns over the whole if these are over a part."""
    if isinstance(turns, ast.Call) and isinstance(turns.func, ast.Name) and turns.func.id == "reversed":
        yield turns.args[0]
        return
    if isinstance(turns, ast.Subscript) and isinstance(turns.slice, ast.Slice):
        yield turns.value
        if ast.unparse(turns.slice) == "::-1":
            return
    listed = ast.Call(ast.Name("list", ast.Load()), [turns], [])
    is_range = isinstance(turns, ast.Call) and isinstance(turns.func, ast.Name) and turns.func.id == "range"
    yield ast.Call(ast.Name("reversed", ast.Load()), [turns if is_range else listed], [])


def _other_indices(known: Sequence[ast.AST], index: ast.expr) -> Iterator[ast.AST]:
    """Indices that are one off, all entries from one on or up to it, and indices from elsewhere."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    for by in (1, -1):
        if len(parts) > 1:
            moved = [_moved_by(part, by) for part in parts]
            yield ast.Tuple(moved, ast.Load())
        for k, part in enumerate(parts):
            for new in _moved_in_part(part, by):
                yield ast.Tuple([*parts[:k], new, *parts[k + 1 :]], ast.Load()) if len(parts) > 1 else new
    if isinstance(index, ast.Name | ast.BinOp):
        yield ast.Slice(index, None)
        yield ast.Slice(None, index)
    yield from map(deepcopy, known)


def _moved_by(part: ast.expr, by: int) -> ast.expr:
    if isinstance(part, ast.Slice):
        lower = _plus(part.lower, by) if part.lower else ast.Constant(by) if by > 0 else None
        upper = _plus(part.upper, by) if part.upper else ast.Constant(by) if by < 0 else None
        return ast.Slice(lower, upper, part.step)
    return _plus(part, by)


def _moved_in_part(part: ast.expr, by: int) -> Iterator[ast.expr]:
    """What is one off; of a slice both ends, or one of them."""
    moved = _moved_by(part, by)
    yield moved
    if isinstance(part, ast.Slice) and isinstance(moved, ast.Slice):
        yield ast.Slice(moved.lower, part.upper, part.step)
        yield ast.Slice(part.lower, moved.upper, part.step)


def _plus(number: ast.expr, by: int) -> ast.expr:
    """A number that is larger by this, as a person writes it."""
    if isinstance(number, ast.Constant) and isinstance(number.value, int):
        return ast.Constant(number.value + by)
    if isinstance(number, ast.BinOp) and isinstance(number.op, ast.Add | ast.Sub):
        right, sign = number.right, 1 if isinstance(number.op, ast.Add) else -1
        if isinstance(right, ast.Constant) and isinstance(right.value, int):
            offset = sign * right.value + by
            if offset == 0:
                return number.left
            return ast.BinOp(number.left, ast.Add() if offset > 0 else ast.Sub(), ast.Constant(abs(offset)))
    return ast.BinOp(number, ast.Add() if by > 0 else ast.Sub(), ast.Constant(1))
