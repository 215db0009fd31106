"""The calls of functions with a `jax.custom_vjp` in a run."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import jax

from tinygrad_lite.checking.subjects.frameworks.own_rules import AppliedFunction, line_outside, names_of


@contextmanager
def noting(calls: list[AppliedFunction]) -> Iterator[None]:
    """A block in which calls with values are noted; of those inside `vmap`, the first of the batch."""
    call = jax.custom_vjp.__call__

    def noted(self: Any, *arguments: Any, **keywords: Any) -> Any:
        with suppress(Exception):  # values that are not known, as inside `jit`
            own = [jax.tree.map(_value, x) for x in arguments]
            name = getattr(self, "__name__", "custom_vjp")
            if not keywords:
                names = names_of(self.fun, len(own))
                calls.append(AppliedFunction(self, name, names, own, _is_of_arrays, line_outside(jax)))
        return call(self, *arguments, **keywords)

    jax.custom_vjp.__call__ = noted
    try:
        yield
    finally:
        jax.custom_vjp.__call__ = call


def _value(x: Any) -> Any:
    """A value; of a batch, the first."""
    while isinstance(x, jax.core.Tracer):
        x = x.val if x.batch_dim is None else jax.numpy.take(x.val, 0, axis=x.batch_dim)
    return x


def _is_of_arrays(x: Any) -> bool:
    leaves = jax.tree.leaves(x)
    return bool(leaves) and all(isinstance(leaf, jax.Array | float) for leaf in leaves)
