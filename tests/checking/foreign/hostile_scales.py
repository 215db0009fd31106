"""Functions of narrow features, extreme sizes and few digits, which no usual step or tolerance suits."""

import math
from typing import Any

import numpy as np

from tests.checking.foreign.cases import Problem, a

sum, exp, sin, cos, log = np.sum, np.exp, np.sin, np.cos, np.log


def sigmoid(x: Any) -> Any:
    return 1 / (1 + exp(-x))


def line(centre: float, width: float) -> tuple[Any, Any]:
    def f(x: Any) -> Any:
        return sum(exp(-(((x - centre) / width) ** 2) / 2))

    return f, lambda x: -(x - centre) / width**2 * exp(-(((x - centre) / width) ** 2) / 2)


def narrow() -> list[Problem]:
    """Features much narrower than the argument is large."""
    found = []
    for centre, width, x in (
        (500, 0.4, a(500.2)),
        (500, 0.4, a(499.5, 500.1, 500.9)),
        (656.28, 0.01, a(656.283, 656.27)),
        (1e6, 1e-3, a(1e6 + 4e-4)),
        (1.0, 1e-9, a(1 + 5e-10)),
        (2.0, 1e-8, a(2 + 7e-9, 2 - 1e-8)),
    ):
        f, g = line(centre, width)  # x - centre is exact, and so are the values, however narrow the line
        mistakes = ("zero", "the sign reversed", "off by 1 %", "one entry off by 1e-6")
        found.append(Problem(f"a line at {centre:g} of width {width:g}, {len(x)}", f, (x,), g, mistakes))

    spectrum = a(486.13, 587.56, 656.28)

    def lines(x: Any) -> Any:
        return sum(exp(-(((x[:, None] - spectrum) / 0.2) ** 2) / 2))

    def lines_gradient(x: Any) -> Any:
        d = (x[:, None] - spectrum) / 0.2
        return sum(-d / 0.2 * exp(-(d**2) / 2), axis=1)

    found.append(
        Problem(
            "a spectrum of lines",
            lines,
            (a(486.0, 587.6, 600.0, 656.5),),
            lines_gradient,
            ("zero", "one entry missing", "one entry off by 1e-6"),
        )
    )

    for t in (a(3.7), a(12.34, 100.03), a(86400.1)):
        found.append(
            Problem(
                f"440 Hz at {t[-1]}",
                lambda t: sum(sin(2 * np.pi * 440 * t)),
                (t,),
                lambda t: 2 * np.pi * 440 * cos(2 * np.pi * 440 * t),
                mistakes=("zero", "the sign reversed", "off by 1 %"),
                accuracy=1e-7,  # of the cosine itself, whose argument is rounded
                knowable=1e-10 * t[-1],
                why="2π·440 t is rounded to 1e-16 of its size",
            )
        )
    stamp = 1.7e9
    for period in (86400.0, 60.0, 1.0):
        found.append(
            Problem(
                f"Unix time, period {period}",
                lambda t, period=period: sum(cos(2 * np.pi * (t - stamp) / period)),
                (a(stamp + 0.3 * period, stamp + 1.1 * period),),
                lambda t, period=period: -2 * np.pi / period * sin(2 * np.pi * (t - stamp) / period),
                mistakes=("zero", "the sign reversed", "one entry off by 1e-6"),
            )
        )
    for width in (1e-5, 1e-7, 1e-3):
        found.append(
            Problem(
                f"a step of width {width:g}",
                lambda x, width=width: sum(sigmoid((x - 1) / width)),
                (a(1 + width / 3, 1 - 2 * width),),
                lambda x, width=width: sigmoid((x - 1) / width) * (1 - sigmoid((x - 1) / width)) / width,
                mistakes=("zero", "the sign reversed", "one entry off by 1e-6" if width > 1e-4 else "off by 1 %"),
                accuracy=1e-9,
            )
        )
    found += [
        Problem(
            "a narrow well in a wide one",
            lambda x: sum((x - 3) ** 2) - sum(exp(-(((x - 2) / 1e-4) ** 2))),
            (a(2.00005, 1.0),),
            lambda x: 2 * (x - 3) + 2 * (x - 2) / 1e-8 * exp(-(((x - 2) / 1e-4) ** 2)),
            wrong={"without the narrow one": lambda x: 2 * (x - 3)},
        ),
        Problem(
            "a wave on a slope",
            lambda x: sum(x + 1e-6 * sin(1e6 * x)),
            (a(0.3, 0.7),),
            lambda x: 1 + cos(1e6 * x),
            wrong={"without the wave": lambda x: np.ones_like(x), "the wave's sign": lambda x: 1 - cos(1e6 * x)},
            accuracy=1e-9,
            knowable=1e-8,
            why="1e6 x is rounded to 1e-10",
        ),
        Problem(
            "a resonance",
            lambda w: sum(1 / ((w - 100.0) ** 2 + 0.01**2)) * 1e-4,
            (a(100.003, 99.98),),
            lambda w: -2e-4 * (w - 100.0) / ((w - 100.0) ** 2 + 0.01**2) ** 2,
            mistakes=("zero", "the sign reversed", "twice too large"),
        ),
    ]
    return found


