"""Modules, layers, losses and initialisers, under PyTorch's names."""

from typing import TYPE_CHECKING

from tinygrad_lite.foundation.elsewhere import unknown_names as _unknown_names
from tinygrad_lite.nn import functional as functional
from tinygrad_lite.nn import init as init
from tinygrad_lite.nn import utils as utils
from tinygrad_lite.nn.activations import *
from tinygrad_lite.nn.attention import *
from tinygrad_lite.nn.containers import *
from tinygrad_lite.nn.convolution import *
from tinygrad_lite.nn.distances import *
from tinygrad_lite.nn.dropout import *
from tinygrad_lite.nn.embedding import *
from tinygrad_lite.nn.linear import *
from tinygrad_lite.nn.losses import *
from tinygrad_lite.nn.module import *
from tinygrad_lite.nn.normalization import *
from tinygrad_lite.nn.padding import *
from tinygrad_lite.nn.pooling import *
from tinygrad_lite.nn.recurrent import *
from tinygrad_lite.nn.transformer import *
from tinygrad_lite.nn.upsampling import *

if not TYPE_CHECKING:  # a type checker would take it for a promise that any name is there
    __getattr__ = _unknown_names(__name__)
