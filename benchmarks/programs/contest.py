"""A program written for three libraries, and the steps that compute its results from the same numbers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np

import tinygrad_lite as tg
from benchmarks.programs.peers import jax, torch
from benchmarks.timing import Step
from tinygrad_lite import nn
from tinygrad_lite.trees import leaves, map_leaves

Loss = Callable[..., Any]
Maker = Callable[[np.random.Generator], "Contest"]

PROGRAMS: dict[str, tuple[str, Maker]] = {}
"""The title of each program, and the function that makes its contest, by the function's name."""


def program(title: str) -> Callable[[Maker], Maker]:
    """Add a program to the registry."""

    def register(make: Maker) -> Maker:
        PROGRAMS[make.__name__] = title, make
        return make

    return register


def made(name: str) -> "Contest":
    """The contest of a program, always with the same numbers."""
    return PROGRAMS[name][1](np.random.default_rng(0))


@dataclass
class Contest:
    """A loss of parameters and data, `loss(parameters, *data)`: each library computes its value and its gradient.

    The parameters are one array or nested containers of arrays, and the data are arrays. Those of floating-point
    numbers have the contest's dtype.
    """

    parameters: Any
    data: tuple[Any, ...]
    in_numpy: Loss
    in_pytorch: Loss
    in_jax: Loss
    dtype: Any = field(default=np.float64, kw_only=True)

    def __post_init__(self) -> None:
        self.parameters = in_order(map_leaves(self.in_dtype, self.parameters))
        self.data = tuple(map(self.in_dtype, self.data))

    def in_dtype(self, x: Any) -> Any:
        """An array of floating-point numbers in the contest's dtype; anything else as it is."""
        return x.astype(self.dtype) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x

    def steps(self) -> dict[str, Step]:
        """The step of each library that is installed, ours first, and ours compiled if llvmlite is."""
        steps = {"tinygrad_lite": self.ours()}
        if find_spec("llvmlite"):
            steps["compiled"] = tg.compile(self.ours(), "native")
        if torch:
            steps["PyTorch"] = self.pytorch()
        if jax:
            steps["JAX"] = self.jax()
        return steps

    def ours(self) -> Step:
        step = tg.value_and_grad(self.in_numpy)
        return lambda: step(self.parameters, *self.data)

    def pytorch(self) -> Step:
        parameters = map_leaves(variable, self.parameters)
        data = tensors(self.data)
        variables = leaves(parameters)

        def step() -> Any:
            for x in variables:
                x.grad = None
            loss = self.in_pytorch(parameters, *data)
            loss.backward()
            return loss.detach(), [x.grad for x in variables]

        return step

    def jax(self) -> Step:
        step = jax.jit(jax.value_and_grad(self.in_jax))
        parameters, data = jax.device_put((self.parameters, self.data))
        return lambda: jax.block_until_ready(step(parameters, *data))


@dataclass
class HessianProduct(Contest):
    """The gradient of a loss and its Hessian times a vector, forward over reverse.

    In PyTorch it is the gradient of the gradient's product with the vector, which is faster than its forward mode.
    """

    vector: Any = field(kw_only=True)

    def ours(self) -> Step:
        gradient = tg.grad(lambda parameters: self.in_numpy(parameters, *self.data))
        return lambda: tg.jvp(gradient, (self.parameters,), (self.vector,))

    def pytorch(self) -> Step:
        parameters, vector = variable(self.parameters), torch.tensor(self.vector)
        data = tensors(self.data)

        def step() -> Any:
            (gradient,) = torch.autograd.grad(self.in_pytorch(parameters, *data), parameters, create_graph=True)
            (product,) = torch.autograd.grad(gradient, parameters, vector)
            return gradient.detach(), product

        return step

    def jax(self) -> Step:
        def products(parameters: Any, vector: Any, *data: Any) -> Any:
            return jax.jvp(lambda x: jax.grad(self.in_jax)(x, *data), (parameters,), (vector,))

        step = jax.jit(products)
        parameters, vector, data = jax.device_put((self.parameters, self.vector, self.data))
        return lambda: jax.block_until_ready(step(parameters, vector, *data))


