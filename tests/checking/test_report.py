"""How a report reads: as text, as a table, as a frame, and as a picture."""

from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.checking import Report
from tinygrad_lite.errors import InputError


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
    assert lines[1:5] == [
        "  ✗ x.w[0, 1]: wrong, 4 of 4 entries",
        "      gradient 24, should be 12",
        '      where: power, called at test_report.py:14: return np.sum(x["w"] ** 3) + np.sum(x["b"][labels])',
        "      why: a factor of 2 too much",
    ]
    assert lines[5] == "  note: labels holds integers, which have no gradient: held fixed"


def test_access(report: Report) -> None:
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


def test_picture(report: Report) -> None:
    figure = report.plot()
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[:2] == ["x.w  2×2", "x.b  2"]
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), np.log10([[3 / 24, 12 / 24], [3 / 24, 0.75 / 24]]))
