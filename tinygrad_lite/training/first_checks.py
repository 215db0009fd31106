"""Checks of a single run: shapes, the value of the loss, dtypes, and which parameters get gradients."""

from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.checking.auditing.anomaly import detect_anomaly
from tinygrad_lite.checking.auditing.audit import GradientAudit, Status, audit_gradients
from tinygrad_lite.engine.backward import history
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import AnomalyError
from tinygrad_lite.nn import Module, functional
from tinygrad_lite.nn.module import in_mode
from tinygrad_lite.training.batches import outputs_of, plain
from tinygrad_lite.training.finding import Finding
from tinygrad_lite.training.loss_behaviour import broadcast_targets, ignores_targets
from tinygrad_lite.training.training_run import Loss, function_of
from tinygrad_lite.training.trial import Trial, is_real


def targets_fit(trial: Trial) -> Finding:
    check = "targets fit outputs"
    if shapes := broadcast_targets(trial.copies()[1], trial.outputs, trial.targets):
        return Finding(
            check,
            False,
            f"outputs of shape {shapes[0]} and targets of shape {shapes[1]} broadcast to {shapes[2]}, each "
            "output against each target: pass targets[:, None], or outputs[:, 0] from the model",
        )
    if ignores_targets(trial.copies()[1], trial.outputs, trial.targets):
        return Finding(check, None, "the loss is the same whatever the targets are: is it meant to ignore them?")
    return Finding(check, True, f"{_shape(trial.outputs)} and {_shape(trial.targets)}")


def loss_at_start(trial: Trial) -> Finding:
    check, value = "the loss at the start", float(trial.value)
    if not np.isfinite(value):
        return Finding(check, False, f"it is {value}: {_first_anomaly(trial)}")
    for node in history([trial.value]):
        if node.op.name == "binary_cross_entropy_with_logits":  # which takes others, as PyTorch's does
            targets = plain(node.inputs[1])
            if np.min(targets, initial=0) < 0 or np.max(targets, initial=1) > 1:
                reached = f"targets from 0 to 1, and these go from {np.min(targets):.4g} to {np.max(targets):.4g}"
                return Finding(check, False, f"a binary cross-entropy needs {reached}")
    if function_of(trial.loss) is functional.nll_loss and isinstance(trial.outputs, Tensor):
        sums = np.exp(trial.outputs.data).sum(axis=min(1, trial.outputs.ndim - 1))
        if not np.allclose(sums, 1, atol=0.01):
            return Finding(
                check,
                False,
                "nll_loss takes the logarithms of probabilities, and the exponentials of the outputs add up to "
                f"{sums.min():.3g} … {sums.max():.3g}: let the model end in log_softmax, or use cross_entropy",
            )
    classes = _classes(trial.loss, trial.outputs)
    if classes is None:
        return Finding(check, True, f"{value:.3g}")
    expected = np.log(classes)
    said = f"{value:.3g}, where {classes} equally probable classes give log {classes} = {expected:.3g}"
    if value <= 2 * expected + 1:
        return Finding(check, True, said)
    if _with_standardised_inputs(trial) <= 2 * expected + 1:
        sizes = [np.abs(x).max(initial=0) for x in trees.leaves(plain(trial.inputs)) if x.dtype.kind in "fiu"]
        reason = f"the inputs reach {max(sizes, default=0):.4g}: standardise them"
    else:
        largest = np.abs(trial.outputs.data).max()
        reason = f"the outputs reach {largest:.3g} before any training: draw smaller first weights"
    return Finding(check, False, f"{said}; {reason}")


def _with_standardised_inputs(trial: Trial) -> float:
    """The loss at the start for standardised inputs; infinity if they cannot be, such as indices."""
    model, loss = trial.copies()
    inputs = trees.map_leaves(_standardised, plain(trial.inputs))
    try:
        return float(loss(outputs_of(in_mode(model, True), inputs), trial.targets))
    except Exception:  # whatever the user's functions raise
        return np.inf


def _standardised(x: Array) -> Array:
    if x.dtype.kind not in "fiu":
        return x
    spread = np.std(x, axis=0)
    scaled = (x - np.mean(x, axis=0)) / np.where(spread > 0, spread, 1)
    return scaled.astype(x.dtype) if x.dtype.kind == "f" else scaled


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


