"""Equal eigenvalues and equal singular values: what has a derivative there, in both modes, and what is refused."""

import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.derivatives import numerical_gradients
from tests.numpy_calls import check, close
from tinygrad_lite.errors import InputError

rng = np.random.default_rng(11)


def orthogonal(size: int) -> Any:
    return np.linalg.qr(rng.normal(size=(size, size)))[0]


def symmetric(*values: float) -> Any:
    basis = orthogonal(len(values))
    return (basis * values) @ basis.T


def with_singular_values(rows: int, columns: int, *values: float) -> Any:
    return (orthogonal(rows)[:, : len(values)] * values) @ orthogonal(columns)[: len(values)]


# each matrix with the places of its equal values, and of those that are alone; eigenvalues go up, singular values down
SYMMETRIC: dict[str, tuple[Any, list[int], list[int]]] = {
    "identity of 2": (np.eye(2), [0, 1], []),
    "identity of 3": (np.eye(3), [0, 1, 2], []),
    "diagonal, twice": (np.diag([1.0, 3.0, 1.0]), [0, 1], [2]),
    "twice": (symmetric(1, 1, 2, 5), [0, 1], [2, 3]),
    "thrice": (symmetric(-3, 2, 2, 2), [1, 2, 3], [0]),
    "zeros": (symmetric(0, 0, 1), [0, 1], [2]),
}
ANY_SHAPE: dict[str, tuple[Any, list[int], list[int]]] = {
    "identity": (np.eye(3), [0, 1, 2], []),
    "square, twice": (with_singular_values(3, 3, 2, 2, 1), [0, 1], [2]),
    "rotation": (orthogonal(3), [0, 1, 2], []),
    "tall, twice": (with_singular_values(4, 3, 3, 1, 1), [1, 2], [0]),
    "tall, diagonal": (np.eye(3, 2), [0, 1], []),
    "wide, thrice": (with_singular_values(3, 4, 2, 2, 2), [0, 1, 2], []),
    "wide, diagonal": (np.eye(2, 3) * 2, [0, 1], []),
}
HERMITIAN: dict[str, tuple[Any, list[int], list[int]]] = {
    "identity": (np.eye(3), [0, 1, 2], []),
    "diagonal, twice": (np.diag([1.0, 3.0, 1.0]), [1, 2], [0]),
    "twice": (symmetric(2, 2, 1), [0, 1], [2]),
    "twice, negative": (symmetric(-2, -2, 1), [0, 1], [2]),
    "of both signs": (symmetric(2, -2, 1), [0, 1], [2]),
}
EIGENVALUES: dict[str, Callable[[Any], Any]] = {
    "eigvalsh": np.linalg.eigvalsh,
    "eigvalsh, upper": lambda x: np.linalg.eigvalsh(x, "U"),
    "eigh": lambda x: np.linalg.eigh(x).eigenvalues,
}
SINGULAR_VALUES: dict[str, Callable[[Any], Any]] = {
    "svdvals": np.linalg.svdvals,
    "svd": lambda x: np.linalg.svd(x, full_matrices=False).S,
    "full svd": lambda x: np.linalg.svd(x).S,
    "svd without vectors": lambda x: np.linalg.svd(x, compute_uv=False),
    "lstsq": lambda x: np.linalg.lstsq(x, np.ones(len(x)))[3],
}
HERMITIAN_VALUES: dict[str, Callable[[Any], Any]] = {
    "hermitian svd": lambda x: np.linalg.svd(x, hermitian=True).S,
    "hermitian svd without vectors": lambda x: np.linalg.svd(x, compute_uv=False, hermitian=True),
}
CASES = [
    pytest.param(values, *case, id=f"{name}: {matrix}")
    for table, matrices in ((EIGENVALUES, SYMMETRIC), (SINGULAR_VALUES, ANY_SHAPE), (HERMITIAN_VALUES, HERMITIAN))
    for name, values in table.items()
    for matrix, case in matrices.items()
]


