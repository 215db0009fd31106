"""Operations as their users call them: NumPy functions, operators and methods, keywords, kinks, and extreme values."""

import copy
import math
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.derivatives import numerical_gradients
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.nn import functional as F

A = np.array([[0.3, -1.2, 2.0], [1.5, 0.4, -0.7]])
B = np.array([0.5, -2.0, 1.1])
P = np.abs(A) + 0.1
C = np.arange(24.0).reshape(2, 3, 4) / 10

# Each row is one operation in all its spellings, which all give the same value and gradient.
SPELLINGS: list[tuple[Any, list[Callable[[Any], Any]]]] = [
    (A, [lambda x: x + B, lambda x: B + x, lambda x: np.add(x, B), lambda x: np.add(B, x)]),
    (A, [lambda x: x - B, lambda x: np.subtract(x, B), lambda x: -(B - x), lambda x: +x - B]),
    (A, [lambda x: x * B, lambda x: B * x, lambda x: np.multiply(x, B), lambda x: [0.5, -2.0, 1.1] * x]),
    (A, [lambda x: x / B, lambda x: np.divide(x, B), lambda x: np.true_divide(x, B)]),
    (P, [lambda x: 1 / x, lambda x: np.divide(1, x), lambda x: x**-1]),
    (P, [lambda x: x**2.5, lambda x: np.power(x, 2.5), lambda x: pow(x, 2.5)]),
    (A, [lambda x: x**2, lambda x: np.square(x), lambda x: x.square(), lambda x: np.power(x, 2), lambda x: x * x]),
    (A, [lambda x: 2**x, lambda x: np.power(2, x), lambda x: np.power(2.0, x)]),
    (A, [lambda x: abs(x), np.abs, np.absolute, lambda x: x.abs()]),
    (A, [np.sign, lambda x: x.sign()]),
    (A + 0.1, [np.trunc, np.fix]),
    (P, [np.sqrt, lambda x: x.sqrt()]),
    (A, [np.exp, lambda x: x.exp()]),
    (A, [np.expm1, lambda x: x.expm1()]),
    (P, [np.log, lambda x: x.log()]),
    (P, [np.log1p, lambda x: x.log1p()]),
    (A, [np.sin, lambda x: x.sin()]),
    (A, [np.cos, lambda x: x.cos()]),
    (A, [np.tanh, lambda x: x.tanh()]),
    (A, [lambda x: np.maximum(x, B), lambda x: x.maximum(B), lambda x: np.maximum(B, x)]),
    (A, [lambda x: np.minimum(x, B), lambda x: x.minimum(B), lambda x: np.minimum(B, x)]),
    (A, [lambda x: np.clip(x, -1, 1), lambda x: x.clip(-1, 1), lambda x: np.clip(x, a_max=1, a_min=-1)]),
    (A, [lambda x: np.clip(x, None, 1), lambda x: x.clip(None, 1), lambda x: np.minimum(x, 1)]),
    (A, [lambda x: np.clip(x, 0.35, None), lambda x: x.clip(0.35, None), lambda x: np.maximum(x, 0.35)]),
    (A, [lambda x: np.where(A > 0, x, 2 * x), lambda x: np.where(A > 0, x, 0) + np.where(A > 0, 0, 2 * x)]),
    (C, [np.sum, lambda x: x.sum(), lambda x: np.add.reduce(x, axis=None), lambda x: np.sum(a=x)]),
    (C, [lambda x: np.sum(x, 1), lambda x: x.sum(axis=1), lambda x: np.sum(x, axis=-2), lambda x: np.add.reduce(x, 1)]),
    (C, [lambda x: np.sum(x, (0, 2), None, None, True), lambda x: x.sum((0, -1), keepdims=True)]),
    (C, [np.mean, lambda x: x.mean(), lambda x: np.sum(x) / 24]),
    (C, [lambda x: np.mean(x, (0, 1)), lambda x: x.mean(axis=(1, 0)), lambda x: np.mean(x, 0).mean(0)]),
    (C, [lambda x: np.var(x, 1), lambda x: x.var(axis=1), lambda x: np.mean((x - x.mean(1, keepdims=True)) ** 2, 1)]),
    (
        C,
        [
            lambda x: np.std(x, 0, ddof=1),
            lambda x: x.std(axis=0, ddof=1),
            lambda x: np.sqrt(np.var(x, 0, None, None, 1)),
        ],
    ),
    (C, [lambda x: np.max(x, -1), lambda x: x.max(axis=-1), np.amax and (lambda x: np.maximum.reduce(x, axis=-1))]),
    (C, [lambda x: np.min(x, 0), lambda x: x.min(axis=0), lambda x: np.minimum.reduce(x)]),
    (C, [lambda x: F.logsumexp(x, 1), lambda x: x.logsumexp(axis=1), lambda x: np.log(np.sum(np.exp(x), axis=1))]),
    (C, [lambda x: np.reshape(x, (4, 6)), lambda x: x.reshape(4, 6), lambda x: x.reshape((4, -1), copy=None)]),
    (C, [lambda x: np.reshape(x, (4, 6), order="F"), lambda x: x.reshape(4, 6, order="F")]),
    (C, [np.ravel, lambda x: x.ravel(), lambda x: x.flatten(), lambda x: x.reshape(-1)]),
    (C, [np.transpose, lambda x: x.T, lambda x: x.transpose(), lambda x: np.transpose(x, (2, 1, 0))]),
    (C, [lambda x: np.transpose(x, (1, 0, 2)), lambda x: x.transpose(1, 0, 2), lambda x: x.transpose((1, 0, -1))]),
    (C, [lambda x: np.swapaxes(x, 1, 2), lambda x: x.swapaxes(-1, 1), lambda x: x.mT]),
    (C, [lambda x: np.expand_dims(x, 1), lambda x: x.expand_dims(1), lambda x: x[:, None]]),
    (A[None], [np.squeeze, lambda x: x.squeeze(), lambda x: np.squeeze(x, 0), lambda x: x[0]]),
    (B, [lambda x: np.broadcast_to(x, (2, 3)), lambda x: x.broadcast_to((2, 3)), lambda x: np.stack([x, x])]),
    (A, [lambda x: np.concatenate([x, 2 * x]), lambda x: np.concatenate((x, 2 * x), axis=0)]),
    (A, [lambda x: np.concatenate([x, C[0, :2]], 1), lambda x: np.concatenate((x, C[0, :2]), axis=-1)]),
    (A, [lambda x: np.stack([x, A], 1), lambda x: np.stack((x, A), axis=-2)]),
    (C, [lambda x: x[1], lambda x: x[1, ...], lambda x: x[-1:][0], lambda x: x[np.array(1)]]),
    (C, [lambda x: x[:, [2, 0, 2]], lambda x: x[:, np.array([2, 0, 2])], lambda x: x[:, tg.tensor([2, 0, 2])]]),
    (C, [lambda x: x[C > 1], lambda x: x[tg.tensor(C) > 1], lambda x: x.ravel()[C.ravel() > 1]]),
    (B, [lambda x: x.at[1].set(x[0]), lambda x: np.stack([x[0], x[0], x[2]])]),
    (C, [lambda x: x[:, (2, 0, 2)], lambda x: x[:, [2, 0, 2]]]),
    (C, [lambda x: x[(0, 0, 1),], lambda x: x[[0, 0, 1]]]),
    (B, [lambda x: x.at[(0, 0),].add(1.0), lambda x: x.at[[0, 0]].add(1.0)]),
    (B, [lambda x: x.copy(), lambda x: +x, lambda x: np.concatenate([x, x[[]]])]),
    (
        P,
        [
            lambda x: x % 0.75,
            lambda x: np.remainder(x, 0.75),
            lambda x: divmod(x, 0.75)[1],
            lambda x: np.divmod(x, 0.75)[1],
        ],
    ),
    (np.array(0.1), [lambda s: F.leaky_relu(A, s), lambda s: np.where(A > 0, A, s * A)]),
    (B, [lambda x: x.at[[0, 0]].add(1.0), lambda x: x + np.array([2.0, 0, 0])]),
    (A, [lambda x: x @ B, lambda x: np.matmul(x, B), lambda x: x.matmul(B), lambda x: np.sum(x * B, 1)]),
    (A, [lambda x: C.mT @ x.T, lambda x: np.matmul(np.swapaxes(C, 1, 2), x.T)]),
    (A, [F.relu, lambda x: x.relu(), lambda x: np.maximum(x, 0)]),
    (A, [lambda x: F.leaky_relu(x, 0.2), lambda x: x.leaky_relu(0.2), lambda x: x.leaky_relu(negative_slope=0.2)]),
    (A, [F.sigmoid, lambda x: x.sigmoid(), lambda x: 1 / (1 + np.exp(-x))]),
    (A, [F.softplus, lambda x: x.softplus(), lambda x: np.log1p(np.exp(x))]),
    (A, [F.softmax, lambda x: x.softmax(-1), lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)]),
    (A, [lambda x: F.log_softmax(x, 0), lambda x: x.log_softmax(axis=0), lambda x: np.log(F.softmax(x, 0))]),
    (A, [F.gelu, lambda x: x.gelu()]),
    (A, [F.silu, lambda x: x.silu(), lambda x: x * F.sigmoid(x)]),
]


