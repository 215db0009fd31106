"""Algebra: operations that change nothing, undo each other, or have a shorter form.

Each rule keeps every bit of every result, including infinities and the sign of zero. So x + 0 stays, since it is not x
if x is -0.0. There are four exceptions: the sum of a broadcast array becomes a product, which is rounded once; BLAS
may add up the product with a column in another order; of two factors, one of them a power of two, the product is taken
first, which matters only at the ends of the range of numbers; and parts that fill an array are joined, not added to
zeros, so that their zeros keep their sign.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from functools import lru_cache
from math import frexp, prod
from typing import Any

import numpy as np

from tinygrad_lite.compiler.program import Instruction, Program, Variable
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.tensor import positive
from tinygrad_lite.foundation.sums import axes_of
from tinygrad_lite.ops import casting
from tinygrad_lite.ops.arithmetic import elementwise, reductions, selection
from tinygrad_lite.ops.linear import products
from tinygrad_lite.ops.shapes import indexing, joining, shaping


class Definitions:
    """The calls so far, by their results."""

    def __init__(self, program: Program) -> None:
        self._calls: dict[Variable, Instruction] = {}
        self._with_number: dict[tuple[Op, Variable], list[Instruction]] = {}
        self._uses = program.uses()

    def add(self, call: Instruction) -> None:
        self._calls[call.result] = call
        if len(call.inputs) == 2 and type(call.inputs[1]) is not Variable:
            self._with_number.setdefault((call.op, call.inputs[0]), []).append(call)

    def made(self, x: Any, op: Op) -> Instruction | None:
        """The call that made a variable, if it is a call of this operation."""
        call = self._calls.get(x) if type(x) is Variable else None
        return call if call is not None and call.op is op else None

    def result(self, op: Op, x: Any, number: float) -> Variable | None:
        """The result of an operation on a variable and a number, if the program computes it."""
        calls = self._with_number.get((op, x), [])
        return next((call.result for call in calls if _is(number)(call.inputs[1])), None)

    def hand_over_name(self, call: Instruction, x: Any) -> None:
        """Let a result that only this call reads, and that is called after its operation, have this call's name."""
        made = self._calls.get(x) if self.is_used_once(x) else None
        if made is not None and x.name == made.op.name and call.result.name != call.op.name:
            x.name, x.is_named = call.result.name, call.result.is_named

    def is_used_once(self, x: Variable) -> bool:
        """Whether a single call reads a variable."""
        return self._uses.get(x) == 1


Rule = Callable[[Instruction, Definitions], Any]
"""A rule returns the variable that equals the result, or simpler calls that make it, or None."""


def with_simpler_algebra(program: Program) -> Program:
    """Apply every rule wherever it applies."""
    definitions = Definitions(program)
    same: dict[Variable, Any] = {}
    calls = []
    for call in program.calls:
        call = call.with_variables(same)
        made: Any = None
        for rule in _rules(call.op):
            if (made := rule(call, definitions)) is not None:
                break
        made = call if made is None else made
        if isinstance(made, (Variable, int, float)):
            same[call.result] = made
            definitions.hand_over_name(call, made)
            continue
        for call_made in made if isinstance(made, list) else [made]:
            definitions.add(call_made)
            calls.append(call_made)
    return program.with_calls(calls, same)


@lru_cache(1000)
def _rules(op: Op) -> tuple[Rule, ...]:
    return (*_RULES.get(op, ()), *((_stretched_by_itself,) if op.derivatives else ()))


def _unchanged(x: Any, call: Instruction) -> Any:
    """An input that equals the result, if it also has the result's form."""
    y = call.result
    fits = isinstance(x, Variable) and (x.shape, x.dtype, x.is_number) == (y.shape, y.dtype, y.is_number)
    return x if fits else None


def _is(number: float, *, negative: bool = False) -> Callable[[Any], bool]:
    def is_it(x: Any) -> bool:
        if type(x) is Variable or x != number:
            return False
        return not np.iscomplexobj(x) and bool(np.signbit(x)) == negative

    return is_it


def _neutral(place: int, is_neutral: Callable[[Any], bool]) -> Rule:
    """The rule for x · 1, x - 0 and the like, with the neutral number in one position."""
    return lambda call, _: _unchanged(call.inputs[1 - place], call) if is_neutral(call.inputs[place]) else None