@dataclass
class OneNumber(Contest):
    """The derivative by a Python float, which PyTorch makes a tensor of in each step."""

    def ours(self) -> Step:
        return lambda: tg.grad(self.in_numpy)(self.parameters)

    def pytorch(self) -> Step:
        def step() -> Any:
            x = torch.tensor(self.parameters, requires_grad=True)
            y = self.in_pytorch(x)
            y.backward()
            return x.grad

        return step

    def jax(self) -> Step:
        step = jax.jit(jax.grad(self.in_jax))
        return lambda: jax.block_until_ready(step(self.parameters))


@dataclass
class Modules(Contest):
    """A loss of a module and data: `backward()` leaves the gradients in the module's parameters.

    The parameters are a dict of arrays by name; in JAX they are the argument. With a learning rate, the step ends with
    an update of stochastic gradient descent.
    """

    model: Callable[[Any], Any] = field(kw_only=True)
    torch_model: Callable[[], Any] = field(kw_only=True)
    lr: float = field(default=0.0, kw_only=True)

    def ours(self) -> Step:
        model = self.model(self.dtype)
        model.load_state_dict(self.parameters, strict=False)
        variables = self.variables(model)
        optimizer = tg.optim.SGD(variables, self.lr) if self.lr else None
        return training_step(model, self.in_numpy, self.data, optimizer, variables)

    def pytorch(self) -> Step:
        model = self.torch_model().to(getattr(torch, np.dtype(self.dtype).name))
        model.load_state_dict(tensors(self.parameters), strict=False)
        variables = self.variables(model)
        optimizer = torch.optim.SGD(variables, self.lr) if self.lr else None
        return training_step(model, self.in_pytorch, tensors(self.data), optimizer, variables)

    def jax(self) -> Step:
        if not self.lr:
            return super().jax()

        def training_step(parameters: Any, *data: Any) -> Any:
            loss, gradients = jax.value_and_grad(self.in_jax)(parameters, *data)
            return (loss, gradients), {name: w - self.lr * gradients[name] for name, w in parameters.items()}

        compiled = jax.jit(training_step)
        parameters, data = jax.device_put((self.parameters, self.data))

        def step() -> Any:
            nonlocal parameters
            results, parameters = compiled(parameters, *data)
            return jax.block_until_ready(results)

        return step

    def variables(self, model: Any) -> list[Any]:
        """The parameters of a model, in the order of the state dict."""
        by_name = dict(model.named_parameters())
        return [by_name[name] for name in self.parameters]


def training_step(
    model: Any, loss: Loss, data: tuple[Any, ...], optimizer: Any = None, variables: Sequence[Any] = ()
) -> Step:
    """A step of ours or of PyTorch's, which returns the loss and the gradients of some parameters."""

    def step() -> Any:
        model.zero_grad()
        value = loss(model, *data)
        value.backward()
        gradients = [x.grad for x in variables]
        if optimizer:
            optimizer.step()
        return value.detach(), gradients

    return step


def training(define: Callable[[Any], Any], loss: Loss, in_jax: Loss, *data: Any, dtype: Any = np.float32) -> Modules:
    """A training step of a model that has one definition for both libraries.

    `define(nn)` makes it from the layers of `nn`, and `loss(F, model, *data)` computes its loss with those of `F`.
    """
    rng = np.random.default_rng(0)
    shapes = {name: x.shape for name, x in define(nn).named_parameters()}
    return Modules(
        {name: 0.3 * rng.normal(size=shape) + (len(shape) == 1) for name, shape in shapes.items()},
        data,
        lambda *arguments: loss(nn.functional, *arguments),
        lambda *arguments: loss(torch.nn.functional, *arguments),
        in_jax,
        dtype=dtype,
        model=lambda dtype: define(nn).to(dtype),
        torch_model=lambda: define(torch.nn),
        lr=1e-3,
    )


def in_order(tree: Any) -> Any:
    """The same containers with each dict in the order of its keys, in which JAX returns it."""
    if isinstance(tree, dict):
        return {key: in_order(tree[key]) for key in sorted(tree)}
    return type(tree)(map(in_order, tree)) if isinstance(tree, (list, tuple)) else tree


def tensors(tree: Any) -> Any:
    """Arrays as PyTorch's tensors, in the same containers."""
    return map_leaves(lambda x: torch.tensor(x) if isinstance(x, np.ndarray) else x, tree)


def variable(x: Any) -> Any:
    """An array as a leaf of PyTorch's graph."""
    return torch.tensor(x, requires_grad=True)
