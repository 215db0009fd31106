"""Common subexpressions: the same computation on the same inputs is done once."""

from collections.abc import Hashable
from typing import Any

import numpy as np

from tinygrad_lite.compiler.passes.constant_folding import SMALL
from tinygrad_lite.compiler.program import Instruction, Program, Variable


def without_common_subexpressions(program: Program) -> Program:
    """Perform each operation on the same inputs only once."""
    known: dict[Hashable, Variable] = {}
    same = _equal_constants(program)
    calls = []
    for call in program.calls:
        call = call.with_variables(same)
        if not call.has_effect:
            first = known.setdefault(_key(call), call.result)
            if first is not call.result:
                same[call.result] = first
                continue
        calls.append(call)
    return program.with_calls(calls, same)


def _equal_constants(program: Program) -> dict[Variable, Variable]:
    """The small constants that are equal to earlier ones, with these."""
    known: dict[Hashable, Variable] = {}
    same: dict[Variable, Variable] = {}
    for x, array in program.constants.items():
        if np.size(array) <= SMALL:
            first = known.setdefault((type(array), identity(array), x.is_number), x)
            if first is not x:
                same[x] = first
    return same


def _key(call: Instruction) -> Hashable:
    params = identity(tuple(sorted(call.params.items()))) if call.params else ()
    inputs = tuple([x if type(x) is Variable else identity(x) for x in call.inputs])
    return call.op, inputs, params, call.result.dtype


def identity(x: Any) -> Hashable:
    """A key that is equal for identical values; 1 differs from 1.0, and 0.0 from -0.0."""
    if type(x) is Variable:
        return x
    if type(x) is int or type(x) is float:  # as nearly all others are
        return type(x), repr(x)
    if isinstance(x, (tuple, list)):
        return type(x), *map(identity, x)
    if isinstance(x, slice):
        return slice, identity((x.start, x.stop, x.step))
    if isinstance(x, np.ndarray):
        return x.shape, x.dtype, x.tobytes()
    if isinstance(x, (int, float, np.generic)):
        return type(x), repr(x)
    try:
        hash(x)
    except TypeError:
        return id(x)
    return x  # type: ignore[no-any-return]
