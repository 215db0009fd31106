"""Forward mode that differs from a right reverse mode is a finding; a difference that rounding explains is not."""

from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.marks import param
from tinygrad_lite import nn
from tinygrad_lite.checking import Report, Verdict

X = np.array([0.5, -1.0, 2.0])


def check(f: Any, *inputs: Any, **options: Any) -> Report:
    return tg.gradcheck(f, *inputs, raise_exception=False, **options)


def test_an_operation_that_is_not_as_linear_as_it_says() -> None:
    square = tg.primitive(lambda x: x**2, lambda g, y, x: 2 * x * g, linear=True, name="square")
    report = check(lambda x, y: np.sum(np.sin(square(x))) + np.sum(y), X, X)
    (finding,) = report.findings
    assert not report.ok
    assert (finding.path, finding.verdict, finding.count) == (
        "x",
        Verdict.WRONG,
        2,
    )  # of three, of which one is right by chance
    assert "forward mode differs from reverse mode" in finding.why


BENT: dict[str, Any] = {  # of the upstream gradient or tangent, where a product of it belongs
    "left out": lambda g: g * 0 + 1,
    "size": lambda g: np.sqrt(g * g),
    "square": lambda g: g * g,
    "clipped": lambda g: np.clip(g, -1, 1),
}


def of_rule(bent: Any) -> Report:
    return check(tg.primitive(lambda x: 0.5 * x @ x, lambda g, y, x: bent(g) * x, name="energy"), X)


def of_custom_gradient(bent: Any) -> Report:
    return check(tg.custom_gradient(lambda x: (np.sum(x**2), lambda g: 2 * x * bent(g))), X)


def of_vjp(bent: Any) -> Report:
    return check(lambda x: np.sum(x**2), X, vjp=lambda x, g: 2 * x * bent(g))


def of_jvp(bent: Any) -> Report:
    return check(lambda x: x**2, X, jvp=lambda x, t: 2 * x * bent(t))


def of_hvp(bent: Any) -> Report:
    return check(lambda x: np.sum(x**3), X, hvp=lambda x, v: 6 * x * bent(v))


@pytest.mark.parametrize("bent", BENT.values(), ids=BENT)
@pytest.mark.parametrize("of", [of_rule, of_custom_gradient, of_vjp], ids=lambda of: of.__name__)
def test_a_rule_that_is_not_linear_in_the_upstream_gradient(of: Any, bent: Any) -> None:
    report = of(bent)
    assert report.outcome == "failed"
    assert "not linear in the upstream gradient" in report.findings[0].why
    assert of(lambda g: g).ok


@pytest.mark.long
@pytest.mark.parametrize("at", [0, 17, 39])
@pytest.mark.parametrize("bent", BENT.values(), ids=BENT)
def test_one_of_many_results_whose_rule_is_not_linear(bent: Any, at: int) -> None:
    x = np.linspace(0.5, 2.0, 40) * 10.0 ** (np.arange(40) % 5)  # gradients of several sizes

    def vjp(x: Any, g: Any) -> Any:
        return 2 * x * np.where(np.arange(40) == at, bent(g), g)

    report = check(lambda x: x**2, x, vjp=vjp)
    assert report.outcome == "failed"
    assert {finding.index for finding in report.findings} == {(at,)}


@pytest.mark.long
@pytest.mark.parametrize("error", [1.0, 1e-6])
@pytest.mark.parametrize("at", [0, param(25, slow=True), 59])
def test_one_of_many_inputs_whose_forward_mode_differs(error: float, at: int) -> None:
    sizes = 10.0 ** (np.arange(60) % 4)

    def f(*xs: Any) -> Any:
        return sum(size * np.sin(x) for size, x in zip(sizes, xs))

    def vjp(*xs: Any) -> Any:
        *xs, g = xs
        return tuple(g * size * np.cos(x) for size, x in zip(sizes, xs))

    def jvp(*xs: Any) -> Any:
        *xs, t = xs
        moves = [size * np.cos(x) * y for size, x, y in zip(sizes, xs, t)]
        moves[at] = moves[at] * (1 + error)
        return sum(moves)

    points = list(np.linspace(0.1, 1.4, 60))
    report = check(f, *points, vjp=vjp, jvp=jvp)
    assert [finding.path for finding in report.findings if finding.fails] == [f"argument {at}"]
    assert check(f, *points, vjp=vjp).ok


@pytest.mark.parametrize(
    "bent", [bent for name, bent in BENT.items() if name != "left out"]
)  # which single entries show
@pytest.mark.parametrize("of", [of_jvp, of_hvp], ids=lambda of: of.__name__)
def test_a_product_that_is_not_linear_in_the_tangent(of: Any, bent: Any) -> None:
    report = of(bent)
    assert report.outcome == "failed"
    assert "not linear in the tangent" in report.findings[0].why
    assert of(lambda t: t).ok


def test_a_jvp_beside_a_vjp() -> None:
    def f(x: Any, y: Any) -> Any:
        return x**2 * y

    def vjp(x: Any, y: Any, g: Any) -> Any:
        return 2 * x * y * g, x**2 * g

    def jvp(x: Any, y: Any, t: Any) -> Any:
        return 2 * x * y * t[0] + x**2 * t[1]

    assert check(f, X, X + 2, vjp=vjp, jvp=jvp).ok
    report = check(f, X, X + 2, vjp=vjp, jvp=lambda x, y, t: jvp(x, y, (t[0], np.where(x > 1, 0, t[1]))))
    (finding,) = report.findings
    assert (finding.path, finding.index, finding.row) == ("y", (2,), 2)
    assert (finding.gradient, finding.reference, finding.count, finding.of) == (0.0, 4.0, 1, 9)
    assert [finding.path for finding in check(f, X, X, vjp=vjp, jvp=lambda x, y, t: t[0] * 0).findings]


def test_a_jvp_that_fails_is_the_users() -> None:
    def jvp(x: Any, t: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        check(lambda x: x**2, X, vjp=lambda x, g: 2 * x * g, jvp=jvp)


@pytest.mark.parametrize("size", [3, param(6, slow=True), param(9, slow=True)])
def test_what_is_ill_conditioned_differs_by_rounding(size: int) -> None:
    hilbert = 1 / (np.arange(size)[:, None] + np.arange(1.0, size + 1))
    for f in (np.linalg.inv, lambda a: np.linalg.solve(a, np.ones(size)), lambda a: np.linalg.inv(a) @ a):
        report = check(f, hilbert)
        assert not [finding for finding in report.findings if "forward mode" in finding.why], str(report)


@pytest.mark.parametrize("kind", ["stop_gradient", "no_grad"])
def test_a_rule_that_forward_mode_refuses_since_it_would_miss_it(kind: str) -> None:
    @tg.custom_gradient
    def sine(x: Any) -> Any:
        def rule(g: Any) -> Any:
            if kind == "stop_gradient":
                return tg.stop_gradient(g * np.cos(x))
            with tg.no_grad():
                return g * np.cos(x)

        return np.sin(x), rule

    report = check(lambda x, y: np.sum(sine(x) ** 2) + np.sum(y**2), X, X)
    (finding,) = report.findings
    assert not report.ok
    assert (finding.path, finding.verdict) == ("x", Verdict.WRONG)
    assert "forward mode differs from reverse mode" in finding.why


def test_a_function_that_forward_mode_does_not_take_is_no_finding() -> None:
    def f(x: Any) -> Any:
        if type(x).__name__ == "Dual":
            raise TypeError
        return np.sum(x**2)

    assert check(f, X).ok
    assert check(nn.Linear(3, 2, rng=0), X).ok
