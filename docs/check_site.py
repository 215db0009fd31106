"""Checks the site that was built: every link within it leads somewhere, and axe-core finds nothing on any page.

`python docs/check_site.py docs/_build/html` prints what is wrong, and fails if anything is.
"""

import shutil
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import chain
from pathlib import Path
from urllib.parse import unquote

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

OWN = ("pages", "_static")  # pages of the explainer, which has tests of its own, and parts of the theme
PRINTED = ("_modules", "sources")  # printed code, of which one page is as good as all


class Anchors(HTMLParser):
    """What a page links to, and what in it can be linked to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.ids |= {name for name in (told.get("id"), told.get("name")) if name}
        if address := told.get("href" if tag in ("a", "link") else "src"):
            self.links.append(address)


def dead_links(root: Path) -> Iterator[str]:
    pages = {path: Anchors(path) for path in root.rglob("*.html") if path.relative_to(root).parts[0] not in OWN}
    for page, anchors in pages.items():
        for link in anchors.links:
            path, _, anchor = link.partition("#")
            if "://" in link or link.startswith(("data:", "mailto:")):
                continue
            target = (page.parent / unquote(path.partition("?")[0])).resolve() if path else page
            missing = target in pages and anchor and unquote(anchor) not in pages[target].ids
            if not target.exists() or missing:
                yield f"{page.relative_to(root)}: {link} leads nowhere"


def findings(root: Path) -> Iterator[str]:
    """What axe-core says of each page."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    shown = [path for path in sorted(root.rglob("*.html")) if path.relative_to(root).parts[0] not in OWN]
    printed = [path for path in shown if path.relative_to(root).parts[0] in PRINTED]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        for path in [path for path in shown if path not in printed[1:]]:
            page.goto(path.as_uri())
            response = Axe().run(page, options={"preload": False, "iframes": False}).response
            for violation in response["violations"]:
                where = violation["nodes"][0]["html"][:100]
                yield f"{path.relative_to(root)}: {violation['help']}, {len(violation['nodes'])} times: {where}"
        browser.close()


def main(root: Path) -> int:
    wrong = 0
    for finding in chain(dead_links(root), findings(root)):
        print(finding, flush=True)
        wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
