"""Wrong declarations are refused: rules that lack arguments, and elementwise operations that are not elementwise."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.errors import ShapeError, TinygradError, UsageError

LACKING: dict[str, tuple[Callable[[], Any], str]] = {
    "the value": (
        lambda: tg.elementwise(lambda a, b: a * b, lambda a, b: b, lambda a, b: a, name="product"),
        r"called with y, x0, x1; this one takes \(a, b\): write lambda y, x0, x1",
    ),
    "the shared expression": (
        lambda: tg.elementwise(lambda x, s: x * s, lambda y, x: y, shared=np.exp, name="product"),
        "called with y, x0, shared",
    ),
    "the upstream gradient": (
        lambda: tg.primitive(lambda x: x.sum(), lambda y, x: x, name="total"),
        r"a derivative of total is called with g, y, x0; this one takes \(y, x\)",
    ),
    "the adjoint": (
        lambda: tg.primitive(lambda x: 2 * x, lambda g, y, x: g, adjoint=lambda g, y, x: 2 * g, name="doubled"),
        r"a derivative of doubled is called with g, y, x0, adjoint; this one takes \(g, y, x\)",
    ),
    "the argument, in an adjoint": (
        lambda: tg.primitive(lambda x: 2 * x, lambda g, y, x, back: back, adjoint=lambda g, y: 2 * g, name="doubled"),
        r"the adjoint of doubled is called with g, y, x0; this one takes \(g, y\)",
    ),
    "the place": (
        lambda: tg.primitive(lambda *x: sum(x), each=lambda g, y, x: g, name="total"),
        "called with i, g, y, x",
    ),
    "the shared expression, in the value": (
        lambda: tg.elementwise(lambda x: x, lambda y, x, s: s, shared=np.exp, name="product"),
        r"the value of product is called with x0, shared; this one takes \(x\): write lambda x0, shared",
    ),
    "nothing, and takes the upstream gradient, too": (
        lambda: tg.elementwise(lambda x: x * x, lambda g, y, x: g * 2 * x, name="square"),
        r"a derivative of square is called with y, x0; this one takes \(g, y, x\): write lambda y, x0: …",
    ),
    "nothing, and takes a parameter that the value does not take": (
        lambda: tg.primitive(lambda x, *, axis=0: x.sum(axis), lambda g, y, x, along: g + 0 * x, name="total"),
        r"a derivative of total is called with g, y, x0; this one takes \(g, y, x, along\)",
    ),
    "nothing, and is a kink of two arguments": (
        lambda: tg.elementwise(np.abs, lambda y, x: np.sign(x), kink=lambda a, b: a - b, name="size"),
        r"the kink of size is called with x0; this one takes \(a, b\)",
    ),
}


@pytest.mark.parametrize("name", LACKING)
def test_a_rule_that_lacks_an_argument_is_refused_where_it_is_declared(name: str) -> None:
    declare, message = LACKING[name]
    with pytest.raises(UsageError, match=message):
        declare()


SHAPES: dict[str, Callable[[Any], Any]] = {
    "sums of rows": lambda x: np.sum(x, axis=1),
    "one number": np.sum,
    "a row": lambda x: x[0],
    "an axis more": lambda x: x[None, ..., None],
}


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_not_entry_by_entry_is_refused_whatever_broadcasts(name: str) -> None:
    forward = SHAPES[name]
    op = tg.elementwise(lambda x: forward(x), lambda y, x: np.ones_like(x), name="mistaken")
    x = np.ones((3, 3))
    assert np.shape(op(x)) == np.shape(forward(x))  # of arrays alone, there is nothing to go wrong
    weights = np.arange(np.size(forward(x))).reshape(np.shape(forward(x)))

    def loss(x: Any) -> Any:
        return np.sum(op(x) * weights)

    compiled = tg.compile(loss, backend="numpy")
    for attempt in (tg.grad(loss), lambda x: compiled(tg.tensor(x, requires_grad=True)), tg.jacobian(op)):
        with pytest.raises(ShapeError, match=r"mistaken is declared by tg.element.*of \(3, 3\): declare it by tg.prim"):
            attempt(x)


def test_rules_with_stars_defaults_and_parameters_are_taken() -> None:
    power = tg.elementwise(
        lambda x, n, *, scale=1.0: scale * x**n,
        lambda y, *x, scale=1.0: scale * x[1] * x[0] ** (x[1] - 1),
        0,
        name="power_of",
    )
    total = tg.primitive(
        lambda x, axis=None: np.sum(x), lambda g, y, x, axis=None: np.broadcast_to(g, x.shape), name="t"
    )
    assert tg.grad(lambda x: power(x, 3.0, scale=2.0))(2.0) == 24.0
    np.testing.assert_array_equal(tg.grad(total)(np.ones(2)), [1.0, 1.0])
    halves = tg.elementwise(lambda a, b: (a + b) / 2, lambda y, a, b: 0.5, 0.5, name="halves")
    np.testing.assert_array_equal(tg.grad(lambda a: np.sum(halves(a, np.ones(3))))(np.ones((2, 1))), [[1.5], [1.5]])


FACTS: dict[str, tuple[dict[str, Any], str]] = {
    "numbers for functions": ({"kink": 0.0}, "size: kink must be a function, got 0.0"),
    "a continuation": ({"on_complex": True}, "size: on_complex must be a function, got True"),
    "a shared value": ({"shared": 3}, "size: shared must be a function, got 3"),
    "a flat domain": ({"domain": (0, np.inf)}, r"size: domain needs an interval \(low, high\) for each argument, such"),
    "two intervals of one argument": ({"domain": ((0, 1), (0, 1))}, "size: domain needs an interval"),
    "an interval from right to left": ({"domain": ((1, 0),)}, "size: domain needs an interval"),
    "an unknown kind": (
        {"kind": "odd"},
        "size: kind must be one of 'moving', 'multiplying', 'rectifying', 'satur.*'odd'",
    ),
}


@pytest.mark.parametrize("name", FACTS)
def test_a_fact_of_another_kind_is_refused_where_it_is_declared(name: str) -> None:
    facts, message = FACTS[name]
    with pytest.raises(UsageError, match=message):
        tg.elementwise(np.abs, lambda y, x: np.sign(x), name="size", **facts)


def test_a_list_of_rules_is_refused_where_it_is_declared() -> None:
    with pytest.raises(UsageError, match=r"the derivative with respect to argument 0 must be a function, got \["):
        tg.primitive(lambda x: 2 * x, [lambda g, y, x: 2 * g], name="twice")  # type: ignore[arg-type]


@pytest.mark.parametrize("declare", [tg.primitive, tg.elementwise])
def test_what_has_no_name_is_refused_unless_it_gets_one(declare: Any) -> None:
    for forward in (lambda x: x, partial(np.sum, axis=0), np.ones(3), "sin"):
        with pytest.raises(UsageError, match=r"needs a function and its name, and .* has none: pass name="):
            declare(forward, lambda *given: 1.0)
    first = tg.primitive(partial(np.sum, axis=0), lambda g, y, x: np.broadcast_to(g, x.shape), name="summed")
    np.testing.assert_array_equal(tg.grad(lambda x: first(x)[0])(np.ones((2, 2))), [[1, 0], [1, 0]])


def test_rules_that_name_parameters_are_taken() -> None:
    """By position, by keyword, or with a default."""
    for rule in (
        lambda g, y, x, factor: g * factor,
        lambda g, y, x, *, factor: g * factor,
        lambda g, y, x, factor=1.0: g * factor,
    ):
        times = tg.primitive(lambda x, factor=1.0: x * factor, rule, name="times")
        assert tg.grad(times)(1.0, factor=3.0) == 3


WRONG_RULES: dict[str, Callable[..., Any]] = {
    "two entries": lambda y, x: x[:2],
    "a list": lambda y, x: [1.0, 2.0],
    "rows, as of a Jacobian": lambda y, x: np.stack([x, x]),
    "nothing": lambda y, x: None,
    "a text": lambda y, x: "2x",
    "an error of NumPy's": lambda y, x: np.ones(2) @ np.ones(3),
}
PASSES = {
    "reverse": lambda square, x: tg.grad(lambda x: square(x).sum())(x),
    "forward": lambda square, x: tg.jvp(square, (x,), (x,)),
    "reverse, large": lambda square, x: tg.grad(lambda x: square(x).sum())(np.resize(x, (300, 300))),
    "reverse twice": lambda square, x: tg.hessian(lambda x: square(x).sum())(x),
    "forward over reverse": lambda square, x: tg.jvp(tg.grad(lambda x: square(x).sum()), (x,), (x,)),
    "forward twice": lambda square, x: tg.jvp(lambda x: tg.jvp(square, (x,), (x,))[1], (x,), (x,)),
}


@pytest.mark.parametrize("direction", PASSES)
@pytest.mark.parametrize("wrong", WRONG_RULES)
def test_a_wrong_elementwise_rule_is_refused_by_the_name_of_its_operation(wrong: str, direction: str) -> None:
    square = tg.elementwise(lambda x: x**2, WRONG_RULES[wrong], name="my_square")
    with pytest.raises(TinygradError) as caught:
        PASSES[direction](square, np.arange(1.0, 4.0))
    # where the rule itself runs on traced values, the error is that of an operation inside it, with a note
    assert "derivative of my_square" in "".join([str(caught.value), *getattr(caught.value, "__notes__", ())])


@pytest.mark.parametrize("direction", ["reverse", "forward"])
def test_a_rule_that_returns_more_entries_than_a_single_number_is_refused(direction: str) -> None:
    """Their sum was the gradient."""
    factors = np.arange(3.0)
    scaled = tg.elementwise(lambda x: x * factors.mean(), lambda y, x: factors, name="scaled")
    with pytest.raises(ShapeError, match="derivative of scaled"):
        PASSES[direction](scaled, np.float64(2.0))


W = np.array([0.5, -1.2, 2.0])
READING: dict[str, Callable[[Any], Any]] = {
    "elementwise": lambda w: tg.elementwise(lambda x: w * x, lambda y, x: np.ones_like(x), name="read"),
    "primitive": lambda w: tg.primitive(lambda x: w * x, lambda g, y, x: g, name="read"),
    "any number of arguments": lambda w: tg.primitive(lambda *x: w * x[0], each=lambda i, g, y, x: g, name="read"),
    "a shared expression": lambda w: tg.elementwise(
        lambda x, s: w * s, lambda y, x, s: np.ones_like(s), shared=lambda x: x + 0, name="read"
    ),
}


@pytest.mark.parametrize("kind", READING)
def test_a_value_read_from_outside_is_refused_since_no_rule_covers_it(kind: str) -> None:
    """Its gradient was lost without a word."""
    declare = READING[kind]
    leaf = tg.tensor(W, requires_grad=True)
    for attempt in (
        lambda: declare(leaf)(leaf),
        lambda: tg.grad(lambda x: np.sum(declare(x)(x)))(W),
        lambda: tg.hessian(lambda x: np.sum(declare(x)(x)))(W),
        lambda: tg.jvp(lambda x: declare(x)(x), (W,), (W,)),
        lambda: tg.jvp(lambda w: tg.grad(lambda x: np.sum(declare(w)(x)))(W), (W,), (W,)),
    ):
        with pytest.raises(UsageError, match="read reads a tensor that is being differentiated and is not an argument"):
            attempt()
    for constant in (W, tg.tensor(W), leaf.detach()):
        y = declare(constant)(leaf)
        assert type(y.data) is np.ndarray
        np.testing.assert_array_equal(y.numpy(), W**2)
    np.testing.assert_array_equal(tg.grad(lambda x: np.sum(declare(tg.stop_gradient(x))(x)))(W), np.ones(3))


RULES_READING: dict[str, Callable[[Any], Any]] = {
    "elementwise": lambda w: tg.elementwise(np.sin, lambda y, x: w * np.cos(x), name="steeper"),
    "primitive": lambda w: tg.primitive(np.sin, lambda g, y, x: g * w * np.cos(x), name="steeper"),
    "any number of arguments": lambda w: tg.primitive(
        lambda *x: np.sin(x[0]), each=lambda i, g, y, x: g * w * np.cos(x[i]), name="steeper"
    ),
    "an adjoint": lambda w: tg.primitive(
        np.sin, lambda g, y, x, back: back, adjoint=lambda g, y, x: g * w * np.cos(x), name="steeper"
    ),
}


@pytest.mark.parametrize("kind", RULES_READING)
def test_a_rule_that_reads_the_variable_of_a_transform_around_depends_on_it(kind: str) -> None:
    """That variable's gradient was 0."""
    x = np.array([0.3, -0.4, 0.9])

    def inner(w: Any) -> Any:
        return np.sum(tg.grad(lambda x: np.sum(RULES_READING[kind](w)(x)))(x))

    others: list[Callable[[Any], Any]] = [
        lambda f: tg.grad(lambda x: np.sum(tg.checkpoint(f)(x)))(x),
        lambda f: tg.value_and_grad(lambda x: np.sum(f(x)))(x)[1],
        lambda f: tg.vjp(f, x)[1](np.ones(3))[0],
        lambda f: tg.jacobian(f)(x),
        lambda f: tg.jvp(f, (x,), (np.ones(3),))[1],
    ]
    for transform in others:
        by_w = tg.grad(lambda w, transform=transform: np.sum(transform(RULES_READING[kind](w))))(W)
        np.testing.assert_allclose(by_w, np.cos(x), rtol=1e-14)
    np.testing.assert_allclose(tg.grad(inner)(W), np.cos(x), rtol=1e-14)
    np.testing.assert_allclose(tg.jvp(inner, (W,), (W,))[1], W @ np.cos(x), rtol=1e-14)
    np.testing.assert_allclose(tg.jvp(tg.grad(lambda w: inner(w) ** 2), (W,), (W,))[1], 2 * np.cos(x) * (W @ np.cos(x)))


