"""The digits that derivatives keep, also in the tails of their domains, as a page of Markdown.

    python -m benchmarks.accuracy [--write docs/accuracy.md]

The reference is mpmath, which differentiates the operation itself by differences of numbers with hundreds of digits,
and so uses none of our rules. The page compares JAX and PyTorch, both in float64, if they are installed.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from mpmath import mp, mpf

import tinygrad_lite as tg
import tinygrad_lite.ops.special
from tinygrad_lite.engine.op import POSITIVE, REAL, Op
from tinygrad_lite.engine.registry import operations

DIGITS = 700  # a sigmoid at 700, for example, changes first in its 304th digit

INTRODUCTION = """\
# Digits of the derivatives

This command writes the page:

```sh
python -m benchmarks.accuracy --write docs/accuracy.md
```

For every elementwise operation, the table shows the largest error of its derivatives in float64, in units in the last
place (ulps), over points in the whole domain: down to 1e-300, out to ±700, and next to each bound. mpmath computes the
true derivatives by differences of the operation itself, in numbers of up to 700 digits. "Second" is the derivative of
the derivative. "All" means that at some point no digit is right. An empty cell means that the library does not have the
function or its derivative. Functions that take mpmath minutes with so many digits (gamma, beta, Bessel, elliptic and
hypergeometric functions, and integrals) are tried from 0.001 to 19; the sigmoid from 0.1 on, since its second
derivative is 0 at 0.

