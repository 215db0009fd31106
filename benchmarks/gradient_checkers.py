"""The gradient checkers of several libraries behind the same two questions, each with its own defaults.

`passes(f, x)` asks whether the library accepts its own gradient of f, which is written with the library's functions.
`passes_given(value, pull, x)` asks whether it accepts a gradient that comes with the value, both written in NumPy.

`python -m benchmarks.gradient_checkers` prints what each says about the same gradients, written in NumPy: for
docs/gradient_checkers.md. Libraries that are not installed are left out.
"""

import warnings
from collections.abc import Callable
from contextlib import chdir
from functools import partial
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Protocol

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
                return np.asarray(function(*map(np.asarray, arrays)), x.dtype).reshape(shape)

            return jax.pure_callback(run, jax.ShapeDtypeStruct(shape, x.dtype), *arrays)

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


class Case(NamedTuple):
    """A function of NumPy arrays with one result, and a gradient that came with it."""

    name: str
    right: bool
    value: Function
    gradient: Function
    x: Any


def _cases() -> list[Case]:
    rng = np.random.default_rng(0)
    ten = rng.normal(size=10)
    hilbert = 1 / (np.arange(6)[:, None] + np.arange(6) + 1)
    rows, target = rng.normal(size=(8, 4)).astype("f4"), rng.normal(size=8).astype("f4")
    weights = (rng.normal(size=25) / 2).astype("f4")

    def smooth(x: Any) -> Any:
        return np.sum(np.exp(-x) * np.sin(3 * x))

    def slope(x: Any) -> Any:
        return np.exp(-x) * (3 * np.cos(3 * x) - np.sin(3 * x))

    def one_entry_times(factor: float) -> Function:
        return lambda x: slope(x) * np.where(np.arange(x.size) == 7, factor, 1)

    def network(w: Any) -> Any:
        return np.mean((np.tanh(rows @ w[:20].reshape(4, 5)) @ w[20:] - target) ** 2)

    def backpropagation(w: Any) -> Any:
        h = np.tanh(rows @ w[:20].reshape(4, 5))
        error = 2 * (h @ w[20:] - target) / target.size
        hidden = rows.T @ (error[:, None] * w[20:] * (1 - h**2))
        return np.concatenate([hidden.reshape(-1), h.T @ error])

    def line(x: Any) -> Any:
        return np.sum(np.exp(-(((x - 500) / 0.4) ** 2) / 2))

    def slope_of_line(x: Any) -> Any:
        return np.exp(-(((x - 500) / 0.4) ** 2) / 2) * (500 - x) / 0.4**2

    def far(x: Any) -> Any:
        return 1e12 + np.sum(np.sin(x))

    def entropy(p: Any) -> Any:
        return -np.sum(p * np.log(p))

    def slope_of_entropy(p: Any) -> Any:
        return -np.log(p) - 1

    p = np.array([0.4, 0.6 - 1e-9, 1e-9])
    return [
        Case("Σ exp(-x) sin 3x", True, smooth, slope, ten),
        Case("one of 10 entries with the wrong sign", False, smooth, one_entry_times(-1), ten),
        Case("one entry off by 1e-6 of itself", False, smooth, one_entry_times(1 + 1e-6), ten),
        Case("a line of width 0.4 at 500", True, line, slope_of_line, np.array([500.2])),
        Case("the same, gradient 0", False, line, lambda x: 0 * x, np.array([500.2])),
        Case("1e12 + Σ sin x", True, far, np.cos, np.array([0.3, 0.5])),
        Case("the same, wrong sign", False, far, lambda x: -np.cos(x), np.array([0.3, 0.5])),
        Case("entropy, a probability of 1e-9", True, entropy, slope_of_entropy, p),
        Case("the same, 5 times too large", False, entropy, lambda p: 5 * slope_of_entropy(p), p),
        Case(
            "Σ solve(hilbert(6), b)",
            True,
            lambda b: np.sum(np.linalg.solve(hilbert, b)),
            lambda b: np.linalg.solve(hilbert.T, np.ones(6)),
            np.ones(6),
        ),
        Case("a tanh network, 4-5-1, in float32", True, network, backpropagation, weights),
    ]


def _ours(case: Case, **options: Any) -> str:
    return tg.gradcheck(case.value, case.x, gradient=case.gradient, raise_exception=False, **options).outcome


def _checker(make: Callable[[], Checker], case: Case) -> str:
    passed = make().passes_given(case.value, lambda g, y, x: g * case.gradient(x), case.x)
    return "passed" if passed else "failed"


def _scipy(case: Case) -> str:
    from scipy.optimize import check_grad

    return f"{check_grad(case.value, case.gradient, case.x):.0e}"


def _numdifftools(case: Case) -> str:
    from numdifftools import Gradient

    result = Gradient(case.value, full_output=True)(case.x)
    off = np.max(np.abs(result.estimate - case.gradient(case.x)))
    return f"{off:.0e} ± {np.max(result.error_estimate):.0e}"


def _openmdao(case: Case, method: str) -> str:
    import openmdao.api as om
    from openmdao.utils.assert_utils import assert_check_partials

    class Component(om.ExplicitComponent):  # type: ignore[misc]
        def setup(self) -> None:
            self.add_input("x", case.x)
            self.add_output("y")
            self.declare_partials("y", "x")

        def compute(self, inputs: Any, outputs: Any) -> None:
            outputs["y"] = case.value(inputs["x"])

        def compute_partials(self, inputs: Any, partials: Any) -> None:
            partials["y", "x"] = case.gradient(inputs["x"])

    with TemporaryDirectory() as folder, chdir(folder):  # where it writes its reports
        problem = om.Problem(reports=False)
        problem.model.add_subsystem("f", Component())
        problem.setup(force_alloc_complex=True)
        problem.run_model()
        try:
            assert_check_partials(problem.check_partials(out_stream=None, method=method))
        except ValueError:
            return "failed"
    return "passed"


_SAYS: dict[str, tuple[str, Callable[[Case], str]]] = {
    "tinygrad_lite": ("tinygrad_lite", _ours),
    "the same, differences": ("tinygrad_lite", partial(_ours, method="differences")),
    "PyTorch": ("torch", partial(_checker, PyTorch)),
    "JAX": ("jax", partial(_checker, Jax)),
    "OpenMDAO": ("openmdao", partial(_openmdao, method="fd")),
    "OpenMDAO, complex step": ("openmdao", partial(_openmdao, method="cs")),
    "SciPy": ("scipy", _scipy),
    "numdifftools": ("numdifftools", _numdifftools),
}


def table() -> list[str]:
    """What each library says about each gradient."""
    there = {name: says for name, (module, says) in _SAYS.items() if find_spec(module)}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # the logarithm of a negative number, a constant of float64 in a network
        rows = [
            [case.name, "right" if case.right else "wrong", *(f(case) for f in there.values())] for case in _cases()
        ]
    head, *lines = [f"| {' | '.join(line)} |" for line in [["gradient", "it is", *there], *rows]]
    return [head, "|" + "---|" * (len(there) + 2), *lines]


if __name__ == "__main__":
    print("\n".join(table()))
