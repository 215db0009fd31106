"""Functions of SciPy and scikit-learn that follow the array API standard, called with tensors.

Run as a program, since SciPy reads SCIPY_ARRAY_API when it is imported: it compares values with NumPy's and gradients
with differences, and prints which functions do something else than these tables say.
"""

import json
import os
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

os.environ["SCIPY_ARRAY_API"] = "1"

import sklearn
from scipy import constants, differentiate, integrate, optimize, signal, special, stats
from scipy.spatial.transform import Rotation
from sklearn import (
    decomposition,
    discriminant_analysis,
    kernel_approximation,
    linear_model,
    naive_bayes,
    pipeline,
    preprocessing,
)
from sklearn.metrics import pairwise
from sklearn.utils import extmath

import tinygrad_lite as tg

RNG = np.random.default_rng(0)
X = RNG.uniform(0.2, 0.8, (6, 4))
V = RNG.uniform(0.2, 0.8, 8)
Function = Callable[[Any], Any]

SPECIAL = "gammaln digamma erf erfc ndtr log_ndtr expit logit i0 i0e i1 i1e entr gamma loggamma exp1 expm1 log1p cosm1 "
SPECIAL += "exprel ndtri erfinv erfcx dawsn j0 j1 psi cbrt exp2 sindg k0 k0e"
SPECIAL_OF_TWO = "xlogy rel_entr kl_div xlog1py beta betaln boxcox huber pseudo_huber binom"
STATS = (
    "skew kurtosis gmean hmean entropy differential_entropy variation sem iqr median_abs_deviation lmoment circmean "
)
STATS += "circvar circstd gstd false_discovery_control"
TESTS = "jarque_bera skewtest kurtosistest normaltest combine_pvalues"
PAIRWISE = "euclidean_distances rbf_kernel linear_kernel polynomial_kernel sigmoid_kernel chi2_kernel "
PAIRWISE += "additive_chi2_kernel paired_euclidean_distances paired_manhattan_distances"

