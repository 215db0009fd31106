"""A tree of numbers as one flat array, and back: values, dtypes, derivatives both ways, and what is refused."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn, trees
from tinygrad_lite.errors import ShapeError, UsageError

RNG = np.random.default_rng(0)


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclass
class Box:
    inside: Any
    nothing: None = None


TREES: dict[str, Any] = {
    "array": RNG.normal(size=(2, 3)),
    "number": 2.5,
    "nested": {"a": [RNG.normal(size=2), (1.5, np.float64(3.0))], "b": RNG.normal(size=(2, 1, 2)), "none": None},
    "records": Pair(Box(RNG.normal(size=3)), {"empty": np.zeros((0, 2)), "one": np.ones(1)}),
    "transposed": RNG.normal(size=(2, 3)).T,
    "nothing": {"a": (), "b": None},
}


def same(a: Any, b: Any) -> None:
    assert tg.ravel(a)[0].shape == tg.ravel(b)[0].shape
    assert trees.structure(a) == trees.structure(b)
    for x, y in zip(trees.leaves(a), trees.leaves(b), strict=True):
        assert np.shape(x) == np.shape(y)
        np.testing.assert_array_equal(np.asarray(x.detach() if isinstance(x, tg.Tensor) else x), y)


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_there_and_back(tree: Any) -> None:
    flat, unravel = tg.ravel(tree)
    assert flat.ndim == 1
    assert type(flat) is np.ndarray
    same(unravel(flat), tree)
    held = tg.tensor(flat, requires_grad=True)
    same(unravel(held), tree)


def test_each_part_has_its_dtype_again() -> None:
    tree = {"a": np.ones(2, np.float32), "b": np.ones(1, np.float64), "c": np.ones((), np.float16)}
    flat, unravel = tg.ravel(tree)
    assert flat.dtype == np.float64
    assert {name: part.dtype for name, part in unravel(flat).items()} == {name: x.dtype for name, x in tree.items()}
    flat, unravel = tg.ravel(tree["a"])
    assert flat.dtype == np.float32
    assert unravel(np.ones(2)).dtype == np.float64, "what is of one dtype can be solved for in another"


def test_derivatives_in_both_directions() -> None:
    tree = TREES["nested"]
    flat, unravel = tg.ravel(tree)
    weights = RNG.normal(size=flat.size)
    gradient = tg.grad(lambda t: np.sum(weights * tg.ravel(t)[0] ** 3))(tree)
    np.testing.assert_allclose(tg.ravel(gradient)[0], 3 * weights * flat**2)

    def f(flat: Any) -> Any:
        parts = unravel(flat)
        return np.sum(parts["a"][0] ** 3) * parts["a"][1][0] + np.sum(np.sin(parts["b"])) * parts["a"][1][1]

    assert tg.gradcheck(f, flat, order=2)
    np.testing.assert_allclose(tg.jacobian(lambda x: tg.ravel(unravel(x))[0], mode="forward")(flat), np.eye(flat.size))
    np.testing.assert_allclose(tg.compile(f)(flat), f(flat))


def test_tensors_keep_their_history() -> None:
    w, b = tg.tensor([[1.0, 2.0]], requires_grad=True), tg.tensor(3.0, requires_grad=True)
    flat, unravel = tg.ravel([w, b, 4.0])
    assert isinstance(flat, tg.Tensor)
    np.sum(flat * flat).backward()
    np.testing.assert_array_equal(w.grad.numpy(), [[2, 4]])
    np.testing.assert_array_equal(b.grad.numpy(), 6)
    assert type(unravel(np.zeros(4))[0]) is np.ndarray


def test_a_module_is_the_dict_of_its_parameters() -> None:
    model = nn.Sequential(nn.Linear(2, 3, rng=0), nn.Tanh(), nn.Linear(3, 1, rng=1))
    model[2].bias.requires_grad = False
    x = RNG.normal(size=(4, 2))
    flat, unravel = tg.ravel((model, 2.0))
    assert list(unravel(flat)[0]) == ["0.weight", "0.bias", "2.weight"]
    point = flat.numpy() + 1

    def loss(flat: Any) -> Any:
        state, factor = unravel(flat)
        return factor * np.sum(nn.functional_call(model, state, x) ** 2)

    assert tg.gradcheck(loss, point)
    assert tg.hessian(loss)(point).shape == (flat.size, flat.size)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"a": [1]}, r"tree\.a\.0 is int64: write 1\.0 for 1"),
        ([np.ones(2), np.arange(2)], r"tree\.1 is int64"),
        ([True], r"tree\.0 is bool"),
        (1j, "tree is complex128"),
        ([1.0, "name"], r"tree\.1 is str"),
        (np.array(["a"]), "tree is <U1"),
        ({1.0}, "tree is set"),
    ],
)
def test_what_is_refused(tree: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tg.ravel(tree)


@pytest.mark.parametrize("wrong", [np.ones(4), np.ones((3, 1)), 1.0, np.ones(0)])
def test_another_shape(wrong: Any) -> None:
    _, unravel = tg.ravel([np.ones(2), 1.0])
    with pytest.raises(ShapeError, match=r"flat array of shape \(3,\), as ravel made it; got \("):
        unravel(wrong)
