"""Fits of small models by SciPy's optimisers, with exact derivatives and standard errors."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError, MissingExtraError, UsageError, warn
from tinygrad_lite.transforms.gradients import grad, hvp, value_and_grad
from tinygrad_lite.transforms.jacobians import hessian, jacobian
from tinygrad_lite.transforms.raveling import ravel
from tinygrad_lite.transforms.runs import name_of, opened, standing_in

Local = tuple[Array, Array]
"""At a point, Newton's step and the covariance."""

_BY_PRODUCTS = ("Newton-CG", "trust-ncg", "trust-krylov", "trust-constr")
_BY_HESSIAN = ("dogleg", "trust-exact")
_WITHOUT_DERIVATIVES = ("Nelder-Mead", "Powell", "COBYLA", "COBYQA")
_OTHER_MINIMA = {"bounds", "constraints", "loss"}  # settings that let the fit end where the gradient is not zero
_EPSILON = float(np.finfo(float).eps)


@dataclass(frozen=True)
class ScipyFit:
    """The result of `fit_scipy`.

    Attributes:
        parameters: the parameters, in the containers of the start; for a module, the dict of its parameters.
        standard_errors: theirs, in the same containers: infinite for what the data do not determine, NaN if the fit did
            not converge, or if there are no more residuals than parameters.
        covariance: of the parameters, in the order of `tg.ravel`.
        residual_std: s, for residuals; None for a loss.
        loss: the sum of the squared residuals, or the value of f.
        converged: whether one more step of Newton's would move no parameter by more than a thousandth of its standard
            error.
        message: why SciPy's optimiser stopped, and what keeps the fit from a minimum, if that is known.
        evaluations: how often it called f.
    """

    parameters: Any
    standard_errors: Any
    covariance: Array
    residual_std: float | None
    loss: float
    converged: bool
    message: str
    evaluations: int

    def __repr__(self) -> str:
        rows = [("parameter", "value", "standard error")]
        paths, errors = trees.paths(self.parameters), trees.leaves(self.standard_errors)
        for path, values, its_errors in zip(paths, trees.leaves(self.parameters), errors, strict=True):
            for index, value in np.ndenumerate(values):
                name = path + (str(list(index)) if index else "")
                rows.append((name, f"{value:.6g}", f"{np.asarray(its_errors)[index]:.2g}"))
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        std = "" if self.residual_std is None else f", residual standard deviation {self.residual_std:.6g}"
        end = "" if self.converged else f"\nnot converged: {self.message}"
        return "\n".join(lines) + f"\nloss {self.loss:.6g}{std}{end}"


def fit_scipy(f: Callable[..., Any], start: Any, *args: Any, method: str | None = None, **settings: Any) -> ScipyFit:
    """Find the parameters that make f(parameters, *args) smallest by SciPy's optimisers, and their standard errors.

    If f returns residuals r, it is `scipy.optimize.least_squares` with their Jacobian J. Then the covariance is
    s² (JᵀJ)⁻¹, where s² = Σ r² / (number of residuals - number of parameters). If f returns one number, it is
    `scipy.optimize.minimize` with the gradient, and with products with the Hessian H, or H itself, for a method that
    takes them. Then the covariance is H⁻¹, which has that meaning if f is a negative log-likelihood. The last steps are
    Newton's, with JᵀJ as the Hessian of residuals. J or H is in memory, so there should be few parameters.

    Args:
        start: real numbers, arrays, tensors, modules, and nested containers of these, which f gets with other numbers;
            they themselves do not change. Minimisation measures each parameter in units of its size in the start.
        method: by default "trf" for residuals, and "trust-ncg" for a number.
        settings: further arguments of SciPy's function, for the flat array `tg.ravel(start)[0]`, such as `bounds`. A
            fit that ends at a bound does not converge in the sense of `ScipyFit`.

    Raises:
        InputError: if f is not finite at the start, returns fewer residuals than there are parameters, or the search
            comes to where their derivatives are not finite.
        UsageError: if f returns something other than real numbers, or the start holds anything else.
        MissingExtraError: if SciPy is not installed.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> x = np.arange(6.0)
        >>> y = np.array([5.1, 3.0, 1.9, 1.1, 0.7, 0.4])
        >>> def residuals(parameters, x, y):
        ...     return parameters["height"] * np.exp(-parameters["rate"] * x) - y
        >>> tg.fit_scipy(residuals, {"height": 1.0, "rate": 1.0}, x, y)
        parameter  value     standard error
        height     5.07938   0.043
        rate       0.505303  0.0079
        loss 0.00820411, residual standard deviation 0.0452883
    """
    try:
        from scipy import optimize
    except ImportError:
        raise MissingExtraError("fit_scipy", "SciPy", "examples") from None
    name = name_of(f)
    flat, unravel = ravel(start)
    _, modules = opened(start)
    x = _array(flat).astype(float)

    def of_flat(flat: Array) -> Any:
        with ExitStack() as stand_ins:
            return f(standing_in(start, trees.leaves(unravel(flat)), modules, stand_ins), *args)

    with np.errstate(all="ignore"):  # a step that goes too far is undone
        first = _checked(of_flat(x), x.size, name)
        problem = _Residuals(of_flat, x, first.size, name) if first.ndim else _Loss(of_flat, x)
        result, x = problem.solved(optimize, method, settings)
        step, covariance = problem.local(x)
        if not settings.keys() & _OTHER_MINIMA:
            x, step, covariance = _polished(problem, x, step, covariance)
        loss, residual_std = problem.loss(x), problem.residual_std(x)
        is_there = bool(_moved(problem, x, step, covariance) <= 1)
    message = str(result.message)
    if not is_there:
        if result.success and settings.keys() & _OTHER_MINIMA:
            message += (
                f"; but the loss is not flat there, as where {' or '.join(settings.keys() & _OTHER_MINIMA)} end it"
            )
        warn(f"fit_scipy: the fit did not converge, and its standard errors are not known: {message}")
        covariance = np.full_like(covariance, np.nan)
    return ScipyFit(
        unravel(x),
        unravel(np.sqrt(np.diagonal(covariance))),
        covariance,
        residual_std,
        loss,
        is_there,
        message,
        result.nfev,
    )