@pytest.mark.parametrize(("data", "spellings"), SPELLINGS, ids=range(len(SPELLINGS)))
def test_every_spelling_is_the_same(data: Any, spellings: list[Callable[[Any], Any]]) -> None:
    expected = spellings[0](tg.tensor(data)).numpy()
    weight = np.cos(np.arange(expected.size)).reshape(expected.shape)
    (reference,) = numerical_gradients(lambda x: np.sum(weight * spellings[0](tg.tensor(x)).numpy()), [data], [0])
    for spelling in spellings:
        x = tg.tensor(data, requires_grad=True)
        y = spelling(x)
        assert isinstance(y, tg.Tensor)
        assert y.shape == expected.shape
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-14, atol=1e-14)
        y.backward(weight)
        np.testing.assert_allclose(x.grad, reference, rtol=1e-9, atol=1e-9)


NAN = float("nan")

# The conventions of docs/conventions.md: function, points, and the gradient there.
CONVENTIONS: dict[str, tuple[Callable[..., Any], list[Any], list[Any]]] = {
    "relu": (F.relu, [0.0], [0.0]),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.1), [0.0], [0.1]),
    "absolute": (np.abs, [0.0], [0.0]),
    "sign": (np.sign, [0.0], [0.0]),
    "maximum": (np.maximum, [1.0, 1.0], [0.5, 0.5]),
    "minimum": (np.minimum, [1.0, 1.0], [0.5, 0.5]),
    "max": (np.max, [[2.0, 1.0, 2.0, 2.0]], [[1 / 3, 0, 1 / 3, 1 / 3]]),
    "min": (np.min, [[2.0, 1.0, 1.0]], [[0, 0.5, 0.5]]),
    "max of all equal": (lambda x: np.max(x, axis=1).sum(), [[[1.0, 1.0], [0.0, 3.0]]], [[[0.5, 0.5], [0, 1]]]),
    "clip at the bounds": (lambda x: np.clip(x, -1, 1).sum(), [[-1.0, 1.0, -2.0, 2.0, 0.0]], [[1, 1, 0, 0, 1]]),
    "clip with bounds that cross": (np.clip, [0.0, 2.0, 1.0], [0.0, 0.0, 1.0]),
    "std of equal entries": (np.std, [[2.0, 2.0, 2.0]], [[0, 0, 0]]),
    "power zero of zero": (lambda a: a**0, [0.0], [0.0]),
    "power zero of zero, by both": (np.power, [0.0, 0.0], [0.0, -np.inf]),
    "zero to a power": (np.power, [0.0, 2.0], [0.0, 0.0]),
    "square of zero": (lambda a: a**2, [0.0], [0.0]),
    "indexed twice": (lambda x: x[[0, 0]].sum(), [[1.0, 2.0]], [[2, 0]]),
    "set twice": (lambda v: tg.tensor([0.0, 0.0]).at[[1, 1]].set(v)[1], [[3.0, 4.0]], [[0, 1]]),
    "std of equal entries whose mean is rounded": (np.std, [[0.1, 0.1, 0.1]], [[0, 0, 0]]),
    "std along an axis": (
        lambda x: np.std(x, axis=1).sum(),
        [[[0.1, 0.1, 0.1], [1, 2, 3]]],
        [[[0, 0, 0], [-0.408248290463863, 0, 0.408248290463863]]],
    ),
    "prod with zeros": (np.prod, [[0.0, 2.0, 3.0]], [[6, 0, 0]]),
    "cumprod with zeros": (lambda x: np.cumprod(x).sum(), [[2.0, 0.0, 3.0]], [[1, 8, 0]]),
    "running maximum of equal entries": (
        lambda x: np.maximum.accumulate(x)[[1, 2]].sum(),
        [[1.0, 1.0, 0.0]],
        [[2, 0, 0]],
    ),
    "sorted equal entries": (lambda x: np.sort(x) @ [1.0, 2.0, 3.0], [[5.0, 1.0, 1.0]], [[3, 1, 2]]),
    "partitioned equal entries": (lambda x: np.partition(x, 1) @ [1.0, 2.0, 3.0], [[5.0, 1.0, 1.0]], [[3, 1, 2]]),
    "median of equal entries": (np.median, [[1.0, 1.0, 1.0]], [[0, 1, 0]]),
    "quantile between two": (lambda x: np.quantile(x, 0.25), [[4.0, 0.0, 2.0]], [[0, 0.5, 0.5]]),
    "select among lists": (
        lambda x: (np.select([x > 2, x > 1], [[10.0, 20.0, 30.0], x], 7) * x).sum(),
        [[1.0, 2.0, 9.0]],
        [[7, 4, 30]],
    ),
    "interp at a point": (lambda x: np.interp(x, [0, 1, 2], [0, 1, 5]).sum(), [[1.0, 2.0, 9.0]], [[4, 0, 0]]),
    "initial value of a maximum": (lambda x: np.max(x, initial=1.0), [[1.0, 1.0]], [[1 / 3, 1 / 3]]),
    "a branch that is not taken": (lambda x: np.where(x > 0, x, 0 * x).sum(), [[-1.0, 1.0]], [[0, 1]]),
}


