"""Functions made out of functions."""

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.errors import InputError, ShapeError, UsageError


def test_arrays_in_arrays_out() -> None:
    gradient = tg.grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
    assert type(gradient) is np.ndarray
    np.testing.assert_array_equal(gradient, [2, 4])
    value, gradient = tg.value_and_grad(np.tanh)(0.0)
    assert (float(value), float(gradient)) == (0, 1)
    assert not isinstance(value, tg.Tensor)


def test_tensors_in_tensors_out() -> None:
    x = tg.tensor(3.0, requires_grad=True)
    gradient = tg.grad(lambda x: x**3)(x)
    assert isinstance(gradient, tg.Tensor)
    gradient.backward()
    assert float(x.grad) == 18
    constant = tg.grad(lambda x: x**3)(tg.tensor(3.0))
    assert isinstance(constant, tg.Tensor)
    assert not constant.requires_grad


def test_python_functions_of_numpy_stay_as_they_are() -> None:
    def f(x: Any, scale: Any) -> Any:
        x = np.asarray(x) if isinstance(x, list) else x
        y = np.zeros_like(x)
        y += scale * np.sin(x)
        return np.mean(y * y)

    x = np.array([0.1, 0.2])
    np.testing.assert_allclose(tg.grad(f)(x, 2.0), 4 * np.sin(x) * np.cos(x))


def test_derivatives_of_any_order() -> None:
    f = np.sin
    for expected in (np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x), np.sin):
        f = tg.grad(f)
        np.testing.assert_allclose(f(0.3), expected(0.3), rtol=1e-14)


def test_the_third_derivative_of_a_quotient() -> None:
    # the value is JAX's, in float64
    f = tg.grad(tg.grad(tg.grad(lambda x: np.sin(x) * np.exp(x) / (1 + x**2))))
    np.testing.assert_allclose(f(0.7), -0.8273992054024117, rtol=1e-12)


def test_nesting_does_not_confuse_levels() -> None:
    # d/dx (x · d/dy (x + y)) = 1
    assert float(tg.grad(lambda x: x * tg.grad(lambda y: x + y)(1.0))(2.0)) == 1
    # d/dx of 2 x² = ∂/∂y (x y²) at y = x
    assert float(tg.grad(lambda x: tg.grad(lambda y: x * y * y)(x))(3.0)) == 12


def test_a_result_that_hangs_on_an_outer_tensor_stays_a_tensor() -> None:
    w = tg.tensor(2.0, requires_grad=True)
    gradient = tg.grad(lambda x: w * x * x)(3.0)
    assert isinstance(gradient, tg.Tensor)
    gradient.backward()
    assert float(w.grad) == 6
    with tg.no_grad():
        assert float(tg.grad(lambda x: w * x * x)(3.0)) == 12


def test_outer_history_is_left_alone() -> None:
    w = tg.tensor(2.0, requires_grad=True)
    outer = w * 3
    assert float(tg.grad(lambda x: outer * x)(1.0)) == 6
    outer.backward()
    assert float(w.grad) == 3
    assert float(tg.grad(lambda x: x * 2)(1.0)) == 2


def test_containers_and_positions() -> None:
    def f(p: Any, x: Any, *, power: int = 1) -> Any:
        return np.sum(p["a"] * x[0]) ** power + p["b"][0] * x[1]

    p = {"a": np.array([1.0, 2.0]), "b": (3.0, None)}
    x = [np.array([4.0, 5.0]), 6.0]
    gradient = tg.grad(f)(p, x)
    np.testing.assert_array_equal(gradient["a"], [4, 5])
    assert gradient["b"] == (6, None)
    by_p, by_x = tg.grad(f, argnums=(0, 1))(p, x, power=2)
    np.testing.assert_array_equal(by_p["a"], [2 * 14 * 4, 2 * 14 * 5])
    np.testing.assert_array_equal(by_x[0], [2 * 14 * 1, 2 * 14 * 2])
    assert float(by_x[1]) == 3
    assert isinstance(tg.grad(f, argnums=(1,))(p, x), tuple)
    assert float(tg.grad(lambda a, b: a * b, argnums=-1)(2.0, 3.0)) == 2


