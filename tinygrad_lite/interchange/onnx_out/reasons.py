"""The operations that cannot be exported, each with the reason."""

from typing import Any

import numpy as np

_VALUES = "its values come from an iteration that ONNX's operators do not have"
_CHOSEN = "it treats equal singular values or eigenvalues in another way, and ONNX has none of these"
_ORDER = "NumPy does not say in which order it leaves the entries before and behind"
_SHAPE = "the shape of its result depends on values"
_PYTHON = "its answer is an object of Python's, not an array"

REASONS: dict[Any, str] = {
    "unique": _SHAPE,
    np.nonzero: _SHAPE,
    np.flatnonzero: _SHAPE,
    np.argwhere: _SHAPE,
    np.unique_values: _SHAPE,
    np.unique_all: _SHAPE,
    np.unique_counts: _SHAPE,
    np.unique_inverse: _SHAPE,
    np.histogram: _PYTHON,
    np.allclose: _PYTHON,
    np.array_equal: _PYTHON,
    np.array_equiv: _PYTHON,
    np.shares_memory: _PYTHON,
    np.may_share_memory: _PYTHON,
    np.array2string: _PYTHON,
    np.array_repr: _PYTHON,
    np.array_str: _PYTHON,
    np.min_scalar_type: _PYTHON,
    np.diag_indices_from: _PYTHON,
    np.tril_indices_from: _PYTHON,
    np.triu_indices_from: _PYTHON,
    "bases": _VALUES,
    "eigh": _VALUES,
    np.linalg.eigvalsh: _VALUES,
    "svd": _VALUES,
    "svdvals": _VALUES,
    "pinv": _VALUES,
    "lstsq": _VALUES,
    "matrix_rank": _VALUES,
    "cuts_off": _VALUES,
    "matrix_norm": f"for ord=2, -2 and 'nuc', {_VALUES}",
    "norm": f"for ord=2, -2 and 'nuc' of a matrix, {_VALUES}",
    "cond": f"for p=2, -2 and 'nuc', {_VALUES}",
    "aligned": _CHOSEN,
    "composed": f"its derivatives: {_CHOSEN}",
    "quotient": _CHOSEN,
    np.argpartition: _ORDER,
    "partition_places": _ORDER,
}
