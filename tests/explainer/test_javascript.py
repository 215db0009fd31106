"""Declarations as JavaScript: in a browser, each operation of the registry computes what it computes in Python."""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.test_registry import DIFFERENTIABLE
from tinygrad_lite.engine.op import Deferred, Op
from tinygrad_lite.explainer.javascript import FUNCTIONS, NotPrintableError, function
from tinygrad_lite.testing import cotangents, inputs_of

RECORDED_ONLY = frozenset(
    """
    angle cond eigh eigvalsh expm fraction geomspace i0 imag interp irfft ldexp linspace linspace_step lstsq
    mantissa matrix_norm median nan_to_num nanmax nanmedian nanmin nanpercentile nanprod nanquantile nanstd
    nanvar norm percentile pinv qr quantile quotient real_if_close round svd svdvals unwrap vander var_around
    vector_norm
    """.split()  # noqa: SIM905
)
"""Operations whose value a page shows as it was recorded, in some call at least: they have no form in its NumPy.

So have SciPy's functions, those around the gamma function, and reductions of what a mask chooses.
"""
NUMERICAL = "ops.special", "ops.gamma_functions"
"""The rooms of functions that are computed by series and iterations."""
TRIED = [op for op in DIFFERENTIABLE if "distributions." not in op.module]
"""Quantiles and distribution functions are iterations, too, and take long."""


@pytest.fixture(scope="session")
def runtime(browser: Any) -> Iterator[Any]:
    """A page that has the page's own NumPy and nothing else."""
    page = browser.new_page()
    page.set_content("<!DOCTYPE html><title>NumPy</title>")
    page.add_script_tag(content=(files("tinygrad_lite.explainer") / "page" / "numpy.js").read_text(encoding="utf-8"))
    yield page
    page.close()


def computed(page: Any, program: str, arguments: Mapping[str, Any]) -> Any:
    """What a program returns in the browser for these arrays."""
    given = [{"shape": list(np.shape(x)), "data": np.ravel(np.asarray(x, float)).tolist()} for x in arguments.values()]
    run = f"given => np.asArray(({program})(np, ...given.map((x) => np.array(x.shape, x.data))))"
    found = page.evaluate(run, given)
    return np.array(found["data"], float).reshape(found["shape"])


def close(found: Any, expected: Any, scale: float = 1e-10) -> None:
    expected = np.asarray(expected, float)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=scale, atol=scale * (1 + np.max(np.abs(expected), initial=0)))


@pytest.mark.parametrize("op", TRIED, ids=str)
@settings(max_examples=5)
@given(data=st.data())
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_values_and_rules(runtime: Any, op: Op, data: st.DataObject) -> None:
    call = data.draw(inputs_of(op))
    y = call.value(*call.arrays)
    g = data.draw(cotangents(y))
    arrays = {f"x{i}": x for i, x in enumerate(call.arrays)}
    try:
        close(computed(runtime, function(op, arrays, call.params), arrays), y)
    except NotPrintableError:
        assert op.name in RECORDED_ONLY or any(map(op.module.__contains__, NUMERICAL)) or "where" in call.params
    for i in call.differentiable:
        given = {"g": g, "y": y, **arrays}
        vjp: Any = op.vjps[i]
        try:
            program = function(vjp, given, call.params)
        except NotPrintableError:
            continue  # of which the page says that it was recorded
        expected = vjp(g, y, *call.arrays, **call.params)
        close(computed(runtime, program, given), expected.whole() if isinstance(expected, Deferred) else expected)


def test_what_is_written_is_there(runtime: Any) -> None:
    for name in FUNCTIONS:
        assert runtime.evaluate(f"typeof np.{name}") == "function", name


def test_float32_stays_float32(runtime: Any) -> None:
    x = np.array([0.1, 0.7, 3.0], np.float32)
    program = function(lambda x: np.exp(x) / 3, {"x": x}, {})
    found = computed(runtime, program, {"x": x})
    assert found.tolist() == found.astype(np.float32).tolist()
    np.testing.assert_allclose(found, np.exp(x) / 3, rtol=3e-7)


def test_normal_distribution_far_out(runtime: Any) -> None:
    from tinygrad_lite.ops.networks.normal import normal_cdf

    x = np.array([-30.0, -8.0, -3.01, -2.99, -1e-9, 0.0, 1.0, 2.99, 3.01, 8.0])
    found = computed(runtime, function(normal_cdf, {"x": x}, {}), {"x": x})
    np.testing.assert_allclose(found, normal_cdf(x), rtol=1e-12)


@pytest.mark.parametrize(
    "rule",
    [
        lambda x: x if x[0] > 0 else -x,
        lambda x: x * float(np.sum(x)),
        lambda x: np.sort(x),
        lambda x: x[np.argsort(x)],
        lambda x: x * np.array_equal(x, x),
    ],
)
def test_what_depends_on_numbers_is_not_printed(rule: Any) -> None:
    with pytest.raises(NotPrintableError):
        function(rule, {"x": np.array([2.0, 1.0])}, {})


def test_numbers_are_reduced_along_an_axis_as_numpy_does(runtime: Any) -> None:
    x = np.array(2.5)[()]
    for reduce in (np.sum, np.prod, np.max, np.min):
        for axis in (0, -1):
            program = function(lambda x, reduce=reduce, axis=axis: reduce(x, axis=axis), {"x": x}, {})
            close(computed(runtime, program, {"x": x}), 2.5)


def test_parts_that_are_broadcast_are_scattered(runtime: Any) -> None:
    from tinygrad_lite.ops.shapes.indexing import scatter

    part = np.array(3.0)[()]
    program = function(lambda part: scatter(part, shape=(4,), indices=(slice(1, 3),)), {"part": part}, {})
    close(computed(runtime, program, {"part": part}), [0, 3, 3, 0])
