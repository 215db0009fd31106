"""Under `functionalize`, code that was written for NumPy's arrays has NumPy's values, and derivatives."""

import cmath
import copy
import importlib
import math
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.fft
import scipy.integrate
import scipy.interpolate
import scipy.linalg
import scipy.ndimage
import scipy.optimize
import scipy.signal
import scipy.spatial.distance
import scipy.special
import scipy.stats
from numpy import array as numpys_array
from numpy import zeros as numpys_zeros
from numpy.lib.stride_tricks import as_strided
from sklearn.linear_model import LinearRegression, Ridge

import tinygrad_lite as tg
from tinygrad_lite.array_api import numpys_names, scipys_names
from tinygrad_lite.errors import NoDerivativeError, UsageError

X = np.array([0.7, -0.4, 0.3, 0.9, 1.2, -0.8])
SQUARE = np.arange(9.0).reshape(3, 3) / 10
GRID = np.linspace(0.0, 1.0, 6)


def written(make: Callable[..., Any]) -> Callable[[Any], Any]:
    """A function that writes into an array that it has made."""

    def f(x: Any) -> Any:
        made = make(x)
        made[..., 0] = x[0] * x[1]
        return made * x[2]

    return f


def alias(convert: Callable[..., Any]) -> Callable[[Any], Any]:
    """A function that shows whether a converted array is the array itself."""

    def f(x: Any) -> Any:
        whole = x * 2
        converted = convert(whole)
        whole[0] = x[1] ** 2
        return converted * x[0]

    return f


