"""Batches of data, in an order that can be saved and resumed."""

from typing import TYPE_CHECKING

from tinygrad_lite.data.loader import DataLoader
from tinygrad_lite.foundation.elsewhere import unknown_names as _unknown_names

__all__ = ["DataLoader"]

if not TYPE_CHECKING:  # a type checker would read it as a promise that any name exists
    __getattr__ = _unknown_names(__name__)
