"""The gradient checker: each verdict, each method, what it says of where and why, and that it changes nothing."""

import copy
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.checking.models import MODELS, smooth, smooth_gradient
from tests.marks import param, spread
from tinygrad_lite import nn
from tinygrad_lite.checking import Report, Verdict
from tinygrad_lite.engine.op import Op
from tinygrad_lite.errors import GradientError, InputError, ShapeError, UsageError
from tinygrad_lite.nn import functional as F

X = np.array([0.5, -1.0, 2.0, 0.25])
METHODS = ("complex", "differences", "forward", "taylor")


def check(f: Any, *inputs: Any, **options: Any) -> Report:
    return tg.gradcheck(f, *inputs, raise_exception=False, **options)


def verdicts(report: Report) -> set[Verdict]:
    return set(report.counts())


@pytest.mark.parametrize("method", METHODS)
def test_every_method_passes_what_is_right(method: Any) -> None:
    report = check(smooth, X, method=method)
    assert report.ok
    assert verdicts(report) == {Verdict.RIGHT}


@pytest.mark.long
@pytest.mark.parametrize(
    ("f", "parameters", "order"),
    [
        param(*model, order, slow=order == 2 and model[0].__name__ in ("network", "by_hand", "normalised"))
        for model in MODELS
        for order in (1, 2)
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_whole_models(f: Callable[..., Any], parameters: Any, order: Any) -> None:
    report = check(f, parameters, order=order)
    assert report.ok, str(report)
    assert Verdict.NOISY not in verdicts(report)
    assert report.method == "complex step"


def test_what_rounding_alone_makes_different_from_nothing_is_right() -> None:
    x = np.array([[3.0, 1.0, 1.0], [-2.0, 0.0, -2.0], [-1.0, 2.0, 2.0]])  # whose inverse has a zero in it
    report = check(lambda x: np.linalg.pinv(tg.grad(lambda x: np.sum(np.i0(x)))(x)), x)
    assert report.ok, str(report)


@pytest.mark.long
@pytest.mark.parametrize(("method", "error"), [("complex", 1e-12), ("differences", 1e-8), ("taylor", 1e-8)])
def test_the_smallest_error_in_one_entry_of_200_is_found(method: Any, error: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5 if method == "complex" else 1):
        x = rng.normal(size=200)
        entry = int(rng.integers(200))

        def wrong(x: Any, entry: int = entry) -> Any:
            gradient = smooth_gradient(x)
            gradient[entry] *= 1 + error
            return gradient

        assert check(smooth, x, gradient=smooth_gradient, method=method).ok
        report = check(smooth, x, gradient=wrong, method=method)
        assert report.counts()[Verdict.WRONG] == 1
        assert report.findings[0].index == (entry,)


OF_ORDER: list[Any] = [
    np.max,
    np.median,
    lambda x: np.quantile(x, 0.6),
    lambda x: np.sum(np.sort(x) * np.arange(1, 6)),
    lambda x: np.maximum(np.maximum(x[0], x[1]), x[2]) + np.minimum(x[0], x[3]) - x[4],
]


class TestVerdicts:
    def test_at_a_kink(self) -> None:
        report = check(lambda x: np.sum(2 * F.relu(x) + np.abs(x - 1)), np.array([0.0, 0.5, 1.0]))
        assert report["x"].verdicts.ravel().tolist() == [Verdict.KINK, Verdict.RIGHT, Verdict.KINK]
        assert report.ok
        assert "relu, at entry [0]" in report.findings[0].where
        assert "test_gradcheck.py" in report.findings[0].where
        assert "from the left" in report.findings[0].why

    def test_a_kink_that_only_differences_see(self) -> None:
        def f(x: Any) -> Any:
            return sum(abs(float(entry)) for entry in x)

        right = check(f, np.array([0.0, 1e-6, 1.0]), gradient=np.sign)
        assert right["x"].verdicts.ravel().tolist() == [Verdict.KINK, Verdict.RIGHT, Verdict.RIGHT]
        assert right.ok
        assert right.findings[0].why == (
            "the slope is -1 from the left and 1 from the right, and the gradient is between them"
        )
        report = check(f, np.array([0.0, 1.0]), gradient=lambda x: np.array([3.0, 1.0]))
        assert report["x"].verdicts.ravel().tolist() == [Verdict.WRONG, Verdict.RIGHT]

    def test_a_choice_that_changes_is_a_kink_too(self) -> None:
        report = check(lambda x: np.sum(np.where(x > 0, x, 0)), np.array([0.0, 1.0]))
        assert report["x"].verdicts.ravel().tolist() == [Verdict.KINK, Verdict.RIGHT]
        assert "greater, at entry [0]" in report.findings[0].where

    def test_what_stays_at_its_kink_is_looked_at_once(self) -> None:
        corner, runs = np.array([0.0, 3.0]), []

        def f(x: Any) -> Any:
            runs.append(x)
            whole = np.floor(x).astype(int) % 2  # integers are at a kink of the remainder, which they never leave
            return np.sum(np.sin(x) * (1 + F.relu(corner)[whole])) + np.max(0 * x[:3])

        assert verdicts(check(f, np.linspace(0.1, 9.9, 300))) == {Verdict.RIGHT}
        assert len(runs) < 300

    def test_beyond_the_slopes_to_either_side_it_is_wrong(self) -> None:
        report = check(lambda x: np.sum(np.abs(x)), np.array([0.0, 1.0]), gradient=np.array([-2.0, 1.0]))
        assert report["x"].verdicts.ravel().tolist() == [Verdict.WRONG, Verdict.RIGHT]
        assert "absolute, at entry [0]" in report.findings[0].where
        assert "the gradient is not between them" in report.findings[0].why

    def test_what_is_smooth_in_spite_of_a_kink_is_right(self) -> None:
        report = check(lambda x: np.sum(F.relu(x) ** 2), np.array([0.0, 1.0, -1.0]))
        assert report.ok
        assert Verdict.KINK not in verdicts(report)

    @pytest.mark.parametrize("method", ["auto", "differences"])
    def test_ties(self, method: Any) -> None:
        assert check(np.max, np.array([1.0, 2.0, 2.0, -1.0]), method=method).ok
        assert check(lambda x: np.median(x), np.array([1.0, 1.0, 2.0, 3.0]), method=method).ok

    @pytest.mark.long
    @pytest.mark.parametrize("method", ["auto", param("differences", slow=True)])
    @pytest.mark.parametrize("f", OF_ORDER)
    def test_ties_of_several(self, f: Any, method: Any) -> None:
        """All entries may move by the same number, so that a gradient has only one sum."""
        for seed in range(2):
            x = np.random.default_rng(seed).integers(0, 3, 5).astype(float)
            g = tg.grad(f)(x)
            assert check(f, x, method=method).outcome != "failed", x
            values, counts = np.unique(x, return_counts=True)
            first = np.flatnonzero(x == values[np.argmax(counts)])[0]
            wrong = g + np.eye(5)[first] / 4
            assert check(f, x, gradient=lambda _, wrong=wrong: wrong, method=method).outcome != "passed", x

    def test_outside_the_domain(self) -> None:
        report = check(lambda x: np.sum(np.log(x)), np.array([1.0, 0.0, 2.0]))
        assert report["x"].verdicts.ravel()[1] == Verdict.DOMAIN
        assert not report.ok
        assert "log" in report.findings[-1].where
        assert "given 0 at entry [1]" in report.findings[-1].where

    def test_nothing_can_be_said_of_what_is_no_number(self) -> None:
        report = check(lambda x: np.sum(np.log(x)), np.array([1.0, -1.0, 2.0]))
        assert verdicts(report) == {Verdict.DOMAIN}
        assert "given -1 at entry [1]" in report.findings[0].where
        report = check(lambda x: np.sum(x * 2) + np.inf - np.inf, X, gradient=lambda x: 3 + 0 * x)
        assert verdicts(report) == {Verdict.NOT_FINITE}
        assert not report.ok

    def test_a_branch_that_is_not_chosen(self) -> None:
        report = check(lambda x: np.sum(np.where(x > 0, np.sqrt(x), 0)), np.array([1.0, 0.0]))
        assert report["x"].verdicts.ravel().tolist() == [Verdict.RIGHT, Verdict.DOMAIN]
        assert "choose before the operation as well" in report.findings[0].why

    def test_not_finite(self) -> None:
        report = check(lambda x: np.sum(np.exp(1000 * x)), np.array([1.0, -1.0]))
        finding = next(finding for finding in report.findings if finding.verdict == Verdict.NOT_FINITE)
        assert "exp" in finding.where
        assert "forward" in finding.why
        assert not report.ok
        safe = check(lambda x: np.sum(np.where(x > 0, np.arctan2(x, x * 0.0), 0 * x)), np.array([1.0, 0.0]))
        assert Verdict.NOT_FINITE in verdicts(safe)
        assert any("backward" in finding.why for finding in safe.findings)

    def test_not_deterministic(self) -> None:
        rng = np.random.default_rng(0)
        report = check(lambda x: np.sum(x * rng.normal(size=4)), X)
        assert verdicts(report) == {Verdict.NOT_DETERMINISTIC}
        assert not report.ok

    def test_sums_in_another_order_from_run_to_run(self) -> None:
        rng = np.random.default_rng(0)

        def last_digits(x: Any) -> Any:
            return np.cos(x) * (1 + 4e-16 * rng.integers(-2, 3, 4))

        assert tg.gradcheck(lambda x: np.sum(np.sin(x)), X, gradient=last_digits).ok

    @pytest.mark.long
    @pytest.mark.parametrize("seed", range(8))
    def test_two_runs_that_are_the_same_by_chance(self, seed: int) -> None:
        model = nn.Sequential(nn.Linear(4, 1, rng=0), nn.Dropout(0.5, rng=seed))
        report = check(model, X)
        assert not report.ok
        assert verdicts(report) <= {Verdict.NOT_DETERMINISTIC, Verdict.RIGHT}

    def test_a_result_that_stands_still_beside_others(self) -> None:
        def ratios(x: Any) -> Any:
            return np.array([float(x[0] / (x[0] + x[1]) + x[1] / (x[0] + x[1])), float(x[0] * x[1])])

        x = np.array([0.3, 1.1])
        for rounding, outcome in ((3e-16, "passed"), (1e-3, "failed")):
            gradient = np.array([[rounding, -rounding], [1.1, 0.3]])
            assert tg.gradcheck(ratios, x, gradient=gradient, raise_exception=False).outcome == outcome

    def test_too_noisy_to_say(self) -> None:
        report = check(lambda x: (np.tanh(np.sum(x)) + 1e14) - 1e14, X, method="differences")
        assert report.outcome == "inconclusive"
        assert str(report).startswith("gradcheck of <lambda>: INCONCLUSIVE (verified 0 of 4: 4 too noisy to say")
        assert Verdict.NOISY in verdicts(report)
        assert "rounding" in report.findings[0].why

    @pytest.mark.parametrize(
        ("f", "words"),
        [
            (lambda x: np.sum(x[1:] ** 2), "not chosen: the index leaves it out"),
            (lambda x: np.sum(x * np.array([0.0, 1, 1, 1])), "multiplied by zero"),
            (lambda x: np.sum(np.tanh(1e4 * x)), "saturated"),
            (lambda x: np.sum(F.relu(x)), "not chosen: its input is at most 0"),
            (lambda x: np.sum(np.floor(1.1 * x) + x * np.array([0.0, 1, 1, 1])), "zero"),
            (lambda x: np.sum(x.astype(int) * 2.0), "becomes an integer"),
        ],
        ids=["index", "mask", "tanh", "relu", "floor", "integer"],
    )
    def test_no_gradient_where_there_is_none_to_be(self, f: Any, words: str) -> None:
        report = check(f, X)
        assert report.ok
        found = [finding for finding in report.findings if finding.verdict == Verdict.NO_GRADIENT]
        assert any(words in finding.why for finding in found), str(report)

    @pytest.mark.parametrize(
        ("f", "words"),
        [
            (lambda x: np.sum((x * 2).detach() ** 2), "detached"),
            (lambda x: np.sum(tg.stop_gradient(np.sin(x)) * 2), "lets no gradient through"),
            (lambda x: np.sum(np.sin(x).detach().numpy() * 2 + 0 * x), "detached"),
        ],
        ids=["detach", "stop_gradient", "numpy"],
    )
    def test_no_gradient_where_there_should_be_one(self, f: Any, words: str) -> None:
        report = check(f, X)
        assert not report.ok
        assert any(words in finding.why for finding in report.findings), str(report)

    def test_integers_are_held_fixed(self) -> None:
        report = check(lambda x, labels: np.sum(x[labels]), X, np.array([0, 1, 2, 3]))
        assert report.ok
        assert "labels holds integers" in str(report)


class TestWhere:
    def test_the_operation_and_the_line(self) -> None:
        cube = tg.elementwise(lambda x: x**3, lambda y, x: 3 * x, name="cube_with_a_wrong_rule")

        def model(x: Any, w: Any) -> Any:
            h = np.tanh(x @ w)
            h = cube(h)  # this line
            return np.sum(np.sin(h))

        report = check(model, np.ones((3, 2)) / 3, np.ones((2, 2)) / 4)
        for finding in report.findings:
            assert finding.where.startswith("cube_with_a_wrong_rule, called at test_gradcheck.py:")
            assert finding.where.endswith("h = cube(h)  # this line")

    @pytest.mark.parametrize(
        ("name", "words", "mistake"),
        [
            ("w2", "transposed", lambda g: {**g, "w2": g["w2"].T}),
            ("b1", "sum over the batch is missing", None),
            ("w1", "sign", lambda g: {**g, "w1": -g["w1"]}),
            ("b2", "too large", lambda g: {**g, "b2": g["b2"] * 6}),
            ("w2", "off by one", lambda g: {**g, "w2": np.roll(g["w2"], 1, 0)}),
        ],
    )
    def test_gradients_derived_by_hand(self, name: str, words: str, mistake: Any) -> None:
        rng = np.random.default_rng(1)
        x, t = rng.normal(size=(6, 4)), rng.normal(size=(6, 3))
        p = {"w1": rng.normal(size=(4, 3)), "b1": rng.normal(size=3), "w2": rng.normal(size=(3, 3)), "b2": np.zeros(3)}

        def loss(p: Any) -> Any:
            h = np.tanh(x @ p["w1"] + p["b1"])
            return np.sum((h @ p["w2"] + p["b2"] - t) ** 2) / 6

        def gradient(p: Any) -> Any:
            h = np.tanh(x @ p["w1"] + p["b1"])
            d = 2 * (h @ p["w2"] + p["b2"] - t) / 6
            e = d @ p["w2"].T * (1 - h**2)
            b1 = e[0] if mistake is None else e.sum(axis=0)
            return {"w1": x.T @ e, "b1": b1, "w2": h.T @ d, "b2": d.sum(axis=0)}

        report = check(loss, p, gradient=gradient if mistake is None else lambda p: mistake(gradient(p)))
        failing = [finding for finding in report.findings if finding.fails]
        assert [finding.path for finding in failing] == [f"p.{name}"]
        assert words in failing[0].why

    def test_a_rule_that_is_right_to_first_order_alone(self) -> None:
        cube = tg.elementwise(lambda x: x**3, lambda y, x: 3 * x * tg.stop_gradient(x), name="cube")

        def f(x: Any) -> Any:
            return np.sum(np.sin(cube(np.exp(x))))

        assert check(f, X).ok
        report = check(f, X, order=2)
        assert {finding.where for finding in report.findings if finding.fails} == {
            f"cube, called at test_gradcheck.py:{f.__code__.co_firstlineno + 1}: return np.sum(np.sin(cube(np.exp(x))))"
        }
        assert all("without its history" in finding.why for finding in report.findings if finding.fails)

    def test_no_gradient_after_an_operation_with_several_results(self) -> None:
        report = check(np.linalg.det, np.array([[1.5]]), order=2)  # of one entry: its derivative is 1
        assert report.counts() == {Verdict.NO_GRADIENT: 1}

    def test_a_small_error_is_shown_and_no_mistake_is_made_up_for_it(self) -> None:
        report = check(lambda x: np.sum(x**2), X, gradient=lambda x: 2 * x * (1 + 1e-10))
        assert "gradient 4.0000000004, should be 4" in str(report)
        assert report.findings[0].where == ""
        assert report.findings[0].why.startswith("it agrees to 1e-10 of the largest entry")

    def test_gradients_that_overwrite_each_other(self) -> None:
        def f(w: Any) -> Any:
            return np.sum(np.sin(w)) + np.sum(w**3)

        report = check(f, X, gradient=lambda w: 3 * w**2)
        assert "overwritten" in report.findings[0].why

    @pytest.mark.parametrize(
        ("rule", "words"),
        [
            (lambda g, y, x: 2 * x, "the upstream gradient is left out"),
            (lambda g, y, x: g, "the local derivative is left out"),
        ],
    )
    def test_half_of_a_chain(self, rule: Any, words: str) -> None:
        square = Op(lambda x: x**2, [rule], name="half_a_square", arity=1)
        report = check(lambda x: np.sum(np.sin(square(x))), X)
        assert words in report.findings[0].why
        assert report.findings[0].where.startswith("half_a_square")


class TestInputs:
    def test_containers_tensors_and_several_results(self) -> None:
        inputs = {"a": X, "b": [tg.tensor(2.0), (np.float64(1.0), None)]}
        report = check(lambda p, scale: (p["a"] * p["b"][0], {"s": scale * p["b"][1][0]}), inputs, 3.0)
        assert report.ok
        assert [one.path for one in report] == ["p.a", "p.b.0", "p.b.1.0", "scale"]
        assert report["p.a"].gradient.shape == (5, 4)

    def test_a_module_is_checked_with_its_parameters(self) -> None:
        model = nn.Sequential(nn.Linear(4, 3, rng=0), nn.Tanh(), nn.Linear(3, 2, rng=1))
        report = check(model, np.ones((2, 4)))
        assert report.ok
        assert {"input", "0.weight", "2.bias"} & {one.path for one in report} >= {"0.weight", "2.bias"}

    def test_float32_needs_no_settings(self) -> None:
        rng = np.random.default_rng(0)
        x, w = rng.normal(size=(5, 4)).astype(np.float32), rng.normal(size=(4, 3)).astype(np.float32)

        def f(x: Any, w: Any) -> Any:
            return F.cross_entropy(np.tanh(x @ w), np.array([0, 1, 2, 0, 1]))

        assert check(f, x, w).ok
        right = tg.grad(f, (0, 1))

        def wrong(x: Any, w: Any) -> Any:
            by_x, by_w = right(x.astype(np.float32), w.astype(np.float32))
            return by_x, by_w * np.float32(1.001)

        assert not check(f, x, w, gradient=wrong).ok

    @pytest.mark.parametrize("wrong", [None, 17])
    def test_many_entries_are_bisected(self, wrong: Any) -> None:
        x = np.random.default_rng(0).normal(size=3000)

        def gradient(x: Any) -> Any:
            found = smooth_gradient(x)
            if wrong is not None:
                found[wrong] += 1e-6
            return found

        report = check(smooth, x, gradient=gradient)
        assert report.ok is (wrong is None)
        if wrong is not None:
            assert report.findings[0].index == (wrong,)

    def test_what_a_search_does_not_come_to_is_not_called_right(self) -> None:
        report = check(smooth, np.random.default_rng(0).normal(size=3000), gradient=lambda x: -smooth_gradient(x))
        assert report.counts() == {Verdict.WRONG: 64, Verdict.NOT_CHECKED: 2936}
        assert "the sign is wrong" in str(report)
        assert "the search ended" in str(report)

    def test_many_entries_at_kinks(self) -> None:
        report = check(lambda x: np.sum(F.relu(x) * np.arange(1500.0)), np.zeros(1500))
        assert report.ok
        assert "a millionth away from" in str(report)

    def test_nothing_of_the_users_changes(self) -> None:
        model = nn.Sequential(nn.Linear(4, 3, rng=0), nn.Dropout(0.5, rng=1), nn.Linear(3, 1, rng=2)).train()
        x = tg.tensor(np.ones((2, 4)), requires_grad=True)
        (model(x).sum() + x.sum()).backward()
        before = copy.deepcopy((model.state_dict(), [p.grad.numpy() for p in model.parameters()], x.grad.numpy()))
        parameters = list(model.parameters())
        check(model, x)
        with pytest.raises(ZeroDivisionError):
            tg.gradcheck(lambda x: x.sum() / 0 if x.requires_grad else 1 // 0, x)
        after = (model.state_dict(), [p.grad.numpy() for p in model.parameters()], x.grad.numpy())
        np.testing.assert_equal(after, before)
        assert all(a is b for a, b in zip(parameters, model.parameters()))
        assert model.training
        assert x.is_leaf

    def test_functions_of_other_libraries(self) -> None:
        def f(x: Any) -> float:
            return sum(float(entry) ** 3 for entry in x)

        assert check(f, X, gradient=lambda x: 3 * x**2).ok
        report = check(f, X, gradient=lambda x: 3 * x)
        assert not report.ok
        assert "differences" in report.method

    def test_a_gradient_may_be_an_array(self) -> None:
        assert check(smooth, X, gradient=smooth_gradient(X)).ok
        assert not check(smooth, X, gradient=smooth_gradient(X) * (1 + 1e-9)).ok

    def test_a_jacobian_by_hand(self) -> None:
        a = np.arange(6.0).reshape(2, 3)
        assert check(lambda x: a @ x, X[:3], gradient=lambda x: a).ok
        assert not check(lambda x: a @ x, X[:3], gradient=lambda x: a[::-1]).ok

    def test_tolerances_for_who_wants_them(self) -> None:
        def rough(x: Any) -> Any:
            return smooth_gradient(x) * (1 + 1e-6)

        assert not check(smooth, X, gradient=rough).ok
        assert check(smooth, X, gradient=rough, rtol=1e-5).ok
        assert check(smooth, X, gradient=lambda x: smooth_gradient(x) + 1e-7, atol=1e-6).ok


def _in_place_by_index(x: Any, i: Any) -> Any:
    i[0] = 1
    return np.sum(x[i])


def _gradient_in_place(x: Any) -> Any:
    x *= 2
    return x


def _in_place(x: Any) -> Any:
    x[0] = 1.0
    return np.sum(x)


_SHAPES = iter(range(3, 1000))

BAD: list[tuple[Any, tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    (np.sum, (np.array([1, 2]),), {}, UsageError, "write 1.0 for 1"),
    (np.sum, (np.array([1j]),), {}, UsageError, "complex"),
    (np.sum, (np.zeros(0),), {}, InputError, "empty"),
    (lambda x: x[:0], (X,), {}, InputError, "returned empty arrays"),
    (np.sum, ("text",), {}, UsageError, "no arrays of real numbers"),
    (np.sum, (np.array([np.nan]),), {}, InputError, "finite"),
    (lambda x: None, (X,), {}, UsageError, "returned nothing"),
    (lambda x: "text", (X,), {}, UsageError, "must return real numbers"),
    (lambda x: x.reshape(-1)[0] * np.ones(next(_SHAPES)), (X,), {}, ShapeError, "function of its inputs"),
    (_in_place, (X,), {}, UsageError, "never change"),
    (_in_place, (X,), {"gradient": np.ones_like}, UsageError, "_in_place changed x in place"),
    (_in_place_by_index, (X, np.array([0, 1])), {}, UsageError, "changed i in place"),
    (lambda x: np.sum(x**2), (X,), {"gradient": _gradient_in_place}, UsageError, "_gradient_in_place changed x"),
    (np.sum, (X,), {"gradient": lambda a: np.ones(3)}, ShapeError, "gave shape (3,)"),
    (np.sum, (X,), {"gradient": lambda a: (a, a)}, ShapeError, "gave shape (2, 4)"),
    (np.sum, (X,), {"order": 3}, InputError, "order must be 1 or 2"),
    (np.sum, (X,), {"method": "guess"}, InputError, "method must be one of"),
    (np.sum, (X,), {"order": 2, "gradient": np.ones_like}, UsageError, "order=1"),
    (np.sum, (X,), {"method": "forward", "gradient": np.ones_like}, UsageError, "forward mode"),
    (nn.Linear(4, 1, rng=0), (X,), {"gradient": np.ones_like}, UsageError, "pass both"),
    (3.0, (X,), {}, UsageError, "function"),
]


@pytest.mark.parametrize(("f", "inputs", "options", "kind", "words"), BAD, ids=[case[4] for case in BAD])
def test_bad_input(f: Any, inputs: Any, options: Any, kind: Any, words: str) -> None:
    with pytest.raises(kind, match=words.replace("(", r"\(").replace(")", r"\)")):
        tg.gradcheck(f, *inputs, **options)


def test_a_function_may_refuse_points_beside_the_given_one() -> None:
    def f(x: Any) -> Any:
        if float(x[0]) != 0.5:
            raise KeyError("no such entry")
        return float(x[0] + x[1])

    report = check(f, X, gradient=lambda x: np.array([1.0, 1.0, 0.0, 0.0]))
    assert report["x"].verdicts.ravel().tolist()[:2] == [Verdict.NOISY, Verdict.RIGHT]
    assert report.outcome == "inconclusive"
    assert "the function has no values beside the point: KeyError: 'no such entry'" in str(report)


@pytest.mark.long
@pytest.mark.parametrize(
    "options",
    [
        *({"method": method} for method in ("auto", "complex", "differences", "forward", "taylor")),
        {"gradient": lambda x: 2 * np.diag(x)[x > 0]},
        {"order": 2},
    ],
)
def test_a_result_may_have_another_shape_beside_the_point(options: Any) -> None:
    for x, outcome in ((-1.0, ("passed",)), (1e-300, ("passed",)), (0.0, ("passed", "inconclusive"))):
        assert check(lambda x: x[x > 0] ** 2, np.array([x, 0.5, 2.0]), **options).outcome in outcome
    report = check(lambda x: np.concatenate([x, x[x <= 0.5]]), np.array([0.5, 0.7]), method="differences")
    assert report.ok
    assert "numbers there and 3 at the given point" in str(report)


@pytest.mark.parametrize("options", [{}, {"method": "differences"}, {"order": 2}])
def test_a_function_may_refuse_one_side_of_its_kink(options: Any) -> None:
    def one_sided(x: Any) -> Any:
        if np.real(x.numpy() if isinstance(x, tg.Tensor) else x)[0] < 0:
            raise ValueError("below 0")
        return np.sum(np.maximum(x, 0.0) * np.exp(x))

    assert check(one_sided, np.array([0.0, 0.5, -2.0]), **options).outcome == "inconclusive"


def test_a_failing_check_raises_its_report() -> None:
    with pytest.raises(GradientError, match="4 of 4 entries") as caught:
        tg.gradcheck(smooth, X, gradient=lambda x: 2 * smooth_gradient(x))
    assert caught.value.report.findings


@pytest.mark.slow
def test_a_gradient_that_is_all_rounding_is_not_called_wrong() -> None:
    """Of what is the identity whatever the matrix; and wrong it is called where it is a little more than that."""

    def identity(a: Any) -> Any:
        return np.linalg.inv(a) @ a

    wrong = np.zeros((3, 3, 3, 3))
    for a in np.random.default_rng(1).uniform(-2.7, 2.7, (10, 3, 3)):
        report = tg.gradcheck(identity, a, raise_exception=False)
        assert report.ok, str(report)
        wrong[0, 0, 0, 0] = 1e-14 * np.linalg.cond(a) ** 2
        assert not tg.gradcheck(identity, a, gradient=wrong, raise_exception=False).ok


@pytest.mark.parametrize(
    "left", [lambda x: x[0].item(), lambda x: x.detach().numpy()[0], lambda x: float(x.numpy()[0])]
)
def test_a_value_that_left_its_graph_is_named_with_the_line(left: Any) -> None:
    report = tg.gradcheck(lambda x: np.sum(x[1:] * left(x)), X, raise_exception=False)
    (finding,) = [finding for finding in report.findings if finding.fails]
    assert finding.where.startswith("multiply, called at test_gradcheck.py")
    assert "detached" in finding.why


@pytest.mark.parametrize("bounds", [(0.0, None), (None, 1.0)])
@pytest.mark.parametrize("order", [1, 2])
def test_clip_by_one_bound_at_its_kink(bounds: Any, order: Any) -> None:
    report = check(lambda x: np.sum(np.clip(x, *bounds) ** 2), np.array([0.0, 1.0, -1.0, 0.3]), order=order)
    jumps = order == 2 and bounds == (None, 1.0)  # the gradient itself jumps there, from 2 to 0
    assert report.outcome == ("inconclusive" if jumps else "passed")
    assert report.counts().get(Verdict.JUMP, 0) == jumps


def test_where_a_value_jumps_and_several_are_the_largest() -> None:
    """The mantissa jumps at each power of 2 and at 0, where its slope is to neither side."""
    x = np.array([[-2.0, -2.0, 1.0], [-1.5, -0.0, 2.0]])
    report = check(lambda x: np.max(np.frexp(x)[0]), x)
    assert report.outcome == "inconclusive"
    assert report.counts()[Verdict.JUMP] == 2


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sum(np.linalg.eigvalsh(x) ** 2),
        lambda x: np.linalg.norm(x, "nuc") + np.sum(np.linalg.svdvals(x) ** 3),
        lambda x: np.sum(np.linalg.eigh(x).eigenvalues),
    ],
)
def test_a_rule_that_refuses_other_weights_is_not_at_fault(f: Any) -> None:
    """Of equal eigenvalues, only what treats them alike has a gradient."""
    assert tg.gradcheck(f, np.eye(3)).ok


@pytest.mark.parametrize(("period", "shift"), spread(itertools.product([0.3, 0.7, 1.0], [0.1, 0.35, 0.62]), 4))
def test_teeth_are_no_rounding(period: float, shift: float) -> None:
    x = np.array([-1.3, 0.4, 1.1, 2.0]) + shift * period

    def saw(x: Any) -> Any:
        return np.array([float(entry) % period for entry in x])

    assert check(saw, x, gradient=lambda x: np.eye(4)).ok
    for wrong in (-1.0, 1.01, 16.0):
        assert check(saw, x, gradient=lambda x, wrong=wrong: wrong * np.eye(4)).outcome == "failed", wrong


@pytest.mark.parametrize("rise", [0.25, 0.03, 1e-3, 1e-4])
@pytest.mark.parametrize("entries", [1, param(3, slow=True), param(12, slow=True)])
def test_a_staircase_has_neither_the_slope_of_its_steps_nor_that_from_afar(rise: float, entries: int) -> None:
    """A gradient that is passed straight through a rounding is not verified, though larger steps say the same."""
    x = np.cos(np.arange(1.0, entries + 1))
    weights = np.arange(1.0, entries + 1) + 0.1
    steps = (0.3 + np.floor(x / rise)) * rise  # within a step, not at its end

    def stairs(x: Any) -> float:
        return float(np.sum(weights * np.round(x / rise) * rise))

    for slope in (weights, np.zeros(entries), weights * 1.0000001):
        assert not check(stairs, steps, gradient=slope).ok


@pytest.mark.long
@pytest.mark.parametrize("away", [1e-11, 1e-9, 1e-6])
def test_beside_a_kink_the_smooth_side_tells_the_slope(away: float) -> None:
    def largest(x: Any) -> float:
        return 3 * float(np.max(x)) + float(np.sum(np.sin(x)))

    x = np.array([1.0, 1.0 + away, 0.5])
    chosen = np.array([0.0, 3.0, 0.0])
    assert check(largest, x, gradient=lambda x: chosen + np.cos(x)).ok
    for wrong in (-chosen, 0 * chosen, chosen[[0, 2, 1]]):
        assert check(largest, x, gradient=lambda x, wrong=wrong: wrong + np.cos(x)).outcome == "failed"


def test_a_slope_of_values_close_to_overflow() -> None:
    for f, slope, x in (
        (math.exp, math.exp, 709.7),
        (lambda x: float(x) ** 3, lambda x: 3 * x**2, 5e102),
        (lambda x: -math.cosh(x), lambda x: -math.sinh(x), -710.3),
    ):
        assert check(f, x, gradient=lambda x, slope=slope: np.asarray(slope(float(x)))).ok
        for factor in (-1.0, 0.0, 1.01, 1 + 1e-6):
            wrong = factor * slope(x)
            assert check(f, x, gradient=lambda x, wrong=wrong: np.asarray(wrong)).outcome == "failed", (x, factor)


def _by_rule(f: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its own gradient as its rule."""

    def with_rule(*x: Any) -> Any:
        pull = tg.vjp(f, *x)[1]
        return f(*x), pull

    return tg.custom_gradient(with_rule)


@pytest.mark.long
@pytest.mark.parametrize("whole", [tg.checkpoint, _by_rule, tg.functionalize], ids=["checkpoint", "rule", "functional"])
def test_a_chain_of_functions_that_are_one_operation_each_is_checked_like_their_bodies(whole: Any) -> None:
    weights = [0.3 * np.random.default_rng(k).normal(size=(3, 3)) for k in range(4)]
    x = np.linspace(-1, 1, 12).reshape(4, 3)

    def layer(h: Any, w: Any) -> Any:
        return np.sin(h @ w) + h

    def loss(weights: Any) -> Any:
        h = x
        for w in weights:
            h = whole(layer)(h, w)
        return np.mean(h**2)

    for order in (1, 2):
        assert tg.gradcheck(loss, weights, order=order).ok
    wrong = [np.array(d) for d in tg.grad(loss)(weights)]
    wrong[2][2, 2] *= 1.01
    report = check(loss, weights, gradient=wrong)
    assert report.counts() == {Verdict.RIGHT: 35, Verdict.WRONG: 1}
    assert "[2, 2]" in str(report)


class TestATimeBudget:
    """What ends a search is said, and nothing that was not looked at takes time."""

    @pytest.mark.parametrize("kind", [float, lambda y: y], ids=["by differences", "by complex steps"])
    def test_that_is_used_up_leaves_one_entry_that_is_known(self, kind: Any) -> None:
        calls = 0

        def f(x: Any) -> Any:
            nonlocal calls
            calls += 1
            return kind(np.sum(np.sin(x) * np.cos(x[::-1])))

        def gradient(x: Any) -> Any:
            return np.cos(x + x[::-1]) * (1 + 0.1 * np.cos(7 * x))

        report = check(f, np.linspace(0.1, 1, 200), gradient=gradient, time_budget=1e-9)
        assert calls < 400
        assert report.outcome == "failed"
        assert report.counts() == {Verdict.WRONG: 1, Verdict.NOT_CHECKED: 199}
        assert "time_budget= ended the search" in report.findings[-1].why

    @pytest.mark.parametrize("value", [None, "5", -1.0, np.nan], ids=str)
    def test_is_a_number(self, value: Any) -> None:
        with pytest.raises(InputError, match=r"time_budget is a positive number of seconds, np\.inf for no end; got"):
            check(np.sum, X, time_budget=value)

    def test_is_not_blamed_where_64_mistakes_ended_the_search(self) -> None:
        report = check(lambda x: float(np.sum(np.sin(x))), np.linspace(0.1, 3, 1001), gradient=np.sin)
        (left,) = [finding for finding in report.findings if finding.verdict is Verdict.NOT_CHECKED]
        assert "are wrong already" in left.why


def test_a_gradient_that_is_wrong_everywhere_takes_few_calls() -> None:
    """Blocks of entries are not divided again and again where each entry is wrong."""
    calls = 0

    def f(x: Any) -> float:
        nonlocal calls
        calls += 1
        return float(np.sum(np.sin(x)))

    report = check(f, np.linspace(0.1, 1, 100), gradient=lambda x: np.cos(x) * (1.2 + 0.1 * np.cos(7 * x)))
    assert report.counts() == {Verdict.WRONG: 100}
    assert calls < 35 * 100


def test_the_same_points_tell_of_all_results_whether_the_function_is_inexact() -> None:
    calls = 0

    def f(x: Any) -> Any:
        nonlocal calls
        calls += 1
        return np.array([float(np.sin(k * x[0]) * x[1]) for k in range(1, 31)])

    x = np.array([0.3, 0.7])
    k = np.arange(1.0, 31)[:, None]
    right = np.hstack([k * np.cos(k * x[0]) * x[1], np.sin(k * x[0])])
    report = check(f, x, gradient=1.00001 * right)
    assert report.counts() == {Verdict.WRONG: 60}
    assert calls < 2000  # alone, each result takes 160


def test_a_function_with_a_kink_near_each_entry_takes_few_calls() -> None:
    """Where kinks leave room for small steps only, the larger of these tell a straight line's slope best."""
    rng = np.random.default_rng(3)
    weights, point = rng.normal(size=(400, 200)), rng.normal(size=200)
    calls = 0

    def f(x: Any) -> float:
        nonlocal calls
        calls += 1
        return float(np.sum(np.maximum(weights @ x, 0)))

    assert check(f, point, gradient=lambda x: weights.T @ (weights @ x > 0)).ok
    assert calls < 200


@pytest.mark.parametrize("wrong", [[17], [3, 40]], ids=["one", "two"])
def test_few_wrong_entries_among_many_cost_a_few_checks(wrong: list[int]) -> None:
    """The errors along two directions single out one entry, and what agreed along others is looked at no more."""
    calls = 0

    def f(x: Any) -> float:
        nonlocal calls
        calls += 1
        return float(np.sum(np.sin(x) * np.roll(x, 1) ** 2))

    def gradient(x: Any) -> Any:
        return np.cos(x) * np.roll(x, 1) ** 2 + 2 * x * np.sin(np.roll(x, -1))

    point = np.random.default_rng(0).normal(size=50)
    assert check(f, point, gradient=gradient).ok
    of_right, calls = calls, 0
    planted = gradient(point)
    planted[wrong] *= 1.5
    report = check(f, point, gradient=planted)
    assert np.flatnonzero(report["x"].verdicts == Verdict.WRONG).tolist() == wrong
    assert of_right < 100
    assert calls < 350 * len(wrong)


def test_many_entries_of_small_effects_are_looked_at_together() -> None:
    """Rounding is the same for all of about the same size: polynomials tell of them as much as of each alone."""
    calls = 0

    def f(x: Any) -> float:
        nonlocal calls
        calls += 1
        return float(np.log(np.sum(np.exp(x))))

    point = np.random.default_rng(0).normal(size=44) * 5
    right = np.exp(point) / np.sum(np.exp(point))
    assert check(f, point, gradient=right).ok
    assert calls < 800
    wrong = np.where(np.arange(44) == np.argsort(right)[14], 1 + 3e-6, 1.0)
    report = check(f, point, gradient=wrong * right)
    assert np.all((report["x"].verdicts == Verdict.WRONG) == (wrong > 1))


@pytest.mark.parametrize("kind", [float, lambda y: y], ids=["by differences", "by complex steps"])
def test_a_zero_is_no_rounding_of_a_gradient_in_another_scale(kind: Any) -> None:
    """An entry with a gradient of 1e10 may change the value less than one with a gradient of 1e-6."""
    point = np.array([1e-5, 1e6])
    report = check(lambda x: kind(1 / x[0] + np.log(x[1])), point, gradient=np.array([-1e10, 0.0]))
    assert report["x"].verdicts.tolist() == [[Verdict.RIGHT, Verdict.WRONG]]


@pytest.mark.parametrize(
    ("f", "derivative", "point", "error"),
    [
        (np.exp, np.exp, [0.02, 0.4, 1.3, 5.0, 14.0], 1e-5),
        (np.exp, np.exp, [0.2, 1.0, 4.0, 10.0, 15.0], 1e-6),
        (lambda x: np.log1p(np.exp(-x)), lambda x: -1 / (1 + np.exp(x)), [0.2, 1.0, 4.0, 10.0, 15.0], 1e-6),
        (np.tanh, lambda x: 1 / np.cosh(x) ** 2, [0.3, 1.1, 2.3, 9.0], 1e-5),
        (lambda x: np.exp(-x * x / 2), lambda x: -x * np.exp(-x * x / 2), [1e-3, 0.4, 1.3, 6.0], 1e-5),
    ],
    ids=["exp, one at 0.02", "exp, one at 0.2", "softplus", "an end of tanh", "a tail of the normal density"],
)
def test_a_small_entry_is_looked_at_alone_where_larger_ones_hide_its_digits(
    f: Any, derivative: Any, point: list[float], error: float
) -> None:
    """Of a change that is 1e-5 to 1e-9 of the largest, the values still tell several digits."""
    x = np.array(point)
    planted = derivative(x)
    smallest = np.argmin(np.abs(planted * np.fmax(x, 0.1)))
    assert check(lambda x: float(np.sum(f(x))), x, gradient=derivative).ok
    planted[smallest] *= 1 + error
    report = check(lambda x: float(np.sum(f(x))), x, gradient=planted)
    assert np.flatnonzero(report["x"].verdicts == Verdict.WRONG).tolist() == [smallest]


def test_an_error_in_a_small_entry_is_seen_in_one_of_many_rows() -> None:
    weights = 10.0 ** -np.array([np.roll([0, 1, 0, 6, 1], k) for k in range(5)])
    x = np.array([0.3, 1.1, 2.3, 1.4, 2.0])
    planted = weights / np.cosh(x) ** 2
    planted[4, 2] *= 1 + 1e-5  # the smallest

    def f(x: Any) -> Any:
        return np.array([float(np.sum(row * np.tanh(x))) for row in weights])

    assert check(f, x, gradient=lambda x: weights / np.cosh(x) ** 2).ok
    assert np.argwhere(check(f, x, gradient=planted)["x"].verdicts == Verdict.WRONG).tolist() == [[4, 2]]


def test_an_error_in_a_tail_is_not_excused_by_the_rounding_of_values_further_inside() -> None:
    def slopes(x: Any) -> Any:
        return np.diag(-2 * x * np.exp(-x * x))

    def f(x: Any) -> Any:
        return np.array([float(np.exp(-t * t)) for t in x])

    for x in np.array([[0.5, 18.0], [22.0, 20.0], [0.2, 12.0]]):
        assert check(f, x, gradient=slopes).ok
        for error in (1e-6, 1e-2):
            planted = slopes(x)
            planted[1, 1] *= 1 + error
            assert check(f, x, gradient=planted).outcome == "failed", (x, error)


def test_an_error_is_not_excused_by_the_curve_that_another_entry_gives_to_its_slope() -> None:
    """Easom's function, far out: a thousandth of one entry's size changes the slope by the other by a tenth."""

    def easom(x: Any) -> float:
        return float(-np.prod(np.cos(x)) * np.exp(-np.sum((x - np.pi) ** 2)))

    x = np.array([18.0, 3.0])
    right = easom(x) * (-np.tan(x) - 2 * (x - np.pi))
    assert check(easom, x, gradient=right).ok
    assert check(easom, x, gradient=right * np.array([1, 1 + 1e-5])).outcome == "failed"


def test_a_result_too_small_for_the_others_to_show_still_has_a_slope() -> None:
    point, planted = np.array([1.98, 6.45, 700.0]), np.zeros((3, 3))
    planted[[0, 1], [0, 1]] = -0.25 * np.exp(-0.25 * point[:2])

    def f(x: Any) -> Any:
        return np.array([float(np.exp((1e8 - t / 4) - 1e8)) for t in x])  # with eight digits

    assert check(f, point, gradient=planted).outcome == "failed"


def test_a_value_that_stands_still_nearby_and_moves_further_away_verifies_no_gradient_of_0() -> None:
    def saturated(x: Any) -> float:
        return float(1 / (1 + np.exp(-x)))

    assert check(saturated, 50.0, gradient=0.0).outcome == "inconclusive"
