"""Signatures: what arguments a function takes, and which of them a call passes."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tinygrad_lite.errors import UsageError


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """The signature of a function, including a NumPy function that does not report its own."""
    try:
        return inspect.signature(function)
    except ValueError:  # before NumPy 2.4, functions written in C report no signature
        count = getattr(function, "nin", 1)
        kind = inspect.Parameter.POSITIONAL_ONLY
        return inspect.Signature([inspect.Parameter(f"x{i + 1}", kind) for i in range(count)])


def bound_to(signature: inspect.Signature, name: str, args: Iterable[Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by the names of its parameters, without defaults.

    Raises:
        UsageError: if the signature does not allow the call; the message shows it.
    """
    try:
        return dict(signature.bind(*args, **params).arguments)
    except TypeError as error:
        bare = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
        raise UsageError(f"{name}{inspect.Signature(bare)}: {error}") from None
