"""Anomaly detection: finds the first operation, forward or backward, that makes a NaN or an infinity.

In the forward pass, each result is checked at once. For the backward pass, each result gets a copy of its operation
whose rules check what they return; outside a `detect_anomaly` block, these rules do the same as the originals.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import ContextDecorator, ExitStack
from functools import partial, wraps
from typing import Any, Self

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.checking.auditing import anomaly_messages as messages
from tinygrad_lite.checking.auditing.anomaly_messages import CalledOperation, first, is_finite, is_real
from tinygrad_lite.engine.arguments import ForEach
from tinygrad_lite.engine.backward import fitted, whole
from tinygrad_lite.engine.op import Array, Deferred, Op, Rule
from tinygrad_lite.engine.tensor import Tensor, positive
from tinygrad_lite.errors import AnomalyError
from tinygrad_lite.readers.recording import Source, Step, calling_line, observing
from tinygrad_lite.transforms.batched import Batched
from tinygrad_lite.transforms.dual import innermost


def detect_anomaly() -> "_Detection":
    """A context manager or decorator under which the first operation that makes a NaN or an infinity raises an error.

    The error names the operation, the user's line that called it, the numbers that went in, and a remedy. The block
    watches this thread's operations on tensors, and the backward pass of its results, to any order.

    - Infinities in the input, such as masks of -∞, may pass through; a NaN that is made of them is an error.
    - A NaN in the input is an error at the first operation that computes with it; moving or replacing it is not.
    - In the backward pass, any number that is not finite is an error.

    NumPy's own warnings about such numbers are off in the block, since it raises errors instead.

    Raises:
        AnomalyError: in the block, as described.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> x = tg.tensor([4.0, 0.0], requires_grad=True)
        >>> with tg.detect_anomaly():
        ...     np.sqrt(x).sum().backward()
        Traceback (most recent call last):
            ...
        tinygrad_lite.errors.AnomalyError: sqrt made inf in the backward pass, in the gradient of input 0
          ...
          at [1]: sqrt(0.0) = 0.0, the upstream gradient was 1.0, and inf was handed on
          ...
    """
    return _Detection()


class _Detection(ContextDecorator):
    def __init__(self) -> None:
        self._entered: list[ExitStack] = []

    def _recreate_cm(self) -> "_Detection":
        return _Detection()  # a decorated function may run in several threads at once

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(np.errstate(all="ignore"))
            if not _state.depth:
                stack.enter_context(observing(_look_at))
            _state.depth += 1
            self._entered.append(stack.pop_all())
        return self

    def __exit__(self, *exception: Any) -> None:
        _state.depth -= 1
        self._entered.pop().close()


class _State(threading.local):
    depth = 0
    rule: tuple[CalledOperation, Source | None] | None = None
    """The call whose derivative is being computed, and the line that requested it."""


_state = _State()


def _look_at(step: Step) -> None:
    """Check the value of an operation, and arrange for its derivatives to be checked."""
    name, source = step.op.name, step.source
    if _state.rule is None:
        _check_value(step)
    elif source == _state.rule[1]:  # a derivative of ours computed it, on behalf of the line that called its operation
        name, source = f"{name}, in the derivative of {_state.rule[0].name},", _state.rule[0].source
    result = step.result
    if isinstance(result, Tensor) and result.op is step.op and step.op is not positive:
        call = CalledOperation(name, step.op, source, [getattr(x, "name", None) for x in step.inputs])
        result.op = _checked(call, [(np.shape(x), getattr(x, "dtype", None)) for x in step.arrays])


def _check_value(step: Step) -> None:
    value, op = step.value, step.op
    if not op.vjps or is_finite(value):
        return
    arrays = [x for x in step.arrays if is_real(x)]
    settings = [x for x in trees.leaves(dict(step.params)) if is_real(x)]
    nan_came = np.any([np.isnan(x).any() for x in settings])
    inf_came = np.any([np.isinf(x).any() for x in settings])
    if op.derivatives:
        nan_came = nan_came | np.any([np.broadcast_to(np.isnan(x), value.shape) for x in arrays], axis=0)
        inf_came = inf_came | np.any([np.broadcast_to(np.isinf(x), value.shape) for x in arrays], axis=0)
    else:
        nan_came = nan_came | np.any([np.isnan(x).any() for x in arrays])
        inf_came = inf_came | np.any([np.isinf(x).any() for x in arrays])
    made = (np.isnan(value) & ~nan_came) | (np.isinf(value) & ~nan_came & ~inf_came)
    if made.any():
        of_infinities = bool(np.broadcast_to(inf_came, value.shape)[first(made)])
        raise AnomalyError(messages.of_value(step, made, of_infinities))
    if np.isnan(value).any() and op.kind != "moving":
        raise AnomalyError(messages.of_input(step))


def _checked(call: CalledOperation, forms: Sequence[tuple[tuple[int, ...], Any]]) -> Op:
    """A copy of an operation whose rules check what they return, for inputs of these shapes and dtypes."""

    def checked_rule(i: int, rule: Rule) -> Rule:
        @wraps(rule)
        def checked(g: Array, y: Array, *x: Array, **params: Any) -> Array:
            return _run(call, i, forms[i], partial(rule, g, y, *x, **params), g, y, x)

        return checked

    def checked_common_rule(rule: Rule) -> Rule:
        @wraps(rule)
        def checked(i: int, g: Array, y: Array, x: Sequence[Array], **params: Any) -> Array:
            return _run(call, i, forms[i], partial(rule, i, g, y, x, **params), g, y, x)

        return checked

    rules = call.op.vjps
    copy: Op = object.__new__(type(call.op))
    vars(copy).update(vars(call.op))
    if isinstance(rules, ForEach):
        copy.vjps = ForEach(checked_common_rule(rules.rule))
    else:
        copy.vjps = [rule and checked_rule(i, rule) for i, rule in enumerate(rules)]
    return copy


def _run(
    call: CalledOperation,
    i: int,
    form: tuple[tuple[int, ...], Any],
    compute: Callable[[], Array],
    g: Array,
    y: Array,
    arrays: Sequence[Array],
) -> Array:
    """A rule's result for the i-th input, in that input's shape and dtype; checked if anomaly detection is on."""
    if not _state.depth:
        return compute()
    upstream = _numbers(whole(g))
    if not is_finite(upstream):
        raise AnomalyError(messages.of_arrival(call, upstream))
    before, _state.rule = _state.rule, (call, calling_line())
    try:
        returned = compute()
        contribution = fitted(returned, *form, call.op, i)
    finally:
        _state.rule = before
    for gradient in (returned, contribution):
        if not isinstance(gradient, Deferred) and not is_finite(_numbers(gradient)):
            values = [_numbers(x) for x in arrays]
            raise AnomalyError(messages.of_gradient(call, i, _numbers(gradient), upstream, _numbers(y), values))
    return contribution


def _numbers(x: Array) -> Array:
    """The array inside a value; that of all examples if the value stands for several."""
    x = innermost(x)
    return _numbers(x.stack) if isinstance(x, Batched) else x
