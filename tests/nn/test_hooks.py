"""Hooks run around forward, whoever calls the module, and may replace what goes in and what comes out."""

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.errors import UsageError

X = np.array([[1.0, -2.0, 3.0]])


class Scaled(nn.Module):
    def __init__(self) -> None:
        self.factor = tg.tensor(2.0, requires_grad=True)

    def forward(self, x: Any, shift: Any = 0.0) -> Any:
        return self.factor * x + shift


def test_the_order_and_what_each_is_given() -> None:
    module, seen = Scaled(), []
    module.register_forward_pre_hook(lambda m, args: seen.append(("before", m, args)))
    module.register_forward_hook(lambda m, args, y: seen.append(("after", m, args, float(y))))
    module.register_forward_pre_hook(
        lambda m, args, kwargs: seen.append(("first", m, args, kwargs)), with_kwargs=True, prepend=True
    )
    module.register_forward_hook(lambda m, args, kwargs, y: seen.append(("last", args, kwargs)), with_kwargs=True)
    module.register_forward_hook(lambda m, args, y: seen.append(("sooner", args)), prepend=True)
    assert float(module(3.0, shift=1.0)) == 7
    assert seen == [
        ("first", module, (3.0,), {"shift": 1.0}),
        ("before", module, (3.0,)),
        ("sooner", (3.0,)),
        ("after", module, (3.0,), 7.0),
        ("last", (3.0,), {"shift": 1.0}),
    ]


REPLACING: dict[str, tuple[Callable[[Scaled], Any], float]] = {
    "input": (lambda m: m.register_forward_pre_hook(lambda m, args: args[0] + 1), 8),
    "tuple of inputs": (lambda m: m.register_forward_pre_hook(lambda m, args: (args[0], 5.0)), 11),
    "keywords": (lambda m: m.register_forward_pre_hook(lambda m, a, k: (a, {"shift": 4.0}), with_kwargs=True), 10),
    "result": (lambda m: m.register_forward_hook(lambda m, args, y: y * args[0]), 18),
    "a module as a hook": (lambda m: m.register_forward_hook(_Adding()), 10),
}


class _Adding(nn.Module):
    def __init__(self) -> None:
        self.weight = tg.tensor(1.0, requires_grad=True)

    def forward(self, module: Any, args: Any, result: Any) -> Any:
        return result + module.factor * 2


@pytest.mark.parametrize(("register", "expected"), REPLACING.values(), ids=REPLACING)
def test_what_a_hook_returns_takes_the_place(register: Callable[[Scaled], Any], expected: float) -> None:
    module = Scaled()
    before = repr(module), list(module.state_dict())
    with register(module) as handle:
        assert float(module(3.0)) == expected
        assert (repr(module), list(module.state_dict())) == before, "a hook is not a field"
        assert list(module.parameters()) == [module.factor]
        h = 1e-6
        slopes = [float(nn.functional_call(module, {"factor": np.array(2.0 + step)}, 3.0)) for step in (h, -h)]
        slope = (slopes[0] - slopes[1]) / (2 * h)
        np.testing.assert_allclose(tg.grad(lambda m: m(3.0))(module)["factor"].item(), slope, rtol=1e-8)
        np.testing.assert_allclose(
            tg.jacobian(lambda m: m(3.0), mode="forward")(module)["factor"].item(), slope, rtol=1e-8
        )
        assert float(copy.deepcopy(module)(3.0)) == expected
    assert float(module(3.0)) == 6
    handle.remove()
    assert not module._hooks


def test_a_stand_in_has_its_hooks_and_a_hook_is_given_the_stand_in() -> None:
    module, given = nn.Linear(3, 2, rng=0), []
    module.register_forward_hook(lambda m, args, y: given.append(m))
    tg.grad(lambda m: np.sum(m(X)))(module)
    assert len(given) == 1
    assert given[0] is not module
    assert type(given[0]) is nn.Linear


@pytest.mark.parametrize("module", [nn.InstanceNorm1d(1), nn.InstanceNorm2d(1), nn.Softmax()])
def test_hooks_run_once_around_a_layer_that_is_given_a_list(module: nn.Module) -> None:
    x = np.arange(9.0).reshape(1, 3, 3)
    plain, seen = module(2 * x), []
    module.register_forward_pre_hook(lambda m, args: (seen.append("before"), 2 * np.array(args[0]))[1])
    module.register_forward_hook(lambda m, args, y: seen.append("after"))
    np.testing.assert_allclose(module(x.tolist()), plain, rtol=1e-14)
    assert seen == ["before", "after"]
    seen.clear()
    module.register_forward_pre_hook(lambda m, args: args[0].tolist())
    np.testing.assert_allclose(module(x.tolist()), plain, rtol=1e-14)
    assert seen == ["before", "after"]


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_compiled_function_is_recorded_anew_when_hooks_change(backend: Any) -> None:
    module = nn.Sequential(nn.Linear(3, 2, rng=0), nn.Tanh())
    run = tg.compile(lambda x: module(x), backend=backend)
    plain = module(X).numpy()

    def check(expected: Any) -> None:
        for _ in range(3):
            np.testing.assert_allclose(run(X).detach(), expected, rtol=1e-14)

    check(plain)
    with module[1].register_forward_hook(lambda m, args, y: 2 * y):
        check(2 * plain)
        with module.register_forward_pre_hook(lambda m, args: args[0] * 0):
            check(2 * np.tanh(np.broadcast_to(module[0].bias.numpy(), (1, 2))))
        check(2 * plain)
    check(plain)


def test_a_hook_that_removes_itself_and_one_that_fails() -> None:
    module, calls = Scaled(), []

    def once(m: Any, args: Any) -> None:
        calls.append(1)
        handle.remove()

    handle = module.register_forward_pre_hook(once)
    module(1.0)
    module(1.0)
    assert calls == [1]
    failing = module.register_forward_hook(lambda m, args, y: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        module(1.0)
    assert len(module._hooks) == 1
    failing.remove()
    assert float(module(1.0)) == 2


def test_a_handle_does_not_keep_its_module() -> None:
    module = Scaled()
    module.handle = module.register_forward_hook(lambda m, args, y: None)
    gone = weakref.ref(module)
    handle = module.handle
    assert list(module.state_dict()) == ["factor"]
    gc.disable()
    try:
        del module
        assert gone() is None
    finally:
        gc.enable()
    handle.remove()


def test_bad_hooks_are_refused() -> None:
    for register in (Scaled().register_forward_hook, Scaled().register_forward_pre_hook):
        with pytest.raises(UsageError, match="a hook is a function, got 3"):
            register(3)
    module = Scaled()
    module.register_forward_pre_hook(lambda m, args, kwargs: args, with_kwargs=True)
    with pytest.raises(UsageError, match=r"a pair \(args, kwargs\)"):
        module(1.0)
