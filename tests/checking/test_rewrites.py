"""Mistakes in what no operation shows: conditions, the order of lines and turns, what is read, and parts exchanged."""

import gc
import inspect
import linecache
import sys
from collections.abc import Callable
from itertools import count, takewhile
from math import cos, erfc, exp, floor, log, pi, sin, sqrt
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.marks import spread
from tinygrad_lite.checking.diagnosing.rewrites import rewrites

_rng = np.random.default_rng(11)
times, EVENTS, RISKS = np.array([5.0, 3, 8, 1, 9, 4]), np.array([1, 1, 0, 1, 1, 0]), _rng.normal(size=(6, 3))
ANSWERS = (_rng.random((5, 4)) < 0.5).astype(float)
COUNTS, RATES = np.array([0, 0, 3, 1, 0, 2.0]), _rng.normal(size=(6, 2))
IMAGE, FIXED = _rng.normal(size=(6, 6)), _rng.normal(size=(3, 3))
SIGNAL = _rng.normal(size=12)
REFLECTIONS = _rng.integers(0, 3, (5, 3)) / 2
SHARES, BLOCKS, LINKED = _rng.random(6), _rng.normal(size=(4, 3, 3)), _rng.random((4, 4)) < 0.5
LENGTHS, GOAL = np.array([1.0, 0.8, 0.5]), np.array([0.9, 1.2])


def survival(b: Any) -> Any:
    score, total = RISKS @ b, 0.0
    for i in range(6):
        if EVENTS[i]:
            at_risk = times >= times[i]
            total -= score[i] - np.log(np.sum(np.exp(score[at_risk])))
    return total


def survival_gradient(b: Any) -> Any:
    w = np.exp(RISKS @ b)
    g = np.zeros(3)
    for i in range(6):
        if EVENTS[i]:
            at_risk = times >= times[i]
            g -= RISKS[i] - (w[at_risk] @ RISKS[at_risk]) / np.sum(w[at_risk])
    return g


def answers(ability: Any, slope: Any, place: Any) -> Any:
    z = slope * (ability[:, None] - place)
    return np.sum(np.log1p(np.exp(z)) - ANSWERS * z)


def answers_gradient(ability: Any, slope: Any, place: Any) -> Any:
    z = slope * (ability[:, None] - place)
    r = 1 / (1 + np.exp(-z)) - ANSWERS
    return np.sum(r * slope, axis=1), np.sum(r * (ability[:, None] - place), axis=0), -np.sum(r * slope, axis=0)


def zeros(b: Any, c: Any) -> Any:
    rate, total = np.exp(RATES @ b), 0.0
    for i in range(6):
        if COUNTS[i] == 0:
            total -= np.log(c + (1 - c) * np.exp(-rate[i]))
        else:
            total -= np.log(1 - c) - rate[i] + COUNTS[i] * np.log(rate[i])
    return total


def zeros_gradient(b: Any, c: Any) -> Any:
    rate = np.exp(RATES @ b)
    db, dc = np.zeros(2), 0.0
    for i in range(6):
        if COUNTS[i] == 0:
            none = np.exp(-rate[i])
            m = c + (1 - c) * none
            db += (1 - c) * none * rate[i] / m * RATES[i]
            dc -= (1 - none) / m
        else:
            db -= (COUNTS[i] - rate[i]) * RATES[i]
            dc += 1 / (1 - c)
    return db, dc


def reaction(k: Any) -> Any:
    y = np.array([1.0, 0.0])
    for _ in range(5):
        y = y + 0.1 * np.stack([-k[0] * y[0], k[0] * y[0] - k[1] * y[1] ** 2])
    return np.sum(y**2)


def reaction_gradient(k: Any) -> Any:
    ys = [np.array([1.0, 0.0])]
    for _ in range(5):
        y = ys[-1]
        ys.append(y + 0.1 * np.stack([-k[0] * y[0], k[0] * y[0] - k[1] * y[1] ** 2]))
    g, upstream = np.zeros(2), 2 * ys[-1]
    for n in reversed(range(5)):
        y = ys[n]
        g += 0.1 * np.array([y[0] * (upstream[1] - upstream[0]), -(y[1] ** 2) * upstream[1]])
        local = np.array([[-k[0], 0], [k[0], -2 * k[1] * y[1]]])
        upstream = upstream + 0.1 * local.T @ upstream
    return g


