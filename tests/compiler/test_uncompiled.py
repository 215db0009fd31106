"""What a program cannot do, the function itself does: never an error where it has none, and one warning."""

import io
import itertools
import logging
import math
import random
import time
import warnings
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.compiler.outside import Turns
from tests.compiler.training import Training
from tinygrad_lite import trees
from tinygrad_lite.compiler.compiled import Compiled
from tinygrad_lite.errors import ShapeError, UncompiledWarning, UsageError

X = np.array([0.5, -1.0, 2.0])


class Trainer(Training):
    """A weight and what surrounds a step with it."""

    def __init__(self) -> None:
        super().__init__([1.0, 2.0, 3.0])
        self.losses: list[Any] = []
        self.lines: list[str] = []
        self.best = math.inf
        self.batches = iter([X * i for i in range(1, 99)])
        self.numbers = itertools.count()
        self.made = (X * i for i in range(1, 99))
        self.recent: deque[Any] = deque([1.0], maxlen=3)
        self.state: dict[str, Any] = {"t": 0}
        self.outer = np.sin(self.w)

    def surroundings(self) -> list[Any]:
        generators = [next(self.batches), next(self.numbers), next(self.made)]
        kept = [self.losses, self.lines, self.best, [*self.recent], self.state]
        return [self.w.detach(), [*self.optimizer.state.values()], *kept, *generators]


def _text(self: Trainer, x: Any) -> Any:
    loss = self.trained(self.loss(x))
    self.lines.append(f"loss {loss.item():.3f}, {loss}, {repr(loss)[:12]}")
    return loss


def _percent(self: Trainer, x: Any) -> Any:
    loss = self.trained(self.loss(x))
    self.lines.append("loss %.4f" % float(loss))  # noqa: UP031
    return loss


def _log(self: Trainer, x: Any) -> Any:
    loss = self.trained(self.loss(x))
    logging.getLogger("step").warning("loss %.4f", loss.item())
    return loss


def _log_in_vain(self: Trainer, x: Any) -> Any:
    """Whoever logs catches what is raised meanwhile."""
    loss = self.trained(self.loss(x))
    stream = io.StringIO()
    record = logging.LogRecord("step", 30, "", 0, "loss %.4f", (loss.item(),), None)
    logging.StreamHandler(stream).handle(record)
    self.lines.append(stream.getvalue())
    return loss


def _caught(self: Trainer, x: Any) -> Any:
    loss = self.trained(self.loss(x))
    try:
        self.best = max(self.best, len(f"{loss}"))
    except TypeError:
        self.best = -1.0
    return loss


def _caught_inside_a_transform(self: Trainer, x: Any) -> Any:
    def loss(w: Any) -> Any:
        try:
            factor = len(f"{w[0] > 0}")
        except Exception:
            factor = 5.0
        return np.sum(w * x) * factor

    return tg.grad(loss)(self.w.numpy() - 2 * x)


def _kept(self: Trainer, x: Any) -> Any:
    loss = self.trained(self.loss(x))
    self.losses.append(float(loss))
    return loss


def _best(self: Trainer, x: Any) -> Any:
    loss = self.trained(self.loss(x))
    if loss.item() < self.best:
        self.best = loss.item()
        self.lines.append("better")
    return loss


def _selected(self: Trainer, x: Any) -> Any:
    return self.trained(np.mean((self.w * x)[x > 0]))


def _rounds(self: Trainer, x: Any) -> Any:
    y = self.w
    for _ in range(int(np.abs(x[0]) * 4) % 3 + 1):
        y = np.sin(y) + y
    return self.trained(np.sum(y * x))


def _next_of_an_iterator(self: Trainer, x: Any) -> Any:
    return self.trained(self.loss(x + next(self.batches)))


def _next_of_a_generator(self: Trainer, x: Any) -> Any:
    return self.trained(self.loss(x + next(self.made, 0.0) * next(self.numbers)))


def _of_pythons_random(self: Trainer, x: Any) -> Any:
    return self.trained(self.loss(x * random.random()))


def _clock(self: Trainer, x: Any) -> Any:
    start = time.perf_counter_ns()
    loss = self.trained(self.loss(x))
    self.state["began"] = start
    return loss


