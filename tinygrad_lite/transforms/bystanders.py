"""Bystanders: tensors that a caller passes to be differentiated, and that the function reads elsewhere.

`tg.grad(lambda p: loss(model))(list(model.parameters()))` is zero, since the loss does not read p. But it reads the
model, and so the same tensors as p: the caller surely did not mean zero.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.backward import history
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor, positive
from tinygrad_lite.errors import warn
from tinygrad_lite.transforms.dual import Dual


def warn_of_bystanders(
    name: str,
    chosen: Any,
    values: Sequence[Array],
    variables: Collection[Tensor] = (),
    *,
    passed: Collection[int] = (),
    within: Collection[Tensor] = (),
) -> None:
    """Warn if a function reads a leaf among the chosen arguments instead of the variable that stands for the leaf.

    For a module's leaves, it warns even if the function reads their variables as well. It does not warn of a leaf that
    is also passed as another argument, which the function may read.

    Args:
        chosen: the arguments that the function is differentiated with respect to.
        values: the leaves of its result.
        variables: the variables that stand for the chosen arguments; empty if the result depends on none of them.
        passed: the identities of its other arguments.
        within: the leaves of modules among the chosen arguments.
    """
    named = [(path, _leaf(x)) for path, x in zip(trees.paths(chosen), trees.leaves(chosen))]
    leaves = {x: path for path, x in named if x is not None and x.requires_grad and id(x) not in passed}
    if not leaves:
        return
    read = set(_read(values, frozenset(variables)))
    replaced = {_leaf(x) for x in variables if x in read}.difference(within)
    missed = [x.name or f"argument {path}" for x, path in leaves.items() if x in read and x not in replaced]
    _warn_of_missed(name, missed)


def warn_of_owners(name: str, chosen: Any, values: Sequence[Array]) -> None:
    """Warn if a result depends on none of the chosen arrays, but on tensors that hold the same arrays.

    `tg.grad(lambda state: loss(model))(model.state_dict())` is zero, since the loss does not read the state.
    """
    arrays = [(path, x) for path, x in zip(trees.paths(chosen), trees.leaves(chosen)) if isinstance(x, np.ndarray)]
    if arrays:
        owners = {id(x.data): x for x in _read(values, frozenset()) if x.is_leaf}
        owned = [(path, owners.get(id(x), owners.get(id(x.base)))) for path, x in arrays]
        _warn_of_missed(name, [x.name or f"argument {path}" for path, x in owned if x is not None])


def _warn_of_missed(name: str, missed: Sequence[str]) -> None:
    if missed:
        warn(
            f"{name} is differentiated with respect to {', '.join(missed)}, but reads these directly and not through "
            "its arguments: the gradient misses what they contribute there. Compute with the arguments; to run a "
            "module on them, write tg.grad(f)(module) for an f(module), or tg.nn.functional_call(module, state, "
            "*inputs)"
        )


def _leaf(x: Any) -> Tensor | None:
    """The leaf itself, or the leaf that a variable of nested transforms stands for; None if there is none."""
    while isinstance(x, Dual):
        x = x.primal
    while isinstance(x, Tensor) and x.op is positive:
        x = x.inputs[0]
    return x if isinstance(x, Tensor) and x.is_leaf else None


def _read(values: Sequence[Array], variables: frozenset[Tensor]) -> Iterator[Tensor]:
    """The tensors that values depend on, except for tensors that are read only through their variables."""
    roots = [tensor for value in values for tensor in _tensors(value)]
    yield from roots
    for node in history(roots, variables):
        for x in node.inputs:
            if isinstance(x, Tensor) and (node.op is not positive or x in variables):
                yield x


def _tensors(value: Array) -> list[Tensor]:
    if isinstance(value, Dual):
        return [*_tensors(value.primal), *_tensors(value.tangent)]
    return [value] if isinstance(value, Tensor) else []
