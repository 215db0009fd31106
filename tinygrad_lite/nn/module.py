"""`Module`: a model is its fields, and a `forward` that reads as its formula."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np

from tinygrad_lite.engine.conversions import constant
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import InputError, ShapeError, UsageError


class Module:
    """A part of a model: fields that are tensors, modules, or lists, tuples and dicts of them, and a `forward`.

    Fields that require a gradient are its parameters; all tensors among the fields are its state. A path such as
    `layers.0.weight` names each of them.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> class Scale(tg.nn.Module):
        ...     def __init__(self):
        ...         self.factor = tg.tensor(2.0, requires_grad=True)
        ...     def forward(self, x):
        ...         return self.factor * x
        >>> Scale()(np.array([1.0, 2.0]))
        tensor([2., 4.], op=multiply)
    """

    training: bool = True

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """The module's formula, from its inputs to its result."""
        raise UsageError(f"{type(self).__name__} defines no forward(self, ...)")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        return self.forward(*inputs, **options)

    def fields(self) -> Mapping[str, Any]:
        """What the module is made of, by name: its attributes, unless a subclass knows better."""
        return vars(self)

    def named_modules(self) -> Iterator[tuple[str, "Module"]]:
        """The module itself, under the empty path, and each one within, in the order of their fields."""
        seen: set[Module] = set()
        for path, field in _walk("", self, frozenset()):
            if isinstance(field, Module) and field not in seen:
                seen.add(field)
                yield path, field

    def modules(self) -> Iterator["Module"]:
        """The module itself and each one within."""
        return (module for _, module in self.named_modules())

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """The path and the tensor of each parameter, once each; a tensor without a name is given its path."""
        seen: set[Tensor] = set()
        for path, field in self._tensors():
            if field.requires_grad and field not in seen:
                seen.add(field)
                if field.name is None or path.endswith(f".{field.name}"):
                    field.name = path
                yield path, field

    def parameters(self) -> Iterator[Tensor]:
        """Each parameter once, for an optimiser."""
        return (parameter for _, parameter in self.named_parameters())

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        return ((path, field) for path, field in _walk("", self, frozenset()) if isinstance(field, Tensor))

    def state_dict(self) -> dict[str, Any]:
        """The path and the array of each tensor among the fields; the arrays are read-only and stay as they are.

        Example:
            >>> import tinygrad_lite as tg
            >>> {path: array.shape for path, array in tg.nn.Linear(3, 2).state_dict().items()}
            {'weight': (2, 3), 'bias': (2,)}
        """
        return {path: field.numpy() for path, field in self._tensors()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Give each tensor among the fields the array of its path, cast to its dtype.

        Raises:
            InputError: if entries are missing or unknown; the module stays as it was.
            UsageError: if an entry is of a dtype that would lose its values; the module stays as it was.
            ShapeError: if an entry has another shape; the module stays as it was.
        """
        fields = dict(self._tensors())
        missing = [path for path in fields if path not in state]
        unknown = [path for path in state if path not in fields]
        if missing or unknown:
            raise InputError(
                f"this state does not fit {type(self).__name__}: "
                + "; ".join(
                    f"{what} {', '.join(paths)}"
                    for what, paths in (("missing", missing), ("unknown", unknown))
                    if paths
                )
            )
        arrays = {path: _in_the_form_of(path, field, state[path]) for path, field in fields.items()}
        misfits = [
            f"{path} has shape {arrays[path].shape} instead of {field.shape}"
            for path, field in fields.items()
            if arrays[path].shape != field.shape
        ]
        if misfits:
            raise ShapeError(f"this state does not fit {type(self).__name__}: {'; '.join(misfits)}")
        for path, field in fields.items():
            field.replace(arrays[path][()])

    def train(self, mode: bool = True) -> Self:
        """Switch this module and all within to training, where dropout drops; returns the module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch this module and all within to evaluation; returns the module."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Set `.grad` of each parameter to None."""
        for parameter in self.parameters():
            parameter.grad = None

    def summary(self) -> str:
        """How the module was made, in one line; for its `repr`."""
        settings = {
            name: field
            for name, field in self.fields().items()
            if isinstance(field, (bool, int, float, str)) and name != "training" and not name.startswith("_")
        }
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in settings.items())})"

    def __repr__(self) -> str:
        rows = list(_rows(self, "", "", ""))
        width = max(len(text) for text, _ in rows)
        digits = len(f"{rows[0][1]:,}")
        lines = [f"{text:<{width}}    {count:>{digits},}" if count else text for text, count in rows]
        return "\n".join([f"{lines[0]} parameters" if rows[0][1] else lines[0], *lines[1:]])


def _in_the_form_of(path: str, field: Tensor, value: Any) -> Any:
    """A copy of an array in the dtype and the memory layout of a field."""
    array = np.asarray(constant(value))
    if not np.can_cast(array.dtype, field.dtype, "same_kind"):
        raise UsageError(f"{path} has dtype {array.dtype}, which would not keep its values as {field.dtype}")
    return np.array(array, field.dtype, order="F" if np.isfortran(field.numpy()) else "C")


def _walk(path: str, field: Any, above: frozenset[int]) -> Iterator[tuple[str, Any]]:
    """Every tensor and module in a field, with its path, parents first."""
    if isinstance(field, Module) or (isinstance(field, Tensor) and field.is_leaf):  # a kept result is no state
        yield path, field
    inside = _fields(field)
    if inside and id(field) not in above:  # a module may refer back to the one that holds it
        for name, part in inside.items():
            yield from _walk(f"{path}.{name}" if path else str(name), part, above | {id(field)})


def _fields(field: Any) -> Mapping[Any, Any]:
    if isinstance(field, Module):
        return field.fields()
    if isinstance(field, Mapping):
        return field
    return dict(enumerate(field)) if isinstance(field, (list, tuple)) else {}


def _rows(
    module: Module, name: str, first: str, rest: str, above: frozenset[int] = frozenset()
) -> Iterator[tuple[str, int]]:
    """The lines of a module's tree, each with its number of parameters."""
    above |= {id(module)}
    children = [(path, part) for path, part in _children(module.fields()) if id(part) not in above]
    summary = module.summary().removesuffix("()") if children else module.summary()
    yield f"{first}{name}{summary}", sum(parameter.size for parameter in module.parameters())
    for i, (path, part) in enumerate(children):
        last = i == len(children) - 1
        yield from _rows(part, f"{path}: ", rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "), above)


def _children(fields: Mapping[Any, Any]) -> Iterator[tuple[str, Module]]:
    """The modules right below, also those in containers."""
    for name, field in fields.items():
        if isinstance(field, Module):
            yield str(name), field
        else:
            for path, part in _children(_fields(field)):
                yield f"{name}.{path}", part
