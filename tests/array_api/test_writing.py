"""Functions that write into their arrays, functionalized: values are NumPy's, and gradients those of differences."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import errors


def random_function(seed: int) -> Callable[[Any, Any], Any]:
    """A function that makes views and copies of its arguments, and numbers, and writes into all arrays."""

    def function(x: Any, w: Any) -> Any:
        rng = np.random.default_rng(seed)
        arrays, numbers = [x, w], [x[0, 0]]
        for _ in range(18):
            a = arrays[rng.integers(len(arrays))]
            if not a.ndim or not len(a):
                continue
            i, kind = int(rng.integers(len(a))), rng.integers(18)
            if kind == 0:
                arrays.append(a[i:])
            elif kind == 1:
                arrays.append(a.T)
            elif kind == 2:
                arrays.append(a[i])
            elif kind == 3:
                arrays.append(a.reshape(-1))
            elif kind == 4:
                arrays.append(np.sin(a) if i else a.copy())
            elif kind == 5:
                a[i] = a[i - 1] * 1.5 + 0.1
            elif kind == 6:
                a[i] += a[0] * 0.3
            elif kind == 7:
                a *= 1.1
            elif kind == 8:
                a[a > 1.2] = 0.5
            elif kind == 9:
                a[[0, -1]] = a[[-1, 0]]
            elif kind == 12:
                (np.add, np.subtract)[i % 2].at(a, [0, -1, 0], a[i] * 0.2)
            elif kind == 10:
                np.multiply(a, a[0], out=a)
            elif kind == 13:
                arrays.append(np.einsum("ii->i", a) if a.shape[1:] == (len(a),) else np.flip(a))
            elif kind == 14:
                arrays.append(np.ravel(a, order="FC"[i % 2]))
            elif kind == 15:
                a.flat[::2] = a.flat[0] * 0.7
            elif kind == 16:
                np.sin(a, out=a, where=a < numbers[-1])
            elif kind == 17:
                numbers.append(numbers[-1])
                numbers[-1] += a.flat[i]
            else:
                np.cumsum(np.tanh(a), axis=0, out=a)
        return sum((k + 1) * np.sum(np.cos(a)) for k, a in enumerate(arrays + numbers))

    return function


@pytest.mark.long
@pytest.mark.parametrize("seed", range(40))
def test_values_and_gradients_of_random_functions(seed: int) -> None:
    f = random_function(seed)
    x, w = np.random.default_rng(seed).uniform(size=(2, 3, 3))
    before = x.copy()
    functional = tg.functionalize(f)
    value, (by_x, by_w) = tg.value_and_grad(functional, argnums=(0, 1))(x, w)
    np.testing.assert_array_equal(x, before)
    np.testing.assert_allclose(value, f(x.copy(), w.copy()), rtol=1e-12)
    np.testing.assert_allclose(functional(x, w), value, rtol=1e-12)
    a, b = np.random.default_rng(seed + 1).normal(size=(2, 3, 3))
    slope = (f(x + 1e-6 * a, w + 1e-6 * b) - f(x - 1e-6 * a, w - 1e-6 * b)) / 2e-6
    np.testing.assert_allclose(np.sum(by_x * a + by_w * b), slope, rtol=1e-6, atol=1e-6)
    pushed = tg.jvp(functional, (x, w), (a, b))
    np.testing.assert_allclose(pushed, (value, np.sum(by_x * a + by_w * b)), rtol=1e-10)


def smooth(x: Any) -> Any:
    y = np.zeros_like(x)
    y[0] = x[0]
    for t in range(1, len(x)):
        y[t] = 0.5 * y[t - 1] + x[t] ** 2
    y[y > 3] = 3
    y.T[-1] -= y[0]
    return y


def test_a_functionalized_function_nests_with_transforms_and_compiles() -> None:
    x = np.array([0.3, 1.0, 0.5])
    f = tg.functionalize(lambda x: np.sum(smooth(x) ** 3))
    tg.gradcheck(f, x)
    np.testing.assert_allclose(tg.compile(tg.grad(f))(x), tg.grad(f)(x), rtol=1e-12)
    np.testing.assert_allclose(tg.hessian(f)(x), tg.jacobian(tg.grad(f))(x), rtol=1e-12)
    assert isinstance(tg.functionalize(smooth)(tg.tensor(x)), tg.Tensor)
    assert type(tg.functionalize(smooth)(x)) is np.ndarray


@pytest.mark.parametrize(
    "inside",
    [
        lambda f, x: tg.grad(lambda x: np.sum(f(x)))(x),
        lambda f, x: tg.value_and_grad(lambda x: np.sum(f(x)))(x)[1],
        lambda f, x: tg.vjp(f, x)[1](x)[0],
        lambda f, x: tg.jvp(f, (x,), (x * 0.5,))[1],
        lambda f, x: tg.jacobian(f, mode="reverse")(x) @ x,
        lambda f, x: tg.jacobian(f, mode="forward")(x)[0],
        lambda f, x: tg.hvp(lambda x: np.sum(f(x)), (x,), (np.ones(3),)),
        lambda f, x: tg.grad(lambda t: np.sum(f(x * t) * x))(1.5) * x,
        lambda f, x: tg.grad(lambda t: f(x[::-1])[1] * t**3)(x[0]) + x,
        lambda f, x: tg.jvp(lambda t: t * x * f(x), (1.5,), (x[2],))[1],
        lambda f, x: tg.jacobian(lambda y: y * x, mode="forward")(f(x)) @ x,
        lambda f, x: tg.jacobian(lambda y: y * x, mode="reverse")(f(x)) @ x,
        lambda f, x: tg.hvp(lambda y: np.sum(y**3 * x), (x,), (x,)),
        lambda f, x: tg.checkpoint(f)(x),
        lambda f, x: tg.checkpoint(lambda t: f(x) * t)(x[0]),
        lambda f, x: tg.custom_gradient(lambda x: (x**3, lambda g: g * 3 * x**2))(x),
        lambda f, x: tg.grad(lambda x: np.sum(tg.checkpoint(f)(x)))(x),
    ],
)
def test_transforms_inside_a_function_that_writes(inside: Any) -> None:
    """They take an array that can be written into as what it holds, and return such arrays."""
    cube = tg.functionalize(lambda x: operator.imul(x * x, x[::-1]))

    def f(x: Any) -> Any:
        y = x * 1.1
        y[0] += y[1]
        y = inside(cube, y)
        y[1] *= y[0]
        return y

    x = np.array([0.5, 0.8, 1.1])
    assert_slopes(f, x)
    gradient = tg.grad(lambda x: np.sum(tg.functionalize(f)(x) ** 2))
    assert_slopes(gradient, x)


def test_a_system_of_columns_compiles() -> None:
    """How the result lies in memory is asked of NumPy while no entry is known, so that matrices may look singular."""

    def f(x: Any) -> Any:
        y = np.linalg.solve(x.T, x[::-1].T)
        y.ravel()[0] = 1.0
        return np.sum(y * y)

    x = np.random.default_rng(5).uniform(size=(3, 3)) + 3 * np.eye(3)
    gradient = tg.grad(tg.functionalize(f))
    np.testing.assert_allclose(tg.compile(gradient, backend="numpy")(x), gradient(x), rtol=1e-10)


READ: dict[str, Callable[[Any], Any]] = {
    "copy": lambda x: x.copy(),
    "flatten": lambda x: x.flatten(),
    "a copy's row": lambda x: x.T.copy().reshape(-1),
    "resize": lambda x: np.resize(x, (2, 3)),
    "repeat": lambda x: np.repeat(x, 1, axis=0),
    "method repeat": lambda x: x.repeat(1, axis=0),
    "tile": lambda x: np.tile(x, 1),
    "delete": lambda x: np.delete(x, [], axis=0),
    "shift": lambda x: np.fft.fftshift(x[:1, :1]),
    "grid": lambda x: np.meshgrid(x[0], x[:, 0])[0],
    "reshaped copy": lambda x: (
        np.reshape(x, (3, 2), copy=True) if np.lib.NumpyVersion(np.__version__) >= "2.1.0" else x
    ),
    **{f"padded by none, {mode}": lambda x, mode=mode: np.pad(x, 0, mode=mode) for mode in ("edge", "mean", "wrap")},
    "grid of views": lambda x: np.meshgrid(x[0], copy=False)[0],
    "ravel": lambda x: x.ravel(),
    "row of a transposed": lambda x: x.T.reshape(-1),
    "split": lambda x: np.split(x, 3, axis=1)[1],
    "turned": lambda x: np.rot90(x),
    "squeeze": lambda x: x[None].squeeze(),
    "roll": lambda x: np.roll(x, 0),
    "rows": lambda x: x[[0, 1]],
    "joined": lambda x: np.concatenate([x]),
    "einsum's diagonal": lambda x: np.einsum("ii->i", x[:, 1:]),
    "einsum's transposed": lambda x: np.einsum("ij->ji", x),
    "einsum's sum": lambda x: np.einsum("ij->i", x),
    "einsum of two": lambda x: np.einsum("ij,j->ij", x, x[0]),
    "columns": lambda x: np.take(x, [0, 1], axis=1),
    "method's columns": lambda x: x.take([0, 1], axis=1),
    "columns by a mask": lambda x: np.compress([True, True], x, axis=1),
    "a matrix to the power of 1": lambda x: np.linalg.matrix_power(x[:, 1:], 1),
    "sorted columns": lambda x: np.sort(x.T, axis=1),
    "in part": lambda x: np.partition(x.T, 1, axis=1),
    "stacked columns": lambda x: np.stack([x.T, x.T])[1],
    "columns without one": lambda x: np.delete(x.T, 0, axis=0),
    "blocks of columns": lambda x: np.block([[x.T, x.T]]),
    "selected columns": lambda x: np.select([x.T > 2], [x.T], 0.0),
    "copy by columns": lambda x: x.copy("F"),
    "copy of columns as they are": lambda x: x.T.copy("K"),
    "np.copy by columns": lambda x: np.copy(x, order="F"),
    "like, by columns": lambda x: np.ones_like(x, order="F"),
    "another name": lambda x: x.view(),
    "copy of every other entry": lambda x: x[0, ::2].copy(),
    "np.copy of a column": lambda x: np.copy(x[:, 0]),
    "copy from the end": lambda x: x[0, ::-1].copy(),
    "flattened column": lambda x: x[:, 0].flatten(),
    "copy of parts": lambda x: (x[0] * 1j).imag.copy(),
    "copy of one entry, stretched": lambda x: np.broadcast_to(x[0, :1], (3,)).copy(),
    "every other entry": lambda x: x[0, ::2],
}


@pytest.mark.parametrize("name", READ)
def test_what_is_a_view_and_what_a_copy_is_as_in_numpy(name: str) -> None:
    read = READ[name]

    def write_into_it(x: Any) -> Any:
        read(x)[...] = -1.0
        return x

    def write_into_the_array(x: Any) -> Any:
        y = read(x)
        x[...] = 5.0
        return y * 1.0

    def write_twice(x: Any) -> Any:
        y = read(x)
        y[0] = 7.0
        np.reshape(y, -1)[...] = 2.0
        return y * 1.0

    def write_in_a_row(x: Any) -> Any:
        y = read(x)
        y.ravel()[...] = 3.0
        return y * 1.0

    x = np.arange(6.0).reshape(2, 3)
    for f in (write_into_it, write_into_the_array, write_twice, write_in_a_row):
        np.testing.assert_array_equal(tg.functionalize(f)(tg.tensor(x)), f(x.copy()), err_msg=f.__name__)


ENTRY: dict[str, Callable[[Any], Any]] = {
    "entry": lambda x: x[1, 2],
    "entry after an ellipsis": lambda x: x[..., 1, 2],
    "entry of flat": lambda x: x.flat[3],
    "entry as an array": lambda x: x[1:, 2:].reshape(()),
    "squeezed": lambda x: np.squeeze(x[1:, 2:]),
    "like, without axes": lambda x: np.zeros_like(x, shape=()),
    "written like": lambda x: np.full_like(x, x[0, 1], shape=()),
    "chosen": lambda x: np.where(True, x[0, 0], 1.0),
    "selected": lambda x: np.select([x[0, 0] > 5], [x[0, 0]], 2.0),
    "copy of a number": lambda x: x[0, 0].copy(),
    "np.copy of a number": lambda x: np.copy(x[0, 0]),
    "copy of an array": lambda x: np.squeeze(x[1:, 2:]).copy(),
    "sum": np.sum,
    "method's mean": lambda x: x.mean(),
    "greatest": lambda x: np.max(x),
    "sine": lambda x: np.sin(np.squeeze(x[1:, 2:])),
    "one more": lambda x: np.squeeze(x[1:, 2:]) + 1,
    "contracted": lambda x: np.tensordot(x, x, 2),
    "contracted by einsum": lambda x: np.einsum("ij,ij", x, x),
    "product": lambda x: x[0] @ x[1],
    "vectors' product": lambda x: np.linalg.vecdot(x[0], x[1]),
    "covariance": lambda x: np.cov(x[0]),
    "norm": np.linalg.norm,
    "real part of a number": lambda x: np.real(np.sum(x)),
    "median": np.median,
    "determinant": lambda x: np.linalg.det(x[:, 1:]),
    "from a number of Python's": lambda x: sum(x[0]),
}


@pytest.mark.parametrize("name", ENTRY)
def test_nothing_writes_into_a_number_and_what_is_an_array_without_axes_is_one_as_in_numpy(name: str) -> None:
    def f(x: Any) -> Any:
        former = y = ENTRY[name](x)
        y += x[0, 1]
        y *= 2
        return np.stack([former, y, x[1, 2]])

    x = np.arange(6.0).reshape(2, 3) ** 2 + 1
    np.testing.assert_allclose(tg.functionalize(f)(tg.tensor(x)), f(x.copy()), rtol=1e-12)
    assert_slopes(f, x)


def test_an_array_made_of_a_number_is_no_view_of_it() -> None:
    """NumPy's number was taken for an array without axes."""
    made: list[Callable[[Any], Any]] = [
        *(np.ravel, np.atleast_2d, lambda y: np.ravel(y, order="F"), lambda y: np.reshape(y, (1, 1), order="F")),
        *(lambda y: np.expand_dims(y, 0), lambda y: y[None], lambda y: np.pad(y, 0), lambda y: np.resize(y, 1)),
    ]

    def f(x: Any) -> Any:
        total = np.sum(x)
        for make in made:
            make(total)[...] = 7.0
        return total * 1.0

    x = np.arange(6.0).reshape(2, 3)
    assert tg.functionalize(f)(tg.tensor(x)) == f(x)


