"""A plugin of pytest for NumPy's own tests: what these ask of a NumPy function is also asked of it on tensors.

`pytest -p tests.numpys_own_tests --pyargs numpy.lib.tests.test_function_base --found FILE` runs NumPy's tests. Each
call of a function in them is made again on tensors, a complex array as a + 1j·b. The value must be NumPy's to the last
bit, and the gradient, at a point nearby without ties, that of differences of NumPy's values. FILE says what differs.
"""

import json
import warnings
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.derivatives import real_of
from tinygrad_lite.engine.registry import ANSWERS
from tinygrad_lite.errors import TinygradError
from tinygrad_lite.trees import leaves, map_leaves

MOST = 300
"""The most calls of a function that are made again."""
OTHERWISE = {
    "empty_like",  # it has no values yet
    *("may_share_memory", "shares_memory"),  # a tensor has a copy
    "trim_zeros",  # a zero that moves is trimmed no more
    "real_if_close",  # close to real numbers it answers otherwise than next to them
}


class Comparison:
    """The calls that were made again, and what differed."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.gradients = 0
        self.different: dict[str, str] = {}
        self._is_comparing = False

    def also_on_tensors(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **params: Any) -> Any:
            expected = function(*args, **params)
            given = leaves((args, params))
            is_new = not self._is_comparing and params.get("out") is None and self.calls[name] < MOST
            has_values = not any(isinstance(x, str) and x == "empty" for x in given)  # the mode of a pad
            if is_new and has_values and any(map(_is_followed, given)):
                self._is_comparing = True
                self.calls[name] += 1
                try:
                    with warnings.catch_warnings(), np.errstate(all="ignore"):
                        warnings.simplefilter("ignore")
                        self._compare(name, function, (args, params), expected)
                finally:
                    self._is_comparing = False
            return expected

        return call

    def _compare(self, name: str, function: Callable[..., Any], given: Any, expected: Any) -> None:
        def again(*parts: Any) -> Any:
            following = iter(parts)
            args, params = map_leaves(lambda x: _joined(x, following) if _is_followed(x) else x, given)
            return function(*args, **params)

        parts = [part for x in leaves(given) if _is_followed(x) for part in _parts(x)]
        try:
            found = again(*[tg.tensor(x, requires_grad=True) for x in parts])
        except TinygradError:
            return  # it has no derivative, or not with these settings
        except Exception as error:
            self.different[name] = f"{error!r} of {given}"
            return
        if not _are_same(found, expected):
            self.different[name] = f"{found} for {expected} of {given}"
        if sum(x.size for x in parts) <= 100 and all(x.dtype == float for x in parts) and not _are_few(expected):
            self._compare_gradients(name, again, parts)

    def _compare_gradients(self, name: str, again: Callable[..., Any], parts: list[Any]) -> None:
        rng = np.random.default_rng(0)
        sizes = [1e-3 + np.abs(x) for x in parts]
        at = [x + 0.05 * size * rng.uniform(-1, 1, x.shape) for x, size in zip(parts, sizes)]
        directions = [size * rng.uniform(0.5, 1, x.shape) for x, size in zip(parts, sizes)]

        def along(t: float) -> Any:
            return _weighted(again(*[x + t * d for x, d in zip(at, directions)]))

        variables = [tg.tensor(x, requires_grad=True) for x in at]
        try:
            total = _weighted(again(*variables))
            slopes = [(along(h) - along(-h)) / (2 * h) for h in (1e-4, 1e-5)]
        except (TinygradError, ValueError, np.linalg.LinAlgError, IndexError):
            return  # it takes the point itself alone, or has no gradient there
        if (
            not isinstance(total, tg.Tensor)
            or not total.requires_grad
            or not np.all(np.isfinite([total.item(), *slopes]))
        ):
            return
        try:
            total.backward()
        except TinygradError:
            return
        slope = sum(float(np.sum(x.grad.numpy() * d)) for x, d in zip(variables, directions) if x.grad is not None)
        self.gradients += 1
        allowed = 1e-5 * (abs(total.item()) + abs(slope)) + 1e-9
        if abs(slopes[0] - slopes[1]) <= allowed < abs(slope - slopes[1]):
            self.different[f"the gradient of {name}"] = f"{slope} for {slopes} at {at}"


def _is_followed(x: Any) -> bool:
    if type(x) is not np.ndarray or x.dtype.char not in "fdFD" or not x.dtype.isnative:
        return False
    return x.dtype.kind == "f" or bool(np.isfinite(x).all())  # complex infinities cannot be made of their parts


def _parts(x: Any) -> list[Any]:
    return [x.real.copy(), x.imag.copy()] if np.iscomplexobj(x) else [x]


def _joined(x: Any, following: Any) -> Any:
    return next(following) + np.array(1j, x.dtype) * next(following) if np.iscomplexobj(x) else next(following)


def _are_same(found: Any, expected: Any) -> bool:
    found, expected = (x if isinstance(x, (tuple, list)) else [x] for x in (found, expected))
    if len(found) != len(expected):
        return False
    for a, b in zip(found, expected):
        if isinstance(b, (tuple, list)):
            if not _are_same(a, b):
                return False
            continue
        a, b = (np.asarray(x.detach().numpy() if isinstance(x, tg.Tensor) else x) for x in (a, b))
        if a.dtype != b.dtype or not np.array_equal(a, b, equal_nan=b.dtype.kind in "fc"):
            return False
    return True


def _are_few(results: Any) -> bool:
    """Whether a result has so few digits that differences tell nothing."""
    kinds = [np.result_type(y) for y in leaves(results) if isinstance(y, (np.ndarray, np.generic))]
    return any(kind.kind in "fc" and np.finfo(kind).bits < 64 for kind in kinds)


def _weighted(results: Any) -> Any:
    numbers = [real_of(y) for y in leaves(results) if getattr(y, "dtype", np.dtype(int)).kind in "fc"]
    return sum(np.sum(y * np.cos(np.arange(np.size(y)) + 1.0).reshape(np.shape(y))) for y in numbers)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--found", type=Path)


def pytest_configure(config: pytest.Config) -> None:
    comparison = config.stash[_COMPARISON] = Comparison()
    for module, prefix in ((np, ""), (np.linalg, "linalg."), (np.fft, "fft.")):
        for name, function in list(vars(module).items()):
            if function in ANSWERS.values() or name in OTHERWISE or isinstance(function, np.ufunc):
                continue
            if callable(function) and not isinstance(function, type) and function in ANSWERS:
                setattr(module, name, comparison.also_on_tensors(prefix + name, function))


def pytest_unconfigure(config: pytest.Config) -> None:
    found = config.stash[_COMPARISON]
    text = {"calls": found.calls.total(), "gradients": found.gradients, "different": found.different}
    config.getoption("--found").write_text(json.dumps(text))


_COMPARISON = pytest.StashKey[Comparison]()