DERIVATIVES: dict[str, Callable[[Callable[[Any], Any], Any], Any]] = {
    "grad": lambda f, x: tg.grad(f)(x),
    "value_and_grad": lambda f, x: tg.value_and_grad(f)(x)[1],
    "vjp": lambda f, x: tg.vjp(f, x)[1](1.0)[0],
    "jvp": lambda f, x: tg.jvp(f, (x,), (np.ones(3),))[1],
    "jacobian by rows": lambda f, x: tg.jacobian(f, mode="reverse")(x),
    "jacobian by columns": lambda f, x: tg.jacobian(f, mode="forward")(x),
    "grad through a checkpoint": lambda f, x: tg.grad(tg.checkpoint(f))(x),
}


@pytest.mark.parametrize("derivative", DERIVATIVES)
def test_a_rule_that_reads_a_leaf_gives_it_a_gradient_outside_of_transforms(derivative: str) -> None:
    """The leaf got none, without a word."""
    x = np.array([0.3, -0.4, 0.9])

    def total(steeper: Any) -> Callable[[Any], Any]:
        return lambda x: np.sum(steeper(x))

    for kind, declare in RULES_READING.items():
        for argument in (x, tg.tensor(x), tg.tensor(x, requires_grad=True)):
            leaf = tg.tensor(W, requires_grad=True)
            f = total(declare(leaf))
            slopes = DERIVATIVES[derivative](f, argument)
            np.testing.assert_allclose(np.sum(slopes).item(), W @ np.cos(x), rtol=1e-14, err_msg=kind)
            np.sum(slopes * slopes if np.ndim(slopes) else slopes).backward()
            expected = np.cos(x) if np.ndim(slopes) == 0 else 2 * W * np.cos(x) ** 2
            np.testing.assert_allclose(leaf.grad.numpy(), expected, rtol=1e-14, err_msg=kind)
            with tg.no_grad():
                slopes = DERIVATIVES[derivative](f, argument)
                assert not getattr(slopes, "requires_grad", False)


