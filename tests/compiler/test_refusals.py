"""Operations that refuse values: a compiled function does what the function itself does about the error."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import trees
from tinygrad_lite.errors import UsageError

GOOD, BAD = np.array([[2.0, 0.0], [0.0, 4.0]]), np.zeros((2, 2))


def unless_refused(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def caught(x: Any) -> Any:
        try:
            return f(x)
        except np.linalg.LinAlgError:
            return 1e25 + np.sum(x)

    return caught


REFUSING: dict[str, Callable[[Any], Any]] = {
    "cholesky": lambda x: np.sum(np.linalg.cholesky(x)),
    "solve": lambda x: np.sum(np.linalg.solve(x, np.ones(2))),
    "inv": lambda x: np.trace(np.linalg.inv(x @ x)),
    "of a large matrix": lambda x: np.sum(np.linalg.inv(np.kron(np.eye(20), x))),
}


@pytest.mark.parametrize("name", REFUSING)
def test_an_error_that_a_function_catches(name: str, backend: str) -> None:
    f = unless_refused(REFUSING[name])
    for function in (f, tg.value_and_grad(f)):
        compiled = tg.compile(function, backend)
        for x in (GOOD, BAD, 2 * GOOD, BAD, GOOD):
            for found, expected in zip(trees.leaves(compiled(x)), trees.leaves(function(x)), strict=True):
                np.testing.assert_allclose(found, expected)


def test_an_error_that_it_does_not_catch(backend: str) -> None:
    compiled = tg.compile(np.linalg.inv, backend)
    np.testing.assert_allclose(compiled(GOOD), np.linalg.inv(GOOD))
    for _ in range(2):
        with pytest.raises(np.linalg.LinAlgError, match="Singular matrix") as caught:
            compiled(BAD)
        assert caught.value.__context__ is None or caught.value.__suppress_context__
    np.testing.assert_allclose(compiled(2 * GOOD), np.linalg.inv(2 * GOOD))


def test_histories_of_tensors(backend: str) -> None:
    compiled = tg.compile(unless_refused(REFUSING["cholesky"]), backend)
    for x in (GOOD, BAD, GOOD):
        leaf = tg.tensor(x, requires_grad=True)
        compiled(leaf).backward()
        np.testing.assert_allclose(leaf.grad, tg.grad(unless_refused(REFUSING["cholesky"]))(x))


def test_with_random_numbers_the_error_is_raised(backend: str) -> None:
    """The function itself would draw others."""
    rng = np.random.default_rng(0)
    compiled = tg.compile(unless_refused(lambda x: np.sum(rng.normal(size=2) @ np.linalg.inv(x))), backend)
    compiled(GOOD)
    with pytest.raises(np.linalg.LinAlgError):
        compiled(BAD)


@pytest.mark.parametrize(
    ("f", "x", "operation"),
    [
        (unless_refused(REFUSING["cholesky"]), BAD, "cholesky"),
        (unless_refused(REFUSING["solve"]), BAD, "solve"),
    ],
)
def test_a_first_call_that_raises_it(f: Any, x: Any, operation: str) -> None:
    with pytest.raises(UsageError, match=f"catches an error of {operation} at"):
        tg.compile(f)(x)


def test_what_differs_for_another_reason_is_no_such_error() -> None:
    """Although operations made of others are tried, and raise errors in between."""
    turns = iter(range(10))
    with pytest.raises(UsageError, match="does not do the same when it is run again"):
        tg.compile(lambda x: np.sort(np.linalg.matrix_rank(x) + x, axis=0) + sum([x] * next(turns)))(GOOD)
