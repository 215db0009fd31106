"""Files of ONNX for numbers of every kind: whole ones in each dtype, NaN, and numbers next to 0 and 1."""

import re
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest
from scipy import special

import tinygrad_lite as tg
import tinygrad_lite.ops.special
from tinygrad_lite import nn
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import operations
from tinygrad_lite.errors import TinygradError, UsageError

pytest.importorskip("onnx", reason="onnx comes with the extra `onnx`")
pytest.importorskip("onnxruntime", reason="onnxruntime comes with the extra `dev`")

from benchmarks.onnx_coverage import examples_of, run
from benchmarks.random_programs.programs import draw_program
from tests.marks import param
from tinygrad_lite.interchange.onnx_out.reasons import REASONS

F = nn.functional
WHOLE = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
OURS = [
    op
    for op in operations()
    if op.module.startswith("tinygrad_lite.ops") and op.name not in REASONS and op.forward not in REASONS
]
OF_REAL_NUMBERS = {
    "geomspace": "a line between numbers of different signs, which has no points",
    "sinc_derivative": "a derivative, which only real numbers have",
    "normal_hazard": "a derivative, which only real numbers have",
    "softmax": "nn.functional makes real numbers of whole ones before",
    "log_softmax": "nn.functional makes real numbers of whole ones before",
    "zeta": "poles",
    "beta": "poles",
    "betaln": "poles",
}
POSITIVE = {"gamma", "gammaln", "loggamma", "lgamma", "log_ndtr", "kn", "kv", "yn"}
DIVISIONS = {"remainder", "fmod", "floor_divide"}
"""onnxruntime ends with an error where one of them divides by 0."""


def whole_numbers(op: Op, dtype: Any, shapes: Any) -> list[Any]:
    rng = np.random.default_rng(0)
    low, high = {"b": (0, 2), "i": (-4, 5)}.get(np.dtype(dtype).kind, (1, 5))
    arrays = [x if isinstance(x, np.ndarray) else np.array(rng.integers(low, high, x), dtype) for x in shapes]
    if op.name in POSITIVE:
        arrays = [np.abs(x) + np.ones((), x.dtype) for x in arrays]
    return [np.where(x == 0, 1, x).astype(x.dtype) if op.name in DIVISIONS else x for x in arrays]


@pytest.mark.long
@pytest.mark.parametrize("part", [param(0, slow=False), param(1, slow=True), param(2, slow=True)])
@pytest.mark.parametrize("op", [op for op in OURS if op.name not in OF_REAL_NUMBERS], ids=lambda op: op.name)
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_every_operation_takes_whole_numbers_as_here_or_is_refused(op: Op, part: int) -> None:
    shapes, params = examples_of(op)[0]
    if "dtype" in params or any(isinstance(x, np.ndarray) and x.dtype.kind == "f" for x in shapes):
        pytest.skip("its examples have a dtype")
    for dtype in WHOLE[part::3]:
        arrays = whole_numbers(op, dtype, shapes)
        try:
            expected = np.asarray(op.forward(*arrays, **params))
        except (TypeError, ValueError, OverflowError, np.linalg.LinAlgError):
            continue  # NumPy does not take them either
        try:
            (found,) = run(lambda *x: op(*x, **params), arrays)
        except TinygradError:
            continue
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype), dtype
        tolerance = {2: 1e-2, 4: 1e-5, 8: 1e-9}[expected.dtype.itemsize] if expected.dtype.kind == "f" else 0
        scale = np.max(np.abs(expected), where=np.isfinite(expected), initial=1)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * scale, err_msg=dtype)


CHOICES: dict[str, Callable[..., Any]] = {
    "the place of the largest": lambda x: np.argmax(x),
    "places of the largest": lambda x: np.argmax(x, axis=1, keepdims=True),
    "places of the least": lambda x: np.argmin(x, axis=0),
    "the largest": lambda x: np.max(x, axis=(0, 1), keepdims=True),
    "the least": lambda x: np.min(x, axis=-1),
    "the largest of a row": lambda x: F.max_pool1d(x[:, None], 2),
    "the largest around": lambda x: F.max_pool2d(x[None, None], 2, stride=1, padding=1),
    "logarithms of probabilities": lambda x: F.log_softmax(x),
    "probabilities": lambda x: F.softmax(x),
    "logarithms of sums": lambda x: F.logsumexp(x, axis=1),
    "running maxima": lambda x: np.maximum.accumulate(x, axis=1),
    "ranges": lambda x: np.ptp(x, axis=1),
    "medians": lambda x: np.median(x[:2], axis=1),
    "sorted": lambda x: np.sort(x, axis=1),
    "bins": lambda x: np.digitize(x, [4.0, 3, 2, 1]),
    "rising bins": lambda x: np.digitize(x, [1.0, 2, 3]),
    "places in order": lambda x: np.searchsorted(np.array([1.0, 2, 3]), x),
    "places among all": lambda x: np.stack([np.searchsorted(np.sort(x[0]), x, side) for side in ("left", "right")]),
    "masked": lambda x: np.max(x, axis=1, where=x < 4, initial=-1.0),
    "filtered": lambda x: np.convolve(x[1], np.array([1.0, 2, 3])),
    "of numbers alone": lambda x: np.nanmax(x[:2], axis=1),
}


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("fill", [np.nan, np.inf, -np.inf])
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_what_chooses_among_entries_passes_nan_and_infinity_on_as_here(dtype: str, fill: float) -> None:
    x = np.array([[1, fill, 3, fill], [2, 5, 4, 5], [fill] * 4], dtype)
    found = run(lambda x: [f(x) for f in CHOICES.values()], [x])
    for (name, f), y in zip(CHOICES.items(), found, strict=True):
        np.testing.assert_allclose(y, f(x), rtol=1e-5, err_msg=name)