WITHOUT_AXES: dict[str, Callable[[Any], Any]] = {
    "in place": lambda y: operator.iadd(y, 0.5),
    "all": lambda y: y.__setitem__(..., y**2),
    "by an empty index": lambda y: y.__setitem__((), y**2),
    "by a mask": lambda y: y.__setitem__(y > 0, y**2),
    "flat": lambda y: y.flat.__setitem__(0, y**2),
    "flat, all": lambda y: y.flat.__setitem__(slice(None), y**2),
    "flat, twice": lambda y: y.flat.__setitem__([0, -1], np.stack([y * 3, y * 2])),
    "put": lambda y: np.put(y, 0, y**2),
    "put, wrapped": lambda y: np.put(y, [5, 3], np.stack([y * 3, y * 2]), mode="wrap"),
    "put_along_axis": lambda y: np.put_along_axis(y, np.array([0]), y**2, None),
    "place": lambda y: np.place(y, y > 0, [y**2]),
    "putmask": lambda y: np.putmask(y, y > 0, y**2),
    "copyto": lambda y: np.copyto(y, y**2),
    "fill": lambda y: y.fill(2.0),
    "out": lambda y: np.sin(y, out=y),
    "out, where": lambda y: np.sin(y, out=y, where=y > 0),
    "out of a sum": lambda y: np.sum(np.stack([y, y**2]), out=y),
    "multiply.at": lambda y: np.multiply.at(y, (), 3.0),
    "view": lambda y: y[...].__setitem__((), y**2),
    "transpose": lambda y: y.T.__setitem__((), y**2),
    "row": lambda y: y[None].__setitem__(0, y**2),
    "reshape": lambda y: y.reshape(1, 1).__setitem__((0, 0), y**2),
    "ravel": lambda y: y.ravel().__setitem__(0, y**2),
    "atleast_1d": lambda y: np.atleast_1d(y).__setitem__(0, y**2),
    "at of a row": lambda y: np.multiply.at(y.reshape(1), [0, 0], y * 1.0),
}


