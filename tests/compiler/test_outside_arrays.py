"""Arrays from outside, which somebody may write to between runs, and which a program neither keeps nor hands out."""

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn, trees
from tinygrad_lite.compiler.recording import guards
from tinygrad_lite.errors import UsageError

F = nn.functional
A = np.array([[0.5, 1.0], [2.0, -1.5]])
B = np.array([[1.0, -1.0], [0.5, 0.25]])
t = tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
p = tg.tensor(np.ones((2, 2)), requires_grad=True)
linear = nn.Linear(2, 2, rng=0)


def cubes(x: Any) -> Any:
    return np.sum(x**3)


def assigned() -> Any:
    with tg.no_grad():
        p.data = A
    return np.sum(p * 2)


def from_below() -> Any:
    p.grad = None
    (p * 3).backward(A)
    return p.grad


def leaf() -> Any:
    x = tg.tensor(A, requires_grad=True)
    cubes(x).backward()
    return x.grad


WAYS: dict[str, Callable[[], Any]] = {
    "a tensor": lambda: np.sum(tg.tensor(A) * t),
    "a tensor of another dtype": lambda: tg.tensor(A, dtype=np.float32) * 2,
    "a leaf": leaf,
    "a gradient by it": lambda: tg.grad(cubes)(A),
    "a gradient by a view": lambda: tg.grad(cubes)(A[0]),
    "a gradient by its transpose": lambda: tg.grad(lambda x: x[0] @ x[1])(A.T),
    "a gradient in a container": lambda: tg.value_and_grad(lambda d: cubes(d["a"]))({"a": A}),
    "a Jacobian": lambda: tg.jacobian(np.sin)(A[0]),
    "a Hessian": lambda: tg.hessian(cubes)(A[0]),
    "a Hessian times a vector": lambda: tg.hvp(cubes, (A,), (B,)),
    "a tangent": lambda: tg.jvp(np.sin, (t,), (A,)),
    "an upstream gradient": lambda: tg.vjp(np.sin, t)[1](A),
    "a gradient that backward begins with": from_below,
    "new data": assigned,
    "an operand": lambda: (t * A, A - t, A @ t, np.einsum("ij,jk", A, t)),
    "a part": lambda: (np.stack([t, A]), np.concatenate([A, t]), t.at[0].set(A[1])),
    "an input of a layer": lambda: linear(A),
    "a target": lambda: F.mse_loss(t, A),
    "a parameter": lambda: nn.functional_call(linear, {"weight": A}, t),
    "a system": lambda: np.linalg.solve(A, t),
    "a condition": lambda: np.where(A > 0, t, A),
    "an order": lambda: t[np.argsort(A[0])],
    "a list of rows": lambda: tg.tensor([A[0], A[1]]) * t,
    "a product of NumPy's": lambda: (2 * A) * t,
    "a mean of NumPy's": lambda: np.mean(A) * t,
    "a number": lambda: float(A[0, 0]) * t,
    "a branch": lambda: t if A[0, 0] < 0.6 else -t,
    "a result": lambda: A * 2,
    "what a function standardises": lambda: tg.grad(lambda x: np.sum((x - A.mean(axis=0)) ** 2))(B),
    "a view of it": lambda: (A[:, ::-1].copy() * t, t[0] * A[0]),
}


def arrays(result: Any) -> list[Any]:
    return [np.asarray(x.numpy() if isinstance(x, tg.Tensor) else x) for x in trees.leaves(result)]


@pytest.fixture(autouse=True)
def _as_before() -> Any:
    before = A.copy()
    yield
    A[...] = before
    p.data, p.grad = np.ones((2, 2)), None


@pytest.mark.parametrize("f", WAYS.values(), ids=WAYS)
def test_each_run_has_the_entries_of_that_moment(f: Callable[[], Any], backend: str) -> None:
    compiled = tg.compile(f, backend)
    for _ in range(3):
        p.data = np.ones((2, 2))
        found = arrays(compiled())
        p.data, p.grad = np.ones((2, 2)), None
        for x, y in zip(found, arrays(f()), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12)
        A[...] = A[::-1] * 1.5


@dataclass
class Holder:
    array: Any
    arrays: list[Any] = field(default_factory=list)


class Layer(nn.Module):
    def __init__(self, held: Any) -> None:
        self.held = held


