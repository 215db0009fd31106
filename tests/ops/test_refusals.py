"""Whatever is wrong with a call, the error is of our kinds and also of NumPy's: bad axes, shapes, dtypes, arguments."""

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.numpy_calls import parts
from tinygrad_lite.engine import registry
from tinygrad_lite.engine.op import Op, Traced
from tinygrad_lite.errors import IndexingError, MatrixError, TinygradError, UsageError
from tinygrad_lite.foundation.signatures import path_of

pytestmark = pytest.mark.filterwarnings("ignore")  # of NumPy's, on the way to an error

PACKAGE = str(Path(tg.__file__).parent)
KINDS = (ValueError, TypeError, IndexError, np.exceptions.AxisError, np.linalg.LinAlgError)
NINE = np.array([9])
OTHER = np.ones((5, 4))
MASK = np.ones((5, 5), bool)

BAD_CALLS: list[tuple[Callable[[Any], Any], dict[str, Any]]] = [
    (lambda x: (x,), {}),
    (lambda x: (x, x), {}),
    (lambda x: (x, x, x), {}),
    (lambda x: (x,) * 7, {}),
    (lambda x: ([x, x],), {}),
    (lambda x: (x,), {"unknown": 1}),
    (lambda x: (x, x), {"unknown": 1}),
    (lambda x: (x,), {"axis": 7}),
    (lambda x: (x, x), {"axis": -7}),
    (lambda x: (x, NINE), {"axis": 9}),
    (lambda x: ([x, x],), {"axis": 9}),
    (lambda x: (x,), {"axis": "a"}),
    (lambda x: (x,), {"axis": (0, 0)}),
    (lambda x: (x,), {"axis": 1.5}),
    (lambda x: (x,), {"dtype": "nonsense"}),
    (lambda x: (x,), {"dtype": "S3"}),
    (lambda x: (x, 100), {}),
    (lambda x: (x, -100, 100), {}),
    (lambda x: (x, "a"), {}),
    (lambda x: (x, None), {}),
    (lambda x: (x, 1.5), {}),
    (lambda x: (x, (7, 7)), {}),
    (lambda x: (x, [0, 0], [1, 1]), {}),
    (lambda x: (x, object()), {}),
    (lambda x: (x, OTHER), {}),
    (lambda x: (OTHER, x), {}),
    (lambda x: ("ij", x), {}),
    (lambda x: ("ij,jk->ik", x), {}),
    (lambda x: ("ij,ij->i", x[0], x[0]), {}),
    (lambda x: (x,), {"keepdims": "a"}),
    (lambda x: (x,), {"where": MASK}),
    (lambda x: (x, NINE), {"mode": "nonsense"}),
    (lambda x: (x,), {"order": "Q"}),
    (lambda x: (x,), {"casting": "nonsense"}),
    (lambda x: (x,), {"n": -1}),
    (lambda x: (x,), {"ddof": "a"}),
]
READERS: dict[str, Callable[[Callable[[Any], Any], Any], Any]] = {
    "reverse mode": lambda f, x: f(tg.tensor(x, requires_grad=True)),
    "forward mode": lambda f, x: tg.jvp(f, (x,), (np.ones_like(x),)),
}


