"""Python's operators, NumPy's methods and NumPy's protocols, which all traced values share.

A traced value that inherits `Operators` and defines `__trace__` works with `x + y`, `x.sum(axis=0)`, `x[1:]`, and
with NumPy's own functions, which arrive here through `__array_ufunc__` and `__array_function__`. Each operator and
method stands for a NumPy function and is bound to the operation that answers it when that is declared.
"""

import operator
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import numpy as np

from tinygrad_lite.engine.op import NO_PARAMS, Array, Op, Traced
from tinygrad_lite.engine.registry import answer_to, when_declared
from tinygrad_lite.errors import UsageError
from tinygrad_lite.foundation.protocols import Protocols


class _Bound:
    """An attribute that is made from an operation, given by the NumPy function it answers or by name, once declared."""

    def __init__(self, function: Callable[..., Any] | str, make: Callable[[Any], Any]) -> None:
        self._function = function
        self._make = make

    def __set_name__(self, owner: type, name: str) -> None:
        when_declared(self._function, lambda answer: setattr(owner, name, self._make(answer)))


def _method(function: Callable[..., Any] | str) -> Any:
    def make(answer: Any) -> Any:
        def method(self: Any, *args: Any, **params: Any) -> Any:
            if args or params or answer.arity != 1:
                return answer(self, *args, **params)
            return self.__trace__(answer, (self,), NO_PARAMS)

        return answer if type(answer) is FunctionType else method  # a function is a method already

    return _Bound(function, make)


def _methods(*functions: Callable[..., Any] | str) -> Any:
    return map(_method, functions)


def _property(function: Callable[..., Any]) -> Any:
    return _Bound(function, property)


def _operator(function: Callable[..., Any]) -> Any:
    return _Bound(function, lambda op: lambda self, other: self.__trace__(op, (self, other), NO_PARAMS))


def _reflected(function: Callable[..., Any]) -> Any:
    return _Bound(function, lambda op: lambda self, other: self.__trace__(op, (other, self), NO_PARAMS))


def _both(function: Callable[..., Any]) -> Any:
    return _operator(function), _reflected(function)


class Operators(Protocols, Traced):
    """Python's operators and NumPy's methods and protocols, each bound to its operation."""

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
            params.pop("array", None)  # NumPy passes the array twice if it was passed by keyword
            return answer_to(getattr(ufunc, method))(*inputs, **params)
        if params:
            inputs = answer_to(np.ufunc.resolve_dtypes)(ufunc, inputs, params)
        answer = answer_to(ufunc)
        if type(answer) is Op and not params:
            return self.__trace__(answer, inputs, NO_PARAMS)
        return answer(*inputs, **params)

    def __array_function__(self, function: Any, types: Any, args: Any, params: Any) -> Any:
        if params and id(np._NoValue) in map(id, params.values()):  # NumPy passes it for what was left out
            params = {name: value for name, value in params.items() if value is not np._NoValue}
        return answer_to(function)(*args, **params)

    __add__, __radd__ = _both(np.add)
    __sub__, __rsub__ = _both(np.subtract)
    __mul__, __rmul__ = _both(np.multiply)
    __truediv__, __rtruediv__ = _both(np.divide)
    __matmul__, __rmatmul__ = _both(np.matmul)
    __floordiv__, __rfloordiv__ = _both(np.floor_divide)
    __mod__, __rmod__ = _both(np.remainder)
    _power, __rpow__ = _both(np.power)
    __and__, __rand__ = _both(np.bitwise_and)
    __or__, __ror__ = _both(np.bitwise_or)
    __xor__, __rxor__ = _both(np.bitwise_xor)
    (__lshift__, __rlshift__), (__rshift__, __rrshift__) = _both(np.left_shift), _both(np.right_shift)
    __eq__, __ne__ = _operator(np.equal), _operator(np.not_equal)
    __lt__, __le__, __gt__, __ge__ = map(_operator, (np.less, np.less_equal, np.greater, np.greater_equal))
    __hash__ = object.__hash__
    __neg__, __pos__, __abs__, __invert__ = _methods(np.negative, np.positive, np.absolute, np.invert)
    __getitem__, __divmod__ = _methods(operator.getitem, np.divmod)
    __rdivmod__ = _Bound(np.divmod, lambda answer: lambda self, other: answer(other, self))
    __round__ = _Bound(np.round, lambda answer: lambda self, decimals=None: answer(self, decimals or 0))
    at = _property(operator.setitem)

    def __pow__(self, exponent: Array) -> Any:
        # NumPy's own shortcut, several times faster than the general power
        return self.square() if type(exponent) is int and exponent == 2 else self._power(exponent)

    def __setitem__(self, index: Any, values: Array) -> None:
        raise UsageError("arrays in a graph never change: write x = x.at[i].set(v), or .add(v), or tg.functionalize(f)")

    def __len__(self) -> int:
        if not self.shape:
            raise UsageError("a 0-d tensor has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    T = _property(np.transpose)
    mT: Any = _Bound(np.swapaxes, lambda swapaxes: property(lambda self: swapaxes(self, axis1=-1, axis2=-2)))  # noqa: N815
    real, imag = _property(np.real), _property(np.imag)

    def _in_place(self, *_: Any, **__: Any) -> None:
        raise UsageError(
            "arrays in a graph never change: write x = np.sort(x), np.partition(x, k), np.resize(x, shape), or "
            "x.at[index].set(values)"
        )

    sort = partition = resize = fill = put = __delitem__ = _in_place

    reshape, transpose, astype = _methods(np.ndarray.reshape, np.ndarray.transpose, np.ndarray.astype)
    copy, ravel, flatten, conj, conjugate = _methods(np.copy, np.ravel, np.ravel, np.ndarray.conj, np.ndarray.conj)
    swapaxes, squeeze, expand_dims = _methods(np.swapaxes, np.squeeze, np.expand_dims)
    broadcast_to, take, repeat, diagonal = _methods(np.broadcast_to, np.take, np.repeat, np.diagonal)
    sum, mean, var, std, max, min, prod = _methods(np.sum, np.mean, np.var, np.std, np.max, np.min, np.prod)
    cumsum, cumprod, trace, dot, matmul = _methods(np.cumsum, np.cumprod, np.trace, np.dot, np.matmul)
    argmax, argmin, argsort, argpartition = _methods(np.argmax, np.argmin, np.argsort, np.argpartition)
    searchsorted, nonzero, all, any = _methods(np.searchsorted, np.nonzero, np.all, np.any)
    abs, sign, sqrt, square, round = _methods(np.absolute, np.sign, np.sqrt, np.square, np.round)
    exp, expm1, log, log1p, sin, cos = _methods(np.exp, np.expm1, np.log, np.log1p, np.sin, np.cos)
    tanh, maximum, minimum, clip = _methods(np.tanh, np.maximum, np.minimum, np.clip)
    compress = _Bound(np.compress, lambda answer: lambda self, condition, axis=None: answer(condition, self, axis))
    choose, logsumexp, relu, leaky_relu, sigmoid = _methods(np.choose, "logsumexp", "relu", "leaky_relu", "sigmoid")
    softplus, softmax, log_softmax, gelu, silu = _methods("softplus", "softmax", "log_softmax", "gelu", "silu")
