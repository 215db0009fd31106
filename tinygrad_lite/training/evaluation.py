"""A model measured on data: its loss, and metrics."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.data import DataLoader
from tinygrad_lite.engine.grad_mode import no_grad
from tinygrad_lite.errors import UsageError
from tinygrad_lite.nn import Module
from tinygrad_lite.nn.module import in_mode
from tinygrad_lite.training.batches import outputs_of, plain
from tinygrad_lite.training.metrics import Metric


@contextmanager
def about(subject: str) -> Iterator[None]:
    """Add to an error what it is about: of data that were held out, it says the same as of those for training."""
    try:
        yield
    except Exception as error:  # whatever the user's functions raise
        error.add_note(f"This is about {subject}.")
        raise


def predicted(model: Module, loader: DataLoader) -> tuple[Any, Any]:
    """The model's outputs, in evaluation mode, and the targets, for all rows of a loader."""
    before = [(module, module.training) for module in model.modules()]  # some layers may be frozen
    in_mode(model, False)
    try:
        with no_grad():
            pairs = [plain((outputs_of(model, inputs), targets)) for inputs, targets in loader]
    finally:
        if before[0][1]:
            in_mode(model, True)
        for module, was_training in before:
            module.training = was_training
    return trees.map_leaves(lambda *parts: np.concatenate(parts), *pairs)  # type: ignore[no-any-return]


def evaluated(
    model: Module, loss: Callable[[Any, Any], Any], loader: DataLoader, metrics: Mapping[str, Metric]
) -> dict[str, float]:
    """The loss of all rows at once, and each metric.

    Raises:
        UsageError: if a metric returns something other than a real number.
    """
    with about("the validation data"), no_grad():
        outputs, targets = predicted(model, loader)
        value = float(loss(outputs, targets))
    figures = {}
    for name, metric in metrics.items():
        with about(f"the metric {name!r}, of the validation data"):
            figures[name] = metric(targets, outputs)
    for name, y in figures.items():
        if np.ndim(y) or np.iscomplexobj(y) or not hasattr(y, "__float__"):
            raise UsageError(f"the metric {name!r} must return a number, got {y!r:.80}")
    return {"validation_loss": value, **{name: float(y) for name, y in figures.items()}}
