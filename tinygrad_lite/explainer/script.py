"""The lesson of a script: runs it unchanged, and explains its last `backward()`."""

import contextlib
import runpy
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lite.engine.backward import history
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError
from tinygrad_lite.explainer.graph import Graph
from tinygrad_lite.explainer.lesson import Lesson
from tinygrad_lite.explainer.origins import Watch, note_names_around
from tinygrad_lite.readers.recording import observing


def lesson_of_script(path: Path, arguments: Sequence[str] = ()) -> Lesson:
    """Run a script with arguments, as `python script.py` does, and explain its last `backward()`.

    Exceptions of the script pass through.

    Raises:
        InputError: if there is no such file, or the script calls no `backward()`.
    """
    if not path.is_file():
        raise InputError(f"there is no script {path}")
    before, sys.argv = (sys.argv, sys.path), [str(path), *arguments]
    sys.path = [str(path.resolve().parent), *sys.path]
    try:
        with _last_backward() as graphs, contextlib.suppress(SystemExit):
            runpy.run_path(str(path), run_name="__main__")
    finally:
        sys.argv, sys.path = before
    if not graphs:
        raise InputError(f"{path} ran, and called no backward(): there is nothing to explain")
    return Lesson(graphs[0])


@contextlib.contextmanager
def _last_backward() -> Iterator[list[Graph]]:
    """A list that holds the graph of the last `backward()` in the block, once the block has run."""
    graphs: list[Graph] = []
    watch = Watch()
    plain = Tensor.backward
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
        graphs[:] = [Graph(self, known, upstream)]

    setattr(Tensor, "backward", backward)  # noqa: B010, since a type checker takes methods to be fixed
    try:
        with observing(lambda step: watch.note(step)):
            yield graphs
    finally:
        setattr(Tensor, "backward", plain)  # noqa: B010