@pytest.mark.parametrize(("function", "points", "expected"), CONVENTIONS.values(), ids=list(CONVENTIONS))
def test_conventions(function: Callable[..., Any], points: list[Any], expected: list[Any]) -> None:
    inputs = [tg.tensor(point, requires_grad=True) for point in points]
    with np.errstate(divide="ignore"):
        function(*inputs).backward()
    for x, gradient in zip(inputs, expected):
        np.testing.assert_allclose(x.grad.numpy(), gradient, rtol=1e-15)


def test_where_keeps_undefined_branches_out_of_the_gradient() -> None:
    x = tg.tensor([0.0, 4.0], requires_grad=True)
    safe = np.where(x > 0, x, 1.0)
    np.where(x > 0, np.sqrt(safe), 0.0).sum().backward()
    np.testing.assert_array_equal(x.grad, [0, 0.25])


@pytest.mark.parametrize(
    ("function", "at", "values", "gradients"),
    [
        (F.sigmoid, [-1000.0, -30.0, 30.0, 1000.0], [0.0, 9.357622968839299e-14, 1 - 9.348077867344255e-14, 1.0], None),
        (
            F.softplus,
            [-1000.0, -30.0, 0.0, 1000.0],
            [0.0, 9.357622968839737e-14, np.log(2), 1000.0],
            [0, 9.357622968839299e-14, 0.5, 1],
        ),
        (F.silu, [-1000.0, 1000.0], [0.0, 1000.0], [0, 1]),
        (F.gelu, [-1000.0, -5.0, 1000.0], [0.0, -1.4332578593959696e-06, 1000.0], [0, -7.146946001792295e-06, 1]),
        (lambda x: F.logsumexp(x), [-1000.0, 1000.0, 1000.0], 1000 + np.log(2), [0, 0.5, 0.5]),
        (lambda x: F.logsumexp(x), [-1000.0, -1000.0], -1000 + np.log(2), [0.5, 0.5]),
        (lambda x: F.logsumexp(x), [-np.inf, 0.0], 0.0, [0, 1]),
        (lambda x: F.logsumexp(x), [-np.inf, -np.inf], -np.inf, [0, 0]),
        (lambda x: np.logaddexp(x, -np.inf), [0.3, -np.inf], [0.3, -np.inf], [1, 0]),
        (lambda x: np.logaddexp(np.array([-np.inf]), x), [0.3, -2.0], [0.3, -2.0], [1, 1]),
        (lambda x: np.logaddexp2(x[:1], x[1:]), [0.3, -np.inf], [0.3], [1, 0]),
        (F.softmax, [-1000.0, 1000.0], [0.0, 1.0], [0, 0]),
        (F.log_softmax, [-1000.0, 1000.0], [-2000.0, 0.0], [1, -1]),
        (np.tanh, [-1000.0, 1000.0], [-1.0, 1.0], [0, 0]),
    ],
)
def test_extreme_values_are_exact(function: Callable[[Any], Any], at: list[float], values: Any, gradients: Any) -> None:
    x = tg.tensor(at, requires_grad=True)
    y = function(x)
    np.testing.assert_allclose(y.numpy(), values, rtol=1e-13)
    y.sum().backward()
    assert np.all(np.isfinite(x.grad.numpy()))
    if gradients is not None:
        np.testing.assert_allclose(x.grad, gradients, rtol=1e-12)


