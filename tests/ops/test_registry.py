"""Every operation of the registry, against finite differences: first and second order, dtypes, and kinks."""

import sys
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_lite as tg
from tests.derivatives import assert_gradients
from tests.marks import param
from tinygrad_lite import trees
from tinygrad_lite.engine.op import Op
from tinygrad_lite.engine.registry import is_registered, operations
from tinygrad_lite.errors import TinygradError
from tinygrad_lite.testing import Call, cotangents, inputs_of

COMPLEX = {
    "fft",
    "ifft",
    "rfft",
    "eig",
    "eigvals",
    "roots",
    "sqrtm",
    "logm",
}  # whose results are complex: see test_complex.py
DIFFERENTIABLE = [op for op in operations() if op.vjps and op.name not in COMPLEX]
LONG = {"beta_flow", "logit_beta_quantile"}  # of which each value is a quadrature, or several
QUESTIONS = [op for op in operations() if not op.vjps]

# Of which NumPy or SciPy makes float64, some by definition, the others for a q of float64
FLOAT64 = {
    *("float_power", "geomspace", "interp", "vander", "quantile", "percentile", "nanquantile", "nanpercentile"),
    *("eval_hermite", "eval_hermitenorm"),
}


def leaves(call: Call) -> list[Any]:
    """The arguments as tensors where they have a derivative."""
    return [tg.tensor(x, requires_grad=True) if i in call.differentiable else x for i, x in enumerate(call.arrays)]


def gradients(call: Call, g: Any) -> list[Any]:
    inputs = leaves(call)
    y = call.value(*inputs)
    y.backward(g)
    return [inputs[i].grad.numpy() for i in call.differentiable]


def close(found: Any, expected: Any, tolerance: float = 1e-7) -> None:
    np.testing.assert_allclose(
        found, expected, rtol=tolerance, atol=tolerance * (1 + np.max(np.abs(expected), initial=0))
    )


@pytest.mark.whole
@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=str)
@given(data=st.data())
def test_first_order(op: Op, data: st.DataObject) -> None:
    call = data.draw(inputs_of(op))
    g = data.draw(cotangents(call.value(*call.arrays)))
    found = gradients(call, g)
    assert_gradients(found, lambda *x: np.sum(g * call.value(*x)), call.arrays, call.differentiable, 1e-7)


@pytest.mark.parametrize(
    "op", [param(op, slow=op.name in LONG or i % 6 > 0) for i, op in enumerate(DIFFERENTIABLE)], ids=str
)
@given(data=st.data())
def test_second_order(op: Op, data: st.DataObject) -> None:
    """The gradient of a weighted sum of all first derivatives, and by the upstream gradient, against differences."""
    call = data.draw(inputs_of(op))
    g = data.draw(cotangents(call.value(*call.arrays)))
    weights = [data.draw(cotangents(np.asarray(call.arrays[i]))) for i in call.differentiable]

    def weighted(found: list[Any]) -> Any:
        return sum(np.sum(weight * gradient) for weight, gradient in zip(weights, found))

    def first(*arguments: Any) -> float:
        *arrays, upstream = arguments
        return float(weighted(gradients(Call(op, arrays, call.params), upstream)))

    inputs = leaves(call)
    upstream = tg.tensor(g, requires_grad=True)
    call.value(*inputs).backward(upstream, create_graph=True)
    variables = [inputs[i] for i in call.differentiable]
    total = weighted([x.grad for x in variables])
    for x in variables:
        x.grad = None
    if total.requires_grad:
        total.backward()
    *found, by_upstream = (np.zeros(x.shape) if x.grad is None else x.grad.numpy() for x in [*variables, upstream])
    assert_gradients(found, lambda *x: first(*x, g), call.arrays, call.differentiable, 1e-6)
    assert_gradients([by_upstream], lambda g: first(*call.arrays, g), [g], [0], 1e-6, is_linear=True)


def as_function(call: Call) -> Any:
    """The operation as a function of the arguments that have a derivative, and these."""

    def f(*variables: Any) -> Any:
        replaced = dict(zip(call.differentiable, variables))
        return call.value(*[replaced.get(i, x) for i, x in enumerate(call.arrays)])

    return f, tuple(call.arrays[i] for i in call.differentiable)


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=str)
@given(data=st.data())
def test_forward_mode_is_the_transpose_of_reverse_mode(op: Op, data: st.DataObject) -> None:
    call = data.draw(inputs_of(op))
    f, variables = as_function(call)
    tangents = tuple(data.draw(cotangents(np.asarray(x))) for x in variables)
    y, change = tg.jvp(f, variables, tangents)
    np.testing.assert_array_equal(y, call.value(*call.arrays))
    assert (change.shape, change.dtype) == (y.shape, y.dtype)
    g = data.draw(cotangents(y))
    gradients = tg.vjp(f, *variables)[1](g)
    close(np.sum(g * change), sum(np.sum(a * b) for a, b in zip(gradients, tangents)), 1e-10)


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=str)
@given(data=st.data())
def test_modes_nest_in_every_order(op: Op, data: st.DataObject) -> None:
    """The Hessian times a vector: reverse over reverse, forward over reverse, and reverse over forward."""
    call = data.draw(inputs_of(op))
    f, variables = as_function(call)
    g = data.draw(cotangents(call.value(*call.arrays)))
    tangents = tuple(data.draw(cotangents(np.asarray(x))) for x in variables)
    places = tuple(range(len(variables)))
    gradient = tg.grad(lambda *x: np.sum(g * f(*x)), places)
    expected = tg.grad(lambda *x: sum(np.sum(a * b) for a, b in zip(gradient(*x), tangents)), places)(*variables)
    for found in (
        tg.jvp(gradient, variables, tangents)[1],
        tg.hvp(lambda *x: np.sum(g * f(*x)), variables, tangents, places),
    ):
        for a, b in zip(found, expected):
            assert a.shape == b.shape
            close(a, b, 1e-10)


