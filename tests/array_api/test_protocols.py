"""DLPack in and out, einops and xarray: other libraries' ways to take a tensor."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import errors, nn

takes_copy = pytest.mark.skipif(not hasattr(np, "unstack"), reason="from_dlpack of NumPy 2.0 takes no copy=")
X = np.random.default_rng(0).uniform(size=(2, 3, 4, 4))


@pytest.mark.parametrize("array", [np.arange(3.0), np.ones((4, 3)).T[::2], np.float32(2.0), np.array([1, 2])])
def test_dlpack_gives_a_copy(array: Any) -> None:
    x = tg.tensor(array)
    other = np.from_dlpack(x)
    np.testing.assert_array_equal(other, array, strict=True)
    if array.ndim and other.flags.writeable:  # not in NumPy 2.0
        other[...] = 7
    np.testing.assert_array_equal(x, array)
    assert x.__dlpack_device__() == (1, 0)


@takes_copy
def test_dlpack_gives_a_copy_that_was_asked_for() -> None:
    np.testing.assert_array_equal(np.from_dlpack(tg.tensor(X), copy=True), X)


@takes_copy
def test_dlpack_refuses_to_share_and_to_lose_a_history() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(BufferError, match=r"nobody may write to the tensor: leave out copy=False"):
        np.from_dlpack(x.detach(), copy=False)
    for leave in (np.from_dlpack, lambda x: x.__dlpack__(), lambda x: x.__dlpack_device__()):
        with pytest.raises(errors.ExportError, match=r"write tensor\.detach\(\)"):
            leave(x)
    with pytest.raises(errors.ExportError, match="being differentiated"):
        tg.jvp(lambda v: v * np.from_dlpack(v), (np.ones(2),), (np.ones(2),))


def test_dlpack_refuses_what_is_not_in_memory() -> None:
    da = pytest.importorskip("dask.array", reason="Dask comes with the extra `arrays`")
    with pytest.raises(errors.ExportError, match="holds Array, compute it first"):
        np.from_dlpack(tg.tensor(da.ones(3)))


def test_what_numpy_cannot_take_by_dlpack_is_refused() -> None:
    class OfNoKnownNumbers:
        dtype = "bfloat16"

        def __dlpack__(self, **settings: Any) -> Any:
            raise RuntimeError("no such numbers")

        def __dlpack_device__(self) -> tuple[int, int]:
            return (1, 0)

    with pytest.raises(errors.UsageError, match="takes an array of a library that speaks DLPack, got int"):
        tg.from_dlpack(3)
    with pytest.raises(errors.UsageError, match=r"OfNoKnownNumbers of bfloat16 \(no such numbers\): convert it first"):
        tg.from_dlpack(OfNoKnownNumbers())


def test_from_dlpack_copies() -> None:
    array = np.arange(3.0)
    x = tg.from_dlpack(array)
    array[:] = 7
    assert x.tolist() == [0.0, 1.0, 2.0]
    assert tg.from_dlpack(x).tolist() == [0.0, 1.0, 2.0]
    with pytest.raises(errors.InputError, match="leave out copy=False"):
        tg.from_dlpack(array, copy=False)


@pytest.mark.compare
def test_dlpack_with_pytorch_and_jax() -> None:
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    x = tg.tensor([1.0, 2.0, 3.0])
    taken = torch.from_dlpack(x)
    taken[0] = 7.0
    assert x.tolist() == jax.numpy.from_dlpack(x).tolist() == [1.0, 2.0, 3.0]
    assert tg.from_dlpack(taken).tolist() == [7.0, 2.0, 3.0]
    assert tg.from_dlpack(jax.numpy.arange(3.0)).dtype == np.float32
    with pytest.raises(BufferError, match="leave out copy=False"):
        torch.from_dlpack(x, copy=False)
    with pytest.raises(BufferError, match="detach"):
        tg.from_dlpack(taken.requires_grad_())


einops = pytest.importorskip("einops", reason="einops is a package of its own")
array_api = pytest.importorskip("einops.array_api")
FUNCTIONS = {
    "rearrange": lambda e, x: e.rearrange(x, "b c (h p) (w q) -> b (h w) (p q c)", p=2, q=2),
    "repeat": lambda e, x: e.repeat(x, "b c h w -> b c h (w 2)"),
    "pack": lambda e, x: e.pack([x[:, 0], x[:, 1:]], "b * h w")[0],
    "unpack": lambda e, x: e.unpack(x, [(1,), (2,)], "b * h w")[1],
    **{
        name: lambda e, x, name=name: e.reduce(x, "b c (h p) (w q) -> b h w c", name, p=2, q=2)
        for name in ("max", "min", "sum", "mean", "prod")
    },
}


CALLS = [(einops, function) for function in FUNCTIONS.values()]
CALLS += [(array_api, function) for function in FUNCTIONS.values()]
CALLS += [(einops, lambda e, x: e.einsum(x, x, "b c h w, b c w k -> b h k"))]  # array_api has none


@pytest.mark.long
@pytest.mark.parametrize(("library", "function"), CALLS)
def test_einops_passes_gradients(library: Any, function: Any) -> None:
    from tinygrad_lite.interchange import einops as ours  # noqa: F401  # which einops finds

    y = function(library, tg.tensor(X))
    assert type(y) is tg.Tensor
    np.testing.assert_allclose(y, function(einops, X), rtol=1e-14)
    tg.gradcheck(lambda x: np.sum(function(library, x) ** 2), X)


def test_layers_of_einops() -> None:
    from tinygrad_lite.interchange.einops import EinMix, Rearrange, Reduce

    model = nn.Sequential(
        EinMix("b c (h p) w -> b (h w) (k o)", "c p k o", "k o", c=3, p=2, k=2, o=5, rng=0),
        Rearrange("b t (k o) -> b t k o", k=2),
        Reduce("b t k o -> b o", "mean"),
    )
    x = tg.tensor(X)
    weight, bias = (w.numpy() for w in model.parameters())
    mixed = np.einsum("bchpw,cpko->bhwko", X.reshape(2, 3, 2, 2, 4), weight) + bias.reshape(2, 5)
    np.testing.assert_allclose(model(x).numpy(), mixed.mean(axis=(1, 2, 3)), rtol=1e-12)
    compiled = tg.compile(lambda model, x: model(x))
    for y in (copy.deepcopy(model)(x), pickle.loads(pickle.dumps(model))(x), compiled(model, x)):
        np.testing.assert_allclose(y.numpy(), model(x).numpy(), rtol=1e-14)
    tg.gradcheck(lambda model: np.sum(model(x) ** 2), model)
    assert EinMix("b i -> b o", "i o", i=3, o=4, rng=0).bias is None
    assert EinMix("b i -> b o", "i o", i=3, o=4, rng=0, dtype=np.float32).weight.dtype == np.float32


def test_labels_of_xarray_around_a_tensor() -> None:
    xr = pytest.importorskip("xarray", reason="xarray is a package of its own")

    def f(x: Any) -> Any:
        table = xr.DataArray(x, dims=("place", "time"), coords={"place": ["a", "b", "c"]})
        weights = xr.DataArray(np.arange(4.0), dims="time")
        means = (np.exp(table) * weights).mean("time")
        return (means.sel(place="b") + xr.dot(table, table, dim=["place", "time"])).data

    x = X[0, :, 0]
    np.testing.assert_allclose(f(tg.tensor(x)), f(x), rtol=1e-12)
    tg.gradcheck(f, x)
    taken = tg.tensor(xr.DataArray(x, dims=("place", "time")))
    np.testing.assert_array_equal(taken, x)
