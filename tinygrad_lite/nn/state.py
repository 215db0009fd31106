"""What a module learns and remembers: its parameters and buffers, saved, loaded, converted and frozen."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np

from tinygrad_lite.engine.conversions import constant
from tinygrad_lite.engine.op import Traced
from tinygrad_lite.engine.tensor import Tensor, wrap
from tinygrad_lite.errors import InputError, ShapeError, UsageError, warn
from tinygrad_lite.foundation.foreign import as_numpy
from tinygrad_lite.nn.hidden import OPEN, foreign_state, holds_another
from tinygrad_lite.nn.structure import Field, Structure, exchanged, once, walk


class LoadReport(NamedTuple):
    """What `load_state_dict(state, strict=False)` did not load.

    Attributes:
        missing_keys: the paths in the module that the state does not have; they keep their values.
        unexpected_keys: the names in the state that the module does not have.
    """

    missing_keys: list[str]
    unexpected_keys: list[str]


class State(Structure):
    """An object whose fields are parameters, buffers, and others of its kind."""

    _transient: frozenset[str] = frozenset()

    def __setattr__(self, name: str, value: Any) -> None:
        before = vars(self).get(name)
        if type(before) is Tensor and value is not before and is_a_parameter(before):
            _check_replaces(f"{name} of {type(self).__name__}", value)
        object.__setattr__(self, name, value)

    def in_order(self) -> Sequence[tuple[str, Any]]:
        """The fields as PyTorch orders them: parameters, then buffers, then what may hold more of them."""
        items = super().in_order()
        if not items:
            return items
        parameters: list[tuple[str, Any]] = []
        buffers: list[tuple[str, Any]] = []
        others: list[tuple[str, Any]] = []
        substitutes = self._substitutes
        for item in items:
            field = item[1]
            if substitutes and id(field) in substitutes:
                (parameters if substitutes[id(field)] else buffers).append(item)
            elif type(field) is Tensor:
                (parameters if is_parameter(field) else buffers).append(item)
            else:
                (buffers if isinstance(field, np.ndarray) else others).append(item)
        return parameters + buffers + others

    def named_parameters(self, *, recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """The path and the tensor of each parameter, once each; a tensor without a name gets its path as its name.

        Args:
            recurse: whether those of the modules inside count, too.
        """
        return self._parameters(self._looked_through(recurse))

    def parameters(self, recurse: bool = True) -> Iterator[Tensor]:
        """Each parameter once, for an optimiser."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, *, recurse: bool = True) -> Iterator[tuple[str, Any]]:
        """The path and the value of each tensor and array in the state that is not a parameter, once each."""
        seen: set[int] = set()
        for path, field, is_parameter in self._state(walk(self, recurse)):
            if not is_parameter and id(field) not in seen:
                seen.add(id(field))
                yield path, field

    def buffers(self, recurse: bool = True) -> Iterator[Any]:
        """Each buffer once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def named_generators(self) -> Iterator[tuple[str, np.random.Generator]]:
        """The path and the generator of each field that layers such as `Dropout` draw from, once each.

        They are beside the state dict, which holds arrays alone, and `tg.save` keeps the state of both.

        Example:
            >>> import tinygrad_lite as tg
            >>> model = tg.nn.Sequential(tg.nn.Linear(3, 2), tg.nn.Dropout(0.5, rng=0))
            >>> [path for path, _ in model.named_generators()]
            ['1._rng']
        """
        return once((path, field) for path, field, _ in walk(self) if isinstance(field, np.random.Generator))

    def get_parameter(self, target: str) -> Tensor:
        """The parameter at a path such as `layers.0.weight`.

        Raises:
            InputError: if there is none; the message names those there are.
        """
        there = {path: field for path, field, is_parameter in self._state() if is_parameter}
        return self._at(target, "parameter", there)  # type: ignore[no-any-return]

    def get_buffer(self, target: str) -> Any:
        """The buffer at a path such as `layers.0.running_mean`.

        Raises:
            InputError: if there is none; the message names those there are.
        """
        return self._at(
            target, "buffer", {path: field for path, field, is_parameter in self._state() if not is_parameter}
        )

    def register_parameter(self, name: str, param: Tensor | None) -> None:
        """Make a tensor that requires a gradient a field, as `self.name = param` does.

        Raises:
            UsageError: if it is not a parameter, or another kind of attribute has that name.
        """
        if param is not None and not is_a_parameter(param):
            raise UsageError(f"{name} is not a parameter: make one with tg.nn.Parameter(data); got {param!r}")
        self._register(name, param)

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Make a tensor without a gradient, or an array, a field, as `self.name = tensor` does.

        Args:
            persistent: whether the state dict has it.

        Raises:
            UsageError: if it is none, or another kind of attribute has that name.

        Example:
            >>> import numpy as np, tinygrad_lite as tg
            >>> module = tg.nn.Module()
            >>> module.register_buffer("mask", np.tri(3), persistent=False)
            >>> list(module.state_dict()), [name for name, _ in module.named_buffers()]
            ([], ['mask'])
        """
        if isinstance(tensor, (int, float, np.generic)):
            tensor = wrap(np.asarray(tensor)[()])
        if not (tensor is None or (isinstance(tensor, Tensor) and not tensor.requires_grad) or _is_array(tensor)):
            raise UsageError(
                f"{name} is not a buffer, which is an array, or a tensor without a gradient such as tensor.detach(); "
                f"got {tensor!r}"
            )
        self._register(name, tensor)
        if persistent == (name in self._transient):  # a compiled forward may register the same buffer in each call
            self._transient ^= {name}

    def _parameters(self, fields: "Iterable[Field] | None" = None) -> Iterator[tuple[str, Tensor]]:
        seen: set[int] = set()
        for path, field, is_parameter in self._state(fields):
            if is_parameter and id(field) not in seen:
                seen.add(id(field))
                if isinstance(field, Tensor) and (field.name is None or path.endswith(f".{field.name}")):
                    field.name = path
                yield path, field

    def _state(self, fields: "Iterable[Field] | None" = None) -> Iterator[tuple[str, Any, bool]]:
        """The path of each tensor and array among the fields, the field itself, and whether it is a parameter."""
        for path, field, substitutes in walk(self) if fields is None else fields:
            if id(field) in substitutes:
                yield path, field, substitutes[id(field)]
            elif isinstance(field, Tensor) and field.is_leaf:  # a stored result is not part of the state
                yield path, field, is_parameter(field)
            elif _is_array(field):
                yield path, field, False

    def _saved(self) -> dict[str, Any]:
        """The tensors and arrays among the fields that belong to the state dict, by path."""
        fields = self._looked_through()
        modules = [(path, field) for path, field, _ in fields if isinstance(field, State) and field._transient]
        transient = {f"{path}.{name}" if path else name for path, module in modules for name in module._transient}
        inside = tuple(f"{path}." for path in transient)  # arrays of a tuple in such a field
        return {
            path: field
            for path, field, is_parameter in self._state(fields)
            if path not in transient and (is_parameter or not path.startswith(inside))
        }

    def _looked_through(self, recurse: bool = True) -> list[Field]:
        """The fields; warns about tensors and modules that some of them hide, and about those of other libraries."""
        fields = list(walk(self, recurse))
        in_sight = {id(field) for _, field, _ in fields}
        for path, field, _ in fields:
            if isinstance(field, OPEN):
                continue
            if kind := foreign_state(field):
                warn(
                    f"{path} of {type(self).__name__} is {kind}, which is neither a parameter nor state here: write it "
                    "with tinygrad_lite.nn and NumPy's arrays, and load its state dict"
                )
            elif holds_another(field, in_sight):
                warn(
                    f"{path} of {type(self).__name__}, of type {type(field).__name__}, holds a tensor or module, which "
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
        return {
            path: field if id(field) in self._substitutes else _snapshot(field) for path, field in self._saved().items()
        }

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> LoadReport:
        """Give each tensor and array among the fields the array of its path, cast to its dtype.

        Args:
            strict: whether missing and unknown entries are errors; otherwise the result names them.

        Raises:
            InputError: if entries are missing or unknown although `strict`; the module stays as it was.
            UsageError: if the dtype of a field cannot hold the values of its entry, or the values are being
                differentiated (see `functional_call`); the module stays as it was.
            ShapeError: if an entry has another shape; the module stays as it was.
        """
        fields = self._saved()
        report = self._compared(state_dict, fields, fields, strict)
        self._check_own()
        loaded = {path: field for path, field in fields.items() if path in state_dict}
        arrays = {path: _in_the_form_of(path, field, state_dict[path]) for path, field in loaded.items()}
        misfits = [
            f"{path} has shape {arrays[path].shape} instead of {field.shape}"
            for path, field in loaded.items()
            if arrays[path].shape != field.shape
        ]
        if misfits:
            raise ShapeError(
                f"this state does not fit {type(self).__name__}: {_listed(misfits, '; ')}: make the model with the "
                "sizes that it was saved with"
            )
        self._replace([(field, arrays[path][()]) for path, field in loaded.items()])
        return report

    def _compared(
        self, state: Mapping[str, Any], fields: Mapping[str, Any], needed: Iterable[str], strict: bool = True
    ) -> LoadReport:
        """What a state lacks, and what it has in excess."""
        if not isinstance(state, Mapping):
            kind = type(state).__name__
            text = f"a state is a dict of values by name, as state_dict() returns it; got {kind}"
            if isinstance(state, (str, os.PathLike)):
                text += "; of a file: tg.load(path, model=model), or model.load_state_dict(tg.from_torch(path))"
            raise UsageError(text)
        missing = [path for path in needed if path not in state]
        unknown = [path for path in state if path not in fields]
        if strict and (missing or unknown):
            raise InputError(
                f"this state does not fit {type(self).__name__}: "
                + "; ".join(
                    f"{problem} {_listed(paths)}"
                    for problem, paths in (("missing", missing), ("unknown", sorted(unknown, key=_in_order)))
                    if paths
                )
                + (
                    self._kept_in_fields({*missing, *unknown})
                    or _elsewhere_in(state, {path: fields[path] for path in needed})
                )
            )
        return LoadReport(missing, unknown)

    def _kept_in_fields(self, paths: Collection[str]) -> str:
        """What to write if one of these paths leads to an array that a module of the user's keeps for itself.

        PyTorch leaves such arrays out of a state, and a module that keeps a mask has none before its first call.
        """
        owners = {path: type(field) for path, field, _ in walk(self) if isinstance(field, Structure)}
        for path, field, _ in walk(self):
            is_kept = field is None or _is_array(field) or (isinstance(field, Tensor) and not is_parameter(field))
            if path not in paths or not is_kept:
                continue
            above = path.rpartition(".")[0]
            while above not in owners:
                above = above.rpartition(".")[0]
            if not owners[above].__module__.startswith(__package__.partition(".")[0]):
                return (
                    f"; {path} is an array in a field, and part of the state here: load_state_dict(state, strict="
                    "False) leaves it as it is, and register_buffer(name, None, persistent=False) keeps it out"
                )
        return ""

    def _check_own(self) -> None:
        """Raise if this module stands for another, whose values are being differentiated."""
        if any(id(field) in self._substitutes for _, field, _ in self._state()):
            raise UsageError(
                f"this {type(self).__name__} stands for another, with the parameters that are being differentiated: to "
                "run it on others, write tg.nn.functional_call(module, state, *inputs)"
            )

    def _replace(self, values: Iterable[tuple[Any, Any]]) -> None:
        """Give tensors other arrays, and put other arrays in place of arrays."""
        others: dict[int, Any] = {}
        for field, array in values:
            if isinstance(field, Tensor):
                field.replace(array)
            else:
                others[id(field)] = np.asarray(array)
        for module in self.modules() if others else ():
            vars(module).update({name: exchanged(field, others) for name, field in vars(module).items()})

    def to(self, dtype: Any) -> Self:
        """Convert parameters, their gradients and buffers of floating-point numbers to a dtype; return the module.

        The parameters stay the same tensors, so an optimiser keeps them.

        Raises:
            UsageError: if the dtype is not one of floating-point numbers.

        Example:
            >>> import numpy as np, tinygrad_lite as tg
            >>> tg.nn.Linear(3, 2).to(np.float32).weight.dtype
            dtype('float32')
        """
        try:
            is_real = np.dtype(dtype).kind == "f"
        except TypeError:
            is_real = False
        if not is_real:
            raise UsageError(f"to() takes a floating-point dtype, such as np.float32, and no device; got {dtype!r}")
        self._check_own()
        fields = [field for _, field, _ in self._state() if field.dtype.kind == "f"]
        self._replace([(field, _array(field).astype(dtype)) for field in fields])
        for field in fields:
            if isinstance(field, Tensor) and field.grad is not None:
                field.grad = field.grad.detach()  # in the dtype of the tensor
        return self

    def double(self) -> Self:
        """Convert to float64, see `to`."""
        return self.to(np.float64)

    def float(self) -> Self:
        """Convert to float32, see `to`."""
        return self.to(np.float32)

    def half(self) -> Self:
        """Convert to float16, see `to`."""
        return self.to(np.float16)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Freeze all parameters (False), or unfreeze them (True); return the module."""
        for parameter in list(self.parameters()):
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set `.grad` of each parameter to None, or to zeros."""
        for _, parameter, is_parameter in self._state():
            if is_parameter:
                absent = set_to_none or parameter.grad is None
                parameter.grad = None if absent else np.zeros_like(parameter.grad.data)


def is_parameter(field: Tensor) -> bool:
    """Whether a leaf requires a gradient, or did until it was frozen."""
    return field._requires_grad is not False


def is_a_parameter(value: Any) -> bool:
    """Whether a value is a parameter."""
    return type(value) is Tensor and value.op is None and is_parameter(value)


def _check_replaces(name: str, value: Any) -> None:
    """Raise if a value that replaces a parameter is neither a parameter nor None, and so would not be trained."""
    if value is not None and not is_a_parameter(value):
        raise UsageError(
            f"{name} is a parameter, and {type(value).__name__} would not be trained in its place: to give it other "
            "values, assign to its .data; to put another parameter there, assign tg.nn.Parameter(values); to compute "
            "with other values, write tg.nn.functional_call(module, state, *inputs)"
        )


def _is_array(field: Any) -> bool:
    return isinstance(field, np.ndarray) and field.dtype.kind in "biufc"


def _array(field: Any) -> Any:
    return field.data if isinstance(field, Tensor) else field


def _snapshot(field: Any) -> Any:
    """The array of a tensor, or a read-only copy of an array, since others may write to the original."""
    if isinstance(field, Tensor):
        return field.numpy()
    array = field.copy()
    array.setflags(write=False)
    return array


def _in_the_form_of(path: str, field: Any, value: Any) -> Any:
    """A copy of an array in the dtype and the memory layout of a field."""
    value = constant(value)
    array = value if isinstance(value, Traced) else as_numpy(value)
    if not np.can_cast(array.dtype, field.dtype, "same_kind"):
        raise UsageError(
            f"{path} has dtype {array.dtype}, which would not keep its values as {field.dtype}: cast it on purpose, "
            f"value.astype(np.{field.dtype})"
        )
    if array is value and isinstance(value, Traced):  # of a function that is being compiled
        return array.astype(field.dtype)
    layout = field.numpy() if isinstance(field, Tensor) else field
    return np.array(array, field.dtype, order="F" if np.isfortran(layout) else "C")


_LISTED = 6
"""The number of names that a message lists."""


def _listed(names: Sequence[Any], separator: str = ", ") -> str:
    more = f"{separator}and {len(names) - _LISTED} more" if len(names) > _LISTED + 1 else ""
    return separator.join(map(str, names[:_LISTED] if more else names)) + more


def _in_order(name: Any) -> list[tuple[int, str]]:
    """The key by which names are sorted: their layers, so that layer 10 comes after layer 2."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in str(name).split(".")[:-1]]


def _elsewhere_in(state: Mapping[Any, Any], needed: Mapping[str, Any]) -> str:
    """What to load instead, if a state has the needed entries under other names or in one of its entries."""
    inside = {f"state[{name!r}]": entry for name, entry in state.items() if isinstance(entry, Mapping)}
    for place, entry in inside.items():
        if entry.keys() >= needed.keys():
            return f": the state itself is {place}"
    for place, entry in {"state": state, **inside}.items():
        if names := _renamed(_shapes(entry), _shapes(needed)):
            return f": load {{{names[0]}: x for name, x in {place}.items(){names[1]}}}"
    return ""


def _shapes(state: Mapping[str, Any]) -> dict[str, Any]:
    return {str(path): getattr(x, "shape", None) for path, x in state.items()}


def _renamed(names: Mapping[str, Any], needed: Mapping[str, Any]) -> tuple[str, str] | None:
    """How to turn names into the needed ones, if there is one way: an expression of `name`, and a condition for it.

    Args:
        names, needed: the shapes under the names; None for a number or a list, which has none.
    """
    if not needed:
        return None
    first = next(iter(needed))
    parts = first.split(".")
    ways: dict[frozenset[str], tuple[str, str]] = {}  # by the names that would be taken
    for tail in (".".join(parts[i:]) for i in range(len(parts))):
        new = first.removesuffix(tail)
        for former in {name.removesuffix(tail) for name in names if name.endswith(tail)} - {new}:
            taken = [name for name in names if name.startswith(former)]
            begins = not former or former.endswith(".")
            if begins and {new + name.removeprefix(former) for name in taken} == needed.keys():
                ways.setdefault(frozenset(taken), (former, new))
    if len(ways) != 1:
        return None
    taken_names, (former, new) = next(iter(ways.items()))
    if any(names[name] not in (None, needed[new + name.removeprefix(former)]) for name in taken_names):
        return None
    shorter = f"name.removeprefix({former!r})" if former else "name"
    condition = f" if name.startswith({former!r})" if len(taken_names) < len(names) else ""
    return f"{new!r} + {shorter}" if new else shorter, condition
