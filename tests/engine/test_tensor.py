"""A tensor as a value: what it is made of, what it shows, and that nobody can change it."""

import copy
import gc
import pickle
import threading
import weakref
from collections.abc import Callable
from operator import add, mul, pow, sub, truediv
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.errors import GraphError, InputError, ShapeError, UsageError


@pytest.fixture
def x() -> tg.Tensor:
    return tg.tensor([1.0, 2.0, 3.0], requires_grad=True, name="x")


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (2.0, np.float64),
        ([1.0, 2.0], np.float64),
        (np.float32(1), np.float32),
        (np.ones(2, np.float32), np.float32),
        (np.ones(2, np.float16), np.float16),
        ([1, 2], np.int64),
        ([True], np.bool_),
    ],
)
def test_dtypes_follow_numpy(data: Any, dtype: Any) -> None:
    assert tg.tensor(data).dtype == dtype


def test_python_numbers_do_not_widen_float32() -> None:
    x = tg.tensor(np.ones(2, np.float32), requires_grad=True)
    y = (2.0 * x + 1) / 3
    assert y.dtype == np.float32
    y.sum().backward()
    assert x.grad.dtype == np.float32


def test_a_float32_leaf_in_a_float64_graph_has_a_float32_gradient() -> None:
    x = tg.tensor(np.ones(2, np.float32), requires_grad=True)
    (x * np.array([1.0, 2.0])).sum().backward()
    assert x.grad.dtype == np.float32


def test_what_was_given_can_change_without_effect() -> None:
    data, factor, index = np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([1, 1])
    x = tg.tensor(data, requires_grad=True)
    y = (x * factor)[index].sum()
    data[:] = factor[:] = 0
    index[:] = 0
    assert float(y) == 16
    y.backward()
    np.testing.assert_array_equal(x.grad, [0, 8])


def test_a_read_only_view_of_a_writable_array_is_copied_too() -> None:
    owner = np.array([3.0, 4.0])
    view = owner[:]
    view.setflags(write=False)
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = (x * view).sum()
    owner[:] = 0
    y.backward()
    np.testing.assert_array_equal(x.grad, [3, 4])


def test_arrays_are_read_only(x: tg.Tensor) -> None:
    y = x * 2
    y.sum().backward()
    for array in (x.numpy(), y.numpy(), x.data, x.grad.numpy(), tg.tensor(1.0).numpy(), y.reshape(3, 1).numpy()):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


def test_a_forward_cannot_write_into_its_arguments(x: tg.Tensor) -> None:
    def forward(a: Any) -> Any:
        a += 1
        return a

    with pytest.raises(ValueError, match="read-only"):
        tg.elementwise(forward, 1, name="writes")(x)
    np.testing.assert_array_equal(x.numpy(), [1, 2, 3])


def test_a_leaf_under_no_grad_gets_a_new_array(x: tg.Tensor) -> None:
    loss = np.sum(x**3)
    loss.backward(retain_graph=True)
    same, before = x, x.numpy()
    with tg.no_grad():
        x -= 0.5 * x.grad
    assert x is same
    assert x.requires_grad
    np.testing.assert_array_equal(x.numpy(), before - 0.5 * 3 * before**2)
    x.grad = None
    loss.backward()  # of the values that it was computed from
    np.testing.assert_array_equal(x.grad, 3 * before**2)


def test_second_derivatives_belong_to_the_values_of_their_forward(x: tg.Tensor) -> None:
    loss = np.sum(x**3)
    with tg.no_grad():
        x *= 10
    loss.backward(create_graph=True)
    gradient, x.grad = x.grad, None
    gradient.sum().backward()
    np.testing.assert_array_equal(x.grad, [6, 12, 18])


def test_in_place_operators_elsewhere_make_new_tensors(x: tg.Tensor) -> None:
    total = start = tg.tensor(0.0)
    total += x.sum()
    assert total is not start
    total.backward()
    np.testing.assert_array_equal(x.grad, [1, 1, 1])
    assert float(start) == 0


