"""Declarations as JavaScript: in a browser, each operation of the registry computes what it computes in Python."""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_lite as tg
from tests.ops.test_registry import DIFFERENTIABLE
from tinygrad_lite.engine.backward import whole
from tinygrad_lite.engine.op import Deferred, Op
from tinygrad_lite.engine.registry import answer_to, operation
from tinygrad_lite.errors import TinygradError
from tinygrad_lite.explainer.javascript import FUNCTIONS, NotPrintableError, function
from tinygrad_lite.explainer.special import SPECIAL
from tinygrad_lite.testing import cotangents, inputs_of

OF_SCIPY = frozenset(
    {"lu_factor", "solve_sylvester", "solve_discrete_lyapunov", "solve_continuous_are", "solve_discrete_are"}
)
"""Functions of SciPy's that the page does not have."""
RECORDED_ONLY = frozenset({"irfft", "nextafter", "svd", *OF_SCIPY})
"""Operations whose value a page shows as it was recorded, in some call at least: they have no form in its NumPy.

The next number to a number is a matter of bits; the other calls are of complex numbers, or ask for vectors
that the matrix does not determine. SciPy's functions, some of those around the gamma function, and weighted
quantiles are recorded, too.
"""
COMPLEX_RECORDED_ONLY = OF_SCIPY.union(
    """
    arccos arccosh arcsin arcsinh arctan arctanh cholesky cond cumprod det eigh eigvalsh expm expm1 log1p log_abs_det
    lstsq matrix_norm nanprod nanstd nanvar norm phase_of_det pinv prod qr real_if_close std svd svdvals var var_around
    vector_norm
    """.split()  # noqa: SIM905
)
"""Operations on complex numbers whose value a page shows as it was recorded."""
NUMERICAL = "ops.special", "ops.gamma_functions", "ops.gamma_tail", "ops.beta_tail"
"""The rooms of functions that are computed by series and iterations."""
TRIED = [op for op in DIFFERENTIABLE if "distributions." not in op.module]
"""Quantiles and distribution functions are iterations, too, and take long."""


@pytest.fixture(scope="session")
def runtime(browser: Any) -> Iterator[Any]:
    """A page that has the page's own NumPy and nothing else."""
    page = browser.new_page()
    page.set_content("<!DOCTYPE html><title>NumPy</title>")
    for name in ("numpy", "decompositions"):
        script = files("tinygrad_lite.explainer") / "page" / f"{name}.js"
        page.add_script_tag(content=script.read_text(encoding="utf-8"))
    yield page
    page.close()


def computed(page: Any, program: str, arguments: Mapping[str, Any]) -> Any:
    """What a program returns in the browser for these arrays."""
    given = [
        {"shape": list(np.shape(x)), "data": np.ravel(in_parts(x)).tolist(), "complex": np.iscomplexobj(x)}
        for x in arguments.values()
    ]
    found = page.evaluate(f"given => np.asArray(({program})(np, ...given))", given)
    data = np.array(found["data"], float)
    return (data[::2] + 1j * data[1::2] if found.get("complex") else data).reshape(found["shape"])


def in_parts(x: Any) -> Any:
    """The numbers of an array as a page holds them: the parts of a complex one side by side."""
    return np.stack([x.real, x.imag], axis=-1) if np.iscomplexobj(x) else np.asarray(x, float)


def close(found: Any, expected: Any, scale: float = 1e-10) -> None:
    expected = np.asarray(expected, complex if np.iscomplexobj(expected) else float)
    assert found.shape == expected.shape
    largest = np.max(np.abs(expected), initial=0, where=np.isfinite(expected))
    np.testing.assert_allclose(found, expected, rtol=scale, atol=scale * (1 + largest))


@pytest.mark.long
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
        is_numerical = any(map(op.module.__contains__, NUMERICAL))
        assert op.name in RECORDED_ONLY or is_numerical or call.params.get("weights") is not None
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


@pytest.mark.parametrize("name", ["erf", "erfc"])
def test_error_functions_keep_their_digits(runtime: Any, name: str) -> None:
    op = operation(name)
    x = np.array([-20.0, -3.0, -2.13, -2.11, -1e-9, 0.0, 1e-12, 0.5, 2.11, 2.13, 5.0, 20.0])
    found = computed(runtime, function(op, {"x": x}, {}), {"x": x})
    np.testing.assert_allclose(found, op(x), rtol=1e-12)


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_functions_of_scipy(runtime: Any) -> None:
    """Inside and outside of their domains."""
    from scipy import special

    answer_to(special.expit)  # declares all of them
    x = np.array([-40.0, -2.5, -1.0, -1e-3, 0.0, 1e-3, 0.3, 0.5, 2.5, 40.0, np.nan])
    wrong, without_rule = [], set()
    for name in SPECIAL:
        op = operation(name)
        params = {"order": (2,)} if name == "zeta" else {}
        arrays = dict(zip(("a", "b"), (x, x[:, None])[: op.arity]))
        expected = op(*arrays.values(), **params)
        found = computed(runtime, function(op, arrays, params), arrays)
        if not np.allclose(found, expected, rtol=1e-9, atol=1e-9, equal_nan=True):
            wrong.append(name)
        for rule in op.derivatives:
            try:
                function(rule, {"y": expected, **arrays}, params)
            except NotPrintableError:
                without_rule.add(name)
    assert not wrong
    assert without_rule == {"inv_boxcox", "inv_boxcox1p", "zeta"}


