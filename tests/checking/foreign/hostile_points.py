"""Points at which differences are delicate: edges of domains, kinks, gradients of 0, ill conditions; and containers."""

import math
from functools import partial
from typing import Any

import numpy as np

from tests.checking.foreign.cases import Problem, a

sum, exp, sin, cos, log = np.sum, np.exp, np.sin, np.cos, np.log


class OutOfDomain(ValueError):
    pass


def strict(f: Any, low: float = -np.inf, high: float = np.inf) -> Any:
    """The function, which raises outside of its domain."""

    def checked(x: Any) -> Any:
        if np.any(np.asarray(x) < low) or np.any(np.asarray(x) > high):
            raise OutOfDomain(f"{x} is not within {low} and {high}")
        return f(x)

    return checked


def entropy(p: Any) -> Any:
    return -sum(p * log(p))


def entropy_gradient(p: Any) -> Any:
    return -log(p) - 1


def edges() -> list[Problem]:
    some = ("the sign reversed", "zero", "twice too large", "one entry off by 1e-6")
    return [
        Problem("entropy", entropy, (a(0.3, 0.3, 0.4),), entropy_gradient, some),
        Problem(
            "entropy, one of 1e-9",
            entropy,
            (a(1e-9, 0.4, 0.6),),
            entropy_gradient,
            (*some, "off by one"),
            wrong={"five times": lambda p: 5 * entropy_gradient(p)},
        ),
        Problem("entropy, one of 1e-15", entropy, (a(1e-15, 0.4, 0.6),), entropy_gradient, some),
        Problem(
            "entropy that raises",
            strict(entropy, 0, 1),
            (a(1e-9, 0.4, 0.6),),
            entropy_gradient,
            some,
            wrong={"without 1": lambda p: -log(p)},
            knowable=1e-08,
            why="one of 1e-9 in a sum of 0.7",
        ),
        Problem(
            "entropy of rounded rows",
            lambda p: float(entropy(p)),
            (a(1e-7, 1e-3, 0.999),),
            entropy_gradient,
            some,
            exact=entropy,
            knowable=1e-09,
        ),
        Problem(
            "divergence",
            lambda p: sum(p * log(p / a(0.2, 0.3, 0.5))),
            (a(1e-8, 0.5, 0.5),),
            lambda p: log(p / a(0.2, 0.3, 0.5)) + 1,
            some,
        ),
        Problem("log near 0", lambda x: sum(log(x)), (a(1e-10, 1e-5, 1.0),), lambda x: 1 / x, some),
        Problem("log near 0 that raises", strict(lambda x: sum(log(x)), 0), (a(1e-10, 2.0),), lambda x: 1 / x, some),
        Problem("root near 0", lambda x: sum(np.sqrt(x)), (a(1e-12, 1e-3, 1.0),), lambda x: 0.5 / np.sqrt(x), some),
        Problem(
            "root near 0 that raises",
            strict(lambda x: sum(np.sqrt(x)), 0),
            (a(1e-6, 1.0),),
            lambda x: 0.5 / np.sqrt(x),
            some,
        ),
        Problem(
            "log of 1 - x near 1",
            lambda x: sum(log(1 - x)),
            (a(1 - 1e-6, 0.5),),
            lambda x: -1 / (1 - x),
            some,
            accuracy=1e-8,
            knowable=1e-9,
        ),
        Problem(
            "arcsine near 1",
            strict(lambda x: sum(np.arcsin(x)), -1, 1),
            (a(0.999999, -0.5),),
            lambda x: 1 / np.sqrt(1 - x**2),
            some,
            accuracy=1e-9,
        ),
        Problem(
            "logit near 0",
            strict(lambda p: sum(log(p / (1 - p))), 0, 1),
            (a(1e-9, 0.3),),
            lambda p: 1 / p + 1 / (1 - p),
            some,
        ),
        Problem(
            "a parabola at its bounds",
            strict(lambda x: sum(x**2 + 3 * x), 0, 1),
            (a(0.0, 0.5, 1.0),),
            lambda x: 2 * x + 3,
            some,
            derived=a(3.0, 4.0, 5.0),
        ),
        Problem(
            "the power 3/2 at 0",
            strict(lambda x: sum(x**1.5 + x), 0),
            (a(0.0, 1.0),),
            lambda x: 1.5 * x**0.5 + 1,
            some[:3],
            derived=a(1.0, 2.5),
            knowable=0.0001,
            why="the one side has a root's curvature, in a sum of 2",
        ),
        Problem(
            "a likelihood that raises",
            strict(lambda s: sum(log(s) + a(0.3, 2.0, 1.0) ** 2 / (2 * s**2)), 0),
            (a(0.001, 1.0, 2.0),),
            lambda s: 1 / s - a(0.3, 2.0, 1.0) ** 2 / s**3,
            some,
            knowable=1e-09,
        ),
    ]


