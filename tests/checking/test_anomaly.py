"""detect_anomaly: what made the NaN or the infinity, where, from what, and what helps; no alarm where all is well."""

import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.checking.auditing.anomaly import detect_anomaly
from tinygrad_lite.engine.tensor import Tensor, positive
from tinygrad_lite.errors import AnomalyError, TinygradError
from tinygrad_lite.nn import functional
from tinygrad_lite.ops.shapes.indexing import Scattered

KEEP = np.array([True, False, True])
HUGE = np.full((2, 2), 1e200)

# what is summed and played back, at which numbers; the operation to blame, the pass, and words of the advice
ANOMALIES: dict[str, tuple[Callable[..., Any], list[Any], str, str]] = {
    "log of 0": (np.log, [[1.0, 0.0]], "log made -inf in the forward", "np.log(np.clip(x, 1e-12, None))"),
    "log of less": (np.log, [[-1.0]], "log made nan in the forward", "log_softmax"),
    "log10": (np.log10, [[0.0]], "log10 made -inf in the forward", "np.log10(np.clip"),
    "log1p": (np.log1p, [[-1.0]], "log1p made -inf in the forward", "-1 + 1e-6"),
    "sqrt of less": (np.sqrt, [[-1e-9]], "sqrt made nan in the forward", "np.clip(x, 0, None)"),
    "1 / 0": (lambda a: 1 / a, [[0.0, 1.0]], "divide made inf in the forward", "np.where(b == 0, 1, b)"),
    "0 / 0": (lambda a, b: a / b, [[0.0], [0.0]], "divide made nan in the forward", "double where"),
    "reciprocal": (np.reciprocal, [[0.0]], "reciprocal made inf in the forward", "double where"),
    "where over divide": (lambda a: np.where(a == 0, 0, 1 / a), [[0.0]], "divide made inf in the forward", "double"),
    "where over log": (
        lambda a: np.where(a > 0, np.log(a), 0),
        [[0.0]],
        "log made -inf in the forward",
        "double where",
    ),
    "0 ** -1": (lambda a: a**-1.0, [[0.0]], "power made inf in the forward", "negative power"),
    "-1 ** 0.5": (lambda a: a**0.5, [[-1.0]], "power made nan in the forward", "fractional"),
    "exp": (np.exp, [[1000.0]], "exp made inf in the forward", "logsumexp"),
    "softmax by hand": (lambda x: np.exp(x) / np.sum(np.exp(x)), [[800.0, 0.0]], "exp made inf", "log_softmax"),
    "arccos": (np.arccos, [[1.5]], "arccos made nan in the forward", "np.arccos(np.clip(x, -1 + 1e-7"),
    "arctanh": (np.arctanh, [[1.0]], "arctanh made inf in the forward", "np.arctanh(np.clip"),
    "arccosh": (np.arccosh, [[0.5]], "arccosh made nan in the forward", "1 + 1e-7"),
    "square": (np.square, [[1e200]], "square made inf in the forward", "standardise"),
    "matmul": (lambda a, b: a @ b, [HUGE, HUGE], "matmul made inf in the forward", "1.8e+308"),
    "float16": (lambda x: x * 2, [np.float16([60000.0])], "multiply made inf in the forward", "6.55e+04"),
    "cast": (lambda x: x.astype(np.float32), [[1e200]], "cast made inf in the forward", "wider dtype"),
    "slogdet": (lambda a: np.linalg.slogdet(a)[1], [np.zeros((2, 2))], "log_abs_det made -inf", "np.eye(n)"),
    "mean of none": (lambda x: np.mean(x[:0]), [[1.0]], "mean made nan in the forward", "no entries"),
    "inf - inf": (lambda x: np.where(KEEP, x, -np.inf) - np.inf + np.inf, [np.ones(3)], "add made nan", "-1e9"),
    "mask times inf": (lambda x: np.where(KEEP, x, np.inf) * KEEP, [np.ones(3)], "multiply made nan", "np.where(mask"),
    "beside a mask": (lambda x: np.exp(np.where(KEEP, x, -np.inf)), [[1.0, 1.0, 999.0]], "exp made inf", "subtract"),
    "all masked": (lambda x: functional.softmax(x * 0 - np.inf), [[1.0, 2.0]], "softmax made nan", "unmasked"),
    "given nan": (lambda x: x[1:] * 2, [[1.0, np.nan]], "multiply was given nan in the forward", "missing values"),
    "sqrt at 0": (np.sqrt, [[0.0]], "sqrt made inf in the backward", "np.linalg.norm"),
    "norm by hand": (lambda x: np.sqrt(np.sum(x * x)), [np.zeros(3)], "sqrt made inf in the backward", "safe norm"),
    "where over sqrt": (lambda x: np.where(x > 0, np.sqrt(x), 0), [[0.0]], "sqrt made nan in the back", "double where"),
    "where over power": (lambda x: np.where(x > 0, x**0.5, 0), [[0.0]], "power made nan in the back", "did not choose"),
    "cbrt": (np.cbrt, [[0.0]], "cbrt made inf in the backward", "double where"),
    "power at 0": (lambda x: x**0.5, [[0.0]], "power made inf in the backward", "below 1"),
    "exponent": (lambda a, b: a**b, [[-2.0], [2.0]], "power made nan in the backward", "np.clip(a"),
    "arcsin at 1": (np.arcsin, [[1.0]], "arcsin made inf in the backward", "np.arcsin(np.clip"),
    "arccosh at 1": (np.arccosh, [[1.0]], "arccosh made inf in the backward", "1 + 1e-7"),
    "arctan2": (np.arctan2, [[0.0], [0.0]], "arctan2 made nan in the backward", "origin"),
    "tiny divisor": (lambda a, b: a / b, [[1.0], [1e-200]], "divide made -inf in the backward", "double where"),
    "summed gradient": (
        lambda b: b * np.full(9, 1e308),
        [1e-8],
        "multiply made inf in the backward",
        "average",
    ),
    "stacked": (lambda x: np.sum(np.sqrt(np.stack([x, x]))), [[0.0]], "sqrt made inf in the backward", "infinite"),
}

