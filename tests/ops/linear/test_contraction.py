"""Summations as matrix products: as NumPy's loop, whatever the axes."""

import numpy as np
import pytest

import tinygrad_lite as tg
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
