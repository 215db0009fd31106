"""`verify_training`: faults of a model, its loss and its data that can be found in a second, before the first epoch."""

import itertools
import operator
import warnings
from collections.abc import Iterable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.checking.auditing.anomaly import detect_anomaly
from tinygrad_lite.checking.auditing.audit import GradientAudit, Status, audit_gradients
from tinygrad_lite.engine.backward import history
from tinygrad_lite.engine.grad_mode import enable_grad, no_grad
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.errors import AnomalyError, UsageError, VerificationError
from tinygrad_lite.nn import Module, functional
from tinygrad_lite.optim import Adam, Optimizer
from tinygrad_lite.training.batches import Batch, count_of, outputs_of, plain
from tinygrad_lite.training.loss_behaviour import (
    broadcast_targets,
    flees,
    ignores_targets,
    takes_probabilities_for_logits,
)
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


def verify_training(
    model: Module, loss: Loss, batch: Batch, *, optimizer: Optimizer | None = None, raise_exception: bool = True
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

    Args:
        batch: a pair, the inputs and the targets of a few rows.
        optimizer: what will train the model; its parameters may be others than the model's.
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
    with enable_grad(), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they would say is found and said here
        try:
            deepcopy((model, loss))
        except Exception as error:  # whatever the user's objects raise
            unseen = Finding("the model can be copied", None, f"no, so nothing was looked at: {error}")
            return Verification((unseen,))
        trained = [] if optimizer is None else optimizer.parameters
        result = Verification(tuple(_Look(model, loss, batch, trained).findings()))
    if raise_exception and not result.ok:
        failed = [str(finding) for finding in result.findings if finding.ok is False]
        raise VerificationError("\n".join(["verify=False would train all the same, but", *failed]))
    return result


def try_batch(model: Module, loss: Loss, batch: Batch) -> None:
    """Let copies of a model and a loss raise the error that they would raise for this batch."""
    try:
        model, loss = deepcopy((model, loss))
    except Exception:  # whatever the user's objects raise
        return
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss(outputs_of(model.train(), batch[0]), batch[1])


class _Look:
    """Copies of a model and a loss, and what they make of a batch."""

    def __init__(self, model: Module, loss: Loss, batch: Batch, trained: Iterable[Tensor]) -> None:
        self.originals = model, loss
        self.inputs, self.targets = batch
        self.rows = count_of(batch)
        copied: dict[int, Any] = {}
        self.model, self.loss = deepcopy(self.originals, copied)
        self.trained = {id(w): id(copied.get(id(w), w)) for w in trained}  # in the graph of the copies
        self.model.train()
        self.outputs = outputs_of(self.model, self.inputs)
        self.value = self._checked(self.loss(self.outputs, self.targets))
        self.few, self.takes_few = self._few()
        self.learned: Module | None = None
        self.has_moved = False

    def copies(self) -> tuple[Module, Loss]:
        """New ones of the model and the loss."""
        return deepcopy(self.originals)

    def _few(self) -> tuple[Batch, bool]:
        """A few rows, or all if the model or the loss takes no fewer; and whether it does."""
        few = trees.map_leaves(lambda x: x[:FEW], self.inputs), trees.map_leaves(lambda x: x[:FEW], self.targets)
        model, loss = self.copies()
        try:
            loss(outputs_of(model.train(), few[0]), few[1])
        except Exception:  # whatever the user's functions raise
            return (self.inputs, self.targets), False
        return few, True

    def findings(self) -> Iterator[Finding]:
        """The result of each check that applies, in an order in which the cheap ones come first."""
        for check in (_shapes, _start, _dtypes, _owners, _learning, _kind, _gradients, _rows, _influence):
            if finding := check(self):
                yield finding
            if check is _owners and finding and finding.ok is None:
                return  # copies tell nothing of such a model

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


def _shapes(look: _Look) -> Finding:
    check = "targets fit outputs"
    if shapes := broadcast_targets(look.copies()[1], look.outputs, look.targets):
        return Finding(
            check,
            False,
            f"outputs of shape {shapes[0]} and targets of shape {shapes[1]} broadcast to {shapes[2]}, each "
            "output against each target: pass targets[:, None], or outputs[:, 0] from the model",
        )
    if ignores_targets(look.copies()[1], look.outputs, look.targets):
        return Finding(check, None, "the loss is the same whatever the targets are: is it meant to leave them out?")
    return Finding(check, True, f"{_shape(look.outputs)} and {_shape(look.targets)}")


def _start(look: _Look) -> Finding:
    check, value = "the loss at the start", float(look.value)
    if not np.isfinite(value):
        return Finding(check, False, f"it is {value}: {_first_anomaly(look)}")
    for node in history([look.value]):
        if node.op.name == "binary_cross_entropy_with_logits":  # which takes others, as PyTorch's does
            targets = plain(node.inputs[1])
            if np.min(targets, initial=0) < 0 or np.max(targets, initial=1) > 1:
                reached = f"targets from 0 to 1, and these go from {np.min(targets):.4g} to {np.max(targets):.4g}"
                return Finding(check, False, f"a binary cross-entropy needs {reached}")
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


_CROSS_ENTROPIES = (
    functional.cross_entropy,
    functional.binary_cross_entropy,
    functional.binary_cross_entropy_with_logits,
)


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
    model, loss = look.copies()
    try:
        with detect_anomaly():
            loss(outputs_of(model.train(), look.inputs), look.targets)
    except AnomalyError as error:
        return str(error)
    return "no operation on tensors made it"


def _dtypes(look: _Look) -> Finding | None:
    check = "dtypes stay"
    kinds = {w.dtype: path for path, w in look.model.named_parameters()}
    kind = min(kinds, key=lambda kind: kind.itemsize, default=None)
    if kind is None:
        return None
    results = [x.dtype for x in [*trees.leaves(look.outputs), look.value] if isinstance(x, Tensor)]
    if all(x == kind or x.kind not in "fc" for x in results):
        return Finding(check, True, f"{kind}")
    if len(kinds) > 1:
        wide = max(kinds, key=lambda kind: kind.itemsize)
        narrow = any(x.dtype == kind for x in trees.leaves(plain(look.inputs)) if _is_real(x))
        text = f"the inputs and some parameters are {kind}, but {kinds[wide]} is {wide}: model.to(np.{kind}) narrows it"
        return Finding(check, False, text) if narrow else None
    dtypes = sorted({str(x.dtype) for x in trees.leaves(plain((look.inputs, look.targets)))} - {str(kind)})
    return Finding(
        check,
        False,
        f"the parameters are {kind}, and the outputs or the loss {max(results)}; the data are "
        f"{', '.join(dtypes) or kind}: convert them, as x.astype(np.{kind}) does, or find the line that "
        "widens by audit_gradients",
    )


def _owners(look: _Look) -> Finding | None:
    """Parameters that make the outputs, and are not among those that are trained."""
    model = look.originals[0]
    own, copied = {*map(id, model.parameters())}, {*map(id, look.model.parameters())}
    known = copied | {*look.trained.values()} | {*map(id, trees.leaves(look.inputs))}
    results = [x for x in trees.leaves(look.outputs) if isinstance(x, Tensor)]
    leaves = [x for node in history(results) for x in node.inputs if isinstance(x, Tensor) and x.op is None]
    others = {id(x): x for x in leaves if x.requires_grad and id(x) not in known}
    if others.keys() & own:
        return Finding(
            "the model can be copied",
            None,
            "a function among its fields refers to the model, and so its copy to the first one: make it a method; "
            "the other checks were left out",
        )
    if not others:
        return _stale(look)
    shapes = ", ".join(sorted({str(x.shape) for x in others.values()}))
    return Finding(
        "every parameter gets a gradient",
        False,
        f"{len(others)} tensors that require a gradient, of shape {shapes}, make the outputs, and are not among "
        "model.parameters(): assign their layer to a field of the model, or freeze them with requires_grad_(False)",
    )


def _stale(look: _Look) -> Finding | None:
    """Parameters of the optimiser that belonged to the model once, before they were replaced."""
    model = look.originals[0]
    own = {id(w): path for path, w in model.named_parameters() if w.requires_grad}
    used = {id(x) for node in history([look.value]) for x in node.inputs}
    missing = [path for key, path in own.items() if key not in look.trained]
    if not missing or all(key in own or copy in used for key, copy in look.trained.items()):
        return None
    return Finding(
        "the optimiser trains the model",
        False,
        f"it has parameters that the loss does not depend on, and lacks {', '.join(missing)}: make it after the model "
        "has all of its layers",
    )


def _learning(look: _Look) -> Finding:
    inputs, targets = look.few
    best, first, steps, falls_on = np.inf, np.nan, 0, False
    for lr in RATES:
        model, loss = look.copies()
        values: list[float] = []
        optimizer = Adam(model.parameters(), lr=lr)
        for _ in range(STEPS):
            optimizer.zero_grad()
            outputs = outputs_of(model, inputs)
            value = loss(outputs, targets)
            value.backward()
            look.has_moved = look.has_moved or _has_slope(model)
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
    check = f"{count_of(look.few)} rows can be learned"
    said = f"in {steps} steps, their loss went from {first:.3g} to {best:.3g}"
    if look.learned is not None and (falls_on or best < min(-100 * abs(first), 0)):
        with no_grad():
            before, after = (outputs_of(model, inputs) for model in (look.copies()[0], look.learned))
        wrong = flees(before, after, targets)
        said = f"{said}, further and further below 0"
        return Finding(
            check,
            *(
                (False, f"{said}, and outputs go away from their targets: its sign is wrong")
                if wrong
                else (None, f"{said}: is its sign right?")
            ),
        )
    if best < first - 0.1 * abs(first) or first == 0:
        return Finding(check, True, said)
    sizes = [
        max((np.abs(x).max(initial=0) for x in trees.leaves(plain(y)) if _is_real(x)), default=0)
        for y in (outputs, targets)
    ]
    if sizes[1] > 100 * sizes[0]:
        said = f"{said}: targets reach {sizes[1]:.3g}, and outputs {sizes[0]:.3g}: standardise the targets"
    if best < first - 1e-4 * abs(first) and _has_slope(model):
        return Finding(check, None, said)
    for scale in (1, 10, 100) if look.has_moved else ():
        if descent := _descent(look, scale):
            return Finding(check, None, f"{said}; {descent}")
    return Finding(
        check,
        False,
        f"{said}: it does not fall, whatever the learning rate ({', '.join(map(str, RATES))}): the outputs do not "
        "reach the targets, for example behind a sigmoid, dead units or weights of zero, or the loss does not depend "
        "on them",
    )


def _has_slope(model: Module) -> bool:
    return any(w.grad is not None and np.any(w.grad.data) for w in model.parameters())


def _descent(look: _Look, scale: int) -> str:
    """How far gradient descent lowers the loss from weights moved by this times their size, with steps that grow.

    It does from the bottom of a valley, and where numbers are large; not where outputs cannot change.
    """
    (inputs, targets), (model, loss), rng = look.few, look.copies(), np.random.default_rng(0)
    weights = [w for w in model.parameters() if w.requires_grad]
    for w in weights:
        w.replace(w.data + (rng.normal(size=w.shape) * scale * (np.sqrt(np.mean(w.data**2)) or 1)).astype(w.dtype))
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


def _kind(look: _Look) -> Finding | None:
    """Probabilities in place of logits."""
    (inputs, targets), loss = look.few, look.copies()[1]
    if look.learned is None:
        return None
    with no_grad():
        start, learned = (outputs_of(model, inputs) for model in (look.copies()[0], look.learned))
        applied = takes_probabilities_for_logits(loss, start, learned, targets)
    if not applied:
        return None
    text = f"the loss applies {applied}, and the outputs are probabilities already: leave out the model's own {applied}"
    return Finding("the loss at the start", False, text)


def _has_fallen(losses: list[float]) -> bool:
    """Whether the last losses are all less than half of the first, and none is below 0, where they may fall forever."""
    return min(losses) >= 0 and 2 * max(losses[-SURE:]) < losses[0]


def _gradients(look: _Look) -> Finding:
    check = "every parameter gets a gradient"
    model, loss = look.copies()
    model.train()
    audit = audit_gradients(model, lambda: loss(outputs_of(model, look.inputs), look.targets))
    if audit.ok:
        frozen = [path for path, w in model.named_parameters() if not w.requires_grad]
        others = f", and {len(frozen)} frozen: {', '.join(frozen[:8])}" if frozen else ""
        return Finding(check, True, f"{len(audit) - len(frozen)} parameters{others}")
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
    for row, gradients in _influences(look, look.copies()[0]):
        for gradient in gradients:
            seen = True
            others = np.abs(gradient).reshape(look.rows, -1).max(axis=1, initial=0)
            others[row] = 0
            if others.any():
                if _is_of_pairs(look):
                    return Finding(check, True, "output [i, j] depends on the inputs of rows i and j alone")
                used = gradient.reshape(look.rows, -1) != 0
                if not look.takes_few and (used[used.any(axis=1)] == used[row]).all():
                    return Finding(
                        check, None, f"outputs depend on other rows, of which the model takes all {look.rows}"
                    )
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


def _is_of_pairs(look: _Look) -> bool:
    """Whether the outputs say something of each pair of rows, such as how similar they are."""
    model = look.copies()[0].eval()
    inputs = trees.map_leaves(lambda x: tensor(x, requires_grad=True) if _is_real(x) else x, plain(look.inputs))
    sources = [x for x in trees.leaves(inputs) if isinstance(x, Tensor)]
    for result in trees.leaves(outputs_of(model, inputs)):
        if result.shape[:2] != (look.rows, look.rows):
            return False
        for i, j in itertools.permutations(look.some_rows(), 2):
            for x in sources:
                x.grad = None
            np.sum(result[i, j]).backward(retain_graph=True)
            slopes = [x.grad.data.reshape(look.rows, -1) for x in sources if x.grad is not None]
            touched = [np.flatnonzero(slope.any(axis=1)) for slope in slopes]
            if not {*np.concatenate([[i], *touched])} <= {i, j}:
                return False
    return True


def _rows_replaced(look: _Look, check: str) -> Finding:
    """The same for inputs that have no gradient: the output of a row stays if all other rows become equal to it."""
    model = look.copies()[0].eval()
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
    for model in (look.copies()[0], look.learned):  # weights that begin at zero let nothing through
        sizes = [gradients for _, gradients in _influences(look, model)] if model is not None else []
        if not sizes:
            return None
        still = [sum(np.abs(part).sum(axis=0) for part in parts) == 0 for parts in zip(*sizes)]
        if not any(part.any() for part in still):
            return Finding(check, True, "each of them")
    silent, count = sum(int(part.sum()) for part in still), sum(part.size for part in still)
    if silent == count and not look.has_moved:
        return Finding(check, None, "no output changes with any input, and there is nothing to learn from this loss")
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
