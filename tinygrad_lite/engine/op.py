"""What an operation is: plain NumPy with its derivatives beside it, declared once.

`elementwise` and `primitive` make an `Op` out of such a declaration and enter it in the registry (`registry.py`).
Calling an `Op` on arrays computes its value; on values that are traced (a `Tensor`, say), each kind of traced value
says what happens.
"""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from types import FunctionType, MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from tinygrad_lite.engine import registry
from tinygrad_lite.errors import ShapeError, UsageError

Array: TypeAlias = Any
"""A NumPy array or scalar, a traced value, or any other array that speaks NumPy's protocols."""

Rule: TypeAlias = Callable[..., Array]
Derivative: TypeAlias = Rule | float
Example: TypeAlias = tuple[Sequence[Any], Mapping[str, Any]]
"""A call to try: for each array its shape, or the array itself where not any values will do; and the parameters."""

NO_PARAMS: Mapping[str, Any] = MappingProxyType({})
REAL = (-np.inf, np.inf)
POSITIVE = (0.0, np.inf)


class Traced:
    """A value that says for itself what happens when an operation meets it.

    An operation hands itself to the first traced value among its inputs, a Python operator to its left side.
    """

    __slots__ = ()
    dtype: Any
    holds_tangent = False  # which a plain array would lose

    def beside(self, x: Array) -> Array:
        """What stands for an array that meets this value, where it lies under tensors: unless told, the array."""
        return x

    def __trace__(self, op: "Op", inputs: tuple[Array, ...], params: Mapping[str, Any]) -> Array:
        raise NotImplementedError


class Deferred:
    """A gradient, nearly all zeros, that its rule made no array of: it takes in others, and is made whole once."""

    def add(self, gradient: Any) -> "Deferred":
        """Take in another gradient of the same argument, an array or deferred too."""
        raise NotImplementedError

    def whole(self) -> Array:
        """The array."""
        raise NotImplementedError


