"""Convolution, pooling, padding and upsampling: their formulas, derivatives, both compilers, and their errors."""

from collections.abc import Callable
from functools import partial
from itertools import product
from math import ceil, floor
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.marks import param
from tests.nn.images import LAYERS, UNPOOLED, Setting, name_of
from tinygrad_lite import nn
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.nn import functional as F
from tinygrad_lite.ops.networks.convolution import WIDE, convolution


def layer_of(setting: Setting) -> tuple[Any, Any]:
    """A layer and an input without ties, which is positive for norms."""
    name, args, options, shape = setting
    parameters = {"rng": 0} if name.startswith("Conv") else {}
    x = np.random.default_rng(1).permutation(int(np.prod(shape))).reshape(shape) * 0.37 - 1.9
    layer = getattr(nn, name)(*args, **options, **parameters).requires_grad_(False)
    return layer, abs(x) + 0.1 if name.startswith("LP") else x


def each(value: Any, axes: int) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes


# The formulas, entry by entry


def convolved(layer: Any, x: Any) -> Any:
    axes, w = layer.axes, layer.weight.numpy()
    widths = [(d * (k - 1) // 2, d * (k - 1) - d * (k - 1) // 2) for k, d in zip(layer.kernel_size, layer.dilation)]
    if not isinstance(layer.padding, str):
        widths = [(p, p) for p in layer.padding]
    elif layer.padding == "valid":
        widths = [(0, 0)] * axes
    mode = {"zeros": "constant", "replicate": "edge", "circular": "wrap"}.get(layer.padding_mode, "reflect")
    x = np.pad(x, [(0, 0), *widths], mode)
    at = layer.kernel_size, layer.stride, layer.dilation
    out = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[1:], *at)]
    y = np.zeros((len(w), *out))
    for o, *p in np.ndindex(y.shape):
        for c, *k in np.ndindex(w.shape[1:]):
            place = [s * i + d * j for i, j, s, d in zip(p, k, layer.stride, layer.dilation)]
            y[o, *p] += w[o, c, *k] * x[o // (len(w) // layer.groups) * w.shape[1] + c, *place]
    return y if layer.bias is None else y + layer.bias.numpy().reshape(-1, *[1] * axes)


def spread(layer: Any, x: Any) -> Any:
    w, at = layer.weight.numpy(), (layer.kernel_size, layer.stride, layer.dilation)
    whole = [(n - 1) * s + d * (k - 1) + 1 + m for n, m, k, s, d in zip(x.shape[1:], layer.output_padding, *at)]
    y = np.zeros((layer.out_channels, *whole))
    for c, *p in np.ndindex(x.shape):
        for o, *k in np.ndindex(w.shape[1:]):
            place = [s * i + d * j for i, j, s, d in zip(p, k, layer.stride, layer.dilation)]
            y[c // (len(w) // layer.groups) * w.shape[1] + o, *place] += w[c, o, *k] * x[c, *p]
    y = y[:, *(slice(p, n - p) for p, n in zip(layer.padding, whole))]
    return y if layer.bias is None else y + layer.bias.numpy().reshape(-1, *[1] * layer.axes)


Window = tuple[list[int], list[int]]
"""The entries of a window along an axis, and those of them that are padding."""


def windows(layer: Any, n: int, axis: int) -> list[Window]:
    """The windows along an axis, in order, as the settings lay them."""
    kernel = each(layer.kernel_size, layer.axes)[axis]
    stride = each(layer.kernel_size if layer.stride is None else layer.stride, layer.axes)[axis]
    p, d = (each(getattr(layer, name, usual), layer.axes)[axis] for name, usual in (("padding", 0), ("dilation", 1)))
    steps = (n + 2 * p - d * (kernel - 1) - 1) / stride
    count = (ceil(steps) if layer.ceil_mode else floor(steps)) + 1
    found = []
    for start in range(-p, -p + count * stride, stride):
        entries = range(start, start + d * kernel, d)
        inside = [i for i in entries if 0 <= i < n]
        if start < n:
            found.append((inside, [i for i in entries if i not in inside and i < n + p]))
    return found


def adaptive(layer: Any, n: int, axis: int) -> list[Window]:
    m = each(layer.output_size, layer.axes)[axis] or n
    return [(list(range(j * n // m, -(-(j + 1) * n // m))), []) for j in range(m)]


def pooled(lay: Callable[..., list[Window]], reduce: Callable[..., Any], layer: Any, x: Any) -> Any:
    """Reduce the entries of each window; `reduce` is also given their positions and how many there are with padding."""
    by_axis = [lay(layer, n, axis) for axis, n in enumerate(x.shape[1:])]
    y = np.array([0.0] * len(x) * int(np.prod([len(along) for along in by_axis])), object)
    for i, (c, *chosen) in enumerate(product(range(len(x)), *by_axis)):
        places = list(product(*[inside for inside, _ in chosen]))
        positions = [int(np.ravel_multi_index(place, x.shape[1:])) for place in places]
        count = int(np.prod([len(inside) + len(outside) for inside, outside in chosen]))
        y[i] = reduce(layer, [x[c, *place] for place in places], positions, count)
    shape = (len(x), *(len(along) for along in by_axis))
    if y.size and isinstance(y[0], tuple):
        return tuple(np.array(part).reshape(shape) for part in zip(*y))
    return y.astype(float).reshape(shape)


def largest(layer: Any, entries: Any, positions: Any, count: int) -> Any:
    best = int(np.argmax(entries))
    return (entries[best], positions[best]) if layer.return_indices else entries[best]


def mean(layer: Any, entries: Any, positions: Any, count: int) -> Any:
    included = count if getattr(layer, "count_include_pad", True) else len(entries)
    return sum(entries) / (getattr(layer, "divisor_override", None) or included)


def norm(layer: Any, entries: Any, positions: Any, count: int) -> Any:
    return sum(entry**layer.norm_type for entry in entries) ** (1 / layer.norm_type)


def padded(layer: Any, x: Any) -> Any:
    pairs = [(0, 0), *zip(layer.padding[::2], layer.padding[1::2])][: 1 + layer.axes]
    places = []
    for n, (before, after) in zip(x.shape, [pairs[0], *pairs[:0:-1]]):
        at = range(-before, n + after)
        low, high = max(-before, 0), n - max(-after, 0)
        turned = {
            "reflect": [abs((n - 1) - abs((n - 1) - i)) for i in at],
            "replicate": [min(max(i, 0), n - 1) for i in at],
            "circular": [low + (i - low) % max(high - low, 1) for i in at],
        }
        places.append(turned.get(layer.mode, [i if 0 <= i < n else -1 for i in at]))
    y = np.full([len(along) for along in places], float(layer.value or 0))
    for at in np.ndindex(y.shape):
        entry = [along[i] for i, along in zip(at, places)]
        if min(entry) >= 0:
            y[at] = x[tuple(entry)]
    return y


def resized(layer: Any, x: Any) -> Any:
    """The weights of all entries along each axis, as a matrix."""
    for axis, n in enumerate(x.shape[1:]):
        factor = each(layer.scale_factor, x.ndim - 1)[axis] if layer.size is None else None
        m = each(layer.size, x.ndim - 1)[axis] if factor is None else floor(n * factor)
        stays_or_doubles = layer.mode == "nearest" and x.ndim == 3 and m in (n, 2 * n)
        stays = stays_or_doubles or (layer.mode.endswith("linear") and m == n)
        step = n / m if factor is None or layer.recompute_scale_factor or stays else 1 / factor
        weights = np.zeros((m, n))
        for j in range(m):
            place = j * (n - 1) / max(m - 1, 1) if layer.align_corners else (j + 0.5) * step - 0.5
            if layer.mode in ("nearest", "nearest-exact"):
                weights[j, min(floor((j + 0.5 * (layer.mode == "nearest-exact")) * step), n - 1)] = 1
            elif layer.mode == "area":
                start, end = j * n // m, -(-(j + 1) * n // m)
                weights[j, start:end] = 1 / (end - start)
            else:
                place = place if layer.mode == "bicubic" else max(place, 0)
                for i in range(floor(place) - 1, floor(place) + 3):
                    weights[j, min(max(i, 0), n - 1)] += influence(layer.mode, abs(place - i))
        x = np.moveaxis(np.tensordot(weights, x, (1, axis + 1)), 0, axis + 1)
    return x


def influence(mode: str, t: float) -> float:
    if mode != "bicubic":
        return max(1 - t, 0)
    return 1.25 * t**3 - 2.25 * t**2 + 1 if t <= 1 else -0.75 * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0


def columns(layer: Any, x: Any) -> Any:
    k, d, p, s = (each(getattr(layer, name), 2) for name in ("kernel_size", "dilation", "padding", "stride"))
    x = np.pad(x, [(0, 0), *((n, n) for n in p)])
    out = [(n - e * (m - 1) - 1) // t + 1 for n, m, e, t in zip(x.shape[1:], k, d, s)]
    rows = [
        [x[c, s[0] * i + d[0] * a, s[1] * j + d[1] * b] for i, j in np.ndindex(*out)]
        for c, a, b in np.ndindex(len(x), *k)
    ]
    return np.array(rows)


def folded(layer: Any, x: Any) -> Any:
    """The transpose of what the windows read."""
    k = each(layer.kernel_size, 2)
    shape = (len(x) // (k[0] * k[1]), *each(layer.output_size, 2))
    units = np.eye(int(np.prod(shape))).reshape(-1, *shape)
    return np.array([np.sum(columns(layer, unit) * x) for unit in units]).reshape(shape)


def shuffled(layer: Any, x: Any) -> Any:
    r = layer.upscale_factor
    y = np.zeros((len(x) // r**2, x.shape[1] * r, x.shape[2] * r))
    for c, i, j in np.ndindex(y.shape):
        y[c, i, j] = x[c * r**2 + i % r * r + j % r, i // r, j // r]
    return y


def unshuffled(layer: Any, x: Any) -> Any:
    r = layer.downscale_factor
    y = np.zeros((len(x) * r**2, x.shape[1] // r, x.shape[2] // r))
    for c, i, j in np.ndindex(x.shape):
        y[c * r**2 + i % r * r + j % r, i // r, j // r] = x[c, i, j]
    return y


def dealt(layer: Any, x: Any) -> Any:
    return x[[g * (len(x) // layer.groups) + i for i in range(len(x) // layer.groups) for g in range(layer.groups)]]


FORMULAS: dict[str, Callable[[Any, Any], Any]] = {
    "ConvTranspose": spread,
    "Conv": convolved,
    "Unfold": columns,
    "Fold": folded,
    "MaxPool": partial(pooled, windows, largest),
    "AvgPool": partial(pooled, windows, mean),
    "LPPool": partial(pooled, windows, norm),
    "AdaptiveAvgPool": partial(pooled, adaptive, mean),
    "AdaptiveMaxPool": partial(pooled, adaptive, largest),
    "PixelShuffle": shuffled,
    "PixelUnshuffle": unshuffled,
    "ChannelShuffle": dealt,
    "Ups": resized,
    **dict.fromkeys(["ZeroPad", "ConstantPad", "ReflectionPad", "ReplicationPad", "CircularPad"], padded),
}


def by_formula(layer: Any, x: Any) -> Any:
    """The result by the formula, image by image."""
    name = type(layer).__name__
    formula = next(formula for start, formula in FORMULAS.items() if name.startswith(start))
    flat = name in ("Fold", "Unfold")
    ndim = 2 if name == "Fold" else 3 if flat or name.startswith("Pixel") else getattr(layer, "axes", 0) + 1
    if x.ndim == ndim and not name.startswith(("Ups", "Channel")):
        return formula(layer, x)
    found = [formula(layer, image) for image in x]
    return tuple(map(np.array, zip(*found))) if isinstance(found[0], tuple) else np.array(found)


@pytest.mark.parametrize("setting", LAYERS, ids=name_of)
def test_a_layer_is_its_formula(setting: Setting) -> None:
    layer, x = layer_of(setting)
    found, expected = layer(tg.tensor(x)), by_formula(layer, x)
    if isinstance(expected, tuple):
        np.testing.assert_array_equal(np.asarray(found[1]), expected[1])
        found, expected = found[0], expected[0]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-13)


def weighted(layer: Any) -> Callable[[Any], Any]:
    """A number that each entry of the result moves differently, and not linearly."""

    def total(x: Any) -> Any:
        y = layer(x)
        y = y[0] if isinstance(y, tuple) else y
        return np.sum(np.sin(y * (1 + np.arange(np.shape(y)[-1]))))

    return total


@pytest.mark.long
@pytest.mark.parametrize("setting", [param(x, slow=i % 3 > 0) for i, x in enumerate(LAYERS)], ids=name_of)
def test_derivatives(setting: Setting) -> None:
    layer, x = layer_of(setting)
    assert tg.gradcheck(weighted(layer), x, order=2)
    _, tangent = tg.jvp(weighted(layer), (x,), (np.cos(x),))
    np.testing.assert_allclose(tangent, np.sum(np.cos(x) * tg.grad(weighted(layer))(x)), rtol=1e-10)
    if layer.state_dict():
        state = {path: np.array(value) for path, value in layer.state_dict().items()}
        assert tg.gradcheck(lambda state: weighted(lambda x: nn.functional_call(layer, state, x))(x), state, order=2)


@pytest.mark.long
@pytest.mark.parametrize("setting", [param(x, slow=i % 16 > 0) for i, x in enumerate(LAYERS)], ids=name_of)
@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_compiled_layer_is_the_same(setting: Setting, backend: str) -> None:
    if backend == "native":
        pytest.importorskip("llvmlite", reason="native code comes with the extra `compile`")
    layer, x = layer_of(setting)
    step = tg.value_and_grad(weighted(layer))
    for found, expected in zip(tg.compile(step, backend=backend)(x), step(x)):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", sorted({name for name, *_ in LAYERS}))
def test_a_users_class_derived_from_it_works_along_its_axes(name: str) -> None:
    """A `Temporal1d` may be a convolution of images."""
    layer, x = layer_of(next(setting for setting in LAYERS if setting[0] == name))
    expected, values = layer(x), dict(vars(layer))
    for ending in ("1d", "2d", "3d", ""):
        layer = object.__new__(type(f"Own{ending}", (getattr(nn, name),), {}))
        vars(layer).update(values)
        np.testing.assert_array_equal(np.asarray(layer(x)), np.asarray(expected))


@pytest.mark.parametrize("setting", LAYERS, ids=name_of)
def test_single_precision_stays_and_an_empty_batch_goes_through(setting: Setting) -> None:
    layer, x = layer_of(setting)
    y = layer.to(np.float32)(x.astype(np.float32))
    y = y[0] if isinstance(y, tuple) else y
    assert y.dtype == np.float32
    if x.ndim == getattr(layer, "axes", 2) + 2:
        nothing = layer(tg.tensor(x[:0], requires_grad=True))
        assert np.shape(nothing[0] if isinstance(nothing, tuple) else nothing)[1:] == y.shape[1:]


@pytest.mark.parametrize("setting", UNPOOLED, ids=name_of)
def test_unpooling_is_the_way_back(setting: Setting) -> None:
    name, args, options, shape = setting
    x = np.random.default_rng(1).permutation(int(np.prod(shape))).reshape(shape) + 1.0
    y, indices = getattr(nn, name.replace("Unpool", "Pool"))(*args, **options, return_indices=True)(x)
    back = getattr(nn, name)(*args, **options)(y, indices, output_size=shape)
    assert np.shape(back) == shape
    np.testing.assert_array_equal(back, np.where(np.isin(x, y), x, 0))
    if len(np.unique(indices)) == indices.size:  # an entry that two windows share has no derivative
        assert tg.gradcheck(weighted(lambda y: getattr(nn, name)(*args, **options)(y, indices)), y, order=2)


def by_places(x: Any, w: Any, g: Any, step: int, groups: int) -> list[Any]:
    """A convolution padded above and below, and its gradients, as sums over the places of the kernel."""
    wide = np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
    y, by_x, by_w = np.zeros(g.shape), np.zeros(wide.shape), np.zeros(w.shape)
    (out, channels), (height, width) = (n // groups for n in (len(w), x.shape[1])), g.shape[2:]
    for group, i, j in np.ndindex(groups, *w.shape[2:]):
        rows, columns = slice(i, i + height), slice(j, j + step * width, step)
        seen = (slice(None), slice(channels * group, channels * (group + 1)), rows, columns)
        made = slice(out * group, out * (group + 1))
        y[:, made] += np.einsum("nchw,oc->nohw", wide[seen], w[made, :, i, j])
        by_x[seen] += np.einsum("nohw,oc->nchw", g[:, made], w[made, :, i, j])
        by_w[made, :, i, j] = np.einsum("nohw,nchw->oc", g[:, made], wide[seen])
    return [y, by_x[:, :, 1:-1], by_w]


@pytest.mark.long
@pytest.mark.parametrize("backend", [None, "native", "numpy"])
@pytest.mark.parametrize(
    ("step", "groups", "out"),
    [(2, 2, 6), (1, 1, 6), (2, 1, 6), (1, 4, 4)],
    ids=["batch last", "as they are", "in steps", "own kernels"],
)
def test_large_images_are_worked_on_piece_by_piece(
    step: int, groups: int, out: int, backend: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tinygrad_lite.ops.networks.convolution.LARGEST", 2**21)
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(9, 4, 60, 61)), rng.normal(size=(out, 4 // groups, 3, 2))
    g = rng.normal(size=(9, out, 60, 60 // step))

    def f(x: Any, w: Any, g: Any) -> Any:
        y, pull = tg.vjp(lambda x, w: F.conv2d(x, w, stride=(1, step), padding=(1, 0), groups=groups), x, w)
        return y, *pull(g)

    found = (tg.compile(f, backend=backend) if backend else f)(x, w, g)
    for result, expected in zip(found, by_places(x, w, g, step, groups)):
        np.testing.assert_allclose(result, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", [8, 32])
def test_a_program_lays_images_out_as_eager_code_does(size: int) -> None:
    x, w = np.ones((2, 3, size, size)), np.ones((4, 3, 3, 3))
    compiled = tg.compile(lambda x, w: F.conv2d(x, w, padding=1), backend="numpy")
    compiled(x, w)
    in_order = F.conv2d(x, w, padding=1).flags.c_contiguous
    assert in_order == (size >= WIDE) == ("transpose((1, 2, 3, 0))" not in compiled.source)


def test_the_first_of_equal_entries_gets_the_gradient() -> None:
    x = np.array([[2.0, 2.0, 1.0, 2.0]])
    np.testing.assert_array_equal(tg.grad(lambda x: np.sum(F.max_pool1d(x, 2, 1)))(x), [[1, 1, 0, 1]])
    _, indices = F.max_pool1d(x, 2, 1, return_indices=True)
    np.testing.assert_array_equal(indices, [[0, 1, 3]])
    assert np.isnan(F.max_pool1d(np.array([[1.0, np.nan, 3.0, 0.0]]), 2)[0, 0])


def test_fractional_windows_lie_by_the_rng() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 9, 8))
    layer = nn.FractionalMaxPool2d(2, output_ratio=(0.5, 0.7), rng=0)
    y = layer(x)
    assert y.shape == (2, 3, 4, 5)
    assert np.isin(y, x).all()
    np.testing.assert_array_equal(y, F.fractional_max_pool2d(x, 2, (4, 5), rng=0))
    assert not np.array_equal(y, layer(x))


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_positions_that_are_found_or_drawn_are_new_in_each_compiled_run(backend: str) -> None:
    if backend == "native":
        pytest.importorskip("llvmlite", reason="native code comes with the extra `compile`")
    rng = np.random.default_rng(0)
    model, same = (nn.FractionalMaxPool2d(2, 3, return_indices=True, rng=0) for _ in range(2))

    def step(pool: Any) -> Any:
        return tg.value_and_grad(lambda x: np.sum(np.sin(F.max_unpool2d(*pool(x), 2, output_size=(6, 6)))))

    compiled = tg.compile(step(model), backend=backend)
    for _ in range(3):
        x = rng.normal(size=(2, 2, 6, 6))
        for found, expected in zip(compiled(x), step(same)(x)):
            np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_parameters_start_as_in_pytorch_and_by_their_rng() -> None:
    for layer in (nn.Conv2d(20, 10, 5, groups=2, rng=0), nn.ConvTranspose2d(10, 20, 5, groups=2, rng=0)):
        assert 0.99 / 250**0.5 < abs(layer.weight.numpy()).max() <= 1 / 250**0.5
        assert abs(layer.bias.numpy()).max() <= 1 / 250**0.5
    first, again, other = (nn.Conv1d(2, 3, 4, rng=seed, dtype=np.float32) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.weight.numpy(), again.weight.numpy())
    assert not np.array_equal(first.weight.numpy(), other.weight.numpy())
    assert first(np.ones((2, 5), np.float32)).dtype == np.float32


IMAGE = np.ones((2, 3, 5, 5))
ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "channels": (lambda: nn.Conv2d(4, 2, 3)(IMAGE), ShapeError, r"Conv2d\(4, 2.*\(N, 4, H, W\), got \(2, 3, 5, 5\)"),
    "axes": (lambda: nn.Conv2d(3, 2, 3)(np.ones((3, 5))), ShapeError, r"\(3, H, W\) or \(N, 3, H, W\), got \(3, 5\)"),
    "large kernel": (lambda: nn.Conv2d(3, 2, 6)(IMAGE), ShapeError, r"Conv2d.*reaches \(6, 6\).*\(5, 5\)"),
    "groups": (lambda: nn.Conv2d(3, 2, 3, groups=2), InputError, "multiples of groups=2.*in_channels=3"),
    "same with stride": (lambda: nn.Conv2d(3, 2, 3, stride=2, padding="same"), InputError, "stride 1"),
    "padding": (lambda: nn.Conv2d(3, 2, 3, padding="full"), InputError, '"same" or "valid"'),
    "padding mode": (lambda: nn.Conv2d(3, 2, 3, padding_mode="mirror"), InputError, "mirror"),
    "kernel": (lambda: nn.Conv2d(3, 2, (3, 0)), InputError, r"kernel_size.*at least 1.*\(3, 0\)"),
    "stride": (lambda: nn.Conv2d(3, 2, 3, stride=(1, 1, 1)), InputError, "stride.*2 of them"),
    "weight": (lambda: F.conv2d(IMAGE, np.ones((2, 3, 3))), ShapeError, r"\(O, C / groups, K, L\).*\(2, 3, 3\)"),
    "bias": (lambda: F.conv2d(IMAGE, np.ones((2, 3, 3, 3)), np.ones(3)), ShapeError, r"bias.*\(2,\), got \(3,\)"),
    "output padding": (lambda: nn.ConvTranspose2d(3, 2, 3, output_padding=1)(IMAGE), InputError, "smaller than"),
    "output size": (lambda: nn.ConvTranspose2d(3, 2, 3)(IMAGE, (9, 9)), ShapeError, r"between \[7, 7\].*\(9, 9\)"),
    "nothing left": (lambda: nn.ConvTranspose1d(3, 2, 1, padding=3)(np.ones((3, 5))), ShapeError, "nothing is left"),
    "fold": (lambda: nn.Fold(4, 2)(np.ones((1, 4, 8))), ShapeError, r"Fold.*9\) or without N, got \(1, 4, 8\)"),
    "window": (lambda: nn.MaxPool2d(6)(IMAGE), ShapeError, r"MaxPool2d\(kernel_size=6.*\(6, 6\).*\(2, 3, 5, 5\)"),
    "much padding": (lambda: nn.AvgPool2d(2, padding=2)(IMAGE), InputError, "more than half"),
    "norm": (lambda: nn.LPPool2d(0, 2)(IMAGE), InputError, r"LPPool2d.*norm_type must be positive, got 0"),
    "sides": (lambda: nn.ZeroPad2d((1, 2, 3)), InputError, r"a whole number or 4 of them; got \(1, 2, 3\)"),
    "divisor": (lambda: F.avg_pool2d(IMAGE, 2, divisor_override=0), InputError, "not be 0"),
    "adaptive": (lambda: nn.AdaptiveAvgPool2d((0, 1))(IMAGE), InputError, "output_size.*at least 1"),
    "index": (
        lambda: F.max_unpool1d(np.ones((1, 2)), np.array([[0, 9]]), 2),
        InputError,
        "among 4 entries is 9",
    ),
    "indices": (lambda: F.max_unpool1d(np.ones((1, 2)), np.array([[0]]), 2), ShapeError, r"\(1, 2\).*\(1, 1\)"),
    "ratio": (lambda: nn.FractionalMaxPool2d(2, output_ratio=2)(IMAGE), InputError, "between 0 and 1"),
    "reflection": (lambda: nn.ReflectionPad2d(5)(IMAGE), ShapeError, r"ReflectionPad2d.*more than 4.*\(2, 3, 5, 5\)"),
    "cropped away before it grows": (lambda: nn.CircularPad1d((2, -4))(np.ones((1, 3))), ShapeError, "take away more"),
    "nothing left of an edge": (lambda: nn.ReplicationPad1d((-3, 0))(np.ones((1, 3))), ShapeError, "take away more"),
    **{
        f"no pixels, {mode}": (
            partial(F.interpolate, np.ones((2, 3, 0, *shape)), 4, mode=mode),
            ShapeError,
            "has no pixels",
        )
        for mode, shape in (("nearest", ()), ("linear", ()), ("bilinear", (2,)), ("bicubic", (2,)), ("area", (2,)))
    },
    "cropped away": (lambda: nn.ZeroPad2d(-3)(IMAGE), ShapeError, "take away more"),
    "widths": (lambda: F.pad(IMAGE, (1, 2, 3)), ShapeError, "two widths"),
    "border": (lambda: F.pad(IMAGE, (1, 1), "mirror"), InputError, "mirror"),
    "size and factor": (lambda: nn.Upsample(3, 2)(IMAGE), InputError, "either size or scale_factor"),
    "mode": (lambda: nn.Upsample(3, mode="linear")(IMAGE), ShapeError, r"with 1 axes of pixels, got shape \(2, 3, 5"),
    "corners": (lambda: nn.Upsample(3, align_corners=True)(IMAGE), InputError, "align_corners"),
    "shuffle": (lambda: nn.PixelShuffle(2)(IMAGE), ShapeError, r"C · 4, H, W.*\(2, 3, 5, 5\)"),
    "unshuffle": (lambda: nn.PixelUnshuffle(2)(IMAGE), ShapeError, r"H · 2, W · 2.*\(2, 3, 5, 5\)"),
    "deal": (lambda: nn.ChannelShuffle(2)(IMAGE), ShapeError, r"multiple of 2.*\(2, 3, 5, 5\)"),
}


@pytest.mark.parametrize(("attempt", "kind", "message"), ERRORS.values(), ids=list(ERRORS))
def test_errors(attempt: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt()


@pytest.mark.long
@pytest.mark.parametrize("are_pieces_small", [False, True])
@pytest.mark.parametrize(
    ("shape", "out_channels", "groups", "kernel", "stride", "padding", "dilation"),
    [
        ((3, 4, 20), 6, 2, (3,), (1,), ((1, 1),), (1,)),
        ((2, 3, 40), 2, 1, (5,), (2,), ((2, 0),), (1,)),
        ((3, 2, 5, 18), 9, 1, (3, 2), (1, 1), ((1, 0), (0, 1)), (1, 1)),
        ((3, 4, 6, 19), 4, 4, (2, 3), (1, 1), ((2, 2), (3, 3)), (2, 2)),
        ((2, 6, 7, 17), 3, 3, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
        ((4, 2, 9, 33), 2, 1, (3, 3), (2, 1), ((1, 1), (1, 1)), (1, 1)),
        ((1, 3, 6, 20), 2, 1, (3, 3), (1, 1), ((1, 1), (3, 1)), (1, 1)),
        ((3, 3, 9, 70), 2, 1, (3, 2), (2, 3), ((2, 0), (4, 3)), (1, 3)),
        ((2, 3, 5, 4), 2, 1, (2, 3), (1, 1), ((6, 7), (8, 5)), (1, 1)),
        ((2, 3, 6, 5), 2, 1, (2, 2), (5, 4), ((0, 0), (0, 0)), (1, 1)),
        ((2, 2, 3, 4, 18), 3, 1, (2, 1, 3), (1, 1, 1), ((0, 1), (0, 0), (1, 1)), (1, 1, 1)),
        ((20, 8, 8, 8), 3, 1, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
        ((300, 4, 12, 12), 4, 1, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
        ((40, 8, 24, 24), 8, 2, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
        ((3, 4, 5), 6, 1, (1,), (1,), ((0, 0),), (1,)),
        ((5, 3, 4, 3), 2, 1, (1, 1), (1, 1), ((0, 0), (0, 0)), (2, 2)),
        ((4, 20, 1, 2), 30, 1, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
        ((3, 4, 8, 7), 4, 4, (3, 3), (2, 2), ((1, 1), (1, 0)), (1, 1)),
        ((2, 3, 9, 12), 3, 3, (2, 5), (1, 4), ((3, 0), (0, 2)), (2, 1)),
        ((2, 2, 5, 4, 6), 2, 2, (3, 2, 3), (1, 2, 2), ((1, 1), (0, 0), (1, 2)), (1, 1, 1)),
        ((1, 2, 3, 4, 5), 3, 1, (1, 1, 1), (1, 1, 1), ((0, 0), (0, 0), (0, 0)), (1, 1, 1)),
    ],
    ids=str,
)
def test_convolution_and_its_gradients_in_every_layout(
    shape: Any,
    out_channels: int,
    groups: int,
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    are_pieces_small: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if are_pieces_small:
        limits = {"strips.LARGE": 2**11, "strips.SMALL": 400, "strips.NARROW": 3, "strips.DEEP": 2}
        for name, value in (limits | {"convolution.NARROW": 3, "convolution.FEW": 1}).items():
            monkeypatch.setattr(f"tinygrad_lite.ops.networks.{name}", value)
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=shape), rng.normal(size=(out_channels, shape[1] // groups, *kernel))
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation))
    letters, places = "pqr"[: len(kernel)], "klm"[: len(kernel)]

    def plain(x: Any, w: Any) -> Any:
        padded = np.pad(x, ((0, 0), (0, 0), *padding))
        windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=tuple(range(2, x.ndim)))
        steps = [slice(None, None, step) for step in (*stride, *dilation)]
        windows = windows[:, :, *steps].reshape(
            len(x),
            groups,
            -1,
            *[(n + sum(p) - r) // s + 1 for n, p, r, s in zip(x.shape[2:], padding, reach, stride)],
            *kernel,
        )
        by_group = w.reshape(groups, -1, *w.shape[1:])
        y = np.einsum(f"ngc{letters}{places},goc{places}->ngo{letters}", windows, by_group, optimize=True)
        return y.reshape(len(x), out_channels, *y.shape[3:])

    right = plain(x, w)
    g = rng.normal(size=right.shape)
    last = (*range(1, x.ndim), 0)
    for turn_x, turn_g in product((False, True), repeat=2):
        a = np.moveaxis(np.ascontiguousarray(x.transpose(last)), -1, 0) if turn_x else x
        b = np.moveaxis(np.ascontiguousarray(g.transpose(last)), -1, 0) if turn_g else g
        y, pull = tg.vjp(lambda x, w: convolution(x, w, **settings), a, w)
        np.testing.assert_allclose(y, right, rtol=1e-10, atol=1e-10)
        by_x, by_w = pull(b)
        # ⟨g, conv(v, w)⟩ is linear in v and in w, so its values at other arrays are products with the gradients
        v, u = rng.normal(size=x.shape), rng.normal(size=w.shape)
        np.testing.assert_allclose(np.sum(by_x * v), np.sum(g * plain(v, w)), rtol=1e-9)
        np.testing.assert_allclose(np.sum(by_w * u), np.sum(g * plain(x, u)), rtol=1e-9)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_indices_change_no_maximum_even_of_windows_that_lie_in_the_padding(axes: int) -> None:
    pool = getattr(F, f"max_pool{axes}d")
    for n, kernel, stride, dilation in product((1, 2, 3, 4), (2, 3), (1, 2), (1, 2, 3)):
        x = np.cos(np.arange(2.0 * n**axes)).reshape(1, 2, *(n,) * axes)
        settings = {"stride": stride, "padding": 1, "dilation": dilation}
        if n + 2 < dilation * (kernel - 1) + 1:
            continue
        y, indices = pool(x, kernel, **settings, return_indices=True)
        np.testing.assert_array_equal(y, pool(x, kernel, **settings))
        seen = np.take_along_axis(x.reshape(1, 2, -1), indices.reshape(1, 2, -1), -1).reshape(y.shape)
        np.testing.assert_array_equal(seen[np.isfinite(y)], y[np.isfinite(y)])


COVERING = [{"mode": "bilinear", "antialias": True}, {"mode": "bicubic", "antialias": True}, {"mode": "area"}]


@pytest.mark.parametrize("settings", [{"mode": "bicubic"}, *COVERING], ids=str)
@pytest.mark.parametrize("size", [(3, 4), (5, 9)])
def test_an_infinite_gradient_reaches_the_pixels_behind_it_alone(size: tuple[int, int], settings: Any) -> None:
    x = np.ones((1, 1, 5, 7))
    y, pull = tg.vjp(lambda x: F.interpolate(x, size, **settings), x)
    g = np.zeros_like(y)
    g[0, 0, 1, 2] = 1
    (reached,) = pull(g)
    (infinite,) = pull(np.where(g, np.inf, 0))
    np.testing.assert_array_equal(np.isfinite(infinite), reached == 0)


@pytest.mark.parametrize("settings", COVERING, ids=str)
@pytest.mark.parametrize("size", [(3, 4), (5, 9)])
def test_an_infinite_pixel_reaches_what_covers_it_alone(size: tuple[int, int], settings: Any) -> None:
    x = np.ones((1, 1, 5, 7))
    x[..., 4, 6] = np.inf
    reached = F.interpolate(np.where(np.isinf(x), 1.0, 0.0), size, **settings)
    np.testing.assert_array_equal(np.isfinite(F.interpolate(x, size, **settings)), reached == 0)
