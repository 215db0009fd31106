"""statsmodels' likelihoods with their scores and Hessians, links, norms, penalties, copulas and rotations.

What of them is wrong in version 0.15 is told by differences: the Hessians of two models of counts by alpha, where the
score is by its logarithm; one mixed derivative of another; what two parts of a model with many zeros share; and the
score of a truncated model, which takes p = 1 for every p.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import statsmodels.api as sm
from statsmodels.base import _penalties
from statsmodels.discrete import truncated_model
from statsmodels.discrete.conditional_models import ConditionalLogit, ConditionalPoisson
from statsmodels.distributions.copula import transforms
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.genmod.families import links, varfuncs
from statsmodels.multivariate import factor_rotation
from statsmodels.multivariate.factor import Factor
from statsmodels.othermod.betareg import BetaModel
from statsmodels.regression.process_regression import ProcessMLE
from statsmodels.robust import norms

from tests.checking.foreign import truth
from tests.checking.foreign.cases import Problem

RNG = np.random.default_rng(0)
X = sm.add_constant(RNG.normal(size=(40, 2)))
B = np.array([0.3, 0.4, -0.3])
COUNTS = RNG.poisson(np.exp(X @ B))
COUNTS[:8] = 0
TWO = (COUNTS > 1) * 1.0
GROUPS = np.arange(40) % 5


def problem(name: str, f: Callable[..., Any], gradient: Callable[..., Any], *x: Any, **options: Any) -> Problem:
    return Problem(name, f, x, gradient, **{"step": 0.01, "accuracy": 1e-10} | options)


def by_differences(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The derivative of f by differences of order 8, for want of a right one of statsmodels'."""
    return lambda x: truth.derivative(f, (x,), 0.004)[0]


def of_counts() -> list[Problem]:
    positive = np.maximum(COUNTS, 1)
    table: dict[str, tuple[Any, list[float]]] = {
        "Poisson": (sm.Poisson(COUNTS, X), []),
        "Logit": (sm.Logit(TWO, X), []),
        "Probit": (sm.Probit(TWO, X), []),
        "MNLogit": (sm.MNLogit(np.minimum(COUNTS, 2), X), [-0.3, -0.4, 0.3]),
        "NegativeBinomial nb1": (sm.NegativeBinomial(COUNTS, X, loglike_method="nb1"), [0.5]),
        "NegativeBinomial nb2": (sm.NegativeBinomial(COUNTS, X), [0.5]),
        "NegativeBinomial geometric": (sm.NegativeBinomial(COUNTS, X, loglike_method="geometric"), []),
        "NegativeBinomialP of 1": (sm.NegativeBinomialP(COUNTS, X, p=1), [0.5]),
        "NegativeBinomialP of 1.5": (sm.NegativeBinomialP(COUNTS, X, p=1.5), [0.5]),
        "NegativeBinomialP of 2": (sm.NegativeBinomialP(COUNTS, X, p=2), [0.5]),
        "GeneralizedPoisson of 1": (sm.GeneralizedPoisson(COUNTS, X), [0.3]),
        "GeneralizedPoisson of 2": (sm.GeneralizedPoisson(COUNTS, X, p=2), [0.3]),
        "ZeroInflatedPoisson": (sm.ZeroInflatedPoisson(COUNTS, X), [0.1]),
        "ZeroInflatedGeneralizedPoisson": (sm.ZeroInflatedGeneralizedPoisson(COUNTS, X), [0.1, 0.3]),
        "ZeroInflatedNegativeBinomialP": (sm.ZeroInflatedNegativeBinomialP(COUNTS, X), [0.1, 0.3]),
        "TruncatedLFPoisson": (truncated_model.TruncatedLFPoisson(positive, X), []),
        "TruncatedLFNegativeBinomialP": (truncated_model.TruncatedLFNegativeBinomialP(positive, X), [0.3]),
        "TruncatedLFGeneralizedPoisson of 1": (truncated_model.TruncatedLFGeneralizedPoisson(positive, X, p=1), [0.1]),
        "TruncatedLFGeneralizedPoisson of 2": (truncated_model.TruncatedLFGeneralizedPoisson(positive, X, p=2), [0.1]),
    }
    by_alpha = ("NegativeBinomial nb1", "NegativeBinomial nb2")
    wrong = (*by_alpha, "NegativeBinomialP of 1.5", "ZeroInflatedPoisson")
    differenced = (
        "ZeroInflatedGeneralizedPoisson",
        "ZeroInflatedNegativeBinomialP",
        "TruncatedLFPoisson",
        "TruncatedLFNegativeBinomialP",
    )
    found = []
    for name, (model, more) in table.items():
        b = np.array([*B, *more])
        loose = {"accuracy": 1e-9}
        if name == "TruncatedLFGeneralizedPoisson of 2":
            right = by_differences(lambda b, model=model: float(model.loglike(b)))
            found.append(
                problem(
                    f"the score of {name}",
                    model.loglike,
                    right,
                    b,
                    mistakes=(),
                    wrong={"statsmodels'": model.score},
                    accuracy=1e-8,
                )
            )
            continue
        found.append(
            problem(f"the score of {name}", lambda b, model=model: float(model.loglike(b)), model.score, b, **loose)
        )
        if name in wrong:
            found.append(
                problem(
                    f"the Hessian of {name}",
                    model.score,
                    by_differences(model.score),
                    b,
                    mistakes=(),
                    wrong={"statsmodels'": model.hessian},
                    **loose,
                )
            )
        elif name in differenced:
            found.append(
                problem(
                    f"the Hessian of {name}",
                    model.score,
                    by_differences(model.score),
                    b,
                    mistakes=(),
                    imprecise={"statsmodels' differences": model.hessian},
                    **loose,
                )
            )
        elif "Truncated" not in name:
            found.append(problem(f"the Hessian of {name}", model.score, model.hessian, b, **loose))
        if name in ("Poisson", "Logit", "Probit", "NegativeBinomialP of 2", "GeneralizedPoisson of 1"):
            found.append(
                problem(
                    f"the score of each row of {name}",
                    lambda b, model=model: model.loglikeobs(b)[:6],
                    lambda b, model=model: model.score_obs(b)[:6],
                    b,
                    **loose,
                )
            )
    return found


