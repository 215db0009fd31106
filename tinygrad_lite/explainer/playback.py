"""A recorded training as a page: its epochs to scrub through, with weights, gradients, activations and the loss.

One file that needs no network. Arrays are 16-bit integers times a scale, the same over all epochs, so that colours
compare.
"""

import os
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.explainer.files import frame, page, write
from tinygrad_lite.foundation.phrases import parts, phrase
from tinygrad_lite.training.metrics import between
from tinygrad_lite.training.recorder import SIDE, Frame, Recorder

SCRIPTS = ("german", "messages", "arrays", "plots", "playback")
STYLES = ("page", "playback")
FRAMES = 200
"""The largest number of epochs in a page; if there are more, it shows evenly spread ones."""

BYTES = 2_000_000
"""The size that arrays may have, over all epochs."""

GRID = 25
"""Points along each axis of the landscape."""

WORK = 2e9
"""The multiplications that the landscape may take: a loss takes one for each parameter and each row."""

COARSEST = 9
"""The fewest points along an axis that make a landscape."""

SUDDEN = 1e6
"""How many times larger than at first numbers must become to count as diverging: then colours show how it began."""

NOT_FINITE = -32768
"""The integer that stands for NaN and infinities."""

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
            f"{name or 'training'}: {_epochs(len(recorder.frames) - 1)}, loss {recorder.frames[0].loss:.4g} to "
            f"{recorder.frames[-1].loss:.4g}"
            for name, recorder in self.recorders.items()
        )
        return f"Playback of {runs}; to_html(path) writes the page"

    def html(self) -> str:
        """The page."""
        model = type(next(iter(self.recorders.values())).model).__name__
        title = phrase("The training of {model}", model=model)
        return page("playback.html", title, _content(self.recorders) | {"title": parts(title)}, SCRIPTS, STYLES, [])

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the page: one file to open in a browser.

        Raises:
            FileError: if the path cannot be written; an existing file stays as it was.
        """
        write(Path(path), self.html())

    def _repr_html_(self) -> str:
        return frame(self.html(), "The training", 820)


def _epochs(count: int) -> str:
    return f"{count:,} epoch{'' if count == 1 else 's'}"


def _content(recorders: Mapping[str, Recorder]) -> dict[str, Any]:
    shown = {name: _spread(recorder.frames) for name, recorder in recorders.items()}
    largest = _largest(list(shown.values()))
    with np.errstate(all="ignore"):  # a training that diverges is shown as it is
        runs = [_run(name, recorders[name], frames, largest) for name, frames in shown.items()]
        landscape = _landscape(list(recorders.values()), list(shown.values()))
    return {"runs": runs, "landscape": parts(landscape) if isinstance(landscape, str) else landscape}


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
        "activations": [_activation(path, frames) for path in _in_all(frames)],
    }
    if frames[0].plane is not None:
        told["plane"] = _plane(recorder, frames)
    return told


def _in_all(frames: Sequence[Frame]) -> list[str]:
    """The layers that ran in each frame, with outputs of one shape."""
    shapes = [{path: array.shape for path, array in frame.activations.items()} for frame in frames]
    return [path for path, shape in shapes[0].items() if all(other.get(path) == shape for other in shapes)]


def _parameter(path: str, frames: Sequence[Frame], largest: int) -> dict[str, Any]:
    weights = np.stack([frame.weights[path] for frame in frames])
    gradients = np.stack([frame.gradients.get(path, np.zeros(weights.shape[1:])) for frame in frames])
    shape = weights.shape[1:]
    told: dict[str, Any] = {
        "name": path,
        "shape": list(shape),
        "norms": [[_number(_norm(x)) for x in arrays] for arrays in (weights, gradients)],
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
    if not any(path in frame.gradients for frame in frames):
        del told["gradients"]
    return told


def _activation(path: str, frames: Sequence[Frame]) -> dict[str, Any]:
    arrays = np.stack([frame.activations[path] for frame in frames])
    silent = [int(np.sum(np.all(x == 0, axis=0))) for x in arrays]
    return {"name": path, "rows": arrays.shape[1], "columns": arrays.shape[2], "silent": silent, **_packed(arrays)}


def _plane(recorder: Recorder, frames: Sequence[Frame]) -> dict[str, Any]:
    """The outputs of the model for all pairs of inputs, and the rows of the batch."""
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
        chosen = np.where(np.isfinite(outputs).all(axis=2), outputs.argmax(axis=2), np.nan)
        return told | _packed(chosen, 32767)
    middle = between(recorder.loss)
    classes = np.unique(targets)
    known = middle if middle is not None else float(np.mean(targets))
    told["targets"] = (targets[:, 0] - (np.mean(classes) if len(classes) == 2 else known)).tolist()
    return told | _packed(outputs[:, :, 0] - known)


def _landscape(recorders: Sequence[Recorder], runs: Sequence[Sequence[Frame]]) -> dict[str, Any] | str:
    """The loss in the plane through the weights that fits the paths best, by their principal components.

    A text says why there is none.
    """
    paths = [np.stack([np.concatenate([np.ravel(w) for w in f.weights.values()]) for f in frames]) for frames in runs]
    if len({path.shape[1] for path in paths}) > 1:
        return phrase("the two models differ in their weights")
    together = np.concatenate(paths).astype(float)
    moved = np.max(np.abs(together - together[0]))
    if not moved < SUDDEN * max(1.0, np.max(np.abs(together[0]))):
        return phrase("the weights diverge")
    side = int((WORK / (recorders[0].rows * together.shape[1])) ** 0.5)
    if side < COARSEST:
        return phrase("the model is too large to compute its loss at {n} points", n=COARSEST**2)
    start = together.mean(axis=0)
    _, sizes, axes = np.linalg.svd(together - start, full_matrices=False)
    if len(sizes) < 2 or not sizes[0]:
        return phrase("the weights stay where they are") if not moved else phrase("there is one weight")
    side = min(side, GRID)
    axes = axes[:2]
    places = [(path - start) @ axes.T for path in paths]
    low, high = (getattr(np.concatenate(places), side)(axis=0) for side in ("min", "max"))
    margin = 0.25 * np.maximum(high - low, 0.1 * np.max(high - low))
    low, high = low - margin, high + margin
    across, down = (np.linspace(low[k], high[k], side) for k in (0, 1))
    points = np.stack(np.meshgrid(across, down[::-1]), axis=-1).reshape(-1, 2)
    losses = recorders[0].losses_on_plane(points, start, axes)
    share = float(np.sum(sizes[:2] ** 2) / np.sum(sizes**2))
    return {
        "side": side,
        "bounds": [[low[0], high[0]], [low[1], high[1]]],
        "losses": [_number(loss) for loss in losses],
        "paths": [place.tolist() for place in places],
        "share": share,
    }


def _packed(arrays: Array, largest: float | None = None) -> dict[str, Any]:
    """Arrays, one for each frame, as integers from -32,767 to 32,767, and what these stand for."""
    known = np.isfinite(arrays)
    finite = np.where(known, arrays, 0.0)
    sizes = np.max(np.abs(finite), axis=tuple(range(1, finite.ndim)), initial=0)
    scale = float(np.max(sizes, initial=0)) if largest is None else largest
    first = float(sizes[np.argmax(sizes > 0)]) if scale else 0.0
    told: dict[str, Any] = {}
    if largest is None and scale > SUDDEN * first:
        scale = 10 * first
        told["cut"] = True  # larger numbers have the colour of the largest
    if not known.all():
        told["lost"] = True
    whole = np.rint(np.clip(finite / scale, -1, 1) * 32767) if scale else np.zeros(finite.shape)
    data = np.where(known, whole, NOT_FINITE).astype("<i2")
    return {"scale": scale, **told, "data": b64encode(data.tobytes()).decode("ascii")}


def _norm(x: Array) -> float:
    """The norm of an array whose squares may be too large for a number."""
    largest = float(np.max(np.abs(x), initial=0))
    return largest * float(np.linalg.norm(x / largest)) if 0 < largest < np.inf else largest


def _number(x: Any) -> float | str:
    """A number for JSON, which has no NaN."""
    return float(x) if np.isfinite(x) else str(float(x))
