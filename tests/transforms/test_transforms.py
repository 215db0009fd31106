"""Functions made out of functions."""

import cmath
import gc
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import trees
from tinygrad_lite.errors import InputError, ShapeError, TinygradWarning, UsageError


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


def test_a_result_that_depends_on_an_outer_tensor_stays_a_tensor() -> None:
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


def test_what_was_computed_before_a_transform_is_not_searched() -> None:
    w = tg.tensor(2.0, requires_grad=True)
    outer = w * 3
    outer.backward()  # frees the graph behind it, so that whoever looks there fails
    by_x = tg.grad(lambda x: outer * x)(1.0)
    _, pull = tg.vjp(lambda x: x * 2, 1.0)
    for result in (by_x, *pull(outer)):
        assert isinstance(result, tg.Tensor)
        assert result.requires_grad
    assert [float(by_x), float(pull(outer)[0])] == [6, 12]


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


@pytest.mark.parametrize(
    "leaves_the_graph",
    [
        math.sin,
        store,
        lambda x: np.float64(x) * 2,
        lambda x: float(x),
        cmath.exp,
        lambda x: cmath.exp(1j * x).real,
        lambda x: complex(1j * x).imag,
    ],
)
def test_a_number_taken_out_of_a_function_is_an_error(leaves_the_graph: Callable[[Any], Any]) -> None:
    with pytest.raises((UsageError, ValueError)):
        tg.grad(leaves_the_graph)(0.5)
    assert float(tg.grad(lambda x: x * x.item())(3.0)) == 3  # on purpose
    assert float(tg.tensor(0.5, requires_grad=True)) == 0.5
    assert complex(tg.tensor(0.5, requires_grad=True) * 1j) == 0.5j


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


@dataclass
class Point:
    """Containers may be dataclasses, frozen or not."""

    x: Any
    y: Any


@dataclass(frozen=True)
class Pair:
    first: Any
    second: Point


A = np.array([0.3, -1.2, 2.0])
B = np.array([[0.5, 1.0, -0.4], [0.2, -0.3, 0.9]])


def mapped(p: Any, x: Any, scale: float = 1.0) -> Any:
    """Two results of two shapes from two arguments, one of them in containers."""
    return {"u": np.tanh(p["w"] @ x) * scale, "v": (np.sum(x * x) * p["b"],)}


def test_vjp_and_jvp_have_jax_signatures_and_are_transposes() -> None:
    primals = ({"w": B, "b": 0.5}, A)
    tangents = ({"w": np.cos(B), "b": 2.0}, np.sin(A))
    y, pull = tg.vjp(mapped, *primals, scale=3.0)
    same, change = tg.jvp(mapped, primals, tangents, scale=3.0)
    np.testing.assert_array_equal(y["u"], 3 * np.tanh(B @ A))
    np.testing.assert_array_equal(same["u"], y["u"])
    assert type(y["u"]) is np.ndarray
    assert isinstance(y["v"], tuple)
    g = {"u": np.array([1.0, -2.0]), "v": (0.7,)}
    for _ in range(2):  # as often as one likes
        by_p, by_x = pull(g)
        assert type(by_x) is np.ndarray
        forward = np.sum(g["u"] * change["u"]) + 0.7 * change["v"][0]
        reverse = np.sum(by_p["w"] * np.cos(B)) + 2 * by_p["b"] + np.sum(by_x * np.sin(A))
        np.testing.assert_allclose(forward, reverse, rtol=1e-14)


@pytest.mark.parametrize("function", [np.add, np.subtract, np.multiply, np.divide, np.maximum, np.arctan2, np.power])
def test_a_number_that_is_broadcast_to_no_entries_has_a_tangent_of_none(function: Any) -> None:
    for shape in ((0,), (2, 0), (0, 3)):
        value, change = tg.jvp(lambda x, shape=shape: function(x, np.ones(shape)), (2.0,), (1.0,))
        assert value.shape == change.shape == shape


