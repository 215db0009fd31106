"""Code that chooses by its numbers: a page computes the choice again, or shows recorded values, or says what stays."""

import copy
import io
import logging
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.explainer.test_page import Show
from tinygrad_lite import nn

F = nn.functional
PLAIN = np.array([1.0, 10.0, 100.0, 1000.0, 1e4])
NUMBERS = [0.5, -1.2, 2.1, 0.3, -0.4]
OTHERS = [0.5, -1.2, 2.1, 0.3, 3.4], [-0.5, 1.2, -2.1, 3.3, 0.4], [0.6, 2.6, 1.9, 0.35, -0.3]
SAID = (
    "Recorded only",
    "The code looked at its numbers in Python",
    "made without a history, so the page cannot know",
    "Only the operations behind the result were recorded",
)


def _norm_without_history(x: Any) -> Any:
    with tg.no_grad():
        return np.linalg.norm(x)


def _gradient_on_the_way(x: Any) -> Any:
    z = tg.tensor(x.detach(), requires_grad=True)
    np.sum(z**3).backward()
    return np.sum(z.grad * x)


def _printed(x: Any) -> int:
    text = io.StringIO()
    print(x, file=text)
    return len(text.getvalue())


CHOICES: dict[str, Callable[[Any], Any]] = {
    "argmax": lambda x: x[np.argmax(x)] ** 2,
    "argmin of an array": lambda x: PLAIN[np.argmin(x)] * np.sum(x),
    "argmax as int": lambda x: x[int(np.argmax(x))] ** 2,
    "argmax in a list": lambda x: np.sum(x[[np.argmax(x), 0]]) ** 2,
    "nanargmax": lambda x: x[np.nanargmax(x)] ** 2,
    "argsort": lambda x: np.sum(x[np.argsort(-x)[:3]] ** 2),
    "argsort of an array": lambda x: np.sum(PLAIN[np.argsort(x)] * x),
    "argpartition": lambda x: np.sum(x[np.argpartition(x, 2)[:2]] ** 2),
    "lexsort": lambda x: np.sum(x[np.lexsort((x,))] * PLAIN),
    "sort": lambda x: np.sum(np.sort(x) * PLAIN),
    "partition": lambda x: np.sum(np.partition(x, 2)[:2] ** 2),
    "take": lambda x: np.sum(np.take(PLAIN, np.argsort(x)) * x),
    "take one": lambda x: np.take(PLAIN, np.argmax(x)) * np.sum(x),
    "take_along_axis": lambda x: np.sum(np.take_along_axis(PLAIN, np.argsort(x), 0) * x),
    "compress": lambda x: np.sum(np.compress(x > 0, x) ** 2),
    "compress of an array": lambda x: np.sum(np.compress(x > 0, PLAIN)) * x[0],
    "extract": lambda x: np.sum(np.extract(x > 0, x) ** 2),
    "extract of an array": lambda x: np.sum(np.extract(x > 0, PLAIN)) * x[0],
    "mask": lambda x: np.sum(x[x > 0] ** 2),
    "mask of an array": lambda x: np.sum(PLAIN[x > 0]) * x[0],
    "length of a mask": lambda x: len(x[x > 0]) * x[0],
    "length of an index": lambda x: np.flatnonzero(x > 0).size * x[0],
    "mask in arithmetic": lambda x: np.sum(x * (x == np.max(x))),
    "mean of a mask": lambda x: np.mean(x > 0) * np.sum(x),
    "where": lambda x: np.sum(np.where(x > 0, x * x, -x)),
    "where with one argument": lambda x: np.sum(x[np.where(x > 0)] ** 2),
    "nonzero": lambda x: np.sum(x[np.nonzero(x > 0)[0]] ** 2),
    "flatnonzero": lambda x: np.sum(x[np.flatnonzero(x > 0)] ** 2),
    "argwhere": lambda x: np.sum(x[np.argwhere(x > 0)[:, 0]] ** 2),
    "searchsorted": lambda x: np.sum(PLAIN[np.searchsorted(np.array([-1.0, 0.0, 1.0, 2.0]), x)] * x),
    "digitize": lambda x: np.sum(np.take(PLAIN, np.digitize(x, np.array([-1.0, 0.0, 1.0, 2.0]))) * x),
    "unique": lambda x: np.sum(np.unique(np.floor(x)) ** 2) * x[0],
    "histogram": lambda x: np.sum(np.histogram(x.detach(), bins=3)[0] * x[:3]),
    "bincount": lambda x: np.sum(np.bincount(np.floor(np.abs(x)).astype(int), minlength=5)[:5] * x),
    "isin": lambda x: np.sum(np.isin(np.floor(x), [0, 2]) * x),
    "choose": lambda x: np.sum(np.choose((x > 0).astype(int), [x, x**2])),
    "select": lambda x: np.sum(np.select([x > 1, x > 0], [x, x**2], 0.0)),
    "piecewise": lambda x: np.sum(np.piecewise(x, [x > 0], [np.square, np.negative])),
    "set at an index": lambda x: np.sum(x.at[np.argmax(x)].set(0.0) * PLAIN),
    "added at an index": lambda x: np.sum(x.at[np.argsort(x)[:2]].add(3.0) * PLAIN),
    "rounded": lambda x: np.sum(np.round(x) * x),
    "whole numbers": lambda x: np.sum(x.astype(int) * x),
    "whole numbers as an index": lambda x: np.sum(PLAIN[np.floor(np.abs(x)).astype(int)] * x),
    "one-hot": lambda x: np.sum(F.one_hot(np.argmax(x), 5) * x * PLAIN),
    "label of its own": lambda x: F.cross_entropy(x[None], np.argmax(x)[None]),
    "if": lambda x: np.sum(x) if x[0] > 0 else np.sum(x**2),
    "if any": lambda x: np.sum(x) if np.any(x[:1] > 0) else np.sum(x**2),
    "if allclose": lambda x: np.sum(x) if np.allclose(x[0], 0.5) else np.sum(x**2),
    "if in": lambda x: np.sum(x) if 0.5 in x else np.sum(x**2),
    "if in a list": lambda x: sum(entry if entry > 0 else entry**2 for entry in x),
    "int": lambda x: int(x[2]) * np.sum(x),
    "floor": lambda x: math.floor(x[2]) * np.sum(x),
    "float": lambda x: float(x.detach()[2]) * np.sum(x),
    "complex": lambda x: abs(complex(x[2].detach())) * x[0],
    "format": lambda x: float(f"{x[4]:.0f}") * np.sum(x),
    "format()": lambda x: float(format(x[4], ".0f")) * np.sum(x),
    "str.format": lambda x: len(f"{x}") * np.sum(x),
    "percent": lambda x: float("%.0f" % x[4]) * np.sum(x),  # noqa: UP031
    "percent s": lambda x: len("%s" % x) * np.sum(x),  # noqa: UP031
    "repr": lambda x: len(repr(x)) * np.sum(x),
    "str": lambda x: len(str(x.detach())) * np.sum(x),
    "printed into a text": lambda x: _printed(x) * np.sum(x),
    "array2string": lambda x: len(np.array2string(x)) * np.sum(x),
    "array_str": lambda x: len(np.array_str(x.detach())) * np.sum(x),
    "format_float_positional": lambda x: len(np.format_float_positional(x[4].detach())) * np.sum(x),
    "deepcopy": lambda x: np.sum(copy.deepcopy(x.detach())) * np.sum(x),
    "pickle": lambda x: np.sum(pickle.loads(pickle.dumps(x.detach()))) * np.sum(x),
    "round": lambda x: round(x[2].detach()) * np.sum(x),
    "count_nonzero": lambda x: np.count_nonzero(x > 0) * np.sum(x),
    "item": lambda x: x[2].item() * np.sum(x),
    "tolist": lambda x: max(x.tolist()) * np.sum(x),
    "numpy": lambda x: np.max(x.numpy()) * np.sum(x),
    "data": lambda x: np.max(x.data) * np.sum(x),
    "asarray": lambda x: np.max(np.asarray(x.detach())) * np.sum(x),
    "dlpack": lambda x: np.max(np.from_dlpack(x.detach())) * np.sum(x),
    "detached": lambda x: np.max(x.detach()) * np.sum(x),
    "copied": lambda x: np.sum(tg.tensor(x.detach()) * x),
    "without history": lambda x: np.sum(x / _norm_without_history(x)),
    "a gradient": _gradient_on_the_way,
    "sorted": lambda x: sorted(x)[0] * 2,
    "max": lambda x: max(x) ** 2,
    "slice": lambda x: np.sum(x[: np.sum(x > 0)] ** 2) + x[0],
    "range": lambda x: sum([x[0] * i for i in range(np.argmax(x) + 1)], x[1]),
    "arange": lambda x: np.sum(np.arange(np.sum(x > 0))) * x[0],
    "ones": lambda x: np.sum(np.ones(np.sum(x > 0))) * x[0],
    "eye": lambda x: np.sum(np.eye(np.argmax(x) + 1)) * x[0],
    "linspace": lambda x: np.sum(np.linspace(0, 1, np.argmax(x) + 2)) * x[0],
    "repeat": lambda x: np.sum(np.repeat(x, np.argsort(x))),
    "tile": lambda x: np.sum(np.tile(x, np.argmax(x) + 1)),
    "roll": lambda x: np.sum(np.roll(x, np.argmax(x)) * PLAIN),
    "pad": lambda x: np.sum(np.pad(x, np.argmax(x), mode="edge")),
    "split": lambda x: np.sum(np.split(x, [np.argmax(x)])[0] ** 2) + x[0],
    "delete": lambda x: np.sum(np.delete(x, np.argmax(x)) ** 2),
    "broadcast_to": lambda x: np.sum(np.broadcast_to(x[0], (np.argmax(x) + 1,))),
    "axis": lambda x: np.sum(np.max(np.outer(x, x)[:2], axis=np.argmax(x[:2]))),
    "diagonal": lambda x: np.sum(np.diagonal(np.outer(x, x), np.argmax(x) - 1)),
    "vectorize": lambda x: np.sum(np.vectorize(lambda entry: 1.0 if entry > 0 else 2.0)(x.detach()) * x),
}
"""Functions whose result for other numbers is not that of the same operations with the same indices and constants."""


