"""Values from outside: right or refused, in both modes and under vmap; and values that would leave the graph."""

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import operations
from tinygrad_lite.errors import TinygradError, UsageError

X = np.array([1.0, 2.0, 3.0])


class Labelled:
    """A container with names of axes, as xarray has them."""

    dims = ("time",)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(X, dtype)


class Quantity(Labelled):
    """Numbers with a unit, as pint has them."""

    units = "metre"
    dims = property()  # type: ignore[assignment]


class Table:
    """Numbers with labels, as pandas has them."""

    iloc = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(X, dtype)


class Unit:
    """What an array of NumPy's would hold as an object, such as a unit of pint's or astropy's."""


class Subclass(np.ndarray):
    pass


REFUSED = {
    "object array": np.array([1.0, Fraction(1, 2), 2.0], object),
    "fractions": [Fraction(1, 2)] * 3,
    "decimals": [Decimal(1)] * 3,
    "text": np.array(["1", "2", "3"]),
    "dates": np.array([1, 2, 3], "datetime64[s]"),
    "durations": np.array([1, 2, 3], "timedelta64[s]"),
    "structured": np.zeros(3, [("a", float)]),
    "subclass": X.view(Subclass),
    "matrix product": np.ones((3, 3)).view(type("matrix", (np.ndarray,), {})),
    "masked": np.ma.MaskedArray(X, [True, False, False]),
    "record array": np.zeros(3, [("a", float)]).view(np.recarray),
    "labels": Table(),
    "names of axes": Labelled(),
    "units": Quantity(),
    "unit": Unit(),
    "fraction": Fraction(1, 2),
    "set": {1.0},
}
MODES: dict[str, Callable[[Any], Any]] = {
    "reverse": lambda f: tg.grad(lambda x: np.sum(f(x)))(X),
    "forward": lambda f: tg.jvp(f, (X,), (X,)),
    "forward over reverse": lambda f: tg.hvp(lambda x: np.sum(f(x)), (X,), (X,)),
    "a graph": lambda f: f(tg.tensor(X, requires_grad=True)),
    "no graph": lambda f: f(tg.tensor(X)),
    "examples": lambda f: tg.vmap(f)(np.stack([X, X])),
    "gradients of examples": lambda f: tg.vmap(tg.grad(lambda x: np.sum(f(x))))(np.stack([X, X])),
}
BINARY = [np.multiply, np.add, np.maximum, np.hypot, np.inner, lambda a, b: np.where(a > 0, a, b)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("other", REFUSED)
@pytest.mark.parametrize("f", BINARY, ids=lambda f: f.__name__)
def test_what_knows_more_than_numbers_is_refused(f: Any, other: str, mode: str) -> None:
    with pytest.raises(UsageError):
        MODES[mode](lambda x: f(x, REFUSED[other]))


@pytest.mark.parametrize("other", REFUSED)
def test_the_refusal_says_what_to_pass(other: str) -> None:
    with pytest.raises(UsageError, match=r"^multiply: .*(write|pass|holds numbers)"):
        np.multiply(tg.tensor(X), REFUSED[other])


@pytest.mark.parametrize("other", ["unit", "fraction", "set"])
def test_what_is_no_number_does_not_hold_objects(other: str) -> None:
    value = REFUSED[other]
    with pytest.raises(UsageError, match=f"multiply: .* this {type(value).__name__} is none: convert it first"):
        np.multiply(tg.tensor(X), value)


@pytest.mark.parametrize("mode", [*MODES, "compiled"])
def test_none_beside_a_tensor_makes_no_objects(mode: str) -> None:
    run = MODES.get(mode, lambda f: tg.compile(f)(tg.tensor(X)))
    for f in (
        lambda x: np.where(x > 0, x, None),
        lambda x: np.where(x > 0, None, x),
        lambda x: np.select([x > 0], [x], None),
        lambda x: np.choose([0, 1, 0], [x, None]),
        lambda x: tg.array([x[0], None]),
        lambda x: tg.array([[x[0], 1.0], [None, x[1]]]),
    ):
        with pytest.raises(UsageError, match=r"None is none: write np\.nan"):
            run(f)


@pytest.mark.parametrize(
    "other",
    [[1.0, 2.0, 3.0], (1, 2, 3), 2, np.float16(2), X, X[::-1], X.astype(np.float32), np.broadcast_to(2.0, 3), True],
    ids=str,
)
@pytest.mark.parametrize("mode", MODES)
def test_numbers_are_taken(other: Any, mode: str) -> None:
    MODES[mode](lambda x: x * other)


def test_a_memory_map_is_an_array(tmp_path: Any) -> None:
    stored = np.memmap(tmp_path / "numbers", float, "w+", shape=3)
    stored[:] = [2.0, 3.0, 4.0]
    np.testing.assert_array_equal(tg.grad(lambda x: np.sum(x * stored))(X), [2, 3, 4])
    np.testing.assert_array_equal(tg.jvp(lambda x: x * stored, (X,), (X,))[1], [2, 6, 12])


def test_labels_do_not_align_by_position() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas comes with the extra `examples`")
    one, other = pandas.Series([1.0, 2.0], ["a", "b"]), pandas.Series([10.0, 0.1], ["b", "a"])
    with pytest.raises(UsageError, match="labels of this Series"):
        tg.grad(lambda w: np.sum(w * other))(one)
    with pytest.raises(UsageError, match="labels of this Series"):
        tg.jvp(lambda w: w * other, (one,), (one,))
    with pytest.raises(UsageError, match="labels of this Series"):
        tg.grad(np.sum)(one)
    assert tg.tensor(one).shape == (2,)  # on purpose


CASTS: dict[str, Callable[[Any, Any], Any]] = {
    "astype": lambda x, dtype: x.astype(dtype),
    "there and back": lambda x, dtype: x.astype(dtype).astype(float),
    "ufunc": lambda x, dtype: np.multiply(x, x, dtype=dtype),
    "concatenate": lambda x, dtype: np.concatenate([x, x], dtype=dtype, casting="unsafe"),
    "stack": lambda x, dtype: np.stack([x, x], dtype=dtype, casting="unsafe"),
    "cumsum": lambda x, dtype: np.cumsum(x, dtype=dtype),
    "linspace": lambda x, dtype: np.linspace(x, 2 * x, 3, dtype=dtype),
    "weights": lambda x, dtype: np.average(x, weights=np.ones(3, dtype)),
    "durations": lambda x, _: x.astype("m8[s]"),
}


@pytest.mark.parametrize("mode", ["reverse", "forward", "forward over reverse", "a graph"])
@pytest.mark.parametrize("cast", CASTS)
@pytest.mark.parametrize("dtype", [object, str])
def test_no_number_turns_into_something_else_on_the_way(dtype: Any, cast: str, mode: str) -> None:
    with pytest.raises(TinygradError):
        MODES[mode](lambda x: CASTS[cast](x, dtype))


WITH_A_PARAMETER: dict[str, Callable[[Any, Any], Any]] = {
    "where": lambda x, mask: np.sum(x, where=mask),
    "where of a mean": lambda x, mask: np.mean(x, where=mask),
    "initial": lambda x, start: np.max(x, initial=start),
    "q": lambda x, q: np.quantile(x, q),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "other", [Table(), Labelled(), Quantity(), REFUSED["masked"], REFUSED["dates"]], ids=lambda x: type(x).__name__
)
@pytest.mark.parametrize("f", WITH_A_PARAMETER)
def test_a_parameter_is_held_to_the_same(f: str, other: Any, mode: str) -> None:
    with pytest.raises(TinygradError):
        MODES[mode](lambda x: WITH_A_PARAMETER[f](x, other))


def test_a_sum_of_objects_is_a_number() -> None:
    for f in (lambda x: np.sum(x * x, dtype=object), lambda x: np.trace(np.outer(x, x), dtype=object)):
        np.testing.assert_array_equal(tg.grad(f)(X), 2 * X)
        assert tg.jvp(f, (X,), (X,)) == (14, 28)


FLOATS = [
    op for op in operations() if op.vjps and op.arity == 2 and op.derivatives and op.domain is None and not op.keywords
]


@pytest.mark.parametrize("op", FLOATS, ids=repr)
def test_an_array_that_somebody_can_still_write_to_is_copied(op: Op) -> None:
    b = np.array([0.5, 0.25, 0.75])
    view = b[:]
    b.flags.writeable = False  # which says nothing of the view
    t = tg.tensor([0.3, 0.6, 0.9], requires_grad=True)
    y = np.sum(op(t, b))
    expected = tg.grad(lambda x: np.sum(op(x, np.array([0.5, 0.25, 0.75]))))(t.numpy())
    view[:] = 100
    y.backward()
    np.testing.assert_array_equal(t.grad.numpy(), expected)


def _quad(t: Any) -> Any:
    return pytest.importorskip("scipy.integrate").quad(lambda s: t * s, 0, 1)


def _series_map(t: Any) -> Any:
    pandas = pytest.importorskip("pandas")
    return pandas.Series([1.0, 2.0]).map(lambda v: t * v).astype(float)


TAKEN_BY_LIBRARIES: dict[str, Callable[[Any], Any]] = {
    "fromiter": lambda t: np.fromiter((t * k for k in range(3)), float),
    "fill": lambda t: np.zeros(3).fill(t),
    "fill of a name": lambda t: (a := np.zeros(3)).fill(t) or a,
    "full": lambda t: np.full(3, 0.0).fill(t),
    "vectorize": lambda t: np.vectorize(lambda k: t * k, otypes=[float])(np.arange(3)),
    "structured array": lambda t: np.array([(t, 1.0)], [("a", float), ("b", float)]),
    "an entry": lambda t: np.zeros(3).__setitem__(0, t),
    "quad": _quad,
    "Series.map": _series_map,
}


@pytest.mark.parametrize("take", TAKEN_BY_LIBRARIES)
def test_a_library_that_takes_a_number_is_an_error(take: str) -> None:
    t = tg.tensor(2.0, requires_grad=True)
    with pytest.raises((TinygradError, ValueError)) as caught:  # NumPy's words, and ours behind them
        TAKEN_BY_LIBRARIES[take](t)
    error = caught.value if isinstance(caught.value, TinygradError) else caught.value.__cause__
    assert "history would be lost" in str(error)


ON_PURPOSE: dict[str, Callable[[Any], Any]] = {
    "float": lambda t: float(t),
    "item": lambda t: t.item(),
    "math": lambda t: math.sin(t),
    "np.float64": lambda t: np.float64(t.item()),
    "format": lambda t: f"{t:.3f}",
    "percent": lambda t: "%.3f" % t,  # noqa: UP031
    "int": lambda t: int(t),
    "round": lambda t: round(float(t), 2),
}


@pytest.mark.parametrize("take", ON_PURPOSE)
def test_a_number_is_handed_out_on_purpose(take: str) -> None:
    ON_PURPOSE[take](tg.tensor(2.0, requires_grad=True))


@pytest.mark.parametrize(
    "view",
    [
        lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 3)),
        lambda x: np.broadcast_to(x, (3, 6, 7)),
        lambda x: np.broadcast_to(x[::2, 1:, None], (3, 6, 5)),
        lambda x: np.lib.stride_tricks.sliding_window_view(x[::-1], 2, axis=0),
        lambda x: np.lib.stride_tricks.sliding_window_view(x[1:].T, 2, axis=0),
        lambda x: x.T,
        lambda x: np.broadcast_to(x[:0], (3, 0, 7)),
        lambda x: np.broadcast_to(x[1:2, 2:3], (3, 4)),
        lambda x: np.broadcast_to(x.view(">f8")[1:2, 2:3], (3, 4)),
    ],
)
def test_a_later_change_of_a_view_or_of_what_it_shows_changes_no_gradient(view: Any) -> None:
    x = np.arange(42.0).reshape(6, 7)
    seen = view(x)
    before = seen.copy()
    w = tg.tensor(np.ones(seen.shape), requires_grad=True)
    loss = np.sum(seen * w)
    x[...] = -1
    loss.backward()
    assert w.grad is not None
    np.testing.assert_array_equal(w.grad.numpy(), before)


FORMULAS = [op for op in operations() if op.derivatives and op.is_composite and (op.arity or 0) > 1]


@pytest.mark.parametrize("first", [True, False])
def test_a_formula_takes_pythons_true_as_it_would_beside_an_array(first: bool) -> None:
    """In both modes, with NumPy's dtype; as 1, it would make a result in float64 of one in float16."""
    wrong = {}
    for op in FORMULAS:
        x = np.array([0.25, 0.5], np.float16)
        others, (_, params) = [x] * ((op.arity or 0) - 2), op.examples[0] if op.examples else ([], {})

        def f(x: Any) -> Any:
            return op(*((True, x) if first else (x, True)), *others, **params)  # noqa: B023

        with np.errstate(all="ignore"):
            expected = f(x)
            results = [f(tg.tensor(x)).numpy(), tg.vjp(f, x)[0], tg.jvp(f, (x,), (x,))[0]]
        if not all(y.dtype == expected.dtype and np.array_equal(y, expected, equal_nan=True) for y in results):
            wrong[op.name] = (expected, results)
    assert not wrong
