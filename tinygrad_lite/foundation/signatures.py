"""Functions: what they are called, what arguments they take, which of these a call passes, and what else they read."""

import ast
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import FunctionType
from typing import Any, TypeVar

import numpy as np

from tinygrad_lite.errors import UsageError
from tinygrad_lite.foundation.pytorch_names import instead_of_argument

Tree = TypeVar("Tree", bound=ast.AST)

_UNREAD: dict[str, Any] = {}
if sys.version_info >= (3, 14):
    from annotationlib import Format

    _UNREAD = {"annotation_format": Format.STRING}

_HOMES = ("numpy", "scipy.special")
"""The libraries that functions with a derivative come from."""


def signature(function: Callable[..., Any], *, follow_wrapped: bool = True) -> inspect.Signature:
    """The signature of a function, whose annotations need not name what is there at run time: they stay unread."""
    return inspect.signature(function, follow_wrapped=follow_wrapped, **_UNREAD)


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """The signature of a function, including a NumPy function that does not report its own."""
    try:
        return signature(function)
    except ValueError:  # before NumPy 2.4, functions written in C report no signature
        count = getattr(function, "nin", 1)
        kind = inspect.Parameter.POSITIONAL_ONLY
        return inspect.Signature([inspect.Parameter(f"x{i + 1}", kind) for i in range(count)])


def without_annotations(tree: Tree) -> Tree:
    """The same tree, whose functions have lost their annotations, which compute nothing."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
    return tree


def bound_to(signature: inspect.Signature, name: str, args: Iterable[Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by the names of its parameters, without defaults.

    Raises:
        UsageError: if the signature does not allow the call; the message shows it.
    """
    try:
        return dict(signature.bind(*args, **params).arguments)
    except TypeError as error:
        bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
        unknown = {x: value for x, value in params.items() if x not in signature.parameters}
        instead = (instead_of_argument(name, x, value) for x, value in unknown.items())
        advice = "".join(f"; write {text}" for text in filter(None, instead))
        raise UsageError(f"{name}{inspect.Signature(bare)}: {error}{advice}") from None


def outside_of(function: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The global variables that a function reads, and those of the functions around it, by name.

    A variable without a value yet, such as a function that is defined further below, is left out. A function that is
    not written in Python reads none.
    """
    function = getattr(function, "__func__", function)
    if not isinstance(function, FunctionType):
        return {}, {}
    code, around = function.__code__, function.__globals__
    nonlocals: dict[str, Any] = {}
    for name, cell in zip(code.co_freevars, function.__closure__ or ()):
        with suppress(ValueError):  # of an empty cell
            nonlocals[name] = cell.cell_contents
    return {name: around[name] for name in code.co_names if name in around}, nonlocals


def path_of(function: Any) -> str:
    """A function's name as users write it: np.exp, np.linalg.det, np.add.reduce."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, np.ufunc):
        return f"{path_of(owner)}.{function.__name__}"
    name = function.__name__
    homes = (home for home in _HOMES if getattr(sys.modules.get(home), name, None) is function)
    module = next(homes, getattr(function, "__module__", None))
    return f"{module.replace('numpy', 'np', 1)}.{name}" if module else str(name)


def newer(*names: str) -> list[Callable[..., Any]]:
    """The NumPy functions of these names that the installed version has; some are newer than the oldest supported."""
    return [getattr(np, name) for name in names if hasattr(np, name)]
