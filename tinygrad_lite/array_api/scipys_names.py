"""Functions that stand in for those of SciPy that need plain arrays, where NumPy or we have the same for tensors."""

from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.op import Traced
from tinygrad_lite.errors import UsageError
from tinygrad_lite.ops.linear import of_scipy

Function = Callable[..., Any]

_HOW = ("check_finite", "driver", "lapack_driver", "overwrite_a", "overwrite_b", "overwrite_x", "workers")
"""The keywords that say how to compute, and not what."""


def _solve(a: Any, b: Any, lower: bool = False, *, assume_a: str | None = None, transposed: bool = False) -> Any:
    if assume_a not in (None, "gen", "general"):
        raise UsageError(
            f"scipy.linalg.solve: with assume_a={assume_a!r} it reads a part of the matrix; leave it out under "
            "tg.functionalize"
        )
    return np.linalg.solve(a.mT if transposed else a, b)


def _cholesky(a: Any, lower: bool = False) -> Any:
    return np.linalg.cholesky(a, upper=not lower)


def _eigh(a: Any, *, lower: bool = True, eigvals_only: bool = False) -> Any:
    uplo: Any = "L" if lower else "U"
    return np.linalg.eigvalsh(a, uplo) if eigvals_only else tuple(np.linalg.eigh(a, uplo))


def _eigvalsh(a: Any, *, lower: bool = True) -> Any:
    return _eigh(a, lower=lower, eigvals_only=True)


def _svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    return tuple(np.linalg.svd(a, full_matrices)) if compute_uv else np.linalg.svdvals(a)


def _qr(a: Any, *, mode: str = "full") -> Any:
    made: Any = np.linalg.qr(a, {"full": "complete", "economic": "reduced"}.get(mode, mode))  # type: ignore[call-overload]
    return (made,) if mode == "r" else tuple(made)


_LINALG: dict[str, Function] = {
    **{name: getattr(np.linalg, name) for name in ("det", "norm")},
    **{name: getattr(of_scipy, name) for name in ("cho_factor", "cho_solve", "expm", "solve_triangular")},
    "cholesky": _cholesky,
    "eigh": _eigh,
    "eigvalsh": _eigvalsh,
    "inv": lambda a: np.linalg.inv(a),
    "pinv": lambda a: np.linalg.pinv(a, rtol=max(a.shape) * np.finfo(a.dtype).eps),
    "qr": _qr,
    "solve": _solve,
    "svd": _svd,
    "svdvals": lambda a: np.linalg.svdvals(a),
}
_FOURIER = {
    f"{way}{name}": getattr(np.fft, f"{way}{name}")
    for way in ("", "i")
    for name in ("fft", "fft2", "fftn", "rfft", "rfft2", "rfftn")
}
_FOURIER |= {"hfft": np.fft.hfft, "ihfft": np.fft.ihfft}
MODULES: dict[str, dict[str, Function]] = {"scipy.fft": _FOURIER, "scipy.linalg": _LINALG}
"""For a module of SciPy's, what stands in for its functions."""


def stand_ins(module: ModuleType) -> dict[Any, Function]:
    """What stands in for the functions of a module of SciPy's."""
    ours = MODULES[module.__name__]
    return {getattr(module, name): _taking_tensors(getattr(module, name), function) for name, function in ours.items()}


def _taking_tensors(of_scipy: Function, function: Function) -> Function:
    @wraps(of_scipy)
    def taking(*args: Any, **params: Any) -> Any:
        if not any(isinstance(x, Traced) for x in trees.leaves((args, params))):
            return of_scipy(*args, **params)
        return function(*args, **{name: x for name, x in params.items() if name not in _HOW})

    return taking
