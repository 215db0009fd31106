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
    if name in ("perceptron", "transformer"):  # the others have normalisations that were merged or rewritten
        assert sum(p.size for p, _ in ours.values()) == sum(p.size for p, _ in theirs.values())
    largest = max(np.abs(gradient).max() for _, gradient in theirs.values())
    for key in same:
        np.testing.assert_allclose(ours[key][1], theirs[key][1], rtol=1e-3, atol=1e-6 * largest, err_msg=key)
    if x.is_floating_point():
        leaf = x.clone().requires_grad_()
        model(leaf).square().sum().backward()
        gradient = tg.grad(lambda x: np.sum(module(x) ** 2))(x.numpy()).numpy()
        largest = leaf.grad.abs().max().item()
        np.testing.assert_allclose(gradient, leaf.grad.numpy(), rtol=1e-3, atol=1e-6 * largest)


class Constants(nn.Module):  # type: ignore[misc]
    """Has buffers, numbers and arrays in its code, an exponent, and one parameter of its own of each kind."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.exponent = nn.Parameter(torch.rand(3, 4)), nn.Parameter(torch.tensor(2.0))
        self.register_buffer("mask", torch.tensor([1.0, 0.0, 1.0]))
        self.register_buffer("position", torch.rand(1, 3))

    def forward(self, x: Any) -> Any:
        y = (x.abs() @ self.weight.T * self.mask + self.position) ** self.exponent
        return torch.clamp(y, -1, 3) ** 3 / 3.7 + torch.tensor([1.0, 2.0, 3.0]) + nn.functional.layer_norm(y, (3,))


class Causal(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.inputs = nn.Linear(8, 24)

    def forward(self, x: Any) -> Any:
        q, k, v = self.inputs(x).view(*x.shape[:2], 3, 2, 4).permute(2, 0, 3, 1, 4)
        return nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).flatten(2)


class Sentence(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.layers, self.head = nn.GRU(4, 5, batch_first=True), nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.layers(x)[1][-1])


@pytest.mark.parametrize(("make", "shape"), [(Constants, (2, 4)), (Causal, (2, 5, 8)), (Sentence, (2, 6, 4))])
def test_buffers_and_constants_are_not_trained(make: Any, shape: tuple[int, ...], tmp_path: Path) -> None:
    """The newer exporter says in the file what was a parameter; all else it writes among the initializers, too."""
    torch.manual_seed(0)
    model = make().eval()
    torch.onnx.export(model, (torch.randn(shape),), tmp_path / "f.onnx", verbose=False, dynamo=True)
    module = tg.from_onnx(tmp_path / "f.onnx")
    assert sum(p.size for p in module.parameters()) == sum(p.numel() for p in model.parameters())


class Function(nn.Module):  # type: ignore[misc]
    """A function as a module, of which PyTorch exports the forward pass."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


