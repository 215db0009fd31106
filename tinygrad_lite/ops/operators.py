"""Floor 1. The Python operators, methods and NumPy protocols that every traced value shares.

A traced value that inherits `Operators` and defines `__trace__` works with `x + y`, `x.sum(axis=0)`, `x[1:]`, and
with NumPy's own functions, which find their way here through `__array_ufunc__` and `__array_function__`.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_lite.errors import UsageError
from tinygrad_lite.ops import (
    activations,
    elementwise,
    indexing,
    ordering,
    products,
    reductions,
    running,
    selection,
    shaping,
)
from tinygrad_lite.ops.casting import cast
from tinygrad_lite.ops.op import NO_PARAMS, Array, Op, Traced, as_array
from tinygrad_lite.ops.registry import answer_to

TURNED_INTO_ARRAY = (
    "NumPy was about to turn a value that is being differentiated into a plain array, and its history would be lost. "
    "Write tg.array([...]), np.stack([...]) or np.concatenate([...]) in place of np.array([...]); np.dot(array, "
    "tensor) in place of array.dot(tensor); tg.nn.functional's softmax, log_softmax and logsumexp in place of those of "
    "scipy.special; and tensor.numpy() to leave the graph on purpose"
)


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose first argument is an array, as a method."""

    def method(self: Any, *args: Any, **params: Any) -> Any:
        return function(self, *args, **params)

    return method


def _operator(op: Op) -> Callable[[Any, Array], Any]:
    return lambda self, other: self.__trace__(op, (self, other), NO_PARAMS)


def _reflected(op: Op) -> Callable[[Any, Array], Any]:
    return lambda self, other: self.__trace__(op, (other, self), NO_PARAMS)


def _cast_as_asked(ufunc: np.ufunc, inputs: tuple[Array, ...], params: dict[str, Any]) -> tuple[Array, ...]:
    """The inputs in the dtype that a ufunc is asked to compute in; what is settled with that leaves the keywords."""
    for name in ("order", "subok"):  # how the result lies in memory
        params.pop(name, None)
    casting = params.pop("casting", "same_kind")
    dtype = params.pop("dtype", None)
    if dtype is None:
        return inputs
    arrays = [as_array(x) for x in inputs]
    for x in arrays:
        if not np.can_cast(x.dtype, dtype, casting):
            raise UsageError(f"{ufunc.__name__}: dtype={np.dtype(dtype)} cannot hold {x.dtype}")
    return tuple(x.astype(dtype) for x in arrays)


