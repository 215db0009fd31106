"""Images read between their pixels: values, derivatives also at the pixels themselves, and errors."""

from itertools import product
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.errors import InputError, ShapeError
from tinygrad_lite.nn import functional as F
from tinygrad_lite.ops.networks.between_pixels import MODES, PADDINGS

RNG = np.random.default_rng(0)
IMAGES, GRID, TURN = RNG.normal(size=(2, 2, 4, 5)), RNG.normal(size=(2, 2, 3, 2)), RNG.normal(size=(2, 2, 3))
IDENTITY = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]] * 2)


@pytest.mark.parametrize("mode", MODES)
def test_the_identity_shows_the_image_itself(mode: str) -> None:
    for padding, is_aligned in product(PADDINGS, (False, True)):
        grid = F.affine_grid(IDENTITY, IMAGES.shape, is_aligned)
        np.testing.assert_allclose(F.grid_sample(IMAGES, grid, mode, padding, is_aligned), IMAGES, atol=1e-12)


def test_a_place_between_pixels_is_their_weighted_sum() -> None:
    """Beyond the border are zeros, the border's pixels, or their reflection."""
    row = np.array([[[1.0, 3.0, 7.0]]])
    places = np.array([-0.75, 0.25, 1.0, 2.75])  # in pixels
    grid = ((2 * places + 1) / 3 - 1)[None, :, None]
    expected = {"zeros": [0.25, 1.5, 3.0, 1.75], "border": [1, 1.5, 3, 7], "reflection": [1, 1.5, 3, 7]}
    for padding, values in expected.items():
        np.testing.assert_allclose(F.grid_sample(row, grid, "bilinear", padding)[0, 0], values)


def test_at_a_pixel_the_slope_leads_to_the_next_one() -> None:
    """As in PyTorch; a hat and an absolute value gave half of it, or nothing, where every image starts unmoved."""
    grid = F.affine_grid(IDENTITY, IMAGES.shape, True)
    for images in (IMAGES, np.round(IMAGES)):
        slope = tg.grad(lambda grid, images=images: np.sum(F.grid_sample(images, grid, align_corners=True)))(grid)
        after = np.pad(images, ((0, 0), (0, 0), (0, 1), (0, 1)))
        along = [np.sum(after[:, :, :-1, 1:] - images, axis=1) * 2.0, np.sum(after[:, :, 1:, :-1] - images, axis=1)]
        np.testing.assert_allclose(slope, np.stack([along[0], along[1] * 1.5], axis=-1), atol=1e-10)


@pytest.mark.parametrize("compiled", [lambda f: f, tg.compile])
def test_a_place_that_is_no_number_has_a_value_that_is_none(compiled: Any) -> None:
    """What a diverging model reads is NaN, as in PyTorch, and no index; the nearest pixel to NaN counts as outside."""
    grid = np.array([[[[np.nan, 0.0], [0.1, 0.2], [0.1, np.nan]]]])
    for mode, padding in product(MODES, PADDINGS):
        values = compiled(lambda x, grid, mode=mode, padding=padding: F.grid_sample(x, grid, mode, padding))
        for _ in range(3):
            found = values(IMAGES[:1], grid)[0, 0, 0]
        assert np.isfinite(found[1])
        if mode != "nearest":
            assert np.isnan(found[[0, 2]]).all()
        elif padding == "zeros":
            np.testing.assert_array_equal(found[[0, 2]], 0)


def read(x: Any, theta: Any, **settings: Any) -> Any:
    return np.sum(np.sin(F.grid_sample(x, F.affine_grid(theta, (1, 1, 1, 2)), **settings)))


@pytest.mark.long
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("mode", MODES)
def test_gradients(mode: str, padding: str) -> None:
    def f(x: Any, theta: Any) -> Any:
        return read(x, theta, mode=mode, padding_mode=padding)

    tg.gradcheck(f, IMAGES[:1, :1, :2, :2], 0.5 * TURN[:1])
    if padding == "zeros":
        tg.gradcheck(f, IMAGES[:1, :1, :2, :2], 0.5 * TURN[:1], order=2)


def test_compiled_functions_read_at_the_places_of_the_run() -> None:
    gradient = tg.grad(read, (0, 1))
    compiled = tg.compile(gradient, backend="numpy")
    for scale in (1.0, 0.5, 0.1):
        arguments = IMAGES[:1], scale * TURN[:1]
        for found, expected in zip(compiled(*arguments), gradient(*arguments)):
            np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize(
    ("attempt", "kind", "message"),
    [
        (lambda: F.grid_sample(IMAGES, GRID[:1]), ShapeError, r"need a grid \(2, h, w, 2\), got \(1, 2, 3, 2\)"),
        (lambda: F.grid_sample(IMAGES, GRID[..., :1]), ShapeError, r"need a grid \(2, h, w, 2\)"),
        (lambda: F.grid_sample(IMAGES[0, 0], GRID), ShapeError, "need a grid"),
        (lambda: F.grid_sample(IMAGES[..., :0], GRID), ShapeError, "have no pixels"),
        (lambda: F.grid_sample(IMAGES, GRID, "linear"), InputError, "mode must be one of bilinear, nearest, bicubic"),
        (lambda: F.grid_sample(IMAGES, GRID, padding_mode="reflect"), InputError, "padding_mode must be one of zeros"),
        (lambda: F.affine_grid(TURN, (2, 1, 4)), ShapeError, r"affine_grid needs theta \(N, 2, 3\)"),
        (lambda: F.affine_grid(TURN, (3, 1, 4, 4)), ShapeError, r"got theta of shape \(2, 2, 3\) and the size"),
    ],
)
def test_bad_input_is_refused(attempt: Any, kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt()