@pytest.mark.long
@pytest.mark.parametrize("name", ["expi", "exp1", "gammaln", "gamma", "psi", "erf", "ndtr", "log_ndtr", "j0", "k1e"])
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_functions_of_scipy_far_from_the_examples(name: str) -> None:
    op = next(op for op in operations() if op.forward is getattr(special, name))
    x = np.concatenate([np.linspace(-4.3, 4.1, 40), np.linspace(5, 60, 40)])
    (found,) = run(lambda x: op(x), [x])
    np.testing.assert_allclose(found, op.forward(x), rtol=1e-9, atol=1e-12)


NEXT_TO: dict[str, Callable[..., Any]] = {
    "x · (1 + ε)": lambda x: x * (1 + 1e-9),
    "(1 - ε) · x": lambda x: (1 - 1e-9) * x,
    "x / (1 + ε)": lambda x: x / np.array([1 + 1e-9]),
    "x + ε": lambda x: x + 1e-50,
    "ε - x": lambda x: 1e-50 - x,
    "x - ε": lambda x: x - 1e-50,
    "x / ∞": lambda x: x / 1e300 * 1e300,
}


@pytest.mark.parametrize("name", NEXT_TO)
def test_numbers_next_to_0_and_1_are_no_0_and_1(name: str) -> None:
    """onnxruntime leaves out a sum with 0 and a product with 1, but compares in single precision."""

    def f(x: Any) -> Any:
        return 2 * NEXT_TO[name](np.exp(x)) * 1.5

    x = np.array([-1e3, -120.0, 0.0, 1.0])
    (found,) = run(f, [x])
    np.testing.assert_allclose(found, f(x), rtol=1e-13, atol=0)


KEEPERS = (np.max, np.min, np.argmax, np.sum, np.prod, np.any, np.median, np.nanmax, np.ptp, np.std, np.count_nonzero)


@pytest.mark.long
@pytest.mark.parametrize("keepdims", [True, 1, np.True_, False, 0])
def test_axes_are_kept_for_all_that_numpy_takes_for_true(keepdims: Any) -> None:
    x = np.array([[1, 5, 2.0], [2, 0, 1]])
    for f in KEEPERS:
        try:
            expected = f(x, axis=1, keepdims=keepdims)  # type: ignore[operator]
        except (TypeError, DeprecationWarning):  # some functions take no NumPy boolean, or will not
            continue
        (found,) = run(lambda x, f=f: f(x, axis=1, keepdims=keepdims), [x])
        assert found.shape == np.shape(expected), f.__name__


def test_an_order_of_numbers_that_runtimes_lack_is_refused() -> None:
    x = np.array([3, 2**63 + 1], np.uint64)
    with pytest.raises(UsageError, match=r"ReduceMax.*test_onnx_numbers.* does not order numbers of dtype uint64"):
        run(lambda x: np.max(x), [x])


def test_a_file_has_no_arrays_that_nothing_reads(capfd: pytest.CaptureFixture[str]) -> None:
    """onnxruntime would warn of each of them."""
    import onnxruntime

    from tinygrad_lite.interchange.onnx_out.written_file import model
    from tinygrad_lite.interchange.onnx_out.written_program import written

    made = written(lambda x: np.sum(x * (1 + 1e-9)), [np.ones(3)])
    proto = model(made, {name: list(x.shape) for name, x in {**made.inputs, **made.results}.items()})
    assert {x.name for x in proto.graph.initializer} <= {name for node in proto.graph.node for name in node.input}
    onnxruntime.InferenceSession(proto.SerializeToString())
    assert not capfd.readouterr().err


