"""The bar that shows the progress of a training, in a terminal or in a notebook, if tqdm is installed."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any


@contextmanager
def progress(total: int, done: int, unit: str) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A function to call after each of `total` turns, of which some are done, with figures to show."""
    if not (find_spec("tqdm") and (sys.stderr.isatty() or _is_notebook())):
        yield lambda figures: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, initial=done, unit=unit) as bar:

        def show(figures: dict[str, Any]) -> None:
            bar.set_postfix({name: x for name, x in figures.items() if isinstance(x, float)}, refresh=False)
            bar.update()

        yield show


def _is_notebook() -> bool:
    kernel = sys.modules.get("ipykernel")
    return kernel is not None and "IPython" in sys.modules