class _Residuals:
    """A sum of squares."""

    def __init__(self, f: Callable[[Array], Any], start: Array, count: int, name: str) -> None:
        self.f, self.start, self.count, self.name = f, start, count, name

    def residuals(self, x: Array) -> Array:
        return np.ravel(_array(self.f(x)))

    def jacobian(self, x: Array) -> Array:
        return _array(jacobian(self.f)(x)).reshape(self.count, x.size)

    def loss(self, x: Array) -> float:
        return float(np.sum(self.residuals(x) ** 2))

    def residual_std(self, x: Array) -> float:
        return float(np.sqrt(self.loss(x) / (self.count - x.size))) if self.count > x.size else np.nan

    def solved(self, optimize: Any, method: str | None, settings: dict[str, Any]) -> tuple[Any, Array]:
        gtol = 1e-15 if method == "lm" else None  # for others it is absolute, and small residuals always meet it
        tolerances = {"ftol": 1e-12, "xtol": 1e-12, "gtol": gtol}
        own = {"method": method or "trf", "x_scale": "jac", "max_nfev": 10_000, **tolerances}

        def slopes(x: Array) -> Array:
            J = self.jacobian(x)
            if not np.all(np.isfinite(J)):
                raise InputError(
                    f"{self.name} has derivatives that are not finite at {np.array2string(x, threshold=8)}: pass "
                    "bounds that keep away from there, or another start"
                )
            return J

        result = optimize.least_squares(self.residuals, self.start, slopes, **{**own, **settings})
        return result, result.x

    def local(self, x: Array) -> Local:
        J = self.jacobian(x)
        lengths = np.linalg.norm(J, axis=0)
        units = 1 / np.where(lengths > 0, lengths, 1)
        if not np.all(np.isfinite(J)):
            return _nowhere(x)
        U, S, Vt = np.linalg.svd(J * units, full_matrices=False)
        slopes = S * (self.residuals(x) @ U)
        step, inverse = _along(Vt.T, S**2, slopes, units, (_EPSILON * self.count * S[0]) ** 2)
        return step, inverse * np.square(self.residual_std(x))


