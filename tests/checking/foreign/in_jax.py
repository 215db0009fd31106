"""JAX's functions, with gradients from its grad and jacobian; and what people do to them: rules, stops, dicts."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jax import lax, nn
from jax import numpy as jnp
from jax import scipy as jsp
from jax.experimental.ode import odeint

from tests.checking.foreign import truth
from tests.checking.foreign.cases import Problem

RNG = np.random.default_rng(20)
X = RNG.normal(size=(4, 3))
W = RNG.normal(size=(3, 3))
V = np.array([-1.3, 0.4, 1.1, 2.6])
P = np.array([0.5, 1.2, 2.0])


def problem(name: str, f: Callable[..., Any], *x: Any, **options: Any) -> Problem:
    """A function of JAX's arrays as one of NumPy's; its gradient is JAX's, in reverse."""
    compiled = jax.jit(f)

    def value(*x: Any) -> Any:
        return np.asarray(compiled(*x))

    derivative = jax.jit(jax.jacrev(f, argnums=tuple(range(len(x)))))

    def gradient(*x: Any) -> Any:
        found = jax.tree.map(np.asarray, derivative(*x))
        return found if len(found) > 1 else found[0]

    return Problem(f"jax {name}", value, x, gradient, **{"step": 0.005, "accuracy": 1e-9} | options)


def of_functions() -> list[Problem]:
    table: dict[str, tuple[Any, Any]] = {
        "softplus": (nn.softplus, V),
        "gelu": (lambda x: nn.gelu(x, approximate=False), V),
        "swish": (nn.swish, V),
        "selu": (nn.selu, V),
        "log_softmax": (nn.log_softmax, V),
        "logsumexp": (nn.logsumexp, V),
        "standardize": (lambda x: nn.standardize(x)[0], V),
        "gammaln": (lambda x: jsp.special.gammaln(x).sum(), P),
        "digamma": (lambda x: jsp.special.digamma(x), P),
        "erf_inv": (lambda x: jsp.special.erfinv(x / 3), P),
        "log_ndtr": (lambda x: jsp.special.log_ndtr(x).sum(), V),
        "bessel i0e": (jsp.special.i0e, P),
        "xlogy": (lambda x: jsp.special.xlogy(x, x).sum(), P),
        "norm.logpdf": (lambda x: jsp.stats.norm.logpdf(x, 0.3, 1.2).sum(), V),
        "t.logpdf": (lambda x: jsp.stats.t.logpdf(x, 4.0).sum(), V),
        "cumprod": (lambda x: jnp.cumprod(x)[-1] + jnp.cumprod(x)[1], P),
        "sinc": (lambda x: jnp.sinc(x).sum(), V),
        "norm": (jnp.linalg.norm, V),
        "interp": (lambda x: jnp.interp(x, jnp.array([-2.0, 0.1, 3.0]), jnp.array([1.0, -1.0, 2.0])).sum(), V),
        "hypot": (lambda x: jnp.hypot(x[:2], x[2:]), V),
        "polyval": (lambda x: jnp.polyval(x, 1.7), V),
        "fft": (lambda x: jnp.abs(jnp.fft.fft(x)[1]) ** 2, V),
        "convolve": (lambda x: jnp.convolve(x, x[:2]).sum() ** 2, V),
        "sort, weighted": (lambda x: jnp.sort(x) @ jnp.arange(4.0), V),
    }
    return [problem(name, f, x) for name, (f, x) in table.items()]


def of_matrices() -> list[Problem]:
    a = W @ W.T / 3 + np.eye(3)
    g = jnp.asarray(W)
    return [
        problem("solve", lambda a, b: jnp.linalg.solve(a, b).sum(), a, P),
        problem("cholesky", lambda a: (jnp.linalg.cholesky((a + a.T) / 2) * g).sum(), a),
        problem("slogdet", lambda a: jnp.linalg.slogdet(a)[1], W, accuracy=1e-8),
        problem("eigh", lambda a: jnp.linalg.eigh((a + a.T) / 2)[0], a, accuracy=1e-8),
        problem("expm", lambda a: (jsp.linalg.expm(a) * g).sum(), W / 2, mistakes=("transposed", "the sign reversed")),
        problem("svd", lambda a: jnp.linalg.svd(a, compute_uv=False).sum(), W, accuracy=1e-8),
        problem(
            "matmul chain", lambda a, b: jnp.tanh(a @ b).sum(), X, W, mistakes=("transposed", "one entry off by 1e-6")
        ),
        problem("einsum", lambda a: jnp.einsum("ij,jk,ik->", a, a, a), W),
        problem(
            "trace of a power",
            lambda a: jnp.trace(jnp.linalg.matrix_power(a, 3)),
            W,
            wrong={"not transposed": lambda a: 3 * a @ a},
            accuracy=1e-8,
        ),
    ]


