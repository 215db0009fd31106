"""`Recorder`: what a training did from epoch to epoch, so that it can be played back."""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.grad_mode import no_grad
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.nn import Module
from tinygrad_lite.nn.module import in_mode
from tinygrad_lite.training.batches import Batch, count_of, outputs_of, plain
from tinygrad_lite.training.training_run import Loss, Training

ROWS = UNITS = 32
"""The numbers of rows, and of entries in each, that are kept of activations."""

SIDE = 48
"""Points along each axis of the plane of two inputs."""


@dataclass(frozen=True)
class Frame:
    """A moment of a training.

    Attributes:
        epoch: how many epochs came before.
        loss: of the recorder's batch.
        weights: of each parameter, by its path.
        gradients: the same, but for parameters that no gradient reaches, such as frozen ones.
        activations: of each layer without layers inside, by its path: some rows, with some numbers each.
        plane: the outputs at a grid of points, if the model has two numbers as inputs.
    """

    epoch: int
    loss: float
    weights: dict[str, Array]
    gradients: dict[str, Array]
    activations: dict[str, Array]
    plane: Array | None


class Recorder:
    """Records weights, gradients, activations and the loss of one batch, each time that it is called.

    It is a callback of `tg.fit`; in a loop of your own, make it before the first epoch, so that it records the start,
    and call `record()` after each epoch. `tg.explain(model, history=recorder)` plays the training back.

    Attributes:
        frames: the moments so far.

    Raises:
        UsageError: if the batch is not a pair.

    Example:
        >>> import tinygrad_lite as tg
        >>> x = np.random.default_rng(0).normal(size=(50, 2))
        >>> model, loss = tg.nn.Linear(2, 1, rng=0), tg.nn.MSELoss()
        >>> recorder = tg.training.Recorder(model, loss, (x, x[:, :1]))
        >>> history = tg.fit(model, loss, (x, x[:, :1]), epochs=3, callbacks=[recorder], rng=0)
        >>> [frame.epoch for frame in recorder.frames]
        [0, 1, 2, 3]
    """

    def __init__(self, model: Module, loss: Loss, batch: Batch) -> None:
        if not (isinstance(batch, (tuple, list)) and len(batch) == 2):
            raise UsageError("a recorder's batch is a pair (inputs, targets)")
        self.model, self.loss = model, loss
        self.inputs, self.targets = plain(batch[0]), plain(batch[1])
        self.rows = count_of(batch)
        self.frames: list[Frame] = []
        self.record()

    def __repr__(self) -> str:
        return f"Recorder(model={type(self.model).__name__}, rows={self.rows}, frames={len(self.frames)})"

    def __call__(self, training: Training) -> None:
        """Record the epoch that has ended."""
        self.record()

    def record(self) -> None:
        """Append a frame; the model does not change."""
        model, loss = deepcopy((self.model, self.loss))
        in_mode(model, False)
        plane = self._plane(model)
        activations: dict[str, Array] = {}
        for path, layer in model.named_modules():
            if path and not list(layer.children()):
                layer.register_forward_hook(_keep(activations, path))
        value = loss(outputs_of(model, self.inputs), self.targets)
        if not isinstance(value, Tensor) or value.size != 1:
            raise UsageError(f"the loss must be a tensor of one number, got {value!r}")
        for w in model.parameters():
            w.grad = None
        value.backward()
        parameters = dict(model.named_parameters())
        self.frames.append(
            Frame(
                len(self.frames),
                float(value),
                {path: np.array(w.data) for path, w in parameters.items()},
                {path: np.array(w.grad.data) for path, w in parameters.items() if w.grad is not None},
                activations,
                plane,
            )
        )

    @property
    def two_inputs(self) -> bool:
        """Whether the inputs are two numbers for each row, so that all outputs fit into a picture."""
        return isinstance(self.inputs, np.ndarray) and self.inputs.dtype.kind == "f" and self.inputs.shape[1:] == (2,)

    def bounds(self) -> Array:
        """The smallest and the largest of the two inputs, with a margin: ((x, x), (y, y))."""
        low, high = self.inputs.min(axis=0), self.inputs.max(axis=0)
        margin = 0.08 * (high - low) + 1e-12
        return np.stack([low - margin, high + margin], axis=1)

    def _plane(self, model: Module) -> Array | None:
        if not self.two_inputs:
            return None
        across, down = (np.linspace(low, high, SIDE) for low, high in self.bounds())
        points = np.stack(np.meshgrid(across, down[::-1]), axis=-1).reshape(-1, 2).astype(self.inputs.dtype)
        with no_grad():
            outputs = plain(outputs_of(model, points))
        return np.reshape(outputs, (SIDE * SIDE, -1)) if isinstance(outputs, np.ndarray) else None

    def losses_on_plane(self, points: Array, start: Array, axes: Array) -> Array:
        """The losses of the batch with the weights `start + point @ axes`, all parameters in one vector."""
        model, loss = deepcopy((self.model, self.loss))
        in_mode(model, False)
        parameters = list(model.parameters())
        losses = []
        with no_grad(), np.errstate(all="ignore"):
            for point in points:
                flat, at = start + point @ axes, 0
                for w in parameters:
                    w.replace(flat[at : at + w.size].reshape(w.shape).astype(w.dtype))
                    at += w.size
                losses.append(float(loss(outputs_of(model, self.inputs), self.targets)))
        return np.array(losses)