def _error(self: Trainer, x: Any) -> Any:
    try:
        inverse = np.linalg.inv(np.diag(x - x[0]))
    except np.linalg.LinAlgError:
        inverse = np.eye(3)
    return self.trained(self.loss(inverse @ x))


def _older_history(self: Trainer, x: Any) -> Any:
    np.sum(self.outer * x).backward(retain_graph=True)
    return np.sum(self.w.grad)


def _writes_a_dict(self: Trainer, x: Any) -> Any:
    self.state = {**self.state, "texts": str(self.state["t"])}
    self.state["t"] = round(float(np.sum(x)), 3)
    return self.trained(self.loss(x))


def _dict_of_texts(self: Trainer, x: Any) -> Any:
    loss = self.trained(self.loss(x))
    self.state[f"{loss.item():.2f}"] = len(self.state)
    return loss


def _unnoticed(self: Trainer, x: Any) -> Any:
    loss = self.trained(self.loss(x))
    object.__setattr__(self, "best", 1 / (1 + 1 / self.best))
    self.__dict__["numbers"] = itertools.count(vars(self).pop("count", 0))
    vars(self).update(count=self.best)
    self.lines = [f"{loss.item():.3f}"]
    return loss


STEPS: list[Callable[[Trainer, Any], Any]] = [
    *(
        _text,
        _percent,
        _log,
        _log_in_vain,
        _caught,
        _caught_inside_a_transform,
        _kept,
        _best,
        _selected,
        _rounds,
        _next_of_an_iterator,
    ),
    *(_next_of_a_generator, _of_pythons_random, _clock, _error, _older_history),
    *(_writes_a_dict, _dict_of_texts, _unnoticed),
]


def _assert_same(found: Any, expected: Any) -> None:
    assert trees.structure(found) == trees.structure(expected)
    for a, b in zip(trees.leaves(found), trees.leaves(expected), strict=True):
        if isinstance(b, (tg.Tensor, np.ndarray, float)):
            np.testing.assert_allclose(a, b, rtol=1e-12)
        else:
            assert a == b


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_what_cannot_be_compiled_runs_as_it_is(step: Callable[[Trainer, Any], Any], backend: str) -> None:
    eager, compiled = Trainer(), Trainer()
    f = tg.compile(step, backend)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for turn in range(8):
            x = X * (turn % 3 + 1)
            random.seed(turn)
            expected = step(eager, x)
            random.seed(turn)
            found = f(compiled, x)
            _assert_same(found, expected)
    if step is _clock:
        assert compiled.state.pop("began") > eager.state.pop("began")
    _assert_same(compiled.surroundings(), eager.surroundings())
    texts = [str(warning.message) for warning in told if warning.category is UncompiledWarning]
    assert texts, "a step that is compiled belongs elsewhere"
    assert len(texts) == len(set(texts)) <= 2
    assert all(text.startswith(f"{step.__name__} runs without being compiled: ") for text in texts)
    assert {warning.filename for warning in told} == {__file__}


@pytest.mark.parametrize("kind", [deque, dict, iter])
def test_arguments_that_no_program_takes(kind: Any, backend: str) -> None:
    arguments: dict[Any, Any] = {deque: deque([1.0, 2.0]), dict: {"t": 1}, iter: (float(x) for x in range(99))}
    argument = arguments[kind]

    def f(x: Any, argument: Any) -> Any:
        if isinstance(argument, dict):
            argument["t"] += 1
            return x * argument["t"]
        if isinstance(argument, deque):
            argument.append(argument[-1] + 1)
            return x * sum(argument)
        return x * next(argument)

    compiled = tg.compile(f, backend)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for turn in range(4):
            factors = {dict: turn + 2, deque: sum(range(turn + 4)), iter: turn}
            np.testing.assert_allclose(compiled(X, argument), X * factors[kind])
    assert [warning.category for warning in told] == [UncompiledWarning]


