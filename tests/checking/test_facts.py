"""Diagnoses use what a declaration says: a user's own operations are diagnosed like ours."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.checking.auditing.audit import audit_gradients
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import operation, operations
from tinygrad_lite.errors import AnomalyError
from tinygrad_lite.nn import functional

X = np.random.default_rng(0).normal(size=(64, 5))


def own_rectifier() -> Op:
    return tg.elementwise(
        lambda x: np.where(x > 0, x, 0),
        lambda y, x: np.greater(x, 0),
        name="own",
        kind="rectifying",
        chooses="its input is at most 0",
    )


def own_sigmoid() -> Op:
    return tg.elementwise(lambda x: functional.sigmoid(x), lambda y, x: y * (1 - y), name="own", kind="saturating")


def own_largest() -> Op:
    def vjp(g: Any, y: Any, x: Any) -> Any:
        return g[..., None] * np.equal(x, y[..., None])

    return tg.primitive(lambda x: np.max(x, axis=-1), vjp, name="own", chooses="another entry is the largest")


def own_product() -> Op:
    return tg.primitive(lambda a, b: a * b, lambda g, y, a, b: g * b, lambda g, y, a, b: g * a, name="own", linear=True)


def own_layer() -> Op:
    return tg.primitive(
        lambda x, w, b: x @ w.T + b,
        lambda g, y, x, w, b: g @ w,
        lambda g, y, x, w, b: g.T @ x,
        lambda g, y, x, w, b: g,
        name="own",
        kind="multiplying",
    )


def own_steps() -> Op:
    return tg.elementwise(lambda x: np.floor(x), lambda y, x: np.zeros_like(x), name="own")


# for each fact, an operation of a user's that states it, which of ours does, and a loss that hangs on w by it
ALIKE: dict[str, tuple[Callable[[], Op], str, Callable[[Any, Any], Any]]] = {
    "rectifying": (own_rectifier, "relu", lambda op, w: np.mean(op(X @ w - 100))),
    "zeros of one that rectifies": (own_rectifier, "relu", lambda op, w: np.mean(op(X @ w - 100) * np.sum(w))),
    "saturating": (own_sigmoid, "sigmoid", lambda op, w: np.mean(op(X @ w - 60))),
    "saturating, and the gradient is 0": (own_sigmoid, "sigmoid", lambda op, w: np.mean(op(X @ w - 1000))),
    "chooses": (own_largest, "max", lambda op, w: np.mean(op(X @ w + 1e3 * (np.arange(8) == 3)))),
    "linear": (own_product, "multiply", lambda op, w: np.mean(op(X @ w, np.zeros(8)))),
    "multiplying": (own_layer, "linear", lambda op, w: np.mean(op(np.zeros((64, 5)), w.T, np.ones(8)))),
    "flat": (own_steps, "floor", lambda op, w: np.mean(op(X @ w))),
}


@pytest.mark.parametrize("fact", ALIKE)
def test_a_users_own_operation_is_diagnosed_as_ours_is(fact: str) -> None:
    declare, name, loss = ALIKE[fact]

    def called(op: Op) -> Callable[..., Any]:
        if op.name == "max":
            return lambda x: op(x, axis=-1)
        return op

    own, ours = declare(), operation(name)
    diagnoses = []
    for op in (ours, own):
        w = tg.tensor(np.random.default_rng(1).normal(size=(5, 8)), requires_grad=True, name="w")
        weight = audit_gradients({"w": w}, lambda op=op, w=w: loss(called(op), w))["w"]
        assert weight.cause is not None
        diagnoses.append((weight.status, weight.cause.text.replace(f"{op.name} ", "· ").replace(f" {op.name}", " ·")))
    assert diagnoses[0] == diagnoses[1]
    assert "at these numbers" not in diagnoses[0][1]  # that is what is said where nothing is known


@pytest.mark.parametrize("fact", ["rectifying", "chooses", "saturating, and the gradient is 0"])
def test_the_checker_says_alike_why_there_is_no_gradient(fact: str) -> None:
    x = np.array([[-1e4, 1.0], [2.0, -1e4]])
    own = ALIKE[fact][0]()
    why = {
        finding.why for finding in tg.gradcheck(lambda x: np.sum(own(x)), x).findings if "no grad" in finding.verdict
    }
    assert why == {f"not chosen: {own.chooses}" if own.chooses else "saturated: its slope is zero there"}


MOVING = [op for op in operations() if op.kind == "moving"]


@pytest.mark.parametrize("op", MOVING, ids=str)
def test_a_nan_may_pass_where_entries_are_moved(op: Op) -> None:
    shapes, params = op.examples[0] if op.examples else ([(3,)] * (op.arity or 1), {})
    arrays = [tg.tensor(np.full(x, np.nan), requires_grad=True) if isinstance(x, tuple) else x for x in shapes]
    with tg.detect_anomaly():
        assert np.isnan(op(*arrays, **params).numpy()).any() or op.name == "imag"


def test_a_users_own_operation_that_moves_entries_lets_a_nan_pass() -> None:
    x = tg.tensor([np.nan, 1.0], requires_grad=True)
    with pytest.raises(AnomalyError), tg.detect_anomaly():
        tg.primitive(lambda x: x[::-1].copy(), lambda g, y, x: g[::-1], name="computing")(x)
    with tg.detect_anomaly():
        tg.primitive(lambda x: x[::-1].copy(), lambda g, y, x: g[::-1], name="turned", kind="moving")(x)


def test_an_operation_in_the_place_of_another_takes_over_its_facts() -> None:
    ours = operation("tanh")
    assert ours.kind == "saturating"
    again = tg.elementwise(np.tanh, lambda y, x: 1 - y * y, name="own_tanh")
    assert (again.kind, again.on_complex) == (ours.kind, ours.on_complex)