def test_vjp_and_jvp_hand_aux_through() -> None:
    def f(x: Any) -> Any:
        return x * x, {"double": 2 * x}

    _, pull, aux = tg.vjp(f, A, has_aux=True)
    np.testing.assert_array_equal(pull(A)[0], 2 * A * A)
    assert type(aux["double"]) is np.ndarray
    _, change, aux = tg.jvp(f, (A,), (A,), has_aux=True)
    np.testing.assert_array_equal(change, 2 * A * A)
    assert not isinstance(aux["double"], tg.Tensor)


@pytest.mark.parametrize("mode", ["forward", "reverse", None])
def test_jacobian_has_the_containers_of_result_and_argument(mode: Any) -> None:
    p = {"w": B, "b": 0.5}
    by_p, by_x = (tg.jacobian(mapped, k, mode=mode)(p, A) for k in (0, 1))
    slope = 1 - np.tanh(B @ A) ** 2
    np.testing.assert_allclose(by_p["u"]["w"], np.einsum("i,ij,k->ijk", slope, np.eye(2), A), rtol=1e-14, atol=1e-16)
    np.testing.assert_array_equal(by_p["u"]["b"], np.zeros(2))
    np.testing.assert_array_equal(by_p["v"][0]["w"], np.zeros((2, 3)))
    np.testing.assert_allclose(by_p["v"][0]["b"], np.sum(A * A))
    np.testing.assert_allclose(by_x["u"], slope[:, None] * B, rtol=1e-14)
    np.testing.assert_allclose(by_x["v"][0], A)
    both = tg.jacobian(mapped, (0, 1), mode=mode)(p, A)
    np.testing.assert_array_equal(both["u"][1], by_x["u"])
    np.testing.assert_array_equal(both["u"][0]["w"], by_p["u"]["w"])


@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (2, 1)])
def test_jacobian_of_any_shape(mode: Any, shape: tuple[int, ...]) -> None:
    x = np.full(shape, 2.0)
    found = tg.jacobian(lambda x: (x[None] ** 2, 3.0), mode=mode)(x)
    np.testing.assert_array_equal(found[0], 4 * np.eye(x.size).reshape(1, *shape, *shape))
    np.testing.assert_array_equal(found[1], np.zeros(shape))
    assert tg.jacobian(np.sin, mode=mode)(np.ones(2, np.float32)).dtype == np.float32


def test_jacobian_takes_the_cheaper_mode() -> None:
    runs = []

    def f(x: Any) -> Any:
        runs.append(1)
        return np.concatenate([x] * 30) ** 2

    tg.jacobian(f)(np.ones(2))
    assert len(runs) == 1 + 1  # to see the shapes, and once for all columns
    runs.clear()
    tg.jacobian(lambda x: f(x)[:4])(np.ones(2))
    assert len(runs) == 1


def test_jacobian_with_aux_and_of_tensors() -> None:
    found, aux = tg.jacobian(lambda x: (x * x, x + 1), has_aux=True)(A)
    np.testing.assert_array_equal(found, np.diag(2 * A))
    np.testing.assert_array_equal(aux, A + 1)
    x = tg.tensor(A, requires_grad=True)
    for mode in ("forward", "reverse"):
        found = tg.jacobian(lambda x: x**3, mode=mode)(x)
        found.sum().backward()
        np.testing.assert_allclose(x.grad, 6 * A)
        x.grad = None