def shifted(t: Any) -> Any:
    total = 0.0
    for i in range(3):
        for j in range(3):
            row, column = floor(i + 1.0 + float(t[0])), floor(j + 1.0 + float(t[1]))
            a, b = i + 1.0 + t[0] - row, j + 1.0 + t[1] - column
            above = (1 - b) * IMAGE[row, column] + b * IMAGE[row, column + 1]
            below = (1 - b) * IMAGE[row + 1, column] + b * IMAGE[row + 1, column + 1]
            total += 0.5 * ((1 - a) * above + a * below - FIXED[i, j]) ** 2
    return total


def shifted_gradient(t: Any) -> Any:
    g = np.zeros(2)
    for i in range(3):
        for j in range(3):
            row, column = floor(i + 1.0 + t[0]), floor(j + 1.0 + t[1])
            a, b = i + 1.0 + t[0] - row, j + 1.0 + t[1] - column
            p, q, r, s = IMAGE[row, column], IMAGE[row, column + 1], IMAGE[row + 1, column], IMAGE[row + 1, column + 1]
            e = (1 - a) * ((1 - b) * p + b * q) + a * ((1 - b) * r + b * s) - FIXED[i, j]
            g[0] += e * ((1 - b) * (r - p) + b * (s - q))
            g[1] += e * ((1 - a) * (q - p) + a * (s - r))
    return g


def strided(k: Any) -> Any:
    return sum(np.sum(SIGNAL[2 * i : 2 * i + 4] * k) ** 2 for i in range(5)) / 5


def strided_gradient(k: Any) -> Any:
    g = np.zeros_like(k)
    for i in range(5):
        y = np.sum(SIGNAL[2 * i : 2 * i + 4] * k)
        g += 2 * y * SIGNAL[2 * i : 2 * i + 4] / 5
    return g


def masked(w: Any) -> Any:
    e = np.exp(w + np.triu(-50 * np.ones((3, 3)), 1))
    return np.sum((e / e.sum(axis=1, keepdims=True)) ** 2)


def masked_gradient(w: Any) -> Any:
    e = np.exp(w + np.triu(-50 * np.ones((3, 3)), 1))
    a = e / e.sum(axis=1, keepdims=True)
    return 2 * a * (a - np.sum(a * a, axis=1, keepdims=True))


def censored(b: Any) -> Any:
    return sum(-log(0.5 * erfc(-float(RISKS[i] @ b))) for i in range(6))


def censored_gradient(b: Any) -> Any:
    g = np.zeros(3)
    for risk in RISKS:
        z = risk @ b
        g -= exp(-z * z) / erfc(-z) * 2 / sqrt(pi) * risk
    return g


def turned(p: Any) -> Any:
    total = 0.0
    for i in range(3):
        c, s = np.cos(p[i, 2]), np.sin(p[i, 2])
        total = total + (c * p[i, 0] + s * p[i, 1] - i) ** 2 + (c * p[i, 1] - s * p[i, 0] - 1) ** 3
        total = total + p[i, 2] ** 2
    return total


def turned_gradient(p: Any) -> Any:
    g = np.zeros_like(p)
    for i in range(3):
        c, s = np.cos(p[i, 2]), np.sin(p[i, 2])
        x, y = c * p[i, 0] + s * p[i, 1], c * p[i, 1] - s * p[i, 0]
        dx, dy = 2 * (x - i), 3 * (y - 1) ** 2
        g[i] += np.array([c * dx - s * dy, s * dx + c * dy, 2 * p[i, 2]])
        g[i, 2] += dx * y - dy * x
    return g


def reach(q: Any) -> Any:
    a = np.cumsum(q)
    tip = np.stack([np.sum(LENGTHS * np.cos(a)), np.sum(LENGTHS * np.sin(a))])
    tip = tip - GOAL
    return float(tip[0] ** 2 + 3 * tip[1] ** 2)


