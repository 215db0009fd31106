"""An operation that may fail is called even if nobody reads its result: a function may catch the error, or end."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

import tinygrad_lite as tg
from tests.marks import param
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import operations
from tinygrad_lite.ops.requirements import refuse_where
from tinygrad_lite.testing import Call, inputs_of

pytestmark = pytest.mark.filterwarnings("ignore:.*(encountered|All-NaN|Degrees of freedom|empty slice):RuntimeWarning")
ERRORS = ValueError, ArithmeticError, IndexError, TypeError, np.linalg.LinAlgError
SPECIAL = {"f": (0, 1, -1, 1e9, -1e300, np.nan, np.inf, (1, 0, 2)), "i": (0, -1, 100, 10**6), "b": (False, True)}
REFUSING = [op for op in operations() if op.refuses and op.name != "histogram"]
"""Without the one that answers with two arrays, which is only used by others."""
OTHERS = [op for op in operations() if not (op.refuses or op is refuse_where or op.name.startswith("drawn_"))]
"""All others, without those that draw by a seed, which no user gives them."""


def others_of(call: Call) -> Iterator[list[Any]]:
    """The arrays of a call, with other entries in one of them: the same number everywhere, or some up and down."""
    for i, x in enumerate(call.arrays):
        for values in SPECIAL.get(getattr(x, "dtype", np.dtype(object)).kind, ()):
            yield [*call.arrays[:i], np.resize(values, np.shape(x)).astype(x.dtype)[()], *call.arrays[i + 1 :]]


def fails(f: Callable[..., Any], *arrays: Any, **params: Any) -> bool:
    try:
        f(*arrays, **params)
    except ERRORS:
        return True
    return False


@pytest.mark.parametrize("op", OTHERS, ids=str)
@settings(max_examples=3)
@given(data=st.data())
def test_other_operations_take_all_entries(op: Op, data: st.DataObject) -> None:
    call = data.draw(inputs_of(op))
    if fails(op.forward, *call.arrays, **call.params):
        return  # for these shapes or parameters, then
    for arrays in others_of(call):
        op.forward(*arrays, **call.params)


def refused(call: Call) -> list[Any] | None:
    """Arrays of the same form that the operation refuses, if there are some, and it takes those of the call."""
    if fails(call.op.forward, *call.arrays, **call.params):
        return None
    return next((arrays for arrays in others_of(call) if fails(call.op.forward, *arrays, **call.params)), None)


@pytest.mark.parametrize("op", [param(op, slow=i % 4 > 0) for i, op in enumerate(REFUSING)], ids=str)
def test_an_unread_result_that_may_be_refused(op: Op) -> None:
    call = find(inputs_of(op), refused, settings=settings(max_examples=200, database=None))
    others: Any = refused(call)

    def catching(x: Any, *arrays: Any) -> Any:
        try:
            op(*arrays, **call.params)
        except ERRORS:
            return -x
        return 2 * x

    def ending(x: Any, *arrays: Any) -> Any:
        op(*arrays, **call.params)
        return 2 * x

    x = np.array([1.0, 2.0])
    for backend in ("numpy", "native"):
        catch, end = tg.compile(catching, backend), tg.compile(ending, backend)
        gradient = tg.compile(tg.grad(lambda x, *arrays: np.sum(catching(x, *arrays) ** 2)), backend)
        for arrays in (call.arrays, call.arrays, others, call.arrays, others):
            np.testing.assert_array_equal(catch(x, *arrays), catching(x, *arrays))
            np.testing.assert_array_equal(gradient(x, *arrays), 2 * x if arrays is others else 8 * x)
            assert fails(end, x, *arrays) == (arrays is others)


def test_an_unread_entry_beyond_the_end(backend: str) -> None:
    @tg.compile(backend=backend)
    def known(x: Any, i: Any) -> Any:
        try:
            x[i]
        except IndexError:
            return False
        return True

    x = np.arange(3.0)
    assert [known(x, np.array([i])) for i in (0, 2, 3, 1, -4, -3)] == [True, True, False, True, False, True]


def test_an_unread_result_of_a_users_operation(backend: str) -> None:
    def positive_only(x: Any) -> Any:
        if np.any(x <= 0):
            raise ValueError("not positive")
        return x

    check = tg.primitive(positive_only, lambda g, y, x: g)

    @tg.compile(backend=backend)
    def f(x: Any) -> Any:
        check(x)
        return x + 1

    for _ in range(3):
        assert float(f(np.float64(1.0))) == 2.0
        with pytest.raises(ValueError, match="not positive"):
            f(np.float64(-1.0))


def test_what_nobody_reads_is_no_name_in_the_source() -> None:
    @tg.compile(backend="numpy")
    def f(x: Any, a: Any) -> Any:
        np.linalg.cholesky(a)
        return 2 * x

    f(1.0, np.eye(2))
    assert "\n    np.linalg.cholesky(a)\n" in f.source
