"""What tensors, modules and our rooms say to those who call them as PyTorch's."""

import copy
import importlib
import pickle
import re
from collections.abc import Callable
from contextlib import suppress
from inspect import signature
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.errors import UsageError
from tinygrad_lite.foundation import pytorch_names

NAMES = {
    **pytorch_names.METHODS,
    "roll": "np.roll(x, shift, axis)",
    "isnan": "np.isnan(x)",
    "acos": "np.arccos(x)",
    "add_": "x.at[index].set(values)",
    "zero_": "w.grad = None for a gradient",
    "mul_": "x.data = value",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_method_of_pytorchs_names_what_to_write(name: str) -> None:
    x = tg.tensor(np.ones((2, 3)), requires_grad=True)
    with pytest.raises(AttributeError) as caught:
        getattr(x, name)
    assert f"a Tensor has no attribute {name!r}: write " in str(caught.value)
    assert NAMES[name] in str(caught.value)
    assert not hasattr(x, name)


CALLS = {
    (name, call)
    for name, instead in pytorch_names.METHODS.items()
    for call in re.findall(r"np\.[\w.]+\([\w, =]*\)", instead)
}


@pytest.mark.parametrize(("name", "call"), sorted(CALLS))
def test_a_call_of_numpys_to_write_has_all_its_arguments(name: str, call: str) -> None:
    function, _, arguments = call.partition("(")
    positional = [x for x in arguments.rstrip(")").split(", ") if "=" not in x]
    found = eval(function, {"np": np})
    if isinstance(found, np.ufunc):
        assert len(positional) == found.nin
    else:
        with suppress(ValueError):  # some of NumPy's functions in C have no signature
            signature(found).bind(*positional)


@pytest.mark.parametrize("name", pytorch_names.ENTRIES_METHODS)
def test_a_method_of_entries_that_jax_has_names_what_to_write(name: str) -> None:
    x = tg.tensor([4.0, 9.0], requires_grad=True)
    instead = pytorch_names.ENTRIES_METHODS[name]
    with pytest.raises(AttributeError, match=rf"^an Entries has no attribute {name!r}: write {re.escape(instead)}$"):
        getattr(x.at[0], name)
    once, _, twice = instead.partition(", if no entry occurs twice; else ")
    made = eval(once, {"x": x, "index": 0, "values": 2.0, "np": np, "f": np.sqrt})
    expected = {"mul": 8, "div": 2, "pow": 16, "sub": 2, "min": 2, "max": 4, "app": 2, "get": 4}[name[:3]]
    assert float(made if name == "get" else made[0]) == expected
    if twice:
        line = twice.removesuffix(" in a function that tg.functionalize takes")

        def written(x: Any, values: Any) -> Any:
            exec(line, {"x": x, "index": [1, 0, 0], "values": values, "np": np})
            return x

        arrays = np.array([4.0, 9.0]), np.array([1.0, 2.0, 3.0])
        np.testing.assert_array_equal(tg.functionalize(written)(*arrays), written(*arrays))


def test_other_names_and_protocols() -> None:
    x = tg.tensor([1.0])
    with pytest.raises(AttributeError, match=r"^'Tensor' object has no attribute 'nonsense'$"):
        x.nonsense
    assert not hasattr(x, "__deepcopy__")
    assert not NAMES.keys() & set(dir(x))
    np.testing.assert_array_equal(copy.deepcopy(x), x)


@pytest.mark.parametrize("name", ["data", "grad"])
@pytest.mark.parametrize("transformed", [lambda f: tg.jvp(f, (1.0,), (1.0,)), lambda f: tg.vmap(f)(np.ones(2))])
def test_what_only_tensors_have_is_explained_under_forward_mode_and_vmap(transformed: Any, name: str) -> None:
    with pytest.raises(AttributeError, match=f"has no attribute {name!r}: write .*tg.jvp and tg.vmap"):
        transformed(lambda x: getattr(np.sin(x), name) * x)
    transformed(lambda x: x * hasattr(x, "nonsense"))
    transformed(lambda x: x * np.size(getattr(x, name, 1.0)))


@pytest.mark.parametrize("name", pytorch_names.MODULE_METHODS)
def test_a_method_of_pytorchs_modules_names_what_to_write(name: str) -> None:
    layer = nn.Linear(2, 1, rng=0)
    advice = re.escape(pytorch_names.MODULE_METHODS[name])
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


LAYERS = {
    name: kind
    for name, kind in vars(nn).items()
    if isinstance(kind, type) and issubclass(kind, nn.Module) and kind is not nn.Module
}
ROWS, CLASSES = np.random.default_rng(0).normal(size=(4, 3)), np.arange(4) % 3


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_that_is_made_with_its_input_says_so(name: str) -> None:
    """As in nn.ReLU(x), or nn.CrossEntropyLoss(outputs, classes), which were layers without a word."""
    made: Any = LAYERS[name]
    first = next(iter(signature(made).parameters), "")
    for inputs in ((ROWS,), (tg.tensor(ROWS),), (ROWS, ROWS), (tg.tensor(ROWS), CLASSES)):
        takes_any = name in ("Identity", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict")
        if takes_any or (first == "weight" and len(inputs) == 1):
            continue
        with pytest.raises(UsageError, match=rf"{name}: .* an array of shape .*layer = {name}\(.*\); layer\(x"):
            made(*inputs)


@pytest.mark.parametrize("name", LAYERS)
def test_arguments_that_a_layer_does_not_take_name_it_and_not_its_base(name: str) -> None:
    made: Any = LAYERS[name]
    parameters = signature(made).parameters.values()
    if all(x.kind is not x.VAR_POSITIONAL for x in parameters):
        with pytest.raises(TypeError, match=rf"^{name}\(\) (too many|takes no arguments)"):
            made(*[1] * 30)
    if all(x.kind is not x.VAR_KEYWORD for x in parameters):
        with pytest.raises(TypeError, match=rf"^{name}\(\) (got an unexpected|missing a|takes no arguments)"):
            made(nonsense=1)


def test_sizes_and_weights_may_be_arrays() -> None:
    sizes = np.array([3, 3])
    assert nn.Conv2d(1, 1, sizes)(np.ones((1, 1, 4, 4))).shape == (1, 1, 2, 2)  # type: ignore[arg-type]
    assert nn.LayerNorm(np.array([4, 3]))(ROWS).shape == (4, 3)  # type: ignore[arg-type]
    assert nn.Upsample(None, np.array([2.0, 2.0]))(np.ones((1, 1, 2, 2))).shape == (1, 1, 4, 4)  # type: ignore[arg-type]
    assert nn.FractionalMaxPool2d(2, None, np.array([0.5, 0.5]))(np.ones((1, 1, 8, 8))).shape == (1, 1, 4, 4)  # type: ignore[arg-type]
    assert nn.Embedding(4, 3, None, None, 2.0, False, False, ROWS)(np.array([1])).shape == (1, 3)
    assert [w.shape for w in nn.ParameterList(ROWS)] == [(3,)] * 4
    for weight in (np.ones(3), tg.tensor(np.ones(3))):
        assert nn.CrossEntropyLoss(weight)(ROWS, CLASSES) == nn.CrossEntropyLoss()(ROWS, CLASSES)


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
        *((tg.linalg, name, f"np.linalg.{name}") for name in ("inv", "qr", "vector_norm", "pinv", "solve")),
        (tg, "is_autocast_enabled", "nothing, since each dtype stays"),
        (tg, "unsqueeze", "np.expand_dims(x, axis)"),
        (tg, "cat", "np.concatenate(arrays, axis)"),
        (tg, "manual_seed", "rng=, a seed"),
        (tg, "logcumsumexp", "np.logaddexp.accumulate(x, axis)"),
        (tg, "special", "scipy.special, whose erfinv"),
        (tg, "randn_like", "a method of np.random.default_rng(seed), of x.shape"),
        (tg, "max", "x.max(axis), the values alone, and x.argmax(axis) for where they are; np.maximum(x, y)"),
        (tg, "split", "np.split(x, parts, axis), which takes the number of parts"),
        (tg, "transpose", "np.swapaxes(x, a, b)"),
        (tg, "pi", "np.pi"),
        (tg, "elementwise_grad", "tg.grad(lambda x: np.sum(f(x)))"),
        (tg, "jacfwd", "tg.jacobian"),
        (tg, "make_hvp", "tg.hvp(f, (x,), (vector,))"),
        (tg, "pmap", "tg.vmap"),
        (tg, "lax", "Python's `for` and `if`"),
        (tg, "custom_vjp", "tg.custom_gradient"),
        (nn.functional, "leaky_relu_", "the same without the underscore"),
        (nn.utils, "clip_grad_norm", "nn.utils.clip_grad_norm_"),
        (tg.data, "Dataset", "a list or an array"),
        (tg.data, "TensorDataset", "the tuple of the arrays"),
        (tg.distributions, "ExponentialFamily", "a subclass of distributions.Distribution"),
        (nn.functional, "upsample", "nn.functional.interpolate"),
        (nn.functional, "max_pool2d_with_indices", "return_indices=True"),
        (tg.linalg, "matrix_exp", "tg.linalg.expm(A)"),
        (tg.linalg, "lu_factor_ex", "tg.linalg.lu_factor(A) and tg.linalg.lu_solve(factors, b)"),
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


@pytest.mark.parametrize("module", pytorch_names.NAMES)
def test_an_import_of_such_a_name_says_what_to_write(module: str) -> None:
    name = {
        "tinygrad_lite": "einsum",
        "tinygrad_lite.nn": "LazyLinear",
        "tinygrad_lite.nn.functional": "upsample",
        "tinygrad_lite.nn.utils": "stateless",
        "tinygrad_lite.nn.init": "_calculate_fan_in_and_fan_out",
        "tinygrad_lite.nn.utils.parametrize": "cached",
        "tinygrad_lite.distributions.constraints": "greater_than",
        "tinygrad_lite.optim.lr_scheduler": "_LRScheduler",
        "tinygrad_lite.optim": "SparseAdam",
        "tinygrad_lite.data": "Dataset",
        "tinygrad_lite.distributions": "ExponentialFamily",
        "tinygrad_lite.ops.linear.of_scipy": "inv",
    }[module]
    with pytest.raises(ImportError, match=f"^module {module!r} has no attribute {name!r}: write "):
        exec(f"from {module} import {name}")
    with pytest.raises(ImportError, match=r"^cannot import name 'nonsense'"):
        exec(f"from {module} import nonsense")


@pytest.mark.parametrize("name", pytorch_names.MODULE_METHODS)
@pytest.mark.parametrize(
    "make", [nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict], ids=lambda x: x.__name__
)
def test_a_missing_method_of_a_container_names_what_to_write(make: Callable[[], nn.Module], name: str) -> None:
    with pytest.raises(AttributeError, match=f"^a {make.__name__} has no attribute {name!r}: write "):
        getattr(make(), name)
    with pytest.raises(AttributeError, match=f"^'{make.__name__}' object has no attribute 'nonsense'$"):
        make().nonsense


FUNCTIONS = {
    name: function
    for name, function in vars(nn.functional).items()
    if callable(function) and not name.startswith("_") and not isinstance(function, type)
}


@pytest.mark.parametrize("setting", ["dim", "keepdim", "size_average", "reduce"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_setting_of_pytorchs_functions_says_what_to_write(name: str, setting: str) -> None:
    known = signature(FUNCTIONS[name]).parameters
    assert pickle.loads(pickle.dumps(FUNCTIONS[name])) is FUNCTIONS[name]
    if setting in known or not known.keys() & ({"axis"} if setting.endswith("dim") else {"reduction"}):
        return
    inputs = [x.name for x in known.values() if x.default is x.empty]
    with pytest.raises(UsageError, match=f"^{name} has no setting {setting}=1: write "):
        FUNCTIONS[name](**dict.fromkeys(inputs, np.ones((2, 2))), **{setting: 1})
    with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
        FUNCTIONS[name](**dict.fromkeys(inputs, np.ones((2, 2))), nonsense=1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        *(
            (lambda x=x: tg.optim.Adam([tg.tensor(1.0, requires_grad=True)], **{x: True}), f"Adam has no setting {x}=")
            for x in ("foreach", "fused", "capturable", "differentiable")
        ),
        (
            lambda: tg.optim.lr_scheduler.StepLR(
                tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=0.1), 3, verbose=True
            ),
            "StepLR has no setting verbose=True: write nothing, and print scheduler.get_last_lr()",
        ),
        (lambda: tg.data.DataLoader([1.0], num_workers=2), "DataLoader has no setting num_workers=2: write nothing"),
        (lambda: nn.Linear(1, 1).to("cuda"), "and no device; got 'cuda'"),
        (lambda: tg.tensor([1.0], device="cpu"), "tensor has no setting device='cpu': write nothing"),
        (lambda: tg.save({}, "model.pt"), "save takes the path, and what to save by name"),
    ],
)
def test_a_setting_of_a_training_script_says_what_to_write(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        make()


NOTES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "sum": (lambda x: np.sum(x, dim=1), "axis="),
    "mean": (lambda x: np.mean(x, 1, keepdim=True), "keepdims="),
    "concatenate": (lambda x: np.concatenate([x, x], dim=1), "axis="),
    "size": (lambda x: x.reshape(x.size(0), -1), "x.shape, or x.shape[i]"),
    "cat": (lambda x: np.cat([x, x], 1), "np.concatenate(arrays, axis)"),  # type: ignore[attr-defined]
    "unsqueeze": (lambda x: np.zeros(3).unsqueeze(0), "np.expand_dims(x, axis)"),  # type: ignore[attr-defined]
    "number": (lambda x: np.float64(1.0).clamp(0), "x.clip("),  # type: ignore[attr-defined]
    "fill": (lambda x: np.zeros(3).fill_(1.0), "x[...] = values"),  # type: ignore[attr-defined]
    "shape": (lambda x: np.zeros(2, 3), "np.zeros((2, 3))"),  # type: ignore[call-overload]
    "linspace": (lambda x: np.linspace(0, 1, steps=3), "num="),  # type: ignore[call-overload]
    "zeros": (lambda x: np.zeros_like(x, device="cuda:0", generator=None), "rng="),
    "another library": (lambda x: _of_pytorch(x), "layers and functions of tinygrad_lite.nn"),
}


def _of_pytorch(x: Any) -> Any:
    """What PyTorch says to our tensors and to arrays."""
    raise TypeError("linear(): argument 'input' (position 1) must be Tensor, not Tensor")


@pytest.mark.parametrize("name", NOTES)
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_foreign_error_in_a_forward_has_a_note(name: str, depth: int) -> None:
    class Own(nn.Module):
        def forward(self, x: Any) -> Any:
            return NOTES[name][0](x)

    model: nn.Module = Own()
    for _ in range(depth):
        model = nn.Sequential(model)
    with pytest.raises((TypeError, AttributeError)) as caught:
        model(tg.tensor(np.ones((2, 3))))
    (note,) = caught.value.__notes__
    assert note.startswith("Coming from PyTorch? Here, write ")
    assert NOTES[name][1] in note


def _loss(outputs: Any, classes: Any) -> Any:
    return nn.functional.mse_loss(outputs, nn.functional.one_hot(classes, 2).float())


@pytest.mark.parametrize(
    "run",
    [
        lambda *data: tg.fit(nn.Linear(3, 2, rng=0), _loss, data, epochs=1),
        lambda *data: tg.fit(nn.Linear(3, 2, rng=0), _loss, data, epochs=1, verify=False, compile=True),
        lambda *data: tg.compile(lambda x, classes: _loss(x[:, :2], classes))(*data),
    ],
)
def test_a_foreign_error_in_a_loss_or_a_compiled_function_has_a_note(run: Callable[..., Any]) -> None:
    with pytest.raises(AttributeError, match="float") as caught:
        run(np.ones((8, 3)), np.arange(8) % 2)
    assert caught.value.__notes__ == ["Coming from PyTorch? Here, write x.astype(np.float32), say."]


def test_a_function_that_writes_into_the_data_of_weights_is_told_how() -> None:
    """As the first values of most generative networks are set."""

    def first_values(module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            module.weight.data.normal_(0.0, 0.02)

    with pytest.raises(AttributeError, match="normal_") as caught:
        nn.Sequential(nn.ReLU(), nn.Linear(2, 3)).apply(first_values)
    (note,) = caught.value.__notes__
    assert "for w.data of a weight, tg.nn.init" in note


@pytest.mark.parametrize(
    "call", [lambda x: x + {}, lambda x: x.ndim(), lambda x: len(x.shape)("a"), lambda x: np.nonsense(x)]
)
def test_other_errors_in_a_forward_have_no_note(call: Callable[[Any], Any]) -> None:
    class Own(nn.Module):
        def forward(self, x: Any) -> Any:
            return call(x)

    with pytest.raises((TypeError, AttributeError, KeyError)) as caught:
        Own()(tg.tensor(1.0))
    assert not hasattr(caught.value, "__notes__")


class TestFirstValuesOfALayersSubclass:
    """PyTorch's layers call `reset_parameters` when they are made, so a class that has its own one may rely on it."""

    @pytest.mark.parametrize("layer", [nn.Linear, nn.Conv2d, nn.Embedding, nn.BatchNorm1d, nn.LSTM])
    def test_a_method_that_nothing_would_call_warns(self, layer: type[nn.Module]) -> None:
        with pytest.warns(tg.errors.TinygradWarning, match=f"a {layer.__name__}: call self.reset_parameters"):

            class Own(layer):  # type: ignore[misc, valid-type]
                def reset_parameters(self) -> None:
                    nn.init.zeros_(self.weight)

    def test_a_method_that_something_calls_does_not_warn(self) -> None:
        class Own(nn.Linear):
            def __init__(self) -> None:
                super().__init__(2, 3)
                self.reset_parameters()

            def reset_parameters(self) -> None:
                nn.init.zeros_(self.weight)

        class Derived(Own):
            def reset_parameters(self) -> None:
                nn.init.ones_(self.weight)

        assert np.all(Derived().weight.numpy() == 1)

    @pytest.mark.parametrize("base", [nn.Module, nn.Sequential])
    def test_a_method_that_pytorch_does_not_call_either_does_not_warn(self, base: type[nn.Module]) -> None:
        class Own(base):  # type: ignore[misc, valid-type]
            def reset_parameters(self) -> None: ...


def test_parameters_are_instances_of_the_class_that_makes_them() -> None:
    frozen, leaf = nn.Parameter([1.0], requires_grad=False), tg.tensor([1.0], requires_grad=True)
    assert all(isinstance(x, nn.Parameter) for x in (nn.Parameter([1.0]), frozen, leaf, nn.Linear(1, 1).weight))
    assert not any(isinstance(x, nn.Parameter) for x in (tg.tensor([1.0]), 2 * leaf, np.ones(1), None))
    assert (nn.Parameter | None) == (None | nn.Parameter)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        *((lambda x, name=name: getattr(x, name)(1, True), "write keepdims= by name") for name in ("sum", "mean")),
        (lambda x: x.var(0, False), "write keepdims= by name"),
        (lambda x: x.var(0, unbiased=False), "write ddof=0"),
        (lambda x: x.std(0, unbiased=True), "is written ddof=1"),
        (lambda x: x.max(dim=1), "axis=1, which gives the values alone, and argmax(axis=1) says where they are"),
        (lambda x: x.argsort(dim=-1), "is written axis=-1"),
        (lambda x: x.transpose(1, 2), "write x.swapaxes(a, b)"),
        (lambda x: x.transpose(-2, -1), "write x.swapaxes(a, b)"),
        (lambda x: x.flatten(1), "write x.reshape(*x.shape[:1], -1)"),
        (lambda x: x.flatten(start_dim=1), "write x.reshape(shape)"),
        (lambda x: x.repeat(2, 1, 1), "write np.tile(x, times)"),
    ],
)
def test_a_call_as_of_pytorchs_tensors_says_what_to_write(call: Callable[[Any], Any], words: str) -> None:
    with pytest.raises((UsageError, tg.errors.ShapeError), match=re.escape(words)):
        call(tg.tensor(np.ones((2, 3, 4))))


@pytest.mark.parametrize("name", [*pytorch_names.SETTINGS])
@pytest.mark.parametrize("kind", [nn.Module, tg.optim.Optimizer, tg.optim.lr_scheduler.LRScheduler, tg.data.DataLoader])
def test_a_class_of_the_users_own_has_no_counterpart_in_pytorch(kind: type, name: str) -> None:
    class Own(kind):  # type: ignore[misc]
        def __init__(self, size: int) -> None:
            self.size = size

    with pytest.raises(TypeError, match=re.escape(f"__init__() got an unexpected keyword argument '{name}'")):
        Own(3, **{name: 1})


@pytest.mark.parametrize("name", ["unbiased", "dim"])
@pytest.mark.parametrize("value", [None, True, False, np.True_, 1, "yes", np.ones(2)], ids=repr)
def test_advice_on_an_argument_takes_any_value(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"{name}=.* is written "):
        tg.tensor([1.0]).std(**{name: value})


@pytest.mark.parametrize("name", [*pytorch_names.MODULE_METHODS])
def test_a_module_of_the_users_own_may_have_a_method_that_ours_lacks(name: str) -> None:
    own = type("Own", (nn.Module,), {name: lambda self: "its own"})()
    field = nn.Module()
    setattr(field, name, "its own")
    assert getattr(own, name)() == getattr(field, name) == "its own"
    assert name in dir(own)
    assert name in dir(field)
    assert name not in dir(nn.Module())


def test_a_transpose_with_pytorchs_arguments_that_changes_nothing_warns() -> None:
    x = tg.tensor(np.arange(6.0).reshape(2, 3))
    with pytest.warns(tg.errors.TinygradWarning, match=r"x.transpose\(0, 1\) of a matrix is the matrix"):
        np.testing.assert_array_equal(x.transpose(0, 1), x)
    with pytest.warns(tg.errors.TinygradWarning, match=r"x.transpose\(-2, -1\) of a matrix is the matrix"):
        np.testing.assert_array_equal(x.transpose(-2, -1), x)
    np.testing.assert_array_equal(x.transpose(1, 0), x.T)


@pytest.mark.parametrize("axes", [(0, 1), (-2, -1), tuple(np.arange(2))])
def test_an_order_of_axes_that_is_computed_is_no_exchange(axes: tuple[int, int]) -> None:
    x = tg.tensor(np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(x.transpose(axes), x)
    np.testing.assert_array_equal(x.transpose(*axes), x)
    np.testing.assert_array_equal(tg.grad(lambda x: np.sum(x.transpose(*axes) * 2))(x), np.full((2, 3), 2.0))


INDEX = np.array([[2, 0, 1, 3], [3, 1, 0, 2], [0, 1, 2, 3], [1, 0, 3, 2]])
ADVICE: dict[str, Callable[..., Any]] = {
    "lerp": lambda x, y, i: x.lerp(y, 0.25),
    "addmm": lambda x, y, i: x.addmm(x, y),
    "repeat_interleave": lambda x, y, i: x.repeat_interleave(2, 1),
    "logcumsumexp": lambda x, y, i: x.logcumsumexp(1),
    "cummax": lambda x, y, i: x.cummax(1)[0],
    "cummin": lambda x, y, i: x.cummin(1)[0],
    "clamp_min": lambda x, y, i: x.clamp_min(1.5),
    "clamp_max": lambda x, y, i: x.clamp_max(1.5),
    "where": lambda x, y, i: x.where(x > y, y),
    "kthvalue": lambda x, y, i: x.kthvalue(2, 1).values,
    "topk": lambda x, y, i: x.topk(2, 1).values,
    "addcmul": lambda x, y, i: x.addcmul(x, y, value=0.25),
    "addcdiv": lambda x, y, i: x.addcdiv(x, y, value=0.25),
    "gather": lambda x, y, i: x.gather(1, i),
    "take_along_dim": lambda x, y, i: x.take_along_dim(i, 1),
    "scatter": lambda x, y, i: x.scatter(1, i, y),
    "scatter_add": lambda x, y, i: x.scatter_add(1, i, y),
    "index_add": lambda x, y, i: x.index_add(0, i[0], y),
    "index_copy": lambda x, y, i: x.index_copy(0, i[0], y),
    "index_select": lambda x, y, i: x.index_select(1, i[0]),
    **{
        name: lambda x, y, i, name=name: getattr(x, name)(y)
        for name in (
            *("ne", "lt", "le", "gt", "ge", "bmm", "eq", "dist", "multiply", "atan2", "hypot", "fmax", "kron"),
            *("floor_divide", "logaddexp", "remainder", "mm"),
        )
    },
    **{
        name: lambda x, y, i, name=name: getattr(x, name)()
        for name in (
            *("det", "logdet", "inverse", "pinverse", "frac", "erf", "lgamma", "digamma", "diag_embed"),
            *("absolute", "asinh", "exp2", "tril", "norm", "nansum"),
        )
    },
}


def code_in(advice: str) -> str:
    """The code at the start of an advice, before the words about it."""
    parts = advice.split(";")[0].split(", ")
    for count in range(len(parts), 0, -1):
        try:
            compile(", ".join(parts[:count]), "advice", "eval")
            return ", ".join(parts[:count])
        except SyntaxError:
            continue
    raise AssertionError(f"no code in {advice!r}")


@pytest.mark.compare
@pytest.mark.parametrize("name", ADVICE)
def test_what_is_advised_is_what_pytorch_does(name: str) -> None:
    torch, special = pytest.importorskip("torch"), pytest.importorskip("scipy.special")
    rng = np.random.default_rng(0)
    shape = (3, 4, 4) if name == "bmm" else (4, 4)
    x, y = [a @ a.swapaxes(-1, -2) + np.eye(4) for a in rng.normal(size=(2, *shape))]
    expected = ADVICE[name](torch.tensor(x), torch.tensor(y), torch.tensor(INDEX))
    names = {"x": tg.tensor(x), "y": tg.tensor(y), "a": x, "b": y, "weight": 0.25, "value": 0.25, "k": 2, "axis": 1}
    settings = {"repeats": 2, "minimum": 1.5, "maximum": 1.5, "condition": x > y, "values": y}
    settings["index"] = INDEX[0] if name.startswith("index") else INDEX
    if name in ("addcmul", "addcdiv"):
        names["a"] = x
    if name == "tril":
        names["k"] = 0
    scipy = type("scipy", (), {"special": special})
    found = eval(code_in(pytorch_names.METHODS[name]), {"np": np, "scipy": scipy, **names, **settings})
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-9)


@pytest.mark.compare
def test_norms_of_entries_and_what_has_other_defaults() -> None:
    """As the page for those who come from PyTorch has it."""
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(4, 3))
    np.testing.assert_allclose(np.linalg.norm(tg.tensor(x)), torch.tensor(x).norm(2).numpy())
    np.testing.assert_allclose(np.abs(tg.tensor(x)).sum(), torch.tensor(x).norm(1).numpy())
    u, values, vt = np.linalg.svd(tg.tensor(x), full_matrices=False)
    expected = torch.svd(torch.tensor(x))
    assert (u.shape, vt.T.shape) == (expected.U.shape, expected.V.shape)
    np.testing.assert_allclose(values, expected.S.numpy())
    np.testing.assert_allclose(np.abs(vt.T), np.abs(expected.V.numpy()))
    grid, expected = (
        np.meshgrid(x[0], x[:, 0], indexing="ij"),
        torch.meshgrid(*map(torch.tensor, (x[0], x[:, 0])), indexing="ij"),
    )
    np.testing.assert_array_equal(grid, [part.numpy() for part in expected])


