"""`Regressor`: a module whose outputs are the predicted targets."""

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.validation import column_or_1d

from tinygrad_lite.errors import ShapeError
from tinygrad_lite.estimators.defaults import Perceptron
from tinygrad_lite.estimators.network import Network, weights_of
from tinygrad_lite.nn import functional


class Regressor(RegressorMixin, Network):
    """A regressor of scikit-learn whose model is a module, with one target or several.

    The parameters and the attributes are those of `Classifier`, without what concerns classes. The module has an output
    for each target; the loss is the mean squared error by default.

    Raises:
        InputError: if a parameter has a wrong value.
        ShapeError: if the outputs of the module do not fit the targets.
        UsageError: if a parameter has the wrong type.

    Example:
        >>> import numpy as np
        >>> X = np.random.default_rng(0).normal(size=(200, 2))
        >>> y = X[:, 0] * X[:, 1]
        >>> model = Regressor(module__hidden=32, lr=0.01, epochs=300, random_state=0).fit(X[:150], y[:150])
        >>> model.score(X[150:], y[150:]) > 0.8
        True
    """

    _default_module = Perceptron
    _shape: tuple[int, ...]  # of the targets of a row

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a new module, or with `warm_start` the existing one.

        Args:
            X: rows of numbers: an array, a frame, or a sparse matrix.
            y: a number for each row, or a row of numbers.
            sample_weight: a weight for each row. Weight 2 counts as two rows.
        """
        X, y, weights = self._checked(X, y, sample_weight, is_new=self._is_new())
        return self._fit(X, y, weights, _columns(y))

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one epoch on these rows, from the current weights and state of the optimiser."""
        X, y, weights = self._checked(X, y, sample_weight, is_new=not hasattr(self, "module_"))
        return self._partial_fit(X, y, weights, _columns(y))

    def predict(self, X: Any) -> Any:
        """The targets of each row."""
        outputs = self._outputs(X)
        return outputs.reshape(len(outputs), *self._shape)

    def _checked(self, X: Any, y: Any, sample_weight: Any, is_new: bool) -> tuple[Any, Any, Any]:
        """X, y and the weights, without rows of weight 0."""
        X, y = self._rows(X, y, reset=is_new, multi_output=True, y_numeric=True)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if not is_new and y.shape[1:] != self._shape:
            raise ShapeError(f"y has the shape {y.shape}; the module learns targets of shape {('n', *self._shape)}")
        self._shape = y.shape[1:]
        weights = weights_of(X, sample_weight)
        if weights is not None and not weights.all():
            X, y, weights = X[weights > 0], y[weights > 0], weights[weights > 0]
        return X, y, weights

    def _targets(self, shape: tuple[int, ...], y: Any, dtype: Any) -> tuple[Any, Any]:
        if shape[1:] != y.shape[1:] and shape[1:] != (_columns(y),):
            raise ShapeError(
                f"for {shape[0]} rows, the module made outputs of shape {shape}; the targets of shape {y.shape} need "
                f"{_columns(y)} columns"
            )
        return self.loss or functional.mse_loss, y.astype(dtype).reshape(len(y), *shape[1:])


def _columns(y: Any) -> int:
    return int(np.prod(y.shape[1:]))
