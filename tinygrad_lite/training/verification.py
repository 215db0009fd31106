"""`verify_training`: faults of a model, its loss and its data that can be found in a second, before the first epoch."""

import operator
import warnings
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.checking.anomaly import detect_anomaly
from tinygrad_lite.checking.audit import GradientAudit, Status, audit_gradients
from tinygrad_lite.engine.grad_mode import no_grad
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.errors import AnomalyError, UsageError, VerificationError
from tinygrad_lite.nn import Module, functional
from tinygrad_lite.optim import Adam
from tinygrad_lite.training.batches import Batch, count_of, outputs_of, plain
from tinygrad_lite.training.requirements import check_batch, check_model
from tinygrad_lite.training.run import Loss, function_of

FEW = 8  # rows that a model must be able to learn by heart
STEPS = 60  # with each rate; fewer would not show a loss that falls below 0
RATES = 0.03, 0.003
SURE = 8  # losses in a row that must be lower, since some models draw random numbers


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        check: what should be.
        ok: whether it is; None if that could not be found out.
        text: what was measured, and why it is wrong.
    """

    check: str
    ok: bool | None
    text: str

    def __str__(self) -> str:
        sign = {True: "✓", False: "✗", None: "?"}[self.ok]
        return f"{sign} {self.check}: {self.text}"


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


def verify_training(model: Module, loss: Loss, batch: Batch, *, raise_exception: bool = True) -> Verification:
    """Look for faults on one batch, with copies of the model and the loss, which stay as they are.

    - The data are finite, and targets do not broadcast against outputs.
    - The loss is a finite number, and at the start no worse than the number of classes says, -log(1/k).
    - Numbers keep the dtype of the parameters.
    - Every parameter gets a gradient, by `audit_gradients`, which says why if one does not.
    - The inputs influence the outputs.
    - The outputs of one row do not depend on the other rows, in evaluation mode, by gradients.
    - A few rows can be learned: their loss falls.

    Args:
        batch: a pair, the inputs and the targets of a few rows.
        raise_exception: whether a failed check is an error.

    Raises:
        VerificationError: if a check failed.
        UsageError: if the model, the loss or the batch is of another kind.

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
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they would say is found and said here
        result = Verification(tuple(_Look(model, loss, batch).findings()))
    if raise_exception and not result.ok:
        failed = [str(finding) for finding in result.findings if finding.ok is False]
        raise VerificationError("\n".join(["verify=False would train all the same, but", *failed]))
    return result


