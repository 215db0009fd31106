"""Forward mode: a value that carries its tangent, and how the two modes meet.

An operation on a `Dual` runs on the primals, and its Jacobian-vector product runs on the tangents. Each forward-mode
transform has a level of its own, higher than those around it, so that nested transforms do not mix up their tangents.

A dual is always outermost: its primal and tangent may be tensors, or duals of lower levels. The reverse pass of a dual
is therefore the reverse pass of its parts, and that is how `Pullback` computes it.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from threading import RLock
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.engine import grad_mode
from tinygrad_lite.engine.backward import fitted, propagate, running_variables, whole
from tinygrad_lite.engine.conversions import NUMBERS, number, plain
from tinygrad_lite.engine.op import Array, Op, Traced
from tinygrad_lite.engine.registry import ANSWERS
from tinygrad_lite.engine.tensor import Tensor, wrap
from tinygrad_lite.errors import RESTATED, ConstantRuleError, InputError, ShapeError, UsageError, complain
from tinygrad_lite.foundation.advice import WRITTEN, lost_array, refusal, taken_by_library
from tinygrad_lite.foundation.callers import writes_an_entry
from tinygrad_lite.foundation.elsewhere import AttributesElsewhere
from tinygrad_lite.foundation.foreign import DATA_WITHOUT_HISTORY, without_history
from tinygrad_lite.ops.arithmetic import selection
from tinygrad_lite.ops.declarations import reads_from_outside
from tinygrad_lite.ops.shapes.indexing import performed
from tinygrad_lite.transforms.batched import Batched, as_stack, stack_of
from tinygrad_lite.transforms.levels import Leveled, Stacks, below, highest_level, is_running, running_stacks


class Dual(Leveled, AttributesElsewhere):
    """A value in forward mode, with its tangent.

    Attributes:
        primal: the value itself.
        tangent: its directional derivative, of the same shape and dtype.
    """

    __slots__ = ("primal", "tangent")
    not_data = DATA_WITHOUT_HISTORY

    def __init__(self, primal: Array, tangent: Array, level: int) -> None:
        self.primal = primal
        self.tangent = tangent
        self.level = level

    def __trace__(self, op: Op, inputs: tuple[Array, ...], params: Mapping[str, Any]) -> Any:
        level = highest_level(inputs)
        for x in inputs:
            if isinstance(x, trees.Holder) or (type(x) is Batched and x.level == level):  # a holder holds duals
                return x.__trace__(op, inputs, params)  # type: ignore[union-attr]
        if not is_running(level):
            raise UsageError(
                f"{op.name} met a value from inside a forward-mode transform that has ended: return the values that "
                "you want to keep (as aux, with has_aux=True)"
            )
        if (running := running_stacks.get()) and running[-1][0] > level:
            with below(level):
                return self.__trace__(op, inputs, params)
        primals, tangents = split(inputs, level)
        for i, x in enumerate(primals):
            if not (type(x) in NUMBERS or isinstance(x, Traced)):
                primals[i] = plain(x, op)
        try:
            y = performed(op, tuple(primals), params)
        except RESTATED as error:
            complain(error, op.name, primals)
        if not op.vjps:
            return y
        if type(y) is Dual and y.level == level:
            raise UsageError(reads_from_outside(op))
        if not hasattr(y, "dtype"):
            y = number(y, op)
        if y.dtype.kind == "c":
            op.check_complex()
        elif y.dtype.kind != "f":
            return without_history(y, op.name)
        try:
            tangent = pushed(op, y, primals, tangents, params) if grad_mode.enabled.get() else None
        except RESTATED as error:
            complain(error, f"a derivative of {op}", primals, params)
        return y if tangent is None else Dual(y, tangent, level)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.primal.shape  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        return self.primal.size  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.primal.dtype  # type: ignore[no-any-return]

    def _in_place(self, other: Array) -> Any:
        """Refuse an in-place update under `no_grad`, which would not reach other holders; else make a new value."""
        if not grad_mode.enabled.get():
            raise UsageError(DATA_WITHOUT_HISTORY)
        return NotImplemented

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = _in_place

    def detach(self) -> Array:
        """The same value as a constant."""
        return selection.stop_gradient(self)

    def backward(self, *_: Any, **__: Any) -> None:
        """Refused: tangents go forward."""
        raise UsageError("backward() does not work inside a forward-mode transform: use tg.grad, which nests with it")

    def numpy(self) -> Any:
        """The array itself, as a constant: no derivative flows through it."""
        return innermost(self)

    def item(self) -> Any:
        """The only element as a Python number and constant: no derivative flows through it."""
        if self.size != 1:
            raise InputError(f"item() needs one element, got shape {self.shape}: write x[i].item()")
        return innermost(self).item()

    def tolist(self) -> Any:
        """The elements as Python numbers and constants in nested lists: no derivative flows through them."""
        return innermost(self).tolist()

    def __format__(self, specification: str) -> str:
        return format(self.item() if specification else str(self), specification)

    def __int__(self) -> int:
        return int(self.item())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise refusal(sys._getframe(1), lost_array(sys._getframe(1), ANSWERS))

    def __float__(self) -> float:
        if writes_an_entry(sys._getframe(1)):
            raise UsageError(WRITTEN)
        if reason := taken_by_library(sys._getframe(1)):
            raise UsageError(reason)
        raise UsageError(
            "float(x) inside a function that is being differentiated would lose the tangent of x: write np.sin for "
            "math.sin, and so on; or x.item() to drop the tangent on purpose"
        )

    def __bool__(self) -> bool:
        if self.size != 1:
            raise InputError(f"the truth of an array of shape {self.shape} is ambiguous: write .any() or .all()")
        return bool(self.primal)

    def __repr__(self) -> str:
        return f"Dual({self.primal!r}, {self.tangent!r})"


def split(values: Iterable[Any], level: int) -> tuple[list[Any], list[Any]]:
    """The primals and the tangents of this level, also within stacks; the tangent of a constant is None."""
    primals, tangents = [], []
    for x in values:
        if type(x) is Dual and x.level == level:
            primals.append(x.primal)
            tangents.append(x.tangent)
        elif type(x) is Batched and x.level > level:
            (primal,), (tangent,) = split([x.stack], level)
            primals.append(Batched(primal, x.level))
            tangents.append(None if tangent is None else Batched(tangent, x.level))
        else:
            primals.append(x)
            tangents.append(None)
    return primals, tangents


def as_dual(primal: Array, tangent: Array, level: int) -> Array:
    """The value at this level with this primal and tangent; the level of a stack around them may be higher."""
    above = highest_level((primal, tangent))
    if above <= level:
        return Dual(primal, tangent, level)
    count = next(len(x.stack) for x in (primal, tangent) if type(x) is Batched and x.level == above)
    return Batched(as_dual(stack_of(primal, above, count), stack_of(tangent, above, count), level), above)


def highest_dual(values: Iterable[Any]) -> int:
    """The highest level of the duals among these values or within stacks among them; 0 if there are none."""
    highest = 0
    for x in values:
        if isinstance(x, Leveled):
            highest = max(highest, highest_dual([x.stack]) if type(x) is Batched else x.level)
    return highest


def has_history(x: Any) -> bool:
    """Whether a value depends on what is being differentiated."""
    if type(x) is Batched:
        return has_history(x.stack)
    return isinstance(x, Dual) or (isinstance(x, Tensor) and x.requires_grad)


def innermost(x: Array) -> Array:
    """The array inside a tensor or a dual, below all levels."""
    while isinstance(x, (Tensor, Dual)):
        x = x.data if isinstance(x, Tensor) else x.primal
    return x


def pushed(op: Op, y: Array, primals: Sequence[Array], tangents: Sequence[Array], params: Mapping[str, Any]) -> Array:
    """The Jacobian-vector product Σᵢ ∂y/∂xᵢ · tᵢ; None if y depends on no tangent."""
    total, rest, dtype = None, [], y.dtype
    for x in primals:
        if getattr(x, "dtype", dtype) is not dtype or type(x) is bool:
            primals = op.for_rules(primals, dtype)
            break
    for i, t in enumerate(tangents):
        if t is None or op.vjps[i] is None:
            continue
        if op.derivatives:  # entry by entry: the Jacobian is diagonal, and its own transpose
            part = op.vjps[i](t, y, *primals, **params) if params else op.vjps[i](t, y, *primals)
        elif op.linear and "initial" not in params:  # the number that a sum starts from does not change
            part = performed(op, (*primals[:i], t, *primals[i + 1 :]), params)
        else:
            rest.append(i)
            continue
        total = part if total is None else total + part
    if rest:
        part = _transposed(op, rest, tangents, y, primals, params)
        total = part if total is None else total + part
    if total is None:
        return None
    if not hasattr(total, "dtype"):
        total = number(total, op)
    if total.shape != y.shape:
        if np.broadcast_shapes(total.shape, y.shape) != y.shape:
            raise ShapeError(f"a derivative of {op} has shape {total.shape}, not {y.shape}")
        total = np.broadcast_to(total, y.shape)
    total = np.real(total) if total.dtype.kind == "c" != dtype.kind else total
    return total if total.dtype == dtype else total.astype(dtype)


def _transposed(
    op: Op, chosen: list[int], tangents: Sequence[Array], y: Array, primals: Sequence[Array], params: Mapping[str, Any]
) -> Array:
    """Σ ∂y/∂xᵢ · tᵢ over the chosen i: the pullback of the vector-Jacobian products, which are linear in g."""
    zeros = np.zeros_like(innermost(y))
    variables: list[Tensor] = []
    g = stand_in(zeros, variables, running_stacks.get())
    try:
        with grad_mode.enable_grad(), np.errstate(all="ignore"):  # the value at g = 0 is not used
            backs = _pulled(op, chosen, g, y, primals, params)
    finally:
        settle(variables)
    pull = Pullback(backs, variables, running_stacks.get())
    if constant := [i for i, follows in zip(chosen, pull.follow) if not follows]:
        another = np.arange(1, zeros.size + 1).reshape(zeros.shape).astype(zeros.dtype)
        with np.errstate(all="ignore"):
            pulled = _pulled(op, constant, another, y, primals, params)
            _check_misses_nothing(op, pulled, [tangents[i] for i in constant])
    return pull([tangents[i] for i in chosen])[0]


def _pulled(
    op: Op, chosen: list[int], g: Array, y: Array, primals: Sequence[Array], params: Mapping[str, Any]
) -> list[Array]:
    """The vector-Jacobian product gᵀ ∂y/∂xᵢ for each chosen i."""
    arrays = op.in_common(tuple(primals), params, g, y) if op.adjoint else primals
    backs = [(i, op.vjps[i](g, y, *arrays, **params)) for i in chosen]
    return [whole(fitted(back, primals[i].shape, primals[i].dtype, op, i)) for i, back in backs]


def _check_misses_nothing(op: Op, backs: list[Array], tangents: list[Array]) -> None:
    """Raise unless gradients that do not follow the upstream gradient, or the tangents they belong to, are 0."""
    if any(np.any(innermost(back)) and (has_history(t) or np.any(t)) for back, t in zip(backs, tangents)):
        raise ConstantRuleError(
            f"the gradient of {op} is not 0, but does not follow its upstream gradient g, so that forward mode would "
            "miss it: write g outside of tg.stop_gradient and tg.no_grad, as in g * tg.stop_gradient(slope)"
        )


AT_ONCE = 2**18
"""The most entries of an array of several passes at once: more take longer, since they do not fit in the cache."""


def variable(x: Array) -> Tensor:
    """A stand-in for an array or a tensor: a function takes it as its argument, and a gradient arrives at it."""
    original = x if isinstance(x, Tensor) else wrap(x)
    stand_in = original.holding(original._array)
    running_variables.add(stand_in)
    return stand_in


def stand_in(x: Array, variables: list[Tensor], stacks: Stacks) -> Array:
    """What a function takes in place of x: a variable, which is added to these; or a value that holds one.

    Where a function runs on a stack of examples, there is a variable for each of them.
    """
    if type(x) is Dual and (not stacks or x.level > stacks[-1][0]):
        return Dual(stand_in(x.primal, variables, stacks), x.tangent, x.level)
    if stacks:
        return Batched(stand_in(stack_of(x, *stacks[-1]), variables, stacks[:-1]), stacks[-1][0])
    variables.append(variable(x))
    return variables[-1]


def settle(variables: Iterable[Tensor]) -> None:
    """Let variables require a gradient only if their originals do, once the function has run."""
    for x in variables:
        running_variables.discard(x)
        x.settle()


class Pullback:
    """The reverse pass from some values to some variables: each call computes Σ gᵀ ∂value/∂variable.

    If values or gradients are duals, so are the results. If they depend on tensors other than the variables, the
    results have a history, so that transforms nest.

    Attributes:
        depends_on_others: whether a value depends on other tensors, such as the originals of the variables.
        reads_others: whether a value depends on other tensors besides the variables.
        follow: for each value, whether it depends on a variable.
    """

    def __init__(self, values: Sequence[Array], variables: Sequence[Tensor], stacks: Stacks = ()) -> None:
        self._values = values
        self._variables = variables
        self._lock = RLock()  # one pass at a time, since it revives the variables
        self._level = max(highest_level(values), stacks[-1][0] if stacks else 0)  # each variable has all examples
        self._stack: tuple[int, int] | None = None
        self.depends_on_others: bool
        self.reads_others: bool
        self.follow: list[bool]
        self._path: list[Any] = []
        if not self._level:
            self._path, self._between, others = between(values, frozenset(variables))
            self.depends_on_others, self.reads_others = bool(others), not others.issubset(variables)
            self.follow = [value in self._between if type(value) is Tensor else False for value in values]
            return
        self._stack = next((stack for stack in stacks if stack[0] == self._level), None)
        if self._stack:
            around = tuple([stack for stack in stacks if stack[0] < self._level])
            inside = self._of_primals = Pullback([stack_of(y, *self._stack) for y in values], variables, around)
            self.depends_on_others, self.reads_others = inside.depends_on_others, inside.reads_others
            self.follow = inside.follow
        elif any(type(y) is Batched and y.level == self._level for y in values):
            raise UsageError("a result differs from example to example, and the variables do not")
        else:
            primals, tangents = split(values, self._level)
            self._of_primals = Pullback(primals, variables, stacks)
            self._of_tangents = Pullback(tangents, variables, stacks)
            self.depends_on_others = self._of_primals.depends_on_others or self._of_tangents.depends_on_others
            self.reads_others = self._of_primals.reads_others or self._of_tangents.reads_others
            self.follow = [a or b for a, b in zip(self._of_primals.follow, self._of_tangents.follow)]

    @property
    def operations(self) -> Iterator[Op]:
        """The operations that lead from the variables to the values, unless they are in forward mode."""
        return (node.op for node in self._of_examples._path)

    @property
    def most_at_once(self) -> int:
        """How many passes to make at once: few of large arrays, where NumPy's time is most of it, and many of small.

        It is 1 for a value in forward mode, and for arrays that are neither NumPy's nor those of a recording.
        """
        arrays = [node._array for node in self._path]
        if not arrays or not all(isinstance(x, (np.ndarray, np.generic)) or hasattr(x, "recorder") for x in arrays):
            return 1
        passes = AT_ONCE // max(1, *[int(x.size) for x in arrays])
        return passes if passes >= 4 else 1  # two or three at once take longer than one after the other

    @property
    def depends_on_variables_alone(self) -> bool:
        """Whether the gradients depend on no tensor besides the variables."""
        inner = self._of_examples
        inputs = (x for node in inner._path for x in node.inputs or () if type(x) is Tensor)
        return not inner._level and all(x in inner._between or not x._requires_grad for x in inputs)

    @property
    def _of_examples(self) -> "Pullback":
        """The pass of the arrays that hold the examples, if the values are stacks."""
        return self._of_primals._of_examples if self._stack else self

    def __call__(self, gradients: Sequence[Array]) -> list[Array]:
        level = max(self._level, highest_dual(gradients))
        if self._stack and level == self._level:
            pulled = self._of_primals([g if g is None else stack_of(g, *self._stack) for g in gradients])
            return [as_stack(x, level) for x in pulled]
        return self._pull_dual(gradients, level) if level else self._pull(gradients)

    def _pull_dual(self, gradients: Sequence[Array], level: int) -> list[Array]:
        """The product rule: the tangent of g · ∂value is g · ∂tangent + (tangent of g) · ∂primal."""
        own = level == self._level
        of_primals = self._of_primals if own else self
        primals, tangents = split(gradients, level)
        pulled = of_primals(primals)
        parts = [of_primals(tangents)] if any(tangent is not None for tangent in tangents) else []
        if own:
            parts.append(self._of_tangents(primals))
        return [as_dual(primal, sum(rest, first), level) for primal, first, *rest in zip(pulled, *parts)]

    def _pull(self, gradients: Sequence[Array]) -> list[Array]:
        linked = self.depends_on_others or any(type(g) is Tensor and g._requires_grad for g in gradients)
        create_graph = bool(grad_mode.enabled.get()) if linked else None
        for node in self._path:
            if node.inputs is None:  # it was freed, which is an error
                node.op.inputs_of(node)
        arrived: dict[Tensor, Array] = {}
        for value, g in zip(self._values, gradients):
            if g is not None and type(value) is Tensor and value in self._between:
                g = g if create_graph else innermost(g)
                arrived[value] = arrived[value] + g if value in arrived else g
        with self._lock:
            settled = [x for x in self._variables if not x._requires_grad]
            try:
                for x in settled:  # they require a gradient again, since a pass may run a function once more
                    x._requires_grad = True
                arrived = propagate(self._path, arrived, create_graph, self._between)
            finally:
                for x in settled:
                    x._requires_grad = False
        return [arrived[x] if x in arrived else np.zeros_like(x._array) for x in self._variables]


def between(roots: Sequence[Array], ends: frozenset[Tensor]) -> tuple[list[Tensor], set[Tensor], set[Tensor]]:
    """The nodes between roots and ends, as a history and as a set, and the other tensors that a gradient flows to.

    These others are the leaves, the variables of running transforms, and each end whose original requires a gradient.
    """
    oldest = min([end.index for end in ends]) if ends else 0
    inner: set[Tensor] = set()
    others: set[Tensor] = set()
    has_constants = False
    ahead: list[Any] = [roots]
    while ahead:
        for x in ahead.pop():
            if type(x) is not Tensor or x in inner:
                continue
            if not x._requires_grad:
                has_constants = has_constants or x not in ends
            elif x.op is None or x.index < oldest or x in ends:
                others.add(x)
            else:
                inner.add(x)
                ahead.append(x.op.inputs_of(x) if x.inputs is None else x.inputs)
    path, on_path = sorted(inner, key=attrgetter("index")), {*inner, *ends}
    if has_constants or not others <= ends:  # otherwise every node leads to the ends alone
        path, on_path = _leading_to(ends, path)
    return path, on_path, others | (inner & running_variables)


def _leading_to(ends: frozenset[Tensor], nodes: Sequence[Tensor]) -> tuple[list[Tensor], set[Tensor]]:
    """Those of the nodes, oldest first, that lead to the ends; and the set of them and the ends."""
    path, on_path = [], {*ends}
    for node in nodes:
        for x in node.inputs:
            if type(x) is Tensor and x in on_path:
                on_path.add(node)
                path.append(node)
                break
    return path, on_path