def reach_gradient(q: Any) -> Any:
    a = np.cumsum(q)
    tip = np.stack([np.sum(LENGTHS * np.cos(a)), np.sum(LENGTHS * np.sin(a))])
    tip = tip - GOAL
    g = np.zeros(3)
    for turn, weight in [(-np.sin(a), 2 * tip[0]), (np.cos(a), 6 * tip[1])]:
        for j in range(3):
            g[j] += weight * np.sum(LENGTHS[j:] * turn[j:])
    return g


def epidemic(rates: Any) -> Any:
    contact, onset, recovery = rates
    exposed, ill, total = 0.05, 0.05, 0.0
    for seen in COUNTS:
        new = contact * (1 - exposed - ill) * ill
        exposed, ill = exposed + 0.2 * (new - onset * exposed), ill + 0.2 * (onset * exposed - recovery * ill)
        total += float((ill - seen) ** 2)
    return total


def epidemic_gradient(rates: Any) -> Any:
    contact, onset, recovery = rates
    exposed, ill = 0.05, 0.05
    of_exposed, of_ill, g = np.zeros(3), np.zeros(3), np.zeros(3)
    for seen in COUNTS:
        growth = contact * ((1 - exposed - ill) * of_ill - (of_exposed + of_ill) * ill)
        growth[0] += (1 - exposed - ill) * ill
        flow = onset * of_exposed
        flow[1] += exposed
        leaving = recovery * of_ill
        leaving[2] += ill
        of_exposed, of_ill = of_exposed + 0.2 * (growth - flow), of_ill + 0.2 * (flow - leaving)
        new = contact * (1 - exposed - ill) * ill
        exposed, ill = exposed + 0.2 * (new - onset * exposed), ill + 0.2 * (onset * exposed - recovery * ill)
        g += 2 * (ill - seen) * of_ill
    return g


def scattering(places: Any, widths: Any) -> Any:
    phases = REFLECTIONS @ places.T
    damped = np.exp(-widths * np.sum(REFLECTIONS**2, axis=1)[:, None])
    sums = np.sum(damped * np.cos(phases), axis=1) ** 2 + np.sum(damped * np.sin(phases), axis=1) ** 2
    return float(np.sum((sums - 1) ** 2))


def scattering_gradient(places: Any, widths: Any) -> Any:
    phases = REFLECTIONS @ places.T
    orders = np.sum(REFLECTIONS**2, axis=1)[:, None]
    c, s = np.exp(-widths * orders) * np.cos(phases), np.exp(-widths * orders) * np.sin(phases)
    real, imaginary = np.sum(c, axis=1)[:, None], np.sum(s, axis=1)[:, None]
    r = 4 * (real**2 + imaginary**2 - 1)
    by_phase = r * (imaginary * c - real * s)
    return by_phase.T @ REFLECTIONS, np.sum(r * (real * c + imaginary * s) * -orders, axis=0)


def voltage(conductances: Any) -> Any:
    v = 0.0
    for _ in range(60):
        v = v - (conductances[0] * (v - 1) + np.exp(v) - 1 + conductances[1] * v) / (sum(conductances) + np.exp(v))
    return v


def circuit(conductances: Any) -> Any:
    return float(3 * voltage(conductances) ** 2 + conductances[0] ** 2)


def circuit_gradient(conductances: Any) -> Any:
    v = voltage(conductances)
    adjoint = float(6 * v) / float(sum(conductances) + np.exp(v))
    return np.array([float(2 * conductances[0] - adjoint * (v - 1)), float(-adjoint * v)])


def spectrum(x: Any) -> Any:
    return float(np.sum(SHARES * np.abs(np.fft.rfft(x)) ** 2))


def spectrum_gradient(x: Any) -> Any:
    y = 2 * SHARES * np.fft.rfft(x)
    y[1:-1] /= 2
    return 10 * np.fft.irfft(y, 10)


def work(x: Any) -> Any:
    force = np.exp(-x) * RISKS[:, 0]
    return float(np.sum((force[1:] + force[:-1]) / 2))


