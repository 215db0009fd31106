"""scikit-learn's losses, kernels and models, with the gradients that they are fitted by."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.spatial.distance
from sklearn._loss import loss as losses
from sklearn.decomposition import _fastica, _nmf
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor, kernels
from sklearn.linear_model._huber import _huber_loss_and_gradient
from sklearn.linear_model._linear_loss import LinearModelLoss
from sklearn.manifold import _t_sne
from sklearn.metrics import pairwise
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.neural_network import MLPClassifier, MLPRegressor, _base

from tests.checking.foreign import truth
from tests.checking.foreign.cases import Problem

RNG = np.random.default_rng(18)
X = RNG.normal(size=(12, 3))
Y = RNG.normal(size=12)
COUNTS = RNG.poisson(2.0, 12).astype(float)
CLASSES = np.arange(12) % 3
TWO = CLASSES % 2 * 1.0
WEIGHTS = RNG.uniform(0.5, 2, 12)
RAW = RNG.normal(size=12) / 2


def problem(name: str, f: Callable[..., Any], gradient: Callable[..., Any], *x: Any, **options: Any) -> Problem:
    return Problem(name, f, x, gradient, **{"step": 0.02, "accuracy": 1e-10} | options)


def of_losses() -> list[Problem]:
    table: dict[str, tuple[Any, Any]] = {
        "HalfSquaredError": (losses.HalfSquaredError(), Y),
        "AbsoluteError": (losses.AbsoluteError(), Y),
        "PinballLoss": (losses.PinballLoss(quantile=0.3), Y),
        "HuberLoss": (losses.HuberLoss(delta=0.7), Y),
        "HalfPoissonLoss": (losses.HalfPoissonLoss(), COUNTS),
        "HalfGammaLoss": (losses.HalfGammaLoss(), COUNTS + 0.5),
        "HalfTweedieLoss": (losses.HalfTweedieLoss(power=1.5), COUNTS),
        "HalfTweedieLossIdentity": (losses.HalfTweedieLossIdentity(power=1.5), COUNTS),
        "HalfBinomialLoss": (losses.HalfBinomialLoss(), TWO),
        "ExponentialLoss": (losses.ExponentialLoss(), TWO),
    }
    found = []
    for k, (name, (loss, y)) in enumerate(table.items()):
        raw = np.abs(RAW) + 0.5 if "Identity" in name else RAW
        weights = WEIGHTS if k % 2 else None

        def total(raw: Any, loss: Any = loss, y: Any = y, weights: Any = weights) -> float:
            return float(np.sum(loss.loss(y, raw.copy(), weights)))

        def gradient(raw: Any, loss: Any = loss, y: Any = y, weights: Any = weights) -> Any:
            return loss.gradient(y, raw.copy(), weights)

        def mean(raw: Any, loss: Any = loss, y: Any = y) -> float:
            return float(loss(y, raw.copy()))

        sharp = name in ("AbsoluteError", "PinballLoss", "HuberLoss")
        options = {"step": 1e-3} if sharp else {"step": 0.01}
        found.append(problem(name, total, gradient, raw, **options))
        if k % 3 == 0:
            found.append(
                problem(
                    f"the mean of {name}",
                    mean,
                    lambda raw, gradient=gradient, w=weights: gradient(raw) / (12 if w is None else w * 12),
                    raw,
                    mistakes=("the mean taken for a sum", "one entry off by 1e-8"),
                    **options,
                )
            )
        if name in ("HalfPoissonLoss", "HalfGammaLoss", "HalfBinomialLoss", "HalfTweedieLoss", "ExponentialLoss"):

            def hessian(raw: Any, loss: Any = loss, y: Any = y, weights: Any = weights) -> Any:
                return np.diag(loss.gradient_hessian(y, raw.copy(), weights)[1])

            found.append(problem(f"the Hessian of {name}", gradient, hessian, raw))
    many = losses.HalfMultinomialLoss(n_classes=3)
    scores = RNG.normal(size=(12, 3))
    classes = CLASSES.astype(float)
    found.append(
        problem(
            "HalfMultinomialLoss",
            lambda s: float(np.sum(many.loss(classes, s.copy()))),
            lambda s: many.gradient(classes, s.copy()),
            scores,
            wrong={"the probabilities alone": lambda s: many.gradient_proba(classes, s.copy())[1]},
        )
    )
    return found


def of_linear_models() -> list[Problem]:
    found = []
    for name, base, y, power in (
        ("squared", losses.HalfSquaredError(), Y, 1.0),
        ("logistic", losses.HalfBinomialLoss(), TWO, 0.1),
        ("Poisson", losses.HalfPoissonLoss(), COUNTS, 1.0),
        ("gamma", losses.HalfGammaLoss(), COUNTS + 0.5, 0.0),
        ("multinomial", losses.HalfMultinomialLoss(n_classes=3), CLASSES.astype(float), 0.5),
    ):
        linear = LinearModelLoss(base_loss=base, fit_intercept=True)
        shape = (3, 4) if name == "multinomial" else (4,)
        w = np.asfortranarray(RNG.normal(size=shape))

        def f(w: Any, linear: Any = linear, y: Any = y, power: float = power) -> float:
            return float(linear.loss(np.asfortranarray(w), X, y, WEIGHTS, power))

        def gradient(w: Any, linear: Any = linear, y: Any = y, power: float = power) -> Any:
            return np.asarray(linear.gradient(np.asfortranarray(w), X, y, WEIGHTS, power)).reshape(np.shape(w))

        wrong: dict[str, Any] = {}
        if power:
            wrong["without the penalty"] = lambda w, g=gradient: g(w, power=0.0)
            wrong["the intercept is penalised"] = lambda w, g=gradient, p=power: (
                g(w) + p * np.where(np.arange(4) == 3, w, 0) / 2
            )
        found.append(problem(f"the linear model, {name}", f, gradient, np.array(w), wrong=wrong))
        if name in ("logistic", "Poisson"):

            def hessian(w: Any, linear: Any = linear, y: Any = y, power: float = power) -> Any:
                return linear.gradient_hessian(w, X, y, WEIGHTS, power)[1]

            found.append(problem(f"the Hessian of the linear model, {name}", gradient, hessian, np.array(w)))
    parameters = np.array([0.3, -0.2, 0.5, 0.1, 0.8])
    found.append(
        problem(
            "HuberRegressor",
            lambda w: float(_huber_loss_and_gradient(w, X, Y, 1.35, 0.01, WEIGHTS)[0]),
            lambda w: _huber_loss_and_gradient(w, X, Y, 1.35, 0.01, WEIGHTS)[1],
            parameters,
            step=1e-3,
            accuracy=1e-9,
            wrong={
                "without the scale": lambda w: (
                    _huber_loss_and_gradient(w, X, Y, 1.35, 0.01, WEIGHTS)[1] * [1, 1, 1, 1, 0]
                )
            },
        )
    )
    return found


def of_kernels() -> list[Problem]:
    k = kernels
    rows = X[:5]
    table: dict[str, Any] = {
        "RBF": k.RBF(0.8),
        "RBF of three lengths": k.RBF([0.8, 1.3, 2.0]),
        "Matern 0.5": k.Matern(1.1, nu=0.5),
        "Matern 1.5": k.Matern(1.1, nu=1.5),
        "Matern 2.5 of three lengths": k.Matern([1.1, 0.7, 2.0], nu=2.5),
        "Matern of nu 0.8": k.Matern(1.1, nu=0.8),
        "RationalQuadratic": k.RationalQuadratic(0.9, 1.7),
        "ExpSineSquared": k.ExpSineSquared(1.2, 2.5),
        "DotProduct": k.DotProduct(0.6),
        "a sum": k.ConstantKernel(2.0) * k.RBF(0.8) + k.WhiteKernel(0.1),
        "a product": k.RBF(0.8) * k.DotProduct(0.4),
        "an exponentiation": k.Exponentiation(k.RationalQuadratic(0.9, 1.7), 3),
        "a pairwise kernel": k.PairwiseKernel(0.7, metric="rbf"),
    }
    found = []
    for name, kernel in table.items():

        def value(theta: Any, kernel: Any = kernel) -> Any:
            return kernel.clone_with_theta(theta)(rows)

        def theirs(theta: Any, kernel: Any = kernel) -> Any:
            return kernel.clone_with_theta(theta)(rows, eval_gradient=True)[1]

        options: dict[str, Any] = {"step": 0.003, "mistakes": ("the sign reversed", "one entry off by 1e-6")}
        if name in ("Matern of nu 0.8", "a pairwise kernel"):  # which scikit-learn differences forwards
            options |= {"mistakes": (), "imprecise": {"scikit-learn's": theirs}, "accuracy": 1e-8}
            gradient = partial(_by_differences, value)
        else:
            options["wrong"] = {"by the parameter itself": lambda t, theirs=theirs: theirs(t) / np.exp(t)}
            gradient = theirs
        found.append(problem(f"the kernel {name}", value, gradient, np.array(kernel.theta), **options))
    process = GaussianProcessRegressor(
        k.ConstantKernel(1.0) * k.RBF([0.8, 1.5, 1.0]) + k.WhiteKernel(0.2), optimizer=None
    ).fit(X, Y)
    found.append(
        problem(
            "the likelihood of a Gaussian process",
            lambda theta: float(process.log_marginal_likelihood(theta, clone_kernel=True)),
            lambda theta: process.log_marginal_likelihood(theta, eval_gradient=True)[1],
            np.array(process.kernel_.theta),
        )
    )
    stiff = GaussianProcessRegressor(k.RBF(2.0), alpha=1e-8, optimizer=None).fit(
        np.linspace(0, 3, 8)[:, None], np.sin(np.linspace(0, 3, 8))
    )
    found.append(
        problem(
            "the likelihood of a Gaussian process of jitter 1e-8",
            lambda theta: float(stiff.log_marginal_likelihood(theta)),
            lambda theta: stiff.log_marginal_likelihood(theta, eval_gradient=True)[1],
            np.array(stiff.kernel_.theta),
            accuracy=1e-6,
            knowable=1e-6,
            why="its condition is 1e9",
            mistakes=("the sign reversed", "off by 1 %"),
        )
    )
    classifier = GaussianProcessClassifier(
        k.RBF(1.3) * k.ConstantKernel(2.0), optimizer=None, max_iter_predict=1000
    ).fit(X, TWO)
    found.append(
        problem(
            "the likelihood of a Gaussian process classifier",
            lambda theta: float(classifier.log_marginal_likelihood(theta)),
            lambda theta: classifier.log_marginal_likelihood(theta, eval_gradient=True)[1],
            np.array(classifier.kernel_.theta),
            accuracy=1e-8,
            knowable=2e-7,
            why="its mode is found by steps that stop at 1e-10 of the likelihood, and the slope is off by 1e-9",
            mistakes=("the sign reversed", "half of the last"),
        )
    )
    return found


def _by_differences(f: Callable[[Any], Any], theta: Any) -> Any:
    return truth.derivative(f, (theta,), 0.01)[0]


def of_models() -> list[Problem]:
    analysis = NeighborhoodComponentsAnalysis()
    analysis.n_iter_ = 1
    same = CLASSES[:, None] == CLASSES

    def nca(t: Any) -> Any:
        return analysis._loss_grad_lbfgs(t, X, same, -1.0)

    distances = np.abs(RNG.normal(size=15)) + 0.1
    joint = distances / np.sum(distances) / 2

    def t_sne(y: Any, freedom: float = 1.0) -> Any:
        value, gradient = _t_sne._kl_divergence(y.copy(), joint, freedom, 6, 2)
        return float(value), np.array(gradient)

    def three(y: Any) -> Any:
        y = y.reshape(6, 2)
        d = y[:, None] - y
        near = 1 / (1 + np.sum(d**2, axis=-1) / 3)
        q = near**2 * (1 - np.eye(6))
        p = scipy.spatial.distance.squareform(joint)
        return (4 * (4 / 3) * 0.5 * np.sum(((p - q / np.sum(q)) * near)[..., None] * d, axis=1) * 2 / 2).ravel()

    def perceptron(kind: Any, activation: str, y: Any, *sizes: int) -> tuple[Any, int]:
        options = {"alpha": 0.1, "max_iter": 1, "solver": "lbfgs", "random_state": 0}
        return of_vector(kind(hidden_layer_sizes=sizes, activation=activation, **options), y)

    found = [
        problem(
            "NeighborhoodComponentsAnalysis",
            lambda t: float(nca(t)[0]),
            lambda t: nca(t)[1],
            RNG.normal(size=6) / 2,
            step=0.01,
            wrong={"half": lambda t: nca(t)[1] / 2},
        ),
        problem("t-SNE", lambda y: t_sne(y)[0], lambda y: t_sne(y)[1], RNG.normal(size=12), accuracy=1e-8),
        # scikit-learn multiplies by (1 + d²/3)⁻² where the derivative has (1 + d²/3)⁻¹: the same for one degree alone
        problem(
            "t-SNE of three degrees of freedom",
            lambda y: t_sne(y, 3.0)[0],
            three,
            RNG.normal(size=12),
            accuracy=1e-8,
            wrong={"scikit-learn's": lambda y: t_sne(y, 3.0)[1]},
        ),
    ]
    for name, (both, count) in (
        ("a regressor of tanh", perceptron(MLPRegressor, "tanh", Y, 3)),
        ("a regressor of logistic", perceptron(MLPRegressor, "logistic", Y, 3)),
        ("a regressor of relu", perceptron(MLPRegressor, "relu", Y, 3)),
        ("a classifier of two", perceptron(MLPClassifier, "tanh", TWO, 3)),
        ("a classifier of three", perceptron(MLPClassifier, "logistic", CLASSES, 2)),
        ("a deep classifier of relu", perceptron(MLPClassifier, "relu", CLASSES, 2, 2)),
    ):
        w = np.random.default_rng(3).normal(size=count) / 2
        options = {"step": 1e-4, "accuracy": 1e-8} if "relu" in name else {}
        found.append(
            problem(
                f"MLP, {name}", lambda w, both=both: float(both(w)[0]), lambda w, both=both: both(w)[1], w, **options
            )
        )
    return found


def of_vector(model: Any, y: Any) -> tuple[Any, int]:
    """The loss of a network and its gradient by one vector of all parameters, as its L-BFGS sees them; their number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one iteration does not converge
        model.fit(X, y)
    targets = model._label_binarizer.transform(y) if hasattr(model, "_label_binarizer") else y.reshape(-1, 1)

    def both(w: Any) -> Any:
        layers = len(model.coefs_)
        gradients = [np.empty_like(c) for c in model.coefs_], [np.empty_like(b) for b in model.intercepts_]
        buffers = [X, *[None] * layers], [None] * layers
        return model._loss_grad_lbfgs(np.array(w), X, targets * 1.0, None, *buffers, *gradients)

    return both, sum(p.size for p in (*model.coefs_, *model.intercepts_))