def kinks() -> list[Problem]:
    def relu(x: Any) -> Any:
        return np.maximum(x, 0)

    return [
        Problem(
            "z² at 0",
            lambda z: sum(z**2),
            (a(0.0, 1.0),),
            lambda z: 2 * z,
            wrong={"1 at 0": lambda z: 2 * z + (z == 0), "1e-3 at 0": lambda z: 2 * z + 1e-3 * (z == 0)},
        ),
        Problem(
            "z² at 0 alone",
            lambda z: z**2,
            (0.0,),
            lambda z: 2 * z,
            mistakes=(),
            wrong={"1": lambda z: 2 * z + 1, "1e-3": lambda z: 2 * z + 1e-3},
        ),
        Problem(
            "z⁴ at 0",
            lambda z: sum(z**4),
            (a(0.0, 0.0),),
            lambda z: 4 * z**3,
            mistakes=(),
            wrong={"1e-3": lambda z: 4 * z**3 + 1e-3, "one of 1": lambda z: a(0.0, 1.0)},
        ),
        Problem(
            "cosine at 0",
            lambda z: sum(cos(z)),
            (a(0.0, 0.0, 1.0),),
            lambda z: -sin(z),
            wrong={"the cosine": lambda z: cos(z)},
        ),
        Problem(
            "a saddle",
            lambda z: z[0] * z[1],
            (a(0.0, 0.0),),
            lambda z: z[::-1].copy(),
            mistakes=(),
            wrong={"1": lambda z: a(1.0, 0.0)},
        ),
        Problem(
            "least squares at the solution",
            lambda w: sum((a(1.0, 2.0, 3.0) * w - a(2.0, 4.0, 6.0)) ** 2),
            (2.0,),
            lambda w: 2 * sum(a(1.0, 2.0, 3.0) * (a(1.0, 2.0, 3.0) * w - a(2.0, 4.0, 6.0))),
            mistakes=(),
            wrong={"28": lambda w: 28.0 + 0 * w, "0.01": lambda w: 0.01 + 0 * w},
        ),
        Problem(
            "|x| at 0",
            lambda x: sum(np.abs(x)),
            (a(0.0, 1.0, -2.0),),
            np.sign,
            derived=a(0.0, 1.0, -1.0),
            mistakes=("the sign reversed", "twice too large"),
            wrong={"2 at 0": lambda x: np.sign(x) + 2 * (x == 0)},
        ),
        Problem(
            "relu at 0",
            lambda x: sum(relu(x) * 3),
            (a(0.0, 1.0, -2.0),),
            lambda x: 3.0 * (x > 0),
            derived=a(0.0, 3.0, 0.0),
            mistakes=("the sign reversed", "one entry missing"),
            wrong={"-1 at 0": lambda x: 3.0 * (x > 0) - (x == 0)},
        ),
        Problem(
            "relu² at 0",
            lambda x: float(sum(relu(x) ** 2)),
            (a(-1.0, 0.0, 0.5, 2.0),),
            lambda x: 2 * relu(x),
            derived=a(0.0, 0.0, 1.0, 4.0),
            wrong={"1e-3 at 0": lambda x: 2 * relu(x) + 1e-3 * (x == 0)},
        ),
        Problem(
            "sign(x) x² at 0",
            lambda x: float(sum(np.sign(x) * x**2)),
            (a(0.0, 1.0, -1.0),),
            lambda x: 2 * np.abs(x),
            derived=a(0.0, 2.0, 2.0),
            wrong={"1e-3 at 0": lambda x: 2 * np.abs(x) + 1e-3 * (x == 0)},
        ),
        *(
            Problem(
                f"clip at both bounds, {name}",
                f,
                (a(0.0, 1.0, 0.5, 2.0),),
                lambda x: cos(np.clip(x, 0, 1)) * ((x >= 0) & (x <= 1)),
                derived=a(1.0, cos(1.0), cos(0.5), 0.0),
                mistakes=("the sign reversed", "twice too large"),
                wrong={"1 beyond": lambda x: cos(np.clip(x, 0, 1)) * (x >= 0)},
            )
            for name, f in (
                ("traced", lambda x: sum(sin(np.clip(x, 0, 1)))),
                ("as a float", lambda x: float(sum(sin(np.clip(x, 0, 1))))),
            )
        ),
        Problem(
            "max with a tie, to both",
            np.max,
            (a(2.0, 1.0, 2.0),),
            lambda x: a(0.5, 0.0, 0.5),
            derived=a(0.5, 0.0, 0.5),
            mistakes=(),
            wrong={"1 for each": lambda x: 1.0 * (x == np.max(x))},
        ),
        Problem(
            "between lines, beside a knot",
            lambda x: float(sum(np.interp(x, [0.0, 0.25, 0.5], [0.0, 1.0, -1.0]))),
            (a(0.25 + 1e-9, 0.4),),
            lambda x: a(-8.0, -8.0),
            derived=a(-8.0, -8.0),
            wrong={"on the other side": lambda x: a(4.0, -8.0)},
        ),
        *(
            Problem(
                f"sine with a jump at {at}",
                lambda x, at=at: float(sum(sin(x) + 3.0 * (x > at))),
                (a(0.9, 1.2),),
                cos,
                ("the sign reversed", "zero", "off by 1 %", "one entry off by 1e-6"),
                derived=cos(a(0.9, 1.2)),
            )
            for at in (1.0, 0.9 + 1e-6, 0.5)
        ),
        Problem(
            "a truncated line",
            lambda x: np.where(np.abs(x) < 2, 2 * x, 0.0),
            (a(0.3, -2.5, 5.0),),
            lambda x: np.diag(np.where(np.abs(x) < 2, 2.0, 0)),
            derived=np.diag(a(2.0, 0, 0)),
        ),
        Problem(
            "a threshold",
            lambda x: float(sum(x > 1)),
            (a(0.9, 1.2),),
            lambda x: 0 * x,
            derived=a(0.0, 0.0),
            wrong={"1": lambda x: 1 + 0 * x},
        ),
        Problem(
            "relu beside 0",
            lambda x: sum(relu(x)),
            (a(1e-7, 1.0, -1e-9),),
            lambda x: 1.0 * (x > 0),
            mistakes=("the sign reversed", "one entry missing"),
            wrong={"1 below": lambda x: 1.0 * (x > -1), "0 above": lambda x: 1.0 * (x > 1e-3)},
            knowable=1e-06,
            why="a side of 1e-9 in a sum of 1",
        ),
        Problem(
            "max with a tie",
            np.max,
            (a(2.0, 1.0, 2.0),),
            lambda x: (x == np.max(x)) / sum(x == np.max(x)),
            derived=a(0.5, 0.0, 0.5),
            mistakes=("the sign reversed", "twice too large"),
            wrong={"1 for the other": lambda x: 1.0 * (x == 1)},
        ),
        Problem(
            "max with a tie, to the first",
            np.max,
            (a(2.0, 1.0, 2.0),),
            lambda x: 1.0 * (np.arange(3) == np.argmax(x)),
            derived=a(1.0, 0.0, 0.0),
            mistakes=("the sign reversed", "twice too large"),
            wrong={"1 for the other": lambda x: 1.0 * (x == 1)},
        ),
        Problem(
            "max beside a tie",
            np.max,
            (a(2.0, 1.0, 2.0 + 1e-8),),
            lambda x: 1.0 * (x == np.max(x)),
            mistakes=("the sign reversed", "off by one", "half of the last"),
            knowable=1e-07,
            why="a side of 1e-8 of a value of 2",
        ),
        Problem(
            "a hinge beside its corner",
            lambda w: sum(relu(1 - w * a(1.0, -1.0))),
            (a(1 - 1e-6, 0.5),),
            lambda w: -a(1.0, -1.0) * (w * a(1.0, -1.0) < 1),
            mistakes=("the sign reversed", "one entry missing"),
        ),
        Problem(
            "floor between its jumps",
            lambda x: sum(np.floor(x) * x),
            (a(1.5, 2.2),),
            np.floor,
            mistakes=("zero", "twice too large"),
            wrong={"straight through": lambda x: np.floor(x) + x},
        ),
        Problem(
            "floor beside a jump",
            lambda x: sum(np.floor(x) + x),
            (a(2 + 1e-6, 1.5),),
            lambda x: np.ones_like(x),
            mistakes=("the sign reversed", "twice too large"),
            knowable=1e-08,
            why="a side of 1e-6 of a sum of 5",
        ),
        Problem(
            "median",
            np.median,
            (a(3.0, 1.0, 2.0),),
            lambda x: 1.0 * (x == np.median(x)),
            derived=a(0.0, 0.0, 1.0),
            mistakes=("off by one", "half of the last"),
        ),
        *(
            Problem(
                f"{name} of three ties, {convention}",
                f,
                (x,),
                lambda x, g=g: g,
                derived=g,
                mistakes=("the sign reversed", "zero", "twice too large", "off by 1 %"),
            )
            for name, f, x in (
                ("the median", np.median, a(3.0, 1.0, 1.0, 1.0, 0.0)),
                ("the second largest", lambda x: float(np.sort(x)[-2]), a(1.0, -2.0, 1.0, 1.0)),
                ("the second largest, less a sum,", lambda x: np.sort(x)[-2] - np.sum(x) / 4, a(1.0, 1.0, 1.0)),
            )
            for convention, g in _of_ties(x, x == 1.0, less="less" in name).items()
        ),
        Problem(
            "huber at its corner",
            lambda x: sum(np.where(np.abs(x) <= 1, x**2 / 2, np.abs(x) - 0.5)),
            (a(1.0, 0.3, -2.0),),
            lambda x: np.clip(x, -1, 1),
            mistakes=("the sign reversed", "one entry off by 1e-6"),
            accuracy=1e-11,
        ),
        Problem(
            "x|x| at 0",
            lambda x: sum(x * np.abs(x)),
            (a(0.0, 1.0),),
            lambda x: 2 * np.abs(x),
            wrong={"1 at 0": lambda x: 2 * np.abs(x) + (x == 0)},
        ),
        Problem(
            "smooth, flat to all orders",
            lambda x: sum(exp(-1 / x**2)),
            (a(0.1, 0.5),),
            lambda x: 2 / x**3 * exp(-1 / x**2),
            mistakes=("the sign reversed", "zero", "off by one"),
        ),
    ]


