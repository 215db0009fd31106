"""Estimators of scikit-learn whose model is a module."""

from tinygrad_lite.errors import MissingExtraError

try:
    import sklearn  # noqa: F401  # which the classes inherit from
except ImportError:
    raise MissingExtraError("tinygrad_lite.estimators", "scikit-learn", "estimators") from None

from tinygrad_lite.estimators.autoencoder import Transformer
from tinygrad_lite.estimators.classifier import Classifier
from tinygrad_lite.estimators.defaults import Autoencoder, Perceptron
from tinygrad_lite.estimators.regressor import Regressor

__all__ = ["Autoencoder", "Classifier", "Perceptron", "Regressor", "Transformer"]