class _Look:
    """Copies of a model and a loss, and what they make of a batch."""

    def __init__(self, model: Module, loss: Loss, batch: Batch) -> None:
        self._given = model, loss
        self.inputs, self.targets = batch
        self.rows = count_of(batch)
        self.model, self.loss = self._copies()
        self.model.train()
        self.outputs = outputs_of(self.model, self.inputs)
        self.value = self._checked(self.loss(self.outputs, self.targets))
        self.learned: Module | None = None

    def _copies(self) -> tuple[Module, Loss]:
        return deepcopy(self._given)

    def findings(self) -> Iterator[Finding]:
        """The result of each check that applies, in an order in which the cheap ones come first."""
        for check in (_shapes, _start, _dtypes, _learning, _gradients, _rows, _influence):
            if found := check(self):
                yield found

    def some_rows(self) -> set[int]:
        """The first row, one in the middle, and the last one."""
        return {0, self.rows // 2, self.rows - 1}

    @staticmethod
    def _checked(value: Any) -> Tensor:
        if not isinstance(value, Tensor) or value.size != 1 or not value.requires_grad:
            was = repr(value) if not isinstance(value, Tensor) else f"a tensor of shape {value.shape}"
            history = " without a history" if isinstance(value, Tensor) and not value.requires_grad else ""
            raise UsageError(
                f"the loss must be a tensor of one number that depends on the parameters, got {was}{history}: leave "
                "out float(), item(), numpy() and detach(), and reduce it to its mean, say"
            )
        return value


def _shapes(look: _Look) -> Finding | None:
    outputs, targets = look.outputs, look.targets
    if isinstance(outputs, Tensor) and hasattr(targets, "shape") and outputs.shape != targets.shape:
        try:
            both = np.broadcast_shapes(outputs.shape, targets.shape)
        except ValueError:
            return None
        if np.prod(both) > max(outputs.size, np.size(targets)):
            return Finding(
                "targets fit outputs",
                False,
                f"outputs of shape {outputs.shape} and targets of shape {targets.shape} broadcast to {both}, each "
                "output against each target: pass targets[:, None], or outputs[:, 0] from the model",
            )
    return Finding("targets fit outputs", True, f"{_shape(outputs)} and {_shape(targets)}")


def _start(look: _Look) -> Finding:
    check, value = "the loss at the start", float(look.value)
    if not np.isfinite(value):
        return Finding(check, False, f"it is {value}: {_first_anomaly(look)}")
    applied, last = _APPLIED.get(function_of(look.loss)), getattr(getattr(look.outputs, "op", None), "name", "")
    if applied and last in ("sigmoid", "softmax"):
        return Finding(check, False, f"the loss applies {applied} to outputs that come from {last}: leave that out")
    if function_of(look.loss) is functional.nll_loss and isinstance(look.outputs, Tensor):
        sums = np.exp(look.outputs.data).sum(axis=min(1, look.outputs.ndim - 1))
        if not np.allclose(sums, 1, atol=0.01):
            return Finding(
                check,
                False,
                "nll_loss takes the logarithms of probabilities, and the exponentials of the outputs add up to "
                f"{sums.min():.3g} … {sums.max():.3g}: let the model end in log_softmax, or use cross_entropy",
            )
    classes = _classes(look.loss, look.outputs)
    if classes is None:
        return Finding(check, True, f"{value:.3g}")
    expected = np.log(classes)
    said = f"{value:.3g}, where {classes} classes that are equally probable say log {classes} = {expected:.3g}"
    if value <= 2 * expected + 1:
        return Finding(check, True, said)
    sizes = [np.abs(x).max(initial=0) for x in trees.leaves(plain(look.inputs)) if x.dtype.kind in "fiu"]
    largest = max(sizes, default=0)
    reason = (
        f"the inputs reach {largest:.4g}: standardise them"
        if largest > 20
        else f"the outputs reach {np.abs(look.outputs.data).max():.3g} before any training: draw smaller first weights"
    )
    return Finding(check, False, f"{said}; {reason}")


_APPLIED = {functional.cross_entropy: "softmax", functional.binary_cross_entropy_with_logits: "sigmoid"}
"""What a loss does to the outputs first."""

_CROSS_ENTROPIES = {*_APPLIED, functional.binary_cross_entropy}


def _classes(loss: Loss, outputs: Any) -> int | None:
    """The number of classes, if the loss is a mean cross-entropy without weights."""
    function, settings = function_of(loss), vars(loss) if isinstance(loss, Module) else {}
    if function not in _CROSS_ENTROPIES or settings.get("reduction", "mean") != "mean":
        return None
    if settings.get("weight") is not None or settings.get("pos_weight") is not None:
        return None
    return int(outputs.shape[1 if outputs.ndim > 1 else 0]) if function is functional.cross_entropy else 2


def _first_anomaly(look: _Look) -> str:
    """The operation that makes a loss that is not finite."""
    model, loss = look._copies()
    try:
        with detect_anomaly():
            loss(outputs_of(model.train(), look.inputs), look.targets)
    except AnomalyError as error:
        return str(error)
    return "no operation on tensors made it"


def _dtypes(look: _Look) -> Finding | None:
    check = "dtypes stay"
    kinds = {w.dtype for w in look.model.parameters()}
    if len(kinds) != 1:
        return None
    (kind,) = kinds
    results = [x.dtype for x in [*trees.leaves(look.outputs), look.value] if isinstance(x, Tensor)]
    if all(x == kind or x.kind not in "fc" for x in results):
        return Finding(check, True, f"{kind}")
    given = sorted({str(x.dtype) for x in trees.leaves(plain((look.inputs, look.targets)))} - {str(kind)})
    return Finding(
        check,
        False,
        f"the parameters are {kind}, and the outputs or the loss {max(results)}; the data are "
        f"{', '.join(given) or kind}: convert them, as x.astype(np.{kind}) does, or find the line that "
        "widens by audit_gradients",
    )


def _learning(look: _Look) -> Finding:
    few = min(FEW, look.rows)
    inputs, targets = (trees.map_leaves(lambda x: x[:few], part) for part in (look.inputs, look.targets))
    best, first, steps, falls_on = np.inf, np.nan, 0, False
    for lr in RATES:
        model, loss = look._copies()
        values: list[float] = []
        optimizer = Adam(model.parameters(), lr=lr)
        for _ in range(STEPS):
            optimizer.zero_grad()
            outputs = outputs_of(model, inputs)
            value = loss(outputs, targets)
            value.backward()
            optimizer.step()
            values.append(float(value))
        last = float(np.mean(values[-3:]))
        first = values[0] if np.isnan(first) else first
        if last < best:
            best, steps, look.learned = last, len(values), model
            half = values[STEPS // 2]
            falls_on = last < values[0] <= 0 and 2 * (half - last) > values[0] - half
        if _has_fallen(values):
            break
    check = f"{few} rows can be learned"
    said = f"in {steps} steps, their loss went from {first:.3g} to {best:.3g}"
    if falls_on or best < min(-100 * abs(first), 0):
        return Finding(check, None, f"{said}, further and further below 0: is its sign right?")
    if best < first - 0.1 * abs(first) or first == 0:
        return Finding(check, True, said)
    sizes = [max((np.abs(x).max(initial=0) for x in trees.leaves(plain(y))), default=0) for y in (outputs, targets)]
    if sizes[1] > 100 * sizes[0]:
        said = f"{said}: targets reach {sizes[1]:.3g}, and outputs {sizes[0]:.3g}: standardise the targets"
    if best < first - 1e-4 * abs(first):
        return Finding(check, None, said)
    return Finding(
        check,
        False,
        f"{said}: it does not fall, whatever the learning rate ({', '.join(map(str, RATES))}): the outputs do not "
        "reach the targets, for example behind a sigmoid or dead units, or the loss does not depend on them",
    )


def _has_fallen(losses: list[float]) -> bool:
    """Whether the last losses are all less than half of the first, and none is below 0, where they may fall forever."""
    return min(losses) >= 0 and 2 * max(losses[-SURE:]) < losses[0]


def _gradients(look: _Look) -> Finding:
    check = "every parameter gets a gradient"
    model, loss = look._copies()
    model.train()
    audit = audit_gradients(model, lambda: loss(outputs_of(model, look.inputs), look.targets))
    if audit.ok:
        return Finding(check, True, f"{len(audit)} parameters")
    bad = Status.NO_GRADIENT, Status.NOT_FINITE, Status.SYMMETRIC
    failed = GradientAudit(tuple(parameter for parameter in audit if parameter.status in bad))
    said = "\n  ".join((failed if len(failed) else audit).causes())
    return Finding(check, False if len(failed) else None, said)


def _influences(look: _Look, model: Module) -> Iterator[tuple[int, Any]]:
    """For some rows of the outputs, the gradients of one number made of each by all inputs that are real numbers."""
    model.eval()
    inputs = trees.map_leaves(lambda x: tensor(x, requires_grad=True) if _is_real(x) else x, plain(look.inputs))
    sources = [x for x in trees.leaves(inputs) if isinstance(x, Tensor)]
    results = [x for x in trees.leaves(outputs_of(model, inputs)) if isinstance(x, Tensor) and x.requires_grad]
    if not sources or any(not x.ndim or len(x) != look.rows for x in results):
        return
    rng = np.random.default_rng(0)
    weights = [rng.uniform(0.5, 1.5, x.shape[1:]).astype(x.dtype) for x in results]
    for row in look.some_rows():
        total = sum(np.sum(x[row] * w) for x, w in zip(results, weights))
        for x in sources:
            x.grad = None
        total.backward(retain_graph=True)
        yield row, [np.zeros(x.shape) if x.grad is None else x.grad.numpy() for x in sources]


def _rows(look: _Look) -> Finding | None:
    check = "rows are independent"
    if look.rows < 2:
        return None
    seen = False
    for row, gradients in _influences(look, look._copies()[0]):
        for gradient in gradients:
            seen = True
            others = np.abs(gradient).reshape(look.rows, -1).max(axis=1, initial=0)
            others[row] = 0
            if others.any():
                other = int(others.argmax())
                return Finding(
                    check,
                    False,
                    f"the output of row {row} depends on row {other} (its gradient is {others[other]:.3g}): an "
                    "operation takes all rows together, such as a softmax or a mean along axis 0",
                )
    if not seen:
        return _rows_replaced(look, check)
    return Finding(check, True, "in evaluation mode, no output depends on another row's inputs")


def _rows_replaced(look: _Look, check: str) -> Finding:
    """The same for inputs that have no gradient: the output of a row stays if all other rows become equal to it."""
    model = look._copies()[0].eval()
    with no_grad():
        before = trees.leaves(plain(outputs_of(model, look.inputs)))
        if not all(x.ndim and len(x) == look.rows for x in before):
            return Finding(check, None, "the outputs do not have a row for each row of the inputs")
        for row in look.some_rows():
            chosen = np.full(look.rows, row)
            alike = trees.map_leaves(operator.itemgetter(chosen), plain(look.inputs))
            for x, y in zip(before, trees.leaves(plain(outputs_of(model, alike)))):
                if not np.allclose(x[row], y[row], rtol=1e-6, atol=1e-6 * np.abs(x).max(initial=0)):
                    return Finding(check, False, f"the output of row {row} changes when the other rows do")
    return Finding(check, True, "in evaluation mode, no output depends on another row's inputs")


def _influence(look: _Look) -> Finding | None:
    check = "the inputs influence the outputs"
    still: list[Any] = []
    for model in (look._copies()[0], look.learned):  # weights that begin at zero let nothing through
        sizes = [gradients for _, gradients in _influences(look, model)] if model is not None else []
        if not sizes:
            return None
        still = [sum(np.abs(part).sum(axis=0) for part in parts) == 0 for parts in zip(*sizes)]
        if not any(part.any() for part in still):
            return Finding(check, True, "each of them")
    silent, count = sum(int(part.sum()) for part in still), sum(part.size for part in still)
    if silent == count:
        return Finding(check, False, "no output changes with any input, also after some steps of training")
    columns = ", ".join(map(str, np.flatnonzero(still[0])[:8])) if still[0].ndim == 1 else ""
    return Finding(
        check, None, f"{silent} of {count} entries of a row do not" + (f": columns {columns}" * bool(columns))
    )


def _is_real(x: Any) -> bool:
    return getattr(getattr(x, "dtype", None), "kind", "") == "f"


def _shape(x: Any) -> str:
    return ", ".join(str(np.shape(leaf)) for leaf in trees.leaves(x))