def of_linear_models() -> list[Problem]:
    f = sm.families
    positive = COUNTS + 0.5
    table: dict[str, tuple[Any, Any]] = {
        "Gaussian": (f.Gaussian(), positive),
        "Gaussian, log": (f.Gaussian(links.Log()), positive),
        "Binomial": (f.Binomial(), TWO),
        "Binomial, probit": (f.Binomial(links.Probit()), TWO),
        "Binomial, cloglog": (f.Binomial(links.CLogLog()), TWO),
        "Binomial, Cauchy": (f.Binomial(links.Cauchy()), TWO),
        "Poisson": (f.Poisson(), COUNTS),
        "Binomial, loglog": (f.Binomial(links.LogLog()), TWO),
        "Gamma, log": (f.Gamma(links.Log()), positive),
        "inverse Gaussian, log": (f.InverseGaussian(links.Log()), positive),
        "negative binomial": (f.NegativeBinomial(alpha=0.7), COUNTS),
        "Tweedie": (f.Tweedie(var_power=1.5, eql=True), positive),
    }
    found = []
    for name, (family, y) in table.items():
        model = sm.GLM(y, X, family=family)

        def score(b: Any, model: Any = model) -> Any:
            return model.score(b, scale=1.0)

        def hessian(b: Any, model: Any = model) -> Any:
            return model.hessian(b, scale=1.0, observed=True)

        def expected(b: Any, model: Any = model) -> Any:
            return model.hessian(b, scale=1.0, observed=False)

        own = {} if name in ("Gaussian", "Binomial", "Poisson") else {"wrong": {"of Fisher's information": expected}}
        found.append(
            problem(
                f"the score of GLM, {name}",
                lambda b, model=model: float(model.loglike(b, scale=1.0)),
                score,
                B,
                accuracy=1e-9,
            )
        )
        found.append(problem(f"the Hessian of GLM, {name}", score, hessian, B, accuracy=1e-9, **own))
    return found


