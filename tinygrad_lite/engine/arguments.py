"""Sorts the arguments of a call into the arrays that an operation computes with, and its parameters."""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_lite.errors import UsageError
from tinygrad_lite.foundation.advice import refuse_out
from tinygrad_lite.foundation.foreign import lost_from, numbers_of
from tinygrad_lite.foundation.pytorch_names import unknown_argument
from tinygrad_lite.foundation.signatures import bound_to, signature_of

_FIXED = frozenset({int, float, bool, str, tuple, type(None)})


class ForEach(Sequence[Any]):
    """The rules of an operation on any number of arrays: `rule(i, g, y, x, **params)` differentiates by x[i]."""

    def __init__(self, rule: Callable[..., Any]) -> None:
        self.rule = rule

    def __getitem__(self, i: Any) -> Any:
        return lambda g, y, *x, **params: self.rule(i, g, y, x, **params)

    def __len__(self) -> int:
        return sys.maxsize


class Arguments:
    """How an operation takes its arguments: in the order of its forward, and only parameters that its rules know."""

    name: str
    forward: Callable[..., Any]
    arity: int | None
    vjps: Sequence[Any]
    derivatives: Sequence[Any] = ()
    shared: Callable[..., Any] | None = None
    adjoint: Callable[..., Any] | None = None

    @cached_property
    def signature(self) -> inspect.Signature:
        """The signature of the forward, without the shared expression."""
        parameters = list(signature_of(self.forward).parameters.values())
        return inspect.Signature([p for i, p in enumerate(parameters) if not (self.shared and i == self.arity)])

    @cached_property
    def keywords(self) -> frozenset[str]:
        """The parameters that the rules know; for an operation that answers a question, those of the forward."""
        rules: Sequence[Any] = self.derivatives or self.vjps or [self.forward]
        before = (self.arity or 0) + (1 if self.derivatives else 2 if self.vjps else 0)  # y or g, y; and the arrays
        if isinstance(rules, ForEach):
            rules, before = [rules.rule], 4  # i, g, y, x
        rule = next(filter(callable, rules), lambda: None)
        named = [p for p in signature_of(rule).parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        before += bool(self.shared) + bool(self.adjoint)
        return frozenset(p.name for i, p in enumerate(named) if i >= before or p.kind is p.KEYWORD_ONLY) - {"out"}

    def sort(self, inputs: tuple[Any, ...], params: Mapping[str, Any]) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        """Separate the arrays from the parameters, whose values nobody else can change afterwards."""
        if self.arity not in (len(inputs), None) or not params.keys() <= self.keywords:
            inputs, params = self.bind(inputs, params)
        for name, value in params.items():
            if type(value) not in _FIXED and (fixed := self._fixed(name, value)) is not value:
                params = {**params, name: fixed}
        return inputs, params

    def _fixed(self, name: str, value: Any) -> Any:
        if isinstance(value, list):
            return tuple(value)
        if hasattr(value, "__trace__") and value.dtype.kind not in "biu":
            raise UsageError(f"{self.name}: {name}= is a parameter without a derivative; pass a number, not a tensor")
        if type(value) is not np.ndarray and (isinstance(value, np.ndarray) or lost_from(type(value))):
            value = numbers_of(value, f"{self.name}, {name}=")
        return unchanging(value) if isinstance(value, np.ndarray) or hasattr(value, "__trace__") else value

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Separate the arrays from the parameters, and leave out those that have their defaults."""
        form = (len(args), *kwargs)
        if form not in self._forms:
            self._forms[form] = self._form(args, kwargs)
        arrays, parameters, defaults = self._forms[form]
        values = (*args, *kwargs.values(), *defaults)
        params = {}
        for name, position, default in parameters:
            value = values[position]
            if value is default or value is np._NoValue or (value is None and name not in self.keywords):
                continue
            if name not in self.keywords:
                self.refuse(name, value)
            params[name] = value
        return tuple([values[position] for position in arrays]), params

    @cached_property
    def _forms(self) -> dict[tuple[Any, ...], Any]:
        return {}  # to bind a signature takes longer than most operations run: do it once for each form

    def _form(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """The positions of the arrays and of the parameters in a call of this form, and the defaults."""
        for name, value in kwargs.items():
            if name not in self.signature.parameters:
                self.refuse(name, value)
        size = len(args) + len(kwargs)
        bound = bound_to(self.signature, self.name, range(len(args)), dict(zip(kwargs, range(len(args), size))))
        declared = [p for p in self.signature.parameters.values() if p.kind is not p.VAR_POSITIONAL]
        positions = [bound.get(p.name, size + k) for k, p in enumerate(declared)]
        arrays = range(len(args)) if self.arity is None else positions[: self.arity]
        parameters = [(p.name, position, p.default) for p, position in zip(declared, positions)][self.arity or 0 :]
        return arrays, [x for x in parameters if x[1] < size], [p.default for p in declared]

    def refuse(self, name: str, value: Any) -> None:
        """Raise the error for a parameter that the rules do not know."""
        if name == "out":
            refuse_out(self.name, value)
        raise UsageError(unknown_argument(self.name, name, value, self.keywords))


def unchanging(x: Any) -> Any:
    """An array parameter that nobody can change: of a tensor its own array, to which nobody writes; else a copy."""
    array = getattr(x, "data", x) if hasattr(x, "__trace__") else x
    is_tensors = array is not x and isinstance(array, (np.ndarray, np.generic))
    return array if is_tensors or hasattr(array, "__trace__") else np.array(array)
