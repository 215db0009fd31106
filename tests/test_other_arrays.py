"""Tensors over arrays other than NumPy's: lazy ones of Dask, here and on a cluster, and sparse ones."""

import copy
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.derivatives import real_of
from tinygrad_lite import nn
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import operations

pytest.importorskip("tinygrad_lite.ops.special", reason="SciPy comes with the extra `examples`")

EXAMPLE = Path(__file__).parents[1] / "examples" / "out_of_core.py"
LAZY_PRIMITIVES = {"binary_cross_entropy_with_logits", "broadcast_to", "cumsum", "einsum", "expand_dims", "linear"}
LAZY_PRIMITIVES |= {"log_softmax", "logsumexp", "matmul", "max", "mean", "min", "prod", "softmax", "squeeze", "sum"}
LAZY_PRIMITIVES |= {"swapaxes", "transpose", "where"}
EAGER = {"gelu", "normal_cdf", "linspace_step", "nan_to_num", "lgamma", "normal_quantile", "mean_log_factorial"}
EAGER |= {
    "gamma_flow",
    "log_gamma_quantile",
    "log_gamma_cdf",
    "beta_flow",
    "logit_beta_quantile",
    "logit_beta_cdf",
    "half_normal_quantile",
}
# whose derivatives in their concentrations are quadratures
EAGER |= {"gammainc", "gammaincc", "gammaincinv", "gammainccinv", "chdtr", "chdtrc"}
EAGER |= {"betainc", "betaincc", "betaincinv", "betainccinv"}
# of SciPy's functions with two results, which Dask refuses
EAGER |= {"sine_integral", "cosine_integral", "fresnel_sine", "fresnel_cosine"}
DIFFERENTIABLE = [op for op in operations() if op.vjps]
LAZY = [op for op in DIFFERENTIABLE if (op.derivatives or op.name in LAZY_PRIMITIVES) and op.name not in EAGER]


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """They take seconds to import, which only a process spends that runs these tests."""
    global da, dask, distributed, sparse, S
    dask = pytest.importorskip("dask", reason="Dask comes with the extra `arrays`")
    distributed = pytest.importorskip("distributed", reason="Dask's cluster comes with the extra `arrays`")
    sparse = pytest.importorskip("sparse", reason="sparse comes with the extra `arrays`")
    da = pytest.importorskip("dask.array")
    rng = np.random.default_rng(0)
    S = stored(rng.uniform(size=(12, 5)) * (rng.uniform(size=(12, 5)) < 0.3))


