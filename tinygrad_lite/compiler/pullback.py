"""The reverse pass of a compiled function's results, as a program of its own.

If a caller differentiates the results, the compiled function is one operation in the caller's graph. The rule of this
operation runs the second program on the values that the first program kept for it. If the results are gradients, which
callers rarely differentiate, nothing is kept until one does.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.compiler.passes.dead_code import without_dead_code
from tinygrad_lite.compiler.places import Argument, Carried, Leaves, Outside, TensorPlace, Upstream
from tinygrad_lite.compiler.program import Instruction, Program, Variable
from tinygrad_lite.engine import grad_mode
from tinygrad_lite.engine.op import Array, Traced
from tinygrad_lite.engine.tensor import Tensor, recorded
from tinygrad_lite.errors import GraphError, UsageError
from tinygrad_lite.transforms import dual
from tinygrad_lite.transforms.dual import innermost
from tinygrad_lite.transforms.pending import Later
from tinygrad_lite.transforms.whole import AllAtOnce, Packing, operation


def split(program: Program, count: int) -> tuple[Program, Program]:
    """Split a program whose results after the first `count` are gradients into two programs.

    The first program returns those `count` results, followed by the values that the second program needs. The second
    program takes these values and then the upstream gradients.
    """
    upstreams = [x for x, place in program.inputs.items() if isinstance(place, Upstream)]
    calls = _without_requirements_after(frozenset(upstreams), program.calls)
    forward = without_dead_code(
        Program(program.inputs, program.constants, calls, program.results[:count], program.updates)
    )
    made = {call.result for call in forward.calls}
    backward = without_dead_code(program.with_calls([call for call in program.calls if call.result not in made]))
    backward = Program(backward.inputs, backward.constants, backward.calls, program.results[count:])
    own = {call.result for call in backward.calls} | backward.constants.keys()
    read = dict.fromkeys(x for call in backward.calls for x in call.reads) | dict.fromkeys(backward.ends)
    saved = [x for x in read if x not in own and x not in upstreams]
    backward.inputs = {x: Argument(i, x.name or "value") for i, x in enumerate([*saved, *upstreams])}
    forward.inputs = {x: place for x, place in program.inputs.items() if x in forward.inputs or x in saved}
    forward.results = [*forward.results, *saved]
    return forward, backward


def _without_requirements_after(upstreams: frozenset[Variable], calls: Sequence[Instruction]) -> list[Instruction]:
    """The calls without what may fail in the reverse pass, which begins at the first upstream gradient."""
    begin = next((i for i, call in enumerate(calls) if not upstreams.isdisjoint(call.reads)), len(calls))
    return [call for i, call in enumerate(calls) if i < begin or not (call.refuses or call.may_fail)]


class Pullback:
    """Puts the results of a compiled function that have a history into the caller's graph.

    Args:
        f: the function itself, for derivatives of the gradient.
        program: its first program, which also returns the values that the second one needs.
        run: the second program.
        linked, differentiated: see `Recorder`.
        arguments: the positional and keyword arguments, with anything in place of each leaf.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        name: str,
        program: Program,
        run: Callable[[Leaves], list[Any]],
        linked: Mapping[int, int],
        differentiated: Sequence[TensorPlace],
        returned: Sequence[bool],
        arguments: Any,
    ) -> None:
        self._f = f
        self._name = name
        self._run = run
        self._arguments = arguments
        self._packing = Packing(name)
        self._op = operation(name, lambda *_, call: call.array, lambda i, g, y, arrays, call: call(i, g, y, arrays))
        self._linked = linked
        self._differentiated = differentiated
        self._count = len(returned)
        self._is_repeatable = not program.updates and not any(call.draws for call in program.calls)
        saved = program.results[self._count :]
        others_may_write = not all(returned[i] for i, x in enumerate(program.results[: self._count]) if _is_array(x))
        self._to_copy = [others_may_write or isinstance(program.inputs.get(x), (Outside, Carried)) for x in saved]

    def link(self, values: list[Any], leaves: Leaves) -> list[Any]:
        """The function's results; those with a history become tensors with a history.

        Args:
            leaves: those of the function's arguments, with arrays that nobody else writes to.
        """
        results, kept = values[: self._count], values[self._count :]
        saved = [np.copy(x) if to_copy else x for x, to_copy in zip(kept, self._to_copy)]
        tensors = [place.tensor(leaves) for place in self._differentiated]
        arrays = [x._array for x in tensors]
        roots = {root: results[i] for i, root in self._linked.items()}
        is_single = len(roots) == 1
        array = roots[0] if is_single else self._packing.pack([*roots.values()])

        def gradients(g: Array, y: Array, *_: Array) -> list[Array]:
            upstreams = [g] if is_single else trees.leaves(self._packing.unpack(g))
            if not (isinstance(g, Traced) or isinstance(y, Traced)):
                with grad_mode.no_grad():  # the mode for which it was recorded
                    return self._run([*saved, *upstreams])
            check_unchanged(self._name, zip((x._array for x in tensors), arrays))
            return self._again(leaves, tensors)(upstreams)

        packed = recorded(array, self._op, tuple(tensors), tuple(arrays), {"call": _Call(array, gradients)})
        parts = [packed] if is_single else trees.leaves(self._packing.unpack(packed))
        return [parts[self._linked[i]] if i in self._linked else x for i, x in enumerate(results)]

    def _again(self, leaves: Leaves, tensors: list[Tensor]) -> dual.Pullback:
        """The reverse pass as a graph, from the function itself."""
        if not self._is_repeatable:
            raise UsageError(
                f"the gradient of the compiled {self._name} cannot be differentiated again, since the function draws "
                "random numbers or changes tensors: take derivatives of higher order of the function without "
                "tg.compile"
            )
        with grad_mode.enable_grad():
            returned = trees.leaves(called(self._f, self._arguments, leaves))
        roots = {root: returned[i] for i, root in self._linked.items()}
        return dual.Pullback([*roots.values()], tensors)


