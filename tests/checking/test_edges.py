"""Right gradients close to where a slope is infinite, and next to an offset, are verified; wrong ones are not."""

import math
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy.special import erf

import tinygrad_lite as tg
from tests.marks import param
from tinygrad_lite.checking import Report

EDGES: dict[str, tuple[Callable, Callable, float, int]] = {  # a function, its derivative, an edge, where it is defined
    "arccos": (np.arccos, lambda x: -1 / np.sqrt(1 - x**2), 1, -1),
    "arcsin": (np.arcsin, lambda x: 1 / np.sqrt(1 - x * x), -1, 1),
    "arccosh": (np.arccosh, lambda x: 1 / np.sqrt(x * x - 1), 1, 1),
    "arctanh": (np.arctanh, lambda x: 1 / (1 - x * x), 1, -1),
    "log": (np.log, lambda x: 1 / x, 0, 1),
    "log(1 - x)": (lambda x: np.log(1 - x), lambda x: -1 / (1 - x), 1, -1),
    "logit": (lambda x: np.log(x / (1 - x)), lambda x: 1 / (x * (1 - x)), 1, -1),
    "entropy": (
        lambda x: -(x * np.log(x) + (1 - x) * np.log(1 - x)),
        lambda x: np.log((1 - x) / x),
        1,
        -1,
    ),
    "power": (lambda x: (x - 2) ** 0.3, lambda x: 0.3 * (x - 2) ** -0.7, 2, 1),
    "circle": (lambda x: np.sqrt(1 - x * x), lambda x: -x / np.sqrt(1 - x * x), 1, -1),
    "square root": (lambda x: np.sqrt(x - 3), lambda x: 0.5 / np.sqrt(x - 3), 3, 1),
    "squared angle": (lambda x: np.arccos(x) ** 2, lambda x: -2 * np.arccos(x) / np.sqrt(1 - x * x), 1, -1),
    "log of log": (lambda x: np.log(np.log(x)), lambda x: 1 / (x * np.log(x)), 1, 1),
    "pole": (lambda x: 1 / (x - 1), lambda x: -1 / (x - 1) ** 2, 1, 1),
    "quantile": (
        lambda p: (-np.log1p(-p)) ** 0.6,
        lambda p: 0.6 * (-np.log1p(-p)) ** -0.4 / (1 - p),
        1,
        -1,
    ),
}
FAR = [1e-5, 1e-9]
OTHERS = [pytest.param(10.0**-n, marks=pytest.mark.slow) for n in (1, 2, 3, 4, 6, 7, 8, 10, 11, 12, 13, 14)]


@pytest.mark.long
@pytest.mark.parametrize("distance", [*FAR, *OTHERS])
@pytest.mark.parametrize("name", EDGES)
def test_beside_an_edge(name: str, distance: float) -> None:
    f, slope, edge, side = EDGES[name]
    x = np.float64(edge + side * distance)
    for run in (f, lambda x: float(f(float(x)))):  # by complex steps, and by differences
        right, wrong = (
            tg.gradcheck(run, x, gradient=lambda x, part=part: part * slope(x), raise_exception=False).outcome
            for part in (1, 1.003)
        )
        assert right == "passed" or (distance not in FAR and right == "inconclusive")
        assert wrong == "failed" or (distance not in FAR and wrong == "inconclusive")


def test_next_to_the_edge_is_never_called_wrong() -> None:
    for f, slope, edge, side in (case for case in EDGES.values() if case[2]):  # beside 0, there are numbers enough
        for ulps in (3, 10, 30):
            x = np.float64(edge + side * ulps * np.spacing(abs(float(edge))))
            report = tg.gradcheck(f, x, gradient=slope, raise_exception=False)
            assert report.outcome != "failed", (edge, ulps)


