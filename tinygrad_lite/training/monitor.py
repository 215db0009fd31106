"""`Monitor`: how the gradients of a training behave from epoch to epoch."""

from copy import deepcopy
from typing import Any

import numpy as np

from tinygrad_lite.checking.auditing.audit import AuditedParameter, Status, audit_gradients
from tinygrad_lite.errors import MissingExtraError, UsageError
from tinygrad_lite.training.argument_checks import check_counts
from tinygrad_lite.training.batches import outputs_of
from tinygrad_lite.training.training_run import Training


class Monitor:
    """A callback that looks at the gradients of the latest batch, with copies, so that it does not affect the training.

    Attributes:
        records: for each epoch and parameter a dict: "epoch", "parameter", the norms "gradient_norm" and "weight_norm",
            "update_ratio" (|Δw| / |w| of the next step; about 1/1000 is usual), the "status" that `audit_gradients`
            gives, and the share of "dead_units", whose gradient is 0.
        messages: what is wrong, and why, each reported at the first epoch that has it.

    Args:
        every: 1 looks at each epoch, 2 at each second one, and so on.

    Example:
        >>> import tinygrad_lite as tg
        >>> model = tg.nn.Linear(2, 1, rng=0)
        >>> x = np.random.default_rng(0).normal(size=(50, 2))
        >>> monitor = tg.training.Monitor()
        >>> history = tg.fit(model, tg.nn.MSELoss(), (x, x[:, :1]), epochs=3, callbacks=[monitor], rng=0)
        >>> [record["epoch"] for record in monitor.records], monitor.messages
        ([1, 1, 2, 2, 3, 3], [])
    """

    def __init__(self, every: int = 1) -> None:
        check_counts(every=every)
        self.every = every
        self.records: list[dict[str, Any]] = []
        self.messages: list[str] = []
        self._told: set[tuple[str, Status]] = set()

    def __repr__(self) -> str:
        return f"Monitor(every={self.every}, records={len(self.records)}, messages={len(self.messages)})"

    def __call__(self, training: Training) -> None:
        """Look at the latest batch of a training."""
        epoch = len(training.history)
        if epoch % self.every:
            return
        model, loss = deepcopy((training.model, training.loss))
        inputs, targets = training.batches[-1]
        audit = audit_gradients(model, lambda: loss(outputs_of(model, inputs), targets))
        ratios = _update_ratios(training)
        for parameter in audit:
            self.records.append(
                {
                    "epoch": epoch,
                    "parameter": parameter.path,
                    "gradient_norm": parameter.gradient_norm,
                    "weight_norm": parameter.weight_norm,
                    "update_ratio": ratios.get(parameter.path),
                    "status": str(parameter.status),
                    "dead_units": _dead(parameter),
                }
            )
            about = parameter.path, parameter.status
            if parameter.status not in (Status.FINE, Status.FROZEN) and about not in self._told:
                self._told.add(about)
                self.messages.append(f"epoch {epoch}: {parameter.path} is {parameter.status}: {parameter.cause}")

    def frame(self) -> Any:
        """The records as a frame of pandas."""
        try:
            import pandas as pd
        except ImportError:
            raise MissingExtraError("Monitor.frame()", "pandas", "examples") from None
        return pd.DataFrame(self.records)


def _update_ratios(training: Training) -> dict[str, float]:
    """The size of the next step beside that of each weight, by the gradients of the latest step."""
    named = {path: w for path, w in training.model.named_parameters() if w.grad is not None}
    try:
        after = training.optimizer.preview({w: (w.data, w.grad.data) for w in named.values() if w.grad is not None})
    except UsageError:  # the optimiser has no formula for one parameter alone
        return {}
    return {
        path: float(np.linalg.norm(after[w] - w.data) / max(float(np.linalg.norm(w.data)), 1e-300))
        for path, w in named.items()
        if w in after
    }


def _dead(parameter: AuditedParameter) -> float:
    if parameter.status is Status.ZERO:
        return 1.0
    if parameter.status is not Status.PARTLY_ZERO or parameter.units is None:
        return 0.0
    return len(parameter.units.indices) / parameter.shape[parameter.units.axis]
