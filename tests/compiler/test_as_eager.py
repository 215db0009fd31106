"""What eager code may do, compiled code may do too, or it says what to write."""

import copy
import ctypes
import gc
import math
import pickle
import sys
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.transforms.test_backward_inside import CHECKPOINTED
from tinygrad_lite import nn, optim, trees
from tinygrad_lite.engine.registry import answer_to
from tinygrad_lite.errors import AnomalyError, GraphError, NoDerivativeError, UncompiledWarning, UsageError
from tinygrad_lite.foundation.signatures import path_of

X = np.array([1.0, -2.0, 3.0])

REFUSES_NO_BOUND = np.lib.NumpyVersion(np.__version__) < "2.1.0"


def after_backward(x: Any, w: Any) -> Any:
    loss = np.sum(w * x)
    loss.backward()
    return loss / 3, loss


def total(x: Any, w: Any) -> Any:
    found = 0
    for i in range(3):
        loss = np.sum(w * x) * i
        loss.backward()
        found = found + loss
    return found, w * 2


def checkpointed(x: Any, w: Any) -> Any:
    inner = tg.checkpoint(lambda y: np.sin(w * y))
    loss = np.sum(inner(inner(x)))
    loss.backward()
    return loss


STEPS = [after_backward, total, checkpointed]


@pytest.mark.parametrize("step", STEPS)
def test_graphs_that_are_freed_or_run_again(backend: str, step: Callable[[Any, Any], Any]) -> None:
    weights = [tg.tensor([0.5, 1.0, 2.0], requires_grad=True) for _ in range(2)]
    compiled = tg.compile(step, backend)
    for i in range(3):
        results = []
        for f, w in zip((step, compiled), weights, strict=True):
            w.grad = None
            results.append(f(X + i, w))
        for expected, found in zip(*[r if isinstance(r, tuple) else (r,) for r in results], strict=True):
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)
        np.testing.assert_allclose(weights[1].grad.numpy(), weights[0].grad.numpy(), rtol=1e-12)
    freed, *_ = results[1] if isinstance(results[1], tuple) else results[1:]
    with pytest.raises(GraphError):
        freed.backward()
    if step is total:
        np.sum(results[1][1]).backward()  # a result whose history is there


def test_a_checkpointed_gradient_of_a_compiled_result(backend: str) -> None:
    w = tg.tensor([0.5, 1.0, 2.0], requires_grad=True)
    f = tg.compile(lambda x: np.sum(tg.checkpoint(lambda y: np.sin(w * y))(x)), backend)
    for _ in range(2):
        w.grad = None
        f(X).backward()
        np.testing.assert_allclose(w.grad.numpy(), np.cos(w.numpy() * X) * X, rtol=1e-12)


class Scaled:
    def __init__(self, scale: float) -> None:
        self.scale = scale

    @tg.compile
    def __call__(self, x: Any) -> Any:
        return x * self.scale

    @tg.compile
    def method(self, x: Any) -> Any:
        """Scale."""
        return x * self.scale


class Model(nn.Module):
    """A model with a compiled method, a compiled function of one of its methods, and one of a part of it."""

    def __init__(self) -> None:
        self.inner = nn.Linear(3, 3, rng=0)
        self.fast = tg.compile(self.plain, "numpy")
        self.part = tg.compile(self.inner, "numpy")

    def plain(self, x: Any) -> Any:
        return np.tanh(self.inner(x))

    @tg.compile
    def decorated(self, x: Any) -> Any:
        return self.plain(x)

    def forward(self, x: Any) -> Any:
        return self.fast(x) + self.decorated(x) + self.part(x)


def expected_of(model: Model, x: Any) -> Any:
    return (2 * np.tanh(model.inner(x)) + model.inner(x)).numpy()


def test_methods() -> None:
    one, other = Scaled(2.0), Scaled(3.0)
    for _ in range(3):
        for thing in (one, other):
            np.testing.assert_array_equal(thing.method(X), X * thing.scale)
        one.scale += 1.0
    assert one.method.source.startswith("def method(x")
    assert one.method is one.method
    assert Scaled.method.__doc__ == "Scale."
    np.testing.assert_array_equal(one.method.repeat(2, X), np.stack([X * one.scale] * 2))
    np.testing.assert_array_equal(Scaled.method(other, X), X * 3)
    gone = weakref.ref(one)
    del one, thing
    gc.collect()
    assert gone() is None


def test_a_method_of_an_object_that_keeps_nothing() -> None:
    class Slotted:
        __slots__ = ()

        @tg.compile
        def method(self, x: Any) -> Any:
            return x

    with pytest.raises(UsageError, match=r"Slotted has no __dict__.*f = tg\.compile\(thing\.method\)"):
        Slotted().method(X)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["copy", "pickle"])