MAKING: dict[str, Callable[[Any], Any]] = {
    "zeros": written(lambda x: np.zeros((2, 3))),
    "zeros of another module's name": written(lambda x: numpys_zeros(3)),
    "zeros in float32": written(lambda x: np.zeros(3, dtype=np.float32)),
    "ones": written(lambda x: np.ones(4)),
    "empty": written(lambda x: np.empty(1)),
    "eye": written(lambda x: np.eye(3)),
    "identity": written(lambda x: np.identity(2)),
    "arange": written(lambda x: np.arange(4.0)),
    "linspace": written(lambda x: np.linspace(0, 1, 5)),
    "copy": written(lambda x: np.copy(SQUARE)),
    "diag": written(lambda x: np.diag([1.0, 2.0])),
    "full": written(lambda x: np.full(3, 2.0)),
    "full of a tensor": lambda x: np.full((2, 3), x[0] ** 2),
    "zeros_like": written(lambda x: np.zeros_like(SQUARE)),
    "ones_like": written(lambda x: np.ones_like(SQUARE)),
    "empty_like": written(lambda x: np.empty_like(GRID[:1])),
    "full_like": written(lambda x: np.full_like(SQUARE, 3.0)),
    "full_like a tensor": lambda x: np.full_like(SQUARE, x[0] ** 2),
    "fromiter": lambda x: np.fromiter((t**2 for t in x), float),
    "fromiter of some": lambda x: np.fromiter((t**2 for t in x), np.float32, 3),
    "array": lambda x: np.array([[x[0], 1.0], [2, x[1] * x[2]]]),
    "array of another module's name": lambda x: numpys_array([x[0], x[0] * x[1]]),
    "array of arrays": lambda x: np.array([x[:2], x[2:4] ** 2, np.ones(2)]),
    "array with axes": lambda x: np.array(x, ndmin=3) ** 2,
    "array in float32": lambda x: np.array([x[0] ** 2, 1.0], dtype=np.float32),
    "array of complex numbers": lambda x: np.abs(np.array([x[0], 2.0], dtype=complex) * 1j),
    "array of objects": lambda x: np.array(list(np.array(x, dtype=object)), dtype=float) ** 2,
    "array, which copies": alias(lambda x: np.array(x)),
    "array, without a copy": alias(lambda x: np.array(x, copy=None)),
    "array by columns": alias(lambda x: np.array(x.reshape(2, 3), order="F")[:, 0]),
    "asarray": alias(lambda x: np.asarray(x)),
    "asarray, by map": lambda x: sum(map(np.asarray, (x[:2], x[2:4] ** 2))),
    "asarray of a list": written(lambda x: np.asarray([1.0, 2.0])),
    "asarray of what is outside": lambda x: np.asarray(GRID) * x,
    "asarray of another dtype": alias(lambda x: np.asarray(x, dtype=np.float32)),
    "asanyarray": alias(lambda x: np.asanyarray(x)),
    "ascontiguousarray": alias(lambda x: np.ascontiguousarray(x.reshape(2, 3).T)),
    "ascontiguousarray of a number": lambda x: np.ascontiguousarray(x[0] ** 2),
    "asfortranarray": alias(lambda x: np.asfortranarray(x.reshape(2, 3))),
    "as_strided": alias(lambda x: as_strided(x, (4, 3), (8, 8))),
    "as_strided, backwards": alias(lambda x: as_strided(x[3:], (3, 3), (-8, 8))),
    "as_strided, windows": alias(lambda x: as_strided(x.reshape(2, 3).T, (2, 2, 2), (8, 24, 8))),
    "isscalar": lambda x: x[0] ** 2 if np.isscalar(x[0]) and not np.isscalar(x) else x * 0,
}
CHOOSING: dict[str, Callable[[Any], Any]] = {
    "a function of entries": lambda x: np.vectorize(lambda t: t**2 if t > 0 else -t)(x),
    "joined by r_": lambda x: np.r_[x[:2], 1.0, x[2:] ** 2],
    "joined by c_": lambda x: np.c_[x, x**2],
    "polynomial": lambda x: np.polynomial.Polynomial(x)(0.3) + np.polynomial.chebyshev.chebval(0.4, x),
    "an array by its class": lambda x: x**2 if isinstance(x, np.ndarray) else x * 0,
    "a number by its class": lambda x: x[0] ** 2 if isinstance(x[0], float) else x * 0,
    "items": lambda x: np.array(
        [x.item(0) ** 2, x[1:2].item(), x.reshape(2, 3).item(1, 2), x.reshape(2, 3).item((1, 0))]
    ),
    "lists": lambda x: np.array([[t * s for t in row] for row, s in zip(x.reshape(2, 3).tolist(), x.tolist())]),
    "copies": lambda x: copy.deepcopy([x])[0] * copy.copy(x),
    "lists beside arrays": lambda x: (np.eye(2) * [x[0], x[1]]) @ [x[2] ** 2, 1.0] + x[:2] * (x[3], x[4]) - [x[0], 2],
    "a row that is changed": lambda x: changed(np.array([x, 2 * x])),
    "whole numbers": lambda x: x * [math.floor(x[0] * 5), math.ceil(x[1]), math.trunc(x[2]), 1, 2, 3],
    "sorted by a kind": lambda x: in_order(x * 2),
    "what it does to memory": lambda x: (
        x**2 if x.flags.c_contiguous and x.strides == (8,) and x[1:].base is x else 0 * x
    ),
}


def changed(a: Any) -> Any:
    a[0] *= a[1]
    a[:, 1] = a[1, 0]
    return a


def in_order(a: Any) -> Any:
    a.sort(kind="stable")
    return a**2


MATHS: dict[str, Callable[[Any], Any]] = {
    **{name: lambda x, name=name: getattr(math, name)(0.4 + x[2]) for name in numpys_names.OF_MATH},
    **{name: lambda x, name=name: getattr(math, name)(1.4 + x[2]) for name in ("acosh", "isnan", "isinf", "isfinite")},
    **{name: lambda x, name=name: getattr(math, name)(x[0] + 1, x[3]) for name in ("atan2", "pow", "fmod", "copysign")},
    "atanh": lambda x: math.atanh(x[0]),
    "hypot": lambda x: math.hypot(x[0], 2.0, x[1]),
    "log": lambda x: math.log(x[0]) + math.log(x[0], 2) + math.log(3.0, x[0]),
    "dist": lambda x: math.dist(x[:2], [1.0, 2.0]),
    "fsum": lambda x: math.fsum(x**2),
    "prod": lambda x: math.prod(x),
}


