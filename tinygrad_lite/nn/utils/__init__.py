"""Tools for what a model holds: gradient clipping, parameters as a vector, and computed parameters."""

from typing import TYPE_CHECKING

from tinygrad_lite.foundation.elsewhere import unknown_names as _unknown_names
from tinygrad_lite.nn.utils import parametrizations as parametrizations
from tinygrad_lite.nn.utils import parametrize as parametrize
from tinygrad_lite.nn.utils import rnn as rnn
from tinygrad_lite.nn.utils.clipping import *
from tinygrad_lite.nn.utils.older import *
from tinygrad_lite.nn.utils.vectors import *

if not TYPE_CHECKING:  # a type checker would take it for a promise that any name is there
    __getattr__ = _unknown_names(__name__)
