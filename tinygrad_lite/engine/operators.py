"""The Python operators, methods and NumPy protocols that every traced value shares.

A traced value that inherits `Operators` and defines `__trace__` works with `x + y`, `x.sum(axis=0)`, `x[1:]`, and
with NumPy's own functions, which find their way here through `__array_ufunc__` and `__array_function__`.
"""

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import NO_PARAMS, Array, Traced, as_array
from tinygrad_lite.engine.registry import answer_to, when_declared
from tinygrad_lite.errors import UsageError

TURNED_INTO_ARRAY = (
    "NumPy was about to turn a value that is being differentiated into a plain array, and its history would be lost. "
    "Write tg.array([...]), np.stack([...]) or np.concatenate([...]) in place of np.array([...]); np.dot(array, "
    "tensor) in place of array.dot(tensor); tg.nn.functional's softmax, log_softmax and logsumexp in place of those of "
    "scipy.special; and tensor.numpy() to leave the graph on purpose"
)


class _Bound:
    """A method that stands for a function, of NumPy's or of an operation's name: made once that is declared."""

    def __init__(self, function: Callable[..., Any] | str, make: Callable[[Any], Any]) -> None:
        self._function = function
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        when_declared(self._function, lambda answer: setattr(owner, name, self._make(answer)))


def _method(function: Callable[..., Any] | str) -> Any:
    return _Bound(function, lambda answer: lambda self, *args, **params: answer(self, *args, **params))


def _operator(function: Callable[..., Any]) -> Any:
    return _Bound(function, lambda op: lambda self, other: self.__trace__(op, (self, other), NO_PARAMS))