def forward_difference(f: Any, step: float = 1.5e-8) -> Any:
    def gradient(x: Any) -> Any:
        return a(*[(f(x + step * row) - f(x)) / step for row in np.identity(len(x))])

    return gradient


def imprecise() -> list[Problem]:
    """Gradients that agree to a few digits, as forward differences do."""

    def rosenbrock(x: Any) -> Any:
        return sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    def rosenbrock_gradient(x: Any) -> Any:
        d = x[1:] - x[:-1] ** 2
        return np.concatenate([-400 * x[:-1] * d - 2 * (1 - x[:-1]), [0]]) + np.concatenate([[0], 200 * d])

    x = a(0.5, 1.2, 2.0)
    return [
        Problem(
            f"{name}, by forward differences",
            f,
            (x,),
            g,
            mistakes=("one entry off by 1e-6",),
            imprecise={f"a step of {step:g}": forward_difference(f, step) for step in (1e-4, 1e-6, 1.5e-8)},
        )
        for name, f, g in (
            ("Rosenbrock", rosenbrock, rosenbrock_gradient),
            ("Σ sin x", lambda x: sum(sin(x)), cos),
            ("Σ exp x / x", lambda x: sum(exp(x) / x), lambda x: exp(x) / x - exp(x) / x**2),
        )
    ]


