"""Names that PyTorch has for what is written as in NumPy here, and what to write, for the messages of errors."""

import re
import sys
from collections.abc import Callable, Collection
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, NoReturn, Self

import numpy as np

from tinygrad_lite.errors import UsageError

_ARGUMENTS = {"dim": "axis", "keepdim": "keepdims"}
_NO_DEVICES = "nothing, since there are no devices"
_SETTINGS = {
    **{name: f"{ours}={{!r}}" for name, ours in _ARGUMENTS.items()},
    "start_dim": "start_axis={!r}",
    "end_dim": "end_axis={!r}",
    "device": _NO_DEVICES,
    **dict.fromkeys(("size_average", "reduce"), "reduction='mean', 'sum' or 'none'"),
}
_CAST = "x.astype(np.float32), say"
_METHODS = {
    "view": "x.reshape(shape)",
    "permute": "x.transpose(axes)",
    "t": "x.T",
    "unsqueeze": "np.expand_dims(x, axis), or x[:, None]",
    "dim": "x.ndim",
    "numel": "x.size",
    "nelement": "x.size",
    "view_as": "x.reshape(y.shape)",
    "reshape_as": "x.reshape(y.shape)",
    "expand": "np.broadcast_to(x, shape)",
    "expand_as": "np.broadcast_to(x, y.shape)",
    "split": "np.split(x, parts, axis), which takes the number of parts, or where they begin, and not their size",
    "chunk": "np.array_split(x, parts, axis)",
    "unbind": "list(x)",
    "narrow": "a slice, such as x[:, start:end]",
    "movedim": "np.moveaxis(x, source, destination)",
    "unfold": "np.lib.stride_tricks.sliding_window_view(x, size, axis)",
    "masked_fill": "np.where(mask, value, x)",
    "masked_select": "x[mask]",
    "clamp": "x.clip(minimum, maximum)",
    "gather": "np.take_along_axis(x, index, axis)",
    "index_select": "np.take(x, index, axis)",
    "scatter": "x.at[index].set(values)",
    "scatter_add": "x.at[index].add(values)",
    "index_add": "x.at[index].add(values)",
    "topk": "np.take_along_axis(x, np.argsort(-x, axis)[..., :k], axis)",
    "add": "x + y",
    "sub": "x - y",
    "mul": "x * y",
    "div": "x / y",
    "pow": "x ** power",
    "neg": "-x",
    "reciprocal": "1 / x",
    "rsqrt": "1 / np.sqrt(x)",
    "lerp": "x + weight * (y - x)",
    "eq": "x == y",
    "ne": "x != y",
    "lt": "x < y",
    "le": "x <= y",
    "gt": "x > y",
    "ge": "x >= y",
    "mm": "x @ y",
    "addmm": "x + a @ b",
    "baddbmm": "x + a @ b",
    "bmm": "x @ y",
    "mv": "x @ y",
    "norm": "np.linalg.norm(x)",
    "inverse": "np.linalg.inv(x)",
    "pinverse": "np.linalg.pinv(x)",
    "logdet": "np.linalg.slogdet(x)[1]",
    **{name: f"np.linalg.{name}(x)" for name in ("det", "slogdet", "cholesky", "svd", "qr")},
    "repeat_interleave": "np.repeat(x, repeats, axis)",
    "logcumsumexp": "np.logaddexp.accumulate(x, axis)",
    "cummax": "np.maximum.accumulate(x, axis)",
    "cummin": "np.minimum.accumulate(x, axis)",
    "clamp_min": "np.maximum(x, minimum)",
    "clamp_max": "np.minimum(x, maximum)",
    "where": "np.where(condition, x, y)",
    "amax": "x.max(axis)",
    "amin": "x.min(axis)",
    "clone": "x.copy(), or x, since no array changes",
    "contiguous": "x, as it is",
    "to": _CAST,
    "type": _CAST,
    "type_as": "x.astype(y.dtype)",
    "float": _CAST,
    "double": _CAST,
    "half": _CAST,
    "int": "x.astype(int)",
    "long": "x.astype(int)",
    "bool": "x.astype(bool)",
    "cpu": _NO_DEVICES,
    "cuda": _NO_DEVICES,
    "is_cuda": _NO_DEVICES,
    "new_zeros": "np.zeros(shape, x.dtype)",
    "new_ones": "np.ones(shape, x.dtype)",
    "new_full": "np.full(shape, value, x.dtype)",
    "requires_grad_": "x.requires_grad = True",
    "detach_": "x = x.detach()",
    "grad_fn": "x.op",
    "register_hook": "x.retain_grad(), which keeps the gradient that a hook would see; tg.custom_gradient changes one",
    "new_tensor": "tg.tensor(data)",
    "stride": "x.numpy().strides",
}