def of_tables() -> list[Problem]:
    """Derivatives that stand beside their functions."""
    found = []
    for name in ("tanh", "logistic", "relu"):

        def f(x: Any, name: str = name) -> Any:
            y = x.copy()
            _base.ACTIVATIONS[name](y)
            return y

        def derivative(x: Any, name: str = name, f: Any = f) -> Any:
            delta = np.ones_like(x)
            _base.DERIVATIVES[name](f(x), delta)
            return np.diag(delta)

        def at_input(x: Any, name: str = name) -> Any:
            delta = np.ones_like(x)
            _base.DERIVATIVES[name](x, delta)
            return np.diag(delta)

        wrong = {} if name == "relu" else {"of its input": at_input}
        found.append(problem(f"the activation {name}", f, derivative, np.array([-0.7, 0.4, 1.5]), wrong=wrong))
    found += [
        problem(
            "FastICA's logcosh",
            lambda x: _fastica._logcosh(x.copy(), {"alpha": 1.5})[0],
            lambda x: np.diag(_fastica._logcosh(x.copy(), {"alpha": 1.5})[1]),
            X[0],
            wrong={"without alpha": lambda x: np.diag(_fastica._logcosh(x.copy(), {"alpha": 1.5})[1] / 1.5)},
        ),
        problem(
            "FastICA's exp", lambda x: np.sum(_fastica._exp(x, {})[0]), lambda x: (1 - x**2) * np.exp(-(x**2) / 2), X[1]
        ),
        problem(
            "FastICA's cube",
            lambda x: _fastica._cube(x[None], {})[0].mean(),
            lambda x: 3 * x**2 / 3,
            X[2],
            mistakes=("the mean taken for a sum", "off by one"),
        ),
        problem(
            "NMF by H",
            lambda h: _nmf._beta_divergence(np.abs(X), np.abs(X[:, :2]), h, 2),
            lambda h: np.abs(X[:, :2]).T @ (np.abs(X[:, :2]) @ h - np.abs(X)),
            np.abs(X[:2]),
        ),
        problem(
            "NMF of Kullback and Leibler",
            lambda h: _nmf._beta_divergence(np.abs(X), np.abs(X[:, :2]), h, 1),
            lambda h: np.abs(X[:, :2]).T @ (1 - np.abs(X) / (np.abs(X[:, :2]) @ h)),
            np.abs(X[:2]) + 0.5,
        ),
        problem(
            "pairwise.rbf_kernel",
            lambda x: float(np.sum(pairwise.rbf_kernel(x, X[:4], gamma=0.3))),
            lambda x: np.sum(-0.6 * (x[:, None] - X[:4]) * pairwise.rbf_kernel(x, X[:4], gamma=0.3)[..., None], axis=1),
            X[4:7],
        ),
        problem(
            "pairwise.cosine_similarity",
            lambda x: float(pairwise.cosine_similarity(x[None], X[:1])[0, 0]),
            lambda x: (
                (X[0] / np.linalg.norm(X[0]) - x / np.linalg.norm(x) * pairwise.cosine_similarity(x[None], X[:1])[0, 0])
                / np.linalg.norm(x)
            ),
            X[3],
        ),
        problem(
            "pairwise.laplacian_kernel",
            lambda x: float(np.sum(pairwise.laplacian_kernel(x[None], X[:3], gamma=0.4))),
            lambda x: (
                -0.4 * np.sum(np.sign(x - X[:3]) * pairwise.laplacian_kernel(x[None], X[:3], gamma=0.4).T, axis=0)
            ),
            X[5],
            step=1e-3,
        ),
    ]
    return found


def problems() -> list[Problem]:
    return [p for part in (of_losses, of_linear_models, of_kernels, of_models, of_tables) for p in part()]