def test_log_sum_exp_of_minus_infinities_has_no_nan() -> None:
    x = tg.tensor(np.full((2, 2), -np.inf), requires_grad=True)
    F.logsumexp(x, axis=1).sum().backward()
    np.testing.assert_array_equal(x.grad, np.zeros((2, 2)))


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0)])
def test_zero_size(shape: tuple[int, ...]) -> None:
    x = tg.tensor(np.empty(shape), requires_grad=True)
    (np.exp(x) * 2).sum().backward()
    assert x.grad.shape == shape
    np.concatenate([x, x]).sum().backward()
    assert x.grad.shape == shape


REFUSED: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "out of a ufunc": (lambda x: np.add(x, 1, out=np.zeros(3)), UsageError, "add: out="),
    "out of a reduction": (lambda x: np.sum(x, out=np.zeros(())), UsageError, "sum: out="),
    "out of a concatenation": (lambda x: np.concatenate([x], out=np.zeros(3)), UsageError, "out"),
    "array += tensor": (lambda x: np.zeros(3).__iadd__(x), UsageError, "add: out="),
    "where of a ufunc": (lambda x: np.exp(x, where=np.array([True, False, True])), UsageError, "exp: where="),
    "where of a sum of two": (lambda x: np.add(x, x, where=np.array([True, False, True])), UsageError, "add: where="),
    "a ufunc in too narrow a dtype": (
        lambda x: np.exp(x, dtype=int),
        UsageError,
        "dtype=int: No loop matching",
    ),
    "unknown keyword": (lambda x: x.sum(axes=0), UsageError, "axes"),
    "one branch": (lambda x: np.where(x > 1, x), UsageError, "two branches"),
    "both names of a bound": (lambda x: np.clip(x, 0, 1, min=2), UsageError, "same bound"),
    "a tensor as a parameter": (lambda x: F.huber_loss(x, np.ones(3), delta=x[0]), UsageError, "delta= is a parameter"),
    "PyTorch's word for axis": (lambda x: x.sum(dim=0), UsageError, r"dim=0 is written axis=0, as in NumPy"),
    "memory order": (lambda x: np.ravel(x, order="K"), UsageError, "order='K'"),
    "function": (
        lambda x: np.histogramdd(x),
        UsageError,
        r"np\.histogramdd has no derivative here[\s\S]*tg\.primitive\(np\.histogramdd",
    ),
    "ufunc": (
        lambda x: np.spacing(x),
        UsageError,
        r"np\.spacing has no derivative here[\s\S]*tg\.elementwise\(np\.spacing",
    ),
    "method of a ufunc": (lambda x: np.subtract.reduce(x), UsageError, r"np\.subtract\.reduce"),
    "ufunc.at": (lambda x: np.add.at(x, [0], 1.0), UsageError, r"np\.add\.at"),
    "initial of a tensor": (lambda x: np.sum(x, initial=x[0]), UsageError, "initial= is a parameter"),
    "weights that sum to zero": (lambda x: np.average(x, weights=[1, -1, 0]), InputError, "sum to zero"),
    "weights of another shape": (lambda x: np.average(x, weights=np.ones((2, 2))), UsageError, "need an axis="),
    "weights along another axis": (
        lambda x: np.average(x, axis=0, weights=np.ones(2)),
        ShapeError,
        "do not fit axis=0",
    ),
    "cov of three axes": (lambda x: np.cov(x[None, None]), ShapeError, "one or two axes"),
    "cov without freedom": (lambda x: np.cov(x, ddof=3), InputError, "no degrees of freedom"),
    "cov with broken counts": (lambda x: np.cov(x, fweights=[1.5, 1, 1]), InputError, "whole numbers"),
    "cov with negative weights": (lambda x: np.cov(x, aweights=[-1, 1, 1]), InputError, "must not be negative"),
    "cov with too few weights": (lambda x: np.cov(x, aweights=[1, 1]), ShapeError, "for 3 samples"),
    "cross of two entries": (lambda x: np.cross(x[:2], x), ShapeError, "vectors of 3 entries"),
    "tensordot of other lengths": (lambda x: np.tensordot(x, np.ones(2), 1), ShapeError, "differ in length"),
    "einsum of too few operands": (lambda x: np.einsum("i,i->", x), ShapeError, "names 2 operands, got 1"),
    "einsum with a dtype": (lambda x: np.einsum("i->", x, dtype=float), UsageError, "dtype= has no derivative"),
    "convolve in no mode": (lambda x: np.convolve(x, x, "half"), InputError, "half"),
    "convolve with nothing": (lambda x: np.convolve(x, []), ShapeError, "arrays that are not empty"),
    "interp between two lengths": (lambda x: np.interp(0.5, x, np.ones(2)), ShapeError, "the same length"),
    "interp with no period": (lambda x: np.interp(0.5, x, x, period=0), InputError, "must not be zero"),
    "diff of negative order": (lambda x: np.diff(x, -1), InputError, "n=-1"),
    "diff of a number": (lambda x: np.diff(x[0]), ShapeError, "one axis or more"),
    "ediff1d to another dtype": (lambda x: np.ediff1d(x, to_end=1j), UsageError, "to_end of dtype complex128"),
    "gradient of too little": (lambda x: np.gradient(x[:1]), ShapeError, "too short"),
    "gradient at too few places": (lambda x: np.gradient(x, [0.0, 1.0]), ShapeError, "places of shape"),
    "gradient with too many spacings": (lambda x: np.gradient(x, 1.0, 2.0), UsageError, "got 2"),
    "gradient with edges of order 3": (lambda x: np.gradient(x, edge_order=3), InputError, "edge_order"),
    "take in no mode": (lambda x: np.take(x, [0], mode="none"), InputError, "none"),
    "take_along_axis of other axes": (lambda x: np.take_along_axis(x, np.array([[0]]), 0), ShapeError, "indices of"),
    "select without conditions": (lambda x: np.select([], [x]), InputError, "as many choices"),
    "select with numbers": (lambda x: np.select([[1, 0, 1]], [x]), UsageError, "must hold booleans"),
    "choose out of range": (lambda x: np.choose([0, 2], [x[:2], x[:2]]), InputError, "0 … 1, got 2"),
    "piecewise with too few functions": (lambda x: np.piecewise(x, [x < 0] * 2, [0.0]), InputError, "2 conditions"),
    "quantiles along two axes": (
        lambda x: np.nanquantile(x, [[0.1, 0.2], [0.3, 0.4]]),
        UsageError,
        "q must have at most one axis",
    ),
    "a quantile that is a tensor": (lambda x: np.quantile(x, x[0]), UsageError, "q= is a parameter"),
    "put": (lambda x: np.put(x, [0], 1.0), UsageError, r"np\.put would write"),
    "sort in place": (lambda x: x.sort(), UsageError, r"np\.sort"),
    "fill": (lambda x: x.fill(1.0), UsageError, "never change"),
    "nan_to_num in place": (lambda x: np.nan_to_num(x, copy=False), UsageError, "nan_to_num: out="),
    "a cast that loses": (lambda x: x.astype(int, casting="safe"), UsageError, "does not go into int64"),
    "choose in no mode": (lambda x: np.choose([0], [x[:1]], mode="none"), InputError, "none"),
    "weights of too few": (lambda x: np.bincount([0, 1], x), ShapeError, "the shape of x"),
    "set operations": (lambda x: np.union1d(x, x), UsageError, r"np\.union1d has no derivative"),
    "fill_diagonal": (lambda x: np.fill_diagonal(x[None] * x[:, None], 1.0), UsageError, "fill_diagonal"),
    "shapes of a sum": (lambda x: x + np.ones(4), ShapeError, r"add cannot take float64\[3\] and float64\[4\]"),
    "shapes of a product": (lambda x: x @ np.ones((4, 2)), ShapeError, r"matmul.*\[4, 2\]"),
    "axis": (lambda x: x.sum(axis=3), ShapeError, "sum.*axis 3"),
    "reshape": (lambda x: x.reshape(2, 2), ShapeError, r"reshape.*\(2,2\)"),
    "set": (lambda x: x.at[0].set([1.0, 2.0]), ShapeError, "index_set"),
    "add": (lambda x: x.at[0].add([1.0, 2.0]), ShapeError, "index_add"),
    "index": (lambda x: x[7], IndexError, "out of bounds"),
}