@pytest.mark.parametrize("is_watched", [True, False], ids=["function", "result"])
@pytest.mark.parametrize("name", CHOICES)
def test_a_page_follows_or_says_what_stays(show: Show, name: str, is_watched: bool) -> None:
    f = CHOICES[name]
    x = tg.tensor(NUMBERS, requires_grad=True, name="x")
    opened = show(tg.explain(f, x) if is_watched else tg.explain(f(x)))
    if not opened.page.evaluate("lesson.live"):
        assert "Recorded only" in opened.panel()
        return
    for changed in OTHERS:
        opened.page.evaluate("([i, data]) => lesson.change([[i, { shape: [5], data }]])", [opened.index("x"), changed])
        opened.go(1)
        follows = np.allclose(opened.page.evaluate("lesson.result()"), f(tg.tensor(changed)).numpy(), rtol=1e-12)
        assert follows or any(words in opened.panel() for words in SAID)


def test_what_was_there_before_a_function_ran_is_no_choice(show: Show) -> None:
    """Constants of other tensors, outside of the function that is explained: they are the same for other numbers."""
    data = tg.tensor([[1.0, 2.0], [3.0, 5.0]])
    data = (data - data.mean(axis=0)) / data.std(axis=0)
    rows = np.argsort(data[:, 0])
    opened = show(tg.explain(lambda w: np.sum((data[rows] @ w) ** 2), tg.tensor([1.0, 2.0], requires_grad=True)))
    assert opened.page.evaluate("lesson.live")
    assert not any(words in opened.panel() for words in SAID)


