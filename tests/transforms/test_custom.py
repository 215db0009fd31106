"""Functions whose gradient is stopped, given by hand, or recomputed."""

from collections import deque
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.errors import GraphError, UsageError

X = np.array([0.3, -1.2, 2.0])


def test_stop_gradient_stops_every_mode_and_keeps_containers() -> None:
    assert float(tg.jvp(lambda x: x * tg.stop_gradient(x), (3.0,), (1.0,))[1]) == 3
    assert float(tg.grad(tg.grad(lambda x: x**2 * tg.stop_gradient(x)))(3.0)) == 6
    stopped = tg.stop_gradient({"a": (tg.tensor(1.0, requires_grad=True), X), "b": None})
    assert not stopped["a"][0].requires_grad
    assert stopped["a"][1] is X
    assert stopped["b"] is None
    # d/dx of d/dy (x y) at a y that is x, stopped: the perturbation of x stops, the inner gradient does not
    assert float(tg.grad(lambda x: tg.grad(lambda y: x * y)(tg.stop_gradient(x)))(3.0)) == 1


class Held:
    """An object with a value."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __call__(self) -> Any:
        return self.value


class Color(Enum):
    """A setting."""

    RED = 1


HOLDERS: dict[str, Callable[[Any], Any]] = {
    "an object": Held,
    "a set": lambda x: {x},
    "a deque": lambda x: deque([x]),
    "the values of a dict": lambda x: {"x": x}.values(),
    "a generator": lambda x: (value for value in [x]),
    "a distribution": lambda x: tg.distributions.Normal(x, 1.0),
    "a module": lambda x: nn.Linear(3, 1),
    "a method": lambda x: Held(x).__call__,
    "a partial": lambda x: partial(np.multiply, x),
}


def test_stop_gradient_refuses_what_may_hold_a_value_out_of_its_sight() -> None:
    """Their gradients passed."""
    for hold in HOLDERS.values():
        for attempt in (
            lambda x, hold=hold: tg.stop_gradient(hold(x)),
            lambda x, hold=hold: tg.stop_gradient({"a": [x, hold(x)]}),
        ):
            with pytest.raises(UsageError, match="stop_gradient does not see the values inside"):
                tg.grad(attempt)(X)


def test_stop_gradient_keeps_what_holds_no_values() -> None:
    """Settings, names and generators travel with the values of a batch or a state."""
    kept = ["linear", b"", 3, 2.5, 1j, Fraction(1, 3), Decimal(1), True, None, range(3), Color.RED, Path("a")]
    kept += [date(2020, 1, 1), timedelta(1), np.tanh, len, np.exp, np.float32, np.dtype(float)]
    kept += [np.datetime64("2020"), np.str_("a"), np.random.default_rng(0), lambda x: x]
    assert tg.stop_gradient(kept) == kept


def test_a_rule_is_never_passed_over_because_the_value_comes_in_another_way() -> None:
    """The gradient of the value itself came out, not that of the rule."""
    x, module = tg.tensor(X, requires_grad=True), nn.Linear(3, 1)
    with_rule = tg.custom_gradient(lambda held: (held() * 2, lambda g: 100 * g))
    through_module = tg.custom_gradient(lambda module, x: (module(x), lambda g: (None, 100 * g)))
    from_outside = tg.custom_gradient(lambda y: (x * y, lambda g: 100 * g))
    for attempt in (
        lambda: with_rule(Held(x)),
        lambda: tg.grad(lambda x: np.sum(with_rule(Held(x))))(X),
        lambda: tg.jvp(lambda x: with_rule(Held(x)), (X,), (X,)),
        lambda: through_module(module, X),
        lambda: tg.grad(lambda module: np.sum(through_module(module, X)))(module),
        lambda: from_outside(X),
    ):
        with pytest.raises(UsageError, match="is not an argument: make it an argument of its own"):
            attempt()
    with tg.no_grad():
        np.testing.assert_array_equal(with_rule(Held(x)).numpy(), 2 * X)


@tg.custom_gradient
def twice_as_steep(x: Any) -> Any:
    return np.sin(x), lambda g: 2 * g * np.cos(x)


@tg.custom_gradient
def product(p: Any, scale: float, y: Any) -> Any:
    """Two results, containers, and an argument without a gradient."""
    a, b = p["a"], p["b"]
    return {"ab": a * b, "y": y * scale}, lambda g: (
        {"a": 10 * g["ab"] * b, "b": 10 * g["ab"] * a},
        None,
        100 * g["y"] * scale,
    )


def test_custom_gradient_is_the_rule_in_both_modes_and_all_orders() -> None:
    np.testing.assert_allclose(twice_as_steep(X), np.sin(X))
    np.testing.assert_allclose(tg.grad(lambda x: twice_as_steep(x).sum())(X), 2 * np.cos(X))
    np.testing.assert_allclose(tg.jvp(twice_as_steep, (X,), (X,))[1], 2 * np.cos(X) * X)
    second = tg.grad(lambda x: tg.grad(lambda x: twice_as_steep(x).sum())(x).sum())(X)
    np.testing.assert_allclose(second, -2 * np.sin(X))
    forward_over_reverse = tg.jvp(tg.grad(lambda x: twice_as_steep(x).sum()), (X,), (X,))[1]
    np.testing.assert_allclose(forward_over_reverse, -2 * np.sin(X) * X)
    np.testing.assert_allclose(tg.hvp(lambda x: twice_as_steep(x).sum(), (X,), (X,)), -2 * np.sin(X) * X)


def scaled(w: Any) -> Callable[[Any], Any]:
    """sin x with the gradient w cos x, whose rule reads w."""
    return tg.custom_gradient(lambda x: (np.sin(x), lambda g: g * (w * np.cos(x))))


def _passed(y: Any, create_graph: bool) -> Any:
    """The gradient by a pass to a leaf."""
    x = tg.tensor(1.0, requires_grad=True)
    y(x).backward(create_graph=create_graph)
    return x.grad


SLOPES: dict[str, Callable[[Any], Any]] = {
    "grad": lambda w: tg.grad(scaled(w))(1.0),
    "grad of a tensor": lambda w: tg.grad(scaled(w))(tg.tensor(1.0)),
    "value_and_grad": lambda w: tg.value_and_grad(scaled(w))(1.0)[1],
    "jvp": lambda w: tg.jvp(scaled(w), (1.0,), (1.0,))[1],
    "vjp": lambda w: tg.vjp(scaled(w), 1.0)[1](1.0)[0],
    "checkpoint": lambda w: tg.grad(tg.checkpoint(lambda x: 1 * scaled(w)(x)))(1.0),
    "pass": lambda w: _passed(scaled(w), False),
    "pass with a graph": lambda w: _passed(scaled(w), True),
}


@pytest.mark.parametrize("how", SLOPES)
def test_a_rule_may_read_what_is_no_argument_and_is_differentiated_there_too(how: str) -> None:
    """It was refused to first order, too, as in an inner loop whose rule reads the weights outside."""
    slope, cos = SLOPES[how], np.cos(1.0)
    np.testing.assert_allclose(float(slope(2.0)), 2 * cos)
    for transform in (tg.grad, lambda f: lambda w: tg.jvp(f, (w,), (1.0,))[1]):
        if how.startswith("pass") and transform is not tg.grad:  # forward mode has no backward()
            continue
        np.testing.assert_allclose(float(transform(slope)(2.0)), cos)
        np.testing.assert_allclose(float(transform(lambda w: slope(w) ** 2)(2.0)), 4 * cos**2)
    w = tg.tensor(2.0, requires_grad=True)
    result = slope(w)
    np.testing.assert_allclose(float(result), 2 * cos)
    if how == "pass":  # which has no graph of its gradients
        assert not result.requires_grad
    else:
        w.grad = None
        (result**2).backward()
        np.testing.assert_allclose(float(w.grad), 4 * cos**2)


def _without_grad(slope: Any, g: Any) -> Any:
    with tg.no_grad():
        return slope * g


HIDING: dict[str, Callable[[Any, Any], Any]] = {
    "stop_gradient": lambda slope, g: tg.stop_gradient(slope * g),
    "no_grad": _without_grad,
    "no g at all": lambda slope, g: slope,
    "of other values, too": lambda slope, g: slope * tg.stop_gradient(g - np.mean(g)),
}
DECLARED: dict[str, Callable[[Callable[[Any, Any], Any]], Callable[[Any], Any]]] = {
    "custom_gradient": lambda rule: tg.custom_gradient(lambda x: (np.sin(x), lambda g: rule(np.cos(x), g))),
    "primitive": lambda rule: tg.primitive(np.sin, lambda g, y, x: rule(np.cos(x), g), name="by_rule"),
    "second argument": lambda rule: (
        lambda x: tg.custom_gradient(lambda w, x: (w * np.sin(x), lambda g: (g * np.sin(x), rule(w * np.cos(x), g))))(
            x / x, x
        )
    ),
}


@pytest.mark.parametrize("declared", DECLARED)
def test_forward_mode_refuses_a_rule_that_hides_its_upstream_gradient(declared: str) -> None:
    """Its derivative was 0 in forward mode, without a word."""
    for leaf in (X, tg.tensor(X), tg.tensor(X, requires_grad=True)):
        for rule in HIDING.values():
            f = DECLARED[declared](rule)
            for attempt in (
                lambda f=f, x=leaf: tg.jvp(f, (x,), (np.ones(3),)),
                lambda f=f, x=leaf: tg.jacobian(f, mode="forward")(x),
                lambda f=f, x=leaf: tg.grad(lambda x: np.sum(tg.jvp(f, (x,), (np.ones(3),))[1]))(x),
            ):
                with pytest.raises(UsageError, match="does not follow its upstream gradient g"):
                    attempt()
        slope = tg.jvp(DECLARED[declared](lambda slope, g: tg.stop_gradient(slope) * g), (leaf,), (np.ones(3),))[1]
        np.testing.assert_allclose(getattr(slope, "data", slope), np.cos(X), rtol=1e-14)
        zero = tg.jvp(DECLARED[declared](lambda slope, g: np.zeros(3)), (leaf,), (np.ones(3),))[1]
        np.testing.assert_allclose(getattr(zero, "data", zero), np.zeros(3), atol=1e-15)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_an_argument_without_a_gradient_in_compiled_forward_mode(backend: str) -> None:
    product = tg.custom_gradient(lambda x, w: (x * w, lambda g: (g * w, None)))
    compiled = tg.compile(lambda x: tg.jvp(lambda x: product(x, 2 * x), (x,), (np.ones(3),))[1], backend)
    for x in (X, 2 * X, X):
        np.testing.assert_array_equal(compiled(x), 2 * x)


def test_custom_gradient_with_containers() -> None:
    def f(p: Any, y: Any) -> Any:
        result = product(p, 3.0, y)
        return np.sum(result["ab"]) + result["y"]

    p = {"a": X, "b": 2 * X}
    by_p, by_y = tg.grad(f, (0, 1))(p, 5.0)
    np.testing.assert_allclose(by_p["a"], 20 * X)
    np.testing.assert_allclose(by_p["b"], 10 * X)
    assert float(by_y) == 300
    assert f(p, 5.0) == np.sum(2 * X * X) + 15
    tangents = ({"a": X, "b": 0 * X}, 1.0)
    np.testing.assert_allclose(tg.jvp(f, (p, 5.0), tangents)[1], np.sum(20 * X * X) + 300)


def block(x: Any, scale: Any) -> Any:
    for _ in range(5):
        x = np.sin(scale * x)
    return x


def parts(z: Any, a: Any) -> Any:
    return {"z": np.exp(z) * a, "a": np.real(z) * a**2}


def total(y: Any) -> Any:
    return np.sum(np.abs(y["z"]) ** 2) + np.sum(y["a"] * np.arange(1.0, 4.0))


OF_COMPLEX: dict[str, tuple[Callable[[Any], Any], Callable[..., Any]]] = {
    "an argument": (lambda z: np.abs(np.sin(z)) ** 2, lambda x, f: np.sum(f(x * (1 + 2j)) * np.arange(3.0))),
    "a result": (lambda x: np.exp(1j * x) * x**2, lambda x, f: np.sum(np.real(f(x) * (1 + 1j)))),
    "both": (lambda z: np.exp(z) * z, lambda x, f: np.sum(np.abs(f(x + 1j * x**2)))),
    "among others": (lambda z: parts(z, np.abs(z)), lambda x, f: total(f(x * (1 - 1j)))),
}


def rule_of(f: Callable[[Any], Any], factor: float) -> Callable[[Any], Any]:
    """The function with `factor` times its own gradient as a rule by hand."""

    def with_rule(z: Any) -> Any:
        y = f(z)

        def rule(g: Any) -> Any:
            # g · dy/dz for each part of the number, as the conventions have it: ∂/∂Re z - i ∂/∂Im z
            def moved(re: Any, im: Any) -> Any:
                moving = f(re + 1j * im if np.iscomplexobj(z) else re)
                pairs = [(g[k], moving[k]) for k in g] if isinstance(g, dict) else [(g, moving)]
                return sum(np.sum(np.real(a * b)) for a, b in pairs)

            by_re, by_im = tg.grad(moved, (0, 1))(np.real(z) + 0.0, np.imag(z) + 0.0)
            return factor * (by_re - 1j * by_im if np.iscomplexobj(z) else by_re)

        return y, rule

    return tg.custom_gradient(with_rule)


@pytest.mark.parametrize("name", OF_COMPLEX)
def test_complex_numbers_on_the_way_are_arguments_and_results_like_others(name: str) -> None:
    """Of a complex argument, the rule was ignored without a word."""
    f, use = OF_COMPLEX[name]
    gradient, hessian = (transform(lambda x: use(x, f))(X) for transform in (tg.grad, tg.hessian))
    for made, factor in ((tg.checkpoint(f), 1), (rule_of(f, 1), 1), (rule_of(f, 3), 3)):

        def through(x: Any, made: Any = made) -> Any:
            return use(x, made)

        np.testing.assert_allclose(tg.grad(through)(X), factor * gradient, rtol=1e-12)
        np.testing.assert_allclose(tg.jvp(through, (X,), (X,))[1], factor * gradient @ X, rtol=1e-12)
        if factor == 1:
            np.testing.assert_allclose(tg.hessian(through)(X), hessian, rtol=1e-10, atol=1e-12)


def test_checkpoint_has_the_same_gradient_in_every_mode_and_order() -> None:
    def plain(x: Any, scale: Any) -> Any:
        return np.sum(block(block(x, scale), scale) * X)

    def saved(x: Any, scale: Any) -> Any:
        run = tg.checkpoint(block)
        return np.sum(run(run(x, scale), scale=scale) * X)

    for transform in (
        lambda f: tg.grad(f, (0, 1))(X, 1.5),
        lambda f: tg.hessian(f, (0, 1))(X, 1.5)[0],
        lambda f: tg.jvp(f, (X, 1.5), (X, 1.0)),
        lambda f: tg.jvp(tg.grad(f), (X, 1.5), (X, 1.0)),
        lambda f: tg.hvp(f, (X, 1.5), (X, 1.0), (0, 1)),
    ):
        for found, expected in zip(transform(saved), transform(plain)):
            np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize(
    "f", [lambda x: np.exp(x) * X, lambda x: np.sin(x.astype(float)), lambda x: np.tanh(x) * 2.5 * X[::-1]]
)
def test_checkpoint_runs_again_in_the_dtypes_of_its_arguments(f: Callable[[Any], Any], dtype: Any) -> None:
    """Where its result has more digits, it ran again on arguments with as many, and returned another value."""
    x = X.astype(dtype)
    found, expected = (tg.grad(lambda x: np.sum(g(x)))(x) for g in (tg.checkpoint(f), f))  # noqa: B023
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == dtype
    w = tg.tensor(x, requires_grad=True)
    tg.checkpoint(lambda: np.sum(f(w)))().backward()
    assert w.grad is not None
    np.testing.assert_array_equal(w.grad.numpy(), expected)


def test_checkpoint_gives_parameters_that_it_reads_their_gradients() -> None:
    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.Tanh(), nn.Linear(4, 2, rng=1))
    gradients = []
    for transform in (lambda f: f, tg.checkpoint):
        x = tg.tensor(X, requires_grad=True)
        shift = 2 * x  # a result from outside, which the block reads
        block = transform(lambda x, shift=[shift]: model(x * shift[0]))
        (transform(model)(x * shift).sum() + block(x).sum()).backward()
        gradients.append([x.grad, *(parameter.grad for parameter in model.parameters())])
        for parameter in model.parameters():
            parameter.grad = None
    for found, expected in zip(*gradients, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_checkpoint_keeps_nothing_of_what_it_computes() -> None:
    runs = []

    def chain(x: Any) -> Any:
        runs.append(len(runs))
        return np.exp(np.sin(x)), {"also": np.cos(x)}

    x = tg.tensor(X, requires_grad=True)
    y, also = tg.checkpoint(chain)(x)
    ops = {node.op.name for node in tg.engine.backward.history([y, also["also"]])}
    assert "sin" not in ops
    assert "chain" in ops
    (y.sum() + also["also"].sum()).backward()
    assert len(runs) == 2
    np.testing.assert_allclose(x.grad, np.exp(np.sin(X)) * np.cos(X) - np.sin(X))


def test_checkpoint_around_a_tangent_that_has_no_influence() -> None:
    def f(x: Any) -> Any:
        return tg.jvp(lambda y: tg.checkpoint(lambda z: z * tg.stop_gradient(y * y))(x), (3.0,), (1.0,))[0]

    assert float(tg.grad(f)(2.0)) == 9


def test_checkpoint_without_a_gradient_just_runs() -> None:
    assert isinstance(tg.checkpoint(np.sin)(X), np.ndarray)
    with tg.no_grad():
        assert not tg.checkpoint(np.sin)(tg.tensor(X, requires_grad=True)).requires_grad
    assert not tg.checkpoint(np.sin)(tg.tensor(X)).requires_grad


@pytest.mark.parametrize(
    "make", [tg.checkpoint, lambda f: tg.custom_gradient(lambda x, a: (f(x, a), lambda g: (g * a, None)))]
)
def test_arrays_that_change_after_the_call_do_not_matter(make: Any) -> None:
    x, a = tg.tensor(X, requires_grad=True), np.ones(3)
    y = make(lambda x, a: x * a)(x, a)
    a[:] = 100
    y.backward(np.ones(3))
    np.testing.assert_array_equal(x.grad, np.ones(3))


def test_tensors_of_whole_numbers_are_constants() -> None:
    places = tg.tensor([2, 0])
    x = tg.tensor(X, requires_grad=True)
    tg.checkpoint(lambda x, i: x[i] * 2)(x, places).sum().backward()
    np.testing.assert_array_equal(x.grad, [2, 0, 2])
    taken = tg.custom_gradient(lambda x, i: (x[i], lambda g: (np.zeros(3), None)))
    np.testing.assert_array_equal(tg.grad(lambda x: taken(x, places).sum())(X), np.zeros(3))


def changing(x: Any, calls: list[int] = []) -> Any:  # noqa: B006
    calls.append(1)
    return x * len(calls)


def changed() -> Any:
    w = tg.tensor(2.0, requires_grad=True)
    y = tg.checkpoint(lambda x: x * w)(tg.tensor(1.0, requires_grad=True))
    w.data = np.float64(3.0)
    return y


CLOSED = tg.tensor(2.0, requires_grad=True)


@pytest.mark.parametrize(
    ("attempt", "kind", "message"),
    [
        (lambda: tg.grad(tg.checkpoint(changing))(1.0), GraphError, "changing returned another value"),
        (lambda: changed().backward(), GraphError, "new data before the backward pass"),
        (
            lambda: tg.grad(tg.custom_gradient(lambda x: (x * CLOSED, lambda g: g)))(1.0),
            UsageError,
            "is not an argument: make it an argument",
        ),
        (lambda: tg.grad(lambda x: twice_as_steep(x=x))(1.0), UsageError, "positional"),
        (lambda: tg.grad(tg.custom_gradient(np.sin))(1.0), UsageError, r"a pair \(value, rule\)"),
        (lambda: tg.custom_gradient(lambda x: (x, 3))(1.0), UsageError, r"a pair \(value, rule\)"),
        (lambda: tg.checkpoint(lambda x: "text")(CLOSED), UsageError, "returned str"),
        (lambda: tg.grad(lambda x: product({"a": x, "b": x}, 1.0, x, 1))(1.0), TypeError, "positional"),
        (
            lambda: tg.grad(tg.custom_gradient(lambda x, y: (x * y, lambda g: g)), (0, 1))(1.0, 2.0),
            UsageError,
            "one gradient for each of 2 arguments",
        ),
        (
            lambda: tg.grad(lambda x: tg.custom_gradient(lambda p: (p[0] * p[1], lambda g: (g,)))((x, x)))(1.0),
            UsageError,
            "the containers do not match",
        ),
    ],
)
def test_errors(attempt: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt()