def work_gradient(x: Any) -> Any:
    w = np.gradient(np.arange(6.0))
    w[0] /= 2
    w[-1] /= 2
    return -np.exp(-x) * RISKS[:, 0] * w


def contracted(w: Any) -> Any:
    z = np.einsum("nij,jk,ik->nk", BLOCKS, w, FIXED)
    return float(np.sum(np.tanh(z)))


def contracted_gradient(w: Any) -> Any:
    z = np.einsum("nij,jk,ik->nk", BLOCKS, w, FIXED)
    return np.einsum("nk,nij,ik->jk", 1 - np.tanh(z) ** 2, BLOCKS, FIXED)


def neighbours(x: Any) -> Any:
    total = 0.0
    for i in range(4):
        for j in range(4):
            if LINKED[i, j]:
                total += exp(-float((x[i] - x[j]) ** 2)) * sin(float(ANSWERS[0, i] + x[i]))
    return total


def neighbours_gradient(x: Any) -> Any:
    d, turned = x[:, None] - x, ANSWERS[0] + x
    k = np.exp(-(d**2)) * LINKED
    m = -2 * d * k * np.sin(turned)[:, None]
    g = m.sum(axis=1) - m.sum(axis=0)
    for i in range(4):
        g[i] += float(np.sum(k[i])) * cos(float(ANSWERS[0, i] + x[i]))
    return g


INPUTS: dict[Callable[..., Any], tuple[Any, ...]] = {
    survival: (np.array([0.3, -0.5, 0.2]),),
    answers: (_rng.normal(size=5), np.array([0.8, 1.2, 1.5, 0.6]), _rng.normal(size=4)),
    zeros: (np.array([0.3, -0.2]), 0.3),
    reaction: (np.array([1.3, 2.1]),),
    shifted: (np.array([0.3, 0.6]),),
    strided: (np.array([0.5, -1.0, 0.3, 0.8]),),
    masked: (_rng.normal(size=(3, 3)),),
    censored: (np.array([0.3, -0.5, 0.2]),),
    turned: (_rng.normal(size=(3, 3)),),
    reach: (np.array([0.4, -0.3, 0.9]),),
    epidemic: (np.array([2.0, 0.8, 0.5]),),
    scattering: (_rng.random((3, 3)), np.array([0.3, 0.7, 0.5])),
    circuit: (np.array([2.0, 1.0]),),
    spectrum: (SIGNAL[:10],),
    work: (SIGNAL[:6],),
    contracted: (_rng.normal(size=(3, 3)),),
    neighbours: (SIGNAL[:4],),
}
MISTAKES = [
    (survival, "if EVENTS[i]:", "if True:", "EVENTS[i] in place of True"),
    (survival, ">=", "<=", "times >= times[i] in place of times <= times[i]"),
    (survival, "times >= times[i]", "times > 2.0", "times >= times[i] in place of times > 2.0"),
    (answers, "(ability[:, None] - place), axis", "ability[:, None], axis", "ability[:, None] - place in place of"),
    (zeros, "== 0", "< 2", "COUNTS[i] == 0 in place of COUNTS[i] < 2"),
    (zeros, "else:", "if COUNTS[i] != 1:", "COUNTS[i] != 0 in place of COUNTS[i] != 1"),
    (zeros, "(1 - none) / m", "none / m", "1 - none in place of none"),
    (zeros, "            dc += 1 / (1 - c)\n", "", "nothing arrives from here"),
    (reaction, "reversed(range(5))", "range(5)", "reversed(range(5)) in place of range(5)"),
    (reaction, "        y = ys[n]\n", "        y = ys[n - 1]\n", "[n] in place of [n - 1]"),
    (shifted, "(1 - b) * (r - p) + b * (s", "b * (r - p) + (1 - b) * (s", "b and 1 - b exchanged"),
    (
        shifted,
        "IMAGE[row, column + 1], IMAGE[row + 1, column],",
        "IMAGE[row + 1, column], IMAGE[row, column + 1],",
        "IMAGE[row + 1, column] and IMAGE[row, column + 1] exchanged",
    ),
    (strided, "y * SIGNAL[2 * i : 2 * i + 4]", "y * SIGNAL[i : i + 4]", "[2 * i:2 * i + 4] in place of [i:i + 4]"),
    (
        masked,
        "np.triu(-50 * np.ones((3, 3)), 1)",
        "np.tril(-50 * np.ones((3, 3)), -1)",
        "in place of np.exp(w + np.tril(",
    ),
    (censored, "erfc(-z)", "erfc(z)", "-z in place of z"),
    (turned, "        g[i, 2] += dx * y - dy * x\n", "", "nothing arrives from this line"),
    (reach, "LENGTHS[j:] * turn[j:]", "LENGTHS[j] * turn[j]", "[j:] in place of [j] throughout"),
    (reach, "tip[0]), (np.cos(a), 6 * tip[1]", "tip[1]), (np.cos(a), 6 * tip[0]", "tip[1] and tip[0] exchanged"),
    (reach, "    tip = tip - GOAL\n", "", "tip = tip - GOAL, before it"),
    (censored, "RISKS:", "RISKS[1:]:", "RISKS in place of RISKS[1:]"),
    (epidemic, "flow[1] += exposed", "flow[1] += ill", "exposed in place of ill"),
    (scattering, " * -orders", "", "* -orders in place of"),
    (scattering, "real * c + imaginary * s) *", "real * s + imaginary * c) *", "exchanged"),
    (circuit, "6 * v", "3 * v", "6 in place of 3"),
    (spectrum, "    y[1:-1] /= 2\n", "", "y[1:-1] /= 2 after it"),
    (spectrum, "[1:-1]", "[1:]", "[1:-1] in place of [1:]"),
    (work, "    w[0] /= 2\n", "", "w[0] /= 2 after it"),
    (work, "    w[0] /= 2\n    w[-1] /= 2\n", "", "w[[0, -1]] /= 2 after it"),
    (contracted, "nij,ik->jk", "nji,ik->jk", "nij,ik->jk"),
    (contracted, "nij,ik->jk", "nij,jk->ik", "jk->ik"),
    (neighbours, " * LINKED", "", "LINKED"),
    (neighbours, "cos(float(", "sin(float(", "cos(float(ANSWERS[0, i] + x[i])) in place of sin("),
]


