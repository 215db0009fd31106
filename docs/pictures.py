"""Makes the picture of a lesson's page that the README and docs/explaining.md show.

`python docs/pictures.py` runs the command that both pages show, and opens the result in Chromium with Playwright.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
COMMAND = ["-m", "tinygrad_lite", "explain", "-o"]
STEP = 7  # the rectifier's: upstream × local


def main() -> None:
    names = ("chromium-headless-shell", "chromium", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        lesson = Path(folder) / "heart_lesson.html"
        subprocess.run(  # noqa: S603  our own command
            [sys.executable, *COMMAND, str(lesson), "examples/heart_lesson.py"], cwd=ROOT, check=True
        )
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1320, "height": 900})
        page.goto(f"{lesson.as_uri()}#step={STEP}")
        page.wait_for_selector("#graph svg")
        page.screenshot(path=ROOT / "docs" / "pictures" / "heart_lesson.png")
        browser.close()


if __name__ == "__main__":
    main()
