"""A recorded training as a page: its epochs to scrub through, with weights, gradients, activations and the loss.

One file without a network. Arrays are 16-bit integers times a scale, the same over all epochs, so that colours compare.
"""

import os
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.explainer.files import frame, page, write
from tinygrad_lite.training.metrics import between
from tinygrad_lite.training.recorder import SIDE, Frame, Recorder

SCRIPTS = ("german", "messages", "arrays", "plots", "playback")
STYLES = ("page", "playback")
FRAMES = 200
"""The largest number of epochs in a page; of more, evenly spread ones."""

BYTES = 2_000_000
"""The size that arrays may have, over all epochs."""

GRID = 25
"""Points along each axis of the landscape."""

POINTS = 400
"""Rows of the batch that are drawn into the plane of two inputs."""


class Playback:
    """The result of `tg.explain(model, history=recorder)`: a training to scrub through, as a page.

    Attributes:
        recorders: one or two, by their names.
    """

    def __init__(self, recorders: Mapping[str, Recorder]) -> None:
        self.recorders = dict(recorders)

    def __repr__(self) -> str:
        runs = ", ".join(
            f"{name or 'training'}: {len(recorder.frames) - 1} epochs, loss {recorder.frames[0].loss:.4g} to "
            f"{recorder.frames[-1].loss:.4g}"
            for name, recorder in self.recorders.items()
        )
        return f"Playback of {runs}; to_html(path) writes the page"

    def html(self) -> str:
        """The page."""
        title = f"The training of {type(next(iter(self.recorders.values())).model).__name__}"
        return page("playback.html", title, _content(self.recorders), SCRIPTS, STYLES, [])

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the page: one file to open in a browser.

        Raises:
            FileError: if the path cannot be written; an existing file stays as it was.
        """
        write(Path(path), self.html())

    def _repr_html_(self) -> str:
        return frame(self.html(), "The training", 820)


def _content(recorders: Mapping[str, Recorder]) -> dict[str, Any]:
    shown = {name: _spread(recorder.frames) for name, recorder in recorders.items()}
    largest = _largest(list(shown.values()))
    runs = [_run(name, recorders[name], frames, largest) for name, frames in shown.items()]
    return {"runs": runs, "landscape": _landscape(list(recorders.values()), list(shown.values()))}


def _spread(frames: Sequence[Frame]) -> list[Frame]:
    places = np.unique(np.linspace(0, len(frames) - 1, min(len(frames), FRAMES)).round().astype(int))
    return [frames[k] for k in places]


def _largest(runs: Sequence[Sequence[Frame]]) -> int:
    """The largest number of entries of an array for which all of them fit into the page."""
    sizes = np.array([w.size for frames in runs for w in frames[0].weights.values()])
    count = max(map(len, runs))
    return next((most for most in (4096, 1024, 256) if 4 * count * np.minimum(sizes, most).sum() <= BYTES), 64)


def _run(name: str, recorder: Recorder, frames: Sequence[Frame], largest: int) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": name,
        "epochs": [frame.epoch for frame in frames],
        "losses": [_number(frame.loss) for frame in frames],
        "parameters": [_parameter(path, frames, largest) for path in frames[0].weights],
        "activations": [_activation(path, frames) for path in frames[0].activations],
    }
    if frames[0].plane is not None:
        told["plane"] = _plane(recorder, frames)
    return told


def _parameter(path: str, frames: Sequence[Frame], largest: int) -> dict[str, Any]:
    weights, gradients = (np.stack([getattr(f, part)[path] for f in frames]) for part in ("weights", "gradients"))
    shape = weights.shape[1:]
    told: dict[str, Any] = {
        "name": path,
        "shape": list(shape),
        "norms": [[_number(np.linalg.norm(x)) for x in arrays] for arrays in (weights, gradients)],
    }
    matrices = [x.reshape(len(x), -1, shape[-1] if len(shape) > 1 else max(x[0].size, 1)) for x in (weights, gradients)]
    if len(shape) == 4 and np.prod(shape) <= largest:
        told["kernel"] = [int(shape[0] * shape[1]), *shape[2:]]
    elif matrices[0][0].size > largest:
        rows, columns = (
            np.unique(np.linspace(0, n - 1, min(n, int(largest**0.5))).astype(int)) for n in matrices[0].shape[1:]
        )
        matrices = [x[:, rows][:, :, columns] for x in matrices]
        told["sampled"] = True
    told["rows"], told["columns"] = matrices[0].shape[1:]
    told["weights"], told["gradients"] = map(_packed, matrices)
    return told


def _activation(path: str, frames: Sequence[Frame]) -> dict[str, Any]:
    arrays = np.stack([frame.activations[path] for frame in frames])
    silent = [int(np.sum(np.all(x == 0, axis=0))) for x in arrays]
    return {"name": path, "rows": arrays.shape[1], "columns": arrays.shape[2], "silent": silent, **_packed(arrays)}


def _plane(recorder: Recorder, frames: Sequence[Frame]) -> dict[str, Any]:
    """What the model makes of all pairs of inputs, and the rows of the batch."""
    outputs = np.stack([frame.plane for frame in frames if frame.plane is not None])
    targets = np.asarray(recorder.targets)[:POINTS].reshape(min(recorder.rows, POINTS), -1)
    several = outputs.shape[2] > 1
    told: dict[str, Any] = {
        "side": SIDE,
        "bounds": recorder.bounds().tolist(),
        "points": recorder.inputs[:POINTS].tolist(),
        "classes": several,
    }
    if several:
        told["targets"] = (targets if targets.shape[1] == 1 else targets.argmax(axis=1)[:, None])[:, 0].tolist()
        return told | _packed(outputs.argmax(axis=2), 32767)
    middle = between(recorder.loss)
    classes = np.unique(targets)
    known = middle if middle is not None else float(np.mean(targets))
    told["targets"] = (targets[:, 0] - (np.mean(classes) if len(classes) == 2 else known)).tolist()
    return told | _packed(outputs[:, :, 0] - known)


def _landscape(recorders: Sequence[Recorder], runs: Sequence[Sequence[Frame]]) -> dict[str, Any] | None:
    """The loss in the plane through the weights that fits the paths best, by their principal components."""
    paths = [np.stack([np.concatenate([np.ravel(w) for w in f.weights.values()]) for f in frames]) for frames in runs]
    if len({path.shape[1] for path in paths}) > 1 or not all(np.isfinite(path).all() for path in paths):
        return None
    together = np.concatenate(paths).astype(float)
    start = together.mean(axis=0)
    _, sizes, axes = np.linalg.svd(together - start, full_matrices=False)
    if len(sizes) < 2 or not sizes[0]:
        return None
    axes = axes[:2]
    places = [(path - start) @ axes.T for path in paths]
    low, high = (getattr(np.concatenate(places), side)(axis=0) for side in ("min", "max"))
    margin = 0.25 * np.maximum(high - low, 0.1 * np.max(high - low))
    low, high = low - margin, high + margin
    across, down = (np.linspace(low[k], high[k], GRID) for k in (0, 1))
    points = np.stack(np.meshgrid(across, down[::-1]), axis=-1).reshape(-1, 2)
    losses = recorders[0].losses_on_plane(points, start, axes)
    share = float(np.sum(sizes[:2] ** 2) / np.sum(sizes**2))
    return {
        "side": GRID,
        "bounds": [[low[0], high[0]], [low[1], high[1]]],
        "losses": [_number(loss) for loss in losses],
        "paths": [place.tolist() for place in places],
        "share": share,
    }


def _packed(arrays: Array, largest: float | None = None) -> dict[str, Any]:
    """Arrays as integers from -32,767 to 32,767, and what these stand for."""
    finite = np.nan_to_num(np.asarray(arrays, float), nan=0.0, posinf=0.0, neginf=0.0)
    scale = float(np.max(np.abs(finite), initial=0)) if largest is None else largest
    whole = np.rint(finite * (32767 / scale)) if scale else np.zeros(finite.shape)
    return {"scale": scale, "data": b64encode(whole.astype("<i2").tobytes()).decode("ascii")}


def _number(x: Any) -> float | str:
    """A number for JSON, which has no NaN."""
    return float(x) if np.isfinite(x) else str(float(x))