def _neutral_truth(truth: bool) -> Rule:
    """The rule for x & True and x | False, of truths."""

    def rule(call: Instruction, _: Definitions) -> Any:
        for x, other in (call.inputs, call.inputs[::-1]):
            if other is truth and isinstance(x, Variable) and x.dtype.kind == "b":
                return _unchanged(x, call)
        return None

    return rule


def _same_form(call: Instruction, _: Definitions) -> Any:
    """A cast, reshape or broadcast that changes nothing."""
    return _unchanged(call.inputs[0], call)


def _stretched_by_itself(call: Instruction, definitions: Definitions) -> Any:
    """An array need not be broadcast if an elementwise operation combines it with one of the result's shape."""
    for i, x in enumerate(call.inputs):
        if (broadcast := definitions.made(x, shaping.broadcast_to)) is None:
            continue
        source = broadcast.inputs[0]
        others = [y.shape for j, y in enumerate(call.inputs) if j != i and isinstance(y, Variable)]
        if isinstance(source, Variable) and not source.is_number and call.result.shape in others:
            return call.of(call.op, (*call.inputs[:i], source, *call.inputs[i + 1 :]), call.params)
    return None


def _small_power(call: Instruction, _: Definitions) -> Any:
    """x³ is x² · x, as a tensor computes it: NumPy's powers take a hundred times as long."""
    x, exponent = call.inputs
    is_array = isinstance(x, Variable) and x.shape and x.dtype.kind == "f"
    if not is_array or type(exponent) not in (int, float) or exponent not in range(3, 9):
        return None
    steps = [
        op for digit in f"{int(exponent):b}"[1:] for op in (elementwise.square, elementwise.multiply)[: 1 + int(digit)]
    ]
    calls, product = [], x
    for k, op in enumerate(steps, 1):
        y = call.result if k == len(steps) else replace(call.result, name=op.name, is_named=False)
        calls.append(replace(call, op=op, inputs=(product, x)[: op.arity], result=y))
        product = y
    return calls


def _two_factors(call: Instruction, definitions: Definitions) -> Any:
    """a · (b · x) is (a · b) · x if a or b is a power of two."""
    for i, a in enumerate(call.inputs):
        product = definitions.made(call.inputs[1 - i], elementwise.multiply)
        if isinstance(a, Variable) or product is None or not definitions.is_used_once(product.result):
            continue
        for j, b in enumerate(product.inputs):
            x = product.inputs[1 - j]
            is_exact = not isinstance(b, Variable) and any(map(_is_power_of_two, (a, b))) and _is_usual(a * b)
            if is_exact and _unchanged(x, product) is not None and x.dtype.kind == "f" and not x.is_number:
                return call.of(elementwise.multiply, (a * b, x))
    return None


def _is_power_of_two(number: Any) -> bool:
    return type(number) in (int, float) and abs(frexp(number)[0]) == 0.5


def _is_usual(number: Any) -> bool:
    return bool(1e-30 < abs(number) < 1e30)


def _swapped(call: Instruction, _: Definitions) -> Any:
    """Axes that change places are a transposition, which the rules know."""
    x = call.inputs[0]
    ndim = len(call.result.shape)
    order = list(range(ndim))
    a, b = (axis % ndim for axis in call.params.values())
    order[a], order[b] = order[b], order[a]
    axes = None if order == list(range(ndim))[::-1] else tuple(order)
    return call.of(shaping.transpose, (x,), {"axes": axes})


def _scattered_whole(call: Instruction, _: Definitions) -> Any:
    """An array that is put where an index takes all entries in their order, with or without new axes, is reshaped."""
    if len(call.inputs) > 1 or len(call.params["indices"]) > 1 or call.has_computed_params:
        return None
    (x,), (index,) = call.inputs, call.params["indices"]
    if not isinstance(x, Variable) or x.size != call.result.size or not indexing.keeps_order(index):
        return None
    return call.of(shaping.reshape, call.inputs, {"shape": call.result.shape})


def _whole(call: Instruction, _: Definitions) -> Any:
    """An index that takes all entries where they are, unless it makes a number of an array without axes."""
    is_whole = call.result.shape and not call.has_computed_params and indexing.keeps_order(call.params["index"])
    return _unchanged(call.inputs[0], call) if is_whole else None