@pytest.mark.parametrize("is_argument", [True, False])
@pytest.mark.parametrize("name", WITHOUT_AXES)
def test_an_array_without_axes_is_written_into_as_any_other(name: str, is_argument: bool) -> None:
    def f(x: Any) -> Any:
        y = x if is_argument else np.zeros_like(x)
        y[...] = x
        former = y
        WITHOUT_AXES[name](y)
        return former * np.sin(y)

    at = np.array(1.3)
    slope = (f(np.array(at + 1e-6)) - f(np.array(at - 1e-6))) / 2e-6
    functional = tg.functionalize(f)
    for pair in (tg.value_and_grad(functional)(at), tg.jvp(functional, (at,), (np.array(1.0),))):
        np.testing.assert_allclose(pair, (f(at.copy()), slope), rtol=1e-8)
    np.testing.assert_allclose(tg.hessian(functional)(at), tg.grad(tg.grad(functional))(at))
    assert at == 1.3


@pytest.mark.parametrize(
    ("write", "is_refused"),
    [
        (lambda y: np.putmask(y, y > 0, [1.0, 2.0, 3.0]), False),
        (lambda y: np.putmask(y, np.ones(6, bool), y * 2), False),
        (lambda y: np.putmask(y, np.ones(3, bool), y), True),
        (lambda y: np.put_along_axis(y, np.zeros((2, 1), int), 5.0, axis=-1), False),
        (lambda y: np.put_along_axis(y, np.zeros((1, 3), int), 5.0, axis=-2), False),
        (lambda y: np.put_along_axis(y, np.zeros((1, 3), int), 5.0, axis=2), True),
        (lambda y: np.put_along_axis(y, np.zeros((2, 1), int), 5.0, axis=-3), True),
        (lambda y: np.put_along_axis(y, np.array([0]), 5.0, axis=1), True),
        (lambda y: np.place(y, np.ones(6, bool), [1.0, 2.0]), False),
        (lambda y: np.place(y, np.ones(3, bool), [1.0, 2.0]), True),
    ],
)
def test_masks_and_axes_that_numpy_refuses_are_refused(write: Callable[[Any], Any], is_refused: bool) -> None:
    def f(y: Any) -> Any:
        write(y)
        return y

    x = np.array([[0.5, -1.0, 2.0], [-0.3, 0.2, 1.0]])
    for run in (f, tg.functionalize(f), lambda x: tg.jvp(tg.functionalize(f), (x,), (x,))[0]):
        if is_refused:
            with pytest.raises(ValueError, match=r"axis|axes|same size|as many entries|reshape|dimensions"):
                run(x.copy())
        else:
            np.testing.assert_array_equal(run(x.copy()), f(x.copy()))