def _reflected(function: Callable[..., Any]) -> Any:
    return _Bound(function, lambda op: lambda self, other: self.__trace__(op, (other, self), NO_PARAMS))


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

    __add__ = _operator(np.add)
    __radd__ = _reflected(np.add)
    __sub__ = _operator(np.subtract)
    __rsub__ = _reflected(np.subtract)
    __mul__ = _operator(np.multiply)
    __rmul__ = _reflected(np.multiply)
    __truediv__ = _operator(np.divide)
    __rtruediv__ = _reflected(np.divide)
    __matmul__ = _operator(np.matmul)
    __rmatmul__ = _reflected(np.matmul)
    __floordiv__ = _operator(np.floor_divide)
    __rfloordiv__ = _reflected(np.floor_divide)
    __mod__ = _operator(np.remainder)
    __rmod__ = _reflected(np.remainder)
    __rpow__ = _reflected(np.power)

    _general_power = _operator(np.power)

    def __pow__(self, exponent: Array) -> Any:
        # NumPy's own shortcut for arrays, several times faster than the general power
        if type(exponent) is int and exponent == 2:
            return self.square()
        return self._general_power(exponent)

    __neg__ = _method(np.negative)
    __pos__ = _method(np.positive)
    __abs__ = _method(np.absolute)
    __invert__ = _method(np.invert)
    __divmod__ = _method(np.divmod)

    def __rdivmod__(self, other: Array) -> Any:
        return answer_to(np.divmod)(other, self)

    def __round__(self, decimals: int | None = None) -> Any:
        return self.round(decimals or 0)

    __eq__ = _operator(np.equal)
    __ne__ = _operator(np.not_equal)
    __lt__ = _operator(np.less)
    __le__ = _operator(np.less_equal)
    __gt__ = _operator(np.greater)
    __ge__ = _operator(np.greater_equal)
    __and__ = _operator(np.bitwise_and)
    __rand__ = _reflected(np.bitwise_and)
    __or__ = _operator(np.bitwise_or)
    __ror__ = _reflected(np.bitwise_or)
    __xor__ = _operator(np.bitwise_xor)
    __rxor__ = _reflected(np.bitwise_xor)
    __hash__ = object.__hash__

    __getitem__ = _method(operator.getitem)

    def __setitem__(self, index: Any, values: Array) -> None:
        raise UsageError("arrays in a graph never change: write x = x.at[index].set(values), or .add(values)")

    at = _Bound(operator.setitem, property)

    def __len__(self) -> int:
        if not self.shape:
            raise UsageError("a 0-d tensor has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    @property
    def T(self) -> Any:
        """All axes in reverse order."""
        return answer_to(np.transpose)(self)

    @property
    def mT(self) -> Any:
        """The last two axes exchanged."""
        return answer_to(np.swapaxes)(self, -1, -2)

    def reshape(self, *shape: Any, order: str = "C", copy: bool | None = None) -> Any:
        return answer_to(np.reshape)(self, _one_or_many(shape), order=order, copy=copy)

    def transpose(self, *axes: Any) -> Any:
        order = _one_or_many(axes) if axes else None
        return answer_to(np.transpose)(self, (order,) if isinstance(order, int) else order)

    def flatten(self, order: str = "C") -> Any:
        return answer_to(np.ravel)(self, order=order)

    def astype(
        self, dtype: Any, order: str = "K", casting: Any = "unsafe", subok: bool = True, copy: bool = True
    ) -> Any:
        """The same values in another dtype; integers and booleans carry no gradient."""
        if not np.can_cast(self.dtype, dtype, casting):
            raise UsageError(f"astype: {self.dtype} does not go into {np.dtype(dtype)} under casting={casting!r}")
        return answer_to(np.astype)(self, dtype)

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
    swapaxes = _method(np.swapaxes)
    squeeze = _method(np.squeeze)
    expand_dims = _method(np.expand_dims)
    broadcast_to = _method(np.broadcast_to)

    sum = _method(np.sum)
    mean = _method(np.mean)
    var = _method(np.var)
    std = _method(np.std)
    max = _method(np.max)
    min = _method(np.min)
    prod = _method(np.prod)
    logsumexp = _method("logsumexp")
    cumsum = _method(np.cumsum)
    cumprod = _method(np.cumprod)

    take = _method(np.take)
    repeat = _method(np.repeat)
    diagonal = _method(np.diagonal)
    trace = _method(np.trace)
    dot = _method(np.dot)

    choose = _method(np.choose)

    def compress(self, condition: Any, axis: int | None = None) -> Any:
        return answer_to(np.compress)(condition, self, axis)

    def _in_place(self, *_: Any, **__: Any) -> None:
        raise UsageError(
            "arrays in a graph never change: write x = np.sort(x), np.partition(x, k), np.resize(x, shape), or "
            "x.at[index].set(values)"
        )

    sort = partition = resize = fill = put = __delitem__ = _in_place

    argmax = _method(np.argmax)
    argmin = _method(np.argmin)
    argsort = _method(np.argsort)
    argpartition = _method(np.argpartition)
    searchsorted = _method(np.searchsorted)
    nonzero = _method(np.nonzero)
    all = _method(np.all)
    any = _method(np.any)

    abs = _method(np.absolute)
    sign = _method(np.sign)
    sqrt = _method(np.sqrt)
    square = _method(np.square)
    round = _method(np.round)
    exp = _method(np.exp)
    expm1 = _method(np.expm1)
    log = _method(np.log)
    log1p = _method(np.log1p)
    sin = _method(np.sin)
    cos = _method(np.cos)
    tanh = _method(np.tanh)
    maximum = _method(np.maximum)
    minimum = _method(np.minimum)
    clip = _method(np.clip)
    matmul = _method(np.matmul)

    relu = _method("relu")
    leaky_relu = _method("leaky_relu")
    sigmoid = _method("sigmoid")
    softplus = _method("softplus")
    softmax = _method("softmax")
    log_softmax = _method("log_softmax")
    gelu = _method("gelu")
    silu = _method("silu")


def _one_or_many(sizes: tuple[Any, ...]) -> Any:
    """`t.reshape(2, 3)` and `t.reshape((2, 3))` are the same."""
    return sizes[0] if len(sizes) == 1 else sizes