@pytest.mark.parametrize(("values", "x", "equal", "alone"), CASES)
def test_one_of_several_equal_values_has_no_gradient(values: Any, x: Any, equal: Any, alone: Any) -> None:
    for k in equal:
        for f in (lambda z, k=k: values(z)[k], lambda z, k=k: values(z)[k] ** 2 + np.sum(values(z))):
            with pytest.raises(InputError, match=r"two (eigen|singular )values are equal, .*treat them alike"):
                tg.grad(f)(x)
    for k in alone:
        f = lambda z, k=k: values(z)[k]  # noqa: E731
        close([tg.grad(f)(x)], numerical_gradients(f, [x], [0]), 1e-8)


@pytest.mark.parametrize(("values", "x", "equal", "alone"), CASES)
def test_what_treats_equal_values_alike_has_its_gradient(values: Any, x: Any, equal: Any, alone: Any) -> None:
    for f in (lambda z: np.sum(values(z)[equal]), lambda z: np.sum(values(z) ** 3), lambda z: np.prod(values(z) + 4)):
        close([tg.grad(f)(x)], numerical_gradients(f, [x], [0]), 1e-7)
        t = rng.normal(size=x.shape)
        close([tg.jvp(f, (x,), (t,))[1]], [np.sum(tg.grad(f)(x) * t)], 1e-10)


@pytest.mark.parametrize(("values", "x", "equal", "alone"), CASES)
def test_forward_mode_gives_each_value_its_change_along_the_direction(
    values: Any, x: Any, equal: Any, alone: Any
) -> None:
    for t in (rng.normal(size=x.shape), np.eye(*x.shape), np.ones(x.shape)):
        near, far = ((values(x + h * t) - values(x)) / h for h in (1e-5, 2e-5))
        close([tg.jvp(values, (x,), (t,))[1]], [2 * near - far], 1e-8)


@pytest.mark.parametrize("values", [np.linalg.eigvalsh, lambda x: np.linalg.eigh(x)[0], np.linalg.svdvals])
def test_each_matrix_of_a_stack_is_asked_for_itself(values: Any) -> None:
    stack = np.stack([symmetric(1, 2, 3), np.eye(3), symmetric(4, 4, 7)])
    t = rng.normal(size=stack.shape)
    found = tg.jvp(values, (stack,), (t,))[1]
    close(found, [tg.jvp(values, (x,), (direction,))[1] for x, direction in zip(stack, t)], 1e-12)
    weights = np.array([[1.0, 2, 3], [5, 5, 5], [0, 0, 0]])

    def weighted(x: Any) -> Any:
        return np.sum(weights * values(x))

    close([tg.grad(weighted)(stack)], numerical_gradients(weighted, [stack], [0]), 1e-8)
    for k in (1, 2):
        with pytest.raises(InputError, match="treat them alike"):
            tg.grad(lambda x, k=k: values(x)[k, 1])(stack)


@pytest.mark.parametrize("size", [4, 12])
@pytest.mark.parametrize("smallest", [1e-5, 1e-9, 1e-11])
def test_small_values_that_differ_by_little_may_have_gradients_that_differ_as_little(
    size: int, smallest: float
) -> None:
    """The logarithm of a determinant is the same function, written as a sum over eigenvalues."""
    places = np.linspace(0, 1, size)
    kernel = np.exp(-((places[:, None] - places) ** 2)) + smallest * np.eye(size)
    found = tg.grad(lambda x: np.sum(np.log(np.linalg.eigvalsh(x))))(kernel)
    expected = np.linalg.inv(kernel)
    expected = np.tril(expected + expected.T) - np.diag(np.diagonal(expected))
    close([found], [expected], 1e-15 / smallest)


