"""Branches by what a function computes: each way that calls go has a program, which refuses the values of others."""

import copy
import math
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.compiler.test_carrying import kind_of
from tests.compiler.training import Training
from tinygrad_lite import nn, trees
from tinygrad_lite.compiler import ways
from tinygrad_lite.errors import UncompiledWarning, UsageError

X = np.array([1.0, -2.0, 3.0])


class Trainer(Training):
    """A weight with Adam, a generator, and what a training by hand keeps beside them."""

    def __init__(self) -> None:
        super().__init__([0.5, -1.0, 2.0])
        self.rng = np.random.default_rng(0)
        self.best, self.patience, self.skipped, self.scale = math.inf, 0, 0, 1024.0
        self.kept = self.w.numpy()
        self.mean = np.zeros(3)

    def surroundings(self) -> list[Any]:
        kept = [self.best, self.patience, self.skipped, self.scale, self.kept, self.mean]
        grad = None if self.w.grad is None else self.w.grad.numpy()
        return [self.w.numpy(), grad, [*self.optimizer.state.values()], *kept, self.rng.bit_generator.state]


def _one_of_two(self: Trainer, x: Any) -> Any:
    return x if np.sum(x) > 0 else -2 * x


def _leaves_out_a_batch(self: Trainer, x: Any) -> Any:
    loss = self.loss(x)
    return loss.detach() if loss > 3 else self.trained(loss)


def _skips_what_is_not_finite(self: Trainer, x: Any) -> Any:
    loss = self.loss(np.where(x > 8, np.inf, x))
    if not np.isfinite(loss):
        self.skipped += 1
        return loss.detach()
    return self.trained(loss)


def _scales_the_loss(self: Trainer, x: Any) -> Any:
    self.optimizer.zero_grad()
    (self.loss(np.where(x > 8, np.nan, x)) * self.scale).backward()
    if all(np.isfinite(w.grad).all() for w in self.optimizer.parameters):
        self.w.grad = self.w.grad / self.scale
        self.optimizer.step()
        return self.w.detach()
    self.scale /= 2
    return None


def _keeps_the_best(self: Trainer, x: Any) -> Any:
    loss = self.trained(self.loss(x))
    if loss.item() < self.best:
        self.best, self.patience, self.kept = loss.item(), 0, self.w.numpy()
    else:
        self.patience += 1
    return loss


def _updates_before_the_branch(self: Trainer, x: Any) -> Any:
    """The weights and an array outside must be as before when a program turns out to go another way."""
    self.mean += 2 * self.w.numpy()
    loss = self.trained(self.loss(x))
    return loss if np.max(self.mean) > 25 else self.mean * 2


def _while(self: Trainer, x: Any) -> Any:
    step = np.array(1.0)
    while np.sum(step * x**2) > 0.1:
        step = step / 4
    return self.trained(self.loss(x) * step)


def _counts_its_turns(self: Trainer, x: Any) -> Any:
    y, turns = x, 0
    while abs(float(y[0])) > 1e-2:
        y, turns = y / 3, turns + 1
    return y, turns


def _draws_before_the_branch(self: Trainer, x: Any) -> Any:
    noise = self.rng.normal(size=3)
    if self.rng.random() < 0.5:
        return self.trained(self.loss(x + noise))
    return self.trained(self.loss(x) * 2) + self.rng.random()


def _inside_a_transform(self: Trainer, x: Any) -> Any:
    def loss(w: Any) -> Any:
        return np.sum(w * x) * (2.0 if np.sum(w * x) > 0 else 3.0)

    return tg.value_and_grad(loss)(self.w.numpy())


def _a_number_that_is_no_boolean(self: Trainer, x: Any) -> Any:
    return x if np.sum(x > 2) else x * np.nan if np.sum(np.minimum(x, 0)) else 3 * x


def _not_a_number(self: Trainer, x: Any) -> Any:
    """NaN is true, as any number that is not 0."""
    with np.errstate(invalid="ignore"):
        return 2 * x if np.sqrt(x[0] - 4) else x


def _several_in_a_row(self: Trainer, x: Any) -> Any:
    y = x
    for part in x:
        if part > 2:
            y = y * part
        elif not part > -3:
            y = y + part
    return y


