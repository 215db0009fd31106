"""A learner's function with a pair of brackets more: a formula that is copied from paper often lacks them."""

import ast
import inspect
import io
import textwrap
import tokenize
from collections.abc import Callable, Iterator
from tokenize import TokenInfo
from typing import Any

from tinygrad_lite.foundation.signatures import outside_of

BRACKETS = "brackets are missing: Python multiplies and divides before it adds, from left to right"
_MOST = 300  # places that are tried
_BINARY = ("+", "-", "*", "/", "**", "@")
_BEFORE = ("(", "[", ",", "=", ":", "return", *_BINARY)
_AFTER = (")", "]", ",", "", "\n", *_BINARY)
_WORDS = (tokenize.NAME, tokenize.NUMBER)


def regrouped(function: Callable[..., Any]) -> list[Callable[..., Any]]:
    """The function with a pair of brackets more, once for each place where they could be; none without its code."""
    try:
        source = textwrap.dedent(inspect.getsource(function)).rstrip() + "\n"
        tokens = [each for each in tokenize.generate_tokens(io.StringIO(source).readline) if each.string.strip(" \t")]
        return [made_from(function, _bracketed(source, *place)) for place in [*_places(tokens)][:_MOST]]
    except (OSError, TypeError, SyntaxError, tokenize.TokenError):  # it was typed into a prompt, or is part of a call
        return []


def _places(tokens: list[TokenInfo]) -> Iterator[tuple[TokenInfo, TokenInfo]]:
    """The first and the last token of what brackets could hold together."""
    for i in range(1, len(tokens)):
        if tokens[i - 1].string not in _BEFORE or not (tokens[i].type in _WORDS or tokens[i].string in ("(", "-")):
            continue
        depth = operators = 0
        for j in range(i, len(tokens) - 1):
            text = tokens[j].string
            depth += (text in ("(", "[")) - (text in (")", "]"))
            if depth < 0 or (not depth and text in (",", "=", ":", "\n")):
                break
            operators += not depth and j > i and text in _BINARY
            ends = tokens[j].type in _WORDS or text in (")", "]")
            if operators and ends and not depth and tokens[j + 1].string in _AFTER:
                yield tokens[i], tokens[j]


def _bracketed(source: str, first: TokenInfo, last: TokenInfo) -> str:
    lines = source.splitlines(keepends=True)
    for (row, column), sign in ((last.end, ")"), (first.start, "(")):
        lines[row - 1] = f"{lines[row - 1][:column]}{sign}{lines[row - 1][column:]}"
    return "".join(lines)


def made_from(function: Callable[..., Any], source: str) -> Callable[..., Any]:
    """The one function that a text defines, among the names that the function sees."""
    definitions = [x for x in ast.walk(ast.parse(source)) if isinstance(x, (ast.FunctionDef, ast.Lambda))]
    if len(definitions) != 1:
        raise SyntaxError("the text defines no function, or several")
    definition = definitions[0]
    scope = {**getattr(function, "__globals__", {}), **outside_of(function)[1]}
    made: Callable[..., Any]
    if isinstance(definition, ast.Lambda):
        made = eval(compile(ast.Expression(definition), "<brackets>", "eval"), scope)  # noqa: S307
        return made
    definition.decorator_list = []
    exec(compile(ast.Module([definition], []), "<brackets>", "exec"), scope)  # noqa: S102
    made = scope[definition.name]
    return made