@pytest.mark.parametrize("order", [2, -2, "nuc"])
@pytest.mark.parametrize("norm", [np.linalg.norm, lambda x, order: np.linalg.matrix_norm(x, ord=order)])
@pytest.mark.parametrize("case", ANY_SHAPE)
def test_norms_share_equally_among_values_that_are_equal_but_for_rounding(case: str, norm: Any, order: Any) -> None:
    x, *_ = ANY_SHAPE[case]
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    among = np.isclose(s, s.max() if order == 2 else s.min())
    weights = np.ones_like(s) if order == "nuc" else among / among.sum()
    expected, t = (u * weights) @ vt, rng.normal(size=x.shape)
    close([tg.grad(lambda x: norm(x, order))(x)], [expected], 1e-12)
    close([tg.jvp(lambda x: norm(x, order), (x,), (t,))[1]], [np.sum(expected * t)], 1e-12)


@pytest.mark.parametrize("case", ANY_SHAPE)
def test_the_condition_number_shares_as_its_norms_do(case: str) -> None:
    x, *_ = ANY_SHAPE[case]
    largest, smallest = np.linalg.norm(x, 2), np.linalg.norm(x, -2)
    by_norms = [tg.grad(lambda x, order=order: np.linalg.norm(x, order))(x) for order in (2, -2)]
    expected, t = by_norms[0] / smallest - by_norms[1] * largest / smallest**2, rng.normal(size=x.shape)
    close([tg.grad(np.linalg.cond)(x)], [expected], 1e-12)
    close([tg.jvp(np.linalg.cond, (x,), (t,))[1]], [np.sum(expected * t)], 1e-12)


@pytest.mark.parametrize("case", ANY_SHAPE)
def test_a_pseudo_inverse_does_not_mind(case: str) -> None:
    x, *_ = ANY_SHAPE[case]
    check(np.linalg.pinv, x)
    check(lambda z: np.linalg.lstsq(z, np.ones(len(x)))[0], x)