class Rerun:
    """Puts gradients that a compiled function returns into the caller's graph: for their history, it runs itself again.

    Attributes:
        was_asked: whether anybody has asked for a history.

    Args:
        f: the function itself.
        program: its program; these gradients do not depend on what it changes.
        run: the program, as it ran.
        fits: whether the program is still what the function does with these leaves.
        linked: the positions of the results that have a history.
        arguments: the positional and keyword arguments, with anything in place of each leaf.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        name: str,
        program: Program,
        run: Callable[[Leaves], list[Any]],
        fits: Callable[[Leaves], bool],
        linked: Collection[int],
        arguments: Any,
    ) -> None:
        self.was_asked = False
        self._f, self._name = f, name
        self._run, self._fits = run, fits
        self._linked = linked
        self._arguments = arguments
        self._changed = [*program.updates]
        self._read = [x for x in program.inputs.values() if isinstance(x, TensorPlace) and x not in program.updates]

    def link(self, values: list[Any], leaves: Leaves) -> list[Any]:
        """The function's results; see `Pullback.link`."""
        arrays = [place.read(leaves) for place in self._read]
        later = Later(lambda: self._again(leaves, arrays, values))
        made = dict(zip(self._linked, later.results([values[i] for i in self._linked])))
        return [made.get(i, x) for i, x in enumerate(values)]

    def _again(self, leaves: Leaves, arrays: list[Array], values: list[Any]) -> list[Any]:
        check_unchanged(self._name, zip((place.read(leaves) for place in self._read), arrays))
        before = [place.read(leaves) for place in self._changed]
        try:
            return self._again_as_before(leaves, values)
        finally:
            for place, value in zip(self._changed, before):
                place.write(value, leaves)

    def _again_as_before(self, leaves: Leaves, values: list[Any]) -> list[Any]:
        returned = trees.leaves(called(self._f, self._arguments, leaves))
        # near a minimum, a gradient is hardly more than rounding, and the program rounds differently
        if not (self._are_close(returned, values) or (self._fits(leaves) and self._runs_alike(leaves, values))):
            raise GraphError(
                f"{self._name} returned another value when it ran again for the history of its gradient: something "
                "that it reads has changed since; ask for the history before that"
            )
        self.was_asked = True
        return [returned[i] for i in self._linked]

    def _runs_alike(self, leaves: Leaves, values: list[Any]) -> bool:
        """Whether the program still computes these values."""
        with grad_mode.no_grad():
            return self._are_close(self._run(leaves), values)

    def _are_close(self, now: Sequence[Any], then: Sequence[Any]) -> bool:
        return all(_is_close(innermost(now[i]), then[i]) for i in self._linked)


class _Call(AllAtOnce):
    """The rule for one call of a compiled function, and the value of the operation."""

    __slots__ = ("array",)

    def __init__(self, array: Array, gradients: Callable[..., list[Array]]) -> None:
        super().__init__(gradients)
        self.array = array


def called(f: Callable[..., Any], arguments: Any, leaves: Leaves) -> Any:
    """The function's result for the positional and keyword arguments with these leaves."""
    remaining = iter(leaves)
    args, kwargs = trees.map_leaves(lambda _: next(remaining), arguments)
    return f(*args, **kwargs)


def check_unchanged(name: str, now_and_then: Iterable[tuple[Array, Array]]) -> None:
    """Raise the error if tensors no longer hold the arrays that they held at the call."""
    if any(now is not then for now, then in now_and_then):
        raise GraphError(f"a tensor that {name} read was given new data before this pass: update it afterwards")


def _is_close(x: Array, y: Array) -> bool:
    """Whether two results are the same up to rounding."""
    scale = np.max(np.absolute(y), initial=0, where=np.isfinite(y))
    return np.allclose(x, y, rtol=0, atol=sqrt(np.finfo(y.dtype).eps) * scale, equal_nan=True)


def own(x: Any) -> Any:
    """A leaf of the arguments, copied if others may write to it."""
    return x.copy() if isinstance(x, np.ndarray) else x


def _is_array(x: Any) -> bool:
    return isinstance(x, Variable)
