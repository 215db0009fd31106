"""Against PyTorch: convolution, pooling, padding and upsampling; values, gradients, state dicts."""

from itertools import product
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.nn.images import LAYERS, UNPOOLED, Setting, name_of
from tinygrad_lite import nn
from tinygrad_lite.errors import ShapeError
from tinygrad_lite.nn import functional as F

pytestmark = pytest.mark.compare
torch = pytest.importorskip("torch", reason="PyTorch comes with the extra `compare`")


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-10, atol=1e-12)


def compared(ours: Any, theirs: Any, x: Any, *others: Any, **options: Any) -> None:
    """Compare the results and the gradients by x and by the parameters of two modules or functions."""
    a, b = tg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = ours(a, *others, **options), theirs(b, *map(torch.tensor, others), **options)
    if isinstance(y, tuple):
        np.testing.assert_array_equal(np.asarray(y[1]), z[1].numpy())
        y, z = y[0], z[0]
    close(y.numpy(), z.detach().numpy())
    g = np.cos(np.arange(y.size)).reshape(y.shape)
    y.backward(g)
    z.backward(torch.tensor(g))
    close(a.grad, b.grad.numpy())
    if isinstance(ours, nn.Module):
        theirs_by_name = dict(theirs.named_parameters())
        for path, parameter in ours.named_parameters():
            close(parameter.grad, theirs_by_name[path].grad.numpy())


@pytest.mark.parametrize("setting", LAYERS, ids=name_of)
def test_a_layer_is_pytorchs(setting: Setting) -> None:
    name, args, options, shape = setting
    theirs = getattr(torch.nn, name)(*args, **options).double()
    ours = getattr(nn, name)(*args, **options)
    ours.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).normal(size=shape)
    compared(ours, theirs, abs(x) if name.startswith("LP") else x)


@pytest.mark.parametrize("setting", UNPOOLED, ids=name_of)
def test_unpooling(setting: Setting) -> None:
    name, args, options, shape = setting
    pool = getattr(torch.nn, name.replace("Unpool", "Pool"))(*args, **options, return_indices=True)
    x = np.random.default_rng(0).normal(size=shape)
    y, indices = pool(torch.tensor(x))
    ours, theirs = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options)
    compared(ours, theirs, y.numpy(), indices.numpy())


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("options", [{"output_size": 3}, {"output_ratio": 0.6}, {"output_size": 1}])
def test_fractional_pooling(axes: int, options: dict[str, Any]) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, *(7,) * axes))
    samples = np.random.default_rng(1).random((2, 3, axes))
    name = f"FractionalMaxPool{axes}d"
    ours = getattr(nn, name)(2, **options, return_indices=True, _random_samples=samples)
    theirs = getattr(torch.nn, name)(2, **options, return_indices=True, _random_samples=torch.tensor(samples))
    compared(ours, theirs, x)


@pytest.mark.parametrize(
    ("mode", "size", "aligned"),
    [("bilinear", (3, 9), False), ("bicubic", (2, 4), False), ("bilinear", (4, 3), True), ("bicubic", (3, 3), True)],
)
def test_antialiased_interpolation(mode: str, size: Any, aligned: bool) -> None:
    x = np.random.default_rng(0).normal(size=(1, 2, 7, 8))
    settings = {"size": size, "mode": mode, "align_corners": aligned, "antialias": True}
    compared(F.interpolate, torch.nn.functional.interpolate, x, **settings)


@pytest.mark.parametrize("mode", ["linear", "bilinear", "trilinear", "bicubic", "nearest", "nearest-exact"])
@pytest.mark.parametrize("antialias", [False, True])
def test_factors_that_leave_an_axis_as_long_as_it_is(mode: str, antialias: bool) -> None:
    if antialias and mode not in ("bilinear", "bicubic"):
        return
    axes = {"linear": 1, "trilinear": 3}.get(mode, 2)
    for n, factor in product(range(2, 6), (1.15, 1.19, 1.3, 1.45)):
        x = np.random.default_rng(0).normal(size=(1, 2, n, 2, 6)[: 2 + axes])
        settings = {"scale_factor": factor, "mode": mode, "antialias": antialias}
        expected = torch.nn.functional.interpolate(torch.tensor(x), **settings).numpy()
        np.testing.assert_allclose(F.interpolate(x, **settings), expected, rtol=1e-12, atol=1e-13)
        if mode.endswith("linear") and not antialias:  # PyTorch's other gradients are not those of these values
            compared(F.interpolate, torch.nn.functional.interpolate, x, **settings)


def test_transposed_convolution_of_a_size() -> None:
    theirs = torch.nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1).double()
    ours = nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)
    ours.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).normal(size=(1, 2, 4, 4))
    for size in ([7, 8], [1, 3, 8, 7]):
        compared(ours, theirs, x, output_size=size)


@pytest.mark.parametrize("kind", ["Zero", "Reflection", "Replication", "Circular"])
def test_every_pair_of_widths_of_a_border(kind: str) -> None:
    """The same entries, or both refuse; a turn of what is cropped away, whose memory PyTorch returns, is refused."""
    for n, *widths in product(range(1, 5), range(-5, 5), range(-5, 5)):
        x = np.arange(1.0, 2 * n + 1).reshape(2, n)
        ours, theirs = getattr(nn, f"{kind}Pad1d")(tuple(widths)), getattr(torch.nn, f"{kind}Pad1d")(tuple(widths))
        try:
            expected = theirs(torch.tensor(x)).numpy()
        except (RuntimeError, ValueError):
            expected = None
        left = n + sum(min(width, 0) for width in widths)
        if expected is None or (kind == "Circular" and left < max(0, *widths)):
            with pytest.raises(ShapeError):
                ours(x)
        else:
            np.testing.assert_array_equal(ours(x), expected)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_images_at_the_places_of_a_grid(mode: str) -> None:
    """Between pixels, and at the pixels themselves, where the slopes of both sides differ."""
    rng = np.random.default_rng(0)
    for axes, padding, is_aligned in product((2, 3), ("zeros", "border", "reflection"), (False, True)):
        if axes == 3 and mode == "bicubic":
            continue
        settings = {"mode": mode, "padding_mode": padding, "align_corners": is_aligned}
        shape = (2, 3, *rng.integers(1, 5, axes).tolist())
        theta = rng.normal(size=(2, axes, axes + 1))
        grid = F.affine_grid(theta, (2, 1, 3, 4, 2)[: 2 + axes], is_aligned)
        close(grid, torch.nn.functional.affine_grid(torch.tensor(theta), (2, 1, 3, 4, 2)[: 2 + axes], is_aligned))
        still = F.affine_grid(np.tile(np.eye(axes, axes + 1), (2, 1, 1)), shape, is_aligned)
        for places in [grid] + [np.round(still, 15)] * (padding == "zeros"):
            x = rng.normal(size=shape)
            compared(F.grid_sample, torch.nn.functional.grid_sample, x, places, **settings)
            if mode == "nearest":  # whose steps have no slope
                continue
            ours, theirs = tg.tensor(places, requires_grad=True), torch.tensor(places, requires_grad=True)
            np.sum(np.sin(F.grid_sample(x, ours, **settings))).backward()
            torch.nn.functional.grid_sample(torch.tensor(x), theirs, **settings).sin().sum().backward()
            close(ours.grad, theirs.grad.numpy())