OFFSETS: dict[str, tuple[Callable, Callable]] = {
    "logistic": (lambda w: 1e4 + np.sum(np.logaddexp(0, w)), lambda w: 1 / (1 + np.exp(-w))),
    "variance by cancelling": (
        lambda w: np.mean((w + 1e4) ** 2) - np.mean(w + 1e4) ** 2,
        lambda w: 2 * (w - np.mean(w)) / len(w),
    ),
    "a difference": (lambda w: np.sum(np.logaddexp(1e4, 1e4 + w)), lambda w: 1 / (1 + np.exp(-w))),
    "a large loss": (lambda w: 1e9 + 1e5 * np.sum(np.exp(w)), lambda w: 1e5 * np.exp(w)),
}


@pytest.mark.long
@pytest.mark.parametrize("name", OFFSETS)
def test_next_to_an_offset(name: str) -> None:
    f, slope = OFFSETS[name]
    w = np.array([0.3, -1.2, 2.1, 0.8])
    for part, outcome in ((1.0, "passed"), (-1.0, "failed"), (1.0001, "failed")):
        gradient = part * slope(w)
        assert tg.gradcheck(lambda w: float(f(w)), w, gradient=gradient, raise_exception=False).outcome == outcome


@pytest.mark.long
@pytest.mark.parametrize("offset", [1e5, param(1e6, slow=True), 1e7])
@pytest.mark.parametrize("size", [3, 12])
def test_entries_of_all_sizes_next_to_an_offset(size: int, offset: float) -> None:
    """The large entries of a softmax hide the small ones along a direction; alone, each is known."""
    x = np.linspace(-2, 1, size)
    least = np.exp(x[0]) / np.sum(np.exp(x))
    for part, outcome in ((1.0, "passed"), (1 + 1e-3, "failed")):
        report = tg.gradcheck(
            lambda x: float(offset + np.log(np.sum(np.exp(x)))),
            x,
            gradient=part * np.exp(x) / np.sum(np.exp(x)),
            raise_exception=False,
            rtol=0.0 if offset * 1e-14 < 5e-7 * least else 1e-5,
        )
        assert report.outcome == outcome, report


@pytest.mark.long
@pytest.mark.parametrize("frequency", [0.2, param(0.7, slow=True), param(1.3, slow=True), 4.0])
@pytest.mark.parametrize("offset", [1e6, 1e10, 1e14])
def test_waves_next_to_an_offset_are_not_flat_from_afar(offset: float, frequency: float) -> None:
    def f(x: Any) -> float:
        return float(offset + math.sin(frequency * float(x)))

    for x in (33.0, 7790.3, 91234.5):
        right = frequency * math.cos(frequency * x)
        for part, outcome in ((1.0, "failed"), (-1.0, "passed")):
            report = tg.gradcheck(f, np.float64(x), gradient=part * right, raise_exception=False)
            assert report.outcome != outcome, (x, report)


@pytest.mark.long
@pytest.mark.parametrize("offset", [1e8, 1e9, 1e10, 1e11])
def test_the_report_says_which_tolerance_accepts_what_is_known(offset: float) -> None:
    x = np.array([0.3, 1.2, -0.7, 2.0, -1.4])

    def check(**options: float) -> tg.checking.Report:
        return tg.gradcheck(
            lambda x: float(offset + np.sum(np.sin(x))), x, gradient=np.cos, raise_exception=False, **options
        )

    report = check()
    assert report.outcome == "inconclusive"
    said = re.search(r"too noisy to say agrees as far as it is known; rtol=(\S+) accepts that", str(report))
    assert said, report
    assert check(rtol=float(said[1])).ok


def test_a_tiny_entry_with_a_large_gradient_is_not_taken_for_negligible() -> None:
    def entropy(p: np.ndarray) -> float:
        return float(sum(x * np.log(x) for x in p))

    for tiny in (1e-9, 1e-12, 1e-14, 1e-15):
        p = np.array([0.3, tiny])
        assert tg.gradcheck(entropy, p, gradient=np.log(p) + 1, raise_exception=False).outcome != "failed"
        for wrong in ([1.0, -1.0], [1.0, 1.1]):
            gradient = np.array(wrong) * (np.log(p) + 1)
            assert tg.gradcheck(entropy, p, gradient=gradient, raise_exception=False).outcome != "passed"


