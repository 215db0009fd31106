"""A learner's function with a pair of brackets more, or less: a formula that is copied from paper often lacks them."""

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
TOO_MANY = "brackets hold together what does not belong together"
_MOST = 300  # places that are tried
_BINARY = ("+", "-", "*", "/", "**", "@")
_BEFORE = ("(", "[", ",", "=", ":", "return", *_BINARY)
_AFTER = (")", "]", ",", "", "\n", *_BINARY)
_WORDS = (tokenize.NAME, tokenize.NUMBER)


def regrouped(function: Callable[..., Any]) -> list[tuple[str, Callable[..., Any]]]:
    """The function with one pair of brackets more or less, each with its mistake in words; none without its code."""
    try:
        source = textwrap.dedent(inspect.getsource(function)).rstrip() + "\n"
        tokens = [each for each in tokenize.generate_tokens(io.StringIO(source).readline) if each.string.strip(" \t")]
        more = [(BRACKETS, _with(source, "(", ")", *place)) for place in [*_places(tokens)][:_MOST]]
        less = [(TOO_MANY, _with(source, " ", " ", *pair)) for pair in [*_pairs(tokens)][:_MOST]]
        return [(sentence, made_from(function, text)) for sentence, text in more + less]
    except (OSError, TypeError, SyntaxError, tokenize.TokenError):  # it was typed into a prompt, or is part of a call
        return []


def _places(tokens: list[TokenInfo]) -> Iterator[tuple[TokenInfo, TokenInfo]]:
    """The first and the last token of each group that brackets could hold together."""
    for i in range(1, len(tokens)):
        if tokens[i - 1].string not in _BEFORE or not (tokens[i].type in _WORDS or tokens[i].string in ("(", "-")):
            continue
        depth = operators = 0
        is_held_together = False  # whether brackets around the first terms would separate them from the next one
        for j in range(i, len(tokens) - 1):
            text = tokens[j].string
            depth += (text in ("(", "[")) - (text in (")", "]"))
            if depth < 0 or (not depth and text in (",", "=", ":", "\n")):
                break
            operators += not depth and j > i and text in _BINARY
            is_held_together |= not depth and tokens[i].string == "(" and text in ("+", "-")
            ends = tokens[j].type in _WORDS or text in (")", "]")
            if operators and ends and not depth and tokens[j + 1].string in _AFTER and not is_held_together:
                yield tokens[i], tokens[j]


def _pairs(tokens: list[TokenInfo]) -> Iterator[tuple[TokenInfo, TokenInfo]]:
    """The brackets that hold terms together, and are not those of a call."""
    opened: list[int] = []
    for j, token in enumerate(tokens):
        if token.string == "(":
            opened.append(j)
        elif token.string == ")" and opened:
            i = opened.pop()
            if tokens[i - 1].string in _BEFORE and not any(each.string == "," for each in tokens[i:j]):
                yield tokens[i], token


def _with(source: str, left: str, right: str, first: TokenInfo, last: TokenInfo) -> str:
    """A text with brackets before the first and after the last token, or with blanks in place of these tokens."""
    lines = source.splitlines(keepends=True)
    width = int(left == " ")
    for (row, column), sign in (((last.end[0], last.end[1] - width), right), (first.start, left)):
        lines[row - 1] = f"{lines[row - 1][:column]}{sign}{lines[row - 1][column + width :]}"
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