def of_programs() -> list[Problem]:
    def scan(h: Any, w: Any) -> Any:
        return lax.scan(lambda h, x: (jnp.tanh(w @ h + x), None), h, jnp.asarray(X))[0].sum()

    def network(x: Any, w1: Any, b1: Any, w2: Any) -> Any:
        return jnp.mean((jnp.tanh(x @ w1 + b1) @ w2 - 1) ** 2)

    def newton(p: Any) -> Any:
        """√p by steps whose number is fixed."""
        return lax.fori_loop(0, 8, lambda _, t: (t + p / t) / 2, jnp.ones_like(p)).sum()

    def root(p: Any) -> Any:
        """t³ + p t = 2 by an implicit rule."""

        def f(t: Any) -> Any:
            return t**3 + p[0] * t - p[1]

        def steps(f: Any, t: Any) -> Any:
            return lax.fori_loop(0, 30, lambda _, t: t - f(t) / (3 * t**2 + p[0]), t)

        return lax.custom_root(f, 1.0, steps, lambda g, y: y / g(1.0))

    def leapfrog(q: Any, k: Any) -> Any:
        def step(_: int, state: Any) -> Any:
            q, p = state
            p = p - 0.05 * k * jnp.sin(q)
            return q + 0.1 * p, p

        return lax.fori_loop(0, 20, step, (q, jnp.zeros_like(q)))[0].sum()

    def pendulum(y: Any, k: Any) -> Any:
        return odeint(lambda y, t: jnp.array([y[1], -k * jnp.sin(y[0])]), y, jnp.array([0.0, 1.5]), rtol=1e-6)[-1]

    def attention(q: Any, k: Any, v: Any) -> Any:
        return jnp.sum(nn.softmax(q @ k.T) @ v * jnp.arange(3.0))

    adjoint = problem("the adjoint of an equation", pendulum, np.array([0.7, 0.1]), np.float64(1.3))
    return [
        problem("scan", scan, P, W / 3),
        problem("a network", network, X, W, P, P[:, None]),
        replace(
            adjoint,
            gradient=lambda y, k: tuple(truth.derivative(adjoint.f, (y, k), 3e-4)),
            mistakes=("the sign reversed", "off by one"),
            imprecise={"JAX's": adjoint.gradient},
            step=5e-4,
            knowable=1e-5,
            why="the slope moves by 1e-6 where the solver takes other steps",
        ),
        problem("Newton's steps", newton, P, accuracy=1e-8),
        problem("a root", root, np.array([1.0, 3.0]), accuracy=1e-8),
        problem("leapfrog", leapfrog, P, np.float64(1.3), accuracy=1e-8),
        problem("attention", attention, X, X[::-1] / 2, X[:, ::-1] + 0.3, accuracy=1e-8),
        problem("vmap", lambda x, w: jax.vmap(lambda r: jnp.tanh(r @ w) @ w.sum(0))(x), X, W, accuracy=1e-8),
        problem("cond", lambda x: lax.cond(x[0] > 0, lambda x: (x**2).sum(), lambda x: jnp.sin(x).sum(), x), V),
        problem("associative_scan", lambda x: lax.associative_scan(jnp.multiply, x).sum(), P),
        problem(
            "a Hessian",
            jax.grad(lambda x: jnp.sum(jnp.sin(x) * x[::-1] ** 2)),
            V,
            mistakes=("zero", "one entry off by 1e-6"),
        ),
        problem(
            "a Fisher matrix's product", lambda x: jax.jvp(lambda x: nn.log_softmax(x), (x,), (jnp.arange(4.0),))[1], V
        ),
    ]