def eigenvectors(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: f(np.linalg.eigh(x).eigenvectors)


def left(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: f(np.linalg.svd(x, full_matrices=False).U)


def right(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: f(np.linalg.svd(x, full_matrices=False).Vh)


# results that turn with the vectors and are stationary where these lie along the axes
STATIONARY: dict[str, Callable[[Any], Any]] = {
    "an entry": lambda v: v[0, 0],
    "an entry's square": lambda v: v[0, 0] ** 2,
    "a square that is 0": lambda v: v[0, 1] ** 2,
    "the sum": np.sum,
    "the sum of fourth powers": lambda v: np.sum(v**4),
    "the trace": np.trace,
    "the largest entry": np.max,
    "symmetric weights": lambda v: v[0, 1] + v[1, 0] + 2 * v[0, 0],
}


@pytest.mark.parametrize("f", STATIONARY.values(), ids=list(STATIONARY))
@pytest.mark.parametrize("x", [np.eye(2), 2 * np.eye(3), np.diag([1.0, 1.0, 2.0])], ids=["2", "3", "twice"])
@pytest.mark.parametrize("vectors", [eigenvectors, left, right])
def test_a_derivative_that_happens_to_vanish_is_no_gradient(vectors: Any, x: Any, f: Any) -> None:
    if vectors is not eigenvectors:
        x = x[::-1, ::-1]  # singular values go down
        f = lambda v, f=f: f(v[::-1, ::-1])  # noqa: E731
    loss = vectors(f)
    ways = (
        lambda: tg.grad(loss)(x),
        lambda: tg.vmap(tg.grad(loss))(np.stack([x, x])),
        lambda: tg.grad(lambda z: np.sum(tg.vmap(loss)(z)))(np.stack([x, x])),
        lambda: tg.grad(lambda z: np.sum(tg.vmap(tg.vmap(loss))(z)))(x[None, None]),
        lambda: tg.vmap(tg.jacobian(loss))(x[None]),
    )
    for attempt in ways:
        with pytest.raises(InputError, match="the matrix does not determine the"):
            attempt()


def compiled_elsewhere(f: Any, x: Any, backend: str = "native") -> None:
    gradient = tg.compile(tg.grad(f), backend)
    gradient(symmetric(1, 2, 4))
    gradient(x)


def exported_elsewhere(f: Any, x: Any) -> None:
    gradient = tg.compile(tg.grad(f), "numpy")
    gradient(symmetric(1, 2, 4))
    with tempfile.NamedTemporaryFile("w+") as file:
        gradient.export(file.name)
        exec(file.read(), scope := {})
    try:
        scope["lambda_"](x, *filter(None, [gradient.state()]))
    except ValueError as error:
        raise InputError(*error.args) from error


def with_anomalies_detected(f: Any, x: Any) -> None:
    with tg.detect_anomaly():
        tg.grad(f)(x)


def with_a_graph(f: Any, x: Any) -> None:
    f(x := tg.tensor(x, requires_grad=True)).backward(create_graph=True)


READERS: dict[str, Callable[[Any, Any], Any]] = {
    "compiled": compiled_elsewhere,
    "source": lambda f, x: compiled_elsewhere(f, x, "numpy"),
    "exported": exported_elsewhere,
    "anomaly": with_anomalies_detected,
    "create_graph": with_a_graph,
    "checkpoint": lambda f, x: tg.grad(tg.checkpoint(f))(x),
    "steps": lambda f, x: list(tg.backward_steps(f(tg.tensor(x, requires_grad=True)))),
    "page": lambda f, x: tg.explain(f(tg.tensor(x, requires_grad=True)))._repr_html_(),
    "pullback": lambda f, x: tg.vjp(f, x)[1](np.float64(1.0)),
    "jacobian": lambda f, x: tg.jacobian(f)(x),
    "audit": lambda f, x: tg.audit_gradients([x := tg.tensor(x, requires_grad=True)], f(x)),
    "forward over reverse": lambda f, x: tg.jvp(tg.grad(f), (x,), (np.ones_like(x),)),
    "reverse over reverse": lambda f, x: tg.grad(lambda x: np.sum(tg.grad(f)(x)))(x),
}


@pytest.mark.long
@pytest.mark.parametrize("reader", READERS.values(), ids=list(READERS))
@pytest.mark.parametrize("vectors", [eigenvectors, left, right])
def test_a_rule_knows_of_a_use_whose_gradient_is_0(vectors: Any, reader: Any) -> None:
    for f in (lambda v: v[0, 1] ** 2, lambda v: np.sum(v * 0.0)):
        with pytest.raises(InputError, match="the matrix does not determine the"):
            reader(vectors(f), np.eye(3))


@pytest.mark.parametrize("shape", [(3, 2), (2, 3), (4, 3)])
@pytest.mark.parametrize("vectors", [left, right])
def test_a_vanishing_derivative_is_no_gradient_for_matrices_that_are_not_square(vectors: Any, shape: Any) -> None:
    for f in (STATIONARY["an entry"], STATIONARY["an entry's square"], np.sum):
        with pytest.raises(InputError, match="the matrix does not determine the"):
            tg.grad(vectors(f))(np.eye(*shape))


def product(x: Any, count: int) -> Any:
    u, _, vt = np.linalg.svd(x)
    return u[:, :count] @ vt[:count]


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (lambda x: np.linalg.eigh(x).eigenvectors[2, 0], np.diag([1.0, 1.0, 2.0])),
        (lambda x: product(x, 1)[0, 0], np.eye(2)),
        (lambda x: np.sum(orthogonal(3) * product(x, 3)), np.diag([2.0, 1.0, 0.0])),
    ],
)
def test_what_does_not_turn_to_first_order_is_refused_where_it_may_turn(f: Any, x: Any) -> None:
    with pytest.raises(InputError, match="the matrix does not determine the"):
        tg.grad(f)(x)


@pytest.mark.parametrize("t", [np.eye(3), np.diag([1.0, 2.0, 3.0]), np.ones((3, 3))])
def test_no_direction_determines_the_tangent_of_a_vector(t: Any) -> None:
    assert np.all(np.isnan(tg.jvp(eigenvectors(np.positive), (np.eye(3),), (t,))[1]))
    assert np.all(np.isnan(tg.jvp(left(np.positive), (np.eye(3),), (t,))[1]))


SMOOTH: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "sum of eigenvalues": (lambda x: np.sum(np.linalg.eigvalsh(x)), np.eye(3)),
    "sum of a group": (lambda x: np.sum(np.linalg.eigvalsh(x)[1:]), SYMMETRIC["thrice"][0]),
    "nuclear norm": (lambda x: np.linalg.norm(x, "nuc"), np.eye(3)),
    "nuclear norm, tall": (lambda x: np.linalg.norm(x, "nuc"), ANY_SHAPE["tall, twice"][0]),
    "sum of singular values, wide": (lambda x: np.sum(np.linalg.svdvals(x)), ANY_SHAPE["wide, thrice"][0]),
}


