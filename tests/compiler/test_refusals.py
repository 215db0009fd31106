"""Operations that refuse values: a compiled function handles the error as the function itself does."""

import array
import contextlib
import copy
import ctypes
import io
import json
import math
import statistics
import struct
import sys
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.compiler.outside import Turns
from tinygrad_lite import nn, optim, trees
from tinygrad_lite.compiler.compiled import Compiled
from tinygrad_lite.errors import InputError, UsageError

GOOD, BAD = np.array([[2.0, 0.0], [0.0, 4.0]]), np.zeros((2, 2))


def unless_refused(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def caught(x: Any) -> Any:
        try:
            return f(x)
        except np.linalg.LinAlgError:
            return 1e25 + np.sum(x)

    return caught


REFUSING: dict[str, Callable[[Any], Any]] = {
    "cholesky": lambda x: np.sum(np.linalg.cholesky(x)),
    "solve": lambda x: np.sum(np.linalg.solve(x, np.ones(2))),
    "inv": lambda x: np.trace(np.linalg.inv(x @ x)),
    "of a large matrix": lambda x: np.sum(np.linalg.inv(np.kron(np.eye(20), x))),
}


@pytest.mark.long
@pytest.mark.parametrize("name", REFUSING)
def test_an_error_that_a_function_catches(name: str, backend: str) -> None:
    f = unless_refused(REFUSING[name])
    for function in (f, tg.value_and_grad(f)):
        compiled = tg.compile(function, backend)
        for x in (GOOD, BAD, 2 * GOOD, BAD, GOOD):
            for found, expected in zip(trees.leaves(compiled(x)), trees.leaves(function(x)), strict=True):
                np.testing.assert_allclose(found, expected)


@pytest.mark.long
@pytest.mark.parametrize("drops", [True, False])
@pytest.mark.parametrize("name", REFUSING)
def test_a_step_that_is_left_out_for_an_error(
    name: str, drops: bool, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights, gradients and the optimiser stay as they were, and no program is looked for."""

    def trained(compiled: Any) -> tuple[Any, Callable[[], list[Any]]]:
        scale = tg.tensor(np.ones((2, 2)), requires_grad=True)
        optimizer = tg.optim.Adam([scale], lr=0.01)

        def step(x: Any) -> Any:
            try:
                loss = REFUSING[name](x * scale)
            except np.linalg.LinAlgError:
                return 1e25 + np.sum(x)
            loss.backward()
            optimizer.step()
            if drops:
                optimizer.zero_grad()
            return loss.detach()

        return compiled(step), lambda: [scale.detach(), scale.grad, *trees.leaves([*optimizer.state.values()])]

    (step, what_stays), (eager, expected) = trained(lambda f: tg.compile(f, backend)), trained(lambda f: f)
    for turn, x in enumerate((GOOD, 2 * GOOD, GOOD, GOOD, BAD, GOOD, BAD, BAD, GOOD)):
        if turn == 4:
            monkeypatch.setattr(Compiled, "fitting", lambda *_: pytest.fail("the program is looked for"))
        for a, b in zip([step(x), *what_stays()], [eager(x), *expected()], strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_allclose(a, b)


def test_an_error_that_a_function_does_not_catch(backend: str) -> None:
    compiled = tg.compile(np.linalg.inv, backend)
    np.testing.assert_allclose(compiled(GOOD), np.linalg.inv(GOOD))
    for _ in range(2):
        with pytest.raises(np.linalg.LinAlgError, match="Singular matrix") as caught:
            compiled(BAD)
        assert caught.value.__context__ is None or caught.value.__suppress_context__
    np.testing.assert_allclose(compiled(2 * GOOD), np.linalg.inv(2 * GOOD))


def test_histories_of_tensors(backend: str) -> None:
    compiled = tg.compile(unless_refused(REFUSING["cholesky"]), backend)
    for x in (GOOD, BAD, GOOD):
        leaf = tg.tensor(x, requires_grad=True)
        compiled(leaf).backward()
        np.testing.assert_allclose(leaf.grad, tg.grad(unless_refused(REFUSING["cholesky"]))(x))


def test_with_random_numbers_the_error_is_raised(backend: str) -> None:
    """The function itself would draw others."""
    rng = np.random.default_rng(0)
    compiled = tg.compile(unless_refused(lambda x: np.sum(rng.normal(size=2) @ np.linalg.inv(x))), backend)
    compiled(GOOD)
    with pytest.raises(np.linalg.LinAlgError):
        compiled(BAD)


@pytest.mark.parametrize(
    ("f", "x", "operation"),
    [
        (unless_refused(REFUSING["cholesky"]), BAD, "cholesky"),
        (unless_refused(REFUSING["solve"]), BAD, "solve"),
    ],
)
def test_a_first_call_that_raises_the_error(f: Any, x: Any, operation: str) -> None:
    with pytest.raises(UsageError, match=f"catches an error of {operation} at"):
        tg.compile(f)(x)


def test_what_differs_for_another_reason_is_no_such_error() -> None:
    """Although operations made of others are tried, and raise errors in between."""
    turns = Turns()
    with pytest.raises(UsageError, match="does not do the same when it is run again"):
        tg.compile(lambda x: np.sort(np.linalg.matrix_rank(x) + x, axis=0) + sum([x] * turns()))(GOOD)


X = np.array([[0.5, 1.0, -2.0], [1.5, 0.25, 3.0]])
EMBEDDED, SHAPE = np.ones((7, 40)), (5, 40)
GOOD_NUMBERS, BAD_NUMBERS = np.arange(5), np.arange(5) + 3
CHOOSING: dict[str, Callable[[Any], Any]] = {
    "embedding": lambda i: np.sum(nn.functional.embedding(i, EMBEDDED)),
    "class numbers": lambda i: nn.functional.cross_entropy(np.ones((5, 7)) * np.mean(EMBEDDED), i),
    "class numbers, some ignored": lambda i: nn.functional.cross_entropy(np.ones((5, 7)), i, ignore_index=-1),
    "a computed index": lambda i: np.sum(tg.tensor(EMBEDDED)[i, i]),
    "solve": lambda i: np.sum(np.linalg.solve(np.diag(7.0 - i), np.ones(5))),
    "cholesky": lambda i: np.sum(np.linalg.cholesky(np.diag(6.5 - i))),
}


@pytest.mark.long
@pytest.mark.parametrize("name", CHOOSING)
@pytest.mark.parametrize("updates_first", [True, False])
def test_what_is_refused_leaves_behind_what_the_function_itself_leaves(
    name: str, updates_first: bool, backend: str
) -> None:
    """Although the update does not depend on what is refused, so that native code could do it before."""
    kept = [tg.tensor(np.zeros(SHAPE), requires_grad=True) for _ in range(3)]

    def update() -> None:
        with tg.no_grad():
            for k, x in enumerate(kept):
                x -= 0.5 * np.cos(x) + k

    def step(i: Any) -> Any:
        if updates_first:
            update()
        chosen = CHOOSING[name](i)
        if not updates_first:
            update()
        return chosen

    def left_by(function: Any) -> list[Any]:
        for x in kept:
            x.data = np.zeros(SHAPE)
        for numbers in (GOOD_NUMBERS, GOOD_NUMBERS, BAD_NUMBERS, GOOD_NUMBERS):
            with contextlib.suppress(IndexError, ValueError):
                function(numbers)
        return [x.numpy().copy() for x in kept]

    with pytest.raises((IndexError, ValueError)):
        CHOOSING[name](BAD_NUMBERS)
    for found, expected in zip(left_by(tg.compile(step, backend)), left_by(step)):
        np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.long
@pytest.mark.parametrize(
    ("f", "bad"),
    [
        (lambda w: np.average(X, axis=1, weights=w), np.zeros(3)),
        (lambda w: np.cov(X, aweights=w), -np.ones(3)),
        (lambda w: np.cov(X, fweights=np.round(w)), np.zeros(3)),
    ],
)
def test_weights_that_are_arguments_are_checked_in_each_run(f: Any, bad: Any, backend: str) -> None:
    compiled = tg.compile(f, backend)
    for weights in (np.array([1.0, 2.0, 4.0]), np.array([3.0, 1.0, 2.0])):
        np.testing.assert_allclose(compiled(weights), f(weights), rtol=1e-13)
    with pytest.raises((ValueError, ZeroDivisionError)):  # NumPy's own error about plain arrays
        compiled(bad)
    slope = tg.compile(tg.grad(lambda w: np.sum(f(w))), backend)
    np.testing.assert_allclose(slope(weights), tg.grad(lambda w: np.sum(f(w)))(weights), atol=1e-15)
    with pytest.raises(InputError):
        slope(bad)


@pytest.mark.parametrize("is_argument", [True, False])
def test_a_reverse_pass_into_a_history_from_outside(is_argument: bool, backend: str) -> None:
    """It is refused before it frees that history, which can still be used."""
    w = tg.tensor(np.ones(3), requires_grad=True)
    outside = np.sin(w * 2)

    def step(x: Any) -> Any:
        loss = np.sum((x if is_argument else outside) ** 2)
        loss.backward()
        return loss

    with pytest.raises(UsageError, match="computed outside the compiled function"):
        tg.compile(step, backend)(outside if is_argument else X)
    np.sum(outside**2).backward()
    np.testing.assert_allclose(w.grad, 2 * np.sin(4))


@pytest.mark.parametrize("clears_first", [True, False])
def test_former_gradients_are_there_after_a_step_that_ends_before_it_clears_them(
    clears_first: bool, backend: str
) -> None:
    def gradients(compiled: Any) -> list[Any]:
        w = tg.tensor(np.ones(2), requires_grad=True)

        def step(x: Any) -> Any:
            if clears_first:
                w.grad = None
            y = np.linalg.inv(x) @ w
            w.grad = None
            loss = np.sum(y**2)
            loss.backward()
            return loss

        step, found = compiled(step), []
        for x in (GOOD, GOOD, BAD, 2 * GOOD, BAD, GOOD):
            with contextlib.suppress(np.linalg.LinAlgError):
                step(x)
            found.append(None if w.grad is None else w.grad.numpy())
        return found

    for found, right in zip(gradients(lambda f: tg.compile(f, backend)), gradients(lambda f: f), strict=True):
        assert (found is None) == (right is None)
        np.testing.assert_allclose(found if found is not None else 0, right if right is not None else 0)


OF_THE_COMPILER: dict[str, Callable[[Any], Any]] = {
    "no derivative": lambda x: np.polydiv(x, x[:2])[0],
    "two results": lambda x: np.histogram(x)[0],
    "a number of entries": lambda x: np.unique(x)[:1],
    "a mask": lambda x: x[x > 1.5],
    "an attribute": lambda x: len(x.tobytes()),
    "an attribute of a number": lambda x: len(x[0].item().hex()),
    "memory": lambda x: x.view(np.int64)[0],
    "a function of numbers": lambda x: np.vectorize(math.lgamma)(x),
    "a text": lambda x: len(str(x)),
    "a key": lambda x: {1.0: 3.0}[float(x[0])],
    "a file": lambda x: np.save(io.BytesIO(), x) or 1.0,
    "a list of unlike things": lambda x: np.array([x, None], dtype=object).size,
    "memory for others": lambda x: np.from_dlpack(x)[0],
    "another size": lambda x: x.copy().resize(3) or 1.0,
    "a remainder of a power": lambda x: pow(int(x[0]), 2, 3),
}


def suppressed(x: Any) -> float:
    with contextlib.suppress(TypeError):
        return float(len(json.dumps(x.tolist())))
    return -1.0


def first_of_those_taken(takers: tuple[Callable[[Any], Any], ...], x: Any) -> Any:
    """As a library tries one way after the other."""
    for take in takers:
        try:
            return take(x)
        except (TypeError, ValueError):
            pass
    return -1.0


OF_OTHERS: dict[str, Callable[[Any], Any]] = {
    "json": lambda x: len(json.dumps(x.tolist())),
    "json, suppressed": suppressed,
    "memory": lambda x: memoryview(x).nbytes,
    "the memory of a number's bytes": lambda x: struct.unpack("d", struct.pack("d", x[0]))[0],
    "an exact number": lambda x: float(Decimal(x[0].item())),
    "a ratio": lambda x: float(Fraction(x[0].item())),
    "a mean": lambda x: statistics.mean(x.tolist()),
    "an array of Python's": lambda x: array.array("d", x.tolist())[0],
    "a number of C": lambda x: ctypes.c_double(x[0].item()).value,
    "one of several": lambda x: first_of_those_taken((len, lambda x: memoryview(x).nbytes), x[0] * np.ones(())),
    "in a dict": lambda x: len(json.dumps({"x": {"y": x.tolist()}})),
}


@pytest.mark.filterwarnings("ignore:.*without being compiled")
@pytest.mark.parametrize("name", [*OF_THE_COMPILER, *OF_OTHERS])
@pytest.mark.skipif(
    sys.version_info < (3, 12) and sys.gettrace() is not None, reason="a trace function takes the place of ours"
)
def test_what_the_compiler_alone_refuses_is_no_error_that_a_function_catches(name: str, backend: str) -> None:
    """Else it would go on as if the error were its own, which it has not outside a recording."""

    def f(x: Any) -> Any:
        try:
            found = {**OF_THE_COMPILER, **OF_OTHERS}[name](x)
        except Exception:
            return -x
        return 2 * x + np.sum(found)

    compiled = tg.compile(f, backend)
    for x in (np.array([1.0, 2.0]), np.array([1.0, 4.0]), np.array([3.0, 0.5])):
        np.testing.assert_array_equal(compiled(x), f(x))


NUMBERS = {"two": 2.0}


def number_or(key: str, x: Any) -> Any:
    try:
        return NUMBERS[key] * x
    except KeyError:
        return x


def checked(x: Any) -> Any:
    if np.shape(x) != (3,):
        raise ValueError("three, please")
    return x


def checked_or(x: Any) -> Any:
    try:
        return checked(x)
    except ValueError:
        return -x


def read_or(text: str, x: Any) -> Any:
    try:
        return json.loads(text)[0] * x
    except json.JSONDecodeError:
        return 3 * x


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "f",
    [partial(number_or, "one"), partial(number_or, "two"), checked_or, partial(read_or, "no"), lambda x: x / len(x)],
)
def test_other_errors_that_a_function_catches_are_its_own(f: Any, backend: str) -> None:
    """They are the same in each call, so the function is compiled."""
    compiled = tg.compile(f, backend)
    for x in (np.array([1.0, 2.0]), np.array([4.0, 2.0])):
        np.testing.assert_array_equal(compiled(x), f(x))


@pytest.mark.skipif(sys.gettrace() is not None, reason="it sets a trace function of its own")
def test_a_function_may_begin_to_debug_itself(backend: str) -> None:
    def trace(*_: Any) -> None: ...

    def f(x: Any) -> Any:
        sys.settrace(trace)
        try:
            return NUMBERS["one"] * x
        except KeyError:
            return 2 * x

    try:
        tg.compile(f, backend)(np.ones(2))
        assert sys.gettrace() is trace
    finally:
        sys.settrace(None)
    tg.compile(partial(number_or, "one"), backend)(np.ones(2))
    assert sys.gettrace() is None


class NotPositiveError(Exception):
    pass


def _positive(x: Any) -> Any:
    if np.any(x <= 0):
        raise NotPositiveError
    return x


positive = tg.primitive(_positive, lambda g, y, x: g)


def test_an_error_of_a_users_operation_is_caught(backend: str) -> None:
    @tg.compile(backend=backend)
    def f(x: Any) -> Any:
        try:
            return positive(x) * 2
        except NotPositiveError:
            return -x

    assert [float(f(np.float64(x))) for x in (1, 2, -1, 3, -2)] == [2, 4, 1, 6, 2]


def test_numbers_are_drawn_once_before_an_error(backend: str) -> None:
    def numbers(compiled: Callable[[Any], Any]) -> list[float]:
        rng = np.random.default_rng(0)

        @compiled
        def f(x: Any) -> Any:
            noise = rng.normal(size=x.shape)
            return np.linalg.inv(x) + noise

        following = []
        for x in (GOOD, GOOD, GOOD, BAD, GOOD, BAD):
            with contextlib.suppress(np.linalg.LinAlgError):
                f(x)
            following.append(copy.deepcopy(rng).normal())
        return following

    assert numbers(lambda f: tg.compile(f, backend)) == numbers(lambda f: f)


@pytest.mark.parametrize("catches", [False, True])
def test_an_error_among_many_turns(catches: bool, backend: str) -> None:
    def outcome(repeat: Callable[..., Any]) -> tuple[list[float], float]:
        w = tg.tensor(np.array([[25.5]]), requires_grad=True)
        optimizer, results = optim.SGD([w], lr=1.0), []

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            np.sum(w * x).backward()
            optimizer.step()
            try:
                return np.sum(np.linalg.cholesky(w.detach()))
            except np.linalg.LinAlgError:
                if not catches:
                    raise
                return -np.sum(w.detach())

        with contextlib.suppress(np.linalg.LinAlgError):
            results = [float(x) for x in repeat(step, np.ones((1, 1)))]
        return results, w.item()

    def compiled(step: Any, x: Any) -> Any:
        return tg.compile(step, backend).repeat(40, x)

    np.testing.assert_allclose(*map(np.hstack, (outcome(compiled), outcome(lambda f, x: [f(x) for _ in range(40)]))))