def homes(array: Any) -> dict[str, Callable[[], Any]]:
    """Functions that find an array in different places."""
    holder, layer, table, numbers = Holder(array, [array]), Layer({"array": array}), {"array": array}, [array]

    def with_default(array: Any = array) -> Any:
        return array.sum() * t

    def part(array: Any) -> Any:
        return array.sum() * t

    return {
        "a closure": lambda: array.sum() * t,
        "a default": with_default,
        "an argument of a partial": partial(part, array),
        "an attribute": lambda: holder.array.sum() * t,
        "a list of an object": lambda: holder.arrays[0].sum() * t,
        "a module": lambda: layer.held["array"].sum() * t,
        "a dict": lambda: table["array"].sum() * t,
        "a list": lambda: sum(x.sum() for x in numbers) * t,
        "a function of a function": lambda: part(array) * 1.0,
    }


@pytest.mark.long
@pytest.mark.parametrize("home", homes(A))
def test_an_array_from_outside_is_followed_wherever_it_is(home: str, backend: str) -> None:
    array = np.array([1.0, 2.0])
    f = homes(array)[home]
    compiled = tg.compile(f, backend)
    for _ in range(3):
        np.testing.assert_array_equal(compiled().numpy(), f().numpy())
        array += 1


def test_a_change_in_any_part_of_a_large_array_is_seen(backend: str) -> None:
    array = np.zeros((2000, 500))
    f = tg.compile(lambda: array.sum() * t, backend)
    for part in (np.s_[:], np.s_[:20], np.s_[1990:], np.s_[:, 100:103], np.s_[:, -1]):
        f()
        f()
        array[part] += 1
        np.testing.assert_array_equal(f().numpy(), (array.sum() * t).numpy())


def test_an_array_that_nobody_can_write_to_is_not_looked_at() -> None:
    array = np.arange(4.0)
    array.setflags(write=False)
    compiled = tg.compile(lambda: array.sum() * t, "numpy")
    compiled()
    assert not any("entries" in guard.label for guard in compiled._recorded().guards)


def test_an_array_of_which_python_needs_what_the_function_changes_is_refused(backend: str) -> None:
    count = np.zeros(2)

    def counts(x: Any) -> Any:
        count[0] += 1
        return x * len(f"{count[0]}")

    with pytest.raises(UsageError, match=r"reads and changes the entries of count[\s\S]*print it after"):
        tg.compile(counts, backend)(t)
    assert count.tolist() == [0, 0]


FILLS: dict[str, Callable[[Any], Any]] = {
    "a slice": lambda array: array.__setitem__(slice(None), 0.0),
    "fill": lambda array: array.fill(0.0),
    "an operator": lambda array: operator.imul(array, 0.0),
    "out": lambda array: np.multiply(np.zeros(2), 2, out=array),
    "a view": lambda array: array[1:].fill(0.0),
    "copyto": lambda array: np.copyto(array, 0.0),
    "other entries": lambda array: array.__setitem__(slice(None), [3.0, 4.0]),
    "one entry": lambda array: array.__setitem__(1, 4.0),
}


@pytest.mark.long
@pytest.mark.parametrize("way", FILLS)
def test_an_array_that_the_function_fills(way: str, backend: str) -> None:
    """Each call fills it anew, whatever somebody, such as another function, has written into it meanwhile."""

    def results(compile: Callable[[Any], Any]) -> list[Any]:
        holder = Holder(np.zeros(2))

        def f(x: Any) -> Any:
            FILLS[way](holder.array)
            return x * holder.array, x @ holder.array.T, holder.array[0] + x

        f, made = compile(f), []
        for change in (lambda a: a, lambda a: a.fill(3.0), lambda a: a.__setitem__(0, 2.0), lambda a: a, np.sort):
            change(holder.array)
            made += [np.asarray(x.detach()) for x in f(t)] + [holder.array.copy()]
        assert holder.array.flags.writeable
        return made

    for x, y in zip(results(lambda f: tg.compile(f, backend)), results(lambda f: f), strict=True):
        np.testing.assert_array_equal(x, y)


def test_an_array_that_the_program_reads_and_the_function_changes(backend: str) -> None:
    mean = np.zeros(2)

    def moves(x: Any) -> Any:
        mean[...] = 0.9 * mean + 0.1
        return x - mean.sum()

    def counts(x: Any) -> Any:
        mean[1] += 1
        return x * mean[1]

    def reads_first(x: Any) -> Any:
        y = x * mean
        mean[...] += 1
        return y

    def changes_first(x: Any) -> Any:
        mean[...] = 2 * mean + 1
        return x * mean

    def changes_a_view(x: Any) -> Any:
        first = mean[:1]
        y = x * mean
        first += 1
        return y

    for changes in (moves, counts, reads_first, changes_first, changes_a_view):
        rows: list[Any] = []
        for f in (changes, tg.compile(changes, backend)):
            mean[:] = 0
            rows.append([(f(t).tolist(), mean.tolist(), mean.put(0, i)) for i in range(4)])
        assert rows[0] == rows[1]


