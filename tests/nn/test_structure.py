"""What a module consists of, by path; what is registered, converted, frozen and loaded in part."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.nn.substitution import substituted


class Net(nn.Module):
    """As a definition for PyTorch would be written."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        self.body = nn.Sequential(nn.Linear(3, 4, rng=rng), nn.Tanh())
        self.heads = {"mean": nn.Linear(4, 1, rng=rng), "again": [self.body, nn.Linear(4, 4, rng=rng)]}
        self.scale = nn.Parameter(np.ones(1))
        self.add_module("late", nn.Linear(1, 1, rng=rng))
        self.register_parameter("shift", nn.Parameter(np.zeros(1)))
        self.register_parameter("nothing", None)
        self.register_buffer("mean", np.zeros(3))
        self.register_buffer("steps", np.int64(0))
        self.register_buffer("mask", tg.tensor(np.ones(3)), persistent=False)
        self.register_buffer("missing", None)

    def forward(self, x: Any) -> Any:
        x = self.heads["again"][1](self.body((x - self.mean) * self.mask))
        return self.scale * self.late(self.heads["mean"](x)) + self.shift


def test_children_and_modules() -> None:
    net = Net()
    assert [name for name, _ in net.named_children()] == ["body", "heads.mean", "heads.again.1", "late"]
    assert list(net.children()) == [net.body, net.heads["mean"], net.heads["again"][1], net.late]
    order: list[Any] = []
    assert net.apply(order.append) is net
    assert order == [*net.body, net.body, net.heads["mean"], net.heads["again"][1], net.late, net]
    net.late.parent = net
    order.clear()
    net.apply(order.append)
    assert len(order) == len(set(order)) == 7


def test_parameters_and_buffers() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters(recurse=False)] == ["scale", "shift"]
    assert len(list(net.parameters(recurse=False))) == 2
    assert [name for name, _ in net.named_buffers()] == ["mean", "steps", "mask"]
    assert [id(buffer) for buffer in net.buffers()] == [id(net.mean), id(net.steps), id(net.mask)]
    assert "mask" not in net.state_dict()
    outer = nn.Sequential(net)
    assert "0.mean" in outer.state_dict()
    assert "0.mask" not in outer.state_dict()
    outer.load_state_dict(outer.state_dict())
    x = np.ones((2, 3))
    changed = nn.functional_call(net, {"mask": np.zeros(3)}, x)
    np.testing.assert_array_equal(changed.detach(), net(0 * x).detach())
    net.register_buffer("mask", np.zeros(3))
    assert "mask" in net.state_dict()


def test_by_path() -> None:
    net = Net()
    assert net.get_submodule("") is net
    assert net.get_submodule("heads.again.1") is net.heads["again"][1]
    assert net.get_submodule("body.0") is net.body[0]
    assert net.get_parameter("heads.mean.bias") is net.heads["mean"].bias
    net.scale.requires_grad = False
    assert net.get_parameter("scale") is net.scale
    assert net.get_buffer("mask") is net.mask
    with pytest.raises(InputError, match=r"Net has no module 'heads\.no'; there are: body, body\.0"):
        net.get_submodule("heads.no")
    with pytest.raises(InputError, match=r"no parameter 'mean'; there are: scale, shift, body\.0\.weight"):
        net.get_parameter("mean")
    with pytest.raises(InputError, match=r"no buffer 'scale'; there are: mean, steps, mask"):
        net.get_buffer("scale")