@pytest.mark.parametrize("is_used", [False, True])
def test_copies_of_a_module(duplicate: Callable[[Any], Any], is_used: bool) -> None:
    model = Model()
    if is_used:
        model(X), model(X)
    other = duplicate(model)
    other.inner.weight.data = other.inner.weight * 2
    for each in (model, other, model):
        np.testing.assert_allclose(each(X).numpy(), expected_of(each, X), rtol=1e-12)
    assert sorted(other.state_dict()) == ["inner.bias", "inner.weight"]
    assert len(list(other.parameters())) == 2
    scaled = duplicate(Scaled(5.0))
    np.testing.assert_array_equal(scaled.method(X), X * 5)


@tg.compile
def named(x: Any) -> Any:
    return x * 2


def test_a_compiled_function_of_a_module_is_pickled_by_its_name() -> None:
    assert pickle.loads(pickle.dumps(named)) is named


def test_gradients_of_a_module_with_compiled_methods() -> None:
    for is_used in (False, True):
        model = Model()
        if is_used:
            model(X), model(X)
        found = tg.grad(lambda m: np.sum(m(X)))(model)
        model.zero_grad()
        np.sum(model.inner(X) + 2 * np.tanh(model.inner(X))).backward()
        for name, parameter in model.named_parameters():
            np.testing.assert_allclose(found[name].numpy(), parameter.grad.numpy(), rtol=1e-12)
        np.testing.assert_allclose(model(X).numpy(), expected_of(model, X), rtol=1e-12)
        assert model.decorated.__wrapped__.__self__ is model


def test_values_that_are_kept_outside() -> None:
    kept: list[Any] = []

    def in_a_list(x: Any) -> Any:
        h = np.sin(x)
        kept.append(h)
        return h

    def an_argument(x: Any) -> Any:
        kept.append(x)
        return x * 2

    for f, words in (
        (in_a_list, r"keeps what it computes at test_as_eager\.py:\d+: h = np\.sin\(x\)"),
        (an_argument, "keeps x"),
    ):
        for x in (X, tg.tensor(X)):
            if f is an_argument and isinstance(x, tg.Tensor):
                continue
            with pytest.raises(UsageError, match=rf"(?s){words}.*return it, and keep what the call returns"):
                tg.compile(f, "numpy")(x)
            assert kept == []
    address = id(kept)  # which nobody can look behind
    with pytest.raises(UsageError, match="keeps what it computes"):
        tg.compile(lambda x: ctypes.cast(address, ctypes.py_object).value.append(x * 2), "numpy")(X)
    with pytest.raises(UsageError, match="the recording of a compiled function, which is over"):
        kept[0] + 1


def test_an_inner_function_that_knows_itself() -> None:
    def f(x: Any) -> Any:
        def power(n: int) -> Any:
            return x if n == 1 else x * power(n - 1)

        return power(3)

    compiled = tg.compile(f, "numpy")
    for _ in range(2):
        np.testing.assert_allclose(compiled(X), X**3)


@lru_cache
def _mask(n: int) -> Any:
    return np.tri(n)


def test_what_a_cache_keeps() -> None:
    f = tg.compile(lambda x: _mask(3) @ x, "numpy")
    for _ in range(3):
        np.testing.assert_allclose(f(X), np.tri(3) @ X)
    assert type(_mask(3)) is np.ndarray


def test_indexing_an_array_says_what_to_write() -> None:
    with pytest.raises(UsageError, match=r"write tg\.tensor\(np\.tri\(3\)\)\[y\] in place of np\.tri\(3\)\[y\]"):
        tg.compile(lambda y: np.tri(3)[y] * 2, "numpy")(np.array([0, 2]))
    f = tg.compile(lambda y: tg.tensor(np.eye(3))[y] * 2, "numpy")
    for kind in (np.array, tg.tensor):
        for y in ([0, 2], [1, 1]):
            np.testing.assert_array_equal(f(kind(y)).numpy(), np.eye(3)[y] * 2)


CONSTANTS: dict[str, Callable[[Any], Any]] = {
    "array": lambda x: (x + 1, np.zeros(2)),
    "view": lambda x: (x + 1, np.zeros((2, 2))[0]),
    "view of a recorded value": lambda x: (x + 1, np.reshape(x * 0 + np.zeros(3), (3, 1))),
    "in a dict": lambda x: {"a": np.zeros(2), "b": x},
    "alone": lambda x: np.zeros(2),
}


