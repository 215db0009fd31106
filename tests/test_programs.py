"""The programs that `python -m benchmarks.programs` times: each gradient against a difference along one direction."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.programs import table  # noqa: F401  it fills the registry
from benchmarks.programs.contest import PROGRAMS, Contest, HessianProduct, Modules, OneNumber, made
from tests.derivatives import numerical_gradients
from tinygrad_lite.trees import leaves, map_leaves


def loss(contest: Contest, parameters: Any) -> float:
    subject = parameters
    if isinstance(contest, Modules):
        subject = contest.model(contest.dtype)
        subject.load_state_dict(parameters, strict=False)  # running statistics start anew
    return float(contest.in_numpy(subject, *contest.data))


def along(function: Any, parameters: Any, direction: Any) -> float:
    """The derivative of a function of the parameters along a direction, by differences."""

    def moved(t: Any) -> float:
        return function(map_leaves(lambda x, change: x + t * change, parameters, direction))

    return float(numerical_gradients(moved, [0.0], [0])[0])


def product(a: Any, b: Any) -> float:
    return float(sum(np.sum(x * y) for x, y in zip(leaves(a), leaves(b), strict=True)))


def norm(a: Any) -> float:
    return float(np.sqrt(product(a, a)))


@pytest.mark.long
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_gradient_is_right_along_a_random_direction(name: str) -> None:
    contest = replace(made(name), dtype=np.float64)
    result: Any = contest.ours()()
    if isinstance(contest, OneNumber):
        gradient = result
    elif isinstance(contest, HessianProduct):
        gradient, _ = result
    else:
        value, gradient = result
        np.testing.assert_allclose(value, loss(contest, contest.parameters), rtol=1e-12)
    rng = np.random.default_rng(1)
    direction = map_leaves(lambda x: rng.normal(size=np.shape(x)), contest.parameters)
    # so short that no program crosses a kink
    direction = map_leaves(lambda x: 1e-2 * x / norm(direction), direction)
    expected = along(lambda parameters: loss(contest, parameters), contest.parameters, direction)
    assert abs(product(gradient, direction) - expected) <= 1e-7 * norm(gradient) * norm(direction)


@pytest.mark.parametrize("name", [name for name in PROGRAMS if isinstance(made(name), HessianProduct)])
def test_the_hessian_times_a_vector_is_right_along_a_random_direction(name: str) -> None:
    contest = made(name)
    assert isinstance(contest, HessianProduct)
    _, hessian_product = contest.ours()()  # type: ignore[misc]
    weight = np.random.default_rng(1).normal(size=hessian_product.shape)

    def gradient(parameters: Any) -> float:
        return product(weight, replace(contest, parameters=parameters).ours()()[0])  # type: ignore[index]

    expected = along(gradient, contest.parameters, 1e-2 * contest.vector)
    np.testing.assert_allclose(1e-2 * product(weight, hessian_product), expected, rtol=1e-6)
