"""Writes docs/misconceptions: a page with a picture for each mistake that a mark can name.

`python docs/misconceptions.py` writes them from the table in tinygrad_lite/exercises/misconceptions.py; `--check`
compares instead.
"""

import sys
from functools import cache
from pathlib import Path

import numpy as np

from tinygrad_lite.exercises.exercise import Exercise
from tinygrad_lite.exercises.misconception import Misconception
from tinygrad_lite.exercises.misconceptions import MISCONCEPTIONS
from tinygrad_lite.exercises.shown import brief

FOLDER = Path(__file__).parent / "misconceptions"
INTRODUCTION = """\
# The usual mistakes

These are the mistakes that the [exercises](../lessons/index.md) name when they mark an answer. Each has a page: what
people think, what is true, and an example with its mark. `tg.exercises.about("sign")` shows the same beside your code.

`python docs/misconceptions.py` writes these pages from
[the table in the code](../../tinygrad_lite/exercises/misconceptions.py), and a test compares them.

| mistake | what a mark says |
|---|---|
"""


def pages() -> dict[str, str]:
    """The text of each file."""
    files = {"index.md": index()}
    for misconception in MISCONCEPTIONS.values():
        svg, text = misconception.picture()
        files[f"{misconception.name}.svg"] = svg
        files[f"{misconception.name}.md"] = page(misconception, text)
    return files


def index() -> str:
    rows = [f"| [{m.title}]({m.name}.md) | {likeness(m)} |" for m in MISCONCEPTIONS.values()]
    tree = ["", "```{toctree}", ":hidden:", "", *MISCONCEPTIONS, "```", ""]
    return INTRODUCTION + "\n".join([*rows, *tree])


def likeness(misconception: Misconception) -> str:
    """What the mark of its example says."""
    mark = marked(misconception.name)
    told = [remark for remark in mark if not remark.startswith("read on")]
    return next((line.partition(": ")[2] for line in told if line.startswith("it looks like")), told[-1])


@cache
def marked(name: str) -> tuple[str, ...]:
    misconception = MISCONCEPTIONS[name]
    return Exercise(misconception.example.declaration(name)).check(misconception.example.submission(name)).remarks


def page(misconception: Misconception, text: str) -> str:
    name, example = misconception.name, misconception.example
    declaration = example.declaration(name)
    inputs = "\n".join(f"{argument} = {brief(x)}" for argument, x in declaration.inputs[0].items())
    remarks = "\n".join(f"- {remark}" for remark in marked(misconception.name) if not remark.startswith("read on"))
    return f"""\
# {misconception.title}

![{text}]({name}.svg)

**What people think.** {misconception.thought}

**What is true.** {misconception.truth}

**Ask yourself.** {misconception.ask}

## An example

```text
{declaration.formula.strip()}
{inputs}
```

```py
{example.code(name)}
```

The mark:

{remarks}

[All mistakes](index.md)
"""


def main() -> None:
    np.seterr(all="ignore")
    files = pages()
    if "--check" not in sys.argv:
        for old in FOLDER.glob("*"):
            old.unlink()
        for name, text in files.items():
            (FOLDER / name).write_text(text)
    elif {path.name for path in FOLDER.glob("*")} != {*files} or any(
        (FOLDER / name).read_text() != text for name, text in files.items() if name.endswith(".md")
    ):  # the digits of a picture may differ from one processor to another
        raise SystemExit("docs/misconceptions is out of date: run python docs/misconceptions.py")


if __name__ == "__main__":
    main()