class First(nn.Module):  # type: ignore[misc]
    """The first result of a module."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module

    def forward(self, *inputs: Any) -> Any:
        return self.module(*inputs)[0]


F = nn.functional
WHOLE = "whole"  # in place of a size in front: whole numbers from 0 to 4
CALLS: list[tuple[Any, list[Any]]] = [
    (lambda: First(nn.LSTM(4, 6, 2, batch_first=True, bidirectional=True)), [(2, 5, 4)]),
    (lambda: First(nn.GRU(4, 6)), [(5, 2, 4)]),
    (lambda: First(nn.RNN(4, 6, nonlinearity="relu")), [(5, 2, 4)]),
    (lambda: First(nn.MultiheadAttention(8, 2, batch_first=True)), [(2, 5, 8)] * 3),
    (lambda: nn.ConvTranspose3d(2, 4, 3, stride=2, padding=1, output_padding=1), [(2, 2, 3, 4, 3)]),
    (lambda: nn.Conv1d(2, 4, 4, padding="same"), [(2, 2, 9)]),
    (lambda: nn.Conv2d(4, 4, 3, stride=(1, 2), padding=(2, 1), dilation=2, groups=2), [(2, 4, 9, 9)]),
    (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, dilation=2), [(2, 4, 3, 3)]),
    (lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), [(2, 3, 6, 6)]),
    (lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True, return_indices=True), [(2, 3, 6, 6)]),
    (lambda: nn.MaxPool3d(2), [(2, 3, 4, 4, 4)]),
    (lambda: nn.AdaptiveAvgPool2d((2, 3)), [(2, 3, 4, 6)]),
    (lambda: nn.AdaptiveMaxPool2d((2, 3)), [(2, 3, 4, 6)]),
    (lambda: nn.LocalResponseNorm(3), [(2, 6, 4, 4)]),
    (lambda: nn.PixelShuffle(2), [(2, 8, 3, 3)]),
    (lambda: nn.EmbeddingBag(10, 4), [(WHOLE, 3, 5)]),
    (lambda: nn.BatchNorm3d(4), [(2, 4, 3, 3, 3)]),
    (lambda: nn.PReLU(3), [(2, 3, 4)]),
    (lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear"), [(2, 3, 5, 6)]),
    (lambda x: F.interpolate(x, size=(7, 9), mode="bilinear", align_corners=True), [(2, 3, 5, 6)]),
    (lambda x: F.interpolate(x, size=(7, 9), mode="bicubic"), [(2, 3, 5, 6)]),
    (lambda x: F.interpolate(x, scale_factor=2, mode="nearest"), [(2, 3, 5, 6)]),
    (lambda x: F.pad(x, (1, 2, 0, 1), value=3.0) + F.pad(x, (1, 2, 0, 1), mode="replicate"), [(2, 3, 5, 5)]),
    (lambda x: F.unfold(x, 3, padding=1), [(2, 2, 5, 5)]),
    (lambda a, b: torch.einsum("bij,bjk->bik", a, b), [(2, 3, 4), (2, 4, 5)]),
    (lambda a, b: torch.addmm(torch.ones(5), a, b, alpha=2, beta=0.5), [(3, 4), (4, 5)]),
    (lambda a, b: torch.baddbmm(torch.ones(2, 3, 5), a, b), [(2, 3, 4), (2, 4, 5)]),
    (lambda x: torch.topk(x, 3, dim=1), [(2, 6)]),
    (lambda x: torch.sort(x, dim=1, descending=True), [(2, 6)]),
    (lambda x: torch.zeros(2, 5).scatter_add(1, torch.tensor([[0, 1, 0], [2, 2, 1]]), x), [(2, 3)]),
    (lambda x: x.index_put((torch.tensor([0, 1]), torch.tensor([1, 2])), torch.tensor([5.0, 6.0])), [(2, 3)]),
    (lambda x: x[:, 1::2, :-1].flip(2), [(2, 5, 4)]),
    (lambda x, i: x.gather(1, i), [(2, 6), (WHOLE, 2, 3)]),
    (lambda x: x.masked_fill(x > 0, -1.0) + torch.where(x > 0, x, torch.exp(x)), [(2, 6)]),
    (lambda x: torch.cumsum(x, 1) + torch.roll(x, 2, 1) + x.repeat_interleave(2, 1)[:, :6], [(2, 6)]),
    (lambda x: (x.var(1), x.std(1), x.norm(dim=1), x.norm(p=1, dim=1), torch.logsumexp(x, 1), x.prod(1)), [(2, 6)]),
    (lambda x: (x.argmax(1), x.max(1)[0], x.amin(1), (x > 0).any(1), (x > 0).nonzero()), [(2, 6)]),
    (lambda x: torch.cat([y * k for k, y in enumerate(x.split([2, 1, 3], 1))], 1), [(2, 6)]),
    (lambda x: x[:, None].expand(-1, 3, -1).reshape(x.shape[0], -1) + x.repeat(1, 3), [(2, 6)]),
    (lambda x: x.tril() + x.triu(1) * 2 + torch.det(x), [(4, 4)]),
    (lambda i: (i % 3, i.float() / 2, i * i - 1, (i > 2) & (i < 5), F.one_hot(i, 6)), [(WHOLE, 3, 4)]),
    (lambda x: F.softplus(x) + F.hardsigmoid(x) + F.mish(x) + F.selu(x) + F.celu(x) + F.logsigmoid(x), [(3, 7)]),
    (lambda x: F.hardswish(x) + F.silu(x) + F.elu(x) + F.relu6(x) + F.hardtanh(x) + F.gelu(x), [(3, 7)]),
    (lambda x: torch.erf(x) + torch.rsqrt(x.abs() + 1) + torch.round(x) + torch.atan(x) + x**3 + 2**x, [(3, 7)]),
    (lambda x, t: F.cross_entropy(x, t), [(4, 6), (WHOLE, 4)]),
    (lambda x, t: F.nll_loss(x, t, weight=torch.arange(1.0, 7.0), ignore_index=2), [(4, 6), (WHOLE, 4)]),
    (lambda a, b: F.mse_loss(a, b) + F.binary_cross_entropy_with_logits(a, b), [(4, 6), (4, 6)]),
    (lambda x, g: F.grid_sample(x, g, align_corners=False), [(2, 3, 4, 4), (2, 3, 3, 2)]),
    (lambda a, b: F.cosine_similarity(a, b) + F.pairwise_distance(a, b), [(3, 6), (3, 6)]),
]


def test_functions_have_the_values_of_pytorch(tmp_path: Path) -> None:
    """All of them in one test, since the exporter takes much longer than each."""
    torch.manual_seed(0)
    for k, (make, shapes) in enumerate(CALLS):
        model = (make() if make.__code__.co_argcount == 0 else Function(make)).eval()
        inputs = [torch.randint(0, 5, s[1:]) if WHOLE in s else torch.randn(s) for s in shapes]
        torch.onnx.export(model, tuple(inputs), tmp_path / "f.onnx", dynamo=False, opset_version=17)
        with torch.no_grad(), tg.no_grad():
            expected, results = model(*inputs), tg.from_onnx(tmp_path / "f.onnx")(*(x.numpy() for x in inputs))
        pairs = zip(*(x if isinstance(x, tuple) else (x,) for x in (results, expected)), strict=True)
        for result, value in pairs:
            result = np.asarray(result.numpy() if isinstance(result, tg.Tensor) else result)
            assert result.dtype == value.numpy().dtype, k
            np.testing.assert_allclose(result, value.numpy(), rtol=1e-4, atol=1e-5, err_msg=f"{k}")