def _joined(call: Instruction, _: Definitions) -> Any:
    """Adjacent parts that fill an array are joined."""
    shape = call.result.shape
    located = [(_along_one_axis(index, shape), part) for index, part in zip(call.params["indices"], call.inputs)]
    places = sorted([(*place, i) for i, (place, _) in enumerate(located) if place is not None])
    if len(places) < max(2, len(located)) or len({axis for axis, *_ in places}) != 1:
        return None
    end = 0
    parts = []
    for axis, start, stop, i in places:
        part = call.inputs[i]
        fits = isinstance(part, Variable) and part.dtype == call.result.dtype
        if start != end or not fits or part.shape != (*shape[:axis], stop - start, *shape[axis + 1 :]):
            return None
        parts.append(part)
        end = stop
    axis = places[0][0]
    return call.of(joining.concatenate, tuple(parts), {"axis": axis}) if end == shape[axis] else None


def _joined_as_they_are(call: Instruction, _: Definitions) -> Any:
    """Arrays that are joined in another dtype are cast before, since only NumPy's functions can do both."""
    if not call.params.keys() & {"dtype", "casting"} or not all(isinstance(x, Variable) for x in call.inputs):
        return None
    dtype, made = call.result.dtype, []
    parts = [x if x.dtype == dtype else Variable(x.shape, dtype, name="cast") for x in call.inputs]
    for x, part in zip(call.inputs, parts):
        if part is not x:
            made.append(replace(call, op=casting.cast, inputs=(x,), params={"dtype": dtype}, result=part))
    params = {name: x for name, x in call.params.items() if name not in ("dtype", "casting")}
    return [*made, replace(call, inputs=tuple(parts), params=params)]


def _along_one_axis(index: Any, shape: tuple[int, ...]) -> tuple[int, int, int] | None:
    """The axis along which an index chooses neighbours, with their start and stop; None for any other index."""
    parts = index if isinstance(index, tuple) else (index,)
    if len(parts) > len(shape) or not all(isinstance(part, slice) for part in parts):
        return None
    bounds = [part.indices(size) for part, size in zip(parts, shape)]
    chosen = [axis for axis, bound in enumerate(bounds) if bound != (0, shape[axis], 1)]
    if len(chosen) != 1 or bounds[chosen[0]][2] != 1:
        return None
    return chosen[0], *bounds[chosen[0]][:2]


def _undone(op: Op) -> Rule:
    """The rule for -(-x) and the like."""

    def rule(call: Instruction, definitions: Definitions) -> Any:
        inner = definitions.made(call.inputs[0], op)
        return _unchanged(inner.inputs[0], call) if inner else None

    return rule


def _transposed_twice(call: Instruction, definitions: Definitions) -> Any:
    inner = definitions.made(call.inputs[0], shaping.transpose)
    if inner is None:
        return None
    ndim = len(call.result.shape)
    first, second = (_axes(transposition, ndim) for transposition in (inner, call))
    both = tuple(first[axis] for axis in second)
    if both == tuple(range(ndim)):
        return inner.inputs[0]
    return call.of(call.op, (inner.inputs[0],), {"axes": both})


def _axes(call: Instruction, ndim: int) -> tuple[int, ...]:
    axes = call.params.get("axes")
    return tuple(range(ndim))[::-1] if axes is None else tuple(axis % ndim for axis in axes)


def _reshaped_twice(call: Instruction, definitions: Definitions) -> Any:
    if call.params.get("order", "C") != "C":
        return None
    for op in (shaping.reshape, shaping.ravel, shaping.expand_dims, shaping.squeeze):
        inner = definitions.made(call.inputs[0], op)
        if inner and inner.params.get("order", "C") == "C":
            return call.of(call.op, (inner.inputs[0],), call.params)
    return None


def _sum_of_broadcast(call: Instruction, definitions: Definitions) -> Any:
    """The sum of an array over the axes along which it was broadcast is a product."""
    inner = definitions.made(call.inputs[0], shaping.broadcast_to)
    if inner is None or set(call.params) - {"axis", "keepdims"} or not isinstance(inner.inputs[0], Variable):
        return None
    x, shape = inner.inputs[0], inner.result.shape
    padded = (1,) * (len(shape) - len(x.shape)) + x.shape
    axes = axes_of(call.params.get("axis"), len(shape))
    stretched = {i for i in range(len(shape)) if padded[i] != shape[i]}
    if {*axes} != stretched or (x.shape, x.dtype) != (call.result.shape, call.result.dtype):
        return None
    count = prod(shape[i] for i in stretched)
    return call.of(elementwise.multiply, (x, float(count) if x.dtype.kind == "f" else count))