def test_data_can_be_replaced_on_a_leaf(x: tg.Tensor) -> None:
    new = np.zeros(3)
    x.data = new
    new[:] = 5
    np.testing.assert_array_equal(x.numpy(), [0, 0, 0])
    with pytest.raises(ShapeError, match=r"shape \(3,\), got \(2,\)"):
        x.data = np.zeros(2)
    with pytest.raises(GraphError, match="result of multiply"):
        (x * 2).data = new


ERRORS: dict[str, tuple[Callable[[tg.Tensor], Any], type[Exception], str]] = {
    "asarray": (lambda x: np.asarray(x), UsageError, r"tensor\.numpy\(\)"),
    "np.array of tensors": (lambda x: np.array([x[0], x[1]]), UsageError, r"np\.stack"),
    "object array": (lambda x: np.array([x[0], x[1]], dtype=object), UsageError, r"np\.stack"),
    "array[i] = tensor": (lambda x: np.zeros(3).__setitem__(slice(None), x), UsageError, r"tensor\.numpy\(\)"),
    "integers": (lambda x: tg.tensor([1, 2], requires_grad=True), UsageError, "int64.*dtype=float"),
    "booleans": (lambda x: tg.tensor(True, requires_grad=True), UsageError, "bool"),
    "complex leaf": (lambda x: tg.tensor(1j, requires_grad=True), UsageError, "complex128"),
    "complex root": (lambda x: (x[0] * 1j).backward(), UsageError, "starts at real numbers, this is complex128"),
    "complex argument": (lambda x: np.max(x * 1j), UsageError, "derivative of max .* only for real numbers"),
    "complex result": (lambda x: np.sinc(x * 1j), UsageError, "derivative of sinc .*np.real"),
    "strings": (lambda x: tg.tensor("abc"), UsageError, "str"),
    "ragged": (lambda x: tg.tensor([[1.0], [1.0, 2.0]]), ShapeError, "array"),
    "masked": (lambda x: x * np.ma.masked_array([1.0, 2.0, 3.0], [0, 1, 0]), UsageError, "multiply.*filled"),
    "object operand": (lambda x: x * np.array([1, None, 2]), UsageError, "multiply.*object"),
    "tensor of a tensor": (lambda x: tg.tensor(x), UsageError, r"detach\(\)"),
    "freeze a result": (lambda x: setattr(x * 2, "requires_grad", False), GraphError, "result of multiply"),
    "grad of another shape": (lambda x: setattr(x, "grad", np.ones(2)), ShapeError, r"shape \(3,\), got \(2,\)"),
    "item assignment": (
        lambda x: x.__setitem__(0, 1.0),
        UsageError,
        r"x\.at\[i\]\.set\(v\), or \.add\(v\), or tg\.functionalize\(f\)",
    ),
    "no history": (lambda x: tg.tensor(1.0).backward(), GraphError, "no history"),
    "not scalar": (lambda x: (x * x).backward(), ShapeError, r"shape \(3,\)"),
    "cotangent": (lambda x: (x * x).backward(np.ones((3, 1))), ShapeError, r"shape \(3,\), got \(3, 1\)"),
    "retain": (lambda x: tg.tensor(1.0).retain_grad(), GraphError, "no history"),
    "the class itself": (lambda x: tg.Tensor([1.0]), UsageError, r"tg\.tensor"),
    "a subclass": (lambda x: type("Mine", (tg.Tensor,), {}), UsageError, "subclassed"),
    "truth": (lambda x: bool(x > 1), InputError, r"\.any\(\)"),
    "item": (lambda x: x.item(), InputError, r"shape \(3,\)"),
    "float index": (lambda x: [1, 2][x[0]], UsageError, "float64"),
    "length of a number": (lambda x: len(x[0]), UsageError, "0-d"),
    "pickle a result": (lambda x: pickle.dumps(x * 2), GraphError, r"tensor\.detach\(\)"),
    "copy a result": (lambda x: copy.deepcopy(x * 2), GraphError, r"tensor\.detach\(\)"),
}


