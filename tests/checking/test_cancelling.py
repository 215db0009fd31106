"""Right gradients that are nothing but rounding, by every method: none is called wrong, and what is wrong still is."""

from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.checking.cancelling import CANCELLING
from tinygrad_lite.random_rounding import RandomlyRounded, exactly

WAYS: dict[str, dict[str, Any]] = {
    "complex": {},
    "second order": {"order": 2},
    "forward": {"method": "forward"},
    "differences": {"method": "differences"},
}


@pytest.mark.parametrize("name", CANCELLING)
@pytest.mark.parametrize("way", [*WAYS, "from elsewhere"])
def test_what_is_nothing_but_rounding_is_not_called_wrong(name: str, way: str) -> None:
    f, draw = CANCELLING[name]
    options = WAYS.get(way, {"gradient": tg.jacobian(f)})
    tg.gradcheck(f, draw(np.random.default_rng(0)), **options)


@pytest.mark.parametrize("name", CANCELLING)
def test_a_little_more_than_rounding_is_called_wrong(name: str) -> None:
    f, draw = CANCELLING[name]
    x = draw(np.random.default_rng(0))
    wrong = np.array(tg.jacobian(f)(x))
    wrong.flat[0] += 1e-8
    assert not tg.gradcheck(f, x, gradient=wrong, raise_exception=False).ok


def test_many_entries_that_are_nothing_but_rounding_are_not_called_wrong() -> None:
    a = np.random.default_rng(0).normal(size=(40, 40))
    assert tg.gradcheck(lambda a: np.linalg.solve(a, a), a).ok


def test_rounding_at_random_moves_last_digits_of_what_is_rounded_and_no_others() -> None:
    rng = np.random.default_rng(0)
    x = np.array([3.0, 1.0, 3.0])
    rounded = RandomlyRounded(x, rng)
    assert set(exactly(np.max(rounded, axis=0)).ravel()) == {3.0}
    assert np.array_equal(exactly(np.sort(-rounded)), np.sort(-x))
    runs = np.array([exactly(np.exp(rounded) / 3) for _ in range(200)])
    deviation = np.std(runs / (np.exp(x) / 3) - 1, axis=0)
    assert np.all((deviation > 1e-16) & (deviation < 2e-15))
    narrow = RandomlyRounded(x.astype(np.float32), rng)
    assert exactly(np.exp(narrow)).dtype == np.float32