PRODUCTS: dict[str, Callable[..., Any]] = {
    "constants": lambda x: tg.stop_gradient(np.exp(x)) * (1 / np.sqrt(x)),
    "sums with 0": lambda x: (np.exp(x) + 0) * (1 / np.sqrt(x)),
    "products with 1": lambda x: (np.exp(x) * 1) * (1 / x),
    "the same shape": lambda x: np.broadcast_to(np.exp(x), x.shape) * (1 / x),
    "the same order": lambda x: np.transpose(np.exp(x), (0, 1)) * (1 / x),
    "an array of one": lambda x: np.positive(np.exp(x)) * (np.array([1.0]) / x),
}


@pytest.mark.long
@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_with_a_reciprocal_loads_whatever_the_runtime_leaves_out(name: str) -> None:
    x = np.random.default_rng(0).uniform(0.3, 2, (2, 3))
    for f in (PRODUCTS[name], tg.grad(lambda x: np.sum(PRODUCTS[name](x)))):
        (found,) = run(f, [x])
        np.testing.assert_allclose(found, np.asarray(f(x)), rtol=1e-13)


def test_numbers_of_half_precision_are_put_and_added_at_indices() -> None:
    """For which ONNX has no operator of theirs."""

    def f(x: Any) -> Any:
        y = nn.functional.relu(tg.tensor(x) if isinstance(x, np.ndarray) else x)
        return y.at[np.array([0, 2])].set(y[:2]).at[np.array([1, 1])].add(y[:2])

    x = np.array([0.5, 2, 3], np.float16)
    (found,) = run(f, [x])
    np.testing.assert_array_equal(found, f(x).numpy(), strict=True)


EMPTY: dict[str, Callable[..., Any]] = {
    "any": lambda x: np.any(x[:0] > 1, axis=0),
    "all": lambda x: np.all(x[:0] > 1, axis=0),
    "repeated": lambda x: np.concatenate([np.repeat(x, 0, axis=0), x]),
    "tiled": lambda x: np.concatenate([np.ravel(np.tile(x, 0)), x[0]]),
    "stretched": lambda x: np.sum(np.broadcast_to(x[:, :1], (2, 0))),
}


@pytest.mark.parametrize("name", EMPTY)
def test_empty_arrays_are_as_in_numpy(name: str) -> None:
    x = np.arange(6.0).reshape(2, 3)
    (found,) = run(EMPTY[name], [x])
    np.testing.assert_array_equal(found, EMPTY[name](x))


def test_a_formula_in_single_precision_uses_another_that_takes_no_matrix_of_ones() -> None:
    x = np.array([[2.0, 1.0], [0.5, 3.0]], np.float32)
    (found,) = run(lambda x: np.linalg.matrix_power(x, -2), [x])
    np.testing.assert_allclose(found, np.linalg.matrix_power(x, -2), rtol=1e-5)


@pytest.mark.parametrize("op", [op for op in OURS if op.derivatives], ids=lambda op: op.name)
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_nan_in_any_argument_is_nan_in_the_result_as_here(op: Op) -> None:
    params = dict(op.examples[0][1]) if op.examples else {}
    domain = op.domain or [(-1, 1)] * op.arity
    inside = [np.full(2, (max(low, -1) + min(high, 2)) / 2) for low, high in domain]
    for i in range(op.arity or 0):
        arrays = [np.array([x[0], np.nan]) if i == k else x for k, x in enumerate(inside)]
        (y,) = run(lambda *x: op(*x, **params), arrays)
        np.testing.assert_array_equal(np.isnan(y), np.isnan(op.forward(*arrays, **params)))


def test_squeezing_no_axes_changes_no_shape() -> None:
    x = np.ones((1, 2))
    (found,) = run(lambda x: np.squeeze(x, ()) + x, [x])
    assert found.shape == (1, 2)


@pytest.mark.parametrize("f", [lambda x: np.squeeze(x, 0), lambda x: np.argmin(x, axis=0), lambda x: np.max(x, axis=0)])
def test_a_number_has_an_axis_where_numpy_gives_it_one(f: Any) -> None:
    (found,) = run(f, [np.array(2.0)])
    np.testing.assert_array_equal(found, f(np.array(2.0)))


CHOSEN = np.array([True, False, True])
BEGINNINGS: list[tuple[Any, dict[str, Any]]] = [
    *((f, {"initial": first}) for f in (np.min, np.max, np.sum, np.prod) for first in (0.0, 1, 2.0)),
    *((f, {"initial": 1, "where": CHOSEN}) for f in (np.min, np.max, np.sum, np.prod)),
    *((f, {"where": CHOSEN}) for f in (np.sum, np.prod, np.all, np.any)),
]


