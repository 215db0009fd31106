"""Scripts and their last `backward()`: through the command line, as somebody types it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.__main__ import main
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError
from tinygrad_lite.explainer.script import lesson_of_script

TRAINING = """
import sys
import numpy as np
import tinygrad_lite as tg
from tinygrad_lite import nn

def main():
    model = nn.Linear(2, 1, rng=0)
    optimizer = tg.optim.SGD(model.parameters(), lr=float(sys.argv[1]))
    data = np.array([[1.0, 2.0], [3.0, 4.0]])
    for _ in range(3):
        optimizer.zero_grad()
        errors = model(data) - 1.0
        loss = np.mean(errors**2)
        loss.backward()
        optimizer.step()
    print(f"{loss:.6f}")

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(TRAINING)
    return path


def test_the_last_backward(script: Path, capsys: Any) -> None:
    backward, arguments = Tensor.backward, list(sys.argv)
    lesson = lesson_of_script(script, ["0.01"])
    assert capsys.readouterr().out.strip() == f"{lesson.graph.root.value:.6f}", "the last of the three"
    assert [node.name for node in lesson.graph.operations] == ["t1", "errors", "t3", "loss"]
    assert lesson.graph.operations[1].source is not None
    assert lesson.graph.operations[1].source.text == "errors = model(data) - 1.0"
    weight = next(leaf for leaf in lesson.graph.leaves if leaf.name == "weight")
    np.testing.assert_allclose(lesson.graph.operations[0].value[:, 0], _linear(lesson, weight.value))
    assert Tensor.backward is backward
    assert sys.argv == arguments


def _linear(lesson: Any, weight: Any) -> Any:
    """The product with the weight as it was when the loss was computed, and not as the optimiser left it."""
    bias = next(leaf.value for leaf in lesson.graph.leaves if leaf.name == "bias")
    return (np.array([[1.0, 2.0], [3.0, 4.0]]) @ weight.T + bias)[:, 0]


def test_what_backward_started_from(tmp_path: Path) -> None:
    path = tmp_path / "weighted.py"
    path.write_text(
        "import numpy as np, tinygrad_lite as tg\n"
        "x = tg.tensor([1.0, 2.0], requires_grad=True)\n"
        "y = x * x\n"
        "y.backward(np.array([10.0, 1.0]), retain_graph=True)\n"
        "y.backward(np.array([10.0, 1.0]))\n"
        "assert x.grad.tolist() == [40.0, 8.0]\n"
    )
    lesson = lesson_of_script(path)
    x = lesson.graph.leaves[0]
    np.testing.assert_array_equal(lesson.backward.gradients[x], [20.0, 4.0])
    assert "backward started from g = [10.,  1.] for y" in str(lesson)


def test_lines_of_what_was_computed_before_an_earlier_backward(tmp_path: Path) -> None:
    path = tmp_path / "two_losses.py"
    path.write_text(
        "import numpy as np, tinygrad_lite as tg\n"
        "x = tg.tensor(0.5, requires_grad=True)\n"
        "shared = np.sin(x)\n"
        "first = shared * 2\n"
        "second = np.exp(x)\n"
        "first.backward()\n"
        "second.backward()\n"
    )
    lesson = lesson_of_script(path)
    assert [str(node.source) for node in lesson.graph.operations] == ["two_losses.py:5: second = np.exp(x)"]
    path.write_text(
        path.read_text().replace("first.backward()", "first.backward(retain_graph=True)") + "first.backward()\n"
    )
    lesson = lesson_of_script(path)
    assert [node.source.line for node in lesson.graph.operations] == [3, 4]


def test_what_the_script_has_let_go_of_is_let_go(tmp_path: Path) -> None:
    """Of all graphs of a long run one is kept, although the script holds its losses."""
    path = tmp_path / "losses.py"
    path.write_text(
        "import tinygrad_lite as tg\n"
        "w = tg.tensor(1.0, requires_grad=True)\n"
        "losses = []\n"
        "for _ in range(3):\n"
        "    losses.append(w * w)\n"
        "    losses[-1].backward()\n"
        "assert [loss.inputs is None for loss in losses] == [True, True, False]\n"
    )
    lesson_of_script(path)


