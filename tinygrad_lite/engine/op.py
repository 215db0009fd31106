"""What an operation is: plain NumPy with its derivatives beside it, declared once.

`elementwise` and `primitive` make an `Op` from such a declaration. Calling it on arrays computes its value. Called on
traced values (a `Tensor`, say), it lets them decide what happens.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, wraps
from inspect import CO_VARKEYWORDS
from operator import add, mul, neg, sub, truediv
from types import FunctionType, MappingProxyType, MethodType
from typing import Any, Literal, Self, TypedDict, Unpack

import numpy as np

from tinygrad_lite.engine.arguments import Arguments, ForEach
from tinygrad_lite.errors import GraphError, UsageError, refuse_complex
from tinygrad_lite.foundation.foreign import is_coarser
from tinygrad_lite.foundation.signatures import signature_of
from tinygrad_lite.foundation.sums import times_in_total

Array = Any
"""A NumPy array or scalar, a traced value, or any other array that speaks NumPy's protocols."""

Arrays = Sequence[Array]
Params = Mapping[str, Any]
Rule = Callable[..., Array]
Derivative = Rule | float
Example = tuple[Sequence[Any], Mapping[str, Any]]
"""A sample call: for each array its shape, or the array itself where the values matter; and the parameters."""

NO_PARAMS: Params = MappingProxyType({})
_OPERATORS: dict[Any, Rule] = {np.add: add, np.subtract: sub, np.multiply: mul, np.divide: truediv, np.negative: neg}
REAL = (-np.inf, np.inf)
POSITIVE = (0.0, np.inf)


class Traced:
    """A value that decides for itself what an operation does with it.

    An operation passes itself to the first traced value among its inputs; a Python operator, to its left operand.
    """

    __slots__ = ()
    dtype: Any
    not_data = ""  # why it cannot become the data of a tensor, which would lose what belongs to it

    def beside(self, x: Array, op: "Op") -> Array:
        """Prepare what an operation takes beside this value in a tensor; by default, it is taken as it is."""
        return x

    def __trace__(self, op: "Op", inputs: tuple[Array, ...], params: Mapping[str, Any]) -> Array:
        raise NotImplementedError


class Deferred:
    """A sparse gradient that is not an array yet: it takes in other gradients and becomes an array once, at the end."""

    def __add__(self, gradient: Any) -> Self:
        """Take in another gradient of the same argument, an array or a deferred one."""
        raise NotImplementedError

    def whole(self) -> Array:
        """The gradient as an array."""
        raise NotImplementedError


class Facts(TypedDict, total=False):
    """What a declaration can state about an operation besides its value and its derivatives.

    Attributes:
        domain: for each argument, the open interval in which the operation is real and smooth.
        kink: an expression of the arguments that is zero where the operation is not differentiable.
        on_complex: its continuation to the complex plane, a function of complex arrays, for gradient checks to machine
            precision. Usually the forward is its own continuation, and there is nothing to state.
        examples: shapes and parameters to try it on, for code that loops over the registry.
        shared: an expression of the arguments that the value and the derivatives have in common, a softmax, say. It is
            computed once; the forward and the derivatives take it after the arrays.
        adjoint: an expression of g, y, the arguments, and the shared expression that the rules have in common, such as
            the solution of a transposed system. A pass computes it once; the rules take it last.
        linear: whether it is linear in each differentiable argument while the others are fixed, as a product is. Its
            Jacobian-vector product is then the operation itself; otherwise the engine derives it from the vjps.
        deferred: whether its rules take a deferred upstream gradient as it is, to see which entries of the result were
            read; they must take an array, too. Other rules always get an array.
        kind: its part in diagnoses. "moving": it moves, picks or replaces entries and does not change them, so NaN may
            pass. "multiplying": its first two arguments are the factors of a product, to which it may add something; if
            it is linear in several arguments, all of them are factors. "rectifying": it is 0 for all numbers of one
            sign, as relu is, and can kill a unit. "saturating": its derivative vanishes far out, as that of tanh does.
        takes_complex: whether its rules hold for complex numbers, too. There, g says that the final result moves by
            Re(g · dy) where y moves by dy. An operation that only moves entries takes them as it is.
        chooses: why an entry gets no gradient where another is chosen, in words: "another entry is the largest".
        refuses: whether the forward raises an error for some entries of arrays whose shapes fit, as `inv` does for a
            singular matrix. A program then calls it even if nobody reads the result.
    """

    domain: Sequence[tuple[float, float]] | None
    kink: Rule | None
    on_complex: Rule | None
    examples: Sequence[Example] | None
    shared: Rule | None
    adjoint: Rule | None
    linear: bool
    deferred: bool
    kind: Literal["moving", "multiplying", "rectifying", "saturating"] | None
    takes_complex: bool
    chooses: str
    refuses: bool