def far_from_its_size() -> list[Problem]:
    """Features much narrower or much wider than an argument is large, which may be 0."""
    some = ("the sign reversed", "zero", "off by 1 %", "one entry off by 1e-6")
    many = 0.5 ** np.arange(12), 3.0 ** np.arange(12)
    return [
        Problem(
            "tanh of x / 1e-9 at 0",
            lambda x: sum(np.tanh(x / 1e-9)),
            (a(0.0),),
            lambda x: 1e9 / np.cosh(x / 1e-9) ** 2,
            some,
        ),
        Problem(
            "tanh of x / 1e-9 at 0, beside 1",
            lambda x: sum(np.tanh(x / a(1e-9, 1.0))),
            (a(0.0, 1.0),),
            lambda x: 1 / a(1e-9, 1.0) / np.cosh(x / a(1e-9, 1.0)) ** 2,
            some,
        ),
        Problem(
            "a line of width 1e-12 at 0",
            lambda x: sum(exp(-((x / 1e-12) ** 2) / 2)),
            (a(5e-13, -2e-13),),
            lambda x: -x / 1e-24 * exp(-((x / 1e-12) ** 2) / 2),
            some,
        ),
        Problem(
            "log of 1 + x at 1e-12",
            lambda x: float(sum(log(1 + x))),
            (a(1e-12, 3e-13),),
            lambda x: 1 / (1 + x),
            some,
            exact=lambda x: sum(log(1 + x)),
        ),
        Problem(
            "1 - cos at 1e-8",
            lambda x: float(sum(1 - cos(x))),
            (a(1e-8, 2e-8),),
            sin,
            some[:3],
            exact=lambda x: sum(1 - cos(x)),
            knowable=1e-6,
            why="the value is 5e-17, of steps of 1e-16",
        ),
        Problem(
            "(1 - cos) / x² at 1e-3",
            lambda x: float(sum((1 - cos(x)) / x**2)),
            (a(1e-3, 2e-3),),
            lambda x: 4 * sin(x / 2) * (x / 2 * cos(x / 2) - sin(x / 2)) / x**3,
            some[:3],
            exact=lambda x: sum((1 - cos(x)) / x**2),
            accuracy=1e-8,
            knowable=1e-3,
            why="it cancels",
        ),
        Problem(
            "a slope of 1e-8 beside 5",
            lambda x: float(sum(5 + sin(1e-8 * x))),
            (a(1.0, 3.0),),
            lambda x: 1e-8 * cos(1e-8 * x),
            some[:3],
            exact=lambda x: sum(5 + sin(1e-8 * x)),
            knowable=1e-6,
            why="the values are rounded to 1e-15",
        ),
        Problem(
            "arguments of all scales",
            lambda x: sum(sin(x * a(1e6, 1.0, 1e-6))),
            (a(0.3e-6, 0.5, 1.1e6),),
            lambda x: a(1e6, 1.0, 1e-6) * cos(x * a(1e6, 1.0, 1e-6)),
            some,
            wrong={"the smallest reversed": lambda x: a(1e6, 1.0, -1e-6) * cos(x * a(1e6, 1.0, 1e-6))},
            accuracy=1e-13,
        ),
        Problem(
            "waves of many lengths",
            lambda x: sum(many[0] * cos(many[1] * x[:, None])),
            (a(0.3, 1.1),),
            lambda x: -sum(many[0] * many[1] * sin(many[1] * x[:, None]), axis=1),
            some,
            wrong={
                "without the shortest": lambda x: -sum((many[0] * many[1] * sin(many[1] * x[:, None]))[:, :-1], axis=1)
            },
            accuracy=1e-9,
            knowable=1e-8,
            why="3¹¹ x is rounded to 1e-11",
        ),
        Problem(
            "a chirp at 1e3",
            lambda x: sum(sin(x**2)),
            (a(1000.3, 731.1),),
            lambda x: 2 * x * cos(x**2),
            some,
            accuracy=1e-9,
            knowable=1e-8,
            why="x² is rounded to 1e-10",
        ),
        Problem(
            "softplus of slope 1e6",
            lambda x: sum(np.maximum(x, 0) + log(1 + exp(-1e6 * np.abs(x))) / 1e6),
            (a(1e-7, -1e-6, 0.5),),
            lambda x: sigmoid(1e6 * x),
            some,
            accuracy=1e-8,
        ),
        Problem(
            "a smooth |x| beside 0",
            lambda x: sum(np.sqrt(x**2 + 1e-12)),
            (a(1e-7, -1e-6, 0.5),),
            lambda x: x / np.sqrt(x**2 + 1e-12),
            some,
            wrong={"of |x|": np.sign},
        ),
        Problem(
            "tan near its pole",
            lambda x: sum(np.tan(x)),
            (a(np.pi / 2 - 1e-6, 0.3),),
            lambda x: 1 / cos(x) ** 2,
            some,
            accuracy=1e-9,
        ),
        Problem(
            "1 / (x - 1) near 1", lambda x: sum(1 / (x - 1)), (a(1 + 1e-7, 2.5),), lambda x: -1 / (x - 1) ** 2, some
        ),
        Problem("1 / x near 0", lambda x: sum(1 / x), (a(1e-8, -1e-30),), lambda x: -1 / x**2, some),
        Problem(
            "cosh close to its overflow",
            lambda x: float(sum(log(np.cosh(x)))),
            (a(709.0, 1.0),),
            np.tanh,
            some,
            exact=lambda x: sum(log(np.cosh(x))),
        ),
        Problem(
            "exp close to its overflow, which raises",
            lambda x: math.exp(x),
            (np.array(709.7),),
            lambda x: np.exp(x),
            ("the sign reversed", "zero", "off by 1 %", "one entry off by 1e-6"),
            exact=lambda x: exp(x),
        ),
        Problem(
            "a cube close to its overflow",
            lambda x: float(sum(x**3)),
            (a(5e102, 3e101),),
            lambda x: 3 * x**2,
            ("the sign reversed", "zero", "off by 1 %", "one entry off by 1e-6"),
            exact=lambda x: sum(x**3),
        ),
        Problem("a power of 40", lambda x: sum(x**40), (a(0.9, 1.3),), lambda x: 40 * x**39, some),
    ]


