"""Continuations to the complex plane, one file for each shelf of operations; see `forms` for what a continuation is.

What is not entered here needs nothing said: its forward, on complex numbers, is its continuation.
"""

from tinygrad_lite.ops.continuations import arithmetic, networks, shapes

__all__ = ["arithmetic", "networks", "shapes"]