def ill_conditioned() -> list[Problem]:
    """Solves whose right gradients rounding moves in the tenth digit; ours go through NumPy's own solve."""
    n = np.arange(6)
    hilbert = 1.0 / (n[:, None] + n + 1)
    signs = (-1.0) ** (n[:, None] + n)
    # of Hilbert's matrix the inverse is known, in integers
    binomial = np.vectorize(math.comb)
    inverse = (
        signs
        * (n[:, None] + n + 1)
        * binomial(n[:, None] + 6, 5 - n)
        * binomial(n + 6, 5 - n[:, None])
        * binomial(n[:, None] + n, n) ** 2.0
    )
    b, w = 1.0 + n, a(1.0, -2.0, 3.0, 0.5, 1.0, -1.0)
    times = np.linspace(0, 1, 7)
    targets = sin(3 * times)
    why = "its condition is 1e7"

    def likelihood(length: Any, jitter: float = 1e-8) -> Any:
        k = exp(-(((times[:, None] - times) / length) ** 2) / 2) + jitter * np.eye(7)
        return targets @ np.linalg.solve(k, targets) + np.linalg.slogdet(k)[1]

    def likelihood_gradient(length: Any) -> Any:
        d = (times[:, None] - times) / length
        k = exp(-(d**2) / 2)
        change = k * d**2 / length
        alpha = np.linalg.solve(k + 1e-8 * np.eye(7), targets)
        return np.trace(np.linalg.solve(k + 1e-8 * np.eye(7), change)) - alpha @ change @ alpha

    some = ("the sign reversed", "off by 1 %", "one entry missing")
    return [
        Problem(
            "a Hilbert matrix of 6",
            lambda b: w @ np.linalg.solve(hilbert, b),
            (b,),
            lambda b: np.linalg.solve(hilbert, w),
            some,
            ours=True,
            derived=inverse @ w,
            accuracy=1e-8,
            knowable=1e-8,
            why=why,
        ),
        Problem(
            "a Hilbert matrix of 6, all results",
            lambda b: np.linalg.solve(hilbert, b),
            (b,),
            lambda b: np.linalg.inv(hilbert),
            some,
            ours=True,
            derived=inverse,
            accuracy=1e-8,
            knowable=1e-8,
            why=why,
        ),
        Problem(
            "a Hilbert matrix of 6, squared",
            lambda b: sum(np.linalg.solve(hilbert, b) ** 2),
            (b,),
            lambda b: 2 * np.linalg.solve(hilbert, np.linalg.solve(hilbert, b)),
            some,
            ours=True,
            derived=2 * inverse @ inverse @ b,
            accuracy=1e-7,
            knowable=1e-7,
            why=why,
        ),
        Problem(
            "a Gaussian process of jitter 1e-8",
            likelihood,
            (0.5,),
            likelihood_gradient,
            some[:2],
            ours=True,
            exact=partial(_likelihood_in_digits, times, targets),
            accuracy=1e-5,
            knowable=1e-5,
            why="its condition is 1e9",
        ),
    ]


