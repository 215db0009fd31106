"""Ready keys: a function's source in which no loop puts together the keys of the state.

A loop over numbers or names finds its keys by f-strings, which are the same in each run. So they are made once, and the
loop goes through them beside everything else.
"""

import ast
from typing import Any

_KNOWN = {"range": range, "reversed": reversed, "str": str}


def with_ready_keys(tree: ast.Module, scope: dict[str, Any]) -> ast.Module:
    """The function with such keys in the scope."""
    function: Any = tree.body[0]
    for statement in function.body:
        if isinstance(statement, ast.For):
            _prepare(statement, scope)
    return tree


def _prepare(loop: ast.For, scope: dict[str, Any]) -> None:
    """Let a loop go through its keys."""
    many = isinstance(loop.iter, ast.Call) and getattr(loop.iter.func, "id", "") == "zip"
    iterables: list[ast.expr] = loop.iter.args if many else [loop.iter]  # type: ignore[attr-defined]
    targets: list[ast.expr] = loop.target.elts if many else [loop.target]  # type: ignore[attr-defined]
    fixed = {
        x.id: values
        for x, iterable in zip(targets, iterables)
        if isinstance(x, ast.Name) and (values := _values(iterable))
    }
    keys: dict[str, list[ast.Subscript]] = {}
    for x in ast.walk(loop):
        if isinstance(x, ast.Subscript) and _is_made(x) and _names(x.slice) <= fixed.keys():
            keys.setdefault(ast.unparse(x.slice), []).append(x)
    if not keys:
        return
    turns = [dict(zip(fixed, values)) for values in zip(*fixed.values())]
    makers = [compile(ast.Expression(uses[0].slice), "<keys>", "eval") for uses in keys.values()]
    name = f"_keys_{len(scope)}"
    scope[name] = [tuple(eval(maker, dict(_KNOWN), turn) for maker in makers) for turn in turns]  # noqa: S307
    for i, uses in enumerate(keys.values()):
        for use in uses:
            use.slice = ast.Name(f"{name}_{i}", ast.Load())
    for i, target in enumerate(targets):
        if isinstance(target, ast.Name) and target.id in fixed:
            scope[f"{name}_of_{target.id}"] = fixed[target.id]
            iterables[i] = ast.Name(f"{name}_of_{target.id}", ast.Load())
    read = {x.id for statement in loop.body for x in ast.walk(statement) if isinstance(x, ast.Name)}
    kept = [i for i, target in enumerate(targets) if not isinstance(target, ast.Name) or target.id in read]
    unpacked = ast.Tuple([ast.Name(f"{name}_{i}", ast.Store()) for i in range(len(keys))], ast.Store())
    loop.target = ast.Tuple([*(targets[i] for i in kept), unpacked], ast.Store())
    loop.iter = ast.Call(ast.Name("zip", ast.Load()), [*(iterables[i] for i in kept), ast.Name(name, ast.Load())], [])
    ast.fix_missing_locations(loop)


def _is_made(x: ast.Subscript) -> bool:
    """Whether this is an entry of the state with a key that is put together."""
    return getattr(x.value, "id", "") == "state" and isinstance(x.slice, (ast.JoinedStr, ast.BinOp))


def _names(node: ast.AST) -> set[str]:
    return {x.id for x in ast.walk(node) if isinstance(x, ast.Name)} - _KNOWN.keys()


def _values(iterable: ast.expr) -> list[Any] | None:
    """What an expression runs over, if it is the same each time."""
    own = {
        x.target.id for x in ast.walk(iterable) if isinstance(x, ast.comprehension) and isinstance(x.target, ast.Name)
    }
    if _names(iterable) - own:
        return None
    return list(eval(compile(ast.Expression(iterable), "<keys>", "eval"), dict(_KNOWN)))  # noqa: S307