@pytest.mark.compare
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("std", lambda x: x.std(1)),
        ("var", lambda x: x.var(1)),
        ("max", lambda x: x.max(1).values),
        ("min", lambda x: x.min(1).values),
        ("sort", lambda x: x.sort(1).values),
        ("nonzero", lambda x: x.nonzero()),
    ],
)
def test_what_is_advised_for_names_that_numpy_has_for_something_else(name: str, call: Callable[[Any], Any]) -> None:
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(3, 4))
    with pytest.raises(AttributeError) as caught:
        getattr(tg, name)
    advice = str(caught.value).partition(": write ")[2]
    found = eval(code_in(advice), {"np": np, "x": tg.tensor(x), "axis": 1})
    np.testing.assert_allclose(np.asarray(found), call(torch.tensor(x)).numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    "code",
    [
        "class Layer(nn.Module):\n    def __init__(self, width): self.width = width\nLayer(width=3)",
        "class Layer(nn.Module, dict): pass\nLayer(width=3)",
        "class Model(nn.Sequential):\n    def __init__(self, *parts, scale): super().__init__(*parts)\n"
        "Model(nn.ReLU(), scale=3)",
        "class Slow(optim.SGD):\n    def __init__(self, parameters, speed): super().__init__(parameters, lr=speed)\n"
        "Slow(nn.Linear(2, 2, rng=0).parameters(), speed=1.0)",
    ],
)
def test_code_without_a_module_has_settings_of_its_own(code: str) -> None:
    """As code that a program runs by itself, such as that of a page's examples."""
    exec(code, {"np": np, "tg": tg, "nn": nn, "optim": tg.optim})