def _sorted_by_python(self: Trainer, x: Any) -> Any:
    return np.stack(sorted(x, reverse=True))


def _the_largest_by_a_key(self: Trainer, x: Any) -> Any:
    return x * max(range(3), key=lambda i: abs(x[i] - 2))


def _code_for_arrays(self: Trainer, x: Any) -> Any:
    return tg.functionalize(lambda x: x * 2 if abs(x[0]) < 2 else x)(x)


def _an_array_of_one_entry(self: Trainer, x: Any) -> Any:
    return x if x[:1, None] > 2 else -x


def _a_function_of_the_users(self: Trainer, x: Any) -> Any:
    """One that branches in its value and in its derivative is called as a whole."""
    return tg.grad(lambda x: np.sum(branching(x) * x))(x)


def _an_error_of_its_own(self: Trainer, x: Any) -> Any:
    try:
        if x[1] < -4:
            raise ArithmeticError
        return x
    except ArithmeticError:
        return 5 * x


branching = tg.primitive(
    lambda x: x * 2 if np.sum(x) > 3 else x,
    lambda g, y, x: g * 2 if np.sum(x) > 3 else g,
    name="branching",
)

STEPS: list[Callable[[Trainer, Any], Any]] = [
    *(_one_of_two, _leaves_out_a_batch, _skips_what_is_not_finite, _scales_the_loss, _keeps_the_best),
    *(_updates_before_the_branch, _while, _counts_its_turns, _draws_before_the_branch, _inside_a_transform),
    *(
        _a_number_that_is_no_boolean,
        _not_a_number,
        _several_in_a_row,
        _sorted_by_python,
        _the_largest_by_a_key,
        _code_for_arrays,
        _an_array_of_one_entry,
    ),
    *(_a_function_of_the_users, _an_error_of_its_own),
]
FACTORS = (1, 1, 2, 1, 3, -1, 2, 2, 1, -1, 3, 1, 1, 0.5, 2, -1)


def assert_same(found: Any, expected: Any) -> None:
    assert trees.structure(found) == trees.structure(expected)
    for a, b in zip(trees.leaves(found), trees.leaves(expected), strict=True):
        assert type(a) is type(b)
        if isinstance(b, (tg.Tensor, np.ndarray, np.generic, float)):
            assert kind_of(a) == kind_of(b)
            np.testing.assert_allclose(a, b, rtol=1e-12)
        else:
            assert a == b


@pytest.mark.parametrize("is_tensor", [False, True])
@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_each_way_has_a_program(step: Callable[[Trainer, Any], Any], is_tensor: bool, backend: str) -> None:
    eager, compiled = Trainer(), Trainer()
    f = tg.compile(step, backend)
    for factor in FACTORS:
        x = tg.tensor(X * factor) if is_tensor else X * factor
        assert_same(f(compiled, x), step(eager, x))
        assert_same(compiled.surroundings(), eager.surroundings())
    assert f._latest is not None


@pytest.mark.parametrize("turns", [1, 3])
def test_many_turns(turns: int, backend: str) -> None:
    eager, compiled = Trainer(), Trainer()
    step = tg.compile(lambda: _keeps_the_best(compiled, X), backend)
    for _ in range(4):
        np.testing.assert_allclose(step.repeat(turns), [_keeps_the_best(eager, X).item() for _ in range(turns)])
    assert_same(compiled.surroundings(), eager.surroundings())


def test_others_may_differentiate_either_way(backend: str) -> None:
    model = nn.Linear(3, 3, rng=0)

    def f(x: Any) -> Any:
        y = model(x)
        return np.tanh(y) if np.sum(x) > 0 else y**2

    compiled = tg.compile(f, backend)
    for factor in FACTORS:
        gradients = []
        for g in (f, compiled):
            model.zero_grad()
            np.sum(g(X * factor)).backward()
            gradients.append([p.grad.numpy() for p in model.parameters()])
        assert_same(gradients[1], gradients[0])