[test_accuracy.py](../tests/ops/test_accuracy.py) holds every operation to 16 ulps, or says why it does not.
"""


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def _softplus(x: Any) -> Any:
    return mp.log1p(mp.exp(x))


def _ndtr(x: Any) -> Any:
    return mp.erfc(-x / mp.sqrt(2)) / 2


def _log_ndtr(x: Any) -> Any:
    return mp.log1p(-_ndtr(-x)) if x > 0 else mp.log(_ndtr(x))


def _erfcx(x: Any) -> Any:
    return mp.exp(x * x) * mp.erfc(x)


def _ratio(numerator: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: numerator(x) / x if x else mpf(1)


def _degrees(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: function(x * mp.pi / 180)


def _box_cox(x: Any, power: Any) -> Any:
    return mp.expm1(power * mp.log(x)) / power if power else mp.log(x)


def _inverse_box_cox(x: Any, power: Any) -> Any:
    return mp.exp(mp.log1p(power * x) / power) if power else mp.exp(x)


def _entropy(a: Any, b: Any) -> Any:
    return a * mp.log(a / b)


def _student(v: Any, t: Any) -> Any:
    scale = mp.gamma((v + 1) / 2) / mp.gamma(v / 2) / mp.sqrt(v * mp.pi)
    return mpf(1) / 2 + t * scale * mp.hyp2f1(0.5, (v + 1) / 2, 1.5, -t * t / v)


def _inverse(function: Callable[..., Any], start: str) -> Callable[..., Any]:
    """The inverse in the last argument, by Newton steps from SciPy's value."""

    def inverse(*arguments: Any) -> Any:
        *order, x = arguments
        y = mpf(float(getattr(tinygrad_lite.ops.special.special, start)(*map(float, order), float(x))))
        for _ in range(8):
            h = abs(y) * mpf(10) ** -(mp.dps // 2)
            error = function(*order, y) - x
            y -= error * 2 * h / (function(*order, y + h) - function(*order, y - h))
        return y

    return inverse


REFERENCES: dict[str, Callable[..., Any]] = {
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "reciprocal": lambda x: 1 / x,
    "power": mp.power,
    "float_power": mp.power,
    "square": lambda x: x * x,
    "sqrt": mp.sqrt,
    "root": mp.sqrt,
    "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)),
    "hypot": mp.hypot,
    "exp": mp.exp,
    "exp2": lambda x: mpf(2) ** x,
    "exp10": lambda x: mpf(10) ** x,
    "expm1": mp.expm1,
    "log": mp.log,
    "log2": lambda x: mp.log(x) / mp.log(2),
    "log10": lambda x: mp.log(x) / mp.log(10),
    "log1p": mp.log1p,
    "logaddexp": lambda a, b: mp.log(mp.exp(a) + mp.exp(b)),
    "logaddexp2": lambda a, b: mp.log(mpf(2) ** a + mpf(2) ** b) / mp.log(2),
    "sin": mp.sin,
    "cos": mp.cos,
    "tan": mp.tan,
    "arcsin": mp.asin,
    "arccos": mp.acos,
    "arctan": mp.atan,
    "arctan2": mp.atan2,
    "sinh": mp.sinh,
    "cosh": mp.cosh,
    "tanh": mp.tanh,
    "sech": mp.sech,
    "arcsinh": mp.asinh,
    "arccosh": mp.acosh,
    "arctanh": mp.atanh,
    "sinc": lambda x: mp.sincpi(x),
    "i0": lambda x: mp.besseli(0, x),
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "silu": lambda x: x * _sigmoid(x),
    "normal_cdf": _ndtr,
    "gelu": lambda x: x * _ndtr(x),
    "gelu_by_tanh": lambda x: x * _sigmoid(mp.sqrt(8 / mp.pi) * (x + mpf(0.044715) * x**3)),
    "elu": lambda x: x if x > 0 else mp.expm1(x),
    "softsign": lambda x: x / (1 + abs(x)),
    "binary_cross_entropy": lambda p, target: -target * mp.log(p) - (1 - target) * mp.log1p(-p),
    "exp_of_square": lambda x: mp.exp(-x * x / 2),
    "cosine_of_angle": lambda a, b: a / mp.hypot(a, b),
    "cosm1": lambda x: -2 * mp.sin(x / 2) ** 2,
    "sindg": _degrees(mp.sin),
    "cosdg": _degrees(mp.cos),
    "tandg": _degrees(mp.tan),
    "cotdg": _degrees(mp.cot),
    "expit": _sigmoid,
    "log_expit": lambda x: -_softplus(-x),
    "logit": lambda x: mp.log(x) - mp.log1p(-x),
    "exprel": _ratio(mp.expm1),
    "xlogy": lambda a, b: a * mp.log(b),
    "xlog1py": lambda a, b: a * mp.log1p(b),
    "entr": lambda x: -x * mp.log(x),
    "rel_entr": _entropy,
    "kl_div": lambda a, b: _entropy(a, b) - a + b,
    "boxcox": _box_cox,
    "boxcox1p": lambda x, power: _box_cox(1 + x, power),
    "inv_boxcox": _inverse_box_cox,
    "inv_boxcox1p": lambda x, power: _inverse_box_cox(x, power) - 1,
    "pseudo_huber": lambda delta, r: delta * delta * (mp.sqrt(1 + (r / delta) ** 2) - 1),
    "erf": mp.erf,
    "erfc": mp.erfc,
    "erfcx": _erfcx,
    "erfi": mp.erfi,
    "erfinv": mp.erfinv,
    "erfcinv": _inverse(mp.erfc, "erfcinv"),
    "dawsn": lambda x: mp.sqrt(mp.pi) / 2 * mp.exp(-x * x) * mp.erfi(x),
    "normal_hazard": lambda x: mp.npdf(x) / _ndtr(x),
    "ndtr": _ndtr,
    "log_ndtr": _log_ndtr,
    "ndtri": _inverse(_ndtr, "ndtri"),
    "ndtri_exp": _inverse(_log_ndtr, "ndtri_exp"),
    "psi": lambda x: mp.psi(0, x),
    "gamma": mp.gamma,
    "gammaln": mp.loggamma,
    "lgamma": mp.loggamma,
    "loggamma": mp.loggamma,
    "beta": mp.beta,
    "betaln": lambda a, b: mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b),
    "binom": mp.binomial,
    "zeta": mp.zeta,
    "gammainc": lambda a, x: mp.gammainc(a, 0, x, regularized=True),
    "gammaincc": lambda a, x: mp.gammainc(a, x, mp.inf, regularized=True),
    "betainc": lambda a, b, x: mp.betainc(a, b, 0, x, regularized=True),
    "betaincc": lambda a, b, x: mp.betainc(a, b, x, 1, regularized=True),
    "gammaincinv": _inverse(lambda a, x: mp.gammainc(a, 0, x, regularized=True), "gammaincinv"),
    "gammainccinv": _inverse(lambda a, x: mp.gammainc(a, x, mp.inf, regularized=True), "gammainccinv"),
    "betaincinv": _inverse(lambda a, b, x: mp.betainc(a, b, 0, x, regularized=True), "betaincinv"),
    "betainccinv": _inverse(lambda a, b, x: mp.betainc(a, b, x, 1, regularized=True), "betainccinv"),
    "chdtr": lambda v, x: mp.gammainc(v / 2, 0, x / 2, regularized=True),
    "chdtrc": lambda v, x: mp.gammainc(v / 2, x / 2, mp.inf, regularized=True),
    "fdtr": lambda m, n, x: mp.betainc(m / 2, n / 2, 0, m * x / (m * x + n), regularized=True),
    "fdtrc": lambda m, n, x: mp.betainc(m / 2, n / 2, m * x / (m * x + n), 1, regularized=True),
    "j0": lambda x: mp.besselj(0, x),
    "j1": lambda x: mp.besselj(1, x),
    "y0": lambda x: mp.bessely(0, x),
    "y1": lambda x: mp.bessely(1, x),
    "special.i0": lambda x: mp.besseli(0, x),
    "i1": lambda x: mp.besseli(1, x),
    "k0": lambda x: mp.besselk(0, x),
    "k1": lambda x: mp.besselk(1, x),
    "i0e": lambda x: mp.besseli(0, x) * mp.exp(-abs(x)),
    "i1e": lambda x: mp.besseli(1, x) * mp.exp(-abs(x)),
    "k0e": lambda x: mp.besselk(0, x) * mp.exp(x),
    "k1e": lambda x: mp.besselk(1, x) * mp.exp(x),
    "jv": mp.besselj,
    "yv": mp.bessely,
    "yn": mp.bessely,
    "iv": mp.besseli,
    "kv": mp.besselk,
    "kn": mp.besselk,
    "ive": lambda v, x: mp.besseli(v, x) * mp.exp(-abs(x)),
    "kve": lambda v, x: mp.besselk(v, x) * mp.exp(x),
    "exp1": mp.e1,
    "expi": mp.ei,
    "spence": lambda x: mp.polylog(2, 1 - x),
    "ellipk": mp.ellipk,
    "ellipe": mp.ellipe,
    "hyp0f1": mp.hyp0f1,
    "hyp1f1": mp.hyp1f1,
    "hyp2f1": mp.hyp2f1,
    "rgamma": mp.rgamma,
    "poch": mp.rf,
    "stdtr": _student,
    "expn": mp.expint,
    "sine_integral": mp.si,
    "cosine_integral": mp.ci,
    "fresnel_sine": mp.fresnels,
    "fresnel_cosine": mp.fresnelc,
    "eval_legendre": mp.legendre,
    "eval_gegenbauer": mp.gegenbauer,
    "eval_chebyt": mp.chebyt,
    "eval_chebyu": mp.chebyu,
    "eval_hermite": lambda n, x: mp.hermite(int(n), x),
    "eval_hermitenorm": lambda n, x: mp.hermite(int(n), x / mp.sqrt(2)) / mp.sqrt(2) ** int(n),
}