SEVERAL = [op for op in DIFFERENTIABLE if op.arity != 1]


@pytest.mark.whole
@pytest.mark.parametrize("op", [param(op, slow=op.name in LONG) for op in SEVERAL], ids=str)
def test_an_argument_alone_has_the_derivatives_that_it_has_among_others(op: Op) -> None:
    """To second order in both modes, with plain arrays as the other arguments."""
    rng = np.random.default_rng(0)
    shapes, params = (op.examples or [([(2, 3)] * (op.arity or 2), {})])[-1]
    arrays = [x if isinstance(x, np.ndarray) else rng.uniform(0.3, 0.7, x) for x in shapes]
    call = Call(op, arrays, dict(params))
    moved = [rng.normal(size=np.shape(x)) for x in arrays]

    def second(variables: list[int], i: int) -> list[Any]:
        def value(*given: Any) -> Any:
            inputs = list(arrays)
            for k, x in zip(variables, given):
                inputs[k] = x
            return np.sum(np.sin(call.value(*inputs)))

        place = variables.index(i)

        def slope(*given: Any) -> Any:
            return np.sum(moved[i] * tg.grad(value, tuple(range(len(given))))(*given)[place])

        point = [arrays[k] for k in variables]
        tangents = [moved[k] if k == i else np.zeros_like(arrays[k]) for k in variables]
        return [tg.grad(slope, place)(*point), tg.jvp(tg.grad(value, place), point, tangents)[1]]

    for i in call.differentiable:
        for alone, among in zip(second([i], i), second(list(call.differentiable), i)):
            close(alone, among, 1e-12)


@pytest.mark.parametrize("op", [op for op in DIFFERENTIABLE if op.derivatives and (op.arity or 0) > 1], ids=str)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_to_the_derivatives_true_is_one_with_all_digits(op: Op) -> None:
    params = dict(op.examples[0][1]) if op.examples else {}
    x = np.linspace(0.3, 0.7, 3)
    for i in range(op.arity or 0):

        def f(x: Any, one: Any, i: int = i) -> Any:
            return op(*[one if k == i else x for k in range(op.arity or 0)], **params)

        try:
            f(x, np.True_)
        except TypeError:  # NumPy has no negative of a truth
            continue
        for slope in (
            lambda one, f=f: tg.vjp(lambda x: f(x, one), x)[1](np.ones(3))[0],
            lambda one, f=f: tg.jvp(lambda x: f(x, one), (x,), (np.ones(3),))[1],
        ):
            np.testing.assert_array_equal(slope(True), slope(1.0))


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=str)
@given(data=st.data())
def test_float32_stays_float32(op: Op, data: st.DataObject) -> None:
    call = data.draw(inputs_of(op, np.float32))
    if "dtype" in call.params:
        call.params["dtype"] = np.dtype(np.float32)
    y = call.value(*leaves(call))
    assert y.dtype == call.value(*call.arrays).dtype
    assert y.dtype == np.float32 or op.name in FLOAT64
    g = data.draw(cotangents(y.numpy()))
    wide = Call(op, [x.astype(np.float64) if x.dtype == np.float32 else x for x in call.arrays], call.params)
    for found, reference in zip(gradients(call, g), gradients(wide, g.astype(np.float64))):
        assert found.dtype == np.float32
        close(found, reference, 1e-4)


@pytest.mark.parametrize("op", operations(), ids=str)
@given(data=st.data())
def test_values_are_those_of_arrays(op: Op, data: st.DataObject) -> None:
    """A tensor's value is bit for bit what the forward gives for its array, and its arrays stay as they were."""
    call = data.draw(inputs_of(op))
    arrays = [np.array(x) for x in call.arrays]
    expected = op.forward(*[x[()] for x in arrays], **call.params)
    found = call.value(*[tg.tensor(x) for x in call.arrays])
    for a, b in zip(
        found if isinstance(found, tuple) else (found,), expected if isinstance(expected, tuple) else (expected,)
    ):
        np.testing.assert_array_equal(a, b, strict=True)
    for before, after in zip(call.arrays, arrays):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("op", QUESTIONS, ids=str)
