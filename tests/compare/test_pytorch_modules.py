"""What modules do beside computing, as PyTorch's do: names, orders, hooks, reports, clipping, computed weights."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn

pytestmark = pytest.mark.compare
torch = pytest.importorskip("torch", reason="PyTorch comes with the extra `compare`")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 3))

# In each table, an entry takes `nn`, ours or PyTorch's, and the function that makes an array what the library takes.
Made = Callable[[Any, Any], Any]


def linears(nn: Any, count: int = 4) -> list[Any]:
    return [nn.Linear(3, 3) for _ in range(count)]


def changed(container: Any, *changes: Callable[[Any], Any]) -> Any:
    for change in changes:
        change(container)
    return container


MODELS: dict[str, Made] = {
    "sequential": lambda nn, _: nn.Sequential(*linears(nn), nn.Tanh()),
    "named": lambda nn, _: nn.Sequential(OrderedDict(first=nn.Linear(3, 3), act=nn.ReLU(), last=nn.Linear(3, 2))),
    "slice of named": lambda nn, a: MODELS["named"](nn, a)[1:],
    "slice": lambda nn, _: nn.Sequential(*linears(nn))[-2:],
    "appended": lambda nn, _: nn.Sequential(nn.Linear(3, 4)).append(nn.Tanh()).append(nn.Linear(4, 2)),
    "extended": lambda nn, _: nn.Sequential(nn.Linear(3, 3)).extend(linears(nn, 2)),
    "inserted": lambda nn, _: changed(nn.Sequential(*linears(nn)), lambda s: s.insert(1, nn.Tanh())),
    "deleted": lambda nn, _: changed(MODELS["named"](nn, None), lambda s: s.__delitem__(0)),
    "popped": lambda nn, _: changed(nn.Sequential(*linears(nn)), lambda s: s.pop(1)),
    "replaced": lambda nn, _: changed(nn.Sequential(*linears(nn)), lambda s: s.__setitem__(-1, nn.Linear(3, 7))),
    "added": lambda nn, _: nn.Sequential(*linears(nn, 2)) + nn.Sequential(*linears(nn, 1)),
    "module added": lambda nn, _: changed(nn.Sequential(nn.Linear(3, 4)), lambda s: s.add_module("x", nn.Linear(4, 1))),
    "attribute": lambda nn, _: changed(nn.Sequential(nn.Linear(3, 4)), lambda s: setattr(s, "x", nn.Linear(4, 1))),
    "nested": lambda nn, _: nn.Sequential(nn.Sequential(*linears(nn, 2)), nn.Sequential(nn.Tanh(), nn.Linear(3, 1))),
}


def loaded(entry: Made) -> tuple[Any, Any]:
    theirs, ours = entry(torch.nn, torch.tensor).double(), entry(nn, np.asarray)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


@pytest.mark.parametrize("entry", MODELS.values(), ids=MODELS)
def test_models(entry: Made) -> None:
    ours, theirs = loaded(entry)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [name for name, _ in ours.named_modules()] == [name for name, _ in theirs.named_modules()]
    assert [name for name, _ in ours.named_children()] == [name for name, _ in theirs.named_children()]
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    orders: list[list[str]] = [[], []]
    for order, model in zip(orders, (ours, theirs)):
        model.apply(lambda module, order=order: order.append(type(module).__name__))
    assert orders[0] == orders[1]
    np.testing.assert_allclose(ours(X).detach(), theirs(torch.tensor(X)).detach(), rtol=1e-12, atol=1e-14)


CONTAINERS: dict[str, Made] = {
    "ModuleList": lambda nn, _: nn.ModuleList(linears(nn)),
    "ModuleList changed": lambda nn, _: changed(
        nn.ModuleList(linears(nn)),
        lambda m: m.append(nn.Linear(3, 1)),
        lambda m: m.insert(0, nn.Linear(3, 2)),
        lambda m: m.extend(linears(nn, 2)),
        lambda m: m.__delitem__(slice(1, 3)),
        lambda m: m.pop(2),
        lambda m: m.__iadd__([nn.Linear(3, 9)]),
        lambda m: m.__setitem__(-1, nn.Linear(3, 8)),
    ),
    "ModuleList slice": lambda nn, _: nn.ModuleList(linears(nn))[1:3],
    "ModuleList sum": lambda nn, _: nn.ModuleList(linears(nn, 1)) + nn.ModuleList([nn.Linear(3, 5)]),
    "ModuleDict": lambda nn, _: changed(
        nn.ModuleDict({"a": nn.Linear(3, 1), "b": nn.Linear(3, 2)}),
        lambda m: m.update([["c", nn.Linear(3, 3)], ["a", nn.Linear(3, 4)]]),
        lambda m: m.pop("b"),
        lambda m: m.__setitem__("d", nn.Tanh()),
    ),
    "ParameterList": lambda nn, array: changed(
        nn.ParameterList([nn.Parameter(array(np.ones(2))), array(np.zeros((2, 3)))]),
        lambda p: p.append(array(np.ones(1))),
        lambda p: p.extend([nn.Parameter(array(np.ones(4)))]),
        lambda p: p.__setitem__(0, nn.Parameter(array(np.ones(5)))),
    ),
    "ParameterDict": lambda nn, array: changed(
        nn.ParameterDict({"a": nn.Parameter(array(np.ones(2)))}),
        lambda p: p.update({"b": nn.Parameter(array(np.ones(3)))}),
        lambda p: p.setdefault("c", nn.Parameter(array(np.ones(4)))),
        lambda p: p.pop("a"),
        lambda p: p.__setitem__("d", nn.Parameter(array(np.ones(5)))),
    ),
}


@pytest.mark.parametrize("entry", CONTAINERS.values(), ids=CONTAINERS)
def test_containers(entry: Made) -> None:
    ours, theirs = entry(nn, np.asarray), entry(torch.nn, torch.tensor)
    shapes = {name: tuple(value.shape) for name, value in theirs.state_dict().items()}
    assert {name: value.shape for name, value in ours.state_dict().items()} == shapes
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    assert len(ours) == len(theirs)
    if hasattr(theirs, "keys"):
        assert list(ours.keys()) == list(theirs.keys())


UNSORTED = ("w", "b", "m", "a")


@pytest.mark.parametrize("kind", ["ModuleDict", "ParameterDict"])
@pytest.mark.parametrize("given", [dict, OrderedDict, lambda pairs: pairs])
@pytest.mark.parametrize("late", [False, True], ids=["made", "updated"])
def test_the_order_of_names_in_containers(kind: str, given: Callable[[Any], Any], late: bool) -> None:
    """An optimiser's state counts parameters in this order."""

    def made(nn: Any, array: Any) -> Any:
        pairs = [(n, nn.Linear(2, 1) if kind == "ModuleDict" else nn.Parameter(array(np.ones(2)))) for n in UNSORTED]
        container = getattr(nn, kind)(given(pairs[:2] if late else pairs))
        if late:
            container.update(given(pairs[1:]))
        return container

    ours, theirs = made(nn, np.asarray), made(torch.nn, torch.tensor)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    if kind == "ParameterDict":
        assert list(ours.copy().state_dict()) == list(theirs.copy().state_dict())
    assert list(type(ours)(ours)) == list(type(theirs)(theirs))