def definite(x: Any) -> Any:
    """A symmetric positive definite matrix."""
    a = x.reshape(2, 3)
    return a @ a.T + 2 * np.eye(2)


def of_list(x: Any) -> Any:
    return np.concatenate([np.ravel(part) for part in x])


SEARCHES = ("bisect", "brenth", "brentq", "ridder")
SCIPYS: dict[str, Callable[[Any], Any]] = {
    **{
        f"scipy.fft.{name}": lambda x, name=name: np.abs(getattr(scipy.fft, name)(x.reshape(2, 3)))
        for name in scipys_names.MODULES["scipy.fft"]
    },
    **{
        f"scipy.linalg.{name}": lambda x, name=name: getattr(scipy.linalg, name)(definite(x))
        for name in ("det", "inv", "norm", "pinv", "svdvals", "expm", "cholesky", "eigvalsh", "logm", "sqrtm")
    },
    **{
        f"scipy.linalg.{name}": lambda x, name=name: getattr(scipy.linalg, name)(x[:3])
        for name in ("circulant", "hankel")
    },
    "scipy.linalg.solve_sylvester": lambda x: scipy.linalg.solve_sylvester(definite(x), np.eye(2), definite(x**2)),
    **{
        f"scipy.linalg.solve_{name}_lyapunov": lambda x, name=name: getattr(scipy.linalg, f"solve_{name}_lyapunov")(
            definite(x) / 9, definite(x**2)
        )
        for name in ("continuous", "discrete")
    },
    **{
        f"scipy.linalg.solve_{name}_are": lambda x, name=name: getattr(scipy.linalg, f"solve_{name}_are")(
            definite(x) / 9, x[4:, None], np.eye(2), np.eye(1)
        )
        for name in ("continuous", "discrete")
    },
    **{
        f"scipy.spatial.distance.{name}, {metric}": lambda x, name=name, metric=metric: getattr(
            scipy.spatial.distance, name
        )(*[x.reshape(3, 2), x[:4].reshape(2, 2) ** 2][: 2 if name == "cdist" else 1], metric)
        for name in ("cdist", "pdist")
        for metric in ("euclidean", "sqeuclidean", "cityblock", "chebyshev", "minkowski")
    },
    "scipy.spatial.distance.squareform": lambda x: scipy.spatial.distance.squareform(x),
    "scipy.spatial.distance.squareform, back": lambda x: scipy.spatial.distance.squareform(
        definite(x) * (1 - np.eye(2))
    ),
    "scipy.linalg.lu_factor": lambda x: scipy.linalg.lu_factor(definite(x))[0],
    "scipy.linalg.lu_solve": lambda x: scipy.linalg.lu_solve(scipy.linalg.lu_factor(definite(x)), x[:2], 1),
    "scipy.linalg.polar": lambda x: of_list(scipy.linalg.polar(definite(x))),
    "scipy.linalg.cho_factor": lambda x: np.triu(scipy.linalg.cho_factor(definite(x))[0]),
    "scipy.linalg.cho_solve": lambda x: scipy.linalg.cho_solve(scipy.linalg.cho_factor(definite(x)), np.ones(2)),
    "scipy.linalg.cholesky, lower": lambda x: scipy.linalg.cholesky(definite(x), lower=True, check_finite=False),
    "scipy.linalg.eigh": lambda x: (
        scipy.linalg.eigh(definite(x))[0]
        + scipy.linalg.eigh(definite(x), eigvals_only=True)
        + scipy.linalg.eigh(x[:4].reshape(2, 2), definite(x))[0]
    ),
    "scipy.linalg.qr": lambda x: of_list(map(np.abs, scipy.linalg.qr(x.reshape(3, 2), mode="economic"))),
    "scipy.linalg.qr, r": lambda x: np.abs(scipy.linalg.qr(x.reshape(3, 2), mode="r")[0]),
    "scipy.linalg.lstsq": lambda x: of_list(scipy.linalg.lstsq(np.vander(GRID, 3), x)[:2]),
    "scipy.linalg.lstsq, of two": lambda x: scipy.linalg.lstsq(x[:4].reshape(2, 2), np.eye(2), cond=1e-6)[0],
    "scipy.linalg.solve": lambda x: scipy.linalg.solve(definite(x), np.ones(2), check_finite=False),
    "scipy.linalg.solve, transposed": lambda x: scipy.linalg.solve(x[:4].reshape(2, 2), x[4:], transposed=True),
    **{
        f"scipy.linalg.solve, {kind}": lambda x, kind=kind: np.concatenate(
            [
                scipy.linalg.solve(definite(x) + np.diag(x[:1], 1), x[4:], lower=lower, assume_a=kind)
                for lower in (False, True)
            ]
        )
        for kind in ("sym", "pos", "her", "diagonal", "tridiagonal", "upper triangular", "lower triangular")
    },
    "scipy.linalg.solve_triangular": lambda x: scipy.linalg.solve_triangular(x[:4].reshape(2, 2), x[4:], lower=True),
    "scipy.linalg.svd": lambda x: (
        scipy.linalg.svd(x.reshape(2, 3))[1] + scipy.linalg.svd(x.reshape(2, 3), compute_uv=False)
    ),
    "scipy.linalg.toeplitz": scipy.linalg.toeplitz,
    "scipy.linalg.block_diag": lambda x: scipy.linalg.block_diag(x[:4].reshape(2, 2), x[4:]),
    **{
        f"sklearn's {type(model).__name__}": lambda x, model=model: model.fit(np.vander(GRID, 3), x).predict(SQUARE)
        for model in (LinearRegression(), Ridge(0.1))
    },
    "scipy.integrate.solve_ivp": lambda x: scipy.integrate.solve_ivp(
        lambda t, y: [x[0] * y[1], -x[3] * y[0]], (0, 1), [1.0, 0.5], rtol=1e-8, atol=1e-10
    ).y[:, -1],
    "scipy.integrate.simpson": lambda x: scipy.integrate.simpson(x**2, x=GRID),
    "scipy.integrate.fixed_quad": lambda x: scipy.integrate.fixed_quad(lambda t: np.sin(x[0] * t), 0, 1)[0],
    "scipy.interpolate.interp1d": lambda x: scipy.interpolate.interp1d(GRID, x)([0.33, 0.51]),
    "scipy.interpolate.BarycentricInterpolator": lambda x: scipy.interpolate.BarycentricInterpolator(GRID, x)(0.33),
    "scipy.optimize.newton": lambda x: scipy.optimize.newton(lambda t: t**3 - x[0], 1.0),
    "scipy.signal.fftconvolve": lambda x: scipy.signal.fftconvolve(x, GRID),
    "scipy.signal.hilbert": lambda x: np.abs(scipy.signal.hilbert(x)),
    "scipy.signal.welch": lambda x: scipy.signal.welch(x, nperseg=4)[1],
    "scipy.special.logsumexp": scipy.special.logsumexp,
    "scipy.stats.norm": lambda x: scipy.stats.norm.logpdf(x, 0.1, x[0]),
    "scipy.stats.gamma": lambda x: scipy.stats.gamma.logpdf(x**2, 2.0) + scipy.stats.gamma.cdf(x**2, 2.0),
    "scipy.stats.multivariate_normal": lambda x: scipy.stats.multivariate_normal.logpdf(x[:3], np.ones(3), np.eye(3)),
    "scipy.stats.pearsonr": lambda x: scipy.stats.pearsonr(x, GRID).statistic,
    "scipy.stats.skew": lambda x: scipy.stats.skew(x) + scipy.stats.kurtosis(x),
}


