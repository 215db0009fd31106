"""`Module`: a model consists of its fields and a `forward` that reads as its formula."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MethodType
from typing import Any, Self

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine.conversions import constant
from tinygrad_lite.engine.op import Traced
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.errors import InputError, ShapeError, UsageError, warn
from tinygrad_lite.nn.hidden import holds_another

__all__ = ["Module", "functional_call"]


class Module(trees.Parametric):
    """A part of a model: fields that are tensors, arrays, modules, or lists, tuples and dicts of them, and a `forward`.

    The tensors that require a gradient are its parameters; all tensors and arrays among the fields are its state. A
    path such as `layers.0.weight` names each of them. A field of another kind that holds a tensor or a module (a set,
    an object, a closure) is not part of the state, and a `TinygradWarning` says so.

    To a transform, a module stands for the dict of its parameters: `tg.grad(f)(module)` maps the path of each parameter
    to its gradient. The transform passes f a module like this one, which holds the values that are differentiated.

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
    _substitutes: Mapping[int, bool] = {}  # in a stand-in, by identity: whether the value replaces a parameter

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """The module's formula, from its inputs to its result."""
        raise UsageError(f"{type(self).__name__} defines no forward(self, ...)")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        return self.forward(*inputs, **options)

    def fields(self) -> Mapping[str, Any]:
        """The module's fields by name: its attributes, unless a subclass says otherwise."""
        return vars(self)

    def named_modules(self) -> Iterator[tuple[str, "Module"]]:
        """The module itself, under the empty path, and all modules inside it, in the order of their fields."""
        seen: set[int] = set()
        for path, field, _ in _walk(self):
            if isinstance(field, Module) and id(field) not in seen:
                seen.add(id(field))
                yield path, field

    def modules(self) -> Iterator["Module"]:
        """The module itself and all modules inside it."""
        return (module for _, module in self.named_modules())

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """The path and the tensor of each parameter, once each; a tensor without a name gets its path as its name."""
        return self._parameters(self._looked_through())

    def parameters(self) -> Iterator[Tensor]:
        """Each parameter once, for an optimiser."""
        return (parameter for _, parameter in self.named_parameters())

    def _parameters(self, fields: "Iterable[_Field] | None" = None) -> Iterator[tuple[str, Tensor]]:
        seen: set[int] = set()
        for path, field, is_parameter in self._state(fields):
            if is_parameter and id(field) not in seen:
                seen.add(id(field))
                if isinstance(field, Tensor) and (field.name is None or path.endswith(f".{field.name}")):
                    field.name = path
                yield path, field

    def _state(self, fields: "Iterable[_Field] | None" = None) -> Iterator[tuple[str, Any, bool]]:
        """The path of each tensor and array among the fields, the field itself, and whether it is a parameter."""
        for path, field, substitutes in _walk(self) if fields is None else fields:
            if id(field) in substitutes:
                yield path, field, substitutes[id(field)]
            elif isinstance(field, Tensor) and field.is_leaf:  # a stored result is not part of the state
                yield path, field, field.requires_grad
            elif isinstance(field, np.ndarray) and field.dtype.kind in "biufc":
                yield path, field, False

    def _looked_through(self) -> "list[_Field]":
        """The fields; warns about tensors and modules that some of them hide."""
        fields = list(_walk(self))
        in_sight = {id(field) for _, field, _ in fields}
        for path, field, _ in fields:
            if holds_another(field, in_sight):
                warn(
                    f"{path} of {type(self).__name__} is a {type(field).__name__} that holds a tensor or module, which "
                    "is therefore no parameter and no state: make it a field of its own, or put it into a list, a "
                    "tuple or a dict"
                )
        return fields

    def state_dict(self) -> dict[str, Any]:
        """The path and the array of each tensor and array among the fields; the arrays are read-only and never change.

        For a module that a transform passes to a function, they are the values that are differentiated.

        Example:
            >>> import tinygrad_lite as tg
            >>> {path: array.shape for path, array in tg.nn.Linear(3, 2).state_dict().items()}
            {'weight': (2, 3), 'bias': (2,)}
        """
        fields = self._state(self._looked_through())
        return {path: field if id(field) in self._substitutes else _snapshot(field) for path, field, _ in fields}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Give each tensor and array among the fields the array of its path, cast to its dtype.

        Raises:
            InputError: if entries are missing or unknown; the module stays as it was.
            UsageError: if the dtype of a field cannot hold the values of its entry, or the values are being
                differentiated (see `functional_call`); the module stays as it was.
            ShapeError: if an entry has another shape; the module stays as it was.
        """
        fields = {path: field for path, field, _ in self._state(self._looked_through())}
        self._check_names(state, fields, fields)
        if any(id(field) in self._substitutes for field in fields.values()):
            raise UsageError(
                f"this {type(self).__name__} stands for another, with the parameters that are being differentiated: to "
                "run it on others, write tg.nn.functional_call(module, state, *inputs)"
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
            if isinstance(field, Tensor):
                field.replace(arrays[path][()])
        replaced = {id(field): arrays[path] for path, field in fields.items() if not isinstance(field, Tensor)}
        for module in self.modules() if replaced else ():
            vars(module).update({name: _exchanged(field, replaced) for name, field in vars(module).items()})

    def _check_names(self, state: Mapping[str, Any], fields: Mapping[str, Any], needed: Iterable[str]) -> None:
        if not isinstance(state, Mapping):
            kind = type(state).__name__
            raise UsageError(f"a state is a dict of values by name, as state_dict() returns it; got {kind}")
        missing = [path for path in needed if path not in state]
        unknown = [path for path in state if path not in fields]
        if missing or unknown:
            raise InputError(
                f"this state does not fit {type(self).__name__}: "
                + "; ".join(
                    f"{problem} {', '.join(paths)}"
                    for problem, paths in (("missing", missing), ("unknown", unknown))
                    if paths
                )
            )

    @contextmanager
    def substituted(self, state: Mapping[str, Any], *, strict: bool = False) -> Iterator[Self]:
        """A block with a module like this one that has other values for the tensors and arrays of these names.

        This module does not change, so several threads may do this at once; only other fields that the block assigns
        are assigned here as well.

        Raises:
            InputError: if a name is unknown, if a name is missing although `strict`, or if the state has two values for
                one tensor with two names.
        """
        fields = {path: (field, is_parameter) for path, field, is_parameter in self._state()}
        replaced = {id(field) for path, (field, _) in fields.items() if path in state}
        needed = [path for path, (field, _) in fields.items() if strict and id(field) not in replaced]
        self._check_names(state, fields, needed)
        stands_for: dict[int, Any] = {}
        substitutes = _Substitutes(self._substitutes)
        for path, value in state.items():
            field, is_parameter = fields[path]
            substitute = _substitute(field, value)
            if id(field) in stands_for and not _is_same(substitute, stands_for[id(field)]):
                raise InputError(f"{path} is one tensor under several names, and the state has two values for it")
            stands_for[id(field)] = substitute
            substitutes[id(substitute)] = is_parameter
        modules = list(self.modules())
        stand_ins = [object.__new__(type(module)) for module in modules]
        stands_for.update({id(module): stand_in for module, stand_in in zip(modules, stand_ins)})
        before = [dict(vars(module)) for module in modules]
        for fields_before, stand_in in zip(before, stand_ins):
            fields_before.pop("_substitutes", None)
            exchanged = {name: _exchanged(field, stands_for) for name, field in fields_before.items()}
            vars(stand_in).update(exchanged, _substitutes=substitutes)
        start = [dict(vars(stand_in)) for stand_in in stand_ins]
        try:
            yield stands_for[id(self)]
        finally:
            for module, stand_in, fields_before, fields_at_start in zip(modules, stand_ins, before, start):
                for name, field in vars(stand_in).items():
                    is_new = field is not fields_at_start.get(name, fields_at_start)
                    if is_new and fields_at_start.get(name) is fields_before.get(name):
                        vars(module)[name] = field

    def train(self, mode: bool = True) -> Self:
        """Switch this module and all modules inside it to training, in which dropout is active; return the module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Switch this module and all modules inside it to evaluation; return the module."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Set `.grad` of each parameter to None."""
        for _, parameter in self._parameters():
            parameter.grad = None

    def summary(self) -> str:
        """The call that makes such a module, in one line, for its `repr`."""
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