def test_an_index_outside_an_array_without_axes_is_numpys_error() -> None:
    for write in (lambda y: np.put(y, 1, y), lambda y: y.flat.__setitem__(1, y)):
        with pytest.raises(IndexError):
            tg.grad(tg.functionalize(lambda x, write=write: (write(x), x)[1]))(np.array(1.3))


def test_what_a_caller_passes_as_a_number_stays_one() -> None:
    def f(x: Any) -> Any:
        former = x
        x += 1
        return former * x

    assert tg.grad(tg.functionalize(f))(2.0) == tg.grad(tg.functionalize(f))(np.float64(2.0)) == 5
    assert tg.grad(tg.functionalize(f))(np.array(2.0)) == 6
    assert tg.grad(lambda x: tg.functionalize(f)(x[0]))(np.array([2.0])) == 5


def assert_slopes(f: Callable[[Any], Any], x: Any) -> None:
    """Hold the gradients of a functionalized function, in both modes, to differences."""

    def scalar(x: Any) -> Any:
        y = f(x)
        return np.sum(y * np.cos(np.arange(y.size)).reshape(y.shape))

    functional = tg.functionalize(scalar)
    direction = np.sin(1 + np.arange(x.size)).reshape(x.shape)
    slope = (scalar(x + 1e-6 * direction) - scalar(x - 1e-6 * direction)) / 2e-6
    np.testing.assert_allclose(np.sum(tg.grad(functional)(x) * direction), slope, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(tg.jvp(functional, (x,), (direction,))[1], slope, rtol=1e-6, atol=1e-6)


def running(x: Any) -> Any:
    total, totals = 0.0, []
    for row in x:
        total += np.sum(row**2)
        totals.append(total)
        total *= 0.9
    return np.stack(totals)


def least(x: Any) -> Any:
    walk = smallest = x[0, 0]
    for i, step in enumerate(x.flat):
        walk += step * (-1.7) ** i
        if walk < smallest:
            smallest = walk
    return np.stack([walk, smallest])


def changes_at(x: Any) -> Any:
    y = np.ones_like(x)
    np.add.at(y[1], [0, 0, 2], x[0, :3])
    np.multiply.at(y, ([0, 2, 0], [1, 1, 1]), x[1, :3])
    np.maximum.at(y.T, [3, 3], x[:2])
    np.divide.at(y, (slice(None), 0), [x[0, 1], 2.0, x[1, 1], 3.0])
    np.exp.at(y[:, 2], np.array([[0, 1], [1, 3]]))
    np.power.at(y, (3, [0, 1, 0]), 2)
    return y


def where_there_is_a_result(x: Any) -> Any:
    y = np.zeros_like(x)
    np.divide(1.0, x - x[0], out=y, where=x != x[0])
    np.log(x, out=y, where=np.array([True, False, True, True]))
    np.multiply(x[:, :1], x, out=y, where=x < 0.7)
    np.sum(x, axis=0, where=x > 0.9, out=y[3])
    return y


def in_a_row(x: Any) -> Any:
    x.flat[::5] += 1
    x.flat[1:5] = x.flat[6:10]
    x.flat[[0, 3, 3]] = [x[1, 1], 2.0, 3.0]
    x[1:, 1:].T.flat[::4] = x[0, :2]
    y = np.zeros_like(x)
    y.flat = x[0]
    return x * y + len(x.flat)


def puts(x: Any) -> Any:
    np.put(x, [0, -1, 7], [x[1, 1], x[2, 2]])
    x.put([[1, 2], [33, 4]], x[3, :2], mode="wrap")
    np.place(x, x > 1.3, x[0, :2])
    np.putmask(x, x < 0.4, x * 3)
    np.put_along_axis(x, np.argmax(x, axis=1)[:, None], 0.0, axis=1)
    np.put_along_axis(x, np.argsort(x, axis=0)[:2], x[2:], axis=0)
    np.put_along_axis(x, np.array([3, 5]), x[0, :2], axis=None)
    return x


def outputs(x: Any) -> Any:
    y, whole, row = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x, shape=4)
    np.divmod(x, 0.3, out=(whole, y))
    for write in (
        lambda: np.sum(x, 0, None, row),
        lambda: x.mean(0, out=row),
        lambda: x.max(1, row),
        lambda: x[0].cumsum(out=row),
        lambda: np.dot(x, x[1], out=row),
        lambda: x[1].clip(0.3, 0.9, out=row),
        lambda: np.add.reduce(x, axis=1, out=row),
    ):
        write()
        y[0] += row
    return y + whole


