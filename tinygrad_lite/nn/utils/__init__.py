"""Tools for what a model holds: clipping of gradients, parameters as a vector, parameters that are computed."""

from tinygrad_lite.nn.utils import parametrizations as parametrizations
from tinygrad_lite.nn.utils import parametrize as parametrize
from tinygrad_lite.nn.utils.clipping import *
from tinygrad_lite.nn.utils.older import *
from tinygrad_lite.nn.utils.vectors import *