class _Substitutes(dict[int, bool]):
    """The substitutes in a stand-in, by identity, each with whether it replaces a parameter."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise UsageError(
            "a deep copy of a module that is being differentiated would lose the history of its parameters: write "
            "tg.nn.functional_call(module, state, *inputs) to run it on others"
        )


def functional_call(
    module: Module, state: Mapping[str, Any], *inputs: Any, strict: bool = False, **options: Any
) -> Any:
    """The result of a module with other parameters and buffers, as PyTorch's function of this name.

    Gradients flow to the values in the state, in either mode and to any order. A single tuple as `inputs` holds all
    inputs. The module does not change: when its forward writes into a buffer, it writes into the value in the state.

    Args:
        state: arrays or tensors by name, as in `state_dict()`; the module's own values serve for all other names.
        strict: whether the state must be complete.

    Raises:
        InputError: if a name is unknown, if a name is missing although `strict`, or if the state has two values for one
            tensor with two names.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> layer = tg.nn.Linear(2, 1, rng=0)
        >>> state = {"weight": np.array([[1.0, 2.0]]), "bias": np.zeros(1)}
        >>> tg.nn.functional_call(layer, state, np.array([3.0, 4.0]))
        tensor([11.])
        >>> tg.grad(lambda state: tg.nn.functional_call(layer, state, np.array([3.0, 4.0]))[0])(state)["weight"]
        array([[3., 4.]])
    """
    if not isinstance(module, Module):
        raise UsageError(f"functional_call takes a module first, got {type(module).__name__}")
    if len(inputs) == 1 and isinstance(inputs[0], tuple):
        inputs = inputs[0]
    with module.substituted(state, strict=strict) as stand_in:
        return stand_in(*inputs, **options)


def _snapshot(field: Any) -> Any:
    """The array of a tensor, or a read-only copy of an array, since others may write to the original."""
    if isinstance(field, Tensor):
        return field.numpy()
    array = field.copy()
    array.setflags(write=False)
    return array


def _in_the_form_of(path: str, field: Any, value: Any) -> Any:
    """A copy of an array in the dtype and the memory layout of a field."""
    array = np.asarray(constant(value))
    if not np.can_cast(array.dtype, field.dtype, "same_kind"):
        raise UsageError(f"{path} has dtype {array.dtype}, which would not keep its values as {field.dtype}")
    layout = field.numpy() if isinstance(field, Tensor) else field
    return np.array(array, field.dtype, order="F" if np.isfortran(layout) else "C")


def _substitute(field: Any, value: Any) -> Any:
    """The value to put in place of a field: a tensor in place of a tensor, unless the value is traced already."""
    if isinstance(value, Traced):
        return value
    return tensor(value) if isinstance(field, Traced) else np.asarray(value)


def _is_same(a: Any, b: Any) -> bool:
    return a is b or (_is_constant(a) and _is_constant(b) and np.array_equal(a, b))


def _is_constant(x: Any) -> bool:
    return not isinstance(x, Traced) or (isinstance(x, Tensor) and not x.requires_grad)


def _exchanged(field: Any, stands_for: Mapping[int, Any]) -> Any:
    """A field with some of the values inside it replaced, by identity; the field itself if there are none of them."""

    def exchanged(leaf: Any) -> Any:
        function = getattr(leaf, "__dict__", {}).get(
            "__wrapped__", leaf
        )  # also a compiled one, which knows the module itself alone
        if isinstance(function, MethodType) and id(function.__self__) in stands_for:
            return MethodType(function.__func__, stands_for[id(function.__self__)])
        return stands_for.get(id(function), leaf)

    if not isinstance(field, (list, tuple, dict)):
        return exchanged(field)
    leaves = trees.leaves(field)
    others = [exchanged(leaf) for leaf in leaves]
    if all(other is leaf for other, leaf in zip(others, leaves)):
        return field
    remaining = iter(others)
    return trees.map_leaves(lambda _: next(remaining), field)


_Field = tuple[str, Any, Mapping[int, bool]]


def _walk(module: Module) -> Iterator[_Field]:
    """The path of each value in a module's fields and containers, the value, and its module's substitutes.

    Parents come first. A module may refer back to the module that holds it.
    """
    ahead: list[tuple[str, Any, Mapping[int, bool], frozenset[int]]] = [("", module, module._substitutes, frozenset())]
    while ahead:
        path, field, substitutes, above = ahead.pop()
        is_container = isinstance(field, (Module, dict, list, tuple))
        if isinstance(field, Module):
            substitutes = field._substitutes
        if isinstance(field, Module) or not is_container:
            yield path, field, substitutes
        if is_container and id(field) not in above:
            inside = [(f"{path}.{name}" if path else str(name), part) for name, part in _fields(field).items()]
            above |= {id(field)}
            ahead += [(name, part, substitutes, above) for name, part in reversed(inside)]


def _fields(field: Any) -> Mapping[Any, Any]:
    if isinstance(field, Module):
        return field.fields()
    if isinstance(field, dict):
        return field
    return dict(enumerate(field)) if isinstance(field, (list, tuple)) else {}


def _rows(
    module: Module, name: str, first: str, rest: str, above: frozenset[int] = frozenset()
) -> Iterator[tuple[str, int]]:
    """The lines of a module's tree, each with a number of parameters."""
    above |= {id(module)}
    children = [(path, part) for path, part in _children(module.fields()) if id(part) not in above]
    summary = module.summary().removesuffix("()") if children else module.summary()
    yield f"{first}{name}{summary}", sum(parameter.size for _, parameter in module._parameters())
    for i, (path, part) in enumerate(children):
        last = i == len(children) - 1
        yield from _rows(part, f"{path}: ", rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "), above)


def _children(fields: Mapping[Any, Any]) -> Iterator[tuple[str, Module]]:
    """The modules directly inside, including those in containers."""
    for name, field in fields.items():
        if isinstance(field, Module):
            yield str(name), field
        else:
            for path, part in _children(_fields(field)):
                yield f"{name}.{path}", part