def orders(x: Any) -> Any:
    x.partition(2)
    x[:, 1].sort()
    x[:2] = [x[2], x[3] * 2]
    x += [1.0, x[0, 0], 2.0, 3.0]
    return np.sort(x[:, :2], axis=1)


def parts(x: Any) -> Any:
    z = np.zeros_like(x, dtype=complex)
    z[...] = x * (1 + 2j)
    z.real[1] = x[0]
    np.imag(z)[:, 2] *= x[1]
    z.T[0].imag += x[2]
    z.imag /= 2
    z.real = z.real - x
    real = z.real
    z *= 1j * x
    x.real += 1
    return real * z.imag + x


PROGRAMS = [running, least, changes_at, where_there_is_a_result, in_a_row, puts, outputs, orders, parts]


@pytest.mark.parametrize("f", PROGRAMS, ids=lambda f: f.__name__)
def test_programs_that_write_as_numpy_lets_them(f: Callable[[Any], Any]) -> None:
    x = np.random.default_rng(3).uniform(0.2, 1.5, (4, 4))
    np.testing.assert_allclose(tg.functionalize(f)(tg.tensor(x)), f(x.copy()), rtol=1e-12)
    assert_slopes(f, x)


@pytest.mark.parametrize(
    "write",
    [
        lambda x: operator.setitem(x, ..., x[::-1] * 2),
        lambda x: operator.iadd(x, np.arange(9.0).reshape(3, 3)),
        lambda x: operator.imatmul(x, np.ones((3, 3))),
        lambda x: operator.imul(x[1:], 2.0),
        lambda x: operator.setitem(x.flat, slice(2), 1.0),
        lambda x: np.add.at(x, [0, 0], 1.0),
        lambda x: np.multiply.at(x, [0, 0], 3.0),
        lambda x: np.cumsum(x, axis=0, out=x),
        lambda x: np.sin(x, out=x, where=x > 0.3),
        lambda x: np.copyto(x, x.T.copy()),
        lambda x: x.sort(axis=0),
        lambda x: x.fill(3.0),
    ],
)
def test_an_array_lies_in_memory_as_before_after_it_was_written_into(write: Callable[[Any], Any]) -> None:
    for make in (np.copy, lambda x: x.copy("F"), lambda x: np.sin(x.T)):

        def f(x: Any) -> Any:
            y = make(x)  # noqa: B023
            write(y)
            in_a_row, too = y.reshape(-1), y.T.ravel()
            y[0, 1] = 7.0
            in_a_row[2], too[3] = 5.0, 6.0
            return np.concatenate([y.ravel(), in_a_row, too])

        x = np.random.default_rng(4).uniform(size=(3, 3))
        np.testing.assert_allclose(tg.functionalize(f)(tg.tensor(x)), f(x), rtol=1e-12)
        np.testing.assert_allclose(tg.jvp(tg.functionalize(f), (x,), (x,))[0], f(x), rtol=1e-12)


