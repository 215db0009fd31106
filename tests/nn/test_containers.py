"""Containers have the methods of lists and dicts, and the names of their entries are paths."""

import copy
import inspect
import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.errors import IndexingError, TinygradWarning, UsageError

X = np.array([[1.0, -2.0, 3.0]])


def linear(k: int = 0) -> nn.Linear:
    return nn.Linear(3, 3, rng=k)


KINDS: dict[str, tuple[Callable[..., Any], Callable[[int], Any]]] = {
    "Sequential": (lambda values: nn.Sequential(*values), linear),
    "ModuleList": (nn.ModuleList, linear),
    "ParameterList": (nn.ParameterList, lambda k: tg.tensor(float(k), requires_grad=True)),
}


def same(container: Any, expected: list[Any]) -> bool:
    return len(container) == len(expected) and all(a is b for a, b in zip(container, expected))


@pytest.mark.parametrize(("kind", "entry"), KINDS.values(), ids=KINDS)
def test_a_list_and_a_container_do_the_same(kind: Any, entry: Any) -> None:
    values = [entry(k) for k in range(8)]
    changes: list[Callable[[Any], Any]] = [
        lambda x: x.append(values[4]),
        lambda x: x.extend(values[5:7]),
        lambda x: x.insert(1, values[7]),
        lambda x: x.__setitem__(-1, values[0]),
        lambda x: x.__delitem__(2),
        lambda x: x.__delitem__(slice(1, 3)),
        lambda x: x.pop(),
        lambda x: x.pop(0),
        lambda x: x.reverse(),
        lambda x: x.__iadd__([values[1]]),
        lambda x: x.clear(),
    ]
    plain, container = values[:4], kind(values[:4])
    for i in (0, 2, -1, -4, np.int64(1)):
        assert container[i] is plain[i]
    for part in (slice(2), slice(1, None), slice(None, None, -1), slice(9, 10)):
        assert type(container[part]) is type(container)
        assert same(container[part], plain[part])
    assert same(container + values[4:6], values[:6])
    for change in changes:
        change(plain)
        change(container)
        assert same(container, plain)
        state = list(container.state_dict())
        assert [name.split(".")[0] for name in dict.fromkeys(state)] == sorted(name.split(".")[0] for name in state)
    with pytest.raises(IndexingError, match="has 0 entries, and none at 0"):
        container[0]


def test_appending_returns_the_container() -> None:
    model = nn.Sequential().append(linear(0)).append(np.tanh).extend([linear(1), nn.ReLU()])
    expected = model[3](model[2](np.tanh(model[0](X))))
    np.testing.assert_array_equal(model(X).numpy(), expected.numpy())
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_names_of_a_sequential() -> None:
    first, second = linear(0), linear(1)
    model = nn.Sequential(OrderedDict(first=first, act=np.tanh, second=second))
    assert model.first is first
    assert model[2] is model.second is second
    assert list(model.state_dict()) == ["first.weight", "first.bias", "second.weight", "second.bias"]
    assert list(model[1:].state_dict()) == ["second.weight", "second.bias"]
    model.add_module("third", linear(2))
    model.second = linear(3)
    model.fourth = linear(4)
    assert [name for name, _ in model.named_children()] == ["first", "second", "third", "fourth"]
    assert len(model) == 5
    model.training = False
    model.note = "settings are not entries"
    assert len(model) == 5
    x = X
    for step in model:
        x = step(x)
    np.testing.assert_array_equal(model(X).numpy(), x.numpy())
    del model[0]
    assert list(model.state_dict())[:2] == ["1.weight", "1.bias"]
    with pytest.raises(AttributeError, match="'Sequential' object has no attribute 'fist'"):
        _ = model.fist


