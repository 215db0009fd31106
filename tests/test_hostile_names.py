"""Names are data: whatever a tensor, a field or an argument is called, no text that we write breaks or runs it."""

import json
import re
import xml.dom.minidom
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.compiler.c_code import COMPILERS, CFunction
from tinygrad_lite import nn

RUN: list[str] = []
NAMES = (
    'a"b',
    "a'b",
    'it\'s "both"',
    "a\nb",
    "a\rb",
    "a\\",
    "\\n",
    '"]; __import__("tests.test_hostile_names").test_hostile_names.RUN.append("key"); state["',
    "'] ; __import__('tests.test_hostile_names').test_hostile_names.RUN.append('key') ; state['",
    '"""\n__import__("tests.test_hostile_names").test_hostile_names.RUN.append("docstring")\n"""',
    '{__import__("tests.test_hostile_names").test_hostile_names.RUN.append("format")}',
    "{",
    "{0}",
    "%s",
    "\N{GREEK SMALL LETTER CHI}\N{SUPERSCRIPT TWO}",
    "\N{LATIN SMALL LIGATURE FI}x",
    "fix",
    "\N{MATHEMATICAL BOLD SMALL X}",
    "\N{COMBINING ACUTE ACCENT}",
    "\N{LINE SEPARATOR}",
    "\x00",
    "\ud800",
    "",
    " ",
    "0",
    "007",
    "a b",
    "import",
    "None",
    "np",
    "state",
    "range",
    "ValueError",
    "_drained",
    "</script><script>alert(1)</script>",
    "<b>&amp;",
    "-->",
    "]]>",
    "$x^2$ \\input{x} %",
    "} \\end{align*}",
    "x; A --> B",
)


@pytest.fixture(autouse=True)
def _nothing_runs() -> Any:
    RUN.clear()
    yield
    assert RUN == []


def training(names: Any) -> Any:
    """A step of Adam on tensors of these names; there are enough of them for a loop."""
    weights = [tg.tensor(np.linspace(-1, 1, 3) + i, True, name=name) for i, name in enumerate(names)]
    optimizer = tg.optim.Adam(weights, lr=0.1)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = np.sum(x * np.tanh(np.stack(weights)))
        loss.backward()
        optimizer.step()
        return loss

    return step


def exported(compiled: Any, path: Path) -> dict[str, Any]:
    compiled.export(path)
    scope: dict[str, Any] = {}
    exec(compile(path.read_bytes(), str(path), "exec"), scope)
    return scope


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("names", [NAMES, *((name, f"{name}.1", f"{name}.2", f"{name}.3") for name in NAMES)], ids=repr)
def test_tensors(names: Any, backend: str, tmp_path: Path) -> None:
    if backend == "native" and names is not NAMES:
        pytest.skip("each name is in the program with all of them")
    step, eager = training(names), training(names)
    compiled = tg.compile(step, backend)
    for _ in range(2):
        assert compiled(2.0).item() == pytest.approx(eager(2.0).item(), rel=1e-12)
    scope, state = exported(compiled, tmp_path / "step.py"), compiled.state()
    assert scope["step"](2.0, state) == pytest.approx(eager(2.0).item(), rel=1e-12)
    compiled(2.0)
    for name, value in compiled.state().items():
        np.testing.assert_allclose(state[name], value, rtol=1e-12)


IN_C = [
    "double", "main", "exp", "expf", "printf", "y0", "INFINITY", "INT64_MAX", "M_PI", "linux", "int64_t",
    "*/x/*", "//x", "??/", "i", "doubles", "step_part_1", "step_state", "matmul_double", "isnan", "l", "%:define",
    "total",
]  # fmt: skip


