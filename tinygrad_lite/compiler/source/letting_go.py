"""Letting go: a function's source with each variable deleted after the last statement that reads it.

Within a loop, what a turn made for itself goes before the turn ends. If a loop goes through a list, and nobody reads
more than its beginning afterwards, the list gets shorter on the way.
"""

import ast
from collections.abc import Collection
from typing import Any

DRAINED = "_drained"
"""The name of a function in the scope.

It hands out a list's items from one position to another, backwards or not, and removes them and what follows them.
"""


def letting_go(tree: ast.Module) -> ast.Module:
    """The function with such deletions."""
    function: Any = tree.body[0]
    function.body = _block(function.body, set(), set())
    return tree


def _block(body: list[ast.stmt], defined: Collection[str], kept: Collection[str]) -> list[ast.stmt]:
    """The statements of a block, with deletions.

    Args:
        defined: the names that each run of the block begins with, such as a loop's variables.
        kept: the names that are read after the block, or in its next turn.
    """
    names = [_names(statement) for statement in body]
    assigned = dict.fromkeys([*defined, *(name for _, made in names for name in made)])
    last = {name: position for position, (read, made) in enumerate(names) for name in (*read, *made)}
    finished: dict[int, list[str]] = {}
    for name in assigned:
        if name in last and name not in kept:
            finished.setdefault(last[name], []).append(name)
    mentions = [_mentions(statement) for statement in body] if any(isinstance(x, ast.For) for x in body) else []
    written: list[ast.stmt] = []
    for position, statement in enumerate(body):
        free = finished.get(position, [])
        if isinstance(statement, ast.For):
            _drain(statement, assigned.keys() - kept, mentions[position + 1 :])
            given_there = _names(statement.target)[1]
            carried = _carried(statement.body, given_there)
            later = {name for name, end in last.items() if end > position}
            inside = {x.id for part in statement.body for x in ast.walk(part) if isinstance(x, ast.Name)}
            of_each_turn = [name for name in free if name in inside and name not in carried]
            statement.body = _block(statement.body, given_there, {*kept, *later, *carried})
            free = [name for name in free if name not in of_each_turn]
        written.append(statement)
        if free and not isinstance(statement, ast.Return):
            deletion = ast.Delete([ast.Name(name, ast.Del()) for name in free])
            written.append(ast.fix_missing_locations(deletion))  # not the whole tree, which has its own
    return written


def _names(node: ast.AST) -> tuple[dict[str, None], dict[str, None]]:
    """The names that a statement reads, and those that it assigns."""
    nodes = [*ast.walk(node)]
    inner = {x.target.id for x in nodes if isinstance(x, ast.comprehension) and isinstance(x.target, ast.Name)}
    names = [x for x in nodes if isinstance(x, ast.Name) and x.id not in inner]
    grown = [x.target.id for x in nodes if isinstance(x, ast.AugAssign) and isinstance(x.target, ast.Name)]
    read = dict.fromkeys([*(x.id for x in names if isinstance(x.ctx, ast.Load)), *grown])
    return read, dict.fromkeys(x.id for x in names if isinstance(x.ctx, ast.Store))


def _carried(body: list[ast.stmt], defined: Collection[str]) -> set[str]:
    """The names that a turn of a loop reads before it assigns them."""
    made = set(defined)
    carried: set[str] = set()
    for statement in body:
        read, assigned = _names(statement)
        carried |= read.keys() - made
        made |= assigned.keys()
    return carried


def _mentions(statement: ast.stmt) -> dict[str, list[int | None]]:
    """For each name that a statement mentions, the entry that is read by its number there; None for anything else."""
    nodes = [*ast.walk(statement)]
    entries = {
        id(x.value): x.slice.value
        for x in nodes
        if isinstance(x, ast.Subscript) and isinstance(x.slice, ast.Constant) and type(x.slice.value) is int
    }
    mentions: dict[str, list[int | None]] = {}
    for x in nodes:
        if isinstance(x, ast.Name):
            mentions.setdefault(x.id, []).append(entries.get(id(x)))
    return mentions


def _end(later: list[dict[str, list[int | None]]], name: str) -> int | None:
    """The number of entries at the beginning of a list that statements read; None if they read it as a whole."""
    places = [place for mentions in later for place in mentions.get(name, ())]
    return None if None in places else max([place + 1 for place in places if place is not None], default=0)


def _drain(loop: ast.For, own: Collection[str], later: list[dict[str, list[int | None]]]) -> None:
    """Let a loop take its items out of those own lists of which later statements read no more than the beginning."""
    many = isinstance(loop.iter, ast.Call) and getattr(loop.iter.func, "id", "") == "zip"
    iterables: list[Any] = loop.iter.args if many else [loop.iter]  # type: ignore[attr-defined]
    read = [x.id for x in ast.walk(loop) if isinstance(x, ast.Name)]
    for i, iterable in enumerate(iterables):
        is_backward = isinstance(iterable, ast.Call) and getattr(iterable.func, "id", "") == "reversed"
        part = iterable.args[0] if is_backward else iterable
        start: Any = ast.Constant(0)
        stop: Any = ast.Constant(None)
        if isinstance(part, ast.Subscript) and isinstance(part.slice, ast.Slice):
            start, stop, part = part.slice.lower or start, part.slice.upper or stop, part.value
        if not isinstance(part, ast.Name) or part.id not in own or read.count(part.id) > 1:
            continue
        begin: Any = start.value if isinstance(start, ast.Constant) else -1  # a name may stand for any position
        end = _end(later, part.id)
        if end is not None and end <= begin:
            drained = ast.Call(ast.Name(DRAINED, ast.Load()), [part, start, stop, ast.Constant(is_backward)], [])
            ast.fix_missing_locations(drained)
            if many:
                iterables[i] = drained
            else:
                loop.iter = drained
