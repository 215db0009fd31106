"""Functions that stand in for those of SciPy that need plain arrays, where NumPy or we have the same for tensors."""

from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.op import Traced
from tinygrad_lite.errors import UsageError
from tinygrad_lite.foundation.signatures import bound_to, signature_of
from tinygrad_lite.ops.linear import of_scipy

Function = Callable[..., Any]

_HOW = ("check_finite", "driver", "lapack_driver", "overwrite_a", "overwrite_b", "overwrite_x", "workers")
"""The keywords that say how to compute, and not what."""


def _mirrored(a: Any, lower: bool) -> Any:
    return np.tril(a) + np.tril(a, -1).mT.conj() if lower else np.triu(a) + np.triu(a, 1).mT.conj()


_READ: dict[str | None, Function] = {
    **dict.fromkeys((None, "gen", "general"), lambda a, lower: a),
    **dict.fromkeys(("sym", "symmetric", "her", "hermitian", "pos", "positive definite"), _mirrored),
    "upper triangular": lambda a, lower: np.triu(a),
    "lower triangular": lambda a, lower: np.tril(a),
    "diagonal": lambda a, lower: np.triu(np.tril(a)),
    "tridiagonal": lambda a, lower: np.triu(np.tril(a, 1), -1),
}
"""For what a system assumes of its matrix, the matrix that it reads: it leaves out the other entries."""


def _solve(a: Any, b: Any, lower: bool = False, *, assume_a: str | None = None, transposed: bool = False) -> Any:
    if assume_a not in _READ or (a.dtype.kind == "c" and _READ[assume_a] is _mirrored):
        raise UsageError(
            f"scipy.linalg.solve: assume_a={assume_a!r} reads a part of the matrix that is not known here; leave it "
            "out under tg.functionalize"
        )
    read = _READ[assume_a](a, lower)
    return np.linalg.solve(read.mT if transposed else read, b)


def _lstsq(a: Any, b: Any, cond: float | None = None) -> Any:
    x, residues, rank, values = np.linalg.lstsq(a, b, np.finfo(a.dtype).eps if cond is None else cond)
    return x, residues[0] if residues.size and b.ndim == 1 else residues, rank, values


def _cholesky(a: Any, lower: bool = False) -> Any:
    return np.linalg.cholesky(a, upper=not lower)


def _eigvalsh(a: Any, b: Any = None, *, lower: bool = True) -> Any:
    return of_scipy.eigh(a, b, lower=lower, eigvals_only=True)


def _svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    return tuple(np.linalg.svd(a, full_matrices)) if compute_uv else np.linalg.svdvals(a)


def _qr(a: Any, *, mode: str = "full") -> Any:
    if mode not in ("full", "r", "economic"):
        raise UsageError(f"scipy.linalg.qr: mode={mode!r} has no derivative; take 'full', 'r' or 'economic'")
    q, r = np.linalg.qr(a, "reduced" if mode == "economic" else "complete")
    return (r,) if mode == "r" else (q, r)


def _pinv(a: Any, *, rtol: float | None = None) -> Any:
    return np.linalg.pinv(a, rtol=max(a.shape) * np.finfo(a.dtype).eps if rtol is None else rtol)


def _taking_tensors(function: Function) -> Function:
    """What makes, out of SciPy's function, one that computes with this function where an argument is traced."""

    def make(of_scipy: Function, path: str) -> Function:
        @wraps(of_scipy)
        def taking(*args: Any, **params: Any) -> Any:
            if not any(isinstance(x, Traced) for x in trees.leaves((args, params))):
                return of_scipy(*args, **params)
            asked = {name: x for name, x in params.items() if name not in _HOW}
            bound_to(signature_of(function), path, args, asked)
            return function(*args, **asked)

        return taking

    return make


