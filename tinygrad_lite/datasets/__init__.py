"""Datasets that need no network, in the form of scikit-learn's loaders."""

from tinygrad_lite.datasets.bunch import Bunch
from tinygrad_lite.datasets.from_sklearn import load_diabetes, load_digits, load_iris, load_wine
from tinygrad_lite.datasets.heart import load_heart

__all__ = ["Bunch", "load_diabetes", "load_digits", "load_heart", "load_iris", "load_wine"]
