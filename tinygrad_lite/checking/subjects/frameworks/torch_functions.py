"""The calls of `torch.autograd.Function` in a run."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from tinygrad_lite.checking.subjects.frameworks.own_rules import AppliedFunction, line_outside, names_of


def kinds_behind(results: Iterable[Any]) -> set[Any]:
    """The functions with a `backward` of their own on which results depend."""
    ahead = [y.grad_fn for y in results if isinstance(y, torch.Tensor)]
    seen, kinds = set[Any](), set[Any]()
    while ahead:
        node = ahead.pop()
        if node is not None and node not in seen:
            seen.add(node)
            kinds |= {getattr(node, "_forward_cls", None)}
            ahead += [before for before, _ in node.next_functions]
    return kinds - {None}


@contextmanager
def noting(kind: Any, calls: list[AppliedFunction]) -> Iterator[None]:
    """A block in which the calls of a function are noted, also by those who hold its `apply`."""
    forward, own = kind.forward, kind.__dict__.get("forward")
    kind.forward = staticmethod(_noting(kind, forward, calls))
    try:
        yield
    finally:
        if own is None:
            del kind.forward
        else:
            kind.forward = own


def _noting(kind: Any, forward: Callable[..., Any], calls: list[AppliedFunction]) -> Callable[..., Any]:
    def noted(*arguments: Any) -> Any:
        has_context = bool(arguments) and isinstance(arguments[0], torch.autograd.function.FunctionCtx)
        own = [_copy(x) if _is_tensor(x) else x for x in arguments[has_context:]]
        names = names_of(forward, len(arguments))[has_context:]
        calls.append(AppliedFunction(kind.apply, kind.__name__, names, own, _is_tensor, line_outside(torch)))
        return forward(*arguments)

    return noted


def _is_tensor(x: Any) -> bool:
    return isinstance(x, torch.Tensor)


def _copy(x: torch.Tensor) -> torch.Tensor:
    return x.detach().clone().requires_grad_(x.requires_grad)
