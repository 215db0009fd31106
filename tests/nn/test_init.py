"""First values: their distributions, the same as arrays and in the place of a leaf's."""

import inspect
from math import sqrt
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.errors import GraphError, InputError, ShapeError, UsageError
from tinygrad_lite.nn import init

DEVIATIONS: dict[str, tuple[str, tuple[int, ...], dict[str, Any], float]] = {
    "normal": ("normal", (200, 100), {"std": 0.5}, 0.5),
    "uniform": ("uniform", (200, 100), {"a": -1, "b": 1}, 1 / sqrt(3)),
    "xavier_uniform": ("xavier_uniform", (200, 100), {}, sqrt(2 / 300)),
    "xavier_normal": ("xavier_normal", (200, 100), {"gain": 2.0}, 2 * sqrt(2 / 300)),
    "kaiming_uniform": ("kaiming_uniform", (200, 100), {}, sqrt(2 / 100)),
    "kaiming_normal": ("kaiming_normal", (200, 100), {"a": 0.5}, sqrt(2 / 1.25 / 100)),
    "fan_out": ("kaiming_normal", (200, 100), {"mode": "fan_out", "nonlinearity": "tanh"}, 5 / 3 / sqrt(200)),
    "receptive field": ("kaiming_normal", (200, 10, 5, 2), {"nonlinearity": "relu"}, sqrt(2 / 100)),
    "orthogonal": ("orthogonal", (100, 200), {"gain": 3.0}, 3 / sqrt(200)),
    "half of a normal": ("trunc_normal", (200, 100), {"a": -100, "b": 100, "std": 2.0}, 2.0),
    "little of a normal": ("trunc_normal", (200, 100), {"a": -0.01, "b": 0.01}, 0.01 / sqrt(3)),
}


@pytest.mark.parametrize(("name", "shape", "settings", "deviation"), DEVIATIONS.values(), ids=list(DEVIATIONS))
def test_deviations(name: str, shape: Any, settings: Any, deviation: float) -> None:
    initialise = getattr(init, name)
    drawn = initialise(shape, **settings, rng=0)
    assert drawn.shape == shape
    assert abs(drawn.mean()) < 0.05 * deviation
    assert abs(drawn.std() / deviation - 1) < 0.02
    np.testing.assert_array_equal(initialise(shape, **settings, rng=np.random.default_rng(0)), drawn)
    assert initialise(shape, **settings, rng=0, dtype=np.float32).dtype == np.float32


@pytest.mark.parametrize(("mean", "std", "a", "b"), [(0, 1, -2, 2), (1, 2, 0, 0.5), (0, 1, 2, 4), (0, 1, -1, 9)])
def test_a_truncated_normal_has_its_moments(mean: float, std: float, a: float, b: float) -> None:
    drawn = init.trunc_normal(100_000, mean, std, a, b, rng=0)
    assert a <= drawn.min() <= drawn.max() <= b
    x = np.linspace(a, b, 10_001)
    density = np.exp(-(((x - mean) / std) ** 2) / 2)
    for power in (1, 2, 3):
        expected = np.sum(density * x**power) / np.sum(density)
        spread = np.sum(density * x ** (2 * power)) / np.sum(density) - expected**2
        assert abs(np.mean(drawn**power) - expected) < 5 * sqrt(spread / drawn.size)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (4, 2, 3), (2, 3, 4)])
def test_orthogonal_rows_or_columns(shape: tuple[int, ...]) -> None:
    matrix = init.orthogonal(shape, 2.0, rng=0).reshape(shape[0], -1)
    product = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-13)


def test_initialisers_that_do_not_draw() -> None:
    np.testing.assert_array_equal(init.zeros((2, 3), rng=0), np.zeros((2, 3)))
    np.testing.assert_array_equal(init.ones((2, 3), rng=0), np.ones((2, 3)))
    np.testing.assert_array_equal(init.constant((2, 3), 7, rng=0), np.full((2, 3), 7.0))
    np.testing.assert_array_equal(init.eye((2, 3), rng=0), np.eye(2, 3))
    kernel = init.dirac((4, 3, 3, 5), groups=2)
    assert [tuple(place) for place in np.argwhere(kernel)] == [(g * 2 + d, d, 1, 2) for g in (0, 1) for d in (0, 1)]
    assert (np.count_nonzero(init.sparse((10, 4), 0.25, rng=0), axis=0) == 7).all()