class Block(nn.Sequential):
    """A subclass with a constructor and parameters of its own."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Linear(width, width, rng=0))
        self.width = width
        self.scale = nn.Parameter(np.ones(1))
        self.add_module("norm", nn.Tanh())

    def forward(self, x: Any) -> Any:
        return self.scale * super().forward(x)


@pytest.mark.parametrize("again", [copy.deepcopy, copy.copy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_subclass_is_a_module_like_any_other(again: Any) -> None:
    block = again(Block(3))
    assert sorted(block.state_dict()) == ["0.bias", "0.weight", "scale"]
    assert len(block) == 2
    gradient = tg.grad(lambda m: np.sum(m(X)))(block)
    assert gradient.keys() == set(block.state_dict())
    np.testing.assert_allclose(gradient["scale"].item(), np.sum(np.tanh(block[0](X).numpy())))
    assert len(block[:1]) == 1


@pytest.mark.parametrize("kind", [nn.ModuleDict, nn.ParameterDict])
def test_a_dict_and_a_container_do_the_same(kind: Any) -> None:
    entry = linear if kind is nn.ModuleDict else lambda k: tg.tensor(float(k), requires_grad=True)
    values = [entry(k) for k in range(6)]
    plain: dict[str, Any] = {"a": values[0], "type": values[1]}
    container = kind(plain)
    for change in (
        lambda x: x.update({"c": values[2]}),
        lambda x: x.update([("d", values[3]), ("a", values[4])]),
        lambda x: x.pop("type"),
        lambda x: x.__setitem__("e", values[5]),
        lambda x: x.__delitem__("c"),
        lambda x: x.setdefault("f", values[1]),
        lambda x: x.popitem(),
    ):
        change(plain)
        change(container)
        assert list(container) == list(container.keys()) == list(plain)
        assert same(list(container.values()), list(plain.values()))
        assert [name for name, _ in container.items()] == list(plain)
        assert all(container[name] is getattr(container, name) is value for name, value in plain.items())
        assert list(dict.fromkeys(name.split(".")[0] for name in container.state_dict())) == list(plain)
    assert "a" in container
    assert "z" not in container
    assert container.get("z") is None
    with pytest.raises(KeyError):
        container["z"]
    container.clear()
    assert len(container) == 0


def test_what_becomes_a_parameter() -> None:
    shared = tg.tensor(1.0, requires_grad=True)
    frozen = nn.Parameter(np.ones(2), requires_grad=False)
    made = nn.ParameterList([shared, np.ones(2), tg.tensor(np.zeros(3)), frozen, np.float64(2)])
    assert made[0] is shared
    assert made[3] is frozen
    assert [p.requires_grad for p in made] == [True, True, True, False, True]
    assert [name for name, _ in made.named_parameters()] == ["0", "1", "2", "3", "4"]
    copied = nn.ParameterDict({"a": shared}).copy()
    assert copied["a"] is shared


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([linear(k) for k in range(3)])
        self.heads = nn.ModuleDict({"a": linear(4), "b": nn.Linear(3, 1, rng=5)})
        self.scales = nn.ParameterList([np.ones(3), np.full(3, 2.0)])
        self.named = nn.ParameterDict({"shift": np.zeros(3)})

    def forward(self, x: Any) -> Any:
        for layer, scale in zip(self.layers, self.scales):
            x = np.tanh(layer(x)) * scale
        return self.heads["b"](self.heads["a"](x + self.named["shift"]))


class Plain(Net):
    """The same with Python's containers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers, self.heads = list(self.layers), dict(self.heads)
        self.scales, self.named = list(self.scales), dict(self.named)


def test_paths_are_those_of_plain_containers() -> None:
    net, plain = Net(), Plain()
    assert list(net.state_dict()) == list(plain.state_dict())
    assert [name for name, _ in plain.named_children()] == [f"layers.{i}" for i in range(3)] + ["heads.a", "heads.b"]
    assert [name for name, _ in net.named_children()] == ["layers", "heads", "scales", "named"]
    plain.load_state_dict(net.state_dict())
    np.testing.assert_array_equal(net(X).detach(), plain(X).detach())
    for f in (lambda m: np.sum(m(X)), lambda m: sum(np.sum(p**2) for p in m.parameters())):
        found, expected = tg.grad(f)(net), tg.grad(f)(plain)
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[name].detach(), expected[name].detach()) for name in expected)
    assert tg.gradcheck(net, X, order=2)
    halves = nn.functional_call(net, {"scales.0": np.full(3, 0.5)}, X)
    assert not np.array_equal(halves.detach(), net(X).detach())


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_compiled_function_heeds_changes(backend: Any) -> None:
    net = Net()
    run = tg.compile(lambda x: net(x), backend=backend)
    for change in (
        lambda: None,
        lambda: net.layers.__setitem__(0, linear(9)),
        lambda: net.layers.insert(0, linear(8)),
        lambda: net.scales.append(np.full(3, 3.0)),
        lambda: net.heads.update(a=linear(7)),
        lambda: net.named.__setitem__("shift", np.ones(3)),
        lambda: net.layers.pop(),
    ):
        change()
        for _ in range(3):
            np.testing.assert_allclose(run(X).detach(), net(X).detach(), rtol=1e-13)


@pytest.mark.parametrize("make", [nn.ModuleList, lambda values: nn.ModuleDict(zip("abc", values))])
def test_none_stands_where_there_is_no_module(make: Any) -> None:
    """As in models that leave out a layer, or its normalisation, at some depths."""
    made = make([linear(1), None, linear(2)])
    entries = list(made.values() if isinstance(made, nn.ModuleDict) else made)
    assert len(made) == 3
    assert entries[1] is None
    names = list(made.state_dict())
    assert names == [f"{name}.{part}" for name in ("ac" if names[0][0] == "a" else "02") for part in ("weight", "bias")]
    assert len(list(made.modules())) == 3
    assert "None" not in repr(made.train())
    made.load_state_dict(made.state_dict())


