"""Formulas: what is printed reads as what is computed."""

from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from tinygrad_lite.readers import notation
from tinygrad_lite.readers.symbol import Symbol

NUMBERS = {name: np.array([[0.3, 0.7], [1.1, 0.2]]) + i for i, name in enumerate("abc")}


@pytest.mark.parametrize(
    ("expression", "text", "latex"),
    [
        (lambda a, b, c: a - (b - c), "a - (b - c)", r"a - \left(b - c\right)"),
        (lambda a, b, c: a - b + c, "a - b + c", "a - b + c"),
        (lambda a, b, c: a / (b * c), "a / (b · c)", r"\frac{a}{b \odot c}"),
        (lambda a, b, c: a / b * c, "a / b · c", r"\frac{a}{b} \odot c"),
        (lambda a, b, c: a * (b @ c), "a · (b @ c)", r"a \odot \left(b \, c\right)"),
        (lambda a, b, c: (a * b) @ c, "(a · b) @ c", r"\left(a \odot b\right) \, c"),
        (lambda a, b, c: a @ (b * c), "a @ (b · c)", r"a \, \left(b \odot c\right)"),
        (lambda a, b, c: (a / b) ** 2, "(a / b)²", r"{\left(\frac{a}{b}\right)}^{2}"),
        (lambda a, b, c: np.exp(a) ** 2, "exp(a)²", r"{\left(e^{a}\right)}^{2}"),
        (lambda a, b, c: (-a) ** 2, "(-a)²", r"{\left(-a\right)}^{2}"),
        (lambda a, b, c: -(a**2), "-a²", "-{a}^{2}"),
        (lambda a, b, c: -(a + b), "-(a + b)", r"-\left(a + b\right)"),
        (lambda a, b, c: (a**2) ** 3.0, "(a²)³", r"{\left({a}^{2}\right)}^{3}"),
        (lambda a, b, c: np.sum(a) * b, "sum(a) · b", r"\left(\sum a\right) \cdot b"),
        (lambda a, b, c: a.T @ b, "aᵀ @ b", r"{a}^{\top} \, b"),
        (lambda a, b, c: (a < b) & ((b < c) | (a < c)), "a < b and (b < c or a < c)", None),
        (lambda a, b, c: a * 1e-7, "a · 1e-07", r"a \cdot 1 \cdot 10^{-7}"),
        (lambda a, b, c: a[0, 1:], "a[0, 1:]", None),
        (lambda a, b, c: np.tanh(alpha_times(a)), "tanh(alpha · a)", r"\tanh\left(\alpha \cdot a\right)"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_precedence(expression: Any, text: str, latex: str | None) -> None:
    symbols = [Symbol(value, name) for name, value in NUMBERS.items()]
    found = expression(*symbols)
    assert notation.text(found) == text
    if latex is not None:
        assert notation.latex(found) == latex
    python = text.replace("·", "*").replace("ᵀ", ".T").replace("²", "**2").replace("³", "**3")
    for word, sign in ((" and ", ") & ("), (" or ", ") | (")):
        python = python.replace(word, sign)
    scope = {**NUMBERS, "exp": np.exp, "sum": np.sum, "tanh": np.tanh, "alpha": 0.5}
    np.testing.assert_allclose(eval(f"({python})", scope), expression(*NUMBERS.values()))  # noqa: S307, RUF100


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (lambda a, b, c: a - (b - c), "a−(b−c)"),
        (lambda a, b, c: (a / b) ** 2, "(ab)2"),
        (lambda a, b, c: -(a + b), "−(a+b)"),
        (lambda a, b, c: a.T @ b, "aT@b"),
        (lambda a, b, c: a * -1.5e-7, "a·−1.5·10−7"),
        (lambda a, b, c: np.sqrt(np.abs(a)) < c, "|a|<c"),
        (lambda a, b, c: np.sum(a * b) + np.sum(a, axis=0), "∑a·b+sum(a,axis=0)"),
        (lambda a, b, c: np.broadcast_to(a[0, 1:], (3, 1)), "broadcast3 × 1(a0, 1:)"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_mathml(expression: Any, text: str) -> None:
    found = expression(*(Symbol(value, name) for name, value in NUMBERS.items()))
    tree = ElementTree.fromstring(f"<math>{notation.mathml(found)}</math>")
    assert "".join("".join(tree.itertext()).split(" ")) == text.replace(" ", "")
    for element in tree.iter():
        if element.tag in ("mfrac", "msup", "msub"):
            assert len(element) == 2


def test_names_in_mathml_are_text() -> None:
    x = Symbol(np.ones(2), "<script>{0}&")
    assert notation.mathml(x) == "<mi>&lt;script&gt;&#123;0&#125;&amp;</mi>"
    assert notation.mathml(x + x, {x.name: "{0}"}) == "{0} <mo>+</mo> {0}"


def alpha_times(a: Any) -> Any:
    return Symbol(np.float64(0.5), "alpha") * a if isinstance(a, Symbol) else 0.5 * a


def test_what_has_many_entries_is_counted() -> None:
    x = Symbol(np.arange(30.0), "x")
    assert notation.text(x[[2, 0, 1]]) == "x[[2, 0, 1]]"
    assert notation.text(x[np.arange(20)]) == "x[(20 numbers)]"
    assert notation.text(x + np.ones(30)) == "x + (30 numbers)"


@pytest.mark.parametrize("name", ["x_a^2", "α_~", "^", "~_1", "数_x^2 $\\alpha$", "x_a.b", "theta_\\", "x_{1}", "_"])
def test_special_characters_stand_in_text(name: str) -> None:
    """Their commands are for text: in a formula, LaTeX refuses them."""
    latex = notation.latex_name(name)
    assert latex.startswith(r"\text{")
    assert latex == rf"\text{{{notation.escaped(name)}}}"


@pytest.mark.parametrize(
    ("name", "latex"), [("x_ab1", "x_{ab1}"), ("theta_x_1", r"\theta_{x\_1}"), ("数_1", "数_{1}"), ("w12", "w_{12}")]
)
def test_indices_of_names(name: str, latex: str) -> None:
    assert notation.latex_name(name) == latex