@pytest.mark.parametrize("f", CONSTANTS.values(), ids=CONSTANTS)
def test_returned_arrays_are_the_callers(backend: str, f: Callable[[Any], Any]) -> None:
    compiled = tg.compile(f, backend)
    for _ in range(4):
        result = compiled(X)
        array = result["a"] if isinstance(result, dict) else result[1] if isinstance(result, tuple) else result
        np.testing.assert_array_equal(array, np.zeros(array.shape))
        array += 5.0


MOVED: dict[str, Callable[[Any], Any]] = {
    "itself": lambda x: x,
    "plus 0": lambda x: x + 0,
    "transposed": lambda x: x.T,
    "in another shape": lambda x: x.reshape(-1),
    "backwards": lambda x: x[::-1],
}
DERIVED: dict[str, Callable[[Any], Any]] = {
    "vjp": lambda f: lambda x, g: tg.vjp(f, x)[1](g),
    "jvp": lambda f: lambda x, g: tg.jvp(f, (g,), (x,))[1],
    "grad": lambda f: lambda x, g: tg.grad(lambda x: np.sum(f(x) * g))(x),
    "hvp": lambda f: lambda x, g: tg.hvp(lambda y: 0.5 * np.sum(f(y) ** 2), (x,), (x,)),
}


@pytest.mark.long
@pytest.mark.parametrize("transform", DERIVED)
@pytest.mark.parametrize("name", MOVED)
def test_derivatives_share_no_memory_with_what_was_passed(backend: str, transform: str, name: str) -> None:
    f = DERIVED[transform](MOVED[name])
    x = np.arange(6.0).reshape(2, 3)
    g = np.ones_like(MOVED[name](x), order="C") if transform != "jvp" else x + 1
    compiled = tg.compile(f, backend)
    for _ in range(3):
        expected, found = (trees.leaves(function(x, g)) for function in (f, compiled))
        for ours, eager in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, eager)
            assert ours.flags.writeable
            assert not any(np.shares_memory(y, given) for y in (ours, eager) for given in (x, g))


def test_a_weight_of_another_dtype(backend: str) -> None:
    def world(compiled: bool) -> tuple[Any, Any]:
        w = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
        optimizer = tg.optim.SGD([w], lr=0.1)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = np.sum(w * x)
            loss.backward()
            optimizer.step()
            return loss

        return w, tg.compile(step, backend) if compiled else step

    (w, eager), (v, compiled) = world(False), world(True)
    for dtype in (np.float64, np.float64, np.float32, np.float32, np.float64):
        for t in (w, v):
            t.replace(np.array([1.0, 2.0, 3.0], dtype))
        for _ in range(2):
            expected, found = eager(X.astype(np.float32)), compiled(X.astype(np.float32))
            assert (found.dtype, v.dtype, v.grad.dtype) == (expected.dtype, w.dtype, w.grad.dtype)
            np.testing.assert_allclose(v.numpy(), w.numpy(), rtol=1e-6)


def test_anomalies_are_found_in_a_warm_step(backend: str) -> None:
    f = tg.compile(lambda x: np.log(x), backend)
    good, bad = tg.tensor([1.0]), tg.tensor([0.0])
    f(good), f(good)
    with tg.detect_anomaly(), pytest.raises(AnomalyError, match="log made -inf"):
        f(bad)
    assert f(good).item() == 0.0


def test_errors_are_raised_as_numpy_is_told_to(backend: str) -> None:
    f = tg.compile(lambda x: 1.0 / x, backend)
    good, bad = np.array([1.0]), np.array([0.0])
    noted: list[str] = []
    note = lambda kind, flag: noted.append(kind)  # noqa: E731
    f(good), f(good)
    for _ in range(2):
        with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
            f(bad)
        with np.errstate(divide="call", call=note):
            f(bad)
        assert noted.pop() == "divide by zero"
        with np.errstate(divide="ignore"), warnings.catch_warnings():
            warnings.simplefilter("error")
            assert f(bad)[0] == np.inf
        assert f(good)[0] == 1.0


def _caught(x: Any) -> Any:
    with np.errstate(divide="raise"):
        try:
            return 1.0 / x
        except FloatingPointError:
            return x * 0.0


def _called(x: Any) -> Any:
    noted: list[str] = []
    with np.errstate(divide="call", call=lambda kind, flag: noted.append(kind)):
        return 1.0 / x + len(noted)


def _warned(x: Any) -> Any:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        y = 1.0 / x
    return y + len(told)