SLOW = {  # with many digits, so these get fewer digits and moderate points
    *(
        "psi",
        "gamma",
        "gammaln",
        "lgamma",
        "loggamma",
        "beta",
        "betaln",
        "binom",
        "zeta",
        "gammainc",
        "gammaincc",
        "gammaincinv",
    ),
    *("gammainccinv", "betainc", "betaincc", "betaincinv", "betainccinv", "j0", "j1", "y0", "y1", "special.i0", "i1"),
    *("k0", "k1", "i0e", "i1e", "k0e", "k1e", "jv", "yv", "yn", "iv", "kv", "kn", "ive", "kve", "exp1", "expi"),
    *("spence", "ellipk", "ellipe", "hyp0f1", "hyp1f1", "hyp2f1", "dawsn", "chdtr", "chdtrc", "fdtr", "fdtrc"),
    *("rgamma", "poch", "stdtr", "expn"),
    *("sine_integral", "cosine_integral"),
    *("fresnel_sine", "fresnel_cosine"),
}
FEW_DIGITS = {*SLOW, "i0", "erfinv", "erfcinv", "ndtri", "ndtri_exp"}  # they change as much as their size
# domains for operations that follow a convention elsewhere, for which SciPy's value is wrong, or whose derivatives are
# 0 at points of the usual ones
INSIDE = {
    "fresnel_sine": ((-9.5, 9.5),),
    "fresnel_cosine": ((-9.5, 9.5),),
    "binary_cross_entropy": ((1e-6, 1 - 1e-6), REAL),
    "inv_boxcox1p": (POSITIVE, (1e-9, np.inf)),
    # of smaller concentrations, quantiles are 0 or 1 but for what no number holds
    **dict.fromkeys(("gammainc", "gammaincc", "chdtr", "chdtrc"), ((0.3, np.inf), POSITIVE)),
    **dict.fromkeys(("gammaincinv", "gammainccinv"), ((0.3, np.inf), (0.0, 1.0))),
    **dict.fromkeys(("betainc", "betaincc", "betaincinv", "betainccinv"), ((0.3, np.inf), (0.3, np.inf), (0.0, 0.9))),
}
SIZES = (1e-300, 1e-20, 1e-8, 1e-3, 0.1, 0.53, 0.9, 1.57, 3.1, 7.3, 19.7, 37.1, 101.3, 311.7, 700.3)
MODERATE = (1e-3, 0.1, 0.3, 0.9, 1.5, 3.5, 7.0, 19.0)