def doors() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every function and method that a traced value answers, as users reach it."""
    for function in list(registry.ANSWERS):
        path = path_of(function)
        home: Any = np
        for name in path.split(".")[1:]:
            home = getattr(home, name, None)
        if path.startswith("np.") and home is function:
            yield path, function
    for name in sorted(set(dir(np.ndarray)) & set(dir(tg.Tensor))):
        if callable(getattr(np.ndarray, name)) and not name.startswith("_"):
            yield f"x.{name}", lambda x, *args, name=name, **params: getattr(x, name)(*args, **params)
    yield "x[i]", lambda x, i: x[i]


def passes_through_us(error: Exception) -> bool:
    """Whether this package was called, and the error is not NumPy's about the call itself.

    NumPy's code that asks a tensor for a method of another kind of argument gets Python's AttributeError.
    """
    if isinstance(error, AttributeError) and isinstance(error.obj, Traced):
        return False
    files = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
    after_the_call = files[len(files) - files[::-1].index(__file__) :]
    return any(file.startswith(PACKAGE) for file in after_the_call)


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize(("arguments", "params"), BAD_CALLS)
def test_errors_are_of_our_kinds_and_of_numpys(arguments: Any, params: Any, reader: Any) -> None:
    raw, of_another_kind = [], []
    for x in (np.array([[0.3, 1.2, 1.9], [1.6, 0.4, 0.7]]), np.float64(0.7), np.zeros((0, 3))):
        for path, function in doors():

            def call(x: Any, function: Callable[..., Any] = function, path: str = path) -> Any:
                args = arguments(x)
                if path.startswith("x.") and not hasattr(args[0], "__trace__"):
                    return x
                return function(*args, **params)

            try:
                reader(call, x)
            except TinygradError as error:
                of = error.__cause__
                if of and any(isinstance(of, kind) > isinstance(error, kind) for kind in KINDS):
                    of_another_kind.append((path, of, error))
            except Exception as error:
                if passes_through_us(error):
                    raw.append((path, error))
    assert not raw
    assert not of_another_kind


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda x: np.diff(x, axis=7), IndexingError, r"np.diff cannot take float64\[2, 3\] and axis=7: axis 7 is out"),
        (lambda x: x[:, 5], IndexingError, r"getitem cannot take float64\[2, 3\]: index 5 is out of bounds for axis 1"),
        (lambda x: x.swapaxes(0, 4), np.exceptions.AxisError, "swapaxes cannot take .*: axis2: axis 4 is out"),
        (lambda x: np.linalg.inv(x), MatrixError, r"inv cannot take float64\[2, 3\]: Last 2 dimensions .* square"),
        (lambda x: np.linalg.inv(np.ones((2, 2)) * x[0, 0]), np.linalg.LinAlgError, "Singular matrix"),
        (lambda x: x.take(0, wrong=1), UsageError, "got an unexpected keyword argument 'wrong'"),
        (
            lambda x: x.take(),
            UsageError,
            r"np.take\(a, indices, axis=None, .*\): missing a required argument: 'indices'",
        ),
        (lambda x: np.exp(x, dtype=int), UsageError, r"np.exp cannot take float64\[2, 3\] and dtype=int: No loop"),
        (
            lambda x: np.vstack([x, x[:, 1:]]),
            ValueError,
            r"concatenate cannot take float64\[2, 3\] and float64\[2, 2\]: ",
        ),
    ],
)
def test_an_error_names_the_function_and_its_arguments(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        call(tg.tensor(np.ones((2, 3)), requires_grad=True))
    assert isinstance(caught.value, TinygradError)


def test_errors_of_users_stay_as_they_are() -> None:
    class OfAUser(ValueError):
        pass

    def wrong(row: Any) -> Any:
        raise OfAUser("mine")

    with pytest.raises(OfAUser, match="mine"):
        np.apply_along_axis(wrong, 0, tg.tensor(np.ones((2, 3))))
    operation = tg.elementwise(wrong, lambda y, x: y, name="wrong")
    with pytest.raises(OfAUser, match="mine"):
        operation(tg.tensor(1.0))


DTYPES = [bool, np.int8, int, np.uint64, np.float16, np.float32, float, np.longdouble, complex, "S3", "M8[s]"]
CASTINGS = ["no", "equiv", "safe", "same_kind", "unsafe", "nonsense"]
ASKED: list[dict[str, Any]] = [
    *({"dtype": dtype} for dtype in (*DTYPES, "nonsense")),
    *({"dtype": dtype, "casting": casting} for dtype in (np.float32, float, int) for casting in CASTINGS),
    *({"casting": casting} for casting in CASTINGS),
    *({"order": order} for order in ("C", "F", "A", "K", "Q")),
]


@pytest.mark.parametrize(
    "ufunc", [f for f in registry.ANSWERS if isinstance(f, np.ufunc) and hasattr(np, f.__name__)], ids=path_of
)
def test_a_ufunc_computes_in_a_dtype_if_numpys_does(ufunc: np.ufunc) -> None:
    for dtype in (np.int8, np.float32, float):
        x = np.ones((2, 2), dtype)
        for args in ([x] * ufunc.nin, [x, *[2.0] * (ufunc.nin - 1)]):
            for asked in ASKED:
                try:
                    expected = ufunc(*args, **asked)
                except (TypeError, ValueError):
                    with pytest.raises(TinygradError):
                        ufunc(tg.tensor(x), *args[1:], **asked)
                    continue
                results = ufunc(tg.tensor(x), *args[1:], **asked)
                for ours, numpys in zip(parts(results), parts(expected), strict=True):
                    np.testing.assert_array_equal(ours, numpys, strict=True)


WITH_AXIS = {
    op: [(inputs, params) for inputs, params in op.examples or [] if "axis" in params and isinstance(inputs[0], tuple)]
    for op in registry.operations()
}


@pytest.mark.long
@pytest.mark.parametrize("op", [op for op, examples in WITH_AXIS.items() if examples], ids=str)
def test_an_axis_that_is_not_there_is_an_error(op: Op) -> None:
    """With few entries and with many, for which several operations have a faster way."""
    for inputs, params in WITH_AXIS[op]:
        for repeats in (1, 1000):
            whole = [np.ones(x) if isinstance(x, tuple) else x for x in inputs]
            arrays = [np.repeat(x, repeats, 0) if isinstance(x, np.ndarray) and x.ndim else x for x in whole]
            for axis in (9, -9, (0, 9)):
                with pytest.raises(KINDS):
                    op(*arrays, **{**params, "axis": axis})