@pytest.mark.parametrize("read", [np.asarray, np.ascontiguousarray])
def test_a_plain_array_that_would_not_see_what_is_written_is_refused(read: Callable[[Any], Any]) -> None:
    def f(x: Any) -> Any:
        read(x)
        x[0] = 1.0  # by now nobody has it
        plain = read(x)[1:]
        x[1] = plain[0] + 1
        return x

    with pytest.raises(errors.UsageError, match="give a plain array here, which does not see"):
        tg.functionalize(f)(tg.tensor([1.0, 2.0, 3.0]))


@pytest.mark.parametrize(
    "read",
    [
        np.diagonal,
        np.diag,
        lambda x: np.diagonal(x, offset=1),
        lambda x: x.diagonal(-1),
        lambda x: x[None].diagonal(0, 1, 2)[0],
        lambda x: np.diag(x[0]),
        lambda x: np.diag(np.diag(x)),
        lambda x: np.diagonal(np.sin(x)),
    ],
)
def test_a_diagonal_shows_what_is_written_into_its_array(read: Callable[[Any], Any]) -> None:
    def f(x: Any) -> Any:
        y = read(x)
        x *= x
        x[0, 1] = 2 * x[1, 0]
        x[1] += y[0] if y.ndim == 1 else y[0, 0]
        return y * 3.0

    x = np.arange(1.0, 7.0).reshape(2, 3)
    np.testing.assert_array_equal(tg.functionalize(f)(tg.tensor(x)), f(x.copy()))
    gradient = tg.grad(lambda x: np.sum(tg.functionalize(f)(x) ** 2))(x)
    nudges = 1e-6 * np.eye(6).reshape(6, 2, 3)
    slopes = [(np.sum(f(x + h) ** 2) - np.sum(f(x - h) ** 2)) / 2e-6 for h in nudges]
    np.testing.assert_allclose(np.ravel(gradient), slopes, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2), (2, 2, 2)])
def test_functions_that_write_into_an_array(shape: tuple[int, ...]) -> None:
    def f(x: Any) -> Any:
        y = np.zeros_like(x)
        np.copyto(y, x * x)
        np.copyto(src=0.0, dst=y, where=x < 0)
        np.fill_diagonal(val=5, a=y)
        np.fill_diagonal(y, x[(0,) * (x.ndim - 1)][: min(x.shape)])
        return y

    x = np.arange(2.0, 2 + np.prod(shape)).reshape(shape)
    np.testing.assert_array_equal(tg.functionalize(f)(tg.tensor(x)), f(x))
    gradient = tg.grad(lambda x: np.sum(tg.functionalize(f)(x)))(x)
    assert np.sum(gradient) == 2 * np.sum(x * (f(x) == x * x)) + min(shape)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 12])
@pytest.mark.parametrize(
    "write",
    [
        lambda x, values: np.fill_diagonal(x, values),
        lambda x, values: np.fill_diagonal(x, values.reshape(-1, 1)),
        lambda x, values: np.put(x, [5, 1, 7], values),
        lambda x, values: x.put([5, 1, 7], values),
        lambda x, values: np.putmask(x, x > 0.3, values),
        lambda x, values: operator.setitem(x.flat, slice(1, None, 3), values),
    ],
)
def test_values_that_are_too_few_are_repeated_and_none_change_nothing(write: Any, count: int) -> None:
    def f(x: Any) -> Any:
        y = x * 1.0
        write(y, x.ravel()[:count] + 1)
        return y

    x = np.random.default_rng(1).uniform(size=(4, 3))
    np.testing.assert_array_equal(tg.functionalize(f)(tg.tensor(x)), f(x))
    assert_slopes(f, x)


