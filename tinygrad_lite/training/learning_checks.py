"""Checks that train: a model learns a few rows by heart, and its optimiser takes its first steps."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.checking.auditing.anomaly import detect_anomaly
from tinygrad_lite.engine.grad_mode import no_grad
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import AnomalyError
from tinygrad_lite.nn import Module
from tinygrad_lite.nn.module import in_mode
from tinygrad_lite.nn.utils import clip_grad_norm_
from tinygrad_lite.optim import Adam, Optimizer
from tinygrad_lite.training.batches import Batch, count_of, outputs_of, plain
from tinygrad_lite.training.finding import Finding
from tinygrad_lite.training.loss_behaviour import flees, takes_probabilities_for_logits
from tinygrad_lite.training.training_run import Loss
from tinygrad_lite.training.trial import Trial, is_real

STEPS = 60  # with each rate; fewer would not show a loss that falls below 0
RATES = 0.03, 0.003
SURE = 8  # losses in a row that must be lower, since some models draw random numbers
FIRST_STEPS = 10  # of the optimiser, after which a loss that grows without end has grown by far more than BEYOND
BEYOND = 1000
GROWS = 1.5  # weights ten times as large make outputs more than this times as large, unless something bounds them


@dataclass
class _Course:
    """How far the loss of a few rows fell.

    Attributes:
        first: the loss before the first step.
        best: the lowest loss at the end of the steps with one learning rate.
        steps: how many steps led to the best.
        falls_on: whether it fell below 0 there, ever faster.
        outputs: those of the latest step.
        has_slope: whether the gradient of the latest step is not all zero.
    """

    first: float = np.nan
    best: float = np.inf
    steps: int = 0
    falls_on: bool = False
    outputs: Any = None
    has_slope: bool = False


def few_rows_can_be_learned(trial: Trial) -> Finding:
    """Train copies of the model on a few rows, until their loss has fallen."""
    course = _trained(trial)
    first, best = course.first, course.best
    check = f"{count_of(trial.few)} rows can be learned"
    said = f"in {course.steps} steps, their loss went from {first:.3g} to {best:.3g}"
    if trial.learned is not None and (course.falls_on or best < min(-100 * abs(first), 0)):
        said = f"{said}, further and further below 0"
        if _outputs_flee(trial, trial.learned):
            return Finding(check, False, f"{said}, and outputs move away from their targets: its sign is wrong")
        return Finding(check, None, f"{said}: is its sign right?")
    if best < first - 0.1 * abs(first) or first == 0:
        return Finding(check, True, said)
    if bounds := _if_it_runs(_out_of_reach, trial):
        return Finding(check, False, f"{said}: {bounds}")
    reached, wanted = _largest(course.outputs), _largest(trial.few[1])
    if wanted > 100 * reached:
        said = f"{said}: targets reach {wanted:.3g}, and outputs {reached:.3g}: standardise the targets"
    if best < first - 1e-4 * abs(first) and course.has_slope:
        return Finding(check, None, said)
    for scale in (1, 10, 100) if trial.has_moved else ():
        if descent := _if_it_runs(_descent, trial, scale):
            return Finding(check, None, f"{said}; {descent}")
    return Finding(
        check,
        False,
        f"{said}: it does not fall, whatever the learning rate ({', '.join(map(str, RATES))}): the outputs do not "
        "reach the targets, for example behind a sigmoid, dead units or weights of zero, or the loss does not depend "
        "on them",
    )


def _trained(trial: Trial) -> _Course:
    """Train a copy of the model by each learning rate, until a loss has fallen; the best copy is `trial.learned`."""
    course = _Course()
    for rate in RATES:
        model, losses = _steps(trial, rate, course)
        if np.isnan(course.first):
            course.first = losses[0]
        last = float(np.mean(losses[-3:]))
        if last < course.best:
            course.best, course.steps, trial.learned = last, len(losses), model
            half = losses[STEPS // 2]
            course.falls_on = last < losses[0] <= 0 and 2 * (half - last) > losses[0] - half
        if _has_fallen(losses):
            break
    return course


def _steps(trial: Trial, rate: float, course: _Course) -> tuple[Module, list[float]]:
    """A copy of the model after some steps by this learning rate, and the loss before each of them."""
    model, loss = trial.copies()
    losses: list[float] = []
    for course.outputs, value in _stepping(model, loss, trial.few, Adam(model.parameters(), lr=rate), STEPS):
        course.has_slope = any(w.grad is not None and np.any(w.grad.data) for w in model.parameters())
        trial.has_moved = trial.has_moved or course.has_slope
        losses.append(value)
    return model, losses


def _stepping(
    model: Module, loss: Loss, batch: Batch, optimizer: Optimizer, count: int, clip_norm: float | None = None
) -> Iterator[tuple[Any, float]]:
    """Make this many steps; the outputs and the loss of each, before the optimiser uses its gradients."""
    inputs, targets = batch
    for _ in range(count):
        optimizer.zero_grad()
        outputs = outputs_of(model, inputs)
        value = loss(outputs, targets)
        value.backward()
        yield outputs, float(value)
        if clip_norm is not None:
            clip_grad_norm_(optimizer.parameters, clip_norm)
        optimizer.step()


def _outputs_flee(trial: Trial, learned: Module) -> bool:
    """Whether the outputs went away from the targets while the model learned."""
    inputs, targets = trial.few
    with no_grad():
        before, after = (outputs_of(model, inputs) for model in (trial.copies()[0], learned))
    return flees(before, after, targets)


def _largest(x: Any) -> float:
    """The largest size of a real number in nested containers."""
    return max((np.abs(part).max(initial=0) for part in trees.leaves(plain(x)) if is_real(part)), default=0)


def _has_fallen(losses: list[float]) -> bool:
    """Whether the last losses are all less than half of the first, and none is below 0, where they may fall forever."""
    return min(losses) >= 0 and 2 * max(losses[-SURE:]) < losses[0]


def _if_it_runs(look: Callable[..., str], *args: Any) -> str:
    """The result of a check with other weights; nothing if the model or its loss refuses such weights."""
    try:
        return look(*args)
    except Exception:
        return ""


def _descent(trial: Trial, scale: int) -> str:
    """How far gradient descent with growing steps lowers the loss, from weights moved by this times their size.

    It lowers the loss even from the bottom of a valley, and where numbers are large, but not where outputs are fixed.
    """
    (inputs, targets), (model, loss) = trial.few, trial.copies()
    weights = _move(model, scale, np.random.default_rng(0))
    here, slopes = [w.data for w in weights], [np.zeros(w.shape) for w in weights]
    rate, lowest, start = 0.0, np.inf, np.nan
    for _ in range(2 * STEPS):
        for w, place, slope in zip(weights, here, slopes):
            w.replace((place - rate * slope).astype(w.dtype))
            w.grad = None
        value = loss(outputs_of(model, inputs), targets)
        if float(value) < lowest:
            value.backward()
            here, lowest = [w.data for w in weights], float(value)
            slopes = [np.zeros(w.shape) if w.grad is None else w.grad.data for w in weights]
            start = lowest if np.isnan(start) else start
            rate = 2 * rate or 0.1 / max(np.sqrt(sum(np.sum(slope**2) for slope in slopes)), np.finfo(float).tiny)
        else:
            rate /= 4
    fell = start - lowest > 0.1 * abs(start) and any(map(np.any, slopes))
    return f"from weights moved at random, gradient descent takes it from {start:.3g} to {lowest:.3g}" if fell else ""


def _move(model: Module, scale: float, rng: np.random.Generator) -> list[Tensor]:
    """Move the weights of a model at random by this times their size, and return them."""
    weights = [w for w in model.parameters() if w.requires_grad]
    for w in weights:
        w.replace(w.data + (rng.normal(size=w.shape) * scale * (np.sqrt(np.mean(w.data**2)) or 1)).astype(w.dtype))
    return weights


def _out_of_reach(trial: Trial) -> str:
    """Targets beyond the bounds of the outputs, as they are behind a ReLU or a sigmoid; empty if there are none."""
    rng, ranges = np.random.default_rng(0), []
    for scale in (10, 100):
        drawn = [trial.copies()[0] for _ in range(4)]
        for model in drawn:
            _move(model, scale, rng)
        with no_grad():
            outputs = [trees.leaves(plain(outputs_of(model, trial.few[0]))) for model in drawn]
        ranges.append([(np.min(y, initial=np.inf), np.max(y, initial=-np.inf)) for y in map(np.array, zip(*outputs))])
    for y, (low, high), (lowest, highest), t in zip(outputs[0], *ranges, trees.leaves(plain(trial.few[1]))):
        if is_real(t) and np.shape(y) == t.shape:
            is_below = np.min(t) < lowest >= GROWS * min(low, 0)
            if is_below or np.max(t) > highest <= GROWS * max(high, 0):
                never = f"below {lowest:.3g}" if is_below else f"above {highest:.3g}"
                return (
                    f"outputs never go {never}, however large the weights are, and targets go from {np.min(t):.3g} to "
                    f"{np.max(t):.3g}: leave out what bounds the outputs, such as a last ReLU or sigmoid, or scale the "
                    "targets"
                )
    return ""


def first_steps_do_not_diverge(trial: Trial) -> Finding | None:
    """Let a copy of the optimiser train a copy of the model on the batch; on fewer rows, it would diverge sooner."""
    check = "the optimiser trains the model"
    if trial.optimizer is None:
        return None
    try:
        model, optimizer, losses = _first_steps(trial, trial.optimizer)
    except Exception:  # it may need a closure, or be of a user's class that cannot be copied
        return None
    rates = sorted({float(group["lr"]) for group in optimizer.param_groups if group.get("lr") is not None})
    said = f"{type(optimizer).__name__} with a rate of {', '.join(f'{rate:.3g}' for rate in rates)}"
    limit = BEYOND * max(abs(losses[0]), 1)
    if np.isfinite(losses[0]) and not np.max(losses) <= limit:
        said = f"{said} takes the loss from {losses[0]:.3g} to {np.max(losses):.3g} in {FIRST_STEPS} steps"
        if not any(limit < value < np.inf for value in losses):  # one that has grown explains the NaN after it
            try:
                with detect_anomaly():
                    _first_steps(trial, trial.optimizer)
            except AnomalyError as error:
                return Finding(check, False, f"{said}: {error}")
        recovers = losses[-1] <= limit
        return Finding(
            check, None if recovers else False, f"{said}: choose a smaller rate or weight decay, or clip_norm=1"
        )
    if not any(w.grad is not None and np.any(w.grad.data) for w in optimizer.parameters):
        return None
    if all(np.array_equal(w.data, start.data) for w, start in zip(optimizer.parameters, trial.optimizer.parameters)):
        return Finding(check, None, f"{said} has not changed any parameter in {FIRST_STEPS} steps")
    known = {*map(id, optimizer.parameters)}
    others = [path for path, w in model.named_parameters() if w.requires_grad and id(w) not in known]
    text = f"it leaves out {', '.join(others[:8])}: pass them to it, or freeze them by requires_grad_(False)"
    return Finding(check, None, text) if others else None


def _first_steps(trial: Trial, optimizer: Optimizer) -> tuple[Module, Optimizer, list[float]]:
    """Copies of the model and the optimiser after some steps, and the loss before each of them."""
    model, loss, optimizer = deepcopy((*trial.originals, optimizer))
    batch = trial.inputs, trial.targets
    steps = _stepping(in_mode(model, True), loss, batch, optimizer, FIRST_STEPS, trial.clip_norm)
    return model, optimizer, [value for _, value in steps]


def outputs_are_logits(trial: Trial) -> Finding | None:
    """Probabilities in place of logits."""
    (inputs, targets), loss = trial.few, trial.copies()[1]
    if trial.learned is None:
        return None
    with no_grad():
        start, learned = (outputs_of(model, inputs) for model in (trial.copies()[0], trial.learned))
        applied = takes_probabilities_for_logits(loss, start, learned, targets)
    if not applied:
        return None
    text = f"the loss applies {applied}, and the outputs are probabilities already: leave out the model's own {applied}"
    return Finding("the loss at the start", False, text)