# what published models and training scripts call of PyTorch's tensors, in sixty of them
CALLED = re.findall(
    r"\w+",
    """
abs add add_ addmm all any argmax argmin argsort backward bernoulli bmm bool byte chunk clamp clamp_ clamp_min clone
contiguous copy_ cos cpu cuda cumprod cumsum data detach detach_ device diag diagonal dim div div_ dot double dtype
element_size eq equal erf exp exp_ expand expand_as expm1 fill_ flatten flip float floor gather ge ger grad grad_fn
gt half index_add index_add_ index_copy_ index_fill_ index_put_ index_select int inverse is_contiguous is_cuda
is_floating_point is_leaf isnan item le lerp lgamma log log10 log1p log_softmax logsumexp long lt masked_fill
masked_fill_ masked_scatter_ masked_select matmul max mean median min mm mT mul mul_ multinomial mv narrow ndim
ndimension ne neg new_empty new_full new_ones new_tensor new_zeros nonzero norm normal_ numel numpy permute pow prod
random_ reciprocal register_hook relu repeat repeat_interleave requires_grad requires_grad_ reshape retain_grad roll
round rsqrt scatter scatter_ scatter_add scatter_add_ scatter_reduce select shape sigmoid sign sin size softmax
split sqrt square squeeze squeeze_ std stride sub sub_ sum T t tanh to tolist topk trace transpose tril triu trunc
type type_as unbind unflatten unfold uniform_ unsqueeze unsqueeze_ var view view_as where zero_
""",
)