@pytest.mark.long
@pytest.mark.parametrize("part", [-1.0, 0.0, 2.0])
@pytest.mark.parametrize("power", [param(power, slow=power % 4 != 0) for power in range(-12, 0, 2)])
def test_a_wrong_entry_does_not_hide_behind_far_larger_ones(power: int, part: float) -> None:
    c = np.array([1.0, 0.5, 10.0**power, -(10.0**power)])
    x = np.array([0.3, 1.2, -0.7, 0.4])

    def f(x: np.ndarray) -> float:
        return float(sum(a * math.sin(b) for a, b in zip(c, x, strict=True)))

    right = c * np.cos(x)
    assert tg.gradcheck(f, x, gradient=right, raise_exception=False).outcome == "passed"
    for k in range(len(x)):
        wrong = np.where(np.arange(len(x)) == k, part, 1.0) * right
        report = tg.gradcheck(f, x, gradient=wrong, raise_exception=False)
        assert report.outcome == "failed", report


def test_rounding_beside_a_kink_is_no_pair_of_slopes() -> None:
    y = np.array([0.3, 1.7, 2.2])

    def power_transform(power: np.ndarray) -> np.ndarray:  # Box and Cox
        return np.sum((y**power - 1) / power) if power != 0 else np.sum(np.log(y))

    report = tg.gradcheck(power_transform, np.float64(0), gradient=np.sum(np.log(y) ** 2) / 2, raise_exception=False)
    assert report.outcome != "failed"


OVERFLOWS: dict[str, Callable] = {  # functions that go to a number by way of an infinity
    "tanh": lambda x: np.tanh(np.exp(x)),
    "error function": lambda x: erf(np.exp(x)),
    "logistic": lambda x: 1 / (1 + np.exp(-np.exp(x))),
    "quotient": lambda x: 1 + 1 / np.cosh(x),
    "smallest": lambda x: np.minimum(np.exp(x), 1.0),
}


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("name", OVERFLOWS)
def test_an_infinity_that_one_entry_makes_hides_no_rounding_of_others(name: str) -> None:
    """The gradient rounds its angle of 100,000 in another place than the function does."""
    angle = 1e5

    def f(x: np.ndarray) -> np.ndarray:
        return np.sin(angle * np.log(x[0])) * OVERFLOWS[name](x[1])

    def gradient(x: np.ndarray, part: float = 1.0) -> np.ndarray:
        first = angle / x[0] * np.sin(angle * np.log(x[0]) + np.pi / 2) * OVERFLOWS[name](x[1])
        return np.stack([part * first, 0 * x[0]])

    for start in (2.2, 2.3, 2.9):
        x = np.array([start, 900.0])
        assert tg.gradcheck(f, x, gradient=gradient, raise_exception=False).outcome == "passed"
        wrong = tg.gradcheck(f, x, gradient=partial(gradient, part=1 + 1e-8), raise_exception=False)
        assert wrong.outcome == "failed"


def test_noise_beside_a_point_is_no_meeting_of_kinks() -> None:
    """Of c² + 1 with c = 2e-6, five digits are left of c²: slopes by single entries do not add up, as at kinks."""

    def f(x: Any) -> float:
        a, b, c = map(float, x)
        below = math.atan2(math.log(math.exp(a) + math.exp(a * c + a)), 1 / (1 + math.exp(-math.sin(a))))
        return math.atan2(math.sinh(math.log(b * c + 1)) / below, math.log(c * c + 1))

    x = np.array([-1.5587261036830103e-05, -0.12202440502009726, -2.2974506189150216e-06])
    right = np.array([-8.42147862982454e-06, -0.00014594477749837917, 7.751561442130836])  # from mpmath
    assert tg.gradcheck(f, x, gradient=right, raise_exception=False).outcome != "failed"
    assert tg.gradcheck(f, x, gradient=right * [1, -1, 1], raise_exception=False).outcome != "passed"


