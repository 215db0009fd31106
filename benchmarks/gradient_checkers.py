"""The gradient checkers of several libraries behind the same two questions, each with its own defaults.

`passes(f, x)` asks whether the library accepts its own gradient of f, which is written with the library's functions.
`passes_given(value, pull, x)` asks whether it accepts a gradient that comes with the value, both written in NumPy.
"""

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np

import tinygrad_lite as tg
from tinygrad_lite import nn

Function = Callable[[Any], Any]
Pull = Callable[[Any, Any, Any], Any]  # of the upstream gradient g, the value y and x


class Checker(Protocol):
    """A library's checker; `xp` has the library's functions under NumPy's names."""

    @property
    def xp(self) -> Any: ...

    @property
    def relu(self) -> Function: ...

    def passes(self, f: Function, x: Any) -> bool: ...

    def passes_given(self, value: Function, pull: Pull, x: Any) -> bool: ...


class Ours:
    xp = np
    relu = staticmethod(nn.functional.relu)

    def __init__(self, **options: Any) -> None:
        self._options = options

    def passes(self, f: Function, x: Any) -> bool:
        return tg.gradcheck(f, x, raise_exception=False, **self._options).ok

    def passes_given(self, value: Function, pull: Pull, x: Any) -> bool:
        def jacobian(x: Any) -> Any:
            y = value(x)
            units = np.identity(np.size(y)).reshape(-1, *np.shape(y))
            return np.reshape([pull(g[()], y, x) for g in units], np.shape(y) + np.shape(x))

        return tg.gradcheck(value, x, gradient=jacobian, raise_exception=False, **self._options).ok


class PyTorch:
    def __init__(self, **options: Any) -> None:
        import torch

        self.xp, self.relu, self._options = torch, torch.relu, options

    def passes(self, f: Function, x: Any) -> bool:
        x = self.xp.tensor(x, requires_grad=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a check in float32 will likely fail
            return bool(self.xp.autograd.gradcheck(f, x, raise_exception=False, **self._options))

    def passes_given(self, value: Function, pull: Pull, x: Any) -> bool:
        torch = self.xp

        class Given(torch.autograd.Function):  # type: ignore[misc]
            @staticmethod
            def forward(ctx: Any, x: Any) -> Any:
                y = torch.as_tensor(value(x.numpy()))
                ctx.save_for_backward(x, y)
                return y

            @staticmethod
            @torch.autograd.function.once_differentiable
            def backward(ctx: Any, g: Any) -> Any:
                x, y = ctx.saved_tensors
                return torch.tensor(np.ascontiguousarray(pull(g.numpy(), y.numpy(), x.numpy()))).reshape(x.shape)

        return self.passes(Given.apply, x)


class Autograd:
    def __init__(self) -> None:
        import autograd.numpy

        self.xp = autograd.numpy

    def relu(self, x: Any) -> Any:
        return self.xp.maximum(x, 0)

    def passes(self, f: Function, x: Any) -> bool:
        from autograd.test_util import check_grads

        try:
            check_grads(f, modes=["rev"], order=1)(x)
        except AssertionError:
            return False
        return True

    def passes_given(self, value: Function, pull: Pull, x: Any) -> bool:
        from autograd.extend import defvjp, primitive

        f = primitive(value)
        defvjp(f, lambda y, x: lambda g: pull(g, y, x))
        return self.passes(f, x)


class Jax:
    def __init__(self) -> None:
        import jax

        jax.config.update("jax_enable_x64", True)
        self.xp, self.relu = jax.numpy, jax.nn.relu

    def passes(self, f: Function, x: Any) -> bool:
        from jax.test_util import check_grads

        try:
            check_grads(f, (self.xp.asarray(x),), order=1, modes=("rev",))
        except AssertionError:
            return False
        return True

    def passes_given(self, value: Function, pull: Pull, x: Any) -> bool:
        import jax

        def called(function: Callable[..., Any], shape: tuple[int, ...], *arrays: Any) -> Any:
            def run(*arrays: Any) -> Any:
                return np.asarray(function(*map(np.asarray, arrays)), float).reshape(shape)

            return jax.pure_callback(run, jax.ShapeDtypeStruct(shape, np.float64), *arrays)

        @jax.custom_vjp
        def f(x: Any) -> Any:
            return called(value, shape, x)

        shape = np.shape(value(x))
        f.defvjp(lambda x: (f(x), (f(x), x)), lambda kept, g: (called(pull, np.shape(x), g, *kept),))
        return self.passes(f, x)


_PEERS: dict[str, tuple[str, Callable[[], Checker]]] = {
    "PyTorch": ("torch", PyTorch),
    "PyTorch, fast mode": ("torch", lambda: PyTorch(fast_mode=True)),
    "HIPS autograd": ("autograd", Autograd),
    "JAX": ("jax", Jax),
}


def peers() -> dict[str, Checker]:
    """The checkers of the other libraries that are installed."""
    return {name: make() for name, (module, make) in _PEERS.items() if find_spec(module)}