def _first_anomaly(trial: Trial) -> str:
    """The operation that makes a loss that is not finite."""
    model, loss = trial.copies()
    try:
        with detect_anomaly():
            loss(outputs_of(in_mode(model, True), trial.inputs), trial.targets)
    except AnomalyError as error:
        return str(error)
    return "no operation on tensors made it"


def dtypes_stay(trial: Trial) -> Finding | None:
    check = "dtypes stay"
    kinds = {w.dtype: path for path, w in trial.model.named_parameters()}
    kind = min(kinds, key=lambda kind: kind.itemsize, default=None)
    if kind is None:
        return None
    results = [x.dtype for x in [*trees.leaves(trial.outputs), trial.value] if isinstance(x, Tensor)]
    if all(x.kind not in "fc" or np.finfo(x).dtype == kind for x in results):
        return Finding(check, True, f"{kind}")
    if len(kinds) > 1:
        wide = max(kinds, key=lambda kind: kind.itemsize)
        narrow = any(x.dtype == kind for x in trees.leaves(plain(trial.inputs)) if is_real(x))
        text = f"the inputs and some parameters are {kind}, but {kinds[wide]} is {wide}: model.to(np.{kind}) narrows it"
        return Finding(check, False, text) if narrow else None
    dtypes = sorted({str(x.dtype) for x in trees.leaves(plain((trial.inputs, trial.targets)))} - {str(kind)})
    return Finding(
        check,
        False,
        f"the parameters are {kind}, and the outputs or the loss {max(results)}; the data are "
        f"{', '.join(dtypes) or kind}: convert them, as x.astype(np.{kind}) does, or find the line that "
        "widens them with audit_gradients",
    )


def parameters_are_known(trial: Trial) -> Finding | None:
    """Parameters that contribute to the outputs, but are not trained."""
    model = trial.originals[0]
    own, copied = {*map(id, model.parameters())}, {*map(id, trial.model.parameters())}
    known = copied | {*trial.trained.values()} | {*map(id, trees.leaves(trial.inputs))}
    results = [x for x in trees.leaves(trial.outputs) if isinstance(x, Tensor)]
    leaves = [x for node in history(results) for x in node.inputs if isinstance(x, Tensor) and x.op is None]
    others = {id(x): x for x in leaves if x.requires_grad and id(x) not in known}
    if others.keys() & own:
        return Finding(
            "the model can be copied",
            None,
            "a function in one of its fields refers to the model, so in a copy it still uses the original: make it a "
            "method; the other checks were left out",
        )
    if not others:
        return _stale(trial)
    shapes = ", ".join(sorted({str(x.shape) for x in others.values()}))
    return Finding(
        "every parameter gets a gradient",
        False,
        f"{len(others)} tensors of shape {shapes} require a gradient and contribute to the outputs, but are not among "
        "model.parameters(): assign their layer to a field of the model, or freeze them with requires_grad_(False)",
    )


def _stale(trial: Trial) -> Finding | None:
    """Parameters of the optimiser that belonged to the model before they were replaced."""
    model = trial.originals[0]
    own = {id(w): path for path, w in model.named_parameters() if w.requires_grad}
    used = {id(x) for node in history([trial.value]) for x in node.inputs}
    missing = [path for key, path in own.items() if key not in trial.trained]
    if not missing or all(key in own or copy in used for key, copy in trial.trained.items()):
        return None
    return Finding(
        "the optimiser trains the model",
        False,
        f"it has parameters that the loss does not depend on, and lacks {', '.join(missing)}: make it after the model "
        "has all of its layers",
    )


def gradients_arrive(trial: Trial) -> Finding:
    check = "every parameter gets a gradient"
    model, loss = trial.copies()
    in_mode(model, True)
    audit = audit_gradients(model, lambda: loss(outputs_of(model, trial.inputs), trial.targets))
    if audit.ok:
        frozen = [path for path, w in model.named_parameters() if not w.requires_grad]
        others = f", and {len(frozen)} frozen: {', '.join(frozen[:8])}" if frozen else ""
        return Finding(check, True, f"{len(audit) - len(frozen)} parameters{others}")
    bad = Status.NO_GRADIENT, Status.NOT_FINITE, Status.SYMMETRIC
    failed = GradientAudit(tuple(parameter for parameter in audit if parameter.status in bad))
    said = "\n  ".join((failed if len(failed) else audit).causes())
    return Finding(check, False if len(failed) else None, said)


def _shape(x: Any) -> str:
    return ", ".join(str(np.shape(leaf)) for leaf in trees.leaves(x))
