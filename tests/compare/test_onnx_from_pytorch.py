"""Models that PyTorch exports to ONNX: the same values and the same gradients after `tg.from_onnx`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg

pytestmark = [
    pytest.mark.compare,
    pytest.mark.filterwarnings("ignore"),
]  # what PyTorch's exporters say about themselves
torch: Any = pytest.importorskip("torch", reason="PyTorch comes with the extra `compare`")
pytest.importorskip("onnxscript", reason="PyTorch's exporter needs it")
nn = torch.nn


class Block(nn.Module):  # type: ignore[misc]
    """Two convolutions beside an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Any) -> Any:
        return torch.relu(x + self.norm2(self.second(torch.relu(self.norm1(self.first(x))))))


def residual() -> Any:
    stem = [nn.Conv2d(3, 8, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*stem, Block(8), Block(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))


def perceptron() -> Any:
    layers = [nn.Linear(4, 16), nn.Tanh(), nn.Dropout(0.5), nn.LayerNorm(16), nn.Linear(16, 16), nn.GELU()]
    return nn.Sequential(*layers, nn.Linear(16, 3), nn.LogSoftmax(-1))


class Encoder(nn.Module):  # type: ignore[misc]
    """Tokens with positions, two layers of attention, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.places = nn.Embedding(20, 16), nn.Parameter(torch.randn(1, 6, 16))
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, activation="gelu")
        self.layers, self.head = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(16, 5)

    def forward(self, x: Any) -> Any:
        return self.head(self.layers(self.tokens(x) * 4.0 + self.places)).mean(1)


def upsampler() -> Any:
    return nn.Sequential(
        *(nn.Conv2d(3, 8, 3, padding=1, groups=1), nn.GroupNorm(2, 8), nn.SiLU(), nn.AvgPool2d(2)),
        *(nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1), nn.InstanceNorm2d(4, affine=True)),
        *(nn.PReLU(4), nn.Upsample(scale_factor=2, mode="bilinear"), nn.PixelUnshuffle(2), nn.Hardswish()),
    )


MODELS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "residual network": (residual, (2, 3, 32, 32)),
    "perceptron": (perceptron, (5, 4)),
    "transformer": (Encoder, (2, 6)),
    "upsampler": (upsampler, (2, 3, 8, 8)),
}


def exported(model: Any, x: Any, path: Path, new: bool) -> Any:
    """The module after an export by PyTorch's new or old exporter, for any batch."""
    if new:
        shapes = ({0: torch.export.Dim("batch", min=1, max=64)},)
        torch.onnx.export(model, (x,), path, dynamic_shapes=shapes, external_data=False, verbose=False, dynamo=True)
    else:
        torch.onnx.export(model, (x,), path, input_names=["x"], dynamic_axes={"x": {0: "batch"}}, dynamo=False)
    return tg.from_onnx(path)


def with_other_weights(model: Any) -> Any:
    """A model as after some training: with statistics, scales and biases that differ from those of a new one."""
    with torch.no_grad():
        for name, parameter in [*model.named_parameters(), *model.named_buffers()]:
            if parameter.is_floating_point():
                parameter += 0.1 * (torch.rand_like(parameter) if "var" in name else torch.randn_like(parameter))
    return model.eval()


@pytest.mark.parametrize("new", [True, False], ids=["torch.export", "TorchScript"])
@pytest.mark.parametrize("name", MODELS)
def test_values_and_gradients_are_those_of_pytorch(name: str, new: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    make, shape = MODELS[name]
    model = with_other_weights(make())
    x = torch.randint(0, 20, shape) if name == "transformer" else torch.randn(shape)
    module = exported(model, x, tmp_path / "model.onnx", new)

    more = torch.cat([x, x.flip(0)])
    expected = model(more)
    y = module(more.numpy())
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=1e-4, atol=1e-5)

    expected.square().sum().backward()
    np.sum(y**2).backward()
    theirs = {name: (p.detach().numpy(), p.grad.numpy()) for name, p in model.named_parameters()}
    ours = {name: (p.numpy(), p.grad.numpy()) for name, p in module.named_parameters()}
    # the others were multiplied by scales of a normalisation, or transposed
    same = [key for key in ours.keys() & theirs.keys() if np.array_equal(ours[key][0], theirs[key][0])]
    assert len(same) >= 2
    largest = max(np.abs(gradient).max() for _, gradient in theirs.values())
    for key in same:
        np.testing.assert_allclose(ours[key][1], theirs[key][1], rtol=1e-3, atol=1e-6 * largest, err_msg=key)
    if x.is_floating_point():
        leaf = x.clone().requires_grad_()
        model(leaf).square().sum().backward()
        gradient = tg.grad(lambda x: np.sum(module(x) ** 2))(x.numpy()).numpy()
        largest = leaf.grad.abs().max().item()
        np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-3, atol=1e-6 * largest)