@given(data=st.data())
def test_questions_carry_no_gradient(op: Op, data: st.DataObject) -> None:
    call = data.draw(inputs_of(op))
    answer = call.value(*[tg.tensor(x, requires_grad=x.dtype.kind == "f") for x in call.arrays])
    assert not getattr(answer, "requires_grad", False)


MOVING = {  # answers in numbers that change with the arguments
    "bases": "rules compute in them what is the same in each basis",
    "drawn_log_gamma": "the gradient of a draw goes through gamma_flow",
    "drawn_von_mises": "only `sample` draws angles, through which no gradient flows",
    "refuse_where": "it refuses values, and hands on an argument whose gradient goes around it",
    "stop_gradient": "that is what it is for",
    "unique": "the values are read from the argument at the places that it answers with",
    "histogram": "the edges are made of the smallest and the largest entry",
}


@pytest.mark.parametrize("op", [op for op in QUESTIONS if op.name not in MOVING], ids=str)
def test_answers_do_not_move_with_the_arguments(op: Op) -> None:
    """Else a gradient would be lost without a word."""
    rng = np.random.default_rng(0)
    for shapes, params in op.examples or [([(4,)] * (op.arity or 1), {})]:
        arrays = [rng.uniform(0.1, 0.9, x) if isinstance(x, tuple) else x for x in shapes]
        moved = [x * (1 + 1e-9) if np.asarray(x).dtype.kind == "f" else x for x in arrays]
        for before, after in zip(*(trees.leaves(op(*x, **params)) for x in (arrays, moved)), strict=True):
            if np.asarray(before).dtype.kind in "fc":
                np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("op", operations(), ids=str)
def test_forwards_leave_their_arguments_alone(op: Op) -> None:
    """No forward writes into what it is given: all arrays of a graph are read-only, so this would raise."""
    shapes, params = (op.examples or [([(2, 3)] * (op.arity or 2), {})])[0]
    starts = [max(low, -1.0) for low, _ in op.domain or [(-1.0, 1.0)] * len(shapes)]
    arrays = [x if isinstance(x, np.ndarray) else np.full(x, low + 0.75) for x, low in zip(shapes, starts)]
    for x in arrays:
        x.setflags(write=False)
    op(*arrays, **params)


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=str)
def test_arrays_without_entries(op: Op) -> None:
    """Where NumPy gives a value, for axes of length 0, there are gradients of the arguments' shapes, or an error."""
    for shapes, params in op.examples or [([(2, 3)] * (op.arity or 2), {})]:
        if any(isinstance(shape, np.ndarray) for shape in shapes):
            continue  # numbers that would not go with the changed shapes
        for length in {n for shape in shapes for n in shape}:
            arrays = [np.full([0 if n == length else n for n in shape], 0.5) for shape in shapes]
            call = Call(op, arrays, params)
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    y = call.value(*arrays)
                except Exception:  # an error of NumPy, of any kind, about such lengths
                    continue
                try:
                    found_gradients = gradients(call, np.ones_like(y))
                except TinygradError:
                    continue
                for found, i in zip(found_gradients, call.differentiable):
                    assert found.shape == arrays[i].shape, (shapes, length)


def test_rules_know_no_parameter_that_the_forward_lacks() -> None:
    for op in operations():
        parameters = op.signature.parameters.values()
        takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
        assert takes_any or op.keywords <= {p.name for p in parameters}, op.name


def test_no_operation_takes_the_name_of_another() -> None:
    tables = [module for name, module in sys.modules.items() if name.startswith("tinygrad_lite.ops.")]
    declared = {op for module in tables for op in vars(module).values() if isinstance(op, Op)}
    assert {op for op in declared if not is_registered(op)} == set()


@pytest.mark.parametrize("kind", [np.int64, np.array], ids=["int64", "array"])
def test_a_setting_may_be_any_whole_number_of_numpys(kind: Any) -> None:
    """Where NumPy takes `axis=np.array(0)`, the gradient is that of `axis=0`."""
    compared = 0
    for op in DIFFERENTIABLE:
        for shapes, params in op.examples or ():
            numbers = {name: kind(value) for name, value in params.items() if type(value) is int}
            if not numbers or any(isinstance(shape, np.ndarray) for shape in shapes):
                continue
            arrays = [np.cos(np.arange(np.prod(shape, dtype=int))).reshape(shape) for shape in shapes]
            try:
                op(*arrays, **{**params, **numbers})
            except Exception:  # an error of NumPy, of any kind, about such numbers
                continue
            g = np.ones_like(op(*arrays, **params))
            expected, found = (gradients(Call(op, arrays, each), g) for each in (params, {**params, **numbers}))
            for x, y in zip(expected, found):
                np.testing.assert_array_equal(x, y, err_msg=op.name)
            compared += 1
    assert compared > 100
