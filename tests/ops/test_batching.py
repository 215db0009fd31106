"""Every operation on a stack of examples: its results are those of one example after the other."""

import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import trees
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import operations
from tinygrad_lite.ops.batching import Argument, OneByOneError, at_once, rules
from tinygrad_lite.transforms.batched import Batched
from tinygrad_lite.transforms.levels import stacking

COUNT = 3
ABOUT_DTYPES = {"min_scalar_type", "array2string", "array_repr", "array_str"}  # whose answers are no numbers
OPERATIONS = [op for op in operations() if op.name not in ABOUT_DTYPES]

Call = tuple[list[Any], Sequence[bool], Mapping[str, Any]]


def drawn(shape: tuple[int, ...], low: float, rng: np.random.Generator) -> Any:
    """Numbers inside the domain, and positive definite matrices where the last axes are equally long."""
    x = rng.uniform(low + 0.2, low + 0.9, shape)
    return x + np.swapaxes(x, -1, -2) + 3 * np.eye(shape[-1]) if len(shape) > 1 and shape[-1] == shape[-2] else x


def calls(op: Op) -> Iterator[Call]:
    """The operation's examples, with each choice of arguments as stacks."""
    rng = np.random.default_rng(0)
    default: Any = [([shape] * (op.arity or 2), {}) for shape in ((2, 3), (3,), ())]
    for shapes, params in op.examples or default:
        starts = [max(low, 0.0) for low, _ in op.domain or [(0.0, 1.0)] * len(shapes)]
        for stacks in itertools.product((False, True), repeat=len(shapes)):
            if any(stacks) and (len(stacks) < 4 or all(stacks) or sum(stacks) == 1):
                arrays = [
                    (drawn((COUNT,) * is_stack + shape, low, rng))
                    if isinstance(shape, tuple)
                    else np.stack([shape] * COUNT)
                    if is_stack
                    else shape
                    for shape, low, is_stack in zip(shapes, starts, stacks)
                ]
                yield arrays, stacks, params


def examples(op: Op, call: Call) -> list[Any] | None:
    """The result for each example; None where NumPy does not take it."""
    arrays, stacks, params = call
    try:
        return [op(*[x[i] if is_stack else x for x, is_stack in zip(arrays, stacks)], **params) for i in range(COUNT)]
    except Exception:  # an error of NumPy, of any kind
        return None


@pytest.mark.parametrize("op", OPERATIONS, ids=str)
def test_an_operation_on_a_stack_has_the_results_of_one_example_after_the_other(op: Op) -> None:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for call in calls(op):
            if (expected := examples(op, call)) is None or len({np.shape(y) for y in trees.leaves(expected)}) > 1:
                continue
            arrays, stacks, params = call
            with stacking(COUNT) as level:
                found = op(*[Batched(x, level) if is_stack else x for x, is_stack in zip(arrays, stacks)], **params)
            for parts, y in zip(zip(*map(trees.leaves, expected), strict=True), trees.leaves(found), strict=True):
                stack = y.stack if isinstance(y, Batched) else np.stack([y] * COUNT)
                assert (stack.dtype, stack.shape) == (np.stack(parts).dtype, np.stack(parts).shape), call
                np.testing.assert_allclose(stack, np.stack(parts), rtol=1e-12, atol=1e-13, err_msg=str(call))


@pytest.mark.parametrize("op", [op for op in OPERATIONS if op.vjps], ids=str)
def test_the_derivatives_of_an_operation_work_on_stacks_in_both_modes(op: Op) -> None:
    def pushed(*xs: Any) -> Any:
        return tg.jvp(lambda *xs: op(*xs, **params), xs, tuple([np.cos(x) for x in xs]))[1]

    def pulled(*xs: Any) -> Any:
        return tg.grad(lambda *xs: np.sum(np.sin(op(*xs, **params))), tuple(range(len(xs))))(*xs)

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for arrays, stacks, params in calls(op):
            results = examples(op, (arrays, stacks, params))
            numbers = [*arrays, *(results or [None])]
            if not all(isinstance(x, (np.ndarray, np.floating)) and x.dtype.kind == "f" for x in numbers):
                continue
            axes = tuple([0 if is_stack else None for is_stack in stacks])
            for derivative in (pushed, pulled):
                parts = [
                    derivative(*[x[i] if is_stack else x for x, is_stack in zip(arrays, stacks)]) for i in range(COUNT)
                ]
                expected = [np.stack(part) for part in zip(*map(trees.leaves, parts))]
                for x, y in zip(trees.leaves(tg.vmap(derivative, axes)(*arrays)), expected, strict=True):
                    np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-11, err_msg=f"{derivative} {params}")


@pytest.mark.parametrize("op", rules._RULES, ids=str)
def test_each_rule_computes_a_call_at_once(op: Op) -> None:
    """So none is silently passed over, with the right results from the examples one by one."""
    for call in calls(op):
        if examples(op, call) is None:
            continue
        arrays, stacks, params = call
        try:
            at_once(op, [Argument(x, is_stack) for x, is_stack in zip(arrays, stacks)], params)
        except OneByOneError:
            continue
        return
    pytest.fail(f"{op} computes no call at once")