class Op(Arguments):
    """An operation: its value and the vector-Jacobian product of each argument, both in plain NumPy.

    Attributes:
        forward: the value; arrays are positional, parameters are keywords.
        compute: computes the value from arrays and the shared expression: the forward as declared, or the Python
            operator that is a faster way to call it.
        vjps: one `vjp(g, y, *x, **params)` per argument; None for an argument without a derivative. Empty for an
            operation that answers a question (a comparison, an argmax) and so carries no gradient.
        for_large: for the i-th vjp of an elementwise operation, the rule for a large NumPy array g. If the argument was
            broadcast, it returns the sum, without an array of all terms where it can.
        arity: the number of arrays it takes; None for any number, in which case `vjps[i]` exists for every i.
        derivatives: the declared derivatives of an elementwise operation; empty for any other.
        keywords: the parameters that the rules know. Any other is refused, never ignored.
        domain, kink, on_complex, and so on: see `Facts`.
        module: the name of the module that declares it.
    """

    domain: Sequence[tuple[float, float]] | None = None
    kink: Rule | None = None
    on_complex: Rule | None = None
    examples: Sequence[Example] | None = None
    linear, deferred, takes_complex, refuses, chooses = False, False, False, False, ""
    kind: str | None = None
    module = __name__

    def __init__(
        self, forward: Rule, vjps: Sequence[Any], *, name: str | None = None, arity: int | None, **facts: Unpack[Facts]
    ) -> None:
        self.name = name or getattr(forward, "__name__", "<lambda>").lstrip("_")
        if self.name == "<lambda>":
            raise UsageError(f"an operation needs a function and its name, and {forward!r} has none: pass name=")
        if unknown := facts.keys() - Facts.__annotations__.keys():
            raise UsageError(f"{self.name}: a declaration can state {', '.join(Facts.__annotations__)}; got {unknown}")
        moves = facts.get("kind") == "moving"  # attributes of its own are found sooner
        vars(self).update({"shared": None, "adjoint": None, "deferred": False, "takes_complex": moves, **facts})
        self.for_large: dict[tuple[int, Rule], Rule] = {}
        self.arity = arity
        self.forward = self.completed(forward, 0)
        self.compute = _OPERATORS.get(forward, forward)
        self.vjps = [vjp and self.completed(vjp, 2) for vjp in vjps] if arity else vjps  # a ForEach never ends

    def completed(self, function: Rule, before: int) -> Rule:
        """A forward or rule that computes what it has in common with others unless a call passes it, too."""
        count = before + (self.arity or 0) + bool(self.shared) + bool(self.adjoint and before == 2)

        def complete(*arguments: Array, **params: Any) -> Array:
            if len(arguments) < count:
                arguments = arguments[:before] + self.in_common(arguments[before:], params, *arguments[:before])
            return function(*arguments, **params)

        return wraps(function)(complete) if self.shared or (self.adjoint and before == 2) else function

    def in_common(self, arrays: tuple[Array, ...], params: Params, *before: Array) -> tuple[Array, ...]:
        """The arrays, and behind them the shared expression; and the adjoint, if g and y are given."""
        if self.shared and len(arrays) == self.arity:
            arrays += (self.shared(*arrays, **params),)
        return (*arrays, self.adjoint(*before, *arrays, **params)) if self.adjoint and len(before) == 2 else arrays

    @cached_property
    def reads_values(self) -> bool:
        """Whether the rules need the arguments as they were: to read their values, or to know whether they are real."""
        return not (self.derivatives and self.takes_complex) or any(map(callable, self.derivatives))

    @cached_property
    def is_composite(self) -> bool:
        """Whether the forward is a Python function or method that calls NumPy, not a NumPy function itself."""
        return type(self.forward) in (FunctionType, MethodType) and not str(self.forward.__module__).startswith("numpy")

    def __call__(self, *inputs: Array, **params: Any) -> Array:
        if params or len(inputs) != self.arity:
            inputs, params = self.sort(inputs, params)  # type: ignore[assignment]
        for x in inputs:
            if isinstance(x, Traced):
                return x.__trace__(self, inputs, params)
        return self.forward(*inputs, **params)

    def __repr__(self) -> str:
        return self.name

    def __deepcopy__(self, memo: Any = None) -> Self:
        return self

    __copy__ = __deepcopy__

    def inputs_of(self, node: Any) -> Any:
        """The inputs of a result that had none when it was looked at, if the operation can find them."""
        if node.inputs is None:
            raise GraphError(f"this result of {self} was freed by an earlier backward pass: give it retain_graph=True")
        return node.inputs

    def check_complex(self) -> None:
        """Raise the error for complex numbers unless the rules take them."""
        if not self.takes_complex:
            refuse_complex(self.name)

    def for_rules(self, arrays: Sequence[Array], dtype: Any) -> tuple[Array, ...]:
        """The arrays in the result's dtype, for the rules: integers would wrap around there, few digits stay few.

        Python's True is 1 there, since NumPy's exp(True) has float16's digits.
        """
        others = [i for i, x in enumerate(arrays) if getattr(x, "dtype", dtype) is not dtype]
        if dtype.kind == "f" and "c" in [arrays[i].dtype.kind for i in others]:
            self.check_complex()
        cast = [i for i in others if self.vjps[i] is not None and is_coarser(arrays[i], dtype)]
        return tuple([x.astype(dtype) if i in cast else int(x) if type(x) is bool else x for i, x in enumerate(arrays)])


