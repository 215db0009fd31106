"""Fits of small models by SciPy's optimisers, with exact derivatives and standard errors."""

import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError, MissingExtraError, UsageError, warn
from tinygrad_lite.training.fit_bounds import Interval, bounds_of, check_start
from tinygrad_lite.training.robust_losses import weighed_by
from tinygrad_lite.transforms.gradients import grad, hvp, value_and_grad
from tinygrad_lite.transforms.jacobians import hessian, jacobian
from tinygrad_lite.transforms.raveling import ravel
from tinygrad_lite.transforms.runs import name_of, opened, standing_in

Local = tuple[Array, Array]
"""At a point, Newton's step and the covariance."""

_BY_PRODUCTS = ("Newton-CG", "trust-ncg", "trust-krylov", "trust-constr")
_BY_HESSIAN = ("dogleg", "trust-exact")
_WITHOUT_DERIVATIVES = ("Nelder-Mead", "Powell", "COBYLA", "COBYQA")
_CHANGES = 100
"""How often the parameters that are held at their bounds may change among the last steps."""

_EPSILON = float(np.finfo(float).eps)


@dataclass(frozen=True)
class ScipyFit:
    """The result of `fit_scipy`.

    Attributes:
        parameters: the parameters, in the containers of the start; for a module, the dict of its parameters.
        standard_errors: theirs, in the same containers: infinite for what the data do not determine; NaN at a bound, if
            the fit did not converge, or if there are no more residuals than parameters.
        covariance: of the parameters, in the order of `tg.ravel`.
        is_at_bound: which parameters a bound holds, in the same order.
        residual_std: s, for residuals; None for a loss.
        loss: the sum of the squared residuals, or of what a robust loss makes of them, or the value of f.
        converged: whether one more step of Newton's would move no parameter by more than a thousandth of its standard
            error.
        message: why SciPy's optimiser stopped, and what keeps the fit from a minimum, if that is known.
        evaluations: how often it called f.
    """

    parameters: Any
    standard_errors: Any
    covariance: Array
    is_at_bound: Array
    residual_std: float | None
    loss: float
    converged: bool
    message: str
    evaluations: int

    def __repr__(self) -> str:
        rows = [("parameter", "value", "standard error")]
        paths, errors = trees.paths(self.parameters), trees.leaves(self.standard_errors)
        held = iter(self.is_at_bound)
        for path, values, its_errors in zip(paths, trees.leaves(self.parameters), errors, strict=True):
            for index, value in np.ndenumerate(values):
                name = path + (str(list(index)) if index else "")
                error = "at a bound" if next(held) else f"{np.asarray(its_errors)[index]:.2g}"
                rows.append((name, f"{value:.6g}", error))
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        std = "" if self.residual_std is None else f", residual standard deviation {self.residual_std:.6g}"
        end = "" if self.converged else f"\nnot converged: {self.message}"
        return "\n".join(lines) + f"\nloss {self.loss:.6g}{std}{end}"


