"""The audit of a model's gradients: which parameters get none, and what in the graph is the cause."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.checking.auditing.causes import Cause, Reasons, Units, alike, units_without
from tinygrad_lite.checking.auditing.detachment import detachment
from tinygrad_lite.checking.auditing.gradient_flow import flow
from tinygrad_lite.engine import grad_mode, registry
from tinygrad_lite.engine.backward import history
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import GraphError, InputError, ShapeError, UsageError
from tinygrad_lite.foundation.phrases import phrase
from tinygrad_lite.foundation.signatures import signature
from tinygrad_lite.nn.module import Module
from tinygrad_lite.readers.recording import Step, recording

EXPLODING = 1e3
VANISHING = 1e-4
_ALIKE = "{units} have the same weights and gradients, and so stay alike: draw the weights at random"


class Status(StrEnum):
    """The status of the gradient of one parameter."""

    FINE = "fine"
    NO_GRADIENT = "no gradient"
    ZERO = "zero"
    PARTLY_ZERO = "partly zero"
    SYMMETRIC = "symmetric"
    NOT_FINITE = "not finite"
    EXPLODING = "exploding"
    VANISHING = "vanishing"
    FROZEN = "frozen"


@dataclass(frozen=True)
class AuditedParameter:
    """The gradient of one parameter.

    Attributes:
        gradient_norm, weight_norm: the roots of the sums of squares; the former is None without a gradient.
        ratio: gradient_norm / weight_norm, which says how far a step moves the parameter. A weight that is nearly 0
            counts as large, per entry, as the median of the model's other weights.
        units: the units without a gradient, if it is partly zero, or the units that are alike, if it is symmetric.
        cause: why the gradient is not fine.
    """

    path: str
    shape: tuple[int, ...]
    status: Status
    gradient_norm: float | None
    weight_norm: float
    ratio: float | None
    units: Units | None = None
    cause: Cause | None = None


@dataclass(frozen=True)
class GradientAudit:
    """The result of `audit_gradients`, which prints as a table.

    Attributes:
        widened: the operations at which numbers became wider than the parameters (float64 for float32), each with the
            user's line if it is known.
    """

    parameters: tuple[AuditedParameter, ...]
    widened: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every parameter is fine, or frozen."""
        return all(parameter.status in (Status.FINE, Status.FROZEN) for parameter in self.parameters)

    def __iter__(self) -> Iterator[AuditedParameter]:
        return iter(self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)

    def __getitem__(self, path: str) -> AuditedParameter:
        for parameter in self.parameters:
            if parameter.path == path:
                return parameter
        raise InputError(
            f"there is no parameter {path!r}; there are {', '.join(parameter.path for parameter in self.parameters)}"
        )

    def _explained(self) -> dict[Any, list[AuditedParameter]]:
        """The parameters that have a cause, those with the same one together."""
        explained: dict[Any, list[AuditedParameter]] = {}
        for parameter in self:
            if parameter.cause:
                explained.setdefault(_kind(parameter), []).append(parameter)
        return explained

    def causes(self) -> list[str]:
        """Each cause once, with the parameters that it explains."""
        return [
            _told(parameters) if len(parameters) > 1 else f"{parameters[0].path}: {parameters[0].cause}"
            for parameters in self._explained().values()
        ]

    def __str__(self) -> str:
        explained = self._explained()
        numbers = {kind: f"[{k}]" for k, kind in enumerate(explained, 1)}
        table: list[Sequence[str]] = [("parameter", "shape", "status", "|gradient|", "|weight|", "ratio", "cause")]
        for parameter in self:
            shape = "×".join(map(str, parameter.shape)) or "number"
            norms = [
                "–" if x is None else f"{x:.2g}"
                for x in (parameter.gradient_norm, parameter.weight_norm, parameter.ratio)
            ]
            cause = numbers[_kind(parameter)] if parameter.cause else ""
            table.append((parameter.path, shape, parameter.status, *norms, cause))
        widths = [max(map(len, column)) for column in zip(*table)]
        counts = {status: sum(parameter.status is status for parameter in self) for status in Status}
        frozen = f", {counts[Status.FROZEN]} are frozen" if counts[Status.FROZEN] else ""
        return "\n".join(
            [
                f"{counts[Status.FINE]} of {len(self)} parameters get a fine gradient{frozen}",
                *("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in table),
                *(f"{numbers[kind]} {_told(parameters)}" for kind, parameters in explained.items()),
                *self.widened,
            ]
        )


def _kind(parameter: AuditedParameter) -> Any:
    """What the causes of several parameters have in common: all but the numbers on their ways."""
    cause = parameter.cause
    return cause and (
        re.sub(r"(by|of) [\d.e+-]+|\d+ × |'[^']*' of up to.*", "", cause.text),
        cause.operation,
        cause.source,
    )


def _told(parameters: Sequence[AuditedParameter]) -> str:
    """The cause of the gradients of some parameters, and which parameters they are."""
    first = parameters[0]
    if len(parameters) == 1:
        return str(first.cause)
    names = ", ".join(parameter.path for parameter in parameters[:4])
    more = f" and {len(parameters) - 4} more" if len(parameters) > 4 else ""
    same = all(parameter.cause == first.cause for parameter in parameters)
    return f"{first.cause}\n    of {names}{more}" + ("" if same else f"; the numbers are of {first.path}")


def audit_gradients(model: Any, loss: Tensor | Callable[[], Tensor]) -> GradientAudit:
    """Find the parameters of a model that get no gradient, a zero gradient or an exploding one, and the cause.

    The audit runs a reverse pass of its own: it writes no `.grad`, and the graph stays. The status of a parameter w
    with gradient g is the first of these that applies:

    - no gradient: no operation leads from it to the loss.
    - not finite: some entry is a NaN or an infinity.
    - zero: every entry is 0, or what rounding leaves where contributions cancel: of a bias in front of a normalisation,
      or of what moves all inputs of a softmax alike. Partly zero: all entries of some units are 0; a unit is an index
      along an axis.
    - symmetric: units of a matrix have the same weights and the same gradients, and so stay alike.
    - exploding: the root mean square of g is above 1000 and above 1000 times that of w, so that a step at a learning
      rate of 0.001 would move w by more than 1 and by more than its own size.
    - vanishing: the ratio |g| / |w| is less than 1/10,000 of the largest ratio in the model (without those that
      explode), so that w stands still while others learn; or a saturated operation leaves less than 10⁻⁶ of the
      gradient, or a long chain of operations less than 10⁻¹⁰.
    - fine. A parameter that does not require a gradient is frozen.

    Args:
        model: a module, or a dict, list or tuple of tensors or modules.
        loss: a tensor of one element with its graph, or a function without arguments that computes it. The audit
            runs such a function once and watches its operations, so that a cause can name the user's line.

    Raises:
        GraphError: if the loss has no history, or its graph was freed.
        ShapeError: if the loss has more than one element.
        InputError: if the model has no parameters.
        UsageError: if the model or the loss is anything else.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> w = {"a": tg.tensor(2.0, requires_grad=True), "b": tg.tensor(0.0, requires_grad=True)}
        >>> report = tg.audit_gradients(w, lambda: w["b"] * np.exp(w["a"]))
        >>> report["b"].status, report["a"].status, report["a"].cause.text
        (<Status.FINE: 'fine'>, <Status.ZERO: 'zero'>, "multiply by a zero weight: 'b'")
    """
    parameters = dict(_parameters(model))
    if not parameters:
        raise InputError(f"this {type(model).__name__} has no parameters: no tensor in it requires a gradient")
    steps: Sequence[Step] = ()
    if not isinstance(loss, Tensor):
        loss, steps = _watched(loss)
    if not loss.requires_grad:
        causes = [f"\n  {path}: {_why_apart(w, loss, steps)}" for path, w in parameters.items()]
        raise GraphError(
            f"the loss has no history: nothing that it was computed from requires a gradient{''.join(causes)}"
        )
    if loss.size != 1:
        raise ShapeError(f"the loss has shape {loss.shape}, it must be one number: reduce it, for example to its mean")
    return GradientAudit(tuple(_Audit(parameters, loss, steps)), tuple(_widened(loss, steps)))


class _Audit:
    """The audit of some parameters, one after another."""

    def __init__(self, parameters: Mapping[str, Tensor], loss: Tensor, steps: Sequence[Step]) -> None:
        self._parameters = parameters
        self._loss = loss
        self._steps = steps
        self._flow = flow(loss)
        self._reasons = Reasons(self._flow, steps, {w: path for path, w in parameters.items()})
        sizes = {path: _mean_size(w.data) for path, w in parameters.items()}
        typical = np.median([size for size in sizes.values() if 0 < size < np.inf] or [1.0])
        self._slopes = {path: _mean_size(self._flow.gradients.get(w, 0.0)) for path, w in parameters.items()}
        self._ratios = {path: slope / max(sizes[path], typical) for path, slope in self._slopes.items()}
        self._largest = max((ratio for path, ratio in self._ratios.items() if not self._explodes(path)), default=0.0)

    def _explodes(self, path: str) -> bool:
        return not min(self._ratios[path], self._slopes[path]) <= EXPLODING  # false for NaN, too

    def __iter__(self) -> Iterator[AuditedParameter]:
        for path, w in self._parameters.items():
            g = self._flow.gradients.get(w)
            units = None
            if g is not None and np.any(g) and np.isfinite(g).all():
                units = units_without(g) or (alike(w.data, g) if w.ndim > 1 else None)
            status, cause = self._judged(path, w, g, units)
            norm = None if g is None else _norm(g)
            ratio = None if g is None else self._ratios[path]
            yield AuditedParameter(path, w.shape, status, norm, _norm(w.data), ratio, units, cause)

    def _judged(self, path: str, w: Tensor, g: Any, units: Units | None) -> tuple[Status, Cause | None]:
        """The status of a parameter, and the cause."""
        reasons = self._reasons
        if not w.requires_grad:
            return Status.FROZEN, None
        if g is None:
            connected = w in self._flow.uses
            return Status.NO_GRADIENT, reasons.of_zero(w) if connected else _why_apart(w, self._loss, self._steps)
        if not np.isfinite(g).all():
            return Status.NOT_FINITE, reasons.of_not_finite(w)
        if not w.size:
            return Status.FINE, None
        if cause := reasons.of_cancelling(w):
            return Status.ZERO, cause
        if not np.any(g):
            return Status.ZERO, reasons.of_zero(w)
        if units and not np.any(np.take(g, units.indices, units.axis)):
            return Status.PARTLY_ZERO, reasons.of_zero(w, units)
        if units:
            return Status.SYMMETRIC, Cause(phrase(_ALIKE, units=str(units)))
        if self._explodes(path):
            return Status.EXPLODING, reasons.of_size(w, grows=True)
        if self._ratios[path] < VANISHING * self._largest or reasons.saturation(w) or reasons.dwindles(w):
            return Status.VANISHING, reasons.of_size(w, grows=False)
        return Status.FINE, None


def _why_apart(w: Tensor, loss: Tensor, steps: Sequence[Step]) -> Cause:
    """Why a parameter is not in the graph of a loss; from the steps of a recorded run, if there are any."""
    if not w.requires_grad:
        return Cause("it does not require a gradient")
    if steps:
        return detachment(w, loss, steps)
    return Cause(
        "unused, or detached: nothing in the loss's graph leads to it; pass the function that computes the loss, and "
        "the line is named"
    )


def _widened(loss: Tensor, steps: Sequence[Step]) -> Iterator[str]:
    """The operations that made wider numbers of their inputs, except casts."""
    sources = {id(step.result): step.source for step in steps}
    for node in history([loss]):
        inputs = [x.dtype for x in node.inputs if isinstance(x, Tensor) and x.requires_grad]
        if node.op is not registry.operation("cast") and any(
            np.finfo(kind).bits < np.finfo(node.dtype).bits for kind in inputs
        ):
            source = sources.get(id(node))
            called = f", called at {source}" if source else ""
            yield f"{min(inputs, key=lambda kind: kind.itemsize)} became {node.dtype}: {node.op}{called}"


def _watched(loss: Any) -> tuple[Tensor, list[Step]]:
    """The loss that a function computes, and the operations that it performed."""
    if not callable(loss):
        raise UsageError(f"the loss must be a tensor, or a function that computes it; got {type(loss).__name__}")
    try:
        signature(loss).bind()
    except TypeError as error:
        raise UsageError(f"the loss function takes no arguments, as in lambda: loss(model(x), t); {error}") from None
    except ValueError:
        pass  # a function written in C may report no signature
    with recording() as steps, grad_mode.enable_grad():
        result = loss()
    if not isinstance(result, Tensor):
        raise UsageError(
            f"the loss must be a tensor, the function returned {type(result).__name__}: leave out float(), item() and "
            "numpy()"
        )
    return result, steps


def _parameters(model: Any) -> Iterator[tuple[str, Tensor]]:
    """The path and the tensor of each parameter."""
    for path, part in zip(trees.paths(model), trees.leaves(model)):
        if isinstance(part, Tensor):
            yield path or part.name or "parameter", part
        elif isinstance(part, Module):
            yield from (
                (f"{path}.{name}" if path else name, w) for name, w in part.named_parameters() if isinstance(w, Tensor)
            )
        else:
            raise UsageError(
                f"a model is a module, or containers of tensors and modules; {path or 'this'} is {type(part).__name__}"
            )


def _norm(array: Any) -> float:
    with np.errstate(all="ignore"):
        return float(np.sqrt(np.sum(np.square(array))))


def _mean_size(array: Any) -> float:
    """The root mean square."""
    return _norm(array) / max(float(np.sqrt(np.size(array))), 1.0)
