"""Batches of data, in an order that can be saved and resumed."""

from tinygrad_lite.data.loader import DataLoader

__all__ = ["DataLoader"]