def _warnings_are_errors(x: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            return 1.0 / x
        except RuntimeWarning:
            return x * 0.0


def _without_errors(x: Any) -> Any:
    with np.errstate(divide="ignore"):
        return 1.0 / x


def _without_warnings(x: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return 1.0 / x


@pytest.mark.parametrize("f", [_caught, _called, _warned, _warnings_are_errors])
def test_what_a_function_does_at_an_error_is_done_in_each_call(f: Callable[[Any], Any], backend: str) -> None:
    with pytest.raises(UsageError, match="does not look for floating-point errors"):
        tg.compile(f, backend)(np.ones(2))
    step = tg.compile(f, backend)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UncompiledWarning)
        for x in ([1.0, 2.0], [1.0, 2.0], [0.0, 2.0], [1.0, 2.0]):
            np.testing.assert_array_equal(step(np.array(x)), f(np.array(x)))


@pytest.mark.parametrize("f", [_without_errors, _without_warnings])
def test_warnings_that_a_function_hides_are_hidden(f: Callable[[Any], Any], backend: str) -> None:
    step = tg.compile(f, backend)
    for x in ([1.0, 2.0], [1.0, 2.0], [0.0, 2.0], [1.0, 2.0]):
        np.testing.assert_array_equal(step(np.array(x)), f(np.array(x)))


def test_shifts_of_bits(backend: str) -> None:
    f = lambda x: ((x >> 1) + (x << 2), 1 << x, 64 >> x)  # noqa: E731
    x = np.array([1, 4, 5])
    for kind in (np.asarray, tg.tensor):
        compiled = tg.compile(f, backend)
        for _ in range(2):
            for found, expected in zip(compiled(kind(x)), f(x), strict=True):
                np.testing.assert_array_equal(np.asarray(found), expected)
    for found, expected in zip(f(tg.tensor(x)), f(x), strict=True):
        np.testing.assert_array_equal(found.numpy(), expected)


FIXED: list[tuple[Any, Any]] = [
    (-3.0, 0.0),
    (-3.0, np.float64(0)),
    (-3.0, np.array(0.0)),
    ([1.0, 2.0], np.zeros(2)),
    ([1.0, 2.0], [5, 6]),
    ([[1.0, 2.0]], np.array([[3.0], [4.0]]).T),
    ([True, False], np.array([False, True])),
]


@pytest.mark.parametrize(("start", "value"), FIXED, ids=repr)
@pytest.mark.parametrize("reads_before", [False, True])
@pytest.mark.parametrize("by", ["data", "replace"])
def test_a_fixed_value_is_read_where_it_has_been_put(
    backend: str, start: Any, value: Any, reads_before: bool, by: str
) -> None:
    a, b = tg.tensor(start), tg.tensor(start)

    def step(w: Any) -> list[Any]:
        results = [w * 2] if reads_before else []
        if by == "data":
            w.data = value
        else:
            w.replace(np.array(value, w.dtype)[()])
        results += [w * 2, w.detach()]
        w.data = results[-2].detach().astype(w.dtype)
        return [*results, w * 2]

    compiled = tg.compile(lambda: step(a), backend)
    for _ in range(3):
        for found, expected in zip([*compiled(), a], [*step(b), b], strict=True):
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_threads_that_call_a_function_for_the_first_time(backend: str) -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(5):
            w = tg.tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)

            def f(x: Any, w: Any = w) -> Any:
                return np.sum(np.sin(x @ w) * w[0], axis=0)

            compiled = tg.compile(f, backend)
            with ThreadPoolExecutor(4) as pool:
                found = list(pool.map(lambda call: call(np.ones((4, 2))).numpy(), [compiled, f, compiled, f] * 4))
            for each in found:
                np.testing.assert_allclose(each, f(np.ones((4, 2))).numpy(), rtol=1e-12)
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "b", "B"])
@pytest.mark.parametrize(
    ("low", "high"),
    [
        (None, 1),
        (1, None),
        (None, 0.5),
        (-1, 2.5),
        (np.float32(0.5), None),
        pytest.param(None, None, marks=pytest.mark.skipif(REFUSES_NO_BOUND, reason="NumPy refuses it before 2.1")),
    ],
)
def test_a_bound_may_be_missing(backend: str, dtype: str, low: Any, high: Any) -> None:
    def f(x: Any) -> list[Any]:
        found = [np.clip(x, low, high), np.clip(tg.tensor(x), low, high).detach()]
        return [*found, tg.grad(lambda x: np.sum(np.clip(x, low, high) ** 2))(x)] if x.dtype.kind == "f" else found

    compiled = tg.compile(f, backend)
    for start in (0, 1):
        x = (np.arange(start, start + 6) % 4).astype(dtype)
        for found, expected in zip(compiled(x), f(x), strict=True):
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def _functions_without_a_derivative() -> dict[str, Callable[..., Any]]:
    found = {}
    for name in dir(np):
        function = getattr(np, name)
        if hasattr(function, "__wrapped__") or isinstance(function, np.ufunc):
            try:
                answer_to(function)
            except NoDerivativeError:
                found[path_of(function)] = function
    return found


