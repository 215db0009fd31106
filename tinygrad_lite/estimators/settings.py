"""Parameters of an estimator, among them those of its module and its optimiser: module__hidden, optimizer__betas."""

from collections.abc import Callable, Mapping
from inspect import Parameter
from typing import Any, Self

from sklearn.base import BaseEstimator

from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.foundation.other_settings import instead_of_setting
from tinygrad_lite.foundation.signatures import signature
from tinygrad_lite.nn import Module

PARTS = "module", "optimizer"
"""The parameters that are functions or classes, and so have parameters of their own."""


class Settings(BaseEstimator):
    """An estimator with attributes `module__…` and `optimizer__…`.

    It keeps them in a dict, since scikit-learn allows an estimator only the attributes of its signature.
    """

    _nested: Mapping[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name in self._nested:
            return self._nested[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        if _part(name):
            name, value = "_nested", {**self._nested, name: value}
        super().__setattr__(name, value)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters and their values, with the module's and the optimiser's that were set."""
        return {**super().get_params(deep), **self._nested}

    def set_params(self, **params: Any) -> Self:
        """Set parameters: this estimator's, and by `module__…` and `optimizer__…` its module's and its optimiser's.

        Raises:
            InputError: if there is no parameter of a name; nothing changes then.
        """
        nested = {name: value for name, value in params.items() if _part(name)}
        for part in PARTS:
            check_settings(self._function(part, params.get(part, getattr(self, part))), part, _of(part, nested))
        super().set_params(**{name: value for name, value in params.items() if name not in nested})
        self._nest(nested)
        return self

    def _nest(self, nested: Mapping[str, Any]) -> None:
        kind = type(self).__name__
        for name, value in nested.items():
            if not _part(name):
                instead = instead_of_setting(kind, name, value)
                parts = "its module's parameters begin with module__, and its optimiser's with optimizer__"
                raise UsageError(
                    f"{kind} has no parameter {name!r}" + (f": write {instead}" if instead else f"; {parts}")
                )
            setattr(self, name, value)

    def _function(self, part: str, value: Any) -> Any:
        """The function or class that a parameter of this value stands for."""
        return value

    def _settings_of(self, part: str) -> dict[str, Any]:
        """The parameters of the module or of the optimiser."""
        return _of(part, self._nested)


def _part(name: str) -> bool:
    return name.partition("__")[0] in PARTS and "__" in name


def _of(part: str, params: Mapping[str, Any]) -> dict[str, Any]:
    return {name.partition("__")[2]: value for name, value in params.items() if name.startswith(f"{part}__")}


def check_settings(function: Any, part: str, settings: Mapping[str, Any]) -> None:
    """Raise `InputError` if a function does not take these settings by name, as far as its signature says."""
    if isinstance(function, Module) and settings:
        raise InputError(
            f"{part}__{next(iter(settings))}: {part} is a module that exists already: pass a class or a function that "
            "builds one from (n_features_in, n_outputs) and this parameter"
        )
    names = names_taken_by(function)
    if names is not None and (unknown := [name for name in settings if name not in names]):
        raise InputError(
            f"{part}__{unknown[0]}: {getattr(function, '__name__', part)} takes no such parameter; it takes "
            f"{', '.join(names)}"
        )


def names_taken_by(function: Callable[..., Any] | Any) -> list[str] | None:
    """The names by which a function or a class takes arguments; None if it takes any, or does not say."""
    if not callable(function):
        return None
    try:
        parameters = signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(x.kind is Parameter.VAR_KEYWORD for x in parameters):
        return None
    return [x.name for x in parameters if x.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)]
