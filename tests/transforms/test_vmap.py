"""vmap and stacks of examples: each result is that of the function for one example after the other."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.linalg import sqrtm

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.transforms import dual

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 4))
T = RNG.normal(size=5)
W = RNG.normal(size=4)
A = RNG.normal(size=(4, 4))
M = RNG.normal(size=(5, 4, 4))
CLASSES = np.array([0, 2, 1, 3, 0])


def loss(w: Any, x: Any, t: Any) -> Any:
    return (np.tanh(w @ x) - t) ** 2


def adapted(w: Any, x: Any, t: Any) -> Any:
    """One step of gradient descent on an example, as in MAML."""
    return loss(w - 0.1 * tg.grad(loss)(w, x, t), x, t)


def kernel(x: Any, y: Any) -> Any:
    return np.exp(-np.sum((x - y) ** 2))


# the function, its axes, and its arguments
OF_EXAMPLES: dict[str, tuple[Callable[..., Any], Any, tuple[Any, ...]]] = {
    "gradient": (tg.grad(loss), (None, 0, 0), (W, X, T)),
    "value and gradient": (tg.value_and_grad(loss), (None, 0, 0), (W, X, T)),
    "gradients of two arguments": (tg.grad(loss, (0, 1)), (None, 0, 0), (W, X, T)),
    "gradient of a gradient": (tg.grad(adapted), (None, 0, 0), (W, X, T)),
    "second derivative": (tg.grad(tg.grad(lambda t: np.tanh(3 * t) ** 2)), 0, (T,)),
    "jacobian": (tg.jacobian(lambda x: np.sin(x) * np.sum(x)), 0, (X,)),
    "jacobian by columns": (tg.jacobian(lambda x: np.outer(x, x), mode="forward"), 0, (X,)),
    "hessian": (tg.hessian(lambda x: np.sum(np.sin(x) * x) * np.prod(x)), 0, (X,)),
    "mixed derivatives": (tg.jacobian(tg.grad(kernel), 1), 0, (X, X[::-1])),
    "jvp": (lambda x, v: tg.jvp(lambda x: np.exp(x) @ x * np.max(x), (x,), (v,)), 0, (X, X[::-1])),
    "jvp along one tangent": (lambda x: tg.jvp(lambda x: np.linalg.norm(x) * x, (x,), (W,)), 0, (X,)),
    "vjp": (lambda x, g: tg.vjp(lambda x: np.sin(x) * x[0], x)[1](g), 0, (X, X[::-1])),
    "hvp": (lambda x, v: tg.hvp(lambda x: np.sum(np.sin(x)) ** 2, (x,), (v,)), 0, (X, X[::-1])),
    "vmap": (lambda x: tg.vmap(lambda y: x @ y)(X), 0, (X,)),
    "gradients in vmap": (lambda x: tg.vmap(tg.grad(lambda y: kernel(x, y)))(X), 0, (X,)),
    "gradient by the outer example": (lambda x: tg.vmap(lambda y: tg.grad(kernel)(x, y))(X), 0, (X,)),
    "gradient of what is the same for all": (lambda x: tg.grad(lambda w: np.sum(w**2))(W), 0, (X,)),
    "gradient of a constant": (tg.grad(lambda x: 3.0 * x[0]), 0, (X,)),
    "histogram": (lambda x: np.histogram(x, 3), 0, (np.vstack([X, np.ones(4)]),)),
    "solve": (tg.grad(lambda a, b: np.sum(np.linalg.solve(a @ a.T + np.eye(4), b))), (0, None), (M, W)),
    "inverse and determinant": (
        tg.grad(lambda a: np.linalg.det(a) + np.sum(np.linalg.inv(a + 5 * np.eye(4)))),
        0,
        (M,),
    ),
    "eigenvalues": (tg.grad(lambda a: np.linalg.eigh(a + a.T)[0] ** 2 @ np.arange(4.0)), 0, (M,)),
    "indices": (tg.grad(lambda x: x[0] * x[-1] + np.sum(x[1:3] ** 3) + np.sum(x[[0, 0, 2]])), 0, (X,)),
    "index of an example": (lambda x, a: a[np.argmax(x)] * x, 0, (X, M)),
    "index into what is the same for all": (lambda x: tg.tensor(A)[np.argmax(x)] * 2, 0, (X,)),
    "set at an index": (lambda x, k: (x * tg.tensor(W)).at[k].set(0.0), 0, (X, CLASSES)),
    "add at an index": (lambda x, k: tg.tensor(W).at[k].add(x.sum()), 0, (X, CLASSES)),
    "sorting": (tg.grad(lambda x: np.sort(x) @ np.arange(4.0) + np.max(x)), 0, (X,)),
    "cross-entropy": (
        tg.grad(lambda w, x, k: np.log(np.sum(np.exp(w @ x))) - (w @ x)[k]),
        (None, 0, 0),
        (A, X, CLASSES),
    ),
    "loss of a class": (tg.grad(lambda x, k: nn.functional.cross_entropy(x[None], k[None])), 0, (X, CLASSES)),
    "where": (tg.grad(lambda x: np.sum(np.where(x > 0, x**2, -x))), 0, (X,)),
    "statistics": (tg.grad(lambda x: np.var(x) + np.std(x) + np.mean(x) + np.median(x)), 0, (X,)),
    "running sums": (tg.grad(lambda x: np.cumsum(x)[::-1] @ np.cumprod(x)), 0, (X,)),
    "einsum": (tg.grad(lambda a, x: np.einsum("ij,i,j->", a, x, x)), (0, None), (M, W)),
    "joining": (tg.grad(lambda x: np.concatenate([x, x**2, np.ones(2)]) @ np.arange(10.0)), 0, (X,)),
    "checkpoint": (tg.grad(tg.checkpoint(lambda x: np.sum(np.sin(x)))), 0, (X,)),
    "rule by hand": (tg.grad(tg.custom_gradient(lambda x: (np.sum(x**2), lambda g: 3 * g * x))), 0, (X,)),
    "writing": (tg.grad(tg.functionalize(lambda x: float_sum(x))), 0, (X,)),
    "containers": (tg.grad(lambda p, x: np.sum(p["a"] @ x * p["b"])), ({"a": None, "b": 0}, 0), ({"a": A, "b": X}, X)),
    "integers": (lambda k: k * 2 + 1, 0, (CLASSES,)),
    "numbers": (lambda t: t * 2 + 1, 0, (T,)),
    "float32": (tg.grad(lambda x: np.sum(np.tanh(x))), 0, (X.astype(np.float32),)),
    "another axis": (lambda x: x * np.sum(x), 1, (X,)),
    "the last axis": (lambda x, t: x * t, (-1, 0), (X.T, T)),
    "complex numbers": (tg.grad(lambda x: np.sum(np.abs(np.fft.rfft(x)) ** 2)), 0, (X,)),
}


def float_sum(x: Any) -> Any:
    y = np.zeros(4)
    for i in range(4):
        y[i] = x[i] ** 2
    return np.sum(y)


def one_by_one(f: Callable[..., Any], axes: Any, args: tuple[Any, ...]) -> list[Any]:
    axes = axes if isinstance(axes, tuple) else (axes,) * len(args)

    def of_example(x: Any, axis: Any, i: int) -> Any:
        if isinstance(x, dict):
            return {key: of_example(x[key], axis[key], i) for key in x}
        return x if axis is None else np.moveaxis(x, axis, 0)[i]

    count = next(np.moveaxis(x, axis, 0).shape[0] for x, axis in zip(args, axes) if isinstance(axis, int))
    results = [f(*[of_example(x, axis, i) for x, axis in zip(args, axes)]) for i in range(count)]
    return [
        np.stack([x.data if isinstance(x, tg.Tensor) else x for x in parts]) for parts in zip(*map(leaves, results))
    ]


def leaves(tree: Any) -> list[Any]:
    inside = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, tuple) else None
    return [tree] if inside is None else [x for part in inside for x in leaves(part)]


@pytest.mark.parametrize("name", OF_EXAMPLES)
def test_the_results_are_those_of_one_example_after_the_other(name: str) -> None:
    f, axes, args = OF_EXAMPLES[name]
    expected = one_by_one(f, axes, args)
    found = leaves(tg.vmap(f, axes)(*args))
    assert [type(x) for x in found] == [np.ndarray] * len(expected)
    for x, y in zip(found, expected, strict=True):
        assert (x.dtype, x.shape) == (y.dtype, y.shape)
        np.testing.assert_allclose(x, y, rtol=1e-6 if x.dtype == np.float32 else 1e-12, atol=1e-13)


def mean_of(f: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda w: np.mean(tg.vmap(f, (None, 0, 0))(w, X, T))


def mean_by_loop(f: Callable[..., Any]) -> Callable[[Any], Any]:
    return lambda w: sum(f(w, x, t) for x, t in zip(X, T)) / len(X)


TRANSFORMS: dict[str, Callable[[Any], Callable[[Any], Any]]] = {
    "grad": tg.grad,
    "hessian": tg.hessian,
    "third derivatives": lambda f: tg.jacobian(tg.hessian(f)),
    "jvp": lambda f: lambda w: tg.jvp(f, (w,), (w + 1,)),
    "hvp": lambda f: lambda w: tg.hvp(f, (w,), (w + 1,)),
    "forward over forward": lambda f: lambda w: tg.jvp(lambda w: tg.jvp(f, (w,), (w + 1,))[1], (w,), (w**2,)),
    "functionalize": lambda f: tg.functionalize(tg.grad(f)),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("f", [loss, adapted, lambda w, x, t: tg.jvp(loss, (w, x, t), (x, w, t))[1]])
def test_other_transforms_go_through_vmap(f: Any, transform: str) -> None:
    found, expected = (leaves(TRANSFORMS[transform](made(f))(W)) for made in (mean_of, mean_by_loop))
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-12)


def pulled_by_loop(back: Callable[..., Any], gs: Any) -> Any:
    return np.stack([back(g)[0] for g in gs])


def pulled_at_once(back: Callable[..., Any], gs: Any) -> Any:
    return tg.vmap(back)(gs)[0]


def of_pulled(pulled: Callable[..., Any]) -> Callable[..., Any]:
    """A function that calls the pullback of a vjp for many upstream gradients, which depend on its arguments."""

    def f(w: Any, x: Any, t: Any) -> Any:
        back = tg.vjp(lambda y: np.tanh(y * y[0] * w), x)[1]
        return np.sum(pulled(back, np.sin(A[:3] * x * t)) * A[:3] ** 2)

    return f


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_pullback_runs_on_many_upstream_gradients_within_other_transforms(transform: str) -> None:
    loop, at_once = of_pulled(pulled_by_loop), of_pulled(pulled_at_once)
    expected = leaves(TRANSFORMS[transform](mean_by_loop(loop))(W))
    for f in (mean_by_loop(at_once), mean_of(at_once)):
        for x, y in zip(leaves(TRANSFORMS[transform](f)(W)), expected, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("result", [lambda x: 2.0, lambda x: np.sum(W), lambda x: np.sum(np.isnan(x))])
@pytest.mark.parametrize(
    "transform",
    [
        tg.grad,
        tg.jacobian,
        lambda f: tg.jacobian(f, mode="forward"),
        tg.hessian,
        lambda f: lambda x: tg.vjp(f, x)[1](1.0)[0],
        lambda f: lambda x: tg.jvp(f, (x,), (x,))[1],
        lambda f: lambda x: tg.hvp(f, (x,), (x,)),
        lambda f: lambda x: tg.grad(lambda x: np.sum(tg.grad(f)(x) * x))(x),
        lambda f: lambda x: tg.grad(lambda x, z: f(x) + np.sum(z), (0, 1))(x, x)[0],
        lambda f: lambda x: tg.vmap(tg.grad(f))(np.stack([x, x])),
    ],
)
def test_the_derivatives_of_a_constant_have_the_shape_of_one_example(transform: Any, result: Any) -> None:
    """They had the shape of all examples for each of them."""
    f = transform(lambda x: result(x) * 1.0)
    found, expected = tg.vmap(f)(X), np.stack([f(x) for x in X])
    assert (found.shape, found.any()) == (expected.shape, False)


def test_tensors_in_tensors_out_and_backward_through_them() -> None:
    w = tg.tensor(W, requires_grad=True)
    by_argument = tg.vmap(loss, (None, 0, 0))(w, X, T)
    by_closure = tg.vmap(lambda x, t: loss(w, x, t))(X, T)
    for losses in (by_argument, by_closure):
        w.grad = None
        losses.mean().backward()
        assert w.grad is not None
        np.testing.assert_allclose(w.grad.data, tg.grad(mean_by_loop(loss))(W), rtol=1e-12)
    gradients = tg.vmap(tg.grad(loss), (None, 0, 0))(w, X, T)
    w.grad = None
    (gradients**2).sum().backward()  # the penalty of a gradient
    assert w.grad is not None
    expected = tg.grad(lambda w: sum(np.sum(tg.grad(loss)(w, x, t) ** 2) for x, t in zip(X, T)))(W)
    np.testing.assert_allclose(w.grad.data, expected, rtol=1e-12)


def test_the_gradient_of_each_example_by_the_parameters_of_a_module() -> None:
    model = nn.Sequential(nn.Linear(4, 3, rng=0), nn.Tanh(), nn.Linear(3, 2, rng=1))

    def of_example(model: Any, x: Any, k: Any) -> Any:
        return nn.functional.cross_entropy(model(x[None]), k[None])

    found = tg.vmap(tg.grad(of_example), (None, 0, 0))(model, X, CLASSES % 2)
    for i in range(len(X)):
        expected = tg.grad(of_example)(model, X[i], CLASSES[i] % 2)
        for name in expected:
            np.testing.assert_allclose(found[name].data[i], expected[name].data, rtol=1e-10, atol=1e-12)


def test_results_with_their_axes() -> None:
    outer, total, fixed = tg.vmap(lambda x: (np.outer(x, x), x.sum(), W), out_axes=(1, 0, None))(X)
    np.testing.assert_allclose(outer, np.einsum("ni,nj->inj", X, X))
    np.testing.assert_allclose(total, X.sum(1))
    assert fixed is W
    np.testing.assert_array_equal(tg.vmap(lambda x, *, t: x + t)(X, t=T), X + T[:, None])
    np.testing.assert_array_equal(tg.vmap(lambda x: 1.0)(X), np.ones(5))


def test_an_axis_is_an_integer_of_any_kind_and_no_boolean() -> None:
    np.testing.assert_array_equal(tg.vmap(np.sum, in_axes=np.int64(1), out_axes=np.int8(0))(X), X.sum(0))
    for axes in (True, 1.0):
        with pytest.raises(UsageError, match="in_axes of vmap must be an axis"):
            tg.vmap(np.sum, in_axes=axes)(X)


def test_arguments_by_keyword_alone_and_empty_containers() -> None:
    np.testing.assert_array_equal(tg.vmap(lambda *, x: 2 * x)(x=X), 2 * X)
    np.testing.assert_array_equal(tg.vmap(lambda p, x: x.sum(), ((), 0))((), X), X.sum(1))
    np.testing.assert_array_equal(tg.vmap(lambda p, x: x.sum(), ({}, 0))({}, X), X.sum(1))


def test_it_runs_the_function_once() -> None:
    runs = []
    tg.vmap(tg.grad(lambda x: runs.append(1) or np.sum(x**2)))(X)  # type: ignore[func-returns-value]
    assert len(runs) == 1


def test_compiled() -> None:
    step = tg.compile(lambda w, X, T: tg.vmap(tg.grad(loss), (None, 0, 0))(w, X, T), backend="numpy")
    for w in (W, W + 1):
        np.testing.assert_allclose(step(w, X, T), tg.vmap(tg.grad(loss), (None, 0, 0))(w, X, T), rtol=1e-12)


def kept_outside(x: Any, kept: list[Any] = []) -> Any:  # noqa: B006  # so that one example escapes
    kept.append(x)
    return kept[0] * 2


def written_into(x: Any) -> Any:
    y = np.zeros(4)
    y[0] = x[0]
    return y


REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "branch": (lambda: tg.vmap(lambda x: x if x.sum() > 0 else -x)(X), UsageError, "np.where"),
    "float": (lambda: tg.vmap(lambda x: float(x.sum()))(X), UsageError, "np.sin"),
    "array": (lambda: tg.vmap(lambda x: np.array([x[0], x[1]]))(X), UsageError, "tg.array"),
    "backward": (
        lambda: tg.vmap(lambda x: (x * tg.tensor(W, requires_grad=True)).sum().backward())(X),
        UsageError,
        "grad",
    ),
    "in place": (lambda: tg.vmap(lambda x: x.__setitem__(0, 1.0))(X), UsageError, "at"),
    "mask": (lambda: tg.vmap(lambda x: x[x > 0])(X), ShapeError, "one shape"),
    "no axis": (lambda: tg.vmap(lambda w, x: w * x)(2.0, X), InputError, "None in in_axes"),
    "numbers of examples": (lambda: tg.vmap(lambda x, t: x * t)(X, T[:3]), ShapeError, "3, 5"),
    "no examples": (lambda: tg.vmap(np.sum)(X[:0]), ShapeError, "at least one"),
    "no mapped argument": (lambda: tg.vmap(np.sum, None)(X), ShapeError, "and none has"),
    "no argument": (lambda: tg.vmap(lambda: 1.0)(), ShapeError, "and none has"),
    "text": (lambda: tg.vmap(lambda x: x)("abc"), UsageError, "of type str, which has no axis"),
    "text by keyword": (lambda: tg.vmap(lambda x, *, how: x)(X, how="a"), UsageError, "pass it by position"),
    "layer": (lambda: tg.vmap(lambda m, x: m(x))(nn.ReLU(), X), UsageError, "of type ReLU, which has no axis"),
    "list of numbers": (lambda: tg.vmap(lambda x: x)([1.0, 2.0]), InputError, "np.array"),
    "list of a number": (lambda: tg.vmap(lambda x: x.tolist())(X), UsageError, "one number"),
    "item of a list": (lambda: tg.vmap(lambda k: [1.0, 2.0][k])(CLASSES), UsageError, r"tg.array\(items\)\[i\]"),
    "entry of an array": (lambda: tg.vmap(written_into)(X), UsageError, "np.stack"),
    "full": (lambda: tg.vmap(lambda x: np.full(2, x[0]))(X), UsageError, "np.broadcast_to in place of np.full"),
    "draw": (lambda: tg.vmap(lambda x: RNG.normal(x))(X), UsageError, r"loc \+ scale"),
    "SciPy": (lambda: tg.vmap(sqrtm)(M), UsageError, "in place of scipy.linalg.sqrtm"),
    "text of a number": (lambda: tg.vmap(lambda x: f"{x[0]:.3f}")(X), UsageError, "cannot become the text"),
    "axis beyond the result": (lambda: tg.vmap(lambda x: x, out_axes=2)(X), InputError, "out_axes of vmap is 2"),
    "axes": (lambda: tg.vmap(lambda x: x, (0, 0))(X), UsageError, "2 entries for 1"),
    "containers of axes": (lambda: tg.vmap(lambda x: x, ({"a": 0},))({"b": X}), UsageError, "containers"),
    "axis of the result": (lambda: tg.vmap(lambda x: x, out_axes=None)(X), UsageError, "differs between examples"),
    "result": (lambda: tg.vmap(lambda x: "text")(X), UsageError, "numbers or arrays"),
    "escape": (lambda: [tg.vmap(kept_outside)(X) for _ in range(2)], UsageError, "has ended"),
    "not a function": (lambda: tg.vmap(X), UsageError, "function"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_what_to_write(name: str) -> None:
    call, kind, words = REFUSED[name]
    with pytest.raises(kind, match=words):
        call()


ROWS: dict[str, Callable[[Any], Any]] = {
    "rule that decides by its gradient": tg.custom_gradient(
        lambda x: (np.sin(x), lambda g: g * np.cos(x) if np.any(g) else g)
    ),
    "rule that calls another library": tg.custom_gradient(lambda x: (x**2, lambda g: 2 * x * np.asarray(g))),
    "rule with a gradient of its own": tg.custom_gradient(
        lambda x: (np.exp(x) * x[0], lambda g: tg.grad(lambda x: np.sum(g * (np.exp(x) * x[0])))(x))
    ),
    "rule that goes backward": tg.custom_gradient(lambda x: (x**3, lambda g: _pulled(x, g))),
}


def _pulled(x: Any, g: Any) -> Any:
    leaf = tg.tensor(getattr(x, "data", x), requires_grad=True)
    (leaf**3 * g).sum().backward()
    assert leaf.grad is not None
    return leaf.grad.data


@pytest.mark.parametrize("name", ROWS)
def test_rows_of_a_jacobian_that_cannot_be_computed_at_once_are_computed_one_by_one(name: str) -> None:
    f = ROWS[name]
    expected = np.stack([tg.vjp(f, W)[1](unit)[0] for unit in np.eye(4)])
    np.testing.assert_allclose(tg.jacobian(f)(W), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("entries", [1, 200, 10**6])
def test_a_jacobian_takes_its_passes_in_parts_that_fit_in_the_cache(entries: int, monkeypatch: Any) -> None:
    monkeypatch.setattr(dual, "AT_ONCE", entries)
    x = RNG.normal(size=11)

    def f(x: Any) -> Any:
        return np.sin(np.outer(x, x[:3])).sum(1)

    rows = [tg.vjp(f, x)[1](unit)[0] for unit in np.eye(11)]
    np.testing.assert_allclose(tg.jacobian(f)(x), rows, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "keep",
    [tg.tensor, nn.Parameter, lambda x: setattr(nn.Linear(3, 1, rng=0).bias, "data", x), tg.vmap(tg.tensor)],
    ids=["tensor", "parameter", "data", "tensor in another vmap"],
)
def test_a_tensor_holds_no_value_that_stands_for_all_examples(keep: Callable[[Any], Any]) -> None:
    """Its gradient would be lost in silence, and it would outlive the examples."""
    for f in (keep, tg.grad(lambda x: np.sum(keep(x) ** 2))):
        with pytest.raises(UsageError, match=r"cannot become the data of a tensor|would lose its history"):
            tg.vmap(f)(np.ones((2, 3)))