def test_hessian_and_its_products() -> None:
    def f(p: Any, x: Any) -> Any:
        return np.sum(np.sin(p["w"] @ x)) * p["b"] ** 2 + np.sum(x**3)

    p = {"w": B, "b": 0.5}
    full = tg.hessian(f, (0, 1))(p, A)
    assert full[0]["w"][0]["w"].shape == (2, 3, 2, 3)
    np.testing.assert_allclose(full[0]["b"][1], full[1][0]["b"], rtol=1e-14)
    v = {"w": np.cos(B), "b": 2.0}
    _, by_x = tg.hvp(f, (p, A), (v, A), (0, 1))
    expected = np.tensordot(full[1][0]["w"], v["w"], 2) + 2 * full[1][0]["b"] + full[1][1] @ A
    np.testing.assert_allclose(by_x, expected, rtol=1e-13)
    np.testing.assert_allclose(tg.hvp(f, (p, A), (A,), 1), full[1][1] @ A, rtol=1e-13)
    product, aux = tg.hvp(lambda x: (np.sum(x**3), x), (A,), (A,), has_aux=True)
    np.testing.assert_allclose(product, 6 * A * A)
    np.testing.assert_array_equal(aux, A)
    assert type(aux) is np.ndarray


# In each pair, both sides are the same number; the left one would differ if one level's perturbation leaked.
NESTED: dict[str, tuple[Callable[[], Any], float]] = {
    "jvp in jvp, by closure": (
        lambda: tg.jvp(lambda x: x * tg.jvp(lambda y: x + y, (1.0,), (1.0,))[1], (2.0,), (1.0,))[1],
        1,
    ),
    "jvp in jvp, by argument": (
        lambda: tg.jvp(lambda x: tg.jvp(lambda y: x * y * y, (x,), (1.0,))[1], (3.0,), (1.0,))[1],
        12,
    ),
    "jvp along what is differentiated": (
        lambda: tg.jvp(lambda x: tg.jvp(np.sin, (1.0,), (x * x,))[1], (3.0,), (1.0,))[1],
        6 * np.cos(1.0),
    ),
    "grad in jvp, by closure": (
        lambda: tg.jvp(lambda x: x * tg.grad(lambda y: x * y)(1.0), (2.0,), (1.0,))[1],
        4,
    ),
    "grad in jvp, by argument": (
        lambda: tg.jvp(lambda x: tg.grad(lambda y: x * y * y)(x), (3.0,), (1.0,))[1],
        12,
    ),
    "jvp in grad, by closure": (
        lambda: tg.grad(lambda x: x * tg.jvp(lambda y: x + y, (1.0,), (1.0,))[1])(2.0),
        1,
    ),
    "jvp in grad, by argument": (
        lambda: tg.grad(lambda x: tg.jvp(lambda y: x * y * y, (x,), (1.0,))[1])(3.0),
        12,
    ),
    "grad in jvp in grad": (
        lambda: tg.grad(lambda x: tg.jvp(lambda y: tg.grad(lambda z: x * y**2 * z**3)(x), (x,), (1.0,))[1])(2.0),
        24 * 2.0**3,
    ),
    "jvp in grad in jvp": (
        lambda: tg.jvp(
            lambda x: tg.grad(lambda y: tg.jvp(lambda z: x * y**2 * z**3, (y,), (x,))[1])(x), (2.0,), (1.0,)
        )[1],
        60 * 2.0**4,
    ),
    "vjp of a jvp": (
        lambda: tg.vjp(lambda x: tg.jvp(np.sin, (x,), (2.0,))[1], 1.0)[1](3.0)[0],
        -6 * np.sin(1.0),
    ),
    "jvp of a vjp, along what it is given": (
        lambda: tg.jvp(lambda g: tg.vjp(np.sin, 1.0)[1](g)[0], (2.0,), (3.0,))[1],
        3 * np.cos(1.0),
    ),
    "grad through the upstream gradient of a vjp": (
        lambda: tg.grad(lambda g: tg.vjp(np.sin, g)[1](g * g)[0])(2.0),
        4 * np.cos(2.0) - 4 * np.sin(2.0),
    ),
    "six levels": (
        lambda: tg.grad(
            lambda x: tg.jvp(tg.grad(lambda x: tg.jvp(tg.grad(tg.grad(np.sin)), (x,), (1.0,))[1]), (x,), (1.0,))[1]
        )(0.3),
        -np.sin(0.3),
    ),
    "a gradient by an outer tensor inside a jvp": (
        lambda: tg.grad(lambda a: tg.jvp(lambda x: tg.grad(lambda y: y * y * x * a)(a), (5.0,), (1.0,))[1])(3.0),
        12,
    ),
    "a constant of the inner level": (
        lambda: tg.jvp(lambda x: tg.jvp(lambda y: x, (1.0,), (1.0,))[1], (2.0,), (1.0,))[1],
        0,
    ),
}


