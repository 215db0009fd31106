"""Continuations to the complex plane, one file for each folder of operations; `forms` says what a continuation is.

An operation that is not listed here is its own continuation: its forward also takes complex numbers.
"""

from tinygrad_lite.ops.continuations import arithmetic, gamma_functions, linear, networks, shapes

__all__ = ["arithmetic", "gamma_functions", "linear", "networks", "shapes"]
