"""Names that PyTorch has for what is written as in NumPy here, and what to write, for the messages of errors."""

from collections.abc import Collection
from typing import Any

_ARGUMENTS = {"dim": "axis", "keepdim": "keepdims"}
_CAST = "x.astype(np.float32), say"
_NO_DEVICES = "nothing, since there are no devices"
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
    "eq": "x == y",
    "mm": "x @ y",
    "bmm": "x @ y",
    "mv": "x @ y",
    "norm": "np.linalg.norm(x)",
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
        *("tril", "triu", "flip", "roll", "tile", "unique", "outer", "inner", "cross", "median", "quantile", "diff"),
    )
}


class _Missing:
    """A name that no tensor has, read as an attribute.

    A class with a `__getattr__`, which would hear of every such name, has its attributes read in a slower way.
    """

    def __init__(self, name: str, instead: str) -> None:
        self._name, self._instead = name, instead

    def __get__(self, tensor: Any, owner: type) -> Any:
        reason = f"a {owner.__name__} has no attribute {self._name!r}: write {self._instead}"
        # Without `name`, Python adds no "Did you mean" of its own behind the advice.
        raise AttributeError(reason, obj=owner if tensor is None else tensor)


class Elsewhere:
    """Says what to write in place of a method that PyTorch's tensors have."""

    __slots__ = ()

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if name not in _MISSING]


_MISSING = {name: _Missing(name, instead) for name, instead in _METHODS.items()}
for _name, _missing in _MISSING.items():
    setattr(Elsewhere, _name, _missing)


def unknown_argument(operation: str, name: str, value: Any, known: Collection[str]) -> str:
    """The message for an argument by name that an operation does not take."""
    there = ", ".join(f"{keyword}=" for keyword in sorted(known)) or "no keyword"
    if name in _ARGUMENTS:
        return f"{operation}: {name}={value!r} is written {_ARGUMENTS[name]}={value!r}, as in NumPy; it takes {there}"
    return f"{operation}: {name}={value!r} has no derivative here; it knows {there}"