@pytest.mark.long
@pytest.mark.parametrize("power", [param(power, slow=power % 3 != 0) for power in range(-12, -4)])
def test_the_rounding_of_one_entry_is_no_mistake_in_another(power: int) -> None:
    """Of exp(c) - 1 with a small c, few digits are left; along b, they are a constant factor."""

    def f(x: Any) -> float:
        b, c = map(float, x)
        return math.sin(b) / (math.exp(c) - 1)

    for c in np.linspace(1, 9, 5) * 10.0**power:
        x = np.array([0.7, c])
        right = np.array([np.cos(0.7) / np.expm1(c), -np.sin(0.7) * np.exp(c) / np.expm1(c) ** 2])
        for part, outcomes in ((1.0, {"passed", "inconclusive"}), (1.1, {"failed"})):
            report = tg.gradcheck(f, x, gradient=right * [part, 1.0], raise_exception=False)
            assert report.outcome in outcomes, report


@pytest.mark.parametrize("largest", [20.0, 36.0, 37.0, 38.0, 39.0, 41.0, 60.0, 120.0])
@pytest.mark.parametrize("rest", [[0.0, 1.0], [0.3, -2.0]], ids=str)
def test_a_loss_that_vanishes_beside_its_logits_is_no_mistake(largest: float, rest: list[float]) -> None:
    """Of a confident prediction: the value stands still, since its parts are rounded as large numbers are."""

    def loss(z: Any) -> Any:
        return np.log(np.sum(np.exp(z - np.max(z)))) + np.max(z) - z[0]

    report = tg.gradcheck(loss, np.array([largest, *rest]), raise_exception=False)
    assert report.outcome != "failed", str(report)


STEEP: dict[str, tuple[Callable, Callable, list[float]]] = {  # functions of slopes that change fast, far out
    "bell": (lambda x: np.exp(-np.sum(x**2)), lambda x: -2 * x * np.exp(-np.sum(x**2)), [12.0, -9.0, 3.0]),
    "beside a large number": (
        lambda x: np.exp(-((x[0] - 1e6) ** 2) / 1e8 - x[1]),
        lambda x: np.exp(-((x[0] - 1e6) ** 2) / 1e8 - x[1]) * np.array([-(x[0] - 1e6) / 5e7, -1]),
        [7.5e5, 2.0],
    ),
    "exponents": (lambda x: np.exp(x[0] * x[1]), lambda x: np.exp(x[0] * x[1]) * x[::-1], [-20.0, 12.0]),
}


@pytest.mark.parametrize("part", [-1.0, 0.5, 1 + 1e-6])
@pytest.mark.parametrize("name", STEEP)
def test_a_mistake_where_a_slope_changes_fast_is_no_rounding_of_the_numbers_on_the_way(name: str, part: float) -> None:
    f, right, point = STEEP[name]

    def gradient(x: Any) -> Any:  # not made of operations
        return np.array([part * float(slope) for slope in right(np.array(x.tolist()))])

    report = tg.gradcheck(f, np.array(point), gradient=gradient, raise_exception=False)
    assert report.outcome == "failed", report


@pytest.mark.long
@pytest.mark.parametrize(
    "factor", [[1, 2, 3], (1.0, 2.0, 3.0), range(3), np.arange(1.0, 4).flat], ids=lambda x: type(x).__name__
)
@pytest.mark.parametrize("product", [np.dot, np.inner, np.multiply, np.hypot, np.convolve])
def test_a_factor_that_is_no_array_is_no_obstacle_to_a_diagnosis(product: Any, factor: Any) -> None:
    def f(x: Any) -> Any:
        return np.sum(product(factor, x) ** 2)

    x = np.array([0.5, 1.5, -2.5])
    right = tg.grad(f)(x)
    assert tg.gradcheck(f, x, gradient=lambda x: tg.grad(f)(x)).ok
    assert tg.gradcheck(f, x, gradient=-right, raise_exception=False).outcome == "failed"


