"""A model measured on data: its loss, and metrics."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.data import DataLoader
from tinygrad_lite.engine.grad_mode import no_grad
from tinygrad_lite.nn import Module
from tinygrad_lite.training.batches import outputs_of, plain
from tinygrad_lite.training.metrics import Metric


def predicted(model: Module, loader: DataLoader) -> tuple[Any, Any]:
    """The model's outputs, in evaluation mode, and the targets, for all rows of a loader."""
    trained = [module for module in model.modules() if module.training]  # some layers may be frozen
    model.eval()
    try:
        with no_grad():
            pairs = [plain((outputs_of(model, inputs), targets)) for inputs, targets in loader]
    finally:
        for module in trained:
            module.training = True
    return trees.map_leaves(lambda *parts: np.concatenate(parts), *pairs)  # type: ignore[no-any-return]


def evaluated(
    model: Module, loss: Callable[[Any, Any], Any], loader: DataLoader, metrics: Mapping[str, Metric]
) -> dict[str, float]:
    """The loss of all rows at once, and each metric."""
    outputs, targets = predicted(model, loader)
    with no_grad():
        value = float(loss(outputs, targets))
    return {"validation_loss": value, **{name: float(metric(targets, outputs)) for name, metric in metrics.items()}}
