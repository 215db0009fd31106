"""`Classifier`: a module that says how probable each class is."""

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import column_or_1d

from tinygrad_lite import nn
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.estimators.defaults import Perceptron
from tinygrad_lite.estimators.network import Network, check_weights, weights_of
from tinygrad_lite.nn import functional
from tinygrad_lite.training.argument_checks import check_loss

OUTPUTS = "logits", "probabilities", "log_probabilities"

_KNOWN = {
    functional.cross_entropy: ("logits", True),
    nn.CrossEntropyLoss: ("logits", True),
    functional.nll_loss: ("log_probabilities", True),
    nn.NLLLoss: ("log_probabilities", True),
    functional.binary_cross_entropy_with_logits: ("logits", False),
    nn.BCEWithLogitsLoss: ("logits", False),
    functional.binary_cross_entropy: ("probabilities", False),
    nn.BCELoss: ("probabilities", False),
}
"""For each loss, the kind of outputs that it expects, and whether its targets are class numbers instead of 0 and 1."""


class Classifier(ClassifierMixin, Network):
    """A classifier of scikit-learn whose model is a module: of two classes, of several, or of several labels each.

    Args:
        module: a module, whose copy is trained starting from its weights; or a class or a function that builds
            one from (n_features_in, n_outputs), and from parameters that are set as `module__hidden=8`. It gets `rng`
            and `dtype`, too, if it takes arguments of these names. A `Perceptron` by default. There is one output for
            each class or label; two classes need only one, unless the loss needs two.
        loss: a function of (outputs, targets), or a loss module. By default the cross-entropy.
        outputs: what the outputs of the module are: "logits", "probabilities" or "log_probabilities". By default what
            the loss expects, or logits without a loss.
        optimizer: a class of `tg.optim` or its name; further parameters of it are set as `optimizer__weight_decay=0.1`.
        lr: its learning rate.
        epochs: the number of passes over all rows.
        batch_size: the number of rows in a step.
        early_stopping: whether `fit` sets a part of the rows aside, and stops when their loss has not become smaller
            for `patience` epochs; the weights of the best epoch are restored.
        validation_fraction: the share of the rows that is set aside.
        class_weight: a dict from classes to weights, or "balanced" for n / (number of classes · number in the class).
        warm_start: whether `fit` goes on with the existing weights.
        random_state: a seed or a `numpy.random.RandomState`. Every draw depends on it: weights that layers of
            this package draw without a generator, batches, dropout and what is set aside.
        compile: whether the steps are compiled, or the name of the backend.
        verify: whether `verify_training` looks at the module before the first epoch.
        verbose: whether the figures of each epoch are printed.

    Attributes:
        classes_: the classes, in the order of the columns of `predict_proba`.
        module_: the trained module.
        optimizer_: its optimiser.
        history_: the figures of each epoch, a `History`; `loss_curve_` has the losses, and `n_iter_` their number.

    Raises:
        InputError: if a parameter has a wrong value, or the targets have one class alone.
        ShapeError: if the outputs of the module do not fit the classes.
        UsageError: if a parameter has the wrong type.

    Example:
        >>> import tinygrad_lite as tg
        >>> X, y = tg.datasets.load_heart(return_X_y=True)
        >>> X = (X - X.mean(axis=0)) / X.std(axis=0)
        >>> model = Classifier(module__hidden=8, epochs=50, random_state=0).fit(X[:200], y[:200])
        >>> model.predict_proba(X[200:]).shape
        (70, 2)
        >>> model.score(X[200:], y[200:]) > 0.75
        True
    """

    _default_module = Perceptron
    classes_: Any
    _is_multilabel: bool

    def __init__(
        self,
        module: Any = None,
        *,
        loss: Any = None,
        outputs: str | None = None,
        optimizer: Any = "Adam",
        lr: float = 0.005,
        epochs: int = 200,
        batch_size: int = 200,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
        class_weight: Any = None,
        warm_start: bool = False,
        random_state: Any = None,
        compile: bool | str = False,
        verify: bool = False,
        verbose: bool = False,
        **module__settings: Any,
    ) -> None:
        super().__init__(
            module,
            loss=loss,
            optimizer=optimizer,
            lr=lr,
            epochs=epochs,
            batch_size=batch_size,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            patience=patience,
            warm_start=warm_start,
            random_state=random_state,
            compile=compile,
            verify=verify,
            verbose=verbose,
            **module__settings,
        )
        self.outputs = outputs
        self.class_weight = class_weight

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a new module, or with `warm_start` the existing one.

        Args:
            X: rows of numbers: an array, a frame, or a sparse matrix.
            y: a class for each row, or a row of 0 and 1 for its labels.
            sample_weight: a weight for each row. Weight 2 counts as two rows.
        """
        is_new = self._is_new()
        X, y, weights = self._checked(X, y, sample_weight, reset=is_new)
        classes = _classes_of(y)
        if not is_new and not np.array_equal(classes, self.classes_):
            raise InputError(f"warm_start goes on with the classes {self.classes_}; y has {classes}")
        if len(classes) < 2:
            raise InputError(f"y must have several classes to tell apart; it has one class, {classes}")
        self.classes_, self._is_multilabel = classes, y.ndim == 2
        return self._fit(X, self._numbered(y), weights, self._n_outputs())

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one epoch on these rows, from the current weights and state of the optimiser.

        Args:
            classes: all classes, which the first call must have.
        """
        is_new = not hasattr(self, "module_")
        if self.class_weight == "balanced":
            raise InputError("class_weight='balanced' needs all rows at once: pass a dict, or call fit")
        X, y, weights = self._checked(X, y, sample_weight, reset=is_new)
        if is_new:
            if classes is None:
                raise InputError("classes must be passed on the first call to partial_fit: all that y will have")
            self.classes_, self._is_multilabel = unique_labels(classes), y.ndim == 2
        elif classes is not None and not np.array_equal(unique_labels(classes), self.classes_):
            raise InputError(f"`classes={classes}` is not the same as on the last call: {self.classes_}")
        return self._partial_fit(X, self._numbered(y), weights, self._n_outputs())

    def predict(self, X: Any) -> Any:
        """The most probable class of each row, or a row of 0 and 1 for the labels that are more probable than not."""
        probabilities = self.predict_proba(X)
        if self._is_multilabel:
            return (probabilities > 0.5).astype(int)
        return self.classes_[probabilities.argmax(axis=1)]

    def predict_proba(self, X: Any) -> Any:
        """How probable each class, or label, is for each row."""
        outputs = self._outputs(X)
        outputs = outputs.reshape(len(outputs), -1)
        kind = self._kind()[0]
        if kind == "log_probabilities":
            outputs = np.exp(outputs)
        elif kind == "logits":
            one_by_one = self._is_multilabel or outputs.shape[1] == 1
            outputs = functional.sigmoid(outputs) if one_by_one else functional.softmax(outputs, axis=1)
        return np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 and not self._is_multilabel else outputs

    def predict_log_proba(self, X: Any) -> Any:
        """The logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def _checked(self, X: Any, y: Any, sample_weight: Any, reset: bool) -> tuple[Any, Any, Any]:
        """X, y and the weights, without rows of weight 0."""
        X, y = self._rows(X, y, reset=reset, multi_output=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        if y.ndim == 2 and type_of_target(y) != "multilabel-indicator":
            raise InputError("y must be a class for each row, or a matrix of 0 and 1 with a column for each label")
        y = y.toarray() if hasattr(y, "toarray") else y
        weights = weights_of(X, sample_weight)
        if self.class_weight is not None:
            if y.ndim == 1 and self.class_weight != "balanced" and not isinstance(self.class_weight, dict):
                raise InputError(
                    f"class_weight is a dict from classes to weights, or 'balanced'; got {self.class_weight!r}"
                )
            of_classes = check_weights("class_weight", compute_sample_weight(self.class_weight, y))
            weights = of_classes * (1 if weights is None else weights)
        if weights is not None and not weights.all():
            X, y, weights = X[weights > 0], y[weights > 0], weights[weights > 0]
        return X, y, weights

    def _numbered(self, y: Any) -> Any:
        """For each row the number of its class, or its labels."""
        if y.ndim == 2 or self._is_multilabel:
            if not self._is_multilabel or y.shape[1:] != self.classes_.shape:
                raise ShapeError(
                    f"y must have the same form as in the first call, with {len(self.classes_)} classes or labels"
                )
            return y
        if len(unknown := np.setdiff1d(y, self.classes_)):
            raise InputError(f"y has the classes {unknown}, which are not among `classes`: {self.classes_}")
        return np.searchsorted(self.classes_, y)

    def _check_outputs(self, outputs: Any) -> None:
        rows, kind = outputs.reshape(len(outputs), -1), self._kind()[0]
        one_by_one = self._is_multilabel or rows.shape[1] == 1
        p = np.exp(rows) if kind == "log_probabilities" else rows
        are = (p >= 0).all() and (p <= 1.001).all() and (one_by_one or np.allclose(p.sum(axis=1), 1, atol=1e-4))
        made = f"the module's outputs, from {rows.min():.3g} to {rows.max():.3g}"
        if kind != "logits" and not are:
            last = "LogSoftmax" if kind == "log_probabilities" else "Softmax or Sigmoid"
            raise UsageError(f"{made}, are not {kind}: let it end in {last}, or pass the `outputs` that fit")
        if kind == "logits" and are and not one_by_one and np.ptp(rows, axis=0).any():
            raise UsageError(
                f"{made}, are probabilities already, and the loss makes them of logits: pass outputs='probabilities', "
                "or leave out the last Softmax"
            )

    def _strata(self, y: Any) -> Any:
        return y if y.ndim == 1 else None

    def _kind(self) -> tuple[str, bool | None]:
        """What the outputs are, and whether the loss must have numbers of classes; None if it may have either."""
        if self.outputs not in (None, *OUTPUTS):
            raise InputError(f"outputs must be one of {', '.join(OUTPUTS)}, got {self.outputs!r}")
        if self.loss is None:
            return self.outputs or "logits", True if self.outputs == "log_probabilities" else None
        check_loss(self.loss)
        kind, numbered = next((x for known, x in _KNOWN.items() if known in (self.loss, type(self.loss))), (None, None))
        if kind is None and self.outputs is None:
            raise InputError(
                "the loss is a function of your own: say what kind of outputs it takes, "
                + " or ".join(f"outputs={x!r}" for x in OUTPUTS)
            )
        if kind is not None and self.outputs not in (None, kind):
            raise InputError(f"this loss takes outputs for {kind}, not for {self.outputs}")
        return kind or str(self.outputs), numbered

    def _n_outputs(self) -> int:
        """The number of outputs that a module is built with."""
        count = len(self.classes_)
        return 1 if count == 2 and not self._is_multilabel and not self._kind()[1] else count

    def _targets(self, shape: tuple[int, ...], y: Any, dtype: Any) -> tuple[Any, Any]:
        kind, numbered = self._kind()
        count = len(self.classes_)
        by_number = not self._is_multilabel and shape[1:] == (count,)
        as_columns = shape[1:] == (count,) if self._is_multilabel else count == 2 and shape[1:] in ((), (1,))
        if not (by_number and numbered is not False) and not (as_columns and not numbered):
            needed = f"{count} columns" if self._is_multilabel or numbered or count > 2 else "one column"
            things = "labels" if self._is_multilabel else "classes"
            raise ShapeError(
                f"for {shape[0]} rows, the module made outputs of shape {shape}; {count} {things} need {needed}"
                + ("" if self.loss is None else f" with the loss {self.loss!r:.80}")
            )
        loss = self.loss or _LOSSES[kind, by_number]
        return loss, y if by_number else y.astype(dtype).reshape(len(y), *shape[1:])


def _classes_of(y: Any) -> Any:
    """The classes among targets, or the numbers of the labels."""
    return np.arange(y.shape[1]) if y.ndim == 2 else np.unique(y)


def _of_probabilities(outputs: Any, targets: Any, reduction: str = "mean") -> Any:
    """-log p of the class that is the target."""
    least = float(np.finfo(outputs.dtype).tiny)
    return functional.nll_loss(np.log(np.maximum(outputs, least)), targets, reduction=reduction)


_LOSSES = {
    ("logits", True): functional.cross_entropy,
    ("logits", False): functional.binary_cross_entropy_with_logits,
    ("probabilities", True): _of_probabilities,
    ("probabilities", False): functional.binary_cross_entropy,
    ("log_probabilities", True): functional.nll_loss,
}
"""The loss for what the outputs are, and whether the targets are numbers of classes."""
