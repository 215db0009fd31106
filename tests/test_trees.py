"""Containers however deep: walked, or refused with an error of ours."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import trees
from tinygrad_lite.errors import UsageError


@dataclass
class Box:
    inside: Any


KINDS: dict[str, Callable[[Any], Any]] = {
    "list": lambda x: [x],
    "tuple": lambda x: (x,),
    "dict": lambda x: {"a": x},
    "dataclass": Box,
}


def nested(wrap: Callable[[Any], Any], depth: int) -> Any:
    tree: Any = np.float64(2.0)
    for _ in range(depth):
        tree = wrap(tree)
    return tree


def cyclic(kind: str) -> Any:
    tree: Any = {"list": [1.0], "tuple": ([1.0],), "dict": {"b": 1.0}, "dataclass": Box(1.0)}[kind]
    match kind:
        case "list":
            tree += [tree, tree]
        case "tuple":
            tree[0].append(tree)
        case "dict":
            tree["a"] = tree
        case _:
            tree.inside = tree
    return tree


def total(tree: Any) -> Any:
    return sum(trees.leaves(tree))


WALKS: dict[str, Callable[[Any], Any]] = {
    "leaves": trees.leaves,
    "paths": trees.paths,
    "structure": trees.structure,
    "map_leaves": lambda tree: trees.map_leaves(lambda x: x, tree),
    "map_leaves of two": lambda tree: trees.map_leaves(lambda x, _: x, tree, tree),
    "grad": tg.grad(total),
    "value_and_grad": tg.value_and_grad(total),
    "vjp": lambda tree: tg.vjp(total, tree),
    "jvp": lambda tree: tg.jvp(total, (tree,), (tree,)),
    "hessian": tg.hessian(total),
    "jacobian of a result": lambda tree: tg.jacobian(lambda x: tree)(1.0),
    "stop_gradient": tg.stop_gradient,
    "checkpoint": tg.checkpoint(total),
    "audit": lambda tree: tg.audit_gradients(tree, tg.tensor(1.0, requires_grad=True)),
    "compile": lambda tree: tg.compile(total)(tree),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS)
def test_too_deep_and_cyclic_containers_are_refused(walk: Callable[[Any], Any], kind: str) -> None:
    for tree in (nested(KINDS[kind], 500), nested(KINDS[kind], 20_000), cyclic(kind)):
        with pytest.raises(UsageError, match=rf"more than {trees.DEEPEST} deep, or contain themselves"):
            walk(tree)


@pytest.mark.parametrize("kind", KINDS)
def test_deep_containers_work(kind: str) -> None:
    tree = nested(KINDS[kind], trees.DEEPEST - 5)
    assert trees.leaves(tg.grad(total)(tree)) == [1.0]
    assert trees.leaves(tg.jvp(lambda x: x, (tree,), (tree,))[1]) == [2.0]


def test_a_tuple_that_holds_one_type_alone_becomes_a_plain_one() -> None:
    class Sizes(tuple[int, ...]):
        def __new__(cls, sizes: Any) -> Any:
            if not all(isinstance(size, int) for size in sizes):
                raise TypeError("integers only")
            return super().__new__(cls, sizes)

    sizes = Sizes([2, 3])
    assert trees.leaves(sizes) == [2, 3]
    assert trees.map_leaves(str, sizes) == ("2", "3")
    assert type(trees.map_leaves(lambda size: size + 1, sizes)) is Sizes