def points(interval: tuple[float, float], sizes: tuple[float, ...] = SIZES) -> list[float]:
    """Numbers inside an interval, from its middle out to both ends and next to them."""
    low, high = interval
    if np.isinf(low) and np.isinf(high):
        return [sign * size for sign in (-1, 1) for size in sizes]
    if np.isinf(high):
        return [low + size for size in sizes if low + size > low]
    if np.isinf(low):
        return [high - size for size in sizes if high - size < high]
    shares = [size / 2 for size in sizes if size < 1]
    inside = {*(low + (high - low) * t for t in shares), *(high - (high - low) * t for t in shares)}
    return sorted(
        x for x in inside | {np.nextafter(low, high), np.nextafter(high, low)} if low < x < high and abs(x) > 1e-305
    )


def samples(op: Op) -> list[Any]:
    """An array for each argument: all combinations of points in the domains."""
    sizes = MODERATE if op.name in SLOW else SIZES if op.arity == 1 else SIZES[::2]
    sizes = sizes[1::2] if op.arity == 3 else sizes
    if op.name in ("sigmoid", "expit"):  # the second derivative crosses 0 at 0, where its terms cancel
        sizes = SIZES[4:]
    axes = [points(interval, sizes) for interval in INSIDE.get(op.name) or op.domain or [REAL] * (op.arity or 0)]
    return [np.ravel(x) for x in np.meshgrid(*axes)]


def _true(op: Op, x: list[float], i: int, order: tuple[Any, ...]) -> tuple[Any, Any]:
    """The first and the second derivative with respect to argument i."""
    mp.dps = 120 if op.name in FEW_DIGITS else DIGITS
    exact = [mpf(value) for value in x]
    bounds = [bound for bound in (op.domain[i] if op.domain else ()) if np.isfinite(bound)]
    h = min((abs(exact[i] - mpf(bound)) for bound in [0.0, *bounds] if exact[i] != bound), default=1) * mpf(10) ** -25

    def f(shift: int) -> Any:
        return mp.re(REFERENCES[op.name](*order, *exact[:i], exact[i] + shift * h, *exact[i + 1 :]))

    before, here, after = f(-1), f(0), f(1)
    noise = max(abs(here), 1) * mpf(10) ** (20 - mp.dps)
    first, second = after - before, after - 2 * here + before
    crosses_0 = abs(first) < abs(second) * mpf(10) ** -10  # except for the error of the differences
    return (
        first / (2 * h) if abs(first) > noise and not crosses_0 else mpf(0),
        second / (h * h) if abs(second) > noise else mpf(0),
    )


def _ulps(value: Any, true: Any) -> float:
    """The error of a number in ulps; 0 where the true number overflows or is subnormal."""
    if not 1e-290 < abs(true) < 1e290:
        return 0.0
    return (
        float(abs(mpf(float(value)) - true) / mpf(float(np.spacing(abs(float(true))))))
        if np.isfinite(value)
        else np.inf
    )


Derivatives = Callable[[list[Any], int], tuple[Any, Any]]


def ours(op: Op, params: dict[str, Any]) -> Derivatives:
    """The first and the second derivative of an operation with respect to an argument, by tinygrad_lite."""

    def derivatives(x: list[Any], i: int) -> tuple[Any, Any]:
        first = tg.grad(lambda *x: np.sum(op(*x, **params)), i)
        with np.errstate(all="ignore"):
            return first(*x), tg.grad(lambda *x: np.sum(first(*x)), i)(*x)

    return derivatives