class Op:
    """An operation: its value and the vector-Jacobian product of each argument, both as plain NumPy.

    Attributes:
        forward: the value; arrays are positional, parameters are keywords.
        vjps: one `vjp(g, y, *x, **params)` per argument, None where an argument has no derivative. Empty for what
            answers a question (a comparison, an argmax) and so carries no gradient.
        arity: how many arrays it takes; None if any number, in which case `vjps[i]` exists for every i.
        derivatives: of an operation that works entry by entry, as they were declared; else empty.
        keywords: the parameters that the rules know. Others are refused, never ignored.
        domain: per argument, the open interval in which it is real and smooth.
        kink: an expression of the arguments that is zero where the operation is not differentiable.
        on_complex: its continuation to the complex plane, on complex arrays; None where the forward itself is that.
        examples: shapes and parameters to try it on, for whoever loops over the registry.
        linear: whether it is linear in each argument that has a derivative, the others held fixed.
        module: where it was declared.
    """

    def __init__(
        self,
        forward: Callable[..., Array],
        vjps: Sequence[Rule | None],
        *,
        name: str | None = None,
        arity: int | None,
        domain: Sequence[tuple[float, float]] | None = None,
        kink: Rule | None = None,
        on_complex: Rule | None = None,
        examples: Sequence[Example] | None = None,
        linear: bool = False,
    ) -> None:
        self.forward = forward
        self.name = name or forward.__name__.lstrip("_")
        if self.name == "<lambda>":
            raise UsageError("an operation needs a name, to be printed and found by: pass name=")
        self.vjps = vjps
        self.arity = arity
        self.domain = domain
        self.kink = kink
        self.on_complex = on_complex
        self.examples = examples
        self.linear = linear
        self.derivatives: Sequence[Derivative] = ()
        self.module = __name__

    @cached_property
    def keywords(self) -> frozenset[str]:
        """The names of the parameters that the rules know; of what answers a question, those of the forward."""
        rules = self.derivatives or self.vjps
        if isinstance(rules, ForEach):
            parameters = list(_signature(rules.rule).parameters.values())[4:]
        elif rules:
            rule = next(filter(callable, rules), None)
            before = (self.arity or 0) + (1 if self.derivatives else 2)
            parameters = list(_signature(rule).parameters.values())[before:] if rule else []
        else:
            parameters = list(_signature(self.forward).parameters.values())[self.arity or 0 :]
        return frozenset(
            p.name for p in parameters if p.name != "out" and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        )

    @cached_property
    def reads_values(self) -> bool:
        """Whether a derivative depends on the arguments' values, so that nobody may change these."""
        return not self.derivatives or any(callable(derivative) for derivative in self.derivatives)

    @cached_property
    def is_composite(self) -> bool:
        """Whether the forward is a Python function, which calls NumPy's, and not one of NumPy's own."""
        return isinstance(self.forward, FunctionType) and not (self.forward.__module__ or "").startswith("numpy")

    def __call__(self, *inputs: Array, **params: Any) -> Array:
        if params or len(inputs) != self.arity:
            inputs, params = self._sorted(inputs, params)  # type: ignore[assignment]
        for x in inputs:
            if isinstance(x, Traced):
                return x.__trace__(self, inputs, params)
        return self.forward(*inputs, **params)

    def __repr__(self) -> str:
        return self.name

    def __copy__(self) -> "Op":
        return self

    def __deepcopy__(self, memo: Any) -> "Op":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        if not registry.is_registered(self):
            raise UsageError(f"operation {self.name} was declared again since, and would come back as another one")
        return registry.operation, (self.name,)

    def _sorted(
        self, inputs: tuple[Array, ...], params: Mapping[str, Any]
    ) -> tuple[tuple[Array, ...], Mapping[str, Any]]:
        """Arrays and parameters as the rules take them; parameters that nobody can change, and no tensors."""
        if self.arity not in (len(inputs), None) or not self.keywords.issuperset(params):
            inputs, params = self.bind(inputs, params)
        for name, value in params.items():
            if isinstance(value, (Traced, list, np.ndarray)):
                params = {**params, name: self._fixed(name, value)}
        return inputs, params

    def _fixed(self, name: str, value: Any) -> Any:
        """A parameter as a value of its own, which nobody can change."""
        if isinstance(value, list):
            return tuple(value)
        if isinstance(value, Traced) and value.dtype.kind not in "biu":
            raise UsageError(f"{self.name}: {name}= is a parameter without a derivative; pass a number, not a tensor")
        return unchanging(value)

    @cached_property
    def signature(self) -> inspect.Signature:
        return _signature(self.forward)

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[tuple[Array, ...], dict[str, Any]]:
        """Sort the arguments of a call in the function's own signature into arrays and parameters."""
        for name, value in kwargs.items():
            if name not in self.signature.parameters:
                self.refuse(name, value)
        try:
            given = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise UsageError(f"{self.name}{self.signature}: {error}") from None
        given.apply_defaults()
        values = list(given.arguments.items())
        arrays = tuple(value for _, value in values[: self.arity])
        params = {}
        for name, value in values[self.arity :]:
            default = self.signature.parameters[name].default
            if name in self.keywords:
                if value is not default:
                    params[name] = value
            elif value is not default and not (value is None or value is np._NoValue):
                self.refuse(name, value)
        return arrays, params

    def real(self, arrays: Sequence[Array], dtype: Any) -> list[Array]:
        """The arrays as the rules see them, in the result's dtype: integers would wrap, and few digits stay few."""
        return [
            x.astype(dtype)
            if hasattr(x, "dtype") and x.dtype != dtype and x.dtype.kind in "biuf" and self.vjps[i] is not None
            else x
            for i, x in enumerate(arrays)
        ]

    def refuse(self, name: str, value: Any) -> None:
        """Raise the error for a keyword that the derivatives do not know."""
        if name == "out":
            refuse_out(self.name, value)
        known = ", ".join(f"{keyword}=" for keyword in sorted(self.keywords)) or "no keyword"
        name = {"dim": "dim (axis, in NumPy's terms)", "keepdim": "keepdim (keepdims, in NumPy's terms)"}.get(
            name, name
        )
        raise UsageError(f"{self.name}: {name}={value!r} has no derivative here; it knows {known}")

    def complaint(self, error: Exception, arrays: Sequence[Array]) -> Exception:
        """The error to raise in place of one that the forward raised when it was given these arrays."""
        kind = ShapeError if isinstance(error, ValueError) else UsageError
        return kind(f"{self.name} cannot take {given(arrays)}: {error}")


def unchanging(x: Any) -> Array:
    """An array as a parameter: a copy, which nobody can change; of a tensor what lies under it, if that is traced."""
    under = getattr(x, "data", x) if isinstance(x, Traced) else x
    return under if isinstance(under, Traced) else np.array(x)


def as_array(x: Any) -> Array:
    """A list or a number as an array; what is an array of any kind already, as it is."""
    return x if hasattr(x, "dtype") else np.asarray(x)