WITHOUT_A_DERIVATIVE = _functions_without_a_derivative()
OF_NUMBERS = np.array([0.5, -1.0, 2.0, 3.0, 0.25, -0.5])
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "np.nextafter": (OF_NUMBERS, 2 * OF_NUMBERS),
    "np.isnat": (np.array(["2020-01-01", "NaT"], "M8[D]"),),
    "np.packbits": (OF_NUMBERS > 0,),
    "np.unpackbits": (np.arange(4, dtype=np.uint8),),
}


@pytest.mark.parametrize("name", WITHOUT_A_DERIVATIVE)
def test_functions_without_a_derivative(backend: str, name: str) -> None:
    """What NumPy computes of arrays, a program computes, too, if the shape of the result does not depend on values."""
    f = WITHOUT_A_DERIVATIVE[name]
    x = OF_NUMBERS
    compiled = tg.compile(lambda *arrays: f(*arrays), backend)
    for arrays in (ARGUMENTS.get(name, (x,)), ARGUMENTS.get(name, (x + 0.125,))):
        try:
            expected = f(*arrays)
        except TypeError:
            return  # it takes other things
        if not isinstance(expected, (np.ndarray, np.generic)) or name == "np.roots":
            with pytest.raises(UsageError):
                compiled(*arrays)
            return
        found = compiled(*arrays)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(UsageError, match=r"has no derivative|a tensor holds numbers"):
        tg.compile(lambda *arrays: f(*map(tg.tensor, arrays)), backend)(*arrays)


def test_functions_without_a_derivative_and_their_parameters(backend: str) -> None:
    def f(x: Any) -> Any:
        spectrum = np.fft.rfft(x, 4) * np.exp(-0.1 * np.arange(3))
        return np.fft.irfft(spectrum, n=6, norm="ortho"), np.nextafter(1.0, x), np.fft.fftshift(np.fft.fft(x))

    compiled = tg.compile(f, backend)
    for x in (OF_NUMBERS, OF_NUMBERS[::-1], OF_NUMBERS.astype(np.float32)):
        for found, expected in zip(compiled(x), f(x), strict=True):
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected, rtol=1e-15)

    def loss(w: Any, x: Any) -> Any:
        return np.sum(w * np.spacing(x))

    compiled = tg.compile(lambda w, x: tg.grad(loss)(w, x), backend)
    np.testing.assert_array_equal(compiled(X, X), np.spacing(X))
    with pytest.raises(NoDerivativeError, match=r"np\.spacing has no derivative"):
        tg.compile(lambda w, x: tg.grad(loss, argnums=1)(w, x), backend)(X, X)


def _entry(a: Any, x: Any) -> None:
    a[0] = x[0] * 2