def test_order_and_names_are_pytorchs() -> None:
    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 2)
            self.register_buffer("mask", np.ones(2))
            self.gain = nn.Parameter(np.ones(2))

    class Stack(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = [Layer() for _ in range(2)]  # as lists are not modules there, each gets a name as well
            for i, layer in enumerate(self.layers):
                self.add_module(f"layer_{i}", layer)
            self.last = nn.Linear(2, 2)
            self.by_name = {"first": self.layer_0, "last": self.last, "weights": (self.last.weight,)}
            self.start = nn.Parameter(np.zeros(2))
            self.free = [nn.Linear(1, 1)]

    net = Stack()
    inside = ["gain", "mask", "inner.weight", "inner.bias"]
    names = [f"layer_{i}.{name}" for i in range(2) for name in inside]
    names = ["start", *names, "last.weight", "last.bias", "free.0.weight", "free.0.bias"]
    assert list(net.state_dict()) == names
    assert [name for name, _ in net.named_parameters()] == [name for name in names if "mask" not in name]
    assert [name for name, _ in net.named_children()] == ["layer_0", "layer_1", "last", "free.0"]
    with substituted(net, {"layer_0.gain": np.full(2, 3.0)}) as other:
        assert other.layers[0] is other.layer_0 is other.by_name["first"]
        assert float(other.layers[0].gain[0]) == 3
        assert list(other.state_dict()) == names


REFUSED: dict[str, Callable[[Net], Any]] = {
    "a function as a module": lambda net: net.add_module("f", np.tanh),
    "a name with a dot": lambda net: net.add_module("a.b", nn.Tanh()),
    "no name": lambda net: net.add_module("", nn.Tanh()),
    "the name of a method": lambda net: net.register_module("forward", nn.Tanh()),
    "an array as a parameter": lambda net: net.register_parameter("p", np.ones(1)),
    "a buffer as a parameter": lambda net: net.register_parameter("p", tg.tensor(1.0)),
    "a result as a parameter": lambda net: net.register_parameter("p", net.scale * 2),
    "a parameter as a buffer": lambda net: net.register_buffer("b", net.scale),
    "a result as a buffer": lambda net: net.register_buffer("b", net.scale * 2),
    "a list as a buffer": lambda net: net.register_buffer("b", [1.0]),
    "integers": lambda net: net.to(np.int32),
    "no dtype": lambda net: net.to("cpu"),
}


@pytest.mark.parametrize("attempt", REFUSED.values(), ids=REFUSED)
def test_what_is_refused_changes_nothing(attempt: Callable[[Net], Any]) -> None:
    net = Net()
    before = dict(vars(net))
    with pytest.raises(UsageError):
        attempt(net)
    assert vars(net) == before


@pytest.mark.parametrize(
    ("convert", "dtype"),
    [
        (lambda m: m.to(np.float32), np.float32),
        (lambda m: m.to("float16"), np.float16),
        (lambda m: m.float(), np.float32),
        (lambda m: m.half(), np.float16),
        (lambda m: m.float().double(), np.float64),
    ],
)
def test_conversion_keeps_the_tensors(convert: Any, dtype: Any) -> None:
    net = Net()
    net.scale.requires_grad = False
    x = np.ones((2, 3))
    net(x).sum().backward()
    optimizer, parameters = tg.optim.Adam(net.parameters(), lr=0.1), list(net.parameters())
    optimizer.step()
    assert convert(net) is net
    assert all(a is b for a, b in zip(net.parameters(), parameters, strict=True))
    assert {array.dtype for path, array in net.state_dict().items() if path != "steps"} == {np.dtype(dtype)}
    assert net.mask.dtype == dtype
    assert net.steps.dtype == np.int64
    assert {p.grad.dtype for p in parameters if p.grad is not None} == {np.dtype(dtype)}
    assert [p.requires_grad for p in parameters] == [p is not net.scale for p in parameters]
    net.zero_grad()
    assert net(x.astype(dtype)).dtype == dtype
    net(x.astype(dtype)).sum().backward()
    before = net.state_dict()
    optimizer.step()
    assert not np.array_equal(net.late.bias.numpy(), before["late.bias"])
    assert net.late.bias.dtype == dtype


def test_a_compiled_function_heeds_a_conversion() -> None:
    net = Net()
    run = tg.compile(lambda x: net(x))
    x = np.ones((2, 3), np.float32)
    assert run(x).dtype == np.float64
    net.float()
    assert run(x).dtype == np.float32


def test_freezing() -> None:
    net = Net()
    assert net.requires_grad_(False) is net
    assert not net(np.ones((1, 3))).requires_grad
    for parameter in net.parameters():  # unfreezes what was frozen another way
        parameter.requires_grad = True
    for parameter in net.parameters():
        parameter.requires_grad = False
    net.body.requires_grad_()
    assert [name for name, p in net.named_parameters() if p.requires_grad] == ["body.0.weight", "body.0.bias"]
    assert not any(buffer.requires_grad for buffer in (net.mask, net.steps))


def test_loading_in_part() -> None:
    net, other = Net(), Net()
    with tg.no_grad():
        for parameter in other.parameters():
            parameter += 1
    state = {path: value for path, value in other.state_dict().items() if path != "scale"}
    before = net.state_dict()
    report = net.load_state_dict({**state, "more": np.ones(2)}, strict=False)
    assert report == (["scale"], ["more"])
    assert (report.missing_keys, report.unexpected_keys) == (["scale"], ["more"])
    after = net.state_dict()
    for path, value in other.state_dict().items():
        np.testing.assert_array_equal(after[path], before[path] if path == "scale" else value)
    assert net.load_state_dict(other.state_dict()) == ([], [])
    with pytest.raises(ShapeError, match=r"scale has shape \(2,\) instead of \(1,\)"):
        net.load_state_dict({"shift": np.full(1, 9.0), "scale": np.ones(2)}, strict=False)
    assert net.shift.item() == other.shift.item()


def test_shared_weights_are_one_parameter_under_two_names() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Linear(4, 3, bias=False, rng=0)
            self.out = nn.Linear(3, 4, bias=False, rng=1)
            self.out.weight = nn.Parameter(np.ones((3, 4)))
            self.embedding.weight = self.out.weight

    tied = Tied()
    assert [name for name, _ in tied.named_parameters()] == ["embedding.weight"]
    assert list(tied.state_dict()) == ["embedding.weight", "out.weight"]
    tied.load_state_dict({name: np.full((3, 4), 2.0) for name in tied.state_dict()})
    assert tied.embedding.weight is tied.out.weight
    tied.to(np.float32)
    assert tied.embedding.weight is tied.out.weight
    assert tied.out.weight.dtype == np.float32


def test_gradients_of_zeros() -> None:
    net = Net()
    net(np.ones((1, 3))).sum().backward()
    net.zero_grad(set_to_none=False)
    assert all(p.grad is not None and not np.any(p.grad.numpy()) for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_parameters_are_leaves() -> None:
    for data in (np.ones(2), [1.0, 2.0], tg.tensor([1.0]), tg.tensor(2.0, requires_grad=True) * 3):
        parameter = nn.Parameter(data)
        assert parameter.is_leaf
        assert parameter.requires_grad
    module = nn.Module()
    module.frozen, module.count = nn.Parameter(np.ones(2), requires_grad=False), nn.Parameter(3, requires_grad=False)
    assert [name for name, _ in module.named_parameters()] == ["frozen"]
    assert not module.frozen.requires_grad
    with pytest.raises(UsageError, match="requires_grad needs real"):
        nn.Parameter(np.arange(3))


def test_a_line_of_settings() -> None:
    class Wave(nn.Module):
        def __init__(self) -> None:
            self.frequency, self.kind = 3.0, "sine"

    class Named(Wave):
        def extra_repr(self) -> str:
            return "by name"

    assert repr(Wave()) == "Wave(frequency=3.0, kind='sine')"
    assert repr(nn.Sequential(Named())) == "Sequential\n└─ 0: Named(by name)"


class Frozen(nn.Module):
    """Keeps its normalisation as it is while all else is trained, as detectors keep that of a backbone."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop = nn.BatchNorm1d(2), nn.Dropout(0.5, rng=0)

    def train(self, mode: bool = True) -> Any:
        super().train(mode)
        self.norm.eval()


class Loop(nn.Module):
    """Has a loop over data under the name of the mode's method."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5, rng=0)

    def train(self, data: Any, epochs: int = 3) -> Any:
        raise AssertionError("not a loop over a mode")


def test_modules_inside_switch_themselves() -> None:
    frozen, loop, flag = Frozen(), Loop(), nn.Dropout(0.1, rng=0)
    flag.train = True
    outer = nn.Sequential(nn.ModuleList([frozen]), nn.Sequential(loop), flag)
    assert outer.train() is outer
    assert not frozen.norm.training
    assert all(module.training for module in (frozen, frozen.drop, loop, loop.drop, flag))
    assert not any(module.training for module in outer.eval().modules())
    assert loop.eval() is loop
    loop.drop.holder = outer  # and back
    assert all(module.training for module in outer.train().modules() if module is not frozen.norm)