PULLED = tg.vjp(np.sin, 1.0)[1]
"""A pullback of a transform that has long returned."""

NESTED |= {
    "a pullback from before, in grad": (lambda: tg.grad(lambda g: PULLED(g)[0] * g)(2.0), 4 * np.cos(1.0)),
    "a pullback from before, in vjp": (lambda: tg.vjp(lambda g: PULLED(g)[0], 2.0)[1](1.0)[0], np.cos(1.0)),
    "a pullback from before, in jvp": (lambda: tg.jvp(lambda g: PULLED(g)[0], (2.0,), (3.0,))[1], 3 * np.cos(1.0)),
    "a pullback from before, in jacobian": (lambda: tg.jacobian(lambda g: PULLED(g)[0])(2.0), np.cos(1.0)),
    "detached in reverse over reverse": (lambda: tg.grad(tg.grad(lambda x: x * x.detach()))(3.0), 0),
    "detached in forward over reverse": (lambda: tg.jvp(tg.grad(lambda x: x * x.detach()), (3.0,), (1.0,))[1], 0),
    "no_grad in reverse mode": (lambda: tg.grad(constant_square)(3.0), 9),
    "no_grad in forward mode": (lambda: tg.jvp(constant_square, (3.0,), (1.0,))[1], 9),
}


def constant_square(x: Any) -> Any:
    with tg.no_grad():
        square = x * x
    return x * square


@pytest.mark.parametrize(("attempt", "expected"), NESTED.values(), ids=list(NESTED))
def test_levels_do_not_leak(attempt: Callable[[], Any], expected: float) -> None:
    found = attempt()
    assert not isinstance(found, tg.Tensor)
    np.testing.assert_allclose(float(found), expected, rtol=1e-13)


def test_forward_mode_keeps_a_result_that_depends_on_an_outer_tensor() -> None:
    w = tg.tensor(2.0, requires_grad=True)
    y, change = tg.jvp(lambda x: w * x * x, (3.0,), (1.0,))
    (y + change).backward()
    assert float(w.grad) == 9 + 6
    with tg.no_grad():
        assert type(tg.jvp(lambda x: x * x, (3.0,), (1.0,))[1]) is np.float64
    y, change = tg.jvp(lambda x: x * x, (tg.tensor(3.0),), (1.0,))
    assert isinstance(change, tg.Tensor)
    assert not change.requires_grad


def test_a_function_may_look_at_its_numbers_in_either_mode() -> None:
    def f(x: Any) -> Any:
        shown = f"{x[0]:.2f} {int(x[1])} {x[0].item()} {x.numpy()[2]}"
        return np.sum(x * len(shown)) if x[0] > 0 and (x > -9).all() else None

    expected = np.full(3, len("0.30 -1 0.3 2.0"))
    np.testing.assert_array_equal(tg.grad(f)(A), expected)
    assert float(tg.jvp(f, (A,), (np.ones(3),))[1]) == expected.sum()
    assert repr(tg.jvp(lambda x: (x, repr(x)), (1.0,), (2.0,), has_aux=True)[2]).startswith("'Dual(")


def test_containers_may_be_dataclasses() -> None:
    gradient = tg.grad(lambda p: p.first * p.second.x * p.second.y)(Pair(2.0, Point(3.0, 5.0)))
    assert isinstance(gradient, Pair)
    assert (float(gradient.first), float(gradient.second.x), float(gradient.second.y)) == (15, 10, 6)
    y, _ = tg.vjp(lambda x: Point(x, (2 * x, None)), 3.0)
    assert (float(y.x), float(y.y[0]), y.y[1]) == (3, 6, None)
    assert not isinstance(y.y[0], tg.Tensor)