def scales() -> list[Problem]:
    x = a(0.5, 1.2, 2.0)
    k = 1.38e-23
    everything = ("the sign reversed", "zero", "one entry off by 1e-6", "twice too large")
    return [
        Problem("1e-250 Σ sin x", lambda x: 1e-250 * sum(sin(x)), (x,), lambda x: 1e-250 * cos(x), everything),
        Problem("1e-200 Σ exp x", lambda x: 1e-200 * sum(exp(x)), (x,), lambda x: 1e-200 * exp(x), everything),
        *(
            Problem(
                f"{size:g} Σ x exp(-x), as a float",
                lambda x, size=size: float(size * sum(exp(-x) * x)),
                (x,),
                lambda x, size=size: size * exp(-x) * (1 - x),
                everything,
                exact=lambda x, size=size: size * sum(exp(-x) * x),
            )
            for size in (1e-305, 1e200, 1e300)
        ),
        Problem("1e250 Σ sin x", lambda x: 1e250 * sum(sin(x)), (x,), lambda x: 1e250 * cos(x), everything),
        Problem("Boltzmann's constant", lambda x: k * sum(x**2), (x,), lambda x: 2 * k * x, everything),
        Problem(
            "Planck's",
            lambda x: float(6.626e-34 * sum(x**3)),
            (x,),
            lambda x: 3 * 6.626e-34 * x**2,
            everything,
            exact=lambda x: 6.626e-34 * sum(x**3),
        ),
        Problem(
            "a charge in coulombs",
            lambda q: sum(q**2) / (4 * np.pi * 8.854e-12),
            (1.6e-19 * x,),
            lambda q: 2 * q / (4 * np.pi * 8.854e-12),
            everything,
        ),
        Problem("sine at 1e-120", lambda x: sum(sin(x)), (1e-120 * x,), lambda x: cos(x), everything),
        Problem("square at 1e-120", lambda x: sum(x**2), (1e-120 * x,), lambda x: 2 * x, everything),
        Problem("square at 1e-150, and some", lambda x: sum(x**2 + x), (1e-150 * x,), lambda x: 2 * x + 1, everything),
        Problem("log beyond 1e160", lambda x: sum(log(x)), (1e165 * x,), lambda x: 1 / x, everything),
        Problem("root beyond 1e200", lambda x: sum(np.sqrt(x)), (1e200 * x,), lambda x: 0.5 / np.sqrt(x), everything),
        Problem(
            "a ratio beyond 1e160",
            lambda x: x[0] / x[1] + x[2] / x[0],
            (1e170 * x,),
            lambda x: a(1 / x[1] - x[2] / x[0] / x[0], -x[0] / x[1] / x[1], 1 / x[0]),
            everything,
        ),
        Problem("log at 1e-300", lambda x: sum(log(x)), (1e-300 * x,), lambda x: 1 / x, everything),
        Problem(
            "of all sizes",
            lambda x: sum(x**2 / a(1e-12, 1.0, 1e12)),
            (a(1e-6, 1.0, 1e6),),
            lambda x: 2 * x / a(1e-12, 1.0, 1e12),
            ("the sign reversed", "zero", "off by one"),
            wrong={"the smallest twice": lambda x: 2 * x / a(1e-12, 1.0, 0.5e12)},
            accuracy=1e-15,
        ),
        Problem(
            "results of all sizes",
            lambda x: a(1e-100, 1.0, 1e100) * sin(x),
            (x,),
            lambda x: np.diag(a(1e-100, 1.0, 1e100) * cos(x)),
            ("the sign reversed", "zero", "twice too large"),
            wrong={
                "the smallest zero": lambda x: np.diag(a(0.0, 1.0, 1e100) * cos(x)),
                "the smallest reversed": lambda x: np.diag(a(-1e-100, 1.0, 1e100) * cos(x)),
            },
            accuracy=1e-300,
        ),
        Problem(
            "astronomical units",
            lambda r: sum(6.674e-11 * 1.989e30 / r),
            (1.496e11 * x,),
            lambda r: -6.674e-11 * 1.989e30 / r**2,
            everything,
        ),
        Problem(
            "a rate of 1e-30",
            lambda t: sum(exp(-1e-30 * t)),
            (1e29 * x,),
            lambda t: -1e-30 * exp(-1e-30 * t),
            everything,
        ),
    ]


