"""Advice: why a number or an array must not leave the graph at some line, and what to write there instead."""

import os
from collections.abc import Container
from types import FrameType
from typing import Any

import numpy as np

from tinygrad_lite.errors import GraphError, TinygradError, UsageError
from tinygrad_lite.foundation.callers import (
    PACKAGE,
    call_at,
    function_around,
    is_library,
    library_at,
    numpys_function,
    outside_this_package,
    sign_of_assignment,
    value_of,
    writes_an_entry,
)

_IN_PLACE_OF_LISTS = (
    "tg.array([...]), np.stack([...]) or np.concatenate([...]) in place of np.array([...]) and of a list of tensors; "
    "np.dot(array, tensor) in place of array.dot(tensor)"
)
_DRAWS = (
    "loc + scale * rng.normal(size=shape), say, or tg.distributions.Normal(loc, scale).rsample(rng=seed), since "
    "NumPy's draws have no derivative with respect to what they are drawn from"
)
_OTHERS = "; for code that is not yours, put tg.functionalize around the function"
INSTEAD_OF_WRITING = (
    f"collect the parts in a list and np.stack them, or write x = x.at[i].set(tensor) on a tensor x{_OTHERS}"
)
WRITTEN = f"array[i] = tensor would lose the tensor's history: {INSTEAD_OF_WRITING}"
"""The message for a tensor that would become an entry of a plain array."""
OF_SCIPY = (
    *("block_diag", "cho_factor", "cho_solve", "circulant", "eigh", "expm", "hankel", "logm", "lu_factor", "lu_solve"),
    *("polar", "solve_continuous_are", "solve_continuous_lyapunov", "solve_discrete_are", "solve_discrete_lyapunov"),
    *("solve_sylvester", "solve_triangular", "sqrtm", "toeplitz"),
)
"""The functions of `tg.linalg`, which are those of scipy.linalg for tensors."""
_INSTEAD = {
    **{f"scipy.linalg.{name}": f"tg.linalg.{name}" for name in OF_SCIPY},
    **{f"np.{name}": "np.broadcast_to" for name in ("full", "full_like")},
    **{f"scipy.special.{name}": f"tg.nn.functional.{name}" for name in ("softmax", "log_softmax", "logsumexp")},
    "np.r_ or np.c_": "np.hstack([...]) or np.column_stack([...])",
    "np.piecewise": "np.select(conditions, [f(x), g(x)]), with functions that are finite for all of x",
    "np.take": "np.take(tg.tensor(array), indices)",
    "np.fill_diagonal": "x.at[i, i].set(values) of a tensor x, with i = np.arange(n)",
    **{
        f"scipy.integrate.{name}": "a loop of steps, such as those of Runge and Kutta, written with NumPy"
        for name in ("odeint", "solve_ivp", "ode")
    },
    **{
        f"scipy.integrate.{name}": "a sum over nodes, such as those of np.polynomial.legendre.leggauss"
        for name in ("quad", "quad_vec", "dblquad", "tplquad", "nquad", "fixed_quad")
    },
}
"""What to write in place of a library function that needs a plain array."""
_FORMULAS = {
    "np.ndenumerate": "((index, x[index]) for index in np.ndindex(x.shape))",
    "np.asmatrix": "x itself, with @ for a product",
    "np.vectorize": "np.where for a choice between formulas, or np.stack([f(entry) for entry in x])",
    "scipy.fft.dct": "2 * x @ np.cos(np.pi * (np.arange(n)[:, None] + 0.5) * np.arange(n) / n)",
    "scipy.integrate.simpson": "dx / 3 * (y[0] + 4 * np.sum(y[1:-1:2]) + 2 * np.sum(y[2:-1:2]) + y[-1])",
    "scipy.integrate.trapezoid": "np.trapezoid(y, x)",
    "scipy.interpolate.interp1d": "np.interp(points, x, y)",
    "scipy.ndimage.convolve": "tg.nn.functional.conv2d(x[None], kernel[None, None, ::-1, ::-1])[0] after np.pad",
    "scipy.ndimage.correlate": "tg.nn.functional.conv2d(x[None], kernel[None, None])[0] after np.pad",
    "scipy.signal.convolve": "np.convolve(x, kernel)",
    "scipy.signal.convolve2d": "tg.nn.functional.conv2d(np.pad(x, pairs)[None], kernel[None, None, ::-1, ::-1])[0]",
    "scipy.signal.correlate": "np.correlate(x, kernel, 'full')",
    "scipy.signal.fftconvolve": "np.convolve(x, kernel)",
    "scipy.signal.lfilter": "a loop of its steps over lists, and np.stack",
    "scipy.spatial.distance.cdist": "np.linalg.norm(a[:, None] - b, axis=-1)",
    "scipy.special.comb": "scipy.special.binom(n, k)",
    "scipy.special.factorial": "scipy.special.gamma(n + 1)",
    "scipy.special.multigammaln": (
        "d * (d - 1) / 4 * np.log(np.pi) + sum(scipy.special.gammaln(a - j / 2) for j in range(d))"
    ),
    "scipy.special.polygamma": (
        "(-1) ** (n + 1) * scipy.special.gamma(n + 1) * scipy.special.zeta(n + 1, x), or digamma(x) for n = 0"
    ),
    "scipy.stats.pearsonr": "np.corrcoef(x, y)[0, 1]",
    "scipy.stats.zscore": "(x - np.mean(x)) / np.std(x)",
}
"""The formula of a library function that needs a plain array, in functions that take tensors."""
_ROOMS = {
    "np.ma": "np.where(mask, fill, x), or x[~mask] for the entries that are not masked",
    "np.polynomial": (
        "np.polyval(coefficients[::-1], x) for powers of x, or coefficients times a matrix of the basis, such as "
        "np.polynomial.chebyshev.chebvander(x, degree) @ coefficients"
    ),
}
"""What to write in place of all functions of a part of a library."""
_DISTRIBUTIONS = {
    "norm": "Normal(loc, scale)",
    "lognorm": "LogNormal(np.log(scale), s)",
    "halfnorm": "HalfNormal(scale)",
    "multivariate_normal": "MultivariateNormal(mean, cov)",
    "t": "StudentT(df, loc, scale)",
    "cauchy": "Cauchy(loc, scale)",
    "laplace": "Laplace(loc, scale)",
    "gumbel_r": "Gumbel(loc, scale)",
    "uniform": "Uniform(loc, loc + scale)",
    "expon": "Exponential(1 / scale)",
    "gamma": "Gamma(a, 1 / scale)",
    "chi2": "Chi2(df)",
    "beta": "Beta(a, b)",
    "dirichlet": "Dirichlet(alpha)",
    "bernoulli": "Bernoulli(p)",
    "binom": "Binomial(n, p)",
    "poisson": "Poisson(mu)",
}
"""The distribution in `tg.distributions` for one in `scipy.stats`, in the words of SciPy's arguments."""
_OF_DISTRIBUTIONS = {
    **dict.fromkeys(("logpdf", "logpmf"), "{}.log_prob(x)"),
    **dict.fromkeys(("pdf", "pmf"), "np.exp({}.log_prob(x))"),
}
"""The expression for a method of SciPy's distributions."""


