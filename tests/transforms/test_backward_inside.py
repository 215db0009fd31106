"""A function under a transform calls `backward()` of a loss of its own, and goes on with the gradients it leaves."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.errors import UsageError

V, X = np.array([3.0, 4.0]), np.array([0.5, -2.0])


def leaf() -> tg.Tensor:
    return tg.tensor(V, requires_grad=True)


def of_a_leaf(x: Any) -> Any:
    v = leaf()
    (v**2 * x**2).sum().backward()
    return (v.grad**2 * x).sum()


def of_the_argument(x: Any) -> Any:
    (x**3).sum().backward()
    return (x.grad**2 * x).sum()


def of_both(x: Any) -> Any:
    v = leaf()
    (v**2 * x**3).sum().backward()
    return (v.grad * x.grad).sum()


def by_two_passes(x: Any) -> Any:
    v = leaf()
    (v**2 * x**2).sum().backward()
    (v**3 * x).sum().backward()
    return (v.grad**2 * x).sum()


def by_two_passes_under_no_grad(x: Any) -> Any:
    v = leaf()
    losses = (v**2 * x**2).sum(), (v**3 * x).sum()
    with tg.no_grad():
        for loss in losses:
            loss.backward()
    return (v.grad**2 * x).sum()


def by_two_passes_through_one_graph(x: Any) -> Any:
    v = leaf()
    loss = (v**2 * x**2).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    return (v.grad**2 * x).sum()


def from_an_upstream_gradient(x: Any) -> Any:
    v = leaf()
    (v**2).backward(x**2)
    return (v.grad**2 * x).sum()


def of_a_result(x: Any) -> Any:
    y = x**2
    y.retain_grad()
    (y**2).sum().backward()
    return (y.grad**2 * x).sum()


def in_a_checkpoint(x: Any) -> Any:
    return tg.checkpoint(of_a_leaf)(x) + tg.checkpoint(of_the_argument)(x)


def in_an_inner_transform(x: Any) -> Any:
    return (tg.grad(lambda y: of_the_argument(y) * x.sum())(x) * x).sum()


def of_an_outer_variable_too(x: Any) -> Any:
    def product(y: Any) -> Any:
        (y**2 * x**3).sum().backward()
        return (y.grad * x.grad).sum()

    return (tg.grad(product)(x) * x).sum()


def of_no_variable(x: Any) -> Any:
    v = leaf()
    (v**2).sum().backward()
    tg.optim.SGD([v], lr=0.5).step()
    return (v.grad * x**2).sum() + (v * x).sum()


PROGRAMS: dict[Callable[[Any], Any], Callable[[Any], Any]] = {
    of_a_leaf: lambda x: ((2 * V * x**2) ** 2 * x).sum(),
    of_the_argument: lambda x: ((3 * x**2) ** 2 * x).sum(),
    of_both: lambda x: (2 * V * x**3 * 3 * V**2 * x**2).sum(),
    by_two_passes: lambda x: ((2 * V * x**2 + 3 * V**2 * x) ** 2 * x).sum(),
    by_two_passes_under_no_grad: lambda x: ((2 * V * x**2 + 3 * V**2 * x) ** 2 * x).sum(),
    by_two_passes_through_one_graph: lambda x: ((4 * V * x**2) ** 2 * x).sum(),
    from_an_upstream_gradient: lambda x: ((2 * V * x**2) ** 2 * x).sum(),
    of_a_result: lambda x: ((2 * x**2) ** 2 * x).sum(),
    in_a_checkpoint: lambda x: ((2 * V * x**2) ** 2 * x).sum() + ((3 * x**2) ** 2 * x).sum(),
    in_an_inner_transform: lambda x: (45 * x**5).sum() * x.sum(),
    of_an_outer_variable_too: lambda x: (18 * x**8).sum(),
    of_no_variable: lambda x: (2 * V * x**2).sum(),  # the step takes v to 0
}
"""Each function, and the formula that it computes."""

TRANSFORMS: dict[str, Callable[[Any], Callable[[Any], Any]]] = {
    "grad": tg.grad,
    "jacobian": tg.jacobian,
    "vjp": lambda f: lambda x: tg.vjp(f, x)[1](1.0)[0],
    "hessian": tg.hessian,
    "grad of grad": lambda f: tg.grad(lambda x: (tg.grad(f)(x) * X).sum()),
}
ARGUMENTS: dict[str, Callable[[], Any]] = {
    "array": lambda: X,
    "tensor": lambda: tg.tensor(X),
    "leaf": lambda: tg.tensor(X, requires_grad=True),
}


@pytest.mark.parametrize("kind", ARGUMENTS)
@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_gradients_that_a_pass_leaves_are_differentiated(program: Any, name: str, kind: str) -> None:
    x, transform = ARGUMENTS[kind](), TRANSFORMS[name]
    derivative = transform(program)(x)
    np.testing.assert_allclose(_numbers(derivative), transform(PROGRAMS[program])(X), rtol=1e-12)
    assert getattr(x, "grad", None) is None, "the pass reached the original"
    if kind == "leaf":
        tg.grad(program)(x).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), tg.hessian(PROGRAMS[program])(X).sum(0), rtol=1e-12)


def _numbers(x: Any) -> Any:
    return x.numpy() if isinstance(x, tg.Tensor) else x


def penalty(model: Any) -> Any:
    """A penalty of the gradient, as people write it in PyTorch."""
    loss = (model(np.array([[1.0, 2.0], [3.0, 4.0]])) ** 2).mean()
    loss.backward()
    return loss + sum((p.grad**2).sum() for p in model.parameters() if p.grad is not None)


def test_the_parameters_of_a_module_get_the_gradients_of_a_pass_inside() -> None:
    model = tg.nn.Linear(2, 1, rng=0)

    def by_transforms(model: Any) -> Any:
        loss, gradients = tg.value_and_grad(lambda m: (m(np.array([[1.0, 2.0], [3.0, 4.0]])) ** 2).mean())(model)
        return loss + sum((g**2).sum() for g in gradients.values())

    expected = tg.grad(by_transforms)(model)
    for name, gradient in tg.grad(penalty)(model).items():
        np.testing.assert_allclose(gradient.numpy(), expected[name].numpy(), rtol=1e-12)
    assert all(p.grad is None for p in model.parameters())


def test_an_optimizer_takes_no_step_along_what_a_transform_differentiates() -> None:
    model = tg.nn.Linear(2, 1, rng=0)
    optimizer = tg.optim.SGD(model.parameters(), lr=0.1)

    def stepped(x: Any) -> Any:
        model(x).sum().backward()
        optimizer.step()
        return model(x).sum()

    with pytest.raises(UsageError, match="history would be lost"):
        tg.grad(stepped)(np.ones((1, 2)))
    optimizer.zero_grad()
    with pytest.warns(UserWarning, match="no gradient for parameter .* in place of the parameters"):
        tg.grad(lambda module: (penalty(module), optimizer.step())[0])(model)


def leaves_a_gradient(w: Any, x: Any) -> Any:
    (w**2 * X).sum().backward()
    return (x**2).sum()


def reads_what_it_leaves(w: Any, x: Any) -> Any:
    (w**2 * X).sum().backward()
    return (w.grad * x**2).sum()


def begins_anew(w: Any, x: Any) -> Any:
    w.grad = None
    (w**3 * X).sum().backward()
    (w * X).sum().backward()
    return (w.grad * x).sum() + (w * x).sum()


def goes_through_its_argument(w: Any, x: Any) -> Any:
    (w**2 * x).sum().backward()
    return (x.grad**2 * x).sum()


def of_one_inside(w: Any, x: Any) -> Any:
    return tg.checkpoint(reads_what_it_leaves)(w, x) * tg.checkpoint(leaves_a_gradient)(w, x)


CHECKPOINTED = (leaves_a_gradient, reads_what_it_leaves, begins_anew, goes_through_its_argument, of_one_inside)


@pytest.mark.parametrize("f", CHECKPOINTED)
@pytest.mark.parametrize("calls", [1, 2])
def test_a_checkpointed_function_leaves_a_gradient_once(f: Callable[[Any, Any], Any], calls: int) -> None:
    """In its first run and not in the second; the argument of each call has a gradient of its own inside."""
    w = leaf()

    def results(checkpointed: Any) -> list[Any]:
        w.grad = tg.tensor(X)
        arguments = [tg.tensor(X, requires_grad=True) for _ in range(calls)]
        values = [checkpointed(lambda x: f(w, x))(x) for x in arguments]
        assert checkpointed is not tg.checkpoint or all(x.grad is None for x in arguments)
        for x, value in zip(arguments, values):
            x.grad = None
            value.backward()
        return [*map(float, values), w.grad.numpy(), *(x.grad.numpy() for x in arguments)]

    for found, expected in zip(results(tg.checkpoint), results(lambda f: f), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12)
