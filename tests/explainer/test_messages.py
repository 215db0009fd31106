"""The page in other languages: each message that it says has its form, with the same names to put in."""

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

from tests.explainer.conftest import Opened
from tests.explainer.graphs import heart
from tinygrad_lite.checking import mistakes
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


def messages() -> set[str]:
    """The texts in the page's scripts, those of its HTML, and the checker's words for mistakes."""
    texts = {getattr(mistakes, name) for name in page.MISTAKES}
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
    found = re.findall(r'(?:aria-label|placeholder)="([^"]*)"', body) + re.findall(
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


def test_the_language_is_the_readers(show: Any) -> None:
    opened: Opened = show(heart(), step=1, locale="de-AT")
    assert opened.page.evaluate("document.documentElement.lang") == "de"
    assert opened.panel().startswith("Vorwärts 1 von 4: linear")
    assert opened.page.locator("#tab-optimizer").inner_text() == "Optimierer"
    opened.page.select_option("#language", "en")
    assert opened.panel().startswith("Forward 1 of 4: linear")
    assert opened.page.locator("#tab-optimizer").inner_text() == "Optimiser"
    opened.page.reload()
    assert opened.panel().startswith("Forward 1 of 4"), "the choice is kept"


def test_a_language_without_a_table(show: Any) -> None:
    opened = show(heart(), step=1, locale="fr-FR")
    assert opened.panel().startswith("Forward 1 of 4: linear")
