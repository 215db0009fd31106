"""The registry of all operations, and of the NumPy functions that each of them answers on traced values."""

import copyreg
import sys
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any

from tinygrad_lite.engine.op import Op, listeners
from tinygrad_lite.errors import RESTATED, NoDerivativeError, UsageError, complain
from tinygrad_lite.foundation.signatures import bound_to, path_of, signature_of

Function = Callable[..., Any]

_OPERATIONS: dict[str, Op] = {}
ANSWERS: dict[Any, Function] = {}
"""What computes a NumPy function on traced values, or an operation by its name."""

_WAITING: dict[Any, list[Callable[[Any], None]]] = {}
TABLES = {"scipy.special": "tinygrad_lite.ops.continuations.special"}  # which reads the table itself first
"""Modules that declare the functions of other libraries; each is imported once a program needs it."""


def operations() -> list[Op]:
    """Every operation declared so far, in order."""
    return list(_OPERATIONS.values())


def operation(name: str) -> Op:
    """The operation of this name."""
    return _OPERATIONS[name]


def answer_to(function: Function) -> Function:
    """The operation or function that computes a NumPy function on traced values.

    Raises:
        NoDerivativeError: if there is none.
    """
    if (answer := ANSWERS.get(function)) is None:
        for table in [table for library, table in TABLES.items() if library in sys.modules]:
            import_module(table)
        if (answer := ANSWERS.get(function)) is None:
            raise NoDerivativeError(path_of(function))
    return answer


def functions_of(op: Op) -> list[Function]:
    """The library functions that an operation answers, its own forward first."""
    return [op.forward, *(function for function, answer in ANSWERS.items() if answer is op)]


def implements(*functions: Function) -> Callable[[Function], Function]:
    """Let the decorated function, which is composed of operations, answer these NumPy functions on traced values."""

    def enter(answer: Function) -> Function:
        for function in functions:
            _enter(function, answer if isinstance(answer, Op) else _in_our_words(answer, function))
        return answer

    return enter


def _in_our_words(answer: Function, function: Function) -> Function:
    """The answer to a function; its errors name the function as users write it, and are of our kinds."""

    @wraps(answer)
    def call(*args: Any, **params: Any) -> Any:
        try:
            return answer(*args, **params)
        except RESTATED as error:
            bound_to(signature_of(answer), path_of(function), args, params)
            complain(error, path_of(function), args, params)

    return call


def when_declared(function: Function | str, use: Callable[[Any], None]) -> None:
    """Call `use` once with the answer to this function, or the operation of this name, when it is declared."""
    _WAITING.setdefault(function, []).append(use)


def _enter(key: Function | str, answer: Function) -> None:
    if callable(key):
        ANSWERS[key] = answer
    for use in _WAITING.pop(key, ()):
        use(answer)


def register(op: Op) -> None:
    """Enter an operation under its name and as the answer to its forward.

    An operation that replaces another with the same forward inherits its domain, kink, continuation and so on, unless
    it states its own: these belong to the function, whatever its derivatives.
    """
    if former := ANSWERS.get(op.forward):
        for fact in ("chooses", "domain", "kind", "kink", "on_complex"):
            setattr(op, fact, getattr(op, fact) or getattr(former, fact, getattr(op, fact)))
    _OPERATIONS[op.name] = op
    _enter(op.name, op)
    _enter(op.forward, op)


def is_registered(op: Op) -> bool:
    """Whether this very operation is registered under its name."""
    return _OPERATIONS.get(op.name) is op


def _pickled(op: Op) -> Any:
    if not is_registered(op):
        raise UsageError(f"operation {op.name} was declared again since: a copy would be the new operation")
    return operation, (op.name,)


listeners.append(register)
copyreg.pickle(Op, _pickled)
