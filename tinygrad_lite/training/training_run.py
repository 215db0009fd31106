"""`Training`: what takes part in a training run, and its steps."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tinygrad_lite.compiler import compile
from tinygrad_lite.data import DataLoader
from tinygrad_lite.foundation.signatures import signature
from tinygrad_lite.nn import Module, functional, losses
from tinygrad_lite.nn.module import in_mode
from tinygrad_lite.nn.utils import clip_grad_norm_
from tinygrad_lite.optim import Optimizer
from tinygrad_lite.optim.lr_scheduler import CyclicLR, OneCycleLR, ReduceLROnPlateau
from tinygrad_lite.training.batches import Batch, count_of, grouped, outputs_of
from tinygrad_lite.training.history import History

Loss = Callable[[Any, Any], Any]
"""A function of a model's outputs and the targets."""

_FUNCTIONS = {
    losses.BCELoss: functional.binary_cross_entropy,
    losses.BCEWithLogitsLoss: functional.binary_cross_entropy_with_logits,
    losses.CrossEntropyLoss: functional.cross_entropy,
    losses.NLLLoss: functional.nll_loss,
    losses.SoftMarginLoss: functional.soft_margin_loss,
}


def function_of(loss: Loss) -> Any:
    """The function that a loss of this package calls if it is a module; else the loss itself."""
    return _FUNCTIONS.get(type(loss), loss)


@dataclass
class Training:
    """A training run, as callbacks get it after each epoch.

    Attributes:
        history: the figures of each epoch so far.
        batches: those of the latest step.
    """

    model: Module
    loss: Loss
    optimizer: Optimizer
    loader: DataLoader
    scheduler: Any = None
    clip_norm: float | None = None
    accumulate: int = 1
    history: History = field(default_factory=History)
    batches: Sequence[Batch] = ()

    def step(self, *batches: Batch) -> Any:
        """Make one step by the mean gradient of some batches; return the mean of their losses."""
        if type(self.optimizer).step is Optimizer.step:
            value = self.gradient(*batches)
            self._clip()
            self.optimizer.step()
            return value

        def closure() -> Any:
            value = self.gradient(*batches)
            if self.is_shared:
                value = self.optimizer.average(value)  # type: ignore[attr-defined]
            self._clip()
            return value

        own = self._own_optimizer
        if not signature(own.step).parameters:  # a user's own, which takes the gradients as they are
            value = closure()
            own.step()
            return value
        return own.step(closure)  # which may compute the loss several times

    def gradient(self, *batches: Batch) -> Any:
        """Compute the mean gradient of some batches; return the mean of their losses."""
        self.optimizer.zero_grad()
        count, total = len(batches), None
        for inputs, targets in batches:
            value = self.loss(outputs_of(self.model, inputs), targets)
            value = value / count if count > 1 else value
            value.backward()
            total = value.detach() if total is None else total + value.detach()
        return total

    def update(self) -> None:
        """Make one step by the present gradient."""
        self._clip()
        self._own_optimizer.step()

    @property
    def is_shared(self) -> bool:
        """Whether the optimiser averages gradients over several processes."""
        return hasattr(self.optimizer, "average")

    @property
    def _own_optimizer(self) -> Optimizer:
        return self.optimizer.optimizer if self.is_shared else self.optimizer  # type: ignore[attr-defined]

    def _clip(self) -> None:
        if self.clip_norm is not None:
            clip_grad_norm_(self.optimizer.parameters, self.clip_norm)

    def epoch(self, step: Callable[..., Any]) -> Iterator[tuple[Any, int]]:
        """One step after another, to the end of the loader; the loss and the number of rows of each."""
        self._begin_training()
        counts_steps = isinstance(self.scheduler, (CyclicLR, OneCycleLR))
        for batches in grouped(self.loader, self.accumulate):
            self.batches = batches
            yield step(*batches), sum(map(count_of, batches))
            if counts_steps:
                self.scheduler.step()

    def _begin_training(self) -> None:
        """Switch the model to training; in one that is so already, layers in evaluation mode stay in it."""
        if self.model.training and not self._has_own_train:
            return  # as at most epochs
        resting = [module for module in self.model.modules() if not module.training] if self.model.training else []
        in_mode(self.model, True)
        for module in resting:
            module.training = False

    @cached_property
    def _has_own_train(self) -> bool:
        """Whether a module of the user's has its own `train`, which waits to be called at each epoch."""
        return any(type(module).train is not Module.train for module in self.model.modules())

    def count_epoch(self, record: Mapping[str, float]) -> None:
        """Tell a schedule that counts epochs about one with these figures."""
        if isinstance(self.scheduler, ReduceLROnPlateau):
            self.scheduler.step(record.get("validation_loss", record["loss"]))
        elif self.scheduler is not None and not isinstance(self.scheduler, (CyclicLR, OneCycleLR)):
            self.scheduler.step()


def compiled_step(training: Training, backend: bool | str) -> Callable[..., Any]:
    """The step of a training, compiled; the very first call runs uncompiled, since it makes the state of the optimiser.

    If several processes share a step, its gradient and its update are two programs.
    """
    name = None if backend is True else str(backend)
    if training.is_shared:
        gradient, update = compile(training.gradient, name), compile(training.update, name)

        def compiled(*batches: Batch) -> Any:
            value = training.optimizer.average(gradient(*batches))  # type: ignore[attr-defined]
            update()
            return value
    else:
        compiled = compile(training.step, name)
    has_begun = False

    def step(*batches: Batch) -> Any:
        nonlocal has_begun
        if not has_begun:
            has_begun = True
            if not training.history.records:  # and not one that goes on from a checkpoint
                return training.step(*batches)
        return compiled(*batches)

    return step