def of_dictionaries() -> list[Problem]:
    """JAX sorts the keys of a dictionary; others give theirs in an order of their own."""

    def loss(p: Any) -> Any:
        return jnp.sum(jnp.tanh(jnp.asarray(X) @ p["w"] + p["b"]) @ p["a"])

    p = {"w": W, "b": P, "a": P[::-1].copy()}
    sorted_by_jax = problem(
        "a dictionary", loss, p, mistakes=("the sign reversed", "one entry missing", "twice too large"), wrong={}
    )
    theirs = sorted_by_jax.gradient

    def with_keys(order: str) -> Callable[..., Any]:
        return lambda p: {key: theirs(p)[key] for key in order}

    def swapped(p: Any) -> Any:
        found = theirs(p)
        return {"w": found["w"], "b": found["a"], "a": found["b"]}

    nested = {"z": {"w": W[0], "k": P}, "a": [V[:3], W[1]]}

    def deep(p: Any) -> Any:
        return jnp.sum(p["z"]["w"] * jnp.sin(p["z"]["k"])) + jnp.sum(p["a"][0] * jnp.exp(p["a"][1]))

    return [
        sorted_by_jax,
        replace(
            sorted_by_jax, name="jax a dictionary, sorted", gradient=with_keys("abw"), mistakes=("the sign reversed",)
        ),
        replace(
            sorted_by_jax,
            name="jax a dictionary, reversed",
            gradient=with_keys("bwa"),
            mistakes=(),
            wrong={"two swapped": swapped},
        ),
        problem("nested containers", deep, nested, mistakes=("the sign reversed", "one entry off by 1e-6")),
    ]


def of_mistakes() -> list[Problem]:
    @jax.custom_vjp
    def cube(x: Any) -> Any:
        return x**3

    cube.defvjp(lambda x: (x**3, x), lambda x, g: (2 * g * x**2,))

    def grad(f: Callable[..., Any]) -> Callable[..., Any]:
        compiled = jax.jit(jax.grad(f))
        return lambda x: np.asarray(compiled(x))

    stop = lax.stop_gradient
    return [
        problem("cube", lambda x: (x**3).sum(), V, mistakes=(), wrong={"a rule with 2": grad(lambda x: cube(x).sum())}),
        problem(
            "stopped",
            lambda x: jnp.sum(x * jnp.sin(x)),
            V,
            mistakes=(),
            wrong={"one factor": grad(lambda x: jnp.sum(stop(x) * jnp.sin(x)))},
        ),
        problem(
            "softmax, stopped",
            lambda x: jnp.sum(nn.softmax(x) * x),
            V,
            mistakes=(),
            wrong={"its weights": grad(lambda x: jnp.sum(stop(nn.softmax(x)) * x))},
        ),
        problem(
            "a mean",
            lambda x: jnp.mean(jnp.exp(x)),
            V,
            mistakes=("the mean taken for a sum",),
            wrong={"of the first row": grad(lambda x: jnp.exp(x)[0])},
        ),
        problem(
            "where, with NaN",
            lambda x: jnp.sum(jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1)), 0)),
            V,
            mistakes=(),
            wrong={"not guarded": grad(lambda x: jnp.sum(jnp.where(x > 0, jnp.sqrt(x), 0)))},
            step=1e-3,
        ),
        problem(
            "round",
            lambda x: jnp.sum(jnp.round(x)),
            V,
            knowable=1.0,
            why="steps look like the values of a rounded function",
            derived=np.zeros(4),
            mistakes=(),
            wrong={"straight through": lambda x: np.ones(4)},
        ),
    ]


def of_single_precision() -> list[Problem]:
    """A network in float32, to which its gradient is held; the truth is that of the same network in float64."""
    w, v = (RNG.normal(size=shape) / 2 for shape in ((3, 4), (4, 1)))

    def network(w: Any, v: Any) -> Any:
        return jnp.mean((nn.relu(jnp.asarray(X, w.dtype) @ w) @ v - 1) ** 2)

    def in_32(f: Callable[..., Any]) -> Callable[..., Any]:
        compiled = jax.jit(f)
        return lambda *x: jax.tree.map(np.asarray, compiled(*(jnp.asarray(part, jnp.float32) for part in x)))

    return [
        replace(
            problem("float32, a network of relu", network, w, v),
            f=in_32(network),
            inputs=(w.astype(np.float32), v.astype(np.float32)),
            gradient=in_32(jax.grad(network, (0, 1))),
            mistakes=("the sign reversed", "one entry missing", "twice too large"),
            exact=network,
            step=1e-5,
            accuracy=1e-5,
            knowable=1e-4,
            why="its values are float32",
        )
    ]


def problems() -> list[Problem]:
    parts = (of_functions, of_matrices, of_programs, of_dictionaries, of_mistakes, of_single_precision)
    return [problem for part in parts for problem in part()]
