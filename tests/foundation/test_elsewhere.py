"""What tensors, modules and our rooms say to those who call them as PyTorch's."""

import copy
import importlib
import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.errors import UsageError
from tinygrad_lite.foundation import elsewhere

NAMES = {
    **elsewhere._METHODS,
    "roll": "np.roll(x)",
    "median": "np.median(x)",
    "add_": "x.at[index].set(values)",
    "zero_": "x.data = value",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_method_of_pytorchs_names_what_to_write(name: str) -> None:
    x = tg.tensor(np.ones((2, 3)), requires_grad=True)
    with pytest.raises(AttributeError) as caught:
        getattr(x, name)
    assert f"a Tensor has no attribute {name!r}: write " in str(caught.value)
    assert NAMES[name] in str(caught.value)
    assert not hasattr(x, name)


def test_other_names_and_protocols() -> None:
    x = tg.tensor([1.0])
    with pytest.raises(AttributeError, match=r"^'Tensor' object has no attribute 'nonsense'$"):
        x.nonsense
    assert not hasattr(x, "__deepcopy__")
    assert not NAMES.keys() & set(dir(x))
    np.testing.assert_array_equal(copy.deepcopy(x), x)


@pytest.mark.parametrize("name", elsewhere._MODULE_METHODS)
def test_a_method_of_pytorchs_modules_names_what_to_write(name: str) -> None:
    layer = nn.Linear(2, 1, rng=0)
    advice = re.escape(elsewhere._MODULE_METHODS[name])
    with pytest.raises(AttributeError, match=f"^a Linear has no attribute {name!r}: write {advice}$"):
        getattr(layer, name)
    assert not hasattr(layer, name)
    assert name not in dir(layer)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        *((lambda kind=kind: kind(dim=1), "dim=1: write axis=1") for kind in (nn.Softmax, nn.LogSoftmax, nn.GLU)),
        (lambda: nn.CosineSimilarity(dim=-1), "CosineSimilarity has no setting dim=-1: write axis=-1"),
        (lambda: nn.PairwiseDistance(keepdim=True), "keepdim=True: write keepdims=True"),
        (lambda: nn.Flatten(start_dim=2), "start_dim=2: write start_axis=2"),
        (lambda: nn.Flatten(end_dim=2), "end_dim=2: write end_axis=2"),
        (lambda: nn.Linear(2, 3, device="cpu"), "device='cpu': write nothing, since there are no devices"),
        (lambda: nn.MSELoss(reduce=False), "reduce=False: write reduction='mean', 'sum' or 'none'"),
    ],
)
def test_a_setting_of_pytorchs_layers_says_what_to_write(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        make()


def test_modules_may_take_such_settings_and_refuse_others() -> None:
    class Own(nn.Module):
        def __init__(self, dim: int, **others: Any) -> None:
            self.dim, self.others = dim, others

    class Plain(nn.Module):
        pass

    own = Own(dim=3, device="cpu")
    assert (own.dim, own.others, copy.deepcopy(own).dim) == (3, {"device": "cpu"}, 3)
    with pytest.raises(TypeError, match=r"Plain\(\) takes no arguments"):
        Plain(3)
    with pytest.raises(TypeError, match="unexpected keyword argument 'sizes'"):
        nn.Linear(2, 3, sizes=3)


def test_a_module_may_have_such_a_name() -> None:
    class Typed(nn.Module):
        compile = "never"

        def __init__(self) -> None:
            self.type = "plain"

    assert (Typed().compile, Typed().type) == ("never", "plain")


@pytest.mark.parametrize(
    ("module", "name", "advice"),
    [
        *((tg, name, f"np.{name}") for name in ("exp", "sum", "einsum", "matmul", "where")),
        *((tg, name, f"tg.nn.functional.{name}") for name in ("relu", "softmax", "sigmoid")),
        (tg, "unsqueeze", "np.expand_dims(x, axis)"),
        (tg, "cat", "np.concatenate(arrays, axis)"),
        (tg, "manual_seed", "rng=, a seed"),
        (tg, "logcumsumexp", "np.logaddexp.accumulate(x, axis)"),
        (tg, "special", "scipy.special, whose erfinv"),
        (nn.functional, "grid_sample", "four reads x[..., i, j]"),
        (nn.functional, "max_pool2d_with_indices", "return_indices=True"),
        (tg, "randn", "a method of np.random.default_rng(seed)"),
        (nn, "LazyConv2d", "the layer with its shapes"),
        (nn, "Buffer", "self.register_buffer(name, array)"),
        (tg.optim, "swa_utils", "optim.ExponentialMovingAverage"),
    ],
)
def test_a_name_that_pytorch_has_says_what_to_write(module: ModuleType, name: str, advice: str) -> None:
    start = f"module {module.__name__!r} has no attribute {name!r}: write {advice}"
    with pytest.raises(AttributeError, match=f"^{re.escape(start)}"):
        getattr(module, name)


ADVICE: dict[str, Callable[[Any, Any], Any]] = {
    "lerp": lambda x, y: x.lerp(y, 0.25),
    "addmm": lambda x, y: x.addmm(x, y),
    "logdet": lambda x, y: x.logdet(),
    "inverse": lambda x, y: x.inverse(),
    "repeat_interleave": lambda x, y: x.repeat_interleave(2, 1),
    "logcumsumexp": lambda x, y: x.logcumsumexp(1),
    "cummax": lambda x, y: x.cummax(1)[0],
    "cummin": lambda x, y: x.cummin(1)[0],
    "clamp_min": lambda x, y: x.clamp_min(1.5),
    "clamp_max": lambda x, y: x.clamp_max(1.5),
    "where": lambda x, y: x.where(x > y, y),
    **{name: lambda x, y, name=name: getattr(x, name)(y) for name in ("ne", "lt", "le", "gt", "ge", "bmm", "eq")},
    **{name: lambda x, y, name=name: getattr(x, name)() for name in ("det", "pinverse")},
}


@pytest.mark.compare
@pytest.mark.parametrize("name", ADVICE)
def test_what_is_advised_is_what_pytorch_does(name: str) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    shape = (3, 4, 4) if name == "bmm" else (4, 4)
    x, y = [a @ a.swapaxes(-1, -2) + np.eye(4) for a in rng.normal(size=(2, *shape))]
    expected = ADVICE[name](torch.tensor(x), torch.tensor(y))
    names = {"x": tg.tensor(x), "y": tg.tensor(y), "a": x, "b": y, "weight": 0.25, "repeats": 2, "axis": 1}
    found = eval(elsewhere._METHODS[name], {"np": np, "minimum": 1.5, "maximum": 1.5, "condition": x > y, **names})
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-9)