LISTED = [1.0, 2.0, 3.0]
NEEDING: list[tuple[Callable[[Any, Any], Any], str]] = [
    (_entry, r"write np\.stack\(\[\.\.\.\]\) .* in place of array\[i\] = value"),
    (lambda a, x: a.__setitem__(slice(0, 2), x[:2]), r"np\.stack\(\[\.\.\.\]\)"),
    (lambda a, x: a.fill(x[0]), r"np\.stack\(\[\.\.\.\]\)"),
    (lambda a, x: np.array([x[0], x[1]], ndmin=2), r"tg\.array\(\[\.\.\.\]\) in place of np\.array"),
    (lambda a, x: np.asarray(x, order="F"), r"leave out np\.asarray"),
    (lambda a, x: np.r_[0.0, x], r"use np\.hstack.* or np\.column_stack.* in place of np\.r_"),
    (lambda a, x: np.c_[x, x], r"use np\.hstack.* or np\.column_stack.* in place of .*np\.c_"),
    (lambda a, x: np.full(3, x[0], order="F"), r"use np\.broadcast_to in place of np\.full"),
    (lambda a, x: np.take(a, np.argmax(x)), r"use np\.take\(tg\.tensor\(array\), indices\) in place of np\.take"),
    (lambda a, x: complex(x[0]), r"write t\.item\(\) in place of float"),
    (lambda a, x: x * x.item(1), r"write t\.item\(\) in place of float"),
    (lambda a, x: np.tile(x, 50).tolist(), r"keep tensors in place of"),  # of few entries, each is followed
    (lambda a, x: math.gamma(x[0]), r"NumPy's functions in place of those of math"),
    (lambda a, x: f"{x[0]:.3f}", r"print it after the call"),
    (lambda a, x: a[x.argmax()], r"write tg\.tensor\(a\)\[x\.argmax\(\)\] in place of a\[x\.argmax\(\)\]"),
    (lambda a, x: a[np.argsort(x)[:2]], r"write tg\.tensor\(a\)\[np\.argsort\(x\)\[:2\]\] in place of a\["),
    (lambda a, x: a[None, :][:, np.argsort(x)], r"write tg\.tensor\(a\[None, :\]\)\[:, np\.argsort\(x\)\] in place"),
    (lambda a, x: a[np.argsort(x), None], r"write tg\.tensor\(a\)\[np\.argsort\(x\), None\] in place of a\["),
    (lambda a, x: LISTED[x.argmax()], r"np\.stack\(LISTED\)\[x\.argmax\(\)\] if it is a list"),
    (lambda a, x: [1, 2][(x[0] > 0).astype(int)], r"np\.stack\(\[1, 2\]\)\["),
    (lambda a, x: a[: x.argmax()], r"an argument that is a plain number"),
    (
        lambda a, x: np.extract(x > 0, x),
        r"a sum over a mask, such as np\.sum\(np\.where\(condition, x, 0\)\), in place",
    ),
    (lambda a, x: np.piecewise(x, [x < 0, x > 1], [np.exp, np.sin, 2.0]), r"write np\.select.* in place of np\.piece"),
    (lambda a, x: np.compress(x > 0, x), r"in place of one over np\.extract or np\.compress"),
    (
        lambda a, x: nn.utils.rnn.pack_padded_sequence(np.ones((3, 3)), np.argsort(x) + 1, True, False).data,
        r"pass the lengths as a list",
    ),
    (lambda a, x: nn.utils.rnn.unpad_sequence(np.ones((3, 3)), np.argsort(x), True), r"pass the lengths as a list"),
    (
        lambda a, x: nn.functional.ctc_loss(np.zeros((4, 3, 2)), np.ones(3, int), [4, 4, 4], np.argsort(x)),
        r"targets as rows of one length, \(N, S\)",
    ),
    (lambda a, x: np.zeros(x.argmax()), r"an argument that is a plain number"),
    (lambda a, x: bytes(x.argmax()), r"an argument that is a plain number"),
    (lambda a, x: x * len(str(x)), ""),
    (lambda a, x: x * len(repr([x])), ""),
    (lambda a, x: x * len("".join(map(str, x))), ""),
    (lambda a, x: x * len(f"{x}"), ""),
    (lambda a, x: (print(x), x * 2)[1], ""),
]


@pytest.mark.long
@pytest.mark.parametrize("i", range(len(NEEDING)))
def test_what_needs_a_value_that_is_not_known_yet(i: int) -> None:
    f, instead = NEEDING[i]
    for given in (X, tg.tensor(X)):
        with pytest.raises(UsageError, match=f"(?s)needs a value while it is recorded at test_as_eager.*{instead}"):
            tg.compile(lambda x: f(np.tri(3)[0], x), "numpy")(given)


@pytest.mark.parametrize("schedule", [optim.lr_scheduler.LambdaLR, optim.lr_scheduler.MultiplicativeLR])
def test_a_schedule_whose_function_asks_for_the_step(schedule: Any) -> None:
    weight = tg.tensor(X, requires_grad=True)

    def step_with(function: Callable[[Any], Any], is_inside: bool) -> tuple[Any, Any]:
        optimizer = optim.SGD([weight], lr=0.1)
        rates = schedule(optimizer, function)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            np.sum(weight * x).backward()
            optimizer.step()
            if is_inside:
                rates.step()

        return step, rates

    with pytest.raises(UsageError, match=r"call the step\(\) of the schedule after the compiled function.*np\.min"):
        tg.compile(step_with(lambda t: [0.2, 0.4, 0.6][t], is_inside=True)[0], "numpy")(X)
    functions = lambda t: np.minimum(1.0, t / 5), lambda t: min(1.0, t / 5), lambda t: t / 5 if t < 5 else 1.0
    inside = [step_with(function, is_inside=True) for function in functions]
    outside, by_hand = step_with(functions[1], is_inside=False)
    compiled, compiled_outside = [tg.compile(step, "numpy") for step, _ in inside], tg.compile(outside, "numpy")
    for _ in range(8):
        compiled_outside(X)
        by_hand.step()
        for step, (_, rates) in zip(compiled, inside):
            step(X)
            np.testing.assert_allclose(rates.get_last_lr(), by_hand.get_last_lr(), rtol=1e-12)


def sum_of_waves(x: Any) -> Any:
    return np.sum(np.sin(x) * x)


def pulled(x: Any) -> Any:
    y, pull = tg.vjp(np.sin, x)
    return y, *pull(y)