def of_jax(function: Callable[..., Any]) -> Derivatives:
    """The same derivatives, by JAX."""
    import jax

    def derivatives(x: list[Any], i: int) -> tuple[Any, Any]:
        first = jax.grad(lambda *x: function(*x).sum(), i)
        return np.asarray(first(*x)), np.asarray(jax.grad(lambda *x: first(*x).sum(), i)(*x))

    return derivatives


def of_torch(function: Callable[..., Any]) -> Derivatives:
    """The same derivatives, by PyTorch."""
    import torch

    def derivatives(x: list[Any], i: int) -> tuple[Any, Any]:
        arguments = [torch.tensor(a, requires_grad=k == i) for k, a in enumerate(x)]
        (first,) = torch.autograd.grad(function(*arguments).sum(), arguments[i], create_graph=True)
        second = torch.zeros_like(first)
        if first.requires_grad:
            (second,) = torch.autograd.grad(first.sum(), arguments[i], allow_unused=True, materialize_grads=True)
        return first.detach().numpy(), second.detach().numpy()

    return derivatives


@cache
def _references(op: Op, i: int, params: Any) -> list[tuple[Any, Any]]:
    return [_true(op, list(x), i, dict(params).get("order", ())) for x in zip(*(a.tolist() for a in samples(op)))]


def errors(op: Op, i: int, params: dict[str, Any], derivatives: Derivatives) -> tuple[Any, Any]:
    """The errors of the first and the second derivative in ulps, at each of the samples."""
    true = _references(op, i, tuple(params.items()))
    both = derivatives(samples(op), i)
    return tuple(np.array([_ulps(a, t[k]) for a, t in zip(computed, true)]) for k, computed in enumerate(both))


def cases() -> Iterator[tuple[Op, int, dict[str, Any]]]:
    """Every operation with a reference and each of its arguments, with the parameters of its first example."""
    for op in operations():
        if op.name in REFERENCES:
            for i in range(op.arity or 0):
                yield op, i, dict(op.examples[0][1]) if op.examples else {}


SYNONYMS = {"normal_cdf": "ndtr", "psi": "digamma", "gammaln": "lgamma", "log_expit": "log_sigmoid", "root": "sqrt"}


def peers() -> dict[str, Callable[[str], Derivatives | None]]:
    """For each installed library, a function that looks up its derivatives of an operation by name."""
    others: dict[str, Callable[[str], Derivatives | None]] = {}

    def of(modules: tuple[Any, ...], make: Callable[[Any], Derivatives]) -> Callable[[str], Derivatives | None]:
        def look_up(name: str) -> Derivatives | None:
            names = (name, SYNONYMS.get(name, name), SYNONYMS.get(name, name).replace("_", ""))
            functions = (getattr(module, name, None) for name in names for module in modules)
            function = next(filter(callable, functions), None)
            return make(function) if function else None

        return look_up

    if find_spec("jax"):
        import jax

        jax.config.update("jax_enable_x64", True)
        others["JAX"] = of((jax.numpy, jax.nn, jax.scipy.special), of_jax)
    if find_spec("torch"):
        import torch

        others["PyTorch"] = of((torch, torch.special, torch.nn.functional), of_torch)
    return others


def _cell(error: float) -> str:
    return (
        "all"
        if not error < 4e15
        else f"{error:.1f}"
        if error < 99.95
        else f"{error:.0f}"
        if error < 1e4
        else f"{error:.0e}"
    )


def page() -> str:
    """The table, with a row for each argument of each operation."""
    columns = peers()
    heads = [f"{name}{order}" for name in ("", *(f"{name}, " for name in columns)) for order in ("first", "second")]
    rows = ["| | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for op, i, params in cases():
        cells = list(map(np.max, errors(op, i, params, ours(op, params))))
        for look_up in columns.values():
            derivatives = None if params else look_up(op.name.removeprefix("special."))
            try:
                cells += map(np.max, errors(op, i, params, derivatives)) if derivatives else [None, None]
            except Exception:  # no derivative with respect to this argument, or another signature
                cells += [None, None]
        by = f", by argument {i}" if op.arity != 1 else ""
        rows.append(f"| `{op.name}`{by} | " + " | ".join("" if cell is None else _cell(cell) for cell in cells) + " |")
    return f"{INTRODUCTION}\n" + "\n".join(rows) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the page there instead of printing it")
    target = parser.parse_args().write
    if target:
        target.write_text(page())
    else:
        print(page())


if __name__ == "__main__":
    main()
