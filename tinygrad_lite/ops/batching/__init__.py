"""How operations run on a stack of examples at once, in a table of its own, as their continuations are."""

from tinygrad_lite.ops.batching import arrays, curves, indexing, linear, networks
from tinygrad_lite.ops.batching.rules import Argument, ByPartsError, OneByOneError, at_once

__all__ = ["Argument", "ByPartsError", "OneByOneError", "arrays", "at_once", "curves", "indexing", "linear", "networks"]