@pytest.mark.parametrize(("attempt", "kind", "message"), REFUSED.values(), ids=list(REFUSED))
def test_refused(attempt: Callable[[Any], Any], kind: type[Exception], message: str) -> None:
    x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    with pytest.raises(kind, match=message):
        attempt(x)
    np.testing.assert_array_equal(x.numpy(), [1, 2, 3])


def test_questions_work_on_tensors() -> None:
    x = tg.tensor(A, requires_grad=True)
    assert np.shape(x) == (2, 3)
    assert np.ndim(x) == 2
    assert np.size(x) == 6
    assert np.size(x, 1) == 3
    assert np.allclose(x, A)
    assert np.array_equal(x, A)
    assert int(np.argmax(x)) == 2
    assert np.result_type(x, np.float32) == np.float64
    np.testing.assert_array_equal((x > B).numpy(), A > B)
    np.testing.assert_array_equal((~(x > 0) | (x == A)).numpy(), np.ones_like(A, bool))
    np.testing.assert_array_equal(np.zeros_like(x).numpy(), np.zeros_like(A))
    assert not (x > B).requires_grad


def test_functions_of_arrays_stay_functions_of_arrays() -> None:
    assert isinstance(F.relu(A), np.ndarray)
    assert isinstance(F.softmax(A), np.ndarray)
    assert isinstance(F.mse_loss(A, A), np.float64)


