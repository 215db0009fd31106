"""Datasets that come with the package, in the form of scikit-learn's loaders."""

from tinygrad_lite.datasets.bunch import Bunch
from tinygrad_lite.datasets.heart import load_heart

__all__ = ["Bunch", "load_heart"]