OF_ROUNDING: dict[str, Callable] = {  # a result that is 0 but for rounding, beside another one
    "an identity": lambda a, b: math.sin(a + b) - math.sin(a) * math.cos(b) - math.cos(a) * math.sin(b),
    "a turn and back": lambda a, b: (turn(a) @ turn(b) @ turn(-a - b))[0, 1],
    "a product, taken away": lambda a, b: a * b - b * a,
}


def turn(angle: float) -> np.ndarray:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


@pytest.mark.long
@pytest.mark.parametrize("gradient", [0.0, 3e-17, -2e-16])
@pytest.mark.parametrize("name", OF_ROUNDING)
def test_a_result_that_is_rounding_of_others_has_a_gradient_of_rounding(name: str, gradient: float) -> None:
    def f(x: Any) -> Any:
        a, b = map(float, x)
        return np.array([math.sin(a), OF_ROUNDING[name](a, b)])

    x = np.array([0.7, 1.3])
    right = np.array([[math.cos(0.7), 0.0], [gradient, gradient]])
    assert tg.gradcheck(f, x, gradient=right).ok
    for error in (1e-12, 1e-9, 1.0):
        wrong = right + np.array([[0.0, 0.0], [0.0, error]])
        assert tg.gradcheck(f, x, gradient=wrong, raise_exception=False).outcome == "failed"


def test_a_small_result_beside_a_large_one_is_held_to_its_own_size() -> None:
    def f(x: Any) -> Any:
        a, b = map(float, x)
        return np.array([math.sin(a), 1e-18 * math.cos(a * b)])

    x = np.array([0.7, 1.3])
    small = -1e-18 * math.sin(0.91) * np.array([1.3, 0.7])
    for part, outcome in ((1.0, "passed"), (1.01, "failed"), (0.0, "failed")):
        gradient = np.array([[math.cos(0.7), 0.0], part * small])
        assert tg.gradcheck(f, x, gradient=gradient, raise_exception=False).outcome == outcome


def _with_a_small_entry(part: float, factor: float) -> Any:
    """The report on 300 sines, one of them this part of the others, and its gradient this factor of the right one."""
    weights, claimed = np.ones(300), np.ones(300)
    weights[-1], claimed[-1] = part, factor * part
    x = np.random.default_rng(0).normal(size=300)

    def f(x: Any) -> float:
        return float(np.sum(weights * np.sin(x)))

    return tg.gradcheck(f, x, gradient=lambda x: claimed * np.cos(x), raise_exception=False)


@pytest.mark.long
@pytest.mark.parametrize("factor", [1.3, -1.0, 3.0])
@pytest.mark.parametrize("part", [1e-6, 1e-10, 1e-11, 1e-12, 1e-13])
def test_a_wrong_entry_that_is_lost_beside_the_largest_never_passes(part: float, factor: float) -> None:
    assert not _with_a_small_entry(part, factor).ok


@pytest.mark.parametrize(
    ("part", "outcome"), [(1e-6, "passed"), (1e-10, "passed"), (1e-13, "inconclusive"), (1e-16, "passed")]
)
def test_an_entry_that_is_lost_beside_the_largest_is_not_verified_unless_it_is_rounding(
    part: float, outcome: str
) -> None:
    report = _with_a_small_entry(part, 1.0)
    assert report.outcome == outcome
    assert any("nothing but rounding" in remark for remark in report.remarks) == (part == 1e-16)


