"""The functions of neural networks that NumPy lacks, on arrays or tensors, under PyTorch's names."""

from typing import TYPE_CHECKING

from tinygrad_lite.foundation.elsewhere import unknown_names as _unknown_names
from tinygrad_lite.foundation.entrances import entrances as _entrances
from tinygrad_lite.nn.functional.activations import *
from tinygrad_lite.nn.functional.attention import *
from tinygrad_lite.nn.functional.classification_losses import *
from tinygrad_lite.nn.functional.convolution import *
from tinygrad_lite.nn.functional.distances import *
from tinygrad_lite.nn.functional.dropout import *
from tinygrad_lite.nn.functional.embedding import *
from tinygrad_lite.nn.functional.linear import *
from tinygrad_lite.nn.functional.normalization import *
from tinygrad_lite.nn.functional.padding import *
from tinygrad_lite.nn.functional.pooling import *
from tinygrad_lite.nn.functional.regression_losses import *
from tinygrad_lite.nn.functional.sequence_losses import *
from tinygrad_lite.nn.functional.similarity_losses import *
from tinygrad_lite.nn.functional.upsampling import *

if not TYPE_CHECKING:  # a type checker would take it for a promise that any name is there
    __getattr__ = _unknown_names(__name__)
    globals().update(_entrances(globals()))