@pytest.mark.parametrize(("f", "x"), SMOOTH.values(), ids=list(SMOOTH))
def test_second_derivatives_of_what_treats_equal_values_alike(f: Any, x: Any) -> None:
    weights = rng.normal(size=x.shape)
    for weight in (weights, np.eye(*x.shape), np.eye(*x.shape, 1)):
        scalar = lambda z, weight=weight: np.sum(weight * tg.grad(f)(z))  # noqa: E731
        close([tg.grad(scalar)(x)], numerical_gradients(scalar, [x], [0]), 1e-7)


@pytest.mark.parametrize("values", [np.linalg.eigvalsh, np.linalg.svdvals])
def test_second_derivatives_that_the_vectors_do_not_tell_are_refused(values: Any) -> None:
    def f(x: Any) -> Any:
        return np.sum(values(x) ** 3)

    for attempt in (
        lambda: tg.grad(lambda x: np.sum(rng.normal(size=(3, 3)) * tg.grad(f)(x)))(np.eye(3)),
        lambda: tg.hessian(f)(np.eye(3)),
        lambda: tg.hvp(f, (np.eye(3),), (rng.normal(size=(3, 3)),)),
    ):
        with pytest.raises(InputError):
            attempt()


@pytest.mark.long
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 4), (4, 2), (3, 2, 4), (2, 1, 3, 3)], ids=str)
def test_where_all_values_differ_arrays_give_what_tensors_give(shape: tuple[int, ...], dtype: Any) -> None:
    """The rules leave out for arrays what equal values alone would need, and can leave nothing out for tensors."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape).astype(dtype)
    decompositions = [
        lambda x: np.linalg.svd(x, full_matrices=False),
        lambda x: np.linalg.svd(x, compute_uv=False),
        np.linalg.qr,
    ]
    if shape[-1] == shape[-2]:
        decompositions += [np.linalg.svd, np.linalg.eigh, lambda x: np.linalg.eigh(x, "U"), np.linalg.eigvalsh]
    for decompose in decompositions:
        parts = decompose(x)
        parts = parts if isinstance(parts, tuple) else (parts,)
        weights = [rng.normal(size=part.shape).astype(dtype) for part in parts]
        for used in np.ndindex((2,) * len(parts)):
            if not any(used):
                continue

            def loss(x: Any, decompose: Any = decompose, weights: Any = weights, used: Any = used) -> Any:
                parts = decompose(x)
                parts = parts if isinstance(parts, tuple) else (parts,)
                return sum(np.sum(w * part**2) for w, part, is_used in zip(weights, parts, used) if is_used)

            of_tensor = tg.tensor(x, requires_grad=True)
            loss(of_tensor).backward(create_graph=True)
            found, expected = tg.grad(loss)(x), of_tensor.grad.numpy()
            assert found.dtype == dtype
            scale = np.max(np.abs(expected), initial=1)
            np.testing.assert_allclose(found, expected, rtol=0, atol=500 * np.finfo(dtype).eps * scale)