listeners: list[Callable[[Op], None]] = []
"""Functions to call with each new operation; the registry adds one."""


def elementwise(
    forward: Callable[..., Array], *derivatives: Derivative, name: str | None = None, **facts: Unpack[Facts]
) -> Op:
    """Declare an operation that works entry by entry, as a calculus table does.

    y = forward(*x) broadcasts as NumPy does. `derivatives[i](y, *x)` is ∂y/∂xᵢ, entry by entry, written with NumPy and
    operators; it may also be a plain number (1, -1, 0). Parameters are keywords of the forward and of each derivative.
    An operation without derivatives answers a question, and no gradient flows through it. The engine multiplies by the
    upstream gradient and sums over broadcast axes. `facts` are those of `Facts`.

    Raises:
        ShapeError: from a call with tensors, if the result has another shape than the arguments together.
        UsageError: if the operation has no name, or a derivative takes other arguments.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> cube = tg.elementwise(lambda x: x**3, lambda y, x: 3 * x**2, name="cube")
        >>> float(tg.grad(cube)(2.0))
        12.0
    """
    arity = len(derivatives) or getattr(forward, "nin", None) or len(signature_of(forward).parameters)
    op = Op(forward, [_times(d, arity + ("shared" in facts)) for d in derivatives], name=name, arity=arity, **facts)
    op.derivatives = [op.completed(d, 1) if callable(d) else d for d in derivatives]
    op.for_large = {(i, op.vjps[i]): times_in_total(i, d) for i, d in enumerate(op.derivatives) if d not in (0, 1)}
    return _declared(op)


def _times(derivative: Derivative, arity: int) -> Rule:
    """The vector-Jacobian product of an elementwise operation: the upstream gradient times the derivative."""
    if isinstance(derivative, (int, float)):
        return _BY_NUMBER.get(derivative) or (lambda g, y, *x, **params: g * derivative)
    if not callable(derivative):
        raise UsageError(f"a derivative is a function of y and the arguments, or a number; got {derivative!r}")
    code = getattr(derivative, "__code__", None)
    if code and code.co_argcount == arity + 1 and not (code.co_kwonlyargcount or code.co_flags & CO_VARKEYWORDS):
        if arity == 1:  # a call without star arguments takes half the time
            return lambda g, y, x: g * derivative(y, x)
        if arity == 2:
            return lambda g, y, a, b: g * derivative(y, a, b)
    return lambda g, y, *x, **params: g * derivative(y, *x, **params)


_BY_NUMBER: dict[float, Rule] = {
    1: lambda g, y, *x, **params: g,
    -1: lambda g, y, *x, **params: -g,
    0: lambda g, y, *x, **params: np.zeros_like(g),
}


def primitive(
    forward: Callable[..., Array],
    *vjps: Rule | None,
    each: Rule | None = None,
    name: str | None = None,
    arity: int | None = None,
    **facts: Unpack[Facts],
) -> Op:
    """Declare an operation that does not work entry by entry: a product, a reduction, a loss.

    `vjps[i](g, y, *x, **params)` is the vector-Jacobian product gᵀ ∂y/∂xᵢ. The upstream gradient g has y's shape; the
    result has xᵢ's shape, or a shape that xᵢ was broadcast to, in which case the engine sums over the broadcast axes.
    Use None for an argument without a derivative. The operation knows the parameters that its rules name. An operation
    without rules answers a question about its first `arity` arguments (by default one), and no gradient flows through
    it. `facts` are those of `Facts`.

    Args:
        each: for any number of arguments, one rule `each(i, g, y, x, **params)`, which differentiates by x[i].

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> energy = tg.primitive(lambda x: 0.5 * x @ x, lambda g, y, x: g * x, name="energy")
        >>> tg.grad(energy)(np.array([1.0, 2.0]))
        array([1., 2.])
    """
    if each is not None:
        return _declared(Op(forward, ForEach(each), name=name, arity=None, **facts))
    return _declared(Op(forward, vjps, name=name, arity=len(vjps) or arity or 1, **facts))


def _declared(op: Op) -> Op:
    op.module = sys._getframe(2).f_globals.get("__name__", "")  # the caller of elementwise or primitive
    for listener in listeners:
        listener(op)
    return op
