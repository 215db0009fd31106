"""The bar that shows the progress of long work, on a terminal or in a notebook, if tqdm is installed."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from typing import Any

_is_shown: ContextVar[bool] = ContextVar("_is_shown", default=True)


@contextmanager
def progress(total: int, done: int = 0, unit: str = "it") -> Iterator[Callable[..., None]]:
    """A function `show(count=1, figures=None)` to call after some of `total` turns; some may be done already."""
    if not (_is_shown.get() and (sys.stderr.isatty() or "ipykernel" in sys.modules) and find_spec("tqdm")):
        yield lambda count=1, figures=None: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, initial=done, unit=unit, leave=False) as bar:

        def show(count: int = 1, figures: Mapping[str, Any] | None = None) -> None:
            if figures:
                bar.set_postfix({name: x for name, x in figures.items() if isinstance(x, float)}, refresh=False)
            bar.update(count)

        yield show


@contextmanager
def without_progress() -> Iterator[None]:
    """A block in which no bar is shown."""
    token = _is_shown.set(False)
    try:
        yield
    finally:
        _is_shown.reset(token)