TRANSFORMED: dict[str, Callable[[Any], Any]] = {
    "grad": lambda x: [tg.grad(sum_of_waves)(x)],
    "value_and_grad": tg.value_and_grad(sum_of_waves),
    "vjp": pulled,
    "jvp": lambda x: tg.jvp(np.sin, (x,), (np.ones(3),)),
    "hvp": lambda x: [tg.hvp(sum_of_waves, (x,), (np.ones(3),))],
    "jacobian": lambda x: [tg.jacobian(np.sin)(x)],
    "hessian": lambda x: [tg.hessian(sum_of_waves)(x)],
    "of a constant": lambda x: [tg.grad(lambda x: np.sum(np.ones(3)))(x)],
}


@pytest.mark.long
@pytest.mark.parametrize("records", [True, False], ids=["grad", "no_grad"])
@pytest.mark.parametrize("requires_grad", [None, False, True], ids=["array", "constant", "variable"])
@pytest.mark.parametrize("f", TRANSFORMED.values(), ids=TRANSFORMED)
def test_a_transform_returns_tensors_where_it_does_eagerly(
    f: Callable[[Any], Any], requires_grad: bool | None, records: bool
) -> None:
    x = X if requires_grad is None else tg.tensor(X, requires_grad=requires_grad)
    compiled = tg.compile(f, "numpy")
    with tg.enable_grad() if records else tg.no_grad():
        for _ in range(3):
            kinds = [[(type(y), getattr(y, "requires_grad", False)) for y in g(x)] for g in (compiled, f)]
            assert kinds[0] == kinds[1]


Z = np.array([[5.0, 0.0, -3.0], [0.0, 1.5, 1.0]])
WITH_LISTS: dict[str, Callable[[Any], Any]] = {
    "a factor": lambda z: np.sum(z**2 * [1.0, 2.0, 3.0]),
    "a tuple of rows": lambda z: np.sum(np.matmul(z, ([1.0], [2.0], [3.0])) ** 2),
    "a condition": lambda z: np.sum(np.where([[True, False, True]], z**2, [0.0, 1.0, 2.0])),
    "places": lambda z: np.sum(np.take(z**2, [0, 5])),
    "an index": lambda z: np.sum(z[[0, 1], [1, 2]] ** 2),
    "subscripts": lambda z: np.sum(np.einsum("ij,j", z**2, [1, 2, 3.0])),
    "weights": lambda z: np.sum(np.average(z**2, axis=1, weights=[1, 2, 3])),
    "bounds": lambda z: np.sum(np.clip(z**2, [0, 1, 2], [4, 5, 6])),
    "a kernel": lambda z: np.sum(np.convolve(z[0] ** 2, [1, 2, 1.0])),
    "points and values": lambda z: np.sum(np.interp(z[0], [-4.0, 1.0, 6.0], [1.0, 2.0, 0.0])),
    "classes": lambda z: nn.functional.cross_entropy(z, [0, 1]),
    "classes of log-probabilities": lambda z: nn.functional.nll_loss(z, [0, 1]),
    "classes with margins": lambda z: nn.functional.multi_margin_loss(z, [0, 1]),
    "targets": lambda z: nn.functional.mse_loss(z, [[0, 1, 2], [3, 4, 5]]),
    "labels": lambda z: nn.functional.binary_cross_entropy_with_logits(z, [[0, 1, 1], [1, 0, 0]]),
    "numbers of rows": lambda z: np.sum(nn.functional.embedding([0, 1, 0], z**2)),
}


@pytest.mark.long
@pytest.mark.parametrize("name", WITH_LISTS)
def test_lists_stand_for_arrays(backend: str, name: str) -> None:
    f = tg.value_and_grad(WITH_LISTS[name])
    for found, expected in zip(tg.compile(f, backend)(Z), f(Z)):
        np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("transform", [lambda f: f, tg.grad, tg.hessian])
@pytest.mark.parametrize(
    "data",
    [
        np.ma.masked_array([1.0, 2.0, 3.0], [0, 1, 0]),
        np.array([1.0, 2.0, 3.0], object),
        np.ones((1, 3)).view(np.matrix),
    ],
)
def test_what_would_lose_its_meaning_is_refused(transform: Any, data: Any) -> None:
    with pytest.raises((UsageError, ValueError), match=r"multiply: |not aligned"):
        tg.compile(transform(lambda z: np.sum(z * data)))(Z)


def test_hooks_that_a_function_registers_and_removes(backend: str) -> None:
    model = nn.Sequential(nn.Linear(3, 4, rng=0), nn.Tanh(), nn.Linear(4, 2, rng=1))

    def step(x: Any) -> Any:
        features: list[Any] = []
        handles = [layer.register_forward_hook(lambda _, args, y: features.append(y)) for layer in model]
        loss = np.mean(model(x) ** 2)
        for handle in handles:
            handle.remove()
        model.zero_grad()
        (loss + sum(np.mean(np.abs(y)) for y in features)).backward()
        return loss, model[0].weight.grad

    compiled = tg.compile(step, backend)
    for i in range(3):
        for found, expected in zip(compiled(X + i), step(X + i), strict=True):
            np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)
    with model[1].register_forward_hook(lambda _, args, y: y * 2):
        np.testing.assert_allclose(compiled(X)[0].item(), step(X)[0].item(), rtol=1e-12)