class _Loss:
    """A function with one value."""

    def __init__(self, f: Callable[[Array], Any], start: Array) -> None:
        self.f, self.start = f, start

    def loss(self, x: Array) -> float:
        return float(_array(self.f(x)))

    def residual_std(self, x: Array) -> None:
        return None

    def solved(self, optimize: Any, method: str | None, settings: dict[str, Any]) -> tuple[Any, Array]:
        units = np.ones_like(self.start) if settings.keys() & _OTHER_MINIMA else _sizes(self.start)

        def scaled(u: Array) -> Any:
            return self.f(u * units)

        def function(u: Array) -> Any:
            if method in _WITHOUT_DERIVATIVES:
                return float(_array(scaled(u)))
            value, gradient = value_and_grad(scaled)(u)
            return float(_array(value)), _array(gradient)

        own: dict[str, Any] = {"method": method, "jac": method not in _WITHOUT_DERIVATIVES}
        if method is None:
            steepness = np.linalg.norm(function(self.start / units)[1])
            own = {"method": "trust-ncg", "jac": True, "options": {"gtol": 1e-14 * steepness, "maxiter": 10_000}}
        if own["method"] in _BY_PRODUCTS:
            own["hessp"] = lambda u, v: _array(hvp(scaled, (u,), (v,)))
        elif method in _BY_HESSIAN:
            own["hess"] = lambda u: _array(hessian(scaled)(u))
        result = optimize.minimize(function, self.start / units, **{**own, **settings})
        return result, result.x * units

    def local(self, x: Array) -> Local:
        H = _array(hessian(self.f)(x))
        lengths = np.sqrt(np.abs(np.diagonal(H)))
        units = 1 / np.where(lengths > 0, lengths, 1)
        if not np.all(np.isfinite(H)):
            return _nowhere(x)
        curvatures, directions = np.linalg.eigh(H * units * units[:, None])
        least = _EPSILON * x.size * np.max(np.abs(curvatures))
        if np.min(curvatures) < -least:  # no minimum
            return _nowhere(x)
        slopes = (_array(grad(self.f)(x)) * units) @ directions
        flat = curvatures <= least
        falls = np.abs(directions[:, flat] @ slopes[flat]) / units * _sizes(self.start)
        if np.any(falls > 1e-8 * max(abs(self.loss(x)), abs(self.loss(self.start)))):  # along a line without an end
            return _nowhere(x)
        return _along(directions, curvatures, slopes, units, least)


def _along(directions: Array, curvatures: Array, slopes: Array, units: Array, least: float) -> Local:
    """Newton's step and the inverse Hessian, by its eigenvectors and eigenvalues in some units of the parameters.

    There is no step along a direction of no more than the least curvature, and its parameters have infinite variance.
    """
    is_known = curvatures > least
    known, unknown = directions[:, is_known], directions[:, ~is_known]
    step = -units * (known @ (slopes[is_known] / curvatures[is_known]))
    inverse = (known / curvatures[is_known]) @ known.T * units * units[:, None]
    is_free = np.any(np.abs(unknown) > 1e-6, axis=1)
    inverse[is_free] = inverse[:, is_free] = np.inf
    return step, inverse


def _nowhere(x: Array) -> Local:
    return np.full_like(x, np.nan), np.full((x.size, x.size), np.nan)


def _polished(problem: _Residuals | _Loss, x: Array, step: Array, covariance: Array) -> tuple[Array, Array, Array]:
    """Take Newton's steps for as long as they become shorter."""
    moved = _moved(problem, x, step, covariance)
    while moved > 0:
        after = x + step
        next_step, next_covariance = problem.local(after)
        next_moved = _moved(problem, after, next_step, next_covariance)
        if not next_moved < 0.9 * moved:
            break
        x, step, covariance, moved = after, next_step, next_covariance, next_moved
    return x, step, covariance


def _moved(problem: _Residuals | _Loss, x: Array, step: Array, covariance: Array) -> float:
    """The longest move of a parameter, in thousandths of its standard error, or of its rounding if that is larger.

    Source: Bates and Watts (1981), A relative offset orthogonality convergence criterion for nonlinear least squares.
    """
    errors = np.nan_to_num(np.sqrt(np.diagonal(covariance)), nan=0.0)
    return float(np.max(np.abs(step) / (1e-3 * errors + 1e-8 * np.maximum(np.abs(x), _sizes(problem.start)))))


def _sizes(start: Array) -> Array:
    return np.where(start == 0, 1.0, np.abs(start))


def _array(y: Any) -> Array:
    return y.detach().numpy() if isinstance(y, Tensor) else np.asarray(y)


def _checked(result: Any, parameters: int, name: str) -> Array:
    """The first result of f, if it can be fitted."""
    y = _array(result)
    if y.dtype.kind != "f":
        raise UsageError(f"{name} must return residuals or a loss, which are real numbers; it returned {y.dtype}")
    if not parameters or (y.ndim > 0 and y.size < parameters):
        raise InputError(f"{name} returned {y.size} residuals, and there are {parameters} parameters")
    if not np.all(np.isfinite(y)):
        raise InputError(f"{name} returned numbers at the start that are not finite: begin where it is defined")
    return y