def offsets() -> list[Problem]:
    """A number so large that the rest of the value is rounded away."""
    x = a(0.5, 1.2, 2.0)
    why = "the values are rounded to 1e-16 of the offset"

    def problem(name: str, offset: float, inner: Any, gradient: Any, size: float = 1.0) -> Problem:
        return Problem(
            f"{offset:g} + {name}",
            lambda x: float(offset + sum(inner(x))),
            (x,),
            gradient,
            ("the sign reversed", "zero", "twice too large", "off by 1 %", "one entry off by 1e-6"),
            exact=lambda x: offset + sum(inner(x)),
            knowable=max(1e-10, 1e-14 * abs(offset) / size),
            why=why,
        )

    return [
        problem("Σ sin x", 1e6, sin, cos),
        problem("Σ sin x", 1e9, sin, cos),
        problem("Σ sin x", 1e12, sin, cos),
        problem("Σ sin x", 1e15, sin, cos),
        problem("Σ x²", -1e12, np.square, lambda x: 2 * x),
        problem("Σ tanh x", 1e12, np.tanh, lambda x: 1 - np.tanh(x) ** 2),
        problem("Σ exp x", 1e10, exp, exp),
        problem("1e-6 Σ x³", 1e3, lambda x: 1e-6 * x**3, lambda x: 3e-6 * x**2, size=1e-5),
    ]


def noisy() -> list[Problem]:
    x = a(0.5, 1.2, 2.0)
    some = ("the sign reversed", "zero", "off by 1 %", "one entry off by 1e-6")

    def quantised(decimals: int) -> Problem:
        return Problem(
            f"quantised to {decimals} decimals",
            lambda x: float(np.round(sum(sin(x)), decimals)),
            (x,),
            cos,
            some if decimals > 5 else ("the sign reversed", "off by 1 %"),
            exact=lambda x: sum(sin(x)),
            knowable=10 * 10.0**-decimals,
            why="values are rounded",
        )

    return [
        quantised(3),
        quantised(6),
        quantised(9),
        Problem(
            "float32 inside",
            lambda x: float(sum(sin(x.astype(np.float32)))),
            (x,),
            cos,
            some,
            exact=lambda x: sum(sin(x)),
            knowable=1e-5,
            why="values are rounded to float32",
        ),
        *in_part(),
        Problem(
            "saturated above",
            lambda x: float(sigmoid(x)),
            (50.0,),
            lambda x: exp(-x),
            ("the sign reversed", "zero"),
            exact=sigmoid,
            knowable=1.0,
            why="the value is 1 all around",
            accuracy=1e-9,
        ),
        Problem(
            "saturated below",
            lambda x: float(sigmoid(x)),
            (-50.0,),
            lambda x: exp(x),
            ("the sign reversed", "zero", "twice too large"),
            exact=sigmoid,
            accuracy=1e-9,
        ),
        Problem(
            "tanh at 30",
            lambda x: sum(np.tanh(x)),
            (a(30.0, 0.5),),
            lambda x: 1 / np.cosh(x) ** 2,
            ("the sign reversed", "one entry missing"),
        ),
        Problem(
            "tanh at 15",
            lambda x: float(np.tanh(x)),
            (15.0,),
            lambda x: 1 / np.cosh(x) ** 2,
            ("the sign reversed", "twice too large"),
            exact=np.tanh,
            knowable=0.01,
            why="the value is 1 - 1.9e-13, in steps of 1.1e-16",
        ),
    ]


