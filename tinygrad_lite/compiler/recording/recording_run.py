"""The recorder: runs a function once, records what it does, and restores everything afterwards."""

import gc
import logging
import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from threading import active_count
from time import sleep
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.compiler.passes.dead_code import without_dead_code
from tinygrad_lite.compiler.places import Data, TensorPlace, Upstream
from tinygrad_lite.compiler.program import Program, Variable
from tinygrad_lite.compiler.recording.carrying import CarriedError
from tinygrad_lite.compiler.recording.caught import hearing_errors
from tinygrad_lite.compiler.recording.guards import Guard, Key
from tinygrad_lite.compiler.recording.leavings import Leavings
from tinygrad_lite.compiler.recording.making import makings
from tinygrad_lite.compiler.recording.pythons_names import knowing_recorded_values
from tinygrad_lite.compiler.recording.randomness import replaced
from tinygrad_lite.compiler.recording.reached import Reached
from tinygrad_lite.compiler.recording.recorded import Recorded
from tinygrad_lite.compiler.recording.shared_memory import value_of
from tinygrad_lite.compiler.recording.transcript import has_all
from tinygrad_lite.compiler.recording.watching import UNSET, plain, set_plain, watching
from tinygrad_lite.compiler.result_kinds import ResultKind
from tinygrad_lite.compiler.signature import attributes, containers, same
from tinygrad_lite.engine import backward
from tinygrad_lite.engine.op import Array
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.errors import UsageError
from tinygrad_lite.optim import Optimizer
from tinygrad_lite.transforms.custom import recomputes
from tinygrad_lite.transforms.dual import innermost
from tinygrad_lite.transforms.pending import at_once, is_pending