def test_many_turns_of_what_cannot_be_compiled(backend: str) -> None:
    eager, compiled = Trainer(), Trainer()
    step = tg.compile(lambda: _kept(compiled, X), backend)
    with pytest.warns(UncompiledWarning):
        found = step.repeat(5)
    np.testing.assert_allclose(found, [_kept(eager, X).item() for _ in range(5)])
    assert compiled.losses == eager.losses


def test_a_program_is_made_once_it_can_be(backend: str) -> None:
    """And the calls that log, each tenth, are the only ones that run as they are."""
    trainer = Trainer()

    def step(x: Any, turn: int) -> Any:
        loss = trainer.trained(trainer.loss(x))
        if turn % 10 == 0:
            trainer.lines.append(f"{turn}: {loss.item():.3f}")
        return loss

    compiled = tg.compile(step, backend)
    with pytest.warns(UncompiledWarning):
        compiled(X, 0)
    for turn in range(1, 41):
        compiled(X, turn)
    assert [line.partition(":")[0] for line in trainer.lines] == ["0", "10", "20", "30", "40"]
    assert repr(compiled).endswith("1 program>")


def test_recordings_that_fail_become_rare() -> None:
    turns = Turns()

    def f(x: Any) -> Any:
        turns()
        return x * len(f"{x.sum()}")

    compiled = tg.compile(f, "numpy")
    with pytest.warns(UncompiledWarning):
        compiled(X)
    for _ in range(299):
        compiled(X)
    assert turns() < 300 + 7 * 6


def test_calls_after_many_failures_are_hardly_looked_at(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To find out the form of a call takes longer than a small function; another form is found nevertheless."""
    looks = Turns()
    look = Compiled.fitting_unless_watched

    def counted(*args: Any) -> Any:
        looks()
        return look(*args)

    monkeypatch.setattr(Compiled, "fitting_unless_watched", counted)
    compiled = tg.compile(lambda x, is_counted: x[x > 0].sum() if is_counted else x.sum(), backend)
    with pytest.warns(UncompiledWarning):
        compiled(X, True)
    for turn in range(2000):
        assert compiled(X + turn, True) == (X + turn)[X + turn > 0].sum()
    assert looks() < 150
    for turn in range(70):
        assert compiled(X + turn, False) == pytest.approx((X + turn).sum(), rel=1e-15)
    assert repr(compiled).endswith("1 program>")
    for _ in range(10):  # while the other form is left to the function itself, this one still has its program
        compiled(X, True)
        before = looks()
        compiled(X, False)
        assert looks() == before + 1


GROWING: dict[type, Callable[[Any], Any]] = {
    dict: lambda entries: entries.update({len(entries): "a call"}),
    set: lambda entries: entries.add(len(entries)),
    list: lambda entries: entries.append("a call"),
}


@pytest.mark.long
@pytest.mark.parametrize("is_argument", [False, True])
@pytest.mark.parametrize("kind", GROWING)
def test_what_grows_in_each_call_grows_as_without_compiling_and_is_rarely_recorded(
    kind: type, is_argument: bool
) -> None:
    entries, turns = kind(), Turns()

    def f(x: Any, *given: Any) -> Any:
        turns()
        GROWING[kind](given[0] if given else entries)
        return np.sin(x)

    compiled = tg.compile(f, "numpy")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for turn in range(300):
            compiled(X, *([entries] if is_argument else []))
            assert len(entries) == turn + 1
    assert len(told) <= 1
    assert turns() < 300 + 100


def test_an_error_of_the_functions_own_has_no_warning(backend: str) -> None:
    compiled = tg.compile(lambda x: np.sum(x @ np.ones(4)) + tg.tensor(x) @ np.ones(4), backend)
    for _ in range(3):
        with pytest.raises((ShapeError, ValueError)) as raised:
            compiled(X)
        assert raised.value.__context__ is None or raised.value.__suppress_context__


def test_where_warnings_are_errors_each_call_is_one() -> None:
    compiled = tg.compile(lambda x: x * len(f"{x.sum()}"))
    for _ in range(2):
        with pytest.raises(UsageError, match=r"return what you want to print"):
            compiled(X)
    with pytest.raises(UsageError, match=r"(?s)has no recording yet: .* return what you want to print"):
        compiled.source
