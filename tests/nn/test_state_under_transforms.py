"""What modules and tensors hold while a function is differentiated: its values are refused, others taken as ever."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.errors import UsageError

TRANSFORMS: dict[str, Callable[[Callable[[Any], Any], Any], Any]] = {
    "grad": lambda f, x: tg.grad(f)(x),
    "value_and_grad": lambda f, x: tg.value_and_grad(f)(x),
    "vjp": lambda f, x: tg.vjp(f, x),
    "jvp": lambda f, x: tg.jvp(f, (x,), (np.ones_like(x),)),
    "jacobian in reverse": lambda f, x: tg.jacobian(f, mode="reverse")(x),
    "jacobian forward": lambda f, x: tg.jacobian(f, mode="forward")(x),
    "hessian": lambda f, x: tg.hessian(f)(x),
    "hvp": lambda f, x: tg.hvp(f, (x,), (np.ones_like(x),)),
    "grad of a checkpoint": lambda f, x: tg.grad(tg.checkpoint(f))(x),
    "grad of jvp": lambda f, x: tg.grad(lambda x: tg.jvp(f, (x,), (np.ones(2),))[1])(x),
    "jvp of grad": lambda f, x: tg.jvp(tg.grad(f), (x,), (np.ones_like(x),)),
}


def _by_data(p: tg.Tensor, s: Any) -> None:
    p.data = s


def _in_place(change: Callable[[tg.Tensor, Any], Any]) -> Callable[[tg.Tensor, Any], None]:
    def update(p: tg.Tensor, s: Any) -> None:
        with tg.no_grad():
            change(p, s)

    return update


def _by_loading(p: tg.Tensor, s: Any) -> None:
    module = nn.Module()
    module.p = p  # type: ignore[attr-defined]
    module.load_state_dict({"p": s})


def _by_gradient(use: Callable[[tg.Tensor], Any]) -> Callable[[tg.Tensor, Any], None]:
    def update(p: tg.Tensor, s: Any) -> None:
        p.grad = s
        use(p)

    return update


def _by_quasi_newton(p: tg.Tensor) -> None:
    tg.optim.LBFGS([p], lr=0.1, max_iter=1).step(lambda: 1.0)


WAYS: dict[str, Callable[[tg.Tensor, Any], None]] = {
    "data": _by_data,
    "data of a result": lambda p, s: _by_data(p, 2 * s),
    "replace": lambda p, s: p.replace(s),
    "+=": _in_place(lambda p, s: p.__iadd__(s)),
    "-=": _in_place(lambda p, s: p.__isub__(s)),
    "*=": _in_place(lambda p, s: p.__imul__(s)),
    "/=": _in_place(lambda p, s: p.__itruediv__(s)),
    "**=": _in_place(lambda p, s: p.__ipow__(s)),
    "load_state_dict": _by_loading,
    "step": _by_gradient(lambda p: tg.optim.SGD([p], lr=0.1).step()),
    "step of LBFGS": _by_gradient(_by_quasi_newton),
    "clipped norm": _by_gradient(lambda p: nn.utils.clip_grad_norm_([p], 1.0)),
    "clipped value": _by_gradient(lambda p: nn.utils.clip_grad_value_([p], 1.0)),
    "Parameter": lambda p, s: p.replace(nn.Parameter(s).data),
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_what_is_differentiated_is_no_data(way: Callable[..., None], transform: Callable[..., Any]) -> None:
    p = tg.tensor([1.0, 2.0], requires_grad=True)

    def f(x: Any) -> Any:
        way(p, x)
        return np.sum(p * p)

    with pytest.raises(UsageError, match=r"functional_call\(module, state, \*inputs\).*tg\.grad\(f\)\(module\)"):
        transform(f, np.array([3.0, 4.0]))
    np.testing.assert_array_equal(p.numpy(), [1, 2])


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_what_is_detached_is_data(way: Callable[..., None]) -> None:
    def f(x: Any) -> Any:
        p = tg.tensor([1.0, 2.0], requires_grad=True)
        way(p, x.detach())
        return np.sum(x * p.detach())

    x = np.array([3.0, 4.0])
    expected = tg.tensor([1.0, 2.0], requires_grad=True)
    way(expected, x)
    for gradient in (tg.grad(f)(x), tg.jacobian(f, mode="forward")(x)):
        np.testing.assert_array_equal(gradient, expected.numpy())


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_outside_a_transform_data_is_given_as_ever(way: Callable[..., None]) -> None:
    """A moving average of another model's parameters, say."""
    p, q = (tg.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    way(p, q)
    assert p.is_leaf


def test_a_model_may_learn_inside_a_function_that_is_differentiated() -> None:
    def learnt(x: Any) -> Any:
        w = tg.tensor(0.0, requires_grad=True)
        optimizer = tg.optim.SGD([w], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            ((w - 1) ** 2).backward()
            optimizer.step()
            with tg.no_grad():
                w -= 0.1 * w.grad
        return w.detach() * x

    expected = learnt(1.0)
    np.testing.assert_array_equal(tg.grad(learnt)(2.0), expected)
    np.testing.assert_array_equal(tg.jvp(learnt, (2.0,), (1.0,))[1], expected)


REVERSE = {name: TRANSFORMS[name] for name in ("grad", "value_and_grad", "jacobian in reverse", "hessian")}


@pytest.mark.parametrize("transform", REVERSE.values(), ids=REVERSE)
def test_a_gradient_of_what_is_differentiated_keeps_its_history(transform: Callable[..., Any]) -> None:
    def by_backward(x: Any) -> Any:
        w = tg.tensor([1.0, 2.0], requires_grad=True)
        np.sum(np.sin(w * x) * x).backward()
        return np.sum(w.grad * x)

    def by_hand(x: Any) -> Any:
        return np.sum(np.cos(np.array([1.0, 2.0]) * x) * x**3)

    x = np.array([3.0, 4.0])
    for result, expected in zip(tg.trees.leaves(transform(by_backward, x)), tg.trees.leaves(transform(by_hand, x))):
        np.testing.assert_allclose(np.asarray(result.data), expected, rtol=1e-12)


@pytest.mark.parametrize(
    "make", [tg.optim.SGD, tg.optim.Adam, tg.optim.RMSprop, tg.optim.LBFGS], ids=lambda x: x.__name__
)
def test_a_model_may_not_learn_from_what_is_differentiated(make: Any) -> None:
    """Its parameters are data, and would be constants for the gradient."""

    def learnt(x: Any) -> Any:
        w = tg.tensor([1.0, 2.0], requires_grad=True)
        optimizer = make([w], lr=0.1)

        def loss() -> Any:
            optimizer.zero_grad()
            value = np.sum((w - x) ** 2)
            value.backward()
            return value.item()

        optimizer.step(loss)
        return np.sum(w * w)

    with pytest.raises(UsageError, match=r"functional_call\(module, state, \*inputs\)"):
        tg.grad(learnt)(np.array([3.0, 4.0]))


def test_a_dual_is_copied_into_no_tensor() -> None:
    for f in (tg.tensor, lambda x: tg.tensor([x, x]), lambda x: setattr(tg.tensor(1.0, requires_grad=True), "grad", x)):
        with pytest.raises(UsageError):
            tg.jvp(f, (2.0,), (1.0,))


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_parameters_are_not_updated_while_they_are_differentiated(mode: Any) -> None:
    model = nn.Linear(2, 1, rng=0)

    def loss(module: nn.Module) -> Any:
        with tg.no_grad():
            for parameter in module.parameters():
                parameter -= 0.1
        return np.sum(module(np.ones(2)))

    with pytest.raises(UsageError, match="value that is being differentiated"):
        tg.jacobian(loss, mode=mode)(model)


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_an_augmented_assignment_where_a_graph_is_built_makes_a_new_value(mode: Any) -> None:
    def f(x: Any) -> Any:
        y = x * 1.0
        y -= 2.0
        y *= x
        y **= 2
        return np.sum(y)

    np.testing.assert_allclose(tg.jacobian(f, mode=mode)(np.array([3.0])), [2 * 3 * 4.0])