class Recorder(Leavings):
    """The recording of one run of a function as a program, and of everything that the program relies on.

    Attributes:
        returned: the containers that it returned, with True for a tensor and False for anything else; if it leaves
            values in attributes, the pair of these containers and the list of those values.
        kinds: the kinds of its results.
        passed: the places of the tensors that it returned unchanged, by their position among the results.
        again: the positions of results that are the same object as an earlier one, each with the position of that.
        new_leaves: the positions of the results that require a gradient and have no history.
        linked: the positions of the results that have a history, each with the position of its tensor.
        runs_again: whether the function itself runs again for these histories, since they are those of gradients, which
            hardly anybody asks for.
        differentiated: the tensors whose gradients are the last results of the program, given those of the linked ones.
        state_keys: the entries in the state of each optimiser before the run.
        is_passing: whether this is the only recording, of a program that hardly runs again.
        arrays: the arrays that the function reaches outside, each with its label, by id.
        numbers: the leaves of the arguments that are Python numbers, and inputs of the program.
        catches_errors: whether the user's code may go on after an error.
    """

    def __init__(
        self,
        names: Mapping[int, str],
        reached: Reached | None = None,
        expected: Program | None = None,
        may_run_again: bool = True,
        carried: dict[Key, Guard] | None = None,
    ) -> None:
        super().__init__(names, reached or Reached(()), expected, Recorder.run.__code__, carried or {})
        self.returned: Any = None
        self.kinds: list[ResultKind] = []
        self.passed: dict[int, TensorPlace] = {}
        self.again: dict[int, int] = {}
        self.new_leaves: list[int] = []
        self.linked: dict[int, int] = {}
        self.differentiated: list[TensorPlace] = []
        self.runs_again = False
        self._may_run_again = may_run_again
        self.state_keys: list[tuple[Optimizer, list[set[str]]]] = []
        self.is_passing = False
        self.arrays: dict[int, tuple[Array, str]] = {}
        self.numbers: frozenset[int] = frozenset()
        self.catches_errors = False

    def run(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Record what the function does, and restore everything afterwards."""
        if (known := makings.get()) is not None:
            known.constant = self.constant
        with (
            _as_a_program(self._may_run_again),
            watching(self, self._reached.classes),
            replaced(self._reached.generators, self._drawing),
            self.carried.standing_in(self.read),
            knowing_recorded_values(self._reached.spaces.values(), self._reached.iterators),
        ):
            try:
                passed = [(x, trees.children(x) or {}, attributes(x)) for x in containers((args, kwargs))]
                returned = self._undisguised(f, args, kwargs)
                self.find_parts()
                if self.parts:
                    self.returned = ()
                    self.namer.finish()
                    return
                for container, held, around in passed:
                    _refuse_changes_of_an_argument(container, held, around)
                left = self.leave(returned)
                returned = (returned, left) if left else returned
                leaves = trees.leaves(returned)
                self.program.results = [self._result(i, x) for i, x in enumerate(leaves)]
                self.kinds = [ResultKind.of(isinstance(x, Tensor), value_of(innermost(x))) for x in leaves]
                self._note_objects(leaves)
                self.returned = trees.map_leaves(lambda x: isinstance(x, Tensor), returned)
                self.note_changes()
                self.keep_constants()
                self.may_branch = False  # a reverse pass runs without the requirements in it
                upstreams = self._differentiate(leaves)
                self.namer.finish()
                for root, upstream in upstreams.items():
                    upstream.name = f"d_{root.name or 'result'}"
            except UsageError:
                if self.used:  # it may go further once these arrays are recorded
                    raise CarriedError(self.used) from None
                raise
            finally:
                self.restore()
                self.is_over = True
                self.origins.frames.clear()

    def _undisguised(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Call a function; raise our refusal of a value where NumPy or Python raised an error of its own instead.

        Also where somebody has caught it, as `logging` does, and gone on in a way that the function itself would not.
        """
        would_print, logging.raiseExceptions = logging.raiseExceptions, False  # of what cannot be logged meanwhile
        try:
            with hearing_errors(self._hear, self.catches_errors):
                returned = f(*args, **kwargs)
            if (unheard := self.unheard or self.unconverted) is not None:
                raise UsageError(unheard)
            return returned
        except (TypeError, ValueError) as error:
            names_it = any(kind.__name__ in str(error) for kind in (Recorded, Tensor))
            names_it = names_it or isinstance(error.__cause__, UsageError)
            if self.refusal is not None and not isinstance(error, UsageError) and names_it:
                raise UsageError(self.refusal) from None
            raise
        finally:
            logging.raiseExceptions = would_print

    def _hear(self, refused: str) -> None:
        self.unheard = refused

    def let_go(self) -> None:
        """Forget all values of a recording that is over, when nobody else has any.

        Raises:
            UsageError: if somebody else still holds one, which would be wrong after the next run.
        """
        self.state_keys = self.optimizers.let_go()
        self.carried.let_go()
        self.lent.clear()
        for guard in self.guards.values():
            guard.let_go()
        made = [weakref.ref(tensor) for tensor in self._made]
        for memory in (self._places, self._made, self._ops, self._proxies, self._constants, self._in_common, self._new):
            memory.clear()
        self._attributes.clear()
        for generation, wait in ((0, 0), (1, 0.001), (2, 0.01), (2, 0.1)):
            if all(reference() is None for reference in self._values):
                break
            gc.collect(generation)  # an inner function that refers to itself is a cycle, and a young one
            if active_count() > 1:
                sleep(wait)  # a thread that looks at what others do may hold the frames of this one for a moment
        for reference in made:
            tensor = reference()
            held = UNSET if tensor is None else plain(tensor, "_array")
            if tensor is not None and type(held) is Recorded and held.variable in self.program.constants:
                set_plain(tensor, "_array", held.value)  # a cache may well keep it
        kept = {value.variable for value in (reference() for reference in self._values) if value is not None}
        names = [place.name for x, place in self.program.inputs.items() if x in kept]
        names += [f"what it computes at {call.source}" for call in self.program.calls if call.result in kept]
        if names:
            raise UsageError(
                f"the function keeps {names[-1]}\noutside itself, in a list or an object, say, which its program does "
                "not do in the next runs: return it, and keep what the call returns"
            )

    def _note_objects(self, leaves: list[Any]) -> None:
        """Note the results that are one object, and those that are new leaves of a graph."""
        first: dict[int, int] = {}
        for i, x in enumerate(leaves):
            if isinstance(x, (Tensor, Recorded, np.ndarray)):
                if first.setdefault(id(x), i) < i:
                    self.again[i] = first[id(x)]
                if isinstance(x, Tensor) and x in self._made and x._requires_grad and plain(x, "op") is None:
                    self.new_leaves.append(i)

    def _result(self, i: int, x: Any) -> Any:
        if isinstance(x, Tensor) and x not in self._made:
            self.passed[i] = self.place_of(x)
        elif isinstance(x, Tensor) and plain(x, "_grad") is not None:
            raise UsageError(
                "the function returns a tensor with a gradient of its own, or leaves one behind, and a result of its "
                "program has none: return y.grad beside it, and y.detach() in place of y"
            )
        return self.variable_of(innermost(x), x)

    def _differentiate(self, returned: list[Any]) -> dict[Variable, Variable]:
        """Record the reverse pass of the results that have a history; return their upstream gradients.

        The pass ends at the tensors that were there before the run, even if these have a history.
        """
        roots: dict[Tensor, int] = {}
        ends = self.before
        made = {i: x for i, x in enumerate(returned) if isinstance(x, Tensor) and x in self._made}
        self.runs_again = any(map(is_pending, made.values())) and self._may_repeat(
            [x._array.variable for x in made.values() if is_pending(x)]
        )
        for i, x in made.items():
            if x.requires_grad and x.op is not None and ((self.runs_again and is_pending(x)) or has_all(x, ends)):
                self.linked[i] = roots.setdefault(x, len(roots))
        if self.runs_again:
            return {}
        upstreams = {x: self.read(Upstream(i), np.ones_like(x._array.value)[()]) for x, i in roots.items()}
        gradients = backward.propagate(backward.history(roots, ends), dict(upstreams), create_graph=False)
        for tensor, gradient in gradients.items():
            if tensor in ends and tensor.requires_grad:
                self.differentiated.append(self.place_of(tensor))
                self.program.results.append(self.variable_of(gradient))
        return {x._array.variable: g.variable for x, g in upstreams.items()}

    def _may_repeat(self, results: list[Variable]) -> bool:
        """Whether the function would compute these results again, and what it changes could be changed back.

        This holds for the running statistics of a normalisation, since its gradients in training do not depend on them.
        """
        program = self.program
        if self.left or any(call.draws for call in program.calls) or not all(type(x) is Data for x in program.updates):
            return False
        read = without_dead_code(Program(program.inputs, program.constants, program.calls, results)).inputs.values()
        return not any(place in program.updates for place in read)


def _refuse_changes_of_an_argument(
    container: Any, before: Mapping[Any, Any], around: tuple[tuple[str, Hashable], ...]
) -> None:
    """Refuse what the function puts into a container among its arguments; what it takes out, it does not need."""
    now = trees.children(container) or {}
    changed = [key for key, x in now.items() if key not in before or not same(before[key], x)]
    changed += [name for name, form in attributes(container) if (name, form) not in around]
    if changed:
        raise UsageError(
            f"the function puts something into an argument, a {type(container).__name__}, which its program does not "
            "do in the next runs: return it, and keep what the call returns"
        )


@contextmanager
def _as_a_program(may_run_again: bool) -> Iterator[None]:
    """What checkpoints and transforms leave to the program while it is recorded, such as what it keeps for later."""
    before, history_before = recomputes.set(False), at_once.set(not may_run_again)
    try:
        yield
    finally:
        recomputes.reset(before)
        at_once.reset(history_before)
