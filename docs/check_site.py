"""Checks every page of the site that was built, on a desktop and on a phone, light and dark.

No link within the site may lead nowhere, no console complain, no page ask the network or scroll sideways on a phone, no
texts of a picture cover each other, axe-core may find nothing, and a lesson's first screen shows a figure. `python
docs/check_site.py docs/_build/html` prints what is wrong, and fails if anything is; further arguments choose pages by a
part of their path.
"""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, sync_playwright

OWN = ("pages", "_static")  # pages of the explainer, which has tests of its own, and parts of the theme
PRINTED = ("_modules", "sources")  # printed code, of which one page is as good as all
DESKTOP, PHONE = {"width": 1280, "height": 720}, {"width": 390, "height": 844}
CODE = """() => {
  for (const word of [...document.querySelectorAll(".highlight span")].slice(300)) word.dataset.more = "";
}"""
CROWDED = """() => [...document.querySelectorAll(".plot svg")].flatMap((svg) => {
  const texts = [...svg.querySelectorAll("text")].map((text) => [text.textContent, text.getBoundingClientRect()]);
  const shown = texts.filter(([text, box]) => text && box.width);
  const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4;
  return shown.flatMap(([text, box], k) => shown.slice(0, k).filter(([, other]) => meet(box, other))
    .map(([other]) => `“${other}” and “${text}”`));
})"""
FIRST_FIGURE = "() => document.querySelector('.plot, figure.page')?.getBoundingClientRect().top ?? Infinity"
COLOURS = {"runOnly": ["color-contrast", "link-in-text-block"]}  # what can differ between light and dark
NAME = re.compile(r'\s(?:id|name)="([^"]+)"')
LINK = re.compile(r'<(?:a|link)\b[^>]*?\shref="([^"]+)"|\ssrc="([^"]+)"')
LOOKS: list[tuple[str, Any, Any, dict[str, Any]]] = [
    ("desktop, light", DESKTOP, "light", {}),
    ("desktop, dark", DESKTOP, "dark", COLOURS),
    ("phone, dark", PHONE, "dark", COLOURS),
    ("phone, light", PHONE, "light", {}),
]


def anchors_of(page: Path) -> tuple[list[str], set[str]]:
    """What a page links to, and what in it can be linked to."""
    text = page.read_text()
    links = LINK.findall(text)
    return [unescape(a or b) for a, b in links], {unescape(name) for name in NAME.findall(text)}


def pages_of(root: Path) -> list[Path]:
    return [path for path in sorted(root.rglob("*.html")) if path.relative_to(root).parts[0] not in OWN]


def dead_links(root: Path) -> Iterator[str]:
    pages = {path: anchors_of(path) for path in pages_of(root)}
    for page, (links, _) in pages.items():
        for link in links:
            path, _, anchor = link.partition("#")
            if "://" in link or link.startswith(("data:", "mailto:")):
                continue
            target = (page.parent / unquote(path.partition("?")[0])).resolve() if path else page
            missing = target in pages and anchor and unquote(anchor) not in pages[target][1]
            if not target.exists() or missing:
                yield f"{page.relative_to(root)}: {link} leads nowhere"


def shown(root: Path, words: list[str]) -> list[Path]:
    """The pages to look at in a browser."""
    pages = [path for path in pages_of(root) if not words or any(word in str(path.relative_to(root)) for word in words)]
    printed = [path for path in pages if path.relative_to(root).parts[0] in PRINTED]
    return [path for path in pages if path not in printed[1:]]


def findings(root: Path, paths: list[Path]) -> list[str]:
    """What the browser and axe-core say of some pages."""
    names = ("chromium-headless-shell", "chromium", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        told = [finding for path in paths for finding in _of_page(browser.new_page(), root, path)]
        browser.close()
    return told


def _of_page(page: Page, root: Path, path: Path) -> Iterator[str]:
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: None if _own(request.url) else said.append(f"asks for {request.url}"))
    page.emulate_media(reduced_motion="reduce")
    page.route(
        "**/pages/*", lambda route: route.fulfill(body="", content_type="text/html")
    )  # they have their own tests
    page.goto(path.as_uri())
    page.evaluate(AXE_SCRIPT)
    page.evaluate(CODE)  # the colours of further words of code are no others, and each takes its time
    for look, size, scheme, rules in LOOKS:
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=scheme)
        result = page.evaluate(
            "options => axe.run({exclude: ['[data-more]']}, options)", {"preload": False, "iframes": False, **rules}
        )
        for violation in result["violations"]:
            where = violation["nodes"][0]["html"][:100]
            said.append(f"{look}: {violation['help']}, {len(violation['nodes'])} times: {where}")
        said.extend(f"{look}: texts of a picture cover each other: {texts}" for texts in page.evaluate(CROWDED))
        if path.parent.name == "lessons" and path.stem != "index" and page.evaluate(FIRST_FIGURE) > size["height"]:
            said.append(f"{look}: the first screen shows no figure")
        if size is PHONE and page.evaluate("document.scrollingElement.scrollWidth > innerWidth"):
            said.append(f"{look}: it scrolls sideways")
    page.close()
    yield from (f"{path.relative_to(root)}: {finding}" for finding in dict.fromkeys(said))


def _own(address: str) -> bool:
    return address.startswith(("file:", "data:", "blob:", "about:"))


def main(root: Path, words: list[str]) -> int:
    paths, workers = shown(root, words), os.cpu_count() or 1
    with ProcessPoolExecutor(workers) as pool:
        looked = pool.map(partial(findings, root), (paths[k::workers] for k in range(workers)))
        wrong = [*dead_links(root), *(finding for share in looked for finding in share)]
    print("\n".join([*wrong, f"{len(paths)} pages in {len(LOOKS)} looks: {len(wrong)} findings"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2:]))
