"""The lesson of a script: runs it unchanged, and explains its last `backward()`, or takes its own."""

import contextlib
import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lite.engine.backward import history
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError
from tinygrad_lite.explainer.graph import Graph
from tinygrad_lite.explainer.lesson import Lesson
from tinygrad_lite.explainer.origins import Watch, note_names_around
from tinygrad_lite.readers.recording import hearing_exits, observing


def lesson_of_script(path: Path, arguments: Sequence[str] = ()) -> Lesson:
    """Run a script with arguments, as `python script.py` does, and explain its last `backward()`.

    If it calls `tg.explain` after that, or only that, its own lesson is the result. Its exceptions pass through.

    Raises:
        InputError: if there is no such file, or the script calls neither.
    """
    if not path.is_file():
        raise InputError(f"there is no script {path}")
    before, sys.argv = (sys.argv, sys.path), [str(path), *arguments]
    sys.path = [str(path.resolve().parent), *sys.path]
    try:
        with _last_explained() as lessons:
            try:
                runpy.run_path(str(path), run_name="__main__")
            except SystemExit as end:
                if isinstance(end.code, str):  # which Python prints
                    print(end.code, file=sys.stderr)
    finally:
        sys.argv, sys.path = before
    if not lessons:
        raise InputError(
            f"{path} ran without calling backward() or tg.explain, so there is nothing to explain; for a function that "
            "tg.grad differentiates, add tg.explain(function, *arguments)"
        )
    return lessons[0]()


@contextlib.contextmanager
def _last_explained() -> Iterator[list[Callable[[], Lesson]]]:
    """A list that has the lesson of the last `backward()` or `tg.explain` in the block, once the block has run."""
    lessons: list[Callable[[], Lesson]] = []
    watch = Watch()
    plain, plain_init = Tensor.backward, Lesson.__init__
    passing: set[Tensor] = set()  # the nodes that the script would have freed after its last pass

    def backward(self: Tensor, gradient: Any = None, **settings: Any) -> None:
        nonlocal watch, passing
        if not (self.requires_grad and isinstance(self.data, (np.ndarray, np.generic))):
            plain(self, gradient, **settings)  # an error, or a pass over another reader's values
            return
        path = history([self])
        repeated = not passing.isdisjoint(path)
        if repeated or passing.difference(path):
            for node in passing:
                node.forget()
        if repeated:
            plain(self, gradient, **settings)  # raises the error that the graph was freed
            return
        retain = settings.get("retain_graph")
        plain(self, gradient, **(settings | {"retain_graph": True}))
        passing = set() if retain or (retain is None and settings.get("create_graph")) else set(path)
        known, watch = watch.seen, watch.rest(passing)
        note_names_around(known, sys._getframe(1))
        upstream = None if gradient is None else np.asarray(getattr(gradient, "data", gradient), self.dtype)
        lessons[:] = [partial(Lesson, Graph(self, known, upstream))]

    def init(self: Lesson, graph: Graph) -> None:
        plain_init(self, graph)
        lessons[:] = [lambda: self]

    setattr(Tensor, "backward", backward)  # noqa: B010, since a type checker takes methods to be fixed
    setattr(Lesson, "__init__", init)  # noqa: B010
    try:
        with observing(lambda step: watch.note(step)), hearing_exits(lambda tensor: watch.note_exit(tensor)):
            yield lessons
    finally:
        setattr(Tensor, "backward", plain)  # noqa: B010
        setattr(Lesson, "__init__", plain_init)  # noqa: B010