@pytest.mark.parametrize("kind", RULES_READING)
def test_backward_inside_a_transform_keeps_the_variable_that_a_rule_reads(kind: str) -> None:
    """So it does with the variable in its upstream gradient; the gradients with respect to both were 0."""
    x = np.array([0.3, -0.4, 0.9])

    def by_rule(w: Any) -> Any:
        leaf = tg.tensor(x, requires_grad=True)
        RULES_READING[kind](w)(leaf).backward(np.ones(3))
        return np.sum(leaf.grad**2)

    def by_upstream_gradient(w: Any) -> Any:
        leaf = tg.tensor(x, requires_grad=True)
        RULES_READING[kind](W)(leaf).backward(w)
        return np.sum(leaf.grad**2)

    for function in (by_rule, by_upstream_gradient):
        slopes = 2 * W * np.cos(x) ** 2 * W ** (2 if function is by_upstream_gradient else 0)
        np.testing.assert_allclose(tg.grad(function)(W).data, slopes, rtol=1e-14)
        with pytest.raises(UsageError, match="being differentiated"):
            tg.jvp(function, (W,), (W,))
    outside = tg.tensor(x, requires_grad=True)
    by_leaf = RULES_READING[kind](tg.tensor(W, requires_grad=True))(outside)
    by_leaf.backward(np.ones(3))
    assert not outside.grad.requires_grad
