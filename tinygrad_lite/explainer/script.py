"""Floor 6. The lesson of a script: it is run as it stands, and its last `backward()` is explained."""

import contextlib
import runpy
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lite.backward import history
from tinygrad_lite.errors import InputError
from tinygrad_lite.explainer.graph import Graph
from tinygrad_lite.explainer.lesson import Lesson
from tinygrad_lite.explainer.watching import Watch, names_around
from tinygrad_lite.recording import observing
from tinygrad_lite.tensor import Tensor


def lesson_of_script(path: Path, arguments: Sequence[str] = ()) -> Lesson:
    """Run a script with arguments, as `python script.py` does, and explain its last `backward()`.

    What the script raises is passed on.

    Raises:
        InputError: if there is no such file, or the script calls no `backward()`.
    """
    if not path.is_file():
        raise InputError(f"there is no script {path}")
    before, sys.argv = sys.argv, [str(path), *arguments]
    sys.path.insert(0, str(path.resolve().parent))
    try:
        with _last_backward() as found, contextlib.suppress(SystemExit):
            runpy.run_path(str(path), run_name="__main__")
    finally:
        sys.argv = before
        sys.path.remove(str(path.resolve().parent))
    if not found:
        raise InputError(f"{path} ran, and called no backward(): there is nothing to explain")
    return Lesson(found[0])


@contextlib.contextmanager
def _last_backward() -> Iterator[list[Graph]]:
    """A list that holds, once the block has run, the graph of the last `backward()` in it."""
    found: list[Graph] = []
    watch = Watch()
    plain = Tensor.backward
    passing: list[Tensor] = []  # what the script itself would have let go of after its last pass

    def backward(self: Tensor, gradient: Any = None, **settings: Any) -> None:
        nonlocal watch, passing
        known, watch = watch, Watch()
        if not (self.requires_grad and isinstance(self.data, (np.ndarray, np.generic))):
            plain(self, gradient, **settings)  # an error, or a pass over what another reader looks at
            return
        names = {**known.names, **names_around(sys._getframe(1))}
        retain = settings.get("retain_graph")
        plain(self, gradient, **(settings | {"retain_graph": True}))
        upstream = None if gradient is None else np.asarray(getattr(gradient, "data", gradient), self.dtype)
        found[:] = [Graph(self, names, known.sources, known.modules, upstream)]
        path = history([self])
        for node in set(passing).difference(path):
            node.forget()
        passing = [] if retain or (retain is None and settings.get("create_graph")) else path

    setattr(Tensor, "backward", backward)  # noqa: B010, since a type checker takes methods to be fixed
    try:
        with observing(lambda step: watch.note(step)):
            yield found
    finally:
        setattr(Tensor, "backward", plain)  # noqa: B010
