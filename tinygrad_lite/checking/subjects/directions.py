"""A function of many variables, and its products with tangents, along a few random directions of each variable."""

from typing import Any

import numpy as np

from tinygrad_lite.checking.subjects.results import flat
from tinygrad_lite.checking.subjects.subject import Subject, random_weights
from tinygrad_lite.checking.subjects.supplied import Products

COUNT = 3  # the number of directions of each variable


def along_directions(subject: Subject, rng: "np.random.Generator") -> Subject:
    """The subject as a function of how far it moves along random directions, each within one variable.

    An entry at one of its bounds does not move.
    """
    size = np.where(subject.varies, np.abs(subject.point), 0)
    room = np.minimum(subject.point - subject.lower, subject.upper - subject.point)
    steps = {}
    for k, v in enumerate(subject.variables):
        part = subject.columns(k)
        usual = float(np.sqrt(np.mean(size[part] ** 2))) or 1.0
        longest = np.where(subject.varies[part] & (room[part] > 1e-3 * usual), np.maximum(size[part], 0.1 * usual), 0)
        steps[v.path] = longest[:, None] * random_weights(rng, (v.size, COUNT))

    def moves(lengths: dict[str, Any]) -> list[Any]:
        return [np.reshape(steps[v.path] @ lengths[v.path], v.shape) for v in subject.variables]

    def f(lengths: dict[str, Any]) -> Any:
        return subject.returned([x + move for x, move in zip(subject.split(subject.point), moves(lengths))])

    def jvp(lengths: dict[str, Any], tangent: dict[str, Any]) -> Any:
        return subject.tangents(subject.point + flat(moves(lengths)), flat(moves(tangent)))

    farthest = np.concatenate([np.sum(np.abs(step), axis=1) for step in steps.values()])
    reach = float(np.min(room[farthest > 0] / farthest[farthest > 0], initial=np.inf))
    start = {path: np.zeros(COUNT) for path in steps}
    along = Subject(f, (start,), Products(None, jvp), bounds=(-reach, reach), names=[""])
    along.name, along.epsilon, along.opaque = subject.name, subject.epsilon, subject.opaque
    along.remarks += [
        *subject.remarks,
        f"of {len(subject.point):,} entries, {COUNT} random directions of each variable were checked",
    ]
    return along
