"""Checks of rows: they differ, the loss depends on each, and an output depends only on the inputs of its own row."""

import itertools
import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.grad_mode import no_grad
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.nn import Module
from tinygrad_lite.nn.module import in_mode
from tinygrad_lite.training.batches import outputs_of, plain
from tinygrad_lite.training.finding import Finding
from tinygrad_lite.training.loss_behaviour import value_and_slopes
from tinygrad_lite.training.training_run import Loss
from tinygrad_lite.training.trial import Trial, is_real, real_parts


def _influences(trial: Trial, model: Module) -> Iterator[tuple[int, Any]]:
    """For some rows of the outputs, the gradients of one number made of each by all inputs that are real numbers."""
    in_mode(model, False)
    inputs = trees.map_leaves(lambda x: tensor(x, requires_grad=True) if is_real(x) else x, plain(trial.inputs))
    sources = [x for x in trees.leaves(inputs) if isinstance(x, Tensor)]
    outputs = [x for x in trees.leaves(outputs_of(model, inputs)) if isinstance(x, Tensor) and x.requires_grad]
    results = [part for x in outputs for part in real_parts(x)]
    if not sources or any(not x.ndim or len(x) != trial.rows for x in results):
        return
    rng = np.random.default_rng(0)
    weights = [rng.uniform(0.5, 1.5, x.shape[1:]).astype(x.dtype) for x in results]
    for row in trial.some_rows():
        total = sum(np.sum(x[row] * w) for x, w in zip(results, weights))
        for x in sources:
            x.grad = None
        total.backward(retain_graph=True)
        yield row, [np.zeros(x.shape) if x.grad is None else x.grad.numpy() for x in sources]


def rows_differ(trial: Trial) -> Finding | None:
    """Batches of one class, as from sorted data, and inputs that say nothing."""
    for name, tree in (("targets", trial.targets), ("inputs", trial.inputs)):
        arrays = [np.asarray(x) for x in trees.leaves(plain(tree)) if np.ndim(x)]
        if trial.rows > 1 and arrays and all((x == x[:1]).all() for x in arrays):
            value = f": each is {arrays[0][0]}" if arrays[0].ndim == 1 else ""
            return Finding("the rows differ", None, f"the {name} are alike{value}; shuffle the data if they are sorted")
    return None


def rows_count(trial: Trial) -> Finding | None:
    """Rows whose outputs the loss does not depend on: a loss of one row, or of targets of -1 and 1 that gets 0."""
    outputs = [x for x in trees.leaves(plain(trial.outputs)) if is_real(x)]
    if trial.rows < 2 or any(not x.ndim or len(x) != trial.rows for x in outputs):
        return None
    silent = _silent_rows(trial, trial.outputs)
    if silent.all() or not silent.any():  # other checks explain the first
        return None
    try:  # where an output is its target, the slope is 0 there alone
        silent &= _silent_rows(trial, trees.map_leaves(_beside, plain(trial.outputs)))
    except Exception:  # the user's loss refuses these numbers
        return None
    same = ""
    for t in map(np.asarray, trees.leaves(plain(trial.targets))):
        if t.size == trial.rows and len(values := np.unique(t.ravel()[silent])) == 1 and values[0] not in t[~silent]:
            same = f", those with target {values[0]}"
    if not same and 2 * np.sum(silent) < trial.rows:  # a margin or a mask leaves out a few
        return None
    text = f"the loss does not depend on the outputs of {np.sum(silent)} of {trial.rows} rows{same}"
    return Finding("each row counts", None, text)


def _silent_rows(trial: Trial, outputs: Any) -> Any:
    """For each row, whether its outputs have no influence on the loss."""
    slopes = value_and_slopes(trial.copies()[1], outputs, trial.targets)[1:]
    return ~np.any([x.reshape(trial.rows, -1).any(axis=1) for x in slopes], axis=0)


def _beside(x: Any) -> Any:
    """Numbers close to these, of the same sign, and probabilities if these are."""
    return np.where(x == 0, 1e-3, x * (1 - 1e-3)).astype(x.dtype) if is_real(x) else x