def _refusing_tensors(search: Function, path: str) -> Function:
    """A search that refuses a function whose result is being differentiated."""

    @wraps(search)
    def refusing(f: Function, *args: Any, **params: Any) -> Any:
        def checked(*numbers: Any) -> Any:
            value = f(*numbers)
            if getattr(value, "requires_grad", False):
                raise UsageError(
                    f"{path} is written in C and takes plain numbers, but the function returned a value that is being "
                    "differentiated: use scipy.optimize.newton, which is written in Python"
                )
            return value

        return search(checked, *args, **params)

    return refusing


_LINALG: dict[str, Function] = {
    **{name: getattr(np.linalg, name) for name in ("det", "norm")},
    **{name: getattr(of_scipy, name) for name in of_scipy.__all__},
    "cholesky": _cholesky,
    "eigvalsh": _eigvalsh,
    "inv": lambda a: np.linalg.inv(a),
    "lstsq": _lstsq,
    "pinv": _pinv,
    "qr": _qr,
    "solve": _solve,
    "svd": _svd,
    "svdvals": lambda a: np.linalg.svdvals(a),
}


def _length(x: Any, metric: str, p: float = 2) -> Any:
    """The length of differences of points, by the name of a metric."""
    if metric == "sqeuclidean":
        return np.sum(np.square(x), axis=-1)
    orders = {"euclidean": 2, "cityblock": 1, "chebyshev": np.inf, "minkowski": p}
    if metric not in orders:
        raise UsageError(
            f"scipy.spatial.distance: the metric {metric!r} has no derivative here; take 'sqeuclidean', "
            f"{', '.join(map(repr, orders))}, or its formula in NumPy"
        )
    return np.linalg.norm(x, orders[metric], axis=-1)


def _cdist(XA: Any, XB: Any, metric: str = "euclidean", *, p: float = 2) -> Any:
    return _length(XA[:, None] - XB, metric, p)


def _pdist(X: Any, metric: str = "euclidean", *, p: float = 2) -> Any:
    first, second = np.triu_indices(len(X), 1)
    return _length(X[first] - X[second], metric, p)


def _squareform(X: Any, force: str = "no", checks: bool = True) -> Any:
    if X.ndim == 2:
        if checks and np.any(np.diagonal(X) != 0):
            raise UsageError("scipy.spatial.distance.squareform: the diagonal of distances must be 0")
        return X[np.triu_indices(len(X), 1)]
    size = round((1 + (1 + 8 * len(X)) ** 0.5) / 2)
    places = np.zeros((size, size), int)
    places[np.triu_indices(size, 1)] = np.arange(1, len(X) + 1)
    return np.concatenate([np.zeros_like(X, shape=1), X])[places + places.T]


_DISTANCES: dict[str, Function] = {"cdist": _cdist, "pdist": _pdist, "squareform": _squareform}
_FOURIER = {
    f"{way}{name}": getattr(np.fft, f"{way}{name}")
    for way in ("", "i")
    for name in ("fft", "fft2", "fftn", "rfft", "rfft2", "rfftn")
}
_FOURIER |= {"hfft": np.fft.hfft, "ihfft": np.fft.ihfft}
_SEARCHES = ("bisect", "brenth", "brentq", "ridder")
"""The searches of `scipy.optimize` that call a function from C, and go on after an error in its result."""
MODULES: dict[str, dict[str, Function]] = {
    "scipy.fft": {name: _taking_tensors(function) for name, function in _FOURIER.items()},
    "scipy.linalg": {name: _taking_tensors(function) for name, function in _LINALG.items()},
    "scipy.spatial.distance": {name: _taking_tensors(function) for name, function in _DISTANCES.items()},
    "scipy.optimize": dict.fromkeys(_SEARCHES, _refusing_tensors),
}
"""For a module of SciPy's, what makes out of each of these functions the one that stands in for it."""


def stand_ins(module: ModuleType) -> dict[Any, Function]:
    """What stands in for the functions of a module of SciPy's."""
    makers = MODULES[module.__name__]
    path = module.__name__
    return {getattr(module, name): make(getattr(module, name), f"{path}.{name}") for name, make in makers.items()}