def silent_exit(frame: FrameType, transforming: bool) -> str | None:
    """Why a number that a frame asks for would leave the graph silently; None if the user asked for it explicitly."""
    if writes_an_entry(frame):
        return WRITTEN
    if reason := taken_by_library(frame):
        return reason
    if transforming:
        return (
            "float(tensor) inside a function that is being differentiated would lose the tensor's history: write "
            f"np.sin for math.sin, and so on{_OTHERS}; or tensor.item() to leave the graph on purpose"
        )
    return None


def taken_by_library(frame: FrameType) -> str:
    """Why a number that a frame asks for would leave the graph, if a library asks for it; empty if it is the user."""
    function = _asking_for_a_number(frame)
    return function and (
        f"{function} was about to turn a tensor that requires a gradient into a plain number, and its history would be "
        f"lost: use {_instead_of_taking(function)}, or pass tensor.item() to leave the graph on purpose"
    )


def in_place_of_number(frame: FrameType) -> str:
    """What to write in place of the library function that asks for a number; empty if it is no library that asks."""
    function = _asking_for_a_number(frame)
    return function and f"{_instead_of_taking(function)} in place of {function}"


def _asking_for_a_number(frame: FrameType) -> str:
    """The library function that asks for a number in a frame; empty if there is none."""
    library = library_at(frame)
    return (function_around(frame, ()) or library) if library else ""