def test_a_derivative_of_the_users_that_branches_in_the_reverse_pass_of_others(backend: str) -> None:
    """That pass runs without the requirements in it, so it may not branch by a value."""
    w = tg.tensor(X, requires_grad=True)

    @tg.custom_gradient
    def clipped(x: Any) -> Any:
        return x, lambda g: g * 2 if np.sum(g) > 3 else g

    def f(x: Any) -> Any:
        return np.sum(np.sin(clipped(w * x)))

    compiled = tg.compile(f, backend)
    for factor in FACTORS:
        gradients = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UncompiledWarning)
            for g in (f, compiled):
                w.grad = None
                (g(X) * factor * 3).backward()
                gradients.append(w.grad.numpy())
        assert_same(gradients[1], gradients[0])


def _counted(x: Any) -> Any:
    turns = 0
    while x.sum() > turns:
        turns += 1
    return x * turns


def test_a_way_of_each_call_is_left_to_the_function_itself(backend: str) -> None:
    """One warning says so, and no more ways are recorded than a few."""
    compiled = tg.compile(_counted, backend)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for i in [*range(45)] * 3:
            x = np.full(2, i + 0.3)
            np.testing.assert_array_equal(compiled(x), x * (2 * i + 1))
    assert len(told) <= 1
    assert all(re.search(r"(?s)another way in most calls.*write np\.where", str(warning.message)) for warning in told)
    assert sum(map(len, compiled._runs.values())) < 30
    for _ in range(20):
        np.testing.assert_array_equal(compiled(np.ones(2)), 2 * np.ones(2))


def _halved_until_small(x: Any) -> Any:
    went = []
    for _ in range(4):
        went.append(bool(x.sum() > 1))
        if went[-1]:
            x = x / 2
        for part in x:
            went.append(bool(part > 0.5))
            x = x + 0.1 if went[-1] else x * 1.1
    return x, went


WAYS: dict[Callable[[Any], Any], Callable[[Any], list[bool]]] = {
    _counted: lambda x: [True] * math.ceil(x.sum()) + [False],
    _halved_until_small: lambda x: _halved_until_small(x)[1],
}


