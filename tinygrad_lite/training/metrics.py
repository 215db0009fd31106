"""Metrics of scikit-learn under short names, and what they compare: labels, probabilities or values."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_lite.errors import InputError, MissingExtraError, ShapeError, UsageError
from tinygrad_lite.nn import functional
from tinygrad_lite.training.training_run import function_of

Metric = Callable[[Any, Any], float]
"""A function of the targets and of the model's outputs, both arrays."""

_BETWEEN = {
    functional.binary_cross_entropy: 0.5,
    functional.binary_cross_entropy_with_logits: 0.0,
    functional.soft_margin_loss: 0.0,
}
"""For each loss of two classes, the single output that lies between them."""


def metrics_of(metrics: Iterable[str] | Mapping[str, Metric], loss: Any) -> dict[str, Metric]:
    """The functions for these names, or a dict of functions of (targets, outputs) as it is.

    Raises:
        InputError: if there is no metric of a name.
        MissingExtraError: if scikit-learn is not installed.
        UsageError: if it is anything else.
    """
    if isinstance(metrics, Mapping) and all(map(callable, metrics.values())):
        return dict(metrics)
    is_listed = isinstance(metrics, Iterable) and not isinstance(metrics, (str, Mapping))
    if not is_listed or not all(isinstance(name, str) for name in metrics):
        raise UsageError(
            "metrics is a list of names, such as ['accuracy'], or a dict of functions of (targets, outputs), such as "
            f"{{'error': f}}; got {metrics!r}"
        )
    if unknown := [name for name in metrics if name not in _NAMED]:
        raise InputError(
            f"there is no metric {unknown[0]!r}; there are {', '.join(_NAMED)}, and any function in a dict"
        )
    return {name: _named(name, loss) for name in metrics}


def _named(name: str, loss: Any) -> Metric:
    try:
        from sklearn import metrics
    except ImportError:
        raise MissingExtraError(f"the metric {name!r}", "scikit-learn", "estimators") from None
    function, compared = _NAMED[name]

    def metric(targets: Any, outputs: Any) -> float:
        targets, outputs, settings = compared(np.asarray(targets), np.asarray(outputs), between(loss))
        return float(getattr(metrics, function)(targets, outputs, **settings))

    return metric


def between(loss: Any) -> float | None:
    """The output that lies between two classes, if there is one output and the loss tells which it is."""
    return _BETWEEN.get(function_of(loss))


Compared = tuple[Any, Any, dict[str, Any]]
"""Targets, what they are compared with, and settings of scikit-learn's function."""


def _labels(targets: Any, outputs: Any, middle: float | None) -> Compared:
    """Class numbers: the column with the largest output, or the side on which a single output lies."""
    if _classes(outputs) > 1:
        if targets.shape == outputs.shape:  # probabilities of the classes
            targets = targets.argmax(axis=1)
        return targets, outputs.argmax(axis=1), {}
    if middle is None:
        raise InputError(
            "the loss does not tell whether a single output is a probability or its logit, as a binary cross-entropy "
            "does: pass a metric of your own, metrics={'accuracy': lambda targets, outputs: …}"
        )
    return targets.ravel(), (outputs.ravel() > middle).astype(int), {}


def _averaged_labels(targets: Any, outputs: Any, middle: float | None) -> Compared:
    """The same, with the mean over the classes if there are more than two."""
    targets, labels, _ = _labels(targets, outputs, middle)
    several = _classes(outputs) > 2
    return targets, labels, {"average": "macro" if several else "binary", "zero_division": 0.0}


def _scores(targets: Any, outputs: Any, middle: float | None) -> Compared:
    """Probabilities of each class, or numbers that grow with that of class 1; only their order counts."""
    classes = _classes(outputs)
    if classes == 1:
        return targets.ravel(), outputs.ravel(), {}
    probabilities = outputs
    if outputs.min() < 0 or not np.allclose(outputs.sum(axis=1), 1, atol=1e-3):  # logits or logarithms
        probabilities = functional.softmax(outputs.astype(float), axis=1)
    if classes == 2:
        return targets, probabilities[:, 1], {}
    return targets, probabilities / probabilities.sum(axis=1, keepdims=True), {"multi_class": "ovr"}


def _values(targets: Any, outputs: Any, middle: float | None) -> Compared:
    if targets.shape != outputs.shape:
        raise ShapeError(f"the metric compares each output with its target: {outputs.shape} against {targets.shape}")
    return targets.reshape(len(targets), -1), outputs.reshape(len(outputs), -1), {}


def _classes(outputs: Any) -> int:
    return int(outputs.shape[1]) if outputs.ndim > 1 else 1


_NAMED: dict[str, tuple[str, Callable[[Any, Any, float | None], Compared]]] = {
    "accuracy": ("accuracy_score", _labels),
    "balanced_accuracy": ("balanced_accuracy_score", _labels),
    "f1": ("f1_score", _averaged_labels),
    "auc": ("roc_auc_score", _scores),
    "mse": ("mean_squared_error", _values),
    "mae": ("mean_absolute_error", _values),
    "r2": ("r2_score", _values),
}
"""The function in sklearn.metrics under each name, and what it compares."""
