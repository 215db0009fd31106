"""`fit`: the training loop, as one would write it by hand."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.data.loader import DataLoader
from tinygrad_lite.engine.grad_mode import enable_grad, no_grad
from tinygrad_lite.errors import UsageError, warn
from tinygrad_lite.foundation.entrances import advised
from tinygrad_lite.foundation.progress import progress
from tinygrad_lite.foundation.settings import whole
from tinygrad_lite.foundation.whole_files import check_folder
from tinygrad_lite.nn import Module
from tinygrad_lite.nn.module import in_mode
from tinygrad_lite.optim import Adam, Optimizer
from tinygrad_lite.training.argument_checks import (
    check_clip_norm,
    check_counts,
    check_model,
    check_parts,
    check_validation,
)
from tinygrad_lite.training.batches import loader_of
from tinygrad_lite.training.checkpoints import load, save
from tinygrad_lite.training.evaluation import about, evaluated
from tinygrad_lite.training.faults import FaultFinder
from tinygrad_lite.training.history import History
from tinygrad_lite.training.interrupts import BetweenSteps
from tinygrad_lite.training.metrics import Metric, metrics_of
from tinygrad_lite.training.row_checks import batches_for_samples
from tinygrad_lite.training.training_run import Loss, Training, compiled_step
from tinygrad_lite.training.verification import try_batch, verify_training


@advised
def fit(
    model: Module,
    loss: Loss,
    data: Any,
    *,
    epochs: int,
    batch_size: int | None = None,
    optimizer: Optimizer | None = None,
    scheduler: Any = None,
    validation: Any = None,
    metrics: Iterable[str] | Mapping[str, Metric] = (),
    patience: int | None = None,
    clip_norm: float | None = None,
    accumulate: int = 1,
    compile: bool | str = False,
    verify: bool = True,
    checkpoint: str | os.PathLike[str] | None = None,
    callbacks: Sequence[Callable[[Training], Any]] = (),
    rng: int | np.random.Generator | None = None,
) -> History:
    """Train a module: for each epoch and each step, descend the mean of loss(model(inputs), targets) over its batches.

    Ctrl-C ends the training after the current step, as its last epoch does: the history is returned, and the best
    weights are restored. A second one ends it at once.

    Args:
        data: a pair (inputs, targets) of arrays or containers of arrays, which are shuffled; a dataset of such pairs;
            or a `DataLoader`. Inputs that are a tuple are several arguments of the model, those in a dict by name.
        epochs: how many epochs are trained in all.
        batch_size: the number of rows in a batch, 32 by default.
        optimizer: Adam of all parameters by default.
        scheduler: a schedule of the learning rate. It counts epochs, but `OneCycleLR` and `CyclicLR` count steps.
        validation: data to measure the loss and the metrics on, after each epoch and in evaluation mode; arrays, a
            dataset or a `DataLoader`, as the data are.
        metrics: names among accuracy, balanced_accuracy, f1, auc, mse, mae and r2, computed by scikit-learn; or a dict
            of functions of (targets, outputs).
        patience: the number of epochs without a smaller validation loss (or loss, without validation) after which the
            training stops, and the weights of the best epoch are restored.
        clip_norm: the largest norm of the gradient, as one vector.
        accumulate: the number of batches whose mean gradient makes one step.
        compile: whether the step is compiled, or the name of the backend.
        verify: whether `verify_training` looks at the model before the first epoch.
        checkpoint: a file that is written after each epoch. If it is there already, the training goes on from it, and
            ends as if it had never stopped.
        callbacks: functions that are called with the `Training` after each epoch; one that returns True stops it.
        rng: a seed or a generator for the order of the data.

    Raises:
        AnomalyError: if the loss or a parameter is not finite; the message names the operation and its line. The model
            and everything else is then as it was before that epoch, or before an earlier one if epochs are short.
        EmptyError: if there are no data.
        FileError: if the checkpoint cannot be read or written.
        InputError: if a number is out of its range.
        UsageError: if the data are not pairs, an argument has the wrong type, the scheduler is of another optimiser, or
            there are metrics without validation.
        VerificationError: if the verification finds a fault; nothing has changed then.

    Example:
        >>> import tinygrad_lite as tg
        >>> x, y = tg.datasets.load_heart(return_X_y=True)
        >>> x, y = (x - x.mean(axis=0)) / x.std(axis=0), y[:, None].astype(float)
        >>> model = tg.nn.Sequential(tg.nn.Linear(13, 8, rng=0), tg.nn.ReLU(), tg.nn.Linear(8, 1, rng=1))
        >>> loss = tg.nn.functional.binary_cross_entropy_with_logits
        >>> history = fit(model, loss, (x[:200], y[:200]), epochs=20, validation=(x[200:], y[200:]), rng=0)
        >>> history["loss"][0] > history["loss"][-1]
        True
    """
    whole("epochs", epochs)
    whole("accumulate", accumulate)
    check_counts(patience=patience)
    check_clip_norm(clip_norm)
    check_model(model, loss)
    check_parts(model, optimizer, scheduler, callbacks)
    check_validation(validation)
    loader = loader_of(data, batch_size, rng)
    held_out = None if validation is None else _held_out(validation, loader)
    measures = metrics_of(metrics, loss)
    if measures and held_out is None:
        raise UsageError("metrics are measured on data that were held out: pass validation=(inputs, targets)")
    resumes = checkpoint is not None and os.path.exists(checkpoint)
    if checkpoint is not None:
        check_folder(checkpoint)
    if verify and not resumes:
        _verify(model, loss, loader, held_out, optimizer, clip_norm)
    optimizer = Adam(model.parameters()) if optimizer is None else optimizer
    training = Training(model, loss, optimizer, loader, scheduler, clip_norm, accumulate)
    history, faults = training.history, FaultFinder(training)
    step = compiled_step(training, compile) if compile else training.step
    saved = {"model": model, "optimizer": optimizer, "loader": loader, "history": history, "scheduler": scheduler}
    if _changes(loss):
        saved["loss"] = loss
    if checkpoint is not None and resumes:
        load(checkpoint, **saved)
    keeps_best = patience is not None or held_out is not None
    was_training = model.training
    try:
        with BetweenSteps() as interrupts, enable_grad(), progress(epochs, len(history), "epoch") as show:
            while not (history.ending or history.is_over(epochs, patience)):
                record = _epoch(training, interrupts.before(step), faults, held_out, measures)
                training.count_epoch(record)
                if history.add(record) and keeps_best:
                    history.best_state = model.state_dict()
                if checkpoint is not None:
                    optimizer.zero_grad()  # the gradients have been used: there is no need to save them
                    save(checkpoint, **saved)
                show(1, record)
                history.ending = "callback" if _is_stopped(training, callbacks) else ""
    except KeyboardInterrupt:
        history.ending = "interrupt"
    finally:
        if not was_training:
            in_mode(model, False)
    if history.best_state is not None and (patience is not None or history.ending == "interrupt"):
        model.load_state_dict(history.best_state)
    return history


def _verify(
    model: Module,
    loss: Loss,
    loader: DataLoader,
    held_out: DataLoader | None,
    optimizer: Optimizer | None,
    clip_norm: float | None,
) -> None:
    """Let `verify_training` look at the first batch; try the last one, if it is smaller, and one of the validation."""
    loader.dataset.check_finite()
    if held_out is not None:
        with about("the validation data"):
            held_out.dataset.check_finite()
    rows, size = len(loader.dataset), loader.batch_size
    first = loader.dataset.take(np.arange(min(rows, size)))
    sample = trees.map_leaves(lambda x: x[0], first)
    advice = batches_for_samples(model, loss, sample) if loader.dataset.stacks else ""
    try:
        verify_training(model, loss, first, optimizer=optimizer, clip_norm=clip_norm)
    except Exception as error:  # also of the user's functions, which get more axes than they take
        if advice:
            raise UsageError(advice) from error
        raise
    if advice:
        warn(advice)
    if len(loader) > 1 and not loader.drop_last and rows % size:
        try_batch(model, loss, loader.dataset.take(np.arange(rows % size)))
    if held_out is not None:
        with about("the validation data"), no_grad():
            held_rows = np.arange(min(len(held_out.dataset), held_out.batch_size))
            try_batch(model, loss, held_out.dataset.take(held_rows), in_training=False)


def _held_out(validation: Any, loader: DataLoader) -> DataLoader:
    """The batches of the validation data, in order, as large as those of the training."""
    with about("the validation data"):
        size = None if isinstance(validation, DataLoader) else loader.batch_size
        return loader_of(validation, size, shuffle=False)


def _epoch(
    training: Training,
    step: Callable[..., Any],
    faults: FaultFinder,
    held_out: DataLoader | None,
    measures: Mapping[str, Metric],
) -> dict[str, Any]:
    """Train one epoch, and return its record: the mean loss of its rows, and what is measured after it."""
    began = perf_counter()
    faults.begin_epoch()
    losses, rows = zip(*training.epoch(step))
    mean = float(np.dot([float(value) for value in losses], rows)) / sum(rows)
    faults.end_epoch(mean)
    record = {"epoch": len(training.history) + 1, "loss": mean}
    if held_out is not None:
        record |= evaluated(training.model, training.loss, held_out, measures)
    return record | {"lr": training.optimizer.param_groups[0]["lr"], "seconds": perf_counter() - began}


def _is_stopped(training: Training, callbacks: Sequence[Callable[[Training], Any]]) -> bool:
    """Call each callback, and return whether one of them returned True."""
    answers = [callback(training) for callback in callbacks]
    return any(isinstance(answer, (bool, np.bool_)) and answer for answer in answers)


def _changes(loss: Loss) -> bool:
    """Whether a loss has a state that a training may change, as this package's own do not have."""
    if not isinstance(loss, Module) or type(loss).__module__.startswith("tinygrad_lite."):
        return False
    return bool(loss.state_dict()) or any(True for _ in loss.named_generators())