@pytest.mark.parametrize("kind", [np.array, tg.tensor], ids=["array", "tensor"])
def test_a_rate_may_be_an_array_or_a_tensor(backend: str, kind: Any) -> None:
    weights = [tg.tensor(X, requires_grad=True) for _ in range(2)]
    optimizers = [optim.SGD([weight], lr=0.1) for weight in weights]

    def step(i: int) -> None:
        optimizers[i].zero_grad()
        np.sum(weights[i] ** 2).backward()
        optimizers[i].step()

    compiled = tg.compile(lambda: step(0), backend)
    for rate in (0.1, kind(0.2), kind(0.05), 0.3, kind(0.01)):
        for optimizer in optimizers:
            optimizer.lr = rate
        for _ in range(2):
            compiled()
            step(1)
            np.testing.assert_allclose(weights[0].numpy(), weights[1].numpy(), rtol=1e-12)


class Counting:
    count = 0

    def turn(self, x: Any) -> Any:
        self.count += 1
        return x * self.count if type(self.count) is int else x * 0

    def kind(self) -> str:
        return type(self).__name__


ASKING: dict[str, Callable[[Any], Any]] = {
    "is": lambda x: x * 2 if type(x) is np.ndarray else -x,
    "is not": lambda x: -x if type(x) is not np.ndarray else x * 2,
    "equal": lambda x: x * 2 if type(x) == np.ndarray else -x,  # noqa: E721
    "among others": lambda x: x * 2 if type(x) in (list, np.ndarray) else -x,
    "a key": lambda x: {np.ndarray: np.exp, float: np.sin}[type(x)](x),
    "of a number": lambda x: x * (2 if type(x.sum()) is np.float64 else 3),
    "of an item": lambda x: x * (2 if type(x.sum().item()) is float else 3),
    "of a tensor": lambda x: x * (2 if type(tg.tensor(x)) is tg.Tensor else 3),
    "inside": lambda x: sum(y * 2 for y in (x, x) if (lambda z: type(z))(y) is np.ndarray),
    "of a type": lambda x: x * (2 if type(type(x)) is type and isinstance(type(x), type) else 3),
    "a new class": lambda x: x * type("Two", (), {"two": 2})().two,
    "a metaclass": lambda x: x * len(type.mro(np.ndarray)),
    "a name": lambda x: x * len(Counting().kind()),
    "a class of classes": lambda x: x * (2 if type(_of_a_class_of_classes()) is not type else 3),
    "not of a class of classes": lambda x: x * (2 if isinstance(int, type(_of_a_class_of_classes())) else 3),
}


def _of_a_class_of_classes() -> type:
    class Kind(type):
        pass

    class Made(metaclass=Kind):
        pass

    return Made


@pytest.mark.parametrize("case", ["turn", *ASKING])
def test_the_type_of_a_value(backend: str, case: str) -> None:
    f, same_again = (getattr(Counting(), case, ASKING.get(case)) for _ in range(2))
    compiled = tg.compile(same_again, backend)
    for i in range(3):
        np.testing.assert_array_equal(compiled(X + i), f(X + i))
    assert "type" not in globals()


def _printing(x: Any) -> Any:
    print("x is", x, [x])
    return x * 2


@pytest.mark.parametrize("given", [X, tg.tensor(X)], ids=["array", "tensor"])
def test_a_statement_that_only_prints_is_not_refused(given: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert tg.compile(_printing, "numpy")(given).tolist() == (X * 2).tolist()
    assert "Recorded(float64" in capsys.readouterr().out


@pytest.mark.parametrize("f", CHECKPOINTED)
@pytest.mark.filterwarnings("ignore::tinygrad_lite.errors.UncompiledWarning")
def test_a_compiled_function_with_such_checkpoints(f: Callable[[Any, Any], Any], backend: str) -> None:
    w = tg.tensor([3.0, 4.0], requires_grad=True)

    def step(x: Any) -> Any:
        x.grad = None
        part = tg.checkpoint(lambda x: f(w, x))
        loss = part(x) + part(x)
        loss.backward()
        return loss.item(), x.grad

    def results(step: Any) -> Any:
        w.grad, x = None, tg.tensor([0.5, -2.0], requires_grad=True)
        return [(step(x), w.grad.numpy()) for _ in range(3)]

    assert str(results(tg.compile(step, backend))) == str(results(step))