@pytest.mark.parametrize("shape", [(), (2,)])
@pytest.mark.parametrize("operator", [add, sub, mul, truediv, pow])
def test_values_of_complex_numbers_are_those_of_numpy(operator: Callable[[Any, Any], Any], shape: tuple[int]) -> None:
    a = np.full(shape, 2.0)
    for result, expected in [
        (operator(1j, tg.tensor(a)), operator(1j, a)),
        (operator(tg.tensor(a), 1j), operator(a, 1j)),
    ]:
        np.testing.assert_array_equal(result.numpy(), expected, strict=True)


@pytest.mark.parametrize(("attempt", "kind", "message"), ERRORS.values(), ids=list(ERRORS))
def test_errors(x: tg.Tensor, attempt: Callable[[tg.Tensor], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        attempt(x)
    np.testing.assert_array_equal(x.numpy(), [1, 2, 3])
    assert x.grad is None
    assert x.requires_grad


def test_augmented_assignment_of_a_leaf_is_an_error(x: tg.Tensor) -> None:
    for change in ("x += 1", "x -= 1", "x *= 2", "x /= 2", "x **= 2"):
        with pytest.raises(UsageError, match=r"no_grad\(\)"):
            exec(change, {"x": x})


def test_storing_a_tensor_in_an_array_is_an_error(x: tg.Tensor) -> None:
    array = np.zeros(3)
    with pytest.raises(ValueError, match="sequence") as caught:  # NumPy's words, and ours behind them
        array[0] = x[0]
    assert "np.stack" in str(caught.value.__cause__)
    assert array[0] == 0
    array[0] = float(x[0])
    array[1] = x.detach()[1]
    np.testing.assert_array_equal(array, [1, 2, 0])


def test_explicit_ways_out(x: tg.Tensor) -> None:
    assert x.numpy().tolist() == x.tolist() == [1, 2, 3]
    y = x.sum()
    assert float(y) == y.item() == 6
    assert int(y) == 6
    assert f"{y:.2f}" == "6.00"
    assert np.asarray(x.detach()).tolist() == [1, 2, 3]
    assert ["a", "b", "c", "d"][x.argmax()] == "c"
    assert [float(entry) for entry in x] == [1, 2, 3]
    assert 2.0 in x
    assert 5.0 not in x


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (lambda: tg.tensor([1.0, 2.0]), "tensor([1., 2.])"),
        (lambda: tg.tensor(1.5, requires_grad=True, name="w"), "tensor(1.5, requires_grad=True, name='w')"),
        (lambda: tg.tensor([1.0], requires_grad=True) * 2, "tensor([2.], op=multiply)"),
        (lambda: tg.tensor(np.ones(1, np.float32)), "tensor([1.], dtype=float32)"),
        (lambda: tg.tensor([[1, 2], [3, 4]]), "tensor([[1, 2],\n        [3, 4]])"),
        (lambda: tg.tensor(np.ones((0, 2))), "tensor([], dtype=float64, shape=(0, 2))"),
    ],
)
def test_repr(tensor: Callable[[], tg.Tensor], text: str) -> None:
    assert repr(tensor()) == text


@pytest.mark.parametrize("again", [lambda x: pickle.loads(pickle.dumps(x)), copy.copy, copy.deepcopy])
def test_a_leaf_can_be_copied(x: tg.Tensor, again: Callable[[tg.Tensor], tg.Tensor]) -> None:
    (x * 2).sum().backward()
    y = again(x)
    assert y is not x
    assert (y.name, y.requires_grad, y.dtype) == ("x", True, x.dtype)
    np.testing.assert_array_equal(y.numpy(), x.numpy())
    np.testing.assert_array_equal(y.grad, x.grad)
    with tg.no_grad():
        y -= 1
    np.testing.assert_array_equal(x.numpy(), [1, 2, 3])
    with pytest.raises(ValueError, match="read-only"):
        y.numpy()[0] = 1