def in_single_precision() -> list[Problem]:
    """Gradients that come back in float32, and functions of float32."""
    x = a(0.5, 1.2, 2.0)
    some = ("the sign reversed", "off by 1 %", "one entry missing", "stale")
    near = "values are rounded to float32"

    def in_32(g: Any) -> Any:
        return lambda x: np.asarray(g(x)).astype(np.float32)

    return [
        Problem("a gradient in float32", lambda x: sum(sin(x)), (x,), in_32(cos), some, accuracy=1e-7),
        Problem(
            "a gradient in float32, of exp",
            lambda x: float(sum(exp(3 * x))),
            (x,),
            in_32(lambda x: 3 * exp(3 * x)),
            some,
            exact=lambda x: sum(exp(3 * x)),
            accuracy=1e-7,
        ),
        Problem(
            "a gradient in float32, in large units",
            lambda x: 1e30 * sum(sin(x)),
            (x,),
            in_32(lambda x: 1e30 * cos(x)),
            some,
            accuracy=1e-7,
        ),
        Problem(
            "of float32",
            lambda x: sum(sin(x)),
            (x.astype(np.float32),),
            cos,
            some,
            accuracy=1e-6,
            knowable=1e-5,
            why=near,
        ),
        Problem(
            "relu of float32",
            lambda x: sum(np.maximum(x, 0) ** 2),
            (a(-1.0, 0.5, 2.0).astype(np.float32),),
            lambda x: 2 * np.maximum(x, 0),
            some,
            accuracy=1e-6,
            knowable=1e-5,
            why=near,
        ),
        Problem(
            "a matrix of float32",
            lambda w: sum(np.tanh(w @ a(1, -1).astype(w.dtype))),
            (np.arange(6.0, dtype=np.float32).reshape(3, 2) / 4,),
            lambda w: np.outer(1 - np.tanh(w @ a(1, -1)) ** 2, a(1, -1)),
            some,
            accuracy=1e-6,
            knowable=1e-5,
            why=near,
        ),
    ]


def in_part() -> list[Problem]:
    """Functions with a part that is rounded, and constant between jumps, and another part that is smooth."""

    def single(x: Any) -> Any:
        return x.astype(np.float32).astype(float) if x.dtype == float else x

    return [
        Problem(
            f"{name}, point {point + 1}",
            lambda x, f=f: float(sum(f(x))),
            (x,),
            gradient,
            ("the sign reversed", "off by 1 %"),
            wrong={"of the smooth part alone": smooth},
            exact=lambda x, exact=exact: sum(exact(x)),
            knowable=1e-4,
            why="a part is rounded",
        )
        for name, f, exact, gradient, smooth in (
            (
                "tanh in float32 times x, and exp",
                lambda x: single(np.tanh(x)) * x + single(exp(x)),
                lambda x: np.tanh(x) * x + exp(x),
                lambda x: np.tanh(x) + x / np.cosh(x) ** 2 + exp(x),
                np.tanh,
            ),
            (
                "a sine of 6 decimals and a square",
                lambda x: np.round(sin(x), 6) + x**2 / 10,
                lambda x: sin(x) + x**2 / 10,
                lambda x: cos(x) + x / 5,
                lambda x: x / 5,
            ),
        )
        for point, x in enumerate((a(0.2, -0.13, 0.64), a(-0.7, 1.36, 1.2), a(2.2, 0.03, -1.4)))
    ]


def problems() -> list[Problem]:
    return [
        problem
        for part in (narrow, far_from_its_size, scales, offsets, noisy, in_single_precision)
        for problem in part()
    ]
