"""The cause of a training that fails: the first number that is not finite, found by running its epoch again."""

import collections
from math import isfinite
from time import perf_counter
from typing import Any, NoReturn

import numpy as np

from tinygrad_lite.checking.auditing.anomaly import detect_anomaly
from tinygrad_lite.errors import AnomalyError
from tinygrad_lite.training.batches import Batch
from tinygrad_lite.training.snapshot import Snapshot
from tinygrad_lite.training.training_run import Training

_SHARE = 0.003  # of the time that snapshots may take


class FaultFinder:
    """Names the operation of the first value or gradient that is not finite.

    It keeps a snapshot of the start of an epoch, and takes a new one when that costs little compared to the time since.
    """

    def __init__(self, training: Training) -> None:
        self._training = training
        self._snapshot: Snapshot | None = None
        self._epoch = 0
        self._taken = self._cost = 0.0
        self._place = 0, 0

    def begin_epoch(self) -> None:
        """Keep the state at the start of an epoch, if it is time."""
        training, now = self._training, perf_counter()
        if self._snapshot is None or (now - self._taken) * _SHARE > self._cost:
            parts = training.model, training.loss, training.optimizer, training.scheduler, training.loader
            self._snapshot, self._epoch = Snapshot(*parts), len(training.history)
            self._taken = perf_counter()
            self._cost = self._taken - now

    def end_epoch(self, loss: float) -> None:
        """Look for numbers that are not finite.

        Raises:
            AnomalyError: if there are some.
        """
        if isfinite(loss) and all(isfinite(np.add.reduce(w.data, None)) for w in self._training.optimizer.parameters):
            return
        self._name_the_first()

    def _name_the_first(self) -> NoReturn:
        training, snapshot = self._training, self._snapshot
        assert snapshot is not None
        last = len(training.history) + 1
        snapshot.restore()
        try:
            with detect_anomaly():
                for epoch in range(self._epoch + 1, last + 1):
                    self._place = epoch, 0
                    collections.deque(training.epoch(self._checked_step), maxlen=0)
        except AnomalyError as error:
            epoch, step = self._place
            raise AnomalyError(f"in epoch {epoch}, step {step}: {error}") from None
        finally:
            snapshot.restore()
        raise AnomalyError(
            f"a loss or a parameter of epoch {last} was not finite, but was finite when the epoch ran once more: "
            "something that the training depends on is not in the state of its parts"
        )

    def _checked_step(self, *batches: Batch) -> Any:
        training = self._training
        epoch, step = self._place
        self._place = epoch, step + 1
        value = training.step(*batches)
        for path, w in training.model.named_parameters():
            if not np.all(np.isfinite(w.data)):
                raise AnomalyError(
                    f"the step of {training.optimizer} made {path} infinite or NaN, although its gradient was finite: "
                    "lower the learning rate, or pass clip_norm"
                )
        return value