SAFE = [[0.0, 2.0]]  # where the operations above fail, and the remedies do not

FINE: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "attention mask": (lambda x: functional.softmax(np.where(KEEP, x, -np.inf)), [[1.0, 2.0, 3.0]]),
    "additive mask": (lambda x: functional.log_softmax(x + np.where(KEEP, 0, -np.inf))[KEEP], [[1.0, 2.0, 3.0]]),
    "logsumexp with -inf": (lambda x: functional.logsumexp(np.where(KEEP, x, -np.inf)), [[1.0, 2.0, 3.0]]),
    "logsumexp of -inf": (lambda x: np.exp(functional.logsumexp(np.where(KEEP[1], x, -np.inf))), [[1.0, 2.0]]),
    "maximum with -inf": (lambda x: np.maximum(x, -np.inf), [[1.0, 2.0]]),
    "initial": (lambda x: np.max(x, initial=-np.inf, where=KEEP), [[1.0, 2.0, 3.0]]),
    "padding": (lambda x: np.max(np.pad(x, 1, constant_values=-np.inf)), [[1.0, 2.0]]),
    "exp of -inf": (lambda x: np.exp(np.where(KEEP, x, -np.inf)), [[1.0, 2.0, 3.0]]),
    "clip without bounds": (lambda x: np.clip(x, -np.inf, np.inf), [[1.0, 2.0]]),
    "clip without one": (lambda x: np.clip(x, None, 5.0), [[1.0, 9.0]]),
    "double where": (lambda x: np.where(x == 0, 0, 1 / np.where(x == 0, 1, x)), [[0.0, 2.0]]),
    "norm at 0": (np.linalg.norm, [np.zeros(3)]),
    "std at 0": (np.std, [np.ones(3)]),
    "replaced nan": (lambda x: np.where(np.isnan(x), 0, x) * 2, [[1.0, np.nan]]),
    "moved nan": (lambda x: np.nan_to_num(x.reshape(2, 1)[::-1]), [[1.0, np.nan]]),
    "nanmean": (np.nanmean, [[1.0, np.nan]]),
    "leaky clip": (lambda x: functional.leaky_relu(x) + np.clip(x, 0, 1), [[-1e300, 1e300]]),
    "question": (lambda x: x * np.isinf(x) + np.isnan(x), [[1.0, 2.0]]),
    "cross entropy of confident logits": (
        lambda x: functional.cross_entropy(x, np.array([0])),
        [[[-1e4, 1e4]]],
    ),
    "remedy of log": (lambda x: np.log(np.clip(x, 1e-12, None)), SAFE),
    "remedy of log under where": (lambda x: np.where(x > 0, np.log(np.where(x > 0, x, 1)), 0), SAFE),
    "remedy of log1p": (lambda x: np.log1p(np.clip(x, -1 + 1e-6, None)), [np.float32([-1.0, 2.0])]),
    "remedy of sqrt": (lambda x: np.where(x > 0, np.sqrt(np.where(x > 0, x, 1)), 0), SAFE),
    "remedy of a norm": (lambda x: np.sqrt(np.sum(x * x) + 1e-12), [np.zeros(3)]),
    "remedy of divide": (lambda a, b: np.where(b == 0, 0, a / np.where(b == 0, 1, b)), [[1.0, 1.0], [0.0, 2.0]]),
    "remedy of power": (lambda a: np.clip(a, 1e-12, None) ** 0.5, SAFE),
    "remedy of exp": (lambda x: np.exp(x - np.max(x, axis=-1, keepdims=True)), [[1000.0, 0.0]]),
    "remedy of arcsin": (lambda x: np.arcsin(np.clip(x, -1 + 1e-7, 1 - 1e-7)), [np.float32([-1.0, 1.0])]),
    "remedy of arccosh": (lambda x: np.arccosh(np.clip(x, 1 + 1e-7, None)), SAFE),
    "remedy of arctan2": (lambda a, b: np.arctan2(a, np.where((a == 0) & (b == 0), 1, b)), [[0.0, 1.0], [0.0, 2.0]]),
    "remedy of a mask": (lambda x: functional.softmax(np.where(False, x, -1e9)), [[1.0, 2.0]]),
    "integers": (lambda x: np.sum(x * np.arange(3) // 2), [np.ones(3)]),
}


def run(f: Callable[..., Any], numbers: list[Any], **how: Any) -> list[Any]:
    inputs = [tg.tensor(x, requires_grad=True) for x in numbers]
    np.sum(f(*inputs)).backward(**how)
    return inputs


def anomaly(f: Callable[..., Any], *args: Any, **how: Any) -> str:
    with pytest.raises(AnomalyError) as caught, detect_anomaly():
        f(*args, **how)
    return str(caught.value)


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", ANOMALIES)
def test_the_culprit_is_named(name: str, create_graph: bool) -> None:
    f, numbers, head, remedy = ANOMALIES[name]
    message = anomaly(run, f, numbers, create_graph=create_graph)
    first, source, *_ = message.splitlines()
    assert first.startswith(head), message
    assert source.strip().startswith(f"{Path(__file__).name}:"), message
    assert remedy in message.partition("remedy: ")[2]


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("name", FINE)
def test_no_false_alarm(name: str, create_graph: bool) -> None:
    with detect_anomaly():
        run(*FINE[name], create_graph=create_graph)


def loss_of(p: Any) -> Any:
    return -np.mean(np.log(p))  # the line to be named


def root_of(x: Any) -> Any:
    return np.sqrt(x) + 1


def test_a_message() -> None:
    p = tg.tensor([[0.25], [0.5], [0.0], [0.0]], requires_grad=True, name="p")
    line = loss_of.__code__.co_firstlineno + 1
    assert anomaly(loss_of, p).splitlines()[:4] == [
        "log made -inf in the forward pass",
        f"  test_anomaly.py:{line}: return -np.mean(np.log(p))  # the line to be named",
        "  at [2, 0], the first of 2 such entries: log(0.0) = -inf",
        "  input 0 'p': float64[4, 1] from 0.0 to 0.5",
    ]


def test_a_message_of_the_backward_pass() -> None:
    x = tg.tensor([4.0, 0.0], requires_grad=True, name="x")

    def step() -> None:
        root = np.sqrt(x)
        np.sum(3 * root).backward()

    head, source, place, upstream, given, *_ = anomaly(step).splitlines()
    assert head == "sqrt made inf in the backward pass, in the gradient of input 0 'x'"
    assert source.endswith("root = np.sqrt(x)")
    assert place == "  at [1]: sqrt(0.0) = 0.0, the upstream gradient was 3.0, and inf was handed on"
    assert upstream == "  the upstream gradient: float64[2] from 3.0 to 3.0"
    assert given == "  input 0 'x': float64[2] from 0.0 to 4.0"


def test_large_and_many_arrays_are_summarised() -> None:
    x = tg.tensor(np.linspace(0, 1, 100_000).reshape(100, 1000), requires_grad=True)
    message = anomaly(lambda: np.log(np.concatenate([x] * 9)[::100]))
    assert "float64[9, 1000] from 0.0" in message
    many = anomaly(lambda: np.concatenate([x, *[np.full((1, 1000), np.nan)] * 9]) * 1)
    assert "9,000 × nan, first at [100, 0]" in many
    assert len(many) < 1000
    assert "and 6 more inputs" in anomaly(lambda: np.einsum("a,b,c,d,e,f,g,h,i,i->", *[HUGE[0] + 0 * x[0, 0]] * 10))


DERIVATIVES: dict[str, tuple[Callable[[], Any], str]] = {
    "grad": (lambda: tg.grad(np.sqrt)(0.0), "sqrt made inf in the backward"),
    "grad of grad": (lambda: tg.grad(tg.grad(lambda x: x**1.5))(0.0), "power, in the derivative of power, made inf"),
    "hessian": (lambda: tg.hessian(lambda x: np.sum(x**1.5))(np.zeros(2)), "power, in the derivative of power, made"),
    "vjp": (lambda: tg.vjp(np.sqrt, np.zeros(2))[1](np.ones(2)), "sqrt made inf in the backward"),
    "checkpoint": (lambda: tg.grad(tg.checkpoint(root_of))(0.0), "sqrt made inf in the backward"),
    "custom rule": (
        lambda: tg.grad(tg.custom_gradient(lambda x: (x + 1, lambda g: g / x)))(0.0),
        "function made inf in the backward",
    ),
    "no_grad": (lambda: tg.no_grad()(loss_of)(tg.tensor(0.0)), "log made -inf in the forward"),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_transforms_inside_the_block(name: str) -> None:
    f, head = DERIVATIVES[name]
    message = anomaly(f)
    assert message.startswith(head)
    assert f"{Path(__file__).name}:" in message


def test_second_backward_pass_names_the_forward_line() -> None:
    x = tg.tensor([1.0, 0.0], requires_grad=True)

    def twice() -> None:
        y = np.power(x, 1.5)
        np.sum(y).backward(create_graph=True)
        np.sum(x.grad).backward()

    assert "y = np.power(x, 1.5)" in anomaly(twice)


def test_a_gradient_that_nobody_in_the_block_made() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    before = np.sqrt(x * 0)
    with pytest.raises(AnomalyError, match="nan arrived at the result of multiply") as caught, detect_anomaly():
        (x * 2).backward(np.array([1.0, np.nan]))
    assert "backward() was given" in str(caught.value)
    with detect_anomaly(), np.errstate(divide="ignore"):
        np.sum(before).backward(retain_graph=True)  # made before: not watched, and divides by 0 as ever
    assert x.grad is not None


def test_what_is_made_inside_is_watched_inside_only() -> None:
    x = tg.tensor([0.0], requires_grad=True)
    with detect_anomaly():
        y = np.sqrt(x)
    with np.errstate(divide="ignore"):
        np.sum(y).backward()
    assert np.isposinf(x.grad.data[0])


def test_nesting_reentering_and_decorating() -> None:
    plain = Tensor.__trace__
    detection = detect_anomaly()
    with detection, detection:
        with detect_anomaly():
            assert Tensor.__trace__ is not plain
        with pytest.raises(AnomalyError):
            np.log(tg.tensor(0.0))
    assert Tensor.__trace__ is plain

    @detect_anomaly()
    def logarithm(x: Any) -> Any:
        """The logarithm."""
        return np.log(x)

    for _ in range(2):
        with pytest.raises(AnomalyError):
            logarithm(tg.tensor(0.0))
    assert logarithm.__doc__ == "The logarithm."
    assert Tensor.__trace__ is plain


def test_other_threads_are_left_alone() -> None:
    found: list[Any] = []

    def other() -> None:
        with np.errstate(divide="ignore"):
            found.append(np.log(tg.tensor(0.0)).item())

    with detect_anomaly():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert found == [-np.inf]


def test_two_threads_each_with_a_block() -> None:
    barrier = threading.Barrier(2)
    found: list[str] = []

    def watch() -> None:
        def wait_and_fail() -> None:
            barrier.wait()
            np.log(tg.tensor(0.0))

        found.append(anomaly(wait_and_fail))

    threads = [threading.Thread(target=watch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2


def test_nothing_changes_in_the_block() -> None:
    def compute() -> tuple[Any, ...]:
        x = tg.tensor([1.0, 2.0], requires_grad=True)
        y = functional.silu(np.concatenate([x, +x])[1:] * 2)
        np.sum(y).backward(create_graph=True)
        return repr(y), y.op.name, y.op.linear, y.op.derivatives, y.op.keywords, x.grad.tolist(), repr(x)

    with detect_anomaly():
        watched = compute()
    assert watched == compute()


def test_operations_keep_their_identity() -> None:
    with detect_anomaly():
        y = +tg.tensor(1.0, requires_grad=True)
    assert y.op is positive
    assert y.op.vjps is positive.vjps


def test_a_failing_pass_writes_no_gradient_and_leaves_numpy_settings() -> None:
    settings, plain = np.geterr(), Tensor.__trace__
    a, x = (tg.tensor([0.0, 1.0], requires_grad=True) for _ in range(2))
    anomaly(lambda: np.sum(a * 2 + np.sqrt(x)).backward())
    assert a.grad is None
    assert x.grad is None
    assert np.geterr() == settings
    assert Tensor.__trace__ is plain
    assert tg.grad(np.sin)(0.0) == 1


def test_graphs_are_freed_without_the_collector() -> None:
    gc.disable()
    try:
        with detect_anomaly():
            x = tg.tensor(np.ones(3), requires_grad=True)
            y = np.stack([x, x])
            alive = weakref.ref(y)
            z = np.sum(np.exp(y))
            del y, z
            assert alive() is None
    finally:
        gc.enable()


def test_the_error_is_of_both_kinds() -> None:
    assert issubclass(AnomalyError, TinygradError)
    assert issubclass(AnomalyError, FloatingPointError)


def test_other_errors_pass_through() -> None:
    with pytest.raises(np.linalg.LinAlgError), detect_anomaly():
        np.linalg.inv(tg.tensor(np.zeros((2, 2))))


def test_a_rule_that_sees_which_entries_were_read_is_checked_like_others() -> None:
    def quotient(g: Any, y: Any, x: Any) -> Any:
        return (g.whole() if isinstance(g, Scattered) else g) / x

    op = tg.primitive(lambda x: 1 * x, quotient, name="quotient_of_reads", deferred=True)
    x = tg.tensor([0.5, 0.0, 0.5], requires_grad=True)
    for read, message in (
        (lambda y: 3 * y[1:], r"quotient_of_reads made inf(.|\n)*the upstream gradient: .* to 3\.0\n"),
        (lambda y: 1e308 * y[:1] + 1e308 * y[:1], r"inf arrived at the result of quotient_of_reads"),
    ):
        with tg.detect_anomaly(), pytest.raises(AnomalyError, match=message):
            read(op(x)).sum().backward()