@pytest.mark.parametrize("f", WAYS)
def test_a_program_that_ends_tells_which_one_to_try_next(
    f: Callable[[Any], Any], backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it ends is where the function itself goes another way, and only programs with that way are tried."""
    monkeypatch.setattr(ways, "FREE", math.inf)
    searches: list[Any] = []
    note = ways.Search.note

    def noted(self: Any, run: Any, result: Any) -> None:
        note(self, run, result)
        searches.append(self)

    monkeypatch.setattr(ways.Search, "note", noted)
    compiled = tg.compile(f, backend)
    arguments = [np.random.default_rng(i).uniform(0, 5, 2) for i in range(8)]
    for x in arguments * 2:
        searches.clear()
        assert_same(compiled(x), f(x))
        assert all((*WAYS[f](x),)[: len(search.way)] == search.way for search in searches)
    assert len(searches) <= 4
    assert sum(map(len, compiled._runs.values())) == len({(*WAYS[f](x),) for x in arguments})


def test_calls_that_another_thread_has_judged_meanwhile_are_judged_again() -> None:
    judged = ways.Ways()
    for _ in range(ways.FEW):
        judged.note(ways.Search(), is_served=True)
    assert judged.rest > 0


def _time_of(calls: list[int], attempt: float, monkeypatch: pytest.MonkeyPatch) -> float:
    """The time for the last half of the calls, each with the way that it goes; the function itself takes 1 for each."""
    now, halfway = 0.0, 0.0
    known: set[int] = set()
    judged = ways.Ways()
    monkeypatch.setattr(ways, "perf_counter", lambda: now)

    def itself() -> None:
        nonlocal now
        now += 1

    for i, way in enumerate(calls):
        halfway = now if i == len(calls) // 2 else halfway
        if judged.rest:
            judged.run(itself, (), {})
            continue
        search = ways.Search(now)
        now += attempt
        search.attempted = now
        if way not in known and judged.may_record():
            known.add(way)
            now += 100
            judged.note_recording(100)
            continue
        if way in known:
            judged.hits[0] += 1
            now += attempt
        else:
            judged.run(itself, (), {})
        judged.note(search, way in known)
    return (now - halfway) / (len(calls) / 2)


def test_programs_run_where_they_save_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the function itself does: another way in each call, too, takes hardly longer than without compiling."""
    some = np.random.default_rng(0).integers(0, 10, 6000).tolist()
    assert _time_of(some, 0.1, monkeypatch) < 0.3
    assert _time_of(some, 0.7, monkeypatch) < 1.02
    assert _time_of([*range(6000)], 0.1, monkeypatch) < 1.1


BOOLEANS: list[Callable[[Any], Any]] = [
    lambda x: float(x[0]) > 1,
    lambda x: x[2].item() >= 3,
    lambda x: float(x[0]) != x[2].item() / 3,
    lambda x: (x[0] > 1).item(),
    lambda x: math.isfinite(float(np.where(x > 1, np.inf, x)[0])),
    lambda x: bool(x[0] > 1),
    lambda x: np.allclose(x, X),
    lambda x: (x[0].item() / 2).is_integer(),
    lambda x: x[0] > 1,  # one of NumPy's, which is not True
]


def _is_true(x: Any) -> bool:
    return x is True


@pytest.mark.parametrize("is_tensor", [False, True])
def test_who_is_true(is_tensor: bool, backend: str) -> None:
    """Nobody notices that Python asks for the identity of a boolean."""

    def answers(x: Any) -> Any:
        answers = []
        for boolean in BOOLEANS:
            is_true = boolean(x)
            answers += [is_true is True, is_true is not False, False is is_true, _is_true(is_true)]
            match is_true, x[0]:
                case (True, _):
                    answers.append(2)
                case (False, _):
                    answers.append(3)
        return x * np.array(answers)[:, None], answers

    for f in (answers, lambda x: (float(x[0]) > 1) is (float(x[2]) > 1)):
        compiled = tg.compile(f, backend)
        for factor in (1, 2, -1, 1, 2):
            x = tg.tensor(X * factor) if is_tensor else X * factor
            assert_same(compiled(x), f(x))
        assert compiled._latest is not None


def test_too_many_branches_are_refused(backend: str) -> None:
    def f(x: Any) -> Any:
        while x.sum() > 1e-9:
            x = x * 0.9
        return x

    with pytest.warns(UncompiledWarning, match="needs a value while it is recorded"):
        np.testing.assert_array_equal(tg.compile(f, backend)(np.ones(2)), f(np.ones(2)))


def test_one_way_is_not_exported(tmp_path: Path) -> None:
    compiled = tg.compile(lambda x: x if np.sum(x) > 0 else -x, "numpy")
    compiled(X)
    for library, name in (("numpy", "f.py"), ("jax", "f.py"), ("c", "f.c")):
        with pytest.raises(UsageError, match=r"(?s)branches on a value at .* np\.where\(condition"):
            compiled.export(tmp_path / name, library=library)
    assert "raise ValueError" in compiled.source


def test_a_copy_has_its_own_ways() -> None:
    compiled = tg.compile(lambda x: x if np.sum(x) > 0 else -x, "numpy")
    compiled(X)
    for x in (X, -X):
        np.testing.assert_array_equal(copy.copy(compiled)(x), X)


QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "close": lambda x: -x if np.allclose(x, 1, atol=0.5) else x,
    "equal": lambda x: (x[:1] if not np.array_equal(x, np.ones(3)) else x, np.array_equal(x, x)),
    "of one value": lambda x: (np.array_equiv(x, 1.0), x * np.allclose(x, 2), sum(np.allclose(v, 1) for v in x)),
    "a whole number": lambda x: (
        -x if float(x[0]).is_integer() else x,
        x[1].is_integer(),
        np.sum(x).item().is_integer(),
    ),
    "in a loop": lambda x: [x := x * 0.5 + 0.5 for _ in range(6) if not np.allclose(x, 1, atol=0.2)][-1:],
}


@pytest.mark.parametrize("name", QUESTIONS)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_questions_that_numpy_and_numbers_answer_with_true_or_false(name: str, backend: str) -> None:
    f = QUESTIONS[name]
    compiled = tg.compile(f, backend)
    for x in [[1.0, 1, 1], [1.2, 0.9, 1], [2, 3, np.inf], [np.nan, 1, 1], [np.inf, 1, 1], [-2, -0.0, 1]] * 2:
        found, expected = compiled(np.array(x)), f(np.array(x))
        assert str(found) == str(expected)
        assert [type(leaf) for leaf in trees.leaves(found)] == [type(leaf) for leaf in trees.leaves(expected)]
