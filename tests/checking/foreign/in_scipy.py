"""SciPy's functions: special functions, densities, linear algebra, splines, optimisation, integrals and equations."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.fft
import scipy.integrate
import scipy.interpolate
import scipy.linalg
import scipy.ndimage
import scipy.optimize
import scipy.signal
import scipy.sparse.linalg
import scipy.spatial.distance
import scipy.stats
from scipy import special
from scipy.optimize._lsq.least_squares import arctan, cauchy, huber, soft_l1
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from tests.checking.foreign.cases import Problem

RNG = np.random.default_rng(17)
A = RNG.normal(size=(4, 4)) + 3 * np.eye(4)
S = A @ A.T / 4 + np.eye(4)
B = RNG.normal(size=4)
W = RNG.normal(size=(4, 4))
X = np.array([0.5, 1.2, 2.0])
WITHIN_1 = np.array([0.2, 0.5, 0.85])
ANY = np.array([-1.3, 0.4, 1.1])


def diagonal(f: Callable[[Any], Any], derivative: Callable[[Any], Any], name: str, x: Any, **options: Any) -> Problem:
    """A function of each entry, with its vector of results: the Jacobian is diagonal."""
    return Problem(name, f, (x,), lambda x: np.diag(derivative(x)), **{"step": 0.01, "accuracy": 1e-10} | options)


def total(f: Callable[..., Any], derivative: Callable[..., Any], name: str, *x: Any, **options: Any) -> Problem:
    """The sum of a function of each entry."""
    options = {"step": 0.01, "accuracy": 1e-10} | options
    return Problem(name, lambda *x: float(np.sum(f(*x))), x, derivative, **options)


def special_functions() -> list[Problem]:
    root_pi = np.sqrt(np.pi)

    def density(x: Any) -> Any:
        return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)

    table: dict[str, tuple[Any, Any, Any]] = {
        "gammaln": (special.gammaln, special.digamma, X),
        "digamma": (special.digamma, lambda x: special.polygamma(1, x), X),
        "gamma": (special.gamma, lambda x: special.gamma(x) * special.digamma(x), X),
        "ber": (special.ber, special.berp, X),
        "the real part of wofz": (
            lambda x: special.wofz(x + 0.5j).real,
            lambda x: (2j / root_pi - 2 * (x + 0.5j) * special.wofz(x + 0.5j)).real,
            ANY,
        ),
        "sn of ellipj": (
            lambda x: special.ellipj(x, 0.4)[0],
            lambda x: special.ellipj(x, 0.4)[1] * special.ellipj(x, 0.4)[2],
            ANY,
        ),
        "owens_t": (
            lambda x: special.owens_t(x, 0.7),
            lambda x: -density(x) * (special.ndtr(0.7 * x) - 0.5),
            ANY,
        ),
        "rgamma": (special.rgamma, lambda x: -special.digamma(x) * special.rgamma(x), X),
        "erf": (special.erf, lambda x: 2 / root_pi * np.exp(-(x**2)), ANY),
        "erfc": (special.erfc, lambda x: -2 / root_pi * np.exp(-(x**2)), X),
        "erfcx": (special.erfcx, lambda x: 2 * x * special.erfcx(x) - 2 / root_pi, X),
        "erfi": (special.erfi, lambda x: 2 / root_pi * np.exp(x**2), ANY),
        "erfinv": (special.erfinv, lambda x: root_pi / 2 * np.exp(special.erfinv(x) ** 2), WITHIN_1),
        "dawsn": (special.dawsn, lambda x: 1 - 2 * x * special.dawsn(x), ANY),
        "ndtr": (special.ndtr, density, ANY),
        "log_ndtr": (special.log_ndtr, lambda x: density(x) / special.ndtr(x), ANY),
        "ndtri": (special.ndtri, lambda p: 1 / density(special.ndtri(p)), WITHIN_1),
        "expit": (special.expit, lambda x: special.expit(x) * special.expit(-x), ANY),
        "log_expit": (special.log_expit, lambda x: special.expit(-x), ANY),
        "logit": (special.logit, lambda p: 1 / (p * (1 - p)), WITHIN_1),
        "entr": (special.entr, lambda p: -np.log(p) - 1, WITHIN_1),
        "j0": (special.j0, lambda x: -special.j1(x), X),
        "jv of 2.5": (partial(special.jv, 2.5), partial(special.jvp, 2.5), X),
        "yv of 1.5": (partial(special.yv, 1.5), partial(special.yvp, 1.5), X + 1),
        "iv of 0.5": (partial(special.iv, 0.5), partial(special.ivp, 0.5), X),
        "kv of 2": (partial(special.kv, 2), partial(special.kvp, 2), X),
        "ive of 1": (
            partial(special.ive, 1),
            lambda x: (special.ive(0, x) + special.ive(2, x)) / 2 - special.ive(1, x),
            X,
        ),
        "spherical_jn": (partial(special.spherical_jn, 3), partial(special.spherical_jn, 3, derivative=True), X),
        "airy": (lambda x: special.airy(x)[0], lambda x: special.airy(x)[1], ANY),
        "ellipk": (special.ellipk, lambda m: (special.ellipe(m) / (1 - m) - special.ellipk(m)) / (2 * m), WITHIN_1),
        "ellipe": (special.ellipe, lambda m: (special.ellipe(m) - special.ellipk(m)) / (2 * m), WITHIN_1),
        "expi": (special.expi, lambda x: np.exp(x) / x, X),
        "exp1": (special.exp1, lambda x: -np.exp(-x) / x, X),
        "expn of 3": (partial(special.expn, 3), lambda x: -special.expn(2, x), X),
        "sine integral": (lambda x: special.sici(x)[0], lambda x: np.sin(x) / x, X),
        "fresnel": (lambda x: special.fresnel(x)[0], lambda x: np.sin(np.pi * x**2 / 2), X),
        "spence": (special.spence, lambda x: np.log(x) / (1 - x), X),
        "gammainc": (partial(special.gammainc, 2.5), lambda x: x**1.5 * np.exp(-x) / special.gamma(2.5), X),
        "gammaincc": (partial(special.gammaincc, 1.5), lambda x: -(x**0.5) * np.exp(-x) / special.gamma(1.5), X),
        "betainc": (partial(special.betainc, 2, 3), lambda x: 12 * x * (1 - x) ** 2, WITHIN_1),
        "hyp1f1": (partial(special.hyp1f1, 1.5, 2.5), lambda x: 0.6 * special.hyp1f1(2.5, 3.5, x), ANY),
        "hyp2f1": (partial(special.hyp2f1, 1, 2, 3), lambda x: 2 / 3 * special.hyp2f1(2, 3, 4, x), WITHIN_1 / 2),
        "lambertw": (
            lambda x: special.lambertw(x).real,
            lambda x: special.lambertw(x).real / (x * (1 + special.lambertw(x).real)),
            X,
        ),
        "exprel": (special.exprel, lambda x: (np.exp(x) - special.exprel(x)) / x, ANY),
        "eval_legendre": (
            partial(special.eval_legendre, 4),
            lambda x: 4 * (x * special.eval_legendre(4, x) - special.eval_legendre(3, x)) / (x**2 - 1),
            WITHIN_1,
        ),
        "eval_chebyt": (partial(special.eval_chebyt, 5), lambda x: 5 * special.eval_chebyu(4, x), WITHIN_1),
        "boxcox": (lambda x: special.boxcox(x, 0.3), lambda x: x**-0.7, X),
        "stdtr": (partial(special.stdtr, 5), partial(scipy.stats.t(5).pdf), ANY),
        "multigammaln": (
            lambda x: np.array([special.multigammaln(t, 2) for t in x]),
            lambda x: special.digamma(x) + special.digamma(x - 0.5),
            X + 1,
        ),
        "struve": (partial(special.struve, 0), lambda x: 2 / np.pi - special.struve(1, x), X),
    }
    found = []
    for k, (name, (f, derivative, x)) in enumerate(table.items()):
        step = 0.002 if x is WITHIN_1 else 0.01
        found.append((diagonal if k % 2 else total)(f, derivative, f"special.{name}", x, step=step))
    p, q = np.array([0.2, 0.3, 0.5]), np.array([0.4, 0.1, 0.5])
    found += [
        total(special.rel_entr, lambda p, q: (np.log(p / q) + 1, -p / q), "special.rel_entr", p, q, step=0.002),
        total(special.kl_div, lambda p, q: (np.log(p / q), 1 - p / q), "special.kl_div", p, q, step=0.002),
        total(special.xlogy, lambda x, y: (np.log(y), x / y), "special.xlogy", ANY, X),
        total(
            special.pseudo_huber,
            lambda d, r: (
                2 * d * (np.sqrt(1 + (r / d) ** 2) - 1) - r**2 / d / np.sqrt(1 + (r / d) ** 2),
                r / np.sqrt(1 + (r / d) ** 2),
            ),
            "special.pseudo_huber",
            X,
            ANY,
        ),
        total(
            special.betaln,
            lambda a, b: (special.digamma(a) - special.digamma(a + b), special.digamma(b) - special.digamma(a + b)),
            "special.betaln",
            X,
            X + 1,
        ),
        total(
            special.huber,
            lambda d, r: (np.where(np.abs(r) < d, 0, np.abs(r) - d), np.clip(r, -d, d)),
            "special.huber",
            X,
            ANY,
        ),
        Problem(
            "special.softmax",
            special.softmax,
            (ANY,),
            lambda x: np.diag(special.softmax(x)) - np.outer(special.softmax(x), special.softmax(x)),
            step=0.02,
            accuracy=1e-10,
            wrong={"its diagonal alone": lambda x: np.diag(special.softmax(x) * (1 - special.softmax(x)))},
        ),
        Problem(
            "special.log_softmax",
            special.log_softmax,
            (ANY,),
            lambda x: np.eye(3) - special.softmax(x),
            step=0.02,
            accuracy=1e-10,
            wrong={"transposed": lambda x: (np.eye(3) - special.softmax(x)).T},
        ),
        Problem(
            "special.logsumexp", special.logsumexp, (ANY * 3,), lambda x: special.softmax(x), step=0.02, accuracy=1e-10
        ),
    ]
    return found


def densities() -> list[Problem]:
    stats = scipy.stats
    data = np.array([0.3, 1.1, 0.7, 2.5])
    centred = data - 1
    counts = np.array([0.0, 2.0, 5.0])
    cov = S[:3, :3]

    def of_parameters(
        name: str, f: Callable[..., Any], gradient: Callable[..., Any], *parameters: float, **options: Any
    ) -> Problem:
        return total(f, gradient, f"stats.{name}", *parameters, **options)

    digamma = special.digamma
    return [
        of_parameters(
            "norm.logpdf",
            lambda m, s: stats.norm.logpdf(data, m, s),
            lambda m, s: (np.sum(data - m) / s**2, np.sum((data - m) ** 2 / s**3 - 1 / s)),
            0.4,
            1.3,
        ),
        of_parameters(
            "gamma.logpdf",
            lambda a, b: stats.gamma.logpdf(data, a, scale=b),
            lambda a, b: (np.sum(np.log(data / b)) - 4 * digamma(a), np.sum(data) / b**2 - 4 * a / b),
            2.1,
            0.7,
        ),
        of_parameters(
            "beta.logpdf",
            lambda a, b: stats.beta.logpdf(data / 3, a, b),
            lambda a, b: (
                np.sum(np.log(data / 3)) + 4 * (digamma(a + b) - digamma(a)),
                np.sum(np.log(1 - data / 3)) + 4 * (digamma(a + b) - digamma(b)),
            ),
            2.0,
            3.0,
        ),
        of_parameters(
            "expon.logpdf", lambda s: stats.expon.logpdf(data, scale=s), lambda s: np.sum(data) / s**2 - 4 / s, 0.8
        ),
        of_parameters(
            "cauchy.logpdf",
            lambda m: stats.cauchy.logpdf(data, m),
            lambda m: np.sum(2 * (data - m) / (1 + (data - m) ** 2)),
            0.2,
        ),
        of_parameters(
            "laplace.logpdf",
            lambda m, s: stats.laplace.logpdf(data, m, s),
            lambda m, s: (np.sum(np.sign(data - m)) / s, np.sum(np.abs(data - m)) / s**2 - 4 / s),
            0.5,
            1.2,
        ),
        of_parameters(
            "logistic.logpdf", lambda m: stats.logistic.logpdf(data, m), lambda m: np.sum(np.tanh((data - m) / 2)), 0.2
        ),
        of_parameters(
            "gumbel_r.logpdf", lambda m: stats.gumbel_r.logpdf(data, m), lambda m: np.sum(1 - np.exp(m - data)), 0.2
        ),
        of_parameters(
            "weibull_min.logpdf",
            lambda c: stats.weibull_min.logpdf(data, c),
            lambda c: np.sum(1 / c + np.log(data) - data**c * np.log(data)),
            1.5,
        ),
        of_parameters(
            "pareto.logpdf", lambda b: stats.pareto.logpdf(data + 1, b), lambda b: np.sum(1 / b - np.log(data + 1)), 1.5
        ),
        of_parameters(
            "lognorm.logpdf",
            lambda s: stats.lognorm.logpdf(data, s),
            lambda s: np.sum(np.log(data) ** 2 / s**3 - 1 / s),
            0.8,
        ),
        of_parameters(
            "poisson.logpmf", lambda r: stats.poisson.logpmf(counts, r), lambda r: np.sum(counts / r - 1), 1.7
        ),
        of_parameters(
            "binom.logpmf",
            lambda p: stats.binom.logpmf(counts, 7, p),
            lambda p: np.sum(counts / p - (7 - counts) / (1 - p)),
            0.4,
        ),
        of_parameters(
            "nbinom.logpmf",
            lambda n: stats.nbinom.logpmf(counts, n, 0.4),
            lambda n: np.sum(digamma(n + counts) - digamma(n) + np.log(0.4)),
            2.2,
        ),
        of_parameters(
            "vonmises.logpdf",
            lambda k: stats.vonmises.logpdf(centred, k),
            lambda k: np.sum(np.cos(centred) - special.ive(1, k) / special.ive(0, k)),
            1.4,
        ),
        of_parameters(
            "t.logpdf by its degrees of freedom",
            lambda n: stats.t.logpdf(data, n),
            lambda n: (
                np.sum(
                    digamma((n + 1) / 2)
                    - digamma(n / 2)
                    - 1 / n
                    - np.log1p(data**2 / n)
                    + (n + 1) / n * (data**2 / n) / (1 + data**2 / n)
                )
                / 2
            ),
            4.0,
        ),
        of_parameters(
            "skewnorm.logpdf",
            lambda a: stats.skewnorm.logpdf(centred, a),
            lambda a: np.sum(centred * stats.norm.pdf(a * centred) / stats.norm.cdf(a * centred)),
            0.7,
            accuracy=1e-9,
        ),
        of_parameters(
            "invgauss.logpdf", lambda m: stats.invgauss.logpdf(data, m), lambda m: np.sum((data - m) / m**3), 1.2
        ),
        total(
            stats.norm.logcdf,
            lambda x: np.exp(stats.norm.logpdf(x) - stats.norm.logcdf(x)),
            "stats.norm.logcdf far out",
            np.array([-30.0, -8.0, 1.0]),
        ),
        total(
            stats.norm.logsf,
            lambda x: -np.exp(stats.norm.logpdf(x) - stats.norm.logsf(x)),
            "stats.norm.logsf far out",
            np.array([30.0, 8.0]),
        ),
        total(stats.norm.ppf, lambda p: 1 / stats.norm.pdf(stats.norm.ppf(p)), "stats.norm.ppf", WITHIN_1, step=0.002),
        total(
            lambda x: stats.norm.pdf(x, 500, 0.4),
            lambda x: -(x - 500) / 0.16 * stats.norm.pdf(x, 500, 0.4),
            "stats.norm.pdf, narrow",
            np.array([500.2, 499.1]),
        ),
        total(
            lambda x: stats.cauchy.pdf(x, 1e4, 1e-3),
            lambda x: -2 * (x - 1e4) / 1e-6 * np.pi * 1e-3 * stats.cauchy.pdf(x, 1e4, 1e-3) ** 2,
            "stats.cauchy.pdf, narrow",
            np.array([1e4 + 5e-4, 1e4 - 2e-3]),
            step=1e-5,
            accuracy=1e-5,
            knowable=1e-8,
            why="the features are 1e-7 of x",
        ),
        total(
            lambda m: stats.multivariate_normal.logpdf(ANY, m, cov),
            lambda m: np.linalg.solve(cov, ANY - m),
            "stats.multivariate_normal.logpdf by its mean",
            X,
        ),
        total(
            lambda x: stats.multivariate_t.logpdf(x, X, cov, df=4),
            lambda x: -7 * np.linalg.solve(cov, x - X) / (4 + (x - X) @ np.linalg.solve(cov, x - X)),
            "stats.multivariate_t.logpdf",
            ANY,
        ),
        total(
            lambda a: stats.dirichlet.logpdf([0.2, 0.3, 0.5], a),
            lambda a: digamma(np.sum(a)) - digamma(a) + np.log([0.2, 0.3, 0.5]),
            "stats.dirichlet.logpdf",
            X,
        ),
        total(lambda x: stats.gaussian_kde(data).logpdf(x), partial(_kde_gradient, data), "stats.gaussian_kde", ANY),
        total(
            lambda x: -stats.entropy(x),
            lambda x: (np.log(x / np.sum(x)) - np.sum(x * np.log(x / np.sum(x))) / np.sum(x)) / np.sum(x),
            "stats.entropy, which normalises",
            X,
            wrong={"as if it did not": lambda x: np.log(x) + 1},
        ),
        Problem(
            "stats.zscore",
            stats.zscore,
            (data,),
            lambda x: (np.eye(4) - 1 / 4 - np.outer(stats.zscore(x), stats.zscore(x)) / 4) / np.std(x),
            step=0.01,
            accuracy=1e-10,
        ),
    ]


def _kde_gradient(data: Any, x: Any) -> Any:
    width = np.std(data, ddof=1) * len(data) ** -0.2
    z = (x[:, None] - data) / width
    weights = special.softmax(-(z**2) / 2, axis=1)
    return np.sum(-weights * z / width, axis=1)


def linear_algebra() -> list[Problem]:
    la = scipy.linalg
    hilbert = la.hilbert(6)
    ones = np.arange(1.0, 7.0)
    symmetric = ("the sign reversed", "one entry off by 1e-6", "twice too large")

    def gram(x: Any) -> Any:
        return np.exp(-((x[:, None] - x) ** 2) / 2)

    times = np.linspace(0, 1, 8)
    targets = np.sin(3 * times)

    def process(length: float, jitter: float = 1e-8) -> float:
        covariance = np.exp(-(((times[:, None] - times) / length) ** 2) / 2) + jitter * np.eye(8)
        lower = la.cholesky(covariance, lower=True)
        z = la.solve_triangular(lower, targets, lower=True)
        return float(z @ z / 2 + np.sum(np.log(np.diag(lower))))

    def process_gradient(length: float, jitter: float = 1e-8) -> float:
        d = (times[:, None] - times) / length
        k = np.exp(-(d**2) / 2)
        change = k * d**2 / length
        factor = la.cho_factor(k + jitter * np.eye(8))
        weights = la.cho_solve(factor, targets)
        return float(np.trace(la.cho_solve(factor, change)) - weights @ change @ weights) / 2

    def expm_gradient(a: Any) -> Any:
        return la.expm_frechet(a.T, W, compute_expm=False)

    def eigenvalues_gradient(a: Any) -> Any:
        vectors = la.eigh((a + a.T) / 2)[1]
        return np.einsum("ik,jk->kij", vectors, vectors)

    chain = scipy.sparse.diags_array([-1.0, 2.1, -1.0], offsets=[-1, 0, 1], shape=(12, 12)).tocsr()
    wave, ends = np.sin(np.arange(12.0)), np.array([1.0, *[0] * 9, 2, -1])

    def conjugate_gradients(b: Any, rtol: float) -> Any:
        return scipy.sparse.linalg.cg(chain, b, rtol=rtol)[0]

    banded = np.array([[0.0, 1, 1, 1], [4, 4, 5, 6], [1, 1, 1, 0]])
    sparse = scipy.sparse.csr_array(S)
    return [
        total(lambda b: la.solve(A, b) @ B, lambda b: la.solve(A.T, B), "linalg.solve by b", B[::-1].copy()),
        total(
            lambda a: la.solve(a, B) @ B[::-1],
            lambda a: -np.outer(la.solve(a.T, B[::-1]), la.solve(a, B)),
            "linalg.solve by a",
            A,
            mistakes=("transposed", "the sign reversed", "one entry off by 1e-6"),
            accuracy=1e-9,
        ),
        total(
            lambda a: np.sum(W * la.inv(a)),
            lambda a: -(la.inv(a).T @ W @ la.inv(a).T),
            "linalg.inv",
            A,
            accuracy=1e-9,
            mistakes=("transposed", "the sign reversed", "one entry off by 1e-6"),
        ),
        total(la.det, lambda a: la.det(a) * la.inv(a).T, "linalg.det", A, mistakes=("transposed", "one entry missing")),
        total(
            lambda a: np.linalg.slogdet(a)[1],
            lambda a: la.inv(a).T,
            "log det",
            A,
            mistakes=("transposed", "half of the last"),
        ),
        total(
            lambda a: 2 * np.sum(np.log(np.diag(la.cholesky((a + a.T) / 2)))),
            la.inv,
            "log det by Cholesky",
            S,
            mistakes=symmetric,
        ),
        total(
            lambda a: np.sum(W * la.expm(a)),
            expm_gradient,
            "linalg.expm",
            A / 4,
            mistakes=("transposed", "zero", "one entry off by 1e-6"),
        ),
        total(
            lambda a: np.sum(W * la.sqrtm(a)),
            lambda a: la.solve_sylvester(la.sqrtm(a).T, la.sqrtm(a).T, W),
            "linalg.sqrtm",
            S,
            accuracy=1e-9,
            mistakes=("transposed", "half of the last"),
        ),
        total(la.norm, lambda a: a / la.norm(a), "linalg.norm", A),
        total(
            lambda a: np.sum(la.svdvals(a)),
            lambda a: la.svd(a)[0] @ la.svd(a)[2],
            "the nuclear norm",
            A,
            mistakes=("transposed", "the sign reversed"),
        ),
        total(
            lambda a: la.norm(a, 2),
            lambda a: np.outer(la.svd(a)[0][:, 0], la.svd(a)[2][0]),
            "the spectral norm",
            A,
            mistakes=("transposed", "one entry missing"),
        ),
        Problem(
            "linalg.eigvalsh",
            lambda a: la.eigvalsh((a + a.T) / 2),
            (S,),
            eigenvalues_gradient,
            step=0.01,
            accuracy=1e-8,
        ),
        total(
            lambda b: float(np.sum(la.lstsq(W[:, :2], b)[0] * [1, 2])),
            lambda b: la.pinv(W[:, :2]).T @ [1.0, 2],
            "linalg.lstsq",
            B,
        ),
        total(
            lambda b: la.solve_banded((1, 1), banded, b) @ B,
            lambda b: la.solve(
                np.diag(banded[1]) + np.diag(banded[0, 1:], 1) + np.diag(banded[2, :-1], -1), B, transposed=True
            ),
            "linalg.solve_banded",
            B[::-1].copy(),
        ),
        total(
            lambda b: la.solve_toeplitz(([4.0, 1, 0, 0], [4.0, 2, 1, 0]), b) @ B,
            lambda b: la.solve_toeplitz(([4.0, 2, 1, 0], [4.0, 1, 0, 0]), B),
            "linalg.solve_toeplitz",
            B[::-1].copy(),
            wrong={"not transposed": lambda b: la.solve_toeplitz(([4.0, 1, 0, 0], [4.0, 2, 1, 0]), B)},
        ),
        total(
            lambda b: la.solve_triangular(A, b) @ B,
            lambda b: la.solve_triangular(A, B, trans=1),
            "linalg.solve_triangular",
            B[::-1].copy(),
            wrong={"the whole matrix": lambda b: la.solve(A.T, B)},
        ),
        total(
            lambda b: la.solve(hilbert, b) @ ones,
            lambda b: la.solve(hilbert, ones),
            "a Hilbert matrix of 6, by b",
            ones,
            mistakes=("the sign reversed", "off by one", "off by 1 %"),
            accuracy=1e-9,
            knowable=1e-9,
        ),
        total(
            lambda b: la.solve(hilbert, b) @ la.solve(hilbert, b),
            lambda b: 2 * la.solve(hilbert, la.solve(hilbert, b)),
            "a Hilbert matrix of 6, squared",
            np.sin(ones),
            mistakes=("the sign reversed", "half of the last"),
            accuracy=1e-8,
            knowable=1e-8,
            why="its condition is 1e7",
        ),
        total(
            process,
            process_gradient,
            "a Gaussian process of jitter 1e-8",
            0.5,
            mistakes=("the sign reversed", "twice too large"),
            wrong={
                "without the determinant": lambda length: -(process_gradient(length) * 0 + _fit(times, targets, length))
            },
            accuracy=1e-6,
            knowable=1e-5,
            why="its condition is 1e9",
        ),
        total(
            lambda x: np.linalg.slogdet(gram(x) + 1e-6 * np.eye(3))[1],
            lambda x: -2 * np.sum((la.inv(gram(x) + 1e-6 * np.eye(3)) * gram(x)) * (x[:, None] - x), axis=1),
            "log det of a Gram matrix",
            X,
        ),
        total(
            lambda b: scipy.sparse.linalg.spsolve(sparse.tocsc(), b) @ B,
            lambda b: la.solve(S, B),
            "sparse.linalg.spsolve",
            B[::-1].copy(),
        ),
        total(
            lambda b: conjugate_gradients(b, 1e-14) @ ends,
            lambda b: conjugate_gradients(ends, 1e-14),
            "conjugate gradients to 1e-14",
            wave,
            accuracy=1e-9,
            knowable=1e-9,
        ),
        total(
            lambda b: conjugate_gradients(b, 1e-5) @ ends,
            lambda b: conjugate_gradients(ends, 1e-14),
            "conjugate gradients to 1e-5",
            wave,
            mistakes=("the sign reversed", "off by one"),
            accuracy=1e-2,
            knowable=1e-2,
            why="the solver stops at 1e-5",
        ),
        Problem(
            "a product of two matrices",
            lambda a, b: np.sum(np.tanh(a @ b)),
            (A / 3, W),
            lambda a, b: ((1 - np.tanh(a @ b) ** 2) @ b.T, a.T @ (1 - np.tanh(a @ b) ** 2)),
            mistakes=("transposed", "one entry off by 1e-8", "one entry missing"),
            wrong={
                "the outer derivative at a": lambda a, b: ((1 - np.tanh(a) ** 2) @ b.T, a.T @ (1 - np.tanh(a) ** 2)),
                "swapped": lambda a, b: (a.T @ (1 - np.tanh(a @ b) ** 2), (1 - np.tanh(a @ b) ** 2) @ b.T),
            },
        ),
    ]


def _fit(times: Any, targets: Any, length: float) -> float:
    d = (times[:, None] - times) / length
    k = np.exp(-(d**2) / 2)
    weights = np.linalg.solve(k + 1e-8 * np.eye(len(times)), targets)
    return float(weights @ (k * d**2 / length) @ weights) / 2


def splines() -> list[Problem]:
    knots = np.linspace(0, 4, 9)
    values = np.sin(knots) + 0.1 * knots**2
    x = np.array([0.33, 1.71, 3.14])
    ip = scipy.interpolate
    cubic, akima, pchip = (
        ip.CubicSpline(knots, values),
        ip.Akima1DInterpolator(knots, values),
        ip.PchipInterpolator(knots, values),
    )
    spline = ip.make_interp_spline(knots, values, k=5)
    surface = ip.RectBivariateSpline(knots, knots, np.sin(knots[:, None] + 0.5 * knots))
    found = [
        total(f, f.derivative(), f"interpolate.{type(f).__name__}", x, step=0.01, accuracy=1e-9)
        for f in (
            cubic,
            akima,
            pchip,
            spline,
            ip.UnivariateSpline(knots, values, s=0.01),
            ip.BarycentricInterpolator(knots, values),
        )
        if hasattr(f, "derivative") and not isinstance(f, ip.BarycentricInterpolator)
    ]
    found += [
        total(
            lambda y: np.sum(ip.CubicSpline(knots, y)(x)),
            lambda y: np.sum(ip.CubicSpline(knots, np.eye(9))(x), axis=0),
            "interpolate.CubicSpline by its values",
            values,
        ),
        total(
            surface.ev,
            lambda x, y: (surface.ev(x, y, dx=1), surface.ev(x, y, dy=1)),
            "interpolate.RectBivariateSpline",
            x,
            x[::-1].copy(),
            step=0.005,
            accuracy=1e-8,
            mistakes=("off by one", "the sign reversed"),
            wrong={"swapped": lambda x, y: (surface.ev(x, y, dy=1), surface.ev(x, y, dx=1))},
        ),
        total(
            cubic,
            lambda x: cubic(x, 1),
            "a spline at its knots",
            np.array([1.0, 2.5]),
            step=1e-3,
            accuracy=1e-6,
            knowable=1e-8,
            why="its third derivative jumps",
        ),
        total(
            lambda x: np.interp(x, knots, values),
            lambda x: np.diff(values)[np.searchsorted(knots, x) - 1] / np.diff(knots)[0],
            "np.interp",
            x,
            step=0.01,
        ),
        total(
            np.polynomial.Polynomial([1, 2, 0, -3, 0.5]),
            np.polynomial.Polynomial([1, 2, 0, -3, 0.5]).deriv(),
            "a polynomial",
            x,
            step=0.05,
        ),
        total(
            np.polynomial.Chebyshev([1, 2, 0, -3, 0.5]),
            np.polynomial.Chebyshev([1, 2, 0, -3, 0.5]).deriv(),
            "a Chebyshev series",
            x / 4,
            step=0.05,
        ),
    ]
    return found


def optimisation() -> list[Problem]:
    so = scipy.optimize
    x = np.array([1.3, 0.7, 0.8, 1.9, 1.2])
    z = np.array([0.3, 0.8, 2.5])

    def loss(rho: Callable[..., None]) -> Problem:
        def f(z: Any) -> Any:
            found = np.empty((3, len(z)))
            rho(z, found, cost_only=False)
            return found

        return total(lambda z: f(z)[0], lambda z: f(z)[1], f"optimize.least_squares' {rho.__name__}", z, accuracy=1e-9)

    def root(p: Any, **options: Any) -> float:
        return float(so.brentq(lambda t: t**3 + p[0] * t - p[1], 0, 5, **options))

    def root_gradient(p: Any) -> Any:
        t = root(p, xtol=1e-14, rtol=1e-15)
        return np.array([-t, 1]) / (3 * t**2 + p[0])

    p = np.array([1.0, 3.0])
    return [
        Problem(
            "optimize.rosen",
            so.rosen,
            (x,),
            so.rosen_der,
            wrong={
                "at another point": lambda x: so.rosen_der(x + 1e-4),
            },
            imprecise={"approx_fprime": lambda x: so.approx_fprime(x, so.rosen)},
        ),
        Problem(
            "optimize.rosen at its minimum",
            so.rosen,
            (np.ones(4),),
            so.rosen_der,
            derived=np.zeros(4),
            mistakes=(),
            wrong={"1e-3": lambda x: so.rosen_der(x) + 1e-3, "one of 1": lambda x: so.rosen_der(x) + np.eye(4)[1]},
        ),
        Problem(
            "optimize.rosen_der",
            so.rosen_der,
            (x,),
            so.rosen_hess,
            step=0.01,
            accuracy=1e-9,
            wrong={"above the diagonal alone": lambda x: np.triu(so.rosen_hess(x))},
        ),
        Problem(
            "optimize.rosen_der @ p",
            lambda x: so.rosen_der(x) @ x[::-1].copy() * 0 + float(so.rosen_der(x) @ np.arange(5.0)),
            (x,),
            lambda x: so.rosen_hess_prod(x, np.arange(5.0)),
            step=0.01,
            accuracy=1e-9,
        ),
        *map(loss, (arctan, cauchy, huber, soft_l1)),
        total(
            partial(root, xtol=1e-13),
            root_gradient,
            "the root that brentq finds",
            p,
            step=0.01,
            accuracy=1e-8,
            knowable=1e-8,
            why="it stops at 1e-13",
            mistakes=("the sign reversed", "off by one"),
        ),
        total(
            partial(root, xtol=1e-4),
            root_gradient,
            "the root that brentq finds to 1e-4",
            p,
            step=0.05,
            accuracy=0.05,
            knowable=0.05,
            why="it stops at 1e-4",
            mistakes=("the sign reversed",),
        ),
        total(
            lambda p: so.newton(lambda t: t**3 + p[0] * t - p[1], 1.0, fprime=lambda t: 3 * t**2 + p[0], tol=1e-12),
            root_gradient,
            "the root that Newton finds",
            p,
            accuracy=1e-8,
        ),
        total(
            lambda c: float(so.fixed_point(lambda t: np.cos(t) * c, 0.5, xtol=1e-12)),
            lambda c: np.cos(_dottie(c)) / (1 + c * np.sin(_dottie(c))),
            "a fixed point",
            0.9,
            accuracy=1e-8,
            knowable=1e-8,
            why="it stops at 1e-12",
        ),
    ]


def _dottie(c: float) -> float:
    return float(scipy.optimize.brentq(lambda t: np.cos(t) * c - t, 0, 1, xtol=1e-15, rtol=1e-15))


def integrals_and_equations() -> list[Problem]:
    def quad(f: Callable[[float], float], low: float, high: float, **options: Any) -> float:
        return float(scipy.integrate.quad(f, low, high, **options)[0])

    def decay(rate: float, rtol: float, method: str = "RK45") -> float:
        found = scipy.integrate.solve_ivp(
            lambda t, y: -rate * y**2, (0, 1), [1.0], rtol=rtol, atol=rtol * 1e-3, method=method
        )
        return float(found.y[0, -1])

    def decay_gradient(rate: float) -> float:
        return -1 / (1 + rate) ** 2

    def solver_slope(rate: float, h: float = 2e-4) -> float:
        """The slope of what the solver computes, which is not that of the equation."""
        near, far = (decay(rate + k * h, 1e-6) - decay(rate - k * h, 1e-6) for k in (1, 2))
        return (8 * near - far) / (12 * h)

    def euler(p: Any) -> Any:
        y = p[0]
        for _ in range(8):
            y = y + 0.1 * p[1] * y * (1 - y)
        return y

    def euler_adjoint(p: Any) -> Any:
        ys = [p[0]]
        for _ in range(8):
            ys.append(ys[-1] + 0.1 * p[1] * ys[-1] * (1 - ys[-1]))
        bar, rate = 1.0, 0.0
        for y in reversed(ys[:-1]):
            rate += bar * 0.1 * y * (1 - y)
            bar *= 1 + 0.1 * p[1] * (1 - 2 * y)
        return np.array([bar, rate])

    def late_adjoint(p: Any) -> Any:
        """Reads the state after each step, where it should read the one before."""
        ys = [p[0]]
        for _ in range(8):
            ys.append(ys[-1] + 0.1 * p[1] * ys[-1] * (1 - ys[-1]))
        bar, rate = 1.0, 0.0
        for y in reversed(ys[1:]):
            rate += bar * 0.1 * y * (1 - y)
            bar *= 1 + 0.1 * p[1] * (1 - 2 * y)
        return np.array([bar, rate])

    solver = {"step": 0.05, "mistakes": ("the sign reversed", "half of the last")}
    return [
        total(
            lambda a: quad(lambda t: np.exp(-a * t**2), 0, 2),
            lambda a: -quad(lambda t: t**2 * np.exp(-a * t**2), 0, 2),
            "integrate.quad by a parameter",
            0.7,
        ),
        total(lambda b: quad(np.cos, 0, b), np.cos, "integrate.quad by its bound", 1.3),
        total(
            lambda p: quad(lambda t: np.exp(p[0] * np.sin(p[1] * t)), 0, p[2]),
            lambda p: np.array(
                [
                    quad(lambda t: np.sin(p[1] * t) * np.exp(p[0] * np.sin(p[1] * t)), 0, p[2]),
                    quad(lambda t: p[0] * t * np.cos(p[1] * t) * np.exp(p[0] * np.sin(p[1] * t)), 0, p[2]),
                    np.exp(p[0] * np.sin(p[1] * p[2])),
                ]
            ),
            "integrate.quad by all",
            X,
            wrong={
                "without its bound": lambda p: np.array(
                    [
                        quad(lambda t: np.sin(p[1] * t) * np.exp(p[0] * np.sin(p[1] * t)), 0, p[2]),
                        quad(lambda t: p[0] * t * np.cos(p[1] * t) * np.exp(p[0] * np.sin(p[1] * t)), 0, p[2]),
                        0.0,
                    ]
                )
            },
        ),
        total(
            scipy.integrate.trapezoid,
            lambda y: np.array([0.5, 1, 0.5]),
            "integrate.trapezoid",
            X,
            wrong={"without its ends": lambda y: np.ones(3)},
        ),
        total(
            lambda y: scipy.integrate.simpson(y**2), lambda y: 2 * y * np.array([1, 4, 1]) / 3, "integrate.simpson", X
        ),
        total(
            partial(decay, rtol=1e-12, method="DOP853"),
            decay_gradient,
            "solve_ivp to 1e-12",
            0.8,
            accuracy=1e-8,
            knowable=1e-8,
            why="the solver stops at 1e-12",
            **solver,
        ),
        Problem(
            "solve_ivp to 1e-6",
            lambda x: float(decay(x, rtol=1e-6)),
            (0.8,),
            solver_slope,
            mistakes=("the sign reversed", "half of the last"),
            imprecise={"of the equation": decay_gradient},
            step=1e-3,
            accuracy=1e-8,
            knowable=1e-8,
            why="it is taken by differences",
        ),
        Problem(
            "the adjoint of Euler's steps",
            euler,
            (np.array([0.1, 1.5]),),
            euler_adjoint,
            wrong={"a step late": late_adjoint},
        ),
    ]


def signals() -> list[Problem]:
    x = RNG.normal(size=8)
    kernel = np.array([0.5, -1.0, 0.25])
    w = RNG.normal(size=8)
    fft = scipy.fft

    def adjoint_filter(x: Any) -> Any:
        return scipy.signal.lfilter([1, 0.5], [1, -0.3], w[::-1])[::-1].copy()

    points = RNG.normal(size=(4, 2))

    def spread(p: Any) -> Any:
        d = p[:, None] - p
        r = np.sqrt(np.sum(d**2, axis=-1)) + np.eye(len(p))
        return np.sum(d / r[..., None], axis=1)

    return [
        total(
            lambda x: np.abs(fft.fft(x)) ** 2 @ w,
            lambda x: 2 * np.real(fft.ifft(fft.fft(x) * w)) * 8,
            "the power spectrum",
            x,
            wrong={"not times n": lambda x: 2 * np.real(fft.ifft(fft.fft(x) * w))},
        ),
        Problem(
            "fft.dct",
            lambda x: fft.dct(x),
            (x[:4],),
            lambda x: fft.dct(np.eye(4), axis=0),
            step=0.05,
            accuracy=1e-10,
            mistakes=("transposed", "half of the last"),
        ),
        total(
            lambda x: scipy.signal.lfilter([1, 0.5], [1, -0.3], x) @ w,
            adjoint_filter,
            "signal.lfilter",
            x,
            wrong={"forwards": lambda x: scipy.signal.lfilter([1, 0.5], [1, -0.3], w)},
        ),
        total(
            lambda x: np.convolve(x, kernel, "same") @ w,
            lambda x: np.convolve(w, kernel[::-1], "same"),
            "a convolution",
            x,
            wrong={"not flipped": lambda x: np.convolve(w, kernel, "same")},
        ),
        Problem(
            "a convolution by both",
            lambda x, k: float(np.sum(np.tanh(np.convolve(x, k, "valid")))),
            (x, kernel),
            lambda x, k: (
                np.convolve(1 - np.tanh(np.convolve(x, k, "valid")) ** 2, k[::-1]),
                np.convolve(x[::-1], 1 - np.tanh(np.convolve(x, k, "valid")) ** 2, "valid"),
            ),
            step=0.01,
            accuracy=1e-9,
        ),
        total(
            lambda x: scipy.ndimage.gaussian_filter1d(x, 1.0, mode="constant") @ w,
            lambda x: scipy.ndimage.gaussian_filter1d(w, 1.0, mode="constant"),
            "ndimage.gaussian_filter1d",
            x,
        ),
        total(
            lambda p: np.sum(scipy.spatial.distance.pdist(p)),
            spread,
            "spatial.distance.pdist",
            points,
            mistakes=("twice too large", "the sign reversed", "the last slice missing"),
        ),
        total(
            lambda x: np.sum(np.sort(x) * np.arange(8)),
            lambda x: np.argsort(np.argsort(x)) * 1.0,
            "a weighted sort",
            x,
            wrong={"the order itself": lambda x: np.argsort(x) * 1.0},
            step=1e-3,
        ),
        total(
            lambda x: np.cumsum(x**2) @ w,
            lambda x: 2 * x * np.cumsum(w[::-1])[::-1],
            "a cumulative sum",
            x,
            wrong={"not reversed": lambda x: 2 * x * np.cumsum(w)},
        ),
        total(
            np.var,
            lambda x: 2 * (x - np.mean(x)) / 8,
            "a variance",
            x,
            mistakes=("the mean taken for a sum", "one entry off by 1e-8"),
            wrong={"of n - 1": lambda x: 2 * (x - np.mean(x)) / 7},
        ),
        total(np.std, lambda x: (x - np.mean(x)) / 8 / np.std(x), "a standard deviation", x),
        total(np.prod, lambda x: np.prod(x) / x, "a product", x),
        total(
            lambda x: np.linalg.norm(np.gradient(x)) ** 2,
            lambda x: 2 * np.gradient(np.eye(8), axis=0).T @ np.gradient(x),
            "np.gradient",
            x,
            wrong={"not transposed": lambda x: 2 * np.gradient(np.eye(8), axis=0) @ np.gradient(x)},
        ),
    ]


def rotations() -> list[Problem]:
    """Rotations by vectors, angles and quaternions, with Rodrigues' derivatives, also close to 0 and to π."""
    arm, weights = np.array([1.0, 2.0, 3.0]), np.array([0.5, -1.0, 0.7])

    def cross(w: Any) -> Any:
        return np.array([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]])

    def turned(w: Any) -> Any:
        return Rotation.from_rotvec(w).apply(arm)

    def turned_gradient(w: Any, right: bool = True) -> Any:
        angle, k = np.linalg.norm(w), cross(w)
        sides = np.sinc(angle / 2 / np.pi) ** 2 / 2, (1 - np.sinc(angle / np.pi)) / angle**2
        jacobian = np.identity(3) - sides[0] * k + sides[1] * k @ k
        return -Rotation.from_rotvec(w).as_matrix() @ cross(arm) @ (jacobian if right else jacobian.T)

    def by_angles(angles: Any) -> Any:
        return Rotation.from_euler("ZYX", angles).as_matrix()

    def by_angles_gradient(angles: Any) -> Any:
        axes = [np.identity(3)[i] for i in (2, 1, 0)]
        first, second, third = (Rotation.from_rotvec(axis * angle).as_matrix() for axis, angle in zip(axes, angles))
        moves = [
            cross(axes[0]) @ first @ second @ third,
            first @ cross(axes[1]) @ second @ third,
            first @ second @ cross(axes[2]) @ third,
        ]
        return np.stack(moves, axis=-1)

    def by_quaternion(q: Any) -> float:
        """Of any length, which from_quat takes away."""
        return float(weights @ Rotation.from_quat(q).apply(arm))

    def by_quaternion_gradient(q: Any, on_the_sphere: bool = True) -> Any:
        size = np.linalg.norm(q)
        v, s = q[:3] / size, q[3] / size
        by_v = s * np.cross(arm, weights) + weights * (v @ arm) + arm * (weights @ v) - 2 * v * (weights @ arm)
        g = 2 * np.array([*by_v, weights @ np.cross(v, arm)])
        return (g - (g @ q / size) * q / size) / size if on_the_sphere else g

    def area(corners: Any) -> float:
        return float(ConvexHull(corners).volume)

    def area_gradient(corners: Any) -> Any:
        around = ConvexHull(corners).vertices
        gradient = np.zeros_like(corners)
        chords = np.roll(corners[around], -1, axis=0) - np.roll(corners[around], 1, axis=0)
        gradient[around] = chords[:, ::-1] * [0.5, -0.5]
        return gradient

    corners = np.array([[0.0, 0.0], [2.0, 0.1], [1.8, 1.7], [0.1, 2.0], [1.0, 1.0]])
    places = {
        "": np.array([0.4, -1.0, 0.3]),
        ", by a little": np.array([1e-4, -2e-4, 3e-4]),
        ", almost by half a turn": np.array([3.1, 0.2, 0.1]),
    }
    return [
        *(
            Problem(
                f"a rotation by a vector{place}",
                turned,
                (w,),
                turned_gradient,
                mistakes=("the sign reversed", "transposed", "one entry off by 1e-6"),
                wrong={"on the left": lambda w: turned_gradient(w, right=False)},
                step=0.01 * float(np.linalg.norm(w)),
                accuracy=1e-9,
            )
            for place, w in places.items()
        ),
        Problem(
            "a rotation by angles",
            by_angles,
            (np.array([0.3, -0.5, 0.9]),),
            by_angles_gradient,
            mistakes=("the sign reversed", "one entry off by 1e-6"),
            wrong={"in the other order": lambda angles: by_angles_gradient(angles)[..., ::-1]},
            step=0.01,
            accuracy=1e-10,
        ),
        Problem(
            "a rotation by a quaternion",
            by_quaternion,
            (np.array([0.2, -0.3, 0.4, 0.8]),),
            by_quaternion_gradient,
            mistakes=("the sign reversed", "one entry off by 1e-6"),
            wrong={"off the sphere": lambda q: by_quaternion_gradient(q, on_the_sphere=False)},
            step=0.005,
            accuracy=1e-10,
        ),
        Problem(
            "the area of a hull",
            area,
            (corners,),
            area_gradient,
            mistakes=("the sign reversed", "twice too large", "one entry missing"),
            step=0.01,
            accuracy=1e-10,
        ),
    ]


def problems() -> list[Problem]:
    parts = (
        special_functions,
        densities,
        linear_algebra,
        splines,
        optimisation,
        integrals_and_equations,
        signals,
        rotations,
    )
    return [problem for part in parts for problem in part()]