def test_integers_are_treated_as_the_numbers_they_are() -> None:
    np.testing.assert_allclose(F.gelu(np.array([1, 2])), F.gelu(np.array([1.0, 2.0])))
    for function in (F.sigmoid, F.softplus, F.silu):
        np.testing.assert_allclose(function(np.array([5], np.uint8)), function(np.array([5.0])))
    assert set(F.dropout(np.ones(50, int), 0.25, rng=0)) == {0, 4 / 3}
    assert float((tg.tensor(np.array([100_000], np.int32)) ** 2.0)[0]) == 1e10


def test_both_orders_of_a_mixed_derivative_of_a_power() -> None:
    by_both = tg.grad(lambda b: tg.grad(lambda a: a**b)(2.0))(0.0)
    np.testing.assert_allclose(by_both, 0.5)
    np.testing.assert_allclose(tg.grad(lambda a: tg.grad(lambda b: a**b)(0.0))(2.0), 0.5)


def test_a_list_given_as_a_parameter_can_change_without_effect() -> None:
    axes = [1, 2, 0]
    x = tg.tensor(C, requires_grad=True)
    y = np.transpose(x, axes)
    axes[:] = [0, 1, 2]
    weight = np.cos(np.arange(24)).reshape(y.shape)
    y.backward(weight)
    np.testing.assert_array_equal(x.grad, np.transpose(weight, (2, 0, 1)))


