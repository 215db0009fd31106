"""The operations that cannot be exported, each with the reason."""

from typing import Any

import numpy as np

_SIGNS = "it is exported, but its vectors may have other signs than LAPACK's"
_CHOSEN = "it makes groups of equal singular values or eigenvalues, of which only a run knows how many there are"
_ORDER = "NumPy does not say in which order it leaves the entries before and behind"
_SPECIAL = "ONNX has no operator for it, and no formula of a few operators has all its digits"
_DRAWN = "it draws random numbers"
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
    "bases": _PYTHON,
    "eigh": _SIGNS,
    "svd": f"with full_matrices=False, {_SIGNS}",
    "aligned": _CHOSEN,
    "composed": f"its derivatives: {_CHOSEN}",
    np.argpartition: _ORDER,
    "partition_places": _ORDER,
    **dict.fromkeys(("erfi", "erfinv", "erfcinv", "dawsn", "ndtri", "ndtri_exp", "normal_quantile"), _SPECIAL),
    **dict.fromkeys(("beta", "betaln", "binom", "gammainc", "gammaincc", "gammaincinv", "gammainccinv"), _SPECIAL),
    **dict.fromkeys(("betainc", "betaincc", "betaincinv", "betainccinv", "beta_flow", "gamma_flow"), _SPECIAL),
    **dict.fromkeys(("log_gamma_quantile", "logit_beta_quantile", "log_gamma_cdf", "mean_log_factorial"), _SPECIAL),
    **dict.fromkeys(
        ("j0", "j1", "jv", "y0", "y1", "yn", "yv", "special.i0", "i1", "iv", "i0e", "i1e", "ive"), _SPECIAL
    ),
    **dict.fromkeys(("k0", "k1", "kn", "kv", "k0e", "k1e", "kve", "exp1", "expi", "spence"), _SPECIAL),
    **dict.fromkeys(("ellipk", "ellipe", "hyp0f1", "hyp1f1", "hyp2f1"), _SPECIAL),
    "zeta": f"for orders that are no whole numbers, {_SPECIAL}",
    **dict.fromkeys(("inv_boxcox", "inv_boxcox1p"), f"its derivatives need hyp2f1: {_SPECIAL}"),
    **dict.fromkeys(("drawn_poisson", "drawn_binomial", "drawn_log_gamma"), _DRAWN),
}
