"""Pages of programs with matrices: each number that is changed gives what Python computes for it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.explainer.test_page import Show

NUMBERS = np.random.default_rng(0)
SQUARE = NUMBERS.normal(size=(3, 3))


def _definite(x: Any) -> Any:
    return x @ x.T + np.eye(len(x))


def _root(x: Any) -> Any:
    values, vectors = np.linalg.eigh(_definite(x))
    return np.sum((vectors * np.sqrt(values)) @ vectors.T @ np.arange(3.0))


def _of_low_rank(x: Any) -> Any:
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    return np.sum(np.tanh(u[:, :2] * s[:2] @ vt[:2]))


def _closest_rotation(x: Any) -> Any:
    u, _, vt = np.linalg.svd(x)
    return np.sum((u @ vt) ** 3)


def _factors(x: Any) -> Any:
    q, r = np.linalg.qr(x)
    return np.sum(np.tanh(q)) + np.sum(r**3)


PROGRAMS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "eigenvalues": (lambda x: np.sum(np.log(np.linalg.eigvalsh(_definite(x)))), SQUARE),
    "square root of a matrix": (_root, SQUARE),
    "singular values": (lambda x: np.sum(np.linalg.svdvals(x) ** 3), NUMBERS.normal(size=(2, 4, 3))),
    "low rank": (_of_low_rank, NUMBERS.normal(size=(5, 3))),
    "low rank of a wide matrix": (_of_low_rank, NUMBERS.normal(size=(3, 5))),
    "closest rotation": (_closest_rotation, SQUARE),
    "QR": (_factors, NUMBERS.normal(size=(4, 3))),
    "QR of a square matrix": (_factors, SQUARE),
    "norms": (lambda x: np.linalg.norm(x, "nuc") + np.linalg.norm(x, 2) + np.linalg.norm(x, np.inf), SQUARE),
    "condition": (lambda x: np.log(np.linalg.cond(x)), SQUARE),
    "pseudo-inverse": (lambda x: np.sum(np.linalg.pinv(x) ** 2), NUMBERS.normal(size=(4, 3))),
    "least squares": (lambda x: np.sum(np.linalg.lstsq(x, np.arange(4.0))[0] ** 2), NUMBERS.normal(size=(4, 2))),
    "exponential": (lambda x: np.sum(tg.linalg.expm(x) @ np.arange(3.0)), SQUARE),
}


def _lesson(f: Callable[[Any], Any], x: Any) -> Any:
    return tg.explain(f, tg.tensor(x, requires_grad=True, name="x"))


@pytest.mark.long
@pytest.mark.parametrize("name", PROGRAMS)
def test_decompositions_are_computed_again(show: Show, name: str) -> None:
    f, x = PROGRAMS[name]
    opened = show(_lesson(f, x))
    for change in (0.3, -1.1):
        changed = x + change * np.sin(np.arange(x.size)).reshape(x.shape)
        numbers = {"shape": list(x.shape), "data": np.ravel(changed).tolist()}
        opened.page.evaluate("([i, numbers]) => lesson.change([[i, numbers]])", [opened.index("x"), numbers])
        again = _lesson(f, changed)
        np.testing.assert_allclose(opened.page.evaluate("lesson.result()"), again.graph.root.value, rtol=1e-9)
        gradient = again.backward.gradients[again.graph.leaves[0]]
        np.testing.assert_allclose(opened.data("gradient", "x"), np.ravel(gradient), rtol=1e-7, atol=1e-9)


def _vectors(x: Any) -> Any:
    return np.linalg.eigh(_definite(x)).eigenvectors


def _matrices(x: Any) -> Any:
    return np.stack([_definite(x), _definite(x.T)])


OF_SIGNS: dict[str, Callable[[Any], Any]] = {
    "entries": lambda x: np.sum(np.tanh(_vectors(x))),
    "handedness": lambda x: np.linalg.det(_vectors(x)),
    "vectors of several matrices": lambda x: np.sum(np.prod(np.linalg.eigh(_matrices(x))[1], axis=0)),
    "singular vectors of several matrices": lambda x: np.sum(np.prod(np.linalg.svd(_matrices(x))[0], axis=0)),
}


@pytest.mark.long
@pytest.mark.parametrize("name", OF_SIGNS)
def test_signs_that_a_result_depends_on_are_not_made_up(show: Show, name: str) -> None:
    opened = show(_lesson(OF_SIGNS[name], SQUARE))
    assert "depends on the signs of the vectors in" in opened.panel()


def test_two_decompositions_keep_their_own_signs(show: Show) -> None:
    opened = show(_lesson(lambda x: _root(x) * _root(-x.T), SQUARE))
    vectors = [node for node in opened.lesson.graph.operations if str(node.op) == "eigh"]
    assert len(vectors) == 2
    x = {"shape": [3, 3], "data": np.ravel(SQUARE).tolist()}
    opened.page.evaluate("([i, numbers]) => lesson.change([[i, numbers]])", [opened.index("x"), x])
    for node in vectors:
        np.testing.assert_allclose(opened.data("value", node.name), np.ravel(node.value), rtol=1e-9, atol=1e-12)