def test_aux_is_free_of_tangents_and_no_grad_of_histories() -> None:
    _, _, aux = tg.jvp(lambda x: (x * x, {"double": 2 * x}), (A,), (A,), has_aux=True)
    assert type(aux["double"]) is np.ndarray
    w = tg.tensor(2.0, requires_grad=True)
    with tg.no_grad():
        for value in (
            tg.value_and_grad(lambda x: w * x)(3.0)[0],
            tg.vjp(lambda x: w * x, 3.0)[0],
            *tg.jvp(lambda x: w * x, (3.0,), (1.0,)),
        ):
            assert type(value) is np.float64


def test_a_dataclass_may_leave_fields_unset() -> None:
    @dataclass
    class Partial:
        x: Any
        later: Any = field(init=False)

    assert float(tg.grad(lambda p: p.x**2)(Partial(3.0)).x) == 6


def test_transforms_leave_no_cycles_behind() -> None:
    gc.freeze()  # what other tests have left behind is not counted
    gc.disable()
    try:
        for run in (
            lambda: tg.grad(lambda x: np.sum(np.sin(x) ** 2))(A),
            lambda: tg.jvp(np.sin, (A,), (A,)),
            lambda: tg.hessian(lambda x: np.sum(x**3))(A),
            lambda: tg.grad(tg.checkpoint(lambda x: np.sum(np.sin(x))))(A),
        ):
            run()
            before = len(gc.get_objects())
            for _ in range(5):
                run()
            assert len(gc.get_objects()) - before < 5
    finally:
        gc.enable()


def test_keyword_arguments_are_passed_through() -> None:
    def f(x: Any, *, power: int) -> Any:
        return x**power

    assert float(tg.grad(f)(2.0, power=3)) == 12
    assert float(tg.jvp(f, (2.0,), (1.0,), power=3)[1]) == 12
    assert float(tg.vjp(f, 2.0, power=3)[1](1.0)[0]) == 12
    assert float(tg.jacobian(f)(2.0, power=3)) == 12
    assert float(tg.hessian(f)(2.0, power=3)) == 12
    assert float(tg.hvp(f, (2.0,), (1.0,), power=3)) == 12


def leaked() -> Any:
    """A value that a function put aside while tangents were pushed through it."""
    kept: list[Any] = []
    tg.jvp(lambda x: (kept.append(x * 2), x)[1], (3.0,), (1.0,))
    return kept[0]