def _subtraction(call: Instruction, definitions: Definitions) -> Any:
    """a + (-b) and a + (-c)·b are differences."""
    a, b = call.inputs
    inner = definitions.made(b, elementwise.negative)
    if inner:
        return call.of(elementwise.subtract, (a, inner.inputs[0])) if _unchanged(inner.inputs[0], inner) else None
    product = definitions.made(b, elementwise.multiply)
    negated = definitions.made(product.inputs[0], elementwise.negative) if product else None
    if product is None or negated is None or not definitions.is_used_once(b):
        return None
    return [
        replace(product, inputs=(negated.inputs[0], product.inputs[1]), result=(positive := copy(b))),
        call.of(elementwise.subtract, (a, positive)),
    ]


def _negated(call: Instruction, _: Definitions) -> Any:
    """-1 · x is -x."""
    for i, x in enumerate(call.inputs):
        if not isinstance(x, Variable) and x == -1 and _unchanged(call.inputs[1 - i], call) is not None:
            return call.of(elementwise.negative, (call.inputs[1 - i],))
    return None


def _negated_product(call: Instruction, definitions: Definitions) -> Any:
    """-((-a) · b) is a · b."""
    product = definitions.made(call.inputs[0], elementwise.multiply)
    negated = definitions.made(product.inputs[0], elementwise.negative) if product else None
    if product is None or negated is None or call.result.is_number or negated.result.is_number:
        return None
    return call.of(elementwise.multiply, (negated.inputs[0], product.inputs[1]))


def _is_new_axis(index: Any) -> bool:
    """Whether an index only adds an axis at the end."""
    return isinstance(index, tuple) and len(index) == 2 and index[0] is Ellipsis and index[1] is None


def _is_first(index: Any) -> bool:
    """Whether an index only takes the first entry along the last axis; False, which is equal to 0, does not."""
    return isinstance(index, tuple) and len(index) == 2 and index[0] is Ellipsis and repr(index[1]) == "0"


def _column(call: Instruction, definitions: Definitions) -> Any:
    """(a @ the column of v) without its axis of one is a @ v."""
    product = definitions.made(call.inputs[0], products.matmul)
    column = definitions.made(product.inputs[1], indexing.getitem) if product else None
    if product is None or column is None or not _is_first(call.params["index"]):
        return None
    vector, matrix = column.inputs[0], product.inputs[0]
    if len(vector.shape) != 1 or len(matrix.shape) != 2 or not _is_new_axis(column.params["index"]):
        return None
    return call.of(products.matmul, (matrix, vector), is_view=False)


def _positive_part(call: Instruction, definitions: Definitions) -> Any:
    """x > 0 where max(x, 0) > 0, so that x need not be kept."""
    x, zero = call.inputs
    part = definitions.result(elementwise.maximum, x, 0) if _is(0)(zero) else None
    return call.of(call.op, (part, zero)) if part is not None else None


_RULES: dict[Op, tuple[Rule, ...]] = {
    elementwise.multiply: (_neutral(0, _is(1)), _neutral(1, _is(1)), _negated, _two_factors),
    elementwise.divide: (_neutral(1, _is(1)),),
    elementwise.subtract: (_neutral(1, _is(0)),),
    elementwise.add: (_neutral(1, _is(0, negative=True)), _neutral(0, _is(0, negative=True)), _subtraction),
    elementwise.power: (_neutral(1, _is(1)), _small_power),
    elementwise.negative: (_undone(elementwise.negative), _negated_product),
    positive: (_same_form,),
    selection.stop_gradient: (_same_form,),
    casting.cast: (_same_form,),
    shaping.transpose: (_transposed_twice,),
    shaping.swapaxes: (_swapped,),
    indexing.scatter: (_scattered_whole, _joined),
    joining.concatenate: (_joined_as_they_are,),
    joining.stack: (_joined_as_they_are,),
    shaping.reshape: (_same_form, _reshaped_twice),
    indexing.getitem: (_whole, _column),
    shaping.ravel: (_same_form, _reshaped_twice),
    shaping.broadcast_to: (_same_form,),
    selection.greater: (_positive_part,),
    selection.bitwise_and: (_neutral_truth(True),),
    selection.bitwise_or: (_neutral_truth(False),),
    selection.logical_and: (_neutral_truth(True),),
    selection.logical_or: (_neutral_truth(False),),
    reductions.sum: (_sum_of_broadcast,),
}