def test_a_gradient_of_0_is_not_verified_by_values_that_only_move_by_rounding() -> None:
    def far(x: Any) -> float:
        return float(1e15 + np.sum(np.sin(x)))

    x = np.array([0.3, 0.5])
    assert tg.gradcheck(far, x, gradient=lambda x: 0 * x, raise_exception=False).outcome == "inconclusive"
    assert tg.gradcheck(lambda x: 7.0 + 0 * float(x[0]), x, gradient=lambda x: 0 * x).ok


INVARIANT: dict[str, Any] = {
    "sum of a softmax": lambda x: np.sum(np.exp(x - np.max(x)) / np.sum(np.exp(x - np.max(x)))),
    "length of a unit vector": lambda x: np.sum((x / np.sqrt(np.sum(x**2))) ** 2),
    "shift": lambda x: np.log(np.sum(np.exp(x))) - np.log(np.sum(np.exp(x + 1))),
}


@pytest.mark.parametrize("name", INVARIANT)
def test_the_note_on_a_gradient_of_0_that_rounding_hides_gives_the_tolerance_that_accepts_it(name: str) -> None:
    x = np.array([0.3, -1.2, 0.8, 2.0])

    def outcome(gradient: float, atol: float) -> tuple[str, list[str]]:
        report = tg.gradcheck(
            lambda x: float(INVARIANT[name](x)), x, gradient=0 * x + gradient, atol=atol, raise_exception=False
        )
        return report.outcome, re.findall("atol=(\\S+) accepts that", "\n".join(report.remarks))

    said, (atol,) = outcome(0, 0)
    assert said == "inconclusive"
    assert float(atol) < 1e-11
    assert outcome(0, float(atol)) == ("passed", [])
    assert outcome(10 * float(atol), float(atol))[0] == "failed"


@pytest.mark.parametrize("rate", [3.7, 3.9, 3.99])
def test_a_chaotic_function_has_no_slope_that_its_values_could_tell(rate: float) -> None:
    def turns(r: Any) -> Any:
        x = 0.3
        for _ in range(100):
            x = float(r) * x * (1 - x)  # above 4, it overflows
        return x

    def gradient(r: Any) -> Any:
        x, slope = 0.3, 0.0
        for _ in range(100):
            x, slope = r * x * (1 - x), x * (1 - x) + r * (1 - 2 * x) * slope
        return slope

    report = tg.gradcheck(turns, rate, gradient=gradient, raise_exception=False)
    assert report.outcome == "inconclusive", report


def test_a_negative_zero_keeps_its_sign_while_others_move() -> None:
    """Beside a branch cut, or with the sign of another, 0.0 in its place is another value, and no line meets it."""
    y, x, factor = -0.0, -1.0, 0.5
    angle = tg.gradcheck(
        lambda p: math.atan2(p[0], p[1]) * p[2],
        np.array([y, x, factor]),
        gradient=np.array([x * factor, 0, -np.pi]),
        raise_exception=False,
    )
    assert angle["p"].verdicts[0].tolist() == ["at a jump", "right", "right"]
    signed = tg.gradcheck(
        lambda p: float(np.copysign(p[0], p[1])), np.array([0.0, -0.0]), gradient=np.zeros(2), raise_exception=False
    )
    assert signed["p"].verdicts[0, 0] == "at a kink"


@pytest.mark.parametrize("distance", [0.005, 0.3])
@pytest.mark.parametrize("power", [0.2, 0.275, 1 / 3, 0.5])
def test_a_root_that_ends_in_a_plain_is_no_jump_that_excuses_a_mistake(power: float, distance: float) -> None:
    edge = 500 * (1 + distance)

    def f(x: Any) -> float:  # as the heat of vaporization is 0 above the critical temperature
        return 3 + max(edge - float(x), 0.0) ** power

    def report(part: float) -> Report:
        slope = -power * (edge - 500) ** (power - 1)
        return tg.gradcheck(f, 500.0, gradient=part * slope, raise_exception=False)

    assert report(1).outcome == "passed", report(1)
    assert report(1 + 1e-6).outcome == "failed", report(1 + 1e-6)