def in_chunks(x: Any) -> Any:
    return da.from_array(x, chunks=tuple(max(1, (size + 1) // 2) for size in x.shape))


def stored(x: Any) -> Any:
    return sparse.COO.from_numpy(x)


def dense(x: Any) -> Any:
    """The numbers of any of these arrays."""
    x = x.compute() if hasattr(x, "compute") else x
    return x.todense() if hasattr(x, "todense") else np.asarray(x)


def value_and_gradients(op: Op, arrays: list[Any], params: dict[str, Any]) -> list[Any]:
    """The value of an operation, and the gradient of a weighted sum of it by each argument that has a derivative."""
    places = [i for i, x in enumerate(arrays) if x.dtype.kind == "f" and (op.arity is None or op.vjps[i] is not None)]
    inputs = [tg.tensor(x, requires_grad=i in places) for i, x in enumerate(arrays)]
    y = real_of(op(*inputs, **params))
    y.backward(np.cos(np.arange(y.size)).reshape(y.shape))
    return [y.data, *(inputs[i].grad.data for i in places)]


def example_of(op: Op) -> tuple[list[Any], dict[str, Any]]:
    """Arguments for an operation, inside its domain and without zeros."""
    shapes, params = (op.examples or [([(3, 4)] * (op.arity or 2), {})])[0]
    domain = op.domain or [(0.0, 2.0)] * len(shapes)
    starts = [max(low, -1.0) for low, _ in domain]
    rng = np.random.default_rng(0)
    return [
        shape if isinstance(shape, np.ndarray) else rng.uniform(start + 0.1, start + 0.9, shape)
        for shape, start in zip(shapes, starts)
    ], dict(params)


@pytest.mark.long
@pytest.mark.parametrize(
    ("op", "lift"),
    [
        pytest.param(op, lift, id=f"{op}-{name}", marks=[pytest.mark.slow] if name == "sparse" or i % 6 else [])
        for i, op in enumerate(DIFFERENTIABLE)
        for name, lift in (("dask", in_chunks), ("sparse", stored))  # the latter compiles
    ],
)
def test_every_operation_is_right_or_refused(op: Op, lift: Callable[[Any], Any]) -> None:
    arrays, params = example_of(op)
    expected = value_and_gradients(op, arrays, params)
    lifted = [lift(x) if x.dtype.kind == "f" else x for x in arrays]
    with np.errstate(all="ignore"), dask.config.set(scheduler="synchronous"):  # at the zeros that are not stored
        try:
            found = [dense(x) for x in value_and_gradients(op, lifted, params)]
        except Exception:
            return
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def refuse_to_compute(*_: Any, **__: Any) -> None:
    raise AssertionError("something was computed that nobody had asked for")


@pytest.mark.long
@pytest.mark.parametrize("op", LAZY, ids=str)
def test_nothing_is_computed_until_asked_for(op: Op) -> None:
    arrays, params = example_of(op)
    with dask.config.set(scheduler=refuse_to_compute):
        found = value_and_gradients(op, [in_chunks(x) if x.dtype.kind == "f" else x for x in arrays], params)
    assert isinstance(found[0], da.Array)
    for a, b in zip(dask.compute(*found, scheduler="synchronous"), value_and_gradients(op, arrays, params)):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


X = np.random.default_rng(0).normal(size=(12, 3))
LABELS = (X[:, :1] > 0.3).astype(float)


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4, rng=0), nn.Tanh(), nn.Linear(4, 1, rng=1))


def loss_of(model: nn.Module, x: Any, labels: Any) -> Any:
    return nn.BCEWithLogitsLoss()(model(tg.tensor(x)), tg.tensor(labels))


def gradients(model: nn.Module, x: Any, labels: Any) -> list[Any]:
    loss_of(model, x, labels).backward()
    return [w.grad.data for w in model.parameters()]


def test_a_network_on_lazy_data() -> None:
    with dask.config.set(scheduler=refuse_to_compute):
        found = gradients(network(), in_chunks(X), in_chunks(LABELS))
    for a, b in zip(dask.compute(*found, scheduler="synchronous"), gradients(network(), X, LABELS)):
        np.testing.assert_allclose(a, b, rtol=1e-10)


@pytest.mark.parametrize(
    "transform",
    [
        lambda f: tg.grad(f)(np.ones((3, 1))),
        lambda f: tg.value_and_grad(f)(np.ones((3, 1)))[1],
        lambda f: tg.jvp(f, (np.ones((3, 1)),), (np.eye(3, 1),))[1],
        lambda f: tg.grad(lambda w: np.sum(tg.grad(f)(w) ** 2))(np.ones((3, 1))),
        lambda f: tg.hvp(f, (np.ones((3, 1)),), (np.eye(3, 1),)),
    ],
    ids=["grad", "value_and_grad", "jvp", "grad of grad", "hvp"],
)
def test_transforms_of_functions_with_lazy_data(transform: Callable[..., Any]) -> None:
    def f(x: Any) -> Callable[..., Any]:
        return lambda w: np.mean(np.tanh(x @ w + 0.5) ** 2)

    with dask.config.set(scheduler=refuse_to_compute):
        found = transform(f(in_chunks(X)))
    np.testing.assert_allclose(found.compute(scheduler="synchronous"), transform(f(X)), rtol=1e-10)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    workers = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
    with workers as cluster, distributed.Client(cluster):
        yield cluster


@pytest.mark.slow
def test_two_processes_find_the_gradients_of_numpy(cluster: Any) -> None:
    example = runpy.run_path(str(EXAMPLE))
    table = example["lazy_table"](rows=700, features=5, chunk=100)
    there, here = nn.Linear(5, 1, rng=0), nn.Linear(5, 1, rng=0)
    steps = zip(example["train"](there, table, 5, 3.0), example["train"](here, table.compute(), 5, 3.0), strict=True)
    losses = []
    for a, b in steps:
        losses.append(a)
        np.testing.assert_allclose(a, b, rtol=1e-10)
        for v, w in zip(there.parameters(), here.parameters(), strict=True):
            np.testing.assert_allclose(v.grad, w.grad, rtol=1e-10, atol=1e-14)
            np.testing.assert_allclose(v.data, w.data, rtol=1e-10)
    assert losses == sorted(losses, reverse=True)


@pytest.mark.slow
def test_the_example_as_a_user_runs_it() -> None:
    options = ["--rows=2000", "--features=4", "--chunk=500", "--steps=2"]
    run = subprocess.run([sys.executable, str(EXAMPLE), *options], capture_output=True, text=True, check=True)
    assert "2,000 rows of 4 features and a label: 78.12 kiB in 4 chunks" in run.stdout
    assert "step 1: loss 0." in run.stdout


def test_numbers_and_text_of_a_lazy_tensor() -> None:
    x = tg.tensor(in_chunks(X), requires_grad=True, name="x")
    with dask.config.set(scheduler=refuse_to_compute):
        assert repr(x.sum()).startswith("tensor(dask.array<")
        assert repr(x).endswith("requires_grad=True, name='x')")
        assert isinstance(x.numpy(), da.Array)
        assert isinstance(copy.deepcopy(x).data, da.Array)
    with dask.config.set(scheduler="synchronous"):
        total = float(x.sum())
        assert total == x.sum().item() == pytest.approx(np.sum(X))
        assert f"{x.sum():.3f}" == f"{total:.3f}"
        assert x[:1, :1].item() == X[0, 0]
        assert int(tg.tensor(in_chunks(np.arange(3))).sum()) == 3
        assert bool((x.sum() != 0).all())


def test_numbers_and_text_of_a_sparse_tensor() -> None:
    x = tg.tensor(S)
    assert repr(x) == f"tensor({S!r})"
    assert x.sum().item() == pytest.approx(np.sum(dense(S)))
    with pytest.raises(RuntimeError, match="dense automatically"):
        np.asarray(x)


def test_what_a_tensor_was_given_may_change_afterwards() -> None:
    lazy, entries = in_chunks(X), stored(X)
    tensors = [tg.tensor(lazy), tg.tensor(entries)]
    w = tg.tensor(np.ones((12, 3)), requires_grad=True)
    mixed = w * lazy
    lazy[0] = 100.0
    entries.data[:] = 100.0
    for x in tensors:
        np.testing.assert_array_equal(dense(x.data), X)
    with dask.config.set(scheduler="synchronous"):
        mixed.sum().backward()
        np.testing.assert_array_equal(dense(w.grad.data), X)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(5,), (5, 2)])