def _likelihood_in_digits(times: Any, targets: Any, length: Any) -> Any:
    """The same by Gauss's elimination, which numbers of any kind allow."""
    k = exp(-((((times[:, None] - times) / length) ** 2) / 2)) + 1e-8 * np.eye(7)
    rows = np.concatenate([k, targets[:, None]], axis=1)
    total: Any = 0.0
    for i in range(7):
        total = total + np.log(rows[i, i]) + rows[i, -1] ** 2 / rows[i, i]
        for j in range(i + 1, 7):
            rows[j] = rows[j] - rows[i] * (rows[j, i] / rows[i, i])
    return total


def containers() -> list[Problem]:
    """Gradients in containers, which their keys tell apart and not their places."""
    p = {"weight": a(0.5, 1.2, 2.0), "bias": a(-0.3, 0.4, 0.1), "scale": 1.7}

    def loss(p: Any) -> Any:
        return p["scale"] * sum(sin(p["weight"]) * exp(p["bias"]))

    def gradient(p: Any) -> Any:
        w, b, s = p["weight"], p["bias"], p["scale"]
        return {"weight": s * cos(w) * exp(b), "bias": s * sin(w) * exp(b), "scale": sum(sin(w) * exp(b))}

    def with_keys(keys: str) -> Any:
        return lambda p: {key: gradient(p)[key] for key in keys.split()}

    def renamed(p: Any) -> Any:
        found = gradient(p)
        return {"weights": found["weight"], "bias": found["bias"], "scale": found["scale"]}

    def swapped(p: Any) -> Any:
        found = gradient(p)
        return {"weight": found["bias"], "bias": found["weight"], "scale": found["scale"]}

    def of_two(u: Any, v: Any) -> Any:
        return sum(u**2 * sin(v))

    return [
        Problem(
            "a dictionary",
            loss,
            (p,),
            gradient,
            wrong={"two swapped": swapped},
            refused={
                "a key renamed": renamed,
                "a key missing": with_keys("weight bias"),
                "without keys": lambda p: list(gradient(p).values()),
            },
        ),
        Problem(
            "a dictionary, sorted",
            loss,
            (p,),
            with_keys("bias scale weight"),
            ("the sign reversed", "one entry off by 1e-6"),
        ),
        Problem("a dictionary, reversed", loss, (p,), with_keys("scale bias weight"), ("twice too large", "zero")),
        Problem(
            "a list of layers",
            lambda layers: sum(np.tanh(layers[1][0] @ np.tanh(layers[0][0] @ layers[0][1]))),
            ([(np.eye(2) + 0.3, a(0.5, -0.2)), (a(1.0, 2.0),)],),
            _layers_gradient,
            ("the sign reversed", "one entry off by 1e-6", "transposed"),
        ),
        Problem(
            "two arguments",
            of_two,
            (a(0.5, 1.2), a(2.0, 0.3)),
            lambda u, v: (2 * u * sin(v), u**2 * cos(v)),
            wrong={
                "swapped": lambda u, v: (u**2 * cos(v), 2 * u * sin(v)),
                "the second of the first": lambda u, v: (2 * u * sin(v), u**2 * cos(u)),
            },
        ),
        Problem(
            "an argument and a number",
            lambda u, s: sum(u**s),
            (a(0.5, 1.2), 2.5),
            lambda u, s: (s * u ** (s - 1), sum(u**s * log(u))),
            ("half of the last", "the sign reversed"),
        ),
        Problem(
            "two arguments, a vector of results",
            lambda u, v: u * v[::-1],
            (a(0.5, 1.2), a(2.0, 0.3)),
            lambda u, v: (np.diag(v[::-1]), np.diag(u)[:, ::-1]),
            ("transposed", "twice too large", "off by one"),
            wrong={"not reversed": lambda u, v: (np.diag(v[::-1]), np.diag(u))},
        ),
        Problem(
            "an argument that does not matter",
            lambda u, v: sum(u**2) + 0 * sum(v),
            (a(0.5, 1.2), a(2.0, 0.3)),
            lambda u, v: (2 * u, np.zeros(2)),
            wrong={"but is said to": lambda u, v: (2 * u, a(0.0, 1e-3))},
        ),
        Problem(
            "a matrix of results",
            lambda x: np.outer(x, x),
            (a(0.5, 1.2),),
            lambda x: np.einsum("ik,j->ijk", np.eye(2), x) + np.einsum("jk,i->ijk", np.eye(2), x),
            wrong={"one of two terms": lambda x: np.einsum("ik,j->ijk", np.eye(2), x)},
        ),
    ]


