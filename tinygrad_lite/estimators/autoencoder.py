"""`Transformer`: an autoencoder, which replaces each row by its code."""

from typing import Any, Self

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_array, check_is_fitted

from tinygrad_lite.errors import ShapeError, UsageError
from tinygrad_lite.estimators.defaults import Autoencoder
from tinygrad_lite.estimators.network import Network, weights_of
from tinygrad_lite.foundation.settings import whole
from tinygrad_lite.nn import Module, functional


class Transformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Network):
    """A transformer of scikit-learn that replaces each row by its code, the output of an autoencoder's encoder.

    The parameters and the attributes are those of `Classifier`, without what concerns classes. The module learns to
    return its input. It has an `encoder` and a `decoder`, which are modules or methods; it is an `Autoencoder` by
    default. The loss, of (outputs, inputs), is the mean squared error by default.

    Args:
        n_components: the length of the code; a class or a function builds the module from (n_features_in,
            n_components).

    Raises:
        InputError: if a parameter has a wrong value.
        ShapeError: if the outputs of the module do not have the shape of its inputs.
        UsageError: if a parameter has the wrong type, or the module has no encoder and decoder.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> X = load_digits().data[:500] / 16
        >>> model = Transformer(n_components=2, epochs=20, lr=0.01, random_state=0)
        >>> model.fit_transform(X).shape
        (500, 2)
        >>> model.inverse_transform(model.transform(X)).shape
        (500, 64)
    """

    _default_module = Autoencoder

    def __init__(
        self,
        module: Any = None,
        n_components: int = 2,
        *,
        loss: Any = None,
        optimizer: Any = "Adam",
        lr: float = 0.005,
        epochs: int = 200,
        batch_size: int = 200,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 10,
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
        self.n_components = n_components

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Train a new module, or with `warm_start` the existing one; y is not used."""
        X, weights = self._checked(X, sample_weight, is_new=self._is_new())
        return self._fit(X, X, weights, self.n_components)

    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Train for one epoch on these rows, from the current weights and state of the optimiser."""
        X, weights = self._checked(X, sample_weight, is_new=not hasattr(self, "module_"))
        return self._partial_fit(X, X, weights, self.n_components)

    def transform(self, X: Any) -> Any:
        """The code of each row."""
        check_is_fitted(self)
        return self._applied(_part(self.module_, "encoder"), self._rows(X))

    def inverse_transform(self, X: Any) -> Any:
        """What the decoder makes of codes."""
        check_is_fitted(self)
        return self._applied(_part(self.module_, "decoder"), check_array(X, dtype=(np.float64, np.float32)))

    def score(self, X: Any, y: Any = None) -> float:
        """The share of the variance of X that is left after coding and decoding, R² of all columns together."""
        outputs, X = self._outputs(X), self._rows(X)
        return float(r2_score(X.toarray() if hasattr(X, "toarray") else X, outputs, multioutput="variance_weighted"))

    @property
    def _n_features_out(self) -> int:
        return int(self._applied(_part(self.module_, "encoder"), np.zeros((1, self.n_features_in_))).shape[1])

    def _checked(self, X: Any, sample_weight: Any, is_new: bool) -> tuple[Any, Any]:
        """X and the weights, without rows of weight 0."""
        whole("n_components", self.n_components)
        X = self._rows(X, reset=is_new)
        weights = weights_of(X, sample_weight)
        if weights is not None and not weights.all():
            X, weights = X[weights > 0], weights[weights > 0]
        return X, weights

    def _built(self, X: Any, outputs: int, rng: np.random.Generator) -> Module:
        module = super()._built(X, outputs, rng)
        for name in ("encoder", "decoder"):
            _part(module, name)
        return module

    def _targets(self, shape: tuple[int, ...], y: Any, dtype: Any) -> tuple[Any, Any]:
        if shape[1:] != y.shape[1:]:
            raise ShapeError(f"for {shape[0]} rows of {y.shape[1]} columns, the module made outputs of shape {shape}")
        return self.loss or functional.mse_loss, y.astype(dtype, copy=False)


def _part(module: Module, name: str) -> Any:
    if not callable(part := getattr(module, name, None)):
        raise UsageError(f"{type(module).__name__} has no {name}: a module whose codes are used has one as a field")
    return part