def _keep(activations: dict[str, Array], path: str) -> Any:
    """A hook that keeps a part of a layer's output."""

    def hook(layer: Any, inputs: Any, output: Any) -> None:
        first = trees.leaves(output)[0]
        if isinstance(first, Tensor) and first.ndim:
            array = np.asarray(first.data)[:ROWS]
            activations[path] = np.array(array.reshape(len(array), -1)[:, :UNITS])

    return hook


def recorders_of(history: Any) -> dict[str, Recorder]:
    """The recorders in a history to play back: one, several, or several with names.

    Raises:
        InputError: if a recorder has no frame but the first, or if its model changed its form from one to the next.
        UsageError: if it is anything else.
    """
    if isinstance(history, Recorder):
        named = {"": history}
    elif isinstance(history, dict):
        named = history
    elif isinstance(history, (list, tuple)):
        named = {f"run {k}": recorder for k, recorder in enumerate(history, 1)}
    else:
        named = {}
    if not named or not all(isinstance(recorder, Recorder) for recorder in named.values()) or len(named) > 2:
        raise UsageError(
            "history is a tg.training.Recorder, or two of them to compare: history={'lr 0.1': a, 'lr 1': b}; "
            f"got {history!r:.60}"
        )
    if short := [name for name, recorder in named.items() if len(recorder.frames) < 2]:
        which = f"the recorder {short[0]!r}" if short[0] else "the recorder"
        raise InputError(f"{which} has no epoch: pass it to tg.fit as a callback, or call record() after each one")
    for recorder in named.values():
        _look_for_changes(recorder.frames)
    return named


def _look_for_changes(frames: list[Frame]) -> None:
    """Raise an error if a parameter came, went, or got another shape."""
    first = {path: w.shape for path, w in frames[0].weights.items()}
    for frame in frames[1:]:
        now = {path: w.shape for path, w in frame.weights.items()}
        for path in dict.fromkeys((*first, *now)):
            if first.get(path) != now.get(path):
                before, after = (f"of shape {d[path]}" if path in d else "not there" for d in (first, now))
                raise InputError(
                    f"the model changed while it was recorded: {path} was {before} at first, and {after} after "
                    f"{frame.epoch} epoch{'' if frame.epoch == 1 else 's'}; a playback shows one model, so make a new "
                    "tg.training.Recorder once it has its form"
                )