def gradient_of(f: Callable[..., Any], right: str = "", wrong: str = "", is_called: bool = False) -> Callable[..., Any]:
    """The gradient with another text in place of some; one that is known to those who ask for it.

    Args:
        is_called: whether the text is that of a function which the gradient calls.
    """
    name = f"{f.__name__}_gradient"
    text = inspect.getsource(globals()[name])
    assert right in text
    file = f"<{f.__name__}, {right} → {wrong}>"
    changed = text.replace(right, wrong, 1) if right else text
    changed += f"\n\ndef whole(*inputs):\n    return {name}(*inputs)\n"
    linecache.cache[file] = len(changed), None, changed.splitlines(keepends=True), file
    names = dict(globals())
    exec(compile(changed, file, "exec"), names)
    return names["whole" if is_called else name]  # type: ignore[no-any-return]


@pytest.mark.parametrize("f", INPUTS)
def test_the_right_gradients_are_right(f: Callable[..., Any]) -> None:
    assert tg.gradcheck(f, *INPUTS[f], gradient=gradient_of(f)).ok


@pytest.mark.long
@pytest.mark.parametrize(("f", "right", "wrong", "words"), spread(MISTAKES, 3), ids=[words for *_, words in MISTAKES])
def test_a_mistake_in_the_text_of_a_gradient_is_found(f: Any, right: str, wrong: str, words: str) -> None:
    report = tg.gradcheck(f, *INPUTS[f], gradient=gradient_of(f, right, wrong), raise_exception=False)
    assert report.outcome == "failed"
    assert any(words in finding.why for finding in report.findings), report
    assert all(finding.why for finding in report.findings if finding.fails), report


@pytest.mark.long
@pytest.mark.parametrize(("f", "right", "wrong", "words"), spread(MISTAKES, 6), ids=[words for *_, words in MISTAKES])
def test_a_mistake_in_what_a_gradient_calls_is_found(f: Any, right: str, wrong: str, words: str) -> None:
    gradient = gradient_of(f, right, wrong, is_called=True)
    report = tg.gradcheck(f, *INPUTS[f], gradient=gradient, raise_exception=False)
    assert report.outcome == "failed"
    assert any(words in finding.why for finding in report.findings), report