def _layers_gradient(layers: Any) -> Any:
    (w, b), (v,) = layers
    h = np.tanh(w @ b)
    outer = 1 - np.tanh(v @ h) ** 2
    inner = outer * v * (1 - h**2)
    return [(np.outer(inner, b), w.T @ inner), (outer * h,)]


def habits() -> list[Problem]:
    """What people's functions do besides: they use a buffer again, keep a state, return lists, are not finite."""
    buffer, kept = np.empty(3), np.empty(3)
    x = a(0.5, 1.2, 2.0)
    draws = np.random.default_rng(0).normal(size=50)

    def into_buffer(x: Any) -> Any:
        buffer[:] = sin(x)
        return buffer

    def gradient_into_buffer(x: Any) -> Any:
        kept[:] = cos(x)
        return kept

    def sampled(x: Any) -> Any:
        return np.mean((x[0] + x[1] * draws) ** 2)

    def by_score(x: Any) -> Any:
        """An estimate without bias, which is not the derivative of the mean over these draws."""
        values = (x[0] + x[1] * draws) ** 2
        return a(np.mean(values * draws) / x[1], np.mean(values * (draws**2 - 1)) / x[1])

    def in_place(x: Any) -> Any:
        x *= 2
        return x

    return [
        Problem(
            "results in one buffer",
            into_buffer,
            (x,),
            lambda x: np.diag(cos(x)),
            ("the sign reversed", "zero", "one entry off by 1e-6"),
            exact=sin,
        ),
        Problem(
            "gradients in one buffer", lambda x: sum(sin(x)), (x,), gradient_into_buffer, ("the sign reversed", "stale")
        ),
        Problem(
            "a mean over fixed draws",
            sampled,
            (a(0.5, 1.2),),
            lambda x: a(2 * np.mean(x[0] + x[1] * draws), 2 * np.mean((x[0] + x[1] * draws) * draws)),
            wrong={"by the score": by_score},
        ),
        Problem(
            "results in a list",
            lambda x: [sum(sin(x)), x[0] * x[1]],
            (x,),
            lambda x: a(cos(x), [x[1], x[0], 0]),
            ("the sign reversed", "one entry missing"),
        ),
        Problem(
            "a gradient as a list",
            lambda x: float(sum(sin(x))),
            (x,),
            lambda x: cos(x),
            ("twice too large",),
            exact=lambda x: sum(sin(x)),
            wrong={"of NaN": lambda x: a(np.nan, *cos(x[1:])), "of infinity": lambda x: a(np.inf, *cos(x[1:]))},
            refused={
                "of another length": lambda x: cos(x[1:]),
                "of a column": lambda x: cos(x)[:, None],
                "in place": in_place,
            },
        ),
        Problem(
            "an array of three dimensions",
            lambda x: sum(x**2 * np.arange(8.0).reshape(2, 2, 2)),
            (np.arange(8.0).reshape(2, 2, 2) / 3 + 0.1,),
            lambda x: 2 * x * np.arange(8.0).reshape(2, 2, 2),
            ("transposed", "one entry off by 1e-8", "off by one"),
        ),
        Problem(
            "an array in Fortran's order",
            lambda x: sum(sin(x) @ a(1.0, 2.0)),
            (np.asfortranarray(np.arange(6.0).reshape(3, 2)),),
            lambda x: cos(x) * a(1.0, 2.0),
            ("one entry missing", "the last slice missing"),
        ),
        Problem(
            "1,100 entries",
            lambda x: sum(sin(x) ** 2),
            (np.linspace(0, 5, 1100),),
            lambda x: 2 * sin(x) * cos(x),
            ("one entry missing", "one entry off by 1e-6", "the sign reversed", "off by one"),
        ),
        Problem(
            "1,100 entries, by values",
            lambda x: float(sum(sin(x) ** 2)),
            (np.linspace(0, 5, 1100),),
            lambda x: 2 * sin(x) * cos(x),
            ("one entry missing", "the sign reversed", "off by one"),
            exact=lambda x: sum(sin(x) ** 2),
        ),
    ]


def _of_ties(x: np.ndarray, tied: np.ndarray, less: bool) -> dict[str, np.ndarray]:
    """Gradients of the value at which some entries are tied, less a quarter of the sum."""
    conventions = {"to all": tied / np.sum(tied), "to the first": 1.0 * (np.arange(x.size) == np.argmax(tied))}
    return {convention: g - less / 4 for convention, g in conventions.items()}


def problems() -> list[Problem]:
    return [problem for part in (edges, kinks, imprecise, ill_conditioned, containers, habits) for problem in part()]