def ported(nn: Any, array: Any) -> Any:
    class Net(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(array(np.ones((2, 3))))
            self.frozen = nn.Parameter(array(np.ones(2)), requires_grad=False)
            self.register_buffer("mean", array(np.zeros(3)))
            self.register_buffer("mask", array(np.ones(2)), persistent=False)
            self.register_parameter("none", None)
            self.inner = nn.ModuleList([nn.Linear(2, 2)])
            self.tied = self.inner[0]

        def forward(self, x: Any) -> Any:
            return self.tied((x - self.mean) @ self.weight.T * self.mask + self.frozen)

    return Net()


def test_a_ported_definition() -> None:
    ours, theirs = loaded(ported)
    assert set(ours.state_dict()) == set(theirs.state_dict())
    for names in (
        lambda m: m.named_parameters(),
        lambda m: m.named_parameters(recurse=False),
        lambda m: m.named_buffers(),
        lambda m: m.named_children(),
        lambda m: m.named_modules(),
    ):
        assert [name for name, _ in names(ours)] == [name for name, _ in names(theirs)]
    np.testing.assert_allclose(ours(X).detach(), theirs(torch.tensor(X)).detach(), rtol=1e-12)
    state = {"weight": np.zeros((2, 3)), "extra": np.ones(1), "mask": np.ones(2)}
    mine = ours.load_state_dict(state, strict=False)
    other = theirs.load_state_dict({name: torch.tensor(value) for name, value in state.items()}, strict=False)
    assert set(mine.missing_keys) == set(other.missing_keys)
    assert mine.unexpected_keys == other.unexpected_keys
    for requires_grad in (False, True):
        ours.requires_grad_(requires_grad)
        theirs.requires_grad_(requires_grad)
        assert [p.requires_grad for p in ours.parameters()] == [p.requires_grad for p in theirs.parameters()]


def test_hooks() -> None:
    logs: list[list[Any]] = [[], []]
    results = []
    for log, library, array in zip(logs, (nn, torch.nn), (np.asarray, torch.tensor)):
        model = library.Sequential(library.Linear(3, 2), library.Tanh()).double()
        values = [np.linspace(-1, 1, 6).reshape(2, 3), np.ones(2)]
        model.load_state_dict({name: array(value) for name, value in zip(("0.weight", "0.bias"), values)})

        def note(name: str, log: list[Any] = log) -> Callable[..., None]:
            return lambda module, *rest: log.append((name, type(module).__name__, len(rest)))

        model.register_forward_hook(note("after"))
        model[0].register_forward_hook(note("first after"), prepend=True)
        model[1].register_forward_pre_hook(note("before"))
        model[1].register_forward_pre_hook(note("sooner", log), prepend=True, with_kwargs=True)
        model[0].register_forward_hook(lambda module, args, y: y * 2)
        model[0].register_forward_hook(note("with keywords"), with_kwargs=True)
        model.register_forward_pre_hook(lambda module, args: args[0] + 1)
        gone = model.register_forward_hook(note("gone"))
        gone.remove()
        results.append(model(array(X)).detach())
    np.testing.assert_allclose(results[0], results[1], rtol=1e-14)
    assert logs[0] == logs[1]


CLIPPING: dict[str, Callable[[Any, Any], Any]] = {
    "norm": lambda utils, p: utils.clip_grad_norm_(p, 0.3),
    "large norm": lambda utils, p: utils.clip_grad_norm_(p, 1e3),
    "one": lambda utils, p: utils.clip_grad_norm_(p, 0.3, norm_type=1.0),
    "three": lambda utils, p: utils.clip_grad_norm_(p, 0.3, 3.0),
    "largest": lambda utils, p: utils.clip_grad_norm_(p, 0.3, float("inf")),
    "one tensor": lambda utils, p: utils.clip_grad_norm_(p[0], 0.3),
    "value": lambda utils, p: utils.clip_grad_value_(p, 0.05),
    "total": lambda utils, p: utils.get_total_norm([x.grad for x in p]),
    "in two": lambda utils, p: utils.clip_grads_with_norm_(p, 0.1, utils.get_total_norm([x.grad for x in p])),
}


@pytest.mark.parametrize("clip", CLIPPING.values(), ids=CLIPPING)
def test_clipping(clip: Callable[[Any, Any], Any]) -> None:
    ours, theirs = loaded(MODELS["sequential"])
    (ours(X) ** 2).sum().backward()
    (theirs(torch.tensor(X)) ** 2).sum().backward()
    mine, other = clip(nn.utils, list(ours.parameters())), clip(torch.nn.utils, list(theirs.parameters()))
    if other is not None:
        np.testing.assert_allclose(mine.item(), other.item(), rtol=1e-12)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        # beside an entry whose terms cancel, the others say how large the terms are
        size = q.grad.abs().max().item()
        np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-12, atol=1e-14 * size)
    vector = torch.nn.utils.parameters_to_vector(theirs.parameters())
    np.testing.assert_array_equal(nn.utils.parameters_to_vector(ours.parameters()).numpy(), vector.detach().numpy())


