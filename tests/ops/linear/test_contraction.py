"""Summations as matrix products: as NumPy's loop, whatever the axes."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import tinygrad_lite as tg
from tinygrad_lite.engine.backward import history
from tinygrad_lite.ops.linear import contraction

SIZES = dict(zip("abcde", (2, 3, 4, 5, 2)))


def random_terms(rng: np.random.Generator) -> tuple[list[str], str]:
    """Two to four operands of up to four axes, some of them twice, and a result of some of the axes."""
    terms = []
    for _ in range(rng.integers(2, 5)):
        again = rng.random() < 0.1
        terms.append("".join(rng.choice([*SIZES], rng.integers(1, 5), replace=bool(again))))
    kept = [letter for letter in sorted({*"".join(terms)}) if rng.random() < 0.5]
    return terms, "".join(rng.permutation(kept)) if kept else ""


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contraction, "MANY", 1)
    contraction._plan.cache_clear()


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_random_summations(dtype: type) -> None:
    rng = np.random.default_rng(0)
    products = 0
    for _ in range(500):
        terms, output = random_terms(rng)
        subscripts = f"{','.join(terms)}->{output}"
        stretched = rng.random() < 0.1  # an axis of length 1 beside a longer one
        sizes = [{**SIZES, **dict.fromkeys("ab", 1)} if stretched and i == 0 else SIZES for i in range(len(terms))]
        x = [rng.normal(size=[size[c] for c in term]).astype(dtype) for term, size in zip(terms, sizes)]
        try:
            right = np.einsum(subscripts, *x)
        except ValueError:
            continue  # a diagonal of an array that is not square
        found = contraction.einsum(*x, subscripts=subscripts)
        assert found.dtype == right.dtype
        assert np.shape(found) == np.shape(right)
        np.testing.assert_allclose(found, right, rtol=1e-4 if dtype == np.float32 else 1e-12, atol=1e-4)
        products += any(product for *_, product in contraction._plan(subscripts, tuple(a.shape for a in x)))
    assert products > 50


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(("subscripts", "shapes"), contraction._EXAMPLES, ids=str)
def test_gradients_of_products(subscripts: str, shapes: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x = [rng.normal(size=shape) for shape in shapes]
    both = []
    for many in (1, np.inf):
        monkeypatch.setattr(contraction, "MANY", many)
        contraction._plan.cache_clear()
        y, pull = tg.vjp(lambda *a: np.einsum(subscripts, *a), *x)
        both.append([y, *pull(np.cos(y))])
    for found, right in zip(*both, strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-12, atol=1e-14)


def test_what_no_product_can_do_is_numpys_error() -> None:
    a = tg.tensor(np.ones((64, 64)), requires_grad=True)
    for subscripts, x in (("ij,jk->iz", (a, a)), ("ij,jk->ik", (a, np.ones((5, 64)))), ("ij,jk,kl->z", (a, a, a))):
        with pytest.raises(ValueError, match="einsum"):
            np.einsum(subscripts, *x)


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
def test_convolutions_of_images_in_any_order_of_memory(order: tuple[int, ...]) -> None:
    """Values and gradients are NumPy's, whichever way the windows are laid out and the matrices with them."""
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=[(20, 3, 9, 8)[i] for i in order]), rng.normal(size=(5, 3, 3, 2))
    x = x.transpose(np.argsort(order))

    def windows(x: Any) -> Any:
        return sliding_window_view(np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0))), (3, 2), axis=(2, 3))

    def by_tensordot(x: Any, weight: Any) -> Any:
        return np.moveaxis(np.tensordot(windows(x), weight, axes=((1, 4, 5), (1, 2, 3))), -1, 1)

    def by_einsum(x: Any, weight: Any) -> Any:
        return np.einsum("nchwij,ocij->nohw", windows(x), weight)

    def the_other_way_round(x: Any, weight: Any) -> Any:
        return np.einsum("ocij,nchwij->nohw", weight, windows(x))

    right = by_einsum(x, weight)
    g = rng.normal(size=right.shape)
    slope = np.einsum("nohw,nchwij->ocij", g, windows(x))
    back = np.zeros((20, 3, 11, 8))
    for i, j in np.ndindex(3, 2):
        back[:, :, i : i + 9, j : j + 7] += np.einsum("nohw,oc->nchw", g, weight[:, :, i, j])
    for convolution in (by_tensordot, by_einsum, the_other_way_round):
        y, pull = tg.vjp(convolution, x, weight)
        np.testing.assert_allclose(y, right, rtol=1e-12, atol=1e-12)
        by_x, by_weight = pull(g)
        np.testing.assert_allclose(by_x, back[:, :, 1:10], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(by_weight, slope, rtol=1e-12, atol=1e-12)
        (of_data,) = tg.vjp(lambda weight, f=convolution: f(x, weight), weight)[1](g)
        np.testing.assert_allclose(of_data, slope, rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("always")
def test_many_operands_are_multiplied_pair_by_pair() -> None:
    """Four matrices take three products forward, and two for each of these backward."""
    xs = [tg.tensor(np.ones((4, 4)), requires_grad=True) for _ in range(4)]
    y = np.einsum("ab,bc,cd,de->ae", *xs)
    assert [len(node.inputs) for node in history([y])] == [2, 2, 2]
    y.sum().backward()
    for x in xs:
        np.testing.assert_array_equal(x.grad.numpy(), np.full((4, 4), 64.0))