def total(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    """The sum of an array of any kind; of NumPy's own in half the time that np.sum takes."""
    reduce: Any = np.add.reduce if type(x) is np.ndarray else np.sum
    return reduce(x, axis=axis, keepdims=keepdims)


def refuse_out(name: str, out: Array) -> None:
    """Raise the error for an array that the result of `name` shall be written into, if there is one."""
    if out is not None:
        raise UsageError(f"{name}: out= would write into an array, and arrays here never change; use the result")


def given(arrays: Sequence[Array]) -> str:
    """What an operation was given, for messages: dtypes with shapes, and numbers."""
    return " and ".join(f"{x.dtype}{list(x.shape)}" if hasattr(x, "dtype") else repr(x) for x in arrays)


def _register(op: Op) -> Op:
    op.module = sys._getframe(2).f_globals.get("__name__", "")  # whoever called elementwise or primitive
    registry.register(op)
    return op


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except ValueError:  # before NumPy 2.4, a function written in C does not tell its signature
        count = getattr(function, "nin", 1)
        kind = inspect.Parameter.POSITIONAL_ONLY
        return inspect.Signature([inspect.Parameter(f"x{i + 1}", kind) for i in range(count)])


def elementwise(
    forward: Callable[..., Array],
    *derivatives: Derivative,
    name: str | None = None,
    domain: Sequence[tuple[float, float]] | None = None,
    kink: Rule | None = None,
    on_complex: Rule | None = None,
    examples: Sequence[Example] | None = None,
) -> Op:
    """Declare an operation that works entry by entry, as a calculus table does.

    y = forward(*x) broadcasts as NumPy does, and `derivatives[i](y, *x)` is ∂y/∂xᵢ, entry by entry, in NumPy and
    operators; or a plain number (1, -1, 0). Parameters are keywords, of the forward and of each derivative. Without
    any derivative the operation answers a question, and no gradient flows through it. The product with the upstream
    gradient and the sum over broadcast axes are the engine's.

    Args:
        domain: per argument, the open interval in which the operation is real and smooth.
        kink: an expression of the arguments that is zero where the operation is not differentiable.
        on_complex: the forward's continuation to the complex plane, of complex arrays, for gradient checks to machine
            precision; where the forward in NumPy's functions is that itself, as it mostly is, nothing needs saying.
        examples: (shapes, parameters) that tests try besides the broadcast shapes that they draw themselves.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> cube = tg.elementwise(lambda x: x**3, lambda y, x: 3 * x**2, name="cube")
        >>> float(tg.grad(cube)(2.0))
        12.0
    """
    arity = len(derivatives) or getattr(forward, "nin", None) or len(_signature(forward).parameters)
    op = Op(
        forward,
        [_elementwise_vjp(derivative) for derivative in derivatives],
        name=name,
        arity=arity,
        domain=domain,
        kink=kink,
        on_complex=on_complex,
        examples=examples,
    )
    op.derivatives = derivatives
    return _register(op)


def _elementwise_vjp(derivative: Derivative) -> Rule:
    if not callable(derivative) and not isinstance(derivative, (int, float)):
        raise UsageError(f"a derivative is a function of y and the arguments, or a number; got {derivative!r}")
    if callable(derivative):
        return lambda g, y, *x, **params: g * derivative(y, *x, **params)
    if derivative == 1:
        return lambda g, y, *x, **params: g
    if derivative == -1:
        return lambda g, y, *x, **params: -g
    if derivative == 0:
        return lambda g, y, *x, **params: np.zeros_like(g)
    return lambda g, y, *x, **params: g * derivative


def primitive(
    forward: Callable[..., Array],
    *vjps: Rule | None,
    each: Rule | None = None,
    name: str | None = None,
    arity: int | None = None,
    domain: Sequence[tuple[float, float]] | None = None,
    kink: Rule | None = None,
    on_complex: Rule | None = None,
    examples: Sequence[Example] | None = None,
    linear: bool = False,
) -> Op:
    """Declare an operation that is not entry by entry: a product, a reduction, a loss.

    `vjps[i](g, y, *x, **params)` is the vector-Jacobian product gᵀ ∂y/∂xᵢ, with g of y's shape and the result of xᵢ's
    shape, or of a shape that broadcasting made of it: the engine sums over broadcast axes. None stands for an argument
    without a derivative. The parameters that the rules name are those that the operation knows. Without any rule the
    operation answers a question about its first `arity` (1 unless told) arguments, and no gradient flows through it.

    Args:
        each: for any number of arguments, one rule `each(i, g, y, x, **params)` for the i-th of them, x.
        domain, kink, on_complex, examples: as in `elementwise`.
        linear: say so where the operation is linear in each argument that has a derivative while the others are held
            fixed, as a product is: its Jacobian-vector product is then the operation itself. Without it, that product
            is made out of the vjps, for every operation.

    Example:
        >>> import numpy as np, tinygrad_lite as tg
        >>> energy = tg.primitive(lambda x: 0.5 * x @ x, lambda g, y, x: g * x, name="energy")
        >>> tg.grad(energy)(np.array([1.0, 2.0]))
        array([1., 2.])
    """
    if each is not None:
        op = Op(forward, ForEach(each), name=name, arity=None, on_complex=on_complex, examples=examples, linear=linear)
        return _register(op)
    arity = len(vjps) or arity or 1
    return _register(
        Op(
            forward,
            vjps,
            name=name,
            arity=arity,
            domain=domain,
            kink=kink,
            on_complex=on_complex,
            examples=examples,
            linear=linear,
        )
    )


class ForEach(Sequence[Rule]):
    """The rules of an operation that takes any number of arguments: one for each position."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def __getitem__(self, i: Any) -> Any:
        return lambda g, y, *x, **params: self.rule(i, g, y, x, **params)

    def __len__(self) -> int:
        return sys.maxsize


positive = elementwise(np.positive, 1)
"""y = x, the simplest of declarations: what stands in for a tensor, and hands its gradient on, is made by it."""