REFUSED: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], str]] = {
    "a list": (nn.Sequential, lambda c: c.append([linear()]), "modules one by one"),
    "a class": (lambda: nn.Sequential(linear()), lambda c: c.extend([linear(), nn.ReLU]), "modules one by one"),
    "a module as a list": (nn.ModuleList, lambda c: c.extend(linear()), "takes a list of entries"),
    "a function": (lambda: nn.ModuleList([linear()]), lambda c: c.insert(0, np.tanh), "ModuleList is a module"),
    "a tensor": (nn.ModuleDict, lambda c: c.update(a=linear(), b=tg.tensor(1.0)), "ModuleDict is a module"),
    "a number as a key": (nn.ModuleDict, lambda c: c.__setitem__(1, linear()), "name without dots, got 1"),
    "a dot in a key": (nn.ParameterDict, lambda c: c.update({"a.b": np.ones(1)}), r"without dots, got 'a\.b'"),
    "a dot in a name": (nn.Sequential, lambda c: c.__init__({"a": linear(), "b.c": linear()}), "without dots"),
    "integers": (nn.ParameterList, lambda c: c.append(np.arange(3)), "requires_grad needs real"),
    "no such entry": (nn.ModuleList, lambda c: c.__setitem__(3, linear()), "has 0 entries, and none at 3"),
}


@pytest.mark.parametrize(("make", "attempt", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_changes_nothing(make: Any, attempt: Any, message: str) -> None:
    container = make()
    before = dict(container._entries)
    with pytest.raises((UsageError, IndexingError), match=message):
        attempt(container)
    assert container._entries == before


def test_containers_define_no_forward() -> None:
    for container in (nn.ModuleList([linear()]), nn.ModuleDict({"a": linear()})):
        with pytest.raises(UsageError, match=r"defines no forward.*call the modules inside it"):
            container(X)


IN_PLACE = [
    layer
    for layer in vars(nn).values()
    if isinstance(layer, type) and "inplace" in inspect.signature(layer.__init__).parameters
]
KEEP_THEIR_INPUT = [nn.AlphaDropout(inplace=True), nn.FeatureAlphaDropout(inplace=True), nn.Dropout(0, inplace=True)]
"""In PyTorch, too, whose functions leave `inplace` out of account, or which drops nothing."""


@pytest.mark.parametrize("layer", [x for x in IN_PLACE if "Alpha" not in x.__name__], ids=lambda x: x.__name__)
def test_a_sequential_that_would_write_into_its_input_warns(layer: Any) -> None:
    """The skip connections of pix2pix and the residual blocks of VQ-VAE depend on it."""
    position = list(inspect.signature(layer).parameters).index("inplace")
    needed = [x for x in inspect.signature(layer).parameters.values() if x.default is x.empty]
    settings = dict.fromkeys((x.name for x in needed if x.kind is x.POSITIONAL_OR_KEYWORD), 0.5)
    linear = nn.Linear(2, 2, rng=0)
    with pytest.warns(TinygradWarning, match=f"a Sequential that begins with {layer.__name__}.* in place writes into"):
        block = nn.Sequential(layer(**settings, inplace=True), linear)
    with pytest.warns(TinygradWarning, match="leave out inplace=True"):
        nn.Sequential(linear, *block)[1:]
    nn.Sequential(layer(**settings), linear)
    nn.Sequential(linear, layer(**settings, inplace=True))
    with pytest.warns(TinygradWarning, match="leave out inplace=True"):
        nn.Sequential(copy.deepcopy(block[0]))
    if not needed:
        with pytest.warns(TinygradWarning, match="leave out inplace=True"):
            nn.Sequential(layer(*[x.default for x in inspect.signature(layer).parameters.values()][:position], True))
    assert "inplace" not in repr(block)


def test_a_sequential_that_writes_nothing_is_silent() -> None:
    for layer in KEEP_THEIR_INPUT:
        assert len(nn.Sequential(layer)) == 1  # a warning is an error


def test_a_sequential_may_have_a_way_of_its_own_through_its_modules() -> None:
    class Backwards(nn.Sequential):
        def __init__(self, *modules: Any) -> None:
            super().__init__(*modules)
            self.order = modules[::-1]

        def __iter__(self) -> Any:
            return iter(self.order)

    first, last = nn.Linear(2, 2, rng=0), nn.ReLU()
    assert list(Backwards(first, last)) == [last, first]