def test_what_a_function_and_its_gradient_both_call_is_not_to_blame() -> None:
    def score(x: Any) -> Any:
        return float(x[0]) + 2 * float(x[1])

    def gradient(x: Any) -> Any:
        return np.array([1.0, 2.0]) * np.cos(score(x)) * (score(x) > 0.5)

    for report in (
        tg.gradcheck(lambda x: np.sin(score(x)), x, gradient=gradient, raise_exception=False)
        for x in (np.array([-0.3, 0.2]), np.array([0.1, 0.15]))
    ):
        assert report.outcome == "failed"
        assert not any("return float" in finding.where for finding in report.findings), report


def test_a_gradient_that_reads_from_around_it_and_a_method_are_rewritten() -> None:
    def function(x: Any) -> Any:
        return sum(float(x[i]) ** 3 for i in range(4) if i % 2 == 0)

    def of(first: int) -> Callable[..., Any]:
        def gradient(x: Any, *, power: int = 2) -> Any:
            g = np.zeros(4)
            for i in range(first, 4):
                if i % 2 != first:
                    g[i] = 3 * x[i] ** power
            return g

        return gradient

    class Model:
        scale = 3.0

        def gradient(self, x: Any) -> Any:
            g = np.zeros(4)
            for i in range(4):
                if i % 2 == 1:
                    g[i] = self.scale * x[i] ** 2
            return g

    x = np.array([0.5, 1.2, -0.7, 2.0])
    for gradient, words in ((of(0), "in place of i % 2 != first"), (Model().gradient, "in place of i % 2 == 1")):
        report = tg.gradcheck(function, x, gradient=gradient, raise_exception=False)
        assert words in str(report)


@pytest.mark.parametrize("right", ["np.argmax(h[:, k])", "h[:, k].argmax()", "max(range(6), key=h[:, k].__getitem__)"])
def test_the_largest_in_place_of_the_smallest_is_found(right: str) -> None:
    code = f"""def gradient(x):
    h, g = RISKS * x, np.zeros(3)
    for k in range(3):
        g[k] = RISKS[{right.replace("max", "min")}, k]
    return g
"""
    file = f"<{right}>"
    linecache.cache[file] = len(code), None, code.splitlines(keepends=True), file
    names: dict[str, Any] = dict(globals())
    exec(compile(code, file, "exec"), names)
    report = tg.gradcheck(
        lambda x: float(np.sum(np.max(RISKS * x, axis=0))),
        np.array([0.3, 0.5, 0.7]),
        gradient=names["gradient"],
        raise_exception=False,
    )
    assert f"{right} in place of" in report.findings[0].why


def test_what_only_runs_forever_with_a_change_ends() -> None:
    def gradient(x: Any) -> Any:
        g, k = np.zeros(3), 0
        while k < 3:
            g[k] = x[k] ** 2 + np.sin(x[k]) * (k == 1)
            k += 1
        return g

    report = tg.gradcheck(
        lambda x: sum(float(x[k]) ** 2 for k in range(3)), np.ones(3), gradient=gradient, raise_exception=False
    )
    assert report.outcome == "failed"


def test_what_reads_an_endless_iterator_is_not_changed() -> None:
    def gradient(x: Any) -> Any:
        g = np.zeros(3)
        for k in takewhile(lambda k: k < 3, count()):
            g[k] = x[k] * np.cos(3 * x[k])
        return g

    f, x = (lambda x: float(np.sum(np.sin(x)))), np.array([0.5, 1.2, -0.7])
    assert tg.gradcheck(f, x, gradient=gradient, raise_exception=False).outcome == "failed"
    assert not [*rewrites(gradient, [f], "order"), *rewrites(gradient, [f], "values")]