@pytest.mark.parametrize(
    "value", [True, 2, -2, 1.5, 1j, np.float32(1.5), np.ones(3), np.ones(3, np.int8), [1.0, 2.0, 3.0]]
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8, bool])
@pytest.mark.parametrize(
    "write",
    [
        lambda x, value: np.copyto(x, value),
        lambda x, value: np.copyto(x, value, "unsafe"),
        lambda x, value: np.copyto(x, value, where=x > 0),
        lambda x, value: np.add(x, value, out=x),
        lambda x, value: np.add(x, value, out=x, casting="unsafe"),
    ],
)
@pytest.mark.filterwarnings("ignore:Casting complex values")
def test_what_is_written_may_have_the_dtypes_that_numpy_allows(write: Any, dtype: Any, value: Any) -> None:
    def f(x: Any) -> Any:
        x = x.copy()
        write(x, value)
        return x

    x = np.array([0, 1, 2]).astype(dtype)
    try:
        expected = f(x)
    except (TypeError, OverflowError):
        with pytest.raises((TypeError, OverflowError)):
            tg.functionalize(f)(tg.tensor(x))
    else:
        written = tg.functionalize(f)(tg.tensor(x))
        assert written.dtype == dtype
        np.testing.assert_array_equal(written, expected)


@pytest.mark.parametrize("values", [2, True, np.float64(2), [1.0, 2.0], np.ones(2, np.float32), np.ones(2, np.uint8)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_what_is_added_at_places_has_the_dtype_of_the_array(dtype: Any, values: Any) -> None:
    for ufunc in (np.add, np.subtract):

        def f(x: Any) -> Any:
            ufunc.at(x, ([0, 0], [0, 1]), values)  # noqa: B023
            return x

        x = np.arange(6).reshape(3, 2).astype(dtype)
        if np.result_type(dtype, np.asarray(values).dtype).kind != x.dtype.kind:  # which NumPy would cut off
            with pytest.raises(errors.UsageError, match="cannot write entries of float64 into an array of int64"):
                tg.functionalize(f)(tg.tensor(x))
            continue
        found = tg.functionalize(f)(tg.tensor(x))
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, f(x))


def test_what_an_array_can_do() -> None:
    seen = {}

    def f(x: Any) -> Any:
        xp = x.__array_namespace__()
        made = xp.zeros(3)
        made[...] = x
        made.sort()
        same = xp.asarray(made)
        same[0] = 7.0
        seen.update(zero=made[0].item(), text=f"{made[0]:.1f}", repr=repr(made[:1]), list=made.detach().tolist())
        filled = xp.asarray(x, copy=True)
        filled.fill(2.0)
        whole = xp.asarray([1, 2])
        whole[0] = 5.7
        seen.update(whole=whole.tolist(), integer=int(whole[1]), index=[10, 20, 30][whole[1]], true=bool(whole[0] == 5))
        seen.update(numbers=np.asarray(whole).tolist(), kind=made.numpy().dtype.name, float=float(whole[1]))
        return np.sum(made * filled)

    assert tg.grad(tg.functionalize(f))(np.array([3.0, 1.0, 2.0])).tolist() == [2.0, 0.0, 2.0]
    assert seen == {
        "zero": 7.0,
        "text": "7.0",
        "repr": "Writable(tensor([7.], op=getitem))",
        "list": [7.0, 2.0, 3.0],
        "whole": [5, 2],
        "integer": 2,
        "index": 30,
        "true": True,
        "numbers": [5, 2],
        "kind": "float64",
        "float": 2.0,
    }


OUTSIDE = np.zeros(3)


def write_outside(x: Any) -> None:
    OUTSIDE[0] = x[0]


@pytest.mark.parametrize(
    ("write", "kind", "message"),
    [
        (lambda x: float(x[0]), errors.UsageError, r"lose the history of x"),
        (lambda x: np.random.default_rng(0).normal(x), errors.UsageError, "its history would be lost"),
        (
            lambda x: x.__iadd__(np.ones((2, 3))),
            errors.ShapeError,
            r"shape \(3,\) cannot become one of \(2, 3\) in place",
        ),
        (lambda x: (x > 0).__imul__(0.5), errors.UsageError, r"\+= y cannot write entries of float64"),
        (lambda x: np.exp(x, out=OUTSIDE), errors.UsageError, r"write into a copy of it, np.array\(a\)"),
        (lambda x: operator.iadd(OUTSIDE, x), errors.UsageError, r"an assignment such as a \+= x writes a tensor"),
        (write_outside, errors.UsageError, r"make the array inside the function"),
        (lambda x: setattr(x, "imag", 1.0), errors.UsageError, "float64 has no imaginary part"),
        (lambda x: x.__setitem__(5, 1.0), errors.IndexingError, "out of bounds"),
        (lambda x: np.fill_diagonal(x, 1.0), errors.ShapeError, r"needs a matrix, .* got shape \(3,\)"),
        (lambda x: np.fill_diagonal(np.zeros_like(x, shape=(5, 2)), 1, wrap=True), errors.UsageError, "places to fill"),
    ],
)
def test_what_functionalize_refuses(write: Callable[[Any], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        tg.grad(tg.functionalize(write))(np.ones(3))
    with pytest.raises(errors.UsageError, match="never change"):  # outside, as before
        tg.tensor([1.0])[0] = 2.0


ENTRIES = np.cos(np.arange(24.0)).reshape(2, 4, 3)
LYING: dict[str, Any] = {
    "by columns": np.asfortranarray(ENTRIES),
    "permuted": ENTRIES.reshape(4, 3, 2).transpose(2, 0, 1),
    "backwards": np.asfortranarray(ENTRIES)[:, ::-1],
    "every second": ENTRIES.reshape(3, 4, 2).T.repeat(2, axis=1)[:, ::2],
    "repeated": np.broadcast_to(np.asfortranarray(ENTRIES[:, :, :1]), ENTRIES.shape),
    "float32": np.asfortranarray(ENTRIES.astype(np.float32)),
    "whole numbers": np.asfortranarray(np.arange(24).reshape(2, 4, 3)),
}
JOINED: dict[str, Callable[[Any, Any], Any]] = {
    "product": lambda x, c: np.sum(x) * c,
    "sum": lambda x, c: c + np.transpose(x, (1, 0))[0, 0],
    "choice": lambda x, c: np.where(c > 0, np.sum(x), c),
    "power": lambda x, c: np.power(1.1 + np.abs(c), x[0, 0]),
    "complex": lambda x, c: np.abs(np.sum(x) + 1j * c),
    "a count": lambda x, c: np.count_nonzero(x) * (np.sum(x) + c),
    "running": lambda x, c: np.logaddexp.accumulate(np.sum(x) + c, axis=1),
}


@pytest.mark.parametrize("lying", LYING)
def test_what_is_made_with_an_array_from_outside_has_the_views_of_numpys_result(lying: str) -> None:
    """Where the array does not lie by rows, its copy did, and so a reshape was a view where NumPy's is a copy."""
    x = np.array([[0.3, -0.2], [0.5, 0.9]])
    for name, joined in JOINED.items():

        def function(x: Any, joined: Any = joined) -> Any:
            made = joined(x, LYING[lying])
            made.reshape(-1)[1] += 1.0
            made.T.reshape(-1)[2] *= 0.5
            return np.sum(np.sin(made))

        functional = tg.functionalize(function)
        value, slope = tg.value_and_grad(functional)(x)
        primal, change = tg.jvp(functional, (x,), (np.ones((2, 2)),))
        np.testing.assert_allclose([value, primal], function(x), rtol=1e-14, err_msg=name)
        np.testing.assert_allclose(np.sum(slope), change, rtol=1e-12, err_msg=name)


READ_ONLY: dict[str, Callable[[Any], Any]] = {
    "broadcast_to": lambda x: np.broadcast_to(x, (2, 4)),
    "broadcast_arrays": lambda x: np.broadcast_arrays(x, np.zeros((2, 4)))[0],
    "meshgrid": lambda x: np.meshgrid(x, x, copy=False)[0],
    "windows": lambda x: np.lib.stride_tricks.sliding_window_view(x, 2),
    "diagonal": lambda x: np.diagonal(x.reshape(2, 2)),
    "diag": lambda x: np.diag(x.reshape(2, 2)),
    "an entry of windows": lambda x: np.lib.stride_tricks.sliding_window_view(x, 2)[1:],
}
WRITES: list[Callable[[Any], Any]] = [
    *(lambda x: x.fill(0.3), lambda x: x.sort(), lambda x: np.add(x, 1.0, out=x), lambda x: np.add.at(x, 0, 1.0)),
    *(lambda x: operator.setitem(x, 0, 0.3), lambda x: operator.iadd(x, 1.0), lambda x: np.put(x, [0], 0.7)),
]


@pytest.mark.parametrize("kind", READ_ONLY)
def test_what_is_read_only_in_numpy_is_not_written_into(kind: str) -> None:
    """Each of several entries that are one entry got its own value, and their array another one than in NumPy."""
    x = np.array([0.3, -0.2, 0.5, 0.9])
    for write in WRITES:

        def function(x: Any, write: Any = write) -> Any:
            x = x * 1.0
            write(READ_ONLY[kind](x))
            return np.sum(x)

        with pytest.raises(errors.UsageError, match="read-only, as in NumPy"):
            tg.grad(tg.functionalize(function))(x)


def test_arrays_that_are_not_stretched_are_written_into() -> None:
    def function(x: Any) -> Any:
        x = x * 1.0
        rows, columns = np.broadcast_arrays(x, 2 * x)
        rows[0] = columns[1]
        grid, _ = np.meshgrid(x, x)
        grid[0] = 0.0
        return np.sum(x**2) + np.sum(grid**3)

    x = np.array([0.3, -0.2, 0.5])
    value, slope = tg.value_and_grad(tg.functionalize(function))(x)
    assert value == pytest.approx(function(x))
    np.testing.assert_allclose(slope, [0.0, 10 * x[1] + 54 * x[1] ** 2, 2 * x[2] + 6 * x[2] ** 2])