def computed(utils: Any, kind: str, layer: Any, **settings: Any) -> Any:
    if kind != "orthogonal":
        axis = settings.pop("axis", 0)
        settings["axis" if utils is nn.utils else "dim"] = axis
    home = utils if settings.pop("older", False) else utils.parametrizations
    return getattr(home, kind)(layer, **settings)


COMPUTED: dict[str, tuple[str, dict[str, Any]]] = {
    "weight norm": ("weight_norm", {}),
    "weight norm by columns": ("weight_norm", {"axis": 1}),
    "weight norm of all": ("weight_norm", {"axis": None}),
    "weight norm of a bias": ("weight_norm", {"name": "bias"}),
    "spectral norm": ("spectral_norm", {}),
    "spectral norm by columns": ("spectral_norm", {"axis": 1, "n_power_iterations": 3}),
    "spectral norm of a bias": ("spectral_norm", {"name": "bias", "eps": 1e-3}),
    "orthogonal": ("orthogonal", {}),
    "orthogonal by exponentials": ("orthogonal", {"orthogonal_map": "matrix_exp"}),
    "orthogonal by Cayley's map": ("orthogonal", {"orthogonal_map": "cayley"}),
    "orthogonal by reflections alone": ("orthogonal", {"use_trivialization": False}),
    "older weight norm": ("weight_norm", {"older": True}),
    "older weight norm by columns": ("weight_norm", {"older": True, "axis": 1}),
    "older weight norm of all": ("weight_norm", {"older": True, "axis": None}),
    "older spectral norm": ("spectral_norm", {"older": True, "n_power_iterations": 2}),
    "older spectral norm by columns": ("spectral_norm", {"older": True, "axis": 1}),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated:FutureWarning")
@pytest.mark.parametrize(("kind", "settings"), COMPUTED.values(), ids=COMPUTED)
def test_computed_weights(kind: str, settings: dict[str, Any]) -> None:
    theirs = computed(torch.nn.utils, kind, torch.nn.Linear(3, 4).double(), **settings)
    ours = computed(nn.utils, kind, nn.Linear(3, 4), **settings)
    assert set(ours.state_dict()) == set(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    for training in (True, True, False):
        ours.train(training)
        theirs.train(training)
        ours.zero_grad()
        theirs.zero_grad()
        x = torch.tensor(X, requires_grad=True)
        y = theirs(x)
        (y**3).sum().backward()
        mine = tg.tensor(X, requires_grad=True)
        z = ours(mine)
        (z**3).sum().backward()
        np.testing.assert_allclose(z.detach(), y.detach(), rtol=1e-12)
        np.testing.assert_allclose(mine.grad.numpy(), x.grad.numpy(), rtol=1e-10)
        gradients = {name: p.grad for name, p in theirs.named_parameters()}
        for name, p in ours.named_parameters():
            np.testing.assert_allclose(p.grad.numpy(), gradients[name].numpy(), rtol=1e-9, atol=1e-12)
        for name, value in theirs.state_dict().items():
            np.testing.assert_allclose(ours.state_dict()[name], value.numpy(), rtol=1e-12)


INITIALISERS: dict[str, tuple[tuple[int, ...], list[Any]]] = {
    "constant_": ((3, 4), [0.3]),
    "ones_": ((3, 4), []),
    "zeros_": ((3, 4), []),
    "eye_": ((3, 4), []),
    "dirac_": ((6, 2, 3, 4), [3]),
}


@pytest.mark.parametrize(("name", "entry"), INITIALISERS.items(), ids=INITIALISERS)
def test_initialisers_that_do_not_draw(name: str, entry: tuple[tuple[int, ...], list[Any]]) -> None:
    shape, settings = entry
    theirs = getattr(torch.nn.init, name)(torch.empty(shape, dtype=torch.float64), *settings)
    np.testing.assert_array_equal(getattr(nn.init, name)(nn.Parameter(np.empty(shape)), *settings).numpy(), theirs)


DRAWN: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "uniform_": ((400, 300), {"a": -2.0, "b": 3.0}),
    "normal_": ((400, 300), {"mean": 1.0, "std": 3.0}),
    "trunc_normal_": ((400, 300), {"mean": 1.0, "std": 2.0, "a": -1.0, "b": 1.5}),
    "xavier_uniform_": ((40, 30, 10, 10), {"gain": 2.0}),
    "xavier_normal_": ((40, 30, 10, 10), {}),
    "kaiming_uniform_": ((40, 30, 10, 10), {"a": 0.3, "mode": "fan_out"}),
    "kaiming_normal_": ((400, 300), {"nonlinearity": "selu"}),
    "orthogonal_": ((400, 300), {"gain": 2.0}),
    "sparse_": ((400, 300), {"sparsity": 0.4, "std": 2.0}),
}


@pytest.mark.parametrize(("name", "entry"), DRAWN.items(), ids=DRAWN)
def test_initialisers_that_draw_have_the_same_distribution(name: str, entry: tuple[Any, dict[str, Any]]) -> None:
    shape, settings = entry
    theirs = getattr(torch.nn.init, name)(torch.empty(shape), **settings).numpy().ravel()
    ours = getattr(nn.init, name)(nn.Parameter(np.empty(shape)), **settings, rng=0).numpy().ravel()
    steps = np.linspace(0, 1, 21)
    spread = ours.std()
    np.testing.assert_allclose(np.quantile(ours, steps[1:-1]), np.quantile(theirs, steps[1:-1]), atol=0.03 * spread)


def test_gains() -> None:
    for name in ("linear", "conv2d", "conv_transpose1d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert nn.init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))
    assert nn.init.calculate_gain("leaky_relu", 0.2) == pytest.approx(torch.nn.init.calculate_gain("leaky_relu", 0.2))