PAIRS = [name for name, f in vars(init).items() if inspect.isfunction(f) and hasattr(init, f"{name}_")]


@pytest.mark.parametrize("name", PAIRS)
def test_a_leaf_is_given_what_the_function_makes(name: str) -> None:
    shape = (4, 2, 3) if name == "dirac" else (4, 3)
    settings: list[Any] = {"constant": [0.5], "sparse": [0.5]}.get(name, [])
    for dtype in (np.float32, np.float64):
        leaf = nn.Parameter(np.empty(shape, dtype))
        leaf.data = np.asfortranarray(leaf.data)
        assert getattr(init, f"{name}_")(leaf, *settings, rng=3) is leaf
        np.testing.assert_array_equal(leaf.numpy(), getattr(init, name)(shape, *settings, dtype=dtype, rng=3))
        assert leaf.dtype == dtype
        assert leaf.requires_grad
        assert np.isfortran(leaf.numpy()), "the layout stays, which a layer may have chosen"
    with pytest.raises(UsageError, match=f"{name}_ fills a tensor, .*got ndarray"):
        getattr(init, f"{name}_")(np.empty(shape), *settings)
    with pytest.raises(GraphError, match="takes no new data"):
        getattr(init, f"{name}_")(leaf * 2, *settings)


@pytest.mark.parametrize("name", PAIRS)
def test_a_tensor_in_place_of_a_shape_and_an_array_in_place_of_a_tensor(name: str) -> None:
    """As PyTorch took it under the name without an underscore, and as `weight.data` is one there."""
    weight = nn.Linear(3, 3, rng=0).weight
    with pytest.raises(UsageError, match=rf"^{name} makes an array of a shape, got a tensor: write {name}_\(tensor\)"):
        getattr(init, name)(weight)
    with pytest.raises(UsageError, match=rf"^{name}_ fills a tensor, such as layer.weight and not layer.weight.data"):
        getattr(init, f"{name}_")(weight.data)


def test_as_ported_code_writes_it() -> None:
    rng = np.random.default_rng(0)

    def start(module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            init.kaiming_normal_(module.weight, nonlinearity="relu", rng=rng)
            init.zeros_(module.bias)

    model = nn.Sequential(nn.Linear(3, 100), nn.ReLU(), nn.Linear(100, 3)).apply(start)
    assert not np.any(model[0].bias.numpy())
    assert abs(model[2].weight.numpy().std() / sqrt(2 / 100) - 1) < 0.1


ERRORS: dict[str, tuple[Any, type[Exception], str]] = {
    "fans": (lambda: init.xavier_normal((3,)), ShapeError, r"at least two axes.*\(3,\)"),
    "a number": (lambda: init.orthogonal(3), ShapeError, "at least two axes"),
    "eye": (lambda: init.eye((1, 2, 3)), ShapeError, "eye needs a shape of 2 axes"),
    "dirac": (lambda: init.dirac((1, 2)), ShapeError, "dirac needs a shape of 3 or 4 or 5 axes"),
    "groups": (lambda: init.dirac((3, 2, 1), 2), ShapeError, "2 groups"),
    "mode": (lambda: init.kaiming_uniform((2, 2), mode="in"), InputError, "'fan_in' or 'fan_out', got 'in'"),
    "gain": (lambda: init.calculate_gain("swish"), InputError, "one of linear, .*got 'swish'"),
    "spread": (lambda: init.normal(3, std=-1.0), InputError, "a std of at least 0, got -1.0"),
    "ends": (lambda: init.uniform(3, 2, 1), InputError, "a ≤ b, got 2 and 1"),
    "bounds": (lambda: init.trunc_normal(3, a=1, b=1), InputError, "a < b"),
}


@pytest.mark.parametrize(("attempt", "kind", "message"), ERRORS.values(), ids=list(ERRORS))
def test_errors(attempt: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt()


def test_a_leaf_that_cannot_be_filled_stays_as_it_is() -> None:
    leaf = tg.tensor(np.ones(3), requires_grad=True)
    with pytest.raises(ShapeError):
        init.xavier_uniform_(leaf)
    np.testing.assert_array_equal(leaf.numpy(), np.ones(3))
