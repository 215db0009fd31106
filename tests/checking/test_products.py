"""Products with the Jacobian in place of a gradient, functions of complex numbers, and what is not deterministic."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.checking import Report, Verdict
from tinygrad_lite.errors import ShapeError, UsageError

X, Y = np.array([0.5, -1.0, 2.0]), np.array([1.5, 0.25])


def check(f: Any, *inputs: Any, **options: Any) -> Report:
    return tg.gradcheck(f, *inputs, raise_exception=False, **options)


def wrong(report: Report) -> set[str]:
    return {finding.path for finding in report.findings if finding.fails}


def outer(x: Any, y: Any) -> Any:
    return {"product": np.outer(x, y), "sum": np.sum(np.sin(x))}


def vjp(x: Any, y: Any, g: Any) -> Any:
    return g["product"] @ y + g["sum"] * np.cos(x), g["product"].T @ x


def jvp(x: Any, y: Any, t: Any) -> Any:
    by_x, by_y = t
    return {"product": np.outer(by_x, y) + np.outer(x, by_y), "sum": np.sum(np.cos(x) * by_x)}


class TestProductsWithTheJacobian:
    @pytest.mark.parametrize("products", [{"vjp": vjp}, {"jvp": jvp}, {"vjp": vjp, "jvp": jvp}], ids=" and ".join)
    def test_right_ones_pass(self, products: Any) -> None:
        report = check(outer, X, Y, **products)
        assert report.ok, str(report)
        assert report["x"].gradient.shape == (7, 3)
        assert set(report.counts()) <= {Verdict.RIGHT, Verdict.NO_GRADIENT}

    def test_wrong_ones_are_said_by_argument(self) -> None:
        assert wrong(check(outer, X, Y, vjp=lambda x, y, g: (vjp(x, y, g)[0], g["product"].T @ -x))) == {"y"}
        assert wrong(check(outer, X, Y, jvp=lambda x, y, t: jvp(x, y, (2 * t[0], t[1])))) == {"x"}

    def test_by_name_and_not_checked(self) -> None:
        report = check(outer, X, Y, vjp=lambda x, y, g: {"y": g["product"].T @ x, "x": None})
        assert report.ok
        assert [one.path for one in report] == ["y"]
        assert "x: not checked, since vjp= gave None for it" in report.remarks

    def test_with_respect_to_one_of_several(self) -> None:
        assert check(outer, X, Y, wrt="y", vjp=lambda x, y, g: g["product"].T @ x).ok
        assert check(outer, X, Y, wrt="y", jvp=lambda x, y, t: jvp(x, y, (0 * x, t))).ok

    def test_labels_have_no_tangent(self) -> None:
        def f(x: Any, labels: Any) -> Any:
            return x[labels] ** 2

        assert check(f, X, np.array([0, 2]), jvp=lambda x, labels, t: 2 * x[labels] * t[labels]).ok

    def test_in_containers(self) -> None:
        def f(p: Any) -> Any:
            return p["a"] * p["b"]

        assert check(f, {"a": X, "b": X}, jvp=lambda p, t: t["a"] * p["b"] + p["a"] * t["b"]).ok

    def test_many_entries_are_checked_along_directions(self) -> None:
        x = np.random.default_rng(0).normal(size=(60, 50))

        def right(x: Any, y: Any, t: Any) -> Any:
            return np.sum(np.cos(x) * t[0]) * y + np.sum(np.sin(x)) * t[1]

        def f(x: Any, y: Any) -> Any:
            return np.sum(np.sin(x)) * y

        report = check(f, x, Y, jvp=right)
        assert report.ok, str(report)
        assert "3 random directions of each variable" in str(report)
        assert wrong(check(f, x, Y, jvp=lambda x, y, t: right(x, y, (t[0] * (x != x[0, 0]), t[1])))) == {"x"}

    def test_a_direction_stays_inside_the_bounds(self) -> None:
        x = np.random.default_rng(0).uniform(size=2000)
        x[:5] = 0

        def f(x: Any) -> Any:
            assert np.all(np.asarray(x) >= 0)
            return float(np.sum(np.sqrt(x) ** 3))

        assert check(f, x, bounds=(0, None), jvp=lambda x, t: np.sum(1.5 * np.sqrt(x) * t)).ok

    def test_errors(self) -> None:
        with pytest.raises(UsageError, match="gradient= and vjp= are different gradients"):
            check(np.sum, X, gradient=np.ones_like, vjp=lambda x, g: g)
        with pytest.raises(ShapeError, match=r"vjp= gave shape \(2,\) for x, it should be \(3,\)"):
            check(lambda x: x, X, vjp=lambda x, g: g[:2])
        with pytest.raises(ShapeError, match="jvp= gave 2 numbers for the 3 of the results"):
            check(lambda x: x, X, jvp=lambda x, t: t[:2])
        with pytest.raises(UsageError, match="vjp= gave nothing for y"):
            check(outer, X, Y, vjp=lambda x, y, g: {"x": x})
        with pytest.raises(UsageError, match="vjp= is reverse mode only: give jvp="):
            check(lambda x: x, X, vjp=lambda x, g: g, method="forward")
        with pytest.raises(UsageError, match="give vjp= with order=1, or hvp="):
            check(lambda x: x, X, vjp=lambda x, g: g, order=2)


class TestProductsWithTheHessian:
    @staticmethod
    def f(p: Any) -> Any:
        return np.sum(np.sin(p["x"])) * np.sum(p["y"] ** 3)

    @staticmethod
    def gradient(p: Any) -> Any:
        return {"y": np.sum(np.sin(p["x"])) * 3 * p["y"] ** 2, "x": np.cos(p["x"]) * np.sum(p["y"] ** 3)}

    @staticmethod
    def hvp(p: Any, v: Any) -> Any:
        x, y = p["x"], p["y"]
        by_x = -np.sin(x) * v["x"] * np.sum(y**3) + np.cos(x) * np.sum(3 * y**2 * v["y"])
        by_y = np.sum(np.cos(x) * v["x"]) * 3 * y**2 + np.sum(np.sin(x)) * 6 * y * v["y"]
        return {"y": by_y, "x": by_x}

    @pytest.mark.parametrize("by_hand", [True, False])
    def test_a_right_one_passes(self, by_hand: bool) -> None:
        p = {"x": X, "y": Y}
        options: dict[str, Any] = {"gradient": self.gradient} if by_hand else {}
        report = check(self.f, p, hvp=self.hvp, **options)
        assert report.ok, str(report)
        assert report["p.x"].gradient.shape == (5, 3)
        assert str(report).startswith("gradcheck of the gradient of f: passed (25 right; by complex step)")

    @pytest.mark.parametrize("by_hand", [True, False])
    def test_a_wrong_one_is_found(self, by_hand: bool) -> None:
        options: dict[str, Any] = {"gradient": self.gradient} if by_hand else {}
        report = check(
            self.f, {"x": X, "y": Y}, hvp=lambda p, v: {**self.hvp(p, v), "x": self.hvp(p, v)["x"] * 1.01}, **options
        )
        assert not report.ok
        assert {finding.row for finding in report.findings} <= {0, 1, 2}

    def test_a_function_of_one_number(self) -> None:
        assert check(lambda x: x**3, 2.0, hvp=lambda x, v: 6 * x * v).ok
        assert not check(lambda x: x**3, 2.0, hvp=lambda x, v: 3 * x * v).ok

    def test_of_several_results_there_is_none(self) -> None:
        with pytest.raises(UsageError, match="hvp= needs a function with one result, <lambda> returned 3 numbers"):
            check(lambda x: x**2, X, hvp=lambda x, v: v)


Z = np.array([1.0 + 2j, 0.5 - 1j])


class TestComplexNumbers:
    @staticmethod
    def f(z: Any) -> Any:
        return np.sum(np.abs(z) ** 2) + np.sum((z * z).imag)

    def test_a_gradient_in_pytorchs_convention(self) -> None:
        """The gradient of a real f is ∂f/∂Re + i ∂f/∂Im."""
        report = check(self.f, Z, gradient=lambda z: 2 * z + 2j * np.conj(z))
        assert report.ok, str(report)
        assert [one.path for one in report] == ["z.real", "z.imag"]
        assert "the complex step does not apply: z is complex" in str(report)

    def test_the_conjugate_is_wrong_where_it_differs(self) -> None:
        report = check(lambda z: np.sum(np.abs(z) ** 2), Z, gradient=lambda z: 2 * np.conj(z))
        assert wrong(report) == {"z.imag"}

    def test_complex_results_have_a_product(self) -> None:
        def f(z: Any) -> Any:
            return np.exp(z) * np.conj(z)

        def vjp(z: Any, g: Any) -> Any:
            return g * np.conj(f(z)) + np.conj(g) * np.exp(z)

        def jvp(z: Any, t: Any) -> Any:
            return f(z) * t + np.exp(z) * np.conj(t)

        assert check(f, Z, vjp=vjp).ok
        assert check(f, Z, jvp=jvp).ok
        assert not check(f, Z, vjp=lambda z, g: vjp(z, np.conj(g))).ok
        with pytest.raises(UsageError, match="these are complex: give vjp="):
            check(f, Z, gradient=lambda z: z)

    def test_real_and_complex_arguments(self) -> None:
        def f(p: Any) -> Any:
            return np.sum(p["x"] * np.abs(p["z"]) ** 2)

        def gradient(p: Any) -> Any:
            return {"z": 2 * p["x"] * p["z"], "x": np.abs(p["z"]) ** 2}

        report = check(f, {"x": Y, "z": Z}, gradient=gradient)
        assert report.ok, str(report)
        assert [one.path for one in report] == ["p.x", "p.z.real", "p.z.imag"]
        assert check(f, {"x": Y, "z": Z}, gradient=gradient, wrt="p.x").ok

    def test_our_own_gradients_are_of_real_numbers(self) -> None:
        with pytest.raises(UsageError, match="z is complex; our gradients need real numbers"):
            check(self.f, Z)


def test_what_is_not_deterministic_may_be_tolerated() -> None:
    rng = np.random.default_rng(0)

    def f(x: Any) -> Any:
        return float(np.sum(x**3))

    def gradient(x: Any) -> Any:
        return 3 * x**2 + rng.uniform(-1e-9, 1e-9, 3)

    assert Verdict.NOT_DETERMINISTIC in check(f, X, gradient=gradient).counts()
    assert check(f, X, gradient=gradient, nondet_tol=1e-8, atol=1e-8).ok
    assert not check(f, X, gradient=lambda x: gradient(x) * 2, nondet_tol=1e-8, atol=1e-8).ok


@pytest.mark.parametrize(
    ("name", "function", "said"),
    [
        ("jvp", lambda x, y, s, t: None, r"jvp\(x, y, t\), where t is a tangent: a tuple of one for each of x, y"),
        (
            "vjp",
            lambda x, y: None,
            r"vjp\(x, y, g\), where g is the gradient with respect to what the function returns",
        ),
        ("hvp", lambda x, y, s, t: None, r"hvp\(x, y, v\), where v is a vector: a tuple of one for each of x, y"),
        ("gradient", lambda x: None, r"gradient\(x, y\), with the inputs of the function; .*takes \(x\)"),
    ],
)
def test_a_function_that_takes_other_arguments(name: str, function: Callable[..., Any], said: str) -> None:
    with pytest.raises(UsageError, match=f"{name}= is called as {said}"):
        tg.gradcheck(lambda x, y: np.sum(x * y), X, X, **{name: function})


@pytest.mark.parametrize("supplied", [{}, {"gradient": lambda x, y: (y, x)}, {"vjp": lambda x, y, g: (g * y, g * x)}])
def test_inputs_that_the_function_does_not_take_are_said_to_be_its_own(supplied: dict[str, Any]) -> None:
    """Whatever the gradient takes, the inputs are those of the function."""

    def energy(x: Any, y: Any) -> Any:
        return np.sum(x * y)

    for inputs, said in [
        ((X,), "1 input for it: write one input after the function for each argument"),
        ((X, X, X), "3 inputs for it"),
        (([X, X],), r"1 input for it: write gradcheck\(energy, \*inputs\)"),
    ]:
        with pytest.raises(UsageError, match=rf"energy takes .*, and gradcheck was given {said}"):
            tg.gradcheck(energy, *inputs, **supplied)


def test_a_decorator_may_pass_arguments_of_its_own() -> None:
    """What `functools.wraps` says of the parameters is then not what a function is called with."""

    def with_rate(function: Any) -> Any:
        return wraps(function)(lambda x: function(x, 3.0))

    f, gradient = with_rate(lambda x, rate: np.sum(rate * x**2)), with_rate(lambda x, rate: 2 * rate * x)
    assert tg.gradcheck(f, X, gradient=gradient).ok