@pytest.mark.long
@pytest.mark.parametrize(("function", "settings"), BEGINNINGS)
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_reductions_of_truths_and_whole_numbers_begin_as_numpys(function: Any, settings: Any, axis: Any) -> None:
    for x in (np.ones((2, 3), bool), np.zeros((2, 3), bool), np.eye(2, 3, dtype=bool), np.arange(6).reshape(2, 3)):
        (y,) = run(lambda x: function(x, axis=axis, **settings), [x])
        expected = function(x, axis=axis, **settings)
        assert y.dtype == expected.dtype
        np.testing.assert_array_equal(y, expected)


FAR = {
    *("beta", "betaln", "binom", "zeta", "hyp0f1", "hyp1f1", "hyp2f1", "exprel", "spence", "loggamma", "ndtri"),
    *("i0", "i1", "iv", "ive", "j0", "j1", "jv", "k0", "k1", "k0e", "k1e", "kn", "kv", "kve", "y0", "y1", "yn", "yv"),
    *("ellipe", "ellipk", "sindg", "cosdg", "tandg", "cotdg", "tan", "normal_hazard", "sinc_derivative", "geomspace"),
    *("eigh", "eigvalsh", "svd", "svdvals", "qr", "cond", "matrix_rank", "slogdet", "pinv", "lstsq"),
    *("argsort", "signbit", "copysign", "arctan2", "frexp"),
}
"""Operations that answer otherwise far from their examples, or for another last digit: NaN beyond poles, other signs,
also of a zero, another order of ties, a fraction beside a power of two."""
ROUNDING = 1e-12
"""What is smaller, and not 0, is taken for what is left of a difference: its root has no right digit."""
LAST_DIGIT = 1e-7
"""The same in single precision, as a part of the largest number."""


@pytest.mark.parametrize("seeds", [range(15), pytest.param(range(15, 1500), marks=pytest.mark.slow)], ids=len)
@pytest.mark.filterwarnings("ignore")
def test_programs_that_nobody_wrote(seeds: range) -> None:
    """Those of `benchmarks.random_programs`, in numbers of usual sizes."""
    counts = Counter(_outcome(seed) for seed in seeds)
    faults = [outcome for outcome in counts if outcome.startswith("seed")]
    assert not faults, faults
    assert counts["equal"] > 0.1 * len(seeds), counts


def _outcome(seed: int) -> str:
    program = draw_program(Random(seed))
    paths = " ".join(step.path for step in program.steps)
    arrays = [np.asarray(x) for x in (*program.leaves, *program.values) if isinstance(x, (np.ndarray, np.generic))]
    if not program.steps or program.error or not arrays or FAR & {*re.findall(r"\w+", paths)}:
        return "left out"
    sizes = np.abs(np.concatenate([x.ravel().astype(float) for x in arrays if x.dtype.kind in "fiub"] or [[]]))
    is_single = any(x.dtype == np.float32 for x in arrays)
    least = max(ROUNDING, LAST_DIGIT * np.max(sizes, initial=0, where=np.isfinite(sizes)) if is_single else 0)
    if any(x.dtype.char not in "?bhilBHILfd" for x in arrays) or np.any(
        (sizes > 1e30) | ((sizes < least) & (sizes > 0))
    ):
        return "left out"
    places = [i for i, x in enumerate(program.leaves) if isinstance(x, (np.ndarray, np.generic))]
    count = len(program.leaves)
    wanted = [k for k in range(count, len(program.values)) if isinstance(program.values[k], (np.ndarray, np.generic))]

    def f(*variables: Any) -> list[Any]:
        values = program.run([dict(zip(places, variables)).get(i, x) for i, x in enumerate(program.leaves)])
        return [values[k] for k in wanted]

    given = [np.ascontiguousarray(program.leaves[i]).reshape(np.shape(program.leaves[i])) for i in places]
    if not given or not wanted:
        return "left out"
    try:
        found = run(f, given)
    except TinygradError:
        return "refused"
    except Exception as error:  # of onnxruntime, which has a class for it that is not public
        if "by zero" not in str(error):  # as DIVISIONS says
            raise
        return "left out"
    for k, y in zip(wanted, found, strict=True):
        expected = np.asarray(program.values[k])
        tolerance = (2e-4 if is_single else 1e-8) if expected.dtype.kind == "f" else 0
        scale = np.max(np.abs(expected), where=np.isfinite(expected), initial=1) if tolerance else 0
        if (y.shape, y.dtype) != (expected.shape, expected.dtype) or not np.allclose(
            y, expected, rtol=tolerance, atol=tolerance * scale, equal_nan=True
        ):
            return f"seed {seed}: {paths}: {y!r:.200} in place of {expected!r:.200}"
    return "equal"
