"""Normalisation layers against PyTorch's: values, gradients, and what their state dicts hold after each batch."""

from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg

pytestmark = pytest.mark.compare
torch = pytest.importorskip("torch", reason="PyTorch comes with the extra `compare`")

RUNNING: list[dict[str, Any]] = [{}, {"momentum": None}, {"affine": False, "eps": 0.1}, {"track_running_stats": False}]
BY_INSTANCE: list[dict[str, Any]] = [{}, {"affine": True}, {"track_running_stats": True, "momentum": 0.3}]
IMAGES, VOLUMES = (4, 3, 5, 2), (2, 3, 2, 2, 3)
CASES: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    *[("BatchNorm1d", (3,), settings, shape) for settings in RUNNING for shape in ((5, 3), (4, 3, 5))],
    *[("BatchNorm2d", (3,), settings, IMAGES) for settings in RUNNING],
    *[("BatchNorm3d", (3,), settings, VOLUMES) for settings in RUNNING],
    *[("InstanceNorm1d", (3,), settings, shape) for settings in BY_INSTANCE for shape in ((3, 5), (4, 3, 5))],
    *[("InstanceNorm2d", (3,), settings, IMAGES) for settings in BY_INSTANCE],
    *[("InstanceNorm3d", (3,), settings, VOLUMES) for settings in BY_INSTANCE],
    *[("LayerNorm", (shape,), {}, (4, 5, 6)) for shape in (6, (5, 6), [4, 5, 6])],
    *[("LayerNorm", (6,), settings, (4, 6)) for settings in ({"bias": False}, {"elementwise_affine": False})],
    *[("RMSNorm", (6,), settings, (4, 6)) for settings in ({}, {"eps": 0.1}, {"elementwise_affine": False})],
    *[("GroupNorm", (groups, 6), {}, shape) for groups in (1, 2, 3) for shape in ((4, 6, 3), (2, 6, 2, 2))],
    ("GroupNorm", (2, 6), {"affine": False, "eps": 0.1}, (4, 6)),
    *[("LocalResponseNorm", settings, {}, (2, 6, 3)) for settings in ((2,), (3, 0.1, 0.5, 2.0), (9,))],
    ("LocalResponseNorm", (4,), {}, IMAGES),
]


@pytest.mark.parametrize(("name", "arguments", "settings", "shape"), CASES)
def test_layers(name: str, arguments: Any, settings: dict[str, Any], shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    theirs = getattr(torch.nn, name)(*arguments, **settings).double()
    ours = getattr(tg.nn, name)(*arguments, **settings)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.copy_(torch.tensor(rng.normal(size=parameter.shape)))
    assert [*ours.state_dict()] == [*theirs.state_dict()]
    ours.load_state_dict({path: array.numpy() for path, array in theirs.state_dict().items()})
    for training in (True, True, False, None):
        if training is None:  # begins anew, as update_bn of swa_utils does
            if not hasattr(theirs, "reset_running_stats"):
                break
            ours.reset_running_stats(), theirs.reset_running_stats()
            training = True
        array, weights = rng.normal(1.0, 2.0, shape), rng.normal(size=shape)
        x, t = tg.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
        found, expected = ours.train(training)(x), theirs.train(training)(t)
        ours.zero_grad()
        theirs.zero_grad()
        (found * weights).sum().backward()
        (expected * torch.tensor(weights)).sum().backward()
        pairs = [(found, expected), (x.grad, t.grad)]
        pairs += [(a.grad, b.grad) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True)]
        for a, b in pairs:
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-8, atol=1e-10)
        for path, b in theirs.state_dict().items():
            np.testing.assert_allclose(ours.state_dict()[path], b.numpy(), rtol=1e-8)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, np.inf])
def test_normalize(p: float) -> None:
    array = np.random.default_rng(0).normal(size=(3, 4))
    x, t = tg.tensor(array, requires_grad=True), torch.tensor(array, requires_grad=True)
    found, expected = tg.nn.functional.normalize(x, p), torch.nn.functional.normalize(t, p)
    (found**3).sum().backward()
    (expected**3).sum().backward()
    np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), rtol=1e-8)
    np.testing.assert_allclose(x.grad, t.grad.numpy(), rtol=1e-8, atol=1e-10)