def test_what_is_printed_or_logged_is_no_choice() -> None:
    def shown(x: Any) -> Any:
        print(x, repr(x))
        print(
            f"the largest of {x}",
            f"is {np.max(x):.3f}",
        )
        logging.getLogger(__name__).warning("the numbers are %s", x)
        return np.sum(x)

    def kept(x: Any) -> Any:
        print(f"{x}", file=io.StringIO())
        return np.sum(x)

    x = tg.tensor(NUMBERS, requires_grad=True, name="x")
    assert tg.explain(shown, x).graph.exit is None
    assert "StringIO" in str(tg.explain(kept, x).graph.exit)


def test_constants_without_a_history_are_named(show: Show) -> None:
    data = tg.tensor([[1.0, 2.0], [3.0, 5.0]])
    standardised = (data - data.mean(axis=0)) / data.std(axis=0)
    w = tg.tensor([1.0, 2.0], requires_grad=True)
    opened = show(tg.explain(np.sum((standardised @ w) ** 2)))
    assert "standardised: made without a history" in opened.panel()
    opened.page.evaluate("i => lesson.changeEntry(i, 0, 3)", opened.index("w"))
    assert opened.page.evaluate("lesson.result()") == np.sum((standardised.numpy() @ [3, 2]) ** 2)


def test_what_a_script_looked_at_before_its_last_graph_does_not_matter(show: Show, tmp_path: Any) -> None:
    from tinygrad_lite.explainer.script import lesson_of_script

    path = tmp_path / "train.py"
    start = "import numpy as np, tinygrad_lite as tg\nw = tg.tensor(2.0, requires_grad=True)\nfor _ in range(3):\n"
    pass_by = "    loss = w * w\n    loss.backward()\n    print(loss.item())\n"
    path.write_text(start + pass_by)
    assert lesson_of_script(path).graph.exit is None
    path.write_text(f"{start}    scale = 2.0 if w > 1 else 1.0\n{pass_by.replace('w * w', 'w * w * scale')}")
    assert "if w > 1" in str(lesson_of_script(path).graph.exit)
