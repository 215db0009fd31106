"""Complex numbers on the way from real numbers to a real result: every operation that takes them, by differences."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_lite as tg
from tests.derivatives import assert_gradients
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import operations
from tinygrad_lite.errors import TinygradError, UsageError
from tinygrad_lite.testing import Call, cotangents, inputs_of

OF_EQUATIONS = ["solve_sylvester", "solve_continuous_are", "solve_discrete_are"]
"""Whose kinks are known for real matrices; linear/test_of_scipy.py tries them on complex ones that are well apart."""
TAKING = [op for op in operations() if op.vjps and op.takes_complex and op.name not in ("cast", *OF_EQUATIONS)]
REFUSING = [op for op in operations() if op.vjps and not op.takes_complex]

WITH_PHASES = ["eigh", "svd", "eig"]  # of whose vectors a result must not depend
REAL_ARGUMENTS = {"rfft": [0], "interp": [0, 1], "composed": [0, 3], "quotient": [1, 2]}

Function = tuple[Callable[..., Any], list[Any]]


def through_complex(call: Call, are_complex: list[int], rng: np.random.Generator) -> Function:
    """A real function of real and imaginary parts: an operation of complex numbers, and a weighted sum of its result.

    The arguments at the positions `are_complex` are complex; the others with a derivative are real.
    """
    variables = [call.arrays[i] for i in call.differentiable]
    sizes = [np.shape(call.arrays[i]) for i in are_complex]
    # away from the real axis, on which some functions jump, and from the ends of other cuts at ±i
    variables += [rng.uniform(0.2, 0.6, size) * rng.choice([-1, 1], size) for size in sizes]

    def f(*parts: Any) -> Any:
        arrays = list(call.arrays)
        for i, x in zip(call.differentiable, parts):
            arrays[i] = x
        for i, x in zip(are_complex, parts[len(call.differentiable) :]):
            arrays[i] = arrays[i] + 1j * x
        y = call.value(*arrays)
        weights = np.random.default_rng(0).normal(size=(2, *np.shape(y)))
        if call.op.name in WITH_PHASES:
            return np.sum(weights[0] * np.abs(y))
        return np.sum(weights[0] * np.real(y)) + np.sum(weights[1] * np.imag(y))

    return f, variables


@st.composite
def functions(draw: st.DrawFn, op: Op) -> Function:
    call = draw(inputs_of(op))
    may_be = [i for i in call.differentiable if i not in REAL_ARGUMENTS.get(op.name, [])]
    are_complex = sorted(draw(st.permutations(may_be))[: draw(st.integers(1, len(may_be)))] if may_be else [])
    return through_complex(call, are_complex, np.random.default_rng(draw(st.integers(0, 9))))


@pytest.mark.parametrize("op", TAKING, ids=str)
@given(data=st.data())
def test_first_order_and_forward_mode(op: Op, data: st.DataObject) -> None:
    f, variables = data.draw(functions(op))
    places = tuple(range(len(variables)))
    gradients = tg.grad(f, places)(*variables)
    assert [g.dtype for g in gradients] == [np.asarray(x).dtype for x in variables]
    assert_gradients(gradients, f, variables, places, 1e-7)
    tangents = [data.draw(cotangents(np.asarray(x))) for x in variables]
    _, change = tg.jvp(f, tuple(variables), tuple(tangents))
    expected = sum(np.sum(g * t) for g, t in zip(gradients, tangents))
    np.testing.assert_allclose(change, expected, rtol=1e-9, atol=1e-9 * (1 + abs(expected)))


@pytest.mark.parametrize("op", TAKING, ids=str)
@given(data=st.data())
def test_second_order(op: Op, data: st.DataObject) -> None:
    f, variables = data.draw(functions(op))
    places = tuple(range(len(variables)))
    weights = [data.draw(cotangents(np.asarray(x))) for x in variables]

    def first(*x: Any) -> Any:
        return sum(np.sum(weight * gradient) for weight, gradient in zip(weights, tg.grad(f, places)(*x)))

    found = tg.grad(first, places)(*variables)
    assert_gradients(found, first, variables, places, 1e-6)
    for a, b in zip(tg.hvp(f, tuple(variables), tuple(weights), places), found):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8 * (1 + np.max(np.abs(b), initial=0)))


def sum_of_parts(z: Any) -> Any:
    return np.real(z) + np.imag(z)


@pytest.mark.parametrize(
    "op",
    [
        tg.elementwise(sum_of_parts, 1, name="constant_slope"),
        tg.elementwise(sum_of_parts, lambda y, z: 1 + 0 * y, name="slope"),
        tg.primitive(sum_of_parts, lambda g, y, z: g, name="rule"),
        tg.elementwise(np.exp, lambda y, z: np.abs(y), name="replaced"),  # NumPy's takes them, but this rule does not
    ],
    ids=str,
)
def test_a_rule_gets_complex_numbers_only_if_it_says_so(op: Op) -> None:
    for derivative in (tg.grad, lambda f: lambda x: tg.jvp(f, (x,), (1.0,))):
        with pytest.raises(UsageError, match=f"derivative of {op} is known here only for real numbers"):
            derivative(lambda x: np.abs(op(x * (1 + 2j))))(2.0)


@pytest.mark.long
@pytest.mark.parametrize("op", REFUSING, ids=str)
@given(data=st.data())
def test_what_takes_no_complex_numbers_refuses_them(op: Op, data: st.DataObject) -> None:
    """Or NumPy refuses them, or the operation is composed of others that take them."""
    f, variables = data.draw(functions(op))
    places = tuple(range(len(variables)))
    try:
        gradients = tg.grad(f, places)(*variables)
    except (TinygradError, TypeError, ValueError, np.exceptions.ComplexWarning):
        return
    assert_gradients(gradients, f, variables, places, 1e-6)
