"""A module with other values in place of its parameters and buffers, for transforms and `functional_call`."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import Traced
from tinygrad_lite.engine.tensor import Tensor, tensor
from tinygrad_lite.errors import InputError, UsageError
from tinygrad_lite.nn.state import State
from tinygrad_lite.nn.structure import Field, exchanged, once, walk
from tinygrad_lite.trees import Opened

_OF_STAND_INS = ("_substitutes", "_original")


def original(module: Any) -> Any:
    """The module that a stand-in stands for, however many stand-ins lie between; anything else itself."""
    return vars(module).get("_original", module) if isinstance(module, State) else module


def opened(module: State) -> Opened:
    """What a transform does with a module."""
    walked = module._looked_through()
    parameters = module._parameters(walked)
    variables = {path: x for path, x in parameters if not isinstance(x, Tensor) or x.requires_grad}
    return Opened(variables, lambda state: substituted(module, state, walked=walked))


@contextmanager
def substituted(
    module: State, state: Mapping[str, Any], *, strict: bool = False, walked: Sequence[Field] = ()
) -> Iterator[Any]:
    """A block with a module like this one that has other values for the tensors and arrays of these names.

    The module does not change, so several threads may do this at once; only other fields that the block assigns
    are assigned here as well.

    Args:
        strict: whether the state must have all names.
        walked: the fields of the module, if they are known.

    Raises:
        InputError: if a name is unknown, if a name is missing although `strict`, or if the state has two values for
            one tensor with two names.
    """
    walked = walked or list(walk(module))
    fields = {path: (field, is_parameter) for path, field, is_parameter in module._state(walked)}
    replaced = {id(field) for path, (field, _) in fields.items() if path in state}
    needed = [path for path, (field, _) in fields.items() if strict and id(field) not in replaced]
    module._compared(state, fields, needed)
    stands_for: dict[int, Any] = {}
    substitutes = _Substitutes(module._substitutes)
    for path, value in state.items():
        field, is_parameter = fields[path]
        substitute = _substitute(field, value)
        if id(field) in stands_for and not _is_same(substitute, stands_for[id(field)]):
            raise InputError(f"{path} is one tensor under several names, and the state has two values for it")
        stands_for[id(field)] = substitute
        substitutes[id(substitute)] = is_parameter
    modules = [field for _, field in once((path, field) for path, field, _ in walked if isinstance(field, State))]
    stand_ins = [object.__new__(type(real)) for real in modules]
    stands_for.update({id(real): stand_in for real, stand_in in zip(modules, stand_ins)})
    before = [{name: field for name, field in vars(real).items() if name not in _OF_STAND_INS} for real in modules]
    for real, fields_before, stand_in in zip(modules, before, stand_ins):
        others = {name: exchanged(field, stands_for) for name, field in fields_before.items()}
        vars(stand_in).update(others, _substitutes=substitutes, _original=original(real))
    start = [dict(vars(stand_in)) for stand_in in stand_ins]
    try:
        yield stands_for[id(module)]
    finally:
        for real, stand_in, fields_before, fields_at_start in zip(modules, stand_ins, before, start):
            for name, field in vars(stand_in).items():
                is_new = field is not fields_at_start.get(name, fields_at_start)
                if is_new and fields_at_start.get(name) is fields_before.get(name):
                    setattr(real, name, field)


class _Substitutes(dict[int, bool]):
    """The substitutes in a stand-in, by identity, each with whether it replaces a parameter."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise UsageError(
            "a deep copy of a module that is being differentiated would lose the history of its parameters: write "
            "tg.nn.functional_call(module, state, *inputs) to run it on others"
        )


def _substitute(field: Any, value: Any) -> Any:
    """The value to put in place of a field: a tensor in place of a tensor, unless the value is traced already."""
    if isinstance(value, Traced):
        return value
    return tensor(value) if isinstance(field, Traced) else np.asarray(value)


def _is_same(a: Any, b: Any) -> bool:
    return a is b or (_is_constant(a) and _is_constant(b) and np.array_equal(a, b))


def _is_constant(x: Any) -> bool:
    return not isinstance(x, Traced) or (isinstance(x, Tensor) and not x.requires_grad)