def of_other_models() -> list[Problem]:
    time = np.abs(RNG.normal(size=40)) + 0.1
    status = (np.arange(40) % 3 > 0) * 1.0
    b = np.array([0.4, -0.3])
    found = []
    for ties in ("breslow", "efron"):
        hazard = PHReg(np.round(time, 1)[:12], X[:12, 1:], status[:12], ties=ties)
        found += [
            problem(
                f"the score of PHReg, {ties}", lambda b, m=hazard: float(m.loglike(b)), hazard.score, b, accuracy=1e-9
            ),
            problem(f"the Hessian of PHReg, {ties}", hazard.score, hazard.hessian, b, accuracy=1e-9),
        ]
    clogit = ConditionalLogit(TWO, X[:, 1:], groups=GROUPS)
    cpoisson = ConditionalPoisson(COUNTS, X[:, 1:], groups=GROUPS)
    rate = 1 / (1 + np.exp(-X @ B + RNG.normal(size=40) / 3))
    beta = BetaModel(rate, X)
    with_precision = np.array([*B, 1.1])
    found += [
        problem("the score of ConditionalLogit", lambda b: float(clogit.loglike(b)), clogit.score, b, accuracy=1e-9),
        problem(
            "the score of ConditionalPoisson", lambda b: float(cpoisson.loglike(b)), cpoisson.score, b, accuracy=1e-9
        ),
        problem("the score of BetaModel", lambda b: float(beta.loglike(b)), beta.score, with_precision, accuracy=1e-9),
        problem("the Hessian of BetaModel", beta.score, beta.hessian, with_precision, accuracy=1e-9),
        problem(
            "the score of each row of BetaModel",
            lambda b: beta.loglikeobs(b)[:5],
            lambda b: beta.score_obs(b)[:5],
            with_precision,
            accuracy=1e-9,
        ),
    ]
    normal = sm.OLS(COUNTS + 0.0, X)
    weighted = sm.WLS(COUNTS + 0.0, X, weights=time)
    found += [
        problem(
            "the score of OLS",
            lambda b: float(normal.loglike(b, scale=1.3)),
            lambda b: normal.score(b, scale=1.3),
            B,
            accuracy=1e-9,
        ),
        problem(
            "the Hessian of OLS",
            lambda b: normal.score(b, scale=1.3),
            lambda b: normal.hessian(b, scale=1.3),
            B,
            accuracy=1e-9,
        ),
        problem(
            "the score of WLS", lambda b: float(weighted.loglike(b)), lambda b: _wls(weighted, b), B, accuracy=1e-9
        ),
    ]
    rows = RNG.normal(size=(20, 4))
    factor = Factor(rows, n_factor=1)
    loadings = np.array([0.5, 0.6, 0.4, 0.7, 0.8, 0.3, 0.5, 0.6])
    found.append(
        problem("the score of Factor", lambda p: float(factor.loglike(p)), factor.score, loadings, accuracy=1e-8)
    )
    process = ProcessMLE(
        COUNTS + 0.0, X, np.ones((40, 1)), np.ones((40, 1)), np.ones((40, 1)), np.linspace(0, 5, 40), GROUPS
    )
    parameters = np.array([*B, 0.2, -0.3])
    if process.k_noise:
        parameters = np.array([*B, 0.2, -0.3, -0.1])
    found.append(
        problem(
            "the score of ProcessMLE", lambda p: float(process.loglike(p)), process.score, parameters, accuracy=1e-8
        )
    )
    return found


def _wls(model: Any, b: Any) -> Any:
    """The score of the concentrated likelihood, derived: n Xᵀ W r / rᵀ W r."""
    r = model.endog - model.exog @ b
    return len(r) * (model.exog.T @ (model.weights * r)) / (model.weights @ r**2)


def of_links() -> list[Problem]:
    p = np.array([0.2, 0.45, 0.8])
    table: dict[str, Any] = {
        "Logit": links.Logit(),
        "Probit": links.Probit(),
        "CLogLog": links.CLogLog(),
        "LogLog": links.LogLog(),
        "Cauchy": links.Cauchy(),
        "Log": links.Log(),
        "LogC": links.LogC(),
        "Power of 2": links.Power(2.0),
        "Power of -1.5": links.Power(-1.5),
        "InversePower": links.InversePower(),
        "InverseSquared": links.InverseSquared(),
        "Sqrt": links.Sqrt(),
        "NegativeBinomial": links.NegativeBinomial(0.6),
    }
    found = []
    for k, (name, link) in enumerate(table.items()):
        z = link(p)
        pairs = (
            (link, link.deriv, p),
            (link.deriv, link.deriv2, p),
            (link.inverse, link.inverse_deriv, z),
            (link.inverse_deriv, link.inverse_deriv2, z),
        )
        for label, (f, derivative, x) in zip(("", " twice", ", inverse", ", inverse twice"), pairs):
            if k % 2 == len(label) % 2 and label:
                continue
            found.append(
                problem(
                    f"the link {name}{label}",
                    lambda x, f=f: f(x.copy()),
                    lambda x, d=derivative: np.diag(d(x.copy())),
                    x,
                    step=0.002,
                    accuracy=1e-7,
                )
            )
    for name, variance in (
        ("binary", varfuncs.Binomial()),
        ("of 1.5", varfuncs.Power(1.5)),
        ("nbinom", varfuncs.NegativeBinomial(0.6)),
    ):
        found.append(
            problem(
                f"the variance function {name}",
                lambda x, v=variance: float(np.sum(v(x))),
                variance.deriv,
                p,
                step=0.002,
            )
        )
    return found