RIGHT: dict[str, tuple[Function, Any]] = {
    **{f"special.{name}": (getattr(special, name), X) for name in SPECIAL.split()},
    **{
        f"special.{name}": (partial(lambda f, x: f(x[0], x[1]), getattr(special, name)), X)
        for name in SPECIAL_OF_TWO.split()
    },
    **{
        f"special.{name}": (partial(lambda f, x: f(1.5, x), getattr(special, name)), X)
        for name in ("gammainc", "chdtr", "chdtrc")
    },
    "special.fdtr": (lambda x: special.fdtr(2.0, 3.0, x), X),
    "special.stdtr": (lambda x: special.stdtr(3.0, x), X),
    **{f"stats.{name}": (getattr(stats, name), V) for name in STATS.split()},
    **{f"stats.{name}": (partial(lambda f, x: f(x).pvalue, getattr(stats, name)), V) for name in TESTS.split()},
    **{
        f"special.{name}": (partial(lambda f, x: f(x, axis=1), getattr(special, name)), X)
        for name in ("logsumexp", "softmax", "log_softmax")
    },
    "stats.zscore": (stats.zscore, X),
    "stats.gzscore": (stats.gzscore, X),
    "stats.zmap": (lambda x: stats.zmap(x, 2 * x), X),
    "stats.moment": (lambda x: stats.moment(x, order=3), V),
    "stats.pmean": (lambda x: stats.pmean(x, 2.5), V),
    "stats.entropy of two": (lambda x: stats.entropy(x[0], x[1]), X),
    "stats.describe": (lambda x: stats.describe(x).variance, V),
    "stats.tmean": (lambda x: stats.tmean(x, (0.3, 0.7)), V),
    "stats.trim_mean": (lambda x: stats.trim_mean(x, 0.2), V),
    "stats.quantile": (lambda x: stats.quantile(x, 0.3), V),
    "stats.kstat": (lambda x: stats.kstat(x, 3), V),
    "stats.kstatvar": (lambda x: stats.kstatvar(x, 2), V),
    "stats.boxcox_llf": (lambda x: stats.boxcox_llf(0.5, x), V),
    "stats.yeojohnson_llf": (lambda x: stats.yeojohnson_llf(0.5, x), V),
    "stats.directional_stats": (lambda x: stats.directional_stats(x).mean_direction, X),
    "stats.pearsonr": (lambda x: stats.pearsonr(x[0], x[1]).statistic, X),
    "stats.ttest_1samp": (lambda x: stats.ttest_1samp(x, 0.4).pvalue, V),
    "stats.ttest_ind": (lambda x: stats.ttest_ind(x[0], x[1]).pvalue, X),
    "stats.ttest_rel": (lambda x: stats.ttest_rel(x[0], x[1]).pvalue, X),
    "stats.f_oneway": (lambda x: stats.f_oneway(x[0], x[1], x[2]).pvalue, X),
    "stats.levene": (lambda x: stats.levene(x[0], x[1]).pvalue, X),
    "stats.bartlett": (lambda x: stats.bartlett(x[0], x[1]).pvalue, X),
    "stats.power_divergence": (lambda x: stats.power_divergence(x, x.mean() + 0 * x).pvalue, V),
    "signal.gausspulse": (signal.gausspulse, V),
    "signal.fftconvolve": (lambda x: signal.fftconvolve(x, x), V),
    "integrate.trapezoid": (integrate.trapezoid, V),
    "integrate.cumulative_trapezoid": (integrate.cumulative_trapezoid, V),
    "optimize.rosen": (optimize.rosen, V),
    "differentiate.derivative": (lambda x: differentiate.derivative(lambda t: t**3, x).df, V),
    "constants.convert_temperature": (lambda x: constants.convert_temperature(x, "C", "K"), V),
    "Rotation.from_rotvec": (lambda x: Rotation.from_rotvec(x[:3]).as_matrix(), V),
    "Rotation.from_quat": (lambda x: Rotation.from_quat(x[:4]).as_matrix(), V),
    "Rotation.from_euler": (lambda x: Rotation.from_euler("xyz", x[:3]).as_quat(), V),
    "Rotation.apply": (lambda x: Rotation.from_rotvec(x[:3]).apply(x[3:6]), V),
    **{
        f"pairwise.{name}": (partial(lambda f, x: f(x, 1.5 * x + 0.1), getattr(pairwise, name)), X)
        for name in PAIRWISE.split()
    },
    "pairwise.pairwise_kernels": (lambda x: pairwise.pairwise_kernels(x, x[:4], metric="rbf"), X),
    "extmath.row_norms": (extmath.row_norms, X),
    "extmath.safe_sparse_dot": (lambda x: extmath.safe_sparse_dot(x, x.T), X),
}


def like(array: Any, x: Any) -> Any:
    """Constants of the same kind as x."""
    return tg.tensor(array) if hasattr(x, "__trace__") else array