@pytest.mark.parametrize("module", elsewhere._NAMES)
def test_other_names_of_our_modules_are_left_to_python(module: str) -> None:
    with pytest.raises(AttributeError, match=f"^module {module!r} has no attribute 'nonsense'$") as caught:
        importlib.import_module(module).nonsense
    assert caught.value.name == "nonsense"  # from which Python takes what it suggests
    assert not hasattr(importlib.import_module(module), "__path_of_nothing__")


def test_no_name_that_is_here_is_said_to_be_elsewhere() -> None:
    for module, patterns in elsewhere._NAMES.items():
        there = [name for name in vars(importlib.import_module(module)) if not name.startswith("_")]
        assert not [name for name in there for pattern in patterns if re.fullmatch(pattern, name)]
    assert not elsewhere._MODULE_METHODS.keys() & {name for owner in nn.Module.__mro__[:2] for name in vars(owner)}


def test_the_gradient_of_what_a_forward_hook_sees() -> None:
    """As the advice says, in place of a backward hook."""
    model, seen = nn.Sequential(nn.Linear(2, 3, rng=0), nn.Tanh()), []

    def look(module: nn.Module, inputs: Any, output: tg.Tensor) -> None:
        output.retain_grad()
        seen.append(output)

    model[0].register_forward_hook(look)
    model(np.ones((1, 2))).sum().backward()
    np.testing.assert_allclose(seen[0].grad, 1 - np.tanh(seen[0].numpy()) ** 2)


@pytest.mark.parametrize(("name", "ours"), elsewhere._ARGUMENTS.items())
def test_an_argument_of_pytorchs_names_numpys(name: str, ours: str) -> None:
    with pytest.raises(UsageError, match=rf"sum: {name}=1 is written {ours}=1, as in NumPy; it takes axis="):
        tg.tensor(np.ones((2, 3))).sum(**{name: 1})
