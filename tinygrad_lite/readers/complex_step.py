"""A value a tiny step off the real line: derivatives to machine precision, without a rule.

For an analytic f, the imaginary part of f(x + ih·t) is h·∂f/∂x·t, up to h². Nothing is subtracted, so h can be so small
that h² vanishes. A `ComplexStep` is such an x. It passes for a real array with the entries of its real part. It applies
each operation through its continuation to the complex plane: `on_complex` if that is declared, else the forward itself;
if the forward is a Python function, that means the continuations of the operations in it.

Tensors can hold it as they hold any other array, so it also works for functions that differentiate.

Reference: W. Squire and G. Trapp, Using complex variables to estimate derivatives of real functions, SIAM Review 40
(1998).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from tinygrad_lite.engine.op import Array, Op
from tinygrad_lite.engine.operators import Operators
from tinygrad_lite.engine.tensor import Tensor, wrap
from tinygrad_lite.ops.continuations.forms import NotContinuedError
from tinygrad_lite.transforms.dual import Dual

STEP = 2.0**-80
"""The size of a step beside the number that it is added to: its square vanishes beside 1, even 1e13 times as large, and
1e-280 times it is still a normal number."""
_REAL = {np.dtype(kind): np.zeros(0, kind).real.dtype for kind in (np.complex64, np.complex128, np.clongdouble)}


class Followed(Operators):
    """A value that tensors hold in place of an array, and that never becomes a plain array on the way.

    Attributes:
        value: the array, or another value in its place.
    """

    __slots__ = ("value",)
    value: Array

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        return self.value.size  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.value.dtype  # type: ignore[no-any-return]

    def numpy(self) -> Self:
        """The value itself, so that further operations still see it."""
        return self

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        raise NotContinuedError("the value became a plain array, where the complex step cannot follow it")

    def __float__(self) -> float:
        raise NotContinuedError("the value became a plain number, where the complex step cannot follow it")

    __int__ = __bool__ = __float__

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value!r})"


class ComplexStep(Followed):
    """A real array with a tiny imaginary part, which carries its directional derivative.

    Attributes:
        value: the complex array.
    """

    __slots__ = ()

    def __init__(self, value: Array) -> None:
        self.value = value

    def __trace__(self, op: Op, inputs: tuple[Array, ...], params: Mapping[str, Any]) -> Any:
        arrays = []
        for x in inputs:
            if isinstance(x, (Tensor, Dual)):
                return op(*[wrap(x) if type(x) is ComplexStep else x for x in inputs], **params)
            if type(x) is not ComplexStep and np.iscomplexobj(x):
                raise NotContinuedError(f"{op} makes complex numbers, and the step is one already")
            arrays.append(x.value if type(x) is ComplexStep else x)
        if _makes_integers(params) or (op.on_complex is None and not op.vjps):
            return op(*map(_real, inputs), **params)
        if op.on_complex is None and op.is_composite:
            return op.forward(*inputs, **params)
        try:
            y = (op.on_complex or op.forward)(*arrays, **params)
        except (TypeError, ValueError) as error:
            raise NotContinuedError(f"{op} has no continuation to the complex plane: {error}") from error
        if y.dtype.kind != "c":
            raise NotContinuedError(f"{op} has no continuation to the complex plane: it makes real numbers of complex")
        return ComplexStep(y)

    @property
    def dtype(self) -> np.dtype[Any]:
        return _REAL[self.value.dtype]


def _makes_integers(params: Mapping[str, Any]) -> bool:
    """Whether an operation is told to make integers or booleans, which carry no step and may be indices."""
    return "dtype" in params and np.dtype(params["dtype"]).kind in "biu"


def _real(x: Array) -> Array:
    return x.value.real if type(x) is ComplexStep else x


def changes(
    f: Callable[..., Sequence[Array]], arrays: Sequence[Array], directions: Sequence[Array], as_tensors: bool = True
) -> list[Array]:
    """The directional derivative ∂f/∂x · t of each result of f, in the result's shape.

    Args:
        as_tensors: whether to pass tensors to f, for what only tensors can do; without them it is faster.

    Raises:
        NotContinuedError: if something on the way has no continuation to the complex plane.
    """
    moved = []
    for x, direction in zip(arrays, directions):
        z = np.array(x, complex)
        z.imag = STEP * np.asarray(direction, float)
        step = ComplexStep(z[()])
        moved.append(wrap(step) if as_tensors else step)
    with np.errstate(all="ignore"):
        results = f(*moved)
    return [_change(y) for y in results]


def _change(y: Array) -> Array:
    y = y.data if isinstance(y, Tensor) else y
    return y.value.imag / STEP if isinstance(y, ComplexStep) else np.zeros(np.shape(y))
