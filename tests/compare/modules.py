"""One module in both libraries: its state, its value, and the gradients of its real inputs and of its parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import tinygrad_lite as tg

NAMES = {"dim": "axis", "keepdim": "keepdims", "start_dim": "start_axis", "end_dim": "end_axis"}


def agree(name: str, settings: Mapping[str, Any], inputs: Sequence[Any], training: bool = True) -> None:
    """Assert that a module with settings as PyTorch spells them is PyTorch's; only the first inputs get a gradient."""
    import torch

    def theirs_of(x: Any) -> Any:
        return torch.tensor(x.copy()) if isinstance(x, np.ndarray) else x

    theirs = getattr(torch.nn, name)(**{key: theirs_of(value) for key, value in settings.items()}).double()
    ours = getattr(tg.nn, name)(**{NAMES.get(key, key): value for key, value in settings.items()})
    ours.load_state_dict({path: array.numpy() for path, array in theirs.state_dict().items()})
    assert [*ours.state_dict()] == [*theirs.state_dict()]
    found = [tg.tensor(x, requires_grad=x.dtype.kind == "f") if isinstance(x, np.ndarray) else x for x in inputs]
    expected = [theirs_of(x) for x in inputs]
    for x in expected:
        if isinstance(x, torch.Tensor) and x.is_floating_point():
            x.requires_grad_(name != "SoftMarginLoss" or x is expected[0])  # whose target has no gradient there
    y, z = ours.train(training)(*found), theirs.train(training)(*expected)
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=1e-8, atol=1e-12)
    weights = np.cos(np.arange(y.size, dtype=float)).reshape(y.shape)
    y.backward(weights)
    z.backward(torch.tensor(weights))
    pairs = [*zip(found, expected), *zip(ours.parameters(), theirs.parameters(), strict=True)]
    for a, b in pairs:
        if isinstance(a, tg.Tensor) and a.requires_grad and b.requires_grad:
            gradients = [np.zeros(a.shape) if x.grad is None else np.asarray(x.grad) for x in (a, b)]
            np.testing.assert_allclose(*gradients, rtol=1e-8, atol=1e-12)