def rows_are_independent(trial: Trial) -> Finding | None:
    check = "rows are independent"
    if trial.rows < 2:
        return None
    seen = False
    for row, gradients in _influences(trial, trial.copies()[0]):
        for gradient in gradients:
            seen = True
            others = np.abs(gradient).reshape(trial.rows, -1).max(axis=1, initial=0)
            others[row] = 0
            if others.any():
                if _is_of_pairs(trial):
                    return Finding(check, True, "output [i, j] depends on the inputs of rows i and j alone")
                used = gradient.reshape(trial.rows, -1) != 0
                if not trial.takes_few and (used[used.any(axis=1)] == used[row]).all():
                    return Finding(
                        check, None, f"outputs depend on other rows, but the model takes only all {trial.rows}"
                    )
                other = int(others.argmax())
                return Finding(
                    check,
                    False,
                    f"the output of row {row} depends on row {other} (its gradient is {others[other]:.3g}): an "
                    "operation takes all rows together, such as a softmax or a mean along axis 0",
                )
    if not seen:
        return _rows_replaced(trial, check)
    return Finding(check, True, "in evaluation mode, no output depends on another row's inputs")


def batches_for_samples(model: Module, loss: Loss, sample: Any) -> str:
    """What to do if the model takes a sample of two rows or more as a batch; empty if it does not."""
    inputs, targets = sample
    lengths = {len(x) if np.ndim(x) else 0 for x in trees.leaves((inputs, targets))}
    if len(lengths) > 1 or max(lengths) < 2 or any(np.ndim(x) < 2 for x in trees.leaves(inputs)):
        return ""
    try:
        independent = rows_are_independent(Trial(model, loss, (inputs, targets), None, None))
    except Exception:  # whatever the user's functions raise
        return ""
    if independent is None or not independent.ok:
        return ""
    return (
        f"each sample of these data has {max(lengths)} rows, and the model takes each row by itself. If the samples "
        "are batches, join them, as in inputs = np.concatenate([x for x, _ in batches]), and targets likewise, and "
        "pass (inputs, targets) and batch_size: a list is a list of samples, of which fit makes batches"
    )


def _is_of_pairs(trial: Trial) -> bool:
    """Whether the outputs describe each pair of rows, for example how similar they are."""
    model = in_mode(trial.copies()[0], False)
    inputs = trees.map_leaves(lambda x: tensor(x, requires_grad=True) if is_real(x) else x, plain(trial.inputs))
    sources = [x for x in trees.leaves(inputs) if isinstance(x, Tensor)]
    for result in trees.leaves(outputs_of(model, inputs)):
        if result.shape[:2] != (trial.rows, trial.rows):
            return False
        for i, j in itertools.permutations(trial.some_rows(), 2):
            for x in sources:
                x.grad = None
            sum(np.sum(x) for x in real_parts(result[i, j])).backward(retain_graph=True)
            slopes = [x.grad.data.reshape(trial.rows, -1) for x in sources if x.grad is not None]
            touched = [np.flatnonzero(slope.any(axis=1)) for slope in slopes]
            if not {*np.concatenate([[i], *touched])} <= {i, j}:
                return False
    return True


def _rows_replaced(trial: Trial, check: str) -> Finding:
    """The same for inputs that have no gradient: the output of a row stays if all other rows become equal to it."""
    model = in_mode(trial.copies()[0], False)
    with no_grad():
        before = trees.leaves(plain(outputs_of(model, trial.inputs)))
        if not all(x.ndim and len(x) == trial.rows for x in before):
            return Finding(check, None, "the outputs do not have a row for each row of the inputs")
        for row in trial.some_rows():
            chosen = np.full(trial.rows, row)
            alike = trees.map_leaves(operator.itemgetter(chosen), plain(trial.inputs))
            for x, y in zip(before, trees.leaves(plain(outputs_of(model, alike)))):
                if not np.allclose(x[row], y[row], rtol=1e-6, atol=1e-6 * np.abs(x).max(initial=0)):
                    return Finding(check, False, f"the output of row {row} changes when the other rows do")
    return Finding(check, True, "in evaluation mode, no output depends on another row's inputs")


def inputs_influence_outputs(trial: Trial) -> Finding | None:
    check = "the inputs influence the outputs"
    still: list[Any] = []
    for model in (trial.copies()[0], trial.learned):  # weights that begin at zero let nothing through
        sizes = [gradients for _, gradients in _influences(trial, model)] if model is not None else []
        if not sizes:
            return None
        still = [sum(np.abs(part).sum(axis=0) for part in parts) == 0 for parts in zip(*sizes)]
        if not any(part.any() for part in still):
            return Finding(check, True, "each of them")
    silent, count = sum(int(part.sum()) for part in still), sum(part.size for part in still)
    if silent == count and not trial.has_moved:
        return Finding(check, None, "no output changes with any input, and there is nothing to learn from this loss")
    if silent == count:
        return Finding(check, False, "no output changes with any input, also after some steps of training")
    columns = ", ".join(map(str, np.flatnonzero(still[0])[:8])) if still[0].ndim == 1 else ""
    return Finding(
        check, None, f"{silent} of {count} entries of a row do not" + (f": columns {columns}" * bool(columns))
    )
