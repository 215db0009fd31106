"""The page in other languages: each message that it says has its form, with the same names to put in."""

import ast
import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.explainer.conftest import Opened
from tests.explainer.graphs import heart
from tinygrad_lite.checking.auditing import audit, causes
from tinygrad_lite.checking.auditing.audit import Status
from tinygrad_lite.checking.diagnosing import mistakes
from tinygrad_lite.engine import registry
from tinygrad_lite.explainer import page, playback, playground

PAGE = files("tinygrad_lite.explainer") / "page"
TEXT = r'"((?:[^"\\]|\\.)*)"'


def first_arguments(script: str, function: str) -> Iterator[str]:
    """The first argument of each call of a function, as it is written."""
    for call in re.finditer(rf"\b{function}\(", script):
        depth, start = 0, call.end()
        for end, letter in enumerate(re.sub(TEXT, lambda text: "_" * len(text[0]), script[start:]), start):
            depth += (letter in "([{") - (letter in ")]}")
            if depth < 0 or (depth == 0 and letter == ","):
                yield script[start:end]
                break


def phrases() -> set[str]:
    """What Python says in the page: the templates of phrases in the package, and the facts that they repeat."""
    texts = {str(status) for status in Status} - {Status.FINE, Status.FROZEN}
    texts |= {op.chooses for op in registry.operations() if op.chooses}
    texts |= {causes._FORWARD, causes._BACKWARD, audit._ALIKE}
    files = [path.read_text(encoding="utf-8") for path in Path(tg.__file__).parent.rglob("*.py")]
    for file in (file for file in files if "phrase(" in file):
        for call in ast.walk(ast.parse(file)):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "phrase":
                templates = [call.args[0]]
                if isinstance(call.args[0], ast.IfExp):
                    templates = [call.args[0].body, call.args[0].orelse]
                texts |= {text.value for text in templates if isinstance(text, ast.Constant)}
    return texts


def messages() -> set[str]:
    """The texts in the page's scripts, those of its HTML, what Python says, and the checker's words for mistakes."""
    texts = {getattr(mistakes, name) for name in page.MISTAKES} | phrases()
    texts |= {problem["name"] for problem in playground.problems()} | set(playground.OPTIMIZERS)
    for name in {*page.SCRIPTS, *playback.SCRIPTS, *playground.SCRIPTS}:
        script = (PAGE / f"{name}.js").read_text(encoding="utf-8")
        for function in ("say", "sayWith", "toldWhy"):
            for argument in first_arguments(script, function):
                texts |= {json.loads(f'"{text}"') for text in re.findall(TEXT, argument)}
        for one, many in re.findall(rf'counted\([^"\n]*?, {TEXT}(?:, {TEXT})?', script):
            texts |= {one, many or f"{one}s"}
    html = (PAGE / "page.html").read_text(encoding="utf-8")
    body = html[html.index("<body>") : html.index("<noscript")]
    found = re.findall(r'(?:aria-label|placeholder|title)="([^"]*)"', body) + re.findall(
        r">([^<>{}]*[A-Za-z]{2}[^<>{}]*)<", body
    )
    return texts | set(found)


@pytest.fixture(scope="module")
def table(browser: Any) -> dict[str, str]:
    page = browser.new_page()
    page.add_script_tag(content=(PAGE / "german.js").read_text(encoding="utf-8"))
    table: dict[str, str] = page.evaluate("tables.de")
    page.close()
    return table


def test_every_message_is_translated(table: dict[str, str]) -> None:
    assert messages() == set(table)
    for english, german in table.items():
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", german)), english


UNTOLD = """[...document.querySelectorAll("header, .tools, [role=tablist]")].flatMap((part) =>
  [...part.querySelectorAll("button[aria-label], select[id=speed], [role=tab]")])
  .filter(({ title }) => !title || !Object.values(tables.de).includes(title))
  .map(({ id }) => id)"""


def test_the_language_is_the_readers(show: Any) -> None:
    opened: Opened = show(heart(), step=1, locale="de-AT")
    assert opened.page.evaluate("document.documentElement.lang") == "de"
    assert opened.panel().startswith("Vorwärts 1 von 4: linear")
    assert opened.page.locator("#tab-optimizer").inner_text() == "Optimierer"
    assert not opened.page.evaluate(UNTOLD), "each control whose sign says little has a tip, and the tip is German, too"
    opened.page.select_option("#language", "en")
    assert opened.panel().startswith("Forward 1 of 4: linear")
    assert opened.page.locator("#tab-optimizer").inner_text() == "Optimiser"
    for _ in range(5):  # the browser stores the choice in a moment, and a page may be there sooner
        opened.page.reload()
        if is_kept := opened.panel().startswith("Forward 1 of 4"):
            break
    assert is_kept, "the choice is kept"


def test_a_language_without_a_table(show: Any) -> None:
    opened = show(heart(), step=1, locale="fr-FR")
    assert opened.panel().startswith("Forward 1 of 4: linear")


def in_words(relu: bool) -> tg.Tensor:
    x = tg.tensor([[-1.0, -2.0], [-3.0, 4.0]], name="x")
    w = tg.tensor([1.0, 2.0], requires_grad=True, name="w")
    return np.sum(np.maximum(x, 0) * w) if relu else np.sum(np.log(w - 1) * 0.5)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.parametrize(
    ("result", "told"),
    [
        (lambda: in_words(relu=True), "w: Gradient teilweise null: multiply mit Nullen: "),
        (lambda: in_words(relu=False), "nicht endlich: log macht aus endlichen Zahlen eine, die NaN oder unendlich"),
        (lambda: in_words(relu=True).reshape(1, 1) * np.ones(2), "das Ergebnis hat mehr als einen Eintrag"),
    ],
)
def test_python_speaks_the_readers_language(show: Any, result: Any, told: str) -> None:
    opened = show(tg.explain(result()), locale="de")
    assert told in opened.panel()
    opened.page.select_option("#language", "en")
    assert told not in opened.panel()


def test_a_name_is_no_message(show: Any) -> None:
    """A tensor that is called as a message keeps its name in every language."""
    a = tg.tensor(0.0, requires_grad=True, name="value")
    opened = show(tg.explain(a * tg.tensor(2.0) * a), locale="de")
    assert "value: Gradient null" in opened.panel()


def test_a_rule_in_words_is_in_the_readers_language(show: Any) -> None:
    """Where a rule is no formula, Python describes it."""
    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True, name="x")
    opened = show(tg.explain(np.sum(x[1:])), locale="de", step=4)
    assert "Beitrag = g, wo die Einträge herkommen, sonst 0" in opened.panel()
    opened.page.select_option("#language", "en")
    assert "contribution = g where the entries were taken from, 0 elsewhere" in opened.panel()