def by_differences(f: Callable[[Any], Any], x: Any) -> Any:
    """The Jacobian of a function of plain arrays, by differences of the fourth order."""
    h = 1e-3

    def along(unit: Any) -> Any:
        near, far = ((np.asarray(f(x + k * h * unit)) - np.asarray(f(x - k * h * unit))) / (2 * k * h) for k in (1, 2))
        return (4 * near - far) / 3

    return np.stack([along(unit) for unit in np.eye(x.size)], axis=-1)


def check(f: Callable[[Any], Any], is_single: bool = False) -> None:
    tolerance = 2e-3 if is_single else 1e-6
    made, expected = tg.functionalize(f)(tg.tensor(X)), np.asarray(f(X.copy()))
    value = made if isinstance(made, tg.Tensor) else np.asarray(made)
    assert (value.shape, value.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(np.asarray(value), expected, rtol=1e-6 if is_single else 1e-12, atol=1e-14)
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(
            tg.jacobian(tg.functionalize(f))(X), by_differences(f, X), rtol=tolerance, atol=tolerance
        )


@pytest.mark.parametrize("name", MAKING)
def test_what_makes_arrays_makes_them_as_numpy_does(name: str) -> None:
    check(MAKING[name], is_single=any(word in name for word in ("float32", "another dtype", "of some")))


@pytest.mark.parametrize("name", CHOOSING)
def test_code_for_arrays_does_with_tensors_as_with_arrays(name: str) -> None:
    check(CHOOSING[name])


@pytest.mark.parametrize("name", MATHS)
def test_functions_of_numbers_take_tensors(name: str) -> None:
    check(MATHS[name])


@pytest.mark.parametrize("name", SCIPYS)
def test_scipys_functions_take_tensors(name: str) -> None:
    check(SCIPYS[name])


def test_all_that_stand_in_are_tried() -> None:
    tried = {name.partition(",")[0].split(" of ")[0].partition(" in ")[0] for name in (*MAKING, *MATHS, *SCIPYS)}
    ours = {function.__name__ for function in numpys_names.STAND_INS}
    ours |= {f"{module}.{name}" for module, names in scipys_names.MODULES.items() for name in names}
    assert ours <= tried | {f"scipy.optimize.{name}" for name in SEARCHES}


def test_a_search_in_c_refuses_before_it_gets_a_tensor() -> None:
    for name in SEARCHES:
        with pytest.raises(UsageError, match=f"scipy.optimize.{name} .*newton"):
            tg.grad(
                tg.functionalize(lambda x, name=name: getattr(scipy.optimize, name)(lambda t: t**2 - x[0], 0.0, 4.0))
            )(X)
    assert tg.functionalize(lambda x: scipy.optimize.brentq(lambda t: t - 1, 0, 4) * x[0])(tg.tensor(X)) == X[0]


def test_a_refusal_that_other_code_catches_is_raised_in_the_end() -> None:
    def other_way(x: Any) -> Any:
        try:
            return x[0] * float(x[1])
        except TypeError:
            return x[0] * 2

    for f, words in {
        other_way: "history of x",
        lambda x: struct.unpack("d", struct.pack("d", x[0]))[0]: "history of x",
        lambda x: scipy.optimize.leastsq(lambda t: t - x[:2], np.ones(2))[0].sum(): "scipy.optimize.leastsq",
        lambda x: scipy.optimize.direct(lambda t: ((t - x[:1]) ** 2).sum(), [(0, 1)]).fun: "scipy.optimize.direct",
        lambda x: scipy.ndimage.generic_filter(GRID, lambda w: w.sum() * x[0], 3).sum(): "scipy.ndimage.generic_filter",
    }.items():
        with pytest.raises(UsageError, match=words):
            tg.grad(tg.functionalize(f))(X)


@pytest.mark.parametrize(
    "f", [lambda x: math.sqrt(x[1]), lambda x: math.log(x[0] - 0.7), lambda x: math.exp(x[0] * 2000)]
)
def test_functions_of_numbers_raise_what_they_raise(f: Callable[[Any], Any]) -> None:
    with pytest.raises((ValueError, OverflowError)) as plainly:
        f(X)
    with pytest.raises(type(plainly.value)) as here:
        tg.grad(tg.functionalize(f))(X)
    assert str(here.value) == str(plainly.value)


def test_derivatives_of_any_kind_pass_through_code_for_arrays() -> None:
    def f(x: Any) -> Any:
        rotation = np.array([[math.cos(x[0]), -math.sin(x[0])], [math.sin(x[0]), math.cos(x[0])]])
        y = np.zeros((3, 2))
        y[1:] = (rotation @ x[2:].reshape(2, 2)).T
        return (y**3).sum()

    def rewritten(x: Any) -> Any:
        c, s = np.cos(x[0]), np.sin(x[0])
        a = x[2:].reshape(2, 2)
        return ((c * a[0] - s * a[1]) ** 3).sum() + ((s * a[0] + c * a[1]) ** 3).sum()

    functional = tg.functionalize(f)
    np.testing.assert_allclose(tg.hessian(functional)(X), tg.hessian(rewritten)(X), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(tg.jvp(functional, (X,), (X,))[1], tg.jvp(rewritten, (X,), (X,))[1])
    np.testing.assert_allclose(tg.compile(tg.grad(functional))(X), tg.grad(rewritten)(X), rtol=1e-12)


@pytest.fixture
def own_names() -> Iterator[None]:
    """The names in NumPy, `math`, SciPy and this module are the same afterwards."""
    spaces = [vars(module) for module in (np, math, scipy.linalg, sys.modules[__name__], sys.modules["numpy.lib"])]
    before = [dict(space) for space in spaces]
    yield
    for space, names in zip(spaces, before):
        assert [name for name in names if space[name] is not names[name]] == []


@pytest.mark.usefixtures("own_names")
def test_names_are_numpys_again_however_the_function_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imported_meanwhile.py").write_text(
        "from math import exp\nfrom numpy import zeros\nimport numpy as np\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def fails(x: Any) -> Any:
        import imported_meanwhile

        assert imported_meanwhile.zeros is np.zeros is not numpys_own
        tg.functionalize(lambda y: np.array([y[0]]))(x)
        assert imported_meanwhile.zeros is np.zeros is not numpys_own
        raise KeyError("as it may")

    numpys_own = np.zeros
    with pytest.raises(KeyError):
        tg.grad(tg.functionalize(fails))(X)
    imported = sys.modules.pop("imported_meanwhile")
    assert imported.zeros is numpys_own
    assert imported.exp is math.exp


@pytest.mark.usefixtures("own_names")
def test_other_threads_get_numpys_arrays() -> None:
    inside, looked = threading.Event(), threading.Event()
    seen: list[Any] = []

    def other() -> None:
        inside.wait(10)
        seen.extend([type(np.zeros(2)), type(np.array([1.0])), math.sin(1.0)])
        looked.set()

    def f(x: Any) -> Any:
        inside.set()
        looked.wait(10)
        return np.array([x[0] ** 2])[0]

    thread = threading.Thread(target=other)
    thread.start()
    assert tg.grad(tg.functionalize(f))(X)[0] == 2 * X[0]
    thread.join()
    assert seen == [np.ndarray, np.ndarray, math.sin(1.0)]


def test_what_has_no_derivative_takes_constants_that_the_function_makes() -> None:
    def f(x: Any) -> Any:
        weights = scipy.special.huber(np.zeros(3) + 2.0, np.ones(3)) + np.kaiser(3, 2.0)
        weights[0] = x[0]
        return (weights * np.packbits(np.ones(3) > 0)[0] * x[:3]).sum()

    check(f)
    with pytest.raises(NoDerivativeError, match="gradients_unknown"):
        tg.grad(tg.functionalize(lambda x: np.frompyfunc(gradients_unknown, 1, 1)(x).sum()))(X)


def gradients_unknown(x: float) -> float:
    return x


def test_code_in_c_gets_numpys_arrays() -> None:
    def f(x: Any) -> Any:
        drawn = np.random.default_rng(0).multivariate_normal(np.zeros(2), np.eye(2))
        assert type(drawn) is np.ndarray
        assert type(np.frombuffer(b"12345678", np.int32)) is np.ndarray
        assert type(np.zeros(3, int)) is np.ndarray
        return (x[:2] * drawn).sum()

    assert tg.grad(tg.functionalize(f))(X)[2:].tolist() == [0] * 4


def test_what_a_library_computes_in_c_is_refused_with_its_name() -> None:
    for f, words in {
        lambda x: cmath.exp(x[0] * 1j).real: "history of x",
        lambda x: math.gamma(x[0]): "history of x",
        lambda x: scipy.signal.medfilt(x).sum(): "scipy.signal.medfilt",
        lambda x: scipy.linalg.ldl(np.diag(x))[0].sum(): "scipy.linalg",
        lambda x: scipy.interpolate.CubicSpline(GRID, x)(0.3): "scipy",
    }.items():
        with pytest.raises(UsageError, match=words):
            tg.grad(tg.functionalize(f))(X)


@pytest.mark.parametrize(
    "f",
    [
        *(
            lambda a, k=k: scipy.linalg.solve(a, a[0], assume_a=k)
            for k in ("sym", "pos", "diagonal", "upper triangular")
        ),
        lambda a: scipy.linalg.solve(a, a[0], False, True),
        lambda a: scipy.linalg.eigh(a, definite(X), type=2, eigvals_only=True),
        lambda a: scipy.linalg.eigh(a, lower=False, eigvals_only=True),
        lambda a: scipy.linalg.eigh(a, eigvals_only=True, subset_by_index=[0, 0]),
        lambda a: scipy.linalg.cholesky(a),
        lambda a: scipy.spatial.distance.pdist(a, "cosine"),
        lambda a: scipy.spatial.distance.cdist(a, a**2, "minkowski", p=3),
        lambda a: scipy.spatial.distance.cdist(a, a**2, "minkowski", p=3, w=a[0]),
        lambda a: scipy.linalg.cholesky(a, True),
        lambda a: scipy.linalg.qr(a, True, mode="r")[0] ** 2,
        lambda a: scipy.linalg.qr(a, mode="r", pivoting=True)[0],
        lambda a: scipy.linalg.svd(a, False, False, True),
        lambda a: scipy.linalg.pinv(a, atol=5.0),
        lambda a: scipy.linalg.pinv(a * 1e-300 + np.ones((2, 2))),
        lambda a: scipy.linalg.inv(a, True),
        lambda a: scipy.linalg.norm(a, 1, 0),
        lambda a: scipy.linalg.lstsq(a, a[0], 5.0)[0],
        lambda a: scipy.fft.rfft(a, 3, 0, "ortho", True).real,
        lambda a: scipy.fft.fftn(a, [2], [1], "forward").imag,
    ],
)
def test_a_call_with_further_arguments_is_scipys_or_refused(f: Callable[[Any], Any]) -> None:
    a = np.array([[2.0, 0.3], [-0.5, 1.0]])
    expected = f(a.copy())
    with suppress(UsageError, TypeError):
        np.testing.assert_allclose(np.asarray(tg.functionalize(f)(tg.tensor(a))), expected, rtol=1e-12, atol=1e-15)


@pytest.mark.usefixtures("own_names")
def test_a_module_that_is_loaded_again_has_the_stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loaded_again.py").write_text(
        "from numpy import zeros\ndef f(x):\n    y = zeros(1)\n    y[0] = x\n    return y[0]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for _ in range(2):
        module = importlib.import_module("loaded_again")
        assert tg.grad(tg.functionalize(lambda x, module=module: module.f(x) ** 2))(3.0) == 6
        del sys.modules["loaded_again"]


def test_what_runs_after_the_call_is_refused() -> None:
    def generator(x: Any) -> Iterator[Any]:
        yield x

    async def coroutine(x: Any) -> Any:
        return x

    for function in (generator, coroutine):
        with pytest.raises(UsageError, match="would run after"):
            tg.functionalize(function)


def test_a_plain_call_computes_with_plain_arrays() -> None:
    made = tg.functionalize(lambda x: [np.zeros(2), np.asarray(x)])(X)
    assert [type(x) for x in made] == [np.ndarray, np.ndarray]