@pytest.mark.parametrize(
    "rule",
    [
        lambda x: x if x[0] > 0 else -x,
        lambda x: x * float(np.sum(x)),
        lambda x: x[x > 1],
        lambda x: np.linalg.norm(np.exp(1j * x), 3),
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


INDICES: dict[str, Any] = {
    "sorted": lambda x: np.sort(x, axis=0),
    "in order": lambda x: x[np.argsort(-x[:, 1])],
    "rows and columns": lambda x: x[np.argmax(x, axis=0), np.arange(3)],
    "between slices": lambda x: np.stack([x, x * x])[:, np.argmin(x, axis=1) - 1, ::-1],
    "behind an ellipsis": lambda x: np.stack([x, x * x])[..., None, np.argmax(x, axis=1)],
    "along an axis": lambda x: np.take_along_axis(x, np.argsort(x, axis=1)[:, :2], axis=1),
    "with a mask": lambda x: np.stack([x, x * x])[np.array([False, True]), np.argmax(x[:, 0])],
    "set": lambda x: x.at[np.argsort(x[:, 0])[:2]].set(np.ones((2, 3))),
    "added": lambda x: x.at[np.argmin(x, axis=0)].add(x[:3] * 2),
}
"""Indices that depend on numbers."""


@pytest.mark.parametrize("name", INDICES)
def test_indices_follow_the_numbers(runtime: Any, name: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 3))
    program = function(lambda x: np.sin(INDICES[name](x)), {"x": x}, {})
    for _ in range(3):
        expected = np.asarray(np.sin(INDICES[name](tg.tensor(x))))
        close(computed(runtime, program, {"x": x}), expected)
        x = rng.normal(size=x.shape)


def test_order_is_that_of_numpy(runtime: Any) -> None:
    x = np.array([[2.0, np.nan, 1.0, 2.0], [np.inf, 0.0, -0.0, -np.inf], [np.nan, 3.0, np.nan, 1.0]])
    for find in (np.argmax, np.argmin, lambda x, axis: np.argsort(x, axis, stable=True)):
        for axis in (None, 0, 1):
            program = function(lambda x, find=find, axis=axis: find(x, axis=axis), {"x": x}, {})
            close(computed(runtime, program, {"x": x}), find(x, axis=axis))


@pytest.mark.long
@pytest.mark.parametrize("op", [op for op in TRIED if op.takes_complex], ids=str)
@settings(max_examples=5)
@given(data=st.data())
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning", "ignore:Mean of empty slice:RuntimeWarning")
def test_complex_values_and_rules(runtime: Any, op: Op, data: st.DataObject) -> None:
    call = data.draw(inputs_of(op))
    arrays = [x + 1j * (np.flip(x) + 0.25) if np.asarray(x).dtype.kind == "f" else x for x in call.arrays]
    arguments = {f"x{i}": x for i, x in enumerate(arrays)}
    try:
        y = op(*arrays, **call.params)
        program = function(op, arguments, call.params)
    except NotPrintableError:
        assert op.name in COMPLEX_RECORDED_ONLY or call.params.keys() & {"where", "initial"}
        return
    except (TinygradError, TypeError, np.linalg.LinAlgError, np.exceptions.ComplexWarning):
        return  # it takes no complex numbers there
    close(computed(runtime, program, arguments), y, 1e-8)
    if np.asarray(y).dtype.kind not in "fc":
        return
    g = data.draw(cotangents(np.real(y)))
    given = {"g": g * (1 + 0.5j) if np.iscomplexobj(y) else g, "y": y, **arguments}
    for i in call.differentiable:
        vjp: Any = op.vjps[i]
        try:
            program = function(vjp, given, call.params)
        except NotPrintableError:
            continue  # of which the page says that it was recorded
        close(computed(runtime, program, given), whole(vjp(*given.values(), **call.params)), 1e-8)


def test_parts_that_are_broadcast_are_scattered(runtime: Any) -> None:
    from tinygrad_lite.ops.shapes.indexing import scatter

    part = np.array(3.0)[()]
    program = function(lambda part: scatter(part, shape=(4,), indices=(slice(1, 3),)), {"part": part}, {})
    close(computed(runtime, program, {"part": part}), [0, 3, 3, 0])


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_powers_of_complex_zeros(runtime: Any) -> None:
    bases = np.array([0, 0, 0, 0, 2j])
    for exponents in (np.array([0, 2, 1 + 2j, 3, 0], complex), np.array([0.0, 0.5, 3.0, 2.0, -1.0]), 0, 2.5, 3):
        arrays = {"x0": bases, "x1": exponents}
        program = function(np.power, arrays, {})
        close(computed(runtime, program, arrays), bases**exponents)