def test_a_sparse_design_matrix(shape: tuple[int, ...]) -> None:
    def gradient(x: Any) -> Any:
        w = tg.tensor(np.ones(shape), requires_grad=True)
        y = tg.tensor(x) @ w
        np.sum(y**3).backward()
        assert type(y.data) is type(w.grad.data) is np.ndarray
        return w.grad.data

    np.testing.assert_allclose(gradient(S), gradient(dense(S)), rtol=1e-12)


@pytest.mark.slow  # sparse compiles another product
def test_second_derivatives_beside_a_sparse_design_matrix() -> None:
    def curvature(x: Any) -> Any:
        return tg.hvp(lambda w: np.sum(np.tanh(tg.tensor(x) @ w) ** 2), (np.ones(5),), (np.arange(5.0),))

    np.testing.assert_allclose(curvature(S), curvature(dense(S)), rtol=1e-12)


def test_a_network_on_sparse_data() -> None:
    def gradients_of(x: Any) -> list[Any]:
        return gradients(nn.Sequential(nn.Linear(5, 3, rng=0), nn.ReLU(), nn.Linear(3, 1, rng=1)), x, LABELS)

    for a, b in zip(gradients_of(S), gradients_of(dense(S)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_the_gradient_of_sparse_entries_is_sparse_where_it_vanishes() -> None:
    x = tg.tensor(S, requires_grad=True)
    np.sum(np.sin(x) ** 2).backward()
    assert isinstance(x.grad.data, sparse.COO)
    assert x.grad.data.nnz == S.nnz
    np.testing.assert_allclose(dense(x.grad.data), np.sin(2 * dense(S)), rtol=1e-12)


def test_a_sparse_array_beside_a_tensor() -> None:
    """It leaves what works entry by entry to the tensor; a matrix product it tries itself, and fails loudly."""
    w = tg.tensor(np.ones(5), requires_grad=True)
    np.sum(S * w + w * S).backward()
    np.testing.assert_allclose(dense(w.grad.data), 2 * dense(S).sum(axis=0), rtol=1e-12)
    with pytest.raises(pytest.importorskip("numba").NumbaError):
        S @ w
