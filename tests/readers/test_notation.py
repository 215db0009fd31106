"""Formulas: what is printed reads as what is computed."""

import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.readers import abbreviation, notation
from tinygrad_lite.readers.abbreviation import abbreviated
from tinygrad_lite.readers.symbol import Symbol

NUMBERS = {name: np.array([[0.3, 0.7], [1.1, 0.2]]) + i for i, name in enumerate("abc")}


@pytest.mark.parametrize(
    ("expression", "text", "latex"),
    [
        (lambda a, b, c: a - (b - c), "a - (b - c)", r"a - \left(b - c\right)"),
        (lambda a, b, c: a - b + c, "a - b + c", "a - b + c"),
        (lambda a, b, c: -1j * a * (0.5 + 1j), "-1j · a · (0.5+1j)", None),
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
        (lambda a, b, c: a * 1e-7, "a · 1e-07", r"a \cdot 10^{-7}"),
        (lambda a, b, c: a * -1e-7, "a · -1e-07", r"a \cdot -10^{-7}"),
        (lambda a, b, c: a * 2.5e-7, "a · 2.5e-07", r"a \cdot 2.5 \cdot 10^{-7}"),
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


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (lambda a, b: np.logical_and(np.True_, a < b), "a < b"),
        (lambda a, b: np.logical_or(np.False_, a < b), "a < b"),
        (lambda a, b: np.logical_xor(np.False_, a < b), "a < b"),
        (lambda a, b: np.logical_xor(np.True_, a < b), "not (a < b)"),
        (lambda a, b: np.logical_not(a < b) * a, "not (a < b) · a"),
        (lambda a, b: np.logical_and(np.logical_or(a < b, a > b), b < a), "(a < b or a > b) and b < a"),
        (lambda a, b: np.logical_xor(a < b, np.logical_not(a > b)), "a < b xor not (a > b)"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_truths_read_as_in_a_sentence(expression: Any, text: str) -> None:
    symbols = [Symbol(NUMBERS[name], name) for name in "ab"]
    assert notation.text(expression(*symbols)) == text
    for write in (notation.latex, notation.mathml):
        assert "logical" not in write(expression(*symbols))


def test_slices_among_parameters_read_as_an_index() -> None:
    window = tg.tensor(np.ones((1, 1, 4, 4)), requires_grad=True, name="x")
    lesson = tg.explain(np.sum(nn.functional.max_pool2d(window, 2)))
    assert "indices=([..., 0:3:2, 0:3:2], " in str(lesson)
    assert "slice(" not in str(lesson)


def written_out(formula: Any, parts: Any) -> str:
    """The text of an abbreviated formula with its letters replaced by what they stand for."""
    known: dict[str, Symbol] = {}

    def whole(x: Any) -> Any:
        if type(x) is not Symbol:
            return x
        if x.op is None:
            return known.get(x.name or "", x)
        return Symbol(x.value, None, x.op, [whole(operand) for operand in x.inputs], x.params)

    for letter, part in parts:
        known[letter] = whole(part)
    return notation.text(whole(formula))


functional = nn.functional
LARGE = {
    "max_pool": lambda x: functional.max_pool2d(x, 2),
    "average pooling": lambda x: functional.avg_pool2d(x, 2),
    "layer_norm": lambda x: functional.layer_norm(x, x.shape[1:]),
    "group_norm": lambda x: functional.group_norm(x, 2),
    "cross_entropy": lambda x: functional.cross_entropy(x[:, :, 0, 0], np.array([0, 1])),
    "softmax": lambda x: np.exp(x - np.max(x)) / np.sum(np.exp(x - np.max(x))) * x,
    "logsumexp": lambda x: functional.logsumexp(x, axis=1),
    "std": lambda x: np.std(x, axis=0),
    "determinant": lambda x: np.linalg.det(x[0, 0]),
    "interpolation": lambda x: np.interp(x, np.arange(4.0), np.arange(4.0) ** 2),
}


@pytest.mark.parametrize("make", LARGE.values(), ids=LARGE.keys())
def test_what_occurs_several_times_in_a_long_rule_gets_a_letter(make: Any) -> None:
    rng = np.random.default_rng(0)
    x = tg.tensor(rng.normal(size=(2, 2, 4, 4)), requires_grad=True, name="a")
    rules = [
        contribution.rule
        for step in tg.explain(np.sum(make(x))).backward.steps
        for contribution in step.contributions
        if type(contribution.rule) is Symbol
    ]
    for rule in rules:
        formula, parts = abbreviated(rule)
        assert written_out(formula, parts) == notation.text(rule), "it says the same"
        assert len(abbreviation.text(rule)) <= max(len(notation.text(rule)), 320)
        letters = [letter for letter, _ in parts]
        assert not {*letters} & {*re.findall(r"\w+", notation.text(rule))}, "a letter is not a name"
        assert len({*letters}) == len(letters)
    longest = max(rules, key=lambda rule: len(notation.text(rule)))
    if len(notation.text(longest)) > 200:
        assert abbreviated(longest)[1]