def test_commands(script: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.chdir(tmp_path)
    assert main(["explain", "--text", "train.py", "0.01"]) == 0
    assert "Backward, in the order in which it runs" in capsys.readouterr().out
    assert main(["explain", "-o", "page.html", "train.py", "0.01"]) == 0
    assert "wrote page.html" in capsys.readouterr().out
    assert opened == []
    assert main(["explain", "-o", "hers.html", "--seed", "ada", "train.py", "0.01"]) == 0
    assert '"seed":"ada"' in (tmp_path / "hers.html").read_text(encoding="utf-8")
    assert main(["explain", "train.py", "0.01"]) == 0
    assert opened == [(tmp_path / "train_lesson.html").as_uri()]
    assert (tmp_path / "train_lesson.html").read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("lines", "root"),
    [
        ("tg.explain(loss)", "loss"),
        ("tg.explain(loss); loss.backward()", "loss"),
        ("loss.backward(); tg.explain(other)", "other"),
        ("loss.backward(); print(tg.explain(lambda: x * 3))", "t"),
        ("tg.explain(loss); other.backward()", "other"),
    ],
)
def test_a_script_that_explains_something_itself(tmp_path: Path, lines: str, root: str) -> None:
    path = tmp_path / "own.py"
    start = "import tinygrad_lite as tg\nx = tg.tensor(2.0, requires_grad=True)\nloss, other = x * x, x + x\n"
    path.write_text(f"{start}{lines}\n")
    lesson = lesson_of_script(path)
    assert lesson.graph.root.name == root or root == "t"
    assert str(lesson.graph.root.op) == {"loss": "multiply", "other": "add", "t": "multiply"}[root]
    assert tg.explain(tg.tensor(1.0, requires_grad=True) * 1.0).graph is not lesson.graph, "and no more from then on"


def test_a_script_that_explains_nothing(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "nothing.py"
    path.write_text("print('done')\n")
    with pytest.raises(InputError, match=r"without calling backward\(\) or tg\.explain"):
        lesson_of_script(path)
    assert main(["explain", str(path)]) == 2
    assert "there is nothing to explain" in capsys.readouterr().err
    assert main(["explain", str(tmp_path / "missing.py")]) == 2
    assert "there is no script" in capsys.readouterr().err


def test_what_a_script_says_as_it_ends_is_printed(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "ends.py"
    start = "import sys, tinygrad_lite as tg\nx = tg.tensor(2.0, requires_grad=True)\n(x * x).backward()\n"
    for code, text in (("'no data'", "no data\n"), ("0", ""), ("", ""), ("3", "")):
        path.write_text(f"{start}sys.exit({code})\n")
        assert str(lesson_of_script(path).graph.root.op) == "multiply"
        assert capsys.readouterr().err == text


def test_a_script_that_fails_shows_its_own_line(tmp_path: Path) -> None:
    path = tmp_path / "fails.py"
    path.write_text("import tinygrad_lite as tg\nx = tg.tensor(2.0, requires_grad=True)\n(x * x).backward()\n1 / 0\n")
    command = [sys.executable, "-m", "tinygrad_lite", "explain", str(path)]
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert found.returncode != 0
    assert 'fails.py", line 4' in found.stderr
    assert "ZeroDivisionError" in found.stderr


def test_errors_of_backward_stay_the_users(tmp_path: Path) -> None:
    path = tmp_path / "detached.py"
    path.write_text("import tinygrad_lite as tg\ntg.tensor(2.0).backward()\n")
    with pytest.raises(tg.errors.GraphError, match="no history"):
        lesson_of_script(path)


def test_a_second_backward_is_an_error_as_ever(tmp_path: Path) -> None:
    path = tmp_path / "twice.py"
    path.write_text(
        "import tinygrad_lite as tg\nx = tg.tensor(2.0, requires_grad=True)\ny = x * x\ny.backward()\ny.backward()\n"
    )
    with pytest.raises(tg.errors.GraphError, match="freed by an earlier backward pass"):
        lesson_of_script(path)
