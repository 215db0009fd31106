"""Data that come with the package, in the form in which scikit-learn's loaders return theirs."""

from tinygrad_lite.datasets.bunch import Bunch
from tinygrad_lite.datasets.heart import load_heart

__all__ = ["Bunch", "load_heart"]