@pytest.mark.parametrize("name", CALLED)
def test_what_scripts_call_of_a_tensor_is_here_or_says_what_to_write(name: str) -> None:
    x = tg.tensor(np.ones((2, 2)), requires_grad=True)
    if not hasattr(x, name):
        with pytest.raises(AttributeError, match=f"^a Tensor has no attribute '{name}': write "):
            getattr(x, name)


@pytest.mark.parametrize("module", pytorch_names.NAMES)
def test_other_names_of_our_modules_are_left_to_python(module: str) -> None:
    with pytest.raises(AttributeError, match=f"^module {module!r} has no attribute 'nonsense'$") as caught:
        importlib.import_module(module).nonsense
    assert caught.value.name == "nonsense"  # from which Python takes what it suggests
    assert not hasattr(importlib.import_module(module), "__path_of_nothing__")


# PyTorch's modules from which published training scripts import, in our words
IMPORTED = re.findall(
    r"\S+",
    """
tinygrad_lite.autograd tinygrad_lite.func tinygrad_lite.amp tinygrad_lite.cuda.amp tinygrad_lite.utils.data
tinygrad_lite.utils.tensorboard tinygrad_lite.nn.parameter tinygrad_lite.nn.modules.loss tinygrad_lite.nn.parallel
tinygrad_lite.nn.utils.clip_grad tinygrad_lite.optim.adam tinygrad_lite.optim.swa_utils tinygrad_lite.data.dataset
tinygrad_lite.data.dataloader tinygrad_lite.distributions.normal tinygrad_lite.distributions.categorical
tinygrad_lite.distributions.kl tinygrad_lite.optim.lr_scheduler.step
""",
)