_IN_PLACE = "x = x.at[index].set(values) or an expression, since no array changes; x.data = value for a leaf"
_METHODS |= {
    f"{name}_": _IN_PLACE
    for name in (
        *("add", "sub", "mul", "div", "pow", "neg", "clamp", "copy", "exp", "sqrt", "abs", "relu", "sigmoid", "tanh"),
        *("zero", "fill", "masked_fill", "index_add", "scatter", "scatter_add", "normal", "uniform", "random"),
    )
}
_METHODS |= {
    name: f"np.{name}(x)"
    for name in (
        *("tan", "sinh", "cosh", "log2", "log10", "floor", "ceil", "trunc", "fmod", "isnan", "isinf", "isfinite"),
        *("logical_not", "logical_and", "logical_or", "diag", "argwhere"),
        *("tril", "triu", "flip", "roll", "tile", "unique", "outer", "inner", "cross", "median", "quantile", "diff"),
    )
}


_MODULE_METHODS = {
    "cuda": _NO_DEVICES,
    "cpu": _NO_DEVICES,
    "xpu": _NO_DEVICES,
    "type": "model.to(np.float32), say",
    "bfloat16": "model.to(np.float32), since NumPy has no bfloat16",
    "compile": "tg.compile(model), or of a whole step",
    "set_submodule": "model.name = module",
    **dict.fromkeys(
        ("register_backward_hook", "register_full_backward_hook", "register_full_backward_pre_hook"),
        "register_forward_hook, and retain_grad() of the output that it sees, which then has a .grad",
    ),
}
_RNG = "rng=, a seed or a generator, in each layer, loader or sample that draws"
_GENERATOR = "a method of np.random.default_rng(seed)"
_TRANSFORM = "tg.grad, tg.vjp or another transform of a function"
_AVERAGE = "optim.ExponentialMovingAverage"
# of each of our modules, by patterns
_NAMES: dict[str, dict[str, str]] = {
    "tinygrad_lite": {
        "cat|concat": "np.concatenate(arrays, axis)",
        "from_numpy|as_tensor|asarray": "tg.tensor(array)",
        "manual_seed|seed|Generator": _RNG,
        "randn?|randint|randperm|normal|bernoulli|multinomial": _GENERATOR,
        "autograd|func|vmap": _TRANSFORM,
        "inference_mode|set_grad_enabled": "tg.no_grad() or tg.enable_grad()",
        "jit": "tg.compile",
        "flatten": "x.reshape(-1)",
        "cdist": "np.linalg.norm(x[..., :, None, :] - y[..., None, :, :], axis=-1)",
        "var_mean|std_mean|aminmax": "a call of NumPy's for each",
        "fft": "np.fft",
        "special|erfinv|lgamma|digamma|polygamma": "scipy.special, whose erfinv, gammaln, psi and others take tensors",
        "cond|while_loop|scan": "Python's `if` and `for`; np.where in a compiled function",
        "utils": "tg.data and tg.nn.utils",
        "device|cuda|backends|amp|autocast": _NO_DEVICES,
        "is_tensor": "isinstance(x, tg.Tensor)",
        "(Float|Double|Long|Bool)Tensor": "tg.tensor(array)",
        "long|int": "np.int64",
        "double|float|half": "np.float64, np.float32 or np.float16",
    },
    "tinygrad_lite.nn": {
        "Lazy.*|Uninitialized.*": "the layer with its shapes, which a module knows when it is made",
        "DataParallel|parallel": "tg.distributed",
        "SyncBatchNorm": "nn.BatchNorm1d, 2d or 3d",
        "Buffer": "self.register_buffer(name, array), or an array in a field",
        "NLLLoss2d": "nn.NLLLoss",
        "LinearCrossEntropy.*": "nn.Linear and nn.CrossEntropyLoss, one after the other",
        "CrossMapLRN2d": "nn.LocalResponseNorm",
    },
    "tinygrad_lite.nn.functional": {
        "grid_sample|affine_grid": "four reads x[..., i, j], each times its weight",
        "upsample.*": "nn.functional.interpolate",
        "linear_cross_entropy": "nn.functional.cross_entropy(nn.functional.linear(x, weight, bias), target)",
        ".*_with_indices": "return_indices=True",
    },
    "tinygrad_lite.optim": {"swa_utils": _AVERAGE, "SparseAdam": "optim.Adam, since every gradient is a whole array"},
}


