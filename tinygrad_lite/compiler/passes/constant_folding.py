"""Constant folding: results that do not depend on anything that changes between runs are computed once."""

import numpy as np

from tinygrad_lite.compiler.program import Instruction, Program, Variable, mapped
from tinygrad_lite.engine.op import Array
from tinygrad_lite.foundation.signatures import path_of
from tinygrad_lite.ops.arithmetic import selection
from tinygrad_lite.ops.shapes import filling

SMALL = 2**12  # the largest number of entries of a folded constant
OF_TRUTHS = frozenset({selection.bitwise_and, selection.bitwise_or, selection.logical_and, selection.logical_or})
_BY_FORM = frozenset({filling.zeros_like, filling.ones_like})  # they depend only on their argument's form


def with_folded_constants(program: Program) -> Program:
    """Turn such results into constants; large ones are still computed in each run."""
    constants = dict(program.constants)
    numbers: dict[Variable, object] = {}
    calls = []
    for call in program.calls:
        call = call.with_variables(numbers)
        if _is_constant(call, constants):
            value = _value(call, constants)
            if call.result.is_number:
                numbers[call.result] = value.item() if hasattr(value, "item") else value
            else:
                if isinstance(value, np.ndarray):
                    value.setflags(write=False)
                constants[call.result] = value
        else:
            if not constants.keys().isdisjoint(call.reads):
                call = call.of(call.op, tuple([_number(x, call, constants) for x in call.inputs]), call.params)
            calls.append(call)
    program.constants.update(constants)
    return program.with_calls(calls, numbers)


def _is_constant(call: Instruction, constants: dict[Variable, Array]) -> bool:
    depends_on_form = call.op in _BY_FORM
    if not depends_on_form and not constants.keys() >= {*call.reads}:  # as for nearly all
        return False
    if call.has_effect or call.result.size > SMALL:
        return False
    return depends_on_form or not any(_may_change(constants[x]) for x in call.reads)


def _may_change(array: Array) -> bool:
    """Whether somebody else may write to an array."""
    return isinstance(array, np.ndarray) and array.flags.writeable


def _value(call: Instruction, constants: dict[Variable, Array]) -> Array:
    if call.op in _BY_FORM:
        x = call.inputs[0]
        blank = np.zeros(x.shape, x.dtype)[()] if isinstance(x, Variable) else x
        return call.op.forward(blank, **call.params)[()]
    arrays = [constants.get(x, x) if isinstance(x, Variable) else x for x in call.inputs]
    params = mapped(lambda x: constants[x] if isinstance(x, Variable) else x, call.params)
    with np.errstate(all="ignore"):
        return call.op.forward(*arrays, **params)


def _number(x: object, call: Instruction, constants: dict[Variable, Array]) -> object:
    """A constant with equal entries as a plain number, if that changes neither dtype nor shape."""
    if not isinstance(x, Variable) or x not in constants:
        return x
    is_truth = x.dtype == bool and x.size == 1 and call.op in OF_TRUTHS
    if not is_truth and (x.dtype.kind != "f" or not call.op.derivatives):
        return x
    array = constants[x]
    if not x.size or _may_change(array) or not _is_uniform(array):
        return x
    if x.dtype.kind == "f" and x.dtype != np.float64 and not path_of(call.op.forward).startswith("np."):
        return x  # some SciPy ufuncs convert float32 to float64 beside a Python number
    others = [other for other in call.inputs if isinstance(other, Variable) and other is not x]
    typed = [other for other in others if other.dtype == x.dtype and not other.is_number and other not in constants]
    if not typed or np.broadcast_shapes(*(other.shape for other in others)) != call.result.shape:
        return x
    return array.flat[0].item() if x.shape else array.item()


def _is_uniform(array: Array) -> bool:
    if not any(array.strides):
        return True  # one entry, broadcast
    first = array.flat[0]  # and of the same sign, for zeros
    return bool(array.size <= SMALL and np.all((array == first) & (np.signbit(array) == np.signbit(first))))
