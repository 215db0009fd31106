"""Tensors that a function is differentiated by, and that it reads by another way than it is given them.

`tg.grad(lambda p: loss(model))(list(model.parameters()))` is zero, since the loss does not depend on p. What tells it
from a gradient that is rightly zero is that the loss depends on the very tensors that were passed in.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

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
    others: Sequence[Any] = (),
    modules: Sequence[trees.Parametric] = (),
) -> None:
    """Warn if a function reads a leaf that it is differentiated by, and does not read what it was given in its place.

    Of a module it shall read none by another way, whether it uses what it was given or not. What is passed as another
    argument as well is read for good reason.

    Args:
        chosen: the arguments that it is differentiated by.
        values: what it returned.
        variables: what it was given in place of the arguments; nothing if that is known to be without influence.
        others: its other arguments.
        modules: those among the arguments that it is differentiated by.
    """
    places = [(path, _leaf(x)) for path, x in zip(trees.paths(chosen), trees.leaves(chosen))]
    passed = {id(x) for x in others}
    leaves = {x: path for path, x in places if x is not None and x.requires_grad and id(x) not in passed}
    if not leaves:
        return
    read = set(_read(values, frozenset(variables)))
    replaced = {_leaf(x) for x in variables if x in read}
    replaced -= {x for module in modules if id(module) not in passed for _, x in module.named_parameters()}
    missed = [x.name or f"argument {path}" for x, path in leaves.items() if x in read and x not in replaced]
    if missed:
        warn(
            f"{name} is differentiated by {', '.join(missed)}, and reads these itself in place of what it is given for "
            "them: the gradient lacks what they contribute there. Compute with the arguments; to run a module on them, "
            "write tg.grad(f)(module) for an f(module), or tg.nn.functional_call(module, state, *inputs)"
        )


def _leaf(x: Any) -> Tensor | None:
    """The leaf that a value stands for, if it does for any: as the variable of a transform, or of several."""
    while isinstance(x, Dual):
        x = x.primal
    while isinstance(x, Tensor) and x.op is positive:
        x = x.inputs[0]
    return x if isinstance(x, Tensor) and x.is_leaf else None


def _read(values: Sequence[Array], variables: frozenset[Tensor]) -> Iterator[Tensor]:
    """The tensors that values hang on, but for those that are read through what stands for them."""
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
