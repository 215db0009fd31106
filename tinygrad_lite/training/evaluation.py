"""A model measured on data: its loss, and metrics."""

from collections.abc import Callable, Mapping
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
    outputs, targets = predicted(model, loader)
    with no_grad():
        value = float(loss(outputs, targets))
    figures = {name: metric(targets, outputs) for name, metric in metrics.items()}
    for name, y in figures.items():
        if np.ndim(y) or np.iscomplexobj(y) or not hasattr(y, "__float__"):
            raise UsageError(f"the metric {name!r} must return a number, got {y!r:.80}")
    return {"validation_loss": value, **{name: float(y) for name, y in figures.items()}}