class Operators(Traced):
    """Python's operators and NumPy's methods and protocols, each as the operation that it stands for."""

    __slots__ = ()
    __pandas_priority__ = 5000  # pandas objects leave `frame * tensor` to the tensor

    @property
    def shape(self) -> tuple[int, ...]:
        raise NotImplementedError

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Array, **params: Any) -> Any:
        if method == "outer":
            a, b = inputs
            inputs = (np.reshape(a, np.shape(a) + (1,) * np.ndim(b)), b)
        elif method != "__call__":
            params.pop("array", None)  # the one array, which NumPy hands on twice if it was named
            return answer_to(getattr(ufunc, method))(*inputs, **params)
        if params:
            inputs = _cast_as_asked(ufunc, inputs, params)
        return answer_to(ufunc)(*inputs, **params)

    def __array_function__(self, function: Any, types: Any, args: Any, params: Any) -> Any:
        return answer_to(function)(*args, **params)

    __add__ = _operator(elementwise.add)
    __radd__ = _reflected(elementwise.add)
    __sub__ = _operator(elementwise.subtract)
    __rsub__ = _reflected(elementwise.subtract)
    __mul__ = _operator(elementwise.multiply)
    __rmul__ = _reflected(elementwise.multiply)
    __truediv__ = _operator(elementwise.divide)
    __rtruediv__ = _reflected(elementwise.divide)
    __matmul__ = _operator(products.matmul)
    __rmatmul__ = _reflected(products.matmul)
    __floordiv__ = _operator(elementwise.floor_divide)
    __rfloordiv__ = _reflected(elementwise.floor_divide)
    __mod__ = _operator(elementwise.remainder)
    __rmod__ = _reflected(elementwise.remainder)
    __rpow__ = _reflected(elementwise.power)

    def __pow__(self, exponent: Array) -> Any:
        # NumPy's own shortcut for arrays, several times faster than the general power
        if type(exponent) is int and exponent == 2:
            return elementwise.square(self)
        return elementwise.power(self, exponent)

    def __divmod__(self, other: Array) -> Any:
        return elementwise.divmod(self, other)

    def __rdivmod__(self, other: Array) -> Any:
        return elementwise.divmod(other, self)

    def __round__(self, decimals: int | None = None) -> Any:
        return elementwise.round(self, decimals=decimals or 0)

    def __neg__(self) -> Any:
        return elementwise.negative(self)

    def __pos__(self) -> Any:
        return elementwise.positive(self)

    def __abs__(self) -> Any:
        return elementwise.absolute(self)

    def __invert__(self) -> Any:
        return selection.invert(self)

    __eq__ = _operator(selection.equal)
    __ne__ = _operator(selection.not_equal)
    __lt__ = _operator(selection.less)
    __le__ = _operator(selection.less_equal)
    __gt__ = _operator(selection.greater)
    __ge__ = _operator(selection.greater_equal)
    __and__ = _operator(selection.bitwise_and)
    __rand__ = _reflected(selection.bitwise_and)
    __or__ = _operator(selection.bitwise_or)
    __ror__ = _reflected(selection.bitwise_or)
    __xor__ = _operator(selection.bitwise_xor)
    __rxor__ = _reflected(selection.bitwise_xor)
    __hash__ = object.__hash__

    def __getitem__(self, index: Any) -> Any:
        return indexing.getitem(self, index=indexing.fixed(index))

    def __setitem__(self, index: Any, values: Array) -> None:
        raise UsageError("arrays in a graph never change: write x = x.at[index].set(values), or .add(values)")

    @property
    def at(self) -> "At":
        """Indexing for a changed copy: `x.at[i].set(v)` and `x.at[i].add(v)`."""
        return At(self)

    def __len__(self) -> int:
        if not self.shape:
            raise UsageError("a 0-d tensor has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    @property
    def T(self) -> Any:
        """All axes in reverse order."""
        return shaping.transpose(self)

    @property
    def mT(self) -> Any:
        """The last two axes exchanged."""
        return shaping.swapaxes(self, axis1=-1, axis2=-2)

    def reshape(self, *shape: Any, order: str = "C", copy: bool | None = None) -> Any:
        return answer_to(np.reshape)(self, _one_or_many(shape), order=order, copy=copy)

    def transpose(self, *axes: Any) -> Any:
        order = _one_or_many(axes) if axes else None
        return shaping.transpose(self, axes=(order,) if isinstance(order, int) else order)

    def flatten(self, order: str = "C") -> Any:
        return answer_to(np.ravel)(self, order=order)

    def astype(
        self, dtype: Any, order: str = "K", casting: Any = "unsafe", subok: bool = True, copy: bool = True
    ) -> Any:
        """The same values in another dtype; integers and booleans carry no gradient."""
        if not np.can_cast(self.dtype, dtype, casting):
            raise UsageError(f"astype: {self.dtype} does not go into {np.dtype(dtype)} under casting={casting!r}")
        return cast(self, dtype=np.dtype(dtype))

    @property
    def real(self) -> Any:
        """The real part."""
        return np.real(self)

    @property
    def imag(self) -> Any:
        """The imaginary part."""
        return np.imag(self)

    copy = _method(np.copy)
    conj = _method(np.conjugate)
    conjugate = _method(np.conjugate)
    ravel = _method(np.ravel)
    swapaxes = _method(shaping.swapaxes)
    squeeze = _method(shaping.squeeze)
    expand_dims = _method(shaping.expand_dims)
    broadcast_to = _method(shaping.broadcast_to)

    sum = _method(reductions.sum)
    mean = _method(reductions.mean)
    var = _method(reductions.var_as_numpy)
    std = _method(reductions.std_as_numpy)
    max = _method(reductions.max)
    min = _method(reductions.min)
    prod = _method(reductions.prod)
    logsumexp = _method(reductions.logsumexp)
    cumsum = _method(running.cumsum)
    cumprod = _method(running.cumprod)

    take = _method(indexing.take)
    repeat = _method(np.repeat)
    diagonal = _method(np.diagonal)
    trace = _method(np.trace)
    dot = _method(products.dot)

    def compress(self, condition: Any, axis: int | None = None) -> Any:
        return indexing.compress(condition, self, axis)

    def choose(self, choices: Any, mode: str = "raise") -> Any:
        return selection.choose(self, choices, mode=mode)

    def _in_place(self, *_: Any, **__: Any) -> None:
        raise UsageError(
            "arrays in a graph never change: write x = np.sort(x), np.partition(x, k), np.resize(x, shape), or "
            "x.at[index].set(values)"
        )

    sort = partition = resize = fill = put = __delitem__ = _in_place

    argmax = _method(selection.argmax)
    argmin = _method(selection.argmin)
    argsort = _method(ordering.argsort)
    argpartition = _method(ordering.argpartition)
    searchsorted = _method(ordering.searchsorted)
    nonzero = _method(selection.nonzero)
    all = _method(selection.all)
    any = _method(selection.any)

    abs = _method(elementwise.absolute)
    sign = _method(elementwise.sign)
    sqrt = _method(elementwise.sqrt)
    square = _method(elementwise.square)
    round = _method(elementwise.round)
    exp = _method(elementwise.exp)
    expm1 = _method(elementwise.expm1)
    log = _method(elementwise.log)
    log1p = _method(elementwise.log1p)
    sin = _method(elementwise.sin)
    cos = _method(elementwise.cos)
    tanh = _method(elementwise.tanh)
    maximum = _method(elementwise.maximum)
    minimum = _method(elementwise.minimum)
    clip = _method(np.clip)
    matmul = _method(products.matmul)

    relu = _method(activations.relu)
    leaky_relu = _method(activations.leaky_relu)
    sigmoid = _method(activations.sigmoid)
    softplus = _method(activations.softplus)
    softmax = _method(activations.softmax)
    log_softmax = _method(activations.log_softmax)
    gelu = _method(activations.gelu)
    silu = _method(activations.silu)


def _one_or_many(sizes: tuple[Any, ...]) -> Any:
    """`t.reshape(2, 3)` and `t.reshape((2, 3))` are the same."""
    return sizes[0] if len(sizes) == 1 else sizes


class At:
    """The entries of a traced value, waiting for an index: `x.at[index]`."""

    def __init__(self, x: Array) -> None:
        self._x = x

    def __getitem__(self, index: Any) -> "Entries":
        return Entries(self._x, indexing.fixed(index))


class Entries:
    """Some entries of a traced value, waiting for what to do there."""

    def __init__(self, x: Array, index: Any) -> None:
        self._x = x
        self._index = index

    def set(self, values: Array) -> Any:
        """A copy with these entries replaced; where an index repeats, the last value stays."""
        return indexing.index_set(self._x, values, index=self._index)

    def add(self, values: Array) -> Any:
        """A copy with these values added; where an index repeats, each is added."""
        return indexing.index_add(self._x, values, index=self._index)