def test_no_change_writes_into_an_array_of_the_caller() -> None:
    scales = np.array([1.0, 2.0, 3.0])
    kept = {"scales": scales.copy(), "rows": [scales + 1]}

    def gradient(x: Any) -> Any:
        g = scales.copy()
        g *= 2 * x
        factor = kept["rows"][0]
        factor = factor - 1
        factor += 0.0
        return g * np.cos(3 * x) + factor

    x = np.array([0.5, 1.2, -0.7])
    report = tg.gradcheck(lambda x: float(np.sum(np.sin(x))), x, gradient=gradient, raise_exception=False)
    assert report.outcome == "failed"
    assert scales.tolist() == [1.0, 2.0, 3.0]
    assert kept["rows"][0].tolist() == [2.0, 3.0, 4.0]
    assert scales.flags.writeable


class Stateful:
    """A model whose gradients change what they find around them."""

    def __init__(self) -> None:
        self.rate, self.rates, self.by_point, self.ran = 2.0, [2.0], dict[bytes, Any](), list[str]()

    def never(self) -> None:
        self.ran.append("never")

    def behind_a_condition(self, x: Any) -> Any:
        if x[0] > 100:
            self.rate = 7.0
        return self.rate * np.cos(3 * x)

    def in_a_container(self, x: Any) -> Any:
        if x[0] > 100:
            self.rates[0] = 7.0
        return self.rates[0] * np.cos(3 * x)

    def by_a_call(self, x: Any) -> Any:
        if x[0] > 100:
            RAN.append("never")
            self.never()
        return self.rate * np.cos(3 * x)

    def by_leaving(self, x: Any) -> Any:
        if x[0] > 100:
            sys.exit("the point is too far away")
        return self.rate * np.cos(3 * x)

    def by_raising(self, x: Any) -> Any:
        if x[0] > 100:
            raise SystemExit
        return self.rate * np.cos(3 * x)

    def remembered(self, x: Any) -> Any:
        if x.tobytes() not in self.by_point:
            g = np.zeros(3)
            for i in range(3):
                g[i] = self.rate * np.cos(3 * x[i])
            self.by_point[x.tobytes()] = g
        return self.by_point[x.tobytes()]


RAN: list[str] = []


@pytest.mark.long
@pytest.mark.parametrize("is_called", [False, True])
@pytest.mark.parametrize("name", [name for name, f in vars(Stateful).items() if callable(f) and name[0] in "bir"])
def test_no_change_of_the_text_changes_what_is_around_the_gradient(name: str, is_called: bool) -> None:
    model = Stateful()
    method = getattr(model, name)
    gradient = (lambda x: method(x)) if is_called else method
    x = np.array([0.5, 1.2, -0.7])
    report = tg.gradcheck(lambda x: float(np.sum(np.sin(x))), x, gradient=gradient, raise_exception=False)
    assert report.outcome == "failed"
    assert (model.rate, model.rates, model.ran, RAN) == (2.0, [2.0], [], [])
    for point, g in model.by_point.items():
        np.testing.assert_array_equal(g, 2.0 * np.cos(3 * np.frombuffer(point)))


def test_a_condition_is_still_changed_where_what_it_guards_is_called_elsewhere() -> None:
    def gradient(x: Any) -> Any:
        if x[0] > 100:
            return np.cos(x)
        return np.cos(x) * np.sin(3 * x)

    f, x = (lambda x: float(np.sum(np.sin(x)))), np.array([0.5, 1.2, -0.7])
    assert "x[0] > 100" in str(tg.gradcheck(f, x, gradient=gradient, raise_exception=False))


def test_a_garbage_collection_is_no_part_of_the_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    phases: list[str] = []
    failed: list[Any] = []

    def listen(phase: str, _: Any) -> None:
        phases.append(phase)
        scope: dict[str, Any] = {}
        exec(f"def new_{len(phases)}(): pass", scope)  # which nobody has called before
        scope[f"new_{len(phases)}"]()

    monkeypatch.setattr(sys, "unraisablehook", failed.append)
    threshold = gc.get_threshold()
    gc.callbacks.append(listen)
    gc.set_threshold(10)
    try:
        test_no_change_of_the_text_changes_what_is_around_the_gradient("behind_a_condition", is_called=False)
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(listen)
    assert phases
    assert not failed