class Changing:
    """A function whose result changes its containers from call to call."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: Any) -> Any:
        self.calls += 1
        return (x,) * self.calls


@pytest.mark.parametrize(
    ("attempt", "kind", "message"),
    [
        (lambda: tg.jvp(np.sin, 1.0, 1.0), UsageError, "jvp of sin takes tuples"),
        (lambda: tg.hvp(np.sin, 1.0, 1.0), UsageError, "hvp of sin takes tuples"),
        (lambda: tg.jvp(np.sin, (A,), (1.0,)), ShapeError, r"a tangent of shape \(\) for a value of shape \(3,\)"),
        (
            lambda: tg.jvp(np.sin, (A,), (A, A)),
            UsageError,
            "jvp of sin takes one tangent .* of 1 arguments, got 2",
        ),
        (lambda: tg.jvp(lambda p: p[0], ((A, A),), ((A,),)), UsageError, "the containers do not match at"),
        (lambda: tg.hvp(np.sum, (A,), (A, A)), UsageError, "hvp of sum takes one tangent"),
        (lambda: tg.grad(3.0), UsageError, "a function, got float"),
        (lambda: tg.jvp(3.0, (1.0,), (1.0,)), UsageError, "a function, got float"),
        (lambda: tg.grad(lambda x: np.array(1j))(3.0), UsageError, "returned complex128"),
        (
            lambda: tg.jvp(lambda x: np.max(np.multiply(x, 1j)), (2.0,), (1.0,)),
            UsageError,
            "max .* only for real numbers",
        ),
        (lambda: tg.jvp(lambda x: x * 1j, (2.0,), (1.0,)), UsageError, "must return real numbers"),
        (lambda: tg.vjp(lambda x: x * 1j, 2.0), UsageError, "must return real numbers"),
        (lambda: tg.jvp(np.sin, (3,), (1.0,)), UsageError, "int64"),
        (lambda: tg.jvp(lambda x: "text", (3.0,), (1.0,)), UsageError, "returned str"),
        (lambda: tg.jvp(math.sin, (3.0,), (1.0,)), UsageError, "np.sin for"),
        (lambda: tg.jvp(lambda x: np.array([x, x]), (3.0,), (1.0,)), UsageError, "np.stack"),
        (lambda: tg.jvp(lambda x: 1.0 if x else 2.0, (A,), (A,)), InputError, r"truth .* shape \(3,\)"),
        (lambda: tg.vjp(np.sin, A)[1](1.0), ShapeError, r"a gradient of shape \(\) for a value of shape \(3,\)"),
        (
            lambda: tg.vjp(lambda x: {"y": x}, A)[1]({"z": A}),
            UsageError,
            r"expected dict of \['y'\], got dict of \['z'\]",
        ),
        (
            lambda: tg.vjp(lambda x: {"y": (x, x)}, A)[1]({"y": A}),
            UsageError,
            r"at \['y'\]: expected tuple .*, got ndarray",
        ),
        (lambda: tg.jacobian(np.sin, mode="backward")(A), InputError, "backward"),
        (lambda: tg.jacobian(lambda x: "text")(A), UsageError, "returned str"),
        (lambda: tg.jacobian(Changing(), mode="forward")(A), UsageError, "the containers do not match"),
        (lambda: tg.hessian(lambda x: x)(A), ShapeError, "must return one number"),
        (lambda: tg.hvp(np.sin, (1.0,), (A,)), ShapeError, r"a tangent of shape \(3,\)"),
        (lambda: tg.jacobian(np.sin, argnums=2)(A), InputError, "argnums=2"),
        (lambda: tg.jvp(np.sin, (1.0,), (1j,)), UsageError, "a tangent must be real"),
        (lambda: tg.vjp(np.sin, 1.0)[1](1j), UsageError, "a gradient must be real"),
        (lambda: tg.jvp(lambda x: (x * x).backward(), (3.0,), (1.0,)), UsageError, "use tg.grad"),
        (lambda: leaked() * 2, UsageError, "a forward-mode transform that has ended"),
    ],
)
def test_errors_of_the_other_transforms(attempt: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt()


def test_an_argument_without_influence_leaves_no_history() -> None:
    outer, x = tg.tensor([1.0, 2.0], requires_grad=True), np.array([3.0, 4.0])
    value, gradients = tg.value_and_grad(lambda a, b: np.sum(b * b), (0, 1))(outer, x)
    assert not value.requires_grad
    assert [g.requires_grad for g in gradients] == [False, False]
    value, gradients = tg.value_and_grad(lambda a, b: np.sum(a * b), (0, 1))(outer, x)
    assert value.requires_grad
    np.sum(gradients[0]).backward()
    assert outer.grad is None
    np.sum(gradients[1]).backward()
    np.testing.assert_array_equal(outer.grad, [1, 1])


def _into_an_entry(x: Any) -> Any:
    y = np.zeros(3)
    y[0] = x[0]
    return np.sum(y)


def _into_a_part(x: Any) -> Any:
    y = np.zeros(3)
    y[:2] = x
    return np.sum(y)


@pytest.mark.parametrize("write", [_into_an_entry, _into_a_part])
@pytest.mark.parametrize(
    "transform",
    [tg.grad, tg.hessian, lambda f: lambda x: tg.jvp(f, (x,), (x,))],
    ids=["grad", "hessian", "jvp"],
)
def test_what_would_become_an_entry_of_a_plain_array_is_refused_in_our_words_at_the_users_line(
    write: Any, transform: Any
) -> None:
    """NumPy puts an error of its own in front of ours, about a sequence."""
    with pytest.raises(UsageError, match=r"array\[i\] = tensor would lose") as caught:
        transform(write)(np.ones(2))
    assert write.__name__ in [frame.name for frame in caught.traceback]
    assert tg.grad(tg.functionalize(write))(np.ones(2))[0] == 1  # as the message advises


def test_an_error_of_the_users_keeps_its_cause() -> None:
    def f(x: Any) -> Any:
        try:
            return x["a"]
        except IndexError as error:
            raise ValueError("no such column") from error

    with pytest.raises(ValueError, match="no such column"):
        tg.grad(f)(np.ones(2))


TABLE = np.array([4.0, 5.0, 6.0])


@cache
def of_a_table() -> Any:
    def rule(g: Any, y: Any, x: Any) -> Any:
        return TABLE if isinstance(g, (np.ndarray, np.generic)) and g == 1 else g * TABLE

    return tg.primitive(lambda x: float(np.sum(x) * 0), rule, name="test_of_a_table")


# a name: a function of two arrays, whose gradients are arrays that others may hold, too
SHARING: dict[str, Callable[[Any, Any], Any]] = {
    "new arrays": lambda x, y: np.sum(x**2 * y),
    "the same for both": lambda x, y: np.sum(np.tanh(x + y)),
    "an outside array": lambda x, y: np.sum(TABLE * x) + TABLE @ y,
    "the other argument": lambda x, y: x @ y,
    "views of one array": lambda x, y: np.sum(np.concatenate([x, y]) ** 2),
    "turned": lambda x, y: np.sum(x[::-1] * y),
    "spread": lambda x, y: np.sum(x) + np.mean(y),
    "none": lambda x, y: np.sum(y),
    "a rule's own array": lambda x, y: of_a_table()(x) + np.sum(y),
}
DERIVATIVES: dict[str, Callable[..., Any]] = {
    "grad": lambda f, x, y: tg.grad(f, (0, 1))(x, y),
    "value_and_grad": lambda f, x, y: tg.value_and_grad(f, (0, 1))(x, y)[1],
    "vjp": lambda f, x, y: tg.vjp(f, x, y)[1](np.array(1.0)),
    "jacobian": lambda f, x, y: tg.jacobian(f, (0, 1))(x, y),
    "forward jacobian": lambda f, x, y: tg.jacobian(f, (0, 1), mode="forward")(x, y),
    "hessian": lambda f, x, y: tg.hessian(f, (0, 1))(x, y),
    "hvp": lambda f, x, y: tg.hvp(f, (x, y), (y, x), argnums=(0, 1)),
    "tangents": lambda f, x, y: tg.jvp(lambda x, y: (x, x + y, x[::-1], f(x, y)), (x, y), (y, x))[1],
}


@pytest.mark.parametrize("kind", DERIVATIVES)
@pytest.mark.parametrize("sharing", SHARING)
def test_a_derivative_is_the_callers_own_array(kind: str, sharing: str) -> None:
    f, derivative = SHARING[sharing], DERIVATIVES[kind]
    x, y = np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.25, 0.125])
    before = [x.copy(), y.copy(), TABLE.copy()]
    found = trees.leaves(derivative(f, x, y))
    expected = [np.array(d) for d in found]
    for k, d in enumerate(found):
        if isinstance(d, np.ndarray):
            d *= 0.5
            d[...] = -1.0
        for other, e in zip(found[k + 1 :], expected[k + 1 :]):
            np.testing.assert_array_equal(other, e)
    for array, old in zip([x, y, TABLE], before):
        np.testing.assert_array_equal(array, old)
        array *= 1.0  # which nobody made read-only
    for d, e in zip(trees.leaves(derivative(f, x, y)), expected):
        np.testing.assert_array_equal(d, e)


def test_writing_into_an_upstream_gradient_changes_no_gradient() -> None:
    for f in (lambda x: x, lambda x: x + 1, lambda x: x[::-1], lambda x: np.reshape(x, (3, 1))):
        y, pull = tg.vjp(f, np.ones(3))
        g = np.ones(y.shape)
        (pulled,) = pull(g)
        g[...] = 7.0
        np.testing.assert_array_equal(pulled, np.ones(3))
        pulled[...] = 9.0
        np.testing.assert_array_equal(g, np.full(y.shape, 7.0))


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_a_jacobian_of_no_entries_has_the_dtype_of_others(mode: Any) -> None:
    def f(x: Any, w: Any) -> Any:
        return np.concatenate([x * 2, w[:0]]), x * 3

    for wide, narrow in ((np.float64, np.float32), (np.float32, np.float64)):
        of_some, of_none = (
            tg.jacobian(f, (0, 1), mode=mode)(np.ones(count, narrow), np.ones(2, wide)) for count in (1, 0)
        )
        for some, none in zip(of_some, of_none, strict=True):
            assert [block.dtype for block in none] == [block.dtype for block in some]


def _updated(x: Any) -> Any:
    w = tg.tensor(np.ones(3), requires_grad=True)
    with tg.no_grad():
        w -= 0.1 * x
    return np.sum(w * w)


def _learned(x: Any) -> Any:
    """The loop that everybody knows, in a function of its rate."""
    w = tg.tensor(np.ones(3), requires_grad=True)
    for _ in range(2):
        np.sum(w * w).backward()
        with tg.no_grad():
            w -= x * w.grad
        w.grad = None
    return np.sum(w.detach() ** 2)


CUT: dict[str, Callable[[Any], Any]] = {
    "a leaf": _updated,
    "a rate": _learned,
    "a decorator": tg.no_grad()(lambda x: np.sum(x * x)),
    "a generator": lambda x: sum(_turns_without_a_graph(x)),
    "inside another transform": lambda x: np.sum(tg.grad(lambda z: np.sum(z * z) + _updated(x))(np.ones(3))),
}


def _turns_without_a_graph(x: Any) -> Iterator[Any]:
    with tg.no_grad():
        for k in range(2):
            yield np.sum(k * x)


@pytest.mark.parametrize("cut", CUT)
@pytest.mark.parametrize(
    "differentiate",
    [
        lambda f, x: tg.grad(f)(x),
        lambda f, x: tg.vjp(f, x)[1](1.0)[0],
        lambda f, x: tg.jvp(f, (x,), (x,))[1],
        lambda f, x: tg.jacobian(f)(x),
        lambda f, x: tg.compile(tg.grad(f))(x),
    ],
)
def test_a_gradient_that_no_grad_made_0_warns(cut: str, differentiate: Callable[[Any, Any], Any]) -> None:
    """In the block, the new value of a leaf has no history; outside, `-=` refuses it."""
    with pytest.warns(TinygradWarning, match=r"computes under tg\.no_grad\(\), where values lose their histories"):
        assert not np.any(differentiate(CUT[cut], np.full(3, 0.5)))


def test_a_constant_under_no_grad_beside_a_gradient_is_no_reason_to_warn() -> None:
    def f(x: Any) -> Any:
        with tg.no_grad():
            scale = np.max(np.abs(x))
        return np.sum(x / scale)

    np.testing.assert_array_equal(tg.grad(f)(np.array([1.0, -2.0])), [0.5, 0.5])
    np.testing.assert_array_equal(tg.grad(lambda x: 3.0)(np.ones(2)), np.zeros(2))


def test_a_compiled_function_under_no_grad_in_a_transform_is_recorded_once() -> None:
    compiled = tg.compile(lambda w: np.sum(w * w))

    def f(x: Any) -> Any:
        with tg.no_grad():
            constants = [compiled(np.arange(3.0)) for _ in range(3)]
        return np.sum(x * sum(constants))

    for _ in range(3):
        np.testing.assert_array_equal(tg.grad(f)(np.ones(2)), [15.0, 15.0])
    assert "1 program" in repr(compiled)