def _instead_of_taking(function: str) -> str:
    """What to use in place of a library function that takes a number, as `array.fill` does."""
    return _instead_of(function) or ("np.broadcast_to" if function.endswith(".fill") else "np.stack of a list")


def refusal(frame: FrameType, message: str) -> TinygradError:
    """The error for a frame that asks for a plain array: np.nditer would replace a TypeError by one of its own."""
    call = call_at(frame)
    is_hidden = call is not None and value_of(call.func, frame) is np.nditer
    return GraphError(message) if is_hidden else UsageError(message)


def lost_array(frame: FrameType, differentiable: Container[Any], functionalized: bool = False) -> str:
    """Why an array that a frame asks for would lose a history, and what to write instead.

    If a `differentiable` function asks for it, the value is in a list, which NumPy does not pass on to us.

    Args:
        functionalized: whether a function under `tg.functionalize` is running.
    """
    function = function_around(frame, differentiable)
    if function is None and writes_an_entry(frame):
        return WRITTEN
    if function is None:
        return (
            "NumPy was about to turn a value that is being differentiated into a plain array; its history would be "
            f"lost. Write {_instead_of_conversion(frame)}{'' if functionalized else _OTHERS}; and tensor.numpy() to "
            "leave the graph on purpose"
        )
    if function not in _INSTEAD and numpys_function(function) in differentiable:
        return (
            f"{function} was about to turn a list of tensors into a plain array, and their history would be lost: "
            f"write tg.array([...]) for the list [...], as in {function}(tg.array([...])), or pass "
            "tensor.detach().numpy() to leave the graph on purpose"
        )
    instead = _instead_of(function)
    advice = f"use {instead}" if instead else "declare it with tg.primitive, which takes its derivatives"
    takes_tensors = function.startswith("scipy.") and not _distribution_in(function)
    if takes_tensors and not instead and not os.environ.get("SCIPY_ARRAY_API"):
        advice = f"set SCIPY_ARRAY_API=1 before Python starts, with which much of SciPy takes tensors, or {advice}"
    if takes_tensors and not instead and not functionalized:
        advice = f"put tg.functionalize around your function, with which much of SciPy takes tensors, or {advice}"
    return (
        f"{function} has no derivative here: it was about to turn a value that is being differentiated into a plain "
        f"array, and its history would be lost. To differentiate through it, {advice}; to leave the graph on purpose, "
        "pass tensor.detach().numpy()"
    )


def in_place_of_library(frame: FrameType) -> str:
    """What to use in place of the library function that a frame belongs to; empty if there is nothing to say."""
    function = function_around(frame, ()) if is_library(frame.f_globals.get("__name__", "")) else None
    instead = _instead_of(function) if function else ""
    return instead and f"use {instead} in place of {function}"


def in_place_of_conversion(frame: FrameType, differentiable: Container[Any]) -> str:
    """What to write in place of the call that asks for a plain array; empty if there is nothing to say about it."""
    function = function_around(frame, differentiable)
    if function is None:
        advice = _instead_of_conversion(frame)
        return "" if advice is _IN_PLACE_OF_LISTS else advice
    if function not in _INSTEAD and numpys_function(function) in differentiable:
        return f"tg.array([...]) for the list [...] that {function} takes"
    instead = _instead_of(function)
    return instead and f"{instead} in place of {function}"