class _Missing:
    """An attribute that raises an error which says what to write instead.

    A `__getattr__` would do the same for every name, but slows down all other reads of attributes.
    """

    def __init__(self, name: str, instead: str) -> None:
        self._name, self._instead = name, instead

    def __get__(self, instance: Any, owner: type) -> Any:
        reason = f"a {owner.__name__} has no attribute {self._name!r}: write {self._instead}"
        # Without `name`, Python adds no "Did you mean" of its own behind the advice.
        raise AttributeError(reason, obj=owner if instance is None else instance)


class Elsewhere:
    """Says what to write in place of a method that PyTorch's tensors have."""

    __slots__ = ()

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in _METHODS]


class ModulesElsewhere:
    """Says what to write in place of a method, or of a setting by name, that PyTorch's modules have."""

    if not TYPE_CHECKING:  # a type checker would take it for a promise that any argument will do

        def __new__(cls, /, *args: Any, **settings: Any) -> Self:
            if cls.__init__ is object.__init__ and (args or settings):
                raise TypeError(f"{cls.__name__}() takes no arguments")
            for name in filter(_SETTINGS.__contains__, settings):
                known = signature(cls.__init__).parameters
                if name not in known and all(x.kind is not Parameter.VAR_KEYWORD for x in known.values()):
                    instead = _SETTINGS[name].format(settings[name])
                    raise UsageError(f"{cls.__name__} has no setting {name}={settings[name]!r}: write {instead}")
            return super().__new__(cls)

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in _MODULE_METHODS]


for _owner, _table in ((Elsewhere, _METHODS), (ModulesElsewhere, _MODULE_METHODS)):
    for _name, _instead in _table.items():
        setattr(_owner, _name, _Missing(_name, _instead))


def unknown_names(module: str, others: Callable[[str], str] = lambda name: "") -> Callable[[str], NoReturn]:
    """A `__getattr__` for one of our modules, which says what to write in place of a name that PyTorch's has.

    Args:
        others: what to write in place of names that are in no table; empty if it knows nothing.
    """

    def unknown(name: str) -> NoReturn:
        there = sys.modules[module]
        reason = f"module {module!r} has no attribute {name!r}"
        known = (instead for pattern, instead in _NAMES[module].items() if re.fullmatch(pattern, name))
        instead = "" if name.startswith("_") else next(known, "") or others(name)
        if instead:
            raise AttributeError(f"{reason}: write {instead}", obj=there)
        raise AttributeError(reason, name=name, obj=there)

    return unknown


def of_numpy(name: str) -> str:
    """What to write in place of a function of PyTorch that NumPy has, or that its tensors have as a method."""
    if callable(getattr(np, name, None)):
        return f"np.{name}"
    return _METHODS.get(name, "")


def unknown_argument(operation: str, name: str, value: Any, known: Collection[str]) -> str:
    """The message for an argument by name that an operation does not take."""
    there = ", ".join(f"{keyword}=" for keyword in sorted(known)) or "no keyword"
    if name in _ARGUMENTS:
        return f"{operation}: {name}={value!r} is written {_ARGUMENTS[name]}={value!r}, as in NumPy; it takes {there}"
    return f"{operation}: {name}={value!r} has no derivative here; it knows {there}"