@pytest.mark.parametrize("compiler", COMPILERS)
def test_tensors_in_c(compiler: str, tmp_path: Path) -> None:
    names = (*NAMES, *IN_C)
    step, eager = training(names), training(names)
    compiled = tg.compile(step, "numpy")
    for _ in range(2):
        assert compiled(2.0).item() == pytest.approx(eager(2.0).item(), rel=1e-12)
    compiled.export(tmp_path / "step.c", library="c")
    function = CFunction(tmp_path / "step.c", compiler)
    state = function.state(compiled.state())
    (loss,) = function(2.0, state=state)
    assert loss == pytest.approx(compiled(2.0).item(), rel=1e-12)
    for (field, _), value in zip(function.fields.values(), compiled.state().values(), strict=False):
        np.testing.assert_allclose(state[field], value, rtol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", [*NAMES, *IN_C], ids=repr)
def test_arguments_results_and_functions_in_c(name: str, compiler: str, tmp_path: Path) -> None:
    w = tg.tensor(np.linspace(-1, 1, 9).reshape(3, 3), True, name=name)

    def f(inputs: Any) -> Any:
        return np.exp(np.matmul(inputs[name], w)), np.logaddexp(inputs[name], inputs["other"])

    f.__name__ = name
    inputs = {name: np.ones((3, 3)), "other": np.eye(3)}
    with tg.no_grad():
        compiled = tg.compile(f, "numpy")
        expected = compiled(inputs)
        compiled.export(tmp_path / "f.c", library="c")
    function = CFunction(tmp_path / "f.c", compiler)
    for found, right in zip(function(*inputs.values(), state=function.state(compiled.state())), expected, strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_fields_keys_and_arguments(name: str, tmp_path: Path) -> None:
    module = nn.Module()
    setattr(module, name or "empty", nn.Linear(3, 3, rng=0))
    layer = getattr(module, name or "empty")
    [*module.named_parameters()]

    def f(inputs: Any) -> Any:
        return np.tanh(layer(inputs[name])) + inputs["other"]

    inputs = {name: np.ones(3), "other": np.arange(3.0)}
    compiled = tg.compile(f, "numpy")
    expected = f(inputs).numpy()
    with tg.no_grad():
        np.testing.assert_allclose(compiled(inputs).numpy(), expected)
        scope = exported(compiled, tmp_path / "f.py")
        np.testing.assert_allclose(scope["f"](*inputs.values(), compiled.state()), expected)


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_operations_and_functions(name: str) -> None:
    op = tg.primitive(lambda x: x * 2, lambda g, y, x: g * 2, name=name or "empty")

    def f(x: Any) -> Any:
        return np.sin(op(x))

    f.__name__ = name
    compiled = tg.compile(f, "numpy")
    np.testing.assert_allclose(compiled(np.ones(3)), np.sin(2 * np.ones(3)))
    compile(compiled.source, "<source>", "exec")


def _twice(x: Any, how: Any = None) -> Any:
    return x * 2


class _Repr:
    def __repr__(self) -> str:
        return "RUN.append('repr')"


def test_what_a_parameter_says_of_itself_is_not_pasted() -> None:
    op = tg.primitive(_twice, lambda g, y, x, how=None: g * 2, name="with_settings")
    for how in (_Repr(), "a\n'\"", float, {"a": [np.nan, (1,)]}, slice(None, 2), np.dtype("U5"), np.array(["nan"])):
        compiled = tg.compile(lambda x, how=how: op(x, how=how), "numpy")
        np.testing.assert_allclose(compiled(np.ones(3)), 2 * np.ones(3))


class _Structure(HTMLParser):
    """The tags of a page, and its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)


def _quotes(line: str) -> int:
    """The number of quotes that begin or end a text."""
    return len(re.findall(r'"', re.sub(r"\\.", "", line)))


def _lesson(name: str) -> Any:
    w, x = tg.tensor([1.0, 2.0], True, name=name), tg.tensor([3.0, 4.0], True, name="x")
    return tg.explain(np.sum(w * x))


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in NAMES if name], ids=repr)
def test_what_explains_a_graph(name: str, tmp_path: Path) -> None:
    lesson, plain = _lesson(name), _lesson("w")
    lesson.to_html(tmp_path / "lesson.html")
    plain.to_html(tmp_path / "plain.html")
    page, usual = ((tmp_path / f"{each}.html").read_text(encoding="utf-8") for each in ("lesson", "plain"))
    assert _Structure(page).tags == _Structure(usual).tags
    (data,) = re.findall(r'<script[^>]*type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    json.loads(data)
    xml.dom.minidom.parseString(lesson.to_svg().encode("utf-8", "replace"))
    assert len(lesson.to_mermaid().splitlines()) == len(plain.to_mermaid().splitlines())
    assert len(lesson.to_dot().splitlines()) == len(plain.to_dot().splitlines())
    assert [*map(_quotes, lesson.to_dot().split("\n"))] == [*map(_quotes, plain.to_dot().split("\n"))]
    latex = lesson.to_latex()
    assert len(latex.splitlines()) == len(plain.to_latex().splitlines())
    assert latex.count("{") - latex.count(r"\{") == latex.count("}") - latex.count(r"\}")
    assert latex.count(r"\end{") == 2
    assert _Structure(lesson._repr_html_()).tags == ["iframe"]