LABELS = np.array([0, 1, 2, 0, 1, 2])
TARGETS = RNG.uniform(0.2, 0.8, 6)
ESTIMATORS = {
    "MinMaxScaler": preprocessing.MinMaxScaler(),
    "MaxAbsScaler": preprocessing.MaxAbsScaler(),
    "Normalizer": preprocessing.Normalizer(),
    "PolynomialFeatures": preprocessing.PolynomialFeatures(2),
    "PCA": decomposition.PCA(2, svd_solver="full"),
    "Nystroem": kernel_approximation.Nystroem(n_components=4, random_state=0),
}
WRITING: dict[str, tuple[Function, Any]] = {
    **{name: (partial(lambda e, x: e.fit_transform(x), estimator), X) for name, estimator in ESTIMATORS.items()},
    **{
        f"pairwise.{name}": (partial(lambda f, x: f(x, x[:4] * 1.5 + 0.1), getattr(pairwise, name)), X)
        for name in ("cosine_similarity", "laplacian_kernel", "manhattan_distances")
    },
    "signal.oaconvolve": (lambda x: signal.oaconvolve(x, x[:2]), V),  # which adds to parts of its array
    "Ridge": (lambda x: linear_model.Ridge(solver="svd").fit(x, like(TARGETS, x)).coef_, X),
    "pipeline": (
        lambda x: (
            pipeline.make_pipeline(preprocessing.MinMaxScaler(), linear_model.Ridge(solver="svd"))
            .fit(x, like(TARGETS, x))
            .predict(x)
        ),
        X,
    ),
    "LinearDiscriminantAnalysis": (
        lambda x: discriminant_analysis.LinearDiscriminantAnalysis().fit(x, like(LABELS, x)).decision_function(x),
        X,
    ),
    "GaussianNB": (lambda x: naive_bayes.GaussianNB().fit(x, like(LABELS, x)).predict_log_proba(x), X),
    "optimize.rosen_der": (optimize.rosen_der, V),
    "optimize.rosen_hess_prod": (lambda x: optimize.rosen_hess_prod(x, x), V),
    "integrate.cumulative_simpson": (lambda x: integrate.cumulative_simpson(x, dx=1.0), V),
    "integrate.tanhsinh": (
        lambda x: integrate.tanhsinh(lambda t, a: a * t**2, 0 * x, 0 * x + 1.0, args=(x,)).integral,
        V,
    ),
}
OF_NUMBERS = "mean_squared_error mean_absolute_error median_absolute_error r2_score explained_variance_score"
OF_CLASSES = "accuracy_score balanced_accuracy_score precision_score f1_score confusion_matrix"
OTHERS: dict[str, tuple[Function, Any, str]] = {
    "divides by zero, and replaces the result": (
        tg.functionalize(lambda x: preprocessing.StandardScaler().fit_transform(x)),
        X,
        "NaN",
    ),
    "takes its own NaN out again": (lambda x: stats.tvar(x, (0.3, 0.7)), V, "NaN"),
    "writes into its arrays": (optimize.rosen_der, V, "UsageError"),
    "returns a Python number": (lambda x: sklearn.metrics.mean_squared_error(tg.tensor(V), x), V, "UsageError"),
    "is compiled": (signal.medfilt, V, "UsageError"),
    "writes into complex numbers": (lambda x: np.abs(signal.hilbert(x)), V, "UsageError"),
    "has two libraries' arrays": (lambda x: stats.pearsonr(x, V).statistic, V, "TypeError"),
}


def outcome(function: Function, array: Any, transform: Any = lambda function: function) -> str:
    """What becomes of the value and the gradient of a weighted sum of a function's results."""
    x = tg.tensor(array, requires_grad=True)
    try:
        y = transform(function)(x)
        weights = np.cos(np.arange(y.size)).reshape(y.shape)
        np.sum(y * weights).backward()
    except Exception as error:
        return type(error).__name__
    direction = RNG.normal(size=array.shape)
    above, below = (np.sum(function(array + step * direction) * weights) for step in (1e-6, -1e-6))
    slope = np.sum(x.grad.numpy() * direction)
    assert np.allclose(y.numpy(), function(array), rtol=1e-10, atol=1e-12)
    if np.isnan(slope):
        return "NaN"
    assert np.isclose(slope, (above - below) / 2e-6, rtol=1e-6, atol=1e-6), (slope, (above - below) / 2e-6)
    return "right"


def score(name: str, targets: Any, outputs: Any) -> str:
    """Whether a score of tensors to which no gradient flows is that of arrays."""
    function = getattr(sklearn.metrics, name)
    of_tensors = tg.functionalize(function)(tg.tensor(targets), tg.tensor(outputs))
    return "right" if np.allclose(np.asarray(of_tensors), function(targets, outputs)) else "wrong"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with sklearn.config_context(array_api_dispatch=True):
        outcomes = {name: outcome(*call) for name, call in RIGHT.items()}
        outcomes |= {name: outcome(*call, tg.functionalize) for name, call in WRITING.items()}
        outcomes |= {name: score(name, V, V[::-1].copy()) for name in OF_NUMBERS.split()}
        outcomes |= {name: score(name, np.where(V > 0.4, 1, 0), np.where(V > 0.5, 1, 0)) for name in OF_CLASSES.split()}
        others = {name: outcome(function, array) for name, (function, array, _) in OTHERS.items()}
    wrong = {name: result for name, result in outcomes.items() if result != "right"}
    wrong |= {name: result for name, result in others.items() if result != OTHERS[name][2]}
    print(json.dumps({"right": len(outcomes) - len(wrong), "wrong": wrong}))