def of_norms() -> list[Problem]:
    z = np.array([-3.1, -0.4, 0.7, 1.3, 5.0])
    found = []
    for norm in (
        norms.LeastSquares(),
        norms.HuberT(),
        norms.RamsayE(),
        norms.AndrewWave(),
        norms.TrimmedMean(),
        norms.Hampel(),
        norms.TukeyBiweight(),
        norms.TukeyQuartic(),
        norms.StudentT(),
    ):
        name = type(norm).__name__
        found.append(
            problem(
                f"the norm {name}", lambda z, n=norm: float(np.sum(n.rho(z))), norm.psi, z, step=0.004, accuracy=1e-9
            )
        )
        found.append(
            problem(
                f"the norm {name}, twice",
                lambda z, n=norm: np.asarray(n.psi(z)),
                lambda z, n=norm: np.diag(n.psi_deriv(z) * 1.0),
                z,
                step=0.004,
                accuracy=1e-9,
            )
        )
    b = np.array([0.3, -0.7, 1.6])
    for penalty in (
        _penalties.L2(),
        _penalties.PseudoHuber(0.6),
        _penalties.SCAD(0.4, 3.7),
        _penalties.SCADSmoothed(0.4, 3.7),
        _penalties.ConstraintsPenalty(_penalties.L2(), restriction=np.array([[1.0, -1, 0], [0, 1, -1]])),
    ):
        found.append(
            problem(
                f"the penalty {type(penalty).__name__}",
                lambda b, p=penalty: float(p.func(b)),
                penalty.deriv,
                b,
                step=0.004,
                accuracy=1e-9,
            )
        )
    return found


def of_copulas() -> list[Problem]:
    """Generators φ of copulas. statsmodels' φ' of Frank's has the wrong sign; φ" of Gumbel's is a root of -1."""
    u = np.array([0.2, 0.5, 0.8])
    frank, clayton, gumbel = transforms.TransfFrank(), transforms.TransfClayton(), transforms.TransfGumbel()

    def frank_slope(u: Any) -> Any:
        return -2.5 / np.expm1(2.5 * u)

    def gumbel_curvature(u: Any) -> Any:
        z = -np.log(u)
        return 1.7 * z**0.7 / u**2 * (0.7 / z + 1)

    def entries(name: str, f: Any, derivative: Any, theirs: Any = None) -> Problem:
        options = {"mistakes": (), "wrong": {"statsmodels'": lambda u: np.diag(theirs(u))}} if theirs else {}
        return problem(
            name, lambda u: np.asarray(f(u)), lambda u: np.diag(derivative(u)), u, step=0.002, accuracy=1e-7, **options
        )

    return [
        entries("the generator of Frank", lambda u: frank.evaluate(u, 2.5), frank_slope, lambda u: frank.deriv(u, 2.5)),
        entries("the generator of Clayton", lambda u: clayton.evaluate(u, 1.4), lambda u: clayton.deriv(u, 1.4)),
        entries("the generator of Gumbel", lambda u: gumbel.evaluate(u, 1.7), lambda u: gumbel.deriv(u, 1.7)),
        entries("the generator of Clayton, twice", lambda u: clayton.deriv(u, 1.4), lambda u: clayton.deriv2(u, 1.4)),
        entries(
            "the generator of Gumbel, twice",
            lambda u: gumbel.deriv(u, 1.7),
            gumbel_curvature,
            lambda u: gumbel.deriv2(u, 1.7),
        ),
        entries(
            "the inverse generator of Frank, twice",
            lambda s: 1 / frank_slope(frank.inverse(s, 2.5)),
            lambda s: frank.deriv2_inverse(s, 2.5),
        ),
        entries(
            "the inverse generator of Clayton, twice",
            lambda s: 1 / clayton.deriv(clayton.inverse(s, 1.4), 1.4),
            lambda s: clayton.deriv2_inverse(s, 1.4),
        ),
        entries(
            "the inverse generator of Gumbel, twice",
            lambda s: 1 / gumbel.deriv(gumbel.inverse(s, 1.7), 1.7),
            lambda s: gumbel.deriv2_inverse(s, 1.7),
        ),
    ]


def of_rotations() -> list[Problem]:
    loadings = RNG.normal(size=(6, 3))
    objectives = {
        "oblimin": lambda a: factor_rotation._gpa_rotation.oblimin_objective(L=a, gamma=0.3, return_gradient=True),
        "Crawford and Ferguson": lambda a: factor_rotation._gpa_rotation.CF_objective(
            L=a, kappa=0.4, return_gradient=True
        ),
        "a partial target": lambda a: factor_rotation._gpa_rotation.vgQ_target(loadings / 2, L=a),
    }
    return [
        problem(f"the rotation to {name}", lambda a, f=f: float(f(a)[0]), lambda a, f=f: np.asarray(f(a)[1]), loadings)
        for name, f in objectives.items()
    ]


def problems() -> list[Problem]:
    parts = (of_counts, of_linear_models, of_other_models, of_links, of_norms, of_copulas, of_rotations)
    return [problem for part in parts for problem in part()]
