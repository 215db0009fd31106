"""The operations that cannot be exported, each with the reason."""

from typing import Any

import numpy as np

_SIGNS = "it is exported, but its vectors may differ in sign from LAPACK's"
_CHOSEN = "it groups equal singular values or eigenvalues, and only a run knows how many groups there are"
_ORDER = "NumPy does not define the order of the entries on either side"
_STEPS = "it iterates until its steps are small, which would be thousands of operators in a file"
_SQUARED = "how often it squares depends on the values"
_DECOMPOSED = "it reads the solution off a Schur decomposition, which iterates"
_DRAWN = "it draws random numbers"
_SHAPE = "the shape of its result depends on values"
COMPLEX = "ONNX's operators take no complex numbers"
_SERIES = "SciPy's series and fractions for it are not written as a formula of NumPy"
_PYTHON = "its answer is an object of Python's, not an array"

REASONS: dict[Any, str] = {
    "unique": _SHAPE,
    np.nonzero: _SHAPE,
    np.flatnonzero: _SHAPE,
    np.argwhere: _SHAPE,
    "histogram": _PYTHON,
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
    "nextafter": "ONNX has no operator for the last bit of a number",
    **dict.fromkeys(("eig", "eigvals", "roots", "sqrtm", "logm"), COMPLEX),
    **dict.fromkeys(("lu_factor", "order_of_rows"), "which rows it exchanges depends on the values"),
    **dict.fromkeys(("solve_sylvester", "solve_discrete_lyapunov"), _DECOMPOSED),
    **dict.fromkeys(("solve_continuous_are", "solve_discrete_are"), _DECOMPOSED),
    **dict.fromkeys(("fft", "ifft", "rfft"), f"{COMPLEX}; with a real result in the end, it is exported"),
    "expm": _SQUARED,
    "eigh": _SIGNS,
    "svd": f"with full_matrices=False, {_SIGNS}",
    "aligned": _CHOSEN,
    "composed": f"its derivatives: {_CHOSEN}",
    np.argpartition: _ORDER,
    "partition_places": _ORDER,
    **dict.fromkeys(("gammaincinv", "gammainccinv", "betaincinv", "betainccinv"), _STEPS),
    **dict.fromkeys(("sine_integral", "cosine_integral", "fresnel_sine", "fresnel_cosine"), _SERIES),
    **dict.fromkeys(("expn", "exponential_integral", "poch", "stdtr"), _SERIES),
    **dict.fromkeys(("log_gamma_quantile", "logit_beta_quantile"), _STEPS),
    "mean_log_factorial": "the number of its terms grows with its rate",
    **dict.fromkeys(("drawn_poisson", "drawn_binomial", "drawn_log_gamma", "drawn_von_mises"), _DRAWN),
}
