"""Whole models, each one definition for both libraries: names and their order, training, and going on from a state."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg

pytestmark = pytest.mark.compare
torch = pytest.importorskip("torch", reason="PyTorch comes with the extra `compare`")
RNG = np.random.default_rng(0)
IMAGES, CLASSES = RNG.normal(size=(6, 3, 8, 8)), RNG.integers(0, 4, 6)
TOKENS = RNG.integers(0, 9, (3, 6))


def residual(nn: Any, F: Any) -> tuple[Any, Callable[..., Any], list[Any]]:
    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, before: int, after: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(after)
            self.conv2 = nn.Conv2d(after, after, 3, padding=1, groups=2, bias=False)
            self.bn2 = nn.BatchNorm2d(after)
            self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
            self.scale = nn.Parameter(nn.Linear(1, after).bias.reshape(-1, 1, 1))

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
            y += self.downsample(x)
            return F.relu(y * self.scale)

    class Network(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.stages = [Block(3, 4, 1), Block(4, 6, 2)]
            for i, stage in enumerate(self.stages):
                self.add_module(f"stage{i}", stage)
            self.head = nn.Linear(6, 4)

        def forward(self, x: Any) -> Any:
            for stage in self.stages:
                x = stage(x)
            return self.head(F.adaptive_avg_pool2d(x, 1).reshape(-1, 6))

    return Network(), lambda model, x, t: F.cross_entropy(model(x), t, label_smoothing=0.1), [IMAGES, CLASSES]


def language(nn: Any, F: Any) -> tuple[Any, Callable[..., Any], list[Any]]:
    class Network(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(9, 8)
            layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, "gelu", batch_first=True, norm_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.memory = nn.GRU(8, 8, batch_first=True)
            self.output = nn.Linear(8, 9)
            self.output.weight = self.tokens.weight
            self.start = nn.Parameter(nn.Linear(1, 8).bias)

        def forward(self, x: Any) -> Any:
            y = self.encoder(self.tokens(x) + self.start, src_key_padding_mask=x == 0)
            return self.output(self.memory(y)[0])

    def loss(model: Any, x: Any) -> Any:
        return F.cross_entropy(model(x[:, :-1]).reshape(-1, 9), x[:, 1:].reshape(-1), ignore_index=0)

    return Network(), loss, [TOKENS]


def mobile(nn: Any, F: Any) -> tuple[Any, Callable[..., Any], list[Any]]:
    """Inverted residuals with squeeze and excitation: Tan and Le (2019), EfficientNet."""

    class Excitation(nn.Module):  # type: ignore[misc]
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.fc1 = nn.Conv2d(channels, channels // 4, 1)
            self.fc2 = nn.Conv2d(channels // 4, channels, 1)

        def forward(self, x: Any) -> Any:
            return x * F.sigmoid(self.fc2(F.silu(self.fc1(F.adaptive_avg_pool2d(x, 1)))))

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, before: int, after: int, size: int, stride: int) -> None:
            super().__init__()
            inner = 2 * before
            self.is_residual = stride == 1 and before == after
            self.block = nn.Sequential(
                nn.Conv2d(before, inner, 1, bias=False),
                nn.BatchNorm2d(inner, eps=1e-3, momentum=0.01),
                nn.SiLU(inplace=True),
                nn.Conv2d(inner, inner, size, stride, size // 2, groups=inner, bias=False),
                nn.BatchNorm2d(inner, eps=1e-3, momentum=0.01),
                nn.SiLU(inplace=True),
                Excitation(inner),
                nn.Conv2d(inner, after, 1, bias=False),
                nn.BatchNorm2d(after, eps=1e-3, momentum=0.01),
            )

        def forward(self, x: Any) -> Any:
            return x + self.block(x) if self.is_residual else self.block(x)

    class Network(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(nn.Conv2d(3, 4, 3, 1, 1), Block(4, 4, 3, 1), Block(4, 6, 5, 2))
            self.classifier = nn.Sequential(nn.Dropout(p=0.0), nn.Linear(6, 4))
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out")
                elif isinstance(module, nn.BatchNorm2d):
                    nn.init.ones_(module.weight)

        def forward(self, x: Any) -> Any:
            return self.classifier(F.adaptive_avg_pool2d(self.features(x), 1).reshape(-1, 6))

    return Network(), lambda model, x, t: F.cross_entropy(model(x), t, label_smoothing=0.1), [IMAGES, CLASSES]


def temporal(nn: Any, F: Any) -> tuple[Any, Callable[..., Any], list[Any]]:
    """Dilated causal convolutions with normalised weights: Bai, Kolter and Koltun (2018)."""
    weight_norm = nn.utils.parametrizations.weight_norm

    class Chomp(nn.Module):  # type: ignore[misc]
        def __init__(self, size: int) -> None:
            super().__init__()
            self.size = size

        def forward(self, x: Any) -> Any:
            return x[:, :, : -self.size]

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self, before: int, after: int, dilation: int) -> None:
            super().__init__()
            self.conv1 = weight_norm(nn.Conv1d(before, after, 3, padding=2 * dilation, dilation=dilation))
            self.conv2 = weight_norm(nn.Conv1d(after, after, 3, padding=2 * dilation, dilation=dilation))
            chomp, act = Chomp(2 * dilation), nn.ReLU()
            self.net = nn.Sequential(self.conv1, chomp, act, nn.Dropout(0.0), self.conv2, chomp, act)
            self.downsample = nn.Conv1d(before, after, 1) if before != after else None

        def forward(self, x: Any) -> Any:
            return F.relu(self.net(x) + (x if self.downsample is None else self.downsample(x)))

    class Network(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = nn.Sequential(Block(3, 4, 1), Block(4, 4, 2), Block(4, 5, 4))
            self.linear = nn.Linear(5, 4)

        def forward(self, x: Any) -> Any:
            return self.linear(self.network(x)[:, :, -1])

    signals = IMAGES.reshape(6, 3, 64)[:, :, :12]
    return Network(), lambda model, x, t: F.cross_entropy(model(x), t), [signals, CLASSES]


def flow(nn: Any, F: Any) -> tuple[Any, Callable[..., Any], list[Any]]:
    """Masked autoregression in both orders: Papamakarios, Pavlakou and Murray (2017)."""

    class Network(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(nn.ModuleList([nn.Linear(4, 8), nn.Linear(8, 8)]) for _ in range(3))

        def forward(self, x: Any, *masks: Any) -> Any:
            volume = 0.0
            for layers in self.layers:
                y = x
                for layer, mask in zip(layers, masks):
                    y = F.relu(y) if layer is layers[1] else y
                    y = F.linear(y, mask * layer.weight, layer.bias)
                mean, log_scale = y[:, :4], y[:, 4:]
                x = ((x - mean) * (-log_scale).exp())[:, [3, 2, 1, 0]]
                volume = volume - log_scale.sum(1)
            return x, volume

    def loss(model: Any, x: Any, *masks: Any) -> Any:
        z, volume = model(x, *masks)
        return (0.5 * (z**2).sum(1) - volume).mean()

    inner, outer = np.arange(8) % 4, np.arange(4)
    masks = [(a[:, None] >= b).astype(float) for a, b in ((inner, outer), (inner, inner + 1))]
    return Network(), loss, [IMAGES.reshape(-1, 4)[:20], *masks]


def trained(library: Any, model: Any, loss: Any, optimizer: Any, inputs: list[Any], backend: str | None) -> list[float]:
    def step(*inputs: Any) -> Any:
        optimizer.zero_grad(set_to_none=True)
        value = loss(model, *inputs)
        value.backward()
        library.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return value

    step = step if backend is None else tg.compile(step, backend=backend)
    return [float(step(*inputs).detach()) for _ in range(4)]


@pytest.mark.parametrize("backend", [None, "numpy", "native"])
@pytest.mark.parametrize("define", [residual, language, mobile, temporal, flow])
def test_a_definition_trains_as_pytorchs(define: Callable[..., Any], backend: str | None) -> None:
    theirs, their_loss, inputs = define(torch.nn, torch.nn.functional)
    ours, our_loss, _ = define(tg.nn, tg.nn.functional)
    theirs.double()
    settings = {"lr": 0.01, "momentum": 0.9, "nesterov": True}
    optimizers = [library.optim.SGD(model.parameters(), **settings) for library, model in ((torch, theirs), (tg, ours))]
    tensors = [torch.tensor(x) for x in inputs]
    trained(torch, theirs, their_loss, optimizers[0], tensors, None)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    ours.load_state_dict(theirs.state_dict())
    optimizers[1].load_state_dict(optimizers[0].state_dict())
    found = trained(tg, ours, our_loss, optimizers[1], inputs, backend)
    np.testing.assert_allclose(found, trained(torch, theirs, their_loss, optimizers[0], tensors, None), rtol=1e-10)
    vectors = (
        tg.nn.utils.parameters_to_vector(ours.parameters()),
        torch.nn.utils.parameters_to_vector(theirs.parameters()),
    )
    np.testing.assert_allclose(*(vector.detach().numpy() for vector in vectors), rtol=1e-8, atol=1e-10)
    for model in (ours, theirs):
        model.eval()
    evaluated = our_loss(ours, *inputs), their_loss(theirs, *tensors)
    np.testing.assert_allclose(*(value.detach().numpy() for value in evaluated), rtol=1e-10)
