"""Gradients with respect to tensors: their numbers at once, their history only when somebody asks for it.

Such a gradient can be differentiated again, but few programs do so, and rules that build a graph take several times as
long as rules on arrays. So the pass runs on arrays. If a later history leads through one of its gradients, it
runs once more, on tensors.
"""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from threading import Lock
from typing import Any
from weakref import ref

import numpy as np

from tinygrad_lite.engine import grad_mode
from tinygrad_lite.engine.backward import history
from tinygrad_lite.engine.op import NO_PARAMS, Array, Op
from tinygrad_lite.engine.tensor import Tensor, next_index, positive, recorded
from tinygrad_lite.transforms.batched import array_in, in_stacks_of
from tinygrad_lite.transforms.custom import RuleByHand
from tinygrad_lite.transforms.dual import has_history, innermost
from tinygrad_lite.transforms.levels import on_stacks, running_stacks
from tinygrad_lite.transforms.runs import Run

at_once: ContextVar[bool] = ContextVar("at_once", default=False)
"""Whether to make histories at once, because they will surely be needed."""


def gradient(run: Run, gradients: Sequence[Array]) -> Any:
    """Σ gᵀ ∂value/∂x over the values of a run, in the containers of the chosen arguments."""
    if _is_needed_now(run, gradients):
        return run.gradient(gradients)
    arrays = [in_stacks_of(g, innermost(array_in(g))) for g in gradients]  # until then, a tensor may get new data
    stacks = running_stacks.get()

    def again() -> list[Array]:
        with on_stacks(stacks):
            return [array_in(x) for x in run.pull(arrays)]

    with grad_mode.no_grad():
        values = run.pull(arrays)
    results = Later(again).results([innermost(array_in(x)) for x in values])  # a tensor, if a rule reads one
    return run.call.shaped([in_stacks_of(x, result) for x, result in zip(values, results)])


def _is_needed_now(run: Run, gradients: Sequence[Array]) -> bool:
    """Whether not to wait: the history is surely needed, or there is none, or a later pass could not make it."""
    pull = run.pull
    if run.call.holder is not None:  # the gradients are returned in holders
        return True
    if at_once.get() or grad_mode.transforming.get():
        return True
    if not (pull.depends_on_others and grad_mode.enabled.get()):
        return True
    if any(map(has_history, gradients)) or not pull.depends_on_variables_alone:
        return True
    return any(isinstance(getattr(op.vjps, "rule", None), RuleByHand) for op in pull.operations)


class _Gradient(Op):
    """A gradient whose history nobody has asked for yet; when somebody does, it becomes `positive` of a gradient."""

    def inputs_of(self, node: Any) -> Any:
        if "of" in node.params:
            node.params["of"].make()
        return super().inputs_of(node)


_gradient = _Gradient(np.positive, positive.vjps, name="gradient", arity=1)


def is_pending(x: Any) -> bool:
    """Whether a value is a gradient whose history nobody has asked for yet."""
    return isinstance(x, Tensor) and isinstance(x.op, _Gradient) and x.inputs is None


class Later:
    """Values whose history is made when it is asked for.

    It does not hold them, so that they are freed with the graph.

    Args:
        again: computes the same values with their histories.
    """

    def __init__(self, again: Callable[[], Sequence[Array]]) -> None:
        self._again: Callable[[], Sequence[Array]] | None = again
        self._index = next_index()
        self._results: list[ref[Tensor]] = []
        self._lock = Lock()

    def results(self, values: Sequence[Array]) -> list[Tensor]:
        """The values, as tensors that make their history when it is asked for."""
        results = [recorded(x, _gradient, (), (), {"of": self}) for x in values]
        for result in results:
            result.forget()
        self._results = [ref(result) for result in results]
        return results

    def make(self) -> None:
        """Make the histories."""
        with self._lock:
            if self._again is None:  # another thread has made them
                return
            since = next_index()
            with grad_mode.enable_grad():
                made = self._again()
            nodes = history(made, oldest=since)
            for i, node in enumerate(nodes, 1):  # older than the results, and than what was computed from them
                node.index = self._index + i / (len(nodes) + 1)
            for reference, x in zip(self._results, made):
                if (result := reference()) is not None:  # right at each moment, for another thread may look
                    result.arrays = (x._array if isinstance(x, Tensor) else x,)
                    result.inputs = (x,)
                    result.op, result.params = positive, NO_PARAMS
            self._again = None
