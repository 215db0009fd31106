"""How a report reads: as text, as a table, as a frame, and as a picture."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.marks import param
from tinygrad_lite.checking import Report
from tinygrad_lite.errors import InputError, UsageError


def cubes(x: Any, labels: Any) -> Any:
    return np.sum(x["w"] ** 3) + np.sum(x["b"][labels])


@pytest.fixture(scope="module")
def report() -> Report:
    inputs = {"w": np.array([[1.0, 2.0], [-1.0, 0.5]]), "b": np.array([1.0, 2.0])}

    def gradient(x: Any, labels: Any) -> Any:
        return {"w": 6 * x["w"] ** 2, "b": np.bincount(labels, minlength=2)}

    return tg.gradcheck(cubes, inputs, np.array([0, 1, 1]), gradient=gradient, raise_exception=False)


def test_text(report: Report) -> None:
    lines = str(report).splitlines()
    assert lines[0] == "gradcheck of cubes: FAILED (2 right, 4 wrong; by complex step)"
    assert lines[1:7] == [
        "  wrong: x.w (2×2)",
        "  right: x.b (2)",
        "  ✗ x.w[0, 1]: wrong, 4 of 4 entries",
        "      gradient 24, should be 12",
        '      where: power, called at test_report.py:18: return np.sum(x["w"] ** 3) + np.sum(x["b"][labels])',
        "      why: a factor of 2 should not be there",
    ]
    assert lines[7] == "  note: labels holds integers, which have no gradient: held fixed"


def test_entries_of_a_report_by_index(report: Report) -> None:
    assert [one.path for one in report] == ["x.w", "x.b"]
    np.testing.assert_allclose(report["x.w"].reference[0], 3 * np.array([[1.0, 4.0], [1.0, 0.25]]))
    np.testing.assert_allclose(report["x.w"].error[0], report["x.w"].reference[0])
    assert not report.ok
    with pytest.raises(InputError, match=r"there are x\.w, x\.b"):
        report["w"]


def test_table(report: Report) -> None:
    html = report._repr_html_()
    assert html.count("<tr>") == 3
    assert "4 wrong" in html
    hostile = tg.gradcheck(lambda p: p["<script>"] * 2, {"<script>": 1.0})
    assert "<script>" not in hostile._repr_html_()


def test_frame(report: Report) -> None:
    frame = report.to_frame()
    assert list(frame.columns) == ["array", "result", "index", "gradient", "reference", "error", "bound", "verdict"]
    assert len(frame) == 6
    assert (frame.verdict == "wrong").sum() == 4
    assert frame[frame["array"] == "x.b"].gradient.tolist() == [1.0, 2.0]


def test_plain_data(report: Report) -> None:
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert (data["outcome"], data["entries"], data["verified"]) == ("failed", 6, 2)
    assert data["counts"] == {"right": 2, "wrong": 4}
    assert data["arrays"][0] == {"path": "x.w", "shape": [2, 2], "largest_error": 12.0, "largest_gradient": 24.0}
    assert data["findings"][0]["why"] == "a factor of 2 should not be there"
    infinite = tg.gradcheck(lambda x: np.sum(np.sqrt(x)), np.array([0.0, 1.0]), raise_exception=False).to_dict()
    assert infinite["findings"][0]["gradient"] is None


def test_picture_of_entries(report: Report) -> None:
    figure = report.plot()
    w, b, _ = figure.axes
    assert [w.get_title(), b.get_title()] == ["x.w  2×2", "x.b  2"]
    np.testing.assert_allclose(w.images[0].get_array(), np.log10([[3 / 24, 12 / 24], [3 / 24, 0.75 / 24]]))
    crosses = w.lines[0]
    assert set(zip(*crosses.get_data())) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert len(b.lines[0].get_xdata()) == 0
    assert figure.get_suptitle() == "gradcheck of cubes: FAILED (2 right, 4 wrong; by complex step)"


def test_picture_of_entries_that_were_checked_together() -> None:
    figure = tg.gradcheck(lambda x: float(np.sum(np.sin(x))), np.ones(3), gradient=lambda x: np.cos(x)).plot()
    assert np.all(np.ma.getmaskarray(figure.axes[0].images[0].get_array()))
    assert figure.axes[0].texts[0].get_text().startswith("checked together")


def lines_of(axes: Any) -> dict[str, tuple[Any, Any]]:
    return {line.get_label(): line.get_data() for line in axes.lines}


def test_picture_of_taylors_remainder() -> None:
    def gradient(x: Any, y: Any) -> Any:
        return np.cos(x), 1.001 * np.cos(y)

    x = np.linspace(0.3, 2, 6).reshape(2, 3)
    report = tg.gradcheck(
        lambda x, y: np.sum(np.sin(x)) + np.sum(np.sin(y)), x, x[0], gradient=gradient, raise_exception=False
    )
    right, wrong = report.plot("taylor").axes
    assert [axes.texts[0].get_text() for axes in (right, wrong)] == ["falls as $h^{2.00}$", "falls as $h^{1.00}$"]
    for axes in (right, wrong):
        for power in (1, 2):
            h, size = lines_of(axes)[f"slope {power}"]
            np.testing.assert_allclose(np.diff(np.log(size)) / np.diff(np.log(h)), power)
        h, size = lines_of(axes)["f(x + h·d) − f(x)"]
        np.testing.assert_allclose(np.diff(np.log(size))[8:] / np.diff(np.log(h))[8:], 1, rtol=1e-4)


def test_picture_of_differences_by_their_step() -> None:
    x = np.linspace(0.3, 2, 6).reshape(2, 3)
    axes = tg.gradcheck(lambda x: np.sin(x), x).plot("steps").axes[0]
    least = {label: np.min(distance) for label, (_, distance) in lines_of(axes).items()}
    forward, central, extrapolated, complex_step = least.values()
    assert 1e-9 < forward < 1e-6
    assert 1e-12 < central < 1e-9
    assert 1e-16 < extrapolated < 1e-12
    assert complex_step < 1e-15
    plain = tg.gradcheck(lambda x: float(np.sin(x)), 1.0, gradient=lambda x: 1.1 * np.cos(x), raise_exception=False)
    shown = lines_of(plain.plot("steps").axes[0])
    assert list(shown) == list(least)[:3]
    assert min(np.min(distance) for _, distance in shown.values()) > 0.05, (
        "none comes closer than the gradient is wrong"
    )


@pytest.mark.long
@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: np.sum(x), np.ones(3)),
        (lambda x: np.sum(x * x), np.zeros(3)),
        (lambda x: np.sum(0 * x), np.ones(3)),
        (lambda x: np.sum(np.sqrt(x)), np.array([0.0, 1.0])),
        (lambda x: np.sum(np.log(x)), np.array([1e-200, 1.0])),
        (lambda x: np.exp(x), np.array([700.0, np.nan])),
        param(lambda x: sum(np.sum(one**2) for one in x), [np.ones(2) for _ in range(12)], slow=True),
        (lambda x: np.sum(np.tanh(x)), np.linspace(0, 1, 2000).reshape(4, 500)),
    ],
    ids=["linear", "at 0", "constant", "infinite", "near 0", "near overflow", "many arrays", "many entries"],
)
@pytest.mark.parametrize("kind", ["entries", param("taylor", slow=True), param("steps", slow=True)])
def test_pictures_can_be_drawn_of_anything(f: Any, x: Any, kind: Any, tmp_path: Path) -> None:
    figure = tg.gradcheck(f, x, raise_exception=False).plot(kind)
    assert len(figure.axes) <= 10
    figure.savefig(tmp_path / "figure.png", dpi=30)


def test_what_cannot_be_drawn(report: Report) -> None:
    with pytest.raises(InputError, match="kind must be one of entries, taylor, steps; got 'tailor'"):
        report.plot("tailor")  # type: ignore[arg-type]
    kept = pickle.loads(pickle.dumps(report))
    assert str(kept) == str(report)
    assert kept.plot().axes
    with pytest.raises(UsageError, match="pickled"):
        kept.plot("taylor")


def test_a_cause_that_several_arrays_share_is_said_once() -> None:
    x = np.random.default_rng(0).normal(size=(4, 3))

    def loss(w: Any, b: Any) -> float:
        return float(np.sum(np.tanh(x @ w + b) ** 2))

    def gradient(w: Any, b: Any) -> Any:
        h = np.tanh(x @ w + b)
        slope = 2 * h * (1 + h**2)
        return x.T @ slope, np.sum(slope, axis=0)

    report = tg.gradcheck(loss, np.ones((3, 2)) / 3, np.zeros(2), gradient=gradient, raise_exception=False)
    first, second = report.findings
    assert (first.where, first.why) == (second.where, second.why)
    assert str(report).count(first.why) == 1
    assert str(report).count("why: as for w") == 1
    assert first.why in str(second)


def test_a_reference_that_is_exact_has_no_bound_of_subnormal_size() -> None:
    def determinant(x: Any) -> float:
        return float(x[0] * x[3] - x[1] * x[2])

    report = tg.gradcheck(determinant, np.array([1.0, 2, 2, 4]), gradient=np.zeros(4), raise_exception=False)
    assert "should be 4\n" in str(report)