def test_a_shallow_copy_of_a_result_keeps_its_history() -> None:
    def f(x: Any) -> Any:
        return np.sum(copy.copy(copy.copy(x) ** 3))

    x, t = np.array([1.0, 2.0]), np.array([3.0, 5.0])
    np.testing.assert_allclose(tg.grad(f)(x), 3 * x**2)
    np.testing.assert_allclose(tg.jvp(f, (x,), (t,))[1], 3 * x**2 @ t)
    np.testing.assert_allclose(tg.hvp(f, (x,), (t,)), 6 * x * t)
    np.testing.assert_allclose(tg.compile(tg.grad(f), backend="numpy")(x), 3 * x**2)
    leaf = tg.tensor(x, requires_grad=True)
    assert copy.copy(leaf) is not leaf  # which an update of the other does not reach


def test_a_copy_is_not_reached_by_an_update(x: tg.Tensor) -> None:
    best = x.copy()
    with tg.no_grad():
        x -= 1
    np.testing.assert_array_equal(best.numpy(), [1, 2, 3])


def test_gradients_that_arrive_together_are_updated_apart(x: tg.Tensor) -> None:
    z = tg.tensor(np.ones(3), requires_grad=True)
    (x + z).backward(tg.tensor(np.ones(3)), create_graph=True)
    with tg.no_grad():
        z.grad *= 2
    np.testing.assert_array_equal(x.grad, [1, 1, 1])
    np.testing.assert_array_equal(z.grad, [2, 2, 2])


def test_a_leaf_with_a_differentiable_gradient_can_be_copied(x: tg.Tensor) -> None:
    (x * x).sum().backward(create_graph=True)
    np.testing.assert_array_equal(copy.deepcopy(x).grad, [2, 4, 6])


def test_dropping_the_result_frees_the_graph_at_once(x: tg.Tensor) -> None:
    gc.disable()
    try:
        middle = x * 2
        seen = weakref.ref(middle)
        result = np.exp(middle).sum()
        del middle
        assert seen() is not None
        del result
        assert seen() is None
    finally:
        gc.enable()


def test_no_grad_and_enable_grad_nest_and_restore(x: tg.Tensor) -> None:
    with tg.no_grad():
        assert not (x * 2).requires_grad
        with tg.enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad
    with pytest.raises(ZeroDivisionError), tg.no_grad():
        1 / 0
    assert (x * 2).requires_grad

    @tg.no_grad()
    def evaluate() -> bool:
        return (x * 2).requires_grad

    assert not evaluate()
    assert (x * 2).requires_grad


def test_no_grad_in_one_thread_does_not_reach_another(x: tg.Tensor) -> None:
    inside, done = threading.Event(), threading.Event()

    def other() -> None:
        with tg.no_grad():
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(10)
    built = (x * 2).requires_grad
    done.set()
    thread.join()
    assert built


def test_threads_differentiate_their_own_graphs() -> None:
    found: dict[int, Any] = {}

    def work(k: int) -> None:
        for _ in range(50):
            x = tg.tensor(np.full(3, float(k)), requires_grad=True)
            (x**3).sum().backward()
            found[k] = x.grad.numpy()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(4):
        np.testing.assert_array_equal(found[k], np.full(3, 3.0 * k**2))


def test_pandas_leaves_the_operation_to_the_tensor(x: tg.Tensor) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas comes with the extra `examples`")
    series = pandas.Series([1.0, 2.0, 3.0])
    for multiply in (lambda: series * x, lambda: x * series):
        with pytest.raises(UsageError, match=r"labels of this Series .* pass its plain array"):
            multiply()
    np.testing.assert_array_equal((series.to_numpy() * x).numpy(), [1, 4, 9])


@pytest.mark.parametrize("index", [1, [1], [[1]], [1, 2], [], [True, False, True], [[True, False]] * 3])
def test_a_tensor_picks_from_an_array_what_an_array_picks(index: Any) -> None:
    a, i = np.arange(6).reshape(3, 2), np.array(index, bool if np.array(index).dtype == bool else int)
    np.testing.assert_array_equal(a[tg.tensor(i)], a[i], strict=True)


def test_only_one_integer_without_axes_is_pythons_index() -> None:
    assert [7, 8][tg.tensor(1)] == 8
    for wrong in ([1], [[1]], 1.0, [1, 2]):
        with pytest.raises(UsageError, match="one integer"):
            range(tg.tensor(wrong))  # type: ignore[arg-type]
