"""What a check takes: gradients matched by name, variables by `wrt=`, bounds, and modules among the arguments."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.checking import Report
from tinygrad_lite.errors import InputError, ShapeError, UsageError

X, Y = np.array([0.5, -1.0, 2.0]), np.array([1.5, 0.25, -0.75])


class Pair(NamedTuple):
    a: Any
    b: Any


class Swapped(NamedTuple):
    b: Any
    a: Any


@dataclass
class Record:
    a: Any
    b: Any


def check(f: Any, *inputs: Any, **options: Any) -> Report:
    return tg.gradcheck(f, *inputs, raise_exception=False, **options)


def paths(report: Report) -> list[str]:
    return [checked.path for checked in report]


def product(a: Any, b: Any) -> Any:
    return np.sum(a * b**2)


def by_a(a: Any, b: Any) -> Any:
    return b**2


def by_b(a: Any, b: Any) -> Any:
    return 2 * a * b


def of_dict(p: Any) -> Any:
    return product(p["a"], p["b"])


def of_record(p: Any) -> Any:
    return product(p.a, p.b)


def of_pair(p: Any) -> Any:
    return product(*p)


MATCHED: dict[str, tuple[Any, Any, Any]] = {
    "dict": (of_dict, {"a": X, "b": Y}, lambda p: {"b": by_b(**p), "a": by_a(**p)}),
    "list": (of_pair, [X, Y], lambda p: (by_a(*p), by_b(*p))),
    "namedtuple": (of_pair, Pair(X, Y), lambda p: Pair(by_a(*p), by_b(*p))),
    "namedtuple in another order": (of_pair, Pair(X, Y), lambda p: Swapped(a=by_a(*p), b=by_b(*p))),
    "dict of a namedtuple": (of_pair, Pair(X, Y), lambda p: {"b": by_b(*p), "a": by_a(*p)}),
    "tuple of a namedtuple": (of_pair, Pair(X, Y), lambda p: (by_a(*p), by_b(*p))),
    "dataclass": (of_record, Record(X, Y), lambda p: Record(by_a(p.a, p.b), by_b(p.a, p.b))),
    "dict of a dataclass": (of_record, Record(X, Y), lambda p: {"b": by_b(p.a, p.b), "a": by_a(p.a, p.b)}),
    "nested": (
        lambda p: of_dict(p["in"]) + np.sum(p["out"]),
        {"out": X, "in": {"a": X, "b": Y}},
        lambda p: {"in": {"b": by_b(**p["in"]), "a": by_a(**p["in"])}, "out": np.ones(3)},
    ),
}


@pytest.mark.parametrize(("f", "p", "gradient"), MATCHED.values(), ids=MATCHED)
def test_gradients_in_containers_are_matched_by_name(f: Any, p: Any, gradient: Any) -> None:
    assert check(f, p, gradient=gradient).ok
    assert check(f, p, gradient=gradient(p)).ok


@pytest.mark.parametrize(
    "gradient",
    [
        lambda a, b: (by_a(a, b), by_b(a, b)),
        lambda a, b: [by_a(a, b), by_b(a, b)],
        lambda a, b: {"b": by_b(a, b), "a": by_a(a, b)},
        lambda a, b: Swapped(a=by_a(a, b), b=by_b(a, b))._asdict(),
    ],
)
def test_gradients_of_several_arguments(gradient: Any) -> None:
    assert check(product, X, Y, gradient=gradient).ok


@pytest.mark.parametrize("parts", [1, 2])
def test_what_has_no_gradient_may_be_left_out(parts: int) -> None:
    def f(x: Any, labels: Any) -> Any:
        return np.sum(x[labels] ** 2)

    report = check(f, X, np.array([0, 1, 2]), gradient=lambda x, labels: 2 * x if parts == 1 else (2 * x, None))
    assert report.ok
    assert "labels holds integers" in str(report)


def test_the_only_argument_with_a_gradient_may_be_a_pair_itself() -> None:
    def f(p: Any, labels: Any) -> Any:
        return product(*p) + labels

    assert check(f, (X, Y), 3, gradient=lambda p, labels: (by_a(*p), by_b(*p))).ok


def test_the_gradient_with_respect_to_a_list_of_numbers_may_be_an_array() -> None:
    assert check(lambda x: x[0] * x[1] ** 2, [0.5, 2.0], gradient=lambda x: np.array([x[1] ** 2, 2 * x[0] * x[1]])).ok
    jacobian = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert check(lambda x: jacobian @ np.stack(x), [0.5, 2.0], gradient=jacobian).ok
    with pytest.raises(UsageError, match="gave ndarray for x, which is a list of 2"):
        check(lambda x: x[0] * x[1], [0.5, 2.0], gradient=lambda x: np.ones(3))


def test_a_gradient_that_is_none_is_not_checked() -> None:
    report = check(of_dict, {"a": X, "b": Y}, gradient=lambda p: {"a": by_a(**p), "b": None})
    assert report.ok
    assert paths(report) == ["p.a"]
    assert "p.b: not checked, since gradient= gave None for it" in report.remarks
    report = check(product, X, Y, gradient=lambda a, b: (None, 3 * by_b(a, b)))
    assert not report.ok
    assert paths(report) == ["b"]


UNMATCHED: list[tuple[Any, str]] = [
    ({"a": X}, "nothing for p.b: give None"),
    ({"a": X, "c": Y}, "nothing for p.b but 'c', which p does not have"),
    ({"a": X, "b": Y, "c": Y}, "gave 'c', which p does not have"),
    ((X, Y), "gave a tuple of 2 for p, which is a dict with a, b"),
    (X, "gave ndarray for p, which is a dict with a, b"),
    ({"a": X, "b": {"x": Y}}, "gave a dict with x for p.b, which is one array"),
    ({"a": X, "b": "text"}, "gave str for p.b"),
    ({"a": X, "b": (2.0, Y)}, "a tuple of 2 for p.b, which is one array: leave out the value, and return the gradient"),
]


@pytest.mark.parametrize(("gradient", "words"), UNMATCHED, ids=[words for _, words in UNMATCHED])
def test_what_is_missing_or_named_otherwise_is_an_error(gradient: Any, words: str) -> None:
    for given in (gradient, lambda p: gradient):
        with pytest.raises(UsageError, match=words):
            check(of_dict, {"a": X, "b": Y}, gradient=given)


def test_errors_of_gradients_of_several_arguments() -> None:
    with pytest.raises(UsageError, match="gave ndarray for the arguments a, b: give a tuple"):
        check(product, X, Y, gradient=by_a)
    with pytest.raises(UsageError, match="nothing for b"):
        check(product, X, Y, gradient=lambda a, b: {"a": by_a(a, b)})
    with pytest.raises(UsageError, match="gave None: does it end with `return`"):
        check(np.sum, X, gradient=lambda a: None)
    with pytest.raises(UsageError, match="gave None: does it end with `return`"):
        check(product, X, Y, gradient=lambda a, b: None)
    with pytest.raises(UsageError, match="gave None for every variable: there is nothing to check"):
        check(product, X, Y, gradient=lambda a, b: (None, None))
    count = iter(range(9))
    with pytest.raises(UsageError, match="gave None for b, and a gradient before"):
        check(product, X, Y, gradient=lambda a, b: (b**2, a if next(count) == 0 else None))


def test_a_gradient_that_uses_what_the_function_stored() -> None:
    class Layer:
        def forward(self, x: Any) -> Any:
            self.x = x
            return np.sum(x**2)

        def backward(self, x: Any) -> Any:
            return 2 * self.x

    layer = Layer()
    assert check(layer.forward, X, gradient=layer.backward).ok


class TestWithRespectTo:
    @pytest.mark.parametrize("wrt", ["b", 1, -1, ("b",), [1]])
    def test_an_argument(self, wrt: Any) -> None:
        assert paths(check(product, X, Y, wrt=wrt)) == ["b"]
        report = check(product, X, tg.tensor(Y), wrt=wrt, gradient=by_b)
        assert report.ok
        assert paths(report) == ["b"]

    def test_the_gradient_may_have_an_entry_for_what_is_held_fixed(self) -> None:
        assert check(product, X, Y, wrt="b", gradient=lambda a, b: (None, by_b(a, b))).ok
        assert check(product, X, Y, wrt="b", gradient=lambda a, b: {"b": by_b(a, b)}).ok
        assert check(product, X, Y, wrt="b", gradient=lambda a, b: (3 * by_a(a, b), by_b(a, b))).ok

    def test_paths(self) -> None:
        p = {"w": (X, Y), "x": tg.tensor(Y, requires_grad=True)}

        def f(p: Any) -> Any:
            return product(*p["w"]) * np.sum(p["x"])

        assert paths(check(f, p, wrt="p.w")) == ["p.w.0", "p.w.1"]
        assert paths(check(f, p, wrt=("p.x", "p.w.1"))) == ["p.w.1", "p.x"]
        assert check(f, p, wrt="p.w.0", order=2).ok
        assert p["x"].grad is None

    def test_parameters_of_a_module(self) -> None:
        model = nn.Sequential(nn.Linear(3, 2, rng=0), nn.Tanh(), nn.Linear(2, 1, rng=1))
        assert paths(check(model, X, wrt="input")) == ["input"]
        assert paths(check(model, X, wrt=("0", "2.bias"))) == ["0.weight", "0.bias", "2.bias"]

    def test_what_is_held_fixed_must_not_be_changed(self) -> None:
        def f(a: Any, b: Any) -> Any:
            b[0] = 3.0
            return np.sum(a * b)

        with pytest.raises(UsageError, match="changed b in place"):
            check(f, X, Y, wrt="a")

    @pytest.mark.parametrize("wrt", ["c", 2, ("a", "labels"), ()])
    def test_what_is_no_variable_is_an_error(self, wrt: Any) -> None:
        with pytest.raises(InputError, match="wrt="):
            check(lambda a, labels: np.sum(a[labels]), X, np.array([0, 1]), wrt=wrt)


class TestBounds:
    @staticmethod
    def inside(low: Any, high: Any) -> Any:
        """A function that must not be called outside its bounds."""

        def f(x: Any) -> Any:
            x = np.asarray(tg.stop_gradient(x)).real if isinstance(x, tg.Tensor) else np.asarray(x)
            assert np.all(x >= low)
            assert np.all(x <= high)
            return float(np.sum(x**3))

        return f

    @pytest.mark.parametrize(
        "bounds",
        [
            (-1.0, 2.0),
            (np.array([0.0, -1, 1]), 2),
            [(-1, 2), (-1.0, None), (None, 2)],
            {"x": (-1, 2)},
            [(-1, 2)],
        ],
    )
    def test_the_function_is_not_called_outside(self, bounds: Any) -> None:
        f = self.inside(-1, 2)
        point = np.array([0.5, 0.25, 1.5])
        assert check(f, point, gradient=lambda x: 3 * x**2, bounds=bounds).ok
        assert not check(f, point, gradient=lambda x: 3.1 * x**2, bounds=bounds).ok

    def test_bounds_as_scipy_has_them(self) -> None:
        class Bounds:
            lb, ub = np.array([0.0, 0.0, 0.0]), np.inf

        f = self.inside(0, np.inf)
        assert check(f, np.array([1e-9, 0.25, 1.5]), gradient=lambda x: 3 * x**2, bounds=Bounds()).ok

    def test_each_variable_has_its_own(self) -> None:
        def f(p: Any) -> Any:
            assert float(p["a"]) > 0
            assert float(p["b"]) < 1
            return np.log(float(p["a"])) + np.log(1 - float(p["b"]))

        p = {"a": 0.5, "b": 0.75}
        gradient = {"a": 2.0, "b": -4.0}
        assert check(f, p, gradient=gradient, bounds={"p.a": (1e-300, None), "p.b": (None, 1 - 1e-16)}).ok
        assert check(f, p, gradient=gradient, bounds=[(1e-300, None), (None, 1 - 1e-16)]).ok

    def test_of_several_arguments_one_of_which_is_not_checked(self) -> None:
        report = check(
            lambda a, b: self.inside(0, 1)(a) + self.inside(2, 3)(b),
            np.array([0.0, 0.5]),
            np.array([2.5, 3.0]),
            bounds=[(0, 1), (0, 1), (2, 3), (None, 3)],
            gradient=lambda a, b: (None, 3 * b**2),
        )
        assert report.ok
        assert paths(report) == ["b"]

    def test_errors(self) -> None:
        with pytest.raises(InputError, match=r"x\[1\] is -1, outside its bounds 0 and 2"):
            check(lambda x: np.sum(x), X, bounds=(0, 2))
        with pytest.raises(InputError, match="names 'y', which is not a variable; there are x"):
            check(lambda x: np.sum(x), X, bounds={"y": (0, 2)})
        with pytest.raises(InputError, match="pairs"):
            check(lambda x: np.sum(x), X, bounds=(2, 0))
        with pytest.raises(UsageError, match="gave 4 pairs for 1 variables with 3 entries"):
            check(lambda x: np.sum(x), X, bounds=[(0, 1)] * 4)
        with pytest.raises(ShapeError, match=r"fit an array of shape \(3,\)"):
            check(lambda x: np.sum(x), X, bounds=(np.zeros(2), None))


class TestModulesAmongTheArguments:
    model = nn.Sequential(nn.Linear(3, 2, rng=0), nn.Tanh(), nn.Linear(2, 1, rng=1))

    @staticmethod
    def f(model: Any, x: Any) -> Any:
        return np.sum(model(x) ** 2)

    @pytest.mark.parametrize("method", ["auto", "differences", "forward"])
    def test_its_parameters_are_variables(self, method: Any) -> None:
        before = self.model.state_dict()
        report = check(self.f, self.model, X, method=method)
        assert report.ok, str(report)
        assert paths(report) == ["model.0.weight", "model.0.bias", "model.2.weight", "model.2.bias", "x"]
        np.testing.assert_equal(self.model.state_dict(), before)
        assert check(self.f, self.model, X, order=2).ok

    def test_in_a_container_and_by_choice(self) -> None:
        report = check(lambda p: self.f(p["net"], p["x"]), {"net": self.model, "x": X}, wrt="p.net.2")
        assert paths(report) == ["p.net.2.weight", "p.net.2.bias"]

    def test_its_gradients_are_matched_by_name(self) -> None:
        def gradient(model: Any, x: Any) -> Any:
            return dict(reversed(tg.grad(self.f)(model, x).items()))

        report = check(self.f, self.model, X, gradient=gradient, wrt="model")
        assert report.ok, str(report)
        wrong = check(
            self.f, self.model, X, wrt="model", gradient=lambda m, x: {**gradient(m, x), "2.bias": np.ones(1)}
        )
        assert [finding.path for finding in wrong.findings] == ["model.2.bias"]

    def test_forward_mode_reaches_the_parameters_of_a_module(self) -> None:
        assert check(self.model, X, method="forward").ok


@pytest.mark.parametrize("name", ["rtol", "atol", "nondet_tol"])
@pytest.mark.parametrize("value", [-1.0, np.nan, None, "5"])
def test_bad_tolerances_are_refused(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"{name} is a difference to tolerate, a number of at least 0; got"):
        tg.gradcheck(np.sum, X, **{name: value})


@pytest.mark.parametrize("x", [0.5, np.float64(0.5), np.float32(0.5), np.array(0.5), np.array([0.5]), tg.tensor(0.5)])
def test_a_function_whose_gradient_comes_from_elsewhere_gets_arguments_of_the_types_that_were_passed(x: Any) -> None:
    """What one may do with an array, such as x[None], one may not do with a plain number."""
    types = set()

    def f(x: Any) -> Any:
        types.add(type(x))
        return np.sum(np.sin(x))

    assert tg.gradcheck(f, x, gradient=np.cos(np.asarray(x, float))).ok
    assert (np.float64 if isinstance(x, np.generic) else type(x)) in types
    assert (float in types) == (type(x) is float)


class Frame:
    """Numbers in no array, as those of a pandas frame."""

    dtype = np.dtype(float)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array(X, dtype)


CANNOT_VARY = {
    "integers": np.array([2, 3, 4]),
    "a whole number": 2,
    "truths": np.array([True, False, True]),
    "objects": X.astype(object),
    "a frame": Frame(),
    "lists of integers": [2, 3, 4],
}


@pytest.mark.parametrize("name", CANNOT_VARY)
def test_a_gradient_of_what_cannot_vary_is_not_passed_over(name: str) -> None:
    other = CANNOT_VARY[name]

    def scaled(w: Any, other: Any) -> float:
        return float(np.sum(w * np.asarray(other, float)))

    def gradient(w: Any, other: Any) -> Any:
        return np.asarray(other, float) * np.ones(3), w

    def without(w: Any, other: Any) -> Any:
        return gradient(w, other)[0], None

    with pytest.raises(UsageError, match=r"gave numbers for other.*pass np.asarray\(other, float\).*or give None"):
        check(scaled, X, other, gradient=gradient)
    assert check(scaled, X, other, gradient=without).ok
    assert check(scaled, X, other, gradient=gradient, wrt="w").ok
    assert check(scaled, X, other, gradient=lambda w, other: (gradient(w, other)[0], np.zeros(3))).ok


def test_what_came_in_place_of_arrays_is_named() -> None:
    with pytest.raises(UsageError, match=r"frame is of type Frame. Pass their numbers as np.asarray\(…, float\)"):
        check(lambda frame: 1.0, Frame())
