"""`verify_training`: faults of a model, its loss and its data that can be found in a second, before the first epoch."""

import warnings
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np

from tinygrad_lite.engine.grad_mode import enable_grad
from tinygrad_lite.errors import VerificationError
from tinygrad_lite.nn import Module
from tinygrad_lite.nn.module import in_mode
from tinygrad_lite.optim import Optimizer
from tinygrad_lite.training.argument_checks import check_batch, check_model
from tinygrad_lite.training.batches import Batch, outputs_of
from tinygrad_lite.training.finding import Finding
from tinygrad_lite.training.first_checks import (
    dtypes_stay,
    gradients_arrive,
    loss_at_start,
    parameters_are_known,
    targets_fit,
)
from tinygrad_lite.training.learning_checks import (
    few_rows_can_be_learned,
    first_steps_do_not_diverge,
    outputs_are_logits,
)
from tinygrad_lite.training.row_checks import inputs_influence_outputs, rows_are_independent, rows_count, rows_differ
from tinygrad_lite.training.training_run import Loss
from tinygrad_lite.training.trial import Trial

_CHECKS = (
    targets_fit,
    rows_differ,
    rows_count,
    loss_at_start,
    dtypes_stay,
    parameters_are_known,
    few_rows_can_be_learned,
    outputs_are_logits,
    first_steps_do_not_diverge,
    gradients_arrive,
    rows_are_independent,
    inputs_influence_outputs,
)
"""The cheap ones first; the last two also look at the model that has learned a few rows."""

_OF_COPIES = (few_rows_can_be_learned, first_steps_do_not_diverge, gradients_arrive)
"""Those that prove nothing if the loss uses the model itself, whose copy they train."""


@dataclass(frozen=True)
class Verification:
    """What `verify_training` found, check by check."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        return all(finding.ok is not False for finding in self.findings)

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings))


def verify_training(
    model: Module,
    loss: Loss,
    batch: Batch,
    *,
    optimizer: Optimizer | None = None,
    clip_norm: float | None = None,
    raise_exception: bool = True,
) -> Verification:
    """Look for faults on one batch, with copies of the model and the loss, which stay as they are.

    - The data are finite, and the loss does not compare each output with each target.
    - The loss is a finite number, and at the start no worse than the number of classes says, -log(1/k).
    - Numbers keep the dtype of the parameters.
    - Every parameter gets a gradient, by `audit_gradients`, which says why if one does not, and all that the outputs
      are computed with are the model's.
    - The inputs influence the outputs.
    - The outputs of one row do not depend on the other rows, in evaluation mode, by gradients.
    - A few rows can be learned: their loss falls.
    - The first steps of the optimiser do not make the loss larger and larger.
    - Rows differ, and the loss depends on most of them.

    Args:
        batch: a pair, the inputs and the targets of a few rows.
        optimizer: what will train the model; its parameters may differ from the model's.
        clip_norm: the largest norm of the gradient, as in `fit`.
        raise_exception: whether a failed check is an error.

    Raises:
        VerificationError: if a check failed.
        UsageError: if the model, the loss or the batch has the wrong type.

    Example:
        >>> import tinygrad_lite as tg
        >>> model = tg.nn.Sequential(tg.nn.Linear(4, 3, rng=0), tg.nn.Softmax(axis=0))
        >>> x = np.random.default_rng(0).normal(size=(8, 4))
        >>> found = verify_training(model, tg.nn.MSELoss(), (x, x[:, :3]), raise_exception=False)
        >>> [finding.check for finding in found.findings if finding.ok is False]
        ['rows are independent']
    """
    check_model(model, loss)
    check_batch(batch)
    with enable_grad(), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the checks below report these errors themselves
        try:
            deepcopy((model, loss))
        except Exception as error:  # whatever the user's objects raise
            unseen = Finding("the model can be copied", None, f"no, so nothing was looked at: {error}")
            return Verification((unseen,))
        result = Verification(tuple(_findings(Trial(model, loss, batch, optimizer, clip_norm))))
    if raise_exception and not result.ok:
        failed = [str(finding) for finding in result.findings if finding.ok is False]
        raise VerificationError("\n".join(["verify=False would train all the same, but", *failed]))
    return result


def try_batch(model: Module, loss: Loss, batch: Batch, in_training: bool = True) -> None:
    """Let copies of a model and a loss raise the error that they would raise for this batch."""
    try:
        model, loss = deepcopy((model, loss))
    except Exception:  # whatever the user's objects raise
        return
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss(outputs_of(in_mode(model, in_training), batch[0]), batch[1])


def _findings(trial: Trial) -> Iterator[Finding]:
    """The result of each check that applies."""
    for check in _CHECKS:
        if finding := check(trial):
            if finding.ok is False and check in _OF_COPIES and trial.loss_uses_model:
                text = f"{finding.text}; but the loss uses the model itself, and this checks a copy"
                finding = replace(finding, ok=None, text=text)
            yield finding
        if check is parameters_are_known and finding and finding.ok is None:
            return  # the other checks look at copies, which are not such a model
