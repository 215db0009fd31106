"""Containers however deep: walked, or refused with an error of ours."""

import itertools
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
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


class OwnList(list[Any]):
    scale: Any = 1.0


class OwnTuple(tuple[Any, ...]):
    scale: Any = 1.0


class OwnDict(dict[str, Any]):
    scale: Any = 1.0


class Fields(dict[str, Any]):
    """A dict whose entries are attributes."""

    def __init__(self, **entries: Any) -> None:
        super().__init__(entries)
        self.__dict__ = self


class Mirrored(dict[str, Any]):
    """A dict that keeps each entry as an attribute as well."""

    def __init__(self, **entries: Any) -> None:
        super().__init__(entries)
        vars(self).update(entries)


def with_scale(tree: Any, scale: Any) -> Any:
    tree.scale = scale
    return tree


WITH_ATTRIBUTES: dict[str, Callable[[Any], Any]] = {
    "list": lambda x: OwnList([x]),
    "tuple": lambda x: OwnTuple([x]),
    "dict": lambda x: OwnDict(a=x),
    "dataclass": Box,
}


@pytest.mark.parametrize("kind", WITH_ATTRIBUTES)
def test_attributes_of_containers_are_kept(kind: str) -> None:
    def f(tree: Any) -> Any:
        return total(tree) ** 2 * tree.scale

    compiled = tg.compile(f, "numpy")
    for scale in (2.0, 2.0, 3.0, 3.0, np.array(4.0)):
        tree = with_scale(WITH_ATTRIBUTES[kind](np.float64(5.0)), scale)
        assert trees.leaves(tg.grad(f)(tree)) == [10 * scale]
        assert tg.grad(f)(tree).scale is scale
        assert compiled(tree) == 25 * scale
    tree.scale[...] = 5.0
    assert compiled(tree) == 125


@pytest.mark.parametrize("kind", [Fields, Mirrored])
def test_attributes_that_are_names_of_entries(kind: Any) -> None:
    def f(tree: Any) -> Any:
        return np.sum(tree.w**2) * tree.b * tree["b"]

    compiled = tg.compile(f, "numpy")
    for i in range(3):
        tree = kind(w=np.arange(2.0) + i, b=2.0)
        gradient = tg.grad(f)(tree)
        np.testing.assert_array_equal(gradient["w"], 8 * tree.w)
        np.testing.assert_array_equal(gradient.w, 8 * tree.w)
        assert gradient["b"] == gradient.b == 4 * np.sum(tree.w**2)
        assert compiled(tree) == f(tree)
    gradient.b = 1.0
    assert gradient["b"] == (1.0 if kind is Fields else 4 * np.sum(tree.w**2))


@dataclass
class Layer:
    w: Any

    @cached_property
    def squares(self) -> Any:
        return np.sum(self.w**2)


class Layers(dict[str, Any]):
    @cached_property
    def squares(self) -> Any:
        return np.sum(self["w"] ** 2)


@pytest.mark.parametrize("kind", [Layer, Layers])
def test_what_is_remembered_of_the_entries_is_computed_anew(kind: Any) -> None:
    layer = kind(w=np.arange(3.0))
    compiled = tg.compile(lambda layer: layer.squares, "numpy")
    for _ in range(2):  # without and with a value that the property remembers
        np.testing.assert_array_equal(trees.leaves(tg.grad(lambda layer: layer.squares)(layer))[0], [0, 2, 4])
        assert compiled(layer) == layer.squares == 5


def test_an_attribute_that_is_an_array_of_the_container() -> None:
    weights = OwnList([np.arange(3.0), np.ones(3)])
    weights.scale = weights[1]
    first, second = tg.grad(lambda w: np.sum(w[0] * w.scale))(weights)
    np.testing.assert_array_equal([first, second], [np.ones(3), np.arange(3.0)])


def test_a_counter_is_rebuilt_as_any_dict_is() -> None:
    counts = Counter("abca")
    assert sorted(trees.leaves(counts)) == [1, 1, 2]
    assert trees.map_leaves(lambda n: n + 1, counts) == Counter({"a": 3, "b": 2, "c": 2})


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


ODD: dict[str, tuple[Any, Any]] = {
    "[1]": ((1, [2]), (1, [2, 3])),
    "['a'][0]": ({"a": [(1,)]}, {"a": [2]}),
    "[0][1]": ([(1, 2)], [(1, {"b": 2})]),
}


@pytest.mark.parametrize("place", ODD)
def test_the_place_is_named_where_containers_differ(place: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"do not match at {place}")):
        trees.map_leaves(lambda x, y: x, *ODD[place])


def test_tuples_and_lists_may_stand_beside_each_other() -> None:
    for tree, other in itertools.product([(1, [2], None), [1, (2,), None]], repeat=2):
        sums = trees.map_leaves(lambda x, y: x + y, tree, other)
        assert sums == trees.map_leaves(lambda x: 2 * x, tree)
