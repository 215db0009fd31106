"""Letting go: a function's source with each variable deleted after the last statement that reads it.

Within a loop, what a turn made for itself goes before the turn ends. A list that a loop goes through, and that nobody
reads afterwards, gets shorter on the way.
"""

import ast
from collections.abc import Collection
from typing import Any

DRAINED = "_drained"
"""The name of a function in the scope: it hands out a list's items, backwards or not, and empties the list."""


def letting_go(tree: ast.Module) -> ast.Module:
    """The function with such deletions."""
    function: Any = tree.body[0]
    function.body = _block(function.body, set(), set())
    return ast.fix_missing_locations(tree)


def _block(body: list[ast.stmt], given: Collection[str], kept: Collection[str]) -> list[ast.stmt]:
    """The statements of a block, with deletions.

    Args:
        given: the names that the block is given anew each time, as a loop's variables are.
        kept: the names that are read after the block, or in its next turn.
    """
    names = [_names(statement) for statement in body]
    assigned = dict.fromkeys([*given, *(name for _, made in names for name in made)])
    last = {name: position for position, (read, made) in enumerate(names) for name in (*read, *made)}
    finished: dict[int, list[str]] = {}
    for name in assigned:
        if name in last and name not in kept:
            finished.setdefault(last[name], []).append(name)
    written: list[ast.stmt] = []
    for position, statement in enumerate(body):
        free = finished.get(position, [])
        if isinstance(statement, ast.For):
            _drain(statement, free)
            given_there = _names(statement.target)[1]
            carried = _carried(statement.body, given_there)
            later = {name for name, end in last.items() if end > position}
            of_each_turn = [name for name in free if name not in carried and _is_in(statement.body, name)]
            statement.body = _block(statement.body, given_there, {*kept, *later, *carried})
            free = [name for name in free if name not in of_each_turn]
        written.append(statement)
        if free and not isinstance(statement, ast.Return):
            written.append(ast.Delete([ast.Name(name, ast.Del()) for name in free]))
    return written


def _names(node: ast.AST) -> tuple[dict[str, None], dict[str, None]]:
    """The names that a statement reads, and those that it assigns."""
    inner = {x.target.id for x in ast.walk(node) if isinstance(x, ast.comprehension) and isinstance(x.target, ast.Name)}
    names = [x for x in ast.walk(node) if isinstance(x, ast.Name) and x.id not in inner]
    grown = [x.target.id for x in ast.walk(node) if isinstance(x, ast.AugAssign) and isinstance(x.target, ast.Name)]
    read = dict.fromkeys([*(x.id for x in names if isinstance(x.ctx, ast.Load)), *grown])
    return read, dict.fromkeys(x.id for x in names if isinstance(x.ctx, ast.Store))


def _is_in(body: list[ast.stmt], name: str) -> bool:
    return any(isinstance(x, ast.Name) and x.id == name for statement in body for x in ast.walk(statement))


def _carried(body: list[ast.stmt], given: Collection[str]) -> set[str]:
    """The names that a turn of a loop reads before it assigns them."""
    made = set(given)
    carried: set[str] = set()
    for statement in body:
        read, assigned = _names(statement)
        carried |= read.keys() - made
        made |= assigned.keys()
    return carried


def _drain(loop: ast.For, free: Collection[str]) -> None:
    """Let a loop empty the lists that nobody reads any more."""
    calls = isinstance(loop.iter, ast.Call) and getattr(loop.iter.func, "id", "") == "zip"
    iterables: list[ast.expr] = loop.iter.args if calls else [loop.iter]  # type: ignore[attr-defined]
    read = [x.id for x in ast.walk(loop) if isinstance(x, ast.Name)]
    for i, iterable in enumerate(iterables):
        is_backward = isinstance(iterable, ast.Call) and getattr(iterable.func, "id", "") == "reversed"
        name = iterable.args[0] if is_backward else iterable  # type: ignore[attr-defined]
        if isinstance(name, ast.Name) and name.id in free and read.count(name.id) == 1:
            drained: ast.expr = ast.Call(ast.Name(DRAINED, ast.Load()), [name, ast.Constant(is_backward)], [])
            if calls:
                iterables[i] = drained
            else:
                loop.iter = drained