def test_aux_is_handed_through() -> None:
    def f(x: Any) -> Any:
        return x * x, {"double": 2 * x, "text": "as it is"}

    (value, aux), gradient = tg.value_and_grad(f, has_aux=True)(3.0)
    assert (float(value), float(gradient), float(aux["double"]), aux["text"]) == (9, 6, 6, "as it is")
    assert not isinstance(aux["double"], tg.Tensor)
    gradient, aux = tg.grad(f, has_aux=True)(3.0)
    assert float(gradient) == 6


def test_an_argument_without_influence_has_gradient_zero() -> None:
    _, by_y = tg.grad(lambda x, y: np.sum(x), argnums=(0, 1))(np.ones(2), np.ones(3))
    np.testing.assert_array_equal(by_y, np.zeros(3))
    np.testing.assert_array_equal(tg.grad(lambda x: 3.0)(np.ones(2)), np.zeros(2))


def test_float32_stays() -> None:
    assert tg.grad(lambda x: np.sum(x * x))(np.ones(2, np.float32)).dtype == np.float32


def test_inside_no_grad_a_gradient_is_a_gradient() -> None:
    with tg.no_grad():
        assert float(tg.grad(np.exp)(0.0)) == 1


def test_nothing_is_left_behind() -> None:
    x = tg.tensor(2.0, requires_grad=True)
    tg.grad(lambda x: x * x)(x)
    assert x.grad is None
    assert x.is_leaf


def store(x: Any) -> Any:
    array = np.zeros(3)
    array.fill(x)
    return array.sum()


@pytest.mark.parametrize("leaves_the_graph", [math.sin, store, lambda x: np.float64(x) * 2, lambda x: float(x)])
def test_a_number_taken_out_of_a_function_is_an_error(leaves_the_graph: Callable[[Any], Any]) -> None:
    with pytest.raises((UsageError, ValueError)):
        tg.grad(leaves_the_graph)(0.5)
    assert float(tg.grad(lambda x: x * x.item())(3.0)) == 3  # on purpose
    assert float(tg.tensor(0.5, requires_grad=True)) == 0.5


def test_argnums_in_every_form() -> None:
    f = tg.grad(lambda a, b: a * b, argnums=[0, 1])
    assert [float(g) for g in f(2.0, 3.0)] == [3, 2]
    assert float(tg.grad(lambda a, b: a * b, argnums=np.int64(1))(2.0, 3.0)) == 2


def test_containers_keep_their_kind() -> None:
    gradient = tg.grad(lambda p: p["a"] ** 2)(defaultdict(float, a=2.0))
    assert isinstance(gradient, defaultdict)
    assert float(gradient["a"]) == 4


@pytest.mark.parametrize(
    ("attempt", "kind", "message"),
    [
        (lambda: tg.grad(lambda a, b: a * b, argnums=(0, -2))(2.0, 3.0), InputError, "twice"),
        (lambda: tg.grad(np.sin, argnums="x")(2.0), UsageError, "got 'x'"),
        (lambda: tg.grad(np.sin, has_aux=True)(2.0), UsageError, "pair"),
        (lambda: tg.grad(np.sin)(np.ones(3)), ShapeError, r"sin.*shape \(3,\)"),
        (lambda: tg.grad(np.sin)(3), UsageError, "int64"),
        (lambda: tg.grad(np.sin)(1j), UsageError, "complex"),
        (lambda: tg.grad(np.sin, argnums=1)(3.0), InputError, "argnums=1.*1 positional"),
        (lambda: tg.grad(lambda x: None)(3.0), UsageError, "NoneType"),
        (lambda: tg.grad(lambda x: (x, x))(3.0), UsageError, "tuple"),
    ],
)
def test_errors(attempt: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt()
