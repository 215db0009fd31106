"""Python numbers that change from call to call: the program takes any value, or Python needs it and records anew."""

import math
import warnings
from collections.abc import Callable, Iterable, Sized
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg

X = np.arange(16.0).reshape(4, 4)
WHOLE = 1, 2, 3, 1, 0, 2, 3, -1, 2, 2**40
REAL = 1.0, 2.0, 0.5, 1.0, 0.0, 2.5, -1.0, float("inf"), -0.0, float("nan"), 2
NUMBER: Any = 1


def _without_remainder(x: Any, n: Any) -> Any:
    try:
        return x * (n % 0)
    except ZeroDivisionError:
        return x * n


COMPUTED: dict[str, Callable[[Any, Any], Any]] = {
    "product": lambda x, n: x * n,
    "of float32": lambda x, n: x.astype(np.float32) * n,
    "power": lambda x, n: x**n,
    "quotient": lambda x, n: x * (6 / (n - 3)),
    "remainder": lambda x, n: x * (7 % n),
    "floor of a quotient": lambda x, n: x * (-7 // n),
    "both of a quotient": lambda x, n: x * sum(divmod(7, n)),
    "power of a half": lambda x, n: x * 0.5**n,
    "power of a number": lambda x, n: x * n**2 + x * n**1.5,
    "smallest and largest": lambda x, n: x * min(n, 2) * max(n, 2),
    "sum": lambda x, n: x * sum([n, n, 1]),
    "magnitude": lambda x, n: x * abs(n - 2),
    "several numbers": lambda x, n: (n * 2, n / 2, n, -n, n > 1),
    "branch": lambda x, n: x if n > 1.5 else x * n,
    "membership": lambda x, n: x if n in (1, 2) else x * 2,
    "condition": lambda x, n: np.where(x > n, x, n),
    "array": lambda x, n: np.array([n, 2 * n, 1.5]) * x[0, :3],
    "tensor": lambda x, n: tg.tensor(n) * x,
    "negative power": lambda x, n: x * n**-1,
    "power of a negative number": lambda x, n: x * (-2.0) ** n,
    "count of booleans": lambda x, n: (x * ((n > 1) + (n > 2)), (n > 1) + (n > 2), (n > 1) * (n > 2)),
    "division by 0": _without_remainder,
    "whole number": lambda x, n: x * int(n) + math.floor(n / 3),
    "rounded": lambda x, n: (x * round(n), round(n)),
    "tensor itself": lambda x, n: tg.tensor(n),
    "tensor beside float32": lambda x, n: tg.tensor(x.astype(np.float32)) * tg.tensor(n),
    "sum of one": lambda x, n: np.sum(n) * x,
    "scalar": lambda x, n: x * (1 if np.isscalar(n) else 2),
    "attribute of arrays": lambda x, n: x * (1 if hasattr(n, "shape") or hasattr(n, "__len__") else n),
    "method of arrays": lambda x, n: x * len(getattr(n, "sum", "none")),
    "gradient": lambda x, n: tg.grad(lambda t: np.sum(t**2 * n))(x),
}
SEVERAL = {"branch", "power of a number", "power of a negative number", "membership", "remainder", "both of a quotient"}
"""What takes several programs."""
NEEDED: dict[str, Callable[[Any, Any], Any]] = {
    "axis": lambda x, n: np.sum(x, axis=n),
    "axes": lambda x, n: np.swapaxes(x, 0, n),
    "new axis": lambda x, n: np.expand_dims(x, n),
    "diagonal": lambda x, n: np.diagonal(x, n),
    "degrees of freedom": lambda x, n: np.var(x, ddof=n),
    "repetition": lambda x, n: np.repeat(x, n),
    "shift": lambda x, n: np.roll(x, n),
    "shape": lambda x, n: x.reshape(n, -1),
    "length": lambda x, n: x * sum(range(n)),
    "start": lambda x, n: x[n:],
    "end": lambda x, n: x[:n],
    "entry of a list": lambda x, n: [x, x * 2, x * 3, x * 4][n],
    "text": lambda x, n: {"1": x, "2": x * 2, "3": x * 3}.get(str(n), x * 9),
    "text by format": lambda x, n: {"1": x, "2": x * 2}.get(f"{n}", x * 9),
    "text by percent": lambda x, n: {"1": x, "2": x * 2}.get("%s" % n, x * 9),  # noqa: UP031
    "key": lambda x, n: {1: x, 2: x + 1}.get(n, x * 2),
    "small whole numbers": lambda x, n: x.astype(np.int8) * (n * 100),
    "whole numbers without sign": lambda x, n: x.astype(np.uint8) - n * 3,
    "filling": lambda x, n: np.full_like(x.astype(np.int8), n * 100),
    "appending": lambda x, n: np.append(x.astype(np.int8), n),
    "appending to float32": lambda x, n: np.append(x.astype(np.float32), n / 3),
    "array of small whole numbers": lambda x, n: x.astype(np.uint8) + np.array(n - 2, np.uint8),
    "filled array": lambda x, n: x.astype(np.int8) + np.full(4, n * 100, np.int8),
    "list": lambda x, n: x * len([0.0] * n),
    "tuple in front": lambda x, n: x * sum(n * (1, 2)),
    "text of a list": lambda x, n: {"[1]": x, "[2]": x * 2}.get(str([n]), x * 9),
    "text by repr": lambda x, n: {"1": x, "2": x * 2}.get(f"{n!r}", x * 9),
    "class of containers": lambda x, n: x * (1 if isinstance(n, (Iterable, Sized)) else 2),
    "dtype": lambda x, n: x.astype(np.result_type(np.float32, n)),
    "decimals": lambda x, n: x * round(n + 0.285, 2),
    "opposite": lambda x, n: x * ~(n > 1),
    "last of both": lambda x, n: x if np.logical_and(n, 3) > 1 else x * 2,  # NumPy's is no number, unlike Python's
    "many digits": lambda x, n: x * float(n * n * n * n),
}


def _outcome(f: Callable[..., Any], *args: Any) -> Any:
    try:
        with np.errstate(all="ignore"):
            return f(*args)
    except (ArithmeticError, ValueError, TypeError, IndexError) as error:
        return error


def _agree(one: Any, other: Any) -> None:
    if isinstance(one, Exception) or isinstance(other, Exception):
        assert isinstance(one, Exception), other
        assert isinstance(other, Exception), one
        return
    assert type(one) is type(other)
    if isinstance(one, tuple):
        for a, b in zip(one, other, strict=True):
            _agree(a, b)
        return
    values = [np.asarray(x.numpy() if isinstance(x, tg.Tensor) else x) for x in (one, other)]
    assert values[0].dtype == values[1].dtype
    np.testing.assert_allclose(values[0], values[1], rtol=1e-13)
    np.testing.assert_array_equal(np.signbit(values[0].real), np.signbit(values[1].real))


@pytest.mark.long
@pytest.mark.parametrize("is_argument", [True, False])
@pytest.mark.parametrize("numbers", [WHOLE, REAL], ids=["whole", "real"])
@pytest.mark.parametrize("name", [*COMPUTED, *NEEDED])
def test_any_value(name: str, numbers: tuple[Any, ...], is_argument: bool, backend: str) -> None:
    """The result is that of the function itself, or both raise an error; as an argument, and as a global name."""
    global NUMBER
    f = {**COMPUTED, **NEEDED}[name]

    def by_name(x: Any) -> Any:
        return f(x, NUMBER)

    compiled = tg.compile(f if is_argument else by_name, backend)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in numbers:
            if name in NEEDED and (type(number) is float or number > 9):
                break  # an axis, say, is a small whole number
            NUMBER = number
            args = (X, number) if is_argument else (X,)
            _agree(_outcome(compiled, *args), _outcome(f, X, number))


@pytest.mark.parametrize("name", sorted({*COMPUTED} - SEVERAL))
def test_one_program_serves_all_values(name: str, backend: str) -> None:
    compiled = tg.compile(COMPUTED[name], backend)
    for number in (1.5, 2.5, 4.5, 5.5, 6.5):
        _agree(compiled(X, number), COMPUTED[name](X, number))
    assert repr(compiled).endswith("2 programs>")


def test_a_rate_trains_as_eager_does(backend: str) -> None:
    """The rate changes in each call, and the batch begins elsewhere; a branch goes by the epoch."""

    def trained(compiled: Callable[[Any], Any]) -> Any:
        weight = tg.tensor(np.zeros(4), requires_grad=True)

        @compiled
        def step(rate: float, start: int, *, epoch: int) -> Any:
            rows = X[start : start + 2]
            loss = np.mean((rows @ weight / 10 - 1) ** 2)
            weight.grad = None
            loss.backward()
            with tg.no_grad():
                weight.data = weight.data - (rate if epoch < 4 else rate / 2) * weight.grad.data
            return loss

        losses = [step(0.1 / (1 + i), i % 3, epoch=i) for i in range(12)]
        return [float(x) for x in losses], weight.numpy(), step

    losses, weight, step = trained(lambda f: tg.compile(f, backend))
    expected, expected_weight, _ = trained(lambda f: f)
    np.testing.assert_allclose(losses, expected, rtol=1e-12)
    np.testing.assert_allclose(weight, expected_weight, rtol=1e-12)
    assert repr(step).endswith("3 programs>")


@pytest.mark.parametrize("divisor", [1, 3, 2.5])
def test_decisions_are_those_of_python(divisor: float, backend: str) -> None:
    """Each way through the branches has a program, and a call goes the way that Python goes."""

    def f(x: Any, n: Any) -> Any:
        if (n % divisor == 0 and n // divisor > 1) or not -n / divisor < n - 1 <= 5:
            return x * n
        return x - n if min(n, 4) * 2 != 6 else x + abs(n)

    compiled = tg.compile(f, backend)
    for number in (1, 2, 3, 6, 5, -3, 7, -1, 4, 1.5, 2.5, 5.0, -2.5, 6.0, 3.0, 2, 1):
        _agree(compiled(X, number), f(X, number))


class Batch:
    def __init__(self, x: Any) -> None:
        self.x = x


@pytest.mark.parametrize("make", [Batch, lambda x: f"batch {x[0, 0]}"], ids=["object", "text"])
def test_recordings_in_vain(make: Callable[[Any], Any], backend: str) -> None:
    """If each call needs a program of its own, the function itself soon runs; what comes back has its program."""

    def f(x: Any, batch: Any) -> Any:
        return x * 2 + (batch.x if isinstance(batch, Batch) else len(batch))

    compiled = tg.compile(f, backend)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for i in range(100):
            batch = make(X + i)
            np.testing.assert_array_equal(compiled(X, batch), f(X, batch))
        assert int(repr(compiled).split()[-2]) <= 15
        for _ in range(200):
            np.testing.assert_array_equal(compiled(X, batch), f(X, batch))
    assert compiled._latest is not None
    assert compiled._latest.was_used
