"""`Trial`: copies of a model and a loss, and what they make of a batch."""

from copy import deepcopy
from typing import Any

from tinygrad_lite import trees
from tinygrad_lite.engine.backward import history
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import UsageError
from tinygrad_lite.nn import Module
from tinygrad_lite.nn.module import in_mode
from tinygrad_lite.optim import Optimizer
from tinygrad_lite.training.batches import Batch, count_of, outputs_of
from tinygrad_lite.training.training_run import Loss

FEW = 8  # rows that a model must be able to learn by heart


class Trial:
    """Copies of a model and a loss, and their outputs for a batch.

    Attributes:
        originals: the model and the loss themselves.
        optimizer: what will train the model, if that is known.
        clip_norm: the largest norm of its gradients, if it is clipped.
        trained: for each parameter of the optimiser, by id, the id of its copy.
        outputs, value: the outputs of the copies for the batch, and their loss.
        loss_uses_model: whether the loss of the copies depends on the model itself, as a function that refers to it.
        few: a batch of a few rows, or the whole one if the model or the loss takes no fewer; `takes_few` says which.
        learned: the copy that has learned the few rows best, once that has been tried.
        has_moved: whether any gradient on the way there was not zero.
    """

    def __init__(
        self, model: Module, loss: Loss, batch: Batch, optimizer: Optimizer | None, clip_norm: float | None
    ) -> None:
        self.originals = model, loss
        self.optimizer, self.clip_norm = optimizer, clip_norm
        self.inputs, self.targets = batch
        self.rows = count_of(batch)
        copied: dict[int, Any] = {}
        self.model, self.loss = deepcopy(self.originals, copied)
        trained = [] if optimizer is None else optimizer.parameters
        self.trained = {id(w): id(copied.get(id(w), w)) for w in trained}  # in the graph of the copies
        in_mode(self.model, True)
        self.outputs = outputs_of(self.model, self.inputs)
        self.value = self._checked(self.loss(self.outputs, self.targets))
        own, used = {*map(id, model.parameters())}, (id(x) for node in history([self.value]) for x in node.inputs)
        self.loss_uses_model = any(key in own for key in used)
        self.few, self.takes_few = self._few()
        self.learned: Module | None = None
        self.has_moved = False

    def copies(self) -> tuple[Module, Loss]:
        """Fresh copies of the model and the loss."""
        return deepcopy(self.originals)

    def _few(self) -> tuple[Batch, bool]:
        """A few rows, or all if the model or the loss takes no fewer; and whether it does."""
        few = trees.map_leaves(lambda x: x[:FEW], self.inputs), trees.map_leaves(lambda x: x[:FEW], self.targets)
        model, loss = self.copies()
        try:
            loss(outputs_of(in_mode(model, True), few[0]), few[1])
        except Exception:  # whatever the user's functions raise
            return (self.inputs, self.targets), False
        return few, True

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


def real_parts(x: Any) -> tuple[Any, ...]:
    """The array itself, or the real and the imaginary part of complex numbers."""
    return (x.real, x.imag) if x.dtype.kind == "c" else (x,)


def is_real(x: Any) -> bool:
    """Whether this is an array of real numbers, in which a gradient can flow."""
    return getattr(getattr(x, "dtype", None), "kind", "") == "f"