def refuse_out(name: str, out: Any) -> None:
    """Raise the error for an array to write the result of `name` into, by `out=` or by an assignment, if there is one.

    Raises:
        UsageError: if there is such an array.
    """
    if out is None:
        return
    if sign := sign_of_assignment(outside_this_package()):
        part = {"+=": "add(tensor)", "-=": "add(-tensor)"}.get(sign, f"set(x[index] {sign[:-1]} tensor)")
        raise UsageError(
            f"{name}: array {sign} tensor would write into the array, and arrays in a graph never change: write "
            f"x = x {sign[:-1]} tensor; for some of its entries, x = tg.tensor(x).at[index].{part}"
        )
    raise UsageError(f"{name}: out= would write into an array, and arrays here never change; use the result")


def _instead_of_conversion(frame: FrameType) -> str:
    """What to write in place of a NumPy call in C, or an unknown call, that asks for a plain array."""
    import ast

    is_a_users = not frame.f_code.co_filename.startswith(PACKAGE)
    call = call_at(frame) if is_a_users else None
    function = None if call is None else value_of(call.func, frame)
    name = getattr(getattr(call, "func", None), "attr", "")
    may_draw = function is None and hasattr(np.random.Generator, name) and not hasattr(np.ndarray, name)
    if may_draw or isinstance(getattr(function, "__self__", None), (np.random.Generator, np.random.RandomState)):
        return _chosen(call) if name in _CHOOSE else _DRAWS
    if function is np.nditer:
        return "np.ravel(x) for each array x in place of np.nditer"
    if call is None or not call.args or isinstance(call.args[0], (ast.List, ast.Tuple)):
        return _IN_PLACE_OF_LISTS
    argument, text = ast.unparse(call.args[0]), ast.unparse(call)
    if isinstance(function, type) and issubclass(function, np.generic):
        return f"{argument}.astype({ast.unparse(call.func)}) in place of {text}"
    if function in _MAKERS:
        return f"{argument} itself, or tg.array({argument}) if it may be a list, in place of {text}"
    return _IN_PLACE_OF_LISTS


_CHOOSE = ("choice", "permutation", "permuted")
"""NumPy's draws of an array's entries: they have a derivative with respect to the array."""


def _chosen(call: Any) -> str:
    """What to write in place of a draw of an array's entries: a draw of their positions."""
    import ast

    if not call.args or any(keyword.arg == "p" for keyword in call.keywords):  # the tensor may be the probabilities
        return _DRAWS
    count = ast.parse(f"len({ast.unparse(call.args[0])})", mode="eval").body
    positions = ast.Call(call.func, [count, *call.args[1:]], call.keywords)
    entries = ast.unparse(ast.Subscript(call.args[0], positions, ast.Load()))
    return f"{entries} in place of {ast.unparse(call)}"


_MAKERS = (np.array, np.asarray, np.asanyarray, np.ascontiguousarray, np.asfortranarray, np.require)
"""NumPy's functions that turn their arguments into plain arrays without asking."""


def _instead_of(function: str) -> str:
    """What to use in place of a library function that needs a plain array; empty if there is nothing."""
    library, _, name = function.rpartition(".")
    if distribution := _distribution_in(function):
        ours = f"tg.distributions.{_DISTRIBUTIONS[distribution]}" if distribution in _DISTRIBUTIONS else ""
        expression = _OF_DISTRIBUTIONS.get(name, "the methods of {}")
        return expression.format(ours) if ours else "the formula of its density, written with NumPy"
    if library == "scipy.optimize" and not name.startswith("rosen"):  # these are functions to optimise
        return "tg.custom_gradient with the derivative of its solution, or a loop of its steps written with NumPy"
    if room := next((room for room in _ROOMS if function.startswith(f"{room}.")), None):
        return _ROOMS[room]
    has_twin = library == "scipy.linalg" and hasattr(np.linalg, name)
    has_twin = has_twin or (library == "scipy.fft" and hasattr(np.fft, name))
    formula = _INSTEAD.get(function) or _FORMULAS.get(function)
    return formula or (f"np.{library.removeprefix('scipy.')}.{name}" if has_twin else "")


def _distribution_in(function: str) -> str:
    """The SciPy distribution whose method this is; empty if it is none."""
    distribution, _, method = function.removeprefix("scipy.stats.").rpartition(".")
    return distribution if function.startswith("scipy.stats.") and method else ""