WRITES: dict[str, Callable[[Any], Any]] = {
    "fill": lambda a: a.fill(3.0),
    "an index": lambda a: a.__setitem__((0, 1), 7.0),
    "a slice": lambda a: a.__setitem__(np.s_[:], [5.0, 0.25]),
    "in place": lambda a: a.__imul__(2.0),
    "a view": lambda a: a[1].__setitem__(0, 7.0),
    "its transpose": lambda a: a.T[0].fill(-1.0),
    "out": lambda a: np.add(a, 1.0, out=a),
    "copyto": lambda a: np.copyto(a, 4.0),
    "put": lambda a: np.put(a, [2], 4.0),
    "sort": lambda a: a.sort(axis=0),
}
USES: dict[str, Callable[[Any], Any]] = {
    "an operand": lambda a: np.sum(t * a),
    "a part": lambda a: np.sum(t[0] @ a.T),
    "a target": lambda a: F.mse_loss(t, a),
    "a condition": lambda a: np.sum(np.where(a > 1, t, 0.0)),
    "entries": lambda a: np.sum(t.at[0].add(a[1]) ** 2),
    "an index": lambda a: np.sum(t[a[0].astype(int) % 2]),
    "a tensor": lambda a: np.sum(tg.tensor(a) * t),
    "a gradient": lambda a: np.sum(tg.grad(lambda x: np.sum(x**2 * a))(t)),
}


FIRST = [[2.0, 1.0], [0.5, 4.0]]


@pytest.mark.long
@pytest.mark.parametrize("use", USES)
def test_an_array_has_the_entries_of_the_moment_of_its_use(use: str, backend: str) -> None:
    outside = np.array(FIRST)

    def step(is_outside: bool) -> Any:
        results = []
        for write in WRITES.values():
            array = outside if is_outside else np.array(FIRST)
            array[...] = FIRST
            for _ in range(3):
                results.append(USES[use](array))
                write(array)
            array[...] = FIRST
        return results

    compiled = tg.compile(step, backend)
    for is_outside in (False, True):
        for _ in range(2):
            found, expected = compiled(is_outside), step(is_outside)
            np.testing.assert_allclose([float(x) for x in found], [float(x) for x in expected], rtol=1e-12)
    np.testing.assert_array_equal(outside, FIRST)


def test_a_very_large_array_is_not_written_to_between_its_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "KEPT", 1000)
    zeros = np.zeros((40, 40))

    def f(x: Any) -> Any:
        mask = zeros.copy()
        y = np.sum(x * mask)
        mask[7, 7] = 1.0
        return y + np.sum(x * mask)

    with pytest.raises(UsageError, match="writes into a very large array after it has computed with it"):
        tg.compile(f, "numpy")(np.ones((40, 40)))


def shares(x: Any, y: Any) -> bool:
    return np.shares_memory(*(z.numpy() if isinstance(z, tg.Tensor) else z for z in (x, y)))


def test_a_result_is_never_an_outside_array(backend: str) -> None:
    constant = np.arange(3.0)
    for is_fixed in (True, False):
        constant.setflags(write=not is_fixed)
        compiled = tg.compile(lambda: (constant * 1.0, tg.tensor(constant), np.arange(3.0) * 2), backend)
        for found in (compiled(), compiled(), compiled()):
            assert not any(shares(x, constant) for x in found)
            assert found[0].flags.writeable
            found[2][...] = 0  # which is nobody else's


UPDATES: dict[str, Callable[[Any], Any]] = {
    "an argument": lambda x: x,
    "times one": lambda x: x * 1.0,
    "an outside array": lambda x: A[0],
    "a constant": lambda x: np.ones(2),
}


@pytest.mark.parametrize("make", UPDATES.values(), ids=UPDATES)
@pytest.mark.parametrize("slot", ["data", "grad"])
def test_a_tensor_that_is_given_an_array_has_a_copy(make: Callable[[Any], Any], slot: str, backend: str) -> None:
    w = tg.tensor([0.0, 0.0], requires_grad=True)

    def f(x: Any) -> Any:
        made = make(x)
        with tg.no_grad():
            setattr(w, slot, made)
        return made

    compiled = tg.compile(f, backend)
    for _ in range(3):
        x = np.array([1.0, 2.0])
        made = compiled(x)
        held = getattr(w, slot)
        assert not any(shares(held, y) for y in (x, A, made))
        assert x.flags.writeable
        assert A.flags.writeable