def test_declarations_of_plain_python_functions() -> None:
    erf = tg.elementwise(math.erf, lambda y, x: 2 / math.sqrt(math.pi) * np.exp(-x * x), name="test_erf")
    np.testing.assert_allclose(tg.grad(erf)(0.5), 0.8787825789354449)
    twice = tg.primitive(lambda x: 2 * x, lambda g, y, x: 2.0 * float(g), name="test_twice")
    assert float(tg.grad(twice)(1.5)) == 2


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda: tg.elementwise(np.tan, "a", name="test_wrong"), "a function of y and the arguments"),
        (
            lambda: tg.primitive(lambda x: (x, x), lambda g, y, x: g, name="test_pair")(tg.tensor(1.0)),
            "test_pair returned tuple, not an array; tg.custom_gradient takes several",
        ),
        (lambda: tg.grad(tg.elementwise(lambda x: +x, lambda y, x: None, name="test_none"))(1.0), "NoneType"),
    ],
)
def test_declarations_that_cannot_work(declare: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        declare()


def test_operations_are_copied_as_themselves_and_pickled_by_name() -> None:
    old = tg.elementwise(lambda x: x + 1, 1, name="test_redeclared")
    assert copy.deepcopy(old) is old
    assert pickle.loads(pickle.dumps(old)) is old
    tg.elementwise(lambda x: x * 100, 100, name="test_redeclared")
    with pytest.raises(UsageError, match="declared again"):
        pickle.dumps(old)


def test_a_declaration_needs_a_name() -> None:
    with pytest.raises(UsageError, match="name="):
        tg.elementwise(lambda x: x, 1)


def test_statistics_of_too_few_entries_have_no_finite_gradient() -> None:
    """Where NumPy's value is not a number, neither is the gradient."""
    for f in (lambda x: np.var(x, ddof=3).sum(), lambda x: np.std(x, ddof=5), lambda x: np.nanvar(x, ddof=3)):
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            assert not np.isfinite(f(B))
            assert not np.any(np.isfinite(tg.grad(f)(B)))
            assert not np.isfinite(tg.jvp(f, (B,), (np.ones(3),))[1])


def test_gradients_of_empty_arrays_are_empty() -> None:
    empty = np.zeros((2, 0))
    for f in (np.sum, np.prod, np.std, np.var, np.mean, np.nansum, lambda x: np.linalg.norm(x)):
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            assert tg.grad(f)(empty).shape == (2, 0)


def test_division_by_zero_is_numpys() -> None:
    x = tg.tensor([1.0, -2.0], requires_grad=True)
    with np.errstate(divide="ignore"):
        (x / 0).backward([1.0, 1.0])
    np.testing.assert_array_equal(x.grad, [np.inf, np.inf])


def test_a_clip_without_an_inside_passes_nothing_on() -> None:
    for low, high in ((-1.0, -1.0), (1.0, -1.0)):
        for x in (-2.0, -1.0, 0.0, 1.0):
            assert tg.grad(lambda x, low=low, high=high: np.clip(x, low, high))(x) == 0
            assert sum(tg.grad(np.clip, (0, 1, 2))(x, low, high)) == 1


def test_the_gradient_with_respect_to_evenly_spaced_points() -> None:
    f = np.array([1.0, 3.0, 2.0, 5.0, 4.0])
    for edge_order in (1, 2):
        check_gradient = tg.gradcheck(
            lambda f, x, order=edge_order: np.gradient(f, x, edge_order=order),
            f,
            np.arange(5.0),
            method="differences",
            raise_exception=False,
        )
        assert check_gradient.ok, str(check_gradient)