def fit_scipy(f: Callable[..., Any], start: Any, *args: Any, method: str | None = None, **settings: Any) -> ScipyFit:
    """Find the parameters that make f(parameters, *args) smallest by SciPy's optimisers, and their standard errors.

    If f returns residuals r, it is `scipy.optimize.least_squares` with their Jacobian J. Then the covariance is
    s² (JᵀJ)⁻¹, where s² = Σ r² / (number of residuals - number of parameters). With a robust `loss`, whose derivative
    by the residuals is ψ, it is s² = K² Σ ψ(r)² / (number of residuals - number of parameters) / mean(ψ'(r))², with
    K = 1 + parameters / residuals · var(ψ'(r)) / mean(ψ'(r))². If f returns one number, it is
    `scipy.optimize.minimize` with the gradient, and with products with the Hessian H, or H itself, for a method that
    takes them. Then the covariance is H⁻¹, which has that meaning if f is a negative log-likelihood. The last steps are
    Newton's, with JᵀJ as the Hessian of residuals. J or H is in memory, so there should be few parameters.

    Args:
        start: real numbers, arrays, tensors, modules, and nested containers of these, which f gets with other numbers;
            they themselves do not change. Whole numbers count as real ones. Minimisation measures each parameter in
            units of its size in the start.
        method: by default "trf" for residuals, and "trust-ncg" for a number, "L-BFGS-B" with bounds, or "SLSQP" with
            constraints.
        settings: further arguments of SciPy's function, for the flat array `tg.ravel(start)[0]`, such as `bounds` and
            `loss`. If the start is a dict, `bounds` may be one of pairs (lower, upper), with None for no bound. The
            standard errors of the others are those with the parameters at bounds held fixed.

    Raises:
        InputError: if f is not finite at the start, returns fewer residuals than there are parameters, or the search
            comes to where their derivatives are not finite; if the start is outside of the bounds.
        UsageError: if f returns something other than real numbers, or the start holds anything else; if the method
            knows no bounds.
        MissingExtraError: if SciPy is not installed.

    Source: Huber (1981), Robust Statistics, section 7.6, for robust losses.

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
    start = trees.map_leaves(_real, start)
    flat, unravel = ravel(start)
    _, modules = opened(start)
    x = _array(flat).astype(float)

    def of_flat(flat: Array) -> Any:
        with ExitStack() as stand_ins:
            return f(standing_in(start, trees.leaves(unravel(flat)), modules, stand_ins), *args)

    with np.errstate(all="ignore"):  # a step that goes too far is undone
        first = _checked(of_flat(x), x.size, name)
        interval = bounds_of(settings.pop("bounds", None), unravel, x.size, in_pairs=not first.ndim)
        check_start(x, interval, trees.paths(unravel(x)), unravel)
        if first.ndim:
            problem: _Residuals | _Loss = _Residuals(of_flat, x, first.size, name, settings)
        else:
            problem = _Loss(of_flat, x)
        result, x = problem.solved(optimize, method, interval, settings)
        end = _End(problem, x, interval)
        if "constraints" not in settings:
            end = _polished(end)
        loss, residual_std = problem.loss(end.x), problem.residual_std(end.x, end.is_free)
    message, covariance = str(result.message), end.covariance
    is_there = bool(end.moved <= 1)
    if not is_there:
        if result.success and "constraints" in settings:
            message += "; but the loss is not flat there, as where constraints end it"
        warn(f"fit_scipy: the fit did not converge, and its standard errors are not known: {message}")
        covariance = np.full_like(covariance, np.nan)
    return ScipyFit(
        unravel(end.x),
        unravel(np.sqrt(np.diagonal(covariance))),
        covariance,
        ~end.is_free,
        residual_std,
        loss,
        is_there,
        message,
        result.nfev,
    )


class _Residuals:
    """A sum of squares, or of what a robust loss makes of them."""

    def __init__(
        self, f: Callable[[Array], Any], start: Array, count: int, name: str, settings: dict[str, Any]
    ) -> None:
        self.f, self.start, self.count, self.name = f, start, count, name
        self.is_robust = settings.get("loss", "linear") != "linear"
        self.weighed = weighed_by(settings.get("loss", "linear"), settings.get("f_scale", 1.0))

    def residuals(self, x: Array) -> Array:
        return np.ravel(_array(self.f(x)))

    def jacobian(self, x: Array) -> Array:
        return _array(jacobian(self.f)(x)).reshape(self.count, x.size)

    def loss(self, x: Array) -> float:
        return float(np.sum(self.weighed(self.residuals(x))[0]))

    def slopes(self, x: Array) -> Array:
        return 2 * self.weighed(self.residuals(x))[1] @ self.jacobian(x)

    def residual_std(self, x: Array, is_free: Array) -> float:
        _, psi, change = self.weighed(self.residuals(x))
        parameters = np.count_nonzero(is_free)
        if self.count <= parameters or np.mean(change) <= 0:
            return np.nan
        factor = 1 + parameters / self.count * np.var(change) / np.mean(change) ** 2
        return float(factor * np.sqrt(np.sum(psi**2) / (self.count - parameters)) / np.mean(change))

    def solved(
        self, optimize: Any, method: str | None, interval: Interval, settings: dict[str, Any]
    ) -> tuple[Any, Array]:
        gtol = 1e-15 if method == "lm" else None  # for others it is absolute, and small residuals always meet it
        tolerances = {"ftol": 1e-12, "xtol": 1e-12, "gtol": gtol}
        own = {"method": method or "trf", "x_scale": "jac", "max_nfev": 10_000, "bounds": interval, **tolerances}

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

    def local(self, x: Array, is_free: Array) -> Local:
        J = self.jacobian(x)[:, is_free]
        _, psi, change = self.weighed(self.residuals(x))
        lengths = np.linalg.norm(J, axis=0)
        units = 1 / np.where(lengths > 0, lengths, 1)
        if not np.all(np.isfinite(J)):
            return _nowhere(units)
        U, S, Vt = np.linalg.svd(J * units, full_matrices=False)
        least = _EPSILON * self.count * S[0]
        if self._is_saddle(x, is_free, units * Vt[np.less_equal(S, least)]):
            return _nowhere(units)
        step, inverse = _along(Vt.T, S**2, S * (psi @ U), units, least**2)
        if self.is_robust:
            H = (J * units).T @ (change[:, None] * (J * units))
            curvatures, directions = np.linalg.eigh(H)
            flat = _EPSILON * self.count * np.max(np.abs(curvatures))
            if np.min(curvatures) < -flat:
                return _nowhere(units)
            step, _ = _along(directions, curvatures, psi @ (J * units) @ directions, units, flat)
        return step, inverse * np.square(self.residual_std(x, is_free))

    def _is_saddle(self, x: Array, is_free: Array, unknown: Array) -> bool:
        """Whether the loss falls along directions in which the residuals do not change to first order."""
        if not len(unknown):
            return False
        directions = np.zeros((len(unknown), x.size))
        directions[:, is_free] = unknown

        def along(steps: Array) -> Any:
            return np.reshape(self.f(x + steps @ directions), -1)

        bends = _array(jacobian(jacobian(along))(np.zeros(len(unknown))))
        psi = self.weighed(self.residuals(x))[1]
        curvatures = np.linalg.eigvalsh(np.tensordot(psi, bends, 1))
        return bool(curvatures[0] < -1e-6 * np.linalg.norm(psi) * np.linalg.norm(bends))


class _Loss:
    """A function with one value."""

    def __init__(self, f: Callable[[Array], Any], start: Array) -> None:
        self.f, self.start = f, start

    def loss(self, x: Array) -> float:
        return float(_array(self.f(x)))

    def slopes(self, x: Array) -> Array:
        return _array(grad(self.f)(x))

    def residual_std(self, x: Array, is_free: Array) -> None:
        return None

    def solved(
        self, optimize: Any, method: str | None, interval: Interval, settings: dict[str, Any]
    ) -> tuple[Any, Array]:
        units = np.ones_like(self.start) if "constraints" in settings else _sizes(self.start)
        is_bounded = bool(np.any(np.isfinite(interval)))

        def scaled(u: Array) -> Any:
            return self.f(u * units)

        def function(u: Array) -> Any:
            if method in _WITHOUT_DERIVATIVES:
                return float(_array(scaled(u)))
            value, gradient = value_and_grad(scaled)(u)
            return float(_array(value)), _array(gradient)

        own: dict[str, Any] = {"method": method, "jac": method not in _WITHOUT_DERIVATIVES}
        if method is None and "constraints" not in settings:
            steepness = float(np.linalg.norm(function(self.start / units)[1]))
            options = {"gtol": 1e-14 * steepness, "maxiter": 10_000}
            if is_bounded:
                own |= {"method": "L-BFGS-B", "options": {**options, "ftol": 1e-15}}
            else:
                own |= {"method": "trust-ncg", "options": options}
        if is_bounded:
            own["bounds"] = optimize.Bounds(*(bound / units for bound in interval))
        if own["method"] in _BY_PRODUCTS:
            own["hessp"] = lambda u, v: _array(hvp(scaled, (u,), (v,)))
        elif method in _BY_HESSIAN:
            own["hess"] = lambda u: _array(hessian(scaled)(u))
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Method .* cannot handle")
            try:
                result = optimize.minimize(function, self.start / units, **{**own, **settings})
            except RuntimeWarning as error:  # else SciPy ignores them
                raise UsageError(f"{error} leave method out, or choose another") from None
        return result, result.x * units

    def local(self, x: Array, is_free: Array) -> Local:
        H = _array(hessian(self.f)(x))[np.ix_(is_free, is_free)]
        lengths = np.sqrt(np.abs(np.diagonal(H)))
        units = 1 / np.where(lengths > 0, lengths, 1)
        if not np.all(np.isfinite(H)):
            return _nowhere(units)
        curvatures, directions = np.linalg.eigh(H * units * units[:, None])
        least = _EPSILON * x.size * np.max(np.abs(curvatures))
        if np.min(curvatures) < -least:  # no minimum
            return _nowhere(units)
        slopes = (self.slopes(x)[is_free] * units) @ directions
        flat = curvatures <= least
        falls = np.abs(directions[:, flat] @ slopes[flat]) / units * _sizes(self.start)[is_free]
        if np.any(falls > 1e-8 * max(abs(self.loss(x)), abs(self.loss(self.start)))):  # along a line without an end
            return _nowhere(units)
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
    """Nothing is known about as many parameters."""
    return np.full_like(x, np.nan), np.full((x.size, x.size), np.nan)


class _End:
    """Where a search may end.

    Attributes:
        is_free: which parameters no bound holds, as it does one whose loss falls beyond it.
        after: where Newton's step of these leads; if it leads across a bound beyond which the loss falls, that bound.
        covariance: of these; NaN for the others.
        moved: the longest move of a parameter by that step, in thousandths of its standard error, or of its rounding
            if that is larger.

    Source: Bates and Watts (1981), A relative offset orthogonality convergence criterion for nonlinear least squares.
    """

    def __init__(self, problem: _Residuals | _Loss, x: Array, interval: Interval) -> None:
        self.problem, self.x, self.interval = problem, x, interval
        lower, upper = interval
        slopes = problem.slopes(x)
        self.is_free = free = ~((x <= lower) & (slopes > 0) | (x >= upper) & (slopes < 0))
        step, covariance = problem.local(x, free) if np.any(free) else _nowhere(np.zeros(0))
        self.covariance = np.full((x.size, x.size), np.nan)
        self.covariance[np.ix_(free, free)] = covariance
        target = np.array(x)
        target[free] += step
        bound = np.where(slopes > 0, lower, upper)
        is_across = free & np.where(slopes > 0, target <= lower, target >= upper)
        self.after = np.where(is_across, bound, x) if np.any(is_across) else np.clip(target, lower, upper)
        errors = np.nan_to_num(np.sqrt(np.diagonal(covariance)), nan=0.0)
        least = 1e-3 * errors + 1e-8 * np.maximum(np.abs(x), _sizes(problem.start))[free]
        self.moved = float(np.max(np.abs(self.after - x)[free] / least, initial=0.0))

    def next(self) -> "_End":
        return _End(self.problem, self.after, self.interval)


def _polished(end: _End) -> _End:
    """Take Newton's steps for as long as they become shorter, or lead to a bound or away from one."""
    changes = 0
    while end.moved > 0:
        after = end.next()
        if not after.moved < 0.9 * end.moved:
            changes += 1
            if changes > _CHANGES or np.array_equal(after.is_free, end.is_free):
                break
            before = end.problem.loss(end.x)
            if not end.problem.loss(after.x) <= before + 1e-9 * abs(before):
                break
        end = after
    return end


def _sizes(start: Array) -> Array:
    return np.where(start == 0, 1.0, np.abs(start))


def _real(x: Any) -> Any:
    """A whole number as a real one, and all else as it is."""
    if isinstance(x, int) and not isinstance(x, bool):
        return float(x)
    return x.astype(float) if isinstance(x, (np.ndarray, np.integer)) and x.dtype.kind in "iu" else x


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