@pytest.mark.parametrize("module", IMPORTED)
def test_the_import_of_a_module_of_pytorchs_says_what_to_write(module: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"^there is no module 'tinygrad_lite\.[\w.]+': write \w+") as caught:
        importlib.import_module(module)
    assert module.startswith(caught.value.name or "?")


@pytest.mark.parametrize("module", ["tinygrad_lite.nonsense", "tinygrad_lite.nn._nonsense", "nonsense.normal"])
def test_the_import_of_any_other_module_is_left_to_python(module: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"^No module named"):
        importlib.import_module(module)


def test_no_name_that_is_here_is_said_to_be_elsewhere() -> None:
    for module, patterns in pytorch_names.NAMES.items():
        there = [name for name in vars(importlib.import_module(module)) if not name.startswith("_")]
        assert not [name for name in there for pattern in patterns if re.fullmatch(pattern, name)]
    assert not pytorch_names.MODULE_METHODS.keys() & {name for owner in nn.Module.__mro__[:2] for name in vars(owner)}


def test_the_gradient_of_what_a_forward_hook_sees() -> None:
    """As the advice says, in place of a backward hook."""
    model, seen = nn.Sequential(nn.Linear(2, 3, rng=0), nn.Tanh()), []

    def look(module: nn.Module, inputs: Any, output: tg.Tensor) -> None:
        output.retain_grad()
        seen.append(output)

    model[0].register_forward_hook(look)
    model(np.ones((1, 2))).sum().backward()
    np.testing.assert_allclose(seen[0].grad, 1 - np.tanh(seen[0].numpy()) ** 2)


@pytest.mark.parametrize(("name", "ours"), pytorch_names.ARGUMENTS.items())
def test_an_argument_of_pytorchs_names_numpys(name: str, ours: str) -> None:
    with pytest.raises(UsageError, match=rf"sum: {name}=1 is written {ours}=1, as in NumPy; it takes axis="):
        tg.tensor(np.ones((2, 3))).sum(**{name: 1})


@pytest.mark.parametrize(("name", "article"), [("UNet", "a"), ("Upsampler", "an"), ("Encoder", "an"), ("Block", "a")])
def test_a_name_is_read_with_its_article(name: str, article: str) -> None:
    model = type(name, (nn.Module,), {})()
    with pytest.raises(AttributeError, match=f"^{article} {name} has no attribute 'cuda'"):
        model.cuda()
